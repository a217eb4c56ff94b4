/*
 * Bytes to commands. Anybody may have written them: every count is compared with its limit before
 * memory is taken for it, branches wait on a stack of bounded depth. What is not understood is
 * refused as a whole, fields at the end too: who skips them would apply another command than those
 * who know them.
 */
#include "base/assert.h"
#include "codec/pack.h"
#include "kv/command.h"
#include "kv/command_format.h"

struct list {
    struct kv_op *ops;
    size_t count;
    size_t next;
    struct kv_txn *txn; /* whose branch; NULL: the command's own list */
    bool is_failure;
};

struct decoder {
    struct unpack in;
    struct kv_command *out;
    size_t total; /* operations and compares inside of transactions */
    bool newer;   /* something of a newer version was met */
    bool too_large;
    struct list list[KV_TXN_DEPTH_MAX + 1];
    size_t depth;
};

/* ---- fields ---------------------------------------------------------------------------------- */

static struct kv_bytes get_bytes(struct decoder *d)
{
    struct kv_bytes bytes;
    bytes.data = unpack_bin(&d->in, &bytes.len);
    return bytes;
}

static uint64_t number_or_0(struct decoder *d, uint32_t count, uint32_t field)
{
    return field < count ? unpack_u64(&d->in) : 0;
}

static struct kv_bytes bytes_or_none(struct decoder *d, uint32_t count, uint32_t field)
{
    return field < count ? get_bytes(d) : (struct kv_bytes){0};
}

/* A number of an enum or a set of flags, of which we know those up to last. */
static unsigned known_or_0(struct decoder *d, uint32_t count, uint32_t field, unsigned last)
{
    uint64_t number = number_or_0(d, count, field);
    if (number <= last)
        return (unsigned)number;
    d->newer = true;
    return 0;
}

/* Fields that are never left out. */
static void need_fields(struct decoder *d, uint32_t count, uint32_t least)
{
    d->in.failed |= count < least;
}

static void end_fields(struct decoder *d, uint32_t count, uint32_t known)
{
    if (count <= known)
        return;
    d->newer = true;
    unpack_rest(&d->in, count, known);
}

static bool is_usable(const struct decoder *d)
{
    return !d->in.failed && !d->newer && !d->too_large;
}

/* ---- operations ------------------------------------------------------------------------------ */

static void get_put(struct decoder *d, uint32_t count, struct kv_put *put)
{
    need_fields(d, count, 3);
    put->key = get_bytes(d);
    put->value = get_bytes(d);
    put->lease = number_or_0(d, count, 3);
    unsigned flags = known_or_0(d, count, 4, PUT_KEEP_VALUE | PUT_KEEP_LEASE | PUT_WANT_PREV);
    put->keep_value = (flags & PUT_KEEP_VALUE) != 0;
    put->keep_lease = (flags & PUT_KEEP_LEASE) != 0;
    put->want_prev = (flags & PUT_WANT_PREV) != 0;
    end_fields(d, count, PUT_FIELDS);
}

static void get_keys(struct decoder *d, uint32_t count, uint32_t field, struct kv_keys *keys)
{
    keys->extent = (enum kv_extent)known_or_0(d, count, field, KV_FROM_KEY);
    keys->end = bytes_or_none(d, count, field + 1);
}

static void get_delete(struct decoder *d, uint32_t count, struct kv_delete *del)
{
    need_fields(d, count, 2);
    del->keys.key = get_bytes(d);
    get_keys(d, count, 2, &del->keys);
    del->want_prev = known_or_0(d, count, 4, 1) != 0;
    end_fields(d, count, DELETE_FIELDS);
}

static void get_range(struct decoder *d, uint32_t count, struct kv_range *range)
{
    need_fields(d, count, 2);
    range->keys.key = get_bytes(d);
    get_keys(d, count, 2, &range->keys);
    range->revision = number_or_0(d, count, 4);
    range->limit = number_or_0(d, count, 5);
    range->order = (enum kv_order)known_or_0(d, count, 6, KV_DESCEND);
    range->sort = (enum kv_sort)known_or_0(d, count, 7, KV_BY_VALUE);
    unsigned flags = known_or_0(d, count, 8, RANGE_KEYS_ONLY | RANGE_COUNT_ONLY);
    range->keys_only = (flags & RANGE_KEYS_ONLY) != 0;
    range->count_only = (flags & RANGE_COUNT_ONLY) != 0;
    range->min_mod = number_or_0(d, count, 9);
    range->max_mod = number_or_0(d, count, 10);
    range->min_create = number_or_0(d, count, 11);
    range->max_create = number_or_0(d, count, 12);
    end_fields(d, count, RANGE_FIELDS);
}

static void get_compare(struct decoder *d, struct kv_compare *compare)
{
    uint32_t count = unpack_array(&d->in);
    need_fields(d, count, 3);
    compare->target = (enum kv_target)known_or_0(d, count, 0, KV_LEASE);
    compare->relation = (enum kv_relation)known_or_0(d, count, 1, KV_NOT_EQUAL);
    compare->keys.key = get_bytes(d);
    if (compare->target == KV_VALUE)
        compare->value = bytes_or_none(d, count, 3);
    else
        compare->number = number_or_0(d, count, 3);
    get_keys(d, count, 4, &compare->keys);
    end_fields(d, count, COMPARE_FIELDS);
}

/* A count of things in a transaction that may be believed. */
static size_t get_txn_count(struct decoder *d)
{
    size_t count = unpack_array(&d->in);
    d->total += count;
    if (count > KV_TXN_OPS_MAX || d->total > KV_TXN_TOTAL_MAX) {
        d->too_large = true;
        return 0;
    }
    return count;
}

/* One of a transaction's branches: its operations are read before anything else. */
static void begin_branch(struct decoder *d, struct list *list)
{
    list->next = 0;
    list->count = get_txn_count(d);
    list->ops = list->count > 0 ? kv_command_alloc(d->out, list->count, sizeof *list->ops) : NULL;
    if (list->is_failure) {
        list->txn->failure = list->ops;
        list->txn->failure_count = list->count;
    } else {
        list->txn->success = list->ops;
        list->txn->success_count = list->count;
    }
}

static void get_txn(struct decoder *d, uint32_t count, struct kv_txn *txn)
{
    if (count != TXN_FIELDS) {
        d->newer = count > TXN_FIELDS;
        d->in.failed |= count < TXN_FIELDS;
        return;
    }
    if (d->depth > KV_TXN_DEPTH_MAX) {
        d->too_large = true;
        return;
    }
    size_t compares = get_txn_count(d);
    if (compares > 0)
        txn->compares = kv_command_alloc(d->out, compares, sizeof *txn->compares);
    txn->compare_count = compares;
    for (size_t i = 0; i < compares && is_usable(d); i++)
        get_compare(d, &txn->compares[i]);
    if (!is_usable(d))
        return;
    struct list *list = &d->list[d->depth++];
    *list = (struct list){.txn = txn};
    begin_branch(d, list);
}

static void get_op(struct decoder *d, struct kv_op *op)
{
    uint32_t count = unpack_array(&d->in);
    need_fields(d, count, 1);
    op->type = (enum kv_op_type)known_or_0(d, count, 0, KV_OP_GRANT);
    if (!is_usable(d))
        return;
    switch (op->type) {
    case KV_OP_PUT: get_put(d, count, &op->put); return;
    case KV_OP_DELETE: get_delete(d, count, &op->del); return;
    case KV_OP_RANGE: get_range(d, count, &op->range); return;
    case KV_OP_TXN: get_txn(d, count, &op->txn); return;
    case KV_OP_GRANT:
        need_fields(d, count, GRANT_FIELDS);
        op->grant.id = unpack_u64(&d->in);
        op->grant.ttl_s = unpack_u64(&d->in);
        end_fields(d, count, GRANT_FIELDS);
        return;
    case KV_OP_NONE: end_fields(d, count, 1); return;
    }
}

/* The command's own list, and the branches of what is in it. */
static void get_ops(struct decoder *d, size_t count)
{
    struct kv_command *out = d->out;
    out->op_count = count;
    out->ops = count > 0 ? kv_command_alloc(out, count, sizeof *out->ops) : NULL;
    d->list[d->depth++] = (struct list){.ops = out->ops, .count = count};
    while (d->depth > 0 && is_usable(d)) {
        struct list *top = &d->list[d->depth - 1];
        if (top->next < top->count) {
            get_op(d, &top->ops[top->next++]);
        } else if (top->txn != NULL && !top->is_failure) {
            top->is_failure = true;
            begin_branch(d, top);
        } else {
            d->depth--;
        }
    }
}

/* ---- commands -------------------------------------------------------------------------------- */

static void get_batch(struct decoder *d)
{
    size_t count = unpack_array(&d->in);
    d->too_large = count > KV_BATCH_OPS_MAX;
    if (is_usable(d))
        get_ops(d, count);
}

static void get_with_ticket(struct decoder *d, uint32_t count)
{
    need_fields(d, count, 2);
    if (d->out->type == KV_COMMAND_BATCH)
        get_batch(d);
    else
        get_ops(d, 1);
    if (is_usable(d))
        d->out->ticket = bytes_or_none(d, count, 2);
    if (is_usable(d))
        d->out->fingerprint = number_or_0(d, count, 3);
    if (is_usable(d))
        end_fields(d, count, 4);
}

static void get_leases(struct decoder *d, uint32_t count)
{
    struct kv_command *out = d->out;
    need_fields(d, count, 3);
    out->term = unpack_u64(&d->in);
    size_t each = out->type == KV_COMMAND_CHECKPOINT ? 2 : 1;
    size_t numbers = unpack_array(&d->in);
    d->in.failed |= numbers % each != 0;
    d->too_large = numbers / each > KV_BATCH_OPS_MAX;
    if (!is_usable(d))
        return;
    out->lease_count = numbers / each;
    if (out->lease_count > 0)
        out->leases = kv_command_alloc(out, out->lease_count, sizeof *out->leases);
    for (size_t i = 0; i < out->lease_count; i++) {
        out->leases[i].id = unpack_u64(&d->in);
        out->leases[i].remaining_s = each == 2 ? unpack_u64(&d->in) : 0;
    }
    out->births = number_or_0(d, count, 3);
    end_fields(d, count, 4);
}

static void get_alarm(struct decoder *d, uint32_t count)
{
    struct kv_command *out = d->out;
    need_fields(d, count, 4);
    out->alarm.member = unpack_u64(&d->in);
    uint64_t kind = unpack_u64(&d->in);
    uint64_t raise = unpack_u64(&d->in);
    d->in.failed |= kind == 0 || raise > 1;
    d->newer |= kind > KV_ALARM_CORRUPT;
    out->alarm.kind = (enum kv_alarm_kind)kind;
    out->raise = raise == 1;
    end_fields(d, count, 4);
}

static void get_command(struct decoder *d, uint32_t count)
{
    struct kv_command *out = d->out;
    switch (out->type) {
    case KV_COMMAND_OP:
    case KV_COMMAND_BATCH: get_with_ticket(d, count); return;
    case KV_COMMAND_REVOKE:
        need_fields(d, count, 2);
        out->leases = kv_command_alloc(out, 1, sizeof *out->leases);
        out->lease_count = 1;
        out->leases[0].id = unpack_u64(&d->in);
        end_fields(d, count, 2);
        return;
    case KV_COMMAND_EXPIRE:
    case KV_COMMAND_CHECKPOINT: get_leases(d, count); return;
    case KV_COMMAND_COMPACT:
        need_fields(d, count, 2);
        out->number = unpack_u64(&d->in);
        end_fields(d, count, 2);
        return;
    case KV_COMMAND_FORGET:
        need_fields(d, count, 3);
        out->term = unpack_u64(&d->in);
        out->number = unpack_u64(&d->in);
        end_fields(d, count, 3);
        return;
    case KV_COMMAND_ALARM: get_alarm(d, count); return;
    }
}

/* Bytes that say anything at all; the reasons to refuse them in the order of their weight. */
static enum err verdict(const struct decoder *d)
{
    if (d->in.failed)
        return ERR_INVALID;
    if (d->newer)
        return ERR_VERSION;
    if (d->too_large)
        return ERR_TOO_LARGE;
    return unpack_end(&d->in);
}

enum err kv_command_decode(const uint8_t *data, size_t len, struct kv_command *out)
{
    struct kv_command command = {0};
    struct decoder d = {.in = unpack_init(data, len), .out = &command};
    uint32_t count = unpack_array(&d.in);
    uint64_t type = unpack_u64(&d.in);
    d.newer = type > KV_COMMAND_ALARM;
    d.in.failed |= type == 0;
    command.type = (enum kv_command_type)type;
    if (is_usable(&d))
        get_command(&d, count);
    enum err err = verdict(&d);
    if (err != ERR_OK)
        kv_command_deinit(&command);
    else
        *out = command;
    return err;
}
