/* Group commit: what waits for the disk and what does not, and how many syncs there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

static floe_index last_index_of(unsigned i)
{
    struct node_status status = node_status(w.node[i], w.net.now_ms);
    floe_index index = status.last_index;
    node_status_deinit(&status);
    return index;
}

/* The leader's own disk does nothing, and the write is in both other logs, committed and applied
 * there all the same: a majority has it. The leader's own answer waits for its own disk. */
static void test_node_leader_sends_while_its_own_disk_works(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned others[2] = {lead % 3 + 1, (lead + 1) % 3 + 1};
    run(&w, 300);
    mem_fs_hold_syncs(w.disk[lead], true);
    uint64_t token = put(&w, lead, "k", "v");
    run(&w, 20);
    assert_int_equal(last_index_of(others[0]), last_index_of(lead));
    assert_int_equal(last_index_of(others[1]), last_index_of(lead));
    run(&w, 100);
    for (int i = 0; i < 2; i++)
        assert_value(&w, others[i], "k", "v");
    assert_false(w.answered[token]);
    mem_fs_hold_syncs(w.disk[lead], false);
    assert_int_equal(outcome(&w, token), NODE_OK);
    teardown(&w);
}

/* A disk that takes 30 ms a sync, and five writes in each of these: they share syncs. */
static void test_node_writes_under_load_share_syncs(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 300);
    struct mem_fs_counts before[MEMBERS + 1];
    uint64_t tokens[300];
    for (unsigned i = 1; i <= 3; i++)
        before[i] = mem_fs_counts(w.disk[i]);
    for (unsigned n = 0; n < 300; n++) {
        if (n % 5 == 0)
            run(&w, 10);
        for (unsigned i = 1; i <= 3; i++)
            mem_fs_hold_syncs(w.disk[i], n / 5 % 3 != 2);
        tokens[n] = put(&w, lead, "k", "v");
    }
    for (unsigned i = 1; i <= 3; i++)
        mem_fs_hold_syncs(w.disk[i], false);
    for (unsigned n = 0; n < 300; n++)
        assert_int_equal(outcome(&w, tokens[n]), NODE_OK);
    for (unsigned i = 1; i <= 3; i++) {
        struct mem_fs_counts now = mem_fs_counts(w.disk[i]);
        unsigned syncs = now.sync_starts - before[i].sync_starts;
        assert_true(now.writes - before[i].writes >= 40);
        assert_true(syncs >= 10 && syncs <= 50); /* for 300 acknowledged entries */
        assert_int_equal(now.most_in_flight, 1);
    }
    teardown(&w);
}

/* A lone client waits for nobody: the sync of its write starts in the turn that brings it. */
static void test_node_lone_write_is_synced_at_once(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 300);
    unsigned before = mem_fs_counts(w.disk[lead]).sync_starts;
    mem_fs_hold_syncs(w.disk[lead], true);
    (void)put(&w, lead, "k", "v");
    node_pump(w.node[lead], w.net.now_ms);
    assert_int_equal(mem_fs_counts(w.disk[lead]).sync_starts, before + 1);
    for (int i = 0; i < 20; i++) {
        (void)put(&w, lead, "k", "v");
        node_pump(w.node[lead], w.net.now_ms);
    }
    assert_int_equal(mem_fs_counts(w.disk[lead]).sync_starts, before + 1);
    mem_fs_hold_syncs(w.disk[lead], false);
    node_pump(w.node[lead], w.net.now_ms);
    assert_int_equal(mem_fs_counts(w.disk[lead]).sync_starts, before + 2); /* for all twenty */
    assert_int_equal(mem_fs_counts(w.disk[lead]).most_in_flight, 1);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_leader_sends_while_its_own_disk_works),
        cmocka_unit_test(test_node_writes_under_load_share_syncs),
        cmocka_unit_test(test_node_lone_write_is_synced_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
