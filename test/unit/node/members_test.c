/* The member table and what travels of it: snapshots, contexts, published names. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "node/envelope.h"
#include "node/members.h"
#include "node/waiters.h"

#include <string.h>

static void test_members_put_remove_remembers_ids(void **state)
{
    (void)state;
    struct members members = {0};
    members_put(&members, 3, "c:3");
    members_put(&members, 1, "a:1");
    members_put(&members, 2, "b:2");
    assert_int_equal(members.list[0].id, 1);
    assert_int_equal(members.list[2].id, 3);
    members_put(&members, 2, "b:22");
    assert_int_equal(members.count, 3);
    assert_string_equal(members_find(&members, 2)->peer_address, "b:22");
    assert_int_equal(members_by_address(&members, "c:3")->id, 3);
    members_remove(&members, 2);
    members_remove(&members, 2);
    assert_null(members_find(&members, 2));
    assert_true(members_was_removed(&members, 2));
    assert_int_equal(members.removed.count, 1);
    assert_false(members_was_removed(&members, 1));
    members_deinit(&members);
}

static void test_members_encode_decode_gives_the_same_table(void **state)
{
    (void)state;
    struct members members = {0};
    members_put(&members, 7, "[::1]:7");
    members_put(&members, 9, "h:9");
    assert_true(members_set_info(&members, 9, "nine", "h:90"));
    assert_false(members_set_info(&members, 9, "nine", "h:90"));
    assert_false(members_set_info(&members, 8, "x", "y"));
    members_remove(&members, 4);
    struct buf bytes = {0};
    const uint64_t chain = UINT64_C(0x1122334455667788);
    members_encode(&members, &chain, &bytes);
    struct members read = {0};
    bool has_hash = false;
    uint64_t hash = 0;
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_not_equal(members_decode(&read, bytes.data, len, &has_hash, &hash), ERR_OK);
    assert_int_equal(members_decode(&read, bytes.data, bytes.len, &has_hash, &hash), ERR_OK);
    assert_true(has_hash && hash == chain);
    buf_clear(&bytes);
    members_encode(&members, NULL, &bytes); /* as floe before there was a chain */
    assert_int_equal(members_decode(&read, bytes.data, bytes.len, &has_hash, &hash), ERR_OK);
    assert_false(has_hash);
    assert_int_equal(read.count, 2);
    assert_string_equal(read.list[1].name, "nine");
    assert_string_equal(read.list[1].http_address, "h:90");
    assert_string_equal(read.list[0].peer_address, "[::1]:7");
    assert_true(members_was_removed(&read, 4));
    buf_deinit(&bytes);
    members_deinit(&members);
    members_deinit(&read);
}

static void test_member_context_must_hold_an_address(void **state)
{
    (void)state;
    struct floe_blob *good = member_context_encode("127.0.0.1:5", 77, true);
    struct floe_blob *bad = member_context_encode("no port", 0, false);
    struct member_context context;
    assert_int_equal(member_context_decode(good, &context), ERR_OK);
    assert_int_equal(context.seed, 77);
    assert_true(context.stays_learner);
    assert_string_equal(context.address, "127.0.0.1:5");
    mem_free(context.address);
    assert_int_equal(member_context_decode(bad, &context), ERR_INVALID);
    assert_null(context.address);
    assert_int_equal(member_context_decode(NULL, &context), ERR_OK);
    assert_null(context.address);
    assert_false(context.stays_learner);
    floe_blob_unref(good);
    floe_blob_unref(bad);
}

static void test_envelope_round_trip_and_damage(void **state)
{
    (void)state;
    struct envelope envelope = {.kind = ENVELOPE_KV,
                                .origin = UINT64_MAX - 5,
                                .boot = 77,
                                .seq = 1u << 20,
                                .payload = (const uint8_t *)"abc",
                                .payload_len = 3};
    struct floe_blob *blob = envelope_encode(&envelope);
    struct envelope read;
    assert_int_equal(envelope_decode(blob, &read), ERR_OK);
    assert_true(read.origin == envelope.origin && read.boot == 77 && read.seq == 1u << 20);
    assert_memory_equal(read.payload, "abc", 3);
    for (size_t len = 0; len < floe_blob_size(blob); len++) {
        struct floe_blob *cut = floe_blob_new(floe_blob_data(blob), len);
        assert_int_not_equal(envelope_decode(cut, &read), ERR_OK);
        floe_blob_unref(cut);
    }
    floe_blob_unref(blob);
}

static void test_member_info_refuses_nul_bytes(void **state)
{
    (void)state;
    struct buf bytes = {0};
    member_info_encode(&bytes, 5, "name", "h:1");
    struct member_info info;
    assert_int_equal(member_info_decode(bytes.data, bytes.len, &info), ERR_OK);
    assert_int_equal(info.id, 5);
    assert_string_equal(info.name, "name");
    mem_free(info.name);
    mem_free(info.http_address);
    uint8_t *at = memchr(bytes.data, 'm', bytes.len);
    *at = 0;
    assert_int_not_equal(member_info_decode(bytes.data, bytes.len, &info), ERR_OK);
    buf_deinit(&bytes);
}

static void test_waiters_keep_count_and_bytes_through_states(void **state)
{
    (void)state;
    struct waiters waiters;
    waiters_init(&waiters);
    struct waiter *a = waiters_add(&waiters, WAITER_WRITE, floe_blob_new("x", 1), 100, 5);
    struct waiter *b = waiters_add(&waiters, WAITER_ADD, NULL, 50, 6);
    assert_int_equal(waiters.count, 2);
    assert_int_equal(waiters.bytes, 150);
    assert_ptr_equal(TAILQ_FIRST(&waiters.queued), a);
    waiters_set_state(&waiters, a, WAITER_PROPOSED);
    assert_ptr_equal(TAILQ_FIRST(&waiters.queued), b);
    assert_ptr_equal(TAILQ_FIRST(&waiters.proposed), a);
    waiters_set_state(&waiters, a, WAITER_FORWARDED);
    assert_true(TAILQ_EMPTY(&waiters.proposed));
    assert_ptr_equal(waiters_find(&waiters, a->seq), a);
    uint64_t seq = a->seq;
    waiters_end(&waiters, a);
    assert_null(waiters_find(&waiters, seq));
    assert_int_equal(waiters.bytes, 50);
    waiters_deinit(&waiters);
    assert_int_equal(waiters.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_put_remove_remembers_ids),
        cmocka_unit_test(test_members_encode_decode_gives_the_same_table),
        cmocka_unit_test(test_member_context_must_hold_an_address),
        cmocka_unit_test(test_envelope_round_trip_and_damage),
        cmocka_unit_test(test_member_info_refuses_nul_bytes),
        cmocka_unit_test(test_waiters_keep_count_and_bytes_through_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
