/*
 * Reading the log back: every segment from the oldest on, record by record, into the state that
 * the owner gets. Where a record is not valid, reading stops and wal_damage.c decides.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "codec/raft_codec.h"
#include "storage/wal_internal.h"

#include <inttypes.h>
#include <string.h>

/* ---- what records do ------------------------------------------------------------------------- */

/* A valid record that makes no sense: no crash does that. */
static enum err refuse(struct wal_replay *replay, uint64_t number, uint64_t offset,
                       const char *reason)
{
    char path[WAL_PATH_MAX];
    wal_segment_path(path, number, false);
    buf_printf(replay->why, "%s: damaged at offset %" PRIu64 ": %s", path, offset, reason);
    return ERR_CORRUPT;
}

/* A file that is shorter than it was when a sync of it returned has lost its end, even where only
 * zeros were: nobody can say what stood there. */
static enum err check_lengths(struct wal_replay *replay)
{
    const struct wal *wal = replay->wal;
    for (size_t i = 0; i < wal->segment_count; i++) {
        const struct wal_segment *segment = &wal->segments[i];
        bool synced = replay->proven > segment->base || (i > 0 && segment[-1].closed);
        if (segment->file_bytes >= segment->reserved || !synced)
            continue;
        char path[WAL_PATH_MAX];
        wal_segment_path(path, segment->number, false);
        buf_printf(replay->why,
                   "%s: damaged at offset %" PRIu64 ": the file ends there, but it was written "
                   "safely with %" PRIu64 " bytes",
                   path, segment->file_bytes, segment->reserved);
        return ERR_CORRUPT;
    }
    return ERR_OK;
}

/* A closing record that is not there, though a sync of it had returned. */
static enum err check_closings(struct wal_replay *replay)
{
    const struct wal *wal = replay->wal;
    for (size_t i = 0; i < wal->segment_count; i++) {
        const struct wal_segment *segment = &wal->segments[i];
        if (segment->closing && replay->proven > wal->segments[i + 1].base)
            return refuse(replay, segment->number, segment->end - WAL_NEXT_BYTES,
                          "no valid closing record, though a later one shows that it was written");
    }
    return ERR_OK;
}

static enum err refuse_missing(struct wal_replay *replay)
{
    const struct wal_segment *last = wal_segment_current(replay->wal);
    char path[WAL_PATH_MAX];
    char missing[WAL_PATH_MAX];
    wal_segment_path(path, last->number, false);
    wal_segment_path(missing, last->number + 1, false);
    buf_printf(replay->why,
               "%s: missing: %s says at offset %" PRIu64 " that the log continues there", missing,
               path, last->end - WAL_NEXT_BYTES);
    return ERR_CORRUPT;
}

static enum err refuse_version(struct wal_replay *replay, uint64_t number)
{
    char path[WAL_PATH_MAX];
    wal_segment_path(path, number, false);
    buf_printf(replay->why, "%s: written by a newer version of floe (this one reads format %d)",
               path, WAL_FORMAT_VERSION);
    return ERR_VERSION;
}

static void drop_entries_before(struct wal_recovered *out, size_t count)
{
    ASSERT(count <= out->entry_count);
    for (size_t i = 0; i < count; i++)
        floe_entry_deinit(&out->entries[i]);
    out->entry_count -= count;
    if (count > 0 && out->entry_count > 0)
        memmove(out->entries, out->entries + count, out->entry_count * sizeof *out->entries);
}

static void cut_entries_from(struct wal_recovered *out, floe_index index)
{
    while (out->entry_count > 0 && out->entries[out->entry_count - 1].index >= index)
        floe_entry_deinit(&out->entries[--out->entry_count]);
}

static const char *apply_entry(struct wal_replay *replay, const struct wal_view *view)
{
    struct wal *wal = replay->wal;
    struct wal_recovered *out = replay->out;
    if (view->index <= wal->mark_index || view->index > wal->last_index + 1)
        return "an entry does not continue the log";
    struct floe_entry entry;
    if (wal_record_get_entry(view, &entry) != ERR_OK)
        return "an entry cannot be read";
    cut_entries_from(out, entry.index);
    wal_segment_note_entry(wal, entry.index);
    out->entries = mem_grow(out->entries, out->entry_count, &replay->entry_cap,
                            sizeof *out->entries);
    out->entries[out->entry_count++] = entry;
    return NULL;
}

static const char *apply_state(struct wal_replay *replay, const struct wal_view *view)
{
    struct floe_hard_state hs;
    if (raft_codec_get_hard_state(view->body, view->body_len, &hs) != ERR_OK)
        return "a hard state cannot be read";
    replay->wal->hard_state = hs;
    return NULL;
}

static const char *apply_mark(struct wal_replay *replay, const struct wal_view *view)
{
    struct wal *wal = replay->wal;
    struct wal_recovered *out = replay->out;
    if (view->body_len < 1 || view->index < wal->mark_index)
        return "a snapshot mark cannot be";
    bool keep_suffix = view->body[0] != 0;
    if (!keep_suffix || view->index > wal->last_index)
        drop_entries_before(out, out->entry_count);
    wal_segment_note_mark(wal, view->index, keep_suffix);
    wal->mark_index = view->index;
    wal->mark_term = view->term;
    return NULL;
}

static const char *apply_next(struct wal_replay *replay, const struct wal_view *view)
{
    struct wal_segment *segment = wal_segment_current(replay->wal);
    if (view->index != segment->number + 1 || view->used != WAL_NEXT_BYTES)
        return "a closing record that cannot be";
    segment->closed = true;
    return NULL;
}

static enum err apply(struct wal_replay *replay, const struct wal_view *view, uint64_t number,
                      uint64_t offset)
{
    const char *reason = NULL;
    if (view->type == WAL_RECORD_ENTRY)
        reason = apply_entry(replay, view);
    else if (view->type == WAL_RECORD_STATE)
        reason = apply_state(replay, view);
    else if (view->type == WAL_RECORD_MARK)
        reason = apply_mark(replay, view);
    else if (view->type == WAL_RECORD_NEXT)
        reason = apply_next(replay, view);
    else if (view->type == WAL_RECORD_HEAD)
        reason = "a segment's first record in its middle";
    else
        return refuse_version(replay, number);
    return reason == NULL ? ERR_OK : refuse(replay, number, offset, reason);
}

/* ---- one segment ----------------------------------------------------------------------------- */

static void break_at(struct wal_replay *replay, size_t at, uint64_t offset, const char *reason)
{
    struct wal *wal = replay->wal;
    ASSERT(!replay->broken.found);
    uint64_t base = at < wal->segment_count ? wal->segments[at].base : wal_end(wal);
    replay->broken = (struct wal_break){
        .found = true, .at = at, .offset = offset, .position = base + offset, .reason = reason};
}

static bool is_all_zero(const uint8_t *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static void note_proof(struct wal_replay *replay, const struct wal_view *view)
{
    if (view->durable > replay->proven)
        replay->proven = view->durable;
}

static enum err replay_records(struct wal_replay *replay, size_t at)
{
    struct wal *wal = replay->wal;
    struct wal_segment *segment = wal_segment_current(wal);
    const uint8_t *data = replay->data.data;
    size_t len = replay->data.len;
    while (len - segment->end >= RECORD_HEADER_BYTES && !record_is_blank(data + segment->end) &&
           !segment->closed) {
        struct wal_view view;
        if (wal_record_get(data + segment->end, len - (size_t)segment->end,
                           wal->max_record_bytes, &view) != ERR_OK ||
            view.position != segment->base + segment->end)
            break;
        enum err err = apply(replay, &view, segment->number, segment->end);
        if (err != ERR_OK)
            return err;
        note_proof(replay, &view);
        segment->end += view.used;
        ASSERT(segment->end <= len);
    }
    if (is_all_zero(data + segment->end, len - (size_t)segment->end))
        return ERR_OK;
    if (segment->recycled && !wal_damage_is_written(replay, segment))
        segment->stale_end = wal_damage_written_end(&replay->data, segment->end);
    else if (segment->closed)
        return refuse(replay, segment->number, segment->end, "it goes on behind its last record");
    else
        break_at(replay, at, segment->end, "no valid record");
    return ERR_OK;
}

static void take_head(struct wal *wal, const struct wal_head *head)
{
    wal->meta = head->meta;
    wal->hard_state = head->hard_state;
    wal->mark_index = head->mark_index;
    wal->mark_term = head->mark_term;
    wal->last_index = head->last_index;
}

/* A head repeats what was read before it; another one would be believed once the segments before
 * are removed. */
static bool head_agrees(const struct wal *wal, const struct wal_head *head)
{
    const struct floe_hard_state *hs = &head->hard_state;
    return head->last_index == wal->last_index && head->mark_index == wal->mark_index &&
           head->mark_term == wal->mark_term && hs->term == wal->hard_state.term &&
           hs->vote == wal->hard_state.vote && hs->commit == wal->hard_state.commit &&
           head->meta.id == wal->meta.id && strcmp(head->meta.cluster, wal->meta.cluster) == 0;
}

/* Nothing else has just this size: the process ended before it had closed the segment, or the power
 * before that was durable. To close it now takes no room from a disk that may be full. */
static void maybe_close_late(struct wal *wal, uint64_t position)
{
    struct wal_segment *segment = wal_segment_current(wal);
    uint64_t end = segment->end + WAL_NEXT_BYTES;
    segment->closing = !segment->closed && position == segment->base + end &&
                       end <= segment->file_bytes;
    if (segment->closing)
        segment->end = end;
}

/* Does the head fit behind what was read? Pushes the segment; else says what is broken. */
static enum err enter_segment(struct wal_replay *replay, size_t at, const struct wal_view *view,
                              const struct wal_head *head)
{
    struct wal *wal = replay->wal;
    uint64_t number = replay->numbers[at];
    if (at > 0)
        maybe_close_late(wal, view->position);
    bool closed = at > 0 && wal_segment_current(wal)->closed;
    if (at > 0 && view->position > wal_end(wal) && !closed) {
        break_at(replay, at - 1, wal_segment_current(wal)->end, "records at its end are missing");
        return ERR_OK;
    }
    if (at > 0 && (view->position != wal_end(wal) || !head_agrees(wal, head)))
        return refuse(replay, number, 0, "it does not continue the segment before it");
    if (at == 0)
        take_head(wal, head);
    note_proof(replay, view);
    wal_segment_push(wal, &(struct wal_segment){.number = number,
                                                .base = view->position,
                                                .end = view->used,
                                                .head_bytes = view->used,
                                                .reserved = head->reserved,
                                                .recycled = head->recycled,
                                                .file_bytes = replay->data.len});
    return replay_records(replay, at);
}

static enum err replay_segment(struct wal_replay *replay, size_t at)
{
    struct wal *wal = replay->wal;
    uint64_t number = replay->numbers[at];
    bool closed = at > 0 && wal_segment_current(wal)->closed;
    if (at > 0 && number != replay->numbers[at - 1] + 1) {
        if (closed)
            return refuse_missing(replay);
        break_at(replay, at - 1, wal_segment_current(wal)->end, "the segment behind it is missing");
        return ERR_OK;
    }
    enum err err = wal_replay_load(replay, number);
    if (err != ERR_OK)
        return err;
    struct wal_view view;
    struct wal_head head = {0};
    err = wal_record_get(replay->data.data, replay->data.len, wal->max_record_bytes, &view);
    if (err == ERR_OK)
        err = wal_record_get_head(&view, &head);
    if (err == ERR_VERSION)
        return refuse_version(replay, number);
    if (err == ERR_OK && head.number == number)
        return enter_segment(replay, at, &view, &head);
    if (at == 0 || closed)
        return refuse(replay, number, 0, "its first record is not valid");
    break_at(replay, at, 0, "its first record is not valid");
    return ERR_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum err check_complete(struct wal_replay *replay)
{
    const struct wal *wal = replay->wal;
    const struct wal_recovered *out = replay->out;
    floe_index first = out->entry_count > 0 ? out->entries[0].index : wal->last_index + 1;
    if (first == wal->mark_index + 1 || (out->entry_count > 0 && first <= wal->mark_index))
        return ERR_OK;
    char path[WAL_PATH_MAX];
    wal_segment_path(path, replay->numbers[0], false);
    buf_printf(replay->why,
               "%s: a gap at offset 0: entries %" PRIu64 " to %" PRIu64 " are missing before it",
               path, wal->mark_index + 1, first - 1);
    replay->good_index = wal->mark_index;
    return ERR_CORRUPT;
}

/* Room for what comes behind the last record. Without it the file is used as far as it goes, or
 * grows as it is written; but it gets the length that its head tells, which a crash may have kept
 * it from: as soon as something is synced behind it, a shorter file is damage. */
static enum err reserve_again(struct wal *wal, struct wal_segment *segment, struct fs_file *file,
                              const char *path)
{
    const struct fs_ops *ops = wal->fs.ops;
    uint64_t size = 0;
    if (ops->size(wal->fs.ctx, file, &size) != ERR_OK)
        return ERR_IO;
    uint64_t told = size > segment->reserved ? size : segment->reserved;
    /* a short one stays so: the rest may be what others have reserved, and lost in a power cut */
    segment->limit =
        told >= wal_room_unit(wal) ? told : wal_segment_whole(wal, segment->number);
    uint64_t want = told > segment->limit ? told : segment->limit;
    segment->reserved = size;
    if (size >= want)
        return ERR_OK;
    bool enough = ops->allocate(wal->fs.ctx, file, want) == ERR_OK;
    wal_segment_note_room(wal, path, enough);
    if (enough) {
        segment->reserved = want;
        return ERR_OK;
    }
    segment->limit = size > wal->short_segment_bytes ? size : wal->short_segment_bytes;
    return ops->truncate(wal->fs.ctx, file, told); /* a part may have been reserved */
}

/* What was read may be in the page cache only; from here on the owner counts on it. */
static enum err settle_segment(struct wal_replay *replay, struct wal_segment *segment, bool last)
{
    struct wal *wal = replay->wal;
    const struct fs_ops *ops = wal->fs.ops;
    segment->synced = segment->end;
    bool is_short = segment->file_bytes < segment->reserved;
    bool proven = segment->base + segment->end <= replay->proven;
    if (!last && !is_short && !segment->closing && proven)
        return ERR_OK;
    char path[WAL_PATH_MAX];
    wal_segment_path(path, segment->number, false);
    struct fs_file *file;
    if (ops->open(wal->fs.ctx, path, FS_OPEN_WRITE, &file) != ERR_OK)
        return wal_replay_fail(replay, "open", path);
    enum err err = ERR_OK;
    if (last)
        err = reserve_again(wal, segment, file, path);
    else if (is_short)
        err = ops->truncate(wal->fs.ctx, file, segment->reserved);
    if (err == ERR_OK && last)
        err = wal->fs.ops->zero(wal->fs.ctx, file, segment->end,
                                    segment->stale_end);
    segment->file = file;
    if (err == ERR_OK)
        err = wal_segment_maybe_close(wal, segment);
    if (err == ERR_OK)
        err = ops->sync(wal->fs.ctx, file);
    if (err == ERR_OK && last)
        return ERR_OK;
    segment->file = NULL;
    ops->close(wal->fs.ctx, file);
    return err == ERR_OK ? ERR_OK : wal_replay_fail(replay, "sync", path);
}

/* In the order of wal_sync.c. */
static enum err settle_files(struct wal_replay *replay)
{
    struct wal *wal = replay->wal;
    enum err err = ERR_OK;
    if (wal->fs.ops->sync_dir(wal->fs.ctx, "wal") != ERR_OK)
        err = wal_replay_fail(replay, "sync directory", "wal");
    for (size_t i = wal->segment_count; i > 0 && err == ERR_OK; i--)
        err = settle_segment(replay, &wal->segments[i - 1], i == wal->segment_count);
    wal->durable = wal_end(wal);
    wal->opened_at = wal->durable;
    return err;
}

/* How many of the entries lie at or before the mark. */
static size_t count_older(const struct wal_replay *replay)
{
    const struct wal_recovered *out = replay->out;
    size_t count = 0;
    while (count < out->entry_count && out->entries[count].index <= replay->wal->mark_index)
        count++;
    return count;
}

/* The entries as arrays that the library can free. */
static void hand_over(struct wal_replay *replay)
{
    const struct wal *wal = replay->wal;
    struct wal_recovered *out = replay->out;
    size_t older = count_older(replay);
    out->first_index = older > 0 ? out->entries[0].index - 1 : wal->mark_index;
    size_t count = out->entry_count - older;
    out->older = floe_entries_copy(out->entries, older);
    out->older_count = older;
    struct floe_entry *entries =
        count > 0 ? floe_entries_copy(out->entries + older, count) : NULL;
    drop_entries_before(out, out->entry_count);
    mem_free(out->entries);
    out->entries = entries;
    out->entry_count = count;
    out->meta = wal->meta;
    out->hard_state = wal->hard_state;
    out->snapshot_index = wal->mark_index;
    out->snapshot_term = wal->mark_term;
}

static enum err replay_all(struct wal_replay *replay)
{
    struct wal *wal = replay->wal;
    enum err err = wal_replay_list(replay);
    if (err != ERR_OK)
        return err;
    replay->out->fresh = replay->number_count == 0;
    if (replay->out->fresh)
        return wal_replay_spares(replay);
    for (size_t i = 0; i < replay->number_count && err == ERR_OK && !replay->broken.found; i++)
        err = replay_segment(replay, i);
    if (err == ERR_OK && !replay->broken.found && wal_segment_current(wal)->closed)
        err = refuse_missing(replay);
    if (err == ERR_OK)
        err = check_lengths(replay);
    if (err == ERR_OK)
        err = check_closings(replay);
    if (err == ERR_OK && replay->broken.found)
        err = wal_damage_settle(replay);
    if (err == ERR_OK)
        err = check_complete(replay);
    if (err == ERR_OK)
        err = settle_files(replay);
    return err == ERR_OK ? wal_replay_spares(replay) : err;
}

/* For who has to decide what becomes of a damaged log. */
static void say_what_is_good(struct wal_replay *replay)
{
    floe_index good = replay->wal->last_index;
    if (replay->good_index < good)
        good = replay->good_index;
    if (replay->wal->segment_count == 0)
        buf_printf(replay->why, "; nothing of the log can be read");
    else
        buf_printf(replay->why, "; the log is good up to index %" PRIu64, good);
}

enum err wal_replay(struct wal *wal, struct wal_recovered *out, struct buf *why)
{
    struct wal_replay replay = {.wal = wal, .out = out, .why = why, .good_index = UINT64_MAX};
    enum err err = replay_all(&replay);
    if (err == ERR_CORRUPT)
        say_what_is_good(&replay);
    hand_over(&replay);
    mem_free(replay.numbers);
    mem_free(replay.spares);
    buf_deinit(&replay.data);
    return err;
}
