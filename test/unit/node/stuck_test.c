/* Disks that are late or stuck: who leads then, who does not, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/internal.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

#define ELECTION_MS 500u /* of the world's members */
#define STUCK_MS (2 * ELECTION_MS)
#define RECOVERY_MS (10 * ELECTION_MS)

static struct world w;

static enum node_disk disk_of(unsigned i)
{
    struct node_status status = node_status(w.node[i], w.net.now_ms);
    enum node_disk disk = status.disk;
    node_status_deinit(&status);
    return disk;
}

static floe_term term_of(unsigned i)
{
    struct node_status status = node_status(w.node[i], w.net.now_ms);
    floe_term term = status.term;
    node_status_deinit(&status);
    return term;
}

static bool leads(unsigned i)
{
    return w.node[i] != NULL && node_leader(w.node[i]) == i;
}

static unsigned other(unsigned i, unsigned n)
{
    return (i - 1 + n) % 3 + 1;
}

/* Until another member leads and the old one knows; 0: nobody in time. */
static unsigned wait_for_successor(unsigned old, uint64_t ms)
{
    for (uint64_t end_ms = w.net.now_ms + ms; w.net.now_ms < end_ms;) {
        run(&w, 10);
        for (unsigned i = 1; i <= 3; i++)
            if (i != old && leads(i) && !leads(old))
                return i;
    }
    return 0;
}

static unsigned setup_with_leader(void)
{
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 300);
    return lead;
}

/* Its disk takes nothing any more, and there is something to take. */
static void stick(unsigned i)
{
    mem_fs_hold_syncs(w.disk[i], true);
    (void)put(&w, i, "stuck", "v");
}

/* A follower that has been stuck, and whose disk works again. */
static void make_recovering(unsigned i)
{
    mem_fs_hold_syncs(w.disk[i], true);
    for (int n = 0; n < 30; n++) {
        assert_int_equal(outcome(&w, put(&w, leader(&w), "k", "v")), NODE_OK);
        run(&w, 50);
    }
    assert_int_equal(disk_of(i), NODE_DISK_STUCK);
    mem_fs_hold_syncs(w.disk[i], false);
    run(&w, 100);
    assert_int_equal(disk_of(i), NODE_DISK_RECOVERING);
}

static void test_node_stuck_leader_hands_over_and_says_so(void **state)
{
    (void)state;
    unsigned old = setup_with_leader();
    uint64_t begin = w.net.now_ms;
    stick(old);
    run(&w, STUCK_MS - 100);
    assert_true(leads(old));
    assert_int_equal(disk_of(old), NODE_DISK_LATE);
    unsigned now = wait_for_successor(old, 500);
    assert_true(now != 0);
    assert_true(w.net.now_ms - begin < STUCK_MS + 200); /* a transfer, no time-out */
    struct node_status status = node_status(w.node[old], w.net.now_ms);
    assert_int_equal(status.disk, NODE_DISK_STUCK);
    assert_true(status.disk_waits_ms >= STUCK_MS && status.disk_longest_ms >= STUCK_MS);
    assert_int_equal(status.disk_stuck_count, 1);
    assert_false(status.caught_up);
    assert_non_null(strstr(status.reason, "disk is stuck"));
    node_status_deinit(&status);
    assert_int_equal(outcome(&w, put(&w, now, "k", "v")), NODE_OK);
    mem_fs_hold_syncs(w.disk[old], false);
    run(&w, 300);
    assert_int_equal(disk_of(old), NODE_DISK_RECOVERING);
    status = node_status(w.node[old], w.net.now_ms);
    assert_true(status.caught_up && status.disk_waits_ms == 0);
    node_status_deinit(&status);
    run(&w, RECOVERY_MS);
    assert_int_equal(disk_of(old), NODE_DISK_GOOD);
    assert_true(leads(now));
    teardown(&w);
}

static void test_node_late_disk_changes_no_leader(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    floe_term term = term_of(lead);
    for (int i = 0; i < 20; i++) {
        stick(lead);
        run(&w, STUCK_MS - 200);
        mem_fs_hold_syncs(w.disk[lead], false);
        run(&w, 20);
    }
    assert_true(leads(lead));
    assert_int_equal(term_of(lead), term);
    struct node_status status = node_status(w.node[lead], w.net.now_ms);
    assert_true(status.disk_late_count >= 20);
    assert_int_equal(status.disk_stuck_count, 0);
    node_status_deinit(&status);
    teardown(&w);
}

static void test_node_that_was_stuck_is_no_heir(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        unsigned old = setup_with_leader();
        make_recovering(other(old, n));
        assert_true(leads(old));
        stick(old);
        assert_int_equal(wait_for_successor(old, STUCK_MS + 300), other(old, 3 - n));
        teardown(&w);
    }
}

/* The message that hands over gets lost, always: the leader falls silent, the others elect. */
static void test_node_stuck_leader_that_cannot_transfer_falls_silent(void **state)
{
    (void)state;
    unsigned old = setup_with_leader();
    w.loses = true;
    w.lost = FLOE_MSG_TIMEOUT_NOW;
    stick(old);
    unsigned now = wait_for_successor(old, STUCK_MS + 5 * ELECTION_MS);
    assert_true(now != 0);
    assert_int_equal(outcome(&w, put(&w, now, "k", "v")), NODE_OK);
    mem_fs_hold_syncs(w.disk[old], false);
    assert_int_equal(outcome(&w, barrier(&w, old)), NODE_OK);
    assert_value(&w, old, "k", "v");
    teardown(&w);
}

/* A leader that does not know yet how the other's disk is asks the wrong one. */
static void test_node_that_was_stuck_takes_no_leadership_over(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    struct node *target = w.node[other(lead, 1)];
    floe_raft_transfer_leader(w.node[lead]->raft, other(lead, 1));
    target->disk.was_stuck = true;
    target->disk.bad_ms = w.net.now_ms;
    run(&w, 3 * ELECTION_MS);
    assert_true(leads(lead));
    teardown(&w);
}

/* Nobody would campaign: a leader that goes leaves nobody. It goes once somebody would. */
static void test_node_stuck_leader_stays_while_all_others_recover(void **state)
{
    (void)state;
    unsigned old = setup_with_leader();
    make_recovering(other(old, 1));
    make_recovering(other(old, 2));
    assert_int_equal(disk_of(other(old, 1)), NODE_DISK_RECOVERING);
    assert_true(leads(old));
    stick(old);
    while (disk_of(other(old, 1)) == NODE_DISK_RECOVERING) {
        assert_true(leads(old));
        run(&w, 10);
    }
    assert_int_equal(disk_of(old), NODE_DISK_STUCK);
    assert_int_equal(wait_for_successor(old, 500), other(old, 1));
    teardown(&w);
}

/* What is normal for a disk is so whatever the time-outs are. */
static void test_node_with_short_time_outs_is_not_hard_on_disks(void **state)
{
    (void)state;
    setup(&w, 0);
    for (unsigned i = 1; i <= 3; i++) {
        struct node_options options = options_of(&w, i);
        options.heartbeat_ms = 10;
        options.election_ms = 100;
        assert_int_equal(start_with(&w, i, &options), ERR_OK);
    }
    unsigned lead = leader(&w);
    run(&w, 300);
    stick(lead);
    run(&w, 240);
    assert_int_equal(disk_of(lead), NODE_DISK_GOOD);
    run(&w, 700);
    assert_true(leads(lead));
    assert_int_equal(disk_of(lead), NODE_DISK_LATE);
    assert_int_not_equal(wait_for_successor(lead, 300), 0);
    teardown(&w);
}

/* Better one that is late than none. */
static void test_node_stop_hands_over_to_a_late_one_if_all_are(void **state)
{
    (void)state;
    unsigned old = setup_with_leader();
    for (unsigned n = 1; n <= 2; n++)
        mem_fs_hold_syncs(w.disk[other(old, n)], true);
    (void)put(&w, other(old, 1), "k", "v");
    run(&w, 400);
    for (unsigned n = 1; n <= 2; n++)
        assert_int_equal(disk_of(other(old, n)), NODE_DISK_LATE);
    node_stop(w.node[old], w.net.now_ms);
    run(&w, 30);
    for (unsigned n = 1; n <= 2; n++)
        mem_fs_hold_syncs(w.disk[other(old, n)], false);
    run(&w, 100);
    assert_true(leads(other(old, 1)) || leads(other(old, 2)));
    teardown(&w);
}

/* All disks of the machine stand still: nobody is better, nobody is worse off for it. */
static void test_node_stuck_leader_stays_where_no_other_can_lead(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    floe_term term = term_of(lead);
    for (unsigned i = 1; i <= 3; i++)
        mem_fs_hold_syncs(w.disk[i], true);
    uint64_t token = put(&w, lead, "k", "v");
    run(&w, 6 * STUCK_MS);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(disk_of(i), NODE_DISK_STUCK);
    assert_true(leads(lead));
    assert_int_equal(outcome(&w, barrier(&w, lead)), NODE_OK); /* reads need no disk */
    for (unsigned i = 1; i <= 3; i++)
        mem_fs_hold_syncs(w.disk[i], false);
    (void)outcome(&w, token);
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v2")), NODE_OK);
    assert_true(leads(lead));
    assert_int_equal(term_of(lead), term);
    teardown(&w);
}

/* Two of three: with whom should the other one elect? Once the third is back, it can. */
static void test_node_stuck_leader_goes_once_the_others_are_a_majority(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    unsigned gone = other(lead, 1);
    crash(&w, gone, MEM_FS_KEEP_ALL);
    run(&w, 300);
    stick(lead);
    run(&w, 4 * STUCK_MS);
    assert_true(leads(lead));
    start(&w, gone);
    assert_true(wait_for_successor(lead, 3000) != 0);
    teardown(&w);
}

/* A disk that stands still for three seconds again and again: leadership leaves it once. */
static void test_node_whose_disk_comes_and_goes_does_not_flap(void **state)
{
    (void)state;
    unsigned old = setup_with_leader();
    unsigned changes = 0;
    unsigned last = old;
    for (int i = 0; i < 4000; i++) {
        unsigned phase = (unsigned)i % 400;
        if (phase == 0)
            stick(old);
        if (phase == 300)
            mem_fs_hold_syncs(w.disk[old], false);
        if (i % 10 == 0)
            (void)put(&w, other(old, 1), "k", "v");
        run(&w, 10);
        for (unsigned m = 1; m <= 3; m++) {
            if (!leads(m) || m == last || term_of(m) < term_of(last))
                continue;
            last = m;
            changes++;
        }
    }
    assert_int_equal(changes, 1);
    assert_false(leads(old));
    teardown(&w);
}

/* It is needed for the quorum: it votes, at once, and does not stand for election itself. */
static void test_node_that_recovers_votes_but_does_not_campaign(void **state)
{
    (void)state;
    unsigned old = setup_with_leader();
    stick(old);
    unsigned now = wait_for_successor(old, STUCK_MS + 300);
    assert_true(now != 0);
    mem_fs_hold_syncs(w.disk[old], false);
    run(&w, 200);
    crash(&w, now, MEM_FS_KEEP_ALL);
    unsigned third = 6 - old - now;
    for (unsigned i = 0; i < 200 && !leads(third); i++) {
        struct node_status status = node_status(w.node[old], w.net.now_ms);
        assert_string_equal(status.role, "follower");
        node_status_deinit(&status);
        run(&w, 10);
    }
    assert_true(leads(third));
    assert_int_equal(disk_of(old), NODE_DISK_RECOVERING);
    run(&w, RECOVERY_MS + 200);
    assert_int_equal(disk_of(old), NODE_DISK_GOOD);
    start(&w, now);
    run(&w, 500);
    crash(&w, third, MEM_FS_KEEP_ALL);
    run(&w, 3000);
    assert_true(leads(old) || leads(now));
    teardown(&w);
}

/* The only other one has been stuck later: it still recovers when this one is good again. */
static void test_node_that_recovers_campaigns_once_it_is_good_again(void **state)
{
    (void)state;
    unsigned old = setup_with_leader();
    stick(old);
    unsigned now = wait_for_successor(old, STUCK_MS + 300);
    assert_true(now != 0);
    unsigned third = 6 - old - now;
    mem_fs_hold_syncs(w.disk[old], false);
    run(&w, RECOVERY_MS / 2);
    mem_fs_hold_syncs(w.disk[third], true);
    assert_int_equal(outcome(&w, put(&w, now, "k", "v")), NODE_OK);
    run(&w, STUCK_MS + 100);
    mem_fs_hold_syncs(w.disk[third], false);
    run(&w, 100);
    crash(&w, now, MEM_FS_KEEP_ALL);
    while (disk_of(old) != NODE_DISK_GOOD) {
        assert_int_equal(disk_of(third), NODE_DISK_RECOVERING);
        assert_false(leads(old) || leads(third));
        run(&w, 10);
    }
    run(&w, 3 * ELECTION_MS);
    assert_true(leads(old));
    assert_int_equal(disk_of(third), NODE_DISK_RECOVERING);
    assert_int_equal(outcome(&w, put(&w, third, "k", "v2")), NODE_OK);
    teardown(&w);
}

static void test_node_alone_stays_leader_whatever_its_disk_does(void **state)
{
    (void)state;
    static const struct node_member_option self = {1, "n1:1"};
    setup(&w, 0);
    struct node_options options = options_of(&w, 1);
    options.members = &self;
    options.member_count = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 1500);
    assert_true(leads(1));
    stick(1);
    run(&w, 3 * STUCK_MS);
    assert_true(leads(1));
    mem_fs_hold_syncs(w.disk[1], false);
    assert_int_equal(outcome(&w, put(&w, 1, "k", "v")), NODE_OK);
    crash(&w, 1, MEM_FS_LOSE_ALL);
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 1500);
    assert_value(&w, 1, "k", "v");
    teardown(&w);
}

/* The process stood still, not the disk. */
static void test_node_pause_of_the_process_is_not_the_disks(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    stick(lead);
    run(&w, 30);
    struct node *paused = w.node[lead];
    w.node[lead] = NULL;
    run(&w, 5000);
    w.node[lead] = paused;
    mem_fs_hold_syncs(w.disk[lead], false);
    run(&w, 200);
    struct node_status status = node_status(w.node[lead], w.net.now_ms);
    assert_int_equal(status.disk, NODE_DISK_GOOD);
    assert_true(status.disk_longest_ms < ELECTION_MS / 2);
    node_status_deinit(&status);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_stuck_leader_hands_over_and_says_so),
        cmocka_unit_test(test_node_late_disk_changes_no_leader),
        cmocka_unit_test(test_node_that_was_stuck_is_no_heir),
        cmocka_unit_test(test_node_stuck_leader_that_cannot_transfer_falls_silent),
        cmocka_unit_test(test_node_that_was_stuck_takes_no_leadership_over),
        cmocka_unit_test(test_node_stuck_leader_stays_while_all_others_recover),
        cmocka_unit_test(test_node_with_short_time_outs_is_not_hard_on_disks),
        cmocka_unit_test(test_node_stop_hands_over_to_a_late_one_if_all_are),
        cmocka_unit_test(test_node_stuck_leader_stays_where_no_other_can_lead),
        cmocka_unit_test(test_node_stuck_leader_goes_once_the_others_are_a_majority),
        cmocka_unit_test(test_node_whose_disk_comes_and_goes_does_not_flap),
        cmocka_unit_test(test_node_that_recovers_votes_but_does_not_campaign),
        cmocka_unit_test(test_node_that_recovers_campaigns_once_it_is_good_again),
        cmocka_unit_test(test_node_alone_stays_leader_whatever_its_disk_does),
        cmocka_unit_test(test_node_pause_of_the_process_is_not_the_disks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
