/* See plan.h. */
#include "plan.h"

#include "base/assert.h"

const char *fault_name(enum fault fault)
{
    static const char *const names[FAULT_COUNT] = {
        [FAULT_KILL] = "kill",
        [FAULT_POWER] = "power",
        [FAULT_POWER_AT] = "power-at-write",
        [FAULT_POWER_ALL] = "power-of-all",
        [FAULT_PAUSE] = "pause",
        [FAULT_ISOLATE] = "isolate",
        [FAULT_ONE_WAY] = "one-way",
        [FAULT_SPLIT] = "split",
        [FAULT_PARTIAL] = "partial",
        [FAULT_CUT] = "cut",
        [FAULT_WIRE_FLIP] = "wire-flip",
        [FAULT_DISK_SLOW] = "disk-slow",
        [FAULT_DISK_STUCK] = "disk-stuck",
        [FAULT_DISK_ERROR] = "disk-error",
        [FAULT_DISK_FULL] = "disk-full",
        [FAULT_DISK_FLIP] = "disk-flip",
        [FAULT_STOP] = "stop",
        [FAULT_MEMBER] = "member",
        [FAULT_OTHER_CONF] = "other-conf",
        [FAULT_REPLACE] = "replace",
        [FAULT_TRANSFER] = "transfer",
        [FAULT_STRAND] = "strand",
        [FAULT_ROLLBACK] = "rollback",
        [FAULT_RESEED] = "reseed",
    };
    ASSERT(fault < FAULT_COUNT);
    return names[fault];
}

static uint64_t pick(struct prng *prng, const uint64_t *list, size_t count)
{
    return list[prng_below(prng, count)];
}
#define PICK(prng, ...) \
    pick(prng, (const uint64_t[]){__VA_ARGS__}, sizeof(uint64_t[]){__VA_ARGS__} / sizeof(uint64_t))

uint64_t plan_time(struct prng *prng, uint64_t mean_us)
{
    uint64_t part = 1 + prng_below(prng, 20);
    return prng_below(prng, 10) == 0 ? mean_us / 5 * part : mean_us / 20 * part;
}

static void draw_cluster(struct plan *plan, struct prng *prng)
{
    plan->members = (unsigned)PICK(prng, 1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7);
    plan->heartbeat_ms = (uint32_t)PICK(prng, 10, 30, 50, 100, 100, 200);
    plan->election_ms = plan->heartbeat_ms * (uint32_t)PICK(prng, 4, 5, 10, 10, 20);
    plan->request_timeout_ms = (uint32_t)PICK(prng, 500, 2000, 5000);
    plan->snapshot_entries = PICK(prng, 1, 3, 5, 10, 20, 40, 100, 1000, 100000);
    plan->log_segment_bytes = PICK(prng, 4096, 8192, 16384, 65536, 262144, 0);
    plan->pending_bytes = (size_t)PICK(prng, 1024, 4096, 65536, 1 << 20, 64 << 20);
    plan->clock_spread_ppm = (uint32_t)PICK(prng, 0, 100, 10000, 100000, 300000);
    plan->turn_us = (uint32_t)PICK(prng, 20, 100, 500, 2000);
}

static void draw_clients(struct plan *plan, struct prng *prng)
{
    plan->clients = 1 + (unsigned)prng_below(prng, SIM_CLIENTS_MAX);
    plan->keys = (unsigned)PICK(prng, 1, 2, 3, 5, SIM_KEYS_MAX);
    plan->chaos_us = UINT64_C(1000000) * PICK(prng, 5, 10, 20, 20, 30, 40);
    plan->think_us = plan->chaos_us * plan->clients / (100 + prng_below(prng, 400));
    plan->value_bytes_max = (size_t)PICK(prng, 24, 100, 100, 1000, 10000);
    plan->value_bytes_huge = (size_t)PICK(prng, 24, 24, 1000, 300000, 2000000);
    plan->read_weight = 1 + (unsigned)prng_below(prng, 10);
    plan->stale_weight = (unsigned)prng_below(prng, 3);
    plan->put_weight = 1 + (unsigned)prng_below(prng, 10);
    plan->delete_weight = (unsigned)prng_below(prng, 4);
    plan->cas_weight = (unsigned)prng_below(prng, 8);
}

static void draw_world(struct plan *plan, struct prng *prng)
{
    uint32_t most_us = plan->election_ms * 1000 / 8; /* there can be elections */
    plan->latency_us = (uint32_t)PICK(prng, 50, 200, 1000, 5000, 20000);
    if (plan->latency_us > most_us)
        plan->latency_us = most_us;
    plan->jitter_us = (uint32_t)prng_below(prng, 2 * plan->latency_us);
    plan->spike_us = (uint32_t)PICK(prng, 0, 0, 20000, 300000, 2000000);
    plan->bytes_per_ms = PICK(prng, 10000, 100000, 1000000, 1000000);
    plan->sync_us = (uint32_t)PICK(prng, 20, 200, 1000, 5000, 10000);
    plan->sync_inline = prng_below(prng, 3) == 0;
    plan->strict_names = prng_below(prng, 2) == 0;
    if (plan->sync_us * 4 > most_us)
        plan->sync_us = most_us / 4;
}

/* Connections come and go faster than leaders do: many terms, whose messages arrive late. */
static void make_restless(struct plan *plan)
{
    for (unsigned i = FAULT_ISOLATE; i <= FAULT_CUT; i++)
        plan->weight[i] = 8;
    plan->fault_us = 500 * (uint64_t)plan->election_ms;
    if (plan->fault_us < plan->chaos_us / 300)
        plan->fault_us = plan->chaos_us / 300;
}

static void draw_faults(struct plan *plan, struct prng *prng)
{
    for (unsigned i = 0; i < PLAN_OLD_FAULTS; i++)
        plan->weight[i] = prng_below(prng, 2) == 0 ? 0 : 1 + (unsigned)prng_below(prng, 8);
    plan->weight[FAULT_REPLACE] = 0; /* follows from others */
    plan->weight[FAULT_OTHER_CONF] = plan->weight[FAULT_OTHER_CONF] != 0 ? 1 : 0;
    /* A replacement must not meet a removal of somebody healthy: together they may be too many. */
    if (plan->weight[FAULT_MEMBER] > 0 || plan->members < 3)
        plan->weight[FAULT_DISK_FLIP] = 0;
    if (plan->members == 1)
        for (unsigned i = FAULT_ISOLATE; i <= FAULT_PARTIAL; i++)
            plan->weight[i] = 0;
    plan->fault_us = plan->chaos_us / PICK(prng, 3, 10, 20, 40, 80);
    if (plan->members > 2 && prng_below(prng, 5) == 0)
        make_restless(plan);
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        plan->weights += plan->weight[i];
}

/* Large values all the time: what bounds memory and the work of a turn is reached. Drawn last, so
 * that other plans stay as they are. Few of them, in few copies: these plans cost the most. */
static void draw_bulk(struct plan *plan, struct prng *prng)
{
    if (prng_below(prng, 25) != 0)
        return;
    plan->value_bytes_max = 400000;
    plan->put_weight = 20;
    plan->think_us *= 2;
    if (plan->members > 5)
        plan->members = 5;
    if (plan->snapshot_entries < 10)
        plan->snapshot_entries = 10;
    plan->bytes_per_ms = 1000000;
    plan->pending_bytes = (size_t)PICK(prng, 1 << 20, 64 << 20);
}

/* Who led once leads again, and what was on its way to it then still comes. */
static void draw_transfers(struct plan *plan, struct prng *prng)
{
    if (plan->members < 2 || prng_below(prng, 3) != 0)
        return;
    plan->weight[FAULT_TRANSFER] = 1 + (unsigned)prng_below(prng, 8);
    if (plan->members >= 5 && !plan->sync_inline) /* else the others could elect nobody */
        plan->weight[FAULT_STRAND] = 1 + (unsigned)prng_below(prng, 8);
    plan->weights += plan->weight[FAULT_TRANSFER] + plan->weight[FAULT_STRAND];
}

/* Not where the operator changes the configuration otherwise: who is set back to one in which it
 * was alone needs nobody. */
static void draw_rollbacks(struct plan *plan, struct prng *prng)
{
    if (prng_below(prng, 3) != 0 || plan->members < 3 || plan->weight[FAULT_MEMBER] > 0)
        return;
    plan->weight[FAULT_ROLLBACK] = 6 + (unsigned)prng_below(prng, 10);
    plan->weights += plan->weight[FAULT_ROLLBACK];
}

/* A member that is alone ends again and again, and is asked as soon as it is back. */
static void draw_alone(struct plan *plan, struct prng *prng)
{
    if (plan->members != 1 || prng_below(prng, 2) != 0)
        return;
    plan->weight[FAULT_KILL] += 20;
    plan->weight[FAULT_POWER] += 20;
    plan->weights += 40;
    plan->chaos_us = 10000000;
    plan->fault_us = 200000;
    plan->think_us = 4000 * (uint64_t)plan->clients;
    plan->read_weight = plan->put_weight = 10;
}

/* Disks that the clients' data fills. Each can hold the largest ordinary value. */
static void draw_disks(struct plan *plan, struct prng *prng)
{
    if (prng_below(prng, 5) != 0)
        return;
    uint64_t segment = plan->log_segment_bytes != 0 ? plan->log_segment_bytes : 4u << 20;
    uint64_t unit = segment / 2 < 1u << 20 ? segment / 2 : 1u << 20;
    plan->disk_bytes = 2 * segment + unit * PICK(prng, 8, 12, 20, 40) +
                       (uint64_t)plan->value_bytes_max * PICK(prng, 12, 16, 24);
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    struct prng prng = {.state = seed};
    *plan = (struct plan){.seed = seed};
    (void)prng_next(&prng);
    draw_cluster(plan, &prng);
    draw_clients(plan, &prng);
    draw_world(plan, &prng);
    draw_faults(plan, &prng);
    draw_bulk(plan, &prng);
    draw_transfers(plan, &prng);
    draw_rollbacks(plan, &prng);
    draw_alone(plan, &prng);
    draw_disks(plan, &prng);
}
