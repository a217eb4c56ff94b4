/*
 * etcd's API: ranges, puts, deletes and transactions. Each table runs in one store from its first
 * row to its last. The numbers of traps are those of the list that clients of the gateway taught.
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

static void test_v3_range_put_and_delete_answer_as_etcd(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* trap 5: nothing found is nothing but the header; trap 18: no body */
        {"kv/range", "{'key':'YQ=='}", 200, "{" H("1") "}"},
        {"kv/range", "", 400, ERR("3", "etcdserver: key is not provided")},
        {"kv/range", "{'range_end':'AA=='}", 400, ERR("3", "etcdserver: key is not provided")},
        /* trap 15: the header's revision of a write is the write's */
        {"kv/put", "{'key':'YQ==','value':'MQ=='}", 200, "{" H("2") "}"},
        {"kv/put", "{'key':'YQ==','value':'Mg==','prev_kv':true}", 200,
         "{" H("3") ",'prev_kv':" KV("YQ==", "2", "2", "1", "MQ==") "}"},
        {"kv/put", "{'key':'Yg==','value':'Mw=='}", 200, "{" H("4") "}"},
        {"kv/put", "{'key':'Yw==','value':'NA=='}", 200, "{" H("5") "}"},
        /* trap 11: count is before the limit and before the filters */
        {"kv/range", "{'key':'YQ==','range_end':'eg==','limit':2}", 200,
         "{" H("5") ",'kvs':[" KV("YQ==", "2", "3", "2", "Mg==") "," KV(
             "Yg==", "4", "4", "1", "Mw==") "],'more':true,'count':'3'}"},
        {"kv/range", "{'key':'YQ==','range_end':'eg==','min_mod_revision':'5'}", 200,
         "{" H("5") ",'kvs':[" KV("Yw==", "5", "5", "1", "NA==") "],'count':'3'}"},
        {"kv/range", "{'key':'YQ==','range_end':'eg==','count_only':true,'limit':1}", 200,
         "{" H("5") ",'count':'3'}"},
        {"kv/range", "{'key':'Yg==','keys_only':true,'serializable':true}", 200,
         "{" H("5") ",'kvs':[{'key':'Yg==','create_revision':'4','mod_revision':'4',"
                    "'version':'1'}],'count':'1'}"},
        {"kv/range", "{'key':'YQ==','revision':2}", 200,
         "{" H("5") ",'kvs':[" KV("YQ==", "2", "2", "1", "MQ==") "],'count':'1'}"},
        {"kv/range", "{'key':'YQ==','revision':9}", 400,
         ERR("11", "etcdserver: mvcc: required revision is a future revision")},
        {"kv/range", "{'key':'Yg==','range_end':'YQ=='}", 200, "{" H("5") "}"},
        {"kv/range", "{'key':'AA==','range_end':'AA==','count_only':true}", 200,
         "{" H("5") ",'count':'3'}"},
        {"kv/range",
         "{'key':'YQ==','range_end':'eg==','sort_order':2,'sort_target':'MOD','limit':'1'}", 200,
         "{" H("5") ",'kvs':[" KV("Yw==", "5", "5", "1", "NA==") "],'more':true,'count':'3'}"},
        /* a target without an order, and a limit: cut by key, then sorted */
        {"kv/range", "{'key':'YQ==','range_end':'eg==','sort_target':'VERSION','limit':1}", 200,
         "{" H("5") ",'kvs':[" KV("Yg==", "4", "4", "1", "Mw==") "],'more':true,'count':'3'}"},
        {"kv/put", "{'key':'YQ==','value':'eA==','ignore_value':true}", 400,
         ERR("3", "etcdserver: value is provided")},
        {"kv/put", "{'key':'YQ==','lease':3,'ignore_lease':true}", 400,
         ERR("3", "etcdserver: lease is provided")},
        {"kv/put", "{'key':'eA==','ignore_value':true}", 400,
         ERR("3", "etcdserver: key not found")},
        {"kv/put", "{'key':'eA==','value':'MQ==','lease':99}", 404,
         ERR("5", "etcdserver: requested lease not found")},
        {"kv/put", "{'value':'MQ=='}", 400, ERR("3", "etcdserver: key is not provided")},
        /* trap 5 and 15: nothing deleted, no revision */
        {"kv/deleterange", "{'key':'eA=='}", 200, "{" H("5") "}"},
        {"kv/deleterange", "{'key':'YQ==','range_end':'Yw==','prev_kv':true}", 200,
         "{" H("6") ",'deleted':'2','prev_kvs':[" KV("YQ==", "2", "3", "2", "Mg==") "," KV(
             "Yg==", "4", "4", "1", "Mw==") "]}"},
        {"kv/compaction", "{'revision':'5'}", 200, "{" H("6") "}"},
        {"kv/compaction", "{'revision':'5'}", 400,
         ERR("11", "etcdserver: mvcc: required revision has been compacted")},
        {"kv/compaction", "{}", 400,
         ERR("11", "etcdserver: mvcc: required revision has been compacted")},
        {"kv/compaction", "{'revision':7,'physical':true}", 400,
         ERR("11", "etcdserver: mvcc: required revision is a future revision")},
        {"kv/range", "{'key':'YQ==','revision':4}", 400,
         ERR("11", "etcdserver: mvcc: required revision has been compacted")},
    };
    RUN(rows);
    assert_string_equal(head.type, "application/json");
}

#define FAULTY "{'request_put':{'key':'YQ==','value':'eA==','ignore_value':true}}"

static void test_v3_txn_answers_as_etcd(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"kv/txn", "", 200, "{" H("1") ",'succeeded':true}"},
        /* trap 8: a compare that is nothing but a key means version equal 0 */
        {"kv/txn",
         "{'compare':[{'key':'YQ=='}],'success':[{'request_put':{'key':'YQ==','value':'MQ=='}},"
         "{'request_range':{'key':'YQ=='}}]}",
         200,
         "{" H("2") ",'succeeded':true,'responses':[{'response_put':{" IN(
             "2") "}},{'response_range':{" IN("2") ",'kvs':[" KV("YQ==", "2", "2", "1",
                                                                 "MQ==") "],"
                                                                         "'count':'1'}}]}"},
        {"kv/txn", "{'compare':[{'key':'YQ=='}]}", 200, "{" H("2") "}"},
        {"kv/txn", "{'compare':[{'key':'YQ==','target':'CREATE','create_revision':'2'}]}", 200,
         "{" H("2") ",'succeeded':true}"},
        /* trap 9: the value of a missing key compares as false, whatever is asked */
        {"kv/txn", "{'compare':[{'key':'eA==','target':'VALUE','value':'MQ=='}]}", 200,
         "{" H("2") "}"},
        {"kv/txn",
         "{'compare':[{'key':'eA==','target':'VALUE','result':'NOT_EQUAL','value':'MQ=='}]}", 200,
         "{" H("2") "}"},
        {"kv/txn", "{'compare':[{'key':'eA==','target':'MOD','result':'LESS','mod_revision':1}]}",
         200, "{" H("2") ",'succeeded':true}"},
        /* numbers that the store does not have */
        {"kv/txn", "{'compare':[{'key':'YQ==','result':'GREATER','version':-1}]}", 200,
         "{" H("2") ",'succeeded':true}"},
        {"kv/txn", "{'compare':[{'key':'YQ==','result':'LESS','version':-1}]}", 200,
         "{" H("2") "}"},
        {"kv/txn", "{'compare':[{'key':'YQ==','target':9}]}", 200, "{" H("2") ",'succeeded':true}"},
        {"kv/txn", "{'compare':[{'key':'YQ==','result':9,'version':5}]}", 200,
         "{" H("2") ",'succeeded':true}"},
        /* trap 10: nested compares see the state before; trap 16: all at one revision */
        {"kv/txn",
         "{'success':[{'request_put':{'key':'Yg==','value':'MQ=='}},{'request_txn':{'compare':"
         "[{'key':'Yg=='}],'success':[{'request_delete_range':{'key':'YQ==','prev_kv':true}}]}}]}",
         200,
         "{" H("3") ",'succeeded':true,'responses':[{'response_put':{" IN(
             "3") "}},{'response_txn':{'header':{},'succeeded':true,'responses':["
                  "{'response_delete_range':{" IN("3") ",'deleted':'1','prev_kvs':[" KV(
                      "YQ==", "2", "2", "1", "MQ==") "]}}]}}]}"},
        {"kv/txn", "{'success':[{}]}", 400, ERR("3", "etcdserver: key not found")},
        {"kv/txn", "{'success':[{'request_put':{}}]}", 400,
         ERR("3", "etcdserver: key is not provided")},
        {"kv/txn", "{'compare':[{}]}", 400, ERR("3", "etcdserver: key is not provided")},
        {"kv/txn",
         "{'success':[{'request_put':{'key':'YQ=='}},{'request_delete_range':{'key':'YQ=='}}]}",
         400, ERR("3", "etcdserver: duplicate key given in txn request")},
        /* trap 16: refused as a whole, by the state machine, and nothing was written */
        {"kv/txn",
         "{'success':[{'request_put':{'key':'YQ=='}},"
         "{'request_range':{'key':'YQ==','revision':99}}]}",
         400, ERR("11", "etcdserver: mvcc: required revision is a future revision")},
        {"kv/txn", "{'success':[{'request_put':{'key':'YQ==','lease':5}}]}", 404,
         ERR("5", "etcdserver: requested lease not found")},
        {"kv/range", "{'key':'YQ=='}", 200, "{" H("3") "}"},
    };
    RUN(rows);
}

static void test_v3_txn_with_two_faults_tells_the_first(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"kv/txn",
         "{'success':[{}],'failure':[" FAULTY "]}",
         400, ERR("3", "etcdserver: key not found")},
        {"kv/txn",
         "{'success':[" FAULTY "],'failure':[{}]}",
         400, ERR("3", "etcdserver: value is provided")},
        {"kv/txn",
         "{'success':[{'request_txn':{'success':[{}]}}],'failure':[" FAULTY "]}",
         400, ERR("3", "etcdserver: key not found")},
        {"kv/txn",
         "{'success':[{'request_txn':{'failure':[" FAULTY "]}},{'request_range':{}}]}",
         400, ERR("3", "etcdserver: value is provided")},
    };
    RUN(rows);
}

static void test_v3_txn_with_too_many_operations_is_refused(void **state)
{
    (void)state;
    for (size_t count = 128; count < 130; count++) {
        char text[8192] = "{'success':[";
        for (size_t i = 0; i < count; i++)
            (void)strcat(text, "{'request_range':{'key':'YQ=='}},");
        text[strlen(text) - 1] = '\0';
        (void)strcat(text, "]}");
        post("kv/txn", text);
        assert_int_equal(head.status, count == 128 ? 200 : 400);
    }
    assert_string_equal(body, ERR("3", "etcdserver: too many operations in txn request"));
    struct {
        char text[4096];
    } deep = {""};
    for (size_t i = 0; i < 12; i++)
        (void)strcat(deep.text, "{'success':[{'request_txn':");
    (void)strcat(deep.text, "{}");
    for (size_t i = 0; i < 12; i++)
        (void)strcat(deep.text, "}]}");
    post("kv/txn", deep.text);
    assert_int_equal(head.status, 400);
}

#define TEXT_MAX (4U << 20)

static void put_of_size(size_t value_len)
{
    char *text = malloc(TEXT_MAX);
    int at = sprintf(text, "{\"key\":\"YWJj\",\"value\":\"");
    size_t digits = (value_len + 2) / 3 * 4;
    memset(text + at, 'A', digits);
    for (size_t i = 0; i < (3 - value_len % 3) % 3; i++)
        text[(size_t)at + digits - 1 - i] = '=';
    memcpy(text + (size_t)at + digits, "\"}", 3);
    send_request(API_POST, "/v3/kv/put", text, strlen(text), NULL, 0);
    free(text);
}

static void test_v3_size_is_that_of_protobuf(void **state)
{
    (void)state;
    put_of_size(1572764);
    assert_int_equal(head.status, 200);
    put_of_size(1572844);
    assert_int_equal(head.status, 400);
    assert_string_equal(body, ERR("3", "etcdserver: request is too large"));
    put_of_size(2097152);
    assert_int_equal(head.status, 429);
    assert_string_equal(body, ERR("8", "grpc: received message larger than max (2097162 vs. "
                                       "2097152)"));
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static bool ends_with(const char *text, const char *tail)
{
    return strlen(text) >= strlen(tail) && strcmp(text + strlen(text) - strlen(tail), tail) == 0;
}

/* Ranges of thousands of keys are walked in slices, with the same answers. */
static void test_v3_large_range_answers_as_a_small_one(void **state)
{
    (void)state;
    char key[16];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(key, sizeof key, "k%04d", i);
        put(key, "v");
    }
    post("kv/range", "{'key':'aw==','range_end':'bA==','limit':2500,'keys_only':true}");
    assert_int_equal(head.status, 200);
    assert_true(count_of(body, "{'key':") == 2500);
    assert_true(ends_with(body, "'mod_revision':'2501','version':'1'}],'more':true,"
                                "'count':'3000'}"));
    post("kv/range", "{'key':'aw==','range_end':'bA==','sort_order':'DESCEND'}");
    assert_true(count_of(body, "{'key':") == 3000);
    assert_true(ends_with(body, KV("azAwMDA=", "2", "2", "1", "dg==") "],'count':'3000'}"));
    post("kv/range", "{'key':'aw==','range_end':'bA==','revision':2999,'min_mod_revision':2998}");
    assert_string_equal(body,
                        "{" H("3001") ",'kvs':[" KV("azI5OTY=", "2998", "2998", "1", "dg==") "," KV(
                            "azI5OTc=", "2999", "2999", "1", "dg==") "],'count':'2998'}");
    post("kv/range", "{'key':'aw==','range_end':'bA==','revision':2999,'count_only':true}");
    assert_string_equal(body, "{" H("3001") ",'count':'2998'}");
    post("kv/range", "{'key':'aw==','range_end':'bA==','sort_order':'DESCEND','sort_target':'MOD',"
                     "'limit':1}");
    assert_string_equal(
        body, "{" H("3001") ",'kvs':[" KV("azI5OTk=", "3001", "3001", "1", "dg==") "],'more':true,"
                            "'count':'3000'}");
    post("kv/range",
         "{'key':'aw==','range_end':'bA==','sort_order':'ASCEND','sort_target':'VALUE'}");
    assert_true(count_of(body, "{'key':") == 3000);
    assert_true(ends_with(body, KV("azI5OTk=", "3001", "3001", "1", "dg==") "],'count':'3000'}"));
    post("kv/range", "{'key':'aw==','range_end':'bA==','revision':4000}");
    assert_int_equal(head.status, 400);
    post("kv/put", "{'key':'YQ=='}"); /* the next call is not disturbed */
    assert_string_equal(body, "{" H("3002") "}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_v3_range_put_and_delete_answer_as_etcd),
        TEST(test_v3_txn_answers_as_etcd),
        TEST(test_v3_txn_with_two_faults_tells_the_first),
        TEST(test_v3_txn_with_too_many_operations_is_refused),
        TEST(test_v3_size_is_that_of_protobuf),
        TEST(test_v3_large_range_answers_as_a_small_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
