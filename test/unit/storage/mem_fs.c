/*
 * Each file keeps its durable bytes and the operations since its last sync; the names keep a list
 * of changes since the last sync of their folder.
 */
#include "mem_fs.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define PIECE 64

struct change {
    bool resize; /* else a write */
    uint64_t offset; /* or the new size */
    struct buf data;
};

struct node {
    unsigned refs; /* names and handles */
    struct buf now;
    struct buf durable;
    struct change *changes;
    size_t change_count;
    size_t change_cap;
};

struct name {
    char *path;
    struct node *node;
};

struct names {
    struct name *list;
    size_t count;
    size_t cap;
};

struct name_change {
    char *path;        /* gets node; NULL: none */
    char *gone;        /* is removed; NULL: none */
    struct node *node; /* NULL with both: the folder gone is called path now */
};

struct fs_file {
    struct node *node;
    bool writable;
    struct fs_file *next;
};

struct done {
    uint64_t token;
    struct fs_file *file;
};

struct mem_fs {
    struct names now;
    struct names durable;
    struct name_change *changes;
    size_t change_count;
    size_t change_cap;
    struct fs_file *files;
    struct done *syncs;
    size_t sync_count;
    size_t sync_cap;
    bool hold;
    bool has_wal;
    bool has_snap;
    bool durable_wal; /* the folder's own name */
    bool durable_snap;
    struct mem_fs_counts counts;
    unsigned operations;
    unsigned stop_at;
    unsigned fail_at;
    uint64_t capacity; /* 0: no end */
    bool stopped;
    bool full; /* the last error was for want of room */
};

/* ---- nodes and names ------------------------------------------------------------------------- */

static void node_unref(struct node *node)
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

static void resize(struct buf *buf, size_t size)
{
    if (size > buf->len)
        memset(buf_reserve(buf, size - buf->len), 0, size - buf->len);
    buf->len = size;
}

static void write_to(struct buf *buf, uint64_t offset, const uint8_t *data, size_t len)
{
    if (buf->len < offset + len)
        resize(buf, (size_t)offset + len);
    if (len > 0)
        memcpy(buf->data + offset, data, len);
}

static struct node *names_find(const struct names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].path, path) == 0)
            return names->list[i].node;
    return NULL;
}

static void names_remove(struct names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->list[i].path, path) != 0)
            continue;
        mem_free(names->list[i].path);
        node_unref(names->list[i].node);
        names->list[i] = names->list[--names->count];
        return;
    }
}

static void names_set(struct names *names, const char *path, struct node *node)
{
    node->refs++;
    names_remove(names, path);
    names->list = mem_grow(names->list, names->count, &names->cap, sizeof *names->list);
    names->list[names->count++] = (struct name){.path = mem_strdup(path), .node = node};
}

static void names_clear(struct names *names)
{
    while (names->count > 0)
        names_remove(names, names->list[0].path);
}

/* A path below folder from gets to in its place; false: it is not below it. */
static bool move_path(char **path, const char *from, const char *to)
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

static void names_move(struct names *names, const char *from, const char *to)
{
    for (size_t i = 0; i < names->count; i++)
        (void)move_path(&names->list[i].path, from, to);
}

static void note_name(struct mem_fs *fs, const char *path, const char *gone, struct node *node)
{
    fs->changes = mem_grow(fs->changes, fs->change_count, &fs->change_cap, sizeof *fs->changes);
    fs->changes[fs->change_count++] =
        (struct name_change){.path = path != NULL ? mem_strdup(path) : NULL,
                             .gone = gone != NULL ? mem_strdup(gone) : NULL,
                             .node = node};
    if (node != NULL)
        node->refs++;
}

static bool is_folder_move(const struct name_change *change)
{
    return change->node == NULL && change->path != NULL;
}

static void settle_change(struct mem_fs *fs, const struct name_change *change)
{
    if (is_folder_move(change)) {
        names_move(&fs->durable, change->gone, change->path);
        fs->durable_wal = fs->durable_wal && strcmp(change->gone, "wal") != 0;
        fs->durable_snap = fs->durable_snap && strcmp(change->gone, "snap") != 0;
        return;
    }
    if (change->path != NULL)
        names_set(&fs->durable, change->path, change->node);
    if (change->gone != NULL)
        names_remove(&fs->durable, change->gone);
}

static void end_change(struct mem_fs *fs, struct name_change *change, bool is_durable)
{
    if (is_durable)
        settle_change(fs, change);
    mem_free(change->path);
    mem_free(change->gone);
    if (change->node != NULL)
        node_unref(change->node);
}

static bool is_in_folder(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    if (len == 0)
        return strchr(path, '/') == NULL;
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* The changes of names in one folder become durable, in their order; the others go on waiting
 * (those in a folder that has moved: under its new name). */
static void settle_folder(struct mem_fs *fs, const char *folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < fs->change_count; i++) {
        struct name_change change = fs->changes[i];
        if (!is_in_folder(change.path != NULL ? change.path : change.gone, folder)) {
            fs->changes[kept++] = change;
            continue;
        }
        for (size_t k = 0; k < kept && is_folder_move(&change); k++) {
            (void)move_path(&fs->changes[k].path, change.gone, change.path);
            (void)move_path(&fs->changes[k].gone, change.gone, change.path);
        }
        end_change(fs, &change, true);
    }
    fs->change_count = kept;
}

static void note_change(struct node *node, bool is_resize, uint64_t offset, const void *data,
                        size_t len)
{
    node->changes =
        mem_grow(node->changes, node->change_count, &node->change_cap, sizeof *node->changes);
    struct change *change = &node->changes[node->change_count++];
    *change = (struct change){.resize = is_resize, .offset = offset};
    buf_add(&change->data, data, len);
}

static void forget_changes(struct node *node)
{
    for (size_t i = 0; i < node->change_count; i++)
        buf_deinit(&node->changes[i].data);
    node->change_count = 0;
}

static void settle_all(struct node *node)
{
    buf_clear(&node->durable);
    buf_add(&node->durable, node->now.data, node->now.len);
    forget_changes(node);
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
    struct node *node = names_find(&fs->now, path);
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
        names_set(&fs->now, path, node);
        note_name(fs, path, NULL, node);
    }
    struct fs_file *file = mem_calloc(1, sizeof *file);
    *file = (struct fs_file){.node = node, .writable = mode != FS_OPEN_READ, .next = fs->files};
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
    node_unref(file->node);
    mem_free(file);
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
    write_to(&file->node->now, offset, data, len);
    note_change(file->node, false, offset, data, len);
    return ok ? ERR_OK : ERR_IO;
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
    resize(&file->node->now, (size_t)size);
    note_change(file->node, true, size, NULL, 0);
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
    settle_all(file->node);
    return ERR_OK;
}

static enum err op_sync_start(void *ctx, struct fs_file *file, uint64_t token)
{
    struct mem_fs *fs = ctx;
    if (!works(fs))
        return ERR_IO;
    fs->syncs = mem_grow(fs->syncs, fs->sync_count, &fs->sync_cap, sizeof *fs->syncs);
    fs->syncs[fs->sync_count++] = (struct done){.token = token, .file = file};
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
    struct done done = fs->syncs[0];
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
        note_name(fs, to, from, NULL);
        names_move(&fs->now, from, to);
        return ERR_OK;
    }
    struct node *node = names_find(&fs->now, from);
    if (node == NULL)
        return ERR_NOT_FOUND;
    note_name(fs, to, from, node);
    names_set(&fs->now, to, node);
    names_remove(&fs->now, from);
    return ERR_OK;
}

static enum err op_remove(void *ctx, const char *path)
{
    struct mem_fs *fs = ctx;
    if (!works(fs))
        return ERR_IO;
    if (names_find(&fs->now, path) == NULL)
        return ERR_NOT_FOUND;
    note_name(fs, NULL, path, NULL);
    names_remove(&fs->now, path);
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
    settle_folder(fs, path);
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
        const struct name *name = &fs->now.list[i];
        if (strncmp(name->path, dir, len) == 0 && name->path[len] == '/')
            fn(arg, name->path + len + 1, name->node->now.len);
    }
    return ERR_OK;
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
    .last_error = op_last_error,
    .is_full = op_is_full,
};

/* ---- power ----------------------------------------------------------------------------------- */

static void apply_change(struct buf *to, const struct change *change, size_t len)
{
    if (change->resize)
        resize(to, (size_t)change->offset);
    else
        write_to(to, change->offset, change->data.data, len);
}

static void lose_suffix(struct node *node, struct prng *prng)
{
    size_t keep = (size_t)prng_below(prng, node->change_count + 1);
    for (size_t i = 0; i < keep; i++)
        apply_change(&node->durable, &node->changes[i], node->changes[i].data.len);
    if (keep == node->change_count || node->changes[keep].resize)
        return;
    const struct change *torn = &node->changes[keep];
    apply_change(&node->durable, torn, (size_t)prng_below(prng, torn->data.len + 1));
}

static void scatter(struct node *node, struct prng *prng)
{
    for (size_t i = 0; i < node->change_count; i++) {
        const struct change *change = &node->changes[i];
        if (change->resize)
            apply_change(&node->durable, change, 0);
        for (size_t at = 0; at < change->data.len;) {
            size_t len = PIECE - (size_t)((change->offset + at) % PIECE);
            if (len > change->data.len - at)
                len = change->data.len - at;
            if (prng_below(prng, 2) == 0)
                write_to(&node->durable, change->offset + at, change->data.data + at, len);
            at += len;
        }
    }
}

static void settle_node(struct node *node, enum mem_fs_crash kind, struct prng *prng)
{
    if (kind == MEM_FS_PREFIX)
        lose_suffix(node, prng);
    else if (kind == MEM_FS_SCATTER)
        scatter(node, prng);
    forget_changes(node);
    buf_clear(&node->now);
    buf_add(&node->now, node->durable.data, node->durable.len);
}

static void settle_names(struct mem_fs *fs, enum mem_fs_crash kind, struct prng *prng)
{
    size_t prefix = kind == MEM_FS_PREFIX ? (size_t)prng_below(prng, fs->change_count + 1) : 0;
    for (size_t i = 0; i < fs->change_count; i++)
        end_change(fs, &fs->changes[i],
                   i < prefix || (kind == MEM_FS_SCATTER && prng_below(prng, 2) == 0));
    fs->change_count = 0;
}

/* A folder whose own name is lost takes everything in it along. */
static void lose_folder(struct mem_fs *fs, const char *folder)
{
    for (size_t i = fs->durable.count; i > 0; i--)
        if (is_in_folder(fs->durable.list[i - 1].path, folder))
            names_remove(&fs->durable, fs->durable.list[i - 1].path);
}

static bool settle_folder_itself(struct mem_fs *fs, const char *folder, bool is_durable,
                                 enum mem_fs_crash kind, struct prng *prng)
{
    bool stays = is_durable || (kind != MEM_FS_LOSE_ALL && prng_below(prng, 2) == 0);
    if (!stays)
        lose_folder(fs, folder);
    return stays;
}

void mem_fs_crash(struct mem_fs *fs, enum mem_fs_crash kind, struct prng *prng)
{
    while (fs->files != NULL)
        op_close(fs, fs->files);
    fs->sync_count = 0;
    fs->stopped = false;
    fs->stop_at = 0;
    fs->fail_at = 0;
    if (kind == MEM_FS_KEEP_ALL)
        return;
    settle_names(fs, kind, prng);
    if (fs->has_wal)
        fs->has_wal = settle_folder_itself(fs, "wal", fs->durable_wal, kind, prng);
    if (fs->has_snap)
        fs->has_snap = settle_folder_itself(fs, "snap", fs->durable_snap, kind, prng);
    fs->durable_wal = fs->has_wal;
    fs->durable_snap = fs->has_snap;
    names_clear(&fs->now);
    for (size_t i = 0; i < fs->durable.count; i++) {
        settle_node(fs->durable.list[i].node, kind, prng);
        names_set(&fs->now, fs->durable.list[i].path, fs->durable.list[i].node);
        fs->has_wal = fs->has_wal || strncmp(fs->durable.list[i].path, "wal/", 4) == 0;
        fs->has_snap = fs->has_snap || strncmp(fs->durable.list[i].path, "snap/", 5) == 0;
    }
}

/* ---- for the tests --------------------------------------------------------------------------- */

struct mem_fs *mem_fs_new(void)
{
    return mem_calloc(1, sizeof(struct mem_fs));
}

void mem_fs_free(struct mem_fs *fs)
{
    while (fs->files != NULL)
        op_close(fs, fs->files);
    settle_names(fs, MEM_FS_LOSE_ALL, NULL);
    names_clear(&fs->now);
    names_clear(&fs->durable);
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
    struct node *node = names_find(&fs->now, path);
    if (node == NULL)
        return NULL;
    *size = node->now.len;
    return node->now.data;
}

void mem_fs_put(struct mem_fs *fs, const char *path, const void *data, size_t size)
{
    fs->has_wal = fs->durable_wal = true;
    fs->has_snap = fs->durable_snap = true;
    struct node *node = mem_calloc(1, sizeof *node);
    buf_add(&node->now, data, size);
    settle_all(node);
    names_set(&fs->now, path, node);
    names_set(&fs->durable, path, node);
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
