/*
 * The replicated state machine: an ordered multi-version store.
 *
 * Deterministic: reads no time, no randomness, no addresses, no configuration. Whatever is refused
 * is refused while applying, on every member alike, whether or not somebody waits for the answer.
 *
 * Revision 1 is the empty store; every command that changes keys raises it by one (a batch: each of
 * its operations). A key is a chain of versions, newest first; what happened is one ring of
 * events, ordered by revision, which is the history: watches are positions in it, compaction takes
 * from its old end.
 */
#ifndef KV_KV_H
#define KV_KV_H

#include "kv/command.h"

struct kv;

struct kv_item { /* borrowed until the next change of the store, if nothing else is said */
    struct kv_bytes key;
    struct kv_bytes value;
    uint64_t create_revision;
    uint64_t mod_revision;
    uint64_t version; /* 1 = first write since creation; 0 = a deletion */
    uint64_t lease;
};

/* ---- replies: what operations found, held by reference, valid after later changes ------------ */

struct kv_entry;
/* Entries are whole: whoever asked for keys_only leaves the values out. */
struct kv_reply {
    enum kv_op_type type;
    enum kv_status status; /* BATCH: of this operation */
    uint64_t revision;     /* of the store, as this operation left it */
    uint64_t count;        /* RANGE: keys in the range before filters and limit; DELETE: deleted */
    bool more;             /* RANGE: limit cut */
    bool succeeded;        /* TXN */
    struct kv_entry **items; /* RANGE: found; PUT, DELETE with want_prev: what was there before */
    size_t item_count;
    struct kv_reply *replies; /* TXN: of the branch; owned */
    size_t reply_count;
};
void kv_entry_item(const struct kv_entry *entry, struct kv_item *out); /* borrowed from entry */

struct kv_result {
    enum kv_status status;
    uint64_t revision;        /* of the store after; KV_REPEATED: after the first time */
    struct kv_reply *replies; /* OP: one; BATCH: one an operation; NULL if not asked for */
    size_t reply_count;
};
void kv_result_deinit(struct kv_result *result);

/* ---- the store ------------------------------------------------------------------------------- */

struct kv_log_entry {
    const uint8_t *command;
    size_t len;
    uint64_t term;
    bool want_replies;
};

struct kv *kv_new(void);
void kv_free(struct kv *kv);
/* term: of the log entry. The state after it is the same with and without replies. */
struct kv_result kv_apply(struct kv *kv, const uint8_t *command, size_t len, uint64_t term,
                          bool want_replies);
/* The same in slices: *budget is the number of keys that may still be deleted in this one, and is
 * lowered. false: it goes on with kv_apply_go_on, true: *result is what it came to. Until then no
 * other command and no view may begin, and command is borrowed; reads show the store as it was
 * before, but for keys of leases. In which slices it goes makes no difference to what it does. */
bool kv_apply_begin(struct kv *kv, const struct kv_log_entry *entry, size_t *budget,
                    struct kv_result *result);
bool kv_apply_go_on(struct kv *kv, size_t *budget, struct kv_result *result);
bool kv_is_applying(const struct kv *kv);

uint64_t kv_revision(const struct kv *kv);
uint64_t kv_compact_revision(const struct kv *kv); /* reads below it are refused; 0 = never */
uint64_t kv_count(const struct kv *kv);            /* keys that are there */
uint64_t kv_size_bytes(const struct kv *kv);       /* keys and values of these */
uint64_t kv_history_bytes(const struct kv *kv);    /* what compaction could free, about */
uint64_t kv_memory_bytes(const struct kv *kv);     /* all that the store has allocated, about */
/* A snapshot of the store has no more bytes than this, now or after any deletes, expiries and
 * compactions that come next: they never make it more. O(1). */
uint64_t kv_snapshot_bytes_max(const struct kv *kv);
/* The same for who knows how large one was, as of some moment: that, and the first of these then,
 * and what the second has become more since then. O(1). */
uint64_t kv_tombstone_bytes(const struct kv *kv);
uint64_t kv_grown_bytes(const struct kv *kv);
/* By so much the command may make that more, whatever it finds when it is applied: of a transaction
 * all branches count. (What keep_value keeps is what the store has now.) */
uint64_t kv_command_growth(const struct kv *kv, const struct kv_command *command);
/* The same on every member after the same commands, O(1): over revision, compact revision, the
 * newest version of each key, leases, tickets, alarms, and a running chain over every event that
 * ever was.
 * What compaction has really freed plays no part. */
uint64_t kv_hash(const struct kv *kv);

/* The newest version of a key. */
bool kv_get(const struct kv *kv, struct kv_bytes key, struct kv_item *out);

/* ---- reading ranges, in slices --------------------------------------------------------------- */

/* A walk in key order at one revision. Every slice looks its place up anew. What it may still read
 * outlives compaction, unless that becomes too much: 256 Ki events or 256 MiB of old versions. */
struct kv_cursor;
/* KV_COMPACTED, KV_FUTURE, KV_KEY_EMPTY. *out owned by caller. */
enum kv_status kv_cursor_open(const struct kv *kv, const struct kv_keys *keys, uint64_t revision,
                              bool descending, struct kv_cursor **out);
void kv_cursor_free(struct kv_cursor *cursor);
uint64_t kv_cursor_revision(const struct kv_cursor *cursor);
enum kv_step {
    KV_STEP_ITEM,
    KV_STEP_END,
    KV_STEP_PAUSE /* *budget is used up */,
    KV_STEP_COMPACTED /* meanwhile */
};
/* *budget: steps (nodes, versions) that may still be done; lowered by what was done. */
enum kv_step kv_cursor_next(const struct kv *kv, struct kv_cursor *cursor, size_t *budget,
                            struct kv_item *out);
/* Brings what a walk finds into the order of a range request, in slices. *budget as above. It holds
 * what was added. */
struct kv_sorter;
struct kv_sorter *kv_sorter_new(const struct kv_range *range); /* its order, sort and limit */
/* The item that kv_cursor_next gave just now. */
void kv_sorter_add(struct kv_sorter *sorter, const struct kv_cursor *cursor);
/* After all are added. true: they are in order. */
bool kv_sorter_sort(struct kv_sorter *sorter, size_t *budget);
bool kv_sorter_peek(const struct kv_sorter *sorter, struct kv_item *out); /* the next in order */
void kv_sorter_pop(struct kv_sorter *sorter);
bool kv_sorter_has_more(const struct kv_sorter *sorter); /* the limit cut */
/* true: it is freed; false: there is more to do, nothing else can be done with it. */
bool kv_sorter_free_some(struct kv_sorter *sorter, size_t *budget);
/* Keys in the range at the newest revision: O(log n). Without those that the command under way has
 * deleted so far. */
uint64_t kv_count_range(const struct kv *kv, const struct kv_keys *keys);
/* The whole of a range request at once, as a transaction does it: for small ranges and tests. */
enum kv_status kv_range_all(const struct kv *kv, const struct kv_range *range,
                            struct kv_reply *out);
/* A transaction of nothing but ranges, which has passed kv_command_check, as kv_apply would tell it
 * now. *out: zeroed. */
enum kv_status kv_read_txn(const struct kv *kv, const struct kv_op *op, struct kv_reply *out);
void kv_reply_deinit(struct kv_reply *reply);

/* ---- the hash of the history up to a revision, in slices -------------------------------------- */

struct kv_digest;
struct kv_digest_value {
    uint64_t hash; /* of the keys then, and of all events up to then that are kept */
    uint64_t revision;
    uint64_t compact_revision; /* ... behind this */
};
/* KV_COMPACTED, KV_FUTURE. 0: the newest. *out owned by caller. */
enum kv_status kv_digest_open(const struct kv *kv, uint64_t revision, struct kv_digest **out);
void kv_digest_free(struct kv_digest *digest);
/* KV_STEP_PAUSE, KV_STEP_END, KV_STEP_COMPACTED. If the store is compacted on the way, it begins
 * anew. The store must stay the same one. */
enum kv_step kv_digest_go_on(const struct kv *kv, struct kv_digest *digest, size_t *budget);
struct kv_digest_value kv_digest_value(const struct kv_digest *digest); /* at the end */

/* ---- history: events, in order --------------------------------------------------------------- */

struct kv_event {
    struct kv_item item; /* version 0: deleted; then key and mod_revision only */
    bool has_prev;
    struct kv_item prev; /* the version before; !has_prev: none, or compacted */
    bool last_of_revision;
};
/* Position of the first event with this revision or a later one. Positions are numbers that grow by
 * one an event and are never used again. ERR_NOT_FOUND: revision < kv_compact_revision. Events of
 * the compact revision itself are kept, without what was before. */
enum err kv_history_find(const struct kv *kv, uint64_t revision, uint64_t *position) MUST_USE;
uint64_t kv_history_first(const struct kv *kv); /* oldest position that is kept */
uint64_t kv_history_end(const struct kv *kv);   /* where the next event will be */
/* position in [first, end). */
void kv_history_at(const struct kv *kv, uint64_t position, struct kv_event *out);

/* ---- leases ---------------------------------------------------------------------------------- */

struct kv_lease_info {
    uint64_t id;
    uint64_t ttl_s;       /* as granted */
    uint64_t remaining_s; /* of the last checkpoint; 0 = none: ttl_s */
    size_t key_count;
};
bool kv_lease_get(const struct kv *kv, uint64_t id, struct kv_lease_info *out);
/* The lease with the lowest id >= id; by id. */
bool kv_lease_seek(const struct kv *kv, uint64_t id, struct kv_lease_info *out);
/* Its keys in order: the first one > after (empty: the very first). Borrowed. */
bool kv_lease_next_key(const struct kv *kv, uint64_t id, struct kv_bytes after,
                       struct kv_bytes *out);
size_t kv_lease_count(const struct kv *kv);
/* The number of the next lease that is granted in this term, the newest: whoever proposes something
 * about the leases that there are says with it that no later ones are meant. */
uint64_t kv_lease_births(const struct kv *kv, uint64_t term);
/* Grows with every grant, revocation and expiry: who keeps times beside looks again when it moved.
 */
uint64_t kv_lease_changes(const struct kv *kv);

/* ---- alarms ---------------------------------------------------------------------------------- */

/* Those that are raised, by kind, then member; *list borrowed. */
size_t kv_alarms(const struct kv *kv, const struct kv_alarm **list);

/* ---- tickets (idempotency keys) -------------------------------------------------------------- */

struct kv_ticket {
    uint64_t sequence; /* 1, 2, ... in the order of use */
    uint64_t revision; /* of the store after the command that had it */
    uint64_t term;
    uint64_t fingerprint; /* of the request that used it; 0: not known */
    /* Of that command: a refusal too is remembered; KV_KEY_NOT_FOUND: it deleted one key that was
     * not there. */
    enum kv_status status;
    bool succeeded; /* KV_OK, and if it was a transaction, its compares held */
};
#define KV_TICKETS_MAX 100000 /* the oldest goes when one more comes */
bool kv_ticket_get(const struct kv *kv, struct kv_bytes ticket, struct kv_ticket *out);
uint64_t kv_ticket_last(const struct kv *kv); /* sequence, of those that went, too; 0: none yet */
uint64_t kv_ticket_first(const struct kv *kv); /* ... of the oldest that is there; 0: none is */

/* ---- work that is done in slices ------------------------------------------------------------- */

/* Does up to `budget` steps of what compactions and dropped stores have left; true if there is more
 * that can be done now (an open view holds compaction up). Changes nothing that can be seen. */
bool kv_tidy(struct kv *kv, size_t budget);
/* Nothing that compaction let go is kept any more, neither for want of time nor for a view or a
 * cursor. */
bool kv_is_tidy(const struct kv *kv);

/* ---- snapshots: a walk of everything that is kept, in slices, while writes go on ------------- */

struct kv_view;
/* The store as it is now: revision, compact revision, all kept versions, leases, tickets. O(1).
 * Compaction frees nothing that an open view needs. At most one view at a time. */
struct kv_view *kv_view_new(struct kv *kv);
void kv_view_free(struct kv_view *view); /* before its kv is freed */
/* Appends the next part to *out until some max_bytes are added (one item more at most); true when
 * the walk is complete, and then adds the end mark with counts and hash. */
bool kv_view_read(struct kv_view *view, struct buf *out, size_t max_bytes);

/* Builds a store from what kv_view_read wrote, fed in any split. */
struct kv_loader;
struct kv_loader *kv_loader_new(void);
void kv_loader_free(struct kv_loader *loader);
/* Frees a loader whose content is large: what it has built goes to kv's list for kv_tidy. */
void kv_loader_discard(struct kv *kv, struct kv_loader *loader);
/* ERR_CORRUPT, ERR_VERSION; the same again on every later call. Memory beside the store itself: at
 * most what was fed of one item. */
enum err kv_loader_feed(struct kv_loader *loader, const uint8_t *data, size_t len) MUST_USE;
/* ERR_CORRUPT unless the end mark has been read and counts and hash agree. *out owned by caller,
 * once; the loader is still to be freed. */
enum err kv_loader_finish(struct kv_loader *loader, struct kv **out) MUST_USE;
/* Hands the whole content of old to kv's list of things to be freed in slices; old is gone. */
void kv_discard(struct kv *kv, struct kv *old);

#endif
