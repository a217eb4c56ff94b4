/*
 * Nodes of the ordered indexes, and the pile on which dropped trees wait to be freed. What order
 * the slots have is told by the place that is looked for (struct kv_place).
 */
#ifndef KV_NODE_H
#define KV_NODE_H

#include "kv/entry.h"

/* What is looked for: the order is by key, or by lease and then key. */
struct kv_place {
    struct kv_bytes key;
    uint64_t lease;
    bool by_lease;
};
int kv_place_compare(const struct kv_entry *entry, const struct kv_place *place);

#define KV_NODE_MAX 32 /* slots */
#define KV_NODE_MIN 8  /* slots, but for nodes at the right edge, which appending fills */

struct kv_node {
    uint32_t count;
    uint32_t level; /* 0 = leaf */
    union {
        uint64_t live;        /* entries below that are no deletions */
        struct kv_node *next; /* in a pile */
    };
    /* Leaf: the entries, one reference each. Inner node: the first entry below each child, borrowed
     * from that child's leaf. */
    struct kv_entry *entry[KV_NODE_MAX];
    struct kv_node *child[]; /* KV_NODE_MAX of them in inner nodes, none in leaves */
};

struct kv_node *kv_node_new(unsigned level);
/* Frees a node that is empty or whose content has moved elsewhere. */
void kv_node_free_shell(struct kv_node *node);
uint64_t kv_node_memory(unsigned level); /* of one, about */
/* Slots: child is NULL in leaves. No reference is added or dropped; live follows. */
void kv_node_insert(struct kv_node *node, size_t at, struct kv_entry *entry, struct kv_node *child);
void kv_node_remove(struct kv_node *node, size_t at);
/* Moves the last count slots of left to the front of right, or the first of right to the end. */
void kv_node_shift_right(struct kv_node *left, struct kv_node *right, size_t count);
void kv_node_shift_left(struct kv_node *left, struct kv_node *right, size_t count);
/* First slot whose entry is >= place (> place if after). */
size_t kv_node_search(const struct kv_node *node, const struct kv_place *place, bool after);
/* Entries that are no deletions in or below the slots [from, to). */
uint64_t kv_node_live(const struct kv_node *node, size_t from, size_t to);

/* Trees and chains of versions that nobody uses any more, freed a few pieces at a time. Zero is
 * empty. */
struct kv_pile {
    struct kv_node *first;
    struct kv_node *last;
    struct kv_entry *chain; /* one reference: what is being freed */
};

void kv_pile_add(struct kv_pile *pile, struct kv_node *root); /* NULL is nothing; O(1) */
/* O(1), but for a chain that `from` was in the midst of when pile is as well. */
void kv_pile_take_all(struct kv_pile *pile, struct kv_pile *from); /* from is empty after */
/* Does up to *budget steps, lowers it by what was done; true if there is more. */
bool kv_pile_reap(struct kv_pile *pile, size_t *budget);

#endif
