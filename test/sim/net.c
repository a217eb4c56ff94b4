/* See net.h. */
#include "net.h"

#include "base/assert.h"
#include "base/mem.h"
#include "memory.h"
#include "world.h"

#include <inttypes.h>
#include <stdlib.h>

#define EVENT_BYTES_STOP (16u << 20) /* as in io: over it a link is not read */
#define SYN_AGAIN_US 1000000u
#define RETRANSMIT_US 300000u /* until what was held up comes through, at most */

void net_init(struct net *net)
{
    for (size_t i = 0; i < NET_WIRES_MAX; i++)
        for (int s = 0; s < 2; s++)
            STAILQ_INIT(&net->wire[i].lane[s].chunks);
}

static void lane_clear(struct net_lane *lane)
{
    struct net_chunk *chunk;
    while ((chunk = STAILQ_FIRST(&lane->chunks)) != NULL) {
        STAILQ_REMOVE_HEAD(&lane->chunks, next);
        buf_deinit(&chunk->bytes);
        mem_free(chunk);
    }
    lane->bytes = 0;
}

static void wire_free(struct net_wire *wire)
{
    for (int s = 0; s < 2; s++) {
        lane_clear(&wire->lane[s]);
        if (wire->end[s].input != NULL)
            evbuffer_free(wire->end[s].input);
        wire->end[s] = (struct net_end){0};
        wire->lane[s].last_us = wire->lane[s].sent_us = 0;
        wire->lane[s].stalled = wire->lane[s].closed = false;
        buf_deinit(&wire->lane[s].reader.rest);
        wire->lane[s].reader = (struct promise_reader){0};
    }
    wire->serial = 0;
    wire->accepted = false;
}

void net_deinit(struct net *net)
{
    for (size_t i = 0; i < NET_WIRES_MAX; i++)
        wire_free(&net->wire[i]);
}

static struct peer_set *peers_of(struct world *world, unsigned machine)
{
    struct node *node = world->machine[machine].node;
    return node != NULL ? node_peers(node) : NULL;
}

static uint32_t number_of(const struct net *net, const struct net_wire *wire)
{
    return (uint32_t)(wire - net->wire);
}

static uint64_t latency_us(struct world *world, const struct net_wire *wire)
{
    const struct plan *plan = &world->plan;
    uint64_t us = plan->latency_us;
    unsigned from = wire->end[0].machine;
    unsigned to = wire->end[1].machine;
    if (from <= SIM_MEMBERS_MAX && to <= SIM_MEMBERS_MAX)
        us += plan->distance_us[from][to];
    if (plan->jitter_us > 0)
        us += world_below(world, plan->jitter_us);
    if (plan->spike_us > 0 && !world->healing && world_below(world, 200) == 0)
        us += world_below(world, plan->spike_us);
    return us;
}

/* ---- what is on its way ---------------------------------------------------------------------- */

static void lane_push(struct world *world, struct net_wire *wire, unsigned side,
                      struct net_chunk *chunk)
{
    struct net_lane *lane = &wire->lane[side];
    const struct machine *machine = &world->machine[wire->end[side].machine];
    uint64_t begin = lane->sent_us > world->now_us ? lane->sent_us : world->now_us;
    if (machine->node != NULL && machine->free_us > begin)
        begin = machine->free_us; /* the loop writes after what made the turn wait */
    lane->sent_us = begin + chunk->bytes.len * 1000 / world->plan.bytes_per_ms;
    chunk->at_us = lane->sent_us + latency_us(world, wire);
    if (chunk->at_us < lane->last_us)
        chunk->at_us = lane->last_us;
    lane->last_us = chunk->at_us;
    lane->bytes += chunk->bytes.len;
    STAILQ_INSERT_TAIL(&lane->chunks, chunk, next);
    queue_put(&world->queue, chunk->at_us, EVENT_ARRIVE, 2 * number_of(&world->net, wire) + side,
              wire->serial);
}

static void send_fin(struct world *world, struct net_wire *wire, unsigned side)
{
    struct net_lane *lane = &wire->lane[side];
    if (lane->closed)
        return;
    struct net_chunk *chunk = mem_calloc(1, sizeof *chunk);
    chunk->fin = true;
    lane_push(world, wire, side, chunk);
    lane->closed = true;
}

static void maybe_flip(struct world *world, struct buf *bytes)
{
    if (world->net.flips == 0 || bytes->len == 0)
        return;
    world->net.flips--;
    uint64_t at = world_below(world, bytes->len);
    bytes->data[at] ^= (uint8_t)(1u << world_below(world, 8));
}

/* Takes from the member what the window allows, in pieces that may end anywhere. */
static void take_output(struct world *world, struct net_wire *wire, unsigned side)
{
    struct net_lane *lane = &wire->lane[side];
    struct peer_set *peers = peers_of(world, wire->end[side].machine);
    struct evbuffer *output = peers != NULL && wire->end[side].link != 0
                                  ? peer_set_output(peers, wire->end[side].link)
                                  : NULL;
    bool up = side == 1 || wire->accepted;
    if (output == NULL || !up)
        return;
    while (evbuffer_get_length(output) > 0 && lane->bytes < NET_WINDOW_BYTES) {
        size_t len = evbuffer_get_length(output);
        if (len > 64 && world_below(world, 8) == 0)
            len = 1 + (size_t)world_below(world, len);
        if (len > 256u << 10)
            len = 256u << 10;
        if (lane->closed) {
            (void)evbuffer_drain(output, len);
            continue;
        }
        struct net_chunk *chunk = mem_calloc(1, sizeof *chunk);
        (void)evbuffer_remove(output, buf_reserve(&chunk->bytes, len), len);
        chunk->bytes.len = len;
        promise_read(&world->machine[wire->end[side].machine].promise, &lane->reader,
                     &chunk->bytes);
        maybe_flip(world, &chunk->bytes);
        world->net.bytes += len;
        lane_push(world, wire, side, chunk);
    }
}

/* ---- the ends -------------------------------------------------------------------------------- */

static void tell_closed(struct world *world, struct net_wire *wire, unsigned side,
                        const char *reason)
{
    struct net_end *end = &wire->end[side];
    struct machine *machine = &world->machine[end->machine];
    peer_link link = end->link;
    end->link = 0;
    if (link == 0 || machine->node == NULL)
        return;
    peer_set_on_closed(node_peers(machine->node), link, reason, machine_now_ms(machine));
    machine_wake(machine, world->now_us + world->plan.turn_us);
}

/* Nobody is left who could read or write it. */
static void maybe_free(struct net_wire *wire)
{
    if (wire->end[0].link == 0 && wire->end[1].link == 0 && STAILQ_EMPTY(&wire->lane[0].chunks) &&
        STAILQ_EMPTY(&wire->lane[1].chunks))
        wire_free(wire);
}

static void dial(struct world *world, unsigned from, const struct peer_action *action)
{
    struct net *net = &world->net;
    struct net_wire *wire = NULL;
    for (size_t i = 0; i < NET_WIRES_MAX && wire == NULL; i++)
        if (net->wire[i].serial == 0)
            wire = &net->wire[i];
    ASSERT_MSG(wire != NULL, "the simulated network has too many connections");
    if (number_of(net, wire) >= net->used)
        net->used = number_of(net, wire) + 1;
    wire->serial = ++net->serial;
    unsigned to = (unsigned)strtoul(action->address + 1, NULL, 10);
    ASSERT(to >= 1 && to <= SIM_MACHINES);
    wire->end[0] = (struct net_end){.machine = from, .link = action->link, .input = evbuffer_new()};
    wire->end[1] = (struct net_end){.machine = to, .input = evbuffer_new()};
    queue_put(&world->queue, world->now_us + latency_us(world, wire), EVENT_SYN,
              number_of(net, wire), wire->serial);
}

static struct net_wire *find(struct world *world, unsigned machine, peer_link link, unsigned *side)
{
    for (size_t i = 0; i < world->net.used; i++) {
        struct net_wire *wire = &world->net.wire[i];
        for (unsigned s = 0; s < 2 && wire->serial != 0; s++) {
            if (wire->end[s].machine == machine && wire->end[s].link == link) {
                *side = s;
                return wire;
            }
        }
    }
    return NULL;
}

static void hang_up(struct world *world, unsigned machine, const struct peer_action *action)
{
    unsigned side;
    struct net_wire *wire = find(world, machine, action->link, &side);
    if (wire == NULL)
        return;
    if (action->flush)
        take_output(world, wire, side);
    send_fin(world, wire, side);
    wire->end[side].link = 0;
    if (side == 0 && !wire->accepted)
        lane_clear(&wire->lane[0]);
    maybe_free(wire);
}

void net_pump(struct world *world, unsigned machine)
{
    struct peer_set *peers = peers_of(world, machine);
    struct peer_action action;
    while (peers != NULL && peer_set_next_action(peers, &action)) {
        if (action.type == PEER_ACTION_DIAL)
            dial(world, machine, &action);
        else
            hang_up(world, machine, &action);
    }
    peer_link link;
    while (peers != NULL && (link = peer_set_next_dirty(peers)) != 0) {
        unsigned side;
        struct net_wire *wire = find(world, machine, link, &side);
        if (wire != NULL)
            take_output(world, wire, side);
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool is_blocked(const struct net *net, unsigned from, unsigned to)
{
    return net->blocked[from][to] != 0;
}

static void on_syn(struct world *world, struct net_wire *wire, const struct event *event)
{
    struct net_end *to = &wire->end[1];
    struct machine *machine = &world->machine[to->machine];
    if (wire->end[0].link == 0) {
        wire_free(wire);
        return;
    }
    bool lost = is_blocked(&world->net, wire->end[0].machine, to->machine) ||
                is_blocked(&world->net, to->machine, wire->end[0].machine) ||
                (machine->node == NULL && machine->dead_silent);
    if (lost) {
        queue_put(&world->queue, world->now_us + SYN_AGAIN_US, EVENT_SYN, event->a, event->b);
        return;
    }
    if (machine->node != NULL && !machine->ended)
        to->link = peer_set_on_accept(node_peers(machine->node), "wire", machine_now_ms(machine));
    if (to->link == 0) {
        queue_put(&world->queue, world->now_us + latency_us(world, wire), EVENT_RESET, 2 * event->a,
                  event->b);
        return;
    }
    wire->accepted = true;
    machine_wake(machine, world->now_us + world->plan.turn_us);
    queue_put(&world->queue, world->now_us + latency_us(world, wire), EVENT_CONNECTED, event->a,
              event->b);
}

static void on_connected(struct world *world, struct net_wire *wire)
{
    struct net_end *end = &wire->end[0];
    struct machine *machine = &world->machine[end->machine];
    if (end->link == 0 || machine->node == NULL)
        return;
    peer_set_on_connected(node_peers(machine->node), end->link, machine_now_ms(machine));
    machine_wake(machine, world->now_us + world->plan.turn_us);
}

/* The first chunk of the lane is handed over. */
static void deliver(struct world *world, struct net_wire *wire, unsigned side)
{
    struct net_lane *lane = &wire->lane[side];
    struct net_end *end = &wire->end[1 - side];
    struct machine *machine = &world->machine[end->machine];
    struct net_chunk *chunk = STAILQ_FIRST(&lane->chunks);
    STAILQ_REMOVE_HEAD(&lane->chunks, next);
    lane->bytes -= chunk->bytes.len;
    bool there = end->link != 0 && machine->node != NULL;
    if (chunk->fin) {
        tell_closed(world, wire, 1 - side, "closed by the other side");
        wire->lane[1 - side].closed = true;
    } else if (there) {
        (void)evbuffer_add(end->input, chunk->bytes.data, chunk->bytes.len);
        (void)memory_enter(machine->id);
        peer_set_on_input(node_peers(machine->node), end->link, end->input,
                          machine_now_ms(machine));
        (void)memory_enter(0);
        machine_wake(machine, world->now_us + world->plan.turn_us);
    } else if (wire->end[side].link != 0) { /* nobody knows this connection: a reset */
        queue_put(&world->queue, world->now_us + latency_us(world, wire), EVENT_RESET,
                  2 * number_of(&world->net, wire) + side, wire->serial);
        lane->closed = true;
    }
    buf_deinit(&chunk->bytes);
    mem_free(chunk);
    if (there)
        take_output(world, wire, side); /* the window has room again */
    maybe_free(wire);
}

static void on_arrive(struct world *world, struct net_wire *wire, const struct event *event)
{
    unsigned side = event->a % 2;
    struct net_lane *lane = &wire->lane[side];
    const struct net_end *end = &wire->end[1 - side];
    struct machine *machine = &world->machine[end->machine];
    if (STAILQ_EMPTY(&lane->chunks) || lane->stalled)
        return;
    if (is_blocked(&world->net, wire->end[side].machine, end->machine) ||
        (machine->node == NULL && machine->dead_silent)) {
        lane->stalled = true;
        return;
    }
    if (machine->node != NULL &&
        peer_set_event_bytes(node_peers(machine->node)) >= EVENT_BYTES_STOP) {
        queue_put(&world->queue, world->now_us + 1000, EVENT_ARRIVE, event->a, event->b);
        return;
    }
    deliver(world, wire, side);
}

void net_event(struct world *world, const struct event *event)
{
    bool of_end = event->kind == EVENT_ARRIVE || event->kind == EVENT_RESET;
    struct net_wire *wire = &world->net.wire[of_end ? event->a / 2 : event->a];
    if (wire->serial != event->b)
        return;
    unsigned side = event->kind == EVENT_SYN ? 1 : 0;
    if (event->kind == EVENT_ARRIVE)
        side = 1 - event->a % 2;
    else if (event->kind == EVENT_RESET)
        side = event->a % 2;
    if (machine_postpone(&world->machine[wire->end[side].machine], event))
        return;
    if (event->kind == EVENT_SYN)
        on_syn(world, wire, event);
    else if (event->kind == EVENT_CONNECTED)
        on_connected(world, wire);
    else if (event->kind == EVENT_ARRIVE)
        on_arrive(world, wire, event);
    else {
        tell_closed(world, wire, side, "connection reset");
        lane_clear(&wire->lane[side]);
        wire->lane[side].closed = true;
        maybe_free(wire);
    }
}

/* ---- faults ---------------------------------------------------------------------------------- */

void net_block(struct world *world, unsigned from, unsigned to, uint64_t number)
{
    world->net.blocked[from][to] = number;
}

/* What was held up on the way to a machine comes through: retransmission. */
static void go_on(struct world *world, unsigned from, unsigned to)
{
    for (uint32_t i = 0; i < world->net.used; i++) {
        struct net_wire *wire = &world->net.wire[i];
        for (unsigned s = 0; s < 2 && wire->serial != 0; s++) {
            struct net_lane *lane = &wire->lane[s];
            if (!lane->stalled || wire->end[1 - s].machine != to ||
                (from != 0 && wire->end[s].machine != from))
                continue;
            lane->stalled = false;
            uint64_t at_us = world->now_us + world_below(world, RETRANSMIT_US);
            struct net_chunk *chunk;
            STAILQ_FOREACH(chunk, &lane->chunks, next)
            queue_put(&world->queue, at_us, EVENT_ARRIVE, 2 * i + s, wire->serial);
        }
    }
}

void net_unblock(struct world *world, unsigned from, unsigned to)
{
    world->net.blocked[from][to] = 0;
    go_on(world, from, to);
}

void net_machine_died(struct world *world, unsigned machine, bool silent)
{
    for (uint32_t i = 0; i < world->net.used; i++) {
        struct net_wire *wire = &world->net.wire[i];
        for (unsigned s = 0; s < 2 && wire->serial != 0; s++) {
            if (wire->end[s].machine != machine)
                continue;
            wire->end[s].link = 0;
            if (!silent)
                send_fin(world, wire, s);
            maybe_free(wire);
        }
    }
}

void net_machine_started(struct world *world, unsigned machine)
{
    go_on(world, 0, machine); /* and is answered by resets */
}

static void cut(struct world *world, struct net_wire *wire)
{
    for (unsigned s = 0; s < 2; s++) {
        struct net_lane *lane = &wire->lane[s];
        struct net_chunk *chunk;
        size_t keep = (size_t)world_below(world, lane->bytes + 1);
        STAILQ_FOREACH(chunk, &lane->chunks, next)
        {
            size_t kept = chunk->bytes.len < keep ? chunk->bytes.len : keep;
            lane->bytes -= chunk->bytes.len - kept;
            chunk->bytes.len = kept;
            keep -= kept;
        }
        send_fin(world, wire, s);
    }
}

void net_cut_some(struct world *world, unsigned one_in)
{
    for (size_t i = 0; i < world->net.used; i++) {
        struct net_wire *wire = &world->net.wire[i];
        if (wire->serial != 0 && wire->accepted && world_below(world, one_in) == 0)
            cut(world, wire);
    }
}
