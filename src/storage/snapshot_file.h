/*
 * Snapshot files: snap/<16 hex of the index>.snap, a sequence of codec/record.h records:
 *
 *   SNAPSHOT_META   index, term; payload: format version, conf state, the owner's meta blob
 *   SNAPSHOT_CHUNK  index = chunk number from 1; payload: the application's bytes
 *   SNAPSHOT_END    index = number of chunks; payload: XXH3-64 over all chunk payloads, their bytes
 *
 * The same records travel to other members, so a receiver writes what it gets. A file is written as
 * <name>.part, synced, renamed, directory synced: a .part is a crash remnant and is removed at
 * start; a .snap is complete.
 */
#ifndef STORAGE_SNAPSHOT_FILE_H
#define STORAGE_SNAPSHOT_FILE_H

#include "base/buf.h"
#include "base/logger.h"
#include "codec/record.h"
#include "storage/fs.h"
#include "storage/snapshot_room.h"

#include <floe/types.h>

#define SNAPSHOT_FORMAT_VERSION 1
#define SNAPSHOT_CHUNK_MAX (4u << 20) /* payload bytes of one record */
enum { SNAPSHOT_META = 1, SNAPSHOT_CHUNK = 2, SNAPSHOT_END = 3 };

struct snapshot_meta {
    floe_index index;
    floe_term term;
    struct floe_conf_state conf_state;
    struct buf app; /* the owner's: floed keeps names and addresses of members here */
};
void snapshot_meta_deinit(struct snapshot_meta *meta);

/* ---- writing: own snapshots and received ones ------------------------------------------------ */

struct snapshot_writer;
#define SNAPSHOT_TOKEN_BASE (UINT64_C(2) << 32)

/* room (may be NULL) is used if it is there and no other writer has it; it outlives the writer. */
enum err snapshot_writer_open(struct fs fs, struct snapshot_room *room,
                              const struct snapshot_meta *meta,
                              struct snapshot_writer **out) MUST_USE;
/* One chunk, at most SNAPSHOT_CHUNK_MAX bytes. */
enum err snapshot_writer_add(struct snapshot_writer *writer, const uint8_t *data,
                             size_t len) MUST_USE;
/* A writer for a file that another member sends: give it each record in order (META first, END
 * last). ERR_CORRUPT: out of order, counts or the sum do not agree. */
enum err snapshot_receiver_open(struct fs fs, struct snapshot_room *room,
                                struct snapshot_writer **out) MUST_USE;
enum err snapshot_receiver_add(struct snapshot_writer *writer,
                               const struct record *record) MUST_USE;
/* Writes END (own snapshots) and starts the sync with the given token, SNAPSHOT_TOKEN_BASE + n. */
enum err snapshot_writer_finish(struct snapshot_writer *writer, uint64_t token) MUST_USE;
/* The sync is done: renames, syncs the directory, frees the writer. */
enum err snapshot_writer_commit(struct snapshot_writer *writer) MUST_USE;
/* Removes what was written, frees the writer. Not while its sync is in flight. */
void snapshot_writer_abort(struct snapshot_writer *writer);
/* Of the META record; borrowed until commit or abort. index 0: not read yet (receiver). */
const struct snapshot_meta *snapshot_writer_meta(const struct snapshot_writer *writer);

/* ---- reading --------------------------------------------------------------------------------- */

struct snapshot_reader; /* stays readable when the file is removed meanwhile */

/* Opens snap/<index>.snap and reads its META. ERR_NOT_FOUND, ERR_CORRUPT, ERR_VERSION. */
enum err snapshot_reader_open(struct fs fs, floe_index index, struct snapshot_reader **out,
                              struct buf *why) MUST_USE;
void snapshot_reader_close(struct snapshot_reader *reader);
const struct snapshot_meta *snapshot_reader_meta(const struct snapshot_reader *reader);
/* The next record, starting with META (borrowed until the next call), verified; *encoded (may be
 * NULL) also gets its bytes as they are in the file. After END: ERR_NOT_FOUND. */
enum err snapshot_reader_next(struct snapshot_reader *reader, struct record *out,
                              struct buf *encoded) MUST_USE;

/* ---- the folder ------------------------------------------------------------------------------ */

/* Removes crash remnants; the index of the newest snapshot (0: none). Newest by name; a newest one
 * that does not open is an error for the caller to report, never skipped in silence. */
enum err snapshot_folder_open(struct fs fs, const struct logger *logger,
                              floe_index *newest) MUST_USE;
/* The newest one older than index; 0: none. */
enum err snapshot_folder_before(struct fs fs, floe_index index, floe_index *older) MUST_USE;
/* How long its file is; 0: there is none. */
uint64_t snapshot_folder_bytes(struct fs fs, floe_index index);
/* Removes every snapshot older than index. The owner keeps two, and the log behind the older. */
enum err snapshot_folder_release(struct fs fs, floe_index index) MUST_USE;

#endif
