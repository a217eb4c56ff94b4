/* What api calls of node and kv beside what fake_node.c tells: nothing is there. Tests that want a
 * real store link kv_node.c instead of both. */
#include "base/assert.h"
#include "base/mem.h"
#include "node/node.h"

uint64_t kv_revision(const struct kv *kv)
{
    (void)kv;
    return 9;
}

uint64_t kv_compact_revision(const struct kv *kv)
{
    (void)kv;
    return 0;
}

enum kv_status kv_range_all(const struct kv *kv, const struct kv_range *range, struct kv_reply *out)
{
    (void)kv, (void)range;
    *out = (struct kv_reply){0};
    return KV_COMPACTED;
}

void kv_reply_deinit(struct kv_reply *reply)
{
    (void)reply;
}

enum kv_status kv_cursor_open(const struct kv *kv, const struct kv_keys *keys, uint64_t revision,
                              bool descending, struct kv_cursor **out)
{
    (void)kv, (void)keys, (void)revision, (void)descending, (void)out;
    return KV_COMPACTED;
}

void kv_cursor_free(struct kv_cursor *cursor)
{
    (void)cursor;
}

uint64_t kv_cursor_revision(const struct kv_cursor *cursor)
{
    (void)cursor;
    return 0;
}

enum kv_step kv_cursor_next(const struct kv *kv, struct kv_cursor *cursor, size_t *budget,
                            struct kv_item *out)
{
    (void)kv, (void)cursor, (void)budget, (void)out;
    return KV_STEP_END;
}

enum err kv_history_find(const struct kv *kv, uint64_t revision, uint64_t *position)
{
    (void)kv, (void)revision, (void)position;
    return ERR_NOT_FOUND;
}

uint64_t kv_history_first(const struct kv *kv)
{
    (void)kv;
    return 0;
}

uint64_t kv_history_end(const struct kv *kv)
{
    (void)kv;
    return 0;
}

void kv_history_at(const struct kv *kv, uint64_t position, struct kv_event *out)
{
    (void)kv, (void)position, (void)out;
    UNREACHABLE("the history is empty");
}

bool kv_lease_get(const struct kv *kv, uint64_t id, struct kv_lease_info *out)
{
    (void)kv, (void)id, (void)out;
    return false;
}

bool kv_lease_seek(const struct kv *kv, uint64_t id, struct kv_lease_info *out)
{
    (void)kv, (void)id, (void)out;
    return false;
}

bool kv_lease_next_key(const struct kv *kv, uint64_t id, struct kv_bytes after,
                       struct kv_bytes *out)
{
    (void)kv, (void)id, (void)after, (void)out;
    return false;
}

bool kv_ticket_get(const struct kv *kv, struct kv_bytes ticket, struct kv_ticket *out)
{
    (void)kv, (void)ticket, (void)out;
    return false;
}

enum kv_status kv_command_check(const struct kv_command *command)
{
    (void)command;
    return KV_COMMAND_INVALID;
}

bool kv_command_grows(const struct kv_command *command)
{
    (void)command;
    return true;
}

size_t kv_alarms(const struct kv *kv, const struct kv_alarm **list)
{
    (void)kv;
    *list = NULL;
    return 0;
}

enum kv_status kv_read_txn(const struct kv *kv, const struct kv_op *op, struct kv_reply *out)
{
    (void)kv, (void)op, (void)out;
    UNREACHABLE("tests of transactions want a real store");
}

void *kv_command_alloc(struct kv_command *command, size_t count, size_t size)
{
    (void)command, (void)count, (void)size;
    UNREACHABLE("tests of bodies want a real store");
}

void kv_command_deinit(struct kv_command *command)
{
    (void)command;
}

void node_lease_renew(struct node *node, uint64_t token, uint64_t id, uint64_t now_ms)
{
    (void)node, (void)token, (void)id, (void)now_ms;
}

void node_lease_look(struct node *node, uint64_t token, uint64_t id, uint64_t now_ms)
{
    (void)node, (void)token, (void)id, (void)now_ms;
}

uint64_t node_new_lease_id(struct node *node)
{
    (void)node;
    return 1;
}

uint64_t node_lease_min_ttl_s(const struct node *node)
{
    (void)node;
    return 2;
}

void node_promote_member(struct node *node, uint64_t token, floe_id id, uint64_t now_ms)
{
    (void)node, (void)token, (void)id, (void)now_ms;
}

void node_update_member(struct node *node, uint64_t token, floe_id id, const char *address,
                        uint64_t now_ms)
{
    (void)node, (void)token, (void)id, (void)address, (void)now_ms;
}

void node_transfer_leader(struct node *node, uint64_t token, floe_id to, uint64_t now_ms)
{
    (void)node, (void)token, (void)to, (void)now_ms;
}

uint64_t node_kv_generation(const struct node *node)
{
    (void)node;
    return 0;
}

uint64_t node_age_ms(const struct node *node, uint64_t now_ms)
{
    (void)node, (void)now_ms;
    return 3;
}

uint64_t kv_memory_bytes(const struct kv *kv)
{
    (void)kv;
    return 0;
}

uint64_t kv_size_bytes(const struct kv *kv)
{
    (void)kv;
    return 0;
}

uint64_t kv_history_bytes(const struct kv *kv)
{
    (void)kv;
    return 0;
}

struct kv_done kv_done(const struct kv *kv)
{
    (void)kv;
    return (struct kv_done){0};
}

uint64_t kv_count(const struct kv *kv)
{
    (void)kv;
    return 0;
}

uint64_t kv_hash(const struct kv *kv)
{
    (void)kv;
    return 0;
}

size_t kv_lease_count(const struct kv *kv)
{
    (void)kv;
    return 0;
}

enum node_life node_life(const struct node *node)
{
    (void)node;
    return NODE_RUNNING;
}

uint64_t kv_count_range(const struct kv *kv, const struct kv_keys *keys)
{
    (void)kv;
    (void)keys;
    return 0;
}

enum kv_status kv_digest_open(const struct kv *kv, uint64_t revision, struct kv_digest **out)
{
    (void)kv;
    (void)revision;
    (void)out;
    return KV_FUTURE;
}

void kv_digest_free(struct kv_digest *digest)
{
    (void)digest;
}

enum kv_step kv_digest_go_on(const struct kv *kv, struct kv_digest *digest, size_t *budget)
{
    (void)kv;
    (void)digest;
    (void)budget;
    return KV_STEP_END;
}

struct kv_digest_value kv_digest_value(const struct kv_digest *digest)
{
    (void)digest;
    return (struct kv_digest_value){0};
}

bool kv_is_applying(const struct kv *kv)
{
    (void)kv;
    return false;
}

struct kv_sorter *kv_sorter_new(const struct kv_range *range)
{
    (void)range;
    return NULL;
}

void kv_sorter_add(struct kv_sorter *sorter, const struct kv_cursor *cursor)
{
    (void)sorter;
    (void)cursor;
}

bool kv_sorter_sort(struct kv_sorter *sorter, size_t *budget)
{
    (void)sorter;
    (void)budget;
    return true;
}

bool kv_sorter_peek(const struct kv_sorter *sorter, struct kv_item *out)
{
    (void)sorter;
    (void)out;
    return false;
}

void kv_sorter_pop(struct kv_sorter *sorter)
{
    (void)sorter;
}

bool kv_sorter_has_more(const struct kv_sorter *sorter)
{
    (void)sorter;
    return false;
}

bool kv_sorter_free_some(struct kv_sorter *sorter, size_t *budget)
{
    (void)sorter;
    (void)budget;
    return true;
}

uint64_t kv_fingerprint(uint64_t before, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        before = before * 31 + bytes[i];
    return before;
}
