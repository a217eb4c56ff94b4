/*
 * What a normal log entry of ours holds: who asked, under which number, and the payload.
 *
 * (origin, boot, seq) is unique for ever: boot is drawn at each start, seq counts up. So the member
 * that asked finds its waiter when the entry is applied, and nobody takes it for another's.
 */
#ifndef NODE_ENVELOPE_H
#define NODE_ENVELOPE_H

#include "base/buf.h"
#include "base/err.h"

#include <floe/types.h>

enum envelope_kind {
    ENVELOPE_KV = 1,          /* payload: a kv command */
    ENVELOPE_MEMBER_INFO = 2, /* payload: id, name, client address of a member */
};

struct envelope {
    uint64_t kind; /* enum envelope_kind, or one of a newer version */
    floe_id origin;
    uint64_t boot;
    uint64_t seq;
    const uint8_t *payload; /* borrowed */
    size_t payload_len;
};

/* One reference to the caller. */
struct floe_blob *envelope_encode(const struct envelope *envelope);
enum err envelope_decode(const struct floe_blob *blob, struct envelope *out) MUST_USE;

#endif
