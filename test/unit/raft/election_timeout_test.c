/* Election time-outs: drawn evenly, drawn anew, and rarely the same at two members (thesis 3.4).
 * Statistical, with the fixed seeds of cluster.c: the same numbers in every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"

/* How often each time-out was drawn, by ticks. */
struct draws {
    unsigned times[2 * ELECTION_TICK];
    unsigned count;
};

static void note_draw(struct draws *draws, unsigned ticks)
{
    assert_in_range(ticks, ELECTION_TICK, 2 * ELECTION_TICK - 1);
    draws->times[ticks]++;
    draws->count++;
}

/* Each value as often as any other, give or take a quarter. */
static void check_even(const struct draws *draws)
{
    unsigned fair = draws->count / ELECTION_TICK;
    for (size_t i = ELECTION_TICK; i < 2 * ELECTION_TICK; i++)
        assert_in_range(draws->times[i], fair - fair / 4, fair + fair / 4);
}

static void test_raft_election_timeout_is_drawn_from_one_to_two(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    struct floe_raft *r = cluster_raft(&c, 1);
    struct draws draws = {0};
    for (int i = 0; i < 2000; i++) {
        raft_become_follower(r, r->term + 1, 2);
        note_draw(&draws, r->randomized_election_timeout);
    }
    check_even(&draws);
    floe_raft_set_randomized_election_timeout(r, ELECTION_TICK + 2);
    cluster_tick(&c, 1, ELECTION_TICK + 1);
    assert_int_equal(r->state, FLOE_STATE_FOLLOWER);
    cluster_tick(&c, 1, 1);
    assert_int_equal(r->state, FLOE_STATE_CANDIDATE);
    assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_VOTE), 2);
    cluster_free(&c);
}

/* Nobody answers, so that each campaign ends with the next one. */
static void test_raft_candidate_draws_a_new_timeout_for_each_campaign(void **state)
{
    (void)state;
    struct cluster c = cluster_new(3, 3, NULL);
    struct floe_raft *r = cluster_raft(&c, 1);
    raft_become_candidate(r);
    struct draws draws = {0};
    for (int i = 0; i < 2000; i++) {
        floe_term term = r->term;
        unsigned ticks = 0;
        for (; r->term == term; ticks++)
            cluster_tick(&c, 1, 1);
        note_draw(&draws, ticks);
        assert_int_equal(r->state, FLOE_STATE_CANDIDATE);
        assert_int_equal(r->term, term + 1);
        assert_int_equal(cluster_count_messages(&c, 1, FLOE_MSG_VOTE), 2);
    }
    check_even(&draws);
    cluster_free(&c);
}

static void become_lone_follower(struct floe_raft *r)
{
    raft_become_follower(r, r->term + 1, FLOE_ID_NONE);
}

/* Ticks all members until some campaign; how many do so in the same tick. */
static size_t campaigns_at_once(struct cluster *c)
{
    size_t campaigns = 0;
    for (int tick = 0; campaigns == 0; tick++) {
        assert_true(tick < 2 * ELECTION_TICK);
        for (floe_id id = 1; id <= c->count; id++) {
            cluster_tick(c, id, 1);
            campaigns += cluster_count_messages(c, id, FLOE_MSG_VOTE) > 0;
        }
    }
    return campaigns;
}

/* Of five members that begin to wait together, two or more should be the first to campaign in 23 of
 * 100 rounds: the least of five draws out of ten is then not the only one. */
static void check_conflicts_are_rare(void (*become)(struct floe_raft *r))
{
    struct cluster c = cluster_new(5, 5, NULL);
    size_t conflicts = 0;
    for (int round = 0; round < 1000; round++) {
        for (floe_id id = 1; id <= c.count; id++)
            become(cluster_raft(&c, id));
        conflicts += campaigns_at_once(&c) > 1;
    }
    assert_in_range(conflicts, 180, 280);
    cluster_free(&c);
}

static void test_raft_followers_rarely_campaign_at_once(void **state)
{
    (void)state;
    check_conflicts_are_rare(become_lone_follower);
}

static void test_raft_candidates_rarely_campaign_at_once(void **state)
{
    (void)state;
    check_conflicts_are_rare(raft_become_candidate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raft_election_timeout_is_drawn_from_one_to_two),
        cmocka_unit_test(test_raft_candidate_draws_a_new_timeout_for_each_campaign),
        cmocka_unit_test(test_raft_followers_rarely_campaign_at_once),
        cmocka_unit_test(test_raft_candidates_rarely_campaign_at_once),
    };
    return cmocka_run_group_tests_name("raft election timeout", tests, NULL, NULL);
}
