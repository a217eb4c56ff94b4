/* Membership changes, and notes between members that do not fit. */
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

static void test_node_removed_member_ends_and_does_not_start_again(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = lead % 3 + 1;
    uint64_t token = ++w.last_token;
    node_remove_member(w.node[lead % 3 + 1 == victim ? (victim % 3 + 1) : victim], token, victim,
                       w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    run(&w, 1000);
    assert_int_equal(node_life(w.node[victim]), NODE_REMOVED);
    crash(&w, victim, MEM_FS_LOSE_ALL);
    struct node_options options = options_of(&w, victim);
    assert_int_equal(start_with(&w, victim, &options), ERR_NOT_FOUND);
    uint64_t again = ++w.last_token;
    node_add_member(w.node[lead], again, victim, "n9:1", false, w.net.now_ms);
    assert_int_equal(outcome(&w, again), NODE_CONFLICT);
    uint64_t unknown = ++w.last_token;
    node_remove_member(w.node[lead], unknown, 77, w.net.now_ms);
    assert_int_equal(outcome(&w, unknown), NODE_MEMBER_NOT_FOUND);
    teardown(&w);
}

/* Member 3 is the test itself, linked to both others. Returns the leader. */
static unsigned setup_as_member_3(void)
{
    setup(&w, 2);
    struct peer_options options = net_options(&w.net, 3, "test");
    net_start_with(&w.net, 3, &options);
    peer_set_put(w.net.set[3], 1, "n1:1");
    peer_set_put(w.net.set[3], 2, "n2:1");
    unsigned lead = leader(&w);
    run(&w, 500);
    net_drop_events(&w.net, 3);
    return lead;
}

static void test_node_forwarded_proposal_is_not_forwarded_again(void **state)
{
    (void)state;
    unsigned lead = setup_as_member_3();
    unsigned follower = 3 - lead;
    struct node_status before = node_status(w.node[lead], w.net.now_ms);
    struct envelope envelope = {.kind = ENVELOPE_KV, .origin = 3, .boot = 9, .seq = 77};
    struct floe_entry entry = {.data = envelope_encode(&envelope)};
    struct floe_message m = {.type = FLOE_MSG_PROP,
                             .to = follower,
                             .from = 3,
                             .entries = &entry,
                             .entry_count = 1};
    assert_int_equal(peer_set_send(w.net.set[3], &m), ERR_OK);
    run(&w, 300);
    struct peer_event event;
    bool refused = false;
    while (!refused && net_wait_event(&w.net, 3, PEER_EVENT_NOTE, &event)) {
        refused = event.kind == NOTE_NOT_APPENDED && event.id == follower;
        peer_event_deinit(&event);
    }
    assert_true(refused);
    struct node_status after = node_status(w.node[lead], w.net.now_ms);
    assert_int_equal(after.last_index, before.last_index);
    node_status_deinit(&before);
    node_status_deinit(&after);
    floe_entry_deinit(&entry);
    net_stop(&w.net, 3);
    teardown(&w);
}

static void test_node_note_of_a_wrong_length_is_ignored(void **state)
{
    (void)state;
    unsigned lead = setup_as_member_3();
    uint8_t *bytes = mem_calloc(1, 7);
    for (uint8_t kind = NOTE_REMOVED; kind <= NOTE_REACHED; kind++) {
        assert_int_equal(peer_set_send_note(w.net.set[3], lead, kind, bytes, 7), ERR_OK);
        assert_int_equal(peer_set_send_note(w.net.set[3], lead, kind, NULL, 0), ERR_OK);
    }
    mem_free(bytes);
    run(&w, 300);
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    net_stop(&w.net, 3);
    teardown(&w);
}

static void test_node_change_request_for_an_id_of_the_library_is_ignored(void **state)
{
    (void)state;
    unsigned lead = setup_as_member_3();
    floe_id ids[] = {FLOE_ID_APPEND_THREAD, FLOE_ID_APPLY_THREAD, FLOE_ID_APPLY_THREAD - 1};
    for (size_t i = 0; i < 3; i++) {
        struct buf note = {0};
        pack_array(&note, 4);
        pack_u64(&note, 5);
        pack_u64(&note, WAITER_ADD);
        pack_u64(&note, ids[i]);
        pack_str(&note, "n9:1");
        enum err err = peer_set_send_note(w.net.set[3], lead, NOTE_CHANGE_REQUEST, note.data,
                                          note.len);
        buf_deinit(&note);
        assert_int_equal(err, ERR_OK);
        run(&w, 300);
        struct node_status status = node_status(w.node[lead], w.net.now_ms);
        bool taken = i == 2; /* the largest that a member can have */
        assert_int_equal(status.member_count, taken ? 4 : 3);
        assert_true(!taken || status.members[3].id == ids[i]);
        node_status_deinit(&status);
    }
    net_stop(&w.net, 3);
    teardown(&w);
}

static bool is_voter(struct world *world, unsigned at, floe_id id)
{
    struct node_status status = node_status(world->node[at], world->net.now_ms);
    bool voter = false;
    for (size_t i = 0; i < status.member_count; i++)
        voter = voter || (status.members[i].id == id && !status.members[i].learner);
    node_status_deinit(&status);
    return voter;
}

static const struct node_result *change(unsigned at, bool add, floe_id id)
{
    uint64_t token = ++w.last_token;
    if (add)
        node_add_member(w.node[at], token, id, id == 8 ? "n8:1" : "n9:1", false, w.net.now_ms);
    else
        node_remove_member(w.node[at], token, id, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    return &w.results[token];
}

static void test_node_member_change_tells_its_place_in_the_log_at_any_member(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned other = lead % 3 + 1;
    unsigned victim = other % 3 + 1;
    run(&w, 500);
    struct node_status before = node_status(w.node[lead], w.net.now_ms);
    const struct {
        unsigned at;
        bool add;
        floe_id id;
    } changes[] = {{lead, true, 8},   {other, true, 9},       {other, false, 8},
                   {lead, false, 9},  {victim, false, victim}};
    size_t count = sizeof changes / sizeof changes[0];
    for (size_t i = 0; i < count; i++) {
        /* at last: the others' disks are enough, and the leader answers only when it has applied */
        mem_fs_hold_syncs(w.disk[lead], i == count - 1);
        const struct node_result *result = change(changes[i].at, changes[i].add, changes[i].id);
        assert_int_equal(result->term, before.term);
        assert_int_equal(result->index, before.last_index + 1 + i); /* nothing else is written */
    }
    mem_fs_hold_syncs(w.disk[lead], false);
    node_status_deinit(&before);
    teardown(&w);
}

/* Member 3 was added wait_ms ago, and its configuration names only who does not lead: how long
 * until it is a voter that answers. */
static uint64_t join_ms(uint64_t wait_ms)
{
    setup_two(&w);
    unsigned lead = leader(&w);
    uint64_t added = ++w.last_token;
    node_add_member(w.node[lead], added, 3, "n3:1", false, w.net.now_ms);
    assert_int_equal(outcome(&w, added), NODE_OK);
    run(&w, wait_ms);
    assert_int_equal(leader(&w), lead);
    const struct node_member_option named = {3 - lead, lead == 1 ? "n2:1" : "n1:1"};
    struct node_options options = options_of(&w, 3);
    options.members = &named;
    options.member_count = 1;
    options.join = true;
    assert_int_equal(start_with(&w, 3, &options), ERR_OK);
    uint64_t begin = w.net.now_ms;
    while (!is_voter(&w, 3, 3) && w.net.now_ms < begin + 5000)
        run(&w, 10);
    assert_int_equal(outcome(&w, barrier(&w, 3)), NODE_OK);
    uint64_t passed_ms = w.net.now_ms - begin;
    teardown(&w);
    return passed_ms;
}

/* The leader's back-off is at its longest then, and starts anew at any time of it. */
static void test_node_joins_at_once_through_who_does_not_lead(void **state)
{
    (void)state;
    for (uint64_t wait_ms = 35000; wait_ms < 37500; wait_ms += 250) {
        uint64_t passed_ms = join_ms(wait_ms);
        if (passed_ms > 400) /* eight heartbeats */
            fail_msg("after %u ms it took %u ms", (unsigned)wait_ms, (unsigned)passed_ms);
    }
}

/* A learner never campaigns, so nothing else would tell it. */
static void test_node_learner_notices_that_its_leader_is_gone(void **state)
{
    (void)state;
    setup_two(&w);
    uint64_t token = ++w.last_token;
    node_add_member(w.node[leader(&w)], token, 3, "n3:1", false, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    struct node_options options = options_of(&w, 3);
    options.join = true;
    assert_int_equal(start_with(&w, 3, &options), ERR_OK);
    for (int tries = 0; tries < 100 && node_leader(w.node[3]) == 0; tries++)
        run(&w, 10);
    for (size_t k = 0; k < w.net.wire_count; k++)
        w.net.wire[k].stalled = true;
    run(&w, 600);
    assert_false(floe_raft_is_voter(w.node[3]->raft, 3));
    assert_true(node_leader(w.node[3]) != 0); /* it may only be late */
    run(&w, 1000);
    assert_int_equal(node_leader(w.node[3]), 0);
    for (size_t k = 0; k < w.net.wire_count; k++)
        w.net.wire[k].stalled = false;
    assert_int_equal(outcome(&w, barrier(&w, 3)), NODE_OK);
    teardown(&w);
}

/* Of two voters one is removed; at the moment when it knows, the other one loses power. */
static void test_node_removed_voter_of_two_stays_until_the_other_has_it_on_disk(void **state)
{
    (void)state;
    for (unsigned later = 0; later < 8; later++) {
        setup_two(&w);
        unsigned lead = leader(&w);
        unsigned victim = 3 - lead;
        run(&w, 500);
        uint64_t token = ++w.last_token;
        node_remove_member(w.node[lead], token, victim, w.net.now_ms);
        for (int tries = 0; tries < 100 && w.node[victim]->leaving_until_ms == 0 &&
                            node_life(w.node[victim]) == NODE_RUNNING;
             tries++)
            run(&w, 10);
        run(&w, 10 * later);
        crash(&w, lead, MEM_FS_LOSE_ALL);
        run(&w, 300);
        struct node_options options = options_of(&w, lead);
        options.member_count = 2;
        assert_int_equal(start_with(&w, lead, &options), ERR_OK);
        assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
        run(&w, 1000);
        assert_int_equal(node_life(w.node[victim]), NODE_REMOVED);
        teardown(&w);
    }
}

/* The leader's change is lost with its log's tail; then it leads again. */
static void test_node_change_that_was_lost_is_not_under_way_for_ever(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 300);
    struct peer_set *set = w.net.set[lead];
    for (unsigned i = 1; i <= 3; i++) {
        struct net_wire *out = net_wire(&w.net, lead, i);
        struct net_wire *in = net_wire(&w.net, i, lead);
        if (out != NULL)
            net_cut(&w.net, out);
        if (in != NULL)
            net_cut(&w.net, in);
    }
    w.net.set[lead] = NULL; /* cut off */
    for (int i = 0; i < 100; i++)
        (void)put(&w, lead, "lost", "x");
    run(&w, 20);
    uint64_t lost = ++w.last_token;
    node_add_member(w.node[lead], lost, 9, "n9:1", false, w.net.now_ms);
    run(&w, 3000);
    assert_int_equal(w.results[lost].outcome, NODE_UNKNOWN);
    unsigned other = lead % 3 + 1;
    assert_int_equal(outcome(&w, put(&w, other, "k", "v")), NODE_OK);
    w.net.set[lead] = set;
    run(&w, 1000);
    for (int tries = 0; tries < 40 && leader(&w) != lead; tries++) {
        floe_raft_transfer_leader(w.node[leader(&w)]->raft, lead);
        run(&w, 500);
    }
    assert_true(leader(&w) == lead);
    uint64_t token = ++w.last_token;
    node_add_member(w.node[lead], token, 8, "n8:1", false, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_change_that_was_lost_is_not_under_way_for_ever),
        cmocka_unit_test(test_node_learner_notices_that_its_leader_is_gone),
        cmocka_unit_test(test_node_removed_voter_of_two_stays_until_the_other_has_it_on_disk),
        cmocka_unit_test(test_node_removed_member_ends_and_does_not_start_again),
        cmocka_unit_test(test_node_forwarded_proposal_is_not_forwarded_again),
        cmocka_unit_test(test_node_member_change_tells_its_place_in_the_log_at_any_member),
        cmocka_unit_test(test_node_joins_at_once_through_who_does_not_lead),
        cmocka_unit_test(test_node_note_of_a_wrong_length_is_ignored),
        cmocka_unit_test(test_node_change_request_for_an_id_of_the_library_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
