/* Binary search over flat arrays; growth is left to floe_ids_push. */
#include "raft/ids.h"

#include "base/mem.h"

#include <string.h>

/* Position of the first id that is >= id. */
static size_t lower_bound(const struct floe_ids *ids, floe_id id)
{
    size_t lo = 0;
    size_t hi = ids->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ids->id[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool raft_ids_has(const struct floe_ids *ids, floe_id id)
{
    size_t at = lower_bound(ids, id);
    return at < ids->count && ids->id[at] == id;
}

bool raft_ids_insert(struct floe_ids *ids, floe_id id)
{
    size_t at = lower_bound(ids, id);
    if (at < ids->count && ids->id[at] == id)
        return false;
    floe_ids_push(ids, id);
    memmove(ids->id + at + 1, ids->id + at, (ids->count - 1 - at) * sizeof *ids->id);
    ids->id[at] = id;
    return true;
}

bool raft_ids_remove(struct floe_ids *ids, floe_id id)
{
    size_t at = lower_bound(ids, id);
    if (at == ids->count || ids->id[at] != id)
        return false;
    ids->count--;
    memmove(ids->id + at, ids->id + at + 1, (ids->count - at) * sizeof *ids->id);
    return true;
}

struct floe_ids raft_ids_copy(const struct floe_ids *ids)
{
    struct floe_ids copy = {0};
    for (size_t i = 0; i < ids->count; i++)
        (void)raft_ids_insert(&copy, ids->id[i]);
    return copy;
}

struct floe_ids raft_ids_union(const struct floe_ids *a, const struct floe_ids *b)
{
    struct floe_ids both = raft_ids_copy(a);
    for (size_t i = 0; i < b->count; i++)
        (void)raft_ids_insert(&both, b->id[i]);
    return both;
}

size_t raft_ids_difference(const struct floe_ids *a, const struct floe_ids *b)
{
    size_t common = 0;
    for (size_t i = 0; i < a->count; i++)
        common += raft_ids_has(b, a->id[i]);
    return a->count + b->count - 2 * common;
}

void raft_ids_deinit(struct floe_ids *ids)
{
    mem_free(ids->id);
    *ids = (struct floe_ids){0};
}
