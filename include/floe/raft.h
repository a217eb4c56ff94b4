/*
 * floe consensus library: one member of one Raft group, as a pure state machine.
 *
 * No I/O, no clock, no threads, no callbacks upward. The driver feeds it ticks, messages and
 * proposals, takes ready batches out, makes them durable, sends their messages, applies their
 * committed entries, and says so. Behaviour is that of etcd-io/raft (main, August 2026).
 *
 * Memory: allocation never fails half way, since running out of memory ends the process (see struct
 * floe_allocator). What others can make an instance hold has a bound, as long as the driver takes
 * every ready batch: entries of one message until they are stored (the driver bounds its frames),
 * proposals by max_uncommitted_entries_size, reads that wait by 16 MiB, what is sent and not
 * acknowledged by max_inflight_msgs and max_inflight_bytes.
 *
 * Trust: a message that no correct member could send is refused (FLOE_ERR_INVALID) or ignored; only
 * a broken promise of the driver or its storage ends the process. The driver must know who sent a
 * message and set `from` itself: whoever may write FLOE_ID_APPEND_THREAD or FLOE_ID_APPLY_THREAD
 * there speaks as the local disk.
 *
 * Hop limit: forwarded proposals and reads have none, as in the reference. Two followers that take
 * each other for the leader can send one to and fro: a driver should not step a forwarded
 * FLOE_MSG_PROP or FLOE_MSG_READ_INDEX into a member that is not the leader.
 *
 * Threads: an instance may be used by one thread at a time; two instances share nothing but blobs,
 * whose counts are not atomic: keep instances that exchange blobs on one thread, or copy the bytes.
 */
#ifndef FLOE_RAFT_H
#define FLOE_RAFT_H

#include <floe/confchange.h>
#include <floe/storage.h>
#include <floe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FLOE_VERSION "0.1.0"
FLOE_EXPORT const char *floe_version(void);

enum floe_log_level {
    FLOE_LOG_DEBUG = 0,
    FLOE_LOG_INFO,
    FLOE_LOG_WARN,
    FLOE_LOG_ERROR,
    FLOE_LOG_FATAL,
};
/* text has no newline at its end and is borrowed for the call. Must not call into the core. */
typedef void (*floe_log_fn)(void *arg, enum floe_log_level level, const char *text);

enum floe_read_only {
    FLOE_READ_ONLY_SAFE = 0,    /* a round of heartbeats confirms leadership (thesis 6.4) */
    FLOE_READ_ONLY_LEASE_BASED, /* trusts the clock (thesis 6.4.1); needs check_quorum */
};

struct floe_config {
    floe_id id;               /* this member, 1 .. 2^64-3 */
    uint32_t election_tick;   /* ticks; > heartbeat_tick; timeouts are drawn from [e, 2e-1] */
    uint32_t heartbeat_tick;  /* ticks; > 0 */
    struct floe_storage storage; /* table copied; ctx is borrowed until floe_raft_free */
    floe_index applied;       /* already applied; 0 = not known, everything is handed out again */
    bool async_storage_writes; /* writes leave as messages to the storage threads (see below) */
    uint64_t max_size_per_msg; /* bytes of entries in one MsgApp; 0 = one entry; FLOE_NO_LIMIT */
    /* Bytes handed out to be applied and not yet acknowledged; 0 = max_size_per_msg. If both are 0
     * a member hands out nothing once something was applied, as the reference: set one. */
    uint64_t max_committed_size_per_ready;
    uint64_t max_uncommitted_entries_size;  /* payload bytes at a leader; 0 = no limit */
    uint32_t max_inflight_msgs;             /* unacknowledged MsgApp a follower; > 0 */
    uint64_t max_inflight_bytes; /* bytes a follower; 0 = no limit, else >= max_size_per_msg */
    bool check_quorum; /* leader steps down, followers keep to it, by an election timeout's lease */
    bool pre_vote;     /* ask before raising the term (thesis 9.6) */
    enum floe_read_only read_only;
    bool disable_proposal_forwarding;   /* followers drop proposals instead */
    bool disable_conf_change_validation; /* the application refuses bad changes itself, at apply */
    bool step_down_on_removal; /* a leader that a change removes or demotes becomes follower */
    uint64_t seed;             /* of the election timeouts; same seed and inputs, same behaviour */
    floe_log_fn log;           /* NULL: silent */
    void *log_arg;
};

struct floe_raft; /* opaque */

/* Starts or restarts from what config->storage holds. FLOE_ERR_CONFIG: *out untouched, and the
 * reason goes to config->log. Owned by caller. */
FLOE_EXPORT enum floe_err floe_raft_new(const struct floe_config *config,
                                        struct floe_raft **out) FLOE_MUST_USE;
FLOE_EXPORT void floe_raft_free(struct floe_raft *raft);

/* Bootstraps an empty storage: one committed AddNode entry a peer at term 1 (contexts[i] shared,
 * may be NULL as may the array). Every first member must get the same list, of ids from 1 to
 * 2^64-3. FLOE_ERR_INVALID, nothing changed: the storage is not empty, the term is over 1, count is
 * 0, or an id is 0 or a storage thread's. Before the first tick; makes it a follower at term 1. */
FLOE_EXPORT enum floe_err floe_raft_bootstrap(struct floe_raft *raft, const floe_id *peers,
                                              struct floe_blob *const *contexts,
                                              size_t count) FLOE_MUST_USE;

/* ---- inputs --------------------------------------------------------------------------------- */

/* One unit of time has passed. Any state: a leader sends heartbeats and checks its quorum, others
 * count towards an election (thesis 3.4). O(members). */
FLOE_EXPORT void floe_raft_tick(struct floe_raft *raft);
/* Starts an election now, or a pre-election with pre_vote (thesis 3.4, 9.6). Does nothing, with a
 * log line, at a leader, at who is no voter, while a snapshot is being stored, and while a
 * committed membership change is not applied. Always FLOE_OK. */
FLOE_EXPORT enum floe_err floe_raft_campaign(struct floe_raft *raft);
/* Appends data (shared; NULL = absent) at a leader; a follower forwards it, which may fail
 * without a word. PROPOSAL_DROPPED, the entry is certainly in no log: no leader is known, this is a
 * (pre-)candidate, a transfer is under way, the leader is no longer a member,
 * max_uncommitted_entries_size is reached, or a follower must not forward (thesis 3.5). */
FLOE_EXPORT enum floe_err floe_raft_propose(struct floe_raft *raft,
                                            struct floe_blob *data) FLOE_MUST_USE;
/* The same with several entries that are appended together, in order; count 0 is INVALID at a
 * leader. */
FLOE_EXPORT enum floe_err floe_raft_propose_batch(struct floe_raft *raft,
                                                  struct floe_blob *const *data,
                                                  size_t count) FLOE_MUST_USE;
/* Proposes a membership change (thesis 4); states and errors as floe_raft_propose. v1 makes a
 * CONF_CHANGE entry (one change, transition auto, else INVALID). A change that is refused is
 * replaced by an empty entry: watch what is applied. One that is dropped over
 * max_uncommitted_entries_size is remembered as the last one all the same, as in the reference: the
 * next change is refused until something behind that place has been applied. */
FLOE_EXPORT enum floe_err floe_raft_propose_conf_change(struct floe_raft *raft,
                                                        const struct floe_conf_change *change,
                                                        bool v1) FLOE_MUST_USE;
/* Must be called for every applied CONF_CHANGE(_V2) entry, also one that the application refuses
 * (then with a single change that names node 0, which changes nothing). *out (may be NULL): the new
 * membership, owned by caller. CONF_CHANGE: the algebra refuses it (only possible without
 * validation); nothing changed. */
FLOE_EXPORT enum floe_err floe_raft_apply_conf_change(struct floe_raft *raft,
                                                      const struct floe_conf_change *change,
                                                      struct floe_conf_state *out) FLOE_MUST_USE;
/* Feeds a message from another member or from a storage thread, in any state; borrowed for the
 * call. STEP_LOCAL (a local type that no storage thread sent), STEP_PEER_UNKNOWN (an answer of who
 * is no member) and INVALID (no correct member could send it): nothing happened. PROPOSAL_DROPPED:
 * the entries are in no log, but the message's term was heeded as that of any message (thesis
 * 3.3). */
FLOE_EXPORT enum floe_err floe_raft_step(struct floe_raft *raft,
                                         const struct floe_message *message) FLOE_MUST_USE;
/* Asks for a read index (thesis 6.4). A leader asks its quorum, or its clock if lease based; a
 * follower asks the leader; without a leader, and at a candidate, it is dropped. The answer is a
 * floe_read_state with the same context (shared), or never: ask again, with a new context, after
 * a while. */
FLOE_EXPORT void floe_raft_read_index(struct floe_raft *raft, struct floe_blob *context);
/* Hands leadership to a voter (thesis 3.10): at the leader, or forwarded to it. Ignored if
 * transferee is the leader, a learner or unknown; a second wish for another target replaces the
 * first. Gives up after one election timeout; proposals are dropped meanwhile. */
FLOE_EXPORT void floe_raft_transfer_leader(struct floe_raft *raft, floe_id transferee);
/* A follower no longer believes in its leader: it grants votes inside the lease (thesis 4.2.3);
 * term and vote stay. Nothing at other states and with lease-based reads. Always FLOE_OK. */
FLOE_EXPORT enum floe_err floe_raft_forget_leader(struct floe_raft *raft);
/* The last message to id may be lost: a leader goes back to probing it (thesis 10.2.1). Ignored in
 * other states and for who is no member. */
FLOE_EXPORT void floe_raft_report_unreachable(struct floe_raft *raft, floe_id id);
/* The outcome of sending the snapshot of a FLOE_MSG_SNAP (thesis 7). Must be reported, or the
 * follower stays paused until it acknowledges by itself. Ignored in other states than leader, for
 * who is no member, and when no snapshot is under way to it. */
FLOE_EXPORT void floe_raft_report_snapshot(struct floe_raft *raft, floe_id id, bool failed);

/* ---- outputs -------------------------------------------------------------------------------- */

/* Roles (thesis 3.3, figure 3.3). */
enum floe_state {
    FLOE_STATE_FOLLOWER = 0, /* also a learner */
    FLOE_STATE_CANDIDATE,
    FLOE_STATE_LEADER,
    FLOE_STATE_PRE_CANDIDATE, /* asks whether an election could be won (thesis 9.6) */
};
/* "StateFollower", ... */
FLOE_EXPORT const char *floe_state_name(enum floe_state state);

/* What need not be stored. */
struct floe_soft_state {
    floe_id lead; /* whom this member takes for the leader; 0 = none */
    enum floe_state state;
};

struct floe_read_state {
    floe_index index;          /* a read is linearizable once this is applied (thesis 6.4) */
    struct floe_blob *context; /* the one that was given to floe_raft_read_index; never NULL */
};

/*
 * One batch of work. Synchronous storage: 1. make hard_state, entries and snapshot durable (with a
 * sync if must_sync; the snapshot first), 2. send messages, 3. apply the snapshot, then
 * committed, 4. floe_raft_advance. Asynchronous: hard_state, entries, snapshot and
 * committed are for information; the same data is in the messages to FLOE_ID_APPEND_THREAD and
 * FLOE_ID_APPLY_THREAD, whose work may be done later and concurrently, each in order of issue, and
 * whose responses are then delivered (to itself through floe_raft_step); never advance. A crash
 * between a FLOE_MSG_VOTE and the storing of its term lets a member lead one term twice: a driver
 * that may crash holds these until the append message of the same batch is done.
 */
struct floe_ready {
    bool has_soft_state; /* it has changed since the last batch */
    struct floe_soft_state soft_state;
    bool has_hard_state; /* it has changed since the last batch: store it (thesis 3.8) */
    struct floe_hard_state hard_state;
    struct floe_read_state *read_states; /* answered reads; NULL if there are none */
    size_t read_state_count;
    struct floe_entry *entries; /* to be stored, contiguous; replace what is stored from there on */
    size_t entry_count;
    struct floe_snapshot snapshot; /* to be stored, replaces the whole log; index 0: none */
    struct floe_entry *committed;  /* to be applied, contiguous, each index once (thesis 3.5) */
    size_t committed_count;
    struct floe_message *messages; /* to be sent, in this order to each addressee; may be lost */
    size_t message_count;
    bool must_sync; /* term, vote or entries: a sync is due; else only the commit index has moved */
};

/* Is there a batch? Changes nothing. */
FLOE_EXPORT bool floe_raft_has_ready(const struct floe_raft *raft);
/* Takes the batch out, which accepts it: the core takes it as being worked on. *out is owned by
 * caller until floe_ready_deinit; it shares nothing with the core but blobs. Allowed when there is
 * nothing (an empty batch). Synchronous storage: at most one batch before floe_raft_advance. */
FLOE_EXPORT void floe_raft_ready(struct floe_raft *raft, struct floe_ready *out);
FLOE_EXPORT void floe_ready_deinit(struct floe_ready *ready);
/* Synchronous storage only: the last batch is durable and applied. */
FLOE_EXPORT void floe_raft_advance(struct floe_raft *raft);

/* ---- looking --------------------------------------------------------------------------------- */

enum floe_progress_state {
    FLOE_PROGRESS_PROBE = 0, /* where its log agrees with ours is not known: one message a round */
    FLOE_PROGRESS_REPLICATE, /* entries are sent ahead of their acknowledgement */
    FLOE_PROGRESS_SNAPSHOT,  /* a snapshot is under way, nothing else is sent (thesis 7) */
};
/* "StateProbe", "StateReplicate", "StateSnapshot" */
FLOE_EXPORT const char *floe_progress_state_name(enum floe_progress_state state);

/* What a leader knows of a member (thesis 10.2.1 pipelining; etcd's Progress). */
struct floe_progress {
    floe_id id;
    floe_index match; /* known to be durable there; 0 = nothing; < next but for snapshot state */
    floe_index next;  /* sent next; > 0 */
    enum floe_progress_state state;
    floe_index pending_snapshot; /* index of the snapshot under way; 0 = none */
    bool recent_active;      /* heard of since the last quorum check */
    bool flow_paused;        /* waits for an answer before the next append is sent */
    bool paused;             /* the same, or in snapshot state */
    bool is_learner;         /* gets the log but has no vote (thesis 4.2.1) */
    size_t inflight_count;   /* appends that are not acknowledged, up to max_inflight_msgs */
    uint64_t inflight_bytes; /* bytes of entries in them */
    bool inflight_full;      /* either limit is reached */
};

struct floe_basic_status {
    floe_id id; /* this member */
    struct floe_hard_state hard_state; /* now, stored or not */
    struct floe_soft_state soft_state;
    floe_index applied;    /* acknowledged as applied; 0 = nothing */
    floe_index last_index; /* of the log, stored or not; 0 = empty */
    floe_id lead_transferee; /* 0 = no transfer under way */
    uint32_t election_elapsed; /* ticks since a leader was heard; at a leader since its check */
};

struct floe_status {
    struct floe_basic_status basic;
    struct floe_conf_state conf_state; /* the applied membership */
    struct floe_progress *progress; /* ascending by id; leaders only, else NULL */
    size_t progress_count;
};

/* Plain data, O(1). */
FLOE_EXPORT struct floe_basic_status floe_raft_basic_status(const struct floe_raft *raft);
/* Owned by caller; floe_status_deinit. Cost grows with the number of members. */
FLOE_EXPORT struct floe_status floe_raft_status(const struct floe_raft *raft);
FLOE_EXPORT void floe_status_deinit(struct floe_status *status);
/* Is id a voter in either half, or a learner, of the applied membership (thesis 4.3)? */
FLOE_EXPORT bool floe_raft_is_voter(const struct floe_raft *raft, floe_id id);
FLOE_EXPORT bool floe_raft_is_learner(const struct floe_raft *raft, floe_id id);
/* The term of a log position, 0 if it is compacted or not there. */
FLOE_EXPORT floe_term floe_raft_term_at(const struct floe_raft *raft, floe_index index);

/* ---- for tests ------------------------------------------------------------------------------- */

/* The current randomized timeout, ticks, > 0; the next change of role or term draws a new one. */
FLOE_EXPORT void floe_raft_set_randomized_election_timeout(struct floe_raft *raft, uint32_t ticks);

#ifdef __cplusplus
}
#endif
#endif
