/* UTF-8 and base64. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"

#include <string.h>

static bool utf8(const char *text)
{
    return text_is_utf8((const uint8_t *)text, strlen(text));
}

static void test_text_utf8_knows_what_is_well_formed(void **state)
{
    (void)state;
    assert_true(utf8("") && utf8("a") && utf8("\xc3\xbc") && utf8("\xe2\x82\xac") &&
                utf8("\xf0\x9f\x92\x96") && utf8("\xf4\x8f\xbf\xbf") && utf8("\xed\x9f\xbf"));
    assert_true(text_is_utf8((const uint8_t *)"\0", 1));
    assert_false(utf8("\x80"));
    assert_false(utf8("\xc1\xbf"));         /* overlong */
    assert_false(utf8("\xe0\x9f\xbf"));     /* overlong */
    assert_false(utf8("\xf0\x8f\xbf\xbf")); /* overlong */
    assert_false(utf8("\xed\xa0\x80"));     /* a surrogate */
    assert_false(utf8("\xf4\x90\x80\x80")); /* beyond */
    assert_false(utf8("\xe2\x82"));
    assert_false(utf8("\xc3(") || utf8("\xff"));
}

static void expect_base64(const char *bytes, const char *text)
{
    struct buf out = {0};
    text_base64_put(&out, bytes, strlen(bytes));
    assert_string_equal(buf_str(&out), text);
    buf_clear(&out);
    assert_true(text_base64_get(&out, text, strlen(text)));
    assert_string_equal(buf_str(&out), bytes);
    buf_deinit(&out);
}

static void test_text_base64_both_ways(void **state)
{
    (void)state;
    expect_base64("", "");
    expect_base64("f", "Zg==");
    expect_base64("fo", "Zm8=");
    expect_base64("foo", "Zm9v");
    expect_base64("foob", "Zm9vYg==");
    expect_base64("fooba", "Zm9vYmE=");
    expect_base64("foobar", "Zm9vYmFy");
    expect_base64("\xff\xfe\xfd", "//79");
    static const char *const bad[] = {"Zg", "Zg=", "Z===", "Zm9v=", "Zh==", "Zm9=", "Z!==", "=Zg="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf out = {0};
        if (text_base64_get(&out, bad[i], strlen(bad[i])))
            fail_msg("%s is no base64", bad[i]);
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_utf8_knows_what_is_well_formed),
        cmocka_unit_test(test_text_base64_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
