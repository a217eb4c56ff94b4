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

static void put_at(unsigned at, unsigned from, unsigned count)
{
    char key[16];
    for (unsigned i = from; i < from + count; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(outcome(&w, put(&w, at, key, key)), NODE_OK);
    }
}

static void put_some(unsigned from, unsigned count)
{
    put_at(leader(&w), from, count);
}

/* ---- a directory that was rolled back -------------------------------------------------------- */

static void assert_rolled_back(unsigned victim)
{
    for (int i = 0; i < 300 && node_life(w.node[victim]) == NODE_RUNNING; i++)
        run(&w, 10);
    assert_int_equal(node_life(w.node[victim]), NODE_FAILED);
    assert_true(node_is_damaged(w.node[victim]));
    assert_true(node_reseed_helps(w.node[victim]));
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

/* Added, but started without join: it founds a cluster of its own, and is told so by its end. */
static void test_node_that_should_have_joined_ends_and_says_so(void **state)
{
    (void)state;
    setup_two(&w);
    unsigned lead = leader(&w);
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    uint64_t token = ++w.last_token;
    node_add_member(w.node[lead], token, 3, "n3:1", false, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    for (int starts = 0; starts < 2; starts++) { /* and again, since nothing has changed */
        start(&w, 3);
        run(&w, 3000);
        assert_int_equal(node_life(w.node[3]), NODE_FAILED);
        assert_true(node_is_damaged(w.node[3]));
        assert_false(node_reseed_helps(w.node[3])); /* the text says what does */
        assert_non_null(strstr(node_failure(w.node[3]), "not the cluster's"));
        assert_non_null(strstr(node_failure(w.node[3]), "join = true"));
        crash(&w, 3, MEM_FS_KEEP_ALL);
    }
    struct node_options options = options_of(&w, 3);
    options.join = true;
    mem_fs_free(w.disk[3]);
    w.disk[3] = mem_fs_new();
    options.fs = mem_fs_table(w.disk[3]);
    assert_int_equal(start_with(&w, 3, &options), ERR_OK);
    run(&w, 3000);
    assert_value(&w, 3, "k", "v");
    teardown(&w);
}

/* ---- damaged snapshots ----------------------------------------------------------------------- */

static const struct node_member_option self_only = {1, "n1:1"};

static enum err start_alone(void)
{
    struct node_options options = options_of(&w, 1);
    options.members = &self_only;
    options.member_count = 1;
    return start_with(&w, 1, &options);
}

/* A single member with so many snapshots, each of 20 entries and more. */
static void setup_alone(unsigned snapshots)
{
    setup(&w, 0);
    w.snapshot_entries = 20;
    assert_int_equal(start_alone(), ERR_OK);
    run(&w, 200);
    put_at(1, 0, 20 * snapshots);
    run(&w, 200);
}

/* So much that the log's first segment goes. */
static void put_big(unsigned count)
{
    static char big[200001];
    memset(big, 'x', sizeof big - 1);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(outcome(&w, put(&w, 1, "big", big)), NODE_OK);
    run(&w, 200);
}

struct names {
    char path[8][64];
    size_t count;
};

static void add_name(void *arg, const char *name, uint64_t size)
{
    (void)size;
    struct names *names = arg;
    if (strstr(name, ".snap") == NULL) /* what is reserved for the next one */
        return;
    size_t at = names->count++;
    assert_true(names->count <= 8);
    for (; at > 0 && strcmp(names->path[at - 1] + 5, name) > 0; at--)
        memcpy(names->path[at], names->path[at - 1], 64);
    (void)snprintf(names->path[at], 64, "snap/%.40s", name);
}

/* Ascending by age. */
static struct names snapshots_of(unsigned i)
{
    struct names names = {.count = 0};
    struct fs fs = mem_fs_table(w.disk[i]);
    assert_int_equal(fs.ops->list(fs.ctx, "snap", add_name, &names), ERR_OK);
    return names;
}

static void flip(unsigned i, const char *path, bool at_end)
{
    size_t size;
    uint8_t *data = mem_fs_content(w.disk[i], path, &size);
    assert_non_null(data);
    data[at_end ? size - 1 : size / 2] ^= 4;
}

static void assert_has_all(unsigned i, unsigned count)
{
    char key[16];
    for (unsigned k = 0; k < count; k++) {
        (void)snprintf(key, sizeof key, "k%u", k);
        assert_value(&w, i, key, key);
    }
}

static void test_node_keeps_the_two_newest_snapshots(void **state)
{
    (void)state;
    setup_alone(6);
    assert_int_equal(snapshots_of(1).count, 2);
    teardown(&w);
}

/* Damage at any place of the newest one, also in its end, and no file at all. */
static void test_node_damaged_snapshot_falls_back_to_the_one_before_and_the_log(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        for (unsigned snapshots = 1; snapshots <= 4; snapshots++) {
            setup_alone(snapshots);
            unsigned count = 20 * snapshots;
            if (snapshots == 4) /* else it may as well begin with the log */
                put_big(60);
            for (int again = 0; again < 2; again++) {
                crash(&w, 1, MEM_FS_KEEP_ALL);
                struct names names = snapshots_of(1);
                assert_true(names.count == 1 || names.count == 2);
                const char *newest = names.path[names.count - 1];
                struct fs fs = mem_fs_table(w.disk[1]);
                if (way < 2)
                    flip(1, newest, way == 1);
                else
                    assert_int_equal(fs.ops->remove(fs.ctx, newest), ERR_OK);
                assert_int_equal(start_alone(), ERR_OK);
                run(&w, 300);
                assert_has_all(1, count);
                put_at(1, count, 50); /* new snapshots, so that it can happen again */
                count += 50;
                run(&w, 300);
            }
            teardown(&w);
        }
    }
}

/* At once again, before another snapshot was written: the log behind the older one is there. */
static void test_node_damaged_snapshot_is_no_trouble_at_the_next_start_either(void **state)
{
    (void)state;
    setup_alone(4);
    for (int i = 0; i < 3; i++) {
        crash(&w, 1, MEM_FS_KEEP_ALL);
        if (i == 0)
            flip(1, snapshots_of(1).path[1], false);
        assert_int_equal(start_alone(), ERR_OK);
        run(&w, 100);
        assert_has_all(1, 80);
    }
    teardown(&w);
}

static void test_node_without_any_snapshot_but_with_the_whole_log_starts(void **state)
{
    (void)state;
    setup_alone(4);
    crash(&w, 1, MEM_FS_KEEP_ALL);
    struct names names = snapshots_of(1);
    flip(1, names.path[0], false);
    flip(1, names.path[1], false);
    assert_int_equal(start_alone(), ERR_OK);
    run(&w, 200);
    assert_has_all(1, 80);
    teardown(&w);
}

static void test_node_without_a_snapshot_to_fall_back_to_is_refused(void **state)
{
    (void)state;
    setup_alone(4);
    put_big(60);
    crash(&w, 1, MEM_FS_KEEP_ALL);
    struct names names = snapshots_of(1);
    flip(1, names.path[0], false);
    flip(1, names.path[1], false);
    struct node_options options = options_of(&w, 1);
    options.members = &self_only;
    options.member_count = 1;
    struct buf why = {0};
    assert_int_equal(node_open(&options, w.net.now_ms, &w.node[1], &why), ERR_CORRUPT);
    w.node[1] = NULL;
    assert_non_null(strstr(buf_str(&why), names.path[0]));
    assert_non_null(strstr(buf_str(&why), names.path[1]));
    assert_non_null(strstr(buf_str(&why), "; the log is good up to index 1"));
    buf_deinit(&why);
    flip(1, names.path[0], false); /* nothing was changed: healed, it starts */
    assert_int_equal(start_alone(), ERR_OK);
    run(&w, 200);
    assert_has_all(1, 80);
    teardown(&w);
}

/* ---- installing ------------------------------------------------------------------------------ */

/* Member late has missed so much that it gets a snapshot. Returns who leads. */
static unsigned setup_behind(unsigned *late, bool had_one)
{
    setup(&w, 0);
    w.snapshot_entries = 20;
    for (unsigned i = 1; i <= 3; i++)
        start(&w, i);
    unsigned lead = leader(&w);
    *late = lead % 3 + 1;
    if (had_one)
        put_some(0, 30);
    run(&w, 200);
    crash(&w, *late, MEM_FS_LOSE_ALL);
    put_some(had_one ? 30 : 0, 90);
    run(&w, 100);
    return lead;
}

static void test_node_installed_snapshot_that_is_damaged_cannot_be_replaced_by_older_data(
    void **state)
{
    (void)state;
    unsigned late;
    (void)setup_behind(&late, true);
    start(&w, late);
    for (int i = 0; i < 300 && w.node[late]->applied < 80; i++)
        run(&w, 10);
    assert_true(w.node[late]->snapshot_index > 30);
    crash(&w, late, MEM_FS_KEEP_ALL);
    struct names names = snapshots_of(late);
    flip(late, names.path[names.count - 1], false);
    struct node_options options = options_of(&w, late);
    assert_int_equal(start_with(&w, late, &options), ERR_CORRUPT);
    teardown(&w);
}

/* Power goes at every operation of the disk from the start on, until it needs no more of them. */
static void test_node_installing_a_snapshot_is_atomic_at_every_operation(void **state)
{
    (void)state;
    unsigned installed = 0;
    for (unsigned n = 1; n < 60; n++) {
        for (int kind = 0; kind < MEM_FS_CRASH_COUNT; kind++) {
            unsigned late;
            unsigned lead = setup_behind(&late, n % 2 == 0);
            mem_fs_stop_at(w.disk[late], n);
            struct node_options options = options_of(&w, late);
            struct prng prng = {.state = n};
            if (start_with(&w, late, &options) == ERR_OK) {
                for (int i = 0; i < 60 && node_life(w.node[late]) == NODE_RUNNING; i++)
                    run(&w, 10);
                installed += w.node[late]->snapshot_index > 50;
                crash(&w, late, (enum mem_fs_crash)kind);
            } else {
                mem_fs_crash(w.disk[late], (enum mem_fs_crash)kind, &prng);
            }
            floe_index counted = 0;
            struct node_status status = node_status(w.node[lead], w.net.now_ms);
            for (size_t i = 0; i < status.member_count; i++)
                if (status.members[i].id == late)
                    counted = status.members[i].progress.match;
            node_status_deinit(&status);
            start(&w, late);
            status = node_status(w.node[late], w.net.now_ms);
            assert_true(status.last_index >= counted); /* what it said that it has */
            node_status_deinit(&status);
            for (int i = 0; i < 300 && !has_key(&w, late, "k89"); i++)
                run(&w, 10);
            assert_has_all(late, 90);
            assert_int_equal(node_life(w.node[late]), NODE_RUNNING);
            teardown(&w);
        }
    }
    assert_true(installed > 20); /* some of them got as far */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_with_an_old_directory_ends_for_good),
        cmocka_unit_test(test_node_with_an_old_directory_learns_it_from_who_led_once),
        cmocka_unit_test(test_node_that_is_honestly_behind_goes_on),
        cmocka_unit_test(test_node_heartbeat_beyond_the_log_ends_the_member_in_order),
        cmocka_unit_test(test_node_that_should_have_joined_ends_and_says_so),
        cmocka_unit_test(test_node_keeps_the_two_newest_snapshots),
        cmocka_unit_test(test_node_damaged_snapshot_falls_back_to_the_one_before_and_the_log),
        cmocka_unit_test(test_node_damaged_snapshot_is_no_trouble_at_the_next_start_either),
        cmocka_unit_test(test_node_without_any_snapshot_but_with_the_whole_log_starts),
        cmocka_unit_test(test_node_without_a_snapshot_to_fall_back_to_is_refused),
        cmocka_unit_test(
            test_node_installed_snapshot_that_is_damaged_cannot_be_replaced_by_older_data),
        cmocka_unit_test(test_node_installing_a_snapshot_is_atomic_at_every_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
