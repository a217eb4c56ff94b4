/*
 * Calls and the node: what they ask it, what comes of it, and who waits for the store to change.
 */
#include "api/internal.h"
#include "api/v3.h"
#include "api/v3_internal.h"
#include "base/assert.h"

#include <string.h>

/* ---- the node -------------------------------------------------------------------------------- */

void v3_asked(struct api *api, struct v3_call *call, v3_on_result *on_result)
{
    (void)api;
    ASSERT_MSG(!call->in_node, "a call asks the node twice at a time");
    call->in_node = true;
    call->is_write = false;
    call->on_result = on_result;
}

bool v3_is_short_of_room(struct api *api, floe_id *self)
{
    struct node_status status = node_status(api->node, api->v3->now_ms);
    bool is_short = status.room != NULL && strcmp(status.room, "good") != 0;
    *self = status.id;
    node_status_deinit(&status);
    return is_short;
}

/* false: an alarm is raised that forbids this write, which is answered. */
static bool check_alarms(struct api *api, struct v3_call *call, const struct kv_command *command)
{
    enum kv_alarm_kind kind = api_forbidden_by(api, command);
    if (kind != 0)
        v3_fail(api, call, kind == KV_ALARM_CORRUPT ? V3_CORRUPT : V3_NO_SPACE);
    return kind == 0;
}

void v3_write(struct api *api, struct v3_call *call, const struct kv_command *command,
              v3_on_result *on_result, uint64_t now_ms)
{
    enum kv_status status = kv_command_check(command);
    if (status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(status));
        return;
    }
    if (!check_alarms(api, call, command))
        return;
    v3_asked(api, call, on_result);
    call->is_write = true;
    node_write(api->node, call->token, command, true, now_ms);
}

void v3_write_op(struct api *api, struct v3_call *call, struct kv_op *op, v3_on_result *on_result,
                 uint64_t now_ms)
{
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = op, .op_count = 1};
    v3_write(api, call, &command, on_result, now_ms);
}

void v3_read(struct api *api, struct v3_call *call, v3_on_result *on_result, uint64_t now_ms)
{
    v3_asked(api, call, on_result);
    node_read(api->node, call->token, now_ms);
}

static bool asks_for_lease_time(const struct v3_call *call)
{
    return call->route->handle == v3_handle_keepalive ||
           call->route->handle == v3_handle_time_to_live;
}

/* Whether nobody knows what became of a write, or there was no leader to take it: code 2, since
 * clients try again after 14 what must not be done twice. */
static bool is_past_deadline(const struct api *api, const struct v3_call *call,
                             enum node_outcome outcome)
{
    bool no_leader = outcome == NODE_NOT_DONE && node_leader(api->node) == 0;
    return call->is_write && node_life(api->node) == NODE_RUNNING &&
           (outcome == NODE_UNKNOWN || no_leader);
}

/* A change of members that does not go is refused in the words of what was asked for. */
static void refuse(struct api *api, struct v3_call *call, enum node_outcome outcome,
                   uint64_t now_ms)
{
    if (outcome == NODE_CONFLICT && v3_member_add_again(api, call, now_ms))
        return;
    if (outcome == NODE_REFUSED && call->route->handle == v3_handle_member_promote)
        v3_fail(api, call, V3_LEARNER_NOT_READY);
    else if (outcome == NODE_REFUSED && call->route->handle == v3_handle_transfer)
        v3_fail(api, call, V3_BAD_TRANSFEREE);
    else if (outcome == NODE_NOT_DONE && asks_for_lease_time(call) && node_leader(api->node) == 0)
        v3_fail(api, call, V3_NO_LEADER);
    else if (is_past_deadline(api, call, outcome))
        v3_fail(api, call, V3_DEADLINE);
    else
        v3_fail(api, call, v3_error_of_outcome(outcome));
}

bool v3_result(struct api *api, struct node_result *result, uint64_t now_ms)
{
    api->v3->now_ms = now_ms;
    struct v3_call *call = NULL;
    HASH_FIND(hh, api->v3->calls, &result->token, sizeof result->token, call);
    if (call == NULL)
        return false;
    ASSERT_MSG(call->in_node, "a result that nobody has asked for");
    call->in_node = false;
    if (call->is_gone) {
        v3_end_gone(api, call, result, now_ms);
    } else if (result->outcome != NODE_OK) {
        api->v3->counts.failed++;
        refuse(api, call, result->outcome, now_ms);
    } else {
        call->on_result(api, call, result, now_ms);
    }
    kv_result_deinit(&result->kv);
    return true;
}

/* ---- waiting -----------------------------------------------------------------------------------
 */

void v3_wait(struct api *api, struct v3_call *call, v3_handler *on_change)
{
    call->on_change = on_change;
    if (call->is_waiting)
        return;
    call->is_waiting = true;
    TAILQ_INSERT_TAIL(&api->v3->waiting, call, next_waiting);
}

void v3_wait_end(struct api *api, struct v3_call *call)
{
    if (call->is_waiting)
        TAILQ_REMOVE(&api->v3->waiting, call, next_waiting);
    call->is_waiting = false;
}

/* Whoever waits for something else than the node is answered: it comes no more. */
static void stop_all(struct api *api)
{
    struct v3_call *call;
    struct v3_call *next;
    api->v3->is_stopped = true;
    HASH_ITER(hh, api->v3->calls, call, next)
    {
        bool waits = call->is_waiting || call->make != NULL;
        v3_wait_end(api, call);
        if (waits && !call->in_node && call->message.len == 0)
            v3_fail(api, call, V3_STOPPED);
    }
}

static void on_session_renewed(struct api *api, struct v3_call *call,
                               const struct node_result *result, uint64_t now_ms)
{
    (void)result;
    if (call->is_waiting)
        call->on_change(api, call, now_ms); /* which may have been missed meanwhile */
}

static void renew_sessions(struct api *api, uint64_t now_ms)
{
    struct v3_call *call;
    TAILQ_FOREACH(call, &api->v3->waiting, next_waiting)
    {
        if (!call->renews || call->in_node)
            continue;
        v3_asked(api, call, on_session_renewed);
        node_lease_renew(api->node, call->token, call->id, now_ms);
    }
    api->v3->renew_ms = now_ms + V3_SESSION_RENEW_MS;
}

static bool has_changed(struct api *api)
{
    struct v3 *v3 = api->v3;
    uint64_t end = kv_history_end(node_kv(api->node));
    uint64_t generation = node_kv_generation(api->node);
    bool changed = end != v3->seen_end || generation != v3->seen_generation;
    v3->seen_end = end;
    v3->seen_generation = generation;
    return changed;
}

static void note_leader(struct api *api)
{
    floe_id leader = node_leader(api->node);
    if (leader == 0 || leader == api->v3->leader)
        return;
    api->v3->leader = leader;
    api->v3->counts.leader_changes++;
}

void v3_turn(struct api *api, uint64_t now_ms)
{
    struct v3 *v3 = api->v3;
    v3->now_ms = now_ms;
    note_leader(api);
    if (node_life(api->node) != NODE_RUNNING && (!v3->is_stopped || !TAILQ_EMPTY(&v3->waiting)))
        stop_all(api);
    if (TAILQ_EMPTY(&v3->waiting))
        return;
    if (has_changed(api)) {
        struct v3_call *call;
        struct v3_call *next;
        for (call = TAILQ_FIRST(&v3->waiting); call != NULL; call = next) {
            next = TAILQ_NEXT(call, next_waiting);
            if (!call->in_node && call->message.len == 0)
                call->on_change(api, call, now_ms);
        }
    }
    if (now_ms >= v3->renew_ms)
        renew_sessions(api, now_ms);
}
