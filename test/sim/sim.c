/*
 * The simulator's command: sim [SEED] [--seeds N] [--hours H] [--cpu S] [--trace] [--twice]
 *
 * Runs seeds from SEED on until so many are done or so much real time has passed (or, for who
 * compares, time of the processor, which does not depend on what else runs here), and reports. A
 * seed that fails is named with the command that replays it; exit status 1.
 */
#include "base/err.h"
#include "memory.h"
#include "world.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct wanted {
    uint64_t seed;
    uint64_t seeds;
    double seconds;     /* of real time; 0: no bound */
    double cpu_seconds; /* of the processor's; 0: no bound */
    bool trace;
    bool twice;              /* each seed, and the traces must be the same */
    const char *regressions; /* a file of seeds, first in each line, to be run instead */
    unsigned failures;       /* as many, and it stops */
    bool list;               /* a line for each seed with its trace's checksum */
};

static struct world world;
static struct counts total;
static uint64_t total_complex; /* histories that took too long to judge */
static char running[96];       /* said if the process is ended by the seed */

/* ---- a seed that ends the process ------------------------------------------------------------ */

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void say_seed(void)
{
    ssize_t done = write(STDOUT_FILENO, running, strlen(running));
    (void)done;
}

static void on_signal(int number)
{
    say_seed();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void watch_for_death(void)
{
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(say_seed);
    (void)signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback == NULL) {
        (void)signal(SIGSEGV, on_signal);
        (void)signal(SIGALRM, on_signal);
    }
    (void)signal(SIGXCPU, on_signal); /* a limit of the caller's: the seed does not end */
}

/* ---- seeds ----------------------------------------------------------------------------------- */

static void add_counts(const struct counts *one)
{
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        total.faults[i] += one->faults[i];
    total.events += one->events;
    total.turns += one->turns;
    total.starts += one->starts;
    total.elections += one->elections;
    total.requests += one->requests;
    total.known += one->known;
    total.unknown += one->unknown;
    total.refused += one->refused;
    total.no_room += one->no_room;
    total.members_added += one->members_added;
    total.members_removed += one->members_removed;
    total.leases_granted += one->leases_granted;
    total.leases_renewed += one->leases_renewed;
    total.leases_ended += one->leases_ended;
    total.leases_revoked += one->leases_revoked;
    total.checkpoints += one->checkpoints;
    total.pairs += one->pairs;
    total.alarms += one->alarms;
    total.views += one->views;
    total.viewed += one->viewed;
    total.views_compacted += one->views_compacted;
    total.mixed += one->mixed;
    total.listed += one->listed;
    total.acknowledged += one->acknowledged;
    total.models += one->models;
    total.models_lost += one->models_lost;
    total.modelled += one->modelled;
    total.compared += one->compared;
    total.watched += one->watched;
    total.watch_jumps += one->watch_jumps;
    total.rollbacks_seen += one->rollbacks_seen;
    if (one->memory_max > total.memory_max)
        total.memory_max = one->memory_max;
    total.virtual_us += one->virtual_us;
}

/* The trace's checksum goes to *sum. */
static bool run_seed(uint64_t seed, bool show, uint64_t *sum, char *why, size_t size)
{
    (void)snprintf(running, sizeof running,
                   "\nseed %" PRIu64 " ends the process: ./dev sim %" PRIu64 " --trace\n", seed,
                   seed);
    bool ok = world_run(&world, seed, show);
    *sum = world.trace.sum;
    (void)snprintf(why, size, "%s", world.check.why);
    total_complex += world.check.too_complex;
    add_counts(&world.counts);
    world_deinit(&world);
    return ok;
}

static bool try_seed(const struct wanted *wanted, uint64_t seed)
{
    char why[1024];
    uint64_t sum;
    uint64_t again;
    bool ok = run_seed(seed, wanted->trace, &sum, why, sizeof why);
    if (ok && wanted->twice && (!run_seed(seed, false, &again, why, sizeof why) || again != sum)) {
        (void)snprintf(why, sizeof why, "the same seed gave two traces");
        ok = false;
    }
    if (!ok)
        (void)printf("seed %" PRIu64 " FAILED: %s\n  replay: ./dev sim %" PRIu64 " --trace\n", seed,
                     why, seed);
    if (wanted->list || wanted->trace)
        (void)printf("seed %" PRIu64 " trace %016" PRIx64 "\n", seed, sum);
    (void)fflush(stdout);
    return ok;
}

/* ---- the report ------------------------------------------------------------------------------ */

static double clock_s(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(uint64_t seeds, uint64_t failed)
{
    double cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    double virtual_s = (double)total.virtual_us / 1e6;
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " failed; %.2f virtual hours, %.0f seconds of the "
                 "processor, %.0f virtual seconds in each\n",
                 seeds, failed, virtual_s / 3600, cpu_s, cpu_s > 0 ? virtual_s / cpu_s : 0);
    (void)printf("%" PRIu64 " events, %" PRIu64 " turns, %" PRIu64 " starts, %" PRIu64
                 " terms with a leader, members added %" PRIu64 " removed %" PRIu64 "\n",
                 total.events, total.turns, total.starts, total.elections, total.members_added,
                 total.members_removed);
    (void)printf("leases granted %" PRIu64 " renewed %" PRIu64 " ran out %" PRIu64
                 " given back %" PRIu64 ", seen with a checkpoint %" PRIu64
                 "; events watched %" PRIu64 ", too old %" PRIu64 "\n",
                 total.leases_granted, total.leases_renewed, total.leases_ended,
                 total.leases_revoked, total.checkpoints, total.watched, total.watch_jumps);
    (void)printf("alarms %" PRIu64 ", answers about two keys %" PRIu64
                 ", rollbacks noticed %" PRIu64 ", most that a member had allocated %" PRIu64
                 " KiB\n",
                 total.alarms, total.pairs, total.rollbacks_seen, total.memory_max / 1024);
    (void)printf("watches %" PRIu64 ": events %" PRIu64 ", too old %" PRIu64 "\n", total.views,
                 total.viewed, total.views_compacted);
    (void)printf("models of the store %" PRIu64 " (lost %" PRIu64 "): commands %" PRIu64
                 ", comparisons %" PRIu64 "; richer requests answered %" PRIu64 ", done %" PRIu64
                 ", listed %" PRIu64 "\n",
                 total.models, total.models_lost, total.modelled, total.compared, total.mixed,
                 total.acknowledged, total.listed);
    (void)printf(
        "requests %" PRIu64 ": answered %" PRIu64 ", refused %" PRIu64 ", without room %" PRIu64
        ", unknown %" PRIu64 "; histories too complex to judge %" PRIu64 "\nfaults:",
        total.requests, total.known, total.refused, total.no_room, total.unknown, total_complex);
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        (void)printf(" %s %" PRIu64, fault_name((enum fault)i), total.faults[i]);
    (void)printf("\n%" PRIu64 " passed, %" PRIu64 " failed\n", seeds - failed, failed);
}

static bool parse(int argc, char **argv, struct wanted *out)
{
    bool seeds_given = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            out->trace = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            out->twice = true;
        } else if (strcmp(argv[i], "--first") == 0) {
            out->failures = 1;
        } else if (strcmp(argv[i], "--list") == 0) {
            out->list = true;
        } else if (value != NULL && strcmp(argv[i], "--seeds") == 0) {
            out->seeds = strtoull(argv[++i], NULL, 10);
            seeds_given = true;
        } else if (value != NULL && strcmp(argv[i], "--hours") == 0) {
            out->seconds = 3600 * strtod(argv[++i], NULL);
        } else if (value != NULL && strcmp(argv[i], "--cpu") == 0) {
            out->cpu_seconds = strtod(argv[++i], NULL);
        } else if (value != NULL && strcmp(argv[i], "--regressions") == 0) {
            out->regressions = argv[++i];
        } else if (argv[i][0] >= '0' && argv[i][0] <= '9') {
            out->seed = strtoull(argv[i], NULL, 10);
        } else {
            return false;
        }
    }
    if (!seeds_given)
        out->seeds = out->seconds > 0 || out->cpu_seconds > 0 ? UINT64_MAX : 1;
    return true;
}

/* Seeds that failed once. */
static uint64_t run_file(const struct wanted *wanted, uint64_t *seeds)
{
    uint64_t failed = 0;
    char line[256];
    FILE *file = fopen(wanted->regressions, "r");
    if (file == NULL)
        return 1;
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] < '0' || line[0] > '9')
            continue;
        failed += !try_seed(wanted, strtoull(line, NULL, 10));
        ++*seeds;
    }
    (void)fclose(file);
    return failed;
}

static bool has_time(const struct wanted *wanted, double begin_s)
{
    return (wanted->seconds <= 0 || clock_s(CLOCK_MONOTONIC) - begin_s < wanted->seconds) &&
           (wanted->cpu_seconds <= 0 || clock_s(CLOCK_PROCESS_CPUTIME_ID) < wanted->cpu_seconds);
}

static uint64_t run_seeds(const struct wanted *wanted, uint64_t *seeds)
{
    double begin_s = clock_s(CLOCK_MONOTONIC);
    uint64_t failed = 0;
    while (*seeds < wanted->seeds && failed < wanted->failures &&
           (*seeds == 0 || has_time(wanted, begin_s))) {
        failed += !try_seed(wanted, wanted->seed + *seeds);
        ++*seeds;
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct wanted wanted = {.seed = 1, .failures = 10};
    if (!parse(argc, argv, &wanted)) {
        (void)fprintf(stderr, "sim [SEED] [--seeds N] [--hours H] [--cpu S] [--trace] "
                              "[--twice] [--list] [--first] [--regressions FILE]\n");
        return 2;
    }
    watch_for_death();
    memory_install();
    uint64_t seeds = 0;
    uint64_t failed =
        wanted.regressions != NULL ? run_file(&wanted, &seeds) : run_seeds(&wanted, &seeds);
    report(seeds, failed);
    return failed > 0 ? 1 : 0;
}
