/*
 * The pump: the one order of persist -> send -> apply -> answer.
 *
 *   1. what came in goes into the core: finished syncs, messages, ticks, proposals, reads
 *   2. while there is a batch: log it, send what needs no disk, queue what is committed for apply
 *   3. start one sync for all that has gathered
 *   4. release what waited for the disk; answer reads and writes that are applied
 */
#include "node/internal.h"

#include <inttypes.h>

/* ---- messages out ---------------------------------------------------------------------------- */

/* To the core it was lost on the way; only of a snapshot it must hear. */
static void withhold(struct node *node, const struct floe_message *message)
{
    if (message->type == FLOE_MSG_SNAP)
        floe_raft_report_snapshot(node->raft, message->to, true);
}

/* A proposal says in which term it was forwarded (its log_term is free for that): only the leader
 * of that term takes it, so that it cannot come to life later (requests_on_term). */
static enum err forward(struct node *node, const struct floe_message *message)
{
    struct floe_message out = *message;
    out.log_term = floe_raft_basic_status(node->raft).hard_state.term;
    requests_on_forward(node, message, out.log_term);
    return peer_set_send(node->peers, &out);
}

bool node_send(struct node *node, const struct floe_message *message)
{
    if (disk_watch_withholds(node, message)) {
        withhold(node, message);
        return false;
    }
    if (message->type == FLOE_MSG_SNAP) {
        transfers_send(node, message);
        return true;
    }
    enum err err = message->type == FLOE_MSG_PROP ? forward(node, message)
                                                  : peer_set_send(node->peers, message);
    if (err == ERR_OK)
        return true;
    if (message->type == FLOE_MSG_PROP)
        requests_on_unsent(node, message);
    if (message->type == FLOE_MSG_APP)
        floe_raft_report_unreachable(node->raft, message->to);
    return false;
}

static void dispatch(struct node *node, struct floe_message *message)
{
    if (message->type == FLOE_MSG_VOTE) {
        durable_hold(node, message);
        *message = (struct floe_message){0};
    } else if (message->to == FLOE_ID_APPEND_THREAD) {
        durable_append(node, message);
        *message = (struct floe_message){0};
    } else if (message->to == FLOE_ID_APPLY_THREAD) {
        apply_push(node, message);
    } else if (message->to == node->options.id) {
        (void)node_step(node, message);
    } else {
        (void)node_send(node, message);
    }
}

static void on_soft_state(struct node *node, struct floe_soft_state now)
{
    struct floe_soft_state was = node->soft_state;
    node->soft_state = now;
    if (now.lead == was.lead)
        return;
    floe_term term = floe_raft_basic_status(node->raft).hard_state.term;
    node->leader_commit = 0;
    if (now.lead == 0)
        log_info(node->logger, "leader lost term=%" PRIu64 " was=%" PRIu64, term, was.lead);
    else
        log_info(node->logger, "leader elected id=%" PRIu64 " term=%" PRIu64 "%s", now.lead, term,
                 now.lead == node->options.id ? " (this member)" : "");
    reads_on_leader(node);
    lease_asks_on_leader(node);
    changes_on_leader(node);
    node->transfer_sent_ms = 0;
    node->publish_ms = 0;
}

static void handle_batch(struct node *node)
{
    struct floe_ready ready;
    floe_raft_ready(node->raft, &ready);
    if (ready.has_soft_state)
        on_soft_state(node, ready.soft_state);
    for (size_t i = 0; i < ready.read_state_count; i++)
        reads_on_state(node, &ready.read_states[i]);
    for (size_t i = 0; i < ready.message_count && node->life == NODE_RUNNING; i++)
        if (ready.messages[i].to == FLOE_ID_APPEND_THREAD) /* what others wait for comes first */
            dispatch(node, &ready.messages[i]);
    for (size_t i = 0; i < ready.message_count && node->life == NODE_RUNNING; i++)
        if (ready.messages[i].to != FLOE_ID_NONE) /* not taken yet */
            dispatch(node, &ready.messages[i]);
    floe_ready_deinit(&ready);
}

/* ---- messages in ----------------------------------------------------------------------------- */

/* Forwarded proposals and reads end here if this member would have to send them on: two members
 * that take each other for the leader would bounce them for ever. */
static bool would_bounce(const struct node *node, const struct floe_message *message)
{
    return (message->type == FLOE_MSG_PROP || message->type == FLOE_MSG_READ_INDEX ||
            message->type == FLOE_MSG_TRANSFER_LEADER) &&
           floe_raft_basic_status(node->raft).soft_state.state != FLOE_STATE_LEADER;
}

/* Of another term: whoever forwarded it may have given it up meanwhile and tried again. */
static bool is_late(const struct node *node, const struct floe_message *message)
{
    return message->type == FLOE_MSG_PROP &&
           message->log_term != floe_raft_basic_status(node->raft).hard_state.term;
}

static void on_message(struct node *node, const struct floe_message *message)
{
    if (message->type == FLOE_MSG_SNAP) {
        log_warn(node->logger, "snapshot without its file refused from=%" PRIu64, message->from);
        return;
    }
    if (!reseed_allows(node, message))
        return;
    if (message->type == FLOE_MSG_HEARTBEAT)
        rollback_check(node, message->from, message->commit);
    if (message->type == FLOE_MSG_APP)
        history_check(node, message);
    if (message->type == FLOE_MSG_APP || message->type == FLOE_MSG_HEARTBEAT)
        failover_on_heard(node, message->from);
    if (message->type == FLOE_MSG_APP && message->commit > node->leader_commit)
        node->leader_commit = message->commit;
    if (message->type == FLOE_MSG_READ_INDEX && reads_come_too_early(node))
        return; /* it is asked again */
    if (message->type == FLOE_MSG_TIMEOUT_NOW && !disk_watch_may_lead(node)) {
        log_info(node->logger, "leadership not taken over: the disk was stuck from=%" PRIu64,
                 message->from);
        return;
    }
    if (node->life != NODE_RUNNING)
        return;
    struct floe_message heard = *message; /* its arrays stay the caller's */
    if (would_bounce(node, message) || is_late(node, message) || !room_accepts(node, &heard)) {
        if (message->type == FLOE_MSG_PROP)
            requests_refuse_forwarded(node, message);
        return;
    }
    if (node_step(node, &heard) == FLOE_ERR_PROPOSAL_DROPPED)
        requests_refuse_forwarded(node, message);
}

static void on_note(struct node *node, const struct peer_event *event)
{
    switch ((enum node_note)event->kind) {
    case NOTE_NOT_APPENDED:
        requests_on_not_appended(node, event->data.data, event->data.len);
        return;
    case NOTE_CHANGE_REQUEST:
        changes_on_request(node, event->id, event->data.data, event->data.len);
        return;
    case NOTE_CHANGE_ANSWER:
        changes_on_answer(node, event->id, event->data.data, event->data.len);
        return;
    case NOTE_REMOVED:
        if (event->data.len != 8 || get_u64(event->data.data) != node->options.id)
            break;
        if (peer_set_send_note(node->peers, event->id, NOTE_REMOVED_ACK, NULL, 0) != ERR_OK)
            log_debug(node->logger, "note lost to=%" PRIu64, event->id);
        changes_on_self_removed(node, "this member was removed from the cluster");
        return;
    case NOTE_REMOVED_ACK: changes_on_removed_ack(node, event->id); return;
    case NOTE_REACHED:
        if (event->data.len != 8)
            break;
        peer_set_wake(node->peers, get_u64(event->data.data));
        return;
    case NOTE_BEAT: beats_on_beat(node, event->id, event->data.data, event->data.len); return;
    case NOTE_BEAT_ANSWER:
        beats_on_answer(node, event->id, event->data.data, event->data.len);
        return;
    case NOTE_COUNTED:
        if (event->data.len != 8)
            break;
        rollback_check(node, event->id, get_u64(event->data.data));
        return;
    case NOTE_RESEED:
        reseed_on_request(node, event->id, event->data.data, event->data.len);
        return;
    case NOTE_RESEED_ANSWER:
        reseed_on_answer(node, event->id, event->data.data, event->data.len);
        return;
    case NOTE_LEASE_ASK:
        leases_on_asks(node, event->id, event->data.data, event->data.len);
        return;
    case NOTE_LEASE_ANSWER:
        lease_asks_on_note(node, event->id, event->data.data, event->data.len);
        return;
    }
    log_debug(node->logger, "unknown note kind=%u from=%" PRIu64, event->kind, event->id);
}

/* A member that starts dials whom it knows, which need not be the leader: a member that joins may
 * know just one other. That one tells the leader, who alone can bring it up to date and may be
 * waiting out a back-off. */
static void on_connected(struct node *node, floe_id id)
{
    rollback_on_connected(node, id);
    failover_on_connected(node);
    reads_on_connected(node);
    floe_id leader = node_leader(node);
    if (leader == FLOE_ID_NONE || leader == id || leader == node->options.id)
        return;
    uint8_t note[8];
    put_u64(note, id);
    if (peer_set_send_note(node->peers, leader, NOTE_REACHED, note, sizeof note) != ERR_OK)
        log_debug(node->logger, "note lost to=%" PRIu64, leader);
}

static void on_refused(struct node *node, const struct peer_event *event)
{
    if (event->kind == PEER_REFUSED_REMOVED)
        changes_on_self_removed(node, "another member says: removed from the cluster");
}

static void on_event(struct node *node, struct peer_event *event)
{
    switch (event->type) {
    case PEER_EVENT_MESSAGE: on_message(node, &event->message); return;
    case PEER_EVENT_NOTE: on_note(node, event); return;
    case PEER_EVENT_CONNECTED: on_connected(node, event->id); return;
    case PEER_EVENT_UNREACHABLE: floe_raft_report_unreachable(node->raft, event->id); return;
    case PEER_EVENT_BROKEN: failover_on_broken(node, event->id); return;
    case PEER_EVENT_SNAPSHOT_BEGIN: transfers_on_begin(node, event); return;
    case PEER_EVENT_SNAPSHOT_RECORD: transfers_on_record(node, event); return;
    case PEER_EVENT_SNAPSHOT_ABORT: transfers_on_abort(node, event->id); return;
    case PEER_EVENT_SNAPSHOT_SENT: transfers_on_sent(node, event->id, event->ok); return;
    case PEER_EVENT_REFUSED: on_refused(node, event); return;
    }
}

static void drain_events(struct node *node)
{
    node->inbox_empty = false;
    for (unsigned i = 0; i < NODE_TURN_EVENTS && node->life == NODE_RUNNING; i++) {
        struct peer_event event;
        if (!peer_set_next_event(node->peers, &event)) {
            node->inbox_empty = true;
            return;
        }
        on_event(node, &event);
        peer_event_deinit(&event);
    }
    node->more = true;
}

static void drain_syncs(struct node *node)
{
    uint64_t token;
    enum err outcome;
    while (node->life != NODE_FAILED &&
           node->fs.ops->sync_poll(node->fs.ctx, &token, &outcome)) {
        if (token >= SNAPSHOT_TOKEN_BASE)
            snapshots_on_sync(node, token, outcome);
        else
            durable_on_sync(node, token, outcome);
    }
}

/* Who is behind may be called by a leader, or a candidate, that was added after the end of its own
 * log, and must hear it (thesis 4.1, 4.2.1). A learner never asks for votes and so does not notice
 * that its leader is another one meanwhile. */
static void maybe_accept_unknown(struct node *node)
{
    bool settled = node_leader(node) != FLOE_ID_NONE &&
                   floe_raft_is_voter(node->raft, node->options.id);
    peer_set_accept_unknown(node->peers, !settled);
}

/* Who cannot campaign would believe in a leader that is gone for ever. */
static void forget_silent_leader(struct node *node)
{
    struct floe_basic_status status = floe_raft_basic_status(node->raft);
    if (status.soft_state.state == FLOE_STATE_FOLLOWER && status.soft_state.lead != FLOE_ID_NONE &&
        status.election_elapsed >= 2 * recover_election_ticks(node))
        (void)floe_raft_forget_leader(node->raft);
}

/* After a pause of the process (or a long turn) time is not made up for tick by tick: what came
 * in meanwhile is stepped first, and an election needs a full time-out of silence. */
static void run_ticks(struct node *node)
{
    if (node->now_ms < node->next_tick_ms)
        return;
    uint64_t late_ms = node->now_ms - node->next_tick_ms;
    unsigned due = late_ms < 3 * (uint64_t)node->options.heartbeat_ms
                       ? 1 + (unsigned)(late_ms / node->options.heartbeat_ms)
                       : 1;
    for (unsigned i = 0; i < due && !reseed_is_mute(node) && !room_is_mute(node); i++)
        disk_watch_tick(node, recover_election_ticks(node));
    forget_silent_leader(node);
    beats_tick(node);
    node->next_tick_ms += (uint64_t)due * node->options.heartbeat_ms;
    if (node->next_tick_ms <= node->now_ms)
        node->next_tick_ms = node->now_ms + node->options.heartbeat_ms;
    maybe_accept_unknown(node);
    peer_set_tick(node->peers, node->now_ms);
    if (wal_prepare(node->wal) != ERR_OK)
        log_warn(node->logger, "next log segment not prepared why=%s", wal_last_error(node->wal));
}

/* ---- the turn -------------------------------------------------------------------------------- */

static void run_batches(struct node *node)
{
    node->apply_budget = NODE_TURN_APPLY_BYTES;
    node->apply_steps_left = node->apply_steps;
    for (unsigned i = 0; i < NODE_TURN_BATCHES && node->life == NODE_RUNNING; i++) {
        bool batch = floe_raft_has_ready(node->raft);
        if (batch)
            handle_batch(node);
        durable_start_sync(node);
        drain_syncs(node); /* an inline sync is done already */
        bool released = durable_release(node);
        bool applied = apply_some(node);
        if (!batch && !released && !applied)
            return;
    }
    node->more = true;
}

/* Once, when what the own log says was committed is applied again. A sole voter need not wait for
 * an election time-out then: nobody else could be in the way. */
static void on_caught_up_own(struct node *node)
{
    const struct floe_ids *voters = &node->conf_state.voters;
    if (node->caught_up_own || node->applied < node->hard_state.commit || node->applied == 0)
        return;
    node->caught_up_own = true;
    recover_compare_members(node);
    if (voters->count == 1 && voters->id[0] == node->options.id &&
        node->conf_state.voters_outgoing.count == 0 && node_leader(node) == 0 &&
        !reseed_is_mute(node) && !room_is_mute(node))
        (void)floe_raft_campaign(node->raft);
}

static void turn(struct node *node)
{
    drain_syncs(node);
    disk_watch_turn(node);
    drain_events(node);
    if (node->life == NODE_FAILED) /* nothing more is answered from a state that may be wrong */
        return;
    run_ticks(node);
    room_turn(node);
    failover_turn(node);
    changes_tick(node);
    requests_publish(node);
    requests_propose(node);
    leases_turn(node);
    retention_turn(node);
    reads_send(node);
    run_batches(node);
    room_on_logged(node);
    on_caught_up_own(node);
    changes_complete(node);
    reads_complete(node);
    leases_answer(node);
    requests_expire(node);
    snapshots_maybe_start(node);
    snapshots_work(node);
    transfers_feed(node);
    stop_pump(node);
}

void node_pump(struct node *node, uint64_t now_ms)
{
    uint64_t pause_ms = now_ms > node->now_ms ? now_ms - node->now_ms : 0;
    disk_watch_on_pause(node, pause_ms);
    node->now_ms = now_ms;
    node->more = false;
    if (node->life != NODE_RUNNING)
        return;
    turn(node);
    if (node->life != NODE_FAILED)
        return;
    requests_end_all(node); /* a failure ends everything, too, but not in the middle of it */
    reads_end_all(node);
    lease_asks_end_all(node);
}

bool node_has_work(const struct node *node)
{
    if (node->life != NODE_RUNNING)
        return false;
    return node->more || floe_raft_has_ready(node->raft) || apply_has_work(node) ||
           snapshots_have_work(node);
}

uint64_t node_next_deadline_ms(const struct node *node)
{
    uint64_t deadline = node->next_tick_ms;
    const struct waiter *oldest = TAILQ_FIRST(&node->waiters.all);
    if (oldest != NULL && oldest->deadline_ms < deadline)
        deadline = oldest->deadline_ms;
    if (node->failover.campaign_ms != 0 && node->failover.campaign_ms < deadline)
        deadline = node->failover.campaign_ms;
    uint64_t leases = leases_next_ms(node);
    return leases < deadline ? leases : deadline;
}
