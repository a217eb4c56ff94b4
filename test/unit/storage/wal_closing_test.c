/* Each segment but the last ends with the record that names the next one: what it guards, and that
 * it is never there before what it names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/wal_internal.h"
#include "wal_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *path_of(uint64_t number)
{
    static char path[WAL_PATH_MAX];
    wal_segment_path(path, number, false);
    return path;
}

static void remove_segment(struct fixture *f, uint64_t number)
{
    struct fs fs = mem_fs_table(f->disk);
    assert_int_equal(fs.ops->remove(fs.ctx, path_of(number)), ERR_OK);
}

/* The last valid record of a segment and its offset. */
static struct wal_view last_record(struct fixture *f, uint64_t number, size_t *offset)
{
    size_t size;
    const uint8_t *data = mem_fs_content(f->disk, path_of(number), &size);
    assert_non_null(data);
    struct wal_view last = {0};
    struct wal_view view;
    size_t at = 0;
    while (at < size && wal_record_get(data + at, size - at, 4096, &view) == ERR_OK) {
        last = view;
        *offset = at;
        at += view.used;
    }
    return last;
}

static bool is_closed(struct fixture *f, uint64_t number)
{
    size_t offset = 0;
    struct wal_view view = last_record(f, number, &offset);
    assert_true(view.type != WAL_RECORD_NEXT || view.index == number + 1);
    return view.type == WAL_RECORD_NEXT;
}

/* Entries, each durable before the next, until the log has that many segments; the last index. */
static floe_index fill_segments(struct fixture *f, uint64_t count)
{
    floe_index last = 0;
    while (wal_segment_count(f->wal) < count) {
        fixture_append(f, ++last, 1);
        fixture_sync(f);
    }
    return last;
}

/* Over a rotation that no sync covered; the last index. */
static floe_index fill_unsynced(struct fixture *f)
{
    floe_index last = fill_segments(f, 2);
    while (wal_segment_count(f->wal) < 3)
        fixture_append(f, ++last, 1);
    return last;
}

static void assert_refused(struct fixture *f, const char *part)
{
    fixture_close(f);
    assert_int_equal(fixture_try_open(f), ERR_CORRUPT);
    f->wal = NULL;
    f->found = (struct wal_recovered){0};
    if (strstr(buf_str(&f->why), part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", buf_str(&f->why), part);
    assert_non_null(strstr(buf_str(&f->why), "; the log is good up to index "));
    assert_int_equal(mem_fs_open_files(f->disk), 0);
}

/* ---- where it stands ------------------------------------------------------------------------- */

static void test_wal_closing_record_ends_every_segment_but_the_last(void **state)
{
    struct fixture *f = *state;
    (void)fill_segments(f, 5);
    for (uint64_t n = 1; n <= 5; n++)
        assert_int_equal(is_closed(f, n), n < 5);
    fixture_reopen(f);
    assert_int_equal(f->found.torn_bytes, 0);
    for (uint64_t n = 1; n <= 5; n++)
        assert_int_equal(is_closed(f, n), n < 5);
}

/* The directory's sync and the next segment's come first, whatever waits for them. */
static void test_wal_closing_record_is_written_when_the_next_segment_is_durable(void **state)
{
    struct fixture *f = *state;
    (void)fill_unsynced(f);
    assert_false(is_closed(f, 2));
    mem_fs_hold_syncs(f->disk, true);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    assert_int_equal(fixture_poll(f), ERR_OK);
    assert_false(is_closed(f, 2));
    mem_fs_hold_syncs(f->disk, false);
    uint64_t before = wal_durable(f->wal);
    uint64_t token;
    enum err outcome;
    struct fs fs = mem_fs_table(f->disk);
    assert_true(fs.ops->sync_poll(fs.ctx, &token, &outcome));
    assert_int_equal(token, WAL_TOKEN_BASE + 3);
    assert_int_equal(wal_sync_finished(f->wal, token, outcome), ERR_OK);
    assert_true(is_closed(f, 2));
    assert_int_equal(wal_durable(f->wal), before); /* not durable yet: nothing is acknowledged */
    assert_int_equal(fixture_poll(f), ERR_OK);
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
}

/* The end of the process leaves its place empty: nothing is lost, and opening writes it. */
static void test_wal_closing_record_that_was_not_written_is_written_by_opening(void **state)
{
    struct fixture *f = *state;
    floe_index last = fill_unsynced(f);
    assert_false(is_closed(f, 2));
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, last);
    assert_int_equal(f->found.torn_bytes, 0);
    assert_true(is_closed(f, 2));
    fixture_close(f);
    struct prng prng = {.state = 1};
    mem_fs_crash(f->disk, MEM_FS_LOSE_ALL, &prng);
    assert_true(is_closed(f, 2));
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, last);
}

/* ---- what it guards -------------------------------------------------------------------------- */

/* The youngest ones deleted by hand, one, two or three of them, at any fill of the last. */
static void test_wal_missing_newest_segment_is_refused(void **state)
{
    struct fixture *f = *state;
    for (unsigned more = 0; more < 3; more++) {
        floe_index last = fill_segments(f, 4);
        for (unsigned i = 0; i < more; i++) {
            fixture_append(f, ++last, 1);
            fixture_sync(f);
        }
        uint64_t newest = wal_segment_count(f->wal);
        for (uint64_t gone = newest; gone > newest - 3; gone--) {
            remove_segment(f, gone);
            char text[120];
            (void)snprintf(text, sizeof text, "wal/%016" PRIx64 ".wal: missing: wal/%016" PRIx64
                           ".wal says at offset ", gone, gone - 1);
            assert_refused(f, text);
        }
        (void)fixture_teardown(state);
        (void)fixture_setup_small(state);
    }
}

static void test_wal_segment_that_was_closed_for_needs_its_first_record(void **state)
{
    struct fixture *f = *state;
    (void)fill_segments(f, 3);
    size_t size;
    memset(mem_fs_content(f->disk, path_of(3), &size), 0, 600);
    assert_refused(f, "wal/0000000000000003.wal: damaged at offset 0: its first record");
}

/* Even where nothing but its first record was written: it was synced with its length. */
static void test_wal_segment_that_was_closed_for_needs_its_length(void **state)
{
    struct fixture *f = *state;
    (void)fill_segments(f, 3);
    size_t size;
    const uint8_t *data = mem_fs_content(f->disk, path_of(3), &size);
    uint8_t copy[600];
    memcpy(copy, data, sizeof copy);
    mem_fs_put(f->disk, path_of(3), copy, 590);
    assert_refused(f, "wal/0000000000000003.wal: damaged at offset 590: the file ends there");
}

static void test_wal_every_byte_of_a_closing_record_is_guarded(void **state)
{
    struct fixture *f = *state;
    (void)fill_segments(f, 3);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
    fixture_close(f);
    size_t offset = 0;
    (void)last_record(f, 2, &offset);
    for (size_t i = 0; i < WAL_NEXT_BYTES; i++) {
        size_t size;
        mem_fs_content(f->disk, path_of(2), &size)[offset + i] ^= 0x08;
        assert_refused(f, "wal/0000000000000002.wal: damaged at offset ");
        mem_fs_content(f->disk, path_of(2), &size)[offset + i] ^= 0x08;
    }
    size_t size;
    memset(mem_fs_content(f->disk, path_of(2), &size) + offset, 0, WAL_NEXT_BYTES);
    assert_refused(f, "no valid closing record");
}

static void test_wal_bytes_behind_a_closing_record_are_damage(void **state)
{
    struct fixture *f = *state;
    (void)fill_segments(f, 3);
    size_t offset = 0;
    (void)last_record(f, 2, &offset);
    size_t size;
    mem_fs_content(f->disk, path_of(2), &size)[offset + WAL_NEXT_BYTES + 5] = 1;
    assert_refused(f, "it goes on behind its last record");
}

static void test_wal_closing_record_of_another_segment_is_refused(void **state)
{
    struct fixture *f = *state;
    (void)fill_segments(f, 3);
    size_t offset = 0;
    struct wal_view view = last_record(f, 2, &offset);
    struct buf wrong = {0};
    wal_record_put_next(&wrong, view.position, view.durable, 4);
    size_t size;
    memcpy(mem_fs_content(f->disk, path_of(2), &size) + offset, wrong.data, wrong.len);
    buf_deinit(&wrong);
    assert_refused(f, "a closing record that cannot be");
}

/* Records that go missing between a closing record and what it leads to: there is no such place. */
static void test_wal_segment_of_another_place_behind_a_closing_record_is_refused(void **state)
{
    struct fixture *f = *state;
    for (int way = -1; way <= 1; way++) {
        (void)fill_segments(f, 3);
        assert_int_equal(wal_sync_now(f->wal), ERR_OK);
        size_t size;
        uint8_t *data = mem_fs_content(f->disk, path_of(3), &size);
        struct wal_view view;
        struct wal_head head;
        assert_int_equal(wal_record_get(data, size, 4096, &view), ERR_OK);
        assert_int_equal(wal_record_get_head(&view, &head), ERR_OK);
        struct buf moved = {0};
        wal_record_put_head(&moved, view.position + (uint64_t)(way * 50), view.durable - 50,
                            &head);
        memset(data + moved.len, 0, size - moved.len);
        memcpy(data, moved.data, moved.len);
        buf_deinit(&moved);
        if (way == 0)
            fixture_reopen(f);
        else
            assert_refused(f, "0003.wal: damaged at offset 0: it does not continue the segment");
        (void)fixture_teardown(state);
        (void)fixture_setup_small(state);
    }
}

/* ---- logs without it ------------------------------------------------------------------------- */

/* Two segments as they were before there was a closing record; the first one is full. */
static void put_old_log(struct fixture *f)
{
    struct wal_head head = {.number = 1,
                            .meta = {.id = 3, .cluster = "blue"},
                            .reserved = 600};
    struct buf file = {0};
    wal_record_put_head(&file, 0, 0, &head);
    struct floe_entry entry = {.index = 1, .term = 1};
    struct buf plain = {0};
    wal_record_put_entry(&plain, file.len, file.len, &entry);
    entry.data = floe_blob_alloc(600 - file.len - plain.len - 2); /* and its length */
    memset(floe_blob_bytes(entry.data), 'x', floe_blob_size(entry.data));
    buf_deinit(&plain);
    wal_record_put_entry(&file, file.len, file.len, &entry);
    floe_entry_deinit(&entry);
    assert_in_range(file.len, 590, 600);
    head.number = 2;
    head.last_index = 1;
    struct buf second = {0};
    wal_record_put_head(&second, file.len, file.len, &head);
    memset(buf_reserve(&file, 600), 0, 600);
    memset(buf_reserve(&second, 600), 0, 600);
    mem_fs_put(f->disk, FIRST, file.data, 600);
    mem_fs_put(f->disk, SECOND, second.data, 600);
    buf_deinit(&file);
    buf_deinit(&second);
}

static void test_wal_log_without_closing_records_is_read(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    put_old_log(f);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 1);
    assert_int_equal(wal_segment_count(f->wal), 2);
    assert_false(is_closed(f, 1)); /* it is left as it is: what it does not say is not known */
    fixture_close(f);
    remove_segment(f, 2);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 1);
}

/* A full disk does not end a process for want of 48 bytes: the next segment was made before. */
static void test_wal_full_segment_of_an_earlier_version_goes_without(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    put_old_log(f);
    remove_segment(f, 2);
    fixture_reopen(f);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ".spare"), 1);
    mem_fs_set_capacity(f->disk, mem_fs_used(f->disk));
    fixture_append(f, 2, 1);
    fixture_sync(f);
    assert_int_equal(wal_segment_count(f->wal), 2);
    assert_false(is_closed(f, 1));
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 2);
    assert_int_equal(f->found.torn_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL(test_wal_closing_record_ends_every_segment_but_the_last),
        SMALL(test_wal_closing_record_is_written_when_the_next_segment_is_durable),
        SMALL(test_wal_closing_record_that_was_not_written_is_written_by_opening),
        SMALL(test_wal_missing_newest_segment_is_refused),
        SMALL(test_wal_segment_that_was_closed_for_needs_its_first_record),
        SMALL(test_wal_segment_that_was_closed_for_needs_its_length),
        SMALL(test_wal_every_byte_of_a_closing_record_is_guarded),
        SMALL(test_wal_bytes_behind_a_closing_record_are_damage),
        SMALL(test_wal_closing_record_of_another_segment_is_refused),
        SMALL(test_wal_segment_of_another_place_behind_a_closing_record_is_refused),
        SMALL(test_wal_log_without_closing_records_is_read),
        SMALL(test_wal_full_segment_of_an_earlier_version_goes_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
