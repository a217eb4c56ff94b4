/*
 * A connection and the ways to refuse on it: the error pages that evhttp writes by itself are put
 * into our form before they leave; what must end in the middle of a request (too late, too much,
 * not HTTP) gets an answer, too, and then evhttp is told that the connection has ended.
 *
 * The work is done by an event right after the callback that found the reason, since evhttp may be
 * in the middle of something.
 */
#ifndef IO_HTTP_PAGE_H
#define IO_HTTP_PAGE_H

#include "io/http_chunk.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

enum http_conn_phase {
    HTTP_CONN_IDLE,     /* between requests */
    HTTP_CONN_HEADERS,  /* the first byte of a request has come */
    HTTP_CONN_BODY,     /* its headers are complete */
    HTTP_CONN_BUSY,     /* the request is with us, or its answer is on the way */
    HTTP_CONN_REFUSING, /* taken from evhttp to write a refusal of ours */
    HTTP_CONN_ENDING,   /* evhttp is to be told of the end */
    HTTP_CONN_REFUSED,  /* answered without a request: evhttp closes, then it lingers */
    HTTP_CONN_LINGER,   /* evhttp has closed: what the client still sends is thrown away */
    HTTP_CONN_OVER,     /* to be forgotten by the next scan */
};

#define HTTP_LINE_KEPT 64 /* bytes of a request line, from which a refusal takes its form */

/* All text static. */
struct http_refusal {
    int status;
    const char *code;
    const char *text;
};

extern const struct http_refusal http_refusal_late;       /* 408 */
extern const struct http_refusal http_refusal_overloaded; /* 429 */
extern const struct http_refusal http_refusal_chunk;      /* 400 */
extern const struct http_refusal http_refusal_framing;    /* 400 */

/* Headers that say where a body ends. */
enum http_framing { HTTP_FRAMING_LENGTH, HTTP_FRAMING_ENCODING, HTTP_FRAMINGS };

/* What evhttp has set on a bufferevent. */
struct http_callbacks {
    bufferevent_data_cb on_read;
    bufferevent_data_cb on_write;
    bufferevent_event_cb on_event;
    void *arg;
};

struct http_conns;

struct http_conn {
    struct http_conns *owner;
    struct bufferevent *bev; /* one reference; key */
    enum http_conn_phase phase;
    uint64_t deadline_ms;  /* HEADERS, BODY, BUSY while its answer is read, REFUSING, LINGER */
    uint64_t began_ms;     /* BODY, BUSY: what passed has to keep a pace since then */
    uint64_t passed_bytes; /* BODY: has come; BUSY: of the answer, has gone; LINGER: thrown away */
    size_t line_bytes;     /* HEADERS: of the line that is being read */
    size_t matched_bytes[HTTP_FRAMINGS]; /* HEADERS: of their names, from the start of that line */
    size_t header_bytes;                 /* of all lines so far */
    size_t first_line_bytes;
    char first_line[HTTP_LINE_KEPT]; /* its beginning, ends with 0 */
    bool has_first_line;
    bool has_nul; /* a header has a NUL byte: what was parsed is not what was sent */
    bool has_framing[HTTP_FRAMINGS]; /* the request has such a header */
    struct http_chunk chunk;
    size_t input_bytes;  /* counted in buffered_bytes of the owner */
    size_t output_bytes; /* the same, unless it is the large one */
    bool has_closecb;    /* evhttp will tell us */
    bool has_no_delay;   /* TCP_NODELAY is set */
    bool is_waiting;     /* BUSY: its callbacks are in evhttp, reading is on */
    bool is_stream; /* BUSY: its answer is a stream, which keeps no pace and is bounded by api */
    uint64_t stream_token; /* of that, while it goes on; 0 = none */
    size_t held_bytes;     /* of it: taken out of the input, waits for more */
    bool is_idle;          /* in idle */
    TAILQ_ENTRY(http_conn) next_idle;
    bool is_drained; /* in drained */
    TAILQ_ENTRY(http_conn) next_drained;
    bool has_page; /* in pages */
    const struct http_refusal *refusal;
    struct http_callbacks evhttp; /* REFUSING, is_waiting */
    TAILQ_ENTRY(http_conn) next;
    TAILQ_ENTRY(http_conn) next_page;
    UT_hash_handle hh;
};

TAILQ_HEAD(http_conn_list, http_conn);

struct http_conn_limits {
    uint32_t header_timeout_ms;
    uint32_t body_timeout_ms; /* of an answer, too; on top of bytes_per_s */
    uint32_t bytes_per_s;     /* not 0 */
    uint32_t idle_timeout_ms; /* evhttp's, which streams leave for a while */
    size_t header_bytes;      /* evhttp's limit, to tell its reason for a 400 */
    size_t buffered_bytes;    /* of all connections; beyond: 429 to who holds more than a little */
};

struct http_conns {
    struct event_base *base;
    struct http_conn *by_bev; /* uthash */
    struct http_conn_list all;
    struct http_conn_list idle;    /* in the phase IDLE, the longest first */
    struct http_conn_list pages;   /* to be looked at by page_event */
    struct http_conn_list drained; /* streams that something has been written of */
    void (*on_stream_closed)(void *arg, uint64_t token); /* the connection is being freed */
    void *stream_arg;
    void (*on_none_idle)(void *arg); /* the last idle one has a request, or goes; NULL: no matter */
    void *idle_arg;
    struct event *page_event;
    size_t count;
    size_t buffered_bytes;   /* requests being received and answers being sent, without ... */
    struct http_conn *large; /* whose answer alone is beyond the limit; NULL: nobody's */
    size_t large_bytes;      /* of it */
    size_t peak_bytes;       /* of both, since memory was last given back */
    size_t peak_count;       /* of connections, likewise */
    bool is_trim_due;
    struct http_conn_limits limits;
};

/* base borrowed until deinit. */
void http_pages_init(struct http_conns *conns, struct event_base *base);
void http_pages_deinit(struct http_conns *conns);
/* Something is to be done for this connection right after this callback: it has a refusal, evhttp
 * has written by itself, or it is ENDING. */
void http_page_due(struct http_conn *conn);
/* In the phases HEADERS and BODY: ends the request with an answer. Only the first one counts. */
void http_page_refuse(struct http_conn *conn, const struct http_refusal *refusal);
/* It is about to be forgotten. */
void http_page_cancel(struct http_conn *conn);
/* evhttp has closed it. Closing with unread bytes resets a connection, and the client may lose the
 * answer that says why: a refused body is read and thrown away for a while. */
void http_page_linger(struct http_conn *conn, uint64_t now_ms);

#endif
