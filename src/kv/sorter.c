/*
 * What a walk has found, in another order than by key; in slices, however much it is. A heap whose
 * top comes last in the order: with a limit, what is over it goes at once. Taken apart from its top
 * downwards it leaves the list in order.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/store.h"

struct kv_sorter {
    struct kv_range range; /* order, sort and limit of it */
    struct kv_entry **items;
    size_t count;
    size_t cap;
    size_t heap;  /* items that are a heap yet; what is behind them is in order */
    size_t given; /* in order, and let go of */
    bool more;
};

struct kv_sorter *kv_sorter_new(const struct kv_range *range)
{
    struct kv_sorter *sorter = mem_calloc(1, sizeof *sorter);
    sorter->range = (struct kv_range){
        .order = range->order, .sort = range->sort, .limit = range->limit};
    return sorter;
}

static bool comes_before(const struct kv_sorter *sorter, size_t a, size_t b)
{
    return kv_range_compare(&sorter->range, sorter->items[a], sorter->items[b]) < 0;
}

static void swap(struct kv_sorter *sorter, size_t a, size_t b)
{
    struct kv_entry *entry = sorter->items[a];
    sorter->items[a] = sorter->items[b];
    sorter->items[b] = entry;
}

static void sift_up(struct kv_sorter *sorter, size_t at)
{
    for (; at > 0 && comes_before(sorter, (at - 1) / 2, at); at = (at - 1) / 2)
        swap(sorter, at, (at - 1) / 2);
}

static void sift_down(struct kv_sorter *sorter)
{
    size_t at = 0;
    for (size_t child = 1; child < sorter->heap; child = 2 * at + 1) {
        if (child + 1 < sorter->heap && comes_before(sorter, child, child + 1))
            child++;
        if (!comes_before(sorter, at, child))
            return;
        swap(sorter, at, child);
        at = child;
    }
}

/* The one that comes last is over the limit. */
static void drop_top(struct kv_sorter *sorter)
{
    sorter->heap--;
    sorter->count--;
    swap(sorter, 0, sorter->heap);
    kv_entry_unref(sorter->items[sorter->heap]);
    sift_down(sorter);
    sorter->more = true;
}

void kv_sorter_add(struct kv_sorter *sorter, const struct kv_cursor *cursor)
{
    struct kv_entry *entry = kv_cursor_entry(cursor);
    ASSERT(sorter->heap == sorter->count && sorter->given == 0);
    sorter->items = mem_grow(sorter->items, sorter->count, &sorter->cap, sizeof(entry));
    entry->refs++;
    sorter->items[sorter->count++] = entry;
    sorter->heap = sorter->count;
    sift_up(sorter, sorter->heap - 1);
    if (sorter->range.limit > 0 && sorter->count > sorter->range.limit)
        drop_top(sorter);
}

bool kv_sorter_sort(struct kv_sorter *sorter, size_t *budget)
{
    for (; sorter->heap > 0; --*budget) {
        if (*budget == 0)
            return false;
        swap(sorter, 0, --sorter->heap);
        sift_down(sorter);
    }
    return true;
}

static void let_go(struct kv_sorter *sorter)
{
    kv_entry_unref(sorter->items[sorter->given++]);
}

bool kv_sorter_peek(const struct kv_sorter *sorter, struct kv_item *out)
{
    ASSERT(sorter->heap == 0);
    if (sorter->given == sorter->count)
        return false;
    kv_entry_item(sorter->items[sorter->given], out);
    return true;
}

void kv_sorter_pop(struct kv_sorter *sorter)
{
    ASSERT(sorter->heap == 0 && sorter->given < sorter->count);
    let_go(sorter);
}

bool kv_sorter_has_more(const struct kv_sorter *sorter)
{
    return sorter->more;
}

bool kv_sorter_free_some(struct kv_sorter *sorter, size_t *budget)
{
    for (; sorter->given < sorter->count; --*budget) {
        if (*budget == 0)
            return false;
        let_go(sorter);
    }
    mem_free(sorter->items);
    mem_free(sorter);
    return true;
}
