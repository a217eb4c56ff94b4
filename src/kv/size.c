/*
 * How large a snapshot of the store may become, so that room for it can be kept on the disk.
 *
 * In memory every version, lease and ticket takes more than its part of a snapshot does (format.h).
 * And each key that is there may be deleted once, which adds a tombstone: these are counted ahead,
 * so that the bound never rises by a delete, an expiry or a compaction, whichever way they come.
 *
 * Who has written a snapshot knows better: the next one is no larger than that, and the tombstones
 * of the keys that were there, and what was added since. (Versions that compaction has hidden may
 * lie in memory for long, those before the newest revision's for ever if nothing is written.)
 */
#include "base/assert.h"
#include "kv/format.h"
#include "kv/store.h"
#include "kv/walk.h"

#include <stddef.h>

#define FRAME_BYTES 1024u /* begin, end and alarms */

_Static_assert(offsetof(struct kv_entry, bytes) + 8 >= LENGTH_BYTES + KEY_BYTES,
               "a version in memory is larger than its part");
_Static_assert(sizeof(struct ticket) >= LENGTH_BYTES + TICKET_BYTES, "so is a ticket");
_Static_assert(LENGTH_BYTES + BEGIN_BYTES + LENGTH_BYTES + END_BYTES +
                       KV_ALARMS_MAX * (LENGTH_BYTES + ALARM_BYTES) <=
                   FRAME_BYTES,
               "the frame fits");

uint64_t kv_snapshot_bytes_max(const struct kv *kv)
{
    return kv->entry_memory + kv->tombstone_memory + kv->tickets.memory + FRAME_BYTES;
}

uint64_t kv_tombstone_bytes(const struct kv *kv)
{
    return kv->tombstone_bytes;
}

uint64_t kv_grown_bytes(const struct kv *kv)
{
    return kv->grown_bytes;
}

uint64_t kv_version_bytes(uint64_t key_len, uint64_t value_len)
{
    return LENGTH_BYTES + KEY_BYTES + key_len + value_len;
}

uint64_t kv_lease_bytes(void)
{
    return LENGTH_BYTES + LEASE_BYTES;
}

uint64_t kv_ticket_bytes(uint64_t len)
{
    return LENGTH_BYTES + TICKET_BYTES + len;
}

static uint64_t put_growth(const struct kv *kv, const struct kv_put *put)
{
    uint64_t value_len = put->value.len;
    struct kv_item item;
    if (put->keep_value && put->key.len > 0 && kv_get(kv, put->key, &item))
        value_len = item.value.len;
    return kv_memory_of(put->key.len, value_len) + kv_memory_of(put->key.len, 0);
}

uint64_t kv_command_growth(const struct kv *kv, const struct kv_command *command)
{
    uint64_t bytes = 0;
    struct kv_walk walk;
    struct kv_walk_event event;
    kv_walk_begin(&walk, command->ops, command->op_count);
    while (kv_walk_next(&walk, &event)) {
        if (event.op != NULL && event.op->type == KV_OP_PUT)
            bytes += put_growth(kv, &event.op->put);
        else if (event.op != NULL && event.op->type == KV_OP_GRANT)
            bytes += kv_memory_of(0, sizeof(struct kv_birth));
    }
    return bytes;
}
