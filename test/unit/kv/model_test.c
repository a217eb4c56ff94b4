/*
 * Random commands to three stores and to the twin: one store answers, one does not, one tidies up
 * and one never does, one is replaced by its own snapshot now and then, which was read while
 * writes went on. They must agree in all that can be seen, and in the hash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "draw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX 400

struct kv_numbers {
    uint64_t revision;
    uint64_t count;
    uint64_t size_bytes;
    uint64_t hash;
    uint64_t history_end;
};

struct world {
    struct draw draw;
    unsigned slices; /* beyond the first of their command */
    struct twin *twin;
    struct kv *tidy;  /* with replies */
    struct kv *messy; /* without, never tidied up */
    struct kv *moved; /* from its own snapshots */
    struct kv_cursor *cursor; /* over `moved`, which changes under it; NULL: none */
    size_t cursor_items;      /* it has given so many */
    uint64_t hash; /* of this revision, as it was told last, with that compact revision */
    uint64_t hash_revision;
    uint64_t hash_compact;
    /* the snapshot under way */
    struct kv_view *view;
    bool view_is_read; /* to its end */
    struct twin *twin_then;
    uint64_t hash_then;
    struct buf stream;
    struct buf log[LOG_MAX]; /* commands since */
    uint64_t log_term[LOG_MAX];
    size_t log_count;
};

static uint64_t below(struct world *w, uint64_t limit)
{
    return prng_below(&w->draw.prng, limit);
}

static bool one_in(struct world *w, uint64_t n)
{
    return below(w, n) == 0;
}

/* ---- a walk that goes on for long -------------------------------------------------------------
 */

static void end_cursor(struct world *w)
{
    kv_cursor_free(w->cursor);
    w->cursor = NULL;
}

static void some_of_cursor(struct world *w)
{
    static const struct kv_keys all = {.extent = KV_FROM_KEY, .key = {(const uint8_t *)"", 1}};
    uint64_t compact = w->twin->compact;
    if (w->cursor == NULL) {
        uint64_t revision = compact + below(w, kv_revision(w->moved) - compact + 1);
        assert_int_equal(kv_cursor_open(w->moved, &all, revision, false, &w->cursor), KV_OK);
        w->cursor_items = 0;
    }
    uint64_t revision = kv_cursor_revision(w->cursor);
    size_t budget = 1 + (size_t)below(w, 3);
    struct kv_item item;
    enum kv_step step = kv_cursor_next(w->moved, w->cursor, &budget, &item);
    assert_true(step != KV_STEP_COMPACTED || revision < compact);
    if (step == KV_STEP_ITEM)
        assert_item_is(&item, twin_nth(w->twin, revision, w->cursor_items++));
    if (step == KV_STEP_END)
        assert_null(twin_nth(w->twin, revision, w->cursor_items));
    if (step == KV_STEP_END || step == KV_STEP_COMPACTED)
        end_cursor(w);
}

/* ---- one step -------------------------------------------------------------------------------- */

/* What a reader sees while a command is being carried out: the state before it. */
static void assert_shows(const struct world *w, const struct kv *kv, const struct kv_numbers *was)
{
    static const struct kv_range all = {
        .keys = {.extent = KV_FROM_KEY, .key = {(const uint8_t *)"", 1}}};
    struct kv_reply reply;
    assert_int_equal(kv_revision(kv), was->revision);
    assert_int_equal(kv_count(kv), was->count);
    assert_int_equal(kv_size_bytes(kv), was->size_bytes);
    assert_int_equal(kv_hash(kv), was->hash);
    assert_int_equal(kv_history_end(kv), was->history_end);
    assert_int_equal(kv_range_all(kv, &all, &reply), KV_OK);
    assert_int_equal(reply.count, was->count);
    for (size_t i = 0; i < reply.item_count; i++) {
        struct kv_item item;
        struct kv_item again;
        kv_entry_item(reply.items[i], &item);
        assert_item_is(&item, twin_nth(w->twin, was->revision, i));
        assert_true(kv_get(kv, item.key, &again) && again.mod_revision == item.mod_revision);
    }
    kv_reply_deinit(&reply);
}

static void between_slices(struct world *w, struct kv *kv)
{
    (void)kv_tidy(kv, (size_t)below(w, 20));
    if (kv != w->moved)
        return;
    some_of_cursor(w);
    if (w->view != NULL && !w->view_is_read)
        w->view_is_read = kv_view_read(w->view, &w->stream, 1 + (size_t)below(w, 100));
}

static struct kv_result apply_in_slices(struct world *w, struct kv *kv, const struct buf *bytes,
                                        uint64_t term)
{
    struct kv_numbers was = {kv_revision(kv), kv_count(kv), kv_size_bytes(kv), kv_hash(kv),
                             kv_history_end(kv)};
    struct kv_log_entry entry = {
        .command = bytes->data, .len = bytes->len, .term = term, .want_replies = one_in(w, 4)};
    struct kv_result result;
    size_t budget = (size_t)below(w, 3);
    bool done = kv_apply_begin(kv, &entry, &budget, &result);
    while (!done) {
        assert_true(kv_is_applying(kv));
        assert_int_equal(budget, 0);
        assert_shows(w, kv, &was);
        between_slices(w, kv);
        budget = 1 + (size_t)below(w, 3);
        done = kv_apply_go_on(kv, &budget, &result);
        w->slices++;
    }
    assert_false(kv_is_applying(kv));
    return result;
}

static void apply_silently(struct world *w, struct kv *kv, const struct buf *bytes, uint64_t term,
                           const struct kv_result *want)
{
    struct kv_result got = apply_in_slices(w, kv, bytes, term);
    if (want != NULL) {
        assert_int_equal(got.status, want->status);
        assert_int_equal(got.revision, want->revision);
    }
    kv_result_deinit(&got);
}

static void step(struct world *w)
{
    struct kv_command command;
    struct buf bytes = {0};
    draw_command(&w->draw, &command);
    kv_command_encode(&bytes, &command);
    struct kv_result result = kv_apply(w->tidy, bytes.data, bytes.len, w->draw.term, true);
    twin_apply(w->twin, &command, w->draw.term, &result);
    apply_silently(w, w->messy, &bytes, w->draw.term, &result);
    apply_silently(w, w->moved, &bytes, w->draw.term, &result);
    kv_result_deinit(&result);
    assert_int_equal(kv_hash(w->tidy), kv_hash(w->messy));
    assert_int_equal(kv_hash(w->tidy), kv_hash(w->moved));
    kv_command_deinit(&command);
    if (w->view == NULL && w->twin_then == NULL) {
        buf_deinit(&bytes);
        return;
    }
    assert_true(w->log_count < LOG_MAX);
    w->log_term[w->log_count] = w->draw.term;
    w->log[w->log_count++] = bytes;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void begin_view(struct world *w)
{
    w->view = kv_view_new(w->moved);
    w->twin_then = twin_copy(w->twin);
    w->hash_then = kv_hash(w->moved);
}

static struct kv *load(struct world *w)
{
    struct kv_loader *loader = kv_loader_new();
    struct kv *kv;
    for (size_t at = 0; at < w->stream.len;) {
        size_t left = w->stream.len - at;
        size_t some = 1 + (size_t)below(w, 200);
        some = some < left ? some : left;
        assert_int_equal(kv_loader_feed(loader, w->stream.data + at, some), ERR_OK);
        at += some;
    }
    assert_int_equal(kv_loader_finish(loader, &kv), ERR_OK);
    kv_loader_free(loader);
    return kv;
}

/* What was loaded is the store of then; with the commands since it is the store of now. */
static void end_view(struct world *w)
{
    kv_view_free(w->view);
    w->view = NULL;
    w->view_is_read = false;
    struct kv *loaded = load(w);
    assert_int_equal(kv_hash(loaded), w->hash_then);
    assert_store_is_twin(loaded, w->twin_then, w->twin_then->revision);
    if (w->twin_then->compact > 0)
        assert_store_is_twin(loaded, w->twin_then, w->twin_then->compact);
    for (size_t i = 0; i < w->log_count; i++) {
        apply_silently(w, loaded, &w->log[i], w->log_term[i], NULL);
        buf_deinit(&w->log[i]);
    }
    assert_int_equal(kv_hash(loaded), kv_hash(w->tidy));
    if (one_in(w, 2))
        kv_discard(loaded, w->moved);
    else
        kv_free(w->moved);
    w->moved = loaded;
    twin_free(w->twin_then);
    w->twin_then = NULL;
    w->log_count = 0;
    buf_clear(&w->stream);
}

static void some_of_view(struct world *w)
{
    size_t before = w->stream.len;
    size_t max_bytes = 1 + (size_t)below(w, 300);
    w->view_is_read = w->view_is_read || kv_view_read(w->view, &w->stream, max_bytes);
    /* alarms are few: all at once */
    assert_true(w->stream.len - before <= max_bytes + 200 + w->twin_then->alarm_count * 14);
    if (w->view_is_read)
        end_view(w);
}

/* ---- sorting in slices ----------------------------------------------------------------------- */

static void walk_into(struct world *w, struct kv_cursor *cursor, struct kv_sorter *sorter)
{
    struct kv_item item;
    enum kv_step step;
    do {
        size_t budget = 1 + (size_t)below(w, 4);
        step = kv_cursor_next(w->tidy, cursor, &budget, &item);
        if (step == KV_STEP_ITEM)
            kv_sorter_add(sorter, cursor);
    } while (step != KV_STEP_END);
    for (bool done = false; !done;) {
        size_t budget = 1 + (size_t)below(w, 4);
        done = kv_sorter_sort(sorter, &budget);
    }
}

static void assert_sorted_is(struct kv_sorter *sorter, const struct kv_reply *want)
{
    struct kv_item item;
    for (size_t i = 0; i < want->item_count; i++) {
        struct kv_item other;
        kv_entry_item(want->items[i], &other);
        assert_true(kv_sorter_peek(sorter, &item));
        assert_int_equal(item.mod_revision, other.mod_revision);
        assert_int_equal(item.key.len, other.key.len);
        assert_memory_equal(item.key.data, other.key.data, item.key.len);
        if (i < 2 || i % 2 == 0) /* some are left to kv_sorter_free_some */
            kv_sorter_pop(sorter);
        else
            return;
    }
    assert_false(kv_sorter_peek(sorter, &item));
    assert_int_equal(kv_sorter_has_more(sorter), want->more);
}

/* A range by walk and sorter is what it is at once. */
static void sort_some(struct world *w)
{
    struct kv_command command = {0};
    struct kv_range range = draw_range(&w->draw, &command);
    struct kv_range plain = {.keys = range.keys,
                             .revision = range.revision,
                             .limit = range.limit,
                             .order = range.order,
                             .sort = range.sort};
    struct kv_cursor *cursor;
    struct kv_reply want;
    if (kv_range_all(w->tidy, &plain, &want) == KV_OK) {
        struct kv_sorter *sorter = kv_sorter_new(&plain);
        size_t budget = 0;
        assert_int_equal(kv_cursor_open(w->tidy, &plain.keys, plain.revision, false, &cursor),
                         KV_OK);
        walk_into(w, cursor, sorter);
        kv_cursor_free(cursor);
        assert_sorted_is(sorter, &want);
        while (!kv_sorter_free_some(sorter, &budget))
            budget = 1;
    }
    kv_reply_deinit(&want);
    kv_command_deinit(&command);
}

/* ---- the run --------------------------------------------------------------------------------- */

static uint64_t digest_of(struct world *w, const struct kv *kv, uint64_t revision)
{
    struct kv_digest *digest;
    enum kv_step step;
    assert_int_equal(kv_digest_open(kv, revision, &digest), KV_OK);
    do {
        size_t budget = 1 + (size_t)below(w, 50);
        step = kv_digest_go_on(kv, digest, &budget);
    } while (step == KV_STEP_PAUSE);
    assert_int_equal(step, KV_STEP_END);
    struct kv_digest_value value = kv_digest_value(digest);
    assert_int_equal(value.revision, revision);
    assert_int_equal(value.compact_revision, w->twin->compact);
    kv_digest_free(digest);
    return value.hash;
}

static void look(struct world *w)
{
    uint64_t compact = w->twin->compact;
    uint64_t revision = compact + below(w, w->twin->revision - compact + 1);
    revision = revision > 0 ? revision : 1;
    assert_store_is_twin(w->tidy, w->twin, revision);
    assert_store_is_twin(w->messy, w->twin, revision);
    assert_store_is_twin(w->moved, w->twin, revision);
    uint64_t hash = digest_of(w, w->tidy, revision);
    assert_int_equal(digest_of(w, w->messy, revision), hash);
    assert_int_equal(digest_of(w, w->moved, revision), hash);
    if (w->hash_compact == compact && w->hash_revision == revision)
        assert_int_equal(hash, w->hash); /* whatever was written since */
    if (w->hash_compact == compact && w->hash_revision < revision)
        assert_int_not_equal(hash, w->hash);
    w->hash_compact = compact;
    w->hash_revision = revision;
    w->hash = hash;
}

static void run(uint64_t seed, unsigned steps)
{
    struct world w = {
        .twin = twin_new(), .tidy = kv_new(), .messy = kv_new(), .moved = kv_new()};
    w.draw = (struct draw){.prng = {.state = seed}, .twin = w.twin, .kv = w.tidy, .term = 5};
    for (unsigned i = 0; i < steps; i++) {
        step(&w);
        w.draw.term += one_in(&w, 50) ? 1 : 0;
        if (one_in(&w, 3))
            (void)kv_tidy(w.tidy, (size_t)below(&w, 20));
        if (one_in(&w, 10)) {
            some_of_cursor(&w);
            (void)kv_tidy(w.moved, (size_t)below(&w, 200));
            some_of_cursor(&w);
        }
        if (one_in(&w, 15))
            look(&w);
        if (one_in(&w, 5))
            sort_some(&w);
        if (one_in(&w, 2))
            some_of_cursor(&w);
        if (w.view != NULL && (one_in(&w, 3) || w.log_count > LOG_MAX / 2))
            some_of_view(&w);
        else if (w.view == NULL && one_in(&w, 30))
            begin_view(&w);
    }
    while (w.view != NULL)
        some_of_view(&w);
    look(&w);
    assert_true(w.slices > 0);
    end_cursor(&w);
    kv_free(w.tidy);
    kv_free(w.messy);
    kv_free(w.moved);
    twin_free(w.twin);
    buf_deinit(&w.stream);
}

static void test_kv_random_commands_do_what_the_twin_does(void **state)
{
    (void)state;
    const char *given = getenv("KV_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    for (uint64_t i = seed; i < seed + (given != NULL ? 1 : 5); i++) {
        print_message("seed %llu (KV_SEED)\n", (unsigned long long)i);
        run(i, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_random_commands_do_what_the_twin_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
