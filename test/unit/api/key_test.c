/* Each row of the HTTP table, without a server: a request in, the node's call and answer out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/api.h"
#include "base/mem.h"
#include "fake_node.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES 64
#define VALUE_BYTES 1000

static struct api *api;
static uint64_t last_token;
static struct api_response answer;
static char body_text[8192];

static int setup(void **state)
{
    (void)state;
    fake_node_reset();
    api = api_new(FAKE_NODE, &(struct api_limits){KEY_BYTES, VALUE_BYTES}, NULL);
    answer = (struct api_response){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    api_response_deinit(&answer);
    api_free(api);
    fake_node_reset();
    return 0;
}

static bool take_answer(void)
{
    api_response_deinit(&answer);
    body_text[0] = '\0';
    if (!api_next_response(api, &answer, 0))
        return false;
    assert_true(answer.token == last_token);
    if (answer.body != NULL) {
        ev_ssize_t len = evbuffer_copyout(answer.body, body_text, sizeof body_text - 1);
        body_text[len] = '\0';
    }
    return true;
}

/* headers: name, value, ... NULL. Returns whether there is an answer already. */
static bool ask_with(enum api_method method, const char *target, const char *body, size_t body_len,
                     const char *const *headers)
{
    struct api_header list[8];
    size_t count = 0;
    for (; headers != NULL && headers[2 * count] != NULL; count++)
        list[count] = (struct api_header){headers[2 * count], headers[2 * count + 1]};
    struct api_request request = {.method = method, .target = target, .headers = list,
                                  .header_count = count};
    if (body != NULL) {
        request.body = evbuffer_new();
        assert_int_equal(evbuffer_add(request.body, body, body_len), 0);
    }
    fake.call = FAKE_NOTHING;
    api_handle(api, ++last_token, &request, 0);
    if (request.body != NULL)
        evbuffer_free(request.body);
    return take_answer();
}

static bool ask(enum api_method method, const char *target, const char *body)
{
    return ask_with(method, target, body, body != NULL ? strlen(body) : 0, NULL);
}

static bool ask_if(enum api_method method, const char *target, const char *name, const char *value)
{
    const char *headers[] = {name, value, NULL};
    return ask_with(method, target, NULL, 0, headers);
}

static void result(struct node_result value)
{
    fake_node_answer(value);
    assert_true(take_answer());
}

static const char *header(const char *name)
{
    for (size_t i = 0; i < answer.header_count; i++) {
        if (strcmp(answer.headers[i].name, name) == 0)
            return answer.headers[i].value;
    }
    return "(none)";
}

/* An error in our form; the node was not asked if it came at once. */
static void expect_error(int status, const char *code)
{
    assert_int_equal(answer.status, status);
    assert_string_equal(header("Content-Type"), "application/json");
    assert_string_equal(header("X-Content-Type-Options"), "nosniff");
    json_t *json = json_loads(body_text, 0, NULL);
    assert_non_null(json);
    assert_true(json_object_size(json) == 2);
    assert_string_equal(json_string_value(json_object_get(json, "code")), code);
    assert_true(json_string_length(json_object_get(json, "error")) > 0);
    json_decref(json);
    bool again = status == 503 || status == 429;
    assert_string_equal(header("Retry-After"), again ? "1" : "(none)");
}

static void expect_refusal(enum api_method method, const char *target, int status, const char *code)
{
    assert_true(ask(method, target, "x"));
    expect_error(status, code);
    assert_int_equal(fake.call, FAKE_NOTHING);
}

static void expect_key(const void *key, size_t len)
{
    assert_true(fake.command.key_len == len);
    assert_memory_equal(fake.key, key, len);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void test_api_put_is_answered_by_the_node_with_tag_and_position(void **state)
{
    (void)state;
    assert_false(ask(API_PUT, "/my-key", "hello"));
    assert_int_equal(fake.call, FAKE_WRITE);
    assert_int_equal(fake.command.op, KV_OP_PUT);
    assert_int_equal(fake.command.condition, KV_ALWAYS);
    expect_key("my-key", 6);
    assert_true(fake.value_len == 5);
    assert_memory_equal(fake.value_start, "hello", 5);
    result((struct node_result){.revision = 12, .mod_revision = 12, .term = 3, .index = 40});
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
        {"/a?b=c", "a", 1},
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
        {"HTTP://h/abs?x", "abs", 3},
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
    assert_true(fake.command.key_len == KEY_BYTES);
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

static void test_api_get_stale_reads_at_once(void **state)
{
    (void)state;
    fake_node_put("k", 1, "v", 1, 5);
    assert_true(ask(API_GET, "/k?consistency=stale", NULL));
    assert_int_equal(fake.call, FAKE_NOTHING);
    expect_item("v", "\"5\"");
    assert_true(ask(API_GET, "/k?a&consistency=st%61le&b=%zz", NULL));
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
    expect_refusal(API_HEAD, "/kv/k?x=1&consistency=1", 400, "bad_consistency");
    assert_false(ask(API_GET, "/k?consistent=no&", NULL));
    assert_int_equal(fake.call, FAKE_READ);
}

static void test_api_delete_under_kv_deletes_the_key(void **state)
{
    (void)state;
    assert_false(ask(API_DELETE, "/kv/3", NULL));
    assert_int_equal(fake.call, FAKE_WRITE);
    assert_int_equal(fake.command.op, KV_OP_DELETE);
    expect_key("3", 1);
    result((struct node_result){.revision = 12, .term = 3, .index = 40});
    assert_int_equal(answer.status, 204);
    assert_string_equal(header("ETag"), "(none)");
    assert_string_equal(header("X-Floe-Revision"), "12");
    assert_false(ask(API_DELETE, "/kv/3", NULL));
    result((struct node_result){.outcome = NODE_KEY_NOT_FOUND, .revision = 12});
    expect_error(404, "key_not_found");
}

/* ---- conditions ------------------------------------------------------------------------------ */

static void test_api_conditions_of_writes_reach_the_node(void **state)
{
    (void)state;
    assert_false(ask_if(API_PUT, "/k", "If-Match", "\"17\""));
    assert_int_equal(fake.command.condition, KV_IF_MOD_REVISION);
    assert_true(fake.command.mod_revision == 17);
    assert_false(ask_if(API_PUT, "/k", "if-match", " * "));
    assert_int_equal(fake.command.condition, KV_IF_PRESENT);
    assert_false(ask_if(API_PUT, "/k", "If-None-Match", "*"));
    assert_int_equal(fake.command.condition, KV_IF_ABSENT);
    assert_false(ask_if(API_DELETE, "/kv/k", "IF-MATCH", "\"18446744073709551615\""));
    assert_int_equal(fake.command.condition, KV_IF_MOD_REVISION);
    assert_true(fake.command.mod_revision == UINT64_MAX);
}

static void test_api_failed_condition_is_412_with_the_current_tag(void **state)
{
    (void)state;
    assert_false(ask_if(API_PUT, "/k", "If-Match", "\"17\""));
    result((struct node_result){.outcome = NODE_CONDITION_FAILED, .mod_revision = 20});
    expect_error(412, "condition_failed");
    assert_string_equal(header("ETag"), "\"20\"");
    assert_false(ask_if(API_DELETE, "/kv/k", "If-Match", "*"));
    result((struct node_result){.outcome = NODE_CONDITION_FAILED});
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
        assert_true(ask_if(API_GET, "/k", "If-None-Match", bad[i]));
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

/* ---- members --------------------------------------------------------------------------------- */

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
                                "/18446744073709551616", "/members", "/kv", "/v3/kv/put", "/3%00"};
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

/* ---- paths and methods ----------------------------------------------------------------------- */

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
        if (strcmp(words[i], "kv") == 0)
            continue;
        (void)snprintf(target, sizeof target, "/%s/x", words[i]);
        expect_refusal(API_PUT, target, 400, "reserved");
        expect_refusal(API_GET, target, 404, "not_found");
    }
    expect_refusal(API_PUT, "/he%61lth", 400, "reserved");
    expect_refusal(API_GET, "/metrics", 404, "not_found");
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

/* ---- health ---------------------------------------------------------------------------------- */

static void test_api_health_has_the_exact_shape(void **state)
{
    (void)state;
    assert_true(ask(API_GET, "/health", NULL));
    assert_int_equal(answer.status, 200);
    assert_string_equal(header("Content-Type"), "application/json");
    assert_string_equal(body_text, "{\"health\":\"true\",\"id\":1,\"role\":\"leader\",\"term\":2,"
                                   "\"leader\":1,\"commit\":9,\"applied\":9}\n");
    fake.status.id = UINT64_MAX;
    fake.status.leader = 0;
    fake.status.role = "candidate";
    assert_true(ask(API_GET, "/health?x", NULL));
    assert_int_equal(answer.status, 503);
    assert_string_equal(body_text, "{\"health\":\"false\",\"id\":18446744073709551615,"
                                   "\"role\":\"candidate\",\"term\":2,\"leader\":0,\"commit\":9,"
                                   "\"applied\":9}\n");
    assert_string_equal(header("Retry-After"), "1");
}

static void test_api_readyz_says_why_not(void **state)
{
    (void)state;
    assert_true(ask(API_GET, "/readyz", NULL));
    assert_int_equal(answer.status, 200);
    fake.status.caught_up = false;
    fake.status.reason = "a snapshot is being loaded";
    assert_true(ask(API_GET, "/readyz", NULL));
    expect_error(503, "not_ready");
    assert_non_null(strstr(body_text, "a snapshot is being loaded"));
    fake.status.caught_up = true;
    fake.status.reason = NULL;
    fake.status.leader = 0;
    assert_true(ask(API_HEAD, "/readyz", NULL));
    expect_error(503, "not_ready");
    assert_true(answer.head);
    assert_true(ask(API_GET, "/livez", NULL));
    assert_int_equal(answer.status, 200);
}

static void test_api_status_shows_members_and_progress(void **state)
{
    (void)state;
    struct node_member members[] = {
        {.id = 1, .is_self = true, .name = "n\"1\xff", .peer_address = "a:1",
         .http_address = "a:2"},
        {.id = 2, .learner = true, .name = "", .peer_address = "b:1", .http_address = "",
         .has_progress = true, .connected = true, .ever_heard = true, .heard_ms_ago = 35,
         .progress = {.id = 2, .match = 7, .next = 10, .state = FLOE_PROGRESS_REPLICATE}},
    };
    fake.status.members = members;
    fake.status.member_count = 2;
    assert_true(ask(API_GET, "/status", NULL));
    assert_int_equal(answer.status, 200);
    json_t *json = json_loads(body_text, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "health")), "true");
    json_t *first = json_array_get(json_object_get(json, "members"), 0);
    json_t *second = json_array_get(json_object_get(json, "members"), 1);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "n\"1\xef\xbf\xbd");
    assert_null(json_object_get(first, "progress"));
    assert_string_equal(json_string_value(json_object_get(second, "peer_address")), "b:1");
    assert_int_equal(json_integer_value(json_object_get(second, "last_heard_ms_ago")), 35);
    json_t *progress = json_object_get(second, "progress");
    assert_int_equal(json_integer_value(json_object_get(progress, "match")), 7);
    assert_int_equal(json_integer_value(json_object_get(progress, "next")), 10);
    assert_string_equal(json_string_value(json_object_get(progress, "state")), "StateReplicate");
    json_decref(json);
}

static void test_api_version_names_the_version(void **state)
{
    (void)state;
    assert_true(ask(API_GET, "/version", NULL));
    assert_int_equal(answer.status, 200);
    assert_string_equal(body_text, "{\"floe\":\"0.1.0\",\"api\":1,\"protocol\":1}\n");
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

static void test_api_free_with_requests_under_way_leaks_nothing(void **state)
{
    (void)state;
    struct api_request get = {.method = API_GET, .target = "/k"};
    struct api_request version = {.method = API_GET, .target = "/version"};
    api_handle(api, ++last_token, &get, 0);
    api_handle(api, ++last_token, &version, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_api_put_is_answered_by_the_node_with_tag_and_position),
        TEST(test_api_put_without_body_writes_an_empty_value),
        TEST(test_api_key_is_the_decoded_path_with_any_bytes),
        TEST(test_api_impossible_key_is_refused),
        TEST(test_api_sizes_are_limited_after_decoding),
        TEST(test_api_get_reads_the_store_as_it_is_after_the_barrier),
        TEST(test_api_get_stale_reads_at_once),
        TEST(test_api_get_other_consistency_is_refused),
        TEST(test_api_delete_under_kv_deletes_the_key),
        TEST(test_api_conditions_of_writes_reach_the_node),
        TEST(test_api_failed_condition_is_412_with_the_current_tag),
        TEST(test_api_condition_not_understood_is_refused),
        TEST(test_api_get_conditions_compare_with_the_store),
        TEST(test_api_post_adds_a_member_at_the_canonical_address),
        TEST(test_api_post_bad_address_is_refused),
        TEST(test_api_delete_removes_a_member),
        TEST(test_api_member_path_that_is_no_id_points_to_kv),
        TEST(test_api_member_outcomes_have_their_status),
        TEST(test_api_put_to_a_reserved_word_is_refused_and_works_under_kv),
        TEST(test_api_other_methods_are_405_with_allow),
        TEST(test_api_health_has_the_exact_shape),
        TEST(test_api_readyz_says_why_not),
        TEST(test_api_status_shows_members_and_progress),
        TEST(test_api_version_names_the_version),
        TEST(test_api_member_id_outside_its_range_is_told_the_range),
        TEST(test_api_member_change_tells_its_place_in_the_log),
        TEST(test_api_free_with_requests_under_way_leaks_nothing),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
