/* maintenance/...: status, alarms, hashes, leadership. */
#include "api/v3_internal.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HASH_STEPS 8000 /* keys and events, in a turn */

struct v3_digest {
    struct kv_digest *digest;
    uint64_t generation; /* of the store that it is of */
};

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

/* ---- alarms ---------------------------------------------------------------------------------- */

static bool is_wanted(int32_t kind, enum kv_alarm_kind found)
{
    return kind == 0 || kind == (int32_t)found;
}

/* Those that were raised, and this member's own shortage of disk, which nobody needs to raise. */
static size_t list_alarms(struct api *api, struct v3_arena *arena, int32_t kind,
                          struct v3_alarm_member **out)
{
    const struct kv_alarm *raised;
    size_t count = kv_alarms(node_kv(api->node), &raised);
    size_t found = 0;
    floe_id self = 0;
    bool is_short = v3_is_short_of_room(api, &self) && is_wanted(kind, KV_ALARM_NO_SPACE);
    *out = v3_arena_alloc(arena, count + 1, sizeof **out);
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(kind, raised[i].kind))
            continue;
        bool is_own = raised[i].member == self && raised[i].kind == KV_ALARM_NO_SPACE;
        is_short = is_short && !is_own;
        (*out)[found++] = (struct v3_alarm_member){.member_id = raised[i].member,
                                                   .alarm = (int32_t)raised[i].kind};
    }
    if (is_short)
        (*out)[found++] = (struct v3_alarm_member){.member_id = self, .alarm = KV_ALARM_NO_SPACE};
    return found;
}

static void on_alarm(struct api *api, struct v3_call *call, const struct node_result *result,
                     uint64_t now_ms)
{
    (void)now_ms;
    const struct v3_alarm_request *request = call->request;
    if (result->kv.status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(result->kv.status));
        return;
    }
    struct v3_alarm_member member = {.member_id = request->member_id, .alarm = request->alarm};
    struct v3_alarm_response response = {.alarms = &member, .alarms_count = call->revision > 0};
    v3_answer(api, call, &v3_message_alarm_response, &response);
}

static bool is_raised(const struct kv *kv, const struct kv_alarm *alarm)
{
    const struct kv_alarm *raised;
    size_t count = kv_alarms(kv, &raised);
    for (size_t i = 0; i < count; i++) {
        if (raised[i].member == alarm->member && raised[i].kind == alarm->kind)
            return true;
    }
    return false;
}

/* The answer has the alarm, but for one that is lifted and was not raised. */
static void set_alarm(struct api *api, struct v3_call *call, bool raise, uint64_t now_ms)
{
    const struct v3_alarm_request *request = call->request;
    struct kv_command command = {
        .type = KV_COMMAND_ALARM,
        .alarm = {.member = request->member_id, .kind = (enum kv_alarm_kind)request->alarm},
        .raise = raise};
    if (request->alarm < (int32_t)KV_ALARM_NO_SPACE || request->alarm > (int32_t)KV_ALARM_CORRUPT) {
        v3_fail(api, call, V3_INVALID); /* the end of etcd 3.4 */
        return;
    }
    call->revision = raise || is_raised(node_kv(api->node), &command.alarm);
    v3_write(api, call, &command, on_alarm, now_ms);
}

void v3_handle_alarm(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_alarm_request *request = call->request;
    if (request->action == 1 || request->action == 2) { /* ACTIVATE, DEACTIVATE */
        set_alarm(api, call, request->action == 1, now_ms);
        return;
    }
    struct v3_alarm_response response = {.header = NULL};
    response.alarms_count = list_alarms(api, &call->arena, request->alarm, &response.alarms);
    v3_answer(api, call, &v3_message_alarm_response, &response);
}

/* ---- status, with them ----------------------------------------------------------------------- */

/* etcd's text ends with a blank. */
static const char *alarm_text(struct v3_arena *arena, const struct v3_alarm_member *alarm)
{
    char text[64];
    int len =
        snprintf(text, sizeof text, "memberID:%" PRIu64 " alarm:%s ", (uint64_t)alarm->member_id,
                 alarm->alarm == (int32_t)KV_ALARM_NO_SPACE ? "NOSPACE" : "CORRUPT");
    return (const char *)v3_arena_copy(arena, (const uint8_t *)text, (size_t)len + 1).data;
}

static size_t list_errors(struct api *api, struct v3_arena *arena, bool has_leader,
                          const char ***out)
{
    struct v3_alarm_member *alarms;
    size_t count = list_alarms(api, arena, 0, &alarms);
    size_t found = 0;
    *out = v3_arena_alloc(arena, count + 1, sizeof **out);
    if (!has_leader)
        (*out)[found++] = v3_error_text(V3_NO_LEADER);
    for (size_t i = 0; i < count; i++)
        (*out)[found++] = alarm_text(arena, &alarms[i]);
    return found;
}

void v3_handle_status(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct kv *kv = node_kv(api->node);
    struct node_status status = node_status(api->node, now_ms);
    struct v3_status_response response = {
        .header = v3_header_now(api, call),
        .version = V3_SERVER_VERSION,
        .db_size = (int64_t)kv_memory_bytes(kv),
        .leader = status.leader,
        .raft_index = status.commit,
        .raft_term = status.term,
        .raft_applied_index = status.applied,
        .db_size_in_use = (int64_t)in_use(kv),
        .is_learner = is_learner(&status),
    };
    response.errors_count = list_errors(api, &call->arena, status.leader != 0, &response.errors);
    node_status_deinit(&status);
    v3_answer(api, call, &v3_message_status_response, &response);
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

static void free_digest(struct api *api, struct v3_call *call)
{
    struct v3_digest *state = call->state;
    v3_slices_end(api, call);
    kv_digest_free(state->digest);
    mem_free(state);
}

static void hash_slice(struct api *api, struct v3_call *call)
{
    const struct v3_digest *state = call->state;
    bool is_same = state->generation == node_kv_generation(api->node);
    size_t budget = HASH_STEPS;
    enum kv_step step = KV_STEP_COMPACTED;
    if (is_same)
        step = kv_digest_go_on(node_kv(api->node), state->digest, &budget);
    if (step == KV_STEP_PAUSE)
        return;
    v3_slices_end(api, call);
    if (step == KV_STEP_COMPACTED) {
        v3_fail(api, call, is_same ? V3_COMPACTED : V3_TIMED_OUT);
        return;
    }
    struct kv_digest_value value = kv_digest_value(state->digest);
    struct v3_hash_kv_response response = {.header = v3_header_now(api, call),
                                           .hash = (uint32_t)(value.hash ^ value.hash >> 32),
                                           .compact_revision = (int64_t)value.compact_revision,
                                           .hash_revision = (int64_t)value.revision};
    v3_answer(api, call, &v3_message_hash_kv_response, &response);
}

void v3_handle_hash_kv(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    const struct v3_hash_kv_request *request = call->request;
    uint64_t revision = request->revision > 0 ? (uint64_t)request->revision : 0;
    struct kv_digest *digest;
    enum kv_status status = kv_digest_open(node_kv(api->node), revision, &digest);
    if (status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(status));
        return;
    }
    struct v3_digest *state = mem_calloc(1, sizeof *state);
    *state = (struct v3_digest){.digest = digest, .generation = node_kv_generation(api->node)};
    call->state = state;
    call->free_state = free_digest;
    v3_slices_begin(api, call, hash_slice);
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
