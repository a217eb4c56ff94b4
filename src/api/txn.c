/*
 * POST /txn: {"if":[...],"then":[...],"else":[...]}, one revision for all of it.
 *
 * A condition names a key and one of exists, value, version, mod_revision, create_revision, lease,
 * with "op" =, !=, < or > (= if it is left out). An operation is {"put":{...}}, {"get":{...}},
 * {"delete":{...}} or {"txn":{...}}, which is again such a transaction. Both ways what is within is
 * kept in a list or on a bounded stack, so that nothing recurses.
 */
#include "api/body.h"
#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

/* ---- reading --------------------------------------------------------------------------------- */

struct todo { /* a transaction within another one, still to be read */
    const json_t *body;
    struct kv_txn *txn;
    struct todo *next;
};

struct reader {
    const struct api *api;
    struct kv_command *command; /* whose memory everything is in */
    struct api_problem *problem;
    const char *place; /* "if", "then", "else" */
    size_t at;
    struct todo *todo;
};

static bool fail(const struct reader *reader, const char *text)
{
    return api_problem_set(reader->problem, 400, "bad_txn", "%s[%zu]: %s", reader->place,
                           reader->at, text);
}

static bool read_relation(const struct reader *reader, const json_t *json,
                          enum kv_relation *relation)
{
    static const char *const names[] = {
        [KV_EQUAL] = "=", [KV_GREATER] = ">", [KV_LESS] = "<", [KV_NOT_EQUAL] = "!="};
    const json_t *op = json_object_get(json, "op");
    *relation = KV_EQUAL;
    if (op == NULL)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (json_is_string(op) && strcmp(json_string_value(op), names[i]) == 0) {
            *relation = (enum kv_relation)i;
            return true;
        }
    }
    return fail(reader, "\"op\" is one of = != < >");
}

static bool read_key(const struct reader *reader, const json_t *json, struct kv_bytes *key)
{
    return api_body_bytes(json, "key", reader->command, key, reader->problem) &&
           api_key_check(reader->api, key->len, reader->problem);
}

/* *found: how many of the members are there. */
static bool read_number(const struct reader *reader, const json_t *json, struct kv_compare *out,
                        size_t *found)
{
    static const struct {
        const char *name;
        enum kv_target target;
    } numbers[] = {{"version", KV_VERSION},
                   {"mod_revision", KV_MOD},
                   {"create_revision", KV_CREATE},
                   {"lease", KV_LEASE}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (json_object_get(json, numbers[i].name) == NULL)
            continue;
        out->target = numbers[i].target;
        ++*found;
        if (!api_body_u64(json, numbers[i].name, &out->number, reader->problem))
            return false;
    }
    return true;
}

static bool read_compare(const struct reader *reader, const json_t *json, struct kv_compare *out)
{
    const json_t *exists = json_object_get(json, "exists");
    size_t found = 0;
    if (!json_is_object(json))
        return fail(reader, "a condition is an object");
    if (!read_key(reader, json, &out->keys.key) || !read_relation(reader, json, &out->relation) ||
        !read_number(reader, json, out, &found))
        return false;
    if (exists != NULL) {
        if (!json_is_boolean(exists) || json_object_get(json, "op") != NULL)
            return fail(reader, "\"exists\" is true or false, without \"op\"");
        out->target = KV_VERSION;
        out->relation = json_is_true(exists) ? KV_GREATER : KV_EQUAL;
        found++;
    }
    if (api_json_has_bytes(json, "value")) {
        out->target = KV_VALUE;
        found++;
        if (!api_body_bytes(json, "value", reader->command, &out->value, reader->problem))
            return false;
    }
    return found == 1 || fail(reader, "a condition has one of exists, value, version, "
                                      "mod_revision, create_revision, lease");
}

static bool read_put(const struct reader *reader, const json_t *json, struct kv_put *out)
{
    return read_key(reader, json, &out->key) &&
           api_body_bytes(json, "value", reader->command, &out->value, reader->problem) &&
           api_value_check(reader->api, out->value.len, reader->problem) &&
           api_body_u64(json, "lease", &out->lease, reader->problem);
}

static struct kv_bytes own(const struct reader *reader, const struct buf *bytes)
{
    if (bytes->len == 0)
        return (struct kv_bytes){0};
    uint8_t *copy = kv_command_alloc(reader->command, bytes->len, 1);
    memcpy(copy, bytes->data, bytes->len);
    return (struct kv_bytes){copy, bytes->len};
}

static bool read_keys(const struct reader *reader, const json_t *json, struct kv_keys *out)
{
    struct kv_bytes prefix = {0};
    if (!api_json_has_bytes(json, "prefix"))
        return read_key(reader, json, &out->key);
    if (api_json_has_bytes(json, "key"))
        return fail(reader, "\"key\" and \"prefix\" exclude each other");
    if (!api_body_bytes(json, "prefix", reader->command, &prefix, reader->problem))
        return false;
    struct api_keys keys = {0};
    api_keys_set_prefix(&keys, prefix.data, prefix.len);
    *out = (struct kv_keys){keys.extent, own(reader, &keys.key), own(reader, &keys.end)};
    api_keys_deinit(&keys);
    return true;
}

static void put_off(struct reader *reader, const json_t *body, struct kv_txn *txn)
{
    struct todo *todo = kv_command_alloc(reader->command, 1, sizeof *todo);
    *todo = (struct todo){.body = body, .txn = txn, .next = reader->todo};
    reader->todo = todo;
}

static bool read_op(struct reader *reader, const json_t *json, struct kv_op *out)
{
    const json_t *put = json_object_get(json, "put");
    const json_t *get = json_object_get(json, "get");
    const json_t *txn = json_object_get(json, "txn");
    const json_t *del = json_object_get(json, "delete");
    if (!json_is_object(json) || json_object_size(json) != 1 ||
        !json_is_object(put != NULL   ? put
                        : get != NULL ? get
                        : txn != NULL ? txn
                                      : del))
        return fail(reader, "an operation is {\"put\":{}}, {\"get\":{}}, {\"delete\":{}} or "
                            "{\"txn\":{}}");
    if (txn != NULL) {
        out->type = KV_OP_TXN;
        put_off(reader, txn, &out->txn);
        return true;
    }
    if (put != NULL) {
        out->type = KV_OP_PUT;
        return read_put(reader, put, &out->put);
    }
    if (get != NULL) {
        out->type = KV_OP_RANGE;
        return read_keys(reader, get, &out->range.keys) &&
               api_body_u64(get, "limit", &out->range.limit, reader->problem);
    }
    out->type = KV_OP_DELETE;
    return read_keys(reader, del, &out->del.keys);
}

/* The elements of body[place]; *list is memory of the command. */
static bool read_list(struct reader *reader, const json_t *body, const char *place, size_t size,
                      void **list, size_t *count)
{
    const json_t *array = json_object_get(body, place);
    reader->place = place;
    reader->at = 0;
    *list = NULL;
    *count = array != NULL ? json_array_size(array) : 0;
    if (array != NULL && !json_is_array(array))
        return api_problem_set(reader->problem, 400, "bad_txn", "\"%s\" is a list", place);
    if (*count > KV_TXN_OPS_MAX)
        return api_problem_set(reader->problem, 400, "too_many_ops", "\"%s\" has at most %d", place,
                               KV_TXN_OPS_MAX);
    if (*count > 0)
        *list = kv_command_alloc(reader->command, *count, size);
    return true;
}

static bool read_compares(struct reader *reader, const json_t *body, struct kv_txn *txn)
{
    void *list;
    if (!read_list(reader, body, "if", sizeof *txn->compares, &list, &txn->compare_count))
        return false;
    txn->compares = list;
    for (; reader->at < txn->compare_count; reader->at++) {
        if (!read_compare(reader, json_array_get(json_object_get(body, "if"), reader->at),
                          &txn->compares[reader->at]))
            return false;
    }
    return true;
}

static bool read_ops(struct reader *reader, const json_t *body, const char *place,
                     struct kv_op **ops, size_t *count)
{
    void *list;
    if (!read_list(reader, body, place, sizeof **ops, &list, count))
        return false;
    *ops = list;
    for (; reader->at < *count; reader->at++) {
        if (!read_op(reader, json_array_get(json_object_get(body, place), reader->at),
                     &(*ops)[reader->at]))
            return false;
    }
    return true;
}

/* But for the transactions within. */
static bool read_level(struct reader *reader, const json_t *body, struct kv_txn *txn)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (strcmp(name, "if") != 0 && strcmp(name, "then") != 0 && strcmp(name, "else") != 0)
            return api_problem_set(reader->problem, 400, "bad_txn",
                                   "a transaction has \"if\", \"then\" and \"else\"");
    }
    return read_compares(reader, body, txn) &&
           read_ops(reader, body, "then", &txn->success, &txn->success_count) &&
           read_ops(reader, body, "else", &txn->failure, &txn->failure_count);
}

static bool read_txn(const struct api *api, const json_t *body, struct kv_command *command,
                     struct api_problem *problem)
{
    struct reader reader = {.api = api, .command = command, .problem = problem};
    struct kv_op *op = kv_command_alloc(command, 1, sizeof *op);
    op->type = KV_OP_TXN;
    command->type = KV_COMMAND_OP;
    command->ops = op;
    command->op_count = 1;
    put_off(&reader, body, &op->txn);
    while (reader.todo != NULL) {
        struct todo *todo = reader.todo;
        reader.todo = todo->next;
        if (!read_level(&reader, todo->body, todo->txn))
            return false;
    }
    enum kv_status status = kv_command_check(command);
    if (status == KV_OK)
        return true;
    api_kv_problem(problem, status, node_kv(api->node));
    return false;
}

/* ---- answering ------------------------------------------------------------------------------- */

static void put_items(struct api_json *json, const struct kv_reply *reply)
{
    api_json_open(json, "items", '[');
    for (size_t i = 0; i < reply->item_count; i++) {
        struct kv_item item;
        kv_entry_item(reply->items[i], &item);
        api_json_open(json, NULL, '{');
        api_put_item(json, &item, false);
        api_json_close(json, '}');
    }
    api_json_close(json, ']');
}

static void put_reply(struct api_json *json, const struct kv_reply *reply)
{
    api_json_open(json, NULL, '{');
    if (reply->type == KV_OP_PUT) {
        api_json_open(json, "put", '{');
        api_json_u64(json, "revision", reply->revision);
    } else if (reply->type == KV_OP_DELETE) {
        api_json_open(json, "delete", '{');
        api_json_u64(json, "deleted", reply->count);
    } else {
        api_json_open(json, "get", '{');
        put_items(json, reply);
        api_json_u64(json, "count", reply->count);
        api_json_bool(json, "more", reply->more);
    }
    api_json_close(json, '}');
    api_json_close(json, '}');
}

struct frame { /* a transaction whose replies are being written */
    const struct kv_reply *txn;
    size_t next;
};

static void put_replies(struct api_json *json, const struct kv_reply *txn)
{
    struct frame stack[KV_TXN_DEPTH_MAX] = {{.txn = txn}};
    size_t depth = 1;
    api_json_open(json, "responses", '[');
    while (depth > 0) {
        struct frame *top = &stack[depth - 1];
        if (top->next < top->txn->reply_count) {
            const struct kv_reply *reply = &top->txn->replies[top->next++];
            if (reply->type != KV_OP_TXN) {
                put_reply(json, reply);
                continue;
            }
            ASSERT(depth < KV_TXN_DEPTH_MAX);
            api_json_open(json, NULL, '{');
            api_json_open(json, "txn", '{');
            api_json_bool(json, "succeeded", reply->succeeded);
            api_json_open(json, "responses", '[');
            stack[depth++] = (struct frame){.txn = reply};
            continue;
        }
        api_json_close(json, ']');
        if (--depth > 0) {
            api_json_close(json, '}');
            api_json_close(json, '}');
        }
    }
}

/* txn NULL: it was done before, and what it found then is not kept. */
static void respond(bool succeeded, uint64_t revision, const struct kv_reply *txn,
                    struct api_response *out)
{
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_bool(&json, "succeeded", succeeded);
    api_json_u64(&json, "revision", revision);
    if (txn != NULL)
        put_replies(&json, txn);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
}

static bool on_done(struct api *api, struct api_pending *pending, struct node_result *result,
                    struct api_response *out)
{
    const struct kv_reply *txn = result->kv.reply_count > 0 ? &result->kv.replies[0] : NULL;
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    if (result->kv.status == KV_REPEATED) {
        struct api_replay then = api_ticket_replay(api, &pending->ticket, result);
        if (then.status != KV_OK)
            api_respond_kv_status(out, then.status, node_kv(api->node));
        else
            respond(then.succeeded, then.revision, NULL, out);
        api_respond_header(out, "Idempotency-Replayed", "true");
        result->kv.revision = then.revision;
        api_respond_written(out, result);
        return true;
    }
    if (result->kv.status != KV_OK) {
        api_respond_kv_status(out, result->kv.status, node_kv(api->node));
    } else {
        ASSERT(txn != NULL);
        respond(txn->succeeded, result->kv.revision, txn, out);
    }
    api_respond_written(out, result);
    return true;
}

bool api_txn_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    struct kv_command command = {0};
    struct api_problem problem;
    json_t *body = NULL;
    bool good = api_ticket_of(call->request, &command.ticket, &problem) &&
                (body = api_body_object(call->request, &problem)) != NULL &&
                read_txn(api, body, &command, &problem);
    if (good) {
        command.fingerprint = command.ticket.len > 0 ? api_fingerprint(call) : 0;
        struct api_pending *pending = api_pending_add(api, call, on_done);
        if (command.ticket.len > 0)
            buf_add(&pending->ticket, command.ticket.data, command.ticket.len);
        api_write(api, call->token, &command, true, call->now_ms);
    } else {
        api_respond_problem(out, &problem);
    }
    kv_command_deinit(&command);
    json_decref(body);
    return !good;
}
