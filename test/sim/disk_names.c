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

static bool is_in_folder(const char *path, const char *name)
{
    size_t len = strlen(name);
    return strncmp(path, name, len) == 0 && path[len] == '/';
}

static void names_remove_folder(struct disk_names *names, const char *name)
{
    for (size_t i = names->count; i > 0; i--)
        if (is_in_folder(names->list[i - 1].path, name))
            disk_names_remove(names, names->list[i - 1].path);
}

struct disk_folder *disk_folder_of(struct disk *disk, const char *path)
{
    if (strcmp(path, "wal") == 0 || is_in_folder(path, "wal"))
        return &disk->wal;
    if (strcmp(path, "snap") == 0 || is_in_folder(path, "snap"))
        return &disk->snap;
    return NULL;
}

void disk_rename_apply(struct disk *disk, const struct disk_rename *change)
{
    struct disk_folder *folder = NULL;
    if (change->gone != NULL && strchr(change->gone, '/') == NULL)
        folder = disk_folder_of(disk, change->gone);
    if (folder != NULL) {
        names_remove_folder(&disk->durable, change->gone);
        folder->durable = false;
        return;
    }
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

/* dir NULL: all. */
static void take_changes(struct disk *disk, const char *dir, bool apply)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk->rename_count; i++) {
        struct disk_rename change = disk->renames[i];
        if (dir != NULL && !is_in(&change, dir)) {
            disk->renames[kept++] = change;
            continue;
        }
        if (apply)
            disk_rename_apply(disk, &change);
        mem_free(change.path);
        mem_free(change.gone);
        if (change.file != NULL)
            disk_file_unref(change.file);
    }
    disk->rename_count = kept;
}

void disk_rename_settle(struct disk *disk, const char *dir)
{
    take_changes(disk, dir, dir != NULL);
}

enum err disk_folder_move_away(struct disk *disk, struct disk_folder *folder, const char *name)
{
    if (!folder->made)
        return ERR_NOT_FOUND;
    names_remove_folder(&disk->now, name);
    take_changes(disk, name, false); /* if it comes back, then as after a power cut */
    disk_rename_note(disk, NULL, name, NULL);
    folder->made = false;
    return ERR_OK;
}

/* ---- a copy ---------------------------------------------------------------------------------- */

void disk_copy(struct disk *disk)
{
    disk_names_clear(&disk->copy);
    for (size_t i = 0; i < disk->now.count; i++) {
        const struct disk_file *from = disk->now.list[i].file;
        struct disk_file *file = mem_calloc(1, sizeof *file);
        file->of_snapshot = from->of_snapshot;
        content_copy(&file->now, &from->now);
        content_copy(&file->durable, &from->now);
        disk_names_set(&disk->copy, disk->now.list[i].path, file);
    }
}

bool disk_has_copy(const struct disk *disk)
{
    return disk->copy.count > 0;
}

void disk_put_copy_back(struct disk *disk)
{
    ASSERT(disk->handles == NULL);
    disk_rename_settle(disk, NULL);
    disk_names_clear(&disk->now);
    disk_names_clear(&disk->durable);
    for (size_t i = 0; i < disk->copy.count; i++) {
        disk_names_set(&disk->now, disk->copy.list[i].path, disk->copy.list[i].file);
        disk_names_set(&disk->durable, disk->copy.list[i].path, disk->copy.list[i].file);
    }
    disk_names_clear(&disk->copy);
    disk->wal = disk->snap = (struct disk_folder){.made = true, .durable = true};
}
