/*
 * The next segments under their spare names, in the order in which they will be used: made ahead
 * with their room reserved, or old segments that are used again. Those are better: to write to
 * blocks that were written before changes nothing else in the file system, where each sync of ones
 * that were only reserved is a commit of its journal. What is still in them is told from what is
 * written anew by its position (wal.h).
 */
#include "base/assert.h"
#include "storage/wal_internal.h"

#include <string.h>

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void push(struct wal *wal, const struct wal_spare *spare)
{
    ASSERT(wal->spare_count < WAL_SPARES_MAX);
    wal->spares[wal->spare_count++] = *spare;
}

void wal_spare_forget_first(struct wal *wal)
{
    ASSERT(wal->spare_count > 0);
    wal->spare_count--;
    memmove(wal->spares, wal->spares + 1, wal->spare_count * sizeof wal->spares[0]);
    wal->spare_refused = false;
}

void wal_spare_close_all(struct wal *wal)
{
    for (size_t i = 0; i < wal->spare_count; i++)
        wal->fs.ops->close(wal->fs.ctx, wal->spares[i].file);
    wal->spare_count = 0;
}

/* ---- made ahead ------------------------------------------------------------------------------ */

/* As much as can be had of least <= whole bytes; false: nothing is reserved. */
static bool reserve_short(struct wal *wal, struct fs_file *file, uint64_t least, uint64_t whole)
{
    const struct fs_ops *ops = wal->fs.ops;
    /* a part of the whole may have been reserved, which is the room for the snapshot */
    (void)ops->truncate(wal->fs.ctx, file, 0);
    if (least >= whole || ops->allocate(wal->fs.ctx, file, least) == ERR_OK)
        return least < whole;
    (void)ops->truncate(wal->fs.ctx, file, 0);
    return false;
}

/* The next segment, with room for need bytes at least. Without any to reserve it is left to grow
 * as it is written if may_grow. Notes an error only: whether it is final is the caller's to say. */
static enum err make(struct wal *wal, uint64_t number, uint64_t need, bool may_grow)
{
    ASSERT(wal->spare_count == 0);
    const struct fs_ops *ops = wal->fs.ops;
    char path[WAL_PATH_MAX];
    wal_segment_path(path, number, true);
    uint64_t whole = larger(need, wal_segment_whole(wal, number));
    uint64_t least = larger(need, wal->short_segment_bytes);
    struct fs_file *file;
    if (ops->open(wal->fs.ctx, path, FS_OPEN_CREATE_FRESH, &file) != ERR_OK)
        return wal_note_error(wal, "create", path);
    bool enough = ops->allocate(wal->fs.ctx, file, whole) == ERR_OK;
    if (!enough || !wal->is_frugal)
        wal_segment_note_room(wal, path, enough);
    if (!enough && !reserve_short(wal, file, least, whole) && !may_grow) {
        enum err err = wal_note_error(wal, "allocate", path);
        ops->close(wal->fs.ctx, file);
        (void)ops->remove(wal->fs.ctx, path); /* else a remnant */
        return err;
    }
    struct wal_spare spare = {
        .file = file, .name = number, .limit = enough || least > whole ? whole : least};
    if (ops->size(wal->fs.ctx, file, &spare.reserved) != ERR_OK)
        spare.reserved = 0; /* nothing is promised then */
    push(wal, &spare);
    return ERR_OK;
}

enum err wal_spare_ensure(struct wal *wal, uint64_t number, uint64_t need)
{
    if (wal->spare_count == 0 && make(wal, number, need, true) != ERR_OK) {
        wal->failed = true;
        return ERR_IO;
    }
    struct wal_spare *spare = &wal->spares[0];
    if (need <= spare->limit)
        return ERR_OK;
    spare->limit = need;
    if (wal->fs.ops->allocate(wal->fs.ctx, spare->file, need) == ERR_OK) /* else it grows */
        spare->reserved = need;
    return ERR_OK;
}

enum err wal_segment_maybe_prepare(struct wal *wal)
{
    const struct wal_segment *segment = wal_segment_current(wal);
    if (wal->spare_count > 0 || wal->spare_refused || segment->end < segment->limit / 2)
        return ERR_OK;
    enum err err = make(wal, segment->number + 1, 0, false);
    wal->spare_refused = err != ERR_OK;
    return err;
}

/* ---- used again ------------------------------------------------------------------------------ */

bool wal_spare_wants(const struct wal *wal, const struct wal_segment *segment)
{
    return !wal->is_short && !wal->is_frugal && wal->spare_count < WAL_SPARES_MAX &&
           segment->reserved == wal->segment_bytes;
}

/* Not to be had back is no harm: a remnant, which goes at the next start. */
void wal_spare_recycle(struct wal *wal, const struct wal_segment *segment)
{
    const struct fs_ops *ops = wal->fs.ops;
    char path[WAL_PATH_MAX];
    wal_segment_path(path, segment->number, true);
    struct wal_spare spare = {.name = segment->number, .limit = wal->segment_bytes,
                              .recycled = true};
    if (ops->open(wal->fs.ctx, path, FS_OPEN_WRITE, &spare.file) != ERR_OK)
        return;
    if (ops->size(wal->fs.ctx, spare.file, &spare.reserved) == ERR_OK &&
        spare.reserved == segment->reserved)
        push(wal, &spare);
    else
        ops->close(wal->fs.ctx, spare.file);
}

bool wal_spare_adopt(struct wal *wal, uint64_t name)
{
    const struct fs_ops *ops = wal->fs.ops;
    char path[WAL_PATH_MAX];
    wal_segment_path(path, name, true);
    struct wal_spare spare = {.name = name};
    if (ops->open(wal->fs.ctx, path, FS_OPEN_WRITE, &spare.file) != ERR_OK)
        return false;
    if (ops->size(wal->fs.ctx, spare.file, &spare.reserved) != ERR_OK ||
        ops->zero(wal->fs.ctx, spare.file, 0, spare.reserved) != ERR_OK ||
        ops->sync(wal->fs.ctx, spare.file) != ERR_OK) {
        ops->close(wal->fs.ctx, spare.file);
        return false;
    }
    spare.limit = spare.reserved;
    push(wal, &spare);
    return true;
}

void wal_give_up_spares(struct wal *wal)
{
    char path[WAL_PATH_MAX];
    while (wal->spare_count > 1) {
        const struct wal_spare *last = &wal->spares[--wal->spare_count];
        wal->fs.ops->close(wal->fs.ctx, last->file);
        wal_segment_path(path, last->name, true);
        (void)wal->fs.ops->remove(wal->fs.ctx, path); /* else a remnant */
    }
}

/* A longer one is cut: nothing of it counts yet. */
static void shorten_next(struct wal *wal)
{
    struct wal_spare *spare = &wal->spares[0];
    uint64_t least = wal_room_unit(wal);
    if (wal->spare_count == 0 || spare->reserved <= least ||
        wal->fs.ops->truncate(wal->fs.ctx, spare->file, least) != ERR_OK)
        return;
    spare->reserved = least;
    spare->limit = least;
}

void wal_set_frugal(struct wal *wal, bool frugal)
{
    wal->is_frugal = frugal;
    if (!frugal)
        return;
    wal_give_up_spares(wal);
    shorten_next(wal);
}

uint64_t wal_releasable_bytes(const struct wal *wal)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i + 1 < wal->segment_count; i++) {
        const struct wal_segment *segment = &wal->segments[i];
        bytes += larger(segment->end, segment->reserved);
    }
    return bytes;
}

/* ---- room ------------------------------------------------------------------------------------ */

/* In the segment that is written. */
static uint64_t room_in_current(const struct wal *wal)
{
    if (wal->segment_count == 0)
        return 0;
    const struct wal_segment *segment = &wal->segments[wal->segment_count - 1];
    uint64_t end = segment->reserved < segment->limit ? segment->reserved : segment->limit;
    uint64_t used = segment->end + wal->out.len + WAL_NEXT_BYTES;
    return end > used ? end - used : 0;
}

static uint64_t room_in_spare(const struct wal *wal)
{
    bool any = wal->spare_count > 0 && wal->spares[0].reserved > WAL_FRAME_BYTES_MAX;
    return any ? wal->spares[0].reserved - WAL_FRAME_BYTES_MAX : 0;
}

uint64_t wal_room(const struct wal *wal)
{
    return room_in_current(wal) + room_in_spare(wal);
}

bool wal_has_room(const struct wal *wal, uint64_t bytes, uint64_t largest)
{
    uint64_t rest = room_in_current(wal);
    uint64_t lost = wal->spare_count == 0 ? 0 : rest < largest ? rest : largest;
    return wal_room(wal) >= bytes + lost;
}

/* What the spare got beyond its old length when it could not get all stays with the disk. */
static void grow(struct wal *wal, uint64_t bytes)
{
    const struct fs_ops *ops = wal->fs.ops;
    struct wal_spare *spare = &wal->spares[0];
    uint64_t was = spare->reserved;
    if (ops->allocate(wal->fs.ctx, spare->file, bytes) == ERR_OK) {
        spare->reserved = bytes;
        spare->limit = larger(spare->limit, bytes);
        return;
    }
    char path[WAL_PATH_MAX];
    wal_segment_path(path, spare->name, true);
    wal_segment_note_room(wal, path, false);
    (void)ops->truncate(wal->fs.ctx, spare->file, was);
}

bool wal_reserve(struct wal *wal, uint64_t bytes, uint64_t largest)
{
    if (wal->failed || wal->segment_count == 0)
        return false;
    if (wal_has_room(wal, bytes, largest))
        return true;
    uint64_t need = bytes + WAL_FRAME_BYTES_MAX; /* all of it may have to go there */
    if (need > WAL_SEGMENT_FILE_MAX)
        return false;
    if (wal->spare_count > 0)
        grow(wal, larger(need, wal->spares[0].reserved));
    else if (make(wal, wal_segment_current(wal)->number + 1, need, false) == ERR_OK)
        wal->spare_refused = false;
    return wal_has_room(wal, bytes, largest);
}

uint64_t wal_room_unit(const struct wal *wal)
{
    uint64_t half = wal->segment_bytes / 2;
    return wal->short_segment_bytes < half ? wal->short_segment_bytes : half;
}
