/*
 * Linearizable reads that wait for a round of heartbeats (thesis 6.4).
 *
 * Requests are counted from 1 on since leadership began. A heartbeat carries the number of the
 * newest one, 8 bytes little-endian; an answer with number n from a quorum confirms every request
 * up to n. Numbers are never reused within a term, whatever contexts the callers use.
 */
#ifndef RAFT_READ_ONLY_H
#define RAFT_READ_ONLY_H

#include "raft/tracker.h"

#define RAFT_READ_CONTEXT_BYTES 8
/* What waiting requests may take, those before the first commit of a term included: the reference
 * has no bound, but it is peers that ask. Requests over it are dropped, as a lost message is. */
#define RAFT_READ_BYTES_MAX (16u << 20)

struct raft_read_request {
    struct floe_message message; /* the FLOE_MSG_READ_INDEX */
    floe_index index;            /* commit index when it was accepted */
};

struct raft_read_ack {
    floe_id id;
    uint64_t number;
};

struct raft_read_only {
    enum floe_read_only option;
    uint64_t confirmed; /* how many requests have been answered */
    struct raft_read_request *queue;
    size_t start; /* of the requests in queue; what is before it has been answered */
    size_t count;
    size_t cap;
    size_t bytes; /* of the requests in queue */
    struct raft_read_ack *acks; /* the highest of each member */
    size_t ack_count;
    size_t ack_cap;
};

size_t raft_read_weight(const struct floe_message *request); /* bytes that it takes */
/* Forgets all requests and acknowledgements; the option stays. */
void raft_read_only_reset(struct raft_read_only *ro);
void raft_read_only_deinit(struct raft_read_only *ro);
/* Takes a copy of the request, acknowledged by self. */
void raft_read_only_add(struct raft_read_only *ro, const struct floe_message *message,
                        floe_index index, floe_id self);
/* The context of a heartbeat now: a new blob, or NULL if no request is open. */
struct floe_blob *raft_read_only_context(const struct raft_read_only *ro);
void raft_read_only_ack(struct raft_read_only *ro, floe_id from, const struct floe_blob *context);
/* How many requests at the front of the queue a quorum has confirmed. */
size_t raft_read_only_ready(const struct raft_read_only *ro, const struct raft_config *config);
/* Takes the first one out; owned by caller (floe_message_deinit). */
struct raft_read_request raft_read_only_pop(struct raft_read_only *ro);

#endif
