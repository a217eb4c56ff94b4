/*
 * What can be said against a command without looking at the store.
 *
 * Two operations exclude each other if they stand in the two branches of one transaction; any other
 * two that change the same key, one of them with a put, are refused. Where an operation stands is
 * one number, a byte for each transaction around it, outermost first: index * 2, plus 1 in the
 * failure branch.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/command.h"
#include "kv/command_format.h"
#include "kv/walk.h"

#include <stdlib.h>
#include <string.h>

struct change {
    const struct kv_keys *keys; /* NULL: a put of key */
    struct kv_bytes key;
    uint64_t place;
    unsigned depth; /* bytes of place that are used, from the top */
};

struct changes {
    struct change *list;
    size_t count;
    size_t cap;
};

_Static_assert(KV_TXN_DEPTH_MAX <= 8 && KV_TXN_OPS_MAX <= 128, "a place is 8 times 8 bits");

static int bytes_compare(struct kv_bytes a, struct kv_bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* ---- single operations ----------------------------------------------------------------------- */

static enum kv_status check_put(const struct kv_put *put)
{
    if (put->key.len == 0)
        return KV_KEY_EMPTY;
    if (put->key.len > KV_ITEM_MAX_BYTES || put->value.len > KV_ITEM_MAX_BYTES - put->key.len)
        return KV_COMMAND_INVALID;
    if ((put->keep_value && put->value.len > 0) || (put->keep_lease && put->lease != 0))
        return KV_COMMAND_INVALID;
    return KV_OK;
}

static enum kv_status check_txn(const struct kv_txn *txn)
{
    if (txn->compare_count > KV_TXN_OPS_MAX || txn->success_count > KV_TXN_OPS_MAX ||
        txn->failure_count > KV_TXN_OPS_MAX)
        return KV_TOO_MANY_OPS;
    for (size_t i = 0; i < txn->compare_count; i++) {
        if (txn->compares[i].keys.key.len == 0)
            return KV_KEY_EMPTY;
    }
    return KV_OK;
}

enum kv_status kv_op_check(const struct kv_op *op)
{
    switch (op->type) {
    case KV_OP_PUT: return check_put(&op->put);
    case KV_OP_DELETE: return op->del.keys.key.len > 0 ? KV_OK : KV_KEY_EMPTY;
    case KV_OP_RANGE: return op->range.keys.key.len > 0 ? KV_OK : KV_KEY_EMPTY;
    case KV_OP_TXN: return check_txn(&op->txn);
    case KV_OP_GRANT: return op->grant.id != 0 ? KV_OK : KV_COMMAND_INVALID;
    case KV_OP_NONE: return KV_KEY_NOT_FOUND;
    }
    UNREACHABLE("kind of operation");
}

/* ---- changes of the same key ----------------------------------------------------------------- */

static uint64_t place_of(const struct kv_walk *walk)
{
    uint64_t place = 0;
    for (size_t i = 1; i < walk->depth; i++) {
        uint64_t index = walk->list[i - 1].next - 1;
        place |= (index * 2 + (walk->list[i].is_failure ? 1 : 0)) << (8 * (8 - i));
    }
    return place;
}

static void add_change(struct changes *changes, const struct kv_op *op, const struct kv_walk *walk)
{
    if (op->type != KV_OP_PUT && op->type != KV_OP_DELETE)
        return;
    changes->list = mem_grow(changes->list, changes->count, &changes->cap, sizeof *changes->list);
    changes->list[changes->count++] =
        (struct change){.keys = op->type == KV_OP_DELETE ? &op->del.keys : NULL,
                        .key = op->type == KV_OP_DELETE ? op->del.keys.key : op->put.key,
                        .place = place_of(walk),
                        .depth = (unsigned)walk->depth - 1};
}

/* Only one of both can ever be carried out. */
static bool exclude_each_other(const struct change *a, const struct change *b)
{
    unsigned common = a->depth < b->depth ? a->depth : b->depth;
    for (unsigned i = 0; i < common; i++) {
        unsigned shift = 8 * (7 - i);
        uint64_t differs = ((a->place ^ b->place) >> shift) & 0xff;
        if (differs != 0)
            return differs == 1;
    }
    return false;
}

/* Puts in the order of their keys, then the deletes. */
static int change_compare(const void *left, const void *right)
{
    const struct change *a = left;
    const struct change *b = right;
    if ((a->keys != NULL) != (b->keys != NULL))
        return a->keys != NULL ? 1 : -1;
    return bytes_compare(a->key, b->key);
}

static bool is_before_end(const struct kv_keys *keys, struct kv_bytes key)
{
    switch (keys->extent) {
    case KV_ONE_KEY: return bytes_compare(key, keys->key) <= 0;
    case KV_HALF_OPEN: return bytes_compare(key, keys->end) < 0;
    case KV_FROM_KEY: return true;
    }
    UNREACHABLE("extent");
}

/* Index of the first put with a key >= key. */
static size_t first_put(const struct changes *changes, size_t puts, struct kv_bytes key)
{
    size_t lo = 0;
    size_t hi = puts;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (bytes_compare(changes->list[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool put_collides(const struct changes *changes, size_t puts, size_t at)
{
    const struct change *put = &changes->list[at];
    for (size_t i = at + 1; i < puts; i++) {
        if (bytes_compare(changes->list[i].key, put->key) != 0)
            return false;
        if (!exclude_each_other(&changes->list[i], put))
            return true;
    }
    return false;
}

static bool delete_collides(const struct changes *changes, size_t puts, const struct change *del)
{
    for (size_t i = first_put(changes, puts, del->key); i < puts; i++) {
        if (!is_before_end(del->keys, changes->list[i].key))
            return false;
        if (!exclude_each_other(&changes->list[i], del))
            return true;
    }
    return false;
}

static bool any_collides(struct changes *changes)
{
    if (changes->count > 1)
        qsort(changes->list, changes->count, sizeof *changes->list, change_compare);
    size_t puts = 0;
    while (puts < changes->count && changes->list[puts].keys == NULL)
        puts++;
    for (size_t i = 0; i < changes->count; i++) {
        if (i < puts ? put_collides(changes, puts, i)
                     : delete_collides(changes, puts, &changes->list[i]))
            return true;
    }
    return false;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum kv_status collect(const struct kv_op *root, struct changes *changes)
{
    struct kv_walk walk;
    struct kv_walk_event event;
    size_t total = 0;
    kv_walk_begin(&walk, root, 1);
    while (kv_walk_next(&walk, &event)) {
        if (event.op == NULL)
            continue;
        enum kv_status status = kv_op_check(event.op);
        if (status != KV_OK)
            return status;
        if (event.op->type == KV_OP_TXN)
            total += event.op->txn.compare_count + event.op->txn.success_count +
                     event.op->txn.failure_count;
        if (kv_walk_is_too_deep(&walk) || total > KV_TXN_TOTAL_MAX)
            return KV_TOO_MANY_OPS;
        add_change(changes, event.op, &walk);
    }
    return KV_OK;
}

static enum kv_status check_txn_as_a_whole(const struct kv_op *root)
{
    struct changes changes = {0};
    enum kv_status status = collect(root, &changes);
    if (status == KV_OK && any_collides(&changes))
        status = KV_DUPLICATE_KEY;
    mem_free(changes.list);
    return status;
}

static bool ops_grow(const struct kv_op *ops, size_t count)
{
    bool grow = false;
    for (size_t i = 0; i < count; i++)
        grow = grow || (ops[i].type != KV_OP_DELETE && ops[i].type != KV_OP_RANGE);
    return grow;
}

bool kv_command_grows(const struct kv_command *command)
{
    if (command->op_count == 1 && command->ops[0].type == KV_OP_TXN) {
        const struct kv_txn *txn = &command->ops[0].txn;
        return ops_grow(txn->success, txn->success_count) ||
               ops_grow(txn->failure, txn->failure_count);
    }
    return ops_grow(command->ops, command->op_count);
}

enum kv_status kv_command_check(const struct kv_command *command)
{
    if (command->ticket.len > KV_TICKET_BYTES_MAX)
        return KV_COMMAND_INVALID;
    if (command->type == KV_COMMAND_BATCH)
        return command->op_count <= KV_BATCH_OPS_MAX ? KV_OK : KV_TOO_MANY_OPS;
    if (command->type != KV_COMMAND_OP)
        return command->lease_count <= KV_BATCH_OPS_MAX ? KV_OK : KV_TOO_MANY_OPS;
    if (command->op_count != 1)
        return KV_COMMAND_INVALID;
    if (command->ops[0].type != KV_OP_TXN)
        return kv_op_check(&command->ops[0]);
    return check_txn_as_a_whole(&command->ops[0]);
}
