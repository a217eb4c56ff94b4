/*
 * What a seed draws before anything happens: the cluster, its limits, how its network, disks and
 * clocks are, what clients do, which faults there will be and how often. Half of all features are
 * left out of any one plan, so that the others are not drowned by them (swarm testing).
 */
#ifndef TEST_SIM_PLAN_H
#define TEST_SIM_PLAN_H

#include "base/prng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_OLD_FAULTS FAULT_TRANSFER /* those before it are drawn first */
#define SIM_MACHINES 16 /* that a run can have, numbered from 1; a replacement gets a new one */
#define SIM_MEMBERS_MAX 7
#define SIM_KEYS_MAX 8
#define SIM_CLIENTS_MAX 8

enum fault {
    FAULT_KILL,       /* the process dies, its disk keeps everything */
    FAULT_POWER,      /* power cut: unsynced writes are lost, torn, reordered */
    FAULT_POWER_AT,   /* the same at the n-th write from now on */
    FAULT_POWER_ALL,  /* of all machines at once */
    FAULT_PAUSE,      /* as by SIGSTOP */
    FAULT_ISOLATE,    /* one machine from all others */
    FAULT_ONE_WAY,    /* one machine hears the others, who do not hear it, or the reverse */
    FAULT_SPLIT,      /* two halves */
    FAULT_PARTIAL,    /* any set of one-way connections */
    FAULT_CUT,        /* some connections break */
    FAULT_WIRE_FLIP,  /* a bit of what is sent next */
    FAULT_DISK_SLOW,  /* for some time */
    FAULT_DISK_STUCK, /* no sync ends for some time */
    FAULT_DISK_ERROR, /* EIO of the n-th write or sync from now on */
    FAULT_DISK_FULL,  /* ENOSPC for some time */
    FAULT_DISK_FLIP,  /* a bit in cold data; the machine is replaced once that is noticed */
    FAULT_STOP,       /* an orderly stop and a restart: leadership is handed over */
    FAULT_MEMBER,     /* the operator adds or removes a member */
    FAULT_OTHER_CONF, /* a restart with an older or newer configuration file */
    FAULT_REPLACE,    /* the operator replaces a machine whose disk is damaged */
    FAULT_TRANSFER,   /* leadership is handed over to any voter, or back to who had it */
    FAULT_STRAND,     /* the leader and one follower, whose disk is slow, cut off from the others;
                       * then leadership goes back to that leader */
    FAULT_ROLLBACK,   /* an older copy of a data directory is put back */
    FAULT_RESEED,     /* the operator has a damaged machine start with an empty directory */
    FAULT_COUNT,
};
const char *fault_name(enum fault fault);

struct plan {
    uint64_t seed;
    unsigned members; /* of the first configuration */
    unsigned clients;
    unsigned keys;
    uint64_t chaos_us; /* how long faults happen */
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint32_t request_timeout_ms;
    uint64_t snapshot_entries;
    uint64_t log_segment_bytes;
    size_t pending_bytes;
    size_t value_bytes_max;  /* of ordinary values */
    size_t value_bytes_huge; /* of one in a hundred */
    uint64_t think_us;       /* mean pause of a client */
    unsigned read_weight, stale_weight, put_weight, delete_weight, cas_weight;

    uint32_t latency_us;
    uint32_t jitter_us;
    uint32_t spike_us; /* of one in two hundred; 0: none */
    uint32_t distance_us[SIM_MEMBERS_MAX + 1][SIM_MEMBERS_MAX + 1]; /* one way, on top (wan.c) */
    uint64_t bytes_per_ms;
    uint32_t clock_spread_ppm; /* rates lie within 1 +- this */
    uint32_t turn_us;          /* what a turn takes */
    uint32_t sync_us;
    bool sync_inline;  /* a sync keeps the process waiting */
    uint64_t disk_bytes; /* how much fits on a disk, about; 0: all */
    bool strict_names; /* names without a synced directory are lost one by one */
    uint64_t fault_us; /* mean time between faults */
    unsigned weight[FAULT_COUNT];
    unsigned weights;
};

void plan_draw(struct plan *plan, uint64_t seed);
/* Around mean, from a twentieth to four times of it, more often below. */
uint64_t plan_time(struct prng *prng, uint64_t mean_us);

#endif
