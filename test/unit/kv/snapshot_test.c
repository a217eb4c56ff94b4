/* Views and loaders: damage, splits, and what changes while a view is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ask.h"
#include "base/mem.h"
#include "base/prng.h"
#include "codec/checksum.h"
#include "kv/format.h"
#include "twin.h"

#include <stdio.h>
#include <string.h>

/* A bit of everything that a snapshot can hold. */
static struct kv *sample(void)
{
    struct kv *kv = kv_new();
    for (uint64_t id = 1; id <= 5; id++)
        assert_int_equal(grant(kv, id * 10, 60), KV_OK);
    for (int i = 0; i < 40; i++) {
        char key[16];
        char value[16];
        char ticket[16];
        (void)snprintf(key, sizeof key, "key%d", i % 13);
        (void)snprintf(value, sizeof value, "value%d", i);
        (void)snprintf(ticket, sizeof ticket, "ticket%d", i);
        struct kv_op op = put_op(key, value, i % 3 == 0 ? 10U * (1 + (unsigned)i % 5) : 0);
        struct kv_command command = {
            .type = KV_COMMAND_OP, .ticket = b(ticket), .ops = &op, .op_count = 1};
        struct kv_result result = apply(kv, &command);
        assert_int_equal(result.status, KV_OK);
        kv_result_deinit(&result);
        if (i % 7 == 0)
            assert_int_equal(del(kv, key), KV_OK);
    }
    assert_int_equal(compact(kv, 12), KV_OK);
    return kv;
}

static enum kv_status alarm(struct kv *kv, uint64_t member, enum kv_alarm_kind kind, bool raise)
{
    struct kv_command command = {.type = KV_COMMAND_ALARM, .alarm = {member, kind}, .raise = raise};
    return apply(kv, &command).status;
}

/* They are part of the state, in order whatever came first, and change no revision. */
static void test_snapshot_has_the_alarms_of_its_moment(void **state)
{
    (void)state;
    struct kv *kv = sample();
    uint64_t revision = kv_revision(kv);
    uint64_t hash = kv_hash(kv);
    assert_int_equal(alarm(kv, 5, KV_ALARM_CORRUPT, true), KV_OK);
    assert_int_equal(alarm(kv, 7, KV_ALARM_NO_SPACE, true), KV_OK);
    assert_int_equal(alarm(kv, 3, KV_ALARM_NO_SPACE, true), KV_OK);
    assert_int_equal(alarm(kv, 3, KV_ALARM_NO_SPACE, true), KV_OK);
    uint64_t raised = kv_hash(kv);
    assert_true(raised != hash);
    struct kv_view *view = kv_view_new(kv);
    assert_int_equal(alarm(kv, 3, KV_ALARM_NO_SPACE, false), KV_OK); /* too late for the view */
    struct buf stream = view_stream(view, 7);
    struct kv *copy;
    assert_int_equal(load_stream(stream.data, stream.len, &copy), ERR_OK);
    const struct kv_alarm *list;
    assert_int_equal(kv_alarms(copy, &list), 3);
    assert_true(list[0].member == 3 && list[1].member == 7 && list[2].member == 5);
    assert_int_equal(list[2].kind, KV_ALARM_CORRUPT);
    assert_int_equal(kv_hash(copy), raised);
    assert_int_equal(alarm(kv, 7, KV_ALARM_NO_SPACE, false), KV_OK);
    assert_int_equal(alarm(kv, 7, KV_ALARM_NO_SPACE, false), KV_OK);
    assert_int_equal(alarm(kv, 5, KV_ALARM_CORRUPT, false), KV_OK);
    assert_int_equal(kv_hash(kv), hash);
    assert_int_equal(kv_revision(kv), revision);
    for (uint64_t id = 1; id <= 64; id++)
        assert_int_equal(alarm(kv, id, KV_ALARM_NO_SPACE, true), KV_OK);
    assert_int_equal(alarm(kv, 65, KV_ALARM_NO_SPACE, true), KV_TOO_MANY_OPS);
    buf_deinit(&stream);
    kv_free(copy);
    kv_free(kv);
}

static void test_snapshot_of_an_empty_store_loads(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv *copy;
    struct buf stream = view_stream(kv_view_new(kv), 1);
    assert_int_equal(load_stream(stream.data, stream.len, &copy), ERR_OK);
    assert_int_equal(kv_hash(copy), kv_hash(kv));
    assert_int_equal(put(copy, "a", "1"), KV_OK);
    assert_int_equal(kv_revision(copy), 2);
    buf_deinit(&stream);
    kv_free(copy);
    kv_free(kv);
}

/* The same bytes in any slices, before and after compaction was really done, and from the copy. */
static void test_snapshot_is_a_function_of_the_content(void **state)
{
    (void)state;
    struct kv *kv = sample();
    struct buf want = view_stream(kv_view_new(kv), SIZE_MAX);
    assert_false(kv_tidy(kv, SIZE_MAX));
    struct kv *copy;
    assert_int_equal(load_stream(want.data, want.len, &copy), ERR_OK);
    const struct kv *stores[2] = {kv, copy};
    for (size_t max_bytes = 1; max_bytes < 300; max_bytes += 37) {
        for (size_t i = 0; i < 2; i++) {
            struct kv *store = i == 0 ? kv : copy;
            struct buf got = view_stream(kv_view_new(store), max_bytes);
            assert_int_equal(got.len, want.len);
            assert_memory_equal(got.data, want.data, want.len);
            buf_deinit(&got);
        }
    }
    assert_int_equal(kv_hash(stores[0]), kv_hash(stores[1]));
    buf_deinit(&want);
    kv_free(copy);
    kv_free(kv);
}

/* Leases and tickets that change before the walk is there are written as they were. */
static void test_snapshot_has_leases_and_tickets_as_they_were(void **state)
{
    (void)state;
    struct kv *kv = sample();
    uint64_t hash = kv_hash(kv);
    struct buf stream = {0};
    struct kv_view *view = kv_view_new(kv);
    while (stream.len < 60) /* the beginning only */
        assert_false(kv_view_read(view, &stream, 30));
    struct kv_lease_time times[3] = {{30, 0}, {40, 0}, {50, 0}};
    struct kv_command revoke = {
        .type = KV_COMMAND_EXPIRE, .term = 1, .leases = times, .lease_count = 2};
    struct kv_command checkpoint = {
        .type = KV_COMMAND_CHECKPOINT, .term = 1, .leases = times, .lease_count = 3};
    struct kv_command forget = {.type = KV_COMMAND_FORGET, .term = 1, .number = 39};
    times[2].remaining_s = 5;
    assert_int_equal(apply(kv, &checkpoint).status, KV_OK);
    assert_int_equal(apply(kv, &revoke).status, KV_OK);
    assert_int_equal(apply(kv, &forget).status, KV_OK);
    assert_int_equal(grant(kv, 40, 7), KV_OK);
    assert_int_equal(grant(kv, 45, 7), KV_OK);
    assert_int_equal(compact(kv, kv_revision(kv)), KV_OK);
    while (!kv_view_read(view, &stream, 30))
        (void)kv_tidy(kv, 1000);
    kv_view_free(view);
    struct kv *copy;
    assert_int_equal(load_stream(stream.data, stream.len, &copy), ERR_OK);
    assert_int_equal(kv_hash(copy), hash);
    assert_int_equal(kv_lease_count(copy), 5);
    buf_deinit(&stream);
    kv_free(copy);
    kv_free(kv);
}

static void test_snapshot_of_a_much_written_key_comes_in_slices(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    assert_int_equal(put(kv, "hot", "0"), KV_OK);
    struct kv_view *view = kv_view_new(kv);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(put(kv, "hot", "1"), KV_OK);
    struct buf stream = {0};
    unsigned slices = 0;
    for (bool done = false; !done; slices++)
        done = kv_view_read(view, &stream, 160);
    assert_true(slices > 90); /* ten versions passed over in each */
    kv_view_free(view);
    struct kv *copy;
    assert_int_equal(load_stream(stream.data, stream.len, &copy), ERR_OK);
    assert_int_equal(kv_revision(copy), 2);
    buf_deinit(&stream);
    kv_free(copy);
    kv_free(kv);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void test_loader_every_truncation_is_corrupt(void **state)
{
    (void)state;
    struct kv *kv = sample();
    struct kv *copy;
    struct buf stream = view_stream(kv_view_new(kv), SIZE_MAX);
    for (size_t len = 0; len < stream.len; len++)
        assert_int_equal(load_stream(stream.data, len, &copy), ERR_CORRUPT);
    buf_add_u8(&stream, 0);
    assert_int_equal(load_stream(stream.data, stream.len, &copy), ERR_CORRUPT);
    buf_deinit(&stream);
    kv_free(kv);
}

static void test_loader_no_changed_byte_goes_unnoticed(void **state)
{
    (void)state;
    struct kv *kv = sample();
    struct kv *copy;
    struct buf stream = view_stream(kv_view_new(kv), SIZE_MAX);
    for (size_t at = 0; at < stream.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            stream.data[at] ^= (uint8_t)(1U << bit);
            enum err err = load_stream(stream.data, stream.len, &copy);
            assert_true(err == ERR_CORRUPT || err == ERR_VERSION);
            stream.data[at] ^= (uint8_t)(1U << bit);
        }
    }
    buf_deinit(&stream);
    kv_free(kv);
}

static void test_loader_of_the_format_before_says_version(void **state)
{
    (void)state;
    struct kv *copy;
    static const uint8_t begin[] = {5, 0, 0, 0, 1, 1, 0, 0, 0};
    assert_int_equal(load_stream(begin, sizeof begin, &copy), ERR_VERSION);
}

/* Leases of term 0 are as those of a store that knew no births. */
static void apply_in_term_0(struct kv *kv, struct kv_op op)
{
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    struct buf bytes = {0};
    kv_command_encode(&bytes, &command);
    struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 0, false);
    assert_int_equal(result.status, KV_OK);
    kv_result_deinit(&result);
    buf_deinit(&bytes);
}

/* The same parts as an older version wrote them. */
static struct buf stream_of_version(const struct buf *stream, uint32_t version)
{
    struct buf old = {0};
    uint64_t sum = 0;
    for (size_t at = 0; at < stream->len;) {
        const uint8_t *part = stream->data + at + LENGTH_BYTES;
        uint32_t len = get_u32(stream->data + at);
        at += LENGTH_BYTES + len;
        if (part[0] == PART_BEGIN || part[0] == PART_LEASE)
            len -= BIRTH_BYTES;
        size_t from = old.len;
        put_u32(buf_reserve(&old, LENGTH_BYTES), len);
        old.len += LENGTH_BYTES;
        buf_add(&old, part, len);
        uint8_t *body = old.data + from + LENGTH_BYTES;
        if (part[0] == PART_BEGIN)
            put_u32(body + 1, version);
        if (part[0] == PART_END)
            put_u64(body + END_BYTES - 8, sum);
        sum += checksum_chain(NULL, 0, body, len);
    }
    return old;
}

static void test_loader_reads_the_formats_before(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_op grant = {.type = KV_OP_GRANT, .grant = {.id = 7, .ttl_s = 60}};
    apply_in_term_0(kv, grant);
    apply_in_term_0(kv, put_op("a", "1", 7));
    struct buf stream = view_stream(kv_view_new(kv), SIZE_MAX);
    for (uint32_t version = FORMAT_VERSION_NO_ALARMS; version < FORMAT_VERSION; version++) {
        struct buf old = stream_of_version(&stream, version);
        struct kv_lease_info info;
        struct kv *copy;
        assert_int_equal(load_stream(old.data, old.len, &copy), ERR_OK);
        assert_int_equal(kv_hash(copy), kv_hash(kv));
        assert_true(kv_lease_get(copy, 7, &info) && info.ttl_s == 60 && info.key_count == 1);
        kv_free(copy);
        buf_deinit(&old);
    }
    buf_deinit(&stream);
    kv_free(kv);
}

static void test_loader_absurd_length_is_refused_at_once(void **state)
{
    (void)state;
    struct kv *copy;
    static const uint8_t length[] = {0xff, 0xff, 0xff, 0xff, 4};
    assert_int_equal(load_stream(length, sizeof length, &copy), ERR_CORRUPT);
}

static void test_loader_discarded_half_way_is_freed_in_slices(void **state)
{
    (void)state;
    struct kv *kv = sample();
    struct buf stream = view_stream(kv_view_new(kv), SIZE_MAX);
    struct kv_loader *loader = kv_loader_new();
    assert_int_equal(kv_loader_feed(loader, stream.data, stream.len * 3 / 4), ERR_OK);
    kv_loader_discard(kv, loader);
    unsigned slices = 0;
    while (kv_tidy(kv, 5))
        slices++;
    assert_true(slices > 5);
    buf_deinit(&stream);
    kv_free(kv);
}

static void test_store_discarded_in_the_midst_of_a_command_is_freed(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv *old = kv_new();
    struct kv_op op = delete_op(all_keys());
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    struct buf bytes = {0};
    struct kv_result result;
    size_t budget = 2;
    op.del.want_prev = true;
    for (const char *key = "abcde"; *key != 0; key++)
        (void)put(old, key, "v");
    kv_command_encode(&bytes, &command);
    struct kv_log_entry entry = {
        .command = bytes.data, .len = bytes.len, .term = 1, .want_replies = true};
    assert_false(kv_apply_begin(old, &entry, &budget, &result));
    assert_int_equal(kv_count(old), 5);
    kv_discard(kv, old);
    while (kv_tidy(kv, 1)) {
    }
    kv_free(kv);
    buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_of_an_empty_store_loads),
        cmocka_unit_test(test_snapshot_is_a_function_of_the_content),
        cmocka_unit_test(test_snapshot_has_leases_and_tickets_as_they_were),
        cmocka_unit_test(test_snapshot_of_a_much_written_key_comes_in_slices),
        cmocka_unit_test(test_loader_every_truncation_is_corrupt),
        cmocka_unit_test(test_loader_no_changed_byte_goes_unnoticed),
        cmocka_unit_test(test_snapshot_has_the_alarms_of_its_moment),
        cmocka_unit_test(test_loader_of_the_format_before_says_version),
        cmocka_unit_test(test_loader_reads_the_formats_before),
        cmocka_unit_test(test_loader_absurd_length_is_refused_at_once),
        cmocka_unit_test(test_loader_discarded_half_way_is_freed_in_slices),
        cmocka_unit_test(test_store_discarded_in_the_midst_of_a_command_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
