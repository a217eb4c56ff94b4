/* What was applied, and what that sets off. */
#include "raft/core.h"

#include "raft/describe.h"

/* The leader leaves a joint configuration by itself once the change into it is applied. */
static void leave_joint(struct floe_raft *r)
{
    struct floe_entry entry = {.type = FLOE_ENTRY_CONF_CHANGE_V2, .type_set = true};
    struct floe_message message = {.type = FLOE_MSG_PROP, .entries = &entry, .entry_count = 1};
    struct buf config = {0};
    describe_config(&config, &r->trk.config);
    enum floe_err err = raft_propose_at_leader(r, &message);
    if (err != FLOE_OK)
        raft_debug(&r->logger,
                   "not initiating automatic transition out of joint configuration %s: %s",
                   buf_str(&config), floe_strerror(err));
    else
        raft_info(&r->logger, "initiating automatic transition out of joint configuration %s",
                  buf_str(&config));
    buf_deinit(&config);
}

static void applied_to(struct floe_raft *r, floe_index index, uint64_t size)
{
    floe_index applied = index > r->log.applied ? index : r->log.applied;
    raft_log_applied_to(&r->log, applied, size);
    if (r->trk.config.auto_leave && applied >= r->pending_conf_index &&
        r->state == FLOE_STATE_LEADER)
        leave_joint(r);
}

struct raft_batch raft_batch_of(const struct floe_entry *entries, size_t count)
{
    if (count == 0)
        return (struct raft_batch){0};
    return (struct raft_batch){.last = entries[count - 1].index,
                               .size = raft_entries_size(entries, count),
                               .payload_size = raft_payloads_size(entries, count)};
}

void raft_applied_batch(struct floe_raft *r, const struct raft_batch *batch)
{
    if (batch->last == 0)
        return;
    applied_to(r, batch->last, batch->size);
    raft_reduce_uncommitted(r, batch->payload_size);
}

void raft_applied_snapshot(struct floe_raft *r, const struct floe_snapshot *snapshot)
{
    raft_unstable_stable_snapshot_to(&r->log.unstable, snapshot->index);
    applied_to(r, snapshot->index, 0);
}
