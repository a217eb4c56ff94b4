/*
 * The hash of the history up to a revision, in slices: of the keys as they were then and of every
 * event behind the compact revision. Other than kv_hash it can be told of any revision that can be
 * read, later, too, and on every member; as long as they are compacted alike, it is the same.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/store.h"

struct kv_digest {
    uint64_t revision;
    uint64_t compact; /* revision; when it moves, all begins anew */
    struct kv_cursor *cursor; /* NULL: all keys are in sum */
    uint64_t sum;
    uint64_t position; /* of the next event */
    uint64_t chain;
};

static enum kv_status begin(const struct kv *kv, struct kv_digest *digest)
{
    static const uint8_t first[1] = {0};
    struct kv_keys all = {.extent = KV_FROM_KEY, .key = {first, 1}};
    kv_cursor_free(digest->cursor);
    digest->cursor = NULL;
    digest->compact = kv->compact_revision;
    digest->sum = 0;
    digest->chain = kv_link(digest->revision, digest->compact);
    enum err err = kv_history_find(kv, digest->compact + 1, &digest->position);
    ASSERT(err == ERR_OK);
    return kv_cursor_open(kv, &all, digest->revision, false, &digest->cursor);
}

enum kv_status kv_digest_open(const struct kv *kv, uint64_t revision, struct kv_digest **out)
{
    struct kv_digest *digest = mem_calloc(1, sizeof *digest);
    digest->revision = revision != 0 ? revision : kv->revision;
    enum kv_status status = begin(kv, digest);
    if (status == KV_OK)
        *out = digest;
    else
        mem_free(digest);
    return status;
}

void kv_digest_free(struct kv_digest *digest)
{
    if (digest == NULL)
        return;
    kv_cursor_free(digest->cursor);
    mem_free(digest);
}

/* All keys at the revision. The sum does not depend on their order, and they have one. */
static enum kv_step add_keys(const struct kv *kv, struct kv_digest *digest, size_t *budget)
{
    struct kv_item item;
    enum kv_step step;
    while ((step = kv_cursor_next(kv, digest->cursor, budget, &item)) == KV_STEP_ITEM)
        digest->sum += kv_entry_hash(kv_cursor_entry(digest->cursor));
    if (step == KV_STEP_END) {
        kv_cursor_free(digest->cursor);
        digest->cursor = NULL;
    }
    return step;
}

static enum kv_step add_events(const struct kv *kv, struct kv_digest *digest, size_t *budget)
{
    for (; digest->position < kv_history_end(kv); digest->position++, --*budget) {
        const struct kv_entry *entry = history_at(&kv->history, digest->position);
        if (entry->mod_revision > digest->revision)
            break;
        if (*budget == 0)
            return KV_STEP_PAUSE;
        digest->chain = kv_link(digest->chain, kv_entry_hash(entry));
    }
    return KV_STEP_END;
}

enum kv_step kv_digest_go_on(const struct kv *kv, struct kv_digest *digest, size_t *budget)
{
    bool moved = digest->compact != kv->compact_revision;
    if (digest->revision < kv->compact_revision || (moved && begin(kv, digest) != KV_OK))
        return KV_STEP_COMPACTED;
    enum kv_step step = digest->cursor != NULL ? add_keys(kv, digest, budget) : KV_STEP_END;
    return step == KV_STEP_END ? add_events(kv, digest, budget) : step;
}

struct kv_digest_value kv_digest_value(const struct kv_digest *digest)
{
    return (struct kv_digest_value){.hash = kv_link(digest->chain, digest->sum),
                                    .revision = digest->revision,
                                    .compact_revision = digest->compact};
}
