/*
 * The store: what a command does to the index, and the revision rules. Knows nothing of the tree's
 * inside; what is dropped goes to the dump and is freed in slices.
 */
#include "kv/store.h"

#include "base/assert.h"
#include "base/mem.h"

/* ---- the dump -------------------------------------------------------------------------------- */

static struct kv_dump *dump_end(struct kv_dump *dump)
{
    while (dump->forward != NULL)
        dump = dump->forward;
    return dump;
}

void kv_dump_unref_tree(struct kv_dump *dump, struct kv_node *root)
{
    struct kv_dump *end = dump_end(dump);
    if (root != NULL)
        kv_pile_unref(&end->pile, root);
    if (!end->has_store)
        (void)kv_pile_reap(&end->pile, SIZE_MAX);
}

void kv_dump_unref(struct kv_dump *dump)
{
    while (dump != NULL) {
        ASSERT(dump->refs > 0);
        if (--dump->refs > 0)
            return;
        ASSERT(dump->pile.first == NULL);
        struct kv_dump *forward = dump->forward;
        mem_free(dump);
        dump = forward;
    }
}

/* ---- the store ------------------------------------------------------------------------------- */

struct kv *kv_new(void)
{
    struct kv *kv = mem_calloc(1, sizeof *kv);
    kv->dump = mem_calloc(1, sizeof *kv->dump);
    kv->dump->refs = 1;
    kv->dump->has_store = true;
    kv->revision = 1;
    return kv;
}

void kv_free(struct kv *kv)
{
    if (kv == NULL)
        return;
    kv->dump->has_store = false;
    kv_dump_unref_tree(kv->dump, kv->index.root);
    kv_dump_unref(kv->dump);
    mem_free(kv);
}

void kv_discard(struct kv *kv, struct kv *old)
{
    ASSERT(kv != old);
    struct kv_dump *dump = old->dump;
    ASSERT(dump->forward == NULL && kv->dump->forward == NULL);
    dump->has_store = false;
    dump->forward = kv->dump;
    kv->dump->refs++;
    kv_pile_take_all(&kv->dump->pile, &dump->pile);
    kv_dump_unref_tree(dump, old->index.root);
    kv_dump_unref(dump);
    mem_free(old);
}

bool kv_reap(struct kv *kv, size_t max_nodes)
{
    return kv_pile_reap(&kv->dump->pile, max_nodes);
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

/* ---- reading --------------------------------------------------------------------------------- */

struct kv_item kv_entry_item(const struct kv_entry *entry)
{
    return (struct kv_item){.key = entry->bytes,
                            .key_len = entry->key_len,
                            .value = entry->bytes + entry->key_len,
                            .value_len = entry->value_len,
                            .create_revision = entry->create_revision,
                            .mod_revision = entry->mod_revision,
                            .version = entry->version};
}

bool kv_get(const struct kv *kv, const uint8_t *key, size_t key_len, struct kv_item *out)
{
    struct index_path path;
    index_find(&kv->index, key, key_len, &path);
    const struct kv_entry *entry = index_path_match(&path, key, key_len);
    if (entry != NULL)
        *out = kv_entry_item(entry);
    return entry != NULL;
}

bool kv_seek(const struct kv *kv, const uint8_t *key, size_t key_len, bool after,
             struct kv_item *out)
{
    struct index_path path;
    index_find(&kv->index, key, key_len, &path);
    if (after && index_path_match(&path, key, key_len) != NULL)
        index_path_next(&path);
    const struct kv_entry *entry = index_path_entry(&path);
    if (entry != NULL)
        *out = kv_entry_item(entry);
    return entry != NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool condition_holds(const struct kv_command *command, const struct kv_entry *now)
{
    switch (command->condition) {
    case KV_ALWAYS: return true;
    case KV_IF_ABSENT: return now == NULL;
    case KV_IF_MOD_REVISION: return now != NULL && now->mod_revision == command->mod_revision;
    case KV_IF_PRESENT: return now != NULL;
    }
    UNREACHABLE("condition that kv_command_get lets through");
}

static struct kv_result result(const struct kv *kv, enum kv_status status, uint64_t mod_revision)
{
    return (struct kv_result){
        .status = status, .revision = kv->revision, .mod_revision = mod_revision};
}

static struct kv_result put(struct kv *kv, const struct kv_command *command,
                            struct index_path *path, const struct kv_entry *now)
{
    struct kv_entry *entry =
        kv_entry_new(command->key, command->key_len, command->value, command->value_len);
    kv->revision++;
    entry->create_revision = now != NULL ? now->create_revision : kv->revision;
    entry->mod_revision = kv->revision;
    entry->version = now != NULL ? now->version + 1 : 1;
    if (now != NULL) {
        kv->size_bytes = kv->size_bytes - now->value_len + command->value_len;
        index_replace(&kv->index, path, entry);
    } else {
        kv->size_bytes += command->key_len + command->value_len;
        kv->count++;
        index_insert(&kv->index, path, entry);
    }
    return result(kv, KV_OK, kv->revision);
}

static struct kv_result del(struct kv *kv, struct index_path *path, const struct kv_entry *now)
{
    if (now == NULL)
        return result(kv, KV_KEY_NOT_FOUND, 0);
    kv->revision++;
    kv->count--;
    kv->size_bytes -= (uint64_t)now->key_len + now->value_len;
    index_remove(&kv->index, path);
    return result(kv, KV_OK, 0);
}

struct kv_result kv_apply(struct kv *kv, const uint8_t *command, size_t len)
{
    struct kv_command what;
    if (kv_command_get(command, len, &what) != ERR_OK)
        return result(kv, KV_COMMAND_INVALID, 0);
    struct index_path path;
    index_find(&kv->index, what.key, what.key_len, &path);
    const struct kv_entry *now = index_path_match(&path, what.key, what.key_len);
    if (!condition_holds(&what, now))
        return result(kv, KV_CONDITION_FAILED, now != NULL ? now->mod_revision : 0);
    if (what.op == KV_OP_PUT)
        return put(kv, &what, &path, now);
    return del(kv, &path, now);
}
