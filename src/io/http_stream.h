/*
 * Answers that go on: chunks of api to a client until one side has enough, and WebSockets.
 *
 * The head goes out with the first chunk. A stream's client may send nothing for ever, and read as
 * slowly as it likes, as long as it takes some bytes within the idle time-out; more than a little
 * is never made for it (api_stream_unsent).
 *
 * Once the head is out, evhttp reports a client that has gone, and frees the connection but not the
 * request: that is done here, by answering it.
 */
#ifndef IO_HTTP_STREAM_H
#define IO_HTTP_STREAM_H

#include "api/api.h"
#include "io/http_conn.h"

struct http_stream;

TAILQ_HEAD(http_stream_list, http_stream);

struct http_streams {
    struct api *api;
    struct http_conns *conns;
    uint32_t idle_timeout_ms;
    size_t message_bytes; /* bound of a WebSocket message that comes */
    bool stopping;
    struct http_stream *by_token; /* uthash */
    struct http_stream_list over; /* requests that nobody but we can free */
};

/* api and conns borrowed until deinit. */
void http_streams_init(struct http_streams *streams, struct api *api, struct http_conns *conns,
                       uint32_t idle_timeout_ms, size_t message_bytes);
/* Ends every stream; to be called before the evhttp is freed. */
void http_streams_deinit(struct http_streams *streams);
/* The answer to request, which is a stream. false: it cannot be one; *response is a refusal then,
 * and the request is still the caller's. Else both are taken. */
bool http_streams_begin(struct http_streams *streams, struct evhttp_request *request,
                        struct api_response *response, uint64_t now_ms);
/* Sends the chunks that api has; once a turn, after the responses. */
void http_streams_pump(struct http_streams *streams, uint64_t now_ms);
/* Ends what is late. Some ten times a second. */
void http_streams_scan(struct http_streams *streams, uint64_t now_ms);
/* Ends every stream, and takes no new one. */
void http_streams_stop(struct http_streams *streams, uint64_t now_ms);
size_t http_streams_count(const struct http_streams *streams);


#endif
