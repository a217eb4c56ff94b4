/* etcd's API: watches, over HTTP and WebSockets; locks and elections, which wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "v3_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- watch ----------------------------------------------------------------------------------- */

/* Traps 6, 7: `created` at once, and a message with its line end in one chunk. */
static void test_v3_watch_tells_created_and_events(void **state)
{
    (void)state;
    put("w", "1");
    post("watch", "{'create_request':{'key':'dw=='}}");
    assert_true(head.status == 200 && head.stream && !ended);
    assert_string_equal(body, "<{'result':{" H("2") ",'created':true}}\n>");
    put("w", "2");
    put("other", "x");
    put("w", NULL);
    more();
    assert_string_equal(body,
                        "<{'result':{" H("5") ",'events':[{'kv':" KV(
                            "dw==", "2", "3", "2",
                            "Mg==") "},"
                                    "{'type':'DELETE','kv':{'key':'dw==','mod_revision':'5'}}]}}"
                                    "\n>");
}

static void test_v3_watch_from_the_past_with_previous_values(void **state)
{
    (void)state;
    put("w", "1");
    put("w", "2");
    post("watch", "{'create_request':{'key':'dw==','start_revision':3,'prev_kv':true,"
                  "'watch_id':7}}");
    assert_string_equal(
        body, "<{'result':{" H("3") ",'watch_id':'7','created':true}}\n>"
                                    "<{'result':{" H("3") ",'watch_id':'7','events':[{'kv':" KV(
                                        "dw==", "2", "3", "2",
                                        "Mg==") ",'prev_kv':" KV("dw==", "2", "2", "1",
                                                                 "MQ==") "}]}}\n>");
}

static void test_v3_watch_of_what_is_compacted_is_canceled(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        put("w", "1");
    kv_node_compact(4);
    post("watch", "{'create_request':{'key':'dw==','start_revision':2}}");
    assert_string_equal(body, "<{'result':{" H("6") ",'created':true}}\n>"
                                                    "<{'result':{" H0
                                                    ",'canceled':true,'compact_revision':'4'}}\n>");
    assert_false(ended);
}

static void test_v3_watches_of_one_stream(void **state)
{
    (void)state;
    post("watch", "{'create_request':{'key':'YQ==','watch_id':5}}{'create_request':{'key':'Yg=='}}"
                  "{'create_request':{'key':'Yw==','watch_id':5}}{'cancel_request':{'watch_id':9}}"
                  "{'create_request':{'key':'Yg==','range_end':'YQ=='}}"
                  "{'cancel_request':{'watch_id':'5'}}{'progress_request':{}}");
    assert_string_equal(
        body,
        "<{'result':{" H(
            "1") ",'watch_id':'5','created':true}}\n>"
                 "<{'result':{" H(
                     "1") ",'created':true}}\n>"
                          "<{'result':{" H(
                              "1") ",'watch_id':'-1','created':true,'canceled':true,"
                                   "'cancel_reason':'mvcc: duplicate watch ID provided on the "
                                   "WatchStream'}}\n>"
                                   "<{'result':{" H(
                                       "1") ",'watch_id':'-1','created':true,'canceled':true,"
                                            "'cancel_reason':'mvcc: watcher range is empty'}}\n>"
                                            "<{'result':{" H(
                                                "1") ",'watch_id':'5','canceled':true}}\n>"
                                                     "<{'result':{" H("1") ",'watch_id':'-1'}}\n>");
    put("a", "1");
    put("b", "1");
    more();
    assert_string_equal(body, "<{'result':{" H("3") ",'events':[{'kv':" KV("Yg==", "3", "3", "1",
                                                                           "MQ==") "}]}}\n>");
}

static void test_v3_watch_filters(void **state)
{
    (void)state;
    post("watch", "{'create_request':{'key':'YQ==','filters':['NOPUT']}}"
                  "{'create_request':{'key':'YQ==','filters':[1]}}"
                  "{'create_request':{'key':'YQ==','filters':[0,1]}}");
    put("a", "1");
    put("a", NULL);
    more();
    assert_non_null(strstr(body, "{'result':{" H("3") ",'events':[{'type':'DELETE','kv':{'key':"
                                                      "'YQ==','mod_revision':'3'}}]}}\n"));
    assert_non_null(strstr(
        body, ",'watch_id':'1','events':[{'kv':" KV("YQ==", "2", "2", "1", "MQ==") "}]}}\n"));
    assert_null(strstr(body, "'watch_id':'2'"));
}

/* Trap 19: what asks for nothing is answered by nothing, and stays open. */
static void test_v3_watch_that_asks_for_nothing_is_silent(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "{}",
                                        "{}{}",
                                        "{'nonsense':1}",
                                        "{'create_request':null}",
                                        "{'cancel_request':{'watch_id':3}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        post("watch", texts[i]);
        assert_string_equal(body, "");
        assert_false(ended);
        api_stream_gone(api, token);
    }
    post("watch", "{'create_request':{'key':'**'}}");
    assert_int_equal(head.status, 500);
    assert_string_equal(body, ERR("2", "illegal base64 data"));
    post("watch", "nonsense");
    assert_int_equal(head.status, 500);
}

static void test_v3_streams_end_when_the_member_stops(void **state)
{
    (void)state;
    post("watch", "{'create_request':{'key':'YQ=='}}");
    kv_node.life = NODE_STOPPED;
    more();
    assert_true(ended);
    assert_string_equal(body, "<{'error':{'grpc_code':14,'http_code':503,'message':'etcdserver: "
                              "server stopped','http_status':'Service Unavailable'}}>");
}

/* Trap 23. */
static void say(const char *json)
{
    char *text = strdup(json);
    quotes(text, '\'', '"');
    body[0] = '\0';
    assert_true(api_stream_input(api, token, (const uint8_t *)text, strlen(text), now_ms));
    free(text);
    turn();
}

static void open_socket(const char *path)
{
    struct api_header upgrade = {"Upgrade", "websocket"};
    send_request(API_GET, path, NULL, 0, &upgrade, 1);
    assert_true(head.status == 101 && head.socket);
}

/* As etcd, which reads all texts as one row of values. */
static void test_v3_websocket_takes_a_value_in_several_texts(void **state)
{
    (void)state;
    open_socket("/v3/watch");
    say("{'create_request':{'key':");
    assert_string_equal(body, "");
    say("'YQ=='}}{'progress_request'");
    assert_string_equal(body, "<{'result':{" H("1") ",'created':true}}>");
    say(":{}}");
    assert_string_equal(body, "<{'result':{" H("1") ",'watch_id':'-1'}}>");
    static char half[(64 << 10) + 2];
    memset(half, ' ', sizeof half - 1);
    half[0] = '{';
    say(half); /* no more than that */
    assert_string_equal(body, "<{'error':{'grpc_code':2,'http_code':500,'message':'unexpected EOF',"
                              "'http_status':'Internal Server Error'}}>");
    open_socket("/v3/lease/keepalive");
    say("{'ID':");
    assert_string_equal(body, "");
    say("'5'}");
    assert_string_equal(body, "<{'result':{" H("1") ",'ID':'5'}}>");
}

static void test_v3_watch_tells_progress_before_there_is_a_watcher(void **state)
{
    (void)state;
    post("watch", "{'progressRequest':{}}{'create_request':{'key':'YQ=='}}");
    assert_string_equal(body, "<{'result':{" H("1") ",'watch_id':'-1'}}\n>"
                                                    "<{'result':{" H("1") ",'created':true}}\n>");
}

static void test_v3_observer_is_not_confused_by_another_text(void **state)
{
    (void)state;
    post("lease/grant", "{'TTL':60,'ID':1}");
    open_socket("/v3/election/observe");
    say("{'name':'ZQ=='}");
    say("{'name':'Zg=='}");
    uint64_t socket = token;
    post("election/campaign", "{'name':'ZQ==','lease':1,'value':'MQ=='}");
    token = socket;
    assert_non_null(strstr(body, "'kv':{'key':'ZS8x'"));
}

static void test_v3_websocket_watch(void **state)
{
    (void)state;
    open_socket("/v3/watch");
    say("{'create_request':{'key':'YQ==','watch_id':11}}");
    assert_string_equal(body, "<{'result':{" H("1") ",'watch_id':'11','created':true}}>");
    put("a", "1");
    more();
    assert_string_equal(body, "<{'result':{" H("2") ",'watch_id':'11','events':[{'kv':" KV(
                                  "YQ==", "2", "2", "1", "MQ==") "}]}}>");
    say("{'progress_request':{}}");
    assert_string_equal(body, "<{'result':{" H("2") ",'watch_id':'-1'}}>");
    say("{'cancel_request':{'watch_id':11}}");
    assert_string_equal(body, "<{'result':{" H("2") ",'watch_id':'11','canceled':true}}>");
    api_stream_gone(api, token);
    open_socket("/v3/kv/put");
    say("{'key':'YQ==','value':'Mg=='}");
    assert_string_equal(body, "<{" H("3") "}>");
    assert_true(ended);
    open_socket("/v3/kv/range");
    say("{}");
    assert_string_equal(body, "<" ERR("3", "etcdserver: key is not provided") ">");
}

/* How many texts are taken of a client that does not read. */
static size_t takes_without_reading(const char *path, const char *text, size_t most)
{
    size_t count = 0;
    open_socket(path);
    while (count < most &&
           api_stream_input(api, token, (const uint8_t *)text, strlen(text), now_ms))
        count++;
    api_stream_gone(api, token);
    return count;
}

static void test_v3_websocket_client_that_sends_and_does_not_read_is_bounded(void **state)
{
    (void)state;
    static const char refused[] = "{\"create_request\":{\"key\":\"Yg==\",\"range_end\":\"YQ==\"}}";
    static char padded[100000];
    memset(padded, ' ', sizeof padded - 1);
    memcpy(padded, "{\"ID\":\"5\"}", 10);
    size_t notices = takes_without_reading("/v3/watch", refused, 1000000);
    assert_true(notices > 1000 && notices < (4u << 20) / 150);
    size_t texts = takes_without_reading("/v3/lease/keepalive", padded, 1000000);
    assert_true(texts > 10 && texts <= (4u << 20) / sizeof padded + 1);
    open_socket("/v3/lease/keepalive"); /* who reads may go on */
    for (size_t i = 0; i < 3 * texts; i++) {
        assert_true(
            api_stream_input(api, token, (const uint8_t *)padded, sizeof padded - 1, now_ms));
        body[0] = '\0';
        turn();
        assert_non_null(strstr(body, "'ID':'5'"));
    }
}

static void test_v3_watch_body_makes_no_more_notices_than_are_kept(void **state)
{
    (void)state;
    static const char refused[] = "{\"create_request\":{\"key\":\"Yg==\",\"range_end\":\"YQ==\"}}";
    struct buf text = {0};
    for (size_t i = 0; i < 100000; i++)
        buf_add(&text, refused, sizeof refused - 1);
    struct evbuffer *in = evbuffer_new();
    assert_int_equal(evbuffer_add(in, text.data, text.len), 0);
    struct api_request request = {.method = API_POST, .target = "/v3/watch", .body = in};
    api_handle(api, ++token, &request, now_ms);
    evbuffer_free(in);
    buf_deinit(&text);
    struct api_response response;
    assert_true(api_next_response(api, &response, now_ms));
    api_response_deinit(&response);
    size_t bytes = 0;
    struct api_chunk chunk;
    while (api_next_chunk(api, &chunk, now_ms)) {
        bytes += evbuffer_get_length(chunk.data);
        evbuffer_free(chunk.data);
        api_stream_unsent(api, token, 0);
    }
    assert_true(bytes > (1u << 20) && bytes < (4u << 20) + 1000);
}

/* ---- locks and elections --------------------------------------------------------------------- */

static void test_v3_lock_waits_for_its_turn(void **state)
{
    (void)state;
    post("lease/grant", "{'TTL':60,'ID':1}");
    post("lease/grant", "{'TTL':60,'ID':2}");
    post("lock/lock", "{'name':'bA==','lease':1}");
    assert_string_equal(body, "{" H("2") ",'key':'bC8x'}"); /* l/1 */
    post("lock/lock", "{'name':'bA==','lease':1}");
    assert_string_equal(body, "{" H("2") ",'key':'bC8x'}");
    post("lock/lock", "{'name':'bA==','lease':'2'}");
    assert_string_equal(body, "");
    put("unrelated", "x");
    more();
    assert_string_equal(body, "");
    post("lock/unlock", "{'key':'bC8x'}");
    assert_string_equal(body, "{" H("5") "}");
    assert_string_equal(other, "{" H("5") ",'key':'bC8y'}");
    static const struct row rows[] = {
        {"lock/unlock", "{'key':'bC8y'}", 200, "{" H("6") "}"},
        {"lock/unlock", "{'key':'bC8y'}", 200, "{" H("6") "}"},
        {"lock/unlock", "", 500, ERR("2", "etcdserver: key is not provided")},
        {"lock/lock", "{'name':'bA==','lease':99}", 500,
         ERR("2", "etcdserver: requested lease not found")},
        {"lock/lock", "{'name':'bA=='}", 200, "{" H("7") ",'key':'bC80ZA=='}"}, /* l/4d */
        {"lease/timetolive", "{'ID':77}", 200,
         "{" H("7") ",'ID':'77','TTL':'60','grantedTTL':'60'}"},
    };
    RUN(rows);
}

static void test_v3_lock_whose_lease_ends_while_it_waits_is_refused(void **state)
{
    (void)state;
    post("lease/grant", "{'TTL':60,'ID':1}");
    post("lease/grant", "{'TTL':60,'ID':2}");
    post("lock/lock", "{'name':'bA==','lease':1}");
    post("lock/lock", "{'name':'bA==','lease':2}");
    assert_string_equal(body, "");
    post("lease/revoke", "{'ID':2}");
    assert_int_equal(head.status, 200);
    assert_int_equal(other_status, 500);
    assert_string_equal(other, ERR("2", "mutex: session is expired"));
}

/* A lease that the call has made itself is renewed while it waits. */
static void test_v3_lock_renews_a_lease_of_its_own(void **state)
{
    (void)state;
    post("lease/grant", "{'TTL':60,'ID':1}");
    post("lock/lock", "{'name':'bA==','lease':1}");
    post("lock/lock", "{'name':'bA=='}");
    kv_node.last_call = "";
    now_ms += 20000;
    more();
    assert_string_equal(kv_node.last_call, "renew");
    assert_true(kv_node.last_id == 77);
    post("lock/unlock", "{'key':'bC8x'}");
    assert_string_equal(other, "{" H("4") ",'key':'bC80ZA=='}");
}

/* The client of an earlier request goes; what it is answered. */
static void go(uint64_t of)
{
    assert_true(api_wants_gone(api, of));
    api_gone(api, of, now_ms);
    assert_false(api_wants_gone(api, of));
    other[0] = '\0';
    more();
}

static void test_v3_who_waits_and_goes_leaves_the_queue(void **state)
{
    (void)state;
    for (int id = 1; id <= 3; id++) {
        char grant[40];
        (void)snprintf(grant, sizeof grant, "{'TTL':60,'ID':%d}", id);
        post("lease/grant", grant);
    }
    post("lock/lock", "{'name':'bA==','lease':1}");
    assert_false(api_wants_gone(api, token)); /* it has its answer */
    post("lock/lock", "{'name':'bA==','lease':2}");
    uint64_t gone = token;
    post("lock/lock", "{'name':'bA==','lease':3}");
    go(gone);
    assert_string_equal(body, ""); /* the lock is held */
    assert_int_equal(other_status, 408);
    assert_string_equal(other, ERR("1", "context canceled"));
    post("lock/unlock", "{'key':'bC8x'}"); /* 2 to 4 were the three, 5 the one who went */
    assert_string_equal(body, "{" H("6") "}");
    assert_string_equal(other, "{" H("6") ",'key':'bC8z'}");
}

static void test_v3_who_goes_takes_a_lease_of_its_own_along(void **state)
{
    (void)state;
    post("lease/grant", "{'TTL':60,'ID':1}");
    post("lock/lock", "{'name':'bA==','lease':1}");
    post("lock/lock", "{'name':'bA=='}");
    go(token);
    post("lease/leases", "{}");
    assert_string_equal(body, "{" H("4") ",'leases':[{'ID':'1'}]}");
}

/* Without a leader it is tried again, until it is done. */
static void test_v3_who_goes_leaves_when_the_node_can(void **state)
{
    (void)state;
    post("lease/grant", "{'TTL':60,'ID':1}");
    post("lease/grant", "{'TTL':60,'ID':2}");
    post("election/campaign", "{'name':'ZQ==','lease':1,'value':'MQ=='}");
    post("election/campaign", "{'name':'ZQ==','lease':2,'value':'Mg=='}");
    uint64_t gone = token;
    kv_node.outcome = NODE_UNKNOWN;
    api_gone(api, gone, now_ms);
    kv_node.outcome = NODE_OK;
    more();
    post("election/resign", "{'leader':{'key':'ZS8x','rev':'2','lease':'1'}}");
    post("election/leader", "{'name':'ZQ=='}");
    assert_string_equal(body, ERR("2", "election: no leader"));
}

static void test_v3_election(void **state)
{
    (void)state;
    static const struct row first[] = {
        {"lease/grant", "{'TTL':60,'ID':1}", 200, "{" H("1") ",'ID':'1','TTL':'60'}"},
        {"lease/grant", "{'TTL':60,'ID':2}", 200, "{" H("1") ",'ID':'2','TTL':'60'}"},
        {"election/leader", "{'name':'ZQ=='}", 500, ERR("2", "election: no leader")},
        {"election/campaign", "{'name':'ZQ==','lease':1,'value':'MQ=='}", 200,
         "{" H("2") ",'leader':{'name':'ZQ==','key':'ZS8x','rev':'2','lease':'1'}}"},
        {"election/campaign", "{'name':'ZQ==','lease':1,'value':'Mg=='}", 200,
         "{" H("2") ",'leader':{'name':'ZQ==','key':'ZS8x','rev':'2','lease':'1'}}"},
        {"election/leader", "{'name':'ZQ=='}", 200,
         "{" H("3") ",'kv':{'key':'ZS8x','create_revision':'2','mod_revision':'3','version':'2',"
                    "'value':'Mg==','lease':'1'}}"},
        {"election/proclaim", "{'leader':{'key':'ZS8x','rev':'2','lease':'1'},'value':'Mw=='}", 200,
         "{" H("4") "}"},
        {"election/proclaim", "{'leader':{'key':'ZS8x','rev':'9','lease':'1'},'value':'Mw=='}", 500,
         ERR("2", "election: not leader")},
        {"election/proclaim", "{}", 500, ERR("2", "\\'leader\\' field must be provided")},
        {"election/resign", "{}", 500, ERR("2", "\\'leader\\' field must be provided")},
    };
    RUN(first);
    post("election/observe", "{'name':'ZQ=='}");
    assert_string_equal(
        body, "<{'result':{" H("4") ",'kv':{'key':'ZS8x','create_revision':'2','mod_revision':"
                                    "'4','version':'3','value':'Mw==','lease':'1'}}}\n>");
    post("election/campaign", "{'name':'ZQ==','lease':2,'value':'eA=='}");
    assert_string_equal(body, "");
    post("election/resign", "{'leader':{'key':'ZS8x','rev':'2','lease':'1'}}");
    assert_non_null(strstr(body, "'kv':{'key':'ZS8y','create_revision':'5','mod_revision':'5',"
                                 "'version':'1','value':'eA==','lease':'2'}}}\n>"));
    post("election/resign", "{'leader':{'key':'ZS8x','rev':'2','lease':'1'}}");
    assert_string_equal(body, "{" H("6") "}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_v3_watch_tells_created_and_events),
        TEST(test_v3_watch_from_the_past_with_previous_values),
        TEST(test_v3_watch_of_what_is_compacted_is_canceled),
        TEST(test_v3_watches_of_one_stream),
        TEST(test_v3_watch_filters),
        TEST(test_v3_watch_that_asks_for_nothing_is_silent),
        TEST(test_v3_streams_end_when_the_member_stops),
        TEST(test_v3_websocket_watch),
        TEST(test_v3_websocket_client_that_sends_and_does_not_read_is_bounded),
        TEST(test_v3_watch_body_makes_no_more_notices_than_are_kept),
        TEST(test_v3_websocket_takes_a_value_in_several_texts),
        TEST(test_v3_watch_tells_progress_before_there_is_a_watcher),
        TEST(test_v3_observer_is_not_confused_by_another_text),
        TEST(test_v3_lock_waits_for_its_turn),
        TEST(test_v3_lock_whose_lease_ends_while_it_waits_is_refused),
        TEST(test_v3_lock_renews_a_lease_of_its_own),
        TEST(test_v3_who_waits_and_goes_leaves_the_queue),
        TEST(test_v3_who_goes_takes_a_lease_of_its_own_along),
        TEST(test_v3_who_goes_leaves_when_the_node_can),
        TEST(test_v3_election),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
