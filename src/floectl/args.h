/* The command line of floectl: what was asked for, or one sentence about what is wrong with it. */
#ifndef FLOECTL_ARGS_H
#define FLOECTL_ARGS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ctl_verb {
    CTL_NONE = 0,
    CTL_HELP,
    CTL_VERSION,
    CTL_PUT,
    CTL_GET,
    CTL_DEL,
    CTL_WATCH,
    CTL_TXN,
    CTL_LEASE_GRANT,
    CTL_LEASE_REVOKE,
    CTL_LEASE_KEEPALIVE,
    CTL_LEASE_TTL,
    CTL_LEASE_LIST,
    CTL_MEMBER_LIST,
    CTL_MEMBER_ADD,
    CTL_MEMBER_REMOVE,
    CTL_MEMBER_PROMOTE,
    CTL_LEADER,
    CTL_STATUS,
};

/* Texts are borrowed from the arguments. */
struct ctl_args {
    enum ctl_verb verb;
    const char *words[2]; /* behind the verb; NULL where not given */
    size_t word_count;
    const char *endpoints; /* NULL: not given */
    bool json;
    bool prefix;
    bool keys;    /* names only */
    bool raw;     /* a value's bytes only, without a line end */
    bool stale;   /* what the node has, be it old */
    bool reverse; /* last key first */
    bool absent;  /* only if there is no such key */
    bool learner;
    bool once;
    /* Numbers; has_* tells a 0 that was given. */
    bool has_revision;
    uint64_t revision;
    bool has_if_revision;
    uint64_t if_revision;
    uint64_t from; /* revision to watch from; 0: from now on */
    uint64_t limit;
    uint64_t lease;
    uint64_t ttl_s;
    uint64_t timeout_s; /* 10 unless given */
};

/* ERR_INVALID with a sentence in why. --help and --version win over everything behind them. */
enum err args_parse(int argc, char *const *argv, struct ctl_args *out, struct buf *why) MUST_USE;
/* Everything that --help says. */
const char *args_usage(void);

#endif
