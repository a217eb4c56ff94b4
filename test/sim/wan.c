/*
 * A cluster over wide areas: five members in three regions whose round trips are 30, 80 and 150 ms.
 *
 * For a leader in each region: how long a write takes beside the round trip that it needs, for one
 * client and for writes that come ever faster, whether all of these are committed as they come, and
 * how many elections there were. Exit status 1: a commit takes over 5 % longer than it must, writes
 * do not come through as fast as they are offered, or there was a false election.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "node/internal.h"
#include "world.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS 5
#define TOKEN_BASE (UINT64_C(1) << 40)
#define WRITES_MAX 200000
#define SETTLE_US 10000000
#define RUN_US 500000
#define SLACK 1.05

static const unsigned region_of[MEMBERS + 1] = {0, 0, 0, 1, 1, 2};
/* round trips; 500 us within a region */
static const uint32_t round_trip_us[3][3] = {
    {500, 30000, 80000}, {30000, 500, 150000}, {80000, 150000, 500}};

static struct world world;

static struct {
    uint64_t sent_us[WRITES_MAX];
    uint32_t took_us[WRITES_MAX]; /* of those that were answered, in that order */
    size_t sent;
    size_t answered;
    size_t failed;
    uint64_t last_us; /* of the last answer */
} writes;

static bool on_answer(struct world *w, const struct api_response *response, uint64_t at_us)
{
    (void)w;
    if (response->token < TOKEN_BASE)
        return false;
    writes.failed += response->status != 204;
    writes.took_us[writes.answered++] =
        (uint32_t)(at_us - writes.sent_us[response->token - TOKEN_BASE]);
    writes.last_us = at_us;
    return true;
}

static void put(unsigned at, size_t bytes)
{
    struct machine *machine = &world.machine[at];
    char target[32];
    ASSERT(writes.sent < WRITES_MAX);
    (void)snprintf(target, sizeof target, "/k%zu", writes.sent % 1000);
    uint8_t *value = mem_calloc(1, bytes);
    struct api_request request = {.method = API_PUT, .target = target, .body = evbuffer_new()};
    (void)evbuffer_add(request.body, value, bytes);
    mem_free(value);
    writes.sent_us[writes.sent] = world.now_us;
    api_handle(machine->api, TOKEN_BASE + writes.sent++, &request, machine_now_ms(machine));
    evbuffer_free(request.body);
    machine_wake(machine, world.now_us + world.plan.turn_us);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t took(double share)
{
    qsort(writes.took_us, writes.answered, sizeof *writes.took_us, compare);
    return writes.answered > 0 ? writes.took_us[(size_t)((double)(writes.answered - 1) * share)]
                               : 0;
}

/* To the second nearest of the others. */
static uint32_t needed_us(unsigned leader)
{
    uint32_t trips[MEMBERS];
    size_t count = 0;
    for (unsigned i = 1; i <= MEMBERS; i++)
        if (i != leader)
            trips[count++] = round_trip_us[region_of[leader]][region_of[i]];
    qsort(trips, count, sizeof *trips, compare);
    return trips[1];
}

static void open_world(void)
{
    memset(&world.plan, 0, sizeof world.plan);
    struct plan *plan = &world.plan;
    *plan = (struct plan){.members = MEMBERS,
                          .heartbeat_ms = 100,
                          .election_ms = 1000,
                          .request_timeout_ms = 5000,
                          .snapshot_entries = 1000000,
                          .log_segment_bytes = UINT64_C(16) << 20,
                          .pending_bytes = 64u << 20,
                          .bytes_per_ms = 125000, /* a gigabit a second */
                          .turn_us = 20,
                          .sync_us = 150};
    for (unsigned a = 1; a <= MEMBERS; a++)
        for (unsigned b = 1; b <= MEMBERS; b++)
            plan->distance_us[a][b] = round_trip_us[region_of[a]][region_of[b]] / 2;
    world_open(&world, 1);
    world.on_answer = on_answer;
    world_run_until(&world, SETTLE_US);
}

static bool lead(unsigned leader)
{
    for (int tries = 0; tries < 20 && !machine_leads(&world.machine[leader]); tries++) {
        for (unsigned i = 1; i <= MEMBERS; i++)
            if (machine_leads(&world.machine[i])) {
                floe_raft_transfer_leader(world.machine[i].node->raft, leader);
                machine_wake(&world.machine[i], world.now_us + world.plan.turn_us);
            }
        world_run_until(&world, world.now_us + 2000000);
    }
    return machine_leads(&world.machine[leader]);
}

static uint64_t term_of(unsigned id)
{
    return floe_raft_basic_status(world.machine[id].node->raft).hard_state.term;
}

/* One write after the other. */
static bool alone(unsigned leader)
{
    writes.sent = writes.answered = writes.failed = 0;
    for (int i = 0; i < 20; i++) {
        put(leader, 100);
        world_run_until(&world, world.now_us + 400000 + (uint64_t)i * 777);
    }
    uint32_t needed = needed_us(leader);
    uint32_t p50 = took(0.5);
    uint32_t p99 = took(0.99);
    bool good = writes.answered == writes.sent && writes.failed == 0 && p99 <= SLACK * needed + 500;
    (void)printf("| %u (region %u) | one client | %.1f | %.1f | %.1f | %s |\n", leader,
                 region_of[leader], needed / 1e3, p50 / 1e3, p99 / 1e3, good ? "" : "TOO SLOW");
    return good;
}

/* So many a second, whether they are answered or not. */
static bool offered(unsigned leader, uint64_t per_s, size_t bytes)
{
    writes.sent = writes.answered = writes.failed = 0;
    uint64_t begin_us = world.now_us;
    uint64_t count = per_s * RUN_US / 1000000;
    for (uint64_t i = 0; i < count; i++) {
        world_run_until(&world, begin_us + i * 1000000 / per_s);
        put(leader, bytes);
    }
    world_run_until(&world, world.now_us + 2000000);
    uint32_t needed = needed_us(leader);
    uint32_t p50 = took(0.5);
    double rate = writes.answered > 0
                      ? (double)writes.answered * 1e6 / (double)(writes.last_us - begin_us - needed)
                      : 0;
    bool good = writes.answered == writes.sent && writes.failed == 0 &&
                rate >= 0.97 * (double)per_s && p50 <= SLACK * needed + 1000;
    (void)printf("| %u (region %u) | %" PRIu64 "/s of %zu B: %.0f/s | %.1f | %.1f | %.1f | %s |\n",
                 leader, region_of[leader], per_s, bytes, rate, needed / 1e3, p50 / 1e3,
                 took(0.99) / 1e3, good ? "" : "TOO SLOW");
    return good;
}

int main(void)
{
    static const unsigned leaders[] = {1, 3, 5};
    bool good = true;
    open_world();
    (void)printf("| leader | writes | needed round trip ms | p50 ms | p99 ms | |\n"
                 "| --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < sizeof leaders / sizeof *leaders; i++) {
        if (!lead(leaders[i])) {
            (void)printf("%u does not lead\n", leaders[i]);
            return 1;
        }
        uint64_t term = term_of(leaders[i]);
        good = alone(leaders[i]) && good;
        good = offered(leaders[i], 20000, 100) && good;
        good = offered(leaders[i], 5000, 4096) && good;
        if (term_of(leaders[i]) != term) {
            (void)printf("a false election: term %" PRIu64 " after %" PRIu64 "\n",
                         term_of(leaders[i]), term);
            good = false;
        }
    }
    if (world.check.failed)
        (void)printf("%s\n", world.check.why);
    good = good && !world.check.failed;
    world_deinit(&world);
    return good ? 0 : 1;
}
