/*
 * The world of one run: machines with disks, clocks and whole servers (floors 0 to 4 as they are),
 * the network between them, clients, an operator, faults and the judge. Everything that happens is
 * an event of the queue; all chance comes from the plan's seed.
 */
#ifndef TEST_SIM_WORLD_H
#define TEST_SIM_WORLD_H

#include "api/api.h"
#include "check.h"
#include "clients.h"
#include "disk.h"
#include "events.h"
#include "holders.h"
#include "mixers.h"
#include "model.h"
#include "net.h"
#include "node/node.h"
#include "pairs.h"
#include "plan.h"
#include "queue.h"
#include "trace.h"
#include "viewers.h"

enum machine_state {
    MACHINE_UNUSED,  /* nobody has started anything on it yet */
    MACHINE_DOWN,    /* will be started again */
    MACHINE_UP,      /* the process runs */
    MACHINE_REMOVED, /* its member was removed: never started again */
    MACHINE_DAMAGED, /* its disk cannot be used any more: to be replaced */
};

struct machine {
    struct world *world;
    unsigned id;
    enum machine_state state;
    bool joins;         /* its first start waits to be added */
    bool has_data;      /* an earlier process had applied the first configuration */
    bool dead_silent;   /* the power is off: nobody answers, not even with a reset */
    bool ended;         /* the node has ended: what it said last is on its way out */
    bool removal_asked; /* the operator wanted it out */
    bool flipped;       /* its disk was damaged: it may refuse to start */
    bool reseeds;       /* it is to start with an empty directory */
    bool forgets;       /* it has done so: what its disk promised counts no more */
    bool admitted;      /* after that, by the others */
    floe_term back;     /* an older copy was put back when this was the term; 0: never */
    uint64_t life;      /* number of its process */
    uint64_t failed_starts;
    uint64_t free_us;  /* the process does nothing before: paused, or waits for its disk */
    uint64_t turn_us;  /* next turn; SIM_NEVER: none */
    uint32_t rate_ppm; /* of its clock, microseconds a second */
    uint64_t base_ms;
    struct disk *disk;
    struct node *node; /* NULL: not running */
    struct api *api;
    struct logger logger;
    struct check_node seen;
    struct promise promise; /* of all its lives */
    struct watcher watcher;
    struct holders_seen leases_seen;
    struct model_seen compared;
    char address[16];
    char name[16];
};

struct counts {
    uint64_t faults[FAULT_COUNT];
    uint64_t events, turns, starts, elections;
    uint64_t requests, known, unknown, refused, no_room;
    uint64_t members_added, members_removed;
    uint64_t leases_granted, leases_renewed, leases_ended, leases_revoked, checkpoints;
    uint64_t pairs;  /* answers about two keys */
    uint64_t alarms; /* raised or lifted */
    uint64_t watched, watch_jumps;
    uint64_t views, viewed, views_compacted;          /* watches, their events, too old */
    uint64_t mixed, acknowledged, listed;             /* richer requests */
    uint64_t models, models_lost, modelled, compared; /* by a model of the store */
    uint64_t memory_max;                              /* of any member, bytes */
    uint64_t rollbacks_seen;                          /* by the member itself */
    uint64_t virtual_us;
};

struct world {
    struct plan plan;
    struct prng prng; /* of everything but the plan */
    struct queue queue;
    struct trace trace;
    uint64_t now_us;
    bool healing; /* phase two: no more faults */
    struct machine machine[SIM_MACHINES + 1];
    struct net net;
    struct clients clients;
    struct holders holders;
    struct pairs pairs;
    struct events events;
    struct model model;
    struct mixers mixers;
    struct viewers viewers;
    struct check check;
    struct counts counts;
    uint64_t partition; /* number of the newest */
    unsigned former;    /* led when somebody else was asked to take over; 0: nobody */
    unsigned flipped;   /* the machine whose disk is damaged and that is not replaced; 0: none */
    unsigned successor; /* takes its place; 0: not started yet */
    bool replaced;      /* the successor's predecessor is out for certain */
    /* NULL, or asked first: is it an answer of the caller's own? */
    bool (*on_answer)(struct world *world, const struct api_response *response, uint64_t at_us);
    bool reseeding;     /* it is not replaced but has lost all it had */
};

/* A world without clients, operator and faults, for who brings its own (wan.c): the machines of
 * world->plan, which the caller has filled, start. */
void world_open(struct world *world, uint64_t seed);
/* Whatever happens until then. */
void world_run_until(struct world *world, uint64_t end_us);
/* Runs a whole plan; false: something was violated, and standard error says what. */
bool world_run(struct world *world, uint64_t seed, bool show);
void world_deinit(struct world *world);

/* ---- machine.c ------------------------------------------------------------------------------- */

uint64_t machine_now_ms(const struct machine *machine);
/* The process wants a turn at that time or earlier. */
void machine_wake(struct machine *machine, uint64_t at_us);
void machine_start(struct machine *machine);
void machine_turn(struct machine *machine);
/* The process ends at once. */
void machine_die(struct machine *machine, enum disk_cut cut);
/* Starts it again after some time. */
void machine_restart_in(struct machine *machine, uint64_t us);
/* An orderly stop begins. */
void machine_stop(struct machine *machine);
bool machine_runs(const struct machine *machine);
/* The member that it is leads, as far as it knows. */
bool machine_leads(const struct machine *machine);
/* An event for it comes while it cannot take any: again later. */
bool machine_postpone(const struct machine *machine, const struct event *event);
struct node_options machine_options(struct machine *machine, struct node_member_option *members);

/* ---- faults.c, operator.c ----------------------------------------------------------------------
 */

void faults_start(struct world *world);
void faults_event(struct world *world);
void faults_heal(struct world *world);
void faults_unblock(struct world *world, uint32_t pair, uint64_t number);
void faults_disk_well(struct world *world, unsigned machine);
/* The operator adds a machine, or removes a member that is well. */
bool operator_change_members(struct world *world);
/* Whoever leads hands over to that machine; asked again so many times until it leads. */
bool operator_transfer(struct world *world, unsigned to, uint64_t tries);
/* An older copy of a machine's directory is put back as soon as that is survivable. */
void operator_restore(struct world *world, unsigned id, uint64_t tries);
/* Goes on with replacing a damaged machine. */
void operator_event(struct world *world);
void operator_notice_damage(struct world *world, unsigned machine);
/* May one more disk be damaged? */
bool operator_may_damage(const struct world *world);
unsigned world_pick(struct world *world, enum machine_state state); /* 0: none */
unsigned world_pick_member(struct world *world);
/* Any machine that runs and is not paused; NULL: there is none. */
struct machine *world_choose(struct world *world, struct prng *prng);
/* A machine that runs and leads; 0: none. */
unsigned world_leader(const struct world *world);
uint64_t world_below(struct world *world, uint64_t bound);

#endif
