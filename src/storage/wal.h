/*
 * The write-ahead log: wal/<16 hex of a segment number>.wal, records of codec/record.h.
 *
 * Appends are handed to the file at once and become durable with a sync that covers everything
 * before it; one sync at a time is in flight (group commit, thesis 10.2.1). Any error of a write or
 * sync is final: the owner ends the process, nothing is retried.
 *
 * FILES
 *   wal/<16 hex>.wal     segments, numbered from 1 without a gap; names sort by age; the one with
 *                        the highest number is written. The first has 4 MiB, the others 16 MiB,
 *                        reserved and zero-filled ahead; a record that is larger has a segment of
 *                        its own.
 *   wal/<16 hex>.spare   the next segments: prepared in the background, or old segments (whole
 *                        ones, up to four) that are used again. A spare becomes a segment by its
 *                        first record being written and a rename; an old segment becomes a spare
 *                        by a rename that is synced before anything is written to it.
 *   Where there is no room for that (a full disk, a quota, a limit of file sizes) a segment has
 *   1 MiB; where not even that can be reserved it is not reserved at all and grows as it is
 *   written: who asks wal_has_room or wal_reserve before each append does not get there. Short ones
 *   leave room for the snapshot that lets older segments go (wal_take_space_hint), and go sooner
 *   themselves. Reading back does not care: a segment ends behind its last valid record, whether
 *   zeros or the end of the file come then, and the position in the next one's head says whether
 *   something is missing. A write that finds no room is final as any other failure; what it left
 *   behind is a torn tail.
 *
 * RECORDS (codec/record.h), not aligned, each payload starting with 16 bytes:
 *   8  position: log position of this record, bytes over all segments since the log was created
 *   8  durable:  log position up to which everything was known to be on disk when it was written
 *   HEAD   first of each segment, index = its number. msgpack array: format version, id and cluster
 *          name of the owner, hard state (term, vote, commit), snapshot mark (index, term), last
 *          index of the log, all as of then, so that older segments can go; the bytes that the file
 *          had been given by then (0: it grows); and whether it was a segment before (1)
 *   ENTRY  one log entry. The newest record of an index wins and removes what was behind it
 *   STATE  hard state; the newest wins
 *   MARK   a durable snapshot: the log continues behind its index; body 1: entries behind it that
 *          came before stay (own snapshot), 0: they are gone (installed snapshot)
 *   NEXT   last of each segment but the one that is written, index = number of the next one. It is
 *          written once that one's name and first record are durable, and is durable itself before
 *          anything in that one is acknowledged; its place is kept from the rotation on. Without it
 *          nothing is known: logs of earlier versions have none, nor has a segment in which there
 *          was no room for it on a full disk
 * Zeros behind the last record are the normal end of a segment. In one that was a segment before,
 * so is what is left of that: its positions are older, so it is not read. Where something looks
 * like a record of this place (position, size and type fit), it is a torn tail or damage as ever.
 *
 * WHAT A CRASH LEAVES, and what opening does with it
 * - A torn tail: bytes that no sync covered may be there or not, in any order, page by page, also
 *   over the end of a segment when a rotation happened in between. Reading stops at the first
 *   record that is not valid. Then all that follows is searched, byte by byte, for a valid record
 *   which says that the broken place was durable. None: the tail was never acknowledged; it is cut:
 *   younger segments are removed (youngest first), and zeros are made durable in its place before
 *   anything new is written, so that no stale record can show up behind a new one later. The file
 *   keeps its length. One is found: bytes that were promised are damaged; ERR_CORRUPT with file,
 *   offset and the index up to which the log is good, and nothing is changed.
 *   Damage within the very last sync cannot be told from a torn tail unless something was written
 *   after it; wal_sync_now at an orderly stop therefore writes one more STATE record.
 * - A segment without a valid first record: rotation broke off before its sync; a torn tail that
 *   begins at its offset 0, and it is removed. (Segment 1 is synced before it gets its name, so
 *   there, and in the oldest segment generally, it is damage; as it is behind a NEXT.)
 * - The new segment is there but the end of the one before it is not: a torn tail in the older one.
 * - The new segment is there and the one before it lacks just its NEXT: nobody was told of anything
 *   in the new one, but it is read, and NEXT is written then. If a later record says that it was
 *   durable, or if it is broken: damage as anywhere.
 * - NEXT, and no segment of that number: somebody has deleted it, no crash does; ERR_CORRUPT with
 *   the name of the file that is missing, whatever younger ones are there. So is one that does not
 *   stand just behind NEXT, and anything but zeros (or what is left of an older segment) behind it.
 * - A segment shorter than its head says, of which a record says that a sync of it had returned:
 *   the end was cut off later, which no crash does; ERR_CORRUPT, even where only zeros are missing.
 *   A NEXT that leads to it says so, too. A crash before that sync leaves any length: a torn tail.
 * - What is left of an older segment behind the end of the log: zeros are made durable in its place
 *   as in that of a torn tail, but nothing is said.
 * - A *.spare: removed. It may hold records of a segment whose rename was lost, which nobody was
 *   told of, and which would be at their place in the next segment of that number. Where the
 *   segment that is written has little room left, one is kept, with zeros made durable in it: the
 *   disk may be full.
 * - Old segments partly removed: removal is oldest first with a directory sync each, so what is
 *   left has no gap. Entries at or before the mark are handed out apart, in case that its snapshot
 *   cannot be read; an installed snapshot ends all that was before it.
 * - An empty wal/ or none: a log that was never created. (Whether it was is for the owner to know:
 *   nothing in the folder can tell that all of it was deleted.)
 * - Records that were read but perhaps not synced (the process died, not the machine): opening
 *   syncs them before it returns, since the owner will count on them.
 */
#ifndef STORAGE_WAL_H
#define STORAGE_WAL_H

#include "base/buf.h"
#include "base/logger.h"
#include "storage/fs.h"

#include <floe/types.h>

#define WAL_FORMAT_VERSION 1
#define WAL_CLUSTER_MAX 128 /* bytes of a cluster name */

struct wal;

/* Who this log belongs to; first record of every segment. */
struct wal_meta {
    floe_id id;
    char cluster[WAL_CLUSTER_MAX + 1];
};

struct wal_options {
    struct fs fs;
    const struct logger *logger;
    uint64_t first_segment_bytes; /* 0: 4 MiB */
    uint64_t segment_bytes;       /* 0: 16 MiB; a record larger than it gets a segment of its own */
    uint64_t short_segment_bytes; /* 0: 1 MiB; where there is no room for a whole one */
    uint64_t max_record_bytes;    /* 0: 64 MiB; larger lengths are damage */
};

/* What was found. Owned by caller (wal_recovered_deinit). */
struct wal_recovered {
    bool fresh; /* there was no log: everything else is zero */
    struct wal_meta meta;
    struct floe_hard_state hard_state;
    floe_index snapshot_index; /* newest snapshot mark; entries before or at it are left out */
    floe_term snapshot_term;
    struct floe_entry *entries; /* contiguous, from snapshot_index + 1 */
    size_t entry_count;
    /* For when the snapshot at snapshot_index cannot be read: the entries before, as far back as
     * the log goes without a gap, from first_index + 1 to snapshot_index (first_index ==
     * snapshot_index: none). */
    floe_index first_index;
    struct floe_entry *older;
    size_t older_count;
    uint64_t torn_bytes; /* cut off behind the last valid record */
};
void wal_recovered_deinit(struct wal_recovered *recovered);

/* Opens or creates the log below "wal/". why (may be NULL) gets a text for the operator that names
 * file, offset, and the index up to which the log is good. ERR_CORRUPT: damage in front of valid
 * records, a segment shorter than it was synced with, a missing one; nothing is changed then.
 * ERR_VERSION; ERR_IO. */
enum err wal_open(const struct wal_options *options, struct wal **out,
                  struct wal_recovered *recovered, struct buf *why) MUST_USE;
void wal_close(struct wal *wal); /* without a sync */

/* First call on a fresh log: writes whose it is, durable on return. */
enum err wal_create(struct wal *wal, const struct wal_meta *meta) MUST_USE;

/* Appends in this order: entries (which may replace a suffix: the newest record of an index wins
 * and cuts what was behind it), then the hard state (NULL: unchanged). */
enum err wal_append(struct wal *wal, const struct floe_hard_state *hard_state,
                    const struct floe_entry *entries, size_t count) MUST_USE;
/* The log continues behind this snapshot; entries beyond index that were appended before stay
 * valid only if keep_suffix (own snapshot), else they are gone (installed snapshot). The
 * snapshot file must be durable already. */
enum err wal_mark_snapshot(struct wal *wal, floe_index index, floe_term term,
                           bool keep_suffix) MUST_USE;

/* Positions are bytes appended since the log was opened; they only grow. */
uint64_t wal_appended(const struct wal *wal);
uint64_t wal_durable(const struct wal *wal);
bool wal_sync_in_flight(const struct wal *wal);
/* Starts a sync of everything appended, if there is something and none is in flight. Tokens used
 * are WAL_TOKEN_BASE + small numbers. */
enum err wal_sync_start(struct wal *wal) MUST_USE;
/* Tells a finished sync (from fs sync_poll); moves wal_durable. */
enum err wal_sync_finished(struct wal *wal, uint64_t token, enum err outcome) MUST_USE;
/* Blocking: everything appended is durable on return (at stop only). */
enum err wal_sync_now(struct wal *wal) MUST_USE;
#define WAL_TOKEN_BASE (UINT64_C(1) << 32)

/* Entries up to index are in a durable snapshot and will not be read again: whole segments that
 * hold nothing newer are removed (at most a few a call); a mark must have been written. */
enum err wal_release(struct wal *wal, floe_index index) MUST_USE;
/* Background work, called now and then: prepares the next segment under a spare name. */
enum err wal_prepare(struct wal *wal) MUST_USE;
/* Bytes that are reserved ahead: records of so many in all can be written without asking the disk
 * for more, but for what is lost where one does not fit into the rest of a segment. */
uint64_t wal_room(const struct wal *wal);
#define WAL_ROOM_PER_ENTRY 256u /* beside what an entry carries */
/* Is there room for records of so many bytes in all, the largest of which has so many? */
bool wal_has_room(const struct wal *wal, uint64_t bytes, uint64_t largest);
/* Reserves what is missing for that. False is not final, and what had been reserved stays. Costs as
 * much as making a segment. */
bool wal_reserve(struct wal *wal, uint64_t bytes, uint64_t largest);
/* Segments that are kept for being used again go, but for the next one: others need the room. */
void wal_give_up_spares(struct wal *wal);
/* From now on only short segments are made and none is used again; what there is of spare ones
 * goes, but for a short one. Or all as ever. For small disks, and for those that get full. */
void wal_set_frugal(struct wal *wal, bool frugal);
/* On the disk in segments that go as soon as a new snapshot is marked, or go already. */
uint64_t wal_releasable_bytes(const struct wal *wal);
/* The smallest segment that is reserved: what the owner keeps back is counted in it. */
uint64_t wal_room_unit(const struct wal *wal);
/* True once after a segment got less room than it should have, while older segments could go if a
 * newer snapshot let them: the owner should take one soon. */
bool wal_take_space_hint(struct wal *wal);
/* There was no room for a whole segment at the last try: keep no more than has to be kept. */
bool wal_is_short(const struct wal *wal);
uint64_t wal_segment_count(const struct wal *wal);
/* For messages: what went wrong last, e.g. "write wal/000000000000001a.wal: No space left on
 * device", and what to do if it was for want of room. */
const char *wal_last_error(const struct wal *wal);

#endif
