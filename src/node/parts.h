/* The parts of a node: each belongs to the file that its comment names, others only read it. */
#ifndef NODE_PARTS_H
#define NODE_PARTS_H

#include "node/node.h"
#include "storage/snapshot_file.h"

#include <sys/queue.h>

/* An acknowledgement that needs the disk: created held, released by position (durable.c). */
struct held {
    uint64_t position; /* of the log, bytes */
    struct floe_message message;
    STAILQ_ENTRY(held) next;
};

/* A FLOE_MSG_STORAGE_APPLY being worked off (apply.c). */
struct apply_job {
    struct floe_message message;
    size_t done; /* entries */
    STAILQ_ENTRY(apply_job) next;
};

enum read_for {
    READ_CLIENT,
    READ_LEASES, /* a round of confirmation; token is its number */
    READ_AGE,    /* so that the age of the state is known */
};

/* A linearizable read (reads.c). */
struct read {
    enum read_for what;
    uint64_t token;
    uint64_t deadline_ms;
    uint64_t sent_ms;   /* of first_seq: what is read is at least as new */
    uint64_t first_seq; /* answers to read index requests from this one on count; 0 = none sent */
    floe_index index;   /* 0 = no answer yet */
    bool has_index;
    TAILQ_ENTRY(read) next;
};

/* How old the state may be (reads.c). Of its own, so that a look at it can say that it matters. */
struct freshness {
    bool known;
    uint64_t as_of_ms; /* the state is no older than this */
    bool asked;
    uint64_t asked_ms; /* when somebody wanted to know last */
    bool under_way;
    uint64_t next_ms;
};

/* What of the history and of the tickets is to go, at the leader (retention.c). */
struct retention {
    floe_term term; /* in which it was sampled; 0 = not the leader */
    struct ages revisions;
    struct ages tickets;
    uint64_t forgotten; /* tickets up to this are proposed to be forgotten */
    uint64_t compacted; /* proposed last; it flies until the store says so, too */
    uint64_t tidied;    /* compactions up to this revision have freed what they can */
    uint64_t next_ms;
};

/* A snapshot of our own being written (snapshots.c). */
struct own_snapshot {
    struct kv_view *view; /* NULL: none, or complete */
    struct snapshot_writer *writer;
    struct snapshot_meta meta; /* as of the view */
    uint64_t tombstone_bytes; /* of the store then */
    uint64_t grown_bytes;
    bool syncing;
    bool discard; /* overtaken: throw it away once its sync is done */
};

/* A snapshot that another member sends (transfers.c). */
struct incoming_snapshot {
    struct snapshot_writer *writer; /* NULL: none */
    floe_id from;
    struct floe_message message; /* the FLOE_MSG_SNAP to be stepped when the file is durable */
    bool syncing;
    bool discard;
};

/* A snapshot on its way to another member (transfers.c). */
struct transfer {
    floe_id to;
    floe_index index;
    struct snapshot_reader *reader; /* NULL: all fed */
};

/* A snapshot file being read into a store (snapshots.c). */
struct loading {
    struct snapshot_reader *reader; /* NULL: none */
    struct kv_loader *loader;
    floe_index index;
    floe_term term;
};

/* A member that was removed and must hear of it (changes.c). */
struct farewell {
    floe_id id;
    uint64_t position; /* in the log: not before that is durable */
    uint64_t until_ms;
    uint64_t next_ms;
};

/* A write that waits for the disk (disk_watch.c). */
struct disk_wait {
    bool is; /* there is one */
    uint64_t since_ms;
};

struct disk_watch {
    struct disk_wait flying;   /* the oldest that the sync in flight covers */
    struct disk_wait gathered; /* the oldest that waits for the next one */
    enum node_disk state;
    bool was_stuck;       /* and has not been good for long enough since */
    uint64_t bad_ms;      /* when a write was late last */
    uint64_t late_count;  /* times that it got late or stuck */
    uint64_t stuck_count;
    uint64_t longest_ms;
    uint64_t said_late_ms; /* no further line before this */
    bool giving_up;        /* leadership, since: */
    uint64_t give_up_ms;
    bool silent; /* nothing goes to followers, so that they elect */
};

/* What is to be written to the log: bytes of records in all, and of the largest one. */
struct load {
    uint64_t bytes;
    uint64_t largest;
    uint64_t growth; /* that it may add to snapshots */
};

/* Room for the next snapshot (reserve.c). */
struct reserve {
    struct snapshot_room *room;
    uint64_t snapshot_bytes; /* of the newest one's file */
    uint64_t base_bytes;     /* with tombstones for all that is in it ... */
    uint64_t base_grown;     /* ... as of when the store had grown so far; base 0: not known */
    uint64_t pending_old;    /* growth that is not applied yet, by entries up to ... */
    floe_index pending_upto; /* ... this one, ... */
    uint64_t pending_new;    /* ... and by others */
    bool is_short;           /* less than what growth needs */
    bool is_growing;         /* the rest comes in the next turns */
    bool is_tight;           /* the disk did not give what was wanted, which is more than that */
    bool is_frugal;          /* the log is */
    uint64_t retry_ms;       /* the disk is not asked before this */
    uint64_t look_ms;
};

/* Room for the log (room.c). */
struct room {
    enum node_room own;
    enum node_room level; /* what counts for requests: the leader's view of all, or the own ... */
    floe_id who;          /* ... because of this member, ... */
    uint64_t since_ms;    /* ... which has not been good since */
    char text[320];       /* for who is refused */
    char size_text[320];
    floe_id told_by;      /* the leader that said so last: */
    enum node_room told;
    floe_id told_who;
    bool pressed;         /* growth of no great size found no room */
    uint64_t retry_ms;    /* nothing is reserved before this */
    uint64_t snapshot_ms; /* no snapshot is wanted for the room before this */
    floe_id starved;      /* at the leader: who is short, ... */
    floe_index starved_at; /* ... what it has, ... */
    uint64_t starved_ms;  /* ... which has not been more since */
    uint64_t look_ms;     /* when that is looked at again */
    bool is_starving;     /* it is to get a snapshot and not the log */
    struct load taken;    /* in this turn, and not in the log yet */
};

/* Hashes of the chain at one index, by member (beats.c). */
struct beat_vote {
    floe_id id;
    uint64_t hash;
};
struct beat_votes {
    struct beat_vote *list;
    size_t count;
    size_t cap;
};

struct beat_peer {
    floe_id id;
    enum node_disk disk; /* as it said last ... */
    enum node_room room;
    uint64_t heard_ms; /* ... then */
};

struct beats {
    floe_index index; /* leader: asked for; 0 = nothing yet */
    uint64_t hash;    /* our own there */
    uint64_t asked_ms;
    bool complete; /* the last note told all answers */
    struct beat_votes votes; /* for index, ours included */
    struct beat_peer *peers;
    size_t peer_count;
    size_t peer_cap;
    floe_index question; /* others: asked for before it was applied; 0 = none */
    bool answer_known;
    uint64_t answer;
    floe_index judged_index;
    bool differs; /* from the leader, and nobody knows who is right, since: */
    uint64_t differs_ms;
};

/* What a member acknowledged to us when we led, as far as it was committed (rollback.c). */
struct counted {
    floe_id id;
    floe_index index;
};

/* An election that does not wait for its time-out (failover.c). */
struct failover {
    uint64_t campaign_ms; /* 0: none is due */
    floe_id lost;         /* the leader whose link broke; 0: none, at the start */
    unsigned tries;
    bool started; /* the one at the start was arranged */
};

enum reseed_stage {
    RESEED_NONE = 0,
    RESEED_MOVING = 1,
    RESEED_ASKING = 2,
    RESEED_ADMITTED = 3,
};

/* This member starts anew under its old id (reseed.c). The first four are kept on disk. */
struct reseed {
    enum reseed_stage stage;
    uint64_t number; /* of this try, not 0 */
    uint64_t stamp;  /* in the names of what was moved aside */
    floe_term floor; /* no vote is cast in this term or an older one */
    floe_id leader;        /* the only one that is listened to while asking; 0 = none ... */
    floe_term leader_term; /* ... and in which term */
    uint64_t ask_ms;
    uint64_t complain_ms;
    uint64_t finish_at; /* log position of a later term, plus 1; 0 = not there yet */
};

#endif
