/* Listening, and the pump that turns the peer_set's wishes into connections. */
#include "io/link.h"

#include "base/assert.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/link_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define BACKLOG 128
#define ACCEPT_PAUSE_MS 100

/* ---- accepting ------------------------------------------------------------------------------ */

static void describe(const struct sockaddr *address, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    bool v6 = address->sa_family == AF_INET6;
    if (v6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
        port = ntohs(in6.sin6_port);
    } else if (address->sa_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, address, sizeof in4);
        (void)inet_ntop(AF_INET, &in4.sin_addr, host, sizeof host);
        port = ntohs(in4.sin_port);
    }
    (void)snprintf(out, size, v6 ? "[%s]:%u" : "%s:%u", host, port);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int len, void *arg)
{
    (void)listener;
    (void)len;
    struct link_set *set = arg;
    char where[INET6_ADDRSTRLEN + 16];
    describe(address, where, sizeof where);
    peer_link link = peer_set_on_accept(set->peers, where, clock_now_ms());
    if (link == 0)
        (void)evutil_closesocket(fd);
    else
        link_conn_accept(set, link, fd);
}

static void on_accept_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct link_set *set = arg;
    for (size_t i = 0; i < set->listener_count; i++)
        (void)evconnlistener_enable(set->listeners[i]);
}

/* Out of descriptors: the connection stays in the backlog and would wake us again at once. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct link_set *set = arg;
    log_warn(set->logger, "peer listener paused ms=%d why=\"%s\"", ACCEPT_PAUSE_MS,
             evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    (void)evconnlistener_disable(listener);
    const struct timeval pause = {.tv_sec = 0, .tv_usec = ACCEPT_PAUSE_MS * 1000};
    (void)evtimer_add(set->accept_timer, &pause);
}

static bool listen_on(struct link_set *set, const struct evutil_addrinfo *address, bool v6_only)
{
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    if (v6_only && address->ai_family == AF_INET6)
        flags |= LEV_OPT_BIND_IPV6ONLY;
    struct evconnlistener *listener = evconnlistener_new_bind(
        set->base, on_accept, set, flags, BACKLOG, address->ai_addr, (int)address->ai_addrlen);
    if (listener == NULL)
        return false;
    evconnlistener_set_error_cb(listener, on_accept_error);
    set->listeners[set->listener_count++] = listener;
    return true;
}

enum err link_set_listen(struct link_set *set, const struct addr *listen_address, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    addr_format(listen_address, text);
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)listen_address->port);
    const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                          .ai_socktype = SOCK_STREAM,
                                          .ai_protocol = IPPROTO_TCP,
                                          .ai_flags = EVUTIL_AI_PASSIVE | EVUTIL_AI_NUMERICSERV};
    struct evutil_addrinfo *found = NULL;
    int result = evutil_getaddrinfo(listen_address->host, port, &hints, &found);
    if (result != 0) {
        buf_printf(why, "cannot find the address %s: %s", text, evutil_gai_strerror(result));
        return ERR_IO;
    }
    size_t before = set->listener_count;
    int error = 0;
    bool several = found != NULL && found->ai_next != NULL;
    for (const struct evutil_addrinfo *at = found;
         at != NULL && set->listener_count < LINK_LISTENERS_MAX; at = at->ai_next) {
        if (!listen_on(set, at, several))
            error = errno;
    }
    if (found != NULL)
        evutil_freeaddrinfo(found);
    if (set->listener_count > before)
        return ERR_OK;
    buf_printf(why, "cannot listen on %s: %s", text, strerror(error));
    return ERR_IO;
}

void link_set_stop_accepting(struct link_set *set)
{
    (void)evtimer_del(set->accept_timer);
    for (size_t i = 0; i < set->listener_count; i++)
        evconnlistener_free(set->listeners[i]);
    set->listener_count = 0;
}

/* ---- the set -------------------------------------------------------------------------------- */

struct link_set *link_set_new(struct event_base *base, struct peer_set *peers,
                              const struct logger *logger)
{
    struct link_set *set = mem_calloc(1, sizeof *set);
    set->base = base;
    set->peers = peers;
    set->logger = logger;
    TAILQ_INIT(&set->conns);
    set->accept_timer = evtimer_new(base, on_accept_timer, set);
    ASSERT_MSG(set->accept_timer != NULL, "event_new failed");
    return set;
}

void link_set_free(struct link_set *set)
{
    if (set == NULL)
        return;
    link_set_stop_accepting(set);
    while (!TAILQ_EMPTY(&set->conns))
        link_conn_free(TAILQ_FIRST(&set->conns));
    if (set->dns != NULL)
        evdns_base_free(set->dns, 0);
    event_free(set->accept_timer);
    mem_free(set);
}

static void run_actions(struct link_set *set)
{
    struct peer_action action;
    while (peer_set_next_action(set->peers, &action)) {
        struct link_conn *conn = link_conn_find(set, action.link);
        switch (action.type) {
        case PEER_ACTION_DIAL: link_conn_dial(set, action.link, action.address); break;
        case PEER_ACTION_CLOSE:
            if (conn != NULL)
                link_conn_close(conn, action.flush);
            break;
        }
    }
}

/* Links that were paused come back in turn: each may bring the events over the bound again. */
static void resume_paused(struct link_set *set)
{
    struct link_conn *conn;
    TAILQ_FOREACH(conn, &set->conns, entry)
    {
        if (peer_set_event_bytes(set->peers) > LINK_EVENT_BYTES_GO)
            return;
        if (!conn->closing)
            link_conn_resume(conn);
    }
}

void link_set_pump(struct link_set *set, uint64_t now_ms)
{
    (void)now_ms; /* callbacks come between pumps and read the clock themselves */
    resume_paused(set);
    run_actions(set);
    peer_link link;
    while ((link = peer_set_next_dirty(set->peers)) != 0) {
        struct link_conn *conn = link_conn_find(set, link);
        if (conn != NULL)
            link_conn_fill(conn);
    }
}
