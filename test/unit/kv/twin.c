/* See twin.h: plain on purpose; recursion is allowed here. Keys and values are C strings. */
#include "twin.h"

#include "base/mem.h"
#include "judge.h"
#include "kv/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct twin *twin_new(void)
{
    struct twin *twin = mem_calloc(1, sizeof *twin);
    twin->events = mem_calloc(TWIN_EVENTS, sizeof *twin->events);
    twin->revision = 1;
    return twin;
}

struct twin *twin_copy(const struct twin *twin)
{
    struct twin *copy = mem_dup(twin, sizeof *twin);
    copy->events = mem_alloc(TWIN_EVENTS * sizeof *twin->events);
    memcpy(copy->events, twin->events, twin->event_count * sizeof *twin->events);
    return copy;
}

void twin_free(struct twin *twin)
{
    mem_free(twin->events);
    mem_free(twin);
}

bool twin_text_is(struct kv_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static void copy_text(char *to, size_t size, struct kv_bytes bytes)
{
    assert_true(bytes.len < size);
    memset(to, 0, size);
    if (bytes.len > 0)
        memcpy(to, bytes.data, bytes.len);
}

/* A short text is kept as it is, of a longer one that by which it is known again. */
static void copy_value(char *to, struct kv_bytes bytes)
{
    if (bytes.len < TWIN_VALUE)
        copy_text(to, TWIN_VALUE, bytes);
    else
        (void)snprintf(to, TWIN_VALUE, "#%010" PRIx64,
                       kv_fingerprint(bytes.len, bytes.data, bytes.len) >> 24);
}

static bool value_is(struct kv_bytes bytes, const char *value)
{
    char text[TWIN_VALUE];
    copy_value(text, bytes);
    return strcmp(text, value) == 0;
}

/* ---- the state ------------------------------------------------------------------------------- */

const struct twin_event *twin_at(const struct twin *twin, const char *key, uint64_t revision)
{
    for (size_t i = twin->event_count; i-- > 0;)
        if (twin->events[i].mod <= revision && strcmp(twin->events[i].key, key) == 0)
            return twin->events[i].version != 0 ? &twin->events[i] : NULL;
    return NULL;
}

static bool in_range(const struct kv_keys *keys, const char *key)
{
    char from[TWIN_KEY];
    char end[TWIN_KEY];
    copy_text(from, sizeof from, keys->key);
    copy_text(end, sizeof end, keys->end);
    if (keys->extent == KV_ONE_KEY)
        return strcmp(key, from) == 0;
    return strcmp(key, from) >= 0 && (keys->extent == KV_FROM_KEY || strcmp(key, end) < 0);
}

static int by_key(const void *a, const void *b)
{
    const struct twin_event *const *left = a;
    const struct twin_event *const *right = b;
    return strcmp((*left)->key, (*right)->key);
}

/* In the order of keys. */
size_t twin_list_range(const struct twin *twin, const struct kv_keys *keys, uint64_t revision,
                       const struct twin_event **out)
{
    size_t count = 0;
    for (size_t i = 0; i < twin->event_count; i++) {
        const struct twin_event *event = &twin->events[i];
        if (in_range(keys, event->key) && twin_at(twin, event->key, revision) == event)
            out[count++] = event;
    }
    qsort(out, count, sizeof *out, by_key);
    return count;
}

const struct twin_event *twin_nth(const struct twin *twin, uint64_t revision, size_t n)
{
    const struct twin_event *found[256];
    const struct kv_keys all = {.extent = KV_FROM_KEY};
    return n < twin_list_range(twin, &all, revision, found) ? found[n] : NULL;
}

static struct twin_lease *find_lease(struct twin *twin, uint64_t id)
{
    for (size_t i = 0; i < twin->lease_count; i++)
        if (twin->leases[i].id == id)
            return &twin->leases[i];
    return NULL;
}

static void add_lease(struct twin *twin, uint64_t id, uint64_t ttl_s)
{
    size_t at = twin->lease_count++;
    assert_true(at < TWIN_LEASES);
    for (; at > 0 && twin->leases[at - 1].id > id; at--)
        twin->leases[at] = twin->leases[at - 1];
    twin->leases[at] =
        (struct twin_lease){.id = id, .ttl_s = ttl_s, .term = twin->term, .birth = ++twin->births};
}

static void drop_lease(struct twin *twin, uint64_t id)
{
    struct twin_lease *lease = find_lease(twin, id);
    twin->lease_count--;
    for (; lease < twin->leases + twin->lease_count; lease++)
        lease[0] = lease[1];
}

static struct twin_event *add_event(struct twin *twin, const char *key)
{
    assert_true(twin->event_count < TWIN_EVENTS);
    struct twin_event *event = &twin->events[twin->event_count++];
    memset(event, 0, sizeof *event);
    memcpy(event->key, key, strlen(key));
    event->mod = twin->revision + 1;
    return event;
}

/* ---- replies --------------------------------------------------------------------------------- */

void assert_item_is(const struct kv_item *item, const struct twin_event *want)
{
    assert_true(twin_text_is(item->key, want->key));
    assert_true(value_is(item->value, want->value));
    assert_int_equal(item->create_revision, want->create);
    assert_int_equal(item->mod_revision, want->mod);
    assert_int_equal(item->version, want->version);
    assert_int_equal(item->lease, want->lease);
}

static void assert_items_are(const struct kv_reply *got, const struct twin_event **want,
                             size_t count)
{
    assert_int_equal(got->item_count, count);
    for (size_t i = 0; i < count; i++) {
        struct kv_item item;
        kv_entry_item(got->items[i], &item);
        assert_item_is(&item, want[i]);
    }
}

/* ---- what operations do ---------------------------------------------------------------------- */

static bool relate(enum kv_relation relation, int order)
{
    return relation == KV_EQUAL     ? order == 0
           : relation == KV_GREATER ? order > 0
           : relation == KV_LESS    ? order < 0
                                    : order != 0;
}

static bool compare_one(const struct kv_compare *compare, const struct twin_event *event)
{
    static const struct twin_event nothing;
    if (compare->target == KV_VALUE) {
        char value[TWIN_VALUE];
        copy_value(value, compare->value);
        return event != NULL && relate(compare->relation, strcmp(event->value, value));
    }
    if (event == NULL)
        event = &nothing;
    uint64_t number = compare->target == KV_VERSION  ? event->version
                      : compare->target == KV_CREATE ? event->create
                      : compare->target == KV_MOD    ? event->mod
                                                     : event->lease;
    return relate(compare->relation,
                  number == compare->number ? 0 : (number < compare->number ? -1 : 1));
}

static bool compares_hold(const struct twin *twin, const struct kv_txn *txn)
{
    const struct twin_event *found[256];
    for (size_t i = 0; i < txn->compare_count; i++) {
        const struct kv_compare *compare = &txn->compares[i];
        size_t count = twin_list_range(twin, &compare->keys, UINT64_MAX, found);
        if (count == 0 && !compare_one(compare, NULL))
            return false;
        for (size_t k = 0; k < count; k++)
            if (!compare_one(compare, found[k]))
                return false;
    }
    return true;
}

/* Work of one operation: before is the state that compares and checks are judged on. */
struct work {
    struct twin *now;
    struct twin *before;
    bool dry; /* only checks, and grants in `now` */
};

static uint64_t revision_left(const struct work *work)
{
    return work->now->revision + (work->now->event_count > work->before->event_count ? 1 : 0);
}

static enum kv_status check_write(struct work *work, const struct kv_op *op)
{
    if (op->type == KV_OP_GRANT) {
        if (find_lease(work->now, op->grant.id) != NULL)
            return KV_LEASE_EXISTS;
        add_lease(work->now, op->grant.id, op->grant.ttl_s);
    }
    if (op->type != KV_OP_PUT)
        return KV_OK;
    char key[TWIN_KEY];
    copy_text(key, sizeof key, op->put.key);
    if (op->put.lease != 0 && find_lease(work->now, op->put.lease) == NULL)
        return KV_LEASE_NOT_FOUND;
    bool needs = op->put.keep_value || op->put.keep_lease;
    return needs && twin_at(work->before, key, UINT64_MAX) == NULL ? KV_KEY_NOT_FOUND : KV_OK;
}

static enum kv_status check_read(const struct work *work, const struct kv_op *op)
{
    if (op->type != KV_OP_RANGE || op->range.revision == 0)
        return KV_OK;
    if (op->range.revision > work->before->revision)
        return KV_FUTURE;
    return op->range.revision < work->before->compact ? KV_COMPACTED : KV_OK;
}

static enum kv_status check(struct work *work, const struct kv_op *op, bool reads)
{
    if (op->type != KV_OP_TXN)
        return reads ? check_read(work, op) : check_write(work, op);
    bool holds = compares_hold(work->before, &op->txn);
    const struct kv_op *ops = holds ? op->txn.success : op->txn.failure;
    size_t count = holds ? op->txn.success_count : op->txn.failure_count;
    for (size_t i = 0; i < count; i++) {
        enum kv_status status = check(work, &ops[i], reads);
        if (status != KV_OK)
            return status;
    }
    return KV_OK;
}

static void do_put(struct work *work, const struct kv_put *put, const struct kv_reply *got)
{
    char key[TWIN_KEY];
    copy_text(key, sizeof key, put->key);
    const struct twin_event *old = twin_at(work->now, key, UINT64_MAX);
    if (got != NULL)
        assert_items_are(got, &old, put->want_prev && old != NULL ? 1 : 0);
    struct twin_event *event = add_event(work->now, key);
    copy_value(event->value, put->value);
    if (put->keep_value)
        memcpy(event->value, old->value, sizeof event->value);
    event->lease = put->keep_lease ? old->lease : put->lease;
    event->create = old != NULL ? old->create : event->mod;
    event->version = old != NULL ? old->version + 1 : 1;
}

static void do_delete(struct work *work, const struct kv_delete *del, const struct kv_reply *got)
{
    const struct twin_event *found[256];
    size_t count = twin_list_range(work->now, &del->keys, UINT64_MAX, found);
    if (got != NULL) {
        assert_int_equal(got->count, count);
        assert_items_are(got, found, del->want_prev ? count : 0);
    }
    for (size_t i = 0; i < count; i++)
        (void)add_event(work->now, found[i]->key);
}

static const struct kv_range *sorted_by;

static int number_order(uint64_t a, uint64_t b)
{
    return a == b ? 0 : (a < b ? -1 : 1);
}

static int by_sort(const void *a, const void *b)
{
    const struct twin_event *left = *(const struct twin_event *const *)a;
    const struct twin_event *right = *(const struct twin_event *const *)b;
    int order = sorted_by->sort == KV_BY_KEY       ? strcmp(left->key, right->key)
                : sorted_by->sort == KV_BY_VERSION ? number_order(left->version, right->version)
                : sorted_by->sort == KV_BY_CREATE  ? number_order(left->create, right->create)
                : sorted_by->sort == KV_BY_MOD     ? number_order(left->mod, right->mod)
                                                   : strcmp(left->value, right->value);
    if (order == 0)
        return strcmp(left->key, right->key);
    return sorted_by->order == KV_DESCEND ? -order : order;
}

static bool passes(const struct kv_range *range, const struct twin_event *event)
{
    return event->mod >= range->min_mod && event->create >= range->min_create &&
           (range->max_mod == 0 || event->mod <= range->max_mod) &&
           (range->max_create == 0 || event->create <= range->max_create);
}

static void do_range(const struct work *work, const struct kv_range *range,
                     const struct kv_reply *got)
{
    const struct twin_event *found[256];
    uint64_t revision = range->revision != 0 ? range->revision : UINT64_MAX;
    size_t all = twin_list_range(work->now, &range->keys, revision, found);
    size_t count = 0;
    for (size_t i = 0; i < all; i++)
        if (passes(range, found[i]) && !range->count_only)
            found[count++] = found[i];
    sorted_by = range;
    qsort(found, count, sizeof *found, by_sort);
    bool more = range->limit > 0 && count > range->limit;
    if (got == NULL)
        return;
    assert_int_equal(got->count, all);
    assert_int_equal(got->more, more);
    assert_items_are(got, found, more ? range->limit : count);
}

static void do_op(struct work *work, const struct kv_op *op, const struct kv_reply *got)
{
    if (op->type == KV_OP_PUT)
        do_put(work, &op->put, got);
    else if (op->type == KV_OP_DELETE)
        do_delete(work, &op->del, got);
    else if (op->type == KV_OP_RANGE)
        do_range(work, &op->range, got);
    else if (op->type == KV_OP_TXN) {
        bool holds = compares_hold(work->before, &op->txn);
        const struct kv_op *ops = holds ? op->txn.success : op->txn.failure;
        size_t count = holds ? op->txn.success_count : op->txn.failure_count;
        if (got != NULL) {
            assert_int_equal(got->succeeded, holds);
            assert_int_equal(got->reply_count, count);
        }
        for (size_t i = 0; i < count; i++)
            do_op(work, &ops[i], got != NULL ? &got->replies[i] : NULL);
    }
    if (got != NULL) {
        assert_int_equal(got->type, op->type);
        assert_int_equal(got->revision, revision_left(work));
    }
}

/* ---- the same key twice ---------------------------------------------------------------------- */

static bool keys_meet(const struct kv_op *put, const struct kv_op *other)
{
    char key[TWIN_KEY];
    copy_text(key, sizeof key, put->put.key);
    if (other->type == KV_OP_PUT)
        return twin_text_is(other->put.key, key);
    return other->type == KV_OP_DELETE && in_range(&other->del.keys, key);
}

/* Some change in b, which is carried out along with the put a. */
static bool meets_any(const struct kv_op *a, const struct kv_op *b)
{
    if (b->type != KV_OP_TXN)
        return keys_meet(a, b);
    for (size_t i = 0; i < b->txn.success_count; i++)
        if (meets_any(a, &b->txn.success[i]))
            return true;
    for (size_t i = 0; i < b->txn.failure_count; i++)
        if (meets_any(a, &b->txn.failure[i]))
            return true;
    return false;
}

static bool puts_meet(const struct kv_op *a, const struct kv_op *b)
{
    if (a->type != KV_OP_TXN)
        return a->type == KV_OP_PUT && meets_any(a, b);
    for (size_t i = 0; i < a->txn.success_count; i++)
        if (puts_meet(&a->txn.success[i], b))
            return true;
    for (size_t i = 0; i < a->txn.failure_count; i++)
        if (puts_meet(&a->txn.failure[i], b))
            return true;
    return false;
}

static bool has_duplicates(const struct kv_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++)
            if (i != k && puts_meet(&ops[i], &ops[k]))
                return true;
        if (ops[i].type == KV_OP_TXN &&
            (has_duplicates(ops[i].txn.success, ops[i].txn.success_count) ||
             has_duplicates(ops[i].txn.failure, ops[i].txn.failure_count)))
            return true;
    }
    return false;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void take_leases(struct twin *to, const struct twin *from)
{
    memcpy(to->leases, from->leases, sizeof to->leases);
    to->lease_count = from->lease_count;
    to->births = from->births;
}

static enum kv_status apply_op(struct twin *twin, const struct kv_op *op,
                               const struct kv_reply *got, bool *succeeded)
{
    struct twin *before = twin_copy(twin);
    struct work work = {.now = twin, .before = before};
    enum kv_status status = has_duplicates(op, 1) ? KV_DUPLICATE_KEY : check(&work, op, false);
    if (status == KV_OK)
        status = check(&work, op, true);
    if (status == KV_OK)
        do_op(&work, op, got);
    else
        take_leases(twin, before);
    twin->revision = revision_left(&work);
    if (got != NULL) {
        assert_int_equal(got->status, status);
        assert_int_equal(got->revision, twin->revision);
    }
    *succeeded = status == KV_OK;
    if (op->type == KV_OP_TXN)
        *succeeded &= compares_hold(before, &op->txn);
    twin_free(before);
    return status;
}

/* Granted after the leader said what it meant. */
static bool is_another(const struct twin_lease *lease, const struct kv_command *command)
{
    return command->births != 0 && lease->term == command->term && lease->birth >= command->births;
}

static enum kv_status revoke(struct twin *twin, const struct kv_command *command)
{
    struct twin *before = twin_copy(twin);
    const struct twin_event *found[256];
    const struct kv_keys all = {.extent = KV_FROM_KEY};
    bool any = false;
    for (size_t i = 0; i < command->lease_count; i++) {
        uint64_t id = command->leases[i].id;
        if (find_lease(twin, id) == NULL || is_another(find_lease(twin, id), command))
            continue;
        any = true;
        size_t count = twin_list_range(twin, &all, UINT64_MAX, found);
        for (size_t k = 0; k < count; k++)
            if (found[k]->lease == id)
                (void)add_event(twin, found[k]->key);
        drop_lease(twin, id);
    }
    struct work work = {.now = twin, .before = before};
    twin->revision = revision_left(&work);
    twin_free(before);
    return any ? KV_OK : KV_LEASE_NOT_FOUND;
}

static const struct twin_ticket *find_ticket(const struct twin *twin, struct kv_bytes text)
{
    for (size_t i = 0; i < twin->ticket_count; i++)
        if (twin_text_is(text, twin->tickets[i].text))
            return &twin->tickets[i];
    return NULL;
}

static void forget(struct twin *twin, uint64_t sequence)
{
    while (twin->ticket_count > 0 && twin->tickets[0].is.sequence <= sequence) {
        twin->ticket_count--;
        memmove(twin->tickets, twin->tickets + 1, twin->ticket_count * sizeof twin->tickets[0]);
    }
}

static void remember(struct twin *twin, struct kv_bytes text, const struct kv_ticket *is)
{
    twin->ticket_last++;
    if (text.len == 0) {
        twin->ticket_last--;
        return;
    }
    assert_true(twin->ticket_count < TWIN_TICKETS);
    struct twin_ticket *ticket = &twin->tickets[twin->ticket_count++];
    copy_text(ticket->text, sizeof ticket->text, text);
    ticket->is = *is;
    ticket->is.sequence = twin->ticket_last;
}

static enum kv_status apply_ops(struct twin *twin, const struct kv_command *command, uint64_t term,
                                const struct kv_result *got)
{
    bool is_batch = command->type == KV_COMMAND_BATCH;
    struct kv_ticket ticket = {
        .term = term, .fingerprint = command->fingerprint, .status = KV_OK, .succeeded = is_batch};
    uint64_t revision = twin->revision;
    for (size_t i = 0; i < command->op_count; i++) {
        bool succeeded;
        enum kv_status status =
            apply_op(twin, &command->ops[i],
                     got != NULL && got->replies != NULL ? &got->replies[i] : NULL, &succeeded);
        if (is_batch)
            continue;
        ticket.status = status;
        ticket.succeeded = succeeded;
    }
    enum kv_status status = ticket.status;
    const struct kv_op *op = command->op_count == 1 ? command->ops : NULL;
    if (op != NULL && status == KV_OK && op->type == KV_OP_DELETE &&
        op->del.keys.extent == KV_ONE_KEY && twin->revision == revision) {
        ticket.status = KV_KEY_NOT_FOUND;
        ticket.succeeded = false;
    }
    ticket.revision = twin->revision;
    remember(twin, command->ticket, &ticket);
    return status;
}

static enum kv_status apply(struct twin *twin, const struct kv_command *command, uint64_t term,
                            const struct kv_result *got)
{
    if (command->type == KV_COMMAND_OP || command->type == KV_COMMAND_BATCH)
        return apply_ops(twin, command, term, got);
    if (command->type == KV_COMMAND_REVOKE)
        return revoke(twin, command);
    if (command->type == KV_COMMAND_COMPACT) {
        if (command->number <= twin->compact || command->number > twin->revision)
            return command->number <= twin->compact ? KV_COMPACTED : KV_FUTURE;
        twin->compact = command->number;
        return KV_OK;
    }
    if (command->type == KV_COMMAND_ALARM)
        return twin_set_alarm(twin, &command->alarm, command->raise);
    if (command->term != term)
        return KV_NOT_OF_THIS_TERM;
    if (command->type == KV_COMMAND_EXPIRE)
        (void)revoke(twin, command);
    if (command->type == KV_COMMAND_FORGET)
        forget(twin, command->number);
    for (size_t i = 0; command->type == KV_COMMAND_CHECKPOINT && i < command->lease_count; i++) {
        struct twin_lease *lease = find_lease(twin, command->leases[i].id);
        if (lease != NULL && !is_another(lease, command))
            lease->remaining_s = command->leases[i].remaining_s;
    }
    return KV_OK;
}

enum kv_status twin_do(struct twin *twin, const struct kv_command *command, uint64_t term,
                       const struct kv_result *got, uint64_t *revision)
{
    twin->births = twin->term == term ? twin->births : 0;
    twin->term = term;
    const struct twin_ticket *used = find_ticket(twin, command->ticket);
    if (command->ticket.len > 0 && used != NULL) {
        bool is_same = used->is.fingerprint == 0 || used->is.fingerprint == command->fingerprint;
        *revision = used->is.revision;
        return is_same ? KV_REPEATED : KV_TICKET_TAKEN;
    }
    enum kv_status status = apply(twin, command, term, got);
    *revision = twin->revision;
    return status;
}

void twin_apply(struct twin *twin, const struct kv_command *command, uint64_t term,
                const struct kv_result *got)
{
    uint64_t revision;
    assert_int_equal(got->status, twin_do(twin, command, term, got, &revision));
    assert_int_equal(got->revision, revision);
}

/* ---- comparing ------------------------------------------------------------------------------- */
