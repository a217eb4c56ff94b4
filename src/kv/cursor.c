/*
 * A walk of a range at one revision, in slices. Between slices anything may happen, another store
 * may even take this one's place: where the walk stands is known by key. As long as the index has
 * not changed, the path is good too.
 *
 * A key that was written very often since the revision has a long chain to go along. A pause in the
 * midst of it is remembered as a position in the history, where the version surely is: it is newer
 * than the revision, and so than what compaction may take.
 *
 * Compaction forbids new walks at old revisions at once, but frees nothing that an open one needs
 * (tidy.c, which also says when it does after all).
 */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/store.h"

struct kv_cursor {
    struct kv_keys keys; /* its bytes are in range */
    struct buf range;
    uint64_t revision;
    bool descending;
    bool started;  /* at is a key */
    bool in_chain; /* of at, at position */
    struct buf at; /* the key that was looked at last */
    uint64_t position;
    struct kv_stamp *stamp; /* one reference: the store that path belongs to */
    uint64_t changes;       /* of it, when path was good */
    struct index_path path;
    struct kv_entry *found; /* the item given last; borrowed */
    LIST_ENTRY(kv_cursor) next; /* of those with the same stamp */
};

static struct kv_bytes bytes_of(const struct buf *buf)
{
    return (struct kv_bytes){.data = buf->data, .len = buf->len};
}

static void set_stamp(struct kv_cursor *cursor, struct kv_stamp *stamp)
{
    if (cursor->stamp != NULL)
        LIST_REMOVE(cursor, next);
    if (stamp != NULL) {
        stamp->refs++;
        LIST_INSERT_HEAD(&stamp->cursors, cursor, next);
    }
    if (cursor->stamp != NULL && --cursor->stamp->refs == 0)
        mem_free(cursor->stamp);
    cursor->stamp = stamp;
}

uint64_t kv_cursors_oldest(const struct kv *kv)
{
    uint64_t oldest = UINT64_MAX;
    const struct kv_cursor *cursor;
    LIST_FOREACH(cursor, &kv->stamp->cursors, next)
    oldest = cursor->revision < oldest ? cursor->revision : oldest;
    return oldest;
}

enum kv_status kv_cursor_open(const struct kv *kv, const struct kv_keys *keys, uint64_t revision,
                              bool descending, struct kv_cursor **out)
{
    if (keys->key.len == 0)
        return KV_KEY_EMPTY;
    enum kv_status status = kv_revision_check(kv, revision);
    if (status != KV_OK)
        return status;
    struct kv_cursor *cursor = mem_calloc(1, sizeof *cursor);
    buf_add(&cursor->range, keys->key.data, keys->key.len);
    if (keys->end.len > 0)
        buf_add(&cursor->range, keys->end.data, keys->end.len);
    cursor->keys =
        (struct kv_keys){.extent = keys->extent,
                         .key = {.data = cursor->range.data, .len = keys->key.len},
                         .end = {.data = cursor->range.data + keys->key.len, .len = keys->end.len}};
    cursor->revision = revision != 0 ? revision : kv->revision;
    cursor->descending = descending;
    set_stamp(cursor, kv->stamp);
    *out = cursor;
    return KV_OK;
}


void kv_cursor_free(struct kv_cursor *cursor)
{
    if (cursor == NULL)
        return;
    set_stamp(cursor, NULL);
    buf_deinit(&cursor->range);
    buf_deinit(&cursor->at);
    mem_free(cursor);
}

uint64_t kv_cursor_revision(const struct kv_cursor *cursor)
{
    return cursor->revision;
}

struct kv_entry *kv_cursor_entry(const struct kv_cursor *cursor)
{
    ASSERT(cursor->found != NULL);
    return cursor->found;
}

/* ---- from key to key ------------------------------------------------------------------------- */

static struct kv_entry *first_entry(const struct kv *kv, struct kv_cursor *cursor)
{
    const struct kv_keys *keys = &cursor->keys;
    if (!cursor->descending) {
        kv_keys_begin(kv, keys, &cursor->path);
        return index_path_entry(&cursor->path);
    }
    bool one_key = keys->extent == KV_ONE_KEY;
    struct kv_place place = kv_key_place(one_key ? keys->key : keys->end);
    if (keys->extent == KV_FROM_KEY)
        index_last(&kv->keys, &cursor->path);
    else
        index_find(&kv->keys, &place, one_key, &cursor->path);
    return index_path_back(&cursor->path);
}

static struct kv_entry *next_entry(const struct kv *kv, struct kv_cursor *cursor)
{
    bool is_good = cursor->stamp == kv->stamp && cursor->changes == kv->stamp->changes;
    if (!cursor->started)
        return first_entry(kv, cursor);
    if (!is_good) {
        struct kv_place place = kv_key_place(bytes_of(&cursor->at));
        index_find(&kv->keys, &place, !cursor->descending, &cursor->path);
    } else if (!cursor->descending) {
        index_path_next(&cursor->path);
    }
    return cursor->descending ? index_path_back(&cursor->path) : index_path_entry(&cursor->path);
}

/* The newest version of the next key; NULL at the end. */
static struct kv_entry *advance(const struct kv *kv, struct kv_cursor *cursor)
{
    struct kv_entry *entry = next_entry(kv, cursor);
    if (cursor->stamp != kv->stamp)
        set_stamp(cursor, kv->stamp);
    cursor->changes = kv->stamp->changes;
    if (entry == NULL || !kv_keys_contain(&cursor->keys, kv_entry_key(entry)))
        return NULL;
    cursor->started = true;
    buf_clear(&cursor->at);
    buf_add(&cursor->at, entry->bytes, entry->key_len);
    return entry;
}

/* ---- along a chain --------------------------------------------------------------------------- */

/* Where the walk paused; in another store the key's newest version. */
static struct kv_entry *resume_chain(const struct kv *kv, struct kv_cursor *cursor)
{
    struct index_path path;
    cursor->in_chain = false;
    if (cursor->stamp == kv->stamp)
        return history_at(&kv->history, cursor->position);
    return kv_newest(kv, bytes_of(&cursor->at), &path);
}

static bool walk_chain(const struct kv *kv, struct kv_cursor *cursor, size_t *budget,
                       struct kv_entry **entry)
{
    while (*entry != NULL && (*entry)->mod_revision > cursor->revision) {
        if (*budget == 0) {
            cursor->in_chain = true;
            cursor->position = history_position(&kv->history, *entry);
            return false;
        }
        --*budget;
        *entry = (*entry)->older;
    }
    return true;
}

/* At an end of the range the cursor stays where it is: the next call finds the end again. */
enum kv_step kv_cursor_next(const struct kv *kv, struct kv_cursor *cursor, size_t *budget,
                            struct kv_item *out)
{
    if (cursor->revision < kv->freed_revision)
        return KV_STEP_COMPACTED;
    for (;;) {
        if (*budget == 0)
            return KV_STEP_PAUSE;
        bool resumed = cursor->in_chain;
        *budget -= resumed ? 0 : 1; /* a chain costs its versions */
        struct kv_entry *entry = resumed ? resume_chain(kv, cursor) : advance(kv, cursor);
        if (entry == NULL && !resumed)
            return KV_STEP_END;
        if (!walk_chain(kv, cursor, budget, &entry))
            return KV_STEP_PAUSE;
        if (entry == NULL || entry->version == 0)
            continue;
        cursor->found = entry;
        kv_entry_item(entry, out);
        return KV_STEP_ITEM;
    }
}
