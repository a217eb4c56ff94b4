/* Three members of one group in one process: a proposal at one is committed and seen at all. */
#include <floe/raft.h>

#include <stdio.h>

static struct {
    struct floe_raft *raft;
    struct floe_memstore *store;
    const char *seen;
} nodes[3];

/* A real driver makes hard state and entries durable here, before it sends. */
static void work_off(int n)
{
    struct floe_ready ready;
    floe_raft_ready(nodes[n].raft, &ready);
    if (ready.has_hard_state)
        floe_memstore_set_hard_state(nodes[n].store, ready.hard_state);
    floe_memstore_append(nodes[n].store, ready.entries, ready.entry_count);
    for (size_t i = 0; i < ready.message_count; i++)
        if (floe_raft_step(nodes[ready.messages[i].to - 1].raft, &ready.messages[i]) != FLOE_OK)
            puts("a message was refused");
    for (size_t i = 0; i < ready.committed_count; i++)
        if (floe_blob_size(ready.committed[i].data) > 0) /* the store keeps the entry's bytes */
            nodes[n].seen = (const char *)floe_blob_data(ready.committed[i].data);
    floe_ready_deinit(&ready);
    floe_raft_advance(nodes[n].raft);
}

int main(void)
{
    floe_id ids[3] = {1, 2, 3};
    struct floe_snapshot first = {.index = 1, .term = 1, .conf_state.voters = {ids, 3}};
    struct floe_config config = {.election_tick = 10, .heartbeat_tick = 1, .max_inflight_msgs = 9,
                                 .max_size_per_msg = 1 << 20};
    for (int n = 0; n < 3; n++) {
        nodes[n].store = floe_memstore_new();
        config.id = config.seed = ids[n];
        config.storage = floe_memstore_storage(nodes[n].store);
        if (floe_memstore_apply_snapshot(nodes[n].store, &first) != FLOE_OK ||
            floe_raft_new(&config, &nodes[n].raft) != FLOE_OK)
            return 1;
    }
    struct floe_blob *data = floe_blob_new("hello", sizeof "hello");
    for (int round = 0, proposed = 0; round < 100; round++)
        for (int n = 0; n < 3; n++) {
            floe_raft_tick(nodes[n].raft);
            if (!proposed && floe_raft_basic_status(nodes[n].raft).soft_state.lead != FLOE_ID_NONE)
                proposed = floe_raft_propose(nodes[n].raft, data) == FLOE_OK;
            while (floe_raft_has_ready(nodes[n].raft))
                work_off(n);
        }
    floe_blob_unref(data);
    for (int n = 0; n < 3; n++) {
        printf("node %d: %s\n", n + 1, nodes[n].seen != NULL ? nodes[n].seen : "nothing");
        floe_raft_free(nodes[n].raft);
        floe_memstore_free(nodes[n].store);
    }
    return 0;
}
