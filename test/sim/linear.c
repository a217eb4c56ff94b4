/* Takes every history until the real one is here. */
#include "linear.h"

enum linear_verdict linear_check(const struct linear_op *ops, size_t count, struct buf *why)
{
    (void)ops, (void)count, (void)why;
    return LINEAR_OK;
}
