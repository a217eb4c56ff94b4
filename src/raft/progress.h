/*
 * What a leader knows of one member, and the flow control that follows from it (thesis 10.2.1).
 *
 * probe: one MsgApp a round trip, until the position where the logs agree is known.
 * replicate: optimistic stream, bounded by the window of inflights.
 * snapshot: nothing but heartbeats until the snapshot is acknowledged or reported.
 */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/inflights.h"

#include <floe/raft.h>

struct raft_progress {
    floe_id id;
    floe_index match; /* known to be durable at the member */
    floe_index next;  /* the first one of the next message */
    floe_index sent_commit; /* highest commit index in flight to it */
    enum floe_progress_state state;
    floe_index pending_snapshot; /* snapshot state only; 0 otherwise */
    bool recent_active;          /* any message since the last check-quorum round */
    bool flow_paused;            /* no MsgApp until an answer */
    bool is_learner;
    struct raft_inflights inflights;
};

void raft_progress_become_probe(struct raft_progress *pr);
void raft_progress_become_replicate(struct raft_progress *pr);
void raft_progress_become_snapshot(struct raft_progress *pr, floe_index snapshot_index);
/* Accounts for a MsgApp with count entries and payload bytes that has just been sent. */
void raft_progress_sent_entries(struct raft_progress *pr, size_t count, uint64_t bytes);
/* Would a message with this commit index tell the member something new? */
bool raft_progress_can_bump_commit(const struct raft_progress *pr, floe_index commit);
/* Moves match (and next) forward to index; false if it is old news. */
bool raft_progress_maybe_update(struct raft_progress *pr, floe_index index);
/* Moves next back after a rejection at rejected; false if the rejection is stale. */
bool raft_progress_maybe_decrease(struct raft_progress *pr, floe_index rejected,
                                  floe_index match_hint);
bool raft_progress_is_paused(const struct raft_progress *pr);
/* The public picture of it; plain data. */
struct floe_progress raft_progress_export(const struct raft_progress *pr);

#endif
