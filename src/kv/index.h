/*
 * The ordered index: a B+tree of entries, copied on write. A copy of struct index with one more
 * reference to root is a view; the tree then clones what it changes and the view stays as it is.
 */
#ifndef KV_INDEX_H
#define KV_INDEX_H

#include "kv/node.h"

/* KV_NODE_MIN to the power of this is more than memory can hold. */
#define KV_INDEX_MAX_DEPTH 24

struct index {
    struct kv_node *root; /* one reference; NULL: empty */
};

/* A position: slot pos[i] of node[i], from the root (0) to the leaf (depth - 1). Borrowed until the
 * next change of the index it was made from. */
struct index_path {
    size_t depth; /* 0: empty index */
    struct kv_node *node[KV_INDEX_MAX_DEPTH];
    size_t pos[KV_INDEX_MAX_DEPTH];
};

/* Where key is or would be put: pos in the leaf may be its count. */
void index_find(const struct index *index, const uint8_t *key, size_t key_len,
                struct index_path *path);
void index_first(const struct index *index, struct index_path *path);
/* The entry at path if it has exactly this key, else NULL. */
struct kv_entry *index_path_match(const struct index_path *path, const uint8_t *key,
                                  size_t key_len);
/* The entry at path, or the next one if path stands behind the last slot of a leaf; NULL at the
 * end of the index. */
struct kv_entry *index_path_entry(struct index_path *path);
void index_path_next(struct index_path *path);

/* Changes at a path that index_find or index_path_match gave; path is not valid any more after.
 * entry is owned by callee. */
void index_replace(struct index *index, struct index_path *path, struct kv_entry *entry);
void index_insert(struct index *index, struct index_path *path, struct kv_entry *entry);
void index_remove(struct index *index, struct index_path *path);
/* Behind the last entry: no key is compared, the caller knows that it is greater. */
void index_append(struct index *index, struct kv_entry *entry);

/* For tests: the number of entries; ends the process if the shape, the order or the borrowed
 * entries of inner nodes are wrong. */
uint64_t index_check(const struct index *index);

#endif
