/*
 * The files of the log: their names, the one that is written, the next one under its spare name,
 * and the removal of old ones. Which crash leaves what is told in wal.c.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "storage/wal_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char make_room[] = "; make room there (disk, quota, limit of file sizes) and start "
                                "again: what was acknowledged is safe";

void wal_segment_path(char *out, uint64_t number, bool spare)
{
    int len = snprintf(out, WAL_PATH_MAX, "wal/%016" PRIx64 ".%s", number,
                       spare ? "spare" : "wal");
    ASSERT(len > 0 && len < WAL_PATH_MAX);
}

enum err wal_note_error(struct wal *wal, const char *what, const char *path)
{
    (void)snprintf(wal->error, sizeof wal->error, "%s %s: %s", what, path,
                   wal->fs.ops->last_error(wal->fs.ctx));
    return ERR_IO;
}

enum err wal_fail(struct wal *wal, const char *what, const char *path)
{
    wal->failed = true;
    (void)wal_note_error(wal, what, path);
    size_t len = strlen(wal->error);
    if (wal->fs.ops->is_full(wal->fs.ctx))
        (void)snprintf(wal->error + len, sizeof wal->error - len, "%s", make_room);
    return ERR_IO;
}

struct wal_segment *wal_segment_current(struct wal *wal)
{
    ASSERT(wal->segment_count > 0);
    return &wal->segments[wal->segment_count - 1];
}

struct wal_segment *wal_segment_push(struct wal *wal, const struct wal_segment *segment)
{
    ASSERT(wal->segment_count == 0 || wal_segment_current(wal)->number + 1 == segment->number);
    ASSERT(wal->segment_count == 0 || wal_end(wal) == segment->base);
    wal->segments = mem_grow(wal->segments, wal->segment_count, &wal->segment_cap,
                             sizeof *wal->segments);
    wal->segments[wal->segment_count] = *segment;
    return &wal->segments[wal->segment_count++];
}

uint64_t wal_segment_whole(const struct wal *wal, uint64_t number)
{
    return number == 1 ? wal->first_segment_bytes : wal->segment_bytes;
}

uint64_t wal_end(const struct wal *wal)
{
    if (wal->segment_count == 0)
        return 0;
    const struct wal_segment *last = &wal->segments[wal->segment_count - 1];
    return last->base + last->end;
}

uint64_t wal_next_position(const struct wal *wal)
{
    return wal_end(wal) + wal->out.len;
}

void wal_segment_note_entry(struct wal *wal, floe_index index)
{
    ASSERT(index > 0);
    for (size_t i = 0; i < wal->segment_count && index <= wal->last_index; i++)
        if (wal->segments[i].max_index >= index)
            wal->segments[i].max_index = index - 1;
    wal_segment_current(wal)->max_index = index;
    wal->last_index = index;
}

void wal_segment_note_mark(struct wal *wal, floe_index index, bool keep_suffix)
{
    for (size_t i = 0; i < wal->segment_count && !keep_suffix; i++)
        wal->segments[i].max_index = 0;
    if (!keep_suffix || index > wal->last_index)
        wal->last_index = index;
}

enum err wal_segment_flush(struct wal *wal)
{
    if (wal->out.len == 0)
        return ERR_OK;
    struct wal_segment *segment = wal_segment_current(wal);
    ASSERT(segment->file != NULL);
    if (wal->fs.ops->write(wal->fs.ctx, segment->file, segment->end, wal->out.data,
                           wal->out.len) != ERR_OK) {
        char path[WAL_PATH_MAX];
        wal_segment_path(path, segment->number, false);
        return wal_fail(wal, "write", path);
    }
    segment->end += wal->out.len;
    buf_clear(&wal->out);
    return ERR_OK;
}

/* ---- the next segment ------------------------------------------------------------------------ */

void wal_segment_note_room(struct wal *wal, const char *path, bool enough)
{
    if (!enough && !wal->is_short)
        log_warn(wal->logger, "no room for a whole log segment file=%s why=%s", path,
                 wal->fs.ops->last_error(wal->fs.ctx));
    if (enough && wal->is_short)
        log_info(wal->logger, "room for whole log segments again file=%s", path);
    wal->is_short = !enough;
    wal->space_hint = !enough;
}

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

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The next segment, with room for need bytes at least. Without any to reserve it is left to grow
 * as it is written if may_grow. Notes an error only: whether it is final is the caller's to say. */
static enum err make_spare(struct wal *wal, uint64_t number, uint64_t need, bool may_grow)
{
    ASSERT(wal->spare == NULL);
    const struct fs_ops *ops = wal->fs.ops;
    char path[WAL_PATH_MAX];
    wal_segment_path(path, number, true);
    uint64_t whole = larger(need, wal_segment_whole(wal, number));
    uint64_t least = larger(need, wal->short_segment_bytes);
    struct fs_file *file;
    if (ops->open(wal->fs.ctx, path, FS_OPEN_CREATE_FRESH, &file) != ERR_OK)
        return wal_note_error(wal, "create", path);
    bool enough = ops->allocate(wal->fs.ctx, file, whole) == ERR_OK;
    wal_segment_note_room(wal, path, enough);
    if (!enough && !reserve_short(wal, file, least, whole) && !may_grow) {
        enum err err = wal_note_error(wal, "allocate", path);
        ops->close(wal->fs.ctx, file);
        (void)ops->remove(wal->fs.ctx, path); /* else a remnant */
        return err;
    }
    wal->spare = file;
    wal->spare_bytes = enough || least > whole ? whole : least;
    if (ops->size(wal->fs.ctx, file, &wal->spare_reserved) != ERR_OK)
        wal->spare_reserved = 0; /* nothing is promised then */
    return ERR_OK;
}

/* The prepared one, grown if it is too small. */
static enum err take_spare(struct wal *wal, uint64_t number, uint64_t need)
{
    if (wal->spare == NULL && make_spare(wal, number, need, true) != ERR_OK) {
        wal->failed = true;
        return ERR_IO;
    }
    if (need <= wal->spare_bytes)
        return ERR_OK;
    wal->spare_bytes = need;
    if (wal->fs.ops->allocate(wal->fs.ctx, wal->spare, need) == ERR_OK) /* else it grows */
        wal->spare_reserved = need;
    return ERR_OK;
}

static struct wal_head head_now(const struct wal *wal, uint64_t number)
{
    return (struct wal_head){.number = number,
                             .meta = wal->meta,
                             .hard_state = wal->hard_state,
                             .mark_index = wal->mark_index,
                             .mark_term = wal->mark_term,
                             .last_index = wal->last_index,
                             .reserved = UINT64_MAX};
}

/* Head first, name second: under a segment's name there is never a file that was not begun, as
 * long as the machine stays up. */
static enum err name_spare(struct wal *wal, uint64_t number, const struct buf *head)
{
    const struct fs_ops *ops = wal->fs.ops;
    char from[WAL_PATH_MAX];
    char to[WAL_PATH_MAX];
    wal_segment_path(from, number, true);
    wal_segment_path(to, number, false);
    if (ops->write(wal->fs.ctx, wal->spare, 0, head->data, head->len) != ERR_OK)
        return wal_fail(wal, "write", from);
    if (number == 1 && ops->sync(wal->fs.ctx, wal->spare) != ERR_OK)
        return wal_fail(wal, "sync", from); /* a log without a head would be a riddle at start */
    if (ops->rename(wal->fs.ctx, from, to) != ERR_OK)
        return wal_fail(wal, "rename", from);
    return ERR_OK;
}

enum err wal_segment_rotate(struct wal *wal, uint64_t extra)
{
    enum err err = wal_segment_flush(wal);
    if (err != ERR_OK)
        return err;
    uint64_t number = wal->segment_count > 0 ? wal_segment_current(wal)->number + 1 : 1;
    struct wal_head head = head_now(wal, number);
    struct buf bytes = {0};
    wal_record_put_head(&bytes, wal_end(wal), wal->durable, &head);
    err = take_spare(wal, number, bytes.len + extra);
    head.reserved = wal->spare_reserved; /* in place of the largest number: not more bytes */
    buf_clear(&bytes);
    wal_record_put_head(&bytes, wal_end(wal), wal->durable, &head);
    if (err == ERR_OK)
        err = name_spare(wal, number, &bytes);
    if (err == ERR_OK) {
        wal_segment_push(wal, &(struct wal_segment){.number = number,
                                                    .base = wal_end(wal),
                                                    .end = bytes.len,
                                                    .head_bytes = bytes.len,
                                                    .limit = wal->spare_bytes,
                                                    .reserved = wal->spare_reserved,
                                                    .file = wal->spare});
        wal->spare = NULL;
        wal->spare_refused = false;
        wal->names_dirty = true;
    }
    buf_deinit(&bytes);
    return err;
}

enum err wal_segment_maybe_prepare(struct wal *wal)
{
    const struct wal_segment *segment = wal_segment_current(wal);
    if (wal->spare != NULL || wal->spare_refused || segment->end < segment->limit / 2)
        return ERR_OK;
    enum err err = make_spare(wal, segment->number + 1, 0, false);
    wal->spare_refused = err != ERR_OK;
    return err;
}

/* ---- room ------------------------------------------------------------------------------------ */

/* In the segment that is written. */
static uint64_t room_in_current(const struct wal *wal)
{
    if (wal->segment_count == 0)
        return 0;
    const struct wal_segment *segment = &wal->segments[wal->segment_count - 1];
    uint64_t end = segment->reserved < segment->limit ? segment->reserved : segment->limit;
    uint64_t used = segment->end + wal->out.len;
    return end > used ? end - used : 0;
}

static uint64_t room_in_spare(const struct wal *wal)
{
    bool any = wal->spare != NULL && wal->spare_reserved > WAL_HEAD_BYTES_MAX;
    return any ? wal->spare_reserved - WAL_HEAD_BYTES_MAX : 0;
}

uint64_t wal_room(const struct wal *wal)
{
    return room_in_current(wal) + room_in_spare(wal);
}

bool wal_has_room(const struct wal *wal, uint64_t bytes, uint64_t largest)
{
    uint64_t rest = room_in_current(wal);
    uint64_t lost = wal->spare == NULL ? 0 : rest < largest ? rest : largest;
    return wal_room(wal) >= bytes + lost;
}

/* What the spare got beyond its old length when it could not get all stays with the disk. */
static void grow_spare(struct wal *wal, uint64_t bytes)
{
    const struct fs_ops *ops = wal->fs.ops;
    uint64_t was = wal->spare_reserved;
    if (ops->allocate(wal->fs.ctx, wal->spare, bytes) == ERR_OK) {
        wal->spare_reserved = bytes;
        wal->spare_bytes = larger(wal->spare_bytes, bytes);
        return;
    }
    char path[WAL_PATH_MAX];
    wal_segment_path(path, wal_segment_current(wal)->number + 1, true);
    wal_segment_note_room(wal, path, false);
    (void)ops->truncate(wal->fs.ctx, wal->spare, was);
}

bool wal_reserve(struct wal *wal, uint64_t bytes, uint64_t largest)
{
    if (wal->failed || wal->segment_count == 0)
        return false;
    if (wal_has_room(wal, bytes, largest))
        return true;
    uint64_t need = bytes + WAL_HEAD_BYTES_MAX; /* all of it may have to go there */
    if (need > WAL_SEGMENT_FILE_MAX)
        return false;
    if (wal->spare != NULL)
        grow_spare(wal, larger(need, wal->spare_reserved));
    else if (make_spare(wal, wal_segment_current(wal)->number + 1, need, false) == ERR_OK)
        wal->spare_refused = false;
    return wal_has_room(wal, bytes, largest);
}

uint64_t wal_room_unit(const struct wal *wal)
{
    uint64_t half = wal->segment_bytes / 2;
    return wal->short_segment_bytes < half ? wal->short_segment_bytes : half;
}

/* ---- removal --------------------------------------------------------------------------------- */

/* The oldest segment goes only when nothing of it is needed after a power cut at this moment: the
 * mark that replaces its entries and the head that repeats its state are durable. */
static bool is_removable(const struct wal *wal)
{
    if (wal->segment_count < 2 || wal->release_index > wal->mark_index)
        return false;
    const struct wal_segment *first = &wal->segments[0];
    const struct wal_segment *second = &wal->segments[1];
    if (wal->sync.in_flight && wal->sync.number == first->number)
        return false;
    return first->max_index <= wal->release_index && wal->mark_end <= wal->durable &&
           second->base + second->head_bytes <= wal->durable;
}

/* One directory sync each, so that no file system can forget the older removal and keep the newer:
 * that would be a gap. */
static enum err remove_first(struct wal *wal)
{
    struct wal_segment *first = &wal->segments[0];
    char path[WAL_PATH_MAX];
    wal_segment_path(path, first->number, false);
    if (wal->fs.ops->remove(wal->fs.ctx, path) != ERR_OK)
        return wal_note_error(wal, "remove", path);
    if (first->file != NULL)
        wal->fs.ops->close(wal->fs.ctx, first->file);
    wal->segment_count--;
    memmove(first, first + 1, wal->segment_count * sizeof *first);
    wal->spare_refused = false; /* now there may be room */
    if (wal->fs.ops->sync_dir(wal->fs.ctx, "wal") != ERR_OK)
        return wal_fail(wal, "sync directory", "wal");
    return ERR_OK;
}

enum err wal_segment_release_some(struct wal *wal, unsigned count)
{
    enum err err = ERR_OK;
    for (unsigned i = 0; i < count && err == ERR_OK && is_removable(wal); i++)
        err = remove_first(wal);
    return err;
}
