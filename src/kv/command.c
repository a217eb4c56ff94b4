/*
 * Commands <-> bytes: the msgpack array [op, condition, mod_revision, key, value | nil]. A decoder
 * ignores trailing fields. Every member must judge the same bytes alike, so nothing here depends on
 * configuration.
 */
#include "base/assert.h"
#include "codec/pack.h"
#include "kv/kv.h"

enum { COMMAND_FIELDS = 5 };

void kv_command_put(struct buf *out, const struct kv_command *command)
{
    ASSERT(command->key_len > 0);
    ASSERT(command->op == KV_OP_PUT || command->op == KV_OP_DELETE);
    pack_array(out, COMMAND_FIELDS);
    pack_u64(out, (uint64_t)command->op);
    pack_u64(out, (uint64_t)command->condition);
    pack_u64(out, command->mod_revision);
    pack_bin(out, command->key, command->key_len);
    if (command->op == KV_OP_PUT)
        pack_bin(out, command->value, command->value_len);
    else
        pack_nil(out);
}

static void get_value(struct unpack *in, struct kv_command *out)
{
    if (out->op == KV_OP_PUT)
        out->value = unpack_bin(in, &out->value_len);
    else
        unpack_nil(in);
}

static bool is_within_limits(const struct kv_command *command)
{
    return command->key_len > 0 && command->key_len <= KV_ITEM_MAX_BYTES &&
           command->value_len <= KV_ITEM_MAX_BYTES - command->key_len;
}

/* An op or condition that is not known: ERR_VERSION if the rest is a whole array. */
static enum err newer(struct unpack *in, uint32_t count, uint32_t read)
{
    unpack_rest(in, count, read);
    return unpack_end(in) == ERR_OK ? ERR_VERSION : ERR_INVALID;
}

enum err kv_command_get(const uint8_t *data, size_t len, struct kv_command *out)
{
    struct unpack in = unpack_init(data, len);
    uint32_t count = unpack_array(&in);
    uint64_t op = unpack_u64(&in);
    if (op > KV_OP_DELETE)
        return newer(&in, count, 1);
    uint64_t condition = unpack_u64(&in);
    if (condition > KV_IF_PRESENT)
        return newer(&in, count, 2);
    struct kv_command command = {.op = (enum kv_op)op, .condition = (enum kv_condition)condition};
    command.mod_revision = unpack_u64(&in);
    command.key = unpack_bin(&in, &command.key_len);
    get_value(&in, &command);
    unpack_rest(&in, count, COMMAND_FIELDS);
    if (unpack_end(&in) != ERR_OK || op == 0 || !is_within_limits(&command))
        return ERR_INVALID;
    *out = command;
    return ERR_OK;
}
