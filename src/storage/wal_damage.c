/*
 * The log cannot be read on at some place: torn tail or damage? Each valid record tells what was
 * durable when it was written. If one that lies behind the place says that the place was, bytes
 * that were promised are gone, and nothing may be touched. If none does, nobody was ever told about
 * anything from the place on: it is cut.
 */
#include "base/assert.h"
#include "storage/wal_internal.h"

#include <inttypes.h>

/* Bytes that may be hashed in search of a record, for each byte that is searched. Only content made
 * on purpose gets there; it is then taken for damage. */
#define HASH_FACTOR 16

struct search {
    uint64_t min_durable; /* a record proves damage if it says more than this */
    uint64_t max_record_bytes;
    bool base_known;
    uint64_t base;
    uint64_t hash_budget;
    bool any_durable; /* in search of no proof, but of anything */
};

/* Could a record of ours begin here? Cheap, and false nearly everywhere. */
static bool is_plausible(const struct search *search, const uint8_t *data, size_t len, size_t at)
{
    const uint8_t *p = data + at;
    if (p[5] != RECORD_VERSION || p[6] != 0 || p[7] != 0 || p[4] == 0 || p[4] > WAL_RECORD_NEXT)
        return false;
    uint32_t payload_len = record_peek_payload_len(p);
    if (payload_len < WAL_PREFIX_BYTES || payload_len > search->max_record_bytes ||
        payload_len > len - at - RECORD_HEADER_BYTES)
        return false;
    uint64_t position = get_u64(p + RECORD_HEADER_BYTES);
    if (search->base_known ? position != search->base + at
                           : position < at || position - at < search->min_durable)
        return false;
    uint64_t durable = get_u64(p + RECORD_HEADER_BYTES + 8);
    return (search->any_durable || durable > search->min_durable) && durable <= position;
}

bool wal_damage_is_written(const struct wal_replay *replay, const struct wal_segment *segment)
{
    const struct buf *data = &replay->data;
    struct search search = {.max_record_bytes = replay->wal->max_record_bytes,
                            .base_known = true,
                            .base = segment->base,
                            .any_durable = true};
    size_t least = RECORD_HEADER_BYTES + WAL_PREFIX_BYTES;
    for (size_t at = (size_t)segment->end; at + least <= data->len; at++)
        if (is_plausible(&search, data->data, data->len, at))
            return true;
    return false;
}

/* Byte by byte, since records are not aligned. True: *found is the offset of the proof. */
static bool find_proof(struct search *search, const struct buf *data, uint64_t from,
                       uint64_t *found)
{
    size_t least = RECORD_HEADER_BYTES + WAL_PREFIX_BYTES;
    search->hash_budget = (uint64_t)data->len * HASH_FACTOR;
    for (size_t at = (size_t)from; at + least <= data->len; at++) {
        if (!is_plausible(search, data->data, data->len, at))
            continue;
        uint64_t cost = record_peek_payload_len(data->data + at);
        struct wal_view view;
        bool valid = wal_record_get(data->data + at, data->len - at, search->max_record_bytes,
                                    &view) == ERR_OK;
        if (valid || cost > search->hash_budget) {
            *found = at;
            return true;
        }
        search->hash_budget -= cost;
    }
    return false;
}

uint64_t wal_damage_written_end(const struct buf *data, uint64_t from)
{
    uint64_t end = data->len;
    while (end > from && data->data[end - 1] == 0)
        end--;
    return end > from ? end : from;
}

/* Looks through segment number at of the list; counts what would be cut. */
static enum err inspect(struct wal_replay *replay, size_t at, bool *proof, uint64_t *offset)
{
    const struct wal_break *broken = &replay->broken;
    enum err err = wal_replay_load(replay, replay->numbers[at]);
    if (err != ERR_OK)
        return err;
    uint64_t from = at == broken->at ? broken->offset : 0;
    struct search search = {.min_durable = broken->position,
                            .max_record_bytes = replay->wal->max_record_bytes,
                            .base_known = at == broken->at,
                            .base = broken->position - broken->offset};
    struct wal_view view;
    if (at > broken->at && wal_record_get(replay->data.data, replay->data.len,
                                          search.max_record_bytes, &view) == ERR_OK) {
        search.base_known = true;
        search.base = view.position;
    }
    *proof = find_proof(&search, &replay->data, from, offset);
    uint64_t written = wal_damage_written_end(&replay->data, from) - from;
    replay->out->torn_bytes += written;
    if (at == broken->at)
        replay->broken.end = from + written;
    return ERR_OK;
}

static enum err refuse_damage(struct wal_replay *replay, size_t at, uint64_t offset)
{
    const struct wal_break *broken = &replay->broken;
    char path[WAL_PATH_MAX];
    char proof[WAL_PATH_MAX];
    wal_segment_path(path, replay->numbers[broken->at], false);
    wal_segment_path(proof, replay->numbers[at], false);
    buf_printf(replay->why,
               "%s: damaged at offset %" PRIu64 ": %s, but a later record (%s offset %" PRIu64
               ") shows that this place had been written safely",
               path, broken->offset, broken->reason, proof, offset);
    return ERR_CORRUPT;
}

/* ---- cutting --------------------------------------------------------------------------------- */

/* Youngest first: a crash in between leaves no gap. */
static enum err remove_from(struct wal_replay *replay, size_t at)
{
    struct wal *wal = replay->wal;
    for (size_t i = replay->number_count; i > at; i--) {
        char path[WAL_PATH_MAX];
        wal_segment_path(path, replay->numbers[i - 1], false);
        if (wal->fs.ops->remove(wal->fs.ctx, path) != ERR_OK)
            return wal_replay_fail(replay, "remove", path);
        if (wal->fs.ops->sync_dir(wal->fs.ctx, "wal") != ERR_OK)
            return wal_replay_fail(replay, "sync directory", "wal");
    }
    return ERR_OK;
}

/* The length is what the segment's head promises. */
static enum err cut_file(struct wal_replay *replay, uint64_t number, uint64_t offset, uint64_t end)
{
    struct wal *wal = replay->wal;
    char path[WAL_PATH_MAX];
    wal_segment_path(path, number, false);
    struct fs_file *file;
    if (wal->fs.ops->open(wal->fs.ctx, path, FS_OPEN_WRITE, &file) != ERR_OK)
        return wal_replay_fail(replay, "open", path);
    enum err err = wal->fs.ops->zero(wal->fs.ctx, file, offset, end);
    if (err == ERR_OK)
        err = wal->fs.ops->sync(wal->fs.ctx, file);
    if (err != ERR_OK)
        err = wal_replay_fail(replay, "cut", path);
    wal->fs.ops->close(wal->fs.ctx, file);
    return err;
}

static enum err cut(struct wal_replay *replay)
{
    const struct wal_break *broken = &replay->broken;
    bool whole = broken->offset == 0;
    ASSERT(!whole || broken->at > 0);
    ASSERT(wal_end(replay->wal) == broken->position);
    ASSERT(!wal_segment_current(replay->wal)->closed); /* what it names stays */
    log_warn(replay->wal->logger, "torn tail cut segment=%016" PRIx64 " offset=%" PRIu64
             " bytes=%" PRIu64,
             replay->numbers[broken->at], broken->offset, replay->out->torn_bytes);
    enum err err = remove_from(replay, whole ? broken->at : broken->at + 1);
    if (err == ERR_OK && !whole)
        err = cut_file(replay, replay->numbers[broken->at], broken->offset, broken->end);
    return err;
}

enum err wal_damage_settle(struct wal_replay *replay)
{
    ASSERT(replay->broken.found);
    for (size_t i = replay->broken.at; i < replay->number_count; i++) {
        bool proof = false;
        uint64_t offset = 0;
        enum err err = inspect(replay, i, &proof, &offset);
        if (err != ERR_OK)
            return err;
        if (proof)
            return refuse_damage(replay, i, offset);
    }
    return cut(replay);
}
