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

struct listing {
    struct wal_replay *replay;
    uint64_t *spares;
    size_t spare_count;
    size_t spare_cap;
};

static void on_name(void *arg, const char *name, uint64_t size)
{
    (void)size;
    struct listing *listing = arg;
    struct wal_replay *replay = listing->replay;
    uint64_t number;
    if (parse_name(name, ".wal", &number)) {
        replay->numbers = mem_grow(replay->numbers, replay->number_count, &replay->number_cap,
                                   sizeof *replay->numbers);
        replay->numbers[replay->number_count++] = number;
    } else if (parse_name(name, ".spare", &number)) {
        listing->spares = mem_grow(listing->spares, listing->spare_count, &listing->spare_cap,
                                   sizeof *listing->spares);
        listing->spares[listing->spare_count++] = number;
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
    struct listing listing = {.replay = replay};
    enum err err = wal->fs.ops->list(wal->fs.ctx, "wal", on_name, &listing);
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    else if (err != ERR_OK)
        err = wal_replay_fail(replay, "list", "wal");
    for (size_t i = 0; i < listing.spare_count && err == ERR_OK; i++) {
        char path[WAL_PATH_MAX];
        wal_segment_path(path, listing.spares[i], true);
        if (wal->fs.ops->remove(wal->fs.ctx, path) != ERR_OK)
            err = wal_replay_fail(replay, "remove", path);
    }
    mem_free(listing.spares);
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
