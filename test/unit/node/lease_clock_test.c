/* When leases run out, at one leader and at the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "node/lease_clock.h"

#include <stdio.h>
#include <stdlib.h>

#define GRACE 100u
#define MANY 64u

static struct kv_lease_time out[MANY];

static size_t due(struct lease_clock *clock, uint64_t now_ms, uint64_t next, uint64_t settled)
{
    while (lease_clock_turn(clock, now_ms, next))
        ;
    return lease_clock_due(clock, now_ms, settled, out, MANY);
}

/* Noticed, confirmed and with the grace passed. */
static size_t expired(struct lease_clock *clock, uint64_t now_ms)
{
    (void)due(clock, now_ms, 1, 0);
    return due(clock, now_ms + GRACE, 2, 1);
}

static size_t checkpoints(struct lease_clock *clock, uint64_t now_ms)
{
    (void)due(clock, now_ms, 1, 0);
    return lease_clock_checkpoints(clock, now_ms, out, MANY);
}

static void test_lease_clock_lease_ends_after_its_time_and_not_before(void **state)
{
    (void)state;
    struct lease_clock clock;
    lease_clock_init(&clock, GRACE);
    lease_clock_put(&clock, 7, 10, 0, 1000);
    assert_int_equal(lease_clock_next_ms(&clock), 11000);
    assert_int_equal(due(&clock, 10999, 1, 1), 0);
    assert_int_equal(expired(&clock, 11000), 1);
    assert_int_equal(out[0].id, 7);
    lease_clock_ends(&clock, out, 1);
    assert_int_equal(due(&clock, 99999, 9, 9), 0); /* proposed once */
    lease_clock_drop(&clock, 7);
    assert_int_equal(lease_clock_renew(&clock, 7, 99999), LEASE_UNKNOWN);
    lease_clock_deinit(&clock);
}

static void
test_lease_clock_due_lease_waits_for_grace_and_a_round_begun_after_noticing(void **state)
{
    (void)state;
    struct lease_clock clock;
    lease_clock_init(&clock, GRACE);
    lease_clock_put(&clock, 7, 10, 0, 0);
    assert_int_equal(due(&clock, 10000, 5, 4), 0);
    assert_true(lease_clock_needs_round(&clock, 4));
    assert_int_equal(due(&clock, 10000 + GRACE, 6, 4), 0); /* grace, but no round since */
    assert_int_equal(due(&clock, 10000 + GRACE - 1, 6, 5), 0);
    assert_int_equal(due(&clock, 10000 + GRACE, 6, 5), 1);
    assert_false(lease_clock_needs_round(&clock, 5));
    lease_clock_deinit(&clock);
}

/* The leader stood still; the renewal was in its sockets and is worked off before the round is. */
static void test_lease_clock_renewal_that_waited_out_a_pause_saves_the_lease(void **state)
{
    (void)state;
    struct lease_clock clock;
    lease_clock_init(&clock, GRACE);
    lease_clock_put(&clock, 7, 10, 0, 0);
    lease_clock_put(&clock, 8, 10, 0, 0);
    assert_int_equal(due(&clock, 60000, 1, 0), 0);
    assert_int_equal(lease_clock_renew(&clock, 7, 60001), LEASE_RENEWED);
    assert_int_equal(due(&clock, 60000 + GRACE, 2, 1), 1);
    assert_int_equal(out[0].id, 8);
    uint64_t ttl_s;
    uint64_t remaining_ms;
    assert_true(lease_clock_look(&clock, 7, 60001, &ttl_s, &remaining_ms));
    assert_int_equal(remaining_ms, 10000);
    assert_true(lease_clock_look(&clock, 8, 60001, &ttl_s, &remaining_ms));
    assert_int_equal(remaining_ms, 0);
    lease_clock_deinit(&clock);
}

static void test_lease_clock_renewal_during_expiry_waits_for_the_outcome(void **state)
{
    (void)state;
    struct lease_clock clock;
    lease_clock_init(&clock, GRACE);
    lease_clock_put(&clock, 7, 10, 0, 0);
    assert_int_equal(expired(&clock, 10000), 1);
    lease_clock_ends(&clock, out, 1);
    assert_int_equal(lease_clock_renew(&clock, 7, 10200), LEASE_WAITS);
    lease_clock_drop(&clock, 7);
    assert_int_equal(lease_clock_renew(&clock, 7, 10300), LEASE_UNKNOWN);
    lease_clock_deinit(&clock);
}

static void test_lease_clock_next_leader_starts_with_all_or_what_the_checkpoint_says(void **state)
{
    (void)state;
    struct lease_clock next;
    lease_clock_init(&next, GRACE);
    lease_clock_put(&next, 1, 1000, 0, 5000);
    lease_clock_put(&next, 2, 1000, 300, 5000);
    uint64_t ttl_s;
    uint64_t remaining_ms;
    assert_true(lease_clock_look(&next, 1, 5000, &ttl_s, &remaining_ms));
    assert_int_equal(remaining_ms, 1000000);
    assert_true(lease_clock_look(&next, 2, 5000, &ttl_s, &remaining_ms));
    assert_int_equal(remaining_ms, 300000);
    assert_int_equal(ttl_s, 1000);
    lease_clock_deinit(&next);
}

static void test_lease_clock_renewal_after_a_checkpoint_waits_for_a_committed_reset(void **state)
{
    (void)state;
    struct lease_clock clock;
    lease_clock_init(&clock, GRACE);
    lease_clock_put(&clock, 2, 1000, 300, 0); /* found with a checkpoint */
    assert_int_equal(lease_clock_renew(&clock, 2, 10), LEASE_WAITS);
    assert_int_equal(checkpoints(&clock, 10), 1);
    assert_int_equal(out[0].id, 2);
    assert_int_equal(out[0].remaining_s, 0);
    lease_clock_checkpointed(&clock, out, 1, 10);
    assert_int_equal(lease_clock_renew(&clock, 2, 20), LEASE_WAITS);
    assert_int_equal(checkpoints(&clock, 20), 0); /* one reset is enough */
    lease_clock_on_checkpoint(&clock, 2, 0);
    assert_int_equal(lease_clock_renew(&clock, 2, 30), LEASE_RENEWED);
    assert_int_equal(lease_clock_renew(&clock, 2, 40), LEASE_RENEWED);
    lease_clock_deinit(&clock);
}

/* It may be committed at any time: a renewal must not be told before it is taken back. */
static void test_lease_clock_checkpoint_counts_from_its_proposal_on(void **state)
{
    (void)state;
    struct lease_clock clock;
    lease_clock_init(&clock, GRACE);
    lease_clock_put(&clock, 2, 1000, 0, 0);
    assert_int_equal(checkpoints(&clock, 249999), 0);
    assert_int_equal(checkpoints(&clock, 250000), 1);
    assert_int_equal(out[0].remaining_s, 750);
    lease_clock_checkpointed(&clock, out, 1, 250000);
    assert_int_equal(lease_clock_renew(&clock, 2, 250001), LEASE_WAITS);
    lease_clock_on_checkpoint(&clock, 2, 750);
    assert_int_equal(lease_clock_renew(&clock, 2, 250002), LEASE_WAITS);
    assert_int_equal(checkpoints(&clock, 250003), 1);
    assert_int_equal(out[0].remaining_s, 0);
    lease_clock_deinit(&clock);
}

static void test_lease_clock_lease_renewed_in_time_or_short_gets_no_checkpoint(void **state)
{
    (void)state;
    struct lease_clock clock;
    lease_clock_init(&clock, GRACE);
    lease_clock_put(&clock, 1, 59, 0, 0);
    lease_clock_put(&clock, 2, 1000, 0, 0);
    for (uint64_t ms = 200000; ms < 2000000; ms += 200000) {
        assert_int_equal(lease_clock_renew(&clock, 2, ms), LEASE_RENEWED);
        assert_int_equal(checkpoints(&clock, ms), 0);
    }
    lease_clock_deinit(&clock);
}

static void test_lease_clock_wanted_checkpoint_is_dropped_by_a_renewal_or_the_end(void **state)
{
    (void)state;
    struct lease_clock clock;
    lease_clock_init(&clock, GRACE);
    lease_clock_put(&clock, 1, 100, 0, 0);
    lease_clock_put(&clock, 2, 100, 0, 0);
    assert_int_equal(checkpoints(&clock, 60000), 2);
    assert_int_equal(lease_clock_renew(&clock, 1, 60001), LEASE_RENEWED);
    assert_int_equal(checkpoints(&clock, 60002), 1);
    assert_int_equal(checkpoints(&clock, 100000), 0);
    assert_int_equal(due(&clock, 100000 + GRACE, 2, 1), 1);
    assert_int_equal(out[0].id, 2);
    lease_clock_deinit(&clock);
}

/* ---- against a twin without heap and lists --------------------------------------------------- */

#define LEASES 40u

struct twin {
    bool there;
    bool ends;
    uint64_t deadline_ms;
};

static void one_step(struct lease_clock *clock, struct twin *twin, struct prng *prng,
                     uint64_t now_ms)
{
    uint64_t id = 1 + prng_below(prng, LEASES);
    uint64_t ttl_s = 1 + id % 7;
    struct twin *is = &twin[id];
    switch (prng_below(prng, 4)) {
    case 0:
        lease_clock_put(clock, id, ttl_s, 0, now_ms);
        if (!is->there)
            *is = (struct twin){.there = true, .deadline_ms = now_ms + ttl_s * 1000};
        return;
    case 1:
        if (is->there && prng_below(prng, 4) != 0)
            return;
        lease_clock_drop(clock, id);
        is->there = false;
        return;
    default: {
        enum lease_renewal got = lease_clock_renew(clock, id, now_ms);
        assert_int_equal(got, !is->there ? LEASE_UNKNOWN : is->ends ? LEASE_WAITS : LEASE_RENEWED);
        if (got == LEASE_RENEWED)
            is->deadline_ms = now_ms + ttl_s * 1000;
    }
    }
}

static void test_lease_clock_random_steps_end_what_the_twin_ends(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct prng prng = {.state = seed};
        struct twin twin[LEASES + 1] = {0};
        struct lease_clock clock;
        lease_clock_init(&clock, 0);
        uint64_t now_ms = 0;
        for (unsigned step = 0; step < 2000; step++) {
            now_ms += prng_below(&prng, 200);
            one_step(&clock, twin, &prng, now_ms);
            size_t count = due(&clock, now_ms, 1, 1);
            size_t expected = 0;
            for (uint64_t id = 1; id <= LEASES; id++)
                expected += twin[id].there && !twin[id].ends && twin[id].deadline_ms <= now_ms;
            if (count != expected)
                fail_msg("seed %llu step %u: %zu due, not %zu", (unsigned long long)seed, step,
                         count, expected);
            lease_clock_ends(&clock, out, count);
            for (size_t i = 0; i < count; i++)
                twin[out[i].id].ends = true;
        }
        lease_clock_deinit(&clock);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_clock_lease_ends_after_its_time_and_not_before),
        cmocka_unit_test(
            test_lease_clock_due_lease_waits_for_grace_and_a_round_begun_after_noticing),
        cmocka_unit_test(test_lease_clock_renewal_that_waited_out_a_pause_saves_the_lease),
        cmocka_unit_test(test_lease_clock_renewal_during_expiry_waits_for_the_outcome),
        cmocka_unit_test(test_lease_clock_next_leader_starts_with_all_or_what_the_checkpoint_says),
        cmocka_unit_test(test_lease_clock_renewal_after_a_checkpoint_waits_for_a_committed_reset),
        cmocka_unit_test(test_lease_clock_checkpoint_counts_from_its_proposal_on),
        cmocka_unit_test(test_lease_clock_lease_renewed_in_time_or_short_gets_no_checkpoint),
        cmocka_unit_test(test_lease_clock_wanted_checkpoint_is_dropped_by_a_renewal_or_the_end),
        cmocka_unit_test(test_lease_clock_random_steps_end_what_the_twin_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
