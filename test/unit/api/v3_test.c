/*
 * etcd's API: requests that are answered once. Each table runs in one store from its first row to
 * its last. The numbers of traps are those of the list that clients of the gateway taught.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "v3_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- leases ---------------------------------------------------------------------------------- */

static void test_v3_leases_answer_as_etcd(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* trap 20: the shortest time is told */
        {"lease/grant", "{'TTL':1}", 200, "{" H("1") ",'ID':'77','TTL':'2'}"},
        {"lease/grant", "{'TTL':'60','ID':'9007199254740993'}", 200,
         "{" H("1") ",'ID':'9007199254740993','TTL':'60'}"},
        {"lease/grant", "{'TTL':60,'ID':9007199254740993}", 412,
         ERR("9", "etcdserver: lease already exists")},
        {"lease/grant", "{'TTL':9000000001}", 400, ERR("11", "etcdserver: too large lease TTL")},
        {"lease/grant", "{'TTL':60,'ID':-7}", 200, "{" H("1") ",'ID':'-7','TTL':'60'}"},
        {"kv/put", "{'key':'YQ==','value':'MQ==','lease':9007199254740993}", 200, "{" H("2") "}"},
        {"lease/timetolive", "{'ID':9007199254740993,'keys':true}", 200,
         "{" H("2") ",'ID':'9007199254740993','TTL':'60','grantedTTL':'60','keys':['YQ==']}"},
        /* trap 2: the other names; trap 1: what is unknown is no error */
        {"kv/lease/timetolive", "{'ID':'-7'}", 200,
         "{" H("2") ",'ID':'-7','TTL':'60','grantedTTL':'60'}"},
        {"kv/lease/timetolive", "{'ID':5}", 200, "{" H("2") ",'ID':'5','TTL':'-1'}"},
        {"lease/timetolive", "", 200, "{" H("2") ",'TTL':'-1'}"},
        {"kv/lease/leases", "", 200,
         "{" H("2") ",'leases':[{'ID':'77'},{'ID':'9007199254740993'},{'ID':'-7'}]}"},
        {"kv/lease/revoke", "{'ID':-7}", 200, "{" H("2") "}"},
        {"lease/revoke", "{'ID':'9007199254740993'}", 200, "{" H("3") "}"},
        {"kv/range", "{'key':'YQ=='}", 200, "{" H("3") "}"},
        {"lease/revoke", "{'ID':'9007199254740993'}", 404,
         ERR("5", "etcdserver: requested lease not found")},
        {"lease/revoke", "{}", 404, ERR("5", "etcdserver: requested lease not found")},
    };
    RUN(rows);
}

/* Traps 1, 6, 22: no TTL for a lease that there is not, a message a chunk, and the end. */
static void test_v3_keepalive_answers_each_value_and_ends(void **state)
{
    (void)state;
    post("lease/grant", "{'TTL':50,'ID':5}");
    post("lease/keepalive", "{'ID':'5'} {'ID':404}\n{'ID':5}");
    assert_true(head.status == 200 && head.stream && ended);
    assert_string_equal(
        body, "<{'result':{" H("1") ",'ID':'5','TTL':'50'}}\n>"
                                    "<{'result':{" H("1") ",'ID':'404'}}\n>"
                                                          "<{'result':{" H(
                                                              "1") ",'ID':'5','TTL':'50'}}\n>");
    post("lease/keepalive", "{'ID':'5'}x");
    assert_string_equal(body, "<{'result':{" H("1") ",'ID':'5','TTL':'50'}}\n>");
    assert_true(ended);
    post("lease/keepalive", "{'ID':");
    assert_int_equal(head.status, 500);
    assert_string_equal(body, ERR("2", "unexpected EOF"));
    kv_node.outcome = NODE_NOT_DONE;
    post("lease/keepalive", "{}"); /* which leaves no leader there, in this node */
    assert_int_equal(head.status, 503);
    assert_string_equal(body, "{'error':{'grpc_code':14,'http_code':503,'message':'etcdserver: "
                              "no leader','http_status':'Service Unavailable'}}");
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void test_v3_cluster_and_maintenance(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* trap 13 */
        {"cluster/member/list", "", 200,
         "{" H0 ",'members':[{'ID':'1','name':'n1','peerURLs':['http://h:1'],'clientURLs':"
         "['http://h:2']}]}"},
        {"cluster/member/remove", "{'ID':12345}", 404, ERR("5", "etcdserver: member not found")},
        {"cluster/member/promote", "{'ID':'1'}", 412,
         ERR("9", "etcdserver: can only promote a learner member")},
        {"cluster/member/add", "{'peerURLs':['127.0.0.1:5']}", 400,
         ERR("3", "etcdserver: given member URLs are invalid")},
        {"cluster/member/add", "{'peerURLs':['http://127.0.0.1']}", 400,
         ERR("3", "etcdserver: given member URLs are invalid")},
        {"cluster/member/add", "{}", 400, ERR("3", "etcdserver: given member URLs are invalid")},
        {"cluster/member/add", "{'peerURLs':['http://h:1']}", 412,
         ERR("9", "etcdserver: Peer URLs already exists")},
        {"cluster/member/update", "{'ID':7,'peerURLs':['http://h:9']}", 404,
         ERR("5", "etcdserver: member not found")},
        /* trap 25: an alarm without a kind */
        {"maintenance/alarm", "", 200, "{}"},
        {"maintenance/alarm", "{'action':'ACTIVATE'}", 400,
         ERR("3", "etcdserver: invalid request")},
        {"maintenance/alarm", "{'action':'DEACTIVATE','alarm':1}", 200, "{}"},
        {"maintenance/defragment", "{}", 200, "{}"},
        {"maintenance/transfer-leadership", "{'targetID':5}", 412,
         ERR("9", "etcdserver: bad leader transferee")},
        {"maintenance/transfer-leadership", "{'targetID':1}", 200, "{}"},
        /* auth is off */
        {"auth/authenticate", "{'name':'root','password':'x'}", 412,
         ERR("9", "etcdserver: authentication is not enabled")},
        {"auth/enable", "", 412, ERR("9", "etcdserver: root user does not exist")},
        {"auth/disable", "", 200, "{" H("1") "}"},
        {"auth/user/list", "", 200, "{" H("1") "}"},
        {"auth/user/get", "{'name':'x'}", 412, ERR("9", "etcdserver: user name not found")},
        {"auth/role/get", "{'role':'x'}", 412, ERR("9", "etcdserver: role name not found")},
    };
    RUN(rows);
    post("cluster/member/add", "{'peerURLs':['http://h:3'],'isLearner':true}");
    assert_int_equal(head.status, 200);
    assert_string_equal(kv_node.last_call, "add");
    assert_true(kv_node.stay_learner && kv_node.last_id == 2);
    assert_string_equal(kv_node.address, "h:3");
}

/* The blobs are lines of KeyValues, the last 32 bytes are their hash; what remains is told. */
static void hash_at(const char *request, char *out, size_t size)
{
    post("maintenance/hashkv", request);
    const char *hash = strstr(body, "'hash':");
    assert_non_null(hash);
    (void)snprintf(out, size, "%s", hash);
}

/* Of a revision it is the same before and after others, and different from theirs. */
static void test_v3_hashkv_is_of_a_revision(void **state)
{
    (void)state;
    char then[200];
    char now[200];
    put("a", "1");
    put("b", "1");
    hash_at("{}", then, sizeof then);
    assert_non_null(strstr(then, "'hash_revision':'3'"));
    post("kv/put", "{'key':'YQ=='}");
    hash_at("{}", now, sizeof now);
    assert_non_null(strstr(now, "'hash_revision':'4'"));
    assert_string_not_equal(now, then);
    hash_at("{'revision':'3'}", now, sizeof now);
    assert_string_equal(now, then);
    post("maintenance/hashkv", "{'revision':'5'}");
    assert_string_equal(body,
                        ERR("11", "etcdserver: mvcc: required revision is a future revision"));
    post("kv/compaction", "{'revision':'3'}");
    post("maintenance/hashkv", "{'revision':'2'}");
    assert_string_equal(body, ERR("11", "etcdserver: mvcc: required revision has been compacted"));
}

static void test_v3_snapshot_ends_with_its_hash(void **state)
{
    (void)state;
    put("a", "1");
    post("maintenance/snapshot", "");
    assert_true(ended);
    static const char first[] =
        "<{'result':{'remaining_bytes':'32','blob':'"
        "eyJrZXkiOiJZUT09IiwiY3JlYXRlX3JldmlzaW9uIjoiMiIsIm1vZF9yZXZpc2lvbiI6IjIiLCJ2ZXJzaW9uIjoi"
        "MSIsInZhbHVlIjoiTVE9PSJ9Cg=='}}\n>";
    assert_memory_equal(body, first, sizeof first - 1);
    assert_string_equal(body + sizeof first - 1,
                        "<{'result':{'blob':'NvFdC+h+Cwm0e7OMmyQeAG/m1EmIeLzsyHiPOPtPcm8='}}\n>");
}

/* Traps 12 and 24 are in the tables: 412 for code 9; each answer leaves the next request alone. */
static void test_v3_paths_methods_and_tokens(void **state)
{
    (void)state;
    static const struct {
        enum api_method method;
        const char *path;
        int status;
    } rows[] = {
        {API_POST, "/v3/nothing", 404},
        {API_POST, "/v3/kv/put/", 404},
        {API_POST, "/v3/KV/range", 404},
        {API_GET, "/v3/kv/range", 405},
        {API_PUT, "/v3/kv/put", 405},
        {API_OPTIONS, "/v3/kv/put", 200},
        {API_OTHER, "/v3/kv/put", 405},
        {API_OTHER, "/v3/nothing", 404},
        {API_POST, "/v3beta/lease/leases", 200},
        {API_POST, "/v3alpha/lease/leases", 200},
        {API_POST, "/v3/lease/%6ceases?x=1", 200},
        {API_POST, "/v3/kv/lease/keepalive", 404},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        send_request(rows[i].method, rows[i].path, NULL, 0, NULL, 0);
        assert_int_equal(head.status, rows[i].status);
    }
    static const char text[] = "{\"key\":\"YQ==\"}";
    struct api_header wrong = {"Authorization", "Bearer x.y"};
    send_request(API_POST, "/v3/kv/put", text, sizeof text - 1, &wrong, 1);
    assert_int_equal(head.status, 401);
    assert_string_equal(body, ERR("16", "etcdserver: invalid auth token"));
    wrong.name = "grpc-metadata-token";
    send_request(API_POST, "/v3/kv/range", text, sizeof text - 1, &wrong, 1);
    assert_int_equal(head.status, 401);
}

static void test_v3_no_leader_and_too_much_are_told(void **state)
{
    (void)state;
#define DEADLINE ERR("2", "context deadline exceeded")
#define TIMED_OUT ERR("14", "etcdserver: request timed out")
    static const struct {
        enum node_outcome outcome;
        floe_id leader;
        int put_status;
        int range_status;
        const char *put_answer;
        const char *range_answer;
    } rows[] = {
        {NODE_NOT_DONE, 0, 500, 503, DEADLINE, TIMED_OUT},
        {NODE_NOT_DONE, 1, 503, 503, TIMED_OUT, TIMED_OUT},
        {NODE_UNKNOWN, 1, 500, 503, DEADLINE, TIMED_OUT},
        {NODE_OVERLOADED, 1, 429, 429, ERR("8", "etcdserver: too many requests"),
         ERR("8", "etcdserver: too many requests")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kv_node.outcome = rows[i].outcome;
        kv_node.last_id = rows[i].leader;
        post("kv/put", "{'key':'YQ=='}");
        assert_int_equal(head.status, rows[i].put_status);
        assert_string_equal(body, rows[i].put_answer);
        post("lease/grant", "{'TTL':60}");
        assert_string_equal(body, rows[i].put_answer);
        post("kv/range", "{'key':'YQ=='}");
        assert_int_equal(head.status, rows[i].range_status);
        assert_string_equal(body, rows[i].range_answer);
        post("kv/txn", "{'success':[{'request_range':{'key':'YQ=='}}]}");
        assert_string_equal(body, rows[i].range_answer);
        post("kv/range", "{'key':'YQ==','serializable':true}");
        assert_int_equal(head.status, 200);
    }
}

static void test_v3_alarms(void **state)
{
    (void)state;
#define NO_SPACE ERR("8", "etcdserver: mvcc: database space exceeded")
#define ALARMS "{'alarms':[{'memberID':'7','alarm':'NOSPACE'}]}"
    static const struct row rows[] = {
        {"kv/put", "{'key':'YQ==','value':'MQ=='}", 200, "{" H("2") "}"},
        {"lease/grant", "{'TTL':60,'ID':1}", 200, "{" H("2") ",'ID':'1','TTL':'60'}"},
        {"maintenance/alarm", "{'action':'ACTIVATE','memberID':7}", 400,
         ERR("3", "etcdserver: invalid request")},
        {"maintenance/alarm", "{'action':'DEACTIVATE','memberID':7,'alarm':'NOSPACE'}", 200, "{}"},
        {"maintenance/alarm", "{'action':'ACTIVATE','memberID':7,'alarm':'NOSPACE'}", 200, ALARMS},
        {"maintenance/alarm", "{}", 200, ALARMS},
        {"maintenance/alarm", "{'alarm':'CORRUPT'}", 200, "{}"},
        {"kv/put", "{'key':'YQ==','value':'Mg=='}", 429, NO_SPACE},
        {"kv/txn", "{'success':[{'request_put':{'key':'YQ=='}}]}", 429, NO_SPACE},
        {"kv/txn", "{'failure':[{'request_put':{'key':'YQ=='}}]}", 429, NO_SPACE},
        {"lease/grant", "{'TTL':60}", 429, NO_SPACE},
        {"lock/lock", "{'name':'bA=='}", 429, NO_SPACE},
        {"kv/txn", "{'success':[{'request_delete_range':{'key':'eA=='}}]}", 200,
         "{" H("2") ",'succeeded':true,'responses':[{'response_delete_range':{" IN("2") "}}]}"},
        {"kv/deleterange", "{'key':'YQ=='}", 200, "{" H("3") ",'deleted':'1'}"},
        {"lease/revoke", "{'ID':1}", 200, "{" H("3") "}"},
        {"maintenance/alarm", "{'action':'ACTIVATE','memberID':8,'alarm':'CORRUPT'}", 200,
         "{'alarms':[{'memberID':'8','alarm':'CORRUPT'}]}"},
        {"kv/deleterange", "{'key':'YQ=='}", 500, ERR("15", "etcdserver: corrupt cluster")},
        {"kv/range", "{'key':'YQ=='}", 200, "{" H("3") "}"},
    };
    RUN(rows);
    post("maintenance/status", "");
    assert_non_null(strstr(body, "'errors':['memberID:7 alarm:NOSPACE ','memberID:8 "
                                 "alarm:CORRUPT ']"));
    send_request(API_GET, "/health", NULL, 0, NULL, 0);
    assert_int_equal(head.status, 503);
    static const struct row after[] = {
        {"maintenance/alarm", "{'action':'DEACTIVATE','memberID':8,'alarm':2}", 200,
         "{'alarms':[{'memberID':'8','alarm':'CORRUPT'}]}"},
        {"maintenance/alarm", "{'action':'DEACTIVATE','memberID':7,'alarm':1}", 200, ALARMS},
        {"maintenance/alarm", "{}", 200, "{}"},
        {"kv/put", "{'key':'YQ==','value':'Mg=='}", 200, "{" H("4") "}"},
    };
    RUN(after);
    send_request(API_GET, "/health", NULL, 0, NULL, 0);
    assert_int_equal(head.status, 200);
    kv_node.room = "no growth"; /* of this member itself, which is 1 */
    kv_node.outcome = NODE_NO_ROOM;
    static const struct row own[] = {
        {"maintenance/alarm", "{}", 200, "{'alarms':[{'memberID':'1','alarm':'NOSPACE'}]}"},
        {"kv/put", "{'key':'YQ==','value':'Mg=='}", 429, NO_SPACE},
    };
    RUN(own);
}

/* They need no log entry; all of them serializable, not even a leader. */
static void test_v3_txn_of_reads_only(void **state)
{
    (void)state;
#define SERIAL(key) "{'request_range':{'key':'" key "','serializable':true}}"
    put("a", "1");
    put("b", "2");
    size_t writes = kv_node.writes;
    static const struct row rows[] = {
        {"kv/txn",
         "{'compare':[{'key':'YQ==','target':'CREATE','create_revision':2}],'success':["
         "{'request_range':{'key':'YQ=='}},{'request_range':{'key':'Yg==','revision':2}}]}",
         200,
         "{" H("3") ",'succeeded':true,'responses':[{'response_range':{" IN("3") ",'kvs':[" KV(
             "YQ==", "2", "2", "1", "MQ==") "],'count':'1'}},{'response_range':{" IN("3") "}}]}"},
        {"kv/txn", "{'success':[{'request_range':{'key':'YQ==','revision':9}}]}", 400,
         ERR("11", "etcdserver: mvcc: required revision is a future revision")},
        {"kv/txn", "{'success':[{'request_range':{}}]}", 400,
         ERR("3", "etcdserver: key is not provided")},
    };
    RUN(rows);
    assert_int_equal(kv_node.writes, writes);
    kv_node.outcome = NODE_NOT_DONE;
    static const struct row alone[] = {
        {"kv/txn",
         "{'compare':[{'key':'YQ==','target':'CREATE'}],'success':[" SERIAL(
             "YQ==") "],'failure':"
                     "[" SERIAL("Yg==") "]}",
         200,
         "{" H("3") ",'responses':[{'response_range':{" IN("3") ",'kvs':[" KV(
             "Yg==", "3", "3", "1", "Mg==") "],'count':'1'}}]}"},
        {"kv/txn", "{'success':[" SERIAL("YQ==") ",{'request_range':{'key':'YQ=='}}]}", 503,
         TIMED_OUT},
        {"kv/txn", "{'success':[{'request_txn':{'success':[" SERIAL("YQ==") "]}}]}", 500, DEADLINE},
    };
    RUN(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_v3_leases_answer_as_etcd),
        TEST(test_v3_keepalive_answers_each_value_and_ends),
        TEST(test_v3_cluster_and_maintenance),
        TEST(test_v3_hashkv_is_of_a_revision),
        TEST(test_v3_snapshot_ends_with_its_hash),
        TEST(test_v3_paths_methods_and_tokens),
        TEST(test_v3_no_leader_and_too_much_are_told),
        TEST(test_v3_alarms),
        TEST(test_v3_txn_of_reads_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
