/* The log call by call: what comes back, segments, group commit, failures of the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wal_fixture.h"

#include <string.h>

/* ---- what comes back ------------------------------------------------------------------------- */

static void test_wal_reopen_gives_everything_back(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 5);
    fixture_reopen(f);
    assert_false(f->found.fresh);
    assert_int_equal(f->found.meta.id, 3);
    assert_string_equal(f->found.meta.cluster, "blue");
    assert_int_equal(f->found.hard_state.term, 1);
    assert_int_equal(f->found.hard_state.vote, 3);
    assert_int_equal(f->found.hard_state.commit, 4);
    assert_int_equal(f->found.entry_count, 5);
    assert_int_equal(f->found.torn_bytes, 0);
    for (floe_index i = 1; i <= 5; i++) {
        const struct floe_entry *entry = &f->found.entries[i - 1];
        assert_int_equal(entry->index, i);
        assert_int_equal(floe_blob_size(entry->data), 20);
        assert_int_equal(floe_blob_data(entry->data)[19], 'A' + i);
    }
}

static void test_wal_entry_without_data_stays_without(void **state)
{
    struct fixture *f = *state;
    struct floe_entry entry = {.index = 1, .term = 1, .type = FLOE_ENTRY_CONF_CHANGE_V2};
    assert_int_equal(wal_append(f->wal, NULL, &entry, 1), ERR_OK);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 1);
    assert_null(f->found.entries[0].data);
    assert_int_equal(f->found.entries[0].type, FLOE_ENTRY_CONF_CHANGE_V2);
}

static void test_wal_newer_record_replaces_the_suffix(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 6);
    fixture_append(f, 3, 2);
    fixture_append(f, 4, 2);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 4);
    assert_int_equal(f->found.entries[1].term, 1);
    assert_int_equal(f->found.entries[2].term, 2);
    assert_int_equal(f->found.entries[3].term, 2);
}

static void test_wal_own_snapshot_keeps_the_suffix(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 6);
    assert_int_equal(wal_mark_snapshot(f->wal, 4, 1, true), ERR_OK);
    fixture_append(f, 7, 1);
    fixture_reopen(f);
    assert_int_equal(f->found.snapshot_index, 4);
    assert_int_equal(f->found.snapshot_term, 1);
    assert_int_equal(f->found.entry_count, 3);
    assert_int_equal(f->found.entries[0].index, 5);
}

static void test_wal_installed_snapshot_drops_the_suffix(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 6);
    assert_int_equal(wal_mark_snapshot(f->wal, 4, 2, false), ERR_OK);
    fixture_reopen(f);
    assert_int_equal(f->found.snapshot_index, 4);
    assert_int_equal(f->found.entry_count, 0);
    fixture_append(f, 5, 2);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 1);
    assert_int_equal(f->found.entries[0].term, 2);
}

static void test_wal_append_before_create_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    mem_fs_free(f->disk);
    f->disk = mem_fs_new();
    assert_int_equal(fixture_try_open(f), ERR_OK);
    assert_int_equal(fixture_append_sized(f, 1, 1, 1), ERR_INVALID);
    assert_non_null(strstr(wal_last_error(f->wal), "not created"));
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
}

/* ---- segments -------------------------------------------------------------------------------- */

static void test_wal_full_segment_moves_on_and_reads_back(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 20);
    assert_true(wal_segment_count(f->wal) > 3);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), wal_segment_count(f->wal));
    assert_int_equal(mem_fs_open_files(f->disk), 1); /* those before are durable and closed */
    uint64_t count = wal_segment_count(f->wal);
    fixture_reopen(f);
    assert_int_equal(wal_segment_count(f->wal), count);
    assert_int_equal(f->found.entry_count, 20);
}

static void test_wal_large_record_has_a_segment_of_its_own(void **state)
{
    struct fixture *f = *state;
    fixture_append(f, 1, 1);
    assert_int_equal(fixture_append_sized(f, 2, 1, 5000), ERR_OK);
    fixture_append(f, 3, 1);
    fixture_sync(f);
    assert_int_equal(wal_segment_count(f->wal), 3);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 3);
    assert_int_equal(floe_blob_size(f->found.entries[1].data), 5000);
}

static void test_wal_record_over_the_limit_is_not_written(void **state)
{
    struct fixture *f = *state;
    f->max_record_bytes = 1000;
    fixture_reopen(f);
    uint64_t before = wal_appended(f->wal);
    assert_int_equal(fixture_append_sized(f, 1, 1, 1001), ERR_TOO_LARGE);
    assert_int_equal(wal_appended(f->wal), before);
    assert_int_equal(fixture_append_sized(f, 1, 1, 800), ERR_OK);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 1);
}

static void test_wal_spare_is_prepared_and_used(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 1); /* nothing written: too early */
    assert_int_equal(mem_fs_count(f->disk, ""), 1);
    fixture_append(f, 1, 1);
    fixture_append(f, 2, 1);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ""), 2);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 1);
    fixture_append(f, 3, 1);
    fixture_append(f, 4, 1);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 2);
    assert_int_equal(mem_fs_count(f->disk, ""), 2);
    fixture_append(f, 5, 1);
    fixture_append(f, 6, 1);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ""), mem_fs_count(f->disk, ".wal") + 1);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 6);
}

/* It may hold anything. On a full disk its room may be all that there is. */
static void test_wal_spare_of_an_earlier_process_is_removed_or_kept_for_its_room(void **state)
{
    struct fixture *f = *state;
    assert_true(wal_reserve(f->wal, 700, 0));
    assert_int_equal(mem_fs_count(f->disk, ".spare"), 1);
    fixture_reopen(f);
    assert_int_equal(mem_fs_count(f->disk, ".spare"), 0); /* there is room in the segment */
    for (floe_index i = 1; i < 4; i++)
        fixture_append(f, i, 1);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    size_t size;
    memset(mem_fs_content(f->disk, "wal/0000000000000002.spare", &size), 7, 600);
    mem_fs_set_capacity(f->disk, mem_fs_used(f->disk));
    fixture_reopen(f);
    const uint8_t *spare = mem_fs_content(f->disk, "wal/0000000000000002.spare", &size);
    assert_int_equal(size, 600);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(spare[i], 0);
    assert_true(wal_room(f->wal) > 280);
    for (floe_index i = 4; i < 6; i++)
        fixture_append(f, i, 1);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 5);
    assert_int_equal(mem_fs_used(f->disk), 1200);
}

static void test_wal_spare_that_cannot_be_made_leaves_the_log_usable(void **state)
{
    struct fixture *f = *state;
    fixture_append(f, 1, 1);
    fixture_append(f, 2, 1);
    mem_fs_fail_at(f->disk, 2); /* its allocation */
    assert_int_equal(wal_prepare(f->wal), ERR_IO);
    assert_int_equal(mem_fs_count(f->disk, ""), 1);
    assert_int_equal(wal_prepare(f->wal), ERR_OK); /* not tried again on every call */
    for (floe_index i = 3; i < 8; i++)
        fixture_append(f, i, 1);
    assert_true(wal_segment_count(f->wal) > 1);
}

static void test_wal_release_removes_whole_old_segments_only(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 20);
    uint64_t before = wal_segment_count(f->wal);
    assert_int_equal(wal_release(f->wal, 12), ERR_OK);
    assert_int_equal(wal_segment_count(f->wal), before); /* no mark: nothing goes */
    assert_int_equal(wal_mark_snapshot(f->wal, 12, 1, true), ERR_OK);
    assert_int_equal(wal_release(f->wal, 12), ERR_OK);
    assert_int_equal(wal_segment_count(f->wal), before); /* the mark is not durable yet */
    fixture_sync(f);
    assert_int_equal(wal_release(f->wal, 12), ERR_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_true(wal_segment_count(f->wal) < before);
    assert_true(wal_segment_count(f->wal) > 1);
    size_t size;
    assert_null(mem_fs_content(f->disk, FIRST, &size));
    fixture_reopen(f);
    assert_int_equal(f->found.meta.id, 3);
    assert_int_equal(f->found.hard_state.term, 1);
    assert_int_equal(f->found.snapshot_index, 12);
    assert_int_equal(f->found.entry_count, 8);
    assert_int_equal(f->found.entries[0].index, 13);
}

/* ---- group commit ---------------------------------------------------------------------------- */

static void test_wal_sync_covers_what_was_there_when_it_started(void **state)
{
    struct fixture *f = *state;
    mem_fs_hold_syncs(f->disk, true);
    fixture_append(f, 1, 1);
    uint64_t first = wal_appended(f->wal);
    uint64_t before = wal_durable(f->wal);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    assert_true(wal_sync_in_flight(f->wal));
    fixture_append(f, 2, 1);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK); /* does nothing: one is in flight */
    assert_int_equal(wal_durable(f->wal), before);
    mem_fs_hold_syncs(f->disk, false);
    assert_int_equal(fixture_poll(f), ERR_OK);
    assert_false(wal_sync_in_flight(f->wal));
    assert_int_equal(wal_durable(f->wal), first);
    fixture_sync(f);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK); /* nothing to do */
    assert_false(wal_sync_in_flight(f->wal));
}

static void test_wal_sync_over_a_rotation_is_durable_only_as_a_whole(void **state)
{
    struct fixture *f = *state;
    for (floe_index i = 1; i <= 12; i++)
        fixture_append(f, i, 1);
    assert_true(wal_segment_count(f->wal) >= 3);
    uint64_t before = wal_durable(f->wal);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    struct fs fs = mem_fs_table(f->disk);
    uint64_t token;
    enum err outcome;
    unsigned polls = 0;
    while (fs.ops->sync_poll(fs.ctx, &token, &outcome)) {
        assert_int_equal(wal_durable(f->wal), before);
        assert_int_equal(wal_sync_finished(f->wal, token, outcome), ERR_OK);
        polls++;
    }
    assert_int_equal(polls, wal_segment_count(f->wal));
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
}

static void test_wal_sync_now_while_one_is_in_flight_works(void **state)
{
    struct fixture *f = *state;
    mem_fs_hold_syncs(f->disk, true);
    fixture_append(f, 1, 1);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    fixture_append(f, 2, 1);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
    mem_fs_hold_syncs(f->disk, false);
    assert_int_equal(fixture_poll(f), ERR_OK);
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
}

static void test_wal_failed_write_is_reported_and_final(void **state)
{
    struct fixture *f = *state;
    mem_fs_fail_at(f->disk, 1);
    assert_int_equal(fixture_append_sized(f, 1, 1, 10), ERR_IO);
    assert_string_equal(wal_last_error(f->wal), "write " FIRST ": the disk is gone");
    assert_int_equal(fixture_append_sized(f, 1, 1, 10), ERR_IO);
    assert_int_equal(wal_sync_start(f->wal), ERR_IO);
    assert_int_equal(wal_sync_now(f->wal), ERR_IO);
}

static void test_wal_failed_sync_is_reported_and_final(void **state)
{
    struct fixture *f = *state;
    fixture_append(f, 1, 1);
    uint64_t before = wal_durable(f->wal);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    mem_fs_fail_at(f->disk, 1);
    assert_int_equal(fixture_poll(f), ERR_IO);
    assert_non_null(strstr(wal_last_error(f->wal), "sync " FIRST));
    assert_int_equal(wal_durable(f->wal), before);
    assert_int_equal(fixture_append_sized(f, 2, 1, 10), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LARGE(test_wal_reopen_gives_everything_back),
        LARGE(test_wal_entry_without_data_stays_without),
        LARGE(test_wal_newer_record_replaces_the_suffix),
        SMALL(test_wal_newer_record_replaces_the_suffix),
        LARGE(test_wal_own_snapshot_keeps_the_suffix),
        LARGE(test_wal_installed_snapshot_drops_the_suffix),
        SMALL(test_wal_installed_snapshot_drops_the_suffix),
        LARGE(test_wal_append_before_create_is_refused),
        SMALL(test_wal_full_segment_moves_on_and_reads_back),
        SMALL(test_wal_large_record_has_a_segment_of_its_own),
        LARGE(test_wal_record_over_the_limit_is_not_written),
        SMALL(test_wal_spare_is_prepared_and_used),
        SMALL(test_wal_spare_of_an_earlier_process_is_removed_or_kept_for_its_room),
        SMALL(test_wal_spare_that_cannot_be_made_leaves_the_log_usable),
        SMALL(test_wal_release_removes_whole_old_segments_only),
        LARGE(test_wal_sync_covers_what_was_there_when_it_started),
        SMALL(test_wal_sync_over_a_rotation_is_durable_only_as_a_whole),
        LARGE(test_wal_sync_now_while_one_is_in_flight_works),
        LARGE(test_wal_failed_write_is_reported_and_final),
        LARGE(test_wal_failed_sync_is_reported_and_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
