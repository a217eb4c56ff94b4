/* What the node says of itself: health, livez, readyz, status, version. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client.h"

#include <jansson.h>
#include <string.h>

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

static void test_api_status_shows_disk_and_chain(void **state)
{
    (void)state;
    assert_true(ask(API_GET, "/status", NULL));
    assert_non_null(strstr(body_text, "\"disk\":{\"state\":\"good\",\"oldest_write_ms\":0,"));
    assert_null(strstr(body_text, "\"chain\"")); /* not known */
    fake.status.disk = NODE_DISK_STUCK;
    fake.status.disk_waits_ms = 2100;
    fake.status.disk_longest_ms = 3000;
    fake.status.disk_late_count = 7;
    fake.status.disk_stuck_count = 2;
    fake.status.room = "no growth";
    fake.status.room_bytes = 512;
    fake.status.room_text = "why";
    fake.status.chain_index = 9;
    fake.status.chain_hash = 0xabc;
    assert_true(ask(API_GET, "/status", NULL));
    assert_non_null(strstr(body_text,
                           "\"disk\":{\"state\":\"stuck\",\"oldest_write_ms\":2100,"
                           "\"longest_write_ms\":3000,\"late_count\":7,\"stuck_count\":2,"
                           "\"room\":\"no growth\",\"reserved_bytes\":512,"
                           "\"refuses_writes\":\"why\"}"));
    assert_non_null(strstr(body_text,
                           "\"chain\":{\"index\":9,\"hash\":\"0000000000000abc\"}"));
}

static void test_api_version_names_the_version(void **state)
{
    (void)state;
    assert_true(ask(API_GET, "/version", NULL));
    assert_int_equal(answer.status, 200);
    assert_string_equal(body_text, "{\"etcdserver\":\"3.4.23\",\"etcdcluster\":\"3.4.0\","
                                   "\"floe\":\"0.1.0\",\"api\":1,\"protocol\":1}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_api_health_has_the_exact_shape),
        TEST(test_api_readyz_says_why_not),
        TEST(test_api_status_shows_members_and_progress),
        TEST(test_api_status_shows_disk_and_chain),
        TEST(test_api_version_names_the_version),
    };
    return cmocka_run_group_tests_name("api health", tests, NULL, NULL);
}
