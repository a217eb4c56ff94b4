/* New entries of a leader, and how many bytes of them may wait to be applied. */
#include "raft/core.h"

#include <inttypes.h>

/* The first oversized proposal passes, so that a limit can never block for ever; empty entries
 * always do. */
static bool increase_uncommitted(struct floe_raft *r, uint64_t payload_size)
{
    if (r->uncommitted_size > 0 && payload_size > 0 &&
        (payload_size > r->max_uncommitted_size ||
         r->uncommitted_size > r->max_uncommitted_size - payload_size))
        return false;
    r->uncommitted_size += payload_size;
    return true;
}

void raft_reduce_uncommitted(struct floe_raft *r, uint64_t payload_size)
{
    /* a follower that became leader applies what it never counted */
    r->uncommitted_size -= payload_size < r->uncommitted_size ? payload_size : r->uncommitted_size;
}

bool raft_append_entries(struct floe_raft *r, struct floe_entry *entries, size_t count)
{
    if (!increase_uncommitted(r, raft_payloads_size(entries, count))) {
        raft_warn(&r->logger,
                  "%" PRIx64 " appending new entries to log would exceed uncommitted entry size "
                  "limit; dropping proposal",
                  r->id);
        return false;
    }
    floe_index last = raft_log_last_index(&r->log);
    for (size_t i = 0; i < count; i++) {
        entries[i].term = r->term;
        entries[i].index = last + 1 + i;
    }
    raft_log_append(&r->log, entries, count);
    /* the own acknowledgement counts when the entries are durable (thesis 10.2.1) */
    raft_send(r, (struct floe_message){
                     .type = FLOE_MSG_APP_RESP, .to = r->id, .index = last + count});
    return true;
}
