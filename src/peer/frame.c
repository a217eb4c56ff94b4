/* Encoding and decoding of frames; knows nothing of sessions. */
#include "peer/frame.h"

#include "base/assert.h"
#include "codec/pack.h"
#include "codec/raft_codec.h"
#include "peer/peer.h"

#include <string.h>

#define PROTOCOL_MINOR 0
#define HELLO_FIELDS 8
#define WELCOME_FIELDS 2
#define REFUSE_FIELDS 2

/* Strings go as msgpack bin: no NUL is needed and no encoding is promised. */
static const char *get_text(struct unpack *in, size_t *len)
{
    return (const char *)unpack_bin(in, len);
}

void peer_frame_put_hello(struct buf *out, const struct peer_hello *hello)
{
    size_t begin = record_begin(out, PEER_FRAME_HELLO, 0, 0);
    pack_array(out, HELLO_FIELDS);
    pack_u64(out, hello->version);
    pack_u64(out, PROTOCOL_MINOR);
    pack_bin(out, hello->cluster, hello->cluster_len);
    pack_u64(out, hello->from);
    pack_u64(out, hello->to);
    pack_u64(out, hello->lane);
    pack_bin(out, hello->name, hello->name_len);
    pack_bin(out, hello->address, hello->address_len);
    record_end(out, begin);
}

enum err peer_frame_get_hello(const struct record *frame, struct peer_hello *out)
{
    struct unpack in = unpack_init(frame->payload, frame->payload_len);
    uint32_t count = unpack_array(&in);
    struct peer_hello hello = {.version = unpack_u64(&in)};
    if (in.failed || count == 0)
        return ERR_INVALID;
    if (hello.version != PEER_PROTOCOL_VERSION) {
        *out = hello; /* what follows may look different in another version */
        return ERR_VERSION;
    }
    (void)unpack_u64(&in); /* minor: tells of additions that either side may ignore */
    hello.cluster = get_text(&in, &hello.cluster_len);
    hello.from = unpack_u64(&in);
    hello.to = unpack_u64(&in);
    hello.lane = unpack_u64(&in);
    hello.name = get_text(&in, &hello.name_len);
    hello.address = get_text(&in, &hello.address_len);
    if (in.failed || count < HELLO_FIELDS)
        return ERR_INVALID;
    unpack_rest(&in, count, HELLO_FIELDS);
    if (unpack_end(&in) != ERR_OK)
        return ERR_INVALID;
    *out = hello;
    return ERR_OK;
}

void peer_frame_put_welcome(struct buf *out, floe_id id)
{
    size_t begin = record_begin(out, PEER_FRAME_WELCOME, 0, 0);
    pack_array(out, WELCOME_FIELDS);
    pack_u64(out, PEER_PROTOCOL_VERSION);
    pack_u64(out, id);
    record_end(out, begin);
}

enum err peer_frame_get_welcome(const struct record *frame, floe_id *id)
{
    struct unpack in = unpack_init(frame->payload, frame->payload_len);
    uint32_t count = unpack_array(&in);
    (void)unpack_u64(&in);
    floe_id from = unpack_u64(&in);
    if (in.failed || count < WELCOME_FIELDS)
        return ERR_INVALID;
    unpack_rest(&in, count, WELCOME_FIELDS);
    if (unpack_end(&in) != ERR_OK)
        return ERR_INVALID;
    *id = from;
    return ERR_OK;
}

void peer_frame_put_refuse(struct buf *out, uint8_t code, const char *text)
{
    size_t begin = record_begin(out, PEER_FRAME_REFUSE, 0, 0);
    pack_array(out, REFUSE_FIELDS);
    pack_u64(out, code);
    pack_bin(out, text, strlen(text));
    record_end(out, begin);
}

enum err peer_frame_get_refuse(const struct record *frame, uint8_t *code, const char **text,
                               size_t *text_len)
{
    struct unpack in = unpack_init(frame->payload, frame->payload_len);
    uint32_t count = unpack_array(&in);
    uint64_t number = unpack_u64(&in);
    size_t len = 0;
    const char *words = get_text(&in, &len);
    if (in.failed || count < REFUSE_FIELDS || number == 0 || number > UINT8_MAX)
        return ERR_INVALID;
    unpack_rest(&in, count, REFUSE_FIELDS);
    if (unpack_end(&in) != ERR_OK)
        return ERR_INVALID;
    *code = (uint8_t)number;
    *text = words;
    *text_len = len;
    return ERR_OK;
}

void peer_frame_put_message(struct buf *out, enum peer_frame type,
                            const struct floe_message *message)
{
    ASSERT(type == PEER_FRAME_MESSAGE || type == PEER_FRAME_SNAP_BEGIN);
    size_t begin = record_begin(out, (uint8_t)type, 0, 0);
    raft_codec_put_message(out, message);
    record_end(out, begin);
}

void peer_frame_put_bytes(struct buf *out, enum peer_frame type, uint64_t index, const void *data,
                          size_t len)
{
    struct record frame = {
        .type = (uint8_t)type, .index = index, .payload = data, .payload_len = len};
    record_put(out, &frame);
}

void peer_frame_put_ack(struct buf *out, bool ok)
{
    size_t begin = record_begin(out, PEER_FRAME_SNAP_ACK, 0, 0);
    pack_array(out, 1);
    pack_bool(out, ok);
    record_end(out, begin);
}

enum err peer_frame_get_ack(const struct record *frame, bool *ok)
{
    struct unpack in = unpack_init(frame->payload, frame->payload_len);
    uint32_t count = unpack_array(&in);
    bool value = unpack_bool(&in);
    if (in.failed || count < 1)
        return ERR_INVALID;
    unpack_rest(&in, count, 1);
    if (unpack_end(&in) != ERR_OK)
        return ERR_INVALID;
    *ok = value;
    return ERR_OK;
}

void peer_frame_clean_text(char *out, size_t size, const char *text, size_t len)
{
    ASSERT(size > 0);
    size_t count = len < size - 1 ? len : size - 1;
    for (size_t i = 0; i < count; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    out[count] = 0;
}
