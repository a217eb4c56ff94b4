/* Which number was reached a span ago. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/ages.h"

#define HOUR UINT64_C(3600000)

static void test_ages_number_passes_when_the_span_is_over_and_not_before(void **state)
{
    (void)state;
    struct ages ages;
    ages_init(&ages, HOUR);
    ages_sample(&ages, 7, 1000);
    ages_sample(&ages, 9, 1000 + HOUR - 1);
    assert_int_equal(ages.passed, 0);
    ages_sample(&ages, 9, 1000 + HOUR);
    assert_int_equal(ages.passed, 7);
    ages_sample(&ages, 9, 1000 + 2 * HOUR - 2);
    assert_int_equal(ages.passed, 7);
    ages_sample(&ages, 9, 1000 + 2 * HOUR - 1);
    assert_int_equal(ages.passed, 9);
}

/* Whatever passes was reached long enough ago, and not much longer. */
static void test_ages_of_a_growing_number_follow_it_at_the_span(void **state)
{
    (void)state;
    struct ages ages;
    ages_init(&ages, HOUR);
    for (uint64_t ms = 0; ms < 5 * HOUR; ms += 500) {
        ages_sample(&ages, 1 + ms, ms); /* the number says when it was reached */
        if (ages.passed != 0)
            assert_true(ages.passed - 1 <= ms - HOUR);
        if (ms > 2 * HOUR)
            assert_true(ages.passed - 1 >= ms - HOUR - HOUR / 60 - 500);
    }
}

static void test_ages_of_an_idle_number_take_no_samples(void **state)
{
    (void)state;
    struct ages ages;
    ages_init(&ages, HOUR);
    for (uint64_t ms = 0; ms < 5 * HOUR; ms += 1000)
        ages_sample(&ages, 3, ms);
    assert_int_equal(ages.passed, 3);
    assert_int_equal(ages.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ages_number_passes_when_the_span_is_over_and_not_before),
        cmocka_unit_test(test_ages_of_a_growing_number_follow_it_at_the_span),
        cmocka_unit_test(test_ages_of_an_idle_number_take_no_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
