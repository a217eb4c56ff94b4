/* The configuration file: every default, every refusal with its line, and no crash on any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "floed/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t seed_given; /* argument of the program; 0: of the hour */

struct bad {
    unsigned line;
    const char *text;
    const char *why; /* part of the message */
};

/* What the reader of the text refuses. */
static const struct bad bad_syntax[] = {
    {1, "", "id is missing"},
    {1, "# nothing\n\n", "id is missing"},
    {1, "id", "= must follow"},
    {1, "id\n", "= must follow"},
    {1, "id =", "a value must stand here"},
    {1, "id = \n1\n", "a value must stand here"},
    {1, "id = 1 2\n", "behind the end"},
    {1, "id = 1 name = \"x\"\n", "behind the end"},
    {1, "id = 1\r", "behind the end"},
    {1, "= 1\n", "a key or [table]"},
    {2, "id = 1\n\"name\" = \"x\"\n", "quoted keys"},
    {2, "id = 1\n'name' = \"x\"\n", "quoted keys"},
    {2, "id = 1\nhttp.insecure = true\n", "dotted keys"},
    {2, "id = 1\n[http.tls]\n", "dotted keys"},
    {2, "id = 1\n[[http]]\n", "arrays of tables"},
    {2, "id = 1\n[]\n", "a key or [table]"},
    {2, "id = 1\n[http\nlisten = 1\n", "closing ]"},
    {2, "id = 1\n[http] x\n", "behind the end"},
    {3, "id = 1\n\naaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg = 1\n",
     "too long"},
    {1, "id = 01\n", "begin with 0"},
    {1, "id = 0_1\n", "begin with 0"},
    {1, "id = 1_\n", "a value must stand here"},
    {1, "id = _1\n", "a value must stand here"},
    {1, "id = 1__0\n", "a value must stand here"},
    {1, "id = -\n", "a value must stand here"},
    {1, "id = 1.5\n", "floating-point"},
    {1, "id = 1e3\n", "floating-point"},
    {1, "id = 0x10\n", "only decimal"},
    {1, "id = 1979-05-27\n", "only decimal"},
    {1, "id = 07:32:00\n", "begin with 0"},
    {1, "id = 12:32:00\n", "only decimal"},
    {1, "id = 9223372036854775808\n", "a larger id goes in quotes"},
    {1, "id = {a = 1}\n", "inline tables"},
    {1, "id = yes\n", "a value must stand here"},
    {4, "id = 1\n\n[http]\ninsecure = trueish\n", "a value must stand here"},
    {4, "id = 1\n\n[http]\ninsecure = True\n", "a value must stand here"},
    {2, "id = 1\nname = \"x\n", "does not end"},
    {2, "id = 1\nname = \"x", "does not end"},
    {2, "id = 1\nname = 'x\n'", "does not end"},
    {2, "id = 1\nname = \"\"\"x\"\"\"\n", "multi-line"},
    {2, "id = 1\nname = '''x'''\n", "multi-line"},
    {2, "id = 1\nname = \"\\q\"\n", "unknown escape"},
    {2, "id = 1\nname = \"\\", "unknown escape"},
    {2, "id = 1\nname = \"\\u12\"\n", "hexadecimal"},
    {2, "id = 1\nname = \"\\U0001f60\"\n", "hexadecimal"},
    {2, "id = 1\nname = \"\\u0000\"\n", "NUL"},
    {2, "id = 1\nname = \"\\ud800\"\n", "names no character"},
    {2, "id = 1\nname = \"\\U00110000\"\n", "names no character"},
    {3, "id = 1\n# \n# \xff\n", "not UTF-8"},
    {2, "id = 1\nname = \"\xc0\xaf\"\n", "not UTF-8"},
    {2, "id = 1\nname = \"\xed\xa0\x80\"\n", "not UTF-8"},
    {2, "id = 1\nname = \"\xf4\x90\x80\x80\"\n", "not UTF-8"},
    {2, "id = 1\nname = \"\xf5\x80\x80\x80\"\n", "not UTF-8"},
    {2, "id = 1\nname = \"\xe0\x9f\xbf\"\n", "not UTF-8"},
    {2, "id = 1\nname = \"\xf0\x8f\xbf\xbf\"\n", "not UTF-8"},
    {2, "id = 1\nname = \"\x80\"\n", "not UTF-8"},
    {2, "id = 1\n# \xe2\x82", "not UTF-8"},
    {2, "id = 1\nname = \"\x01\"\n", "control characters"},
    {2, "id = 1\nname = \"\x7f\"\n", "control characters"},
    {3, "id = 1\n[cluster]\nmembers = [\"1=a:1\" \"2=b:1\"]\n", "a comma or ]"},
    {4, "id = 1\n[cluster]\nmembers = [\n[\"1=a:1\"]]\n", "arrays in arrays"},
    {4, "id = 1\n[cluster]\nmembers = [\"1=a:1\"\n", "a comma or ]"},
    {5, "id = 1\n[cluster]\nmembers = [\"1=a:1\",\n\n", "a value must stand here"},
    {3, "id = 1\n[cluster]\nmembers = [,]\n", "a value must stand here"},
    {4, "id = 1\n[cluster]\nmembers = [\n\"1=a:1\"] x\n", "behind the end"},
};

/* What one key refuses. */
static const struct bad bad_values[] = {
    {2, "id = 1\nport = 1\n", "unknown key: port"},
    {3, "id = 1\n[http]\nid = 1\n", "unknown key: id"},
    {2, "id = 1\nlisten = \"127.0.0.1:1\"\n", "unknown key: listen"},
    {2, "id = 1\n[tls]\n", "unknown table: tls"},
    {3, "id = 1\n[http]\n[http]\n", "table is there twice: http"},
    {4, "id = 1\n[http]\n[peer]\n[ http ]\n", "table is there twice: http"},
    {2, "id = 1\nid = 1\n", "key is there twice: id"},
    {1, "id = 0\n", "id: not 0"},
    {1, "id = -1\n", "id: decimal digits only: an id goes from 1 to 18446744073709551613"},
    {1, "id = \"\"\n", "id: decimal digits only"},
    {1, "id = \"+1\"\n", "id: decimal digits only"},
    {1, "id = \" 1\"\n", "id: decimal digits only"},
    {1, "id = \"1_0\"\n", "id: decimal digits only"},
    {1, "id = \"01\"\n", "no 0 in front"},
    {1, "id = \"18446744073709551614\"\n", "id: too large: an id goes from 1 to"},
    {1, "id = \"18446744073709551616\"\n", "id: too large"},
    {1, "id = true\n", "id must be an integer"},
    {1, "id = [1]\n", "id must be an integer"},
    {2, "id = 1\nname = 7\n", "name must be a string"},
    {2, "id = 1\nname = \"\"\n", "name must not be empty"},
    {2, "id = 1\nname = \"0123456789012345678901234567890123456789012345678901234567890123\"\n",
     "name is too long"},
    {2, "id = 1\nname = \"a\\nb\"\n", "control character"},
    {2, "id = 1\ndata_dir = \"\"\n", "data_dir must not be empty"},
    {2, "id = 1\ndata_dir = [\"a\"]\n", "data_dir must be a string"},
    {3, "id = 1\n[http]\nlisten = 12380\n", "listen must be a string"},
    {3, "id = 1\n[http]\nlisten = \"\"\n", "listen: the address is empty"},
    {3, "id = 1\n[http]\nlisten = \"127.0.0.1\"\n", "listen: the port is missing"},
    {3, "id = 1\n[http]\nlisten = \"127.0.0.1:0\"\n", "1 to 65535"},
    {3, "id = 1\n[http]\nlisten = \"https://127.0.0.1:1\"\n", "https"},
    {3, "id = 1\n[http]\nadvertise = \"me\"\n", "advertise: the port is missing"},
    {3, "id = 1\n[http]\ninsecure = 1\n", "insecure must be true or false"},
    {3, "id = 1\n[http]\ninsecure = \"true\"\n", "insecure must be true or false"},
    {3, "id = 1\n[http]\nheader_timeout_ms = 9\n", "header_timeout_ms must be from 10"},
    {3, "id = 1\n[http]\nbody_timeout_ms = 3600001\n", "to 3600000"},
    {3, "id = 1\n[http]\nidle_timeout_ms = 86400001\n", "to 86400000"},
    {3, "id = 1\n[peer]\nheader_timeout_ms = 10\n", "unknown key: header_timeout_ms"},
    {3, "id = 1\n[raft]\nheartbeat_ms = 4\n", "heartbeat_ms must be from 5 to 60000"},
    {3, "id = 1\n[raft]\nelection_ms = 600001\n", "election_ms must be from 10 to 600000"},
    {3, "id = 1\n[raft]\nsnapshot_entries = -1\n", "snapshot_entries must be from 0"},
    {3, "id = 1\n[limits]\nkey_bytes = 0\n", "key_bytes must be from 1 to 1048576"},
    {3, "id = 1\n[limits]\nvalue_bytes = 33554433\n", "value_bytes must be from 1 to 33554432"},
    {3, "id = 1\n[limits]\nbody_bytes = 1023\n", "body_bytes must be from 1024"},
    {3, "id = 1\n[limits]\npending_bytes = 65535\n", "pending_bytes must be from 65536"},
    {3, "id = 1\n[limits]\nconnections = 0\n", "connections must be from 1"},
    {3, "id = 1\n[limits]\nrequest_timeout_ms = 9\n", "request_timeout_ms must be from 10"},
    {3, "id = 1\n[store]\nhistory_s = 0\n", "history_s must be from 1"},
    {3, "id = 1\n[store]\nhistory_bytes = 65535\n", "history_bytes must be from 65536"},
    {3, "id = 1\n[log]\nlevel = \"loud\"\n", "level must be \"debug\""},
    {3, "id = 1\n[storage]\nsync = \"later\"\n",
     "sync must be \"auto\", \"direct\", \"uring\" or \"inline\""},
    {3, "id = 1\n[storage]\nsync = true\n", "sync must be \"auto\""},
    {3, "id = 1\n[log]\nlevel = 1\n", "level must be \"debug\""},
    {3, "id = 1\n[cluster]\nname = \"\"\n", "name must not be empty"},
    {3, "id = 1\n[cluster]\njoin = 0\n", "join must be true or false"},
    {3, "id = 1\n[cluster]\nmembers = \"1=a:1\"\n", "members must be an array"},
    {3, "id = 1\n[cluster]\nmembers = []\n", "members must be from 1 to 64"},
    {3, "id = 1\n[cluster]\nmembers = [1]\n", "members must be strings"},
    {5, "id = 1\n[cluster]\nmembers = [\n\"1=a:1\", # one\n\"b:1\",\n]\n", "ID=ADDRESS"},
    {3, "id = 1\n[cluster]\nmembers = [\"=a:1\"]\n", "the id of a member: decimal digits"},
    {3, "id = 1\n[cluster]\nmembers = [\"0=a:1\"]\n", "the id of a member: not 0"},
    {3, "id = 1\n[cluster]\nmembers = [\"04=a:1\"]\n", "no 0 in front"},
    {3, "id = 1\n[cluster]\nmembers = [\"x=a:1\"]\n", "decimal digits"},
    {3, "id = 1\n[cluster]\nmembers = [\"18446744073709551614=a:1\"]\n", "too large: an id goes"},
    {3, "id = 1\n[cluster]\nmembers = [\"99999999999999999999=a:1\"]\n", "too large"},
    {4, "id = 1\n[cluster]\nmembers = [\"1=a:1\",\n\"2=b\"]\n", "port is missing"},
    {4, "id = 1\n[cluster]\nmembers = [\"1=a:1\",\n\"2=0.0.0.0:1\"]\n", "nobody can connect"},
    {4, "id = 1\n[cluster]\nmembers = [\"1=a:1\",\n\"1=b:1\"]\n", "twice"},
    {4, "id = 1\n[cluster]\nmembers = [\"1=a:1\",\n\"2=http://a:1/\"]\n", "twice"},
};

/* What only all keys together show. */
static const struct bad bad_together[] = {
    {1, "[http]\ninsecure = true\n", "id is missing"},
    {3, "id = 1\n[http]\nlisten = \"10.0.0.1:12380\"\n", "insecure = true"},
    {4, "id = 1\n\n[peer]\nlisten = \"example.org:12379\"\n", "insecure = true"},
    {4, "id = 1\n[http]\ninsecure = true\nlisten = \"0.0.0.0:12380\"\n", "needs advertise"},
    {4, "id = 1\n[peer]\ninsecure = true\nlisten = \"[::]:12379\"\n", "needs advertise"},
    {3, "id = 1\n[http]\nadvertise = \"0.0.0.0:1\"\n", "nobody can connect"},
    {3, "id = 1\n[peer]\nlisten = \"127.0.0.1:12380\"\n", "same address"},
    {3, "id = 1\n[http]\nlisten = \"127.0.0.1:12379\"\n", "same address"},
    {6, "id = 1\n[http]\nlisten = \"h:1\"\ninsecure = true\n[peer]\nlisten = \"h:1\"\n",
     "insecure = true"},
    {3, "id = 1\n[raft]\nelection_ms = 299\n", "three times heartbeat_ms"},
    {3, "id = 1\n[raft]\nheartbeat_ms = 334\n", "three times heartbeat_ms"},
    {4, "id = 1\n[raft]\nheartbeat_ms = 334\nelection_ms = 1000\n", "three times heartbeat_ms"},
    {3, "id = 1\n[limits]\nbody_bytes = 1572863\n", "at least value_bytes"},
    {3, "id = 1\n[limits]\nvalue_bytes = 8388609\n", "at least value_bytes"},
    {3, "id = 1\n[limits]\npending_bytes = 3145727\n", "twice value_bytes"},
    {5, "id = 1\n[limits]\nbody_bytes = 33554432\nvalue_bytes = 33554432\n"
        "pending_bytes = 67108863\n",
     "twice value_bytes"},
    {3, "id = 1\n[cluster]\njoin = true\n", "join needs members"},
    {4, "id = 3\n[cluster]\nname = \"x\"\nmembers = [\n\"1=a:1\",\n\"2=b:1\",\n]\n",
     "this node's own id"},
};

static void must_refuse(const struct bad *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct conf conf = {.id = 77};
        struct buf why = {0};
        char prefix[32];
        int len = snprintf(prefix, sizeof prefix, "f.toml:%u: ", rows[i].line);
        enum err err = conf_read("f.toml", rows[i].text, strlen(rows[i].text), &conf, &why);
        if (err != ERR_INVALID)
            fail_msg("taken:\n%s", rows[i].text);
        if (strncmp(buf_str(&why), prefix, (size_t)len) != 0 ||
            strstr(buf_str(&why), rows[i].why) == NULL)
            fail_msg("wanted %s...%s, got %s for\n%s", prefix, rows[i].why, buf_str(&why),
                     rows[i].text);
        assert_int_equal(conf.id, 77); /* untouched */
        buf_deinit(&why);
    }
}

static void test_conf_bad_syntax_is_refused_with_line(void **state)
{
    (void)state;
    must_refuse(bad_syntax, sizeof bad_syntax / sizeof bad_syntax[0]);
}

static void test_conf_bad_values_are_refused_with_line(void **state)
{
    (void)state;
    must_refuse(bad_values, sizeof bad_values / sizeof bad_values[0]);
}

static void test_conf_bad_combinations_are_refused_with_line(void **state)
{
    (void)state;
    must_refuse(bad_together, sizeof bad_together / sizeof bad_together[0]);
}

static void test_conf_nul_byte_is_refused(void **state)
{
    (void)state;
    struct conf conf;
    struct buf why = {0};
    assert_int_equal(conf_read("f", "id = 1\n# \0\n", 11, &conf, &why), ERR_INVALID);
    assert_string_equal(buf_str(&why), "f:2: control characters are not allowed");
    buf_deinit(&why);
}

static struct conf read_text(const char *text)
{
    struct conf conf = {0};
    struct buf why = {0};
    if (conf_read("f.toml", text, strlen(text), &conf, &why) != ERR_OK)
        fail_msg("%s", buf_str(&why));
    assert_int_equal(why.len, 0);
    buf_deinit(&why);
    return conf;
}

static void assert_addr(const struct addr *addr, const char *text)
{
    char got[ADDR_TEXT_MAX];
    addr_format(addr, got);
    assert_string_equal(got, text);
}

static void assert_defaults(const struct conf *conf)
{
    assert_int_equal(conf->id, 1);
    assert_string_equal(conf->name, "n1");
    assert_string_equal(conf->data_dir, "floe-data");
    assert_addr(&conf->http.listen, "127.0.0.1:12380");
    assert_addr(&conf->http.advertise, "127.0.0.1:12380");
    assert_false(conf->http.insecure);
    assert_int_equal(conf->http.header_timeout_ms, 5000);
    assert_int_equal(conf->http.body_timeout_ms, 5000);
    assert_int_equal(conf->http.idle_timeout_ms, 120000);
    assert_addr(&conf->peer.listen, "127.0.0.1:12379");
    assert_addr(&conf->peer.advertise, "127.0.0.1:12379");
    assert_false(conf->peer.insecure);
    assert_string_equal(conf->cluster.name, "floe");
    assert_int_equal(conf->cluster.member_count, 1);
    assert_int_equal(conf->cluster.members[0].id, 1);
    assert_addr(&conf->cluster.members[0].address, "127.0.0.1:12379");
    assert_false(conf->cluster.join);
    assert_int_equal(conf->raft.heartbeat_ms, 100);
    assert_int_equal(conf->raft.election_ms, 1000);
    assert_int_equal(conf->raft.snapshot_entries, 0);
    assert_int_equal(conf->limits.key_bytes, 16384);
    assert_int_equal(conf->limits.value_bytes, 1572864);
    assert_int_equal(conf->limits.body_bytes, 8388608);
    assert_int_equal(conf->limits.pending_bytes, 67108864);
    assert_int_equal(conf->limits.connections, 16384);
    assert_int_equal(conf->limits.request_timeout_ms, 5000);
    assert_int_equal(conf->store.history_s, 3600);
    assert_int_equal(conf->store.history_bytes, 32000000);
    assert_int_equal(conf->storage.sync, CONF_SYNC_AUTO);
    assert_int_equal(conf->log_level, LOG_INFO);
}

static void test_conf_defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct conf conf;
    conf_defaults(&conf);
    assert_defaults(&conf);
    conf_deinit(&conf);
    conf_deinit(&conf);
}

static void test_conf_sample_file_equals_the_defaults(void **state)
{
    (void)state;
    struct conf conf;
    struct buf why = {0};
    if (conf_load(CONF_DIR "/floed.toml", &conf, &why) != ERR_OK)
        fail_msg("%s", buf_str(&why));
    assert_defaults(&conf);
    conf_deinit(&conf);
    buf_deinit(&why);
}

/* The sample file promises to show every key: one that is renamed there must be noticed, and so
 * must one that is not there at all. */
static void test_conf_sample_file_shows_every_key(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "\nid = ", "\n# name = ", "\ndata_dir = ", "\nlisten = ", "\nadvertise = ",
        "\ninsecure = ", "\nheader_timeout_ms = ", "\nbody_timeout_ms = ", "\nidle_timeout_ms = ",
        "\nallow_origin = ",
        "\nname = ", "\nmembers = ", "\njoin = ", "\nheartbeat_ms = ", "\nelection_ms = ",
        "\nsnapshot_entries = ", "\nkey_bytes = ", "\nvalue_bytes = ", "\nbody_bytes = ",
        "\npending_bytes = ", "\nconnections = ", "\nrequest_timeout_ms = ", "\nsync = ",
        "\nhistory_s = ", "\nhistory_bytes = ", "\nlevel = "};
    char text[16384] = {0};
    FILE *file = fopen(CONF_DIR "/floed.toml", "rb");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    assert_true(len > 0 && len < sizeof text - 1);
    (void)fclose(file);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strstr(text, keys[i]) == NULL)
            fail_msg("conf/floed.toml lacks %s", keys[i] + 1);
}

static void test_conf_cluster_files_are_taken(void **state)
{
    (void)state;
    for (unsigned id = 1; id <= 4; id++) {
        char path[1000];
        char want[64];
        struct conf conf;
        struct buf why = {0};
        (void)snprintf(path, sizeof path, "%s/cluster/%u.toml", CONF_DIR, id);
        if (conf_load(path, &conf, &why) != ERR_OK)
            fail_msg("%s", buf_str(&why));
        assert_int_equal(conf.id, id);
        assert_int_equal(conf.cluster.join, id == 4);
        assert_int_equal(conf.cluster.member_count, id == 4 ? 4 : 3);
        (void)snprintf(want, sizeof want, "127.0.0.1:%u2380", id);
        assert_addr(&conf.http.advertise, want);
        (void)snprintf(want, sizeof want, "data/%u", id);
        assert_string_equal(conf.data_dir, want);
        for (size_t i = 0; i < conf.cluster.member_count; i++) {
            assert_int_equal(conf.cluster.members[i].id, i + 1);
            (void)snprintf(want, sizeof want, "127.0.0.1:%zu2379", i + 1);
            assert_addr(&conf.cluster.members[i].address, want);
        }
        assert_addr(&conf.peer.listen, (snprintf(want, sizeof want, "127.0.0.1:%u2379", id), want));
        conf_deinit(&conf);
        buf_deinit(&why);
    }
}

/* Every key off its default, in every way that the format allows. */
static const char full[] =
    "# all\r\n"
    "id=9_007\r\n"
    "name = 'n\\9'  # literal\n"
    "data_dir = \"/srv/\\u00e4 \\\"b\\\\\"\n"
    "[http]\n"
    "  listen = \"0.0.0.0:80\"\n"
    "\tadvertise = \"http://db.example.org:81/\"\n"
    "insecure = true\n"
    "header_timeout_ms = +10\nbody_timeout_ms = 3600000\nidle_timeout_ms = 86400000\n"
    "[ peer ] # others\n"
    "listen = \"[::]:90\"\nadvertise = \"[2001:db8::1]:91\"\ninsecure = true\n"
    "[cluster]\n"
    "name = \"\xe2\x9d\x84\"\n"
    "members = [ # three\n"
    "  \"1=http://a:1\", '2=b:1'\n"
    "  ,\n"
    "\n"
    "  \"9007=[2001:db8::1]:91\",\n"
    "]\n"
    "join = false\n"
    "[raft]\nheartbeat_ms = 5\nelection_ms = 15\nsnapshot_entries = 9223372036854775807\n"
    "[limits]\nkey_bytes = 1048576\nvalue_bytes = 1\nbody_bytes = 1024\npending_bytes = 65536\n"
    "connections = 1\nrequest_timeout_ms = 10\n"
    "[store]\nhistory_s = 60\nhistory_bytes = 65536\n"
    "[storage]\nsync = 'inline'\n"
    "[log]\nlevel = \"debug\"";

static void test_conf_every_key_is_read(void **state)
{
    (void)state;
    struct conf conf = read_text(full);
    assert_int_equal(conf.id, 9007);
    assert_string_equal(conf.name, "n\\9");
    assert_string_equal(conf.data_dir, "/srv/\xc3\xa4 \"b\\");
    assert_addr(&conf.http.listen, "0.0.0.0:80");
    assert_addr(&conf.http.advertise, "db.example.org:81");
    assert_true(conf.http.insecure && conf.peer.insecure);
    assert_int_equal(conf.http.header_timeout_ms, 10);
    assert_int_equal(conf.http.body_timeout_ms, 3600000);
    assert_int_equal(conf.http.idle_timeout_ms, 86400000);
    assert_addr(&conf.peer.listen, "[::]:90");
    assert_addr(&conf.peer.advertise, "[2001:db8::1]:91");
    assert_string_equal(conf.cluster.name, "\xe2\x9d\x84");
    assert_int_equal(conf.cluster.member_count, 3);
    assert_int_equal(conf.cluster.members[2].id, 9007);
    assert_addr(&conf.cluster.members[1].address, "b:1");
    assert_int_equal(conf.raft.heartbeat_ms, 5);
    assert_int_equal(conf.raft.election_ms, 15);
    assert_true(conf.raft.snapshot_entries == INT64_MAX);
    assert_int_equal(conf.limits.key_bytes, 1048576);
    assert_int_equal(conf.limits.value_bytes, 1);
    assert_int_equal(conf.limits.body_bytes, 1024);
    assert_int_equal(conf.limits.pending_bytes, 65536);
    assert_int_equal(conf.limits.connections, 1);
    assert_int_equal(conf.limits.request_timeout_ms, 10);
    assert_int_equal(conf.store.history_s, 60);
    assert_int_equal(conf.store.history_bytes, 65536);
    assert_int_equal(conf.storage.sync, CONF_SYNC_INLINE);
    assert_int_equal(conf.log_level, LOG_DEBUG);
    conf_deinit(&conf);
}

static void test_conf_join_may_leave_itself_out(void **state)
{
    (void)state;
    struct conf conf = read_text("id = 4\n[cluster]\njoin = true\nmembers = [\"1=a:1\"]\n");
    assert_true(conf.cluster.join);
    assert_int_equal(conf.cluster.member_count, 1);
    assert_string_equal(conf.name, "n4");
    conf_deinit(&conf);
}

static void test_conf_member_alone_is_at_its_advertised_address(void **state)
{
    (void)state;
    struct conf conf = read_text("id = 2\n[peer]\nadvertise = \"h:5\"\n");
    assert_int_equal(conf.cluster.member_count, 1);
    assert_int_equal(conf.cluster.members[0].id, 2);
    assert_addr(&conf.cluster.members[0].address, "h:5");
    conf_deinit(&conf);
}

static void test_conf_load_unreadable_file_is_an_io_error(void **state)
{
    (void)state;
    static const char *const paths[] = {CONF_DIR "/no-such.toml", CONF_DIR};
    for (size_t i = 0; i < 2; i++) {
        struct conf conf = {.id = 77};
        struct buf why = {0};
        assert_int_equal(conf_load(paths[i], &conf, &why), ERR_IO);
        assert_int_equal(strncmp(buf_str(&why), paths[i], strlen(paths[i])), 0);
        assert_int_equal(conf.id, 77);
        buf_deinit(&why);
    }
}

/* Reads an exact copy, so that the sanitizer sees a read past the end; whether it is taken. */
static bool try_bytes(const char *bytes, size_t len)
{
    struct conf conf;
    struct buf why = {0};
    char *copy = mem_dup(bytes, len);
    enum err err = conf_read("f", copy, len, &conf, &why);
    assert_true(err == ERR_OK || err == ERR_INVALID);
    assert_int_equal(err == ERR_OK, why.len == 0);
    if (err == ERR_OK)
        conf_deinit(&conf);
    else
        assert_int_equal(strncmp(buf_str(&why), "f:", 2), 0);
    mem_free(copy);
    buf_deinit(&why);
    return err == ERR_OK;
}

static void test_conf_truncated_anywhere_gives_value_or_message(void **state)
{
    (void)state;
    size_t taken = 0;
    for (size_t len = 0; len <= strlen(full); len++)
        taken += try_bytes(full, len);
    assert_true(taken > 0 && taken < strlen(full));
    assert_true(try_bytes(full, strlen(full)));
}

static void test_conf_random_bytes_give_value_or_message(void **state)
{
    (void)state;
    static const char alphabet[] = "[]=\"'#\\\n\r\t .,_-+0123456789idnametrue{}\x80\xe2\xff";
    uint64_t seed = seed_given != 0 ? seed_given : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng = {seed};
    for (int round = 0; round < 5000; round++) {
        char bytes[sizeof full];
        size_t len = (size_t)prng_below(&prng, 60);
        for (size_t i = 0; i < len; i++)
            bytes[i] = alphabet[prng_below(&prng, sizeof alphabet)];
        (void)try_bytes(bytes, len);
        memcpy(bytes, full, sizeof full); /* and a good file with a few wrong bytes */
        for (int i = 0; i < 3; i++)
            bytes[prng_below(&prng, sizeof full)] = alphabet[prng_below(&prng, sizeof alphabet)];
        (void)try_bytes(bytes, sizeof full - 1);
    }
}

static void test_conf_largest_id_is_a_string(void **state)
{
    (void)state;
    static const char text[] = "id = \"18446744073709551613\"\n[cluster]\n"
                               "members = [\"1=a:1\", \"18446744073709551613=http://b:1\"]\n";
    struct conf conf;
    struct buf why = {0};
    assert_int_equal(conf_read("f", text, strlen(text), &conf, &why), ERR_OK);
    assert_true(conf.id == UINT64_MAX - 2);
    assert_true(conf.cluster.members[1].id == UINT64_MAX - 2);
    assert_string_equal(conf.name, "n18446744073709551613");
    conf_deinit(&conf);
    assert_int_equal(conf_read("f", "id = '7'\n", 9, &conf, &why), ERR_OK);
    assert_true(conf.id == 7);
    conf_deinit(&conf);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed_given = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conf_bad_syntax_is_refused_with_line),
        cmocka_unit_test(test_conf_bad_values_are_refused_with_line),
        cmocka_unit_test(test_conf_bad_combinations_are_refused_with_line),
        cmocka_unit_test(test_conf_nul_byte_is_refused),
        cmocka_unit_test(test_conf_defaults_are_the_documented_ones),
        cmocka_unit_test(test_conf_sample_file_equals_the_defaults),
        cmocka_unit_test(test_conf_sample_file_shows_every_key),
        cmocka_unit_test(test_conf_cluster_files_are_taken),
        cmocka_unit_test(test_conf_every_key_is_read),
        cmocka_unit_test(test_conf_join_may_leave_itself_out),
        cmocka_unit_test(test_conf_member_alone_is_at_its_advertised_address),
        cmocka_unit_test(test_conf_largest_id_is_a_string),
        cmocka_unit_test(test_conf_load_unreadable_file_is_an_io_error),
        cmocka_unit_test(test_conf_truncated_anywhere_gives_value_or_message),
        cmocka_unit_test(test_conf_random_bytes_give_value_or_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
