/* Alarms. */
#include "kv/alarm.h"
#include "codec/checksum.h"
#include "kv/kv.h"
#include "kv/store.h"

#include <string.h>

static bool is_before(const struct kv_alarm *a, const struct kv_alarm *b)
{
    return a->kind < b->kind || (a->kind == b->kind && a->member < b->member);
}

enum kv_status alarms_set(struct alarms *alarms, const struct kv_alarm *alarm, bool raise)
{
    size_t at = 0;
    while (at < alarms->count && is_before(&alarms->list[at], alarm))
        at++;
    bool is_there = at < alarms->count && !is_before(alarm, &alarms->list[at]);
    if (is_there == raise)
        return KV_OK;
    if (raise && alarms->count == KV_ALARMS_MAX)
        return KV_TOO_MANY_OPS;
    struct kv_alarm *place = &alarms->list[at];
    size_t behind = alarms->count - at;
    if (raise) {
        memmove(place + 1, place, behind * sizeof *place);
        *place = *alarm;
        alarms->count++;
    } else {
        memmove(place, place + 1, (behind - 1) * sizeof *place);
        alarms->count--;
    }
    return KV_OK;
}

uint64_t alarms_sum(const struct alarms *alarms)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < alarms->count; i++) {
        uint64_t words[2] = {alarms->list[i].member, alarms->list[i].kind};
        sum += checksum_chain(words, 2, NULL, 0);
    }
    return sum;
}

size_t kv_alarms(const struct kv *kv, const struct kv_alarm **list)
{
    *list = kv->alarms.list;
    return kv->alarms.count;
}
