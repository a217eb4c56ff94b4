/*
 * A watcher is *synced* (it has read all that the hub has looked at, and stands in its group's list
 * of these) or *behind* (it stands at a position, and reads from there). A round of the hub looks
 * at the events since the last one and moves the synced watchers of each group that they concern
 * to the group's first event: so all of them read the same blocks.
 */
#include "api/watch.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#define BLOCK_BYTES (32u << 10) /* a block ends with the revision that reaches it */
#define BLOCK_STEPS 4096        /* events looked at for one block */
#define ROUND_EVENTS 16384      /* looked at in one turn */
#define CACHE_BYTES (8u << 20)  /* of blocks that are kept for others */
#define MANY 32                 /* woken in one round: then the next one waits */

struct watch_block {
    unsigned refs;
    struct watch_hub *hub;
    struct watch_group *group;
    uint64_t from; /* positions [from, to) */
    uint64_t to;
    uint64_t revision;                   /* of the last event of these */
    struct buf bytes;                    /* may be empty */
    TAILQ_ENTRY(watch_block) next;       /* in the group */
    TAILQ_ENTRY(watch_block) next_older; /* in the hub's cache */
};
TAILQ_HEAD(watch_block_list, watch_block);
TAILQ_HEAD(watcher_list, watcher);
TAILQ_HEAD(watch_group_list, watch_group);

struct watch_group {
    struct watch_hub *hub;
    struct buf name; /* everything that makes it: key of the table of groups */
    const struct watch_form *form;
    struct kv_keys keys; /* bytes are in name */
    struct watch_key *key;
    struct watcher_list synced;
    struct watcher_list behind;
    struct watch_block_list blocks; /* newest first */
    uint64_t first;                 /* touched: first position of the round that concerns it */
    bool is_touched;
    TAILQ_ENTRY(watch_group) next; /* in its key or in the hub's ranges */
    TAILQ_ENTRY(watch_group) next_touched;
    UT_hash_handle hh;
};

/* All groups of one key. */
struct watch_key {
    struct buf key;
    struct watch_group_list groups;
    UT_hash_handle hh;
};

struct watcher {
    struct watch_group *group;
    bool is_synced;
    bool is_compacted;
    uint64_t position; /* behind: what it reads next */
    uint64_t revision; /* what it reads next has this one or a later one */
    void (*wake)(void *arg);
    void *arg;
    TAILQ_ENTRY(watcher) next;
};

struct watch_hub {
    struct node *node;
    uint64_t generation;
    uint64_t seen; /* positions below have been looked at */
    uint64_t seen_revision;
    uint64_t next_round_ms;
    size_t watcher_count;
    struct watch_group *groups; /* uthash */
    struct watch_key *by_key;   /* uthash */
    struct watch_group_list ranges;
    struct watch_block_list cache; /* oldest first */
    size_t cache_bytes;
    struct watch_group_list touched;
};

static const struct kv *store(const struct watch_hub *hub)
{
    return node_kv(hub->node);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void block_unref(struct watch_block *block)
{
    ASSERT(block->refs > 0);
    if (--block->refs > 0)
        return;
    buf_deinit(&block->bytes);
    mem_free(block);
}

static void on_sent(const void *data, size_t len, void *arg)
{
    (void)data, (void)len;
    block_unref(arg);
}

static void uncache(struct watch_hub *hub, struct watch_block *block)
{
    TAILQ_REMOVE(&block->group->blocks, block, next);
    TAILQ_REMOVE(&hub->cache, block, next_older);
    hub->cache_bytes -= sizeof *block + block->bytes.cap;
    block_unref(block);
}

static void cache(struct watch_hub *hub, struct watch_group *group, struct watch_block *block)
{
    block->group = group;
    TAILQ_INSERT_HEAD(&group->blocks, block, next);
    TAILQ_INSERT_TAIL(&hub->cache, block, next_older);
    hub->cache_bytes += sizeof *block + block->bytes.cap;
    block->refs++;
    while (hub->cache_bytes > CACHE_BYTES)
        uncache(hub, TAILQ_FIRST(&hub->cache));
}

static int compare(struct kv_bytes a, struct kv_bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.data, b.data, len) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool contains(const struct kv_keys *keys, struct kv_bytes key)
{
    int order = compare(key, keys->key);
    if (keys->extent == KV_ONE_KEY)
        return order == 0;
    return order >= 0 && (keys->extent == KV_FROM_KEY || compare(key, keys->end) < 0);
}

static bool wants(const struct watch_group *group, const struct kv_event *event)
{
    bool is_delete = event->item.version == 0;
    return !(is_delete ? group->form->no_delete : group->form->no_put) &&
           contains(&group->keys, event->item.key);
}

/* Encodes from position on, up to what the hub has seen, in whole revisions. */
static struct watch_block *make_block(struct watch_group *group, uint64_t position)
{
    struct watch_hub *hub = group->hub;
    struct watch_block *block = mem_calloc(1, sizeof *block);
    *block = (struct watch_block){.refs = 1, .hub = hub, .from = position};
    struct kv_event held = {0}; /* until it is known whether it is the last of its revision */
    bool is_held = false;
    size_t steps = 0;
    bool more = true;
    while (more) {
        struct kv_event event;
        kv_history_at(store(hub), position++, &event);
        if (wants(group, &event)) {
            if (is_held)
                group->form->put(&block->bytes, &held, false);
            held = event;
            is_held = true;
        }
        steps++;
        if (!event.last_of_revision)
            continue;
        block->revision = event.item.mod_revision;
        if (is_held)
            group->form->put(&block->bytes, &held, true);
        is_held = false;
        more = position < hub->seen && steps < BLOCK_STEPS && block->bytes.len < BLOCK_BYTES;
    }
    block->to = position;
    return block;
}

/* One reference. */
static struct watch_block *get_block(struct watch_group *group, uint64_t position)
{
    struct watch_block *block;
    TAILQ_FOREACH(block, &group->blocks, next)
    {
        if (block->from == position) {
            block->refs++;
            return block;
        }
    }
    block = make_block(group, position);
    cache(group->hub, group, block);
    return block;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void put_part(struct buf *name, const void *data, size_t len)
{
    buf_add(name, &len, sizeof len);
    if (len > 0)
        buf_add(name, data, len);
}

static void name_of(struct buf *name, const struct kv_keys *keys, const struct watch_form *form)
{
    put_part(name, &form, sizeof(const struct watch_form *));
    put_part(name, &keys->extent, sizeof keys->extent);
    put_part(name, keys->key.data, keys->key.len);
    if (keys->extent == KV_HALF_OPEN)
        put_part(name, keys->end.data, keys->end.len);
}

/* The keys, with the bytes where the group's name has them. */
static struct kv_keys own_keys(const struct buf *name, const struct kv_keys *keys)
{
    struct kv_keys own = {.extent = keys->extent};
    size_t end_len = keys->extent == KV_HALF_OPEN ? keys->end.len : 0;
    size_t end_part = keys->extent == KV_HALF_OPEN ? sizeof(size_t) + end_len : 0;
    own.key = (struct kv_bytes){name->data + name->len - end_part - keys->key.len, keys->key.len};
    if (end_part > 0)
        own.end = (struct kv_bytes){name->data + name->len - end_len, end_len};
    return own;
}

static struct watch_key *find_key(struct watch_hub *hub, struct kv_bytes key)
{
    struct watch_key *found = NULL;
    HASH_FIND(hh, hub->by_key, key.data, key.len, found);
    return found;
}

static void join_key(struct watch_hub *hub, struct watch_group *group)
{
    struct kv_bytes key = group->keys.key;
    group->key = find_key(hub, key);
    if (group->key == NULL) {
        group->key = mem_calloc(1, sizeof *group->key);
        TAILQ_INIT(&group->key->groups);
        buf_add(&group->key->key, key.data, key.len);
        HASH_ADD_KEYPTR(hh, hub->by_key, group->key->key.data, key.len, group->key);
    }
    TAILQ_INSERT_TAIL(&group->key->groups, group, next);
}

static void leave_key(struct watch_hub *hub, struct watch_group *group)
{
    TAILQ_REMOVE(&group->key->groups, group, next);
    if (!TAILQ_EMPTY(&group->key->groups))
        return;
    HASH_DEL(hub->by_key, group->key);
    buf_deinit(&group->key->key);
    mem_free(group->key);
}

static struct watch_group *get_group(struct watch_hub *hub, const struct kv_keys *keys,
                                     const struct watch_form *form)
{
    struct buf name = {0};
    struct watch_group *group = NULL;
    name_of(&name, keys, form);
    HASH_FIND(hh, hub->groups, name.data, name.len, group);
    if (group != NULL) {
        buf_deinit(&name);
        return group;
    }
    group = mem_calloc(1, sizeof *group);
    *group = (struct watch_group){.hub = hub, .name = name, .form = form};
    group->keys = own_keys(&group->name, keys);
    TAILQ_INIT(&group->synced);
    TAILQ_INIT(&group->behind);
    TAILQ_INIT(&group->blocks);
    HASH_ADD_KEYPTR(hh, hub->groups, group->name.data, group->name.len, group);
    if (keys->extent == KV_ONE_KEY)
        join_key(hub, group);
    else
        TAILQ_INSERT_TAIL(&hub->ranges, group, next);
    return group;
}

static void maybe_free_group(struct watch_group *group)
{
    struct watch_hub *hub = group->hub;
    if (!TAILQ_EMPTY(&group->synced) || !TAILQ_EMPTY(&group->behind))
        return;
    while (!TAILQ_EMPTY(&group->blocks))
        uncache(hub, TAILQ_FIRST(&group->blocks));
    if (group->keys.extent == KV_ONE_KEY)
        leave_key(hub, group);
    else
        TAILQ_REMOVE(&hub->ranges, group, next);
    ASSERT(!group->is_touched);
    HASH_DEL(hub->groups, group);
    buf_deinit(&group->name);
    mem_free(group);
}

/* ---- watchers -------------------------------------------------------------------------------- */

static void set_synced(struct watcher *watcher, bool is_synced)
{
    struct watch_group *group = watcher->group;
    TAILQ_REMOVE(watcher->is_synced ? &group->synced : &group->behind, watcher, next);
    watcher->is_synced = is_synced;
    if (is_synced)
        TAILQ_INSERT_TAIL(&group->synced, watcher, next);
    else
        TAILQ_INSERT_TAIL(&group->behind, watcher, next);
}

/* Finds its place by its revision; synced if that has not been looked at yet. */
static void place(struct watcher *watcher)
{
    struct watch_hub *hub = watcher->group->hub;
    uint64_t position = 0;
    bool is_synced = watcher->revision > hub->seen_revision;
    watcher->is_compacted = false;
    if (!is_synced && kv_history_find(store(hub), watcher->revision, &position) != ERR_OK)
        watcher->is_compacted = true;
    watcher->position = position;
    set_synced(watcher, is_synced);
}

static void see_all(struct watch_hub *hub)
{
    hub->seen = kv_history_end(store(hub));
    hub->seen_revision = kv_revision(store(hub));
}

struct watcher *watch_add(struct watch_hub *hub, const struct kv_keys *keys,
                          const struct watch_form *form, uint64_t from_revision,
                          void (*wake)(void *arg), void *arg)
{
    if (hub->watcher_count++ == 0) { /* nobody has looked before */
        hub->generation = node_kv_generation(hub->node);
        see_all(hub);
    }
    struct watcher *watcher = mem_calloc(1, sizeof *watcher);
    watcher->group = get_group(hub, keys, form);
    watcher->revision = from_revision > 0 ? from_revision : kv_revision(store(hub)) + 1;
    watcher->wake = wake;
    watcher->arg = arg;
    TAILQ_INSERT_TAIL(&watcher->group->behind, watcher, next);
    place(watcher);
    return watcher;
}

void watch_remove(struct watcher *watcher)
{
    struct watch_group *group = watcher->group;
    TAILQ_REMOVE(watcher->is_synced ? &group->synced : &group->behind, watcher, next);
    group->hub->watcher_count--;
    maybe_free_group(group);
    mem_free(watcher);
}

uint64_t watch_revision(const struct watcher *watcher)
{
    uint64_t seen = watcher->group->hub->seen_revision;
    return watcher->is_synced && seen >= watcher->revision ? seen : watcher->revision - 1;
}

enum watch_read watch_next(struct watcher *watcher, struct evbuffer *out)
{
    struct watch_hub *hub = watcher->group->hub;
    if (watcher->is_synced)
        return WATCH_NOTHING;
    if (watcher->is_compacted || watcher->position < kv_history_first(store(hub)))
        return WATCH_COMPACTED;
    if (watcher->position >= hub->seen) {
        watcher->revision = hub->seen_revision + 1;
        set_synced(watcher, true);
        return WATCH_NOTHING;
    }
    struct watch_block *block = get_block(watcher->group, watcher->position);
    watcher->position = block->to;
    watcher->revision = block->revision + 1;
    if (block->bytes.len == 0) {
        block_unref(block);
        return WATCH_LATER;
    }
    ASSERT(evbuffer_add_reference(out, block->bytes.data, block->bytes.len, on_sent, block) == 0);
    return WATCH_EVENTS;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void touch(struct watch_hub *hub, struct watch_group *group, uint64_t position)
{
    if (group->is_touched)
        return;
    group->is_touched = true;
    group->first = position;
    TAILQ_INSERT_TAIL(&hub->touched, group, next_touched);
}

static void look_at(struct watch_hub *hub, const struct kv_event *event, uint64_t position)
{
    struct watch_group *group;
    struct watch_key *key = find_key(hub, event->item.key);
    if (key != NULL) {
        TAILQ_FOREACH(group, &key->groups, next)
        touch(hub, group, position);
    }
    TAILQ_FOREACH(group, &hub->ranges, next)
    {
        if (!group->is_touched && wants(group, event))
            touch(hub, group, position);
    }
}

/* Positions are always between two revisions. */
static void look_at_new(struct watch_hub *hub)
{
    uint64_t end = kv_history_end(store(hub));
    uint64_t position = hub->seen;
    uint64_t first_of_revision = position;
    struct kv_event event = {.last_of_revision = true};
    while (position < end && (position - hub->seen < ROUND_EVENTS || !event.last_of_revision)) {
        kv_history_at(store(hub), position, &event);
        look_at(hub, &event, first_of_revision);
        position++;
        hub->seen_revision = event.item.mod_revision;
        if (event.last_of_revision)
            first_of_revision = position;
    }
    hub->seen = position;
}

/* Who waits for a revision that is still to come stays where it is. */
static size_t wake_group(struct watch_hub *hub, struct watch_group *group)
{
    struct watcher *watcher;
    struct watcher *next;
    size_t woken = 0;
    for (watcher = TAILQ_FIRST(&group->synced); watcher != NULL; watcher = next) {
        next = TAILQ_NEXT(watcher, next);
        if (watcher->revision > hub->seen_revision)
            continue;
        uint64_t position = group->first;
        uint64_t wanted = 0;
        if (kv_history_find(store(hub), watcher->revision, &wanted) == ERR_OK && wanted > position)
            position = wanted;
        watcher->position = position;
        set_synced(watcher, false);
        watcher->wake(watcher->arg);
        woken++;
    }
    return woken;
}

static size_t wake_touched(struct watch_hub *hub)
{
    struct watch_group *group;
    size_t woken = 0;
    while ((group = TAILQ_FIRST(&hub->touched)) != NULL) {
        TAILQ_REMOVE(&hub->touched, group, next_touched);
        group->is_touched = false;
        woken += wake_group(hub, group);
    }
    return woken;
}

/* Another store has come by a snapshot: every place is looked up anew, by its revision. */
static void start_over(struct watch_hub *hub)
{
    struct watch_group *group;
    struct watch_group *next_group;
    while (!TAILQ_EMPTY(&hub->cache))
        uncache(hub, TAILQ_FIRST(&hub->cache));
    HASH_ITER(hh, hub->groups, group, next_group)
    {
        struct watcher *watcher;
        TAILQ_FOREACH(watcher, &group->synced, next)
        watcher->revision = watch_revision(watcher) + 1;
    }
    see_all(hub);
    HASH_ITER(hh, hub->groups, group, next_group)
    {
        struct watcher_list all = TAILQ_HEAD_INITIALIZER(all);
        TAILQ_CONCAT(&group->behind, &group->synced, next);
        TAILQ_CONCAT(&all, &group->behind, next);
        struct watcher *watcher;
        while ((watcher = TAILQ_FIRST(&all)) != NULL) {
            TAILQ_REMOVE(&all, watcher, next);
            watcher->is_synced = false;
            TAILQ_INSERT_TAIL(&group->behind, watcher, next);
            place(watcher);
            watcher->wake(watcher->arg);
        }
    }
}

void watch_turn(struct watch_hub *hub, uint64_t now_ms)
{
    if (hub->watcher_count == 0)
        return; /* the first one begins where the store is then */
    uint64_t generation = node_kv_generation(hub->node);
    if (generation != hub->generation) {
        hub->generation = generation;
        start_over(hub);
    }
    uint64_t end = kv_history_end(store(hub));
    if (hub->seen == end || now_ms < hub->next_round_ms)
        return;
    if (hub->seen < kv_history_first(store(hub))) { /* more was compacted in one turn than seen */
        start_over(hub);
        return;
    }
    look_at_new(hub);
    bool many = wake_touched(hub) > MANY;
    hub->next_round_ms = many && hub->seen == end ? now_ms + WATCH_GATHER_MS : now_ms;
}

uint64_t watch_deadline_ms(const struct watch_hub *hub)
{
    if (hub->watcher_count == 0 || hub->seen == kv_history_end(store(hub)))
        return UINT64_MAX;
    return hub->next_round_ms;
}

struct watch_hub *watch_hub_new(struct node *node)
{
    struct watch_hub *hub = mem_calloc(1, sizeof *hub);
    hub->node = node;
    TAILQ_INIT(&hub->ranges);
    TAILQ_INIT(&hub->cache);
    TAILQ_INIT(&hub->touched);
    return hub;
}

void watch_hub_free(struct watch_hub *hub)
{
    ASSERT(hub->watcher_count == 0);
    mem_free(hub);
}
