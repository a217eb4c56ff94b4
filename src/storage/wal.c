/* The calls of the log's owner; what they write and what a crash makes of it is told in wal.h. */
#include "storage/wal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "storage/wal_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define FIRST_SEGMENT_BYTES (UINT64_C(4) << 20)
#define SEGMENT_BYTES (UINT64_C(16) << 20)
#define SHORT_SEGMENT_BYTES (UINT64_C(1) << 20)
#define RECORD_BYTES_MAX (UINT64_C(64) << 20)
#define RELEASE_COUNT 2 /* files a call; each costs a sync of the directory */

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value != 0 ? value : fallback;
}

enum err wal_open(const struct wal_options *options, struct wal **out,
                  struct wal_recovered *recovered, struct buf *why)
{
    struct wal *wal = mem_calloc(1, sizeof *wal);
    wal->fs = options->fs;
    wal->logger = options->logger;
    wal->first_segment_bytes = or_default(options->first_segment_bytes, FIRST_SEGMENT_BYTES);
    wal->segment_bytes = or_default(options->segment_bytes, SEGMENT_BYTES);
    wal->short_segment_bytes = or_default(options->short_segment_bytes, SHORT_SEGMENT_BYTES);
    wal->max_record_bytes = or_default(options->max_record_bytes, RECORD_BYTES_MAX);
    ASSERT(wal->max_record_bytes < WAL_SEGMENT_FILE_MAX / 2);
    struct wal_recovered found = {0};
    struct buf text = {0};
    enum err err = wal_replay(wal, &found, &text);
    if (err != ERR_OK) {
        if (why != NULL)
            buf_add(why, text.data, text.len);
        wal_recovered_deinit(&found);
        wal_close(wal);
    } else {
        *recovered = found;
        *out = wal;
    }
    buf_deinit(&text);
    return err;
}

void wal_close(struct wal *wal)
{
    for (size_t i = 0; i < wal->segment_count; i++)
        if (wal->segments[i].file != NULL)
            wal->fs.ops->close(wal->fs.ctx, wal->segments[i].file);
    wal_spare_close_all(wal);
    mem_free(wal->segments);
    buf_deinit(&wal->out);
    mem_free(wal);
}

void wal_recovered_deinit(struct wal_recovered *recovered)
{
    floe_entries_free(recovered->entries, recovered->entry_count);
    floe_entries_free(recovered->older, recovered->older_count);
    *recovered = (struct wal_recovered){0};
}

enum err wal_create(struct wal *wal, const struct wal_meta *meta)
{
    ASSERT(wal->segment_count == 0 && meta->id != FLOE_ID_NONE);
    if (wal->failed)
        return ERR_IO;
    const struct fs_ops *ops = wal->fs.ops;
    if (ops->make_dir(wal->fs.ctx, "wal") != ERR_OK)
        return wal_fail(wal, "create", "wal");
    if (ops->sync_dir(wal->fs.ctx, "") != ERR_OK)
        return wal_fail(wal, "sync directory", ".");
    wal->meta = *meta;
    enum err err = wal_segment_rotate(wal, 0);
    if (err != ERR_OK)
        return err;
    wal->segments[0].synced = wal->segments[0].end; /* it was, before its name */
    if (ops->sync_dir(wal->fs.ctx, "wal") != ERR_OK)
        return wal_fail(wal, "sync directory", "wal");
    wal->names_dirty = false;
    wal->durable = wal_end(wal);
    return ERR_OK;
}

/* ---- appending ------------------------------------------------------------------------------- */

/* Fails before anything is changed. */
static enum err check_writable(struct wal *wal)
{
    if (wal->failed)
        return ERR_IO;
    if (wal->segment_count > 0)
        return ERR_OK;
    (void)snprintf(wal->error, sizeof wal->error, "append: the log was not created yet");
    return ERR_INVALID;
}

static enum err check_sizes(struct wal *wal, const struct floe_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = floe_blob_size(entries[i].data);
        if (size <= wal->max_record_bytes - WAL_RECORD_OVERHEAD_BYTES)
            continue;
        (void)snprintf(wal->error, sizeof wal->error,
                       "append: entry %" PRIu64 " has %zu bytes, more than a record may have",
                       entries[i].index, size);
        return ERR_TOO_LARGE;
    }
    return ERR_OK;
}

/* Rotates if a record of size bytes at most does not fit; a segment with nothing but its head takes
 * any record. One that could only grow ends where its reserved part does as soon as there is
 * another: what wal_has_room has promised lies there. */
static enum err make_room(struct wal *wal, uint64_t size)
{
    const struct wal_segment *segment = wal_segment_current(wal);
    uint64_t used = segment->end + wal->out.len;
    bool grows = segment->reserved < segment->limit && wal->spare_count > 0;
    uint64_t limit = grows ? segment->reserved : segment->limit;
    if (used + size + WAL_NEXT_BYTES <= limit || (used == segment->head_bytes && !grows))
        return ERR_OK;
    return wal_segment_rotate(wal, size);
}

static enum err add_entry(struct wal *wal, const struct floe_entry *entry)
{
    ASSERT(entry->index > wal->mark_index && entry->index <= wal->last_index + 1);
    enum err err = make_room(wal, WAL_RECORD_OVERHEAD_BYTES + floe_blob_size(entry->data));
    if (err != ERR_OK)
        return err;
    wal_record_put_entry(&wal->out, wal_next_position(wal), wal->durable, entry);
    wal_segment_note_entry(wal, entry->index);
    return ERR_OK;
}

static enum err add_state(struct wal *wal, const struct floe_hard_state *hs)
{
    enum err err = make_room(wal, WAL_RECORD_OVERHEAD_BYTES);
    if (err != ERR_OK)
        return err;
    wal_record_put_state(&wal->out, wal_next_position(wal), wal->durable, hs);
    wal->hard_state = *hs;
    return ERR_OK;
}

enum err wal_append(struct wal *wal, const struct floe_hard_state *hard_state,
                    const struct floe_entry *entries, size_t count)
{
    enum err err = check_writable(wal);
    if (err == ERR_OK)
        err = check_sizes(wal, entries, count);
    if (err != ERR_OK)
        return err;
    ASSERT(wal->out.len == 0);
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = add_entry(wal, &entries[i]);
    if (err == ERR_OK && hard_state != NULL)
        err = add_state(wal, hard_state);
    return err == ERR_OK ? wal_segment_flush(wal) : err;
}

enum err wal_mark_snapshot(struct wal *wal, floe_index index, floe_term term, bool keep_suffix)
{
    enum err err = check_writable(wal);
    if (err != ERR_OK)
        return err;
    ASSERT(index >= wal->mark_index && wal->out.len == 0);
    err = make_room(wal, WAL_RECORD_OVERHEAD_BYTES);
    if (err != ERR_OK)
        return err;
    struct floe_snapshot mark = {.index = index, .term = term};
    wal_record_put_mark(&wal->out, wal_next_position(wal), wal->durable, &mark, keep_suffix);
    wal->mark_index = index;
    wal->mark_term = term;
    wal->mark_end = wal_next_position(wal);
    wal_segment_note_mark(wal, index, keep_suffix);
    return wal_segment_flush(wal);
}

/* ---- positions, upkeep ----------------------------------------------------------------------- */

uint64_t wal_appended(const struct wal *wal)
{
    ASSERT(wal_end(wal) >= wal->opened_at);
    return wal_end(wal) - wal->opened_at;
}

uint64_t wal_durable(const struct wal *wal)
{
    ASSERT(wal->durable >= wal->opened_at && wal->durable <= wal_end(wal));
    return wal->durable - wal->opened_at;
}

enum err wal_release(struct wal *wal, floe_index index)
{
    if (index > wal->release_index)
        wal->release_index = index;
    return wal->failed ? ERR_IO : wal_segment_release_some(wal, RELEASE_COUNT);
}

enum err wal_prepare(struct wal *wal)
{
    if (wal->failed)
        return ERR_IO;
    if (wal->segment_count == 0)
        return ERR_OK;
    enum err err = wal_segment_release_some(wal, 1); /* what wal_release left over */
    return err == ERR_OK ? wal_segment_maybe_prepare(wal) : err;
}

bool wal_take_space_hint(struct wal *wal)
{
    /* what the newest mark covers goes without another snapshot */
    if (!wal->space_hint || wal->segment_count < 2 ||
        wal->segments[0].max_index <= wal->mark_index)
        return false;
    wal->space_hint = false;
    return true;
}

bool wal_is_short(const struct wal *wal)
{
    return wal->is_short;
}

uint64_t wal_segment_count(const struct wal *wal)
{
    return wal->segment_count;
}

const char *wal_last_error(const struct wal *wal)
{
    return wal->error;
}
