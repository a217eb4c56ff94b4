/*
 * A command that is being carried out. What it may have to touch is not bounded by its size (a
 * range that is deleted, a lease with very many keys), so this goes in slices.
 *
 * Everything is checked before the first slice; then versions are written with the next revision,
 * which becomes the store's own with the last of them. So whoever reads at the store's revision
 * sees nothing of it before; numbers that are no versions are kept as they were (shown).
 */
#ifndef KV_WORK_H
#define KV_WORK_H

#include "kv/kv.h"

struct kv_plan_step {
    const struct kv_op *op;
    bool succeeded; /* of a transaction: its compares hold */
};

struct kv_plan {
    struct kv_plan_step *list;
    size_t count;
    size_t cap;
};

/* Replies whose branches are being filled: the next one to fill is the first that is missing. */
struct kv_filling {
    struct kv_reply *of[KV_TXN_DEPTH_MAX];
    size_t next[KV_TXN_DEPTH_MAX];
    size_t depth;
};

/* One operation. */
struct kv_op_work {
    struct kv_plan_step single; /* the plan of what is no transaction */
    struct kv_plan plan;
    struct kv_reply *root; /* borrowed; NULL: nobody asked */
    struct kv_filling filling;
    size_t next; /* step of the plan */
    bool wrote;
    bool in_delete;         /* in the midst of step `next`: */
    struct kv_reply *reply; /* its own, or NULL */
    size_t item_cap;        /* of reply */
    struct buf at;          /* the next key that may have to be deleted */
};

struct kv_work {
    bool is_under_way;
    struct kv_command command; /* its bytes are borrowed */
    uint64_t term;
    struct kv_result result;
    struct kv_op_work op; /* OP */
    size_t lease;         /* REVOKE, EXPIRE: of the command's, the one that is revoked now */
    size_t lease_keys;    /* of it, deleted so far */
    size_t found;         /* ... and how many were there so far */
    bool wrote;
    struct { /* as it was before */
        uint64_t revision;
        uint64_t count;
        uint64_t size_bytes;
        uint64_t hash;
        uint64_t history_end;
    } shown;
};

#endif
