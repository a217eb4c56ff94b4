/*
 * The inside of a node, shared by the files of this folder. Each part of the struct belongs to the
 * file that its comment names; others only read it.
 */
#ifndef NODE_INTERNAL_H
#define NODE_INTERNAL_H

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "node/ages.h"
#include "node/chain.h"
#include "node/leases.h"
#include "node/members.h"
#include "node/node.h"
#include "node/parts.h"
#include "node/waiters.h"
#include "storage/snapshot_file.h"
#include "storage/wal.h"

#include <sys/queue.h>

/* Bounds of one turn: work, not time, so that the simulator sees the same. */
#define NODE_TURN_EVENTS 512u           /* peer events */
#define NODE_TURN_BATCHES 16u           /* ready batches */
#define NODE_TURN_APPLY_BYTES (2u << 20)
#define NODE_TURN_APPLY_STEPS 8192u        /* keys that ranges and leases delete */
#define NODE_TURN_SLICE_BYTES (256u << 10) /* snapshot written or loaded */
#define NODE_TURN_TIDY_STEPS 4096u         /* of the store's own housekeeping */
#define NODE_TURN_COMPACT_ENTRIES 8192u /* of the log in memory that go behind a snapshot */
/* What may be on its way to a follower. Bytes bound it, which is memory, and not the number of
 * messages: 256 of them, one a turn, are 80 ms of 3,200 turns a second, and writes would wait for
 * the window (test/sim/wan). */
#define NODE_INFLIGHT_MSGS 65536u
#define NODE_INFLIGHT_BYTES (UINT64_C(8) << 20)
#define NODE_BATCH_ENTRIES 512u         /* proposals in one go */
#define NODE_BATCH_BYTES (1u << 20)
#define NODE_LOG_BYTES_MAX (UINT64_C(64) << 20) /* a snapshot is due when this much was applied */
#define NODE_LOG_BYTES_MIN (UINT64_C(16) << 20) /* ... and not before this much */
#define NODE_TRAILING_ENTRIES 5000u /* kept behind a snapshot, if no number between two is given */
#define NODE_TRAILING_BYTES_MAX (UINT64_C(32) << 20)
#define NODE_PEER_QUEUE_BYTES (32u << 20) /* messages to one member */
#define NODE_RETRY_MS 50u      /* before a refused proposal is tried again */
#define NODE_FAREWELL_MS 10000u /* a removed member is told for so long */
#define NODE_STOP_MS 3000u      /* an orderly stop is bounded by this */

#define ROOM_PATIENCE_MS 1000u  /* a write waits for so long before it is refused: room may come */

#define ROLLED_BACK_FILE "ROLLED_BACK"
#define HAS_LOG_FILE "HAS_LOG"

#define NODE_TOKEN_OWN_SNAPSHOT (SNAPSHOT_TOKEN_BASE + 1)
#define NODE_TOKEN_INCOMING (SNAPSHOT_TOKEN_BASE + 2)

/* Numbering of notes between nodes (peer_set_send_note). */
enum node_note {
    NOTE_NOT_APPENDED = 1,   /* boot, term and seqs of proposals that were not taken */
    NOTE_CHANGE_REQUEST = 2, /* a membership change for the leader to make */
    NOTE_CHANGE_ANSWER = 3,
    NOTE_REMOVED = 4,     /* you are no longer a member */
    NOTE_REMOVED_ACK = 5, /* I know */
    NOTE_REACHED = 6,     /* to the leader: that member is up, I have just reached it */
    NOTE_BEAT = 7,        /* of the leader, beside heartbeats: hashes of the chain (beats.c) */
    NOTE_BEAT_ANSWER = 8,
    NOTE_COUNTED = 9,     /* you acknowledged what is committed, up to this index */
    NOTE_RESEED = 10,      /* I have lost my data and start anew; a number of this try */
    NOTE_RESEED_ANSWER = 11, /* you are a new learner here: number, my term */
    NOTE_LEASE_ASK = 12,     /* to the leader: renewals and looks (leases.c) */
    NOTE_LEASE_ANSWER = 13,
};

struct node {
    struct node_options options; /* texts are our own copies */
    const struct logger *logger;
    struct fs fs;
    uint64_t now_ms;
    uint64_t boot; /* drawn at start, part of every ticket */

    /* pump.c */
    struct floe_raft *raft;
    struct floe_memstore *store;
    struct peer_set *peers;
    uint64_t next_tick_ms;
    struct floe_soft_state soft_state;
    bool had_data;      /* at start: this is not a first one */
    bool caught_up_own; /* what the own log says was committed is applied again */
    bool more; /* a turn ended at a bound */
    bool inbox_empty; /* all that had come was worked off in this turn */
    floe_index leader_commit; /* highest commit seen in a leader's messages */

    /* durable.c */
    struct wal *wal;
    STAILQ_HEAD(, held) held;
    bool sync_wanted;
    struct floe_hard_state hard_state; /* as last appended to the log; its commit may still ... */
    bool commit_unlogged;              /* ... wait for the next entry */
    uint64_t promised_at; /* log position behind all that an acknowledgement may stand for */

    /* disk_watch.c */
    struct disk_watch disk;

    /* failover.c */
    struct failover failover;
    struct prng prng;

    /* beats.c */
    struct beats beats;

    /* room.c */
    struct room room;

    /* reserve.c */
    struct reserve reserve;

    /* apply.c */
    struct kv *kv;
    uint64_t kv_generation;
    STAILQ_HEAD(, apply_job) apply_jobs;
    floe_index applied;
    floe_term applied_term;
    struct chain chain;     /* as of applied, or of the snapshot that is being read in */
    uint64_t applied_bytes; /* since the newest snapshot */
    uint64_t apply_budget;  /* bytes that may still be applied in this turn */
    size_t apply_steps_left; /* keys that may still be deleted in this turn */
    uint64_t apply_leases;  /* kv_lease_changes before the command under way */
    struct floe_conf_state conf_state; /* as of applied */
    struct members members;            /* as of applied */

    /* requests.c */
    struct waiters waiters;
    struct node_result *results; /* ring */
    size_t result_head;
    size_t result_count;
    size_t result_cap;
    uint64_t publish_ms; /* not before this */

    /* reads.c */
    TAILQ_HEAD(read_list, read) reads;
    size_t read_count;      /* of clients */
    uint64_t read_seq;      /* last read index request sent */
    uint64_t read_sent_ms;
    bool reads_unsent;
    struct freshness *fresh;

    /* leases.c */
    struct leases leases;

    /* retention.c */
    struct retention retention;
    bool kv_untidy; /* the store had more to tidy up at the last look */

    /* changes.c */
    floe_index change_index; /* our last proposed change, and the term in which it was: under way */
    floe_term change_term;   /* while we lead in that term and it is not applied */
    struct farewell *farewells;
    size_t farewell_count;
    size_t farewell_cap;
    uint64_t leaving_until_ms; /* we were removed and stay until somebody lets us go; 0: no */
    uint64_t promote_ms;
    bool transfer_begun;     /* a request for a transfer of leadership waits for its outcome */
    bool change_answered;    /* a change waits only for its index to be applied here */
    floe_index promote_goal; /* commit at the last look; a learner that has it is caught up */

    /* snapshots.c, transfers.c */
    floe_index snapshot_index; /* newest durable one that can be read */
    floe_index mark_index;     /* of the newest one that the log knows of, whether or not it can */
    floe_index kept_index;     /* the log is kept behind this: the snapshot before; 0 = all of it */
    bool snapshot_wanted; /* before its time: for another member, or to make room on the disk */
    uint64_t snapshot_retry_ms; /* none is begun before this */
    size_t slice_bytes; /* of the own snapshot, in a turn; NODE_TURN_SLICE_BYTES */
    size_t tidy_steps;  /* NODE_TURN_TIDY_STEPS */
    size_t apply_steps; /* NODE_TURN_APPLY_STEPS */
    struct own_snapshot own;
    bool log_waits; /* in memory it reaches further back than snapshots ask: there is more to do */
    struct loading loading;
    struct incoming_snapshot incoming;
    struct transfer *transfers;
    size_t transfer_count;
    size_t transfer_cap;
    uint64_t release_at;  /* log position that must be durable before old segments go */
    floe_index release_index; /* 0 = nothing to release */

    /* rollback.c */
    struct counted *counted;
    size_t counted_count;
    size_t counted_cap;
    uint64_t counted_ms; /* next look at the progress */

    /* reseed.c */
    struct reseed reseed;
    floe_id seeding_id;        /* at the leader: who asked last ... */
    uint64_t seeding_until_ms; /* ... and until when it is not promoted for that */

    /* stop.c */
    bool stopping;
    uint64_t stop_deadline_ms;
    uint64_t transfer_sent_ms;
    enum node_life life;
    bool damaged; /* FAILED: the data cannot be trusted */
    bool foreign; /* it was never of this cluster (history.c) */
    char failure[500];
};

/* core.c */
bool node_is_leader(const struct node *node);
/* A leader that has applied an entry of its term has applied all that others proposed before. */
bool node_has_taken_over(const struct node *node);
/* Steps a message, logging what the core refuses. */
enum floe_err node_step(struct node *node, const struct floe_message *message);
/* Ends the node: the log cannot be trusted any more. */
void node_fail(struct node *node, const char *what, const char *detail);

/* pump.c */
/* Sends to another member, or reports it unreachable. false: certainly not sent. */
bool node_send(struct node *node, const struct floe_message *message);

/* durable.c */
void durable_append(struct node *node, struct floe_message *message); /* takes it over */
/* What is committed goes to the disk without waiting for the next entry. */
void durable_log_commit(struct node *node);
/* Keeps a message until all entries and promises appended so far are durable; takes it over. */
void durable_hold(struct node *node, const struct floe_message *message);
void durable_on_sync(struct node *node, uint64_t token, enum err outcome);
void durable_start_sync(struct node *node);
/* Releases what the log's durable position allows; true if something was stepped. */
bool durable_release(struct node *node);
void durable_deinit(struct node *node);

/* failover.c */
void failover_on_broken(struct node *node, floe_id id);  /* our link to it */
void failover_on_heard(struct node *node, floe_id from); /* as a leader speaks */
void failover_on_connected(struct node *node);
void failover_turn(struct node *node);

/* disk_watch.c */
void disk_watch_on_wanted(struct node *node);   /* something waits for a sync */
void disk_watch_on_start(struct node *node);    /* which has been started */
void disk_watch_on_finished(struct node *node); /* and is done */
/* So much time between two turns: if it is long the process stood still, which is not the disk. */
void disk_watch_on_pause(struct node *node, uint64_t pause_ms);
void disk_watch_turn(struct node *node);
void disk_watch_tick(struct node *node, uint32_t election_ticks); /* a tick of the core */
uint64_t disk_watch_age_ms(const struct node *node); /* of the oldest unfinished write */
bool disk_watch_may_lead(const struct node *node);
/* Is this message not to be sent, as if it had been lost? */
bool disk_watch_withholds(const struct node *node, const struct floe_message *message);

/* beats.c */
void beats_tick(struct node *node);
void beats_on_beat(struct node *node, floe_id from, const uint8_t *data, size_t len);
void beats_on_answer(struct node *node, floe_id from, const uint8_t *data, size_t len);
void beats_on_applied(struct node *node);
enum node_disk beats_disk_of(const struct node *node, floe_id id); /* GOOD: it has not said */
void beats_deinit(struct node *node);

/* room.c */
void room_turn(struct node *node); /* looks at the room */
void room_on_told(struct node *node, floe_id leader, uint64_t level, floe_id who);
bool room_is_mute(const struct node *node);
/* NULL: a write is taken, or waits for room for a moment; else why it is refused. The text is good
 * as long as the node. */
const char *room_refusal(const struct node *node, bool grows);
const char *room_refusal_of_size(struct node *node, bool grows); /* for one alone */
/* Is there room for a proposal now? Then it counts as taken. growth: as of kv_command_growth. */
bool room_takes(struct node *node, size_t data_bytes, bool grows, uint64_t growth);
/* The same for what comes from another member. False: it must not be stepped. Of an append it may
 * leave the first entries only. */
bool room_accepts(struct node *node, struct floe_message *message);
/* Has the disk said no just now? */
bool room_was_refused(const struct node *node);
/* Or is it about to? Then nothing is kept that need not be. */
bool room_is_tight(const struct node *node);
void room_on_released(struct node *node); /* there may be more now */
void room_on_logged(struct node *node); /* what was taken is in the log */
const char *room_level_name(enum node_room level);

/* reserve.c */
void reserve_open(struct node *node); /* log and snapshot have been read */
void reserve_deinit(struct node *node);
void reserve_turn(struct node *node); /* before the log gets what is free */
/* Can the store grow by so much, and still all be deleted again? */
bool reserve_allows(struct node *node, uint64_t growth);
void reserve_on_taken(struct node *node, uint64_t growth);
/* Gives room back to the disk that the log wants; false: there is none to give. */
bool reserve_lend(struct node *node, uint64_t bytes, bool for_growth);
/* There is a newest one, of the store when it was so large. */
void reserve_on_snapshot(struct node *node, uint64_t tombstone_bytes, uint64_t grown_bytes);
void reserve_on_released(struct node *node);
/* Would one make room that is wanted? */
bool reserve_wants_snapshot(const struct node *node);

/* apply.c */
void apply_push(struct node *node, struct floe_message *message); /* takes it over */
/* Applies up to a bound; true if something was stepped into the core. */
bool apply_some(struct node *node);
bool apply_has_work(const struct node *node);
void apply_deinit(struct node *node);
/* Tells the peers floor about everybody in the table. */
void apply_members_to_peers(struct node *node);

/* requests.c */
void requests_result(struct node *node, struct waiter *waiter, struct node_result result);
void requests_push_result(struct node *node, struct node_result result);
/* At the leader, a command of its own that nobody waits for; false: the core does not take it. Once
 * it is taken, it is applied in this term or never. */
bool requests_propose_own(struct node *node, const struct kv_command *command);
void requests_propose(struct node *node);
void requests_expire(struct node *node);
/* Does the one who wrote this entry want to know what its operations found? */
bool requests_want_replies(struct node *node, uint64_t seq);
/* An entry of ours was applied; result is taken over. */
void requests_on_applied(struct node *node, uint64_t seq, struct node_result result);
/* index was applied: proposals that stood there and were not met are proved dead. */
void requests_on_index(struct node *node, floe_index index);
void requests_on_snapshot(struct node *node, floe_index index);
/* A forwarded batch leaves, in this term. */
void requests_on_forward(struct node *node, const struct floe_message *message, floe_term term);
/* An entry of a newer term is being applied. */
void requests_on_term(struct node *node, floe_term term);
void requests_on_not_appended(struct node *node, const uint8_t *data, size_t len);
/* Tells the sender of a MsgProp that nothing of it was appended. */
void requests_refuse_forwarded(struct node *node, const struct floe_message *message);
/* A forwarded MsgProp that certainly never left. */
void requests_on_unsent(struct node *node, const struct floe_message *message);
/* Everything ends: nothing queued will be done, the rest is unknown. */
void requests_end_all(struct node *node);
/* Why requests end, or are not taken any more. */
const char *requests_end_text(const struct node *node);
void requests_publish(struct node *node);

/* reads.c */
/* The core would answer a read, but perhaps from before what is committed. */
bool reads_come_too_early(const struct node *node);
/* A read of the node's own; what READ_LEASES says is told to leases_on_round. */
void reads_begin(struct node *node, enum read_for what, uint64_t token);
void reads_on_connected(struct node *node);
void reads_send(struct node *node);
void reads_on_state(struct node *node, const struct floe_read_state *state);
void reads_complete(struct node *node);
void reads_end_all(struct node *node);
void reads_on_leader(struct node *node);

/* leases.c */
void leases_init(struct node *node, uint64_t seed);
void leases_deinit(struct node *node);
/* After what came in, before reads are sent. */
void leases_turn(struct node *node);
/* Late in the turn: gives the answers. */
void leases_answer(struct node *node);
void leases_flush(struct node *node);
void leases_on_asks(struct node *node, floe_id from, const uint8_t *data, size_t len);
void leases_on_round(struct node *node, uint64_t round, bool confirmed);
/* A command was applied that may have changed leases; ours: requests_propose_own made it. */
void leases_on_applied(struct node *node, const uint8_t *data, size_t len, bool ours);
uint64_t leases_next_ms(const struct node *node);

/* lease_asks.c */
void lease_asks_time_out(struct node *node);
void lease_asks_send(struct node *node); /* to another member that leads */
void lease_asks_on_note(struct node *node, floe_id from, const uint8_t *data, size_t len);
void lease_asks_answer(struct node *node, const struct lease_answer *answer);
/* The first that are unsent are on their way. */
void lease_asks_mark_sent(struct node *node, uint32_t count);
void lease_asks_on_leader(struct node *node); /* it is another one: all is asked again */
void lease_asks_end_all(struct node *node);
uint64_t lease_asks_next_ms(const struct node *node);

/* retention.c */
void retention_turn(struct node *node);

/* changes.c */
/* At the leader, when none is under way. */
enum floe_err changes_propose(struct node *node, enum floe_conf_change_type type, floe_id id,
                              struct floe_blob *context);
/* Tries to get a queued change done; may end the waiter. */
void changes_attempt(struct node *node, struct waiter *waiter);
void changes_on_request(struct node *node, floe_id from, const uint8_t *data, size_t len);
void changes_on_answer(struct node *node, floe_id from, const uint8_t *data, size_t len);
/* A configuration entry at (term, index) was applied. */
void changes_on_applied(struct node *node, floe_index index, floe_term term);
/* Somebody leads, or nobody: transfers of leadership that were begun here end. */
void changes_on_leader(struct node *node);
/* An answered change whose index is applied here ends. */
void changes_complete(struct node *node);
void changes_say_farewell(struct node *node, floe_id id);
void changes_on_removed_ack(struct node *node, floe_id from);
void changes_tick(struct node *node);
/* Does the directory belong to a member that was removed? */
bool changes_was_self_removed(const struct node *node);
/* This member is out: remembers it on disk, ends everything. entry removed it; NULL: the entry was
 * not seen here (a snapshot or another member says so). */
void changes_on_self_removed(struct node *node, const char *how);
/* Our own removal was applied here: nothing is taken any more, but the others may still need us. */
void changes_begin_leaving(struct node *node, const struct floe_entry *entry);
/* Stopping, leaving or ended: requests are refused with requests_end_text. */
bool requests_are_over(const struct node *node);

/* marks.c */
/* A small file in the data directory, durable. A failure is logged. */
void marks_put(struct node *node, const char *name, const char *text);
bool marks_has(const struct node *node, const char *name);

/* rollback.c */
void rollback_tick(struct node *node);
void rollback_forget(struct node *node, floe_id id); /* it starts anew */
void rollback_on_connected(struct node *node, floe_id id);
/* history.c: a MsgApp that shows that our log is not the cluster's is the end. */
void history_check(struct node *node, const struct floe_message *message);

/* from says that we have acknowledged all up to counted, and it is committed: if that is not in the
 * log, this is the end. */
void rollback_check(struct node *node, floe_id from, floe_index counted);
/* ERR_CORRUPT with a text if an earlier life found that out. */
enum err rollback_refuse_marked(const struct node *node, struct buf *why) MUST_USE;

/* reseed.c */
/* At start: goes on with what an earlier life began, or begins if the options want it. */
enum err reseed_open(struct node *node, struct buf *why) MUST_USE;
/* Moves the data aside, so that this member starts with an empty log. */
enum err reseed_begin(struct node *node, struct buf *why) MUST_USE;
void reseed_tick(struct node *node);
/* Does this member not count yet? Then it starts no election. */
bool reseed_is_mute(const struct node *node);
/* It counts, but has not been made a voter again. */
bool reseed_is_learner(const struct node *node);
/* May the core hear this message? */
bool reseed_allows(const struct node *node, const struct floe_message *message);
void reseed_on_answer(struct node *node, floe_id from, const uint8_t *data, size_t len);
/* The table of members has changed: perhaps this one was admitted. */
void reseed_on_members(struct node *node);
void reseed_on_request(struct node *node, floe_id from, const uint8_t *data, size_t len);
/* At the leader: has it asked just now, so that it is too early to promote it? */
bool reseed_asks(const struct node *node, floe_id id);

/* snapshots.c */
void snapshots_maybe_start(struct node *node);
void snapshots_work(struct node *node);
bool snapshots_have_work(const struct node *node);
void snapshots_on_sync(struct node *node, uint64_t token, enum err outcome);
/* The core took over a snapshot whose file is durable: reads it in. */
void snapshots_install(struct node *node, const struct floe_snapshot *snapshot);
void snapshots_release(struct node *node);
void snapshots_compact_log(struct node *node);
void snapshots_deinit(struct node *node);
/* Reads a whole snapshot file at start. */
enum err snapshots_recover(struct node *node, floe_index index, struct buf *why);
enum err snapshots_reader_open(struct node *node, floe_index index, struct snapshot_reader **out);

/* transfers.c */
void transfers_send(struct node *node, const struct floe_message *message);
void transfers_feed(struct node *node);
void transfers_on_sent(struct node *node, floe_id to, bool ok);
void transfers_on_begin(struct node *node, struct peer_event *event);
void transfers_on_record(struct node *node, const struct peer_event *event);
void transfers_on_abort(struct node *node, floe_id from);
void transfers_on_sync(struct node *node, enum err outcome);
void transfers_deinit(struct node *node);
/* Lowest index that a running transfer still needs the log behind; UINT64_MAX: none. */
floe_index transfers_hold_back(const struct node *node);

/* recover.c */
enum err recover_open(struct node *node, struct buf *why);
uint32_t recover_election_ticks(const struct node *node);
/* Once the own log is applied: says so if the configuration file's member list is another one. */
void recover_compare_members(const struct node *node);

/* stop.c */
/* Who should lead after this member; 0: there is nobody. */
floe_id stop_best_heir(struct node *node);
/* Asks the most advanced other voter to take over, at most once an election time; false: there
 * is nobody. */
bool stop_transfer_away(struct node *node);
void stop_pump(struct node *node);

#endif
