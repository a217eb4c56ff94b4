/* The three states of a member's progress and what moves match and next. */
#include "raft/progress.h"

#include "base/assert.h"

static floe_index min_index(floe_index a, floe_index b)
{
    return a < b ? a : b;
}

static floe_index max_index(floe_index a, floe_index b)
{
    return a > b ? a : b;
}

static void reset_state(struct raft_progress *pr, enum floe_progress_state state)
{
    pr->flow_paused = false;
    pr->pending_snapshot = 0;
    pr->state = state;
    raft_inflights_reset(&pr->inflights);
}

void raft_progress_become_probe(struct raft_progress *pr)
{
    /* a snapshot under way tells where to go on, whether or not its answer has come */
    floe_index next = pr->match + 1;
    if (pr->state == FLOE_PROGRESS_SNAPSHOT)
        next = max_index(next, pr->pending_snapshot + 1);
    reset_state(pr, FLOE_PROGRESS_PROBE);
    pr->next = next;
    pr->sent_commit = min_index(pr->sent_commit, pr->next - 1);
}

void raft_progress_become_replicate(struct raft_progress *pr)
{
    reset_state(pr, FLOE_PROGRESS_REPLICATE);
    pr->next = pr->match + 1;
}

void raft_progress_become_snapshot(struct raft_progress *pr, floe_index snapshot_index)
{
    reset_state(pr, FLOE_PROGRESS_SNAPSHOT);
    pr->pending_snapshot = snapshot_index;
    pr->next = snapshot_index + 1;
    pr->sent_commit = snapshot_index;
}

void raft_progress_sent_entries(struct raft_progress *pr, size_t count, uint64_t bytes)
{
    switch (pr->state) {
    case FLOE_PROGRESS_REPLICATE:
        if (count > 0) {
            pr->next += count;
            raft_inflights_add(&pr->inflights, pr->next - 1, bytes);
        }
        /* a full window stays open for one empty message an answer */
        pr->flow_paused = raft_inflights_is_full(&pr->inflights);
        return;
    case FLOE_PROGRESS_PROBE:
        if (count > 0)
            pr->flow_paused = true;
        return;
    case FLOE_PROGRESS_SNAPSHOT: break;
    }
    UNREACHABLE("entries sent to a member that waits for a snapshot");
}

bool raft_progress_can_bump_commit(const struct raft_progress *pr, floe_index commit)
{
    return commit > pr->sent_commit && pr->sent_commit < pr->next - 1;
}

bool raft_progress_maybe_update(struct raft_progress *pr, floe_index index)
{
    if (index <= pr->match)
        return false;
    pr->match = index;
    pr->next = max_index(pr->next, index + 1);
    pr->flow_paused = false;
    return true;
}

bool raft_progress_maybe_decrease(struct raft_progress *pr, floe_index rejected,
                                  floe_index match_hint)
{
    if (pr->state == FLOE_PROGRESS_REPLICATE) {
        if (rejected <= pr->match)
            return false; /* stale: that much is known to be there */
        pr->next = pr->match + 1;
        pr->sent_commit = min_index(pr->sent_commit, pr->next - 1);
        return true;
    }
    if (pr->next - 1 != rejected)
        return false; /* not the answer to the last probe */
    pr->next = max_index(min_index(rejected, match_hint + 1), pr->match + 1);
    pr->sent_commit = min_index(pr->sent_commit, pr->next - 1);
    pr->flow_paused = false;
    return true;
}

bool raft_progress_is_paused(const struct raft_progress *pr)
{
    return pr->state == FLOE_PROGRESS_SNAPSHOT || pr->flow_paused;
}

struct floe_progress raft_progress_export(const struct raft_progress *pr)
{
    return (struct floe_progress){.id = pr->id,
                                  .match = pr->match,
                                  .next = pr->next,
                                  .state = pr->state,
                                  .pending_snapshot = pr->pending_snapshot,
                                  .recent_active = pr->recent_active,
                                  .flow_paused = pr->flow_paused,
                                  .paused = raft_progress_is_paused(pr),
                                  .is_learner = pr->is_learner,
                                  .inflight_count = pr->inflights.count,
                                  .inflight_bytes = pr->inflights.bytes,
                                  .inflight_full = raft_inflights_is_full(&pr->inflights)};
}
