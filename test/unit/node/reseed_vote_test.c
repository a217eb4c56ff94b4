/* What a member that is being re-seeded listens to and answers: no vote may be cast twice. */
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

static struct world w;

/* Member 1 is re-seeded; the test itself is member 3, and what it says. */
static uint64_t setup_asking(void)
{
    setup(&w, 0);
    struct peer_options options = net_options(&w.net, 3, "test");
    net_start_with(&w.net, 3, &options);
    peer_set_put(w.net.set[3], 1, "n1:1");
    start_reseed(&w, 1);
    run(&w, 600);
    struct peer_event event;
    assert_true(net_wait_event(&w.net, 3, PEER_EVENT_NOTE, &event));
    assert_int_equal(event.kind, NOTE_RESEED);
    uint64_t number = get_u64(event.data.data);
    peer_event_deinit(&event);
    return number;
}

/* Does member 1 answer the message? */
static bool is_answered(const struct floe_message *message)
{
    net_drop_events(&w.net, 3);
    assert_int_equal(peer_set_send(w.net.set[3], message), ERR_OK);
    run(&w, 100);
    struct peer_event event;
    bool answered = false;
    while (!answered && net_wait_event(&w.net, 3, PEER_EVENT_MESSAGE, &event)) {
        answered = event.message.type != FLOE_MSG_READ_INDEX; /* it asks for that by itself */
        peer_event_deinit(&event);
    }
    return answered;
}

static void send_answer(uint64_t number, floe_term term)
{
    uint8_t note[16];
    put_u64(note, number);
    put_u64(note + 8, term);
    assert_int_equal(peer_set_send_note(w.net.set[3], 1, NOTE_RESEED_ANSWER, note, sizeof note),
                     ERR_OK);
    run(&w, 50);
}

/* The entries of a cluster of 1 and 3 whose member 1 started anew with the number. */
static struct floe_message log_of(uint64_t number)
{
    static struct floe_entry entries[4];
    const enum floe_conf_change_type types[4] = {FLOE_CONF_ADD_NODE, FLOE_CONF_ADD_NODE,
                                                 FLOE_CONF_REMOVE_NODE, FLOE_CONF_ADD_LEARNER};
    const floe_id ids[4] = {1, 3, 1, 1};
    for (unsigned i = 0; i < 4; i++) {
        struct floe_blob *context =
            member_context_encode(ids[i] == 1 ? "n1:1" : "n3:1", i > 1 ? number : 0, false);
        struct floe_conf_change_single single = {.type = types[i], .node_id = ids[i]};
        entries[i] = (struct floe_entry){.term = i < 2 ? 1 : 5,
                                         .index = i + 1,
                                         .type = FLOE_ENTRY_CONF_CHANGE,
                                         .type_set = true,
                                         .data = floe_conf_change_encode_v1(single, context)};
        floe_blob_unref(context);
    }
    return (struct floe_message){.type = FLOE_MSG_APP,
                                 .to = 1,
                                 .from = 3,
                                 .term = 5,
                                 .commit = 4,
                                 .entries = entries,
                                 .entry_count = 4};
}

static void drop_log(struct floe_message *m)
{
    for (size_t i = 0; i < m->entry_count; i++)
        floe_entry_deinit(&m->entries[i]);
}

static struct floe_message vote_of(enum floe_message_type type, floe_term term)
{
    return (struct floe_message){
        .type = type, .to = 1, .from = 3, .term = term, .index = 100, .log_term = term - 1};
}

static void assert_no_vote(floe_term term)
{
    struct floe_message vote = vote_of(FLOE_MSG_VOTE, term);
    struct floe_message pre_vote = vote_of(FLOE_MSG_PRE_VOTE, term);
    assert_false(is_answered(&vote));
    assert_false(is_answered(&pre_vote));
}

static void test_node_while_asking_it_listens_to_the_admitting_leader_only(void **state)
{
    (void)state;
    uint64_t number = setup_asking();
    struct floe_message m = log_of(number);
    struct floe_message beat = {.type = FLOE_MSG_HEARTBEAT, .to = 1, .from = 3, .term = 5};
    assert_no_vote(5);
    assert_no_vote(6);
    assert_false(is_answered(&m));
    assert_false(is_answered(&beat));
    beat.commit = 1000; /* what it is counted on for is of no interest now */
    assert_false(is_answered(&beat));
    send_answer(number + 1, 5); /* of another try */
    assert_false(is_answered(&m));
    send_answer(number, 4); /* of an older term */
    assert_false(is_answered(&m));
    assert_int_equal(node_life(w.node[1]), NODE_RUNNING);
    send_answer(number, 5);
    assert_no_vote(6);
    assert_int_equal(w.node[1]->reseed.stage, RESEED_ASKING);
    assert_true(is_answered(&m));
    drop_log(&m);
    net_stop(&w.net, 3);
    teardown(&w);
}

static void test_node_admitted_it_votes_in_later_terms_only_also_after_a_restart(void **state)
{
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        uint64_t number = setup_asking();
        struct floe_message m = log_of(number);
        send_answer(number, 5);
        assert_true(is_answered(&m));
        drop_log(&m);
        run(&w, 100);
        assert_int_equal(w.node[1]->reseed.stage, RESEED_ADMITTED);
        if (restart != 0) {
            crash(&w, 1, MEM_FS_LOSE_ALL);
            start(&w, 1);
            run(&w, 600);
        }
        assert_no_vote(5);
        assert_no_vote(4);
        run(&w, 1000); /* the leader is silent */
        struct floe_message vote = vote_of(FLOE_MSG_VOTE, 6);
        assert_true(is_answered(&vote));
        net_stop(&w.net, 3);
        teardown(&w);
    }
}

/* Its old log made it the sole voter once: that is no reason to lead now. */
static void test_node_that_founded_the_cluster_does_not_lead_while_it_reads_that(void **state)
{
    (void)state;
    uint64_t number = setup_asking();
    struct floe_message m = log_of(number);
    send_answer(number, 5);
    m.entry_count = 1;
    m.commit = 1;
    assert_true(is_answered(&m));
    run(&w, 3000);
    crash(&w, 1, MEM_FS_KEEP_ALL);
    start(&w, 1);
    run(&w, 3000);
    assert_int_equal(w.node[1]->applied, 1);
    struct node_status status = node_status(w.node[1], w.net.now_ms);
    assert_string_equal(status.role, "follower");
    assert_int_equal(status.term, 5);
    node_status_deinit(&status);
    m.entry_count = 4;
    drop_log(&m);
    net_stop(&w.net, 3);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_while_asking_it_listens_to_the_admitting_leader_only),
        cmocka_unit_test(test_node_admitted_it_votes_in_later_terms_only_also_after_a_restart),
        cmocka_unit_test(test_node_that_founded_the_cluster_does_not_lead_while_it_reads_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
