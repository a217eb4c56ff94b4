/*
 * The disk side of the pump: appends go to the log at once, acknowledgements that need them are
 * held with the log position they need, one sync at a time covers everything that has gathered.
 */
#include "node/internal.h"

static bool hard_state_given(const struct floe_message *message)
{
    return message->term != 0 || message->vote != 0 || message->commit != 0;
}

/* An installed snapshot: the file is durable already, the log starts anew behind it. */
static void append_snapshot(struct node *node, const struct floe_snapshot *snapshot)
{
    enum err err = wal_mark_snapshot(node->wal, snapshot->index, snapshot->term, false);
    if (err != ERR_OK) {
        node_fail(node, "cannot write the log", wal_last_error(node->wal));
        return;
    }
    enum floe_err stored = floe_memstore_apply_snapshot(node->store, snapshot);
    ASSERT(stored == FLOE_OK);
    node->promised_at = wal_appended(node->wal);
    node->sync_wanted = true;
    snapshots_install(node, snapshot);
}

/* How far is committed is known again after a restart, from the leader: alone it is not worth a
 * write, and goes with what comes next. */
static bool is_commit_alone(const struct node *node, const struct floe_message *message)
{
    return message->entry_count == 0 && message->term == node->hard_state.term &&
           message->vote == node->hard_state.vote;
}

static void write_log(struct node *node, const struct floe_entry *entries, size_t count,
                      bool has_state)
{
    bool state = has_state || node->commit_unlogged;
    if (wal_append(node->wal, state ? &node->hard_state : NULL, entries, count) != ERR_OK) {
        node_fail(node, "cannot write the log", wal_last_error(node->wal));
        return;
    }
    node->commit_unlogged = false;
    node->sync_wanted = true;
}

void durable_log_commit(struct node *node)
{
    if (node->commit_unlogged)
        write_log(node, NULL, 0, true);
}

static void append_to_log(struct node *node, const struct floe_message *message)
{
    struct floe_hard_state hs = {message->term, message->vote, message->commit};
    bool given = hard_state_given(message);
    if (message->entry_count == 0 && !given)
        return;
    if (given) {
        node->commit_unlogged = is_commit_alone(node, message);
        node->hard_state = hs;
        floe_memstore_set_hard_state(node->store, hs);
        if (node->commit_unlogged)
            return;
    }
    write_log(node, message->entries, message->entry_count, given);
    if (node->life == NODE_FAILED)
        return;
    node->promised_at = wal_appended(node->wal);
    floe_memstore_append(node->store, message->entries, message->entry_count);
}

void durable_hold(struct node *node, const struct floe_message *message)
{
    struct held *held = mem_calloc(1, sizeof *held);
    held->position = node->promised_at;
    held->message = *message;
    STAILQ_INSERT_TAIL(&node->held, held, next);
}

static void hold(struct node *node, struct floe_message *message)
{
    for (size_t i = 0; i < message->response_count; i++) {
        durable_hold(node, &message->responses[i]);
        message->responses[i] = (struct floe_message){0};
    }
}

void durable_append(struct node *node, struct floe_message *message)
{
    if (message->snapshot != NULL && message->snapshot->index != 0)
        append_snapshot(node, message->snapshot);
    if (node->life != NODE_FAILED)
        append_to_log(node, message);
    if (node->life != NODE_FAILED)
        hold(node, message);
    floe_message_deinit(message);
}

void durable_start_sync(struct node *node)
{
    if (node->sync_wanted)
        disk_watch_on_wanted(node);
    if (!node->sync_wanted || wal_sync_in_flight(node->wal) || node->life == NODE_FAILED)
        return;
    node->sync_wanted = false;
    disk_watch_on_start(node);
    if (wal_appended(node->wal) == wal_durable(node->wal)) {
        disk_watch_on_finished(node);
        return;
    }
    if (wal_sync_start(node->wal) != ERR_OK)
        node_fail(node, "cannot sync the log", wal_last_error(node->wal));
}

void durable_on_sync(struct node *node, uint64_t token, enum err outcome)
{
    if (wal_sync_finished(node->wal, token, outcome) != ERR_OK)
        node_fail(node, "cannot sync the log", wal_last_error(node->wal));
    else if (!wal_sync_in_flight(node->wal)) /* else the next of its files */
        disk_watch_on_finished(node);
}

bool durable_release(struct node *node)
{
    bool stepped = false;
    struct held *held;
    while (node->life != NODE_FAILED && (held = STAILQ_FIRST(&node->held)) != NULL &&
           held->position <= wal_durable(node->wal)) {
        STAILQ_REMOVE_HEAD(&node->held, next);
        if (held->message.to == node->options.id) {
            (void)node_step(node, &held->message);
            stepped = true;
        } else {
            (void)node_send(node, &held->message);
        }
        floe_message_deinit(&held->message);
        mem_free(held);
    }
    return stepped;
}

void durable_deinit(struct node *node)
{
    struct held *held;
    while ((held = STAILQ_FIRST(&node->held)) != NULL) {
        STAILQ_REMOVE_HEAD(&node->held, next);
        floe_message_deinit(&held->message);
        mem_free(held);
    }
    if (node->wal != NULL)
        wal_close(node->wal);
}
