/* The address parser: what can be dialled, and why the rest cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/mem.h"
#include "base/prng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t seed_given; /* argument of the program; 0: of the hour */

struct good {
    const char *text;
    const char *host;
    uint16_t port;
    bool is_v6;
    const char *canonical;
};

static const struct good goods[] = {
    {"127.0.0.1:12380", "127.0.0.1", 12380, false, "127.0.0.1:12380"},
    {"http://127.0.0.1:12380", "127.0.0.1", 12380, false, "127.0.0.1:12380"},
    {"http://127.0.0.1:12380/", "127.0.0.1", 12380, false, "127.0.0.1:12380"},
    {"HTTP://db1.example.org:1", "db1.example.org", 1, false, "db1.example.org:1"},
    {"my_host-2:65535", "my_host-2", 65535, false, "my_host-2:65535"},
    {"localhost:00080", "localhost", 80, false, "localhost:80"},
    {"1st.example:80", "1st.example", 80, false, "1st.example:80"},
    {"[::1]:12380", "::1", 12380, true, "[::1]:12380"},
    {"http://[2001:db8::7]:9/", "2001:db8::7", 9, true, "[2001:db8::7]:9"},
    {"[::ffff:10.0.0.1]:9", "::ffff:10.0.0.1", 9, true, "[::ffff:10.0.0.1]:9"},
    {"0.0.0.0:5", "0.0.0.0", 5, false, "0.0.0.0:5"},
};

struct bad {
    const char *text;
    const char *why; /* part of the message */
};

static const struct bad bads[] = {
    {"", "empty"},
    {"http://", "empty"},
    {"http:///", "empty"},
    {"localhost", "port is missing"},
    {"http://localhost", "port is missing"},
    {"localhost:", "1 to 65535"},
    {"localhost:0", "1 to 65535"},
    {"localhost:65536", "1 to 65535"},
    {"localhost:100000", "1 to 65535"},
    {"localhost:99999999999999999999999", "1 to 65535"},
    {"localhost:-1", "1 to 65535"},
    {"localhost:+1", "1 to 65535"},
    {"localhost:8o", "1 to 65535"},
    {":80", "host is empty"},
    {"http://:80", "host is empty"},
    {"https://localhost:80", "https"},
    {"HTTPS://localhost:80", "https"},
    {"ftp://localhost:80", "unknown scheme"},
    {"localhost:80/", "path"},
    {"http://localhost:80//", "path"},
    {"http://localhost:80/x", "path"},
    {"http://me@localhost:80", "user names"},
    {" localhost:80", "blanks"},
    {"localhost:80 ", "blanks"},
    {"localhost:80\n", "blanks"},
    {"local\thost:80", "blanks"},
    {"a\x7f:80", "blanks"},
    {"::1:80", "brackets"},
    {"http://2001:db8::7:80", "brackets"},
    {"[::1:80", "]"},
    {"[::1]", "port is missing"},
    {"[::1]80", "port is missing"},
    {"[::1]:", "1 to 65535"},
    {"[::1]:0", "1 to 65535"},
    {"[]:80", "no IPv6"},
    {"[localhost]:80", "no IPv6"},
    {"[::1%lo]:80", "no IPv6"},
    {"[1:2:3:4:5:6:7:8:9]:80", "no IPv6"},
    {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:80", "no IPv6"},
    {"1.2.3:80", "no IPv4"},
    {"1.2.3.256:80", "no IPv4"},
    {"127.1:80", "no IPv4"},
    {"a..b:80", "empty label"},
    {".a:80", "empty label"},
    {"a?b:80", "no host name has"},
    {"a%41:80", "no host name has"},
    {"h\xc3\xb6st:80", "no host name has"},
};

static void test_addr_good_texts_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        struct addr addr;
        const char *why = NULL;
        char text[ADDR_TEXT_MAX];
        if (addr_parse(goods[i].text, strlen(goods[i].text), &addr, &why) != ERR_OK)
            fail_msg("%s: %s", goods[i].text, why);
        assert_string_equal(addr.host, goods[i].host);
        assert_int_equal(addr.port, goods[i].port);
        assert_int_equal(addr.is_v6, goods[i].is_v6);
        addr_format(&addr, text);
        assert_string_equal(text, goods[i].canonical);
    }
}

static void test_addr_bad_texts_are_refused_with_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct addr addr = {.port = 7};
        const char *why = NULL;
        if (addr_parse(bads[i].text, strlen(bads[i].text), &addr, &why) != ERR_INVALID)
            fail_msg("'%s' was taken", bads[i].text);
        if (why == NULL || strstr(why, bads[i].why) == NULL)
            fail_msg("'%s': unexpected reason: %s", bads[i].text, why);
        assert_int_equal(addr.port, 7); /* untouched */
    }
}

static void test_addr_no_bytes_at_all_are_refused(void **state)
{
    (void)state;
    struct addr addr;
    const char *why = NULL;
    assert_int_equal(addr_parse(NULL, 0, &addr, &why), ERR_INVALID);
    assert_non_null(why);
}

static void test_addr_nul_inside_is_refused(void **state)
{
    (void)state;
    struct addr addr;
    const char *why = NULL;
    assert_int_equal(addr_parse("a\0b:80", 6, &addr, &why), ERR_INVALID);
    assert_int_equal(addr_parse("[::1\0]:80", 9, &addr, &why), ERR_INVALID);
}

static void test_addr_length_ends_the_text(void **state)
{
    (void)state;
    struct addr addr;
    const char *why = NULL;
    assert_int_equal(addr_parse("localhost:8080", 12, &addr, &why), ERR_OK);
    assert_int_equal(addr.port, 80);
}

/* count labels of len letters, joined by dots, and a port. */
static size_t make_name(char *out, size_t count, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            out[at++] = '.';
        memset(out + at, 'a', len);
        at += len;
    }
    memcpy(out + at, ":80", 4);
    return at + 3;
}

static void test_addr_name_at_its_limits_is_taken_one_more_is_not(void **state)
{
    (void)state;
    char text[400];
    struct addr addr;
    const char *why = NULL;
    assert_int_equal(addr_parse(text, make_name(text, 1, 63), &addr, &why), ERR_OK);
    assert_int_equal(addr_parse(text, make_name(text, 1, 64), &addr, &why), ERR_INVALID);
    assert_non_null(strstr(why, "63"));
    /* 127 * 1 + 126 = 253 */
    assert_int_equal(addr_parse(text, make_name(text, 127, 1), &addr, &why), ERR_OK);
    assert_int_equal(strlen(addr.host), 253);
    assert_int_equal(addr_parse(text, make_name(text, 128, 1), &addr, &why), ERR_INVALID);
    assert_non_null(strstr(why, "253"));
}

static struct addr parsed(const char *text)
{
    struct addr addr = {.port = 0};
    const char *why = "";
    if (addr_parse(text, strlen(text), &addr, &why) != ERR_OK)
        fail_msg("%s: %s", text, why);
    return addr;
}

static void test_addr_loopback_and_wildcard_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
        bool wildcard;
    } rows[] = {
        {"localhost:1", true, false},
        {"LocalHost:1", true, false},
        {"127.0.0.1:1", true, false},
        {"127.255.0.9:1", true, false},
        {"[::1]:1", true, false},
        {"[0:0::0:1]:1", true, false},
        {"127.example.org:1", false, false},
        {"128.0.0.1:1", false, false},
        {"12.7.0.1:1", false, false},
        {"[::2]:1", false, false},
        {"0.0.0.0:1", false, true},
        {"[::]:1", false, true},
        {"[0:0::0]:1", false, true},
        {"example.org:1", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addr addr = parsed(rows[i].text);
        if (addr_is_loopback(&addr) != rows[i].loopback ||
            addr_is_wildcard(&addr) != rows[i].wildcard)
            fail_msg("%s", rows[i].text);
    }
}

static void test_addr_random_bytes_parse_again_if_taken(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789abz.:[]/@-_ \n%http";
    uint64_t seed = seed_given != 0 ? seed_given : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng = {seed};
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)prng_below(&prng, 24);
        char *text = mem_alloc(len); /* exact, so that a read past the end shows */
        for (size_t i = 0; i < len; i++)
            text[i] = alphabet[prng_below(&prng, sizeof alphabet - 1)];
        struct addr addr;
        struct addr again;
        const char *why = NULL;
        char canonical[ADDR_TEXT_MAX];
        if (addr_parse(text, len, &addr, &why) == ERR_OK) {
            addr_format(&addr, canonical);
            assert_int_equal(addr_parse(canonical, strlen(canonical), &again, &why), ERR_OK);
            assert_string_equal(again.host, addr.host);
            assert_int_equal(again.port, addr.port);
        } else {
            assert_non_null(why);
        }
        mem_free(text);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed_given = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addr_good_texts_are_taken),
        cmocka_unit_test(test_addr_bad_texts_are_refused_with_reason),
        cmocka_unit_test(test_addr_no_bytes_at_all_are_refused),
        cmocka_unit_test(test_addr_nul_inside_is_refused),
        cmocka_unit_test(test_addr_length_ends_the_text),
        cmocka_unit_test(test_addr_name_at_its_limits_is_taken_one_more_is_not),
        cmocka_unit_test(test_addr_loopback_and_wildcard_are_told),
        cmocka_unit_test(test_addr_random_bytes_parse_again_if_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
