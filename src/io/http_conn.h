/*
 * What evhttp does not watch on a client's connection: an absolute deadline of headers and body,
 * the number of connections, bytes that no header may have, and the error pages that evhttp writes
 * by itself, which are put into our form before they leave.
 *
 * Each bufferevent is made here, one reference is held, and its input is observed, never changed.
 * evhttp does not say when it drops a connection that has made no request: a scan finds those.
 */
#ifndef IO_HTTP_CONN_H
#define IO_HTTP_CONN_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

enum http_conn_phase {
    HTTP_CONN_IDLE,    /* between requests */
    HTTP_CONN_HEADERS, /* the first byte of a request has come */
    HTTP_CONN_BODY,    /* its headers are complete */
    HTTP_CONN_BUSY,    /* the request is with us, or its answer is on the way */
    HTTP_CONN_REFUSED, /* evhttp has answered by itself and will close */
    HTTP_CONN_LINGER,  /* evhttp has closed: what the client still sends is thrown away */
};

struct http_conns;

struct http_conn {
    struct http_conns *owner;
    struct bufferevent *bev; /* one reference; key */
    enum http_conn_phase phase;
    uint64_t deadline_ms; /* HEADERS, BODY, LINGER */
    uint64_t began_ms;    /* BODY */
    uint64_t body_bytes;  /* BODY; LINGER: thrown away */
    size_t line_bytes;    /* HEADERS: of the line that is being read */
    size_t header_bytes;  /* of all lines so far */
    size_t first_line_bytes;
    bool has_first_line;
    bool has_nul;     /* a header has a NUL byte: what was parsed is not what was sent */
    bool has_closecb; /* evhttp will tell us */
    bool has_page;    /* in pages */
    TAILQ_ENTRY(http_conn) next;
    TAILQ_ENTRY(http_conn) next_page;
    UT_hash_handle hh;
};

TAILQ_HEAD(http_conn_list, http_conn);

struct http_conn_limits {
    uint32_t header_timeout_ms;
    uint32_t body_timeout_ms;
    size_t header_bytes; /* evhttp's limit, to tell its reason for a 400 */
};

struct http_conns {
    struct event_base *base;
    struct http_conn *by_bev; /* uthash */
    struct http_conn_list all;
    struct http_conn_list pages; /* evhttp has written something by itself */
    struct event *page_event;
    size_t count;
    struct http_conn_limits limits;
};

/* base borrowed until deinit. */
void http_conns_init(struct http_conns *conns, struct event_base *base,
                     const struct http_conn_limits *limits);
/* Gives all references back; the evhttp must be gone. */
void http_conns_deinit(struct http_conns *conns);
/* For evhttp_set_bevcb: the bufferevent of a connection that has come in. */
struct bufferevent *http_conns_accept(struct http_conns *conns);
/* A complete request has come, good or bad: its answer is ours to give. Never NULL. */
struct http_conn *http_conns_on_request(struct http_conns *conns, struct evhttp_request *request);
/* The answer has been written and the next request may begin. */
void http_conns_on_answered(struct http_conns *conns, struct evhttp_request *request);
/* Ends what is late, forgets what evhttp has dropped. Some ten times a second. */
void http_conns_scan(struct http_conns *conns, uint64_t now_ms);
/* Connections in the phase BUSY. Cost grows with the number of connections. */
size_t http_conns_busy(const struct http_conns *conns);

#endif
