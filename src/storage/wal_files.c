/* The files of a log that is being read back: which there are, and what is in them. */
#include "base/assert.h"
#include "base/mem.h"
#include "storage/wal_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* 16 hex digits and the suffix; false for any other name. */
static bool parse_name(const char *name, const char *suffix, uint64_t *number)
{
    if (strlen(name) != 16 + strlen(suffix) || strcmp(name + 16, suffix) != 0)
        return false;
    uint64_t value = 0;
    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = strchr(digits, name[i]);
        if (at == NULL)
            return false;
        value = value * 16 + (uint64_t)(at - digits);
    }
    *number = value;
    return true;
}

static void on_name(void *arg, const char *name, uint64_t size)
{
    struct wal_replay *replay = arg;
    uint64_t number;
    if (parse_name(name, ".wal", &number)) {
        replay->numbers = mem_grow(replay->numbers, replay->number_count, &replay->number_cap,
                                   sizeof *replay->numbers);
        replay->numbers[replay->number_count++] = number;
    } else if (parse_name(name, ".spare", &number)) {
        replay->spares = mem_grow(replay->spares, replay->spare_count, &replay->spare_cap,
                                  sizeof *replay->spares);
        replay->spares[replay->spare_count++] = (struct wal_found_spare){number, size};
    } else {
        log_warn(replay->wal->logger, "a file that is not ours is left alone file=wal/%s", name);
    }
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

enum err wal_replay_fail(struct wal_replay *replay, const char *what, const char *path)
{
    enum err err = wal_fail(replay->wal, what, path);
    buf_printf(replay->why, "%s", replay->wal->error);
    return err;
}

enum err wal_replay_list(struct wal_replay *replay)
{
    struct wal *wal = replay->wal;
    enum err err = wal->fs.ops->list(wal->fs.ctx, "wal", on_name, replay);
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    else if (err != ERR_OK)
        err = wal_replay_fail(replay, "list", "wal");
    if (replay->number_count > 0)
        qsort(replay->numbers, replay->number_count, sizeof *replay->numbers, compare_numbers);
    return err;
}

static enum err read_all(struct wal_replay *replay, struct fs_file *file, const char *path)
{
    struct wal *wal = replay->wal;
    uint64_t size;
    if (wal->fs.ops->size(wal->fs.ctx, file, &size) != ERR_OK)
        return wal_replay_fail(replay, "size", path);
    if (size > WAL_SEGMENT_FILE_MAX) {
        buf_printf(replay->why, "%s: %" PRIu64 " bytes are too many for a segment", path, size);
        return ERR_CORRUPT;
    }
    buf_clear(&replay->data);
    uint8_t *data = buf_reserve(&replay->data, (size_t)size + 1);
    size_t got = 0;
    if (wal->fs.ops->read(wal->fs.ctx, file, 0, data, (size_t)size, &got) != ERR_OK)
        return wal_replay_fail(replay, "read", path);
    ASSERT(got <= size);
    replay->data.len = got;
    return ERR_OK;
}

enum err wal_replay_load(struct wal_replay *replay, uint64_t number)
{
    struct wal *wal = replay->wal;
    char path[WAL_PATH_MAX];
    wal_segment_path(path, number, false);
    struct fs_file *file;
    if (wal->fs.ops->open(wal->fs.ctx, path, FS_OPEN_READ, &file) != ERR_OK)
        return wal_replay_fail(replay, "open", path);
    enum err err = read_all(replay, file, path);
    wal->fs.ops->close(wal->fs.ctx, file);
    return err;
}

/* ---- spares of an earlier process ------------------------------------------------------------ */

/* The longest one, if the segment that is written has little room left: where the disk is full
 * there might be no other. NULL: none. */
static const struct wal_found_spare *worth_keeping(const struct wal_replay *replay)
{
    const struct wal *wal = replay->wal;
    const struct wal_found_spare *best = NULL;
    if (wal->segment_count == 0 || wal_room(wal) >= wal_room_unit(wal))
        return NULL;
    for (size_t i = 0; i < replay->spare_count; i++)
        if (replay->spares[i].bytes >= wal_room_unit(wal) &&
            replay->spares[i].bytes <= WAL_SEGMENT_FILE_MAX &&
            (best == NULL || replay->spares[i].bytes > best->bytes))
            best = &replay->spares[i];
    return best;
}

static enum err remove_spare(struct wal_replay *replay, uint64_t number)
{
    char path[WAL_PATH_MAX];
    wal_segment_path(path, number, true);
    if (replay->wal->fs.ops->remove(replay->wal->fs.ctx, path) != ERR_OK)
        return wal_replay_fail(replay, "remove", path);
    return ERR_OK;
}

enum err wal_replay_spares(struct wal_replay *replay)
{
    const struct wal_found_spare *kept = worth_keeping(replay);
    if (kept != NULL && !wal_spare_adopt(replay->wal, kept->number))
        kept = NULL;
    enum err err = ERR_OK;
    for (size_t i = 0; i < replay->spare_count && err == ERR_OK; i++)
        if (&replay->spares[i] != kept)
            err = remove_spare(replay, replay->spares[i].number);
    return err;
}
