/* The inside of a store, and what its files offer each other. */
#ifndef KV_STORE_H
#define KV_STORE_H

#include "kv/alarm.h"
#include "kv/history.h"
#include "kv/index.h"
#include "kv/ticket.h"
#include "kv/work.h"

#include <sys/queue.h>

/* Tells cursors whether a path that they remember is still good, and kv_tidy which cursors there
 * are. It outlives the store as long as a cursor holds it, so that its address cannot be taken for
 * another's. */
struct kv_stamp {
    uint32_t refs;
    uint64_t changes; /* of the shape of the index */
    LIST_HEAD(, kv_cursor) cursors;
};

/* Tells leases of the same id apart, if one of them was granted in a term that is going on. */
struct kv_birth {
    uint64_t term;   /* 0: not known, before all others */
    uint64_t number; /* in that term, from 1 on */
};

struct kv {
    struct index keys;   /* the newest version of each key; one reference each */
    struct index leases; /* kv/lease.c says what is in it */
    struct history history;
    struct tickets tickets;
    struct alarms alarms;
    struct kv_stamp *stamp;
    struct kv_view *view; /* NULL: none is open. Borrowed */
    uint32_t view_number; /* of the last one */
    uint64_t revision;
    uint64_t compact_revision;
    uint64_t freed_revision; /* <= compact_revision: what is older may be freed by now */
    uint64_t size_bytes;   /* keys and values that are there */
    uint64_t entry_memory; /* of all versions, tombstones and leases */
    uint64_t live_memory;  /* of these the newest versions of keys that are there */
    uint64_t tombstone_memory; /* that deleting these would take ... */
    uint64_t tombstone_bytes;  /* ... in a snapshot */
    uint64_t grown_bytes;      /* what was ever added, in snapshots, with such tombstones */
    uint64_t lease_count;
    struct kv_birth births; /* of leases: of the term of the last grant, how many so far */
    uint64_t lease_changes;
    uint64_t keys_sum; /* of the hashes of the newest versions of keys that are there */
    uint64_t leases_sum;
    uint64_t chain; /* of the hashes of all events */
    struct kv_work work;
    struct kv_pile pile;
    struct kv *dropped; /* stores whose history and tickets are to be freed */
    struct kv *next_dropped;
};

/* ---- store.c: one key ------------------------------------------------------------------------ */

struct kv_place kv_key_place(struct kv_bytes key);
/* The newest version, a tombstone too; path is where it is or would be. */
struct kv_entry *kv_newest(const struct kv *kv, struct kv_bytes key, struct index_path *path);
/* The version that was there at a revision; NULL: none, or a tombstone. UINT64_MAX: newest. */
struct kv_entry *kv_version_at(struct kv_entry *newest, uint64_t revision);
/* Puts the next version of a key in at path (where `newest` is, if not NULL): entry's key, value
 * and lease are given, the lease exists. One reference to entry goes to the store. */
void kv_write(struct kv *kv, struct index_path *path, struct kv_entry *newest,
              struct kv_entry *entry, uint64_t revision);
/* The same with a tombstone; newest is there. path stays valid. */
void kv_write_tombstone(struct kv *kv, struct index_path *path, struct kv_entry *newest,
                        uint64_t revision);
uint64_t kv_link(uint64_t chain, uint64_t hash);

/* ---- size.c: of parts of a snapshot --------------------------------------------------------- */

uint64_t kv_version_bytes(uint64_t key_len, uint64_t value_len);
uint64_t kv_lease_bytes(void);
uint64_t kv_ticket_bytes(uint64_t len);

/* ---- range.c --------------------------------------------------------------------------------- */

bool kv_keys_contain(const struct kv_keys *keys, struct kv_bytes key);
/* The first position of the range. */
void kv_keys_begin(const struct kv *kv, const struct kv_keys *keys, struct index_path *path);
/* The newest version at path or behind if the range still has it (tombstones too), else NULL. */
struct kv_entry *kv_keys_at(const struct kv_keys *keys, struct index_path *path);
enum kv_status kv_revision_check(const struct kv *kv, uint64_t revision);
/* As kv_range_all, the revision was checked; 0 = newest, what the command at work has written
 * included. */
void kv_range_fill(const struct kv *kv, const struct kv_range *range, struct kv_reply *reply);
/* < 0: a comes before b in the order of the range, which is one of all keys. */
int kv_range_compare(const struct kv_range *range, const struct kv_entry *a,
                     const struct kv_entry *b);
void kv_reply_add_item(struct kv_reply *reply, struct kv_entry *entry, size_t *cap);

/* ---- cursor.c --------------------------------------------------------------------------------- */

/* That of the item given last. */
struct kv_entry *kv_cursor_entry(const struct kv_cursor *cursor);
/* The oldest revision that a cursor of this store still walks at; UINT64_MAX: none does. */
uint64_t kv_cursors_oldest(const struct kv *kv);

/* ---- txn.c: one operation, a transaction or not; it has passed kv_command_check ----------------
 */

/* Checks everything; leases are granted, nothing else is changed. op and reply (NULL: nobody asked)
 * are borrowed until the end of the work. Unless KV_OK the work is over. */
enum kv_status kv_op_begin(struct kv *kv, struct kv_op_work *work, const struct kv_op *op,
                           struct kv_reply *reply);
/* Writes; every key of a range that is deleted costs one of *budget. true: all is done, the work is
 * over. */
bool kv_op_go_on(struct kv *kv, struct kv_op_work *work, size_t *budget);
void kv_op_end(struct kv_op_work *work); /* before its time, too */
/* ... and if it was a transaction, its compares held. Before the end of the work. */
bool kv_op_succeeded(const struct kv_op_work *work);
/* Ends the command that is under way, if there is one, wherever it is; the store is of no use then.
 */
void kv_work_drop(struct kv *kv);

/* ---- lease.c --------------------------------------------------------------------------------- */

struct kv_entry *kv_lease_find(const struct kv *kv, uint64_t id);
void kv_lease_add(struct kv *kv, const struct kv_lease_info *info, const struct kv_birth *birth);
/* The birth of a lease that is granted now, in this term. */
struct kv_birth kv_lease_next_birth(struct kv *kv, uint64_t term);
struct kv_birth kv_lease_birth(const struct kv_entry *lease);
/* Whether it is one of those that a command of the leader is about. */
bool kv_lease_is_meant(const struct kv_entry *lease, const struct kv_command *command);
/* It has no keys. */
void kv_lease_remove(struct kv *kv, struct kv_entry *lease);
void kv_lease_set_remaining(struct kv *kv, struct kv_entry *lease, uint64_t remaining_s);
/* The newest version of a key takes the place of `old` (NULL: none, or not bound). */
void kv_lease_rebind(struct kv *kv, struct kv_entry *old, struct kv_entry *entry);
/* The first key of the lease; NULL: none. */
struct kv_entry *kv_lease_first_key(const struct kv *kv, uint64_t id);
/* The lease with the lowest id >= id; NULL: none. */
struct kv_entry *kv_lease_at_or_after(const struct kv *kv, uint64_t id);
struct kv_lease_info kv_lease_describe(const struct kv_entry *lease);

/* ---- view.c: what an open view is told before it is changed ------------------------------------
 */

void kv_view_before_lease(struct kv *kv, struct kv_entry *lease);
void kv_view_on_new_lease(struct kv *kv, struct kv_entry *lease);
void kv_view_before_ticket(struct kv *kv, const struct ticket *ticket);

#endif
