/*
 * Batches of work for the driver. Taking one out accepts it.
 *
 * Synchronous storage: what waits for durability and goes to the node itself is kept until
 * floe_raft_advance, of what is applied only the size. Asynchronous: it travels with the message
 * to the append thread as a response.
 */
#include "raft/core.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

static bool hard_states_equal(const struct floe_hard_state *a, const struct floe_hard_state *b)
{
    return a->term == b->term && a->vote == b->vote && a->commit == b->commit;
}

static bool hard_state_is_empty(const struct floe_hard_state *hs)
{
    return hs->term == 0 && hs->vote == 0 && hs->commit == 0;
}

/* With synchronous storage entries may be applied in the batch that stores them. */
static bool apply_unstable(const struct floe_raft *r)
{
    return !r->async_storage_writes;
}

bool floe_raft_has_ready(const struct floe_raft *r)
{
    struct floe_hard_state hs = raft_hard_state(r);
    return r->lead != r->prev_soft.lead || r->state != r->prev_soft.state ||
           (!hard_state_is_empty(&hs) && !hard_states_equal(&hs, &r->prev_hard)) ||
           raft_log_next_snapshot(&r->log) != NULL || r->msgs.count > 0 ||
           r->msgs_after_append.count > 0 || raft_log_has_next_unstable(&r->log) ||
           raft_log_has_next_committed(&r->log, apply_unstable(r)) || r->read_state_count > 0;
}

/* ---- messages to and from the storage threads ------------------------------------------------------ */

static struct floe_snapshot *snapshot_dup(const struct floe_snapshot *snapshot)
{
    if (snapshot->index == 0)
        return NULL;
    struct floe_snapshot *copy = mem_alloc(sizeof *copy);
    *copy = floe_snapshot_copy(snapshot);
    return copy;
}

static bool needs_append_resp(const struct floe_raft *r, const struct floe_ready *ready)
{
    return raft_log_has_unstable(&r->log) || ready->snapshot.index != 0;
}

/* Names the end of the whole log: if it is still there when this comes back, then all up to it
 * has been written, by this append or an earlier one. The term guards against an append that was
 * overwritten and written again meanwhile. */
static struct floe_message append_resp(const struct floe_raft *r, const struct floe_ready *ready)
{
    struct floe_message m = {.type = FLOE_MSG_STORAGE_APPEND_RESP,
                             .to = r->id,
                             .from = FLOE_ID_APPEND_THREAD,
                             .term = r->term,
                             .snapshot = snapshot_dup(&ready->snapshot)};
    if (raft_log_has_unstable(&r->log)) {
        struct raft_entry_id last = raft_log_last_id(&r->log);
        m.index = last.index;
        m.log_term = last.term;
    }
    return m;
}

static struct floe_message apply_resp(const struct floe_raft *r, const struct floe_ready *ready)
{
    return (struct floe_message){
        .type = FLOE_MSG_STORAGE_APPLY_RESP,
        .to = r->id,
        .from = FLOE_ID_APPLY_THREAD,
        .entries = floe_entries_copy(ready->committed, ready->committed_count),
        .entry_count = ready->committed_count};
}

/* Takes over what waits for the append. */
static struct floe_message append_message(struct floe_raft *r, const struct floe_ready *ready)
{
    struct floe_message m = {.type = FLOE_MSG_STORAGE_APPEND,
                             .to = FLOE_ID_APPEND_THREAD,
                             .from = r->id,
                             .entries = floe_entries_copy(ready->entries, ready->entry_count),
                             .entry_count = ready->entry_count,
                             .snapshot = snapshot_dup(&ready->snapshot)};
    if (ready->has_hard_state && !hard_state_is_empty(&ready->hard_state)) {
        m.term = ready->hard_state.term;
        m.vote = ready->hard_state.vote;
        m.commit = ready->hard_state.commit;
    }
    struct raft_outbox responses = r->msgs_after_append;
    r->msgs_after_append = (struct raft_outbox){0};
    if (needs_append_resp(r, ready))
        raft_outbox_push(&responses, append_resp(r, ready));
    m.responses = responses.list;
    m.response_count = responses.count;
    return m;
}

static struct floe_message apply_message(const struct floe_raft *r, const struct floe_ready *ready)
{
    struct raft_outbox responses = {0};
    raft_outbox_push(&responses, apply_resp(r, ready));
    return (struct floe_message){
        .type = FLOE_MSG_STORAGE_APPLY,
        .to = FLOE_ID_APPLY_THREAD,
        .from = r->id,
        .entries = floe_entries_copy(ready->committed, ready->committed_count),
        .entry_count = ready->committed_count,
        .responses = responses.list,
        .response_count = responses.count};
}

/* ---- the batch ---------------------------------------------------------------------------------------- */

static void gather_state(struct floe_raft *r, struct floe_ready *out)
{
    struct floe_soft_state soft = raft_soft_state(r);
    out->has_soft_state = soft.lead != r->prev_soft.lead || soft.state != r->prev_soft.state;
    if (out->has_soft_state)
        out->soft_state = soft;
    struct floe_hard_state hard = raft_hard_state(r);
    out->has_hard_state = !hard_states_equal(&hard, &r->prev_hard);
    if (out->has_hard_state)
        out->hard_state = hard;
    out->read_states = r->read_states;
    out->read_state_count = r->read_state_count;
    r->read_states = NULL;
    r->read_state_count = 0;
    r->read_state_cap = 0;
    struct raft_entries entries = raft_log_next_unstable(&r->log);
    out->entries = entries.list;
    out->entry_count = entries.count;
    struct raft_entries committed = raft_log_next_committed(&r->log, apply_unstable(r));
    out->committed = committed.list;
    out->committed_count = committed.count;
    if (raft_log_next_snapshot(&r->log) != NULL)
        out->snapshot = floe_snapshot_copy(raft_log_next_snapshot(&r->log));
    out->must_sync = out->entry_count > 0 || hard.vote != r->prev_hard.vote ||
                     hard.term != r->prev_hard.term;
}

static void gather_async(struct floe_raft *r, struct floe_ready *out)
{
    bool hard = out->has_hard_state && !hard_state_is_empty(&out->hard_state);
    if (out->entry_count > 0 || hard || out->snapshot.index != 0 ||
        r->msgs_after_append.count > 0)
        raft_outbox_push(&r->msgs, append_message(r, out));
    if (out->committed_count > 0)
        raft_outbox_push(&r->msgs, apply_message(r, out));
}

static void gather_sync(struct floe_raft *r, struct floe_ready *out)
{
    ASSERT_MSG(r->steps_on_advance.count == 0, "a batch before the last one was advanced");
    struct raft_outbox *waiting = &r->msgs_after_append;
    for (size_t i = 0; i < waiting->count; i++)
        raft_outbox_push(waiting->list[i].to == r->id ? &r->steps_on_advance : &r->msgs,
                         waiting->list[i]);
    waiting->count = 0; /* the list is kept for the next batch */
    if (needs_append_resp(r, out))
        raft_outbox_push(&r->steps_on_advance, append_resp(r, out));
    r->applied_on_advance = raft_batch_of(out->committed, out->committed_count);
}

static void accept(struct floe_raft *r, const struct floe_ready *ready)
{
    if (ready->has_soft_state)
        r->prev_soft = ready->soft_state;
    if (ready->has_hard_state && !hard_state_is_empty(&ready->hard_state))
        r->prev_hard = ready->hard_state;
    raft_unstable_accept_in_progress(&r->log.unstable);
    struct raft_batch batch = raft_batch_of(ready->committed, ready->committed_count);
    if (batch.last > 0)
        raft_log_accept_applying(&r->log, batch.last, batch.size, apply_unstable(r));
}

void floe_raft_ready(struct floe_raft *r, struct floe_ready *out)
{
    *out = (struct floe_ready){0};
    gather_state(r, out);
    if (r->async_storage_writes)
        gather_async(r, out);
    else
        gather_sync(r, out);
    out->messages = r->msgs.list;
    out->message_count = r->msgs.count;
    r->msgs = (struct raft_outbox){0};
    accept(r, out);
}

void floe_ready_deinit(struct floe_ready *ready)
{
    for (size_t i = 0; i < ready->read_state_count; i++)
        floe_blob_unref(ready->read_states[i].context);
    mem_free(ready->read_states);
    floe_entries_free(ready->entries, ready->entry_count);
    floe_snapshot_deinit(&ready->snapshot);
    floe_entries_free(ready->committed, ready->committed_count);
    floe_messages_free(ready->messages, ready->message_count);
    *ready = (struct floe_ready){0};
}

void floe_raft_advance(struct floe_raft *r)
{
    ASSERT_MSG(!r->async_storage_writes, "advance with asynchronous storage writes");
    struct raft_outbox *steps = &r->steps_on_advance; /* a step adds none; the list is kept */
    for (size_t i = 0; i < steps->count; i++) {
        (void)raft_step(r, &steps->list[i]);
        floe_message_deinit(&steps->list[i]);
    }
    steps->count = 0;
    struct raft_batch applied = r->applied_on_advance;
    r->applied_on_advance = (struct raft_batch){0};
    raft_applied_batch(r, &applied);
}
