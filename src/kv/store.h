/* What store.c and snapshot.c share: the inside of a store and where dropped trees go. */
#ifndef KV_STORE_H
#define KV_STORE_H

#include "kv/index.h"
#include "kv/kv.h"

/* Where the trees of a store and of its views end. It outlives the store as long as a view is
 * open; after kv_discard everything goes on to the store that took over. */
struct kv_dump {
    uint32_t refs;  /* the store, views, and dumps that forward here */
    bool has_store; /* false: nobody will call kv_reap */
    struct kv_pile pile;
    struct kv_dump *forward; /* one reference; NULL: ends here */
};

struct kv {
    struct index index;
    struct kv_dump *dump;
    uint64_t revision;
    uint64_t count;
    uint64_t size_bytes;
};

/* Drops one reference to a tree (NULL is none); in one go only if nobody is there to reap. */
void kv_dump_unref_tree(struct kv_dump *dump, struct kv_node *root);
void kv_dump_unref(struct kv_dump *dump);
/* What a caller may see of an entry. Borrowed from it. */
struct kv_item kv_entry_item(const struct kv_entry *entry);

#endif
