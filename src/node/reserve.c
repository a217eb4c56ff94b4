/*
 * Room for the next snapshot: without one the log never gets shorter, so a full disk could never be
 * made free again. It is reserved ahead like the log's own room (storage/snapshot_room.h), and is
 * so large that deletes always get through. In bytes:
 *
 *   need   the largest that a snapshot can become by deletes, expiries and compactions, in
 *          whichever order (kv/size.c): these never make it more, only growth does
 *   R      reserved for the next snapshot
 *   S      the newest snapshot, which goes when the next one is there
 *   L      segments of the log that go then, too: all but the one that is written
 *   unit   the smallest segment
 *
 * Growth is taken only while, with it, R >= need and R + S + L >= 2 * need + unit.
 *
 * Why that is enough, where nobody else takes anything of the disk: once growth is refused, need
 * does not rise. The next snapshot fits into R, since it is no larger than need. What it does not
 * use, and S and L, are free then. Of all that this member holds, R + S + L and what is written (W)
 * and prepared (P) of the log, only the new snapshot, W and P are not reserved again. P is a unit
 * at most, and W is the old one or a unit. So what is left is at least
 * 2 * need + unit - need - unit = need: the snapshot after that fits, too, and so on for ever, as
 * the sum of all does not get less. In between deletes write to W and P. When these are used up,
 * the log may borrow from R as long as R >= need remains (reserve_lend), which leaves the sum as it
 * is and comes back as L; else a snapshot, which can always be written, makes L out of W: it is
 * wanted at once then, and deletes wait for no more than it.
 * So deletes go on. History is compacted as long as growth is refused (retention.c): need falls
 * with what is deleted, the sum does not, and growth comes back by itself.
 *
 * A start takes nothing of the disk that was free but a segment: what is reserved is found again,
 * or, if a power cut took it, reserved anew before growth is taken. What needs room and does not
 * get it is no reason to end.
 *
 * Others who fill the disk get nothing of R, W and P, but may take what is free between a snapshot
 * and the next reserving, or what a power cut gave back. Then R < need is possible. Deletes go on
 * as long as the log has room, and snapshots are tried; once what is really there fits, it is over.
 * A member that follows cannot refuse growth that the leader had taken before it heard (room.c):
 * for this R is larger than it must be, and what is appended but not applied counts as growth.
 */
#include "node/internal.h"

#define RETRY_MS 250u
#define LOOK_MS 1000u
#define FRUGAL_SEGMENTS 4u  /* less is free than so many whole ones: a small disk */
#define AMPLE_SEGMENTS 6u   /* no longer */
#define WHOLE_BYTES (UINT64_C(16) << 20)
#define STEP_UNITS 4u
#define SLICE_BYTES (UINT64_C(32) << 20)

static uint64_t unit_of(const struct node *node)
{
    return wal_room_unit(node->wal);
}

/* With what is on its way to the store, and with META. */
static uint64_t need_with(const struct node *node, uint64_t growth)
{
    const struct reserve *reserve = &node->reserve;
    uint64_t need = kv_snapshot_bytes_max(node->kv);
    uint64_t since = kv_grown_bytes(node->kv) - reserve->base_grown;
    if (reserve->base_bytes != 0 && reserve->base_bytes + since < need)
        need = reserve->base_bytes + since;
    need += reserve->pending_old + reserve->pending_new + growth;
    return need + need / 1024 + unit_of(node) / 16 + 2048;
}

/* R must not be less for growth to be taken. */
static uint64_t limit_with(const struct node *node, uint64_t growth)
{
    uint64_t need = need_with(node, growth);
    uint64_t comes = node->reserve.snapshot_bytes + wal_releasable_bytes(node->wal);
    uint64_t both = 2 * need + unit_of(node);
    return both > comes && both - comes > need ? both - comes : need;
}

static uint64_t reserved(const struct node *node)
{
    return snapshot_room_bytes(node->reserve.room);
}

/* ---- more and less of it --------------------------------------------------------------------- */

static bool resize(struct node *node, uint64_t bytes)
{
    return reserved(node) >= bytes || snapshot_room_resize(node->reserve.room, bytes);
}

static void look_at_disk(struct node *node)
{
    struct reserve *reserve = &node->reserve;
    /* a segment that what was taken in this turn goes to must not be cut short */
    if (node->now_ms < reserve->look_ms || node->room.taken.bytes > 0)
        return;
    reserve->look_ms = node->now_ms + LOOK_MS;
    uint64_t whole = node->options.log_segment_bytes;
    uint64_t segments = node->fs.ops->free_bytes(node->fs.ctx) / (whole != 0 ? whole : WHOLE_BYTES);
    bool few = segments < (reserve->is_frugal ? AMPLE_SEGMENTS : FRUGAL_SEGMENTS);
    reserve->is_frugal = few || reserve->is_tight;
    wal_set_frugal(node->wal, reserve->is_frugal);
}

/* As much as is wanted, else what is just enough. */
static void enlarge(struct node *node, uint64_t limit, uint64_t wanted)
{
    struct reserve *reserve = &node->reserve;
    uint64_t unit = unit_of(node);
    reserve->is_tight = !resize(node, wanted);
    if (!reserve->is_tight)
        return;
    reserve->retry_ms = node->now_ms + RETRY_MS;
    reserve->look_ms = 0; /* the log must become frugal now */
    uint64_t least = need_with(node, 0) + unit / 8;
    uint64_t bytes[] = {limit + unit, limit + unit / 8, least + unit, least};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        if (resize(node, bytes[i]))
            return;
}

/* A file system takes 200 us for a MiB: what is large is reserved over some turns, as long as the
 * disk has twice what is missing. That somebody takes it all meanwhile is borne: then it is as if
 * others had filled the disk. */
static bool enlarge_some(struct node *node, uint64_t wanted)
{
    uint64_t have = reserved(node);
    uint64_t free_bytes = node->fs.ops->free_bytes(node->fs.ctx);
    node->reserve.is_growing = wanted > have + SLICE_BYTES && free_bytes != UINT64_MAX &&
                               free_bytes / 2 > wanted - have && resize(node, have + SLICE_BYTES);
    return node->reserve.is_growing;
}

/* After a start: what the log has and the store has not. About, as with a follower's appends. */
static void count_unapplied(struct node *node)
{
    struct reserve *reserve = &node->reserve;
    reserve->pending_upto = floe_raft_basic_status(node->raft).last_index;
    for (floe_index i = node->applied + 1; i <= reserve->pending_upto; i++) {
        const struct floe_entry *entry = floe_memstore_entry(node->store, i);
        reserve->pending_old += entry != NULL ? floe_blob_size(entry->data) : 0;
    }
}

void reserve_turn(struct node *node)
{
    struct reserve *reserve = &node->reserve;
    if (wal_segment_count(node->wal) == 0 || node->loading.reader != NULL)
        return;
    if (reserve->pending_upto == 0)
        count_unapplied(node);
    if (node->applied >= reserve->pending_upto) {
        reserve->pending_old = reserve->pending_new;
        reserve->pending_new = 0;
        reserve->pending_upto = floe_raft_basic_status(node->raft).last_index;
    }
    uint64_t unit = unit_of(node);
    uint64_t limit = limit_with(node, 0);
    uint64_t step = limit / 4 > STEP_UNITS * unit ? limit / 4 : STEP_UNITS * unit;
    if (reserved(node) >= limit + step / 2) {
        reserve->is_tight = false;
        reserve->is_growing = false;
    } else if (node->now_ms >= reserve->retry_ms && !enlarge_some(node, limit + step)) {
        enlarge(node, limit, limit + step);
    }
    if (reserved(node) > limit + step + limit / 2 + 4 * STEP_UNITS * unit)
        (void)snapshot_room_resize(reserve->room, limit + step);
    /* to get there again, for what was "not worth waiting for" below */
    reserve->is_short = !reserve->is_growing &&
                        reserved(node) < limit + (reserve->is_short ? unit / 4 * 3 : 0);
    look_at_disk(node);
}

bool reserve_allows(struct node *node, uint64_t growth)
{
    uint64_t limit = limit_with(node, growth);
    if (reserved(node) >= limit || node->reserve.is_growing)
        return true;
    if (node->now_ms >= node->reserve.retry_ms && resize(node, limit + unit_of(node)))
        return true;
    if (growth <= unit_of(node) / 4)
        node->reserve.is_short = true; /* not worth waiting for smaller ones */
    return false;
}

bool reserve_lend(struct node *node, uint64_t bytes, bool for_growth)
{
    uint64_t unit = unit_of(node);
    uint64_t keep = (for_growth ? limit_with(node, 0) : need_with(node, 0)) + unit / 8;
    uint64_t now = reserved(node);
    uint64_t wanted = bytes + unit;
    if (now <= keep)
        return false;
    return snapshot_room_resize(node->reserve.room, now - keep > wanted ? now - wanted : keep);
}

/* ---- what others ask and tell ---------------------------------------------------------------- */

/* A power cut may have brought an older snapshot back, which the log does not follow any more. */
static void remove_useless(struct node *node)
{
    if (node->kept_index != 0 && snapshot_folder_release(node->fs, node->kept_index) != ERR_OK)
        log_warn(node->logger, "old snapshots not removed why=%s",
                 node->fs.ops->last_error(node->fs.ctx));
}

void reserve_open(struct node *node)
{
    remove_useless(node);
    node->reserve.room = snapshot_room_new(node->fs);
    node->reserve.is_short = true; /* a full disk is one from the first turn on */
    reserve_on_snapshot(node, kv_tombstone_bytes(node->kv), kv_grown_bytes(node->kv));
    look_at_disk(node);
}

void reserve_deinit(struct node *node)
{
    snapshot_room_free(node->reserve.room);
}

void reserve_on_taken(struct node *node, uint64_t growth)
{
    node->reserve.pending_new += growth;
}

void reserve_on_snapshot(struct node *node, uint64_t tombstone_bytes, uint64_t grown_bytes)
{
    struct reserve *reserve = &node->reserve;
    reserve->snapshot_bytes =
        node->snapshot_index != 0 ? snapshot_folder_bytes(node->fs, node->snapshot_index) : 0;
    bool is_known = reserve->snapshot_bytes != 0;
    reserve->base_bytes = is_known ? reserve->snapshot_bytes + tombstone_bytes : 0;
    reserve->base_grown = grown_bytes;
}

void reserve_on_released(struct node *node)
{
    node->reserve.retry_ms = 0;
}

bool reserve_wants_snapshot(const struct node *node)
{
    uint64_t unit = unit_of(node);
    uint64_t need = need_with(node, 0);
    uint64_t least = need / 16 > unit ? need / 16 : unit;
    return node->reserve.is_tight && wal_releasable_bytes(node->wal) >= least;
}
