/* Behaviours of the whole core that scripts cannot reach: batches with membership changes in them,
 * and answers that arrive out of order with contexts of raw bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "raft/core.h"

#include <string.h>

static struct floe_memstore *store;

static struct floe_raft *leader_of(size_t voters)
{
    struct floe_snapshot first = {.index = 1, .term = 1};
    for (size_t i = 1; i <= voters; i++)
        floe_ids_push(&first.conf_state.voters, i);
    store = floe_memstore_new();
    assert_int_equal(floe_memstore_apply_snapshot(store, &first), FLOE_OK);
    floe_snapshot_deinit(&first);
    struct floe_config config = {.id = 1,
                                 .election_tick = 10,
                                 .heartbeat_tick = 1,
                                 .storage = floe_memstore_storage(store),
                                 .applied = 1,
                                 .max_size_per_msg = FLOE_NO_LIMIT,
                                 .max_inflight_msgs = 16,
                                 .seed = 1};
    struct floe_raft *raft;
    assert_int_equal(floe_raft_new(&config, &raft), FLOE_OK);
    assert_int_equal(floe_raft_campaign(raft), FLOE_OK);
    return raft;
}

/* Makes everything durable and applied, and throws messages away. */
static void work(struct floe_raft *raft)
{
    while (floe_raft_has_ready(raft)) {
        struct floe_ready ready;
        floe_raft_ready(raft, &ready);
        if (ready.has_hard_state)
            floe_memstore_set_hard_state(store, ready.hard_state);
        floe_memstore_append(store, ready.entries, ready.entry_count);
        floe_ready_deinit(&ready);
        floe_raft_advance(raft);
    }
}

static void answer(struct floe_raft *raft, enum floe_message_type type, floe_id from,
                   floe_index index, struct floe_blob *context)
{
    struct floe_message m = {.type = type,
                             .to = 1,
                             .from = from,
                             .term = floe_raft_basic_status(raft).hard_state.term,
                             .index = index,
                             .context = context};
    assert_int_equal(floe_raft_step(raft, &m), FLOE_OK);
}

static void elect(struct floe_raft *raft, size_t voters)
{
    work(raft);
    for (floe_id id = 2; id <= voters; id++)
        answer(raft, FLOE_MSG_VOTE_RESP, id, 0, NULL);
    work(raft);
    assert_int_equal(floe_raft_basic_status(raft).soft_state.state, FLOE_STATE_LEADER);
    for (floe_id id = 2; id <= voters; id++)
        answer(raft, FLOE_MSG_APP_RESP, id, 2, NULL);
    work(raft);
}

static void finish(struct floe_raft *raft)
{
    floe_raft_free(raft);
    floe_memstore_free(store);
}

static void test_core_change_behind_another_entry_is_pending_at_its_own_place(void **state)
{
    (void)state;
    struct floe_raft *raft = leader_of(1);
    elect(raft, 1);
    struct floe_conf_change_single add = {.type = FLOE_CONF_ADD_LEARNER, .node_id = 7};
    struct floe_entry entries[3] = {
        {.data = floe_blob_new("a", 1)},
        {.data = floe_blob_new("b", 1)},
        {.type = FLOE_ENTRY_CONF_CHANGE, .data = floe_conf_change_encode_v1(add, NULL)}};
    struct floe_message m = {
        .type = FLOE_MSG_PROP, .to = 1, .from = 1, .entries = entries, .entry_count = 3};
    assert_int_equal(floe_raft_step(raft, &m), FLOE_OK);
    assert_int_equal(raft->pending_conf_index, floe_raft_basic_status(raft).last_index);
    for (int i = 0; i < 3; i++)
        floe_entry_deinit(&entries[i]);
    finish(raft);
}

static struct floe_blob *count_context(uint64_t count)
{
    struct floe_blob *context = floe_blob_alloc(8);
    put_u64(floe_blob_bytes(context), count);
    return context;
}

static void test_core_late_read_answer_does_not_take_a_newer_one_back(void **state)
{
    (void)state;
    struct floe_raft *raft = leader_of(5);
    elect(raft, 5);
    struct floe_blob *context = floe_blob_new("r", 1);
    floe_raft_read_index(raft, context);
    floe_raft_read_index(raft, context);
    floe_blob_unref(context);
    struct floe_blob *one = count_context(1);
    struct floe_blob *two = count_context(2);
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 2, 0, two);
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 2, 0, one); /* late */
    assert_int_equal(raft->read_state_count, 0);
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 3, 0, two);
    assert_int_equal(raft->read_state_count, 2);
    floe_blob_unref(one);
    floe_blob_unref(two);
    finish(raft);
}

static void test_core_read_answer_from_the_future_confirms_nothing(void **state)
{
    (void)state;
    struct floe_raft *raft = leader_of(3);
    elect(raft, 3);
    struct floe_blob *many = count_context(1000);
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 2, 0, many);
    struct floe_blob *context = floe_blob_new("r", 1);
    floe_raft_read_index(raft, context);
    assert_int_equal(raft->read_state_count, 0);
    floe_blob_unref(context);
    floe_blob_unref(many);
    finish(raft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_change_behind_another_entry_is_pending_at_its_own_place),
        cmocka_unit_test(test_core_late_read_answer_does_not_take_a_newer_one_back),
        cmocka_unit_test(test_core_read_answer_from_the_future_confirms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
