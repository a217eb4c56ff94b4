/*
 * A call's way: path -> route -> its request decoded -> handler -> (the node, perhaps more than
 * once) -> an answer. A call is in the node at most once at a time, under the request's token.
 */
#include "api/v3_route.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct v3 *v3_new(void)
{
    struct v3 *v3 = mem_calloc(1, sizeof *v3);
    TAILQ_INIT(&v3->waiting);
    TAILQ_INIT(&v3->walking);
    return v3;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct v3_call *call_new(struct api *api, uint64_t token, const struct v3_route *route)
{
    struct v3_call *call = mem_calloc(1, sizeof *call);
    call->token = token;
    call->route = route;
    call->is_stream = route->stream;
    HASH_ADD(hh, api->v3->calls, token, sizeof call->token, call);
    return call;
}

static void call_free(struct api *api, struct v3_call *call)
{
    v3_wait_end(api, call);
    if (call->state != NULL)
        call->free_state(api, call);
    HASH_DEL(api->v3->calls, call);
    v3_arena_deinit(&call->arena);
    buf_deinit(&call->text);
    buf_deinit(&call->message);
    mem_free(call);
}

void v3_free(struct api *api)
{
    struct v3_call *call;
    struct v3_call *next;
    HASH_ITER(hh, api->v3->calls, call, next)
    call_free(api, call);
    v3_walk_deinit(api->v3);
    mem_free(api->v3);
    api->v3 = NULL;
}

struct v3_counts v3_counts(const struct v3 *v3)
{
    struct v3_counts counts = v3->counts;
    counts.pending = 0;
    for (const struct v3_call *call = v3->calls; call != NULL; call = call->hh.next)
        counts.pending += call->in_node;
    return counts;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void respond_text(struct api *api, uint64_t token, int status, const char *type,
                         struct buf *text)
{
    struct api_response response = {.token = token, .status = status};
    api_respond_header(&response, "Content-Type", "%s", type);
    api_respond_text(&response, text);
    api_queue_response(api, &response);
}

static void respond_plain(struct api *api, uint64_t token, int status, const char *what)
{
    struct buf text = {0};
    buf_add(&text, what, strlen(what));
    respond_text(api, token, status, "text/plain; charset=utf-8", &text);
}

static enum api_made stream_next(struct api *api, struct api_stream *stream, struct evbuffer *out,
                                 size_t room, uint64_t now_ms);
static bool stream_input(struct api *api, struct api_stream *stream, const uint8_t *text,
                         size_t len, uint64_t now_ms);
static void stream_free(struct api *api, struct api_stream *stream);
static void stream_farewell(struct api_stream *stream, enum api_leaving why, struct evbuffer *out);

static const struct api_stream_ops stream_ops = {stream_next, stream_input, stream_free,
                                                 stream_farewell};

void v3_stream_begin(struct api *api, struct v3_call *call)
{
    if (call->is_streaming_begun)
        return;
    call->is_streaming_begun = true;
    struct api_response response = {.token = call->token, .status = 200};
    if (call->is_socket) {
        response.status = 101;
        response.websocket = true;
    } else {
        response.stream = true;
        api_respond_header(&response, "Content-Type", "application/json");
    }
    api_queue_response(api, &response);
    api_stream_add(api, &call->stream, call->token, &stream_ops, api->v3->now_ms);
}

/* text: of the call's answer, or a message of its stream; moved. */
static void send_text(struct api *api, struct v3_call *call, int status, struct buf *text)
{
    if (!call->is_stream) {
        respond_text(api, call->token, status, "application/json", text);
        call_free(api, call);
        return;
    }
    ASSERT_MSG(call->message.len == 0, "a message while the last one was not sent");
    buf_deinit(&call->message);
    call->message = *text;
    *text = (struct buf){0};
    call->is_over = call->is_over || !call->route->stream;
    v3_stream_begin(api, call);
    v3_wake(api, call);
}

void v3_answer_text(struct api *api, struct v3_call *call, struct buf *text)
{
    send_text(api, call, 200, text);
}

void v3_answer(struct api *api, struct v3_call *call, const struct v3_message *message,
               const void *from)
{
    struct buf text = {0};
    bool wrapped = call->route->stream;
    if (wrapped)
        buf_add(&text, "{\"result\":", 10);
    v3_encode(&text, message, from);
    if (wrapped)
        buf_add_u8(&text, '}');
    if (wrapped)
        v3_arena_deinit(&call->arena); /* a stream may be long */
    send_text(api, call, 200, &text);
}

/* A stream that has not begun answers as a unary call, but for what the server itself refuses. */
void v3_fail_text(struct api *api, struct v3_call *call, int code, const char *text)
{
    struct buf out = {0};
    bool unavailable = code == 14;
    bool has_begun = call->is_socket ? call->has_said : call->is_streaming_begun;
    v3_put_error(&out, call->route->stream && (has_begun || unavailable), code, text);
    call->is_over = true;
    if (call->is_stream && !call->is_streaming_begun)
        call->is_stream = false;
    send_text(api, call, v3_http_status(code), &out);
}

void v3_fail(struct api *api, struct v3_call *call, enum v3_error error)
{
    v3_fail_text(api, call, v3_error_code(error), v3_error_text(error));
}

void v3_wake(struct api *api, struct v3_call *call)
{
    if (!call->is_making)
        api_stream_wake(api, &call->stream);
}

void v3_end(struct api *api, struct v3_call *call)
{
    call->is_over = true;
    v3_stream_begin(api, call);
    v3_wake(api, call);
}

/* ---- streams --------------------------------------------------------------------------------- */

static enum api_made next_chunk(struct api *api, struct v3_call *call, struct evbuffer *out,
                                uint64_t now_ms)
{
    if (call->message.len == 0 && call->make != NULL && !call->is_over)
        return call->make(api, call, out, now_ms);
    if (call->message.len == 0)
        return call->is_over ? API_MADE_LAST : API_MADE_NOTHING;
    if (!call->is_socket && !(call->is_over && call->route->stream))
        buf_add_u8(&call->message, '\n'); /* in the same chunk: some read a chunk as one message */
    ASSERT(evbuffer_add(out, call->message.data, call->message.len) == 0);
    buf_clear(&call->message);
    if (call->is_over)
        return API_MADE_LAST;
    if (call->is_waiting && !call->in_node)
        call->on_change(api, call, now_ms);
    else if (!call->in_node && call->make == NULL)
        call->route->handle(api, call, now_ms);
    bool more = call->message.len > 0 || call->is_over || call->make != NULL;
    return more ? API_MADE_CHUNK : API_MADE_ALL;
}

static enum api_made stream_next(struct api *api, struct api_stream *stream, struct evbuffer *out,
                                 size_t room, uint64_t now_ms)
{
    (void)room;
    struct v3_call *call = (struct v3_call *)stream;
    api->v3->now_ms = now_ms;
    call->is_making = true;
    enum api_made made = next_chunk(api, call, out, now_ms);
    call->is_making = false;
    call->has_said = call->has_said || (made != API_MADE_NOTHING && made != API_MADE_LATER);
    return made;
}

static void begin_unary(struct api *api, struct v3_call *call, const char *text, size_t len,
                        uint64_t now_ms);

/* Room for what is to be read, by giving up what was. */
static void shift_text(struct v3_call *call)
{
    size_t rest = call->text.len - call->text_at;
    if (rest > call->text_at) /* moved at most as often as it is read */
        return;
    if (rest > 0)
        memcpy(call->text.data, call->text.data + call->text_at, rest);
    call->text.len = rest;
    call->text_at = 0;
}

static bool stream_input(struct api *api, struct api_stream *stream, const uint8_t *text,
                         size_t len, uint64_t now_ms)
{
    struct v3_call *call = (struct v3_call *)stream;
    if (call->is_over)
        return true;
    if (!call->route->stream) {
        if (call->request == NULL)
            begin_unary(api, call, (const char *)text, len, now_ms);
        return true;
    }
    bool observes =
        call->route->handle == v3_handle_observe; /* one request, whose name is in text */
    if (observes && (call->in_node || call->is_waiting))
        return true;
    shift_text(call);
    if (call->text.len + len > V3_UNREAD_BYTES)
        return false;
    buf_add(&call->text, text, len);
    if (call->message.len == 0 && !call->in_node && !call->is_waiting)
        call->route->handle(api, call, now_ms);
    return call->unsaid_bytes <= V3_UNSAID_BYTES;
}

void v3_end_gone(struct api *api, struct v3_call *call, const struct node_result *result,
                 uint64_t now_ms)
{
    if (v3_is_in_queue(call) && v3_leave_queue(api, call, result, now_ms))
        return;
    if (call->is_stream)
        call_free(api, call);
    else
        v3_fail(api, call, V3_CANCELED);
}

static void gone(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    v3_wait_end(api, call);
    call->is_gone = true;
    if (!call->in_node)
        v3_end_gone(api, call, NULL, now_ms);
}

static void stream_free(struct api *api, struct api_stream *stream)
{
    gone(api, (struct v3_call *)stream, api->v3->now_ms);
}

static void stream_farewell(struct api_stream *stream, enum api_leaving why, struct evbuffer *out)
{
    enum v3_error error = why == API_WE_LEAVE ? V3_STOPPED : V3_CANCELED;
    struct v3_call *call = (struct v3_call *)stream;
    struct buf text = {0};
    v3_put_error(&text, true, v3_error_code(error), v3_error_text(error));
    if (!call->is_over)
        ASSERT(evbuffer_add(out, text.data, text.len) == 0);
    buf_deinit(&text);
}

bool v3_wants_gone(const struct v3 *v3, uint64_t token)
{
    struct v3_call *call = NULL;
    HASH_FIND(hh, v3->calls, &token, sizeof token, call);
    return call != NULL && !call->is_stream && !call->is_gone && v3_is_in_queue(call);
}

void v3_gone(struct api *api, uint64_t token, uint64_t now_ms)
{
    struct v3_call *call = NULL;
    HASH_FIND(hh, api->v3->calls, &token, sizeof token, call);
    ASSERT_MSG(call != NULL && !call->is_gone, "a client that has gone already");
    gone(api, call, now_ms);
}

bool v3_is_waiting_for_rest(const struct v3_call *call)
{
    size_t len = call->text.len - call->text_at;
    return call->is_socket && len <= V3_HALF_BYTES &&
           v3_is_half((const char *)call->text.data + call->text_at, len);
}

/* A stream of answers to one request, which is read as that of a unary call. */
static bool has_one_request(const struct v3_call *call)
{
    return call->route->handle == v3_handle_observe || call->route->handle == v3_handle_snapshot;
}

bool v3_next_value(struct api *api, struct v3_call *call)
{
    char why[V3_WHY_BYTES];
    size_t used = 0;
    void *request = NULL;
    v3_arena_deinit(&call->arena);
    call->request = NULL;
    if (v3_is_waiting_for_rest(call))
        return false;
    enum err err = v3_decode(call->route->request, (const char *)call->text.data + call->text_at,
                             call->text.len - call->text_at, &used, &call->arena, &request, why);
    bool is_single = has_one_request(call);
    if (err == ERR_SHORT && is_single && !call->is_socket) { /* no body is an empty object */
        request = v3_arena_alloc(&call->arena, 1, call->route->request->size);
        err = ERR_OK;
    }
    if (err == ERR_OK) {
        call->text_at += used;
        call->request = request;
        return true;
    }
    bool first =
        call->text_at == 0 || call->is_socket; /* what follows is passed over, as by etcd */
    call->text_at = call->text.len;
    if (err == ERR_INVALID && first)
        v3_fail_text(api, call, is_single ? 3 : 2, why);
    else if (!call->is_socket)
        v3_end(api, call);
    return false;
}

/* ---- requests -------------------------------------------------------------------------------- */

bool v3_check_size(struct api *api, struct v3_call *call)
{
    if (v3_protobuf_size(call->route->request, call->request) + V3_REQUEST_FRAME <=
        V3_REQUEST_BYTES)
        return true;
    v3_fail(api, call, V3_REQUEST_TOO_LARGE);
    return false;
}

static bool check_transport(struct api *api, struct v3_call *call)
{
    size_t size = v3_protobuf_size(call->route->request, call->request);
    if (size <= V3_TRANSPORT_BYTES)
        return true;
    char text[96];
    (void)snprintf(text, sizeof text, "grpc: received message larger than max (%zu vs. %u)", size,
                   V3_TRANSPORT_BYTES);
    v3_fail_text(api, call, 8, text);
    return false;
}

/* What follows the first value of text is passed over. */
static void begin_unary(struct api *api, struct v3_call *call, const char *text, size_t len,
                        uint64_t now_ms)
{
    char why[V3_WHY_BYTES];
    size_t used = 0;
    void *request = NULL;
    enum err err = v3_decode(call->route->request, text, len, &used, &call->arena, &request, why);
    if (err == ERR_SHORT) { /* no body is an empty object */
        request = v3_arena_alloc(&call->arena, 1, call->route->request->size);
    } else if (err != ERR_OK) {
        v3_fail_text(api, call, 3, why);
        return;
    }
    call->request = request;
    if (check_transport(api, call))
        call->route->handle(api, call, now_ms);
}

/* NULL: it is not there. */
static const char *find_header(const struct api_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    }
    return NULL;
}

static bool is_upgrade(const struct api_request *request)
{
    const char *protocol = find_header(request, "Upgrade");
    return request->method == API_GET && protocol != NULL && strcasecmp(protocol, "websocket") == 0;
}

/* There are no users, so whoever shows a token shows a wrong one. */
static bool has_token(const struct api_request *request)
{
    return find_header(request, "Authorization") != NULL ||
           find_header(request, "Grpc-Metadata-Token") != NULL;
}

/* Grpc-Timeout is a number and a unit. It is only looked at: our own time-out is short. */
static bool check_timeout(struct api *api, struct v3_call *call, const struct api_request *request)
{
    const char *value = find_header(request, "Grpc-Timeout");
    uint64_t number;
    size_t len = value != NULL ? strlen(value) : 0;
    if (len == 0 || (len > 1 && strchr("HMSmun", value[len - 1]) != NULL &&
                     parse_u64(value, len - 1, &number) == ERR_OK))
        return true;
    char text[80];
    (void)snprintf(text, sizeof text, "invalid grpc-timeout: %.40s", value);
    v3_fail_text(api, call, 3, text);
    return false;
}

static void handle_post(struct api *api, struct v3_call *call, const struct api_request *request,
                        uint64_t now_ms)
{
    size_t len = request->body != NULL ? evbuffer_get_length(request->body) : 0;
    const char *text = len > 0 ? (const char *)evbuffer_pullup(request->body, -1) : "";
    ASSERT_MSG(text != NULL, "out of memory");
    if (call->route->stream) {
        buf_add(&call->text, text, len);
        call->route->handle(api, call, now_ms);
    } else {
        begin_unary(api, call, text, len, now_ms);
    }
}

void v3_handle(struct api *api, uint64_t token, const struct api_request *request, const char *path,
               uint64_t now_ms)
{
    const struct v3_route *route = v3_route_find(path);
    api->v3->now_ms = now_ms;
    bool upgrade = is_upgrade(request);
    if (request->method == API_OPTIONS) { /* a browser asks before it posts */
        respond_plain(api, token, 200, "");
    } else if (route == NULL) {
        respond_plain(api, token, 404, "Not Found\n");
    } else if (request->method != API_POST && !upgrade) {
        respond_plain(api, token, 405, "Method Not Allowed\n");
    } else {
        struct v3_call *call = call_new(api, token, route);
        if (route->token && has_token(request)) {
            v3_fail(api, call, V3_BAD_TOKEN);
        } else if (!check_timeout(api, call, request)) {
            return;
        } else if (upgrade) {
            call->is_socket = call->is_stream = true;
            v3_stream_begin(api, call);
        } else {
            handle_post(api, call, request, now_ms);
        }
    }
}
