/* All operations of a command, those of both branches of nested transactions too, in the order in
 * which they are written down; with a stack of bounded depth instead of recursion. */
#ifndef KV_WALK_H
#define KV_WALK_H

#include "kv/command.h"

struct kv_walk_list {
    const struct kv_op *ops;
    size_t count;
    size_t next;
    const struct kv_txn *txn; /* whose branch it is; NULL: the command's own list */
    bool is_failure;
};

struct kv_walk {
    struct kv_walk_list list[KV_TXN_DEPTH_MAX + 1];
    size_t depth;                 /* lists that are being walked */
    const struct kv_txn *entered; /* its success branch comes next */
};

struct kv_walk_event {
    const struct kv_op *op; /* NULL: a branch begins */
    size_t count;           /* of the branch */
};

void kv_walk_begin(struct kv_walk *walk, const struct kv_op *ops, size_t count);
/* The operation just given is a transaction that is nested too deep: its branches are left out. */
bool kv_walk_is_too_deep(const struct kv_walk *walk);
/* false: that was all. */
bool kv_walk_next(struct kv_walk *walk, struct kv_walk_event *out);

#endif
