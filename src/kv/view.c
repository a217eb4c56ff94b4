/*
 * A view: the store as it was at one moment, written down in slices while it changes.
 *
 * Versions are never changed, and compaction waits for the view, so keys need no copy: those newer
 * than the view's revision are passed over. Leases and tickets have no versions: what is about to
 * change before the walk has come to it is written down at that moment (early), and marked or
 * passed over later.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "codec/checksum.h"
#include "kv/format.h"
#include "kv/store.h"

enum phase { PHASE_BEGIN, PHASE_LEASES, PHASE_TICKETS, PHASE_KEYS, PHASE_END };

/* What passing over a version that is not written costs of max_bytes. */
enum { PASS_COST = 16 };

struct kv_view {
    struct kv *kv;
    uint64_t revision;
    uint64_t compact_revision;
    uint64_t chain;
    uint64_t hash;
    uint64_t first; /* positions of events */
    uint64_t end;
    uint64_t tickets_end;
    enum phase phase;
    uint64_t lease_next;  /* leases with lower ids are written */
    uint64_t ticket_next; /* likewise */
    bool leases_done;
    uint64_t leases;
    uint64_t tickets;
    uint64_t versions;
    uint64_t sum;
    struct buf early; /* whole parts, of which early_sent bytes are handed out */
    size_t early_sent;
    struct buf at;    /* the key that the walk is at; empty: before all */
    bool in_chain;    /* the versions before the one at position are next */
    bool key_written; /* of this key some version is */
    uint64_t position;
    uint64_t changes; /* of the index, when path was good */
    struct index_path path;
    struct alarms alarms;
    struct kv_birth births;
    uint32_t number; /* of the views of this store: marks leases */
};

struct kv_view *kv_view_new(struct kv *kv)
{
    ASSERT(kv->view == NULL && !kv->work.is_under_way);
    struct kv_view *view = mem_calloc(1, sizeof *view);
    *view = (struct kv_view){.kv = kv,
                             .revision = kv->revision,
                             .compact_revision = kv->compact_revision,
                             .chain = kv->chain,
                             .hash = kv_hash(kv),
                             .first = kv_history_first(kv),
                             .end = kv->history.end,
                             .ticket_next = kv->tickets.first,
                             .tickets_end = kv->tickets.end,
                             .alarms = kv->alarms,
                             .births = kv->births,
                             .number = ++kv->view_number};
    kv->view = view;
    return view;
}

void kv_view_free(struct kv_view *view)
{
    if (view == NULL)
        return;
    view->kv->view = NULL;
    buf_deinit(&view->early);
    buf_deinit(&view->at);
    mem_free(view);
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Length and kind; the caller fills the other len - 1 bytes in. */
static uint8_t *put_part(struct buf *out, size_t len, uint8_t kind)
{
    uint8_t *at = buf_reserve(out, LENGTH_BYTES + len);
    put_u32(at, (uint32_t)len);
    at[LENGTH_BYTES] = kind;
    out->len += LENGTH_BYTES + len;
    return at + LENGTH_BYTES + 1;
}

static uint8_t *put_words(uint8_t *at, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++, at += 8)
        put_u64(at, words[i]);
    return at;
}

/* The part that begins at byte `from` of out is complete. */
static void sum_part(struct kv_view *view, const struct buf *out, size_t from)
{
    view->sum +=
        checksum_chain(NULL, 0, out->data + from + LENGTH_BYTES, out->len - from - LENGTH_BYTES);
}

static void put_alarms(struct kv_view *view, struct buf *out)
{
    for (size_t i = 0; i < view->alarms.count; i++) {
        const struct kv_alarm *alarm = &view->alarms.list[i];
        size_t from = out->len;
        uint8_t *at = put_words(put_part(out, ALARM_BYTES, PART_ALARM), &alarm->member, 1);
        at[0] = (uint8_t)alarm->kind;
        sum_part(view, out, from);
    }
}

static void put_begin(struct kv_view *view, struct buf *out)
{
    size_t from = out->len;
    uint8_t *at = put_part(out, BEGIN_BYTES, PART_BEGIN);
    put_u32(at, FORMAT_VERSION);
    uint64_t words[8] = {view->revision, view->compact_revision, view->chain,
                         view->first,    view->end,              view->tickets_end,
                         view->births.term, view->births.number};
    (void)put_words(at + 4, words, 8);
    sum_part(view, out, from);
    put_alarms(view, out);
}

static void put_lease(struct kv_view *view, struct buf *out, const struct kv_entry *lease)
{
    size_t from = out->len;
    struct kv_lease_info info = kv_lease_describe(lease);
    struct kv_birth birth = kv_lease_birth(lease);
    uint64_t words[5] = {info.id, info.ttl_s, info.remaining_s, birth.term, birth.number};
    (void)put_words(put_part(out, LEASE_BYTES, PART_LEASE), words, 5);
    sum_part(view, out, from);
    view->leases++;
}

static void put_ticket(struct kv_view *view, struct buf *out, const struct ticket *ticket)
{
    size_t from = out->len;
    uint64_t words[4] = {ticket->is.sequence, ticket->is.revision, ticket->is.term,
                         ticket->is.fingerprint};
    uint8_t *at = put_words(put_part(out, TICKET_BYTES + ticket->len, PART_TICKET), words, 4);
    at[0] = (uint8_t)ticket->is.status;
    at[1] = ticket->is.succeeded ? 1 : 0;
    out->len -= ticket->len;
    buf_add(out, ticket->bytes, ticket->len);
    sum_part(view, out, from);
    view->tickets++;
}

static void put_version(struct kv_view *view, struct buf *out, const struct kv_entry *entry,
                        bool with_key)
{
    const struct kv *kv = view->kv;
    size_t from = out->len;
    size_t key_len = with_key ? entry->key_len : 0;
    size_t bytes = key_len + entry->value_len;
    bool has_event = entry->mod_revision >= view->compact_revision;
    uint64_t words[5] = {entry->create_revision, entry->mod_revision, entry->version, entry->lease,
                         has_event ? history_position(&kv->history, entry) : 0};
    size_t fixed = with_key ? KEY_BYTES : OLDER_BYTES;
    uint8_t *at = put_part(out, fixed + bytes, with_key ? PART_KEY : PART_OLDER);
    at = put_words(at, words, 5);
    if (with_key)
        put_u32(at, entry->key_len);
    out->len -= bytes;
    buf_add(out, entry->bytes + (entry->key_len - key_len), bytes);
    sum_part(view, out, from);
    view->versions++;
}

static void put_end(struct kv_view *view, struct buf *out)
{
    uint64_t words[5] = {view->versions, view->leases, view->tickets, view->hash, view->sum};
    (void)put_words(put_part(out, END_BYTES, PART_END), words, 5);
}

/* ---- what changes before the walk has come to it --------------------------------------------- */

void kv_view_on_new_lease(struct kv *kv, struct kv_entry *lease)
{
    lease->position = kv->view_number;
}

void kv_view_before_lease(struct kv *kv, struct kv_entry *lease)
{
    struct kv_view *view = kv->view;
    bool is_written = view == NULL || view->leases_done || lease->lease < view->lease_next ||
                      lease->position == view->number;
    if (is_written)
        return;
    lease->position = view->number;
    put_lease(view, &view->early, lease);
}

void kv_view_before_ticket(struct kv *kv, const struct ticket *ticket)
{
    struct kv_view *view = kv->view;
    uint64_t sequence = ticket->is.sequence;
    if (view == NULL || sequence < view->ticket_next || sequence >= view->tickets_end)
        return;
    ASSERT(sequence == view->ticket_next); /* they go in the order of the walk */
    put_ticket(view, &view->early, ticket);
    view->ticket_next++;
}

/* ---- the walk -------------------------------------------------------------------------------- */

struct slice {
    struct buf *out;
    size_t cost;
    size_t max_bytes;
};

static bool is_full(const struct slice *slice)
{
    return slice->cost >= slice->max_bytes;
}

/* true: nothing is left of it. */
static bool send_early(struct kv_view *view, struct slice *slice)
{
    size_t left = view->early.len - view->early_sent;
    size_t room = slice->max_bytes - slice->cost;
    size_t now = left < room ? left : room;
    if (now > 0)
        buf_add(slice->out, view->early.data + view->early_sent, now);
    view->early_sent += now;
    slice->cost += now;
    if (now < left)
        return false;
    buf_clear(&view->early);
    view->early_sent = 0;
    return true;
}

/* true: all leases are written. */
static bool send_lease(struct kv_view *view, struct slice *slice)
{
    struct kv_entry *lease = kv_lease_at_or_after(view->kv, view->lease_next);
    if (lease == NULL)
        return true;
    size_t before = slice->out->len;
    if (lease->position != view->number)
        put_lease(view, slice->out, lease);
    slice->cost += slice->out->len - before + PASS_COST;
    view->lease_next = lease->lease + 1;
    return lease->lease == UINT64_MAX;
}

static bool send_ticket(struct kv_view *view, struct slice *slice)
{
    if (view->ticket_next == view->tickets_end)
        return true;
    size_t before = slice->out->len;
    put_ticket(view, slice->out, tickets_at(&view->kv->tickets, view->ticket_next));
    view->ticket_next++;
    slice->cost += slice->out->len - before;
    return false;
}

/* A version that somebody may still see at this view's compact revision. */
static bool is_kept(const struct kv_view *view, const struct kv_entry *entry)
{
    return entry->mod_revision >= view->compact_revision || entry->version != 0;
}

/* The newest version of the next key; NULL: there are no more. */
static struct kv_entry *next_key(struct kv_view *view)
{
    const struct kv *kv = view->kv;
    struct kv_place place = kv_key_place((struct kv_bytes){view->at.data, view->at.len});
    if (view->at.len > 0 && view->changes == kv->stamp->changes)
        index_path_next(&view->path);
    else
        index_find(&kv->keys, &place, true, &view->path);
    view->changes = kv->stamp->changes;
    struct kv_entry *entry = index_path_entry(&view->path);
    if (entry != NULL) {
        buf_clear(&view->at);
        buf_add(&view->at, entry->bytes, entry->key_len);
    }
    return entry;
}

static void pause_chain(struct kv_view *view, const struct kv_entry *entry, bool key_written)
{
    view->in_chain = true;
    view->key_written = key_written;
    view->position = history_position(&view->kv->history, entry);
}

/* From entry on towards older versions, until the slice is full. */
static void send_chain(struct kv_view *view, struct slice *slice, const struct kv_entry *entry,
                       bool key_written)
{
    while (entry != NULL && is_kept(view, entry)) {
        size_t before = slice->out->len;
        bool is_newer = entry->mod_revision > view->revision;
        if (!is_newer)
            put_version(view, slice->out, entry, !key_written);
        key_written |= !is_newer;
        slice->cost += slice->out->len - before + PASS_COST;
        if (entry->mod_revision <= view->compact_revision)
            return;
        if (is_full(slice)) {
            pause_chain(view, entry, key_written);
            return;
        }
        entry = entry->older;
    }
}

static bool send_key(struct kv_view *view, struct slice *slice)
{
    if (view->in_chain) {
        view->in_chain = false;
        const struct kv_entry *entry = history_at(&view->kv->history, view->position);
        send_chain(view, slice, entry->older, view->key_written);
        return false;
    }
    const struct kv_entry *entry = next_key(view);
    if (entry == NULL)
        return true;
    slice->cost += PASS_COST;
    send_chain(view, slice, entry, false);
    return false;
}

static bool step(struct kv_view *view, struct slice *slice)
{
    switch (view->phase) {
    case PHASE_BEGIN: put_begin(view, slice->out); return true;
    case PHASE_LEASES: view->leases_done = send_lease(view, slice); return view->leases_done;
    case PHASE_TICKETS: return send_ticket(view, slice);
    case PHASE_KEYS: return send_key(view, slice);
    case PHASE_END: break;
    }
    UNREACHABLE("step after the end");
}

bool kv_view_read(struct kv_view *view, struct buf *out, size_t max_bytes)
{
    struct slice slice = {.out = out, .max_bytes = max_bytes > 0 ? max_bytes : 1};
    while (view->phase != PHASE_END) {
        if (view->phase != PHASE_BEGIN && !send_early(view, &slice))
            return false;
        if (is_full(&slice))
            return false;
        if (!step(view, &slice))
            continue;
        view->phase++;
        if (view->phase == PHASE_END)
            put_end(view, out);
    }
    return true;
}
