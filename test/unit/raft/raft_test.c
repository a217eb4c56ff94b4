/* Elections, votes, leases, transfer and reads, in small clusters in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"

static void tune_pre_vote(struct floe_config *config)
{
    config->pre_vote = true;
}

static void tune_check_quorum(struct floe_config *config)
{
    config->check_quorum = true;
}

static void tune_both(struct floe_config *config)
{
    config->check_quorum = true;
    config->pre_vote = true;
}

static void tune_lease_read(struct floe_config *config)
{
    config->check_quorum = true;
    config->read_only = FLOE_READ_ONLY_LEASE_BASED;
}

static void check_role(struct cluster *c, floe_id id, enum floe_state role, floe_term term)
{
    assert_string_equal(floe_state_name(cluster_raft(c, id)->state), floe_state_name(role));
    assert_int_equal(cluster_raft(c, id)->term, term);
}

/* ---- elections --------------------------------------------------------------------------------------- */

static void check_election(size_t count, size_t down, cluster_tune_fn tune, enum floe_state role,
                           floe_term term)
{
    struct cluster c = cluster_new(count, count, tune);
    for (floe_id id = count; id > count - down; id--)
        c.down[id] = true;
    cluster_campaign(&c, 1);
    check_role(&c, 1, role, term);
    cluster_free(&c);
}

static void test_raft_campaign_needs_a_quorum(void **state)
{
    (void)state;
    check_election(1, 0, NULL, FLOE_STATE_LEADER, 1);
    check_election(3, 0, NULL, FLOE_STATE_LEADER, 1);
    check_election(3, 1, NULL, FLOE_STATE_LEADER, 1);
    check_election(3, 2, NULL, FLOE_STATE_CANDIDATE, 1);
    check_election(4, 1, NULL, FLOE_STATE_LEADER, 1);
    check_election(4, 2, NULL, FLOE_STATE_CANDIDATE, 1);
    check_election(5, 2, NULL, FLOE_STATE_LEADER, 1);
    check_election(5, 3, NULL, FLOE_STATE_CANDIDATE, 1);
}

static void test_raft_campaign_with_pre_vote_leaves_no_trace_when_lost(void **state)
{
    (void)state;
    check_election(1, 0, tune_pre_vote, FLOE_STATE_LEADER, 1);
    check_election(3, 1, tune_pre_vote, FLOE_STATE_LEADER, 1);
    check_election(3, 2, tune_pre_vote, FLOE_STATE_PRE_CANDIDATE, 0);
    check_election(5, 3, tune_pre_vote, FLOE_STATE_PRE_CANDIDATE, 0);
}

static void test_raft_every_member_can_lead_in_turn(void **state)
{
    (void)state;
    const cluster_tune_fn tunes[] = {NULL, tune_pre_vote};
    for (size_t i = 0; i < 2; i++) {
        struct cluster c = cluster_new(3, 3, tunes[i]);
        for (floe_id leader = 1; leader <= 3; leader++) {
            cluster_campaign(&c, leader);
            for (floe_id id = 1; id <= 3; id++) {
                check_role(&c, id, id == leader ? FLOE_STATE_LEADER : FLOE_STATE_FOLLOWER, leader);
                assert_int_equal(cluster_raft(&c, id)->lead, leader);
            }
            cluster_check_agreement(&c);
        }
        cluster_free(&c);
    }
}

static void test_raft_own_vote_counts_once_it_is_durable(void **state)
{
    (void)state;
    struct cluster c = cluster_new(1, 1, NULL);
    assert_int_equal(floe_raft_campaign(cluster_raft(&c, 1)), FLOE_OK);
    check_role(&c, 1, FLOE_STATE_CANDIDATE, 1);
    struct floe_ready ready;
    floe_raft_ready(cluster_raft(&c, 1), &ready);
    check_role(&c, 1, FLOE_STATE_CANDIDATE, 1);
    assert_true(ready.must_sync);
    assert_int_equal(ready.hard_state.vote, 1);
    assert_int_equal(ready.message_count, 0);
    floe_ready_deinit(&ready);
    floe_raft_advance(cluster_raft(&c, 1));
    check_role(&c, 1, FLOE_STATE_LEADER, 1);
    cluster_free(&c);
}

static void test_raft_rejections_of_a_quorum_end_the_campaign(void **state)
{
    (void)state;
    struct cluster c = cluster_new(5, 5, NULL);
    for (floe_id id = 2; id <= 5; id++)
        c.down[id] = true;
    cluster_campaign(&c, 1);
    struct floe_message no = {.type = FLOE_MSG_VOTE_RESP, .to = 1, .term = 1, .reject = true};
    for (no.from = 2; no.from <= 3; no.from++)
        cluster_step(&c, &no);
    no.from = 3; /* says it twice, which counts once */
    cluster_step(&c, &no);
    check_role(&c, 1, FLOE_STATE_CANDIDATE, 1);
    no.from = 4;
    cluster_step(&c, &no);
    check_role(&c, 1, FLOE_STATE_FOLLOWER, 1);
    assert_int_equal(cluster_raft(&c, 1)->lead, 0);
    cluster_free(&c);
}

static void test_raft_learner_votes_but_never_campaigns(void **state)
{
    (void)state;
    struct cluster c = cluster_new(2, 1, NULL);
    cluster_tick(&c, 2, 3 * ELECTION_TICK);
    assert_int_equal(floe_raft_campaign(cluster_raft(&c, 2)), FLOE_OK);
    struct floe_message now = {.type = FLOE_MSG_TIMEOUT_NOW, .to = 2, .from = 1};
    cluster_step(&c, &now);
    check_role(&c, 2, FLOE_STATE_FOLLOWER, 0);
    struct floe_message vote = {
        .type = FLOE_MSG_VOTE, .to = 2, .from = 1, .term = 2, .log_term = 11, .index = 11};
    cluster_step(&c, &vote);
    assert_int_equal(cluster_raft(&c, 2)->vote, 1);
    assert_int_equal(cluster_count_messages(&c, 2, FLOE_MSG_VOTE_RESP), 1);
    cluster_free(&c);
}

/* ---- votes ---------------------------------------------------------------------------------------------- */

/* A log whose last entry is (2, 2); the vote given earlier in the term; what is asked for. */
static void test_raft_vote_table(void **state)
{
    (void)state;
    static const struct {
        floe_index index;
        floe_term log_term;
        floe_id voted;
        bool reject;
    } cases[] = {
        {0, 0, 0, true},  {1, 0, 0, true},  {2, 0, 0, true},  {3, 0, 0, true},
        {0, 1, 0, true},  {2, 1, 0, true},  {3, 1, 0, true},  {0, 2, 0, true},
        {1, 2, 0, true},  {2, 2, 0, false}, {3, 2, 0, false}, {0, 3, 0, false},
        {2, 3, 0, false}, {3, 2, 2, false}, {3, 2, 3, true},  {2, 2, 3, true},
    };
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof cases[0]); i++) {
        bool pre = i % 2 == 1;
        struct cluster c = cluster_new(3, 3, NULL);
        struct floe_raft *r = cluster_raft(&c, 1);
        struct floe_entry entries[2] = {{.term = 2, .index = 1}, {.term = 2, .index = 2}};
        raft_become_follower(r, 3, 0);
        raft_log_append(&r->log, entries, 2);
        r->vote = cases[i / 2].voted;
        struct floe_message m = {.type = pre ? FLOE_MSG_PRE_VOTE : FLOE_MSG_VOTE,
                                 .to = 1,
                                 .from = 2,
                                 .term = 3,
                                 .index = cases[i / 2].index,
                                 .log_term = cases[i / 2].log_term};
        cluster_step(&c, &m);
        assert_int_equal(r->msgs_after_append.count, 1);
        const struct floe_message *answer = &r->msgs_after_append.list[0];
        assert_int_equal(answer->type, pre ? FLOE_MSG_PRE_VOTE_RESP : FLOE_MSG_VOTE_RESP);
        assert_int_equal(answer->reject, cases[i / 2].reject);
        assert_int_equal(r->vote, pre || cases[i / 2].reject ? cases[i / 2].voted : 2);
        cluster_free(&c);
    }
}

static void bring_into(struct floe_raft *r, enum floe_state role)
{
    raft_become_follower(r, 1, 3);
    if (role == FLOE_STATE_PRE_CANDIDATE)
        raft_become_pre_candidate(r);
    else if (role != FLOE_STATE_FOLLOWER)
        raft_become_candidate(r);
    if (role == FLOE_STATE_LEADER)
        raft_become_leader(r);
}

static void check_vote_in(enum floe_state role, bool pre)
{
    struct cluster c = cluster_new(3, 3, NULL);
    struct floe_raft *r = cluster_raft(&c, 1);
    bring_into(r, role);
    floe_term term = r->term;
    floe_id vote = r->vote;
    struct floe_message m = {.type = pre ? FLOE_MSG_PRE_VOTE : FLOE_MSG_VOTE,
                             .to = 1,
                             .from = 2,
                             .term = term + 1,
                             .log_term = term + 1,
                             .index = 42};
    cluster_step(&c, &m);
    const struct floe_message *answer = &r->msgs_after_append.list[r->msgs_after_append.count - 1];
    assert_int_equal(answer->to, 2);
    assert_false(answer->reject);
    assert_int_equal(answer->term, term + 1);
    check_role(&c, 1, pre ? role : FLOE_STATE_FOLLOWER, pre ? term : term + 1);
    assert_int_equal(r->vote, pre ? vote : 2);
    cluster_free(&c);
}

static void test_raft_vote_of_higher_term_is_granted_in_any_role(void **state)
{
    (void)state;
    for (int role = FLOE_STATE_FOLLOWER; role <= FLOE_STATE_PRE_CANDIDATE; role++)
        check_vote_in((enum floe_state)role, false);
}

static void test_raft_pre_vote_is_granted_in_any_role_and_changes_nothing(void **state)
{
    (void)state;
    for (int role = FLOE_STATE_FOLLOWER; role <= FLOE_STATE_PRE_CANDIDATE; role++)
        check_vote_in((enum floe_state)role, true);
}

static void test_raft_higher_term_names_the_leader_only_if_it_comes_from_one(void **state)
{
    (void)state;
    for (int role = FLOE_STATE_FOLLOWER; role <= FLOE_STATE_PRE_CANDIDATE; role++) {
        for (int i = 0; i < 2; i++) {
            struct cluster c = cluster_new(3, 3, NULL);
            bring_into(cluster_raft(&c, 1), (enum floe_state)role);
            struct floe_message m = {.type = i == 0 ? FLOE_MSG_APP : FLOE_MSG_APP_RESP,
                                     .to = 1,
                                     .from = 2,
                                     .term = 9};
            cluster_step(&c, &m);
            check_role(&c, 1, FLOE_STATE_FOLLOWER, 9);
            assert_int_equal(cluster_raft(&c, 1)->lead, i == 0 ? 2 : 0);
            cluster_free(&c);
        }
    }
}

/* ---- leases ----------------------------------------------------------------------------------------------- */

static void test_raft_check_quorum_leader_stays_while_it_hears_answers(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, tune_check_quorum);
    cluster_campaign(&c, 1);
    c.down[3] = true;
    for (int i = 0; i < 3 * ELECTION_TICK; i++) {
        cluster_tick(&c, 1, 1);
        cluster_settle(&c);
    }
    check_role(&c, 1, FLOE_STATE_LEADER, 1);
    c.down[2] = true;
    cluster_tick(&c, 1, 2 * ELECTION_TICK); /* what was heard counts for one period */
    check_role(&c, 1, FLOE_STATE_FOLLOWER, 1);
    assert_int_equal(cluster_raft(&c, 1)->lead, 0);
    cluster_free(&c);
}

static void test_raft_check_quorum_vote_inside_the_lease_is_not_answered(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, tune_check_quorum);
    cluster_campaign(&c, 1);
    floe_raft_set_randomized_election_timeout(cluster_raft(&c, 2), 2 * ELECTION_TICK - 1);
    cluster_campaign(&c, 3);
    check_role(&c, 3, FLOE_STATE_CANDIDATE, 2);
    check_role(&c, 2, FLOE_STATE_FOLLOWER, 1);
    check_role(&c, 1, FLOE_STATE_LEADER, 1);
    cluster_tick(&c, 2, ELECTION_TICK); /* the lease is over */
    cluster_campaign(&c, 3);
    check_role(&c, 3, FLOE_STATE_LEADER, 3);
    cluster_check_agreement(&c);
    cluster_free(&c);
}

static void test_raft_check_quorum_stuck_candidate_deposes_by_its_answer(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, tune_check_quorum);
    cluster_campaign(&c, 1);
    c.down[1] = true;
    cluster_campaign(&c, 3);
    cluster_campaign(&c, 3);
    check_role(&c, 3, FLOE_STATE_CANDIDATE, 3);
    c.down[1] = false;
    cluster_tick(&c, 1, 1); /* a heartbeat of term 1 */
    cluster_settle(&c);
    check_role(&c, 1, FLOE_STATE_FOLLOWER, 3);
    cluster_campaign(&c, 3);
    check_role(&c, 3, FLOE_STATE_LEADER, 4);
    cluster_free(&c);
}

static void test_raft_pre_vote_returning_member_does_not_disturb(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, tune_both);
    cluster_campaign(&c, 1);
    c.down[3] = true;
    assert_int_equal(cluster_propose(&c, 1, "x"), FLOE_OK);
    cluster_tick(&c, 3, 100);
    cluster_settle(&c);
    check_role(&c, 3, FLOE_STATE_PRE_CANDIDATE, 1);
    c.down[3] = false;
    cluster_campaign(&c, 3);
    cluster_tick(&c, 1, 1);
    cluster_settle(&c);
    check_role(&c, 1, FLOE_STATE_LEADER, 1);
    check_role(&c, 3, FLOE_STATE_FOLLOWER, 1);
    cluster_check_agreement(&c);
    cluster_free(&c);
}

static void test_raft_forget_leader_keeps_term_and_vote(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, tune_check_quorum);
    cluster_campaign(&c, 1);
    assert_int_equal(floe_raft_forget_leader(cluster_raft(&c, 2)), FLOE_OK);
    assert_int_equal(cluster_raft(&c, 2)->lead, 0);
    assert_int_equal(cluster_raft(&c, 2)->vote, 1);
    cluster_campaign(&c, 3); /* the lease is void */
    check_role(&c, 3, FLOE_STATE_LEADER, 2);
    cluster_free(&c);
}

/* ---- transfer ----------------------------------------------------------------------------------------------- */

static void test_raft_transfer_to_up_to_date_member_and_back(void **state)
{
    (void)state;
    const cluster_tune_fn tunes[] = {NULL, tune_check_quorum, tune_both}; /* overrides leases */
    for (size_t i = 0; i < 3; i++) {
        struct cluster c = cluster_new(3, 3, tunes[i]);
        cluster_campaign(&c, 1);
        floe_raft_transfer_leader(cluster_raft(&c, 1), 2);
        cluster_settle(&c);
        check_role(&c, 2, FLOE_STATE_LEADER, 2);
        check_role(&c, 1, FLOE_STATE_FOLLOWER, 2);
        floe_raft_transfer_leader(cluster_raft(&c, 3), 1); /* asked at a follower */
        cluster_settle(&c);
        check_role(&c, 1, FLOE_STATE_LEADER, 3);
        cluster_free(&c);
    }
}

static void test_raft_transfer_to_slow_member_catches_it_up_first(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    c.down[3] = true;
    assert_int_equal(cluster_propose(&c, 1, "x"), FLOE_OK);
    cluster_settle(&c);
    c.down[3] = false;
    floe_raft_report_unreachable(cluster_raft(&c, 1), 3);
    floe_raft_transfer_leader(cluster_raft(&c, 1), 3);
    check_role(&c, 1, FLOE_STATE_LEADER, 1);
    cluster_settle(&c);
    check_role(&c, 3, FLOE_STATE_LEADER, 2);
    cluster_check_agreement(&c);
    cluster_free(&c);
}

static void test_raft_transfer_to_self_or_stranger_or_learner_is_ignored(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 2, NULL);
    cluster_campaign(&c, 1);
    for (floe_id target = 1; target <= 4; target += target == 1 ? 2 : 1) {
        floe_raft_transfer_leader(cluster_raft(&c, 1), target);
        cluster_settle(&c);
        assert_int_equal(cluster_raft(&c, 1)->lead_transferee, 0);
        check_role(&c, 1, FLOE_STATE_LEADER, 1);
    }
    cluster_free(&c);
}

static void test_raft_transfer_drops_proposals_until_it_times_out(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    c.down[3] = true;
    struct floe_raft *r = cluster_raft(&c, 1);
    floe_raft_transfer_leader(r, 3);
    assert_int_equal(r->lead_transferee, 3);
    assert_int_equal(cluster_propose(&c, 1, "x"), FLOE_ERR_PROPOSAL_DROPPED);
    cluster_tick(&c, 1, ELECTION_TICK - 1);
    floe_raft_transfer_leader(r, 3); /* a repetition does not prolong it */
    assert_int_equal(r->lead_transferee, 3);
    cluster_tick(&c, 1, 1);
    assert_int_equal(r->lead_transferee, 0);
    assert_int_equal(cluster_propose(&c, 1, "x"), FLOE_OK);
    cluster_free(&c);
}

static void test_raft_transfer_second_target_replaces_the_first(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    c.down[3] = true;
    floe_raft_transfer_leader(cluster_raft(&c, 1), 3);
    cluster_settle(&c);
    floe_raft_transfer_leader(cluster_raft(&c, 1), 1); /* to itself: gives it up */
    assert_int_equal(cluster_raft(&c, 1)->lead_transferee, 0);
    floe_raft_transfer_leader(cluster_raft(&c, 1), 3);
    floe_raft_transfer_leader(cluster_raft(&c, 1), 2);
    cluster_settle(&c);
    check_role(&c, 2, FLOE_STATE_LEADER, 2);
    cluster_free(&c);
}

/* ---- reads --------------------------------------------------------------------------------------------------- */

static void ask(struct cluster *c, floe_id id, const char *context)
{
    struct floe_blob *blob = floe_blob_new(context, 1);
    floe_raft_read_index(cluster_raft(c, id), blob);
    floe_blob_unref(blob);
}

static void check_reads(cluster_tune_fn tune)
{
    struct cluster c = cluster_new(3, 3, tune);
    cluster_campaign(&c, 1);
    for (floe_id id = 1; id <= 3; id++) { /* at the leader, then forwarded by followers */
        for (int i = 0; i < 4; i++)
            assert_int_equal(cluster_propose(&c, 1, "x"), FLOE_OK);
        cluster_settle(&c);
        ask(&c, id, "r");
        cluster_settle(&c);
        assert_int_equal(c.member[id].reads, 1);
        assert_int_equal(c.member[id].read_index, 1 + 4 * id);
    }
    cluster_free(&c);
}

static void test_raft_read_index_is_the_commit_index_everywhere(void **state)
{
    (void)state;
    check_reads(NULL);
    check_reads(tune_lease_read);
}

static void test_raft_read_index_waits_for_a_quorum_of_heartbeats(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    c.lost[FLOE_MSG_HEARTBEAT_RESP] = true;
    ask(&c, 1, "a");
    ask(&c, 1, "a"); /* the same context is another request */
    cluster_settle(&c);
    assert_int_equal(c.member[1].reads, 0);
    assert_int_equal(cluster_propose(&c, 1, "x"), FLOE_OK);
    cluster_settle(&c);
    c.lost[FLOE_MSG_HEARTBEAT_RESP] = false;
    cluster_tick(&c, 1, 1);
    cluster_settle(&c);
    assert_int_equal(c.member[1].reads, 2);
    assert_int_equal(c.member[1].read_index, 1); /* of when it was asked */
    assert_int_equal(cluster_raft(&c, 1)->read_only.count, 0);
    cluster_free(&c);
}

static void test_raft_read_index_of_new_leader_waits_for_its_first_commit(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    c.lost[FLOE_MSG_APP_RESP] = true;
    cluster_campaign(&c, 2);
    check_role(&c, 2, FLOE_STATE_LEADER, 2);
    ask(&c, 2, "r");
    cluster_settle(&c);
    assert_int_equal(c.member[2].reads, 0);
    c.lost[FLOE_MSG_APP_RESP] = false;
    cluster_tick(&c, 2, 1);
    cluster_settle(&c);
    assert_int_equal(c.member[2].reads, 1);
    assert_int_equal(c.member[2].read_index, 2);
    cluster_free(&c);
}

static void test_raft_read_index_of_a_lone_voter_is_answered_at_once(void **state)
{
    (void)state;
    struct cluster c = cluster_new(2, 1, NULL);
    cluster_campaign(&c, 1);
    c.down[1] = true;
    ask(&c, 1, "r");
    cluster_settle(&c);
    assert_int_equal(c.member[1].reads, 1);
    c.down[1] = false;
    ask(&c, 2, "r"); /* at the learner */
    cluster_settle(&c);
    assert_int_equal(c.member[2].reads, 1);
    cluster_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raft_campaign_needs_a_quorum),
        cmocka_unit_test(test_raft_campaign_with_pre_vote_leaves_no_trace_when_lost),
        cmocka_unit_test(test_raft_every_member_can_lead_in_turn),
        cmocka_unit_test(test_raft_own_vote_counts_once_it_is_durable),
        cmocka_unit_test(test_raft_rejections_of_a_quorum_end_the_campaign),
        cmocka_unit_test(test_raft_learner_votes_but_never_campaigns),
        cmocka_unit_test(test_raft_vote_table),
        cmocka_unit_test(test_raft_vote_of_higher_term_is_granted_in_any_role),
        cmocka_unit_test(test_raft_pre_vote_is_granted_in_any_role_and_changes_nothing),
        cmocka_unit_test(test_raft_higher_term_names_the_leader_only_if_it_comes_from_one),
        cmocka_unit_test(test_raft_check_quorum_leader_stays_while_it_hears_answers),
        cmocka_unit_test(test_raft_check_quorum_vote_inside_the_lease_is_not_answered),
        cmocka_unit_test(test_raft_check_quorum_stuck_candidate_deposes_by_its_answer),
        cmocka_unit_test(test_raft_pre_vote_returning_member_does_not_disturb),
        cmocka_unit_test(test_raft_forget_leader_keeps_term_and_vote),
        cmocka_unit_test(test_raft_transfer_to_up_to_date_member_and_back),
        cmocka_unit_test(test_raft_transfer_to_slow_member_catches_it_up_first),
        cmocka_unit_test(test_raft_transfer_to_self_or_stranger_or_learner_is_ignored),
        cmocka_unit_test(test_raft_transfer_drops_proposals_until_it_times_out),
        cmocka_unit_test(test_raft_transfer_second_target_replaces_the_first),
        cmocka_unit_test(test_raft_read_index_is_the_commit_index_everywhere),
        cmocka_unit_test(test_raft_read_index_waits_for_a_quorum_of_heartbeats),
        cmocka_unit_test(test_raft_read_index_of_new_leader_waits_for_its_first_commit),
        cmocka_unit_test(test_raft_read_index_of_a_lone_voter_is_answered_at_once),
    };
    return cmocka_run_group_tests_name("raft", tests, NULL, NULL);
}
