/* Names of files, and their changes that wait for a sync of the directory. */
#include "disk_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

void disk_file_unref(struct disk_file *file)
{
    ASSERT(file->refs > 0);
    if (--file->refs > 0)
        return;
    for (size_t i = 0; i < file->change_count; i++)
        buf_deinit(&file->changes[i].data);
    mem_free(file->changes);
    content_deinit(&file->now);
    content_deinit(&file->durable);
    mem_free(file);
}

struct disk_file *disk_names_find(const struct disk_names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].path, path) == 0)
            return names->list[i].file;
    return NULL;
}

void disk_names_remove(struct disk_names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->list[i].path, path) != 0)
            continue;
        mem_free(names->list[i].path);
        disk_file_unref(names->list[i].file);
        names->list[i] = names->list[--names->count];
        return;
    }
}

void disk_names_set(struct disk_names *names, const char *path, struct disk_file *file)
{
    file->refs++;
    disk_names_remove(names, path);
    names->list = mem_grow(names->list, names->count, &names->cap, sizeof *names->list);
    names->list[names->count++] = (struct disk_name){.path = mem_strdup(path), .file = file};
}

void disk_names_clear(struct disk_names *names)
{
    while (names->count > 0)
        disk_names_remove(names, names->list[0].path);
}

/* ---- changes --------------------------------------------------------------------------------- */

void disk_rename_note(struct disk *disk, const char *path, const char *gone, struct disk_file *file)
{
    disk->renames =
        mem_grow(disk->renames, disk->rename_count, &disk->rename_cap, sizeof *disk->renames);
    disk->renames[disk->rename_count++] =
        (struct disk_rename){.path = path != NULL ? mem_strdup(path) : NULL,
                             .gone = gone != NULL ? mem_strdup(gone) : NULL,
                             .file = file};
    if (file != NULL)
        file->refs++;
}

void disk_rename_apply(struct disk *disk, const struct disk_rename *change)
{
    if (change->path != NULL)
        disk_names_set(&disk->durable, change->path, change->file);
    if (change->gone != NULL)
        disk_names_remove(&disk->durable, change->gone);
}

static bool is_in(const struct disk_rename *change, const char *dir)
{
    const char *path = change->path != NULL ? change->path : change->gone;
    const char *slash = strchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    return strlen(dir) == len && strncmp(dir, path, len) == 0;
}

void disk_rename_settle(struct disk *disk, const char *dir)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk->rename_count; i++) {
        struct disk_rename change = disk->renames[i];
        if (dir != NULL && !is_in(&change, dir)) {
            disk->renames[kept++] = change;
            continue;
        }
        if (dir != NULL)
            disk_rename_apply(disk, &change);
        mem_free(change.path);
        mem_free(change.gone);
        if (change.file != NULL)
            disk_file_unref(change.file);
    }
    disk->rename_count = kept;
}
