/*
 * The ordered index: a B+tree whose nodes, items and keys are counted, so that holding a root is
 * holding the whole tree as it is now. A write copies only nodes that somebody else holds too.
 *
 * Depth is bounded by INDEX_DEPTH; no call recurses.
 */
#ifndef KV_INDEX_H
#define KV_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_FANOUT 32
#define INDEX_DEPTH 24

struct index_key {
    uint32_t refs;
    uint32_t len;
    uint8_t bytes[];
};

/* One version of a key; immutable. */
struct index_item {
    uint32_t refs;
    uint32_t value_len;
    struct index_key *key;
    uint64_t create_revision;
    uint64_t mod_revision;
    uint64_t version;
    uint8_t value[];
};

struct index_node; /* of a tree; NULL is the empty tree */

struct index_key *index_key_new(const uint8_t *data, size_t len);
struct index_key *index_key_ref(struct index_key *key);
void index_key_unref(struct index_key *key);
/* Takes over the reference to key. */
struct index_item *index_item_new(struct index_key *key, const uint8_t *value, size_t value_len);
struct index_item *index_item_ref(struct index_item *item);
void index_item_unref(struct index_item *item);

struct index_node *index_ref(struct index_node *root);
/* Borrowed until the tree changes; NULL: not there. */
const struct index_item *index_find(const struct index_node *root, const uint8_t *key, size_t len);
/* Puts the item (reference taken over) in the place of its key. */
void index_put(struct index_node **root, struct index_item *item);
/* Takes the key out; false: it was not there. */
bool index_remove(struct index_node **root, const uint8_t *key, size_t len);

/* A place in a tree that does not change meanwhile. */
struct index_cursor {
    const struct index_node *node[INDEX_DEPTH];
    uint32_t at[INDEX_DEPTH];
    uint32_t depth; /* levels in use; 0 = at the end */
};
/* To the first item with a key >= key (> key if after). */
void index_seek(struct index_cursor *cursor, const struct index_node *root, const uint8_t *key,
                size_t len, bool after);
/* Borrowed; NULL at the end. */
const struct index_item *index_at(const struct index_cursor *cursor);
void index_next(struct index_cursor *cursor);

/* Trees on their way out: freed in slices, whoever dropped them. */
struct index_garbage {
    struct index_node **list;
    size_t count;
    size_t cap;
};
/* Takes over the reference; NULL is fine. */
void index_drop(struct index_garbage *garbage, struct index_node *root);
/* Frees up to max_nodes; true if there is more. */
bool index_reap(struct index_garbage *garbage, size_t max_nodes);

#endif
