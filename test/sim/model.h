/*
 * The plain twin of the store (test/unit/kv/twin.h), fed with the commands of the log as members
 * apply them, each once, from whoever has it first. In a part of the runs, for it costs time. A
 * store that differs from it ends the process, which names the seed.
 */
#ifndef TEST_SIM_MODEL_H
#define TEST_SIM_MODEL_H

#include <floe/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
struct machine;
struct twin;
struct twin_event;
struct floe_entry;

/* What an applied command came to. */
struct model_done {
    int status; /* enum kv_status */
    uint64_t revision;
};

struct model {
    struct twin *twin; /* NULL: not in this run */
    floe_index applied;
    struct model_done *done; /* by index */
    size_t cap;
};

/* What of a machine's store was last compared. */
struct model_seen {
    uint64_t life;
    uint64_t generation;
    floe_index applied;
};

void model_start(struct world *world);
void model_deinit(struct model *model);
/* After a turn, before anything that it has made is looked at. */
void model_check(struct world *world, struct machine *machine);
/* At the end: every member that has applied all of it. */
void model_check_all(struct world *world);

#endif
