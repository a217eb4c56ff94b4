/* POST and DELETE at the root: members. And the outcomes that all requests share. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client.h"

#include <string.h>

static void test_api_post_adds_a_member_at_the_canonical_address(void **state)
{
    (void)state;
    assert_false(ask(API_POST, "/4", " \thttp://127.0.0.1:42379\r\n"));
    assert_int_equal(fake.call, FAKE_ADD);
    assert_true(fake.id == 4);
    assert_string_equal(fake.address, "127.0.0.1:42379");
    result((struct node_result){.outcome = NODE_OK});
    assert_int_equal(answer.status, 204);
    assert_null(answer.body);
    assert_false(ask(API_POST, "/4", "[::1]:42379"));
    assert_string_equal(fake.address, "[::1]:42379");
}

static void test_api_post_bad_address_is_refused(void **state)
{
    (void)state;
    static const char *bad[] = {"", " \n", "127.0.0.1", "http://127.0.0.1", "a:0", "0.0.0.0:1",
                                "a:1 b", "http://a:1/path"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(ask(API_POST, "/4", bad[i]));
        expect_error(400, "bad_address");
    }
    assert_true(ask(API_POST, "/4", NULL));
    expect_error(400, "bad_address");
    char long_body[1026];
    memset(long_body, ' ', sizeof long_body);
    memcpy(long_body, "a:1", 3);
    assert_true(ask_with(API_POST, "/4", long_body, 1025, NULL));
    expect_error(400, "bad_address");
    assert_true(fake.calls == 0);
    assert_false(ask_with(API_POST, "/4", long_body, 1024, NULL));
}

static void test_api_delete_removes_a_member(void **state)
{
    (void)state;
    assert_false(ask(API_DELETE, "/3", NULL));
    assert_int_equal(fake.call, FAKE_REMOVE);
    assert_true(fake.id == 3);
    result((struct node_result){.outcome = NODE_MEMBER_NOT_FOUND});
    expect_error(404, "member_not_found");
    assert_false(ask(API_DELETE, "/18446744073709551613", NULL));
    assert_true(fake.id == UINT64_MAX - 2);
}

static void test_api_member_path_that_is_no_id_points_to_kv(void **state)
{
    (void)state;
    static const char *bad[] = {"/", "/0", "/key", "/-1", "/+1", "/1x", "/3/4", "/3/", "/%203",
                                "/18446744073709551616", "/health", "/kv", "/v3", "/3%00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_refusal(API_POST, bad[i], 400, "bad_member_id");
        assert_non_null(strstr(body_text, "/kv/KEY"));
        expect_refusal(API_DELETE, bad[i], 400, "bad_member_id");
        assert_non_null(strstr(body_text, "/kv/KEY"));
    }
}

static void test_api_member_outcomes_have_their_status(void **state)
{
    (void)state;
    static const struct {
        enum node_outcome outcome;
        int status;
        const char *code;
    } cases[] = {
        {NODE_CONFLICT, 409, "member_conflict"},
        {NODE_CHANGE_UNDER_WAY, 503, "change_under_way"},
        {NODE_REFUSED, 409, "refused"},
        {NODE_NOT_DONE, 503, "not_done"},
        {NODE_UNKNOWN, 504, "outcome_unknown"},
        {NODE_OVERLOADED, 429, "overloaded"},
        {NODE_NO_ROOM, 507, "no_room"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(ask(API_POST, "/4", "a:1"));
        result((struct node_result){.outcome = cases[i].outcome, .text = "be\"cause"});
        expect_error(cases[i].status, cases[i].code);
        assert_non_null(strstr(body_text, "be\\\"cause"));
        assert_false(ask(API_PUT, "/k", "v"));
        result((struct node_result){.outcome = cases[i].outcome});
        expect_error(cases[i].status, cases[i].code);
        assert_false(ask(API_GET, "/k", NULL));
        result((struct node_result){.outcome = cases[i].outcome});
        expect_error(cases[i].status, cases[i].code);
    }
}

static void test_api_member_id_outside_its_range_is_told_the_range(void **state)
{
    (void)state;
    static const char *bad[] = {"/04", "/00", "/%2B4", "/4%20", "/18446744073709551614",
                                "/18446744073709551615", "/18446744073709551616",
                                "/100000000000000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int delete = 0; delete < 2; delete++) {
            expect_refusal(delete ? API_DELETE : API_POST, bad[i], 400, "bad_member_id");
            assert_non_null(strstr(body_text, "from 1 to 18446744073709551613 (the library"));
            assert_non_null(strstr(body_text, "2^64-1)\",")); /* not cut off */
        }
    }
    assert_false(ask(API_POST, "/18446744073709551613", "a:1"));
    assert_true(fake.id == UINT64_MAX - 2);
}

static void test_api_member_change_tells_its_place_in_the_log(void **state)
{
    (void)state;
    for (int delete = 0; delete < 2; delete++) {
        enum api_method method = delete ? API_DELETE : API_POST;
        assert_false(ask(method, "/4", "a:1"));
        result((struct node_result){.outcome = NODE_OK, .term = 3, .index = UINT64_MAX});
        assert_int_equal(answer.status, 204);
        assert_string_equal(header("X-Floe-Term"), "3");
        assert_string_equal(header("X-Floe-Index"), "18446744073709551615");
        assert_string_equal(header("X-Floe-Revision"), "(none)");
        assert_false(ask(method, "/4", "a:1"));
        result((struct node_result){.outcome = NODE_OK}); /* not known */
        assert_int_equal(answer.status, 204);
        assert_string_equal(header("X-Floe-Index"), "(none)");
        assert_false(ask(method, "/4", "a:1"));
        result((struct node_result){.outcome = NODE_CONFLICT, .term = 3, .index = 7});
        expect_error(409, "member_conflict");
        assert_string_equal(header("X-Floe-Index"), "(none)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_api_post_adds_a_member_at_the_canonical_address),
        TEST(test_api_post_bad_address_is_refused),
        TEST(test_api_delete_removes_a_member),
        TEST(test_api_member_path_that_is_no_id_points_to_kv),
        TEST(test_api_member_outcomes_have_their_status),
        TEST(test_api_member_id_outside_its_range_is_told_the_range),
        TEST(test_api_member_change_tells_its_place_in_the_log),
    };
    return cmocka_run_group_tests_name("api member", tests, NULL, NULL);
}
