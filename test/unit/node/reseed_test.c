/* A member that has lost its data starts anew under its id, and does not count until it may. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "node/internal.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

static void put_some(unsigned from, unsigned count)
{
    char key[16];
    for (unsigned i = from; i < from + count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(outcome(&w, put(&w, leader(&w), key, key)), NODE_OK);
    }
}

static void assert_some(unsigned at, unsigned count)
{
    char key[16];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_value(&w, at, key, key);
    }
}

/* A byte in the middle of what it has logged flips while it is down. */
static void damage_log(unsigned i)
{
    if (w.node[i] != NULL)
        crash(&w, i, MEM_FS_KEEP_ALL);
    size_t size;
    uint8_t *data = mem_fs_content(w.disk[i], "wal/0000000000000001.wal", &size);
    assert_non_null(data);
    size_t end = size;
    while (data[end - 1] == 0)
        end--;
    data[end / 2] ^= 0x10;
    struct buf copy = {0};
    buf_add(&copy, data, size);
    mem_fs_put(w.disk[i], "wal/0000000000000001.wal", copy.data, copy.len); /* for good */
    buf_deinit(&copy);
    struct node_options options = options_of(&w, i);
    assert_int_equal(start_with(&w, i, &options), ERR_CORRUPT);
}

/* Is i a voter, by the table of member at? */
static bool is_voter(unsigned at, unsigned i)
{
    struct node_status status = node_status(w.node[at], w.net.now_ms);
    bool voter = false;
    for (size_t k = 0; k < status.member_count; k++)
        if (status.members[k].id == i)
            voter = floe_ids_contain(&w.node[at]->conf_state.voters, i);
    node_status_deinit(&status);
    return voter;
}

static void wait_for_voter(unsigned i)
{
    for (int tries = 0; tries < 1000; tries++) {
        if (w.node[i]->reseed.stage != RESEED_ASKING && is_voter(i, i))
            return;
        run(&w, 10);
    }
    fail_msg("member %u was not promoted: stage %d", i, (int)w.node[i]->reseed.stage);
}

/* Until it is a voter again. */
static void assert_not_ready(unsigned i)
{
    struct node_status status = node_status(w.node[i], 0);
    assert_false(status.caught_up);
    assert_non_null(strstr(status.reason, "being re-seeded"));
    node_status_deinit(&status);
}

static void assert_ready(unsigned i)
{
    struct node_status status = node_status(w.node[i], 0);
    assert_true(status.caught_up);
    assert_null(status.reason);
    node_status_deinit(&status);
}

static unsigned third(unsigned a, unsigned b)
{
    return 6 - a - b;
}

/* ---- the way back ---------------------------------------------------------------------------- */

static void test_node_reseeded_member_is_a_learner_then_a_voter(void **state)
{
    (void)state;
    for (int snapshots = 0; snapshots < 2; snapshots++) {
        setup(&w, 0);
        w.snapshot_entries = snapshots != 0 ? 20 : 0;
        for (unsigned i = 1; i <= 3; i++)
            start(&w, i);
        unsigned lead = leader(&w);
        unsigned victim = lead % 3 + 1;
        put_some(0, 15);
        damage_log(victim);
        if (snapshots != 0)
            put_some(15, 85);
        start_reseed(&w, victim);
        assert_true(mem_fs_count(w.disk[victim], ".wal") == 2); /* one of them is aside */
        bool learner = false;
        for (int i = 0; i < 500 && !learner; i++) {
            run(&w, 10);
            assert_not_ready(victim);
            learner = learner || floe_raft_is_learner(w.node[victim]->raft, victim);
        }
        assert_true(learner);
        assert_not_ready(victim);
        wait_for_voter(victim);
        assert_ready(victim);
        assert_int_equal(outcome(&w, barrier(&w, victim)), NODE_OK);
        assert_some(victim, snapshots != 0 ? 100 : 15);
        /* it counts again: with another one down it is needed */
        crash(&w, third(lead, victim), MEM_FS_KEEP_ALL);
        assert_int_equal(outcome(&w, put(&w, lead, "more", "1")), NODE_OK);
        crash(&w, lead, MEM_FS_KEEP_ALL);
        start(&w, third(lead, victim));
        assert_int_equal(outcome(&w, put(&w, leader(&w), "and more", "1")), NODE_OK);
        run(&w, 200);
        assert_int_equal(w.node[victim]->reseed.stage, RESEED_NONE); /* a later term */
        teardown(&w);
    }
}

/* Three times over; each time it comes back with all that was there. */
static void reseed_again_and_again(bool directory_is_gone)
{
    setup(&w, 3);
    unsigned victim = leader(&w) % 3 + 1;
    put_some(0, 10);
    for (int again = 0; again < 3; again++) {
        crash(&w, victim, MEM_FS_KEEP_ALL);
        if (directory_is_gone) {
            mem_fs_free(w.disk[victim]);
            w.disk[victim] = mem_fs_new();
        }
        unsigned files = mem_fs_count(w.disk[victim], ".wal");
        start_reseed(&w, victim);
        assert_true(mem_fs_count(w.disk[victim], ".wal") > files); /* the old ones are aside */
        wait_for_voter(victim);
        assert_int_equal(w.node[victim]->reseed.stage, RESEED_ADMITTED); /* no later term yet */
        assert_int_equal(outcome(&w, barrier(&w, victim)), NODE_OK);
        assert_some(victim, 10);
    }
    teardown(&w);
}

static void test_node_reseeds_again_while_the_last_time_is_not_over(void **state)
{
    (void)state;
    reseed_again_and_again(false);
}

static void test_node_reseeded_again_and_again(void **state)
{
    (void)state;
    reseed_again_and_again(true);
}

static void test_node_reseed_survives_crashes_on_the_way(void **state)
{
    (void)state;
    for (unsigned step = 0; step < 24; step++) {
        setup(&w, 3);
        unsigned victim = leader(&w) % 3 + 1;
        put_some(0, 10);
        damage_log(victim);
        start_reseed(&w, victim);
        run(&w, 20 * (uint64_t)step);
        crash(&w, victim, (enum mem_fs_crash)(step % MEM_FS_CRASH_COUNT));
        start(&w, victim); /* it knows what it was about */
        wait_for_voter(victim);
        assert_int_equal(outcome(&w, barrier(&w, victim)), NODE_OK);
        assert_some(victim, 10);
        teardown(&w);
    }
}

/* Power goes at every operation of the disk while the old files are moved aside. */
static void test_node_reseed_begins_whole_or_not_at_all(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 40; n++) {
        for (int kind = 0; kind < MEM_FS_CRASH_COUNT; kind++) {
            setup(&w, 3);
            unsigned victim = leader(&w) % 3 + 1;
            put_some(0, 3);
            damage_log(victim);
            mem_fs_stop_at(w.disk[victim], n);
            struct node_options options = options_of(&w, victim);
            options.reseed_stamp = 7;
            enum err err = start_with(&w, victim, &options);
            if (err == ERR_OK) {
                crash(&w, victim, (enum mem_fs_crash)kind);
            } else {
                struct prng prng = {.state = n};
                mem_fs_crash(w.disk[victim], (enum mem_fs_crash)kind, &prng);
            }
            options = options_of(&w, victim);
            enum err again = start_with(&w, victim, &options);
            if (again == ERR_CORRUPT) /* not begun: the damaged log is still there */
                start_reseed(&w, victim);
            else
                assert_int_equal(again, ERR_OK);
            assert_int_equal(w.node[victim]->reseed.stage, RESEED_ASKING);
            assert_int_equal(mem_fs_count(w.disk[victim], ".wal"), 2);
            teardown(&w);
        }
    }
}

/* The same with data that can be read: never is it taken for a part of the new beginning. */
static void test_node_reseed_never_goes_on_with_the_old_log(void **state)
{
    (void)state;
    bool old = false;
    bool new = false;
    for (unsigned n = 1; n < 40; n++) {
        setup(&w, 3);
        unsigned victim = leader(&w) % 3 + 1;
        put_some(0, 3);
        run(&w, 100);
        crash(&w, victim, MEM_FS_KEEP_ALL);
        mem_fs_stop_at(w.disk[victim], n);
        struct node_options options = options_of(&w, victim);
        options.reseed_stamp = 7;
        if (start_with(&w, victim, &options) == ERR_OK)
            crash(&w, victim, MEM_FS_LOSE_ALL);
        struct prng prng = {.state = n};
        mem_fs_crash(w.disk[victim], MEM_FS_LOSE_ALL, &prng);
        start(&w, victim);
        struct node_status status = node_status(w.node[victim], w.net.now_ms);
        assert_true((w.node[victim]->reseed.stage == RESEED_NONE) == (status.last_index > 0));
        old = old || status.last_index > 0;
        new = new || status.last_index == 0;
        node_status_deinit(&status);
        teardown(&w);
    }
    assert_true(old && new);
}

static void test_node_reseed_goes_on_under_another_leader(void **state)
{
    (void)state;
    for (unsigned step = 0; step < 12; step++) {
        setup(&w, 3);
        unsigned lead = leader(&w);
        unsigned victim = lead % 3 + 1;
        put_some(0, 10);
        damage_log(victim);
        start_reseed(&w, victim);
        run(&w, 30 * (uint64_t)step);
        crash(&w, lead, MEM_FS_LOSE_ALL);
        run(&w, 700);
        start(&w, lead);
        wait_for_voter(victim);
        assert_int_equal(outcome(&w, barrier(&w, victim)), NODE_OK);
        assert_some(victim, 10);
        teardown(&w);
    }
}

static void random_step(struct prng *prng, unsigned *lost)
{
    unsigned i = 1 + (unsigned)prng_below(prng, 3);
    char key[24];
    switch (prng_below(prng, 6)) {
    case 0: /* its process ends, or its machine */
        if (w.node[i] != NULL)
            crash(&w, i, (enum mem_fs_crash)prng_below(prng, MEM_FS_CRASH_COUNT));
        return;
    case 1:
        if (w.node[i] == NULL)
            start(&w, i);
        return;
    case 2: /* its disk; one at a time */
        if (*lost != 0 || prng_below(prng, 3) != 0)
            return;
        if (w.node[i] != NULL)
            crash(&w, i, MEM_FS_KEEP_ALL);
        mem_fs_free(w.disk[i]);
        w.disk[i] = mem_fs_new();
        start_reseed(&w, i);
        *lost = i;
        return;
    default:
        if (w.node[i] != NULL) {
            (void)snprintf(key, sizeof key, "t%u", (unsigned)w.last_token + 1);
            (void)put(&w, i, key, key);
        }
    }
}

static void start_all(void)
{
    for (unsigned i = 1; i <= 3; i++)
        if (w.node[i] == NULL)
            start(&w, i);
}

static void assert_acknowledged_is_there(unsigned at)
{
    char key[24];
    for (uint64_t token = 1; token <= w.last_token; token++) {
        (void)snprintf(key, sizeof key, "t%u", (unsigned)token);
        if (w.answered[token] && w.results[token].outcome == NODE_OK &&
            w.results[token].index != 0)
            assert_value(&w, at, key, key);
    }
}

/* Members crash at any time, and again and again one of them loses its disk. */
static void test_node_random_crashes_and_reseeds_lose_nothing_acknowledged(void **state)
{
    (void)state;
    unsigned reseeds = 0;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct prng prng = {.state = seed};
        unsigned lost = 0;
        setup(&w, 0);
        w.snapshot_entries = seed % 2 == 0 ? 20 : 0;
        start_all();
        (void)leader(&w);
        for (int step = 0; step < 120; step++) {
            unsigned before = lost;
            random_step(&prng, &lost);
            reseeds += before == 0 && lost != 0;
            run(&w, 10 * prng_below(&prng, 30));
            if (lost != 0 && w.node[lost] != NULL && is_voter(lost, lost) &&
                w.node[lost]->reseed.stage != RESEED_ASKING)
                lost = 0;
        }
        start_all();
        run(&w, 3000);
        if (lost != 0)
            wait_for_voter(lost);
        for (unsigned i = 1; i <= 3; i++) {
            assert_int_equal(node_life(w.node[i]), NODE_RUNNING);
            assert_int_equal(outcome(&w, barrier(&w, i)), NODE_OK);
            assert_acknowledged_is_there(i);
        }
        teardown(&w);
    }
    assert_true(reseeds > 25);
}

/* ---- what it must not do --------------------------------------------------------------------- */

/* The write is on two disks; one is lost, the other is away: who never had it must not lead. */
static void test_node_reseeded_member_helps_nobody_to_lead_without_its_data(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = lead % 3 + 1;
    unsigned other = third(lead, victim);
    put_some(0, 3);
    run(&w, 300);
    crash(&w, other, MEM_FS_KEEP_ALL);
    put_some(3, 2);
    run(&w, 100);
    damage_log(victim);
    crash(&w, lead, MEM_FS_KEEP_ALL);
    start_reseed(&w, victim);
    start(&w, other);
    run(&w, 6000);
    assert_int_equal(node_leader(w.node[other]), 0);
    assert_int_equal(w.node[victim]->applied, 0);
    start(&w, lead);
    wait_for_voter(victim);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(outcome(&w, barrier(&w, i)), NODE_OK);
        assert_some(i, 5);
    }
    teardown(&w);
}

static void test_node_two_of_three_reseeded_wait_and_lose_nothing(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned keeper = leader(&w);
    put_some(0, 10);
    unsigned lost[2] = {keeper % 3 + 1, third(keeper, keeper % 3 + 1)};
    damage_log(lost[0]);
    damage_log(lost[1]);
    start_reseed(&w, lost[0]);
    start_reseed(&w, lost[1]);
    uint64_t write = put(&w, keeper, "late", "v");
    run(&w, 5000);
    assert_true(w.answered[write] && w.results[write].outcome != NODE_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(w.node[lost[i]]->reseed.stage, RESEED_ASKING);
    assert_some(keeper, 10);
    assert_int_equal(node_life(w.node[keeper]), NODE_RUNNING);
    teardown(&w);
}

static void test_node_sole_member_is_not_reseeded(void **state)
{
    (void)state;
    setup(&w, 0);
    static const struct node_member_option self = {1, "n1:1"};
    struct node_options options = options_of(&w, 1);
    options.members = &self;
    options.member_count = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 200);
    assert_int_equal(outcome(&w, put(&w, 1, "k", "v")), NODE_OK);
    crash(&w, 1, MEM_FS_KEEP_ALL);
    options.reseed_stamp = 5;
    assert_int_equal(start_with(&w, 1, &options), ERR_INVALID);
    options.reseed_stamp = 0; /* and nothing has happened */
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 200);
    assert_value(&w, 1, "k", "v");
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_reseeded_member_is_a_learner_then_a_voter),
        cmocka_unit_test(test_node_reseeds_again_while_the_last_time_is_not_over),
        cmocka_unit_test(test_node_reseeded_again_and_again),
        cmocka_unit_test(test_node_reseed_survives_crashes_on_the_way),
        cmocka_unit_test(test_node_reseed_begins_whole_or_not_at_all),
        cmocka_unit_test(test_node_reseed_never_goes_on_with_the_old_log),
        cmocka_unit_test(test_node_reseed_goes_on_under_another_leader),
        cmocka_unit_test(test_node_random_crashes_and_reseeds_lose_nothing_acknowledged),
        cmocka_unit_test(test_node_reseeded_member_helps_nobody_to_lead_without_its_data),
        cmocka_unit_test(test_node_two_of_three_reseeded_wait_and_lose_nothing),
        cmocka_unit_test(test_node_sole_member_is_not_reseeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
