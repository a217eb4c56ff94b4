/*
 * The hub of watchers: each is a position in the store's one history, not a queue. What happens is
 * looked at once: watchers of one key are found by hash, those of ranges by a list of the ranges.
 * Watchers of the same keys and form stand in one group, where what one of them has encoded serves
 * the others by reference. Who reads slowly falls back in the history and reads it by himself; who
 * falls behind what is kept is told so.
 */
#ifndef API_WATCH_H
#define API_WATCH_H

#include "node/node.h"

#include <event2/buffer.h>

#define WATCH_GATHER_MS 10 /* between two rounds while many watchers are woken */

struct watch_hub;
struct watcher;

struct watch_hub *watch_hub_new(struct node *node); /* node borrowed */
void watch_hub_free(struct watch_hub *hub);         /* no watcher may be left */

/* How events become bytes. Static: its address is a part of what makes a group. */
struct watch_form {
    /* Adds one event; out->len is 0 for the first one of a block. is_last: no other event of this
     * revision follows for these keys. */
    void (*put)(struct buf *out, const struct kv_event *event, bool is_last);
    bool no_put; /* such events are left out */
    bool no_delete;
};

/* keys and their bytes are borrowed for the call. Every event from from_revision on (it may be in
 * the future; 0: from now on) will be read once. wake is called, from watch_turn, when there is
 * something to be read again; it must only take a note. */
struct watcher *watch_add(struct watch_hub *hub, const struct kv_keys *keys,
                          const struct watch_form *form, uint64_t from_revision,
                          void (*wake)(void *arg), void *arg);
void watch_remove(struct watcher *watcher);

enum watch_read {
    WATCH_NOTHING,   /* until it is woken */
    WATCH_EVENTS,    /* some were added; there may be more */
    WATCH_LATER,     /* much history was walked without a find: come again next turn */
    WATCH_COMPACTED, /* what it should read next is gone: kv_compact_revision; the end of it */
};
/* Adds a block of whole revisions, at most some 32 KiB, by reference. */
enum watch_read watch_next(struct watcher *watcher, struct evbuffer *out);
/* Everything up to this revision has been read by it. */
uint64_t watch_revision(const struct watcher *watcher);

/* Looks at what has happened and wakes who wants it; once a turn, after node_pump. */
void watch_turn(struct watch_hub *hub, uint64_t now_ms);
/* When watch_turn has work, if nothing else happens; UINT64_MAX: none. */
uint64_t watch_deadline_ms(const struct watch_hub *hub);

#endif
