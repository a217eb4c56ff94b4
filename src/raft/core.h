/* The inside of struct floe_raft, shared by the files of this folder: roles and what each does. */
#ifndef RAFT_CORE_H
#define RAFT_CORE_H

#include "base/prng.h"
#include "raft/confchange.h"
#include "raft/log.h"
#include "raft/read_only.h"
#include "raft/tracker.h"

/* A list of messages that grows; owns them. */
struct raft_outbox {
    struct floe_message *list;
    size_t count;
    size_t cap;
};
void raft_outbox_push(struct raft_outbox *box, struct floe_message message); /* takes it over */
void raft_outbox_deinit(struct raft_outbox *box);

/* Entries that were handed out to be applied: all that must be known of them later. */
struct raft_batch {
    floe_index last; /* 0: there are none */
    uint64_t size;
    uint64_t payload_size;
};

enum raft_campaign {
    RAFT_CAMPAIGN_PRE_ELECTION,
    RAFT_CAMPAIGN_ELECTION,
    RAFT_CAMPAIGN_TRANSFER, /* wanted by the leader: overrides leases */
};

struct floe_raft {
    floe_id id;
    floe_term term;
    floe_id vote;
    enum floe_state state;
    bool is_learner;
    floe_id lead;
    floe_id lead_transferee; /* 0: no transfer under way */
    struct raft_log log;
    struct raft_tracker trk;
    struct raft_logger logger;

    struct raft_outbox msgs;              /* may leave at once */
    struct raft_outbox msgs_after_append; /* must wait until what was appended is durable */
    struct floe_read_state *read_states;
    size_t read_state_count;
    size_t read_state_cap;
    struct raft_read_only read_only;
    struct raft_outbox pending_reads; /* came before the first commit of the term */
    size_t pending_read_bytes;

    /* A configuration change is proposed only while this is <= applied: at most one is unapplied
     * (thesis 4.1). */
    floe_index pending_conf_index;
    uint64_t uncommitted_size; /* payload bytes of entries that are not applied yet */

    uint32_t election_elapsed;  /* ticks; at a leader since the last quorum check */
    uint32_t heartbeat_elapsed; /* ticks; leader only */
    uint32_t heartbeat_timeout;
    uint32_t election_timeout;
    uint32_t randomized_election_timeout; /* [election_timeout, 2 * election_timeout - 1] */
    struct prng prng;

    uint64_t max_msg_size;
    uint64_t max_uncommitted_size;
    bool check_quorum;
    bool pre_vote;
    bool disable_proposal_forwarding;
    bool disable_conf_change_validation;
    bool step_down_on_removal;
    bool async_storage_writes;

    /* ready.c */
    struct floe_soft_state prev_soft;
    struct floe_hard_state prev_hard;
    struct raft_outbox steps_on_advance;
    struct raft_batch applied_on_advance; /* after the steps */
};

/* ---- core.c ------------------------------------------------------------------------------------- */

struct floe_soft_state raft_soft_state(const struct floe_raft *r);
struct floe_hard_state raft_hard_state(const struct floe_raft *r);
/* What begins anew with each role and term. */
void raft_reset(struct floe_raft *r, floe_term term);
void raft_become_follower(struct floe_raft *r, floe_term term, floe_id lead);
void raft_become_candidate(struct floe_raft *r);
void raft_become_pre_candidate(struct floe_raft *r);
/* Is a voter with a whole log, so that it may campaign. */
bool raft_promotable(const struct floe_raft *r);
/* Fills in sender and term and queues the message (taken over). */
void raft_send(struct floe_raft *r, struct floe_message message);
/* The answer to a read of our own. */
void raft_push_read_state(struct floe_raft *r, floe_index index, struct floe_blob *context);

/* ---- append.c ----------------------------------------------------------------------------------- */

/* Gives entries (which stay the caller's) their places and appends them; false: over the size
 * limit. */
bool raft_append_entries(struct floe_raft *r, struct floe_entry *entries, size_t count);
void raft_reduce_uncommitted(struct floe_raft *r, uint64_t payload_size);

/* ---- applied.c ---------------------------------------------------------------------------------- */

struct raft_batch raft_batch_of(const struct floe_entry *entries, size_t count);
void raft_applied_batch(struct floe_raft *r, const struct raft_batch *batch);
void raft_applied_snapshot(struct floe_raft *r, const struct floe_snapshot *snapshot);

/* ---- step.c ---------------------------------------------------------------------------------------- */

/* The rules on terms, then what the role makes of it. */
enum floe_err raft_step(struct floe_raft *r, const struct floe_message *m);

/* ---- election.c --------------------------------------------------------------------------------------- */

void raft_hup(struct floe_raft *r, enum raft_campaign kind);
void raft_campaign(struct floe_raft *r, enum raft_campaign kind);
enum raft_vote_result raft_poll(struct floe_raft *r, const struct floe_message *m,
                                size_t *granted, size_t *rejected);
/* Would a vote or pre-vote request of the current term be granted? (thesis 3.6.1) */
bool raft_would_grant(const struct floe_raft *r, const struct floe_message *m);
void raft_handle_vote(struct floe_raft *r, const struct floe_message *m);
/* A higher-term vote request inside the leader's lease (thesis 4.2.3): true if to be ignored. */
bool raft_vote_in_lease(struct floe_raft *r, const struct floe_message *m);

/* ---- follower.c, candidate.c, leader.c ------------------------------------------------------------------ */

enum floe_err raft_step_follower(struct floe_raft *r, const struct floe_message *m);
void raft_become_leader(struct floe_raft *r);
enum floe_err raft_step_candidate(struct floe_raft *r, const struct floe_message *m);
enum floe_err raft_step_leader(struct floe_raft *r, const struct floe_message *m);
enum floe_err raft_handle_append(struct floe_raft *r, const struct floe_message *m);
enum floe_err raft_handle_heartbeat(struct floe_raft *r, const struct floe_message *m);
enum floe_err raft_handle_snapshot(struct floe_raft *r, const struct floe_message *m);

/* ---- proposal.c ------------------------------------------------------------------------------------------ */

enum floe_err raft_propose_at_leader(struct floe_raft *r, const struct floe_message *m);

/* ---- replicate.c ----------------------------------------------------------------------------------------- */

bool raft_maybe_send_append(struct floe_raft *r, struct raft_progress *pr, bool send_if_empty);
void raft_bcast_append(struct floe_raft *r);
void raft_bcast_heartbeat(struct floe_raft *r);
bool raft_maybe_commit(struct floe_raft *r);
void raft_send_timeout_now(struct floe_raft *r, floe_id to);

/* ---- acknowledge.c --------------------------------------------------------------------------------------- */

void raft_handle_append_resp(struct floe_raft *r, struct raft_progress *pr,
                             const struct floe_message *m);

/* ---- reads.c --------------------------------------------------------------------------------------------- */

void raft_read_index_at_leader(struct floe_raft *r, const struct floe_message *m);
void raft_release_pending_reads(struct floe_raft *r);
void raft_answer_confirmed_reads(struct floe_raft *r);

/* ---- membership.c ---------------------------------------------------------------------------------------- */

/* Takes result over; *out (may be NULL) is owned by caller. */
void raft_switch_config(struct floe_raft *r, struct raft_change_result *result,
                        struct floe_conf_state *out);
/* Takes over a snapshot's log position and membership; false: ignored. */
bool raft_restore(struct floe_raft *r, const struct floe_snapshot *snapshot, enum floe_err *err);
struct raft_changer raft_changer_of(const struct floe_raft *r);

#endif
