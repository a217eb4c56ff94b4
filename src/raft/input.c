/* The calls of floe/raft.h that make a message of themselves, bootstrap, and those that look. */
#include "raft/core.h"

#include "base/assert.h"
#include "base/mem.h"

enum floe_err floe_raft_campaign(struct floe_raft *r)
{
    struct floe_message m = {.type = FLOE_MSG_HUP, .from = r->id};
    return raft_step(r, &m);
}

enum floe_err floe_raft_propose_batch(struct floe_raft *r, struct floe_blob *const *data,
                                      size_t count)
{
    struct floe_entry few[16];
    struct floe_entry *entries =
        count <= sizeof few / sizeof few[0] ? few : mem_calloc(count, sizeof *entries);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct floe_entry){.data = data[i]};
    struct floe_message m = {
        .type = FLOE_MSG_PROP, .from = r->id, .entries = entries, .entry_count = count};
    enum floe_err err = raft_step(r, &m);
    if (entries != few)
        mem_free(entries);
    return err;
}

enum floe_err floe_raft_propose(struct floe_raft *r, struct floe_blob *data)
{
    return floe_raft_propose_batch(r, &data, 1);
}

enum floe_err floe_raft_propose_conf_change(struct floe_raft *r,
                                            const struct floe_conf_change *change, bool v1)
{
    if (v1 && (change->change_count != 1 || change->transition != FLOE_CONF_TRANSITION_AUTO))
        return FLOE_ERR_INVALID;
    struct floe_entry entry = {.type = v1 ? FLOE_ENTRY_CONF_CHANGE : FLOE_ENTRY_CONF_CHANGE_V2,
                               .type_set = true};
    entry.data = v1 ? floe_conf_change_encode_v1(change->changes[0], change->context)
                    : floe_conf_change_encode(change);
    struct floe_message m = {.type = FLOE_MSG_PROP, .entries = &entry, .entry_count = 1};
    enum floe_err err = raft_step(r, &m);
    floe_entry_deinit(&entry);
    return err;
}

void floe_raft_read_index(struct floe_raft *r, struct floe_blob *context)
{
    struct floe_entry entry = {.data = context};
    struct floe_message m = {.type = FLOE_MSG_READ_INDEX, .entries = &entry, .entry_count = 1};
    (void)raft_step(r, &m);
}

void floe_raft_transfer_leader(struct floe_raft *r, floe_id transferee)
{
    struct floe_message m = {.type = FLOE_MSG_TRANSFER_LEADER, .from = transferee};
    (void)raft_step(r, &m);
}

enum floe_err floe_raft_forget_leader(struct floe_raft *r)
{
    struct floe_message m = {.type = FLOE_MSG_FORGET_LEADER};
    return raft_step(r, &m);
}

void floe_raft_report_unreachable(struct floe_raft *r, floe_id id)
{
    struct floe_message m = {.type = FLOE_MSG_UNREACHABLE, .from = id};
    (void)raft_step(r, &m);
}

void floe_raft_report_snapshot(struct floe_raft *r, floe_id id, bool failed)
{
    struct floe_message m = {.type = FLOE_MSG_SNAP_STATUS, .from = id, .reject = failed};
    (void)raft_step(r, &m);
}

/* ---- bootstrap ------------------------------------------------------------------------------------ */

enum floe_err floe_raft_bootstrap(struct floe_raft *r, const floe_id *peers,
                                  struct floe_blob *const *contexts, size_t count)
{
    if (count == 0 || raft_log_last_index(&r->log) != 0 || r->term > 1)
        return FLOE_ERR_INVALID;
    for (size_t i = 0; i < count; i++)
        if (peers[i] == FLOE_ID_NONE || peers[i] >= FLOE_ID_APPLY_THREAD)
            return FLOE_ERR_INVALID;
    r->prev_hard = (struct floe_hard_state){0}; /* so that the first batch brings it */
    raft_become_follower(r, 1, FLOE_ID_NONE);
    struct floe_entry *entries = mem_calloc(count, sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        struct floe_conf_change_single single = {.type = FLOE_CONF_ADD_NODE, .node_id = peers[i]};
        entries[i] = (struct floe_entry){
            .term = 1,
            .index = i + 1,
            .type = FLOE_ENTRY_CONF_CHANGE,
            .type_set = true,
            .data = floe_conf_change_encode_v1(single, contexts != NULL ? contexts[i] : NULL)};
    }
    raft_log_append(&r->log, entries, count);
    floe_entries_free(entries, count);
    /* The entries are committed by decree: every first member has the same ones. The membership
     * is needed before they are applied, which later finds it done. */
    r->log.committed = count;
    for (size_t i = 0; i < count; i++) {
        struct floe_conf_change_single single = {.type = FLOE_CONF_ADD_NODE, .node_id = peers[i]};
        struct floe_conf_change change = {.changes = &single, .change_count = 1};
        enum floe_err err = floe_raft_apply_conf_change(r, &change, NULL);
        ASSERT(err == FLOE_OK);
    }
    return FLOE_OK;
}

/* ---- looking --------------------------------------------------------------------------------------- */

struct floe_basic_status floe_raft_basic_status(const struct floe_raft *r)
{
    return (struct floe_basic_status){.id = r->id,
                                      .hard_state = raft_hard_state(r),
                                      .soft_state = raft_soft_state(r),
                                      .applied = r->log.applied,
                                      .last_index = raft_log_last_index(&r->log),
                                      .lead_transferee = r->lead_transferee,
                                      .election_elapsed = r->election_elapsed};
}

struct floe_status floe_raft_status(const struct floe_raft *r)
{
    struct floe_status status = {.basic = floe_raft_basic_status(r),
                                 .conf_state = raft_config_conf_state(&r->trk.config)};
    if (r->state == FLOE_STATE_LEADER) {
        status.progress = raft_progress_map_export(&r->trk.progress);
        status.progress_count = r->trk.progress.count;
    }
    return status;
}

void floe_status_deinit(struct floe_status *status)
{
    floe_conf_state_deinit(&status->conf_state);
    mem_free(status->progress);
    *status = (struct floe_status){0};
}

bool floe_raft_is_voter(const struct floe_raft *r, floe_id id)
{
    return raft_config_is_voter(&r->trk.config, id);
}

bool floe_raft_is_learner(const struct floe_raft *r, floe_id id)
{
    return floe_ids_contain(&r->trk.config.learners, id);
}

floe_term floe_raft_term_at(const struct floe_raft *r, floe_index index)
{
    return raft_log_term_or_zero(&r->log, index);
}

void floe_raft_set_randomized_election_timeout(struct floe_raft *r, uint32_t ticks)
{
    r->randomized_election_timeout = ticks;
}
