/*
 * The consensus core alone: members in one thread, messages handed over directly, storage in
 * memory.
 *
 *   core [MEMBERS [BATCH [PROPOSALS]]]      default 3, 1, 1000000
 *
 * Prints proposals a second of wall clock, 16 bytes each, committed and handed out at every member;
 * the log is compacted every 10,000 entries. At each power of ten the cost so far is shown, which
 * should be flat.
 */
#include <floe/raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MEMBERS_MAX 7
#define COMPACT_EVERY 10000
#define PAYLOAD_BYTES 16

struct member {
    struct floe_raft *raft;
    struct floe_memstore *store;
    uint64_t applied; /* payload entries handed out */
    floe_index index;
    floe_index compacted;
};

static struct member members[MEMBERS_MAX + 1];
static size_t member_count;
static struct floe_ids everybody;

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "core: %s\n", what);
    exit(1);
}

static void add_member(floe_id id)
{
    struct member *m = &members[id];
    m->store = floe_memstore_new();
    struct floe_snapshot first = {.index = 1, .term = 1, .conf_state.voters = everybody};
    require(floe_memstore_apply_snapshot(m->store, &first) == FLOE_OK, "membership");
    struct floe_config config = {.id = id,
                                 .election_tick = 10,
                                 .heartbeat_tick = 1,
                                 .storage = floe_memstore_storage(m->store),
                                 .max_size_per_msg = 1 << 20,
                                 .max_inflight_msgs = 256,
                                 .seed = id};
    require(floe_raft_new(&config, &m->raft) == FLOE_OK, "floe_raft_new");
}

static void maybe_compact(struct member *m)
{
    if (m->index < m->compacted + 2 * COMPACT_EVERY)
        return;
    m->compacted = m->index - COMPACT_EVERY;
    struct floe_conf_state cs = {.voters = everybody};
    require(floe_memstore_create_snapshot(m->store, m->compacted, &cs, NULL) == FLOE_OK,
            "snapshot");
    require(floe_memstore_compact(m->store, m->compacted) == FLOE_OK, "compact");
}

static void store_batch(struct member *m, const struct floe_ready *ready)
{
    if (ready->has_hard_state)
        floe_memstore_set_hard_state(m->store, ready->hard_state);
    if (ready->entry_count > 0)
        floe_memstore_append(m->store, ready->entries, ready->entry_count);
}

static void work(struct member *m)
{
    struct floe_ready ready;
    floe_raft_ready(m->raft, &ready);
    store_batch(m, &ready);
    for (size_t i = 0; i < ready.message_count; i++)
        (void)!floe_raft_step(members[ready.messages[i].to].raft, &ready.messages[i]);
    for (size_t i = 0; i < ready.committed_count; i++)
        m->applied += floe_blob_size(ready.committed[i].data) > 0;
    if (ready.committed_count > 0)
        m->index = ready.committed[ready.committed_count - 1].index;
    floe_ready_deinit(&ready);
    floe_raft_advance(m->raft);
    maybe_compact(m);
}

static void settle(void)
{
    for (bool busy = true; busy;) {
        busy = false;
        for (size_t id = 1; id <= member_count; id++)
            while (floe_raft_has_ready(members[id].raft)) {
                busy = true;
                work(&members[id]);
            }
    }
}

static void propose(size_t count)
{
    static const char payload[PAYLOAD_BYTES] = "0123456789abcde";
    static struct floe_blob *batch[4096];
    for (size_t i = 0; i < count; i++)
        batch[i] = floe_blob_new(payload, sizeof payload);
    require(floe_raft_propose_batch(members[1].raft, batch, count) == FLOE_OK, "proposal dropped");
    for (size_t i = 0; i < count; i++)
        floe_blob_unref(batch[i]);
}

int main(int argc, char **argv)
{
    member_count = argc > 1 ? strtoul(argv[1], NULL, 10) : 3;
    size_t batch = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    uint64_t goal = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000000;
    require(member_count >= 1 && member_count <= MEMBERS_MAX && batch >= 1 && batch <= 4096,
            "MEMBERS is 1 to 7, BATCH 1 to 4096");
    for (floe_id id = 1; id <= member_count; id++)
        floe_ids_push(&everybody, id);
    for (floe_id id = 1; id <= member_count; id++)
        add_member(id);
    require(floe_raft_campaign(members[1].raft) == FLOE_OK, "campaign");
    settle();

    double begin = now_s();
    double last = begin;
    uint64_t done = 0;
    uint64_t mark = 1000;
    uint64_t marked = 0;
    while (done < goal) {
        propose(batch);
        settle();
        done += batch;
        if (done < mark && done < goal)
            continue;
        double now = now_s();
        printf("%9llu proposals: %6.0f ns each since the line before\n", (unsigned long long)done,
               (now - last) * 1e9 / (double)(done - marked));
        last = now;
        marked = done;
        mark *= 10;
    }
    double took = now_s() - begin;
    for (floe_id id = 1; id <= member_count; id++)
        require(members[id].applied == done, "a member misses entries");
    printf("members=%zu batch=%zu proposals=%llu: %.0f/s\n", member_count, batch,
           (unsigned long long)done, (double)done / took);
    for (floe_id id = 1; id <= member_count; id++) {
        floe_raft_free(members[id].raft);
        floe_memstore_free(members[id].store);
    }
    free(everybody.id);
    return 0;
}
