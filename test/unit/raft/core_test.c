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

static struct floe_raft *start(size_t voters, bool async)
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
                                 .async_storage_writes = async,
                                 .seed = 1};
    struct floe_raft *raft;
    assert_int_equal(floe_raft_new(&config, &raft), FLOE_OK);
    return raft;
}

static struct floe_raft *leader_of(size_t voters)
{
    struct floe_raft *raft = start(voters, false);
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

/* As in the reference; who lies about one number may lie about another as well. */
static void test_core_read_answers_are_kept_as_maximum_whatever_was_asked(void **state)
{
    (void)state;
    struct floe_raft *raft = leader_of(5);
    elect(raft, 5);
    struct floe_blob *many = count_context(1000);
    struct floe_blob *context = floe_blob_new("r", 1);
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 2, 0, many);
    floe_raft_read_index(raft, context);
    floe_raft_read_index(raft, context);
    struct floe_blob *one = count_context(1);
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 3, 0, one);
    assert_int_equal(raft->read_state_count, 1); /* 1, 2 and 3 have confirmed the first */
    struct floe_blob *lying = floe_blob_new("CampaignTransfer", 16); /* its first eight bytes */
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 4, 0, lying);
    assert_int_equal(raft->read_state_count, 2);
    struct floe_blob *brief = floe_blob_new("1234567", 7);
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 5, 0, brief); /* is no number */
    assert_int_equal(raft->read_only.count, 0);
    floe_blob_unref(brief);
    floe_blob_unref(lying);
    floe_blob_unref(one);
    floe_blob_unref(context);
    floe_blob_unref(many);
    finish(raft);
}

/* 200 MB of requests, of which none can be answered: nothing is committed in this term. */
static void test_core_reads_that_wait_have_a_bound(void **state)
{
    (void)state;
    struct floe_raft *raft = leader_of(3);
    assert_int_equal(floe_raft_campaign(raft), FLOE_OK); /* the snapshot is of the first term */
    work(raft);
    answer(raft, FLOE_MSG_VOTE_RESP, 2, 0, NULL);
    work(raft);
    struct floe_entry entry = {.data = floe_blob_alloc(1 << 20)};
    struct floe_message m = {
        .type = FLOE_MSG_READ_INDEX, .to = 1, .from = 2, .entries = &entry, .entry_count = 1};
    for (int i = 0; i < 200; i++)
        assert_int_equal(floe_raft_step(raft, &m), FLOE_OK);
    assert_in_range(raft->pending_reads.count, 8, 15);
    answer(raft, FLOE_MSG_APP_RESP, 2, 2, NULL); /* now they are, but no quorum confirms them */
    assert_int_equal(raft->pending_reads.count, 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(floe_raft_step(raft, &m), FLOE_OK);
    assert_in_range(raft->read_only.count, 8, 15);
    struct floe_blob *all = count_context(raft->read_only.count);
    answer(raft, FLOE_MSG_HEARTBEAT_RESP, 2, 0, all);
    assert_int_equal(raft->read_only.count, 0);
    assert_int_equal(floe_raft_step(raft, &m), FLOE_OK); /* and there is room again */
    assert_int_equal(raft->read_only.count, 1);
    floe_blob_unref(all);
    floe_entry_deinit(&entry);
    finish(raft);
}

/* A snapshot and entries behind it, made durable by one write. */
static void test_core_append_answer_counts_for_entries_and_snapshot(void **state)
{
    (void)state;
    struct floe_raft *raft = start(3, true);
    struct floe_snapshot snapshot = {.index = 10, .term = 2};
    for (floe_id id = 1; id <= 3; id++)
        floe_ids_push(&snapshot.conf_state.voters, id);
    struct floe_message m = {
        .type = FLOE_MSG_SNAP, .to = 1, .from = 2, .term = 2, .snapshot = &snapshot};
    assert_int_equal(floe_raft_step(raft, &m), FLOE_OK);
    struct floe_entry entry = {.index = 11, .term = 2, .data = floe_blob_new("x", 1)};
    m = (struct floe_message){.type = FLOE_MSG_APP, .to = 1, .from = 2, .term = 2, .log_term = 2,
                              .index = 10, .entries = &entry, .entry_count = 1};
    assert_int_equal(floe_raft_step(raft, &m), FLOE_OK);
    struct floe_ready ready;
    floe_raft_ready(raft, &ready);
    const struct floe_message *last = NULL;
    for (size_t i = 0; i < ready.message_count; i++) {
        const struct floe_message *write = &ready.messages[i];
        for (size_t k = 0; k < write->response_count; k++)
            if (write->type == FLOE_MSG_STORAGE_APPEND && write->responses[k].to == 1)
                last = &write->responses[k];
    }
    assert_non_null(last);
    assert_true(last->index == 11 && last->snapshot != NULL);
    assert_int_equal(floe_memstore_apply_snapshot(store, &snapshot), FLOE_OK);
    floe_memstore_append(store, &entry, 1);
    assert_int_equal(floe_raft_step(raft, last), FLOE_OK);
    assert_int_equal(raft->log.unstable.count, 0);
    assert_null(raft->log.unstable.snapshot);
    floe_ready_deinit(&ready);
    floe_entry_deinit(&entry);
    floe_snapshot_deinit(&snapshot);
    finish(raft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_change_behind_another_entry_is_pending_at_its_own_place),
        cmocka_unit_test(test_core_late_read_answer_does_not_take_a_newer_one_back),
        cmocka_unit_test(test_core_read_answers_are_kept_as_maximum_whatever_was_asked),
        cmocka_unit_test(test_core_reads_that_wait_have_a_bound),
        cmocka_unit_test(test_core_append_answer_counts_for_entries_and_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
