/* What a member may keep in memory and do in one turn: the bounds that src/README.md and the node
 * state, by the same constants where these are named. */
#include "memory.h"
#include "world.h"

#include "node/internal.h"
#include "raft/core.h"

#include <inttypes.h>

#define EVENT_BYTES (16u << 20)   /* over it a link is not read */
#define VALUE_BYTES (1u << 20)    /* the largest that the simulated api takes */
/* As in peer/internal.h, which does not go together with node's. */
#define URGENT_SLACK (256u << 10)
#define SNAPSHOT_QUEUE (1u << 20)
#define ROOM (64u << 10)          /* for heads, keys, and what the member asks for itself */
#define CHUNK_EVENTS (4u << 20)   /* what the last chunk that was let in makes of events */
#define FIXED_BYTES (8u << 20) /* tables, and buffers that stay; 3 MiB were seen */
#define FACTOR 4u
#define ENTRY_BYTES (VALUE_BYTES + ROOM)
/* A slice of the own snapshot is written, one record of an installed one read. */
#define OWN_SNAPSHOT_BYTES (2 * NODE_TURN_SLICE_BYTES + ENTRY_BYTES)
/* Each member that gets one is fed, and what another one sent is stored: events of one turn. */
#define SNAPSHOT_BYTES \
    (OWN_SNAPSHOT_BYTES + SIM_MEMBERS_MAX * (SNAPSHOT_QUEUE + ROOM) + EVENT_BYTES)
#define LOG_BYTES (EVENT_BYTES + NODE_TURN_BATCHES * (NODE_BATCH_BYTES + ENTRY_BYTES))

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void at_most(struct machine *machine, const char *what, uint64_t is, uint64_t bound)
{
    if (is > bound)
        check_fail(machine->world, "member %u: %s %" PRIu64 ", more than %" PRIu64, machine->id,
                   what, is, bound);
}

static void check_memory(struct machine *machine)
{
    const struct node *node = machine->node;
    size_t pending = node->options.pending_bytes;
    at_most(machine, "bytes of requests", node->waiters.bytes, pending + ROOM);
    /* one batch is always let in */
    at_most(machine, "bytes of proposals in the core", node->raft->uncommitted_size,
            larger(pending, NODE_BATCH_BYTES + ENTRY_BYTES));
    at_most(machine, "bytes of peer events", peer_set_event_bytes(node->peers),
            EVENT_BYTES + CHUNK_EVENTS);
    for (size_t i = 0; i < node->members.count; i++) {
        struct peer_status peer;
        if (peer_set_status(node->peers, node->members.list[i].id, &peer))
            at_most(machine, "bytes of messages to one member", peer.queued_bytes,
                    NODE_PEER_QUEUE_BYTES + URGENT_SLACK + 2 * ROOM); /* pongs */
    }
}

/* All that it has allocated belongs to something that is counted, and whose count has a bound: here
 * or by the configuration. FACTOR is for copies on the way (from the wire, to the log, to each
 * member), the table around them, and what arrays have ahead. */
static void check_allocated(struct machine *machine)
{
    const struct node *node = machine->node;
    struct check_node *seen = &machine->seen;
    uint64_t store = kv_memory_bytes(node->kv);
    if (store > seen->store_bytes)
        seen->store_bytes = store; /* what it gives up is freed by and by */
    uint64_t counted = seen->store_bytes + floe_memstore_size(node->store) + node->waiters.bytes +
                       node->raft->uncommitted_size + peer_set_event_bytes(node->peers);
    for (size_t i = 0; i < node->members.count; i++) {
        struct peer_status peer;
        if (peer_set_status(node->peers, node->members.list[i].id, &peer))
            counted += peer.queued_bytes;
    }
    uint64_t is = memory_of(machine->id);
    if (is > machine->world->counts.memory_max)
        machine->world->counts.memory_max = is;
    at_most(machine, "bytes allocated", is, FIXED_BYTES + FACTOR * counted);
}

static void check_work(struct machine *machine)
{
    const struct node *node = machine->node;
    struct check_node *seen = &machine->seen;
    bool moving = node->transfer_count > 0 || node->incoming.writer != NULL || seen->moving;
    struct disk_bytes bytes = disk_take_bytes(machine->disk);
    if (node->applied_bytes > seen->applied_bytes) /* else it has begun anew */
        at_most(machine, "bytes applied in one turn", node->applied_bytes - seen->applied_bytes,
                NODE_TURN_APPLY_BYTES + ENTRY_BYTES);
    at_most(machine, "bytes of snapshots in one turn", bytes.snapshots,
            moving ? SNAPSHOT_BYTES : OWN_SNAPSHOT_BYTES);
    at_most(machine, "bytes of the log in one turn", bytes.log, LOG_BYTES);
    seen->applied_bytes = node->applied_bytes;
    seen->moving = node->transfer_count > 0 || node->incoming.writer != NULL;
}

void bounds_check(struct machine *machine)
{
    check_memory(machine);
    check_allocated(machine);
    check_work(machine);
}
