/* A follower's answer to an append: what is known to be there, what may be sent and committed. */
#include "raft/core.h"

#include "raft/describe.h"

#include <inttypes.h>

static void on_reject(struct floe_raft *r, struct raft_progress *pr, const struct floe_message *m)
{
    raft_debug(&r->logger,
               "%" PRIx64 " received MsgAppResp(rejected, hint: (index %" PRIu64 ", term %" PRIu64
               ")) from %" PRIx64 " for index %" PRIu64,
               r->id, m->reject_hint, m->log_term, m->from, m->index);
    floe_index probe = m->reject_hint;
    if (m->log_term > 0) /* skip our entries of terms that it cannot have there */
        probe = raft_log_find_conflict_by_term(&r->log, m->reject_hint, m->log_term).index;
    if (!raft_progress_maybe_decrease(pr, m->index, probe))
        return;
    struct buf text = {0};
    describe_tracked(&text, pr);
    raft_debug(&r->logger, "%" PRIx64 " decreased progress of %" PRIx64 " to [%s]", r->id,
               m->from, buf_str(&text));
    buf_deinit(&text);
    if (pr->state == FLOE_PROGRESS_REPLICATE)
        raft_progress_become_probe(pr);
    (void)raft_maybe_send_append(r, pr, true);
}

static void move_state(struct floe_raft *r, struct raft_progress *pr, floe_index acked)
{
    switch (pr->state) {
    case FLOE_PROGRESS_PROBE: raft_progress_become_replicate(pr); break;
    case FLOE_PROGRESS_REPLICATE: raft_inflights_free_to(&pr->inflights, acked); break;
    case FLOE_PROGRESS_SNAPSHOT:
        /* enough that our log goes on from there, whichever snapshot brought it so far */
        if (pr->match + 1 < raft_log_first_index(&r->log))
            break;
        if (r->logger.fn != NULL) {
            struct buf text = {0};
            describe_tracked(&text, pr);
            raft_debug(&r->logger,
                       "%" PRIx64 " recovered from needing snapshot, resumed sending replication "
                       "messages to %" PRIx64 " [%s]",
                       r->id, pr->id, buf_str(&text));
            buf_deinit(&text);
        }
        raft_progress_become_probe(pr);
        raft_progress_become_replicate(pr);
        break;
    }
}

/* An acknowledgement may have made room and moved the commit index. */
static void send_more(struct floe_raft *r, struct raft_progress *pr, floe_id from)
{
    if (raft_maybe_commit(r)) {
        raft_release_pending_reads(r);
        raft_bcast_append(r);
    } else if (from != r->id && raft_progress_can_bump_commit(pr, r->log.committed)) {
        (void)raft_maybe_send_append(r, pr, true);
    }
    if (from != r->id)
        while (raft_maybe_send_append(r, pr, false))
            continue;
}

void raft_handle_append_resp(struct floe_raft *r, struct raft_progress *pr,
                             const struct floe_message *m)
{
    pr->recent_active = true;
    if (m->reject) {
        on_reject(r, pr, m);
        return;
    }
    bool news = raft_progress_maybe_update(pr, m->index);
    if (!news && !(pr->match == m->index && pr->state == FLOE_PROGRESS_PROBE))
        return;
    move_state(r, pr, m->index);
    send_more(r, pr, m->from);
    if (m->from == r->lead_transferee && pr->match == raft_log_last_index(&r->log)) {
        raft_info(&r->logger,
                  "%" PRIx64 " sent MsgTimeoutNow to %" PRIx64 " after received MsgAppResp", r->id,
                  m->from);
        raft_send_timeout_now(r, m->from);
    }
}
