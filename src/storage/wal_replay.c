/* Reading a log back: which segments there are, what their records say, and where the last one
 * ends. The head of wal.c says what may be found and why. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"
#include "codec/pack.h"
#include "codec/raft_codec.h"
#include "storage/wal_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct replay {
    struct wal *wal;
    struct buf *why;
    uint64_t *numbers; /* of the segments found */
    size_t number_count;
    size_t number_cap;
    bool has_meta;
    struct floe_entry *entries;
    size_t entry_count;
    size_t entry_cap;
    uint64_t torn_bytes;
};

static enum err refuse(struct replay *replay, enum err err, uint64_t number, uint64_t offset,
                       const char *what)
{
    char name[WAL_NAME_MAX];
    wal_segment_name(number, name);
    if (replay->why != NULL)
        buf_printf(replay->why, "%s offset %" PRIu64 ": %s", name, offset, what);
    return err;
}

/* ---- the folder ------------------------------------------------------------------------------- */

static void on_name(void *arg, const char *name, uint64_t size)
{
    (void)size;
    struct replay *replay = arg;
    size_t len = strlen(name);
    if (len != 20 || strcmp(name + 16, ".wal") != 0 || strspn(name, "0123456789abcdef") != 16)
        return;
    replay->numbers = mem_grow(replay->numbers, replay->number_count, &replay->number_cap,
                               sizeof *replay->numbers);
    replay->numbers[replay->number_count++] = strtoull(name, NULL, 16);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static enum err list_segments(struct replay *replay)
{
    struct wal *wal = replay->wal;
    enum err err = wal->fs.ops->list(wal->fs.ctx, "wal", on_name, replay);
    if (err != ERR_OK)
        return wal_failed(wal, err, "list", "wal");
    if (replay->number_count > 0)
        qsort(replay->numbers, replay->number_count, sizeof *replay->numbers, by_number);
    for (size_t i = 1; i < replay->number_count; i++)
        if (replay->numbers[i] != replay->numbers[i - 1] + 1)
            return refuse(replay, ERR_CORRUPT, replay->numbers[i - 1] + 1, 0,
                          "this segment is missing");
    err = wal->fs.ops->remove(wal->fs.ctx, WAL_SPARE);
    return err == ERR_NOT_FOUND ? ERR_OK : wal_failed(wal, err, "remove", WAL_SPARE);
}

static enum err read_segment(struct wal *wal, const char *name, struct fs_file **file,
                             struct buf *out)
{
    enum err err = wal->fs.ops->open(wal->fs.ctx, name, FS_OPEN_WRITE, file);
    uint64_t size = 0;
    if (err != ERR_OK)
        return wal_failed(wal, err, "open", name);
    err = wal->fs.ops->size(wal->fs.ctx, *file, &size);
    if (err == ERR_OK && size > wal->options.max_record_bytes * 4)
        err = ERR_CORRUPT;
    size_t got = 0;
    if (err == ERR_OK && size > 0)
        err = wal->fs.ops->read(wal->fs.ctx, *file, 0, buf_reserve(out, (size_t)size),
                                (size_t)size, &got);
    out->len = got;
    if (err != ERR_OK) {
        (void)wal_failed(wal, err, "read", name);
        wal->fs.ops->close(wal->fs.ctx, *file);
        *file = NULL;
    }
    return err;
}

/* ---- records ------------------------------------------------------------------------------------------ */

static enum err take_meta(struct replay *replay, uint64_t number, const struct record *record)
{
    struct wal *wal = replay->wal;
    struct unpack in = unpack_init(record->payload, record->payload_len);
    uint32_t fields = unpack_array(&in);
    uint64_t version = unpack_u64(&in);
    if (!in.failed && version > WAL_FORMAT_VERSION)
        return refuse(replay, ERR_VERSION, number, 0, "was written by a newer version of floe");
    struct wal_meta meta = {.id = unpack_u64(&in)};
    size_t len;
    const uint8_t *cluster = unpack_bin(&in, &len);
    uint32_t hs_fields = unpack_array(&in);
    struct floe_hard_state hs = {0};
    hs.term = unpack_u64(&in);
    hs.vote = unpack_u64(&in);
    hs.commit = unpack_u64(&in);
    unpack_rest(&in, hs_fields, 3);
    floe_index snapshot_index = unpack_u64(&in);
    floe_term snapshot_term = unpack_u64(&in);
    unpack_rest(&in, fields, 6);
    if (unpack_end(&in) != ERR_OK || len > WAL_CLUSTER_MAX || record->index != number)
        return refuse(replay, ERR_CORRUPT, number, 0, "its first record makes no sense");
    memcpy(meta.cluster, cluster, len);
    if (replay->has_meta)
        return ERR_OK; /* later segments repeat what their predecessors have said */
    replay->has_meta = true;
    wal->meta = meta;
    wal->hard_state = hs;
    wal->snapshot_index = snapshot_index;
    wal->snapshot_term = snapshot_term;
    return ERR_OK;
}

static void truncate_entries(struct replay *replay, size_t keep)
{
    while (replay->entry_count > keep)
        floe_entry_deinit(&replay->entries[--replay->entry_count]);
}

/* The newest record of an index wins and voids what was behind it. false: a gap. */
static bool place_entry(struct replay *replay, floe_index index)
{
    if (replay->entry_count == 0)
        return index <= replay->wal->snapshot_index + 1;
    floe_index first = replay->entries[0].index;
    if (index > first + replay->entry_count)
        return false;
    truncate_entries(replay, index > first ? (size_t)(index - first) : 0);
    return true;
}

static enum err take_entry(struct replay *replay, uint64_t number, uint64_t offset,
                           const struct record *record)
{
    struct floe_entry entry;
    if (raft_codec_get_entry(record->payload, record->payload_len, &entry) != ERR_OK ||
        entry.index != record->index || entry.term != record->term)
        return refuse(replay, ERR_CORRUPT, number, offset, "an entry makes no sense");
    if (!place_entry(replay, entry.index)) {
        floe_entry_deinit(&entry);
        return refuse(replay, ERR_CORRUPT, number, offset, "entries in front of this are missing");
    }
    replay->entries = mem_grow(replay->entries, replay->entry_count, &replay->entry_cap,
                               sizeof *replay->entries);
    replay->entries[replay->entry_count++] = entry;
    struct wal_segment *segment = &replay->wal->segments[replay->wal->segment_count - 1];
    if (entry.index > segment->last_index)
        segment->last_index = entry.index;
    return ERR_OK;
}

static enum err take_snapshot(struct replay *replay, const struct record *record)
{
    struct wal *wal = replay->wal;
    wal->snapshot_index = record->index;
    wal->snapshot_term = record->term;
    if (record->payload_len < 1 || record->payload[0] != 1)
        truncate_entries(replay, 0);
    return ERR_OK;
}

static enum err take_record(struct replay *replay, uint64_t number, uint64_t offset,
                            const struct record *record)
{
    if ((offset == 0) != (record->type == WAL_META))
        return refuse(replay, ERR_CORRUPT, number, offset, "a segment must begin with its META");
    switch ((enum wal_record_type)record->type) {
    case WAL_META: return take_meta(replay, number, record);
    case WAL_ENTRY: return take_entry(replay, number, offset, record);
    case WAL_SNAPSHOT: return take_snapshot(replay, record);
    case WAL_MARK: return ERR_OK;
    case WAL_HARD_STATE:
        if (raft_codec_get_hard_state(record->payload, record->payload_len,
                                      &replay->wal->hard_state) != ERR_OK)
            return refuse(replay, ERR_CORRUPT, number, offset, "a hard state makes no sense");
        return ERR_OK;
    }
    return refuse(replay, ERR_VERSION, number, offset, "a record of a newer version of floe");
}

/* ---- the end of a segment ---------------------------------------------------------------------------- */

static bool all_zero(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != 0)
            return false;
    return true;
}

/* Does a later batch say that what is at offset was durable? */
static bool was_durable(const struct replay *replay, uint64_t number, const struct buf *data,
                        size_t offset)
{
    struct record record;
    size_t used;
    for (size_t at = offset + 1; at + RECORD_HEADER_BYTES <= data->len; at++) {
        if (data->data[at + 4] != WAL_MARK || record_peek_payload_len(data->data + at) != 0)
            continue;
        if (record_get(data->data + at, data->len - at,
                       (size_t)replay->wal->options.max_record_bytes, &record, &used) == ERR_OK &&
            record.term == number && record.index > offset)
            return true;
    }
    return false;
}

/* Cuts the segment behind its last valid record, durably: no stale byte may come back to life
 * behind a new record. */
static enum err cut(struct wal *wal, uint64_t number, uint64_t offset)
{
    char name[WAL_NAME_MAX];
    wal_segment_name(number, name);
    enum err err = wal->fs.ops->truncate(wal->fs.ctx, wal->file, offset);
    if (err == ERR_OK)
        err = wal->fs.ops->allocate(wal->fs.ctx, wal->file, wal->size);
    if (err == ERR_OK)
        err = wal->fs.ops->sync(wal->fs.ctx, wal->file);
    return wal_failed(wal, err, "cut", name);
}

/* A last segment that has no first record: as if it had never been made. */
static enum err drop_unborn(struct wal *wal, uint64_t number)
{
    char name[WAL_NAME_MAX];
    wal_segment_name(number, name);
    wal->segment_count--;
    enum err err = wal_failed(wal, wal->fs.ops->remove(wal->fs.ctx, name), "remove", name);
    return err != ERR_OK ? err
                         : wal_failed(wal, wal->fs.ops->sync_dir(wal->fs.ctx, "wal"), "sync",
                                      "wal");
}

static enum err replay_records(struct replay *replay, uint64_t number, const struct buf *data,
                               size_t *end)
{
    size_t at = 0;
    struct record record;
    size_t used = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        *end = at;
        err = record_get(data->data + at, data->len - at,
                         (size_t)replay->wal->options.max_record_bytes, &record, &used);
        if (err == ERR_VERSION)
            return was_durable(replay, number, data, at)
                       ? refuse(replay, ERR_VERSION, number, at, "a record of a newer version")
                       : ERR_OK;
        if (err != ERR_OK)
            return ERR_OK; /* the caller judges what is behind *end */
        err = take_record(replay, number, at, &record);
        at += used;
    }
    return err;
}

static enum err replay_segment(struct replay *replay, uint64_t number, bool last)
{
    struct wal *wal = replay->wal;
    char name[WAL_NAME_MAX];
    struct buf data = {0};
    struct fs_file *file = NULL;
    size_t end = 0;
    wal_segment_name(number, name);
    wal_push_segment(wal, number);
    enum err err = read_segment(wal, name, &file, &data);
    if (err == ERR_OK)
        err = replay_records(replay, number, &data, &end);
    bool clean = err == ERR_OK && all_zero(data.data + end, data.len - end);
    if (err == ERR_OK && !clean && (!last || was_durable(replay, number, &data, end)))
        err = refuse(replay, ERR_CORRUPT, number, end, "a record that was durable is damaged");
    if (err == ERR_OK && end == 0 && !last)
        err = refuse(replay, ERR_CORRUPT, number, 0, "an old segment is empty");
    if (err != ERR_OK || !last || end == 0) {
        if (file != NULL)
            wal->fs.ops->close(wal->fs.ctx, file);
    } else {
        wal->file = file;
        wal->offset = end;
        wal->size = data.len;
    }
    if (err == ERR_OK && !clean)
        replay->torn_bytes = data.len - end;
    if (err == ERR_OK && last && end == 0)
        err = drop_unborn(wal, number);
    else if (err == ERR_OK && !clean)
        err = cut(wal, number, end);
    buf_deinit(&data);
    return err;
}

/* The last segment was never born: the one before it is written to again. */
static enum err reopen_last(struct replay *replay)
{
    struct wal *wal = replay->wal;
    if (wal->file != NULL || wal->segment_count == 0)
        return ERR_OK;
    uint64_t number = wal->segments[wal->segment_count - 1].number;
    char name[WAL_NAME_MAX];
    wal_segment_name(number, name);
    struct buf data = {0};
    enum err err = read_segment(wal, name, &wal->file, &data);
    size_t at = 0;
    struct record record;
    size_t used;
    while (err == ERR_OK && record_get(data.data + at, data.len - at,
                                       (size_t)wal->options.max_record_bytes, &record,
                                       &used) == ERR_OK)
        at += used;
    wal->offset = at;
    wal->size = data.len;
    buf_deinit(&data);
    return err;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static enum err hand_out(struct replay *replay, struct wal_recovered *out)
{
    struct wal *wal = replay->wal;
    size_t skip = 0;
    while (skip < replay->entry_count && replay->entries[skip].index <= wal->snapshot_index)
        floe_entry_deinit(&replay->entries[skip++]);
    size_t count = replay->entry_count - skip;
    if (count > 0 && replay->entries[skip].index != wal->snapshot_index + 1)
        return refuse(replay, ERR_CORRUPT, wal->segments[0].number, 0,
                      "entries behind the snapshot are missing");
    memmove(replay->entries, replay->entries + skip, count * sizeof *replay->entries);
    replay->entry_count = count;
    out->fresh = wal->segment_count == 0;
    out->meta = wal->meta;
    out->hard_state = wal->hard_state;
    out->snapshot_index = wal->snapshot_index;
    out->snapshot_term = wal->snapshot_term;
    out->entries = replay->entries;
    out->entry_count = count;
    out->torn_bytes = replay->torn_bytes;
    replay->entries = NULL;
    replay->entry_count = 0;
    return ERR_OK;
}

enum err wal_replay(struct wal *wal, struct wal_recovered *out, struct buf *why)
{
    struct replay replay = {.wal = wal, .why = why};
    enum err err = list_segments(&replay);
    for (size_t i = 0; i < replay.number_count && err == ERR_OK; i++)
        err = replay_segment(&replay, replay.numbers[i], i + 1 == replay.number_count);
    if (err == ERR_OK)
        err = reopen_last(&replay);
    if (err == ERR_OK && wal->segment_count == 0 && replay.number_count > 0 &&
        replay.numbers[0] != 1)
        err = refuse(&replay, ERR_CORRUPT, replay.numbers[0], 0, "the only segment is empty");
    if (err == ERR_OK && wal->file != NULL) /* what a killed process left in the page cache */
        err = wal_failed(wal, wal->fs.ops->sync(wal->fs.ctx, wal->file), "sync", "wal");
    wal->durable_offset = wal->offset;
    if (err == ERR_OK)
        err = hand_out(&replay, out);
    floe_entries_free(replay.entries, replay.entry_count);
    mem_free(replay.numbers);
    return err;
}
