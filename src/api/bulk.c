/*
 * POST /kv/: many puts and deletes, a line of JSON each: {"key":..,"value":..,"lease":..} or
 * {"key":..,"delete":true}; what GET /kv/?prefix= gives as lines can be sent as it is.
 *
 * The lines become batches, one log entry each, that are worked off one after the other, so that
 * no turn is long; each line is done by itself and has its own result. With an Idempotency-Key all
 * batches but the last have the key, a zero byte, which no header can hold, and a number as theirs:
 * the key itself is there when all is done.
 */
#include "api/body.h"
#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define BATCH_OPS 2048
#define BATCH_BYTES (1u << 20)

struct bulk {
    struct api *api;
    struct evbuffer *body;
    size_t body_bytes;
    struct buf ticket; /* empty: none */
    uint64_t fingerprint;
    size_t batches;
    bool is_named;   /* a batch has the key itself */
    size_t line;     /* how many have been read, blank ones too */
    size_t answered; /* lines */
    struct buf answer;
    uint64_t applied;
    uint64_t failed;
    /* of the batch under way: for each line its operation's place, or SIZE_MAX and the problem */
    size_t *places;
    size_t *lines; /* their numbers */
    struct api_problem *problems;
    size_t place_count;
    size_t op_count;
};

static void free_bulk(void *state)
{
    struct bulk *bulk = state;
    bulk->api->bulk_bytes -= bulk->body_bytes;
    evbuffer_free(bulk->body);
    buf_deinit(&bulk->ticket);
    buf_deinit(&bulk->answer);
    mem_free(bulk->places);
    mem_free(bulk->lines);
    mem_free(bulk->problems);
    mem_free(bulk);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool read_object(const struct api *api, const json_t *json, struct kv_command *command,
                        struct kv_op *out, struct api_problem *problem)
{
    struct kv_bytes key = {0};
    if (!api_body_bytes(json, "key", command, &key, problem) ||
        !api_key_check(api, key.len, problem))
        return false;
    const json_t *is_delete = json_object_get(json, "delete");
    if (is_delete != NULL && !json_is_boolean(is_delete))
        return api_problem_set(problem, 400, "bad_json", "delete is true or false");
    if (json_is_true(is_delete) && json_object_get(json, "value") != NULL)
        return api_problem_set(problem, 400, "bad_json", "a delete has no value");
    if (json_is_true(is_delete)) {
        *out = (struct kv_op){.type = KV_OP_DELETE, .del = {.keys = {.key = key}}};
        return true;
    }
    *out = (struct kv_op){.type = KV_OP_PUT, .put = {.key = key}};
    return api_body_bytes(json, "value", command, &out->put.value, problem) &&
           api_value_check(api, out->put.value.len, problem) &&
           api_body_u64(json, "lease", &out->put.lease, problem);
}

static bool read_line(const struct api *api, const char *line, size_t len,
                      struct kv_command *command, struct kv_op *out, struct api_problem *problem)
{
    char why[JSON_ERROR_TEXT_LENGTH];
    json_t *json = api_text_object(line, len, why);
    if (json == NULL)
        return api_problem_set(problem, 400, "bad_json", "%s", why);
    bool good = read_object(api, json, command, out, problem);
    json_decref(json);
    return good;
}

static bool is_blank(const char *line, size_t len)
{
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t' || line[len - 1] == '\r'))
        len--;
    return len == 0 || line == NULL;
}

/* The next line without its end; false: no more. */
static bool next_line(struct evbuffer *body, struct buf *line)
{
    size_t end_len = 0;
    struct evbuffer_ptr end = evbuffer_search_eol(body, NULL, &end_len, EVBUFFER_EOL_LF);
    size_t rest = evbuffer_get_length(body);
    size_t len = end.pos >= 0 ? (size_t)end.pos : rest; /* the last one may have no end */
    buf_clear(line);
    if (rest == 0)
        return false;
    ASSERT(len == 0 || evbuffer_remove(body, buf_reserve(line, len), len) == (int)len);
    line->len = len;
    ASSERT(end.pos < 0 || evbuffer_drain(body, end_len) == 0);
    return true;
}

/* Fills command with the next batch. */
static void read_batch(struct bulk *bulk, struct kv_command *command)
{
    size_t bytes = 0;
    struct buf line = {0};
    *command = (struct kv_command){.type = KV_COMMAND_BATCH};
    command->ops = kv_command_alloc(command, BATCH_OPS, sizeof *command->ops);
    bulk->place_count = bulk->op_count = 0;
    while (bulk->place_count < BATCH_OPS && bytes < BATCH_BYTES && next_line(bulk->body, &line)) {
        bytes += line.len;
        bulk->line++;
        if (!is_blank(buf_str(&line), line.len)) {
            size_t at = bulk->place_count++;
            bool good = read_line(bulk->api, buf_str(&line), line.len, command,
                                  &command->ops[bulk->op_count], &bulk->problems[at]);
            bulk->places[at] = good ? bulk->op_count++ : SIZE_MAX;
            bulk->lines[at] = bulk->line;
        }
    }
    buf_deinit(&line);
    command->op_count = bulk->op_count;
}

/* ---- results --------------------------------------------------------------------------------- */

static void put_failed(struct bulk *bulk, struct api_json *json, const struct api_problem *problem)
{
    bulk->failed++;
    api_json_str(json, "error", problem->text);
    api_json_str(json, "code", problem->code);
}

/* reply NULL: the batch was done before, and its results are not kept. */
static void put_line(struct bulk *bulk, size_t at, const struct kv_reply *reply)
{
    struct api_json json = {.text = bulk->answer};
    api_json_open(&json, NULL, '{');
    bulk->answered++;
    api_json_u64(&json, "line", bulk->lines[at]);
    if (bulk->places[at] == SIZE_MAX) {
        put_failed(bulk, &json, &bulk->problems[at]);
    } else if (reply == NULL) {
        bulk->applied++;
        api_json_bool(&json, "replayed", true);
    } else if (reply->status != KV_OK) {
        struct api_problem problem;
        api_kv_problem(&problem, reply->status, node_kv(bulk->api->node));
        put_failed(bulk, &json, &problem);
    } else {
        bulk->applied++;
        api_json_u64(&json, "revision", reply->revision);
        if (reply->type == KV_OP_DELETE)
            api_json_u64(&json, "deleted", reply->count);
    }
    api_json_close(&json, '}');
    api_json_line(&json);
    bulk->answer = json.text;
}

static void put_lines(struct bulk *bulk, const struct kv_reply *replies, size_t reply_count)
{
    for (size_t i = 0; i < bulk->place_count; i++) {
        size_t place = bulk->places[i];
        put_line(bulk, i, place < reply_count ? &replies[place] : NULL);
    }
}

/* outcome NULL: all is done. */
static void respond(struct bulk *bulk, const struct node_result *result, const char *error,
                    const char *code, struct api_response *out)
{
    struct api_json json = {.text = bulk->answer};
    api_json_open(&json, NULL, '{');
    api_json_u64(&json, "applied", bulk->applied);
    api_json_u64(&json, "failed", bulk->failed);
    if (error != NULL) {
        api_json_str(&json, "error", error);
        api_json_str(&json, "code", code);
    } else {
        api_json_u64(&json, "revision", result->kv.revision);
    }
    api_json_close(&json, '}');
    bulk->answer = (struct buf){0};
    api_respond_json(out, 200, &json);
    api_respond_retype(out, "application/x-ndjson");
    if (error == NULL)
        api_respond_written(out, result);
}

/* ---- batches --------------------------------------------------------------------------------- */

static bool on_done(struct api *api, struct api_pending *pending, struct node_result *result,
                    struct api_response *out);

static void set_ticket(struct bulk *bulk, struct kv_command *command, struct buf *name)
{
    if (bulk->ticket.len == 0)
        return;
    buf_add(name, bulk->ticket.data, bulk->ticket.len);
    bulk->is_named = evbuffer_get_length(bulk->body) == 0;
    if (!bulk->is_named)
        buf_printf(name, "%c%zu", '\0', bulk->batches);
    command->ticket = (struct kv_bytes){name->data, name->len};
    command->fingerprint = bulk->fingerprint;
}

/* What was behind the last batch had nothing good in it: an empty one is to have the key. */
static bool wants_name(const struct bulk *bulk)
{
    return bulk->ticket.len > 0 && bulk->batches > 0 && !bulk->is_named;
}

/* false: there was no operation left. */
static bool submit_next(struct bulk *bulk, const struct api_call *call)
{
    struct kv_command command = {0};
    struct buf name = {0};
    do {
        kv_command_deinit(&command);
        read_batch(bulk, &command);
        if (command.op_count == 0) /* all of it is wrong, or there is none */
            put_lines(bulk, NULL, 0);
    } while (command.op_count == 0 && bulk->place_count > 0);
    bool some = command.op_count > 0 || wants_name(bulk);
    if (some) {
        bulk->batches++;
        set_ticket(bulk, &command, &name);
        struct api_pending *pending = api_pending_add(bulk->api, call, on_done);
        pending->state = bulk;
        pending->free_state = free_bulk;
        api_write(bulk->api, call->token, &command, true, call->now_ms);
    }
    kv_command_deinit(&command);
    buf_deinit(&name);
    return some;
}

static bool end_early(struct bulk *bulk, const struct node_result *result, struct api_response *out)
{
    if (bulk->answered == 0) { /* nothing is done yet, or nobody knows: as with a single write */
        api_respond_outcome(out, result);
        return true;
    }
    struct api_response why = {0};
    api_respond_outcome(&why, result);
    bool unknown = result->outcome == NODE_UNKNOWN;
    api_response_deinit(&why);
    respond(bulk, result,
            unknown ? "the lines from here on: it is not known whether the next ones are done"
                    : "the lines from here on are certainly not done; send them again",
            unknown ? "outcome_unknown" : "not_done", out);
    return true;
}

static bool on_done(struct api *api, struct api_pending *pending, struct node_result *result,
                    struct api_response *out)
{
    struct bulk *bulk = pending->state;
    if (result->outcome != NODE_OK)
        return end_early(bulk, result, out);
    if (result->kv.status != KV_OK && result->kv.status != KV_REPEATED) {
        api_respond_kv_status(out, result->kv.status, node_kv(api->node));
        return true;
    }
    bool repeated = result->kv.status == KV_REPEATED; /* its replies are not kept */
    put_lines(bulk, result->kv.replies, repeated ? 0 : result->kv.reply_count);
    const struct api_request request = {.method = API_POST};
    struct api_call call = {
        .token = pending->token, .now_ms = pending->now_ms, .request = &request};
    pending->state = NULL; /* the next one's, or ours */
    if (submit_next(bulk, &call))
        return false;
    respond(bulk, result, NULL, NULL, out);
    free_bulk(bulk);
    return true;
}

/* Without the blanks at the end: what is left after the last batch must not look like a line. */
static struct evbuffer *take_body(struct evbuffer *body)
{
    size_t len = evbuffer_get_length(body);
    const char *text = (const char *)evbuffer_pullup(body, -1);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL && text[len - 1] != '\0')
        len--;
    struct evbuffer *own = evbuffer_new();
    ASSERT(own != NULL && evbuffer_remove_buffer(body, own, len) == (int)len);
    return own;
}

bool api_bulk_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    struct kv_bytes ticket;
    size_t len = call->request->body != NULL ? evbuffer_get_length(call->request->body) : 0;
    size_t max = api->limits.pending_bytes > 0 ? api->limits.pending_bytes : 64u << 20;
    bool good = api_ticket_of(call->request, &ticket, &problem);
    if (good && len == 0)
        good =
            api_problem_set(&problem, 400, "empty_body", "a line of JSON is wanted for each key");
    if (good && api->bulk_bytes > 0 && api->bulk_bytes + len > max)
        good = api_problem_set(&problem, 429, "overloaded",
                               "certainly not done: too much is under way; try again");
    if (!good) {
        api_respond_problem(out, &problem);
        return true;
    }
    struct bulk *bulk = mem_calloc(1, sizeof *bulk);
    bulk->api = api;
    bulk->fingerprint = ticket.len > 0 ? api_fingerprint(call) : 0;
    bulk->body_bytes = len;
    api->bulk_bytes += len;
    bulk->body = take_body(call->request->body);
    if (ticket.len > 0)
        buf_add(&bulk->ticket, ticket.data, ticket.len);
    bulk->places = mem_calloc(BATCH_OPS, sizeof *bulk->places);
    bulk->lines = mem_calloc(BATCH_OPS, sizeof *bulk->lines);
    bulk->problems = mem_calloc(BATCH_OPS, sizeof *bulk->problems);
    if (submit_next(bulk, call))
        return false;
    struct node_result nothing = {.kv = {.revision = kv_revision(node_kv(api->node))}};
    respond(bulk, &nothing, NULL, NULL, out);
    free_bulk(bulk);
    return true;
}
