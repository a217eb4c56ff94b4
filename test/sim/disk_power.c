/* What of a file is durable, and what is left after the power was cut. */
#include "disk_internal.h"

#include "base/mem.h"

#include <string.h>

#define PIECE 64

/* ---- changes of a file ----------------------------------------------------------------------- */

void disk_change_note(struct disk_file *file, bool resize, uint64_t offset, const void *data,
                      size_t len)
{
    file->changes =
        mem_grow(file->changes, file->change_count, &file->change_cap, sizeof *file->changes);
    struct disk_change *change = &file->changes[file->change_count++];
    *change = (struct disk_change){.resize = resize, .offset = offset};
    buf_add(&change->data, data, len);
}

static void apply_change(struct content *to, const struct disk_change *change, size_t len)
{
    if (change->resize)
        content_resize(to, change->offset);
    else
        content_write(to, change->offset, change->data.data, len);
}

static void forget_changes(struct disk_file *file, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_deinit(&file->changes[i].data);
    file->change_count -= count;
    if (file->change_count > 0)
        memmove(file->changes, file->changes + count, file->change_count * sizeof *file->changes);
}

static bool is_zeros(const struct buf *data)
{
    for (size_t i = 0; i < data->len; i++)
        if (data->data[i] != 0)
            return false;
    return true;
}

/* What has got durable by a sync, as far as it is records one behind the other. */
static void note_covered(struct disk_file *file, size_t count)
{
    uint64_t lo = UINT64_MAX;
    uint64_t hi = 0;
    bool cut = false;
    for (size_t i = 0; i < count; i++) {
        const struct disk_change *change = &file->changes[i];
        if (change->resize)
            cut = cut || change->offset < file->covered[0];
        if (change->resize || is_zeros(&change->data))
            continue;
        lo = change->offset < lo ? change->offset : lo;
        hi = change->offset + change->data.len > hi ? change->offset + change->data.len : hi;
    }
    if (hi == 0 && !cut)
        return;
    bool appended = lo >= file->covered[0] && !cut;
    file->covered[2] = appended ? file->covered[1] : 0;
    file->covered[1] = appended ? file->covered[0] : 0;
    file->covered[0] = hi;
}

void disk_change_settle(struct disk_file *file, size_t count)
{
    if (count > file->change_count)
        count = file->change_count;
    note_covered(file, count);
    for (size_t i = 0; i < count; i++)
        apply_change(&file->durable, &file->changes[i], file->changes[i].data.len);
    forget_changes(file, count);
}

/* ---- a power cut ----------------------------------------------------------------------------- */

static void lose_suffix(struct disk_file *file, struct prng *prng)
{
    size_t keep = (size_t)prng_below(prng, file->change_count + 1);
    for (size_t i = 0; i < keep; i++)
        apply_change(&file->durable, &file->changes[i], file->changes[i].data.len);
    if (keep == file->change_count || file->changes[keep].resize)
        return;
    const struct disk_change *torn = &file->changes[keep];
    apply_change(&file->durable, torn, (size_t)prng_below(prng, torn->data.len + 1));
}

static void scatter_write(struct disk_file *file, const struct disk_change *change,
                          struct prng *prng)
{
    for (size_t at = 0; at < change->data.len;) {
        size_t len = PIECE - (size_t)((change->offset + at) % PIECE);
        if (len > change->data.len - at)
            len = change->data.len - at;
        if (prng_below(prng, 2) == 0)
            content_write(&file->durable, change->offset + at, change->data.data + at, len);
        at += len;
    }
}

static void scatter(struct disk_file *file, struct prng *prng)
{
    for (size_t i = 0; i < file->change_count; i++) {
        if (file->changes[i].resize)
            apply_change(&file->durable, &file->changes[i], 0);
        else
            scatter_write(file, &file->changes[i], prng);
    }
}

static void settle_file(struct disk_file *file, enum disk_cut kind, struct prng *prng)
{
    if (kind == DISK_PREFIX)
        lose_suffix(file, prng);
    else if (kind == DISK_SCATTER)
        scatter(file, prng);
    if (kind == DISK_SCATTER && file->change_count > 0)
        file->covered[1] = file->covered[2] = 0;
    forget_changes(file, file->change_count);
    content_copy(&file->now, &file->durable);
}

/* A directory that nobody can find any more takes with it what is in it. */
static void lose_folder(struct disk *disk, struct disk_folder *folder, const char *prefix)
{
    folder->made = folder->durable;
    if (folder->durable)
        return;
    for (size_t i = disk->durable.count; i > 0; i--)
        if (strncmp(disk->durable.list[i - 1].path, prefix, strlen(prefix)) == 0)
            disk_names_remove(&disk->durable, disk->durable.list[i - 1].path);
}

static void settle_names(struct disk *disk, enum disk_cut kind, struct prng *prng)
{
    size_t keep = kind == DISK_LOSE_ALL ? 0 : (size_t)prng_below(prng, disk->rename_count + 1);
    bool each = kind == DISK_SCATTER && disk->strict_names;
    for (size_t i = 0; i < disk->rename_count; i++)
        if (each ? prng_below(prng, 2) == 0 : i < keep)
            disk_rename_apply(disk, &disk->renames[i]);
    disk_rename_settle(disk, NULL);
    lose_folder(disk, &disk->wal, "wal/");
    lose_folder(disk, &disk->snap, "snap/");
    disk_names_clear(&disk->now);
    for (size_t i = 0; i < disk->durable.count; i++)
        disk_names_set(&disk->now, disk->durable.list[i].path, disk->durable.list[i].file);
}

void disk_cut(struct disk *disk, enum disk_cut kind, struct prng *prng)
{
    struct fs fs = disk_table(disk);
    while (disk->handles != NULL)
        fs.ops->close(disk, disk->handles);
    disk->sync_count = 0;
    disk->stopped = false;
    disk->failed = false;
    disk->refused_room = false;
    disk->stop_at = 0;
    disk->fail_at = 0;
    disk->waited_us = 0;
    if (kind == DISK_KEEP_ALL)
        return;
    settle_names(disk, kind, prng);
    for (size_t i = 0; i < disk->durable.count; i++)
        settle_file(disk->durable.list[i].file, kind, prng);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static uint64_t cold_bytes(const struct disk_name *name)
{
    const struct disk_file *file = name->file;
    size_t len = strlen(name->path);
    bool complete = len > 5 && strcmp(name->path + len - 5, ".snap") == 0;
    if (complete)
        return file->change_count == 0 ? file->durable.size : 0;
    bool log = len > 4 && strcmp(name->path + len - 4, ".wal") == 0; /* and no spare one */
    return log ? file->covered[2] : 0;
}

/* The file of the log with the highest number that has any; count: none. */
static size_t newest_cold(const struct disk_names *names)
{
    size_t newest = names->count;
    for (size_t i = 0; i < names->count; i++) {
        const char *path = names->list[i].path;
        if (strncmp(path, "wal/", 4) == 0 && cold_bytes(&names->list[i]) > 0 &&
            (newest == names->count || strcmp(path, names->list[newest].path) > 0))
            newest = i;
    }
    return newest;
}

bool disk_flip(struct disk *disk, struct prng *prng)
{
    uint64_t total = 0;
    for (size_t i = 0; i < disk->durable.count; i++)
        total += cold_bytes(&disk->durable.list[i]);
    if (total == 0)
        return false;
    uint64_t at = prng_below(prng, total);
    size_t which = newest_cold(&disk->durable);
    if (which < disk->durable.count && prng_below(prng, 2) == 0) {
        at = prng_below(prng, cold_bytes(&disk->durable.list[which]));
    } else {
        which = 0;
        while (at >= cold_bytes(&disk->durable.list[which]))
            at -= cold_bytes(&disk->durable.list[which++]);
    }
    unsigned bit = (unsigned)prng_below(prng, 8);
    content_flip(&disk->durable.list[which].file->durable, at, bit);
    content_flip(&disk->durable.list[which].file->now, at, bit);
    return true;
}

bool disk_is_blank(const struct disk *disk)
{
    return disk->durable.count == 0 && disk->now.count == 0;
}
