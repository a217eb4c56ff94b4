/*
 * The part of the log that storage has not acknowledged yet: possibly a snapshot, then entries from
 * offset on. What lies before offset_in_progress has been handed out to be written.
 */
#ifndef RAFT_UNSTABLE_H
#define RAFT_UNSTABLE_H

#include "raft/logger.h"

struct raft_entry_id {
    floe_term term;
    floe_index index;
};

struct raft_unstable {
    struct floe_snapshot *snapshot; /* NULL: none */
    bool snapshot_in_progress;
    struct floe_entry *ring; /* entries are ring[start .. start + count) */
    size_t start;
    size_t count;
    size_t cap;
    floe_index offset;             /* index of the first entry */
    floe_index offset_in_progress; /* offset <= it <= offset + count */
    const struct raft_logger *logger;
};

void raft_unstable_deinit(struct raft_unstable *u);
/* The entry at index, which must be in it. */
const struct floe_entry *raft_unstable_at(const struct raft_unstable *u, floe_index index);
bool raft_unstable_first_index(const struct raft_unstable *u, floe_index *out);
bool raft_unstable_last_index(const struct raft_unstable *u, floe_index *out);
bool raft_unstable_term(const struct raft_unstable *u, floe_index index, floe_term *out);
/* Everything has been handed out. */
void raft_unstable_accept_in_progress(struct raft_unstable *u);
/* Entries up to id are durable, if id still names what is there. */
void raft_unstable_stable_to(struct raft_unstable *u, struct raft_entry_id id);
void raft_unstable_stable_snapshot_to(struct raft_unstable *u, floe_index index);
/* Replaces everything by the snapshot (copied). */
void raft_unstable_restore(struct raft_unstable *u, const struct floe_snapshot *snapshot);
/* Puts entries (copied) in their places; what was behind the first of them is gone. */
void raft_unstable_truncate_and_append(struct raft_unstable *u, const struct floe_entry *entries,
                                       size_t count);

#endif
