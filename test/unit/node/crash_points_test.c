/*
 * Power cut at every write and sync of a scripted session: a sole member starts, writes, rotates
 * its log, takes snapshots, releases what they replace, stops and starts again. Whatever operation
 * of the disk is the last one, and whatever of the unsynced ones survives, the directory opens
 * again and has all that was acknowledged.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

#include <stdio.h>
#include <string.h>

#define WRITES 48 /* under 52: values of a key differ */
#define VALUE_BYTES 700

static struct world w;
static uint64_t tokens[WRITES];

static struct node_options sole_member(void)
{
    struct node_options options = options_of(&w, 1);
    options.member_count = 1;
    options.heartbeat_ms = 10;
    options.election_ms = 30;
    options.snapshot_entries = 5;
    options.log_segment_bytes = 4096;
    return options;
}

static bool open_member(void)
{
    struct node_options options = sole_member();
    return start_with(&w, 1, &options) == ERR_OK;
}

static bool lives(void)
{
    return w.node[1] != NULL && node_life(w.node[1]) == NODE_RUNNING;
}

static void fill(char value[VALUE_BYTES + 1], unsigned i)
{
    memset(value, 'a' + (int)(i % 26), VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
}

/* Keys k0 .. k3 get every fourth write each. */
static void write_one(unsigned i)
{
    char key[3] = {'k', (char)('0' + i % 4), '\0'};
    char value[VALUE_BYTES + 1];
    fill(value, i);
    tokens[i] = put(&w, 1, key, value);
    for (int tries = 0; tries < 60 && lives() && !w.answered[tokens[i]]; tries++)
        run(&w, 10);
    collect(&w, 1);
}

/* The session, as far as the disk lets it come. */
static void run_session(void)
{
    memset(tokens, 0, sizeof tokens);
    if (!open_member())
        return;
    for (unsigned i = 0; i < WRITES / 2 && lives(); i++)
        write_one(i);
    node_stop(w.node[1], w.net.now_ms);
    for (int tries = 0; tries < 20 && lives(); tries++)
        run(&w, 10);
    if (node_life(w.node[1]) != NODE_STOPPED)
        return;
    crash(&w, 1, MEM_FS_KEEP_ALL); /* an orderly end */
    if (!open_member())
        return;
    for (unsigned i = WRITES / 2; i < WRITES && lives(); i++)
        write_one(i);
}

static bool is_acknowledged(unsigned i)
{
    return tokens[i] != 0 && w.answered[tokens[i]] && w.results[tokens[i]].outcome == NODE_OK;
}

/* The newest acknowledged write of each key is there, or one that is newer. */
static void check_values(unsigned stop)
{
    for (unsigned k = 0; k < 4; k++) {
        int last = -1;
        for (unsigned i = k; i < WRITES; i += 4)
            last = is_acknowledged(i) ? (int)i : last;
        if (last < 0)
            continue;
        char key[3] = {'k', (char)('0' + k), '\0'};
        struct kv_item item;
        bool found = find_key(&w, 1, key, &item);
        bool newer = false;
        for (unsigned i = (unsigned)last; i < WRITES && found; i += 4)
            newer = newer || (tokens[i] != 0 && item.value.len == VALUE_BYTES &&
                              item.value.data[0] == 'a' + i % 26);
        if (!newer)
            fail_msg("operation %u was the last one: write %d is lost", stop, last);
    }
}

static void expect_all(unsigned stop)
{
    if (!open_member())
        fail_msg("operation %u was the last one: the member does not start again", stop);
    if (outcome(&w, barrier(&w, 1)) != NODE_OK)
        fail_msg("operation %u was the last one: the member does not answer", stop);
    check_values(stop);
}

/* Whether the disk stopped before the session's end. */
static bool cut_power_at(unsigned stop, enum mem_fs_crash kind, unsigned seed)
{
    setup(&w, 0);
    mem_fs_stop_at(w.disk[1], stop);
    run_session();
    bool was_cut = mem_fs_operations(w.disk[1]) >= stop;
    if (w.node[1] != NULL) {
        w.starts = stop + 7919 * seed; /* what survives is drawn from it */
        crash(&w, 1, kind);
    } else {
        struct prng prng = {.state = stop + 7919 * seed};
        mem_fs_crash(w.disk[1], kind, &prng);
    }
    expect_all(stop);
    if (kind == MEM_FS_KEEP_ALL) { /* the process first, then the machine */
        for (int i = 0; i < 3; i++)
            assert_int_equal(outcome(&w, put(&w, 1, "z", "z")), NODE_OK);
        crash(&w, 1, MEM_FS_LOSE_ALL);
        expect_all(stop);
    }
    teardown(&w);
    return was_cut;
}

static void cut_power_everywhere(enum mem_fs_crash kind, unsigned seeds)
{
    unsigned stop = 1;
    while (cut_power_at(stop, kind, 0)) {
        for (unsigned seed = 1; seed < seeds; seed++)
            assert_true(cut_power_at(stop, kind, seed));
        stop++;
    }
    assert_in_range(stop, 200, 5000); /* else it is not the session that is meant */
}

static void test_node_session_has_all_that_may_be_cut(void **state)
{
    (void)state;
    setup(&w, 0);
    run_session();
    assert_true(is_acknowledged(WRITES - 1));
    size_t size;
    assert_null(mem_fs_content(w.disk[1], "wal/0000000000000001.wal", &size)); /* released */
    assert_true(mem_fs_count(w.disk[1], ".wal") > 0);
    assert_true(mem_fs_count(w.disk[1], ".snap") > 0);
    teardown(&w);
}

static void test_node_power_cut_at_every_operation_loses_what_is_unsynced(void **state)
{
    (void)state;
    cut_power_everywhere(MEM_FS_LOSE_ALL, 1);
}

static void test_node_power_cut_at_every_operation_keeps_a_prefix(void **state)
{
    (void)state;
    cut_power_everywhere(MEM_FS_PREFIX, 4);
}

static void test_node_power_cut_at_every_operation_scatters(void **state)
{
    (void)state;
    cut_power_everywhere(MEM_FS_SCATTER, 4);
}

static void test_node_end_of_the_process_and_then_power_cut_at_every_operation(void **state)
{
    (void)state;
    cut_power_everywhere(MEM_FS_KEEP_ALL, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_session_has_all_that_may_be_cut),
        cmocka_unit_test(test_node_power_cut_at_every_operation_loses_what_is_unsynced),
        cmocka_unit_test(test_node_power_cut_at_every_operation_keeps_a_prefix),
        cmocka_unit_test(test_node_power_cut_at_every_operation_scatters),
        cmocka_unit_test(test_node_end_of_the_process_and_then_power_cut_at_every_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
