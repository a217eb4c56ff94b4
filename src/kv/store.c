/* Commands applied to the index; every member comes to the same result for the same log. */
#include "kv/internal.h"

#include "base/assert.h"
#include "base/mem.h"

struct kv_garbage *kv_garbage_ref(struct kv_garbage *garbage)
{
    garbage->refs++;
    return garbage;
}

void kv_garbage_unref(struct kv_garbage *garbage)
{
    ASSERT(garbage->refs > 0);
    if (--garbage->refs > 0)
        return;
    while (index_reap(&garbage->trees, 1024))
        continue;
    mem_free(garbage);
}

struct kv *kv_new(void)
{
    struct kv *kv = mem_calloc(1, sizeof *kv);
    kv->revision = 1;
    kv->garbage = mem_calloc(1, sizeof *kv->garbage);
    kv->garbage->refs = 1;
    return kv;
}

void kv_free(struct kv *kv)
{
    index_drop(&kv->garbage->trees, kv->root);
    kv_garbage_unref(kv->garbage);
    mem_free(kv);
}

uint64_t kv_revision(const struct kv *kv)
{
    return kv->revision;
}

uint64_t kv_count(const struct kv *kv)
{
    return kv->count;
}

uint64_t kv_size_bytes(const struct kv *kv)
{
    return kv->size_bytes;
}

static void show(const struct index_item *item, struct kv_item *out)
{
    *out = (struct kv_item){.key = item->key->bytes,
                            .key_len = item->key->len,
                            .value = item->value,
                            .value_len = item->value_len,
                            .create_revision = item->create_revision,
                            .mod_revision = item->mod_revision,
                            .version = item->version};
}

bool kv_get(const struct kv *kv, const uint8_t *key, size_t key_len, struct kv_item *out)
{
    const struct index_item *item = index_find(kv->root, key, key_len);
    if (item == NULL)
        return false;
    show(item, out);
    return true;
}

bool kv_seek(const struct kv *kv, const uint8_t *key, size_t key_len, bool after,
             struct kv_item *out)
{
    struct index_cursor cursor;
    index_seek(&cursor, kv->root, key, key_len, after);
    const struct index_item *item = index_at(&cursor);
    if (item == NULL)
        return false;
    show(item, out);
    return true;
}

/* ---- commands --------------------------------------------------------------------------------- */

static bool condition_holds(const struct kv_command *command, const struct index_item *old)
{
    switch (command->condition) {
    case KV_ALWAYS: return true;
    case KV_IF_ABSENT: return old == NULL;
    case KV_IF_PRESENT: return old != NULL;
    case KV_IF_MOD_REVISION: return old != NULL && old->mod_revision == command->mod_revision;
    }
    UNREACHABLE("kv condition");
}

static void put(struct kv *kv, const struct kv_command *command, const struct index_item *old)
{
    struct index_key *key = old != NULL ? index_key_ref(old->key)
                                        : index_key_new(command->key, command->key_len);
    struct index_item *item = index_item_new(key, command->value, command->value_len);
    item->mod_revision = ++kv->revision;
    item->create_revision = old != NULL ? old->create_revision : item->mod_revision;
    item->version = old != NULL ? old->version + 1 : 1;
    kv->count += old == NULL;
    kv->size_bytes += command->value_len + (old == NULL ? command->key_len : 0);
    kv->size_bytes -= old != NULL ? old->value_len : 0;
    index_put(&kv->root, item);
}

static void erase(struct kv *kv, const struct kv_command *command, const struct index_item *old)
{
    kv->revision++;
    kv->count--;
    kv->size_bytes -= old->key->len + (uint64_t)old->value_len;
    bool removed = index_remove(&kv->root, command->key, command->key_len);
    ASSERT(removed);
}

struct kv_result kv_apply(struct kv *kv, const uint8_t *data, size_t len)
{
    struct kv_command command;
    struct kv_result result = {.status = KV_COMMAND_INVALID, .revision = kv->revision};
    if (kv_command_get(data, len, &command) != ERR_OK)
        return result;
    const struct index_item *old = index_find(kv->root, command.key, command.key_len);
    result.mod_revision = old != NULL ? old->mod_revision : 0;
    result.status = KV_OK;
    if (!condition_holds(&command, old)) {
        result.status = KV_CONDITION_FAILED;
    } else if (command.op == KV_OP_PUT) {
        put(kv, &command, old);
        result.mod_revision = kv->revision;
    } else if (old == NULL) {
        result.status = KV_KEY_NOT_FOUND;
    } else {
        erase(kv, &command, old);
        result.mod_revision = 0;
    }
    result.revision = kv->revision;
    return result;
}

bool kv_reap(struct kv *kv, size_t max_nodes)
{
    return index_reap(&kv->garbage->trees, max_nodes);
}

void kv_discard(struct kv *kv, struct kv *old)
{
    index_drop(&kv->garbage->trees, old->root);
    struct index_garbage *trees = &old->garbage->trees;
    for (size_t i = 0; i < trees->count; i++)
        index_drop(&kv->garbage->trees, trees->list[i]);
    mem_free(trees->list);
    *trees = (struct index_garbage){0};
    kv_garbage_unref(old->garbage);
    mem_free(old);
}
