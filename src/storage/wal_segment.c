/*
 * The files of the log: their names, the one that is written, how the next one begins, and the
 * removal of old ones. Which crash leaves what is told in wal.h.
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
    if (wal->is_frugal)
        return wal_room_unit(wal);
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
static enum err name_spare(struct wal *wal, const struct wal_spare *spare, uint64_t number,
                           const struct buf *head)
{
    const struct fs_ops *ops = wal->fs.ops;
    char from[WAL_PATH_MAX];
    char to[WAL_PATH_MAX];
    wal_segment_path(from, spare->name, true);
    wal_segment_path(to, number, false);
    if (ops->write(wal->fs.ctx, spare->file, 0, head->data, head->len) != ERR_OK)
        return wal_fail(wal, "write", from);
    if (number == 1 && ops->sync(wal->fs.ctx, spare->file) != ERR_OK)
        return wal_fail(wal, "sync", from); /* a log without a head would be a riddle at start */
    if (ops->rename(wal->fs.ctx, from, to) != ERR_OK)
        return wal_fail(wal, "rename", from);
    return ERR_OK;
}

static void push_spare(struct wal *wal, const struct wal_spare *spare, uint64_t number,
                       size_t head_bytes)
{
    wal_segment_push(wal, &(struct wal_segment){.number = number,
                                                .base = wal_end(wal),
                                                .end = head_bytes,
                                                .head_bytes = head_bytes,
                                                .limit = spare->limit,
                                                .reserved = spare->reserved,
                                                .file = spare->file});
    wal_spare_forget_first(wal);
    wal->names_dirty = true;
}

/* Keeps the place of the record that closes the last segment, for when the next one is durable. A
 * full segment of an earlier version, or one that grows on a full disk, may have no room for it: it
 * goes without then, since a write that fails is final. */
static void keep_place_for_closing(struct wal *wal)
{
    if (wal->segment_count == 0)
        return;
    struct wal_segment *segment = wal_segment_current(wal);
    uint64_t end = segment->end + WAL_NEXT_BYTES;
    segment->closing = end <= segment->reserved ||
                       wal->fs.ops->allocate(wal->fs.ctx, segment->file, end) == ERR_OK;
    if (segment->closing)
        segment->end = end;
}

enum err wal_segment_rotate(struct wal *wal, uint64_t extra)
{
    enum err err = wal_segment_flush(wal);
    if (err != ERR_OK)
        return err;
    keep_place_for_closing(wal);
    uint64_t number = wal->segment_count > 0 ? wal_segment_current(wal)->number + 1 : 1;
    struct wal_head head = head_now(wal, number);
    struct buf bytes = {0};
    wal_record_put_head(&bytes, wal_end(wal), wal->durable, &head);
    err = wal_spare_ensure(wal, number, bytes.len + extra + WAL_NEXT_BYTES);
    if (err == ERR_OK) {
        const struct wal_spare *spare = &wal->spares[0];
        head.reserved = spare->reserved; /* in place of the largest number: not more bytes */
        head.recycled = spare->recycled;
        buf_clear(&bytes);
        wal_record_put_head(&bytes, wal_end(wal), wal->durable, &head);
        err = name_spare(wal, spare, number, &bytes);
    }
    if (err == ERR_OK)
        push_spare(wal, &wal->spares[0], number, bytes.len);
    buf_deinit(&bytes);
    return err;
}

enum err wal_segment_maybe_close(struct wal *wal, struct wal_segment *segment)
{
    if (!segment->closing)
        return ERR_OK;
    ASSERT(segment != wal_segment_current(wal) && segment->end > WAL_NEXT_BYTES);
    ASSERT(segment[1].synced >= segment[1].head_bytes);
    uint64_t offset = segment->end - WAL_NEXT_BYTES;
    struct buf bytes = {0};
    wal_record_put_next(&bytes, segment->base + offset, wal->durable, segment->number + 1);
    enum err err =
        wal->fs.ops->write(wal->fs.ctx, segment->file, offset, bytes.data, bytes.len);
    buf_deinit(&bytes);
    if (err != ERR_OK) {
        char path[WAL_PATH_MAX];
        wal_segment_path(path, segment->number, false);
        return wal_fail(wal, "write", path);
    }
    segment->closing = false;
    return ERR_OK;
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

/* Out of the log under a segment's name, into the spares if it is of use there. */
static enum err retire_name(struct wal *wal, const struct wal_segment *segment, bool recycle)
{
    const struct fs_ops *ops = wal->fs.ops;
    char path[WAL_PATH_MAX];
    char spare[WAL_PATH_MAX];
    wal_segment_path(path, segment->number, false);
    wal_segment_path(spare, segment->number, true);
    if (!recycle)
        return ops->remove(wal->fs.ctx, path) == ERR_OK ? ERR_OK
                                                        : wal_note_error(wal, "remove", path);
    return ops->rename(wal->fs.ctx, path, spare) == ERR_OK ? ERR_OK
                                                           : wal_note_error(wal, "rename", path);
}

/* One directory sync each, so that no file system can forget the older removal and keep the newer:
 * that would be a gap. And before the file is written anew: under its old name that would be a
 * damaged segment. */
static enum err remove_first(struct wal *wal)
{
    struct wal_segment first = wal->segments[0];
    bool recycle = wal_spare_wants(wal, &first);
    enum err err = retire_name(wal, &first, recycle);
    if (err != ERR_OK)
        return err;
    if (first.file != NULL)
        wal->fs.ops->close(wal->fs.ctx, first.file);
    wal->segment_count--;
    memmove(wal->segments, wal->segments + 1, wal->segment_count * sizeof first);
    wal->spare_refused = false; /* now there may be room */
    if (wal->fs.ops->sync_dir(wal->fs.ctx, "wal") != ERR_OK)
        return wal_fail(wal, "sync directory", "wal");
    if (recycle)
        wal_spare_recycle(wal, &first);
    return ERR_OK;
}

enum err wal_segment_release_some(struct wal *wal, unsigned count)
{
    enum err err = ERR_OK;
    for (unsigned i = 0; i < count && err == ERR_OK && is_removable(wal); i++)
        err = remove_first(wal);
    return err;
}
