/* The table of file operations (storage/fs.h) over a simulated disk. */
#include "disk.h"

#include "base/assert.h"
#include "base/mem.h"
#include "disk_internal.h"
#include "memory.h"
#include "queue.h"

#include <string.h>

#define ZEROS_BYTES 16384u
#define BLOCK 512

#define NO_SPACE "No space left on device"

/* ---- what fails, and how long it takes ------------------------------------------------------- */

static enum err fail(struct disk *disk, const char *why)
{
    disk->error = why;
    disk->failed = true;
    return ERR_IO;
}

/* No reason for a program to end. */
static enum err refuse_room(struct disk *disk)
{
    disk->error = NO_SPACE;
    disk->refused_room = true;
    return ERR_IO;
}

/* As far as files have names. */
static uint64_t free_room(const struct disk *disk)
{
    uint64_t room = disk->manner.capacity != 0 ? disk->manner.capacity : UINT64_MAX;
    for (size_t i = 0; i < disk->now.count && room != UINT64_MAX; i++) {
        uint64_t size = disk->now.list[i].file->now.size;
        room -= size < room ? size : room;
    }
    return disk->manner.full ? 0 : room;
}

static bool fits(const struct disk *disk, const struct disk_file *file, uint64_t size)
{
    return size <= file->now.size || size - file->now.size <= free_room(disk);
}

/* Counts a change; ERR_IO: this one fails. */
static enum err count(struct disk *disk)
{
    disk->operations++;
    if (disk->stop_at != 0 && disk->operations >= disk->stop_at)
        disk->stopped = true;
    if (disk->stopped)
        return fail(disk, "the power is off");
    if (disk->operations == disk->fail_at)
        return fail(disk, "Input/output error");
    return ERR_OK;
}

static uint64_t sync_end_us(const struct disk *disk)
{
    const struct disk_manner *manner = &disk->manner;
    uint64_t begin = manner->now_us + disk->waited_us;
    return (begin > manner->stuck_until_us ? begin : manner->stuck_until_us) + manner->sync_us;
}

static void wait_for_sync(struct disk *disk)
{
    disk->waited_us = sync_end_us(disk) - disk->manner.now_us;
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum err make_file(struct disk *disk, const char *path, struct disk_file **out)
{
    if (disk->manner.full)
        return refuse_room(disk);
    if (count(disk) != ERR_OK)
        return ERR_IO;
    struct disk_folder *folder = disk_folder_of(disk, path);
    ASSERT(folder == NULL || folder->made);
    struct disk_file *file = mem_calloc(1, sizeof *file);
    file->of_snapshot = strncmp(path, "snap/", 5) == 0;
    disk_names_set(&disk->now, path, file);
    disk_rename_note(disk, path, NULL, file);
    *out = file;
    return ERR_OK;
}

static enum err op_open(void *ctx, const char *path, enum fs_open_mode mode, struct fs_file **out)
{
    struct disk *disk = ctx;
    struct disk_file *file = disk_names_find(&disk->now, path);
    if (disk->stopped)
        return ERR_IO;
    if (file == NULL && (mode == FS_OPEN_READ || mode == FS_OPEN_WRITE)) {
        disk->error = "No such file or directory";
        return ERR_NOT_FOUND;
    }
    /* a fresh one also in place of an old one: simpler */
    if ((file == NULL || mode == FS_OPEN_CREATE_FRESH) && make_file(disk, path, &file) != ERR_OK)
        return ERR_IO;
    struct fs_file *handle = mem_calloc(1, sizeof *handle);
    *handle =
        (struct fs_file){.file = file, .writable = mode != FS_OPEN_READ, .next = disk->handles};
    handle->is_log = strncmp(path, "wal/", 4) == 0;
    file->refs++;
    disk->handles = handle;
    *out = handle;
    return ERR_OK;
}

static void op_close(void *ctx, struct fs_file *handle)
{
    struct disk *disk = ctx;
    struct fs_file **at = &disk->handles;
    while (*at != handle)
        at = &(*at)->next;
    *at = handle->next;
    disk_file_unref(handle->file);
    mem_free(handle);
}

static void count_bytes(struct disk *disk, const struct disk_file *file, uint64_t len)
{
    if (file->of_snapshot)
        disk->bytes.snapshots += len;
    else
        disk->bytes.log += len;
}

static enum err op_read(void *ctx, struct fs_file *handle, uint64_t offset, void *data, size_t len,
                        size_t *got)
{
    struct disk *disk = ctx;
    if (disk->stopped)
        return ERR_IO;
    *got = content_read(&handle->file->now, offset, data, len);
    count_bytes(disk, handle->file, *got);
    return ERR_OK;
}

/* As where the log is written in blocks. */
static void zero_behind(struct fs_file *handle, uint64_t end)
{
    static const uint8_t zeros[BLOCK];
    uint64_t to = (end + BLOCK - 1) / BLOCK * BLOCK;
    if (!handle->is_log || to > handle->file->now.size || to == end)
        return;
    content_write(&handle->file->now, end, zeros, (size_t)(to - end));
    disk_change_note(handle->file, false, end, zeros, (size_t)(to - end));
}

static enum err op_write(void *ctx, struct fs_file *handle, uint64_t offset, const void *data,
                         size_t len)
{
    struct disk *disk = ctx;
    ASSERT(handle->writable);
    if (!fits(disk, handle->file, offset + len))
        return refuse_room(disk);
    bool was_stopped = disk->stopped;
    enum err err = count(disk);
    if (was_stopped)
        return err;
    content_write(&handle->file->now, offset, data, len); /* a failed one may have done something */
    disk_change_note(handle->file, false, offset, data, len);
    zero_behind(handle, offset + len);
    count_bytes(disk, handle->file, len);
    return err;
}

/* Piece by piece, so that a crash may leave a part of it. */
static enum err op_zero(void *ctx, struct fs_file *file, uint64_t offset, uint64_t end)
{
    static const uint8_t zeros[ZEROS_BYTES];
    enum err err = ERR_OK;
    for (; offset < end && err == ERR_OK; offset += ZEROS_BYTES) {
        size_t len = end - offset < ZEROS_BYTES ? (size_t)(end - offset) : ZEROS_BYTES;
        err = op_write(ctx, file, offset, zeros, len);
    }
    return err;
}

static enum err op_size(void *ctx, struct fs_file *handle, uint64_t *out)
{
    struct disk *disk = ctx;
    *out = handle->file->now.size;
    return disk->stopped ? ERR_IO : ERR_OK;
}

static enum err op_truncate(void *ctx, struct fs_file *handle, uint64_t size)
{
    struct disk *disk = ctx;
    ASSERT(handle->writable);
    if (!fits(disk, handle->file, size))
        return refuse_room(disk);
    if (count(disk) != ERR_OK)
        return ERR_IO;
    content_resize(&handle->file->now, size);
    disk_change_note(handle->file, true, size, NULL, 0);
    return ERR_OK;
}

static enum err op_allocate(void *ctx, struct fs_file *handle, uint64_t size)
{
    if (size > handle->file->now.size)
        return op_truncate(ctx, handle, size);
    return count(ctx);
}

/* ---- syncs ----------------------------------------------------------------------------------- */

/* Syncs of the same file that are under way have counted what is settled now. */
static void settle(struct disk *disk, struct disk_file *file, size_t changes)
{
    size_t settled = changes < file->change_count ? changes : file->change_count;
    disk_change_settle(file, settled);
    for (size_t i = 0; i < disk->sync_count; i++) {
        struct disk_sync *other = &disk->syncs[i];
        if (other->handle->file == file)
            other->changes -= settled < other->changes ? settled : other->changes;
    }
}

static enum err op_sync(void *ctx, struct fs_file *handle)
{
    struct disk *disk = ctx;
    if (count(disk) != ERR_OK)
        return ERR_IO;
    wait_for_sync(disk);
    settle(disk, handle->file, handle->file->change_count);
    return ERR_OK;
}

static enum err op_sync_start(void *ctx, struct fs_file *handle, uint64_t token)
{
    struct disk *disk = ctx;
    bool fails = count(disk) != ERR_OK;
    if (disk->stopped)
        return ERR_IO;
    disk->syncs = mem_grow(disk->syncs, disk->sync_count, &disk->sync_cap, sizeof *disk->syncs);
    disk->syncs[disk->sync_count++] = (struct disk_sync){.token = token,
                                                         .done_us = sync_end_us(disk),
                                                         .handle = handle,
                                                         .changes = handle->file->change_count,
                                                         .fails = fails};
    if (disk->manner.sync_inline)
        wait_for_sync(disk);
    return ERR_OK;
}

static bool op_sync_poll(void *ctx, uint64_t *token, enum err *outcome)
{
    struct disk *disk = ctx;
    if (disk->stopped)
        return false;
    for (size_t i = 0; i < disk->sync_count; i++) {
        struct disk_sync done = disk->syncs[i];
        if (!disk->manner.sync_inline && done.done_us > disk->manner.now_us)
            continue;
        disk->sync_count--;
        memmove(disk->syncs + i, disk->syncs + i + 1, (disk->sync_count - i) * sizeof done);
        if (!done.fails)
            settle(disk, done.handle->file, done.changes);
        *token = done.token;
        *outcome = done.fails ? ERR_IO : ERR_OK;
        return true;
    }
    return false;
}

uint64_t disk_next_sync_us(const struct disk *disk)
{
    uint64_t next = SIM_NEVER;
    for (size_t i = 0; i < disk->sync_count; i++)
        if (disk->syncs[i].done_us < next)
            next = disk->syncs[i].done_us;
    return next;
}

static enum err op_sync_dir(void *ctx, const char *path)
{
    struct disk *disk = ctx;
    if (count(disk) != ERR_OK)
        return ERR_IO;
    wait_for_sync(disk);
    disk_rename_settle(disk, path);
    if (path[0] == '\0') {
        disk->wal.durable = disk->wal.made;
        disk->snap.durable = disk->snap.made;
    }
    return ERR_OK;
}

/* ---- names ----------------------------------------------------------------------------------- */

static enum err op_rename(void *ctx, const char *from, const char *to)
{
    struct disk *disk = ctx;
    if (count(disk) != ERR_OK)
        return ERR_IO;
    struct disk_folder *folder = disk_folder_of(disk, from);
    if (folder != NULL && strchr(from, '/') == NULL)
        return disk_folder_move_away(disk, folder, from);
    struct disk_file *file = disk_names_find(&disk->now, from);
    if (file == NULL)
        return ERR_NOT_FOUND;
    disk_rename_note(disk, to, from, file);
    disk_names_set(&disk->now, to, file);
    disk_names_remove(&disk->now, from);
    return ERR_OK;
}

static enum err op_remove(void *ctx, const char *path)
{
    struct disk *disk = ctx;
    if (count(disk) != ERR_OK)
        return ERR_IO;
    if (disk_names_find(&disk->now, path) == NULL)
        return ERR_NOT_FOUND;
    disk_rename_note(disk, NULL, path, NULL);
    disk_names_remove(&disk->now, path);
    return ERR_OK;
}

static enum err op_make_dir(void *ctx, const char *path)
{
    struct disk *disk = ctx;
    if (count(disk) != ERR_OK)
        return ERR_IO;
    disk_folder_of(disk, path)->made = true;
    return ERR_OK;
}

static enum err op_list(void *ctx, const char *dir, fs_list_fn fn, void *arg)
{
    struct disk *disk = ctx;
    if (disk->stopped)
        return ERR_IO;
    if (strcmp(dir, "wal") == 0 ? !disk->wal.made : !disk->snap.made)
        return ERR_NOT_FOUND;
    size_t len = strlen(dir);
    for (size_t i = 0; i < disk->now.count; i++) {
        const struct disk_name *name = &disk->now.list[i];
        if (strncmp(name->path, dir, len) == 0 && name->path[len] == '/')
            fn(arg, name->path + len + 1, name->file->now.size);
    }
    return ERR_OK;
}

static uint64_t op_free_bytes(void *ctx)
{
    const struct disk *disk = ctx;
    return free_room(disk);
}

static const char *op_last_error(void *ctx)
{
    const struct disk *disk = ctx;
    return disk->error != NULL ? disk->error : "no error";
}

static bool op_is_full(void *ctx)
{
    const struct disk *disk = ctx;
    return disk->error != NULL && strcmp(disk->error, NO_SPACE) == 0;
}

/* ---- none of it is the process' memory -------------------------------------------------------- */

static enum err own_open(void *ctx, const char *path, enum fs_open_mode mode, struct fs_file **out)
{
    unsigned was = memory_enter(0);
    enum err err = op_open(ctx, path, mode, out);
    (void)memory_enter(was);
    return err;
}

static enum err own_write(void *ctx, struct fs_file *handle, uint64_t offset, const void *data,
                          size_t len)
{
    unsigned was = memory_enter(0);
    enum err err = op_write(ctx, handle, offset, data, len);
    (void)memory_enter(was);
    return err;
}

static enum err own_zero(void *ctx, struct fs_file *handle, uint64_t offset, uint64_t end)
{
    unsigned was = memory_enter(0);
    enum err err = op_zero(ctx, handle, offset, end);
    (void)memory_enter(was);
    return err;
}

static enum err own_truncate(void *ctx, struct fs_file *handle, uint64_t size)
{
    unsigned was = memory_enter(0);
    enum err err = op_truncate(ctx, handle, size);
    (void)memory_enter(was);
    return err;
}

static enum err own_allocate(void *ctx, struct fs_file *handle, uint64_t size)
{
    unsigned was = memory_enter(0);
    enum err err = op_allocate(ctx, handle, size);
    (void)memory_enter(was);
    return err;
}

static enum err own_sync(void *ctx, struct fs_file *handle)
{
    unsigned was = memory_enter(0);
    enum err err = op_sync(ctx, handle);
    (void)memory_enter(was);
    return err;
}

static enum err own_sync_start(void *ctx, struct fs_file *handle, uint64_t token)
{
    unsigned was = memory_enter(0);
    enum err err = op_sync_start(ctx, handle, token);
    (void)memory_enter(was);
    return err;
}

static enum err own_sync_dir(void *ctx, const char *path)
{
    unsigned was = memory_enter(0);
    enum err err = op_sync_dir(ctx, path);
    (void)memory_enter(was);
    return err;
}

static enum err own_rename(void *ctx, const char *from, const char *to)
{
    unsigned was = memory_enter(0);
    enum err err = op_rename(ctx, from, to);
    (void)memory_enter(was);
    return err;
}

static enum err own_remove(void *ctx, const char *path)
{
    unsigned was = memory_enter(0);
    enum err err = op_remove(ctx, path);
    (void)memory_enter(was);
    return err;
}

static bool own_sync_poll(void *ctx, uint64_t *token, enum err *outcome)
{
    unsigned was = memory_enter(0);
    bool done = op_sync_poll(ctx, token, outcome);
    (void)memory_enter(was);
    return done;
}

static const struct fs_ops ops = {
    .open = own_open,
    .close = op_close,
    .read = op_read,
    .write = own_write,
    .size = op_size,
    .zero = own_zero,
    .truncate = own_truncate,
    .allocate = own_allocate,
    .sync = own_sync,
    .sync_start = own_sync_start,
    .sync_poll = own_sync_poll,
    .rename = own_rename,
    .remove = own_remove,
    .make_dir = op_make_dir,
    .sync_dir = own_sync_dir,
    .list = op_list,
    .free_bytes = op_free_bytes,
    .last_error = op_last_error,
    .is_full = op_is_full,
};

/* ---- for the simulator ----------------------------------------------------------------------- */

struct disk *disk_new(bool strict_names)
{
    struct disk *disk = mem_calloc(1, sizeof *disk);
    disk->strict_names = strict_names;
    return disk;
}

void disk_free(struct disk *disk)
{
    if (disk == NULL)
        return;
    while (disk->handles != NULL)
        op_close(disk, disk->handles);
    disk_rename_settle(disk, NULL);
    disk_names_clear(&disk->now);
    disk_names_clear(&disk->durable);
    disk_names_clear(&disk->copy);
    mem_free(disk->copy.list);
    mem_free(disk->now.list);
    mem_free(disk->durable.list);
    mem_free(disk->renames);
    mem_free(disk->syncs);
    mem_free(disk);
}

struct fs disk_table(struct disk *disk)
{
    return (struct fs){.ops = &ops, .ctx = disk};
}

struct disk_manner *disk_manner(struct disk *disk)
{
    return &disk->manner;
}

uint64_t disk_take_waited_us(struct disk *disk)
{
    uint64_t waited = disk->waited_us;
    disk->waited_us = 0;
    return waited;
}

struct disk_bytes disk_take_bytes(struct disk *disk)
{
    struct disk_bytes bytes = disk->bytes;
    disk->bytes = (struct disk_bytes){0};
    return bytes;
}

void disk_stop_at(struct disk *disk, unsigned n)
{
    disk->stop_at = n == 0 ? 0 : disk->operations + n;
}

bool disk_is_stopped(const struct disk *disk)
{
    return disk->stopped;
}

void disk_fail_at(struct disk *disk, unsigned n)
{
    disk->fail_at = n == 0 ? 0 : disk->operations + n;
}

bool disk_take_refused_room(struct disk *disk)
{
    bool refused = disk->refused_room;
    disk->refused_room = false;
    return refused;
}

bool disk_take_failed(struct disk *disk)
{
    bool failed = disk->failed;
    disk->failed = false;
    return failed;
}
