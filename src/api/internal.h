/*
 * Inside of api: a request is parsed into a target and conditions, a handler either fills the
 * answer at once or notes a pending request whose answer is made from the node's result.
 */
#ifndef API_INTERNAL_H
#define API_INTERNAL_H

#include "api/api.h"
#include "api/json.h"
#include "api/params.h"
#include "api/stream.h"
#include "api/watch.h"

#include <sys/queue.h>
#include <uthash.h>

#define API_REVISION 1                     /* "api" of GET /version */
#define API_TTL_MAX_S UINT64_C(9000000000) /* as etcd */
#define API_LEASES_PAGE 1000 /* at most, of a listing */
#define API_MEMBER_BODY_BYTES 1024         /* an address is much shorter */

/* ---- a refusal as a value -------------------------------------------------------------------- */

struct api_problem {
    int status;
    const char *code; /* static */
    char text[240];
};
/* Fills *problem; returns false, so that a parser can end with it. */
__attribute__((format(printf, 4, 5))) bool
api_problem_set(struct api_problem *problem, int status, const char *code, const char *format, ...);

/* ---- target (target.c) ----------------------------------------------------------------------- */

enum api_route {
    API_ROUTE_ROOT,     /* /KEY: a key, or a member for POST and DELETE */
    API_ROUTE_KV,       /* /kv/KEY: always a key */
    API_ROUTE_TABLE,    /* a word of the table in routes.c */
    API_ROUTE_V3,       /* etcd's paths */
    API_ROUTE_RESERVED, /* first segment is ours, but there is nothing (yet) */
};

struct api_target {
    enum api_route route;
    const char *word;  /* the reserved first segment, or NULL; static */
    struct buf key;    /* ROOT, KV: percent-decoded; may be empty. TABLE, V3: what follows the word
                        * and its '/', likewise */
    bool has_rest;     /* TABLE, V3: there is a '/' behind the word */
    const char *query; /* what follows the '?', borrowed from the target; "" = none */
};
/* false: *problem says why; *out need not be given back then. */
bool api_target_parse(const char *target, struct api_target *out, struct api_problem *problem);
void api_target_deinit(struct api_target *target);
/* Whether it is a path of etcd's. */
bool api_target_is_v3(const char *target);
bool api_percent_decode(const char *text, size_t len, struct buf *out);
/* ?consistency=stale. Which parameters a route knows is not looked at here. */
bool api_target_is_stale(const char *query, bool *stale, struct api_problem *problem);

/* ---- conditions (condition.c) ---------------------------------------------------------------- */

#define API_TAGS_MAX 16
struct api_tag {
    bool present;
    bool any;      /* "*" */
    bool is_plain; /* "*" or one strong tag of ours: all that a write takes */
    size_t count;  /* other people's tags, which never match, are left out */
    uint64_t revisions[API_TAGS_MAX];
};
struct api_conditions {
    struct api_tag if_match;
    struct api_tag if_none_match;
};
bool api_conditions_parse(const struct api_request *request, struct api_conditions *out,
                          struct api_problem *problem);
#define API_COMPARES_MAX 2
/* What a write can ask for, as compares of its key; *count 0: nothing. If-None-Match: * only if
 * may_be_absent (PUT). */
bool api_conditions_for_write(const struct api_conditions *conditions, bool may_be_absent,
                              struct kv_compare *compares, size_t *count,
                              struct api_problem *problem);
bool api_tag_matches(const struct api_tag *tag, uint64_t mod_revision);

/* ---- answers (respond.c) --------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) void
api_respond_header(struct api_response *out, const char *name, const char *format, ...);
/* The text becomes the body. Moved. */
void api_respond_text(struct api_response *out, struct buf *text);
/* Takes the text out of json. */
void api_respond_json(struct api_response *out, int status, struct api_json *json);
void api_respond_problem(struct api_response *out, const struct api_problem *problem);
void api_respond_method(struct api_response *out, const char *allow);
/* Where in the log the change stands, if the result tells. */
void api_respond_position(struct api_response *out, const struct node_result *result);
void api_respond_condition_failed(struct api_response *out);
void api_respond_key_not_found(struct api_response *out);
/* What a status other than KV_OK and KV_REPEATED means; kv for the revisions in the text. */
void api_respond_kv_status(struct api_response *out, enum kv_status status, const struct kv *kv);
void api_kv_problem(struct api_problem *problem, enum kv_status status, const struct kv *kv);
/* X-Floe-Revision, and where in the log it stands. */
void api_respond_written(struct api_response *out, const struct node_result *result);
/* How old what is answered may be; UINT64_MAX: not known. */
void api_respond_age(struct api_response *out, uint64_t age_ms);
/* Another Content-Type for what api_respond_json has made. */
void api_respond_retype(struct api_response *out, const char *content_type);
/* A response whose body is streamed: 200 and its type. */
void api_respond_stream(struct api_response *out, const char *content_type);
/* What an outcome other than NODE_OK means to the client. */
void api_respond_outcome(struct api_response *out, const struct node_result *result);

/* ---- requests -------------------------------------------------------------------------------- */

struct api_pending;
/* Makes the answer of a request from the node's result; may move things out of both. false: there
 * is none yet, since the node was asked again. */
typedef bool (*api_done_fn)(struct api *api, struct api_pending *pending,
                            struct node_result *result, struct api_response *out);

/* What a handler keeps until then; each uses what it needs. */
struct api_pending {
    uint64_t token;  /* key */
    uint64_t now_ms; /* when it came; of the answer, when that is made */
    api_done_fn done;
    bool head;
    bool is_put;
    bool conditional; /* a transaction with compares */
    struct buf key;
    struct buf ticket;
    struct api_conditions conditions;
    uint64_t number; /* a revision, a lease, an id */
    uint64_t limit;  /* of a page */
    void *state;     /* owned; free_state gives it back unless done has taken it */
    void (*free_state)(void *state);
    UT_hash_handle hh;
};

struct api_queued {
    struct api_response response;
    STAILQ_ENTRY(api_queued) next;
};

struct api {
    struct node *node;
    struct api_limits limits;
    const struct logger *logger;
    struct api_pending *pending; /* uthash */
    STAILQ_HEAD(, api_queued) ready;
    struct api_streams streams;
    struct watch_hub *hub;
    struct v3 *v3; /* etcd's API (v3.h) */
    struct api_events *events; /* events.c */
    size_t bulk_bytes;         /* of bodies that are worked off */
};

/* One request on its way through a handler. A handler returns true if *out is the answer, false if
 * the node will give one under this token. */
struct api_call {
    uint64_t token;
    uint64_t now_ms;
    const struct api_request *request;
    struct api_target target;
    const char *part; /* TABLE: what stands for {x} in the path; borrowed */
    size_t part_len;
};

/* To be called before the node gets the request. */
struct api_pending *api_pending_add(struct api *api, const struct api_call *call, api_done_fn done);
void api_pending_free(struct api_pending *pending); /* no longer in the table */
/* node_write for a request that pends, unless a raised alarm forbids it: then it is refused. */
void api_write(struct api *api, uint64_t token, const struct kv_command *command, bool wants_result,
               uint64_t now_ms);
/* The kind of alarm that forbids the command; 0: none does. */
enum kv_alarm_kind api_forbidden_by(const struct api *api, const struct kv_command *command);
/* Puts an answer into the queue. Moved. */
void api_queue_response(struct api *api, const struct api_response *response);
/* The first of the queue, which is not empty. Owned by caller. */
struct api_response api_take_response(struct api *api);

/* ---- handlers: true if *out is the answer, false if it will come from the node ----------------
 */

/* key.c */
bool api_key_handle(struct api *api, struct api_call *call, struct api_response *out);
bool api_key_check(const struct api *api, size_t len, struct api_problem *problem);
bool api_value_check(const struct api *api, size_t len, struct api_problem *problem);
/* range.c: GET and DELETE of /kv/?prefix= */
bool api_range_handle(struct api *api, struct api_call *call, struct api_response *out);
bool api_range_delete(struct api *api, struct api_call *call, struct api_response *out);
/* item.c */
bool api_accepts_lines(const struct api_request *request); /* NDJSON */
void api_put_item(struct api_json *json, const struct kv_item *item, bool keys_only);
/* watch_rest.c: GET with ?watch. *keys is moved. */
bool api_watch_handle(struct api *api, struct api_call *call, const struct api_params *params,
                      struct api_keys *keys, struct api_response *out);
/* bulk.c */
bool api_bulk_handle(struct api *api, struct api_call *call, struct api_response *out);
/* txn.c */
bool api_txn_handle(struct api *api, struct api_call *call, struct api_response *out);
/* ticket.c: GET /tx/X, and the header Idempotency-Key */
bool api_ticket_handle(struct api *api, struct api_call *call, struct api_response *out);
#define API_TICKET_MAX 120 /* room for what bulk adds */
bool api_ticket_of(const struct api_request *request, struct kv_bytes *out,
                   struct api_problem *problem);
/* Of the request, for kv_command.fingerprint. Its body is put in one piece. */
uint64_t api_fingerprint(const struct api_call *call);
/* A result whose status is KV_REPEATED becomes that of the first time, as far as it is known. */
struct api_replay {
    bool is_known;
    enum kv_status status;
    bool succeeded;
    uint64_t revision;
};
struct api_replay api_ticket_replay(const struct api *api, const struct buf *ticket,
                                    const struct node_result *result);
/* lease.c */
bool api_leases_list(struct api *api, struct api_call *call, struct api_response *out);
bool api_lease_grant(struct api *api, struct api_call *call, struct api_response *out);
bool api_lease_get(struct api *api, struct api_call *call, struct api_response *out);
bool api_lease_renew(struct api *api, struct api_call *call, struct api_response *out);
bool api_lease_revoke(struct api *api, struct api_call *call, struct api_response *out);
/* member.c: POST and DELETE at the root */
bool api_member_handle(struct api *api, struct api_call *call, struct api_response *out);
bool api_member_changed(struct api *api, struct api_pending *pending, struct node_result *result,
                        struct api_response *out);
/* canonical has ADDR_TEXT_MAX bytes. */
bool api_address_parse(const char *text, size_t len, char *canonical, struct api_problem *problem);
/* cluster.c: /members, /leader */
bool api_members_list(struct api *api, struct api_call *call, struct api_response *out);
bool api_members_add(struct api *api, struct api_call *call, struct api_response *out);
bool api_members_remove(struct api *api, struct api_call *call, struct api_response *out);
bool api_members_update(struct api *api, struct api_call *call, struct api_response *out);
bool api_members_promote(struct api *api, struct api_call *call, struct api_response *out);
bool api_leader_set(struct api *api, struct api_call *call, struct api_response *out);
void api_put_members(struct api_json *json, const struct node_status *status);
/* events.c: /events */
bool api_events_handle(struct api *api, struct api_call *call, struct api_response *out);
void api_events_turn(struct api *api, uint64_t now_ms);
uint64_t api_events_deadline_ms(const struct api *api); /* UINT64_MAX: nobody listens */
void api_events_free(struct api *api);
/* health.c: health, livez, readyz, status, version */
bool api_health_get(struct api *api, struct api_call *call, struct api_response *out);
bool api_livez_get(struct api *api, struct api_call *call, struct api_response *out);
bool api_readyz_get(struct api *api, struct api_call *call, struct api_response *out);
bool api_status_get(struct api *api, struct api_call *call, struct api_response *out);
bool api_version_get(struct api *api, struct api_call *call, struct api_response *out);
/* limits.c */
bool api_limits_get(struct api *api, struct api_call *call, struct api_response *out);
/* metrics.c */
bool api_metrics_get(struct api *api, struct api_call *call, struct api_response *out);
/* openapi.c */
bool api_openapi_get(struct api *api, struct api_call *call, struct api_response *out);

/* ---- the table of all routes (routes.c) -------------------------------------------------------
 */

struct api_endpoint {
    const char *word;    /* first segment; NULL: the root forms, "kv": keys */
    const char *pattern; /* of the rest; NULL: there is none. "{x}" stands for one segment */
    enum api_method method;
    bool (*handle)(struct api *api, struct api_call *call, struct api_response *out);
    const char *path;   /* as OpenAPI writes it */
    const char *params; /* query parameters and headers, parted by blanks: api_params_next; "*":
                         * any query, which is not looked at */
    const char *body;   /* content type of the request's body; NULL: none */
    const char *answer; /* status and content type of a good answer: "200 application/json" */
    const char *summary;
};
extern const struct api_endpoint api_endpoints[];
extern const size_t api_endpoint_count;
/* One of them. Headers begin with a capital letter; "+x" goes only together with watch, "-x" only
 * without. */
struct api_param_word {
    const char *name;
    size_t len;
    bool is_header;
    enum { API_PARAM_ALWAYS, API_PARAM_WITH_WATCH, API_PARAM_WITHOUT_WATCH } when;
};
/* From where to go on; NULL: there is none, and *out stays as it is. */
const char *api_params_next(const char *params, struct api_param_word *out);
bool api_routes_handle(struct api *api, struct api_call *call, struct api_response *out);
/* The word as it stands in the table, or NULL; not for "kv". */
const char *api_route_word(const char *word, size_t len);

#endif
