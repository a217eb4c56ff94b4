/* Commands to bytes and back, limits, and what a newer version may have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "codec/pack.h"
#include "kv/kv.h"

#include <inttypes.h>
#include <string.h>

static const struct kv_command put_sample = {.op = KV_OP_PUT,
                                             .key = (const uint8_t *)"a\0b",
                                             .key_len = 3,
                                             .value = (const uint8_t *)"value",
                                             .value_len = 5,
                                             .condition = KV_IF_MOD_REVISION,
                                             .mod_revision = 1000};

static void test_command_put_round_trips(void **state)
{
    (void)state;
    struct buf out = {0};
    struct kv_command got;
    kv_command_put(&out, &put_sample);
    assert_int_equal(kv_command_get(out.data, out.len, &got), ERR_OK);
    assert_int_equal(got.op, KV_OP_PUT);
    assert_int_equal(got.condition, KV_IF_MOD_REVISION);
    assert_int_equal(got.mod_revision, 1000);
    assert_int_equal(got.key_len, 3);
    assert_memory_equal(got.key, "a\0b", 3);
    assert_int_equal(got.value_len, 5);
    assert_memory_equal(got.value, "value", 5);
    buf_deinit(&out);
}

static void test_command_delete_and_empty_value_round_trip(void **state)
{
    (void)state;
    struct kv_command command = {.op = KV_OP_DELETE, .key = (const uint8_t *)"k", .key_len = 1};
    for (int i = 0; i < 2; i++) {
        struct buf out = {0};
        struct kv_command got;
        command.op = i == 0 ? KV_OP_DELETE : KV_OP_PUT;
        kv_command_put(&out, &command);
        assert_int_equal(kv_command_get(out.data, out.len, &got), ERR_OK);
        assert_int_equal(got.op, command.op);
        assert_int_equal(got.value_len, 0);
        buf_deinit(&out);
    }
}

static void test_command_every_truncation_is_invalid(void **state)
{
    (void)state;
    struct buf out = {0};
    kv_command_put(&out, &put_sample);
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *part = mem_dup(out.data, len);
        struct kv_command got;
        assert_int_equal(kv_command_get(part, len, &got), ERR_INVALID);
        mem_free(part);
    }
    buf_add_u8(&out, 0);
    struct kv_command got;
    assert_int_equal(kv_command_get(out.data, out.len, &got), ERR_INVALID);
    buf_deinit(&out);
}

static enum err try_command(uint64_t op, uint64_t condition, const char *key, bool with_value)
{
    struct buf out = {0};
    struct kv_command got;
    pack_array(&out, 5);
    pack_u64(&out, op);
    pack_u64(&out, condition);
    pack_u64(&out, 0);
    pack_str(&out, key);
    if (with_value)
        pack_str(&out, "v");
    else
        pack_nil(&out);
    enum err err = kv_command_get(out.data, out.len, &got);
    buf_deinit(&out);
    return err;
}

static void test_command_impossible_fields_are_refused(void **state)
{
    (void)state;
    assert_int_equal(try_command(KV_OP_PUT, KV_ALWAYS, "k", true), ERR_OK);
    assert_int_equal(try_command(KV_OP_DELETE, KV_ALWAYS, "k", false), ERR_OK);
    assert_int_equal(try_command(KV_OP_PUT, KV_ALWAYS, "k", false), ERR_INVALID);
    assert_int_equal(try_command(KV_OP_DELETE, KV_ALWAYS, "k", true), ERR_INVALID);
    assert_int_equal(try_command(KV_OP_PUT, KV_ALWAYS, "", true), ERR_INVALID);
    assert_int_equal(try_command(0, KV_ALWAYS, "k", true), ERR_INVALID);
}

static void test_command_unknown_op_or_condition_is_version(void **state)
{
    (void)state;
    assert_int_equal(try_command(3, KV_ALWAYS, "k", true), ERR_VERSION);
    assert_int_equal(try_command(UINT64_MAX, KV_ALWAYS, "k", true), ERR_VERSION);
    assert_int_equal(try_command(KV_OP_PUT, 4, "k", true), ERR_VERSION);
    static const uint8_t cut[] = {0x95, 0x03, 0x00};
    struct kv_command got;
    assert_int_equal(kv_command_get(cut, sizeof cut, &got), ERR_INVALID);
}

static void test_command_newer_fields_are_ignored(void **state)
{
    (void)state;
    struct buf out = {0};
    struct kv_command got;
    kv_command_put(&out, &put_sample);
    out.data[0]++; /* one more field */
    pack_str(&out, "new");
    assert_int_equal(kv_command_get(out.data, out.len, &got), ERR_OK);
    assert_int_equal(got.value_len, 5);
    buf_deinit(&out);
}

static void test_command_over_the_limit_is_invalid(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        size_t len = KV_ITEM_MAX_BYTES - 1 + over;
        uint8_t *value = mem_calloc(1, len);
        struct kv_command command = {.op = KV_OP_PUT, .key = (const uint8_t *)"k", .key_len = 1};
        command.value = value;
        command.value_len = len;
        struct buf out = {0};
        struct kv_command got;
        kv_command_put(&out, &command);
        assert_int_equal(kv_command_get(out.data, out.len, &got), over ? ERR_INVALID : ERR_OK);
        buf_deinit(&out);
        mem_free(value);
    }
}

static void test_command_random_damage_never_crashes(void **state)
{
    (void)state;
    struct prng prng = {.state = 616};
    print_message("seed %" PRIu64 "\n", (uint64_t)616);
    for (int i = 0; i < 20000; i++) {
        struct buf out = {0};
        struct kv_command got;
        kv_command_put(&out, &put_sample);
        for (uint64_t n = 1 + prng_below(&prng, 3); n > 0; n--)
            out.data[prng_below(&prng, out.len)] = (uint8_t)prng_next(&prng);
        uint8_t *copy = mem_dup(out.data, out.len);
        if (kv_command_get(copy, out.len, &got) == ERR_OK) {
            assert_true(got.key >= copy && got.key + got.key_len <= copy + out.len);
            assert_true(got.key_len > 0);
        }
        mem_free(copy);
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_put_round_trips),
        cmocka_unit_test(test_command_delete_and_empty_value_round_trip),
        cmocka_unit_test(test_command_every_truncation_is_invalid),
        cmocka_unit_test(test_command_impossible_fields_are_refused),
        cmocka_unit_test(test_command_unknown_op_or_condition_is_version),
        cmocka_unit_test(test_command_newer_fields_are_ignored),
        cmocka_unit_test(test_command_over_the_limit_is_invalid),
        cmocka_unit_test(test_command_random_damage_never_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
