/* The faults of a plan, one after the other at random moments, and their end. */
#include "world.h"

#include "base/assert.h"
#include "node/internal.h"

#include <string.h>

#define DOWN_US 3000000u /* how long a machine is down, at most */

/* ---- who ------------------------------------------------------------------------------------- */

uint64_t world_below(struct world *world, uint64_t bound)
{
    return prng_below(&world->prng, bound);
}

unsigned world_pick(struct world *world, enum machine_state state)
{
    unsigned found[SIM_MACHINES];
    unsigned count = 0;
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        if (world->machine[i].state == state)
            found[count++] = i;
    return count > 0 ? found[world_below(world, count)] : 0;
}

unsigned world_leader(const struct world *world)
{
    unsigned leader = 0;
    floe_term newest = 0;
    for (unsigned i = 1; i <= SIM_MACHINES; i++) {
        const struct machine *machine = &world->machine[i];
        if (!machine_leads(machine) || machine->seen.term < newest)
            continue;
        leader = i;
        newest = machine->seen.term;
    }
    return leader;
}

/* A running member in the eyes of the leader, or else any machine that runs. */
struct machine *world_choose(struct world *world, struct prng *prng)
{
    unsigned up[SIM_MACHINES];
    unsigned count = 0;
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        if (machine_runs(&world->machine[i]) && world->machine[i].free_us <= world->now_us)
            up[count++] = i;
    return count > 0 ? &world->machine[up[prng_below(prng, count)]] : NULL;
}

unsigned world_pick_member(struct world *world)
{
    unsigned leader = world_leader(world);
    unsigned found[SIM_MACHINES];
    unsigned count = 0;
    for (unsigned i = 1; i <= SIM_MACHINES && leader != 0; i++)
        if (machine_runs(&world->machine[i]) &&
            floe_ids_contain(&world->machine[leader].node->conf_state.voters, i))
            found[count++] = i;
    return count > 0 ? found[world_below(world, count)] : world_pick(world, MACHINE_UP);
}

/* A machine that runs; the leader more often than others. */
static struct machine *victim(struct world *world)
{
    unsigned leader = world_leader(world);
    unsigned id =
        leader != 0 && world_below(world, 2) == 0 ? leader : world_pick(world, MACHINE_UP);
    if (id == 0 || !machine_runs(&world->machine[id]))
        return NULL;
    return &world->machine[id];
}

static uint64_t some_time(struct world *world)
{
    return plan_time(&world->prng, 2000 * (uint64_t)world->plan.election_ms);
}

/* ---- processes and power --------------------------------------------------------------------- */

static void cut_power(struct world *world, struct machine *machine, enum disk_cut cut)
{
    machine_die(machine, cut);
    machine_restart_in(machine, world_below(world, DOWN_US));
}

static enum disk_cut draw_cut(struct world *world)
{
    enum disk_cut cut = (enum disk_cut)world_below(world, DISK_CUT_COUNT);
    return cut == DISK_KEEP_ALL ? DISK_LOSE_ALL : cut;
}

static bool cut_power_of_all(struct world *world)
{
    bool any = false;
    for (unsigned i = 1; i <= SIM_MACHINES; i++) {
        if (world->machine[i].node == NULL)
            continue;
        cut_power(world, &world->machine[i], draw_cut(world));
        any = true;
    }
    return any;
}

static void pause(struct world *world, struct machine *machine)
{
    uint64_t until_us = world->now_us + some_time(world);
    if (until_us > machine->free_us)
        machine->free_us = until_us;
    machine->turn_us = SIM_NEVER; /* events of turns that were planned count no more */
    machine_wake(machine, machine->free_us);
}

static bool do_process(struct world *world, enum fault fault, struct machine *machine)
{
    switch ((unsigned)fault) {
    case FAULT_KILL: cut_power(world, machine, DISK_KEEP_ALL); return true;
    case FAULT_POWER: cut_power(world, machine, draw_cut(world)); return true;
    case FAULT_POWER_AT:
        disk_stop_at(machine->disk, 1 + (unsigned)world_below(world, 40));
        return true;
    case FAULT_PAUSE: pause(world, machine); return true;
    case FAULT_STOP: machine_stop(machine); return true;
    default: return false;
    }
}

/* ---- partitions ------------------------------------------------------------------------------ */

static void block(struct world *world, unsigned from, unsigned to, uint64_t until_us)
{
    net_block(world, from, to, world->partition);
    queue_put(&world->queue, until_us, EVENT_UNBLOCK, from * (SIM_MACHINES + 1) + to,
              world->partition);
}

void faults_unblock(struct world *world, uint32_t pair, uint64_t number)
{
    unsigned from = pair / (SIM_MACHINES + 1);
    unsigned to = pair % (SIM_MACHINES + 1);
    if (world->net.blocked[from][to] == number)
        net_unblock(world, from, to);
}

static bool is_blocked_by(struct world *world, enum fault fault, unsigned from, unsigned to,
                          const struct machine *machine)
{
    switch ((unsigned)fault) {
    case FAULT_ISOLATE: return from == machine->id || to == machine->id;
    case FAULT_ONE_WAY: return world->partition % 2 == 0 ? from == machine->id : to == machine->id;
    case FAULT_SPLIT: {
        uint64_t sides = world->partition * UINT64_C(0x9e3779b97f4a7c15) >> 20;
        return ((sides >> from) & 1) != ((sides >> to) & 1);
    }
    case FAULT_PARTIAL: return world_below(world, 3) == 0;
    default: return false;
    }
}

static bool do_partition(struct world *world, enum fault fault, const struct machine *machine)
{
    world->partition++;
    uint64_t until_us = world->now_us + some_time(world);
    for (unsigned from = 1; from <= SIM_MACHINES; from++)
        for (unsigned to = 1; to <= SIM_MACHINES; to++)
            if (from != to && is_blocked_by(world, fault, from, to, machine))
                block(world, from, to, until_us);
    return true;
}

/* ---- disks ----------------------------------------------------------------------------------- */

static bool flip(struct world *world, struct machine *machine)
{
    if (!operator_may_damage(world) || !disk_flip(machine->disk, &world->prng))
        return false;
    machine->flipped = true;
    world->flipped = machine->id;
    if (world_below(world, 4) > 0) /* so that it is seen */
        cut_power(world, machine, DISK_KEEP_ALL);
    return true;
}

static bool do_disk(struct world *world, enum fault fault, struct machine *machine)
{
    struct disk_manner *manner = disk_manner(machine->disk);
    uint64_t until_us = world->now_us + some_time(world);
    switch ((unsigned)fault) {
    case FAULT_DISK_SLOW:
        manner->sync_us = 20 * world->plan.sync_us;
        queue_put(&world->queue, until_us, EVENT_DISK_WELL, machine->id, 0);
        return true;
    case FAULT_DISK_STUCK: manner->stuck_until_us = until_us; return true;
    case FAULT_DISK_ERROR:
        disk_fail_at(machine->disk, 1 + (unsigned)world_below(world, 40));
        return true;
    case FAULT_DISK_FULL:
        manner->full = true;
        queue_put(&world->queue, until_us, EVENT_DISK_WELL, machine->id, 0);
        return true;
    case FAULT_DISK_FLIP: return flip(world, machine);
    default: return false;
    }
}

void faults_disk_well(struct world *world, unsigned machine)
{
    struct disk_manner *manner = disk_manner(world->machine[machine].disk);
    manner->full = false;
    manner->sync_us = world->plan.sync_us;
}

/* ---- leadership ------------------------------------------------------------------------------ */

static bool transfer(struct world *world)
{
    unsigned to = world->former != 0 && world_below(world, 2) == 0 ? world->former
                                                                   : world_pick_member(world);
    return to != 0 && operator_transfer(world, to, 1);
}

/* A leader goes on for a while with one follower only, whose acknowledgements are late; when they
 * come, others have led, and it leads again. */
static bool strand(struct world *world)
{
    unsigned leader = world_leader(world);
    unsigned follower = world_pick_member(world);
    uint64_t election_us = 1000 * (uint64_t)world->plan.election_ms;
    if (leader == 0 || follower == 0 || follower == leader)
        return false;
    world->partition++;
    uint64_t until_us = world->now_us + election_us * (2 + world_below(world, 3));
    for (unsigned from = 1; from <= SIM_MACHINES; from++)
        for (unsigned to = 1; to <= SIM_MACHINES; to++)
            if ((from == leader || from == follower) != (to == leader || to == follower))
                block(world, from, to, until_us);
    disk_manner(world->machine[follower].disk)->sync_us =
        (uint32_t)(election_us * (1 + world_below(world, 3)));
    queue_put(&world->queue, until_us + 4 * election_us, EVENT_DISK_WELL, follower, 0);
    queue_put(&world->queue, until_us + election_us / 2, EVENT_TRANSFER, leader, 4);
    return true;
}

/* ---- one after the other --------------------------------------------------------------------- */

static bool do_network(struct world *world, enum fault fault)
{
    if (fault == FAULT_CUT)
        net_cut_some(world, 1 + (unsigned)world_below(world, 4));
    else
        world->net.flips += 1 + (unsigned)world_below(world, 3);
    return true;
}

static bool inject(struct world *world, enum fault fault, struct machine *machine)
{
    switch (fault) {
    case FAULT_POWER_ALL: return cut_power_of_all(world);
    case FAULT_CUT:
    case FAULT_WIRE_FLIP: return do_network(world, fault);
    case FAULT_MEMBER: return operator_change_members(world);
    case FAULT_TRANSFER: return transfer(world);
    case FAULT_STRAND: return strand(world);
    case FAULT_ISOLATE:
    case FAULT_ONE_WAY:
    case FAULT_SPLIT:
    case FAULT_PARTIAL: return do_partition(world, fault, machine);
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_POWER_AT:
    case FAULT_PAUSE:
    case FAULT_STOP: return do_process(world, fault, machine);
    case FAULT_DISK_SLOW:
    case FAULT_DISK_STUCK:
    case FAULT_DISK_ERROR:
    case FAULT_DISK_FULL:
    case FAULT_DISK_FLIP: return do_disk(world, fault, machine);
    case FAULT_ROLLBACK: operator_restore(world, machine->id, 50); return false;
    case FAULT_OTHER_CONF:
    case FAULT_REPLACE:
    case FAULT_RESEED:
    case FAULT_COUNT: return false; /* they follow from others */
    }
    UNREACHABLE("fault");
}

void faults_start(struct world *world)
{
    if (world->plan.weights > 0)
        queue_put(&world->queue, plan_time(&world->prng, world->plan.fault_us), EVENT_FAULT, 0, 0);
}

void faults_event(struct world *world)
{
    if (world->healing)
        return;
    uint64_t at = world_below(world, world->plan.weights);
    unsigned fault = 0;
    while (at >= world->plan.weight[fault])
        at -= world->plan.weight[fault++];
    struct machine *machine = victim(world);
    if (machine != NULL) {
        trace_line(&world->trace, machine->id, "fault: %s", fault_name((enum fault)fault));
        if (inject(world, (enum fault)fault, machine))
            world->counts.faults[fault]++;
    }
    queue_put(&world->queue, world->now_us + 1 + plan_time(&world->prng, world->plan.fault_us),
              EVENT_FAULT, 0, 0);
}

/* ---- phase two ------------------------------------------------------------------------------- */

static void heal_machine(struct world *world, struct machine *machine)
{
    struct disk_manner *manner = disk_manner(machine->disk);
    manner->full = false;
    manner->sync_us = world->plan.sync_us;
    manner->stuck_until_us = 0;
    disk_fail_at(machine->disk, 0);
    if (!disk_is_stopped(machine->disk))
        disk_stop_at(machine->disk, 0);
    if (machine->state == MACHINE_DOWN)
        machine_restart_in(machine, world_below(world, 1000));
    if (machine->node != NULL && machine->free_us > world->now_us) {
        machine->free_us = world->now_us;
        machine->turn_us = SIM_NEVER;
        machine_wake(machine, world->now_us);
    }
}

void faults_heal(struct world *world)
{
    trace_line(&world->trace, 0, "all faults end");
    world->healing = true;
    world->net.flips = 0;
    for (unsigned from = 1; from <= SIM_MACHINES; from++)
        for (unsigned to = 1; to <= SIM_MACHINES; to++)
            if (world->net.blocked[from][to] != 0)
                net_unblock(world, from, to);
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        heal_machine(world, &world->machine[i]);
    clients_heal(world);
}
