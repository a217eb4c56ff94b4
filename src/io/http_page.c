/*
 * Writing in the middle of a request. evhttp has no call for that: its callbacks are taken off the
 * bufferevent, the refusal is written, and when it has left, evhttp gets its callbacks back and
 * hears of a time-out, for which it closes without a word.
 */
#include "io/http_page.h"
#include "api/api.h"
#include "base/assert.h"
#include "io/clock.h"
#include "io/http_check.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>

#define LINGER_MS 2000
#define LINGER_BYTES (16u << 20)

const struct http_refusal http_refusal_late = {
    408, "request_timeout", "the request did not come in time; nothing was done"};
const struct http_refusal http_refusal_overloaded = {
    429, "overloaded", "certainly not done: too much is under way; try again"};
const struct http_refusal http_refusal_chunk = {
    400, "bad_chunk", "a chunk is its size in hex digits, CRLF, the data, CRLF; no extensions"};
const struct http_refusal http_refusal_framing = {
    400, "bad_request", "Content-Length and Transfer-Encoding exclude each other"};

/* ---- the answer ------------------------------------------------------------------------------ */

static struct http_refusal refusal_of(const struct http_conn *conn, int status)
{
    /* for too many bytes of headers evhttp's answer is 400, too */
    size_t max = conn->owner->limits.header_bytes;
    if (conn->refusal != NULL)
        return *conn->refusal;
    if (conn->first_line_bytes > max)
        return (struct http_refusal){414, "target_too_long", "the request line is too long"};
    if (conn->header_bytes > max)
        return (struct http_refusal){431, "headers_too_large", "the headers are too large"};
    if (status == 413)
        return (struct http_refusal){413, "body_too_large",
                                     "the body is over the limit of this server"};
    if (status == 417)
        return (struct http_refusal){417, "bad_expectation", "only 100-continue can be expected"};
    if (status == 501)
        return (struct http_refusal){501, "unknown_method", "no such method"};
    return (struct http_refusal){400, "bad_request", "this is not a well-formed HTTP request"};
}

/* evhttp does not show the request that it refuses: the target is what we saw of its line. */
static void make_refusal(const struct http_conn *conn, int status, struct api_response *out)
{
    struct http_refusal refusal = refusal_of(conn, status);
    char target[HTTP_LINE_KEPT];
    const char *blank = strchr(conn->first_line, ' ');
    (void)snprintf(target, sizeof target, "%s", blank != NULL ? blank + 1 : "");
    target[strcspn(target, " ")] = '\0';
    api_refusal_response(out, target, refusal.status, refusal.code, refusal.text);
}

static void write_refusal(const struct http_conn *conn, int status)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);
    struct api_response response = {0};
    make_refusal(conn, status, &response);
    (void)evbuffer_add_printf(output, "HTTP/1.1 %d %s\r\n", response.status,
                              http_check_phrase(response.status));
    for (size_t i = 0; i < response.header_count; i++)
        (void)evbuffer_add_printf(output, "%s: %s\r\n", response.headers[i].name,
                                  response.headers[i].value);
    (void)evbuffer_add_printf(output, "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                              evbuffer_get_length(response.body));
    (void)evbuffer_add_buffer(output, response.body);
    api_response_deinit(&response);
}

/* evhttp's own page is the only thing in the output, if there is one. */
static int status_of_page(struct http_conn *conn)
{
    char line[16] = {0};
    int status = 0;
    ev_ssize_t got = evbuffer_copyout(bufferevent_get_output(conn->bev), line, sizeof line - 1);
    bool is_page = got >= 12 && sscanf(line, "HTTP/%*d.%*d %d", &status) == 1 && status >= 200;
    return is_page ? status : 0; /* 100 Continue is none */
}

static void replace_page(struct http_conn *conn, int status)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);
    conn->phase = HTTP_CONN_REFUSED;
    (void)evbuffer_unfreeze(output, 1); /* bufferevents keep others from draining their output */
    (void)evbuffer_drain(output, evbuffer_get_length(output));
    write_refusal(conn, status);
    (void)evbuffer_freeze(output, 1);
}

/* ---- in the middle of a request -------------------------------------------------------------- */

static void discard(struct bufferevent *bev, void *arg)
{
    struct http_conn *conn = arg;
    struct evbuffer *input = bufferevent_get_input(bev);
    conn->passed_bytes += evbuffer_get_length(input);
    (void)evbuffer_drain(input, evbuffer_get_length(input));
    if (conn->phase == HTTP_CONN_LINGER && conn->passed_bytes > LINGER_BYTES)
        conn->phase = HTTP_CONN_OVER;
    if (conn->passed_bytes > LINGER_BYTES)
        (void)bufferevent_disable(bev, EV_READ);
}

static void on_refusal_sent(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct http_conn *conn = arg;
    conn->phase = HTTP_CONN_ENDING;
    http_page_due(conn);
}

static void on_refusing_event(struct bufferevent *bev, short what, void *arg)
{
    if ((what & BEV_EVENT_ERROR) != 0) /* else it has sent all that it wanted, and may still read */
        on_refusal_sent(bev, arg);
}

static void begin_refusing(struct http_conn *conn)
{
    struct http_callbacks *evhttp = &conn->evhttp;
    bufferevent_getcb(conn->bev, &evhttp->on_read, &evhttp->on_write, &evhttp->on_event,
                      &evhttp->arg);
    bufferevent_setcb(conn->bev, discard, on_refusal_sent, on_refusing_event, conn);
    conn->phase = HTTP_CONN_REFUSING;
    conn->deadline_ms = clock_now_ms() + LINGER_MS;
    conn->passed_bytes = 0;
    discard(conn->bev, conn);
    write_refusal(conn, 0);
    if (bufferevent_enable(conn->bev, EV_READ | EV_WRITE) != 0)
        on_refusal_sent(conn->bev, conn);
}

static void tell_evhttp(struct http_conn *conn)
{
    struct http_callbacks *evhttp = &conn->evhttp;
    if (evhttp->on_event != NULL)
        bufferevent_setcb(conn->bev, evhttp->on_read, evhttp->on_write, evhttp->on_event,
                          evhttp->arg);
    *evhttp = (struct http_callbacks){0};
    conn->phase = HTTP_CONN_REFUSED;
    bufferevent_trigger_event(conn->bev, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
}

static void look_at(struct http_conn *conn)
{
    if (conn->phase == HTTP_CONN_ENDING)
        tell_evhttp(conn);
    if (conn->phase != HTTP_CONN_HEADERS && conn->phase != HTTP_CONN_BODY)
        return;
    int status = status_of_page(conn);
    if (status != 0)
        replace_page(conn, status);
    else if (conn->refusal != NULL)
        begin_refusing(conn);
}

static void on_pages(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_conns *conns = arg;
    struct http_conn *conn;
    while ((conn = TAILQ_FIRST(&conns->pages)) != NULL) {
        http_page_cancel(conn);
        look_at(conn);
    }
}

void http_page_due(struct http_conn *conn)
{
    if (conn->has_page)
        return;
    conn->has_page = true;
    TAILQ_INSERT_TAIL(&conn->owner->pages, conn, next_page);
    event_active(conn->owner->page_event, 0, 0);
}

void http_page_refuse(struct http_conn *conn, const struct http_refusal *refusal)
{
    if (conn->refusal != NULL)
        return;
    conn->refusal = refusal;
    http_page_due(conn);
}

void http_page_cancel(struct http_conn *conn)
{
    if (conn->has_page)
        TAILQ_REMOVE(&conn->owner->pages, conn, next_page);
    conn->has_page = false;
}

/* ---- after evhttp ---------------------------------------------------------------------------- */

static void on_linger_end(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    (void)what;
    struct http_conn *conn = arg;
    conn->phase = HTTP_CONN_OVER;
}

void http_page_linger(struct http_conn *conn, uint64_t now_ms)
{
    conn->phase = HTTP_CONN_LINGER;
    conn->deadline_ms = now_ms + LINGER_MS;
    conn->passed_bytes = 0;
    bufferevent_setcb(conn->bev, discard, NULL, on_linger_end, conn);
    bufferevent_set_timeouts(conn->bev, NULL, NULL);
    (void)evbuffer_drain(bufferevent_get_input(conn->bev),
                         evbuffer_get_length(bufferevent_get_input(conn->bev)));
    if (bufferevent_enable(conn->bev, EV_READ) != 0)
        conn->phase = HTTP_CONN_OVER;
}

void http_pages_init(struct http_conns *conns, struct event_base *base)
{
    TAILQ_INIT(&conns->pages);
    conns->page_event = event_new(base, -1, 0, on_pages, conns);
    ASSERT_MSG(conns->page_event != NULL, "out of memory");
}

void http_pages_deinit(struct http_conns *conns)
{
    event_free(conns->page_event);
}
