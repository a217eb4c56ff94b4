/*
 * Watching connections beside evhttp 2.1.12, only with public calls. The input's evbuffer callback
 * sees every byte as it comes and follows the lines of a request up to the empty one; ending a
 * connection is left to evhttp by telling it of a time-out.
 */
#include "io/http_conn.h"
#include "api/api.h"
#include "base/assert.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/http_check.h"

#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BODY_BYTES_PER_S 16384
#define LINGER_MS 2000
#define LINGER_BYTES (16u << 20)

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg);
static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg);

/* ---- life ------------------------------------------------------------------------------------ */

static void unwatch(struct http_conn *conn)
{
    (void)evbuffer_remove_cb(bufferevent_get_input(conn->bev), on_input, conn);
    (void)evbuffer_remove_cb(bufferevent_get_output(conn->bev), on_output, conn);
    if (conn->has_page)
        TAILQ_REMOVE(&conn->owner->pages, conn, next_page);
    conn->has_page = false;
}

static void forget(struct http_conn *conn)
{
    struct http_conns *conns = conn->owner;
    unwatch(conn);
    if (conn->phase == HTTP_CONN_LINGER)
        bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
    HASH_DEL(conns->by_bev, conn);
    TAILQ_REMOVE(&conns->all, conn, next);
    conns->count--;
    (void)bufferevent_decref(conn->bev);
    mem_free(conn);
}

struct bufferevent *http_conns_accept(struct http_conns *conns)
{
    struct bufferevent *bev = bufferevent_socket_new(conns->base, -1, BEV_OPT_CLOSE_ON_FREE);
    ASSERT_MSG(bev != NULL, "out of memory");
    struct http_conn *conn = mem_calloc(1, sizeof *conn);
    conn->owner = conns;
    conn->bev = bev;
    bufferevent_incref(bev);
    ASSERT(evbuffer_add_cb(bufferevent_get_input(bev), on_input, conn) != NULL);
    ASSERT(evbuffer_add_cb(bufferevent_get_output(bev), on_output, conn) != NULL);
    HASH_ADD(hh, conns->by_bev, bev, sizeof conn->bev, conn);
    TAILQ_INSERT_TAIL(&conns->all, conn, next);
    conns->count++;
    return bev;
}

static struct http_conn *find(struct http_conns *conns, struct evhttp_request *request)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(request);
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
    struct http_conn *conn = NULL;
    HASH_FIND(hh, conns->by_bev, &bev, sizeof(struct bufferevent *), conn);
    ASSERT_MSG(conn != NULL, "a request on a connection that we did not make");
    return conn;
}

/* ---- phases ---------------------------------------------------------------------------------- */

static void begin_request(struct http_conn *conn, uint64_t now_ms)
{
    conn->phase = HTTP_CONN_HEADERS;
    conn->deadline_ms = now_ms + conn->owner->limits.header_timeout_ms;
    conn->line_bytes = 0;
    conn->header_bytes = 0;
    conn->first_line_bytes = 0;
    conn->has_first_line = false;
    conn->has_nul = false;
    int fd = bufferevent_getfd(conn->bev);
    int one = 1; /* answers to pipelined requests must not wait for each other's acknowledgement */
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void set_body_deadline(struct http_conn *conn)
{
    conn->deadline_ms = conn->began_ms + conn->owner->limits.body_timeout_ms +
                        conn->body_bytes * 1000 / BODY_BYTES_PER_S;
}

/* Follows header lines; returns how many of the bytes belong to the headers. */
static size_t scan_headers(struct http_conn *conn, const char *bytes, size_t len, uint64_t now_ms)
{
    for (size_t i = 0; i < len; i++) {
        conn->has_nul = conn->has_nul || bytes[i] == '\0';
        conn->header_bytes++;
        conn->first_line_bytes += conn->has_first_line ? 0 : 1;
        if (bytes[i] != '\n') {
            conn->line_bytes += bytes[i] != '\r' ? 1 : 0;
            continue;
        }
        bool is_end = conn->line_bytes == 0 && conn->has_first_line;
        conn->has_first_line = conn->has_first_line || conn->line_bytes > 0;
        conn->line_bytes = 0;
        if (is_end) {
            conn->phase = HTTP_CONN_BODY;
            conn->began_ms = now_ms;
            conn->body_bytes = 0;
            set_body_deadline(conn);
            return i + 1;
        }
    }
    return len;
}

/* Takes note of the bytes of input from offset on. */
static void observe(struct http_conn *conn, struct evbuffer *input, size_t offset)
{
    uint64_t now_ms = clock_now_ms();
    size_t len = evbuffer_get_length(input);
    if (conn->phase == HTTP_CONN_IDLE && offset < len)
        begin_request(conn, now_ms);
    while (conn->phase == HTTP_CONN_HEADERS && offset < len) {
        struct evbuffer_ptr at;
        struct evbuffer_iovec part;
        ASSERT(evbuffer_ptr_set(input, &at, offset, EVBUFFER_PTR_SET) == 0);
        ASSERT(evbuffer_peek(input, -1, &at, &part, 1) >= 1);
        offset += scan_headers(conn, part.iov_base, part.iov_len, now_ms);
    }
    if (conn->phase == HTTP_CONN_BODY && offset < len) {
        conn->body_bytes += len - offset;
        set_body_deadline(conn);
    }
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    if (info->n_added > 0)
        observe(arg, input, evbuffer_get_length(input) - info->n_added);
}

static void on_evhttp_close(struct evhttp_connection *evcon, void *arg)
{
    (void)evcon;
    struct http_conn *conn = arg;
    if (conn->phase != HTTP_CONN_REFUSED) /* else the scan lets it linger */
        forget(conn);
}

struct http_conn *http_conns_on_request(struct http_conns *conns, struct evhttp_request *request)
{
    struct http_conn *conn = find(conns, request);
    conn->phase = HTTP_CONN_BUSY;
    if (!conn->has_closecb) {
        conn->has_closecb = true;
        evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_evhttp_close,
                                      conn);
    }
    return conn;
}

void http_conns_on_answered(struct http_conns *conns, struct evhttp_request *request)
{
    struct http_conn *conn = find(conns, request);
    conn->phase = HTTP_CONN_IDLE;
    observe(conn, bufferevent_get_input(conn->bev), 0); /* the next one, if it is pipelined */
}

/* ---- evhttp's own pages ---------------------------------------------------------------------- */

static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
    (void)output;
    struct http_conn *conn = arg;
    bool is_own = conn->phase == HTTP_CONN_HEADERS || conn->phase == HTTP_CONN_BODY;
    if (info->n_added == 0 || !is_own || conn->has_page)
        return;
    /* evhttp is still writing; the event comes after its callback and before the next poll */
    conn->has_page = true;
    TAILQ_INSERT_TAIL(&conn->owner->pages, conn, next_page);
    event_active(conn->owner->page_event, 0, 0);
}

static void make_refusal(const struct http_conn *conn, int status, struct api_response *out)
{
    /* for too many bytes of headers evhttp's answer is 400, too */
    size_t max = conn->owner->limits.header_bytes;
    if (conn->first_line_bytes > max)
        api_error_response(out, 414, "target_too_long", "the request line is too long");
    else if (conn->header_bytes > max)
        api_error_response(out, 431, "headers_too_large", "the headers are too large");
    else if (status == 413)
        api_error_response(out, 413, "body_too_large", "the body is over the limit of this server");
    else if (status == 417)
        api_error_response(out, 417, "bad_expectation", "only 100-continue can be expected");
    else if (status == 501)
        api_error_response(out, 501, "unknown_method", "no such method");
    else
        api_error_response(out, 400, "bad_request", "this is not a well-formed HTTP request");
}

static void write_refusal(struct evbuffer *output, struct api_response *response)
{
    (void)evbuffer_add_printf(output, "HTTP/1.1 %d %s\r\n", response->status,
                              http_check_phrase(response->status));
    for (size_t i = 0; i < response->header_count; i++)
        (void)evbuffer_add_printf(output, "%s: %s\r\n", response->headers[i].name,
                                  response->headers[i].value);
    (void)evbuffer_add_printf(output, "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                              evbuffer_get_length(response->body));
    (void)evbuffer_add_buffer(output, response->body);
}

static void replace_page(struct http_conn *conn)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);
    char line[16] = {0};
    int status = 0;
    ev_ssize_t got = evbuffer_copyout(output, line, sizeof line - 1);
    if (got < 12 || sscanf(line, "HTTP/%*d.%*d %d", &status) != 1 || status < 200)
        return; /* 100 Continue */
    struct api_response response = {0};
    make_refusal(conn, status, &response);
    conn->phase = HTTP_CONN_REFUSED;
    (void)evbuffer_unfreeze(output, 1); /* bufferevents keep others from draining their output */
    (void)evbuffer_drain(output, evbuffer_get_length(output));
    write_refusal(output, &response);
    (void)evbuffer_freeze(output, 1);
    api_response_deinit(&response);
}

static void on_pages(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_conns *conns = arg;
    struct http_conn *conn;
    while ((conn = TAILQ_FIRST(&conns->pages)) != NULL) {
        TAILQ_REMOVE(&conns->pages, conn, next_page);
        conn->has_page = false;
        if (conn->phase == HTTP_CONN_HEADERS || conn->phase == HTTP_CONN_BODY)
            replace_page(conn);
    }
}

/* ---- the scan -------------------------------------------------------------------------------- */

static bool is_dropped(const struct http_conn *conn)
{
    bufferevent_event_cb on_event = NULL;
    bufferevent_getcb(conn->bev, NULL, NULL, &on_event, NULL);
    return on_event == NULL; /* evhttp always has one while it lives */
}

static void discard(struct bufferevent *bev, void *arg)
{
    struct http_conn *conn = arg;
    struct evbuffer *input = bufferevent_get_input(bev);
    conn->body_bytes += evbuffer_get_length(input);
    (void)evbuffer_drain(input, evbuffer_get_length(input));
    if (conn->body_bytes > LINGER_BYTES)
        forget(conn);
}

static void on_linger_end(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    (void)what;
    forget(arg);
}

/* Closing with unread bytes resets the connection, and the client may lose the answer that says
 * why: a refused body is read and thrown away for a while. */
static void linger(struct http_conn *conn, uint64_t now_ms)
{
    unwatch(conn);
    conn->phase = HTTP_CONN_LINGER;
    conn->deadline_ms = now_ms + LINGER_MS;
    conn->body_bytes = 0;
    bufferevent_setcb(conn->bev, discard, NULL, on_linger_end, conn);
    bufferevent_set_timeouts(conn->bev, NULL, NULL);
    (void)evbuffer_drain(bufferevent_get_input(conn->bev),
                         evbuffer_get_length(bufferevent_get_input(conn->bev)));
    if (bufferevent_enable(conn->bev, EV_READ) != 0)
        forget(conn);
}

static void scan_one(struct http_conn *conn, uint64_t now_ms)
{
    if (conn->phase == HTTP_CONN_LINGER) {
        if (now_ms >= conn->deadline_ms)
            forget(conn);
    } else if (is_dropped(conn)) {
        if (conn->phase == HTTP_CONN_REFUSED)
            linger(conn, now_ms);
        else
            forget(conn);
    } else if ((conn->phase == HTTP_CONN_HEADERS || conn->phase == HTTP_CONN_BODY) &&
               now_ms >= conn->deadline_ms) {
        conn->phase = HTTP_CONN_IDLE; /* told once */
        bufferevent_trigger_event(conn->bev, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
    }
}

void http_conns_scan(struct http_conns *conns, uint64_t now_ms)
{
    struct http_conn *next;
    for (struct http_conn *conn = TAILQ_FIRST(&conns->all); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, next);
        scan_one(conn, now_ms);
    }
}

size_t http_conns_busy(const struct http_conns *conns)
{
    size_t busy = 0;
    const struct http_conn *conn;
    TAILQ_FOREACH(conn, &conns->all, next)
    busy += conn->phase == HTTP_CONN_BUSY ? 1 : 0;
    return busy;
}

void http_conns_init(struct http_conns *conns, struct event_base *base,
                     const struct http_conn_limits *limits)
{
    *conns = (struct http_conns){.base = base, .limits = *limits};
    TAILQ_INIT(&conns->all);
    TAILQ_INIT(&conns->pages);
    conns->page_event = event_new(base, -1, 0, on_pages, conns);
    ASSERT_MSG(conns->page_event != NULL, "out of memory");
}

void http_conns_deinit(struct http_conns *conns)
{
    struct http_conn *conn;
    while ((conn = TAILQ_FIRST(&conns->all)) != NULL)
        forget(conn);
    event_free(conns->page_event);
    *conns = (struct http_conns){0};
}
