/*
 * lock/... and election/...: a queue of keys under "name/", each bound to a lease and named by it
 * in hex; whose create revision is the lowest has the lock, or leads. Who waits looks only at the
 * key before his own.
 */
#include "api/v3_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LEASE_HEX 17
#define LEAVE_TRIES 10 /* each as long as a request may take */

static struct v3_bytes joined(struct v3_arena *arena, struct v3_bytes name, const char *tail)
{
    size_t len = strlen(tail);
    uint8_t *data = v3_arena_alloc(arena, name.len + len + 1, 1);
    if (name.len > 0)
        memcpy(data, name.data, name.len);
    memcpy(data + name.len, tail, len);
    return (struct v3_bytes){data, name.len + len};
}

/* [name/, name0): all keys of the queue. */
static struct kv_keys queue_keys(struct v3_arena *arena, struct v3_bytes name)
{
    return v3_keys(joined(arena, name, "/"), joined(arena, name, "0"));
}

static bool is_there(const struct kv *kv, struct v3_bytes key, uint64_t create_revision)
{
    struct kv_item item;
    return kv_get(kv, v3_to_kv(key), &item) && item.create_revision == create_revision;
}

/* The key of the queue with the lowest create revision, or with the highest one below `below`. */
static bool find_in_queue(const struct kv *kv, struct v3_arena *arena, struct v3_bytes name,
                          uint64_t below, struct kv_reply *reply)
{
    if (below == 1)
        return false;
    struct kv_range range = {.keys = queue_keys(arena, name),
                             .limit = 1,
                             .order = below > 0 ? KV_DESCEND : KV_ASCEND,
                             .sort = KV_BY_CREATE,
                             .max_create = below > 0 ? below - 1 : 0};
    *reply = (struct kv_reply){0};
    if (kv_range_all(kv, &range, reply) == KV_OK && reply->item_count > 0)
        return true;
    kv_reply_deinit(reply);
    return false;
}

/* ---- into the queue -------------------------------------------------------------------------- */

/* The terms in which both services speak. */
static bool is_election(const struct v3_call *call)
{
    return call->route->handle == v3_handle_campaign;
}

static struct v3_bytes name_of(const struct v3_call *call)
{
    if (is_election(call))
        return ((const struct v3_campaign_request *)call->request)->name;
    return ((const struct v3_lock_request *)call->request)->name;
}

static void answer_first(struct api *api, struct v3_call *call)
{
    if (!is_election(call)) {
        struct v3_lock_response response = {.header = v3_header_now(api, call), .key = call->key};
        v3_answer(api, call, &v3_message_lock_response, &response);
        return;
    }
    struct v3_leader_key leader = {.name = name_of(call),
                                   .key = call->key,
                                   .rev = (int64_t)call->revision,
                                   .lease = (int64_t)call->id};
    struct v3_campaign_response response = {.header = v3_header(api, call, call->sent_revision),
                                            .leader = &leader};
    v3_answer(api, call, &v3_message_campaign_response, &response);
}

static void look_at_queue(struct api *api, struct v3_call *call, uint64_t now_ms);

static void on_change(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct kv *kv = node_kv(api->node);
    if (!is_there(kv, call->key, call->revision) ||
        !is_there(kv, call->before, call->before_revision))
        look_at_queue(api, call, now_ms);
}

static void look_at_queue(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    const struct kv *kv = node_kv(api->node);
    struct kv_reply reply;
    if (!is_there(kv, call->key, call->revision)) {
        v3_fail(api, call, is_election(call) ? V3_ELECTION_EXPIRED : V3_LOCK_EXPIRED);
    } else if (!find_in_queue(kv, &call->arena, name_of(call), call->revision, &reply)) {
        answer_first(api, call);
    } else {
        struct kv_item item;
        kv_entry_item(reply.items[0], &item);
        call->before = v3_arena_copy(&call->arena, item.key.data, item.key.len);
        call->before_revision = item.create_revision;
        kv_reply_deinit(&reply);
        v3_wait(api, call, on_change);
    }
}

static void on_value_told(struct api *api, struct v3_call *call, const struct node_result *result,
                          uint64_t now_ms)
{
    (void)result;
    look_at_queue(api, call, now_ms);
}

/* The write of a key that must still be the one of this create revision. */
static void write_if_mine(struct api *api, struct v3_call *call, struct kv_op *op,
                          const struct v3_leader_key *leader, v3_on_result *on_result,
                          uint64_t now_ms)
{
    struct kv_compare compare = {.keys = {.key = v3_to_kv(leader->key)},
                                 .target = KV_CREATE,
                                 .number = (uint64_t)leader->rev};
    struct kv_op txn = {
        .type = KV_OP_TXN,
        .txn = {.compares = &compare, .compare_count = 1, .success = op, .success_count = 1}};
    v3_write_op(api, call, &txn, on_result, now_ms);
}

/* The key was there: an election with another value than before tells it. */
static void stand_again(struct api *api, struct v3_call *call, const struct kv_reply *range,
                        uint64_t now_ms)
{
    struct kv_item item;
    kv_entry_item(range->items[0], &item);
    call->revision = item.create_revision;
    if (is_election(call)) {
        const struct v3_campaign_request *request = call->request;
        struct v3_bytes value = request->value;
        bool same = value.len == item.value.len &&
                    (value.len == 0 || memcmp(value.data, item.value.data, value.len) == 0);
        struct v3_leader_key mine = {.key = call->key, .rev = (int64_t)call->revision};
        struct kv_op put = {
            .type = KV_OP_PUT,
            .put = {.key = v3_to_kv(call->key), .value = v3_to_kv(value), .lease = call->id}};
        if (!same) {
            write_if_mine(api, call, &put, &mine, on_value_told, now_ms);
            return;
        }
    }
    look_at_queue(api, call, now_ms);
}

static void on_entered(struct api *api, struct v3_call *call, const struct node_result *result,
                       uint64_t now_ms)
{
    call->sent_revision = result->kv.revision;
    if (result->kv.status == KV_LEASE_NOT_FOUND) {
        v3_fail(api, call, V3_LOCK_NO_LEASE);
    } else if (result->kv.status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(result->kv.status));
    } else if (result->kv.replies[0].succeeded) {
        call->revision = result->kv.revision;
        look_at_queue(api, call, now_ms);
    } else {
        stand_again(api, call, &result->kv.replies[0].replies[0], now_ms);
    }
}

/* ---- out of the queue ------------------------------------------------------------------------ */

bool v3_is_in_queue(const struct v3_call *call)
{
    bool queues = is_election(call) || call->route->handle == v3_handle_lock;
    return queues && call->key.len > 0 && !call->is_over && !call->has_left;
}

static void note_result(struct v3_call *call, const struct node_result *result)
{
    if (result->outcome != NODE_OK)
        return;
    call->has_left = call->is_leaving;
    if (call->on_result == on_entered && result->kv.status == KV_OK &&
        result->kv.replies[0].succeeded)
        call->revision = result->kv.revision;
}

/* Nobody knows whether a given lease has its key in the queue if its revision is not known: then
 * the key stays, as with etcd. */
bool v3_leave_queue(struct api *api, struct v3_call *call, const struct node_result *result,
                    uint64_t now_ms)
{
    if (result != NULL)
        note_result(call, result);
    bool can = call->renews || call->revision != 0;
    if (!can || call->has_left || call->tries++ == LEAVE_TRIES ||
        node_life(api->node) != NODE_RUNNING)
        return false;
    call->is_leaving = true;
    if (call->renews) {
        struct kv_lease_time lease = {.id = call->id};
        struct kv_command revoke = {.type = KV_COMMAND_REVOKE, .leases = &lease, .lease_count = 1};
        v3_write(api, call, &revoke, NULL, now_ms);
    } else {
        struct v3_leader_key mine = {.key = call->key, .rev = (int64_t)call->revision};
        struct kv_op del = {.type = KV_OP_DELETE, .del = {.keys = {.key = v3_to_kv(call->key)}}};
        write_if_mine(api, call, &del, &mine, NULL, now_ms);
    }
    return true;
}

/* ---- in, again ------------------------------------------------------------------------------- */

/* Without a lease one is made together with the key, and renewed while the call waits. */
static void enter(struct api *api, struct v3_call *call, struct v3_bytes name, int64_t lease,
                  struct v3_bytes value, uint64_t now_ms)
{
    char tail[LEASE_HEX + 1];
    call->renews = lease == 0;
    call->id = lease != 0 ? (uint64_t)lease : node_new_lease_id(api->node);
    (void)snprintf(tail, sizeof tail, "/%" PRIx64, call->id);
    call->key = joined(&call->arena, name, tail);
    struct kv_bytes key = v3_to_kv(call->key);
    struct kv_compare compare = {.keys = {.key = key}, .target = KV_CREATE};
    struct kv_op ops[2] = {
        {.type = KV_OP_GRANT, .grant = {.id = call->id, .ttl_s = V3_SESSION_TTL_S}},
        {.type = KV_OP_PUT, .put = {.key = key, .value = v3_to_kv(value), .lease = call->id}},
    };
    struct kv_op look = {.type = KV_OP_RANGE, .range = {.keys = {.key = key}}};
    size_t skip = lease != 0;
    struct kv_op txn = {.type = KV_OP_TXN,
                        .txn = {.compares = &compare,
                                .compare_count = 1,
                                .success = ops + skip,
                                .success_count = 2 - skip,
                                .failure = &look,
                                .failure_count = 1}};
    v3_write_op(api, call, &txn, on_entered, now_ms);
}

/* ---- lock ------------------------------------------------------------------------------------ */

void v3_handle_lock(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_lock_request *request = call->request;
    enter(api, call, request->name, request->lease, (struct v3_bytes){NULL, 0}, now_ms);
}

/* The answer to a write of a key that may or may not have been there. */
static void on_left(struct api *api, struct v3_call *call, const struct node_result *result,
                    uint64_t now_ms)
{
    (void)now_ms;
    if (result->kv.status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(result->kv.status));
        return;
    }
    struct v3_only_header response = {.header = v3_header(api, call, result->kv.revision)};
    v3_answer(api, call, &v3_message_only_header, &response);
}

void v3_handle_unlock(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_unlock_request *request = call->request;
    struct kv_op op = {.type = KV_OP_DELETE, .del = {.keys = {.key = v3_to_kv(request->key)}}};
    if (request->key.len == 0)
        v3_fail(api, call, V3_LOCK_NO_KEY);
    else
        v3_write_op(api, call, &op, on_left, now_ms);
}

/* ---- election -------------------------------------------------------------------------------- */

void v3_handle_campaign(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_campaign_request *request = call->request;
    enter(api, call, request->name, request->lease, request->value, now_ms);
}

static void on_proclaimed(struct api *api, struct v3_call *call, const struct node_result *result,
                          uint64_t now_ms)
{
    if (result->kv.status == KV_LEASE_NOT_FOUND)
        v3_fail(api, call, V3_LOCK_NO_LEASE);
    else if (result->kv.status == KV_OK && !result->kv.replies[0].succeeded)
        v3_fail(api, call, V3_ELECTION_NOT_LEADER);
    else
        on_left(api, call, result, now_ms);
}

void v3_handle_proclaim(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_proclaim_request *request = call->request;
    if (request->leader == NULL) {
        v3_fail(api, call, V3_ELECTION_NO_FIELD);
        return;
    }
    struct kv_op put = {.type = KV_OP_PUT,
                        .put = {.key = v3_to_kv(request->leader->key),
                                .value = v3_to_kv(request->value),
                                .lease = (uint64_t)request->leader->lease}};
    if (request->leader->key.len == 0)
        v3_fail(api, call, V3_LOCK_NO_KEY);
    else
        write_if_mine(api, call, &put, request->leader, on_proclaimed, now_ms);
}

void v3_handle_resign(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_resign_request *request = call->request;
    if (request->leader == NULL) {
        v3_fail(api, call, V3_ELECTION_NO_FIELD);
        return;
    }
    struct kv_op del = {.type = KV_OP_DELETE,
                        .del = {.keys = {.key = v3_to_kv(request->leader->key)}}};
    if (request->leader->key.len == 0)
        v3_fail(api, call, V3_LOCK_NO_KEY);
    else
        write_if_mine(api, call, &del, request->leader, on_left, now_ms);
}

static void answer_leader(struct api *api, struct v3_call *call, struct kv_reply *reply)
{
    struct v3_leader_response response = {.header = v3_header_now(api, call),
                                          .kv = v3_kvs(&call->arena, reply)};
    v3_answer(api, call, &v3_message_leader_response, &response);
    kv_reply_deinit(reply);
}

static void on_leader(struct api *api, struct v3_call *call, const struct node_result *result,
                      uint64_t now_ms)
{
    (void)result;
    (void)now_ms;
    const struct v3_leader_request *request = call->request;
    struct kv_reply reply;
    if (find_in_queue(node_kv(api->node), &call->arena, request->name, 0, &reply))
        answer_leader(api, call, &reply);
    else
        v3_fail(api, call, V3_ELECTION_NO_LEADER);
}

void v3_handle_leader(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    v3_read(api, call, on_leader, now_ms);
}

/* ---- observe --------------------------------------------------------------------------------- */

/* Tells who leads whenever that, or its value, has changed. The name is kept in call->text. */
static void observe(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    struct v3_bytes name = {call->text.data, call->text.len};
    struct kv_reply reply;
    if (!find_in_queue(node_kv(api->node), &call->arena, name, 0, &reply)) {
        v3_arena_deinit(&call->arena);
        return;
    }
    struct kv_item item;
    kv_entry_item(reply.items[0], &item);
    bool is_news = item.mod_revision != call->sent_revision;
    call->sent_revision = item.mod_revision;
    if (is_news) {
        answer_leader(api, call, &reply);
    } else {
        kv_reply_deinit(&reply);
        v3_arena_deinit(&call->arena);
    }
}

static void on_observing(struct api *api, struct v3_call *call, const struct node_result *result,
                         uint64_t now_ms)
{
    (void)result;
    v3_wait(api, call, observe);
    v3_stream_begin(api, call);
    observe(api, call, now_ms);
}

void v3_handle_observe(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    if (!v3_next_value(api, call))
        return;
    const struct v3_leader_request *request = call->request;
    struct buf name = {0};
    if (request->name.len > 0)
        buf_add(&name, request->name.data, request->name.len);
    buf_deinit(&call->text);
    call->text = name;
    v3_read(api, call, on_observing, now_ms);
}
