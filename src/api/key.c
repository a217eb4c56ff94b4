/* One key: PUT, GET, HEAD, DELETE at /KEY and /kv/KEY. */
#include "api/internal.h"
#include "base/assert.h"

#include <inttypes.h>

bool api_key_check(const struct api *api, size_t len, struct api_problem *problem)
{
    if (len == 0)
        return api_problem_set(problem, 400, "empty_key", "a key cannot be empty");
    if (len > api->limits.key_bytes)
        return api_problem_set(problem, 414, "key_too_large", "a key has at most %zu bytes",
                               api->limits.key_bytes);
    return true;
}

bool api_value_check(const struct api *api, size_t len, struct api_problem *problem)
{
    if (len > api->limits.value_bytes)
        return api_problem_set(problem, 413, "value_too_large", "a value has at most %zu bytes",
                               api->limits.value_bytes);
    return true;
}

static void put_etag(struct api_response *out, uint64_t mod_revision)
{
    if (mod_revision != 0)
        api_respond_header(out, "ETag", "\"%" PRIu64 "\"", mod_revision);
}

static void put_lease(struct api_response *out, uint64_t lease)
{
    if (lease != 0)
        api_respond_header(out, "X-Floe-Lease", "%" PRIu64, lease);
}

/* ---- answers to writes ----------------------------------------------------------------------- */

static struct kv_bytes bytes_of(const struct buf *buf)
{
    return (struct kv_bytes){buf->data, buf->len};
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

/* The same write was done before: what is answered is what is known of then. */
static void respond_again(const struct api *api, const struct api_pending *pending,
                          struct node_result *result, struct api_response *out)
{
    struct api_replay then = api_ticket_replay(api, &pending->ticket, result);
    struct kv_item item = {0};
    bool found = kv_get(node_kv(api->node), bytes_of(&pending->key), &item);
    result->kv.revision = then.revision;
    if (then.status != KV_OK) {
        api_respond_kv_status(out, then.status, node_kv(api->node));
    } else if (!then.succeeded) {
        api_respond_condition_failed(out);
        put_etag(out, found ? item.mod_revision : 0);
    } else {
        out->status = 204;
        if (pending->is_put)
            put_etag(out, then.revision);
        if (found && item.mod_revision == then.revision)
            put_lease(out, item.lease);
    }
    api_respond_header(out, "Idempotency-Replayed", "true");
    api_respond_written(out, result);
}

static bool on_written(struct api *api, struct api_pending *pending, struct node_result *result,
                       struct api_response *out)
{
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    if (result->kv.status == KV_REPEATED) {
        respond_again(api, pending, result, out);
        return true;
    }
    if (result->kv.status != KV_OK) {
        api_respond_kv_status(out, result->kv.status, node_kv(api->node));
        api_respond_written(out, result);
        return true;
    }
    const struct kv_reply *reply = result->kv.reply_count > 0 ? &result->kv.replies[0] : NULL;
    ASSERT(reply != NULL || (pending->is_put && !pending->conditional));
    if (pending->conditional && !reply->succeeded) {
        api_respond_condition_failed(out);
        put_etag(out, current_revision(reply));
    } else if (!pending->is_put && !pending->conditional && reply->count == 0) {
        api_respond_key_not_found(out);
    } else {
        out->status = 204;
        if (pending->is_put)
            put_etag(out, result->kv.revision);
        put_lease(out, pending->number);
    }
    api_respond_written(out, result);
    return true;
}

/* ---- writes ---------------------------------------------------------------------------------- */

struct write {
    struct kv_op ops[2]; /* a grant, if there is one, and what is to be done */
    size_t op_count;
    struct kv_compare compares[API_COMPARES_MAX];
    size_t compare_count;
    struct kv_bytes ticket;
    uint64_t fingerprint;
    uint64_t lease; /* the one that the key gets */
};

/* ?lease= and ?ttl=: an existing lease, or a new one that comes into being with the key. */
static bool parse_lease(const struct api *api, const struct api_params *params, struct write *write,
                        struct api_problem *problem)
{
    uint64_t ttl_s = 0;
    bool has_ttl = api_param(params, "ttl") != NULL;
    if (!api_param_u64(params, "lease", &write->lease, problem) ||
        !api_param_u64(params, "ttl", &ttl_s, problem))
        return false;
    if (!has_ttl)
        return true;
    if (api_param(params, "lease") != NULL)
        return api_problem_set(problem, 400, "bad_lease", "lease and ttl exclude each other");
    if (ttl_s == 0 || ttl_s > API_TTL_MAX_S)
        return api_problem_set(problem, 400, "bad_ttl",
                               "ttl is a number of seconds from 1 to %" PRIu64, API_TTL_MAX_S);
    uint64_t least = node_lease_min_ttl_s(api->node);
    write->lease = node_new_lease_id(api->node);
    write->ops[write->op_count++] = (struct kv_op){
        .type = KV_OP_GRANT, .grant = {.id = write->lease, .ttl_s = ttl_s > least ? ttl_s : least}};
    return true;
}

static bool parse_value(const struct api *api, const struct api_request *request,
                        struct kv_bytes *out, struct api_problem *problem)
{
    struct evbuffer *body = request->body;
    *out = (struct kv_bytes){NULL, body != NULL ? evbuffer_get_length(body) : 0};
    if (!api_value_check(api, out->len, problem))
        return false;
    if (out->len > 0) {
        out->data = evbuffer_pullup(body, -1);
        ASSERT_MSG(out->data != NULL, "out of memory");
    }
    return true;
}

/* The write by itself, or as a transaction that reads the key where the conditions do not hold. */
static void submit(struct api *api, struct api_call *call, struct write *write, bool is_put)
{
    struct kv_keys keys = {.key = bytes_of(&call->target.key)};
    struct kv_op look = {.type = KV_OP_RANGE, .range = {.keys = keys, .keys_only = true}};
    struct kv_op txn = {.type = KV_OP_TXN,
                        .txn = {.compares = write->compares,
                                .compare_count = write->compare_count,
                                .success = write->ops,
                                .success_count = write->op_count,
                                .failure = &look,
                                .failure_count = 1}};
    for (size_t i = 0; i < write->compare_count; i++)
        write->compares[i].keys = keys;
    bool is_txn = write->compare_count > 0 || write->op_count > 1;
    struct kv_command command = {.type = KV_COMMAND_OP,
                                 .ticket = write->ticket,
                                 .fingerprint = write->fingerprint,
                                 .ops = is_txn ? &txn : write->ops,
                                 .op_count = 1};
    struct api_pending *pending = api_pending_add(api, call, on_written);
    pending->is_put = is_put;
    pending->conditional = is_txn;
    pending->number = write->lease;
    if (write->ticket.len > 0) {
        buf_add(&pending->ticket, write->ticket.data, write->ticket.len);
        buf_add(&pending->key, keys.key.data, keys.key.len);
    }
    api_write(api, call->token, &command, !is_put || is_txn, call->now_ms);
}

static bool handle_write(struct api *api, struct api_call *call, const struct api_params *params,
                         struct api_problem *problem)
{
    bool is_put = call->request->method == API_PUT;
    struct kv_bytes key = bytes_of(&call->target.key);
    struct kv_bytes value = {0};
    struct write write = {0};
    struct api_conditions conditions;
    if (!api_conditions_parse(call->request, &conditions, problem) ||
        !api_conditions_for_write(&conditions, is_put, write.compares, &write.compare_count,
                                  problem) ||
        !api_ticket_of(call->request, &write.ticket, problem) ||
        (is_put && (!parse_lease(api, params, &write, problem) ||
                    !parse_value(api, call->request, &value, problem))))
        return false;
    write.fingerprint = write.ticket.len > 0 ? api_fingerprint(call) : 0;
    struct kv_op *op = &write.ops[write.op_count++];
    op->type = is_put ? KV_OP_PUT : KV_OP_DELETE;
    if (is_put)
        op->put = (struct kv_put){.key = key, .value = value, .lease = write.lease};
    else
        op->del = (struct kv_delete){.keys = {.key = key}};
    submit(api, call, &write, is_put);
    return true;
}

/* ---- reads ----------------------------------------------------------------------------------- */

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

static void respond_item(const struct api_conditions *conditions, const struct kv_item *item,
                         struct api_response *out)
{
    if (condition_answers(conditions, item, out))
        return;
    out->status = 200;
    api_respond_header(out, "Content-Type", "application/octet-stream");
    api_respond_header(out, "X-Content-Type-Options", "nosniff");
    put_etag(out, item->mod_revision);
    put_lease(out, item->lease);
    out->body = evbuffer_new();
    ASSERT_MSG(out->body != NULL, "out of memory");
    ASSERT(evbuffer_add(out->body, item->value.data, item->value.len) == 0);
}

static void respond_missing(const struct api_conditions *conditions, struct api_response *out)
{
    if (conditions->if_match.present)
        api_respond_condition_failed(out);
    else
        api_respond_key_not_found(out);
}

/* As it was at an earlier revision. */
static void respond_past(const struct kv *kv, struct kv_bytes key, uint64_t revision,
                         const struct api_conditions *conditions, struct api_response *out)
{
    struct kv_range range = {.keys = {.key = key}, .revision = revision};
    struct kv_reply reply = {0};
    enum kv_status status = kv_range_all(kv, &range, &reply);
    struct kv_item item;
    if (status != KV_OK) {
        api_respond_kv_status(out, status, kv);
    } else if (reply.item_count == 0) {
        respond_missing(conditions, out);
    } else {
        kv_entry_item(reply.items[0], &item);
        respond_item(conditions, &item, out);
    }
    kv_reply_deinit(&reply);
}

/* Answers a GET from the store as it is now; age_ms UINT64_MAX: not known. */
static void read_key(struct api *api, const struct buf *key, uint64_t revision,
                     const struct api_conditions *conditions, struct api_response *out)
{
    const struct kv *kv = node_kv(api->node);
    struct kv_item item;
    api->ranges++;
    if (revision != 0)
        respond_past(kv, bytes_of(key), revision, conditions, out);
    else if (kv_get(kv, bytes_of(key), &item))
        respond_item(conditions, &item, out);
    else
        respond_missing(conditions, out);
    api_respond_header(out, "X-Floe-Revision", "%" PRIu64, kv_revision(kv));
}

static bool on_read(struct api *api, struct api_pending *pending, struct node_result *result,
                    struct api_response *out)
{
    if (result->outcome == NODE_OK)
        read_key(api, &pending->key, pending->number, &pending->conditions, out);
    else
        api_respond_outcome(out, result);
    return true;
}

/* Whether the state here may be answered as it is: it was asked for, and is not older than allowed.
 * What is too old goes the way of other reads, which end at the leader. */
static bool may_read_here(const struct api *api, const struct api_call *call, uint64_t max_ms,
                          uint64_t *age_ms)
{
    *age_ms = node_age_ms(api->node, call->now_ms);
    return !node_is_damaged(api->node) && *age_ms <= max_ms;
}

/* true in *at_once: *out is the answer. */
static bool handle_read(struct api *api, struct api_call *call, const struct api_params *params,
                        struct api_response *out, bool *at_once, struct api_problem *problem)
{
    struct api_conditions conditions;
    uint64_t revision = 0;
    uint64_t max_ms = UINT64_MAX;
    uint64_t age_ms = 0;
    bool is_stale = api_param_is(params, "consistency", "stale");
    if (!api_conditions_parse(call->request, &conditions, problem) ||
        !api_param_u64(params, "revision", &revision, problem) ||
        !api_param_u64(params, "max_stale_ms", &max_ms, problem))
        return false;
    *at_once = is_stale && may_read_here(api, call, max_ms, &age_ms);
    if (*at_once) {
        read_key(api, &call->target.key, revision, &conditions, out);
        api_respond_age(out, age_ms);
        return true;
    }
    struct api_pending *pending = api_pending_add(api, call, on_read);
    pending->conditions = conditions;
    pending->number = revision;
    pending->key = call->target.key; /* moved */
    call->target.key = (struct buf){0};
    node_read(api->node, call->token, call->now_ms);
    return true;
}

static bool handle_watch(struct api *api, struct api_call *call, const struct api_params *params,
                         struct api_response *out)
{
    struct api_keys keys = {.extent = KV_ONE_KEY, .key = call->target.key}; /* moved */
    call->target.key = (struct buf){0};
    return api_watch_handle(api, call, params, &keys, out);
}

bool api_key_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    enum api_method method = call->request->method;
    struct api_problem problem;
    struct api_params params = {0};
    bool at_once = false;
    bool is_read = method == API_GET || method == API_HEAD;
    bool is_stale;
    bool good = api_key_check(api, call->target.key.len, &problem) &&
                (!is_read || api_target_is_stale(call->target.query, &is_stale, &problem)) &&
                api_params_parse(call->target.query, &params, &problem);
    if (good && method == API_GET && api_param_is_set(&params, "watch"))
        at_once = handle_watch(api, call, &params, out);
    else if (good && is_read)
        good = handle_read(api, call, &params, out, &at_once, &problem);
    else if (good)
        good = handle_write(api, call, &params, &problem);
    api_params_deinit(&params);
    if (!good)
        api_respond_problem(out, &problem);
    return !good || at_once;
}
