/*
 * One key's next version, and what that changes: the index, the history, the leases and the sums
 * that the hash is made of. And what can be asked of a store at once.
 */
#include "kv/store.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/checksum.h"

/* ---- life ------------------------------------------------------------------------------------ */

struct kv *kv_new(void)
{
    struct kv *kv = mem_calloc(1, sizeof *kv);
    kv->stamp = mem_calloc(1, sizeof *kv->stamp);
    kv->stamp->refs = 1;
    kv->revision = 1;
    return kv;
}

/* ---- numbers --------------------------------------------------------------------------------- */

uint64_t kv_revision(const struct kv *kv)
{
    return kv->revision;
}

uint64_t kv_compact_revision(const struct kv *kv)
{
    return kv->compact_revision;
}

uint64_t kv_count(const struct kv *kv)
{
    return kv->work.is_under_way ? kv->work.shown.count : index_live(&kv->keys);
}

uint64_t kv_size_bytes(const struct kv *kv)
{
    return kv->work.is_under_way ? kv->work.shown.size_bytes : kv->size_bytes;
}

uint64_t kv_history_bytes(const struct kv *kv)
{
    uint64_t events = kv->history.end - kv->history.first;
    return kv->entry_memory - kv->live_memory + events * sizeof(void *);
}

uint64_t kv_memory_bytes(const struct kv *kv)
{
    return sizeof *kv + kv->entry_memory + kv->keys.memory + kv->leases.memory +
           history_memory(&kv->history) + kv->tickets.memory +
           2 * kv->tickets.bucket_count * sizeof(void *);
}

uint64_t kv_link(uint64_t chain, uint64_t hash)
{
    uint64_t words[2] = {chain, hash};
    return checksum_chain(words, 2, NULL, 0);
}

uint64_t kv_hash(const struct kv *kv)
{
    if (kv->work.is_under_way)
        return kv->work.shown.hash;
    uint64_t words[8] = {kv->revision,   kv->compact_revision, kv->keys_sum,    kv->chain,
                         kv->leases_sum, kv->tickets.sum,      kv->lease_count, kv->tickets.end};
    uint64_t hash = checksum_chain(words, 8, NULL, 0);
    if (kv->births.term != 0) /* as it was before there were any */
        hash = kv_link(kv_link(hash, kv->births.term), kv->births.number);
    return kv->alarms.count > 0 ? kv_link(hash, alarms_sum(&kv->alarms)) : hash;
}

/* ---- versions -------------------------------------------------------------------------------- */

struct kv_place kv_key_place(struct kv_bytes key)
{
    return (struct kv_place){.key = key};
}

struct kv_entry *kv_newest(const struct kv *kv, struct kv_bytes key, struct index_path *path)
{
    struct kv_place place = kv_key_place(key);
    index_find(&kv->keys, &place, false, path);
    return index_path_match(path, &place);
}

struct kv_entry *kv_version_at(struct kv_entry *newest, uint64_t revision)
{
    struct kv_entry *entry = newest;
    while (entry != NULL && entry->mod_revision > revision)
        entry = entry->older;
    return entry != NULL && entry->version != 0 ? entry : NULL;
}

bool kv_get(const struct kv *kv, struct kv_bytes key, struct kv_item *out)
{
    struct index_path path;
    const struct kv_entry *entry = kv_version_at(kv_newest(kv, key, &path), kv->revision);
    if (entry != NULL)
        kv_entry_item(entry, out);
    return entry != NULL;
}

/* Into the sums goes what is there, and out what was. */
static void count_live(struct kv *kv, const struct kv_entry *old, const struct kv_entry *entry,
                       uint64_t entry_hash)
{
    if (old != NULL && old->version != 0) {
        kv->keys_sum -= kv_entry_hash(old);
        kv->size_bytes -= (uint64_t)old->key_len + old->value_len;
        kv->live_memory -= kv_entry_memory(old);
        kv->tombstone_memory -= kv_memory_of(old->key_len, 0);
        kv->tombstone_bytes -= kv_version_bytes(old->key_len, 0);
    }
    if (entry->version != 0) {
        kv->keys_sum += entry_hash;
        kv->size_bytes += (uint64_t)entry->key_len + entry->value_len;
        kv->live_memory += kv_entry_memory(entry);
        kv->tombstone_memory += kv_memory_of(entry->key_len, 0);
        kv->tombstone_bytes += kv_version_bytes(entry->key_len, 0);
        kv->grown_bytes += kv_version_bytes(entry->key_len, entry->value_len) +
                           kv_version_bytes(entry->key_len, 0);
    }
}

static void record(struct kv *kv, struct kv_entry *newest, struct kv_entry *entry)
{
    uint64_t hash = kv_entry_hash(entry);
    kv->entry_memory += kv_entry_memory(entry);
    count_live(kv, newest, entry, hash);
    kv->chain = kv_link(kv->chain, hash);
    history_push(&kv->history, entry);
    kv_lease_rebind(kv, newest, entry);
}

void kv_write(struct kv *kv, struct index_path *path, struct kv_entry *newest,
              struct kv_entry *entry, uint64_t revision)
{
    bool is_there = newest != NULL && newest->version != 0;
    entry->mod_revision = revision;
    entry->create_revision = is_there ? newest->create_revision : revision;
    entry->version = is_there ? newest->version + 1 : 1;
    record(kv, newest, entry);
    kv->stamp->changes++;
    if (newest == NULL)
        index_insert(&kv->keys, path, entry);
    else
        entry->older = index_replace(path, entry);
}

void kv_write_tombstone(struct kv *kv, struct index_path *path, struct kv_entry *newest,
                        uint64_t revision)
{
    ASSERT(newest->version != 0);
    struct kv_entry *entry = kv_entry_new(kv_entry_key(newest), (struct kv_bytes){0});
    entry->mod_revision = revision;
    record(kv, newest, entry);
    kv->stamp->changes++;
    entry->older = index_replace(path, entry);
}

/* ---- history --------------------------------------------------------------------------------- */

uint64_t kv_history_first(const struct kv *kv)
{
    return history_search(&kv->history, kv->history.first, kv->compact_revision);
}

uint64_t kv_history_end(const struct kv *kv)
{
    return kv->work.is_under_way ? kv->work.shown.history_end : kv->history.end;
}

enum err kv_history_find(const struct kv *kv, uint64_t revision, uint64_t *position)
{
    if (revision < kv->compact_revision)
        return ERR_NOT_FOUND;
    uint64_t found = history_search(&kv->history, kv->history.first, revision);
    uint64_t end = kv_history_end(kv);
    *position = found < end ? found : end;
    return ERR_OK;
}

void kv_history_at(const struct kv *kv, uint64_t position, struct kv_event *out)
{
    const struct kv_entry *entry = history_at(&kv->history, position);
    ASSERT(entry->mod_revision >= kv->compact_revision);
    *out = (struct kv_event){0};
    kv_entry_item(entry, &out->item);
    const struct kv_entry *prev = entry->older;
    bool may_show = entry->mod_revision > kv->compact_revision;
    if (may_show && prev != NULL && prev->version != 0) {
        out->has_prev = true;
        kv_entry_item(prev, &out->prev);
    }
    out->last_of_revision =
        position + 1 == kv->history.end ||
        history_at(&kv->history, position + 1)->mod_revision != entry->mod_revision;
}

/* ---- tickets --------------------------------------------------------------------------------- */

bool kv_ticket_get(const struct kv *kv, struct kv_bytes ticket, struct kv_ticket *out)
{
    const struct ticket *found = tickets_find(&kv->tickets, ticket);
    if (found != NULL)
        *out = found->is;
    return found != NULL;
}

uint64_t kv_ticket_first(const struct kv *kv)
{
    return tickets_count(&kv->tickets) > 0 ? kv->tickets.first : 0;
}

uint64_t kv_ticket_last(const struct kv *kv)
{
    return kv->tickets.end > 0 ? kv->tickets.end - 1 : 0;
}
