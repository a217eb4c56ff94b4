/* The algebra of membership changes, and memberships restored from a conf state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "conf_state.h"
#include "raft/confchange.h"
#include "raft/describe.h"
#include "raft/ids.h"

#include <inttypes.h>
#include <stdlib.h>

/* A membership that changes are made on. */
struct world {
    struct raft_change_result now;
    floe_index last_index;
};

static void world_deinit(struct world *w)
{
    raft_change_result_deinit(&w->now);
}

static struct raft_changer changer_of(const struct world *w)
{
    return (struct raft_changer){.config = &w->now.config,
                                 .progress = &w->now.progress,
                                 .last_index = w->last_index,
                                 .max_inflight = 10};
}

/* The map holds exactly the members, and the lists do not contradict each other. */
static void check_invariants(const struct raft_change_result *r)
{
    const struct raft_config *c = &r->config;
    struct floe_ids voters = raft_ids_union(&c->incoming, &c->outgoing);
    struct floe_ids all = raft_ids_union(&voters, &c->learners);
    assert_int_equal(all.count, voters.count + c->learners.count);
    assert_int_equal(all.count, r->progress.count);
    for (size_t i = 0; i < all.count; i++) {
        const struct raft_progress *pr = raft_progress_map_find(&r->progress, all.id[i]);
        assert_non_null(pr);
        assert_int_equal(pr->is_learner, raft_ids_has(&c->learners, all.id[i]));
    }
    for (size_t i = 0; i < c->learners_next.count; i++) {
        assert_true(raft_ids_has(&c->outgoing, c->learners_next.id[i]));
        assert_false(raft_ids_has(&c->incoming, c->learners_next.id[i]));
    }
    if (!raft_config_is_joint(c)) {
        assert_int_equal(c->learners_next.count, 0);
        assert_false(c->auto_leave);
    }
    raft_ids_deinit(&voters);
    raft_ids_deinit(&all);
}

/* Takes over what came out, if nothing was wrong. */
static const char *take(struct world *w, const char *why, struct raft_change_result *result)
{
    if (why != NULL)
        return why;
    check_invariants(result);
    raft_change_result_deinit(&w->now);
    w->now = *result;
    return NULL;
}

/* "v1 l2 r3 u4" as in the scripts; returns how many. */
static size_t parse_changes(const char *text, struct floe_conf_change_single out[8])
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ')
            continue;
        enum floe_conf_change_type type = *text == 'v'   ? FLOE_CONF_ADD_NODE
                                          : *text == 'l' ? FLOE_CONF_ADD_LEARNER
                                          : *text == 'r' ? FLOE_CONF_REMOVE_NODE
                                                         : FLOE_CONF_UPDATE_NODE;
        out[count++] =
            (struct floe_conf_change_single){.type = type, .node_id = (floe_id)(*++text - '0')};
    }
    return count;
}

static const char *simple(struct world *w, const char *text)
{
    struct floe_conf_change_single changes[8];
    struct raft_change_result result;
    struct raft_changer changer = changer_of(w);
    size_t count = parse_changes(text, changes);
    return take(w, raft_confchange_simple(&changer, changes, count, &result), &result);
}

static const char *enter(struct world *w, bool auto_leave, const char *text)
{
    struct floe_conf_change_single changes[8];
    struct raft_change_result result;
    struct raft_changer changer = changer_of(w);
    size_t count = parse_changes(text, changes);
    return take(w, raft_confchange_enter_joint(&changer, auto_leave, changes, count, &result),
                &result);
}

static const char *leave(struct world *w)
{
    struct raft_change_result result;
    struct raft_changer changer = changer_of(w);
    return take(w, raft_confchange_leave_joint(&changer, &result), &result);
}

static void check_config(const struct world *w, const char *expected)
{
    struct buf out = {0};
    describe_config(&out, &w->now.config);
    assert_string_equal(buf_str(&out), expected);
    buf_deinit(&out);
}

static void add_voters(struct world *w, const char *digits)
{
    for (; *digits != '\0'; digits++) {
        char change[] = {'v', *digits, '\0'};
        assert_null(simple(w, change));
    }
}

/* ---- simple changes ------------------------------------------------------------------------------ */

static void test_confchange_simple_one_voter_may_differ_in_the_end(void **state)
{
    (void)state;
    struct world w = {0};
    assert_null(simple(&w, "v1"));
    assert_string_equal(simple(&w, "v2 v3"),
                        "more than one voter changed without entering joint config");
    assert_null(simple(&w, "v2"));
    assert_string_equal(simple(&w, "r1 v3"),
                        "more than one voter changed without entering joint config");
    assert_null(simple(&w, "r1 v1 r1 v1")); /* counted at the end */
    check_config(&w, "voters=(1 2)");
    assert_null(simple(&w, "l5 l6 l7 v3")); /* learners are free */
    check_config(&w, "voters=(1 2 3) learners=(5 6 7)");
    world_deinit(&w);
}

static void test_confchange_simple_last_voter_cannot_go(void **state)
{
    (void)state;
    struct world w = {0};
    assert_null(simple(&w, "v1"));
    assert_string_equal(simple(&w, "r1"), "removed all voters");
    assert_string_equal(simple(&w, "l1"), "removed all voters");
    check_config(&w, "voters=(1)");
    world_deinit(&w);
}

static void test_confchange_simple_promotes_and_demotes(void **state)
{
    (void)state;
    struct world w = {.last_index = 10};
    add_voters(&w, "12");
    assert_null(simple(&w, "l3"));
    raft_progress_map_find(&w.now.progress, 3)->match = 7; /* is kept through all this */
    assert_null(simple(&w, "v3"));
    check_config(&w, "voters=(1 2 3)");
    assert_null(simple(&w, "l3"));
    assert_null(simple(&w, "l3"));
    check_config(&w, "voters=(1 2) learners=(3)");
    assert_int_equal(raft_progress_map_find(&w.now.progress, 3)->match, 7);
    assert_null(simple(&w, "r3"));
    assert_null(raft_progress_map_find(&w.now.progress, 3));
    world_deinit(&w);
}

static void test_confchange_nobody_and_updates_change_nothing(void **state)
{
    (void)state;
    struct world w = {0};
    add_voters(&w, "12");
    assert_null(simple(&w, "v0 r0 l0 u2 u9 r7"));
    check_config(&w, "voters=(1 2)");
    world_deinit(&w);
}

static void test_confchange_new_member_is_active_and_probed_from_the_end(void **state)
{
    (void)state;
    struct world w = {0};
    add_voters(&w, "1");
    w.last_index = 20;
    assert_null(simple(&w, "l2"));
    const struct raft_progress *pr = raft_progress_map_find(&w.now.progress, 2);
    assert_int_equal(pr->next, 20);
    assert_int_equal(pr->match, 0);
    assert_int_equal(pr->state, FLOE_PROGRESS_PROBE);
    assert_true(pr->recent_active);
    assert_true(pr->is_learner);
    assert_int_equal(pr->inflights.max_count, 10);
    assert_int_equal(raft_progress_map_find(&w.now.progress, 1)->next, 1); /* never 0 */
    world_deinit(&w);
}

/* ---- joint changes -------------------------------------------------------------------------------- */

static void test_confchange_joint_is_entered_once_and_left_once(void **state)
{
    (void)state;
    struct world w = {0};
    assert_string_equal(enter(&w, false, "v1"), "can't make a zero-voter config joint");
    assert_string_equal(leave(&w), "can't leave a non-joint config");
    add_voters(&w, "123");
    assert_null(enter(&w, true, "r1 v4 v5"));
    check_config(&w, "voters=(2 3 4 5)&&(1 2 3) autoleave");
    assert_string_equal(enter(&w, true, "v6"), "config is already joint");
    assert_string_equal(simple(&w, "v6"), "can't apply simple config change in joint config");
    assert_non_null(raft_progress_map_find(&w.now.progress, 1)); /* kept until leaving */
    assert_null(leave(&w));
    check_config(&w, "voters=(2 3 4 5)");
    assert_null(raft_progress_map_find(&w.now.progress, 1));
    world_deinit(&w);
}

static void test_confchange_joint_demoted_voter_becomes_learner_on_leaving(void **state)
{
    (void)state;
    struct world w = {0};
    add_voters(&w, "123");
    assert_null(enter(&w, false, "l1 l4 r3"));
    check_config(&w, "voters=(2)&&(1 2 3) learners=(4) learners_next=(1)");
    assert_false(raft_progress_map_find(&w.now.progress, 1)->is_learner); /* still votes */
    assert_null(leave(&w));
    check_config(&w, "voters=(2) learners=(1 4)");
    assert_true(raft_progress_map_find(&w.now.progress, 1)->is_learner);
    world_deinit(&w);
}

static void test_confchange_joint_last_one_of_a_batch_counts(void **state)
{
    (void)state;
    struct world w = {0};
    add_voters(&w, "12");
    assert_string_equal(enter(&w, false, "r1 r2"), "removed all voters");
    assert_null(enter(&w, false, "r1 r2 v3 l2 v2 l3 v3"));
    check_config(&w, "voters=(2 3)&&(1 2)");
    world_deinit(&w);
}

static void test_confchange_apply_decides_by_form(void **state)
{
    (void)state;
    static const struct {
        enum floe_conf_transition transition;
        const char *changes;
        const char *want;
    } cases[] = {
        {FLOE_CONF_TRANSITION_AUTO, "v4", "voters=(1 2 3 4)"},
        {FLOE_CONF_TRANSITION_AUTO, "v4 r1", "voters=(2 3 4)&&(1 2 3) autoleave"},
        {FLOE_CONF_TRANSITION_JOINT_IMPLICIT, "v4", "voters=(1 2 3 4)&&(1 2 3) autoleave"},
        {FLOE_CONF_TRANSITION_JOINT_EXPLICIT, "v4", "voters=(1 2 3 4)&&(1 2 3)"},
        {FLOE_CONF_TRANSITION_JOINT_EXPLICIT, "", "voters=(1 2 3)&&(1 2 3)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w = {0};
        add_voters(&w, "123");
        struct floe_conf_change_single changes[8];
        struct floe_conf_change change = {.transition = cases[i].transition, .changes = changes};
        change.change_count = parse_changes(cases[i].changes, changes);
        struct raft_changer changer = changer_of(&w);
        struct raft_change_result result;
        assert_null(take(&w, raft_confchange_apply(&changer, &change, &result), &result));
        check_config(&w, cases[i].want);
        world_deinit(&w);
    }
}

static void test_confchange_is_leave_joint_is_empty_and_automatic(void **state)
{
    (void)state;
    struct floe_conf_change change = {0};
    assert_true(raft_confchange_is_leave_joint(&change));
    change.context = floe_blob_new("why", 3); /* a context is allowed */
    assert_true(raft_confchange_is_leave_joint(&change));
    floe_blob_unref(change.context);
    change = (struct floe_conf_change){.transition = FLOE_CONF_TRANSITION_JOINT_EXPLICIT};
    assert_false(raft_confchange_is_leave_joint(&change));
    struct floe_conf_change_single single = {.node_id = 1};
    change = (struct floe_conf_change){.changes = &single, .change_count = 1};
    assert_false(raft_confchange_is_leave_joint(&change));
}

/* ---- random changes ---------------------------------------------------------------------------------- */

static uint64_t seed = 20260802;

static void random_changes(struct prng *prng, struct floe_conf_change_single *changes,
                           size_t count)
{
    for (size_t i = 0; i < count; i++)
        changes[i] = (struct floe_conf_change_single){
            .type = (enum floe_conf_change_type)prng_below(prng, 4),
            .node_id = 2 + prng_below(prng, 8)}; /* 1 stays, so that someone is left */
}

static void start(struct world *w, struct prng *prng)
{
    *w = (struct world){.last_index = 10};
    add_voters(w, "1");
    for (uint64_t id = 2; id <= 9; id++) {
        char voter[] = {'v', (char)('0' + id), '\0'};
        char learner[] = {'l', (char)('0' + id), '\0'};
        uint64_t what = prng_below(prng, 3);
        if (what > 0)
            assert_null(simple(w, what == 1 ? voter : learner));
    }
}

static void copy_world(const struct world *from, struct world *to)
{
    *to = (struct world){.now = {raft_config_copy(&from->now.config),
                                 raft_progress_map_copy(&from->now.progress)},
                         .last_index = from->last_index};
}

static void check_same(const struct world *a, const struct world *b)
{
    struct floe_conf_state x = raft_config_conf_state(&a->now.config);
    struct floe_conf_state y = raft_config_conf_state(&b->now.config);
    assert_true(floe_conf_state_equivalent(&x, &y));
    floe_conf_state_deinit(&x);
    floe_conf_state_deinit(&y);
    for (size_t i = 0; i < a->now.progress.count; i++) {
        assert_int_equal(a->now.progress.item[i].id, b->now.progress.item[i].id);
        assert_int_equal(a->now.progress.item[i].is_learner, b->now.progress.item[i].is_learner);
    }
}

static void random_case(struct prng *prng)
{
    struct world one_by_one;
    struct world joint;
    struct floe_conf_change_single changes[8];
    size_t count = 1 + (size_t)prng_below(prng, 8);
    start(&one_by_one, prng);
    copy_world(&one_by_one, &joint);
    random_changes(prng, changes, count);
    for (size_t i = 0; i < count; i++) {
        struct raft_changer changer = changer_of(&one_by_one);
        struct raft_change_result result;
        const char *why = raft_confchange_simple(&changer, &changes[i], 1, &result);
        assert_null(take(&one_by_one, why, &result));
    }
    struct raft_changer changer = changer_of(&joint);
    struct raft_change_result result;
    const char *why = raft_confchange_enter_joint(&changer, false, changes, count, &result);
    assert_null(take(&joint, why, &result));
    assert_null(leave(&joint));
    check_same(&one_by_one, &joint);
    world_deinit(&one_by_one);
    world_deinit(&joint);
}

static void test_confchange_random_one_by_one_equals_joint(void **state)
{
    (void)state;
    struct prng prng = {seed};
    print_message("seed %" PRIu64 "\n", seed);
    for (int i = 0; i < 1000; i++)
        random_case(&prng);
}

/* ---- restore --------------------------------------------------------------------------------------------- */

static void check_restore(const struct floe_conf_state *cs)
{
    struct raft_changer changer = {.last_index = 20, .max_inflight = 10};
    struct raft_change_result result;
    assert_null(raft_confchange_restore(&changer, cs, &result));
    check_invariants(&result);
    struct floe_conf_state got = raft_config_conf_state(&result.config);
    assert_true(floe_conf_state_equivalent(cs, &got));
    floe_conf_state_deinit(&got);
    raft_change_result_deinit(&result);
}

static void test_confchange_restore_gives_the_same_conf_state(void **state)
{
    (void)state;
    static const struct {
        const char *voters, *outgoing, *learners, *next;
        bool leaves;
    } cases[] = {
        {"", "", "", "", false},        {"123", "", "", "", false},
        {"321", "", "", "", false},     {"123", "", "456", "", false},
        {"123", "1246", "5", "4", false}, {"123", "1246", "5", "4", true},
        {"1", "1", "", "", false},      {"123", "123", "", "", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct floe_conf_state cs =
            conf_state_of(cases[i].voters, cases[i].outgoing, cases[i].learners, cases[i].next,
                          cases[i].leaves);
        check_restore(&cs);
        floe_conf_state_deinit(&cs);
    }
}

static void test_confchange_restore_random_conf_states_survive(void **state)
{
    (void)state;
    struct prng prng = {seed};
    print_message("seed %" PRIu64 "\n", seed);
    for (int i = 0; i < 500; i++) {
        struct floe_conf_state cs = {0};
        bool joint = prng_below(&prng, 2) == 0;
        floe_ids_push(&cs.voters, 40); /* at least one */
        for (floe_id id = 30; id > 0; id--) { /* not in order */
            uint64_t what = prng_below(&prng, joint ? 6 : 3);
            if (what == 1 || what == 3)
                floe_ids_push(&cs.voters, id);
            if (what >= 3)
                floe_ids_push(&cs.voters_outgoing, id);
            if (what == 4)
                floe_ids_push(&cs.learners_next, id);
            if (what == 2)
                floe_ids_push(&cs.learners, id);
        }
        cs.auto_leave = cs.voters_outgoing.count > 0 && prng_below(&prng, 2) == 0;
        check_restore(&cs);
        floe_conf_state_deinit(&cs);
    }
}

static void test_confchange_restore_refuses_contradictions(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"12", "", "2", ""},  /* voter and learner */
        {"12", "13", "3", ""}, /* the same in the outgoing half */
        {"12", "", "", "3"},  /* to be a learner, but no outgoing voter */
        {"12", "12", "", "2"}, /* to be a learner, but stays a voter */
        {"01", "", "", ""},   /* nobody */
        {"", "1", "", ""},    /* no one left to vote */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct floe_conf_state cs =
            conf_state_of(cases[i][0], cases[i][1], cases[i][2], cases[i][3], false);
        struct raft_changer changer = {.last_index = 20, .max_inflight = 10};
        struct raft_change_result result;
        assert_non_null(raft_confchange_restore(&changer, &cs, &result));
        floe_conf_state_deinit(&cs);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confchange_simple_one_voter_may_differ_in_the_end),
        cmocka_unit_test(test_confchange_simple_last_voter_cannot_go),
        cmocka_unit_test(test_confchange_simple_promotes_and_demotes),
        cmocka_unit_test(test_confchange_nobody_and_updates_change_nothing),
        cmocka_unit_test(test_confchange_new_member_is_active_and_probed_from_the_end),
        cmocka_unit_test(test_confchange_joint_is_entered_once_and_left_once),
        cmocka_unit_test(test_confchange_joint_demoted_voter_becomes_learner_on_leaving),
        cmocka_unit_test(test_confchange_joint_last_one_of_a_batch_counts),
        cmocka_unit_test(test_confchange_apply_decides_by_form),
        cmocka_unit_test(test_confchange_is_leave_joint_is_empty_and_automatic),
        cmocka_unit_test(test_confchange_random_one_by_one_equals_joint),
        cmocka_unit_test(test_confchange_restore_gives_the_same_conf_state),
        cmocka_unit_test(test_confchange_restore_random_conf_states_survive),
        cmocka_unit_test(test_confchange_restore_refuses_contradictions),
    };
    return cmocka_run_group_tests_name("raft confchange", tests, NULL, NULL);
}
