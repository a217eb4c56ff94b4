/* Whole members on disks that get full: growth is refused with the reason, the rest goes on, nobody
 * ends, and it is over by itself. */
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

#define VALUE_BYTES 100000u
#define LITTLE 50000u /* room that is left on a full disk: for no segment */

static struct world w;

static uint64_t put_sized(unsigned i, const char *key, size_t bytes)
{
    char *value = mem_calloc(1, bytes + 1);
    memset(value, 'v', bytes);
    uint64_t token = put(&w, i, key, value);
    mem_free(value);
    return token;
}

static uint64_t put_numbered(unsigned i, unsigned number)
{
    char key[16];
    (void)snprintf(key, sizeof key, "k%u", number);
    return put_sized(i, key, VALUE_BYTES);
}

static uint64_t delete(unsigned i, const char *key)
{
    struct kv_op op = {.type = KV_OP_DELETE,
                       .del.keys.key = {(const uint8_t *)key, strlen(key)}};
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    node_write(w.node[i], ++w.last_token, &command, false, w.net.now_ms);
    return w.last_token;
}

static void fill_up(unsigned i)
{
    mem_fs_set_capacity(w.disk[i], mem_fs_used(w.disk[i]) + LITTLE);
}

/* Somebody else has got what the member had reserved for a snapshot. */
static void take_reserve_away(unsigned i)
{
    assert_true(snapshot_room_resize(w.node[i]->reserve.room, 0));
    fill_up(i);
}

/* The number of writes that were taken until one was refused for want of room. */
static unsigned write_until_refused(unsigned i, floe_id whose)
{
    char member[32];
    (void)snprintf(member, sizeof member, "disk of member %u;", (unsigned)whose);
    for (unsigned number = 0; number < 100; number++) {
        uint64_t token = put_numbered(i, number);
        enum node_outcome out = outcome(&w, token);
        if (out == NODE_OK)
            continue;
        assert_int_equal(out, NODE_NO_ROOM);
        assert_non_null(strstr(w.results[token].text, member));
        assert_non_null(strstr(w.results[token].text, "make room"));
        return number;
    }
    fail_msg("no write was refused");
    return 0;
}

static void assert_all_run(void)
{
    for (unsigned i = 1; i <= MEMBERS; i++)
        if (w.node[i] != NULL && node_life(w.node[i]) != NODE_RUNNING)
            fail_msg("member %u: %s", i, node_failure(w.node[i]));
}

static void assert_reads_and_deletes(unsigned i)
{
    assert_int_equal(outcome(&w, barrier(&w, i)), NODE_OK);
    assert_int_equal(outcome(&w, delete (i, "nothing")), NODE_OK);
}

static struct node_options alone(void)
{
    static const struct node_member_option self = {1, "n1:1"};
    struct node_options options = options_of(&w, 1);
    options.members = &self;
    options.member_count = 1;
    return options;
}

static void setup_alone(void)
{
    setup(&w, 0);
    struct node_options options = alone();
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 300);
}

static void restart_alone(enum mem_fs_crash kind)
{
    crash(&w, 1, kind);
    struct node_options options = alone();
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    run(&w, 1500);
}

/* ---- one member ------------------------------------------------------------------------------ */

static void test_node_full_disk_refuses_growth_until_there_is_room(void **state)
{
    (void)state;
    setup_alone();
    fill_up(1);
    assert_true(write_until_refused(1, 1) > 10); /* into what had been reserved */
    assert_reads_and_deletes(1);
    uint64_t at_once = put_numbered(1, 1);
    collect(&w, 1);
    assert_true(w.answered[at_once]); /* nobody waits for what will not come */
    assert_int_equal(outcome(&w, delete (1, "k0")), NODE_OK);
    run(&w, 3000);
    assert_int_equal(outcome(&w, put_numbered(1, 1)), NODE_NO_ROOM);
    mem_fs_set_capacity(w.disk[1], 0);
    run(&w, 1500);
    assert_int_equal(outcome(&w, put_numbered(1, 1)), NODE_OK);
    assert_all_run();
    teardown(&w);
}

static void test_node_restarted_on_a_full_disk_refuses_growth_from_the_start(void **state)
{
    (void)state;
    for (int kind = 0; kind < MEM_FS_CRASH_COUNT; kind++) {
        setup_alone();
        fill_up(1);
        unsigned taken = write_until_refused(1, 1);
        restart_alone((enum mem_fs_crash)kind);
        struct node_status status = node_status(w.node[1], w.net.now_ms);
        assert_string_equal(status.room, "no growth");
        node_status_deinit(&status);
        assert_int_equal(kv_count(node_kv(w.node[1])), taken);
        assert_int_equal(outcome(&w, put_numbered(1, 1)), NODE_NO_ROOM);
        assert_reads_and_deletes(1);
        mem_fs_set_capacity(w.disk[1], 0);
        restart_alone((enum mem_fs_crash)kind);
        assert_int_equal(outcome(&w, put_numbered(1, 1)), NODE_OK);
        teardown(&w);
    }
}

/* Far more than there is room for at once: the log is written round and round. */
static void test_node_deletes_go_on_for_ever_on_a_full_disk(void **state)
{
    (void)state;
    setup_alone();
    fill_up(1);
    (void)write_until_refused(1, 1);
    char *key = mem_calloc(1, VALUE_BYTES / 4 + 1);
    memset(key, 'n', VALUE_BYTES / 4);
    for (unsigned i = 0; i < 1500; i++) { /* 37 MB */
        if (i % 500 == 499)
            restart_alone(MEM_FS_KEEP_ALL);
        assert_int_equal(outcome(&w, delete (1, key)), NODE_OK);
    }
    assert_all_run();
    mem_free(key);
    teardown(&w);
}

/* Where what is kept back for that is gone, deletes are refused at last, too, and still nothing
 * ends. */
static void test_node_without_any_room_refuses_deletes_and_starts_again(void **state)
{
    (void)state;
    setup_alone();
    fill_up(1);
    (void)write_until_refused(1, 1);
    take_reserve_away(1);
    enum node_outcome out = NODE_OK;
    unsigned count = 0;
    char *key = mem_calloc(1, VALUE_BYTES / 4 + 1);
    memset(key, 'n', VALUE_BYTES / 4);
    for (; count < 200 && out == NODE_OK; count++)
        out = outcome(&w, delete (1, key));
    assert_int_equal(out, NODE_NO_ROOM);
    assert_true(count > 10);
    assert_int_equal(outcome(&w, barrier(&w, 1)), NODE_OK);
    for (unsigned i = 0; i < 5; i++) {
        restart_alone(MEM_FS_LOSE_ALL);
        assert_int_equal(outcome(&w, delete (1, key)), NODE_NO_ROOM);
        assert_int_equal(outcome(&w, barrier(&w, 1)), NODE_OK);
    }
    mem_fs_set_capacity(w.disk[1], 0);
    run(&w, 1500);
    assert_int_equal(outcome(&w, delete (1, key)), NODE_OK);
    assert_int_equal(outcome(&w, put_numbered(1, 1)), NODE_OK);
    mem_free(key);
    teardown(&w);
}

/* Restarts cost a little of the last room each. In the end the member keeps still. */
static void test_node_keeps_still_rather_than_end_for_want_of_room(void **state)
{
    (void)state;
    setup_alone();
    fill_up(1);
    (void)write_until_refused(1, 1);
    take_reserve_away(1);
    struct floe_hard_state hs = w.node[1]->hard_state;
    while (!room_is_mute(w.node[1])) {
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(wal_append(w.node[1]->wal, &hs, NULL, 0), ERR_OK);
        run(&w, 10);
    }
    for (unsigned i = 0; i < 5; i++) {
        restart_alone(MEM_FS_KEEP_ALL);
        assert_true(room_is_mute(w.node[1]));
        assert_int_equal(outcome(&w, delete (1, "k0")), NODE_NO_ROOM);
    }
    struct node_status status = node_status(w.node[1], w.net.now_ms);
    assert_non_null(strstr(status.reason, "no room"));
    node_status_deinit(&status);
    mem_fs_set_capacity(w.disk[1], 0);
    run(&w, 3000);
    assert_int_equal(outcome(&w, put_numbered(1, 1)), NODE_OK);
    teardown(&w);
}

/* Writes or deletes so many keys at once. */
static enum node_outcome change_many(unsigned i, unsigned first, unsigned count, size_t bytes)
{
    struct kv_op *ops = mem_calloc(count, sizeof *ops);
    char(*keys)[16] = mem_calloc(count, sizeof *keys);
    uint8_t *value = mem_calloc(1, bytes + 1);
    for (unsigned at = 0; at < count; at++) {
        struct kv_bytes key = {(uint8_t *)keys[at],
                               (size_t)snprintf(keys[at], sizeof keys[at], "%08u", first + at)};
        ops[at] = bytes > 0 ? (struct kv_op){.type = KV_OP_PUT, .put = {key, {value, bytes}}}
                            : (struct kv_op){.type = KV_OP_DELETE, .del.keys.key = key};
    }
    struct kv_command command = {.type = KV_COMMAND_BATCH, .ops = ops, .op_count = count};
    w.last_token = w.last_token % 4000 + 1;
    w.answered[w.last_token] = false;
    node_write(w.node[i], w.last_token, &command, false, w.net.now_ms);
    mem_free(value);
    mem_free(keys);
    mem_free(ops);
    return outcome(&w, w.last_token);
}

struct own_data {
    uint64_t disk_bytes;
    size_t value_bytes;
    unsigned at_once;
    uint64_t snapshot_entries; /* 0: only for the room */
};

/* As many as are taken; patient, since a snapshot may make room. */
static unsigned fill_with(unsigned i, const struct own_data *data)
{
    unsigned taken = 0;
    for (unsigned refused = 0; refused < 3;) {
        enum node_outcome out = change_many(i, taken, data->at_once, data->value_bytes);
        refused += out == NODE_NO_ROOM ? 1 : 0;
        taken += out == NODE_OK ? data->at_once : 0;
        if (out == NODE_NO_ROOM)
            run(&w, 500);
        else
            assert_int_equal(out, NODE_OK);
    }
    return taken;
}

static void delete_every(unsigned i, unsigned from, unsigned to)
{
    for (unsigned key = from; key < to; key += 50)
        assert_int_equal(change_many(i, key, key + 50 < to ? 50 : to - key, 0), NODE_OK);
}

static void assert_grows_again(unsigned i, const struct own_data *data)
{
    for (unsigned tries = 0; tries < 20; tries++, run(&w, 500))
        if (change_many(i, 0, data->at_once, data->value_bytes) == NODE_OK)
            return;
    fail_msg("no growth after deletes: %u values at once of %zu bytes, disk of %u KiB",
             data->at_once, data->value_bytes, (unsigned)(data->disk_bytes / 1024));
}

static const struct own_data own_data[] = {
    {9u << 20, 100000, 1, 0},  {16u << 20, 100000, 1, 0}, {24u << 20, 200, 50, 0},
    {24u << 20, 2000, 20, 30}, {24u << 20, 10, 500, 0},   {48u << 20, 10000, 50, 0},
};

/* The disk is full of our own data: all deletes are taken, and deleting a part is enough, time and
 * again, with power cuts in between. */
static void test_node_whose_own_data_fills_the_disk_recovers_by_deletes(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof own_data / sizeof own_data[0]; n++) {
        const struct own_data *data = &own_data[n];
        w.snapshot_entries = data->snapshot_entries;
        setup_alone();
        mem_fs_set_capacity(w.disk[1], data->disk_bytes);
        for (unsigned round = 0; round < 3; round++) {
            unsigned taken = fill_with(1, data);
            assert_true(taken * (data->value_bytes + 50) > data->disk_bytes / 12);
            if (round > 0)
                restart_alone(round == 1 ? MEM_FS_KEEP_ALL : MEM_FS_LOSE_ALL);
            delete_every(1, taken / 2, taken);
            assert_grows_again(1, data);
            delete_every(1, 0, taken / 2);
        }
        assert_all_run();
        teardown(&w);
    }
}

/* A delete of all at once leaves as many tombstones. */
static void test_node_deletes_all_of_a_full_disk_at_once(void **state)
{
    (void)state;
    struct own_data data = {24u << 20, 10, 500, 0};
    setup_alone();
    mem_fs_set_capacity(w.disk[1], data.disk_bytes);
    (void)fill_with(1, &data);
    struct kv_op op = {.type = KV_OP_DELETE,
                       .del.keys = {.extent = KV_FROM_KEY, .key = {(const uint8_t *)"0", 1}}};
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    node_write(w.node[1], ++w.last_token, &command, false, w.net.now_ms);
    assert_int_equal(outcome(&w, w.last_token), NODE_OK);
    assert_int_equal(kv_count(node_kv(w.node[1])), 0);
    assert_grows_again(1, &data);
    teardown(&w);
}

static void test_node_write_that_is_too_large_for_the_room_is_refused_alone(void **state)
{
    (void)state;
    setup_alone();
    fill_up(1);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(outcome(&w, put_numbered(1, i)), NODE_OK);
    assert_int_equal(outcome(&w, put_sized(1, "large", 900000)), NODE_NO_ROOM);
    assert_int_equal(outcome(&w, put_numbered(1, 1)), NODE_OK);
    teardown(&w);
}

/* ---- three members --------------------------------------------------------------------------- */

static void assert_refused_everywhere(unsigned whose)
{
    char member[32];
    (void)snprintf(member, sizeof member, "disk of member %u;", whose);
    for (unsigned i = 1; i <= 3; i++) {
        uint64_t token = put_numbered(i, 1);
        assert_int_equal(outcome(&w, token), NODE_NO_ROOM);
        assert_non_null(strstr(w.results[token].text, member));
        assert_reads_and_deletes(i);
    }
}

/* The victim is a follower, then the leader; asked is another one. */
static void test_node_full_voter_makes_all_refuse_growth_until_there_is_room(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        setup(&w, 3);
        unsigned lead = leader(&w);
        unsigned victim = round == 0 ? lead % 3 + 1 : lead;
        unsigned asked = round == 0 ? lead : lead % 3 + 1;
        run(&w, 300);
        fill_up(victim);
        assert_true(write_until_refused(asked, victim) > 10);
        run(&w, 300);
        assert_refused_everywhere(victim);
        assert_all_run();
        mem_fs_set_capacity(w.disk[victim], 0);
        run(&w, 2500);
        for (unsigned i = 1; i <= 3; i++)
            assert_int_equal(outcome(&w, put_numbered(i, 50 + i)), NODE_OK);
        run(&w, 300);
        assert_int_equal(w.node[victim]->applied, w.node[asked]->applied);
        teardown(&w);
    }
}

/* All disks are full of the cluster's own data, as large as each other or not. */
static void test_node_cluster_whose_own_data_fills_the_disks_recovers_by_deletes(void **state)
{
    (void)state;
    struct own_data data = {24u << 20, 2000, 40, 0};
    for (unsigned round = 0; round < 2; round++) {
        setup(&w, 3);
        unsigned lead = leader(&w);
        for (unsigned i = 1; i <= 3; i++)
            mem_fs_set_capacity(w.disk[i], data.disk_bytes + round * (i << 22));
        for (unsigned again = 0; again < 2; again++) {
            unsigned taken = fill_with(lead % 3 + 1, &data);
            assert_true(taken * data.value_bytes > data.disk_bytes / 12);
            delete_every(lead, taken / 3, taken);
            for (unsigned i = 1; i <= 3; i++)
                assert_grows_again(i, &data);
        }
        assert_all_run();
        teardown(&w);
    }
}

/* A voter that is not heard does not keep the others from working. */
static void test_node_full_voter_that_is_gone_counts_no_more(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = lead % 3 + 1;
    run(&w, 300);
    fill_up(victim);
    (void)write_until_refused(lead, victim);
    crash(&w, victim, MEM_FS_LOSE_ALL);
    run(&w, 3000);
    assert_int_equal(outcome(&w, put_numbered(lead, 1)), NODE_OK);
    start(&w, victim); /* full, and behind */
    run(&w, 3000);
    assert_refused_everywhere(victim);
    mem_fs_set_capacity(w.disk[victim], 0);
    run(&w, 3000);
    assert_int_equal(outcome(&w, put_numbered(victim, 1)), NODE_OK);
    teardown(&w);
}

/* Deletes of 7.2 MB, for which the victim has no room: it has reserved 4. Two are enough. */
static void leave_behind(unsigned lead, unsigned victim)
{
    take_reserve_away(victim);
    char *key = mem_calloc(1, 900001);
    memset(key, 'n', 900000);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(outcome(&w, delete (lead, key)), NODE_OK);
    mem_free(key);
}

/* What a leader had taken before it heard: the member does not take what it has no room for, stays
 * up, and catches up when there is room. */
static void test_node_follower_does_not_hear_what_it_has_no_room_for(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = lead % 3 + 1;
    run(&w, 300);
    leave_behind(lead, victim);
    run(&w, 3000);
    assert_all_run();
    assert_true(w.node[victim]->applied < w.node[lead]->applied);
    assert_true(w.node[victim]->room.own != NODE_ROOM_MUTE);
    mem_fs_set_capacity(w.disk[victim], 0);
    run(&w, 3000);
    assert_int_equal(w.node[victim]->applied, w.node[lead]->applied);
    assert_int_equal(outcome(&w, put_numbered(victim, 1)), NODE_OK);
    teardown(&w);
}

/* There is no room for the entries, but for what has become of them. */
static void test_node_follower_without_room_for_the_log_gets_a_snapshot(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = lead % 3 + 1;
    run(&w, 300);
    leave_behind(lead, victim);
    assert_true(w.node[victim]->applied < w.node[lead]->applied);
    run(&w, 15000);
    assert_all_run();
    assert_int_equal(w.node[victim]->applied, w.node[lead]->applied);
    assert_int_equal(outcome(&w, delete (victim, "k")), NODE_OK);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_full_disk_refuses_growth_until_there_is_room),
        cmocka_unit_test(test_node_restarted_on_a_full_disk_refuses_growth_from_the_start),
        cmocka_unit_test(test_node_deletes_go_on_for_ever_on_a_full_disk),
        cmocka_unit_test(test_node_deletes_all_of_a_full_disk_at_once),
        cmocka_unit_test(test_node_cluster_whose_own_data_fills_the_disks_recovers_by_deletes),
        cmocka_unit_test(test_node_without_any_room_refuses_deletes_and_starts_again),
        cmocka_unit_test(test_node_keeps_still_rather_than_end_for_want_of_room),
        cmocka_unit_test(test_node_whose_own_data_fills_the_disk_recovers_by_deletes),
        cmocka_unit_test(test_node_write_that_is_too_large_for_the_room_is_refused_alone),
        cmocka_unit_test(test_node_full_voter_makes_all_refuse_growth_until_there_is_room),
        cmocka_unit_test(test_node_full_voter_that_is_gone_counts_no_more),
        cmocka_unit_test(test_node_follower_does_not_hear_what_it_has_no_room_for),
        cmocka_unit_test(test_node_follower_without_room_for_the_log_gets_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
