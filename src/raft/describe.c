/* Text forms. Formats are fixed by the scripts under test/scenario: change them there too. */
#include "raft/describe.h"

#include "base/assert.h"

#include <inttypes.h>

void describe_id(struct buf *out, floe_id id)
{
    if (id == FLOE_ID_NONE)
        buf_printf(out, "None");
    else if (id == FLOE_ID_APPEND_THREAD)
        buf_printf(out, "AppendThread");
    else if (id == FLOE_ID_APPLY_THREAD)
        buf_printf(out, "ApplyThread");
    else
        buf_printf(out, "%" PRIx64, id);
}

/* ---- strings --------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at data, 0 if there is none; its code in *code. */
static size_t utf8_character(const uint8_t *data, size_t left, uint32_t *code)
{
    size_t len = data[0] >= 0xc2 && data[0] < 0xe0 ? 2 : (data[0] & 0xf0) == 0xe0 ? 3
                 : data[0] >= 0xf0 && data[0] < 0xf5                          ? 4
                                                                              : 0;
    if (len == 0 || len > left)
        return 0;
    uint32_t value = data[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((data[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (data[i] & 0x3fu);
    }
    bool overlong = (len == 3 && value < 0x800) || (len == 4 && value < 0x10000);
    if (overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return len;
}

/* Enough of "printable" for what people put into scripts: no controls, no odd blanks, no private
 * or unassigned ends. */
static bool is_printable(uint32_t code)
{
    return code > 0xa0 && code != 0xad && !(code >= 0x2000 && code <= 0x200f) &&
           !(code >= 0x2028 && code <= 0x202f) && !(code >= 0x205f && code <= 0x206f) &&
           code != 0x3000 && code != 0xfeff && !(code >= 0xe000 && code <= 0xf8ff) &&
           !(code >= 0xfff0 && code <= 0xfffb) && (code & 0xfffe) != 0xfffe && code < 0xe0000;
}

static void quote_ascii(struct buf *out, uint8_t c)
{
    static const char *const named[0x20] = {['\a'] = "\\a", ['\b'] = "\\b", ['\f'] = "\\f",
                                            ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t",
                                            ['\v'] = "\\v"};
    if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c < 0x20 && named[c] != NULL)
        buf_printf(out, "%s", named[c]);
    else if (c < 0x20 || c >= 0x7f)
        buf_printf(out, "\\x%02x", c);
    else
        buf_add_u8(out, c);
}

void describe_quoted(struct buf *out, const uint8_t *data, size_t size)
{
    buf_add_u8(out, '"');
    for (size_t i = 0; i < size;) {
        uint32_t code = 0;
        size_t len = data[i] < 0x80 ? 0 : utf8_character(data + i, size - i, &code);
        if (len == 0) {
            quote_ascii(out, data[i++]);
            continue;
        }
        if (is_printable(code))
            buf_add(out, data + i, len);
        else
            buf_printf(out, code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
        i += len;
    }
    buf_add_u8(out, '"');
}

/* ---- entries ------------------------------------------------------------------------------------------ */

void describe_conf_changes(struct buf *out, const struct floe_conf_change_single *changes,
                           size_t count)
{
    static const char letters[] = {[FLOE_CONF_ADD_NODE] = 'v',
                                   [FLOE_CONF_REMOVE_NODE] = 'r',
                                   [FLOE_CONF_UPDATE_NODE] = 'u',
                                   [FLOE_CONF_ADD_LEARNER] = 'l'};
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%c%" PRIu64, i > 0 ? " " : "", letters[changes[i].type],
                   changes[i].node_id);
}

void describe_conf_change(struct buf *out, const struct floe_conf_change *change)
{
    static const char *const transitions[] = {
        [FLOE_CONF_TRANSITION_AUTO] = "ConfChangeTransitionAuto",
        [FLOE_CONF_TRANSITION_JOINT_IMPLICIT] = "ConfChangeTransitionJointImplicit",
        [FLOE_CONF_TRANSITION_JOINT_EXPLICIT] = "ConfChangeTransitionJointExplicit"};
    static const char *const types[] = {[FLOE_CONF_ADD_NODE] = "ConfChangeAddNode",
                                        [FLOE_CONF_REMOVE_NODE] = "ConfChangeRemoveNode",
                                        [FLOE_CONF_UPDATE_NODE] = "ConfChangeUpdateNode",
                                        [FLOE_CONF_ADD_LEARNER] = "ConfChangeAddLearnerNode"};
    buf_printf(out, "transition:%s", transitions[change->transition]);
    for (size_t i = 0; i < change->change_count; i++)
        buf_printf(out, " changes:{type:%s node_id:%" PRIu64 "}", types[change->changes[i].type],
                   change->changes[i].node_id);
}

static void describe_payload(struct buf *out, const struct floe_entry *entry)
{
    if (entry->type == FLOE_ENTRY_NORMAL) {
        buf_add_u8(out, ' ');
        describe_quoted(out, floe_blob_data(entry->data), floe_blob_size(entry->data));
        return;
    }
    struct floe_conf_change change;
    if (floe_conf_change_decode(entry->type, entry->data, &change) != FLOE_OK) {
        buf_printf(out, " <malformed>");
        return;
    }
    if (change.change_count > 0) {
        buf_add_u8(out, ' ');
        describe_conf_changes(out, change.changes, change.change_count);
    }
    floe_conf_change_deinit(&change);
}

void describe_entry(struct buf *out, const struct floe_entry *entry)
{
    static const char *const types[] = {[FLOE_ENTRY_NORMAL] = "EntryNormal",
                                        [FLOE_ENTRY_CONF_CHANGE] = "EntryConfChange",
                                        [FLOE_ENTRY_CONF_CHANGE_V2] = "EntryConfChangeV2"};
    buf_printf(out, "%" PRIu64 "/%" PRIu64 " %s", entry->term, entry->index, types[entry->type]);
    describe_payload(out, entry);
}

void describe_entries(struct buf *out, const struct floe_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        describe_entry(out, &entries[i]);
        buf_add_u8(out, '\n');
    }
}

/* ---- states --------------------------------------------------------------------------------------------- */

static void describe_ids(struct buf *out, const char *name, const struct floe_ids *ids)
{
    buf_printf(out, "%s:[", name);
    for (size_t i = 0; i < ids->count; i++)
        buf_printf(out, "%s%" PRIu64, i > 0 ? " " : "", ids->id[i]);
    buf_printf(out, "] ");
}

void describe_conf_state(struct buf *out, const struct floe_conf_state *cs)
{
    describe_ids(out, "Voters", &cs->voters);
    describe_ids(out, "VotersOutgoing", &cs->voters_outgoing);
    describe_ids(out, "Learners", &cs->learners);
    describe_ids(out, "LearnersNext", &cs->learners_next);
    buf_printf(out, "AutoLeave:%s", cs->auto_leave ? "true" : "false");
}

static void describe_proto_ids(struct buf *out, const char *name, const struct floe_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        buf_printf(out, "%s:%" PRIu64 " ", name, ids->id[i]);
}

void describe_conf_state_proto(struct buf *out, const struct floe_conf_state *cs)
{
    describe_proto_ids(out, "voters", &cs->voters);
    describe_proto_ids(out, "learners", &cs->learners);
    describe_proto_ids(out, "voters_outgoing", &cs->voters_outgoing);
    describe_proto_ids(out, "learners_next", &cs->learners_next);
    buf_printf(out, "auto_leave:%s", cs->auto_leave ? "true" : "false");
}

void describe_snapshot(struct buf *out, const struct floe_snapshot *snapshot)
{
    buf_printf(out, "Index:%" PRIu64 " Term:%" PRIu64 " ConfState:", snapshot->index,
               snapshot->term);
    describe_conf_state(out, &snapshot->conf_state);
}

void describe_hard_state(struct buf *out, const struct floe_hard_state *hard_state)
{
    buf_printf(out, "Term:%" PRIu64, hard_state->term);
    if (hard_state->vote != 0)
        buf_printf(out, " Vote:%" PRIu64, hard_state->vote);
    buf_printf(out, " Commit:%" PRIu64, hard_state->commit);
}

void describe_soft_state(struct buf *out, const struct floe_soft_state *soft_state)
{
    buf_printf(out, "Lead:%" PRIu64 " State:%s", soft_state->lead,
               floe_state_name(soft_state->state));
}

void describe_progress(struct buf *out, const struct floe_progress *progress)
{
    buf_printf(out, "%s match=%" PRIu64 " next=%" PRIu64, floe_progress_state_name(progress->state),
               progress->match, progress->next);
    if (progress->is_learner)
        buf_printf(out, " learner");
    if (progress->paused)
        buf_printf(out, " paused");
    if (progress->pending_snapshot != 0)
        buf_printf(out, " pendingSnap=%" PRIu64, progress->pending_snapshot);
    if (!progress->recent_active)
        buf_printf(out, " inactive");
    if (progress->inflight_count > 0)
        buf_printf(out, " inflight=%zu%s", progress->inflight_count,
                   progress->inflight_full ? "[full]" : "");
}

void describe_tracked(struct buf *out, const struct raft_progress *pr)
{
    struct floe_progress picture = raft_progress_export(pr);
    buf_clear(out);
    describe_progress(out, &picture);
}

void describe_progress_map(struct buf *out, const struct floe_progress *progress, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%" PRIu64 ": ", progress[i].id);
        describe_progress(out, &progress[i]);
        buf_add_u8(out, '\n');
    }
}

static void describe_set(struct buf *out, const struct floe_ids *ids)
{
    buf_add_u8(out, '(');
    for (size_t i = 0; i < ids->count; i++)
        buf_printf(out, "%s%" PRIx64, i > 0 ? " " : "", ids->id[i]);
    buf_add_u8(out, ')');
}

void describe_config(struct buf *out, const struct raft_config *config)
{
    buf_printf(out, "voters=");
    describe_set(out, &config->incoming);
    if (config->outgoing.count > 0) {
        buf_printf(out, "&&");
        describe_set(out, &config->outgoing);
    }
    if (config->learners.count > 0) {
        buf_printf(out, " learners=");
        describe_set(out, &config->learners);
    }
    if (config->learners_next.count > 0) {
        buf_printf(out, " learners_next=");
        describe_set(out, &config->learners_next);
    }
    if (config->auto_leave)
        buf_printf(out, " autoleave");
}

/* ---- messages ---------------------------------------------------------------------------------------------- */

static void pad(struct buf *out, size_t count)
{
    buf_printf(out, "%*s", (int)count, "");
}

static void describe_message_entries(struct buf *out, const struct floe_message *m, size_t indent)
{
    if (m->entry_count == 0)
        return;
    buf_printf(out, " Entries:[");
    if (m->entry_count == 1) {
        describe_entry(out, &m->entries[0]);
    } else {
        for (size_t i = 0; i < m->entry_count; i++) {
            buf_add_u8(out, '\n');
            pad(out, indent + 2);
            describe_entry(out, &m->entries[i]);
        }
        buf_add_u8(out, '\n');
        pad(out, indent);
    }
    buf_add_u8(out, ']');
}

/* All of a message but its responses. */
static void describe_head(struct buf *out, const struct floe_message *m, size_t indent)
{
    pad(out, indent);
    describe_id(out, m->from);
    buf_printf(out, "->");
    describe_id(out, m->to);
    buf_printf(out, " %s Term:%" PRIu64 " Log:%" PRIu64 "/%" PRIu64,
               floe_message_type_name(m->type), m->term, m->log_term, m->index);
    if (m->reject)
        buf_printf(out, " Rejected (Hint: %" PRIu64 ")", m->reject_hint);
    if (m->commit != 0)
        buf_printf(out, " Commit:%" PRIu64, m->commit);
    if (m->vote != 0)
        buf_printf(out, " Vote:%" PRIu64, m->vote);
    describe_message_entries(out, m, indent);
    if (m->snapshot != NULL && m->snapshot->index != 0) {
        buf_add_u8(out, '\n');
        pad(out, indent + 2);
        buf_printf(out, "Snapshot: ");
        describe_snapshot(out, m->snapshot);
    }
}

void describe_message(struct buf *out, const struct floe_message *message, size_t indent)
{
    describe_head(out, message, indent);
    if (message->response_count == 0)
        return;
    buf_printf(out, " Responses:[");
    for (size_t i = 0; i < message->response_count; i++) {
        ASSERT(message->responses[i].response_count == 0);
        buf_add_u8(out, '\n');
        describe_head(out, &message->responses[i], indent + 2);
    }
    buf_add_u8(out, '\n');
    pad(out, indent);
    buf_add_u8(out, ']');
}

/* ---- batches ------------------------------------------------------------------------------------------------- */

static bool is_empty(const struct floe_ready *ready)
{
    return !ready->has_soft_state && !ready->has_hard_state && ready->read_state_count == 0 &&
           ready->entry_count == 0 && ready->snapshot.index == 0 && ready->committed_count == 0 &&
           ready->message_count == 0;
}

static void describe_read_states(struct buf *out, const struct floe_ready *ready)
{
    buf_printf(out, "ReadStates [");
    for (size_t i = 0; i < ready->read_state_count; i++) {
        const struct floe_read_state *state = &ready->read_states[i];
        buf_printf(out, "%s{%" PRIu64 " [", i > 0 ? " " : "", state->index);
        for (size_t j = 0; j < floe_blob_size(state->context); j++)
            buf_printf(out, "%s%u", j > 0 ? " " : "", floe_blob_data(state->context)[j]);
        buf_printf(out, "]}");
    }
    buf_printf(out, "]\n");
}

static void describe_lists(struct buf *out, const struct floe_ready *ready)
{
    if (ready->entry_count > 0) {
        buf_printf(out, "Entries:\n");
        describe_entries(out, ready->entries, ready->entry_count);
    }
    if (ready->snapshot.index != 0) {
        buf_printf(out, "Snapshot ");
        describe_snapshot(out, &ready->snapshot);
        buf_add_u8(out, '\n');
    }
    if (ready->committed_count > 0) {
        buf_printf(out, "CommittedEntries:\n");
        describe_entries(out, ready->committed, ready->committed_count);
    }
    if (ready->message_count > 0)
        buf_printf(out, "Messages:\n");
    for (size_t i = 0; i < ready->message_count; i++) {
        describe_message(out, &ready->messages[i], 0);
        buf_add_u8(out, '\n');
    }
}

void describe_ready(struct buf *out, const struct floe_ready *ready)
{
    if (is_empty(ready)) {
        buf_printf(out, "<empty Ready>");
        return;
    }
    buf_printf(out, "Ready MustSync=%s:\n", ready->must_sync ? "true" : "false");
    if (ready->has_soft_state) {
        describe_soft_state(out, &ready->soft_state);
        buf_add_u8(out, '\n');
    }
    if (ready->has_hard_state) {
        buf_printf(out, "HardState ");
        describe_hard_state(out, &ready->hard_state);
        buf_add_u8(out, '\n');
    }
    if (ready->read_state_count > 0)
        describe_read_states(out, ready);
    describe_lists(out, ready);
}
