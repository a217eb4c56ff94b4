/* Everything below this floor gets its time as an argument. */
#include "io/clock.h"

#include "base/assert.h"

#include <time.h>

uint64_t clock_now_us(void)
{
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 + 1000;
}

uint64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

uint64_t clock_busy_us(void)
{
    struct timespec busy;
    ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &busy) == 0);
    return (uint64_t)busy.tv_sec * 1000000 + (uint64_t)busy.tv_nsec / 1000;
}
