/*
 * An ordered index: a B+tree of entries that counts, so that the number of keys in a range is known
 * without a walk. All keys in one (by key), or what is bound to leases (by lease, then key).
 */
#ifndef KV_INDEX_H
#define KV_INDEX_H

#include "kv/node.h"

/* KV_NODE_MIN to the power of this is more than memory can hold. */
#define KV_INDEX_MAX_DEPTH 24

struct index {
    struct kv_node *root; /* NULL: empty */
    uint64_t memory;      /* bytes of all nodes, about */
};

/* A position: slot pos[i] of node[i], from the root (0) to the leaf (depth - 1). Borrowed until the
 * next change of the index it was made from. */
struct index_path {
    size_t depth; /* 0: empty index, or past an end */
    struct kv_node *node[KV_INDEX_MAX_DEPTH];
    size_t pos[KV_INDEX_MAX_DEPTH];
};

/* Where place is or would be put (behind it if after): pos in the leaf may be its count. */
void index_find(const struct index *index, const struct kv_place *place, bool after,
                struct index_path *path);
/* The entry at path if it is exactly at this place, else NULL. */
struct kv_entry *index_path_match(const struct index_path *path, const struct kv_place *place);
/* The entry at path, or the next one if path stands behind the last slot of a leaf; NULL at the
 * end of the index. */
struct kv_entry *index_path_entry(struct index_path *path);
void index_path_next(struct index_path *path);
/* The entry before path, where path stands then; NULL at the beginning of the index. */
struct kv_entry *index_path_back(struct index_path *path);
/* Behind the last entry. */
void index_last(const struct index *index, struct index_path *path);
/* Entries before path that are no deletions. O(log n). */
uint64_t index_path_rank(const struct index_path *path);
uint64_t index_live(const struct index *index);

/* Puts entry, one reference, in the slot at path; the one before is handed out with its reference.
 * path stays valid. */
struct kv_entry *index_replace(struct index_path *path, struct kv_entry *entry);
/* Takes one reference; path is not valid any more after. */
void index_insert(struct index *index, struct index_path *path, struct kv_entry *entry);
/* Hands the entry out with its reference; path is not valid any more after. */
struct kv_entry *index_remove(struct index *index, struct index_path *path);
/* Behind the last entry: no key is compared, the caller knows that it is greater. */
void index_append(struct index *index, struct kv_entry *entry);

/* For tests: the number of entries; ends the process if the shape, the order, the counts or the
 * borrowed entries of inner nodes are wrong. */
uint64_t index_check(const struct index *index, bool by_lease);

#endif
