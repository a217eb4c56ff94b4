/* See mixers.h. */
#include "mixers.h"

#include "../unit/kv/twin.h"
#include "base/mem.h"
#include "memory.h"
#include "world.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 6     /* of a write that can be sent again */
#define TICKETS 200 /* in a run: the twin keeps them all */

static uint64_t below(struct world *world, uint64_t bound)
{
    return prng_below(&world->mixers.prng, bound);
}

static void again_in(struct world *world, unsigned number, uint64_t us)
{
    struct mixer *mixer = &world->mixers.mixer[number];
    mixer->step++;
    queue_put(&world->queue, world->now_us + us + 1, EVENT_MIXER, number, mixer->step);
}

void mixers_start(struct world *world)
{
    struct mixers *mixers = &world->mixers;
    mixers->on = world->model.twin != NULL;
    mixers->prng.state = world->plan.seed ^ UINT64_C(0x6d6978);
    mixers->last_token = MIXER_TOKENS;
    for (unsigned i = 0; mixers->on && i < SIM_MIXERS; i++)
        again_in(world, i, below(world, 1000000));
}

void mixers_deinit(struct mixers *mixers)
{
    for (unsigned i = 0; i < SIM_MIXERS; i++) {
        buf_deinit(&mixers->mixer[i].target);
        buf_deinit(&mixers->mixer[i].body);
        buf_deinit(&mixers->mixer[i].found);
    }
    mem_free(mixers->mixes);
    *mixers = (struct mixers){0};
}

/* ---- what is asked --------------------------------------------------------------------------- */

static void put_compares(struct world *world, struct buf *out, uint64_t key)
{
    uint64_t count = below(world, 3);
    for (uint64_t i = 0; i < count; i++) {
        static const char *const ops[] = {"=", "!=", "<", ">"};
        const char *op = ops[below(world, 4)];
        uint64_t back = below(world, 10);
        uint64_t revision = world->mixers.revision > back ? world->mixers.revision - back : 0;
        buf_printf(out, "%s{\"key\":\"m%" PRIu64 "\",", i > 0 ? "," : "", (key + i) % MIXER_KEYS);
        switch (below(world, 4)) {
        case 0: buf_printf(out, "\"exists\":%s}", below(world, 2) == 0 ? "true" : "false"); break;
        case 1:
            buf_printf(out, "\"op\":\"%s\",\"version\":%" PRIu64 "}", op, below(world, 4));
            break;
        case 2: buf_printf(out, "\"op\":\"%s\",\"value\":\"t%" PRIu64 "\"}", op, back); break;
        default:
            buf_printf(out, "\"op\":\"%s\",\"mod_revision\":%" PRIu64 "}", op, revision);
            break;
        }
    }
}

/* then: two puts; else: one. All of different keys, so that nothing is refused. */
static void write_txn(struct world *world, struct mixer *mixer, const struct mix *mix)
{
    struct buf *out = &mixer->body;
    uint64_t key = below(world, MIXER_KEYS);
    buf_printf(&mixer->target, "/txn");
    buf_printf(out, "{\"if\":[");
    put_compares(world, out, key);
    buf_printf(out, "],\"then\":[");
    for (uint64_t i = 0; i < 2; i++)
        buf_printf(out, "{\"put\":{\"key\":\"m%" PRIu64 "\",\"value\":\"t%" PRIu64 "\"}},",
                   (key + i) % MIXER_KEYS, mix->number);
    buf_printf(out, "{\"get\":{\"prefix\":\"m\",\"limit\":%" PRIu64 "}}", below(world, 4));
    if (below(world, 2) == 0)
        buf_printf(out, ",{\"delete\":{\"key\":\"m%" PRIu64 "\"}}", (key + 2) % MIXER_KEYS);
    if (mix->kind == MIX_NESTED) {
        buf_printf(out, ",{\"txn\":{\"if\":[");
        put_compares(world, out, key + 1);
        buf_printf(out,
                   "],\"then\":[{\"put\":{\"key\":\"m%" PRIu64 "\",\"value\":\"n\"}}],"
                   "\"else\":[{\"delete\":{\"key\":\"m%" PRIu64 "\"}}]}}",
                   (key + 3) % MIXER_KEYS, (key + 4) % MIXER_KEYS);
    }
    buf_printf(out, "],\"else\":[{\"put\":{\"key\":\"m%" PRIu64 "\",\"value\":\"f%" PRIu64 "\"}}]}",
               (key + 2) % MIXER_KEYS, mix->number);
}

static void write_bulk(struct world *world, struct mixer *mixer, struct mix *mix)
{
    mix->puts = 1 + (unsigned)below(world, 6);
    buf_printf(&mixer->target, "/kv/");
    for (unsigned i = 0; i < mix->puts; i++) {
        buf_printf(&mixer->body, "{\"key\":\"m%" PRIu64 "\",\"value\":\"b%" PRIu64 "\"}\n",
                   below(world, MIXER_KEYS), mix->number);
        if (below(world, 4) == 0)
            buf_printf(&mixer->body, "{\"key\":\"m%" PRIu64 "\",\"delete\":true}\n",
                       below(world, MIXER_KEYS));
    }
}

static void write_range(struct world *world, struct mixer *mixer, bool deletes)
{
    uint64_t from = below(world, MIXER_KEYS);
    if (!deletes || below(world, 2) == 0)
        buf_printf(&mixer->target, "/kv/?prefix=m");
    else
        buf_printf(&mixer->target, "/kv/?from=m%" PRIu64 "&to=m%" PRIu64, from, from + 2);
    uint64_t back = below(world, 60);
    if (!deletes && below(world, 2) == 0 && world->mixers.revision > back)
        buf_printf(&mixer->target, "&revision=%" PRIu64, world->mixers.revision - back);
}

static void write_request(struct world *world, struct mixer *mixer, struct mix *mix)
{
    static const int methods[] = {
        [MIX_TXN] = API_POST,      [MIX_NESTED] = API_POST, [MIX_PUT] = API_PUT,
        [MIX_DELETE] = API_DELETE, [MIX_BULK] = API_POST,   [MIX_RANGE] = API_GET,
        [MIX_COMPACT] = API_POST};
    buf_clear(&mixer->target);
    buf_clear(&mixer->body);
    mixer->method = methods[mix->kind];
    uint64_t back = below(world, 40);
    switch (mix->kind) {
    case MIX_TXN:
    case MIX_NESTED: write_txn(world, mixer, mix); return;
    case MIX_BULK: write_bulk(world, mixer, mix); return;
    case MIX_RANGE:
    case MIX_DELETE: write_range(world, mixer, mix->kind == MIX_DELETE); return;
    case MIX_PUT:
        buf_printf(&mixer->target, "/kv/m%" PRIu64, below(world, MIXER_KEYS));
        buf_printf(&mixer->body, "p%" PRIu64, mix->number);
        return;
    case MIX_COMPACT:
        buf_printf(&mixer->target, "/v3/kv/compaction");
        buf_printf(&mixer->body, "{\"revision\":\"%" PRIu64 "\"}",
                   world->mixers.revision > back ? world->mixers.revision - back : 1);
        return;
    }
}

static void draw(struct world *world, struct mixer *mixer)
{
    static const enum mix_kind kinds[] = {MIX_TXN,  MIX_TXN,   MIX_TXN,   MIX_NESTED,
                                          MIX_PUT,  MIX_PUT,   MIX_PUT,   MIX_DELETE,
                                          MIX_BULK, MIX_RANGE, MIX_RANGE, MIX_COMPACT};
    struct mixers *mixers = &world->mixers;
    mixers->mixes = mem_grow(mixers->mixes, mixers->count, &mixers->cap, sizeof *mixers->mixes);
    struct mix *mix = &mixers->mixes[mixers->count];
    *mix = (struct mix){.kind = kinds[below(world, 12)], .number = mixers->count};
    mix->ticketed = mix->kind <= MIX_BULK && mix->number < TICKETS && below(world, 2) == 0;
    mixer->tries = mix->ticketed ? TRIES : 1;
    mixer->mix = mixers->count++;
    write_request(world, mixer, mix);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void ask(struct world *world, struct machine *machine, unsigned number)
{
    struct mixer *mixer = &world->mixers.mixer[number];
    const struct mix *mix = &world->mixers.mixes[mixer->mix];
    char name[24];
    struct api_header header = {.name = "Idempotency-Key", .value = name};
    struct api_request request = {.method = (enum api_method)mixer->method,
                                  .target = buf_str(&mixer->target),
                                  .headers = &header,
                                  .header_count = mix->ticketed ? 1 : 0};
    (void)snprintf(name, sizeof name, "ticket-%" PRIu64, mix->number);
    mixer->token = ++world->mixers.last_token;
    buf_clear(&mixer->found);
    mixer->tries--;
    request.body = evbuffer_new();
    (void)evbuffer_add(request.body, mixer->body.data, mixer->body.len);
    trace_line(&world->trace, machine->id, "mixer %u %s%s %s", number, buf_str(&mixer->target),
               mix->ticketed ? " with a ticket" : "",
               mixer->body.len > 0 ? buf_str(&mixer->body) : "");
    (void)memory_enter(machine->id);
    api_handle(machine->api, mixer->token, &request, machine_now_ms(machine));
    (void)memory_enter(0);
    evbuffer_free(request.body);
    machine_wake(machine, world->now_us + world->plan.turn_us);
}

void mixers_event(struct world *world, unsigned number, uint64_t step)
{
    struct mixer *mixer = &world->mixers.mixer[number];
    if (mixer->step != step)
        return;
    mixer->token = 0; /* if nothing was heard until now, then never */
    if (world->healing && mixer->tries == 0)
        return;
    struct machine *machine = world_choose(world, &world->mixers.prng);
    if (machine != NULL) {
        if (mixer->tries == 0)
            draw(world, mixer);
        ask(world, machine, number);
    }
    again_in(world, number, 2000 * (uint64_t)world->plan.request_timeout_ms);
}

/* ---- answers --------------------------------------------------------------------------------- */

static uint64_t told_revision(const struct api_response *response)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (strcmp(response->headers[i].name, "X-Floe-Revision") == 0)
            return strtoull(response->headers[i].value, NULL, 10);
    return 0;
}

static void learn_done(struct world *world, struct mix *mix, const struct api_response *response)
{
    static const char held[] = "\"succeeded\":true";
    mix->acknowledged = true;
    mix->revision = told_revision(response);
    if (mix->revision > world->mixers.revision)
        world->mixers.revision = mix->revision;
    if (response->body == NULL)
        return;
    struct evbuffer_ptr at = evbuffer_search(response->body, held, sizeof held - 1, NULL);
    mix->succeeded = at.pos >= 0;
}

/* false: it has come to nothing, and may be sent again. */
static bool learn(struct world *world, struct mixer *mixer, const struct api_response *response)
{
    struct mix *mix = &world->mixers.mixes[mixer->mix];
    int status = response->status;
    world->counts.mixed++;
    if (status == 200 || status == 204) {
        learn_done(world, mix, response);
        return true;
    }
    bool first = mixer->tries + 1 == (mix->ticketed ? TRIES : 1);
    bool refused =
        status == 409 || status == 413 || status == 429 || status == 503 || status == 507;
    mix->refused = refused && first && !mix->ticketed;
    if (!refused && status != 504 && mix->kind != MIX_RANGE && mix->kind != MIX_COMPACT)
        check_fail(world, "status %d for %s", status, buf_str(&mixer->target));
    return mix->kind >= MIX_RANGE;
}

bool mixers_answered(struct world *world, const struct api_response *response)
{
    if (response->token < MIXER_TOKENS || response->token > world->mixers.last_token)
        return false;
    for (unsigned i = 0; i < SIM_MIXERS; i++) {
        struct mixer *mixer = &world->mixers.mixer[i];
        if (mixer->token != response->token)
            continue;
        if (!world->healing && below(world, 20) == 0)
            return true; /* the answer is lost */
        trace_line(&world->trace, 0, "mixer %u has %d revision=%" PRIu64, i, response->status,
                   told_revision(response));
        if (response->stream)
            return true; /* what was found follows */
        mixer->token = 0;
        if (learn(world, mixer, response))
            mixer->tries = 0;
        again_in(world, i, plan_time(&world->mixers.prng, world->plan.think_us));
    }
    return true;
}

/* Every item of a listing was there at its revision, and no other. */
static void check_listing(struct world *world, const char *text, size_t len)
{
    const struct twin_event *want[256];
    const struct kv_keys keys = {
        KV_HALF_OPEN, {(const uint8_t *)"m", 1}, {(const uint8_t *)"n", 1}};
    json_t *json = json_loadb(text, len, 0, NULL);
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(json, "revision"));
    const json_t *items = json_object_get(json, "items");
    if (json_object_get(json, "error") == NULL && revision <= world->model.twin->revision) {
        size_t count = twin_list_range(world->model.twin, &keys, revision, want);
        bool same = json_array_size(items) == count;
        for (size_t i = 0; same && i < count; i++) {
            const json_t *item = json_array_get(items, i);
            const json_t *key = json_object_get(item, "key");
            same =
                strcmp(json_string_value(key), want[i]->key) == 0 &&
                (uint64_t)json_integer_value(json_object_get(item, "mod_revision")) ==
                    want[i]->mod &&
                (uint64_t)json_integer_value(json_object_get(item, "version")) == want[i]->version;
        }
        world->counts.listed++;
        if (!same)
            check_fail(world, "a listing at revision %" PRIu64 " is not what was there", revision);
    }
    json_decref(json);
}

void mixers_chunk(struct world *world, const struct api_chunk *chunk)
{
    for (unsigned i = 0; i < SIM_MIXERS; i++) {
        struct mixer *mixer = &world->mixers.mixer[i];
        if (mixer->token != chunk->token)
            continue;
        size_t len = chunk->data != NULL ? evbuffer_get_length(chunk->data) : 0;
        if (len > 0) {
            (void)evbuffer_copyout(chunk->data, buf_reserve(&mixer->found, len), len);
            mixer->found.len += len;
        }
        if (!chunk->last)
            continue;
        check_listing(world, (const char *)mixer->found.data, mixer->found.len);
        buf_clear(&mixer->found);
        mixer->token = 0;
        mixer->tries = 0;
        again_in(world, i, plan_time(&world->mixers.prng, world->plan.think_us));
    }
}

/* ---- judging --------------------------------------------------------------------------------- */

/* How often this was written; all at that revision, if one is given. */
static unsigned written(struct world *world, char letter, const struct mix *mix, uint64_t revision)
{
    const struct twin *twin = world->model.twin;
    char value[TWIN_VALUE];
    unsigned count = 0;
    (void)snprintf(value, sizeof value, "%c%u", letter, (unsigned)mix->number);
    for (size_t i = 0; i < twin->event_count; i++) {
        if (strcmp(twin->events[i].value, value) != 0)
            continue;
        count++;
        if (revision != 0 && twin->events[i].mod != revision)
            check_fail(world, "%s was written at revision %" PRIu64 ", told was %" PRIu64, value,
                       twin->events[i].mod, revision);
    }
    return count;
}

/* One transaction, and either its one half or the other. */
static void check_txn(struct world *world, const struct mix *mix)
{
    uint64_t told = mix->acknowledged ? mix->revision : 0;
    unsigned then = written(world, 't', mix, told);
    unsigned other = written(world, 'f', mix, told);
    bool once = (then == 2 && other == 0) || (then == 0 && other == 1);
    bool never = then == 0 && other == 0;
    bool good = mix->acknowledged ? once && (then == 2) == mix->succeeded
                                  : never || (once && !mix->refused);
    if (!good)
        check_fail(world,
                   "transaction %" PRIu64 " wrote %u and %u times, acknowledged=%d "
                   "succeeded=%d refused=%d",
                   mix->number, then, other, mix->acknowledged, mix->succeeded, mix->refused);
}

static void check_puts(struct world *world, const struct mix *mix)
{
    bool bulk = mix->kind == MIX_BULK;
    unsigned want = bulk ? mix->puts : 1;
    unsigned got =
        written(world, bulk ? 'b' : 'p', mix, mix->acknowledged && !bulk ? mix->revision : 0);
    bool good = mix->acknowledged ? got == want : got == 0 || (got == want && !mix->refused);
    if (!good)
        check_fail(world, "write %" PRIu64 " is there %u times of %u, acknowledged=%d refused=%d",
                   mix->number, got, want, mix->acknowledged, mix->refused);
}

void mixers_check(struct world *world)
{
    for (size_t i = 0; world->mixers.on && i < world->mixers.count; i++) {
        const struct mix *mix = &world->mixers.mixes[i];
        world->counts.acknowledged += mix->acknowledged;
        if (mix->kind == MIX_TXN || mix->kind == MIX_NESTED)
            check_txn(world, mix);
        else if (mix->kind == MIX_PUT || mix->kind == MIX_BULK)
            check_puts(world, mix);
    }
}
