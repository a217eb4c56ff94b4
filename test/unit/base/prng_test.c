/* Seeded random numbers: the same everywhere, and evenly spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"

static void test_prng_known_seeds_give_known_numbers(void **state)
{
    (void)state;
    /* the published first outputs of splitmix64 for the seeds 0 and 1234567 */
    struct prng zero = {0};
    assert_true(prng_next(&zero) == 0xe220a8397b1dcdafu);
    assert_true(prng_next(&zero) == 0x6e789e6aa1b965f4u);
    assert_true(prng_next(&zero) == 0x06c45d188009454fu);
    struct prng prng = {1234567};
    assert_true(prng_next(&prng) == 6457827717110365317u);
    assert_true(prng_next(&prng) == 3203168211198807973u);
    assert_true(prng_next(&prng) == 9817491932198370423u);
}

static void test_prng_same_seed_same_numbers_other_seed_others(void **state)
{
    (void)state;
    struct prng a = {42};
    struct prng b = {42};
    struct prng c = {43};
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = prng_next(&a);
        assert_true(value == prng_next(&b));
        same += value == prng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void test_prng_below_stays_below_and_is_even(void **state)
{
    (void)state;
    struct prng prng = {7};
    int count[10] = {0};
    for (int i = 0; i < 100000; i++) {
        uint64_t value = prng_below(&prng, 10);
        assert_true(value < 10);
        count[value]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(count[i], 9500, 10500); /* five standard deviations */
}

static void test_prng_below_edges(void **state)
{
    (void)state;
    struct prng prng = {9};
    uint64_t high = 0;
    for (int i = 0; i < 1000; i++) {
        assert_true(prng_below(&prng, 1) == 0);
        uint64_t value = prng_below(&prng, UINT64_MAX);
        assert_true(value < UINT64_MAX);
        high |= value;
    }
    assert_true(high >> 63 == 1);
}

/* Below 3 * 2^62 every fourth number must be drawn again: the lowest third would else come up
 * twice as often as the others. */
static void test_prng_below_large_bound_has_no_bias(void **state)
{
    (void)state;
    struct prng prng = {11};
    uint64_t bound = (UINT64_C(1) << 63) + (UINT64_C(1) << 62);
    int low = 0;
    for (int i = 0; i < 30000; i++)
        low += prng_below(&prng, bound) < bound / 3;
    assert_in_range(low, 9500, 10500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prng_known_seeds_give_known_numbers),
        cmocka_unit_test(test_prng_same_seed_same_numbers_other_seed_others),
        cmocka_unit_test(test_prng_below_stays_below_and_is_even),
        cmocka_unit_test(test_prng_below_edges),
        cmocka_unit_test(test_prng_below_large_bound_has_no_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
