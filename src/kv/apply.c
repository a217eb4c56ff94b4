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

static bool apply_op(struct kv *kv, const struct kv_command *command, struct kv_result *result)
{
    struct kv_reply *reply = reply_at(result, 0);
    bool succeeded = false;
    result->status = kv_command_check(command);
    if (result->status == KV_OK)
        result->status = kv_op_apply(kv, &command->ops[0], reply, &succeeded);
    else
        refuse(kv, &command->ops[0], result->status, reply);
    return succeeded;
}

static enum kv_status check_in_batch(const struct kv_op *op)
{
    if (op->type != KV_OP_PUT && op->type != KV_OP_DELETE)
        return KV_COMMAND_INVALID;
    return kv_op_check(op);
}

static bool apply_batch(struct kv *kv, const struct kv_command *command, struct kv_result *result)
{
    result->status = kv_command_check(command);
    for (size_t i = 0; result->status == KV_OK && i < command->op_count; i++) {
        struct kv_reply *reply = reply_at(result, i);
        bool succeeded;
        enum kv_status status = check_in_batch(&command->ops[i]);
        if (status == KV_OK)
            (void)kv_op_apply(kv, &command->ops[i], reply, &succeeded);
        else
            refuse(kv, &command->ops[i], status, reply);
    }
    return result->status == KV_OK;
}

static bool is_delete_of_one(const struct kv_command *command)
{
    return command->op_count == 1 && command->ops[0].type == KV_OP_DELETE &&
           command->ops[0].del.keys.extent == KV_ONE_KEY;
}

/* before: the revision that the command found. */
static void remember(struct kv *kv, const struct kv_command *command, enum kv_status status,
                     uint64_t term, bool succeeded, uint64_t before)
{
    if (status == KV_OK && kv->revision == before && is_delete_of_one(command))
        status = KV_KEY_NOT_FOUND;
    struct kv_ticket ticket = {.sequence = kv_ticket_last(kv) + 1,
                               .revision = kv->revision,
                               .term = term,
                               .fingerprint = command->fingerprint,
                               .status = status,
                               .succeeded = succeeded && status == KV_OK};
    if (tickets_count(&kv->tickets) == KV_TICKETS_MAX) {
        kv_view_before_ticket(kv, tickets_oldest(&kv->tickets));
        tickets_pop(&kv->tickets);
    }
    tickets_add(&kv->tickets, command->ticket, &ticket);
}

static void apply_with_ticket(struct kv *kv, const struct kv_command *command, uint64_t term,
                              struct kv_result *result)
{
    const struct ticket *used =
        command->ticket.len > 0 ? tickets_find(&kv->tickets, command->ticket) : NULL;
    if (used != NULL) {
        bool is_same = used->is.fingerprint == 0 || /* from before there were any */
                       used->is.fingerprint == command->fingerprint;
        result->status = is_same ? KV_REPEATED : KV_TICKET_TAKEN;
        result->revision = used->is.revision;
        return;
    }
    uint64_t before = kv->revision;
    bool is_batch = command->type == KV_COMMAND_BATCH;
    bool succeeded = is_batch ? apply_batch(kv, command, result) : apply_op(kv, command, result);
    if (command->ticket.len > 0 && command->ticket.len <= KV_TICKET_BYTES_MAX)
        remember(kv, command, result->status, term, succeeded, before);
    result->revision = kv->revision;
}

/* ---- leases ---------------------------------------------------------------------------------- */

/* Deletes the lease's keys, in their order. */
static bool revoke(struct kv *kv, struct kv_entry *lease)
{
    struct kv_entry *entry;
    bool wrote = false;
    while ((entry = kv_lease_first_key(kv, lease->lease)) != NULL) {
        struct index_path path;
        struct kv_entry *newest = kv_newest(kv, kv_entry_key(entry), &path);
        ASSERT(newest == entry);
        kv_write_tombstone(kv, &path, newest, kv->revision + 1);
        wrote = true;
    }
    kv_lease_remove(kv, lease);
    return wrote;
}

static enum kv_status revoke_all(struct kv *kv, const struct kv_command *command)
{
    bool wrote = false;
    size_t found = 0;
    for (size_t i = 0; i < command->lease_count; i++) {
        struct kv_entry *lease = kv_lease_find(kv, command->leases[i].id);
        if (lease == NULL)
            continue;
        found++;
        wrote |= revoke(kv, lease);
    }
    kv->revision += wrote ? 1 : 0;
    return found > 0 ? KV_OK : KV_LEASE_NOT_FOUND;
}

static enum kv_status checkpoint(struct kv *kv, const struct kv_command *command)
{
    for (size_t i = 0; i < command->lease_count; i++) {
        struct kv_entry *lease = kv_lease_find(kv, command->leases[i].id);
        if (lease != NULL)
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

static enum kv_status apply_of_leader(struct kv *kv, const struct kv_command *command,
                                      uint64_t term)
{
    if (command->term != term)
        return KV_NOT_OF_THIS_TERM;
    switch (command->type) {
    case KV_COMMAND_EXPIRE: (void)revoke_all(kv, command); return KV_OK;
    case KV_COMMAND_CHECKPOINT: return checkpoint(kv, command);
    case KV_COMMAND_FORGET: return forget(kv, command->number);
    case KV_COMMAND_OP:
    case KV_COMMAND_BATCH:
    case KV_COMMAND_REVOKE:
    case KV_COMMAND_COMPACT:
    case KV_COMMAND_ALARM: break;
    }
    UNREACHABLE("command that is not a leader's");
}

static void apply(struct kv *kv, const struct kv_command *command, uint64_t term,
                  struct kv_result *result)
{
    switch (command->type) {
    case KV_COMMAND_OP:
    case KV_COMMAND_BATCH: apply_with_ticket(kv, command, term, result); return;
    case KV_COMMAND_REVOKE: result->status = revoke_all(kv, command); break;
    case KV_COMMAND_COMPACT: result->status = compact(kv, command->number); break;
    case KV_COMMAND_ALARM:
        result->status = alarms_set(&kv->alarms, &command->alarm, command->raise);
        break;
    case KV_COMMAND_EXPIRE:
    case KV_COMMAND_CHECKPOINT:
    case KV_COMMAND_FORGET: result->status = apply_of_leader(kv, command, term); break;
    }
    result->revision = kv->revision;
}

struct kv_result kv_apply(struct kv *kv, const uint8_t *command, size_t len, uint64_t term,
                          bool want_replies)
{
    struct kv_result result = {.revision = kv->revision};
    struct kv_command what;
    enum err err = kv_command_decode(command, len, &what);
    if (err != ERR_OK) {
        result.status = err == ERR_TOO_LARGE ? KV_TOO_MANY_OPS : KV_COMMAND_INVALID;
        return result;
    }
    if (want_replies && what.op_count > 0) {
        result.replies = mem_calloc(what.op_count, sizeof *result.replies);
        result.reply_count = what.op_count;
    }
    apply(kv, &what, term, &result);
    kv_command_deinit(&what);
    return result;
}
