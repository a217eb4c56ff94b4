/* A list on the stack is the command's own or one branch; a transaction's second branch takes the
 * place of its first. */
#include "kv/walk.h"

static void push(struct kv_walk *walk, const struct kv_walk_list *list)
{
    walk->list[walk->depth++] = *list;
}

void kv_walk_begin(struct kv_walk *walk, const struct kv_op *ops, size_t count)
{
    walk->depth = 0;
    walk->entered = NULL;
    push(walk, &(struct kv_walk_list){.ops = ops, .count = count});
}

bool kv_walk_is_too_deep(const struct kv_walk *walk)
{
    return walk->entered != NULL && walk->depth > KV_TXN_DEPTH_MAX;
}

/* The next branch begins: of the transaction just given, or the other one of the top's. */
static bool next_branch(struct kv_walk *walk, struct kv_walk_event *out)
{
    const struct kv_txn *txn = walk->entered;
    struct kv_walk_list list = {.txn = txn};
    if (txn != NULL && !kv_walk_is_too_deep(walk)) {
        list.ops = txn->success;
        list.count = txn->success_count;
    } else {
        list = walk->list[--walk->depth];
        if (list.txn == NULL || list.is_failure)
            return false;
        list = (struct kv_walk_list){.txn = list.txn,
                                     .ops = list.txn->failure,
                                     .count = list.txn->failure_count,
                                     .is_failure = true};
    }
    walk->entered = NULL;
    push(walk, &list);
    *out = (struct kv_walk_event){.count = list.count};
    return true;
}

bool kv_walk_next(struct kv_walk *walk, struct kv_walk_event *out)
{
    if (kv_walk_is_too_deep(walk))
        walk->entered = NULL;
    while (walk->depth > 0) {
        struct kv_walk_list *top = &walk->list[walk->depth - 1];
        if (walk->entered == NULL && top->next < top->count) {
            const struct kv_op *op = &top->ops[top->next++];
            walk->entered = op->type == KV_OP_TXN ? &op->txn : NULL;
            *out = (struct kv_walk_event){.op = op};
            return true;
        }
        if (next_branch(walk, out))
            return true;
    }
    return false;
}
