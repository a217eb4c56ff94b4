/* Everything is relative to a descriptor of the data directory, so nobody can swap it below us. */
#include "io/fs_posix.h"

#include "base/assert.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/fs_direct.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOG_PREFIX "wal/"
#define GONE_BYTES (64 << 20)       /* a file of so many is large */
#define GONE_SLICE_BYTES (8u << 20) /* about 1 ms */
#define ZEROS_BYTES 16384u
#define TIMED_MAX 16 /* as many as fs_sync takes at once */

struct fs_file {
    int fd;
    bool is_log;
    struct fs_direct direct; /* fd -1: not in use */
    bool cache_dirty;        /* something went to the page cache that no sync has covered */
};

struct timed_sync {
    uint64_t token;
    uint64_t began_us;
};

/* A removed file that still has its blocks. */
struct gone_file {
    int fd; /* -1: none */
    uint64_t bytes;
};

struct fs_posix {
    int dir_fd;
    int lock_fd;
    int error; /* errno of the last failure */
    struct gone_file gone;
    struct fs_sync *sync;
    size_t block;                       /* bytes, of writes past the page cache; 0: none */
    struct timed_sync timed[TIMED_MAX]; /* of the log, under way */
    size_t timed_count;
    struct histogram log_syncs;
    char sync_text[160];
};

static enum err failed(struct fs_posix *fs)
{
    fs->error = errno;
    return errno == ENOENT ? ERR_NOT_FOUND : errno == EEXIST ? ERR_EXISTS : ERR_IO;
}

static const char *last_error(void *ctx)
{
    const struct fs_posix *fs = ctx;
    return strerror(fs->error);
}

static bool is_full(void *ctx)
{
    const struct fs_posix *fs = ctx;
    return fs->error == ENOSPC || fs->error == EDQUOT || fs->error == EFBIG;
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum err open_file(void *ctx, const char *path, enum fs_open_mode mode, struct fs_file **out)
{
    static const int flags[] = {
        [FS_OPEN_READ] = O_RDONLY,
        [FS_OPEN_WRITE] = O_RDWR,
        [FS_OPEN_CREATE] = O_RDWR | O_CREAT,
        [FS_OPEN_CREATE_FRESH] = O_RDWR | O_CREAT | O_TRUNC,
    };
    struct fs_posix *fs = ctx;
    int fd = openat(fs->dir_fd, path, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(fs);
    *out = mem_calloc(1, sizeof **out);
    (*out)->is_log = strncmp(path, LOG_PREFIX, strlen(LOG_PREFIX)) == 0;
    (*out)->fd = fd;
    bool is_direct = (*out)->is_log && mode != FS_OPEN_READ;
    fs_direct_open(&(*out)->direct, fs->dir_fd, path, fd, is_direct ? fs->block : 0);
    return ERR_OK;
}

static void close_file(void *ctx, struct fs_file *file)
{
    struct fs_posix *fs = ctx;
    fs_direct_close(&file->direct, fs->sync);
    (void)close(file->fd);
    mem_free(file);
}

/* Before anything else than an append. */
static bool settle(struct fs_posix *fs, struct fs_file *file)
{
    file->cache_dirty = file->cache_dirty || fs_direct_is_dirty(&file->direct);
    return fs_direct_settle(&file->direct, fs->sync);
}

static enum err read_file(void *ctx, struct fs_file *file, uint64_t offset, void *data, size_t len,
                          size_t *got)
{
    size_t done = 0;
    if (!settle(ctx, file))
        return failed(ctx);
    while (done < len) {
        ssize_t n = pread(file->fd, (char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(ctx);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return ERR_OK;
}

static enum err write_file(void *ctx, struct fs_file *file, uint64_t offset, const void *data,
                           size_t len)
{
    size_t done = 0;
    if (fs_direct_append(&file->direct, offset, data, len))
        return ERR_OK;
    if (!settle(ctx, file))
        return failed(ctx);
    file->cache_dirty = true;
    fs_direct_note_written(&file->direct, offset + len);
    while (done < len) {
        ssize_t n = pwrite(file->fd, (const char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(ctx);
        done += (size_t)n;
    }
    return ERR_OK;
}

static enum err file_size(void *ctx, struct fs_file *file, uint64_t *out)
{
    struct stat info;
    if (fstat(file->fd, &info) != 0)
        return failed(ctx);
    *out = (uint64_t)info.st_size;
    return ERR_OK;
}

static enum err truncate_file(void *ctx, struct fs_file *file, uint64_t size)
{
    if (!settle(ctx, file) || ftruncate(file->fd, (off_t)size) != 0)
        return failed(ctx);
    file->cache_dirty = true;
    fs_direct_note_size(&file->direct);
    return ERR_OK;
}

static enum err allocate_file(void *ctx, struct fs_file *file, uint64_t size)
{
    int result;
    if (!settle(ctx, file))
        return failed(ctx);
    do {
        result = fallocate(file->fd, 0, 0, (off_t)size);
    } while (result != 0 && errno == EINTR);
    int error = errno;
    fs_direct_note_size(&file->direct);
    if (result == 0)
        return ERR_OK;
    errno = error;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
        return failed(ctx);
    uint64_t now;
    enum err err = file_size(ctx, file, &now);
    return err == ERR_OK && now < size ? truncate_file(ctx, file, size) : err;
}

/* The file system may know how to do it without writing. */
static enum err zero_file(void *ctx, struct fs_file *file, uint64_t offset, uint64_t end)
{
    static const uint8_t zeros[ZEROS_BYTES];
    if (offset >= end)
        return ERR_OK;
    if (!settle(ctx, file))
        return failed(ctx);
    file->cache_dirty = true;
    bool done =
        fallocate(file->fd, FALLOC_FL_ZERO_RANGE, (off_t)offset, (off_t)(end - offset)) == 0;
    fs_direct_note_size(&file->direct);
    enum err err = ERR_OK;
    for (; !done && offset < end && err == ERR_OK; offset += ZEROS_BYTES) {
        size_t len = end - offset < ZEROS_BYTES ? (size_t)(end - offset) : ZEROS_BYTES;
        err = write_file(ctx, file, offset, zeros, len);
    }
    return err;
}

static enum err sync_file(void *ctx, struct fs_file *file)
{
    if (!settle(ctx, file))
        return failed(ctx);
    file->cache_dirty = false;
    while (fdatasync(file->fd) != 0)
        if (errno != EINTR)
            return failed(ctx);
    return ERR_OK;
}

static enum err sync_start(void *ctx, struct fs_file *file, uint64_t token)
{
    struct fs_posix *fs = ctx;
    if (file->is_log) {
        ASSERT(fs->timed_count < TIMED_MAX);
        fs->timed[fs->timed_count++] = (struct timed_sync){token, clock_now_us()};
    }
    if (!file->cache_dirty && fs_direct_is_dirty(&file->direct)) {
        fs_sync_wait(fs->sync, &file->direct.in_flight);
        fs_direct_start(&file->direct, fs->sync, token);
        return ERR_OK;
    }
    if (!settle(fs, file))
        return failed(fs);
    file->cache_dirty = false;
    fs_sync_start(fs->sync, file->fd, token);
    return ERR_OK;
}

static void count_time(struct fs_posix *fs, uint64_t token)
{
    for (size_t i = 0; i < fs->timed_count; i++) {
        if (fs->timed[i].token != token)
            continue;
        histogram_add(&fs->log_syncs, clock_now_us() - fs->timed[i].began_us);
        fs->timed[i] = fs->timed[--fs->timed_count];
        return;
    }
}

/* What a large file had goes back to the file system in slices, one a poll: 1 GB at once took
 * 150 ms. Until then it is there without a name, and a crash frees it. */
static void give_back_some(struct fs_posix *fs)
{
    struct gone_file *gone = &fs->gone;
    if (gone->fd < 0)
        return;
    gone->bytes = gone->bytes > GONE_SLICE_BYTES ? gone->bytes - GONE_SLICE_BYTES : 0;
    if (gone->bytes > 0 && ftruncate(gone->fd, (off_t)gone->bytes) == 0)
        return;
    (void)close(gone->fd);
    gone->fd = -1;
}

static bool sync_poll(void *ctx, uint64_t *token, enum err *outcome)
{
    struct fs_posix *fs = ctx;
    int error;
    if (!fs_sync_poll(fs->sync, token, &error)) {
        give_back_some(fs);
        return false;
    }
    count_time(fs, *token);
    *outcome = error == 0 ? ERR_OK : ERR_IO;
    if (error != 0)
        fs->error = error;
    return true;
}

/* ---- names ----------------------------------------------------------------------------------- */

static enum err rename_file(void *ctx, const char *from, const char *to)
{
    struct fs_posix *fs = ctx;
    return renameat(fs->dir_fd, from, fs->dir_fd, to) == 0 ? ERR_OK : failed(fs);
}

/* One at a time: where there is another one already, it goes at once. */
static void keep_if_large(struct fs_posix *fs, const char *path)
{
    struct stat info;
    if (fs->gone.fd >= 0 || fstatat(fs->dir_fd, path, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(info.st_mode) || info.st_size < GONE_BYTES || info.st_nlink != 1)
        return;
    fs->gone.fd = openat(fs->dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    fs->gone.bytes = (uint64_t)info.st_size;
}

static enum err remove_file(void *ctx, const char *path)
{
    struct fs_posix *fs = ctx;
    bool was_free = fs->gone.fd < 0;
    keep_if_large(fs, path);
    if (unlinkat(fs->dir_fd, path, 0) == 0)
        return ERR_OK;
    enum err err = failed(fs);
    if (was_free && fs->gone.fd >= 0) { /* it is still there, whole */
        (void)close(fs->gone.fd);
        fs->gone.fd = -1;
    }
    return err;
}

static enum err make_dir(void *ctx, const char *path)
{
    struct fs_posix *fs = ctx;
    return mkdirat(fs->dir_fd, path, 0700) == 0 || errno == EEXIST ? ERR_OK : failed(fs);
}

/* Some file systems cannot sync a directory: nothing more can be done there. */
static int sync_folder(int fd)
{
    while (fsync(fd) != 0)
        if (errno != EINTR)
            return errno == EINVAL || errno == ENOTSUP ? 0 : errno;
    return 0;
}

static enum err sync_dir(void *ctx, const char *path)
{
    struct fs_posix *fs = ctx;
    int fd = openat(fs->dir_fd, path[0] != 0 ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(fs);
    errno = sync_folder(fd);
    enum err err = errno == 0 ? ERR_OK : failed(fs);
    (void)close(fd);
    return err;
}

static enum err list_dir(void *ctx, const char *path, fs_list_fn fn, void *arg)
{
    struct fs_posix *fs = ctx;
    int fd = openat(fs->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(fs);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return failed(fs);
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        struct stat info;
        if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode))
            fn(arg, entry->d_name, (uint64_t)info.st_size);
    }
    (void)closedir(dir);
    return ERR_OK;
}

static uint64_t free_bytes(void *ctx)
{
    const struct fs_posix *fs = ctx;
    struct statvfs info;
    return fstatvfs(fs->dir_fd, &info) == 0 ? (uint64_t)info.f_bavail * info.f_frsize : UINT64_MAX;
}

static const struct fs_ops ops = {
    .open = open_file,
    .close = close_file,
    .read = read_file,
    .write = write_file,
    .size = file_size,
    .truncate = truncate_file,
    .allocate = allocate_file,
    .zero = zero_file,
    .sync = sync_file,
    .sync_start = sync_start,
    .sync_poll = sync_poll,
    .rename = rename_file,
    .remove = remove_file,
    .make_dir = make_dir,
    .sync_dir = sync_dir,
    .list = list_dir,
    .free_bytes = free_bytes,
    .last_error = last_error,
    .is_full = is_full,
};

/* ---- opening --------------------------------------------------------------------------------- */

/* Makes the name of path durable: syncs the folder that holds it. */
static int sync_parent(const char *path)
{
    char *parent = mem_strdup(path);
    char *slash = strrchr(parent, '/');
    const char *folder = slash == NULL ? "." : slash == parent ? "/" : parent;
    if (slash != NULL && slash != parent)
        *slash = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? errno : sync_folder(fd);
    if (fd >= 0)
        (void)close(fd);
    mem_free(parent);
    return error;
}

/* The name is synced also if it is there already: an earlier start may have been killed before it
 * did so. If the folder that holds it may not even be read, whoever made it answers for it. */
static int make_folder(const char *path)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return errno;
    int error = sync_parent(path);
    return !made && (error == EACCES || error == EPERM) ? 0 : error;
}

/* mkdir -p: what is missing is made for us alone; what is there stays as it is. */
static int make_path(const char *path)
{
    char *copy = mem_strdup(path);
    int error = 0;
    for (char *at = copy + 1; error == 0; at++) {
        if (*at != '/' && *at != 0)
            continue;
        char end = *at;
        *at = 0;
        error = make_folder(copy);
        *at = end;
        if (end == 0)
            break;
    }
    mem_free(copy);
    return error;
}

static enum err lock(struct fs_posix *fs, struct buf *why)
{
    fs->lock_fd = openat(fs->dir_fd, "LOCK", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fs->lock_fd < 0) {
        buf_printf(why, "LOCK: %s", strerror(errno));
        return ERR_IO;
    }
    if (flock(fs->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_OK;
    buf_printf(why, "%s", err_str(errno == EWOULDBLOCK ? ERR_LOCKED : ERR_IO));
    return errno == EWOULDBLOCK ? ERR_LOCKED : ERR_IO;
}

static enum err open_direct(struct fs_posix *fs, enum fs_posix_sync sync, struct buf *why)
{
    int error = 0;
    if (sync == FS_POSIX_SYNC_URING)
        return ERR_OK;
    fs->block = fs_direct_try(fs->dir_fd, &error);
    if (fs->block == 0 && sync == FS_POSIX_SYNC_DIRECT) {
        buf_printf(why,
                   "sync = \"direct\", but writing past the page cache does not work here: %s (use "
                   "\"auto\")",
                   strerror(error));
        return ERR_INVALID;
    }
    if (fs->block > 0)
        (void)snprintf(fs->sync_text, sizeof fs->sync_text,
                       "io_uring, past the page cache in blocks of %zu", fs->block);
    return ERR_OK;
}

static enum err open_sync(struct fs_posix *fs, enum fs_posix_sync sync, struct buf *why)
{
    int error;
    /* not on the locked descriptor: a sync that outlives the process would keep the lock */
    int probe_fd = openat(fs->dir_fd, "LOCK", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    fs->sync = fs_sync_new(sync != FS_POSIX_SYNC_INLINE, probe_fd, &error);
    if (probe_fd >= 0)
        (void)close(probe_fd);
    if (error != 0 && (sync == FS_POSIX_SYNC_URING || sync == FS_POSIX_SYNC_DIRECT)) {
        buf_printf(why,
                   "sync = \"%s\", but io_uring does not work here: %s (use \"auto\" or "
                   "\"inline\")",
                   sync == FS_POSIX_SYNC_URING ? "uring" : "direct", strerror(error));
        return ERR_INVALID;
    }
    bool is_ring = error == 0 && sync != FS_POSIX_SYNC_INLINE;
    if (error != 0)
        (void)snprintf(fs->sync_text, sizeof fs->sync_text, "inline (no io_uring: %s)",
                       strerror(error));
    else
        (void)snprintf(fs->sync_text, sizeof fs->sync_text, "%s", is_ring ? "io_uring" : "inline");
    return is_ring ? open_direct(fs, sync, why) : ERR_OK;
}

/* All that clients ever wrote is in it. */
static bool is_private(int dir_fd, const char *data_dir, struct buf *why)
{
    struct stat info;
    if (fstat(dir_fd, &info) != 0 || (info.st_mode & S_IRWXO) == 0)
        return true;
    buf_printf(why, "every user of this machine can get at it (mode %03o): chmod o-rwx %s",
               (unsigned)(info.st_mode & 0777), data_dir);
    return false;
}

enum err fs_posix_open(const char *data_dir, enum fs_posix_sync sync, struct fs_posix **out,
                       struct buf *why)
{
    int error = data_dir[0] != 0 ? make_path(data_dir) : ENOENT;
    int dir_fd = error == 0 ? open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir_fd < 0) {
        buf_printf(why, "%s", strerror(error != 0 ? error : errno));
        return ERR_IO;
    }
    if (!is_private(dir_fd, data_dir, why)) {
        (void)close(dir_fd);
        return ERR_INVALID;
    }
    struct fs_posix *fs = mem_calloc(1, sizeof *fs);
    fs->dir_fd = dir_fd;
    fs->lock_fd = -1;
    fs->gone.fd = -1;
    enum err err = lock(fs, why);
    if (err == ERR_OK)
        err = open_sync(fs, sync, why);
    if (err != ERR_OK) {
        fs_posix_close(fs);
        return err;
    }
    *out = fs;
    return ERR_OK;
}

void fs_posix_close(struct fs_posix *fs)
{
    if (fs->sync != NULL)
        fs_sync_free(fs->sync);
    if (fs->gone.fd >= 0)
        (void)close(fs->gone.fd);
    if (fs->lock_fd >= 0)
        (void)close(fs->lock_fd);
    (void)close(fs->dir_fd);
    mem_free(fs);
}

struct fs fs_posix_fs(struct fs_posix *fs)
{
    return (struct fs){.ops = &ops, .ctx = fs};
}

const char *fs_posix_sync_text(const struct fs_posix *fs)
{
    return fs->sync_text;
}

void fs_posix_on_wake(struct fs_posix *fs)
{
    fs_sync_on_wake(fs->sync);
}

int fs_posix_wake_fd(const struct fs_posix *fs)
{
    return fs_sync_wake_fd(fs->sync);
}

const struct histogram *fs_posix_log_syncs(const struct fs_posix *fs)
{
    return &fs->log_syncs;
}
