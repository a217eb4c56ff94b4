/* A candidate counts votes of its own kind, and gives way to a leader of its term. */
#include "raft/raft.h"

#include <inttypes.h>

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
