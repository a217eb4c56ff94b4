/*
 * GET /events: what happens to the cluster, as this member sees it: its leader and term, and its
 * members. The state is looked at some ten times a second while somebody listens; each listener is
 * sent what is new since it was sent something last, beginning with everything.
 */
#include "api/internal.h"
#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define LOOK_MS 100

struct api_events {
    uint64_t next_look_ms;
    struct buf leader; /* as it was sent: an event as a whole */
    struct buf members;
    uint64_t leader_version; /* grows with each change */
    uint64_t members_version;
    TAILQ_HEAD(, listener) all;
};

struct listener {
    struct api_stream stream; /* first */
    uint64_t leader_version;
    uint64_t members_version;
    TAILQ_ENTRY(listener) next;
};

/* Takes the text; true if it is another one. */
static bool change(struct buf *now, struct buf *text)
{
    bool same = now->len == text->len && memcmp(now->data, text->data, text->len) == 0;
    if (same) {
        buf_deinit(text);
        return false;
    }
    buf_deinit(now);
    *now = *text;
    return true;
}

static struct buf leader_event(const struct node_status *status)
{
    struct api_json json = {0};
    buf_printf(&json.text, "event: leader\ndata: ");
    api_json_open(&json, NULL, '{');
    api_json_u64(&json, "leader", status->leader);
    api_json_u64(&json, "term", status->term);
    api_json_str(&json, "role", status->role);
    api_json_close(&json, '}');
    buf_add(&json.text, "\n\n", 2);
    return json.text;
}

static struct buf members_event(const struct node_status *status)
{
    struct api_json json = {0};
    buf_printf(&json.text, "event: members\ndata: ");
    api_json_open(&json, NULL, '{');
    api_json_open(&json, "members", '[');
    for (size_t i = 0; i < status->member_count; i++) {
        const struct node_member *member = &status->members[i];
        api_json_open(&json, NULL, '{');
        api_json_u64(&json, "id", member->id);
        api_json_str(&json, "name", member->name);
        api_json_bool(&json, "learner", member->learner);
        api_json_str(&json, "peer_address", member->peer_address);
        api_json_str(&json, "http_address", member->http_address);
        api_json_close(&json, '}');
    }
    api_json_close(&json, ']');
    api_json_close(&json, '}');
    buf_add(&json.text, "\n\n", 2);
    return json.text;
}

static bool look(struct api *api, uint64_t now_ms)
{
    struct api_events *events = api->events;
    struct node_status status = node_status(api->node, now_ms);
    struct buf leader = leader_event(&status);
    struct buf members = members_event(&status);
    node_status_deinit(&status);
    bool leader_changed = change(&events->leader, &leader);
    bool members_changed = change(&events->members, &members);
    events->leader_version += leader_changed ? 1 : 0;
    events->members_version += members_changed ? 1 : 0;
    events->next_look_ms = now_ms + LOOK_MS;
    return leader_changed || members_changed;
}

void api_events_turn(struct api *api, uint64_t now_ms)
{
    struct api_events *events = api->events;
    if (events == NULL || TAILQ_EMPTY(&events->all) || now_ms < events->next_look_ms ||
        !look(api, now_ms))
        return;
    struct listener *listener;
    TAILQ_FOREACH(listener, &events->all, next)
    api_stream_wake(api, &listener->stream);
}

uint64_t api_events_deadline_ms(const struct api *api)
{
    bool heard = api->events != NULL && !TAILQ_EMPTY(&api->events->all);
    return heard ? api->events->next_look_ms : UINT64_MAX;
}

void api_events_free(struct api *api)
{
    if (api->events == NULL)
        return;
    buf_deinit(&api->events->leader);
    buf_deinit(&api->events->members);
    mem_free(api->events);
}

/* ---- one listener ---------------------------------------------------------------------------- */

static enum api_made next_events(struct api *api, struct api_stream *stream, struct evbuffer *out,
                                 size_t room, uint64_t now_ms)
{
    (void)room, (void)now_ms;
    struct listener *listener = (struct listener *)stream;
    const struct api_events *events = api->events;
    if (listener->leader_version != events->leader_version)
        ASSERT(evbuffer_add(out, events->leader.data, events->leader.len) == 0);
    if (listener->members_version != events->members_version)
        ASSERT(evbuffer_add(out, events->members.data, events->members.len) == 0);
    listener->leader_version = events->leader_version;
    listener->members_version = events->members_version;
    if (evbuffer_get_length(out) == 0 && stream->beat_due)
        ASSERT(evbuffer_add(out, ": heartbeat\n\n", 13) == 0);
    return evbuffer_get_length(out) > 0 ? API_MADE_ALL : API_MADE_NOTHING;
}

static void free_listener(struct api *api, struct api_stream *stream)
{
    struct listener *listener = (struct listener *)stream;
    TAILQ_REMOVE(&api->events->all, listener, next);
    mem_free(listener);
}

static const struct api_stream_ops listener_ops = {
    .next = next_events, .free = free_listener, .farewell = api_stream_silent_farewell};

bool api_events_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    if (api->events == NULL) {
        api->events = mem_calloc(1, sizeof *api->events);
        TAILQ_INIT(&api->events->all);
    }
    if (TAILQ_EMPTY(&api->events->all))
        (void)look(api, call->now_ms);
    struct listener *listener = mem_calloc(1, sizeof *listener);
    TAILQ_INSERT_TAIL(&api->events->all, listener, next);
    api_stream_add(api, &listener->stream, call->token, &listener_ops, call->now_ms);
    api_respond_stream(out, "text/event-stream");
    return true;
}
