/* The store's rules one by one; what they do together is for model_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ask.h"
#include "base/prng.h"
#include "kv/store.h"
#include "twin.h"

#include <stdio.h>
#include <string.h>

/* ---- revisions ------------------------------------------------------------------------------- */

static void test_kv_revisions_count_changes_and_start_anew_after_a_delete(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_int_equal(kv_revision(kv), 1);
    assert_int_equal(put(kv, "a", "1"), KV_OK);
    assert_int_equal(put(kv, "a", "2"), KV_OK);
    struct kv_item item = item_of(kv, "a");
    assert_int_equal(item.create_revision, 2);
    assert_int_equal(item.mod_revision, 3);
    assert_int_equal(item.version, 2);
    assert_int_equal(del(kv, "b"), KV_OK); /* nothing: no revision */
    assert_int_equal(kv_revision(kv), 3);
    assert_int_equal(del(kv, "a"), KV_OK);
    assert_int_equal(put(kv, "a", "3"), KV_OK);
    item = item_of(kv, "a");
    assert_int_equal(item.create_revision, 5);
    assert_int_equal(item.version, 1);
    assert_int_equal(kv_count(kv), 1);
    assert_int_equal(kv_size_bytes(kv), 2);
    kv_free(kv);
}

static void test_kv_delete_of_a_range_takes_one_revision(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    for (const char *key = "d\0c\0b\0a\0"; *key != 0; key += 2)
        assert_int_equal(put(kv, key, "x"), KV_OK);
    struct kv_keys keys = {.extent = KV_HALF_OPEN, .key = b("b"), .end = b("d")};
    assert_int_equal(do_op(kv, delete_op(keys)).revision, 6);
    assert_true(is_there(kv, "a") && is_there(kv, "d"));
    assert_false(is_there(kv, "b") || is_there(kv, "c"));
    uint64_t position;
    assert_int_equal(kv_history_find(kv, 6, &position), ERR_OK);
    struct kv_event event;
    kv_history_at(kv, position, &event);
    assert_memory_equal(event.item.key.data, "b", 1);
    assert_int_equal(event.item.version, 0);
    assert_false(event.last_of_revision);
    assert_true(event.has_prev);
    kv_history_at(kv, position + 1, &event);
    assert_true(event.last_of_revision);
    kv_free(kv);
}

static void test_kv_batch_gives_each_operation_its_revision_and_status(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_op ops[4] = {put_op("a", "1", 0), put_op("b", "1", 77), put_op("", "1", 0),
                           put_op("a", "2", 0)};
    struct kv_result result =
        apply(kv, &(struct kv_command){.type = KV_COMMAND_BATCH, .ops = ops, .op_count = 4});
    assert_int_equal(result.status, KV_OK);
    assert_int_equal(result.reply_count, 4);
    assert_int_equal(result.replies[0].revision, 2);
    assert_int_equal(result.replies[1].status, KV_LEASE_NOT_FOUND);
    assert_int_equal(result.replies[2].status, KV_KEY_EMPTY);
    assert_int_equal(result.replies[3].revision, 3);
    kv_result_deinit(&result);
    assert_value(kv, "a", "2");
    kv_free(kv);
}

static void test_kv_undecodable_command_changes_nothing(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_int_equal(put(kv, "a", "1"), KV_OK);
    uint64_t hash = kv_hash(kv);
    static const uint8_t nonsense[] = {0x92, 0x01, 0xc0};
    for (size_t len = 0; len <= sizeof nonsense; len++) {
        struct kv_result result = kv_apply(kv, nonsense, len, 1, true);
        assert_int_equal(result.status, KV_COMMAND_INVALID);
        assert_int_equal(result.revision, 2);
        kv_result_deinit(&result);
    }
    assert_int_equal(kv_hash(kv), hash);
    kv_free(kv);
}

/* What is there is the same, what was is not: who watches would see it. */
static void test_kv_hash_tells_histories_apart(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv *other = kv_new();
    assert_int_equal(put(kv, "a", "1"), KV_OK);
    assert_int_equal(put(other, "a", "2"), KV_OK);
    assert_int_equal(put(kv, "a", "3"), KV_OK);
    assert_int_equal(put(other, "a", "3"), KV_OK);
    assert_true(kv_hash(kv) != kv_hash(other));
    kv_free(other);
    kv_free(kv);
}

/* ---- leases and tickets ---------------------------------------------------------------------- */

static void test_kv_lease_takes_its_keys_along(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_int_equal(grant(kv, 7, 60), KV_OK);
    assert_int_equal(grant(kv, 7, 60), KV_LEASE_EXISTS);
    assert_int_equal(kv_revision(kv), 1);
    assert_int_equal(do_op(kv, put_op("b", "1", 7)).status, KV_OK);
    assert_int_equal(do_op(kv, put_op("a", "1", 7)).status, KV_OK);
    assert_int_equal(do_op(kv, put_op("c", "1", 7)).status, KV_OK);
    assert_int_equal(put(kv, "c", "2"), KV_OK); /* without a lease: it is off */
    struct kv_lease_info info;
    assert_true(kv_lease_get(kv, 7, &info));
    assert_int_equal(info.key_count, 2);
    struct kv_lease_time which = {.id = 7};
    struct kv_command command = {
        .type = KV_COMMAND_EXPIRE, .term = 2, .leases = &which, .lease_count = 1};
    assert_int_equal(apply(kv, &command).status, KV_NOT_OF_THIS_TERM);
    assert_true(is_there(kv, "a"));
    command.term = 1;
    struct kv_result result = apply(kv, &command);
    assert_int_equal(result.status, KV_OK);
    assert_int_equal(result.revision, 6); /* one for both */
    assert_false(is_there(kv, "a") || is_there(kv, "b"));
    assert_true(is_there(kv, "c"));
    command.type = KV_COMMAND_REVOKE;
    assert_int_equal(apply(kv, &command).status, KV_LEASE_NOT_FOUND);
    kv_free(kv);
}

/* The leader proposes the end of the lease that it knows; before that is committed, it is given
 * back and one with the same id is granted. */
static void test_kv_lease_granted_again_outlives_the_end_of_the_first(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_lease_info info;
    struct kv_lease_time which = {.id = 7, .remaining_s = 3};
    assert_int_equal(grant(kv, 7, 60), KV_OK);
    struct kv_command ends = {.type = KV_COMMAND_EXPIRE,
                              .term = 1,
                              .leases = &which,
                              .lease_count = 1,
                              .births = kv_lease_births(kv, 1)};
    struct kv_command checkpoint = ends;
    struct kv_command revoke = ends;
    checkpoint.type = KV_COMMAND_CHECKPOINT;
    revoke.type = KV_COMMAND_REVOKE;
    assert_int_equal(apply(kv, &revoke).status, KV_OK);
    assert_int_equal(grant(kv, 7, 60), KV_OK);
    assert_int_equal(do_op(kv, put_op("a", "1", 7)).status, KV_OK);
    assert_int_equal(apply(kv, &checkpoint).status, KV_OK);
    assert_int_equal(apply(kv, &ends).status, KV_OK);
    assert_true(is_there(kv, "a"));
    assert_true(kv_lease_get(kv, 7, &info) && info.remaining_s == 0);
    ends.births = kv_lease_births(kv, 1);
    assert_int_equal(apply(kv, &ends).status, KV_OK);
    assert_false(is_there(kv, "a") || kv_lease_get(kv, 7, &info));
    kv_free(kv);
}

static struct kv_result put_with_ticket(struct kv *kv, const char *value, const char *ticket)
{
    struct kv_op op = put_op("k", value, 0);
    return apply(kv, &(struct kv_command){
                         .type = KV_COMMAND_OP, .ticket = b(ticket), .ops = &op, .op_count = 1});
}

static void test_kv_ticket_makes_a_repetition_harmless(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_result first = put_with_ticket(kv, "1", "t");
    assert_int_equal(first.revision, 2);
    kv_result_deinit(&first);
    assert_int_equal(put(kv, "k", "2"), KV_OK);
    struct kv_result again = put_with_ticket(kv, "1", "t");
    assert_int_equal(again.status, KV_REPEATED);
    assert_int_equal(again.revision, 2);
    kv_result_deinit(&again);
    assert_value(kv, "k", "2");
    struct kv_ticket ticket;
    assert_true(kv_ticket_get(kv, b("t"), &ticket));
    assert_int_equal(ticket.sequence, 1);
    assert_true(ticket.succeeded);
    assert_false(kv_ticket_get(kv, b("u"), &ticket));
    kv_free(kv);
}

static struct kv_result delete_with_ticket(struct kv *kv, const char *key, uint64_t fingerprint)
{
    struct kv_op op = {.type = KV_OP_DELETE, .del = {.keys = {.key = b(key)}}};
    return apply(kv, &(struct kv_command){.type = KV_COMMAND_OP,
                                          .ticket = b("t"),
                                          .fingerprint = fingerprint,
                                          .ops = &op,
                                          .op_count = 1});
}

static void test_kv_ticket_is_good_for_one_request(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_result first = delete_with_ticket(kv, "none", 7);
    assert_int_equal(first.status, KV_OK);
    kv_result_deinit(&first);
    struct kv_ticket ticket;
    assert_true(kv_ticket_get(kv, b("t"), &ticket));
    assert_int_equal(ticket.status, KV_KEY_NOT_FOUND);
    assert_false(ticket.succeeded);
    assert_int_equal(put(kv, "k", "1"), KV_OK);
    uint64_t hash = kv_hash(kv);
    struct kv_result other = delete_with_ticket(kv, "k", 8);
    assert_int_equal(other.status, KV_TICKET_TAKEN);
    kv_result_deinit(&other);
    struct kv_result again = delete_with_ticket(kv, "none", 7);
    assert_int_equal(again.status, KV_REPEATED);
    kv_result_deinit(&again);
    assert_value(kv, "k", "1");
    assert_int_equal(kv_hash(kv), hash);
    kv_free(kv);
}

static void test_kv_tickets_beyond_the_limit_push_out_the_oldest(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    char name[32];
    for (uint64_t i = 1; i <= KV_TICKETS_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "t%u", (unsigned)i);
        struct kv_result result = put_with_ticket(kv, "1", name);
        assert_int_equal(result.status, KV_OK);
        kv_result_deinit(&result);
    }
    struct kv_ticket ticket;
    assert_false(kv_ticket_get(kv, b("t10"), &ticket));
    assert_true(kv_ticket_get(kv, b("t11"), &ticket));
    assert_int_equal(kv_ticket_last(kv), KV_TICKETS_MAX + 10);
    kv_free(kv);
}

/* ---- size ------------------------------------------------------------------------------------ */

static const char *numbered(char *out, size_t size, uint64_t number)
{
    (void)snprintf(out, size, "%06u", (unsigned)number);
    return out;
}

static uint64_t count_between(const bool *there, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    for (uint64_t i = from; i < to; i++)
        count += there[i] ? 1 : 0;
    return count;
}

/* Enough keys for four levels of the tree, in any order, with compaction taking some away. */
static void test_kv_many_keys_are_counted_in_any_range(void **state)
{
    (void)state;
    enum { KEYS = 9000 };
    static bool there[KEYS];
    struct prng prng = {.state = 3};
    struct kv *kv = kv_new();
    char key[16];
    char end[16];
    for (int i = 0; i < 60000; i++) {
        uint64_t number = prng_below(&prng, KEYS);
        bool is_put = prng_below(&prng, 100) < (i < 30000 ? 70 : 30);
        numbered(key, sizeof key, number);
        assert_int_equal(is_put ? put(kv, key, "v") : del(kv, key), KV_OK);
        there[number] = is_put;
        if (i % 500 != 0)
            continue;
        if (i % 2000 == 0)
            assert_int_equal(compact(kv, kv_revision(kv)), KV_OK);
        (void)kv_tidy(kv, 1500);
        (void)index_check(&kv->keys, false);
        uint64_t from = prng_below(&prng, KEYS);
        uint64_t to = prng_below(&prng, KEYS);
        struct kv_keys keys = {.extent = KV_HALF_OPEN,
                               .key = b(numbered(key, sizeof key, from)),
                               .end = b(numbered(end, sizeof end, to))};
        assert_int_equal(kv_count_range(kv, &keys), count_between(there, from, to));
    }
    assert_int_equal(kv_count(kv), count_between(there, 0, KEYS));
    kv_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_revisions_count_changes_and_start_anew_after_a_delete),
        cmocka_unit_test(test_kv_delete_of_a_range_takes_one_revision),
        cmocka_unit_test(test_kv_batch_gives_each_operation_its_revision_and_status),
        cmocka_unit_test(test_kv_undecodable_command_changes_nothing),
        cmocka_unit_test(test_kv_hash_tells_histories_apart),
        cmocka_unit_test(test_kv_lease_takes_its_keys_along),
        cmocka_unit_test(test_kv_lease_granted_again_outlives_the_end_of_the_first),
        cmocka_unit_test(test_kv_ticket_makes_a_repetition_harmless),
        cmocka_unit_test(test_kv_ticket_is_good_for_one_request),
        cmocka_unit_test(test_kv_tickets_beyond_the_limit_push_out_the_oldest),
        cmocka_unit_test(test_kv_many_keys_are_counted_in_any_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
