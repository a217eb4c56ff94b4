/* Requests whose answer is made from a result of the node. */
#include "api/internal.h"

#include "base/assert.h"
#include "base/mem.h"

void api_pending_free(struct api_pending *pending)
{
    if (pending->free_state != NULL && pending->state != NULL)
        pending->free_state(pending->state);
    buf_deinit(&pending->key);
    buf_deinit(&pending->ticket);
    mem_free(pending);
}

struct api_pending *api_pending_add(struct api *api, const struct api_call *call, api_done_fn done)
{
    struct api_pending *pending = NULL;
    HASH_FIND(hh, api->pending, &call->token, sizeof call->token, pending);
    ASSERT_MSG(pending == NULL, "two requests with one token");
    pending = mem_calloc(1, sizeof *pending);
    pending->token = call->token;
    pending->now_ms = call->now_ms;
    pending->done = done;
    pending->head = call->request->method == API_HEAD;
    HASH_ADD(hh, api->pending, token, sizeof pending->token, pending);
    return pending;
}

/* ---- alarms ---------------------------------------------------------------------------------- */

enum kv_alarm_kind api_forbidden_by(const struct api *api, const struct kv_command *command)
{
    const struct kv_alarm *alarms;
    size_t count = kv_alarms(node_kv(api->node), &alarms);
    if (count == 0 || command->type == KV_COMMAND_ALARM)
        return 0;
    struct kv_ticket done;
    if (command->ticket.len > 0 && kv_ticket_get(node_kv(api->node), command->ticket, &done))
        return 0; /* whoever asks again is told what became of it */
    enum kv_alarm_kind worst = alarms[count - 1].kind; /* they are in order */
    return worst == KV_ALARM_CORRUPT || kv_command_grows(command) ? worst : 0;
}

/* The answer is made as if the node had said no. */
static void refuse(struct api *api, uint64_t token, enum kv_alarm_kind kind, uint64_t now_ms)
{
    struct api_pending *pending = NULL;
    HASH_FIND(hh, api->pending, &token, sizeof token, pending);
    ASSERT(pending != NULL);
    HASH_DEL(api->pending, pending);
    pending->now_ms = now_ms;
    bool is_space = kind == KV_ALARM_NO_SPACE;
    struct node_result result = {
        .token = token,
        .outcome = is_space ? NODE_NO_ROOM : NODE_REFUSED,
        .text = is_space ? "certainly not done: the alarm NOSPACE is raised; make room (deletes go "
                           "on), then lift it with /v3/maintenance/alarm"
                         : "certainly not done: the alarm CORRUPT is raised; nothing is written "
                           "until it is lifted with /v3/maintenance/alarm",
    };
    struct api_response response = {.token = token, .head = pending->head};
    if (pending->done(api, pending, &result, &response))
        api_queue_response(api, &response);
    api_pending_free(pending);
}

void api_write(struct api *api, uint64_t token, const struct kv_command *command, bool wants_result,
               uint64_t now_ms)
{
    enum kv_alarm_kind kind = api_forbidden_by(api, command);
    if (kind != 0)
        refuse(api, token, kind, now_ms);
    else
        node_write(api->node, token, command, wants_result, now_ms);
}
