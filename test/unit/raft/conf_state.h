/* Memberships written as strings of digits, for tests. */
#ifndef TEST_RAFT_CONF_STATE_H
#define TEST_RAFT_CONF_STATE_H

#include <floe/raft.h>

/* Each list from digits, "123" = {1, 2, 3}, in that order. Owned by caller. */
struct floe_conf_state conf_state_of(const char *voters, const char *outgoing,
                                     const char *learners, const char *next, bool auto_leave);

#endif
