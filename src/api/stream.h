/*
 * Inside of api: answers that go on. A handler makes a stream, answers with response.stream (or
 * .websocket), and is asked for chunks whenever it is awake and its client has room.
 */
#ifndef API_STREAM_H
#define API_STREAM_H

#include "api/api.h"

#include <sys/queue.h>
#include <uthash.h>

#define API_STREAM_BYTES \
    (64u << 10) /* that may wait for one client at most, but for the last chunk */
#define API_STREAM_LITTLE (4u << 10) /* that each may have, however many there are */
#define API_STREAM_BEAT_MS 10000     /* of silence, until a stream is woken with beat_due */

struct api_stream;

enum api_made {
    API_MADE_NOTHING, /* until it is woken; nothing was added */
    API_MADE_LATER,   /* nothing was added in the time of a turn: next turn again */
    API_MADE_CHUNK,   /* and there is more */
    API_MADE_ALL,     /* a chunk, and then nothing until it is woken */
    API_MADE_LAST,    /* a chunk (perhaps empty), and the stream is over */
};

struct api_stream_ops {
    /* Adds one chunk to out, which is empty: about room bytes. */
    enum api_made (*next)(struct api *api, struct api_stream *stream, struct evbuffer *out,
                          size_t room, uint64_t now_ms);
    /* A message of a WebSocket; NULL: is passed over. false: too much waits, it is to be ended. */
    bool (*input)(struct api *api, struct api_stream *stream, const uint8_t *text, size_t len,
                  uint64_t now_ms);
    /* It is over, by itself or because the client has gone. */
    void (*free)(struct api *api, struct api_stream *stream);
    /* Adds the last chunk of a stream that has no end of its own; NULL: it has one, which now will
     * not come. */
    void (*farewell)(struct api_stream *stream, enum api_leaving why, struct evbuffer *out);
};

/* To be the first member of the handler's own struct. */
struct api_stream {
    uint64_t token;
    const struct api_stream_ops *ops;
    size_t unsent;
    bool is_awake;   /* in awake or later */
    bool is_later;   /* in later */
    bool is_blocked; /* awake, but its client has no room */
    bool beat_due;   /* nothing was sent for a while; cleared with the next chunk */
    uint64_t beat_ms;
    TAILQ_ENTRY(api_stream) next_awake;
    TAILQ_ENTRY(api_stream) next_beat;
    UT_hash_handle hh;
};

TAILQ_HEAD(api_stream_list, api_stream);

struct api_streams {
    struct api_stream *by_token; /* uthash */
    struct api_stream_list awake;
    struct api_stream_list later;
    struct api_stream_list beats; /* by time */
    size_t bytes;                 /* that may wait for all clients together; 0: 16 MiB */
    size_t made_bytes;            /* in this turn */
};

void api_streams_init(struct api_streams *streams, size_t bytes);
void api_streams_deinit(struct api *api); /* frees every stream */
/* Awake. The token is that of the request, whose answer says stream or websocket. */
void api_stream_add(struct api *api, struct api_stream *stream, uint64_t token,
                    const struct api_stream_ops *ops, uint64_t now_ms);
/* The next chunk of those that are awake; false: none in this turn. */
bool api_streams_next(struct api *api, struct api_chunk *out, uint64_t now_ms);
/* As api_next_deadline_ms, of streams alone. */
uint64_t api_streams_deadline_ms(const struct api *api);
/* There may be something to be sent now. */
void api_stream_wake(struct api *api, struct api_stream *stream);
/* ops.farewell without a word. */
void api_stream_silent_farewell(struct api_stream *stream, enum api_leaving why,
                                struct evbuffer *out);

#endif
