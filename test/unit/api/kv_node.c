/* The node behind kv_node.h. */
#include "kv_node.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define RESULTS_MAX 64

struct kv_node kv_node;
static struct node_result results[RESULTS_MAX];
static size_t result_count;
static struct node_member members[2];

void kv_node_reset(void)
{
    for (size_t i = 0; i < result_count; i++)
        kv_result_deinit(&results[i].kv);
    result_count = 0;
    if (kv_node.kv != NULL)
        kv_free(kv_node.kv);
    kv_node = (struct kv_node){.kv = kv_new(), .last_call = ""};
}

static struct node_result *push(uint64_t token)
{
    ASSERT(result_count < RESULTS_MAX);
    results[result_count] = (struct node_result){.token = token, .outcome = kv_node.outcome};
    return &results[result_count++];
}

static struct kv_result apply(const struct kv_command *command, bool want_replies)
{
    struct buf bytes = {0};
    kv_command_encode(&bytes, command);
    struct kv_result result = kv_apply(kv_node.kv, bytes.data, bytes.len, 1, want_replies);
    buf_deinit(&bytes);
    return result;
}

uint64_t kv_node_put(const char *key, const char *value)
{
    struct kv_bytes name = {(const uint8_t *)key, strlen(key)};
    struct kv_op op = {.type = KV_OP_DELETE, .del = {.keys = {.key = name}}};
    if (value != NULL)
        op = (struct kv_op){.type = KV_OP_PUT,
                            .put = {.key = name, .value = {(const uint8_t *)value, strlen(value)}}};
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    struct kv_result result = apply(&command, false);
    ASSERT(result.status == KV_OK);
    return result.revision;
}

void kv_node_alarm(enum kv_alarm_kind kind, bool raise)
{
    struct kv_command command = {
        .type = KV_COMMAND_ALARM, .raise = raise, .alarm = {.member = 1, .kind = kind}};
    ASSERT(apply(&command, false).status == KV_OK);
}

void kv_node_compact(uint64_t revision)
{
    struct kv_command command = {.type = KV_COMMAND_COMPACT, .number = revision};
    ASSERT(apply(&command, false).status == KV_OK);
    while (kv_tidy(kv_node.kv, 1000))
        continue;
}

void kv_node_replace(void)
{
    struct kv_view *view = kv_view_new(kv_node.kv);
    struct buf bytes = {0};
    while (!kv_view_read(view, &bytes, 4096))
        continue;
    kv_view_free(view);
    struct kv_loader *loader = kv_loader_new();
    struct kv *loaded = NULL;
    ASSERT(kv_loader_feed(loader, bytes.data, bytes.len) == ERR_OK);
    ASSERT(kv_loader_finish(loader, &loaded) == ERR_OK);
    kv_loader_free(loader);
    buf_deinit(&bytes);
    kv_free(kv_node.kv);
    kv_node.kv = loaded;
    kv_node.generation++;
}

/* ---- node.h ---------------------------------------------------------------------------------- */

void node_write(struct node *node, uint64_t token, const struct kv_command *command,
                bool want_replies, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    struct node_result *result = push(token);
    if (kv_node.outcome != NODE_OK)
        return;
    if (kv_node.fail_after > 0 && --kv_node.fail_after == 0)
        kv_node.outcome = NODE_UNKNOWN; /* from the next one on */
    kv_node.writes++;
    result->kv = apply(command, want_replies);
    result->term = 1;
    result->index = kv_node.writes;
    if (kv_node.alarm_after > 0 && --kv_node.alarm_after == 0)
        kv_node_alarm(KV_ALARM_NO_SPACE, true);
}

void node_read(struct node *node, uint64_t token, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    (void)push(token);
}

static void note(const char *call, uint64_t token, floe_id id, const char *address)
{
    kv_node.last_call = call;
    kv_node.last_id = id;
    (void)snprintf(kv_node.address, sizeof kv_node.address, "%s", address);
    (void)push(token);
}

void node_lease_renew(struct node *node, uint64_t token, uint64_t id, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    note("renew", token, id, "");
    struct kv_lease_info lease = {0};
    results[result_count - 1].lease_known = kv_lease_get(kv_node.kv, id, &lease);
    results[result_count - 1].lease_ttl_s = lease.ttl_s;
    results[result_count - 1].lease_remaining_ms = lease.ttl_s * 1000;
}

void node_lease_look(struct node *node, uint64_t token, uint64_t id, uint64_t now_ms)
{
    node_lease_renew(node, token, id, now_ms);
    kv_node.last_call = "look";
}

uint64_t node_new_lease_id(struct node *node)
{
    (void)node;
    return 77;
}

uint64_t node_lease_min_ttl_s(const struct node *node)
{
    (void)node;
    return 2;
}

void node_add_member(struct node *node, uint64_t token, floe_id id, const char *address,
                     bool stay_learner, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    kv_node.stay_learner = stay_learner;
    note("add", token, id, address);
}

void node_promote_member(struct node *node, uint64_t token, floe_id id, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    note("promote", token, id, "");
}

void node_update_member(struct node *node, uint64_t token, floe_id id, const char *address,
                        uint64_t now_ms)
{
    (void)node, (void)now_ms;
    note("update", token, id, address);
}

void node_remove_member(struct node *node, uint64_t token, floe_id id, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    note("remove", token, id, "");
}

void node_transfer_leader(struct node *node, uint64_t token, floe_id to, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    note("transfer", token, to, "");
}

bool node_next_result(struct node *node, struct node_result *out)
{
    (void)node;
    if (result_count == 0)
        return false;
    *out = results[0];
    memmove(results, results + 1, --result_count * sizeof *results);
    return true;
}

const struct kv *node_kv(const struct node *node)
{
    (void)node;
    return kv_node.kv;
}

uint64_t node_kv_generation(const struct node *node)
{
    (void)node;
    return kv_node.generation;
}

uint64_t node_age_ms(const struct node *node, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    return kv_node.age_ms;
}

struct node_status node_status(const struct node *node, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    members[0] = (struct node_member){
        .id = 1, .name = "n1", .peer_address = "h:1", .http_address = "h:2", .is_self = true};
    return (struct node_status){.id = 1,
                                .name = "n1",
                                .cluster = "floe",
                                .role = "leader",
                                .term = 2,
                                .room = kv_node.room,
                                .leader = kv_node.last_id > 0 ? kv_node.last_id : 1,
                                .members = members,
                                .member_count = 1};
}

void node_status_deinit(struct node_status *status)
{
    (void)status;
}

bool node_is_damaged(const struct node *node)
{
    (void)node;
    return false;
}

enum node_life node_life(const struct node *node)
{
    (void)node;
    return kv_node.life;
}

floe_id node_leader(const struct node *node)
{
    (void)node;
    return kv_node.last_id;
}

const char *floe_progress_state_name(enum floe_progress_state state)
{
    (void)state;
    return "StateProbe";
}
