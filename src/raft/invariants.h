/* What must hold of one core between any two calls; for scenario and simulator builds. */
#ifndef RAFT_INVARIANTS_H
#define RAFT_INVARIANTS_H

#include <floe/raft.h>

/* NULL, or the text of the first invariant that does not hold. Costs O(members + unstable log). */
const char *raft_check_invariants(const struct floe_raft *raft);

#endif
