/*
 * Fields by position in arrays. Presence matters to the sizes that the core's limits count, so an
 * absent blob is nil and an empty one is an empty bin.
 */
#include "codec/raft_codec.h"

#include "base/mem.h"
#include "codec/pack.h"

enum {
    ENTRY_FIELDS = 5,
    HARD_STATE_FIELDS = 3,
    CONF_STATE_FIELDS = 5,
    SNAPSHOT_FIELDS = 4,
    MESSAGE_FIELDS = 14,
};

static void put_blob(struct buf *out, const struct floe_blob *blob)
{
    if (blob == NULL)
        pack_nil(out);
    else
        pack_bin(out, floe_blob_data(blob), floe_blob_size(blob));
}

static struct floe_blob *take_blob(struct unpack *in)
{
    if (unpack_is_nil(in)) {
        unpack_nil(in);
        return NULL;
    }
    size_t len;
    const uint8_t *data = unpack_bin(in, &len);
    return in->failed ? NULL : floe_blob_new(data, len);
}

/* An array of at least fields elements; fails otherwise. */
static uint32_t take_fields(struct unpack *in, uint32_t fields)
{
    uint32_t count = unpack_array(in);
    if (count < fields)
        in->failed = true;
    return count;
}

/* ---- entries ------------------------------------------------------------------------------------ */

void raft_codec_put_entry(struct buf *out, const struct floe_entry *entry)
{
    pack_array(out, ENTRY_FIELDS);
    pack_u64(out, entry->term);
    pack_u64(out, entry->index);
    pack_u64(out, entry->type);
    pack_bool(out, entry->type_set);
    put_blob(out, entry->data);
}

static struct floe_entry take_entry(struct unpack *in)
{
    uint32_t count = take_fields(in, ENTRY_FIELDS);
    struct floe_entry entry = {.term = unpack_u64(in), .index = unpack_u64(in)};
    uint64_t type = unpack_u64(in);
    if (type > FLOE_ENTRY_CONF_CHANGE_V2)
        in->failed = true;
    entry.type = in->failed ? FLOE_ENTRY_NORMAL : (enum floe_entry_type)type;
    entry.type_set = unpack_bool(in);
    entry.data = take_blob(in);
    unpack_rest(in, count, ENTRY_FIELDS);
    return entry;
}

enum err raft_codec_get_entry(const uint8_t *data, size_t len, struct floe_entry *out)
{
    struct unpack in = unpack_init(data, len);
    struct floe_entry entry = take_entry(&in);
    enum err err = unpack_end(&in);
    if (err == ERR_OK)
        *out = entry;
    else
        floe_entry_deinit(&entry);
    return err;
}

/* ---- durable state -------------------------------------------------------------------------------- */

void raft_codec_put_hard_state(struct buf *out, const struct floe_hard_state *hs)
{
    pack_array(out, HARD_STATE_FIELDS);
    pack_u64(out, hs->term);
    pack_u64(out, hs->vote);
    pack_u64(out, hs->commit);
}

enum err raft_codec_get_hard_state(const uint8_t *data, size_t len, struct floe_hard_state *out)
{
    struct unpack in = unpack_init(data, len);
    uint32_t count = take_fields(&in, HARD_STATE_FIELDS);
    struct floe_hard_state hs = {0};
    hs.term = unpack_u64(&in);
    hs.vote = unpack_u64(&in);
    hs.commit = unpack_u64(&in);
    unpack_rest(&in, count, HARD_STATE_FIELDS);
    enum err err = unpack_end(&in);
    if (err == ERR_OK)
        *out = hs;
    return err;
}

static void put_ids(struct buf *out, const struct floe_ids *ids)
{
    pack_array(out, (uint32_t)ids->count);
    for (size_t i = 0; i < ids->count; i++)
        pack_u64(out, ids->id[i]);
}

static struct floe_ids take_ids(struct unpack *in)
{
    struct floe_ids ids = {0};
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count && !in->failed; i++)
        floe_ids_push(&ids, unpack_u64(in));
    return ids;
}

void raft_codec_put_conf_state(struct buf *out, const struct floe_conf_state *cs)
{
    pack_array(out, CONF_STATE_FIELDS);
    put_ids(out, &cs->voters);
    put_ids(out, &cs->voters_outgoing);
    put_ids(out, &cs->learners);
    put_ids(out, &cs->learners_next);
    pack_bool(out, cs->auto_leave);
}

static struct floe_conf_state take_conf_state(struct unpack *in)
{
    uint32_t count = take_fields(in, CONF_STATE_FIELDS);
    struct floe_conf_state cs = {0};
    cs.voters = take_ids(in);
    cs.voters_outgoing = take_ids(in);
    cs.learners = take_ids(in);
    cs.learners_next = take_ids(in);
    cs.auto_leave = unpack_bool(in);
    unpack_rest(in, count, CONF_STATE_FIELDS);
    return cs;
}

enum err raft_codec_get_conf_state(const uint8_t *data, size_t len, struct floe_conf_state *out)
{
    struct unpack in = unpack_init(data, len);
    struct floe_conf_state cs = take_conf_state(&in);
    enum err err = unpack_end(&in);
    if (err == ERR_OK)
        *out = cs;
    else
        floe_conf_state_deinit(&cs);
    return err;
}

/* ---- messages --------------------------------------------------------------------------------------- */

static void put_snapshot(struct buf *out, const struct floe_snapshot *snapshot)
{
    if (snapshot == NULL) {
        pack_nil(out);
        return;
    }
    pack_array(out, SNAPSHOT_FIELDS);
    pack_u64(out, snapshot->index);
    pack_u64(out, snapshot->term);
    raft_codec_put_conf_state(out, &snapshot->conf_state);
    put_blob(out, snapshot->data);
}

static struct floe_snapshot *take_snapshot(struct unpack *in)
{
    if (unpack_is_nil(in)) {
        unpack_nil(in);
        return NULL;
    }
    uint32_t count = take_fields(in, SNAPSHOT_FIELDS);
    struct floe_snapshot *snapshot = mem_calloc(1, sizeof *snapshot);
    snapshot->index = unpack_u64(in);
    snapshot->term = unpack_u64(in);
    snapshot->conf_state = take_conf_state(in);
    snapshot->data = take_blob(in);
    unpack_rest(in, count, SNAPSHOT_FIELDS);
    return snapshot;
}

/* Responses never travel: they belong to messages to a node's own storage threads. */
void raft_codec_put_message(struct buf *out, const struct floe_message *message)
{
    pack_array(out, MESSAGE_FIELDS);
    pack_u64(out, message->type);
    pack_u64(out, message->to);
    pack_u64(out, message->from);
    pack_u64(out, message->term);
    pack_u64(out, message->log_term);
    pack_u64(out, message->index);
    pack_array(out, (uint32_t)message->entry_count);
    for (size_t i = 0; i < message->entry_count; i++)
        raft_codec_put_entry(out, &message->entries[i]);
    pack_u64(out, message->commit);
    pack_u64(out, message->vote);
    put_snapshot(out, message->snapshot);
    pack_bool(out, message->reject);
    pack_u64(out, message->reject_hint);
    put_blob(out, message->context);
    pack_nil(out); /* kept free */
}

static void take_entries(struct unpack *in, struct floe_message *out)
{
    uint32_t count = unpack_array(in);
    /* an entry takes six bytes at least, so this is a small multiple of the input */
    if (in->failed || count > (in->len - in->pos) / (ENTRY_FIELDS + 1)) {
        in->failed = in->failed || count > 0;
        return;
    }
    if (count == 0)
        return;
    out->entries = mem_calloc(count, sizeof *out->entries);
    for (uint32_t i = 0; i < count && !in->failed; i++)
        out->entries[out->entry_count++] = take_entry(in);
}

static bool is_storage_thread(floe_id id)
{
    return id == FLOE_ID_APPEND_THREAD || id == FLOE_ID_APPLY_THREAD;
}

enum err raft_codec_get_message(const uint8_t *data, size_t len, struct floe_message *out)
{
    struct unpack in = unpack_init(data, len);
    uint32_t count = take_fields(&in, MESSAGE_FIELDS);
    struct floe_message message = {0};
    uint64_t type = unpack_u64(&in);
    message.to = unpack_u64(&in);
    message.from = unpack_u64(&in);
    if (type >= FLOE_MSG_TYPE_COUNT || is_storage_thread(message.to) ||
        is_storage_thread(message.from))
        in.failed = true;
    message.type = in.failed ? FLOE_MSG_HUP : (enum floe_message_type)type;
    message.term = unpack_u64(&in);
    message.log_term = unpack_u64(&in);
    message.index = unpack_u64(&in);
    take_entries(&in, &message);
    message.commit = unpack_u64(&in);
    message.vote = unpack_u64(&in);
    message.snapshot = take_snapshot(&in);
    message.reject = unpack_bool(&in);
    message.reject_hint = unpack_u64(&in);
    message.context = take_blob(&in);
    unpack_rest(&in, count, MESSAGE_FIELDS - 1);
    enum err err = unpack_end(&in);
    if (err == ERR_OK)
        *out = message;
    else
        floe_message_deinit(&message);
    return err;
}
