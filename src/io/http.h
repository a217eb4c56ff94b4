/*
 * The HTTP server: evhttp in front of api. Requests go to api as values with a token, and the pump
 * sends what api answers; each request gets exactly one answer, also when its client has gone.
 */
#ifndef IO_HTTP_H
#define IO_HTTP_H

#include "api/api.h"
#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/logger.h"

#include <event2/event.h>

struct http_options {
    uint32_t header_timeout_ms; /* absolute, from the first byte of a request; 0: 5000 */
    uint32_t body_timeout_ms;   /* of body or answer, on top of the pace; 0: 5000 */
    uint32_t bytes_per_s;       /* the pace that is asked of bodies and answers; 0: 16384 */
    uint32_t idle_timeout_ms;   /* without a byte in either direction; 0: 120000 */
    size_t header_bytes;        /* request line and headers; 0: 80 KiB: room for a key of 16 KiB in
                                 * percent encoding */
    size_t body_bytes;          /* larger: 413 before it is read; 0: 8 MiB */
    size_t buffered_bytes;      /* requests being received and answers being sent, together; beyond:
                                 * 429 to those that hold more than a little; 0: 64 MiB */
    size_t connections;         /* full: the longest idle one is closed for a newcomer; while
                                 * none is idle nobody is accepted. 0: 16384 */
    const char *allow_origin;   /* pages of this origin may read answers, "*": of any; NULL: none.
                                 * Borrowed */
};

struct http_server;

/* base, api, logger borrowed until http_server_free. */
struct http_server *http_server_new(struct event_base *base, struct api *api,
                                    const struct http_options *options,
                                    const struct logger *logger);
/* Closes everything at once; what still waits is not answered. To be called before the base is
 * freed. */
void http_server_free(struct http_server *server);
/* May be called for several addresses; a name stands for its first address. Port 0 (tests): any
 * free one. ERR_NOT_FOUND: the name is unknown; ERR_IO: cannot listen. why gets a text. */
enum err http_server_listen(struct http_server *server, const struct addr *addr,
                            struct buf *why) MUST_USE;
/* Port of the first listener, 0 = none. */
uint16_t http_server_port(const struct http_server *server);
/* Sends what api has answered; after node_pump, once a turn. */
void http_server_pump(struct http_server *server, uint64_t now_ms);
/* Closes the listeners; connections that are there end with their next answer. */
void http_server_stop_accepting(struct http_server *server);
/* Requests without an answer. */
size_t http_server_pending(const struct http_server *server);
/* Requests whose answer has not been written to the socket yet, those of http_server_pending
 * included: at 0 a stopping process cuts nobody off. */
size_t http_server_unsent(const struct http_server *server);
/* Open connections. */
size_t http_server_connections(const struct http_server *server);

#endif
