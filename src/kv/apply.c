/* What each kind of command does, and the tickets that keep it from being done twice. */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/command_format.h"
#include "kv/store.h"

void kv_result_deinit(struct kv_result *result)
{
    for (size_t i = 0; i < result->reply_count; i++)
        kv_reply_deinit(&result->replies[i]);
    mem_free(result->replies);
    *result = (struct kv_result){0};
}

/* ---- operations ------------------------------------------------------------------------------ */

static struct kv_reply *reply_at(const struct kv_result *result, size_t i)
{
    return result->replies != NULL ? &result->replies[i] : NULL;
}

static void refuse(const struct kv *kv, const struct kv_op *op, enum kv_status status,
                   struct kv_reply *reply)
{
    if (reply != NULL)
        *reply = (struct kv_reply){.type = op->type, .status = status, .revision = kv->revision};
}

/* true: it is accepted and goes on. */
static bool begin_op(struct kv *kv, struct kv_work *work)
{
    const struct kv_op *op = &work->command.ops[0];
    struct kv_reply *reply = reply_at(&work->result, 0);
    work->result.status = kv_command_check(&work->command);
    if (work->result.status != KV_OK)
        refuse(kv, op, work->result.status, reply);
    else
        work->result.status = kv_op_begin(kv, &work->op, op, reply);
    return work->result.status == KV_OK;
}

static enum kv_status check_in_batch(const struct kv_op *op)
{
    if (op->type != KV_OP_PUT && op->type != KV_OP_DELETE)
        return KV_COMMAND_INVALID;
    return kv_op_check(op);
}

/* Each of them whole: whoever makes a batch does not put large ranges into it. */
static void apply_in_batch(struct kv *kv, const struct kv_op *op, struct kv_reply *reply)
{
    struct kv_op_work work;
    size_t budget = SIZE_MAX;
    if (kv_op_begin(kv, &work, op, reply) != KV_OK)
        return;
    bool done = kv_op_go_on(kv, &work, &budget);
    ASSERT(done);
    kv_op_end(&work);
}

static bool apply_batch(struct kv *kv, const struct kv_command *command, struct kv_result *result)
{
    result->status = kv_command_check(command);
    for (size_t i = 0; result->status == KV_OK && i < command->op_count; i++) {
        struct kv_reply *reply = reply_at(result, i);
        enum kv_status status = check_in_batch(&command->ops[i]);
        if (status == KV_OK)
            apply_in_batch(kv, &command->ops[i], reply);
        else
            refuse(kv, &command->ops[i], status, reply);
    }
    return result->status == KV_OK;
}

/* ---- tickets --------------------------------------------------------------------------------- */

/* Whether the command was done before. */
static bool is_repeated(const struct kv *kv, struct kv_work *work)
{
    const struct ticket *used =
        work->command.ticket.len > 0 ? tickets_find(&kv->tickets, work->command.ticket) : NULL;
    if (used == NULL)
        return false;
    bool is_same = used->is.fingerprint == 0 || /* from before there were any */
                   used->is.fingerprint == work->command.fingerprint;
    work->result.status = is_same ? KV_REPEATED : KV_TICKET_TAKEN;
    work->result.revision = used->is.revision;
    return true;
}

static bool is_delete_of_one(const struct kv_command *command)
{
    return command->op_count == 1 && command->ops[0].type == KV_OP_DELETE &&
           command->ops[0].del.keys.extent == KV_ONE_KEY;
}

static void remember(struct kv *kv, const struct kv_work *work, bool succeeded)
{
    struct kv_bytes name = work->command.ticket;
    enum kv_status status = work->result.status;
    if (status == KV_OK && kv->revision == work->shown.revision && is_delete_of_one(&work->command))
        status = KV_KEY_NOT_FOUND;
    struct kv_ticket ticket = {.sequence = kv_ticket_last(kv) + 1,
                               .revision = kv->revision,
                               .term = work->term,
                               .fingerprint = work->command.fingerprint,
                               .status = status,
                               .succeeded = succeeded && status == KV_OK};
    if (name.len == 0 || name.len > KV_TICKET_BYTES_MAX)
        return;
    if (tickets_count(&kv->tickets) == KV_TICKETS_MAX) {
        kv_view_before_ticket(kv, tickets_oldest(&kv->tickets));
        tickets_pop(&kv->tickets);
    }
    tickets_add(&kv->tickets, name, &ticket);
    kv->grown_bytes += kv_ticket_bytes(name.len);
}

/* ---- leases ---------------------------------------------------------------------------------- */

/* Deletes the lease's keys, in their order, then the lease. */
static bool revoke(struct kv *kv, struct kv_work *work, struct kv_entry *lease, size_t *budget)
{
    struct kv_entry *entry;
    while ((entry = kv_lease_first_key(kv, lease->lease)) != NULL) {
        struct index_path path;
        if (*budget == 0)
            return false;
        --*budget;
        struct kv_entry *newest = kv_newest(kv, kv_entry_key(entry), &path);
        ASSERT(newest == entry);
        kv_write_tombstone(kv, &path, newest, kv->revision + 1);
        work->wrote = true;
    }
    kv_lease_remove(kv, lease);
    return true;
}

static bool revoke_all(struct kv *kv, struct kv_work *work, size_t *budget)
{
    for (; work->lease < work->command.lease_count; work->lease++) {
        struct kv_entry *lease = kv_lease_find(kv, work->command.leases[work->lease].id);
        if (lease == NULL || !kv_lease_is_meant(lease, &work->command))
            continue;
        if (!revoke(kv, work, lease, budget))
            return false;
        work->found++;
    }
    kv->revision += work->wrote ? 1 : 0;
    if (work->command.type == KV_COMMAND_REVOKE && work->found == 0)
        work->result.status = KV_LEASE_NOT_FOUND;
    return true;
}

static enum kv_status checkpoint(struct kv *kv, const struct kv_command *command)
{
    for (size_t i = 0; i < command->lease_count; i++) {
        struct kv_entry *lease = kv_lease_find(kv, command->leases[i].id);
        if (lease != NULL && kv_lease_is_meant(lease, command))
            kv_lease_set_remaining(kv, lease, command->leases[i].remaining_s);
    }
    return KV_OK;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* At once only what is allowed to be seen changes; kv_tidy frees. */
static enum kv_status compact(struct kv *kv, uint64_t revision)
{
    if (revision <= kv->compact_revision)
        return KV_COMPACTED;
    if (revision > kv->revision)
        return KV_FUTURE;
    kv->compact_revision = revision;
    return KV_OK;
}

static enum kv_status forget(struct kv *kv, uint64_t sequence)
{
    const struct ticket *oldest;
    while ((oldest = tickets_oldest(&kv->tickets)) != NULL && oldest->is.sequence <= sequence) {
        kv_view_before_ticket(kv, oldest);
        tickets_pop(&kv->tickets);
    }
    return KV_OK;
}

/* ---- commands -------------------------------------------------------------------------------- */

static bool is_void(const struct kv_work *work)
{
    switch (work->command.type) {
    case KV_COMMAND_EXPIRE:
    case KV_COMMAND_CHECKPOINT:
    case KV_COMMAND_FORGET: return work->command.term != work->term;
    case KV_COMMAND_OP:
    case KV_COMMAND_BATCH:
    case KV_COMMAND_REVOKE:
    case KV_COMMAND_COMPACT:
    case KV_COMMAND_ALARM: return false;
    }
    UNREACHABLE("kind of a command");
}

static void apply_whole_batch(struct kv *kv, struct kv_work *work)
{
    if (!is_repeated(kv, work))
        remember(kv, work, apply_batch(kv, &work->command, &work->result));
}

/* Does what is done at once. true: there is more, in slices. */
static bool begin(struct kv *kv, struct kv_work *work)
{
    const struct kv_command *command = &work->command;
    enum kv_status *status = &work->result.status;
    if (is_void(work)) {
        *status = KV_NOT_OF_THIS_TERM;
        return false;
    }
    switch (command->type) {
    case KV_COMMAND_OP:
        if (is_repeated(kv, work))
            return false;
        if (begin_op(kv, work))
            return true;
        remember(kv, work, false);
        return false;
    case KV_COMMAND_REVOKE:
    case KV_COMMAND_EXPIRE: return true;
    case KV_COMMAND_BATCH: apply_whole_batch(kv, work); return false;
    case KV_COMMAND_COMPACT: *status = compact(kv, command->number); return false;
    case KV_COMMAND_CHECKPOINT: *status = checkpoint(kv, command); return false;
    case KV_COMMAND_FORGET: *status = forget(kv, command->number); return false;
    case KV_COMMAND_ALARM:
        *status = alarms_set(&kv->alarms, &command->alarm, command->raise);
        return false;
    }
    UNREACHABLE("kind of a command");
}

static void keep_shown(struct kv *kv)
{
    struct kv_work *work = &kv->work;
    work->shown.revision = kv->revision;
    work->shown.count = kv_count(kv);
    work->shown.size_bytes = kv->size_bytes;
    work->shown.hash = kv_hash(kv);
    work->shown.history_end = kv->history.end;
}

/* The command is over; its result goes out. */
static void finish(struct kv *kv, struct kv_result *out)
{
    struct kv_work *work = &kv->work;
    if (work->result.status != KV_REPEATED && work->result.status != KV_TICKET_TAKEN)
        work->result.revision = kv->revision;
    *out = work->result;
    kv_command_deinit(&work->command);
    *work = (struct kv_work){0};
}

static bool decode(struct kv_work *work, const struct kv_log_entry *entry)
{
    enum err err = kv_command_decode(entry->command, entry->len, &work->command);
    if (err != ERR_OK) {
        work->result.status = err == ERR_TOO_LARGE ? KV_TOO_MANY_OPS : KV_COMMAND_INVALID;
        return false;
    }
    work->term = entry->term;
    if (entry->want_replies && work->command.op_count > 0) {
        work->result.replies = mem_calloc(work->command.op_count, sizeof *work->result.replies);
        work->result.reply_count = work->command.op_count;
    }
    return true;
}

bool kv_apply_begin(struct kv *kv, const struct kv_log_entry *entry, size_t *budget,
                    struct kv_result *result)
{
    ASSERT(!kv->work.is_under_way);
    keep_shown(kv);
    if (!decode(&kv->work, entry) || !begin(kv, &kv->work)) {
        finish(kv, result);
        return true;
    }
    kv->work.is_under_way = true;
    return kv_apply_go_on(kv, budget, result);
}

bool kv_apply_go_on(struct kv *kv, size_t *budget, struct kv_result *result)
{
    struct kv_work *work = &kv->work;
    ASSERT(work->is_under_way);
    bool is_op = work->command.type == KV_COMMAND_OP;
    if (is_op ? !kv_op_go_on(kv, &work->op, budget) : !revoke_all(kv, work, budget))
        return false;
    if (is_op) {
        remember(kv, work, kv_op_succeeded(&work->op));
        kv_op_end(&work->op);
    }
    finish(kv, result);
    return true;
}

bool kv_is_applying(const struct kv *kv)
{
    return kv->work.is_under_way;
}

void kv_work_drop(struct kv *kv)
{
    struct kv_result result;
    if (!kv->work.is_under_way)
        return;
    kv_op_end(&kv->work.op);
    finish(kv, &result);
    kv_result_deinit(&result);
}

struct kv_result kv_apply(struct kv *kv, const uint8_t *command, size_t len, uint64_t term,
                          bool want_replies)
{
    struct kv_log_entry entry = {
        .command = command, .len = len, .term = term, .want_replies = want_replies};
    struct kv_result result;
    size_t budget = SIZE_MAX;
    bool done = kv_apply_begin(kv, &entry, &budget, &result);
    ASSERT(done);
    return result;
}
