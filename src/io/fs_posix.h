/*
 * The file operations of storage/fs.h on a real directory, which is locked for this process.
 *
 * Syncs run on io_uring where the kernel has it, so that the loop never waits for a disk; elsewhere
 * they are done at once, inline.
 */
#ifndef IO_FS_POSIX_H
#define IO_FS_POSIX_H

#include "base/buf.h"
#include "base/histogram.h"
#include "storage/fs.h"

struct fs_posix;

enum fs_posix_sync {
    FS_POSIX_SYNC_AUTO,   /* direct if it can be had, else io_uring, else inline */
    FS_POSIX_SYNC_DIRECT, /* the log past the page cache, by io_uring, or an error */
    FS_POSIX_SYNC_URING,  /* or an error */
    FS_POSIX_SYNC_INLINE, /* fdatasync in sync_start: the caller waits for the disk */
};

/* Makes the directory and what is missing above it (0700), each name durable on return, and locks
 * it. why gets a text on error. ERR_LOCKED: another process has it; ERR_INVALID: SYNC_URING
 * or SYNC_DIRECT, and that does not work here; or others than owner and group may use it. */
enum err fs_posix_open(const char *data_dir, enum fs_posix_sync sync, struct fs_posix **out,
                       struct buf *why) MUST_USE;
void fs_posix_close(struct fs_posix *fs);
/* The table; valid until fs_posix_close. */
struct fs fs_posix_fs(struct fs_posix *fs);
/* For the log: how syncs are done, and why not otherwise; valid until fs_posix_close. */
const char *fs_posix_sync_text(const struct fs_posix *fs);
/* Becomes readable when a sync has finished, until fs_posix_on_wake; -1 if syncs are inline. */
int fs_posix_wake_fd(const struct fs_posix *fs);
void fs_posix_on_wake(struct fs_posix *fs);
/* How long the syncs of the log (files in "wal/") took, from their start until they were seen to be
 * done; valid until fs_posix_close. */
const struct histogram *fs_posix_log_syncs(const struct fs_posix *fs);

#endif
