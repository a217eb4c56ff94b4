/* The forms of answers that all handlers share: headers, JSON, refusals, outcomes of the node. */
#include "api/internal.h"
#include "api/v3.h"
#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LONG_BYTES (64U << 10)

bool api_problem_set(struct api_problem *problem, int status, const char *code, const char *format,
                     ...)
{
    problem->status = status;
    problem->code = code;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(problem->text, sizeof problem->text, format, args);
    va_end(args);
    return false;
}

void api_respond_header(struct api_response *out, const char *name, const char *format, ...)
{
    ASSERT(out->header_count < API_HEADERS_MAX);
    char *value = out->headers[out->header_count].value;
    size_t size = sizeof out->headers[0].value;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(value, size, format, args);
    va_end(args);
    ASSERT(len >= 0 && (size_t)len < size);
    out->headers[out->header_count++].name = name;
}

static void free_text(const void *data, size_t len, void *text)
{
    (void)data, (void)len;
    mem_free(text);
}

/* What is long is not copied. */
void api_respond_text(struct api_response *out, struct buf *text)
{
    ASSERT(out->body == NULL);
    out->body = evbuffer_new();
    ASSERT_MSG(out->body != NULL, "out of memory");
    if (text->len < LONG_BYTES) {
        ASSERT(evbuffer_add(out->body, text->data, text->len) == 0);
        buf_deinit(text);
        return;
    }
    ASSERT(evbuffer_add_reference(out->body, text->data, text->len, free_text, text->data) == 0);
    *text = (struct buf){0};
}

void api_respond_json(struct api_response *out, int status, struct api_json *json)
{
    out->status = status;
    api_respond_header(out, "Content-Type", "application/json");
    api_respond_header(out, "X-Content-Type-Options", "nosniff");
    buf_add_u8(&json->text, '\n');
    api_respond_text(out, &json->text);
}

void api_error_response(struct api_response *out, int status, const char *code, const char *text)
{
    uint64_t token = out->token;
    *out = (struct api_response){.token = token, .head = out->head};
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_str(&json, "error", text);
    api_json_str(&json, "code", code);
    api_json_close(&json, '}');
    api_respond_json(out, status, &json);
    if (status == 503 || status == 429)
        api_respond_header(out, "Retry-After", "1");
}

void api_refusal_response(struct api_response *out, const char *target, int status,
                          const char *code, const char *text)
{
    if (api_target_is_v3(target))
        v3_refusal_response(out, status, text);
    else
        api_error_response(out, status, code, text);
}

void api_respond_problem(struct api_response *out, const struct api_problem *problem)
{
    api_error_response(out, problem->status, problem->code, problem->text);
}

void api_respond_method(struct api_response *out, const char *allow)
{
    struct api_problem problem;
    (void)api_problem_set(&problem, 405, "method_not_allowed", "this path takes %s", allow);
    api_respond_problem(out, &problem);
    api_respond_header(out, "Allow", "%s", allow);
}

void api_respond_position(struct api_response *out, const struct node_result *result)
{
    if (result->index == 0)
        return;
    api_respond_header(out, "X-Floe-Term", "%" PRIu64, result->term);
    api_respond_header(out, "X-Floe-Index", "%" PRIu64, result->index);
}

void api_respond_condition_failed(struct api_response *out)
{
    api_error_response(out, 412, "condition_failed", "the key is not as the condition asks");
}

void api_respond_key_not_found(struct api_response *out)
{
    api_error_response(out, 404, "key_not_found", "no such key");
}

struct outcome_form {
    int status;
    const char *code;
    const char *text; /* unless the result has its own */
};

static struct outcome_form outcome_form(enum node_outcome outcome)
{
    switch (outcome) {
    case NODE_NOT_DONE:
        return (struct outcome_form){503, "not_done",
                                     "certainly not done: no leader in time; try again"};
    case NODE_UNKNOWN:
        return (struct outcome_form){504, "outcome_unknown",
                                     "it may or may not be done: the answer did not come in time"};
    case NODE_OVERLOADED:
        return (struct outcome_form){429, "overloaded",
                                     "certainly not done: too much is under way; try again"};
    case NODE_NO_ROOM:
        return (struct outcome_form){507, "no_room", "certainly not done: a disk is full"};
    case NODE_CONFLICT:
        return (struct outcome_form){409, "member_conflict",
                                     "the id is in use or was removed once"};
    case NODE_MEMBER_NOT_FOUND:
        return (struct outcome_form){404, "member_not_found", "no member has this id"};
    case NODE_CHANGE_UNDER_WAY:
        return (struct outcome_form){503, "change_under_way",
                                     "another membership change has not ended yet; try again"};
    case NODE_REFUSED: return (struct outcome_form){409, "refused", "the cluster cannot do this"};
    case NODE_OK: break;
    }
    UNREACHABLE("not an outcome that refuses");
}

void api_respond_outcome(struct api_response *out, const struct node_result *result)
{
    struct outcome_form form = outcome_form(result->outcome);
    api_error_response(out, form.status, form.code,
                       result->text != NULL ? result->text : form.text);
}

/* ---- the store ------------------------------------------------------------------------------- */

void api_kv_problem(struct api_problem *problem, enum kv_status status, const struct kv *kv)
{
    switch (status) {
    case KV_COMMAND_INVALID:
        (void)api_problem_set(problem, 400, "invalid", "this is no operation that makes sense");
        return;
    case KV_KEY_EMPTY:
        (void)api_problem_set(problem, 400, "empty_key", "a key cannot be empty");
        return;
    case KV_KEY_NOT_FOUND:
        (void)api_problem_set(problem, 404, "key_not_found", "no such key");
        return;
    case KV_DUPLICATE_KEY:
        (void)api_problem_set(problem, 400, "duplicate_key",
                              "a transaction cannot change a key twice");
        return;
    case KV_TOO_MANY_OPS:
        (void)api_problem_set(problem, 400, "too_many_ops",
                              "at most %d conditions and %d operations a branch", KV_TXN_OPS_MAX,
                              KV_TXN_OPS_MAX);
        return;
    case KV_COMPACTED:
        (void)api_problem_set(problem, 410, "compacted",
                              "this revision is no longer kept: the oldest one is %" PRIu64,
                              kv_compact_revision(kv));
        return;
    case KV_FUTURE:
        (void)api_problem_set(problem, 400, "future_revision",
                              "this revision is still to come: the newest one is %" PRIu64,
                              kv_revision(kv));
        return;
    case KV_LEASE_NOT_FOUND:
        (void)api_problem_set(problem, 404, "lease_not_found", "there is no lease with this id");
        return;
    case KV_LEASE_EXISTS:
        (void)api_problem_set(problem, 409, "lease_exists", "there is a lease with this id");
        return;
    case KV_NOT_OF_THIS_TERM:
        (void)api_problem_set(problem, 503, "not_done", "the leader was deposed; try again");
        return;
    case KV_TICKET_TAKEN:
        (void)api_problem_set(problem, 422, "idempotency_key_reused",
                              "another request had this Idempotency-Key; this one is not done");
        return;
    case KV_OK:
    case KV_REPEATED: break;
    }
    UNREACHABLE("not a status that refuses");
}

void api_respond_kv_status(struct api_response *out, enum kv_status status, const struct kv *kv)
{
    struct api_problem problem;
    api_kv_problem(&problem, status, kv);
    api_respond_problem(out, &problem);
}

void api_respond_retype(struct api_response *out, const char *content_type)
{
    ASSERT(strcmp(out->headers[0].name, "Content-Type") == 0);
    (void)snprintf(out->headers[0].value, sizeof out->headers[0].value, "%s", content_type);
}

void api_respond_written(struct api_response *out, const struct node_result *result)
{
    api_respond_header(out, "X-Floe-Revision", "%" PRIu64, result->kv.revision);
    api_respond_position(out, result);
}

void api_respond_age(struct api_response *out, uint64_t age_ms)
{
    if (age_ms != UINT64_MAX)
        api_respond_header(out, "X-Floe-Age", "%" PRIu64, age_ms);
    else
        api_respond_header(out, "X-Floe-Age", "unknown");
}

void api_respond_stream(struct api_response *out, const char *content_type)
{
    out->status = 200;
    out->stream = true;
    api_respond_header(out, "Content-Type", "%s", content_type);
    api_respond_header(out, "Cache-Control", "no-store");
    api_respond_header(out, "X-Content-Type-Options", "nosniff");
}
