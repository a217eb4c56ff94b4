/*
 * The judge: what must hold whatever happens. After each turn: the invariants of the core and the
 * properties of the thesis' figure 3.2; at the end: every acknowledged write, in order.
 */
#ifndef TEST_SIM_CHECK_H
#define TEST_SIM_CHECK_H

#include <floe/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
struct machine;

/* What was seen of a process; zero at its start. */
struct check_node {
    floe_term term;
    floe_id vote;
    floe_index commit;
    floe_index applied;
    floe_term led; /* the newest term for which its log was compared as a leader's */
    uint64_t revision;
    uint64_t applied_bytes; /* since its newest snapshot */
    uint64_t store_bytes;   /* the most that it had */
    bool moving;            /* a snapshot, from or to another member */
};

struct check_place { /* of the log */
    floe_term term;  /* committed there; 0: not known */
    floe_term seen;  /* it was committed in this term or before */
    uint64_t hash;   /* of the state after it; 0: not known */
    unsigned machine;
};

struct check {
    bool failed;
    char why[1024];
    struct check_place *places; /* by index */
    size_t place_cap;
    floe_index last;  /* known */
    floe_id *leaders; /* by term */
    size_t leader_cap;
    uint64_t too_complex; /* histories */
};

void check_deinit(struct check *check);
/* Something is violated; the first one counts. */
__attribute__((format(printf, 2, 3))) void check_fail(struct world *world, const char *format, ...);
void check_turn(struct world *world, struct machine *machine);
/* Part of it: memory and work of one turn (bounds.c). */
void bounds_check(struct machine *machine);
/* A process ends: what its disk promised must not be forgotten. */
/* Where every machine stands, as lines of the trace. */
void check_describe(struct world *world);
void check_history(struct world *world);
/* Have all live members of the newest configuration applied index, and do their states agree? */
bool check_converged(struct world *world, floe_index index);

#endif
