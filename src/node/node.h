/*
 * One member: the one place that knows the order persist -> send -> apply -> answer.
 *
 * No socket, file or clock: files through struct fs, peers through struct peer_set, time as an
 * argument. Requests go in with a token of the caller's; for each exactly one result with that
 * token comes out of the result queue, also when nothing works (by request_timeout_ms).
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/logger.h"
#include "kv/kv.h"
#include "peer/peer.h"
#include "storage/fs.h"

#include <floe/raft.h>

struct node;

struct node_member_option {
    floe_id id;
    const char *address; /* "host:port" of the peer listener, canonical */
};

struct node_options {
    floe_id id;
    const char *name;
    const char *cluster;
    const char *http_address; /* advertised client address, "host:port" */
    const char *peer_address; /* advertised peer address, "host:port" */
    const struct node_member_option *members; /* first start only; includes this one */
    size_t member_count;
    bool join; /* start without a membership of one's own and wait to be added */
    /* Not 0: what is stored cannot be used (or is gone): moves it aside to names that end with this
     * number (a time), and starts anew under this id from what other members have. If that was
     * begun already, goes on with it. */
    uint64_t reseed_stamp;
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint64_t snapshot_entries;   /* between two snapshots; 0: as the log and the store grow */
    size_t pending_bytes;        /* bound of requests under way */
    uint32_t request_timeout_ms;
    uint64_t log_segment_bytes; /* of each log file; 0: the log's default */
    /* The store's history is kept at least until one of both is passed; 0: 1 h, 100 MB. */
    uint64_t history_ms;
    uint64_t history_bytes;
    uint64_t seed;
    struct fs fs;
    const struct logger *logger;
};

/* Recovers from fs or starts afresh. why gets a text for the operator on error. ERR_MISMATCH: the
 * data directory is another member's or cluster's; ERR_NOT_FOUND: it was removed from the
 * cluster; ERR_CORRUPT: what is stored is damaged, or was rolled back once; ERR_VERSION, ERR_IO. */
enum err node_open(const struct node_options *options, uint64_t now_ms, struct node **out,
                   struct buf *why) MUST_USE;
void node_free(struct node *node);

/* ---- turns ----------------------------------------------------------------------------------- */

/* Once a turn of the loop, after its callbacks: does all that is ready, bounded. */
void node_pump(struct node *node, uint64_t now_ms);
/* There is work left that waits for nothing: turn again without sleeping. */
bool node_has_work(const struct node *node);
/* When node_pump wants to be called at the latest, now_ms clock. */
uint64_t node_next_deadline_ms(const struct node *node);
struct peer_set *node_peers(struct node *node); /* for io to connect */
/* Starts an orderly stop: hands leadership over, answers what waits, syncs. */
void node_stop(struct node *node, uint64_t now_ms);

enum node_life {
    NODE_RUNNING,
    NODE_STOPPED, /* after node_stop: everything is answered and durable */
    NODE_REMOVED, /* this member was removed from the cluster and everything is answered */
    NODE_FAILED,  /* the log cannot be written, everything is answered: end the process
                   * (node_failure) */
};
enum node_life node_life(const struct node *node);
const char *node_failure(const struct node *node);
/* FAILED, and the stored data is damaged, too old, or not the cluster's: it must not be used again,
 * but made anew from the others. */
bool node_is_damaged(const struct node *node);
/* Damaged, and of this cluster: to be started with reseed_stamp. */
bool node_reseed_helps(const struct node *node);

/* ---- requests -------------------------------------------------------------------------------- */

/* A write; command is borrowed for the call (node encodes it). want_replies: kv.replies of the
 * result is filled. */
void node_write(struct node *node, uint64_t token, const struct kv_command *command,
                bool want_replies, uint64_t now_ms);
/* A barrier: NODE_OK once everything committed before this call anywhere is applied here; read
 * node_kv then, in the same turn. */
void node_read(struct node *node, uint64_t token, uint64_t now_ms);
/* Gives a lease its whole time again, at the leader, who confirms that it still leads before it
 * answers. NODE_OK: see lease_known. The holder may count the time from when it asked. */
void node_lease_renew(struct node *node, uint64_t token, uint64_t id, uint64_t now_ms);
/* What remains of a lease, as the leader knows. */
void node_lease_look(struct node *node, uint64_t token, uint64_t id, uint64_t now_ms);
/* Random, 1 to 2^63-1, not in use here. */
uint64_t node_new_lease_id(struct node *node);
/* Whoever makes a grant raises a shorter time to this: one and a half election time-outs, so that a
 * lease outlives an election. The store takes what the command says. */
uint64_t node_lease_min_ttl_s(const struct node *node);
/* Adds a member at peer address (canonical "host:port"), first as a learner; as soon as it has
 * caught up it is promoted, unless stay_learner. */
void node_add_member(struct node *node, uint64_t token, floe_id id, const char *address,
                     bool stay_learner, uint64_t now_ms);
/* Makes a voter of a learner that has caught up. NODE_REFUSED: it is none, or has not. */
void node_promote_member(struct node *node, uint64_t token, floe_id id, uint64_t now_ms);
/* Changes its peer address. */
void node_update_member(struct node *node, uint64_t token, floe_id id, const char *address,
                        uint64_t now_ms);
void node_remove_member(struct node *node, uint64_t token, floe_id id, uint64_t now_ms);
/* Makes another voter the leader; 0: the best. NODE_OK: it is, or was already. */
void node_transfer_leader(struct node *node, uint64_t token, floe_id to, uint64_t now_ms);

enum node_outcome {
    NODE_OK,       /* write: it was applied, and kv.status says what came of it */
    NODE_NOT_DONE, /* certainly not done: no leader in time, or stopping; try again */
    NODE_UNKNOWN,          /* may or may not be done */
    NODE_OVERLOADED,       /* certainly not done: over pending_bytes */
    NODE_NO_ROOM,          /* certainly not done: a voter's disk is full; text says whose */
    NODE_CONFLICT,         /* member: id in use or removed once */
    NODE_MEMBER_NOT_FOUND,
    NODE_CHANGE_UNDER_WAY, /* member: another change has not ended yet; try again */
    NODE_REFUSED,          /* member: e.g. removing the last voter; text says why */
};

struct node_result {
    uint64_t token;
    enum node_outcome outcome;
    struct kv_result kv; /* of a write; owned by receiver: kv_result_deinit */
    floe_term term;      /* of the log entry of a write or member change */
    floe_index index;    /* 0 = not known: the member's own removal, learnt otherwise */
    const char *text;    /* more about outcome, or NULL; good as long as the node */
    bool lease_known;    /* renew, look: there is such a lease */
    uint64_t lease_ttl_s; /* as granted */
    uint64_t lease_remaining_ms;
};
/* Moved out: what it owns is the caller's. */
bool node_next_result(struct node *node, struct node_result *out);

/* ---- looking --------------------------------------------------------------------------------- */

const struct kv *node_kv(const struct node *node);
/* Changes when a snapshot has replaced the store: positions in its history are void then. */
uint64_t node_kv_generation(const struct node *node);
/* How old the state here may be at most; UINT64_MAX: not known. While it is asked for, the member
 * confirms its state with the leader every few heartbeats. */
uint64_t node_age_ms(const struct node *node, uint64_t now_ms);

struct node_member {
    floe_id id;
    bool learner;
    bool stays_learner; /* until it is promoted by a request */
    bool is_self;
    const char *name;         /* "" until it has published one; borrowed until the next pump */
    const char *peer_address; /* borrowed likewise */
    const char *http_address;
    bool has_progress; /* only at the leader, for others than itself */
    struct floe_progress progress;
    bool connected;
    bool ever_heard;
    uint64_t heard_ms_ago; /* if ever_heard */
};

/* How long writes of the log wait for the disk, in election time-outs (and at least 250 ms, 1 s and
 * 5 s). */
enum node_disk {
    NODE_DISK_GOOD,
    NODE_DISK_LATE,       /* half of one or longer */
    NODE_DISK_STUCK,      /* two or longer: gives leadership up, is not ready */
    NODE_DISK_RECOVERING, /* was stuck less than ten ago: does not campaign */
};

/* What the room that is reserved for the log allows. The leader refuses growth while any voter that
 * it hears has none for it. */
enum node_room {
    NODE_ROOM_GOOD,
    NODE_ROOM_NO_GROWTH, /* PUT is refused; reads, deletes and membership changes go on */
    NODE_ROOM_NONE,      /* reads go on */
    NODE_ROOM_MUTE,      /* the last is kept: this member is as if cut off from the others */
};

struct node_status {
    floe_id id;
    const char *name;
    const char *cluster;
    uint64_t cluster_id; /* a hash of its name, not 0 */
    const char *role; /* "leader", "follower", "candidate", "pre-candidate", "learner" */
    floe_term term;
    floe_id leader; /* 0 = none */
    floe_index commit;
    floe_index applied;
    floe_index last_index;
    floe_index snapshot_index;
    uint64_t revision;
    floe_index chain_index; /* of chain_hash, which covers everything applied; 0 = not known */
    uint64_t chain_hash;
    enum node_disk disk;
    uint64_t disk_waits_ms;   /* age of the oldest unfinished write; 0 = none */
    uint64_t disk_longest_ms; /* of all since the start */
    uint64_t disk_late_count; /* times that it got late or worse */
    uint64_t disk_stuck_count;
    const char *room;      /* name of this member's enum node_room; static */
    uint64_t room_bytes;   /* reserved for the log */
    const char *room_text; /* why writes are refused, or NULL; borrowed until the next pump */
    bool caught_up;     /* applied what a leader last said is committed; loads no snapshot */
    const char *reason; /* if not ready: why */
    struct node_member *members; /* ascending by id */
    size_t member_count;
};
/* Owned by caller. */
struct node_status node_status(const struct node *node, uint64_t now_ms);
void node_status_deinit(struct node_status *status);
/* Cheap: leader 0 = none. */
floe_id node_leader(const struct node *node);

#endif
