/*
 * Changes work on copies. A removed or demoted voter of the outgoing half keeps its progress until
 * the joint configuration is left.
 */
#include "raft/confchange.h"

#include "base/assert.h"
#include "raft/ids.h"

#define ERR_MANY "more than one voter changed without entering joint config"
#define ERR_NO_VOTERS "removed all voters"
#define ERR_SIMPLE_IN_JOINT "can't apply simple config change in joint config"
#define ERR_JOINT_ALREADY "config is already joint"
#define ERR_ZERO_VOTERS "can't make a zero-voter config joint"
#define ERR_NOT_JOINT "can't leave a non-joint config"
#define ERR_CONTRADICTION "the lists of the ConfState contradict each other"

struct draft {
    const struct raft_changer *changer;
    struct raft_config config;
    struct raft_progress_map progress;
};

void raft_change_result_deinit(struct raft_change_result *result)
{
    raft_config_deinit(&result->config);
    raft_progress_map_deinit(&result->progress);
}

static struct draft draft_of(const struct raft_changer *changer)
{
    return (struct draft){.changer = changer,
                          .config = raft_config_copy(changer->config),
                          .progress = raft_progress_map_copy(changer->progress)};
}

static void draft_deinit(struct draft *draft)
{
    raft_config_deinit(&draft->config);
    raft_progress_map_deinit(&draft->progress);
}

/* Hands the draft out, or throws it away if there is a reason why not. */
static const char *finish(struct draft *draft, const char *why, struct raft_change_result *out)
{
    if (why != NULL) {
        draft_deinit(draft);
        return why;
    }
    *out = (struct raft_change_result){draft->config, draft->progress};
    return NULL;
}

/* ---- single changes -------------------------------------------------------------------------------- */

static void init_progress(struct draft *draft, floe_id id, bool is_learner)
{
    const struct raft_changer *changer = draft->changer;
    (void)raft_ids_insert(is_learner ? &draft->config.learners : &draft->config.incoming, id);
    struct raft_progress *pr = raft_progress_map_put(&draft->progress, id);
    pr->next = changer->last_index > 1 ? changer->last_index : 1;
    pr->is_learner = is_learner;
    pr->recent_active = true; /* else adding a member could depose the leader at once */
    raft_inflights_init(&pr->inflights, changer->max_inflight, changer->max_inflight_bytes);
}

static void make_voter(struct draft *draft, floe_id id)
{
    struct raft_progress *pr = raft_progress_map_find(&draft->progress, id);
    if (pr == NULL) {
        init_progress(draft, id, false);
        return;
    }
    pr->is_learner = false;
    (void)raft_ids_remove(&draft->config.learners, id);
    (void)raft_ids_remove(&draft->config.learners_next, id);
    (void)raft_ids_insert(&draft->config.incoming, id);
}

static void remove_node(struct draft *draft, floe_id id)
{
    if (raft_progress_map_find(&draft->progress, id) == NULL)
        return;
    (void)raft_ids_remove(&draft->config.incoming, id);
    (void)raft_ids_remove(&draft->config.learners, id);
    (void)raft_ids_remove(&draft->config.learners_next, id);
    if (!raft_ids_has(&draft->config.outgoing, id))
        raft_progress_map_remove(&draft->progress, id);
}

static void make_learner(struct draft *draft, floe_id id)
{
    struct raft_progress *pr = raft_progress_map_find(&draft->progress, id);
    if (pr == NULL) {
        init_progress(draft, id, true);
        return;
    }
    if (pr->is_learner)
        return;
    (void)raft_ids_remove(&draft->config.incoming, id);
    if (raft_ids_has(&draft->config.outgoing, id)) {
        (void)raft_ids_insert(&draft->config.learners_next, id);
    } else {
        pr->is_learner = true;
        (void)raft_ids_insert(&draft->config.learners, id);
    }
}

static const char *apply_all(struct draft *draft, const struct floe_conf_change_single *changes,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (changes[i].node_id == FLOE_ID_NONE)
            continue; /* an application's way to say "no change" */
        switch (changes[i].type) {
        case FLOE_CONF_ADD_NODE: make_voter(draft, changes[i].node_id); break;
        case FLOE_CONF_ADD_LEARNER: make_learner(draft, changes[i].node_id); break;
        case FLOE_CONF_REMOVE_NODE: remove_node(draft, changes[i].node_id); break;
        case FLOE_CONF_UPDATE_NODE: break;
        }
    }
    return draft->config.incoming.count == 0 ? ERR_NO_VOTERS : NULL;
}

/* ---- the three kinds of change ------------------------------------------------------------------------ */

const char *raft_confchange_simple(const struct raft_changer *changer,
                                   const struct floe_conf_change_single *changes, size_t count,
                                   struct raft_change_result *out)
{
    if (raft_config_is_joint(changer->config))
        return ERR_SIMPLE_IN_JOINT;
    struct draft draft = draft_of(changer);
    const char *why = apply_all(&draft, changes, count);
    if (why == NULL &&
        raft_ids_difference(&changer->config->incoming, &draft.config.incoming) > 1)
        why = ERR_MANY;
    draft.config.auto_leave = false;
    return finish(&draft, why, out);
}

const char *raft_confchange_enter_joint(const struct raft_changer *changer, bool auto_leave,
                                        const struct floe_conf_change_single *changes,
                                        size_t count, struct raft_change_result *out)
{
    if (raft_config_is_joint(changer->config))
        return ERR_JOINT_ALREADY;
    if (changer->config->incoming.count == 0)
        return ERR_ZERO_VOTERS;
    struct draft draft = draft_of(changer);
    raft_ids_deinit(&draft.config.outgoing);
    draft.config.outgoing = raft_ids_copy(&draft.config.incoming);
    const char *why = apply_all(&draft, changes, count);
    draft.config.auto_leave = auto_leave;
    return finish(&draft, why, out);
}

const char *raft_confchange_leave_joint(const struct raft_changer *changer,
                                        struct raft_change_result *out)
{
    if (!raft_config_is_joint(changer->config))
        return ERR_NOT_JOINT;
    struct draft draft = draft_of(changer);
    struct raft_config *config = &draft.config;
    for (size_t i = 0; i < config->learners_next.count; i++) {
        floe_id id = config->learners_next.id[i];
        (void)raft_ids_insert(&config->learners, id);
        raft_progress_map_find(&draft.progress, id)->is_learner = true;
    }
    raft_ids_deinit(&config->learners_next);
    for (size_t i = 0; i < config->outgoing.count; i++) {
        floe_id id = config->outgoing.id[i];
        if (!raft_ids_has(&config->incoming, id) && !raft_ids_has(&config->learners, id))
            raft_progress_map_remove(&draft.progress, id);
    }
    raft_ids_deinit(&config->outgoing);
    config->auto_leave = false;
    return finish(&draft, NULL, out);
}

bool raft_confchange_is_leave_joint(const struct floe_conf_change *change)
{
    return change->transition == FLOE_CONF_TRANSITION_AUTO && change->change_count == 0;
}

const char *raft_confchange_apply(const struct raft_changer *changer,
                                  const struct floe_conf_change *change,
                                  struct raft_change_result *out)
{
    if (raft_confchange_is_leave_joint(change))
        return raft_confchange_leave_joint(changer, out);
    bool joint = change->transition != FLOE_CONF_TRANSITION_AUTO || change->change_count > 1;
    if (!joint)
        return raft_confchange_simple(changer, change->changes, change->change_count, out);
    return raft_confchange_enter_joint(changer,
                                       change->transition != FLOE_CONF_TRANSITION_JOINT_EXPLICIT,
                                       change->changes, change->change_count, out);
}

/* ---- from a ConfState ----------------------------------------------------------------------------------- */

static bool contradicts(const struct floe_conf_state *cs)
{
    for (size_t i = 0; i < cs->learners.count; i++)
        if (floe_ids_contain(&cs->voters, cs->learners.id[i]) ||
            floe_ids_contain(&cs->voters_outgoing, cs->learners.id[i]))
            return true;
    for (size_t i = 0; i < cs->learners_next.count; i++)
        if (!floe_ids_contain(&cs->voters_outgoing, cs->learners_next.id[i]) ||
            floe_ids_contain(&cs->voters, cs->learners_next.id[i]))
            return true;
    return floe_ids_contain(&cs->voters, FLOE_ID_NONE) ||
           floe_ids_contain(&cs->voters_outgoing, FLOE_ID_NONE) ||
           floe_ids_contain(&cs->learners, FLOE_ID_NONE);
}

static void add_voters(struct draft *draft, const struct floe_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        make_voter(draft, ids->id[i]);
}

/* First the outgoing voters as they were, then, if joint, the way into the joint configuration. */
const char *raft_confchange_restore(const struct raft_changer *changer,
                                    const struct floe_conf_state *cs,
                                    struct raft_change_result *out)
{
    if (contradicts(cs))
        return ERR_CONTRADICTION;
    struct draft draft = {.changer = changer};
    bool joint = cs->voters_outgoing.count > 0;
    if (joint) {
        add_voters(&draft, &cs->voters_outgoing);
        draft.config.outgoing = raft_ids_copy(&draft.config.incoming);
        for (size_t i = 0; i < cs->voters_outgoing.count; i++)
            remove_node(&draft, cs->voters_outgoing.id[i]);
        draft.config.auto_leave = cs->auto_leave;
    }
    add_voters(&draft, &cs->voters);
    for (size_t i = 0; i < cs->learners.count; i++)
        make_learner(&draft, cs->learners.id[i]);
    for (size_t i = 0; i < cs->learners_next.count; i++)
        make_learner(&draft, cs->learners_next.id[i]);
    bool empty = cs->learners.count + cs->voters.count == 0 && !joint;
    const char *why = draft.config.incoming.count == 0 && !empty ? ERR_NO_VOTERS : NULL;
    return finish(&draft, why, out);
}
