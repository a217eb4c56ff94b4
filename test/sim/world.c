/* A run: phase one, in which faults happen and safety is watched; phase two, in which all faults
 * end and the cluster must get on within a stated time. */
#include "world.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROGRESS_US 60000000u /* of phase two, until a write is acknowledged and all have it */

static void init_machine(struct world *world, unsigned id)
{
    struct machine *machine = &world->machine[id];
    uint32_t spread = world->plan.clock_spread_ppm;
    *machine = (struct machine){.world = world,
                                .id = id,
                                .turn_us = SIM_NEVER,
                                .rate_ppm = 1000000,
                                .base_ms = 1000 + world_below(world, 100000000),
                                .disk = disk_new(world->plan.strict_names)};
    if (spread > 0)
        machine->rate_ppm = 1000000 - spread + (uint32_t)world_below(world, 2 * spread);
    *disk_manner(machine->disk) = (struct disk_manner){.sync_us = world->plan.sync_us,
                                                       .sync_inline = world->plan.sync_inline};
    if (world->plan.disk_bytes != 0) /* some hold more than others */
        disk_manner(machine->disk)->capacity =
            world->plan.disk_bytes + world_below(world, world->plan.disk_bytes / 4);
    (void)snprintf(machine->address, sizeof machine->address, "n%u:1", id);
    (void)snprintf(machine->name, sizeof machine->name, "n%u", id);
}

static void make_machines(struct world *world, uint64_t seed, bool show)
{
    world->prng.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    world->trace = (struct trace){.show = show, .columns = world->plan.members + 2, .sum = seed};
    net_init(&world->net);
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        init_machine(world, i);
    for (unsigned i = 1; i <= world->plan.members; i++)
        machine_restart_in(&world->machine[i], world_below(world, 500000));
}

void world_open(struct world *world, uint64_t seed)
{
    struct plan plan = world->plan;
    memset(world, 0, sizeof *world);
    world->plan = plan;
    make_machines(world, seed, false);
}

static void world_init(struct world *world, uint64_t seed, bool show)
{
    memset(world, 0, sizeof *world);
    plan_draw(&world->plan, seed);
    make_machines(world, seed, show);
    clients_start(world);
    holders_start(world);
    model_start(world);
    mixers_start(world);
    viewers_start(world);
    pairs_start(world);
    faults_start(world);
}

void world_deinit(struct world *world)
{
    for (unsigned i = 1; i <= SIM_MACHINES; i++) {
        struct machine *machine = &world->machine[i];
        if (machine->node != NULL) {
            api_free(machine->api);
            node_free(machine->node);
        }
        disk_free(machine->disk);
    }
    net_deinit(&world->net);
    clients_deinit(&world->clients);
    pairs_deinit(&world->pairs);
    events_deinit(&world->events);
    mixers_deinit(&world->mixers);
    model_deinit(&world->model);
    check_deinit(&world->check);
    queue_deinit(&world->queue);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void of_machine(struct world *world, const struct event *event)
{
    struct machine *machine = &world->machine[event->a];
    if (event->kind == EVENT_DISK_WELL) {
        faults_disk_well(world, event->a);
        return;
    }
    if (machine->life != event->b)
        return;
    if (event->kind == EVENT_TURN) {
        if (machine->node != NULL && machine->turn_us == event->at_us)
            machine_turn(machine);
    } else if (event->kind == EVENT_START) {
        if (machine->state == MACHINE_DOWN && machine->node == NULL)
            machine_start(machine);
    } else if (machine->node != NULL) {
        bool removed = node_life(machine->node) == NODE_REMOVED;
        machine_die(machine, DISK_KEEP_ALL);
        if (!removed || world_below(world, 2) == 0)
            machine_restart_in(machine, world_below(world, 2000000));
        else
            machine->state = MACHINE_REMOVED;
    }
}

static void dispatch(struct world *world, const struct event *event)
{
    switch (event->kind) {
    case EVENT_TURN:
    case EVENT_START:
    case EVENT_BURY:
    case EVENT_DISK_WELL: of_machine(world, event); return;
    case EVENT_SYN:
    case EVENT_CONNECTED:
    case EVENT_ARRIVE:
    case EVENT_RESET: net_event(world, event); return;
    case EVENT_UNBLOCK: faults_unblock(world, event->a, event->b); return;
    case EVENT_FAULT: faults_event(world); return;
    case EVENT_CLIENT: clients_wish(world, event->a, event->b); return;
    case EVENT_REQUEST: clients_request(world, event->a, event->b); return;
    case EVENT_RESPONSE: clients_response(world, event->a, event->b); return;
    case EVENT_PAIR: pairs_event(world, event->a, event->b); return;
    case EVENT_HOLDER: holders_event(world, event->a, event->b); return;
    case EVENT_MIXER: mixers_event(world, event->a, event->b); return;
    case EVENT_VIEWER: viewers_event(world, event->a, event->b); return;
    case EVENT_OPERATOR: operator_event(world); return;
    case EVENT_RESTORE: operator_restore(world, event->a, event->b); return;
    case EVENT_TRANSFER: operator_transfer(world, event->a, event->b); return;
    }
    UNREACHABLE("event");
}

static void happen(struct world *world, const struct event *event)
{
    ASSERT(event->at_us >= world->now_us);
    world->now_us = event->at_us;
    world->trace.now_us = event->at_us;
    world->counts.events++;
    trace_numbers(&world->trace, (uint64_t)event->kind, event->a, event->b);
    dispatch(world, event);
}

static void run_until(struct world *world, uint64_t end_us)
{
    struct event event;
    while (!world->check.failed && world->now_us < end_us && queue_take(&world->queue, &event)) {
        happen(world, &event);
        if (world->clients.heal == HEAL_DONE && check_converged(world, world->clients.heal_index) &&
            holders_are_over(world) && viewers_are_done(world))
            return;
    }
}

void world_run_until(struct world *world, uint64_t end_us)
{
    struct event event;
    while (!world->check.failed && world->queue.count > 0 &&
           world->queue.heap[0].at_us <= end_us && queue_take(&world->queue, &event))
        happen(world, &event);
    world->now_us = end_us;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void describe(const struct world *world)
{
    const struct plan *plan = &world->plan;
    (void)printf(
        "seed %" PRIu64 ": %u members, %u clients, %u keys, %" PRIu64 " s, heartbeat %u "
        "ms, election %u ms, snapshot after %" PRIu64 ", log files of %" PRIu64
        ", pending %zu, latency %u us, sync %u us%s, clocks +-%u ppm\nfaults every %" PRIu64 " ms:",
        plan->seed, plan->members, plan->clients, plan->keys, plan->chaos_us / 1000000,
        plan->heartbeat_ms, plan->election_ms, plan->snapshot_entries, plan->log_segment_bytes,
        plan->pending_bytes, plan->latency_us, plan->sync_us, plan->sync_inline ? " inline" : "",
        plan->clock_spread_ppm, plan->fault_us / 1000);
    if (plan->disk_bytes > 0)
        (void)printf(" disks of %" PRIu64 " bytes,", plan->disk_bytes);
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        if (plan->weight[i] > 0)
            (void)printf(" %s", fault_name((enum fault)i));
    (void)printf("\n");
}

bool world_run(struct world *world, uint64_t seed, bool show)
{
    world_init(world, seed, show);
    if (show)
        describe(world);
    run_until(world, world->plan.chaos_us);
    if (!world->check.failed) {
        faults_heal(world);
        run_until(world, world->now_us + PROGRESS_US);
        if (!world->check.failed && (world->clients.heal != HEAL_DONE ||
                                     !check_converged(world, world->clients.heal_index))) {
            check_describe(world);
            check_fail(world, "no progress within %u s after all faults have ended",
                       PROGRESS_US / 1000000);
        }
        if (!world->check.failed && !holders_are_over(world))
            check_fail(world, "leases that nobody renews are still there after %u s",
                       PROGRESS_US / 1000000);
        if (!world->check.failed && !viewers_are_done(world))
            check_fail(world, "a watch has not caught up after %u s", PROGRESS_US / 1000000);
    }
    if (!world->check.failed)
        model_check_all(world);
    if (!world->check.failed)
        mixers_check(world);
    if (!world->check.failed)
        check_history(world);
    world->counts.virtual_us = world->now_us;
    return !world->check.failed;
}
