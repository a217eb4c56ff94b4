/* XXH3-64 over bytes that come in pieces (the sum of a snapshot file), and chains of it. */
#ifndef CODEC_CHECKSUM_H
#define CODEC_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

struct checksum; /* opaque */

struct checksum *checksum_new(void);
void checksum_free(struct checksum *sum); /* NULL is allowed */
void checksum_add(struct checksum *sum, const void *data, size_t len);
/* Over everything added so far; more may follow. */
uint64_t checksum_value(const struct checksum *sum);
/* One link of a hash chain: XXH3-64 of data, seeded with that of the words (little-endian, at most
 * 8). */
uint64_t checksum_chain(const uint64_t *words, size_t count, const void *data, size_t len);

#endif
