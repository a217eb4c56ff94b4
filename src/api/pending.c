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
