/* Commands as msgpack arrays: op, key, value, condition, mod_revision; more fields are of newer
 * versions and ignored. */
#include "kv/kv.h"

#include "codec/pack.h"

#define COMMAND_FIELDS 5

void kv_command_put(struct buf *out, const struct kv_command *command)
{
    pack_array(out, COMMAND_FIELDS);
    pack_u64(out, command->op);
    pack_bin(out, command->key, command->key_len);
    pack_bin(out, command->value, command->value_len);
    pack_u64(out, command->condition);
    pack_u64(out, command->mod_revision);
}

enum err kv_command_get(const uint8_t *data, size_t len, struct kv_command *out)
{
    struct unpack in = unpack_init(data, len);
    uint32_t count = unpack_array(&in);
    if (count < COMMAND_FIELDS)
        return ERR_INVALID;
    struct kv_command command = {0};
    uint64_t op = unpack_u64(&in);
    command.key = unpack_bin(&in, &command.key_len);
    command.value = unpack_bin(&in, &command.value_len);
    uint64_t condition = unpack_u64(&in);
    command.mod_revision = unpack_u64(&in);
    unpack_rest(&in, count, COMMAND_FIELDS);
    if (unpack_end(&in) != ERR_OK || command.key_len == 0 || op == 0)
        return ERR_INVALID;
    if (op > KV_OP_DELETE || condition > KV_IF_PRESENT)
        return ERR_VERSION;
    command.op = (enum kv_op)op;
    command.condition = (enum kv_condition)condition;
    *out = command;
    return ERR_OK;
}
