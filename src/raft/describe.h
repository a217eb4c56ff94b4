/*
 * One stable text form of everything, exactly as in traces/README.md 2.8.
 *
 * All functions append to out. Those marked "line" end without a newline, those marked "lines"
 * end every line with one.
 */
#ifndef RAFT_DESCRIBE_H
#define RAFT_DESCRIBE_H

#include "base/buf.h"
#include "raft/tracker.h"

#include <floe/raft.h>

/* An id as the party of a message: None, AppendThread, ApplyThread or lower-case hex. */
void describe_id(struct buf *out, floe_id id);
/* Bytes in double quotes, escaped as by Go's %q. */
void describe_quoted(struct buf *out, const uint8_t *data, size_t size);
/* "1/2 EntryNormal \"x\"": line */
void describe_entry(struct buf *out, const struct floe_entry *entry);
/* One entry a line: lines */
void describe_entries(struct buf *out, const struct floe_entry *entries, size_t count);
/* "v1 l2 r3 u4": line */
void describe_conf_changes(struct buf *out, const struct floe_conf_change_single *changes,
                           size_t count);
/* "transition:... changes:{...}", as in the log of a refused change: line */
void describe_conf_change(struct buf *out, const struct floe_conf_change *change);
/* indent: spaces before every line of the message (also the first): several lines possible, the
 * last one without a newline */
void describe_message(struct buf *out, const struct floe_message *message, size_t indent);
/* "Ready MustSync=...": lines; "<empty Ready>" without a newline if there is nothing in it */
void describe_ready(struct buf *out, const struct floe_ready *ready);
/* "Index:1 Term:1 ConfState:...": line */
void describe_snapshot(struct buf *out, const struct floe_snapshot *snapshot);
/* "Voters:[1 2] VotersOutgoing:[] ...": line */
void describe_conf_state(struct buf *out, const struct floe_conf_state *cs);
/* "voters:1 voters:2 learners:3 ... auto_leave:false": line */
void describe_conf_state_proto(struct buf *out, const struct floe_conf_state *cs);
/* "Term:1 Vote:1 Commit:2": line */
void describe_hard_state(struct buf *out, const struct floe_hard_state *hard_state);
/* "Lead:1 State:StateLeader": line */
void describe_soft_state(struct buf *out, const struct floe_soft_state *soft_state);
/* "StateProbe match=0 next=1 ...", without the id: line */
void describe_progress(struct buf *out, const struct floe_progress *progress);
/* The same of the inside; out is cleared first. */
void describe_tracked(struct buf *out, const struct raft_progress *pr);
/* "1: StateProbe ...": lines */
void describe_progress_map(struct buf *out, const struct floe_progress *progress, size_t count);
/* {C}: "voters=(1 2)&&(1) learners=(3)": line. Of a ConfState and of a configuration. */
void describe_config(struct buf *out, const struct raft_config *config);

#endif
