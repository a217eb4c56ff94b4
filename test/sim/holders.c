/* See holders.h. */
#include "holders.h"

#include "node/internal.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TOKENS (UINT64_C(1) << 63) /* from here on; those of api are below */
#define OPERATOR SIM_HOLDERS /* the last one */
#define CHECKPOINT_MS 300u
/* Most runs never write as much. Where values are huge, more of it would only be written into one
 * snapshot after the other: a few such seeds took more time than all the others together. */
#define HISTORY_BYTES (2u << 20)

static uint64_t below(struct world *world, uint64_t bound)
{
    return prng_below(&world->holders.prng, bound);
}

static void again_in(struct world *world, unsigned number, uint64_t us)
{
    struct holder *holder = &world->holders.holder[number];
    holder->step++;
    holder->machine = 0;
    queue_put(&world->queue, world->now_us + us + 1, EVENT_HOLDER, number, holder->step);
}

void holders_start(struct world *world)
{
    world->holders.prng.state = world->plan.seed ^ UINT64_C(0x6c656173);
    world->holders.last_token = TOKENS;
    for (unsigned i = 0; i <= SIM_HOLDERS; i++)
        again_in(world, i, below(world, 2000000));
}

void holders_options(struct world *world, struct node_options *options)
{
    struct prng prng = {.state = world->plan.seed ^ UINT64_C(0x68697374)};
    options->history_ms = prng_below(&prng, 2) == 0 ? 3000 : 0;
    options->history_bytes = prng_below(&prng, 2) == 0 ? 20000 : HISTORY_BYTES;
}

void holders_on_start(struct machine *machine)
{
    static const size_t slices[] = {NODE_TURN_SLICE_BYTES, 4096, 300};
    static const size_t steps[] = {NODE_TURN_TIDY_STEPS, 1};
    static const size_t deletes[] = {NODE_TURN_APPLY_STEPS, 1};
    struct prng prng = {.state = machine->world->plan.seed ^ UINT64_C(0x736c6963)};
    machine->node->leases.clock.checkpoint_ms = CHECKPOINT_MS;
    machine->node->slice_bytes = slices[prng_below(&prng, 3)];
    machine->node->tidy_steps = steps[prng_below(&prng, 2)];
    machine->node->apply_steps = deletes[prng_below(&prng, 2)];
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void key_of(const struct holder *holder, char *text, size_t size, struct kv_bytes *out)
{
    (void)snprintf(text, size, "lease/%" PRIu64, holder->lease);
    *out = (struct kv_bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void ask_grant(struct world *world, struct machine *machine, struct holder *holder)
{
    char text[32];
    struct kv_op ops[2] = {{.type = KV_OP_GRANT}, {.type = KV_OP_PUT}};
    struct kv_op op = {.type = KV_OP_TXN, .txn = {.success = ops, .success_count = 2}};
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    *holder = (struct holder){.does = HOLDER_GRANTS,
                              .lease = ++world->holders.last_lease,
                              .ttl_s = node_lease_min_ttl_s(machine->node) + below(world, 4),
                              .renewals = (unsigned)below(world, 8),
                              .token = holder->token,
                              .machine = holder->machine,
                              .asked_us = holder->asked_us,
                              .step = holder->step};
    ops[0].grant = (struct kv_grant){.id = holder->lease, .ttl_s = holder->ttl_s};
    key_of(holder, text, sizeof text, &ops[1].put.key);
    ops[1].put.value = ops[1].put.key;
    ops[1].put.lease = holder->lease;
    node_write(machine->node, holder->token, &command, below(world, 2) == 0,
               machine_now_ms(machine));
}

/* The operator lifts what is raised, also when all faults have ended, and sometimes raises one. */
static bool ask_alarm(struct world *world, struct machine *machine, struct holder *holder)
{
    const struct kv_alarm *raised;
    bool any = kv_alarms(machine->node->kv, &raised) > 0;
    if (!any && (world->healing || below(world, 8) > 0))
        return false;
    bool corrupt = below(world, 2) == 0;
    struct kv_alarm alarm = {.member = 1 + below(world, SIM_MEMBERS_MAX),
                             .kind = corrupt ? KV_ALARM_CORRUPT : KV_ALARM_NO_SPACE};
    struct kv_command command = {
        .type = KV_COMMAND_ALARM, .alarm = any ? raised[0] : alarm, .raise = !any};
    holder->does = HOLDER_ALARMS;
    node_write(machine->node, holder->token, &command, false, machine_now_ms(machine));
    return true;
}

static void ask_revoke(struct machine *machine, struct holder *holder)
{
    struct kv_lease_time lease = {.id = holder->lease};
    struct kv_command command = {.type = KV_COMMAND_REVOKE, .leases = &lease, .lease_count = 1};
    holder->does = HOLDER_REVOKES;
    holder->promised_us = 0;
    node_write(machine->node, holder->token, &command, false, machine_now_ms(machine));
}

static void ask(struct world *world, struct machine *machine, struct holder *holder)
{
    holder->token = ++world->holders.last_token;
    holder->asked_us = world->now_us;
    if (holder == &world->holders.holder[OPERATOR]) {
        if (!ask_alarm(world, machine, holder))
            holder->token = 0;
    } else if (holder->does != HOLDER_HOLDS) {
        ask_grant(world, machine, holder);
    } else if (holder->renewals == 0) {
        ask_revoke(machine, holder);
    } else {
        holder->renewals--;
        holder->does = HOLDER_RENEWS;
        node_lease_renew(machine->node, holder->token, holder->lease, machine_now_ms(machine));
    }
    trace_line(&world->trace, machine->id, "holder does=%d lease=%" PRIu64 " ttl=%" PRIu64,
               (int)holder->does, holder->lease, holder->ttl_s);
    machine_wake(machine, world->now_us + world->plan.turn_us);
}

static void give_up(struct holder *holder)
{
    holder->token = 0;
    holder->does = holder->does == HOLDER_RENEWS ? HOLDER_HOLDS : HOLDER_RESTS;
}

/* Of those whose renewals are over, every second one lets it run out: its promise stays watched. */
static bool lets_run_out(struct world *world, struct holder *holder)
{
    if (holder->does != HOLDER_HOLDS || holder->renewals > 0 || holder->lease % 2 == 0)
        return false;
    if (world->now_us < holder->promised_us)
        return true;
    world->counts.leases_ended++;
    holder->does = HOLDER_RESTS;
    return false;
}

void holders_event(struct world *world, unsigned number, uint64_t step)
{
    struct holder *holder = &world->holders.holder[number];
    if (holder->step != step || (world->healing && number != OPERATOR))
        return;
    if (holder->token != 0)
        give_up(holder); /* nothing was heard */
    if (lets_run_out(world, holder)) {
        again_in(world, number, 200000);
        return;
    }
    if (holder->machine == 0) {
        unsigned up[SIM_MACHINES];
        unsigned count = 0;
        for (unsigned i = 1; i <= SIM_MACHINES; i++)
            if (machine_runs(&world->machine[i]))
                up[count++] = i;
        if (count == 0) {
            again_in(world, number, 300000);
            return;
        }
        holder->machine = up[below(world, count)];
    }
    struct machine *machine = &world->machine[holder->machine];
    struct event again = {.kind = EVENT_HOLDER, .a = number, .b = step};
    if (machine_postpone(machine, &again))
        return;
    if (machine_runs(machine))
        ask(world, machine, holder);
    uint64_t patience_us = 2000 * (uint64_t)world->plan.request_timeout_ms;
    again_in(world, number, holder->token != 0 ? patience_us : 300000);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* By the fastest clock. The time counts from when the member was asked. */
static void promise(struct world *world, struct holder *holder)
{
    world->holders.promises++;
    uint64_t us = holder->ttl_s * 1000000 * 1000000 / (1000000 + world->plan.clock_spread_ppm);
    us = us > 2000 ? us - 2000 : 0; /* clocks show whole milliseconds */
    if (holder->asked_us + us > holder->promised_us)
        holder->promised_us = holder->asked_us + us;
}

static void answered(struct world *world, struct holder *holder, const struct node_result *result)
{
    bool ok = result->outcome == NODE_OK && result->kv.status == KV_OK;
    switch (holder->does) {
    case HOLDER_GRANTS:
        holder->does = ok ? HOLDER_HOLDS : HOLDER_RESTS;
        holder->granted = result->index;
        world->counts.leases_granted += ok;
        if (ok)
            promise(world, holder);
        return;
    case HOLDER_RENEWS:
        holder->does = HOLDER_HOLDS;
        if (!ok)
            return;
        if (result->lease_known) {
            world->counts.leases_renewed++;
            promise(world, holder);
        } else {
            if (world->now_us < holder->promised_us)
                check_fail(world, "lease %" PRIu64 " is not known %" PRIu64 " us before its time",
                           holder->lease, holder->promised_us - world->now_us);
            holder->does = HOLDER_RESTS;
        }
        return;
    case HOLDER_REVOKES:
        holder->does = HOLDER_RESTS;
        world->counts.leases_revoked += ok;
        return;
    case HOLDER_ALARMS:
        holder->does = HOLDER_RESTS;
        world->counts.alarms += ok;
        return;
    case HOLDER_RESTS:
    case HOLDER_HOLDS: return;
    }
}

/* Mostly in good time; the later ones come after checkpoints, and some too late. */
static uint64_t pause_us(struct world *world, const struct holder *holder)
{
    uint64_t tenth_us = 100000 * (holder->ttl_s > 0 ? holder->ttl_s : 1);
    return tenth_us * (below(world, 2) == 0 ? 3 : 1 + below(world, 10));
}

static void take(struct world *world, const struct node_result *result)
{
    for (unsigned i = 0; i <= SIM_HOLDERS; i++) {
        struct holder *holder = &world->holders.holder[i];
        if (holder->token != result->token)
            continue;
        answered(world, holder, result);
        holder->token = 0;
        trace_line(&world->trace, holder->machine,
                   "holder has outcome=%d lease=%" PRIu64 " known=%d until=%" PRIu64,
                   (int)result->outcome, holder->lease, result->lease_known,
                   holder->promised_us / 1000);
        again_in(world, i, pause_us(world, holder));
    }
}

void holders_take(struct world *world, struct machine *machine)
{
    struct node_result result;
    for (size_t left = machine->node->result_count; left > 0; left--) {
        (void)node_next_result(machine->node, &result);
        if (result.token < TOKENS) {
            requests_push_result(machine->node, result);
            continue;
        }
        if (result.token < PAIR_TOKENS)
            take(world, &result);
        else
            pairs_take(world, machine, &result);
        kv_result_deinit(&result.kv);
    }
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Is there anything to judge that was not judged after an earlier turn? A promise's end comes
 * without a change, but it only lets things pass. */
static bool is_news(const struct world *world, struct machine *machine)
{
    struct holders_seen now = {.life = machine->life,
                               .generation = node_kv_generation(machine->node),
                               .applied = machine->node->applied,
                               .promises = world->holders.promises};
    struct holders_seen *seen = &machine->leases_seen;
    if (now.life == seen->life && now.generation == seen->generation &&
        now.applied == seen->applied && now.promises == seen->promises)
        return false;
    *seen = now;
    return true;
}

void holders_check(struct world *world, struct machine *machine)
{
    const struct node *node = machine->node;
    if (node->loading.reader != NULL || !is_news(world, machine))
        return;
    for (unsigned i = 0; i < SIM_HOLDERS; i++) {
        const struct holder *holder = &world->holders.holder[i];
        if (holder->granted == 0 || node->applied < holder->granted ||
            world->now_us >= holder->promised_us)
            continue;
        char text[32];
        struct kv_bytes key;
        struct kv_item item;
        struct kv_lease_info info;
        key_of(holder, text, sizeof text, &key);
        bool known = kv_lease_get(node->kv, holder->lease, &info);
        world->counts.checkpoints += known && info.remaining_s != 0;
        if (!known)
            check_fail(world,
                       "lease %" PRIu64 " has ended at member %u %" PRIu64 " us before its time",
                       holder->lease, machine->id, holder->promised_us - world->now_us);
        else if (!kv_get(node->kv, key, &item) || item.lease != holder->lease)
            check_fail(world, "the key of lease %" PRIu64 " is gone at member %u before its time",
                       holder->lease, machine->id);
    }
}

bool holders_are_over(const struct world *world)
{
    unsigned leader = world_leader(world);
    return leader != 0 && kv_lease_count(world->machine[leader].node->kv) == 0;
}
