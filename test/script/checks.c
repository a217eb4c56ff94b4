/*
 * What must hold after every command: of each node by itself (raft/invariants.h, monotony), and of
 * all nodes together (thesis figure 3.2).
 *
 * The checks across nodes end for good where the script itself leaves what the thesis promises: a
 * hand-made message, nodes without validation of membership changes, nodes that start from
 * different memberships, a membership that is used after it went stale (see env_newest), or a
 * restart that loses a term or vote whose messages have left (see env_restart).
 */
#include "env.h"

#include "base/mem.h"
#include "raft/invariants.h"

#include <string.h>

#define APPLIED_MAX 100000u /* entries remembered; what comes after is not compared */

void env_seen_deinit(struct env_seen *seen)
{
    mem_free(seen->leaders);
    floe_entries_free(seen->applied, seen->applied_count);
    floe_conf_state_deinit(&seen->first);
    *seen = (struct env_seen){0};
}

void env_note_start(struct env *env, const struct floe_config *config,
                    const struct floe_snapshot *snapshot)
{
    struct env_seen *seen = &env->seen;
    if (config->disable_conf_change_validation)
        seen->off = true;
    if (snapshot->index == 0)
        return;
    if (!seen->has_first) {
        seen->first = floe_conf_state_copy(&snapshot->conf_state);
        seen->has_first = true;
    } else if (!floe_conf_state_equivalent(&seen->first, &snapshot->conf_state)) {
        seen->off = true;
    }
}

/* ---- what was applied ------------------------------------------------------------------------ */

/* The first position whose index is not below index. */
static size_t lower_bound(const struct env_seen *seen, floe_index index)
{
    size_t lo = 0;
    size_t hi = seen->applied_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (seen->applied[mid].index < index)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool same_entry(const struct floe_entry *a, const struct floe_entry *b)
{
    size_t size = floe_blob_size(a->data);
    return a->term == b->term && a->type == b->type && size == floe_blob_size(b->data) &&
           (size == 0 || memcmp(floe_blob_data(a->data), floe_blob_data(b->data), size) == 0);
}

void env_note_applied(struct env *env, const struct floe_entry *entry)
{
    struct env_seen *seen = &env->seen;
    size_t at = lower_bound(seen, entry->index);
    if (at < seen->applied_count && seen->applied[at].index == entry->index) {
        if (!seen->off && !same_entry(&seen->applied[at], entry))
            seen->broken = "state machine safety: two nodes applied different entries at one index";
        return;
    }
    if (seen->applied_count >= APPLIED_MAX)
        return;
    seen->applied =
        mem_grow(seen->applied, seen->applied_count, &seen->applied_cap, sizeof *seen->applied);
    memmove(seen->applied + at + 1, seen->applied + at,
            (seen->applied_count - at) * sizeof *seen->applied);
    seen->applied[at] = floe_entry_copy(entry);
    seen->applied_count++;
}

/* ---- one node by itself ---------------------------------------------------------------------- */

static const char *check_monotone(struct env_node *node, const struct floe_basic_status *status)
{
    const struct floe_hard_state *now = &status->hard_state;
    if (now->term < node->seen.term)
        return "the term never decreases";
    if (now->commit < node->seen.commit)
        return "the commit index never decreases";
    if (status->applied < node->seen_applied)
        return "the applied index never decreases";
    if (now->term == node->seen.term && node->seen.vote != 0 && now->vote != node->seen.vote)
        return "one vote a term";
    node->seen = *now;
    node->seen_applied = status->applied;
    return NULL;
}

/* ---- all nodes together ---------------------------------------------------------------------- */

/* At most one leader a term. */
static const char *check_leader(struct env_seen *seen, const struct floe_basic_status *status)
{
    if (status->soft_state.state != FLOE_STATE_LEADER)
        return NULL;
    for (size_t i = 0; i < seen->leader_count; i++)
        if (seen->leaders[i].term == status->hard_state.term)
            return seen->leaders[i].id == status->id ? NULL
                                                     : "election safety: two leaders in one term";
    seen->leaders =
        mem_grow(seen->leaders, seen->leader_count, &seen->leader_cap, sizeof *seen->leaders);
    seen->leaders[seen->leader_count++] = (struct env_leader){status->hard_state.term, status->id};
    return NULL;
}

/* What is committed here is what was applied anywhere (log matching); the leader of the newest
 * term that any node knows has all of it (leader completeness). Positions that the node's storage
 * no longer holds, or never held because it began with a snapshot, are not compared. */
static const char *check_log(const struct env_seen *seen, const struct env_node *node,
                             const struct floe_basic_status *status)
{
    bool complete =
        status->soft_state.state == FLOE_STATE_LEADER && status->hard_state.term == seen->term_max;
    floe_index first = floe_memstore_first_index(node->store);
    for (size_t i = lower_bound(seen, first); i < seen->applied_count; i++) {
        const struct floe_entry *entry = &seen->applied[i];
        if (entry->index > status->last_index)
            return complete ? "leader completeness: an applied entry is missing" : NULL;
        if (entry->index > status->hard_state.commit && !complete)
            return NULL;
        floe_term own = floe_raft_term_at(node->raft, entry->index);
        if (own != 0 && own != entry->term)
            return "log matching: a committed entry differs from an applied one";
    }
    return NULL;
}

static const char *check_node(struct env *env, struct env_node *node)
{
    struct floe_basic_status status = floe_raft_basic_status(node->raft);
    const char *broken = raft_check_invariants(node->raft);
    if (broken == NULL)
        broken = check_monotone(node, &status);
    if (broken == NULL && !env->seen.off)
        broken = check_leader(&env->seen, &status);
    if (env->seen.term_max < status.hard_state.term)
        env->seen.term_max = status.hard_state.term;
    return broken;
}

/* Logs come second: who leads the newest term is known only when all nodes have been looked at. */
const char *env_check(struct env *env)
{
    const char *broken = env->seen.broken;
    for (size_t i = 0; i < env->node_count && broken == NULL; i++)
        broken = check_node(env, env->nodes[i]);
    for (size_t i = 0; i < env->node_count && broken == NULL && !env->seen.off; i++) {
        struct floe_basic_status status = floe_raft_basic_status(env->nodes[i]->raft);
        broken = check_log(&env->seen, env->nodes[i], &status);
    }
    return broken;
}
