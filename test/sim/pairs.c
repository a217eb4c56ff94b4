/* See pairs.h. */
#include "pairs.h"

#include "base/mem.h"
#include "memory.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kv_bytes keys[2] = {{(const uint8_t *)"pair/a", 6},
                                        {(const uint8_t *)"pair/b", 6}};

static void again_in(struct world *world, unsigned number, uint64_t us)
{
    struct pairer *pairer = &world->pairs.pairer[number];
    pairer->step++;
    queue_put(&world->queue, world->now_us + us + 1, EVENT_PAIR, number, pairer->step);
}

void pairs_start(struct world *world)
{
    world->pairs.prng.state = world->plan.seed ^ UINT64_C(0x70616972);
    world->pairs.last_token = PAIR_TOKENS;
    for (unsigned i = 0; i < SIM_PAIRERS; i++)
        again_in(world, i, prng_below(&world->pairs.prng, 2000000));
}

void pairs_deinit(struct pairs *pairs)
{
    mem_free(pairs->ops);
    mem_free(pairs->dropped);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static size_t note(struct pairs *pairs, const struct linear_op *op)
{
    pairs->ops = mem_grow(pairs->ops, pairs->count, &pairs->cap, sizeof *pairs->ops);
    pairs->dropped =
        mem_grow(pairs->dropped, pairs->count, &pairs->dropped_cap, sizeof *pairs->dropped);
    pairs->ops[pairs->count] = *op;
    pairs->dropped[pairs->count] = false;
    return pairs->count++;
}

static void ask_write(struct machine *machine, uint64_t token, const struct linear_op *op)
{
    char text[24];
    struct kv_compare compares[2] = {{.target = KV_MOD}, {.target = KV_MOD}};
    struct kv_op puts[2] = {{.type = KV_OP_PUT}, {.type = KV_OP_PUT}};
    struct kv_txn txn = {.compares = compares, .success = puts, .success_count = 2};
    txn.compare_count = op->kind == LINEAR_CAS ? 2 : 0;
    (void)snprintf(text, sizeof text, "%" PRIu64, op->value);
    for (unsigned i = 0; i < 2; i++) {
        compares[i].keys.key = keys[i];
        compares[i].relation = KV_EQUAL;
        compares[i].number = op->expected;
        puts[i].put.key = keys[i];
        puts[i].put.value = (struct kv_bytes){(const uint8_t *)text, strlen(text)};
    }
    struct kv_op all = {.type = KV_OP_TXN, .txn = txn};
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &all, .op_count = 1};
    node_write(machine->node, token, &command, true, machine_now_ms(machine));
}

static void ask(struct world *world, struct machine *machine, unsigned number)
{
    struct pairs *pairs = &world->pairs;
    struct pairer *pairer = &pairs->pairer[number];
    static const enum linear_kind kinds[] = {LINEAR_READ, LINEAR_READ, LINEAR_PUT, LINEAR_CAS};
    struct linear_op op = {.kind = kinds[prng_below(&pairs->prng, 4)],
                           .client = number,
                           .invoked = ++pairs->clock,
                           .returned = UINT64_MAX,
                           .ok = true};
    if (op.kind != LINEAR_READ)
        op.value = ++pairs->last_value;
    if (op.kind == LINEAR_CAS)
        op.expected = pairer->revision;
    pairer->token = ++pairs->last_token;
    pairer->op = note(pairs, &op);
    trace_line(&world->trace, machine->id, "pairer %u kind=%d value=%" PRIu64, number,
               (int)op.kind, op.value);
    (void)memory_enter(machine->id);
    if (op.kind == LINEAR_READ)
        node_read(machine->node, pairer->token, machine_now_ms(machine));
    else
        ask_write(machine, pairer->token, &op);
    (void)memory_enter(0);
    machine_wake(machine, world->now_us + world->plan.turn_us);
}

void pairs_event(struct world *world, unsigned number, uint64_t step)
{
    struct pairer *pairer = &world->pairs.pairer[number];
    if (pairer->step != step || world->healing)
        return;
    pairer->token = 0; /* if nothing was heard until now, then never */
    struct machine *machine = world_choose(world, &world->pairs.prng);
    if (machine != NULL)
        ask(world, machine, number);
    again_in(world, number, 2000 * (uint64_t)world->plan.request_timeout_ms);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void learn_read(struct world *world, const struct machine *machine, struct linear_op *op)
{
    struct kv_item item[2] = {{.mod_revision = 0}, {.mod_revision = 0}};
    const struct kv *kv = node_kv(machine->node);
    bool there = kv_get(kv, keys[0], &item[0]);
    if (kv_get(kv, keys[1], &item[1]) != there || item[0].mod_revision != item[1].mod_revision)
        check_fail(world, "half a transaction at member %u: revisions %" PRIu64 " and %" PRIu64,
                   machine->id, item[0].mod_revision, item[1].mod_revision);
    char text[24] = "";
    if (there && item[0].value.len < sizeof text)
        memcpy(text, item[0].value.data, item[0].value.len);
    op->value = strtoull(text, NULL, 10);
    op->revision = item[0].mod_revision;
}

static void learn(struct world *world, const struct machine *machine, struct pairer *pairer,
                  const struct node_result *result)
{
    struct pairs *pairs = &world->pairs;
    struct linear_op *op = &pairs->ops[pairer->op];
    if (result->outcome != NODE_OK || result->kv.status != KV_OK) {
        pairs->dropped[pairer->op] = result->outcome != NODE_UNKNOWN;
        return;
    }
    world->counts.pairs++;
    op->known = true;
    op->returned = ++pairs->clock;
    if (op->kind == LINEAR_READ) {
        learn_read(world, machine, op);
    } else {
        op->ok = result->kv.reply_count == 1 && result->kv.replies[0].succeeded;
        op->revision = op->ok ? result->kv.revision : 0;
    }
    if (op->revision != 0)
        pairer->revision = op->revision;
}

void pairs_take(struct world *world, struct machine *machine, const struct node_result *result)
{
    for (unsigned i = 0; i < SIM_PAIRERS; i++) {
        struct pairer *pairer = &world->pairs.pairer[i];
        if (pairer->token != result->token)
            continue;
        learn(world, machine, pairer, result);
        pairer->token = 0;
        again_in(world, i, plan_time(&world->pairs.prng, 2 * world->plan.think_us));
    }
}

/* ---- judging --------------------------------------------------------------------------------- */

void pairs_check(struct world *world)
{
    struct pairs *pairs = &world->pairs;
    size_t count = 0;
    for (size_t i = 0; i < pairs->count; i++) {
        const struct linear_op *op = &pairs->ops[i];
        if (!pairs->dropped[i] && (op->kind != LINEAR_READ || op->known))
            pairs->ops[count++] = *op;
    }
    pairs->count = 0;
    struct buf why = {0};
    enum linear_verdict verdict = linear_check(pairs->ops, count, &why);
    world->check.too_complex += verdict == LINEAR_TOO_COMPLEX;
    if (verdict == LINEAR_VIOLATION)
        check_fail(world, "the history of two keys is not linearizable: %s", buf_str(&why));
    buf_deinit(&why);
}
