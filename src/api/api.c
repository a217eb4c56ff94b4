/*
 * The way of a request: target -> route -> handler, and of its answer: node result -> response.
 * The table of what each path takes is here; what it means is in the handlers' files.
 */
#include "api/internal.h"
#include "base/assert.h"
#include "base/mem.h"

struct api *api_new(struct node *node, const struct api_limits *limits, const struct logger *logger)
{
    struct api *api = mem_calloc(1, sizeof *api);
    api->node = node;
    api->limits = *limits;
    api->logger = logger;
    STAILQ_INIT(&api->ready);
    api_streams_init(&api->streams, limits->stream_bytes);
    return api;
}

static struct api_response take_ready(struct api *api)
{
    struct api_queued *first = STAILQ_FIRST(&api->ready);
    struct api_response response = first->response;
    STAILQ_REMOVE_HEAD(&api->ready, next);
    mem_free(first);
    return response;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    api_streams_deinit(api);
    while (!STAILQ_EMPTY(&api->ready)) {
        struct api_response response = take_ready(api);
        api_response_deinit(&response);
    }
    struct api_pending *pending;
    struct api_pending *next;
    HASH_ITER(hh, api->pending, pending, next)
    api_pending_free(api, pending);
    mem_free(api);
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool is_read(enum api_method method)
{
    return method == API_GET || method == API_HEAD;
}

static bool refuse_reserved(const struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    (void)api_problem_set(&problem, 400, "reserved",
                          "%s is reserved as first path segment; use /kv/KEY for keys that begin "
                          "with it",
                          call->target.word);
    api_respond_problem(out, &problem);
    return true;
}

static bool handle_root(struct api *api, struct api_call *call, struct api_response *out)
{
    enum api_method method = call->request->method;
    if (method == API_POST || method == API_DELETE)
        return api_member_handle(api, call, out);
    if (method == API_PUT || is_read(method))
        return api_key_handle(api, call, out);
    api_respond_method(out, "GET, HEAD, PUT, POST, DELETE");
    return true;
}

static bool handle_kv(struct api *api, struct api_call *call, struct api_response *out)
{
    enum api_method method = call->request->method;
    if (method == API_PUT || method == API_DELETE || is_read(method))
        return api_key_handle(api, call, out);
    api_respond_method(out, "GET, HEAD, PUT, DELETE");
    return true;
}

static bool handle_reserved(struct api *api, struct api_call *call, struct api_response *out)
{
    enum api_method method = call->request->method;
    if (method == API_PUT)
        return refuse_reserved(call, out);
    if (method == API_POST || method == API_DELETE)
        return api_member_handle(api, call, out); /* which says what a member's path looks like */
    if (is_read(method))
        api_error_response(out, 404, "not_found", "there is nothing at this path; keys that begin "
                                                  "with this word are at /kv/KEY");
    else
        api_respond_method(out, "GET, HEAD");
    return true;
}

static bool handle_health(struct api *api, struct api_call *call, struct api_response *out)
{
    enum api_method method = call->request->method;
    if (method == API_PUT)
        return refuse_reserved(call, out);
    if (method == API_POST || method == API_DELETE)
        return api_member_handle(api, call, out); /* at the root they mean a member, always */
    if (is_read(method))
        api_health_handle(api, call, out);
    else
        api_respond_method(out, "GET, HEAD");
    return true;
}

static bool handle(struct api *api, struct api_call *call, struct api_response *out)
{
    switch (call->target.route) {
    case API_ROUTE_ROOT: return handle_root(api, call, out);
    case API_ROUTE_KV: return handle_kv(api, call, out);
    case API_ROUTE_RESERVED: return handle_reserved(api, call, out);
    case API_ROUTE_HEALTH:
    case API_ROUTE_LIVEZ:
    case API_ROUTE_READYZ:
    case API_ROUTE_STATUS:
    case API_ROUTE_VERSION: return handle_health(api, call, out);
    }
    UNREACHABLE("route");
}

void api_handle(struct api *api, uint64_t token, const struct api_request *request, uint64_t now_ms)
{
    struct api_call call = {.token = token, .now_ms = now_ms, .request = request};
    struct api_response response = {.token = token, .head = request->method == API_HEAD};
    struct api_problem problem;
    bool answered = true;
    if (api_target_parse(request->target, &call.target, &problem)) {
        answered = handle(api, &call, &response);
        api_target_deinit(&call.target);
    } else if (request->method == API_OTHER) { /* OPTIONS *, CONNECT host:port */
        api_respond_method(&response, "GET, HEAD, PUT, POST, DELETE");
    } else {
        api_respond_problem(&response, &problem);
    }
    if (!answered)
        return;
    struct api_queued *queued = mem_calloc(1, sizeof *queued);
    queued->response = response;
    STAILQ_INSERT_TAIL(&api->ready, queued, next);
}

/* ---- answers --------------------------------------------------------------------------------- */

void api_response_deinit(struct api_response *response)
{
    if (response->body != NULL)
        evbuffer_free(response->body);
    *response = (struct api_response){0};
}

static void respond_result(const struct api *api, const struct api_pending *pending,
                           const struct node_result *result, struct api_response *out)
{
    switch (pending->kind) {
    case API_PENDING_PUT:
    case API_PENDING_DELETE: api_key_written(pending, result, out); return;
    case API_PENDING_READ:
        if (result->outcome == NODE_OK)
            api_key_read(api, &pending->key, &pending->conditions, out);
        else
            api_respond_outcome(out, result);
        return;
    case API_PENDING_MEMBER: api_member_changed(result, out); return;
    }
}

bool api_next_response(struct api *api, struct api_response *out, uint64_t now_ms)
{
    (void)now_ms;
    if (!STAILQ_EMPTY(&api->ready)) {
        *out = take_ready(api);
        return true;
    }
    struct node_result result;
    if (!node_next_result(api->node, &result))
        return false;
    struct api_pending *pending = NULL;
    HASH_FIND(hh, api->pending, &result.token, sizeof result.token, pending);
    ASSERT_MSG(pending != NULL, "a result without a request, or a second one");
    *out = (struct api_response){.token = result.token, .head = pending->head};
    respond_result(api, pending, &result, out);
    api_pending_free(api, pending);
    kv_result_deinit(&result.kv);
    return true;
}
