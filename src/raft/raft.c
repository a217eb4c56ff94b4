/* Starting, roles, ticks, and the outbox: what all roles share. */
#include "raft/raft.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/confchange.h"
#include "raft/describe.h"
#include "raft/ids.h"

#include <inttypes.h>
#include <string.h>

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

/* ---- starting ----------------------------------------------------------------------------------- */

static const char *why_impossible(const struct floe_config *c)
{
    if (c->id == FLOE_ID_NONE)
        return "cannot use none as id";
    if (c->id >= FLOE_ID_APPLY_THREAD)
        return "cannot use the id of a storage thread";
    if (c->heartbeat_tick == 0)
        return "heartbeat tick must be greater than 0";
    if (c->election_tick <= c->heartbeat_tick || c->election_tick > UINT32_MAX / 4)
        return "election tick must be greater than heartbeat tick";
    if (c->max_inflight_msgs == 0)
        return "max inflight messages must be greater than 0";
    if (c->max_inflight_bytes != 0 && c->max_inflight_bytes < c->max_size_per_msg)
        return "max inflight bytes must be >= max message size";
    if (c->read_only == FLOE_READ_ONLY_LEASE_BASED && !c->check_quorum)
        return "check quorum must be enabled when read only is lease based";
    if (c->storage.initial_state == NULL || c->storage.entries == NULL ||
        c->storage.term == NULL || c->storage.first_index == NULL ||
        c->storage.last_index == NULL || c->storage.snapshot == NULL)
        return "storage cannot be without one of its functions";
    return NULL;
}

static struct floe_raft *allocate(const struct floe_config *c)
{
    struct floe_raft *r = mem_calloc(1, sizeof *r);
    r->id = c->id;
    r->logger = (struct raft_logger){.fn = c->log, .arg = c->log_arg};
    r->election_timeout = c->election_tick;
    r->heartbeat_timeout = c->heartbeat_tick;
    r->max_msg_size = c->max_size_per_msg;
    r->max_uncommitted_size =
        c->max_uncommitted_entries_size > 0 ? c->max_uncommitted_entries_size : FLOE_NO_LIMIT;
    r->check_quorum = c->check_quorum;
    r->pre_vote = c->pre_vote;
    r->disable_proposal_forwarding = c->disable_proposal_forwarding;
    r->disable_conf_change_validation = c->disable_conf_change_validation;
    r->step_down_on_removal = c->step_down_on_removal;
    r->async_storage_writes = c->async_storage_writes;
    r->read_only.option = c->read_only;
    r->prng.state = c->seed ^ (c->id * 0x9e3779b97f4a7c15u); /* members of one seed must differ */
    r->trk.max_inflight = c->max_inflight_msgs;
    r->trk.max_inflight_bytes = c->max_inflight_bytes;
    raft_log_init(&r->log, c->storage,
                  c->max_committed_size_per_ready > 0 ? c->max_committed_size_per_ready
                                                      : c->max_size_per_msg,
                  &r->logger);
    return r;
}

static const char *load_hard_state(struct floe_raft *r, const struct floe_hard_state *hs)
{
    if (hs->term == 0 && hs->vote == 0 && hs->commit == 0)
        return NULL;
    if (hs->commit < r->log.committed || hs->commit > raft_log_last_index(&r->log))
        return "the stored commit index is outside of the stored log";
    r->log.committed = hs->commit;
    r->term = hs->term;
    r->vote = hs->vote;
    return NULL;
}

static const char *load(struct floe_raft *r, floe_index applied)
{
    struct floe_hard_state hs = {0};
    struct floe_conf_state cs = {0};
    if (r->log.storage.initial_state(r->log.storage.ctx, &hs, &cs) != FLOE_OK)
        return "storage cannot tell its initial state";
    struct raft_changer changer = raft_changer_of(r);
    struct raft_change_result result;
    const char *why = raft_confchange_restore(&changer, &cs, &result);
    floe_conf_state_deinit(&cs);
    if (why != NULL)
        return why;
    raft_switch_config(r, &result, NULL);
    why = load_hard_state(r, &hs);
    if (why == NULL && applied > 0) {
        if (applied > r->log.committed || applied < r->log.applied)
            return "applied is outside of what was committed";
        raft_log_applied_to(&r->log, applied, 0);
    }
    return why;
}

static void log_start(const struct floe_raft *r)
{
    struct buf peers = {0};
    struct floe_ids voters =
        raft_ids_union(&r->trk.config.incoming, &r->trk.config.outgoing);
    for (size_t i = 0; i < voters.count; i++)
        buf_printf(&peers, "%s%" PRIx64, i > 0 ? "," : "", voters.id[i]);
    struct raft_entry_id last = raft_log_last_id(&r->log);
    raft_info(&r->logger,
              "newRaft %" PRIx64 " [peers: [%s], term: %" PRIu64 ", commit: %" PRIu64
              ", applied: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64 "]",
              r->id, buf_str(&peers), r->term, r->log.committed, r->log.applied, last.index,
              last.term);
    raft_ids_deinit(&voters);
    buf_deinit(&peers);
}

enum floe_err floe_raft_new(const struct floe_config *config, struct floe_raft **out)
{
    struct raft_logger logger = {.fn = config->log, .arg = config->log_arg};
    const char *why = why_impossible(config);
    struct floe_raft *r = NULL;
    if (why == NULL) {
        r = allocate(config);
        r->log.logger = &r->logger;
        r->log.unstable.logger = &r->logger;
        why = load(r, config->applied);
    }
    if (why != NULL) {
        raft_error(&logger, "%s", why);
        floe_raft_free(r);
        return FLOE_ERR_CONFIG;
    }
    raft_become_follower(r, r->term, FLOE_ID_NONE);
    log_start(r);
    r->prev_soft = raft_soft_state(r);
    r->prev_hard = raft_hard_state(r);
    *out = r;
    return FLOE_OK;
}

void floe_raft_free(struct floe_raft *r)
{
    if (r == NULL)
        return;
    raft_log_deinit(&r->log);
    raft_tracker_deinit(&r->trk);
    raft_outbox_deinit(&r->msgs);
    raft_outbox_deinit(&r->msgs_after_append);
    raft_outbox_deinit(&r->pending_reads);
    raft_outbox_deinit(&r->steps_on_advance);
    raft_read_only_deinit(&r->read_only);
    for (size_t i = 0; i < r->read_state_count; i++)
        floe_blob_unref(r->read_states[i].context);
    mem_free(r->read_states);
    mem_free(r);
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

static void reset(struct floe_raft *r, floe_term term)
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
    reset(r, term);
    r->lead = lead;
    r->state = FLOE_STATE_FOLLOWER;
    raft_info(&r->logger, "%" PRIx64 " became follower at term %" PRIu64, r->id, r->term);
}

void raft_become_candidate(struct floe_raft *r)
{
    ASSERT_MSG(r->state != FLOE_STATE_LEADER, "leader to candidate");
    reset(r, r->term + 1);
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

void raft_become_leader(struct floe_raft *r)
{
    ASSERT_MSG(r->state != FLOE_STATE_FOLLOWER, "follower to leader");
    reset(r, r->term);
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

bool raft_promotable(const struct floe_raft *r)
{
    const struct raft_progress *self = raft_tracker_find(&r->trk, r->id);
    return self != NULL && !self->is_learner && !raft_log_has_snapshot(&r->log);
}

/* ---- ticks ------------------------------------------------------------------------------------------ */

static void step_self(struct floe_raft *r, enum floe_message_type type)
{
    struct floe_message message = {.type = type, .from = r->id};
    enum floe_err err = raft_step(r, &message);
    ASSERT(err == FLOE_OK);
}

static void tick_election(struct floe_raft *r)
{
    r->election_elapsed++;
    if (!raft_promotable(r) || r->election_elapsed < r->randomized_election_timeout)
        return;
    r->election_elapsed = 0;
    step_self(r, FLOE_MSG_HUP);
}

static void tick_heartbeat(struct floe_raft *r)
{
    r->heartbeat_elapsed++;
    r->election_elapsed++;
    if (r->election_elapsed >= r->election_timeout) {
        r->election_elapsed = 0;
        if (r->check_quorum)
            step_self(r, FLOE_MSG_CHECK_QUORUM);
        if (r->state == FLOE_STATE_LEADER) /* a transfer has had its election timeout */
            r->lead_transferee = FLOE_ID_NONE;
    }
    if (r->state != FLOE_STATE_LEADER || r->heartbeat_elapsed < r->heartbeat_timeout)
        return;
    r->heartbeat_elapsed = 0;
    step_self(r, FLOE_MSG_BEAT);
}

void floe_raft_tick(struct floe_raft *r)
{
    if (r->state == FLOE_STATE_LEADER)
        tick_heartbeat(r);
    else
        tick_election(r);
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

/* ---- applying ------------------------------------------------------------------------------------------ */

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

void raft_applied_to(struct floe_raft *r, floe_index index, uint64_t size)
{
    floe_index applied = index > r->log.applied ? index : r->log.applied;
    raft_log_applied_to(&r->log, applied, size);
    if (r->trk.config.auto_leave && applied >= r->pending_conf_index &&
        r->state == FLOE_STATE_LEADER)
        leave_joint(r);
}

void raft_applied_snapshot(struct floe_raft *r, const struct floe_snapshot *snapshot)
{
    raft_unstable_stable_snapshot_to(&r->log.unstable, snapshot->index);
    raft_applied_to(r, snapshot->index, 0);
}
