/* Numbers from text: the whole input or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/parse.h"

#include <string.h>

static void test_parse_u64_digits_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } rows[] = {
        {"0", 0},
        {"7", 7},
        {"007", 7},
        {"18446744073709551609", UINT64_MAX - 6},
        {"18446744073709551615", UINT64_MAX},
        {"0000000000000000000000000000000042", 42},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 1;
        assert_int_equal(parse_u64(rows[i].text, strlen(rows[i].text), &value), ERR_OK);
        assert_true(value == rows[i].value);
    }
}

static void test_parse_u64_other_text_is_refused_and_out_untouched(void **state)
{
    (void)state;
    static const char *const rows[] = {"",    "-1",  "+1", " 1",  "1 ",       "1\n", "0x1",
                                       "1e3", "1.0", "a",  "1_0", "\xd9\xa1", "/",   ":"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 99;
        if (parse_u64(rows[i], strlen(rows[i]), &value) != ERR_INVALID)
            fail_msg("'%s' was taken", rows[i]);
        assert_true(value == 99);
    }
}

static void test_parse_u64_too_large_is_told_apart(void **state)
{
    (void)state;
    static const char *const rows[] = {"18446744073709551616", "18446744073709551620",
                                       "99999999999999999999", "184467440737095516150"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 99;
        assert_int_equal(parse_u64(rows[i], strlen(rows[i]), &value), ERR_TOO_LARGE);
        assert_true(value == 99);
    }
}

static void test_parse_u64_length_ends_the_text(void **state)
{
    (void)state;
    uint64_t value = 0;
    const char digits[] = {'1', '2', '3'};
    assert_int_equal(parse_u64(digits, 2, &value), ERR_OK);
    assert_true(value == 12);
    assert_int_equal(parse_u64(digits, sizeof digits, &value), ERR_OK);
    assert_true(value == 123);
    assert_int_equal(parse_u64("1\0002", 3, &value), ERR_INVALID);
}

static void test_parse_member_id_takes_the_whole_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t id;
    } rows[] = {
        {"1", 1},
        {"10", 10},
        {"9007199254740993", (UINT64_C(1) << 53) + 1},
        {"9223372036854775808", UINT64_C(1) << 63},
        {"18446744073709551613", UINT64_MAX - 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t id = 0;
        const char *why = NULL;
        assert_int_equal(parse_member_id(rows[i].text, strlen(rows[i].text), &id, &why), ERR_OK);
        assert_true(id == rows[i].id);
    }
}

static void test_parse_member_id_refusal_names_the_cause_and_the_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *cause;
    } rows[] = {
        {"", "digits"},    {"+4", "digits"},   {"-4", "digits"},   {" 4", "digits"},
        {"4 ", "digits"},  {"4\n", "digits"}, {"0x4", "digits"},  {"4.0", "digits"},
        {"0", "not 0"},    {"00", "not 0"},    {"04", "not 0"},
        {"00018446744073709551616", "not 0"},
        {"18446744073709551614", "too large"}, {"18446744073709551615", "too large"},
        {"18446744073709551616", "too large"}, {"20000000000000000000", "too large"},
        {"100000000000000000001", "too large"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t id = 99;
        const char *why = "";
        if (parse_member_id(rows[i].text, strlen(rows[i].text), &id, &why) == ERR_OK)
            fail_msg("'%s' was taken", rows[i].text);
        assert_true(id == 99);
        if (strstr(why, rows[i].cause) == NULL || strstr(why, "18446744073709551613") == NULL ||
            strstr(why, "library") == NULL)
            fail_msg("'%s': %s", rows[i].text, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_u64_digits_are_taken),
        cmocka_unit_test(test_parse_u64_other_text_is_refused_and_out_untouched),
        cmocka_unit_test(test_parse_u64_too_large_is_told_apart),
        cmocka_unit_test(test_parse_u64_length_ends_the_text),
        cmocka_unit_test(test_parse_member_id_takes_the_whole_range),
        cmocka_unit_test(test_parse_member_id_refusal_names_the_cause_and_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
