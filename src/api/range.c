/*
 * Many keys: GET and DELETE /kv/?prefix=... A listing is one walk at one revision, made in slices
 * as the client reads; where it was cut, it says the first key of the next page.
 */
#include "api/internal.h"
#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>

#define SLICE_STEPS 4096 /* of the walk, in one turn */

struct listing {
    struct api_stream stream; /* first */
    struct kv_cursor *cursor;
    uint64_t limit; /* 0: none */
    uint64_t given;
    bool keys_only;
    bool is_lines;
    bool has_begun;
    bool comma;
};

/* What was asked for, until the barrier. */
struct asked {
    struct api_keys keys;
    uint64_t revision;
    uint64_t limit;
    bool descending;
    bool keys_only;
    bool is_lines;
};

static void free_asked(void *state)
{
    struct asked *asked = state;
    api_keys_deinit(&asked->keys);
    mem_free(asked);
}

/* ---- the listing ----------------------------------------------------------------------------- */

static void begin(struct listing *listing, struct api_json *json)
{
    listing->has_begun = true;
    if (listing->is_lines)
        return;
    api_json_open(json, NULL, '{');
    api_json_u64(json, "revision", kv_cursor_revision(listing->cursor));
    api_json_open(json, "items", '[');
}

static void put_one(struct listing *listing, struct api_json *json, const struct kv_item *item)
{
    json->comma = listing->comma;
    api_json_open(json, NULL, '{');
    api_put_item(json, item, listing->keys_only);
    api_json_close(json, '}');
    if (listing->is_lines)
        api_json_line(json);
    listing->comma = !listing->is_lines;
    listing->given++;
}

/* next NULL: it is complete; problem: it ends early. */
static void end(struct listing *listing, struct api_json *json, const struct kv_item *next,
                const struct api_problem *problem)
{
    if (listing->is_lines) {
        json->comma = false;
        api_json_open(json, NULL, '{');
        api_json_u64(json, "revision", kv_cursor_revision(listing->cursor));
    } else {
        api_json_close(json, ']');
    }
    api_json_u64(json, "count", listing->given);
    api_json_bool(json, "more", next != NULL || problem != NULL);
    if (next != NULL)
        api_json_bytes(json, "next", next->key.data, next->key.len);
    if (problem != NULL) {
        api_json_str(json, "error", problem->text);
        api_json_str(json, "code", problem->code);
    }
    api_json_close(json, '}');
    api_json_line(json);
}

/* Walks until there is a chunk of about room bytes. */
static enum api_made walk(struct api *api, struct listing *listing, struct api_json *json,
                          size_t room)
{
    const struct kv *kv = node_kv(api->node);
    size_t budget = SLICE_STEPS;
    struct kv_item item;
    for (;;) { /* each round lowers the budget or ends */
        enum kv_step step = kv_cursor_next(kv, listing->cursor, &budget, &item);
        struct api_problem problem;
        switch (step) {
        case KV_STEP_PAUSE: return json->text.len > 0 ? API_MADE_CHUNK : API_MADE_LATER;
        case KV_STEP_END: end(listing, json, NULL, NULL); return API_MADE_LAST;
        case KV_STEP_COMPACTED:
            api_kv_problem(&problem, KV_COMPACTED, kv);
            end(listing, json, NULL, &problem);
            return API_MADE_LAST;
        case KV_STEP_ITEM: break;
        }
        if (listing->limit != 0 && listing->given == listing->limit) {
            end(listing, json, &item, NULL);
            return API_MADE_LAST;
        }
        put_one(listing, json, &item);
        if (json->text.len >= room)
            return API_MADE_CHUNK;
    }
}

static enum api_made next_slice(struct api *api, struct api_stream *stream, struct evbuffer *out,
                                size_t room, uint64_t now_ms)
{
    (void)now_ms;
    struct listing *listing = (struct listing *)stream;
    struct api_json json = {0};
    if (!listing->has_begun)
        begin(listing, &json);
    enum api_made made = walk(api, listing, &json, room);
    if (json.text.len > 0)
        ASSERT(evbuffer_add(out, json.text.data, json.text.len) == 0);
    buf_deinit(&json.text);
    return made;
}

static void free_listing(struct api *api, struct api_stream *stream)
{
    (void)api;
    struct listing *listing = (struct listing *)stream;
    kv_cursor_free(listing->cursor);
    mem_free(listing);
}

static const struct api_stream_ops listing_ops = {.next = next_slice, .free = free_listing};

static void start(struct api *api, uint64_t token, const struct asked *asked, uint64_t now_ms,
                  struct api_response *out)
{
    const struct kv *kv = node_kv(api->node);
    struct kv_keys keys = api_keys_view(&asked->keys);
    struct kv_cursor *cursor = NULL;
    enum kv_status status = kv_cursor_open(kv, &keys, asked->revision, asked->descending, &cursor);
    if (status != KV_OK) {
        api_respond_kv_status(out, status, kv);
        return;
    }
    struct listing *listing = mem_calloc(1, sizeof *listing);
    listing->cursor = cursor;
    listing->limit = asked->limit;
    listing->keys_only = asked->keys_only;
    listing->is_lines = asked->is_lines;
    api_respond_stream(out, asked->is_lines ? "application/x-ndjson" : "application/json");
    api_respond_header(out, "X-Floe-Revision", "%" PRIu64, kv_cursor_revision(cursor));
    api_stream_add(api, &listing->stream, token, &listing_ops, now_ms);
}

static bool on_read(struct api *api, struct api_pending *pending, struct node_result *result,
                    struct api_response *out)
{
    if (result->outcome != NODE_OK)
        api_respond_outcome(out, result);
    else
        start(api, pending->token, pending->state, pending->now_ms, out);
    return true;
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool parse_order(const struct api_params *params, bool *descending,
                        struct api_problem *problem)
{
    *descending = api_param_is(params, "order", "desc");
    if (*descending || api_param(params, "order") == NULL || api_param_is(params, "order", "asc"))
        return true;
    return api_problem_set(problem, 400, "bad_order", "order is asc or desc");
}

/* next: the first key of this page, in its order. */
static void apply_next(const struct api_params *params, bool descending, struct api_keys *keys)
{
    const struct buf *next = api_param(params, "next");
    if (next == NULL)
        return;
    struct buf *bound = descending ? &keys->end : &keys->key;
    buf_clear(bound);
    buf_add(bound, next->data, next->len);
    if (descending) {
        buf_add_u8(bound, 0); /* the end is exclusive */
        keys->extent = KV_HALF_OPEN;
    }
}

static bool parse_asked(const struct api_request *request, const struct api_params *params,
                        struct asked *out, struct api_problem *problem)
{
    if (!api_params_have_range(params))
        return api_problem_set(problem, 400, "empty_key",
                               "a key cannot be empty; for many keys say ?prefix= (may be empty), "
                               "?from= or ?to=");
    if (!parse_order(params, &out->descending, problem) ||
        !api_param_u64(params, "revision", &out->revision, problem) ||
        !api_param_u64(params, "limit", &out->limit, problem))
        return false;
    const struct buf *next = api_param(params, "next");
    if (next != NULL && next->len == 0)
        return api_problem_set(problem, 400, "bad_next", "next is the key that a page ended with");
    api_keys_of_params(params, &out->keys);
    apply_next(params, out->descending, &out->keys);
    out->keys_only = api_param_is_set(params, "keys");
    out->is_lines = api_accepts_lines(request);
    return true;
}

/* Asks the node first unless a stale answer will do. */
static bool list(struct api *api, struct api_call *call, const struct api_params *params,
                 struct api_response *out, struct api_problem *problem, bool *at_once)
{
    struct asked *asked = mem_calloc(1, sizeof *asked);
    uint64_t max_ms = UINT64_MAX;
    if (!parse_asked(call->request, params, asked, problem) ||
        !api_param_u64(params, "max_stale_ms", &max_ms, problem)) {
        free_asked(asked);
        return false;
    }
    bool is_stale = api_param_is(params, "consistency", "stale");
    uint64_t age_ms = is_stale ? node_age_ms(api->node, call->now_ms) : 0; /* asking is work */
    *at_once = is_stale && age_ms <= max_ms && !node_is_damaged(api->node);
    if (*at_once) {
        start(api, call->token, asked, call->now_ms, out);
        free_asked(asked);
        api_respond_age(out, age_ms);
        return true;
    }
    struct api_pending *pending = api_pending_add(api, call, on_read);
    pending->state = asked;
    pending->free_state = free_asked;
    node_read(api->node, call->token, call->now_ms);
    return true;
}

static bool watch(struct api *api, struct api_call *call, const struct api_params *params,
                  struct api_response *out)
{
    struct api_keys keys = {0};
    api_keys_of_params(params, &keys);
    return api_watch_handle(api, call, params, &keys, out);
}

bool api_range_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_params params = {0};
    struct api_problem problem;
    bool is_stale;
    bool at_once = false;
    bool good = api_target_is_stale(call->target.query, &is_stale, &problem) &&
                api_params_parse(call->target.query, &params, &problem);
    if (good && api_param_is_set(&params, "watch") && api_params_have_range(&params))
        at_once = watch(api, call, &params, out);
    else if (good)
        good = list(api, call, &params, out, &problem, &at_once);
    api_params_deinit(&params);
    if (!good)
        api_respond_problem(out, &problem);
    return !good || at_once;
}

/* ---- DELETE ---------------------------------------------------------------------------------- */

static void respond_deleted(uint64_t revision, uint64_t deleted, struct api_response *out)
{
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_u64(&json, "revision", revision);
    if (deleted != UINT64_MAX)
        api_json_u64(&json, "deleted", deleted);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
}

static bool on_deleted(struct api *api, struct api_pending *pending, struct node_result *result,
                       struct api_response *out)
{
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    if (result->kv.status == KV_REPEATED) { /* how many it were is not kept */
        struct api_replay then = api_ticket_replay(api, &pending->ticket, result);
        respond_deleted(then.revision, UINT64_MAX, out);
        api_respond_header(out, "Idempotency-Replayed", "true");
        result->kv.revision = then.revision;
        api_respond_written(out, result);
        return true;
    }
    if (result->kv.status != KV_OK)
        api_respond_kv_status(out, result->kv.status, node_kv(api->node));
    else
        respond_deleted(result->kv.revision,
                        result->kv.reply_count > 0 ? result->kv.replies[0].count : 0, out);
    api_respond_written(out, result);
    return true;
}

bool api_range_delete(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_params params = {0};
    struct api_keys keys = {0};
    struct api_problem problem;
    struct kv_bytes ticket;
    bool good = api_params_parse(call->target.query, &params, &problem) &&
                api_ticket_of(call->request, &ticket, &problem);
    if (good && !api_params_have_range(&params))
        good = api_problem_set(&problem, 400, "empty_key",
                               "a key cannot be empty; for many keys say ?prefix=, ?from= or ?to=");
    if (good) {
        api_keys_of_params(&params, &keys);
        struct kv_op op = {.type = KV_OP_DELETE, .del = {.keys = api_keys_view(&keys)}};
        struct kv_command command = {
            .type = KV_COMMAND_OP, .ticket = ticket, .ops = &op, .op_count = 1};
        command.fingerprint = ticket.len > 0 ? api_fingerprint(call) : 0;
        struct api_pending *pending = api_pending_add(api, call, on_deleted);
        if (ticket.len > 0)
            buf_add(&pending->ticket, ticket.data, ticket.len);
        api_write(api, call->token, &command, true, call->now_ms);
        api_keys_deinit(&keys);
    }
    api_params_deinit(&params);
    if (!good)
        api_respond_problem(out, &problem);
    return !good;
}
