/* Versions: memory, references, hashes; and how keys compare. */
#include "kv/entry.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/checksum.h"

#include <string.h>

struct kv_entry *kv_entry_new(struct kv_bytes key, struct kv_bytes value)
{
    ASSERT(key.len <= KV_ITEM_MAX_BYTES && value.len <= KV_ITEM_MAX_BYTES);
    struct kv_entry *entry = mem_alloc(offsetof(struct kv_entry, bytes) + key.len + value.len);
    *entry = (struct kv_entry){
        .refs = 1, .key_len = (uint32_t)key.len, .value_len = (uint32_t)value.len};
    if (key.len > 0)
        memcpy(entry->bytes, key.data, key.len);
    if (value.len > 0)
        memcpy(entry->bytes + key.len, value.data, value.len);
    return entry;
}

void kv_entry_unref(struct kv_entry *entry)
{
    while (entry != NULL) {
        ASSERT(entry->refs > 0);
        if (--entry->refs > 0)
            return;
        struct kv_entry *older = entry->older;
        mem_free(entry);
        entry = older;
    }
}

struct kv_bytes kv_entry_key(const struct kv_entry *entry)
{
    return (struct kv_bytes){.data = entry->bytes, .len = entry->key_len};
}

struct kv_bytes kv_entry_value(const struct kv_entry *entry)
{
    return (struct kv_bytes){.data = entry->bytes + entry->key_len, .len = entry->value_len};
}

void kv_entry_item(const struct kv_entry *entry, struct kv_item *out)
{
    *out = (struct kv_item){.key = kv_entry_key(entry),
                            .value = kv_entry_value(entry),
                            .create_revision = entry->create_revision,
                            .mod_revision = entry->mod_revision,
                            .version = entry->version,
                            .lease = entry->lease};
}

/* A chunk of glibc's: eight bytes of its own, rounded up to sixteen. */
uint64_t kv_memory_of(uint64_t key_len, uint64_t value_len)
{
    return (offsetof(struct kv_entry, bytes) + key_len + value_len + 8 + 15) / 16 * 16;
}

uint64_t kv_entry_memory(const struct kv_entry *entry)
{
    return kv_memory_of(entry->key_len, entry->value_len);
}

uint64_t kv_entry_hash(const struct kv_entry *entry)
{
    uint64_t words[5] = {entry->create_revision, entry->mod_revision, entry->version, entry->lease,
                         entry->key_len};
    return checksum_chain(words, 5, entry->bytes, (size_t)entry->key_len + entry->value_len);
}

int kv_bytes_compare(struct kv_bytes a, struct kv_bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}
