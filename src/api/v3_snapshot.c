/*
 * maintenance/snapshot: the keys at one revision, a KeyValue in JSON a line, and the SHA-256 of
 * that. Other than etcd's it is no file of a database; it can be read by people and loaded by
 * lines. Done in slices: first the length is counted, which each message tells, then it is sent.
 */
#include "api/v3_internal.h"
#include "api/v3_sha256.h"
#include "base/assert.h"
#include "base/mem.h"

#define SLICE_STEPS 2000
#define BLOB_BYTES 32768

struct v3_snapshot {
    struct kv_cursor *cursor; /* NULL: the next walk has not begun, or all is sent */
    uint64_t revision;
    bool is_counted;
    bool is_sent; /* but for the hash */
    uint64_t remaining;
    struct v3_sha256 sha;
    struct buf blob;
};

static void free_state(struct api *api, struct v3_call *call)
{
    (void)api;
    struct v3_snapshot *snapshot = call->state;
    kv_cursor_free(snapshot->cursor);
    buf_deinit(&snapshot->blob);
    mem_free(snapshot);
}

static enum kv_status begin_walk(struct api *api, struct v3_snapshot *snapshot)
{
    struct kv_keys all = {.extent = KV_FROM_KEY, .key = {(const uint8_t *)"", 1}};
    return kv_cursor_open(node_kv(api->node), &all, snapshot->revision, false, &snapshot->cursor);
}

static void add_line(struct buf *out, const struct kv_item *item)
{
    struct v3_key_value kv;
    v3_kv_of_item(item, &kv);
    v3_encode(out, &v3_message_key_value, &kv);
    buf_add_u8(out, '\n');
}

/* Fills the blob up to some BLOB_BYTES. */
static enum kv_step walk(struct api *api, struct v3_snapshot *snapshot)
{
    size_t budget = SLICE_STEPS;
    struct kv_item item;
    enum kv_step step = KV_STEP_ITEM;
    while (step == KV_STEP_ITEM && snapshot->blob.len < BLOB_BYTES) {
        step = kv_cursor_next(node_kv(api->node), snapshot->cursor, &budget, &item);
        if (step == KV_STEP_ITEM)
            add_line(&snapshot->blob, &item);
    }
    if (step == KV_STEP_END) {
        kv_cursor_free(snapshot->cursor);
        snapshot->cursor = NULL;
    }
    return step;
}

/* Answers by the message that call->message takes; the next one is made when it is sent. */
static void send_blob(struct api *api, struct v3_call *call, struct v3_bytes blob)
{
    struct v3_snapshot *snapshot = call->state;
    struct v3_snapshot_response response = {.remaining_bytes = snapshot->remaining, .blob = blob};
    v3_answer(api, call, &v3_message_snapshot_response, &response);
    buf_clear(&snapshot->blob);
}

static void send_hash(struct api *api, struct v3_call *call)
{
    struct v3_snapshot *snapshot = call->state;
    uint8_t hash[V3_SHA256_BYTES];
    v3_sha256_end(&snapshot->sha, hash);
    snapshot->is_sent = true;
    snapshot->remaining = 0;
    send_blob(api, call, (struct v3_bytes){hash, sizeof hash});
}

static void send_some(struct api *api, struct v3_call *call)
{
    struct v3_snapshot *snapshot = call->state;
    struct buf *blob = &snapshot->blob;
    v3_sha256_add(&snapshot->sha, blob->data, blob->len);
    snapshot->remaining -= blob->len;
    send_blob(api, call, (struct v3_bytes){blob->data, blob->len});
}

static enum api_made make(struct api *api, struct v3_call *call, struct evbuffer *out,
                          uint64_t now_ms)
{
    (void)out;
    (void)now_ms;
    struct v3_snapshot *snapshot = call->state;
    if (snapshot->is_sent)
        return API_MADE_LAST;
    enum kv_step step = snapshot->cursor != NULL ? walk(api, snapshot) : KV_STEP_END;
    if (step == KV_STEP_COMPACTED) {
        v3_fail(api, call, V3_COMPACTED);
    } else if (!snapshot->is_counted) {
        snapshot->remaining += snapshot->blob.len;
        buf_clear(&snapshot->blob);
        snapshot->is_counted = step == KV_STEP_END;
        snapshot->remaining += snapshot->is_counted ? V3_SHA256_BYTES : 0;
        if (snapshot->is_counted && begin_walk(api, snapshot) != KV_OK)
            v3_fail(api, call, V3_COMPACTED);
    } else if (snapshot->blob.len > 0) {
        send_some(api, call);
    } else if (step == KV_STEP_END) {
        send_hash(api, call);
    }
    return API_MADE_LATER;
}

void v3_handle_snapshot(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    if (call->state != NULL || !v3_next_value(api, call))
        return;
    struct v3_snapshot *snapshot = mem_calloc(1, sizeof *snapshot);
    snapshot->revision = kv_revision(node_kv(api->node));
    v3_sha256_init(&snapshot->sha);
    call->state = snapshot;
    call->free_state = free_state;
    call->make = make;
    enum kv_status status = begin_walk(api, snapshot);
    ASSERT_MSG(status == KV_OK, "the newest revision is there");
    v3_stream_begin(api, call);
}
