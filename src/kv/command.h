/*
 * Commands: what a log entry asks of the store, as values and as bytes.
 *
 * A command is decoded from bytes that any member may have written, so the decoder bounds
 * everything (depth, number of operations) before it allocates.
 */
#ifndef KV_COMMAND_H
#define KV_COMMAND_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Part of the state machine: these must never depend on configuration. */
#define KV_ITEM_MAX_BYTES (64U * 1024 * 1024) /* key and value together */
#define KV_TXN_OPS_MAX 128                    /* compares, and operations, of one branch */
#define KV_TXN_DEPTH_MAX 8
#define KV_TXN_TOTAL_MAX 8192 /* compares and operations of all branches together */
#define KV_BATCH_OPS_MAX 65536
#define KV_TICKET_BYTES_MAX 128 /* of an idempotency key */

struct kv_bytes { /* borrowed; data may be NULL if len is 0 */
    const uint8_t *data;
    size_t len;
};

/* Which keys. An empty key is refused, whatever the extent. */
enum kv_extent {
    KV_ONE_KEY = 0,
    KV_HALF_OPEN = 1, /* [key, end); empty if end <= key */
    KV_FROM_KEY = 2,  /* all keys >= key */
};
struct kv_keys {
    enum kv_extent extent;
    struct kv_bytes key;
    struct kv_bytes end;
};

enum kv_target { KV_VERSION = 0, KV_CREATE = 1, KV_MOD = 2, KV_VALUE = 3, KV_LEASE = 4 };
enum kv_relation { KV_EQUAL = 0, KV_GREATER = 1, KV_LESS = 2, KV_NOT_EQUAL = 3 };

/* With a range: true if it holds for every key in it; an empty range, like a missing key, compares
 * as zeros. KV_VALUE of a missing key is false for every relation. */
struct kv_compare {
    struct kv_keys keys;
    enum kv_target target;
    enum kv_relation relation;
    uint64_t number;       /* all targets but KV_VALUE */
    struct kv_bytes value; /* KV_VALUE */
};

/* KV_OP_NONE: an operation without a kind that we know; refused when applied. */
enum kv_op_type {
    KV_OP_NONE = 0,
    KV_OP_PUT = 1,
    KV_OP_DELETE = 2,
    KV_OP_RANGE = 3,
    KV_OP_TXN = 4,
    KV_OP_GRANT = 5
};

struct kv_put {
    struct kv_bytes key; /* not empty */
    struct kv_bytes value;
    uint64_t lease;  /* 0 = none: the key is taken off its lease */
    bool keep_value; /* ignore_value: the key must exist; value is empty */
    bool keep_lease; /* ignore_lease: likewise; lease is 0 */
    bool want_prev;
};

struct kv_delete {
    struct kv_keys keys;
    bool want_prev;
};

enum kv_order { KV_ORDER_NONE = 0, KV_ASCEND = 1, KV_DESCEND = 2 };
enum kv_sort { KV_BY_KEY = 0, KV_BY_VERSION = 1, KV_BY_CREATE = 2, KV_BY_MOD = 3, KV_BY_VALUE = 4 };

/* A read; also of its own, not only inside of a transaction. */
struct kv_range {
    struct kv_keys keys;
    uint64_t revision; /* 0 = newest */
    uint64_t limit;    /* 0 = none; applied after filters and sorting */
    enum kv_order order;
    enum kv_sort sort;
    bool keys_only;
    bool count_only;
    uint64_t min_mod, max_mod, min_create, max_create; /* 0 = no filter */
};

struct kv_txn {
    struct kv_compare *compares; /* ANDed; none = true */
    size_t compare_count;
    struct kv_op *success;
    size_t success_count;
    struct kv_op *failure;
    size_t failure_count;
};

/* A lease that comes into being together with what is bound to it. */
struct kv_grant {
    uint64_t id; /* not 0 */
    uint64_t ttl_s;
};

struct kv_op {
    enum kv_op_type type;
    union {
        struct kv_put put;
        struct kv_delete del;
        struct kv_range range;
        struct kv_txn txn;
        struct kv_grant grant;
    };
};

enum kv_command_type {
    KV_COMMAND_OP = 1,         /* one operation, one revision */
    KV_COMMAND_BATCH = 2,      /* independent puts and deletes, a revision each */
    KV_COMMAND_REVOKE = 3,     /* a client gives a lease back */
    KV_COMMAND_EXPIRE = 4,     /* leases ran out, says the leader of `term`; void in another term */
    KV_COMMAND_CHECKPOINT = 5, /* what remains of leases, says the leader of `term`; likewise */
    KV_COMMAND_COMPACT = 6,
    KV_COMMAND_FORGET = 7, /* idempotency keys that are too old, says the leader of `term` */
    KV_COMMAND_ALARM = 8,  /* an alarm is raised or lifted */
};

/* Nothing to the store itself: whoever lets writes through looks at the alarms first. */
enum kv_alarm_kind { KV_ALARM_NO_SPACE = 1, KV_ALARM_CORRUPT = 2 };
struct kv_alarm {
    uint64_t member; /* whom it is about */
    enum kv_alarm_kind kind;
};

struct kv_lease_time {
    uint64_t id;
    uint64_t remaining_s; /* CHECKPOINT: 0 = the whole granted time again */
};

struct kv_block;
struct kv_command {
    enum kv_command_type type;
    struct kv_bytes ticket; /* idempotency key; empty = none. OP, BATCH */
    uint64_t fingerprint;   /* of the request that has the ticket: it is good for no other one */
    struct kv_op *ops;      /* OP: one; BATCH */
    size_t op_count;
    uint64_t term;                /* EXPIRE, CHECKPOINT, FORGET */
    struct kv_lease_time *leases; /* REVOKE: one; EXPIRE, CHECKPOINT */
    size_t lease_count;
    /* EXPIRE, CHECKPOINT: leases that were granted in this term with this birth number or a higher
     * one are others than those that are meant. 0: none is, as in logs of before. */
    uint64_t births;
    uint64_t number; /* COMPACT: revision; FORGET: tickets up to this sequence number */
    struct kv_alarm alarm;
    bool raise;              /* ALARM; else it is lifted */
    struct kv_block *blocks; /* of kv_command_alloc; NULL: none */
};

enum kv_status {
    KV_OK = 0,
    KV_COMMAND_INVALID, /* undecodable, or an operation that makes no sense */
    KV_KEY_EMPTY,
    KV_KEY_NOT_FOUND, /* keep_value or keep_lease of a missing key; an operation without a kind */
    KV_DUPLICATE_KEY, /* a transaction changes a key twice */
    KV_TOO_MANY_OPS,  /* or nested too deep */
    KV_COMPACTED,     /* a read at, or a compaction to, a revision that is gone */
    KV_FUTURE,        /* ... that is not there yet */
    KV_LEASE_NOT_FOUND,
    KV_LEASE_EXISTS,
    KV_NOT_OF_THIS_TERM, /* EXPIRE, CHECKPOINT, FORGET of a leader that was deposed */
    KV_REPEATED,         /* its ticket was used before: revision is that of then, nothing is done */
    KV_TICKET_TAKEN,     /* ... by a request with another fingerprint: nothing is done */
};

/* What can be said of a command without the store; applying it says the same. BATCH: only of the
 * command as a whole, its operations are judged one by one. */
enum kv_status kv_command_check(const struct kv_command *command) MUST_USE;
/* May the store become larger by it? Which branch a transaction takes is known only when it is
 * applied, and it must not be one that nobody made room for: so it grows if either may. One inside
 * of another one is taken to. */
bool kv_command_grows(const struct kv_command *command);
/* The command must not be nested deeper than KV_TXN_DEPTH_MAX. */
void kv_command_encode(struct buf *out, const struct kv_command *command);
/* Bytes of *out are borrowed from data, its arrays are its own (kv_command_deinit). ERR_INVALID;
 * ERR_TOO_LARGE: more operations or deeper than allowed; ERR_VERSION: something of a newer
 * version. */
enum err kv_command_decode(const uint8_t *data, size_t len, struct kv_command *out) MUST_USE;
/* Zeroed memory for arrays and bytes of a command, given back with it. */
void *kv_command_alloc(struct kv_command *command, size_t count, size_t size);
/* For fingerprints: what came before (0: nothing) and more of the request. */
uint64_t kv_fingerprint(uint64_t before, const void *data, size_t len);
void kv_command_deinit(struct kv_command *command); /* frees what kv_command_alloc gave */

#endif
