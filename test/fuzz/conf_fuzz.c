/* The configuration file: a configuration that keeps its own promises, or one printable line that
 * names file and line; then nothing of the output is touched. */
#include "base/assert.h"
#include "floed/conf.h"
#include "input.h"

#include <string.h>

static void check_refusal(struct buf *why, size_t lines)
{
    const char *text = buf_str(why);
    ASSERT(why->len == strlen(text) && strncmp(text, "file:", 5) == 0);
    size_t digits = strspn(text + 5, "0123456789");
    size_t line = 0;
    for (size_t i = 0; i < digits && i < 9; i++)
        line = line * 10 + (size_t)(text[5 + i] - '0');
    ASSERT(digits > 0 && line >= 1 && line <= lines + 1);
    ASSERT(strncmp(text + 5 + digits, ": ", 2) == 0 && text[5 + digits + 2] != '\0');
    for (; *text != '\0'; text++)
        ASSERT_MSG((unsigned char)*text >= ' ' && *text != 0x7f, "a control character is shown");
}

static void check_conf(const struct conf *conf)
{
    ASSERT(conf->id > 0 && conf->data_dir != NULL && conf->data_dir[0] != '\0');
    ASSERT(conf->cluster.name != NULL && conf->name != NULL);
    ASSERT(conf->raft.heartbeat_ms > 0 && conf->raft.election_ms > conf->raft.heartbeat_ms);
    ASSERT(conf->limits.pending_bytes > 0 && conf->limits.connections > 0);
    for (size_t i = 0; i < conf->cluster.member_count; i++)
        for (size_t k = 0; k < i; k++)
            ASSERT(conf->cluster.members[i].id != conf->cluster.members[k].id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf conf;
    struct conf untouched;
    memset(&conf, 0x5a, sizeof conf);
    memset(&untouched, 0x5a, sizeof untouched);
    struct buf why = {0};
    size_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    enum err err = conf_read("file", (const char *)data, size, &conf, &why);
    if (err == ERR_OK) {
        check_conf(&conf);
        conf_deinit(&conf);
    } else {
        ASSERT(err == ERR_INVALID);
        ASSERT(memcmp(&conf, &untouched, sizeof conf) == 0);
        check_refusal(&why, lines);
    }
    buf_deinit(&why);
    return 0;
}
