/*
 * What is freed in slices: versions that compaction has made unreachable, and whole stores.
 *
 * An event older than the compact revision gives up the version before its own; if it is a
 * tombstone and still the newest version, its key leaves the index. Each event is looked at once,
 * so that compaction costs O(1) an event (O(log n) a tombstone). What may be seen is decided by the
 * compact revision alone; this only follows.
 *
 * It follows no further than the oldest revision that a cursor still walks at, so that compaction
 * does not end reads that began before it, unless that would keep too much: a cursor may belong to
 * a client that is in no hurry.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/store.h"

#define KEPT_FOR_CURSORS_EVENTS (256u << 10)
#define KEPT_FOR_CURSORS_BYTES ((uint64_t)256 << 20) /* of all old versions */

/* ---- compaction ------------------------------------------------------------------------------ */

static bool is_too_much(const struct kv *kv)
{
    return kv->history.end - kv->history.first > KEPT_FOR_CURSORS_EVENTS ||
           kv->entry_memory - kv->live_memory > KEPT_FOR_CURSORS_BYTES;
}

static void follow(struct kv *kv)
{
    if (kv->freed_revision == kv->compact_revision)
        return;
    uint64_t oldest = kv_cursors_oldest(kv);
    uint64_t to = kv->compact_revision < oldest ? kv->compact_revision : oldest;
    kv->freed_revision = to > kv->freed_revision ? to : kv->freed_revision;
}

static bool has_freed_events(const struct kv *kv)
{
    const struct history *history = &kv->history;
    return history->first < history->end &&
           history_at(history, history->first)->mod_revision < kv->freed_revision;
}

bool kv_is_tidy(const struct kv *kv)
{
    return kv->freed_revision == kv->compact_revision && !has_freed_events(kv);
}

/* May an event be freed now? */
static bool has_compacted_events(struct kv *kv)
{
    if (kv->view != NULL)
        return false;
    if (!has_freed_events(kv)) /* cursors are looked at only then */
        follow(kv);
    if (!has_freed_events(kv) && is_too_much(kv))
        kv->freed_revision = kv->compact_revision;
    return has_freed_events(kv);
}

static void cut_chain(struct kv *kv, struct kv_entry *entry)
{
    struct kv_entry *older = entry->older;
    if (older == NULL)
        return;
    ASSERT(older->older == NULL); /* its own event came first */
    entry->older = NULL;
    kv->entry_memory -= kv_entry_memory(older);
    kv_entry_unref(older);
}

static void drop_tombstone(struct kv *kv, struct kv_entry *entry)
{
    struct index_path path;
    if (entry->version != 0 || kv_newest(kv, kv_entry_key(entry), &path) != entry)
        return;
    kv->entry_memory -= kv_entry_memory(entry);
    kv->stamp->changes++;
    kv_entry_unref(index_remove(&kv->keys, &path));
}

static void compact_event(struct kv *kv)
{
    struct kv_entry *entry = history_at(&kv->history, kv->history.first);
    history_pop(&kv->history);
    cut_chain(kv, entry);
    drop_tombstone(kv, entry);
}

/* ---- dropped stores -------------------------------------------------------------------------- */

static void unref_stamp(struct kv *kv)
{
    if (--kv->stamp->refs == 0)
        mem_free(kv->stamp);
}

/* Its trees lie on a pile already. */
static void free_shell(struct kv *kv)
{
    kv_work_drop(kv);
    unref_stamp(kv);
    tickets_deinit(&kv->tickets);
    history_deinit(&kv->history);
    mem_free(kv);
}

static void pile_trees(struct kv_pile *pile, struct kv *kv)
{
    kv_pile_take_all(pile, &kv->pile);
    kv_pile_add(pile, kv->leases.root);
    kv_pile_add(pile, kv->keys.root);
}

/* One step of freeing the first dropped store. */
static void free_dropped(struct kv *kv)
{
    struct kv *old = kv->dropped;
    if (tickets_count(&old->tickets) > 0) {
        tickets_pop(&old->tickets);
        return;
    }
    if (history_pop_block(&old->history))
        return;
    kv->dropped = old->next_dropped;
    free_shell(old);
}

void kv_discard(struct kv *kv, struct kv *old)
{
    ASSERT(kv != old && old->view == NULL);
    pile_trees(&kv->pile, old);
    struct kv **end = &old->dropped;
    while (*end != NULL)
        end = &(*end)->next_dropped;
    *end = kv->dropped;
    kv->dropped = old;
    old->next_dropped = old->dropped;
}

void kv_free(struct kv *kv)
{
    if (kv == NULL)
        return;
    ASSERT(kv->view == NULL);
    struct kv_pile pile = {0};
    size_t budget = SIZE_MAX;
    pile_trees(&pile, kv);
    (void)kv_pile_reap(&pile, &budget);
    while (kv->dropped != NULL)
        free_dropped(kv);
    free_shell(kv);
}

bool kv_tidy(struct kv *kv, size_t budget)
{
    if (kv_pile_reap(&kv->pile, &budget))
        return true;
    for (; kv->dropped != NULL; budget--) {
        if (budget == 0)
            return true;
        free_dropped(kv);
    }
    for (; has_compacted_events(kv); budget--) {
        if (budget == 0)
            return true;
        compact_event(kv);
    }
    return false;
}
