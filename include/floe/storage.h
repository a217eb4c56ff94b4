/*
 * floe consensus library: what the core reads from the durable log.
 *
 * The core never writes: writes leave it in a ready batch or, with asynchronous storage, as
 * FLOE_MSG_STORAGE_APPEND. A table of six reads is all that it asks for; floe_memstore is a
 * complete one in memory, which a driver with its own write-ahead log can use as the cache of it.
 */
#ifndef FLOE_STORAGE_H
#define FLOE_STORAGE_H

#include <floe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All calls are synchronous and must not call back into the core. Errors other than those named
 * are a broken promise of the driver and end the process with an assertion. */
struct floe_storage {
    void *ctx;
    /* State at start: hard state and membership. Outputs owned by the core. Called once. */
    enum floe_err (*initial_state)(void *ctx, struct floe_hard_state *hard_state,
                                   struct floe_conf_state *conf_state);
    /* Entries of [lo, hi), first_index <= lo < hi <= last_index + 1, as many from the front as
     * fit in max_size bytes (floe_entry_size), at least one. *out is a new array with references
     * of its own (floe_entries_copy), owned by the core.
     * COMPACTED if lo is before the first index, UNAVAILABLE if hi - 1 is behind the last. */
    enum floe_err (*entries)(void *ctx, floe_index lo, floe_index hi, uint64_t max_size,
                             struct floe_entry **out, size_t *count);
    /* Term of the entry at index; first_index - 1 is answerable too. COMPACTED, UNAVAILABLE. */
    enum floe_err (*term)(void *ctx, floe_index index, floe_term *out);
    floe_index (*first_index)(void *ctx);
    floe_index (*last_index)(void *ctx);
    /* The newest snapshot, owned by the core. SNAPSHOT_UNAVAILABLE: not now. */
    enum floe_err (*snapshot)(void *ctx, struct floe_snapshot *out);
};

/* ---- a log in memory ------------------------------------------------------------------------ */

struct floe_memstore; /* opaque; owns everything put into it */

FLOE_EXPORT struct floe_memstore *floe_memstore_new(void);
FLOE_EXPORT void floe_memstore_free(struct floe_memstore *store);
/* The table for struct floe_config; borrowed until floe_memstore_free. */
FLOE_EXPORT struct floe_storage floe_memstore_storage(struct floe_memstore *store);

FLOE_EXPORT void floe_memstore_set_hard_state(struct floe_memstore *store,
                                              struct floe_hard_state hard_state);
FLOE_EXPORT struct floe_hard_state floe_memstore_hard_state(const struct floe_memstore *store);
FLOE_EXPORT floe_index floe_memstore_first_index(const struct floe_memstore *store);
FLOE_EXPORT floe_index floe_memstore_last_index(const struct floe_memstore *store);
/* Sum of floe_entry_size of all entries held, bytes. */
FLOE_EXPORT uint64_t floe_memstore_size(const struct floe_memstore *store);
/* Borrowed until the next change of the store; NULL outside [first_index, last_index]. */
FLOE_EXPORT const struct floe_entry *floe_memstore_entry(const struct floe_memstore *store,
                                                         floe_index index);
/* Appends entries (copied). A part below the first index is cut off; the stored log is cut before
 * the first new one. A gap behind the last index is an assertion. */
FLOE_EXPORT void floe_memstore_append(struct floe_memstore *store,
                                      const struct floe_entry *entries, size_t count);
/* Replaces the log by the snapshot (copied). SNAPSHOT_OUT_OF_DATE if one as new is there. */
FLOE_EXPORT enum floe_err floe_memstore_apply_snapshot(struct floe_memstore *store,
                                                       const struct floe_snapshot *snapshot);
/* Makes the snapshot at index, which must be applied and lie in the log, the newest one; the log
 * stays. data is shared. SNAPSHOT_OUT_OF_DATE if it is not newer than the one that is there. */
FLOE_EXPORT enum floe_err floe_memstore_create_snapshot(struct floe_memstore *store,
                                                        floe_index index,
                                                        const struct floe_conf_state *cs,
                                                        struct floe_blob *data);
/* The newest snapshot; borrowed until the next change of the store; index 0 = none yet. */
FLOE_EXPORT const struct floe_snapshot *floe_memstore_snapshot(const struct floe_memstore *store);
/* Forgets entries up to and including index. COMPACTED if that is past already; an index behind
 * the last is an assertion. */
FLOE_EXPORT enum floe_err floe_memstore_compact(struct floe_memstore *store, floe_index index);

#ifdef __cplusplus
}
#endif
#endif
