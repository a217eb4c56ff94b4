/* See events.h. */
#include "events.h"

#include "base/assert.h"
#include "base/mem.h"
#include "node/internal.h"
#include "world.h"

#include <inttypes.h>
#include <string.h>

#define EDGE 64u /* bytes of a value that are looked at, at its begin */

void events_deinit(struct events *events)
{
    mem_free(events->hash);
    *events = (struct events){0};
}

static uint64_t mix(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 31);
}

static uint64_t mix_bytes(uint64_t hash, const struct kv_bytes *bytes)
{
    hash = mix(hash, bytes->len);
    for (size_t i = 0; i < bytes->len && i < EDGE; i++)
        hash = (hash ^ bytes->data[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t mix_event(uint64_t hash, const struct kv_event *event)
{
    hash = mix_bytes(hash, &event->item.key);
    hash = mix(mix(hash, event->item.mod_revision), event->item.version);
    if (event->item.version == 0)
        return hash;
    hash = mix(mix(hash, event->item.create_revision), event->item.lease);
    return mix_bytes(hash, &event->item.value);
}

static uint64_t *hash_of(struct events *events, uint64_t revision)
{
    while (revision >= events->count) {
        size_t count = events->count > 0 ? 2 * events->count : 1024;
        events->hash = mem_realloc(events->hash, count * sizeof *events->hash);
        memset(events->hash + events->count, 0, (count - events->count) * sizeof *events->hash);
        events->count = count;
    }
    return &events->hash[revision];
}

/* The store is another one: goes on behind what was read, or where it begins. */
static void find_place(struct world *world, struct machine *machine)
{
    struct watcher *watcher = &machine->watcher;
    const struct kv *kv = machine->node->kv;
    uint64_t next = watcher->revision + 1;
    if (next > kv_revision(kv) + 1)
        next = kv_revision(kv) + 1; /* an older state, after a restart: the rest comes again */
    if (next < 2)
        next = 2;
    if (kv_history_find(kv, next, &watcher->position) != ERR_OK) {
        world->counts.watch_jumps++;
        next = kv_compact_revision(kv);
        if (kv_history_find(kv, next, &watcher->position) != ERR_OK)
            check_fail(world, "member %u has no history from its compact revision %" PRIu64 " on",
                       machine->id, next);
    }
    watcher->life = machine->life;
    watcher->generation = node_kv_generation(machine->node);
    watcher->revision = next - 1;
    watcher->inside = false;
}

static void end_revision(struct world *world, struct machine *machine, uint64_t revision)
{
    struct watcher *watcher = &machine->watcher;
    uint64_t *known = hash_of(&world->events, revision);
    uint64_t hash = watcher->hash != 0 ? watcher->hash : 1;
    if (*known != 0 && *known != hash)
        check_fail(world, "revision %" PRIu64 " is not the same at member %u as elsewhere",
                   revision, machine->id);
    *known = hash;
    watcher->revision = revision;
    watcher->inside = false;
}

static void read_event(struct world *world, struct machine *machine)
{
    struct watcher *watcher = &machine->watcher;
    struct kv_event event;
    kv_history_at(machine->node->kv, watcher->position++, &event);
    world->counts.watched++;
    uint64_t revision = event.item.mod_revision;
    if (revision != watcher->revision + 1)
        check_fail(world, "member %u has an event of revision %" PRIu64 " behind those of %" PRIu64,
                   machine->id, revision, watcher->revision);
    watcher->hash = mix_event(watcher->inside ? watcher->hash : revision, &event);
    watcher->inside = true;
    if (event.last_of_revision)
        end_revision(world, machine, revision);
}

void events_check(struct world *world, struct machine *machine)
{
    struct watcher *watcher = &machine->watcher;
    const struct kv *kv = machine->node->kv;
    bool same = watcher->life == machine->life &&
                watcher->generation == node_kv_generation(machine->node);
    if (same && watcher->position == kv_history_end(kv) && watcher->revision == kv_revision(kv))
        return; /* as after most turns */
    if (!same || watcher->position < kv_history_first(kv))
        find_place(world, machine);
    while (watcher->position < kv_history_end(kv) && !world->check.failed)
        read_event(world, machine);
    if (watcher->revision != kv_revision(kv) && kv_revision(kv) > 1 && !world->check.failed)
        check_fail(world, "member %u is at revision %" PRIu64 ", its history ends with %" PRIu64,
                   machine->id, kv_revision(kv), watcher->revision);
}
