/*
 * Watching connections beside evhttp 2.1.12, only with public calls. The input's evbuffer callback
 * sees every byte as it comes and follows the lines of a request up to the empty one and the chunks
 * behind it; the output's sees how fast an answer leaves.
 */
#include "io/http_conn.h"
#include "base/assert.h"
#include "base/mem.h"
#include "io/clock.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define LITTLE_BYTES 4096         /* who holds no more is not refused for what all hold */
#define SINGLE_WRITE (256u << 10) /* bytes a system call */
#define TRIM_CONNECTIONS 1000u    /* likewise */
#define TRIM_BYTES (8u << 20)     /* memory is given back to the system after a peak above */

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg);
static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg);

/* ---- life ------------------------------------------------------------------------------------ */

static void begin_idle(struct http_conn *conn)
{
    conn->phase = HTTP_CONN_IDLE;
    if (!conn->is_idle)
        TAILQ_INSERT_TAIL(&conn->owner->idle, conn, next_idle);
    conn->is_idle = true;
}

static void end_idle(struct http_conn *conn)
{
    struct http_conns *conns = conn->owner;
    if (!conn->is_idle)
        return;
    TAILQ_REMOVE(&conns->idle, conn, next_idle);
    conn->is_idle = false;
    if (TAILQ_EMPTY(&conns->idle) && conns->on_none_idle != NULL)
        conns->on_none_idle(conns->idle_arg);
}

static void unwatch(struct http_conn *conn)
{
    end_idle(conn);
    (void)evbuffer_remove_cb(bufferevent_get_input(conn->bev), on_input, conn);
    (void)evbuffer_remove_cb(bufferevent_get_output(conn->bev), on_output, conn);
    http_page_cancel(conn);
    if (conn->is_drained)
        TAILQ_REMOVE(&conn->owner->drained, conn, next_drained);
    conn->is_drained = false;
}

/* Brings what is counted for this connection up to date. */
static void recount(struct http_conn *conn)
{
    struct http_conns *conns = conn->owner;
    bool is_request = conn->refusal == NULL &&
                      (conn->phase == HTTP_CONN_HEADERS || conn->phase == HTTP_CONN_BODY);
    bool is_busy = conn->phase == HTTP_CONN_BUSY;
    size_t input = 0;
    if (is_request) /* evhttp has taken a part of the body into the request already */
        input = conn->header_bytes + (conn->phase == HTTP_CONN_BODY ? conn->passed_bytes : 0);
    else if (is_busy)
        input = evbuffer_get_length(bufferevent_get_input(conn->bev)) + conn->held_bytes;
    size_t output =
        is_busy && !conn->is_stream ? evbuffer_get_length(bufferevent_get_output(conn->bev)) : 0;
    size_t *sum = conns->large == conn ? &conns->large_bytes : &conns->buffered_bytes;
    *sum += output;
    *sum -= conn->output_bytes;
    conns->buffered_bytes += input;
    conns->buffered_bytes -= conn->input_bytes;
    conn->input_bytes = input;
    conn->output_bytes = output;
    if (conns->buffered_bytes + conns->large_bytes > conns->peak_bytes)
        conns->peak_bytes = conns->buffered_bytes + conns->large_bytes;
}

/* Its answer has gone, or will not. */
static void end_large(struct http_conn *conn)
{
    struct http_conns *conns = conn->owner;
    if (conns->large != conn)
        return;
    conns->large = NULL;
    conns->buffered_bytes += conns->large_bytes;
    conns->large_bytes = 0;
}

static void forget(struct http_conn *conn)
{
    struct http_conns *conns = conn->owner;
    unwatch(conn);
    if (conn->phase >= HTTP_CONN_LINGER)
        bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
    conn->phase = HTTP_CONN_OVER;
    end_large(conn);
    recount(conn);
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
    (void)bufferevent_set_max_single_write(bev, SINGLE_WRITE);
    ASSERT(evbuffer_add_cb(bufferevent_get_input(bev), on_input, conn) != NULL);
    ASSERT(evbuffer_add_cb(bufferevent_get_output(bev), on_output, conn) != NULL);
    HASH_ADD(hh, conns->by_bev, bev, sizeof conn->bev, conn);
    TAILQ_INSERT_TAIL(&conns->all, conn, next);
    begin_idle(conn);
    conns->count++;
    return bev;
}

struct http_conn *http_conns_find(struct http_conns *conns, struct evhttp_request *request)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(request);
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
    struct http_conn *conn = NULL;
    HASH_FIND(hh, conns->by_bev, &bev, sizeof(struct bufferevent *), conn);
    ASSERT_MSG(conn != NULL, "a request on a connection that we did not make");
    return conn;
}

/* ---- phases ---------------------------------------------------------------------------------- */

/* Answers to pipelined requests must not wait for each other's acknowledgement. With the first
 * request, since evhttp gives the bufferevent its socket after it was made. */
static void set_no_delay(struct http_conn *conn)
{
    int fd = bufferevent_getfd(conn->bev);
    int one = 1;
    if (!conn->has_no_delay && fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->has_no_delay = true;
}

static void begin_request(struct http_conn *conn, uint64_t now_ms)
{
    end_idle(conn);
    conn->phase = HTTP_CONN_HEADERS;
    conn->deadline_ms = now_ms + conn->owner->limits.header_timeout_ms;
    conn->line_bytes = 0;
    conn->header_bytes = 0;
    conn->first_line_bytes = 0;
    conn->first_line[0] = '\0';
    conn->has_first_line = false;
    conn->has_nul = false;
    memset(conn->matched_bytes, 0, sizeof conn->matched_bytes);
    memset(conn->has_framing, 0, sizeof conn->has_framing);
    conn->chunk = (struct http_chunk){0};
    set_no_delay(conn);
}

static void begin_pace(struct http_conn *conn, uint64_t now_ms)
{
    conn->began_ms = now_ms;
    conn->passed_bytes = 0;
    conn->deadline_ms = now_ms + conn->owner->limits.body_timeout_ms;
}

static void pass(struct http_conn *conn, size_t bytes)
{
    conn->passed_bytes += bytes;
    conn->deadline_ms = conn->began_ms + conn->owner->limits.body_timeout_ms +
                        conn->passed_bytes * 1000 / conn->owner->limits.bytes_per_s;
}

/* One byte of a header line that is not its end. */
static void scan_header_byte(struct http_conn *conn, char c)
{
    static const char *const names[HTTP_FRAMINGS] = {"content-length:", "transfer-encoding:"};
    if (c == '\r')
        return;
    for (int i = 0; i < HTTP_FRAMINGS; i++) {
        size_t *matched = &conn->matched_bytes[i];
        if (*matched == conn->line_bytes && names[i][*matched] != '\0' &&
            tolower((unsigned char)c) == names[i][*matched])
            ++*matched;
        conn->has_framing[i] = conn->has_framing[i] || names[i][*matched] == '\0';
    }
    if (!conn->has_first_line && conn->line_bytes + 1 < HTTP_LINE_KEPT) {
        conn->first_line[conn->line_bytes] = c;
        conn->first_line[conn->line_bytes + 1] = '\0';
    }
    conn->line_bytes++;
}

/* Follows header lines; returns how many of the bytes belong to the headers. */
static size_t scan_headers(struct http_conn *conn, const char *bytes, size_t len, uint64_t now_ms)
{
    for (size_t i = 0; i < len; i++) {
        conn->has_nul = conn->has_nul || bytes[i] == '\0';
        conn->header_bytes++;
        conn->first_line_bytes += conn->has_first_line ? 0 : 1;
        if (bytes[i] != '\n') {
            scan_header_byte(conn, bytes[i]);
            continue;
        }
        bool is_end = conn->line_bytes == 0 && conn->has_first_line;
        conn->has_first_line = conn->has_first_line || conn->line_bytes > 0;
        conn->line_bytes = 0;
        memset(conn->matched_bytes, 0, sizeof conn->matched_bytes);
        if (is_end) {
            conn->phase = HTTP_CONN_BODY;
            begin_pace(conn, now_ms);
            if (conn->has_framing[HTTP_FRAMING_LENGTH] && conn->has_framing[HTTP_FRAMING_ENCODING])
                http_page_refuse(conn, &http_refusal_framing); /* evhttp may wait for chunks */
            return i + 1;
        }
    }
    return len;
}

/* Follows the body; returns how many of the bytes are of interest: all. */
static size_t scan_body(struct http_conn *conn, const char *bytes, size_t len)
{
    pass(conn, len);
    if (conn->has_framing[HTTP_FRAMING_ENCODING] && !http_chunk_feed(&conn->chunk, bytes, len))
        http_page_refuse(conn, &http_refusal_chunk);
    return len;
}

/* Takes note of the bytes of input from offset on. */
static void observe(struct http_conn *conn, struct evbuffer *input, size_t offset)
{
    uint64_t now_ms = clock_now_ms();
    size_t len = evbuffer_get_length(input);
    if (conn->phase == HTTP_CONN_IDLE && offset < len)
        begin_request(conn, now_ms);
    bool is_ours = conn->phase == HTTP_CONN_HEADERS || conn->phase == HTTP_CONN_BODY;
    while (is_ours && offset < len) {
        struct evbuffer_ptr at;
        struct evbuffer_iovec part;
        ASSERT(evbuffer_ptr_set(input, &at, offset, EVBUFFER_PTR_SET) == 0);
        ASSERT(evbuffer_peek(input, -1, &at, &part, 1) >= 1);
        offset += conn->phase == HTTP_CONN_HEADERS
                      ? scan_headers(conn, part.iov_base, part.iov_len, now_ms)
                      : scan_body(conn, part.iov_base, part.iov_len);
    }
    recount(conn);
    if (conn->input_bytes > LITTLE_BYTES &&
        conn->owner->buffered_bytes > conn->owner->limits.buffered_bytes) {
        http_page_refuse(conn, &http_refusal_overloaded);
        recount(conn); /* its bytes go in this turn: nobody else has to be refused for them */
    }
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct http_conn *conn = arg;
    if (info->n_added > 0 && conn->phase <= HTTP_CONN_BODY)
        observe(conn, input, evbuffer_get_length(input) - info->n_added);
    else if (conn->phase == HTTP_CONN_BUSY)
        recount(conn);
}

static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
    (void)output;
    struct http_conn *conn = arg;
    if (conn->is_stream) {
        if (info->n_deleted > 0 && !conn->is_drained) {
            conn->is_drained = true;
            TAILQ_INSERT_TAIL(&conn->owner->drained, conn, next_drained);
        }
    } else if (conn->phase == HTTP_CONN_BUSY) {
        if (conn->output_bytes == 0)
            begin_pace(conn, clock_now_ms());
        pass(conn, info->n_deleted);
        recount(conn);
    } else if (info->n_added > 0 &&
               (conn->phase == HTTP_CONN_HEADERS || conn->phase == HTTP_CONN_BODY)) {
        http_page_due(conn); /* evhttp is still writing a page of its own */
    }
}

static void on_evhttp_close(struct evhttp_connection *evcon, void *arg)
{
    (void)evcon;
    struct http_conn *conn = arg;
    if (conn->stream_token != 0)
        conn->owner->on_stream_closed(conn->owner->stream_arg, conn->stream_token);
    if (conn->phase != HTTP_CONN_REFUSED) /* else the scan lets it linger */
        forget(conn);
}

struct http_conn *http_conns_on_request(struct http_conns *conns, struct evhttp_request *request)
{
    struct http_conn *conn = http_conns_find(conns, request);
    end_idle(conn);
    conn->phase = HTTP_CONN_BUSY;
    recount(conn);
    if (!conn->has_closecb) {
        conn->has_closecb = true;
        evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_evhttp_close,
                                      conn);
    }
    return conn;
}

/* Nothing is to be done: libevent has turned reading off, and writing the answer tells the rest. */
static void on_waiting_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev, (void)what, (void)arg;
}

void http_conns_begin_wait(struct http_conn *conn)
{
    struct http_callbacks *evhttp = &conn->evhttp;
    bufferevent_getcb(conn->bev, &evhttp->on_read, &evhttp->on_write, &evhttp->on_event,
                      &evhttp->arg);
    bufferevent_setcb(conn->bev, NULL, NULL, on_waiting_event, conn);
    bufferevent_setwatermark(conn->bev, EV_READ, 0, LITTLE_BYTES);
    conn->is_waiting = true;
    (void)bufferevent_enable(conn->bev, EV_READ);
}

void http_conns_end_wait(struct http_conn *conn, bool is_stream)
{
    struct http_callbacks *evhttp = &conn->evhttp;
    if (!conn->is_waiting)
        return;
    conn->is_waiting = false;
    if (is_stream) /* evhttp must not be told of what comes before its head is out */
        (void)bufferevent_disable(conn->bev, EV_READ);
    bufferevent_setwatermark(conn->bev, EV_READ, 0, 0);
    bufferevent_setcb(conn->bev, evhttp->on_read, evhttp->on_write, evhttp->on_event, evhttp->arg);
    *evhttp = (struct http_callbacks){0};
}

/* The next request is an ordinary one. */
static void end_stream(struct http_conn *conn)
{
    uint32_t idle_ms = conn->owner->limits.idle_timeout_ms;
    struct timeval idle = {.tv_sec = (time_t)(idle_ms / 1000),
                           .tv_usec = (suseconds_t)(idle_ms % 1000 * 1000)};
    bufferevent_set_timeouts(conn->bev, &idle, &idle);
    bufferevent_setwatermark(conn->bev, EV_READ, 0, 0);
    conn->is_stream = false;
}

struct http_conn *http_conns_next_drained(struct http_conns *conns)
{
    struct http_conn *conn = TAILQ_FIRST(&conns->drained);
    if (conn == NULL)
        return NULL;
    TAILQ_REMOVE(&conns->drained, conn, next_drained);
    conn->is_drained = false;
    return conn;
}

void http_conns_cut(struct http_conn *conn)
{
    end_idle(conn);
    conn->phase = HTTP_CONN_ENDING;
    http_page_due(conn);
}

void http_conns_on_answered(struct http_conns *conns, struct evhttp_request *request)
{
    struct http_conn *conn = http_conns_find(conns, request);
    end_large(conn);
    if (evhttp_request_get_command(request) == EVHTTP_REQ_CONNECT) {
        conn->phase = HTTP_CONN_ENDING; /* evhttp would keep it, whatever was asked or answered */
        http_page_due(conn);
        return;
    }
    begin_idle(conn);
    if (conn->is_stream)
        end_stream(conn);
    observe(conn, bufferevent_get_input(conn->bev), 0); /* the next one, if it is pipelined */
}

/* As a timeout would: evhttp drops it without a word. It tells of that only where a request was. */
bool http_conns_end_idle(struct http_conns *conns)
{
    struct http_conn *conn = TAILQ_FIRST(&conns->idle);
    if (conn == NULL)
        return false;
    bool is_told = conn->has_closecb;
    bufferevent_trigger_event(conn->bev, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
    if (!is_told)
        forget(conn);
    return true;
}

/* ---- the scan -------------------------------------------------------------------------------- */

static bool is_dropped(const struct http_conn *conn)
{
    bufferevent_event_cb on_event = NULL;
    bufferevent_getcb(conn->bev, NULL, NULL, &on_event, NULL);
    return on_event == NULL; /* evhttp always has one while it lives */
}

static void scan_late(struct http_conn *conn)
{
    switch (conn->phase) {
    case HTTP_CONN_HEADERS:
    case HTTP_CONN_BODY: http_page_refuse(conn, &http_refusal_late); return;
    case HTTP_CONN_BUSY:
        if (conn->output_bytes == 0)
            return; /* the request waits, or its answer is a stream: its client need not do anything
                     */
        conn->phase = HTTP_CONN_ENDING;
        http_page_due(conn);
        return;
    case HTTP_CONN_REFUSING:
        conn->phase = HTTP_CONN_ENDING;
        http_page_due(conn);
        return;
    case HTTP_CONN_LINGER: forget(conn); return;
    case HTTP_CONN_IDLE:
    case HTTP_CONN_ENDING:
    case HTTP_CONN_REFUSED:
    case HTTP_CONN_OVER: return;
    }
}

static void scan_one(struct http_conn *conn, uint64_t now_ms)
{
    if (conn->phase == HTTP_CONN_OVER) {
        forget(conn);
    } else if (conn->phase != HTTP_CONN_LINGER && is_dropped(conn)) {
        if (conn->phase != HTTP_CONN_REFUSED) {
            forget(conn);
            return;
        }
        unwatch(conn);
        http_page_linger(conn, now_ms);
    } else if (now_ms >= conn->deadline_ms) {
        scan_late(conn);
    }
}

/* What many small pieces have taken stays with the allocator otherwise. One scan later: libevent
 * frees a bufferevent in the turn after its last reference has gone. */
static void give_memory_back(struct http_conns *conns)
{
    if (conns->is_trim_due)
        mem_trim();
    size_t bytes = conns->buffered_bytes + conns->large_bytes;
    if (conns->count > conns->peak_count)
        conns->peak_count = conns->count;
    conns->is_trim_due =
        (conns->peak_bytes >= TRIM_BYTES && bytes <= conns->peak_bytes / 8) ||
        (conns->peak_count >= TRIM_CONNECTIONS && conns->count <= conns->peak_count / 8);
    if (!conns->is_trim_due)
        return;
    conns->peak_bytes = bytes;
    conns->peak_count = conns->count;
}

void http_conns_scan(struct http_conns *conns, uint64_t now_ms)
{
    struct http_conn *next;
    for (struct http_conn *conn = TAILQ_FIRST(&conns->all); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, next);
        scan_one(conn, now_ms);
    }
    give_memory_back(conns);
}

bool http_conns_is_too_much(const struct http_conns *conns, size_t bytes)
{
    return bytes > LITTLE_BYTES && conns->buffered_bytes + bytes > conns->limits.buffered_bytes;
}

bool http_conns_may_answer(struct http_conns *conns, struct evhttp_request *request,
                           size_t answer_bytes)
{
    bool is_gone = evhttp_request_get_connection(request) == NULL; /* nothing is sent then */
    if (is_gone || !http_conns_is_too_much(conns, answer_bytes))
        return true;
    if (conns->large != NULL)
        return false;
    conns->large = http_conns_find(conns, request);
    conns->large_bytes = conns->large->output_bytes;
    conns->buffered_bytes -= conns->large_bytes;
    return true;
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
    TAILQ_INIT(&conns->idle);
    TAILQ_INIT(&conns->drained);
    http_pages_init(conns, base);
}

void http_conns_deinit(struct http_conns *conns)
{
    struct http_conn *conn;
    while ((conn = TAILQ_FIRST(&conns->all)) != NULL)
        forget(conn);
    http_pages_deinit(conns);
    *conns = (struct http_conns){0};
}
