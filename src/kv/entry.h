/* One version of one key with its value, in one allocation. What it says never changes; the chain
 * of older versions behind it is cut by compaction. */
#ifndef KV_ENTRY_H
#define KV_ENTRY_H

#include "kv/kv.h"

struct kv_entry {
    struct kv_entry *older; /* one reference; NULL: none, or compacted */
    uint64_t create_revision;
    uint64_t mod_revision;
    uint64_t version; /* 0 = a deletion (tombstone) */
    uint64_t lease;
    uint32_t refs;     /* indexes, newer versions and replies that hold it */
    uint32_t position; /* of its event in the history, the low 32 bits */
    uint32_t key_len;
    uint32_t value_len;
    uint8_t bytes[]; /* key, then value */
};

/* One reference; the numbers are zero, the caller's to fill in. */
struct kv_entry *kv_entry_new(struct kv_bytes key, struct kv_bytes value);
/* Frees with the last reference, and then the older ones likewise. */
void kv_entry_unref(struct kv_entry *entry);
struct kv_bytes kv_entry_key(const struct kv_entry *entry);
struct kv_bytes kv_entry_value(const struct kv_entry *entry);
/* Memory that it takes, with what the allocator needs. */
uint64_t kv_entry_memory(const struct kv_entry *entry);
uint64_t kv_memory_of(uint64_t key_len, uint64_t value_len); /* the same for one to come */
uint64_t kv_entry_hash(const struct kv_entry *entry); /* of all that it says, its position not */
int kv_bytes_compare(struct kv_bytes a, struct kv_bytes b);

#endif
