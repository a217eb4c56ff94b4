/*
 * The log as the core sees it: storage in front, unstable entries behind, and three positions in
 * it, applied <= applying <= committed <= last index.
 */
#ifndef RAFT_LOG_H
#define RAFT_LOG_H

#include "raft/unstable.h"

struct raft_log {
    struct floe_storage storage;
    struct raft_unstable unstable;
    floe_index committed;
    floe_index applying; /* handed out to be applied up to here */
    floe_index applied;
    uint64_t max_applying_size; /* bytes of committed entries handed out and not yet applied */
    uint64_t applying_size;
    bool applying_paused;
    const struct raft_logger *logger;
};

/* Entries that the caller owns. */
struct raft_entries {
    struct floe_entry *list;
    size_t count;
};
void raft_entries_deinit(struct raft_entries *entries);
uint64_t raft_entries_size(const struct floe_entry *entries, size_t count); /* encoded */
uint64_t raft_payloads_size(const struct floe_entry *entries, size_t count);

void raft_log_init(struct raft_log *log, struct floe_storage storage, uint64_t max_applying_size,
                   const struct raft_logger *logger);
void raft_log_deinit(struct raft_log *log);

floe_index raft_log_first_index(const struct raft_log *log);
floe_index raft_log_last_index(const struct raft_log *log);
struct raft_entry_id raft_log_last_id(const struct raft_log *log);
/* COMPACTED, UNAVAILABLE: *out is 0 then. */
enum floe_err raft_log_term(const struct raft_log *log, floe_index index, floe_term *out);
floe_term raft_log_term_or_zero(const struct raft_log *log, floe_index index);
bool raft_log_matches(const struct raft_log *log, struct raft_entry_id id);
/* Is a log that ends at id at least as up to date as this one? (thesis 3.6.1) */
bool raft_log_is_up_to_date(const struct raft_log *log, struct raft_entry_id id);

/* Appends entries behind committed ones, replacing what conflicts. */
void raft_log_append(struct raft_log *log, const struct floe_entry *entries, size_t count);
/* A follower's append: false if the log does not hold prev. Then commits up to
 * min(committed, *last_new). entries must be contiguous behind prev. */
bool raft_log_maybe_append(struct raft_log *log, struct raft_entry_id prev,
                           const struct floe_entry *entries, size_t count, floe_index committed,
                           floe_index *last_new);
/* The highest index <= index whose term is <= term, and that term; stops with term 0 where the
 * log has no answer. */
struct raft_entry_id raft_log_find_conflict_by_term(const struct raft_log *log, floe_index index,
                                                    floe_term term);
void raft_log_commit_to(struct raft_log *log, floe_index index);
bool raft_log_maybe_commit(struct raft_log *log, struct raft_entry_id id);
void raft_log_applied_to(struct raft_log *log, floe_index index, uint64_t size);
void raft_log_restore(struct raft_log *log, const struct floe_snapshot *snapshot);

/* Entries of [lo, hi) that fit into max_size, at least one. COMPACTED. */
enum floe_err raft_log_slice(const struct raft_log *log, floe_index lo, floe_index hi,
                             uint64_t max_size, struct raft_entries *out);
/* From index to the end, likewise; none is fine. */
enum floe_err raft_log_entries(const struct raft_log *log, floe_index index, uint64_t max_size,
                               struct raft_entries *out);

/* Work for the storage: entries and snapshot not handed out yet. */
bool raft_log_has_next_unstable(const struct raft_log *log);
struct raft_entries raft_log_next_unstable(const struct raft_log *log);
bool raft_log_has_unstable(const struct raft_log *log); /* handed out or not */
const struct floe_snapshot *raft_log_next_snapshot(const struct raft_log *log); /* NULL: none */
bool raft_log_has_snapshot(const struct raft_log *log); /* handed out or not */

/* Work for the state machine. allow_unstable: entries may be applied before they are durable
 * (in the same batch that makes them so). */
bool raft_log_has_next_committed(const struct raft_log *log, bool allow_unstable);
struct raft_entries raft_log_next_committed(const struct raft_log *log, bool allow_unstable);
void raft_log_accept_applying(struct raft_log *log, floe_index index, uint64_t size,
                              bool allow_unstable);

#endif
