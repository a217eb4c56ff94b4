/*
 * A log in memory. Its first slot is a dummy: the position (index, term) in front of the first real
 * entry, (0, 0) in the beginning.
 */
#include "base/assert.h"
#include "base/mem.h"

#include <floe/storage.h>

#include <string.h>

struct floe_memstore {
    struct floe_hard_state hard_state;
    struct floe_snapshot snapshot;
    struct floe_entry *entries; /* entries[start] is the dummy; what is before it is free */
    size_t start;
    size_t count; /* with the dummy: never 0 */
    size_t cap;
    uint64_t size; /* of the real entries, bytes */
};

struct floe_memstore *floe_memstore_new(void)
{
    struct floe_memstore *store = mem_calloc(1, sizeof *store);
    store->entries = mem_grow(NULL, 0, &store->cap, sizeof *store->entries);
    store->entries[0] = (struct floe_entry){0};
    store->count = 1;
    return store;
}

static struct floe_entry *at(const struct floe_memstore *store, size_t offset)
{
    ASSERT(offset < store->count);
    return &store->entries[store->start + offset];
}

static floe_index dummy_index(const struct floe_memstore *store)
{
    return at(store, 0)->index;
}

static void drop(struct floe_memstore *store, struct floe_entry *entry)
{
    store->size -= floe_entry_size(entry);
    floe_entry_deinit(entry);
}

/* Cuts the log so that count slots are left. */
static void cut_to(struct floe_memstore *store, size_t count)
{
    ASSERT(count >= 1);
    while (store->count > count) {
        drop(store, at(store, store->count - 1));
        store->count--;
    }
}

static void push(struct floe_memstore *store, const struct floe_entry *entry)
{
    if (store->start > 0 && store->start + store->count == store->cap &&
        store->start >= store->cap / 2) {
        memmove(store->entries, store->entries + store->start,
                store->count * sizeof *store->entries);
        store->start = 0;
    }
    store->entries = mem_grow(store->entries, store->start + store->count, &store->cap,
                              sizeof *store->entries);
    store->entries[store->start + store->count++] = floe_entry_copy(entry);
    store->size += floe_entry_size(entry);
}

void floe_memstore_free(struct floe_memstore *store)
{
    if (store == NULL)
        return;
    cut_to(store, 1);
    mem_free(store->entries);
    floe_snapshot_deinit(&store->snapshot);
    mem_free(store);
}

void floe_memstore_set_hard_state(struct floe_memstore *store, struct floe_hard_state hard_state)
{
    store->hard_state = hard_state;
}

struct floe_hard_state floe_memstore_hard_state(const struct floe_memstore *store)
{
    return store->hard_state;
}

floe_index floe_memstore_first_index(const struct floe_memstore *store)
{
    return dummy_index(store) + 1;
}

floe_index floe_memstore_last_index(const struct floe_memstore *store)
{
    return dummy_index(store) + store->count - 1;
}

uint64_t floe_memstore_size(const struct floe_memstore *store)
{
    return store->size;
}

const struct floe_entry *floe_memstore_entry(const struct floe_memstore *store, floe_index index)
{
    if (index <= dummy_index(store) || index > floe_memstore_last_index(store))
        return NULL;
    return at(store, (size_t)(index - dummy_index(store)));
}

void floe_memstore_append(struct floe_memstore *store, const struct floe_entry *entries,
                          size_t count)
{
    floe_index first = floe_memstore_first_index(store);
    if (count == 0 || entries[count - 1].index < first)
        return;
    size_t skip = entries[0].index < first ? (size_t)(first - entries[0].index) : 0;
    floe_index from = entries[skip].index;
    ASSERT_MSG(from <= floe_memstore_last_index(store) + 1, "a gap in the log");
    cut_to(store, (size_t)(from - dummy_index(store)));
    for (size_t i = skip; i < count; i++)
        push(store, &entries[i]);
}

enum floe_err floe_memstore_apply_snapshot(struct floe_memstore *store,
                                           const struct floe_snapshot *snapshot)
{
    if (store->snapshot.index != 0 && store->snapshot.index >= snapshot->index)
        return FLOE_ERR_SNAPSHOT_OUT_OF_DATE;
    floe_snapshot_deinit(&store->snapshot);
    store->snapshot = floe_snapshot_copy(snapshot);
    cut_to(store, 1);
    *at(store, 0) = (struct floe_entry){.index = snapshot->index, .term = snapshot->term};
    return FLOE_OK;
}

enum floe_err floe_memstore_create_snapshot(struct floe_memstore *store, floe_index index,
                                            const struct floe_conf_state *cs,
                                            struct floe_blob *data)
{
    if (index <= store->snapshot.index)
        return FLOE_ERR_SNAPSHOT_OUT_OF_DATE;
    ASSERT(index >= dummy_index(store) && index <= floe_memstore_last_index(store));
    struct floe_snapshot made = {.index = index,
                                 .term = at(store, (size_t)(index - dummy_index(store)))->term,
                                 .conf_state = floe_conf_state_copy(cs),
                                 .data = floe_blob_ref(data)};
    floe_snapshot_deinit(&store->snapshot);
    store->snapshot = made;
    return FLOE_OK;
}

const struct floe_snapshot *floe_memstore_snapshot(const struct floe_memstore *store)
{
    return &store->snapshot;
}

enum floe_err floe_memstore_compact(struct floe_memstore *store, floe_index index)
{
    if (index <= dummy_index(store))
        return FLOE_ERR_COMPACTED;
    ASSERT(index <= floe_memstore_last_index(store));
    while (dummy_index(store) < index) {
        struct floe_entry *next = at(store, 1);
        struct floe_entry dummy = {.index = next->index, .term = next->term};
        drop(store, next);
        *next = dummy;
        store->start++;
        store->count--;
    }
    return FLOE_OK;
}

/* ---- the table that the core reads through ------------------------------------------------------- */

static enum floe_err read_initial_state(void *ctx, struct floe_hard_state *hard_state,
                                        struct floe_conf_state *conf_state)
{
    const struct floe_memstore *store = ctx;
    *hard_state = store->hard_state;
    *conf_state = floe_conf_state_copy(&store->snapshot.conf_state);
    return FLOE_OK;
}

static enum floe_err read_entries(void *ctx, floe_index lo, floe_index hi, uint64_t max_size,
                                  struct floe_entry **out, size_t *count)
{
    const struct floe_memstore *store = ctx;
    if (lo <= dummy_index(store))
        return FLOE_ERR_COMPACTED;
    if (hi > floe_memstore_last_index(store) + 1)
        return FLOE_ERR_UNAVAILABLE;
    const struct floe_entry *first = at(store, (size_t)(lo - dummy_index(store)));
    size_t all = (size_t)(hi - lo);
    size_t fit = 1;
    uint64_t size = floe_entry_size(first);
    while (fit < all) {
        uint64_t more = floe_entry_size(&first[fit]);
        if (size > max_size || more > max_size - size)
            break;
        size += more;
        fit++;
    }
    *out = floe_entries_copy(first, fit);
    *count = fit;
    return FLOE_OK;
}

static enum floe_err read_term(void *ctx, floe_index index, floe_term *out)
{
    const struct floe_memstore *store = ctx;
    if (index < dummy_index(store))
        return FLOE_ERR_COMPACTED;
    if (index > floe_memstore_last_index(store))
        return FLOE_ERR_UNAVAILABLE;
    *out = at(store, (size_t)(index - dummy_index(store)))->term;
    return FLOE_OK;
}

static floe_index read_first_index(void *ctx)
{
    return floe_memstore_first_index(ctx);
}

static floe_index read_last_index(void *ctx)
{
    return floe_memstore_last_index(ctx);
}

static enum floe_err read_snapshot(void *ctx, struct floe_snapshot *out)
{
    const struct floe_memstore *store = ctx;
    *out = floe_snapshot_copy(&store->snapshot);
    return FLOE_OK;
}

struct floe_storage floe_memstore_storage(struct floe_memstore *store)
{
    return (struct floe_storage){.ctx = store,
                                 .initial_state = read_initial_state,
                                 .entries = read_entries,
                                 .term = read_term,
                                 .first_index = read_first_index,
                                 .last_index = read_last_index,
                                 .snapshot = read_snapshot};
}
