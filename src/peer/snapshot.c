/*
 * A snapshot on a connection of its own: BEGIN, records, ACK. The sender closes once it has the
 * verdict; the receiver does not, as closing with unread input could take the ACK along.
 */
#include "peer/internal.h"

#include "base/assert.h"
#include "codec/raft_codec.h"

/* ---- sender --------------------------------------------------------------------------------- */

static struct session *find_sending(const struct peer_set *set, floe_id to)
{
    struct session *session;
    TAILQ_FOREACH(session, &set->sessions, entry)
    {
        if (session->state != SESSION_CLOSED && session->lane == PEER_LANE_SNAPSHOT &&
            session->dialled && session->peer == to)
            return session;
    }
    return NULL;
}

enum err peer_set_snapshot_begin(struct peer_set *set, const struct floe_message *message)
{
    ASSERT(message->type == FLOE_MSG_SNAP && message->snapshot != NULL);
    ASSERT(message->from == set->options.id);
    struct peer *peer = peer_find(set, message->to);
    if (peer == NULL)
        return ERR_NOT_FOUND;
    if (find_sending(set, message->to) != NULL)
        return ERR_EXISTS;
    struct session *session = session_dial(set, peer, PEER_LANE_SNAPSHOT);
    session->transfer.message = floe_message_copy(message);
    session->transfer.progress_ms = set->now_ms;
    return ERR_OK;
}

void snapshot_on_welcome(struct peer_set *set, struct session *session)
{
    struct transfer *transfer = &session->transfer;
    struct buf frame = {0};
    peer_frame_put_message(&frame, PEER_FRAME_SNAP_BEGIN, &transfer->message);
    session_put(session, &frame);
    floe_message_deinit(&transfer->message);
    transfer->begun = true;
    transfer->progress_ms = set->now_ms;
}

static bool can_feed(const struct session *session)
{
    return session != NULL && session->state == SESSION_UP && session->transfer.begun &&
           !session->transfer.complete;
}

size_t peer_set_snapshot_room(const struct peer_set *set, floe_id to)
{
    const struct session *session = find_sending(set, to);
    if (!can_feed(session) || session_queued(session) >= PEER_SNAPSHOT_QUEUE)
        return 0;
    return PEER_SNAPSHOT_QUEUE - session_queued(session);
}

void peer_set_snapshot_feed(struct peer_set *set, floe_id to, const void *record, size_t len,
                            bool last)
{
    struct session *session = find_sending(set, to);
    if (!can_feed(session))
        return; /* lost meanwhile: the event tells */
    ASSERT(len <= set->options.max_frame_bytes);
    struct buf frame = {0};
    peer_frame_put_bytes(&frame, last ? PEER_FRAME_SNAP_LAST : PEER_FRAME_SNAP_RECORD,
                         ++session->transfer.records, record, len);
    session_put(session, &frame);
    session->transfer.complete = last;
    session->transfer.progress_ms = set->now_ms;
}

void peer_set_snapshot_cancel(struct peer_set *set, floe_id to)
{
    struct session *session = find_sending(set, to);
    if (session != NULL)
        session_end(set, session, SESSION_END_NOW, "cancelled");
}

static void report_sent(struct peer_set *set, struct session *session, bool ok, uint8_t refusal)
{
    session->transfer.ended = true;
    peer_queue_event(
        set,
        (struct peer_event){
            .type = PEER_EVENT_SNAPSHOT_SENT, .id = session->peer, .kind = refusal, .ok = ok},
        0);
}

static void on_ack(struct peer_set *set, struct session *session, const struct record *frame)
{
    bool ok = false;
    if (peer_frame_get_ack(frame, &ok) != ERR_OK || (ok && !session->transfer.complete)) {
        session_violation(set, session, "malformed snapshot answer");
        return;
    }
    report_sent(set, session, ok, 0);
    session_end(set, session, SESSION_END_NOW, ok ? "snapshot delivered" : "snapshot not taken");
}

/* ---- receiver ------------------------------------------------------------------------------- */

static void on_begin(struct peer_set *set, struct session *session, const struct record *frame)
{
    struct floe_message message = {0};
    if (session->transfer.begun ||
        raft_codec_get_message(frame->payload, frame->payload_len, &message) != ERR_OK) {
        session_violation(set, session, "malformed snapshot begin");
        return;
    }
    if (message.type != FLOE_MSG_SNAP || message.snapshot == NULL ||
        message.from != session->peer || message.to != set->options.id) {
        floe_message_deinit(&message);
        session_violation(set, session, "snapshot of or for somebody else");
        return;
    }
    session->transfer.begun = true;
    peer_queue_event(set,
                     (struct peer_event){.type = PEER_EVENT_SNAPSHOT_BEGIN,
                                         .id = session->peer,
                                         .message = message},
                     frame->payload_len);
}

/* The record was made long before the frame; its own checksum covers the way from the disk. */
static bool is_record_sound(const struct record *frame)
{
    struct record inner;
    size_t used = 0;
    return record_get(frame->payload, frame->payload_len, frame->payload_len, &inner, &used) ==
               ERR_OK &&
           used == frame->payload_len;
}

static void on_record(struct peer_set *set, struct session *session, const struct record *frame)
{
    struct transfer *transfer = &session->transfer;
    if (!transfer->begun || transfer->complete || frame->index != transfer->records + 1) {
        session_violation(set, session, "snapshot record out of order");
        return;
    }
    if (!is_record_sound(frame)) {
        session_violation(set, session, "damaged snapshot record");
        return;
    }
    transfer->records++;
    transfer->complete = frame->type == PEER_FRAME_SNAP_LAST;
    struct peer_event event = {
        .type = PEER_EVENT_SNAPSHOT_RECORD, .id = session->peer, .last = transfer->complete};
    buf_add(&event.data, frame->payload, frame->payload_len);
    peer_queue_event(set, event, frame->payload_len);
}

void peer_set_snapshot_answer(struct peer_set *set, floe_id from, bool ok)
{
    struct session *session = set->receiving;
    if (session == NULL || session->peer != from || !session->transfer.begun)
        return; /* the link was lost: the sender has to try again */
    if (ok && !session->transfer.complete)
        return; /* meant for an earlier one of the same sender */
    struct buf frame = {0};
    peer_frame_put_ack(&frame, ok);
    session_put(session, &frame);
    session->transfer.ended = true;
    session->transfer.progress_ms = set->now_ms;
    set->receiving = NULL;
}

/* ---- both ----------------------------------------------------------------------------------- */

void snapshot_on_frame(struct peer_set *set, struct session *session, const struct record *frame)
{
    bool begin = frame->type == PEER_FRAME_SNAP_BEGIN;
    bool record = frame->type == PEER_FRAME_SNAP_RECORD || frame->type == PEER_FRAME_SNAP_LAST;
    session->transfer.progress_ms = set->now_ms;
    if (session->dialled && frame->type == PEER_FRAME_SNAP_ACK)
        on_ack(set, session, frame);
    else if (session->dialled || (!begin && !record))
        session_violation(set, session, "unexpected frame");
    else if (session->transfer.ended)
        return; /* sent before our answer came */
    else if (begin)
        on_begin(set, session, frame);
    else
        on_record(set, session, frame);
}

void snapshot_on_end(struct peer_set *set, struct session *session, uint8_t refusal)
{
    if (session->dialled) {
        if (!session->transfer.ended)
            report_sent(set, session, false, refusal);
        return;
    }
    if (set->receiving != session)
        return;
    set->receiving = NULL;
    if (session->transfer.begun)
        peer_queue_simple(set, PEER_EVENT_SNAPSHOT_ABORT, session->peer);
    session->transfer.ended = true;
}

bool snapshot_is_stuck(const struct peer_set *set, const struct session *session)
{
    const struct transfer *transfer = &session->transfer;
    if (!session->dialled && transfer->complete && !transfer->ended)
        return false; /* our own node is at work on it */
    return set->now_ms - transfer->progress_ms >= (uint64_t)set->options.silence_ms * PEER_PATIENCE;
}
