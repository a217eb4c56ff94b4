/* Members whose applied history is not the others': who finds out, and who stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/pack.h"
#include "codec/record.h"
#include "node/internal.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct world w;

static unsigned other(unsigned i, unsigned n)
{
    return (i - 1 + n) % 3 + 1;
}

static unsigned setup_with_leader(void)
{
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 300);
    w.may_diverge = true;
    return lead;
}

static void put_some(unsigned count, unsigned via)
{
    char key[16];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "s%u", i);
        assert_int_equal(outcome(&w, put(&w, via, key, key)), NODE_OK);
    }
}

static void assert_stopped(unsigned i)
{
    assert_int_equal(node_life(w.node[i]), NODE_FAILED);
    assert_true(node_is_damaged(w.node[i]));
    assert_non_null(strstr(node_failure(w.node[i]), "is not the cluster's"));
    assert_non_null(strstr(node_failure(w.node[i]), "up to index "));
    uint64_t token = barrier(&w, i);
    collect(&w, i);
    assert_true(w.answered[token] && w.results[token].outcome == NODE_NOT_DONE);
}

static void assert_runs(unsigned i)
{
    assert_int_equal(node_life(w.node[i]), NODE_RUNNING);
    assert_false(node_is_damaged(w.node[i]));
}

/* Waits until it has stopped; how long that took. */
static uint64_t stops_after_ms(unsigned i)
{
    uint64_t begin_ms = w.net.now_ms;
    while (node_life(w.node[i]) == NODE_RUNNING && w.net.now_ms < begin_ms + 5000)
        run(&w, 10);
    return w.net.now_ms - begin_ms;
}

static void test_node_follower_whose_chain_differs_stops(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    unsigned wrong = other(lead, 1);
    put_some(5, lead);
    run(&w, 200);
    struct chain *chain = &w.node[wrong]->chain;
    floe_index index = chain->index;
    chain->hash ^= 1; /* as if the last entry had been another one */
    chain_restart(chain, index, &(uint64_t){chain->hash});
    char own[24];
    char right[20];
    (void)snprintf(own, sizeof own, "%016" PRIx64 " here", chain->hash);
    (void)snprintf(right, sizeof right, "%016" PRIx64, w.node[lead]->chain.hash);
    assert_true(stops_after_ms(wrong) <= 300);
    assert_stopped(wrong);
    assert_non_null(strstr(node_failure(w.node[wrong]), own));
    assert_non_null(strstr(node_failure(w.node[wrong]), right));
    assert_non_null(strstr(node_failure(w.node[wrong]), "majority"));
    assert_runs(lead);
    assert_runs(other(lead, 2));
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    teardown(&w);
}

static void test_node_leader_whose_chain_differs_stops_and_the_others_go_on(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    put_some(5, lead);
    w.node[lead]->chain.hash ^= 1;
    (void)put(&w, other(lead, 1), "k", "v");
    assert_true(stops_after_ms(lead) <= 300);
    assert_stopped(lead);
    run(&w, 2000);
    assert_int_equal(outcome(&w, put(&w, other(lead, 1), "k", "v")), NODE_OK);
    assert_runs(other(lead, 1));
    assert_runs(other(lead, 2));
    teardown(&w);
}

/* One bit of a follower's memory between its log and its state machine. */
static void test_node_bit_flip_before_apply_is_found_and_a_restart_heals_it(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    unsigned wrong = other(lead, 1);
    put_some(3, lead);
    mem_fs_hold_syncs(w.disk[wrong], true); /* it applies nothing that is not on its disk */
    assert_int_equal(outcome(&w, put(&w, lead, "k", "the value")), NODE_OK);
    run(&w, 50);
    floe_index last = floe_memstore_last_index(w.node[wrong]->store);
    struct floe_blob *data = floe_memstore_entry(w.node[wrong]->store, last)->data;
    floe_blob_bytes(data)[floe_blob_size(data) - 1] ^= 4;
    mem_fs_hold_syncs(w.disk[wrong], false);
    assert_true(stops_after_ms(wrong) <= 300);
    assert_stopped(wrong);
    crash(&w, wrong, MEM_FS_LOSE_ALL);
    start(&w, wrong);
    assert_int_equal(outcome(&w, barrier(&w, wrong)), NODE_OK);
    assert_value(&w, wrong, "k", "the value");
    run(&w, 2000);
    assert_runs(wrong);
    teardown(&w);
}

/* Flips a bit of the first record that holds the text, and makes its checksum right again. */
static void forge_log(unsigned i, const char *text)
{
    size_t size = 0;
    uint8_t *log = mem_fs_content(w.disk[i], "wal/0000000000000001.wal", &size);
    assert_non_null(log);
    struct record record;
    size_t used = 0;
    size_t at = 0;
    for (; record_get(log + at, size - at, size, &record, &used) == ERR_OK; at += used) {
        uint8_t *found =
            memmem(log + at + RECORD_HEADER_BYTES, record.payload_len, text, strlen(text));
        if (found == NULL)
            continue;
        *found ^= 1;
        struct buf forged = {0};
        record_put(&forged, &record);
        assert_int_equal(forged.len, used);
        memcpy(log + at, forged.data, used);
        buf_deinit(&forged);
        return;
    }
    fail_msg("no record with %s", text);
}

/* What no checksum finds: it stops at every start until it is made anew. */
static void test_node_whose_log_was_written_wrong_stops_at_every_start(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    unsigned wrong = other(lead, 1);
    put_some(3, lead);
    assert_int_equal(outcome(&w, put(&w, lead, "k", "the value")), NODE_OK);
    run(&w, 300);
    crash(&w, wrong, MEM_FS_KEEP_ALL);
    forge_log(wrong, "the value");
    for (int i = 0; i < 3; i++) {
        start(&w, wrong);
        assert_true(stops_after_ms(wrong) <= 1000);
        assert_stopped(wrong);
        crash(&w, wrong, MEM_FS_KEEP_ALL);
        assert_int_equal(outcome(&w, put(&w, lead, "k2", "v")), NODE_OK);
    }
    teardown(&w);
}

/* The leader's note, as one that is wrong itself would send it. */
static void make_note(struct buf *note, unsigned lead, uint64_t leaders, unsigned third,
                      uint64_t thirds)
{
    pack_array(note, 3);
    pack_u64(note, w.node[lead]->chain.index);
    pack_u64(note, leaders);
    pack_array(note, 4);
    pack_u64(note, lead);
    pack_u64(note, leaders);
    pack_u64(note, third);
    pack_u64(note, thirds);
}

static void test_node_in_the_majority_stays_whatever_its_leader_says(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    unsigned right = other(lead, 1);
    unsigned third = other(lead, 2);
    run(&w, 200);
    uint64_t own = w.node[right]->chain.hash;
    struct buf note = {0};
    make_note(&note, lead, own + 1, third, own);
    for (size_t len = 0; len <= note.len; len++)
        beats_on_beat(w.node[right], lead, note.data, len);
    assert_runs(right);
    assert_false(w.node[right]->beats.differs);
    beats_on_beat(w.node[right], third, note.data, note.len); /* of who does not lead */
    buf_clear(&note);
    make_note(&note, lead, own + 1, third, own + 2); /* all differ: the leader's counts */
    beats_on_beat(w.node[right], third, note.data, note.len);
    assert_runs(right);
    beats_on_beat(w.node[right], lead, note.data, note.len);
    assert_stopped(right);
    buf_deinit(&note);
    teardown(&w);
}

static void test_node_of_two_that_differ_the_follower_stops(void **state)
{
    (void)state;
    setup_two(&w);
    w.may_diverge = true;
    unsigned lead = leader(&w);
    run(&w, 300);
    w.node[lead]->chain.hash ^= 1;
    put_some(1, lead);
    assert_true(stops_after_ms(3 - lead) <= 300);
    assert_stopped(3 - lead);
    assert_non_null(strstr(node_failure(w.node[3 - lead]), "no majority says who is right"));
    assert_runs(lead);
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_UNKNOWN); /* serves nothing more */
    teardown(&w);
}

/* The third might say who is right: it is waited for, but not for long. */
static void test_node_that_differs_waits_for_the_third_a_while(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    unsigned wrong = other(lead, 1);
    crash(&w, other(lead, 2), MEM_FS_KEEP_ALL);
    put_some(3, lead);
    w.node[wrong]->chain.hash ^= 1;
    put_some(1, lead);
    uint64_t took_ms = stops_after_ms(wrong);
    assert_true(took_ms >= 400 && took_ms <= 1200);
    assert_stopped(wrong);
    assert_runs(lead);
    teardown(&w);
}

/* It lags so far behind that it has forgotten what was asked for when the next note comes. */
static void test_node_that_lags_answers_what_it_was_asked_for(void **state)
{
    (void)state;
    unsigned lead = setup_with_leader();
    struct node *late = w.node[other(lead, 1)];
    mem_fs_hold_syncs(w.disk[other(lead, 1)], true);
    put_some(10, lead);
    while (late->beats.question <= late->applied)
        run(&w, 10);
    floe_index asked = late->beats.question;
    uint64_t want;
    assert_true(chain_find(&w.node[lead]->chain, asked, &want));
    for (int i = 0; i < 2 * (int)CHAIN_RECENT; i++)
        (void)put(&w, lead, "k", "v");
    run(&w, 10);
    mem_fs_hold_syncs(w.disk[other(lead, 1)], false);
    while (late->applied < asked + CHAIN_RECENT)
        run(&w, 10);
    uint64_t hash;
    assert_false(chain_find(&late->chain, asked, &hash));
    assert_true(late->beats.question == asked && late->beats.answer_known);
    assert_true(late->beats.answer == want);
    size_t most = 0; /* votes of one round, once it has caught up */
    for (int i = 0; i < 150; i++) {
        run(&w, 10);
        most = w.node[lead]->beats.votes.count > most ? w.node[lead]->beats.votes.count : most;
    }
    assert_int_equal(most, 3);
    for (unsigned i = 1; i <= 3; i++)
        assert_runs(i);
    teardown(&w);
}

static void test_node_that_knows_no_hash_does_not_compare(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        unsigned lead = setup_with_leader();
        struct node *node = w.node[other(lead, n)];
        chain_restart(&node->chain, node->chain.index, NULL);
        put_some(3, lead);
        run(&w, 2000);
        for (unsigned i = 1; i <= 3; i++)
            assert_runs(i);
        if (n != 0) { /* the other two still compare, and two of three are a majority */
            unsigned wrong = other(lead, 3 - n);
            w.node[wrong]->chain.hash ^= 1;
            put_some(1, lead);
            assert_true(stops_after_ms(wrong) <= 1500);
            assert_stopped(wrong);
            assert_runs(lead);
        }
        teardown(&w);
    }
}

/* ---- snapshots and restarts ------------------------------------------------------------------ */

static void assert_same_chain(void)
{
    run(&w, 500);
    for (unsigned i = 1; i <= 3; i++) {
        assert_false(w.node[i]->chain.unknown);
        assert_int_equal(w.node[i]->chain.index, w.node[i]->applied);
        assert_int_equal(w.node[i]->chain.index, w.node[1]->chain.index);
        assert_true(w.node[i]->chain.hash == w.node[1]->chain.hash);
    }
}

static void test_node_chain_survives_restarts_with_and_without_snapshots(void **state)
{
    (void)state;
    for (uint64_t entries = 0; entries <= 20; entries += 10) {
        setup(&w, 0);
        w.snapshot_entries = entries;
        for (unsigned i = 1; i <= 3; i++)
            start(&w, i);
        put_some(55, leader(&w));
        run(&w, 500);
        for (unsigned i = 1; i <= 3; i++)
            assert_true((w.node[i]->snapshot_index != 0) == (entries != 0));
        struct chain before = w.node[1]->chain;
        for (unsigned i = 1; i <= 3; i++)
            crash(&w, i, MEM_FS_LOSE_ALL);
        for (unsigned i = 1; i <= 3; i++)
            start(&w, i);
        (void)leader(&w);
        assert_same_chain();
        uint64_t hash;
        assert_true(chain_find(&w.node[1]->chain, before.index, &hash) && hash == before.hash);
        teardown(&w);
    }
}

static void test_node_snapshot_from_another_member_carries_the_chain(void **state)
{
    (void)state;
    setup(&w, 0);
    w.snapshot_entries = 20;
    for (unsigned i = 1; i <= 3; i++)
        start(&w, i);
    unsigned late = other(leader(&w), 1);
    crash(&w, late, MEM_FS_KEEP_ALL);
    mem_fs_free(w.disk[late]);
    w.disk[late] = mem_fs_new();
    for (unsigned i = 1; i <= 3; i++) { /* nobody remembers what it had */
        if (i == late)
            continue;
        crash(&w, i, MEM_FS_LOSE_ALL);
        start(&w, i);
    }
    put_some(200, leader(&w));
    struct node_options options = options_of(&w, late);
    options.join = true;
    assert_int_equal(start_with(&w, late, &options), ERR_OK);
    run(&w, 2000);
    assert_true(w.node[late]->snapshot_index > 100);
    assert_same_chain();
    w.may_diverge = true;
    w.node[late]->chain.hash ^= 1;
    put_some(1, leader(&w));
    assert_true(stops_after_ms(late) <= 300);
    assert_stopped(late);
    teardown(&w);
}

/* Crashes, cuts, small snapshots, changing leaders: nobody ever differs (world.c looks). */
static void test_node_healthy_cluster_under_faults_never_differs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct prng prng = {.state = seed};
        setup(&w, 0);
        w.snapshot_entries = seed % 2 == 0 ? 0 : 5 + 7 * seed;
        for (unsigned i = 1; i <= 3; i++)
            start(&w, i);
        (void)leader(&w);
        for (int step = 0; step < 150; step++) {
            unsigned i = 1 + (unsigned)prng_below(&prng, 3);
            for (unsigned n = (unsigned)prng_below(&prng, 12); n > 0 && w.last_token < 3500; n--)
                if (w.node[i] != NULL)
                    (void)put(&w, i, "k", "v");
            if (step % 15 == 7 && w.node[i] != NULL)
                crash(&w, i, (enum mem_fs_crash)prng_below(&prng, MEM_FS_CRASH_COUNT));
            if (step % 15 == 14)
                for (unsigned m = 1; m <= 3; m++)
                    if (w.node[m] == NULL)
                        start(&w, m);
            run(&w, 10 * prng_below(&prng, 20));
        }
        for (unsigned m = 1; m <= 3; m++)
            if (w.node[m] == NULL)
                start(&w, m);
        (void)leader(&w);
        run(&w, 1500);
        assert_same_chain();
        teardown(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_follower_whose_chain_differs_stops),
        cmocka_unit_test(test_node_leader_whose_chain_differs_stops_and_the_others_go_on),
        cmocka_unit_test(test_node_bit_flip_before_apply_is_found_and_a_restart_heals_it),
        cmocka_unit_test(test_node_whose_log_was_written_wrong_stops_at_every_start),
        cmocka_unit_test(test_node_in_the_majority_stays_whatever_its_leader_says),
        cmocka_unit_test(test_node_of_two_that_differ_the_follower_stops),
        cmocka_unit_test(test_node_that_differs_waits_for_the_third_a_while),
        cmocka_unit_test(test_node_that_lags_answers_what_it_was_asked_for),
        cmocka_unit_test(test_node_that_knows_no_hash_does_not_compare),
        cmocka_unit_test(test_node_chain_survives_restarts_with_and_without_snapshots),
        cmocka_unit_test(test_node_snapshot_from_another_member_carries_the_chain),
        cmocka_unit_test(test_node_healthy_cluster_under_faults_never_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
