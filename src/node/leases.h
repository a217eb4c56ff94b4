/*
 * What a member keeps about leases: renewals and looks that were asked of it, and at the leader the
 * clock and what waits to be confirmed (leases.c).
 */
#ifndef NODE_LEASES_H
#define NODE_LEASES_H

#include "base/prng.h"
#include "node/lease_clock.h"

#include <floe/types.h>

/* Asked here; it goes to the leader, again and again until it is answered. */
struct lease_ask {
    uint64_t seq; /* key; counts up from a number drawn at start */
    uint64_t token;
    uint64_t lease;
    bool look; /* else a renewal */
    bool sent;
    uint64_t deadline_ms;
    uint64_t again_ms; /* sent: when again */
    TAILQ_ENTRY(lease_ask) in_all;
    TAILQ_ENTRY(lease_ask) in_state; /* unsent, or sent */
    UT_hash_handle hh;
};
TAILQ_HEAD(lease_asks, lease_ask);

/* At the leader: asked by a member. */
struct lease_wait {
    floe_id origin;
    uint64_t seq;
    uint64_t lease;
    bool look;
    uint64_t round; /* that must confirm that this member leads; it begins after the asking */
    uint64_t deadline_ms;
    STAILQ_ENTRY(lease_wait) next;
};
STAILQ_HEAD(lease_waits, lease_wait);

struct lease_answer {
    floe_id origin;
    uint64_t seq;
    bool known;
    uint64_t ttl_s;
    uint64_t remaining_ms;
};

struct leases {
    struct prng prng; /* of new ids */
    uint64_t last_seq;
    struct lease_ask *by_seq; /* uthash */
    struct lease_asks all;    /* in the order of deadlines */
    struct lease_asks unsent;
    struct lease_asks sent; /* in the order of again_ms */
    size_t ask_count;

    /* the leader's; all of it ends with the term */
    struct lease_clock clock;
    floe_term term; /* whose clock it is; 0 = not the leader, or not yet */
    bool filling;   /* the clock, from the store, from this id on: */
    uint64_t fill_next;
    struct lease_waits fresh; /* in the order of rounds */
    struct lease_waits stuck; /* confirmed; wait for an end or a reset to be applied */
    size_t wait_count;
    bool unstick;       /* something was applied that stuck ones may have waited for */
    uint64_t round;     /* last begun */
    uint64_t confirmed; /* last that confirmed that this member leads ... */
    uint64_t settled;   /* ... and after which all that had come was worked off */
    bool round_flies;
    bool end_flies; /* proposed and not applied yet: one at a time */
    bool checkpoint_flies;

    struct lease_answer *answers; /* of this turn */
    size_t answer_count;
    size_t answer_cap;
};

#endif
