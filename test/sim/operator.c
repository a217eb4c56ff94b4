/*
 * The one who runs the cluster: adds and removes members through the HTTP interface, and replaces a
 * machine whose disk is damaged: its member goes, a new machine with a new id comes, or the same
 * one starts with an empty directory. Only one disk is damaged or set back at a time, and no
 * healthy member is removed in such a run, so that a majority of the voters keeps what it has
 * stored.
 */
#include "world.h"

#include "base/assert.h"
#include "node/internal.h"

#include <stdio.h>

#define AGAIN_US 500000u
#define OPERATOR_TOKEN (UINT64_C(1) << 40) /* of no client */

static void ask(struct world *world, unsigned at, bool add, unsigned id)
{
    struct machine *machine = &world->machine[at];
    char target[16];
    (void)snprintf(target, sizeof target, "/%u", id);
    struct api_request request = {.method = add ? API_POST : API_DELETE, .target = target};
    if (add) {
        request.body = evbuffer_new();
        (void)evbuffer_add_printf(request.body, "http://%s", world->machine[id].address);
    } else {
        world->machine[id].removal_asked = true;
    }
    trace_line(&world->trace, at, "operator: %s member %u", add ? "add" : "remove", id);
    api_handle(machine->api, OPERATOR_TOKEN + ++world->clients.tokens, &request,
               machine_now_ms(machine));
    if (request.body != NULL)
        evbuffer_free(request.body);
    machine_wake(machine, world->now_us);
}

static unsigned unused(const struct world *world)
{
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        if (world->machine[i].state == MACHINE_UNUSED)
            return i;
    return 0;
}

/* A new machine that waits to be added. */
static void prepare(struct world *world, unsigned id)
{
    struct machine *machine = &world->machine[id];
    machine->joins = true;
    machine_restart_in(machine, world_below(world, 1000000));
}

static unsigned members_now(const struct world *world)
{
    unsigned count = 0;
    for (unsigned i = 1; i <= SIM_MACHINES; i++) {
        const struct machine *machine = &world->machine[i];
        count += machine->state != MACHINE_UNUSED && !machine->removal_asked;
    }
    return count;
}

/* Voters that nobody wants out. */
static unsigned lasting_voters(const struct world *world)
{
    unsigned leader = world_leader(world);
    unsigned count = 0;
    for (unsigned i = 1; i <= SIM_MACHINES && leader != 0; i++)
        count += !world->machine[i].removal_asked &&
                 floe_ids_contain(&world->machine[leader].node->conf_state.voters, i);
    return count;
}

static unsigned running(struct world *world)
{
    unsigned at = world_pick(world, MACHINE_UP);
    return at != 0 && machine_runs(&world->machine[at]) &&
                   world->machine[at].free_us <= world->now_us
               ? at
               : 0;
}

bool operator_change_members(struct world *world)
{
    unsigned at = running(world);
    unsigned id = unused(world);
    if (at == 0)
        return false;
    bool add = members_now(world) < 2 || world_below(world, 2) == 0;
    if (add) {
        if (id == 0 || members_now(world) >= SIM_MEMBERS_MAX)
            return false;
        prepare(world, id);
        world->counts.members_added++;
        ask(world, at, true, id);
        return true;
    }
    id = 1 + (unsigned)world_below(world, SIM_MACHINES);
    if (lasting_voters(world) < 2) /* the last one stays */
        return false;
    if (world->machine[id].state == MACHINE_UNUSED || world->machine[id].removal_asked)
        return false;
    world->counts.members_removed++;
    ask(world, at, false, id);
    return true;
}

/* ---- leadership ------------------------------------------------------------------------------ */

/* The server has no request for it: the call of a leader whose disk is stuck, to anybody. */
bool operator_transfer(struct world *world, unsigned to, uint64_t tries)
{
    unsigned leader = world_leader(world);
    if (world->healing || leader == to)
        return false;
    if (tries > 1)
        queue_put(&world->queue, world->now_us + 1000 * (uint64_t)world->plan.election_ms,
                  EVENT_TRANSFER, to, tries - 1);
    if (leader == 0 || world->machine[leader].free_us > world->now_us ||
        !floe_raft_is_voter(world->machine[leader].node->raft, to))
        return false;
    trace_line(&world->trace, leader, "operator: hand leadership over to %u", to);
    world->former = leader;
    floe_raft_transfer_leader(world->machine[leader].node->raft, to);
    machine_wake(&world->machine[leader], world->now_us);
    return true;
}

/* ---- replacing ------------------------------------------------------------------------------- */

bool operator_may_damage(const struct world *world)
{
    return world->flipped == 0 && unused(world) != 0;
}

void operator_notice_damage(struct world *world, unsigned machine)
{
    ASSERT(world->flipped == machine);
    world->reseeding = world_below(world, 2) == 0;
    world->counts.faults[world->reseeding ? FAULT_RESEED : FAULT_REPLACE]++;
    if (world->reseeding) {
        world->machine[machine].reseeds = true;
        machine_restart_in(&world->machine[machine], AGAIN_US);
    }
    queue_put(&world->queue, world->now_us + AGAIN_US, EVENT_OPERATOR, 0, 0);
}

/* Is it a voter (or a member at all) in the eyes of every member that runs, and of a majority? */
static bool agreed(const struct world *world, unsigned id, bool wanted)
{
    unsigned leader = world_leader(world);
    if (leader == 0)
        return false;
    const struct floe_conf_state *conf = &world->machine[leader].node->conf_state;
    unsigned agree = 0;
    for (size_t i = 0; i < conf->voters.count; i++) {
        const struct machine *machine = &world->machine[conf->voters.id[i]];
        if (machine_runs(machine))
            agree += floe_ids_contain(&machine->node->conf_state.voters, id) == wanted;
    }
    return 2 * agree > conf->voters.count;
}

/* It is well again once it is a voter that knows of nothing else. */
static void watch_reseeding(struct world *world)
{
    struct machine *machine = &world->machine[world->flipped];
    if (machine->forgets && machine_runs(machine) &&
        machine->node->reseed.stage == RESEED_NONE && agreed(world, machine->id, true)) {
        trace_line(&world->trace, machine->id, "operator: it is back");
        world->flipped = 0;
        world->reseeding = machine->forgets = false;
        return;
    }
    queue_put(&world->queue, world->now_us + AGAIN_US, EVENT_OPERATOR, 0, 0);
}

void operator_event(struct world *world)
{
    if (world->flipped == 0 || world->healing)
        return;
    if (world->reseeding) {
        watch_reseeding(world);
        return;
    }
    unsigned at = running(world);
    if (!world->replaced) {
        world->replaced = agreed(world, world->flipped, false);
        if (!world->replaced && at != 0)
            ask(world, at, false, world->flipped);
    } else if (world->successor == 0) {
        world->successor = unused(world);
        prepare(world, world->successor);
    } else if (agreed(world, world->successor, true)) {
        trace_line(&world->trace, world->successor, "operator: it has taken the place");
        world->flipped = world->successor = 0;
        world->replaced = false;
        return;
    } else if (at != 0) {
        ask(world, at, true, world->successor);
    }
    queue_put(&world->queue, world->now_us + AGAIN_US, EVENT_OPERATOR, 0, 0);
}

/* ---- an older copy --------------------------------------------------------------------------- */

/* Does it follow that leader, with all that the machine has, durably? */
static bool has_all_of(const struct machine *machine, const struct machine *of, unsigned leader,
                       floe_term term)
{
    if (!machine_runs(machine) || !machine_runs(of))
        return false;
    struct floe_basic_status status = floe_raft_basic_status(machine->node->raft);
    floe_index last = floe_raft_basic_status(of->node->raft).last_index;
    return status.hard_state.term == term && status.soft_state.lead == leader &&
           status.last_index >= last &&
           floe_raft_term_at(machine->node->raft, last) ==
               floe_raft_term_at(of->node->raft, last) &&
           wal_durable(machine->node->wal) == wal_appended(machine->node->wal);
}

/* What a member forgets then must be known to all others: what it has acknowledged, and for whom it
 * has voted, whose time is over where all follow one leader. */
static bool is_calm(struct world *world, const struct machine *machine)
{
    unsigned leader = world_leader(world);
    if (leader == 0)
        return false;
    const struct node *node = world->machine[leader].node;
    floe_term term = floe_raft_basic_status(node->raft).hard_state.term;
    const struct floe_ids *voters = &node->conf_state.voters;
    for (size_t i = 0; i < voters->count; i++)
        if (!has_all_of(&world->machine[voters->id[i]], machine, leader, term))
            return false;
    return voters->count > 2 && floe_ids_contain(voters, machine->id);
}

static bool can_restore(struct world *world, const struct machine *machine)
{
    return operator_may_damage(world) && world->counts.faults[FAULT_REPLACE] == 0 &&
           world->counts.faults[FAULT_RESEED] == 0 && disk_has_copy(machine->disk) &&
           is_calm(world, machine);
}

/* As soon as it can be. */
void operator_restore(struct world *world, unsigned id, uint64_t tries)
{
    struct machine *machine = &world->machine[id];
    if (world->healing || !machine_runs(machine))
        return;
    if (!can_restore(world, machine)) {
        uint64_t soon_us = world_below(world, 500 * (uint64_t)world->plan.election_ms);
        if (tries > 1)
            queue_put(&world->queue, world->now_us + soon_us, EVENT_RESTORE, id, tries - 1);
        return;
    }
    trace_line(&world->trace, id, "fault: an older copy of the directory");
    world->counts.faults[FAULT_ROLLBACK]++;
    machine->back = floe_raft_basic_status(machine->node->raft).hard_state.term;
    machine_die(machine, DISK_KEEP_ALL);
    disk_put_copy_back(machine->disk);
    machine->promise = (struct promise){0};
    machine->flipped = true;
    world->flipped = id;
    machine_restart_in(machine, world_below(world, 1000000));
}
