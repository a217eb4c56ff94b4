/*
 * The whole outside world of the storage floor: a small const table of file operations. io/fs_posix
 * is the real one; the simulator brings its own with lost and torn writes.
 *
 * Paths are relative to the data directory that the implementation was opened with ("wal/...").
 */
#ifndef STORAGE_FS_H
#define STORAGE_FS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_BLOCK_MAX 4096

struct fs_file; /* the implementation's */

enum fs_open_mode {
    FS_OPEN_READ,
    FS_OPEN_WRITE,        /* read and write, must exist */
    FS_OPEN_CREATE,       /* read and write, made if it is not there */
    FS_OPEN_CREATE_FRESH, /* read and write, cut to nothing if it is there */
};

typedef void (*fs_list_fn)(void *arg, const char *name, uint64_t size);

struct fs_ops {
    /* ERR_NOT_FOUND, ERR_IO (the implementation keeps errno for the caller's message). */
    enum err (*open)(void *ctx, const char *path, enum fs_open_mode mode, struct fs_file **out);
    void (*close)(void *ctx, struct fs_file *file);
    /* *got < len only at the end of the file. */
    enum err (*read)(void *ctx, struct fs_file *file, uint64_t offset, void *data, size_t len,
                     size_t *got);
    /* All or an error. Until a sync the bytes may be with the process, and go with it. Below "wal/"
     * what the file has behind them may become zeros, FS_BLOCK_MAX bytes at most. */
    enum err (*write)(void *ctx, struct fs_file *file, uint64_t offset, const void *data,
                      size_t len);
    enum err (*size)(void *ctx, struct fs_file *file, uint64_t *out);
    enum err (*truncate)(void *ctx, struct fs_file *file, uint64_t size);
    /* Reserves blocks up to size and makes the file that long, zero-filled; where the file system
     * cannot reserve, it only extends. After an error the file may have any part of it. */
    enum err (*allocate)(void *ctx, struct fs_file *file, uint64_t size);
    /* Zeros over [offset, end), which is within the file; what was reserved stays so. Durable with
     * the next sync. */
    enum err (*zero)(void *ctx, struct fs_file *file, uint64_t offset, uint64_t end);
    enum err (*sync)(void *ctx, struct fs_file *file); /* blocks until durable (fdatasync) */
    /* Starts a sync of everything written to file so far; token comes back from sync_poll, in
     * this turn or a later one. The file must stay open until then. */
    enum err (*sync_start)(void *ctx, struct fs_file *file, uint64_t token);
    /* A finished sync: true, its token and its outcome. */
    bool (*sync_poll)(void *ctx, uint64_t *token, enum err *outcome);
    enum err (*rename)(void *ctx, const char *from, const char *to);
    enum err (*remove)(void *ctx, const char *path);
    enum err (*make_dir)(void *ctx, const char *path); /* mode 0700; fine if it is there */
    enum err (*sync_dir)(void *ctx, const char *path); /* "" = the data directory */
    enum err (*list)(void *ctx, const char *dir, fs_list_fn fn, void *arg); /* any order */
    /* Bytes that are free where the files are, about: a hint, since others take from it, and quotas
     * and limits are not in it. UINT64_MAX: not known. */
    uint64_t (*free_bytes)(void *ctx);
    /* Text of the last error, e.g. "No space left on device". */
    const char *(*last_error)(void *ctx);
    /* The last error was for want of room: a full disk, a quota, a limit of file sizes. */
    bool (*is_full)(void *ctx);
};

struct fs {
    const struct fs_ops *ops;
    void *ctx;
};

#endif
