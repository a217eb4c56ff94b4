/*
 * Layouts, each an msgpack array; fields are only ever added at the end:
 *   entry       [term, index, type, type_set, data | nil]
 *   hard state  [term, vote, commit]
 *   conf state  [voters, outgoing, learners, learners_next, auto_leave], lists are arrays of ids
 *   snapshot    [index, term, conf state, data | nil]
 *   message     [type, to, from, term, log_term, index, [entry ...], commit, vote, snapshot | nil,
 *                reject, reject_hint, context | nil, []]
 * nil is "absent", an empty bin is "there and empty": they differ in the sizes that raft counts.
 */
#include "codec/raft_codec.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pack.h"

enum {
    ENTRY_FIELDS = 5,
    ENTRY_MIN_BYTES = 1 + ENTRY_FIELDS,
    HARD_STATE_FIELDS = 3,
    CONF_STATE_FIELDS = 5,
    SNAPSHOT_FIELDS = 4,
    MESSAGE_FIELDS = 14,
};

/* ---- blobs and lists ------------------------------------------------------------------------- */

static void put_blob(struct buf *out, const struct floe_blob *blob)
{
    if (blob == NULL)
        pack_nil(out);
    else
        pack_bin(out, floe_blob_data(blob), floe_blob_size(blob));
}

static struct floe_blob *get_blob(struct unpack *in)
{
    if (unpack_is_nil(in)) {
        unpack_nil(in);
        return NULL;
    }
    size_t len = 0;
    const uint8_t *data = unpack_bin(in, &len);
    return in->failed ? NULL : floe_blob_new(data, len);
}

static void put_ids(struct buf *out, const struct floe_ids *ids)
{
    ASSERT(ids->count <= UINT32_MAX);
    pack_array(out, (uint32_t)ids->count);
    for (size_t i = 0; i < ids->count; i++)
        pack_u64(out, ids->id[i]);
}

static void get_ids(struct unpack *in, struct floe_ids *ids)
{
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count; i++) {
        floe_id id = unpack_u64(in);
        if (in->failed)
            return;
        floe_ids_push(ids, id);
    }
}

/* ---- entry ----------------------------------------------------------------------------------- */

void raft_codec_put_entry(struct buf *out, const struct floe_entry *entry)
{
    pack_array(out, ENTRY_FIELDS);
    pack_u64(out, entry->term);
    pack_u64(out, entry->index);
    pack_u64(out, (uint64_t)entry->type);
    pack_bool(out, entry->type_set);
    put_blob(out, entry->data);
}

static void get_entry(struct unpack *in, struct floe_entry *out)
{
    uint32_t count = unpack_array(in);
    out->term = unpack_u64(in);
    out->index = unpack_u64(in);
    uint64_t type = unpack_u64(in);
    if (type > FLOE_ENTRY_CONF_CHANGE_V2)
        in->failed = true;
    else
        out->type = (enum floe_entry_type)type;
    out->type_set = unpack_bool(in);
    out->data = get_blob(in);
    unpack_rest(in, count, ENTRY_FIELDS);
}

enum err raft_codec_get_entry(const uint8_t *data, size_t len, struct floe_entry *out)
{
    struct unpack in = unpack_init(data, len);
    struct floe_entry entry = {0};
    get_entry(&in, &entry);
    enum err err = unpack_end(&in);
    if (err != ERR_OK)
        floe_entry_deinit(&entry);
    else
        *out = entry;
    return err;
}

/* ---- hard state ------------------------------------------------------------------------------ */

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
    struct floe_hard_state hs = {0};
    uint32_t count = unpack_array(&in);
    hs.term = unpack_u64(&in);
    hs.vote = unpack_u64(&in);
    hs.commit = unpack_u64(&in);
    unpack_rest(&in, count, HARD_STATE_FIELDS);
    enum err err = unpack_end(&in);
    if (err == ERR_OK)
        *out = hs;
    return err;
}

/* ---- conf state ------------------------------------------------------------------------------ */

void raft_codec_put_conf_state(struct buf *out, const struct floe_conf_state *cs)
{
    pack_array(out, CONF_STATE_FIELDS);
    put_ids(out, &cs->voters);
    put_ids(out, &cs->voters_outgoing);
    put_ids(out, &cs->learners);
    put_ids(out, &cs->learners_next);
    pack_bool(out, cs->auto_leave);
}

static void get_conf_state(struct unpack *in, struct floe_conf_state *out)
{
    uint32_t count = unpack_array(in);
    get_ids(in, &out->voters);
    get_ids(in, &out->voters_outgoing);
    get_ids(in, &out->learners);
    get_ids(in, &out->learners_next);
    out->auto_leave = unpack_bool(in);
    unpack_rest(in, count, CONF_STATE_FIELDS);
}

enum err raft_codec_get_conf_state(const uint8_t *data, size_t len, struct floe_conf_state *out)
{
    struct unpack in = unpack_init(data, len);
    struct floe_conf_state cs = {0};
    get_conf_state(&in, &cs);
    enum err err = unpack_end(&in);
    if (err != ERR_OK)
        floe_conf_state_deinit(&cs);
    else
        *out = cs;
    return err;
}

/* ---- snapshot inside a message --------------------------------------------------------------- */

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

/* True if there is one. */
static bool get_snapshot(struct unpack *in, struct floe_snapshot *out)
{
    if (unpack_is_nil(in)) {
        unpack_nil(in);
        return false;
    }
    uint32_t count = unpack_array(in);
    out->index = unpack_u64(in);
    out->term = unpack_u64(in);
    get_conf_state(in, &out->conf_state);
    out->data = get_blob(in);
    unpack_rest(in, count, SNAPSHOT_FIELDS);
    return true;
}

/* ---- message --------------------------------------------------------------------------------- */

static void put_entries(struct buf *out, const struct floe_message *message)
{
    ASSERT(message->entry_count <= UINT32_MAX);
    pack_array(out, (uint32_t)message->entry_count);
    for (size_t i = 0; i < message->entry_count; i++)
        raft_codec_put_entry(out, &message->entries[i]);
}

void raft_codec_put_message(struct buf *out, const struct floe_message *message)
{
    ASSERT(message->response_count == 0);
    pack_array(out, MESSAGE_FIELDS);
    pack_u64(out, (uint64_t)message->type);
    pack_u64(out, message->to);
    pack_u64(out, message->from);
    pack_u64(out, message->term);
    pack_u64(out, message->log_term);
    pack_u64(out, message->index);
    put_entries(out, message);
    pack_u64(out, message->commit);
    pack_u64(out, message->vote);
    put_snapshot(out, message->snapshot);
    pack_bool(out, message->reject);
    pack_u64(out, message->reject_hint);
    put_blob(out, message->context);
    pack_array(out, 0);
}

static floe_id get_node_id(struct unpack *in)
{
    floe_id id = unpack_u64(in);
    if (id == FLOE_ID_APPEND_THREAD || id == FLOE_ID_APPLY_THREAD)
        in->failed = true;
    return id;
}

static enum floe_message_type get_type(struct unpack *in)
{
    uint64_t type = unpack_u64(in);
    if (type < FLOE_MSG_TYPE_COUNT)
        return (enum floe_message_type)type;
    in->failed = true;
    return FLOE_MSG_HUP;
}

static void get_entries(struct unpack *in, struct floe_message *out)
{
    uint32_t count = unpack_array(in);
    if (in->failed || count > (in->len - in->pos) / ENTRY_MIN_BYTES) {
        in->failed = true; /* also keeps the array a small multiple of the input */
        return;
    }
    if (count > 0)
        out->entries = mem_calloc(count, sizeof *out->entries);
    for (; out->entry_count < count && !in->failed; out->entry_count++)
        get_entry(in, &out->entries[out->entry_count]);
}

/* snapshot: where to keep it; out->snapshot points there if there is one. */
static void get_message(struct unpack *in, struct floe_message *out, struct floe_snapshot *snapshot)
{
    uint32_t count = unpack_array(in);
    out->type = get_type(in);
    out->to = get_node_id(in);
    out->from = get_node_id(in);
    out->term = unpack_u64(in);
    out->log_term = unpack_u64(in);
    out->index = unpack_u64(in);
    get_entries(in, out);
    out->commit = unpack_u64(in);
    out->vote = unpack_u64(in);
    if (get_snapshot(in, snapshot))
        out->snapshot = snapshot;
    out->reject = unpack_bool(in);
    out->reject_hint = unpack_u64(in);
    out->context = get_blob(in);
    if (unpack_array(in) != 0) /* responses never leave their node */
        in->failed = true;
    unpack_rest(in, count, MESSAGE_FIELDS);
}

/* The arrays of a message must come from the library's allocator, which only its own functions can
 * reach: hence the copy (blobs are shared) of one that is put together here. */
enum err raft_codec_get_message(const uint8_t *data, size_t len, struct floe_message *out)
{
    struct unpack in = unpack_init(data, len);
    struct floe_message read = {0};
    struct floe_snapshot snapshot = {0};
    get_message(&in, &read, &snapshot);
    enum err err = unpack_end(&in);
    if (err == ERR_OK)
        *out = floe_message_copy(&read);
    for (size_t i = 0; i < read.entry_count; i++)
        floe_entry_deinit(&read.entries[i]);
    mem_free(read.entries);
    floe_blob_unref(read.context);
    floe_snapshot_deinit(&snapshot);
    return err;
}
