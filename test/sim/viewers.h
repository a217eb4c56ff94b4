/*
 * Who watches keys over HTTP, by the hub of the member that is asked: some read slowly, all leave
 * now and then and go on with another member, where they were. By the model of the store each must
 * get every event of its keys once, in order, those of a revision in one piece, or be told that
 * they are gone; whatever snapshots are installed and members started again meanwhile.
 */
#ifndef TEST_SIM_VIEWERS_H
#define TEST_SIM_VIEWERS_H

#include "base/buf.h"
#include "base/prng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
struct machine;
struct api_response;
struct api_chunk;

#define SIM_VIEWERS 6
#define VIEWER_TOKENS (UINT64_C(1) << 51) /* from here on */

struct viewer {
    uint64_t token;   /* of its stream; 0: none */
    unsigned machine; /* that is asked */
    uint64_t step;    /* of events that are still meant */
    unsigned target;  /* which keys */
    bool is_open;     /* the stream has begun */
    bool is_slow;
    bool is_full;  /* it reads nothing now */
    bool inside;   /* of a revision: its end is not known yet */
    uint64_t from; /* asked for; 0: from now on */
    uint64_t next; /* everything before this revision was read; 0: nothing yet */
    size_t at;     /* the model's next event to be looked at */
};

struct viewers {
    bool on;
    struct prng prng; /* its own, so that what a seed does otherwise stays */
    struct viewer viewer[SIM_VIEWERS];
    uint64_t last_token;
};

void viewers_start(struct world *world);
/* EVENT_VIEWER. */
void viewers_event(struct world *world, unsigned number, uint64_t step);
/* false: it is not one of theirs. */
bool viewers_answered(struct world *world, const struct api_response *response);
bool viewers_chunk(struct world *world, struct machine *machine, const struct api_chunk *chunk);
void viewers_machine_died(struct world *world, unsigned machine);
/* Has everybody read everything? */
bool viewers_are_done(const struct world *world);

#endif
