/*
 * The algebra of membership changes: from one configuration and progress map to the next.
 *
 * Nothing of the old state is touched: a result is a new configuration and map, which replace the
 * old ones together. All functions return NULL on success, or the text of the reason (static).
 */
#ifndef RAFT_CONFCHANGE_H
#define RAFT_CONFCHANGE_H

#include "raft/tracker.h"

#include <floe/confchange.h>

/* What a change starts from; borrowed. */
struct raft_changer {
    const struct raft_config *config;
    const struct raft_progress_map *progress;
    floe_index last_index; /* of the log; a new member's next is max(last_index, 1) */
    size_t max_inflight;   /* for the windows of new members */
    uint64_t max_inflight_bytes;
};

/* What comes out; owned by caller, untouched on error. */
struct raft_change_result {
    struct raft_config config;
    struct raft_progress_map progress;
};
void raft_change_result_deinit(struct raft_change_result *result);

/* At most one voter may differ in the end. */
const char *raft_confchange_simple(const struct raft_changer *changer,
                                   const struct floe_conf_change_single *changes, size_t count,
                                   struct raft_change_result *out);
/* The current voters become the outgoing half, the changes make the incoming one. */
const char *raft_confchange_enter_joint(const struct raft_changer *changer, bool auto_leave,
                                        const struct floe_conf_change_single *changes,
                                        size_t count, struct raft_change_result *out);
/* Drops the outgoing half; learners_next become learners. */
const char *raft_confchange_leave_joint(const struct raft_changer *changer,
                                        struct raft_change_result *out);
/* Decides by the form of the change among the three above. */
const char *raft_confchange_apply(const struct raft_changer *changer,
                                  const struct floe_conf_change *change,
                                  struct raft_change_result *out);
/* Builds the configuration of a ConfState from nothing (changer->config and progress are not
 * looked at). Fails also if the lists contradict each other. */
const char *raft_confchange_restore(const struct raft_changer *changer,
                                    const struct floe_conf_state *cs,
                                    struct raft_change_result *out);

/* An automatic change without changes leaves a joint configuration. */
bool raft_confchange_is_leave_joint(const struct floe_conf_change *change);

#endif
