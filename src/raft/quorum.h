/*
 * Quorum arithmetic for a majority and for the joint quorum of two majorities (thesis 4.3).
 *
 * Pure functions over sorted id sets (ids.h). What a voter acknowledged or voted is asked through
 * a callback; it must answer the same for the same id during one call.
 */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include "base/buf.h"

#include <floe/types.h>

/* Acknowledged index of a voter into *out; false: nothing known of it (counts as 0). */
typedef bool (*raft_acked_fn)(void *arg, floe_id id, floe_index *out);

enum raft_ballot {
    RAFT_BALLOT_NONE = 0, /* has not voted (yet) */
    RAFT_BALLOT_YES,
    RAFT_BALLOT_NO,
};
typedef enum raft_ballot (*raft_ballot_fn)(void *arg, floe_id id);

enum raft_vote_result {
    RAFT_VOTE_PENDING = 0, /* still open */
    RAFT_VOTE_LOST,
    RAFT_VOTE_WON,
};
/* "VotePending", "VoteLost", "VoteWon" */
const char *raft_vote_result_name(enum raft_vote_result result);

/* The largest index that a majority acknowledged; UINT64_MAX for an empty set, so that an empty
 * half of a joint quorum never holds the other back. */
floe_index raft_majority_committed(const struct floe_ids *voters, raft_acked_fn acked, void *arg);
/* The smaller one of both halves; outgoing may be empty. */
floe_index raft_joint_committed(const struct floe_ids *incoming, const struct floe_ids *outgoing,
                                raft_acked_fn acked, void *arg);

/* An empty set has won. */
enum raft_vote_result raft_majority_vote(const struct floe_ids *voters, raft_ballot_fn ballot,
                                         void *arg);
enum raft_vote_result raft_joint_vote(const struct floe_ids *incoming,
                                      const struct floe_ids *outgoing, raft_ballot_fn ballot,
                                      void *arg);

/* The chart of traces/README.md section 4 over the voters of both halves: a head line and one line
 * a voter, each with a newline; "<empty majority quorum>" (no newline) if there is none. */
void raft_quorum_describe(struct buf *out, const struct floe_ids *incoming,
                          const struct floe_ids *outgoing, raft_acked_fn acked, void *arg);

#endif
