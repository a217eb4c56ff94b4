/* Growable bytes and the byte order of our files and frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

#include <string.h>

static void test_buf_zero_is_empty(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_string_equal(buf_str(&buf), "");
    assert_int_equal(buf.len, 0);
    buf_add(&buf, NULL, 0);
    assert_int_equal(buf.len, 0);
    buf_deinit(&buf);
    assert_null(buf.data);
    buf_deinit(&buf);
}

static void test_buf_add_many_keeps_every_byte(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (unsigned i = 0; i < 5000; i++)
        buf_add_u8(&buf, (uint8_t)(i * 7));
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t pair[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
        buf_add(&buf, pair, sizeof pair);
    }
    assert_int_equal(buf.len, 15000);
    assert_true(buf.cap >= buf.len);
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(buf.data[i], (uint8_t)(i * 7));
        assert_int_equal(get_u16(buf.data + 5000 + 2 * i), i);
    }
    buf_deinit(&buf);
}

static void test_buf_reserve_gives_room_and_leaves_length(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_add(&buf, "ab", 2);
    uint8_t *at = buf_reserve(&buf, 1000);
    assert_ptr_equal(at, buf.data + 2);
    memset(at, 'x', 1000); /* the sanitizer watches */
    assert_int_equal(buf.len, 2);
    assert_memory_equal(buf.data, "ab", 2);
    buf_deinit(&buf);
}

static void test_buf_clear_keeps_the_memory(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_add(&buf, "abc", 3);
    uint8_t *data = buf.data;
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    buf_add(&buf, "de", 2);
    assert_ptr_equal(buf.data, data);
    assert_string_equal(buf_str(&buf), "de");
    buf_deinit(&buf);
}

static void test_buf_printf_appends_and_grows(void **state)
{
    (void)state;
    struct buf buf = {0};
    char expected[400];
    memset(expected, 'y', sizeof expected);
    expected[sizeof expected - 1] = 0;
    buf_printf(&buf, "%s=%d", "n", 7);
    assert_int_equal(buf.len, 3);
    buf_printf(&buf, "%s", expected);
    assert_int_equal(buf.len, 3 + sizeof expected - 1);
    assert_memory_equal(buf_str(&buf), "n=7", 3);
    assert_string_equal(buf_str(&buf) + 3, expected);
    buf_printf(&buf, "%s", "");
    assert_int_equal(buf.len, 3 + sizeof expected - 1);
    buf_deinit(&buf);
}

static void test_buf_str_at_full_capacity_has_room_for_nul(void **state)
{
    (void)state;
    struct buf buf = {0};
    do {
        buf_add_u8(&buf, 'z');
    } while (buf.len < buf.cap);
    size_t len = buf.len;
    assert_int_equal(strlen(buf_str(&buf)), len);
    assert_int_equal(buf.len, len);
    buf_deinit(&buf);
}

static void test_numbers_are_little_endian_and_come_back(void **state)
{
    (void)state;
    uint8_t bytes[8];
    put_u16(bytes, 0x0102);
    assert_memory_equal(bytes, "\x02\x01", 2);
    assert_int_equal(get_u16(bytes), 0x0102);
    put_u32(bytes, 0xf1020304u);
    assert_memory_equal(bytes, "\x04\x03\x02\xf1", 4);
    assert_true(get_u32(bytes) == 0xf1020304u);
    put_u64(bytes, 0xf102030405060708u);
    assert_memory_equal(bytes, "\x08\x07\x06\x05\x04\x03\x02\xf1", 8);
    assert_true(get_u64(bytes) == 0xf102030405060708u);
    put_u64(bytes, UINT64_MAX);
    assert_true(get_u64(bytes) == UINT64_MAX && get_u32(bytes) == UINT32_MAX &&
                get_u16(bytes) == UINT16_MAX);
}

static void test_mem_grow_doubles_from_eight(void **state)
{
    (void)state;
    size_t cap = 0;
    uint32_t *list = NULL;
    for (uint32_t i = 0; i < 100; i++) {
        list = mem_grow(list, i, &cap, sizeof *list);
        list[i] = i;
        assert_true(cap > i);
    }
    assert_int_equal(cap, 128);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(list[i], i);
    mem_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_zero_is_empty),
        cmocka_unit_test(test_buf_add_many_keeps_every_byte),
        cmocka_unit_test(test_buf_reserve_gives_room_and_leaves_length),
        cmocka_unit_test(test_buf_clear_keeps_the_memory),
        cmocka_unit_test(test_buf_printf_appends_and_grows),
        cmocka_unit_test(test_buf_str_at_full_capacity_has_room_for_nul),
        cmocka_unit_test(test_numbers_are_little_endian_and_come_back),
        cmocka_unit_test(test_mem_grow_doubles_from_eight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
