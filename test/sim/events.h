/*
 * A watcher at each machine: reads the store's history behind every turn, as watches do. Each
 * revision comes once, whole and in order, and is the same at all machines and in all their lives.
 */
#ifndef TEST_SIM_EVENTS_H
#define TEST_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
struct machine;

struct watcher { /* of one machine */
    uint64_t life;
    uint64_t generation; /* of the store that position belongs to; 0: none yet */
    uint64_t position;
    uint64_t revision; /* last read */
    uint64_t hash;     /* of what was read of the next one */
    bool inside;       /* some of that was read */
};

struct events {
    uint64_t *hash; /* by revision; 0: not read yet */
    size_t count;
};

void events_deinit(struct events *events);
void events_check(struct world *world, struct machine *machine);

#endif
