/* Envelopes are msgpack arrays of five; fields behind them belong to newer versions. */
#include "node/envelope.h"

#include "codec/pack.h"

#define ENVELOPE_FIELDS 5

struct floe_blob *envelope_encode(const struct envelope *envelope)
{
    struct buf out = {0};
    (void)buf_reserve(&out, envelope->payload_len + 48);
    pack_array(&out, ENVELOPE_FIELDS);
    pack_u64(&out, envelope->kind);
    pack_u64(&out, envelope->origin);
    pack_u64(&out, envelope->boot);
    pack_u64(&out, envelope->seq);
    pack_bin(&out, envelope->payload, envelope->payload_len);
    struct floe_blob *blob = floe_blob_new(out.data, out.len);
    buf_deinit(&out);
    return blob;
}

enum err envelope_decode(const struct floe_blob *blob, struct envelope *out)
{
    struct unpack in = unpack_init(floe_blob_data(blob), floe_blob_size(blob));
    struct envelope envelope = {0};
    uint32_t count = unpack_array(&in);
    if (count < ENVELOPE_FIELDS)
        return ERR_INVALID;
    envelope.kind = unpack_u64(&in);
    envelope.origin = unpack_u64(&in);
    envelope.boot = unpack_u64(&in);
    envelope.seq = unpack_u64(&in);
    envelope.payload = unpack_bin(&in, &envelope.payload_len);
    unpack_rest(&in, count, ENVELOPE_FIELDS);
    enum err err = unpack_end(&in);
    if (err == ERR_OK)
        *out = envelope;
    return err;
}
