/* Sending appends and snapshots, and what a majority has (thesis 3.5, 3.6.2, 7, 10.2.1). */
#include "raft/core.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/describe.h"

#include <inttypes.h>

/* ---- snapshots -------------------------------------------------------------------------------------- */

static void log_snapshot(const struct floe_raft *r, struct raft_progress *pr,
                         const struct floe_snapshot *snapshot)
{
    struct buf text = {0};
    describe_tracked(&text, pr);
    raft_debug(&r->logger,
               "%" PRIx64 " [firstindex: %" PRIu64 ", commit: %" PRIu64 "] sent snapshot[index: "
               "%" PRIu64 ", term: %" PRIu64 "] to %" PRIx64 " [%s]",
               r->id, raft_log_first_index(&r->log), r->log.committed, snapshot->index,
               snapshot->term, pr->id, buf_str(&text));
    raft_progress_become_snapshot(pr, snapshot->index);
    describe_tracked(&text, pr);
    raft_debug(&r->logger, "%" PRIx64 " paused sending replication messages to %" PRIx64 " [%s]",
               r->id, pr->id, buf_str(&text));
    buf_deinit(&text);
}

/* The newest snapshot, ours to keep; false: none can be had now. */
static bool take_snapshot(const struct floe_raft *r, struct floe_snapshot *out)
{
    if (r->log.unstable.snapshot != NULL) {
        *out = floe_snapshot_copy(r->log.unstable.snapshot);
        return true;
    }
    enum floe_err err = r->log.storage.snapshot(r->log.storage.ctx, out);
    ASSERT(err == FLOE_OK || err == FLOE_ERR_SNAPSHOT_UNAVAILABLE);
    bool is_empty = err == FLOE_OK && out->index == 0;
    ASSERT_MSG(!is_empty || raft_log_first_index(&r->log) == 1,
               "the log was compacted without a snapshot");
    if (is_empty) /* the member says that it has more than we ever had */
        floe_snapshot_deinit(out);
    return err == FLOE_OK && !is_empty;
}

static bool maybe_send_snapshot(struct floe_raft *r, struct raft_progress *pr)
{
    if (!pr->recent_active) {
        raft_debug(&r->logger,
                   "ignore sending snapshot to %" PRIx64 " since it is not recently active",
                   pr->id);
        return false;
    }
    struct floe_snapshot snapshot;
    if (!take_snapshot(r, &snapshot)) {
        raft_debug(&r->logger,
                   "%" PRIx64 " failed to send snapshot to %" PRIx64
                   " because snapshot is temporarily unavailable",
                   r->id, pr->id);
        return false;
    }
    log_snapshot(r, pr, &snapshot);
    struct floe_message message = {.type = FLOE_MSG_SNAP, .to = pr->id};
    message.snapshot = mem_alloc(sizeof *message.snapshot);
    *message.snapshot = snapshot;
    raft_send(r, message);
    return true;
}

/* ---- appends ------------------------------------------------------------------------------------------ */

bool raft_maybe_send_append(struct floe_raft *r, struct raft_progress *pr, bool send_if_empty)
{
    if (raft_progress_is_paused(pr))
        return false;
    floe_index prev = pr->next - 1;
    floe_term prev_term;
    if (raft_log_term(&r->log, prev, &prev_term) != FLOE_OK)
        return maybe_send_snapshot(r, pr); /* its place in the log is gone */
    /* a full window gets an empty message, so that commit and a lost answer come through */
    bool throttled = pr->state == FLOE_PROGRESS_REPLICATE &&
                     raft_inflights_is_full(&pr->inflights);
    struct raft_entries entries = {0};
    enum floe_err err = FLOE_OK;
    if (!throttled)
        err = raft_log_entries(&r->log, pr->next, r->max_msg_size, &entries);
    if (entries.count == 0 && !send_if_empty)
        return false;
    if (err != FLOE_OK)
        return maybe_send_snapshot(r, pr);
    size_t count = entries.count;
    uint64_t bytes = raft_payloads_size(entries.list, count);
    raft_send(r, (struct floe_message){.type = FLOE_MSG_APP,
                                       .to = pr->id,
                                       .index = prev,
                                       .log_term = prev_term,
                                       .entries = entries.list,
                                       .entry_count = count,
                                       .commit = r->log.committed});
    raft_progress_sent_entries(pr, count, bytes);
    pr->sent_commit = r->log.committed;
    return true;
}

void raft_bcast_append(struct floe_raft *r)
{
    for (size_t i = 0; i < r->trk.progress.count; i++)
        if (r->trk.progress.item[i].id != r->id)
            (void)raft_maybe_send_append(r, &r->trk.progress.item[i], true);
}

void raft_bcast_heartbeat(struct floe_raft *r)
{
    struct floe_blob *context = raft_read_only_context(&r->read_only);
    for (size_t i = 0; i < r->trk.progress.count; i++) {
        struct raft_progress *pr = &r->trk.progress.item[i];
        if (pr->id == r->id)
            continue;
        /* never more than is known to be there: the follower cannot check it */
        floe_index commit = pr->match < r->log.committed ? pr->match : r->log.committed;
        raft_send(r, (struct floe_message){.type = FLOE_MSG_HEARTBEAT,
                                           .to = pr->id,
                                           .commit = commit,
                                           .context = floe_blob_ref(context)});
        pr->sent_commit = commit;
    }
    floe_blob_unref(context);
}

void raft_send_timeout_now(struct floe_raft *r, floe_id to)
{
    raft_send(r, (struct floe_message){.type = FLOE_MSG_TIMEOUT_NOW, .to = to});
}

/* Only entries of the own term are committed by counting (thesis 3.6.2). */
bool raft_maybe_commit(struct floe_raft *r)
{
    struct raft_entry_id id = {r->term, raft_tracker_committed(&r->trk)};
    return raft_log_maybe_commit(&r->log, id);
}
