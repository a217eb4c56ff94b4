/* Starting from what is stored, and ticks. */
#include "raft/core.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/confchange.h"
#include "raft/ids.h"

#include <inttypes.h>

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
