/*
 * Membership and what is known of each member: configuration, progress map, votes.
 *
 * The configuration holds two majorities, of which the outgoing one is non-empty only in a joint
 * configuration (thesis 4.3). Invariants: learners are disjoint from voters of both halves,
 * learners_next lies within the outgoing voters, and the map holds exactly all of these.
 */
#ifndef RAFT_TRACKER_H
#define RAFT_TRACKER_H

#include "raft/progress.h"
#include "raft/quorum.h"

/* All sets as in ids.h: sorted, no duplicates. Zero is the empty configuration. */
struct raft_config {
    struct floe_ids incoming; /* the voters, if not joint */
    struct floe_ids outgoing;
    struct floe_ids learners;
    struct floe_ids learners_next; /* become learners on leaving the joint configuration */
    bool auto_leave;
};

struct raft_config raft_config_copy(const struct raft_config *config);
void raft_config_deinit(struct raft_config *config);
bool raft_config_is_joint(const struct raft_config *config);
bool raft_config_is_voter(const struct raft_config *config, floe_id id); /* in either half */
/* The same as a ConfState, sorted; owned by caller. */
struct floe_conf_state raft_config_conf_state(const struct raft_config *config);

/* Ascending by id. Zero is an empty map. Pointers into it hold until the next put or remove. */
struct raft_progress_map {
    struct raft_progress *item;
    size_t count;
};

struct raft_progress_map raft_progress_map_copy(const struct raft_progress_map *map);
void raft_progress_map_deinit(struct raft_progress_map *map);
struct raft_progress *raft_progress_map_find(const struct raft_progress_map *map, floe_id id);
/* Adds a zeroed progress for id, which must not be there. */
struct raft_progress *raft_progress_map_put(struct raft_progress_map *map, floe_id id);
void raft_progress_map_remove(struct raft_progress_map *map, floe_id id);
/* An array of count (map->count) public pictures, owned by caller (mem_free); NULL if empty. */
struct floe_progress *raft_progress_map_export(const struct raft_progress_map *map);

struct raft_vote {
    floe_id id;
    bool granted;
};

struct raft_tracker {
    struct raft_config config;
    struct raft_progress_map progress;
    struct raft_vote *votes; /* of the current campaign */
    size_t vote_count;
    size_t vote_cap;
    size_t max_inflight;
    uint64_t max_inflight_bytes; /* 0 = no limit */
};

void raft_tracker_deinit(struct raft_tracker *trk);
/* Takes over what is in *config and *progress (zeroed). */
void raft_tracker_switch(struct raft_tracker *trk, struct raft_config *config,
                         struct raft_progress_map *progress);
struct raft_progress *raft_tracker_find(const struct raft_tracker *trk, floe_id id);
/* The index that the quorum of matches has reached. */
floe_index raft_tracker_committed(const struct raft_tracker *trk);
/* Has a quorum been recently active? */
bool raft_tracker_quorum_active(const struct raft_tracker *trk);
bool raft_tracker_is_singleton(const struct raft_tracker *trk);
void raft_tracker_reset_votes(struct raft_tracker *trk);
/* The first vote of a member counts. */
void raft_tracker_record_vote(struct raft_tracker *trk, floe_id id, bool granted);
/* Counts are of tracked members that are not learners. */
enum raft_vote_result raft_tracker_tally(const struct raft_tracker *trk, size_t *granted,
                                         size_t *rejected);

#endif
