/*
 * Group commit: one sync at a time covers everything appended before it. When that spans segments
 * the directory is synced first, then their files one after the other, youngest first, so that
 * durable moves only once all of it would survive. The record that closes a segment is written when
 * its turn comes: by then the segment it names is durable.
 */
#include "base/assert.h"
#include "storage/wal_internal.h"

bool wal_sync_in_flight(const struct wal *wal)
{
    return wal->sync.in_flight;
}

static enum err sync_names(struct wal *wal)
{
    if (!wal->names_dirty)
        return ERR_OK;
    if (wal->fs.ops->sync_dir(wal->fs.ctx, "wal") != ERR_OK)
        return wal_fail(wal, "sync directory", "wal");
    wal->names_dirty = false;
    return ERR_OK;
}

static enum err fail_segment(struct wal *wal, const struct wal_segment *segment)
{
    char path[WAL_PATH_MAX];
    wal_segment_path(path, segment->number, false);
    return wal_fail(wal, "sync", path);
}

/* The youngest segment with bytes below position that no sync has covered; NULL: none. */
static struct wal_segment *next_unsynced(struct wal *wal, uint64_t position)
{
    for (size_t i = wal->segment_count; i > 0; i--) {
        struct wal_segment *segment = &wal->segments[i - 1];
        if (segment->synced < segment->end && segment->base + segment->synced < position)
            return segment;
    }
    return NULL;
}

static void close_retired(struct wal *wal)
{
    ASSERT(!wal->sync.in_flight);
    for (size_t i = 0; i + 1 < wal->segment_count; i++) {
        struct wal_segment *segment = &wal->segments[i];
        if (segment->file == NULL || segment->synced < segment->end)
            continue;
        wal->fs.ops->close(wal->fs.ctx, segment->file);
        segment->file = NULL;
    }
}

static void set_durable(struct wal *wal, uint64_t position)
{
    ASSERT(position <= wal_end(wal));
    if (position > wal->durable)
        wal->durable = position;
}

/* The next file of the batch, or the end of it. */
static enum err continue_sync(struct wal *wal)
{
    struct wal_sync *sync = &wal->sync;
    struct wal_segment *segment = next_unsynced(wal, sync->target);
    if (segment == NULL) {
        sync->in_flight = false;
        set_durable(wal, sync->target);
        close_retired(wal);
        return ERR_OK;
    }
    ASSERT(segment->file != NULL);
    enum err err = wal_segment_maybe_close(wal, segment);
    if (err != ERR_OK)
        return err;
    sync->in_flight = true;
    sync->number = segment->number;
    sync->upto = segment->end;
    sync->token = WAL_TOKEN_BASE + (segment->number & 0xffff);
    if (wal->fs.ops->sync_start(wal->fs.ctx, segment->file, sync->token) == ERR_OK)
        return ERR_OK;
    sync->in_flight = false;
    return fail_segment(wal, segment);
}

enum err wal_sync_start(struct wal *wal)
{
    ASSERT(wal->out.len == 0 || wal->failed);
    if (wal->failed)
        return ERR_IO;
    if (wal->sync.in_flight || wal_end(wal) == wal->durable)
        return ERR_OK;
    enum err err = sync_names(wal);
    if (err != ERR_OK)
        return err;
    wal->sync.target = wal_end(wal);
    return continue_sync(wal);
}

enum err wal_sync_finished(struct wal *wal, uint64_t token, enum err outcome)
{
    ASSERT(wal->sync.in_flight && token == wal->sync.token);
    wal->sync.in_flight = false;
    ASSERT(wal->sync.number >= wal->segments[0].number);
    size_t at = (size_t)(wal->sync.number - wal->segments[0].number);
    ASSERT(at < wal->segment_count);
    struct wal_segment *segment = &wal->segments[at];
    if (outcome != ERR_OK)
        return fail_segment(wal, segment);
    if (wal->failed)
        return ERR_IO;
    if (segment->synced < wal->sync.upto)
        segment->synced = wal->sync.upto;
    return continue_sync(wal);
}

static enum err sync_all(struct wal *wal)
{
    enum err err = sync_names(wal);
    struct wal_segment *segment;
    while (err == ERR_OK && (segment = next_unsynced(wal, wal_end(wal))) != NULL) {
        err = wal_segment_maybe_close(wal, segment);
        if (err == ERR_OK && wal->fs.ops->sync(wal->fs.ctx, segment->file) != ERR_OK)
            err = fail_segment(wal, segment);
        segment->synced = segment->end;
    }
    if (err != ERR_OK)
        return err;
    set_durable(wal, wal_end(wal));
    if (!wal->sync.in_flight)
        close_retired(wal);
    return ERR_OK;
}

/* Behind the last records stands one more that tells that they were durable: after an orderly stop
 * any damage in front of it is seen as damage. A full disk is no reason not to stop. */
enum err wal_sync_now(struct wal *wal)
{
    if (wal->failed)
        return ERR_IO;
    if (wal->segment_count == 0 || (wal->durable == wal_end(wal) && wal->sealed_at == wal->durable))
        return ERR_OK;
    enum err err = sync_all(wal);
    if (err != ERR_OK)
        return err;
    if (!wal_has_room(wal, WAL_ROOM_PER_ENTRY, WAL_ROOM_PER_ENTRY))
        return ERR_OK;
    err = wal_append(wal, &wal->hard_state, NULL, 0);
    if (err == ERR_OK)
        err = sync_all(wal);
    wal->sealed_at = wal_end(wal);
    return err;
}
