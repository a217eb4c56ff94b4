/* /leases: granting, looking, keeping alive, giving back. Times are the leader's. */
#include "api/body.h"
#include "base/assert.h"
#include "base/parse.h"

#include <inttypes.h>
#include <string.h>

#define PAGE_KEYS 1000 /* of one lease that are told */

static bool parse_id(const struct api_call *call, uint64_t *out, struct api_problem *problem)
{
    if (parse_u64(call->part, call->part_len, out) == ERR_OK && *out != 0)
        return true;
    return api_problem_set(problem, 400, "bad_lease", "a lease's id is a number from 1 on");
}

/* ---- GET /leases ----------------------------------------------------------------------------- */

/* number: the first id there may be. */
static bool on_list(struct api *api, struct api_pending *pending, struct node_result *result,
                    struct api_response *out)
{
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    const struct kv *kv = node_kv(api->node);
    struct kv_lease_info lease;
    struct api_json json = {0};
    uint64_t id = pending->number;
    bool more = kv_lease_seek(kv, id, &lease);
    api_json_open(&json, NULL, '{');
    api_json_open(&json, "leases", '[');
    for (uint64_t given = 0; more && given < pending->limit; given++) {
        api_json_open(&json, NULL, '{');
        api_json_u64(&json, "id", lease.id);
        api_json_u64(&json, "ttl", lease.ttl_s);
        api_json_u64(&json, "key_count", lease.key_count);
        api_json_close(&json, '}');
        id = lease.id;
        more = id < UINT64_MAX && kv_lease_seek(kv, id + 1, &lease);
    }
    api_json_close(&json, ']');
    api_json_bool(&json, "more", more);
    if (more)
        api_json_u64(&json, "next", lease.id);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
    return true;
}

/* ?from= and ?limit=: a page is one piece of work. */
static bool parse_page(const struct api_call *call, uint64_t *from, uint64_t *limit,
                       struct api_problem *problem)
{
    struct api_params params = {0};
    *from = 1;
    *limit = API_LEASES_PAGE;
    if (!api_params_parse(call->target.query, &params, problem))
        return false;
    bool good = api_param_u64(&params, "from", from, problem) &&
                api_param_u64(&params, "limit", limit, problem);
    api_params_deinit(&params);
    if (*limit == 0 || *limit > API_LEASES_PAGE)
        *limit = API_LEASES_PAGE;
    return good;
}

bool api_leases_list(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    uint64_t from;
    uint64_t limit;
    if (!parse_page(call, &from, &limit, &problem)) {
        api_respond_problem(out, &problem);
        return true;
    }
    struct api_pending *pending = api_pending_add(api, call, on_list);
    pending->number = from;
    pending->limit = limit;
    node_read(api->node, call->token, call->now_ms);
    return false;
}

/* ---- POST /leases ---------------------------------------------------------------------------- */

static bool on_granted(struct api *api, struct api_pending *pending, struct node_result *result,
                       struct api_response *out)
{
    struct kv_lease_info lease = {0};
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    if (result->kv.status != KV_OK) {
        api_respond_kv_status(out, result->kv.status, node_kv(api->node));
        return true;
    }
    (void)kv_lease_get(node_kv(api->node), pending->number, &lease);
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_u64(&json, "id", pending->number);
    api_json_u64(&json, "ttl", lease.ttl_s);
    api_json_close(&json, '}');
    api_respond_json(out, 201, &json);
    api_respond_header(out, "Location", "/leases/%" PRIu64, pending->number);
    api_respond_written(out, result);
    return true;
}

static bool parse_grant(const struct api *api, const struct api_request *request,
                        struct kv_grant *out, struct api_problem *problem)
{
    json_t *body = api_body_object(request, problem);
    if (body == NULL)
        return false;
    *out = (struct kv_grant){0};
    bool good = api_body_u64(body, "ttl", &out->ttl_s, problem) &&
                api_body_u64(body, "id", &out->id, problem);
    json_decref(body);
    if (!good)
        return false;
    if (out->ttl_s == 0 || out->ttl_s > API_TTL_MAX_S)
        return api_problem_set(problem, 400, "bad_ttl",
                               "\"ttl\" is a number of seconds from 1 to %" PRIu64, API_TTL_MAX_S);
    if (out->id > INT64_MAX)
        return api_problem_set(problem, 400, "bad_lease",
                               "\"id\" is a number from 1 to 9223372036854775807");
    uint64_t least = node_lease_min_ttl_s(api->node);
    out->ttl_s = out->ttl_s > least ? out->ttl_s : least;
    out->id = out->id != 0 ? out->id : node_new_lease_id(api->node);
    return true;
}

bool api_lease_grant(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    struct kv_op op = {.type = KV_OP_GRANT};
    if (!parse_grant(api, call->request, &op.grant, &problem)) {
        api_respond_problem(out, &problem);
        return true;
    }
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    api_pending_add(api, call, on_granted)->number = op.grant.id;
    api_write(api, call->token, &command, false, call->now_ms);
    return false;
}

/* ---- /leases/ID ------------------------------------------------------------------------------ */

static void put_lease(struct api_json *json, uint64_t id, const struct node_result *result)
{
    api_json_u64(json, "id", id);
    api_json_u64(json, "ttl", result->lease_ttl_s);
    api_json_u64(json, "remaining_ms", result->lease_remaining_ms);
}

static void put_keys(struct api_json *json, const struct kv *kv, uint64_t id)
{
    struct kv_bytes key = {0};
    api_json_open(json, "keys", '[');
    bool more = kv_lease_next_key(kv, id, key, &key);
    for (size_t given = 0; more && given < PAGE_KEYS; given++) {
        api_json_open(json, NULL, '{');
        api_json_bytes(json, "key", key.data, key.len);
        api_json_close(json, '}');
        more = kv_lease_next_key(kv, id, key, &key);
    }
    api_json_close(json, ']');
    if (more)
        api_json_bool(json, "more_keys", true);
}

/* is_put: of a keepalive, which tells no keys. */
static bool on_lease(struct api *api, struct api_pending *pending, struct node_result *result,
                     struct api_response *out)
{
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    if (!result->lease_known) {
        api_respond_kv_status(out, KV_LEASE_NOT_FOUND, node_kv(api->node));
        return true;
    }
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    put_lease(&json, pending->number, result);
    if (!pending->is_put)
        put_keys(&json, node_kv(api->node), pending->number);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
    return true;
}

static bool ask(struct api *api, struct api_call *call, bool renew, struct api_response *out)
{
    struct api_problem problem;
    uint64_t id;
    if (!parse_id(call, &id, &problem)) {
        api_respond_problem(out, &problem);
        return true;
    }
    struct api_pending *pending = api_pending_add(api, call, on_lease);
    pending->number = id;
    pending->is_put = renew;
    if (renew)
        node_lease_renew(api->node, call->token, id, call->now_ms);
    else
        node_lease_look(api->node, call->token, id, call->now_ms);
    return false;
}

bool api_lease_get(struct api *api, struct api_call *call, struct api_response *out)
{
    return ask(api, call, false, out);
}

bool api_lease_renew(struct api *api, struct api_call *call, struct api_response *out)
{
    return ask(api, call, true, out);
}

static bool on_revoked(struct api *api, struct api_pending *pending, struct node_result *result,
                       struct api_response *out)
{
    (void)pending;
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    if (result->kv.status != KV_OK)
        api_respond_kv_status(out, result->kv.status, node_kv(api->node));
    else
        out->status = 204;
    api_respond_written(out, result);
    return true;
}

bool api_lease_revoke(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    struct kv_lease_time lease = {0};
    if (!parse_id(call, &lease.id, &problem)) {
        api_respond_problem(out, &problem);
        return true;
    }
    struct kv_command command = {.type = KV_COMMAND_REVOKE, .leases = &lease, .lease_count = 1};
    (void)api_pending_add(api, call, on_revoked);
    api_write(api, call->token, &command, false, call->now_ms);
    return false;
}
