/* Leases: lease/grant, revoke, timetolive, leases and their /kv/lease aliases, lease/keepalive. */
#include "api/v3_internal.h"

/* ---- grant, revoke --------------------------------------------------------------------------- */

static void on_granted(struct api *api, struct v3_call *call, const struct node_result *result,
                       uint64_t now_ms)
{
    (void)now_ms;
    if (result->kv.status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(result->kv.status));
        return;
    }
    struct v3_lease_grant_response response = {.header = v3_header(api, call, result->kv.revision),
                                               .id = (int64_t)call->id,
                                               .ttl = (int64_t)call->ttl};
    v3_answer(api, call, &v3_message_lease_grant_response, &response);
}

void v3_handle_grant(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_lease_grant_request *request = call->request;
    if (request->ttl > V3_LEASE_TTL_MAX) {
        v3_fail(api, call, V3_TTL_TOO_LARGE);
        return;
    }
    uint64_t least = node_lease_min_ttl_s(api->node);
    if (least < V3_LEASE_TTL_MIN)
        least = V3_LEASE_TTL_MIN;
    call->ttl = request->ttl > 0 ? (uint64_t)request->ttl : 0;
    if (call->ttl < least)
        call->ttl = least;
    call->id = request->id != 0 ? (uint64_t)request->id : node_new_lease_id(api->node);
    struct kv_op op = {.type = KV_OP_GRANT, .grant = {.id = call->id, .ttl_s = call->ttl}};
    v3_write_op(api, call, &op, on_granted, now_ms);
}

static void on_revoked(struct api *api, struct v3_call *call, const struct node_result *result,
                       uint64_t now_ms)
{
    (void)now_ms;
    if (result->kv.status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(result->kv.status));
        return;
    }
    struct v3_only_header response = {.header = v3_header(api, call, result->kv.revision)};
    v3_answer(api, call, &v3_message_only_header, &response);
}

void v3_handle_revoke(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_lease_request *request = call->request;
    struct kv_lease_time lease = {.id = (uint64_t)request->id};
    struct kv_command command = {.type = KV_COMMAND_REVOKE, .leases = &lease, .lease_count = 1};
    if (request->id == 0)
        v3_fail(api, call, V3_LEASE_NOT_FOUND);
    else
        v3_write(api, call, &command, on_revoked, now_ms);
}

/* ---- looking --------------------------------------------------------------------------------- */

static void put_keys(struct api *api, struct v3_call *call,
                     struct v3_lease_time_to_live_response *response)
{
    const struct kv *kv = node_kv(api->node);
    struct kv_lease_info info;
    if (!kv_lease_get(kv, call->id, &info))
        return;
    response->keys = v3_arena_alloc(&call->arena, info.key_count, sizeof *response->keys);
    struct kv_bytes key = {NULL, 0};
    while (response->keys_count < info.key_count && kv_lease_next_key(kv, call->id, key, &key))
        response->keys[response->keys_count++] = v3_of_kv(key);
}

static void on_looked(struct api *api, struct v3_call *call, const struct node_result *result,
                      uint64_t now_ms)
{
    (void)now_ms;
    const struct v3_lease_time_to_live_request *request = call->request;
    struct v3_lease_time_to_live_response response = {
        .header = v3_header_now(api, call), .id = request->id, .ttl = -1};
    if (result->lease_known) {
        response.ttl = (int64_t)(result->lease_remaining_ms / 1000);
        response.granted_ttl = (int64_t)result->lease_ttl_s;
        if (request->keys)
            put_keys(api, call, &response);
    }
    v3_answer(api, call, &v3_message_lease_time_to_live_response, &response);
}

static void look(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    v3_asked(api, call, on_looked);
    node_lease_look(api->node, call->token, call->id, now_ms);
}

static void on_caught_up(struct api *api, struct v3_call *call, const struct node_result *result,
                         uint64_t now_ms)
{
    (void)result;
    look(api, call, now_ms);
}

/* The keys are read here, so this member has to have them first. */
void v3_handle_time_to_live(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_lease_time_to_live_request *request = call->request;
    call->id = (uint64_t)request->id;
    if (request->keys)
        v3_read(api, call, on_caught_up, now_ms);
    else
        look(api, call, now_ms);
}

static void on_leases(struct api *api, struct v3_call *call, const struct node_result *result,
                      uint64_t now_ms)
{
    (void)result;
    (void)now_ms;
    const struct kv *kv = node_kv(api->node);
    size_t count = kv_lease_count(kv);
    struct v3_lease_leases_response response = {
        .header = v3_header_now(api, call),
        .leases = v3_arena_alloc(&call->arena, count, sizeof(struct v3_lease_status))};
    struct kv_lease_info info = {0};
    while (response.leases_count < count && kv_lease_seek(kv, info.id + 1, &info))
        response.leases[response.leases_count++].id = (int64_t)info.id;
    v3_answer(api, call, &v3_message_lease_leases_response, &response);
}

void v3_handle_leases(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    v3_read(api, call, on_leases, now_ms);
}

/* ---- keepalive ------------------------------------------------------------------------------- */

/* A lease that there is not is told by the absence of a TTL. */
static void on_renewed(struct api *api, struct v3_call *call, const struct node_result *result,
                       uint64_t now_ms)
{
    (void)now_ms;
    struct v3_lease_keepalive_response response = {
        .header = v3_header_now(api, call),
        .id = (int64_t)call->id,
        .ttl = result->lease_known ? (int64_t)result->lease_ttl_s : 0};
    v3_answer(api, call, &v3_message_lease_keepalive_response, &response);
}

/* One value of the body at a time, each renews and is answered by a message. */
void v3_handle_keepalive(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    if (!v3_next_value(api, call))
        return;
    const struct v3_lease_request *request = call->request;
    call->id = (uint64_t)request->id;
    v3_asked(api, call, on_renewed);
    node_lease_renew(api->node, call->token, call->id, now_ms);
}
