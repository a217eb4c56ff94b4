/*
 * Consensus values <-> bytes (msgpack arrays, fields by position; a decoder ignores trailing fields
 * of newer versions). Used for log records, snapshot metadata and peer frames alike.
 *
 * put_* append to a buf. get_* read exactly the given bytes into *out (owned by caller), give
 * ERR_INVALID for anything malformed, and never allocate more than a small multiple of len.
 */
#ifndef CODEC_RAFT_CODEC_H
#define CODEC_RAFT_CODEC_H

#include "base/buf.h"
#include "base/err.h"

#include <floe/types.h>

void raft_codec_put_entry(struct buf *out, const struct floe_entry *entry);
enum err raft_codec_get_entry(const uint8_t *data, size_t len, struct floe_entry *out) MUST_USE;

void raft_codec_put_hard_state(struct buf *out, const struct floe_hard_state *hs);
enum err raft_codec_get_hard_state(const uint8_t *data, size_t len,
                                   struct floe_hard_state *out) MUST_USE;

void raft_codec_put_conf_state(struct buf *out, const struct floe_conf_state *cs);
enum err raft_codec_get_conf_state(const uint8_t *data, size_t len,
                                   struct floe_conf_state *out) MUST_USE;

/* All fields, entries, snapshot and context; responses too (they are empty on the wire). Ids of
 * storage threads and unknown types are refused on reading. */
void raft_codec_put_message(struct buf *out, const struct floe_message *message);
enum err raft_codec_get_message(const uint8_t *data, size_t len,
                                struct floe_message *out) MUST_USE;

#endif
