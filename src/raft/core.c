/* What all roles share: which one it is, the term and what begins with it, the outbox. */
#include "raft/core.h"

#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>

void raft_outbox_push(struct raft_outbox *box, struct floe_message message)
{
    box->list = mem_grow(box->list, box->count, &box->cap, sizeof *box->list);
    box->list[box->count++] = message;
}

void raft_outbox_deinit(struct raft_outbox *box)
{
    floe_messages_free(box->list, box->count);
    *box = (struct raft_outbox){0};
}

struct floe_soft_state raft_soft_state(const struct floe_raft *r)
{
    return (struct floe_soft_state){.lead = r->lead, .state = r->state};
}

struct floe_hard_state raft_hard_state(const struct floe_raft *r)
{
    return (struct floe_hard_state){.term = r->term, .vote = r->vote, .commit = r->log.committed};
}

/* ---- roles --------------------------------------------------------------------------------------- */

static void draw_election_timeout(struct floe_raft *r)
{
    r->randomized_election_timeout =
        r->election_timeout + (uint32_t)prng_below(&r->prng, r->election_timeout);
}

static void reset_progress(struct floe_raft *r)
{
    floe_index last = raft_log_last_index(&r->log);
    for (size_t i = 0; i < r->trk.progress.count; i++) {
        struct raft_progress *pr = &r->trk.progress.item[i];
        struct raft_inflights window = pr->inflights;
        raft_inflights_reset(&window);
        *pr = (struct raft_progress){.id = pr->id,
                                     .match = pr->id == r->id ? last : 0,
                                     .next = last + 1,
                                     .is_learner = pr->is_learner,
                                     .inflights = window};
    }
}

void raft_reset(struct floe_raft *r, floe_term term)
{
    if (r->term != term) {
        ASSERT(term > r->term);
        r->term = term;
        r->vote = FLOE_ID_NONE;
    }
    r->lead = FLOE_ID_NONE;
    r->election_elapsed = 0;
    r->heartbeat_elapsed = 0;
    draw_election_timeout(r);
    r->lead_transferee = FLOE_ID_NONE;
    raft_tracker_reset_votes(&r->trk);
    reset_progress(r);
    r->pending_conf_index = 0;
    r->uncommitted_size = 0;
    raft_read_only_reset(&r->read_only);
}

void raft_become_follower(struct floe_raft *r, floe_term term, floe_id lead)
{
    raft_reset(r, term);
    r->lead = lead;
    r->state = FLOE_STATE_FOLLOWER;
    raft_info(&r->logger, "%" PRIx64 " became follower at term %" PRIu64, r->id, r->term);
}

void raft_become_candidate(struct floe_raft *r)
{
    ASSERT_MSG(r->state != FLOE_STATE_LEADER, "leader to candidate");
    raft_reset(r, r->term + 1);
    r->vote = r->id;
    r->state = FLOE_STATE_CANDIDATE;
    raft_info(&r->logger, "%" PRIx64 " became candidate at term %" PRIu64, r->id, r->term);
}

/* Term and vote stay, and so does the timer: a pre-vote must leave no trace (thesis 9.6). */
void raft_become_pre_candidate(struct floe_raft *r)
{
    ASSERT_MSG(r->state != FLOE_STATE_LEADER, "leader to pre-candidate");
    raft_tracker_reset_votes(&r->trk);
    r->lead = FLOE_ID_NONE;
    r->state = FLOE_STATE_PRE_CANDIDATE;
    raft_info(&r->logger, "%" PRIx64 " became pre-candidate at term %" PRIu64, r->id, r->term);
}

bool raft_promotable(const struct floe_raft *r)
{
    const struct raft_progress *self = raft_tracker_find(&r->trk, r->id);
    return self != NULL && !self->is_learner && !raft_log_has_snapshot(&r->log);
}

/* ---- sending ------------------------------------------------------------------------------------------ */

static bool waits_for_append(enum floe_message_type type)
{
    return type == FLOE_MSG_APP_RESP || type == FLOE_MSG_VOTE_RESP ||
           type == FLOE_MSG_PRE_VOTE_RESP;
}

static bool brings_its_term(enum floe_message_type type)
{
    return type == FLOE_MSG_VOTE || type == FLOE_MSG_VOTE_RESP || type == FLOE_MSG_PRE_VOTE ||
           type == FLOE_MSG_PRE_VOTE_RESP;
}

void raft_send(struct floe_raft *r, struct floe_message m)
{
    if (m.from == FLOE_ID_NONE)
        m.from = r->id;
    if (brings_its_term(m.type)) {
        ASSERT(m.term != 0);
    } else {
        /* proposals and reads are forwarded as if they had been made there: no term */
        bool forwarded = m.type == FLOE_MSG_PROP || m.type == FLOE_MSG_READ_INDEX;
        m.term = forwarded ? 0 : r->term;
    }
    if (waits_for_append(m.type)) {
        raft_outbox_push(&r->msgs_after_append, m);
        return;
    }
    ASSERT_MSG(m.to != r->id, "a message to oneself");
    raft_outbox_push(&r->msgs, m);
}

void raft_push_read_state(struct floe_raft *r, floe_index index, struct floe_blob *context)
{
    r->read_states = mem_grow(r->read_states, r->read_state_count, &r->read_state_cap,
                              sizeof *r->read_states);
    r->read_states[r->read_state_count++] =
        (struct floe_read_state){.index = index, .context = floe_blob_ref(context)};
}
