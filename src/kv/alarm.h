/* Alarms that are raised: a short list in order of kind and member. */
#ifndef KV_ALARM_H
#define KV_ALARM_H

#include "kv/command.h"

#define KV_ALARMS_MAX 64 /* part of the state machine */

struct alarms {
    struct kv_alarm list[KV_ALARMS_MAX];
    size_t count;
};

/* Raises or lifts one, which may have been so already. KV_TOO_MANY_OPS: the list is full. */
enum kv_status alarms_set(struct alarms *alarms, const struct kv_alarm *alarm, bool raise);
/* 0 of none. */
uint64_t alarms_sum(const struct alarms *alarms);

#endif
