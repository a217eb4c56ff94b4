/* The form of each command: how many words, which options. A command that is not in the table looks
 * at its arguments itself. */
#include "env.h"

#include <stdint.h>
#include <string.h>

struct form {
    const char *command;
    size_t words_min;
    size_t words_max;
    const char *options; /* names between blanks; NULL: the command knows them itself */
};

static const struct form forms[] = {
    {"add-nodes", 1, 1, NULL},
    {"campaign", 1, 1, ""},
    {"propose-conf-change", 1, 1, " v1 transition "},
    {"process-ready", 0, SIZE_MAX, ""},
    {"deliver-msgs", 0, SIZE_MAX, " drop type "},
    {"stabilize", 0, SIZE_MAX, " log-level "},
    {"process-append-thread", 0, SIZE_MAX, ""},
    {"process-apply-thread", 0, SIZE_MAX, ""},
    {"tick-election", 1, 1, ""},
    {"tick-heartbeat", 1, 1, ""},
    {"set-randomized-election-timeout", 1, 1, " timeout "},
    {"transfer-leadership", 0, 0, " from to "},
    {"forget-leader", 1, 1, ""},
    {"report-unreachable", 2, 2, ""},
    {"compact", 2, 2, ""},
    {"send-snapshot", 2, 2, ""},
    {"raft-log", 1, 1, ""},
    {"raft-state", 0, 0, ""},
    {"status", 1, 1, ""},
    {"report-snapshot", 2, 2, " status "},
    {"step", 1, 1, NULL},
    {"restart", 1, 1, ""},
};

static bool is_option(const struct form *form, const char *key)
{
    struct buf name = {0};
    buf_printf(&name, " %s ", key);
    bool known = form->options == NULL || strstr(form->options, buf_str(&name)) != NULL;
    buf_deinit(&name);
    return known;
}

/* The reference lets drop be given several times. */
static bool is_repeated(const struct script_directive *d, const struct script_arg *arg)
{
    return strcmp(arg->key, "drop") != 0 && script_find(d, arg->key) != arg;
}

const char *env_check_form(const struct script_directive *d, struct buf *why)
{
    const struct form *form = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(forms[i].command, d->command) == 0)
            form = &forms[i];
    if (form == NULL)
        return NULL;
    size_t words = 0;
    for (size_t i = 0; i < d->arg_count; i++) {
        const struct script_arg *arg = &d->args[i];
        words += arg->value_count == 0;
        if (arg->value_count == 0)
            continue;
        if (!is_option(form, arg->key))
            buf_printf(why, "unknown option %s of %s", arg->key, d->command);
        else if (is_repeated(d, arg))
            buf_printf(why, "option %s of %s is given twice", arg->key, d->command);
        if (why->len > 0)
            return buf_str(why);
    }
    if (words >= form->words_min && words <= form->words_max)
        return NULL;
    buf_printf(why, "%s takes another number of arguments, not %zu", d->command, words);
    return buf_str(why);
}
