/* Two tables, the verbs and the options, and the loop that looks them up. */
#include "floectl/args.h"

#include "base/parse.h"

#include <string.h>

struct verb {
    const char *name;
    const char *second; /* of verbs in two words */
    enum ctl_verb verb;
    size_t least; /* words that must follow */
    size_t most;
    const char *form;
    const char *options; /* those that it takes, blank before and behind each */
};

#define EVERYWHERE " --endpoints --timeout --json "

static const struct verb verbs[] = {
    {"put", NULL, CTL_PUT, 1, 2, "put KEY [VALUE]", " --lease --ttl --if-revision --if-absent "},
    {"get", NULL, CTL_GET, 1, 1, "get KEY",
     " --prefix --revision --limit --keys --raw --stale --reverse "},
    {"del", NULL, CTL_DEL, 1, 1, "del KEY", " --prefix --if-revision "},
    {"watch", NULL, CTL_WATCH, 1, 1, "watch KEY", " --prefix --from "},
    {"txn", NULL, CTL_TXN, 0, 1, "txn [FILE]", " "},
    {"lease", "grant", CTL_LEASE_GRANT, 1, 1, "lease grant SECONDS", " --lease "},
    {"lease", "revoke", CTL_LEASE_REVOKE, 1, 1, "lease revoke ID", " "},
    {"lease", "keepalive", CTL_LEASE_KEEPALIVE, 1, 1, "lease keepalive ID", " --once "},
    {"lease", "ttl", CTL_LEASE_TTL, 1, 1, "lease ttl ID", " --keys "},
    {"lease", "list", CTL_LEASE_LIST, 0, 0, "lease list", " "},
    {"member", "list", CTL_MEMBER_LIST, 0, 0, "member list", " "},
    {"member", "add", CTL_MEMBER_ADD, 2, 2, "member add ID http://HOST:PORT", " --learner "},
    {"member", "remove", CTL_MEMBER_REMOVE, 1, 1, "member remove ID", " "},
    {"member", "promote", CTL_MEMBER_PROMOTE, 1, 1, "member promote ID", " "},
    {"leader", NULL, CTL_LEADER, 0, 1, "leader [ID]", " "},
    {"status", NULL, CTL_STATUS, 0, 0, "status", " "},
};

static const char usage[] =
    "floectl: talks to a floe cluster\n"
    "\n"
    "  put KEY [VALUE]            store a value (from standard input if none is given)\n"
    "      --lease ID               it goes when this lease ends\n"
    "      --ttl SECONDS            it goes after that time, by a lease of its own\n"
    "      --if-revision N          only if the key was last changed at revision N\n"
    "      --if-absent              only if there is no such key\n"
    "  get KEY                    print a value\n"
    "      --prefix                 all keys that begin with KEY (\"\": all keys), a line each\n"
    "      --keys --limit N --reverse  names only; at most N; last one first\n"
    "      --revision N             as it was then\n"
    "      --stale                  what the node that answers has, be it old\n"
    "      --raw                    the value's bytes, without a line end behind\n"
    "  del KEY                    delete a key; --prefix: all that begin with KEY\n"
    "      --if-revision N          only if it was last changed at revision N\n"
    "  watch KEY                  print changes as they happen, until Ctrl-C\n"
    "      --prefix --from N        of all keys that begin with KEY; beginning with revision N\n"
    "  txn [FILE]                 do a transaction, described in JSON (from standard input)\n"
    "  lease grant SECONDS        a new lease; --lease ID: with this id\n"
    "  lease revoke|ttl ID        end it, with its keys; what remains of it (--keys)\n"
    "  lease keepalive ID         renew it until Ctrl-C, or --once\n"
    "  lease list\n"
    "  member list                who belongs to the cluster\n"
    "  member add ID http://HOST:PORT  a new member, that address being for its peers\n"
    "      --learner                it stays a learner until it is promoted\n"
    "  member remove|promote ID\n"
    "  leader [ID]                hand leadership over to ID, or to whom the leader finds best\n"
    "  status                     a line about every member\n"
    "\n"
    "everywhere:\n"
    "  --endpoints HOST:PORT,...  the nodes to talk to; any will do, the others are tried if it\n"
    "                             does not answer (FLOE_ENDPOINTS; else 127.0.0.1:12380)\n"
    "  --timeout SECONDS          give up after that time (10)\n"
    "  --json                     JSON, a line each\n"
    "  --                         what follows are no options\n"
    "\n"
    "exit status: 0 done; 1 there is no such thing, or the condition did not hold; 2 a wrong\n"
    "command line; 3 no node answered, nothing was done; 4 not known whether it was done; 5 "
    "refused\n";

const char *args_usage(void)
{
    return usage;
}

static bool takes(const struct verb *verb, const char *option)
{
    size_t len = strlen(option);
    const char *lists[] = {EVERYWHERE, verb->options};
    for (size_t i = 0; i < 2; i++)
        for (const char *at = lists[i]; (at = strstr(at, option)) != NULL; at += len)
            if (at[len] == ' ' && at > lists[i] && at[-1] == ' ')
                return true;
    return false;
}

/* ---- options ---- */

struct flag {
    const char *name;
    size_t offset; /* of a bool */
};

static const struct flag flags[] = {
    {"--json", offsetof(struct ctl_args, json)},
    {"--prefix", offsetof(struct ctl_args, prefix)},
    {"--keys", offsetof(struct ctl_args, keys)},
    {"--raw", offsetof(struct ctl_args, raw)},
    {"--stale", offsetof(struct ctl_args, stale)},
    {"--reverse", offsetof(struct ctl_args, reverse)},
    {"--if-absent", offsetof(struct ctl_args, absent)},
    {"--learner", offsetof(struct ctl_args, learner)},
    {"--once", offsetof(struct ctl_args, once)},
};

struct number {
    const char *name;
    size_t offset; /* of a uint64_t */
    size_t given;  /* of a bool, 0: none */
    uint64_t least;
    uint64_t most;
};

static const struct number numbers[] = {
    {"--revision", offsetof(struct ctl_args, revision), offsetof(struct ctl_args, has_revision), 1,
     INT64_MAX},
    {"--if-revision", offsetof(struct ctl_args, if_revision),
     offsetof(struct ctl_args, has_if_revision), 1, INT64_MAX},
    {"--from", offsetof(struct ctl_args, from), 0, 1, INT64_MAX},
    {"--limit", offsetof(struct ctl_args, limit), 0, 1, INT64_MAX},
    {"--lease", offsetof(struct ctl_args, lease), 0, 1, INT64_MAX},
    {"--ttl", offsetof(struct ctl_args, ttl_s), 0, 1, 9000000000},
    {"--timeout", offsetof(struct ctl_args, timeout_s), 0, 1, 86400},
};

static enum err set_number(const struct number *number, const char *text, struct ctl_args *out,
                           struct buf *why)
{
    uint64_t value;
    if (parse_u64(text, strlen(text), &value) != ERR_OK || value < number->least ||
        value > number->most) {
        buf_printf(why, "%s takes a number from %llu to %llu, not '%s'", number->name,
                   (unsigned long long)number->least, (unsigned long long)number->most, text);
        return ERR_INVALID;
    }
    memcpy((char *)out + number->offset, &value, sizeof value);
    if (number->given != 0)
        *((bool *)((char *)out + number->given)) = true;
    return ERR_OK;
}

static const struct number *number_named(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strlen(numbers[i].name) == len && strncmp(numbers[i].name, name, len) == 0)
            return &numbers[i];
    return NULL;
}

static bool set_flag(const char *name, struct ctl_args *out)
{
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(flags[i].name, name) == 0) {
            *((bool *)((char *)out + flags[i].offset)) = true;
            return true;
        }
    }
    return false;
}

/* An option at argv[*at], with its value behind = or in the next argument. */
static enum err one_option(int argc, char *const *argv, int *at, struct ctl_args *out,
                           struct buf *why)
{
    const char *text = argv[*at];
    if (set_flag(text, out))
        return ERR_OK;
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const struct number *number = number_named(text, len);
    bool endpoints = len == 11 && strncmp(text, "--endpoints", len) == 0;
    if (number == NULL && !endpoints) {
        buf_printf(why, "there is no option '%s'", text);
        return ERR_INVALID;
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (value == NULL || value[0] == 0) {
        buf_printf(why, "%.*s needs a value", (int)len, text);
        return ERR_INVALID;
    }
    if (endpoints) {
        out->endpoints = value;
        return ERR_OK;
    }
    return set_number(number, value, out, why);
}

/* ---- verbs ---- */

static const struct verb *verb_of(const char *const *words, size_t count)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        const struct verb *verb = &verbs[i];
        if (count == 0 || strcmp(verb->name, words[0]) != 0)
            continue;
        if (verb->second == NULL || (count > 1 && strcmp(verb->second, words[1]) == 0))
            return verb;
    }
    return NULL;
}

static enum err say_unknown_verb(const char *const *words, size_t count, struct buf *why)
{
    if (count == 0) {
        buf_printf(why, "what shall be done? (see floectl --help)");
        return ERR_INVALID;
    }
    bool half = false; /* the first word of a verb in two */
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, words[0]) != 0)
            continue;
        buf_printf(why, half ? ", %s" : "floectl knows: %s", verbs[i].form);
        half = true;
    }
    if (!half)
        buf_printf(why, "there is no '%s' (see floectl --help)", words[0]);
    return ERR_INVALID;
}

static enum err check_options(int argc, char *const *argv, const struct verb *verb, struct buf *why)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        char name[24] = {0};
        size_t len = strcspn(argv[i], "=");
        if (strncmp(argv[i], "--", 2) != 0 || len >= sizeof name)
            continue;
        memcpy(name, argv[i], len);
        bool known = number_named(name, len) != NULL || strcmp(name, "--endpoints") == 0;
        if (!takes(verb, name)) {
            buf_printf(why, "%s has no meaning for '%s'", name, verb->form);
            return ERR_INVALID;
        }
        if (known && argv[i][len] == 0)
            i++; /* its value */
    }
    return ERR_OK;
}

static enum err check_together(const struct ctl_args *args, struct buf *why)
{
    const char *text = NULL;
    if (args->absent && args->has_if_revision)
        text = "--if-absent and --if-revision exclude each other";
    else if (args->lease != 0 && args->ttl_s != 0)
        text = "--lease and --ttl exclude each other";
    else if (args->raw && (args->json || args->prefix))
        text = "--raw is for the value of one key";
    else if (args->prefix && args->has_if_revision)
        text = "--if-revision is for one key";
    else if (!args->prefix && args->verb == CTL_GET && (args->limit != 0 || args->reverse))
        text = "--limit and --reverse go with --prefix";
    else if (!args->prefix && args->verb <= CTL_WATCH && args->words[0][0] == 0)
        text = "a key has at least one byte";
    if (text == NULL)
        return ERR_OK;
    buf_printf(why, "%s", text);
    return ERR_INVALID;
}

#define WORDS_MAX 4

static enum err settle(int argc, char *const *argv, const char *const *words, size_t count,
                       struct ctl_args *out, struct buf *why)
{
    const struct verb *verb = verb_of(words, count);
    if (verb == NULL)
        return say_unknown_verb(words, count, why);
    size_t skip = verb->second != NULL ? 2 : 1;
    out->verb = verb->verb;
    out->word_count = count - skip;
    if (out->word_count < verb->least || out->word_count > verb->most) {
        buf_printf(why, "it is: floectl %s", verb->form);
        return ERR_INVALID;
    }
    for (size_t i = 0; i < out->word_count; i++)
        out->words[i] = words[skip + i];
    enum err err = check_options(argc, argv, verb, why);
    return err == ERR_OK ? check_together(out, why) : err;
}

enum err args_parse(int argc, char *const *argv, struct ctl_args *out, struct buf *why)
{
    const char *words[WORDS_MAX];
    size_t count = 0;
    bool only_words = false;
    *out = (struct ctl_args){.timeout_s = 10};
    for (int i = 1; i < argc; i++) {
        enum err err = ERR_OK;
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            out->verb = CTL_HELP;
            return ERR_OK;
        } else if (!only_words && strcmp(argv[i], "--version") == 0) {
            out->verb = CTL_VERSION;
            return ERR_OK;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != 0) {
            err = one_option(argc, argv, &i, out, why);
        } else if (count == WORDS_MAX) {
            buf_printf(why, "'%s' is one word too many", argv[i]);
            err = ERR_INVALID;
        } else {
            words[count++] = argv[i];
        }
        if (err != ERR_OK)
            return err;
    }
    return settle(argc, argv, words, count, out, why);
}
