/* The store against its model: rules one by one, then random operations with views open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model.h"

#include "base/mem.h"
#include "base/prng.h"
#include "kv/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct kv_command command(enum kv_op op, const char *key, const char *value)
{
    return (struct kv_command){.op = op,
                               .key = (const uint8_t *)key,
                               .key_len = strlen(key),
                               .value = (const uint8_t *)value,
                               .value_len = strlen(value)};
}

static struct kv_result do_put(struct kv *kv, const char *key, const char *value)
{
    struct kv_command what = command(KV_OP_PUT, key, value);
    return store_apply(kv, &what);
}

static struct kv_result do_delete(struct kv *kv, const char *key)
{
    struct kv_command what = command(KV_OP_DELETE, key, "");
    return store_apply(kv, &what);
}

static void assert_result(struct kv_result got, enum kv_status status, uint64_t revision,
                          uint64_t mod_revision)
{
    assert_int_equal(got.status, status);
    assert_int_equal(got.revision, revision);
    assert_int_equal(got.mod_revision, mod_revision);
}

static struct kv_item must_get(const struct kv *kv, const char *key)
{
    struct kv_item item;
    assert_true(kv_get(kv, (const uint8_t *)key, strlen(key), &item));
    return item;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void test_store_new_is_empty_at_revision_one(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_item item;
    assert_int_equal(kv_revision(kv), 1);
    assert_int_equal(kv_count(kv), 0);
    assert_int_equal(kv_size_bytes(kv), 0);
    assert_false(kv_get(kv, (const uint8_t *)"a", 1, &item));
    assert_false(kv_seek(kv, NULL, 0, false, &item));
    assert_false(kv_reap(kv, 10));
    kv_free(kv);
}

static void test_store_revisions_follow_the_rules(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_result(do_put(kv, "a", "1"), KV_OK, 2, 2);
    assert_result(do_put(kv, "b", "1"), KV_OK, 3, 3);
    assert_result(do_put(kv, "a", "22"), KV_OK, 4, 4);
    struct kv_item a = must_get(kv, "a");
    assert_int_equal(a.create_revision, 2);
    assert_int_equal(a.mod_revision, 4);
    assert_int_equal(a.version, 2);
    assert_int_equal(a.value_len, 2);
    assert_int_equal(kv_size_bytes(kv), 5);
    assert_result(do_delete(kv, "x"), KV_KEY_NOT_FOUND, 4, 0);
    assert_result(do_delete(kv, "a"), KV_OK, 5, 0);
    assert_result(do_delete(kv, "a"), KV_KEY_NOT_FOUND, 5, 0);
    assert_result(do_put(kv, "a", "3"), KV_OK, 6, 6);
    a = must_get(kv, "a");
    assert_int_equal(a.create_revision, 6); /* a new life */
    assert_int_equal(a.version, 1);
    assert_int_equal(kv_count(kv), 2);
    kv_free(kv);
}

static void test_store_conditions_are_as_in_the_table(void **state)
{
    (void)state;
    static const struct {
        enum kv_op op;
        bool exists; /* with mod_revision 2 */
        enum kv_condition condition;
        uint64_t mod_revision;
        enum kv_status want;
    } table[] = {
        {KV_OP_PUT, false, KV_ALWAYS, 0, KV_OK},
        {KV_OP_PUT, true, KV_ALWAYS, 0, KV_OK},
        {KV_OP_PUT, false, KV_IF_ABSENT, 0, KV_OK},
        {KV_OP_PUT, true, KV_IF_ABSENT, 0, KV_CONDITION_FAILED},
        {KV_OP_PUT, false, KV_IF_PRESENT, 0, KV_CONDITION_FAILED},
        {KV_OP_PUT, true, KV_IF_PRESENT, 0, KV_OK},
        {KV_OP_PUT, false, KV_IF_MOD_REVISION, 2, KV_CONDITION_FAILED},
        {KV_OP_PUT, false, KV_IF_MOD_REVISION, 0, KV_CONDITION_FAILED},
        {KV_OP_PUT, true, KV_IF_MOD_REVISION, 2, KV_OK},
        {KV_OP_PUT, true, KV_IF_MOD_REVISION, 3, KV_CONDITION_FAILED},
        {KV_OP_DELETE, false, KV_ALWAYS, 0, KV_KEY_NOT_FOUND},
        {KV_OP_DELETE, true, KV_ALWAYS, 0, KV_OK},
        {KV_OP_DELETE, false, KV_IF_ABSENT, 0, KV_KEY_NOT_FOUND},
        {KV_OP_DELETE, true, KV_IF_ABSENT, 0, KV_CONDITION_FAILED},
        {KV_OP_DELETE, false, KV_IF_PRESENT, 0, KV_CONDITION_FAILED},
        {KV_OP_DELETE, true, KV_IF_PRESENT, 0, KV_OK},
        {KV_OP_DELETE, false, KV_IF_MOD_REVISION, 2, KV_CONDITION_FAILED},
        {KV_OP_DELETE, true, KV_IF_MOD_REVISION, 2, KV_OK},
        {KV_OP_DELETE, true, KV_IF_MOD_REVISION, 1, KV_CONDITION_FAILED},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct kv *kv = kv_new();
        (void)do_put(kv, table[i].exists ? "k" : "other", "old");
        struct kv_command what = command(table[i].op, "k", table[i].op == KV_OP_PUT ? "new" : "");
        what.condition = table[i].condition;
        what.mod_revision = table[i].mod_revision;
        struct kv_result got = store_apply(kv, &what);
        uint64_t before = table[i].exists ? 2 : 0;
        uint64_t after = table[i].op == KV_OP_PUT ? 3 : 0;
        bool ok = table[i].want == KV_OK;
        assert_result(got, table[i].want, ok ? 3 : 2, ok ? after : before);
        kv_free(kv);
    }
}

static void test_store_undecodable_command_changes_nothing(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    (void)do_put(kv, "a", "1");
    assert_result(kv_apply(kv, (const uint8_t *)"\x91\x01", 2), KV_COMMAND_INVALID, 2, 0);
    assert_result(kv_apply(kv, (const uint8_t *)"", 0), KV_COMMAND_INVALID, 2, 0);
    assert_int_equal(kv_count(kv), 1);
    kv_free(kv);
}

static void test_store_seek_walks_prefix_keys_in_byte_order(void **state)
{
    (void)state;
    static const char *const order[] = {"a", "aa", "aaa", "ab", "b", "\x80", "\xff", "\xff\xff"};
    struct kv *kv = kv_new();
    for (size_t i = 8; i > 0; i--)
        (void)do_put(kv, order[i - 1], "v");
    struct kv_item item = {.key = NULL};
    for (size_t i = 0; i < 8; i++) {
        assert_true(kv_seek(kv, item.key, item.key_len, i > 0, &item));
        assert_int_equal(item.key_len, strlen(order[i]));
        assert_memory_equal(item.key, order[i], item.key_len);
    }
    assert_false(kv_seek(kv, item.key, item.key_len, true, &item));
    assert_true(kv_seek(kv, (const uint8_t *)"ac", 2, true, &item));
    assert_memory_equal(item.key, "b", 1);
    assert_true(kv_seek(kv, (const uint8_t *)"ab", 2, false, &item));
    assert_memory_equal(item.key, "ab", 2);
    assert_true(kv_seek(kv, (const uint8_t *)"a\0", 2, false, &item));
    assert_memory_equal(item.key, "aa", 2);
    kv_free(kv);
}

static void test_store_takes_long_keys_and_large_values(void **state)
{
    (void)state;
    enum { KEY = 16 * 1024, VALUE = 1536 * 1024 };
    struct kv *kv = kv_new();
    uint8_t *key = mem_calloc(1, KEY);
    uint8_t *value = mem_calloc(1, VALUE);
    for (int i = 0; i < 5; i++) { /* they differ in the last byte only */
        key[KEY - 1] = (uint8_t)i;
        value[VALUE - 1] = (uint8_t)i;
        struct kv_command what = {.op = KV_OP_PUT, .key = key, .key_len = KEY};
        what.value = value;
        what.value_len = VALUE;
        assert_int_equal(store_apply(kv, &what).status, KV_OK);
    }
    for (int i = 0; i < 5; i++) {
        struct kv_item item;
        key[KEY - 1] = (uint8_t)i;
        assert_true(kv_get(kv, key, KEY, &item));
        assert_int_equal(item.value_len, VALUE);
        assert_int_equal(item.value[VALUE - 1], i);
    }
    assert_true(kv_size_bytes(kv) == 5ULL * (KEY + VALUE));
    mem_free(key);
    mem_free(value);
    kv_free(kv);
}

/* ---- random operations ----------------------------------------------------------------------- */

enum { MAX_VIEWS = 4 };

struct run {
    struct prng prng;
    struct kv *kv;
    struct model *model;
    struct kv_view *view[MAX_VIEWS];
    struct model *frozen[MAX_VIEWS];
    uint64_t keys; /* how many different keys there can be */
};

static size_t random_key(struct run *run, uint8_t *key)
{
    uint64_t n = prng_below(&run->prng, run->keys);
    size_t len = 0;
    do { /* few byte values, all lengths: many prefixes, zero bytes too */
        key[len++] = (uint8_t)((n % 5) * 63);
        n /= 5;
    } while (n > 0);
    return len;
}

static void random_write(struct run *run, uint64_t deletes_in_ten)
{
    uint8_t key[32];
    uint8_t value[40] = {0};
    struct kv_command what = {.op = KV_OP_PUT, .key = key, .value = value};
    what.key_len = random_key(run, key);
    what.value_len = prng_below(&run->prng, sizeof value);
    put_u64(value, prng_next(&run->prng));
    if (prng_below(&run->prng, 10) < deletes_in_ten)
        what.op = KV_OP_DELETE;
    if (prng_below(&run->prng, 4) == 0)
        what.condition = (enum kv_condition)prng_below(&run->prng, 4);
    struct kv_item now;
    if (kv_get(run->kv, key, what.key_len, &now))
        what.mod_revision = now.mod_revision + prng_below(&run->prng, 2);
    if (what.op == KV_OP_DELETE)
        what.value_len = 0;
    struct kv_result want = model_apply(run->model, &what);
    assert_result(store_apply(run->kv, &what), want.status, want.revision, want.mod_revision);
}

static void view_open(struct run *run, size_t i)
{
    run->view[i] = kv_view_new(run->kv);
    run->frozen[i] = model_copy(run->model);
}

/* What the view gives must be the store at the moment when it was opened. */
static void view_check_and_close(struct run *run, size_t i)
{
    struct buf out = view_stream(run->view[i], 1 + prng_below(&run->prng, 500));
    struct kv *loaded = store_load(out.data, out.len);
    assert_store_is(loaded, run->frozen[i]);
    kv_free(loaded);
    buf_deinit(&out);
    kv_view_free(run->view[i]);
    model_free(run->frozen[i]);
    run->view[i] = NULL;
}

static void random_step(struct run *run, uint64_t deletes_in_ten)
{
    uint64_t dice = prng_below(&run->prng, 200);
    size_t i = prng_below(&run->prng, MAX_VIEWS);
    if (dice > 1)
        random_write(run, deletes_in_ten);
    else if (run->view[i] == NULL)
        view_open(run, i);
    else
        view_check_and_close(run, i);
    if (dice % 16 == 3)
        (void)kv_reap(run->kv, 1 + prng_below(&run->prng, 5));
}

static void run_random(uint64_t seed, uint64_t keys, int steps)
{
    struct run run = {.prng = {.state = seed}, .keys = keys};
    run.kv = kv_new();
    run.model = model_new();
    for (int i = 0; i < steps; i++) {
        random_step(&run, (uint64_t)(i / 1000) % 2 == 0 ? 2 : 8); /* grows, shrinks, grows ... */
        if (i % 250 == 0)
            assert_store_is(run.kv, run.model);
    }
    assert_store_is(run.kv, run.model);
    for (size_t i = 0; i < MAX_VIEWS; i++) {
        if (run.view[i] != NULL)
            view_check_and_close(&run, i);
    }
    kv_free(run.kv);
    model_free(run.model);
}

static uint64_t base_seed = 20240611;

static void test_store_random_operations_match_the_model(void **state)
{
    (void)state;
    print_message("seed %" PRIu64 "\n", base_seed);
    run_random(base_seed, 10, 3000);
    run_random(base_seed + 1, 300, 6000);
    run_random(base_seed + 2, 4000, 20000);
    run_random(base_seed + 3, 1000000, 12000);
}

static void number_command(struct kv_command *what, uint8_t key[8], uint64_t n)
{
    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)(n >> (56 - 8 * i));
    *what = (struct kv_command){.op = KV_OP_PUT, .key = key, .key_len = 8};
}

/* Fills in ascending, then empties from the front, the back, and every other key. */
static void test_store_emptied_in_any_order_stays_sound(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    for (int order = 0; order < 4; order++) {
        struct kv *kv = kv_new();
        struct kv_view *view = NULL;
        uint8_t key[8];
        struct kv_command what;
        for (uint64_t i = 0; i < COUNT; i++) {
            number_command(&what, key, order == 3 ? COUNT - i : i);
            (void)store_apply(kv, &what);
        }
        if (order == 1)
            view = kv_view_new(kv);
        for (uint64_t i = 0; i < COUNT; i++) {
            uint64_t odd = i < COUNT / 2 ? 2 * i : 2 * (i - COUNT / 2) + 1;
            const uint64_t by_order[] = {i, COUNT - 1 - i, odd, COUNT - i};
            number_command(&what, key, by_order[order]);
            what.op = KV_OP_DELETE;
            assert_int_equal(store_apply(kv, &what).status, KV_OK);
            if (i % 37 == 0 || i > COUNT - 40)
                assert_true(index_check(&kv->index) == COUNT - 1 - i);
        }
        assert_null(kv->index.root);
        kv_view_free(view);
        while (kv_reap(kv, 3))
            continue;
        kv_free(kv);
    }
}

/* ---- dropping -------------------------------------------------------------------------------- */

static void fill(struct kv *kv, uint64_t count)
{
    uint8_t key[8];
    struct kv_command what;
    for (uint64_t i = 0; i < count; i++) {
        number_command(&what, key, i);
        (void)store_apply(kv, &what);
    }
}

/* Slices needed until nothing is left. */
static size_t reap_all(struct kv *kv, size_t max_nodes)
{
    size_t slices = 1;
    while (kv_reap(kv, max_nodes))
        slices++;
    return slices;
}

static void test_store_dropped_view_is_freed_in_slices(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    fill(kv, 10000);
    struct kv_view *view = kv_view_new(kv);
    fill(kv, 10000); /* every key again: nothing is shared any more */
    kv_view_free(view);
    assert_true(kv_reap(kv, 10));
    assert_true(reap_all(kv, 10) >= 10000 / KV_NODE_MAX / 10 - 1);
    assert_int_equal(index_check(&kv->index), 10000);
    kv_free(kv);
}

static void test_store_write_copies_only_the_path_that_a_view_shares(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    fill(kv, 10000);
    struct kv_view *view = kv_view_new(kv);
    fill(kv, 1);
    kv_view_free(view);
    assert_int_equal(reap_all(kv, 1), 3); /* root, inner node, leaf */
    kv_free(kv);
}

static void test_store_discarded_store_is_freed_by_its_heir(void **state)
{
    (void)state;
    struct kv *old = kv_new();
    fill(old, 5000);
    struct kv_view *early = kv_view_new(old);
    fill(old, 5000);
    struct kv_view *late = kv_view_new(old);
    fill(old, 5000);
    kv_view_free(early); /* waits in old's list */
    struct kv *kv = kv_new();
    kv_discard(kv, old);
    assert_true(reap_all(kv, 8) >= 2 * 5000 / KV_NODE_MAX / 8);
    kv_view_free(late);
    assert_true(reap_all(kv, 8) >= 5000 / KV_NODE_MAX / 8);
    kv_free(kv);
}

static void test_store_views_outlive_their_stores(void **state)
{
    (void)state;
    struct kv *first = kv_new();
    struct kv *second = kv_new();
    struct kv *third = kv_new();
    fill(first, 1000);
    fill(second, 500);
    struct kv_view *of_first = kv_view_new(first);
    struct kv_view *of_second = kv_view_new(second);
    kv_discard(second, first);
    kv_discard(third, second);
    kv_free(third);
    struct buf out = view_stream(of_first, 1000);
    struct kv *loaded = store_load(out.data, out.len);
    assert_int_equal(kv_count(loaded), 1000);
    kv_free(loaded);
    buf_deinit(&out);
    kv_view_free(of_second);
    kv_view_free(of_first);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        base_seed = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_new_is_empty_at_revision_one),
        cmocka_unit_test(test_store_revisions_follow_the_rules),
        cmocka_unit_test(test_store_conditions_are_as_in_the_table),
        cmocka_unit_test(test_store_undecodable_command_changes_nothing),
        cmocka_unit_test(test_store_seek_walks_prefix_keys_in_byte_order),
        cmocka_unit_test(test_store_takes_long_keys_and_large_values),
        cmocka_unit_test(test_store_random_operations_match_the_model),
        cmocka_unit_test(test_store_emptied_in_any_order_stays_sound),
        cmocka_unit_test(test_store_dropped_view_is_freed_in_slices),
        cmocka_unit_test(test_store_write_copies_only_the_path_that_a_view_shares),
        cmocka_unit_test(test_store_discarded_store_is_freed_by_its_heir),
        cmocka_unit_test(test_store_views_outlive_their_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
