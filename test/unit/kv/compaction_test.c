/* What compaction forbids at once, what it frees, and for whom it waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ask.h"
#include "kv/store.h"

#include <string.h>

static void test_kv_compaction_frees_all_but_what_is_there(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    for (int round = 0; round < 10; round++)
        for (const char *key = "a\0b\0c\0"; *key != 0; key += 2)
            assert_int_equal(put(kv, key, "value"), KV_OK);
    assert_int_equal(del(kv, "c"), KV_OK);
    uint64_t revision = kv_revision(kv);
    assert_int_equal(compact(kv, revision + 1), KV_FUTURE);
    assert_int_equal(compact(kv, revision), KV_OK);
    assert_int_equal(compact(kv, revision), KV_COMPACTED);
    assert_int_equal(put(kv, "d", ""), KV_OK);
    assert_int_equal(compact(kv, revision + 1), KV_OK);
    uint64_t hash = kv_hash(kv);
    while (kv_tidy(kv, 3))
        continue;
    assert_int_equal(kv_hash(kv), hash);
    assert_int_equal(kv_history_end(kv) - kv_history_first(kv), 1);
    assert_int_equal(kv_history_bytes(kv), sizeof(void *));
    assert_int_equal(index_check(&kv->keys, false), 3);
    assert_value(kv, "a", "value");
    kv_free(kv);
}

static void test_kv_compaction_waits_for_an_open_view(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    for (int i = 0; i < 20; i++)
        assert_int_equal(put(kv, "a", "value"), KV_OK);
    struct kv_view *view = kv_view_new(kv);
    uint64_t before = kv_history_bytes(kv);
    assert_int_equal(compact(kv, kv_revision(kv)), KV_OK);
    assert_false(kv_tidy(kv, SIZE_MAX));
    assert_int_equal(kv_history_bytes(kv), before);
    kv_view_free(view);
    assert_false(kv_tidy(kv, SIZE_MAX));
    assert_true(kv_history_bytes(kv) < before / 10);
    kv_free(kv);
}

static size_t walk_to_the_end(const struct kv *kv, struct kv_cursor *cursor, enum kv_step *end)
{
    size_t count = 0;
    size_t budget = SIZE_MAX;
    struct kv_item item;
    while ((*end = kv_cursor_next(kv, cursor, &budget, &item)) == KV_STEP_ITEM) {
        assert_int_equal(item.value.len, 3);
        assert_memory_equal(item.value.data, "old", 3);
        count++;
    }
    return count;
}

static struct kv_cursor *cursor_over_all(const struct kv *kv)
{
    const struct kv_keys keys = all_keys();
    struct kv_cursor *cursor;
    assert_int_equal(kv_cursor_open(kv, &keys, 0, false, &cursor), KV_OK);
    return cursor;
}

static void test_kv_compaction_does_not_end_a_walk(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    for (const char *key = "a\0b\0c\0"; *key != 0; key += 2)
        assert_int_equal(put(kv, key, "old"), KV_OK);
    struct kv_cursor *cursor = cursor_over_all(kv);
    for (const char *key = "a\0b\0c\0"; *key != 0; key += 2)
        assert_int_equal(put(kv, key, "new"), KV_OK);
    assert_int_equal(del(kv, "b"), KV_OK);
    assert_int_equal(compact(kv, kv_revision(kv)), KV_OK);
    assert_false(kv_tidy(kv, SIZE_MAX));
    assert_false(kv_is_tidy(kv));
    struct kv_cursor *late;
    const struct kv_keys keys = all_keys();
    assert_int_equal(kv_cursor_open(kv, &keys, 4, false, &late), KV_COMPACTED);
    enum kv_step end;
    assert_int_equal(walk_to_the_end(kv, cursor, &end), 3);
    assert_int_equal(end, KV_STEP_END);
    kv_cursor_free(cursor);
    assert_false(kv_tidy(kv, SIZE_MAX));
    assert_true(kv_is_tidy(kv));
    assert_int_equal(kv_history_end(kv) - kv_history_first(kv), 1);
    kv_free(kv);
}

/* A walk that nobody goes on with does not keep everything for ever. */
static void test_kv_compaction_ends_a_walk_that_costs_too_much(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_int_equal(put(kv, "a", "old"), KV_OK);
    struct kv_cursor *cursor = cursor_over_all(kv);
    for (size_t i = 0; i <= 256 << 10; i++)
        assert_int_equal(put(kv, "a", ""), KV_OK);
    assert_int_equal(compact(kv, kv_revision(kv)), KV_OK);
    assert_false(kv_tidy(kv, SIZE_MAX));
    assert_true(kv_is_tidy(kv));
    enum kv_step end;
    assert_int_equal(walk_to_the_end(kv, cursor, &end), 0);
    assert_int_equal(end, KV_STEP_COMPACTED);
    kv_cursor_free(cursor);
    kv_free(kv);
}

/* An entry in a reply outlives what the store does with its key. */
static void test_kv_reply_outlives_compaction_and_the_store(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_int_equal(put(kv, "a", "old"), KV_OK);
    assert_int_equal(put(kv, "a", "new"), KV_OK);
    struct kv_reply reply;
    struct kv_range range = {.keys = one("a"), .revision = 2};
    assert_int_equal(kv_range_all(kv, &range, &reply), KV_OK);
    assert_int_equal(del(kv, "a"), KV_OK);
    assert_int_equal(compact(kv, kv_revision(kv)), KV_OK);
    assert_false(kv_tidy(kv, SIZE_MAX));
    kv_free(kv);
    struct kv_item item;
    kv_entry_item(reply.items[0], &item);
    assert_memory_equal(item.value.data, "old", 3);
    kv_reply_deinit(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_compaction_frees_all_but_what_is_there),
        cmocka_unit_test(test_kv_compaction_waits_for_an_open_view),
        cmocka_unit_test(test_kv_compaction_does_not_end_a_walk),
        cmocka_unit_test(test_kv_compaction_ends_a_walk_that_costs_too_much),
        cmocka_unit_test(test_kv_reply_outlives_compaction_and_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
