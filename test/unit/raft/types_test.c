/* The plain values: sizes by presence, names, classes of message types, copies, equivalence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf_state.h"

#include <floe/raft.h>

#include <string.h>

/* ---- sizes ------------------------------------------------------------------------------------- */

static void test_entry_size_term_and_index_always_count(void **state)
{
    (void)state;
    struct floe_entry entry = {.term = 1, .index = 1};
    assert_int_equal(floe_entry_size(&entry), 4); /* two keys, two varints of a byte */
    entry.index = 127;
    assert_int_equal(floe_entry_size(&entry), 4);
    entry.index = 128;
    assert_int_equal(floe_entry_size(&entry), 5);
    entry.term = UINT64_MAX; /* 10 bytes as varint */
    assert_int_equal(floe_entry_size(&entry), 14);
}

static void test_entry_size_type_counts_two_bytes_when_present(void **state)
{
    (void)state;
    struct floe_entry entry = {.term = 1, .index = 1, .type_set = true};
    assert_int_equal(floe_entry_size(&entry), 6);
    entry = (struct floe_entry){.term = 1, .index = 1, .type = FLOE_ENTRY_CONF_CHANGE};
    assert_int_equal(floe_entry_size(&entry), 6);
    entry.type_set = true; /* not counted twice */
    assert_int_equal(floe_entry_size(&entry), 6);
}

static void test_entry_size_absent_data_differs_from_empty(void **state)
{
    (void)state;
    struct floe_entry entry = {.term = 1, .index = 1};
    uint64_t without = floe_entry_size(&entry);
    entry.data = floe_blob_new(NULL, 0);
    assert_int_equal(floe_entry_size(&entry), without + 2);
    floe_blob_unref(entry.data);
    entry.data = floe_blob_alloc(127);
    assert_int_equal(floe_entry_size(&entry), without + 2 + 127);
    floe_blob_unref(entry.data);
    entry.data = floe_blob_alloc(128);
    assert_int_equal(floe_entry_size(&entry), without + 3 + 128);
    floe_blob_unref(entry.data);
}

/* ---- blobs and copies ------------------------------------------------------------------------------ */

static void test_blob_null_is_empty(void **state)
{
    (void)state;
    assert_int_equal(floe_blob_size(NULL), 0);
    assert_non_null(floe_blob_data(NULL));
    assert_null(floe_blob_ref(NULL));
    floe_blob_unref(NULL);
}

static void test_entries_copy_shares_blobs_and_survives_the_original(void **state)
{
    (void)state;
    struct floe_entry entry = {.term = 3, .index = 4, .data = floe_blob_new("abc", 3)};
    struct floe_entry *copy = floe_entries_copy(&entry, 1);
    assert_ptr_equal(copy[0].data, entry.data);
    floe_entry_deinit(&entry);
    assert_int_equal(entry.index, 0);
    assert_int_equal(copy[0].index, 4);
    assert_memory_equal(floe_blob_data(copy[0].data), "abc", 3);
    floe_entries_free(copy, 1);
    assert_null(floe_entries_copy(NULL, 0));
    floe_entries_free(NULL, 0);
}

static void test_message_copy_is_deep_but_for_blobs(void **state)
{
    (void)state;
    struct floe_blob *data = floe_blob_new("x", 1);
    struct floe_entry entry = {.term = 1, .index = 2, .data = data};
    floe_id ids[] = {1, 2};
    struct floe_snapshot snapshot = {
        .index = 1, .term = 1, .conf_state.voters = {.id = ids, .count = 2}, .data = data};
    struct floe_message response = {.type = FLOE_MSG_APP_RESP, .index = 9, .context = data};
    struct floe_message message = {.type = FLOE_MSG_STORAGE_APPEND,
                                   .entries = &entry,
                                   .entry_count = 1,
                                   .snapshot = &snapshot,
                                   .responses = &response,
                                   .response_count = 1};
    struct floe_message copy = floe_message_copy(&message);
    assert_ptr_not_equal(copy.entries, message.entries);
    assert_ptr_equal(copy.entries[0].data, data);
    assert_ptr_not_equal(copy.snapshot, message.snapshot);
    assert_int_equal(copy.snapshot->conf_state.voters.id[1], 2);
    assert_int_equal(copy.response_count, 1);
    assert_int_equal(copy.responses[0].index, 9);
    floe_blob_unref(data); /* the copy holds references of its own */
    assert_memory_equal(floe_blob_data(copy.responses[0].context), "x", 1);
    floe_message_deinit(&copy);
    assert_null(copy.entries);
}

/* ---- classes and names ------------------------------------------------------------------------------- */

static const struct {
    enum floe_message_type type;
    const char *name;
    bool local;
    bool response;
} message_types[] = {
    {FLOE_MSG_HUP, "MsgHup", true, false},
    {FLOE_MSG_BEAT, "MsgBeat", true, false},
    {FLOE_MSG_PROP, "MsgProp", false, false},
    {FLOE_MSG_APP, "MsgApp", false, false},
    {FLOE_MSG_APP_RESP, "MsgAppResp", false, true},
    {FLOE_MSG_VOTE, "MsgVote", false, false},
    {FLOE_MSG_VOTE_RESP, "MsgVoteResp", false, true},
    {FLOE_MSG_SNAP, "MsgSnap", false, false},
    {FLOE_MSG_HEARTBEAT, "MsgHeartbeat", false, false},
    {FLOE_MSG_HEARTBEAT_RESP, "MsgHeartbeatResp", false, true},
    {FLOE_MSG_UNREACHABLE, "MsgUnreachable", true, true},
    {FLOE_MSG_SNAP_STATUS, "MsgSnapStatus", true, false},
    {FLOE_MSG_CHECK_QUORUM, "MsgCheckQuorum", true, false},
    {FLOE_MSG_TRANSFER_LEADER, "MsgTransferLeader", false, false},
    {FLOE_MSG_TIMEOUT_NOW, "MsgTimeoutNow", false, false},
    {FLOE_MSG_READ_INDEX, "MsgReadIndex", false, false},
    {FLOE_MSG_READ_INDEX_RESP, "MsgReadIndexResp", false, true},
    {FLOE_MSG_PRE_VOTE, "MsgPreVote", false, false},
    {FLOE_MSG_PRE_VOTE_RESP, "MsgPreVoteResp", false, true},
    {FLOE_MSG_STORAGE_APPEND, "MsgStorageAppend", true, false},
    {FLOE_MSG_STORAGE_APPEND_RESP, "MsgStorageAppendResp", true, true},
    {FLOE_MSG_STORAGE_APPLY, "MsgStorageApply", true, false},
    {FLOE_MSG_STORAGE_APPLY_RESP, "MsgStorageApplyResp", true, true},
    {FLOE_MSG_FORGET_LEADER, "MsgForgetLeader", false, false},
};

static void test_message_types_all_are_named_and_classified(void **state)
{
    (void)state;
    size_t count = sizeof message_types / sizeof message_types[0];
    assert_int_equal(count, FLOE_MSG_TYPE_COUNT);
    for (size_t i = 0; i < count; i++) {
        enum floe_message_type type = message_types[i].type;
        assert_int_equal(type, i); /* the numbers of the wire */
        assert_string_equal(floe_message_type_name(type), message_types[i].name);
        assert_int_equal(floe_message_type_is_local(type), message_types[i].local);
        assert_int_equal(floe_message_type_is_response(type), message_types[i].response);
    }
    assert_string_equal(floe_message_type_name(FLOE_MSG_TYPE_COUNT), "MsgUnknown");
}

static void test_names_states_and_errors_have_texts(void **state)
{
    (void)state;
    assert_string_equal(floe_state_name(FLOE_STATE_FOLLOWER), "StateFollower");
    assert_string_equal(floe_state_name(FLOE_STATE_CANDIDATE), "StateCandidate");
    assert_string_equal(floe_state_name(FLOE_STATE_LEADER), "StateLeader");
    assert_string_equal(floe_state_name(FLOE_STATE_PRE_CANDIDATE), "StatePreCandidate");
    assert_string_equal(floe_progress_state_name(FLOE_PROGRESS_PROBE), "StateProbe");
    assert_string_equal(floe_progress_state_name(FLOE_PROGRESS_REPLICATE), "StateReplicate");
    assert_string_equal(floe_progress_state_name(FLOE_PROGRESS_SNAPSHOT), "StateSnapshot");
    assert_string_equal(floe_strerror(FLOE_ERR_PROPOSAL_DROPPED), "raft proposal dropped");
    for (enum floe_err a = FLOE_OK; a <= FLOE_ERR_CONF_CHANGE; a++)
        for (enum floe_err b = FLOE_OK; b < a; b++)
            assert_string_not_equal(floe_strerror(a), floe_strerror(b));
}

/* ---- membership ---------------------------------------------------------------------------------------- */

static void check_equivalent(struct floe_conf_state a, struct floe_conf_state b, bool expected)
{
    assert_int_equal(floe_conf_state_equivalent(&a, &b), expected);
    assert_int_equal(floe_conf_state_equivalent(&b, &a), expected);
    floe_conf_state_deinit(&a);
    floe_conf_state_deinit(&b);
}

static void test_conf_state_equivalent_ignores_order_only(void **state)
{
    (void)state;
    check_equivalent(conf_state_of("", "", "", "", false), conf_state_of("", "", "", "", false),
                     true);
    check_equivalent(conf_state_of("123", "21", "54", "76", false),
                     conf_state_of("213", "12", "45", "67", false), true);
    check_equivalent(conf_state_of("123", "", "", "", false),
                     conf_state_of("124", "", "", "", false), false);
    check_equivalent(conf_state_of("123", "", "", "", false),
                     conf_state_of("1233", "", "", "", false), false);
    check_equivalent(conf_state_of("1223", "", "", "", false),
                     conf_state_of("1233", "", "", "", false), false);
    check_equivalent(conf_state_of("1", "2", "3", "", false),
                     conf_state_of("1", "3", "2", "", false), false);
    check_equivalent(conf_state_of("1", "2", "", "2", false),
                     conf_state_of("1", "2", "", "", false), false);
    check_equivalent(conf_state_of("1", "2", "", "", true), conf_state_of("1", "2", "", "", false),
                     false);
}

static void test_conf_state_copy_is_independent(void **state)
{
    (void)state;
    struct floe_conf_state a = conf_state_of("123456789", "12", "7", "2", true);
    struct floe_conf_state b = floe_conf_state_copy(&a);
    assert_true(floe_conf_state_equivalent(&a, &b));
    floe_ids_push(&b.voters, 11);
    assert_true(floe_ids_contain(&b.voters, 11));
    assert_false(floe_ids_contain(&a.voters, 11));
    assert_false(floe_conf_state_equivalent(&a, &b));
    floe_conf_state_deinit(&a);
    floe_conf_state_deinit(&b);
    assert_int_equal(b.voters.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_size_term_and_index_always_count),
        cmocka_unit_test(test_entry_size_type_counts_two_bytes_when_present),
        cmocka_unit_test(test_entry_size_absent_data_differs_from_empty),
        cmocka_unit_test(test_blob_null_is_empty),
        cmocka_unit_test(test_entries_copy_shares_blobs_and_survives_the_original),
        cmocka_unit_test(test_message_copy_is_deep_but_for_blobs),
        cmocka_unit_test(test_message_types_all_are_named_and_classified),
        cmocka_unit_test(test_names_states_and_errors_have_texts),
        cmocka_unit_test(test_conf_state_equivalent_ignores_order_only),
        cmocka_unit_test(test_conf_state_copy_is_independent),
    };
    return cmocka_run_group_tests_name("raft types", tests, NULL, NULL);
}
