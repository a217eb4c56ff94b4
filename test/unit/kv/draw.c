/* See draw.h. */
#include "draw.h"

#include <stdio.h>
#include <string.h>

static uint64_t below(struct draw *d, uint64_t limit)
{
    return prng_below(&d->prng, limit);
}

static bool one_in(struct draw *d, uint64_t n)
{
    return below(d, n) == 0;
}

static struct kv_bytes text(struct kv_command *command, const char *string)
{
    size_t len = strlen(string);
    uint8_t *copy = kv_command_alloc(command, len + 1, 1);
    memcpy(copy, string, len);
    return (struct kv_bytes){.data = copy, .len = len};
}

static struct kv_bytes random_key(struct draw *d, struct kv_command *command)
{
    char key[TWIN_KEY] = {0};
    size_t len = 1 + (size_t)below(d, 2);
    for (size_t i = 0; i < len; i++)
        key[i] = (char)('a' + below(d, 6));
    return text(command, key);
}

static struct kv_bytes random_value(struct draw *d, struct kv_command *command)
{
    char value[TWIN_VALUE];
    (void)snprintf(value, sizeof value, "v%u", (unsigned)below(d, 20));
    return one_in(d, 8) ? (struct kv_bytes){0} : text(command, value);
}

static struct kv_keys random_keys(struct draw *d, struct kv_command *command)
{
    struct kv_keys keys = {.extent = (enum kv_extent)below(d, 3), .key = random_key(d, command)};
    if (keys.extent == KV_HALF_OPEN)
        keys.end = random_key(d, command);
    if (keys.extent == KV_FROM_KEY && !one_in(d, 4))
        keys.extent = KV_ONE_KEY;
    return keys;
}

static uint64_t random_lease(struct draw *d)
{
    return 1 + below(d, 12);
}

static uint64_t random_revision(struct draw *d)
{
    if (one_in(d, 3))
        return 0;
    uint64_t compact = d->twin->compact;
    uint64_t span = d->twin->revision - compact;
    return (compact > 1 && one_in(d, 10) ? compact - 1 : compact) + below(d, span + 2);
}

static struct kv_put random_put(struct draw *d, struct kv_command *command)
{
    struct kv_put put = {.key = random_key(d, command),
                         .lease = one_in(d, 3) ? random_lease(d) : 0,
                         .keep_value = one_in(d, 10),
                         .want_prev = one_in(d, 2)};
    if (!put.keep_value)
        put.value = random_value(d, command);
    put.keep_lease = put.lease == 0 && one_in(d, 8);
    return put;
}

struct kv_range draw_range(struct draw *d, struct kv_command *command)
{
    struct kv_range range = {.keys = random_keys(d, command),
                             .revision = random_revision(d),
                             .limit = below(d, 6),
                             .order = (enum kv_order)below(d, 3),
                             .sort = (enum kv_sort)below(d, 5),
                             .keys_only = one_in(d, 4),
                             .count_only = one_in(d, 6)};
    uint64_t *bound[4] = {&range.min_mod, &range.max_mod, &range.min_create, &range.max_create};
    for (size_t i = 0; i < 4; i++)
        *bound[i] = one_in(d, 6) ? 1 + below(d, d->twin->revision) : 0;
    return range;
}

static struct kv_compare random_compare(struct draw *d, struct kv_command *command)
{
    struct kv_compare compare = {.keys = random_keys(d, command),
                                 .target = (enum kv_target)below(d, 5),
                                 .relation = (enum kv_relation)below(d, 4)};
    if (compare.target == KV_VALUE)
        compare.value = random_value(d, command);
    else
        compare.number = one_in(d, 2) ? below(d, 3) : below(d, d->twin->revision + 1);
    return compare;
}

static void random_op(struct draw *d, struct kv_command *command, struct kv_op *op,
                      unsigned depth);

static struct kv_op *random_branch(struct draw *d, struct kv_command *command, unsigned depth,
                                   size_t *count)
{
    *count = (size_t)below(d, 4);
    struct kv_op *ops = kv_command_alloc(command, *count + 1, sizeof *ops);
    for (size_t i = 0; i < *count; i++)
        random_op(d, command, &ops[i], depth);
    return ops;
}

static struct kv_txn random_txn(struct draw *d, struct kv_command *command, unsigned depth)
{
    struct kv_txn txn = {.compare_count = (size_t)below(d, 3)};
    txn.compares = kv_command_alloc(command, txn.compare_count + 1, sizeof *txn.compares);
    for (size_t i = 0; i < txn.compare_count; i++)
        txn.compares[i] = random_compare(d, command);
    txn.success = random_branch(d, command, depth + 1, &txn.success_count);
    txn.failure = random_branch(d, command, depth + 1, &txn.failure_count);
    return txn;
}

static void random_op(struct draw *d, struct kv_command *command, struct kv_op *op, unsigned depth)
{
    uint64_t dice = below(d, 20);
    *op = (struct kv_op){.type = KV_OP_PUT, .put = random_put(d, command)};
    if (dice < 4)
        *op = (struct kv_op){.type = KV_OP_DELETE, .del = {random_keys(d, command), one_in(d, 2)}};
    else if (dice < 8)
        *op = (struct kv_op){.type = KV_OP_RANGE, .range = draw_range(d, command)};
    else if (dice < 9)
        *op = (struct kv_op){.type = KV_OP_GRANT, .grant = {random_lease(d), 1 + below(d, 90)}};
    else if (dice < 12 && depth < KV_TXN_DEPTH_MAX)
        *op = (struct kv_op){.type = KV_OP_TXN, .txn = random_txn(d, command, depth)};
}

static void random_ticket(struct draw *d, struct kv_command *command)
{
    char ticket[16];
    if (!one_in(d, 6))
        return;
    (void)snprintf(ticket, sizeof ticket, "t%u",
                   one_in(d, 4) ? (unsigned)below(d, d->tickets + 1) : d->tickets++);
    command->ticket = text(command, ticket);
    command->fingerprint = below(d, 3);
}

static void random_leases(struct draw *d, struct kv_command *command, size_t count)
{
    command->lease_count = count;
    command->leases = kv_command_alloc(command, count + 1, sizeof *command->leases);
    for (size_t i = 0; i < count; i++)
        command->leases[i] = (struct kv_lease_time){random_lease(d), below(d, 50)};
}

static void random_batch(struct draw *d, struct kv_command *command)
{
    command->type = KV_COMMAND_BATCH;
    command->op_count = (size_t)below(d, 6);
    command->ops = kv_command_alloc(command, command->op_count + 1, sizeof *command->ops);
    for (size_t i = 0; i < command->op_count; i++) {
        command->ops[i] = (struct kv_op){.type = KV_OP_PUT, .put = random_put(d, command)};
        if (one_in(d, 5))
            command->ops[i] = (struct kv_op){.type = KV_OP_DELETE,
                                             .del = {random_keys(d, command), one_in(d, 2)}};
    }
}

static void random_leader_command(struct draw *d, struct kv_command *command)
{
    static const enum kv_command_type types[] = {KV_COMMAND_REVOKE, KV_COMMAND_EXPIRE,
                                                 KV_COMMAND_CHECKPOINT, KV_COMMAND_COMPACT,
                                                 KV_COMMAND_FORGET, KV_COMMAND_ALARM};
    command->type = types[below(d, 6)];
    command->term = one_in(d, 5) ? d->term - 1 : d->term;
    random_leases(d, command, command->type == KV_COMMAND_REVOKE ? 1 : (size_t)below(d, 4));
    if (command->type == KV_COMMAND_EXPIRE || command->type == KV_COMMAND_CHECKPOINT)
        command->births = below(d, kv_lease_births(d->kv, d->term) + 1);
    command->alarm = (struct kv_alarm){below(d, 70), (enum kv_alarm_kind)(1 + below(d, 2))};
    command->raise = !one_in(d, 3);
    if (command->type == KV_COMMAND_COMPACT)
        command->number = one_in(d, 4) ? d->twin->revision + below(d, 2) : random_revision(d);
    if (command->type == KV_COMMAND_FORGET)
        command->number = d->twin->ticket_last > 20 ? d->twin->ticket_last - 20 : 0;
}

void draw_command(struct draw *d, struct kv_command *command)
{
    *command = (struct kv_command){.type = KV_COMMAND_OP, .op_count = 1};
    if (one_in(d, 8)) {
        random_leader_command(d, command);
        return;
    }
    if (one_in(d, 6)) {
        random_batch(d, command);
    } else {
        command->ops = kv_command_alloc(command, 1, sizeof *command->ops);
        random_op(d, command, command->ops, 0);
    }
    random_ticket(d, command);
}
