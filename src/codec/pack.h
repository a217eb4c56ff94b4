/*
 * msgpack with a struct buf on the writing side and a bounded cursor on the reading side, so that
 * no tree of objects is ever built. Thin helpers over msgpack-c's packer and its format.
 */
#ifndef CODEC_PACK_H
#define CODEC_PACK_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

void pack_array(struct buf *out, uint32_t count);
void pack_u64(struct buf *out, uint64_t value);
void pack_bool(struct buf *out, bool value);
void pack_nil(struct buf *out);
void pack_bin(struct buf *out, const void *data, size_t len); /* len < 2^32 */
void pack_str(struct buf *out, const char *text);

/* Reads forward; after the first error every read gives zero values, so that a decoder checks
 * once, at the end: ERR_INVALID if any read failed. */
struct unpack {
    const uint8_t *data;
    size_t len;
    size_t pos;
    bool failed;
};

struct unpack unpack_init(const void *data, size_t len);
/* Number of elements; fails if more than the remaining bytes could hold. */
uint32_t unpack_array(struct unpack *in);
uint64_t unpack_u64(struct unpack *in);
bool unpack_bool(struct unpack *in);
bool unpack_is_nil(const struct unpack *in); /* looks only */
void unpack_nil(struct unpack *in);
/* Borrowed from the input. Also takes a str. */
const uint8_t *unpack_bin(struct unpack *in, size_t *len);
void unpack_skip(struct unpack *in); /* one value of any nesting; no recursion */
/* Skips what is left of an array of count elements of which known were read. */
void unpack_rest(struct unpack *in, uint32_t count, uint32_t known);
enum err unpack_end(const struct unpack *in) MUST_USE; /* no failure (trailing bytes are one) */

#endif
