/*
 * watch: one stream of messages for any number of watchers. What is told about a watcher itself
 * (created, canceled, progress) stands in a queue and goes first; events are read out of the
 * history (api/watch.h) when the client has room.
 */
#include "api/v3_internal.h"
#include "api/watch.h"
#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define PROGRESS_MS 600000 /* of silence, before one who asked for it is told how far he is */

struct v3_watcher {
    int64_t id;
    struct watcher *watcher;
    struct v3_watch *watch;
    bool is_awake;
    bool wants_progress;
    uint64_t told_ms;
    TAILQ_ENTRY(v3_watcher) next;
    TAILQ_ENTRY(v3_watcher) next_awake;
};

struct notice {
    struct buf text;
    STAILQ_ENTRY(notice) next;
};

struct v3_watch {
    struct api *api;
    struct v3_call *call;
    TAILQ_HEAD(, v3_watcher) watchers;
    TAILQ_HEAD(, v3_watcher) awake;
    STAILQ_HEAD(, notice) notices;
    size_t count;
    int64_t next_id;
    bool progress_asked;
};

/* ---- events as JSON -------------------------------------------------------------------------- */

static void put_event(struct buf *out, const struct kv_event *event, bool with_prev)
{
    struct v3_key_value kv;
    struct v3_key_value prev;
    v3_kv_of_item(&event->item, &kv);
    struct v3_event message = {.type = event->item.version == 0, .kv = &kv};
    if (message.type != 0) /* of a deletion there is nothing but the key and when */
        kv = (struct v3_key_value){.key = kv.key, .mod_revision = kv.mod_revision};
    if (with_prev && event->has_prev) {
        v3_kv_of_item(&event->prev, &prev);
        message.prev_kv = &prev;
    }
    if (out->len > 0)
        buf_add_u8(out, ',');
    v3_encode(out, &v3_message_event, &message);
}

static void put_plain(struct buf *out, const struct kv_event *event, bool is_last)
{
    (void)is_last;
    put_event(out, event, false);
}

static void put_with_prev(struct buf *out, const struct kv_event *event, bool is_last)
{
    (void)is_last;
    put_event(out, event, true);
}

#define FORMS(put)                                               \
    {put, false, false}, {put, true, false}, {put, false, true}, \
    {                                                            \
        put, true, true                                          \
    }
static const struct watch_form forms[2][4] = {{FORMS(put_plain)}, {FORMS(put_with_prev)}};

static const struct watch_form *form_of(const struct v3_watch_create_request *request)
{
    unsigned filters = 0;
    for (size_t i = 0; i < request->filters_count; i++) {
        if (request->filters[i] == 0 || request->filters[i] == 1)
            filters |= 1U << request->filters[i];
    }
    return &forms[request->prev_kv][filters];
}

/* ---- watchers -------------------------------------------------------------------------------- */

static void on_wake(void *arg)
{
    struct v3_watcher *watcher = arg;
    struct v3_watch *watch = watcher->watch;
    if (!watcher->is_awake) {
        watcher->is_awake = true;
        TAILQ_INSERT_TAIL(&watch->awake, watcher, next_awake);
    }
    v3_wake(watch->api, watch->call);
}

static void fall_asleep(struct v3_watcher *watcher)
{
    if (watcher->is_awake)
        TAILQ_REMOVE(&watcher->watch->awake, watcher, next_awake);
    watcher->is_awake = false;
}

static void remove_watcher(struct v3_watcher *watcher)
{
    struct v3_watch *watch = watcher->watch;
    fall_asleep(watcher);
    TAILQ_REMOVE(&watch->watchers, watcher, next);
    watch_remove(watcher->watcher);
    watch->count--;
    watch->api->v3->counts.watchers--;
    mem_free(watcher);
}

static struct v3_watcher *find_watcher(struct v3_watch *watch, int64_t id)
{
    struct v3_watcher *watcher;
    TAILQ_FOREACH(watcher, &watch->watchers, next)
    {
        if (watcher->id == id)
            return watcher;
    }
    return NULL;
}

static int64_t free_id(struct v3_watch *watch)
{
    while (find_watcher(watch, watch->next_id) != NULL)
        watch->next_id++;
    return watch->next_id++;
}

/* ---- notices --------------------------------------------------------------------------------- */

static void put_notice(struct v3_watch *watch, uint64_t revision,
                       struct v3_watch_response *response)
{
    struct notice *notice = mem_calloc(1, sizeof *notice);
    response->header = v3_header(watch->api, watch->call, revision);
    buf_add(&notice->text, "{\"result\":", 10);
    v3_encode(&notice->text, &v3_message_watch_response, response);
    buf_add_u8(&notice->text, '}');
    STAILQ_INSERT_TAIL(&watch->notices, notice, next);
    watch->call->unsaid_bytes += notice->text.len + sizeof *notice;
    v3_wake(watch->api, watch->call);
}

static void put_notice_now(struct v3_watch *watch, struct v3_watch_response *response)
{
    put_notice(watch, kv_revision(node_kv(watch->api->node)), response);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* As etcd: an empty key is the first of all. */
static struct kv_keys keys_of(const struct v3_watch_create_request *request)
{
    struct v3_bytes key = request->key;
    if (key.len == 0)
        key = (struct v3_bytes){(const uint8_t *)"", 1};
    return v3_keys(key, request->range_end);
}

static bool is_empty(const struct kv_keys *keys)
{
    if (keys->extent != KV_HALF_OPEN)
        return false;
    size_t common = keys->key.len < keys->end.len ? keys->key.len : keys->end.len;
    int order = memcmp(keys->key.data, keys->end.data, common);
    return order > 0 || (order == 0 && keys->end.len <= keys->key.len);
}

static void refuse(struct v3_watch *watch, const char *reason)
{
    struct v3_watch_response response = {
        .watch_id = -1, .created = true, .canceled = true, .cancel_reason = reason};
    put_notice_now(watch, &response);
}

static void create(struct v3_watch *watch, const struct v3_watch_create_request *request)
{
    struct kv_keys keys = keys_of(request);
    if (is_empty(&keys)) {
        refuse(watch, "mvcc: watcher range is empty");
        return;
    }
    if (request->watch_id != 0 && find_watcher(watch, request->watch_id) != NULL) {
        refuse(watch, "mvcc: duplicate watch ID provided on the WatchStream");
        return;
    }
    if (watch->count == V3_WATCHERS_MAX) {
        refuse(watch, "etcdserver: too many watchers on one stream");
        return;
    }
    struct v3_watcher *watcher = mem_calloc(1, sizeof *watcher);
    watcher->id = request->watch_id != 0 ? request->watch_id : free_id(watch);
    watcher->watch = watch;
    watcher->wants_progress = request->progress_notify;
    watcher->told_ms = watch->api->v3->now_ms;
    TAILQ_INSERT_TAIL(&watch->watchers, watcher, next);
    watch->count++;
    watch->api->v3->counts.watchers++;
    struct v3_watch_response response = {.watch_id = watcher->id, .created = true};
    put_notice_now(watch, &response);
    uint64_t from = request->start_revision > 0 ? (uint64_t)request->start_revision : 0;
    if (request->start_revision < 0) /* all there was */
        from = 1;
    watcher->watcher = watch_add(watch->api->hub, &keys, form_of(request), from, on_wake, watcher);
    on_wake(watcher);
}

static void cancel(struct v3_watch *watch, int64_t id)
{
    struct v3_watcher *watcher = find_watcher(watch, id);
    if (watcher == NULL)
        return;
    remove_watcher(watcher);
    struct v3_watch_response response = {.watch_id = id, .canceled = true};
    put_notice_now(watch, &response);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void add_end(struct v3_call *call, struct evbuffer *out)
{
    if (!call->is_socket)
        ASSERT(evbuffer_add(out, "\n", 1) == 0);
}

static void send_notice(struct v3_watch *watch, struct evbuffer *out)
{
    struct notice *notice = STAILQ_FIRST(&watch->notices);
    ASSERT(evbuffer_add(out, notice->text.data, notice->text.len) == 0);
    add_end(watch->call, out);
    STAILQ_REMOVE_HEAD(&watch->notices, next);
    watch->call->unsaid_bytes -= notice->text.len + sizeof *notice;
    buf_deinit(&notice->text);
    mem_free(notice);
}

/* The header's revision says how far this watcher has read: who resumes behind it misses nothing.
 */
static void send_events(struct v3_watcher *watcher, struct evbuffer *events, struct evbuffer *out)
{
    struct v3_watch *watch = watcher->watch;
    struct v3_watch_response response = {
        .header = v3_header(watch->api, watch->call, watch_revision(watcher->watcher)),
        .watch_id = watcher->id};
    struct buf head = {0};
    buf_add(&head, "{\"result\":", 10);
    v3_encode(&head, &v3_message_watch_response, &response);
    head.len--; /* its last bracket */
    buf_add(&head, ",\"events\":[", 11);
    ASSERT(evbuffer_add(out, head.data, head.len) == 0);
    ASSERT(evbuffer_add_buffer(out, events) == 0);
    ASSERT(evbuffer_add(out, "]}}", 3) == 0);
    add_end(watch->call, out);
    buf_deinit(&head);
    watcher->told_ms = watch->api->v3->now_ms;
}

static void tell_compacted(struct v3_watcher *watcher)
{
    struct v3_watch *watch = watcher->watch;
    struct v3_watch_response response = {
        .watch_id = watcher->id,
        .canceled = true,
        .compact_revision = (int64_t)kv_compact_revision(node_kv(watch->api->node))};
    remove_watcher(watcher);
    put_notice(watch, 0, &response);
}

/* true: a message was made. Of a watcher that has nothing more the turn is over. */
static bool read_events(struct v3_watcher *watcher, struct evbuffer *out, bool *later)
{
    struct evbuffer *events = evbuffer_new();
    ASSERT_MSG(events != NULL, "out of memory");
    enum watch_read read = watch_next(watcher->watcher, events);
    fall_asleep(watcher);
    if (read == WATCH_EVENTS) {
        send_events(watcher, events, out);
        on_wake(watcher); /* behind the others */
    } else if (read == WATCH_LATER) {
        *later = true;
        on_wake(watcher);
    } else if (read == WATCH_COMPACTED) {
        tell_compacted(watcher);
    }
    evbuffer_free(events);
    return read == WATCH_EVENTS;
}

/* All watchers have read everything up to it. */
static uint64_t common_revision(const struct v3_watch *watch)
{
    uint64_t revision = kv_revision(node_kv(watch->api->node));
    const struct v3_watcher *watcher;
    TAILQ_FOREACH(watcher, &watch->watchers, next)
    {
        if (watch_revision(watcher->watcher) < revision)
            revision = watch_revision(watcher->watcher);
    }
    return revision;
}

/* Nobody has anything to read: what was asked about progress can be said. */
static void tell_progress(struct v3_watch *watch, uint64_t now_ms)
{
    if (watch->progress_asked) {
        struct v3_watch_response response = {.watch_id = -1};
        put_notice(watch, common_revision(watch), &response);
        watch->progress_asked = false;
    }
    struct v3_watcher *watcher;
    TAILQ_FOREACH(watcher, &watch->watchers, next)
    {
        if (!watcher->wants_progress || now_ms < watcher->told_ms + PROGRESS_MS)
            continue;
        struct v3_watch_response response = {.watch_id = watcher->id};
        watcher->told_ms = now_ms;
        put_notice(watch, watch_revision(watcher->watcher), &response);
    }
}

static enum api_made make(struct api *api, struct v3_call *call, struct evbuffer *out,
                          uint64_t now_ms)
{
    (void)api;
    struct v3_watch *watch = call->state;
    size_t turns = watch->count; /* each watcher once */
    bool made = false;
    bool later = false;
    while (!made && STAILQ_EMPTY(&watch->notices) && !TAILQ_EMPTY(&watch->awake) && turns-- > 0)
        made = read_events(TAILQ_FIRST(&watch->awake), out, &later);
    if (!made && STAILQ_EMPTY(&watch->notices) && TAILQ_EMPTY(&watch->awake))
        tell_progress(watch, now_ms);
    if (!made && !STAILQ_EMPTY(&watch->notices)) {
        send_notice(watch, out);
        made = true;
    }
    v3_arena_deinit(&call->arena);
    if (made)
        return API_MADE_CHUNK;
    return later ? API_MADE_LATER : API_MADE_NOTHING;
}

static void free_state(struct api *api, struct v3_call *call)
{
    (void)api;
    struct v3_watch *watch = call->state;
    while (!TAILQ_EMPTY(&watch->watchers))
        remove_watcher(TAILQ_FIRST(&watch->watchers));
    while (!STAILQ_EMPTY(&watch->notices)) {
        struct notice *notice = STAILQ_FIRST(&watch->notices);
        STAILQ_REMOVE_HEAD(&watch->notices, next);
        buf_deinit(&notice->text);
        mem_free(notice);
    }
    mem_free(watch);
}

/* ---- the stream ------------------------------------------------------------------------------ */

static void ask_progress(struct v3_watch *watch)
{
    struct v3_watch_response response = {.watch_id = -1};
    if (TAILQ_EMPTY(&watch->watchers)) /* before who may follow is told that he is there */
        put_notice_now(watch, &response);
    else
        watch->progress_asked = true;
    v3_wake(watch->api, watch->call);
}

static void watch_begin(struct api *api, struct v3_call *call)
{
    struct v3_watch *watch = mem_calloc(1, sizeof *watch);
    watch->api = api;
    watch->call = call;
    TAILQ_INIT(&watch->watchers);
    TAILQ_INIT(&watch->awake);
    STAILQ_INIT(&watch->notices);
    call->state = watch;
    call->make = make;
    call->free_state = free_state;
    v3_stream_begin(api, call);
}

enum request { REQUEST, NO_MORE, BROKEN /* the call has ended */ };

/* What cannot be read ends a watch that has not begun, and is passed over in one that has. */
static enum request next_request(struct api *api, struct v3_call *call)
{
    char why[V3_WHY_BYTES];
    size_t used = 0;
    void *request = NULL;
    if (v3_is_waiting_for_rest(call))
        return NO_MORE;
    enum err err =
        v3_decode(&v3_message_watch_request, (const char *)call->text.data + call->text_at,
                  call->text.len - call->text_at, &used, &call->arena, &request, why);
    call->request = request;
    call->text_at = err == ERR_OK ? call->text_at + used : call->text.len;
    if (err == ERR_OK)
        return REQUEST;
    if (err != ERR_INVALID || (call->state != NULL && !call->is_socket))
        return NO_MORE;
    v3_fail_text(api, call, 2, why);
    return BROKEN;
}

/* Takes all that has come, unless its answers would be too many: a body may have 21 bytes for each
 * of 100. A request that is none of the three is answered by nothing. */
void v3_handle_watch(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    enum request found = NO_MORE;
    while (call->unsaid_bytes <= V3_UNSAID_BYTES && (found = next_request(api, call)) == REQUEST) {
        const struct v3_watch_request *request = call->request;
        if (call->state == NULL)
            watch_begin(api, call);
        if (request->create_request != NULL)
            create(call->state, request->create_request);
        else if (request->cancel_request != NULL)
            cancel(call->state, request->cancel_request->watch_id);
        else if (request->progress_request != NULL)
            ask_progress(call->state);
        v3_arena_deinit(&call->arena);
    }
    if (found == NO_MORE && call->state == NULL)
        watch_begin(api, call); /* it stays open and says nothing */
}
