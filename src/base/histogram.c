/* Fourteen bounds, so a search from the lowest is short; most syncs end at the first. */
#include "base/histogram.h"

#include "base/assert.h"

uint64_t histogram_bound_us(size_t i)
{
    ASSERT(i < HISTOGRAM_BOUNDS);
    return (uint64_t)HISTOGRAM_FIRST_US << i;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
    size_t i = 0;
    while (i < HISTOGRAM_BOUNDS && us > histogram_bound_us(i))
        i++;
    histogram->counts[i]++;
    histogram->sum_us += us;
}
