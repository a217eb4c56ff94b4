/* Classes of times. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/histogram.h"

static void test_histogram_bounds_are_inclusive_and_double(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    assert_true(histogram_bound_us(0) == 1000);
    assert_true(histogram_bound_us(13) == 8192000);
    histogram_add(&histogram, 0);
    histogram_add(&histogram, 1000);
    histogram_add(&histogram, 1001);
    histogram_add(&histogram, 8192000);
    histogram_add(&histogram, 8192001);
    assert_true(histogram.counts[0] == 2);
    assert_true(histogram.counts[1] == 1);
    assert_true(histogram.counts[13] == 1);
    assert_true(histogram.counts[14] == 1);
    assert_true(histogram.sum_us == 2001 + 8192000 + 8192001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_bounds_are_inclusive_and_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
