/* The payloads that carry membership changes: there and back, cut off, damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "raft/confchange.h"

#include <inttypes.h>
#include <stdlib.h>

static uint64_t seed = 20260802;

static void check_changes_equal(const struct floe_conf_change *a, const struct floe_conf_change *b)
{
    assert_int_equal(a->transition, b->transition);
    assert_int_equal(a->change_count, b->change_count);
    for (size_t i = 0; i < a->change_count; i++) {
        assert_int_equal(a->changes[i].type, b->changes[i].type);
        assert_true(a->changes[i].node_id == b->changes[i].node_id);
    }
    assert_int_equal(a->context != NULL, b->context != NULL);
    assert_int_equal(floe_blob_size(a->context), floe_blob_size(b->context));
    assert_memory_equal(floe_blob_data(a->context), floe_blob_data(b->context),
                        floe_blob_size(a->context));
}

static struct floe_conf_change sample_change(void)
{
    static const struct floe_conf_change_single changes[] = {
        {FLOE_CONF_ADD_NODE, 1},
        {FLOE_CONF_ADD_LEARNER, 300},
        {FLOE_CONF_REMOVE_NODE, UINT64_MAX - 2},
        {FLOE_CONF_UPDATE_NODE, 0},
    };
    struct floe_blob *context = floe_blob_new("name=a\0b", 8);
    struct floe_conf_change change =
        floe_conf_change_make(FLOE_CONF_TRANSITION_JOINT_EXPLICIT, changes, 4, context);
    floe_blob_unref(context);
    return change;
}

static void test_conf_change_codec_v2_round_trip(void **state)
{
    (void)state;
    struct floe_conf_change change = sample_change();
    struct floe_blob *data = floe_conf_change_encode(&change);
    struct floe_conf_change got;
    assert_int_equal(floe_conf_change_decode(FLOE_ENTRY_CONF_CHANGE_V2, data, &got), FLOE_OK);
    check_changes_equal(&change, &got);
    struct floe_blob *again = floe_conf_change_encode(&got);
    assert_int_equal(floe_blob_size(again), floe_blob_size(data));
    assert_memory_equal(floe_blob_data(again), floe_blob_data(data), floe_blob_size(data));
    floe_blob_unref(data);
    floe_blob_unref(again);
    floe_conf_change_deinit(&change);
    floe_conf_change_deinit(&got);
}

static void test_conf_change_codec_v1_round_trip(void **state)
{
    (void)state;
    struct floe_conf_change_single single = {FLOE_CONF_ADD_LEARNER, 1000};
    struct floe_blob *context = floe_blob_new("c", 1);
    struct floe_blob *data = floe_conf_change_encode_v1(single, context);
    struct floe_conf_change want = floe_conf_change_make(FLOE_CONF_TRANSITION_AUTO, &single, 1,
                                                         context);
    struct floe_conf_change got;
    assert_int_equal(floe_conf_change_decode(FLOE_ENTRY_CONF_CHANGE, data, &got), FLOE_OK);
    check_changes_equal(&want, &got);
    floe_conf_change_deinit(&want);
    floe_conf_change_deinit(&got);
    floe_blob_unref(context);
    floe_blob_unref(data);
}

static void test_conf_change_codec_bytes_are_those_of_protobuf(void **state)
{
    (void)state;
    struct floe_conf_change_single single = {FLOE_CONF_REMOVE_NODE, 300};
    struct floe_blob *data = floe_conf_change_encode_v1(single, NULL);
    assert_int_equal(floe_blob_size(data), 5);
    assert_memory_equal(floe_blob_data(data), "\x10\x01\x18\xac\x02", 5);
    floe_blob_unref(data);
    struct floe_conf_change change =
        floe_conf_change_make(FLOE_CONF_TRANSITION_JOINT_IMPLICIT, &single, 1, NULL);
    data = floe_conf_change_encode(&change);
    assert_int_equal(floe_blob_size(data), 9);
    assert_memory_equal(floe_blob_data(data), "\x08\x01\x12\x05\x08\x01\x10\xac\x02", 9);
    floe_blob_unref(data);
    floe_conf_change_deinit(&change);
}

static void test_conf_change_codec_empty_is_the_leaving_change(void **state)
{
    (void)state;
    struct floe_conf_change change = {0};
    assert_null(floe_conf_change_encode(&change));
    assert_int_equal(floe_conf_change_decode(FLOE_ENTRY_CONF_CHANGE_V2, NULL, &change), FLOE_OK);
    assert_true(raft_confchange_is_leave_joint(&change));
    assert_null(change.context);
    floe_conf_change_deinit(&change);
}

/* What is cut off between two fields is a shorter message; anything else is damage. The prefix is
 * in memory of exactly its size, so that ASan sees any read behind it. */
static void test_conf_change_codec_every_truncation_is_shorter_or_refused(void **state)
{
    (void)state;
    struct floe_conf_change change = sample_change();
    struct floe_blob *data = floe_conf_change_encode(&change);
    size_t good = 0;
    for (size_t size = 0; size < floe_blob_size(data); size++) {
        struct floe_blob *cut = floe_blob_new(floe_blob_data(data), size);
        struct floe_conf_change got = {.change_count = 99};
        enum floe_err err = floe_conf_change_decode(FLOE_ENTRY_CONF_CHANGE_V2, cut, &got);
        floe_blob_unref(cut);
        if (err == FLOE_OK) {
            assert_null(got.context); /* it comes last */
            assert_true(got.change_count <= 4);
            floe_conf_change_deinit(&got);
            good++;
        } else {
            assert_int_equal(err, FLOE_ERR_INVALID);
            assert_int_equal(got.change_count, 99); /* untouched */
        }
    }
    assert_int_equal(good, 6); /* after nothing, transition, and each of four changes */
    floe_blob_unref(data);
    floe_conf_change_deinit(&change);
}

static void check_refused(enum floe_entry_type type, const char *bytes, size_t size)
{
    struct floe_blob *data = floe_blob_new(bytes, size);
    struct floe_conf_change got;
    assert_int_equal(floe_conf_change_decode(type, data, &got), FLOE_ERR_INVALID);
    floe_blob_unref(data);
}

static void test_conf_change_codec_damage_is_refused(void **state)
{
    (void)state;
    check_refused(FLOE_ENTRY_CONF_CHANGE_V2, "\x08\x03", 2); /* no such transition */
    check_refused(FLOE_ENTRY_CONF_CHANGE_V2, "\x12\x02\x08\x04", 4); /* no such change */
    check_refused(FLOE_ENTRY_CONF_CHANGE, "\x10\x04", 2);
    check_refused(FLOE_ENTRY_CONF_CHANGE_V2, "\x10\x01", 2); /* a change that is a number */
    check_refused(FLOE_ENTRY_CONF_CHANGE_V2, "\x00\x01", 2); /* field 0 */
    check_refused(FLOE_ENTRY_CONF_CHANGE_V2, "\x0b", 1);     /* a group */
    check_refused(FLOE_ENTRY_CONF_CHANGE_V2, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                  12); /* a number without end */
    check_refused(FLOE_ENTRY_CONF_CHANGE_V2,
                  "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11); /* longer than memory */
}

static void test_conf_change_codec_random_damage_never_reads_outside(void **state)
{
    (void)state;
    struct prng prng = {seed};
    struct floe_conf_change change = sample_change();
    struct floe_blob *good = floe_conf_change_encode(&change);
    print_message("seed %" PRIu64 "\n", seed);
    for (int i = 0; i < 5000; i++) {
        struct floe_blob *data = floe_blob_new(floe_blob_data(good), floe_blob_size(good));
        for (uint64_t n = 1 + prng_below(&prng, 3); n > 0; n--)
            floe_blob_bytes(data)[prng_below(&prng, floe_blob_size(data))] =
                (uint8_t)prng_next(&prng);
        enum floe_entry_type type = i % 2 ? FLOE_ENTRY_CONF_CHANGE : FLOE_ENTRY_CONF_CHANGE_V2;
        struct floe_conf_change got;
        if (floe_conf_change_decode(type, data, &got) == FLOE_OK)
            floe_conf_change_deinit(&got);
        floe_blob_unref(data);
    }
    floe_blob_unref(good);
    floe_conf_change_deinit(&change);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conf_change_codec_v2_round_trip),
        cmocka_unit_test(test_conf_change_codec_v1_round_trip),
        cmocka_unit_test(test_conf_change_codec_bytes_are_those_of_protobuf),
        cmocka_unit_test(test_conf_change_codec_empty_is_the_leaving_change),
        cmocka_unit_test(test_conf_change_codec_every_truncation_is_shorter_or_refused),
        cmocka_unit_test(test_conf_change_codec_damage_is_refused),
        cmocka_unit_test(test_conf_change_codec_random_damage_never_reads_outside),
    };
    return cmocka_run_group_tests_name("raft confchange codec", tests, NULL, NULL);
}
