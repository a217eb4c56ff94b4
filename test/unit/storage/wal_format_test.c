/* The bytes of the log and the remnants of a crash, one by one, as the head of wal.h tells them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/wal_internal.h"
#include "wal_fixture.h"

#include <stdio.h>
#include <string.h>

static void segment_name(char *out, unsigned number)
{
    (void)snprintf(out, 40, "wal/%016x.wal", number);
}

/* ---- files and records ----------------------------------------------------------------------- */

/* 4 MiB, then 16 MiB each, zeros behind the records; their names count up. */
static void test_wal_format_segments_are_reserved_and_numbered(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    mem_fs_free(f->disk);
    f->disk = mem_fs_new();
    f->segment_bytes = 0; /* defaults */
    assert_int_equal(fixture_try_open(f), ERR_OK);
    assert_int_equal(wal_create(f->wal, &(struct wal_meta){.id = 3, .cluster = "blue"}), ERR_OK);
    for (floe_index i = 1; i <= 22; i++)
        assert_int_equal(fixture_append_sized(f, i, 1, 1000000), ERR_OK);
    fixture_sync(f);
    assert_int_equal(wal_segment_count(f->wal), 3);
    for (unsigned n = 1; n <= 3; n++) {
        char path[40];
        segment_name(path, n);
        size_t size;
        const uint8_t *data = mem_fs_content(f->disk, path, &size);
        assert_non_null(data);
        assert_int_equal(size, (n == 1 ? 4u : 16u) << 20);
        for (size_t i = f->wal->segments[n - 1].end; i < size; i++)
            if (data[i] != 0)
                fail_msg("%s has no zero at %zu", path, i);
    }
}

/* Each record says where it stands over all segments and what was durable then; each segment begins
 * with a head that repeats the state. */
static void test_wal_format_records_tell_place_and_durable_position(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 12);
    assert_int_equal(wal_mark_snapshot(f->wal, 6, 1, true), ERR_OK);
    fixture_sync(f);
    for (floe_index i = 13; i <= 16; i++)
        fixture_append(f, i, 2);
    fixture_sync(f);
    uint64_t position = 0;
    uint64_t durable = 0;
    assert_true(wal_segment_count(f->wal) > 3);
    for (unsigned n = 1; n <= wal_segment_count(f->wal); n++) {
        char path[40];
        segment_name(path, n);
        size_t size;
        const uint8_t *data = mem_fs_content(f->disk, path, &size);
        struct wal_view view;
        size_t at = 0;
        while (wal_record_get(data + at, size - at, 4096, &view) == ERR_OK) {
            assert_int_equal(view.position, position);
            assert_true(view.durable >= durable && view.durable <= position);
            assert_int_equal(view.type == WAL_RECORD_HEAD, at == 0);
            struct wal_head head;
            if (at == 0) {
                assert_int_equal(wal_record_get_head(&view, &head), ERR_OK);
                assert_int_equal(head.number, n);
                assert_int_equal(head.meta.id, 3);
                assert_int_equal(head.reserved, 600);
            }
            durable = view.durable;
            position += view.used;
            at += view.used;
        }
        assert_int_equal(at, f->wal->segments[n - 1].end);
    }
    struct wal_view last;
    char path[40];
    segment_name(path, (unsigned)wal_segment_count(f->wal));
    size_t size;
    const uint8_t *data = mem_fs_content(f->disk, path, &size);
    struct wal_head head;
    assert_int_equal(wal_record_get(data, size, 4096, &last), ERR_OK);
    assert_int_equal(wal_record_get_head(&last, &head), ERR_OK);
    assert_int_equal(head.mark_index, 6);
    assert_true(head.last_index >= 13 && head.hard_state.commit > 10);
    assert_true(durable > 0);
}

static void test_wal_format_zeros_are_the_normal_end(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 3);
    fixture_reopen(f);
    assert_int_equal(f->found.torn_bytes, 0);
}

static void test_wal_format_file_that_is_not_ours_is_left_alone(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 3);
    mem_fs_put(f->disk, "wal/notes.txt", "x", 1);
    mem_fs_put(f->disk, "wal/00000000000000zz.wal", "x", 1);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 3);
    assert_int_equal(mem_fs_count(f->disk, "notes.txt"), 1);
    assert_int_equal(mem_fs_count(f->disk, "zz.wal"), 1);
}

/* ---- remnants -------------------------------------------------------------------------------- */

static void test_wal_remnant_empty_folder_or_none_is_a_log_that_never_was(void **state)
{
    struct fixture *f = *state;
    for (int folder = 0; folder < 2; folder++) {
        fixture_close(f);
        mem_fs_free(f->disk);
        f->disk = mem_fs_new();
        struct fs fs = mem_fs_table(f->disk);
        if (folder != 0)
            assert_int_equal(fs.ops->make_dir(fs.ctx, "wal"), ERR_OK);
        assert_int_equal(fixture_try_open(f), ERR_OK);
        assert_true(f->found.fresh);
        assert_int_equal(wal_segment_count(f->wal), 0);
    }
}

/* What was written and read back by the next process is durable, come what may. */
static void test_wal_remnant_that_was_only_in_memory_is_synced_when_it_is_read(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 2);
    for (floe_index i = 3; i <= 9; i++) /* over several segments */
        fixture_append(f, i, 1);
    struct prng prng = {.state = 1};
    fixture_close(f);
    mem_fs_crash(f->disk, MEM_FS_KEEP_ALL, &prng);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 9);
    fixture_close(f);
    mem_fs_crash(f->disk, MEM_FS_LOSE_ALL, &prng);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 9);
}

/* Entries over a rotation that no sync covered. */
static void append_unsynced(struct fixture *f)
{
    fixture_fill(f, 1);
    for (floe_index i = 2; wal_segment_count(f->wal) == 1; i++)
        fixture_append(f, i, 1);
    fixture_close(f);
}

static void test_wal_remnant_new_segment_without_the_old_ones_end_is_a_torn_tail(void **state)
{
    struct fixture *f = *state;
    append_unsynced(f);
    size_t size;
    uint8_t *data = mem_fs_content(f->disk, FIRST, &size);
    size_t end = size;
    while (data[end - 1] == 0)
        end--;
    memset(data + end - 90, 0, 90);
    fixture_reopen(f);
    assert_true(f->found.entry_count >= 1 && f->found.torn_bytes > 0);
    assert_int_equal(wal_segment_count(f->wal), 1);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 1);
}

static void test_wal_remnant_segment_of_any_length_before_its_sync_is_a_torn_tail(void **state)
{
    struct fixture *f = *state;
    for (size_t len = 0; len < 600; len += 13) {
        append_unsynced(f);
        size_t size;
        const uint8_t *data = mem_fs_content(f->disk, SECOND, &size);
        struct buf copy = {0};
        buf_add(&copy, data, len);
        mem_fs_put(f->disk, SECOND, copy.data, copy.len);
        buf_deinit(&copy);
        fixture_reopen(f);
        assert_true(f->found.entry_count >= 1);
        fixture_append(f, f->found.entry_count + 1, 1);
        (void)fixture_teardown(state);
        (void)fixture_setup_small(state);
    }
}

/* The oldest ones are gone, as removal leaves it at any moment: no gap, nothing of what counts. */
static void test_wal_remnant_old_segments_partly_removed(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 20);
    assert_int_equal(wal_mark_snapshot(f->wal, 14, 1, true), ERR_OK);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
    struct fs fs = mem_fs_table(f->disk);
    floe_index before = 0;
    for (unsigned n = 1; n <= 5; n++) {
        fixture_reopen(f);
        assert_int_equal(f->found.snapshot_index, 14);
        assert_int_equal(f->found.entry_count, 6);
        assert_int_equal(f->found.entries[0].index, 15);
        /* and the older ones as far back as the files go */
        assert_int_equal(f->found.older_count, 14 - f->found.first_index);
        assert_true(n == 1 ? f->found.first_index == 0 : f->found.first_index > before);
        for (size_t i = 0; i < f->found.older_count; i++)
            assert_int_equal(f->found.older[i].index, f->found.first_index + 1 + i);
        before = f->found.first_index;
        fixture_close(f);
        char path[40];
        segment_name(path, n);
        assert_int_equal(fs.ops->remove(fs.ctx, path), ERR_OK);
    }
}

/* Whether it lies beyond the end of the log or inside. */
static void test_wal_installed_snapshot_leaves_nothing_older(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 6);
    for (floe_index at = 4; at <= 9; at += 5) {
        assert_int_equal(wal_mark_snapshot(f->wal, at, 2, false), ERR_OK);
        fixture_append(f, at + 1, 2);
        fixture_reopen(f);
        assert_int_equal(f->found.snapshot_index, at);
        assert_int_equal(f->found.first_index, at);
        assert_int_equal(f->found.older_count, 0);
        assert_int_equal(f->found.entry_count, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LARGE(test_wal_format_segments_are_reserved_and_numbered),
        SMALL(test_wal_format_records_tell_place_and_durable_position),
        LARGE(test_wal_format_zeros_are_the_normal_end),
        LARGE(test_wal_format_file_that_is_not_ours_is_left_alone),
        LARGE(test_wal_remnant_empty_folder_or_none_is_a_log_that_never_was),
        SMALL(test_wal_remnant_that_was_only_in_memory_is_synced_when_it_is_read),
        SMALL(test_wal_remnant_new_segment_without_the_old_ones_end_is_a_torn_tail),
        SMALL(test_wal_remnant_segment_of_any_length_before_its_sync_is_a_torn_tail),
        SMALL(test_wal_remnant_old_segments_partly_removed),
        LARGE(test_wal_installed_snapshot_leaves_nothing_older),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
