/* Keys: PUT, GET, HEAD at /KEY and /kv/KEY, DELETE at /kv/KEY. */
#include "api/internal.h"
#include "base/assert.h"

#include <inttypes.h>

static bool check_key(const struct api *api, const struct buf *key, struct api_problem *problem)
{
    if (key->len == 0)
        return api_problem_set(problem, 400, "empty_key", "a key cannot be empty");
    if (key->len > api->limits.key_bytes)
        return api_problem_set(problem, 414, "key_too_large", "a key has at most %zu bytes",
                               api->limits.key_bytes);
    return true;
}

static bool check_value(const struct api *api, size_t len, struct api_problem *problem)
{
    if (len > api->limits.value_bytes)
        return api_problem_set(problem, 413, "value_too_large", "a value has at most %zu bytes",
                               api->limits.value_bytes);
    return true;
}

/* The write by itself, or as a transaction that reads the key where the conditions do not hold. */
static void write_if(struct api *api, const struct api_call *call, struct kv_op *op,
                     struct kv_compare *compares, size_t count)
{
    struct kv_keys keys = {.key = {call->target.key.data, call->target.key.len}};
    struct kv_op look = {.type = KV_OP_RANGE, .range = {.keys = keys, .keys_only = true}};
    struct kv_op txn = {.type = KV_OP_TXN,
                        .txn = {.compares = compares,
                                .compare_count = count,
                                .success = op,
                                .success_count = 1,
                                .failure = &look,
                                .failure_count = 1}};
    for (size_t i = 0; i < count; i++)
        compares[i].keys = keys;
    struct kv_command command = {
        .type = KV_COMMAND_OP, .ops = count > 0 ? &txn : op, .op_count = 1};
    bool is_put = op->type == KV_OP_PUT;
    api_pending_add(api, call, is_put ? API_PENDING_PUT : API_PENDING_DELETE)->conditional =
        count > 0;
    node_write(api->node, call->token, &command, !is_put || count > 0, call->now_ms);
}

static bool handle_write(struct api *api, const struct api_call *call, bool is_put,
                         struct api_problem *problem)
{
    struct evbuffer *body = is_put ? call->request->body : NULL;
    struct kv_bytes key = {call->target.key.data, call->target.key.len};
    struct kv_bytes value = {NULL, body != NULL ? evbuffer_get_length(body) : 0};
    struct api_conditions conditions;
    struct kv_compare compares[API_COMPARES_MAX];
    size_t count = 0;
    if (!api_conditions_parse(call->request, &conditions, problem) ||
        !api_conditions_for_write(&conditions, is_put, compares, &count, problem) ||
        !check_value(api, value.len, problem))
        return false;
    if (value.len > 0) {
        value.data = evbuffer_pullup(body, -1);
        ASSERT_MSG(value.data != NULL, "out of memory");
    }
    struct kv_op op = {.type = is_put ? KV_OP_PUT : KV_OP_DELETE};
    if (is_put)
        op.put = (struct kv_put){.key = key, .value = value};
    else
        op.del = (struct kv_delete){.keys = {.key = key}};
    write_if(api, call, &op, compares, count);
    return true;
}

/* true in *at_once: *out is the answer. */
static bool handle_read(struct api *api, struct api_call *call, struct api_response *out,
                        bool *at_once, struct api_problem *problem)
{
    struct api_conditions conditions;
    if (!api_target_is_stale(call->target.query, at_once, problem) ||
        !api_conditions_parse(call->request, &conditions, problem))
        return false;
    if (*at_once && node_is_damaged(api->node))
        *at_once = false; /* what is here is wrong: it goes the way of other reads, into a 503 */
    if (*at_once) {
        api_key_read(api, &call->target.key, &conditions, out);
        return true;
    }
    struct api_pending *pending = api_pending_add(api, call, API_PENDING_READ);
    pending->conditions = conditions;
    pending->key = call->target.key; /* moved */
    call->target.key = (struct buf){0};
    node_read(api->node, call->token, call->now_ms);
    return true;
}

bool api_key_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    enum api_method method = call->request->method;
    struct api_problem problem;
    bool at_once = false;
    bool good = check_key(api, &call->target.key, &problem);
    if (good && (method == API_GET || method == API_HEAD))
        good = handle_read(api, call, out, &at_once, &problem);
    else if (good)
        good = handle_write(api, call, method == API_PUT, &problem);
    if (!good)
        api_respond_problem(out, &problem);
    return !good || at_once;
}

static void put_etag(struct api_response *out, uint64_t mod_revision)
{
    if (mod_revision != 0)
        api_respond_header(out, "ETag", "\"%" PRIu64 "\"", mod_revision);
}

/* Whether the conditions of a GET leave nothing but their status to be said. */
static bool condition_answers(const struct api_conditions *conditions, const struct kv_item *item,
                              struct api_response *out)
{
    if (conditions->if_match.present && !api_tag_matches(&conditions->if_match, item->mod_revision))
        api_respond_condition_failed(out);
    else if (api_tag_matches(&conditions->if_none_match, item->mod_revision))
        out->status = 304;
    else
        return false;
    put_etag(out, item->mod_revision);
    return true;
}

void api_key_read(const struct api *api, const struct buf *key,
                  const struct api_conditions *conditions, struct api_response *out)
{
    struct kv_item item;
    if (!kv_get(node_kv(api->node), (struct kv_bytes){key->data, key->len}, &item)) {
        if (conditions->if_match.present)
            api_respond_condition_failed(out);
        else
            api_respond_key_not_found(out);
        return;
    }
    if (condition_answers(conditions, &item, out))
        return;
    out->status = 200;
    api_respond_header(out, "Content-Type", "application/octet-stream");
    api_respond_header(out, "X-Content-Type-Options", "nosniff");
    put_etag(out, item.mod_revision);
    out->body = evbuffer_new();
    ASSERT_MSG(out->body != NULL, "out of memory");
    ASSERT(evbuffer_add(out->body, item.value.data, item.value.len) == 0);
}

/* What the transaction of a conditional write found where its conditions did not hold. */
static uint64_t current_revision(const struct kv_reply *txn)
{
    if (txn->reply_count == 0 || txn->replies[0].item_count == 0)
        return 0;
    struct kv_item item;
    kv_entry_item(txn->replies[0].items[0], &item);
    return item.mod_revision;
}

void api_key_written(const struct api_pending *pending, const struct node_result *result,
                     struct api_response *out)
{
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return;
    }
    if (result->kv.status != KV_OK) {
        struct api_problem problem;
        (void)api_problem_set(&problem, 409, "refused", "the store does not take this");
        api_respond_problem(out, &problem);
        return;
    }
    const struct kv_reply *reply = result->kv.reply_count > 0 ? &result->kv.replies[0] : NULL;
    ASSERT(reply != NULL || (pending->kind == API_PENDING_PUT && !pending->conditional));
    if (pending->conditional && !reply->succeeded) {
        api_respond_condition_failed(out);
        put_etag(out, current_revision(reply));
    } else if (pending->kind == API_PENDING_DELETE && !pending->conditional && reply->count == 0) {
        api_respond_key_not_found(out);
    } else {
        out->status = 204;
        if (pending->kind == API_PENDING_PUT)
            put_etag(out, result->kv.revision);
    }
    api_respond_header(out, "X-Floe-Revision", "%" PRIu64, result->kv.revision);
    api_respond_position(out, result);
}
