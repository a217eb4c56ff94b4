/*
 * kv/txn. Both ways a list of transactions that are still to be converted, so that nothing
 * recurses; V3_DEPTH_MAX of the decoder and KV_TXN_DEPTH_MAX bound it.
 */
#include "api/v3_internal.h"

/* ---- requests -------------------------------------------------------------------------------- */

struct to_kv {
    const struct v3_txn_request *from;
    struct kv_txn *to;
    struct to_kv *next;
};

enum verdict { DEPENDS, HOLDS, FAILS };

/* What a relation says if zero is compared with zero. */
static enum verdict of_zeros(int32_t relation)
{
    return relation == (int32_t)KV_EQUAL ? HOLDS : FAILS;
}

/* Numbers that the store does not have: targets and relations that nobody knows, as etcd treats
 * them, and numbers below zero. */
static enum verdict judge(const struct v3_compare *from, int64_t number)
{
    if (from->result < 0 || from->result > (int32_t)KV_NOT_EQUAL)
        return HOLDS;
    if (from->target < 0 || from->target > (int32_t)KV_LEASE)
        return of_zeros(from->result);
    bool is_plain = from->target != (int32_t)KV_VALUE && from->target != (int32_t)KV_LEASE;
    if (is_plain && number < 0)
        return from->result == (int32_t)KV_GREATER || from->result == (int32_t)KV_NOT_EQUAL ? HOLDS
                                                                                            : FAILS;
    return DEPENDS;
}

static int64_t number_of(const struct v3_compare *from)
{
    switch (from->target) {
    case KV_VERSION: return from->version;
    case KV_CREATE: return from->create_revision;
    case KV_MOD: return from->mod_revision;
    case KV_LEASE: return from->lease;
    default: return 0;
    }
}

/* false: it holds always, and is left out. */
static bool compare_to_kv(const struct v3_compare *from, struct kv_compare *out)
{
    *out = (struct kv_compare){.keys = v3_keys(from->key, from->range_end)};
    int64_t number = number_of(from);
    enum verdict verdict = judge(from, number);
    if (verdict == HOLDS)
        return false;
    if (verdict == FAILS) { /* no version is below 0 */
        out->target = KV_VERSION;
        out->relation = KV_LESS;
        return true;
    }
    out->target = (enum kv_target)from->target;
    out->relation = (enum kv_relation)from->result;
    out->number = (uint64_t)number;
    out->value = v3_to_kv(from->value);
    return true;
}

static void compares_to_kv(struct v3_arena *arena, const struct to_kv *task)
{
    const struct v3_txn_request *from = task->from;
    task->to->compares = v3_arena_alloc(arena, from->compare_count, sizeof *task->to->compares);
    for (size_t i = 0; i < from->compare_count; i++) {
        if (compare_to_kv(&from->compare[i], &task->to->compares[task->to->compare_count]))
            task->to->compare_count++;
    }
}

/* ---- the first fault ------------------------------------------------------------------------- */

struct place {
    const struct v3_txn_request *txn;
    size_t at; /* success, then failure */
};

static bool check_compares(const struct v3_txn_request *txn, enum v3_error *error)
{
    *error = V3_TOO_MANY_OPS;
    if (txn->compare_count > KV_TXN_OPS_MAX || txn->success_count > KV_TXN_OPS_MAX ||
        txn->failure_count > KV_TXN_OPS_MAX)
        return false;
    *error = V3_NO_KEY;
    for (size_t i = 0; i < txn->compare_count; i++) {
        if (txn->compare[i].key.len == 0)
            return false;
    }
    return true;
}

static bool check_op(const struct v3_request_op *op, enum v3_error *error)
{
    struct kv_put put;
    *error = V3_NO_KEY;
    if (op->request_range != NULL)
        return op->request_range->key.len > 0;
    if (op->request_put != NULL)
        return v3_put_to_kv(op->request_put, &put, error);
    if (op->request_delete_range != NULL)
        return op->request_delete_range->key.len > 0;
    *error = V3_KEY_NOT_FOUND; /* etcd's text for an operation without a kind */
    return op->request_txn != NULL;
}

/* Of several faults etcd tells the first, in the order in which they are written. */
static bool check_in_order(const struct v3_txn_request *request, enum v3_error *error)
{
    struct place stack[V3_DEPTH_MAX + 1] = {{request, 0}};
    for (size_t depth = 1; depth > 0;) {
        struct place *top = &stack[depth - 1];
        const struct v3_txn_request *txn = top->txn;
        if (top->at == 0 && !check_compares(txn, error))
            return false;
        size_t at = top->at++;
        if (at == txn->success_count + txn->failure_count) {
            depth--;
            continue;
        }
        const struct v3_request_op *op =
            at < txn->success_count ? &txn->success[at] : &txn->failure[at - txn->success_count];
        if (!check_op(op, error))
            return false;
        if (op->request_txn != NULL && op->request_range == NULL && op->request_put == NULL &&
            op->request_delete_range == NULL)
            stack[depth++] = (struct place){op->request_txn, 0};
    }
    return true;
}

/* ---- its way to the node --------------------------------------------------------------------- */

/* A nested transaction is put into *list. An operation without a kind stays KV_OP_NONE. */
static bool op_to_kv(struct v3_arena *arena, const struct v3_request_op *from, struct kv_op *to,
                     struct to_kv **list, enum v3_error *error)
{
    if (from->request_range != NULL) {
        to->type = KV_OP_RANGE;
        v3_range_to_kv(from->request_range, &to->range);
    } else if (from->request_put != NULL) {
        to->type = KV_OP_PUT;
        return v3_put_to_kv(from->request_put, &to->put, error);
    } else if (from->request_delete_range != NULL) {
        const struct v3_delete_range_request *delete = from->request_delete_range;
        to->type = KV_OP_DELETE;
        to->del = (struct kv_delete){.keys = v3_keys(delete->key, delete->range_end),
                                     .want_prev = delete->prev_kv};
    } else if (from->request_txn != NULL) {
        to->type = KV_OP_TXN;
        struct to_kv *task = v3_arena_alloc(arena, 1, sizeof *task);
        *task = (struct to_kv){from->request_txn, &to->txn, *list};
        *list = task;
    }
    return true;
}

static bool ops_to_kv(struct v3_arena *arena, const struct v3_request_op *from, size_t count,
                      struct kv_op **out, struct to_kv **list, enum v3_error *error)
{
    *out = v3_arena_alloc(arena, count, sizeof **out);
    for (size_t i = 0; i < count; i++) {
        if (!op_to_kv(arena, &from[i], &(*out)[i], list, error))
            return false;
    }
    return true;
}

static bool txn_to_kv(struct v3_arena *arena, const struct v3_txn_request *request,
                      struct kv_txn *out, enum v3_error *error)
{
    struct to_kv top = {request, out, NULL};
    struct to_kv *list = check_in_order(request, error) ? &top : NULL;
    if (list == NULL)
        return false;
    while (list != NULL) {
        struct to_kv *task = list;
        list = task->next;
        task->to->success_count = task->from->success_count;
        task->to->failure_count = task->from->failure_count;
        compares_to_kv(arena, task);
        if (!ops_to_kv(arena, task->from->success, task->from->success_count, &task->to->success,
                       &list, error) ||
            !ops_to_kv(arena, task->from->failure, task->from->failure_count, &task->to->failure,
                       &list, error))
            return false;
    }
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

struct of_kv {
    const struct v3_txn_request *request;
    const struct kv_reply *from;
    struct v3_txn_response *to;
    struct of_kv *next;
};

/* Within a transaction headers have nothing but the revision; a transaction's not even that. */
static struct v3_response_header *inner_header(struct v3_arena *arena, uint64_t revision)
{
    struct v3_response_header *header = v3_arena_alloc(arena, 1, sizeof *header);
    header->revision = (int64_t)revision;
    return header;
}

static void put_of_kv(struct v3_arena *arena, const struct kv_reply *from,
                      struct v3_response_op *to)
{
    to->response_put = v3_arena_alloc(arena, 1, sizeof *to->response_put);
    to->response_put->header = inner_header(arena, from->revision);
    if (from->item_count > 0)
        to->response_put->prev_kv = v3_kvs(arena, from);
}

static void delete_of_kv(struct v3_arena *arena, const struct kv_reply *from,
                         struct v3_response_op *to)
{
    struct v3_delete_range_response *response = v3_arena_alloc(arena, 1, sizeof *response);
    response->header = inner_header(arena, from->revision);
    response->deleted = (int64_t)from->count;
    response->prev_kvs = v3_kvs(arena, from);
    response->prev_kvs_count = from->item_count;
    to->response_delete_range = response;
}

static void op_of_kv(struct v3_arena *arena, const struct v3_request_op *request,
                     const struct kv_reply *from, struct v3_response_op *to, struct of_kv **list)
{
    if (request->request_range != NULL) {
        to->response_range = v3_arena_alloc(arena, 1, sizeof *to->response_range);
        to->response_range->header = inner_header(arena, from->revision);
        v3_range_of_kv(arena, request->request_range, from, to->response_range);
    } else if (request->request_put != NULL) {
        put_of_kv(arena, from, to);
    } else if (request->request_delete_range != NULL) {
        delete_of_kv(arena, from, to);
    } else {
        to->response_txn = v3_arena_alloc(arena, 1, sizeof *to->response_txn);
        to->response_txn->header = inner_header(arena, 0);
        struct of_kv *task = v3_arena_alloc(arena, 1, sizeof *task);
        *task = (struct of_kv){request->request_txn, from, to->response_txn, *list};
        *list = task;
    }
}

static void txn_of_kv(struct v3_arena *arena, const struct v3_txn_request *request,
                      const struct kv_reply *reply, struct v3_txn_response *out)
{
    struct of_kv top = {request, reply, out, NULL};
    struct of_kv *list = &top;
    while (list != NULL) {
        struct of_kv *task = list;
        list = task->next;
        const struct v3_request_op *ops =
            task->from->succeeded ? task->request->success : task->request->failure;
        task->to->succeeded = task->from->succeeded;
        task->to->responses_count = task->from->reply_count;
        task->to->responses =
            v3_arena_alloc(arena, task->from->reply_count, sizeof *task->to->responses);
        for (size_t i = 0; i < task->from->reply_count; i++)
            op_of_kv(arena, &ops[i], &task->from->replies[i], &task->to->responses[i], &list);
    }
}

static void answer_txn(struct api *api, struct v3_call *call, const struct kv_reply *reply,
                       uint64_t revision)
{
    struct v3_txn_response response = {.header = v3_header(api, call, revision)};
    txn_of_kv(&call->arena, call->request, reply, &response);
    v3_answer(api, call, &v3_message_txn_response, &response);
}

static void on_txn(struct api *api, struct v3_call *call, const struct node_result *result,
                   uint64_t now_ms)
{
    (void)now_ms;
    if (result->kv.status == KV_OK)
        answer_txn(api, call, &result->kv.replies[0], result->kv.revision);
    else
        v3_fail(api, call, v3_error_of_status(result->kv.status));
}

/* ---- transactions that only read ------------------------------------------------------------- */

/* As etcd looks at it: a transaction within is a write. */
static bool is_read(const struct v3_request_op *ops, size_t count, bool *serializable)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].request_range == NULL)
            return false;
        *serializable = *serializable && ops[i].request_range->serializable;
    }
    return true;
}

static void tell_txn(struct api *api, struct v3_call *call)
{
    struct kv_op op = {.type = KV_OP_TXN};
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    struct kv_reply reply = {0};
    enum v3_error error;
    if (!txn_to_kv(&call->arena, call->request, &op.txn, &error)) {
        v3_fail(api, call, error);
        return;
    }
    enum kv_status status = kv_command_check(&command);
    if (status == KV_OK)
        status = kv_read_txn(node_kv(api->node), &op, &reply);
    api->ranges += op.txn.compare_count + reply.reply_count;
    api->txns += op.txn.compare_count + reply.reply_count > 1 ? 1 : 0;
    if (status == KV_OK)
        answer_txn(api, call, &reply, reply.revision);
    else
        v3_fail(api, call, v3_error_of_status(status));
    kv_reply_deinit(&reply);
}

static void on_read(struct api *api, struct v3_call *call, const struct node_result *result,
                    uint64_t now_ms)
{
    (void)result;
    (void)now_ms;
    tell_txn(api, call);
}

static void write_txn(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    struct kv_op op = {.type = KV_OP_TXN};
    enum v3_error error;
    if (!txn_to_kv(&call->arena, call->request, &op.txn, &error))
        v3_fail(api, call, error);
    else if (v3_check_size(api, call))
        v3_write_op(api, call, &op, on_txn, now_ms);
}

void v3_handle_txn(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_txn_request *request = call->request;
    bool serializable = !node_is_damaged(api->node);
    if (!is_read(request->success, request->success_count, &serializable) ||
        !is_read(request->failure, request->failure_count, &serializable))
        write_txn(api, call, now_ms);
    else if (serializable)
        tell_txn(api, call);
    else
        v3_read(api, call, on_read, now_ms);
}
