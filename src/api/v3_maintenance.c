/* maintenance/...: status, alarms, hashes, leadership. */
#include "api/v3_internal.h"

/* ---- status ---------------------------------------------------------------------------------- */

static bool is_learner(const struct node_status *status)
{
    for (size_t i = 0; i < status->member_count; i++) {
        if (status->members[i].is_self)
            return status->members[i].learner;
    }
    return false;
}

/* What compaction would leave, about. */
static uint64_t in_use(const struct kv *kv)
{
    uint64_t all = kv_memory_bytes(kv);
    uint64_t old = kv_history_bytes(kv);
    return all > old ? all - old : all;
}

void v3_handle_status(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct kv *kv = node_kv(api->node);
    const char *no_leader = v3_error_text(V3_NO_LEADER);
    struct node_status status = node_status(api->node, now_ms);
    struct v3_status_response response = {
        .header = v3_header_now(api, call),
        .version = V3_SERVER_VERSION,
        .db_size = (int64_t)kv_memory_bytes(kv),
        .leader = status.leader,
        .raft_index = status.commit,
        .raft_term = status.term,
        .raft_applied_index = status.applied,
        .errors = &no_leader,
        .errors_count = status.leader == 0,
        .db_size_in_use = (int64_t)in_use(kv),
        .is_learner = is_learner(&status),
    };
    node_status_deinit(&status);
    v3_answer(api, call, &v3_message_status_response, &response);
}

/* ---- alarms ---------------------------------------------------------------------------------- */

/* No member raises any: there is no quota, and who finds its data damaged ends. */
void v3_handle_alarm(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    const struct v3_alarm_request *request = call->request;
    struct v3_alarm_response none = {.header = NULL};
    if (request->action == 1) /* ACTIVATE */
        v3_fail(api, call, V3_NO_ALARMS);
    else
        v3_answer(api, call, &v3_message_alarm_response, &none);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static uint32_t short_hash(const struct kv *kv)
{
    uint64_t hash = kv_hash(kv);
    return (uint32_t)(hash ^ hash >> 32);
}

void v3_handle_hash(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    struct v3_hash_response response = {.header = v3_header_now(api, call),
                                        .hash = short_hash(node_kv(api->node))};
    v3_answer(api, call, &v3_message_hash_response, &response);
}

/* The hash is of the newest revision: of no other one it is known. */
void v3_handle_hash_kv(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    const struct v3_hash_kv_request *request = call->request;
    const struct kv *kv = node_kv(api->node);
    int64_t revision = (int64_t)kv_revision(kv);
    if (request->revision > revision) {
        v3_fail(api, call, V3_FUTURE);
        return;
    }
    if (request->revision > 0 && request->revision < revision) {
        v3_fail(api, call, V3_COMPACTED);
        return;
    }
    struct v3_hash_kv_response response = {.header = v3_header_now(api, call),
                                           .hash = short_hash(kv),
                                           .compact_revision = (int64_t)kv_compact_revision(kv),
                                           .hash_revision = revision};
    v3_answer(api, call, &v3_message_hash_kv_response, &response);
}

/* The log and the store keep themselves in order. */
void v3_handle_defragment(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    struct v3_nothing nothing = {0};
    v3_answer(api, call, &v3_message_nothing, &nothing);
}

/* ---- leadership ------------------------------------------------------------------------------ */

static void on_transferred(struct api *api, struct v3_call *call, const struct node_result *result,
                           uint64_t now_ms)
{
    (void)result;
    (void)now_ms;
    struct v3_nothing nothing = {0};
    v3_answer(api, call, &v3_message_nothing, &nothing);
}

void v3_handle_transfer(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_move_leader_request *request = call->request;
    struct node_status status = node_status(api->node, now_ms);
    bool leads = status.leader == status.id;
    bool is_voter = false;
    for (size_t i = 0; i < status.member_count; i++)
        is_voter =
            is_voter || (status.members[i].id == request->target_id && !status.members[i].learner);
    node_status_deinit(&status);
    if (!leads) {
        v3_fail(api, call, V3_NOT_LEADER);
        return;
    }
    if (!is_voter) {
        v3_fail(api, call, V3_BAD_TRANSFEREE);
        return;
    }
    v3_asked(api, call, on_transferred);
    node_transfer_leader(api->node, call->token, request->target_id, now_ms);
}
