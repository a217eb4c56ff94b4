/*
 * What evhttp does not watch on a client's connection: absolute deadlines of headers, body and
 * answer, the number of connections, how many bytes all of them hold in buffers, and bytes that no
 * header and no chunked body may have.
 *
 * Each bufferevent is made here, one reference is held, and its buffers are observed, never changed
 * while evhttp works with them. evhttp does not say when it drops a connection that has made no
 * request: a scan finds those. Refusing and ending a connection is http_page's.
 */
#ifndef IO_HTTP_CONN_H
#define IO_HTTP_CONN_H

#include "io/http_chunk.h"
#include "io/http_page.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* base borrowed until deinit. */
void http_conns_init(struct http_conns *conns, struct event_base *base,
                     const struct http_conn_limits *limits);
/* Gives all references back; the evhttp must be gone. */
void http_conns_deinit(struct http_conns *conns);
/* For evhttp_set_bevcb: the bufferevent of a connection that has come in. */
struct bufferevent *http_conns_accept(struct http_conns *conns);
/* A complete request has come, good or bad: its answer is ours to give, and its body is no longer
 * counted here. Never NULL. */
struct http_conn *http_conns_on_request(struct http_conns *conns, struct evhttp_request *request);
/* The request will wait for its answer: reading stays on, so that the kernel need not be told
 * twice; what comes is kept for later, a little of it. */
void http_conns_begin_wait(struct http_conn *conn);
/* The answer is there; is_stream: only its beginning. */
void http_conns_end_wait(struct http_conn *conn, bool is_stream);
/* The answer has been written and the next request may begin. */
void http_conns_on_answered(struct http_conns *conns, struct evhttp_request *request);
/* Whether so many bytes more are too much for the buffers of all connections. */
bool http_conns_is_too_much(const struct http_conns *conns, size_t bytes);
/* ... of an answer: a single one at a time may be larger than what is left for all. */
bool http_conns_may_answer(struct http_conns *conns, struct evhttp_request *request,
                           size_t answer_bytes);
/* The connection of a request, which is not over. */
struct http_conn *http_conns_find(struct http_conns *conns, struct evhttp_request *request);
/* Streams that have sent something since they were asked for last, one by one. NULL: no more. */
struct http_conn *http_conns_next_drained(struct http_conns *conns);
/* Ends a connection right after this callback, whatever it is doing. */
void http_conns_cut(struct http_conn *conn);
/* Closes the connection that has been idle longest, to make room. False: none is idle. */
bool http_conns_end_idle(struct http_conns *conns);
/* Ends what is late, forgets what evhttp has dropped. Some ten times a second. */
void http_conns_scan(struct http_conns *conns, uint64_t now_ms);
/* Connections in the phase BUSY. Cost grows with the number of connections. */
size_t http_conns_busy(const struct http_conns *conns);

#endif
