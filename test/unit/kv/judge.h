/* What the twin says when the store is not like it: to cmocka in unit tests; in the simulator the
 * process ends, which names the seed. */
#ifndef TEST_KV_JUDGE_H
#define TEST_KV_JUDGE_H

#ifdef TWIN_IN_SIMULATOR

#include "base/assert.h"

#define assert_true(cond) ASSERT(cond)
#define assert_false(cond) ASSERT(!(cond))
#define assert_int_equal(a, b) ASSERT((uint64_t)(a) == (uint64_t)(b))

#else

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif

#endif
