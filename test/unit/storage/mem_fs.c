/* What programs see of the disk in memory: files, names, and the table of operations. */
#include "mem_fs.h"

#include "base/assert.h"
#include "base/mem.h"
#include "mem_fs_internal.h"

#include <stdio.h>
#include <string.h>

#define ZEROS_BYTES 16384u
#define BLOCK 64

/* ---- nodes and names ------------------------------------------------------------------------- */

void mem_fs_node_unref(struct mem_fs_node *node)
{
    ASSERT(node->refs > 0);
    if (--node->refs > 0)
        return;
    for (size_t i = 0; i < node->change_count; i++)
        buf_deinit(&node->changes[i].data);
    mem_free(node->changes);
    buf_deinit(&node->now);
    buf_deinit(&node->durable);
    mem_free(node);
}

void mem_fs_resize(struct buf *buf, size_t size)
{
    if (size > buf->len)
        memset(buf_reserve(buf, size - buf->len), 0, size - buf->len);
    buf->len = size;
}

void mem_fs_write_to(struct buf *buf, uint64_t offset, const uint8_t *data, size_t len)
{
    if (buf->len < offset + len)
        mem_fs_resize(buf, (size_t)offset + len);
    if (len > 0)
        memcpy(buf->data + offset, data, len);
}

static struct mem_fs_node *names_find(const struct mem_fs_names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].path, path) == 0)
            return names->list[i].node;
    return NULL;
}

void mem_fs_names_remove(struct mem_fs_names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->list[i].path, path) != 0)
            continue;
        mem_free(names->list[i].path);
        mem_fs_node_unref(names->list[i].node);
        names->list[i] = names->list[--names->count];
        return;
    }
}

void mem_fs_names_set(struct mem_fs_names *names, const char *path, struct mem_fs_node *node)
{
    node->refs++;
    mem_fs_names_remove(names, path);
    names->list = mem_grow(names->list, names->count, &names->cap, sizeof *names->list);
    names->list[names->count++] = (struct mem_fs_name){.path = mem_strdup(path), .node = node};
}

void mem_fs_names_clear(struct mem_fs_names *names)
{
    while (names->count > 0)
        mem_fs_names_remove(names, names->list[0].path);
}

bool mem_fs_move_path(char **path, const char *from, const char *to)
{
    size_t len = strlen(from);
    if (*path == NULL || strncmp(*path, from, len) != 0 || (*path)[len] != '/')
        return false;
    size_t size = strlen(to) + strlen(*path + len) + 1;
    char *moved = mem_alloc(size);
    (void)snprintf(moved, size, "%s%s", to, *path + len);
    mem_free(*path);
    *path = moved;
    return true;
}

void mem_fs_names_move(struct mem_fs_names *names, const char *from, const char *to)
{
    for (size_t i = 0; i < names->count; i++)
        (void)mem_fs_move_path(&names->list[i].path, from, to);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Counts; false: this one fails. */
static bool works(struct mem_fs *fs)
{
    fs->operations++;
    if (fs->stop_at != 0 && fs->operations >= fs->stop_at)
        fs->stopped = true;
    return !fs->stopped && fs->operations != fs->fail_at;
}

/* How many of the bytes up to size fit into the file; notes if they do not all. */
static uint64_t fitting(struct mem_fs *fs, const struct fs_file *file, uint64_t size)
{
    uint64_t now = file->node->now.len;
    uint64_t used = mem_fs_used(fs);
    uint64_t room = fs->capacity > used ? fs->capacity - used : 0;
    fs->full = fs->capacity != 0 && size > now && size - now > room;
    return fs->full ? now + room : size;
}

static enum err op_open(void *ctx, const char *path, enum fs_open_mode mode, struct fs_file **out)
{
    struct mem_fs *fs = ctx;
    struct mem_fs_node *node = names_find(&fs->now, path);
    if (fs->stopped)
        return ERR_IO;
    if (node == NULL && (mode == FS_OPEN_READ || mode == FS_OPEN_WRITE))
        return ERR_NOT_FOUND;
    if (node == NULL || mode == FS_OPEN_CREATE_FRESH) {
        if (!works(fs))
            return ERR_IO;
        ASSERT(strncmp(path, "wal/", 4) != 0 || fs->has_wal);
        ASSERT(strncmp(path, "snap/", 5) != 0 || fs->has_snap);
        node = mem_calloc(1, sizeof *node); /* a fresh one also in place of an old one: simpler */
        mem_fs_names_set(&fs->now, path, node);
        mem_fs_note_name(fs, path, NULL, node);
    }
    struct fs_file *file = mem_calloc(1, sizeof *file);
    *file = (struct fs_file){.node = node, .writable = mode != FS_OPEN_READ, .next = fs->files};
    file->is_log = strncmp(path, "wal/", 4) == 0;
    node->refs++;
    fs->files = file;
    *out = file;
    return ERR_OK;
}

static void op_close(void *ctx, struct fs_file *file)
{
    struct mem_fs *fs = ctx;
    struct fs_file **at = &fs->files;
    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    mem_fs_node_unref(file->node);
    mem_free(file);
}

void mem_fs_close_all(struct mem_fs *fs)
{
    while (fs->files != NULL)
        op_close(fs, fs->files);
}

static enum err op_read(void *ctx, struct fs_file *file, uint64_t offset, void *data, size_t len,
                        size_t *got)
{
    struct mem_fs *fs = ctx;
    if (fs->stopped)
        return ERR_IO;
    const struct buf *now = &file->node->now;
    size_t left = offset < now->len ? now->len - (size_t)offset : 0;
    *got = left < len ? left : len;
    if (*got > 0)
        memcpy(data, now->data + offset, *got);
    return ERR_OK;
}

/* As where the log is written in blocks. */
static void zero_behind(struct fs_file *file, uint64_t end)
{
    static const uint8_t zeros[BLOCK];
    uint64_t size = file->node->now.len;
    uint64_t to = (end + BLOCK - 1) / BLOCK * BLOCK;
    if (!file->is_log || to > size || to == end)
        return;
    mem_fs_write_to(&file->node->now, end, zeros, (size_t)(to - end));
    mem_fs_note_change(file->node, false, end, zeros, (size_t)(to - end));
}

static enum err op_write(void *ctx, struct fs_file *file, uint64_t offset, const void *data,
                         size_t len)
{
    ASSERT(file->writable);
    struct mem_fs *fs = ctx;
    fs->counts.writes++;
    bool ok = works(ctx); /* a write that fails may have done something */
    uint64_t fits = fitting(ctx, file, offset + len);
    if (fits < offset + len) {
        ok = false;
        len = fits > offset ? (size_t)(fits - offset) : 0;
    }
    mem_fs_write_to(&file->node->now, offset, data, len);
    mem_fs_note_change(file->node, false, offset, data, len);
    zero_behind(file, offset + len);
    return ok ? ERR_OK : ERR_IO;
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

static enum err op_size(void *ctx, struct fs_file *file, uint64_t *out)
{
    struct mem_fs *fs = ctx;
    *out = file->node->now.len;
    return fs->stopped ? ERR_IO : ERR_OK;
}

static enum err op_truncate(void *ctx, struct fs_file *file, uint64_t size)
{
    ASSERT(file->writable);
    if (!works(ctx))
        return ERR_IO;
    mem_fs_resize(&file->node->now, (size_t)size);
    mem_fs_note_change(file->node, true, size, NULL, 0);
    return ERR_OK;
}

static enum err op_allocate(void *ctx, struct fs_file *file, uint64_t size)
{
    uint64_t fits = fitting(ctx, file, size);
    if (fits < size) {
        if (fits > file->node->now.len) /* some file systems keep what they had got so far */
            (void)op_truncate(ctx, file, fits);
        return ERR_IO;
    }
    if (size > file->node->now.len)
        return op_truncate(ctx, file, size);
    return works(ctx) ? ERR_OK : ERR_IO;
}

static enum err op_sync(void *ctx, struct fs_file *file)
{
    if (!works(ctx))
        return ERR_IO;
    mem_fs_settle(file->node);
    return ERR_OK;
}

static enum err op_sync_start(void *ctx, struct fs_file *file, uint64_t token)
{
    struct mem_fs *fs = ctx;
    if (!works(fs))
        return ERR_IO;
    fs->syncs = mem_grow(fs->syncs, fs->sync_count, &fs->sync_cap, sizeof *fs->syncs);
    fs->syncs[fs->sync_count++] = (struct mem_fs_done){.token = token, .file = file};
    fs->counts.sync_starts++;
    if (fs->sync_count > fs->counts.most_in_flight)
        fs->counts.most_in_flight = (unsigned)fs->sync_count;
    return ERR_OK;
}

/* What is written between start and poll gets durable too: the kernel may do so. */
static bool op_sync_poll(void *ctx, uint64_t *token, enum err *outcome)
{
    struct mem_fs *fs = ctx;
    if (fs->sync_count == 0 || fs->hold)
        return false;
    struct mem_fs_done done = fs->syncs[0];
    memmove(fs->syncs, fs->syncs + 1, --fs->sync_count * sizeof done);
    *token = done.token;
    *outcome = op_sync(fs, done.file);
    return true;
}

static bool *folder_flag(struct mem_fs *fs, const char *path)
{
    if (strcmp(path, "wal") == 0)
        return &fs->has_wal;
    return strcmp(path, "snap") == 0 ? &fs->has_snap : NULL;
}

static enum err op_rename(void *ctx, const char *from, const char *to)
{
    struct mem_fs *fs = ctx;
    if (!works(fs))
        return ERR_IO;
    bool *is_folder = folder_flag(fs, from);
    if (is_folder != NULL && *is_folder) {
        *is_folder = false;
        mem_fs_note_name(fs, to, from, NULL);
        mem_fs_names_move(&fs->now, from, to);
        return ERR_OK;
    }
    struct mem_fs_node *node = names_find(&fs->now, from);
    if (node == NULL)
        return ERR_NOT_FOUND;
    mem_fs_note_name(fs, to, from, node);
    mem_fs_names_set(&fs->now, to, node);
    mem_fs_names_remove(&fs->now, from);
    return ERR_OK;
}

static enum err op_remove(void *ctx, const char *path)
{
    struct mem_fs *fs = ctx;
    if (!works(fs))
        return ERR_IO;
    if (names_find(&fs->now, path) == NULL)
        return ERR_NOT_FOUND;
    mem_fs_note_name(fs, NULL, path, NULL);
    mem_fs_names_remove(&fs->now, path);
    return ERR_OK;
}

static enum err op_make_dir(void *ctx, const char *path)
{
    struct mem_fs *fs = ctx;
    if (!works(fs))
        return ERR_IO;
    fs->has_wal = fs->has_wal || strcmp(path, "wal") == 0;
    fs->has_snap = fs->has_snap || strcmp(path, "snap") == 0;
    return ERR_OK;
}

static enum err op_sync_dir(void *ctx, const char *path)
{
    struct mem_fs *fs = ctx;
    if (!works(fs))
        return ERR_IO;
    mem_fs_settle_folder(fs, path);
    fs->durable_wal = fs->durable_wal || (path[0] == 0 && fs->has_wal);
    fs->durable_snap = fs->durable_snap || (path[0] == 0 && fs->has_snap);
    return ERR_OK;
}

static enum err op_list(void *ctx, const char *dir, fs_list_fn fn, void *arg)
{
    struct mem_fs *fs = ctx;
    if (fs->stopped)
        return ERR_IO;
    if (strcmp(dir, "wal") == 0 ? !fs->has_wal : !fs->has_snap)
        return ERR_NOT_FOUND;
    size_t len = strlen(dir);
    for (size_t i = 0; i < fs->now.count; i++) {
        const struct mem_fs_name *name = &fs->now.list[i];
        if (strncmp(name->path, dir, len) == 0 && name->path[len] == '/')
            fn(arg, name->path + len + 1, name->node->now.len);
    }
    return ERR_OK;
}

static uint64_t op_free_bytes(void *ctx)
{
    const struct mem_fs *fs = ctx;
    uint64_t used = mem_fs_used(fs);
    if (fs->capacity == 0)
        return UINT64_MAX;
    return fs->capacity > used ? fs->capacity - used : 0;
}

static const char *op_last_error(void *ctx)
{
    const struct mem_fs *fs = ctx;
    return fs->full ? "the disk is full" : "the disk is gone";
}

static bool op_is_full(void *ctx)
{
    const struct mem_fs *fs = ctx;
    return fs->full;
}

static const struct fs_ops ops = {
    .open = op_open,
    .close = op_close,
    .read = op_read,
    .write = op_write,
    .size = op_size,
    .zero = op_zero,
    .truncate = op_truncate,
    .allocate = op_allocate,
    .sync = op_sync,
    .sync_start = op_sync_start,
    .sync_poll = op_sync_poll,
    .rename = op_rename,
    .remove = op_remove,
    .make_dir = op_make_dir,
    .sync_dir = op_sync_dir,
    .list = op_list,
    .free_bytes = op_free_bytes,
    .last_error = op_last_error,
    .is_full = op_is_full,
};

/* ---- for the tests --------------------------------------------------------------------------- */

struct mem_fs *mem_fs_new(void)
{
    return mem_calloc(1, sizeof(struct mem_fs));
}

void mem_fs_free(struct mem_fs *fs)
{
    mem_fs_close_all(fs);
    mem_fs_forget_names(fs);
    mem_fs_names_clear(&fs->now);
    mem_fs_names_clear(&fs->durable);
    mem_free(fs->now.list);
    mem_free(fs->durable.list);
    mem_free(fs->changes);
    mem_free(fs->syncs);
    mem_free(fs);
}

struct fs mem_fs_table(struct mem_fs *fs)
{
    return (struct fs){.ops = &ops, .ctx = fs};
}

unsigned mem_fs_operations(const struct mem_fs *fs)
{
    return fs->operations;
}

void mem_fs_stop_at(struct mem_fs *fs, unsigned n)
{
    fs->stop_at = n == 0 ? 0 : fs->operations + n;
}

void mem_fs_fail_at(struct mem_fs *fs, unsigned n)
{
    fs->fail_at = n == 0 ? 0 : fs->operations + n;
}

void mem_fs_set_capacity(struct mem_fs *fs, uint64_t bytes)
{
    fs->capacity = bytes;
}

uint64_t mem_fs_used(const struct mem_fs *fs)
{
    uint64_t used = 0;
    for (size_t i = 0; i < fs->now.count; i++)
        used += fs->now.list[i].node->now.len;
    return used;
}

uint8_t *mem_fs_content(struct mem_fs *fs, const char *path, size_t *size)
{
    struct mem_fs_node *node = names_find(&fs->now, path);
    if (node == NULL)
        return NULL;
    *size = node->now.len;
    return node->now.data;
}

void mem_fs_put(struct mem_fs *fs, const char *path, const void *data, size_t size)
{
    fs->has_wal = fs->durable_wal = true;
    fs->has_snap = fs->durable_snap = true;
    struct mem_fs_node *node = mem_calloc(1, sizeof *node);
    buf_add(&node->now, data, size);
    mem_fs_settle(node);
    mem_fs_names_set(&fs->now, path, node);
    mem_fs_names_set(&fs->durable, path, node);
}

struct mem_fs_counts mem_fs_counts(const struct mem_fs *fs)
{
    return fs->counts;
}

unsigned mem_fs_open_files(const struct mem_fs *fs)
{
    unsigned count = 0;
    for (const struct fs_file *file = fs->files; file != NULL; file = file->next)
        count++;
    return count;
}

unsigned mem_fs_count(const struct mem_fs *fs, const char *suffix)
{
    unsigned count = 0;
    for (size_t i = 0; i < fs->now.count; i++) {
        const char *path = fs->now.list[i].path;
        size_t len = strlen(path);
        if (len >= strlen(suffix) && strcmp(path + len - strlen(suffix), suffix) == 0)
            count++;
    }
    return count;
}

void mem_fs_hold_syncs(struct mem_fs *fs, bool hold)
{
    fs->hold = hold;
}
