/* A follower follows: it appends, answers, and forwards what is the leader's business. */
#include "raft/core.h"

#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>

/* ---- what comes from a leader -------------------------------------------------------------------- */

enum floe_err raft_handle_append(struct floe_raft *r, const struct floe_message *m)
{
    struct floe_message answer = {.type = FLOE_MSG_APP_RESP, .to = m->from};
    if (m->index < r->log.committed) { /* old: what is committed needs no look */
        answer.index = r->log.committed;
        raft_send(r, answer);
        return FLOE_OK;
    }
    struct raft_entry_id prev = {m->log_term, m->index};
    if (raft_log_maybe_append(&r->log, prev, m->entries, m->entry_count, m->commit,
                              &answer.index)) {
        raft_send(r, answer);
        return FLOE_OK;
    }
    raft_debug(&r->logger,
               "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 "] rejected MsgApp [logterm: "
               "%" PRIu64 ", index: %" PRIu64 "] from %" PRIx64,
               r->id, raft_log_term_or_zero(&r->log, m->index), m->index, m->log_term, m->index,
               m->from);
    /* The hint lets the leader skip whole terms: nothing above it can match. */
    floe_index last = raft_log_last_index(&r->log);
    struct raft_entry_id hint = raft_log_find_conflict_by_term(
        &r->log, m->index < last ? m->index : last, m->log_term);
    answer.index = m->index;
    answer.reject = true;
    answer.reject_hint = hint.index;
    answer.log_term = hint.term;
    raft_send(r, answer);
    return FLOE_OK;
}

enum floe_err raft_handle_heartbeat(struct floe_raft *r, const struct floe_message *m)
{
    raft_log_commit_to(&r->log, m->commit);
    raft_send(r, (struct floe_message){.type = FLOE_MSG_HEARTBEAT_RESP,
                                       .to = m->from,
                                       .context = floe_blob_ref(m->context)});
    return FLOE_OK;
}

enum floe_err raft_handle_snapshot(struct floe_raft *r, const struct floe_message *m)
{
    static const struct floe_snapshot none;
    const struct floe_snapshot *snapshot = m->snapshot != NULL ? m->snapshot : &none;
    enum floe_err err = FLOE_OK;
    bool restored = raft_restore(r, snapshot, &err);
    if (err != FLOE_OK)
        return err;
    raft_info(&r->logger,
              "%" PRIx64 " [commit: %" PRIu64 "] %s snapshot [index: %" PRIu64 ", term: %" PRIu64
              "]",
              r->id, r->log.committed, restored ? "restored" : "ignored", snapshot->index,
              snapshot->term);
    raft_send(r, (struct floe_message){
                     .type = FLOE_MSG_APP_RESP,
                     .to = m->from,
                     .index = restored ? raft_log_last_index(&r->log) : r->log.committed});
    return FLOE_OK;
}

static enum floe_err hear_leader(struct floe_raft *r, const struct floe_message *m)
{
    r->election_elapsed = 0;
    r->lead = m->from;
    if (m->type == FLOE_MSG_APP)
        return raft_handle_append(r, m);
    return m->type == FLOE_MSG_SNAP ? raft_handle_snapshot(r, m) : raft_handle_heartbeat(r, m);
}

/* ---- what goes to the leader -------------------------------------------------------------------------- */

static void forward(struct floe_raft *r, const struct floe_message *m)
{
    struct floe_message copy = floe_message_copy(m);
    copy.to = r->lead;
    raft_send(r, copy);
}

static enum floe_err forward_proposal(struct floe_raft *r, const struct floe_message *m)
{
    if (r->lead == FLOE_ID_NONE) {
        raft_info(&r->logger, "%" PRIx64 " no leader at term %" PRIu64 "; dropping proposal",
                  r->id, r->term);
        return FLOE_ERR_PROPOSAL_DROPPED;
    }
    if (r->disable_proposal_forwarding) {
        raft_info(&r->logger,
                  "%" PRIx64 " not forwarding to leader %" PRIx64 " at term %" PRIu64
                  "; dropping proposal",
                  r->id, r->lead, r->term);
        return FLOE_ERR_PROPOSAL_DROPPED;
    }
    forward(r, m);
    return FLOE_OK;
}

static void forward_or_drop(struct floe_raft *r, const struct floe_message *m, const char *what)
{
    if (r->lead == FLOE_ID_NONE)
        raft_info(&r->logger, "%" PRIx64 " no leader at term %" PRIu64 "; dropping %s msg", r->id,
                  r->term, what);
    else
        forward(r, m);
}

/* ---- the rest ------------------------------------------------------------------------------------------- */

static void forget_leader(struct floe_raft *r)
{
    if (r->read_only.option == FLOE_READ_ONLY_LEASE_BASED) {
        raft_error(&r->logger, "ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
        return;
    }
    if (r->lead == FLOE_ID_NONE)
        return;
    raft_info(&r->logger, "%" PRIx64 " forgetting leader %" PRIx64 " at term %" PRIu64, r->id,
              r->lead, r->term);
    r->lead = FLOE_ID_NONE;
}

static void take_read_index(struct floe_raft *r, const struct floe_message *m)
{
    if (m->entry_count == 1)
        raft_push_read_state(r, m->index, m->entries[0].data);
    else
        raft_error(&r->logger,
                   "%" PRIx64 " invalid format of MsgReadIndexResp from %" PRIx64
                   ", entries count: %zu",
                   r->id, m->from, m->entry_count);
}

enum floe_err raft_step_follower(struct floe_raft *r, const struct floe_message *m)
{
    if (m->type == FLOE_MSG_APP || m->type == FLOE_MSG_HEARTBEAT || m->type == FLOE_MSG_SNAP)
        return hear_leader(r, m);
    if (m->type == FLOE_MSG_PROP)
        return forward_proposal(r, m);
    if (m->type == FLOE_MSG_TRANSFER_LEADER) {
        forward_or_drop(r, m, "leader transfer");
    } else if (m->type == FLOE_MSG_READ_INDEX) {
        forward_or_drop(r, m, "index reading");
    } else if (m->type == FLOE_MSG_READ_INDEX_RESP) {
        take_read_index(r, m);
    } else if (m->type == FLOE_MSG_FORGET_LEADER) {
        forget_leader(r);
    } else if (m->type == FLOE_MSG_TIMEOUT_NOW) {
        raft_info(&r->logger,
                  "%" PRIx64 " [term %" PRIu64 "] received MsgTimeoutNow from %" PRIx64
                  " and starts an election to get leadership.",
                  r->id, r->term, m->from);
        raft_hup(r, RAFT_CAMPAIGN_TRANSFER); /* no pre-vote: the leader wants it */
    }
    return FLOE_OK;
}
