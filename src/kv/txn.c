/*
 * One operation, in most cases a transaction: all or nothing, in one revision.
 *
 * First all compares are judged on the state before, which tells the operations that will be done
 * (the plan, in order, without recursion). Then everything that could be refused is checked; leases
 * are granted on the way, since what follows may use them, and taken back if a check fails. Only
 * then keys are written. Reads are checked even if nobody waits for what they find: members must
 * refuse alike.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/store.h"

struct step {
    const struct kv_op *op;
    bool succeeded; /* of a transaction: its compares hold */
};

struct plan {
    struct step *list;
    size_t count;
    size_t cap;
};

/* ---- compares -------------------------------------------------------------------------------- */

static bool relation_holds(enum kv_relation relation, int order)
{
    switch (relation) {
    case KV_EQUAL: return order == 0;
    case KV_GREATER: return order > 0;
    case KV_LESS: return order < 0;
    case KV_NOT_EQUAL: return order != 0;
    }
    UNREACHABLE("relation");
}

static uint64_t number_of(const struct kv_entry *entry, enum kv_target target)
{
    switch (target) {
    case KV_VERSION: return entry->version;
    case KV_CREATE: return entry->create_revision;
    case KV_MOD: return entry->mod_revision;
    case KV_LEASE: return entry->lease;
    case KV_VALUE: break;
    }
    UNREACHABLE("target that is a number");
}

/* entry NULL: the key is missing. */
static bool compare_holds(const struct kv_compare *compare, const struct kv_entry *entry)
{
    if (compare->target == KV_VALUE)
        return entry != NULL &&
               relation_holds(compare->relation,
                              kv_bytes_compare(kv_entry_value(entry), compare->value));
    uint64_t number = entry != NULL ? number_of(entry, compare->target) : 0;
    return relation_holds(compare->relation,
                          (number > compare->number) - (number < compare->number));
}

static bool range_compare_holds(const struct kv *kv, const struct kv_compare *compare)
{
    struct index_path path;
    const struct kv_entry *entry;
    bool is_empty = true;
    kv_keys_begin(kv, &compare->keys, &path);
    while ((entry = kv_keys_at(&compare->keys, &path)) != NULL) {
        if (entry->version != 0 && !compare_holds(compare, entry))
            return false;
        is_empty &= entry->version == 0;
        index_path_next(&path);
    }
    return !is_empty || compare_holds(compare, NULL);
}

static bool compares_hold(const struct kv *kv, const struct kv_txn *txn)
{
    for (size_t i = 0; i < txn->compare_count; i++) {
        if (!range_compare_holds(kv, &txn->compares[i]))
            return false;
    }
    return true;
}

/* ---- the plan -------------------------------------------------------------------------------- */

struct branch {
    const struct kv_op *ops;
    size_t count;
    size_t next;
};

static struct branch branch_of(const struct kv_txn *txn, bool succeeded)
{
    if (succeeded)
        return (struct branch){.ops = txn->success, .count = txn->success_count};
    return (struct branch){.ops = txn->failure, .count = txn->failure_count};
}

static void plan_make(struct plan *plan, const struct kv *kv, const struct kv_op *root)
{
    struct branch stack[KV_TXN_DEPTH_MAX + 1] = {{.ops = root, .count = 1}};
    for (size_t depth = 1; depth > 0;) {
        struct branch *top = &stack[depth - 1];
        if (top->next == top->count) {
            depth--;
            continue;
        }
        const struct kv_op *op = &top->ops[top->next++];
        struct step step = {.op = op};
        if (op->type == KV_OP_TXN) {
            ASSERT(depth <= KV_TXN_DEPTH_MAX);
            step.succeeded = compares_hold(kv, &op->txn);
            stack[depth++] = branch_of(&op->txn, step.succeeded);
        }
        plan->list = mem_grow(plan->list, plan->count, &plan->cap, sizeof *plan->list);
        plan->list[plan->count++] = step;
    }
}

/* ---- checks ---------------------------------------------------------------------------------- */

static enum kv_status check_put(const struct kv *kv, const struct kv_put *put)
{
    struct index_path path;
    if (put->lease != 0 && kv_lease_find(kv, put->lease) == NULL)
        return KV_LEASE_NOT_FOUND;
    if (!put->keep_value && !put->keep_lease)
        return KV_OK;
    const struct kv_entry *now = kv_newest(kv, put->key, &path);
    return now != NULL && now->version != 0 ? KV_OK : KV_KEY_NOT_FOUND;
}

static enum kv_status grant(struct kv *kv, const struct kv_grant *grant)
{
    if (kv_lease_find(kv, grant->id) != NULL)
        return KV_LEASE_EXISTS;
    kv_lease_add(kv, grant->id, grant->ttl_s, 0);
    return KV_OK;
}

static void take_grants_back(struct kv *kv, const struct plan *plan, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        const struct kv_op *op = plan->list[i].op;
        if (op->type == KV_OP_GRANT)
            kv_lease_remove(kv, kv_lease_find(kv, op->grant.id));
    }
}

/* Grants leases too. */
static enum kv_status check_writes(struct kv *kv, const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct kv_op *op = plan->list[i].op;
        enum kv_status status = KV_OK;
        if (op->type == KV_OP_PUT)
            status = check_put(kv, &op->put);
        else if (op->type == KV_OP_GRANT)
            status = grant(kv, &op->grant);
        if (status == KV_OK)
            continue;
        take_grants_back(kv, plan, i);
        return status;
    }
    return KV_OK;
}

static enum kv_status check_reads(const struct kv *kv, const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct kv_op *op = plan->list[i].op;
        enum kv_status status =
            op->type == KV_OP_RANGE ? kv_revision_check(kv, op->range.revision) : KV_OK;
        if (status != KV_OK)
            return status;
    }
    return KV_OK;
}

/* ---- what operations do ---------------------------------------------------------------------- */

struct work {
    struct kv *kv;
    uint64_t revision; /* of what is written now */
    bool wrote;
};

static void put(struct work *work, const struct kv_put *put, struct kv_reply *reply)
{
    struct index_path path;
    struct kv_entry *newest = kv_newest(work->kv, put->key, &path);
    bool is_there = newest != NULL && newest->version != 0;
    size_t cap = 0;
    if (reply != NULL && put->want_prev && is_there)
        kv_reply_add_item(reply, newest, &cap);
    ASSERT(is_there || (!put->keep_value && !put->keep_lease));
    struct kv_entry *entry =
        kv_entry_new(put->key, put->keep_value ? kv_entry_value(newest) : put->value);
    entry->lease = put->keep_lease ? newest->lease : put->lease;
    kv_write(work->kv, &path, newest, entry, work->revision);
    work->wrote = true;
}

static void del(struct work *work, const struct kv_delete *del, struct kv_reply *reply)
{
    struct index_path path;
    struct kv_entry *newest;
    size_t cap = 0;
    kv_keys_begin(work->kv, &del->keys, &path);
    for (; (newest = kv_keys_at(&del->keys, &path)) != NULL; index_path_next(&path)) {
        if (newest->version == 0)
            continue;
        if (reply != NULL)
            reply->count++;
        if (reply != NULL && del->want_prev)
            kv_reply_add_item(reply, newest, &cap);
        kv_write_tombstone(work->kv, &path, newest, work->revision);
        work->wrote = true;
    }
}

/* What writes nothing. */
static void tell_step(const struct kv *kv, const struct step *step, struct kv_reply *reply)
{
    const struct kv_op *op = step->op;
    reply->type = op->type;
    if (op->type == KV_OP_RANGE)
        kv_range_fill(kv, &op->range, reply);
    if (op->type != KV_OP_TXN)
        return;
    reply->succeeded = step->succeeded;
    reply->reply_count = branch_of(&op->txn, step->succeeded).count;
    reply->replies = mem_calloc(reply->reply_count, sizeof *reply->replies);
}

static void do_step(struct work *work, const struct step *step, struct kv_reply *reply)
{
    const struct kv_op *op = step->op;
    if (op->type == KV_OP_PUT)
        put(work, &op->put, reply);
    else if (op->type == KV_OP_DELETE)
        del(work, &op->del, reply);
    if (reply == NULL)
        return;
    tell_step(work->kv, step, reply);
    reply->revision = work->wrote ? work->revision : work->revision - 1;
}

/* ---- carrying the plan out ------------------------------------------------------------------- */

/* Replies whose branches are being filled: the next one to fill is the first that is missing. */
struct filling {
    struct kv_reply *of[KV_TXN_DEPTH_MAX];
    size_t next[KV_TXN_DEPTH_MAX];
    size_t depth;
};

static struct kv_reply *next_reply(struct filling *filling, struct kv_reply *root)
{
    if (filling->depth == 0)
        return root;
    struct kv_reply *parent = filling->of[filling->depth - 1];
    return &parent->replies[filling->next[filling->depth - 1]++];
}

static void after_reply(struct filling *filling, struct kv_reply *reply, uint64_t revision)
{
    if (reply->type == KV_OP_TXN) {
        ASSERT(filling->depth < KV_TXN_DEPTH_MAX);
        filling->of[filling->depth] = reply;
        filling->next[filling->depth++] = 0;
    }
    while (filling->depth > 0) {
        struct kv_reply *top = filling->of[filling->depth - 1];
        if (filling->next[filling->depth - 1] < top->reply_count)
            return;
        top->revision = revision;
        filling->depth--;
    }
}

static void carry_out(struct kv *kv, const struct plan *plan, struct kv_reply *root)
{
    struct work work = {.kv = kv, .revision = kv->revision + 1};
    struct filling filling = {.depth = 0};
    for (size_t i = 0; i < plan->count; i++) {
        struct kv_reply *reply = root != NULL ? next_reply(&filling, root) : NULL;
        do_step(&work, &plan->list[i], reply);
        if (reply != NULL)
            after_reply(&filling, reply, work.wrote ? work.revision : work.revision - 1);
    }
    if (work.wrote)
        kv->revision = work.revision;
}

static void tell(const struct kv *kv, const struct plan *plan, struct kv_reply *root)
{
    struct filling filling = {.depth = 0};
    for (size_t i = 0; i < plan->count; i++) {
        struct kv_reply *reply = next_reply(&filling, root);
        tell_step(kv, &plan->list[i], reply);
        reply->revision = kv->revision;
        after_reply(&filling, reply, kv->revision);
    }
}

enum kv_status kv_read_txn(const struct kv *kv, const struct kv_op *op, struct kv_reply *out)
{
    struct plan plan = {0};
    ASSERT(op->type == KV_OP_TXN);
    plan_make(&plan, kv, op);
    for (size_t i = 0; i < plan.count; i++)
        ASSERT(plan.list[i].op->type == KV_OP_TXN || plan.list[i].op->type == KV_OP_RANGE);
    enum kv_status status = check_reads(kv, &plan);
    if (status == KV_OK)
        tell(kv, &plan, out);
    out->type = op->type;
    out->status = status;
    out->revision = kv->revision;
    mem_free(plan.list);
    return status;
}

static enum kv_status plan_apply(struct kv *kv, const struct plan *plan, struct kv_reply *reply)
{
    enum kv_status status = check_writes(kv, plan);
    if (status != KV_OK)
        return status;
    status = check_reads(kv, plan);
    if (status == KV_OK)
        carry_out(kv, plan, reply);
    else
        take_grants_back(kv, plan, plan->count);
    return status;
}

enum kv_status kv_op_apply(struct kv *kv, const struct kv_op *op, struct kv_reply *reply,
                           bool *succeeded)
{
    struct step single = {.op = op};
    struct plan plan = {.list = &single, .count = 1};
    if (op->type == KV_OP_TXN) {
        plan = (struct plan){0};
        plan_make(&plan, kv, op);
    }
    enum kv_status status = plan_apply(kv, &plan, reply);
    *succeeded = status == KV_OK && (op->type != KV_OP_TXN || plan.list[0].succeeded);
    if (reply != NULL) {
        reply->type = op->type;
        reply->status = status;
        reply->revision = kv->revision;
    }
    if (op->type == KV_OP_TXN)
        mem_free(plan.list);
    return status;
}
