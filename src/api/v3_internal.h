/* Inside of v3: a call on its way, and what its handlers share. */
#ifndef API_V3_INTERNAL_H
#define API_V3_INTERNAL_H

#include "api/internal.h"
#include "api/stream.h"
#include "api/v3.h"
#include "api/v3_codec.h"

#define V3_REQUEST_BYTES (1536U * 1024)   /* of a request as protobuf, with what etcd adds to it */
#define V3_REQUEST_FRAME 18               /* that is what it adds: an id and a tag */
#define V3_TRANSPORT_BYTES (2048U * 1024) /* of any message as protobuf */
#define V3_UNREAD_BYTES (4096U * 1024)    /* that a WebSocket brings before it is read here */
#define V3_UNSAID_BYTES (4096U * 1024)    /* of notices for one client that does not read */
#define V3_HALF_BYTES (64U * 1024)        /* of a value that a WebSocket brings in several texts */
#define V3_WATCHERS_MAX 10000 /* of one stream */
#define V3_LEASE_TTL_MAX 9000000000
#define V3_LEASE_TTL_MIN 2  /* as etcd with its own defaults; elections may want more */
#define V3_SESSION_TTL_S 60 /* of leases that lock and election make themselves */
#define V3_SESSION_RENEW_MS 15000

/* ---- errors (v3_error.c) --------------------------------------------------------------------- */

enum v3_error {
    V3_NO_KEY,
    V3_KEY_NOT_FOUND,
    V3_VALUE_PROVIDED,
    V3_LEASE_PROVIDED,
    V3_TOO_MANY_OPS,
    V3_DUPLICATE_KEY,
    V3_REQUEST_TOO_LARGE,
    V3_COMPACTED,
    V3_FUTURE,
    V3_LEASE_NOT_FOUND,
    V3_LEASE_EXISTS,
    V3_TTL_TOO_LARGE,
    V3_MEMBER_NOT_FOUND,
    V3_BAD_URLS,
    V3_PEER_URL_EXISTS,
    V3_NO_LEARNER,
    V3_LEARNER_NOT_READY,
    V3_TOO_MANY_LEARNERS,
    V3_NOT_ENOUGH_MEMBERS,
    V3_TIMED_OUT,
    V3_DEADLINE,
    V3_STOPPED,
    V3_CANCELED,
    V3_UNHEALTHY,
    V3_OVERLOADED,
    V3_NO_SPACE,
    V3_CORRUPT,
    V3_BAD_TRANSFEREE,
    V3_NO_LEADER,
    V3_NOT_LEADER,
    V3_AUTH_NOT_ENABLED,
    V3_NO_ROOT_USER,
    V3_USER_NOT_FOUND,
    V3_ROLE_NOT_FOUND,
    V3_BAD_TOKEN,
    V3_INVALID,
    V3_LOCK_NO_KEY,
    V3_LOCK_NO_LEASE,
    V3_LOCK_EXPIRED,
    V3_ELECTION_NO_LEADER,
    V3_ELECTION_NOT_LEADER,
    V3_ELECTION_NO_FIELD,
    V3_ELECTION_EXPIRED,
};
int v3_error_code(enum v3_error error);
const char *v3_error_text(enum v3_error error);
/* Code and text, in the form of an answer or of a message in a stream. */
void v3_put_error(struct buf *out, bool in_stream, int code, const char *text);
int v3_http_status(int code);
const char *v3_http_text(int status);
/* What a status other than KV_OK, an outcome other than NODE_OK, means. */
enum v3_error v3_error_of_status(enum kv_status status);
enum v3_error v3_error_of_outcome(enum node_outcome outcome);

/* ---- calls (v3.c, v3_node.c)
 * ---------------------------------------------------------------------------- */

struct v3_call;
struct v3_route;
/* The request is decoded (streams: nothing is). */
typedef void v3_handler(struct api *api, struct v3_call *call, uint64_t now_ms);
/* The node's answer to what the call asked it last; outcome is NODE_OK. Borrowed. */
typedef void v3_on_result(struct api *api, struct v3_call *call, const struct node_result *result,
                          uint64_t now_ms);

struct v3_route {
    const char *path;
    const struct v3_message *request;
    v3_handler *handle; /* unary: begins it; stream: reads the next of its text, if it can */
    bool stream;
    bool token; /* a token in the head is looked at */
};

struct v3_call {
    struct api_stream stream; /* first; in use if is_stream */
    uint64_t token;
    const struct v3_route *route;
    struct v3_arena arena;
    const void *request; /* decoded */
    struct buf text;     /* streams and WebSockets: what the client said */
    size_t text_at;      /* read up to here */
    size_t unsaid_bytes; /* watch: of notices that wait to be sent */
    v3_on_result *on_result;
    bool is_stream; /* the answer is a stream, or a WebSocket */
    bool is_socket;
    bool is_streaming_begun; /* its head is on its way */
    bool has_said;           /* and a message of it */
    bool in_node;            /* the node owes a result */
    bool is_write;           /* ... of a write */
    bool is_gone;            /* the client has; waits for the node's result only */
    bool is_leaving;         /* ... which is that of taking it out of its queue */
    bool has_left;
    bool is_over;       /* nothing comes after message */
    bool is_making;     /* the next chunk is being made: nobody needs to be woken */
    bool is_waiting;    /* in v3->waiting */
    struct buf message; /* of a stream: to be sent */
    /* of the handlers */
    uint64_t id; /* a lease */
    uint64_t ttl;
    uint64_t revision;      /* lock: my create revision */
    struct v3_bytes key;    /* lock: mine */
    struct v3_bytes before; /* lock: whose end is awaited */
    uint64_t before_revision;
    uint64_t sent_revision; /* observe: last told; campaign: of the answer */
    floe_id member;
    unsigned tries;
    bool renews; /* lock: the lease is the call's own while it waits */
    void *state; /* of a stream that is made by `make`; owned */
    enum api_made (*make)(struct api *api, struct v3_call *call, struct evbuffer *out,
                          uint64_t now_ms); /* adds the next chunk, or makes the next message */
    void (*free_state)(struct api *api, struct v3_call *call);
    void (*slice)(struct api *api, struct v3_call *call); /* NULL: not in v3->walking */
    size_t slice_bytes; /* that count in v3->walk_bytes */
    v3_handler *on_change; /* waiting: the store has changed */
    UT_hash_handle hh;
    TAILQ_ENTRY(v3_call) next_waiting;
    TAILQ_ENTRY(v3_call) next_walking;
};

struct v3_leftover { /* of a range in order, whose client has gone; to be freed in slices */
    struct kv_sorter *sorter;
    SLIST_ENTRY(v3_leftover) next;
};

struct v3 {
    struct v3_call *calls;         /* uthash */
    TAILQ_HEAD(, v3_call) waiting; /* for the store to change */
    TAILQ_HEAD(, v3_call) walking; /* large ranges, and what else is done in slices */
    SLIST_HEAD(, v3_leftover) leftovers;
    size_t walk_bytes;             /* of their answers so far */
    struct v3_call *walks_on;      /* of them, while that is too much; NULL: any */
    uint64_t seen_end;             /* of the history */
    uint64_t seen_generation;
    uint64_t now_ms;
    uint64_t renew_ms; /* when leases of waiting calls are renewed next */
    bool is_stopped;
    floe_id leader; /* the last one that was known */
    struct v3_counts counts;
};

/* The end of a unary call, which is freed; or the next message of a stream. */
void v3_answer(struct api *api, struct v3_call *call, const struct v3_message *message,
               const void *from);
/* ... that is written already; moved. */
void v3_answer_text(struct api *api, struct v3_call *call, struct buf *text);
/* Likewise; a stream is over then. */
void v3_fail(struct api *api, struct v3_call *call, enum v3_error error);
void v3_fail_text(struct api *api, struct v3_call *call, int code, const char *text);
/* A stream ends after what it has to send. */
void v3_end(struct api *api, struct v3_call *call);
/* Of one whose client has gone, when the node owes it nothing: nobody reads an answer of a stream
 * any more; another one is still owed, to nobody. result: as v3_leave_queue. */
void v3_end_gone(struct api *api, struct v3_call *call, const struct node_result *result,
                 uint64_t now_ms);
/* Its stream has something to say. */
void v3_wake(struct api *api, struct v3_call *call);
/* The head of a stream, which goes out with its first message; that may come later. */
void v3_stream_begin(struct api *api, struct v3_call *call);
/* Of a WebSocket: what has come is the beginning of a value, whose rest may be in the next text. */
bool v3_is_waiting_for_rest(const struct v3_call *call);
/* Decodes the next value of the text of a stream. false: there is none now, or the call ended. */
bool v3_next_value(struct api *api, struct v3_call *call);

/* Whether this member's own disk has no room for growth; its id. */
bool v3_is_short_of_room(struct api *api, floe_id *self);
/* Ask the node; on_result is called when it was done, refusals are answered. */
void v3_write(struct api *api, struct v3_call *call, const struct kv_command *command,
              v3_on_result *on_result, uint64_t now_ms);
void v3_write_op(struct api *api, struct v3_call *call, struct kv_op *op, v3_on_result *on_result,
                 uint64_t now_ms);
void v3_read(struct api *api, struct v3_call *call, v3_on_result *on_result, uint64_t now_ms);
/* The node is being asked for something else. */
void v3_asked(struct api *api, struct v3_call *call, v3_on_result *on_result);
/* on_change is called when the store has changed, until v3_wait_end or the end of the call. */
void v3_wait(struct api *api, struct v3_call *call, v3_handler *on_change);
void v3_wait_end(struct api *api, struct v3_call *call);

/* false: a request that is too large, and the call has ended. */
bool v3_check_size(struct api *api, struct v3_call *call);

/* ---- between the two worlds (v3_convert.c) --------------------------------------------------- */

static inline struct kv_bytes v3_to_kv(struct v3_bytes bytes)
{
    return (struct kv_bytes){bytes.data, bytes.len};
}
static inline struct v3_bytes v3_of_kv(struct kv_bytes bytes)
{
    return (struct v3_bytes){bytes.data, bytes.len};
}
struct kv_keys v3_keys(struct v3_bytes key, struct v3_bytes range_end);
/* revision 0: is left out. In the arena of the call. */
struct v3_response_header *v3_header(struct api *api, struct v3_call *call, uint64_t revision);
/* ... of the store as it is now. */
struct v3_response_header *v3_header_now(struct api *api, struct v3_call *call);
void v3_kv_of_item(const struct kv_item *item, struct v3_key_value *out);
/* Borrowed from the reply. */
struct v3_key_value *v3_kvs(struct v3_arena *arena, const struct kv_reply *reply);
void v3_range_to_kv(const struct v3_range_request *request, struct kv_range *out);
bool v3_sorts_what_is_left(const struct v3_range_request *request);
bool v3_put_to_kv(const struct v3_put_request *request, struct kv_put *out, enum v3_error *error);
/* of header: filled in beforehand. */
void v3_range_of_kv(struct v3_arena *arena, const struct v3_range_request *request,
                    const struct kv_reply *reply, struct v3_range_response *out);

/* ---- large ranges (v3_walk.c) ---------------------------------------------------------------- */

/* Everything but single keys and counts of now. */
bool v3_is_walked(const struct kv *kv, const struct kv_range *range);
void v3_walk_begin(struct api *api, struct v3_call *call, const struct kv_range *range);

/* Calls slice, now and in later turns, until v3_slices_end. The call may be over then. */
void v3_slices_begin(struct api *api, struct v3_call *call,
                     void (*slice)(struct api *api, struct v3_call *call));
void v3_slices_end(struct api *api, struct v3_call *call);
void v3_walk_deinit(struct v3 *v3); /* after all calls are freed */

/* An id of a member was in use once: tries another one. false: that is not it. */
bool v3_member_add_again(struct api *api, struct v3_call *call, uint64_t now_ms);

/* ---- queues of lock and election (v3_lock.c) --------------------------------------------------
 */

bool v3_is_in_queue(const struct v3_call *call);
/* Takes a call out of its queue whose client has gone: asks the node, as often as need be. result:
 * of what it was asked before, or NULL. false: nothing needs to be done, or can. */
bool v3_leave_queue(struct api *api, struct v3_call *call, const struct node_result *result,
                    uint64_t now_ms);

/* ---- handlers -------------------------------------------------------------------------------- */

v3_handler v3_handle_range, v3_handle_put, v3_handle_delete_range, v3_handle_txn,
    v3_handle_compaction;
v3_handler v3_handle_grant, v3_handle_revoke, v3_handle_time_to_live, v3_handle_leases,
    v3_handle_keepalive;
v3_handler v3_handle_member_list, v3_handle_member_add, v3_handle_member_remove,
    v3_handle_member_update, v3_handle_member_promote;
v3_handler v3_handle_watch, v3_handle_snapshot;
v3_handler v3_handle_status, v3_handle_alarm, v3_handle_hash, v3_handle_hash_kv,
    v3_handle_defragment, v3_handle_transfer;
v3_handler v3_handle_lock, v3_handle_unlock, v3_handle_campaign, v3_handle_leader,
    v3_handle_proclaim, v3_handle_resign, v3_handle_observe;
v3_handler v3_handle_auth_off, v3_handle_auth_enable, v3_handle_auth_nothing, v3_handle_auth_status,
    v3_handle_user_missing, v3_handle_role_missing;

#endif
