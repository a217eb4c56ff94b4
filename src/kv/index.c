/*
 * The tree's algorithms, all of them along a path from the root: find, then make the path our own
 * from the top down (clone what a view shares), change the leaf, repair upwards. No recursion.
 *
 * An inner node's entry[i] is the first entry below child[i]; every repair renews it, so no
 * separator keys need memory of their own. Leaves have no links: a clone would break them.
 */
#include "kv/index.h"

#include "base/assert.h"

/* ---- paths ----------------------------------------------------------------------------------- */

static void path_push(struct index_path *path, struct kv_node *node, size_t pos)
{
    ASSERT(path->depth < KV_INDEX_MAX_DEPTH);
    path->node[path->depth] = node;
    path->pos[path->depth] = pos;
    path->depth++;
}

void index_find(const struct index *index, const uint8_t *key, size_t key_len,
                struct index_path *path)
{
    path->depth = 0;
    for (struct kv_node *node = index->root; node != NULL;) {
        if (node->level == 0) {
            path_push(path, node, kv_node_search(node, key, key_len, false));
            return;
        }
        size_t behind = kv_node_search(node, key, key_len, true);
        size_t pos = behind > 0 ? behind - 1 : 0;
        path_push(path, node, pos);
        node = node->child[pos];
    }
}

/* Goes down from node along its first or last slots. */
static void path_descend(struct index_path *path, struct kv_node *node, bool last)
{
    while (node != NULL) {
        path_push(path, node, last ? (size_t)node->count - 1 : 0);
        node = node->level > 0 ? node->child[path->pos[path->depth - 1]] : NULL;
    }
}

void index_first(const struct index *index, struct index_path *path)
{
    path->depth = 0;
    path_descend(path, index->root, false);
}

struct kv_entry *index_path_match(const struct index_path *path, const uint8_t *key, size_t key_len)
{
    if (path->depth == 0)
        return NULL;
    const struct kv_node *leaf = path->node[path->depth - 1];
    size_t pos = path->pos[path->depth - 1];
    if (pos == leaf->count || kv_entry_compare(leaf->entry[pos], key, key_len) != 0)
        return NULL;
    return leaf->entry[pos];
}

/* To the next leaf if the path stands behind the last slot; depth 0 at the end of the index. */
static void path_settle(struct index_path *path)
{
    size_t leaf = path->depth - 1;
    if (path->pos[leaf] < path->node[leaf]->count)
        return;
    path->depth--;
    while (path->depth > 0) {
        size_t top = path->depth - 1;
        if (path->pos[top] + 1 < path->node[top]->count) {
            path->pos[top]++;
            path_descend(path, path->node[top]->child[path->pos[top]], false);
            return;
        }
        path->depth--;
    }
}

struct kv_entry *index_path_entry(struct index_path *path)
{
    if (path->depth > 0)
        path_settle(path);
    if (path->depth == 0)
        return NULL;
    return path->node[path->depth - 1]->entry[path->pos[path->depth - 1]];
}

void index_path_next(struct index_path *path)
{
    if (path->depth > 0)
        path->pos[path->depth - 1]++;
}

/* ---- writing along a path -------------------------------------------------------------------- */

static struct kv_node *own_child(struct kv_node *parent, size_t pos)
{
    parent->child[pos] = kv_node_own(parent->child[pos]);
    return parent->child[pos];
}

/* Cloning a node makes its children shared, so the order is from the top down. */
static void path_own(struct index *index, struct index_path *path)
{
    ASSERT(path->depth > 0 && path->node[0] == index->root);
    index->root = kv_node_own(index->root);
    path->node[0] = index->root;
    for (size_t i = 1; i < path->depth; i++)
        path->node[i] = own_child(path->node[i - 1], path->pos[i - 1]);
}

/* Renews the borrowed first entries above node[from]. */
static void path_renew(struct index_path *path, size_t from)
{
    for (size_t i = from; i > 0; i--)
        path->node[i - 1]->entry[path->pos[i - 1]] = path->node[i]->entry[0];
}

void index_replace(struct index *index, struct index_path *path, struct kv_entry *entry)
{
    path_own(index, path);
    size_t leaf = path->depth - 1;
    size_t pos = path->pos[leaf];
    struct kv_entry *old = path->node[leaf]->entry[pos];
    entry->refs++;
    path->node[leaf]->entry[pos] = entry;
    if (pos == 0)
        path_renew(path, leaf);
    kv_entry_unref(old);
}

/* ---- insertion ------------------------------------------------------------------------------- */

static bool path_is_at_right_edge(const struct index_path *path, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        if (path->pos[i] + 1 != path->node[i]->count)
            return false;
    }
    return true;
}

/* Puts a slot into a full node that gives its upper half to a new one, which is returned. At the
 * right edge of the tree the new one gets the new slot alone: ascending keys leave full nodes. */
static struct kv_node *split_insert(struct kv_node *node, size_t at, struct kv_entry *entry,
                                    struct kv_node *child, bool at_right_edge)
{
    struct kv_node *right = kv_node_new(node->level);
    bool append = at_right_edge && at == node->count;
    if (!append)
        kv_node_shift_right(node, right, KV_NODE_MAX / 2);
    if (append || at > node->count)
        kv_node_insert(right, at - node->count, entry, child);
    else
        kv_node_insert(node, at, entry, child);
    return right;
}

static void grow_root(struct index *index, struct kv_node *right)
{
    struct kv_node *left = index->root;
    ASSERT(left != NULL && right != NULL);
    index->root = kv_node_new(left->level + 1U);
    kv_node_insert(index->root, 0, left->entry[0], left);
    kv_node_insert(index->root, 1, right->entry[0], right);
}

/* Inserts a slot at path->pos of the leaf and what splits out of it above. */
static void insert_upwards(struct index *index, struct index_path *path, struct kv_entry *entry)
{
    struct kv_node *child = NULL;
    for (size_t i = path->depth; i > 0; i--) {
        struct kv_node *node = path->node[i - 1];
        size_t at = path->pos[i - 1] + (child != NULL ? 1 : 0);
        if (node->count < KV_NODE_MAX) {
            kv_node_insert(node, at, entry, child);
            path_renew(path, i - 1);
            return;
        }
        child = split_insert(node, at, entry, child, path_is_at_right_edge(path, i - 1));
        entry = child->entry[0];
        if (i > 1)
            path->node[i - 2]->entry[path->pos[i - 2]] = node->entry[0];
    }
    grow_root(index, child);
}

void index_insert(struct index *index, struct index_path *path, struct kv_entry *entry)
{
    entry->refs++;
    if (index->root == NULL) {
        index->root = kv_node_new(0);
        kv_node_insert(index->root, 0, entry, NULL);
        return;
    }
    path_own(index, path);
    insert_upwards(index, path, entry);
}

void index_append(struct index *index, struct kv_entry *entry)
{
    struct index_path path = {.depth = 0};
    path_descend(&path, index->root, true);
    index_path_next(&path);
    index_insert(index, &path, entry);
}

/* ---- removal --------------------------------------------------------------------------------- */

static void even_out(struct kv_node *left, struct kv_node *right)
{
    size_t want = (size_t)(left->count + right->count) / 2;
    if (left->count > want)
        kv_node_shift_right(left, right, left->count - want);
    else
        kv_node_shift_left(left, right, want - left->count);
}

/* The child at pos has too few slots: joins it with a neighbour, or shares with one that is too
 * full for that. */
static void rebalance(struct kv_node *parent, size_t pos)
{
    size_t first = pos > 0 ? pos - 1 : 0;
    struct kv_node *left = own_child(parent, first);
    struct kv_node *right = own_child(parent, first + 1);
    if (left->count + right->count <= KV_NODE_MAX) {
        kv_node_shift_left(left, right, right->count);
        kv_node_remove(parent, first + 1);
        kv_node_free_shell(right);
    } else {
        even_out(left, right);
        parent->entry[first + 1] = right->entry[0];
    }
    parent->entry[first] = left->entry[0];
}

static void repair_child(struct kv_node *parent, size_t pos)
{
    struct kv_node *child = parent->child[pos];
    if (child->count == 0) {
        kv_node_remove(parent, pos);
        kv_node_free_shell(child);
        return;
    }
    parent->entry[pos] = child->entry[0];
    if (child->count < KV_NODE_MIN && parent->count > 1)
        rebalance(parent, pos);
}

static void shrink_root(struct index *index)
{
    while (index->root->level > 0 && index->root->count == 1) {
        struct kv_node *only = index->root->child[0];
        kv_node_free_shell(index->root);
        index->root = only;
        if (only->refs > 1)
            return; /* shared, and as a root it may have any count: nothing to repair */
    }
    if (index->root->count == 0) {
        kv_node_free_shell(index->root);
        index->root = NULL;
    }
}

void index_remove(struct index *index, struct index_path *path)
{
    path_own(index, path);
    size_t leaf = path->depth - 1;
    struct kv_entry *old = path->node[leaf]->entry[path->pos[leaf]];
    kv_node_remove(path->node[leaf], path->pos[leaf]);
    for (size_t i = leaf; i > 0; i--)
        repair_child(path->node[i - 1], path->pos[i - 1]);
    shrink_root(index);
    kv_entry_unref(old);
}

/* ---- the check ------------------------------------------------------------------------------- */

static void check_node(const struct index_path *path, size_t i)
{
    const struct kv_node *node = path->node[i];
    ASSERT(node->refs > 0 && node->count > 0 && node->count <= KV_NODE_MAX);
    if (!path_is_at_right_edge(path, i))
        ASSERT(node->count >= KV_NODE_MIN);
    for (size_t k = 0; node->level > 0 && k < node->count; k++) {
        ASSERT(node->child[k]->level + 1 == node->level);
        ASSERT(node->child[k]->entry[0] == node->entry[k]);
    }
}

uint64_t index_check(const struct index *index)
{
    struct index_path path;
    uint64_t count = 0;
    const struct kv_entry *before = NULL;
    index_first(index, &path);
    for (struct kv_entry *entry; (entry = index_path_entry(&path)) != NULL; count++) {
        for (size_t i = 0; i < path.depth && path.pos[path.depth - 1] == 0; i++)
            check_node(&path, i);
        ASSERT(entry->refs > 0);
        if (before != NULL)
            ASSERT(kv_entry_compare(before, entry->bytes, entry->key_len) < 0);
        before = entry;
        index_path_next(&path);
    }
    return count;
}
