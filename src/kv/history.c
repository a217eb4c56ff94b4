/* The ring of events: blocks behind a list of blocks. */
#include "kv/history.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

void history_deinit(struct history *history)
{
    for (size_t i = history->block_skip; i < history->block_count; i++)
        mem_free(history->block[i]);
    mem_free(history->block);
    *history = (struct history){0};
}

void history_start(struct history *history, uint64_t position)
{
    ASSERT(history->block_count == 0);
    history->base = position / HISTORY_BLOCK;
    history->first = position;
    history->end = position;
}

/* The list of blocks moves to its front when most of it is gone: amortised O(1). */
static void make_room(struct history *history)
{
    if (history->block_skip <= history->block_count / 2 || history->block_skip == 0)
        return;
    size_t left = history->block_count - history->block_skip;
    memmove(history->block, history->block + history->block_skip, left * sizeof *history->block);
    history->base += history->block_skip;
    history->block_count = left;
    history->block_skip = 0;
}

static struct kv_entry ***block_of(const struct history *history, uint64_t position)
{
    uint64_t number = position / HISTORY_BLOCK - history->base;
    ASSERT(number >= history->block_skip && number < history->block_count);
    return &history->block[number];
}

static void add_block(struct history *history)
{
    make_room(history);
    history->block =
        mem_grow(history->block, history->block_count, &history->block_cap, sizeof *history->block);
    history->block[history->block_count++] = NULL;
}

static struct kv_entry **slot(struct history *history, uint64_t position)
{
    struct kv_entry ***block = block_of(history, position);
    if (*block == NULL)
        *block = mem_calloc(HISTORY_BLOCK, sizeof **block);
    return &(*block)[position % HISTORY_BLOCK];
}

void history_push(struct history *history, struct kv_entry *entry)
{
    if (history->end / HISTORY_BLOCK - history->base >= history->block_count)
        add_block(history);
    entry->position = (uint32_t)history->end;
    *slot(history, history->end) = entry;
    history->end++;
}

struct kv_entry *history_peek(const struct history *history, uint64_t position)
{
    ASSERT(position >= history->first && position < history->end);
    struct kv_entry **block = *block_of(history, position);
    return block != NULL ? block[position % HISTORY_BLOCK] : NULL;
}

struct kv_entry *history_at(const struct history *history, uint64_t position)
{
    struct kv_entry *entry = history_peek(history, position);
    ASSERT(entry != NULL);
    return entry;
}

void history_pop(struct history *history)
{
    ASSERT(history->first < history->end);
    struct kv_entry ***block = block_of(history, history->first);
    history->first++;
    if (history->first % HISTORY_BLOCK != 0)
        return;
    mem_free(*block);
    *block = NULL;
    history->block_skip++;
}

bool history_pop_block(struct history *history)
{
    if (history->block_skip == history->block_count)
        return false;
    mem_free(history->block[history->block_skip++]);
    return true;
}

uint64_t history_position(const struct history *history, const struct kv_entry *entry)
{
    uint64_t position = history->first + (uint32_t)(entry->position - (uint32_t)history->first);
    ASSERT(position < history->end);
    return position;
}

uint64_t history_search(const struct history *history, uint64_t first, uint64_t revision)
{
    uint64_t lo = first;
    uint64_t hi = history->end;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (history_at(history, mid)->mod_revision < revision)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint64_t history_memory(const struct history *history)
{
    uint64_t blocks = history->block_count - history->block_skip;
    return blocks * HISTORY_BLOCK * sizeof(void *) + history->block_cap * sizeof(void *);
}

void history_expect(struct history *history, uint64_t count)
{
    ASSERT(count <= UINT32_MAX && history->first == history->end);
    history->end += count;
    uint64_t last_block = history->end / HISTORY_BLOCK - history->base;
    while (history->block_count <= last_block)
        add_block(history);
}

void history_place(struct history *history, uint64_t position, struct kv_entry *entry)
{
    ASSERT(position >= history->first && position < history->end);
    entry->position = (uint32_t)position;
    *slot(history, position) = entry;
}
