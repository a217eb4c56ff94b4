/* A machine and the process on it: what the real loop does around node, api and peer. */
#include "world.h"

#include "base/assert.h"
#include "base/mem.h"
#include "memory.h"
#include "node/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINGER_US 250000u /* after the end, for what is on its way out */

static uint64_t at_ms(const struct machine *machine, uint64_t us)
{
    return machine->base_ms + us / 1000 * machine->rate_ppm / 1000000;
}

uint64_t machine_now_ms(const struct machine *machine)
{
    return at_ms(machine, machine->world->now_us);
}

/* The first moment at which its clock shows it. */
static uint64_t when_us(const struct machine *machine, uint64_t ms)
{
    if (ms <= machine_now_ms(machine))
        return machine->world->now_us;
    uint64_t passed = (ms - machine->base_ms) * 1000000;
    return (passed + machine->rate_ppm - 1) / machine->rate_ppm * 1000;
}

void machine_wake(struct machine *machine, uint64_t at_us)
{
    if (machine->node == NULL)
        return;
    if (at_us < machine->free_us)
        at_us = machine->free_us;
    if (at_us >= machine->turn_us)
        return;
    machine->turn_us = at_us;
    queue_put(&machine->world->queue, at_us, EVENT_TURN, machine->id, machine->life);
}

bool machine_postpone(const struct machine *machine, const struct event *event)
{
    if (machine->node == NULL || machine->free_us <= machine->world->now_us)
        return false;
    queue_put(&machine->world->queue, machine->free_us, event->kind, event->a, event->b);
    return true;
}

bool machine_runs(const struct machine *machine)
{
    return machine->node != NULL && !machine->ended;
}

bool machine_leads(const struct machine *machine)
{
    return machine_runs(machine) && node_leader(machine->node) == machine->id;
}

/* ---- starting -------------------------------------------------------------------------------- */

static void on_line(void *arg, enum log_level level, const char *line)
{
    struct machine *machine = arg;
    if (level == LOG_DEBUG)
        trace_note(&machine->world->trace, machine->id, line);
    else
        trace_line(&machine->world->trace, machine->id, "%s: %s", log_level_name(level), line);
}

static void count_members(struct machine *machine, struct node_member_option *members,
                          struct node_options *options)
{
    struct world *world = machine->world;
    for (unsigned i = 1; i <= world->plan.members; i++)
        members[options->member_count++] =
            (struct node_member_option){.id = i, .address = world->machine[i].address};
    options->join = machine->joins;
}

/* It is told of all others, so that it finds one that is a member still. */
static void begin_anew(struct machine *machine, struct node_member_option *members,
                       struct node_options *options)
{
    options->member_count = 0;
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        members[options->member_count++] =
            (struct node_member_option){.id = i, .address = machine->world->machine[i].address};
    options->join = false;
    options->reseed_stamp = machine->reseeds ? machine->life : 0;
}

/* The configuration file is of another day: once there is data its list of members says nothing,
 * and times and sizes are anybody's. */
static void use_other_conf(struct machine *machine, struct node_member_option *members,
                           struct node_options *options)
{
    struct world *world = machine->world;
    world->counts.faults[FAULT_OTHER_CONF]++;
    options->member_count = 0;
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        if (i == machine->id || world_below(world, 3) == 0)
            members[options->member_count++] =
                (struct node_member_option){.id = i, .address = world->machine[i].address};
    options->join = world_below(world, 2) == 0;
    options->snapshot_entries = 1 + world_below(world, 50);
    uint64_t segment_bytes = 4096u << world_below(world, 6);
    if (world->plan.disk_bytes == 0) /* a small disk is as large as some of these take */
        options->log_segment_bytes = segment_bytes;
    options->election_ms += options->heartbeat_ms * (uint32_t)world_below(world, 4);
}

struct node_options machine_options(struct machine *machine, struct node_member_option *members)
{
    struct world *world = machine->world;
    const struct plan *plan = &world->plan;
    machine->logger = (struct logger){
        .level = world->trace.show ? LOG_DEBUG : LOG_INFO, .write = on_line, .arg = machine};
    struct node_options options = {.id = machine->id,
                                   .name = machine->name,
                                   .cluster = "sim",
                                   .http_address = "h:1",
                                   .peer_address = machine->address,
                                   .members = members,
                                   .heartbeat_ms = plan->heartbeat_ms,
                                   .election_ms = plan->election_ms,
                                   .snapshot_entries = plan->snapshot_entries,
                                   .pending_bytes = plan->pending_bytes,
                                   .request_timeout_ms = plan->request_timeout_ms,
                                   .log_segment_bytes = plan->log_segment_bytes,
                                   .seed = prng_next(&world->prng),
                                   .fs = disk_table(machine->disk),
                                   .logger = &machine->logger};
    holders_options(world, &options);
    count_members(machine, members, &options);
    if (machine->reseeds || machine->forgets)
        begin_anew(machine, members, &options);
    else if (machine->has_data && plan->weight[FAULT_OTHER_CONF] > 0 && world_below(world, 3) == 0)
        use_other_conf(machine, members, &options);
    return options;
}

static void on_refusal(struct machine *machine, enum err err, const char *why)
{
    struct world *world = machine->world;
    trace_line(&world->trace, machine->id, "does not start: %s: %s", err_str(err), why);
    bool failed = disk_take_failed(machine->disk);
    /* without room a log cannot be begun; one that there is must open */
    failed = failed || (disk_take_refused_room(machine->disk) && !machine->has_data);
    enum disk_cut cut = DISK_KEEP_ALL;
    if (disk_is_stopped(machine->disk))
        cut = (enum disk_cut)world_below(world, DISK_CUT_COUNT);
    disk_cut(machine->disk, cut, &world->prng);
    if (err == ERR_NOT_FOUND && machine->removal_asked) {
        machine->state = MACHINE_REMOVED;
    } else if (failed) {
        machine->failed_starts++;
        machine_restart_in(machine, 100000 + world_below(world, 2000000));
    } else if (machine->flipped) {
        machine->state = MACHINE_DAMAGED;
        operator_notice_damage(world, machine->id);
    } else {
        check_fail(world, "member %u does not start: %s: %s", machine->id, err_str(err), why);
    }
}

/* The power goes while it starts, or soon after. */
static void maybe_stop_early(struct machine *machine)
{
    struct world *world = machine->world;
    bool first = !machine->has_data; /* happens once, and is made of more steps than others */
    if (world->healing || world->plan.weight[FAULT_POWER_AT] == 0 ||
        world_below(world, first ? 2 : 6) != 0)
        return;
    disk_stop_at(machine->disk, 1 + (unsigned)world_below(world, 25));
    world->counts.faults[FAULT_POWER_AT]++;
}

void machine_start(struct machine *machine)
{
    struct world *world = machine->world;
    ASSERT(machine->node == NULL);
    machine->life++;
    machine->seen = (struct check_node){0};
    machine->ended = false;
    machine->turn_us = SIM_NEVER;
    disk_manner(machine->disk)->now_us = world->now_us;
    world->counts.starts++;
    maybe_stop_early(machine);
    struct node_member_option members[SIM_MACHINES];
    struct node_options options = machine_options(machine, members);
    struct buf why = {0};
    (void)memory_enter(machine->id);
    enum err err = node_open(&options, machine_now_ms(machine), &machine->node, &why);
    (void)memory_enter(0);
    if (err != ERR_OK) {
        machine->node = NULL;
        on_refusal(machine, err, buf_str(&why));
    } else {
        struct api_limits limits = {.key_bytes = 1024, .value_bytes = 1 << 20};
        machine->api = api_new(machine->node, &limits, &machine->logger);
        machine->state = MACHINE_UP;
        if (machine->reseeds) {
            machine->forgets = true;
            machine->admitted = false;
            machine->promise = (struct promise){0};
            machine->reseeds = machine->flipped = machine->has_data = false;
        }
        holders_on_start(machine);
        promise_check(machine);
        machine->dead_silent = false;
        machine->free_us = world->now_us + disk_take_waited_us(machine->disk);
        (void)disk_take_bytes(machine->disk);
        net_machine_started(world, machine->id);
        machine_wake(machine, world->now_us);
    }
    buf_deinit(&why);
}

/* ---- ending ---------------------------------------------------------------------------------- */

void machine_restart_in(struct machine *machine, uint64_t us)
{
    struct world *world = machine->world;
    machine->state = MACHINE_DOWN;
    queue_put(&world->queue, world->now_us + us, EVENT_START, machine->id, machine->life);
}

void machine_die(struct machine *machine, enum disk_cut cut)
{
    struct world *world = machine->world;
    ASSERT(machine->node != NULL);
    bool power = cut != DISK_KEEP_ALL;
    trace_line(&world->trace, machine->id, "ends cut=%d", (int)cut);
    machine->dead_silent = power && world_below(world, 2) == 0;
    api_free(machine->api);
    node_free(machine->node);
    machine->api = NULL;
    machine->node = NULL;
    machine->turn_us = SIM_NEVER;
    machine->free_us = 0;
    disk_cut(machine->disk, cut, &world->prng);
    if (machine->has_data && world->plan.weight[FAULT_ROLLBACK] > 0 && machine->back == 0 &&
        (!disk_has_copy(machine->disk) || world_below(world, 4) == 0))
        disk_copy(machine->disk);
    net_machine_died(world, machine->id, machine->dead_silent);
    clients_machine_died(world, machine->id);
    viewers_machine_died(world, machine->id);
    machine->life++;
    machine->state = MACHINE_DOWN;
}

void machine_stop(struct machine *machine)
{
    node_stop(machine->node, machine_now_ms(machine));
    machine_wake(machine, machine->world->now_us);
}

/* What ends by itself. */
static void maybe_end(struct machine *machine)
{
    struct world *world = machine->world;
    enum node_life life = node_life(machine->node);
    if (life == NODE_RUNNING || machine->ended)
        return;
    machine->ended = true;
    trace_line(&world->trace, machine->id, "has ended life=%d %s", (int)life,
               node_failure(machine->node));
    if (life != NODE_FAILED) {
        queue_put(&world->queue, world->now_us + LINGER_US, EVENT_BURY, machine->id, machine->life);
        return;
    }
    bool noticed = machine->back != 0 && node_reseed_helps(machine->node);
    if (!disk_take_failed(machine->disk) && !noticed) {
        check_fail(world, "member %u fails although its disk works: %s", machine->id,
                   node_failure(machine->node));
        return;
    }
    machine_die(machine, DISK_KEEP_ALL);
    machine_restart_in(machine, 50000 + world_below(world, 3000000));
    world->counts.rollbacks_seen += noticed;
    if (noticed && world_below(world, 2) == 0) { /* else its next start says so */
        machine->state = MACHINE_DAMAGED;
        operator_notice_damage(world, machine->id);
    }
}

/* ---- a turn ---------------------------------------------------------------------------------- */

/* Answers that go on: listings, whose last chunk ends them. */
static void take_chunks(struct machine *machine)
{
    struct api_chunk chunk;
    while (api_next_chunk(machine->api, &chunk, machine_now_ms(machine))) {
        if (!viewers_chunk(machine->world, machine, &chunk)) {
            mixers_chunk(machine->world, &chunk);
            api_stream_unsent(machine->api, chunk.token, 0);
        }
        if (chunk.data != NULL)
            evbuffer_free(chunk.data);
    }
}

static void answer_clients(struct machine *machine)
{
    struct world *world = machine->world;
    uint64_t at_us = machine->free_us > world->now_us ? machine->free_us : world->now_us;
    struct api_response response;
    holders_take(world, machine);
    while (api_next_response(machine->api, &response, machine_now_ms(machine))) {
        bool is_own = world->on_answer != NULL && world->on_answer(world, &response, at_us);
        if (!is_own && !mixers_answered(world, &response) && !viewers_answered(world, &response))
            clients_answered(world, &response, at_us);
        api_response_deinit(&response);
    }
    if (world->mixers.on)
        take_chunks(machine);
}

static void plan_next_turn(struct machine *machine)
{
    const struct world *world = machine->world;
    if (machine->ended)
        return;
    uint64_t soon_us = world->now_us + world->plan.turn_us;
    if (node_has_work(machine->node))
        machine_wake(machine, soon_us);
    uint64_t next_us = when_us(machine, node_next_deadline_ms(machine->node));
    machine_wake(machine, next_us > soon_us ? next_us : soon_us);
    if (machine->world->mixers.on) {
        uint64_t chunk_us = when_us(machine, api_next_deadline_ms(machine->api));
        machine_wake(machine, chunk_us > soon_us ? chunk_us : soon_us);
    }
    uint64_t sync_us = disk_next_sync_us(machine->disk);
    if (sync_us != SIM_NEVER)
        machine_wake(machine, sync_us > soon_us ? sync_us : soon_us);
}

void machine_turn(struct machine *machine)
{
    struct world *world = machine->world;
    machine->turn_us = SIM_NEVER;
    disk_manner(machine->disk)->now_us = world->now_us;
    (void)memory_enter(machine->id);
    node_pump(machine->node, machine_now_ms(machine));
    (void)memory_enter(0);
    world->counts.turns++;
    if (disk_is_stopped(machine->disk)) {
        machine_die(machine, (enum disk_cut)world_below(world, DISK_CUT_COUNT));
        machine_restart_in(machine, 50000 + world_below(world, 3000000));
        return;
    }
    uint64_t waited_us = disk_take_waited_us(machine->disk);
    if (waited_us > 0)
        machine->free_us = world->now_us + waited_us;
    check_turn(world, machine);
    model_check(world, machine);
    events_check(world, machine);
    holders_check(world, machine);
    answer_clients(machine);
    net_pump(world, machine->id);
    maybe_end(machine);
    if (machine->node != NULL)
        plan_next_turn(machine);
}
