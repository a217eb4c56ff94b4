/* Sets, the map and votes; what a quorum is made of. */
#include "raft/tracker.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/ids.h"

#include <string.h>

/* ---- configuration ------------------------------------------------------------------------------ */

struct raft_config raft_config_copy(const struct raft_config *config)
{
    return (struct raft_config){.incoming = raft_ids_copy(&config->incoming),
                                .outgoing = raft_ids_copy(&config->outgoing),
                                .learners = raft_ids_copy(&config->learners),
                                .learners_next = raft_ids_copy(&config->learners_next),
                                .auto_leave = config->auto_leave};
}

void raft_config_deinit(struct raft_config *config)
{
    raft_ids_deinit(&config->incoming);
    raft_ids_deinit(&config->outgoing);
    raft_ids_deinit(&config->learners);
    raft_ids_deinit(&config->learners_next);
    config->auto_leave = false;
}

bool raft_config_is_joint(const struct raft_config *config)
{
    return config->outgoing.count > 0;
}

bool raft_config_is_voter(const struct raft_config *config, floe_id id)
{
    return raft_ids_has(&config->incoming, id) || raft_ids_has(&config->outgoing, id);
}

struct floe_conf_state raft_config_conf_state(const struct raft_config *config)
{
    return (struct floe_conf_state){.voters = raft_ids_copy(&config->incoming),
                                    .voters_outgoing = raft_ids_copy(&config->outgoing),
                                    .learners = raft_ids_copy(&config->learners),
                                    .learners_next = raft_ids_copy(&config->learners_next),
                                    .auto_leave = config->auto_leave};
}

/* ---- progress map --------------------------------------------------------------------------------- */

struct raft_progress_map raft_progress_map_copy(const struct raft_progress_map *map)
{
    struct raft_progress_map copy = {0};
    if (map->count == 0)
        return copy;
    copy.item = mem_dup(map->item, map->count * sizeof *map->item);
    copy.count = map->count;
    for (size_t i = 0; i < map->count; i++)
        copy.item[i].inflights = raft_inflights_copy(&map->item[i].inflights);
    return copy;
}

void raft_progress_map_deinit(struct raft_progress_map *map)
{
    for (size_t i = 0; i < map->count; i++)
        raft_inflights_deinit(&map->item[i].inflights);
    mem_free(map->item);
    *map = (struct raft_progress_map){0};
}

static size_t lower_bound(const struct raft_progress_map *map, floe_id id)
{
    size_t lo = 0;
    size_t hi = map->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (map->item[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct raft_progress *raft_progress_map_find(const struct raft_progress_map *map, floe_id id)
{
    size_t at = lower_bound(map, id);
    return at < map->count && map->item[at].id == id ? &map->item[at] : NULL;
}

struct raft_progress *raft_progress_map_put(struct raft_progress_map *map, floe_id id)
{
    size_t at = lower_bound(map, id);
    ASSERT(at == map->count || map->item[at].id != id);
    map->item = mem_realloc(map->item, (map->count + 1) * sizeof *map->item);
    memmove(map->item + at + 1, map->item + at, (map->count - at) * sizeof *map->item);
    map->count++;
    map->item[at] = (struct raft_progress){.id = id};
    return &map->item[at];
}

void raft_progress_map_remove(struct raft_progress_map *map, floe_id id)
{
    size_t at = lower_bound(map, id);
    if (at == map->count || map->item[at].id != id)
        return;
    raft_inflights_deinit(&map->item[at].inflights);
    map->count--;
    memmove(map->item + at, map->item + at + 1, (map->count - at) * sizeof *map->item);
}

struct floe_progress *raft_progress_map_export(const struct raft_progress_map *map)
{
    if (map->count == 0)
        return NULL;
    struct floe_progress *out = mem_calloc(map->count, sizeof *out);
    for (size_t i = 0; i < map->count; i++)
        out[i] = raft_progress_export(&map->item[i]);
    return out;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

void raft_tracker_deinit(struct raft_tracker *trk)
{
    raft_config_deinit(&trk->config);
    raft_progress_map_deinit(&trk->progress);
    mem_free(trk->votes);
    *trk = (struct raft_tracker){0};
}

void raft_tracker_switch(struct raft_tracker *trk, struct raft_config *config,
                         struct raft_progress_map *progress)
{
    raft_config_deinit(&trk->config);
    raft_progress_map_deinit(&trk->progress);
    trk->config = *config;
    trk->progress = *progress;
    *config = (struct raft_config){0};
    *progress = (struct raft_progress_map){0};
}

struct raft_progress *raft_tracker_find(const struct raft_tracker *trk, floe_id id)
{
    return raft_progress_map_find(&trk->progress, id);
}

static bool match_of(void *arg, floe_id id, floe_index *out)
{
    const struct raft_progress *pr = raft_tracker_find(arg, id);
    if (pr == NULL)
        return false;
    *out = pr->match;
    return true;
}

static enum raft_ballot activity_of(void *arg, floe_id id)
{
    const struct raft_progress *pr = raft_tracker_find(arg, id);
    if (pr == NULL || pr->is_learner)
        return RAFT_BALLOT_NONE;
    return pr->recent_active ? RAFT_BALLOT_YES : RAFT_BALLOT_NO;
}

static const struct raft_vote *find_vote(const struct raft_tracker *trk, floe_id id)
{
    for (size_t i = 0; i < trk->vote_count; i++)
        if (trk->votes[i].id == id)
            return &trk->votes[i];
    return NULL;
}

static enum raft_ballot ballot_of(void *arg, floe_id id)
{
    const struct raft_vote *vote = find_vote(arg, id);
    if (vote == NULL)
        return RAFT_BALLOT_NONE;
    return vote->granted ? RAFT_BALLOT_YES : RAFT_BALLOT_NO;
}

/* The callbacks above only read. */
static void *as_arg(const struct raft_tracker *trk)
{
    void *arg;
    memcpy(&arg, &trk, sizeof arg);
    return arg;
}

floe_index raft_tracker_committed(const struct raft_tracker *trk)
{
    return raft_joint_committed(&trk->config.incoming, &trk->config.outgoing, match_of,
                                as_arg(trk));
}

bool raft_tracker_quorum_active(const struct raft_tracker *trk)
{
    return raft_joint_vote(&trk->config.incoming, &trk->config.outgoing, activity_of,
                           as_arg(trk)) == RAFT_VOTE_WON;
}

bool raft_tracker_is_singleton(const struct raft_tracker *trk)
{
    return trk->config.incoming.count == 1 && trk->config.outgoing.count == 0;
}

void raft_tracker_reset_votes(struct raft_tracker *trk)
{
    trk->vote_count = 0;
}

void raft_tracker_record_vote(struct raft_tracker *trk, floe_id id, bool granted)
{
    if (find_vote(trk, id) != NULL)
        return;
    trk->votes = mem_grow(trk->votes, trk->vote_count, &trk->vote_cap, sizeof *trk->votes);
    trk->votes[trk->vote_count++] = (struct raft_vote){id, granted};
}

enum raft_vote_result raft_tracker_tally(const struct raft_tracker *trk, size_t *granted,
                                         size_t *rejected)
{
    *granted = 0;
    *rejected = 0;
    for (size_t i = 0; i < trk->progress.count; i++) {
        const struct raft_progress *pr = &trk->progress.item[i];
        const struct raft_vote *vote = pr->is_learner ? NULL : find_vote(trk, pr->id);
        if (vote == NULL)
            continue;
        *granted += vote->granted;
        *rejected += !vote->granted;
    }
    return raft_joint_vote(&trk->config.incoming, &trk->config.outgoing, ballot_of, as_arg(trk));
}
