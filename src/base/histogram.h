/*
 * How long something took, counted in fixed classes: each is twice as wide as the one before. The
 * classes are those that etcd uses for its disk, so that its dashboards fit.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 14 /* 1 ms, 2 ms ... 8.192 s, each inclusive */
#define HISTOGRAM_FIRST_US 1000u

/* Zero is a valid empty one. */
struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* the last: above all bounds */
    uint64_t sum_us;
};

void histogram_add(struct histogram *histogram, uint64_t us);
uint64_t histogram_bound_us(size_t i); /* of class i < HISTOGRAM_BOUNDS */

#endif
