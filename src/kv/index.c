/*
 * Insertion splits full nodes on the way down, removal merges small ones on the way up. Separator i of
 * an inner node is not above any key of child i, and above every key of child i - 1; separator 0 is
 * never looked at. Separators share keys, not items: they must not keep old values alive.
 */
#include "kv/index.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define MERGE_BELOW (INDEX_FANOUT / 4)
#define MERGE_FITS (INDEX_FANOUT * 3 / 4)

struct index_node {
    uint32_t refs;
    uint16_t count;
    bool leaf;
    union {
        struct index_item *item[INDEX_FANOUT];
        struct {
            struct index_node *child[INDEX_FANOUT];
            struct index_key *key[INDEX_FANOUT];
        } in;
    };
};

/* ---- keys and items --------------------------------------------------------------------------- */

struct index_key *index_key_new(const uint8_t *data, size_t len)
{
    ASSERT(len <= UINT32_MAX);
    struct index_key *key = mem_alloc(sizeof *key + len);
    key->refs = 1;
    key->len = (uint32_t)len;
    if (len > 0)
        memcpy(key->bytes, data, len);
    return key;
}

struct index_key *index_key_ref(struct index_key *key)
{
    key->refs++;
    return key;
}

void index_key_unref(struct index_key *key)
{
    ASSERT(key->refs > 0);
    if (--key->refs == 0)
        mem_free(key);
}

struct index_item *index_item_new(struct index_key *key, const uint8_t *value, size_t value_len)
{
    ASSERT(value_len <= UINT32_MAX);
    struct index_item *item = mem_alloc(sizeof *item + value_len);
    *item = (struct index_item){.refs = 1, .value_len = (uint32_t)value_len, .key = key};
    if (value_len > 0)
        memcpy(item->value, value, value_len);
    return item;
}

struct index_item *index_item_ref(struct index_item *item)
{
    item->refs++;
    return item;
}

void index_item_unref(struct index_item *item)
{
    ASSERT(item->refs > 0);
    if (--item->refs > 0)
        return;
    index_key_unref(item->key);
    mem_free(item);
}

static int compare(const struct index_key *a, const uint8_t *key, size_t len)
{
    size_t shorter = a->len < len ? a->len : len;
    int order = shorter > 0 ? memcmp(a->bytes, key, shorter) : 0;
    if (order != 0)
        return order;
    return a->len < len ? -1 : a->len > len ? 1 : 0;
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

static struct index_node *node_new(bool leaf)
{
    struct index_node *node = mem_calloc(1, sizeof *node);
    node->refs = 1;
    node->leaf = leaf;
    return node;
}

struct index_node *index_ref(struct index_node *root)
{
    if (root != NULL)
        root->refs++;
    return root;
}

static struct index_node *node_copy(const struct index_node *node)
{
    struct index_node *copy = mem_alloc(sizeof *copy);
    *copy = *node;
    copy->refs = 1;
    for (uint16_t i = 0; i < node->count; i++) {
        if (node->leaf) {
            (void)index_item_ref(node->item[i]);
        } else {
            (void)index_ref(node->in.child[i]);
            (void)index_key_ref(node->in.key[i]);
        }
    }
    return copy;
}

/* Makes the node in *slot ours alone, so that it may be changed. */
static struct index_node *own(struct index_node **slot)
{
    struct index_node *node = *slot;
    if (node->refs > 1) {
        node->refs--;
        *slot = node_copy(node);
    }
    return *slot;
}

/* First position in a leaf whose key is >= key; *equal: it is the key. */
static uint16_t leaf_position(const struct index_node *leaf, const uint8_t *key, size_t len,
                              bool *equal)
{
    uint16_t lo = 0;
    uint16_t hi = leaf->count;
    *equal = false;
    while (lo < hi) {
        uint16_t mid = (uint16_t)((lo + hi) / 2);
        int order = compare(leaf->item[mid]->key, key, len);
        if (order < 0) {
            lo = (uint16_t)(mid + 1);
        } else {
            *equal = *equal || order == 0;
            hi = mid;
        }
    }
    return lo;
}

/* The child that a key belongs to. */
static uint16_t child_position(const struct index_node *inner, const uint8_t *key, size_t len)
{
    uint16_t lo = 1;
    uint16_t hi = inner->count;
    while (lo < hi) {
        uint16_t mid = (uint16_t)((lo + hi) / 2);
        if (compare(inner->in.key[mid], key, len) <= 0)
            lo = (uint16_t)(mid + 1);
        else
            hi = mid;
    }
    return (uint16_t)(lo - 1);
}

static struct index_key *lowest_key(const struct index_node *node)
{
    return node->leaf ? node->item[0]->key : node->in.key[0];
}

static void insert_child(struct index_node *inner, uint16_t at, struct index_node *child,
                         struct index_key *key)
{
    ASSERT(inner->count < INDEX_FANOUT && at <= inner->count);
    size_t behind = (size_t)(inner->count - at);
    memmove(inner->in.child + at + 1, inner->in.child + at, behind * sizeof *inner->in.child);
    memmove(inner->in.key + at + 1, inner->in.key + at, behind * sizeof *inner->in.key);
    inner->in.child[at] = child;
    inner->in.key[at] = key;
    inner->count++;
}

static void remove_child(struct index_node *inner, uint16_t at)
{
    index_key_unref(inner->in.key[at]);
    inner->count--;
    size_t behind = (size_t)(inner->count - at);
    memmove(inner->in.child + at, inner->in.child + at + 1, behind * sizeof *inner->in.child);
    memmove(inner->in.key + at, inner->in.key + at + 1, behind * sizeof *inner->in.key);
}

/* Where a full node is cut: in the middle, but at the end when keys come in order. */
static struct index_node *split(struct index_node *node, bool ascending)
{
    struct index_node *right = node_new(node->leaf);
    uint16_t keep = ascending ? INDEX_FANOUT - 2 : INDEX_FANOUT / 2;
    right->count = (uint16_t)(node->count - keep);
    if (node->leaf) {
        memcpy(right->item, node->item + keep, right->count * sizeof *node->item);
    } else {
        memcpy(right->in.child, node->in.child + keep, right->count * sizeof *node->in.child);
        memcpy(right->in.key, node->in.key + keep, right->count * sizeof *node->in.key);
    }
    node->count = keep;
    return right;
}

static bool goes_behind_all(const struct index_node *node, const struct index_key *key)
{
    const struct index_key *last = node->leaf ? node->item[node->count - 1]->key
                                              : node->in.key[node->count - 1];
    return compare(last, key->bytes, key->len) < 0;
}

/* ---- finding ------------------------------------------------------------------------------------------ */

const struct index_item *index_find(const struct index_node *root, const uint8_t *key, size_t len)
{
    const struct index_node *node = root;
    if (node == NULL)
        return NULL;
    while (!node->leaf)
        node = node->in.child[child_position(node, key, len)];
    bool equal;
    uint16_t at = leaf_position(node, key, len, &equal);
    return equal ? node->item[at] : NULL;
}

void index_seek(struct index_cursor *cursor, const struct index_node *root, const uint8_t *key,
                size_t len, bool after)
{
    const struct index_node *node = root;
    cursor->depth = 0;
    while (node != NULL) {
        ASSERT(cursor->depth < INDEX_DEPTH);
        cursor->node[cursor->depth] = node;
        bool equal = false;
        uint16_t at = node->leaf ? leaf_position(node, key, len, &equal)
                                 : child_position(node, key, len);
        cursor->at[cursor->depth++] = equal && after ? at + 1u : at;
        node = node->leaf ? NULL : node->in.child[at];
    }
    if (cursor->depth > 0 && cursor->at[cursor->depth - 1] >= cursor->node[cursor->depth - 1]->count) {
        cursor->at[cursor->depth - 1]--;
        index_next(cursor);
    }
}

const struct index_item *index_at(const struct index_cursor *cursor)
{
    if (cursor->depth == 0)
        return NULL;
    uint32_t level = cursor->depth - 1;
    return cursor->node[level]->item[cursor->at[level]];
}

void index_next(struct index_cursor *cursor)
{
    while (cursor->depth > 0) {
        uint32_t level = cursor->depth - 1;
        if (++cursor->at[level] < cursor->node[level]->count)
            break;
        cursor->depth--;
    }
    while (cursor->depth > 0 && !cursor->node[cursor->depth - 1]->leaf) {
        uint32_t level = cursor->depth - 1;
        ASSERT(cursor->depth < INDEX_DEPTH);
        cursor->node[cursor->depth] = cursor->node[level]->in.child[cursor->at[level]];
        cursor->at[cursor->depth++] = 0;
    }
}

/* ---- changing ---------------------------------------------------------------------------------------------- */

static void leaf_put(struct index_node *leaf, struct index_item *item)
{
    bool equal;
    uint16_t at = leaf_position(leaf, item->key->bytes, item->key->len, &equal);
    if (equal) {
        index_item_unref(leaf->item[at]);
        leaf->item[at] = item;
        return;
    }
    ASSERT(leaf->count < INDEX_FANOUT);
    memmove(leaf->item + at + 1, leaf->item + at, (size_t)(leaf->count - at) * sizeof *leaf->item);
    leaf->item[at] = item;
    leaf->count++;
}

static void grow_root(struct index_node **root, const struct index_key *key)
{
    struct index_node *left = *root;
    struct index_node *right = split(left, goes_behind_all(left, key));
    struct index_node *top = node_new(false);
    insert_child(top, 0, left, index_key_ref(lowest_key(left)));
    insert_child(top, 1, right, index_key_ref(lowest_key(right)));
    *root = top;
}

void index_put(struct index_node **root, struct index_item *item)
{
    const struct index_key *key = item->key;
    if (*root == NULL)
        *root = node_new(true);
    struct index_node *node = own(root);
    if (node->count == INDEX_FANOUT) {
        grow_root(root, key);
        node = *root;
    }
    while (!node->leaf) {
        uint16_t at = child_position(node, key->bytes, key->len);
        struct index_node *child = own(&node->in.child[at]);
        if (child->count == INDEX_FANOUT) {
            struct index_node *right = split(child, goes_behind_all(child, key));
            insert_child(node, (uint16_t)(at + 1), right, index_key_ref(lowest_key(right)));
            if (compare(node->in.key[at + 1], key->bytes, key->len) <= 0)
                child = right;
        }
        node = child;
    }
    leaf_put(node, item);
}

/* Moves everything of child at + 1 into child at. */
static void merge(struct index_node *inner, uint16_t at)
{
    struct index_node *left = own(&inner->in.child[at]);
    struct index_node *right = own(&inner->in.child[at + 1]);
    if (left->leaf) {
        memcpy(left->item + left->count, right->item, right->count * sizeof *left->item);
    } else {
        memcpy(left->in.child + left->count, right->in.child,
               right->count * sizeof *left->in.child);
        memcpy(left->in.key + left->count, right->in.key, right->count * sizeof *left->in.key);
        if (right->count > 0) { /* right's separator 0 was never looked at: the parent's is right */
            index_key_unref(right->in.key[0]);
            left->in.key[left->count] = index_key_ref(inner->in.key[at + 1]);
        }
    }
    left->count = (uint16_t)(left->count + right->count);
    mem_free(right);
    remove_child(inner, (uint16_t)(at + 1));
}

/* Child at has become small: takes it out if it is empty, or joins it with a neighbour. */
static void shrink(struct index_node *inner, uint16_t at)
{
    struct index_node *child = inner->in.child[at];
    if (child->count == 0) {
        mem_free(child);
        remove_child(inner, at);
        return;
    }
    if (child->count >= MERGE_BELOW || inner->count < 2)
        return;
    uint16_t left = at + 1 < inner->count ? at : (uint16_t)(at - 1);
    if (inner->in.child[left]->count + inner->in.child[left + 1]->count <= MERGE_FITS)
        merge(inner, left);
}

static void trim_root(struct index_node **root)
{
    while (!(*root)->leaf && (*root)->count == 1) {
        struct index_node *top = *root;
        *root = top->in.child[0];
        index_key_unref(top->in.key[0]);
        mem_free(top);
    }
    if ((*root)->count == 0) {
        mem_free(*root);
        *root = NULL;
    }
}

bool index_remove(struct index_node **root, const uint8_t *key, size_t len)
{
    if (index_find(*root, key, len) == NULL)
        return false;
    struct index_node *path[INDEX_DEPTH];
    uint16_t at[INDEX_DEPTH];
    size_t depth = 0;
    struct index_node *node = own(root);
    while (!node->leaf) {
        ASSERT(depth < INDEX_DEPTH);
        path[depth] = node;
        at[depth] = child_position(node, key, len);
        node = own(&node->in.child[at[depth]]);
        depth++;
    }
    bool equal;
    uint16_t place = leaf_position(node, key, len, &equal);
    ASSERT(equal);
    index_item_unref(node->item[place]);
    node->count--;
    memmove(node->item + place, node->item + place + 1,
            (size_t)(node->count - place) * sizeof *node->item);
    while (depth-- > 0)
        shrink(path[depth], at[depth]);
    trim_root(root);
    return true;
}

/* ---- garbage -------------------------------------------------------------------------------------------------- */

void index_drop(struct index_garbage *garbage, struct index_node *root)
{
    if (root == NULL)
        return;
    garbage->list = mem_grow(garbage->list, garbage->count, &garbage->cap, sizeof *garbage->list);
    garbage->list[garbage->count++] = root;
}

static void free_node(struct index_garbage *garbage, struct index_node *node)
{
    for (uint16_t i = 0; i < node->count; i++) {
        if (node->leaf) {
            index_item_unref(node->item[i]);
        } else {
            index_drop(garbage, node->in.child[i]);
            index_key_unref(node->in.key[i]);
        }
    }
    mem_free(node);
}

bool index_reap(struct index_garbage *garbage, size_t max_nodes)
{
    for (size_t i = 0; i < max_nodes && garbage->count > 0; i++) {
        struct index_node *node = garbage->list[--garbage->count];
        ASSERT(node->refs > 0);
        if (--node->refs == 0)
            free_node(garbage, node);
    }
    if (garbage->count > 0)
        return true;
    mem_free(garbage->list);
    *garbage = (struct index_garbage){0};
    return false;
}
