/* A message comes in: what its term means, then what its type means to every role alike. */
#include "raft/validate.h"

#include "base/assert.h"

#include <inttypes.h>

/* ---- terms ------------------------------------------------------------------------------------- */

static bool is_vote(enum floe_message_type type)
{
    return type == FLOE_MSG_VOTE || type == FLOE_MSG_PRE_VOTE;
}

static bool comes_from_leader(enum floe_message_type type)
{
    return type == FLOE_MSG_APP || type == FLOE_MSG_HEARTBEAT || type == FLOE_MSG_SNAP;
}

/* true: go on with it. */
static bool take_higher_term(struct floe_raft *r, const struct floe_message *m)
{
    if (is_vote(m->type) && raft_vote_in_lease(r, m))
        return false;
    if (m->type == FLOE_MSG_PRE_VOTE)
        return true; /* a question about a term that may never come */
    if (m->type == FLOE_MSG_PRE_VOTE_RESP && !m->reject)
        return true; /* the answer to our own question about it */
    raft_info(&r->logger,
              "%" PRIx64 " [term: %" PRIu64 "] received a %s message with higher term from %" PRIx64
              " [term: %" PRIu64 "]",
              r->id, r->term, floe_message_type_name(m->type), m->from, m->term);
    raft_become_follower(r, m->term, comes_from_leader(m->type) ? m->from : FLOE_ID_NONE);
    return true;
}

static void reject_old_pre_vote(struct floe_raft *r, const struct floe_message *m)
{
    struct raft_entry_id last = raft_log_last_id(&r->log);
    raft_info(&r->logger,
              "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 ", vote: %" PRIx64
              "] rejected %s from %" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64
              "] at term %" PRIu64,
              r->id, last.term, last.index, r->vote, floe_message_type_name(m->type), m->from,
              m->log_term, m->index, r->term);
    raft_send(r, (struct floe_message){.type = FLOE_MSG_PRE_VOTE_RESP,
                                       .to = m->from,
                                       .term = r->term,
                                       .reject = true});
}

static void take_lower_term(struct floe_raft *r, const struct floe_message *m)
{
    if ((r->check_quorum || r->pre_vote) &&
        (m->type == FLOE_MSG_HEARTBEAT || m->type == FLOE_MSG_APP)) {
        /* A leader of an older term that cannot be voted out under these options: our higher
         * term in the answer makes it step down. */
        raft_send(r, (struct floe_message){.type = FLOE_MSG_APP_RESP, .to = m->from});
    } else if (m->type == FLOE_MSG_PRE_VOTE) {
        reject_old_pre_vote(r, m);
    } else if (m->type == FLOE_MSG_STORAGE_APPEND_RESP) {
        /* The log may have been overwritten since, so that the entries are not those that were
         * written; a snapshot is committed and stays good. */
        if (m->index != 0)
            raft_info(&r->logger,
                      "%" PRIx64 " [term: %" PRIu64 "] ignored entry appends from a %s message "
                      "with lower term [term: %" PRIu64 "]",
                      r->id, r->term, floe_message_type_name(m->type), m->term);
        if (m->snapshot != NULL)
            raft_applied_snapshot(r, m->snapshot);
    } else {
        raft_info(&r->logger,
                  "%" PRIx64 " [term: %" PRIu64 "] ignored a %s message with lower term from "
                  "%" PRIx64 " [term: %" PRIu64 "]",
                  r->id, r->term, floe_message_type_name(m->type), m->from, m->term);
    }
}

/* ---- types ----------------------------------------------------------------------------------------- */

static void on_append_done(struct floe_raft *r, const struct floe_message *m)
{
    if (m->index != 0)
        raft_unstable_stable_to(&r->log.unstable, (struct raft_entry_id){m->log_term, m->index});
    if (m->snapshot != NULL)
        raft_applied_snapshot(r, m->snapshot);
}

static void on_apply_done(struct floe_raft *r, const struct floe_message *m)
{
    struct raft_batch batch = raft_batch_of(m->entries, m->entry_count);
    raft_applied_batch(r, &batch);
}

static enum floe_err step_role(struct floe_raft *r, const struct floe_message *m)
{
    switch (r->state) {
    case FLOE_STATE_FOLLOWER: return raft_step_follower(r, m);
    case FLOE_STATE_CANDIDATE:
    case FLOE_STATE_PRE_CANDIDATE: return raft_step_candidate(r, m);
    case FLOE_STATE_LEADER: return raft_step_leader(r, m);
    }
    UNREACHABLE("role");
}

enum floe_err raft_step(struct floe_raft *r, const struct floe_message *m)
{
    if (m->term > r->term && !take_higher_term(r, m))
        return FLOE_OK;
    if (m->term != 0 && m->term < r->term) {
        take_lower_term(r, m);
        return FLOE_OK;
    }
    if (m->type == FLOE_MSG_HUP)
        raft_hup(r, r->pre_vote ? RAFT_CAMPAIGN_PRE_ELECTION : RAFT_CAMPAIGN_ELECTION);
    else if (m->type == FLOE_MSG_STORAGE_APPEND_RESP)
        on_append_done(r, m);
    else if (m->type == FLOE_MSG_STORAGE_APPLY_RESP)
        on_apply_done(r, m);
    else if (is_vote(m->type))
        raft_handle_vote(r, m);
    else
        return step_role(r, m);
    return FLOE_OK;
}

/* ---- the door ------------------------------------------------------------------------------------------ */

static bool is_storage_thread(floe_id id)
{
    return id == FLOE_ID_APPEND_THREAD || id == FLOE_ID_APPLY_THREAD;
}

enum floe_err floe_raft_step(struct floe_raft *r, const struct floe_message *m)
{
    bool from_thread = is_storage_thread(m->from);
    if (floe_message_type_is_local(m->type) && !from_thread)
        return FLOE_ERR_STEP_LOCAL;
    if (floe_message_type_is_response(m->type) && !from_thread &&
        raft_tracker_find(&r->trk, m->from) == NULL)
        return FLOE_ERR_STEP_PEER_UNKNOWN;
    if (!raft_message_is_sound(r, m))
        return FLOE_ERR_INVALID;
    return raft_step(r, m);
}
