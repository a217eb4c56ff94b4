/* The fake behind fake_node.h: a list of keys, a queue of results, nothing else. */
#include "fake_node.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define KEYS_MAX 32
#define RESULTS_MAX 4096

struct fake_item {
    uint8_t *key;
    size_t key_len;
    uint8_t *value;
    size_t value_len;
    uint64_t mod_revision;
};

struct fake_node fake;
static struct fake_item items[KEYS_MAX];
static size_t item_count;
static struct node_result results[RESULTS_MAX];
static size_t result_first;
static size_t result_count;

void fake_node_reset(void)
{
    for (size_t i = 0; i < item_count; i++) {
        mem_free(items[i].key);
        mem_free(items[i].value);
        items[i] = (struct fake_item){0};
    }
    item_count = 0;
    result_first = result_count = 0;
    memset(&fake, 0, sizeof fake);
    fake.status = (struct node_status){
        .id = 1,
        .name = "n1",
        .cluster = "floe",
        .role = "leader",
        .term = 2,
        .leader = 1,
        .commit = 9,
        .applied = 9,
        .caught_up = true,
    };
}

void fake_node_answer_token(uint64_t token, struct node_result result)
{
    ASSERT(result_count < RESULTS_MAX);
    result.token = token;
    results[(result_first + result_count++) % RESULTS_MAX] = result;
}

void fake_node_answer(struct node_result result)
{
    fake_node_answer_token(fake.token, result);
}

void fake_node_put(const void *key, size_t key_len, const void *value, size_t value_len,
                   uint64_t mod_revision)
{
    size_t at = 0;
    while (at < item_count &&
           !(items[at].key_len == key_len && memcmp(items[at].key, key, key_len) == 0))
        at++;
    ASSERT(at < KEYS_MAX);
    if (at == item_count)
        item_count++;
    mem_free(items[at].key);
    mem_free(items[at].value);
    items[at] = (struct fake_item){mem_dup(key, key_len), key_len, mem_dup(value, value_len),
                                   value_len, mod_revision};
}

static void note(enum fake_call call, uint64_t token)
{
    fake.call = call;
    fake.calls++;
    fake.token = token;
    if (fake.auto_answer)
        fake_node_answer(fake.result);
}

static const struct kv_op *note_conditions(const struct kv_op *op)
{
    fake.compare_count = 0;
    if (op->type != KV_OP_TXN)
        return op;
    ASSERT(op->txn.compare_count <= 2 && op->txn.success_count == 1);
    fake.compare_count = op->txn.compare_count;
    memcpy(fake.compares, op->txn.compares, fake.compare_count * sizeof fake.compares[0]);
    return &op->txn.success[0];
}

void node_write(struct node *node, uint64_t token, const struct kv_command *command,
                bool want_replies, uint64_t now_ms)
{
    (void)node;
    (void)now_ms;
    ASSERT(command->type == KV_COMMAND_OP && command->op_count == 1);
    const struct kv_op *op = note_conditions(&command->ops[0]);
    bool is_put = op->type == KV_OP_PUT;
    struct kv_bytes key = is_put ? op->put.key : op->del.keys.key;
    struct kv_bytes value = is_put ? op->put.value : (struct kv_bytes){NULL, 0};
    ASSERT(key.len <= sizeof fake.key);
    fake.op = op->type;
    fake.want_replies = want_replies;
    memcpy(fake.key, key.data, key.len);
    fake.key_len = key.len;
    fake.value_len = value.len;
    size_t some = value.len < sizeof fake.value_start ? value.len : sizeof fake.value_start;
    if (some > 0)
        memcpy(fake.value_start, value.data, some);
    static struct kv_reply reply;
    reply = (struct kv_reply){.type = command->ops[0].type, .count = 1, .succeeded = true};
    fake.result.kv.replies = want_replies ? &reply : NULL;
    fake.result.kv.reply_count = want_replies ? 1 : 0;
    note(FAKE_WRITE, token);
    if (fake.auto_answer && is_put)
        fake_node_put(key.data, key.len, value.data, value.len, 7);
}

void node_read(struct node *node, uint64_t token, uint64_t now_ms)
{
    (void)node;
    (void)now_ms;
    note(FAKE_READ, token);
}

void node_add_member(struct node *node, uint64_t token, floe_id id, const char *address,
                     bool stay_learner, uint64_t now_ms)
{
    (void)node;
    (void)now_ms;
    (void)stay_learner;
    fake.id = id;
    (void)snprintf(fake.address, sizeof fake.address, "%s", address);
    note(FAKE_ADD, token);
}

void node_remove_member(struct node *node, uint64_t token, floe_id id, uint64_t now_ms)
{
    (void)node;
    (void)now_ms;
    fake.id = id;
    note(FAKE_REMOVE, token);
}

bool node_next_result(struct node *node, struct node_result *out)
{
    (void)node;
    if (result_count == 0)
        return false;
    *out = results[result_first];
    result_first = (result_first + 1) % RESULTS_MAX;
    result_count--;
    return true;
}

const struct kv *node_kv(const struct node *node)
{
    (void)node;
    return NULL;
}

/* Results in these tests own nothing; an item stands in for an entry. */
void kv_result_deinit(struct kv_result *result)
{
    *result = (struct kv_result){.status = KV_OK};
}

struct kv_entry {
    struct kv_item item;
};

void kv_entry_item(const struct kv_entry *entry, struct kv_item *out)
{
    *out = entry->item;
}

struct kv_entry *fake_node_entry(uint64_t mod_revision)
{
    static struct kv_entry entry;
    entry.item = (struct kv_item){.mod_revision = mod_revision};
    return &entry;
}

bool kv_get(const struct kv *kv, struct kv_bytes key, struct kv_item *out)
{
    (void)kv;
    for (size_t i = 0; i < item_count; i++) {
        if (items[i].key_len != key.len || memcmp(items[i].key, key.data, key.len) != 0)
            continue;
        *out = (struct kv_item){.key = {items[i].key, key.len},
                                .value = {items[i].value, items[i].value_len},
                                .mod_revision = items[i].mod_revision};
        return true;
    }
    return false;
}

struct node_status node_status(const struct node *node, uint64_t now_ms)
{
    (void)node;
    (void)now_ms;
    return fake.status;
}

void node_status_deinit(struct node_status *status)
{
    (void)status;
}

bool node_is_damaged(const struct node *node)
{
    (void)node;
    return fake.damaged;
}

floe_id node_leader(const struct node *node)
{
    (void)node;
    return fake.status.leader;
}

const char *floe_progress_state_name(enum floe_progress_state state)
{
    return state == FLOE_PROGRESS_REPLICATE ? "StateReplicate" : "StateProbe";
}
