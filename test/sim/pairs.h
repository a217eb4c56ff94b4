/*
 * Clients of two keys: each transaction writes the same to both, if at all, and each read looks at
 * both. To them it is one register, whose history must be linearizable, and both halves must always
 * agree. They ask the node itself, beside api.
 */
#ifndef TEST_SIM_PAIRS_H
#define TEST_SIM_PAIRS_H

#include "base/prng.h"
#include "linear.h"

struct world;
struct machine;
struct node_result;

#define SIM_PAIRERS 3
#define PAIR_TOKENS (UINT64_C(3) << 62) /* from here on */

struct pairer {
    uint64_t token;    /* of what is under way; 0: nothing */
    size_t op;         /* of the history */
    uint64_t revision; /* newest that it knows of */
    uint64_t step;     /* of events that are still meant */
};

struct pairs {
    struct prng prng; /* its own, so that what a seed does otherwise stays */
    struct pairer pairer[SIM_PAIRERS];
    uint64_t last_token;
    uint64_t last_value;
    uint64_t clock; /* orders calls and answers */
    struct linear_op *ops;
    bool *dropped; /* certainly not done, or a read without an answer */
    size_t count;
    size_t cap;
    size_t dropped_cap;
};

void pairs_start(struct world *world);
void pairs_deinit(struct pairs *pairs);
/* EVENT_PAIR. */
void pairs_event(struct world *world, unsigned number, uint64_t step);
/* A result whose token is one of theirs, in the turn in which the node had it. */
void pairs_take(struct world *world, struct machine *machine, const struct node_result *result);
/* At the end. */
void pairs_check(struct world *world);

#endif
