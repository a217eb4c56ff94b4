/*
 * What the files of src/peer share. A `struct peer` is a member that we may dial; a `struct
 * session` is one connection, either way. A closed session stays in the list, deaf, until the next
 * tick, so that no caller up the stack is left with a dangling pointer.
 */
#ifndef PEER_INTERNAL_H
#define PEER_INTERNAL_H

#include "base/prng.h"
#include "peer/frame.h"
#include "peer/peer.h"

#include <inttypes.h>
#include <sys/queue.h>

#define PEER_ANONYMOUS_MAX 64          /* incoming links that have not said HELLO */
#define PEER_HELLO_MAX 4096            /* payload bytes of a frame before the link is up */
#define PEER_URGENT_SLACK (256u << 10) /* bytes that messages without entries may go over */
#define PEER_SNAPSHOT_QUEUE (1u << 20) /* bytes of a snapshot that wait in the output */
#define PEER_PONG_BACKLOG (64u << 10)  /* no PONG to who does not read */
#define PEER_PATIENCE 6 /* a snapshot may stand still for so many silence_ms while pings pass */

enum session_state {
    SESSION_DIALLING,   /* ours: not connected yet */
    SESSION_HELLO_SENT, /* ours: waits for WELCOME */
    SESSION_WAIT_HELLO, /* theirs: nothing heard yet */
    SESSION_UP,
    SESSION_CLOSED, /* nothing is sent or heard any more; freed by a tick */
};

enum session_end {
    SESSION_END_GONE,  /* io said so: nothing is left to close */
    SESSION_END_NOW,   /* what is queued is dropped */
    SESSION_END_FLUSH, /* what is queued is sent first */
};

/* The snapshot on a connection of the snapshot lane, whichever way it goes. */
struct transfer {
    struct floe_message message; /* sender, until WELCOME */
    bool begun;                  /* SNAP_BEGIN was sent or received */
    bool complete;               /* so was the last record */
    bool ended;                  /* the verdict is known: no event any more */
    uint64_t records;
    uint64_t progress_ms;
};

struct session {
    TAILQ_ENTRY(session) entry;
    peer_link link;
    floe_id peer; /* 0: not identified yet */
    enum session_state state;
    enum peer_lane lane;
    bool dialled;
    bool flush; /* CLOSED: the output is still to be sent */
    bool dirty;
    bool ping_waits; /* a PING has not been answered */
    char where[300]; /* address dialled, or description of who came in; for log lines */
    struct evbuffer *output;
    uint64_t added_bytes;   /* ever put into output */
    uint64_t drained_bytes; /* of these, taken by io at the last tick */
    uint64_t ping_end;      /* added_bytes behind the last PING */
    uint64_t started_ms;    /* dialled or accepted; CLOSED: when that happened */
    uint64_t alive_ms;      /* last sign of life */
    struct transfer transfer;
};

struct peer {
    TAILQ_ENTRY(peer) entry;
    floe_id id;
    char *address;
    struct session *out; /* the message link that we dialled; NULL: none */
    uint64_t retry_at_ms;
    uint32_t backoff_ms;    /* the last wait; 0: none yet */
    uint64_t last_heard_ms; /* 0: never */
    uint8_t refusal;        /* the one that was logged; 0: none */
    bool trouble_logged;    /* a failure to connect was logged, and nothing worked since */
    bool drop_reported;     /* UNREACHABLE was said for the full queue */
};

struct event_item {
    STAILQ_ENTRY(event_item) entry;
    struct peer_event event;
    size_t bytes;
};

struct action_item {
    STAILQ_ENTRY(action_item) entry;
    struct peer_action action;
};

struct peer_set {
    struct peer_options options; /* defaults filled in; cluster and name are own copies */
    char *cluster;
    char *name;
    char *address; /* "" = not told */
    struct prng prng;
    uint64_t now_ms; /* the latest that was passed in */
    bool accept_unknown;
    bool crowd_logged;         /* the bound of anonymous links was logged */
    floe_id refused_logged_id; /* the last refusal of ours that was logged */
    uint8_t refused_logged_code;
    peer_link last_link;
    struct session *receiving; /* incoming snapshot without a verdict; NULL: none */
    floe_id *removed;          /* whose hellos are refused */
    size_t removed_count;
    size_t removed_cap;
    TAILQ_HEAD(peer_list, peer) peers;
    TAILQ_HEAD(session_list, session) sessions;
    STAILQ_HEAD(event_list, event_item) events;
    STAILQ_HEAD(action_list, action_item) actions;
    size_t event_bytes;
};

/* ---- peer_set.c ---- */
struct peer *peer_find(const struct peer_set *set, floe_id id);
void peer_set_now(struct peer_set *set, uint64_t now_ms); /* never goes back */
bool peer_is_removed(const struct peer_set *set, floe_id id);

/* ---- queue.c ---- */
/* Moves event in; bytes is what its payload holds. */
void peer_queue_event(struct peer_set *set, struct peer_event event, size_t bytes);
void peer_queue_simple(struct peer_set *set, enum peer_event_type type, floe_id id);
void peer_queue_dial(struct peer_set *set, const struct session *session);
void peer_queue_close(struct peer_set *set, const struct session *session);
void peer_queue_clear(struct peer_set *set);

/* ---- session.c: life and output of a connection ---- */
struct session *session_find(const struct peer_set *set, peer_link link); /* not CLOSED ones */
struct session *session_new(struct peer_set *set, enum session_state state, const char *where);
struct session *session_dial(struct peer_set *set, struct peer *peer, enum peer_lane lane);
void session_free(struct peer_set *set, struct session *session);
/* Takes the bytes of frame (which is empty afterwards) into the output. */
void session_put(struct session *session, struct buf *frame);
void session_ping(struct session *session);
/* Ends it with all consequences: events, back-off, CLOSE for io. Again: does nothing. */
void session_end(struct peer_set *set, struct session *session, enum session_end end,
                 const char *reason);
/* The other side broke the protocol: a warn line, and the end. */
void session_violation(struct peer_set *set, struct session *session, const char *what);
size_t session_queued(const struct session *session);

/* ---- handshake.c ---- */
void handshake_on_connected(struct peer_set *set, struct session *session);
void handshake_on_frame(struct peer_set *set, struct session *session, const struct record *frame);

/* ---- snapshot.c ---- */
void snapshot_on_welcome(struct peer_set *set, struct session *session);
void snapshot_on_frame(struct peer_set *set, struct session *session, const struct record *frame);
/* The connection has ended: what is under way has failed. refusal: enum peer_refusal or 0. */
void snapshot_on_end(struct peer_set *set, struct session *session, uint8_t refusal);
/* Nothing has moved for so long that it is given up though the link lives. */
bool snapshot_is_stuck(const struct peer_set *set, const struct session *session);

/* ---- timer.c ---- */
/* An out link failed: when to dial again. */
void peer_back_off(struct peer_set *set, struct peer *peer);
/* The peer has just shown that it lives, to us or to another member. */
void peer_wake(struct peer_set *set, struct peer *peer);

#endif
