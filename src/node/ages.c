/* A sample is kept only if the number has changed since the last one: an idle cluster has none. */
#include "node/ages.h"

#include "base/assert.h"

void ages_init(struct ages *ages, uint64_t span_ms)
{
    *ages = (struct ages){.span_ms = span_ms};
}

static void drop_passed(struct ages *ages, uint64_t now_ms)
{
    while (ages->count > 0 && ages->mark[ages->head].at_ms + ages->span_ms <= now_ms) {
        ages->passed = ages->mark[ages->head].number;
        ages->head = (ages->head + 1) % AGES_MARKS;
        ages->count--;
    }
}

static void add(struct ages *ages, uint64_t number, uint64_t now_ms)
{
    ASSERT(ages->count < AGES_MARKS);
    size_t at = (ages->head + ages->count++) % AGES_MARKS;
    ages->mark[at].at_ms = now_ms;
    ages->mark[at].number = number;
}

void ages_sample(struct ages *ages, uint64_t number, uint64_t now_ms)
{
    drop_passed(ages, now_ms);
    if (number == 0 || number <= ages->passed)
        return;
    if (ages->count == 0) {
        add(ages, number, now_ms);
        return;
    }
    size_t last = (ages->head + ages->count - 1) % AGES_MARKS;
    if (ages->mark[last].number != number && ages->count < AGES_MARKS &&
        now_ms >= ages->mark[last].at_ms + ages->span_ms / 60)
        add(ages, number, now_ms);
}
