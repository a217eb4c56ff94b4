/* Learners that stay, promotion, new addresses, leadership on request, and how old the state is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/internal.h"
#include "world.h"

static struct world w;

static bool is_learner_at(unsigned i, floe_id id)
{
    return floe_ids_contain(&w.node[i]->conf_state.learners, id);
}

/* Members 1 and 2, and 3 as a learner that stays one. */
static unsigned setup_with_learner(void)
{
    setup_two(&w);
    unsigned lead = leader(&w);
    uint64_t token = ++w.last_token;
    node_add_member(w.node[3 - lead], token, 3, "n3:1", true, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    struct node_options options = options_of(&w, 3);
    options.join = true;
    assert_int_equal(start_with(&w, 3, &options), ERR_OK);
    run(&w, 2000);
    return lead;
}

static enum node_outcome promote(unsigned at, floe_id id)
{
    uint64_t token = ++w.last_token;
    node_promote_member(w.node[at], token, id, w.net.now_ms);
    return outcome(&w, token);
}

static void test_node_learner_that_stays_is_promoted_on_request_only(void **state)
{
    (void)state;
    unsigned lead = setup_with_learner();
    run(&w, 3000);
    for (unsigned i = 1; i <= 3; i++)
        assert_true(is_learner_at(i, 3));
    struct node_status status = node_status(w.node[lead], w.net.now_ms);
    assert_true(status.members[2].learner && status.members[2].stays_learner);
    node_status_deinit(&status);
    assert_int_equal(promote(lead, 9), NODE_MEMBER_NOT_FOUND);
    assert_int_equal(promote(3, 1), NODE_REFUSED);
    assert_int_equal(promote(3 - lead, 3), NODE_OK);
    run(&w, 500);
    for (unsigned i = 1; i <= 3; i++)
        assert_false(is_learner_at(i, 3));
    teardown(&w);
}

static void test_node_learner_that_is_behind_is_not_promoted(void **state)
{
    (void)state;
    unsigned lead = setup_with_learner();
    crash(&w, 3, MEM_FS_KEEP_ALL);
    for (unsigned n = 0; n < 50; n++)
        assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    run(&w, 1000);
    assert_int_equal(promote(lead, 3), NODE_REFUSED);
    teardown(&w);
}

static void test_node_learner_that_stays_is_one_after_a_snapshot_too(void **state)
{
    (void)state;
    unsigned lead = setup_with_learner();
    struct buf table = {0};
    members_encode(&w.node[lead]->members, NULL, &table);
    struct members read = {0};
    bool has_hash;
    uint64_t hash;
    assert_int_equal(members_decode(&read, table.data, table.len, &has_hash, &hash), ERR_OK);
    assert_true(members_find(&read, 3)->stays_learner);
    assert_false(members_find(&read, 1)->stays_learner);
    members_deinit(&read);
    buf_deinit(&table);
    teardown(&w);
}

static void test_node_member_gets_a_new_address(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned other = lead % 3 + 1;
    unsigned third = 6 - lead - other;
    uint64_t taken = ++w.last_token;
    node_update_member(w.node[other], taken, other,
                       lead == 1   ? "n1:1"
                       : lead == 2 ? "n2:1"
                                   : "n3:1",
                       w.net.now_ms);
    assert_int_equal(outcome(&w, taken), NODE_CONFLICT);
    uint64_t unknown = ++w.last_token;
    node_update_member(w.node[other], unknown, 9, "n9:1", w.net.now_ms);
    assert_int_equal(outcome(&w, unknown), NODE_MEMBER_NOT_FOUND);
    uint64_t token = ++w.last_token;
    node_update_member(w.node[other], token, third, "moved:1", w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    run(&w, 500);
    for (unsigned i = 1; i <= 3; i++) /* the third one cannot be reached there */
        if (i != third)
            assert_string_equal(members_find(&w.node[i]->members, third)->peer_address, "moved:1");
    teardown(&w);
}

static enum node_outcome transfer(unsigned at, floe_id to)
{
    uint64_t token = ++w.last_token;
    node_transfer_leader(w.node[at], token, to, w.net.now_ms);
    return outcome(&w, token);
}

static void test_node_leadership_goes_where_it_is_asked_to(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 500);
    unsigned to = lead % 3 + 1;
    unsigned third = to % 3 + 1;
    assert_int_equal(transfer(third, to), NODE_OK);
    run(&w, 200);
    assert_int_equal(node_leader(w.node[third]), to);
    assert_int_equal(transfer(to, to), NODE_OK);
    assert_int_equal(transfer(to, 9), NODE_MEMBER_NOT_FOUND);
    assert_int_equal(transfer(to, 0), NODE_OK);
    run(&w, 200);
    assert_true(node_leader(w.node[third]) != to && node_leader(w.node[third]) != 0);
    teardown(&w);
}

static void test_node_leadership_stays_if_the_other_does_not_take_it(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 500);
    unsigned to = lead % 3 + 1;
    w.paused[to] = true;
    assert_int_equal(transfer(lead, to), NODE_NOT_DONE);
    assert_int_equal(node_leader(w.node[lead]), lead);
    w.paused[to] = false;
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    teardown(&w);
    setup(&w, 0);
    struct node_options options = options_of(&w, 1);
    options.member_count = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    assert_int_equal(transfer(1, 0), NODE_REFUSED);
    teardown(&w);
}

static void test_node_age_is_always_known_and_better_while_it_is_asked_for(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned other = lead % 3 + 1;
    run(&w, 3700);
    assert_true(node_age_ms(w.node[other], w.net.now_ms) <= 1300);
    assert_true(node_age_ms(w.node[lead], w.net.now_ms) <= 1300);
    for (unsigned i = 0; i < 10; i++) {
        run(&w, 330);
        assert_true(node_age_ms(w.node[other], w.net.now_ms) <= 300);
        assert_true(node_age_ms(w.node[lead], w.net.now_ms) <= 300);
    }
    for (unsigned i = 1; i <= 3; i++)
        w.paused[i] = i != other;
    run(&w, 3000);
    uint64_t age_ms = node_age_ms(w.node[other], w.net.now_ms);
    assert_true(age_ms >= 3000 && age_ms <= 3300);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_learner_that_stays_is_promoted_on_request_only),
        cmocka_unit_test(test_node_learner_that_is_behind_is_not_promoted),
        cmocka_unit_test(test_node_learner_that_stays_is_one_after_a_snapshot_too),
        cmocka_unit_test(test_node_member_gets_a_new_address),
        cmocka_unit_test(test_node_leadership_goes_where_it_is_asked_to),
        cmocka_unit_test(test_node_leadership_stays_if_the_other_does_not_take_it),
        cmocka_unit_test(test_node_age_is_always_known_and_better_while_it_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
