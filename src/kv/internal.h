/* The inside of a store, shared by store.c and snapshot.c. */
#ifndef KV_INTERNAL_H
#define KV_INTERNAL_H

#include "kv/index.h"
#include "kv/kv.h"

/* What is being freed outlives the store as long as a view may add to it. */
struct kv_garbage {
    uint32_t refs;
    struct index_garbage trees;
};

struct kv {
    struct index_node *root;
    uint64_t revision;
    uint64_t count;
    uint64_t size_bytes;
    struct kv_garbage *garbage;
};

struct kv_garbage *kv_garbage_ref(struct kv_garbage *garbage);
/* The last one frees all that is left, at once. */
void kv_garbage_unref(struct kv_garbage *garbage);

#endif
