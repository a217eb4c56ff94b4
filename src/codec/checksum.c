/* The state wants 64-byte alignment, which our allocator does not promise: xxhash makes it. */
#include "codec/checksum.h"

#include "base/assert.h"
#include "base/buf.h"

#include <xxhash.h>

struct checksum; /* is an XXH3_state_t */

static XXH3_state_t *state_of(struct checksum *sum)
{
    return (XXH3_state_t *)(void *)sum;
}

struct checksum *checksum_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    ASSERT_MSG(state != NULL, "out of memory");
    XXH_errorcode code = XXH3_64bits_reset(state);
    ASSERT(code == XXH_OK);
    return (struct checksum *)(void *)state;
}

void checksum_free(struct checksum *sum)
{
    if (sum != NULL)
        (void)XXH3_freeState(state_of(sum));
}

void checksum_add(struct checksum *sum, const void *data, size_t len)
{
    if (len == 0)
        return;
    XXH_errorcode code = XXH3_64bits_update(state_of(sum), data, len);
    ASSERT(code == XXH_OK);
}

uint64_t checksum_value(const struct checksum *sum)
{
    return XXH3_64bits_digest((const XXH3_state_t *)(const void *)sum);
}

uint64_t checksum_chain(const uint64_t *words, size_t count, const void *data, size_t len)
{
    uint8_t bytes[8 * 8];
    ASSERT(count <= sizeof bytes / 8);
    for (size_t i = 0; i < count; i++)
        put_u64(bytes + 8 * i, words[i]);
    XXH64_hash_t seed = XXH3_64bits(bytes, 8 * count);
    return XXH3_64bits_withSeed(len > 0 ? data : bytes, len, seed);
}
