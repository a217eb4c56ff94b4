/* splitmix64 (Steele, Lea, Flood 2014): one addition and three mixes, passes BigCrush. */
#include "base/prng.h"

#include "base/assert.h"

uint64_t prng_next(struct prng *prng)
{
    prng->state += 0x9e3779b97f4a7c15u;
    uint64_t z = prng->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    ASSERT(bound > 0);
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound; /* beyond, low ones would be favoured */
    uint64_t value;
    do {
        value = prng_next(prng);
    } while (value >= limit);
    return value % bound;
}
