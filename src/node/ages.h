/* How old numbers that only grow are: samples of (time, number), so that it can be said which
 * number was reached a given span ago, to a sixtieth of it. */
#ifndef NODE_AGES_H
#define NODE_AGES_H

#include <stddef.h>
#include <stdint.h>

#define AGES_MARKS 64u

struct ages {
    uint64_t span_ms;
    struct {
        uint64_t at_ms;
        uint64_t number;
    } mark[AGES_MARKS]; /* ring, oldest first */
    size_t head;
    size_t count;
    uint64_t passed; /* highest number that is older than the span; 0 = none known */
};

void ages_init(struct ages *ages, uint64_t span_ms);
/* The number is this now. Cheap: call it once a turn. */
void ages_sample(struct ages *ages, uint64_t number, uint64_t now_ms);

#endif
