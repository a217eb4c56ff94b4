/* Writes, reads, power cuts, snapshots and orderly stops of whole members. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/pack.h"
#include "node/envelope.h"
#include "node/internal.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

static void test_node_write_at_any_member_is_read_at_every_member(void **state)
{
    (void)state;
    setup(&w, 3);
    (void)leader(&w);
    for (unsigned i = 1; i <= 3; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(outcome(&w, put(&w, i, key, "v")), NODE_OK);
        for (unsigned j = 1; j <= 3; j++) {
            assert_int_equal(outcome(&w, barrier(&w, j)), NODE_OK);
            assert_value(&w, j, key, "v");
        }
    }
    teardown(&w);
}

static void test_node_write_is_not_answered_before_a_majority_has_synced(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 200);
    for (unsigned i = 1; i <= 3; i++)
        mem_fs_hold_syncs(w.disk[i], true);
    uint64_t token = put(&w, lead, "k", "v");
    run(&w, 200);
    assert_false(w.answered[token]);
    mem_fs_hold_syncs(w.disk[lead], false);
    run(&w, 200);
    assert_false(w.answered[token]); /* one of three */
    mem_fs_hold_syncs(w.disk[lead % 3 + 1], false);
    assert_int_equal(outcome(&w, token), NODE_OK);
    for (unsigned i = 1; i <= 3; i++)
        mem_fs_hold_syncs(w.disk[i], false);
    teardown(&w);
}

static void cut_power_of_all(uint64_t snapshot_entries)
{
    for (int kind = 0; kind < MEM_FS_CRASH_COUNT; kind++) {
        setup(&w, 0);
        w.snapshot_entries = snapshot_entries;
        for (unsigned i = 1; i <= 3; i++)
            start(&w, i);
        (void)leader(&w);
        uint64_t tokens[60];
        char key[16];
        for (unsigned i = 0; i < 60; i++) {
            (void)snprintf(key, sizeof key, "k%u", i);
            tokens[i] = put(&w, i % 3 + 1, key, key);
            if (i % 7 == 0)
                run(&w, 10);
        }
        for (unsigned i = 1; i <= 3; i++)
            crash(&w, i, (enum mem_fs_crash)kind);
        run(&w, 100);
        for (unsigned i = 1; i <= 3; i++)
            start(&w, i);
        unsigned lead = leader(&w);
        unsigned acknowledged = 0;
        for (unsigned i = 0; i < 60; i++) {
            if (!w.answered[tokens[i]] || w.results[tokens[i]].outcome != NODE_OK)
                continue;
            (void)snprintf(key, sizeof key, "k%u", i);
            assert_value(&w, lead, key, key);
            acknowledged++;
        }
        assert_true(acknowledged > 20);
        teardown(&w);
    }
}

static void test_node_power_cut_of_all_loses_nothing_acknowledged(void **state)
{
    (void)state;
    cut_power_of_all(0);
    for (uint64_t entries = 1; entries < 12; entries++)
        cut_power_of_all(entries);
}

static void start_alone(void)
{
    struct node_options options = options_of(&w, 1);
    options.member_count = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
}

static void test_node_first_start_cut_off_at_any_write_is_made_good(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 160; i++) {
        enum mem_fs_crash kind = i % 2 == 0 ? MEM_FS_PREFIX : MEM_FS_SCATTER;
        setup(&w, 0);
        w.starts = i; /* other pieces survive */
        struct node_options options = options_of(&w, 1);
        options.member_count = 1;
        mem_fs_stop_at(w.disk[1], 1 + i % 20);
        struct prng prng = {.state = i};
        if (start_with(&w, 1, &options) == ERR_OK) {
            run(&w, 100);
            crash(&w, 1, kind);
        } else {
            mem_fs_crash(w.disk[1], kind, &prng);
        }
        start_alone();
        assert_int_equal(outcome(&w, put(&w, 1, "k", "v")), NODE_OK);
        teardown(&w);
    }
}

static void test_node_read_waits_until_what_it_must_see_is_applied(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned slow = lead % 3 + 1;
    run(&w, 300);
    mem_fs_hold_syncs(w.disk[slow], true); /* it applies nothing that is not on its disk */
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    uint64_t read = barrier(&w, slow);
    run(&w, 300);
    assert_false(w.answered[read]);
    mem_fs_hold_syncs(w.disk[slow], false);
    assert_int_equal(outcome(&w, read), NODE_OK);
    assert_value(&w, slow, "k", "v");
    teardown(&w);
}

static void test_node_without_leader_answers_not_done(void **state)
{
    (void)state;
    setup(&w, 1);
    run(&w, 1000);
    uint64_t write = put(&w, 1, "k", "v");
    uint64_t read = barrier(&w, 1);
    assert_int_equal(outcome(&w, write), NODE_NOT_DONE);
    assert_int_equal(outcome(&w, read), NODE_NOT_DONE);
    teardown(&w);
}

static void test_node_proposal_of_a_deposed_leader_ends_once(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    /* cut off: the write enters the old leader's log and nobody else's */
    for (size_t k = 0; k < w.net.wire_count; k++) {
        struct net_wire *wire = &w.net.wire[k];
        wire->stalled = wire->end[0].member == old || wire->end[1].member == old;
    }
    uint64_t lost = put(&w, old, "lost", "v");
    run(&w, 1500);
    for (size_t k = 0; k < w.net.wire_count; k++)
        w.net.wire[k].stalled = false;
    enum node_outcome end = outcome(&w, lost);
    unsigned now = leader(&w);
    assert_int_equal(outcome(&w, put(&w, now, "x", "y")), NODE_OK);
    assert_int_equal(outcome(&w, barrier(&w, old)), NODE_OK);
    bool there = has_key(&w, old, "lost");
    if (end == NODE_OK)
        assert_true(there);
    if (end == NODE_NOT_DONE)
        assert_false(there);
    teardown(&w);
}

static void test_node_overload_is_refused_at_once(void **state)
{
    (void)state;
    setup(&w, 1); /* no leader: nothing drains */
    char *big = mem_calloc(1, 300001);
    memset(big, 'x', 300000);
    uint64_t tokens[8];
    for (int i = 0; i < 8; i++)
        tokens[i] = put(&w, 1, "k", big);
    run(&w, 10);
    unsigned refused = 0;
    for (int i = 0; i < 8; i++)
        refused += w.answered[tokens[i]] && w.results[tokens[i]].outcome == NODE_OVERLOADED;
    assert_true(refused >= 4 && refused < 8);
    mem_free(big);
    teardown(&w);
}

static void test_node_snapshot_brings_up_who_missed_everything(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned late = lead % 3 + 1;
    crash(&w, late, MEM_FS_KEEP_ALL);
    mem_fs_free(w.disk[late]);
    w.disk[late] = mem_fs_new();
    /* the others restart with small snapshots, so that the log's beginning goes */
    for (unsigned i = 1; i <= 3; i++) {
        if (i == late)
            continue;
        crash(&w, i, MEM_FS_LOSE_ALL);
        struct node_options options = options_of(&w, i);
        options.snapshot_entries = 20;
        assert_int_equal(start_with(&w, i, &options), ERR_OK);
    }
    lead = leader(&w);
    char key[16];
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "s%u", i);
        assert_int_equal(outcome(&w, put(&w, lead, key, key)), NODE_OK);
    }
    struct node_options options = options_of(&w, late);
    options.join = true; /* an empty disk: it must not think that it founds a cluster */
    assert_int_equal(start_with(&w, late, &options), ERR_OK);
    run(&w, 2000);
    assert_value(&w, late, "s0", "s0");
    assert_value(&w, late, "s199", "s199");
    struct node_status status = node_status(w.node[late], w.net.now_ms);
    assert_true(status.snapshot_index > 100);
    node_status_deinit(&status);
    teardown(&w);
}

static void test_node_stop_hands_leadership_over(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    run(&w, 300);
    node_stop(w.node[old], w.net.now_ms);
    uint64_t begin = w.net.now_ms;
    while (node_life(w.node[old]) == NODE_RUNNING && w.net.now_ms < begin + 5000)
        run(&w, 10);
    assert_int_equal(node_life(w.node[old]), NODE_STOPPED);
    assert_true(w.net.now_ms - begin < 1000);
    run(&w, 100); /* the other two have not counted their votes yet */
    unsigned now = old % 3 + 1;
    assert_true(node_leader(w.node[now]) != 0 && node_leader(w.node[now]) != old);
    uint64_t refused = put(&w, old, "k", "v");
    collect(&w, old);
    assert_int_equal(outcome(&w, refused), NODE_NOT_DONE);
    teardown(&w);
}

static void test_node_stopping_leader_still_votes_for_its_successor(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    run(&w, 300);
    unsigned gone = old % 3 + 1;
    unsigned heir = gone % 3 + 1;
    crash(&w, gone, MEM_FS_KEEP_ALL);
    run(&w, 100);
    mem_fs_hold_syncs(w.disk[old], true); /* the vote waits for the disk */
    node_stop(w.node[old], w.net.now_ms);
    for (int i = 0; i < 100 && node_life(w.node[old]) == NODE_RUNNING; i++)
        run(&w, 10);
    assert_int_equal(node_life(w.node[old]), NODE_STOPPED);
    mem_fs_hold_syncs(w.disk[old], false);
    run(&w, 200);
    assert_int_equal(node_leader(w.node[heir]), heir); /* two votes of three */
    teardown(&w);
}

static void test_node_identity_of_the_directory_is_checked(void **state)
{
    (void)state;
    setup(&w, 1);
    run(&w, 100);
    crash(&w, 1, MEM_FS_KEEP_ALL);
    struct node_options options = options_of(&w, 1);
    options.cluster = "other";
    assert_int_equal(start_with(&w, 1, &options), ERR_MISMATCH);
    options.cluster = "test";
    options.id = 2;
    assert_int_equal(start_with(&w, 1, &options), ERR_MISMATCH);
    options.id = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    teardown(&w);
}

/* Or a crash in between would let it lead the same term twice, with two logs. */
static void test_node_asks_for_votes_only_when_its_term_is_on_disk(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 300);
    unsigned slow = lead == 1 ? 2 : 1; /* asks first (failover.c) */
    unsigned other = 6 - lead - slow;
    mem_fs_hold_syncs(w.disk[slow], true);
    crash(&w, lead, MEM_FS_KEEP_ALL);
    struct floe_basic_status status = {0};
    for (int tries = 0; tries < 500; tries++) {
        run(&w, 10);
        status = floe_raft_basic_status(w.node[slow]->raft);
        if (status.soft_state.state == FLOE_STATE_CANDIDATE)
            break;
    }
    assert_int_equal(status.soft_state.state, FLOE_STATE_CANDIDATE);
    run(&w, 100);
    struct floe_hard_state heard = floe_raft_basic_status(w.node[other]->raft).hard_state;
    assert_false(heard.term == status.hard_state.term && heard.vote == slow);
    mem_fs_hold_syncs(w.disk[slow], false);
    assert_int_equal(outcome(&w, put(&w, slow, "k", "v")), NODE_OK);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_write_at_any_member_is_read_at_every_member),
        cmocka_unit_test(test_node_write_is_not_answered_before_a_majority_has_synced),
        cmocka_unit_test(test_node_power_cut_of_all_loses_nothing_acknowledged),
        cmocka_unit_test(test_node_first_start_cut_off_at_any_write_is_made_good),
        cmocka_unit_test(test_node_asks_for_votes_only_when_its_term_is_on_disk),
        cmocka_unit_test(test_node_read_waits_until_what_it_must_see_is_applied),
        cmocka_unit_test(test_node_without_leader_answers_not_done),
        cmocka_unit_test(test_node_proposal_of_a_deposed_leader_ends_once),
        cmocka_unit_test(test_node_overload_is_refused_at_once),
        cmocka_unit_test(test_node_snapshot_brings_up_who_missed_everything),
        cmocka_unit_test(test_node_stop_hands_leadership_over),
        cmocka_unit_test(test_node_stopping_leader_still_votes_for_its_successor),
        cmocka_unit_test(test_node_identity_of_the_directory_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
