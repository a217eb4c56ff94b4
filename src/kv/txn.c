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
    struct kv_entry *newest;
    bool is_empty = true;
    kv_keys_begin(kv, &compare->keys, &path);
    for (; (newest = kv_keys_at(&compare->keys, &path)) != NULL; index_path_next(&path)) {
        const struct kv_entry *entry = kv_version_at(newest, kv->revision);
        if (entry != NULL && !compare_holds(compare, entry))
            return false;
        is_empty &= entry == NULL;
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

static void plan_make(struct kv_plan *plan, const struct kv *kv, const struct kv_op *root)
{
    struct branch stack[KV_TXN_DEPTH_MAX + 1] = {{.ops = root, .count = 1}};
    for (size_t depth = 1; depth > 0;) {
        struct branch *top = &stack[depth - 1];
        if (top->next == top->count) {
            depth--;
            continue;
        }
        const struct kv_op *op = &top->ops[top->next++];
        struct kv_plan_step step = {.op = op};
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
    struct kv_lease_info info = {.id = grant->id, .ttl_s = grant->ttl_s};
    struct kv_birth birth = kv_lease_next_birth(kv, kv->work.term);
    kv_lease_add(kv, &info, &birth);
    return KV_OK;
}

static void take_grants_back(struct kv *kv, const struct kv_plan *plan, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        const struct kv_op *op = plan->list[i].op;
        if (op->type == KV_OP_GRANT)
            kv_lease_remove(kv, kv_lease_find(kv, op->grant.id));
    }
}

/* Grants leases too. */
static enum kv_status check_writes(struct kv *kv, const struct kv_plan *plan)
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

static enum kv_status check_reads(const struct kv *kv, const struct kv_plan *plan)
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

/* What the operation writes now has the revision behind the store's own. */
static uint64_t revision_told(const struct kv *kv, const struct kv_op_work *work)
{
    return work->wrote ? kv->revision + 1 : kv->revision;
}

static void put(struct kv *kv, struct kv_op_work *work, const struct kv_put *put)
{
    struct index_path path;
    struct kv_reply *reply = work->reply;
    struct kv_entry *newest = kv_newest(kv, put->key, &path);
    bool is_there = newest != NULL && newest->version != 0;
    if (reply != NULL && put->want_prev && is_there)
        kv_reply_add_item(reply, newest, &work->item_cap);
    ASSERT(is_there || (!put->keep_value && !put->keep_lease));
    struct kv_entry *entry =
        kv_entry_new(put->key, put->keep_value ? kv_entry_value(newest) : put->value);
    entry->lease = put->keep_lease ? newest->lease : put->lease;
    kv_write(kv, &path, newest, entry, kv->revision + 1);
    work->wrote = true;
}

static void find_next_deleted(const struct kv *kv, const struct kv_op_work *work,
                              const struct kv_delete *del, struct index_path *path)
{
    struct kv_place place = kv_key_place((struct kv_bytes){work->at.data, work->at.len});
    if (work->at.len == 0)
        kv_keys_begin(kv, &del->keys, path);
    else
        index_find(&kv->keys, &place, false, path);
}

/* false: there may be more. */
static bool del(struct kv *kv, struct kv_op_work *work, const struct kv_delete *del, size_t *budget)
{
    struct index_path path;
    struct kv_entry *newest;
    struct kv_reply *reply = work->reply;
    find_next_deleted(kv, work, del, &path);
    buf_clear(&work->at);
    for (; (newest = kv_keys_at(&del->keys, &path)) != NULL; index_path_next(&path)) {
        if (*budget == 0) {
            buf_add(&work->at, newest->bytes, newest->key_len);
            return false;
        }
        --*budget;
        if (newest->version == 0)
            continue;
        if (reply != NULL)
            reply->count++;
        if (reply != NULL && del->want_prev)
            kv_reply_add_item(reply, newest, &work->item_cap);
        kv_write_tombstone(kv, &path, newest, kv->revision + 1);
        work->wrote = true;
    }
    return true;
}

static void tell_step(const struct kv_plan_step *step, struct kv_reply *reply)
{
    const struct kv_op *op = step->op;
    reply->type = op->type;
    if (op->type != KV_OP_TXN)
        return;
    reply->succeeded = step->succeeded;
    reply->reply_count = branch_of(&op->txn, step->succeeded).count;
    reply->replies = mem_calloc(reply->reply_count, sizeof *reply->replies);
}

static bool do_step(struct kv *kv, struct kv_op_work *work, const struct kv_plan_step *step,
                    size_t *budget)
{
    const struct kv_op *op = step->op;
    if (op->type == KV_OP_PUT)
        put(kv, work, &op->put);
    else if (op->type == KV_OP_DELETE && !del(kv, work, &op->del, budget))
        return false;
    if (work->reply == NULL)
        return true;
    if (op->type == KV_OP_RANGE)
        kv_range_fill(kv, &op->range, work->reply);
    tell_step(step, work->reply);
    work->reply->revision = revision_told(kv, work);
    return true;
}

/* ---- carrying the plan out ------------------------------------------------------------------- */

static struct kv_reply *next_reply(struct kv_filling *filling, struct kv_reply *root)
{
    if (filling->depth == 0)
        return root;
    struct kv_reply *parent = filling->of[filling->depth - 1];
    return &parent->replies[filling->next[filling->depth - 1]++];
}

static void after_reply(struct kv_filling *filling, struct kv_reply *reply, uint64_t revision)
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

static void end_step(const struct kv *kv, struct kv_op_work *work)
{
    if (work->reply != NULL)
        after_reply(&work->filling, work->reply, revision_told(kv, work));
    work->in_delete = false;
    work->next++;
}

/* Only a deletion is left in its midst. */
static bool carry_out(struct kv *kv, struct kv_op_work *work, size_t *budget)
{
    while (work->next < work->plan.count) {
        if (!work->in_delete) {
            work->reply = work->root != NULL ? next_reply(&work->filling, work->root) : NULL;
            work->item_cap = 0;
        }
        work->in_delete = !do_step(kv, work, &work->plan.list[work->next], budget);
        if (work->in_delete)
            return false;
        end_step(kv, work);
    }
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

void kv_op_end(struct kv_op_work *work)
{
    if (work->plan.list != &work->single)
        mem_free(work->plan.list);
    buf_deinit(&work->at);
    *work = (struct kv_op_work){0};
}

bool kv_op_succeeded(const struct kv_op_work *work)
{
    const struct kv_plan_step *first = &work->plan.list[0];
    return first->op->type != KV_OP_TXN || first->succeeded;
}

static enum kv_status check(struct kv *kv, const struct kv_plan *plan)
{
    struct kv_birth births = kv->births;
    enum kv_status status = check_writes(kv, plan);
    if (status == KV_OK) {
        status = check_reads(kv, plan);
        if (status != KV_OK)
            take_grants_back(kv, plan, plan->count);
    }
    if (status != KV_OK)
        kv->births = births;
    return status;
}

/* As etcd counts: what was there before is a range, compares are a transaction of their own. */
static void count(struct kv_done *done, const struct kv_plan *plan)
{
    struct kv_done now = {0};
    uint64_t compares = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct kv_op *op = plan->list[i].op;
        bool is_put = op->type == KV_OP_PUT;
        bool is_delete = op->type == KV_OP_DELETE;
        bool looks = (is_put && (op->put.want_prev || op->put.keep_value || op->put.keep_lease)) ||
                     (is_delete && op->del.want_prev);
        now.puts += is_put ? 1 : 0;
        now.deletes += is_delete ? 1 : 0;
        now.ranges += looks || op->type == KV_OP_RANGE ? 1 : 0;
        compares += op->type == KV_OP_TXN ? op->txn.compare_count : 0;
    }
    done->txns += now.puts + now.deletes + now.ranges > 1 ? 1 : 0;
    done->txns += compares > 1 ? 1 : 0;
    done->puts += now.puts;
    done->deletes += now.deletes;
    done->ranges += now.ranges + compares;
}

enum kv_status kv_op_begin(struct kv *kv, struct kv_op_work *work, const struct kv_op *op,
                           struct kv_reply *reply)
{
    *work = (struct kv_op_work){.single = {.op = op}, .root = reply};
    if (op->type == KV_OP_TXN)
        plan_make(&work->plan, kv, op);
    else
        work->plan = (struct kv_plan){.list = &work->single, .count = 1};
    enum kv_status status = check(kv, &work->plan);
    if (status == KV_OK)
        count(&kv->done, &work->plan);
    else
        kv_op_end(work);
    if (reply != NULL)
        *reply = (struct kv_reply){.type = op->type, .status = status, .revision = kv->revision};
    return status;
}

bool kv_op_go_on(struct kv *kv, struct kv_op_work *work, size_t *budget)
{
    if (!carry_out(kv, work, budget))
        return false;
    if (work->wrote)
        kv->revision++;
    if (work->root != NULL)
        work->root->revision = kv->revision;
    return true;
}

/* ---- reading only ---------------------------------------------------------------------------- */

static void tell(const struct kv *kv, const struct kv_plan *plan, struct kv_reply *root)
{
    struct kv_filling filling = {.depth = 0};
    for (size_t i = 0; i < plan->count; i++) {
        struct kv_reply *reply = next_reply(&filling, root);
        const struct kv_op *op = plan->list[i].op;
        if (op->type == KV_OP_RANGE)
            (void)kv_range_all(kv, &op->range, reply);
        tell_step(&plan->list[i], reply);
        reply->revision = kv->revision;
        after_reply(&filling, reply, kv->revision);
    }
}

enum kv_status kv_read_txn(const struct kv *kv, const struct kv_op *op, struct kv_reply *out)
{
    struct kv_plan plan = {0};
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
