/* Whole members whose data is damaged, or older than what they have promised. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/internal.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

/* Files of the log and snapshots, and back: what a copy of the data directory is. */
struct copy {
    char path[16][64];
    struct buf data[16];
    size_t count;
};

struct lister {
    struct copy *copy;
    struct mem_fs *disk;
    const char *dir;
};

static void copy_file(void *arg, const char *name, uint64_t size)
{
    (void)size;
    struct lister *lister = arg;
    struct copy *copy = lister->copy;
    assert_true(copy->count < 16);
    char *path = copy->path[copy->count];
    (void)snprintf(path, 64, "%s/%.40s", lister->dir, name);
    size_t len;
    const uint8_t *data = mem_fs_content(lister->disk, path, &len);
    buf_add(&copy->data[copy->count++], data, len);
}

static struct copy copy_of(struct mem_fs *disk)
{
    struct copy copy = {.count = 0};
    struct fs fs = mem_fs_table(disk);
    const char *dirs[] = {"wal", "snap"};
    for (int i = 0; i < 2; i++) {
        struct lister lister = {.copy = &copy, .disk = disk, .dir = dirs[i]};
        (void)fs.ops->list(fs.ctx, dirs[i], copy_file, &lister);
    }
    return copy;
}

/* A new disk with nothing but the copy, which is gone then. */
static void put_back(unsigned i, struct copy *copy)
{
    mem_fs_free(w.disk[i]);
    w.disk[i] = mem_fs_new();
    for (size_t k = 0; k < copy->count; k++) {
        mem_fs_put(w.disk[i], copy->path[k], copy->data[k].data, copy->data[k].len);
        buf_deinit(&copy->data[k]);
    }
}

static void put_some(unsigned from, unsigned count)
{
    char key[16];
    for (unsigned i = from; i < from + count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(outcome(&w, put(&w, leader(&w), key, key)), NODE_OK);
    }
}

/* ---- a directory that was rolled back -------------------------------------------------------- */

static void assert_rolled_back(unsigned victim)
{
    for (int i = 0; i < 300 && node_life(w.node[victim]) == NODE_RUNNING; i++)
        run(&w, 10);
    assert_int_equal(node_life(w.node[victim]), NODE_FAILED);
    assert_true(node_is_damaged(w.node[victim]));
    assert_non_null(strstr(node_failure(w.node[victim]), "rolled back"));
    for (int i = 0; i < 2; i++) { /* and it stays so */
        if (w.node[victim] != NULL)
            crash(&w, victim, MEM_FS_LOSE_ALL);
        struct node_options options = options_of(&w, victim);
        assert_int_equal(start_with(&w, victim, &options), ERR_CORRUPT);
    }
}

/* Returns who was rolled back: down, with its old directory. */
static unsigned roll_back(unsigned victim)
{
    put_some(0, 5);
    run(&w, 200);
    crash(&w, victim, MEM_FS_KEEP_ALL);
    struct copy copy = copy_of(w.disk[victim]);
    start(&w, victim);
    put_some(5, 10);
    run(&w, 300);
    crash(&w, victim, MEM_FS_KEEP_ALL);
    put_back(victim, &copy);
    return victim;
}

static void test_node_with_an_old_directory_ends_for_good(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned victim = roll_back(leader(&w) % 3 + 1);
    start(&w, victim);
    assert_rolled_back(victim);
    assert_int_equal(outcome(&w, put(&w, leader(&w), "after", "1")), NODE_OK);
    teardown(&w);
}

/* A note of who led once comes first on the connection: there is no vote to be had. */
static void test_node_with_an_old_directory_learns_it_from_who_led_once(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = roll_back(lead % 3 + 1);
    unsigned other = lead % 3 + 1 == victim ? victim % 3 + 1 : lead % 3 + 1;
    if (other == lead)
        other = other % 3 + 1;
    crash(&w, other, MEM_FS_KEEP_ALL);
    for (int i = 0; i < 500 && node_leader(w.node[lead]) != 0; i++)
        run(&w, 10); /* no majority: it leads no more */
    start(&w, victim);
    assert_rolled_back(victim);
    teardown(&w);
}

static void test_node_that_is_honestly_behind_goes_on(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned late = leader(&w) % 3 + 1;
    put_some(0, 5);
    run(&w, 200);
    crash(&w, late, MEM_FS_KEEP_ALL);
    put_some(5, 30);
    start(&w, late);
    run(&w, 500);
    assert_int_equal(node_life(w.node[late]), NODE_RUNNING);
    assert_value(&w, late, "k34", "k34");
    teardown(&w);
}

/* Whatever a peer says, the process does not end by an assertion. */
static void test_node_heartbeat_beyond_the_log_ends_the_member_in_order(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        setup(&w, 2);
        struct peer_options options = net_options(&w.net, 3, "test");
        net_start_with(&w.net, 3, &options);
        peer_set_put(w.net.set[3], 1, "n1:1");
        peer_set_put(w.net.set[3], 2, "n2:1");
        unsigned victim = 3 - leader(&w);
        run(&w, 500);
        struct node_status status = node_status(w.node[victim], w.net.now_ms);
        struct floe_message m = {.type = FLOE_MSG_HEARTBEAT,
                                 .to = victim,
                                 .from = 3,
                                 .term = status.term + (floe_term)way - 1,
                                 .commit = way == 0 ? UINT64_MAX : status.last_index + 1};
        node_status_deinit(&status);
        assert_int_equal(peer_set_send(w.net.set[3], &m), ERR_OK);
        run(&w, 50);
        assert_int_equal(node_life(w.node[victim]), NODE_FAILED);
        assert_true(node_is_damaged(w.node[victim]));
        net_stop(&w.net, 3);
        teardown(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_with_an_old_directory_ends_for_good),
        cmocka_unit_test(test_node_with_an_old_directory_learns_it_from_who_led_once),
        cmocka_unit_test(test_node_that_is_honestly_behind_goes_on),
        cmocka_unit_test(test_node_heartbeat_beyond_the_log_ends_the_member_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
