/* Each check is one sentence that could stand in the thesis. */
#include "raft/invariants.h"

#include "raft/ids.h"
#include "raft/core.h"

static const char *check_positions(const struct floe_raft *r)
{
    const struct raft_log *log = &r->log;
    if (log->applied > log->applying)
        return "applied <= applying";
    if (log->applying > log->committed && log->unstable.snapshot == NULL)
        return "applying <= committed";
    if (log->committed > raft_log_last_index(log))
        return "committed <= last index";
    return NULL;
}

static const char *check_unstable(const struct floe_raft *r)
{
    const struct raft_unstable *u = &r->log.unstable;
    if (u->offset_in_progress < u->offset || u->offset_in_progress > u->offset + u->count)
        return "offset <= offset in progress <= end of the unstable log";
    for (size_t i = 0; i < u->count; i++) {
        const struct floe_entry *entry = &u->ring[u->start + i];
        if (entry->index != u->offset + i)
            return "unstable entries are contiguous";
        if (i > 0 && entry->term < entry[-1].term)
            return "terms never decrease along the log";
        if (entry->term > r->term)
            return "no entry of a term to come";
    }
    return NULL;
}

static const char *check_config(const struct floe_raft *r)
{
    const struct raft_config *config = &r->trk.config;
    for (size_t i = 0; i < config->learners.count; i++)
        if (raft_config_is_voter(config, config->learners.id[i]))
            return "learners and voters are disjoint";
    for (size_t i = 0; i < config->learners_next.count; i++)
        if (!raft_ids_has(&config->outgoing, config->learners_next.id[i]))
            return "learners next lie within the outgoing voters";
    if (config->outgoing.count == 0 && (config->learners_next.count > 0 || config->auto_leave))
        return "learners next and auto-leave only in a joint configuration";
    for (size_t i = 0; i < r->trk.progress.count; i++) {
        const struct raft_progress *pr = &r->trk.progress.item[i];
        bool learner = raft_ids_has(&config->learners, pr->id);
        if (!learner && !raft_config_is_voter(config, pr->id))
            return "progress only of members";
        if (learner != pr->is_learner)
            return "the progress knows who is a learner";
    }
    return NULL;
}

static const char *check_progress(const struct floe_raft *r)
{
    for (size_t i = 0; i < r->trk.progress.count; i++) {
        const struct raft_progress *pr = &r->trk.progress.item[i];
        /* a snapshot may be older than what the member has: one that we were restored by, and that
         * answered before */
        if (pr->match >= pr->next && pr->state != FLOE_PROGRESS_SNAPSHOT)
            return "match < next";
        if (pr->state != FLOE_PROGRESS_REPLICATE && pr->inflights.count > 0)
            return "inflights only while replicating";
        if (pr->state != FLOE_PROGRESS_SNAPSHOT && pr->pending_snapshot != 0)
            return "a pending snapshot only in snapshot state";
        if (pr->inflights.count > pr->inflights.max_count)
            return "the window holds no more than it may";
    }
    return NULL;
}

static const char *check_role(const struct floe_raft *r)
{
    if (r->state == FLOE_STATE_LEADER && r->lead != r->id)
        return "a leader knows that it leads";
    if ((r->state == FLOE_STATE_CANDIDATE || r->state == FLOE_STATE_PRE_CANDIDATE) && r->lead != 0)
        return "a candidate knows no leader";
    if (r->state == FLOE_STATE_CANDIDATE && r->vote != r->id)
        return "a candidate votes for itself";
    if (r->lead_transferee != 0 && r->state != FLOE_STATE_LEADER)
        return "only a leader hands over";
    return NULL;
}

const char *raft_check_invariants(const struct floe_raft *r)
{
    const char *(*const checks[])(const struct floe_raft *) = {
        check_positions, check_unstable, check_config, check_progress, check_role};
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        const char *broken = checks[i](r);
        if (broken != NULL)
            return broken;
    }
    return NULL;
}
