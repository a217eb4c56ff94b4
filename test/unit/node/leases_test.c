/* Leases of whole members: at which moments they end, who may renew them, what a change of the
 * leader or a pause does to them; and what of the history goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/internal.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

#define LATE_MS 600u /* after its time, with a leader: noticing, a round, the entry */

static struct world w;

static const struct node_result *renew(unsigned i, uint64_t lease)
{
    uint64_t token = ++w.last_token;
    node_lease_renew(w.node[i], token, lease, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    return &w.results[token];
}

static const struct node_result *look(unsigned i, uint64_t lease)
{
    uint64_t token = ++w.last_token;
    node_lease_look(w.node[i], token, lease, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    return &w.results[token];
}

static bool has_lease(unsigned i, uint64_t lease)
{
    struct kv_lease_info info;
    return kv_lease_get(node_kv(w.node[i]), lease, &info);
}

static uint64_t remaining_s(unsigned i, uint64_t lease)
{
    struct kv_lease_info info;
    assert_true(kv_lease_get(node_kv(w.node[i]), lease, &info));
    return info.remaining_s;
}

/* A lease with a key. Returns when it was granted. */
static uint64_t make_lease(unsigned i, uint64_t lease, uint64_t ttl_s)
{
    char key[16];
    (void)snprintf(key, sizeof key, "l%u", (unsigned)lease);
    uint64_t token = grant(&w, i, lease, ttl_s);
    assert_int_equal(outcome(&w, token), NODE_OK);
    assert_int_equal(w.results[token].kv.status, KV_OK);
    uint64_t at_ms = w.net.now_ms;
    token = put_with(&w, i, key, "v", lease);
    assert_int_equal(outcome(&w, token), NODE_OK);
    assert_int_equal(w.results[token].kv.status, KV_OK);
    return at_ms;
}

static void run_until(uint64_t ms)
{
    assert_true(ms >= w.net.now_ms);
    run(&w, ms - w.net.now_ms);
}

static void test_node_lease_ends_with_its_keys_after_its_time(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    uint64_t at_ms = make_lease(lead % 3 + 1, 7, 2);
    run_until(at_ms + 1950);
    for (unsigned i = 1; i <= 3; i++)
        assert_true(has_key(&w, i, "l7") && has_lease(i, 7));
    run_until(at_ms + 2000 + LATE_MS);
    for (unsigned i = 1; i <= 3; i++)
        assert_false(has_key(&w, i, "l7") || has_lease(i, 7));
    teardown(&w);
}

static void test_node_lease_lives_while_it_is_renewed_anywhere(void **state)
{
    (void)state;
    setup(&w, 3);
    (void)leader(&w);
    (void)make_lease(1, 7, 2);
    uint64_t last_ms = 0;
    for (unsigned n = 0; n < 12; n++) {
        run(&w, 1000);
        last_ms = w.net.now_ms;
        const struct node_result *result = renew(n % 3 + 1, 7);
        assert_true(result->lease_known);
        assert_int_equal(result->lease_ttl_s, 2);
        assert_int_equal(result->lease_remaining_ms, 2000);
        assert_true(w.net.now_ms - last_ms <= 200); /* a round trip or two */
    }
    run_until(last_ms + 1950);
    assert_true(has_key(&w, 1, "l7"));
    run_until(last_ms + 2200 + LATE_MS);
    assert_false(has_key(&w, 1, "l7"));
    assert_false(renew(1, 7)->lease_known);
    assert_false(look(2, 7)->lease_known);
    teardown(&w);
}

static void test_node_look_tells_what_remains(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    uint64_t at_ms = make_lease(lead, 7, 10);
    run_until(at_ms + 4000);
    for (unsigned i = 1; i <= 3; i++) {
        const struct node_result *result = look(i, 7);
        assert_true(result->lease_known);
        assert_int_equal(result->lease_ttl_s, 10);
        assert_true(result->lease_remaining_ms <= 6000 && result->lease_remaining_ms > 5500);
    }
    teardown(&w);
}

static void test_node_new_leader_gives_each_lease_its_whole_time(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    (void)make_lease(old, 7, 3);
    run(&w, 2500);
    crash(&w, old, MEM_FS_KEEP_ALL);
    unsigned now = leader(&w);
    uint64_t from_ms = w.net.now_ms;
    run_until(from_ms + 2900);
    assert_true(has_key(&w, now, "l7"));
    run_until(from_ms + 3000 + LATE_MS);
    assert_false(has_key(&w, now, "l7"));
    teardown(&w);
}

/* Others renew it at the next leader; the old one wakes with a clock on which it is long over. */
static void test_node_paused_leader_ends_nothing_that_others_renew(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    (void)make_lease(old, 7, 2);
    w.paused[old] = true;
    unsigned now = leader(&w);
    for (unsigned n = 0; n < 8; n++) {
        assert_true(renew(now, 7)->lease_known);
        run(&w, 1000);
    }
    w.paused[old] = false;
    for (unsigned n = 0; n < 4; n++) {
        assert_true(renew(now, 7)->lease_known);
        run(&w, 1000);
        assert_true(has_key(&w, old, "l7") && has_key(&w, now, "l7"));
    }
    teardown(&w);
}

/* Nobody noticed the pause: the renewals that waited for it come before the ends. */
static void test_node_that_slept_hears_renewals_before_it_ends_leases(void **state)
{
    (void)state;
    setup(&w, 0);
    struct node_options options = options_of(&w, 1);
    options.member_count = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    (void)make_lease(1, 7, 2);
    (void)make_lease(1, 8, 2);
    w.net.now_ms += 30000;
    node_pump(w.node[1], w.net.now_ms); /* not everything was read in the first turn */
    uint64_t token = ++w.last_token;
    node_lease_renew(w.node[1], token, 7, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    assert_true(w.results[token].lease_known);
    run(&w, LATE_MS);
    assert_true(has_key(&w, 1, "l7"));
    assert_false(has_key(&w, 1, "l8"));
    teardown(&w);
}

static void test_node_leader_that_cannot_confirm_answers_and_ends_nothing(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    uint64_t at_ms = make_lease(old, 7, 2);
    run_until(at_ms + 1900);
    for (unsigned i = 1; i <= 3; i++)
        w.paused[i] = i != old;
    floe_index last = floe_raft_basic_status(w.node[old]->raft).last_index;
    run(&w, 350); /* the time is over and it still thinks that it leads */
    assert_true(node_is_leader(w.node[old]));
    assert_int_equal(floe_raft_basic_status(w.node[old]->raft).last_index, last);
    uint64_t token = ++w.last_token;
    node_lease_renew(w.node[old], token, 7, w.net.now_ms);
    run(&w, 1900);
    assert_false(w.answered[token]);
    assert_int_equal(outcome(&w, token), NODE_NOT_DONE);
    run(&w, 4000);
    assert_true(has_key(&w, old, "l7"));
    teardown(&w);
}

static void test_node_checkpoint_bounds_what_a_change_of_leader_adds(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    (void)make_lease(old, 7, 240);
    run(&w, 61000);
    for (unsigned i = 1; i <= 3; i++)
        assert_true(remaining_s(i, 7) >= 179 && remaining_s(i, 7) <= 180);
    crash(&w, old, MEM_FS_KEEP_ALL);
    unsigned now = leader(&w);
    assert_true(look(now, 7)->lease_remaining_ms <= 180000);
    /* what a renewal promises must survive another change */
    assert_int_equal(renew(now, 7)->lease_remaining_ms, 240000);
    assert_int_equal(remaining_s(now, 7), 0);
    start(&w, old);
    run(&w, 1000);
    crash(&w, now, MEM_FS_KEEP_ALL);
    now = leader(&w);
    assert_true(look(now, 7)->lease_remaining_ms >= 239000);
    teardown(&w);
}

static void test_node_many_leases_end_together_in_bounded_entries(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    for (unsigned n = 0; n < 2500; n++) {
        if (n % 500 == 499)
            run(&w, 20);
        uint64_t token = grant(&w, lead, 100 + n, 3);
        if (n == 2499)
            assert_int_equal(outcome(&w, token), NODE_OK);
    }
    run(&w, 100);
    assert_int_equal(kv_lease_count(node_kv(w.node[lead])), 2500);
    floe_index before = w.node[lead]->applied;
    run(&w, 3000 + LATE_MS);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(kv_lease_count(node_kv(w.node[i])), 0);
    assert_true(w.node[lead]->applied - before <= 12 && w.node[lead]->applied - before >= 3);
    teardown(&w);
}

static void test_node_lease_ids_are_new_and_short_times_are_known(void **state)
{
    (void)state;
    setup(&w, 3);
    (void)leader(&w);
    uint64_t one = node_new_lease_id(w.node[1]);
    uint64_t two = node_new_lease_id(w.node[1]);
    assert_true(one != two && one != 0 && two != 0 && one >> 63 == 0 && two >> 63 == 0);
    assert_true(one != node_new_lease_id(w.node[2]));
    assert_int_equal(node_lease_min_ttl_s(w.node[1]), 1); /* 500 ms elections */
    teardown(&w);
}

/* ---- the history ----------------------------------------------------------------------------- */

static void test_node_old_history_goes_and_an_idle_cluster_writes_nothing(void **state)
{
    (void)state;
    setup(&w, 0);
    w.history_ms = 20000;
    for (unsigned i = 1; i <= 3; i++)
        start(&w, i);
    unsigned lead = leader(&w);
    for (unsigned n = 0; n < 20; n++)
        assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    run(&w, 500); /* sampled, at the latest */
    uint64_t revision = kv_revision(node_kv(w.node[lead]));
    run(&w, 18000);
    assert_true(kv_compact_revision(node_kv(w.node[lead])) < revision);
    run(&w, 3000);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(kv_compact_revision(node_kv(w.node[i])), revision);
    floe_index before = w.node[lead]->applied;
    run(&w, 50000);
    assert_int_equal(w.node[lead]->applied, before);
    teardown(&w);
}

static void test_node_history_over_its_bytes_goes_and_no_more(void **state)
{
    (void)state;
    char value[1001] = {0};
    for (unsigned i = 0; i < 1000; i++)
        value[i] = 'x';
    setup(&w, 0);
    w.history_bytes = 100000;
    for (unsigned i = 1; i <= 3; i++)
        start(&w, i);
    unsigned lead = leader(&w);
    for (unsigned n = 0; n < 500; n++)
        assert_int_equal(outcome(&w, put(&w, lead, "k", value)), NODE_OK);
    run(&w, 3000);
    for (unsigned i = 1; i <= 3; i++)
        assert_true(kv_history_bytes(node_kv(w.node[i])) <= 100000);
    assert_true(kv_history_bytes(node_kv(w.node[lead])) >= 60000);
    teardown(&w);
}

static void test_node_history_goes_when_a_disk_is_short_of_room(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    for (unsigned n = 0; n < 20; n++)
        assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    run(&w, 2000);
    assert_int_equal(kv_compact_revision(node_kv(w.node[lead])), 0);
    mem_fs_set_capacity(w.disk[lead], mem_fs_used(w.disk[lead]) + 1);
    char big[100001] = {0};
    memset(big, 'x', 100000);
    enum node_outcome last = NODE_OK;
    for (unsigned n = 0; n < 400 && last == NODE_OK; n++)
        last = outcome(&w, put(&w, lead, "k", big)); /* as long as history makes room */
    assert_true(last == NODE_OK || last == NODE_NO_ROOM);
    const struct kv *kv = node_kv(w.node[lead]);
    assert_true(kv_compact_revision(kv) > 0);
    run(&w, 3000);
    assert_true(last == NODE_OK || kv_compact_revision(kv) == kv_revision(kv));
    teardown(&w);
}

/* An hour is long. */
static void run_with_short_tickets(void)
{
    run(&w, 2000);
    unsigned lead = leader(&w);
    w.node[lead]->retention.tickets.span_ms = 5000;
    run(&w, 8000);
}

static void test_node_old_tickets_go_and_nothing_is_proposed_if_there_are_none(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    struct kv_op op = {.type = KV_OP_PUT, .put = {.key = {(const uint8_t *)"k", 1}}};
    struct kv_command command = {
        .type = KV_COMMAND_OP, .ticket = {(const uint8_t *)"t", 1}, .ops = &op, .op_count = 1};
    uint64_t token = ++w.last_token;
    node_write(w.node[lead], token, &command, false, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    run(&w, 500);
    assert_int_equal(kv_ticket_first(node_kv(w.node[lead])), 1);
    run_with_short_tickets();
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(kv_ticket_first(node_kv(w.node[i])), 0);
    crash(&w, lead, MEM_FS_KEEP_ALL); /* the next leader knows no more than the store */
    run(&w, 3000);
    unsigned next = leader(&w);
    floe_index before = w.node[next]->applied;
    run_with_short_tickets();
    assert_int_equal(w.node[next]->retention.tickets.passed, 1);
    assert_int_equal(w.node[next]->applied, before);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_lease_ends_with_its_keys_after_its_time),
        cmocka_unit_test(test_node_lease_lives_while_it_is_renewed_anywhere),
        cmocka_unit_test(test_node_look_tells_what_remains),
        cmocka_unit_test(test_node_new_leader_gives_each_lease_its_whole_time),
        cmocka_unit_test(test_node_paused_leader_ends_nothing_that_others_renew),
        cmocka_unit_test(test_node_that_slept_hears_renewals_before_it_ends_leases),
        cmocka_unit_test(test_node_leader_that_cannot_confirm_answers_and_ends_nothing),
        cmocka_unit_test(test_node_checkpoint_bounds_what_a_change_of_leader_adds),
        cmocka_unit_test(test_node_many_leases_end_together_in_bounded_entries),
        cmocka_unit_test(test_node_lease_ids_are_new_and_short_times_are_known),
        cmocka_unit_test(test_node_old_history_goes_and_an_idle_cluster_writes_nothing),
        cmocka_unit_test(test_node_old_tickets_go_and_nothing_is_proposed_if_there_are_none),
        cmocka_unit_test(test_node_history_over_its_bytes_goes_and_no_more),
        cmocka_unit_test(test_node_history_goes_when_a_disk_is_short_of_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
