/* What a leader knows of a member, and the window of messages under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/progress.h"

/* ---- window -------------------------------------------------------------------------------------- */

static void test_inflights_add_grows_and_wraps(void **state)
{
    (void)state;
    struct raft_inflights in;
    raft_inflights_init(&in, 10, 0);
    for (floe_index i = 0; i < 5; i++)
        raft_inflights_add(&in, i, 100 + i);
    assert_int_equal(in.count, 5);
    assert_int_equal(in.bytes, 510);
    raft_inflights_free_to(&in, 3);
    assert_int_equal(in.count, 1);
    assert_int_equal(in.bytes, 104);
    for (floe_index i = 5; i < 14; i++) /* over the end of the ring */
        raft_inflights_add(&in, i, 1);
    assert_int_equal(in.count, 10);
    assert_int_equal(in.bytes, 113);
    assert_true(raft_inflights_is_full(&in));
    for (floe_index i = 4; i < 14; i++) { /* the order is kept */
        raft_inflights_free_to(&in, i);
        assert_int_equal(in.count, 13 - i);
    }
    assert_int_equal(in.bytes, 0);
    raft_inflights_deinit(&in);
}

static void test_inflights_free_to_takes_up_to_index_only(void **state)
{
    (void)state;
    struct raft_inflights in;
    raft_inflights_init(&in, 4, 0);
    raft_inflights_free_to(&in, 10); /* nothing to free */
    raft_inflights_add(&in, 10, 1);
    raft_inflights_add(&in, 20, 2);
    raft_inflights_add(&in, 30, 4);
    raft_inflights_free_to(&in, 9);
    assert_int_equal(in.count, 3);
    raft_inflights_free_to(&in, 25);
    assert_int_equal(in.count, 1);
    assert_int_equal(in.bytes, 4);
    raft_inflights_free_to(&in, 25);
    assert_int_equal(in.count, 1);
    raft_inflights_free_to(&in, 1000);
    assert_int_equal(in.count, 0);
    assert_int_equal(in.bytes, 0);
    raft_inflights_deinit(&in);
}

static void test_inflights_is_full_by_count_or_by_bytes(void **state)
{
    (void)state;
    struct raft_inflights in;
    raft_inflights_init(&in, 2, 0);
    raft_inflights_add(&in, 1, UINT32_MAX); /* 0 is no limit */
    assert_false(raft_inflights_is_full(&in));
    raft_inflights_add(&in, 2, 1);
    assert_true(raft_inflights_is_full(&in));
    raft_inflights_deinit(&in);

    raft_inflights_init(&in, 10, 100);
    raft_inflights_add(&in, 1, 99);
    assert_false(raft_inflights_is_full(&in));
    raft_inflights_add(&in, 2, 50); /* the last one may overshoot */
    assert_true(raft_inflights_is_full(&in));
    raft_inflights_free_to(&in, 1);
    assert_false(raft_inflights_is_full(&in));
    raft_inflights_deinit(&in);
}

static void test_inflights_reset_empties(void **state)
{
    (void)state;
    struct raft_inflights in;
    raft_inflights_init(&in, 2, 0);
    raft_inflights_add(&in, 1, 5);
    raft_inflights_add(&in, 2, 5);
    struct raft_inflights copy = raft_inflights_copy(&in);
    raft_inflights_reset(&in);
    assert_int_equal(in.count, 0);
    assert_int_equal(in.bytes, 0);
    assert_false(raft_inflights_is_full(&in));
    assert_int_equal(copy.count, 2); /* independent */
    raft_inflights_free_to(&copy, 1);
    assert_int_equal(copy.count, 1);
    raft_inflights_deinit(&copy);
    raft_inflights_deinit(&in);
}

/* ---- progress -------------------------------------------------------------------------------------- */

static struct raft_progress progress_of(enum floe_progress_state st, floe_index match,
                                        floe_index next)
{
    struct raft_progress pr = {.id = 2, .match = match, .next = next, .state = st};
    raft_inflights_init(&pr.inflights, 2, 0);
    return pr;
}

static void test_progress_is_paused_by_state_and_flag(void **state)
{
    (void)state;
    for (int flag = 0; flag < 2; flag++) {
        struct raft_progress pr = {.flow_paused = flag != 0};
        assert_int_equal(raft_progress_is_paused(&pr), flag);
        pr.state = FLOE_PROGRESS_REPLICATE;
        assert_int_equal(raft_progress_is_paused(&pr), flag);
        pr.state = FLOE_PROGRESS_SNAPSHOT;
        assert_true(raft_progress_is_paused(&pr));
    }
}

static void test_progress_answers_resume_a_paused_probe(void **state)
{
    (void)state;
    struct raft_progress pr = progress_of(FLOE_PROGRESS_PROBE, 0, 2);
    pr.flow_paused = true;
    assert_true(raft_progress_maybe_decrease(&pr, 1, 1));
    assert_false(pr.flow_paused);
    pr.flow_paused = true;
    assert_true(raft_progress_maybe_update(&pr, 2));
    assert_false(pr.flow_paused);
}

static void test_progress_become_probe_goes_on_after_match_or_snapshot(void **state)
{
    (void)state;
    struct raft_progress pr = progress_of(FLOE_PROGRESS_REPLICATE, 1, 5);
    pr.sent_commit = 4;
    raft_progress_become_probe(&pr);
    assert_int_equal(pr.state, FLOE_PROGRESS_PROBE);
    assert_int_equal(pr.next, 2);
    assert_int_equal(pr.sent_commit, 1); /* what was in flight may be lost */

    pr = progress_of(FLOE_PROGRESS_SNAPSHOT, 1, 11);
    pr.pending_snapshot = 10; /* it arrived, its answer did not */
    raft_progress_become_probe(&pr);
    assert_int_equal(pr.next, 11);
    assert_int_equal(pr.pending_snapshot, 0);

    pr = progress_of(FLOE_PROGRESS_SNAPSHOT, 1, 11);
    pr.pending_snapshot = 0; /* it failed */
    raft_progress_become_probe(&pr);
    assert_int_equal(pr.next, 2);
    assert_int_equal(pr.match, 1);
}

static void test_progress_become_replicate_starts_after_match(void **state)
{
    (void)state;
    struct raft_progress pr = progress_of(FLOE_PROGRESS_PROBE, 1, 5);
    pr.flow_paused = true;
    raft_progress_become_replicate(&pr);
    assert_int_equal(pr.state, FLOE_PROGRESS_REPLICATE);
    assert_int_equal(pr.match, 1);
    assert_int_equal(pr.next, 2);
    assert_false(pr.flow_paused);
}

static void test_progress_become_snapshot_waits_for_its_index(void **state)
{
    (void)state;
    struct raft_progress pr = progress_of(FLOE_PROGRESS_PROBE, 1, 5);
    raft_progress_become_snapshot(&pr, 10);
    assert_int_equal(pr.state, FLOE_PROGRESS_SNAPSHOT);
    assert_int_equal(pr.match, 1);
    assert_int_equal(pr.next, 11);
    assert_int_equal(pr.pending_snapshot, 10);
    assert_int_equal(pr.sent_commit, 10);
}

static void test_progress_maybe_update_only_moves_forward(void **state)
{
    (void)state;
    static const struct {
        floe_index index, match, next;
        bool ok;
    } cases[] = {
        {2, 3, 5, false}, /* old */
        {3, 3, 5, false}, /* the same */
        {4, 4, 5, true},  /* match only */
        {5, 5, 6, true},  /* next too */
        {7, 7, 8, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raft_progress pr = progress_of(FLOE_PROGRESS_REPLICATE, 3, 5);
        assert_int_equal(raft_progress_maybe_update(&pr, cases[i].index), cases[i].ok);
        assert_int_equal(pr.match, cases[i].match);
        assert_int_equal(pr.next, cases[i].next);
    }
}

static void test_progress_maybe_decrease_table(void **state)
{
    (void)state;
    static const struct {
        enum floe_progress_state state;
        floe_index match, next, rejected, hint;
        bool ok;
        floe_index want_next;
    } cases[] = {
        /* replicate: stale at or below match, else back to match + 1, whatever the hint */
        {FLOE_PROGRESS_REPLICATE, 5, 10, 5, 5, false, 10},
        {FLOE_PROGRESS_REPLICATE, 5, 10, 4, 4, false, 10},
        {FLOE_PROGRESS_REPLICATE, 5, 10, 9, 9, true, 6},
        {FLOE_PROGRESS_REPLICATE, 5, 10, 9, 2, true, 6},
        /* probe: only an answer to the last message counts */
        {FLOE_PROGRESS_PROBE, 0, 0, 0, 0, false, 0},
        {FLOE_PROGRESS_PROBE, 0, 10, 5, 5, false, 10},
        {FLOE_PROGRESS_PROBE, 0, 10, 9, 9, true, 9},
        {FLOE_PROGRESS_PROBE, 0, 2, 1, 1, true, 1},
        {FLOE_PROGRESS_PROBE, 0, 1, 0, 0, true, 1},
        {FLOE_PROGRESS_PROBE, 0, 10, 9, 2, true, 3},
        {FLOE_PROGRESS_PROBE, 0, 10, 9, 0, true, 1},
        {FLOE_PROGRESS_PROBE, 5, 10, 9, 2, true, 6}, /* never below match */
        {FLOE_PROGRESS_SNAPSHOT, 0, 10, 5, 5, false, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raft_progress pr =
            progress_of(cases[i].state, cases[i].match, cases[i].next);
        pr.sent_commit = cases[i].next;
        assert_int_equal(raft_progress_maybe_decrease(&pr, cases[i].rejected, cases[i].hint),
                         cases[i].ok);
        assert_int_equal(pr.match, cases[i].match);
        assert_int_equal(pr.next, cases[i].want_next);
        if (cases[i].ok) /* what was in flight is lost */
            assert_int_equal(pr.sent_commit, cases[i].want_next - 1);
    }
}

static void test_progress_sent_entries_probe_pauses_unless_empty(void **state)
{
    (void)state;
    struct raft_progress pr = progress_of(FLOE_PROGRESS_PROBE, 0, 1);
    raft_progress_sent_entries(&pr, 0, 0);
    assert_false(pr.flow_paused);
    raft_progress_sent_entries(&pr, 3, 30);
    assert_true(pr.flow_paused);
    assert_int_equal(pr.next, 1); /* no optimism while probing */
    assert_int_equal(pr.inflights.count, 0);
}

static void test_progress_sent_entries_replicate_fills_the_window(void **state)
{
    (void)state;
    struct raft_progress pr = progress_of(FLOE_PROGRESS_REPLICATE, 0, 1);
    raft_progress_sent_entries(&pr, 3, 30);
    assert_int_equal(pr.next, 4);
    assert_int_equal(pr.inflights.count, 1);
    assert_int_equal(pr.inflights.bytes, 30);
    assert_false(pr.flow_paused);
    raft_progress_sent_entries(&pr, 0, 0); /* empty: no slot */
    assert_int_equal(pr.inflights.count, 1);
    raft_progress_sent_entries(&pr, 1, 10);
    assert_true(pr.flow_paused);
    struct floe_progress seen = raft_progress_export(&pr);
    assert_true(seen.inflight_full && seen.paused && seen.flow_paused);
    assert_int_equal(seen.inflight_count, 2);
    assert_int_equal(seen.inflight_bytes, 40);
    raft_inflights_deinit(&pr.inflights);
}

static void test_progress_can_bump_commit_only_within_what_was_sent(void **state)
{
    (void)state;
    struct raft_progress pr = progress_of(FLOE_PROGRESS_REPLICATE, 2, 6);
    pr.sent_commit = 3;
    assert_false(raft_progress_can_bump_commit(&pr, 3));
    assert_true(raft_progress_can_bump_commit(&pr, 4));
    assert_true(raft_progress_can_bump_commit(&pr, 100));
    pr.sent_commit = 5; /* all that it has got is known to be committed */
    assert_false(raft_progress_can_bump_commit(&pr, 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inflights_add_grows_and_wraps),
        cmocka_unit_test(test_inflights_free_to_takes_up_to_index_only),
        cmocka_unit_test(test_inflights_is_full_by_count_or_by_bytes),
        cmocka_unit_test(test_inflights_reset_empties),
        cmocka_unit_test(test_progress_is_paused_by_state_and_flag),
        cmocka_unit_test(test_progress_answers_resume_a_paused_probe),
        cmocka_unit_test(test_progress_become_probe_goes_on_after_match_or_snapshot),
        cmocka_unit_test(test_progress_become_replicate_starts_after_match),
        cmocka_unit_test(test_progress_become_snapshot_waits_for_its_index),
        cmocka_unit_test(test_progress_maybe_update_only_moves_forward),
        cmocka_unit_test(test_progress_maybe_decrease_table),
        cmocka_unit_test(test_progress_sent_entries_probe_pauses_unless_empty),
        cmocka_unit_test(test_progress_sent_entries_replicate_fills_the_window),
        cmocka_unit_test(test_progress_can_bump_commit_only_within_what_was_sent),
    };
    return cmocka_run_group_tests_name("raft progress", tests, NULL, NULL);
}
