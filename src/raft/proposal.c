/* Proposals at the leader: which are taken, and what becomes of membership changes among them. */
#include "raft/core.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/describe.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- membership changes among proposals ------------------------------------------------------------- */

/* Why the change cannot be taken now; false: it can. */
static bool refuse_change(const struct floe_raft *r, const struct floe_conf_change *change,
                          char *why, size_t size)
{
    bool joint = raft_config_is_joint(&r->trk.config);
    bool leaves = change->change_count == 0;
    if (r->pending_conf_index > r->log.applied)
        (void)snprintf(why, size,
                       "possible unapplied conf change at index %" PRIu64 " (applied to %" PRIu64
                       ")",
                       r->pending_conf_index, r->log.applied);
    else if (joint && !leaves)
        (void)snprintf(why, size, "must transition out of joint config first");
    else if (!joint && leaves)
        (void)snprintf(why, size, "not in joint state; refusing empty conf change");
    else
        return false;
    return !r->disable_conf_change_validation;
}

static void log_refusal(const struct floe_raft *r, const struct floe_conf_change *change,
                        const char *why)
{
    struct buf text = {0};
    struct buf config = {0};
    describe_conf_change(&text, change);
    describe_config(&config, &r->trk.config);
    raft_info(&r->logger, "%" PRIx64 " ignoring conf change %s at config %s: %s", r->id,
              buf_str(&text), buf_str(&config), why);
    buf_deinit(&text);
    buf_deinit(&config);
}

/* Looks at entry number at of a proposal; a refused change becomes an empty entry in its place. */
static void check_entry(struct floe_raft *r, struct floe_entry *entry, size_t at)
{
    if (entry->type == FLOE_ENTRY_NORMAL)
        return;
    struct floe_conf_change change;
    enum floe_err err = floe_conf_change_decode(entry->type, entry->data, &change);
    ASSERT(err == FLOE_OK); /* all_decode */
    char why[128];
    if (refuse_change(r, &change, why, sizeof why)) {
        log_refusal(r, &change, why);
        floe_entry_deinit(entry);
        entry->type_set = true;
    } else {
        r->pending_conf_index = raft_log_last_index(&r->log) + at + 1;
    }
    floe_conf_change_deinit(&change);
}

static bool all_decode(const struct floe_message *m)
{
    for (size_t i = 0; i < m->entry_count; i++) {
        struct floe_conf_change change;
        if (m->entries[i].type == FLOE_ENTRY_NORMAL)
            continue;
        if (floe_conf_change_decode(m->entries[i].type, m->entries[i].data, &change) != FLOE_OK)
            return false;
        floe_conf_change_deinit(&change);
    }
    return true;
}

enum floe_err raft_propose_at_leader(struct floe_raft *r, const struct floe_message *m)
{
    if (m->entry_count == 0)
        return FLOE_ERR_INVALID;
    if (raft_tracker_find(&r->trk, r->id) == NULL)
        return FLOE_ERR_PROPOSAL_DROPPED; /* removed, but still leading */
    if (r->lead_transferee != FLOE_ID_NONE) {
        raft_debug(&r->logger,
                   "%" PRIx64 " [term %" PRIu64 "] transfer leadership to %" PRIx64
                   " is in progress; dropping proposal",
                   r->id, r->term, r->lead_transferee);
        return FLOE_ERR_PROPOSAL_DROPPED;
    }
    if (!all_decode(m))
        return FLOE_ERR_INVALID;
    struct floe_entry *entries = floe_entries_copy(m->entries, m->entry_count);
    for (size_t i = 0; i < m->entry_count; i++)
        check_entry(r, &entries[i], i);
    bool appended = raft_append_entries(r, entries, m->entry_count);
    floe_entries_free(entries, m->entry_count);
    if (!appended)
        return FLOE_ERR_PROPOSAL_DROPPED;
    raft_bcast_append(r);
    return FLOE_OK;
}
