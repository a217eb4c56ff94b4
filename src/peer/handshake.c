/*
 * What comes in on a connection: frames are cut out of the input, the first decides who speaks and
 * on which lane (HELLO, WELCOME, REFUSE), the others go to the node as events. Whatever a correct
 * peer could not have sent ends the connection.
 */
#include "peer/internal.h"

#include "base/addr.h"
#include "base/assert.h"
#include "codec/raft_codec.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX 256 /* of a refusal, with its NUL */

/* ---- dialler -------------------------------------------------------------------------------- */

void handshake_on_connected(struct peer_set *set, struct session *session)
{
    const struct peer_hello hello = {
        .version = PEER_PROTOCOL_VERSION,
        .from = set->options.id,
        .to = session->peer,
        .lane = session->lane,
        .cluster = set->cluster,
        .cluster_len = strlen(set->cluster),
        .name = set->name,
        .name_len = strlen(set->name),
        .address = set->address,
        .address_len = strlen(set->address),
    };
    struct buf frame = {0};
    peer_frame_put_hello(&frame, &hello);
    session_put(session, &frame);
    session->state = SESSION_HELLO_SENT;
}

static void on_welcome(struct peer_set *set, struct session *session, const struct record *frame)
{
    floe_id id;
    if (peer_frame_get_welcome(frame, &id) != ERR_OK || id != session->peer) {
        session_violation(set, session, "malformed welcome");
        return;
    }
    session->state = SESSION_UP;
    session->drained_bytes = session->added_bytes - session_queued(session);
    struct peer *peer = peer_find(set, session->peer);
    ASSERT(peer != NULL);
    peer->refusal = 0;
    if (session->lane == PEER_LANE_SNAPSHOT) {
        snapshot_on_welcome(set, session);
        return;
    }
    peer->backoff_ms = 0;
    peer->trouble_logged = false;
    log_info(set->options.logger, "peer connected id=%" PRIu64 " address=%s", session->peer,
             session->where);
    peer_queue_simple(set, PEER_EVENT_CONNECTED, session->peer);
}

static void log_refused(struct peer_set *set, const struct session *session, uint8_t code,
                        const char *text)
{
    struct peer *peer = peer_find(set, session->peer);
    ASSERT(peer != NULL);
    if (peer->refusal == code)
        return;
    peer->refusal = code;
    if (session->lane == PEER_LANE_MESSAGES)
        peer->trouble_logged = true; /* this says more than that the link was lost */
    bool passing = code == PEER_REFUSED_UNKNOWN || code == PEER_REFUSED_BUSY;
    logger_log(set->options.logger, passing ? LOG_INFO : LOG_WARN,
               "peer refused us id=%" PRIu64 " address=%s code=%u why=\"%s\"", session->peer,
               session->where, (unsigned)code, text);
}

static void on_refuse(struct peer_set *set, struct session *session, const struct record *frame)
{
    uint8_t code;
    const char *words;
    size_t len;
    if (peer_frame_get_refuse(frame, &code, &words, &len) != ERR_OK) {
        session_violation(set, session, "malformed refusal");
        return;
    }
    char text[TEXT_MAX];
    peer_frame_clean_text(text, sizeof text, words, len);
    log_refused(set, session, code, text);
    if (session->lane == PEER_LANE_SNAPSHOT) {
        snapshot_on_end(set, session, code);
    } else {
        struct peer_event event = {.type = PEER_EVENT_REFUSED, .id = session->peer, .kind = code};
        buf_add(&event.data, text, strlen(text));
        peer_queue_event(set, event, event.data.len);
    }
    session_end(set, session, SESSION_END_NOW, text);
}

/* ---- acceptor ------------------------------------------------------------------------------- */

/* The older connection of the same peer and lane: it has restarted or lost that one. */
static struct session *find_older(const struct peer_set *set, floe_id peer, enum peer_lane lane)
{
    struct session *session;
    TAILQ_FOREACH(session, &set->sessions, entry) {
        if (session->state == SESSION_UP && !session->dialled && session->peer == peer &&
            session->lane == lane)
            return session;
    }
    return NULL;
}

/* Zero: welcome. Else the reason to refuse, with its text in why. */
static uint8_t judge_identity(const struct peer_set *set, const struct peer_hello *hello, char *why)
{
    if (hello->cluster_len != strlen(set->cluster) ||
        memcmp(hello->cluster, set->cluster, hello->cluster_len) != 0) {
        (void)snprintf(why, TEXT_MAX, "this member belongs to cluster %.200s", set->cluster);
        return PEER_REFUSED_CLUSTER;
    }
    if (hello->to != set->options.id) {
        (void)snprintf(why, TEXT_MAX, "this is member %" PRIu64 ", not %" PRIu64, set->options.id,
                       hello->to);
        return PEER_REFUSED_IDENTITY;
    }
    if (hello->from == FLOE_ID_NONE || hello->from >= FLOE_ID_APPLY_THREAD ||
        hello->from == set->options.id) {
        (void)snprintf(why, TEXT_MAX, "%" PRIu64 " cannot be the id of another member",
                       hello->from);
        return PEER_REFUSED_IDENTITY;
    }
    return 0;
}

static uint8_t judge(const struct peer_set *set, const struct peer_hello *hello, char *why)
{
    if (hello->version != PEER_PROTOCOL_VERSION) {
        (void)snprintf(why, TEXT_MAX, "protocol version %" PRIu64 " is not %d", hello->version,
                       PEER_PROTOCOL_VERSION);
        return PEER_REFUSED_VERSION;
    }
    uint8_t code = judge_identity(set, hello, why);
    if (code != 0)
        return code;
    if (peer_is_removed(set, hello->from)) {
        (void)snprintf(why, TEXT_MAX, "member %" PRIu64 " has been removed", hello->from);
        return PEER_REFUSED_REMOVED;
    }
    if (peer_find(set, hello->from) == NULL && !set->accept_unknown) {
        (void)snprintf(why, TEXT_MAX, "member %" PRIu64 " is not known here", hello->from);
        return PEER_REFUSED_UNKNOWN;
    }
    if (hello->lane == PEER_LANE_SNAPSHOT && set->receiving != NULL &&
        set->receiving->peer != hello->from) {
        (void)snprintf(why, TEXT_MAX, "a snapshot of member %" PRIu64 " is being received",
                       set->receiving->peer);
        return PEER_REFUSED_BUSY;
    }
    return 0;
}

static void refuse(struct peer_set *set, struct session *session, const struct peer_hello *hello,
                   uint8_t code, const char *why)
{
    if (set->refused_logged_id != hello->from || set->refused_logged_code != code) {
        set->refused_logged_id = hello->from;
        set->refused_logged_code = code;
        log_info(set->options.logger, "peer refused id=%" PRIu64 " where=%s code=%u why=\"%s\"",
                 hello->from, session->where, (unsigned)code, why);
    }
    struct buf frame = {0};
    peer_frame_put_refuse(&frame, code, why);
    session_put(session, &frame);
    session_end(set, session, SESSION_END_FLUSH, why);
}

/* A member that joins learns where those are who call it: it must be able to answer a leader that
 * its configuration file has never heard of. */
static void learn_address(struct peer_set *set, const struct peer_hello *hello)
{
    struct addr parsed;
    const char *why;
    char text[ADDR_TEXT_MAX];
    if (peer_find(set, hello->from) != NULL || !set->accept_unknown ||
        addr_parse(hello->address, hello->address_len, &parsed, &why) != ERR_OK)
        return;
    addr_format(&parsed, text);
    peer_set_put(set, hello->from, text);
}

static void welcome(struct peer_set *set, struct session *session, const struct peer_hello *hello)
{
    enum peer_lane lane = hello->lane == PEER_LANE_SNAPSHOT ? PEER_LANE_SNAPSHOT
                                                            : PEER_LANE_MESSAGES;
    struct session *older = find_older(set, hello->from, lane);
    if (older != NULL)
        session_end(set, older, SESSION_END_NOW, "replaced by a newer one");
    session->peer = hello->from;
    session->lane = lane;
    session->state = SESSION_UP;
    session->transfer.progress_ms = set->now_ms;
    if (lane == PEER_LANE_SNAPSHOT) {
        ASSERT(set->receiving == NULL);
        set->receiving = session;
    }
    struct buf frame = {0};
    peer_frame_put_welcome(&frame, set->options.id);
    session_put(session, &frame);
    char name[64];
    peer_frame_clean_text(name, sizeof name, hello->name, hello->name_len);
    log_debug(set->options.logger, "peer accepted id=%" PRIu64 " name=%s where=%s lane=%d",
              session->peer, name, session->where, (int)lane);
    learn_address(set, hello);
    struct peer *peer = peer_find(set, session->peer);
    if (peer != NULL)
        peer_wake(set, peer);
}

static void on_hello(struct peer_set *set, struct session *session, const struct record *frame)
{
    struct peer_hello hello = {0};
    enum err err = peer_frame_get_hello(frame, &hello);
    bool known_lane = hello.lane == PEER_LANE_MESSAGES || hello.lane == PEER_LANE_SNAPSHOT;
    if (err == ERR_INVALID || (err == ERR_OK && !known_lane)) {
        session_violation(set, session, "malformed hello");
        return;
    }
    char why[TEXT_MAX];
    uint8_t code = judge(set, &hello, why);
    if (code != 0)
        refuse(set, session, &hello, code, why);
    else
        welcome(set, session, &hello);
}

/* ---- the message lane ----------------------------------------------------------------------- */

/* Forwarded requests keep the id of who asked first, which need not be who sends. */
static bool is_sender_right(const struct session *session, const struct floe_message *message)
{
    bool forwarded = message->type == FLOE_MSG_PROP || message->type == FLOE_MSG_READ_INDEX ||
                     message->type == FLOE_MSG_TRANSFER_LEADER;
    return forwarded || message->from == session->peer;
}

static void on_message(struct peer_set *set, struct session *session, const struct record *frame)
{
    struct floe_message message = {0};
    if (raft_codec_get_message(frame->payload, frame->payload_len, &message) != ERR_OK) {
        session_violation(set, session, "malformed message");
        return;
    }
    const char *wrong = NULL;
    if (!is_sender_right(session, &message) || message.to != set->options.id)
        wrong = "message of or for somebody else";
    else if (message.type == FLOE_MSG_SNAP || floe_message_type_is_local(message.type))
        wrong = "message type that does not travel here";
    if (wrong != NULL) {
        floe_message_deinit(&message);
        session_violation(set, session, wrong);
        return;
    }
    peer_queue_event(
        set,
        (struct peer_event){.type = PEER_EVENT_MESSAGE, .id = session->peer, .message = message},
        frame->payload_len);
}

static void on_note(struct peer_set *set, struct session *session, const struct record *frame)
{
    if (frame->index > UINT8_MAX) {
        session_violation(set, session, "malformed note");
        return;
    }
    struct peer_event event = {
        .type = PEER_EVENT_NOTE, .id = session->peer, .kind = (uint8_t)frame->index};
    buf_add(&event.data, frame->payload, frame->payload_len);
    peer_queue_event(set, event, frame->payload_len);
}

static void on_ping(struct session *session)
{
    if (session_queued(session) > PEER_PONG_BACKLOG)
        return;
    struct buf frame = {0};
    peer_frame_put_bytes(&frame, PEER_FRAME_PONG, 0, NULL, 0);
    session_put(session, &frame);
}

static void on_frame_up(struct peer_set *set, struct session *session, const struct record *frame)
{
    bool messages = session->lane == PEER_LANE_MESSAGES;
    if (frame->type == PEER_FRAME_PING && !session->dialled)
        on_ping(session);
    else if (frame->type == PEER_FRAME_PONG && session->dialled)
        return; /* that it came is all there is to it */
    else if (!messages)
        snapshot_on_frame(set, session, frame);
    else if (frame->type == PEER_FRAME_MESSAGE && !session->dialled)
        on_message(set, session, frame);
    else if (frame->type == PEER_FRAME_NOTE && !session->dialled)
        on_note(set, session, frame);
    else
        session_violation(set, session, "unexpected frame");
}

/* ---- frames --------------------------------------------------------------------------------- */

void handshake_on_frame(struct peer_set *set, struct session *session, const struct record *frame)
{
    session->ping_waits = false;
    if (session->state == SESSION_UP)
        on_frame_up(set, session, frame);
    else if (session->state == SESSION_WAIT_HELLO && frame->type == PEER_FRAME_HELLO)
        on_hello(set, session, frame);
    else if (session->state == SESSION_HELLO_SENT && frame->type == PEER_FRAME_WELCOME)
        on_welcome(set, session, frame);
    else if (session->state == SESSION_HELLO_SENT && frame->type == PEER_FRAME_REFUSE)
        on_refuse(set, session, frame);
    else
        session_violation(set, session, "unexpected frame");
}

/* One frame off the input; false: there is no whole one, or the session has ended. */
static bool take_frame(struct peer_set *set, struct session *session, struct evbuffer *input)
{
    uint8_t header[RECORD_HEADER_BYTES];
    if (evbuffer_copyout(input, header, sizeof header) < (ev_ssize_t)sizeof header)
        return false;
    size_t payload = record_peek_payload_len(header);
    size_t limit =
        session->state == SESSION_UP ? set->options.max_frame_bytes : (size_t)PEER_HELLO_MAX;
    if (payload > limit) {
        session_violation(set, session, "frame over the limit");
        return false;
    }
    size_t total = sizeof header + payload;
    if (evbuffer_get_length(input) < total)
        return false;
    const uint8_t *data = evbuffer_pullup(input, (ev_ssize_t)total);
    ASSERT_MSG(data != NULL, "out of memory in evbuffer");
    struct record frame;
    size_t used = 0;
    enum err err = record_get(data, total, limit, &frame, &used);
    if (err != ERR_OK) {
        session_violation(set, session, err_str(err));
        return false;
    }
    ASSERT(used == total);
    handshake_on_frame(set, session, &frame);
    (void)evbuffer_drain(input, total);
    return session->state != SESSION_CLOSED;
}

void peer_set_on_input(struct peer_set *set, peer_link link, struct evbuffer *input,
                       uint64_t now_ms)
{
    peer_set_now(set, now_ms);
    struct session *session = session_find(set, link);
    if (session != NULL && evbuffer_get_length(input) > 0) {
        session->alive_ms = set->now_ms;
        while (take_frame(set, session, input))
            continue;
        struct peer *peer = peer_find(set, session->peer);
        if (peer != NULL)
            peer->last_heard_ms = set->now_ms;
    }
    if (session == NULL || session->state == SESSION_CLOSED)
        (void)evbuffer_drain(input, evbuffer_get_length(input));
}
