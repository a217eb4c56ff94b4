/* Requests over a real store: what is streamed and how much of it, bulk writes that break off, and
 * what reaches the node. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/internal.h"
#include "base/mem.h"
#include "kv_node.h"

#include <stdio.h>
#include <string.h>

static struct api *api;
static uint64_t token;
static uint64_t now_ms;
static struct api_response answer;
static struct buf body; /* of the answer, or what has been streamed */
static bool ended;      /* the stream */

static int begin(void **state)
{
    (void)state;
    kv_node_reset();
    api = api_new(KV_NODE, &(struct api_limits){.key_bytes = 64, .value_bytes = 1000}, NULL);
    answer = (struct api_response){0};
    token = 0;
    now_ms = 5000;
    return 0;
}

static int end(void **state)
{
    (void)state;
    api_response_deinit(&answer);
    buf_deinit(&body);
    api_free(api);
    kv_node_reset();
    kv_free(kv_node.kv);
    kv_node.kv = NULL;
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void take(struct evbuffer *data)
{
    size_t len = evbuffer_get_length(data);
    (void)evbuffer_remove(data, buf_reserve(&body, len), len);
    body.len += len;
}

static void hand_in(enum api_method method, const char *target, const char *text,
                    const struct api_header *header)
{
    struct evbuffer *in = evbuffer_new();
    (void)evbuffer_add(in, text, strlen(text));
    struct api_request request = {.method = method,
                                  .target = target,
                                  .headers = header,
                                  .header_count = header != NULL ? 1 : 0,
                                  .body = in};
    api_handle(api, ++token, &request, now_ms);
    evbuffer_free(in);
}

static void ask_with(enum api_method method, const char *target, const char *text,
                     const struct api_header *header)
{
    api_response_deinit(&answer);
    buf_clear(&body);
    ended = false;
    hand_in(method, target, text, header);
    assert_true(api_next_response(api, &answer, now_ms));
    assert_true(answer.token == token);
    if (answer.body != NULL)
        take(answer.body);
}

static void ask(enum api_method method, const char *target, const char *text)
{
    ask_with(method, target, text, NULL);
}

/* Takes chunks of the last request as long as there are some; unsent is told after each. */
static size_t chunks(size_t unsent)
{
    struct api_chunk chunk;
    size_t count = 0;
    while (api_next_chunk(api, &chunk, now_ms)) {
        assert_true(chunk.token == token && !ended);
        take(chunk.data);
        evbuffer_free(chunk.data);
        ended = chunk.last;
        count++;
        if (!chunk.last && unsent != SIZE_MAX)
            api_stream_unsent(api, chunk.token, unsent);
    }
    return count;
}

static void expect(const char *part)
{
    if (strstr(buf_str(&body), part) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", part, buf_str(&body));
}

static const struct api_header lines = {"Accept", "application/x-ndjson"};

/* ---- listings -------------------------------------------------------------------------------- */

static void put_many(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "k%06zu", i);
        (void)kv_node_put(key, "some value that has fifty bytes, more or less, OK");
    }
}

static size_t count_lines(void)
{
    size_t count = 0;
    for (const char *at = buf_str(&body); (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

static void test_rest_listing_stops_while_its_client_has_no_room(void **state)
{
    (void)state;
    put_many(10000);
    ask_with(API_GET, "/kv/?prefix=k", "", &lines);
    assert_int_equal(answer.status, 200);
    assert_true(answer.stream && answer.body == NULL);
    assert_true(chunks(SIZE_MAX) > 0); /* nobody takes anything */
    size_t before = body.len;
    assert_true(before < 3 * API_STREAM_BYTES / 2 && !ended);
    (void)kv_node_put("k000000", "changed"); /* too late for it */
    api_stream_unsent(api, token, API_STREAM_BYTES);
    assert_true(chunks(SIZE_MAX) == 0);
    while (!ended) {
        api_stream_unsent(api, token, 0);
        assert_true(chunks(0) > 0 || api_next_deadline_ms(api) == 0);
    }
    assert_true(count_lines() == 10001);
    expect("\"count\":10000,\"more\":false}\n");
    assert_null(strstr(buf_str(&body), "changed"));
}

static void test_rest_listing_whose_client_has_gone_ends(void **state)
{
    (void)state;
    put_many(5000);
    ask(API_GET, "/kv/?prefix=", "");
    struct api_chunk chunk;
    assert_true(api_next_chunk(api, &chunk, now_ms));
    evbuffer_free(chunk.data);
    api_stream_gone(api, token);
    assert_true(chunks(0) == 0);
    api_stream_unsent(api, token, 0); /* late: nothing */
}

static void test_rest_listing_outlives_compaction(void **state)
{
    (void)state;
    put_many(5000);
    ask_with(API_GET, "/kv/?prefix=k", "", &lines);
    (void)chunks(SIZE_MAX);
    assert_false(ended);
    kv_node_compact(kv_node_put("x", "y"));
    while (!ended) {
        api_stream_unsent(api, token, 0);
        (void)chunks(0);
    }
    expect("\"count\":5000,\"more\":false}\n");
}

static void test_rest_listing_whose_revision_is_freed_says_so(void **state)
{
    (void)state;
    put_many(5000);
    ask_with(API_GET, "/kv/?prefix=k", "", &lines);
    (void)chunks(SIZE_MAX);
    assert_false(ended);
    for (int i = 0; i <= 256 << 10; i++)
        (void)kv_node_put("x", "y");
    kv_node_compact(kv_node_put("x", "y"));
    while (!ended) {
        api_stream_unsent(api, token, 0);
        (void)chunks(0);
    }
    expect("\"more\":true,\"error\":");
    expect("\"code\":\"compacted\"}\n");
}

/* ---- watches --------------------------------------------------------------------------------- */

static void test_rest_watch_is_silent_but_for_heartbeats(void **state)
{
    (void)state;
    ask_with(API_GET, "/kv/a?watch", "", &lines);
    assert_true(answer.stream);
    assert_true(chunks(0) == 1);
    assert_string_equal(buf_str(&body), "{\"type\":\"begin\",\"revision\":1}\n");
    assert_true(api_next_deadline_ms(api) == now_ms + API_STREAM_BEAT_MS);
    now_ms += API_STREAM_BEAT_MS - 1;
    assert_true(chunks(0) == 0);
    (void)kv_node_put("b", "1");
    now_ms += 1;
    assert_true(chunks(0) == 1);
    expect("{\"type\":\"heartbeat\",\"revision\":2}\n");
    (void)kv_node_put("a", "1");
    assert_true(chunks(0) == 1);
    expect("{\"type\":\"put\",\"revision\":3,\"key\":\"a\",\"value\":\"1\",\"create_revision\":3,"
           "\"mod_revision\":3,\"version\":1}\n");
    assert_true(api_next_deadline_ms(api) == now_ms + API_STREAM_BEAT_MS);
}

/* An EventSource takes over ids of what is no event: so it resumes where it really was. */
static void test_rest_watch_has_an_id_from_the_beginning_on(void **state)
{
    (void)state;
    ask(API_GET, "/kv/a?watch", "");
    assert_true(chunks(0) == 1);
    assert_string_equal(buf_str(&body), ": begin 1\nid: 1\n\n");
    (void)kv_node_put("b", "1");
    now_ms += API_STREAM_BEAT_MS;
    assert_true(chunks(0) == 1);
    expect(": heartbeat 2\nid: 2\n\n");
}

static void test_rest_watch_of_a_slow_client_costs_no_more_than_its_room(void **state)
{
    (void)state;
    ask(API_GET, "/kv/?prefix=k&watch", "");
    (void)chunks(SIZE_MAX);
    put_many(5000);
    (void)chunks(SIZE_MAX);
    assert_true(body.len > API_STREAM_BYTES / 2 && body.len < 2 * API_STREAM_BYTES);
    for (int i = 0; i < 1000; i++) {
        api_stream_unsent(api, token, 0);
        if (chunks(0) == 0 && api_next_deadline_ms(api) != 0)
            break;
    }
    expect("\nid: 2\nevent: put\ndata: {");
    expect("\nid: 5001\nevent: put\ndata: {");
    assert_true(count_lines() == 3 + 4 * 5000);
}

static void test_rest_watch_that_falls_behind_is_told_and_ends(void **state)
{
    (void)state;
    ask(API_GET, "/kv/?prefix=k&watch", "");
    (void)chunks(SIZE_MAX);
    put_many(5000);
    (void)chunks(SIZE_MAX);
    kv_node_compact(4000);
    api_stream_unsent(api, token, 0);
    (void)chunks(0);
    assert_true(ended);
    expect("event: compacted\ndata: {\"type\":\"compacted\",\"revision\":4000}\n\n");
}

static void test_rest_watch_from_a_gone_revision_is_refused(void **state)
{
    (void)state;
    put_many(10);
    kv_node_compact(6);
    ask(API_GET, "/kv/k?watch&from_revision=5", "");
    assert_int_equal(answer.status, 410);
    expect("\"code\":\"compacted\"");
    ask_with(API_GET, "/kv/k?watch&from_revision=5", "",
             &(struct api_header){"Last-Event-ID", "5"}); /* which counts more */
    assert_int_equal(answer.status, 200);
    ask_with(API_GET, "/kv/k?watch", "", &(struct api_header){"Last-Event-ID", "x"});
    assert_int_equal(answer.status, 400);
    expect("bad_last_event_id");
}

/* ---- writes ---------------------------------------------------------------------------------- */

static char *many_lines(size_t count)
{
    struct buf text = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "{\"key\":\"b%zu\",\"value\":\"v\"}\n", i);
    (void)buf_str(&text);
    return (char *)text.data;
}

static void test_rest_bulk_goes_in_batches(void **state)
{
    (void)state;
    char *text = many_lines(5000);
    ask(API_POST, "/kv/", text);
    assert_int_equal(answer.status, 200);
    assert_true(kv_node.writes == 3);
    assert_true(count_lines() == 5001);
    expect("{\"line\":1,\"revision\":2}\n");
    expect("{\"line\":5000,\"revision\":5001}\n"
           "{\"applied\":5000,\"failed\":0,\"revision\":5001}\n");
    mem_free(text);
}

static void test_rest_bulk_that_breaks_off_says_where(void **state)
{
    (void)state;
    char *text = many_lines(5000);
    kv_node.outcome = NODE_NOT_DONE;
    ask(API_POST, "/kv/", text);
    assert_int_equal(answer.status, 503);
    kv_node.fail_after = 2; /* the third one */
    kv_node.outcome = NODE_OK;
    ask(API_POST, "/kv/", text);
    assert_int_equal(answer.status, 200);
    assert_true(count_lines() == 4097);
    expect("{\"applied\":4096,\"failed\":0,\"error\":");
    expect("\"code\":\"outcome_unknown\"}\n");
    mem_free(text);
}

static void test_rest_bulk_of_nothing_good(void **state)
{
    (void)state;
    ask(API_POST, "/kv/", "x\n\n[]\n{\"key\":\"a\"}");
    assert_int_equal(answer.status, 200);
    assert_true(kv_node.writes == 0);
    expect("{\"applied\":0,\"failed\":3,\"revision\":1}\n");
    ask(API_POST, "/kv/", "");
    assert_int_equal(answer.status, 400);
}

static const struct api_header load_key = {"Idempotency-Key", "load"};

/* Lines that are right, then as many wrong ones as fill a batch and more. */
static char *right_then_wrong(size_t right, size_t wrong)
{
    struct buf text = {0};
    char *lines_of = many_lines(right);
    buf_add(&text, lines_of, strlen(lines_of));
    for (size_t i = 0; i < wrong; i++)
        buf_printf(&text, "wrong\n");
    mem_free(lines_of);
    (void)buf_str(&text);
    return (char *)text.data;
}

static void test_rest_bulk_with_a_wrong_tail_is_known_by_its_key(void **state)
{
    (void)state;
    static const size_t tails[] = {0, 1, 3000};
    char *text = right_then_wrong(2048, 3000); /* the first batch is full */
    ask_with(API_POST, "/kv/", text, &load_key);
    expect("{\"applied\":2048,\"failed\":3000,\"revision\":2049}\n");
    assert_true(count_lines() == 2048 + 3000 + 1);
    ask(API_GET, "/tx/load", "");
    assert_int_equal(answer.status, 200);
    expect("\"state\":\"committed\"");
    ask_with(API_POST, "/kv/", text, &load_key); /* does nothing, and tells the same */
    expect("{\"line\":2048,\"replayed\":true}\n{\"line\":2049,\"error\":");
    expect("{\"applied\":2048,\"failed\":3000,\"revision\":2049}\n");
    assert_true(kv_revision(kv_node.kv) == 2049);
    mem_free(text);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "t%zu", i);
        struct api_header header = {"Idempotency-Key", name};
        text = right_then_wrong(3, tails[i]);
        ask_with(API_POST, "/kv/", text, &header);
        (void)snprintf(name, sizeof name, "/tx/t%zu", i);
        ask(API_GET, name, "");
        assert_int_equal(answer.status, 200);
        mem_free(text);
    }
}

static void test_rest_bulk_of_nothing_good_leaves_its_key_free(void **state)
{
    (void)state;
    ask_with(API_POST, "/kv/", "wrong\n", &load_key);
    ask(API_GET, "/tx/load", "");
    assert_int_equal(answer.status, 404);
    ask_with(API_POST, "/kv/", "{\"key\":\"a\",\"value\":\"1\"}", &load_key);
    expect("{\"applied\":1,\"failed\":0,\"revision\":2}\n");
}

/* ---- alarms ---------------------------------------------------------------------------------- */

static void test_rest_txn_within_a_txn(void **state)
{
    (void)state;
    ask(API_POST, "/txn",
        "{\"then\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}},"
        "{\"txn\":{\"if\":[{\"key\":\"a\",\"exists\":true}],"
        "\"then\":[{\"put\":{\"key\":\"never\",\"value\":\"\"}}],"
        "\"else\":[{\"put\":{\"key\":\"b\",\"value\":\"2\"}},"
        "{\"txn\":{\"then\":[{\"delete\":{\"prefix\":\"x\"}}]}},{\"txn\":{}}]}},"
        "{\"get\":{\"key\":\"b\"}}]}");
    assert_int_equal(answer.status, 200);
    expect("{\"succeeded\":true,\"revision\":2,\"responses\":[{\"put\":{\"revision\":2}},"
           "{\"txn\":{\"succeeded\":false,\"responses\":[{\"put\":{\"revision\":2}},"
           "{\"txn\":{\"succeeded\":true,\"responses\":[{\"delete\":{\"deleted\":0}}]}},"
           "{\"txn\":{\"succeeded\":true,\"responses\":[]}}]}},"
           "{\"get\":{\"items\":[{\"key\":\"b\",\"value\":\"2\"");
    ask(API_POST, "/txn", "{\"then\":[{\"txn\":{\"than\":[]}}]}");
    assert_int_equal(answer.status, 400);
    ask(API_POST, "/txn", "{\"then\":[{\"txn\":[]}]}");
    assert_int_equal(answer.status, 400);
    expect("an operation is");
    struct buf text = {0};
    for (unsigned depth = 0; depth < 8; depth++) /* with the outermost: nine */
        buf_printf(&text, "{\"then\":[{\"txn\":");
    buf_printf(&text, "{}");
    for (unsigned depth = 0; depth < 8; depth++)
        buf_printf(&text, "}]}");
    ask(API_POST, "/txn", buf_str(&text));
    assert_int_equal(answer.status, 400);
    buf_deinit(&text);
}

static void expect_no_room(enum api_method method, const char *target, const char *text)
{
    ask(method, target, text);
    assert_int_equal(answer.status, 507);
    expect("certainly not done: the alarm NOSPACE is raised");
    expect("\"code\":\"no_room\"");
}

static void test_rest_growth_is_refused_while_no_space_is_raised(void **state)
{
    (void)state;
    struct api_header key = {"Idempotency-Key", "once"};
    put_many(3);
    ask_with(API_PUT, "/kv/once", "1", &key);
    kv_node_alarm(KV_ALARM_NO_SPACE, true);
    size_t writes = kv_node.writes;
    expect_no_room(API_PUT, "/kv/a", "1");
    expect_no_room(API_PUT, "/kv/a?ttl=9", "1");
    expect_no_room(API_POST, "/leases", "{\"ttl\":9}");
    expect_no_room(API_POST, "/txn", "{\"then\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}}]}");
    expect_no_room(API_POST, "/kv/", "{\"key\":\"a\",\"value\":\"1\"}\n");
    assert_true(kv_node.writes == writes);
    ask_with(API_PUT, "/kv/once", "1", &key); /* was done before */
    assert_int_equal(answer.status, 204);
    ask(API_GET, "/kv/once", "");
    assert_int_equal(answer.status, 200);
    ask(API_DELETE, "/kv/once", "");
    assert_int_equal(answer.status, 204);
    ask(API_POST, "/txn", "{\"then\":[{\"delete\":{\"key\":\"a\"}}]}");
    assert_int_equal(answer.status, 200);
    ask(API_POST, "/kv/", "{\"key\":\"k\",\"delete\":true}\n");
    assert_int_equal(answer.status, 200);
    ask(API_DELETE, "/kv/?prefix=k", "");
    assert_int_equal(answer.status, 200);
    kv_node_alarm(KV_ALARM_NO_SPACE, false);
    ask(API_PUT, "/kv/a", "1");
    assert_int_equal(answer.status, 204);
}

static void test_rest_nothing_is_written_while_corrupt_is_raised(void **state)
{
    (void)state;
    put_many(1);
    kv_node_alarm(KV_ALARM_CORRUPT, true);
    ask(API_DELETE, "/kv/?prefix=k", "");
    assert_int_equal(answer.status, 409);
    expect("the alarm CORRUPT is raised");
    ask(API_GET, "/kv/?prefix=k", "");
    assert_int_equal(answer.status, 200);
}

static void test_rest_bulk_stops_where_an_alarm_is_raised(void **state)
{
    (void)state;
    char *text = many_lines(5000);
    kv_node.alarm_after = 2;
    ask(API_POST, "/kv/", text);
    assert_int_equal(answer.status, 200);
    assert_true(kv_node.writes == 2 && count_lines() == 4097);
    expect("{\"applied\":4096,\"failed\":0,");
    expect("\"error\":\"the lines from here on are certainly not done");
    mem_free(text);
}

static void test_rest_leases_are_listed_in_pages(void **state)
{
    (void)state;
    for (int i = 1; i <= 1500; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"ttl\":60,\"id\":%d}", 2 * i);
        ask(API_POST, "/leases", text);
        assert_int_equal(answer.status, 201);
    }
    ask(API_GET, "/leases?limit=2", "");
    assert_string_equal(buf_str(&body),
                        "{\"leases\":[{\"id\":2,\"ttl\":60,\"key_count\":0},"
                        "{\"id\":4,\"ttl\":60,\"key_count\":0}],\"more\":true,\"next\":6}\n");
    ask(API_GET, "/leases", "");
    expect("\"more\":true,\"next\":2002}");
    ask(API_GET, "/leases?from=2999", "");
    assert_string_equal(buf_str(&body),
                        "{\"leases\":[{\"id\":3000,\"ttl\":60,\"key_count\":0}],\"more\":false}\n");
    ask(API_GET, "/leases?from=3001", "");
    assert_string_equal(buf_str(&body), "{\"leases\":[],\"more\":false}\n");
}

static void test_rest_members_reach_the_node(void **state)
{
    (void)state;
    ask(API_POST, "/members", "{\"id\":4,\"peer_url\":\"http://h:9\",\"learner\":true}");
    assert_int_equal(answer.status, 204);
    assert_string_equal(kv_node.last_call, "add");
    assert_true(kv_node.last_id == 4 && kv_node.stay_learner);
    assert_string_equal(kv_node.address, "h:9");
    ask(API_POST, "/members/4/promote", "");
    assert_string_equal(kv_node.last_call, "promote");
    ask(API_PUT, "/members/4", "{\"peer_url\":\"http://h:8\"}");
    assert_string_equal(kv_node.last_call, "update");
    ask(API_DELETE, "/members/5", "");
    assert_string_equal(kv_node.last_call, "remove");
    assert_true(kv_node.last_id == 5);
    ask(API_POST, "/leader", "{\"to\":2}");
    assert_string_equal(kv_node.last_call, "transfer");
    assert_int_equal(answer.status, 200);
    expect("{\"leader\":2}");
    ask(API_POST, "/leader", "{\"to\":\"x\"}");
    assert_int_equal(answer.status, 400);
    ask(API_POST, "/members/4/demote", "");
    assert_int_equal(answer.status, 400); /* as at every path that is none */
}

static void test_rest_events_are_sent_when_something_changes(void **state)
{
    (void)state;
    ask(API_GET, "/events", "");
    assert_true(chunks(0) == 1);
    expect("event: leader\ndata: {\"leader\":1,\"term\":2,\"role\":\"leader\"}\n\n"
           "event: members\n");
    buf_clear(&body);
    now_ms += 100;
    assert_true(chunks(0) == 0);
    kv_node.last_id = 3;
    now_ms += 100;
    assert_true(chunks(0) == 1);
    assert_string_equal(buf_str(&body),
                        "event: leader\ndata: {\"leader\":3,\"term\":2,\"role\":\"leader\"}\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rest_listing_stops_while_its_client_has_no_room),
        TEST(test_rest_listing_whose_client_has_gone_ends),
        TEST(test_rest_listing_outlives_compaction),
        TEST(test_rest_listing_whose_revision_is_freed_says_so),
        TEST(test_rest_watch_is_silent_but_for_heartbeats),
        TEST(test_rest_watch_has_an_id_from_the_beginning_on),
        TEST(test_rest_watch_of_a_slow_client_costs_no_more_than_its_room),
        TEST(test_rest_watch_that_falls_behind_is_told_and_ends),
        TEST(test_rest_watch_from_a_gone_revision_is_refused),
        TEST(test_rest_bulk_goes_in_batches),
        TEST(test_rest_bulk_that_breaks_off_says_where),
        TEST(test_rest_bulk_of_nothing_good),
        TEST(test_rest_bulk_with_a_wrong_tail_is_known_by_its_key),
        TEST(test_rest_bulk_of_nothing_good_leaves_its_key_free),
        TEST(test_rest_growth_is_refused_while_no_space_is_raised),
        TEST(test_rest_nothing_is_written_while_corrupt_is_raised),
        TEST(test_rest_bulk_stops_where_an_alarm_is_raised),
        TEST(test_rest_leases_are_listed_in_pages),
        TEST(test_rest_members_reach_the_node),
        TEST(test_rest_txn_within_a_txn),
        TEST(test_rest_events_are_sent_when_something_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
