/* Whole members whose disk fails or is full. */
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

static void test_node_failed_write_of_the_log_ends_it(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = lead % 3 + 1;
    mem_fs_stop_at(w.disk[victim], 1);
    (void)put(&w, lead, "k", "v");
    run(&w, 300);
    assert_int_equal(node_life(w.node[victim]), NODE_FAILED);
    assert_true(strlen(node_failure(w.node[victim])) > 0);
    assert_int_equal(outcome(&w, put(&w, lead, "k2", "v")), NODE_OK); /* two are enough */
    teardown(&w);
}

/* What was asked for is answered with what is known of it, then nothing is taken any more. */
static void test_node_failure_answers_everything_that_waits(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 300);
    mem_fs_hold_syncs(w.disk[lead % 3 + 1], true);
    mem_fs_hold_syncs(w.disk[(lead + 1) % 3 + 1], true);
    uint64_t early = put(&w, lead, "k", "v"); /* in its log, not committed */
    run(&w, 20);
    assert_false(w.answered[early]);
    mem_fs_fail_at(w.disk[lead], 1);
    uint64_t write = put(&w, lead, "k2", "v"); /* proposed in the turn that fails */
    uint64_t read = barrier(&w, lead);
    run(&w, 10);
    assert_int_equal(node_life(w.node[lead]), NODE_FAILED);
    assert_true(w.answered[early] && w.answered[write] && w.answered[read]);
    assert_int_equal(w.results[early].outcome, NODE_UNKNOWN);
    assert_int_equal(w.results[write].outcome, NODE_UNKNOWN);
    assert_int_equal(w.results[read].outcome, NODE_NOT_DONE);
    uint64_t late[] = {put(&w, lead, "k3", "v"), barrier(&w, lead)};
    collect(&w, lead);
    for (int i = 0; i < 2; i++) {
        assert_true(w.answered[late[i]]);
        assert_int_equal(w.results[late[i]].outcome, NODE_NOT_DONE);
        assert_non_null(strstr(w.results[late[i]].text, "failed"));
    }
    teardown(&w);
}

/* The first thing that a disk refuses here is the vote of an election: writes still wait for it. */
static void test_node_failure_answers_not_done_for_what_was_not_proposed(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned left[2] = {lead % 3 + 1, (lead + 1) % 3 + 1};
    run(&w, 300);
    crash(&w, lead, MEM_FS_KEEP_ALL);
    mem_fs_stop_at(w.disk[left[0]], 1);
    mem_fs_stop_at(w.disk[left[1]], 1);
    for (int i = 0; i < 500 && node_leader(w.node[left[0]]) != 0; i++)
        run(&w, 10);
    assert_int_equal(node_life(w.node[left[0]]), NODE_RUNNING);
    uint64_t write = put(&w, left[0], "k", "v");
    for (int i = 0; i < 150 && node_life(w.node[left[0]]) == NODE_RUNNING; i++)
        run(&w, 10);
    assert_int_equal(node_life(w.node[left[0]]), NODE_FAILED);
    assert_true(w.answered[write]);
    assert_int_equal(w.results[write].outcome, NODE_NOT_DONE);
    assert_non_null(strstr(w.results[write].text, "failed"));
    teardown(&w);
}

/* ---- a first start --------------------------------------------------------------------------- */

static struct node_options alone(unsigned snapshot_entries)
{
    static const struct node_member_option self = {1, "n1:1"};
    struct node_options options = options_of(&w, 1);
    options.members = &self;
    options.member_count = 1;
    options.snapshot_entries = snapshot_entries;
    return options;
}

/* Writes once there is a leader, loses what is not synced, names included, and looks again. */
static void assert_keeps_what_it_acknowledges(unsigned writes, unsigned snapshot_entries)
{
    char key[8];
    run(&w, 1500);
    for (unsigned i = 0; i < writes; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(outcome(&w, put(&w, 1, key, key)), NODE_OK);
    }
    crash(&w, 1, MEM_FS_LOSE_ALL);
    struct node_options options = alone(snapshot_entries);
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 1500);
    for (unsigned i = 0; i < writes; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_value(&w, 1, key, key);
    }
}

/* The power goes at every operation of a first start: the next one finds nothing or a whole log,
 * and from then on no folder's or file's name is lost with the power. */
static void test_node_first_start_survives_a_power_cut_at_every_operation(void **state)
{
    (void)state;
    for (int kind = 0; kind < MEM_FS_CRASH_COUNT; kind++) {
        for (unsigned n = 1; n < 40; n++) {
            setup(&w, 0);
            mem_fs_stop_at(w.disk[1], n);
            struct node_options options = alone(1000000);
            if (start_with(&w, 1, &options) == ERR_OK) {
                run(&w, 100);
                crash(&w, 1, (enum mem_fs_crash)kind);
            } else {
                struct prng prng = {.state = n};
                mem_fs_crash(w.disk[1], (enum mem_fs_crash)kind, &prng);
            }
            options = alone(1000000);
            assert_int_equal(start_with(&w, 1, &options), ERR_OK);
            assert_keeps_what_it_acknowledges(1, 1000000);
            teardown(&w);
        }
    }
}

static void test_node_first_snapshot_survives_a_power_cut(void **state)
{
    (void)state;
    setup(&w, 0);
    struct node_options options = alone(5);
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    assert_keeps_what_it_acknowledges(23, 5);
    assert_true(mem_fs_count(w.disk[1], ".snap") > 0);
    teardown(&w);
}

/* ---- a full disk ----------------------------------------------------------------------------- */

#define BIG_BYTES 500000u

static uint64_t put_big(struct world *w_, unsigned i, const char *key, char mark)
{
    char *big = mem_calloc(1, BIG_BYTES + 1);
    memset(big, mark, BIG_BYTES);
    uint64_t token = put(w_, i, key, big);
    mem_free(big);
    return token;
}

static void assert_big(struct world *w_, unsigned i, const char *key, char mark)
{
    struct kv_item item;
    assert_true(find_key(w_, i, key, &item));
    assert_int_equal(item.value.len, BIG_BYTES);
    assert_int_equal(item.value.data[0], mark);
}

/* 60 MB of writes to a few keys on a disk of 24 MiB: only snapshots before their time do it. */
static void test_node_short_of_room_takes_snapshots_early_and_goes_on(void **state)
{
    (void)state;
    static const struct node_member_option self = {1, "n1:1"};
    setup(&w, 0);
    mem_fs_set_capacity(w.disk[1], 24u << 20);
    struct node_options options = options_of(&w, 1);
    options.members = &self;
    options.member_count = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 200);
    for (unsigned i = 0; i < 120; i++) {
        char key[2] = {(char)('a' + i % 4), 0};
        assert_int_equal(outcome(&w, put_big(&w, 1, key, (char)('A' + i % 26))), NODE_OK);
        run(&w, 100); /* ticks */
    }
    struct node_status status = node_status(w.node[1], w.net.now_ms);
    assert_true(status.snapshot_index > 50);
    node_status_deinit(&status);
    crash(&w, 1, MEM_FS_LOSE_ALL);
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 200);
    for (unsigned i = 116; i < 120; i++) {
        char key[2] = {(char)('a' + i % 4), 0};
        assert_big(&w, 1, key, (char)('A' + i % 26));
    }
    teardown(&w);
}

/* The log behind the snapshot before the newest is a luxury: it goes before anything else does. */
static void test_node_short_of_room_gives_up_what_is_kept_for_a_fallback(void **state)
{
    (void)state;
    static const struct node_member_option self = {1, "n1:1"};
    setup(&w, 0);
    w.snapshot_entries = 40;
    struct node_options options = options_of(&w, 1);
    options.members = &self;
    options.member_count = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 200);
    for (unsigned i = 0; i < 80; i++) {
        assert_int_equal(outcome(&w, put_big(&w, 1, "a", 'A')), NODE_OK);
        run(&w, 100);
    }
    floe_index newest = w.node[1]->snapshot_index;
    assert_true(w.node[1]->kept_index >= 40 && w.node[1]->kept_index < newest);
    mem_fs_set_capacity(w.disk[1], mem_fs_used(w.disk[1]) + (2u << 20));
    floe_index kept = w.node[1]->kept_index;
    for (unsigned i = 0; i < 20 && w.node[1]->kept_index == kept; i++) {
        assert_int_equal(outcome(&w, put_big(&w, 1, "a", 'B')), NODE_OK);
        for (unsigned k = 0; k < 10 && w.node[1]->kept_index == kept; k++)
            run(&w, 10);
    }
    assert_int_equal(w.node[1]->kept_index, newest); /* not that of a snapshot made meanwhile */
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_failed_write_of_the_log_ends_it),
        cmocka_unit_test(test_node_failure_answers_everything_that_waits),
        cmocka_unit_test(test_node_failure_answers_not_done_for_what_was_not_proposed),
        cmocka_unit_test(test_node_first_start_survives_a_power_cut_at_every_operation),
        cmocka_unit_test(test_node_first_snapshot_survives_a_power_cut),
        cmocka_unit_test(test_node_short_of_room_takes_snapshots_early_and_goes_on),
        cmocka_unit_test(test_node_short_of_room_gives_up_what_is_kept_for_a_fallback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
