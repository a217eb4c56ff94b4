/*
 * Sessions between members as state machines: no socket, no clock. io connects each to a
 * bufferevent; the simulator to a pipe of its own.
 *
 * One connection a direction carries messages: each member dials the others and sends on what it
 * dialled, so a pair has two. A third, dialled by the sender, carries one snapshot and is closed
 * after it: heartbeats never wait behind one. Frames are codec/record.h records with msgpack
 * payloads. The first frame of the dialler is HELLO (protocol version, cluster, from, to, lane,
 * name), answered by WELCOME or REFUSE (code, text).
 *
 * Calls go down into the set; what comes back is items of two queues: actions for the loop
 * (dial, close), events for the node (messages, reports).
 */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/logger.h"
#include "codec/record.h"

#include <event2/buffer.h>
#include <floe/types.h>

#define PEER_PROTOCOL_VERSION 1

struct peer_set;

struct peer_options {
    floe_id id;
    const char *cluster; /* copied */
    const char *name;    /* copied */
    const char *address; /* where others can dial us, "host:port"; copied; NULL: not told */
    uint64_t seed;       /* of the backoff's jitter */
    const struct logger *logger;
    size_t queue_bytes;        /* bound of a peer's outgoing messages; 0: 16 MiB */
    size_t max_frame_bytes;    /* 0: 64 MiB */
    uint32_t backoff_min_ms;   /* 0: 50 */
    uint32_t backoff_max_ms;   /* 0: 2000 */
    uint32_t dial_timeout_ms;  /* 0: 3000: connect and hello */
    uint32_t silence_ms;       /* 0: 10000: a link that brings nothing is closed (PING fills it) */
};

struct peer_set *peer_set_new(const struct peer_options *options);
void peer_set_free(struct peer_set *set);

/* ---- membership (from node) ------------------------------------------------------------------ */

/* Adds a peer or changes its address ("host:port", already parsed and canonical). */
void peer_set_put(struct peer_set *set, floe_id id, const char *address);
/* Closes its links. refuse: later hellos of it are answered by REFUSE "removed". */
void peer_set_remove(struct peer_set *set, floe_id id, bool refuse);
/* A member that joins or may be behind (others can have been added since) accepts hellos of unknown
 * ids too, and dials them at the address that they tell. */
void peer_set_accept_unknown(struct peer_set *set, bool accept);
/* Somebody has just reached this peer: if there is no link to it, it is dialled now instead of at
 * the end of the back-off. An unknown id is nobody. */
void peer_set_wake(struct peer_set *set, floe_id id);

/* ---- sending (from node) --------------------------------------------------------------------- */

/* Queues a copy. ERR_NOT_FOUND: unknown peer; ERR_FULL: queue bound reached; ERR_AGAIN: no
 * connection (the message is dropped: raft sends again); ERR_TOO_LARGE: over max_frame_bytes.
 * Not for FLOE_MSG_SNAP. */
enum err peer_set_send(struct peer_set *set, const struct floe_message *message) MUST_USE;
/* Small datagram of the node's own between members (kind is the node's numbering). Same errors. */
enum err peer_set_send_note(struct peer_set *set, floe_id to, uint8_t kind, const void *data,
                            size_t len) MUST_USE;
/* Opens a snapshot connection to `to` and sends message (FLOE_MSG_SNAP without data) on it first.
 * ERR_EXISTS: one is under way to that peer. Then feed it while there is room. */
enum err peer_set_snapshot_begin(struct peer_set *set, const struct floe_message *message) MUST_USE;
/* Bytes that may be fed now; 0: not now or no transfer. */
size_t peer_set_snapshot_room(const struct peer_set *set, floe_id to);
/* One encoded record of the snapshot file; last: it is complete after this one. The receiver
 * acknowledges after it has stored the file; PEER_EVENT_SNAPSHOT_SENT follows. */
void peer_set_snapshot_feed(struct peer_set *set, floe_id to, const void *record, size_t len,
                            bool last);
void peer_set_snapshot_cancel(struct peer_set *set, floe_id to);
/* Receiver's verdict, after PEER_EVENT_SNAPSHOT_RECORD of the last record (earlier if not ok). */
void peer_set_snapshot_answer(struct peer_set *set, floe_id from, bool ok);

/* ---- events (to node) ------------------------------------------------------------------------ */

enum peer_event_type {
    PEER_EVENT_MESSAGE,         /* message (owned by whoever takes the event) */
    PEER_EVENT_NOTE,            /* kind, data */
    PEER_EVENT_CONNECTED,       /* outgoing message link to id is up */
    PEER_EVENT_UNREACHABLE,     /* outgoing message link to id was lost, or a message was dropped */
    PEER_EVENT_BROKEN,          /* that link was up, and the other side or the network ended it */
    PEER_EVENT_SNAPSHOT_BEGIN,  /* message: the FLOE_MSG_SNAP; its file follows */
    PEER_EVENT_SNAPSHOT_RECORD, /* data: one encoded record, checksum verified; last */
    PEER_EVENT_SNAPSHOT_ABORT,  /* an incoming snapshot ended early */
    PEER_EVENT_SNAPSHOT_SENT,   /* an outgoing snapshot: ok or not; kind: peer_refusal or 0 */
    PEER_EVENT_REFUSED,         /* id refused our hello: kind is enum peer_refusal, data the text */
};

enum peer_refusal {
    PEER_REFUSED_VERSION = 1,
    PEER_REFUSED_CLUSTER = 2,
    PEER_REFUSED_IDENTITY = 3, /* the hello was meant for another member id */
    PEER_REFUSED_REMOVED = 4,  /* the dialler has been removed from the cluster */
    PEER_REFUSED_UNKNOWN = 5,  /* not a member (yet): try again later */
    PEER_REFUSED_BUSY = 6,     /* e.g. a snapshot is being received already */
};

struct peer_event {
    enum peer_event_type type;
    floe_id id; /* the peer */
    uint8_t kind;
    bool ok;
    bool last;
    struct floe_message message;
    struct buf data;
};
void peer_event_deinit(struct peer_event *event);
/* Takes the oldest event; false: none. Owned by caller. */
bool peer_set_next_event(struct peer_set *set, struct peer_event *out);
/* Bytes held by queued events: the loop stops reading from links over its bound. */
size_t peer_set_event_bytes(const struct peer_set *set);

/* ---- links (to and from io) ------------------------------------------------------------------ */

typedef uint64_t peer_link; /* a connection; never reused, 0 = none */

enum peer_action_type { PEER_ACTION_DIAL, PEER_ACTION_CLOSE };
struct peer_action {
    enum peer_action_type type;
    peer_link link;
    char address[300]; /* DIAL: "host:port" or "[v6]:port" */
    bool flush;        /* CLOSE: send what is in the output first (a REFUSE), bounded in time */
};
bool peer_set_next_action(struct peer_set *set, struct peer_action *out);

/* A connection came in. description ("127.0.0.1:5678") is for log lines. 0: too many have come in
 * that did not say who they are; close it. */
peer_link peer_set_on_accept(struct peer_set *set, const char *description, uint64_t now_ms);
void peer_set_on_connected(struct peer_set *set, peer_link link, uint64_t now_ms);
/* Gone, for whatever reason (also after a CLOSE of ours: harmless). */
void peer_set_on_closed(struct peer_set *set, peer_link link, const char *reason, uint64_t now_ms);
/* Bytes have come: takes whole frames out of input, leaves the rest. */
void peer_set_on_input(struct peer_set *set, peer_link link, struct evbuffer *input,
                       uint64_t now_ms);
/* What waits to be written on the link; io moves it out (evbuffer_add_buffer) while its own
 * output is short. NULL: no such link. Borrowed. */
struct evbuffer *peer_set_output(struct peer_set *set, peer_link link);
/* Links whose output may have grown since the last call, one a call; 0 = no more. */
peer_link peer_set_next_dirty(struct peer_set *set);
/* Dials members that were put and not dialled yet, instead of with the next tick. */
void peer_set_dial(struct peer_set *set, uint64_t now_ms);
/* Redials, pings, time-outs. Call some ten times a second. */
void peer_set_tick(struct peer_set *set, uint64_t now_ms);

/* For /status. */
struct peer_status {
    bool connected;          /* outgoing message link is up */
    uint64_t last_heard_ms;  /* now_ms of the last frame from it; 0 = never */
    size_t queued_bytes;
};
bool peer_set_status(const struct peer_set *set, floe_id id, struct peer_status *out);

#endif
