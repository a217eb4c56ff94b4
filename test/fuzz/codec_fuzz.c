/*
 * The codec of consensus values: what decodes must come out of its own encoding again, byte for
 * byte the second time. Messages that decode are then stepped into cores of a small cluster, which
 * must neither break an assertion nor an invariant. An input is a row of pieces, each with its
 * length in front.
 */
#include "base/assert.h"
#include "codec/raft_codec.h"
#include "input.h"
#include "raft/invariants.h"
#include "world.h"

#include <string.h>

#define PIECES_MAX 100

static void compare(struct buf *first, struct buf *second)
{
    ASSERT(first->len == second->len && memcmp(first->data, second->data, first->len) == 0);
    buf_deinit(first);
    buf_deinit(second);
}

static void check_entry(const uint8_t *data, size_t len)
{
    struct floe_entry entry;
    struct buf first = {0};
    struct buf second = {0};
    if (raft_codec_get_entry(data, len, &entry) != ERR_OK)
        return;
    raft_codec_put_entry(&first, &entry);
    floe_entry_deinit(&entry);
    ASSERT(raft_codec_get_entry(first.data, first.len, &entry) == ERR_OK);
    raft_codec_put_entry(&second, &entry);
    floe_entry_deinit(&entry);
    compare(&first, &second);
}

static void check_hard_state(const uint8_t *data, size_t len)
{
    struct floe_hard_state hs;
    struct buf first = {0};
    struct buf second = {0};
    if (raft_codec_get_hard_state(data, len, &hs) != ERR_OK)
        return;
    raft_codec_put_hard_state(&first, &hs);
    ASSERT(raft_codec_get_hard_state(first.data, first.len, &hs) == ERR_OK);
    raft_codec_put_hard_state(&second, &hs);
    compare(&first, &second);
}

static void check_conf_state(const uint8_t *data, size_t len)
{
    struct floe_conf_state cs;
    struct buf first = {0};
    struct buf second = {0};
    if (raft_codec_get_conf_state(data, len, &cs) != ERR_OK)
        return;
    raft_codec_put_conf_state(&first, &cs);
    floe_conf_state_deinit(&cs);
    ASSERT(raft_codec_get_conf_state(first.data, first.len, &cs) == ERR_OK);
    raft_codec_put_conf_state(&second, &cs);
    floe_conf_state_deinit(&cs);
    compare(&first, &second);
}

static void step(struct world *world, struct floe_message *message)
{
    size_t at = 1 + message->to % world->count;
    message->to = at; /* as node does: what is for somebody else never comes so far */
    (void)!floe_raft_step(world->node[at].raft, message);
    const char *why = raft_check_invariants(world->node[at].raft);
    ASSERT_MSG(why == NULL, why);
}

static void check_message(struct world *world, const uint8_t *data, size_t len)
{
    struct floe_message message;
    struct floe_message again;
    struct buf first = {0};
    struct buf second = {0};
    if (raft_codec_get_message(data, len, &message) != ERR_OK)
        return;
    raft_codec_put_message(&first, &message);
    ASSERT(raft_codec_get_message(first.data, first.len, &again) == ERR_OK);
    raft_codec_put_message(&second, &again);
    floe_message_deinit(&again);
    compare(&first, &second);
    step(world, &message);
    floe_message_deinit(&message);
}

static void part(struct world *world, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    size_t at = 1 + (what >> 4) % world->count;
    size_t len;
    const uint8_t *data;
    switch (what % 8) {
    case 0: floe_raft_tick(world->node[at].raft); return;
    case 1: world_settle(world, 1); return;
    case 2: (void)floe_raft_campaign(world->node[at].raft); return;
    default: break;
    }
    data = fuzz_piece(in, &len);
    switch (what % 8) {
    case 3: check_entry(data, len); break;
    case 4: check_hard_state(data, len); break;
    case 5: check_conf_state(data, len); break;
    default: check_message(world, data, len); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct fuzz_input in = {.data = data, .len = size};
    uint8_t how = fuzz_byte(&in);
    struct floe_config config = {.election_tick = 3,
                                 .heartbeat_tick = 1,
                                 .async_storage_writes = (how & 1) != 0,
                                 .pre_vote = (how & 2) != 0,
                                 .check_quorum = (how & 4) != 0,
                                 .max_size_per_msg = 1000,
                                 .max_committed_size_per_ready = 1000,
                                 .max_inflight_msgs = 4,
                                 .seed = 1};
    world_init(&world, 1 + how / 8 % 3, &config);
    world.hostile = true;
    for (int i = 0; i < PIECES_MAX && fuzz_more(&in); i++)
        part(&world, &in);
    world_deinit(&world);
    return 0;
}
