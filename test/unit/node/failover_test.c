/* Elections that do not wait for their time-out; a broken connection alone deposes nobody. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/internal.h"
#include "world.h"

static struct world w;

static floe_term term_of(unsigned i)
{
    return floe_raft_basic_status(w.node[i]->raft).hard_state.term;
}

/* Virtual ms until one of the members leads. */
static uint64_t wait_for_leader(void)
{
    uint64_t begin_ms = w.net.now_ms;
    (void)leader(&w);
    return w.net.now_ms - begin_ms;
}

static void test_failover_members_that_start_elect_without_waiting(void **state)
{
    (void)state;
    setup(&w, 3);
    assert_true(wait_for_leader() < 500); /* the time-out is 1000 */
    teardown(&w);
}

static void test_failover_dead_process_is_replaced_at_once(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned dead = leader(&w);
    run(&w, 500);
    crash(&w, dead, MEM_FS_KEEP_ALL);
    assert_true(wait_for_leader() <= 200);
    assert_int_equal(outcome(&w, put(&w, dead % 3 + 1, "k", "v")), NODE_OK);
    teardown(&w);
}

static void cut_between(unsigned a, unsigned b)
{
    for (size_t k = 0; k < w.net.wire_count; k++) {
        struct net_wire *wire = &w.net.wire[k];
        unsigned x = wire->end[0].member;
        unsigned y = wire->end[1].member;
        if (wire->open && ((x == a && y == b) || (x == b && y == a)))
            net_cut(&w.net, wire);
    }
}

/* One follower loses its connections to the leader again and again; the other one hears it. */
static void test_failover_broken_connection_deposes_nobody(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 500);
    floe_term term = term_of(lead);
    for (int i = 0; i < 100; i++) {
        cut_between(lead, lead % 3 + 1);
        run(&w, 70);
    }
    run(&w, 500);
    assert_int_equal(leader(&w), lead);
    assert_int_equal(term_of(lead), term);
    assert_int_equal(node_leader(w.node[lead % 3 + 1]), lead);
    teardown(&w);
}

/* A write that was on its way to the leader that died is done soon, once. */
static void test_failover_forwarded_write_survives_the_leader(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned dead = leader(&w);
    unsigned other = dead % 3 + 1;
    run(&w, 500);
    uint64_t revision = kv_revision(node_kv(w.node[other]));
    uint64_t token = put(&w, other, "k", "v");
    node_pump(w.node[other], w.net.now_ms); /* it is forwarded, and the leader dies with it */
    crash(&w, dead, MEM_FS_KEEP_ALL);
    uint64_t begin_ms = w.net.now_ms;
    assert_int_equal(outcome(&w, token), NODE_OK);
    assert_true(w.net.now_ms - begin_ms <= 400);
    assert_int_equal(w.results[token].kv.revision, revision + 1);
    run(&w, 500);
    assert_int_equal(kv_revision(node_kv(w.node[other])), revision + 1);
    teardown(&w);
}

/* The leader of a later term does not take what was forwarded in an earlier one. */
static void test_failover_late_proposal_is_refused(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned from = lead % 3 + 1;
    run(&w, 500);
    floe_index last = floe_raft_basic_status(w.node[lead]->raft).last_index;
    struct floe_blob *data = floe_blob_new("late", 4);
    struct floe_entry entry = {.data = data};
    struct floe_message message = {.type = FLOE_MSG_PROP,
                                   .to = lead,
                                   .from = from,
                                   .log_term = term_of(lead) - 1,
                                   .entries = &entry,
                                   .entry_count = 1};
    assert_int_equal(peer_set_send(w.net.set[from], &message), ERR_OK);
    run(&w, 100);
    assert_int_equal(floe_raft_basic_status(w.node[lead]->raft).last_index, last);
    message.log_term = term_of(lead);
    assert_int_equal(peer_set_send(w.net.set[from], &message), ERR_OK);
    run(&w, 100);
    assert_int_equal(floe_raft_basic_status(w.node[lead]->raft).last_index, last + 1);
    floe_blob_unref(data);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failover_members_that_start_elect_without_waiting),
        cmocka_unit_test(test_failover_dead_process_is_replaced_at_once),
        cmocka_unit_test(test_failover_broken_connection_deposes_nobody),
        cmocka_unit_test(test_failover_forwarded_write_survives_the_leader),
        cmocka_unit_test(test_failover_late_proposal_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
