/* Everything that time brings about: dials, back-off, pings, ends by silence. */
#include "peer/internal.h"

#include "base/assert.h"

/* ---- dialling ------------------------------------------------------------------------------- */

/* Doubles up to the bound; jitter takes up to half of it off, so that members do not move in step.
 */
void peer_back_off(struct peer_set *set, struct peer *peer)
{
    const struct peer_options *options = &set->options;
    uint64_t wait_ms =
        peer->backoff_ms == 0 ? options->backoff_min_ms : (uint64_t)peer->backoff_ms * 2;
    if (wait_ms > options->backoff_max_ms)
        wait_ms = options->backoff_max_ms;
    peer->backoff_ms = (uint32_t)wait_ms;
    uint64_t half_ms = wait_ms / 2;
    peer->retry_at_ms = set->now_ms + (wait_ms - half_ms) + prng_below(&set->prng, half_ms + 1);
}

/* A dial that was sent to a machine that was down would sit out its time-out; and a link to one
 * that lost power looks well until something is sent on it. */
void peer_wake(struct peer_set *set, struct peer *peer)
{
    struct session *out = peer->out;
    if (out != NULL && out->state == SESSION_DIALLING &&
        set->now_ms - out->started_ms > set->options.dial_timeout_ms / 4)
        session_end(set, out, SESSION_END_NOW, "it is up meanwhile");
    else if (out != NULL && out->state == SESSION_UP)
        session_ping(out);
    if (peer->out != NULL)
        return;
    peer->backoff_ms = 0;
    peer->retry_at_ms = set->now_ms;
    (void)session_dial(set, peer, PEER_LANE_MESSAGES);
}

void peer_set_wake(struct peer_set *set, floe_id id)
{
    struct peer *peer = peer_find(set, id);
    if (peer != NULL)
        peer_wake(set, peer);
}

static void dial_due(struct peer_set *set)
{
    struct peer *peer;
    TAILQ_FOREACH(peer, &set->peers, entry)
    {
        if (peer->out == NULL && set->now_ms >= peer->retry_at_ms)
            (void)session_dial(set, peer, PEER_LANE_MESSAGES);
    }
}

void peer_set_dial(struct peer_set *set, uint64_t now_ms)
{
    peer_set_now(set, now_ms);
    dial_due(set);
}

/* ---- silence -------------------------------------------------------------------------------- */

/* Output that moves is a sign of life only as long as the last PING waits in it: a dead machine's
 * link swallows small messages for a long time. */
static void note_movement(struct peer_set *set, struct session *session)
{
    uint64_t drained = session->added_bytes - session_queued(session);
    if (drained == session->drained_bytes)
        return;
    ASSERT(drained > session->drained_bytes);
    if (session->ping_waits && session->drained_bytes < session->ping_end)
        session->alive_ms = set->now_ms;
    session->drained_bytes = drained;
    if (session->dialled)
        session->transfer.progress_ms = set->now_ms;
}

static void check_up(struct peer_set *set, struct session *session)
{
    note_movement(set, session);
    uint64_t quiet_ms = set->now_ms - session->alive_ms;
    if (quiet_ms >= set->options.silence_ms)
        session_end(set, session, SESSION_END_NOW, "silent");
    else if (session->lane == PEER_LANE_SNAPSHOT && snapshot_is_stuck(set, session))
        session_end(set, session, SESSION_END_NOW, "no progress");
    else if (session->dialled && quiet_ms >= set->options.silence_ms / 3)
        session_ping(session);
}

static void check_session(struct peer_set *set, struct session *session)
{
    uint64_t age_ms = set->now_ms - session->started_ms;
    bool late = age_ms >= set->options.dial_timeout_ms;
    switch (session->state) {
    case SESSION_DIALLING:
    case SESSION_HELLO_SENT:
        if (late)
            session_end(set, session, SESSION_END_NOW,
                        session->state == SESSION_DIALLING ? "no connection in time"
                                                           : "no welcome in time");
        return;
    case SESSION_WAIT_HELLO:
        if (late)
            session_end(set, session, SESSION_END_NOW, "no hello in time");
        return;
    case SESSION_UP: check_up(set, session); return;
    case SESSION_CLOSED:
        if (!session->flush || late)
            session_free(set, session);
        return;
    }
}

void peer_set_tick(struct peer_set *set, uint64_t now_ms)
{
    peer_set_now(set, now_ms);
    struct session *session = TAILQ_FIRST(&set->sessions);
    while (session != NULL) {
        struct session *next = TAILQ_NEXT(session, entry);
        check_session(set, session);
        session = next;
    }
    dial_due(set);
}
