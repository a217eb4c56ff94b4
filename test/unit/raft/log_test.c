/* The log: storage in front, unstable entries behind, and the positions that move over both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/log.h"

#include <string.h>

static const struct raft_logger silent = {0};

struct fixture {
    struct floe_memstore *store;
    struct raft_log log;
};

static void append_to_store(struct floe_memstore *store, floe_index first, const char *terms)
{
    for (size_t i = 0; terms[i] != '\0'; i++) {
        struct floe_entry entry = {.term = (floe_term)(terms[i] - '0'), .index = first + i};
        floe_memstore_append(store, &entry, 1);
    }
}

static void append_to_log(struct raft_log *log, floe_index first, const char *terms)
{
    struct floe_entry entries[16] = {0};
    size_t count = strlen(terms);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct floe_entry){.term = (floe_term)(terms[i] - '0'), .index = first + i};
    raft_log_append(log, entries, count);
}

/* A snapshot at snapshot_index (0: none) with term 1, then entries of these terms in storage and
 * in the unstable part. */
static struct fixture fixture_of(floe_index snapshot_index, const char *stable,
                                 const char *unstable)
{
    struct fixture f = {.store = floe_memstore_new()};
    if (snapshot_index > 0) {
        struct floe_snapshot snapshot = {.index = snapshot_index, .term = 1};
        assert_int_equal(floe_memstore_apply_snapshot(f.store, &snapshot), FLOE_OK);
    }
    append_to_store(f.store, snapshot_index + 1, stable);
    raft_log_init(&f.log, floe_memstore_storage(f.store), FLOE_NO_LIMIT, &silent);
    append_to_log(&f.log, snapshot_index + 1 + strlen(stable), unstable);
    return f;
}

static void fixture_deinit(struct fixture *f)
{
    raft_log_deinit(&f->log);
    floe_memstore_free(f->store);
}

/* The terms from the first index on as digits. */
static void check_terms(const struct raft_log *log, const char *terms)
{
    floe_index first = raft_log_first_index(log);
    assert_int_equal(raft_log_last_index(log), first + strlen(terms) - 1);
    for (size_t i = 0; terms[i] != '\0'; i++)
        assert_int_equal(raft_log_term_or_zero(log, first + i), terms[i] - '0');
}

static void check_slice(const struct raft_log *log, floe_index lo, floe_index hi,
                        uint64_t max_size, size_t expected)
{
    struct raft_entries got = {0};
    assert_int_equal(raft_log_slice(log, lo, hi, max_size, &got), FLOE_OK);
    assert_int_equal(got.count, expected);
    for (size_t i = 0; i < got.count; i++)
        assert_int_equal(got.list[i].index, lo + i);
    raft_entries_deinit(&got);
}

/* ---- positions and terms --------------------------------------------------------------------------- */

static void test_log_term_from_dummy_to_last(void **state)
{
    (void)state;
    struct fixture f = fixture_of(100, "234", "56");
    floe_term term;
    assert_int_equal(raft_log_term(&f.log, 99, &term), FLOE_ERR_COMPACTED);
    assert_int_equal(term, 0);
    assert_int_equal(raft_log_term(&f.log, 106, &term), FLOE_ERR_UNAVAILABLE);
    for (floe_index i = 0; i <= 5; i++) {
        assert_int_equal(raft_log_term(&f.log, 100 + i, &term), FLOE_OK);
        assert_int_equal(term, i + 1);
    }
    assert_int_equal(raft_log_last_id(&f.log).index, 105);
    assert_int_equal(raft_log_last_id(&f.log).term, 6);
    fixture_deinit(&f);
}

static void test_log_term_with_unstable_snapshot_hides_storage(void **state)
{
    (void)state;
    struct fixture f = fixture_of(100, "1", "");
    struct floe_snapshot snapshot = {.index = 110, .term = 3};
    raft_log_restore(&f.log, &snapshot);
    floe_term term;
    assert_int_equal(raft_log_term(&f.log, 100, &term), FLOE_ERR_COMPACTED);
    assert_int_equal(raft_log_term(&f.log, 109, &term), FLOE_ERR_COMPACTED);
    assert_int_equal(raft_log_term(&f.log, 110, &term), FLOE_OK);
    assert_int_equal(term, 3);
    assert_int_equal(raft_log_term(&f.log, 111, &term), FLOE_ERR_UNAVAILABLE);
    assert_int_equal(raft_log_first_index(&f.log), 111);
    assert_int_equal(raft_log_last_index(&f.log), 110);
    fixture_deinit(&f);
}

static void test_log_starts_on_a_stored_snapshot(void **state)
{
    (void)state;
    struct fixture f = fixture_of(1000, "", "");
    assert_int_equal(raft_log_first_index(&f.log), 1001);
    assert_int_equal(raft_log_last_index(&f.log), 1000);
    assert_int_equal(f.log.committed, 1000);
    assert_int_equal(f.log.applied, 1000);
    assert_int_equal(f.log.unstable.offset, 1001);
    assert_true(raft_log_matches(&f.log, (struct raft_entry_id){1, 1000}));
    assert_false(raft_log_matches(&f.log, (struct raft_entry_id){2, 1000}));
    fixture_deinit(&f);
}

static void test_log_is_up_to_date_term_first_then_index(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "12", "3");
    static const struct {
        struct raft_entry_id id;
        bool up_to_date;
    } cases[] = {
        {{4, 1}, true}, {{4, 3}, true}, {{4, 9}, true},  {{2, 1}, false}, {{2, 3}, false},
        {{2, 9}, false}, {{3, 2}, false}, {{3, 3}, true}, {{3, 4}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(raft_log_is_up_to_date(&f.log, cases[i].id), cases[i].up_to_date);
    fixture_deinit(&f);
}

static void test_log_find_conflict_by_term_table(void **state)
{
    (void)state;
    static const struct {
        const char *terms; /* the first is of the snapshot that the log starts on */
        floe_index index;
        floe_term term;
        floe_index want_index;
        floe_term want_term;
    } cases[] = {
        {"122555", 100, 2, 100, 0}, /* beyond the end: as it is */
        {"122555", 5, 6, 5, 5},
        {"122555", 5, 5, 5, 5},
        {"122555", 5, 4, 2, 2},
        {"122555", 5, 2, 2, 2},
        {"122555", 5, 1, 0, 1},
        {"122555", 1, 2, 1, 2},
        {"122555", 1, 1, 0, 1},
        {"122555", 0, 1, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f = fixture_of(10, cases[i].terms + 1, "");
        struct raft_entry_id got =
            raft_log_find_conflict_by_term(&f.log, 10 + cases[i].index, cases[i].term);
        assert_int_equal(got.index, 10 + cases[i].want_index);
        assert_int_equal(got.term, cases[i].want_term);
        fixture_deinit(&f);
    }
}

static void test_log_find_conflict_by_term_stops_where_it_is_compacted(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "12345", "");
    assert_int_equal(floe_memstore_compact(f.store, 3), FLOE_OK);
    struct raft_entry_id got = raft_log_find_conflict_by_term(&f.log, 5, 2);
    assert_int_equal(got.index, 2);
    assert_int_equal(got.term, 0);
    got = raft_log_find_conflict_by_term(&f.log, 0, 7);
    assert_int_equal(got.index, 0);
    assert_int_equal(got.term, 0);
    fixture_deinit(&f);
}

/* ---- appending ----------------------------------------------------------------------------------------- */

static void test_log_append_replaces_what_conflicts(void **state)
{
    (void)state;
    static const struct {
        floe_index first;
        const char *append;
        const char *want;
        floe_index want_offset;
    } cases[] = {
        {3, "", "12", 3}, {3, "2", "122", 3}, {1, "2", "2", 1}, {2, "33", "133", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f = fixture_of(0, "12", "");
        append_to_log(&f.log, cases[i].first, cases[i].append);
        check_terms(&f.log, cases[i].want);
        assert_int_equal(f.log.unstable.offset, cases[i].want_offset);
        fixture_deinit(&f);
    }
}

static void test_log_maybe_append_table(void **state)
{
    (void)state;
    static const struct {
        struct raft_entry_id prev;
        const char *terms; /* of the entries behind prev */
        floe_index leader_commit;
        bool ok;
        floe_index last_new, commit;
        const char *want;
    } cases[] = { /* on a log 1 2 3 that has committed 1 */
        {{2, 3}, "4", 3, false, 0, 1, "123"}, /* another term there */
        {{3, 4}, "4", 3, false, 0, 1, "123"}, /* beyond the end */
        {{3, 3}, "", 3, true, 3, 3, "123"},
        {{3, 3}, "", 4, true, 3, 3, "123"}, /* not beyond what is known to match */
        {{3, 3}, "", 2, true, 3, 2, "123"},
        {{3, 3}, "", 0, true, 3, 1, "123"}, /* never back */
        {{0, 0}, "", 3, true, 0, 1, "123"},
        {{3, 3}, "4", 3, true, 4, 3, "1234"},
        {{3, 3}, "4", 4, true, 4, 4, "1234"},
        {{3, 3}, "4", 5, true, 4, 4, "1234"},
        {{3, 3}, "44", 5, true, 5, 5, "12344"},
        {{2, 2}, "4", 3, true, 3, 3, "124"}, /* conflict */
        {{1, 1}, "4", 3, true, 2, 2, "14"},
        {{1, 1}, "44", 3, true, 3, 3, "144"},
        {{1, 1}, "2", 3, true, 2, 2, "123"}, /* an old, shorter message cuts nothing */
        {{0, 0}, "12", 3, true, 2, 2, "123"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f = fixture_of(0, "", "123");
        raft_log_commit_to(&f.log, 1);
        struct floe_entry entries[4] = {0};
        size_t count = strlen(cases[i].terms);
        for (size_t j = 0; j < count; j++)
            entries[j] = (struct floe_entry){.term = (floe_term)(cases[i].terms[j] - '0'),
                                             .index = cases[i].prev.index + 1 + j};
        floe_index last_new = 0;
        assert_int_equal(raft_log_maybe_append(&f.log, cases[i].prev, entries, count,
                                               cases[i].leader_commit, &last_new),
                         cases[i].ok);
        assert_int_equal(last_new, cases[i].last_new);
        assert_int_equal(f.log.committed, cases[i].commit);
        check_terms(&f.log, cases[i].want);
        fixture_deinit(&f);
    }
}

static void test_log_commit_to_never_goes_back(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "", "123");
    raft_log_commit_to(&f.log, 2);
    raft_log_commit_to(&f.log, 1);
    assert_int_equal(f.log.committed, 2);
    assert_false(raft_log_maybe_commit(&f.log, (struct raft_entry_id){2, 3})); /* other term */
    assert_false(raft_log_maybe_commit(&f.log, (struct raft_entry_id){2, 2})); /* old news */
    assert_false(raft_log_maybe_commit(&f.log, (struct raft_entry_id){0, 9}));
    assert_true(raft_log_maybe_commit(&f.log, (struct raft_entry_id){3, 3}));
    assert_int_equal(f.log.committed, 3);
    fixture_deinit(&f);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static void test_log_slice_spans_storage_and_unstable(void **state)
{
    (void)state;
    struct fixture f = fixture_of(100, "111", "111"); /* 101 .. 106, equal sizes */
    uint64_t one = floe_entry_size(floe_memstore_entry(f.store, 101));
    struct raft_entries got = {0};
    assert_int_equal(raft_log_slice(&f.log, 100, 103, FLOE_NO_LIMIT, &got), FLOE_ERR_COMPACTED);
    check_slice(&f.log, 101, 101, FLOE_NO_LIMIT, 0);
    check_slice(&f.log, 101, 107, FLOE_NO_LIMIT, 6);
    check_slice(&f.log, 102, 104, FLOE_NO_LIMIT, 2);
    check_slice(&f.log, 103, 105, FLOE_NO_LIMIT, 2);
    check_slice(&f.log, 104, 107, FLOE_NO_LIMIT, 3);
    check_slice(&f.log, 101, 107, 0, 1);
    check_slice(&f.log, 104, 107, 0, 1);
    check_slice(&f.log, 101, 107, 2 * one, 2);
    check_slice(&f.log, 101, 107, 3 * one, 3);
    check_slice(&f.log, 101, 107, 3 * one + 1, 3); /* the first unstable one does not fit */
    check_slice(&f.log, 101, 107, 4 * one, 4);
    check_slice(&f.log, 103, 107, 2 * one - 1, 1);
    check_slice(&f.log, 104, 107, 2 * one - 1, 1);
    check_slice(&f.log, 104, 107, 2 * one, 2);
    fixture_deinit(&f);
}

static void test_log_slice_cut_short_by_storage_leaves_no_hole(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "1", "");
    struct floe_entry big = {.term = 1, .index = 2, .data = floe_blob_alloc(100)};
    floe_memstore_append(f.store, &big, 1);
    floe_entry_deinit(&big);
    raft_log_deinit(&f.log);
    raft_log_init(&f.log, floe_memstore_storage(f.store), FLOE_NO_LIMIT, &silent);
    append_to_log(&f.log, 3, "1"); /* small: would fit, but 2 does not */
    check_slice(&f.log, 1, 4, 50, 1);
    fixture_deinit(&f);
}

static void test_log_entries_from_index_to_end(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "11", "1");
    struct raft_entries got;
    assert_int_equal(raft_log_entries(&f.log, 4, FLOE_NO_LIMIT, &got), FLOE_OK);
    assert_int_equal(got.count, 0);
    assert_int_equal(raft_log_entries(&f.log, 2, FLOE_NO_LIMIT, &got), FLOE_OK);
    assert_int_equal(got.count, 2);
    raft_entries_deinit(&got);
    fixture_deinit(&f);
}

static void test_log_after_compaction_keeps_what_is_left(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "1234", "56");
    raft_log_commit_to(&f.log, 6);
    raft_log_applied_to(&f.log, 6, 0);
    assert_int_equal(floe_memstore_compact(f.store, 3), FLOE_OK);
    assert_int_equal(raft_log_first_index(&f.log), 4);
    assert_int_equal(raft_log_last_index(&f.log), 6);
    for (floe_index i = 3; i <= 6; i++)
        assert_true(raft_log_matches(&f.log, (struct raft_entry_id){i, i}));
    assert_false(raft_log_matches(&f.log, (struct raft_entry_id){2, 2}));
    check_slice(&f.log, 4, 7, FLOE_NO_LIMIT, 3);
    append_to_log(&f.log, 7, "7");
    assert_int_equal(raft_log_last_index(&f.log), 7);
    fixture_deinit(&f);
}

/* ---- work for storage and state machine -------------------------------------------------------------------- */

static void check_next_unstable(const struct raft_log *log, floe_index first, size_t count)
{
    struct raft_entries got = raft_log_next_unstable(log);
    assert_int_equal(raft_log_has_next_unstable(log), count > 0);
    assert_int_equal(got.count, count);
    if (count > 0)
        assert_int_equal(got.list[0].index, first);
    raft_entries_deinit(&got);
}

static void test_log_next_unstable_is_not_handed_out_twice(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "12", "33");
    check_next_unstable(&f.log, 3, 2);
    raft_unstable_accept_in_progress(&f.log.unstable);
    check_next_unstable(&f.log, 0, 0);
    assert_true(raft_log_has_unstable(&f.log)); /* but is still unstable */
    append_to_log(&f.log, 5, "3");
    check_next_unstable(&f.log, 5, 1);
    append_to_log(&f.log, 4, "4"); /* overwritten while in progress */
    check_next_unstable(&f.log, 4, 1);
    raft_unstable_stable_to(&f.log.unstable, (struct raft_entry_id){3, 3});
    assert_int_equal(f.log.unstable.offset, 4);
    fixture_deinit(&f);
}

static void check_next_committed(const struct raft_log *log, bool allow_unstable,
                                 floe_index first, size_t count)
{
    assert_int_equal(raft_log_has_next_committed(log, allow_unstable), count > 0);
    struct raft_entries got = raft_log_next_committed(log, allow_unstable);
    assert_int_equal(got.count, count);
    if (count > 0)
        assert_int_equal(got.list[0].index, first);
    raft_entries_deinit(&got);
}

static void test_log_next_committed_unstable_ones_only_if_allowed(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "11", "11");
    check_next_committed(&f.log, true, 0, 0);
    raft_log_commit_to(&f.log, 4);
    check_next_committed(&f.log, true, 1, 4);
    check_next_committed(&f.log, false, 1, 2);
    raft_unstable_accept_in_progress(&f.log.unstable);
    check_next_committed(&f.log, false, 1, 2); /* written is not yet acknowledged */
    append_to_store(f.store, 3, "1");
    raft_unstable_stable_to(&f.log.unstable, (struct raft_entry_id){1, 3});
    check_next_committed(&f.log, false, 1, 3);
    raft_log_accept_applying(&f.log, 3, 10, false);
    check_next_committed(&f.log, false, 0, 0);
    check_next_committed(&f.log, true, 4, 1);
    fixture_deinit(&f);
}

static void test_log_next_committed_waits_for_a_snapshot(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "11", "11");
    struct floe_snapshot snapshot = {.index = 10, .term = 1};
    raft_log_restore(&f.log, &snapshot);
    append_to_log(&f.log, 11, "1");
    raft_log_commit_to(&f.log, 11);
    assert_int_equal(raft_log_next_snapshot(&f.log)->index, 10);
    check_next_committed(&f.log, true, 0, 0);
    raft_unstable_accept_in_progress(&f.log.unstable);
    assert_null(raft_log_next_snapshot(&f.log));
    assert_true(raft_log_has_snapshot(&f.log));
    check_next_committed(&f.log, true, 0, 0);
    assert_int_equal(floe_memstore_apply_snapshot(f.store, &snapshot), FLOE_OK);
    raft_unstable_stable_snapshot_to(&f.log.unstable, 10);
    raft_log_applied_to(&f.log, 10, 0);
    check_next_committed(&f.log, true, 11, 1);
    fixture_deinit(&f);
}

static void test_log_accept_applying_pauses_at_quota_or_when_cut_short(void **state)
{
    (void)state;
    static const struct {
        floe_index index; /* of 3 appliable when unstable ones are not allowed, 5 else */
        uint64_t size;
        bool allow_unstable;
        bool paused;
    } cases[] = {
        {3, 99, false, false}, {3, 100, false, true}, {3, 101, false, true},
        {2, 10, false, true}, /* it did not reach the end of what could be applied */
        {5, 99, true, false},  {5, 100, true, true},  {4, 99, true, true},
        {3, 99, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f = fixture_of(0, "111", "11");
        f.log.max_applying_size = 100;
        raft_log_commit_to(&f.log, 5);
        raft_log_accept_applying(&f.log, cases[i].index, cases[i].size, cases[i].allow_unstable);
        assert_int_equal(f.log.applying, cases[i].index);
        assert_int_equal(f.log.applying_size, cases[i].size);
        assert_int_equal(f.log.applying_paused, cases[i].paused);
        fixture_deinit(&f);
    }
}

static void test_log_applied_to_releases_quota(void **state)
{
    (void)state;
    static const struct {
        floe_index index;
        uint64_t size;
        uint64_t want_size;
        bool paused;
        floe_index want_applying;
    } cases[] = {
        {4, 4, 101, true, 5},   {4, 5, 100, true, 5}, {4, 6, 99, false, 5},
        {4, 200, 0, false, 5}, /* saturates */
        {5, 105, 0, false, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f = fixture_of(0, "111", "11");
        f.log.max_applying_size = 100;
        raft_log_commit_to(&f.log, 5);
        raft_log_applied_to(&f.log, 3, 0);
        raft_log_accept_applying(&f.log, 5, 105, true);
        raft_log_applied_to(&f.log, cases[i].index, cases[i].size);
        assert_int_equal(f.log.applied, cases[i].index);
        assert_int_equal(f.log.applying, cases[i].want_applying);
        assert_int_equal(f.log.applying_size, cases[i].want_size);
        assert_int_equal(f.log.applying_paused, cases[i].paused);
        fixture_deinit(&f);
    }
}

static void test_log_next_committed_pages_by_quota_without_holes(void **state)
{
    (void)state;
    struct fixture f = fixture_of(0, "111", "11");
    uint64_t one = floe_entry_size(floe_memstore_entry(f.store, 1));
    f.log.max_applying_size = 2 * one;
    raft_log_commit_to(&f.log, 5);
    for (floe_index next = 1; next <= 5;) {
        struct raft_entries got = raft_log_next_committed(&f.log, true);
        assert_int_equal(got.count, next == 5 ? 1 : 2);
        assert_int_equal(got.list[0].index, next);
        next += got.count;
        raft_log_accept_applying(&f.log, next - 1, got.count * one, true);
        assert_false(next <= 5 && raft_log_has_next_committed(&f.log, true));
        raft_log_applied_to(&f.log, next - 1, got.count * one);
        raft_entries_deinit(&got);
    }
    assert_false(raft_log_has_next_committed(&f.log, true));
    fixture_deinit(&f);
}

static void test_log_payload_size_of_empty_entries_is_zero(void **state)
{
    (void)state;
    struct floe_entry entries[2] = {{.term = 1, .index = 1, .type_set = true},
                                    {.term = 1, .index = 2}};
    assert_int_equal(raft_payloads_size(entries, 2), 0);
    assert_int_equal(raft_entries_size(entries, 2), 10);
    assert_int_equal(raft_entries_size(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_term_from_dummy_to_last),
        cmocka_unit_test(test_log_term_with_unstable_snapshot_hides_storage),
        cmocka_unit_test(test_log_starts_on_a_stored_snapshot),
        cmocka_unit_test(test_log_is_up_to_date_term_first_then_index),
        cmocka_unit_test(test_log_find_conflict_by_term_table),
        cmocka_unit_test(test_log_find_conflict_by_term_stops_where_it_is_compacted),
        cmocka_unit_test(test_log_append_replaces_what_conflicts),
        cmocka_unit_test(test_log_maybe_append_table),
        cmocka_unit_test(test_log_commit_to_never_goes_back),
        cmocka_unit_test(test_log_slice_spans_storage_and_unstable),
        cmocka_unit_test(test_log_slice_cut_short_by_storage_leaves_no_hole),
        cmocka_unit_test(test_log_entries_from_index_to_end),
        cmocka_unit_test(test_log_after_compaction_keeps_what_is_left),
        cmocka_unit_test(test_log_next_unstable_is_not_handed_out_twice),
        cmocka_unit_test(test_log_next_committed_unstable_ones_only_if_allowed),
        cmocka_unit_test(test_log_next_committed_waits_for_a_snapshot),
        cmocka_unit_test(test_log_accept_applying_pauses_at_quota_or_when_cut_short),
        cmocka_unit_test(test_log_applied_to_releases_quota),
        cmocka_unit_test(test_log_next_committed_pages_by_quota_without_holes),
        cmocka_unit_test(test_log_payload_size_of_empty_entries_is_zero),
    };
    return cmocka_run_group_tests_name("raft log", tests, NULL, NULL);
}
