/* One rule a type: what its handler takes for granted, and only where the handler is reached. */
#include "raft/validate.h"

/* Is the message of the current term (or of none), or of a later one? Older ones are not looked
 * into. */
static bool is_old(const struct floe_raft *r, const struct floe_message *m)
{
    return m->term != 0 && m->term < r->term;
}

static bool reaches_leader(const struct floe_raft *r, const struct floe_message *m)
{
    return r->state == FLOE_STATE_LEADER && (m->term == 0 || m->term == r->term);
}

/* The types are an index into tables, and tell whether the payload is decoded. */
static bool entry_types_are_known(const struct floe_message *m)
{
    for (size_t i = 0; i < m->entry_count; i++)
        if ((unsigned)m->entries[i].type > FLOE_ENTRY_CONF_CHANGE_V2)
            return false;
    return true;
}

/* ---- from a leader ------------------------------------------------------------------------------ */

/* Nobody is led by himself, and nobody goes back to term 0. */
static bool leader_is_possible(const struct floe_raft *r, const struct floe_message *m)
{
    return m->from != r->id &&
           (m->term != 0 || r->term == 0 || r->state == FLOE_STATE_FOLLOWER);
}

/* Entries are looked at only where the log agrees with what they follow. */
static bool append_is_sound(const struct floe_raft *r, const struct floe_message *m)
{
    struct raft_entry_id prev = {m->log_term, m->index};
    if (m->index < r->log.committed || !raft_log_matches(&r->log, prev))
        return true;
    floe_term newest = m->term != 0 ? m->term : r->term;
    floe_term before = m->log_term;
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct floe_entry *entry = &m->entries[i];
        if (entry->index != m->index + 1 + i || entry->term < before || entry->term > newest)
            return false; /* a gap, or terms that no log has */
        before = entry->term;
    }
    return true;
}

static bool snapshot_is_sound(const struct floe_raft *r, const struct floe_message *m)
{
    const struct floe_snapshot *snapshot = m->snapshot;
    if (snapshot == NULL || snapshot->index <= r->log.committed)
        return true; /* is ignored */
    if (snapshot->index == UINT64_MAX)
        return false; /* no entry could follow */
    struct raft_changer changer = raft_changer_of(r);
    struct raft_change_result result;
    if (raft_confchange_restore(&changer, &snapshot->conf_state, &result) != NULL)
        return false;
    raft_change_result_deinit(&result);
    return true;
}

static bool leader_message_is_sound(const struct floe_raft *r, const struct floe_message *m)
{
    if (is_old(r, m) || reaches_leader(r, m))
        return true; /* is not looked into */
    if (!leader_is_possible(r, m))
        return false;
    if (m->type == FLOE_MSG_APP)
        return append_is_sound(r, m);
    if (m->type == FLOE_MSG_SNAP)
        return snapshot_is_sound(r, m);
    return m->commit <= raft_log_last_index(&r->log);
}

/* ---- votes and answers ---------------------------------------------------------------------------- */

/* The answer carries the request's term if granted, else our own: neither may be 0. */
static bool vote_is_sound(const struct floe_raft *r, const struct floe_message *m)
{
    bool takes_term = m->type == FLOE_MSG_VOTE && m->term > r->term; /* ours is the same then */
    return raft_would_grant(r, m) ? m->term != 0 : takes_term || r->term != 0;
}

/* More may be acknowledged than is in our log: by who answered an earlier life of ours in the same
 * term, which the disk had not kept. Rejections do not come from ourselves. */
static bool append_resp_is_sound(const struct floe_raft *r, const struct floe_message *m)
{
    if (!reaches_leader(r, m))
        return true;
    return m->reject ? m->from != r->id : m->index != UINT64_MAX;
}

/* An answer of our own must not make us send to ourselves. */
static bool heartbeat_resp_is_sound(const struct floe_raft *r, const struct floe_message *m)
{
    const struct raft_progress *self = raft_tracker_find(&r->trk, r->id);
    return m->from != r->id || !reaches_leader(r, m) || self == NULL ||
           (self->match >= raft_log_last_index(&r->log) && self->state != FLOE_PROGRESS_PROBE);
}

static bool storage_resp_is_sound(const struct floe_raft *r, const struct floe_message *m)
{
    if (m->type == FLOE_MSG_STORAGE_APPEND_RESP)
        return m->snapshot == NULL || m->snapshot->index <= r->log.committed;
    return is_old(r, m) || m->entry_count == 0 ||
           m->entries[m->entry_count - 1].index <= r->log.committed;
}

bool raft_message_is_sound(const struct floe_raft *r, const struct floe_message *m)
{
    if (m->term == UINT64_MAX || !entry_types_are_known(m))
        return false; /* an election after the last term would have none */
    switch ((unsigned)m->type) {
    case FLOE_MSG_APP:
    case FLOE_MSG_HEARTBEAT:
    case FLOE_MSG_SNAP: return leader_message_is_sound(r, m);
    case FLOE_MSG_VOTE:
    case FLOE_MSG_PRE_VOTE: return vote_is_sound(r, m);
    case FLOE_MSG_APP_RESP: return append_resp_is_sound(r, m);
    case FLOE_MSG_HEARTBEAT_RESP: return heartbeat_resp_is_sound(r, m);
    case FLOE_MSG_STORAGE_APPEND_RESP:
    case FLOE_MSG_STORAGE_APPLY_RESP: return storage_resp_is_sound(r, m);
    case FLOE_MSG_READ_INDEX: /* the answer to ourselves takes its context from the entry */
        return m->entry_count > 0 || !reaches_leader(r, m) ||
               (m->from != FLOE_ID_NONE && m->from != r->id);
    default: return (unsigned)m->type < FLOE_MSG_TYPE_COUNT;
    }
}
