/*
 * The tree's algorithms, all of them along a path from the root: find, change the leaf, repair
 * upwards. No recursion.
 *
 * An inner node's entry[i] is the first entry below child[i]; every repair renews it, so no
 * separator keys need memory of their own.
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

void index_find(const struct index *index, const struct kv_place *place, bool after,
                struct index_path *path)
{
    path->depth = 0;
    for (struct kv_node *node = index->root; node != NULL;) {
        if (node->level == 0) {
            path_push(path, node, kv_node_search(node, place, after));
            return;
        }
        size_t behind = kv_node_search(node, place, true);
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

void index_last(const struct index *index, struct index_path *path)
{
    path->depth = 0;
    path_descend(path, index->root, true);
    index_path_next(path);
}

struct kv_entry *index_path_match(const struct index_path *path, const struct kv_place *place)
{
    if (path->depth == 0)
        return NULL;
    const struct kv_node *leaf = path->node[path->depth - 1];
    size_t pos = path->pos[path->depth - 1];
    if (pos == leaf->count || kv_place_compare(leaf->entry[pos], place) != 0)
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

struct kv_entry *index_path_back(struct index_path *path)
{
    size_t top = path->depth;
    while (top > 0 && path->pos[top - 1] == 0)
        top--;
    path->depth = top;
    if (top == 0)
        return NULL;
    path->pos[top - 1]--;
    struct kv_node *node = path->node[top - 1];
    if (node->level > 0)
        path_descend(path, node->child[path->pos[top - 1]], true);
    return path->node[path->depth - 1]->entry[path->pos[path->depth - 1]];
}

uint64_t index_path_rank(const struct index_path *path)
{
    uint64_t rank = 0;
    for (size_t i = 0; i < path->depth; i++)
        rank += kv_node_live(path->node[i], 0, path->pos[i]);
    return rank;
}

uint64_t index_live(const struct index *index)
{
    return index->root != NULL ? index->root->live : 0;
}

/* ---- writing along a path -------------------------------------------------------------------- */

static struct kv_node *new_node(struct index *index, unsigned level)
{
    index->memory += kv_node_memory(level);
    return kv_node_new(level);
}

static void free_node(struct index *index, struct kv_node *node)
{
    index->memory -= kv_node_memory(node->level);
    kv_node_free_shell(node);
}

/* Renews the borrowed first entries above node[from]. */
static void path_renew(struct index_path *path, size_t from)
{
    for (size_t i = from; i > 0; i--)
        path->node[i - 1]->entry[path->pos[i - 1]] = path->node[i]->entry[0];
}

struct kv_entry *index_replace(struct index_path *path, struct kv_entry *entry)
{
    size_t leaf = path->depth - 1;
    size_t pos = path->pos[leaf];
    struct kv_entry *old = path->node[leaf]->entry[pos];
    path->node[leaf]->entry[pos] = entry;
    uint64_t was = old->version != 0 ? 1 : 0;
    uint64_t is = entry->version != 0 ? 1 : 0;
    for (size_t i = 0; i < path->depth; i++)
        path->node[i]->live += is - was;
    if (pos == 0)
        path_renew(path, leaf);
    return old;
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

/* Puts a slot into a full node that gives its upper half to an empty one. At the right edge of the
 * tree that one gets the new slot alone: ascending keys leave full nodes. */
static void split_insert(struct kv_node *node, struct kv_node *right, size_t at,
                         struct kv_entry *entry, struct kv_node *child, bool at_right_edge)
{
    bool append = at_right_edge && at == node->count;
    if (!append)
        kv_node_shift_right(node, right, KV_NODE_MAX / 2);
    if (append || at > node->count)
        kv_node_insert(right, at - node->count, entry, child);
    else
        kv_node_insert(node, at, entry, child);
}

static void grow_root(struct index *index, struct kv_node *right)
{
    struct kv_node *left = index->root;
    ASSERT(left != NULL && right != NULL);
    index->root = new_node(index, left->level + 1U);
    kv_node_insert(index->root, 0, left->entry[0], left);
    kv_node_insert(index->root, 1, right->entry[0], right);
}

/* Inserts a slot at path->pos of the leaf and what splits out of it above. Inner nodes count the
 * new entry already; a child that split off is taken out of the count before it is inserted. */
static void insert_upwards(struct index *index, struct index_path *path, struct kv_entry *entry)
{
    struct kv_node *child = NULL;
    for (size_t i = path->depth; i > 0; i--) {
        struct kv_node *node = path->node[i - 1];
        size_t at = path->pos[i - 1] + (child != NULL ? 1 : 0);
        if (child != NULL)
            node->live -= child->live;
        if (node->count < KV_NODE_MAX) {
            kv_node_insert(node, at, entry, child);
            path_renew(path, i - 1);
            return;
        }
        struct kv_node *right = new_node(index, node->level);
        split_insert(node, right, at, entry, child, path_is_at_right_edge(path, i - 1));
        child = right;
        entry = child->entry[0];
        if (i > 1)
            path->node[i - 2]->entry[path->pos[i - 2]] = node->entry[0];
    }
    grow_root(index, child);
}

void index_insert(struct index *index, struct index_path *path, struct kv_entry *entry)
{
    if (index->root == NULL) {
        index->root = new_node(index, 0);
        kv_node_insert(index->root, 0, entry, NULL);
        return;
    }
    ASSERT(path->depth > 0 && path->node[0] == index->root);
    for (size_t i = 0; entry->version != 0 && i + 1 < path->depth; i++)
        path->node[i]->live++;
    insert_upwards(index, path, entry);
}

void index_append(struct index *index, struct kv_entry *entry)
{
    struct index_path path;
    index_last(index, &path);
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
static void rebalance(struct index *index, struct kv_node *parent, size_t pos)
{
    size_t first = pos > 0 ? pos - 1 : 0;
    struct kv_node *left = parent->child[first];
    struct kv_node *right = parent->child[first + 1];
    if (left->count + right->count <= KV_NODE_MAX) {
        kv_node_shift_left(left, right, right->count);
        kv_node_remove(parent, first + 1);
        free_node(index, right);
    } else {
        even_out(left, right);
        parent->entry[first + 1] = right->entry[0];
    }
    parent->entry[first] = left->entry[0];
}

static void repair_child(struct index *index, struct kv_node *parent, size_t pos)
{
    struct kv_node *child = parent->child[pos];
    if (child->count == 0) {
        kv_node_remove(parent, pos);
        free_node(index, child);
        return;
    }
    parent->entry[pos] = child->entry[0];
    if (child->count < KV_NODE_MIN && parent->count > 1)
        rebalance(index, parent, pos);
}

static void shrink_root(struct index *index)
{
    while (index->root->level > 0 && index->root->count == 1) {
        struct kv_node *only = index->root->child[0];
        free_node(index, index->root);
        index->root = only;
    }
    if (index->root->count == 0) {
        free_node(index, index->root);
        index->root = NULL;
    }
}

struct kv_entry *index_remove(struct index *index, struct index_path *path)
{
    ASSERT(path->depth > 0 && path->node[0] == index->root);
    size_t leaf = path->depth - 1;
    struct kv_entry *old = path->node[leaf]->entry[path->pos[leaf]];
    for (size_t i = 0; old->version != 0 && i < leaf; i++)
        path->node[i]->live--;
    kv_node_remove(path->node[leaf], path->pos[leaf]);
    for (size_t i = leaf; i > 0; i--)
        repair_child(index, path->node[i - 1], path->pos[i - 1]);
    shrink_root(index);
    return old;
}

/* ---- the check ------------------------------------------------------------------------------- */

static void check_node(const struct index_path *path, size_t i)
{
    const struct kv_node *node = path->node[i];
    ASSERT(node->count > 0 && node->count <= KV_NODE_MAX);
    ASSERT(node->live == kv_node_live(node, 0, node->count));
    if (!path_is_at_right_edge(path, i))
        ASSERT(node->count >= KV_NODE_MIN);
    for (size_t k = 0; node->level > 0 && k < node->count; k++) {
        ASSERT(node->child[k]->level + 1 == node->level);
        ASSERT(node->child[k]->entry[0] == node->entry[k]);
    }
}

uint64_t index_check(const struct index *index, bool by_lease)
{
    struct index_path path = {.depth = 0};
    uint64_t count = 0;
    const struct kv_entry *before = NULL;
    path_descend(&path, index->root, false);
    for (struct kv_entry *entry; (entry = index_path_entry(&path)) != NULL; count++) {
        for (size_t i = 0; i < path.depth && path.pos[path.depth - 1] == 0; i++)
            check_node(&path, i);
        ASSERT(entry->refs > 0);
        struct kv_place place = {kv_entry_key(entry), entry->lease, by_lease};
        if (before != NULL)
            ASSERT(kv_place_compare(before, &place) < 0);
        before = entry;
        index_path_next(&path);
    }
    return count;
}
