/*
 * Tickets: each request that changes something waits here until it ends, exactly once.
 *
 *   QUEUED      certainly nowhere yet; proposed as soon as there is a leader
 *   PROPOSED    appended to the own log at (index, term); another entry applied there proves that
 *               it will never be: back to QUEUED
 *   FORWARDED   sent to the leader of a term; back to QUEUED if the leader says that it took
 *               nothing, or an entry of a later term is applied
 *   UNKNOWABLE  a snapshot has jumped over its place, or may have
 *
 * All have the same time-out, so the list of all is in the order of deadlines.
 */
#ifndef NODE_WAITERS_H
#define NODE_WAITERS_H

#include "base/addr.h"

#include <floe/types.h>
#include <sys/queue.h>
#include <uthash.h>

/* Numbers of notes (changes.c). */
enum waiter_kind {
    WAITER_WRITE = 0,
    WAITER_ADD = 1,
    WAITER_REMOVE = 2,
    WAITER_PROMOTE = 3,
    WAITER_UPDATE = 4,
    WAITER_TRANSFER = 5, /* of the leadership */
};
enum waiter_state { WAITER_QUEUED, WAITER_PROPOSED, WAITER_FORWARDED, WAITER_UNKNOWABLE };

struct waiter {
    uint64_t seq; /* key; unique for this start of the process */
    enum waiter_kind kind;
    enum waiter_state state;
    uint64_t token;   /* the caller's */
    bool want_replies; /* WRITE */
    bool grows;       /* WRITE: takes room for good ... */
    uint64_t growth;  /* ... so much, in snapshots */
    bool internal;    /* nobody to answer: our own publication, a change for another member */
    floe_id origin;   /* a change asked for by this member; 0 = our own caller */
    uint64_t origin_seq;
    uint64_t deadline_ms;
    uint64_t retry_ms; /* QUEUED: not before this */
    struct floe_blob *data; /* WRITE: the envelope */
    size_t bytes;           /* counted against the bound */
    floe_id member_id;      /* all but WRITE; TRANSFER: to whom, 0 = to the best */
    char address[ADDR_TEXT_MAX]; /* ADD, UPDATE */
    bool stay_learner;           /* ADD */
    uint64_t give_up_ms;         /* TRANSFER: begun here, has failed by then; 0 = not begun */
    floe_index index; /* PROPOSED: its place; an answered change waits until this is applied */
    floe_term term; /* PROPOSED, FORWARDED: in which */
    bool answered; /* the leader says that the change at index is committed */
    TAILQ_ENTRY(waiter) in_all;
    TAILQ_ENTRY(waiter) in_state; /* in queued, or in proposed */
    UT_hash_handle hh;
};

TAILQ_HEAD(waiter_list, waiter);

struct waiters {
    struct waiter *by_seq; /* uthash */
    struct waiter_list all;
    struct waiter_list queued;
    struct waiter_list proposed; /* in the order of proposing */
    size_t count;
    size_t bytes;
    uint64_t last_seq;
};

void waiters_init(struct waiters *waiters);
void waiters_deinit(struct waiters *waiters);
/* A new one, QUEUED; data is taken over. Borrowed until waiters_end. */
struct waiter *waiters_add(struct waiters *waiters, enum waiter_kind kind, struct floe_blob *data,
                           size_t bytes, uint64_t deadline_ms);
struct waiter *waiters_find(struct waiters *waiters, uint64_t seq);
void waiters_set_state(struct waiters *waiters, struct waiter *waiter, enum waiter_state state);
/* Takes it out and frees it. */
void waiters_end(struct waiters *waiters, struct waiter *waiter);

#endif
