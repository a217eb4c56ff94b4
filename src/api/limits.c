/* GET /limits: whatever is refused for being too large, too many or too late, and from where on. */
#include "api/internal.h"
#include "api/v3_internal.h"

#define TICKETS_S 3600 /* node/retention */

static void put_configured(struct api_json *json, const struct api_limits *limits)
{
    api_json_u64(json, "key_bytes", limits->key_bytes);
    api_json_u64(json, "value_bytes", limits->value_bytes);
    api_json_u64(json, "body_bytes", limits->body_bytes);
    api_json_u64(json, "pending_bytes", limits->pending_bytes);
    api_json_u64(json, "connections", limits->connections);
    api_json_u64(json, "request_timeout_ms", limits->request_timeout_ms);
    api_json_u64(json, "header_bytes", limits->header_bytes);
    api_json_u64(json, "header_timeout_ms", limits->header_timeout_ms);
    api_json_u64(json, "body_timeout_ms", limits->body_timeout_ms);
    api_json_u64(json, "idle_timeout_ms", limits->idle_timeout_ms);
    api_json_u64(json, "history_s", limits->history_s);
    api_json_u64(json, "history_bytes", limits->history_bytes);
}

static void put_streams(struct api_json *json, const struct api *api)
{
    size_t body = api->limits.body_bytes;
    api_json_u64(json, "stream_bytes", API_STREAM_BYTES);
    api_json_u64(json, "all_streams_bytes", api->streams.bytes);
    api_json_u64(json, "heartbeat_ms", API_STREAM_BEAT_MS);
    api_json_u64(json, "websocket_message_bytes",
                 body < API_MESSAGE_BYTES ? body : API_MESSAGE_BYTES);
    api_json_u64(json, "websocket_unread_bytes", V3_UNREAD_BYTES);
    api_json_u64(json, "websocket_unsent_bytes", V3_UNSAID_BYTES);
    api_json_u64(json, "watchers_per_stream", V3_WATCHERS_MAX);
}

static void put_requests(struct api_json *json, const struct api *api)
{
    api_json_u64(json, "txn_conditions", KV_TXN_OPS_MAX);
    api_json_u64(json, "txn_operations", KV_TXN_OPS_MAX);
    api_json_u64(json, "txn_depth", KV_TXN_DEPTH_MAX);
    api_json_u64(json, "txn_total", KV_TXN_TOTAL_MAX);
    api_json_u64(json, "query_parameters", API_PARAMS_MAX);
    api_json_u64(json, "member_body_bytes", API_MEMBER_BODY_BYTES);
    api_json_u64(json, "v3_request_bytes", V3_REQUEST_BYTES);
    api_json_u64(json, "v3_message_bytes", V3_TRANSPORT_BYTES);
    api_json_u64(json, "v3_depth", V3_DEPTH_MAX);
    api_json_u64(json, "idempotency_key_bytes", API_TICKET_MAX);
    api_json_u64(json, "idempotency_keys", KV_TICKETS_MAX);
    api_json_u64(json, "idempotency_keys_s", TICKETS_S);
    api_json_u64(json, "leases_page", API_LEASES_PAGE);
    api_json_u64(json, "lease_ttl_min_s", node_lease_min_ttl_s(api->node));
    api_json_u64(json, "lease_ttl_max_s", API_TTL_MAX_S);
}

bool api_limits_get(struct api *api, struct api_call *call, struct api_response *out)
{
    (void)call;
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    put_configured(&json, &api->limits);
    put_requests(&json, api);
    put_streams(&json, api);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
    return true;
}
