/* What the node says of itself: health, livez, readyz, status, version. All answered at once. */
#include "api/internal.h"
#include "api/v3.h"
#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>

static void put_health(struct api_json *json, const struct node_status *status, bool is_healthy)
{
    api_json_str(json, "health", is_healthy ? "true" : "false");
    api_json_u64(json, "id", status->id);
    api_json_str(json, "role", status->role);
    api_json_u64(json, "term", status->term);
    api_json_u64(json, "leader", status->leader);
    api_json_u64(json, "commit", status->commit);
    api_json_u64(json, "applied", status->applied);
}

/* An alarm that was raised counts, as with etcd. */
static bool is_healthy(const struct api *api, const struct node_status *status)
{
    const struct kv_alarm *alarms;
    return status->leader != 0 && kv_alarms(node_kv(api->node), &alarms) == 0;
}

static void respond_health(const struct api *api, const struct node_status *status,
                           struct api_response *out)
{
    struct api_json json = {0};
    bool healthy = is_healthy(api, status);
    api_json_open(&json, NULL, '{');
    put_health(&json, status, healthy);
    api_json_close(&json, '}');
    api_respond_json(out, healthy ? 200 : 503, &json);
    if (status->leader == 0)
        api_respond_header(out, "Retry-After", "1");
}

static void respond_livez(struct api_response *out)
{
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_bool(&json, "live", true);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
}

static void respond_readyz(const struct node_status *status, struct api_response *out)
{
    if (status->leader == 0 || !status->caught_up) {
        const char *why = status->leader == 0 ? "there is no leader" : "not caught up yet";
        api_error_response(out, 503, "not_ready", status->reason != NULL ? status->reason : why);
        return;
    }
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_bool(&json, "ready", true);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
}

static void put_member(struct api_json *json, const struct node_member *member, floe_id leader)
{
    api_json_open(json, NULL, '{');
    api_json_u64(json, "id", member->id);
    api_json_str(json, "name", member->name);
    api_json_bool(json, "self", member->is_self);
    api_json_bool(json, "learner", member->learner);
    api_json_bool(json, "leader", member->id == leader);
    api_json_str(json, "peer_address", member->peer_address);
    api_json_str(json, "http_address", member->http_address);
    if (!member->is_self)
        api_json_bool(json, "connected", member->connected);
    if (member->ever_heard)
        api_json_u64(json, "last_heard_ms_ago", member->heard_ms_ago);
    if (member->has_progress) {
        api_json_open(json, "progress", '{');
        api_json_u64(json, "match", member->progress.match);
        api_json_u64(json, "next", member->progress.next);
        api_json_str(json, "state", floe_progress_state_name(member->progress.state));
        api_json_bool(json, "recent_active", member->progress.recent_active);
        api_json_bool(json, "paused", member->progress.paused);
        api_json_u64(json, "pending_snapshot", member->progress.pending_snapshot);
        api_json_close(json, '}');
    }
    api_json_close(json, '}');
}

void api_put_members(struct api_json *json, const struct node_status *status)
{
    api_json_open(json, "members", '[');
    for (size_t i = 0; i < status->member_count; i++)
        put_member(json, &status->members[i], status->leader);
    api_json_close(json, ']');
}

static void put_disk(struct api_json *json, const struct node_status *status)
{
    static const char *const names[] = {[NODE_DISK_GOOD] = "good",
                                        [NODE_DISK_LATE] = "late",
                                        [NODE_DISK_STUCK] = "stuck",
                                        [NODE_DISK_RECOVERING] = "recovering"};
    api_json_open(json, "disk", '{');
    api_json_str(json, "state", names[status->disk]);
    api_json_u64(json, "oldest_write_ms", status->disk_waits_ms);
    api_json_u64(json, "longest_write_ms", status->disk_longest_ms);
    api_json_u64(json, "late_count", status->disk_late_count);
    api_json_u64(json, "stuck_count", status->disk_stuck_count);
    api_json_str(json, "room", status->room);
    api_json_u64(json, "reserved_bytes", status->room_bytes);
    if (status->room_text != NULL)
        api_json_str(json, "refuses_writes", status->room_text);
    api_json_close(json, '}');
}

/* The hash as hex digits: readers that keep numbers as doubles would round it. */
static void put_chain(struct api_json *json, const struct node_status *status)
{
    if (status->chain_index == 0)
        return;
    char hash[20];
    (void)snprintf(hash, sizeof hash, "%016" PRIx64, status->chain_hash);
    api_json_open(json, "chain", '{');
    api_json_u64(json, "index", status->chain_index);
    api_json_str(json, "hash", hash);
    api_json_close(json, '}');
}

static void respond_status(const struct api *api, const struct node_status *status,
                           struct api_response *out)
{
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    put_health(&json, status, is_healthy(api, status));
    api_json_str(&json, "name", status->name);
    api_json_str(&json, "cluster", status->cluster);
    api_json_str(&json, "version", FLOE_VERSION);
    api_json_bool(&json, "ready", status->leader != 0 && status->caught_up);
    if (status->reason != NULL)
        api_json_str(&json, "reason", status->reason);
    api_json_u64(&json, "revision", status->revision);
    api_json_u64(&json, "last_index", status->last_index);
    api_json_u64(&json, "snapshot_index", status->snapshot_index);
    put_disk(&json, status);
    put_chain(&json, status);
    api_put_members(&json, status);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
}

static void respond_version(struct api_response *out)
{
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_str(&json, "etcdserver", V3_SERVER_VERSION); /* by which etcd's clients choose */
    api_json_str(&json, "etcdcluster", V3_CLUSTER_VERSION);
    api_json_str(&json, "floe", FLOE_VERSION);
    api_json_u64(&json, "api", API_REVISION);
    api_json_u64(&json, "protocol", PEER_PROTOCOL_VERSION);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
}

bool api_health_get(struct api *api, struct api_call *call, struct api_response *out)
{
    struct node_status status = node_status(api->node, call->now_ms);
    respond_health(api, &status, out);
    node_status_deinit(&status);
    return true;
}

bool api_livez_get(struct api *api, struct api_call *call, struct api_response *out)
{
    (void)api, (void)call;
    respond_livez(out);
    return true;
}

bool api_readyz_get(struct api *api, struct api_call *call, struct api_response *out)
{
    struct node_status status = node_status(api->node, call->now_ms);
    respond_readyz(&status, out);
    node_status_deinit(&status);
    return true;
}

bool api_status_get(struct api *api, struct api_call *call, struct api_response *out)
{
    struct node_status status = node_status(api->node, call->now_ms);
    respond_status(api, &status, out);
    node_status_deinit(&status);
    return true;
}

bool api_version_get(struct api *api, struct api_call *call, struct api_response *out)
{
    (void)api, (void)call;
    respond_version(out);
    return true;
}
