/*
 * Nodes of the ordered index and the entries in its leaves, both with reference counts. A node
 * with one reference may be changed in place, a shared one is cloned first; whose references they
 * are is the business of index.c and the views.
 */
#ifndef KV_NODE_H
#define KV_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One key with its value, in one allocation. Immutable once it is in a tree. */
struct kv_entry {
    uint64_t create_revision;
    uint64_t mod_revision;
    uint64_t version;
    uint32_t refs; /* leaves that hold it */
    uint32_t key_len;
    uint32_t value_len;
    uint8_t bytes[]; /* key, then value */
};

/* refs 0: the leaf that takes it adds the first. Revisions are the caller's to fill in. */
struct kv_entry *kv_entry_new(const uint8_t *key, size_t key_len, const uint8_t *value,
                              size_t value_len);
void kv_entry_unref(struct kv_entry *entry); /* frees with the last reference */
int kv_entry_compare(const struct kv_entry *entry, const uint8_t *key, size_t key_len);

#define KV_NODE_MAX 32 /* slots */
#define KV_NODE_MIN 8  /* slots, but for nodes at the right edge, which appending fills */

struct kv_node {
    uint32_t refs; /* parents, indexes and views that hold it */
    uint16_t count;
    uint16_t level;       /* 0 = leaf */
    struct kv_node *next; /* in a pile */
    /* Leaf: the entries, one reference each. Inner node: the first entry below each child, borrowed
     * from that child's leaf. */
    struct kv_entry *entry[KV_NODE_MAX];
    struct kv_node *child[]; /* KV_NODE_MAX of them in inner nodes, none in leaves */
};

struct kv_node *kv_node_new(unsigned level); /* one reference */
/* Frees a node that is empty or whose content has moved elsewhere. */
void kv_node_free_shell(struct kv_node *node);
/* The node itself if the caller's reference is the only one; else a clone for which the caller's
 * reference is traded in. */
struct kv_node *kv_node_own(struct kv_node *node);
/* Slots: child is NULL in leaves. No reference is added or dropped. */
void kv_node_insert(struct kv_node *node, size_t at, struct kv_entry *entry, struct kv_node *child);
void kv_node_remove(struct kv_node *node, size_t at);
/* Moves the last count slots of left to the front of right, or the first of right to the end. */
void kv_node_shift_right(struct kv_node *left, struct kv_node *right, size_t count);
void kv_node_shift_left(struct kv_node *left, struct kv_node *right, size_t count);
/* First slot whose entry is >= key (> key if after). */
size_t kv_node_search(const struct kv_node *node, const uint8_t *key, size_t key_len, bool after);

/* Nodes that nobody holds any more, waiting to be freed a few at a time. Zero is empty. */
struct kv_pile {
    struct kv_node *first;
    struct kv_node *last;
};

/* Drops one reference; the last one puts the node with all below it on the pile: O(1). */
void kv_pile_unref(struct kv_pile *pile, struct kv_node *node);
void kv_pile_take_all(struct kv_pile *pile, struct kv_pile *from); /* from is empty after; O(1) */
/* Frees up to max_nodes; true if there are more. */
bool kv_pile_reap(struct kv_pile *pile, size_t max_nodes);

#endif
