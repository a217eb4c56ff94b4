/* Words that are no keys, and methods that a target does not have. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client.h"

#include <stdio.h>
#include <string.h>

static const char *words[] = {"health", "livez", "readyz", "status", "version", "metrics", "kv",
                              "members", "txn", "leases", "tx", "events", "limits", "why", "leader",
                              "auth", "ui", "openapi.json", "v3", "v3beta", "v3alpha"};

static void test_api_put_to_a_reserved_word_is_refused_and_works_under_kv(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char target[64];
        (void)snprintf(target, sizeof target, "/%s", words[i]);
        expect_refusal(API_PUT, target, 400, "reserved");
        assert_non_null(strstr(body_text, "/kv/KEY"));
        assert_non_null(strstr(body_text, words[i]));
        (void)snprintf(target, sizeof target, "/kv/%s", words[i]);
        assert_false(ask(API_PUT, target, "v"));
        expect_key(words[i], strlen(words[i]));
        bool has_more = strcmp(words[i], "kv") == 0 || strcmp(words[i], "leases") == 0 ||
                        strcmp(words[i], "tx") == 0 || strcmp(words[i], "members") == 0 ||
                        strncmp(words[i], "v3", 2) == 0;
        if (has_more)
            continue;
        (void)snprintf(target, sizeof target, "/%s/x", words[i]);
        expect_refusal(API_PUT, target, 400, "reserved");
        expect_refusal(API_GET, target, 404, "not_found");
    }
    expect_refusal(API_PUT, "/he%61lth", 400, "reserved");
    expect_refusal(API_GET, "/why", 404, "not_found");
    expect_refusal(API_HEAD, "/ui", 404, "not_found");
    expect_refusal(API_GET, "/kv", 404, "not_found");
}

static void test_api_other_methods_are_405_with_allow(void **state)
{
    (void)state;
    static const struct {
        enum api_method method;
        const char *target;
        const char *allow;
    } cases[] = {
        {API_OTHER, "/k", "GET, HEAD, PUT, POST, DELETE"},
        {API_OTHER, "*", "GET, HEAD, PUT, POST, DELETE"},
        {API_OTHER, "/kv/k", "GET, HEAD, PUT, DELETE"},
        {API_POST, "/kv/k", "GET, HEAD, PUT, DELETE"},
        {API_OTHER, "/health", "GET, HEAD"},
        {API_OTHER, "/version", "GET, HEAD"},
        {API_OTHER, "/metrics", "GET, HEAD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_refusal(cases[i].method, cases[i].target, 405, "method_not_allowed");
        assert_string_equal(header("Allow"), cases[i].allow);
    }
    expect_refusal(API_POST, "/health", 400, "bad_member_id");
    expect_refusal(API_DELETE, "/status", 400, "bad_member_id");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_api_put_to_a_reserved_word_is_refused_and_works_under_kv),
        TEST(test_api_other_methods_are_405_with_allow),
    };
    return cmocka_run_group_tests_name("api target", tests, NULL, NULL);
}
