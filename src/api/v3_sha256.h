/* SHA-256 (FIPS 180-4), with which etcd ends a snapshot. */
#ifndef API_V3_SHA256_H
#define API_V3_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define V3_SHA256_BYTES 32

struct v3_sha256 {
    uint32_t state[8];
    uint8_t block[64];
    size_t filled; /* of block */
    uint64_t len;  /* of everything */
};

void v3_sha256_init(struct v3_sha256 *sha);
void v3_sha256_add(struct v3_sha256 *sha, const void *data, size_t len);
/* Nothing can be added then. */
void v3_sha256_end(struct v3_sha256 *sha, uint8_t out[V3_SHA256_BYTES]);

#endif
