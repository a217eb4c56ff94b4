/*
 * The write-ahead log: wal/<16 hex>.wal, numbered from 1 without gaps, oldest first.
 *
 * A segment is a run of codec/record.h records, then zeros up to the reserved size. The first is
 * META: format version, whose log it is, hard state and snapshot mark as of then, so that older
 * segments can go. Every batch starts with a MARK that says how much of the segment was durable
 * when the batch was written.
 *
 * What a crash can leave, and what replay makes of it:
 *  - wal/next.spare: a segment prepared but not used; removed.
 *  - A last segment without a valid META: the crash came between rename and first sync. Removed;
 *    the one before it was durable as a whole before it was made.
 *  - Invalid bytes in the last segment with no MARK behind them that claims them durable: batches
 *    that were never synced, of which any part may have reached the disk. Cut.
 *  - Invalid bytes that a later MARK says were durable: damage, refused with file and offset.
 *  - Segments wholly behind a snapshot: the crash came before they were removed. Harmless.
 */
#include "storage/wal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pack.h"
#include "codec/raft_codec.h"
#include "storage/wal_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIRST_SEGMENT_BYTES (UINT64_C(4) << 20)
#define SEGMENT_BYTES (UINT64_C(16) << 20)
#define RECORD_BYTES_MAX (UINT64_C(64) << 20)
#define RELEASE_MAX 16 /* segments removed in one call */

void wal_segment_name(uint64_t number, char *out)
{
    (void)snprintf(out, WAL_NAME_MAX, "wal/%016" PRIx64 ".wal", number);
}

enum err wal_failed(struct wal *wal, enum err err, const char *what, const char *name)
{
    if (err != ERR_OK)
        (void)snprintf(wal->error, sizeof wal->error, "%s %s: %s", what, name,
                       wal->fs.ops->last_error(wal->fs.ctx));
    return err;
}

const char *wal_last_error(const struct wal *wal)
{
    return wal->error;
}

void wal_push_segment(struct wal *wal, uint64_t number)
{
    wal->segments = mem_grow(wal->segments, wal->segment_count, &wal->segment_cap,
                             sizeof *wal->segments);
    wal->segments[wal->segment_count++] = (struct wal_segment){.number = number};
}

static struct wal_segment *current(struct wal *wal)
{
    ASSERT(wal->segment_count > 0);
    return &wal->segments[wal->segment_count - 1];
}

static const char *current_name(struct wal *wal, char *name)
{
    wal_segment_name(current(wal)->number, name);
    return name;
}

void wal_put_meta(const struct wal *wal, uint64_t number, struct buf *out)
{
    size_t begin = record_begin(out, WAL_META, number, 0);
    pack_array(out, 6);
    pack_u64(out, WAL_FORMAT_VERSION);
    pack_u64(out, wal->meta.id);
    pack_str(out, wal->meta.cluster);
    raft_codec_put_hard_state(out, &wal->hard_state);
    pack_u64(out, wal->snapshot_index);
    pack_u64(out, wal->snapshot_term);
    record_end(out, begin);
}

/* ---- opening and closing -------------------------------------------------------------------------- */

enum err wal_open(const struct wal_options *options, struct wal **out,
                  struct wal_recovered *recovered, struct buf *why)
{
    struct wal *wal = mem_calloc(1, sizeof *wal);
    wal->fs = options->fs;
    wal->logger = options->logger;
    wal->options = *options;
    if (wal->options.first_segment_bytes == 0)
        wal->options.first_segment_bytes = FIRST_SEGMENT_BYTES;
    if (wal->options.segment_bytes == 0)
        wal->options.segment_bytes = SEGMENT_BYTES;
    if (wal->options.max_record_bytes == 0)
        wal->options.max_record_bytes = RECORD_BYTES_MAX;
    *recovered = (struct wal_recovered){0};
    enum err err = wal_failed(wal, wal->fs.ops->make_dir(wal->fs.ctx, "wal"), "make", "wal");
    if (err == ERR_OK)
        err = wal_replay(wal, recovered, why);
    if (err != ERR_OK) {
        if (why != NULL && why->len == 0)
            buf_printf(why, "%s", wal->error[0] != 0 ? wal->error : err_str(err));
        wal_recovered_deinit(recovered);
        wal_close(wal);
        return err;
    }
    *out = wal;
    return ERR_OK;
}

void wal_close(struct wal *wal)
{
    if (wal->file != NULL)
        wal->fs.ops->close(wal->fs.ctx, wal->file);
    if (wal->retired != NULL)
        wal->fs.ops->close(wal->fs.ctx, wal->retired);
    mem_free(wal->segments);
    buf_deinit(&wal->out);
    mem_free(wal);
}

void wal_recovered_deinit(struct wal_recovered *recovered)
{
    floe_entries_free(recovered->entries, recovered->entry_count);
    *recovered = (struct wal_recovered){0};
}

/* ---- segments ------------------------------------------------------------------------------------------ */

static enum err make_spare(struct wal *wal, uint64_t size)
{
    struct fs_file *file;
    enum err err = wal->fs.ops->open(wal->fs.ctx, WAL_SPARE, FS_OPEN_CREATE_FRESH, &file);
    if (err != ERR_OK)
        return wal_failed(wal, err, "create", WAL_SPARE);
    err = wal->fs.ops->allocate(wal->fs.ctx, file, size);
    wal->fs.ops->close(wal->fs.ctx, file);
    if (err != ERR_OK)
        return wal_failed(wal, err, "reserve", WAL_SPARE);
    wal->spare_ready = true;
    return ERR_OK;
}

/* Begins segment number with at least need bytes of room behind its META. */
static enum err begin_segment(struct wal *wal, uint64_t number, uint64_t need)
{
    struct buf head = {0};
    char name[WAL_NAME_MAX];
    wal_segment_name(number, name);
    wal_put_meta(wal, number, &head);
    uint64_t size = number == 1 ? wal->options.first_segment_bytes : wal->options.segment_bytes;
    bool large = need + head.len > size;
    size = large ? need + head.len : size;
    enum err err = wal->spare_ready && !large ? ERR_OK : make_spare(wal, size);
    if (err == ERR_OK)
        err = wal_failed(wal, wal->fs.ops->open(wal->fs.ctx, WAL_SPARE, FS_OPEN_WRITE, &wal->file),
                         "open", WAL_SPARE);
    if (err == ERR_OK)
        err = wal_failed(
            wal, wal->fs.ops->write(wal->fs.ctx, wal->file, 0, head.data, head.len), "write",
            WAL_SPARE);
    if (err == ERR_OK)
        err = wal_failed(wal, wal->fs.ops->rename(wal->fs.ctx, WAL_SPARE, name), "rename", name);
    if (err == ERR_OK)
        err = wal_failed(wal, wal->fs.ops->sync_dir(wal->fs.ctx, "wal"), "sync", "wal");
    wal->spare_ready = false;
    wal->offset = head.len;
    wal->size = size;
    wal->durable_offset = 0;
    buf_deinit(&head);
    if (err == ERR_OK)
        wal_push_segment(wal, number);
    return err;
}

enum err wal_create(struct wal *wal, const struct wal_meta *meta)
{
    ASSERT(wal->segment_count == 0);
    wal->meta = *meta;
    enum err err = begin_segment(wal, 1, 0);
    if (err == ERR_OK)
        err = wal_failed(wal, wal->fs.ops->sync(wal->fs.ctx, wal->file), "sync", "wal");
    if (err == ERR_OK)
        err = wal_failed(wal, wal->fs.ops->sync_dir(wal->fs.ctx, ""), "sync", "data directory");
    wal->durable_offset = wal->offset;
    return err;
}

/* The full segment is made durable before anything of the next one is written: so damage in any
 * but the last segment is never the work of a crash. Once in 16 MiB, this sync is waited for. */
static enum err rotate(struct wal *wal, uint64_t need)
{
    char name[WAL_NAME_MAX];
    enum err err = wal->fs.ops->sync(wal->fs.ctx, wal->file);
    if (err != ERR_OK)
        return wal_failed(wal, err, "sync", current_name(wal, name));
    wal->durable = wal->appended;
    if (wal->syncing) {
        ASSERT(wal->retired == NULL || wal->sync_offset == 0);
        if (wal->retired == NULL)
            wal->retired = wal->file;
        else
            wal->fs.ops->close(wal->fs.ctx, wal->file);
        wal->sync_offset = 0;
    } else {
        wal->fs.ops->close(wal->fs.ctx, wal->file);
    }
    wal->file = NULL;
    return begin_segment(wal, current(wal)->number + 1, need);
}

static enum err remove_oldest(struct wal *wal)
{
    char name[WAL_NAME_MAX];
    wal_segment_name(wal->segments[0].number, name);
    enum err err = wal_failed(wal, wal->fs.ops->remove(wal->fs.ctx, name), "remove", name);
    if (err == ERR_OK)
        err = wal_failed(wal, wal->fs.ops->sync_dir(wal->fs.ctx, "wal"), "sync", "wal");
    if (err != ERR_OK)
        return err;
    wal->segment_count--;
    memmove(wal->segments, wal->segments + 1, wal->segment_count * sizeof *wal->segments);
    return ERR_OK;
}

enum err wal_release(struct wal *wal, floe_index index)
{
    enum err err = ERR_OK;
    for (int i = 0; i < RELEASE_MAX && err == ERR_OK; i++) {
        if (wal->segment_count < 2 || wal->segments[0].last_index > index)
            return ERR_OK;
        err = remove_oldest(wal);
    }
    return err;
}

enum err wal_prepare(struct wal *wal)
{
    if (wal->spare_ready || wal->segment_count == 0 || wal->offset < wal->size / 2)
        return ERR_OK;
    return make_spare(wal, wal->options.segment_bytes);
}

uint64_t wal_segment_count(const struct wal *wal)
{
    return wal->segment_count;
}

/* ---- appending -------------------------------------------------------------------------------------------- */

/* Starts a batch in wal->out. */
static void begin_batch(struct wal *wal)
{
    buf_clear(&wal->out);
    size_t mark = record_begin(&wal->out, WAL_MARK, wal->durable_offset, current(wal)->number);
    record_end(&wal->out, mark);
}

/* Writes wal->out, in a new segment if it does not fit into this one. */
static enum err write_batch(struct wal *wal)
{
    if (wal->offset + wal->out.len > wal->size) {
        enum err err = rotate(wal, wal->out.len);
        if (err != ERR_OK)
            return err;
        /* the mark speaks of the segment that it stands in */
        struct buf mark = {0};
        size_t begin = record_begin(&mark, WAL_MARK, wal->durable_offset, current(wal)->number);
        record_end(&mark, begin);
        memcpy(wal->out.data, mark.data, mark.len);
        buf_deinit(&mark);
    }
    enum err err = wal->fs.ops->write(wal->fs.ctx, wal->file, wal->offset, wal->out.data,
                                      wal->out.len);
    if (err != ERR_OK) {
        char name[WAL_NAME_MAX];
        return wal_failed(wal, err, "write", current_name(wal, name));
    }
    wal->offset += wal->out.len;
    wal->appended += wal->out.len;
    return ERR_OK;
}

enum err wal_append(struct wal *wal, const struct floe_hard_state *hard_state,
                    const struct floe_entry *entries, size_t count)
{
    if (count == 0 && hard_state == NULL)
        return ERR_OK;
    begin_batch(wal);
    for (size_t i = 0; i < count; i++) {
        size_t begin = record_begin(&wal->out, WAL_ENTRY, entries[i].index, entries[i].term);
        raft_codec_put_entry(&wal->out, &entries[i]);
        record_end(&wal->out, begin);
    }
    if (hard_state != NULL) {
        size_t begin = record_begin(&wal->out, WAL_HARD_STATE, 0, hard_state->term);
        raft_codec_put_hard_state(&wal->out, hard_state);
        record_end(&wal->out, begin);
    }
    enum err err = write_batch(wal);
    if (err != ERR_OK)
        return err;
    if (hard_state != NULL)
        wal->hard_state = *hard_state;
    if (count > 0 && entries[count - 1].index > current(wal)->last_index)
        current(wal)->last_index = entries[count - 1].index;
    return ERR_OK;
}

enum err wal_mark_snapshot(struct wal *wal, floe_index index, floe_term term, bool keep_suffix)
{
    begin_batch(wal);
    size_t begin = record_begin(&wal->out, WAL_SNAPSHOT, index, term);
    buf_add_u8(&wal->out, keep_suffix ? 1 : 0);
    record_end(&wal->out, begin);
    enum err err = write_batch(wal);
    if (err != ERR_OK)
        return err;
    wal->snapshot_index = index;
    wal->snapshot_term = term;
    if (!keep_suffix) /* entries behind the snapshot are void: segments need not wait for them */
        for (size_t i = 0; i < wal->segment_count; i++)
            if (wal->segments[i].last_index > index)
                wal->segments[i].last_index = index;
    return ERR_OK;
}

/* ---- syncing -------------------------------------------------------------------------------------------------- */

uint64_t wal_appended(const struct wal *wal)
{
    return wal->appended;
}

uint64_t wal_durable(const struct wal *wal)
{
    return wal->durable;
}

bool wal_sync_in_flight(const struct wal *wal)
{
    return wal->syncing;
}

enum err wal_sync_start(struct wal *wal)
{
    if (wal->syncing || wal->appended == wal->durable)
        return ERR_OK;
    wal->sync_token++;
    wal->sync_appended = wal->appended;
    wal->sync_offset = wal->offset;
    wal->syncing = true;
    enum err err = wal->fs.ops->sync_start(
        wal->fs.ctx, wal->file, WAL_TOKEN_BASE + (wal->sync_token & 0xffffffff));
    if (err != ERR_OK) {
        char name[WAL_NAME_MAX];
        wal->syncing = false;
        return wal_failed(wal, err, "sync", current_name(wal, name));
    }
    return ERR_OK;
}

enum err wal_sync_finished(struct wal *wal, uint64_t token, enum err outcome)
{
    ASSERT(wal->syncing && token == WAL_TOKEN_BASE + (wal->sync_token & 0xffffffff));
    wal->syncing = false;
    if (wal->retired != NULL) {
        wal->fs.ops->close(wal->fs.ctx, wal->retired);
        wal->retired = NULL;
    }
    if (outcome != ERR_OK) {
        char name[WAL_NAME_MAX];
        return wal_failed(wal, outcome, "sync", current_name(wal, name));
    }
    if (wal->sync_appended > wal->durable)
        wal->durable = wal->sync_appended;
    if (wal->sync_offset > wal->durable_offset)
        wal->durable_offset = wal->sync_offset;
    return ERR_OK;
}

enum err wal_sync_now(struct wal *wal)
{
    if (wal->file == NULL)
        return ERR_OK;
    enum err err = wal->fs.ops->sync(wal->fs.ctx, wal->file);
    if (err != ERR_OK) {
        char name[WAL_NAME_MAX];
        return wal_failed(wal, err, "sync", current_name(wal, name));
    }
    wal->durable = wal->appended;
    wal->durable_offset = wal->offset;
    return ERR_OK;
}
