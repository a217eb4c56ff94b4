/*
 * The table of messages and what it drives: each row reads a JSON text and says what is written
 * back (which shows every field that was read), or that it is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/v3_codec.h"
#include "base/mem.h"

#include <string.h>

#define RANGE &v3_message_range_request
#define PUT &v3_message_put_request
#define TXN &v3_message_txn_request
#define WATCH &v3_message_watch_request

/* Reads text and writes it again; NULL: refused. Owned by caller. */
static char *again(const struct v3_message *message, const char *text, size_t len, size_t *used)
{
    struct v3_arena arena = {0};
    struct buf out = {0};
    void *read = NULL;
    char why[V3_WHY_BYTES] = "";
    char *written = NULL;
    enum err err = v3_decode(message, text, len, used, &arena, &read, why);
    if (err == ERR_OK) {
        v3_encode(&out, message, read);
        written = mem_strdup(buf_str(&out));
    } else if (err == ERR_INVALID) {
        assert_true(strlen(why) > 0); /* it says why */
    }
    buf_deinit(&out);
    v3_arena_deinit(&arena);
    return written;
}

struct row {
    const struct v3_message *message;
    const char *text;
    const char *want; /* NULL: refused */
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t used = 0;
        char *got = again(rows[i].message, rows[i].text, strlen(rows[i].text), &used);
        if ((got == NULL) != (rows[i].want == NULL) ||
            (got != NULL && strcmp(got, rows[i].want) != 0))
            fail_msg("%s\ngives %s\nnot   %s", rows[i].text, got != NULL ? got : "(refused)",
                     rows[i].want != NULL ? rows[i].want : "(refused)");
        mem_free(got);
    }
}
#define CHECK(rows) check(rows, sizeof rows / sizeof *rows)

/* Trap 4: whole numbers both ways, exact beyond 2^53. */
static void test_numbers_as_numbers_and_strings_are_exact(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {RANGE, "{\"limit\":1}", "{\"limit\":\"1\"}"},
        {RANGE, "{\"limit\":\"1\"}", "{\"limit\":\"1\"}"},
        {RANGE, "{\"limit\":\" 1\"}", "{\"limit\":\"1\"}"},
        {RANGE, "{\"limit\":-1}", "{\"limit\":\"-1\"}"},
        {RANGE, "{\"limit\":0}", "{}"},
        {RANGE, "{\"limit\":-0}", "{}"},
        {RANGE, "{\"limit\":\"0\"}", "{}"},
        {RANGE, "{\"limit\":null}", "{}"},
        {RANGE, "{\"limit\":\"null\"}", "{}"},
        {RANGE, "{\"limit\":9007199254740993}", "{\"limit\":\"9007199254740993\"}"},
        {RANGE, "{\"limit\":9223372036854775807}", "{\"limit\":\"9223372036854775807\"}"},
        {RANGE, "{\"limit\":\"9223372036854775807\"}", "{\"limit\":\"9223372036854775807\"}"},
        {RANGE, "{\"limit\":-9223372036854775808}", "{\"limit\":\"-9223372036854775808\"}"},
        {RANGE, "{\"limit\":9223372036854775808}", NULL},
        {RANGE, "{\"limit\":-9223372036854775809}", NULL},
        {RANGE, "{\"limit\":99999999999999999999999}", NULL},
        {RANGE, "{\"limit\":1.5}", NULL},
        {RANGE, "{\"limit\":1.0}", NULL},
        {RANGE, "{\"limit\":1e1}", NULL},
        {RANGE, "{\"limit\":\"1.0\"}", NULL},
        {RANGE, "{\"limit\":\"x\"}", NULL},
        {RANGE, "{\"limit\":\"\"}", NULL},
        {RANGE, "{\"limit\":\"+1\"}", NULL},
        {RANGE, "{\"limit\":\"01\"}", NULL},
        {RANGE, "{\"limit\":\"-\"}", NULL},
        {RANGE, "{\"limit\":true}", NULL},
        {RANGE, "{\"limit\":[]}", NULL},
        {RANGE, "{\"limit\":{}}", NULL},
        {&v3_message_member_request, "{\"ID\":18446744073709551615}",
         "{\"ID\":\"18446744073709551615\"}"},
        {&v3_message_member_request, "{\"ID\":\"18446744073709551615\"}",
         "{\"ID\":\"18446744073709551615\"}"},
        {&v3_message_member_request, "{\"ID\":18446744073709551616}", NULL},
        {&v3_message_member_request, "{\"ID\":-1}", NULL},
        /* a number that is too long for others must not spoil the rest */
        {RANGE, "{\"x\":123456789012345678901234567890,\"limit\":7}", "{\"limit\":\"7\"}"},
        {RANGE, "{\"limit\":[12345678901234567890]}", NULL},
    };
    CHECK(rows);
}

static void test_bytes_are_strict_base64(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {RANGE, "{\"key\":\"\"}", "{}"},
        {RANGE, "{\"key\":\"YQ==\"}", "{\"key\":\"YQ==\"}"},
        {RANGE, "{\"key\":\"YWI=\"}", "{\"key\":\"YWI=\"}"},
        {RANGE, "{\"key\":\"YWJj\"}", "{\"key\":\"YWJj\"}"},
        {RANGE, "{\"key\":\"YWJjZA==\"}", "{\"key\":\"YWJjZA==\"}"},
        {RANGE, "{\"key\":\"+//+\"}", "{\"key\":\"+//+\"}"},
        {RANGE, "{\"key\":\"AA==\"}", "{\"key\":\"AA==\"}"},
        {RANGE, "{\"key\":\"YR==\"}", "{\"key\":\"YQ==\"}"},
        {RANGE, "{\"key\":[]}", "{}"},
        {RANGE, "{\"key\":null}", "{}"},
        /* trap 17: escapes inside */
        {RANGE, "{\"key\":\"+\\/\\/+\"}", "{\"key\":\"+//+\"}"},
        {RANGE, "{\"key\":\"\\u0059Q==\"}", "{\"key\":\"YQ==\"}"},
        {RANGE, "{\"\\u006bey\":\"YQ==\"}", "{\"key\":\"YQ==\"}"},
        {RANGE, "{\"key\":\"-__-\"}", NULL},
        {RANGE, "{\"key\":\"YQ\"}", NULL},
        {RANGE, "{\"key\":\"YQ=\"}", NULL},
        {RANGE, "{\"key\":\"Y\"}", NULL},
        {RANGE, "{\"key\":\"Y===\"}", NULL},
        {RANGE, "{\"key\":\"====\"}", NULL},
        {RANGE, "{\"key\":\"YQ==YQ==\"}", NULL},
        {RANGE, "{\"key\":\"YQ=x\"}", NULL},
        {RANGE, "{\"key\":\"Y Q==\"}", NULL},
        {RANGE, "{\"key\":\" YQ==\"}", NULL},
        {RANGE, "{\"key\":\"*\"}", NULL},
        {RANGE, "{\"key\":\"YQ==\\u0000\"}", NULL},
        {RANGE, "{\"key\":\"\xc3\xa9\"}", NULL},
        {RANGE, "{\"key\":1}", NULL},
        {RANGE, "{\"key\":true}", NULL},
        {RANGE, "{\"key\":{}}", NULL},
        /* lists of numbers, which Go reads too */
        {RANGE, "{\"key\":[97,0,255,null]}", "{\"key\":\"YQD/AA==\"}"},
        {RANGE, "{\"key\":[256]}", NULL},
        {RANGE, "{\"key\":[-1]}", NULL},
        {RANGE, "{\"key\":[1.5]}", NULL},
        {RANGE, "{\"key\":[\"a\"]}", NULL},
    };
    CHECK(rows);
}

static void test_enumerations_by_name_and_number(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {RANGE, "{\"sort_order\":\"DESCEND\",\"sort_target\":\"MOD\"}",
         "{\"sort_order\":\"DESCEND\",\"sort_target\":\"MOD\"}"},
        {RANGE, "{\"sort_order\":1,\"sort_target\":4}",
         "{\"sort_order\":\"ASCEND\",\"sort_target\":\"VALUE\"}"},
        {RANGE, "{\"sort_order\":\"NONE\"}", "{}"},
        {RANGE, "{\"sort_order\":0}", "{}"},
        {RANGE, "{\"sort_order\":9}", "{\"sort_order\":9}"}, /* not known: kept as it is */
        {RANGE, "{\"sort_order\":-9}", "{\"sort_order\":-9}"},
        {RANGE, "{\"sort_order\":\"NOPE\"}", NULL},
        {RANGE, "{\"sort_order\":\"ascend\"}", NULL},
        {RANGE, "{\"sort_order\":\"1\"}", NULL},
        {RANGE, "{\"sort_order\":1.0}", NULL},
        {RANGE, "{\"sort_order\":4294967296}", NULL},
        {RANGE, "{\"sort_order\":true}", NULL},
        {RANGE, "{\"sort_order\":{}}", NULL},
        {WATCH, "{\"create_request\":{\"filters\":[\"NODELETE\",0]}}",
         "{\"create_request\":{\"filters\":[\"NODELETE\",\"NOPUT\"]}}"},
        {WATCH, "{\"create_request\":{\"filters\":[]}}", "{\"create_request\":{}}"},
        {WATCH, "{\"create_request\":{\"filters\":[null]}}",
         "{\"create_request\":{\"filters\":[\"NOPUT\"]}}"},
        {WATCH, "{\"create_request\":{\"filters\":\"NOPUT\"}}", NULL},
    };
    CHECK(rows);
}

static void test_names_both_ways_and_unknown_ones(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {RANGE, "{\"rangeEnd\":\"YQ==\",\"minModRevision\":\"1\",\"keysOnly\":true}",
         "{\"range_end\":\"YQ==\",\"keys_only\":true,\"min_mod_revision\":\"1\"}"},
        {RANGE, "{\"range_end\":\"YQ==\",\"rangeEnd\":\"Yg==\"}", "{\"range_end\":\"Yg==\"}"},
        {RANGE, "{\"rangeEnd\":\"Yg==\",\"range_end\":\"YQ==\"}", "{\"range_end\":\"Yg==\"}"},
        {RANGE, "{\"Key\":\"YQ==\",\"RangeEnd\":\"Yg==\",\"count-only\":true}", "{}"},
        {RANGE, "{\"unknown\":{\"deep\":[1,{\"x\":null}]},\"key\":\"YQ==\"}", "{\"key\":\"YQ==\"}"},
        {RANGE, "{\"key\":\"YQ==\",\"key\":\"Yg==\"}", "{\"key\":\"Yg==\"}"},
        {&v3_message_lease_grant_request, "{\"TTL\":5,\"ID\":\"7\"}",
         "{\"TTL\":\"5\",\"ID\":\"7\"}"},
        {&v3_message_lease_grant_request, "{\"ttl\":5,\"id\":\"7\"}", "{}"},
        {TXN, "{\"compare\":[{\"key\":\"YQ==\",\"createRevision\":3,\"target\":\"CREATE\"}]}",
         "{\"compare\":[{\"target\":\"CREATE\",\"key\":\"YQ==\",\"create_revision\":\"3\"}]}"},
        {TXN, "{\"success\":[{\"requestTxn\":{\"success\":[{\"requestRange\":{}}]}}]}",
         "{\"success\":[{\"request_txn\":{\"success\":[{\"request_range\":{}}]}}]}"},
        {&v3_message_member_add_request,
         "{\"peerURLs\":[\"http://a:1\",\"http://b:2\"],\"isLearner\":true}",
         "{\"peerURLs\":[\"http://a:1\",\"http://b:2\"],\"isLearner\":true}"},
    };
    CHECK(rows);
}

static void test_forms_of_the_text(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {RANGE, "{}", "{}"},
        {RANGE, "null", "{}"},
        {RANGE, " \t\r\n{\"limit\":1}\n", "{\"limit\":\"1\"}"},
        {RANGE, "{\"limit\":1}x", "{\"limit\":\"1\"}"}, /* the rest is another value's */
        {RANGE, "{\"limit\":1}{\"limit\":2}", "{\"limit\":\"1\"}"},
        {RANGE, "{\"a\":\"\\u0000\",\"limit\":1}", "{\"limit\":\"1\"}"},
        {RANGE, "{\"a\":\"\\ud800\",\"limit\":1}", "{\"limit\":\"1\"}"},
        {RANGE, "{\"a\":\"\xff\xfe\\\"\",\"limit\":1}", "{\"limit\":\"1\"}"},
        {RANGE, "{\"a\":\"}]\",\"limit\":1}", "{\"limit\":\"1\"}"},
        {RANGE, "{\"a\":\"\\\\\",\"limit\":1}", "{\"limit\":\"1\"}"},
        {RANGE, "[]", NULL},
        {RANGE, "[{}]", NULL},
        {RANGE, "1", NULL},
        {RANGE, "\"x\"", NULL},
        {RANGE, "true", NULL},
        {RANGE, "nonsense", NULL},
        {RANGE, "nul", NULL},
        {RANGE, "{", NULL},
        {RANGE, "{\"limit\":1", NULL},
        {RANGE, "{\"limit\":1]", NULL},
        {RANGE, "{\"limit\":1,}", NULL},
        {RANGE, "{'limit':1}", NULL},
        {RANGE, "{\"a\":NaN}", NULL},
        {RANGE, "{\"a\":\"\n\"}", NULL},
        {RANGE, "{\"a\":\"\\x\"}", NULL},
        {RANGE, "{\"a\":01}", NULL},
        {RANGE, "\xef\xbb\xbf{}", NULL},
        {RANGE, "{\"count_only\":true}", "{\"count_only\":true}"},
        {RANGE, "{\"count_only\":false}", "{}"},
        {RANGE, "{\"count_only\":\"true\"}", NULL},
        {RANGE, "{\"count_only\":1}", NULL},
        {WATCH, "{\"create_request\":null}", "{}"},
        {WATCH, "{\"create_request\":{}}", "{\"create_request\":{}}"},
        {WATCH, "{\"create_request\":\"x\"}", NULL},
        {WATCH, "{\"create_request\":[]}", NULL},
        {TXN, "{\"compare\":[],\"success\":null}", "{}"},
        {TXN, "{\"compare\":[null]}", NULL},
        {TXN, "{\"compare\":{}}", NULL},
        {TXN, "{\"success\":[{},{\"request_put\":{}},{\"request_x\":{}}]}",
         "{\"success\":[{},{\"request_put\":{}},{}]}"},
        {&v3_message_auth_name_request, "{\"name\":\"a\\u00e9\"}", "{\"name\":\"a\xc3\xa9\"}"},
        {&v3_message_auth_name_request, "{\"name\":1}", NULL},
        {&v3_message_auth_name_request, "{\"name\":\"a\\u0000b\"}", NULL},
    };
    CHECK(rows);
}

static void test_values_back_to_back_are_read_one_by_one(void **state)
{
    (void)state;
    const char *text = " {\"limit\":1}{\"a\":\"}\"}\n\n{\"limit\":3} ";
    static const char *const want[] = {"{\"limit\":\"1\"}", "{}", "{\"limit\":\"3\"}"};
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        size_t used = 0;
        char *got = again(RANGE, text + at, strlen(text) - at, &used);
        assert_non_null(got);
        assert_string_equal(got, want[i]);
        mem_free(got);
        at += used;
    }
    struct v3_arena arena = {0};
    void *read;
    char why[V3_WHY_BYTES];
    size_t used;
    assert_int_equal(v3_decode(RANGE, text + at, strlen(text) - at, &used, &arena, &read, why),
                     ERR_SHORT);
    assert_int_equal(v3_decode(RANGE, "", 0, &used, &arena, &read, why), ERR_SHORT);
    v3_arena_deinit(&arena);
}

/* Every prefix and every byte changed: refused or read, nothing worse (the sanitizers watch). */
static void test_damaged_text_is_refused_or_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"compare\":[{\"key\":\"YQ==\",\"target\":3,\"value\":\"\\u0059Q==\"}],\"success\":"
        "[{\"request_put\":{\"key\":\"YQ==\",\"lease\":9223372036854775808,\"prev_kv\":true}}]}";
    char copy[sizeof text];
    size_t used;
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        mem_free(again(TXN, text, i, &used));
        for (unsigned c = 0; c < 256; c++) {
            memcpy(copy, text, sizeof text);
            copy[i] = (char)c;
            mem_free(again(TXN, copy, sizeof text - 1, &used));
        }
    }
}

static void nested(struct buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        buf_printf(out, "{\"success\":[{\"request_txn\":");
    buf_printf(out, "{}");
    for (size_t i = 0; i < depth; i++)
        buf_printf(out, "}]}");
}

static void test_depth_and_number_of_objects_are_bounded(void **state)
{
    (void)state;
    static const struct {
        size_t depth;
        bool good;
    } rows[] = {{20, true}, {31, true}, {33, false}, {500, false}, {3000, false}};
    size_t used;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf text = {0};
        nested(&text, rows[i].depth);
        char *got = again(TXN, (const char *)text.data, text.len, &used);
        assert_true((got != NULL) == rows[i].good);
        mem_free(got);
        buf_deinit(&text);
    }
    struct buf text = {0};
    buf_printf(&text, "{\"success\":[");
    for (size_t i = 0; i < 200000; i++)
        buf_printf(&text, "{},");
    buf_printf(&text, "{}]}");
    assert_null(again(TXN, (const char *)text.data, text.len, &used));
    buf_deinit(&text);
}

/* Trap 5: what is zero is not written; order and forms as etcd's. */
static void test_answers_are_written_as_etcd_writes_them(void **state)
{
    (void)state;
    struct v3_response_header header = {
        .cluster_id = 6630863789597439996U, .member_id = 3, .revision = 2, .raft_term = 2};
    struct v3_key_value kv = {.key = {(const uint8_t *)"a", 1},
                              .create_revision = 11,
                              .mod_revision = 12,
                              .version = 1,
                              .value = {(const uint8_t *)"3", 1}};
    struct v3_range_response range = {
        .header = &header, .kvs = &kv, .kvs_count = 1, .more = true, .count = 4};
    struct buf out = {0};
    v3_encode(&out, &v3_message_range_response, &range);
    assert_string_equal(buf_str(&out),
                        "{\"header\":{\"cluster_id\":\"6630863789597439996\",\"member_id\":\"3\","
                        "\"revision\":\"2\",\"raft_term\":\"2\"},\"kvs\":[{\"key\":\"YQ==\","
                        "\"create_revision\":\"11\",\"mod_revision\":\"12\",\"version\":\"1\","
                        "\"value\":\"Mw==\"}],\"more\":true,\"count\":\"4\"}");
    buf_clear(&out);
    struct v3_response_header none = {0};
    struct v3_range_response empty = {.header = &none};
    v3_encode(&out, &v3_message_range_response, &empty);
    assert_string_equal(buf_str(&out), "{\"header\":{}}");
    buf_clear(&out);
    struct v3_hash_response hash = {.hash = 4294967295U};
    v3_encode(&out, &v3_message_hash_response, &hash);
    assert_string_equal(buf_str(&out), "{\"hash\":4294967295}");
    buf_clear(&out);
    struct v3_event events[2] = {{.kv = &kv}, {.type = 1, .kv = &kv, .prev_kv = &kv}};
    kv.value = (struct v3_bytes){0};
    kv.version = kv.create_revision = 0;
    struct v3_watch_response watch = {.watch_id = -1, .events = events, .events_count = 2};
    v3_encode(&out, &v3_message_watch_response, &watch);
    assert_string_equal(buf_str(&out),
                        "{\"watch_id\":\"-1\",\"events\":[{\"kv\":{\"key\":\"YQ==\","
                        "\"mod_revision\":\"12\"}},{\"type\":\"DELETE\",\"kv\":{\"key\":\"YQ==\","
                        "\"mod_revision\":\"12\"},\"prev_kv\":{\"key\":\"YQ==\",\"mod_revision\":"
                        "\"12\"}}]}");
    buf_deinit(&out);
}

static size_t size_of_put(size_t key_len, size_t value_len)
{
    uint8_t *bytes = mem_calloc(key_len + value_len, 1);
    struct v3_put_request put = {.key = {bytes, key_len}, .value = {bytes, value_len}};
    size_t size = v3_protobuf_size(PUT, &put);
    mem_free(bytes);
    return size;
}

static void test_size_as_protobuf(void **state)
{
    (void)state;
    assert_true(size_of_put(0, 0) == 0);
    assert_true(size_of_put(1, 0) == 3);
    assert_true(size_of_put(1, 127) == 3 + 2 + 127);
    assert_true(size_of_put(1, 128) == 3 + 3 + 128);
    assert_true(size_of_put(3, 1572864) == 5 + 4 + 1572864);
    struct v3_put_request put = {.lease = -1, .prev_kv = true};
    assert_true(v3_protobuf_size(PUT, &put) == 11 + 2);
    struct v3_compare compare = {.range_end = {(const uint8_t *)"b", 1}, .target = 3};
    assert_true(v3_protobuf_size(&v3_message_compare, &compare) ==
                2 + 4); /* number 64: two bytes */
    struct v3_request_op op = {.request_put = &put};
    struct v3_txn_request txn = {
        .compare = &compare, .compare_count = 1, .success = &op, .success_count = 1};
    assert_true(v3_protobuf_size(TXN, &txn) == 2 + 6 + 2 + (2 + 13));
    int32_t filters[2] = {1, 0};
    struct v3_watch_create_request create = {.filters = filters, .filters_count = 2};
    struct v3_watch_request watch = {.create_request = &create};
    assert_true(v3_protobuf_size(WATCH, &watch) == 2 + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_as_numbers_and_strings_are_exact),
        cmocka_unit_test(test_bytes_are_strict_base64),
        cmocka_unit_test(test_enumerations_by_name_and_number),
        cmocka_unit_test(test_names_both_ways_and_unknown_ones),
        cmocka_unit_test(test_forms_of_the_text),
        cmocka_unit_test(test_values_back_to_back_are_read_one_by_one),
        cmocka_unit_test(test_damaged_text_is_refused_or_read),
        cmocka_unit_test(test_depth_and_number_of_objects_are_bounded),
        cmocka_unit_test(test_answers_are_written_as_etcd_writes_them),
        cmocka_unit_test(test_size_as_protobuf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
