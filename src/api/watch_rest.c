/*
 * GET ...?watch: what happens to keys, as server-sent events or as lines of JSON.
 *
 * The id of an event is its revision, given with the last event of each revision: who resumes with
 * Last-Event-ID gets a revision that was cut off again as a whole, and never loses a part of one.
 * The beginning and each heartbeat have an id as well, and no data: to an EventSource they are no
 * event, but it resumes from there, so that nothing is lost before the first event, and a quiet
 * watch does not fall behind compaction.
 */
#include "api/internal.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/parse.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

struct rest_watch {
    struct api_stream stream; /* first */
    struct watcher *watcher;
    struct api *api;
    bool is_lines;
    bool has_begun;
};

/* ---- forms ----------------------------------------------------------------------------------- */

/* more: others of this revision follow. */
static void put_event(struct buf *out, const struct kv_event *event, bool more)
{
    struct api_json json = {.text = *out};
    bool is_delete = event->item.version == 0;
    api_json_open(&json, NULL, '{');
    api_json_str(&json, "type", is_delete ? "delete" : "put");
    api_json_u64(&json, "revision", event->item.mod_revision);
    if (is_delete)
        api_json_bytes(&json, "key", event->item.key.data, event->item.key.len);
    else
        api_put_item(&json, &event->item, false);
    if (more)
        api_json_bool(&json, "more", true);
    api_json_close(&json, '}');
    *out = json.text;
}

static void put_line(struct buf *out, const struct kv_event *event, bool is_last)
{
    put_event(out, event, !is_last);
    buf_add_u8(out, '\n');
}

static void put_sse(struct buf *out, const struct kv_event *event, bool is_last)
{
    if (is_last)
        buf_printf(out, "id: %" PRIu64 "\n", event->item.mod_revision);
    buf_printf(out, "event: %s\ndata: ", event->item.version == 0 ? "delete" : "put");
    put_event(out, event, !is_last);
    buf_add(out, "\n\n", 2);
}

static const struct watch_form form_lines = {.put = put_line};
static const struct watch_form form_sse = {.put = put_sse};

/* ---- what is no event -------------------------------------------------------------------------
 */

static void add(struct evbuffer *out, const struct buf *text)
{
    ASSERT(evbuffer_add(out, text->data, text->len) == 0);
}

/* type: "begin", "heartbeat", "compacted". */
static void put_note(struct rest_watch *watch, struct evbuffer *out, const char *type,
                     uint64_t revision)
{
    struct buf text = {0};
    if (watch->is_lines)
        buf_printf(&text, "{\"type\":\"%s\",\"revision\":%" PRIu64 "}\n", type, revision);
    else if (strcmp(type, "compacted") == 0)
        buf_printf(&text,
                   "event: compacted\ndata: {\"type\":\"compacted\",\"revision\":%" PRIu64 "}\n\n",
                   revision);
    else
        buf_printf(&text, ": %s %" PRIu64 "\nid: %" PRIu64 "\n\n", type, revision, revision);
    add(out, &text);
    buf_deinit(&text);
}

/* ---- the stream ------------------------------------------------------------------------------ */

static enum api_made next_events(struct api *api, struct api_stream *stream, struct evbuffer *out,
                                 size_t room, uint64_t now_ms)
{
    (void)room;
    (void)now_ms;
    struct rest_watch *watch = (struct rest_watch *)stream;
    if (!watch->has_begun) {
        watch->has_begun = true;
        put_note(watch, out, "begin", watch_revision(watch->watcher));
        return API_MADE_CHUNK;
    }
    switch (watch_next(watch->watcher, out)) {
    case WATCH_EVENTS: return API_MADE_CHUNK;
    case WATCH_LATER: return API_MADE_LATER;
    case WATCH_COMPACTED:
        put_note(watch, out, "compacted", kv_compact_revision(node_kv(api->node)));
        return API_MADE_LAST;
    case WATCH_NOTHING: break;
    }
    if (!stream->beat_due)
        return API_MADE_NOTHING;
    put_note(watch, out, "heartbeat", watch_revision(watch->watcher));
    return API_MADE_ALL;
}

static void free_watch(struct api *api, struct api_stream *stream)
{
    (void)api;
    struct rest_watch *watch = (struct rest_watch *)stream;
    watch_remove(watch->watcher);
    mem_free(watch);
}

static const struct api_stream_ops watch_ops = {
    .next = next_events, .free = free_watch, .farewell = api_stream_silent_farewell};

static void on_wake(void *arg)
{
    struct rest_watch *watch = arg;
    api_stream_wake(watch->api, &watch->stream);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* Last-Event-ID, which a browser's EventSource sends, counts more than the URL, which it repeats.
 */
static bool parse_start(const struct api_request *request, const struct api_params *params,
                        uint64_t *from, struct api_problem *problem)
{
    *from = 0;
    if (!api_param_u64(params, "from_revision", from, problem))
        return false;
    for (size_t i = 0; i < request->header_count; i++) {
        const char *value = request->headers[i].value;
        if (strcasecmp(request->headers[i].name, "Last-Event-ID") != 0 || *value == '\0')
            continue;
        if (parse_u64(value, strlen(value), from) != ERR_OK || *from == UINT64_MAX)
            return api_problem_set(problem, 400, "bad_last_event_id",
                                   "Last-Event-ID is a revision, as we give it as id");
        ++*from;
    }
    return true;
}

struct watch_asked {
    struct api_keys keys;
    uint64_t from;
    bool is_lines;
};

static void free_asked(void *state)
{
    struct watch_asked *asked = state;
    api_keys_deinit(&asked->keys);
    mem_free(asked);
}

static void start(struct api *api, struct api_pending *pending, uint64_t now_ms,
                  struct api_response *out)
{
    const struct kv *kv = node_kv(api->node);
    const struct watch_asked *asked = pending->state;
    if (asked->from != 0 && asked->from < kv_compact_revision(kv)) {
        api_respond_kv_status(out, KV_COMPACTED, kv);
        api_respond_header(out, "X-Floe-Compact-Revision", "%" PRIu64, kv_compact_revision(kv));
        return;
    }
    struct rest_watch *watch = mem_calloc(1, sizeof *watch);
    struct kv_keys keys = api_keys_view(&asked->keys);
    watch->api = api;
    watch->is_lines = asked->is_lines;
    watch->watcher = watch_add(api->hub, &keys, asked->is_lines ? &form_lines : &form_sse,
                               asked->from, on_wake, watch);
    api_respond_stream(out, asked->is_lines ? "application/x-ndjson" : "text/event-stream");
    api_respond_header(out, "X-Floe-Revision", "%" PRIu64, kv_revision(kv));
    api_stream_add(api, &watch->stream, pending->token, &watch_ops, now_ms);
}

static bool on_read(struct api *api, struct api_pending *pending, struct node_result *result,
                    struct api_response *out)
{
    if (result->outcome != NODE_OK)
        api_respond_outcome(out, result);
    else
        start(api, pending, pending->now_ms, out);
    return true;
}

/* After a barrier: what was acknowledged anywhere before the watch began is not told as new. */
bool api_watch_handle(struct api *api, struct api_call *call, const struct api_params *params,
                      struct api_keys *keys, struct api_response *out)
{
    struct api_problem problem;
    uint64_t from;
    if (!parse_start(call->request, params, &from, &problem)) {
        api_keys_deinit(keys);
        api_respond_problem(out, &problem);
        return true;
    }
    struct watch_asked *asked = mem_calloc(1, sizeof *asked);
    *asked = (struct watch_asked){*keys, from, api_accepts_lines(call->request)};
    *keys = (struct api_keys){0};
    struct api_pending *pending = api_pending_add(api, call, on_read);
    pending->state = asked;
    pending->free_state = free_asked;
    node_read(api->node, call->token, call->now_ms);
    return false;
}
