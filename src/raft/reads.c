/* Linearizable reads at the leader (thesis 6.4). */
#include "raft/core.h"

#include <inttypes.h>

static bool committed_in_term(const struct floe_raft *r)
{
    return raft_log_term_or_zero(&r->log, r->log.committed) == r->term;
}

/* Our own request becomes a read state, another member's is answered. */
static void answer(struct floe_raft *r, const struct floe_message *request, floe_index index)
{
    if (request->from == FLOE_ID_NONE || request->from == r->id) {
        raft_push_read_state(r, index, request->entries[0].data);
        return;
    }
    raft_send(r, (struct floe_message){
                     .type = FLOE_MSG_READ_INDEX_RESP,
                     .to = request->from,
                     .index = index,
                     .entries = floe_entries_copy(request->entries, request->entry_count),
                     .entry_count = request->entry_count});
}

static void accept(struct floe_raft *r, const struct floe_message *m)
{
    switch (r->read_only.option) {
    case FLOE_READ_ONLY_SAFE:
        raft_read_only_add(&r->read_only, m, r->log.committed, r->id);
        raft_bcast_heartbeat(r);
        break;
    case FLOE_READ_ONLY_LEASE_BASED: answer(r, m, r->log.committed); break;
    }
}

static bool has_room(const struct floe_raft *r, const struct floe_message *m)
{
    return r->pending_read_bytes + r->read_only.bytes + raft_read_weight(m) <= RAFT_READ_BYTES_MAX;
}

void raft_read_index_at_leader(struct floe_raft *r, const struct floe_message *m)
{
    if (raft_tracker_is_singleton(&r->trk)) { /* nobody else could have committed anything */
        answer(r, m, r->log.committed);
        return;
    }
    if (!has_room(r, m)) {
        raft_warn(&r->logger, "%" PRIx64 " dropped a MsgReadIndex: too many wait", r->id);
        return;
    }
    if (!committed_in_term(r)) { /* the commit index may still lag behind the last term's */
        r->pending_read_bytes += raft_read_weight(m);
        raft_outbox_push(&r->pending_reads, floe_message_copy(m));
        return;
    }
    accept(r, m);
}

void raft_release_pending_reads(struct floe_raft *r)
{
    if (r->pending_reads.count == 0)
        return;
    if (!committed_in_term(r)) {
        raft_error(&r->logger, "pending MsgReadIndex should be released only after first commit "
                               "in current term");
        return;
    }
    struct raft_outbox pending = r->pending_reads;
    r->pending_reads = (struct raft_outbox){0};
    r->pending_read_bytes = 0;
    for (size_t i = 0; i < pending.count; i++)
        accept(r, &pending.list[i]);
    raft_outbox_deinit(&pending);
}

void raft_answer_confirmed_reads(struct floe_raft *r)
{
    size_t ready = raft_read_only_ready(&r->read_only, &r->trk.config);
    for (size_t i = 0; i < ready; i++) {
        struct raft_read_request request = raft_read_only_pop(&r->read_only);
        answer(r, &request.message, request.index);
        floe_message_deinit(&request.message);
    }
}
