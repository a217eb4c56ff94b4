/* What there is under /v3: path, message, handler. */
#include "api/v3_route.h"

#include <string.h>

#define UNARY(path, request, handler)                      \
    {                                                      \
        path, &v3_message_##request, handler, false, false \
    }
#define GUARDED(path, request, handler)                   \
    {                                                     \
        path, &v3_message_##request, handler, false, true \
    }
#define STREAM(path, request, handler)                    \
    {                                                     \
        path, &v3_message_##request, handler, true, false \
    }

static const struct v3_route routes[] = {
    GUARDED("kv/range", range_request, v3_handle_range),
    GUARDED("kv/put", put_request, v3_handle_put),
    GUARDED("kv/deleterange", delete_range_request, v3_handle_delete_range),
    GUARDED("kv/txn", txn_request, v3_handle_txn),
    GUARDED("kv/compaction", compaction_request, v3_handle_compaction),
    GUARDED("lease/grant", lease_grant_request, v3_handle_grant),
    GUARDED("lease/revoke", lease_request, v3_handle_revoke),
    GUARDED("kv/lease/revoke", lease_request, v3_handle_revoke),
    UNARY("lease/timetolive", lease_time_to_live_request, v3_handle_time_to_live),
    UNARY("kv/lease/timetolive", lease_time_to_live_request, v3_handle_time_to_live),
    UNARY("lease/leases", nothing, v3_handle_leases),
    UNARY("kv/lease/leases", nothing, v3_handle_leases),
    STREAM("lease/keepalive", lease_request, v3_handle_keepalive),
    STREAM("watch", watch_request, v3_handle_watch),
    UNARY("cluster/member/list", member_list_request, v3_handle_member_list),
    UNARY("cluster/member/add", member_add_request, v3_handle_member_add),
    UNARY("cluster/member/remove", member_request, v3_handle_member_remove),
    UNARY("cluster/member/update", member_update_request, v3_handle_member_update),
    UNARY("cluster/member/promote", member_request, v3_handle_member_promote),
    UNARY("maintenance/status", nothing, v3_handle_status),
    UNARY("maintenance/alarm", alarm_request, v3_handle_alarm),
    UNARY("maintenance/hash", hash_kv_request, v3_handle_hash),
    UNARY("maintenance/hashkv", hash_kv_request, v3_handle_hash_kv),
    UNARY("maintenance/defragment", nothing, v3_handle_defragment),
    UNARY("maintenance/transfer-leadership", move_leader_request, v3_handle_transfer),
    STREAM("maintenance/snapshot", nothing, v3_handle_snapshot),
    GUARDED("lock/lock", lock_request, v3_handle_lock),
    GUARDED("lock/unlock", unlock_request, v3_handle_unlock),
    GUARDED("election/campaign", campaign_request, v3_handle_campaign),
    GUARDED("election/proclaim", proclaim_request, v3_handle_proclaim),
    GUARDED("election/leader", leader_request, v3_handle_leader),
    GUARDED("election/resign", resign_request, v3_handle_resign),
    STREAM("election/observe", leader_request, v3_handle_observe),
    UNARY("auth/authenticate", auth_name_request, v3_handle_auth_off),
    UNARY("auth/enable", nothing, v3_handle_auth_enable),
    UNARY("auth/disable", nothing, v3_handle_auth_nothing),
    UNARY("auth/status", nothing, v3_handle_auth_status),
    UNARY("auth/user/list", nothing, v3_handle_auth_nothing),
    UNARY("auth/user/add", auth_name_request, v3_handle_auth_off),
    UNARY("auth/user/get", auth_name_request, v3_handle_user_missing),
    UNARY("auth/user/delete", auth_name_request, v3_handle_user_missing),
    UNARY("auth/user/changepw", auth_name_request, v3_handle_user_missing),
    UNARY("auth/user/grant", auth_grant_request, v3_handle_user_missing),
    UNARY("auth/user/revoke", auth_name_request, v3_handle_user_missing),
    UNARY("auth/role/list", nothing, v3_handle_auth_nothing),
    UNARY("auth/role/add", auth_name_request, v3_handle_auth_off),
    UNARY("auth/role/get", auth_role_request, v3_handle_role_missing),
    UNARY("auth/role/delete", auth_role_request, v3_handle_role_missing),
    UNARY("auth/role/grant", auth_role_grant_request, v3_handle_role_missing),
    UNARY("auth/role/revoke", auth_role_request, v3_handle_role_missing),
};

const struct v3_route *v3_route_find(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    }
    return NULL;
}

const struct v3_route *v3_route_at(size_t i)
{
    return i < sizeof routes / sizeof *routes ? &routes[i] : NULL;
}
