/*
 * What each HTTP request means, without an HTTP server: requests go in as values with a token,
 * responses come out of a queue with the same token, exactly one a request.
 */
#ifndef API_API_H
#define API_API_H

#include "base/histogram.h"
#include "node/node.h"

#include <event2/buffer.h>

struct api;

/* The longest turn of the loop since the start: by the clock, and by the processor's time, in which
 * waiting for the disk, or for the processor, is not. */
struct api_turns {
    uint64_t longest_us;
    uint64_t longest_busy_us;
};

struct api_limits {
    size_t key_bytes;
    size_t value_bytes;
    size_t body_bytes; /* told by /limits, as what follows */
    size_t pending_bytes;
    size_t connections;
    uint32_t request_timeout_ms;
    size_t header_bytes;
    uint32_t header_timeout_ms;
    uint32_t body_timeout_ms;
    uint32_t idle_timeout_ms;
    uint64_t history_s; /* of the store's history, which is kept until one of both is passed */
    uint64_t history_bytes;
    size_t stream_bytes; /* that may wait for the clients of all streams together; 0: 16 MiB */
    const struct histogram *turns; /* of the loop, how long they took; likewise */
    const struct api_turns *turns_longest;
    const struct histogram *log_syncs; /* how long they took; borrowed until api_free; NULL: none */
};

struct api *api_new(struct node *node, const struct api_limits *limits,
                    const struct logger *logger); /* node borrowed until api_free */
void api_free(struct api *api);

enum api_method { API_GET, API_HEAD, API_PUT, API_POST, API_DELETE, API_OPTIONS, API_OTHER };

struct api_header {
    const char *name;
    const char *value;
};

/* All borrowed for the call. */
struct api_request {
    enum api_method method;
    const char *target; /* raw request target, "/a%20b?consistency=stale"; may be absolute-form */
    const struct api_header *headers;
    size_t header_count;
    struct evbuffer *body; /* NULL: none */
};

void api_handle(struct api *api, uint64_t token, const struct api_request *request,
                uint64_t now_ms);
/* Whether an unanswered request stands in a queue of clients, where nobody must stand who has gone:
 * then api_gone is to be called. */
bool api_wants_gone(const struct api *api, uint64_t token);
/* The client of such a request has gone, or will send nothing more. It is answered all the same. */
void api_gone(struct api *api, uint64_t token, uint64_t now_ms);

#define API_MESSAGE_BYTES (1u << 20) /* of a WebSocket: nobody has seen it before it is whole */

#define API_HEADERS_MAX 8
#define API_HEADER_NAME_MAX 40   /* bytes */
#define API_HEADER_VALUE_MAX 160 /* with the 0 at its end */
struct api_response {
    uint64_t token;
    int status;
    struct {
        const char *name; /* static, API_HEADER_NAME_MAX at most */
        char value[API_HEADER_VALUE_MAX];
    } headers[API_HEADERS_MAX];
    size_t header_count;
    struct evbuffer *body; /* owned by caller (api_response_deinit); NULL: none */
    bool head;             /* answer to HEAD: Content-Length of body, but no body */
    bool stream;           /* no body: chunks follow, and the head goes out with the first one */
    bool websocket;        /* no body: upgrade it; then chunks are messages, and messages come */
};
void api_response_deinit(struct api_response *response);
/* Call after node_pump: turns node results into responses; false: none. */
bool api_next_response(struct api *api, struct api_response *out, uint64_t now_ms);

/* ---- streams: answers that go on ------------------------------------------------------------- */

/* One HTTP chunk, or one message of a WebSocket. */
struct api_chunk {
    uint64_t token;
    struct evbuffer *data; /* owned by caller; NULL: nothing but the end */
    bool last;             /* the answer is complete: nothing more comes for this token */
};
/* After api_next_response; false: none now. */
bool api_next_chunk(struct api *api, struct api_chunk *out, uint64_t now_ms);
/* How many bytes still wait for the client: told after each chunk, and when some have gone. Above a
 * bound api makes no more. */
void api_stream_unsent(struct api *api, uint64_t token, size_t bytes);
/* A whole message has come over a WebSocket; text borrowed. false: more waits for this client,
 * which sends and does not read, than is kept: it is to be ended. */
bool api_stream_input(struct api *api, uint64_t token, const uint8_t *text, size_t len,
                      uint64_t now_ms) MUST_USE;
enum api_leaving {
    API_CLIENT_LEAVES, /* it sends nothing more, and so ends its stream, but perhaps still reads */
    API_WE_LEAVE,      /* the server stops */
};
/* What the client of a stream is to be told before api_stream_gone. false: this stream must not
 * look as if it had come to its end, and *out stays empty. */
bool api_stream_farewell(struct api *api, uint64_t token, enum api_leaving why,
                         struct evbuffer *out);
/* The client has gone, or no longer sends or reads: no chunk for this token any more. */
void api_stream_gone(struct api *api, uint64_t token);
/* When there are chunks to be made though nothing has happened (heartbeats, slices of long
 * answers), now_ms clock; 0: at once; UINT64_MAX: never. */
uint64_t api_next_deadline_ms(const struct api *api);

/* An error answer in our form, for refusals that the HTTP server itself makes (413, 400 ...).
 * Fills *out but the token. */
void api_error_response(struct api_response *out, int status, const char *code, const char *text);
/* The same in the form of the API that the target belongs to: etcd's under /v3. Nothing but its
 * first segment counts. */
void api_refusal_response(struct api_response *out, const char *target, int status,
                          const char *code, const char *text);

#endif
