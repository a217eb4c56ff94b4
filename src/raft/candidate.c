/* A candidate counts votes of its own kind, leads when it has won, and gives way to a leader of its
 * term. */
#include "raft/core.h"

#include "base/assert.h"

#include <inttypes.h>

void raft_become_leader(struct floe_raft *r)
{
    ASSERT_MSG(r->state != FLOE_STATE_FOLLOWER, "follower to leader");
    raft_reset(r, r->term);
    r->lead = r->id;
    r->state = FLOE_STATE_LEADER;
    struct raft_progress *self = raft_tracker_find(&r->trk, r->id);
    if (self != NULL) {
        raft_progress_become_replicate(self);
        self->recent_active = true;
    }
    /* changes of earlier terms may lie unapplied in the log: wait for them all */
    r->pending_conf_index = raft_log_last_index(&r->log);
    struct floe_entry empty = {.type = FLOE_ENTRY_NORMAL};
    bool appended = raft_append_entries(r, &empty, 1);
    ASSERT_MSG(appended, "an empty entry is never over the limit");
    raft_info(&r->logger, "%" PRIx64 " became leader at term %" PRIu64, r->id, r->term);
}

static void count_vote(struct floe_raft *r, const struct floe_message *m)
{
    size_t granted;
    size_t rejected;
    enum raft_vote_result result = raft_poll(r, m, &granted, &rejected);
    raft_info(&r->logger, "%" PRIx64 " has received %zu %s votes and %zu vote rejections", r->id,
              granted, floe_message_type_name(m->type), rejected);
    switch (result) {
    case RAFT_VOTE_WON:
        if (r->state == FLOE_STATE_PRE_CANDIDATE) {
            raft_campaign(r, RAFT_CAMPAIGN_ELECTION);
        } else {
            raft_become_leader(r);
            raft_bcast_append(r);
        }
        break;
    case RAFT_VOTE_LOST: raft_become_follower(r, r->term, FLOE_ID_NONE); break;
    case RAFT_VOTE_PENDING: break;
    }
}

enum floe_err raft_step_candidate(struct floe_raft *r, const struct floe_message *m)
{
    enum floe_message_type own_kind = r->state == FLOE_STATE_PRE_CANDIDATE
                                          ? FLOE_MSG_PRE_VOTE_RESP
                                          : FLOE_MSG_VOTE_RESP;
    if (m->type == own_kind) {
        count_vote(r, m);
    } else if (m->type == FLOE_MSG_PROP) {
        raft_info(&r->logger, "%" PRIx64 " no leader at term %" PRIu64 "; dropping proposal",
                  r->id, r->term);
        return FLOE_ERR_PROPOSAL_DROPPED;
    } else if (m->type == FLOE_MSG_APP) {
        raft_become_follower(r, m->term, m->from);
        return raft_handle_append(r, m);
    } else if (m->type == FLOE_MSG_HEARTBEAT) {
        raft_become_follower(r, m->term, m->from);
        return raft_handle_heartbeat(r, m);
    } else if (m->type == FLOE_MSG_SNAP) {
        raft_become_follower(r, m->term, m->from);
        return raft_handle_snapshot(r, m);
    } else if (m->type == FLOE_MSG_TIMEOUT_NOW) {
        raft_debug(&r->logger,
                   "%" PRIx64 " [term %" PRIu64 " state %s] ignored MsgTimeoutNow from %" PRIx64,
                   r->id, r->term, floe_state_name(r->state), m->from);
    }
    return FLOE_OK;
}
