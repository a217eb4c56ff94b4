/*
 * The way of a request: target -> route -> handler, and of its answer: node result -> response.
 * The table of what each path takes is here; what it means is in the handlers' files.
 */
#include "api/internal.h"
#include "api/v3.h"
#include "base/assert.h"
#include "base/mem.h"

struct api *api_new(struct node *node, const struct api_limits *limits, const struct logger *logger)
{
    struct api *api = mem_calloc(1, sizeof *api);
    api->node = node;
    api->limits = *limits;
    api->logger = logger;
    api->hub = watch_hub_new(node);
    api->v3 = v3_new();
    STAILQ_INIT(&api->ready);
    api_streams_init(&api->streams, limits->stream_bytes);
    return api;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    api_streams_deinit(api);
    api_events_free(api);
    v3_free(api);
    watch_hub_free(api->hub);
    while (!STAILQ_EMPTY(&api->ready)) {
        struct api_response response = api_take_response(api);
        api_response_deinit(&response);
    }
    struct api_pending *pending;
    struct api_pending *next;
    HASH_ITER(hh, api->pending, pending, next)
    {
        HASH_DEL(api->pending, pending);
        api_pending_free(pending);
    }
    mem_free(api);
}

/* ---- requests -------------------------------------------------------------------------------- */

void api_handle(struct api *api, uint64_t token, const struct api_request *request, uint64_t now_ms)
{
    struct api_call call = {.token = token, .now_ms = now_ms, .request = request};
    struct api_response response = {.token = token, .head = request->method == API_HEAD};
    struct api_problem problem;
    bool answered = true;
    if (api_target_parse(request->target, &call.target, &problem)) {
        if (call.target.route == API_ROUTE_V3 && call.target.has_rest) {
            v3_handle(api, token, request, buf_str(&call.target.key), now_ms);
            answered = false;
        } else {
            answered = api_routes_handle(api, &call, &response);
        }
        api_target_deinit(&call.target);
    } else if (request->method >= API_OPTIONS) { /* OPTIONS *, CONNECT host:port */
        api_respond_method(&response, "GET, HEAD, PUT, POST, DELETE");
    } else {
        api_refusal_response(&response, request->target, problem.status, problem.code,
                             problem.text);
    }
    if (answered)
        api_queue_response(api, &response);
}

bool api_wants_gone(const struct api *api, uint64_t token)
{
    return v3_wants_gone(api->v3, token);
}

void api_gone(struct api *api, uint64_t token, uint64_t now_ms)
{
    v3_gone(api, token, now_ms);
}

/* ---- answers --------------------------------------------------------------------------------- */

void api_response_deinit(struct api_response *response)
{
    if (response->body != NULL)
        evbuffer_free(response->body);
    *response = (struct api_response){0};
}

bool api_next_response(struct api *api, struct api_response *out, uint64_t now_ms)
{
    v3_turn(api, now_ms);
    if (!STAILQ_EMPTY(&api->ready)) {
        *out = api_take_response(api);
        return true;
    }
    struct node_result result;
    bool answered = false;
    while (!answered && node_next_result(api->node, &result)) {
        if (v3_result(api, &result, now_ms)) {
            answered = !STAILQ_EMPTY(&api->ready);
            if (answered)
                *out = api_take_response(api);
            continue;
        }
        struct api_pending *pending = NULL;
        HASH_FIND(hh, api->pending, &result.token, sizeof result.token, pending);
        ASSERT_MSG(pending != NULL, "a result without a request, or a second one");
        HASH_DEL(api->pending, pending); /* it may ask the node again under this token */
        *out = (struct api_response){.token = result.token, .head = pending->head};
        pending->now_ms = now_ms;
        answered = pending->done(api, pending, &result, out);
        if (!answered && !STAILQ_EMPTY(&api->ready)) { /* asked again, and refused at once */
            answered = true;
            *out = api_take_response(api);
        }
        api_pending_free(pending);
        kv_result_deinit(&result.kv);
    }
    if (!answered && v3_has_work(api->v3)) {
        v3_walk_turn(api);
        answered = !STAILQ_EMPTY(&api->ready);
        if (answered)
            *out = api_take_response(api);
    }
    return answered;
}

/* ---- streams --------------------------------------------------------------------------------- */

bool api_next_chunk(struct api *api, struct api_chunk *out, uint64_t now_ms)
{
    watch_turn(api->hub, now_ms);
    api_events_turn(api, now_ms);
    return api_streams_next(api, out, now_ms);
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

uint64_t api_next_deadline_ms(const struct api *api)
{
    if (v3_has_work(api->v3))
        return 0;
    uint64_t sources_ms = earlier(watch_deadline_ms(api->hub), api_events_deadline_ms(api));
    return earlier(api_streams_deadline_ms(api), sources_ms);
}
