/* Records: round trip, and one test for each way in which a record can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "codec/record.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

enum { MAX_PAYLOAD = 1 << 20 };

static struct buf sample(const char *payload)
{
    struct buf out = {0};
    struct record record = {.type = 7,
                            .index = 0x1122334455667788,
                            .term = 9,
                            .payload = (const uint8_t *)payload,
                            .payload_len = strlen(payload)};
    record_put(&out, &record);
    return out;
}

/* Reads from memory of exactly len bytes, so that ASan sees any read behind it. */
static enum err get_exact(const uint8_t *data, size_t len, size_t max_payload)
{
    uint8_t *copy = mem_dup(data, len);
    struct record record;
    size_t used;
    enum err err = record_get(copy, len, max_payload, &record, &used);
    mem_free(copy);
    return err;
}

static void test_record_put_get_gives_the_same(void **state)
{
    (void)state;
    struct buf out = sample("payload");
    struct record got;
    size_t used = 0;
    assert_int_equal(record_get(out.data, out.len, MAX_PAYLOAD, &got, &used), ERR_OK);
    assert_int_equal(used, RECORD_HEADER_BYTES + 7);
    assert_int_equal(used, out.len);
    assert_int_equal(got.type, 7);
    assert_true(got.index == 0x1122334455667788);
    assert_int_equal(got.term, 9);
    assert_int_equal(got.payload_len, 7);
    assert_memory_equal(got.payload, "payload", 7);
    assert_int_equal(record_peek_payload_len(out.data), 7);
    buf_deinit(&out);
}

static void test_record_layout_is_as_documented(void **state)
{
    (void)state;
    struct buf out = sample("abc");
    static const uint8_t head[8] = {3, 0, 0, 0, 7, RECORD_VERSION, 0, 0};
    static const uint8_t index[8] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    assert_memory_equal(out.data, head, 8);
    assert_memory_equal(out.data + 16, index, 8);
    assert_memory_equal(out.data + RECORD_HEADER_BYTES, "abc", 3);
    uint8_t covered[24];
    memcpy(covered, out.data, 8);
    memcpy(covered + 8, out.data + 16, 16);
    assert_true(get_u64(out.data + 8) == XXH3_64bits_withSeed("abc", 3, XXH3_64bits(covered, 24)));
    buf_deinit(&out);
}

static void test_record_begin_end_equals_put(void **state)
{
    (void)state;
    struct buf put = sample("some bytes");
    struct buf out = {0};
    buf_add(&out, "before", 6);
    size_t begin = record_begin(&out, 7, 0x1122334455667788, 9);
    assert_int_equal(begin, 6);
    buf_add(&out, "some ", 5);
    buf_add(&out, "bytes", 5);
    record_end(&out, begin);
    assert_int_equal(out.len - 6, put.len);
    assert_memory_equal(out.data + 6, put.data, put.len);
    buf_deinit(&put);
    buf_deinit(&out);
}

static void test_record_empty_payload_round_trips(void **state)
{
    (void)state;
    struct buf out = {0};
    record_put(&out, &(struct record){.type = 1});
    struct record got;
    size_t used = 0;
    assert_int_equal(record_get(out.data, out.len, 0, &got, &used), ERR_OK);
    assert_int_equal(used, RECORD_HEADER_BYTES);
    assert_int_equal(got.payload_len, 0);
    buf_deinit(&out);
}

static void test_record_two_in_a_row_are_read_one_by_one(void **state)
{
    (void)state;
    struct buf out = sample("first");
    struct buf second = sample("second!");
    buf_add(&out, second.data, second.len);
    struct record got;
    size_t used = 0;
    assert_int_equal(record_get(out.data, out.len, MAX_PAYLOAD, &got, &used), ERR_OK);
    assert_memory_equal(got.payload, "first", 5);
    assert_int_equal(record_get(out.data + used, out.len - used, MAX_PAYLOAD, &got, &used), ERR_OK);
    assert_memory_equal(got.payload, "second!", 7);
    buf_deinit(&out);
    buf_deinit(&second);
}

static void test_record_every_truncation_is_short(void **state)
{
    (void)state;
    struct buf out = sample("payload");
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(get_exact(out.data, len, MAX_PAYLOAD), ERR_SHORT);
    buf_deinit(&out);
}

static void test_record_blank_header_is_corrupt_and_blank(void **state)
{
    (void)state;
    uint8_t header[RECORD_HEADER_BYTES] = {0};
    assert_true(record_is_blank(header));
    assert_int_equal(get_exact(header, sizeof header, MAX_PAYLOAD), ERR_CORRUPT);
    for (size_t i = 0; i < sizeof header; i++) {
        header[i] = 1;
        assert_false(record_is_blank(header));
        header[i] = 0;
    }
}

static void test_record_payload_over_limit_is_too_large(void **state)
{
    (void)state;
    struct buf out = sample("payload");
    assert_int_equal(get_exact(out.data, out.len, 7), ERR_OK);
    assert_int_equal(get_exact(out.data, out.len, 6), ERR_TOO_LARGE);
    put_u32(out.data, UINT32_MAX);
    assert_int_equal(get_exact(out.data, out.len, MAX_PAYLOAD), ERR_TOO_LARGE);
    buf_deinit(&out);
}

static void test_record_newer_version_with_good_checksum_is_version(void **state)
{
    (void)state;
    struct buf out = sample("payload");
    out.data[5] = RECORD_VERSION + 1;
    assert_int_equal(get_exact(out.data, out.len, MAX_PAYLOAD), ERR_CORRUPT);
    uint8_t covered[24];
    memcpy(covered, out.data, 8);
    memcpy(covered + 8, out.data + 16, 16);
    put_u64(out.data + 8, XXH3_64bits_withSeed("payload", 7, XXH3_64bits(covered, 24)));
    assert_int_equal(get_exact(out.data, out.len, MAX_PAYLOAD), ERR_VERSION);
    buf_deinit(&out);
}

static void test_record_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct buf out = sample("payload");
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        enum err err = get_exact(out.data, out.len, MAX_PAYLOAD);
        if (bit < 32) /* the length */
            assert_true(err == ERR_SHORT || err == ERR_TOO_LARGE || err == ERR_CORRUPT);
        else
            assert_int_equal(err, ERR_CORRUPT);
        out.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    buf_deinit(&out);
}

static void test_record_random_bytes_never_pass(void **state)
{
    (void)state;
    struct prng prng = {.state = 20240607};
    print_message("seed %" PRIu64 "\n", (uint64_t)20240607);
    for (int round = 0; round < 20000; round++) {
        uint8_t data[64];
        for (size_t i = 0; i < sizeof data; i += 8)
            put_u64(data + i, prng_next(&prng));
        if (round % 2 == 0)
            put_u32(data, (uint32_t)prng_below(&prng, 40));
        data[5] = RECORD_VERSION;
        put_u16(data + 6, 0);
        assert_int_not_equal(get_exact(data, prng_below(&prng, 65), MAX_PAYLOAD), ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_put_get_gives_the_same),
        cmocka_unit_test(test_record_layout_is_as_documented),
        cmocka_unit_test(test_record_begin_end_equals_put),
        cmocka_unit_test(test_record_empty_payload_round_trips),
        cmocka_unit_test(test_record_two_in_a_row_are_read_one_by_one),
        cmocka_unit_test(test_record_every_truncation_is_short),
        cmocka_unit_test(test_record_blank_header_is_corrupt_and_blank),
        cmocka_unit_test(test_record_payload_over_limit_is_too_large),
        cmocka_unit_test(test_record_newer_version_with_good_checksum_is_version),
        cmocka_unit_test(test_record_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_record_random_bytes_never_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
