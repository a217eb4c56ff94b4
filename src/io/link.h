/*
 * Peer links over TCP: listens, dials, and carries bytes between bufferevents and a peer_set, which
 * decides everything. Callbacks only hand over input; what the set wants done (dials, closes,
 * output) is done by the pump.
 */
#ifndef IO_LINK_H
#define IO_LINK_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/logger.h"
#include "peer/peer.h"

#include <stdint.h>

struct event_base;
struct link_set;

/* base, peers and logger are borrowed until link_set_free. Owned by caller. */
struct link_set *link_set_new(struct event_base *base, struct peer_set *peers,
                              const struct logger *logger);
/* Closes every connection at once, without a word to peers. NULL is allowed. */
void link_set_free(struct link_set *set);

/* Listens on every address that the host stands for (blocks while a name is looked up: call it at
 * start only). ERR_IO: on none of them; *why has the reason. */
enum err link_set_listen(struct link_set *set, const struct addr *listen_address,
                         struct buf *why) MUST_USE;
/* No new incoming links; those that are there stay. */
void link_set_stop_accepting(struct link_set *set);

/* Does what the set has queued: dials, closes, output; resumes reading once its events have been
 * taken. Call it each turn, after the node's pump. */
void link_set_pump(struct link_set *set, uint64_t now_ms);

#endif
