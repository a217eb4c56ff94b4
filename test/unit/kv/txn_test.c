/* Transactions: what their reads see, what they compare, when they are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ask.h"

#include <string.h>

static struct kv_result do_txn(struct kv *kv, struct kv_compare *compare, struct kv_op *ops,
                               size_t count)
{
    struct kv_op txn = {.type = KV_OP_TXN,
                        .txn = {.compares = compare,
                                .compare_count = compare != NULL ? 1 : 0,
                                .success = ops,
                                .success_count = count}};
    return apply(kv, &(struct kv_command){.type = KV_COMMAND_OP, .ops = &txn, .op_count = 1});
}

static enum kv_status txn_status(struct kv *kv, struct kv_op *ops, size_t count)
{
    struct kv_result result = do_txn(kv, NULL, ops, count);
    enum kv_status status = result.status;
    kv_result_deinit(&result);
    return status;
}

static void test_kv_txn_reads_see_what_was_written_before_them(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_int_equal(put(kv, "a", "1"), KV_OK);
    struct kv_op look = {.type = KV_OP_RANGE, .range = {.keys = one("a")}};
    struct kv_op look_back = {.type = KV_OP_RANGE, .range = {.keys = one("a"), .revision = 2}};
    struct kv_op ops[4] = {look, put_op("a", "2", 0), look, look_back};
    struct kv_result result = do_txn(kv, NULL, ops, 4);
    const struct kv_reply *replies = result.replies[0].replies;
    static const uint64_t mods[4] = {2, 0, 3, 2};
    static const uint64_t revisions[4] = {2, 3, 3, 3};
    for (size_t i = 0; i < 4; i++) {
        struct kv_item item = {0};
        if (replies[i].item_count > 0)
            kv_entry_item(replies[i].items[0], &item);
        assert_int_equal(item.mod_revision, mods[i]);
        assert_int_equal(replies[i].revision, revisions[i]);
    }
    assert_true(result.replies[0].succeeded);
    kv_result_deinit(&result);
    kv_free(kv);
}

static void test_kv_txn_is_refused_as_a_whole(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    for (int i = 0; i < 5; i++)
        assert_int_equal(put(kv, "a", "1"), KV_OK);
    assert_int_equal(compact(kv, 4), KV_OK);
    uint64_t hash = kv_hash(kv);
    struct kv_op keep = put_op("missing", "", 0);
    keep.put.keep_value = true;
    const struct {
        struct kv_op op;
        enum kv_status status;
    } cases[] = {
        {put_op("a", "2", 0), KV_DUPLICATE_KEY},
        {delete_op(all_keys()), KV_DUPLICATE_KEY},
        {put_op("b", "2", 9), KV_LEASE_NOT_FOUND},
        {keep, KV_KEY_NOT_FOUND},
        {{.type = KV_OP_NONE}, KV_KEY_NOT_FOUND},
        {{.type = KV_OP_RANGE, .range = {.keys = one("a"), .revision = 7}}, KV_FUTURE},
        {{.type = KV_OP_RANGE, .range = {.keys = one("a"), .revision = 3}}, KV_COMPACTED},
        {{.type = KV_OP_RANGE, .range = {.keys = one("")}}, KV_KEY_EMPTY},
        {{.type = KV_OP_GRANT}, KV_COMMAND_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kv_op ops[3] = {
            {.type = KV_OP_GRANT, .grant = {5, 60}}, put_op("a", "9", 5), cases[i].op};
        assert_int_equal(txn_status(kv, ops, 3), cases[i].status);
        assert_int_equal(kv_hash(kv), hash);
        assert_int_equal(kv_lease_count(kv), 0);
        assert_value(kv, "a", "1");
    }
    struct kv_op good[2] = {{.type = KV_OP_RANGE, .range = {.keys = one("a"), .revision = 4}},
                            put_op("b", "1", 0)};
    assert_int_equal(txn_status(kv, good, 2), KV_OK);
    kv_free(kv);
}

/* What etcd's members did not do alike: a refusal for a read does not depend on who waits. */
static void test_kv_txn_is_refused_for_its_reads_without_replies_too(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_op ops[2] = {put_op("a", "1", 0),
                           {.type = KV_OP_RANGE, .range = {.keys = one("a"), .revision = 99}}};
    struct kv_op txn = {.type = KV_OP_TXN, .txn = {.success = ops, .success_count = 2}};
    struct buf bytes = {0};
    kv_command_encode(&bytes,
                      &(struct kv_command){.type = KV_COMMAND_OP, .ops = &txn, .op_count = 1});
    struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 1, false);
    assert_int_equal(result.status, KV_FUTURE);
    assert_null(result.replies);
    assert_int_equal(kv_revision(kv), 1);
    buf_deinit(&bytes);
    kv_free(kv);
}

static void test_kv_txn_branches_may_share_keys_and_siblings_not(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_op a = put_op("a", "1", 0);
    struct kv_op both = {
        .type = KV_OP_TXN,
        .txn = {.success = &a, .success_count = 1, .failure = &a, .failure_count = 1}};
    assert_int_equal(txn_status(kv, &both, 1), KV_OK);
    struct kv_op twice[2] = {both, both};
    assert_int_equal(txn_status(kv, twice, 2), KV_DUPLICATE_KEY);
    struct kv_op deletes[2] = {delete_op(all_keys()), delete_op(one("a"))};
    assert_int_equal(txn_status(kv, deletes, 2), KV_OK);
    kv_free(kv);
}

static void test_kv_txn_compare_of_a_missing_key_and_of_ranges(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_int_equal(put(kv, "a", "1"), KV_OK);
    assert_int_equal(put(kv, "b", "1"), KV_OK);
    assert_int_equal(put(kv, "b", "2"), KV_OK);
    const struct {
        struct kv_compare compare;
        bool holds;
    } cases[] = {
        {{.keys = one("z")}, true}, /* version = 0 */
        {{.keys = one("z"), .relation = KV_GREATER}, false},
        {{.keys = one("z"), .target = KV_VALUE}, false},
        {{.keys = one("z"), .target = KV_VALUE, .relation = KV_NOT_EQUAL}, false},
        {{.keys = one("a"), .target = KV_VALUE, .value = b("1")}, true},
        {{.keys = one("a"), .target = KV_MOD, .number = 2}, true},
        {{.keys = all_keys(), .relation = KV_GREATER, .number = 0}, true},
        {{.keys = all_keys(), .relation = KV_GREATER, .number = 1}, false},
        {{.keys = {KV_HALF_OPEN, b("x"), b("y")}}, true}, /* nothing in it is like a missing key */
        {{.keys = {KV_HALF_OPEN, b("x"), b("y")}, .target = KV_VALUE}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kv_compare compare = cases[i].compare;
        struct kv_result result = do_txn(kv, &compare, NULL, 0);
        assert_int_equal(result.status, KV_OK);
        assert_int_equal(result.replies[0].succeeded, cases[i].holds);
        assert_int_equal(result.revision, 4);
        kv_result_deinit(&result);
    }
    kv_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_txn_reads_see_what_was_written_before_them),
        cmocka_unit_test(test_kv_txn_is_refused_as_a_whole),
        cmocka_unit_test(test_kv_txn_is_refused_for_its_reads_without_replies_too),
        cmocka_unit_test(test_kv_txn_branches_may_share_keys_and_siblings_not),
        cmocka_unit_test(test_kv_txn_compare_of_a_missing_key_and_of_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
