/*
 * A view walked in slices, and the loader that builds a store from what the walk wrote.
 *
 * The stream is a row of parts, numbers little-endian: u32 length of what follows, u8 kind, then
 *   kind 1, begin, first:  u32 format version (1)
 *   kind 2, item:          u64 create, u64 mod, u64 version, u32 key length, key, value
 *   kind 3, end, last:     u64 count, u64 revision
 * Items come in ascending order of keys. Damage inside a value is for the checksums of the file or
 * connection to find; the loader finds what breaks the rules of a store.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "kv/store.h"

enum {
    PART_BEGIN = 1,
    PART_ITEM = 2,
    PART_END = 3,
    FORMAT_VERSION = 1,
    LENGTH_BYTES = 4,
    BEGIN_BYTES = 1 + 4,
    ITEM_BYTES = 1 + 3 * 8 + 4, /* without key and value */
    END_BYTES = 1 + 2 * 8,
};

/* ---- the view -------------------------------------------------------------------------------- */

struct kv_view {
    struct index index; /* one reference to the root keeps it as it is */
    struct index_path path;
    struct kv_dump *dump;
    uint64_t revision;
    uint64_t count;
    bool begun;
    bool ended;
};

struct kv_view *kv_view_new(struct kv *kv)
{
    struct kv_view *view = mem_calloc(1, sizeof *view);
    view->index = kv->index;
    if (view->index.root != NULL)
        view->index.root->refs++;
    view->dump = kv->dump;
    view->dump->refs++;
    view->revision = kv->revision;
    view->count = kv->count;
    index_first(&view->index, &view->path);
    return view;
}

void kv_view_free(struct kv_view *view)
{
    if (view == NULL)
        return;
    kv_dump_unref_tree(view->dump, view->index.root);
    kv_dump_unref(view->dump);
    mem_free(view);
}

/* Length and kind; the caller appends the other len - 1 bytes. */
static uint8_t *put_part(struct buf *out, size_t len, uint8_t kind)
{
    uint8_t *at = buf_reserve(out, LENGTH_BYTES + len);
    put_u32(at, (uint32_t)len);
    at[LENGTH_BYTES] = kind;
    out->len += LENGTH_BYTES + len;
    return at + LENGTH_BYTES + 1;
}

static void put_begin(struct buf *out)
{
    put_u32(put_part(out, BEGIN_BYTES, PART_BEGIN), FORMAT_VERSION);
}

static void put_item(struct buf *out, const struct kv_entry *entry)
{
    size_t bytes = (size_t)entry->key_len + entry->value_len;
    ASSERT(bytes <= KV_ITEM_MAX_BYTES);
    (void)buf_reserve(out, LENGTH_BYTES + ITEM_BYTES + bytes);
    uint8_t *at = put_part(out, ITEM_BYTES + bytes, PART_ITEM);
    put_u64(at, entry->create_revision);
    put_u64(at + 8, entry->mod_revision);
    put_u64(at + 16, entry->version);
    put_u32(at + 24, entry->key_len);
    out->len -= bytes;
    buf_add(out, entry->bytes, bytes);
}

static void put_end(struct buf *out, uint64_t count, uint64_t revision)
{
    uint8_t *at = put_part(out, END_BYTES, PART_END);
    put_u64(at, count);
    put_u64(at + 8, revision);
}

bool kv_view_read(struct kv_view *view, struct buf *out, size_t max_bytes)
{
    size_t before = out->len;
    if (!view->begun)
        put_begin(out);
    view->begun = true;
    while (!view->ended) {
        const struct kv_entry *entry = index_path_entry(&view->path);
        if (entry == NULL) {
            put_end(out, view->count, view->revision);
            view->ended = true;
            break;
        }
        if (out->len - before >= max_bytes && out->len > before)
            return false;
        put_item(out, entry);
        index_path_next(&view->path);
        if (out->len - before >= max_bytes)
            return false;
    }
    return true;
}

/* ---- the loader ------------------------------------------------------------------------------ */

struct kv_loader {
    struct kv *kv;
    struct buf rest;             /* the part that has not come whole yet */
    const struct kv_entry *last; /* borrowed from the index */
    uint64_t max_revision;
    bool begun;
    bool ended;
    enum err err; /* the first; everything after fails alike */
};

struct kv_loader *kv_loader_new(void)
{
    struct kv_loader *loader = mem_calloc(1, sizeof *loader);
    loader->kv = kv_new();
    return loader;
}

void kv_loader_free(struct kv_loader *loader)
{
    if (loader == NULL)
        return;
    kv_free(loader->kv);
    buf_deinit(&loader->rest);
    mem_free(loader);
}

void kv_loader_discard(struct kv *kv, struct kv_loader *loader)
{
    if (loader->kv != NULL)
        kv_discard(kv, loader->kv);
    loader->kv = NULL;
    kv_loader_free(loader);
}

static enum err on_begin(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    if (loader->begun || len != BEGIN_BYTES - 1)
        return ERR_CORRUPT;
    loader->begun = true;
    uint32_t version = get_u32(body);
    if (version == 0)
        return ERR_CORRUPT;
    return version == FORMAT_VERSION ? ERR_OK : ERR_VERSION;
}

static bool revisions_are_possible(const struct kv_entry *entry)
{
    return entry->create_revision > 1 && entry->mod_revision >= entry->create_revision &&
           entry->version > 0 && entry->version - 1 <= entry->mod_revision - entry->create_revision;
}

static enum err on_item(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    const size_t fixed = ITEM_BYTES - 1;
    if (!loader->begun || len < fixed)
        return ERR_CORRUPT;
    size_t key_len = get_u32(body + 24);
    const uint8_t *key = body + fixed;
    if (key_len == 0 || key_len > len - fixed)
        return ERR_CORRUPT;
    if (loader->last != NULL && kv_entry_compare(loader->last, key, key_len) >= 0)
        return ERR_CORRUPT;
    size_t value_len = len - fixed - key_len;
    struct kv_entry *entry = kv_entry_new(key, key_len, key + key_len, value_len);
    entry->create_revision = get_u64(body);
    entry->mod_revision = get_u64(body + 8);
    entry->version = get_u64(body + 16);
    bool possible = revisions_are_possible(entry);
    if (loader->max_revision < entry->mod_revision)
        loader->max_revision = entry->mod_revision;
    index_append(&loader->kv->index, entry); /* an impossible one too: it goes with the loader */
    loader->last = entry;
    loader->kv->count++;
    loader->kv->size_bytes += key_len + value_len;
    return possible ? ERR_OK : ERR_CORRUPT;
}

static enum err on_end(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    if (!loader->begun || len != END_BYTES - 1)
        return ERR_CORRUPT;
    uint64_t revision = get_u64(body + 8);
    if (get_u64(body) != loader->kv->count || revision < 1 || revision < loader->max_revision)
        return ERR_CORRUPT;
    loader->kv->revision = revision;
    loader->ended = true;
    return ERR_OK;
}

static enum err on_part(struct kv_loader *loader, const uint8_t *part, size_t len)
{
    if (loader->ended)
        return ERR_CORRUPT;
    switch (part[0]) {
    case PART_BEGIN: return on_begin(loader, part + 1, len - 1);
    case PART_ITEM: return on_item(loader, part + 1, len - 1);
    case PART_END: return on_end(loader, part + 1, len - 1);
    default: return ERR_CORRUPT;
    }
}

/* Bytes of the part at data with its length; 0 if the length has not come whole yet. */
static enum err part_size(const uint8_t *data, size_t len, size_t *out)
{
    *out = 0;
    if (len < LENGTH_BYTES)
        return ERR_OK;
    size_t size = get_u32(data);
    if (size == 0 || size > ITEM_BYTES + KV_ITEM_MAX_BYTES)
        return ERR_CORRUPT;
    *out = LENGTH_BYTES + size;
    return ERR_OK;
}

/* Completes the part that began in an earlier feed; moves *data and *len over what it took. */
static enum err feed_rest(struct kv_loader *loader, const uint8_t **data, size_t *len)
{
    struct buf *rest = &loader->rest;
    while (rest->len > 0 && *len > 0) {
        size_t size = 0;
        enum err err = part_size(rest->data, rest->len, &size);
        if (err != ERR_OK)
            return err;
        size_t want = (size > 0 ? size : LENGTH_BYTES) - rest->len;
        size_t got = *len < want ? *len : want;
        buf_add(rest, *data, got);
        *data += got;
        *len -= got;
        if (size == 0 || got < want)
            continue;
        err = on_part(loader, rest->data + LENGTH_BYTES, size - LENGTH_BYTES);
        buf_clear(rest);
        return err;
    }
    return ERR_OK;
}

static enum err feed(struct kv_loader *loader, const uint8_t *data, size_t len)
{
    enum err err = feed_rest(loader, &data, &len);
    while (err == ERR_OK && len > 0) {
        size_t size = 0;
        err = part_size(data, len, &size);
        if (err != ERR_OK)
            return err;
        if (size == 0 || size > len) {
            buf_add(&loader->rest, data, len);
            return ERR_OK;
        }
        err = on_part(loader, data + LENGTH_BYTES, size - LENGTH_BYTES);
        data += size;
        len -= size;
    }
    return err;
}

enum err kv_loader_feed(struct kv_loader *loader, const uint8_t *data, size_t len)
{
    if (loader->err == ERR_OK && len > 0)
        loader->err = loader->ended ? ERR_CORRUPT : feed(loader, data, len);
    return loader->err;
}

enum err kv_loader_finish(struct kv_loader *loader, struct kv **out)
{
    if (loader->err != ERR_OK)
        return loader->err;
    if (!loader->ended || loader->rest.len > 0 || loader->kv == NULL)
        return ERR_CORRUPT;
    *out = loader->kv;
    loader->kv = NULL;
    return ERR_OK;
}
