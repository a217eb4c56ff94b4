/* Entries go in at the end and out at the front, so the array has a moving start. */
#include "raft/unstable.h"

#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

static void drop_snapshot(struct raft_unstable *u)
{
    if (u->snapshot != NULL) {
        floe_snapshot_deinit(u->snapshot);
        mem_free(u->snapshot);
    }
    u->snapshot = NULL;
    u->snapshot_in_progress = false;
}

/* Cuts entries off the end until count are left. */
static void cut_to(struct raft_unstable *u, size_t count)
{
    while (u->count > count)
        floe_entry_deinit(&u->ring[u->start + --u->count]);
    if (u->count == 0)
        u->start = 0;
}

void raft_unstable_deinit(struct raft_unstable *u)
{
    drop_snapshot(u);
    cut_to(u, 0);
    mem_free(u->ring);
    *u = (struct raft_unstable){0};
}

static void push(struct raft_unstable *u, const struct floe_entry *entry)
{
    if (u->start + u->count == u->cap && u->start > u->cap / 2) {
        memmove(u->ring, u->ring + u->start, u->count * sizeof *u->ring);
        u->start = 0;
    }
    u->ring = mem_grow(u->ring, u->start + u->count, &u->cap, sizeof *u->ring);
    u->ring[u->start + u->count++] = floe_entry_copy(entry);
}

const struct floe_entry *raft_unstable_at(const struct raft_unstable *u, floe_index index)
{
    ASSERT(index >= u->offset && index - u->offset < u->count);
    return &u->ring[u->start + (size_t)(index - u->offset)];
}

bool raft_unstable_first_index(const struct raft_unstable *u, floe_index *out)
{
    if (u->snapshot == NULL)
        return false;
    *out = u->snapshot->index + 1;
    return true;
}

bool raft_unstable_last_index(const struct raft_unstable *u, floe_index *out)
{
    if (u->count > 0)
        *out = u->offset + u->count - 1;
    else if (u->snapshot != NULL)
        *out = u->snapshot->index;
    else
        return false;
    return true;
}

bool raft_unstable_term(const struct raft_unstable *u, floe_index index, floe_term *out)
{
    if (index < u->offset) {
        if (u->snapshot == NULL || u->snapshot->index != index)
            return false;
        *out = u->snapshot->term;
        return true;
    }
    if (index - u->offset >= u->count)
        return false;
    *out = raft_unstable_at(u, index)->term;
    return true;
}

void raft_unstable_accept_in_progress(struct raft_unstable *u)
{
    if (u->count > 0)
        u->offset_in_progress = u->offset + u->count;
    if (u->snapshot != NULL)
        u->snapshot_in_progress = true;
}

void raft_unstable_stable_to(struct raft_unstable *u, struct raft_entry_id id)
{
    floe_term term;
    if (!raft_unstable_term(u, id.index, &term)) {
        raft_info(u->logger, "entry at index %" PRIu64 " missing from unstable log; ignoring",
                  id.index);
        return;
    }
    if (id.index < u->offset) {
        raft_info(u->logger, "entry at index %" PRIu64 " matched unstable snapshot; ignoring",
                  id.index);
        return;
    }
    if (term != id.term) { /* overwritten since: the write that is acknowledged is not this one */
        raft_info(u->logger,
                  "entry at (index,term)=(%" PRIu64 ",%" PRIu64 ") mismatched with entry at "
                  "(%" PRIu64 ",%" PRIu64 ") in unstable log; ignoring",
                  id.index, id.term, id.index, term);
        return;
    }
    size_t done = (size_t)(id.index - u->offset) + 1;
    for (size_t i = 0; i < done; i++)
        floe_entry_deinit(&u->ring[u->start + i]);
    u->start += done;
    u->count -= done;
    u->offset = id.index + 1;
    if (u->offset_in_progress < u->offset)
        u->offset_in_progress = u->offset;
    if (u->count == 0)
        u->start = 0;
}

void raft_unstable_stable_snapshot_to(struct raft_unstable *u, floe_index index)
{
    if (u->snapshot != NULL && u->snapshot->index == index)
        drop_snapshot(u);
}

void raft_unstable_restore(struct raft_unstable *u, const struct floe_snapshot *snapshot)
{
    struct floe_snapshot copy = floe_snapshot_copy(snapshot);
    drop_snapshot(u);
    cut_to(u, 0);
    u->snapshot = mem_alloc(sizeof *u->snapshot);
    *u->snapshot = copy;
    u->offset = snapshot->index + 1;
    u->offset_in_progress = u->offset;
}

void raft_unstable_truncate_and_append(struct raft_unstable *u, const struct floe_entry *entries,
                                       size_t count)
{
    ASSERT(count > 0);
    floe_index from = entries[0].index;
    if (from <= u->offset && from != u->offset + u->count) {
        raft_info(u->logger, "replace the unstable entries from index %" PRIu64, from);
        cut_to(u, 0);
        u->offset = from;
        u->offset_in_progress = from;
    } else if (from < u->offset + u->count) {
        raft_info(u->logger, "truncate the unstable entries before index %" PRIu64, from);
        cut_to(u, (size_t)(from - u->offset));
        if (u->offset_in_progress > from)
            u->offset_in_progress = from;
    }
    ASSERT(from == u->offset + u->count);
    for (size_t i = 0; i < count; i++)
        push(u, &entries[i]);
}
