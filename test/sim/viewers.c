/* See viewers.h. */
#include "viewers.h"

#include "../unit/kv/twin.h"
#include "base/mem.h"
#include "memory.h"
#include "world.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL (1u << 20) /* bytes that a slow one says it has not read */

static const struct target {
    const char *text;
    const char *from; /* keys in [from, to) */
    const char *to;
} targets[] = {
    {"/kv/?prefix=m&watch", "m", "n"},        {"/kv/m1?watch", "m1", "m1\x01"},
    {"/kv/?from=m1&to=m3&watch", "m1", "m3"}, {"/kv/?from=l&watch", "l", "\x7f"},
    {"/kv/?prefix=m&watch", "m", "n"},        {"/kv/?prefix=pair/&watch", "pair/", "pair0"},
};
#define TARGETS (sizeof targets / sizeof *targets)

static uint64_t below(struct world *world, uint64_t bound)
{
    return prng_below(&world->viewers.prng, bound);
}

static void again_in(struct world *world, unsigned number, uint64_t us)
{
    struct viewer *viewer = &world->viewers.viewer[number];
    viewer->step++;
    queue_put(&world->queue, world->now_us + us + 1, EVENT_VIEWER, number, viewer->step);
}

void viewers_start(struct world *world)
{
    struct viewers *viewers = &world->viewers;
    viewers->on = world->model.twin != NULL;
    viewers->prng.state = world->plan.seed ^ UINT64_C(0x76696577);
    viewers->last_token = VIEWER_TOKENS;
    for (unsigned i = 0; viewers->on && i < SIM_VIEWERS; i++) {
        viewers->viewer[i] =
            (struct viewer){.target = (unsigned)below(world, TARGETS), .is_slow = i % 3 == 2};
        again_in(world, i, below(world, 3000000));
    }
}

/* ---- the model ------------------------------------------------------------------------------- */

static bool wants(const struct viewer *viewer, const struct twin_event *event)
{
    const struct target *target = &targets[viewer->target];
    return strcmp(event->key, target->from) >= 0 && strcmp(event->key, target->to) < 0;
}

/* Its next event of its keys; NULL: there is none yet. */
static const struct twin_event *next_event(const struct world *world, struct viewer *viewer)
{
    const struct twin *twin = world->model.twin;
    for (; viewer->at < twin->event_count; viewer->at++) {
        const struct twin_event *event = &twin->events[viewer->at];
        if (event->mod >= viewer->next && wants(viewer, event))
            return event;
    }
    return NULL;
}

bool viewers_are_done(const struct world *world)
{
    for (unsigned i = 0; world->viewers.on && i < SIM_VIEWERS; i++) {
        struct viewer viewer = world->viewers.viewer[i];
        if (!viewer.is_open || viewer.next == 0 || next_event(world, &viewer) != NULL)
            return false;
    }
    return true;
}

/* ---- coming and going ------------------------------------------------------------------------ */

static void leave(struct world *world, struct viewer *viewer)
{
    struct machine *machine = &world->machine[viewer->machine];
    if (viewer->token != 0 && machine->node != NULL)
        api_stream_gone(machine->api, viewer->token);
    viewer->token = 0;
    viewer->is_open = viewer->is_full = false;
}

static void come(struct world *world, struct machine *machine, unsigned number)
{
    struct viewer *viewer = &world->viewers.viewer[number];
    char text[96];
    struct api_header header = {.name = "Accept", .value = "application/x-ndjson"};
    struct api_request request = {
        .method = API_GET, .target = text, .headers = &header, .header_count = 1};
    viewer->from = viewer->next;
    viewer->machine = machine->id;
    viewer->token = ++world->viewers.last_token;
    (void)snprintf(text, sizeof text, "%s", targets[viewer->target].text);
    if (viewer->from != 0)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "&from_revision=%" PRIu64,
                       viewer->from);
    trace_line(&world->trace, machine->id, "viewer %u %s", number, text);
    (void)memory_enter(machine->id);
    api_handle(machine->api, viewer->token, &request, machine_now_ms(machine));
    (void)memory_enter(0);
    machine_wake(machine, world->now_us + world->plan.turn_us);
}

/* Who is no member answers nobody: that is not what is waited for in the end. */
static struct machine *choose(struct world *world)
{
    unsigned member = world->healing ? world_pick_member(world) : 0;
    return member != 0 ? &world->machine[member]
                       : world_choose(world, &world->viewers.prng);
}

/* It reads on, or leaves. */
static void act(struct world *world, unsigned number)
{
    struct viewer *viewer = &world->viewers.viewer[number];
    struct machine *machine = &world->machine[viewer->machine];
    bool stays = viewer->is_open &&
                 (world->healing ? next_event(world, viewer) == NULL : below(world, 4) != 0);
    if (viewer->is_full && machine_runs(machine)) {
        viewer->is_full = false;
        api_stream_unsent(machine->api, viewer->token, 0);
        machine_wake(machine, world->now_us + world->plan.turn_us);
    } else if (!stays) {
        leave(world, viewer);
        machine = choose(world);
        if (machine != NULL)
            come(world, machine, number);
    }
}

void viewers_event(struct world *world, unsigned number, uint64_t step)
{
    if (world->viewers.viewer[number].step != step)
        return;
    act(world, number);
    uint64_t pause_us = world->healing ? 1000 * (uint64_t)world->plan.request_timeout_ms
                                       : world->plan.chaos_us / 20;
    again_in(world, number, plan_time(&world->viewers.prng, pause_us));
}

void viewers_machine_died(struct world *world, unsigned machine)
{
    for (unsigned i = 0; i < SIM_VIEWERS; i++)
        if (world->viewers.viewer[i].machine == machine)
            leave(world, &world->viewers.viewer[i]);
}

static struct viewer *find(struct world *world, uint64_t token)
{
    for (unsigned i = 0; i < SIM_VIEWERS; i++)
        if (world->viewers.viewer[i].token == token)
            return &world->viewers.viewer[i];
    return NULL;
}

static bool is_ours(const struct world *world, uint64_t token)
{
    return token > VIEWER_TOKENS && token <= world->viewers.last_token;
}

/* What it should have read next is gone, says the member: it is, and it begins anew. */
static void on_compacted(struct world *world, struct viewer *viewer)
{
    world->counts.views_compacted++;
    trace_line(&world->trace, viewer->machine, "viewer of %s from %" PRIu64 " on is too late",
               targets[viewer->target].text, viewer->next);
    if (viewer->next >= world->model.twin->compact)
        check_fail(world,
                   "a watch from revision %" PRIu64 " on is told that it is gone, with all "
                   "before %" PRIu64,
                   viewer->next, world->model.twin->compact);
    viewer->next = 0;
}

bool viewers_answered(struct world *world, const struct api_response *response)
{
    if (!is_ours(world, response->token))
        return false;
    struct viewer *viewer = find(world, response->token);
    if (viewer == NULL)
        return true;
    if (response->stream) {
        viewer->is_open = true;
        world->counts.views++;
        return true;
    }
    viewer->token = 0;
    if (response->status >= 400 && response->status < 429 && response->status != 409)
        on_compacted(world, viewer);
    return true;
}

/* ---- what it reads --------------------------------------------------------------------------- */

static void read_event(struct world *world, struct viewer *viewer, const json_t *json)
{
    const struct twin_event *want = next_event(world, viewer);
    const char *key = json_string_value(json_object_get(json, "key"));
    bool is_delete = strcmp(json_string_value(json_object_get(json, "type")), "delete") == 0;
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(json, "revision"));
    uint64_t version = (uint64_t)json_integer_value(json_object_get(json, "version"));
    const char *value = json_string_value(json_object_get(json, "value"));
    world->counts.viewed++;
    trace_line(&world->trace, viewer->machine, "viewer of %s reads %s at %" PRIu64,
               targets[viewer->target].text, key, revision);
    if (revision > world->model.twin->revision)
        return; /* the model is behind */
    if (want == NULL || strcmp(key, want->key) != 0 || revision != want->mod ||
        version != want->version || is_delete != (want->version == 0) ||
        (!is_delete && strlen(value) < TWIN_VALUE && strcmp(value, want->value) != 0)) {
        check_fail(world,
                   "a watch is told of %s at revision %" PRIu64 ", but next is %s at %" PRIu64, key,
                   revision, want != NULL ? want->key : "nothing", want != NULL ? want->mod : 0);
        return;
    }
    viewer->next = revision; /* there may be more of it */
    viewer->at++;
    viewer->inside = true;
}

/* Nothing of its keys is unread up to this revision. */
static void read_note(struct world *world, struct viewer *viewer, uint64_t revision)
{
    const struct twin_event *want = next_event(world, viewer);
    trace_line(&world->trace, viewer->machine, "viewer of %s is at %" PRIu64,
               targets[viewer->target].text, revision);
    if (want != NULL && want->mod <= revision)
        check_fail(world, "a watch is at revision %" PRIu64 " and was not told of %s at %" PRIu64,
                   revision, want->key, want->mod);
    if (revision + 1 > viewer->next)
        viewer->next = revision + 1;
}

static void read_line(struct world *world, struct viewer *viewer, const char *line, size_t len)
{
    json_t *json = json_loadb(line, len, 0, NULL);
    const char *type = json_string_value(json_object_get(json, "type"));
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(json, "revision"));
    if (type == NULL) {
        check_fail(world, "a watch is told no event: %.*s", (int)len, line);
    } else if (strcmp(type, "begin") == 0 && viewer->next == 0) {
        viewer->next = revision + 1;
        viewer->at = 0;
    } else if (strcmp(type, "begin") == 0 || strcmp(type, "heartbeat") == 0) {
        read_note(world, viewer, revision);
    } else if (strcmp(type, "compacted") == 0) {
        on_compacted(world, viewer);
    } else {
        read_event(world, viewer, json);
    }
    json_decref(json);
}

/* A chunk is made of whole lines and whole revisions. */
static void read_chunk(struct world *world, struct viewer *viewer, struct evbuffer *data)
{
    size_t len = evbuffer_get_length(data);
    const char *text = len > 0 ? (const char *)evbuffer_pullup(data, -1) : NULL;
    while (len > 0 && !world->check.failed) {
        const char *end = memchr(text, '\n', len);
        if (end == NULL) {
            check_fail(world, "a watch is told half a line");
            return;
        }
        read_line(world, viewer, text, (size_t)(end - text));
        len -= (size_t)(end - text) + 1;
        text = end + 1;
    }
    const struct twin_event *next = next_event(world, viewer);
    if (viewer->inside && next != NULL && next->mod == viewer->next)
        check_fail(world, "a watch is told half of revision %" PRIu64, next->mod);
    else if (viewer->inside)
        viewer->next++;
    viewer->inside = false;
}

bool viewers_chunk(struct world *world, struct machine *machine, const struct api_chunk *chunk)
{
    if (!is_ours(world, chunk->token))
        return false;
    struct viewer *viewer = find(world, chunk->token);
    if (viewer == NULL)
        return true;
    if (!world->healing && below(world, 30) == 0) { /* it is lost, and the connection */
        leave(world, viewer);
        return true;
    }
    if (chunk->data != NULL)
        read_chunk(world, viewer, chunk->data);
    if (chunk->last) {
        viewer->token = 0;
        viewer->is_open = false;
        return true;
    }
    viewer->is_full = viewer->is_slow && !world->healing;
    api_stream_unsent(machine->api, chunk->token, viewer->is_full ? FULL : 0);
    return true;
}
