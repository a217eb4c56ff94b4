/* Streams take turns: one chunk each, as long as their clients have room and the turn is not long.
 */
#include "api/stream.h"
#include "api/internal.h"
#include "base/assert.h"

#define TURN_BYTES (8u << 20) /* of chunks made in one turn */
#define ALL_BYTES (16u << 20)

void api_streams_init(struct api_streams *streams, size_t bytes)
{
    *streams = (struct api_streams){.bytes = bytes > 0 ? bytes : ALL_BYTES};
    TAILQ_INIT(&streams->awake);
    TAILQ_INIT(&streams->later);
    TAILQ_INIT(&streams->beats);
}

static struct api_stream *find(struct api *api, uint64_t token)
{
    struct api_stream *stream = NULL;
    HASH_FIND(hh, api->streams.by_token, &token, sizeof token, stream);
    return stream;
}

/* What may wait for one client: all of them share a sum. */
static size_t room_each(const struct api_streams *streams)
{
    size_t share = streams->bytes / (HASH_COUNT(streams->by_token) + 1);
    if (share > API_STREAM_BYTES)
        return API_STREAM_BYTES;
    return share > API_STREAM_LITTLE ? share : API_STREAM_LITTLE;
}

static void sleep_now(struct api *api, struct api_stream *stream)
{
    if (stream->is_awake)
        TAILQ_REMOVE(stream->is_later ? &api->streams.later : &api->streams.awake, stream,
                     next_awake);
    stream->is_awake = stream->is_later = false;
}

void api_stream_wake(struct api *api, struct api_stream *stream)
{
    if (stream->is_awake || stream->is_blocked)
        return;
    stream->is_awake = true;
    TAILQ_INSERT_TAIL(&api->streams.awake, stream, next_awake);
}

static void wake_later(struct api *api, struct api_stream *stream)
{
    stream->is_awake = stream->is_later = true;
    TAILQ_INSERT_TAIL(&api->streams.later, stream, next_awake);
}

/* All wait equally long, so the list stays in order. */
static void restart_beat(struct api *api, struct api_stream *stream, uint64_t now_ms)
{
    TAILQ_REMOVE(&api->streams.beats, stream, next_beat);
    stream->beat_due = false;
    stream->beat_ms = now_ms + API_STREAM_BEAT_MS;
    TAILQ_INSERT_TAIL(&api->streams.beats, stream, next_beat);
}

void api_stream_add(struct api *api, struct api_stream *stream, uint64_t token,
                    const struct api_stream_ops *ops, uint64_t now_ms)
{
    ASSERT_MSG(find(api, token) == NULL, "two streams with one token");
    stream->token = token;
    stream->ops = ops;
    HASH_ADD(hh, api->streams.by_token, token, sizeof stream->token, stream);
    TAILQ_INSERT_TAIL(&api->streams.beats, stream, next_beat);
    restart_beat(api, stream, now_ms);
    api_stream_wake(api, stream);
}

static void end(struct api *api, struct api_stream *stream)
{
    sleep_now(api, stream);
    TAILQ_REMOVE(&api->streams.beats, stream, next_beat);
    HASH_DEL(api->streams.by_token, stream);
    stream->ops->free(api, stream);
}

void api_streams_deinit(struct api *api)
{
    struct api_stream *stream;
    struct api_stream *next;
    HASH_ITER(hh, api->streams.by_token, stream, next)
    end(api, stream);
}

/* ---- from io --------------------------------------------------------------------------------- */

bool api_stream_farewell(struct api *api, uint64_t token, enum api_leaving why,
                         struct evbuffer *out)
{
    struct api_stream *stream = find(api, token);
    if (stream == NULL || stream->ops->farewell == NULL)
        return false;
    stream->ops->farewell(stream, why, out);
    return true;
}

void api_stream_silent_farewell(struct api_stream *stream, enum api_leaving why,
                                struct evbuffer *out)
{
    (void)stream;
    (void)why;
    (void)out;
}

void api_stream_gone(struct api *api, uint64_t token)
{
    struct api_stream *stream = find(api, token);
    if (stream != NULL)
        end(api, stream);
}

void api_stream_unsent(struct api *api, uint64_t token, size_t bytes)
{
    struct api_stream *stream = find(api, token);
    if (stream == NULL)
        return;
    stream->unsent = bytes;
    if (!stream->is_blocked || bytes > room_each(&api->streams) / 2)
        return;
    stream->is_blocked = false;
    api_stream_wake(api, stream);
}

bool api_stream_input(struct api *api, uint64_t token, const uint8_t *text, size_t len,
                      uint64_t now_ms)
{
    struct api_stream *stream = find(api, token);
    return stream == NULL || stream->ops->input == NULL ||
           stream->ops->input(api, stream, text, len, now_ms);
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static void wake_silent(struct api *api, uint64_t now_ms)
{
    struct api_stream *stream;
    while ((stream = TAILQ_FIRST(&api->streams.beats)) != NULL && stream->beat_ms <= now_ms) {
        restart_beat(api, stream, now_ms);
        stream->beat_due = true;
        api_stream_wake(api, stream);
    }
}

/* Next turn: those that could not do more in this one. */
static bool end_turn(struct api *api)
{
    struct api_stream *stream;
    api->streams.made_bytes = 0;
    while ((stream = TAILQ_FIRST(&api->streams.later)) != NULL) {
        TAILQ_REMOVE(&api->streams.later, stream, next_awake);
        stream->is_later = false;
        TAILQ_INSERT_TAIL(&api->streams.awake, stream, next_awake);
    }
    return false;
}

/* false: it makes no chunk now. */
static bool ask(struct api *api, struct api_stream *stream, struct api_chunk *out, uint64_t now_ms)
{
    size_t room = room_each(&api->streams);
    sleep_now(api, stream);
    if (stream->unsent >= room) {
        stream->is_blocked = true;
        return false;
    }
    struct evbuffer *data = evbuffer_new();
    ASSERT_MSG(data != NULL, "out of memory");
    enum api_made made = stream->ops->next(api, stream, data, room - stream->unsent, now_ms);
    *out = (struct api_chunk){stream->token, data, made == API_MADE_LAST};
    stream->unsent += evbuffer_get_length(data);
    api->streams.made_bytes += evbuffer_get_length(data);
    switch (made) {
    case API_MADE_LATER: wake_later(api, stream); break;
    case API_MADE_CHUNK: api_stream_wake(api, stream); break;
    case API_MADE_LAST: end(api, stream); return true;
    case API_MADE_NOTHING:
    case API_MADE_ALL: break;
    }
    if (made == API_MADE_NOTHING || made == API_MADE_LATER) {
        ASSERT(evbuffer_get_length(data) == 0);
        evbuffer_free(data);
        return false;
    }
    restart_beat(api, stream, now_ms);
    return true;
}

bool api_streams_next(struct api *api, struct api_chunk *out, uint64_t now_ms)
{
    struct api_stream *stream;
    wake_silent(api, now_ms);
    while ((stream = TAILQ_FIRST(&api->streams.awake)) != NULL) {
        if (api->streams.made_bytes >= TURN_BYTES)
            break;
        if (ask(api, stream, out, now_ms))
            return true;
    }
    return end_turn(api);
}

uint64_t api_streams_deadline_ms(const struct api *api)
{
    if (!TAILQ_EMPTY(&api->streams.awake))
        return 0;
    const struct api_stream *first = TAILQ_FIRST(&api->streams.beats);
    return first != NULL ? first->beat_ms : UINT64_MAX;
}
