/*
 * Snapshots between members. The file's own records travel on a connection of their own; the
 * receiver writes them down as they come, and only when its file is durable does the core hear of
 * the snapshot.
 */
#include "node/internal.h"

#include <inttypes.h>

/* ---- sending --------------------------------------------------------------------------------- */

static struct transfer *find_transfer(struct node *node, floe_id to)
{
    for (size_t i = 0; i < node->transfer_count; i++)
        if (node->transfers[i].to == to)
            return &node->transfers[i];
    return NULL;
}

/* A snapshot from before a member was added does not name it, and the member would not take it. */
static bool names(const struct floe_conf_state *cs, floe_id id)
{
    return floe_ids_contain(&cs->voters, id) || floe_ids_contain(&cs->learners, id) ||
           floe_ids_contain(&cs->voters_outgoing, id);
}

void transfers_send(struct node *node, const struct floe_message *message)
{
    struct snapshot_reader *reader = NULL;
    ASSERT(message->snapshot != NULL);
    floe_index index = message->snapshot->index;
    if (!names(&message->snapshot->conf_state, message->to)) {
        node->snapshot_wanted = true;
        floe_raft_report_snapshot(node->raft, message->to, true);
        return;
    }
    if (find_transfer(node, message->to) != NULL ||
        snapshots_reader_open(node, index, &reader) != ERR_OK) {
        floe_raft_report_snapshot(node->raft, message->to, true);
        return;
    }
    if (peer_set_snapshot_begin(node->peers, message) != ERR_OK) {
        snapshot_reader_close(reader);
        floe_raft_report_snapshot(node->raft, message->to, true);
        return;
    }
    log_info(node->logger, "snapshot sending to=%" PRIu64 " index=%" PRIu64, message->to, index);
    node->transfers = mem_grow(node->transfers, node->transfer_count, &node->transfer_cap,
                               sizeof *node->transfers);
    node->transfers[node->transfer_count++] =
        (struct transfer){.to = message->to, .index = index, .reader = reader};
}

/* One record; false when there is no room or nothing left. */
static bool feed_record(struct node *node, struct transfer *transfer)
{
    if (transfer->reader == NULL || peer_set_snapshot_room(node->peers, transfer->to) == 0)
        return false;
    struct record record;
    struct buf encoded = {0};
    enum err err = snapshot_reader_next(transfer->reader, &record, &encoded);
    bool last = err == ERR_OK && record.type == SNAPSHOT_END;
    if (err == ERR_OK) {
        peer_set_snapshot_feed(node->peers, transfer->to, encoded.data, encoded.len, last);
    } else {
        log_error(node->logger, "snapshot cannot be read index=%" PRIu64 " why=%s",
                  transfer->index, err_str(err));
        node->snapshot_wanted = true; /* another one, that can be sent */
        peer_set_snapshot_cancel(node->peers, transfer->to);
    }
    buf_deinit(&encoded);
    if (err == ERR_OK && !last)
        return true;
    snapshot_reader_close(transfer->reader);
    transfer->reader = NULL;
    return false;
}

void transfers_feed(struct node *node)
{
    for (size_t i = 0; i < node->transfer_count; i++) {
        for (int records = 0; records < 4 && feed_record(node, &node->transfers[i]); records++)
            continue;
        if (node->transfers[i].reader != NULL &&
            peer_set_snapshot_room(node->peers, node->transfers[i].to) > 0)
            node->more = true;
    }
}

void transfers_on_sent(struct node *node, floe_id to, bool ok)
{
    struct transfer *transfer = find_transfer(node, to);
    if (transfer == NULL)
        return;
    log_info(node->logger, "snapshot %s to=%" PRIu64 " index=%" PRIu64,
             ok ? "delivered" : "not delivered", to, transfer->index);
    if (transfer->reader != NULL)
        snapshot_reader_close(transfer->reader);
    *transfer = node->transfers[--node->transfer_count];
    floe_raft_report_snapshot(node->raft, to, !ok);
}

floe_index transfers_hold_back(const struct node *node)
{
    floe_index lowest = UINT64_MAX;
    for (size_t i = 0; i < node->transfer_count; i++)
        if (node->transfers[i].index < lowest)
            lowest = node->transfers[i].index;
    return lowest;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void incoming_clear(struct node *node)
{
    if (node->incoming.writer != NULL)
        snapshot_writer_abort(node->incoming.writer);
    floe_message_deinit(&node->incoming.message);
    node->incoming = (struct incoming_snapshot){0};
}

/* What this member has already, and the sender does not know of (the acknowledgement got lost in a
 * crash): the core tells it how far the log goes here, else it would try for ever. */
static bool has_already(struct node *node, const struct floe_message *message)
{
    if (message->snapshot->index > floe_raft_basic_status(node->raft).hard_state.commit)
        return false;
    (void)node_step(node, message);
    return true;
}

void transfers_on_begin(struct node *node, struct peer_event *event)
{
    struct incoming_snapshot *incoming = &node->incoming;
    const struct floe_message *message = &event->message;
    if (incoming->writer != NULL && !incoming->syncing)
        incoming_clear(node);
    if (incoming->writer != NULL || message->snapshot == NULL ||
        !reseed_allows(node, message) || has_already(node, message)) {
        peer_set_snapshot_answer(node->peers, event->id, false);
        return;
    }
    struct snapshot_writer *writer;
    if (snapshot_receiver_open(node->fs, node->reserve.room, &writer) != ERR_OK) {
        log_error(node->logger, "snapshot cannot be received why=%s",
                  node->fs.ops->last_error(node->fs.ctx));
        peer_set_snapshot_answer(node->peers, event->id, false);
        return;
    }
    log_info(node->logger, "snapshot receiving from=%" PRIu64 " index=%" PRIu64, event->id,
             message->snapshot->index);
    *incoming = (struct incoming_snapshot){
        .writer = writer, .from = event->id, .message = event->message};
    event->message = (struct floe_message){0};
}

static void refuse_incoming(struct node *node, const char *why)
{
    floe_id from = node->incoming.from;
    log_warn(node->logger, "snapshot not received from=%" PRIu64 " why=%s", from, why);
    incoming_clear(node);
    peer_set_snapshot_answer(node->peers, from, false);
}

void transfers_on_record(struct node *node, const struct peer_event *event)
{
    struct incoming_snapshot *incoming = &node->incoming;
    if (incoming->writer == NULL || incoming->from != event->id || incoming->syncing)
        return;
    struct record record;
    size_t used;
    enum err err = record_get(event->data.data, event->data.len, SNAPSHOT_CHUNK_MAX * 2, &record,
                              &used);
    if (err == ERR_OK)
        err = snapshot_receiver_add(incoming->writer, &record);
    if (err != ERR_OK) {
        refuse_incoming(node, err_str(err));
        return;
    }
    if (!event->last)
        return;
    const struct snapshot_meta *meta = snapshot_writer_meta(incoming->writer);
    if (meta->index != incoming->message.snapshot->index ||
        meta->term != incoming->message.snapshot->term) {
        refuse_incoming(node, "the file is not the snapshot that was announced");
        return;
    }
    incoming->syncing = true;
    if (snapshot_writer_finish(incoming->writer, NODE_TOKEN_INCOMING) != ERR_OK) {
        incoming->syncing = false;
        refuse_incoming(node, node->fs.ops->last_error(node->fs.ctx));
    }
}

void transfers_on_abort(struct node *node, floe_id from)
{
    struct incoming_snapshot *incoming = &node->incoming;
    if (incoming->writer == NULL || incoming->from != from || incoming->syncing)
        return; /* a complete one is used, whether its sender still waits or not */
    log_warn(node->logger, "snapshot broke off from=%" PRIu64, from);
    incoming_clear(node);
}

void transfers_on_sync(struct node *node, enum err outcome)
{
    struct incoming_snapshot *incoming = &node->incoming;
    ASSERT(incoming->syncing && incoming->writer != NULL);
    incoming->syncing = false;
    if (outcome != ERR_OK) {
        refuse_incoming(node, "sync failed");
        return;
    }
    struct snapshot_writer *writer = incoming->writer;
    incoming->writer = NULL;
    if (snapshot_writer_commit(writer) != ERR_OK) {
        refuse_incoming(node, node->fs.ops->last_error(node->fs.ctx));
        return;
    }
    floe_id from = incoming->from;
    peer_set_snapshot_answer(node->peers, from, true);
    (void)node_step(node, &incoming->message);
    incoming_clear(node);
}

void transfers_deinit(struct node *node)
{
    for (size_t i = 0; i < node->transfer_count; i++)
        if (node->transfers[i].reader != NULL)
            snapshot_reader_close(node->transfers[i].reader);
    mem_free(node->transfers);
    node->incoming.syncing = false;
    incoming_clear(node);
}
