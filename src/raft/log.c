/* See log.h. Errors of storage other than those that its contract names end the process. */
#include "raft/log.h"

#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

static floe_index min_index(floe_index a, floe_index b)
{
    return a < b ? a : b;
}

static floe_index max_index(floe_index a, floe_index b)
{
    return a > b ? a : b;
}

void raft_entries_deinit(struct raft_entries *entries)
{
    floe_entries_free(entries->list, entries->count);
    *entries = (struct raft_entries){0};
}

uint64_t raft_entries_size(const struct floe_entry *entries, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += floe_entry_size(&entries[i]);
    return size;
}

uint64_t raft_payloads_size(const struct floe_entry *entries, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += floe_blob_size(entries[i].data);
    return size;
}

void raft_log_init(struct raft_log *log, struct floe_storage storage, uint64_t max_applying_size,
                   const struct raft_logger *logger)
{
    floe_index first = storage.first_index(storage.ctx);
    floe_index last = storage.last_index(storage.ctx);
    ASSERT(first > 0 && last + 1 >= first);
    *log = (struct raft_log){.storage = storage,
                             .committed = first - 1,
                             .applying = first - 1,
                             .applied = first - 1,
                             .max_applying_size = max_applying_size,
                             .logger = logger};
    log->unstable.offset = last + 1;
    log->unstable.offset_in_progress = last + 1;
    log->unstable.logger = logger;
}

void raft_log_deinit(struct raft_log *log)
{
    raft_unstable_deinit(&log->unstable);
}

/* ---- positions and terms ---------------------------------------------------------------------- */

floe_index raft_log_first_index(const struct raft_log *log)
{
    floe_index index;
    if (raft_unstable_first_index(&log->unstable, &index))
        return index;
    return log->storage.first_index(log->storage.ctx);
}

floe_index raft_log_last_index(const struct raft_log *log)
{
    floe_index index;
    if (raft_unstable_last_index(&log->unstable, &index))
        return index;
    return log->storage.last_index(log->storage.ctx);
}

enum floe_err raft_log_term(const struct raft_log *log, floe_index index, floe_term *out)
{
    *out = 0;
    if (raft_unstable_term(&log->unstable, index, out))
        return FLOE_OK;
    if (index + 1 < raft_log_first_index(log))
        return FLOE_ERR_COMPACTED; /* first index - 1 is the dummy, whose term is known */
    if (index > raft_log_last_index(log))
        return FLOE_ERR_UNAVAILABLE;
    enum floe_err err = log->storage.term(log->storage.ctx, index, out);
    ASSERT(err == FLOE_OK || err == FLOE_ERR_COMPACTED || err == FLOE_ERR_UNAVAILABLE);
    return err;
}

floe_term raft_log_term_or_zero(const struct raft_log *log, floe_index index)
{
    floe_term term;
    return raft_log_term(log, index, &term) == FLOE_OK ? term : 0;
}

struct raft_entry_id raft_log_last_id(const struct raft_log *log)
{
    floe_index index = raft_log_last_index(log);
    floe_term term;
    enum floe_err err = raft_log_term(log, index, &term);
    ASSERT_MSG(err == FLOE_OK, "the term of the last entry is not known");
    return (struct raft_entry_id){term, index};
}

bool raft_log_matches(const struct raft_log *log, struct raft_entry_id id)
{
    floe_term term;
    return raft_log_term(log, id.index, &term) == FLOE_OK && term == id.term;
}

bool raft_log_is_up_to_date(const struct raft_log *log, struct raft_entry_id id)
{
    struct raft_entry_id own = raft_log_last_id(log);
    return id.term > own.term || (id.term == own.term && id.index >= own.index);
}

/* ---- appending ---------------------------------------------------------------------------------- */

void raft_log_append(struct raft_log *log, const struct floe_entry *entries, size_t count)
{
    if (count == 0)
        return;
    ASSERT_MSG(entries[0].index > log->committed, "an append would replace committed entries");
    raft_unstable_truncate_and_append(&log->unstable, entries, count);
}

/* Index of the first entry that is missing here or differs; 0: all are there. */
static floe_index find_conflict(const struct raft_log *log, const struct floe_entry *entries,
                                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct raft_entry_id id = {entries[i].term, entries[i].index};
        if (raft_log_matches(log, id))
            continue;
        if (id.index <= raft_log_last_index(log))
            raft_info(log->logger,
                      "found conflict at index %" PRIu64 " [existing term: %" PRIu64
                      ", conflicting term: %" PRIu64 "]",
                      id.index, raft_log_term_or_zero(log, id.index), id.term);
        return id.index;
    }
    return 0;
}

bool raft_log_maybe_append(struct raft_log *log, struct raft_entry_id prev,
                           const struct floe_entry *entries, size_t count, floe_index committed,
                           floe_index *last_new)
{
    if (!raft_log_matches(log, prev))
        return false;
    floe_index conflict = find_conflict(log, entries, count);
    if (conflict != 0) {
        ASSERT_MSG(conflict > log->committed, "an entry conflicts with a committed one");
        size_t skip = (size_t)(conflict - (prev.index + 1));
        raft_log_append(log, entries + skip, count - skip);
    }
    *last_new = prev.index + count;
    raft_log_commit_to(log, min_index(committed, *last_new));
    return true;
}

struct raft_entry_id raft_log_find_conflict_by_term(const struct raft_log *log, floe_index index,
                                                    floe_term term)
{
    for (; index > 0; index--) {
        floe_term own;
        if (raft_log_term(log, index, &own) != FLOE_OK)
            return (struct raft_entry_id){0, index};
        if (own <= term)
            return (struct raft_entry_id){own, index};
    }
    return (struct raft_entry_id){0, 0};
}

void raft_log_commit_to(struct raft_log *log, floe_index index)
{
    if (index <= log->committed)
        return;
    ASSERT_MSG(index <= raft_log_last_index(log), "commit beyond the end of the log");
    log->committed = index;
}

bool raft_log_maybe_commit(struct raft_log *log, struct raft_entry_id id)
{
    if (id.term == 0 || id.index <= log->committed || !raft_log_matches(log, id))
        return false;
    raft_log_commit_to(log, id.index);
    return true;
}

void raft_log_restore(struct raft_log *log, const struct floe_snapshot *snapshot)
{
    raft_info(log->logger,
              "log [committed=%" PRIu64 ", applied=%" PRIu64 ", applying=%" PRIu64
              ", unstable.offset=%" PRIu64 ", unstable.offsetInProgress=%" PRIu64
              ", len(unstable.Entries)=%zu] starts to restore snapshot [index: %" PRIu64
              ", term: %" PRIu64 "]",
              log->committed, log->applied, log->applying, log->unstable.offset,
              log->unstable.offset_in_progress, log->unstable.count, snapshot->index,
              snapshot->term);
    log->committed = snapshot->index;
    raft_unstable_restore(&log->unstable, snapshot);
}

/* ---- reading -------------------------------------------------------------------------------------- */

/* Appends what fits of the unstable entries [lo, hi); first: one may overflow max_size. */
static void add_unstable(const struct raft_log *log, floe_index lo, floe_index hi,
                         uint64_t max_size, bool first, struct raft_entries *out)
{
    size_t fit = 0;
    uint64_t size = 0;
    for (floe_index i = lo; i < hi; i++) {
        uint64_t more = floe_entry_size(raft_unstable_at(&log->unstable, i));
        if ((size > max_size || more > max_size - size) && !(first && fit == 0))
            break;
        size += more;
        fit++;
    }
    if (fit == 0)
        return;
    out->list = mem_realloc(out->list, (out->count + fit) * sizeof *out->list);
    for (size_t i = 0; i < fit; i++)
        out->list[out->count++] = floe_entry_copy(raft_unstable_at(&log->unstable, lo + i));
}

enum floe_err raft_log_slice(const struct raft_log *log, floe_index lo, floe_index hi,
                             uint64_t max_size, struct raft_entries *out)
{
    struct raft_entries got = {0};
    ASSERT(lo <= hi);
    if (lo < raft_log_first_index(log))
        return FLOE_ERR_COMPACTED;
    ASSERT_MSG(hi <= raft_log_last_index(log) + 1, "a slice behind the end of the log");
    floe_index offset = log->unstable.offset;
    floe_index cut = min_index(hi, offset);
    if (lo < cut) {
        enum floe_err err =
            log->storage.entries(log->storage.ctx, lo, cut, max_size, &got.list, &got.count);
        if (err == FLOE_ERR_COMPACTED)
            return err;
        ASSERT_MSG(err == FLOE_OK, "entries that must be in storage are not");
    }
    uint64_t size = raft_entries_size(got.list, got.count);
    bool whole = lo >= offset || got.count == cut - lo; /* storage was not cut short */
    if (hi > offset && whole && (lo >= offset || size < max_size))
        add_unstable(log, max_index(lo, offset), hi, lo >= offset ? max_size : max_size - size,
                     lo >= offset, &got);
    *out = got;
    return FLOE_OK;
}

enum floe_err raft_log_entries(const struct raft_log *log, floe_index index, uint64_t max_size,
                               struct raft_entries *out)
{
    *out = (struct raft_entries){0};
    floe_index last = raft_log_last_index(log);
    return index > last ? FLOE_OK : raft_log_slice(log, index, last + 1, max_size, out);
}

/* ---- work for the storage --------------------------------------------------------------------------- */

bool raft_log_has_next_unstable(const struct raft_log *log)
{
    return log->unstable.offset + log->unstable.count > log->unstable.offset_in_progress;
}

struct raft_entries raft_log_next_unstable(const struct raft_log *log)
{
    struct raft_entries out = {0};
    if (raft_log_has_next_unstable(log))
        add_unstable(log, log->unstable.offset_in_progress,
                     log->unstable.offset + log->unstable.count, FLOE_NO_LIMIT, true, &out);
    return out;
}

bool raft_log_has_unstable(const struct raft_log *log)
{
    return log->unstable.count > 0;
}

const struct floe_snapshot *raft_log_next_snapshot(const struct raft_log *log)
{
    return log->unstable.snapshot_in_progress ? NULL : log->unstable.snapshot;
}

bool raft_log_has_snapshot(const struct raft_log *log)
{
    return log->unstable.snapshot != NULL;
}

/* ---- work for the state machine ------------------------------------------------------------------------ */

static floe_index max_appliable(const struct raft_log *log, bool allow_unstable)
{
    return allow_unstable ? log->committed : min_index(log->committed, log->unstable.offset - 1);
}

bool raft_log_has_next_committed(const struct raft_log *log, bool allow_unstable)
{
    return !log->applying_paused && !raft_log_has_snapshot(log) &&
           log->applying < max_appliable(log, allow_unstable);
}

struct raft_entries raft_log_next_committed(const struct raft_log *log, bool allow_unstable)
{
    struct raft_entries out = {0};
    if (!raft_log_has_next_committed(log, allow_unstable))
        return out;
    uint64_t room = log->max_applying_size > log->applying_size
                        ? log->max_applying_size - log->applying_size
                        : 0;
    enum floe_err err = raft_log_slice(log, log->applying + 1,
                                       max_appliable(log, allow_unstable) + 1, room, &out);
    ASSERT_MSG(err == FLOE_OK, "committed entries were compacted before they were applied");
    return out;
}

void raft_log_accept_applying(struct raft_log *log, floe_index index, uint64_t size,
                              bool allow_unstable)
{
    ASSERT(index <= log->committed);
    log->applying = index;
    log->applying_size += size;
    log->applying_paused = log->applying_size >= log->max_applying_size ||
                           index < max_appliable(log, allow_unstable);
}

void raft_log_applied_to(struct raft_log *log, floe_index index, uint64_t size)
{
    ASSERT_MSG(index <= log->committed && index >= log->applied, "applied out of range");
    log->applied = index;
    log->applying = max_index(log->applying, index);
    log->applying_size -= min_index(log->applying_size, size);
    log->applying_paused = log->applying_size >= log->max_applying_size;
}
