/*
 * One peer connection as a bufferevent. A dial tries the addresses of its name one after the other
 * (libevent by itself takes only the first), each on a socket of its own.
 */
#include "io/link_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/write_now.h"

#include <errno.h>
#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_MAX (1u << 20)      /* bytes handed to libevent at a time */
#define OUTPUT_REFILL (256u << 10) /* below it there is more to hand over */
#define READ_MAX (256u << 10)      /* bytes of one read */
#define FLUSH_TIMEOUT_S 1

struct link_conn *link_conn_find(const struct link_set *set, peer_link link)
{
    struct link_conn *conn;
    TAILQ_FOREACH(conn, &set->conns, entry)
    {
        if (conn->link == link)
            return conn;
    }
    return NULL;
}

static struct link_conn *conn_new(struct link_set *set, peer_link link)
{
    struct link_conn *conn = mem_calloc(1, sizeof *conn);
    conn->set = set;
    conn->link = link;
    TAILQ_INSERT_TAIL(&set->conns, conn, entry);
    return conn;
}

static void drop_bufferevent(struct link_conn *conn)
{
    if (conn->bev != NULL)
        bufferevent_free(conn->bev);
    conn->bev = NULL;
}

static void drop_addresses(struct link_conn *conn)
{
    if (conn->addresses != NULL)
        evutil_freeaddrinfo(conn->addresses);
    conn->addresses = NULL;
    conn->next = NULL;
}

void link_conn_free(struct link_conn *conn)
{
    if (conn->lookup != NULL) {
        conn->lookup->conn = NULL;
        if (conn->lookup->request != NULL)
            evdns_getaddrinfo_cancel(conn->lookup->request);
    }
    drop_bufferevent(conn);
    drop_addresses(conn);
    TAILQ_REMOVE(&conn->set->conns, conn, entry);
    mem_free(conn);
}

/* The connection has failed or ended: tells the set, which may have let go of it already. */
static void conn_lost(struct link_conn *conn, const char *reason)
{
    if (!conn->closing)
        peer_set_on_closed(conn->set->peers, conn->link, reason, clock_now_ms());
    link_conn_free(conn);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

/* The write event is on only while something waits that the kernel did not take. */
void link_conn_fill(struct link_conn *conn)
{
    if (!conn->connected)
        return;
    struct evbuffer *from = peer_set_output(conn->set->peers, conn->link);
    struct evbuffer *to = bufferevent_get_output(conn->bev);
    if (from == NULL || evbuffer_get_length(from) == 0 || evbuffer_get_length(to) >= OUTPUT_MAX)
        return;
    size_t room = OUTPUT_MAX - evbuffer_get_length(to);
    bool waits = evbuffer_get_length(to) > 0;
    if (!waits)
        (void)bufferevent_disable(conn->bev, EV_WRITE);
    if (evbuffer_get_length(from) <= room)
        (void)evbuffer_add_buffer(to, from);
    else
        (void)evbuffer_remove_buffer(from, to, room);
    if (!waits && write_now(conn->bev) > 0)
        (void)bufferevent_enable(conn->bev, EV_WRITE);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct link_conn *conn = arg;
    struct peer_set *peers = conn->set->peers;
    if (conn->closing) {
        struct evbuffer *input = bufferevent_get_input(bev);
        (void)evbuffer_drain(input, evbuffer_get_length(input));
        return;
    }
    if (peer_set_event_bytes(peers) >= LINK_EVENT_BYTES_STOP) {
        conn->paused = true;
        (void)bufferevent_disable(bev, EV_READ);
        return;
    }
    peer_set_on_input(peers, conn->link, bufferevent_get_input(bev), clock_now_ms());
}

void link_conn_resume(struct link_conn *conn)
{
    if (!conn->paused)
        return;
    conn->paused = false;
    (void)bufferevent_enable(conn->bev, EV_READ);
    if (evbuffer_get_length(bufferevent_get_input(conn->bev)) > 0)
        on_read(conn->bev, conn);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct link_conn *conn = arg;
    if (!conn->closing)
        link_conn_fill(conn);
    else if (evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        link_conn_free(conn);
}

static void on_event(struct bufferevent *bev, short what, void *arg);

static void listen_to(struct link_conn *conn)
{
    bufferevent_setcb(conn->bev, on_read, on_write, on_event, conn);
}

/* Takes fd. */
static void attach(struct link_conn *conn, evutil_socket_t fd)
{
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    conn->bev = bufferevent_socket_new(conn->set->base, fd, BEV_OPT_CLOSE_ON_FREE);
    ASSERT_MSG(conn->bev != NULL, "bufferevent_socket_new failed");
    bufferevent_setwatermark(conn->bev, EV_WRITE, OUTPUT_REFILL, 0);
    (void)bufferevent_set_max_single_read(conn->bev, READ_MAX);
    (void)bufferevent_set_max_single_write(conn->bev, READ_MAX);
}

static void set_connected(struct link_conn *conn)
{
    conn->connected = true;
    drop_addresses(conn);
    (void)bufferevent_enable(conn->bev, EV_READ);
}

void link_conn_accept(struct link_set *set, peer_link link, evutil_socket_t fd)
{
    struct link_conn *conn = conn_new(set, link);
    attach(conn, fd);
    listen_to(conn);
    set_connected(conn);
}

/* ---- dialling ------------------------------------------------------------------------------- */

static bool try_address(struct link_conn *conn, const struct evutil_addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    attach(conn, fd);
    if (bufferevent_socket_connect(conn->bev, address->ai_addr, (int)address->ai_addrlen) == 0) {
        listen_to(conn); /* not before: a failure within the call would come twice */
        return true;
    }
    drop_bufferevent(conn);
    return false;
}

/* errno tells when it gives up. */
static void try_next(struct link_conn *conn)
{
    while (conn->next != NULL) {
        const struct evutil_addrinfo *address = conn->next;
        conn->next = address->ai_next;
        if (try_address(conn, address))
            return;
    }
    conn_lost(conn, strerror(errno));
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    struct link_conn *conn = arg;
    int error = EVUTIL_SOCKET_ERROR();
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        set_connected(conn);
        peer_set_on_connected(conn->set->peers, conn->link, clock_now_ms());
    } else if (!conn->connected && conn->next != NULL) {
        drop_bufferevent(conn);
        errno = error;
        try_next(conn);
    } else if ((what & BEV_EVENT_EOF) != 0) {
        conn_lost(conn, "closed by the other side");
    } else if ((what & BEV_EVENT_TIMEOUT) != 0) {
        conn_lost(conn, "timed out");
    } else {
        conn_lost(conn, evutil_socket_error_to_string(error));
    }
}

static void use_addresses(struct link_conn *conn, int result, struct evutil_addrinfo *addresses)
{
    conn->addresses = addresses;
    conn->next = addresses;
    if (result != 0 || addresses == NULL) {
        conn_lost(conn, result != 0 ? evutil_gai_strerror(result) : "name without an address");
        return;
    }
    errno = 0;
    try_next(conn);
}

static void on_lookup(int result, struct evutil_addrinfo *addresses, void *arg)
{
    struct link_lookup *lookup = arg;
    struct link_conn *conn = lookup->conn;
    lookup->done = true;
    if (lookup->started)
        mem_free(lookup);
    if (conn == NULL) {
        if (addresses != NULL)
            evutil_freeaddrinfo(addresses);
        return;
    }
    conn->lookup = NULL;
    use_addresses(conn, result, addresses);
}

/* Without name servers the names of the hosts file still work. */
static struct evdns_base *dns_of(struct link_set *set)
{
    if (set->dns == NULL)
        set->dns = evdns_base_new(set->base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                                 EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (set->dns == NULL) {
        set->dns = evdns_base_new(set->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (set->dns != NULL)
            (void)evdns_base_load_hosts(set->dns, "/etc/hosts");
    }
    return set->dns;
}

static void look_up(struct link_conn *conn, const char *host, const char *port,
                    const struct evutil_addrinfo *hints)
{
    struct evdns_base *dns = dns_of(conn->set);
    if (dns == NULL) {
        conn_lost(conn, "no resolver");
        return;
    }
    struct link_lookup *lookup = mem_calloc(1, sizeof *lookup);
    lookup->conn = conn;
    conn->lookup = lookup;
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(dns, host, port, hints, on_lookup, lookup);
    /* It may have answered already; then conn may be gone. */
    lookup->started = true;
    lookup->request = request;
    if (lookup->done)
        mem_free(lookup);
}

void link_conn_dial(struct link_set *set, peer_link link, const char *address)
{
    struct link_conn *conn = conn_new(set, link);
    struct addr addr;
    const char *why = NULL;
    if (addr_parse(address, strlen(address), &addr, &why) != ERR_OK) {
        conn_lost(conn, why);
        return;
    }
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)addr.port);
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_protocol = IPPROTO_TCP,
                                    .ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV};
    struct evutil_addrinfo *found = NULL;
    int result = evutil_getaddrinfo(addr.host, port, &hints, &found);
    if (result == EVUTIL_EAI_NONAME) {
        hints.ai_flags = EVUTIL_AI_NUMERICSERV;
        look_up(conn, addr.host, port, &hints);
        return;
    }
    use_addresses(conn, result, found);
}

/* ---- the end -------------------------------------------------------------------------------- */

void link_conn_close(struct link_conn *conn, bool flush)
{
    if (!flush || !conn->connected) {
        link_conn_free(conn);
        return;
    }
    link_conn_fill(conn);
    conn->closing = true;
    conn->paused = false;
    if (evbuffer_get_length(bufferevent_get_output(conn->bev)) == 0) {
        link_conn_free(conn);
        return;
    }
    const struct timeval timeout = {.tv_sec = FLUSH_TIMEOUT_S, .tv_usec = 0};
    bufferevent_setwatermark(conn->bev, EV_WRITE, 0, 0);
    (void)bufferevent_set_timeouts(conn->bev, NULL, &timeout);
}
