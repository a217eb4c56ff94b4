/* Whole members whose log or snapshots somebody has deleted: damage, never a first start. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/internal.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world w;

static const struct node_member_option self_only = {1, "n1:1"};

static struct node_options options_alone(void)
{
    struct node_options options = options_of(&w, 1);
    options.members = &self_only;
    options.member_count = 1;
    return options;
}

static enum err start_alone(void)
{
    struct node_options options = options_alone();
    return start_with(&w, 1, &options);
}

/* A single member that writes a snapshot after so many entries; 0: none. */
static void setup_alone(uint64_t snapshot_entries)
{
    setup(&w, 0);
    w.snapshot_entries = snapshot_entries;
    assert_int_equal(start_alone(), ERR_OK);
    run(&w, 200);
}

static void put_some(unsigned at, unsigned count)
{
    char key[16];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(outcome(&w, put(&w, at, key, key)), NODE_OK);
    }
    run(&w, 200);
}

static void assert_has_all(unsigned i, unsigned count)
{
    char key[16];
    for (unsigned k = 0; k < count; k++) {
        (void)snprintf(key, sizeof key, "k%u", k);
        assert_value(&w, i, key, key);
    }
}

/* More than the log's first segment takes. */
static void put_big(void)
{
    static char big[200001];
    memset(big, 'x', sizeof big - 1);
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(outcome(&w, put(&w, 1, "big", big)), NODE_OK);
    run(&w, 200);
}

static void note_segment(void *arg, const char *name, uint64_t size)
{
    (void)size;
    uint64_t *newest = arg;
    uint64_t number = strtoull(name, NULL, 16);
    if (strcmp(name + 16, ".wal") == 0 && number > *newest)
        *newest = number;
}

/* 0: there is none. */
static uint64_t newest_segment(unsigned i)
{
    uint64_t newest = 0;
    struct fs fs = mem_fs_table(w.disk[i]);
    assert_int_equal(fs.ops->list(fs.ctx, "wal", note_segment, &newest), ERR_OK);
    return newest;
}

static void remove_segment(unsigned i, uint64_t number)
{
    char path[40];
    struct fs fs = mem_fs_table(w.disk[i]);
    (void)snprintf(path, sizeof path, "wal/%016" PRIx64 ".wal", number);
    assert_int_equal(fs.ops->remove(fs.ctx, path), ERR_OK);
}

static void assert_alone_refused(const char *part)
{
    struct node_options options = options_alone();
    struct buf why = {0};
    assert_int_equal(node_open(&options, w.net.now_ms, &w.node[1], &why), ERR_CORRUPT);
    w.node[1] = NULL;
    if (strstr(buf_str(&why), part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", buf_str(&why), part);
    buf_deinit(&why);
}

static void test_node_whose_newest_segment_was_deleted_is_refused(void **state)
{
    (void)state;
    setup_alone(0);
    put_big();
    crash(&w, 1, MEM_FS_LOSE_ALL);
    uint64_t newest = newest_segment(1);
    assert_true(newest > 1);
    remove_segment(1, newest);
    assert_alone_refused(".wal: missing: wal/");
    teardown(&w);
}

/* The only segment there ever was, with or without a snapshot, its folder left or not. */
static void test_node_whose_whole_log_was_deleted_is_refused(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        setup_alone((way & 1) != 0 ? 20 : 0);
        put_some(1, 45);
        crash(&w, 1, MEM_FS_LOSE_ALL);
        assert_int_equal(newest_segment(1), 1);
        struct fs fs = mem_fs_table(w.disk[1]);
        if ((way & 2) != 0)
            assert_int_equal(fs.ops->rename(fs.ctx, "wal", "elsewhere"), ERR_OK);
        else
            remove_segment(1, 1);
        for (int again = 0; again < 2; again++)
            assert_alone_refused((way & 1) != 0 ? "there are snapshots" : HAS_LOG_FILE);
        teardown(&w);
    }
}

/* The older segments are gone already, and the one snapshot that stood for them, too. */
static void test_node_whose_snapshots_were_deleted_is_refused(void **state)
{
    (void)state;
    setup_alone(20);
    put_some(1, 80);
    put_big();
    assert_true(newest_segment(1) > 1);
    crash(&w, 1, MEM_FS_LOSE_ALL);
    struct fs fs = mem_fs_table(w.disk[1]);
    assert_int_equal(fs.ops->rename(fs.ctx, "snap", "elsewhere"), ERR_OK);
    assert_alone_refused("is missing from snap/");
    teardown(&w);
}

/* A directory of an earlier version gets the file at its first start, one that starts anew may
 * have it already, and without room for it a member starts all the same. */
static void test_node_notes_that_it_has_a_log(void **state)
{
    (void)state;
    setup_alone(0);
    put_some(1, 5);
    crash(&w, 1, MEM_FS_LOSE_ALL);
    size_t size;
    assert_non_null(mem_fs_content(w.disk[1], HAS_LOG_FILE, &size));
    struct fs fs = mem_fs_table(w.disk[1]);
    assert_int_equal(fs.ops->remove(fs.ctx, HAS_LOG_FILE), ERR_OK);
    mem_fs_set_capacity(w.disk[1], mem_fs_used(w.disk[1]));
    assert_int_equal(start_alone(), ERR_OK);
    run(&w, 200);
    assert_has_all(1, 5);
    mem_fs_set_capacity(w.disk[1], 0);
    crash(&w, 1, MEM_FS_LOSE_ALL);
    assert_null(mem_fs_content(w.disk[1], HAS_LOG_FILE, &size));
    assert_int_equal(start_alone(), ERR_OK);
    crash(&w, 1, MEM_FS_LOSE_ALL);
    assert_non_null(mem_fs_content(w.disk[1], HAS_LOG_FILE, &size));
    remove_segment(1, newest_segment(1));
    assert_alone_refused(HAS_LOG_FILE);
    teardown(&w);
}

static void test_node_whose_log_was_deleted_starts_anew_from_the_others(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned victim = leader(&w) % 3 + 1;
    put_some(leader(&w), 20);
    run(&w, 200);
    crash(&w, victim, MEM_FS_LOSE_ALL);
    remove_segment(victim, 1);
    struct node_options options = options_of(&w, victim);
    assert_int_equal(start_with(&w, victim, &options), ERR_CORRUPT);
    start_reseed(&w, victim);
    run(&w, 5000);
    assert_has_all(victim, 20);
    crash(&w, victim, MEM_FS_LOSE_ALL);
    start(&w, victim);
    run(&w, 500);
    assert_has_all(victim, 20);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_whose_newest_segment_was_deleted_is_refused),
        cmocka_unit_test(test_node_whose_whole_log_was_deleted_is_refused),
        cmocka_unit_test(test_node_whose_snapshots_were_deleted_is_refused),
        cmocka_unit_test(test_node_notes_that_it_has_a_log),
        cmocka_unit_test(test_node_whose_log_was_deleted_starts_anew_from_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
