/*
 * A view is a root that is held; walking it writes a stream of
 *
 *   1, key length u32, value length u32, create, mod, version u64 each, key, value     one item
 *   2, number of items u64, revision u64                                               the end
 *
 * in key order, numbers little-endian. The loader takes the stream in any split.
 */
#include "kv/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

enum { TAG_ITEM = 1, TAG_END = 2 };
#define ITEM_HEAD_BYTES 33u
#define END_BYTES 17u
#define KEY_BYTES_MAX (1u << 20)    /* larger lengths are damage */
#define VALUE_BYTES_MAX (256u << 20)

struct kv_view {
    struct kv_garbage *garbage;
    struct index_node *root;
    struct index_cursor cursor;
    uint64_t revision;
    uint64_t count;
    bool complete;
};

struct kv_view *kv_view_new(struct kv *kv)
{
    struct kv_view *view = mem_calloc(1, sizeof *view);
    view->garbage = kv_garbage_ref(kv->garbage);
    view->root = index_ref(kv->root);
    view->revision = kv->revision;
    view->count = kv->count;
    index_seek(&view->cursor, view->root, NULL, 0, false);
    return view;
}

void kv_view_free(struct kv_view *view)
{
    index_drop(&view->garbage->trees, view->root);
    kv_garbage_unref(view->garbage);
    mem_free(view);
}

static void put_item(struct buf *out, const struct index_item *item)
{
    uint8_t *head = buf_reserve(out, ITEM_HEAD_BYTES);
    head[0] = TAG_ITEM;
    put_u32(head + 1, item->key->len);
    put_u32(head + 5, item->value_len);
    put_u64(head + 9, item->create_revision);
    put_u64(head + 17, item->mod_revision);
    put_u64(head + 25, item->version);
    out->len += ITEM_HEAD_BYTES;
    buf_add(out, item->key->bytes, item->key->len);
    buf_add(out, item->value, item->value_len);
}

bool kv_view_read(struct kv_view *view, struct buf *out, size_t max_bytes)
{
    size_t begin = out->len;
    const struct index_item *item;
    while (!view->complete && (item = index_at(&view->cursor)) != NULL) {
        if (out->len - begin >= max_bytes)
            return false;
        put_item(out, item);
        index_next(&view->cursor);
    }
    if (!view->complete) {
        uint8_t *end = buf_reserve(out, END_BYTES);
        end[0] = TAG_END;
        put_u64(end + 1, view->count);
        put_u64(end + 9, view->revision);
        out->len += END_BYTES;
        view->complete = true;
    }
    return true;
}

/* ---- the way back --------------------------------------------------------------------------------- */

struct kv_loader {
    struct kv *kv;
    struct buf pending; /* a piece of the stream that is not whole yet */
    bool complete;
    struct index_key *last; /* keys must ascend */
};

struct kv_loader *kv_loader_new(void)
{
    struct kv_loader *loader = mem_calloc(1, sizeof *loader);
    loader->kv = kv_new();
    return loader;
}

void kv_loader_free(struct kv_loader *loader)
{
    if (loader->kv != NULL)
        kv_free(loader->kv);
    if (loader->last != NULL)
        index_key_unref(loader->last);
    buf_deinit(&loader->pending);
    mem_free(loader);
}

static bool ascends(const struct index_key *last, const uint8_t *key, size_t len)
{
    if (last == NULL)
        return true;
    size_t shorter = last->len < len ? last->len : len;
    int order = memcmp(last->bytes, key, shorter);
    return order < 0 || (order == 0 && last->len < len);
}

static enum err load_item(struct kv_loader *loader, const uint8_t *data, size_t len, size_t *used)
{
    if (len < ITEM_HEAD_BYTES)
        return ERR_SHORT;
    size_t key_len = get_u32(data + 1);
    size_t value_len = get_u32(data + 5);
    if (key_len == 0 || key_len > KEY_BYTES_MAX || value_len > VALUE_BYTES_MAX)
        return ERR_CORRUPT;
    if (len - ITEM_HEAD_BYTES < key_len + value_len)
        return ERR_SHORT;
    const uint8_t *key = data + ITEM_HEAD_BYTES;
    if (!ascends(loader->last, key, key_len))
        return ERR_CORRUPT;
    struct index_item *item =
        index_item_new(index_key_new(key, key_len), key + key_len, value_len);
    item->create_revision = get_u64(data + 9);
    item->mod_revision = get_u64(data + 17);
    item->version = get_u64(data + 25);
    if (loader->last != NULL)
        index_key_unref(loader->last);
    loader->last = index_key_ref(item->key);
    index_put(&loader->kv->root, item);
    loader->kv->count++;
    loader->kv->size_bytes += key_len + value_len;
    *used = ITEM_HEAD_BYTES + key_len + value_len;
    return ERR_OK;
}

static enum err load_end(struct kv_loader *loader, const uint8_t *data, size_t len, size_t *used)
{
    if (len < END_BYTES)
        return ERR_SHORT;
    if (get_u64(data + 1) != loader->kv->count || get_u64(data + 9) == 0)
        return ERR_CORRUPT;
    loader->kv->revision = get_u64(data + 9);
    loader->complete = true;
    *used = END_BYTES;
    return ERR_OK;
}

static enum err load_one(struct kv_loader *loader, const uint8_t *data, size_t len, size_t *used)
{
    if (len == 0)
        return ERR_SHORT;
    if (loader->complete)
        return ERR_CORRUPT; /* something behind the end */
    switch (data[0]) {
    case TAG_ITEM: return load_item(loader, data, len, used);
    case TAG_END: return load_end(loader, data, len, used);
    default: return ERR_CORRUPT;
    }
}

enum err kv_loader_feed(struct kv_loader *loader, const uint8_t *data, size_t len)
{
    buf_add(&loader->pending, data, len);
    size_t at = 0;
    size_t used = 0;
    enum err err;
    while ((err = load_one(loader, loader->pending.data + at, loader->pending.len - at, &used)) ==
           ERR_OK)
        at += used;
    if (at > 0) {
        memmove(loader->pending.data, loader->pending.data + at, loader->pending.len - at);
        loader->pending.len -= at;
    }
    return err == ERR_SHORT ? ERR_OK : err;
}

enum err kv_loader_finish(struct kv_loader *loader, struct kv **out)
{
    if (!loader->complete || loader->pending.len > 0)
        return ERR_CORRUPT;
    *out = loader->kv;
    loader->kv = NULL;
    return ERR_OK;
}
