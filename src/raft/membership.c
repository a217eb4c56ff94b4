/* The applied configuration changes: by an entry, or by a snapshot (thesis 4, 5.3). */
#include "raft/core.h"

#include "base/assert.h"
#include "raft/describe.h"

#include <inttypes.h>

struct raft_changer raft_changer_of(const struct floe_raft *r)
{
    return (struct raft_changer){.config = &r->trk.config,
                                 .progress = &r->trk.progress,
                                 .last_index = raft_log_last_index(&r->log),
                                 .max_inflight = r->trk.max_inflight,
                                 .max_inflight_bytes = r->trk.max_inflight_bytes};
}

static void log_switch(const struct floe_raft *r)
{
    struct buf config = {0};
    describe_config(&config, &r->trk.config);
    raft_info(&r->logger, "%" PRIx64 " switched to configuration %s", r->id, buf_str(&config));
    buf_deinit(&config);
}

/* A smaller quorum may have committed more; new members want to hear at once. */
static void lead_on(struct floe_raft *r)
{
    if (raft_maybe_commit(r)) {
        raft_bcast_append(r);
    } else {
        for (size_t i = 0; i < r->trk.progress.count; i++)
            if (r->trk.progress.item[i].id != r->id)
                (void)raft_maybe_send_append(r, &r->trk.progress.item[i], false);
    }
    if (r->lead_transferee != FLOE_ID_NONE &&
        !raft_config_is_voter(&r->trk.config, r->lead_transferee))
        r->lead_transferee = FLOE_ID_NONE;
}

void raft_switch_config(struct floe_raft *r, struct raft_change_result *result,
                        struct floe_conf_state *out)
{
    raft_tracker_switch(&r->trk, &result->config, &result->progress);
    log_switch(r);
    if (out != NULL)
        *out = raft_config_conf_state(&r->trk.config);
    const struct raft_progress *self = raft_tracker_find(&r->trk, r->id);
    r->is_learner = self != NULL && self->is_learner;
    if (r->state != FLOE_STATE_LEADER)
        return;
    if (self == NULL || r->is_learner) {
        /* it leads on until somebody else takes over, unless told otherwise */
        if (r->step_down_on_removal)
            raft_become_follower(r, r->term, FLOE_ID_NONE);
        return;
    }
    if (r->trk.config.incoming.count > 0)
        lead_on(r);
}

enum floe_err floe_raft_apply_conf_change(struct floe_raft *r,
                                          const struct floe_conf_change *change,
                                          struct floe_conf_state *out)
{
    struct raft_changer changer = raft_changer_of(r);
    struct raft_change_result result;
    const char *why = raft_confchange_apply(&changer, change, &result);
    if (why != NULL) {
        raft_error(&r->logger, "configuration change refused: %s", why);
        return FLOE_ERR_CONF_CHANGE;
    }
    raft_switch_config(r, &result, out);
    return FLOE_OK;
}

/* ---- snapshots -------------------------------------------------------------------------------------- */

static bool names_us(const struct floe_raft *r, const struct floe_conf_state *cs)
{
    return floe_ids_contain(&cs->voters, r->id) || floe_ids_contain(&cs->learners, r->id) ||
           floe_ids_contain(&cs->voters_outgoing, r->id);
}

static bool worth_restoring(struct floe_raft *r, const struct floe_snapshot *snapshot)
{
    if (snapshot->index <= r->log.committed)
        return false;
    ASSERT(r->state == FLOE_STATE_FOLLOWER);
    if (!names_us(r, &snapshot->conf_state)) {
        struct buf text = {0};
        describe_conf_state_proto(&text, &snapshot->conf_state);
        raft_warn(&r->logger,
                  "%" PRIx64 " attempted to restore snapshot but it is not in the ConfState %s; "
                  "should never happen",
                  r->id, buf_str(&text));
        buf_deinit(&text);
        return false;
    }
    struct raft_entry_id id = {snapshot->term, snapshot->index};
    if (!raft_log_matches(&r->log, id))
        return true;
    struct raft_entry_id last = raft_log_last_id(&r->log);
    raft_info(&r->logger,
              "%" PRIx64 " [commit: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64
              "] fast-forwarded commit to snapshot [index: %" PRIu64 ", term: %" PRIu64 "]",
              r->id, r->log.committed, last.index, last.term, id.index, id.term);
    raft_log_commit_to(&r->log, id.index);
    return false;
}

bool raft_restore(struct floe_raft *r, const struct floe_snapshot *snapshot, enum floe_err *err)
{
    if (!worth_restoring(r, snapshot))
        return false;
    struct raft_changer changer = raft_changer_of(r);
    changer.last_index = snapshot->index;
    struct raft_change_result result;
    if (raft_confchange_restore(&changer, &snapshot->conf_state, &result) != NULL) {
        *err = FLOE_ERR_INVALID;
        return false;
    }
    raft_log_restore(&r->log, snapshot);
    raft_switch_config(r, &result, NULL);
    struct raft_entry_id last = raft_log_last_id(&r->log);
    raft_info(&r->logger,
              "%" PRIx64 " [commit: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64
              "] restored snapshot [index: %" PRIu64 ", term: %" PRIu64 "]",
              r->id, r->log.committed, last.index, last.term, snapshot->index, snapshot->term);
    return true;
}
