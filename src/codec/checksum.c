/* The state wants 64-byte alignment, which our allocator does not promise: xxhash makes it. */
#include "codec/checksum.h"

#include "base/assert.h"

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
