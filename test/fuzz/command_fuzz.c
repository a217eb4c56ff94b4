/*
 * Commands of the store: bytes, or a command with a change, go into two stores, one of which tidies
 * up at once and gives no replies. They must agree on every outcome and on the hash; what is
 * invalid changes nothing; what decodes encodes to the same again; a store that was written and
 * read in again goes on like the others. Only the public headers are used.
 */
#include "base/assert.h"
#include "input.h"
#include "kv/kv.h"

#include <string.h>

#define COMMANDS_MAX 200

static struct kv_bytes take_bytes(struct fuzz_input *in)
{
    struct kv_bytes out;
    out.data = fuzz_piece(in, &out.len);
    return out;
}

static struct kv_keys take_keys(struct fuzz_input *in)
{
    struct kv_keys keys = {.extent = (enum kv_extent)(fuzz_byte(in) % 3)};
    keys.key = take_bytes(in);
    if (keys.extent == KV_HALF_OPEN)
        keys.end = take_bytes(in);
    return keys;
}

static struct kv_op take_flat_op(struct fuzz_input *in)
{
    struct kv_op op = {.type = (enum kv_op_type)(fuzz_byte(in) % 4)};
    if (op.type == KV_OP_PUT) {
        op.put.key = take_bytes(in);
        uint8_t how = fuzz_byte(in);
        op.put.keep_value = how % 16 == 1;
        op.put.keep_lease = how % 16 == 2;
        op.put.want_prev = how % 2 == 0;
        if (!op.put.keep_value)
            op.put.value = take_bytes(in);
        op.put.lease = how % 16 == 4 ? fuzz_number(in) : 0;
    } else if (op.type == KV_OP_DELETE) {
        op.del.keys = take_keys(in);
        op.del.want_prev = fuzz_byte(in) % 2 == 0;
    } else if (op.type == KV_OP_RANGE) {
        op.range.keys = take_keys(in);
        op.range.revision = fuzz_number(in);
        op.range.limit = fuzz_number(in);
        op.range.order = (enum kv_order)(fuzz_byte(in) % 3);
        op.range.sort = (enum kv_sort)(fuzz_byte(in) % 5);
    }
    return op;
}

static struct kv_op *take_ops(struct kv_command *command, struct fuzz_input *in, size_t *count)
{
    *count = fuzz_byte(in) % 4;
    struct kv_op *ops = kv_command_alloc(command, *count + 1, sizeof *ops);
    for (size_t i = 0; i < *count; i++)
        ops[i] = take_flat_op(in);
    return ops;
}

static void take_txn(struct kv_command *command, struct kv_op *op, struct fuzz_input *in)
{
    struct kv_txn *txn = &op->txn;
    op->type = KV_OP_TXN;
    txn->compare_count = fuzz_byte(in) % 3;
    txn->compares = kv_command_alloc(command, txn->compare_count + 1, sizeof *txn->compares);
    for (size_t i = 0; i < txn->compare_count; i++) {
        struct kv_compare *compare = &txn->compares[i];
        compare->keys = take_keys(in);
        compare->target = (enum kv_target)(fuzz_byte(in) % 5);
        compare->relation = (enum kv_relation)(fuzz_byte(in) % 4);
        if (compare->target == KV_VALUE)
            compare->value = take_bytes(in);
        else
            compare->number = fuzz_number(in);
    }
    txn->success = take_ops(command, in, &txn->success_count);
    txn->failure = take_ops(command, in, &txn->failure_count);
}

static void take_leases(struct kv_command *command, struct fuzz_input *in)
{
    command->term = fuzz_byte(in) % 3;
    command->lease_count = command->type == KV_COMMAND_REVOKE ? 1 : fuzz_byte(in) % 3;
    command->leases = kv_command_alloc(command, command->lease_count + 1, sizeof *command->leases);
    for (size_t i = 0; i < command->lease_count; i++)
        command->leases[i] =
            (struct kv_lease_time){.id = 1 + fuzz_byte(in) % 5, .remaining_s = fuzz_byte(in)};
}

static void make_command(struct fuzz_input *in, struct buf *out)
{
    struct kv_command command = {.type = (enum kv_command_type)(1 + fuzz_byte(in) % 8)};
    struct kv_op *op = kv_command_alloc(&command, 1, sizeof *op);
    switch (command.type) {
    case KV_COMMAND_OP:
        if (fuzz_byte(in) % 4 == 0)
            take_txn(&command, op, in);
        else
            *op = take_flat_op(in);
        if (fuzz_byte(in) % 8 == 0)
            *op = (struct kv_op){.type = KV_OP_GRANT,
                                 .grant = {.id = 1 + fuzz_byte(in) % 5, .ttl_s = fuzz_number(in)}};
        command.ops = op;
        command.op_count = 1;
        break;
    case KV_COMMAND_BATCH: command.ops = take_ops(&command, in, &command.op_count); break;
    case KV_COMMAND_REVOKE:
    case KV_COMMAND_EXPIRE:
    case KV_COMMAND_CHECKPOINT: take_leases(&command, in); break;
    case KV_COMMAND_ALARM:
        command.alarm.member = fuzz_byte(in) % 5;
        command.alarm.kind = 1 + fuzz_byte(in) % 2;
        command.raise = fuzz_byte(in) % 2 == 0;
        break;
    case KV_COMMAND_COMPACT:
    case KV_COMMAND_FORGET:
        command.term = fuzz_byte(in) % 3;
        command.number = fuzz_number(in);
        break;
    }
    if (command.op_count > 0 && fuzz_byte(in) % 8 == 1)
        command.ticket = take_bytes(in);
    kv_command_encode(out, &command);
    kv_command_deinit(&command);
}

static void check_codec(const struct kv_command *command)
{
    struct buf first = {0};
    struct buf second = {0};
    struct kv_command again;
    kv_command_encode(&first, command);
    ASSERT(kv_command_decode(first.data, first.len, &again) == ERR_OK);
    kv_command_encode(&second, &again);
    ASSERT(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    kv_command_deinit(&again);
    buf_deinit(&first);
    buf_deinit(&second);
}

static void apply(struct kv *kv, struct kv *twin, const struct buf *bytes)
{
    uint64_t before = kv_hash(kv);
    struct kv_command command;
    bool valid = kv_command_decode(bytes->data, bytes->len, &command) == ERR_OK;
    struct kv_result a = kv_apply(kv, bytes->data, bytes->len, 1, true);
    struct kv_result b = kv_apply(twin, bytes->data, bytes->len, 1, false);
    ASSERT(a.status == b.status && a.revision == b.revision);
    ASSERT(kv_hash(kv) == kv_hash(twin));
    if (valid)
        check_codec(&command);
    else
        ASSERT(a.status == KV_COMMAND_INVALID && kv_hash(kv) == before);
    if (valid)
        kv_command_deinit(&command);
    kv_result_deinit(&a);
    kv_result_deinit(&b);
    (void)kv_tidy(twin, 1000);
}

static void check_walk(const struct kv *kv)
{
    static const uint8_t zero = 0;
    struct kv_keys all = {.extent = KV_FROM_KEY, .key = {&zero, 1}};
    struct kv_reply reply = {0};
    struct kv_range range = {.keys = all};
    ASSERT(kv_range_all(kv, &range, &reply) == KV_OK);
    ASSERT(reply.count == kv_count(kv) && reply.item_count == reply.count);
    ASSERT(kv_count_range(kv, &all) == reply.count);
    uint64_t bytes = 0;
    for (size_t i = 0; i < reply.item_count; i++) {
        struct kv_item item;
        kv_entry_item(reply.items[i], &item);
        ASSERT(item.create_revision <= item.mod_revision && item.version > 0);
        bytes += item.key.len + item.value.len;
    }
    ASSERT(bytes == kv_size_bytes(kv));
    kv_reply_deinit(&reply);
}

/* Written, read in, and compared; the copy takes the place of kv. */
static struct kv *reload(struct kv *kv)
{
    struct buf bytes = {0};
    struct kv_view *view = kv_view_new(kv);
    while (!kv_view_read(view, &bytes, 64))
        continue;
    kv_view_free(view);
    struct kv_loader *loader = kv_loader_new();
    struct kv *copy = NULL;
    ASSERT(kv_loader_feed(loader, bytes.data, bytes.len) == ERR_OK);
    ASSERT(kv_loader_finish(loader, &copy) == ERR_OK);
    kv_loader_free(loader);
    ASSERT(kv_hash(copy) == kv_hash(kv) && kv_revision(copy) == kv_revision(kv));
    buf_deinit(&bytes);
    kv_free(kv);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .len = size};
    struct kv *kv = kv_new();
    struct kv *twin = kv_new();
    struct buf bytes = {0};
    for (int i = 0; i < COMMANDS_MAX && fuzz_more(&in); i++) {
        uint8_t how = fuzz_byte(&in);
        size_t len = 0;
        buf_clear(&bytes);
        const uint8_t *piece = how % 4 == 1 ? fuzz_piece(&in, &len) : NULL;
        if (how % 4 == 1)
            buf_add(&bytes, piece, len);
        else
            make_command(&in, &bytes);
        if (how % 16 == 2 && bytes.len > 0)
            bytes.data[fuzz_number(&in) % bytes.len] ^= how;
        apply(kv, twin, &bytes);
        if (how % 32 == 7)
            kv = reload(kv);
    }
    check_walk(kv);
    check_walk(twin);
    buf_deinit(&bytes);
    kv_free(kv);
    kv_free(twin);
    return 0;
}
