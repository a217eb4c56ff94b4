/* What link.c (listening, the pump) and link_conn.c (one connection) share. */
#ifndef IO_LINK_INTERNAL_H
#define IO_LINK_INTERNAL_H

#include "io/link.h"

#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define LINK_LISTENERS_MAX 8
#define LINK_EVENT_BYTES_STOP (16u << 20) /* events that wait: links over it are not read */
#define LINK_EVENT_BYTES_GO (4u << 20)    /* they are read again */

struct link_conn;

/* A name that is being looked up. Outlives its connection: evdns answers even when cancelled. */
struct link_lookup {
    struct link_conn *conn; /* NULL: gone meanwhile */
    struct evdns_getaddrinfo_request *request;
    bool started; /* evdns_getaddrinfo has returned */
    bool done;    /* answered before it returned */
};

struct link_conn {
    TAILQ_ENTRY(link_conn) entry;
    struct link_set *set;
    peer_link link;
    struct bufferevent *bev; /* NULL: name is being looked up */
    struct link_lookup *lookup;
    struct evutil_addrinfo *addresses; /* dialled: all of them; NULL once connected */
    struct evutil_addrinfo *next;      /* the one to try if the present one fails */
    bool connected;
    bool closing; /* the set has let go of it: only its output is still sent */
    bool paused;  /* input waits until the node has taken its events */
};

struct link_set {
    struct event_base *base;
    struct peer_set *peers;
    const struct logger *logger;
    struct evdns_base *dns; /* made when the first name is dialled */
    struct evconnlistener *listeners[LINK_LISTENERS_MAX];
    size_t listener_count;
    struct event *accept_timer; /* listeners are paused while it runs */
    TAILQ_HEAD(link_conns, link_conn) conns;
};

struct link_conn *link_conn_find(const struct link_set *set, peer_link link);
/* Takes fd, which is connected. */
void link_conn_accept(struct link_set *set, peer_link link, evutil_socket_t fd);
/* Starts a connection to "host:port"; a failure is told to the peer_set, now or later. */
void link_conn_dial(struct link_set *set, peer_link link, const char *address);
/* The set is done with it. flush: once its output is sent, or after a second. */
void link_conn_close(struct link_conn *conn, bool flush);
void link_conn_free(struct link_conn *conn);
/* Moves output of the set to the socket, as far as it is not too much. */
void link_conn_fill(struct link_conn *conn);
/* Reads again if it was paused. */
void link_conn_resume(struct link_conn *conn);

#endif
