/*
 * When leases run out, as the leader of a term sees it. Pure: times come in as arguments.
 *
 * A lease is never shorter than its holder was told. A new leader gives each one all the time that
 * the replicated state leaves it: the whole of it, or what its last checkpoint says. So before a
 * lease with a checkpoint is said to be renewed, the checkpoint must be taken back by a committed
 * reset. A checkpoint counts from its proposal on, since it may be committed at any time.
 *
 * A lease that runs out is noticed first and proposed to expire later: when `grace_ms` have passed
 * and a round that began after the noticing has confirmed that this member still leads, with all
 * messages that had come by then worked off. A leader that stood still notices when it wakes, and
 * hears of a new term, or of renewals that wait in its sockets, before it does anything.
 *
 * What is proposed belongs to one term: who loses the leadership clears the clock.
 */
#ifndef NODE_LEASE_CLOCK_H
#define NODE_LEASE_CLOCK_H

#include "kv/command.h"

#include <sys/queue.h>
#include <uthash.h>

/* Checkpoints come when this much has passed without a renewal, or a quarter of the lease if that
 * is longer; so a change of leader makes a lease longer by no more than that. */
#define LEASE_CHECKPOINT_MS 60000u

enum lease_state {
    LEASE_RUNS, /* in the heap */
    LEASE_DUE,  /* its time is over, which is not proposed yet */
    LEASE_ENDS, /* ... is proposed: nothing saves it in this term */
};

enum lease_want { LEASE_WANTS_NOTHING, LEASE_WANTS_CHECKPOINT, LEASE_WANTS_RESET };

struct lease_timer {
    uint64_t id; /* key */
    uint64_t ttl_s;
    uint64_t deadline_ms;
    uint64_t checkpoint_ms; /* when the next one is wanted; UINT64_MAX: it is wanted already */
    enum lease_state state;
    enum lease_want want;
    bool marked;            /* a checkpoint is in the store, or may still get there */
    bool resetting;         /* a reset is proposed; no checkpoint is, until it is applied */
    uint64_t noticed_ms;    /* DUE: when ... */
    uint64_t noticed_round; /* ... and the first round that begins after that */
    size_t heap_at;
    TAILQ_ENTRY(lease_timer) in_due;
    TAILQ_ENTRY(lease_timer) in_want;
    UT_hash_handle hh;
};

TAILQ_HEAD(lease_list, lease_timer);

struct lease_clock {
    uint64_t grace_ms;
    uint64_t checkpoint_ms;    /* LEASE_CHECKPOINT_MS, if nobody changes it */
    struct lease_timer *by_id; /* uthash */
    struct lease_timer **heap; /* next event first */
    size_t heap_count;
    size_t heap_cap;
    struct lease_list due;
    struct lease_list want_checkpoint;
    struct lease_list want_reset;
};

void lease_clock_init(struct lease_clock *clock, uint64_t grace_ms);
/* Forgets all leases. */
void lease_clock_clear(struct lease_clock *clock);
void lease_clock_deinit(struct lease_clock *clock);

/* The store has this lease: granted just now, or found at the begin of a term. remaining_s as of
 * its last checkpoint, 0 = all. A lease that is known already stays as it is. */
void lease_clock_put(struct lease_clock *clock, uint64_t id, uint64_t ttl_s, uint64_t remaining_s,
                     uint64_t now_ms);
/* The store has it no longer. Nothing happens if it is not known. */
void lease_clock_drop(struct lease_clock *clock, uint64_t id);
/* A checkpoint or, with 0, a reset was applied. */
void lease_clock_on_checkpoint(struct lease_clock *clock, uint64_t id, uint64_t remaining_s);

enum lease_renewal {
    LEASE_UNKNOWN,
    LEASE_RENEWED,
    LEASE_WAITS, /* for its end, or for a reset: ask again after that is applied */
};
/* Gives the lease its whole time from now on, unless its end is proposed. Call it when a renewal
 * comes, which is safe but no promise, and again when the leadership is confirmed: then
 * LEASE_RENEWED may be told. */
enum lease_renewal lease_clock_renew(struct lease_clock *clock, uint64_t id, uint64_t now_ms);
/* false: not known. *remaining_ms is 0 when its time is over. */
bool lease_clock_look(const struct lease_clock *clock, uint64_t id, uint64_t now_ms,
                      uint64_t *ttl_s, uint64_t *remaining_ms);

/* Notices what has become due by now, up to a bound; next_round is the number of the next round of
 * confirmation to begin. true: there is more. */
bool lease_clock_turn(struct lease_clock *clock, uint64_t now_ms, uint64_t next_round);
/* When lease_clock_turn has something to notice; UINT64_MAX: never. */
uint64_t lease_clock_next_ms(const struct lease_clock *clock);
/* Is there a due lease that waits for a round that is not settled? */
bool lease_clock_needs_round(const struct lease_clock *clock, uint64_t settled_round);

/* Leases that may be proposed to expire, the oldest first. Call lease_clock_ends with those that
 * were. */
size_t lease_clock_due(const struct lease_clock *clock, uint64_t now_ms, uint64_t settled_round,
                       struct kv_lease_time *out, size_t max);
void lease_clock_ends(struct lease_clock *clock, const struct kv_lease_time *leases, size_t count);

/* Resets that renewals wait for, then checkpoints. Call lease_clock_checkpointed with those that
 * were proposed. */
size_t lease_clock_checkpoints(const struct lease_clock *clock, uint64_t now_ms,
                               struct kv_lease_time *out, size_t max);
void lease_clock_checkpointed(struct lease_clock *clock, const struct kv_lease_time *leases,
                              size_t count, uint64_t now_ms);

#endif
