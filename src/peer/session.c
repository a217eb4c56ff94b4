/* One connection: its birth, its output, its end. What is said on it: handshake.c, snapshot.c. */
#include "peer/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

#define COPY_MAX 4096 /* frames over it are lent to the evbuffer instead of copied */

struct session *session_find(const struct peer_set *set, peer_link link)
{
    struct session *session;
    TAILQ_FOREACH(session, &set->sessions, entry)
    {
        if (session->link == link)
            return session->state != SESSION_CLOSED ? session : NULL;
    }
    return NULL;
}

struct session *session_new(struct peer_set *set, enum session_state state, const char *where)
{
    struct session *session = mem_calloc(1, sizeof *session);
    session->link = ++set->last_link;
    session->state = state;
    session->lane = PEER_LANE_MESSAGES;
    (void)snprintf(session->where, sizeof session->where, "%s", where);
    session->output = evbuffer_new();
    ASSERT(session->output != NULL);
    session->started_ms = set->now_ms;
    session->alive_ms = set->now_ms;
    TAILQ_INSERT_TAIL(&set->sessions, session, entry);
    return session;
}

struct session *session_dial(struct peer_set *set, struct peer *peer, enum peer_lane lane)
{
    struct session *session = session_new(set, SESSION_DIALLING, peer->address);
    session->dialled = true;
    session->peer = peer->id;
    session->lane = lane;
    if (lane == PEER_LANE_MESSAGES) {
        ASSERT(peer->out == NULL);
        peer->out = session;
    }
    peer_queue_dial(set, session);
    return session;
}

void session_free(struct peer_set *set, struct session *session)
{
    if (set->receiving == session)
        set->receiving = NULL;
    TAILQ_REMOVE(&set->sessions, session, entry);
    floe_message_deinit(&session->transfer.message);
    evbuffer_free(session->output);
    mem_free(session);
}

/* ---- output --------------------------------------------------------------------------------- */

size_t session_queued(const struct session *session)
{
    return evbuffer_get_length(session->output);
}

static void release_frame(const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    mem_free(arg);
}

void session_put(struct session *session, struct buf *frame)
{
    ASSERT(session->state != SESSION_CLOSED && frame->len >= RECORD_HEADER_BYTES);
    session->added_bytes += frame->len;
    session->dirty = true;
    int rc;
    if (frame->len > COPY_MAX) {
        rc = evbuffer_add_reference(session->output, frame->data, frame->len, release_frame,
                                    frame->data);
        *frame = (struct buf){0};
    } else {
        rc = evbuffer_add(session->output, frame->data, frame->len);
        buf_deinit(frame);
    }
    ASSERT_MSG(rc == 0, "out of memory in evbuffer");
}

void session_ping(struct session *session)
{
    ASSERT(session->dialled && session->state == SESSION_UP);
    if (session->ping_waits)
        return;
    struct buf frame = {0};
    peer_frame_put_bytes(&frame, PEER_FRAME_PING, 0, NULL, 0);
    session_put(session, &frame);
    session->ping_waits = true;
    session->ping_end = session->added_bytes;
}

struct evbuffer *peer_set_output(struct peer_set *set, peer_link link)
{
    struct session *session;
    TAILQ_FOREACH(session, &set->sessions, entry)
    {
        if (session->link == link)
            return session->state != SESSION_CLOSED || session->flush ? session->output : NULL;
    }
    return NULL;
}

peer_link peer_set_next_dirty(struct peer_set *set)
{
    struct session *session;
    TAILQ_FOREACH(session, &set->sessions, entry)
    {
        if (session->dirty) {
            session->dirty = false;
            return session->link;
        }
    }
    return 0;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Every loss of a link that worked is a line; of failed dials only the first. */
static void log_end(struct peer_set *set, const struct session *session, struct peer *peer,
                    const char *reason)
{
    if (session->state == SESSION_UP) {
        log_info(set->options.logger, "peer link lost id=%" PRIu64 " address=%s why=\"%s\"",
                 session->peer, session->where, reason);
    } else if (!peer->trouble_logged) {
        peer->trouble_logged = true;
        log_info(set->options.logger, "peer not reached id=%" PRIu64 " address=%s why=\"%s\"",
                 session->peer, session->where, reason);
    }
}

static void end_message_link(struct peer_set *set, struct session *session, enum session_end end,
                             const char *reason)
{
    struct peer *peer = peer_find(set, session->peer);
    ASSERT(peer != NULL && peer->out == session);
    log_end(set, session, peer, reason);
    peer->out = NULL;
    peer->drop_reported = false;
    if (session->state == SESSION_UP)
        peer_queue_simple(set, PEER_EVENT_UNREACHABLE, peer->id);
    if (session->state == SESSION_UP && end == SESSION_END_GONE)
        peer_queue_simple(set, PEER_EVENT_BROKEN, peer->id);
    peer_back_off(set, peer);
}

void session_end(struct peer_set *set, struct session *session, enum session_end end,
                 const char *reason)
{
    if (session->state == SESSION_CLOSED)
        return;
    if (session->lane == PEER_LANE_SNAPSHOT)
        snapshot_on_end(set, session, 0);
    else if (session->dialled)
        end_message_link(set, session, end, reason);
    log_debug(set->options.logger, "peer connection closed id=%" PRIu64 " where=%s why=\"%s\"",
              session->peer, session->where, reason);
    session->state = SESSION_CLOSED;
    session->started_ms = set->now_ms;
    session->flush = end == SESSION_END_FLUSH;
    session->dirty = session->flush;
    if (!session->flush)
        (void)evbuffer_drain(session->output, session_queued(session));
    if (end != SESSION_END_GONE)
        peer_queue_close(set, session);
}

void session_violation(struct peer_set *set, struct session *session, const char *what)
{
    log_warn(set->options.logger, "peer protocol violated id=%" PRIu64 " where=%s what=\"%s\"",
             session->peer, session->where, what);
    session_end(set, session, SESSION_END_NOW, what);
}

/* ---- what io says --------------------------------------------------------------------------- */

static size_t count_anonymous(const struct peer_set *set)
{
    size_t count = 0;
    const struct session *session;
    TAILQ_FOREACH(session, &set->sessions, entry)
    {
        if (session->state == SESSION_WAIT_HELLO)
            count++;
    }
    return count;
}

peer_link peer_set_on_accept(struct peer_set *set, const char *description, uint64_t now_ms)
{
    peer_set_now(set, now_ms);
    if (count_anonymous(set) >= PEER_ANONYMOUS_MAX) {
        if (!set->crowd_logged)
            log_warn(set->options.logger, "peer connection turned away where=%s waiting=%d",
                     description, PEER_ANONYMOUS_MAX);
        set->crowd_logged = true;
        return 0;
    }
    set->crowd_logged = false;
    return session_new(set, SESSION_WAIT_HELLO, description)->link;
}

void peer_set_on_connected(struct peer_set *set, peer_link link, uint64_t now_ms)
{
    peer_set_now(set, now_ms);
    struct session *session = session_find(set, link);
    if (session != NULL && session->state == SESSION_DIALLING)
        handshake_on_connected(set, session);
}

void peer_set_on_closed(struct peer_set *set, peer_link link, const char *reason, uint64_t now_ms)
{
    peer_set_now(set, now_ms);
    struct session *session;
    TAILQ_FOREACH(session, &set->sessions, entry)
    {
        if (session->link == link)
            break;
    }
    if (session == NULL)
        return;
    session_end(set, session, SESSION_END_GONE, reason);
    session_free(set, session);
}
