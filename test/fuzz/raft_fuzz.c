/*
 * A stateful fuzz target of the consensus core: the first bytes draw the configuration, each
 * further one or two an event.
 */
#include "input.h"
#include "world.h"

#include <string.h>

#define EVENTS_MAX 3000

static struct floe_config draw_config(struct fuzz_input *in)
{
    uint8_t a = fuzz_byte(in);
    uint8_t b = fuzz_byte(in);
    uint8_t c = fuzz_byte(in);
    static const uint64_t sizes[] = {0, 1, 40, 200, FLOE_NO_LIMIT, 60, 100, 1000};
    struct floe_config config = {.election_tick = 3 + (a & 3),
                                 .heartbeat_tick = 1,
                                 .async_storage_writes = (a & 4) != 0,
                                 .pre_vote = (a & 8) != 0,
                                 .check_quorum = (a & 16) != 0,
                                 .disable_proposal_forwarding = (a & 32) != 0,
                                 .step_down_on_removal = (a & 64) != 0,
                                 .max_size_per_msg = sizes[b & 7],
                                 .max_committed_size_per_ready = sizes[1 + ((b >> 3) % 7)],
                                 .max_inflight_msgs = 1u + (c & 7),
                                 .max_uncommitted_entries_size = (c & 8) != 0 ? 100 : 0,
                                 .seed = c};
    if (config.check_quorum && (c & 32) != 0 && (b & 64) != 0)
        config.read_only = FLOE_READ_ONLY_SAFE;
    if ((c & 16) != 0 && config.max_size_per_msg != FLOE_NO_LIMIT)
        config.max_inflight_bytes = config.max_size_per_msg + 100;
    return config;
}

static void propose(struct world *world, struct world_node *node, uint8_t size)
{
    uint8_t data[64] = {0};
    memcpy(data, &world->payload, sizeof world->payload);
    world->payload++;
    struct floe_blob *blob = size % 8 == 0 ? NULL : floe_blob_new(data, 8u + size % 56);
    (void)!floe_raft_propose(node->raft, blob);
    floe_blob_unref(blob);
}

static void change_members(struct world *world, struct world_node *node, struct fuzz_input *in)
{
    uint8_t how = fuzz_byte(in);
    struct floe_conf_change_single singles[3];
    size_t count = how % 4;
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = fuzz_byte(in);
        singles[i].type = (enum floe_conf_change_type)(byte & 3);
        singles[i].node_id = 1 + (byte >> 2) % world->count;
    }
    bool v1 = count == 1 && (how & 64) != 0;
    enum floe_conf_transition transition =
        v1 ? FLOE_CONF_TRANSITION_AUTO : (enum floe_conf_transition)((how >> 2) % 3);
    struct floe_conf_change change = floe_conf_change_make(transition, singles, count, NULL);
    (void)!floe_raft_propose_conf_change(node->raft, &change, v1);
    floe_conf_change_deinit(&change);
}

static void forge(struct world *world, struct world_node *node, struct fuzz_input *in)
{
    struct floe_message m = {.type = (enum floe_message_type)(fuzz_byte(in) % FLOE_MSG_TYPE_COUNT),
                             .to = node->config.id,
                             .from = fuzz_byte(in) % (world->count + 2),
                             .term = fuzz_byte(in) % 16,
                             .log_term = fuzz_byte(in) % 16,
                             .index = fuzz_byte(in) % 64,
                             .commit = fuzz_byte(in) % 64,
                             .reject_hint = fuzz_byte(in) % 64};
    uint8_t flags = fuzz_byte(in);
    m.reject = (flags & 1) != 0;
    struct floe_entry entries[3] = {{0}};
    for (size_t i = 0; i < 3; i++) {
        entries[i] = (struct floe_entry){.term = m.log_term + (flags & 2),
                                         .index = m.index + 1 + i + ((flags & 4) != 0 ? i : 0),
                                         .type = (enum floe_entry_type)((flags >> 3) % 3)};
    }
    struct floe_snapshot snapshot = {.index = m.index, .term = m.log_term};
    floe_id voters[2] = {node->config.id, 1};
    snapshot.conf_state.voters = (struct floe_ids){voters, (flags >> 5) % 3};
    m.entries = entries;
    m.entry_count = flags % 4;
    m.snapshot = (flags & 8) != 0 ? &snapshot : NULL;
    if ((flags & 128) != 0)
        m.context = floe_blob_new("CampaignTransfer", (flags & 16) != 0 ? 16 : 8);
    (void)!floe_raft_step(node->raft, &m);
    floe_blob_unref(m.context);
}

static void compact(struct world_node *node)
{
    if (node->applied > floe_memstore_first_index(node->disk) + 1 &&
        node->applied <= floe_memstore_last_index(node->disk))
        (void)floe_memstore_compact(node->disk, node->applied - 1);
}

static void read_index(struct world *world, struct world_node *node)
{
    struct floe_blob *context = floe_blob_new(&world->payload, sizeof world->payload);
    world->payload++;
    floe_raft_read_index(node->raft, context);
    floe_blob_unref(context);
}

static void on_network(struct world *world, uint8_t event, uint8_t which)
{
    if (world->network.count == 0)
        return;
    size_t at = which % world->network.count;
    switch (event % 4) {
    case 0: world_drop(world, at); break;
    case 1: world_deliver(world, at, true); break;
    default: world_deliver(world, at, false); break;
    }
}

static void event(struct world *world, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    uint8_t who = fuzz_byte(in);
    struct world_node *node = &world->node[1 + who % world->count];
    floe_id other = 1 + (who >> 4) % world->count;
    switch (what % 24) {
    case 0:
    case 1:
    case 2: floe_raft_tick(node->raft); break;
    case 3:
        for (int i = 0; i < 8; i++)
            floe_raft_tick(node->raft);
        break;
    case 4:
    case 5:
    case 6:
    case 7: on_network(world, what >> 5, who); break;
    case 8:
    case 9: world_ready(node); break;
    case 10: world_append(node); break;
    case 11: world_apply(node); break;
    case 12:
    case 13: world_settle(world, 1 + (who >> 5)); break;
    case 14: propose(world, node, fuzz_byte(in)); break;
    case 15: change_members(world, node, in); break;
    case 16: world_restart(node); break;
    case 17: read_index(world, node); break;
    case 18: floe_raft_transfer_leader(node->raft, other); break;
    case 19: floe_raft_report_unreachable(node->raft, other); break;
    case 20: floe_raft_report_snapshot(node->raft, other, (what & 128) != 0); break;
    case 21: compact(node); break;
    case 22: (void)floe_raft_campaign(node->raft); break;
    default:
        if (world->hostile)
            forge(world, node, in);
        else
            (void)floe_raft_forget_leader(node->raft);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct fuzz_input in = {.data = data, .len = size};
    uint8_t first = fuzz_byte(&in);
    struct floe_config config = draw_config(&in);
    world_init(&world, 1 + first % WORLD_NODES, &config);
    world.hostile = (first & 0x80) != 0;
    for (int i = 0; i < EVENTS_MAX && in.pos < in.len; i++) {
        event(&world, &in);
        world_judge(&world);
    }
    world_deinit(&world);
    return 0;
}
