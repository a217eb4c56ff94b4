/*
 * Private to the files of the log. wal.h has the format and the remnants of a crash in prose;
 * wal_record.c the bytes, wal_segment.c and wal_spare.c the files, wal_sync.c group commit,
 * wal_replay.c and wal_damage.c the way back.
 *
 * A log position is a byte count over all segments since the log was created: the segment's base
 * (in its first record) plus the offset. It survives restarts and removed segments.
 */
#ifndef STORAGE_WAL_INTERNAL_H
#define STORAGE_WAL_INTERNAL_H

#include "codec/record.h"
#include "storage/wal.h"

enum wal_record_type {
    WAL_RECORD_HEAD = 1,  /* index = number of the segment; first record of every segment */
    WAL_RECORD_ENTRY = 2, /* index, term of the entry; body: raft_codec entry */
    WAL_RECORD_STATE = 3, /* body: raft_codec hard state */
    WAL_RECORD_MARK = 4,  /* index, term of a snapshot; body: 1 byte, 1 = entries behind it stay */
    WAL_RECORD_NEXT = 5,  /* index = number of the next segment; last record of this one */
};

#define WAL_PREFIX_BYTES 16 /* of each payload: position of the record, durable position */
#define WAL_NEXT_BYTES (RECORD_HEADER_BYTES + WAL_PREFIX_BYTES) /* of the whole closing record */
/* No record is larger than this plus the data of its entry. */
#define WAL_RECORD_OVERHEAD_BYTES 128
/* No first record of a segment is larger. */
#define WAL_HEAD_BYTES_MAX 320
/* First and last record together. */
#define WAL_FRAME_BYTES_MAX (WAL_HEAD_BYTES_MAX + WAL_NEXT_BYTES)
/* A segment file beyond this was not written by us. */
#define WAL_SEGMENT_FILE_MAX (UINT64_C(1) << 30)
#define WAL_POSITION_MAX (UINT64_C(1) << 62) /* more than any disk has ever taken */
#define WAL_PATH_MAX 40
#define WAL_ERROR_MAX 320

/* ---- records (wal_record.c) ------------------------------------------------------------------ */

/* What every segment starts with: enough to forget the segments before it. */
struct wal_head {
    uint64_t number;
    struct wal_meta meta;
    struct floe_hard_state hard_state;
    floe_index mark_index;
    floe_term mark_term;
    floe_index last_index; /* of the log as of then */
    uint64_t reserved;     /* bytes that the file had from the start; 0: it grows */
    bool recycled;         /* behind the last record may be those of an older segment */
};

/* A record with its prefix read; body is borrowed from the bytes it was read from. */
struct wal_view {
    uint8_t type;
    uint64_t index;
    uint64_t term;
    uint64_t position; /* where the writer put it */
    uint64_t durable;  /* what the writer knew to be durable then */
    const uint8_t *body;
    size_t body_len;
    size_t used; /* bytes of the whole record */
};

void wal_record_put_head(struct buf *out, uint64_t position, uint64_t durable,
                         const struct wal_head *head);
void wal_record_put_entry(struct buf *out, uint64_t position, uint64_t durable,
                          const struct floe_entry *entry);
void wal_record_put_state(struct buf *out, uint64_t position, uint64_t durable,
                          const struct floe_hard_state *hs);
void wal_record_put_mark(struct buf *out, uint64_t position, uint64_t durable,
                         const struct floe_snapshot *mark, bool keep_suffix);
void wal_record_put_next(struct buf *out, uint64_t position, uint64_t durable, uint64_t number);

/* ERR_CORRUPT: no valid record here; ERR_VERSION: the layout of a newer version. */
enum err wal_record_get(const uint8_t *data, size_t len, uint64_t max_payload,
                        struct wal_view *out) MUST_USE;
/* ERR_CORRUPT, ERR_VERSION. */
enum err wal_record_get_head(const struct wal_view *view, struct wal_head *out) MUST_USE;
/* ERR_CORRUPT. Owned by caller. */
enum err wal_record_get_entry(const struct wal_view *view, struct floe_entry *out) MUST_USE;

/* ---- the log --------------------------------------------------------------------------------- */

struct wal_segment {
    uint64_t number;
    uint64_t base;         /* log position of offset 0 */
    uint64_t end;          /* offset behind the last record */
    uint64_t head_bytes;   /* of the first record */
    uint64_t limit;        /* offset where the next segment begins, unless one record is larger */
    uint64_t synced;       /* offset up to which a sync has returned */
    bool closing;          /* the closing record counts in end, and is not written yet */
    uint64_t reserved;     /* the file is never shorter; 0: not known, or it grows */
    uint64_t file_bytes;   /* how long it was found (only while reading back) */
    bool recycled;         /* as its head says (likewise) */
    bool closed;           /* its closing record was read (likewise) */
    uint64_t stale_end;    /* behind what is left of an older segment; 0: nothing (likewise) */
    floe_index max_index;  /* highest entry in it that still counts; 0: none */
    struct fs_file *file;  /* NULL: closed, all of it is durable */
};

struct wal_sync {
    bool in_flight;
    uint64_t token;
    uint64_t target; /* log position that is durable once all of it is done */
    uint64_t number; /* segment whose file is being synced ... */
    uint64_t upto;   /* ... up to this offset */
};

#define WAL_SPARES_MAX 4u /* what a snapshot lets go, more or less */

/* The next segment, or the one after it. */
struct wal_spare {
    struct fs_file *file;
    uint64_t name;     /* the number in it */
    uint64_t limit;    /* as of a segment */
    uint64_t reserved; /* how long it is; 0: it grows as it is written */
    bool recycled;     /* it was a segment, whose records are still in it */
};

struct wal {
    struct fs fs;
    const struct logger *logger;
    uint64_t first_segment_bytes;
    uint64_t segment_bytes;
    uint64_t short_segment_bytes; /* without room for a whole one */
    uint64_t max_record_bytes;

    struct wal_meta meta;
    struct floe_hard_state hard_state;
    floe_index mark_index;
    floe_term mark_term;
    uint64_t mark_end; /* log position behind the newest mark */
    floe_index last_index;

    struct wal_segment *segments; /* numbers without a gap; the last one is written; none: fresh */
    size_t segment_count;
    size_t segment_cap;
    struct buf out;      /* encoded for the last segment, not written yet; empty between calls */
    uint64_t opened_at;  /* log position where the public positions start */
    uint64_t durable;    /* log position */
    uint64_t sealed_at;  /* log position behind the last seal (wal_sync_now) */
    bool names_dirty;    /* a segment was named since the last sync of the directory */
    floe_index release_index;
    struct wal_spare spares[WAL_SPARES_MAX]; /* the next segments, in this order */
    size_t spare_count;
    bool spare_refused;    /* preparing failed; tried again by the rotation itself */
    bool is_frugal;        /* the owner wants it: no whole segments */
    bool is_short;         /* there was no room for a whole segment at the last try */
    bool space_hint;       /* ... and the owner was not told yet */
    struct wal_sync sync;
    bool failed;
    char error[WAL_ERROR_MAX];
};

/* ---- files (wal_segment.c) ------------------------------------------------------------------- */

void wal_segment_path(char *out, uint64_t number, bool spare);
/* Notes what went wrong, for wal_last_error; the second one is final. Both give ERR_IO. */
enum err wal_note_error(struct wal *wal, const char *what, const char *path);
enum err wal_fail(struct wal *wal, const char *what, const char *path);
struct wal_segment *wal_segment_current(struct wal *wal);
struct wal_segment *wal_segment_push(struct wal *wal, const struct wal_segment *segment);
/* How long a segment is where there is room. */
uint64_t wal_segment_whole(const struct wal *wal, uint64_t number);
/* A segment did not get its room (why is the last error), or did. */
void wal_segment_note_room(struct wal *wal, const char *path, bool enough);
uint64_t wal_end(const struct wal *wal);           /* log position behind everything */
uint64_t wal_next_position(const struct wal *wal); /* the same with what is in out */
/* An entry at index is in the last segment now: what was at and behind index counts no more. */
void wal_segment_note_entry(struct wal *wal, floe_index index);
/* A mark is in the log now. */
void wal_segment_note_mark(struct wal *wal, floe_index index, bool keep_suffix);
/* Writes wal->out behind the last segment's end. */
enum err wal_segment_flush(struct wal *wal) MUST_USE;
/* Makes the segment behind the last one (the first one of a fresh log) with room for extra bytes
 * behind its head. */
enum err wal_segment_rotate(struct wal *wal, uint64_t extra) MUST_USE;
/* Writes the record that closes it where one is due: the next segment is durable by now. */
enum err wal_segment_maybe_close(struct wal *wal, struct wal_segment *segment) MUST_USE;
/* Removes up to count segments at the old end that release_index allows. */
enum err wal_segment_release_some(struct wal *wal, unsigned count) MUST_USE;

/* ---- the next segments (wal_spare.c) --------------------------------------------------------- */

/* The next segment under its spare name, if it is time. */
enum err wal_segment_maybe_prepare(struct wal *wal) MUST_USE;
/* spares[0] is there, with room for need bytes. An error is final. */
enum err wal_spare_ensure(struct wal *wal, uint64_t number, uint64_t need) MUST_USE;
void wal_spare_forget_first(struct wal *wal); /* it is a segment now */
/* Is this segment worth being used again? Then it was renamed, durably, and becomes the last. */
bool wal_spare_wants(const struct wal *wal, const struct wal_segment *segment);
void wal_spare_recycle(struct wal *wal, const struct wal_segment *segment);
/* Takes one over that an earlier process left, with zeros in it, durably. */
bool wal_spare_adopt(struct wal *wal, uint64_t name) MUST_USE;
void wal_spare_close_all(struct wal *wal);

/* ---- reading back (wal_replay.c, wal_damage.c, wal_files.c) ---------------------------------- */

/* Where reading stopped being possible. */
struct wal_break {
    bool found;
    size_t at;         /* index into numbers */
    uint64_t offset;   /* in that segment */
    uint64_t end;      /* behind what was written there */
    uint64_t position; /* the same place as a log position */
    const char *reason;
};

struct wal_found_spare {
    uint64_t number; /* in its name */
    uint64_t bytes;
};

struct wal_replay {
    struct wal *wal;
    struct wal_recovered *out;
    struct buf *why;
    uint64_t *numbers; /* of the segment files, ascending */
    size_t number_count;
    size_t number_cap;
    struct wal_found_spare *spares;
    size_t spare_count;
    size_t spare_cap;
    size_t entry_cap;  /* of out->entries, which hold the older ones, too, until the end */
    struct buf data;   /* the segment file being looked at */
    uint64_t proven;   /* highest durable position that a valid record tells of */
    floe_index good_index; /* entries up to here can be trusted, at most */
    struct wal_break broken;
};

enum err wal_replay(struct wal *wal, struct wal_recovered *out, struct buf *why) MUST_USE;
/* Fills numbers and spares. */
enum err wal_replay_list(struct wal_replay *replay) MUST_USE;
/* Once the log is as it will be: removes the spares of an earlier process, or keeps one. */
enum err wal_replay_spares(struct wal_replay *replay) MUST_USE;
/* The last call to the file system failed: the text into why. */
enum err wal_replay_fail(struct wal_replay *replay, const char *what, const char *path) MUST_USE;
/* The whole file into replay->data. */
enum err wal_replay_load(struct wal_replay *replay, uint64_t number) MUST_USE;
/* Was anything of this segment, rather than of an older one in the same file, written behind from?
 * Looks at what may be begun records only. */
bool wal_damage_is_written(const struct wal_replay *replay, const struct wal_segment *segment);
/* Where the last byte that is not zero ends, or from. */
uint64_t wal_damage_written_end(const struct buf *data, uint64_t from);
/* Decides what replay->broken is: a torn tail is cut for good, damage is ERR_CORRUPT. */
enum err wal_damage_settle(struct wal_replay *replay) MUST_USE;

#endif
