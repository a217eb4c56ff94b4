/*
 * The checksummed record that log files, snapshot files and peer connections share.
 *
 *   offset size
 *        0    4  length of the payload, bytes
 *        4    1  type (the file's or connection's own numbering; never 0)
 *        5    1  version of the record layout, RECORD_VERSION
 *        6    2  zero
 *        8    8  XXH3-64 over bytes 0..7, 16..31 and the payload
 *       16    8  index (0 where there is none)
 *       24    8  term  (0 where there is none)
 *       32    -  payload, no padding
 *
 * The checksum is XXH3_64bits_withSeed(payload, seed) where the seed is XXH3_64bits of the 24
 * header bytes, so that header and payload need not lie together. It covers the version byte, and
 * every version keeps these 32 bytes and the checksum, so a newer version is told from a damaged
 * byte.
 *
 * Numbers are little-endian. A header of 32 zero bytes is "nothing was ever written here".
 */
#ifndef CODEC_RECORD_H
#define CODEC_RECORD_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORD_HEADER_BYTES 32
#define RECORD_VERSION 1

struct record {
    uint8_t type;
    uint64_t index;
    uint64_t term;
    const uint8_t *payload; /* borrowed */
    size_t payload_len;
};

/* Appends header and payload. payload_len < 2^32. */
void record_put(struct buf *out, const struct record *record);
/* Appends a header for a payload that the caller appends itself right behind: call
 * record_end with what record_begin returned once the payload is complete. */
size_t record_begin(struct buf *out, uint8_t type, uint64_t index, uint64_t term);
void record_end(struct buf *out, size_t begin);
/* Reads the length field of a header: payload bytes that follow. len >= RECORD_HEADER_BYTES. */
uint32_t record_peek_payload_len(const uint8_t *header);
bool record_is_blank(const uint8_t *header); /* 32 zero bytes */
/* Reads one record at data; *used = its size with header. ERR_SHORT: more bytes are needed (as far
 * as the header can be believed); ERR_TOO_LARGE: payload over max_payload; ERR_VERSION: layout of
 * a newer version; ERR_CORRUPT: blank, or the checksum does not match. */
enum err record_get(const uint8_t *data, size_t len, size_t max_payload, struct record *out,
                    size_t *used) MUST_USE;

#endif
