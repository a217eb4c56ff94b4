/*
 * Commands to bytes: a msgpack array that begins with the kind.
 *
 *   [1, op, ticket, fingerprint]      [2, [op ...], ticket, fingerprint]
 *   [3, lease id]
 *   [4, term, [id ...], births]       [5, term, [id, remaining ...], births]
 *   [6, revision]             [7, term, sequence]        [8, member, kind, raise]
 *
 * An operation is an array as well:
 *
 *   [0]                                         of no kind
 *   [1, key, value, lease, flags]               put
 *   [2, key, extent, end, want_prev]            delete
 *   [3, key, extent, end, revision, limit, order, sort, flags, min_mod, max_mod, min_create,
 *    max_create]                                range
 *   [4, [compare ...], [op ...], [op ...]]      transaction
 *   [5, id, ttl]                                grant
 *
 * and a compare is [target, relation, key, number | value, extent, end]. Fields at the end that
 * have their zero value are left out, so that a plain put costs eight bytes beside key and value.
 */
#include "kv/command.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pack.h"
#include "kv/command_format.h"
#include "kv/walk.h"

/* ---- memory ---------------------------------------------------------------------------------- */

struct kv_block {
    struct kv_block *next;
    uint64_t content[];
};

void *kv_command_alloc(struct kv_command *command, size_t count, size_t size)
{
    ASSERT(size > 0 && count <= SIZE_MAX / 2 / size);
    struct kv_block *block = mem_calloc(1, sizeof *block + count * size);
    block->next = command->blocks;
    command->blocks = block;
    return block->content;
}

void kv_command_deinit(struct kv_command *command)
{
    while (command->blocks != NULL) {
        struct kv_block *block = command->blocks;
        command->blocks = block->next;
        mem_free(block);
    }
    *command = (struct kv_command){0};
}

/* ---- fields that may be left out at the end -------------------------------------------------- */

static void add_bytes(struct buf *out, struct kv_bytes bytes)
{
    pack_bin(out, bytes.len > 0 ? (const void *)bytes.data : "", bytes.len);
}

/* Fields of which the last ones with their zero value go without saying. */
struct field {
    bool is_bytes;
    uint64_t number;
    struct kv_bytes bytes;
};

static struct field number_field(uint64_t number)
{
    return (struct field){.number = number};
}

static struct field bytes_field(struct kv_bytes bytes)
{
    return (struct field){.is_bytes = true, .bytes = bytes};
}

static bool is_zero(const struct field *field)
{
    return field->is_bytes ? field->bytes.len == 0 : field->number == 0;
}

/* The first `always` of count fields are written whatever they are. */
static void add_fields(struct buf *out, const struct field *fields, size_t always, size_t count)
{
    while (count > always && is_zero(&fields[count - 1]))
        count--;
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].is_bytes)
            add_bytes(out, fields[i].bytes);
        else
            pack_u64(out, fields[i].number);
    }
}

/* ---- operations ------------------------------------------------------------------------------ */

static void add_put(struct buf *out, const struct kv_put *put)
{
    unsigned flags = (put->keep_value ? PUT_KEEP_VALUE : 0U) |
                     (put->keep_lease ? PUT_KEEP_LEASE : 0U) |
                     (put->want_prev ? PUT_WANT_PREV : 0U);
    struct field fields[PUT_FIELDS] = {number_field(KV_OP_PUT), bytes_field(put->key),
                                       bytes_field(put->value), number_field(put->lease),
                                       number_field(flags)};
    add_fields(out, fields, 3, PUT_FIELDS);
}

static void add_delete(struct buf *out, const struct kv_delete *del)
{
    struct field fields[DELETE_FIELDS] = {
        number_field(KV_OP_DELETE), bytes_field(del->keys.key), number_field(del->keys.extent),
        bytes_field(del->keys.end), number_field(del->want_prev ? 1 : 0)};
    add_fields(out, fields, 2, DELETE_FIELDS);
}

static void add_range(struct buf *out, const struct kv_range *range)
{
    unsigned flags =
        (range->keys_only ? RANGE_KEYS_ONLY : 0U) | (range->count_only ? RANGE_COUNT_ONLY : 0U);
    struct field fields[RANGE_FIELDS] = {
        number_field(KV_OP_RANGE),
        bytes_field(range->keys.key),
        number_field(range->keys.extent),
        bytes_field(range->keys.end),
        number_field(range->revision),
        number_field(range->limit),
        number_field(range->order),
        number_field(range->sort),
        number_field(flags),
        number_field(range->min_mod),
        number_field(range->max_mod),
        number_field(range->min_create),
        number_field(range->max_create),
    };
    add_fields(out, fields, 2, RANGE_FIELDS);
}

static void add_compare(struct buf *out, const struct kv_compare *compare)
{
    struct field fields[COMPARE_FIELDS] = {
        number_field(compare->target),      number_field(compare->relation),
        bytes_field(compare->keys.key),     number_field(compare->number),
        number_field(compare->keys.extent), bytes_field(compare->keys.end),
    };
    if (compare->target == KV_VALUE)
        fields[3] = bytes_field(compare->value);
    add_fields(out, fields, 3, COMPARE_FIELDS);
}

static void add_grant(struct buf *out, const struct kv_grant *grant)
{
    struct field fields[GRANT_FIELDS] = {number_field(KV_OP_GRANT), number_field(grant->id),
                                         number_field(grant->ttl_s)};
    add_fields(out, fields, GRANT_FIELDS, GRANT_FIELDS);
}

/* Of a transaction its branches are still to follow. */
static void add_op(struct buf *out, const struct kv_op *op)
{
    switch (op->type) {
    case KV_OP_PUT: add_put(out, &op->put); return;
    case KV_OP_DELETE: add_delete(out, &op->del); return;
    case KV_OP_RANGE: add_range(out, &op->range); return;
    case KV_OP_GRANT: add_grant(out, &op->grant); return;
    case KV_OP_TXN:
        pack_array(out, TXN_FIELDS);
        pack_u64(out, KV_OP_TXN);
        pack_array(out, (uint32_t)op->txn.compare_count);
        for (size_t i = 0; i < op->txn.compare_count; i++)
            add_compare(out, &op->txn.compares[i]);
        return;
    case KV_OP_NONE: break;
    }
    pack_array(out, 1);
    pack_u64(out, KV_OP_NONE);
}

static void add_ops(struct buf *out, const struct kv_op *ops, size_t count)
{
    struct kv_walk walk;
    struct kv_walk_event event;
    kv_walk_begin(&walk, ops, count);
    while (kv_walk_next(&walk, &event)) {
        ASSERT(!kv_walk_is_too_deep(&walk));
        if (event.op != NULL)
            add_op(out, event.op);
        else
            pack_array(out, (uint32_t)event.count);
    }
}

/* ---- commands -------------------------------------------------------------------------------- */

static void add_with_ticket(struct buf *out, const struct kv_command *command)
{
    bool has_ticket = command->ticket.len > 0;
    ASSERT(command->type == KV_COMMAND_BATCH || command->op_count == 1);
    bool has_fingerprint = has_ticket && command->fingerprint != 0;
    pack_array(out, has_fingerprint ? 4 : has_ticket ? 3 : 2);
    pack_u64(out, command->type);
    if (command->type == KV_COMMAND_BATCH)
        pack_array(out, (uint32_t)command->op_count);
    add_ops(out, command->ops, command->op_count);
    if (has_ticket)
        add_bytes(out, command->ticket);
    if (has_fingerprint)
        pack_u64(out, command->fingerprint);
}

static void add_leases(struct buf *out, const struct kv_command *command)
{
    bool with_times = command->type == KV_COMMAND_CHECKPOINT;
    pack_array(out, command->births != 0 ? 4 : 3);
    pack_u64(out, command->type);
    pack_u64(out, command->term);
    pack_array(out, (uint32_t)(command->lease_count * (with_times ? 2 : 1)));
    for (size_t i = 0; i < command->lease_count; i++) {
        pack_u64(out, command->leases[i].id);
        if (with_times)
            pack_u64(out, command->leases[i].remaining_s);
    }
    if (command->births != 0)
        pack_u64(out, command->births);
}

static void add_numbers(struct buf *out, uint64_t type, uint64_t a, uint64_t b, size_t count)
{
    struct field fields[3] = {number_field(type), number_field(a), number_field(b)};
    add_fields(out, fields, count, count);
}

void kv_command_encode(struct buf *out, const struct kv_command *command)
{
    switch (command->type) {
    case KV_COMMAND_OP:
    case KV_COMMAND_BATCH: add_with_ticket(out, command); return;
    case KV_COMMAND_REVOKE:
        ASSERT(command->lease_count == 1);
        add_numbers(out, KV_COMMAND_REVOKE, command->leases[0].id, 0, 2);
        return;
    case KV_COMMAND_EXPIRE:
    case KV_COMMAND_CHECKPOINT: add_leases(out, command); return;
    case KV_COMMAND_COMPACT: add_numbers(out, KV_COMMAND_COMPACT, command->number, 0, 2); return;
    case KV_COMMAND_FORGET:
        add_numbers(out, KV_COMMAND_FORGET, command->term, command->number, 3);
        return;
    case KV_COMMAND_ALARM:
        pack_array(out, 4);
        pack_u64(out, KV_COMMAND_ALARM);
        pack_u64(out, command->alarm.member);
        pack_u64(out, command->alarm.kind);
        pack_u64(out, command->raise);
        return;
    }
    UNREACHABLE("kind of command");
}
