/*
 * Leases and what is bound to them, in one index ordered by lease and key.
 *
 * A lease stands there as an entry without a key, so before its keys, which are the newest versions
 * of these, shared with the index of keys. Of a lease's entry create_revision is the granted time
 * and mod_revision what a checkpoint said remains, both in seconds; its value is its birth; the
 * version is 1, so that it counts; its position is the number of the view that must not (or need
 * not) write it any more.
 */
#include "base/assert.h"
#include "codec/checksum.h"
#include "kv/store.h"

#include <string.h>

static struct kv_place lease_place(uint64_t id, struct kv_bytes key)
{
    return (struct kv_place){.key = key, .lease = id, .by_lease = true};
}

static struct kv_place entry_place(const struct kv_entry *entry)
{
    return lease_place(entry->lease, kv_entry_key(entry));
}

static uint64_t lease_hash(const struct kv_entry *lease)
{
    struct kv_birth birth = kv_lease_birth(lease);
    uint64_t words[5] = {lease->lease, lease->create_revision, lease->mod_revision, birth.term,
                         birth.number};
    return checksum_chain(words, birth.term != 0 ? 5 : 3, NULL, 0); /* 3: as it was before births */
}

struct kv_entry *kv_lease_find(const struct kv *kv, uint64_t id)
{
    struct kv_place place = lease_place(id, (struct kv_bytes){0});
    struct index_path path;
    index_find(&kv->leases, &place, false, &path);
    return index_path_match(&path, &place);
}

/* One reference to entry goes to the index. */
static void insert(struct kv *kv, struct kv_entry *entry)
{
    struct kv_place place = entry_place(entry);
    struct index_path path;
    index_find(&kv->leases, &place, false, &path);
    ASSERT(index_path_match(&path, &place) == NULL);
    index_insert(&kv->leases, &path, entry);
}

static void remove_entry(struct kv *kv, struct kv_entry *entry)
{
    struct kv_place place = entry_place(entry);
    struct index_path path;
    index_find(&kv->leases, &place, false, &path);
    ASSERT(index_path_match(&path, &place) == entry);
    kv_entry_unref(index_remove(&kv->leases, &path));
}

struct kv_birth kv_lease_birth(const struct kv_entry *lease)
{
    struct kv_birth birth;
    ASSERT(lease->key_len == 0 && lease->value_len == sizeof birth);
    memcpy(&birth, lease->bytes, sizeof birth);
    return birth;
}

struct kv_birth kv_lease_next_birth(struct kv *kv, uint64_t term)
{
    kv->births = (struct kv_birth){.term = term, .number = kv_lease_births(kv, term)};
    return kv->births;
}

uint64_t kv_lease_births(const struct kv *kv, uint64_t term)
{
    return kv->births.term == term ? kv->births.number + 1 : 1;
}

bool kv_lease_is_meant(const struct kv_entry *lease, const struct kv_command *command)
{
    struct kv_birth birth = kv_lease_birth(lease);
    return command->births == 0 || birth.term != command->term || birth.number < command->births;
}

void kv_lease_add(struct kv *kv, const struct kv_lease_info *info, const struct kv_birth *birth)
{
    struct kv_bytes bytes = {(const uint8_t *)birth, sizeof *birth};
    struct kv_entry *lease = kv_entry_new((struct kv_bytes){0}, bytes);
    lease->lease = info->id;
    lease->create_revision = info->ttl_s;
    lease->mod_revision = info->remaining_s;
    lease->version = 1;
    kv_view_on_new_lease(kv, lease);
    insert(kv, lease);
    kv->lease_count++;
    kv->lease_changes++;
    kv->leases_sum += lease_hash(lease);
    kv->entry_memory += kv_entry_memory(lease);
    kv->live_memory += kv_entry_memory(lease);
    kv->grown_bytes += kv_lease_bytes();
}

void kv_lease_remove(struct kv *kv, struct kv_entry *lease)
{
    kv_view_before_lease(kv, lease);
    kv->lease_count--;
    kv->lease_changes++;
    kv->leases_sum -= lease_hash(lease);
    kv->entry_memory -= kv_entry_memory(lease);
    kv->live_memory -= kv_entry_memory(lease);
    remove_entry(kv, lease);
}

void kv_lease_set_remaining(struct kv *kv, struct kv_entry *lease, uint64_t remaining_s)
{
    kv_view_before_lease(kv, lease);
    kv->leases_sum -= lease_hash(lease);
    lease->mod_revision = remaining_s;
    kv->leases_sum += lease_hash(lease);
}

void kv_lease_rebind(struct kv *kv, struct kv_entry *old, struct kv_entry *entry)
{
    if (old != NULL && old->lease != 0 && old->lease == entry->lease) {
        struct kv_place place = entry_place(old);
        struct index_path path;
        index_find(&kv->leases, &place, false, &path);
        ASSERT(index_path_match(&path, &place) == old);
        entry->refs++;
        kv_entry_unref(index_replace(&path, entry));
        return;
    }
    if (old != NULL && old->lease != 0)
        remove_entry(kv, old);
    if (entry->lease != 0) {
        entry->refs++;
        insert(kv, entry);
    }
}

/* The first entry of a lease behind a key; its own entry is before all. */
static struct kv_entry *next_key(const struct kv *kv, uint64_t id, struct kv_bytes after)
{
    struct kv_place place = lease_place(id, after);
    struct index_path path;
    index_find(&kv->leases, &place, true, &path);
    struct kv_entry *entry = index_path_entry(&path);
    return entry != NULL && entry->lease == id && entry->key_len > 0 ? entry : NULL;
}

struct kv_entry *kv_lease_first_key(const struct kv *kv, uint64_t id)
{
    return next_key(kv, id, (struct kv_bytes){0});
}

/* ---- asking ---------------------------------------------------------------------------------- */

static size_t key_count(const struct kv *kv, uint64_t id)
{
    struct kv_place own = lease_place(id, (struct kv_bytes){0});
    struct kv_place next = lease_place(id + 1, (struct kv_bytes){0});
    struct index_path path;
    index_find(&kv->leases, &own, true, &path);
    uint64_t from = index_path_rank(&path);
    if (id == UINT64_MAX)
        return (size_t)(index_live(&kv->leases) - from);
    index_find(&kv->leases, &next, false, &path);
    return (size_t)(index_path_rank(&path) - from);
}

struct kv_lease_info kv_lease_describe(const struct kv_entry *lease)
{
    return (struct kv_lease_info){
        .id = lease->lease, .ttl_s = lease->create_revision, .remaining_s = lease->mod_revision};
}

struct kv_entry *kv_lease_at_or_after(const struct kv *kv, uint64_t id)
{
    struct kv_place place = lease_place(id, (struct kv_bytes){0});
    struct index_path path;
    index_find(&kv->leases, &place, false, &path);
    struct kv_entry *lease = index_path_entry(&path);
    ASSERT(lease == NULL || lease->key_len == 0); /* keys stand behind their lease */
    return lease;
}

bool kv_lease_seek(const struct kv *kv, uint64_t id, struct kv_lease_info *out)
{
    const struct kv_entry *lease = kv_lease_at_or_after(kv, id);
    if (lease == NULL)
        return false;
    *out = kv_lease_describe(lease);
    out->key_count = key_count(kv, lease->lease);
    return true;
}

bool kv_lease_get(const struct kv *kv, uint64_t id, struct kv_lease_info *out)
{
    struct kv_lease_info found;
    if (!kv_lease_seek(kv, id, &found) || found.id != id)
        return false;
    *out = found;
    return true;
}

bool kv_lease_next_key(const struct kv *kv, uint64_t id, struct kv_bytes after,
                       struct kv_bytes *out)
{
    const struct kv_entry *entry = next_key(kv, id, after);
    if (entry != NULL)
        *out = kv_entry_key(entry);
    return entry != NULL;
}

size_t kv_lease_count(const struct kv *kv)
{
    return (size_t)kv->lease_count;
}

uint64_t kv_lease_changes(const struct kv *kv)
{
    return kv->lease_changes;
}
