/* Idempotency keys: a write that has one is done once, however often it is sent. */
#include "api/internal.h"
#include "base/assert.h"

#include <string.h>
#include <strings.h>

bool api_ticket_of(const struct api_request *request, struct kv_bytes *out,
                   struct api_problem *problem)
{
    *out = (struct kv_bytes){0};
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, "Idempotency-Key") != 0)
            continue;
        const char *value = request->headers[i].value;
        size_t len = strlen(value);
        if (out->len > 0 || len == 0 || len > API_TICKET_MAX)
            return api_problem_set(problem, 400, "bad_idempotency_key",
                                   "Idempotency-Key is one text of 1 to %d bytes", API_TICKET_MAX);
        *out = (struct kv_bytes){(const uint8_t *)value, len};
    }
    return true;
}

/* What makes it the same request: its method, what it is about, its conditions and its body. */
uint64_t api_fingerprint(const struct api_call *call)
{
    const struct api_request *request = call->request;
    const struct buf *key = &call->target.key;
    uint64_t method = request->method;
    const char *word = call->target.word != NULL ? call->target.word : "";
    uint64_t sum = kv_fingerprint(method + 1, key->data, key->len);
    if (call->target.route == API_ROUTE_TABLE) /* else a key, by either of its names */
        sum = kv_fingerprint(sum, word, strlen(word));
    sum = kv_fingerprint(sum, call->target.query, strlen(call->target.query));
    for (size_t i = 0; i < request->header_count; i++) {
        const struct api_header *header = &request->headers[i];
        bool is_match = strcasecmp(header->name, "If-Match") == 0;
        if (is_match || strcasecmp(header->name, "If-None-Match") == 0)
            sum = kv_fingerprint(sum + (is_match ? 1 : 2), header->value, strlen(header->value));
    }
    size_t len = request->body != NULL ? evbuffer_get_length(request->body) : 0;
    return kv_fingerprint(sum, len > 0 ? evbuffer_pullup(request->body, -1) : NULL, len);
}

struct api_replay api_ticket_replay(const struct api *api, const struct buf *ticket,
                                    const struct node_result *result)
{
    struct kv_ticket found;
    struct kv_bytes name = {ticket->data, ticket->len};
    if (!kv_ticket_get(node_kv(api->node), name, &found)) /* forgotten since */
        return (struct api_replay){.succeeded = true, .revision = result->kv.revision};
    return (struct api_replay){.is_known = true,
                               .status = found.status,
                               .succeeded = found.succeeded || found.status != KV_OK,
                               .revision = found.revision};
}

static void respond_known(const struct kv *kv, const struct buf *name,
                          const struct kv_ticket *ticket, struct api_response *out)
{
    struct api_json json = {0};
    struct api_problem problem = {.code = "condition_failed"};
    if (ticket->status != KV_OK)
        api_kv_problem(&problem, ticket->status, kv);
    api_json_open(&json, NULL, '{');
    api_json_bytes(&json, "id", name->data, name->len);
    api_json_str(&json, "state", "committed");
    api_json_bool(&json, "succeeded", ticket->succeeded);
    if (!ticket->succeeded)
        api_json_str(&json, "code", problem.code);
    api_json_u64(&json, "revision", ticket->revision);
    api_json_u64(&json, "term", ticket->term);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
}

static bool on_read(struct api *api, struct api_pending *pending, struct node_result *result,
                    struct api_response *out)
{
    const struct kv *kv = node_kv(api->node);
    struct kv_ticket ticket;
    if (result->outcome != NODE_OK)
        api_respond_outcome(out, result);
    else if (kv_ticket_get(kv, (struct kv_bytes){pending->key.data, pending->key.len}, &ticket))
        respond_known(kv, &pending->key, &ticket, out);
    else
        api_error_response(out, 404, "tx_unknown",
                           "no write with this Idempotency-Key is committed, or it is forgotten");
    return true;
}

bool api_ticket_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    (void)out;
    struct api_pending *pending = api_pending_add(api, call, on_read);
    buf_add(&pending->key, call->part, call->part_len);
    node_read(api->node, call->token, call->now_ms);
    return false;
}
