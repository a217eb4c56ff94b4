/*
 * etcd's v3 API as its JSON gateway speaks it (3.4): /v3, and /v3beta and /v3alpha as other names.
 * Requests and answers are messages of v3_messages.h; what they mean is told to the node in its own
 * terms.
 */
#ifndef API_V3_H
#define API_V3_H

#include "api/api.h"

#define V3_SERVER_VERSION "3.4.23" /* whose behaviour this is; clients choose their ways by it */
#define V3_CLUSTER_VERSION "3.4.0"

struct v3;

struct v3 *v3_new(void);
void v3_free(struct api *api); /* of api->v3 */
/* path: decoded, what follows "/v3/" ("" for /v3 itself). Answers through api_queue_response, now
 * or later. */
void v3_handle(struct api *api, uint64_t token, const struct api_request *request, const char *path,
               uint64_t now_ms);
/* What the server itself refuses. */
void v3_refusal_response(struct api_response *out, int status, const char *text);
/* false: the token is not of a call of v3. Otherwise takes what result owns. */
bool v3_result(struct api *api, struct node_result *result, uint64_t now_ms);
/* See api_wants_gone. */
bool v3_wants_gone(const struct v3 *v3, uint64_t token);
void v3_gone(struct api *api, uint64_t token, uint64_t now_ms);
/* Once a turn, after node_pump: answers what waits for keys to change. */
void v3_turn(struct api *api, uint64_t now_ms);

/* Once a turn, when nothing else is left to be answered: goes on with large ranges. */
void v3_walk_turn(struct api *api);
bool v3_has_work(const struct v3 *v3); /* v3_walk_turn has */

/* What GET /metrics tells of requests. */
struct v3_counts {
    uint64_t puts;
    uint64_t deletes;
    uint64_t ranges;
    uint64_t txns;
    uint64_t failed; /* proposals that came to nothing */
    uint64_t pending;
    uint64_t leader_changes;
    uint64_t watchers;
};
struct v3_counts v3_counts(const struct v3 *v3);

#endif
