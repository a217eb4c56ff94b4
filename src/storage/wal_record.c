/*
 * The bytes of the log's records: codec/record.h with a prefix of 16 bytes in each payload, the
 * record's own log position and the position known to be durable when it was written. The first
 * ties a record to its place, the second tells damage from a torn tail (see wal.h).
 */
#include "base/assert.h"
#include "codec/pack.h"
#include "codec/raft_codec.h"
#include "storage/wal_internal.h"

#include <string.h>

static size_t begin(struct buf *out, const struct record *record, uint64_t position,
                    uint64_t durable)
{
    ASSERT(durable <= position);
    size_t at = record_begin(out, record->type, record->index, record->term);
    uint8_t prefix[WAL_PREFIX_BYTES];
    put_u64(prefix, position);
    put_u64(prefix + 8, durable);
    buf_add(out, prefix, sizeof prefix);
    return at;
}

void wal_record_put_head(struct buf *out, uint64_t position, uint64_t durable,
                         const struct wal_head *head)
{
    struct record record = {.type = WAL_RECORD_HEAD, .index = head->number};
    size_t at = begin(out, &record, position, durable);
    pack_array(out, 11);
    pack_u64(out, WAL_FORMAT_VERSION);
    pack_u64(out, head->meta.id);
    pack_str(out, head->meta.cluster);
    pack_u64(out, head->hard_state.term);
    pack_u64(out, head->hard_state.vote);
    pack_u64(out, head->hard_state.commit);
    pack_u64(out, head->mark_index);
    pack_u64(out, head->mark_term);
    pack_u64(out, head->last_index);
    pack_u64(out, head->reserved);
    pack_u64(out, head->recycled ? 1 : 0);
    record_end(out, at);
}

void wal_record_put_entry(struct buf *out, uint64_t position, uint64_t durable,
                          const struct floe_entry *entry)
{
    struct record record = {
        .type = WAL_RECORD_ENTRY, .index = entry->index, .term = entry->term};
    size_t at = begin(out, &record, position, durable);
    raft_codec_put_entry(out, entry);
    record_end(out, at);
}

void wal_record_put_state(struct buf *out, uint64_t position, uint64_t durable,
                          const struct floe_hard_state *hs)
{
    struct record record = {.type = WAL_RECORD_STATE};
    size_t at = begin(out, &record, position, durable);
    raft_codec_put_hard_state(out, hs);
    record_end(out, at);
}

void wal_record_put_mark(struct buf *out, uint64_t position, uint64_t durable,
                         const struct floe_snapshot *mark, bool keep_suffix)
{
    struct record record = {.type = WAL_RECORD_MARK, .index = mark->index, .term = mark->term};
    size_t at = begin(out, &record, position, durable);
    buf_add_u8(out, keep_suffix ? 1 : 0);
    record_end(out, at);
}

void wal_record_put_next(struct buf *out, uint64_t position, uint64_t durable, uint64_t number)
{
    struct record record = {.type = WAL_RECORD_NEXT, .index = number};
    size_t from = out->len;
    size_t at = begin(out, &record, position, durable);
    record_end(out, at);
    ASSERT(out->len - from == WAL_NEXT_BYTES);
}

enum err wal_record_get(const uint8_t *data, size_t len, uint64_t max_payload,
                        struct wal_view *out)
{
    struct record record;
    size_t used;
    enum err err = record_get(data, len, (size_t)max_payload, &record, &used);
    if (err != ERR_OK)
        return err == ERR_VERSION ? ERR_VERSION : ERR_CORRUPT;
    if (record.payload_len < WAL_PREFIX_BYTES)
        return ERR_CORRUPT;
    *out = (struct wal_view){.type = record.type,
                             .index = record.index,
                             .term = record.term,
                             .position = get_u64(record.payload),
                             .durable = get_u64(record.payload + 8),
                             .body = record.payload + WAL_PREFIX_BYTES,
                             .body_len = record.payload_len - WAL_PREFIX_BYTES,
                             .used = used};
    return ERR_OK;
}

static enum err get_cluster(struct unpack *in, struct wal_meta *meta)
{
    size_t len;
    const uint8_t *name = unpack_bin(in, &len);
    if (in->failed || len > WAL_CLUSTER_MAX)
        return ERR_CORRUPT;
    if (len > 0)
        memcpy(meta->cluster, name, len);
    return ERR_OK;
}

enum err wal_record_get_head(const struct wal_view *view, struct wal_head *out)
{
    if (view->type != WAL_RECORD_HEAD)
        return ERR_CORRUPT;
    struct unpack in = unpack_init(view->body, view->body_len);
    uint32_t count = unpack_array(&in);
    uint64_t version = unpack_u64(&in);
    if (!in.failed && version > WAL_FORMAT_VERSION)
        return ERR_VERSION;
    struct wal_head head = {.number = view->index};
    head.meta.id = unpack_u64(&in);
    if (get_cluster(&in, &head.meta) != ERR_OK)
        return ERR_CORRUPT;
    head.hard_state.term = unpack_u64(&in);
    head.hard_state.vote = unpack_u64(&in);
    head.hard_state.commit = unpack_u64(&in);
    head.mark_index = unpack_u64(&in);
    head.mark_term = unpack_u64(&in);
    head.last_index = unpack_u64(&in);
    if (count > 9)
        head.reserved = unpack_u64(&in);
    if (count > 10)
        head.recycled = unpack_u64(&in) != 0;
    unpack_rest(&in, count, count > 11 ? 11 : count);
    if (count < 9 || unpack_end(&in) != ERR_OK || version == 0 ||
        head.reserved > WAL_SEGMENT_FILE_MAX || view->position > WAL_POSITION_MAX)
        return ERR_CORRUPT;
    *out = head;
    return ERR_OK;
}

enum err wal_record_get_entry(const struct wal_view *view, struct floe_entry *out)
{
    ASSERT(view->type == WAL_RECORD_ENTRY);
    struct floe_entry entry;
    if (raft_codec_get_entry(view->body, view->body_len, &entry) != ERR_OK)
        return ERR_CORRUPT;
    if (entry.index != view->index || entry.term != view->term || entry.index == 0) {
        floe_entry_deinit(&entry);
        return ERR_CORRUPT;
    }
    *out = entry;
    return ERR_OK;
}
