/* The slow twin of the checker: it tries every order, so histories must be small. */
#ifndef SIM_LINEAR_TWIN_H
#define SIM_LINEAR_TWIN_H

#include "linear.h"

#define SMALL 7 /* operations at most */
#define KEYS 2  /* keys 0 and 1 */

/* Is there an order that explains the history? */
bool linear_twin_check(const struct linear_op *ops, size_t count);

#endif
