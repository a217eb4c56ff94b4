/* The inside of the write-ahead log, shared by wal.c, wal_replay.c and wal_record.c. */
#ifndef STORAGE_WAL_INTERNAL_H
#define STORAGE_WAL_INTERNAL_H

#include "base/buf.h"
#include "codec/record.h"
#include "storage/wal.h"

#define WAL_SPARE "wal/next.spare"
#define WAL_NAME_MAX 32

/* Record types of a segment. */
enum wal_record_type {
    WAL_META = 1,       /* index = segment number; first record of every segment */
    WAL_ENTRY = 2,      /* index, term; payload: the entry */
    WAL_HARD_STATE = 3, /* payload: the hard state */
    WAL_SNAPSHOT = 4,   /* index, term; payload: one byte, 1 = the suffix stays valid */
    WAL_MARK = 5,       /* starts a batch. index = bytes of this segment that were durable when
                           it was written; term = segment number */
};

struct wal_segment {
    uint64_t number;
    floe_index last_index; /* highest entry index in it; 0 = none */
};

struct wal {
    struct fs fs;
    const struct logger *logger;
    struct wal_options options;
    struct wal_meta meta;
    struct floe_hard_state hard_state; /* as of the last append */
    floe_index snapshot_index;
    floe_term snapshot_term;

    struct wal_segment *segments; /* oldest first; the last one is written to */
    size_t segment_count;
    size_t segment_cap;
    struct fs_file *file;     /* of the last segment */
    uint64_t offset;          /* end of its records */
    uint64_t size;            /* bytes reserved */
    uint64_t durable_offset;  /* bytes of it that are durable */
    struct fs_file *retired;  /* a full segment whose sync is still in flight */
    bool spare_ready;

    uint64_t appended;
    uint64_t durable;
    bool syncing;
    uint64_t sync_token;
    uint64_t sync_appended; /* what the sync in flight covers */
    uint64_t sync_offset;   /* the same in the segment; 0 = a retired one */
    struct buf out;
    char error[256];
};

void wal_segment_name(uint64_t number, char *out);
/* Remembers the system's text for wal_last_error; returns err. */
enum err wal_failed(struct wal *wal, enum err err, const char *what, const char *name);
void wal_push_segment(struct wal *wal, uint64_t number);
/* Appends the first record of a segment. */
void wal_put_meta(const struct wal *wal, uint64_t number, struct buf *out);

/* What replay has gathered; wal_replay.c. */
enum err wal_replay(struct wal *wal, struct wal_recovered *out, struct buf *why);

#endif
