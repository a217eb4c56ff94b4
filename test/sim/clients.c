/* See clients.h. */
#include "clients.h"

#include "base/assert.h"
#include "base/mem.h"
#include "memory.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER_RETURNED UINT64_MAX

static uint64_t patience_us(const struct world *world)
{
    return 2000 * (uint64_t)world->plan.request_timeout_ms;
}

static uint64_t trip_us(struct world *world)
{
    return world->plan.latency_us + world_below(world, world->plan.latency_us + 1);
}

void clients_value(struct buf *out, uint64_t value, size_t len)
{
    buf_printf(out, "v%" PRIu64 ".", value);
    uint8_t *at = buf_reserve(out, len);
    unsigned letter = (unsigned)((value + out->len) % 26);
    for (; out->len < len; letter = letter == 25 ? 0 : letter + 1, out->len++)
        *at++ = (uint8_t)('a' + letter);
}

void clients_start(struct world *world)
{
    for (unsigned i = 0; i < world->plan.clients; i++)
        queue_put(&world->queue, world_below(world, world->plan.think_us + 1000), EVENT_CLIENT, i,
                  0);
}

void clients_deinit(struct clients *clients)
{
    for (unsigned i = 0; i < SIM_CLIENTS_MAX; i++)
        buf_deinit(&clients->client[i].body);
    mem_free(clients->history);
    clients->history = NULL;
}

/* ---- a wish ---------------------------------------------------------------------------------- */

static void plan_next_wish(struct world *world, unsigned number)
{
    const struct client *client = &world->clients.client[number];
    uint64_t think_us = world->healing ? 20000 : plan_time(&world->prng, world->plan.think_us);
    if (world->healing && (number != 0 || world->clients.heal == HEAL_DONE))
        return;
    queue_put(&world->queue, world->now_us + think_us + 1, EVENT_CLIENT, number, client->wishes);
}

static void draw_op(struct world *world, const struct client *client, struct history_op *out)
{
    const struct plan *plan = &world->plan;
    unsigned weights[] = {plan->read_weight, plan->stale_weight, plan->put_weight,
                          plan->delete_weight, plan->cas_weight};
    static const enum linear_kind kinds[] = {LINEAR_READ, LINEAR_READ, LINEAR_PUT, LINEAR_DELETE,
                                             LINEAR_CAS};
    unsigned total = 0;
    for (unsigned i = 0; i < 5; i++)
        total += weights[i];
    uint64_t at = world_below(world, total);
    unsigned which = 0;
    while (at >= weights[which])
        at -= weights[which++];
    out->op.kind = kinds[which];
    out->stale = which == 1;
    out->op.key = world_below(world, plan->keys);
    if (which == 4)
        out->op.expected = world_below(world, 4) == 0 ? 0 : client->seen[out->op.key];
}

static void draw_heal_op(const struct clients *clients, struct history_op *out)
{
    out->op.kind = clients->heal == HEAL_CLEAR   ? LINEAR_DELETE
                   : clients->heal == HEAL_WRITE ? LINEAR_PUT
                                                 : LINEAR_READ;
    out->op.key = clients->heal == HEAL_WRITE ? 0 : clients->heal_key;
}

/* The write that must be taken then is one that fits. */
static bool is_heal_with_room(const struct world *world)
{
    return world->healing && world->plan.disk_bytes != 0;
}

void clients_wish(struct world *world, unsigned number, uint64_t wish)
{
    struct clients *clients = &world->clients;
    struct client *client = &clients->client[number];
    if (client->wishes != wish)
        return; /* it has had its answer */
    if (client->token != 0) {
        trace_line(&world->trace, 0, "client %u gives up", number);
        client->token = 0;
        world->counts.unknown++;
    }
    if (world->healing && (number != 0 || clients->heal == HEAL_DONE))
        return;
    struct history_op op = {.op = {.client = number, .returned = NEVER_RETURNED, .ok = true}};
    if (world->healing)
        draw_heal_op(clients, &op);
    else
        draw_op(world, client, &op);
    op.machine = world->healing ? world_pick_member(world) : world_pick(world, MACHINE_UP);
    if (op.op.kind == LINEAR_PUT || op.op.kind == LINEAR_CAS) {
        op.op.value = ++clients->values;
        size_t most = world_below(world, 100) == 0 && !is_heal_with_room(world)
                          ? world->plan.value_bytes_huge
                          : world->plan.value_bytes_max;
        op.value_len = (size_t)world_below(world, most) + 1;
    }
    client->wishes++;
    if (op.machine == 0) { /* nobody is up */
        plan_next_wish(world, number);
        return;
    }
    op.op.invoked = ++clients->clock;
    clients->history =
        mem_grow(clients->history, clients->count, &clients->cap, sizeof *clients->history);
    client->op = clients->count;
    clients->history[clients->count++] = op;
    client->token = ++clients->tokens;
    queue_put(&world->queue, world->now_us + trip_us(world), EVENT_REQUEST, number, client->wishes);
    queue_put(&world->queue, world->now_us + patience_us(world), EVENT_CLIENT, number,
              client->wishes);
}

/* ---- the request ----------------------------------------------------------------------------- */

static void show_request(struct world *world, unsigned number, const struct history_op *op)
{
    static const char *const names[] = {"GET", "PUT", "DELETE", "CAS"};
    trace_line(&world->trace, op->machine,
               "client %u %s%s k%" PRIu64 " value=%" PRIu64 " bytes=%zu expected=%" PRIu64, number,
               names[op->op.kind], op->stale ? " stale" : "", op->op.key, op->op.value,
               op->value_len, op->op.expected);
}

static void hand_over(struct machine *machine, const struct client *client,
                      const struct history_op *op)
{
    char target[64];
    char tag[40];
    struct api_header header = {.name = "If-Match", .value = tag};
    struct api_request request = {.method = API_GET, .target = target};
    (void)snprintf(target, sizeof target, "%s/k%" PRIu64 "%s",
                   op->op.kind == LINEAR_DELETE || op->op.key % 2 == 0 ? "/kv" : "", op->op.key,
                   op->stale ? "?consistency=stale" : "");
    (void)snprintf(tag, sizeof tag, "\"%" PRIu64 "\"", op->op.expected);
    if (op->op.kind == LINEAR_PUT || op->op.kind == LINEAR_CAS) {
        struct buf value = {0};
        request.method = API_PUT;
        request.body = evbuffer_new();
        clients_value(&value, op->op.value, op->value_len);
        (void)evbuffer_add(request.body, value.data, value.len);
        buf_deinit(&value);
    } else if (op->op.kind == LINEAR_DELETE) {
        request.method = API_DELETE;
    }
    if (op->op.kind == LINEAR_CAS) {
        if (op->op.expected == 0)
            header = (struct api_header){.name = "If-None-Match", .value = "*"};
        request.headers = &header;
        request.header_count = 1;
    }
    (void)memory_enter(machine->id);
    api_handle(machine->api, client->token, &request, machine_now_ms(machine));
    (void)memory_enter(0);
    if (request.body != NULL)
        evbuffer_free(request.body);
}

/* It is certain that nothing was done, or nothing was seen. */
static void drop(struct world *world, unsigned number)
{
    struct client *client = &world->clients.client[number];
    world->clients.history[client->op].dropped = true;
    client->token = 0;
    client->wishes++;
    plan_next_wish(world, number);
}

void clients_request(struct world *world, unsigned number, uint64_t wish)
{
    struct client *client = &world->clients.client[number];
    if (client->wishes != wish || client->token == 0)
        return;
    const struct history_op *op = &world->clients.history[client->op];
    struct machine *machine = &world->machine[op->machine];
    struct event again = {.kind = EVENT_REQUEST, .a = number, .b = wish};
    if (machine_postpone(machine, &again))
        return;
    if (!machine_runs(machine)) {
        drop(world, number);
        return;
    }
    show_request(world, number, op);
    world->counts.requests++;
    hand_over(machine, client, op);
    machine_wake(machine, world->now_us + world->plan.turn_us);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static uint64_t number_in(const struct api_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++) {
        const char *value = response->headers[i].value;
        if (strcmp(response->headers[i].name, name) == 0)
            return strtoull(value + (value[0] == '"' ? 1 : 0), NULL, 10);
    }
    return 0;
}

void clients_answered(struct world *world, const struct api_response *response, uint64_t at_us)
{
    for (unsigned i = 0; i < world->plan.clients; i++) {
        struct client *client = &world->clients.client[i];
        if (client->token != response->token)
            continue;
        if (!world->healing && world_below(world, 200) == 0)
            return; /* the answer is lost */
        client->status = response->status;
        client->revision = number_in(response, "ETag");
        client->store = number_in(response, "X-Floe-Revision");
        client->index = number_in(response, "X-Floe-Index");
        buf_clear(&client->body);
        size_t len = response->body != NULL ? evbuffer_get_length(response->body) : 0;
        if (len > 0) {
            (void)evbuffer_copyout(response->body, buf_reserve(&client->body, len), len);
            client->body.len = len;
        }
        queue_put(&world->queue, at_us + trip_us(world), EVENT_RESPONSE, i, client->wishes);
    }
}

/* The number in the bytes of a value, which must be the ones that were written; 0: they are not. */
static uint64_t value_of(struct world *world, struct buf *body, uint64_t key)
{
    if (body->len == 0 || body->data[0] != 'v')
        return 0;
    uint64_t value = strtoull(buf_str(body) + 1, NULL, 10);
    struct buf expected = {0};
    bool same = false;
    for (size_t i = 0; i < world->clients.count && !same; i++) {
        const struct history_op *op = &world->clients.history[i];
        if (op->op.value != value || op->op.key != key || op->op.kind == LINEAR_READ)
            continue;
        clients_value(&expected, value, op->value_len);
        same = expected.len == body->len && memcmp(expected.data, body->data, body->len) == 0;
        buf_deinit(&expected);
    }
    return same ? value : 0;
}

static void learn_read(struct world *world, struct client *client, struct history_op *op)
{
    op->op.known = true;
    op->op.revision = client->status == 200 ? client->revision : 0;
    client->seen[op->op.key] = op->op.revision;
    if (client->status != 200)
        return;
    op->op.value = value_of(world, &client->body, op->op.key);
    if (op->op.value == 0)
        check_fail(world, "a read of k%" PRIu64 " gave bytes that nobody wrote", op->op.key);
}

static void learn_write(struct world *world, struct client *client, struct history_op *op)
{
    op->op.known = true;
    op->op.ok = client->status == 204;
    op->op.revision = client->revision; /* after a CAS without effect: what was found */
    if (op->op.kind == LINEAR_DELETE)
        op->op.revision = op->op.ok ? client->store : 0;
    op->index = client->index;
    client->seen[op->op.key] = client->revision;
    bool odd = (client->status == 404 && op->op.kind != LINEAR_DELETE) ||
               (client->status == 412 && op->op.kind != LINEAR_CAS);
    if (odd)
        check_fail(world, "status %d for a write without condition", client->status);
}

static void learn(struct world *world, unsigned number, struct history_op *op)
{
    struct client *client = &world->clients.client[number];
    bool read = op->op.kind == LINEAR_READ;
    switch (client->status) {
    case 200:
    case 204:
    case 404:
    case 412:
        world->counts.known++;
        op->op.returned = ++world->clients.clock;
        if (read)
            learn_read(world, client, op);
        else
            learn_write(world, client, op);
        return;
    case 507:
        world->counts.no_room++;
        if (op->op.kind != LINEAR_PUT && op->op.kind != LINEAR_CAS && op->op.kind != LINEAR_DELETE)
            check_fail(world, "a read was refused for want of room");
        op->dropped = true;
        return;
    case 409: /* an alarm is raised: see holders.c */
    case 413:
    case 429:
    case 503:
        world->counts.refused++;
        op->dropped = true;
        return;
    case 504:
        world->counts.unknown++;
        op->dropped = read;
        return;
    default: check_fail(world, "status %d", client->status);
    }
}

static void heal_on(struct world *world, const struct history_op *op)
{
    struct clients *clients = &world->clients;
    /* refused still: more is deleted, or what was already; the log may have to move on */
    if (op->dropped && clients->heal == HEAL_WRITE && clients->client[0].status == 507) {
        clients->heal = HEAL_CLEAR;
        clients->heal_key = 0;
    }
    if (!op->op.known || op->dropped)
        return;
    if (clients->heal == HEAL_CLEAR) {
        if (++clients->heal_key < world->plan.keys)
            return;
        clients->heal_key = 0;
        clients->heal = HEAL_WRITE;
    } else if (clients->heal == HEAL_WRITE) {
        clients->heal_index = op->index;
        clients->heal = HEAL_READ;
    } else if (++clients->heal_key == world->plan.keys) {
        clients->heal = HEAL_DONE;
    }
}

void clients_response(struct world *world, unsigned number, uint64_t wish)
{
    struct client *client = &world->clients.client[number];
    if (client->wishes != wish || client->token == 0)
        return;
    struct history_op *op = &world->clients.history[client->op];
    trace_line(&world->trace, op->machine,
               "client %u k%" PRIu64 " has %d revision=%" PRIu64 " bytes=%zu", number, op->op.key,
               client->status, client->revision, client->body.len);
    learn(world, number, op);
    client->token = 0;
    client->wishes++;
    if (world->healing)
        heal_on(world, op);
    plan_next_wish(world, number);
}

void clients_machine_died(struct world *world, unsigned machine)
{
    for (unsigned i = 0; i < world->plan.clients; i++) {
        struct client *client = &world->clients.client[i];
        if (client->token == 0 || world->clients.history[client->op].machine != machine ||
            client->status != 0)
            continue;
        client->token = 0;
        client->wishes++;
        world->counts.unknown++;
        plan_next_wish(world, i);
    }
}

void clients_heal(struct world *world)
{
    world->clients.heal = world->plan.disk_bytes != 0 ? HEAL_CLEAR : HEAL_WRITE;
    struct client *client = &world->clients.client[0];
    if (client->token == 0)
        queue_put(&world->queue, world->now_us + 1, EVENT_CLIENT, 0, client->wishes);
}
