/* Requests for keys: what the node is asked, what it answered, conditions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "client.h"

#include <string.h>

/* ---- keys ------------------------------------------------------------------------------------ */

static void test_api_put_is_answered_by_the_node_with_tag_and_position(void **state)
{
    (void)state;
    assert_false(ask(API_PUT, "/my-key", "hello"));
    assert_int_equal(fake.call, FAKE_WRITE);
    assert_int_equal(fake.op, KV_OP_PUT);
    assert_int_equal(fake.compare_count, 0);
    expect_key("my-key", 6);
    assert_true(fake.value_len == 5);
    assert_memory_equal(fake.value_start, "hello", 5);
    result((struct node_result){.kv = {.revision = 12}, .term = 3, .index = 40});
    assert_int_equal(answer.status, 204);
    assert_null(answer.body);
    assert_string_equal(header("ETag"), "\"12\"");
    assert_string_equal(header("X-Floe-Revision"), "12");
    assert_string_equal(header("X-Floe-Term"), "3");
    assert_string_equal(header("X-Floe-Index"), "40");
    assert_false(take_answer());
}

static void test_api_put_without_body_writes_an_empty_value(void **state)
{
    (void)state;
    assert_false(ask(API_PUT, "/k", NULL));
    assert_int_equal(fake.call, FAKE_WRITE);
    assert_true(fake.value_len == 0);
}

static void test_api_key_is_the_decoded_path_with_any_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        const char *key;
        size_t len;
    } cases[] = {
        {"/a%20b", "a b", 3},
        {"/a%00b", "a\0b", 3},
        {"/%FF%fe", "\xff\xfe", 2},
        {"/a/b", "a/b", 3},
        {"/a%2Fb", "a/b", 3},
        {"//a", "/a", 2},
        {"/a+b", "a+b", 3},
        {"/a?&", "a", 1},
        {"/a%3Fb", "a?b", 3},
        {"/3", "3", 1},
        {"/kv%2Fa", "kv/a", 4},
        {"/healthy", "healthy", 7},
        {"/Health", "Health", 6},
        {"/kv/health", "health", 6},
        {"/kv/a/b%2f", "a/b/", 4},
        {"/kv//", "/", 1},
        {"/%6bv/x", "x", 1},
        {"http://localhost:12380/abs", "abs", 3},
        {"HTTP://h/abs?&", "abs", 3},
        {"https://h/kv/status", "status", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(ask(API_PUT, cases[i].target, "v"));
        assert_int_equal(fake.call, FAKE_WRITE);
        expect_key(cases[i].key, cases[i].len);
    }
}

static void test_api_impossible_key_is_refused(void **state)
{
    (void)state;
    expect_refusal(API_PUT, "/", 400, "empty_key");
    expect_refusal(API_GET, "/", 400, "empty_key");
    expect_refusal(API_GET, "/?consistency=stale", 400, "empty_key");
    expect_refusal(API_PUT, "/kv/", 400, "empty_key");
    expect_refusal(API_DELETE, "/kv/", 400, "empty_key");
    expect_refusal(API_GET, "http://host", 400, "empty_key");
    expect_refusal(API_PUT, "/a%", 400, "bad_percent_encoding");
    expect_refusal(API_PUT, "/a%2", 400, "bad_percent_encoding");
    expect_refusal(API_PUT, "/a%2g", 400, "bad_percent_encoding");
    expect_refusal(API_GET, "/k?b=%zz", 400, "bad_percent_encoding");
    expect_refusal(API_GET, "/kv/%zz", 400, "bad_percent_encoding");
    expect_refusal(API_GET, "/x/%", 400, "bad_percent_encoding");
    expect_refusal(API_GET, "a", 400, "bad_target");
    expect_refusal(API_GET, "ftp://h/a", 400, "bad_target");
    expect_refusal(API_GET, "", 400, "bad_target");
}

static void test_api_sizes_are_limited_after_decoding(void **state)
{
    (void)state;
    char target[8 + 3 * (KEY_BYTES + 1)] = "/";
    for (size_t i = 0; i < KEY_BYTES; i++)
        strcat(target, "%41");
    assert_false(ask(API_PUT, target, "v"));
    assert_true(fake.key_len == KEY_BYTES);
    strcat(target, "B");
    expect_refusal(API_PUT, target, 414, "key_too_large");
    expect_refusal(API_GET, target, 414, "key_too_large");
    char *value = mem_calloc(1, VALUE_BYTES + 1);
    assert_false(ask_with(API_PUT, "/k", value, VALUE_BYTES, NULL));
    assert_true(fake.value_len == VALUE_BYTES);
    assert_true(ask_with(API_PUT, "/k", value, VALUE_BYTES + 1, NULL));
    expect_error(413, "value_too_large");
    assert_int_equal(fake.call, FAKE_NOTHING);
    mem_free(value);
}

static void expect_item(const char *value, const char *tag)
{
    assert_int_equal(answer.status, 200);
    assert_string_equal(body_text, value);
    assert_string_equal(header("Content-Type"), "application/octet-stream");
    assert_string_equal(header("X-Content-Type-Options"), "nosniff");
    assert_string_equal(header("ETag"), tag);
}

static void test_api_get_reads_the_store_as_it_is_after_the_barrier(void **state)
{
    (void)state;
    fake_node_put("k", 1, "old", 3, 5);
    assert_false(ask(API_GET, "/k", NULL));
    assert_int_equal(fake.call, FAKE_READ);
    fake_node_put("k", 1, "new", 3, 6);
    result((struct node_result){.outcome = NODE_OK});
    expect_item("new", "\"6\"");
    assert_false(answer.head);
    assert_false(ask(API_HEAD, "/kv/k", NULL));
    result((struct node_result){.outcome = NODE_OK});
    expect_item("new", "\"6\"");
    assert_true(answer.head);
    assert_false(ask(API_GET, "/other", NULL));
    result((struct node_result){.outcome = NODE_OK});
    expect_error(404, "key_not_found");
}

/* A member that has found out that its data is wrong shows none of it. */
static void test_api_get_stale_of_wrong_data_is_no_answer(void **state)
{
    (void)state;
    fake_node_put("k", 1, "v", 1, 5);
    fake.damaged = true;
    assert_false(ask(API_GET, "/k?consistency=stale", NULL));
    assert_int_equal(fake.call, FAKE_READ);
    result((struct node_result){.outcome = NODE_NOT_DONE});
    assert_int_equal(answer.status, 503);
}

static void test_api_get_stale_reads_at_once(void **state)
{
    (void)state;
    fake_node_put("k", 1, "v", 1, 5);
    assert_true(ask(API_GET, "/k?consistency=stale", NULL));
    assert_int_equal(fake.call, FAKE_NOTHING);
    expect_item("v", "\"5\"");
    assert_true(ask(API_GET, "/k?&consistency=st%61le&max_stale_ms=%37", NULL));
    expect_item("v", "\"5\"");
    assert_true(ask(API_GET, "/none?consistency=stale", NULL));
    expect_error(404, "key_not_found");
}

static void test_api_get_other_consistency_is_refused(void **state)
{
    (void)state;
    expect_refusal(API_GET, "/k?consistency=strong", 400, "bad_consistency");
    expect_refusal(API_GET, "/k?consistency=", 400, "bad_consistency");
    expect_refusal(API_GET, "/k?consistency", 400, "bad_consistency");
    expect_refusal(API_GET, "/k?consistency=Stale", 400, "bad_consistency");
    expect_refusal(API_GET, "/k?consistency=stale%", 400, "bad_consistency");
    expect_refusal(API_GET, "/k?consistency=stale&consistency=stale", 400, "bad_consistency");
    expect_refusal(API_HEAD, "/kv/k?revision=1&consistency=1", 400, "bad_consistency");
    expect_refusal(API_GET, "/k?consistent=no&", 400, "unknown_parameter");
    assert_int_equal(fake.call, FAKE_NOTHING);
}

static void test_api_delete_under_kv_deletes_the_key(void **state)
{
    (void)state;
    assert_false(ask(API_DELETE, "/kv/3", NULL));
    assert_int_equal(fake.call, FAKE_WRITE);
    assert_int_equal(fake.op, KV_OP_DELETE);
    assert_true(fake.want_replies);
    expect_key("3", 1);
    struct kv_reply reply = {.type = KV_OP_DELETE, .count = 1};
    struct kv_result deleted = {.revision = 12, .replies = &reply, .reply_count = 1};
    result((struct node_result){.kv = deleted, .term = 3, .index = 40});
    assert_int_equal(answer.status, 204);
    assert_string_equal(header("ETag"), "(none)");
    assert_string_equal(header("X-Floe-Revision"), "12");
    assert_false(ask(API_DELETE, "/kv/3", NULL));
    reply.count = 0;
    result((struct node_result){.kv = deleted});
    expect_error(404, "key_not_found");
}

/* ---- conditions ------------------------------------------------------------------------------ */

static void expect_compare(size_t at, enum kv_target target, enum kv_relation relation,
                           uint64_t number)
{
    assert_int_equal(fake.compares[at].target, target);
    assert_int_equal(fake.compares[at].relation, relation);
    assert_true(fake.compares[at].number == number);
}

static void test_api_conditions_of_writes_reach_the_node(void **state)
{
    (void)state;
    assert_false(ask_if(API_PUT, "/k", "If-Match", "\"17\""));
    expect_compare(0, KV_VERSION, KV_GREATER, 0);
    expect_compare(1, KV_MOD, KV_EQUAL, 17);
    assert_int_equal(fake.compare_count, 2);
    assert_true(fake.want_replies);
    assert_false(ask_if(API_PUT, "/k", "if-match", " * "));
    expect_compare(0, KV_VERSION, KV_GREATER, 0);
    assert_int_equal(fake.compare_count, 1);
    assert_false(ask_if(API_PUT, "/k", "If-None-Match", "*"));
    expect_compare(0, KV_VERSION, KV_EQUAL, 0);
    assert_int_equal(fake.compare_count, 1);
    assert_int_equal(fake.op, KV_OP_PUT);
    assert_false(ask_if(API_DELETE, "/kv/k", "IF-MATCH", "\"18446744073709551615\""));
    expect_compare(1, KV_MOD, KV_EQUAL, UINT64_MAX);
    assert_int_equal(fake.op, KV_OP_DELETE);
}

static void test_api_failed_condition_is_412_with_the_current_tag(void **state)
{
    (void)state;
    assert_false(ask_if(API_PUT, "/k", "If-Match", "\"17\""));
    struct kv_entry *found = fake_node_entry(20);
    struct kv_reply look = {.type = KV_OP_RANGE, .items = &found, .item_count = 1};
    struct kv_reply txn = {.type = KV_OP_TXN, .replies = &look, .reply_count = 1};
    struct kv_result failed = {.revision = 30, .replies = &txn, .reply_count = 1};
    result((struct node_result){.kv = failed});
    expect_error(412, "condition_failed");
    assert_string_equal(header("X-Floe-Revision"), "30");
    assert_string_equal(header("ETag"), "\"20\"");
    assert_false(ask_if(API_DELETE, "/kv/k", "If-Match", "*"));
    look.item_count = 0;
    result((struct node_result){.kv = failed});
    expect_error(412, "condition_failed");
    assert_string_equal(header("ETag"), "(none)");
}

static void test_api_condition_not_understood_is_refused(void **state)
{
    (void)state;
    static const char *bad[] = {"17", "\"17", "W/\"17\"", "\"17\", \"18\"", "\"\"", "\"a\"", "",
                                "\"-1\"", "\"018\"", "\"18446744073709551616\"", "**", "\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(ask_if(API_PUT, "/k", "If-Match", bad[i]));
        expect_error(400, "bad_condition");
    }
    static const char *broken[] = {"17", "\"17", "\"17\" \"18\"", "",
                                   "**", "\"",   "W/17",          "*, \"1\""};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_true(ask_if(API_GET, "/k", "If-None-Match", broken[i]));
        expect_error(400, "bad_condition");
    }
    assert_true(ask_if(API_PUT, "/k", "If-None-Match", "\"17\""));
    expect_error(400, "bad_condition");
    assert_true(ask_if(API_DELETE, "/kv/k", "If-None-Match", "*"));
    expect_error(400, "bad_condition");
    const char *both[] = {"If-Match", "*", "If-None-Match", "*", NULL};
    assert_true(ask_with(API_PUT, "/k", NULL, 0, both));
    expect_error(400, "bad_condition");
    const char *twice[] = {"If-Match", "*", "If-Match", "*", NULL};
    assert_true(ask_with(API_PUT, "/k", NULL, 0, twice));
    expect_error(400, "bad_condition");
    assert_true(fake.calls == 0);
}

static void test_api_get_conditions_compare_with_the_store(void **state)
{
    (void)state;
    fake_node_put("k", 1, "v", 1, 5);
    const char *stale = "/k?consistency=stale";
    assert_true(ask_if(API_GET, stale, "If-None-Match", "\"5\""));
    assert_int_equal(answer.status, 304);
    assert_null(answer.body);
    assert_string_equal(header("ETag"), "\"5\"");
    assert_true(ask_if(API_GET, stale, "If-None-Match", "\"4\""));
    expect_item("v", "\"5\"");
    assert_true(ask_if(API_GET, stale, "If-Match", "\"4\""));
    expect_error(412, "condition_failed");
    assert_string_equal(header("ETag"), "\"5\"");
    assert_true(ask_if(API_GET, stale, "If-Match", "\"5\""));
    expect_item("v", "\"5\"");
    assert_true(ask_if(API_GET, "/none?consistency=stale", "If-Match", "*"));
    expect_error(412, "condition_failed");
    assert_false(ask_if(API_GET, "/k", "If-None-Match", "*"));
    result((struct node_result){.outcome = NODE_OK});
    assert_int_equal(answer.status, 304);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void test_api_free_with_requests_under_way_leaks_nothing(void **state)
{
    (void)state;
    struct api_request get = {.method = API_GET, .target = "/k"};
    struct api_request version = {.method = API_GET, .target = "/version"};
    hand_in(&get);
    hand_in(&version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_api_put_is_answered_by_the_node_with_tag_and_position),
        TEST(test_api_put_without_body_writes_an_empty_value),
        TEST(test_api_key_is_the_decoded_path_with_any_bytes),
        TEST(test_api_impossible_key_is_refused),
        TEST(test_api_sizes_are_limited_after_decoding),
        TEST(test_api_get_reads_the_store_as_it_is_after_the_barrier),
        TEST(test_api_get_stale_of_wrong_data_is_no_answer),
        TEST(test_api_get_stale_reads_at_once),
        TEST(test_api_get_other_consistency_is_refused),
        TEST(test_api_delete_under_kv_deletes_the_key),
        TEST(test_api_conditions_of_writes_reach_the_node),
        TEST(test_api_failed_condition_is_412_with_the_current_tag),
        TEST(test_api_condition_not_understood_is_refused),
        TEST(test_api_get_conditions_compare_with_the_store),
        TEST(test_api_free_with_requests_under_way_leaks_nothing),
    };
    return cmocka_run_group_tests_name("api key", tests, NULL, NULL);
}
