/*
 * The messages of etcd's v3 API, each said once: the C name, type, number and JSON name of every
 * field. From this come the structs (v3_codec.h) and the descriptors that drive every encoding
 * (v3_table.c); a second encoding, as protobuf, needs no more than this.
 *
 * A row is F(M, type, C name, JSON name, number, what it refers to); M is the message. The zero
 * rule follows from the type: BOOL, numbers, ENUM, STRING, BYTES and lists that are zero or empty
 * are not written, and what is not there is zero when read; a MESSAGE is a pointer, NULL is absent,
 * and one that is there is written even if it is empty. The fields of a oneof are MESSAGEs of which
 * one is set. The order of rows is the order of JSON. The second JSON name, lowerCamelCase, follows
 * from the first.
 */
#ifndef API_V3_MESSAGES_H
#define API_V3_MESSAGES_H

#define V3_FIELDS_response_header(F, M)             \
    F(M, UINT64, cluster_id, "cluster_id", 1, none) \
    F(M, UINT64, member_id, "member_id", 2, none)   \
    F(M, INT64, revision, "revision", 3, none)      \
    F(M, UINT64, raft_term, "raft_term", 4, none)

#define V3_FIELDS_key_value(F, M)                            \
    F(M, BYTES, key, "key", 1, none)                         \
    F(M, INT64, create_revision, "create_revision", 2, none) \
    F(M, INT64, mod_revision, "mod_revision", 3, none)       \
    F(M, INT64, version, "version", 4, none)                 \
    F(M, BYTES, value, "value", 5, none)                     \
    F(M, INT64, lease, "lease", 6, none)

#define V3_FIELDS_only_header(F, M) F(M, MESSAGE, header, "header", 1, response_header)

#define V3_FIELDS_nothing(F, M)

/* ---- kv -------------------------------------------------------------------------------------- */

#define V3_FIELDS_range_request(F, M)                                 \
    F(M, BYTES, key, "key", 1, none)                                  \
    F(M, BYTES, range_end, "range_end", 2, none)                      \
    F(M, INT64, limit, "limit", 3, none)                              \
    F(M, INT64, revision, "revision", 4, none)                        \
    F(M, ENUM, sort_order, "sort_order", 5, sort_order)               \
    F(M, ENUM, sort_target, "sort_target", 6, sort_target)            \
    F(M, BOOL, serializable, "serializable", 7, none)                 \
    F(M, BOOL, keys_only, "keys_only", 8, none)                       \
    F(M, BOOL, count_only, "count_only", 9, none)                     \
    F(M, INT64, min_mod_revision, "min_mod_revision", 10, none)       \
    F(M, INT64, max_mod_revision, "max_mod_revision", 11, none)       \
    F(M, INT64, min_create_revision, "min_create_revision", 12, none) \
    F(M, INT64, max_create_revision, "max_create_revision", 13, none)

#define V3_FIELDS_range_response(F, M)                  \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, MESSAGES, kvs, "kvs", 2, key_value)            \
    F(M, BOOL, more, "more", 3, none)                   \
    F(M, INT64, count, "count", 4, none)

#define V3_FIELDS_put_request(F, M)                   \
    F(M, BYTES, key, "key", 1, none)                  \
    F(M, BYTES, value, "value", 2, none)              \
    F(M, INT64, lease, "lease", 3, none)              \
    F(M, BOOL, prev_kv, "prev_kv", 4, none)           \
    F(M, BOOL, ignore_value, "ignore_value", 5, none) \
    F(M, BOOL, ignore_lease, "ignore_lease", 6, none)

#define V3_FIELDS_put_response(F, M)                    \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, MESSAGE, prev_kv, "prev_kv", 2, key_value)

#define V3_FIELDS_delete_range_request(F, M)     \
    F(M, BYTES, key, "key", 1, none)             \
    F(M, BYTES, range_end, "range_end", 2, none) \
    F(M, BOOL, prev_kv, "prev_kv", 3, none)

#define V3_FIELDS_delete_range_response(F, M)           \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, INT64, deleted, "deleted", 2, none)            \
    F(M, MESSAGES, prev_kvs, "prev_kvs", 3, key_value)

#define V3_FIELDS_request_op(F, M)                                                       \
    F(M, MESSAGE, request_range, "request_range", 1, range_request)                      \
    F(M, MESSAGE, request_put, "request_put", 2, put_request)                            \
    F(M, MESSAGE, request_delete_range, "request_delete_range", 3, delete_range_request) \
    F(M, MESSAGE, request_txn, "request_txn", 4, txn_request)

#define V3_FIELDS_response_op(F, M)                                                         \
    F(M, MESSAGE, response_range, "response_range", 1, range_response)                      \
    F(M, MESSAGE, response_put, "response_put", 2, put_response)                            \
    F(M, MESSAGE, response_delete_range, "response_delete_range", 3, delete_range_response) \
    F(M, MESSAGE, response_txn, "response_txn", 4, txn_response)

#define V3_FIELDS_compare(F, M)                              \
    F(M, ENUM, result, "result", 1, compare_result)          \
    F(M, ENUM, target, "target", 2, compare_target)          \
    F(M, BYTES, key, "key", 3, none)                         \
    F(M, INT64, version, "version", 4, none)                 \
    F(M, INT64, create_revision, "create_revision", 5, none) \
    F(M, INT64, mod_revision, "mod_revision", 6, none)       \
    F(M, BYTES, value, "value", 7, none)                     \
    F(M, INT64, lease, "lease", 8, none)                     \
    F(M, BYTES, range_end, "range_end", 64, none)

#define V3_FIELDS_txn_request(F, M)                   \
    F(M, MESSAGES, compare, "compare", 1, compare)    \
    F(M, MESSAGES, success, "success", 2, request_op) \
    F(M, MESSAGES, failure, "failure", 3, request_op)

#define V3_FIELDS_txn_response(F, M)                    \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, BOOL, succeeded, "succeeded", 2, none)         \
    F(M, MESSAGES, responses, "responses", 3, response_op)

#define V3_FIELDS_compaction_request(F, M)     \
    F(M, INT64, revision, "revision", 1, none) \
    F(M, BOOL, physical, "physical", 2, none)

/* ---- leases ---------------------------------------------------------------------------------- */

#define V3_FIELDS_lease_grant_request(F, M) \
    F(M, INT64, ttl, "TTL", 1, none)        \
    F(M, INT64, id, "ID", 2, none)

#define V3_FIELDS_lease_grant_response(F, M)            \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, INT64, id, "ID", 2, none)                      \
    F(M, INT64, ttl, "TTL", 3, none)

#define V3_FIELDS_lease_request(F, M) F(M, INT64, id, "ID", 1, none)

#define V3_FIELDS_lease_keepalive_response(F, M)        \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, INT64, id, "ID", 2, none)                      \
    F(M, INT64, ttl, "TTL", 3, none)

#define V3_FIELDS_lease_time_to_live_request(F, M) \
    F(M, INT64, id, "ID", 1, none)                 \
    F(M, BOOL, keys, "keys", 2, none)

#define V3_FIELDS_lease_time_to_live_response(F, M)     \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, INT64, id, "ID", 2, none)                      \
    F(M, INT64, ttl, "TTL", 3, none)                    \
    F(M, INT64, granted_ttl, "grantedTTL", 4, none)     \
    F(M, BYTES_LIST, keys, "keys", 5, none)

#define V3_FIELDS_lease_status(F, M) F(M, INT64, id, "ID", 1, none)

#define V3_FIELDS_lease_leases_response(F, M)           \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, MESSAGES, leases, "leases", 2, lease_status)

/* ---- watch ----------------------------------------------------------------------------------- */

#define V3_FIELDS_watch_request(F, M)                                        \
    F(M, MESSAGE, create_request, "create_request", 1, watch_create_request) \
    F(M, MESSAGE, cancel_request, "cancel_request", 2, watch_cancel_request) \
    F(M, MESSAGE, progress_request, "progress_request", 3, nothing)

#define V3_FIELDS_watch_create_request(F, M)                \
    F(M, BYTES, key, "key", 1, none)                        \
    F(M, BYTES, range_end, "range_end", 2, none)            \
    F(M, INT64, start_revision, "start_revision", 3, none)  \
    F(M, BOOL, progress_notify, "progress_notify", 4, none) \
    F(M, ENUMS, filters, "filters", 5, watch_filter)        \
    F(M, BOOL, prev_kv, "prev_kv", 6, none)                 \
    F(M, INT64, watch_id, "watch_id", 7, none)              \
    F(M, BOOL, fragment, "fragment", 8, none)

#define V3_FIELDS_watch_cancel_request(F, M) F(M, INT64, watch_id, "watch_id", 1, none)

#define V3_FIELDS_event(F, M)               \
    F(M, ENUM, type, "type", 1, event_type) \
    F(M, MESSAGE, kv, "kv", 2, key_value)   \
    F(M, MESSAGE, prev_kv, "prev_kv", 3, key_value)

#define V3_FIELDS_watch_response(F, M)                         \
    F(M, MESSAGE, header, "header", 1, response_header)        \
    F(M, INT64, watch_id, "watch_id", 2, none)                 \
    F(M, BOOL, created, "created", 3, none)                    \
    F(M, BOOL, canceled, "canceled", 4, none)                  \
    F(M, INT64, compact_revision, "compact_revision", 5, none) \
    F(M, STRING, cancel_reason, "cancel_reason", 6, none)      \
    F(M, BOOL, fragment, "fragment", 7, none)                  \
    F(M, MESSAGES, events, "events", 11, event)

/* ---- cluster --------------------------------------------------------------------------------- */

#define V3_FIELDS_member(F, M)                        \
    F(M, UINT64, id, "ID", 1, none)                   \
    F(M, STRING, name, "name", 2, none)               \
    F(M, STRINGS, peer_urls, "peerURLs", 3, none)     \
    F(M, STRINGS, client_urls, "clientURLs", 4, none) \
    F(M, BOOL, is_learner, "isLearner", 5, none)

#define V3_FIELDS_member_add_request(F, M)        \
    F(M, STRINGS, peer_urls, "peerURLs", 1, none) \
    F(M, BOOL, is_learner, "isLearner", 2, none)

#define V3_FIELDS_member_add_response(F, M)             \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, MESSAGE, member, "member", 2, member)          \
    F(M, MESSAGES, members, "members", 3, member)

#define V3_FIELDS_member_request(F, M) F(M, UINT64, id, "ID", 1, none)

#define V3_FIELDS_member_update_request(F, M) \
    F(M, UINT64, id, "ID", 1, none)           \
    F(M, STRINGS, peer_urls, "peerURLs", 2, none)

#define V3_FIELDS_member_list_request(F, M) F(M, BOOL, linearizable, "linearizable", 1, none)

#define V3_FIELDS_members_response(F, M)                \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, MESSAGES, members, "members", 2, member)

/* ---- maintenance ----------------------------------------------------------------------------- */

#define V3_FIELDS_alarm_request(F, M)             \
    F(M, ENUM, action, "action", 1, alarm_action) \
    F(M, UINT64, member_id, "memberID", 2, none)  \
    F(M, ENUM, alarm, "alarm", 3, alarm_type)

#define V3_FIELDS_alarm_member(F, M)             \
    F(M, UINT64, member_id, "memberID", 1, none) \
    F(M, ENUM, alarm, "alarm", 2, alarm_type)

#define V3_FIELDS_alarm_response(F, M)                  \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, MESSAGES, alarms, "alarms", 2, alarm_member)

#define V3_FIELDS_status_response(F, M)                           \
    F(M, MESSAGE, header, "header", 1, response_header)           \
    F(M, STRING, version, "version", 2, none)                     \
    F(M, INT64, db_size, "dbSize", 3, none)                       \
    F(M, UINT64, leader, "leader", 4, none)                       \
    F(M, UINT64, raft_index, "raftIndex", 5, none)                \
    F(M, UINT64, raft_term, "raftTerm", 6, none)                  \
    F(M, UINT64, raft_applied_index, "raftAppliedIndex", 7, none) \
    F(M, STRINGS, errors, "errors", 8, none)                      \
    F(M, INT64, db_size_in_use, "dbSizeInUse", 9, none)           \
    F(M, BOOL, is_learner, "isLearner", 10, none)

#define V3_FIELDS_hash_response(F, M)                   \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, UINT32, hash, "hash", 2, none)

#define V3_FIELDS_hash_kv_request(F, M) F(M, INT64, revision, "revision", 1, none)

#define V3_FIELDS_hash_kv_response(F, M)                       \
    F(M, MESSAGE, header, "header", 1, response_header)        \
    F(M, UINT32, hash, "hash", 2, none)                        \
    F(M, INT64, compact_revision, "compact_revision", 3, none) \
    F(M, INT64, hash_revision, "hash_revision", 4, none)

#define V3_FIELDS_snapshot_response(F, M)                     \
    F(M, MESSAGE, header, "header", 1, response_header)       \
    F(M, UINT64, remaining_bytes, "remaining_bytes", 2, none) \
    F(M, BYTES, blob, "blob", 3, none)

#define V3_FIELDS_move_leader_request(F, M) F(M, UINT64, target_id, "targetID", 1, none)

/* ---- auth ------------------------------------------------------------------------------------ */

#define V3_FIELDS_auth_name_request(F, M) \
    F(M, STRING, name, "name", 1, none)   \
    F(M, STRING, password, "password", 2, none)

#define V3_FIELDS_auth_role_request(F, M) \
    F(M, STRING, role, "role", 1, none)   \
    F(M, BYTES, key, "key", 2, none)      \
    F(M, BYTES, range_end, "range_end", 3, none)

#define V3_FIELDS_auth_grant_request(F, M) \
    F(M, STRING, user, "user", 1, none)    \
    F(M, STRING, role, "role", 2, none)

#define V3_FIELDS_auth_permission(F, M)                   \
    F(M, ENUM, perm_type, "permType", 1, permission_type) \
    F(M, BYTES, key, "key", 2, none)                      \
    F(M, BYTES, range_end, "range_end", 3, none)

#define V3_FIELDS_auth_role_grant_request(F, M) \
    F(M, STRING, name, "name", 1, none)         \
    F(M, MESSAGE, perm, "perm", 2, auth_permission)

#define V3_FIELDS_auth_status_response(F, M)            \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, BOOL, enabled, "enabled", 2, none)             \
    F(M, UINT64, auth_revision, "authRevision", 3, none)

/* ---- lock and election ----------------------------------------------------------------------- */

#define V3_FIELDS_lock_request(F, M)   \
    F(M, BYTES, name, "name", 1, none) \
    F(M, INT64, lease, "lease", 2, none)

#define V3_FIELDS_lock_response(F, M)                   \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, BYTES, key, "key", 2, none)

#define V3_FIELDS_unlock_request(F, M) F(M, BYTES, key, "key", 1, none)

#define V3_FIELDS_campaign_request(F, M) \
    F(M, BYTES, name, "name", 1, none)   \
    F(M, INT64, lease, "lease", 2, none) \
    F(M, BYTES, value, "value", 3, none)

#define V3_FIELDS_leader_key(F, M)     \
    F(M, BYTES, name, "name", 1, none) \
    F(M, BYTES, key, "key", 2, none)   \
    F(M, INT64, rev, "rev", 3, none)   \
    F(M, INT64, lease, "lease", 4, none)

#define V3_FIELDS_campaign_response(F, M)               \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, MESSAGE, leader, "leader", 2, leader_key)

#define V3_FIELDS_leader_request(F, M) F(M, BYTES, name, "name", 1, none)

#define V3_FIELDS_leader_response(F, M)                 \
    F(M, MESSAGE, header, "header", 1, response_header) \
    F(M, MESSAGE, kv, "kv", 2, key_value)

#define V3_FIELDS_resign_request(F, M) F(M, MESSAGE, leader, "leader", 1, leader_key)

#define V3_FIELDS_proclaim_request(F, M)           \
    F(M, MESSAGE, leader, "leader", 1, leader_key) \
    F(M, BYTES, value, "value", 2, none)

/* ---- all of them ------------------------------------------------------------------------ */

/* M(C name, name in the protocol) */
#define V3_MESSAGES(M)                                           \
    M(response_header, "ResponseHeader")                         \
    M(key_value, "KeyValue")                                     \
    M(only_header, "ResponseHeaderOnly")                         \
    M(nothing, "Empty")                                          \
    M(range_request, "RangeRequest")                             \
    M(range_response, "RangeResponse")                           \
    M(put_request, "PutRequest")                                 \
    M(put_response, "PutResponse")                               \
    M(delete_range_request, "DeleteRangeRequest")                \
    M(delete_range_response, "DeleteRangeResponse")              \
    M(request_op, "RequestOp")                                   \
    M(response_op, "ResponseOp")                                 \
    M(compare, "Compare")                                        \
    M(txn_request, "TxnRequest")                                 \
    M(txn_response, "TxnResponse")                               \
    M(compaction_request, "CompactionRequest")                   \
    M(lease_grant_request, "LeaseGrantRequest")                  \
    M(lease_grant_response, "LeaseGrantResponse")                \
    M(lease_request, "LeaseRequest")                             \
    M(lease_keepalive_response, "LeaseKeepAliveResponse")        \
    M(lease_time_to_live_request, "LeaseTimeToLiveRequest")      \
    M(lease_time_to_live_response, "LeaseTimeToLiveResponse")    \
    M(lease_status, "LeaseStatus")                               \
    M(lease_leases_response, "LeaseLeasesResponse")              \
    M(watch_request, "WatchRequest")                             \
    M(watch_create_request, "WatchCreateRequest")                \
    M(watch_cancel_request, "WatchCancelRequest")                \
    M(event, "Event")                                            \
    M(watch_response, "WatchResponse")                           \
    M(member, "Member")                                          \
    M(member_add_request, "MemberAddRequest")                    \
    M(member_add_response, "MemberAddResponse")                  \
    M(member_request, "MemberRequest")                           \
    M(member_update_request, "MemberUpdateRequest")              \
    M(member_list_request, "MemberListRequest")                  \
    M(members_response, "MembersResponse")                       \
    M(alarm_request, "AlarmRequest")                             \
    M(alarm_member, "AlarmMember")                               \
    M(alarm_response, "AlarmResponse")                           \
    M(status_response, "StatusResponse")                         \
    M(hash_response, "HashResponse")                             \
    M(hash_kv_request, "HashKVRequest")                          \
    M(hash_kv_response, "HashKVResponse")                        \
    M(snapshot_response, "SnapshotResponse")                     \
    M(move_leader_request, "MoveLeaderRequest")                  \
    M(auth_name_request, "AuthUserRequest")                      \
    M(auth_role_request, "AuthRoleRequest")                      \
    M(auth_grant_request, "AuthUserGrantRoleRequest")            \
    M(auth_permission, "Permission")                             \
    M(auth_role_grant_request, "AuthRoleGrantPermissionRequest") \
    M(auth_status_response, "AuthStatusResponse")                \
    M(lock_request, "LockRequest")                               \
    M(lock_response, "LockResponse")                             \
    M(unlock_request, "UnlockRequest")                           \
    M(campaign_request, "CampaignRequest")                       \
    M(leader_key, "LeaderKey")                                   \
    M(campaign_response, "CampaignResponse")                     \
    M(leader_request, "LeaderRequest")                           \
    M(leader_response, "LeaderResponse")                         \
    M(resign_request, "ResignRequest")                           \
    M(proclaim_request, "ProclaimRequest")

/* E(C name, name in the protocol, names of 0, 1, ...) */
#define V3_ENUMS(E)                                                                              \
    E(sort_order, "etcdserverpb.RangeRequest_SortOrder", "NONE", "ASCEND", "DESCEND")            \
    E(sort_target, "etcdserverpb.RangeRequest_SortTarget", "KEY", "VERSION", "CREATE", "MOD",    \
      "VALUE")                                                                                   \
    E(compare_result, "etcdserverpb.Compare_CompareResult", "EQUAL", "GREATER", "LESS",          \
      "NOT_EQUAL")                                                                               \
    E(compare_target, "etcdserverpb.Compare_CompareTarget", "VERSION", "CREATE", "MOD", "VALUE", \
      "LEASE")                                                                                   \
    E(watch_filter, "etcdserverpb.WatchCreateRequest_FilterType", "NOPUT", "NODELETE")           \
    E(event_type, "mvccpb.Event_EventType", "PUT", "DELETE")                                     \
    E(alarm_action, "etcdserverpb.AlarmRequest_AlarmAction", "GET", "ACTIVATE", "DEACTIVATE")    \
    E(alarm_type, "etcdserverpb.AlarmType", "NONE", "NOSPACE", "CORRUPT")                        \
    E(permission_type, "authpb.Permission_Type", "READ", "WRITE", "READWRITE")

#endif
