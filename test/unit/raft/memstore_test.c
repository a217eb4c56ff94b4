/* The log in memory, through its own calls and through the table that the core reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <floe/storage.h>

#include <string.h>

/* Entries 4 .. 6 with terms 4 .. 6 behind a dummy (3, 3). */
static struct floe_memstore *sample(void)
{
    struct floe_memstore *store = floe_memstore_new();
    struct floe_snapshot snapshot = {.index = 3, .term = 3};
    assert_int_equal(floe_memstore_apply_snapshot(store, &snapshot), FLOE_OK);
    for (floe_index i = 4; i <= 6; i++) {
        struct floe_entry entry = {.index = i, .term = i};
        floe_memstore_append(store, &entry, 1);
    }
    return store;
}

/* Indexes ascend from first; terms are digits. */
static void append(struct floe_memstore *store, floe_index first, const char *terms)
{
    struct floe_entry entries[8] = {0};
    size_t count = strlen(terms);
    for (size_t i = 0; i < count; i++)
        entries[i] =
            (struct floe_entry){.index = first + i, .term = (floe_term)(terms[i] - '0')};
    floe_memstore_append(store, entries, count);
}

static void check_terms(const struct floe_memstore *store, floe_index first, const char *terms)
{
    uint64_t size = 0;
    assert_int_equal(floe_memstore_first_index(store), first);
    assert_int_equal(floe_memstore_last_index(store), first + strlen(terms) - 1);
    for (size_t i = 0; terms[i] != '\0'; i++) {
        const struct floe_entry *entry = floe_memstore_entry(store, first + i);
        assert_int_equal(entry->index, first + i);
        assert_int_equal(entry->term, terms[i] - '0');
        size += floe_entry_size(entry);
    }
    assert_int_equal(floe_memstore_size(store), size);
}

static void test_memstore_new_is_empty(void **state)
{
    (void)state;
    struct floe_memstore *store = floe_memstore_new();
    check_terms(store, 1, "");
    assert_null(floe_memstore_entry(store, 0)); /* the dummy is no entry */
    assert_null(floe_memstore_entry(store, 1));
    assert_int_equal(floe_memstore_snapshot(store)->index, 0);
    floe_memstore_free(store);
    floe_memstore_free(NULL);
}

static void test_memstore_term_answers_from_dummy_to_last(void **state)
{
    (void)state;
    struct floe_memstore *store = sample();
    struct floe_storage table = floe_memstore_storage(store);
    floe_term term = 99;
    assert_int_equal(table.term(table.ctx, 2, &term), FLOE_ERR_COMPACTED);
    assert_int_equal(table.term(table.ctx, 7, &term), FLOE_ERR_UNAVAILABLE);
    assert_int_equal(term, 99);
    for (floe_index i = 3; i <= 6; i++) {
        assert_int_equal(table.term(table.ctx, i, &term), FLOE_OK);
        assert_int_equal(term, i);
    }
    assert_int_equal(table.first_index(table.ctx), 4);
    assert_int_equal(table.last_index(table.ctx), 6);
    floe_memstore_free(store);
}

static void check_entries(struct floe_storage table, floe_index lo, floe_index hi,
                          uint64_t max_size, size_t expected)
{
    struct floe_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(table.entries(table.ctx, lo, hi, max_size, &entries, &count), FLOE_OK);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(entries[i].index, lo + i);
    floe_entries_free(entries, count);
}

static void test_memstore_entries_keep_to_the_size_but_give_one(void **state)
{
    (void)state;
    struct floe_memstore *store = sample();
    struct floe_storage table = floe_memstore_storage(store);
    uint64_t one = floe_entry_size(floe_memstore_entry(store, 4)); /* all are equal */
    check_entries(table, 4, 7, FLOE_NO_LIMIT, 3);
    check_entries(table, 4, 5, FLOE_NO_LIMIT, 1);
    check_entries(table, 5, 7, FLOE_NO_LIMIT, 2);
    check_entries(table, 4, 7, 0, 1);
    check_entries(table, 4, 7, one - 1, 1);
    check_entries(table, 4, 7, 2 * one - 1, 1);
    check_entries(table, 4, 7, 2 * one, 2);
    check_entries(table, 4, 7, 3 * one - 1, 2);
    check_entries(table, 4, 7, 3 * one, 3);
    struct floe_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(table.entries(table.ctx, 3, 4, 10, &entries, &count), FLOE_ERR_COMPACTED);
    assert_int_equal(table.entries(table.ctx, 4, 8, 10, &entries, &count), FLOE_ERR_UNAVAILABLE);
    assert_null(entries);
    floe_memstore_free(store);
}

static void test_memstore_append_overlaps_replace_the_tail(void **state)
{
    (void)state;
    static const struct {
        floe_index first;
        const char *terms;
        const char *want; /* from 4 on */
    } cases[] = {
        {1, "12", "456"},      /* wholly before the first index */
        {4, "", "456"},        /* nothing */
        {4, "456", "456"},     /* the same */
        {4, "466", "466"},     /* conflict */
        {4, "4567", "4567"},   /* the same and more */
        {2, "335", "5"},       /* a part before the first index is cut off, the tail as well */
        {5, "5", "45"},        /* truncation */
        {7, "6", "4566"},      /* behind */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct floe_memstore *store = sample();
        append(store, cases[i].first, cases[i].terms);
        check_terms(store, 4, cases[i].want);
        floe_memstore_free(store);
    }
}

static void test_memstore_compact_moves_the_first_index(void **state)
{
    (void)state;
    struct floe_memstore *store = sample();
    struct floe_storage table = floe_memstore_storage(store);
    floe_term term = 0;
    assert_int_equal(floe_memstore_compact(store, 2), FLOE_ERR_COMPACTED);
    assert_int_equal(floe_memstore_compact(store, 3), FLOE_ERR_COMPACTED);
    check_terms(store, 4, "456");
    assert_int_equal(floe_memstore_compact(store, 5), FLOE_OK);
    check_terms(store, 6, "6");
    assert_int_equal(table.term(table.ctx, 5, &term), FLOE_OK); /* the new dummy */
    assert_int_equal(term, 5);
    assert_int_equal(table.term(table.ctx, 4, &term), FLOE_ERR_COMPACTED);
    assert_int_equal(floe_memstore_compact(store, 6), FLOE_OK);
    check_terms(store, 7, "");
    append(store, 7, "7");
    check_terms(store, 7, "7");
    floe_memstore_free(store);
}

static void test_memstore_create_snapshot_keeps_the_log(void **state)
{
    (void)state;
    struct floe_memstore *store = sample();
    struct floe_conf_state cs = {0};
    floe_ids_push(&cs.voters, 1);
    floe_ids_push(&cs.voters, 2);
    struct floe_blob *data = floe_blob_new("data", 4);
    assert_int_equal(floe_memstore_create_snapshot(store, 3, &cs, data),
                     FLOE_ERR_SNAPSHOT_OUT_OF_DATE);
    assert_int_equal(floe_memstore_create_snapshot(store, 5, &cs, data), FLOE_OK);
    floe_conf_state_deinit(&cs);
    floe_blob_unref(data);
    check_terms(store, 4, "456");
    struct floe_storage table = floe_memstore_storage(store);
    struct floe_snapshot got;
    assert_int_equal(table.snapshot(table.ctx, &got), FLOE_OK);
    assert_int_equal(got.index, 5);
    assert_int_equal(got.term, 5);
    assert_int_equal(got.conf_state.voters.count, 2);
    assert_memory_equal(floe_blob_data(got.data), "data", 4);
    floe_snapshot_deinit(&got);
    floe_memstore_free(store);
}

static void test_memstore_apply_snapshot_replaces_the_log_unless_old(void **state)
{
    (void)state;
    struct floe_memstore *store = sample();
    struct floe_snapshot snapshot = {.index = 10, .term = 7};
    assert_int_equal(floe_memstore_apply_snapshot(store, &snapshot), FLOE_OK);
    check_terms(store, 11, "");
    assert_int_equal(floe_memstore_apply_snapshot(store, &snapshot),
                     FLOE_ERR_SNAPSHOT_OUT_OF_DATE);
    snapshot.index = 9;
    assert_int_equal(floe_memstore_apply_snapshot(store, &snapshot),
                     FLOE_ERR_SNAPSHOT_OUT_OF_DATE);
    assert_int_equal(floe_memstore_snapshot(store)->index, 10);
    floe_memstore_free(store);
}

static void test_memstore_initial_state_is_hard_state_and_membership(void **state)
{
    (void)state;
    struct floe_memstore *store = floe_memstore_new();
    floe_id ids[] = {1, 2, 3};
    struct floe_snapshot snapshot = {
        .index = 3, .term = 2, .conf_state.voters = {.id = ids, .count = 3}};
    assert_int_equal(floe_memstore_apply_snapshot(store, &snapshot), FLOE_OK);
    struct floe_hard_state set = {.term = 4, .vote = 2, .commit = 3};
    floe_memstore_set_hard_state(store, set);
    assert_int_equal(floe_memstore_hard_state(store).vote, 2);
    struct floe_storage table = floe_memstore_storage(store);
    struct floe_hard_state hs;
    struct floe_conf_state cs;
    assert_int_equal(table.initial_state(table.ctx, &hs, &cs), FLOE_OK);
    assert_int_equal(hs.term, 4);
    assert_int_equal(hs.vote, 2);
    assert_int_equal(hs.commit, 3);
    assert_true(floe_conf_state_equivalent(&cs, &snapshot.conf_state));
    floe_conf_state_deinit(&cs);
    floe_memstore_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memstore_new_is_empty),
        cmocka_unit_test(test_memstore_term_answers_from_dummy_to_last),
        cmocka_unit_test(test_memstore_entries_keep_to_the_size_but_give_one),
        cmocka_unit_test(test_memstore_append_overlaps_replace_the_tail),
        cmocka_unit_test(test_memstore_compact_moves_the_first_index),
        cmocka_unit_test(test_memstore_create_snapshot_keeps_the_log),
        cmocka_unit_test(test_memstore_apply_snapshot_replaces_the_log_unless_old),
        cmocka_unit_test(test_memstore_initial_state_is_hard_state_and_membership),
    };
    return cmocka_run_group_tests_name("raft memstore", tests, NULL, NULL);
}
