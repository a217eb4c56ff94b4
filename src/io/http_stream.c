/* Streams as evhttp's chunked answers (HTTP/1.1), as answers that end with the connection (1.0),
 * and as WebSockets, whose bufferevent is taken from evhttp. */
#include "io/http_stream.h"
#include "base/assert.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/http_answer.h"
#include "io/http_check.h"
#include "io/websocket.h"

#include <event2/buffer.h>
#include <event2/http_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define INPUT_BYTES (64u << 10)  /* that a client may send ahead */
#define OUTPUT_BYTES (64u << 10) /* over it pings are not answered */
#define UNSENT_BYTES (64u << 10) /* that the system may hold besides what is on its way */
#define CLOSE_MS 2000            /* for the other side to close a WebSocket, too */

struct http_stream {
    uint64_t token; /* key */
    struct http_streams *owner;
    struct evhttp_request *request;
    struct http_conn *conn;
    struct api_response head; /* until head_sent */
    bool head_sent;
    bool is_websocket;
    bool is_told;       /* api knows that it is over, or has ended it */
    bool has_closed;    /* WebSocket: our close frame is out: nothing may follow */
    bool peer_closed;   /* WebSocket: theirs has come */
    uint64_t heard_ms;  /* WebSocket: a byte has come */
    uint64_t pinged_ms; /* WebSocket: we sent a ping */
    uint64_t end_ms;    /* WebSocket: to be ended then; 0 = open */
    struct websocket ws;
    TAILQ_ENTRY(http_stream) next; /* in over */
    UT_hash_handle hh;
};

/* ---- the table ------------------------------------------------------------------------------- */

static struct http_stream *find(struct http_streams *streams, uint64_t token)
{
    struct http_stream *stream = NULL;
    HASH_FIND(hh, streams->by_token, &token, sizeof token, stream);
    return stream;
}

static void tell_api(struct http_stream *stream)
{
    if (!stream->is_told)
        api_stream_gone(stream->owner->api, stream->token);
    stream->is_told = true;
}

/* The request is evhttp's, or of nobody, from here on. */
static void release(struct http_stream *stream)
{
    HASH_DEL(stream->owner->by_token, stream);
    if (stream->conn != NULL)
        stream->conn->stream_token = 0;
    api_response_deinit(&stream->head);
    websocket_deinit(&stream->ws);
    mem_free(stream);
}

static bool is_version_10(const struct evhttp_request *request)
{
    return request->major == 1 && request->minor == 0;
}

/* evhttp ends a connection whose client will send nothing more, though it may still read. What is
 * to be said goes out at once, or not at all: only behind a whole answer so far. */
static void say_farewell(struct http_stream *stream)
{
    struct bufferevent *bev = stream->conn->bev;
    bool can = stream->head_sent && !stream->is_told && !stream->is_websocket &&
               !is_version_10(stream->request) &&
               evbuffer_get_length(bufferevent_get_output(bev)) == 0;
    int fd = bufferevent_getfd(bev);
    if (!can || fd < 0)
        return;
    struct evbuffer *words = evbuffer_new();
    struct evbuffer *chunk = evbuffer_new();
    ASSERT_MSG(words != NULL && chunk != NULL, "out of memory");
    bool may = api_stream_farewell(stream->owner->api, stream->token, API_CLIENT_LEAVES, words);
    size_t len = evbuffer_get_length(words);
    if (may) {
        if (len > 0)
            ASSERT(evbuffer_add_printf(chunk, "%zx\r\n", len) > 0);
        ASSERT(evbuffer_add_buffer(chunk, words) == 0);
        ASSERT(evbuffer_add_printf(chunk, "%s0\r\n\r\n", len > 0 ? "\r\n" : "") > 0);
        len = evbuffer_get_length(chunk);
        (void)send(fd, evbuffer_pullup(chunk, -1), len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    evbuffer_free(words);
    evbuffer_free(chunk);
}

/* The connection is being freed. evhttp has let go of a request that is not answered: it must be
 * answered then, later, to be freed. One that it still holds it frees by itself. */
static void on_closed(void *arg, uint64_t token)
{
    struct http_streams *streams = arg;
    struct http_stream *stream = find(streams, token);
    ASSERT(stream != NULL);
    say_farewell(stream);
    tell_api(stream);
    stream->conn = NULL;
    if (evhttp_request_get_connection(stream->request) == NULL)
        TAILQ_INSERT_TAIL(&streams->over, stream, next);
    else
        release(stream);
}

static void free_over(struct http_streams *streams)
{
    struct http_stream *stream;
    while ((stream = TAILQ_FIRST(&streams->over)) != NULL) {
        TAILQ_REMOVE(&streams->over, stream, next);
        evhttp_send_reply_end(stream->request);
        release(stream);
    }
}

/* ---- plain HTTP ------------------------------------------------------------------------------ */

static void send_head(struct http_stream *stream)
{
    struct evhttp_request *request = stream->request;
    http_answer_put_head(request, &stream->head);
    if (is_version_10(request)) {
        /* evhttp would give a connection that is kept a length of 0 */
        (void)evhttp_remove_header(evhttp_request_get_input_headers(request), "Connection");
        (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
    }
    evhttp_send_reply_start(request, stream->head.status, http_check_phrase(stream->head.status));
    stream->head_sent = true;
    api_response_deinit(&stream->head);
}

static void send_chunk(struct http_stream *stream, struct api_chunk *chunk)
{
    if (!stream->head_sent)
        send_head(stream);
    if (chunk->data != NULL)
        evhttp_send_reply_chunk(stream->request, chunk->data);
    if (!chunk->last)
        return;
    stream->is_told = true;
    struct evhttp_request *request = stream->request;
    release(stream);
    evhttp_send_reply_end(request);
}

/* ---- WebSockets ------------------------------------------------------------------------------ */

static struct evbuffer *output_of(const struct http_stream *stream)
{
    return bufferevent_get_output(stream->conn->bev);
}

/* Frees the stream, by on_closed. */
static void end_websocket(struct http_stream *stream)
{
    evhttp_connection_free(evhttp_request_get_connection(stream->request));
}

static void close_websocket(struct http_stream *stream, enum websocket_code code, uint64_t now_ms)
{
    tell_api(stream);
    if (!stream->has_closed)
        websocket_put_close(output_of(stream), code);
    stream->has_closed = true;
    stream->end_ms = now_ms + CLOSE_MS;
    stream->conn->held_bytes = 0;
}

static void send_control(struct http_stream *stream, enum websocket_opcode opcode)
{
    if (stream->has_closed || evbuffer_get_length(output_of(stream)) > OUTPUT_BYTES)
        return;
    websocket_put_header(output_of(stream), opcode, stream->ws.control_len);
    ASSERT(evbuffer_add(output_of(stream), stream->ws.control, stream->ws.control_len) == 0);
}

static void on_peer_closed(struct http_stream *stream, uint64_t now_ms)
{
    send_control(stream, WEBSOCKET_CLOSE);
    stream->has_closed = true;
    stream->peer_closed = true;
    close_websocket(stream, WEBSOCKET_NORMAL, now_ms);
}

/* false: nothing more is to be read. */
static bool on_step(struct http_stream *stream, enum websocket_step step, uint64_t now_ms)
{
    switch (step) {
    case WEBSOCKET_STEP_MORE: return false;
    case WEBSOCKET_STEP_PING: send_control(stream, WEBSOCKET_PONG); return true;
    case WEBSOCKET_STEP_PONG: return true;
    case WEBSOCKET_STEP_CLOSE: on_peer_closed(stream, now_ms); return false;
    case WEBSOCKET_STEP_BAD: close_websocket(stream, stream->ws.code, now_ms); return false;
    case WEBSOCKET_STEP_MESSAGE:
        if (!stream->is_told &&
            !api_stream_input(stream->owner->api, stream->token, stream->ws.message.data,
                              stream->ws.message.len, now_ms))
            close_websocket(stream, WEBSOCKET_TRY_LATER, now_ms);
        return true;
    }
    UNREACHABLE("step");
}

static void read_websocket(struct http_stream *stream, uint64_t now_ms)
{
    struct evbuffer *input = bufferevent_get_input(stream->conn->bev);
    stream->heard_ms = now_ms;
    bool more = !stream->peer_closed;
    while (more && stream->end_ms == 0)
        more = on_step(stream, websocket_next(&stream->ws, input), now_ms);
    /* we have closed: only theirs is of interest */
    while (more && stream->end_ms != 0 && stream->ws.code == 0) {
        enum websocket_step step = websocket_next(&stream->ws, input);
        if (step == WEBSOCKET_STEP_CLOSE)
            stream->peer_closed = true;
        more = step != WEBSOCKET_STEP_CLOSE && step != WEBSOCKET_STEP_MORE &&
               step != WEBSOCKET_STEP_BAD;
    }
    if (stream->peer_closed || stream->ws.code != 0)
        (void)evbuffer_drain(input, evbuffer_get_length(input));
    stream->conn->held_bytes = stream->end_ms == 0 ? stream->ws.message.len : 0;
    if (http_conns_is_too_much(stream->conn->owner, stream->conn->held_bytes))
        close_websocket(stream, WEBSOCKET_TRY_LATER, now_ms);
}

static void on_websocket_read(struct bufferevent *bev, void *arg)
{
    struct http_stream *stream = arg;
    read_websocket(stream, clock_now_ms());
    if (stream->peer_closed && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        end_websocket(stream);
}

static void on_websocket_written(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct http_stream *stream = arg;
    if (stream->peer_closed)
        end_websocket(stream);
}

static void on_websocket_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    (void)what; /* the end, an error, or nothing was taken within the time-out */
    end_websocket(arg);
}

static bool has_token(const char *list, const char *token)
{
    size_t token_len = strlen(token);
    while (list != NULL && *list != '\0') {
        list += strspn(list, " \t,");
        size_t len = strcspn(list, " \t,");
        if (len == token_len && strncasecmp(list, token, len) == 0)
            return true;
        list += len;
    }
    return false;
}

/* RFC 6455 4.2.1; NULL: it may become a WebSocket. */
static const char *why_no_websocket(struct evhttp_request *request)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    const char *key = evhttp_find_header(headers, "Sec-WebSocket-Key");
    const char *version = evhttp_find_header(headers, "Sec-WebSocket-Version");
    if (evhttp_request_get_command(request) != EVHTTP_REQ_GET || is_version_10(request))
        return "a WebSocket begins with a GET of HTTP/1.1";
    if (!has_token(evhttp_find_header(headers, "Upgrade"), "websocket") ||
        !has_token(evhttp_find_header(headers, "Connection"), "upgrade"))
        return "a WebSocket needs Upgrade: websocket and Connection: Upgrade";
    if (version == NULL || strcmp(version, "13") != 0)
        return "Sec-WebSocket-Version must be 13";
    if (key == NULL || !websocket_is_key(key))
        return "Sec-WebSocket-Key must be 16 bytes in base64";
    return NULL;
}

static void upgrade(struct http_stream *stream, uint64_t now_ms)
{
    struct bufferevent *bev = stream->conn->bev;
    char accept[WEBSOCKET_ACCEPT_SIZE];
    websocket_accept(
        evhttp_find_header(evhttp_request_get_input_headers(stream->request), "Sec-WebSocket-Key"),
        accept);
    struct evbuffer *output = bufferevent_get_output(bev);
    ASSERT(evbuffer_add_printf(output,
                               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                               accept) > 0);
    for (size_t i = 0; i < stream->head.header_count; i++)
        ASSERT(evbuffer_add_printf(output, "%s: %s\r\n", stream->head.headers[i].name,
                                   stream->head.headers[i].value) > 0);
    ASSERT(evbuffer_add(output, "\r\n", 2) == 0);
    stream->head_sent = true;
    api_response_deinit(&stream->head);
    bufferevent_setcb(bev, on_websocket_read, on_websocket_written, on_websocket_event, stream);
    ASSERT(bufferevent_enable(bev, EV_READ | EV_WRITE) == 0);
    stream->pinged_ms = now_ms;
    read_websocket(stream, now_ms); /* what came with the request */
}

static void send_message(struct http_stream *stream, struct api_chunk *chunk, uint64_t now_ms)
{
    size_t len = chunk->data != NULL ? evbuffer_get_length(chunk->data) : 0;
    if (stream->has_closed)
        return;
    if (len > 0) {
        websocket_put_header(output_of(stream), WEBSOCKET_TEXT, len);
        ASSERT(evbuffer_add_buffer(output_of(stream), chunk->data) == 0);
    }
    if (chunk->last) {
        stream->is_told = true;
        close_websocket(stream, WEBSOCKET_NORMAL, now_ms);
    }
}

/* Notices a client that has vanished without a word. */
static void scan_websocket(struct http_stream *stream, uint64_t now_ms)
{
    uint32_t idle_ms = stream->owner->idle_timeout_ms;
    if (stream->end_ms != 0) {
        if (now_ms >= stream->end_ms)
            end_websocket(stream);
    } else if (now_ms >= stream->heard_ms + idle_ms) {
        end_websocket(stream);
    } else if (now_ms >= stream->heard_ms + idle_ms / 3 &&
               now_ms >= stream->pinged_ms + idle_ms / 3) {
        stream->ws.control_len = 0;
        stream->pinged_ms = now_ms;
        send_control(stream, WEBSOCKET_PING);
    }
}

/* ---- both ------------------------------------------------------------------------------------ */

/* No time-out of reading, one of writing, also of what the system has taken but the other side has
 * not acknowledged; a bound of what a client may send ahead. */
static void set_connection(struct http_stream *stream)
{
    struct bufferevent *bev = stream->conn->bev;
    uint32_t idle_ms = stream->owner->idle_timeout_ms;
    struct timeval write = {.tv_sec = (time_t)(idle_ms / 1000),
                            .tv_usec = (suseconds_t)(idle_ms % 1000 * 1000)};
    bufferevent_set_timeouts(bev, NULL, &write);
    bufferevent_setwatermark(bev, EV_READ, 0, INPUT_BYTES);
    int fd = bufferevent_getfd(bev);
    unsigned timeout_ms = idle_ms;
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    unsigned unsent = UNSENT_BYTES;
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    stream->conn->is_stream = true;
    stream->conn->stream_token = stream->token;
}

/* The connection of the request has gone already: nothing needs to be sent. */
static void drop(struct http_streams *streams, struct evhttp_request *request,
                 struct api_response *response)
{
    api_stream_gone(streams->api, response->token);
    api_response_deinit(response);
    evhttp_send_reply_end(request); /* frees it */
}

bool http_streams_begin(struct http_streams *streams, struct evhttp_request *request,
                        struct api_response *response, uint64_t now_ms)
{
    ASSERT(!response->head);
    if (evhttp_request_get_connection(request) == NULL) {
        drop(streams, request, response);
        return true;
    }
    const char *why = response->websocket ? why_no_websocket(request) : NULL;
    if (why != NULL || streams->stopping) {
        api_stream_gone(streams->api, response->token);
        api_response_deinit(response);
        api_error_response(response, why != NULL ? 400 : 503,
                           why != NULL ? "bad_websocket" : "stopping",
                           why != NULL ? why : "this member is stopping; ask another one");
        return false;
    }
    struct http_stream *stream = mem_calloc(1, sizeof *stream);
    stream->token = response->token;
    stream->owner = streams;
    stream->request = request;
    stream->conn = http_conns_find(streams->conns, request);
    stream->head = *response;
    stream->is_websocket = response->websocket;
    stream->ws.message_max = streams->message_bytes;
    stream->heard_ms = now_ms;
    *response = (struct api_response){0};
    HASH_ADD(hh, streams->by_token, token, sizeof stream->token, stream);
    set_connection(stream);
    if (stream->is_websocket)
        upgrade(stream, now_ms);
    return true;
}

static void send_one(struct http_streams *streams, struct api_chunk *chunk, uint64_t now_ms)
{
    struct http_stream *stream = find(streams, chunk->token);
    if (stream != NULL && stream->conn != NULL && !stream->is_told) {
        struct bufferevent *bev = stream->conn->bev;
        bool last = chunk->last;
        if (stream->is_websocket)
            send_message(stream, chunk, now_ms);
        else
            send_chunk(stream, chunk);
        if (!last)
            api_stream_unsent(streams->api, chunk->token,
                              evbuffer_get_length(bufferevent_get_output(bev)));
    }
    if (chunk->data != NULL)
        evbuffer_free(chunk->data);
}

void http_streams_pump(struct http_streams *streams, uint64_t now_ms)
{
    struct http_conn *conn;
    free_over(streams);
    while ((conn = http_conns_next_drained(streams->conns)) != NULL) {
        if (conn->stream_token != 0)
            api_stream_unsent(streams->api, conn->stream_token,
                              evbuffer_get_length(bufferevent_get_output(conn->bev)));
    }
    struct api_chunk chunk;
    while (api_next_chunk(streams->api, &chunk, now_ms))
        send_one(streams, &chunk, now_ms);
}

void http_streams_scan(struct http_streams *streams, uint64_t now_ms)
{
    struct http_stream *stream;
    struct http_stream *next;
    HASH_ITER(hh, streams->by_token, stream, next)
    {
        if (stream->is_websocket)
            scan_websocket(stream, now_ms);
    }
}

/* A stream without an end of its own is told that it is over; an answer that is cut must not look
 * complete. */
static void stop_plain(struct http_stream *stream)
{
    struct api *api = stream->owner->api;
    struct http_conn *conn = stream->conn;
    struct api_chunk end = {.token = stream->token, .data = evbuffer_new(), .last = true};
    ASSERT_MSG(end.data != NULL, "out of memory");
    bool may = api_stream_farewell(api, stream->token, API_WE_LEAVE, end.data);
    tell_api(stream);
    if (may)
        send_chunk(stream, &end);
    else
        http_conns_cut(conn);
    evbuffer_free(end.data);
}

void http_streams_stop(struct http_streams *streams, uint64_t now_ms)
{
    struct http_stream *stream;
    struct http_stream *next;
    streams->stopping = true;
    HASH_ITER(hh, streams->by_token, stream, next)
    {
        if (stream->conn == NULL)
            continue; /* in over */
        if (stream->is_websocket)
            close_websocket(stream, WEBSOCKET_GOING_AWAY, now_ms);
        else
            stop_plain(stream);
    }
}

size_t http_streams_count(const struct http_streams *streams)
{
    return HASH_COUNT(streams->by_token);
}

void http_streams_init(struct http_streams *streams, struct api *api, struct http_conns *conns,
                       uint32_t idle_timeout_ms, size_t message_bytes)
{
    *streams = (struct http_streams){.api = api,
                                     .conns = conns,
                                     .idle_timeout_ms = idle_timeout_ms,
                                     .message_bytes = message_bytes};
    TAILQ_INIT(&streams->over);
    conns->on_stream_closed = on_closed;
    conns->stream_arg = streams;
}

void http_streams_deinit(struct http_streams *streams)
{
    struct http_stream *stream;
    struct http_stream *next;
    free_over(streams);
    HASH_ITER(hh, streams->by_token, stream, next)
    {
        tell_api(stream);
        /* frees the request, too, since it is still on its connection */
        evhttp_connection_free(evhttp_request_get_connection(stream->request));
    }
    free_over(streams);
}
