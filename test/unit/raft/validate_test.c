/* Messages that no correct member sends: refused, and nothing has happened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <floe/raft.h>

#include <string.h>

#define SNAPSHOT_INDEX 10

struct node {
    struct floe_memstore *store;
    struct floe_raft *raft;
};

/* Member 1 of 3, whose log is a snapshot of 10 entries of term 1. */
static struct node node_new(void)
{
    struct node node = {.store = floe_memstore_new()};
    struct floe_snapshot snapshot = {.index = SNAPSHOT_INDEX, .term = 1};
    for (floe_id id = 1; id <= 3; id++)
        floe_ids_push(&snapshot.conf_state.voters, id);
    assert_int_equal(floe_memstore_apply_snapshot(node.store, &snapshot), FLOE_OK);
    floe_snapshot_deinit(&snapshot);
    struct floe_config config = {.id = 1,
                                 .election_tick = 3,
                                 .heartbeat_tick = 1,
                                 .storage = floe_memstore_storage(node.store),
                                 .applied = SNAPSHOT_INDEX,
                                 .max_size_per_msg = FLOE_NO_LIMIT,
                                 .max_inflight_msgs = 16};
    assert_int_equal(floe_raft_new(&config, &node.raft), FLOE_OK);
    return node;
}

static void node_free(struct node *node)
{
    floe_raft_free(node->raft);
    floe_memstore_free(node->store);
}

/* Does all work; returns the type of the last message to another member, or TYPE_COUNT. */
static enum floe_message_type settle(struct node *node, bool *reject)
{
    enum floe_message_type last = FLOE_MSG_TYPE_COUNT;
    while (floe_raft_has_ready(node->raft)) {
        struct floe_ready ready;
        floe_raft_ready(node->raft, &ready);
        floe_memstore_append(node->store, ready.entries, ready.entry_count);
        for (size_t i = 0; i < ready.message_count; i++) {
            last = ready.messages[i].type;
            *reject = ready.messages[i].reject;
        }
        floe_ready_deinit(&ready);
        floe_raft_advance(node->raft);
    }
    return last;
}

static void make_leader(struct node *node)
{
    bool reject;
    assert_int_equal(floe_raft_campaign(node->raft), FLOE_OK);
    (void)settle(node, &reject);
    struct floe_message vote = {.type = FLOE_MSG_VOTE_RESP, .to = 1, .from = 2, .term = 1};
    assert_int_equal(floe_raft_step(node->raft, &vote), FLOE_OK);
    (void)settle(node, &reject);
    assert_int_equal(floe_raft_basic_status(node->raft).soft_state.state, FLOE_STATE_LEADER);
}

static void assert_refused(struct node *node, const struct floe_message *m)
{
    struct floe_basic_status before = floe_raft_basic_status(node->raft);
    assert_int_equal(floe_raft_step(node->raft, m), FLOE_ERR_INVALID);
    struct floe_basic_status after = floe_raft_basic_status(node->raft);
    assert_memory_equal(&before.hard_state, &after.hard_state, sizeof before.hard_state);
    assert_int_equal(before.soft_state.lead, after.soft_state.lead);
    assert_int_equal(before.last_index, after.last_index);
    assert_false(floe_raft_has_ready(node->raft));
}

static void test_validate_heartbeat_beyond_the_log_is_refused(void **state)
{
    (void)state;
    struct node node = node_new();
    struct floe_message m = {
        .type = FLOE_MSG_HEARTBEAT, .to = 1, .from = 2, .term = 2, .commit = 11};
    assert_refused(&node, &m);
    m.commit = SNAPSHOT_INDEX;
    assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
    node_free(&node);
}

static void test_validate_heartbeat_at_leader_of_the_term_is_not_looked_into(void **state)
{
    (void)state;
    struct node node = node_new();
    make_leader(&node);
    struct floe_message m = {
        .type = FLOE_MSG_HEARTBEAT, .to = 1, .from = 2, .term = 1, .commit = 1000};
    assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
    assert_false(floe_raft_has_ready(node.raft));
    node_free(&node);
}

static void test_validate_append_with_a_gap_is_refused_only_where_it_would_be_appended(void **state)
{
    (void)state;
    struct node node = node_new();
    struct floe_entry gap[2] = {{.term = 1, .index = 11}, {.term = 1, .index = 13}};
    struct floe_message m = {.type = FLOE_MSG_APP,
                             .to = 1,
                             .from = 2,
                             .term = 1,
                             .log_term = 1,
                             .index = SNAPSHOT_INDEX,
                             .entries = gap,
                             .entry_count = 2};
    assert_refused(&node, &m);
    m.index = 12; /* a place that the log does not reach: rejected before a look at the entries */
    bool reject = false;
    assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
    assert_int_equal(settle(&node, &reject), FLOE_MSG_APP_RESP);
    assert_true(reject);
    node_free(&node);
}

/* The log slice of an append: entries without a gap behind the one that the log holds, terms that
 * do not fall and are not above the leader's. Here the log holds index 10 of term 1. */
static void test_validate_append_table(void **state)
{
    (void)state;
    static const struct {
        floe_term term; /* of the leader */
        size_t count;
        struct {
            floe_term term;
            floe_index index;
        } entries[3];
        floe_term last_term; /* of the log after it; 0: refused */
    } cases[] = {
        {.term = 1, .count = 0, .last_term = 1},
        {.term = 1, .count = 1, .entries = {{1, 11}}, .last_term = 1},
        {.term = 2, .count = 1, .entries = {{1, 11}}, .last_term = 1},
        {.term = 2, .count = 1, .entries = {{2, 11}}, .last_term = 2},
        {.term = 3, .count = 3, .entries = {{1, 11}, {2, 12}, {3, 13}}, .last_term = 3},
        {.term = 3, .count = 3, .entries = {{2, 11}, {2, 12}, {2, 13}}, .last_term = 2},
        {.term = 1, .count = 1, .entries = {{2, 11}}}, /* above the leader's term */
        {.term = 2, .count = 2, .entries = {{2, 11}, {3, 12}}},
        {.term = 1, .count = 1, .entries = {{0, 11}}}, /* below the term that it follows */
        {.term = 3, .count = 3, .entries = {{1, 11}, {3, 12}, {2, 13}}},
        {.term = 1, .count = 1, .entries = {{1, 12}}}, /* a gap */
        {.term = 1, .count = 2, .entries = {{1, 11}, {1, 13}}},
        {.term = 1, .count = 1, .entries = {{1, 10}}}, /* an index twice */
        {.term = 1, .count = 2, .entries = {{1, 11}, {1, 11}}},
        {.term = 1, .count = 2, .entries = {{1, 12}, {1, 11}}}, /* the wrong order */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct node node = node_new();
        struct floe_entry entries[3];
        for (size_t j = 0; j < 3; j++)
            entries[j] = (struct floe_entry){.term = cases[i].entries[j].term,
                                             .index = cases[i].entries[j].index};
        struct floe_message m = {.type = FLOE_MSG_APP, .to = 1, .from = 2, .term = cases[i].term,
                                 .log_term = 1, .index = SNAPSHOT_INDEX, .entries = entries,
                                 .entry_count = cases[i].count};
        if (cases[i].last_term == 0) {
            assert_refused(&node, &m);
        } else {
            assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
            floe_index last = floe_raft_basic_status(node.raft).last_index;
            assert_int_equal(last, SNAPSHOT_INDEX + cases[i].count);
            assert_int_equal(floe_raft_term_at(node.raft, last), cases[i].last_term);
        }
        node_free(&node);
    }
}

/* Without a term in the message the own one is the bound. */
static void test_validate_append_without_term_is_bound_by_the_own_one(void **state)
{
    (void)state;
    struct node node = node_new();
    struct floe_message heartbeat = {.type = FLOE_MSG_HEARTBEAT, .to = 1, .from = 2, .term = 2};
    assert_int_equal(floe_raft_step(node.raft, &heartbeat), FLOE_OK);
    bool reject;
    (void)settle(&node, &reject);
    struct floe_entry entry = {.term = 3, .index = 11};
    struct floe_message m = {.type = FLOE_MSG_APP, .to = 1, .from = 2, .log_term = 1,
                             .index = SNAPSHOT_INDEX, .entries = &entry, .entry_count = 1};
    assert_refused(&node, &m);
    entry.term = 2;
    assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
    assert_int_equal(floe_raft_term_at(node.raft, 11), 2);
    node_free(&node);
}

static void test_validate_vote_without_term_is_refused_only_where_it_would_be_granted(void **state)
{
    (void)state;
    struct node node = node_new();
    struct floe_message m = {
        .type = FLOE_MSG_VOTE, .to = 1, .from = 2, .log_term = 1, .index = SNAPSHOT_INDEX};
    assert_refused(&node, &m);
    make_leader(&node); /* has voted for itself in term 1 */
    bool reject = false;
    assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
    assert_int_equal(settle(&node, &reject), FLOE_MSG_VOTE_RESP);
    assert_true(reject);
    node_free(&node);
}

static void test_validate_snapshot_whose_lists_contradict_is_refused(void **state)
{
    (void)state;
    struct node node = node_new();
    struct floe_snapshot snapshot = {.index = 20, .term = 2};
    floe_ids_push(&snapshot.conf_state.voters, 1);
    floe_ids_push(&snapshot.conf_state.learners, 1);
    struct floe_message m = {
        .type = FLOE_MSG_SNAP, .to = 1, .from = 2, .term = 2, .snapshot = &snapshot};
    assert_refused(&node, &m);
    snapshot.index = UINT64_MAX;
    snapshot.conf_state.learners.count = 0;
    assert_refused(&node, &m);
    snapshot.index = 20;
    assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
    assert_int_equal(floe_raft_basic_status(node.raft).last_index, 20);
    floe_snapshot_deinit(&snapshot);
    node_free(&node);
}

static void test_validate_last_term_of_all_is_refused(void **state)
{
    (void)state;
    struct node node = node_new();
    struct floe_message m = {.type = FLOE_MSG_APP, .to = 1, .from = 2, .term = UINT64_MAX};
    assert_refused(&node, &m);
    m.term = UINT64_MAX - 1; /* can be followed, but nobody can be elected after it */
    bool reject;
    assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
    (void)settle(&node, &reject);
    assert_int_equal(floe_raft_campaign(node.raft), FLOE_OK);
    assert_int_equal(floe_raft_basic_status(node.raft).hard_state.term, UINT64_MAX - 1);
    node_free(&node);
}

static void test_validate_storage_acknowledges_no_more_than_was_committed(void **state)
{
    (void)state;
    struct node node = node_new();
    struct floe_entry entry = {.term = 1, .index = 11};
    struct floe_message m = {.type = FLOE_MSG_STORAGE_APPLY_RESP,
                             .to = 1,
                             .from = FLOE_ID_APPLY_THREAD,
                             .entries = &entry,
                             .entry_count = 1};
    assert_refused(&node, &m);
    struct floe_snapshot snapshot = {.index = 11, .term = 1};
    struct floe_message append = {.type = FLOE_MSG_STORAGE_APPEND_RESP,
                                  .to = 1,
                                  .from = FLOE_ID_APPEND_THREAD,
                                  .snapshot = &snapshot};
    assert_refused(&node, &append);
    node_free(&node);
}

static void test_validate_proposal_with_damaged_change_leaves_no_trace(void **state)
{
    (void)state;
    struct node node = node_new();
    make_leader(&node);
    struct floe_conf_change_single add = {.type = FLOE_CONF_ADD_NODE, .node_id = 4};
    struct floe_blob *bad = floe_blob_new("\xff\xff", 2);
    struct floe_entry entries[2] = {
        {.type = FLOE_ENTRY_CONF_CHANGE, .data = floe_conf_change_encode_v1(add, NULL)},
        {.type = FLOE_ENTRY_CONF_CHANGE_V2, .data = bad}};
    struct floe_message m = {
        .type = FLOE_MSG_PROP, .to = 1, .from = 2, .entries = entries, .entry_count = 2};
    assert_refused(&node, &m);
    entries[1].type = (enum floe_entry_type)7;
    assert_refused(&node, &m);
    floe_entry_deinit(&entries[0]);
    floe_entry_deinit(&entries[1]);
    node_free(&node);
}

/* There is no term to answer with; who asks will ask again. Found by the fuzzer. */
static void test_validate_pre_vote_before_the_first_term_needs_a_good_log(void **state)
{
    (void)state;
    struct node node = node_new();
    struct floe_message m = {.type = FLOE_MSG_PRE_VOTE, .to = 1, .from = 2, .term = 1};
    assert_refused(&node, &m); /* an older log */
    m.log_term = 1;
    m.index = SNAPSHOT_INDEX;
    bool reject = true;
    assert_int_equal(floe_raft_step(node.raft, &m), FLOE_OK);
    assert_int_equal(settle(&node, &reject), FLOE_MSG_PRE_VOTE_RESP);
    assert_false(reject);
    node_free(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validate_heartbeat_beyond_the_log_is_refused),
        cmocka_unit_test(test_validate_heartbeat_at_leader_of_the_term_is_not_looked_into),
        cmocka_unit_test(
            test_validate_append_with_a_gap_is_refused_only_where_it_would_be_appended),
        cmocka_unit_test(test_validate_append_table),
        cmocka_unit_test(test_validate_append_without_term_is_bound_by_the_own_one),
        cmocka_unit_test(test_validate_pre_vote_before_the_first_term_needs_a_good_log),
        cmocka_unit_test(test_validate_vote_without_term_is_refused_only_where_it_would_be_granted),
        cmocka_unit_test(test_validate_snapshot_whose_lists_contradict_is_refused),
        cmocka_unit_test(test_validate_last_term_of_all_is_refused),
        cmocka_unit_test(test_validate_storage_acknowledges_no_more_than_was_committed),
        cmocka_unit_test(test_validate_proposal_with_damaged_change_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
