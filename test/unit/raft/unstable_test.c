/* The part of the log that storage has not acknowledged yet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/unstable.h"

#include <string.h>

static const struct raft_logger silent = {0};

/* Entries from index first on with the given terms ("112" = terms 1, 1, 2); a snapshot at
 * snapshot_index with term 1 if that is not 0. */
static struct raft_unstable unstable_of(floe_index first, const char *terms,
                                        floe_index in_progress, floe_index snapshot_index)
{
    struct raft_unstable u = {.offset = first, .offset_in_progress = first, .logger = &silent};
    if (snapshot_index != 0) {
        struct floe_snapshot snapshot = {.index = snapshot_index, .term = 1};
        raft_unstable_restore(&u, &snapshot);
    }
    for (size_t i = 0; terms[i] != '\0'; i++) {
        struct floe_entry entry = {.term = (floe_term)(terms[i] - '0'), .index = first + i};
        raft_unstable_truncate_and_append(&u, &entry, 1);
    }
    u.offset_in_progress = in_progress;
    return u;
}

static void check_entries(const struct raft_unstable *u, floe_index first, const char *terms)
{
    assert_int_equal(u->offset, first);
    assert_int_equal(u->count, strlen(terms));
    for (size_t i = 0; i < u->count; i++) {
        const struct floe_entry *entry = raft_unstable_at(u, first + i);
        assert_int_equal(entry->index, first + i);
        assert_int_equal(entry->term, terms[i] - '0');
    }
}

static void test_unstable_first_index_only_with_a_snapshot(void **state)
{
    (void)state;
    floe_index index = 99;
    struct raft_unstable u = unstable_of(5, "1", 5, 0);
    assert_false(raft_unstable_first_index(&u, &index));
    assert_int_equal(index, 99);
    raft_unstable_deinit(&u);
    u = unstable_of(5, "1", 5, 4);
    assert_true(raft_unstable_first_index(&u, &index));
    assert_int_equal(index, 5);
    raft_unstable_deinit(&u);
}

static void test_unstable_last_index_is_of_entries_else_of_snapshot(void **state)
{
    (void)state;
    floe_index index = 99;
    struct raft_unstable u = unstable_of(5, "11", 5, 4);
    assert_true(raft_unstable_last_index(&u, &index));
    assert_int_equal(index, 6);
    raft_unstable_deinit(&u);
    u = unstable_of(5, "", 5, 4);
    assert_true(raft_unstable_last_index(&u, &index));
    assert_int_equal(index, 4);
    raft_unstable_deinit(&u);
    u = unstable_of(5, "", 5, 0);
    assert_false(raft_unstable_last_index(&u, &index));
    raft_unstable_deinit(&u);
}

static void test_unstable_term_by_position(void **state)
{
    (void)state;
    floe_term term = 99;
    struct raft_unstable u = unstable_of(5, "23", 5, 0);
    assert_false(raft_unstable_term(&u, 4, &term));
    assert_false(raft_unstable_term(&u, 7, &term));
    assert_int_equal(term, 99);
    assert_true(raft_unstable_term(&u, 6, &term));
    assert_int_equal(term, 3);
    raft_unstable_deinit(&u);

    u = unstable_of(5, "2", 5, 4);
    assert_true(raft_unstable_term(&u, 4, &term)); /* the snapshot's */
    assert_int_equal(term, 1);
    assert_false(raft_unstable_term(&u, 3, &term));
    raft_unstable_deinit(&u);
}

static void test_unstable_restore_replaces_everything(void **state)
{
    (void)state;
    struct raft_unstable u = unstable_of(5, "11", 6, 4);
    raft_unstable_accept_in_progress(&u);
    assert_true(u.snapshot_in_progress);
    struct floe_snapshot snapshot = {.index = 16, .term = 2};
    raft_unstable_restore(&u, &snapshot);
    check_entries(&u, 17, "");
    assert_int_equal(u.offset_in_progress, 17);
    assert_int_equal(u.snapshot->index, 16);
    assert_false(u.snapshot_in_progress);
    raft_unstable_deinit(&u);
}

static void test_unstable_accept_in_progress_covers_entries_and_snapshot(void **state)
{
    (void)state;
    struct raft_unstable u = unstable_of(5, "11", 5, 0);
    raft_unstable_accept_in_progress(&u);
    assert_int_equal(u.offset_in_progress, 7);
    assert_false(u.snapshot_in_progress);
    struct floe_entry more = {.term = 1, .index = 7};
    raft_unstable_truncate_and_append(&u, &more, 1); /* is not in progress */
    assert_int_equal(u.offset_in_progress, 7);
    raft_unstable_accept_in_progress(&u);
    assert_int_equal(u.offset_in_progress, 8);
    raft_unstable_deinit(&u);

    u = unstable_of(5, "", 5, 4);
    raft_unstable_accept_in_progress(&u);
    assert_int_equal(u.offset_in_progress, 5);
    assert_true(u.snapshot_in_progress);
    raft_unstable_deinit(&u);
}

static void test_unstable_stable_to_honours_only_what_is_still_there(void **state)
{
    (void)state;
    static const struct {
        const char *terms;
        floe_index in_progress, snapshot;
        floe_index index;
        floe_term term;
        floe_index want_offset, want_in_progress;
        const char *want_terms;
    } cases[] = {
        {"", 5, 0, 5, 1, 5, 5, ""},
        {"1", 6, 0, 5, 1, 6, 6, ""},     /* the only one */
        {"11", 6, 0, 5, 1, 6, 6, "1"},   /* the first of two */
        {"11", 7, 0, 5, 1, 6, 7, "1"},   /* both are in progress */
        {"11", 5, 0, 5, 1, 6, 6, "1"},   /* in progress never falls behind */
        {"2", 6, 0, 5, 1, 5, 6, "2"},    /* overwritten since */
        {"11", 7, 0, 4, 1, 5, 7, "11"},  /* old */
        {"11", 7, 0, 7, 1, 5, 7, "11"},  /* never was here */
        {"1", 6, 4, 5, 1, 6, 6, ""},     /* with a snapshot */
        {"1", 6, 4, 4, 1, 5, 6, "1"},    /* the snapshot's position */
        {"2", 6, 4, 5, 1, 5, 6, "2"},
        {"123", 8, 0, 6, 2, 7, 8, "3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raft_unstable u =
            unstable_of(5, cases[i].terms, cases[i].in_progress, cases[i].snapshot);
        raft_unstable_stable_to(&u, (struct raft_entry_id){cases[i].term, cases[i].index});
        check_entries(&u, cases[i].want_offset, cases[i].want_terms);
        assert_int_equal(u.offset_in_progress, cases[i].want_in_progress);
        raft_unstable_deinit(&u);
    }
}

static void test_unstable_stable_snapshot_to_needs_its_index(void **state)
{
    (void)state;
    struct raft_unstable u = unstable_of(5, "1", 5, 4);
    raft_unstable_accept_in_progress(&u);
    raft_unstable_stable_snapshot_to(&u, 3);
    assert_non_null(u.snapshot);
    raft_unstable_stable_snapshot_to(&u, 4);
    assert_null(u.snapshot);
    assert_false(u.snapshot_in_progress);
    check_entries(&u, 5, "1");
    raft_unstable_deinit(&u);
}

static void test_unstable_truncate_and_append_table(void **state)
{
    (void)state;
    static const struct {
        const char *terms;
        floe_index in_progress;
        floe_index from;
        const char *append;
        floe_index want_offset, want_in_progress;
        const char *want_terms;
    } cases[] = {
        {"1", 5, 6, "11", 5, 5, "111"}, /* behind */
        {"1", 6, 6, "11", 5, 6, "111"},
        {"1", 5, 5, "22", 5, 5, "22"}, /* all replaced */
        {"1", 6, 5, "22", 5, 5, "22"}, /* what was in progress has to be written again */
        {"1", 5, 4, "222", 4, 4, "222"},
        {"1", 6, 4, "222", 4, 4, "222"},
        {"111", 5, 6, "2", 5, 5, "12"}, /* cut inside */
        {"111", 6, 6, "2", 5, 6, "12"},
        {"111", 8, 6, "2", 5, 6, "12"},
        {"111", 5, 7, "22", 5, 5, "1122"},
        {"111", 8, 7, "22", 5, 7, "1122"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raft_unstable u = unstable_of(5, cases[i].terms, cases[i].in_progress, 0);
        struct floe_entry entries[4] = {0};
        size_t count = strlen(cases[i].append);
        for (size_t j = 0; j < count; j++)
            entries[j] = (struct floe_entry){.term = (floe_term)(cases[i].append[j] - '0'),
                                             .index = cases[i].from + j};
        raft_unstable_truncate_and_append(&u, entries, count);
        check_entries(&u, cases[i].want_offset, cases[i].want_terms);
        assert_int_equal(u.offset_in_progress, cases[i].want_in_progress);
        raft_unstable_deinit(&u);
    }
}

/* Entries that come and go for long: the array must be reused, and blobs must not leak (ASan). */
static void test_unstable_long_run_keeps_the_array_small(void **state)
{
    (void)state;
    struct raft_unstable u = unstable_of(1, "", 1, 0);
    for (floe_index i = 1; i <= 5000; i++) {
        struct floe_entry entry = {.term = 1, .index = i, .data = floe_blob_new(&i, sizeof i)};
        raft_unstable_truncate_and_append(&u, &entry, 1);
        floe_entry_deinit(&entry);
        if (i > 5)
            raft_unstable_stable_to(&u, (struct raft_entry_id){1, i - 5});
    }
    assert_int_equal(u.count, 5);
    assert_true(u.cap <= 32);
    for (floe_index i = 4996; i <= 5000; i++)
        assert_memory_equal(floe_blob_data(raft_unstable_at(&u, i)->data), &i, sizeof i);
    raft_unstable_deinit(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unstable_first_index_only_with_a_snapshot),
        cmocka_unit_test(test_unstable_last_index_is_of_entries_else_of_snapshot),
        cmocka_unit_test(test_unstable_term_by_position),
        cmocka_unit_test(test_unstable_restore_replaces_everything),
        cmocka_unit_test(test_unstable_accept_in_progress_covers_entries_and_snapshot),
        cmocka_unit_test(test_unstable_stable_to_honours_only_what_is_still_there),
        cmocka_unit_test(test_unstable_stable_snapshot_to_needs_its_index),
        cmocka_unit_test(test_unstable_truncate_and_append_table),
        cmocka_unit_test(test_unstable_long_run_keeps_the_array_small),
    };
    return cmocka_run_group_tests_name("raft unstable", tests, NULL, NULL);
}
