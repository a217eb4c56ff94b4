/* XXH3-64 over bytes that come in pieces: the sum at the end of a snapshot file. */
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

#endif
