/* The slow, obviously right twin of the store: lists that are searched from one end to the other,
 * nothing is ever freed or compacted. Of values of TWIN_VALUE bytes and more only a sum is kept:
 * these are equal or not, nothing else. For tests only. */
#ifndef TEST_KV_TWIN_H
#define TEST_KV_TWIN_H

#include "kv/kv.h"

#define TWIN_EVENTS 20000
#define TWIN_LEASES 64
#define TWIN_TICKETS 512
#define TWIN_KEY 24
#define TWIN_VALUE 12

struct twin_event {
    char key[TWIN_KEY];
    char value[TWIN_VALUE];
    uint64_t create;
    uint64_t mod;
    uint64_t version;
    uint64_t lease;
};

struct twin_lease {
    uint64_t id;
    uint64_t ttl_s;
    uint64_t remaining_s;
    uint64_t term;  /* of its grant ... */
    uint64_t birth; /* ... and the number in that term */
};

struct twin_ticket {
    char text[TWIN_KEY];
    struct kv_ticket is;
};

struct twin {
    struct twin_event *events; /* TWIN_EVENTS */
    size_t event_count;
    struct twin_lease leases[TWIN_LEASES]; /* by id */
    size_t lease_count;
    struct twin_ticket tickets[TWIN_TICKETS];
    size_t ticket_count;
    uint64_t ticket_last;
    struct kv_alarm alarms[64]; /* by kind, then member */
    size_t alarm_count;
    uint64_t term;   /* of the command at work */
    uint64_t births; /* in it */
    uint64_t revision;
    uint64_t compact;
};

struct twin *twin_new(void);
struct twin *twin_copy(const struct twin *twin);
void twin_free(struct twin *twin);
/* Does the command and compares what it should answer with *got, which is what the store did. got's
 * replies are NULL if nobody asked for them. */
void twin_apply(struct twin *twin, const struct kv_command *command, uint64_t term,
                const struct kv_result *got);
/* The same without a store: what it comes to, and the revision that is told. */
enum kv_status twin_do(struct twin *twin, const struct kv_command *command, uint64_t term,
                       const struct kv_result *got, uint64_t *revision);
/* The event that is a key's state at a revision; NULL: not there. */
const struct twin_event *twin_at(const struct twin *twin, const char *key, uint64_t revision);
/* The state of the n-th key of all that were there at a revision; NULL: there were fewer. */
const struct twin_event *twin_nth(const struct twin *twin, uint64_t revision, size_t n);
/* In twin_check.c. */
enum kv_status twin_set_alarm(struct twin *twin, const struct kv_alarm *alarm, bool raise);
/* For twin_check.c: the keys of a range at a revision, in order; is it this text? */
size_t twin_list_range(const struct twin *twin, const struct kv_keys *keys, uint64_t revision,
                         const struct twin_event **out);
bool twin_text_is(struct kv_bytes bytes, const char *text);
void assert_item_is(const struct kv_item *item, const struct twin_event *want);
/* Everything that can be seen of the store at this revision, and its history, leases, tickets. */
void assert_store_is_twin(const struct kv *kv, const struct twin *twin, uint64_t revision);
/* Its indexes are sound, the counts right. */
void assert_store_is_sound(const struct kv *kv);

#endif
