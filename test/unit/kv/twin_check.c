/* Everything that can be seen of a store, compared with its twin. */
#include "base/mem.h"
#include "judge.h"
#include "kv/store.h"
#include "twin.h"

#include <stdlib.h>
#include <string.h>

static void assert_walk(const struct kv *kv, const struct twin *twin, uint64_t revision, bool down)
{
    const struct twin_event *found[256];
    const struct kv_keys all = {.extent = KV_FROM_KEY, .key = {(const uint8_t *)"", 1}};
    const struct kv_keys twins = {.extent = KV_FROM_KEY};
    size_t count = twin_list_range(twin, &twins, revision, found);
    struct kv_cursor *cursor;
    assert_int_equal(kv_cursor_open(kv, &all, revision, down, &cursor), KV_OK);
    size_t at = 0;
    size_t budget = 1 + revision % 3;
    enum kv_step step;
    struct kv_item item;
    while ((step = kv_cursor_next(kv, cursor, &budget, &item)) != KV_STEP_END) {
        if (step == KV_STEP_PAUSE) {
            budget = 1 + revision % 3;
            continue;
        }
        assert_int_equal(step, KV_STEP_ITEM);
        assert_true(at < count);
        assert_item_is(&item, found[down ? count - 1 - at : at]);
        at++;
    }
    assert_int_equal(at, count);
    kv_cursor_free(cursor);
}

static void assert_history(const struct kv *kv, const struct twin *twin, uint64_t revision)
{
    uint64_t position;
    assert_int_equal(kv_history_find(kv, revision, &position), ERR_OK);
    for (size_t i = 0; i < twin->event_count; i++) {
        const struct twin_event *want = &twin->events[i];
        if (want->mod < revision)
            continue;
        struct kv_event event;
        kv_history_at(kv, position++, &event);
        assert_item_is(&event.item, want);
        bool is_last = i + 1 == twin->event_count || twin->events[i + 1].mod != want->mod;
        assert_int_equal(event.last_of_revision, is_last);
        const struct twin_event *prev = twin_at(twin, want->key, want->mod - 1);
        assert_int_equal(event.has_prev, prev != NULL && want->mod > twin->compact);
        if (event.has_prev)
            assert_item_is(&event.prev, prev);
    }
    assert_int_equal(position, kv_history_end(kv));
}

static void assert_leases(const struct kv *kv, const struct twin *twin)
{
    const struct twin_event *found[256];
    const struct kv_keys all = {.extent = KV_FROM_KEY};
    size_t count = twin_list_range(twin, &all, UINT64_MAX, found);
    uint64_t next = 0;
    assert_int_equal(kv_lease_count(kv), twin->lease_count);
    for (size_t i = 0; i < twin->lease_count; i++) {
        const struct twin_lease *want = &twin->leases[i];
        struct kv_lease_info info;
        assert_true(kv_lease_seek(kv, next, &info));
        assert_int_equal(info.id, want->id);
        assert_int_equal(info.ttl_s, want->ttl_s);
        assert_int_equal(info.remaining_s, want->remaining_s);
        next = info.id + 1;
        size_t keys = 0;
        struct kv_bytes key = {0};
        for (size_t k = 0; k < count; k++) {
            if (found[k]->lease != want->id)
                continue;
            assert_true(kv_lease_next_key(kv, want->id, key, &key));
            assert_true(twin_text_is(key, found[k]->key));
            keys++;
        }
        assert_false(kv_lease_next_key(kv, want->id, key, &key));
        assert_int_equal(info.key_count, keys);
    }
}

static void assert_tickets(const struct kv *kv, const struct twin *twin)
{
    assert_int_equal(kv_ticket_last(kv), twin->ticket_last);
    for (size_t i = 0; i < twin->ticket_count; i++) {
        const struct twin_ticket *want = &twin->tickets[i];
        struct kv_bytes text = {(const uint8_t *)want->text, strlen(want->text)};
        struct kv_ticket got;
        assert_true(kv_ticket_get(kv, text, &got));
        assert_int_equal(got.sequence, want->is.sequence);
        assert_int_equal(got.revision, want->is.revision);
        assert_int_equal(got.term, want->is.term);
        assert_int_equal(got.fingerprint, want->is.fingerprint);
        assert_int_equal(got.status, want->is.status);
        assert_int_equal(got.succeeded, want->is.succeeded);
    }
}

enum kv_status twin_set_alarm(struct twin *twin, const struct kv_alarm *alarm, bool raise)
{
    const size_t max = sizeof twin->alarms / sizeof twin->alarms[0];
    struct kv_alarm others[sizeof twin->alarms / sizeof twin->alarms[0] + 1];
    size_t count = 0;
    bool was = false;
    for (size_t i = 0; i < twin->alarm_count; i++) {
        const struct kv_alarm *one = &twin->alarms[i];
        bool is_it = one->member == alarm->member && one->kind == alarm->kind;
        was |= is_it;
        if (!is_it)
            others[count++] = *one;
    }
    if (raise && !was && twin->alarm_count == max)
        return KV_TOO_MANY_OPS;
    size_t at = count;
    for (; raise && at > 0 && (others[at - 1].kind > alarm->kind ||
                               (others[at - 1].kind == alarm->kind &&
                                others[at - 1].member > alarm->member));
         at--)
        others[at] = others[at - 1];
    if (raise)
        others[at] = *alarm;
    twin->alarm_count = count + (raise ? 1 : 0);
    memcpy(twin->alarms, others, twin->alarm_count * sizeof *others);
    return KV_OK;
}

static void assert_alarms(const struct kv *kv, const struct twin *twin)
{
    const struct kv_alarm *list;
    assert_int_equal(kv_alarms(kv, &list), twin->alarm_count);
    for (size_t i = 0; i < twin->alarm_count; i++) {
        assert_int_equal(list[i].member, twin->alarms[i].member);
        assert_int_equal(list[i].kind, twin->alarms[i].kind);
    }
}

void assert_store_is_twin(const struct kv *kv, const struct twin *twin, uint64_t revision)
{
    assert_int_equal(kv_revision(kv), twin->revision);
    assert_int_equal(kv_compact_revision(kv), twin->compact);
    assert_walk(kv, twin, revision, false);
    assert_walk(kv, twin, revision, true);
    assert_history(kv, twin, revision);
    assert_leases(kv, twin);
    assert_tickets(kv, twin);
    assert_alarms(kv, twin);
    assert_store_is_sound(kv);
}

void assert_store_is_sound(const struct kv *kv)
{
    (void)index_check(&kv->keys, false);
    (void)index_check(&kv->leases, true);
    const struct kv_keys all = {.extent = KV_FROM_KEY, .key = {(const uint8_t *)"", 1}};
    assert_int_equal(kv_count(kv), kv_count_range(kv, &all));
    uint64_t position = kv_history_first(kv);
    if (position < kv_history_end(kv)) {
        struct kv_event event;
        kv_history_at(kv, position, &event);
        assert_true(event.item.mod_revision >= kv_compact_revision(kv));
    }
}
