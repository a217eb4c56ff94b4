/* Slots of single nodes, and the pile of dropped ones. Knows no tree. */
#include "kv/node.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

static bool is_leaf(const struct kv_node *node)
{
    return node->level == 0;
}

static size_t node_size(unsigned level)
{
    return sizeof(struct kv_node) + (level == 0 ? 0 : KV_NODE_MAX) * sizeof(struct kv_node *);
}

struct kv_node *kv_node_new(unsigned level)
{
    struct kv_node *node = mem_alloc(node_size(level));
    node->count = 0;
    node->level = level;
    node->live = 0;
    return node;
}

void kv_node_free_shell(struct kv_node *node)
{
    mem_free(node);
}

uint64_t kv_node_memory(unsigned level)
{
    return node_size(level) + 16;
}

uint64_t kv_node_live(const struct kv_node *node, size_t from, size_t to)
{
    uint64_t live = 0;
    for (size_t i = from; i < to; i++) {
        if (is_leaf(node))
            live += node->entry[i]->version != 0 ? 1 : 0;
        else
            live += node->child[i]->live;
    }
    return live;
}

/* Moves the slots from src on to dst within one node. */
static void slots_move(struct kv_node *node, size_t dst, size_t src)
{
    size_t count = node->count - src;
    memmove(&node->entry[dst], &node->entry[src], count * sizeof node->entry[0]);
    if (!is_leaf(node))
        memmove(&node->child[dst], &node->child[src], count * sizeof node->child[0]);
}

static void slots_copy(struct kv_node *to, size_t dst, const struct kv_node *from, size_t src,
                       size_t count)
{
    ASSERT(to->level == from->level);
    memcpy(&to->entry[dst], &from->entry[src], count * sizeof from->entry[0]);
    if (!is_leaf(from))
        memcpy(&to->child[dst], &from->child[src], count * sizeof from->child[0]);
}

static void count_moved(struct kv_node *from, struct kv_node *to, size_t slots, uint64_t live)
{
    from->count = (uint32_t)(from->count - slots);
    to->count = (uint32_t)(to->count + slots);
    from->live -= live;
    to->live += live;
}

void kv_node_insert(struct kv_node *node, size_t at, struct kv_entry *entry, struct kv_node *child)
{
    ASSERT(node->count < KV_NODE_MAX && at <= node->count);
    ASSERT((child == NULL) == is_leaf(node));
    slots_move(node, at + 1, at);
    node->entry[at] = entry;
    if (child != NULL)
        node->child[at] = child;
    node->count++;
    node->live += kv_node_live(node, at, at + 1);
}

void kv_node_remove(struct kv_node *node, size_t at)
{
    ASSERT(at < node->count);
    node->live -= kv_node_live(node, at, at + 1);
    slots_move(node, at, at + 1);
    node->count--;
}

void kv_node_shift_right(struct kv_node *left, struct kv_node *right, size_t count)
{
    ASSERT(count <= left->count && right->count + count <= KV_NODE_MAX);
    uint64_t live = kv_node_live(left, left->count - count, left->count);
    slots_move(right, count, 0);
    slots_copy(right, 0, left, left->count - count, count);
    count_moved(left, right, count, live);
}

void kv_node_shift_left(struct kv_node *left, struct kv_node *right, size_t count)
{
    ASSERT(count <= right->count && left->count + count <= KV_NODE_MAX);
    uint64_t live = kv_node_live(right, 0, count);
    slots_copy(left, left->count, right, 0, count);
    slots_move(right, 0, count);
    count_moved(right, left, count, live);
}

int kv_place_compare(const struct kv_entry *entry, const struct kv_place *place)
{
    if (place->by_lease && entry->lease != place->lease)
        return entry->lease < place->lease ? -1 : 1;
    return kv_bytes_compare(kv_entry_key(entry), place->key);
}

size_t kv_node_search(const struct kv_node *node, const struct kv_place *place, bool after)
{
    int bound = after ? 1 : 0;
    size_t lo = 0;
    size_t hi = node->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (kv_place_compare(node->entry[mid], place) < bound)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* ---- piles ----------------------------------------------------------------------------------- */

void kv_pile_add(struct kv_pile *pile, struct kv_node *root)
{
    if (root == NULL)
        return;
    root->next = pile->first;
    if (pile->first == NULL)
        pile->last = root;
    pile->first = root;
}

void kv_pile_take_all(struct kv_pile *pile, struct kv_pile *from)
{
    if (from->chain != NULL && pile->chain != NULL)
        kv_entry_unref(from->chain);
    else if (from->chain != NULL)
        pile->chain = from->chain;
    if (from->first != NULL) {
        from->last->next = pile->first;
        if (pile->first == NULL)
            pile->last = from->last;
        pile->first = from->first;
    }
    *from = (struct kv_pile){0};
}

/* One version of the chain; whoever else holds it keeps the rest. */
static void free_version(struct kv_pile *pile)
{
    struct kv_entry *entry = pile->chain;
    bool is_last_reference = entry->refs == 1;
    pile->chain = is_last_reference ? entry->older : NULL;
    if (is_last_reference)
        entry->older = NULL;
    kv_entry_unref(entry);
}

/* The last slot of the first node, or the node when it has none. */
static void free_slot(struct kv_pile *pile)
{
    struct kv_node *node = pile->first;
    if (node->count == 0) {
        pile->first = node->next;
        mem_free(node);
        return;
    }
    node->count--;
    if (is_leaf(node)) {
        pile->chain = node->entry[node->count];
        return;
    }
    kv_pile_add(pile, node->child[node->count]);
}

bool kv_pile_reap(struct kv_pile *pile, size_t *budget)
{
    while (pile->first != NULL || pile->chain != NULL) {
        if (*budget == 0)
            return true;
        --*budget;
        if (pile->chain != NULL)
            free_version(pile);
        else
            free_slot(pile);
    }
    return false;
}
