/* floectl's command line: what each verb takes, and a sentence for all that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "floectl/args.h"
#include "floectl/client.h"
#include "floectl/text.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 16 };

/* Splits at blanks; '' is an empty word. */
static enum err parse(const char *line, struct ctl_args *out, struct buf *why)
{
    static char text[512]; /* the result borrows from it */
    char *argv[WORDS_MAX];
    int argc = 0;
    assert_true(strlen(line) < sizeof text);
    memcpy(text, line, strlen(line) + 1);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < WORDS_MAX);
        if (strcmp(word, "''") == 0)
            word[0] = 0;
        argv[argc++] = word;
    }
    return args_parse(argc, argv, out, why);
}

static struct ctl_args good(const char *line)
{
    struct ctl_args args;
    struct buf why = {0};
    if (parse(line, &args, &why) != ERR_OK)
        fail_msg("'%s': %s", line, buf_str(&why));
    buf_deinit(&why);
    return args;
}

static void bad(const char *line, const char *part)
{
    struct ctl_args args;
    struct buf why = {0};
    if (parse(line, &args, &why) != ERR_INVALID)
        fail_msg("'%s' is taken", line);
    if (strstr(buf_str(&why), part) == NULL)
        fail_msg("'%s': '%s' does not say '%s'", line, buf_str(&why), part);
    buf_deinit(&why);
}

static void test_args_verbs_with_their_words(void **state)
{
    (void)state;
    struct ctl_args args = good("floectl put k v");
    assert_int_equal(args.verb, CTL_PUT);
    assert_string_equal(args.words[0], "k");
    assert_string_equal(args.words[1], "v");
    assert_int_equal(args.timeout_s, 10);
    assert_int_equal(good("floectl put k").word_count, 1);
    assert_int_equal(good("floectl get k").verb, CTL_GET);
    assert_int_equal(good("floectl txn").verb, CTL_TXN);
    assert_int_equal(good("floectl lease grant 60").verb, CTL_LEASE_GRANT);
    assert_int_equal(good("floectl lease list").verb, CTL_LEASE_LIST);
    args = good("floectl member add 4 http://127.0.0.1:42379 --learner");
    assert_int_equal(args.verb, CTL_MEMBER_ADD);
    assert_string_equal(args.words[1], "http://127.0.0.1:42379");
    assert_true(args.learner);
    assert_int_equal(good("floectl leader 2").verb, CTL_LEADER);
    assert_int_equal(good("floectl status").verb, CTL_STATUS);
}

static void test_args_options_stand_anywhere(void **state)
{
    (void)state;
    struct ctl_args args = good("floectl --endpoints a:1,b:2 get --json --revision=7 k --stale");
    assert_int_equal(args.verb, CTL_GET);
    assert_string_equal(args.endpoints, "a:1,b:2");
    assert_true(args.json && args.stale && args.has_revision && !args.prefix);
    assert_int_equal(args.revision, 7);
    args = good("floectl put --if-revision 9 k v --lease 9223372036854775807");
    assert_true(args.has_if_revision && args.if_revision == 9);
    assert_true(args.lease == INT64_MAX);
    args = good("floectl get --prefix '' --limit 3 --reverse --keys --timeout 60");
    assert_true(args.prefix && args.reverse && args.keys && args.limit == 3);
    assert_int_equal(args.timeout_s, 60);
    args = good("floectl put -- --json --raw");
    assert_string_equal(args.words[0], "--json");
    assert_string_equal(args.words[1], "--raw");
    assert_false(args.json);
    assert_string_equal(good("floectl put k -").words[1], "-");
}

static void test_args_help_and_version_win(void **state)
{
    (void)state;
    assert_int_equal(good("floectl --help").verb, CTL_HELP);
    assert_int_equal(good("floectl put -h").verb, CTL_HELP);
    assert_int_equal(good("floectl --version nonsense").verb, CTL_VERSION);
    assert_non_null(strstr(args_usage(), "exit status"));
}

static void test_args_refusals_say_why(void **state)
{
    (void)state;
    bad("floectl", "what shall be done");
    bad("floectl frob", "there is no 'frob'");
    bad("floectl lease", "lease grant SECONDS");
    bad("floectl member frob", "member promote ID");
    bad("floectl put", "put KEY [VALUE]");
    bad("floectl put a b c", "put KEY [VALUE]");
    bad("floectl put a b c d e", "one word too many");
    bad("floectl get a --nope", "no option '--nope'");
    bad("floectl get a -x", "no option '-x'");
    bad("floectl get a --ttl 5", "--ttl has no meaning");
    bad("floectl status --prefix", "--prefix has no meaning");
    bad("floectl get a --revision", "--revision needs a value");
    bad("floectl get a --revision=", "--revision needs a value");
    bad("floectl get a --revision 0", "from 1 to");
    bad("floectl get a --revision -1", "not '-1'");
    bad("floectl get a --revision 9223372036854775808", "from 1 to");
    bad("floectl get a --endpoints", "--endpoints needs a value");
    bad("floectl --timeout 0 status", "--timeout takes");
    bad("floectl put a b --if-absent --if-revision 3", "exclude each other");
    bad("floectl put a b --lease 1 --ttl 3", "exclude each other");
    bad("floectl get a --raw --json", "--raw is for");
    bad("floectl get a --limit 3", "go with --prefix");
    bad("floectl del a --prefix --if-revision 3", "for one key");
    bad("floectl get ''", "at least one byte");
}

/* Every word of the help that looks like an option is one that some verb takes. */
static void test_args_help_names_existing_options(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "floectl put k v --lease 1 --if-revision 3",
        "floectl put k v --ttl 3 --if-absent",
        "floectl get k --prefix --keys --limit 2 --reverse --revision 3 --stale",
        "floectl get k --raw",
        "floectl watch k --prefix --from 3 --json",
        "floectl lease keepalive 3 --once",
        "floectl lease ttl 3 --keys",
        "floectl member add 4 http://h:1 --learner",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        (void)good(lines[i]);
        for (const char *at = lines[i]; (at = strstr(at, " --")) != NULL; at += 3) {
            char name[24] = {0};
            memcpy(name, at + 1, strcspn(at + 1, " "));
            if (strstr(args_usage(), name) == NULL)
                fail_msg("the help does not name %s", name);
        }
    }
}

static void test_endpoints_list_is_read_and_refused(void **state)
{
    (void)state;
    struct ctl_endpoints nodes;
    struct buf why = {0};
    assert_int_equal(endpoints_parse("a:1,http://b:2,[::1]:3,a:1", &nodes, &why), ERR_OK);
    assert_int_equal(nodes.count, 3);
    assert_string_equal(nodes.list[1].host, "b");
    assert_int_equal(nodes.list[2].port, 3);
    static const char *const refused[] = {"", "a", "a:1,", ",a:1", "a:0", "a:1 b:2", "https://a:1"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        buf_clear(&why);
        assert_int_equal(endpoints_parse(refused[i], &nodes, &why), ERR_INVALID);
        assert_non_null(strstr(buf_str(&why), "no node's address"));
    }
    assert_int_equal(nodes.count, 3); /* untouched on error */
    buf_deinit(&why);
}

static void test_text_bytes_survive_json(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (size_t len = 0; len < sizeof bytes; len++) {
        struct buf back = {0};
        json_t *object = json_object();
        bytes[len] = (uint8_t)(255 - len);
        text_set_bytes(object, "value", bytes, len);
        assert_int_equal(text_get_bytes(object, "value", &back), ERR_OK);
        assert_int_equal(back.len, len);
        if (len > 0)
            assert_memory_equal(back.data, bytes, len);
        json_decref(object);
        buf_deinit(&back);
    }
    struct buf none = {0};
    json_t *object = json_pack("{s:i,s:s}", "value", 1, "key_base64", "a?==");
    assert_int_equal(text_get_bytes(object, "value", &none), ERR_NOT_FOUND);
    assert_int_equal(text_get_bytes(object, "key", &none), ERR_INVALID);
    json_decref(object);
    buf_deinit(&none);
}

static void test_text_for_people_and_urls(void **state)
{
    (void)state;
    struct buf out = {0};
    text_add_readable(&out, "a\tb\n\\\x01\xc3\xa9", 8);
    assert_string_equal(buf_str(&out), "a\\tb\\n\\\\\\x01\xc3\xa9");
    buf_clear(&out);
    text_add_readable(&out, "\xff\xc3\xa9", 3); /* no UTF-8 as a whole */
    assert_string_equal(buf_str(&out), "\\xff\\xc3\\xa9");
    buf_clear(&out);
    text_add_encoded(&out, "a/b c~\0\xff?", 9);
    assert_string_equal(buf_str(&out), "a%2Fb%20c~%00%FF%3F");
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_args_verbs_with_their_words),
        cmocka_unit_test(test_args_options_stand_anywhere),
        cmocka_unit_test(test_args_help_and_version_win),
        cmocka_unit_test(test_args_refusals_say_why),
        cmocka_unit_test(test_args_help_names_existing_options),
        cmocka_unit_test(test_endpoints_list_is_read_and_refused),
        cmocka_unit_test(test_text_bytes_survive_json),
        cmocka_unit_test(test_text_for_people_and_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
