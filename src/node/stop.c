/* An orderly stop: leadership goes to the most advanced other voter first, what waits is answered,
 * the log is synced; all of it within NODE_STOP_MS. */
#include "node/internal.h"

#include <inttypes.h>

/* The most advanced one whose disk is in this state. */
static floe_id best_heir(struct node *node, enum node_disk disk)
{
    struct floe_status status = floe_raft_status(node->raft);
    floe_id heir = 0;
    floe_index best = 0;
    for (size_t i = 0; i < status.progress_count; i++) {
        const struct floe_progress *progress = &status.progress[i];
        if (progress->id == node->options.id || progress->is_learner ||
            !progress->recent_active || (heir != 0 && progress->match <= best) ||
            beats_disk_of(node, progress->id) != disk)
            continue;
        heir = progress->id;
        best = progress->match;
    }
    floe_status_deinit(&status);
    return heir;
}

floe_id stop_best_heir(struct node *node)
{
    floe_id heir = best_heir(node, NODE_DISK_GOOD);
    return heir != 0 ? heir : best_heir(node, NODE_DISK_LATE); /* the others would not take it */
}

bool stop_transfer_away(struct node *node)
{
    if (!node_is_leader(node))
        return false;
    if (node->transfer_sent_ms != 0 &&
        node->now_ms < node->transfer_sent_ms + node->options.election_ms)
        return true;
    floe_id heir = stop_best_heir(node);
    if (heir == 0)
        return false;
    node->transfer_sent_ms = node->now_ms;
    log_info(node->logger, "handing leadership over to=%" PRIu64, heir);
    floe_raft_transfer_leader(node->raft, heir);
    return true;
}

void node_stop(struct node *node, uint64_t now_ms)
{
    if (node->stopping || node->life != NODE_RUNNING)
        return;
    node->now_ms = now_ms;
    node->stopping = true;
    node->stop_deadline_ms = now_ms + NODE_STOP_MS;
    log_info(node->logger, "stopping id=%" PRIu64, node->options.id);
}

void stop_pump(struct node *node)
{
    if (!node->stopping || node->life != NODE_RUNNING)
        return;
    bool late = node->now_ms >= node->stop_deadline_ms;
    bool waiting = node->waiters.count > 0 || node->read_count > 0 ||
                   node->leases.ask_count > 0;
    /* Our own proposals first: as a leader we know best what becomes of them. */
    if (waiting && !late)
        return;
    if (!late && stop_transfer_away(node))
        return;
    requests_end_all(node);
    reads_end_all(node);
    lease_asks_end_all(node);
    if (wal_sync_now(node->wal) != ERR_OK) {
        node_fail(node, "cannot sync the log", wal_last_error(node->wal));
        return;
    }
    /* a vote for the successor may be among what waited for the disk */
    (void)durable_release(node);
    node->life = NODE_STOPPED;
}
