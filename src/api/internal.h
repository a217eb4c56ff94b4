/*
 * Inside of api: a request is parsed into a target and conditions, a handler either fills the
 * answer at once or notes a pending request whose answer is made from the node's result.
 */
#ifndef API_INTERNAL_H
#define API_INTERNAL_H

#include "api/api.h"
#include "api/json.h"
#include "api/stream.h"

#include <sys/queue.h>
#include <uthash.h>

#define API_REVISION 1             /* "api" of GET /version */
#define API_MEMBER_BODY_BYTES 1024 /* an address is much shorter */

/* ---- a refusal as a value -------------------------------------------------------------------- */

struct api_problem {
    int status;
    const char *code; /* static */
    char text[240];
};
/* Fills *problem; returns false, so that a parser can end with it. */
__attribute__((format(printf, 4, 5))) bool api_problem_set(struct api_problem *problem, int status,
                                                           const char *code, const char *format,
                                                           ...);

/* ---- target (target.c) ----------------------------------------------------------------------- */

enum api_route {
    API_ROUTE_ROOT, /* /KEY: a key, or a member for POST and DELETE */
    API_ROUTE_KV,   /* /kv/KEY: always a key */
    API_ROUTE_HEALTH,
    API_ROUTE_LIVEZ,
    API_ROUTE_READYZ,
    API_ROUTE_STATUS,
    API_ROUTE_VERSION,
    API_ROUTE_RESERVED, /* first segment is ours, but there is nothing (yet) */
};

struct api_target {
    enum api_route route;
    const char *word;  /* the reserved first segment, or NULL; static */
    struct buf key;    /* ROOT, KV: percent-decoded; may be empty */
    const char *query; /* what follows the '?', borrowed from the target; "" = none */
};
/* false: *problem says why; *out need not be given back then. */
bool api_target_parse(const char *target, struct api_target *out, struct api_problem *problem);
void api_target_deinit(struct api_target *target);
/* ?consistency=stale. Parameters that we do not know are ignored. */
bool api_target_is_stale(const char *query, bool *stale, struct api_problem *problem);

/* ---- conditions (condition.c) ---------------------------------------------------------------- */

struct api_tag {
    bool present;
    bool any; /* "*" */
    uint64_t revision;
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

__attribute__((format(printf, 3, 4))) void api_respond_header(struct api_response *out,
                                                              const char *name, const char *format,
                                                              ...);
/* Takes the text out of json. */
void api_respond_json(struct api_response *out, int status, struct api_json *json);
void api_respond_problem(struct api_response *out, const struct api_problem *problem);
void api_respond_method(struct api_response *out, const char *allow);
/* Where in the log the change stands, if the result tells. */
void api_respond_position(struct api_response *out, const struct node_result *result);
void api_respond_condition_failed(struct api_response *out);
void api_respond_key_not_found(struct api_response *out);
/* What an outcome other than NODE_OK means to the client. */
void api_respond_outcome(struct api_response *out, const struct node_result *result);

/* ---- requests -------------------------------------------------------------------------------- */

enum api_pending_kind { API_PENDING_READ, API_PENDING_PUT, API_PENDING_DELETE, API_PENDING_MEMBER };

struct api_pending {
    uint64_t token; /* key */
    enum api_pending_kind kind;
    bool head;
    bool conditional;                 /* PUT, DELETE: a transaction */
    struct buf key;                   /* READ */
    struct api_conditions conditions; /* READ */
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
};

/* One request on its way through a handler. A handler returns true if *out is the answer, false if
 * the node will give one under this token. */
struct api_call {
    uint64_t token;
    uint64_t now_ms;
    const struct api_request *request;
    struct api_target target;
};

/* To be called before the node gets the request. */
struct api_pending *api_pending_add(struct api *api, const struct api_call *call,
                                    enum api_pending_kind kind);
void api_pending_free(struct api *api, struct api_pending *pending);

/* key.c */
bool api_key_handle(struct api *api, struct api_call *call, struct api_response *out);
/* Answers a GET from the store as it is now. */
void api_key_read(const struct api *api, const struct buf *key,
                  const struct api_conditions *conditions, struct api_response *out);
void api_key_written(const struct api_pending *pending, const struct node_result *result,
                     struct api_response *out);
/* member.c: POST and DELETE at the root */
bool api_member_handle(struct api *api, const struct api_call *call, struct api_response *out);
void api_member_changed(const struct node_result *result, struct api_response *out);
/* health.c: health, livez, readyz, status, version */
void api_health_handle(struct api *api, const struct api_call *call, struct api_response *out);

#endif
