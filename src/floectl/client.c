/* evhttp's client, driven until its request has ended. */
#include "floectl/client.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/util.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A node that has no leader says so after 5 s: that is to be heard. */
enum { QUIET_MS = 6000, ROUND_PAUSE_MS = 200 };

struct ctl_client {
    struct event_base *base;
    struct ctl_endpoints endpoints;
    size_t at; /* the node that answered last */
    uint64_t timeout_ms;
};

/* One try. */
struct attempt {
    struct ctl_client *client;
    const struct ctl_request *request;
    struct ctl_response *out;
    bool done;   /* a whole answer is there */
    bool broken; /* the connection was there and went, or was silent */
    bool enough; /* on_data wants no more */
    const char *why;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- endpoints ---- */

static bool same_addr(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

void endpoints_add(struct ctl_endpoints *endpoints, const struct addr *addr)
{
    for (size_t i = 0; i < endpoints->count; i++)
        if (same_addr(&endpoints->list[i], addr))
            return;
    if (endpoints->count < CTL_ENDPOINTS_MAX)
        endpoints->list[endpoints->count++] = *addr;
}

enum err endpoints_parse(const char *text, struct ctl_endpoints *out, struct buf *why)
{
    struct ctl_endpoints found = {.count = 0};
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        const char *reason;
        struct addr addr;
        if (addr_parse(at, len, &addr, &reason) != ERR_OK) {
            buf_printf(why, "'%.*s' is no node's address: %s", (int)len, at, reason);
            return ERR_INVALID;
        }
        if (found.count == CTL_ENDPOINTS_MAX) {
            buf_printf(why, "more than %d nodes", CTL_ENDPOINTS_MAX);
            return ERR_INVALID;
        }
        endpoints_add(&found, &addr);
        at += len;
        if (*at == 0)
            break;
    }
    *out = found;
    return ERR_OK;
}

/* ---- one try ---- */

static uint64_t header_number(struct evkeyvalq *headers, const char *name)
{
    const char *text = evhttp_find_header(headers, name);
    uint64_t value;
    if (text == NULL)
        return 0;
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    return parse_u64(text, len, &value) == ERR_OK ? value : 0;
}

static void on_chunk(struct evhttp_request *req, void *arg)
{
    struct attempt *attempt = arg;
    struct evbuffer *input = evhttp_request_get_input_buffer(req);
    if (attempt->request->on_data != NULL && evhttp_request_get_response_code(req) == 200) {
        if (!attempt->enough && !attempt->request->on_data(attempt->request->arg, input)) {
            attempt->enough = true;
            (void)event_base_loopbreak(attempt->client->base);
        }
        return;
    }
    size_t len = evbuffer_get_length(input);
    buf_add(&attempt->out->body, evbuffer_pullup(input, -1), len);
}

static void on_error(enum evhttp_request_error error, void *arg)
{
    struct attempt *attempt = arg;
    attempt->broken = true;
    switch (error) {
    case EVREQ_HTTP_TIMEOUT: attempt->why = "no answer in time"; break;
    case EVREQ_HTTP_EOF: attempt->why = "the connection was closed before the answer"; break;
    case EVREQ_HTTP_INVALID_HEADER: attempt->why = "what answered does not speak HTTP"; break;
    case EVREQ_HTTP_BUFFER_ERROR: attempt->why = "the connection broke"; break;
    case EVREQ_HTTP_REQUEST_CANCEL: attempt->why = "canceled"; break;
    case EVREQ_HTTP_DATA_TOO_LONG: attempt->why = "the answer is too long"; break;
    }
}

/* libevent calls this without a status if there was no connection, and after on_error. */
static void on_done(struct evhttp_request *req, void *arg)
{
    struct attempt *attempt = arg;
    int status = req != NULL ? evhttp_request_get_response_code(req) : 0;
    if (status != 0 && !attempt->broken) {
        struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
        attempt->done = true;
        attempt->out->status = status;
        attempt->out->revision = header_number(headers, "X-Floe-Revision");
        attempt->out->tag = header_number(headers, "ETag");
        attempt->out->lease = header_number(headers, "X-Floe-Lease");
    } else if (!attempt->broken) {
        attempt->why = "cannot connect: no node runs there";
    }
    (void)event_base_loopbreak(attempt->client->base);
}

static void add_headers(struct evhttp_request *req, const char *host,
                        const struct ctl_request *request)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    (void)evhttp_add_header(headers, "Host", host);
    (void)evhttp_add_header(headers, "Connection", "close");
    for (size_t i = 0; i < CTL_HEADERS_MAX && request->headers[i].name != NULL; i++)
        (void)evhttp_add_header(headers, request->headers[i].name, request->headers[i].value);
    if (request->body != NULL)
        (void)evbuffer_add(evhttp_request_get_output_buffer(req), request->body, request->body_len);
}

static void set_quiet_time(struct evhttp_connection *connection, uint64_t quiet_ms)
{
    struct timeval time = {.tv_sec = (time_t)(quiet_ms / 1000),
                           .tv_usec = (suseconds_t)(quiet_ms % 1000 * 1000)};
    evhttp_connection_set_timeout_tv(connection, &time);
}

static void run_attempt(struct attempt *attempt, const struct addr *node, uint64_t quiet_ms)
{
    const struct ctl_request *request = attempt->request;
    struct evhttp_connection *connection =
        evhttp_connection_base_new(attempt->client->base, NULL, node->host, node->port);
    struct evhttp_request *req = evhttp_request_new(on_done, attempt);
    ASSERT(connection != NULL && req != NULL);
    set_quiet_time(connection, quiet_ms);
    evhttp_request_set_chunked_cb(req, on_chunk);
    evhttp_request_set_error_cb(req, on_error);
    add_headers(req, attempt->out->node, request);
    /* On failure it has freed the request; on_done may have been called. */
    if (evhttp_make_request(connection, req, request->method, request->path) == 0 &&
        attempt->why == NULL && !attempt->done)
        (void)event_base_dispatch(attempt->client->base);
    else if (attempt->why == NULL)
        attempt->why = "cannot connect: no node runs there";
    evhttp_connection_free(connection);
}

void client_call_one(struct ctl_client *client, const struct addr *node,
                     const struct ctl_request *request, struct ctl_response *out)
{
    struct attempt attempt = {.client = client, .request = request, .out = out};
    *out = (struct ctl_response){.outcome = CTL_NOBODY};
    addr_format(node, out->node);
    run_attempt(&attempt, node, request->quiet_ms != 0 ? request->quiet_ms : QUIET_MS);
    if (attempt.enough)
        out->status = 200;
    if (attempt.done || attempt.enough) {
        out->outcome = CTL_ANSWERED;
        return;
    }
    out->outcome = attempt.broken ? CTL_UNKNOWN : CTL_NOBODY;
    buf_printf(&out->tried, "  %s: %s\n", out->node,
               attempt.why != NULL ? attempt.why : "no answer");
}

/* ---- until one answers ---- */

static bool is_final(const struct ctl_request *request, const struct ctl_response *response)
{
    if (response->outcome == CTL_ANSWERED)
        return response->status != 503 && !(response->status == 504 && request->repeatable);
    return response->outcome == CTL_UNKNOWN && !request->repeatable;
}

/* What is remembered of earlier tries goes into the newest one's response. */
static void note_failure(struct buf *tried, struct ctl_response *response)
{
    if (response->outcome == CTL_ANSWERED)
        buf_printf(tried, "  %s: %d %.*s\n", response->node, response->status,
                   (int)response->body.len, (const char *)response->body.data);
    else
        buf_add(tried, response->tried.data, response->tried.len);
}

/* Only the last round's failures are worth telling. */
static void begin_round(struct ctl_client *client, struct buf *tried, size_t tries)
{
    if (tries == 0 || tries % client->endpoints.count != 0)
        return;
    buf_clear(tried);
    client_pause(ROUND_PAUSE_MS);
}

void client_call(struct ctl_client *client, const struct ctl_request *request,
                 struct ctl_response *out)
{
    uint64_t deadline_ms = now_ms() + client->timeout_ms;
    struct buf tried = {0};
    bool maybe_done = false;
    for (size_t tries = 0;; tries++) {
        begin_round(client, &tried, tries);
        client_call_one(client, &client->endpoints.list[client->at], request, out);
        if (is_final(request, out))
            break;
        maybe_done |= out->outcome == CTL_UNKNOWN || out->status == 504;
        note_failure(&tried, out);
        client->at = (client->at + 1) % client->endpoints.count;
        bool round_over = (tries + 1) % client->endpoints.count == 0;
        if (round_over && now_ms() + ROUND_PAUSE_MS >= deadline_ms) {
            bool unknown = maybe_done && request->method != EVHTTP_REQ_GET;
            out->outcome = unknown ? CTL_UNKNOWN : CTL_NOBODY;
            break;
        }
        client_response_deinit(out);
    }
    buf_deinit(&out->tried);
    if (out->outcome == CTL_UNKNOWN && tried.len == 0)
        buf_printf(&tried, "  %s: no whole answer\n", out->node);
    out->tried = tried;
}

void client_response_deinit(struct ctl_response *response)
{
    buf_deinit(&response->body);
    buf_deinit(&response->tried);
}

/* ---- the rest ---- */

struct ctl_client *client_new(const struct ctl_endpoints *endpoints, uint64_t timeout_ms)
{
    ASSERT(endpoints->count > 0);
    struct ctl_client *client = mem_calloc(1, sizeof *client);
    client->base = event_base_new();
    ASSERT_MSG(client->base != NULL, "no event loop");
    client->endpoints = *endpoints;
    client->timeout_ms = timeout_ms;
    return client;
}

void client_free(struct ctl_client *client)
{
    event_base_free(client->base);
    mem_free(client);
}

void client_pause(uint64_t pause_ms)
{
    struct timespec time = {.tv_sec = (time_t)(pause_ms / 1000),
                            .tv_nsec = (long)(pause_ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

void client_new_key(char *out)
{
    uint64_t random[2];
    evutil_secure_rng_get_bytes(random, sizeof random);
    (void)snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
}
