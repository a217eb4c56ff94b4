/* The bounded cursor: what the packer writes comes back, and no bytes lead it astray. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "codec/pack.h"

#include <inttypes.h>
#include <string.h>

static void test_pack_numbers_at_every_width_round_trip(void **state)
{
    (void)state;
    static const uint64_t values[] = {
        0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 30, UINT32_MAX, 1ULL + UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct buf out = {0};
        pack_u64(&out, values[i]);
        struct unpack in = unpack_init(out.data, out.len);
        assert_true(unpack_u64(&in) == values[i]);
        assert_int_equal(unpack_end(&in), ERR_OK);
        buf_deinit(&out);
    }
}

static void test_pack_bytes_at_every_width_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *text = mem_calloc(1, sizes[i] + 1);
        memset(text, 'x', sizes[i]);
        struct buf out = {0};
        pack_bin(&out, text, sizes[i]);
        pack_str(&out, text);
        struct unpack in = unpack_init(out.data, out.len);
        for (int k = 0; k < 2; k++) {
            size_t len = 99;
            const uint8_t *data = unpack_bin(&in, &len);
            assert_non_null(data);
            assert_int_equal(len, sizes[i]);
            assert_memory_equal(data, text, len);
        }
        assert_int_equal(unpack_end(&in), ERR_OK);
        buf_deinit(&out);
        mem_free(text);
    }
}

static void test_pack_bool_nil_array_round_trip(void **state)
{
    (void)state;
    struct buf out = {0};
    pack_array(&out, 3);
    pack_bool(&out, true);
    pack_bool(&out, false);
    pack_nil(&out);
    struct unpack in = unpack_init(out.data, out.len);
    assert_int_equal(unpack_array(&in), 3);
    assert_false(unpack_is_nil(&in));
    assert_true(unpack_bool(&in));
    assert_false(unpack_bool(&in));
    assert_true(unpack_is_nil(&in));
    unpack_nil(&in);
    assert_false(unpack_is_nil(&in));
    assert_int_equal(unpack_end(&in), ERR_OK);
    buf_deinit(&out);
}

static void test_pack_large_arrays_use_wider_counts(void **state)
{
    (void)state;
    static const uint32_t counts[] = {15, 16, 65535, 65536};
    for (size_t i = 0; i < 4; i++) {
        struct buf out = {0};
        pack_array(&out, counts[i]);
        for (uint32_t k = 0; k < counts[i]; k++)
            pack_nil(&out);
        struct unpack in = unpack_init(out.data, out.len);
        unpack_skip(&in);
        assert_int_equal(unpack_end(&in), ERR_OK);
        in = unpack_init(out.data, out.len);
        assert_int_equal(unpack_array(&in), counts[i]);
        unpack_rest(&in, counts[i], 0);
        assert_int_equal(unpack_end(&in), ERR_OK);
        buf_deinit(&out);
    }
}

static void test_unpack_absurd_array_count_fails(void **state)
{
    (void)state;
    static const uint8_t big[] = {0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0, 0xc0};
    struct unpack in = unpack_init(big, sizeof big);
    assert_int_equal(unpack_array(&in), 0);
    assert_int_equal(unpack_end(&in), ERR_INVALID);
    in = unpack_init(big, sizeof big);
    unpack_skip(&in);
    assert_true(in.failed);
}

static void test_unpack_absurd_bin_length_fails(void **state)
{
    (void)state;
    static const uint8_t big[] = {0xc6, 0xff, 0xff, 0xff, 0xff, 'a', 'b'};
    struct unpack in = unpack_init(big, sizeof big);
    size_t len = 5;
    assert_null(unpack_bin(&in, &len));
    assert_int_equal(len, 0);
    assert_int_equal(unpack_end(&in), ERR_INVALID);
}

static void test_unpack_after_failure_gives_zero_values(void **state)
{
    (void)state;
    static const uint8_t data[] = {0xc0, 0x05, 0xc3, 0x91, 0xc0};
    struct unpack in = unpack_init(data, sizeof data);
    assert_int_equal(unpack_u64(&in), 0); /* nil is no number */
    assert_int_equal(unpack_u64(&in), 0);
    assert_false(unpack_bool(&in));
    assert_int_equal(unpack_array(&in), 0);
    assert_false(unpack_is_nil(&in));
    size_t len = 1;
    assert_null(unpack_bin(&in, &len));
    assert_int_equal(len, 0);
    assert_int_equal(unpack_end(&in), ERR_INVALID);
}

static void test_unpack_wrong_types_fail(void **state)
{
    (void)state;
    static const uint8_t tags[] = {0xc0, 0xc1, 0xc2, 0xff, 0xd0, 0x80, 0x90, 0xa0, 0x01, 0xca};
    for (size_t i = 0; i < sizeof tags; i++) {
        uint8_t data[12] = {tags[i]};
        struct unpack in = unpack_init(data, sizeof data);
        (void)unpack_u64(&in);
        assert_int_equal(in.failed, tags[i] != 0x01);
        in = unpack_init(data, sizeof data);
        (void)unpack_bool(&in);
        assert_int_equal(in.failed, tags[i] != 0xc2);
        in = unpack_init(data, sizeof data);
        unpack_nil(&in);
        assert_int_equal(in.failed, tags[i] != 0xc0);
        in = unpack_init(data, sizeof data);
        (void)unpack_array(&in);
        assert_int_equal(in.failed, tags[i] != 0x90);
    }
}

static void test_unpack_trailing_bytes_are_an_error(void **state)
{
    (void)state;
    static const uint8_t data[] = {0x01, 0x02};
    struct unpack in = unpack_init(data, sizeof data);
    assert_int_equal(unpack_u64(&in), 1);
    assert_false(in.failed);
    assert_int_equal(unpack_end(&in), ERR_INVALID);
}

static void test_unpack_skip_passes_every_type(void **state)
{
    (void)state;
    static const uint8_t all[] = {
        0x9f,                                     /* 15 values */
        0x7f, 0xff, 0xc0, 0xc3,                   /* fixints, nil, true */
        0xc4, 2,    1,    2,                      /* bin 8 */
        0xc7, 1,    9,    7,                      /* ext 8 */
        0xca, 1,    2,    3,    4,                /* float 32 */
        0xcb, 1,    2,    3,    4,    5, 6, 7, 8, /* float 64 */
        0xcd, 1,    2,                            /* uint 16 */
        0xd3, 1,    2,    3,    4,    5, 6, 7, 8, /* int 64 */
        0xd5, 9,    1,    2,                      /* fixext 2 */
        0xda, 0,    1,    'x',                    /* str 16 */
        0x82, 0xa1, 'k',  0x91, 0xc0, 2, 3,       /* map of two */
        0xde, 0,    1,    1,    2,                /* map 16 */
        0xdc, 0,    2,    1,    2,                /* array 16 */
    };
    struct unpack in = unpack_init(all, sizeof all);
    unpack_skip(&in);
    assert_int_equal(unpack_end(&in), ERR_OK);
    for (size_t len = 0; len < sizeof all; len++) {
        uint8_t *part = mem_dup(all, len);
        in = unpack_init(part, len);
        unpack_skip(&in);
        assert_true(in.failed);
        mem_free(part);
    }
}

static void test_unpack_skip_takes_any_nesting(void **state)
{
    (void)state;
    size_t depth = 1000000;
    uint8_t *data = mem_alloc(depth + 1);
    memset(data, 0x91, depth);
    data[depth] = 0xc0;
    struct unpack in = unpack_init(data, depth + 1);
    unpack_skip(&in);
    assert_int_equal(unpack_end(&in), ERR_OK);
    in = unpack_init(data, depth);
    unpack_skip(&in);
    assert_true(in.failed);
    mem_free(data);
}

static void test_unpack_rest_skips_what_is_unknown(void **state)
{
    (void)state;
    struct buf out = {0};
    pack_array(&out, 3);
    pack_u64(&out, 1);
    pack_str(&out, "new");
    pack_array(&out, 0);
    struct unpack in = unpack_init(out.data, out.len);
    uint32_t count = unpack_array(&in);
    assert_int_equal(unpack_u64(&in), 1);
    unpack_rest(&in, count, 1);
    assert_int_equal(unpack_end(&in), ERR_OK);
    in = unpack_init(out.data, out.len);
    unpack_rest(&in, 1, 2);
    assert_true(in.failed); /* fewer fields than were read */
    buf_deinit(&out);
}

static void test_unpack_random_bytes_never_read_outside(void **state)
{
    (void)state;
    struct prng prng = {.state = 4711};
    print_message("seed %" PRIu64 "\n", (uint64_t)4711);
    for (int round = 0; round < 20000; round++) {
        size_t len = prng_below(&prng, 24);
        uint8_t *data = mem_alloc(len);
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)prng_next(&prng);
        struct unpack in = unpack_init(data, len);
        for (int i = 0; i < 30 && !in.failed; i++)
            unpack_skip(&in);
        assert_true(in.pos <= len);
        in = unpack_init(data, len);
        size_t got = 0;
        while (!in.failed) {
            switch (prng_below(&prng, 4)) {
            case 0: (void)unpack_u64(&in); break;
            case 1: (void)unpack_bin(&in, &got); break;
            case 2: (void)unpack_array(&in); break;
            default: unpack_skip(&in); break;
            }
        }
        assert_true(in.pos <= len);
        mem_free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack_numbers_at_every_width_round_trip),
        cmocka_unit_test(test_pack_bytes_at_every_width_round_trip),
        cmocka_unit_test(test_pack_bool_nil_array_round_trip),
        cmocka_unit_test(test_pack_large_arrays_use_wider_counts),
        cmocka_unit_test(test_unpack_absurd_array_count_fails),
        cmocka_unit_test(test_unpack_absurd_bin_length_fails),
        cmocka_unit_test(test_unpack_after_failure_gives_zero_values),
        cmocka_unit_test(test_unpack_wrong_types_fail),
        cmocka_unit_test(test_unpack_trailing_bytes_are_an_error),
        cmocka_unit_test(test_unpack_skip_passes_every_type),
        cmocka_unit_test(test_unpack_skip_takes_any_nesting),
        cmocka_unit_test(test_unpack_rest_skips_what_is_unknown),
        cmocka_unit_test(test_unpack_random_bytes_never_read_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
