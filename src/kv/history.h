/*
 * The history: all events in order, a ring of borrowed entries in blocks. New ones come at the end,
 * compaction takes from the beginning. A position is the number of the event since the store began.
 */
#ifndef KV_HISTORY_H
#define KV_HISTORY_H

#include "kv/entry.h"

#define HISTORY_BLOCK 1024 /* events in one */

struct history {
    struct kv_entry ***block; /* of positions from base * HISTORY_BLOCK on */
    size_t block_count;
    size_t block_cap;
    size_t block_skip; /* blocks at the front that are gone already */
    uint64_t base;
    uint64_t first; /* the oldest event that is held */
    uint64_t end;   /* where the next one will be */
};

void history_deinit(struct history *history);
/* Positions start here; before the first event. */
void history_start(struct history *history, uint64_t position);
void history_push(struct history *history, struct kv_entry *entry); /* sets its position */
struct kv_entry *history_at(const struct history *history, uint64_t position);
void history_pop(struct history *history); /* forgets the first */
/* Frees one block of a history that is not used any more; false: there was none. */
bool history_pop_block(struct history *history);
/* Full position of an event that is held. */
uint64_t history_position(const struct history *history, const struct kv_entry *entry);
/* The first position in [first, end) with this revision or a later one; end if none. */
uint64_t history_search(const struct history *history, uint64_t first, uint64_t revision);
uint64_t history_memory(const struct history *history);

/* For a loader, which gets the events in another order. All are missing first; count < 2^32. */
void history_expect(struct history *history, uint64_t count);
/* NULL: missing yet. position in [first, end). */
struct kv_entry *history_peek(const struct history *history, uint64_t position);
void history_place(struct history *history, uint64_t position, struct kv_entry *entry);

#endif
