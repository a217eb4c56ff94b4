/* Consensus values to bytes and back; what is malformed gives an error and leaves *out alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "codec/pack.h"
#include "codec/raft_codec.h"

#include <inttypes.h>
#include <string.h>

/* ---- samples and comparison ------------------------------------------------------------------ */

/* Absent, empty or some bytes, by chance. */
static struct floe_blob *random_blob(struct prng *prng)
{
    uint8_t bytes[300];
    uint64_t size = prng_below(prng, 3) == 0 ? prng_below(prng, sizeof bytes) : 0;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)prng_next(prng);
    return prng_below(prng, 3) == 0 ? NULL : floe_blob_new(bytes, size);
}

/* Of any magnitude, so that every width of number is met. */
static uint64_t random_number(struct prng *prng)
{
    return prng_next(prng) >> prng_below(prng, 64);
}

static struct floe_entry random_entry(struct prng *prng)
{
    return (struct floe_entry){.term = random_number(prng),
                               .index = random_number(prng),
                               .type = (enum floe_entry_type)prng_below(prng, 3),
                               .type_set = prng_below(prng, 2) == 0,
                               .data = random_blob(prng)};
}

static struct floe_conf_state random_conf_state(struct prng *prng)
{
    struct floe_conf_state cs = {.auto_leave = prng_below(prng, 2) == 0};
    struct floe_ids *lists[] = {&cs.voters, &cs.voters_outgoing, &cs.learners, &cs.learners_next};
    for (size_t i = 0; i < 4; i++) {
        for (uint64_t n = prng_below(prng, 4); n > 0; n--)
            floe_ids_push(lists[i], random_number(prng));
    }
    return cs;
}

/* Owned by caller, with arrays from the library's allocator (through the copy). */
static struct floe_message random_message(struct prng *prng)
{
    struct floe_entry entries[4];
    struct floe_snapshot snapshot = {.index = random_number(prng),
                                     .term = random_number(prng),
                                     .conf_state = random_conf_state(prng),
                                     .data = random_blob(prng)};
    struct floe_message plan = {.type = (enum floe_message_type)prng_below(prng, 24),
                                .to = 1 + prng_below(prng, 9),
                                .from = random_number(prng) >> 1,
                                .term = random_number(prng),
                                .log_term = random_number(prng),
                                .index = random_number(prng),
                                .entries = entries,
                                .entry_count = prng_below(prng, 5),
                                .commit = random_number(prng),
                                .vote = random_number(prng),
                                .snapshot = prng_below(prng, 2) == 0 ? &snapshot : NULL,
                                .reject = prng_below(prng, 2) == 0,
                                .reject_hint = random_number(prng),
                                .context = random_blob(prng)};
    for (size_t i = 0; i < plan.entry_count; i++)
        entries[i] = random_entry(prng);
    struct floe_message message = floe_message_copy(&plan);
    for (size_t i = 0; i < plan.entry_count; i++)
        floe_entry_deinit(&entries[i]);
    floe_blob_unref(plan.context);
    floe_snapshot_deinit(&snapshot);
    return message;
}

static void assert_same_blob(const struct floe_blob *a, const struct floe_blob *b)
{
    assert_int_equal(a == NULL, b == NULL);
    assert_int_equal(floe_blob_size(a), floe_blob_size(b));
    assert_memory_equal(floe_blob_data(a), floe_blob_data(b), floe_blob_size(a));
}

static void assert_same_entry(const struct floe_entry *a, const struct floe_entry *b)
{
    assert_true(a->term == b->term && a->index == b->index);
    assert_true(a->type == b->type && a->type_set == b->type_set);
    assert_same_blob(a->data, b->data);
    assert_true(floe_entry_size(a) == floe_entry_size(b));
}

static void assert_same_ids(const struct floe_ids *a, const struct floe_ids *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_true(a->id[i] == b->id[i]);
}

static void assert_same_conf_state(const struct floe_conf_state *a, const struct floe_conf_state *b)
{
    assert_same_ids(&a->voters, &b->voters);
    assert_same_ids(&a->voters_outgoing, &b->voters_outgoing);
    assert_same_ids(&a->learners, &b->learners);
    assert_same_ids(&a->learners_next, &b->learners_next);
    assert_true(a->auto_leave == b->auto_leave);
}

static void assert_same_message(const struct floe_message *a, const struct floe_message *b)
{
    assert_true(a->type == b->type && a->to == b->to && a->from == b->from);
    assert_true(a->term == b->term && a->log_term == b->log_term && a->index == b->index);
    assert_true(a->commit == b->commit && a->vote == b->vote);
    assert_true(a->reject == b->reject && a->reject_hint == b->reject_hint);
    assert_int_equal(a->entry_count, b->entry_count);
    for (size_t i = 0; i < a->entry_count; i++)
        assert_same_entry(&a->entries[i], &b->entries[i]);
    assert_int_equal(a->snapshot == NULL, b->snapshot == NULL);
    if (a->snapshot != NULL) {
        assert_true(a->snapshot->index == b->snapshot->index);
        assert_true(a->snapshot->term == b->snapshot->term);
        assert_same_conf_state(&a->snapshot->conf_state, &b->snapshot->conf_state);
        assert_same_blob(a->snapshot->data, b->snapshot->data);
    }
    assert_same_blob(a->context, b->context);
    assert_int_equal(b->response_count, 0);
}

/* Decodes a copy of exactly len bytes; gives back what it got. */
static enum err try_message(const uint8_t *data, size_t len)
{
    uint8_t *copy = mem_dup(data, len);
    struct floe_message got = {.to = 77};
    enum err err = raft_codec_get_message(copy, len, &got);
    if (err == ERR_OK)
        floe_message_deinit(&got);
    else
        assert_int_equal(got.to, 77);
    mem_free(copy);
    return err;
}

/* ---- round trips ----------------------------------------------------------------------------- */

static void check_entry(const struct floe_entry *entry)
{
    struct buf out = {0};
    raft_codec_put_entry(&out, entry);
    struct floe_entry got;
    assert_int_equal(raft_codec_get_entry(out.data, out.len, &got), ERR_OK);
    assert_same_entry(entry, &got);
    floe_entry_deinit(&got);
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *part = mem_dup(out.data, len);
        assert_int_equal(raft_codec_get_entry(part, len, &got), ERR_INVALID);
        mem_free(part);
    }
    buf_deinit(&out);
}

static void test_entry_presence_survives(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < 4; mask++) {
        struct floe_entry entry = {.term = 3, .index = 4, .type_set = (mask & 1) != 0};
        if ((mask & 2) != 0)
            entry.data = floe_blob_new("", 0);
        check_entry(&entry);
        floe_entry_deinit(&entry);
    }
}

static void test_entry_random_round_trips(void **state)
{
    (void)state;
    struct prng prng = {.state = 99};
    print_message("seed %" PRIu64 "\n", (uint64_t)99);
    for (int i = 0; i < 300; i++) {
        struct floe_entry entry = random_entry(&prng);
        check_entry(&entry);
        floe_entry_deinit(&entry);
    }
}

static void test_hard_state_round_trips(void **state)
{
    (void)state;
    struct floe_hard_state hs = {.term = 300, .vote = 2, .commit = UINT64_MAX};
    struct buf out = {0};
    raft_codec_put_hard_state(&out, &hs);
    struct floe_hard_state got = {0};
    assert_int_equal(raft_codec_get_hard_state(out.data, out.len, &got), ERR_OK);
    assert_true(got.term == 300 && got.vote == 2 && got.commit == UINT64_MAX);
    got.term = 7;
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(raft_codec_get_hard_state(out.data, len, &got), ERR_INVALID);
    assert_int_equal(got.term, 7);
    buf_deinit(&out);
}

static void test_conf_state_round_trips(void **state)
{
    (void)state;
    struct prng prng = {.state = 5};
    for (int i = 0; i < 100; i++) {
        struct floe_conf_state cs = random_conf_state(&prng);
        struct floe_conf_state got = {0};
        struct buf out = {0};
        raft_codec_put_conf_state(&out, &cs);
        assert_int_equal(raft_codec_get_conf_state(out.data, out.len, &got), ERR_OK);
        assert_same_conf_state(&cs, &got);
        floe_conf_state_deinit(&got);
        for (size_t len = 0; len < out.len; len++)
            assert_int_equal(raft_codec_get_conf_state(out.data, len, &got), ERR_INVALID);
        floe_conf_state_deinit(&cs);
        buf_deinit(&out);
    }
}

static void test_message_random_round_trips(void **state)
{
    (void)state;
    struct prng prng = {.state = 12345};
    print_message("seed %" PRIu64 "\n", (uint64_t)12345);
    for (int i = 0; i < 500; i++) {
        struct floe_message message = random_message(&prng);
        struct floe_message got = {0};
        struct buf out = {0};
        raft_codec_put_message(&out, &message);
        assert_int_equal(raft_codec_get_message(out.data, out.len, &got), ERR_OK);
        assert_same_message(&message, &got);
        floe_message_deinit(&got);
        floe_message_deinit(&message);
        buf_deinit(&out);
    }
}

static void test_message_context_presence_survives(void **state)
{
    (void)state;
    for (int present = 0; present < 2; present++) {
        struct floe_message message = {.type = FLOE_MSG_HEARTBEAT, .to = 1, .from = 2};
        if (present)
            message.context = floe_blob_new("", 0);
        struct buf out = {0};
        raft_codec_put_message(&out, &message);
        struct floe_message got = {0};
        assert_int_equal(raft_codec_get_message(out.data, out.len, &got), ERR_OK);
        assert_int_equal(got.context != NULL, present);
        floe_message_deinit(&got);
        floe_message_deinit(&message);
        buf_deinit(&out);
    }
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void test_message_every_truncation_is_invalid(void **state)
{
    (void)state;
    struct prng prng = {.state = 31};
    print_message("seed %" PRIu64 "\n", (uint64_t)31);
    for (int i = 0; i < 30; i++) {
        struct floe_message message = random_message(&prng);
        struct buf out = {0};
        raft_codec_put_message(&out, &message);
        for (size_t len = 0; len < out.len; len++)
            assert_int_equal(try_message(out.data, len), ERR_INVALID);
        buf_add_u8(&out, 0xc0);
        assert_int_equal(try_message(out.data, out.len), ERR_INVALID);
        buf_deinit(&out);
        floe_message_deinit(&message);
    }
}

static void test_message_random_flips_never_crash(void **state)
{
    (void)state;
    struct prng prng = {.state = 8080};
    print_message("seed %" PRIu64 "\n", (uint64_t)8080);
    for (int i = 0; i < 200; i++) {
        struct floe_message message = random_message(&prng);
        struct buf out = {0};
        raft_codec_put_message(&out, &message);
        for (int k = 0; k < 40; k++) {
            size_t at = prng_below(&prng, out.len);
            uint8_t old = out.data[at];
            out.data[at] = (uint8_t)prng_next(&prng);
            (void)try_message(out.data, out.len);
            if (k % 4 != 0) /* some damage piles up */
                out.data[at] = old;
        }
        buf_deinit(&out);
        floe_message_deinit(&message);
    }
}

/* A heartbeat up to the entries, to be continued by the test. */
static struct buf message_head(uint64_t type, uint64_t to, uint64_t from)
{
    struct buf out = {0};
    pack_array(&out, 14);
    pack_u64(&out, type);
    pack_u64(&out, to);
    pack_u64(&out, from);
    for (int i = 0; i < 3; i++)
        pack_u64(&out, 1);
    return out;
}

static void message_tail(struct buf *out, uint32_t responses)
{
    pack_u64(out, 1);
    pack_u64(out, 0);
    pack_nil(out);
    pack_bool(out, false);
    pack_u64(out, 0);
    pack_nil(out);
    pack_array(out, responses);
    for (uint32_t i = 0; i < responses; i++)
        pack_nil(out);
}

static enum err try_head(uint64_t type, uint64_t to, uint64_t from, uint32_t responses)
{
    struct buf out = message_head(type, to, from);
    pack_array(&out, 0);
    message_tail(&out, responses);
    enum err err = try_message(out.data, out.len);
    buf_deinit(&out);
    return err;
}

static void test_message_unknown_type_and_thread_ids_are_refused(void **state)
{
    (void)state;
    assert_int_equal(try_head(FLOE_MSG_HEARTBEAT, 1, 2, 0), ERR_OK);
    assert_int_equal(try_head(FLOE_MSG_TYPE_COUNT, 1, 2, 0), ERR_INVALID);
    assert_int_equal(try_head(UINT64_MAX, 1, 2, 0), ERR_INVALID);
    assert_int_equal(try_head((1ULL << 32) + 3, 1, 2, 0), ERR_INVALID);
    assert_int_equal(try_head(FLOE_MSG_APP, FLOE_ID_APPEND_THREAD, 2, 0), ERR_INVALID);
    assert_int_equal(try_head(FLOE_MSG_APP, 1, FLOE_ID_APPLY_THREAD, 0), ERR_INVALID);
    assert_int_equal(try_head(FLOE_MSG_APP, 1, UINT64_MAX - 2, 0), ERR_OK);
    assert_int_equal(try_head(FLOE_MSG_APP, 1, 2, 1), ERR_INVALID);
}

static void test_message_absurd_entry_count_is_refused(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 1000, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct buf out = message_head(FLOE_MSG_APP, 1, 2);
        pack_array(&out, counts[i]);
        message_tail(&out, 0);
        assert_int_equal(try_message(out.data, out.len), ERR_INVALID);
        buf_deinit(&out);
    }
}

static void test_entry_unknown_type_is_refused(void **state)
{
    (void)state;
    struct buf out = {0};
    pack_array(&out, 5);
    pack_u64(&out, 1);
    pack_u64(&out, 1);
    pack_u64(&out, 3);
    pack_bool(&out, true);
    pack_nil(&out);
    struct floe_entry got;
    assert_int_equal(raft_codec_get_entry(out.data, out.len, &got), ERR_INVALID);
    buf_deinit(&out);
}

static void test_hard_state_newer_fields_are_ignored(void **state)
{
    (void)state;
    struct buf out = {0};
    pack_array(&out, 4);
    pack_u64(&out, 1);
    pack_u64(&out, 2);
    pack_u64(&out, 3);
    pack_str(&out, "from the future");
    struct floe_hard_state got;
    assert_int_equal(raft_codec_get_hard_state(out.data, out.len, &got), ERR_OK);
    assert_true(got.term == 1 && got.vote == 2 && got.commit == 3);
    buf_deinit(&out);
}

static void test_message_of_large_batch_round_trips(void **state)
{
    (void)state;
    enum { COUNT = 70000 };
    struct floe_entry *entries = mem_calloc(COUNT, sizeof *entries);
    for (size_t i = 0; i < COUNT; i++)
        entries[i] = (struct floe_entry){.term = 1, .index = i + 1};
    struct floe_message message = {.type = FLOE_MSG_APP, .to = 1, .from = 2};
    message.entries = entries;
    message.entry_count = COUNT;
    struct buf out = {0};
    raft_codec_put_message(&out, &message);
    struct floe_message got = {0};
    assert_int_equal(raft_codec_get_message(out.data, out.len, &got), ERR_OK);
    assert_same_message(&message, &got);
    floe_message_deinit(&got);
    mem_free(entries);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_presence_survives),
        cmocka_unit_test(test_entry_random_round_trips),
        cmocka_unit_test(test_hard_state_round_trips),
        cmocka_unit_test(test_conf_state_round_trips),
        cmocka_unit_test(test_message_random_round_trips),
        cmocka_unit_test(test_message_context_presence_survives),
        cmocka_unit_test(test_message_every_truncation_is_invalid),
        cmocka_unit_test(test_message_random_flips_never_crash),
        cmocka_unit_test(test_message_unknown_type_and_thread_ids_are_refused),
        cmocka_unit_test(test_message_absurd_entry_count_is_refused),
        cmocka_unit_test(test_entry_unknown_type_is_refused),
        cmocka_unit_test(test_hard_state_newer_fields_are_ignored),
        cmocka_unit_test(test_message_of_large_batch_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
