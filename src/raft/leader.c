/* What a leader makes of its messages: its own, and those about a member's progress. */
#include "raft/core.h"

#include "base/assert.h"
#include "raft/describe.h"

#include <inttypes.h>

/* ---- quorum and transfer --------------------------------------------------------------------------- */

static void check_quorum(struct floe_raft *r)
{
    if (!raft_tracker_quorum_active(&r->trk)) {
        raft_warn(&r->logger, "%" PRIx64 " stepped down to follower since quorum is not active",
                  r->id);
        raft_become_follower(r, r->term, FLOE_ID_NONE);
    }
    for (size_t i = 0; i < r->trk.progress.count; i++)
        if (r->trk.progress.item[i].id != r->id)
            r->trk.progress.item[i].recent_active = false;
}

/* true: a request for the same target is a repetition. */
static bool is_repetition(struct floe_raft *r, floe_id target)
{
    floe_id last = r->lead_transferee;
    if (last == FLOE_ID_NONE)
        return false;
    if (last == target) {
        raft_info(&r->logger,
                  "%" PRIx64 " [term %" PRIu64 "] transfer leadership to %" PRIx64
                  " is in progress, ignores request to same node %" PRIx64,
                  r->id, r->term, target, target);
        return true;
    }
    r->lead_transferee = FLOE_ID_NONE;
    raft_info(&r->logger,
              "%" PRIx64 " [term %" PRIu64 "] abort previous transferring leadership to %" PRIx64,
              r->id, r->term, last);
    return false;
}

static void transfer_leader(struct floe_raft *r, struct raft_progress *pr)
{
    floe_id target = pr->id;
    if (pr->is_learner) {
        raft_debug(&r->logger, "%" PRIx64 " is learner. Ignored transferring leadership", r->id);
        return;
    }
    if (is_repetition(r, target))
        return;
    if (target == r->id) {
        raft_debug(&r->logger,
                   "%" PRIx64 " is already leader. Ignored transferring leadership to self", r->id);
        return;
    }
    raft_info(&r->logger,
              "%" PRIx64 " [term %" PRIu64 "] starts to transfer leadership to %" PRIx64, r->id,
              r->term, target);
    r->election_elapsed = 0; /* it has one election timeout */
    r->lead_transferee = target;
    if (pr->match == raft_log_last_index(&r->log)) {
        raft_send_timeout_now(r, target);
        raft_info(&r->logger,
                  "%" PRIx64 " sends MsgTimeoutNow to %" PRIx64 " immediately as %" PRIx64
                  " already has up-to-date log",
                  r->id, target, target);
    } else {
        (void)raft_maybe_send_append(r, pr, true);
    }
}

/* ---- answers of members ----------------------------------------------------------------------------- */

static void heartbeat_resp(struct floe_raft *r, struct raft_progress *pr,
                           const struct floe_message *m)
{
    pr->recent_active = true;
    pr->flow_paused = false; /* lets one message out, also of a full window */
    if (pr->match < raft_log_last_index(&r->log) || pr->state == FLOE_PROGRESS_PROBE)
        (void)raft_maybe_send_append(r, pr, true);
    if (r->read_only.option != FLOE_READ_ONLY_SAFE || floe_blob_size(m->context) == 0)
        return;
    raft_read_only_ack(&r->read_only, m->from, m->context);
    raft_answer_confirmed_reads(r);
}

/* "... <what> 2 [StateProbe match=1 ...]" */
static void log_progress(const struct floe_raft *r, const char *what,
                         const struct raft_progress *pr, const char *tail)
{
    if (r->logger.fn == NULL)
        return;
    struct buf text = {0};
    describe_tracked(&text, pr);
    raft_debug(&r->logger, "%" PRIx64 " %s %" PRIx64 "%s [%s]", r->id, what, pr->id, tail,
               buf_str(&text));
    buf_deinit(&text);
}

static void snapshot_status(struct floe_raft *r, struct raft_progress *pr,
                            const struct floe_message *m)
{
    if (pr->state != FLOE_PROGRESS_SNAPSHOT)
        return;
    if (m->reject)
        pr->pending_snapshot = 0; /* it did not arrive: go on from match */
    raft_progress_become_probe(pr);
    log_progress(r,
                 m->reject ? "snapshot failed, resumed sending replication messages to"
                           : "snapshot succeeded, resumed sending replication messages to",
                 pr, "");
    /* wait for its answer, or a heartbeat's, before the next append */
    pr->flow_paused = true;
}

static void unreachable(struct floe_raft *r, struct raft_progress *pr)
{
    /* in optimistic replication a lost message would leave a gap */
    if (pr->state == FLOE_PROGRESS_REPLICATE)
        raft_progress_become_probe(pr);
    log_progress(r, "failed to send message to", pr, " because it is unreachable");
}

static void step_with_progress(struct floe_raft *r, struct raft_progress *pr,
                               const struct floe_message *m)
{
    if (m->type == FLOE_MSG_APP_RESP)
        raft_handle_append_resp(r, pr, m);
    else if (m->type == FLOE_MSG_HEARTBEAT_RESP)
        heartbeat_resp(r, pr, m);
    else if (m->type == FLOE_MSG_SNAP_STATUS)
        snapshot_status(r, pr, m);
    else if (m->type == FLOE_MSG_UNREACHABLE)
        unreachable(r, pr);
    else if (m->type == FLOE_MSG_TRANSFER_LEADER)
        transfer_leader(r, pr);
}

enum floe_err raft_step_leader(struct floe_raft *r, const struct floe_message *m)
{
    if (m->type == FLOE_MSG_BEAT) {
        raft_bcast_heartbeat(r);
        return FLOE_OK;
    }
    if (m->type == FLOE_MSG_CHECK_QUORUM) {
        check_quorum(r);
        return FLOE_OK;
    }
    if (m->type == FLOE_MSG_PROP)
        return raft_propose_at_leader(r, m);
    if (m->type == FLOE_MSG_READ_INDEX) {
        raft_read_index_at_leader(r, m);
        return FLOE_OK;
    }
    if (m->type == FLOE_MSG_FORGET_LEADER)
        return FLOE_OK;
    struct raft_progress *pr = raft_tracker_find(&r->trk, m->from);
    if (pr == NULL)
        raft_debug(&r->logger, "%" PRIx64 " no progress available for %" PRIx64, r->id, m->from);
    else
        step_with_progress(r, pr, m);
    return FLOE_OK;
}
