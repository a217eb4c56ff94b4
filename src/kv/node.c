/* Slots of single nodes, their reference counts, and the piles of dropped ones. Knows no tree. */
#include "kv/node.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

/* ---- entries --------------------------------------------------------------------------------- */

struct kv_entry *kv_entry_new(const uint8_t *key, size_t key_len, const uint8_t *value,
                              size_t value_len)
{
    ASSERT(key_len <= UINT32_MAX && value_len <= UINT32_MAX);
    struct kv_entry *entry = mem_alloc(offsetof(struct kv_entry, bytes) + key_len + value_len);
    entry->refs = 0;
    entry->key_len = (uint32_t)key_len;
    entry->value_len = (uint32_t)value_len;
    if (key_len > 0)
        memcpy(entry->bytes, key, key_len);
    if (value_len > 0)
        memcpy(entry->bytes + key_len, value, value_len);
    return entry;
}

void kv_entry_unref(struct kv_entry *entry)
{
    ASSERT(entry->refs > 0);
    if (--entry->refs == 0)
        mem_free(entry);
}

int kv_entry_compare(const struct kv_entry *entry, const uint8_t *key, size_t key_len)
{
    size_t common = entry->key_len < key_len ? entry->key_len : key_len;
    int order = common > 0 ? memcmp(entry->bytes, key, common) : 0;
    if (order != 0)
        return order;
    return entry->key_len < key_len ? -1 : entry->key_len > key_len;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static bool is_leaf(const struct kv_node *node)
{
    return node->level == 0;
}

struct kv_node *kv_node_new(unsigned level)
{
    size_t children = level == 0 ? 0 : KV_NODE_MAX;
    struct kv_node *node = mem_alloc(sizeof(struct kv_node) + children * sizeof(struct kv_node *));
    node->refs = 1;
    node->count = 0;
    node->level = (uint16_t)level;
    node->next = NULL;
    return node;
}

void kv_node_free_shell(struct kv_node *node)
{
    ASSERT(node->refs == 1);
    mem_free(node);
}

static struct kv_node *node_clone(const struct kv_node *node)
{
    struct kv_node *clone = kv_node_new(node->level);
    clone->count = node->count;
    memcpy(clone->entry, node->entry, node->count * sizeof node->entry[0]);
    if (is_leaf(node)) {
        for (size_t i = 0; i < node->count; i++)
            clone->entry[i]->refs++;
        return clone;
    }
    memcpy(clone->child, node->child, node->count * sizeof node->child[0]);
    for (size_t i = 0; i < node->count; i++)
        clone->child[i]->refs++;
    return clone;
}

struct kv_node *kv_node_own(struct kv_node *node)
{
    ASSERT(node->refs > 0);
    if (node->refs == 1)
        return node;
    struct kv_node *clone = node_clone(node);
    node->refs--;
    return clone;
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

void kv_node_insert(struct kv_node *node, size_t at, struct kv_entry *entry, struct kv_node *child)
{
    ASSERT(node->refs == 1 && node->count < KV_NODE_MAX && at <= node->count);
    ASSERT((child == NULL) == is_leaf(node));
    slots_move(node, at + 1, at);
    node->entry[at] = entry;
    if (child != NULL)
        node->child[at] = child;
    node->count++;
}

void kv_node_remove(struct kv_node *node, size_t at)
{
    ASSERT(node->refs == 1 && at < node->count);
    slots_move(node, at, at + 1);
    node->count--;
}

void kv_node_shift_right(struct kv_node *left, struct kv_node *right, size_t count)
{
    ASSERT(left->refs == 1 && right->refs == 1);
    ASSERT(count <= left->count && right->count + count <= KV_NODE_MAX);
    slots_move(right, count, 0);
    slots_copy(right, 0, left, left->count - count, count);
    left->count = (uint16_t)(left->count - count);
    right->count = (uint16_t)(right->count + count);
}

void kv_node_shift_left(struct kv_node *left, struct kv_node *right, size_t count)
{
    ASSERT(left->refs == 1 && right->refs == 1);
    ASSERT(count <= right->count && left->count + count <= KV_NODE_MAX);
    slots_copy(left, left->count, right, 0, count);
    slots_move(right, 0, count);
    left->count = (uint16_t)(left->count + count);
    right->count = (uint16_t)(right->count - count);
}

size_t kv_node_search(const struct kv_node *node, const uint8_t *key, size_t key_len, bool after)
{
    int bound = after ? 1 : 0;
    size_t lo = 0;
    size_t hi = node->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (kv_entry_compare(node->entry[mid], key, key_len) < bound)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* ---- piles ----------------------------------------------------------------------------------- */

void kv_pile_unref(struct kv_pile *pile, struct kv_node *node)
{
    ASSERT(node->refs > 0);
    if (--node->refs > 0)
        return;
    node->next = pile->first;
    if (pile->first == NULL)
        pile->last = node;
    pile->first = node;
}

void kv_pile_take_all(struct kv_pile *pile, struct kv_pile *from)
{
    if (from->first == NULL)
        return;
    from->last->next = pile->first;
    if (pile->first == NULL)
        pile->last = from->last;
    pile->first = from->first;
    *from = (struct kv_pile){0};
}

static void pile_free_first(struct kv_pile *pile)
{
    struct kv_node *node = pile->first;
    pile->first = node->next;
    for (size_t i = 0; i < node->count; i++) {
        if (is_leaf(node))
            kv_entry_unref(node->entry[i]);
        else
            kv_pile_unref(pile, node->child[i]);
    }
    mem_free(node);
}

bool kv_pile_reap(struct kv_pile *pile, size_t max_nodes)
{
    for (size_t i = 0; i < max_nodes && pile->first != NULL; i++)
        pile_free_first(pile);
    return pile->first != NULL;
}
