/* Reading ranges: which keys belong to one, what a range request finds, and its order. */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/store.h"

#include <stdlib.h>

/* ---- which keys ------------------------------------------------------------------------------ */

static bool is_before_end(const struct kv_keys *keys, struct kv_bytes key)
{
    switch (keys->extent) {
    case KV_ONE_KEY: return kv_bytes_compare(key, keys->key) <= 0;
    case KV_HALF_OPEN: return kv_bytes_compare(key, keys->end) < 0;
    case KV_FROM_KEY: return true;
    }
    UNREACHABLE("extent");
}

bool kv_keys_contain(const struct kv_keys *keys, struct kv_bytes key)
{
    return kv_bytes_compare(key, keys->key) >= 0 && is_before_end(keys, key);
}

void kv_keys_begin(const struct kv *kv, const struct kv_keys *keys, struct index_path *path)
{
    struct kv_place place = kv_key_place(keys->key);
    index_find(&kv->keys, &place, false, path);
}

struct kv_entry *kv_keys_at(const struct kv_keys *keys, struct index_path *path)
{
    struct kv_entry *entry = index_path_entry(path);
    return entry != NULL && is_before_end(keys, kv_entry_key(entry)) ? entry : NULL;
}

static uint64_t rank_of_end(const struct kv *kv, const struct kv_keys *keys)
{
    struct kv_bytes end = keys->extent == KV_ONE_KEY ? keys->key : keys->end;
    struct kv_place place = kv_key_place(end);
    struct index_path path;
    if (keys->extent == KV_FROM_KEY)
        return index_live(&kv->keys);
    index_find(&kv->keys, &place, keys->extent == KV_ONE_KEY, &path);
    return index_path_rank(&path);
}

uint64_t kv_count_range(const struct kv *kv, const struct kv_keys *keys)
{
    struct index_path path;
    kv_keys_begin(kv, keys, &path);
    uint64_t from = index_path_rank(&path);
    uint64_t to = rank_of_end(kv, keys);
    return to > from ? to - from : 0;
}

/* ---- range requests -------------------------------------------------------------------------- */

enum kv_status kv_revision_check(const struct kv *kv, uint64_t revision)
{
    if (revision > kv->revision)
        return KV_FUTURE;
    return revision != 0 && revision < kv->compact_revision ? KV_COMPACTED : KV_OK;
}

void kv_reply_add_item(struct kv_reply *reply, struct kv_entry *entry, size_t *cap)
{
    reply->items = mem_grow(reply->items, reply->item_count, cap, sizeof *reply->items);
    entry->refs++;
    reply->items[reply->item_count++] = entry;
}

void kv_reply_deinit(struct kv_reply *reply)
{
    struct kv_reply *stack[KV_TXN_DEPTH_MAX + 1] = {reply};
    for (size_t depth = 1; depth > 0;) {
        struct kv_reply *top = stack[depth - 1];
        if (top->reply_count > 0) {
            ASSERT(depth <= KV_TXN_DEPTH_MAX);
            stack[depth++] = &top->replies[--top->reply_count];
            continue;
        }
        for (size_t i = 0; i < top->item_count; i++)
            kv_entry_unref(top->items[i]);
        mem_free(top->items);
        mem_free(top->replies);
        *top = (struct kv_reply){0};
        depth--;
    }
}

static bool passes_filters(const struct kv_range *range, const struct kv_entry *entry)
{
    return (range->min_mod == 0 || entry->mod_revision >= range->min_mod) &&
           (range->max_mod == 0 || entry->mod_revision <= range->max_mod) &&
           (range->min_create == 0 || entry->create_revision >= range->min_create) &&
           (range->max_create == 0 || entry->create_revision <= range->max_create);
}

static int number_compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_target(const struct kv_entry *a, const struct kv_entry *b, enum kv_sort target)
{
    switch (target) {
    case KV_BY_KEY: return kv_bytes_compare(kv_entry_key(a), kv_entry_key(b));
    case KV_BY_VERSION: return number_compare(a->version, b->version);
    case KV_BY_CREATE: return number_compare(a->create_revision, b->create_revision);
    case KV_BY_MOD: return number_compare(a->mod_revision, b->mod_revision);
    case KV_BY_VALUE: return kv_bytes_compare(kv_entry_value(a), kv_entry_value(b));
    }
    UNREACHABLE("target of a sort");
}

/* Equal ones stay in the order of keys, whichever way the rest goes. */
int kv_range_compare(const struct kv_range *range, const struct kv_entry *a,
                     const struct kv_entry *b)
{
    int way = by_target(a, b, range->sort);
    if (way == 0)
        return by_target(a, b, KV_BY_KEY);
    return range->order == KV_DESCEND ? -way : way;
}

static int item_compare(const void *left, const void *right, void *arg)
{
    return kv_range_compare(arg, *(struct kv_entry *const *)left,
                            *(struct kv_entry *const *)right);
}

static void sort_items(const struct kv_range *range, struct kv_reply *reply)
{
    struct kv_range order = *range;
    bool is_sorted = range->sort == KV_BY_KEY && range->order != KV_DESCEND;
    if (!is_sorted && reply->item_count > 1)
        qsort_r(reply->items, reply->item_count, sizeof *reply->items, item_compare, &order);
}

static void cut_items(const struct kv_range *range, struct kv_reply *reply)
{
    reply->more = range->limit > 0 && reply->item_count > range->limit;
    while (reply->more && reply->item_count > range->limit)
        kv_entry_unref(reply->items[--reply->item_count]);
}

/* Whether what is found may be left out: it is in order, so what comes later is cut. */
static bool has_enough(const struct kv_range *range, const struct kv_reply *reply)
{
    return range->limit > 0 && range->sort == KV_BY_KEY && range->order != KV_DESCEND &&
           reply->item_count > range->limit;
}

/* Nothing was written after this revision, so that every key's newest version is the answer. */
static bool is_newest(const struct kv *kv, uint64_t revision)
{
    const struct history *history = &kv->history;
    return history->first == history->end ||
           history_at(history, history->end - 1)->mod_revision <= revision;
}

void kv_range_fill(const struct kv *kv, const struct kv_range *range, struct kv_reply *reply)
{
    uint64_t revision = range->revision != 0 ? range->revision : UINT64_MAX;
    bool count_known = is_newest(kv, revision);
    struct index_path path;
    struct kv_entry *newest;
    size_t cap = 0;
    reply->count = count_known ? kv_count_range(kv, &range->keys) : 0;
    if (count_known && range->count_only)
        return;
    kv_keys_begin(kv, &range->keys, &path);
    for (; (newest = kv_keys_at(&range->keys, &path)) != NULL; index_path_next(&path)) {
        struct kv_entry *entry = kv_version_at(newest, revision);
        if (entry == NULL)
            continue;
        reply->count += count_known ? 0 : 1;
        bool enough = has_enough(range, reply);
        if (enough && count_known)
            break;
        if (!enough && !range->count_only && passes_filters(range, entry))
            kv_reply_add_item(reply, entry, &cap);
    }
    sort_items(range, reply);
    cut_items(range, reply);
}

enum kv_status kv_range_all(const struct kv *kv, const struct kv_range *range, struct kv_reply *out)
{
    struct kv_range now = *range;
    now.revision = range->revision != 0 ? range->revision : kv->revision;
    *out = (struct kv_reply){.type = KV_OP_RANGE, .revision = kv->revision};
    out->status = range->keys.key.len == 0 ? KV_KEY_EMPTY : kv_revision_check(kv, range->revision);
    if (out->status == KV_OK)
        kv_range_fill(kv, &now, out);
    return out->status;
}
