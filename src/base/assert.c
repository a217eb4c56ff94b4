/* A failed assertion says where on standard error and ends the process with SIGABRT. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "assertion failed: %s:%d: %s\n", file, line, what);
    abort();
}
