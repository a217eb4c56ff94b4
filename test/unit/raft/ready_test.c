/* Ready batches, with synchronous and asynchronous storage: what is in them, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"

#include <string.h>

static void tune_async(struct floe_config *config)
{
    config->async_storage_writes = true;
}

/* Takes the next batch out and stores what is in it. */
static struct floe_ready take(struct cluster *c, floe_id id)
{
    struct floe_ready ready;
    assert_true(floe_raft_has_ready(cluster_raft(c, id)));
    floe_raft_ready(cluster_raft(c, id), &ready);
    floe_memstore_append(c->member[id].store, ready.entries, ready.entry_count);
    if (ready.has_hard_state)
        floe_memstore_set_hard_state(c->member[id].store, ready.hard_state);
    return ready;
}

static void advance(struct cluster *c, floe_id id, struct floe_ready *ready)
{
    floe_ready_deinit(ready);
    floe_raft_advance(cluster_raft(c, id));
}

/* ---- synchronous ------------------------------------------------------------------------------------ */

static void test_ready_sync_sequence_of_a_lone_member(void **state)
{
    (void)state;
    struct cluster c = cluster_new(1, 1, NULL);
    assert_false(floe_raft_has_ready(cluster_raft(&c, 1)));
    assert_int_equal(floe_raft_campaign(cluster_raft(&c, 1)), FLOE_OK);
    struct floe_ready ready = take(&c, 1); /* the vote */
    assert_true(ready.has_soft_state && ready.has_hard_state && ready.must_sync);
    assert_int_equal(ready.soft_state.state, FLOE_STATE_CANDIDATE);
    assert_int_equal(ready.entry_count, 0);
    assert_false(floe_raft_has_ready(cluster_raft(&c, 1))); /* taken is accepted */
    advance(&c, 1, &ready);

    ready = take(&c, 1); /* the empty entry */
    assert_int_equal(ready.soft_state.state, FLOE_STATE_LEADER);
    assert_int_equal(ready.soft_state.lead, 1);
    assert_false(ready.has_hard_state);
    assert_int_equal(ready.entry_count, 1);
    assert_int_equal(ready.committed_count, 0); /* not before it is durable here */
    assert_true(ready.must_sync);
    advance(&c, 1, &ready);

    ready = take(&c, 1);
    assert_false(ready.has_soft_state);
    assert_int_equal(ready.hard_state.commit, 1);
    assert_int_equal(ready.committed_count, 1);
    assert_false(ready.must_sync); /* commit alone needs none */
    advance(&c, 1, &ready);
    assert_false(floe_raft_has_ready(cluster_raft(&c, 1)));
    assert_int_equal(floe_raft_basic_status(cluster_raft(&c, 1)).applied, 1);
    cluster_free(&c);
}

static void test_ready_sync_answers_leave_with_the_entries_they_acknowledge(void **state)
{
    (void)state;
    struct cluster c = cluster_new(2, 2, NULL);
    struct floe_entry entry = {.term = 1, .index = 1};
    struct floe_message m = {.type = FLOE_MSG_APP,
                             .to = 2,
                             .from = 1,
                             .term = 1,
                             .entries = &entry,
                             .entry_count = 1,
                             .commit = 1};
    cluster_step(&c, &m);
    struct floe_ready ready = take(&c, 2);
    assert_int_equal(ready.entry_count, 1);
    assert_int_equal(ready.committed_count, 1); /* applied in the batch that stores it */
    assert_int_equal(ready.message_count, 1);
    assert_int_equal(ready.messages[0].type, FLOE_MSG_APP_RESP);
    assert_int_equal(ready.messages[0].index, 1);
    advance(&c, 2, &ready);
    assert_false(floe_raft_has_ready(cluster_raft(&c, 2)));
    cluster_free(&c);
}

static void test_ready_empty_batch_is_allowed(void **state)
{
    (void)state;
    struct cluster c = cluster_new(1, 1, NULL);
    struct floe_ready ready;
    floe_raft_ready(cluster_raft(&c, 1), &ready);
    assert_false(ready.has_soft_state || ready.has_hard_state || ready.must_sync);
    assert_int_equal(ready.entry_count + ready.committed_count + ready.message_count, 0);
    advance(&c, 1, &ready);
    cluster_free(&c);
}

static void test_ready_snapshot_and_entries_behind_it_in_one_batch(void **state)
{
    (void)state;
    struct cluster c = cluster_new(2, 2, NULL);
    struct floe_raft *r = cluster_raft(&c, 2);
    struct floe_snapshot snapshot = {.index = 10, .term = 1};
    snapshot.conf_state = raft_config_conf_state(&r->trk.config);
    struct floe_message m = {
        .type = FLOE_MSG_SNAP, .to = 2, .from = 1, .term = 1, .snapshot = &snapshot};
    cluster_step(&c, &m);
    struct floe_entry entry = {.term = 1, .index = 11};
    m = (struct floe_message){.type = FLOE_MSG_APP,
                              .to = 2,
                              .from = 1,
                              .term = 1,
                              .index = 10,
                              .log_term = 1,
                              .entries = &entry,
                              .entry_count = 1,
                              .commit = 11};
    cluster_step(&c, &m);
    struct floe_ready ready;
    floe_raft_ready(r, &ready);
    assert_int_equal(ready.snapshot.index, 10);
    assert_int_equal(ready.entry_count, 1);
    assert_int_equal(ready.committed_count, 0); /* first the snapshot */
    assert_true(ready.must_sync);
    assert_int_equal(floe_memstore_apply_snapshot(c.member[2].store, &ready.snapshot), FLOE_OK);
    floe_memstore_append(c.member[2].store, ready.entries, ready.entry_count);
    advance(&c, 2, &ready);
    assert_int_equal(r->log.applied, 10);
    ready = take(&c, 2);
    assert_int_equal(ready.committed_count, 1);
    assert_int_equal(ready.committed[0].index, 11);
    advance(&c, 2, &ready);
    floe_snapshot_deinit(&snapshot);
    cluster_free(&c);
}

static void tune_small_batches(struct floe_config *config)
{
    config->max_committed_size_per_ready = 30;
}

static void test_ready_committed_entries_come_in_pages(void **state)
{
    (void)state;
    struct cluster c = cluster_new(2, 2, tune_small_batches);
    cluster_campaign(&c, 1);
    for (int i = 0; i < 5; i++) /* 14 bytes each */
        assert_int_equal(cluster_propose(&c, 1, "12345678"), FLOE_OK);
    cluster_work(&c, 1);
    struct floe_message ack = {
        .type = FLOE_MSG_APP_RESP, .to = 1, .from = 2, .term = 1, .index = 6};
    cluster_step(&c, &ack);
    static const size_t pages[] = {2, 2, 1};
    floe_index next = 2;
    for (size_t i = 0; i < 3; i++) {
        struct floe_ready ready = take(&c, 1);
        assert_int_equal(ready.committed_count, pages[i]);
        assert_int_equal(ready.committed[0].index, next);
        next += pages[i];
        advance(&c, 1, &ready);
    }
    assert_false(floe_raft_has_ready(cluster_raft(&c, 1)));
    cluster_free(&c);
}

/* ---- start and restart --------------------------------------------------------------------------------- */

static struct floe_raft *restart(struct floe_memstore *store, floe_index applied)
{
    struct floe_config config = {.id = 1,
                                 .election_tick = ELECTION_TICK,
                                 .heartbeat_tick = HEARTBEAT_TICK,
                                 .storage = floe_memstore_storage(store),
                                 .applied = applied,
                                 .max_size_per_msg = FLOE_NO_LIMIT,
                                 .max_inflight_msgs = 256};
    struct floe_raft *raft = NULL;
    assert_int_equal(floe_raft_new(&config, &raft), FLOE_OK);
    return raft;
}

static void test_ready_restart_only_hands_out_what_is_to_be_applied(void **state)
{
    (void)state;
    struct floe_memstore *store = floe_memstore_new();
    struct floe_entry entries[2] = {{.term = 1, .index = 1}, {.term = 1, .index = 2}};
    floe_memstore_append(store, entries, 2);
    floe_memstore_set_hard_state(store, (struct floe_hard_state){.term = 1, .commit = 1});
    struct floe_raft *raft = restart(store, 0);
    struct floe_ready ready;
    floe_raft_ready(raft, &ready);
    assert_false(ready.has_hard_state || ready.has_soft_state || ready.must_sync);
    assert_int_equal(ready.entry_count, 0);
    assert_int_equal(ready.committed_count, 1);
    floe_ready_deinit(&ready);
    floe_raft_advance(raft);
    assert_false(floe_raft_has_ready(raft));
    floe_raft_free(raft);
    raft = restart(store, 1);
    assert_false(floe_raft_has_ready(raft));
    floe_raft_free(raft);
    floe_memstore_free(store);
}

static void test_ready_restart_from_snapshot_goes_on_behind_it(void **state)
{
    (void)state;
    struct floe_memstore *store = floe_memstore_new();
    struct floe_snapshot snapshot = {.index = 2, .term = 1};
    floe_ids_push(&snapshot.conf_state.voters, 1);
    floe_ids_push(&snapshot.conf_state.voters, 2);
    assert_int_equal(floe_memstore_apply_snapshot(store, &snapshot), FLOE_OK);
    floe_snapshot_deinit(&snapshot);
    struct floe_entry entry = {.term = 1, .index = 3};
    floe_memstore_append(store, &entry, 1);
    floe_memstore_set_hard_state(store, (struct floe_hard_state){.term = 1, .commit = 3});
    struct floe_raft *raft = restart(store, 0);
    assert_true(floe_raft_is_voter(raft, 2));
    struct floe_ready ready;
    floe_raft_ready(raft, &ready);
    assert_int_equal(ready.snapshot.index, 0);
    assert_int_equal(ready.committed_count, 1);
    assert_int_equal(ready.committed[0].index, 3);
    floe_ready_deinit(&ready);
    floe_raft_advance(raft);
    assert_false(floe_raft_has_ready(raft));
    floe_raft_free(raft);
    floe_memstore_free(store);
}

static void test_ready_bootstrap_brings_the_first_members_as_entries(void **state)
{
    (void)state;
    struct floe_memstore *store = floe_memstore_new();
    struct floe_raft *raft = restart(store, 0);
    static const floe_id peers[] = {1, 2, 3};
    assert_int_equal(floe_raft_bootstrap(raft, peers, NULL, 0), FLOE_ERR_INVALID);
    static const floe_id bad[] = {FLOE_ID_NONE, FLOE_ID_APPLY_THREAD, FLOE_ID_APPEND_THREAD};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(floe_raft_bootstrap(raft, &bad[i], NULL, 1), FLOE_ERR_INVALID);
    assert_int_equal(floe_raft_bootstrap(raft, peers, NULL, 3), FLOE_OK);
    assert_int_equal(floe_raft_bootstrap(raft, peers, NULL, 3), FLOE_ERR_INVALID);
    struct floe_ready ready;
    floe_raft_ready(raft, &ready);
    assert_int_equal(ready.entry_count, 3);
    assert_int_equal(ready.committed_count, 3);
    assert_int_equal(ready.hard_state.term, 1);
    assert_int_equal(ready.hard_state.commit, 3);
    floe_memstore_append(store, ready.entries, ready.entry_count);
    floe_ready_deinit(&ready);
    floe_raft_advance(raft);
    assert_true(floe_raft_is_voter(raft, 3));
    floe_raft_free(raft);
    floe_memstore_free(store);
}

/* ---- asynchronous ---------------------------------------------------------------------------------------- */

static void test_ready_async_cluster_elects_and_replicates(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, tune_async);
    cluster_campaign(&c, 1);
    assert_int_equal(cluster_raft(&c, 1)->state, FLOE_STATE_LEADER);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cluster_propose(&c, 2, "x"), FLOE_OK);
    cluster_settle(&c);
    cluster_campaign(&c, 3);
    cluster_check_agreement(&c);
    assert_int_equal(c.member[2].normal_applied, 5);
    assert_int_equal(cluster_raft(&c, 2)->log.applied, 7);
    cluster_free(&c);
}

static const struct floe_message *find(const struct floe_ready *ready, enum floe_message_type type)
{
    for (size_t i = 0; i < ready->message_count; i++)
        if (ready->messages[i].type == type)
            return &ready->messages[i];
    return NULL;
}

static void respond(struct cluster *c, const struct floe_message *job)
{
    for (size_t i = 0; i < job->response_count; i++)
        if (job->responses[i].to == job->from)
            cluster_step(c, &job->responses[i]);
}

static void test_ready_async_work_travels_in_messages_to_the_threads(void **state)
{
    (void)state;
    struct cluster c = cluster_new(1, 1, tune_async);
    assert_int_equal(floe_raft_campaign(cluster_raft(&c, 1)), FLOE_OK);
    struct floe_ready vote = take(&c, 1);
    const struct floe_message *append = find(&vote, FLOE_MSG_STORAGE_APPEND);
    assert_non_null(append);
    assert_true(append->to == FLOE_ID_APPEND_THREAD);
    assert_int_equal(append->term, 1);
    assert_int_equal(append->vote, 1);
    assert_int_equal(append->response_count, 1); /* the own vote, nothing was appended */
    assert_int_equal(append->responses[0].type, FLOE_MSG_VOTE_RESP);
    respond(&c, append);
    floe_ready_deinit(&vote);

    struct floe_ready entry = take(&c, 1);
    append = find(&entry, FLOE_MSG_STORAGE_APPEND);
    assert_int_equal(append->entry_count, 1);
    assert_int_equal(append->response_count, 2);
    assert_int_equal(append->responses[0].type, FLOE_MSG_APP_RESP);
    assert_int_equal(append->responses[1].type, FLOE_MSG_STORAGE_APPEND_RESP);
    assert_int_equal(append->responses[1].index, 1);
    assert_int_equal(append->responses[1].log_term, 1);
    assert_false(floe_raft_has_ready(cluster_raft(&c, 1)));
    respond(&c, append);
    floe_ready_deinit(&entry);

    struct floe_ready commit = take(&c, 1);
    const struct floe_message *apply = find(&commit, FLOE_MSG_STORAGE_APPLY);
    assert_int_equal(apply->entry_count, 1);
    assert_int_equal(apply->term, 0);
    assert_ptr_equal(apply, &commit.messages[commit.message_count - 1]);
    assert_int_equal(cluster_raft(&c, 1)->log.applied, 0);
    respond(&c, apply);
    assert_int_equal(cluster_raft(&c, 1)->log.applied, 1);
    floe_ready_deinit(&commit);
    cluster_free(&c);
}

/* An append of term 1 is overwritten by term 2 and then written again at term 3 with the same
 * (index, term): only the last acknowledgement may be honoured. */
static struct floe_message append_from(floe_id leader, floe_term term, struct floe_entry *entry)
{
    return (struct floe_message){.type = FLOE_MSG_APP,
                                 .to = 2,
                                 .from = leader,
                                 .term = term,
                                 .entries = entry,
                                 .entry_count = 1};
}

static void test_ready_async_acknowledgement_of_an_overwritten_append_is_ignored(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, tune_async);
    struct floe_raft *r = cluster_raft(&c, 2);
    struct floe_entry first = {.term = 1, .index = 1};
    struct floe_message m = append_from(1, 1, &first);
    cluster_step(&c, &m);
    struct floe_ready one = take(&c, 2);
    struct floe_entry second = {.term = 2, .index = 1};
    m = append_from(3, 2, &second);
    cluster_step(&c, &m);
    struct floe_ready two = take(&c, 2);
    m = append_from(1, 3, &first); /* the leader of term 1 is back with its old entry */
    cluster_step(&c, &m);
    struct floe_ready three = take(&c, 2);

    respond(&c, find(&one, FLOE_MSG_STORAGE_APPEND));
    assert_int_equal(r->log.unstable.count, 1);
    respond(&c, find(&two, FLOE_MSG_STORAGE_APPEND));
    assert_int_equal(r->log.unstable.count, 1);
    respond(&c, find(&three, FLOE_MSG_STORAGE_APPEND));
    assert_int_equal(r->log.unstable.count, 0);
    floe_ready_deinit(&one);
    floe_ready_deinit(&two);
    floe_ready_deinit(&three);
    cluster_free(&c);
}

static void test_ready_async_committed_entries_wait_for_durability(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, tune_async);
    struct floe_entry entry = {.term = 1, .index = 1};
    struct floe_message m = append_from(1, 1, &entry);
    m.commit = 1;
    cluster_step(&c, &m);
    struct floe_ready ready = take(&c, 2);
    assert_int_equal(ready.committed_count, 0);
    assert_false(floe_raft_has_ready(cluster_raft(&c, 2)));
    respond(&c, find(&ready, FLOE_MSG_STORAGE_APPEND));
    floe_ready_deinit(&ready);
    ready = take(&c, 2);
    assert_int_equal(ready.committed_count, 1);
    floe_ready_deinit(&ready);
    cluster_free(&c);
}

/* ---- the door -------------------------------------------------------------------------------------------- */

static void test_step_refuses_local_types_and_answers_of_strangers(void **state)
{
    (void)state;
    struct cluster c = cluster_new(1, 1, NULL);
    for (int type = 0; type < FLOE_MSG_TYPE_COUNT; type++) {
        struct floe_message m = {
            .type = (enum floe_message_type)type, .to = 1, .from = 9, .term = 1};
        enum floe_err err = floe_raft_step(cluster_raft(&c, 1), &m);
        if (floe_message_type_is_local(m.type))
            assert_int_equal(err, FLOE_ERR_STEP_LOCAL);
        else if (floe_message_type_is_response(m.type))
            assert_int_equal(err, FLOE_ERR_STEP_PEER_UNKNOWN);
        else
            assert_true(err != FLOE_ERR_STEP_LOCAL && err != FLOE_ERR_STEP_PEER_UNKNOWN);
    }
    cluster_free(&c);
}

static void test_status_shows_progress_on_the_leader_only(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 2, NULL);
    cluster_campaign(&c, 1);
    struct floe_status status = floe_raft_status(cluster_raft(&c, 2));
    assert_int_equal(status.progress_count, 0);
    assert_null(status.progress);
    floe_status_deinit(&status);
    status = floe_raft_status(cluster_raft(&c, 1));
    assert_int_equal(status.progress_count, 3);
    assert_int_equal(status.progress[1].match, 1);
    assert_true(status.progress[2].is_learner);
    assert_int_equal(status.basic.hard_state.commit, 1);
    assert_int_equal(status.conf_state.learners.count, 1);
    floe_status_deinit(&status);
    cluster_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_sync_sequence_of_a_lone_member),
        cmocka_unit_test(test_ready_sync_answers_leave_with_the_entries_they_acknowledge),
        cmocka_unit_test(test_ready_empty_batch_is_allowed),
        cmocka_unit_test(test_ready_snapshot_and_entries_behind_it_in_one_batch),
        cmocka_unit_test(test_ready_committed_entries_come_in_pages),
        cmocka_unit_test(test_ready_restart_only_hands_out_what_is_to_be_applied),
        cmocka_unit_test(test_ready_restart_from_snapshot_goes_on_behind_it),
        cmocka_unit_test(test_ready_bootstrap_brings_the_first_members_as_entries),
        cmocka_unit_test(test_ready_async_cluster_elects_and_replicates),
        cmocka_unit_test(test_ready_async_work_travels_in_messages_to_the_threads),
        cmocka_unit_test(test_ready_async_acknowledgement_of_an_overwritten_append_is_ignored),
        cmocka_unit_test(test_ready_async_committed_entries_wait_for_durability),
        cmocka_unit_test(test_step_refuses_local_types_and_answers_of_strangers),
        cmocka_unit_test(test_status_shows_progress_on_the_leader_only),
    };
    return cmocka_run_group_tests_name("raft ready", tests, NULL, NULL);
}
