/* A ring that starts small: most members never have a full window. */
#include "raft/inflights.h"

#include "base/assert.h"
#include "base/mem.h"

void raft_inflights_init(struct raft_inflights *in, size_t max_count, uint64_t max_bytes)
{
    *in = (struct raft_inflights){.max_count = max_count, .max_bytes = max_bytes};
}

void raft_inflights_deinit(struct raft_inflights *in)
{
    mem_free(in->ring);
    *in = (struct raft_inflights){0};
}

struct raft_inflights raft_inflights_copy(const struct raft_inflights *in)
{
    struct raft_inflights copy = *in;
    if (in->cap > 0)
        copy.ring = mem_dup(in->ring, in->cap * sizeof *in->ring);
    return copy;
}

static void grow(struct raft_inflights *in)
{
    size_t cap = in->cap > 0 ? in->cap * 2 : 4;
    if (cap > in->max_count)
        cap = in->max_count;
    struct raft_inflight *ring = mem_calloc(cap, sizeof *ring);
    for (size_t i = 0; i < in->count; i++)
        ring[i] = in->ring[(in->start + i) % in->cap];
    mem_free(in->ring);
    in->ring = ring;
    in->cap = cap;
    in->start = 0;
}

bool raft_inflights_is_full(const struct raft_inflights *in)
{
    return in->count == in->max_count || (in->max_bytes != 0 && in->bytes >= in->max_bytes);
}

void raft_inflights_add(struct raft_inflights *in, floe_index index, uint64_t bytes)
{
    ASSERT_MSG(!raft_inflights_is_full(in), "the window is full");
    if (in->count == in->cap)
        grow(in);
    in->ring[(in->start + in->count) % in->cap] = (struct raft_inflight){index, bytes};
    in->count++;
    in->bytes += bytes;
}

void raft_inflights_free_to(struct raft_inflights *in, floe_index index)
{
    while (in->count > 0 && in->ring[in->start].index <= index) {
        ASSERT(in->bytes >= in->ring[in->start].bytes);
        in->bytes -= in->ring[in->start].bytes;
        in->start = (in->start + 1) % in->cap;
        in->count--;
    }
    if (in->count == 0)
        in->start = 0;
}

void raft_inflights_reset(struct raft_inflights *in)
{
    in->start = 0;
    in->count = 0;
    in->bytes = 0;
}
