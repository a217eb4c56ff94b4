/* Appends, commit, flow control, snapshots and membership, in small clusters in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"

#include <string.h>

static void append_terms(struct floe_raft *r, const char *terms)
{
    for (size_t i = 0; terms[i] != '\0'; i++) {
        struct floe_entry entry = {.term = (floe_term)(terms[i] - '0'), .index = i + 1};
        raft_log_append(&r->log, &entry, 1);
    }
}

static struct raft_progress *progress(struct cluster *c, floe_id leader, floe_id id)
{
    return raft_tracker_find(&cluster_raft(c, leader)->trk, id);
}

static void propose(struct cluster *c, floe_id id)
{
    assert_int_equal(cluster_propose(c, id, "somedata"), FLOE_OK);
}

static void answer(struct cluster *c, enum floe_message_type type, floe_id from, floe_index index)
{
    struct floe_message m = {.type = type,
                             .to = 1,
                             .from = from,
                             .term = cluster_raft(c, 1)->term,
                             .index = index};
    cluster_step(c, &m);
}

/* ---- commit ----------------------------------------------------------------------------------------- */

static void test_replication_proposals_reach_all_across_an_election(void **state)
{
    (void)state;
    struct cluster c = cluster_new(4, 3, NULL); /* with a learner */
    cluster_campaign(&c, 1);
    propose(&c, 1);
    cluster_settle(&c);
    cluster_campaign(&c, 2);
    propose(&c, 2);
    propose(&c, 3); /* forwarded */
    cluster_settle(&c);
    cluster_check_agreement(&c);
    assert_int_equal(c.member[4].normal_applied, 3);
    assert_int_equal(progress(&c, 2, 4)->match, 5);
    cluster_free(&c);
}

static void test_replication_commits_exactly_with_a_quorum(void **state)
{
    (void)state;
    for (size_t down = 0; down <= 4; down++) {
        struct cluster c = cluster_new(5, 5, NULL);
        cluster_campaign(&c, 1);
        for (floe_id id = 5; id > 5 - down; id--)
            c.down[id] = true;
        propose(&c, 1);
        cluster_settle(&c);
        assert_int_equal(cluster_raft(&c, 1)->log.committed, down <= 2 ? 2 : 1);
        cluster_free(&c);
    }
}

static void test_replication_commit_counts_entries_of_the_current_term_only(void **state)
{
    (void)state;
    static const struct {
        size_t members;
        floe_index match[4];
        const char *terms;
        floe_term term;
        floe_index want;
    } cases[] = {
        {1, {1}, "1", 1, 1},          {1, {1}, "1", 2, 0},          {1, {2}, "12", 2, 2},
        {1, {1}, "2", 2, 1},          {3, {2, 1, 1}, "12", 1, 1},   {3, {2, 1, 1}, "11", 2, 0},
        {3, {2, 1, 2}, "12", 2, 2},   {3, {2, 1, 2}, "11", 2, 0},   {4, {2, 1, 1, 1}, "12", 1, 1},
        {4, {2, 1, 1, 1}, "11", 2, 0}, {4, {2, 1, 1, 2}, "12", 1, 1},
        {4, {2, 1, 2, 2}, "12", 2, 2}, {4, {2, 1, 2, 2}, "11", 2, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cluster c = cluster_new(cases[i].members, cases[i].members, NULL);
        struct floe_raft *r = cluster_raft(&c, 1);
        append_terms(r, cases[i].terms);
        r->term = cases[i].term;
        for (floe_id id = 1; id <= cases[i].members; id++)
            progress(&c, 1, id)->match = cases[i].match[id - 1];
        assert_int_equal(raft_maybe_commit(r), cases[i].want > 0);
        assert_int_equal(r->log.committed, cases[i].want);
        cluster_free(&c);
    }
}

static void test_replication_old_entries_commit_with_one_of_the_new_term(void **state)
{
    (void)state;
    struct cluster c = cluster_new(5, 5, NULL);
    cluster_campaign(&c, 1);
    c.down[3] = c.down[4] = c.down[5] = true;
    propose(&c, 1);
    propose(&c, 1);
    cluster_settle(&c);
    assert_int_equal(cluster_raft(&c, 1)->log.committed, 1);
    memset(c.down, 0, sizeof c.down);
    c.lost[FLOE_MSG_APP] = true; /* elected, but its empty entry goes nowhere */
    cluster_campaign(&c, 2);
    assert_int_equal(cluster_raft(&c, 2)->state, FLOE_STATE_LEADER);
    assert_int_equal(cluster_raft(&c, 2)->log.committed, 1);
    c.lost[FLOE_MSG_APP] = false;
    cluster_tick(&c, 2, 1);
    cluster_settle(&c);
    assert_int_equal(cluster_raft(&c, 2)->log.committed, 4);
    cluster_check_agreement(&c);
    cluster_free(&c);
}

/* The logs that the paper's figure 7 shows a new leader finding. */
static void test_replication_diverged_logs_become_the_leaders(void **state)
{
    (void)state;
    static const char *const logs[] = {
        "111445566",  "1114",       "11144556666", "111445566677", "1114444",
        "11122233333", "",          "2223",        "1",
    };
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        struct cluster c = cluster_new(3, 3, NULL);
        append_terms(cluster_raft(&c, 1), "1114455666");
        append_terms(cluster_raft(&c, 2), logs[i]);
        for (floe_id id = 1; id <= 3; id++)
            raft_become_follower(cluster_raft(&c, id), 7, 0);
        cluster_settle(&c);
        cluster_campaign(&c, 1); /* with the vote of 3, whose log is empty */
        propose(&c, 1);
        cluster_settle(&c);
        assert_int_equal(raft_log_last_index(&cluster_raft(&c, 1)->log), 12);
        cluster_check_agreement(&c);
        cluster_free(&c);
    }
}

static void no_forwarding(struct floe_config *config)
{
    config->disable_proposal_forwarding = true;
}

static void test_replication_proposal_without_leader_or_forwarding_is_dropped(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, no_forwarding);
    assert_int_equal(cluster_propose(&c, 2, "x"), FLOE_ERR_PROPOSAL_DROPPED);
    cluster_campaign(&c, 1);
    assert_int_equal(cluster_propose(&c, 2, "x"), FLOE_ERR_PROPOSAL_DROPPED);
    propose(&c, 1);
    cluster_free(&c);
}

static void test_replication_old_term_append_is_ignored(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    cluster_campaign(&c, 2);
    struct floe_entry entry = {.term = 1, .index = 3};
    struct floe_message m = {.type = FLOE_MSG_APP,
                             .to = 3,
                             .from = 1,
                             .term = 1,
                             .index = 2,
                             .log_term = 2,
                             .entries = &entry,
                             .entry_count = 1};
    cluster_step(&c, &m);
    assert_int_equal(raft_log_last_index(&cluster_raft(&c, 3)->log), 2);
    assert_int_equal(cluster_count_messages(&c, 3, FLOE_MSG_APP_RESP), 0);
    cluster_free(&c);
}

/* ---- flow control -------------------------------------------------------------------------------------- */

static void small_window(struct floe_config *config)
{
    config->max_inflight_msgs = 3;
}

/* Member 1 leads, both others are known to have nothing yet, nothing is on the way. */
static struct cluster leader_of_two(cluster_tune_fn tune)
{
    struct cluster c = cluster_new(2, 2, tune);
    cluster_campaign(&c, 1);
    assert_int_equal(progress(&c, 1, 2)->state, FLOE_PROGRESS_REPLICATE);
    return c;
}

static void test_flow_probe_sends_one_append_until_an_answer(void **state)
{
    (void)state;
    struct cluster c = leader_of_two(NULL);
    struct raft_progress *pr = progress(&c, 1, 2);
    raft_progress_become_probe(pr);
    for (int i = 0; i < 3; i++)
        propose(&c, 1);
    assert_true(pr->flow_paused);
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_APP), 1);
    cluster_tick(&c, 1, HEARTBEAT_TICK); /* a heartbeat alone changes nothing */
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_HEARTBEAT), 1);
    assert_true(pr->flow_paused);
    answer(&c, FLOE_MSG_HEARTBEAT_RESP, 2, 0);
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_APP), 1);
    answer(&c, FLOE_MSG_APP_RESP, 2, 2);
    assert_int_equal(pr->state, FLOE_PROGRESS_REPLICATE);
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_APP), 1); /* the rest, in one */
    assert_int_equal(pr->next, 5);
    cluster_free(&c);
}

static void test_flow_full_window_opens_as_answers_come(void **state)
{
    (void)state;
    struct cluster c = leader_of_two(small_window);
    struct raft_progress *pr = progress(&c, 1, 2);
    for (int i = 0; i < 6; i++)
        propose(&c, 1); /* entries 2 .. 7 */
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_APP), 3);
    assert_true(raft_inflights_is_full(&pr->inflights));
    assert_int_equal(pr->next, 5);
    answer(&c, FLOE_MSG_APP_RESP, 2, 1); /* old news */
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_APP), 0);
    answer(&c, FLOE_MSG_APP_RESP, 2, 2);
    (void)cluster_count_messages(&c, 1, FLOE_MSG_APP);
    assert_int_equal(pr->next, 8); /* one slot took all that was left */
    assert_true(raft_inflights_is_full(&pr->inflights));
    answer(&c, FLOE_MSG_APP_RESP, 2, 7);
    assert_int_equal(pr->inflights.count, 0);
    cluster_free(&c);
}

static void test_flow_full_window_lets_one_empty_append_out_per_heartbeat_answer(void **state)
{
    (void)state;
    struct cluster c = leader_of_two(small_window);
    struct raft_progress *pr = progress(&c, 1, 2);
    for (int i = 0; i < 5; i++)
        propose(&c, 1);
    (void)cluster_count_messages(&c, 1, FLOE_MSG_APP);
    for (int i = 0; i < 3; i++) {
        answer(&c, FLOE_MSG_HEARTBEAT_RESP, 2, 0);
        assert_true(raft_inflights_is_full(&pr->inflights));
        assert_true(pr->flow_paused);
        cluster_work(&c, 1);
        assert_int_equal(c.wire.count, 1);
        assert_int_equal(c.wire.list[0].type, FLOE_MSG_APP);
        assert_int_equal(c.wire.list[0].entry_count, 0);
        raft_outbox_deinit(&c.wire);
    }
    cluster_free(&c);
}

static void one_entry_a_message(struct floe_config *config)
{
    config->max_size_per_msg = 0;
    config->max_committed_size_per_ready = FLOE_NO_LIMIT;
    config->max_inflight_bytes = 20; /* three payloads of 8 */
}

static void test_flow_window_in_bytes_and_message_size(void **state)
{
    (void)state;
    struct cluster c = leader_of_two(one_entry_a_message);
    struct raft_progress *pr = progress(&c, 1, 2);
    raft_progress_become_probe(pr);
    for (int i = 0; i < 6; i++)
        propose(&c, 1);
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_APP), 1);
    answer(&c, FLOE_MSG_APP_RESP, 2, 2);
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_APP), 3);
    assert_int_equal(pr->inflights.bytes, 24);
    cluster_free(&c);
}

static void test_flow_unreachable_member_is_probed(void **state)
{
    (void)state;
    struct cluster c = leader_of_two(NULL);
    propose(&c, 1);
    assert_int_equal(progress(&c, 1, 2)->next, 3);
    floe_raft_report_unreachable(cluster_raft(&c, 1), 2);
    assert_int_equal(progress(&c, 1, 2)->state, FLOE_PROGRESS_PROBE);
    assert_int_equal(progress(&c, 1, 2)->next, 2);
    cluster_free(&c);
}

static void uncommitted_limit(struct floe_config *config)
{
    config->max_uncommitted_entries_size = 16;
}

static void test_flow_uncommitted_size_is_limited_but_never_blocks_for_ever(void **state)
{
    (void)state;
    struct cluster c = leader_of_two(uncommitted_limit);
    c.down[2] = true;
    propose(&c, 1);
    propose(&c, 1);
    assert_int_equal(cluster_propose(&c, 1, "x"), FLOE_ERR_PROPOSAL_DROPPED);
    assert_int_equal(floe_raft_propose(cluster_raft(&c, 1), NULL), FLOE_OK); /* empty */
    cluster_settle(&c);
    assert_int_equal(cluster_raft(&c, 1)->uncommitted_size, 16);
    c.down[2] = false;
    cluster_tick(&c, 1, 1);
    cluster_settle(&c);
    assert_int_equal(cluster_raft(&c, 1)->uncommitted_size, 0);
    assert_int_equal(cluster_propose(&c, 1, "larger than the limit"), FLOE_OK); /* first one */
    assert_int_equal(cluster_propose(&c, 1, "x"), FLOE_ERR_PROPOSAL_DROPPED);
    cluster_free(&c);
}

static void test_flow_heartbeat_commit_is_no_more_than_match(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    c.down[3] = true;
    propose(&c, 1);
    cluster_settle(&c);
    cluster_tick(&c, 1, 1);
    cluster_work(&c, 1);
    assert_int_equal(c.wire.count, 2);
    assert_int_equal(c.wire.list[0].to, 2);
    assert_int_equal(c.wire.list[0].commit, 2);
    assert_int_equal(c.wire.list[1].to, 3);
    assert_int_equal(c.wire.list[1].commit, 1);
    assert_int_equal(c.wire.list[1].index, 0);
    cluster_free(&c);
}

/* ---- snapshots -------------------------------------------------------------------------------------------- */

/* Member 3 misses what member 1 then compacts. */
static struct cluster with_lagging_member(void)
{
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    c.down[3] = true;
    for (int i = 0; i < 10; i++)
        propose(&c, 1);
    cluster_settle(&c);
    struct floe_raft *r = cluster_raft(&c, 1);
    struct floe_conf_state cs = raft_config_conf_state(&r->trk.config);
    assert_int_equal(
        floe_memstore_create_snapshot(c.member[1].store, r->log.applied, &cs, NULL), FLOE_OK);
    assert_int_equal(floe_memstore_compact(c.member[1].store, r->log.applied), FLOE_OK);
    floe_conf_state_deinit(&cs);
    c.down[3] = false;
    raft_progress_become_probe(progress(&c, 1, 3));
    return c;
}

static void test_snapshot_brings_a_lagging_member_up(void **state)
{
    (void)state;
    struct cluster c = with_lagging_member();
    cluster_tick(&c, 1, 1);
    cluster_settle(&c);
    assert_int_equal(raft_log_first_index(&cluster_raft(&c, 3)->log), 12);
    propose(&c, 1);
    cluster_settle(&c);
    assert_int_equal(cluster_raft(&c, 3)->log.committed, 12);
    assert_int_equal(c.member[3].normal_applied, 1); /* the others are in the snapshot */
    assert_int_equal(progress(&c, 1, 3)->state, FLOE_PROGRESS_REPLICATE);
    cluster_free(&c);
}

static void test_snapshot_under_way_pauses_until_it_is_reported(void **state)
{
    (void)state;
    for (int failed = 0; failed < 2; failed++) {
        struct cluster c = with_lagging_member();
        struct raft_progress *pr = progress(&c, 1, 3);
        c.lost[FLOE_MSG_SNAP] = true;
        cluster_tick(&c, 1, 1);
        cluster_settle(&c);
        assert_int_equal(pr->state, FLOE_PROGRESS_SNAPSHOT);
        assert_int_equal(pr->pending_snapshot, 11);
        propose(&c, 1);
        cluster_settle(&c);
        assert_int_equal(pr->next, 12); /* nothing went there */
        floe_raft_report_snapshot(cluster_raft(&c, 1), 3, failed != 0);
        assert_int_equal(pr->state, FLOE_PROGRESS_PROBE);
        assert_int_equal(pr->pending_snapshot, 0);
        assert_int_equal(pr->next, failed ? 2 : 12);
        assert_true(pr->flow_paused);
        c.lost[FLOE_MSG_SNAP] = false;
        cluster_tick(&c, 1, 1);
        cluster_settle(&c);
        assert_int_equal(cluster_raft(&c, 3)->log.committed, 12);
        cluster_free(&c);
    }
}

static void test_snapshot_is_not_sent_to_an_inactive_member(void **state)
{
    (void)state;
    struct cluster c = with_lagging_member();
    progress(&c, 1, 3)->recent_active = false;
    propose(&c, 1);
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_SNAP), 0);
    assert_int_equal(progress(&c, 1, 3)->state, FLOE_PROGRESS_PROBE);
    cluster_free(&c);
}

static void test_snapshot_that_the_log_contains_only_moves_commit(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    struct floe_raft *r = cluster_raft(&c, 1);
    append_terms(r, "111");
    raft_log_commit_to(&r->log, 1);
    struct floe_snapshot snapshot = {.index = 2, .term = 1};
    snapshot.conf_state = raft_config_conf_state(&r->trk.config);
    struct floe_message m = {
        .type = FLOE_MSG_SNAP, .to = 1, .from = 2, .term = 1, .snapshot = &snapshot};
    cluster_step(&c, &m);
    assert_int_equal(r->log.committed, 2);
    assert_int_equal(raft_log_last_index(&r->log), 3);
    assert_null(r->log.unstable.snapshot);
    snapshot.index = 1; /* older than what is committed */
    cluster_step(&c, &m);
    assert_int_equal(r->log.committed, 2);
    assert_int_equal(r->lead, 2);
    snapshot.index = 11;
    snapshot.term = 2;
    cluster_step(&c, &m);
    assert_int_equal(r->log.committed, 11);
    assert_int_equal(raft_log_last_index(&r->log), 11);
    assert_false(raft_promotable(r)); /* not before it is stored */
    cluster_work(&c, 1);
    assert_true(raft_promotable(r));
    floe_snapshot_deinit(&snapshot);
    cluster_free(&c);
}

/* ---- membership -------------------------------------------------------------------------------------------- */

static enum floe_err change(struct cluster *c, enum floe_conf_transition transition,
                            const struct floe_conf_change_single *changes, size_t count)
{
    struct floe_conf_change cc = floe_conf_change_make(transition, changes, count, NULL);
    enum floe_err err = floe_raft_propose_conf_change(cluster_raft(c, 1), &cc, false);
    floe_conf_change_deinit(&cc);
    return err;
}

static void test_membership_second_change_while_one_is_pending_becomes_empty(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    const struct floe_conf_change_single add = {FLOE_CONF_ADD_LEARNER, 4};
    assert_int_equal(change(&c, FLOE_CONF_TRANSITION_AUTO, &add, 1), FLOE_OK);
    assert_int_equal(cluster_raft(&c, 1)->pending_conf_index, 2);
    assert_int_equal(change(&c, FLOE_CONF_TRANSITION_AUTO, &add, 1), FLOE_OK);
    assert_int_equal(cluster_raft(&c, 1)->pending_conf_index, 2);
    const struct floe_entry *entry = raft_unstable_at(&cluster_raft(&c, 1)->log.unstable, 3);
    assert_int_equal(entry->type, FLOE_ENTRY_NORMAL);
    assert_null(entry->data);
    cluster_settle(&c);
    for (floe_id id = 1; id <= 3; id++)
        assert_true(floe_raft_is_learner(cluster_raft(&c, id), 4));
    cluster_free(&c);
}

static void test_membership_removed_member_lets_the_smaller_quorum_commit(void **state)
{
    (void)state;
    struct cluster c = cluster_new(2, 2, NULL);
    cluster_campaign(&c, 1);
    const struct floe_conf_change_single removal = {FLOE_CONF_REMOVE_NODE, 2};
    assert_int_equal(change(&c, FLOE_CONF_TRANSITION_AUTO, &removal, 1), FLOE_OK);
    propose(&c, 1);
    cluster_work(&c, 1);
    assert_int_equal(cluster_raft(&c, 1)->log.committed, 1);
    answer(&c, FLOE_MSG_APP_RESP, 2, 2); /* has the removal, not the proposal */
    cluster_work(&c, 1);
    assert_int_equal(cluster_raft(&c, 1)->log.committed, 3);
    assert_false(floe_raft_is_voter(cluster_raft(&c, 1), 2));
    cluster_free(&c);
}

static void test_membership_joint_change_is_left_by_the_leader_itself(void **state)
{
    (void)state;
    struct cluster c = cluster_new(4, 3, NULL);
    cluster_campaign(&c, 1);
    const struct floe_conf_change_single swap[] = {{FLOE_CONF_ADD_NODE, 4},
                                                   {FLOE_CONF_REMOVE_NODE, 3}};
    assert_int_equal(change(&c, FLOE_CONF_TRANSITION_AUTO, swap, 2), FLOE_OK);
    cluster_settle(&c);
    const struct raft_config *config = &cluster_raft(&c, 1)->trk.config;
    assert_false(raft_config_is_joint(config));
    assert_true(floe_raft_is_voter(cluster_raft(&c, 1), 4));
    assert_false(floe_raft_is_voter(cluster_raft(&c, 1), 3));
    assert_int_equal(raft_log_last_index(&cluster_raft(&c, 1)->log), 3); /* in, and out */
    cluster_free(&c);
}

static void test_membership_unapplied_change_forbids_a_campaign(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    struct floe_raft *r = cluster_raft(&c, 1);
    struct floe_conf_change_single add = {FLOE_CONF_ADD_NODE, 4};
    struct floe_entry entry = {.term = 1, .index = 1, .type = FLOE_ENTRY_CONF_CHANGE};
    entry.data = floe_conf_change_encode_v1(add, NULL);
    raft_become_follower(r, 1, 0);
    raft_log_append(&r->log, &entry, 1);
    floe_entry_deinit(&entry);
    raft_log_commit_to(&r->log, 1);
    assert_int_equal(floe_raft_campaign(r), FLOE_OK);
    assert_int_equal(r->state, FLOE_STATE_FOLLOWER);
    cluster_work(&c, 1); /* applies it */
    assert_int_equal(floe_raft_campaign(r), FLOE_OK);
    assert_int_equal(r->state, FLOE_STATE_CANDIDATE);
    cluster_free(&c);
}

static void test_membership_removed_transfer_target_ends_the_transfer(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    cluster_campaign(&c, 1);
    c.down[3] = true;
    floe_raft_transfer_leader(cluster_raft(&c, 1), 3);
    struct floe_conf_change_single removal = {FLOE_CONF_REMOVE_NODE, 3};
    struct floe_conf_change cc = {.changes = &removal, .change_count = 1};
    assert_int_equal(floe_raft_apply_conf_change(cluster_raft(&c, 1), &cc, NULL), FLOE_OK);
    assert_int_equal(cluster_raft(&c, 1)->lead_transferee, 0);
    cluster_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replication_proposals_reach_all_across_an_election),
        cmocka_unit_test(test_replication_commits_exactly_with_a_quorum),
        cmocka_unit_test(test_replication_commit_counts_entries_of_the_current_term_only),
        cmocka_unit_test(test_replication_old_entries_commit_with_one_of_the_new_term),
        cmocka_unit_test(test_replication_diverged_logs_become_the_leaders),
        cmocka_unit_test(test_replication_proposal_without_leader_or_forwarding_is_dropped),
        cmocka_unit_test(test_replication_old_term_append_is_ignored),
        cmocka_unit_test(test_flow_probe_sends_one_append_until_an_answer),
        cmocka_unit_test(test_flow_full_window_opens_as_answers_come),
        cmocka_unit_test(test_flow_full_window_lets_one_empty_append_out_per_heartbeat_answer),
        cmocka_unit_test(test_flow_window_in_bytes_and_message_size),
        cmocka_unit_test(test_flow_unreachable_member_is_probed),
        cmocka_unit_test(test_flow_uncommitted_size_is_limited_but_never_blocks_for_ever),
        cmocka_unit_test(test_flow_heartbeat_commit_is_no_more_than_match),
        cmocka_unit_test(test_snapshot_brings_a_lagging_member_up),
        cmocka_unit_test(test_snapshot_under_way_pauses_until_it_is_reported),
        cmocka_unit_test(test_snapshot_is_not_sent_to_an_inactive_member),
        cmocka_unit_test(test_snapshot_that_the_log_contains_only_moves_commit),
        cmocka_unit_test(test_membership_second_change_while_one_is_pending_becomes_empty),
        cmocka_unit_test(test_membership_removed_member_lets_the_smaller_quorum_commit),
        cmocka_unit_test(test_membership_joint_change_is_left_by_the_leader_itself),
        cmocka_unit_test(test_membership_unapplied_change_forbids_a_campaign),
        cmocka_unit_test(test_membership_removed_transfer_target_ends_the_transfer),
    };
    return cmocka_run_group_tests_name("raft replication", tests, NULL, NULL);
}
