/*
 * Commands of the store: bytes, or a command with a change, go into two stores, which must agree on
 * every result; what is invalid changes nothing, what decodes encodes to the same again, and at
 * the end the walk over all keys agrees with the counters. Only the public header is used.
 */
#include "base/assert.h"
#include "input.h"
#include "kv/kv.h"

#include <string.h>

#define COMMANDS_MAX 200

static void make_command(struct fuzz_input *in, struct buf *out)
{
    struct kv_command command = {.op = (enum kv_op)(1 + fuzz_byte(in) % 2),
                                 .condition = (enum kv_condition)(fuzz_byte(in) % 4)};
    if (command.condition == KV_IF_MOD_REVISION)
        command.mod_revision = fuzz_number(in);
    command.key = fuzz_piece(in, &command.key_len);
    if (command.key_len == 0) {
        command.key = (const uint8_t *)"k";
        command.key_len = 1;
    }
    if (command.op == KV_OP_PUT)
        command.value = fuzz_piece(in, &command.value_len);
    kv_command_put(out, &command);
}

static void check_codec(const struct buf *bytes, const struct kv_command *command)
{
    struct buf first = {0};
    struct kv_command again;
    ASSERT(command->key_len > 0);
    ASSERT(command->key_len + command->value_len <= bytes->len);
    kv_command_put(&first, command);
    ASSERT(kv_command_get(first.data, first.len, &again) == ERR_OK);
    ASSERT(again.op == command->op && again.condition == command->condition);
    ASSERT(again.mod_revision == command->mod_revision && again.key_len == command->key_len);
    ASSERT(memcmp(again.key, command->key, again.key_len) == 0);
    ASSERT(again.value_len == command->value_len);
    ASSERT(again.value_len == 0 || memcmp(again.value, command->value, again.value_len) == 0);
    buf_deinit(&first);
}

static void check_effect(struct kv *kv, const struct kv_command *command,
                         const struct kv_result *result)
{
    struct kv_item item;
    bool there = kv_get(kv, command->key, command->key_len, &item);
    ASSERT(there == (result->mod_revision != 0));
    ASSERT(!there || item.mod_revision == result->mod_revision);
    if (result->status != KV_OK)
        return;
    ASSERT(there == (command->op == KV_OP_PUT));
    ASSERT(!there ||
           (item.value_len == command->value_len && item.mod_revision == result->revision));
}

static void apply(struct kv *kv, struct kv *twin, const struct buf *bytes)
{
    struct kv_command command;
    uint64_t before = kv_revision(kv);
    bool valid = kv_command_get(bytes->data, bytes->len, &command) == ERR_OK;
    struct kv_result a = kv_apply(kv, bytes->data, bytes->len);
    struct kv_result b = kv_apply(twin, bytes->data, bytes->len);
    ASSERT(a.status == b.status && a.revision == b.revision && a.mod_revision == b.mod_revision);
    ASSERT(valid == (a.status != KV_COMMAND_INVALID));
    ASSERT(kv_revision(kv) == a.revision && a.revision == before + (a.status == KV_OK ? 1 : 0));
    if (!valid)
        return;
    check_codec(bytes, &command);
    check_effect(kv, &command, &a);
}

static void check_walk(struct kv *kv)
{
    uint64_t count = 0;
    uint64_t bytes = 0;
    struct kv_item item;
    bool more = kv_seek(kv, (const uint8_t *)"", 0, false, &item);
    while (more) {
        count++;
        bytes += item.key_len + item.value_len;
        ASSERT(item.create_revision <= item.mod_revision && item.version > 0);
        more = kv_seek(kv, item.key, item.key_len, true, &item);
    }
    ASSERT(count == kv_count(kv) && bytes == kv_size_bytes(kv));
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
        if (how % 2 == 0)
            make_command(&in, &bytes);
        else
            buf_add(&bytes, fuzz_piece(&in, &len), len);
        if (how % 8 == 2 && bytes.len > 0)
            bytes.data[fuzz_number(&in) % bytes.len] ^= how;
        apply(kv, twin, &bytes);
    }
    check_walk(kv);
    buf_deinit(&bytes);
    kv_free(kv);
    kv_free(twin);
    return 0;
}
