/*
 * Builds a store from a snapshot's parts (format.h), which come in any split. Damage is for the
 * checksums of the file or connection to find; the loader finds what breaks the rules of a store,
 * and compares the hash of what it has built with the one that was written down.
 *
 * Events come in the order of keys and are put where they belong in the history; each of two
 * neighbours compares itself with the one that is there already, so that in the end all are in
 * order and none is missing.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "codec/checksum.h"
#include "kv/format.h"
#include "kv/store.h"

struct kv_loader {
    struct kv *kv;
    struct buf rest;        /* the part that has not come whole yet */
    struct kv_entry *last;  /* borrowed: the last version read, the end of its key's chain */
    struct kv_entry *first; /* borrowed: the newest version of that key */
    uint64_t events;
    uint64_t versions;
    uint64_t leases;
    uint64_t tickets;
    uint64_t tickets_end;
    uint64_t sum;
    uint32_t version;
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

/* ---- before the keys ------------------------------------------------------------------------- */

/* That parts of older versions lack. */
static size_t birth_bytes(const struct kv_loader *loader)
{
    return loader->version <= FORMAT_VERSION_NO_BIRTHS ? BIRTH_BYTES : 0;
}

/* From the end of a part, which has been found to be long enough. */
static struct kv_birth get_birth(const struct kv_loader *loader, const uint8_t *at)
{
    if (loader->version <= FORMAT_VERSION_NO_BIRTHS)
        return (struct kv_birth){0};
    return (struct kv_birth){.term = get_u64(at), .number = get_u64(at + 8)};
}

static enum err on_begin(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    struct kv *kv = loader->kv;
    if (loader->begun || len < 4)
        return ERR_CORRUPT;
    uint32_t version = get_u32(body);
    if (version < FORMAT_VERSION_NO_ALARMS || version > FORMAT_VERSION)
        return version == 0 ? ERR_CORRUPT : ERR_VERSION;
    loader->version = version;
    if (len != BEGIN_BYTES - 1 - birth_bytes(loader))
        return ERR_CORRUPT;
    kv->births = get_birth(loader, body + 52);
    kv->revision = get_u64(body + 4);
    kv->compact_revision = get_u64(body + 12);
    kv->freed_revision = kv->compact_revision;
    kv->chain = get_u64(body + 20);
    uint64_t first = get_u64(body + 28);
    uint64_t end = get_u64(body + 36);
    loader->tickets_end = get_u64(body + 44);
    if (kv->revision == 0 || kv->compact_revision > kv->revision || end < first ||
        end - first > UINT32_MAX)
        return ERR_CORRUPT;
    history_start(&kv->history, first);
    history_expect(&kv->history, end - first);
    loader->begun = true;
    return ERR_OK;
}

static enum err on_alarm(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    bool is_place = loader->begun && loader->version > FORMAT_VERSION_NO_ALARMS &&
                    loader->leases == 0 && loader->tickets == 0 && loader->first == NULL;
    if (!is_place || len != ALARM_BYTES - 1 || body[8] == 0 || body[8] > KV_ALARM_CORRUPT)
        return ERR_CORRUPT;
    struct alarms *alarms = &loader->kv->alarms;
    struct kv_alarm alarm = {.member = get_u64(body), .kind = (enum kv_alarm_kind)body[8]};
    size_t count = alarms->count;
    bool added = alarms_set(alarms, &alarm, true) == KV_OK && alarms->count == count + 1;
    return added ? ERR_OK : ERR_CORRUPT;
}

static enum err on_lease(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    if (!loader->begun || loader->first != NULL ||
        len != LEASE_BYTES - 1 - birth_bytes(loader))
        return ERR_CORRUPT;
    struct kv_lease_info info = {
        .id = get_u64(body), .ttl_s = get_u64(body + 8), .remaining_s = get_u64(body + 16)};
    struct kv_birth birth = get_birth(loader, body + 24);
    if (info.id == 0 || kv_lease_find(loader->kv, info.id) != NULL)
        return ERR_CORRUPT;
    kv_lease_add(loader->kv, &info, &birth);
    loader->leases++;
    return ERR_OK;
}

static enum err on_ticket(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    struct tickets *tickets = &loader->kv->tickets;
    bool is_old = loader->version == FORMAT_VERSION_NO_ALARMS;
    const size_t fixed = TICKET_BYTES - 1 - (is_old ? FINGERPRINT_BYTES : 0);
    if (!loader->begun || len <= fixed || len - fixed > KV_TICKET_BYTES_MAX)
        return ERR_CORRUPT;
    const uint8_t *end = body + fixed;
    struct kv_ticket ticket = {.sequence = get_u64(body),
                               .revision = get_u64(body + 8),
                               .term = get_u64(body + 16),
                               .fingerprint = is_old ? 0 : get_u64(body + 24),
                               .status = (enum kv_status)end[-2],
                               .succeeded = end[-1] != 0};
    struct kv_bytes bytes = {.data = end, .len = len - fixed};
    uint64_t count = tickets_count(tickets);
    if (ticket.sequence == 0 || end[-2] > KV_REPEATED || end[-1] > 1 || count == KV_TICKETS_MAX ||
        (count > 0 && ticket.sequence != tickets->end) || tickets_find(tickets, bytes) != NULL)
        return ERR_CORRUPT;
    tickets_add(tickets, bytes, &ticket);
    loader->tickets++;
    return ERR_OK;
}

/* ---- versions -------------------------------------------------------------------------------- */

static bool is_possible(const struct kv *kv, const struct kv_entry *entry)
{
    if (entry->mod_revision < 2 || entry->mod_revision > kv->revision)
        return false;
    if (entry->version == 0)
        return entry->create_revision == 0 && entry->lease == 0 && entry->value_len == 0 &&
               entry->mod_revision >= kv->compact_revision;
    return entry->create_revision > 1 && entry->create_revision <= entry->mod_revision &&
           entry->version - 1 <= entry->mod_revision - entry->create_revision;
}

/* What comes before a version in time fits it. */
static bool is_predecessor(const struct kv *kv, const struct kv_entry *older,
                           const struct kv_entry *newer)
{
    if (older->mod_revision >= newer->mod_revision || newer->mod_revision <= kv->compact_revision)
        return false;
    if (newer->version == 0)
        return older->version != 0;
    if (older->version == 0)
        return newer->version == 1;
    return newer->version == older->version + 1 && newer->create_revision == older->create_revision;
}

/* Nothing is missing behind the last version of a key. */
static bool chain_is_complete(const struct kv_loader *loader)
{
    const struct kv_entry *last = loader->last;
    return last == NULL || last->version == 1 || last->mod_revision <= loader->kv->compact_revision;
}

static enum err place_event(struct kv_loader *loader, struct kv_entry *entry, uint64_t position)
{
    struct history *history = &loader->kv->history;
    if (entry->mod_revision < loader->kv->compact_revision)
        return position == 0 ? ERR_OK : ERR_CORRUPT;
    if (position < history->first || position >= history->end ||
        history_peek(history, position) != NULL)
        return ERR_CORRUPT;
    const struct kv_entry *before =
        position > history->first ? history_peek(history, position - 1) : NULL;
    const struct kv_entry *after =
        position + 1 < history->end ? history_peek(history, position + 1) : NULL;
    if ((before != NULL && before->mod_revision > entry->mod_revision) ||
        (after != NULL && after->mod_revision < entry->mod_revision))
        return ERR_CORRUPT;
    history_place(history, position, entry);
    loader->events++;
    return ERR_OK;
}

static void fill_in(struct kv_entry *entry, const uint8_t *words)
{
    entry->create_revision = get_u64(words);
    entry->mod_revision = get_u64(words + 8);
    entry->version = get_u64(words + 16);
    entry->lease = get_u64(words + 24);
}

/* Whatever is wrong with it, the entry hangs in the store by now and goes with it. */
static enum err check_version(struct kv_loader *loader, struct kv_entry *entry, uint64_t position)
{
    loader->versions++;
    loader->kv->entry_memory += kv_entry_memory(entry);
    loader->last = entry;
    return is_possible(loader->kv, entry) ? place_event(loader, entry, position) : ERR_CORRUPT;
}

static enum err count_newest(struct kv *kv, struct kv_entry *entry)
{
    if (entry->version == 0)
        return ERR_OK;
    kv->keys_sum += kv_entry_hash(entry);
    kv->size_bytes += (uint64_t)entry->key_len + entry->value_len;
    kv->live_memory += kv_entry_memory(entry);
    kv->tombstone_memory += kv_memory_of(entry->key_len, 0);
    kv->tombstone_bytes += kv_version_bytes(entry->key_len, 0);
    if (entry->lease != 0 && kv_lease_find(kv, entry->lease) == NULL)
        return ERR_CORRUPT;
    kv_lease_rebind(kv, NULL, entry);
    return ERR_OK;
}

static enum err on_key(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    const size_t fixed = KEY_BYTES - 1;
    if (!loader->begun || len < fixed || !chain_is_complete(loader))
        return ERR_CORRUPT;
    struct kv_bytes key = {.data = body + fixed, .len = get_u32(body + 40)};
    if (key.len == 0 || key.len > len - fixed)
        return ERR_CORRUPT;
    if (loader->first != NULL && kv_bytes_compare(kv_entry_key(loader->first), key) >= 0)
        return ERR_CORRUPT;
    struct kv_bytes value = {.data = key.data + key.len, .len = len - fixed - key.len};
    struct kv_entry *entry = kv_entry_new(key, value);
    fill_in(entry, body);
    index_append(&loader->kv->keys, entry);
    loader->first = entry;
    enum err err = check_version(loader, entry, get_u64(body + 32));
    return err == ERR_OK ? count_newest(loader->kv, entry) : err;
}

static enum err on_older(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    const size_t fixed = OLDER_BYTES - 1;
    if (loader->first == NULL || len < fixed)
        return ERR_CORRUPT;
    struct kv_bytes value = {.data = body + fixed, .len = len - fixed};
    if (value.len > KV_ITEM_MAX_BYTES - loader->first->key_len)
        return ERR_CORRUPT;
    struct kv_entry *newer = loader->last;
    struct kv_entry *entry = kv_entry_new(kv_entry_key(newer), value);
    fill_in(entry, body);
    newer->older = entry;
    enum err err = check_version(loader, entry, get_u64(body + 32));
    return err == ERR_OK && !is_predecessor(loader->kv, entry, newer) ? ERR_CORRUPT : err;
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool counts_agree(const struct kv_loader *loader, const uint8_t *body)
{
    const struct history *history = &loader->kv->history;
    return get_u64(body) == loader->versions && get_u64(body + 8) == loader->leases &&
           get_u64(body + 16) == loader->tickets && get_u64(body + 32) == loader->sum &&
           loader->events == history->end - history->first;
}

static enum err on_end(struct kv_loader *loader, const uint8_t *body, size_t len)
{
    struct kv *kv = loader->kv;
    if (!loader->begun || len != END_BYTES - 1 || !chain_is_complete(loader) ||
        !counts_agree(loader, body))
        return ERR_CORRUPT;
    if (tickets_count(&kv->tickets) == 0)
        kv->tickets.first = kv->tickets.end = loader->tickets_end;
    if (kv->tickets.end != loader->tickets_end || get_u64(body + 24) != kv_hash(kv))
        return ERR_CORRUPT;
    loader->ended = true;
    return ERR_OK;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static enum err on_part(struct kv_loader *loader, const uint8_t *part, size_t len)
{
    if (loader->ended)
        return ERR_CORRUPT;
    if (part[0] != PART_END)
        loader->sum += checksum_chain(NULL, 0, part, len);
    switch (part[0]) {
    case PART_BEGIN: return on_begin(loader, part + 1, len - 1);
    case PART_ALARM: return on_alarm(loader, part + 1, len - 1);
    case PART_LEASE: return on_lease(loader, part + 1, len - 1);
    case PART_TICKET: return on_ticket(loader, part + 1, len - 1);
    case PART_KEY: return on_key(loader, part + 1, len - 1);
    case PART_OLDER: return on_older(loader, part + 1, len - 1);
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
    if (size == 0 || size > KEY_BYTES + KV_ITEM_MAX_BYTES)
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
