/* kv/range, kv/put, kv/deleterange, kv/compaction. */
#include "api/v3_internal.h"

/* ---- range ----------------------------------------------------------------------------------- */

/* Data and header revision are of one state: of now. */
static void answer_range(struct api *api, struct v3_call *call)
{
    const struct v3_range_request *request = call->request;
    struct kv_range range;
    api->ranges++;
    v3_range_to_kv(request, &range);
    if (!v3_sorts_what_is_left(request) && v3_is_walked(node_kv(api->node), &range)) {
        v3_walk_begin(api, call, &range);
        return;
    }
    struct kv_reply reply = {0};
    enum kv_status status = kv_range_all(node_kv(api->node), &range, &reply);
    if (status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(status));
        return;
    }
    struct v3_range_response response = {.header = v3_header_now(api, call)};
    v3_range_of_kv(&call->arena, request, &reply, &response);
    v3_answer(api, call, &v3_message_range_response, &response);
    kv_reply_deinit(&reply);
}

static void on_range(struct api *api, struct v3_call *call, const struct node_result *result,
                     uint64_t now_ms)
{
    (void)result;
    (void)now_ms;
    answer_range(api, call);
}

void v3_handle_range(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_range_request *request = call->request;
    if (request->key.len == 0)
        v3_fail(api, call, V3_NO_KEY);
    else if (request->serializable && !node_is_damaged(api->node))
        answer_range(api, call);
    else
        v3_read(api, call, on_range, now_ms);
}

/* ---- put ------------------------------------------------------------------------------------- */

/* false: the store refused it, which is answered. */
static bool was_done(struct api *api, struct v3_call *call, const struct node_result *result)
{
    if (result->kv.status == KV_OK)
        return true;
    v3_fail(api, call, v3_error_of_status(result->kv.status));
    return false;
}

static void on_put(struct api *api, struct v3_call *call, const struct node_result *result,
                   uint64_t now_ms)
{
    (void)now_ms;
    if (!was_done(api, call, result))
        return;
    struct v3_put_response response = {.header = v3_header(api, call, result->kv.revision)};
    if (result->kv.replies[0].item_count > 0)
        response.prev_kv = v3_kvs(&call->arena, &result->kv.replies[0]);
    v3_answer(api, call, &v3_message_put_response, &response);
}

void v3_handle_put(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    struct kv_op op = {.type = KV_OP_PUT};
    enum v3_error error;
    if (!v3_put_to_kv(call->request, &op.put, &error))
        v3_fail(api, call, error);
    else if (v3_check_size(api, call))
        v3_write_op(api, call, &op, on_put, now_ms);
}

/* ---- delete ---------------------------------------------------------------------------------- */

static void on_delete(struct api *api, struct v3_call *call, const struct node_result *result,
                      uint64_t now_ms)
{
    (void)now_ms;
    if (!was_done(api, call, result))
        return;
    const struct kv_reply *reply = &result->kv.replies[0];
    struct v3_delete_range_response response = {
        .header = v3_header(api, call, result->kv.revision),
        .deleted = (int64_t)reply->count,
        .prev_kvs = v3_kvs(&call->arena, reply),
        .prev_kvs_count = reply->item_count,
    };
    v3_answer(api, call, &v3_message_delete_range_response, &response);
}

void v3_handle_delete_range(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_delete_range_request *request = call->request;
    struct kv_op op = {
        .type = KV_OP_DELETE,
        .del = {.keys = v3_keys(request->key, request->range_end), .want_prev = request->prev_kv}};
    if (request->key.len == 0)
        v3_fail(api, call, V3_NO_KEY);
    else if (v3_check_size(api, call))
        v3_write_op(api, call, &op, on_delete, now_ms);
}

/* ---- compaction ------------------------------------------------------------------------------ */

static void on_compacted(struct api *api, struct v3_call *call, const struct node_result *result,
                         uint64_t now_ms)
{
    (void)now_ms;
    if (!was_done(api, call, result))
        return;
    struct v3_only_header response = {.header = v3_header(api, call, result->kv.revision)};
    v3_answer(api, call, &v3_message_only_header, &response);
}

/* physical asks that space is free when the answer comes: it soon will be, in any case. */
void v3_handle_compaction(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_compaction_request *request = call->request;
    struct kv_command command = {.type = KV_COMMAND_COMPACT, .number = (uint64_t)request->revision};
    if (request->revision <= 0)
        v3_fail(api, call, V3_COMPACTED);
    else
        v3_write(api, call, &command, on_compacted, now_ms);
}
