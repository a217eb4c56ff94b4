/* The schema is one table: key, type, range and where the value goes. What one key cannot know
 * (addresses that need `insecure`, members that clash) is checked when all have been read. */
#include "floed/conf.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "floed/conf_parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX (1u << 20)
#define CLUSTER_NAME_MAX 128
#define MEMBERS_MAX 64

enum field_kind {
    FIELD_ID,
    FIELD_U64,
    FIELD_U32,
    FIELD_SIZE,
    FIELD_BOOL,
    FIELD_TEXT,
    FIELD_ADDR,
    FIELD_LEVEL,
    FIELD_SYNC,
    FIELD_MEMBERS
};

struct field {
    const char *table;
    const char *key;
    enum field_kind kind;
    size_t offset;
    int64_t min; /* integers: range; text: length in bytes */
    int64_t max;
};

#define AT(member) offsetof(struct conf, member)
#define HOUR_MS INT64_C(3600000)

static const struct field fields[] = {
    {"", "id", FIELD_ID, AT(id), 0, 0},
    {"", "name", FIELD_TEXT, AT(name), 1, 63},
    {"", "data_dir", FIELD_TEXT, AT(data_dir), 1, 4000},
    {"http", "listen", FIELD_ADDR, AT(http.listen), 0, 0},
    {"http", "advertise", FIELD_ADDR, AT(http.advertise), 0, 0},
    {"http", "insecure", FIELD_BOOL, AT(http.insecure), 0, 0},
    {"http", "header_timeout_ms", FIELD_U32, AT(http.header_timeout_ms), 10, HOUR_MS},
    {"http", "body_timeout_ms", FIELD_U32, AT(http.body_timeout_ms), 10, HOUR_MS},
    {"http", "idle_timeout_ms", FIELD_U32, AT(http.idle_timeout_ms), 10, 24 * HOUR_MS},
    {"http", "allow_origin", FIELD_TEXT, AT(http.allow_origin), 0, 255},
    {"peer", "listen", FIELD_ADDR, AT(peer.listen), 0, 0},
    {"peer", "advertise", FIELD_ADDR, AT(peer.advertise), 0, 0},
    {"peer", "insecure", FIELD_BOOL, AT(peer.insecure), 0, 0},
    {"cluster", "name", FIELD_TEXT, AT(cluster.name), 1, CLUSTER_NAME_MAX},
    {"cluster", "members", FIELD_MEMBERS, 0, 0, 0},
    {"cluster", "join", FIELD_BOOL, AT(cluster.join), 0, 0},
    {"raft", "heartbeat_ms", FIELD_U32, AT(raft.heartbeat_ms), 5, 60000},
    {"raft", "election_ms", FIELD_U32, AT(raft.election_ms), 10, 600000},
    {"raft", "snapshot_entries", FIELD_U64, AT(raft.snapshot_entries), 0, INT64_MAX},
    {"limits", "key_bytes", FIELD_SIZE, AT(limits.key_bytes), 1, 1 << 20},
    {"limits", "value_bytes", FIELD_SIZE, AT(limits.value_bytes), 1, 32 << 20},
    {"limits", "body_bytes", FIELD_SIZE, AT(limits.body_bytes), 1024, 1 << 30},
    {"limits", "pending_bytes", FIELD_SIZE, AT(limits.pending_bytes), 65536, INT64_C(1) << 40},
    {"limits", "connections", FIELD_SIZE, AT(limits.connections), 1, 1 << 20},
    {"limits", "request_timeout_ms", FIELD_U32, AT(limits.request_timeout_ms), 10, HOUR_MS},
    {"store", "history_s", FIELD_U64, AT(store.history_s), 1, INT64_C(1) << 32},
    {"store", "history_bytes", FIELD_U64, AT(store.history_bytes), 65536, INT64_C(1) << 50},
    {"storage", "sync", FIELD_SYNC, AT(storage.sync), 0, 0},
    {"log", "level", FIELD_LEVEL, AT(log_level), 0, 0},
};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])

struct reading {
    const char *file;
    struct buf *why;
    struct conf conf;
    unsigned line_of[FIELD_COUNT]; /* 0: not given */
    char tables[16][65];
    size_t table_count;
};

/* text may quote a string of the file, which can hold a tab or an escaped control character: shown
 * as they are they could write over the operator's terminal. */
static enum err refuse(struct reading *reading, unsigned line, const char *text, const char *what)
{
    struct buf *why = reading->why;
    if (why->len > 0)
        return ERR_INVALID;
    buf_printf(why, "%s:%u: %s%s", reading->file, line, text, what);
    for (size_t i = strlen(reading->file); i < why->len; i++)
        if (why->data[i] < ' ' || why->data[i] == 0x7f)
            why->data[i] = '?';
    return ERR_INVALID;
}

/* ---- one key --------------------------------------------------------------------------------- */

static enum err set_text(char **slot, const char *text)
{
    char *copy = mem_strdup(text);
    mem_free(*slot);
    *slot = copy;
    return ERR_OK;
}

/* An integer, or a string with what TOML's integers cannot hold. */
static enum err set_id(struct reading *reading, const struct field *field,
                       const struct conf_value *value)
{
    uint64_t *slot = (uint64_t *)(void *)((char *)&reading->conf + field->offset);
    char digits[24];
    const char *text = digits;
    if (value->type == CONF_INTEGER)
        (void)snprintf(digits, sizeof digits, "%" PRId64, value->integer);
    else if (value->type == CONF_STRING)
        text = value->string;
    else
        return refuse(reading, value->line, field->key, " must be an integer or a string of one");
    const char *why = "";
    if (parse_member_id(text, strlen(text), slot, &why) != ERR_OK)
        return refuse(reading, value->line, "id: ", why);
    return ERR_OK;
}

static enum err set_integer(struct reading *reading, const struct field *field,
                            const struct conf_value *value)
{
    void *slot = (char *)&reading->conf + field->offset;
    if (value->type != CONF_INTEGER)
        return refuse(reading, value->line, field->key, " must be an integer");
    if (value->integer < field->min || value->integer > field->max) {
        char range[96];
        (void)snprintf(range, sizeof range, " must be from %" PRId64 " to %" PRId64, field->min,
                       field->max);
        return refuse(reading, value->line, field->key, range);
    }
    if (field->kind == FIELD_U32)
        *(uint32_t *)slot = (uint32_t)value->integer;
    else if (field->kind == FIELD_SIZE)
        *(size_t *)slot = (size_t)value->integer;
    else
        *(uint64_t *)slot = (uint64_t)value->integer;
    return ERR_OK;
}

static enum err set_string(struct reading *reading, const struct field *field,
                           const struct conf_value *value)
{
    char **slot = (char **)(void *)((char *)&reading->conf + field->offset);
    if (value->type != CONF_STRING)
        return refuse(reading, value->line, field->key, " must be a string");
    size_t len = strlen(value->string);
    if (len < (size_t)field->min)
        return refuse(reading, value->line, field->key, " must not be empty");
    if (len > (size_t)field->max)
        return refuse(reading, value->line, field->key, " is too long");
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value->string[i] < ' ')
            return refuse(reading, value->line, field->key, " has a control character");
    return set_text(slot, value->string);
}

static enum err set_addr(struct reading *reading, const struct field *field,
                         const struct conf_value *value)
{
    struct addr *slot = (struct addr *)(void *)((char *)&reading->conf + field->offset);
    if (value->type != CONF_STRING)
        return refuse(reading, value->line, field->key, " must be a string");
    bool advertise = strcmp(field->key, "advertise") == 0;
    if (advertise && value->string[0] == 0)
        return ERR_OK; /* the default, written out */
    const char *why = "";
    if (addr_parse(value->string, strlen(value->string), slot, &why) == ERR_OK)
        return ERR_OK;
    char text[160];
    (void)snprintf(text, sizeof text, "%s: ", field->key);
    return refuse(reading, value->line, text, why);
}

static enum err set_level(struct reading *reading, const struct conf_value *value)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    for (size_t i = 0; value->type == CONF_STRING && i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(value->string, log_level_name(levels[i])) == 0) {
            reading->conf.log_level = levels[i];
            return ERR_OK;
        }
    }
    return refuse(reading, value->line, "level must be",
                  " \"debug\", \"info\", \"warn\" or \"error\"");
}

static enum err set_sync(struct reading *reading, const struct conf_value *value)
{
    static const char *const names[] = {
        [CONF_SYNC_AUTO] = "auto",
        [CONF_SYNC_DIRECT] = "direct",
        [CONF_SYNC_URING] = "uring",
        [CONF_SYNC_INLINE] = "inline",
    };
    for (size_t i = 0; value->type == CONF_STRING && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value->string, names[i]) == 0) {
            reading->conf.storage.sync = (enum conf_sync)i;
            return ERR_OK;
        }
    }
    return refuse(reading, value->line, "sync must be",
                  " \"auto\", \"direct\", \"uring\" or \"inline\"");
}

static enum err set_member(struct reading *reading, const struct conf_value *item,
                           struct conf_member *out)
{
    if (item->type != CONF_STRING)
        return refuse(reading, item->line, "members must be strings",
                      " like \"1=http://host:port\"");
    const char *equals = strchr(item->string, '=');
    if (equals == NULL)
        return refuse(reading, item->line, "a member must be ID=ADDRESS: ", item->string);
    const char *why = "";
    if (parse_member_id(item->string, (size_t)(equals - item->string), &out->id, &why) != ERR_OK)
        return refuse(reading, item->line, "the id of a member: ", why);
    if (addr_parse(equals + 1, strlen(equals + 1), &out->address, &why) != ERR_OK)
        return refuse(reading, item->line, "members: ", why);
    if (addr_is_wildcard(&out->address))
        return refuse(reading, item->line, "members: nobody can connect to ", equals + 1);
    return ERR_OK;
}

static enum err set_members(struct reading *reading, const struct conf_value *value)
{
    if (value->type != CONF_ARRAY)
        return refuse(reading, value->line, "members must be an array", " of strings");
    if (value->item_count == 0 || value->item_count > MEMBERS_MAX)
        return refuse(reading, value->line, "members must be", " from 1 to 64");
    mem_free(reading->conf.cluster.members);
    struct conf_member *members = mem_calloc(value->item_count, sizeof *members);
    reading->conf.cluster.members = members;
    reading->conf.cluster.member_count = 0;
    for (size_t i = 0; i < value->item_count; i++) {
        enum err err = set_member(reading, &value->items[i], &members[i]);
        if (err != ERR_OK)
            return err;
        char text[ADDR_TEXT_MAX];
        char other[ADDR_TEXT_MAX];
        addr_format(&members[i].address, text);
        for (size_t j = 0; j < i; j++) {
            addr_format(&members[j].address, other);
            if (members[j].id == members[i].id || strcmp(text, other) == 0)
                return refuse(reading, value->items[i].line,
                              "members: id or address is there twice: ", value->items[i].string);
        }
        reading->conf.cluster.member_count++;
    }
    return ERR_OK;
}

static enum err set_field(struct reading *reading, const struct field *field,
                          const struct conf_value *value)
{
    switch (field->kind) {
    case FIELD_ID: return set_id(reading, field, value);
    case FIELD_U64:
    case FIELD_U32:
    case FIELD_SIZE: return set_integer(reading, field, value);
    case FIELD_TEXT: return set_string(reading, field, value);
    case FIELD_ADDR: return set_addr(reading, field, value);
    case FIELD_LEVEL: return set_level(reading, value);
    case FIELD_SYNC: return set_sync(reading, value);
    case FIELD_MEMBERS: return set_members(reading, value);
    case FIELD_BOOL:
        if (value->type != CONF_BOOLEAN)
            return refuse(reading, value->line, field->key, " must be true or false");
        *(bool *)((char *)&reading->conf + field->offset) = value->boolean;
        return ERR_OK;
    }
    return ERR_INVALID;
}

static enum err on_key(void *arg, const char *table, const char *key,
                       const struct conf_value *value)
{
    struct reading *reading = arg;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].table, table) != 0 || strcmp(fields[i].key, key) != 0)
            continue;
        if (reading->line_of[i] != 0)
            return refuse(reading, value->line, "this key is there twice: ", key);
        reading->line_of[i] = value->line;
        return set_field(reading, &fields[i], value);
    }
    return refuse(reading, value->line, "unknown key: ", key);
}

static enum err on_table(void *arg, const char *table, unsigned line)
{
    struct reading *reading = arg;
    bool known = false;
    for (size_t i = 0; i < FIELD_COUNT; i++)
        known = known || strcmp(fields[i].table, table) == 0;
    if (!known)
        return refuse(reading, line, "unknown table: ", table);
    for (size_t i = 0; i < reading->table_count; i++)
        if (strcmp(reading->tables[i], table) == 0)
            return refuse(reading, line, "this table is there twice: ", table);
    ASSERT(reading->table_count < sizeof reading->tables / sizeof reading->tables[0]);
    (void)snprintf(reading->tables[reading->table_count++], sizeof reading->tables[0], "%s", table);
    return ERR_OK;
}

/* ---- all keys together ----------------------------------------------------------------------- */

/* Line of the key, 0: it is not given. */
static unsigned given_at(const struct reading *reading, const char *table, const char *key)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (strcmp(fields[i].table, table) == 0 && strcmp(fields[i].key, key) == 0)
            return reading->line_of[i];
    return 0;
}

/* Where to look at: the key, or what it clashes with when the key itself is at its default. */
static unsigned line_of(const struct reading *reading, const char *table, const char *key,
                        const char *other)
{
    unsigned line = given_at(reading, table, key);
    if (line == 0 && other != NULL)
        line = given_at(reading, table, other);
    return line != 0 ? line : 1;
}

static enum err check_listener(struct reading *reading, const char *table,
                               const struct addr *listen, struct addr *advertise, bool insecure)
{
    unsigned line = line_of(reading, table, "listen", NULL);
    if (!addr_is_loopback(listen) && !insecure)
        return refuse(reading, line, "listening beyond loopback without TLS needs insecure = true",
                      "");
    if (advertise->port == 0) {
        if (addr_is_wildcard(listen))
            return refuse(reading, line, "listening on all addresses needs advertise: ",
                          "others must know where to connect");
        *advertise = *listen;
    }
    if (addr_is_wildcard(advertise))
        return refuse(reading, line_of(reading, table, "advertise", NULL),
                      "nobody can connect to this advertise address", "");
    return ERR_OK;
}

static enum err check_members(struct reading *reading)
{
    struct conf *conf = &reading->conf;
    if (conf->cluster.member_count == 0) {
        conf->cluster.members = mem_calloc(1, sizeof *conf->cluster.members);
        conf->cluster.members[0] =
            (struct conf_member){.id = conf->id, .address = conf->peer.advertise};
        conf->cluster.member_count = 1;
        return conf->cluster.join ? refuse(reading, line_of(reading, "cluster", "join", NULL),
                                           "join needs members: whom should it join?", "")
                                  : ERR_OK;
    }
    for (size_t i = 0; i < conf->cluster.member_count; i++)
        if (conf->cluster.members[i].id == conf->id)
            return ERR_OK;
    return conf->cluster.join ? ERR_OK
                              : refuse(reading, line_of(reading, "cluster", "members", NULL),
                                       "members must include this node's own id", "");
}

static enum err check_all(struct reading *reading)
{
    struct conf *conf = &reading->conf;
    unsigned peer_line = given_at(reading, "peer", "listen");
    enum err err = check_listener(reading, "http", &conf->http.listen, &conf->http.advertise,
                                  conf->http.insecure);
    if (err == ERR_OK)
        err = check_listener(reading, "peer", &conf->peer.listen, &conf->peer.advertise,
                             conf->peer.insecure);
    if (err == ERR_OK && conf->http.listen.port == conf->peer.listen.port &&
        strcmp(conf->http.listen.host, conf->peer.listen.host) == 0)
        err = refuse(reading, peer_line != 0 ? peer_line : line_of(reading, "http", "listen", NULL),
                     "http and peer cannot listen on the same address", "");
    if (err == ERR_OK && conf->raft.election_ms < 3 * (uint64_t)conf->raft.heartbeat_ms)
        err = refuse(reading, line_of(reading, "raft", "election_ms", "heartbeat_ms"),
                     "election_ms must be at least three times heartbeat_ms", "");
    if (err == ERR_OK && conf->limits.body_bytes < conf->limits.value_bytes)
        err = refuse(reading, line_of(reading, "limits", "body_bytes", "value_bytes"),
                     "body_bytes must be at least value_bytes", "");
    if (err == ERR_OK && conf->limits.pending_bytes < 2 * conf->limits.value_bytes)
        err = refuse(reading, line_of(reading, "limits", "pending_bytes", "value_bytes"),
                     "pending_bytes must be at least twice value_bytes", "");
    return err == ERR_OK ? check_members(reading) : err;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static struct addr loopback(uint16_t port)
{
    return (struct addr){.host = "127.0.0.1", .port = port};
}

/* Defaults of single keys; id 0, no name and no advertise are filled in after reading. */
static void set_defaults(struct conf *out)
{
    *out = (struct conf){
        .id = 1,
        .data_dir = mem_strdup("floe-data"),
        .http = {.listen = loopback(12380),
                 .header_timeout_ms = 5000,
                 .body_timeout_ms = 5000,
                 .idle_timeout_ms = 120000,
                 .allow_origin = mem_strdup("")},
        .peer = {.listen = loopback(12379)},
        .cluster = {.name = mem_strdup("floe")},
        .raft = {.heartbeat_ms = 100, .election_ms = 1000, .snapshot_entries = 0},
        .limits = {.key_bytes = 16384,
                   .value_bytes = 1572864,
                   .body_bytes = 8388608,
                   .pending_bytes = 67108864,
                   .connections = 16384,
                   .request_timeout_ms = 5000},
        .store = {.history_s = 3600, .history_bytes = 32000000},
        .log_level = LOG_INFO,
    };
}

static void name_by_id(struct conf *conf)
{
    if (conf->name != NULL)
        return;
    char name[32];
    (void)snprintf(name, sizeof name, "n%" PRIu64, conf->id);
    conf->name = mem_strdup(name);
}

enum err conf_read(const char *name, const char *text, size_t len, struct conf *out,
                   struct buf *why)
{
    struct reading reading = {.file = name, .why = why};
    set_defaults(&reading.conf);
    struct conf_source source = {.name = name,
                                 .text = text,
                                 .len = len,
                                 .on_table = on_table,
                                 .on_key = on_key,
                                 .arg = &reading};
    enum err err = conf_parse(&source, why);
    if (err == ERR_OK && reading.line_of[0] == 0)
        err = refuse(&reading, 1, "id is missing", "");
    if (err == ERR_OK)
        err = check_all(&reading);
    if (err != ERR_OK) {
        conf_deinit(&reading.conf);
        return err;
    }
    name_by_id(&reading.conf);
    *out = reading.conf;
    return ERR_OK;
}

void conf_defaults(struct conf *out)
{
    struct buf why = {0};
    enum err err = conf_read("defaults", "id = 1\n", 7, out, &why);
    ASSERT(err == ERR_OK);
    buf_deinit(&why);
}

enum err conf_load(const char *path, struct conf *out, struct buf *why)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        buf_printf(why, "%s: %s", path, strerror(errno));
        return ERR_IO;
    }
    struct buf text = {0};
    size_t got = fread(buf_reserve(&text, FILE_BYTES_MAX + 1), 1, FILE_BYTES_MAX + 1, file);
    text.len = got;
    enum err err = ERR_OK;
    if (ferror(file) != 0 || got > FILE_BYTES_MAX) {
        buf_printf(why, "%s: %s", path,
                   got > FILE_BYTES_MAX ? "larger than 1 MiB" : strerror(errno));
        err = ERR_IO;
    }
    (void)fclose(file);
    if (err == ERR_OK)
        err = conf_read(path, (const char *)text.data, text.len, out, why);
    buf_deinit(&text);
    return err;
}

void conf_deinit(struct conf *conf)
{
    mem_free(conf->name);
    mem_free(conf->data_dir);
    mem_free(conf->http.allow_origin);
    mem_free(conf->cluster.name);
    mem_free(conf->cluster.members);
    *conf = (struct conf){0};
}
