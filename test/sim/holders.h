/*
 * Holders of leases: each is granted one with a key, renews it at any member for a while, and then
 * gives it back or lets it run out. They ask the node itself, beside api. What a member answered is
 * a promise: until then, in virtual time and whatever happens, every member that has applied the
 * grant has the lease and its key.
 */
#ifndef TEST_SIM_HOLDERS_H
#define TEST_SIM_HOLDERS_H

#include "base/prng.h"

#include <floe/types.h>
#include <stdbool.h>
#include <stdint.h>

struct world;
struct machine;
struct node_options;

#define SIM_HOLDERS 4

enum holder_does {
    HOLDER_RESTS,
    HOLDER_GRANTS,
    HOLDER_HOLDS,
    HOLDER_RENEWS,
    HOLDER_REVOKES,
    HOLDER_ALARMS, /* the operator: raises or lifts an alarm */
};

struct holder {
    enum holder_does does;
    uint64_t lease;
    uint64_t ttl_s;
    unsigned renewals; /* that are still wanted */
    unsigned machine;  /* that is asked; 0: not chosen yet */
    uint64_t token;
    uint64_t asked_us;
    uint64_t step;        /* of events that are still meant */
    floe_index granted;   /* log index */
    uint64_t promised_us; /* the lease must be there until then */
};

/* What a machine's store was last judged by: without a change nothing new can be found. */
struct holders_seen {
    uint64_t life;
    uint64_t generation;
    floe_index applied;
    uint64_t promises;
};

struct holders {
    struct prng prng; /* its own, so that what a seed does otherwise stays */
    uint64_t last_token;
    uint64_t last_lease;
    uint64_t promises; /* made; also counts answered grants */
    struct holder holder[SIM_HOLDERS + 1]; /* the last one is the operator of alarms */
};

void holders_start(struct world *world);
/* EVENT_HOLDER. */
void holders_event(struct world *world, unsigned number, uint64_t step);
/* Takes the node's results that are theirs; the others stay. */
void holders_take(struct world *world, struct machine *machine);
/* After a turn: what was promised is there. */
void holders_check(struct world *world, struct machine *machine);
/* Have all leases run out that nobody renews? */
bool holders_are_over(const struct world *world);
/* The store's settings, so that history goes in some runs. */
void holders_options(struct world *world, struct node_options *options);
/* Makes checkpoints so frequent that a run sees some; and in some runs the slices so small in which
 * a snapshot is written and the store tidied up that much happens in between. */
void holders_on_start(struct machine *machine);

#endif
