/*
 * evhttp's requests to api and api's answers back. An answer may come many turns later: until then
 * the evhttp_request waits in a table under its token, untouched (reading on its connection is off,
 * so that a client that goes away is noticed only by writing to it, which evhttp survives).
 */
#include "io/http.h"
#include "base/assert.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/http_answer.h"
#include "io/http_check.h"
#include "io/http_conn.h"
#include "io/http_stream.h"

#include <errno.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define SCAN_MS 100
#define ACCEPT_PAUSE_MS 200 /* after EMFILE and the like */
#define LISTENERS_MAX 8
#define BACKLOG 1024

struct waiting {
    uint64_t token; /* key */
    struct evhttp_request *request;
    struct http_server *server;
    struct event *closed; /* NULL: nobody needs to know that the client has gone */
    UT_hash_handle hh;
};

struct http_server {
    struct event_base *base;
    struct api *api;
    const struct logger *logger;
    struct http_options options;
    struct evhttp *evhttp;
    struct http_conns conns;
    struct http_streams streams;
    struct event *scan_timer;
    struct evconnlistener *listeners[LISTENERS_MAX]; /* owned by evhttp */
    struct evhttp_bound_socket *bound[LISTENERS_MAX];
    size_t listener_count;
    uint16_t port;
    bool paused; /* listeners are disabled: too many connections or files */
    bool stopping;
    uint64_t resume_ms;
    struct waiting *waiting; /* uthash */
    uint64_t last_token;
    LIST_ENTRY(http_server) entry;
};

/* evhttp passes itself, not us, to the error callback of a listener that it has taken over, and has
 * no place for an argument of ours: the one list of the process finds the way back. */
static LIST_HEAD(, http_server) servers = LIST_HEAD_INITIALIZER(servers);

/* ---- clients that go ------------------------------------------------------------------------- */

static void waiting_free(struct waiting *waiting)
{
    HASH_DEL(waiting->server->waiting, waiting);
    if (waiting->closed != NULL)
        event_free(waiting->closed);
    mem_free(waiting);
}

static void on_client_gone(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct waiting *waiting = arg;
    if (api_wants_gone(waiting->server->api, waiting->token))
        api_gone(waiting->server->api, waiting->token, clock_now_ms());
}

/* Without reading, which evhttp does not bear while a request waits for its answer. The connection
 * stays as long as it does. Without epoll it is not noticed. */
static void watch_client(struct waiting *waiting)
{
    struct http_conn *conn = http_conns_find(&waiting->server->conns, waiting->request);
    waiting->closed = event_new(waiting->server->base, bufferevent_getfd(conn->bev), EV_CLOSED,
                                on_client_gone, waiting);
    ASSERT_MSG(waiting->closed != NULL, "out of memory");
    (void)event_add(waiting->closed, NULL);
}

/* ---- accepting ------------------------------------------------------------------------------- */

static void pause_accepting(struct http_server *server, uint64_t for_ms)
{
    uint64_t resume_ms = clock_now_ms() + for_ms;
    server->resume_ms = resume_ms > server->resume_ms ? resume_ms : server->resume_ms;
    if (server->paused)
        return;
    server->paused = true;
    for (size_t i = 0; i < server->listener_count; i++)
        (void)evconnlistener_disable(server->listeners[i]);
}

static void maybe_resume_accepting(struct http_server *server, uint64_t now_ms)
{
    if (!server->paused || server->stopping || now_ms < server->resume_ms ||
        (server->conns.count >= server->options.connections && TAILQ_EMPTY(&server->conns.idle)))
        return;
    server->paused = false;
    for (size_t i = 0; i < server->listener_count; i++)
        (void)evconnlistener_enable(server->listeners[i]);
}

static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
    (void)base;
    struct http_server *server = arg;
    struct http_conns *conns = &server->conns;
    if (conns->count >= server->options.connections)
        (void)http_conns_end_idle(conns);
    bool is_full = conns->count + 1 >= server->options.connections && TAILQ_EMPTY(&conns->idle);
    struct bufferevent *bev = http_conns_accept(conns);
    if (is_full) { /* the next one would find nobody but this one to close */
        log_warn(server->logger, "http connection limit reached connections=%zu",
                 server->conns.count);
        pause_accepting(server, 0);
    }
    return bev;
}

/* Nobody could be closed for the next one. */
static void on_none_idle(void *arg)
{
    struct http_server *server = arg;
    if (server->conns.count >= server->options.connections)
        pause_accepting(server, 0);
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    int error = errno;
    struct http_server *server;
    (void)listener;
    LIST_FOREACH(server, &servers, entry)
    {
        if (server->evhttp != arg)
            continue;
        log_warn(server->logger, "http accept failed error=\"%s\"", strerror(error));
        pause_accepting(server, ACCEPT_PAUSE_MS);
    }
}

static void on_scan(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_server *server = arg;
    uint64_t now_ms = clock_now_ms();
    http_streams_scan(&server->streams, now_ms);
    http_conns_scan(&server->conns, now_ms);
    maybe_resume_accepting(server, now_ms);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void on_complete(struct evhttp_request *request, void *arg)
{
    struct http_server *server = arg;
    http_conns_on_answered(&server->conns, request);
}

static void add_header(struct evhttp_request *request, const char *name, const char *value)
{
    /* fails only for line breaks in it, which api never makes */
    ASSERT(evhttp_add_header(evhttp_request_get_output_headers(request), name, value) == 0);
}

/* Only what has been read has a body of some size, so nothing is undone by not sending it. */
static void bound_answer(struct http_server *server, struct evhttp_request *request,
                         struct api_response *response)
{
    size_t len = response->body != NULL ? evbuffer_get_length(response->body) : 0;
    if (response->head || http_conns_may_answer(&server->conns, request, len))
        return;
    evbuffer_free(response->body);
    api_refusal_response(response, evhttp_request_get_uri(request), 429, "overloaded",
                         "too many bytes of answers wait for their clients; try again");
}

static void answer(struct http_server *server, struct evhttp_request *request,
                   struct api_response *response, uint64_t now_ms)
{
    bool is_gone = evhttp_request_get_connection(request) == NULL;
    struct http_conn *conn = is_gone ? NULL : http_conns_find(&server->conns, request);
    bool is_stream = response->stream || response->websocket;
    if (conn != NULL)
        http_conns_end_wait(conn, is_stream);
    if (is_stream) {
        if (http_streams_begin(&server->streams, request, response, now_ms))
            return;
    } else {
        bound_answer(server, request, response);
    }
    http_answer_send(request, response, server->stopping);
    if (conn != NULL)
        http_answer_flush(conn);
}

void http_server_pump(struct http_server *server, uint64_t now_ms)
{
    struct api_response response;
    while (api_next_response(server->api, &response, now_ms)) {
        struct waiting *waiting = NULL;
        HASH_FIND(hh, server->waiting, &response.token, sizeof response.token, waiting);
        ASSERT_MSG(waiting != NULL, "an answer without a request, or a second one");
        struct evhttp_request *request = waiting->request;
        waiting_free(waiting);
        answer(server, request, &response, now_ms);
    }
    http_streams_pump(&server->streams, now_ms);
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum api_method method_of(struct evhttp_request *request)
{
    enum evhttp_cmd_type type = evhttp_request_get_command(request);
    if (type == EVHTTP_REQ_GET)
        return API_GET;
    if (type == EVHTTP_REQ_HEAD)
        return API_HEAD;
    if (type == EVHTTP_REQ_PUT)
        return API_PUT;
    if (type == EVHTTP_REQ_POST)
        return API_POST;
    if (type == EVHTTP_REQ_OPTIONS)
        return API_OPTIONS;
    return type == EVHTTP_REQ_DELETE ? API_DELETE : API_OTHER;
}

static void refuse(struct evhttp_request *request, const struct http_refusal *refusal)
{
    struct api_response response = {.head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD};
    api_refusal_response(&response, evhttp_request_get_uri(request), refusal->status, refusal->code,
                         refusal->text);
    http_answer_send(request, &response, true);
}

static void hand_over(struct http_server *server, struct http_conn *conn,
                      struct evhttp_request *request)
{
    struct evkeyvalq *input = evhttp_request_get_input_headers(request);
    struct evkeyval *header;
    struct api_header *headers = NULL;
    size_t count = 0;
    size_t cap = 0;
    TAILQ_FOREACH(header, input, next)
    {
        headers = mem_grow(headers, count, &cap, sizeof *headers);
        headers[count++] = (struct api_header){.name = header->key, .value = header->value};
    }
    struct waiting *waiting = mem_calloc(1, sizeof *waiting);
    waiting->token = ++server->last_token;
    waiting->request = request;
    waiting->server = server;
    HASH_ADD(hh, server->waiting, token, sizeof waiting->token, waiting);
    struct api_request value = {
        .method = method_of(request),
        .target = evhttp_request_get_uri(request),
        .headers = headers,
        .header_count = count,
        .body = evhttp_request_get_input_buffer(request),
    };
    api_handle(server->api, waiting->token, &value, clock_now_ms());
    mem_free(headers);
    http_conns_begin_wait(conn);
    if (api_wants_gone(server->api, waiting->token))
        watch_client(waiting);
    /* node has its copy: a body that waits for its answer would count twice */
    struct evbuffer *body = evhttp_request_get_input_buffer(request);
    (void)evbuffer_drain(body, evbuffer_get_length(body));
}

/* What a browser wants to see before it shows an answer to a page of another origin (CORS). */
static void allow_origin(const struct http_server *server, struct evhttp_request *request)
{
    if (server->options.allow_origin == NULL)
        return;
    add_header(request, "Access-Control-Allow-Origin", server->options.allow_origin);
    add_header(request, "Access-Control-Expose-Headers", "*");
}

/* Its question before a request that a plain form could not make. */
static bool is_preflight(const struct http_server *server, struct evhttp_request *request)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    return server->options.allow_origin != NULL &&
           evhttp_request_get_command(request) == EVHTTP_REQ_OPTIONS &&
           evhttp_find_header(headers, "Origin") != NULL &&
           evhttp_find_header(headers, "Access-Control-Request-Method") != NULL;
}

static void answer_preflight(struct evhttp_request *request)
{
    struct api_response response = {.status = 204};
    add_header(request, "Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, DELETE");
    add_header(request, "Access-Control-Allow-Headers",
               "Accept, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID");
    add_header(request, "Access-Control-Max-Age", "600");
    http_answer_send(request, &response, false);
}

static void on_request(struct evhttp_request *request, void *arg)
{
    struct http_server *server = arg;
    struct http_conn *conn = http_conns_on_request(&server->conns, request);
    evhttp_request_set_on_complete_cb(request, on_complete, server);
    const char *why = conn->has_nul ? "a header has a NUL byte" : http_check_framing(request);
    allow_origin(server, request);
    if (conn->refusal != NULL) /* found in the last bytes of the body */
        refuse(request, conn->refusal);
    else if (why != NULL)
        refuse(request, &(struct http_refusal){400, "bad_request", why});
    else if (http_check_is_foreign(request, server->options.allow_origin))
        refuse(request, &(struct http_refusal){403, "foreign_origin",
                                               "a page of another origin may not do this; [http] "
                                               "allow_origin names one that may"});
    else if (is_preflight(server, request))
        answer_preflight(request);
    else
        hand_over(server, conn, request);
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct http_options with_defaults(const struct http_options *given)
{
    struct http_options o = *given;
    o.header_timeout_ms = o.header_timeout_ms > 0 ? o.header_timeout_ms : 5000;
    o.body_timeout_ms = o.body_timeout_ms > 0 ? o.body_timeout_ms : 5000;
    o.bytes_per_s = o.bytes_per_s > 0 ? o.bytes_per_s : 16384;
    o.idle_timeout_ms = o.idle_timeout_ms > 0 ? o.idle_timeout_ms : 120000;
    o.header_bytes = o.header_bytes > 0 ? o.header_bytes : 80u << 10;
    o.body_bytes = o.body_bytes > 0 ? o.body_bytes : 8u << 20;
    o.buffered_bytes = o.buffered_bytes > 0 ? o.buffered_bytes : 64u << 20;
    o.connections = o.connections > 0 ? o.connections : 16384;
    return o;
}

static struct evhttp *make_evhttp(struct http_server *server)
{
    const struct http_options *options = &server->options;
    struct evhttp *evhttp = evhttp_new(server->base);
    ASSERT_MSG(evhttp != NULL, "out of memory");
    struct timeval idle = {
        .tv_sec = (time_t)(options->idle_timeout_ms / 1000),
        .tv_usec = (suseconds_t)(options->idle_timeout_ms % 1000 * 1000),
    };
    evhttp_set_timeout_tv(evhttp, &idle);
    evhttp_set_max_headers_size(evhttp, (ev_ssize_t)options->header_bytes);
    evhttp_set_max_body_size(evhttp, (ev_ssize_t)options->body_bytes);
    evhttp_set_default_content_type(evhttp, NULL);
    evhttp_set_allowed_methods(evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                           EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
                                           EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT |
                                           EVHTTP_REQ_PATCH);
    evhttp_set_bevcb(evhttp, on_accept, server);
    evhttp_set_gencb(evhttp, on_request, server);
    return evhttp;
}

static size_t message_bound(const struct http_options *options)
{
    return options->body_bytes < API_MESSAGE_BYTES ? options->body_bytes : API_MESSAGE_BYTES;
}

struct http_server *http_server_new(struct event_base *base, struct api *api,
                                    const struct http_options *options, const struct logger *logger)
{
    struct http_server *server = mem_calloc(1, sizeof *server);
    server->base = base;
    server->api = api;
    server->logger = logger;
    server->options = with_defaults(options);
    http_conns_init(&server->conns, base,
                    &(struct http_conn_limits){
                        server->options.header_timeout_ms, server->options.body_timeout_ms,
                        server->options.bytes_per_s, server->options.idle_timeout_ms,
                        server->options.header_bytes, server->options.buffered_bytes});
    server->conns.on_none_idle = on_none_idle;
    server->conns.idle_arg = server;
    http_streams_init(&server->streams, api, &server->conns, server->options.idle_timeout_ms,
                      message_bound(&server->options));
    server->evhttp = make_evhttp(server);
    LIST_INSERT_HEAD(&servers, server, entry);
    server->scan_timer = event_new(base, -1, EV_PERSIST, on_scan, server);
    ASSERT_MSG(server->scan_timer != NULL, "out of memory");
    ASSERT(event_add(server->scan_timer, &(struct timeval){.tv_usec = SCAN_MS * 1000}) == 0);
    return server;
}

/* Without its connection a request would belong to nobody: an answer frees it. There are some only
 * where the node did not come to its end before, so nobody knows what becomes of a write. */
static void answer_abandoned(struct evhttp_request *request)
{
    enum evhttp_cmd_type type = evhttp_request_get_command(request);
    const char *target = evhttp_request_get_uri(request);
    struct api_response response = {.head = type == EVHTTP_REQ_HEAD};
    if (type == EVHTTP_REQ_GET || type == EVHTTP_REQ_HEAD)
        api_refusal_response(&response, target, 503, "stopping", "the server is stopping");
    else
        api_refusal_response(&response, target, 504, "outcome_unknown",
                             "it may or may not be done: the server is stopping");
    http_answer_send(request, &response, true);
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    struct waiting *waiting;
    struct waiting *next;
    HASH_ITER(hh, server->waiting, waiting, next)
    {
        struct evhttp_request *request = waiting->request;
        waiting_free(waiting);
        answer_abandoned(request);
    }
    LIST_REMOVE(server, entry);
    http_streams_deinit(&server->streams);
    server->conns.on_none_idle = NULL; /* the listeners go */
    evhttp_free(server->evhttp);
    http_conns_deinit(&server->conns);
    event_free(server->scan_timer);
    mem_free(server);
}

/* ---- listening ------------------------------------------------------------------------------- */

static struct addrinfo *resolve(const struct addr *addr, struct buf *why)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", addr->port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(addr->host, port, &hints, &found);
    if (code != 0)
        buf_printf(why, "cannot resolve %s: %s", addr->host, gai_strerror(code));
    return code == 0 ? found : NULL;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return 0;
    if (bound.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
    return ntohs(((struct sockaddr_in *)&bound)->sin_port);
}

enum err http_server_listen(struct http_server *server, const struct addr *addr, struct buf *why)
{
    ASSERT(server->listener_count < LISTENERS_MAX && !server->stopping);
    struct addrinfo *found = resolve(addr, why);
    if (found == NULL)
        return ERR_NOT_FOUND;
    unsigned flags = LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE;
    struct evconnlistener *listener = evconnlistener_new_bind(
        server->base, NULL, NULL, flags, BACKLOG, found->ai_addr, (int)found->ai_addrlen);
    int failure = errno;
    freeaddrinfo(found);
    if (listener == NULL) {
        buf_printf(why, "cannot listen on %s port %u: %s", addr->host, addr->port,
                   strerror(failure));
        return ERR_IO;
    }
    size_t at = server->listener_count++;
    server->listeners[at] = listener;
    server->bound[at] = evhttp_bind_listener(server->evhttp, listener);
    ASSERT_MSG(server->bound[at] != NULL, "out of memory");
    evconnlistener_set_error_cb(listener, on_accept_error);
    if (server->port == 0)
        server->port = port_of(evconnlistener_get_fd(listener));
    return ERR_OK;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_stop_accepting(struct http_server *server)
{
    if (!server->stopping)
        http_streams_stop(&server->streams, clock_now_ms());
    server->stopping = true;
    for (size_t i = 0; i < server->listener_count; i++)
        evhttp_del_accept_socket(server->evhttp, server->bound[i]);
    server->listener_count = 0;
}

size_t http_server_pending(const struct http_server *server)
{
    return HASH_COUNT(server->waiting);
}

size_t http_server_unsent(const struct http_server *server)
{
    return http_conns_busy(&server->conns);
}

size_t http_server_connections(const struct http_server *server)
{
    return server->conns.count;
}
