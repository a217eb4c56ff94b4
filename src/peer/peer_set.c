/* The set itself: who belongs to it, and what the node sends through it. */
#include "peer/internal.h"

#include "base/addr.h"
#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define DEFAULT_QUEUE_BYTES (16u << 20)
#define DEFAULT_FRAME_BYTES (64u << 20)

static void fill_defaults(struct peer_options *options)
{
    if (options->queue_bytes == 0)
        options->queue_bytes = DEFAULT_QUEUE_BYTES;
    if (options->max_frame_bytes == 0)
        options->max_frame_bytes = DEFAULT_FRAME_BYTES;
    if (options->backoff_min_ms == 0)
        options->backoff_min_ms = 50;
    if (options->backoff_max_ms == 0)
        options->backoff_max_ms = 2000;
    if (options->backoff_max_ms < options->backoff_min_ms)
        options->backoff_max_ms = options->backoff_min_ms;
    if (options->dial_timeout_ms == 0)
        options->dial_timeout_ms = 3000;
    if (options->silence_ms == 0)
        options->silence_ms = 10000;
}

struct peer_set *peer_set_new(const struct peer_options *options)
{
    ASSERT(options->id != FLOE_ID_NONE && options->cluster != NULL && options->name != NULL);
    ASSERT(strlen(options->cluster) + strlen(options->name) < PEER_HELLO_MAX / 2);
    ASSERT(options->address == NULL || strlen(options->address) < ADDR_TEXT_MAX);
    struct peer_set *set = mem_calloc(1, sizeof *set);
    set->options = *options;
    fill_defaults(&set->options);
    set->cluster = mem_strdup(options->cluster);
    set->name = mem_strdup(options->name);
    set->options.cluster = set->cluster;
    set->options.name = set->name;
    set->address = mem_strdup(options->address != NULL ? options->address : "");
    set->options.address = set->address;
    set->prng.state = options->seed;
    TAILQ_INIT(&set->peers);
    TAILQ_INIT(&set->sessions);
    STAILQ_INIT(&set->events);
    STAILQ_INIT(&set->actions);
    return set;
}

static void free_peer(struct peer_set *set, struct peer *peer)
{
    TAILQ_REMOVE(&set->peers, peer, entry);
    mem_free(peer->address);
    mem_free(peer);
}

void peer_set_free(struct peer_set *set)
{
    if (set == NULL)
        return;
    while (!TAILQ_EMPTY(&set->sessions))
        session_free(set, TAILQ_FIRST(&set->sessions));
    while (!TAILQ_EMPTY(&set->peers))
        free_peer(set, TAILQ_FIRST(&set->peers));
    peer_queue_clear(set);
    mem_free(set->removed);
    mem_free(set->cluster);
    mem_free(set->name);
    mem_free(set->address);
    mem_free(set);
}

void peer_set_now(struct peer_set *set, uint64_t now_ms)
{
    if (now_ms > set->now_ms)
        set->now_ms = now_ms;
}

/* ---- membership ----------------------------------------------------------------------------- */

struct peer *peer_find(const struct peer_set *set, floe_id id)
{
    struct peer *peer;
    TAILQ_FOREACH(peer, &set->peers, entry)
    {
        if (peer->id == id)
            return peer;
    }
    return NULL;
}

static size_t removed_position(const struct peer_set *set, floe_id id)
{
    size_t i = 0;
    while (i < set->removed_count && set->removed[i] != id)
        i++;
    return i;
}

bool peer_is_removed(const struct peer_set *set, floe_id id)
{
    return removed_position(set, id) < set->removed_count;
}

static void forgive(struct peer_set *set, floe_id id)
{
    size_t i = removed_position(set, id);
    if (i < set->removed_count)
        set->removed[i] = set->removed[--set->removed_count];
}

static void change_address(struct peer_set *set, struct peer *peer, const char *address)
{
    if (strcmp(peer->address, address) == 0)
        return;
    mem_free(peer->address);
    peer->address = mem_strdup(address);
    if (peer->out != NULL)
        session_end(set, peer->out, SESSION_END_NOW, "address changed");
    peer->backoff_ms = 0;
    peer->retry_at_ms = set->now_ms;
    peer->trouble_logged = false;
}

void peer_set_put(struct peer_set *set, floe_id id, const char *address)
{
    ASSERT(id != FLOE_ID_NONE && address != NULL);
    if (id == set->options.id)
        return; /* nobody dials itself */
    forgive(set, id);
    struct peer *peer = peer_find(set, id);
    if (peer != NULL) {
        change_address(set, peer, address);
        return;
    }
    peer = mem_calloc(1, sizeof *peer);
    peer->id = id;
    peer->address = mem_strdup(address);
    TAILQ_INSERT_TAIL(&set->peers, peer, entry);
}

void peer_set_remove(struct peer_set *set, floe_id id, bool refuse)
{
    if (refuse && !peer_is_removed(set, id)) {
        set->removed =
            mem_grow(set->removed, set->removed_count, &set->removed_cap, sizeof *set->removed);
        set->removed[set->removed_count++] = id;
    }
    struct session *session;
    TAILQ_FOREACH(session, &set->sessions, entry)
    {
        if (session->peer == id)
            session_end(set, session, SESSION_END_NOW, "removed");
    }
    struct peer *peer = peer_find(set, id);
    if (peer != NULL)
        free_peer(set, peer);
}

void peer_set_accept_unknown(struct peer_set *set, bool accept)
{
    set->accept_unknown = accept;
}

bool peer_set_status(const struct peer_set *set, floe_id id, struct peer_status *out)
{
    const struct peer *peer = peer_find(set, id);
    if (peer == NULL)
        return false;
    bool up = peer->out != NULL && peer->out->state == SESSION_UP;
    *out = (struct peer_status){
        .connected = up,
        .last_heard_ms = peer->last_heard_ms,
        .queued_bytes = up ? session_queued(peer->out) : 0,
    };
    return true;
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Heartbeats and votes may go a little over the bound, so that bulk never starves them. */
static bool has_room(const struct peer_set *set, const struct session *session, size_t len,
                     bool urgent)
{
    size_t queued = session_queued(session);
    if (queued == 0)
        return true; /* one message always fits, however large */
    size_t bound = set->options.queue_bytes + (urgent ? PEER_URGENT_SLACK : 0);
    return queued < bound && len <= bound - queued;
}

static enum err sendable(struct peer_set *set, floe_id to, struct peer **out)
{
    struct peer *peer = peer_find(set, to);
    if (peer == NULL)
        return ERR_NOT_FOUND;
    if (peer->out == NULL || peer->out->state != SESSION_UP)
        return ERR_AGAIN;
    *out = peer;
    return ERR_OK;
}

/* Raft takes what it sent for delivered, so a drop is reported; once until the queue has shrunk. */
static enum err dropped(struct peer_set *set, struct peer *peer, enum err why)
{
    if (!peer->drop_reported) {
        peer->drop_reported = true;
        log_warn(set->options.logger, "peer messages dropped id=%" PRIu64 " why=\"%s\" queued=%zu",
                 peer->id, err_str(why), session_queued(peer->out));
        peer_queue_simple(set, PEER_EVENT_UNREACHABLE, peer->id);
    }
    return why;
}

/* Takes frame. */
static enum err put_bounded(struct peer_set *set, struct peer *peer, struct buf *frame, bool urgent)
{
    enum err why = ERR_OK;
    if (frame->len - RECORD_HEADER_BYTES > set->options.max_frame_bytes)
        why = ERR_TOO_LARGE; /* the other side would end the link */
    else if (!has_room(set, peer->out, frame->len, urgent))
        why = ERR_FULL;
    if (why != ERR_OK) {
        buf_deinit(frame);
        return dropped(set, peer, why);
    }
    if (session_queued(peer->out) <= set->options.queue_bytes / 2)
        peer->drop_reported = false;
    session_put(peer->out, frame);
    return ERR_OK;
}

enum err peer_set_send(struct peer_set *set, const struct floe_message *message)
{
    ASSERT(message->type != FLOE_MSG_SNAP);
    struct peer *peer = NULL;
    enum err err = sendable(set, message->to, &peer);
    if (err != ERR_OK)
        return err;
    bool urgent = message->entry_count == 0;
    if (!has_room(set, peer->out, 0, urgent)) /* before the work of encoding */
        return dropped(set, peer, ERR_FULL);
    struct buf frame = {0};
    peer_frame_put_message(&frame, PEER_FRAME_MESSAGE, message);
    return put_bounded(set, peer, &frame, urgent);
}

enum err peer_set_send_note(struct peer_set *set, floe_id to, uint8_t kind, const void *data,
                            size_t len)
{
    struct peer *peer = NULL;
    enum err err = sendable(set, to, &peer);
    if (err != ERR_OK)
        return err;
    struct buf frame = {0};
    peer_frame_put_bytes(&frame, PEER_FRAME_NOTE, kind, data, len);
    return put_bounded(set, peer, &frame, false);
}
