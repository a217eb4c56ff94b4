/* The log on a disk that is nearly or entirely full: shorter segments, segments that grow by
 * writing, the hint that a snapshot would make room, and the end that loses nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/record.h"
#include "mem_fs.h"
#include "storage/wal_internal.h"

#include <string.h>

#define FIRST "wal/0000000000000001.wal"
#define SECOND "wal/0000000000000002.wal"
#define THIRD "wal/0000000000000003.wal"
#define SPARE "wal/0000000000000003.spare"
#define WHOLE 4096u
#define SHORT 1024u
#define ENTRY 100u /* bytes of data */

static const struct wal_meta meta = {.id = 3, .cluster = "blue"};

struct fixture {
    struct mem_fs *disk;
    struct wal *wal;
    struct wal_recovered found;
    struct buf why;
    floe_index last; /* appended so far */
};

static enum err try_open(struct fixture *f)
{
    struct wal_options options = {.fs = mem_fs_table(f->disk),
                                  .first_segment_bytes = WHOLE,
                                  .segment_bytes = WHOLE,
                                  .short_segment_bytes = SHORT};
    buf_clear(&f->why);
    enum err err = wal_open(&options, &f->wal, &f->found, &f->why);
    if (err != ERR_OK)
        f->wal = NULL;
    return err;
}

static void close_log(struct fixture *f)
{
    if (f->wal != NULL)
        wal_close(f->wal);
    f->wal = NULL;
    wal_recovered_deinit(&f->found);
}

static void reopen(struct fixture *f)
{
    close_log(f);
    if (try_open(f) != ERR_OK)
        fail_msg("%s", buf_str(&f->why));
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.disk = mem_fs_new()};
    assert_int_equal(try_open(&fixture), ERR_OK);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_log(f);
    buf_deinit(&f->why);
    mem_fs_free(f->disk);
    return 0;
}

static enum err append_sized(struct fixture *f, size_t bytes)
{
    struct floe_entry entry = {
        .index = f->last + 1, .term = 1, .data = floe_blob_alloc(bytes)};
    memset(floe_blob_bytes(entry.data), (int)('A' + entry.index % 26), bytes);
    enum err err = wal_append(f->wal, NULL, &entry, 1);
    floe_entry_deinit(&entry);
    f->last += err == ERR_OK ? 1 : 0;
    return err;
}

static void sync_log(struct fixture *f)
{
    struct fs fs = mem_fs_table(f->disk);
    uint64_t token;
    enum err outcome;
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    while (fs.ops->sync_poll(fs.ctx, &token, &outcome))
        assert_int_equal(wal_sync_finished(f->wal, token, outcome), ERR_OK);
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
}

static void append(struct fixture *f)
{
    assert_int_equal(append_sized(f, ENTRY), ERR_OK);
    sync_log(f);
}

static size_t size_of(struct fixture *f, const char *path)
{
    size_t size;
    return mem_fs_content(f->disk, path, &size) != NULL ? size : 0;
}

/* A log whose first segment is whole, on a disk with so much left behind it. */
static void create_with_room(struct fixture *f, uint64_t room)
{
    assert_int_equal(wal_create(f->wal, &meta), ERR_OK);
    assert_int_equal(size_of(f, FIRST), WHOLE);
    mem_fs_set_capacity(f->disk, WHOLE + room);
}

static void append_until_segment(struct fixture *f, const char *path)
{
    for (int i = 0; i < 100 && size_of(f, path) == 0; i++)
        append(f);
    assert_true(size_of(f, path) > 0);
}

/* Appends until the disk is full; the last append was not taken. */
static void append_until_full(struct fixture *f)
{
    for (int i = 0; i < 1000; i++) {
        if (append_sized(f, ENTRY) != ERR_OK)
            return;
        sync_log(f);
    }
    fail_msg("the disk does not get full");
}

/* All of 1 to last is there (more is allowed: what the last write got through), and goes on. */
static void assert_there_and_goes_on(struct fixture *f)
{
    assert_true(f->found.entry_count >= f->last && f->found.entry_count <= f->last + 1);
    for (size_t i = 0; i < f->found.entry_count; i++) {
        const struct floe_entry *entry = &f->found.entries[i];
        assert_int_equal(entry->index, i + 1);
        assert_int_equal(floe_blob_data(entry->data)[0], 'A' + entry->index % 26);
    }
    f->last = f->found.entry_count;
    append(f);
    reopen(f);
    assert_int_equal(f->found.entry_count, f->last);
}

/* ---- less room ------------------------------------------------------------------------------- */

static void test_wal_full_prepares_a_short_segment(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, 3000);
    while (size_of(f, "wal/0000000000000002.spare") == 0) {
        append(f);
        assert_int_equal(wal_prepare(f->wal), ERR_OK);
        assert_true(f->last < 50);
    }
    assert_int_equal(size_of(f, "wal/0000000000000002.spare"), SHORT);
    append_until_segment(f, SECOND);
    assert_int_equal(size_of(f, SECOND), SHORT);
    append_until_segment(f, THIRD); /* it ends where it is short, and the next is short, too */
    assert_int_equal(size_of(f, SECOND), SHORT);
    assert_int_equal(size_of(f, THIRD), SHORT);
    reopen(f);
    assert_int_equal(f->found.torn_bytes, 0);
    assert_there_and_goes_on(f);
}

static void test_wal_full_rotation_makes_a_short_segment(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, 1500);
    append_until_segment(f, SECOND);
    assert_int_equal(size_of(f, SECOND), SHORT);
    mem_fs_set_capacity(f->disk, 0);
    append_until_segment(f, THIRD);
    assert_int_equal(size_of(f, THIRD), WHOLE); /* there is room again */
}

static void test_wal_full_segment_grows_by_writing_at_last(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, SHORT - 1);
    append_until_segment(f, SECOND);
    assert_true(size_of(f, SECOND) < SHORT / 2); /* its head and one entry */
    append(f);
    reopen(f);
    assert_int_equal(f->found.torn_bytes, 0);
    assert_there_and_goes_on(f);
}

static void test_wal_full_large_record_needs_no_reservation(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, 3000);
    append_until_segment(f, SECOND);
    assert_int_equal(size_of(f, SECOND), SHORT);
    assert_int_equal(append_sized(f, SHORT + 300), ERR_OK); /* in a segment of its own */
    sync_log(f);
    assert_true(size_of(f, THIRD) > SHORT && size_of(f, THIRD) < SHORT + 600);
    append_until_full(f);
    mem_fs_set_capacity(f->disk, 0);
    reopen(f);
    assert_there_and_goes_on(f);
}

/* A prepared short one is too small for the record that needs it. */
static void test_wal_full_short_spare_takes_a_larger_record(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, 2000);
    while (size_of(f, "wal/0000000000000002.spare") == 0) {
        append(f);
        assert_int_equal(wal_prepare(f->wal), ERR_OK);
    }
    while (size_of(f, FIRST) == WHOLE && f->last < 24)
        append(f);
    assert_int_equal(append_sized(f, 1400), ERR_OK);
    sync_log(f);
    assert_true(size_of(f, SECOND) > 1400 && size_of(f, SECOND) <= 2000);
    reopen(f);
    assert_there_and_goes_on(f);
}

/* ---- no room --------------------------------------------------------------------------------- */

static void test_wal_full_disk_is_final_says_what_to_do_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    for (int kind = 0; kind < MEM_FS_CRASH_COUNT; kind++) {
        struct prng prng = {.state = (uint64_t)kind + 1};
        create_with_room(f, 1700);
        append_until_full(f);
        assert_non_null(strstr(wal_last_error(f->wal), "write " THIRD ": the disk is full"));
        assert_non_null(strstr(wal_last_error(f->wal), "make room"));
        assert_int_equal(append_sized(f, 1), ERR_IO); /* never tried again */
        assert_int_equal(wal_sync_start(f->wal), ERR_IO);
        close_log(f);
        mem_fs_crash(f->disk, (enum mem_fs_crash)kind, &prng);
        reopen(f); /* also while it is still full */
        assert_true(f->found.entry_count >= f->last);
        mem_fs_set_capacity(f->disk, 0);
        reopen(f);
        assert_there_and_goes_on(f);
        (void)teardown(state);
        (void)setup(state);
    }
}

static void test_wal_full_disk_cannot_begin_a_log(void **state)
{
    struct fixture *f = *state;
    mem_fs_set_capacity(f->disk, 20);
    assert_int_equal(wal_create(f->wal, &meta), ERR_IO);
    assert_non_null(strstr(wal_last_error(f->wal), ".spare: the disk is full; make room"));
    close_log(f);
    mem_fs_set_capacity(f->disk, 700); /* enough for a head, at least */
    assert_int_equal(try_open(f), ERR_OK);
    assert_true(f->found.fresh);
    assert_int_equal(wal_create(f->wal, &meta), ERR_OK);
    append(f);
    reopen(f);
    assert_there_and_goes_on(f);
}

/* What is reserved already can be used after a restart on a full disk. */
static void test_wal_full_disk_at_start_leaves_the_reserved_room(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, SHORT);
    append_until_segment(f, SECOND);
    reopen(f);
    assert_int_equal(size_of(f, SECOND), SHORT);
    append(f);
    append(f);
    assert_int_equal(size_of(f, SECOND), SHORT);
    assert_int_equal(wal_segment_count(f->wal), 2);
    mem_fs_set_capacity(f->disk, WHOLE + SHORT + 600);
    append_until_segment(f, THIRD); /* the second one ends where it is short */
    assert_int_equal(size_of(f, SECOND), SHORT);
    append_until_full(f);
    mem_fs_set_capacity(f->disk, 0);
    reopen(f);
    assert_there_and_goes_on(f);
}

/* ---- torn or damaged ------------------------------------------------------------------------- */

/* A log that ends in a segment which grows by writing: four entries in it. */
static void grow(struct fixture *f)
{
    create_with_room(f, SHORT - 1);
    append_until_segment(f, SECOND);
    for (int i = 0; i < 3; i++)
        append(f);
    assert_true(size_of(f, SECOND) < SHORT);
}

static void cut_last(struct fixture *f, size_t bytes)
{
    size_t size;
    uint8_t *data = mem_fs_content(f->disk, SECOND, &size);
    struct buf copy = {0};
    buf_add(&copy, data, size - bytes);
    mem_fs_put(f->disk, SECOND, copy.data, copy.len);
    buf_deinit(&copy);
}

static void test_wal_full_growing_segment_cut_short_is_a_torn_tail(void **state)
{
    struct fixture *f = *state;
    for (size_t bytes = 1; bytes < 60; bytes++) {
        grow(f);
        close_log(f);
        cut_last(f, bytes);
        assert_int_equal(try_open(f), ERR_OK);
        assert_int_equal(f->found.entry_count, f->last - 1);
        f->last--;
        assert_there_and_goes_on(f);
        (void)teardown(state);
        (void)setup(state);
    }
}

static void test_wal_full_growing_segment_damaged_inside_is_refused(void **state)
{
    struct fixture *f = *state;
    grow(f);
    close_log(f);
    size_t size;
    uint8_t *data = mem_fs_content(f->disk, SECOND, &size);
    size_t at = RECORD_HEADER_BYTES + record_peek_payload_len(data); /* its first entry */
    data[at + RECORD_HEADER_BYTES + 30] ^= 1;
    assert_int_equal(try_open(f), ERR_CORRUPT);
    assert_non_null(strstr(buf_str(&f->why), SECOND ": damaged at offset"));
}

static void test_wal_full_growing_segment_cut_before_the_next_one_is_refused(void **state)
{
    struct fixture *f = *state;
    grow(f);
    mem_fs_set_capacity(f->disk, 0);
    append_until_segment(f, THIRD);
    close_log(f);
    cut_last(f, WAL_NEXT_BYTES + 10); /* its closing record, and of the last entry */
    assert_int_equal(try_open(f), ERR_CORRUPT);
    assert_non_null(strstr(buf_str(&f->why), SECOND ": damaged at offset"));
}

/* ---- the hint -------------------------------------------------------------------------------- */

static void test_wal_full_hint_comes_once_when_a_snapshot_would_make_room(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, 2 * SHORT);
    append_until_segment(f, SECOND);
    assert_true(wal_take_space_hint(f->wal));
    assert_false(wal_take_space_hint(f->wal));
    floe_index covered = f->last;
    assert_int_equal(wal_mark_snapshot(f->wal, covered, 1, true), ERR_OK);
    sync_log(f);
    assert_int_equal(wal_release(f->wal, covered), ERR_OK);
    assert_int_equal(size_of(f, FIRST), 0);
    append_until_segment(f, THIRD);
    assert_int_equal(size_of(f, THIRD), WHOLE);
    assert_false(wal_take_space_hint(f->wal)); /* nothing is short any more */
}

static void test_wal_full_hint_waits_until_there_is_something_to_release(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, 2 * SHORT);
    while (size_of(f, "wal/0000000000000002.spare") == 0) {
        append(f);
        assert_int_equal(wal_prepare(f->wal), ERR_OK);
    }
    assert_false(wal_take_space_hint(f->wal)); /* the only segment stays whatever happens */
    append_until_segment(f, SECOND);
    assert_true(wal_take_space_hint(f->wal));
}

static void test_wal_full_hint_is_not_given_with_room(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, 20 * WHOLE);
    append_until_segment(f, THIRD);
    assert_false(wal_take_space_hint(f->wal));
}

/* A refused spare is tried again once a segment went. */
static void test_wal_full_release_lets_the_spare_be_tried_again(void **state)
{
    struct fixture *f = *state;
    create_with_room(f, SHORT + 100);
    append_until_segment(f, SECOND);
    while (wal_prepare(f->wal) == ERR_OK) /* no room for another short one */
        append(f);
    floe_index covered = f->last;
    assert_int_equal(wal_mark_snapshot(f->wal, covered, 1, true), ERR_OK);
    sync_log(f);
    assert_int_equal(wal_release(f->wal, covered), ERR_OK);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(size_of(f, SPARE), WHOLE);
}

/* ---- room that is asked for ------------------------------------------------------------------ */

#define RECORD_OF(bytes) ((uint64_t)(bytes) + WAL_ROOM_PER_ENTRY)

/* Whatever the room and the sizes of the records: what fits by word is written without an error. */
static void test_wal_full_room_that_was_promised_is_there(void **state)
{
    struct fixture *f = *state;
    for (uint64_t room = 0; room < 5000; room += 97) {
        struct prng prng = {.state = room + 1};
        create_with_room(f, room);
        unsigned taken = 0;
        for (unsigned failures = 0; failures < 5;) {
            size_t bytes = (size_t)(prng_next(&prng) % 700);
            if (!wal_reserve(f->wal, RECORD_OF(bytes), RECORD_OF(bytes))) {
                failures++;
                continue;
            }
            assert_int_equal(append_sized(f, bytes), ERR_OK);
            sync_log(f);
            taken++;
        }
        assert_true(taken >= WHOLE / RECORD_OF(700));
        assert_true(mem_fs_used(f->disk) <= WHOLE + room);
        mem_fs_set_capacity(f->disk, 0);
        reopen(f);
        assert_int_equal(f->found.entry_count, f->last);
        (void)teardown(state);
        (void)setup(state);
    }
}

/* A segment that found no room when it was opened, and a spare that did later. */
static void test_wal_full_room_that_was_promised_behind_a_growing_segment_is_there(void **state)
{
    struct fixture *f = *state;
    grow(f);
    mem_fs_set_capacity(f->disk, mem_fs_used(f->disk));
    reopen(f);
    mem_fs_set_capacity(f->disk, 0);
    assert_true(wal_reserve(f->wal, 10 * RECORD_OF(ENTRY), RECORD_OF(ENTRY)));
    mem_fs_set_capacity(f->disk, mem_fs_used(f->disk));
    for (int i = 0; i < 10; i++)
        append(f);
    assert_int_equal(wal_segment_count(f->wal), 3);
    reopen(f);
    assert_int_equal(f->found.entry_count, f->last);
}

static void test_wal_full_room_is_promised_only_where_it_is(void **state)
{
    struct fixture *f = *state;
    assert_false(wal_reserve(f->wal, 1, 1)); /* there is no log yet */
    create_with_room(f, SHORT - 1);
    uint64_t room = wal_room(f->wal);
    assert_true(room > WHOLE - 400 && room < WHOLE);
    assert_true(wal_has_room(f->wal, room, 100));
    assert_false(wal_has_room(f->wal, room + 1, 100));
    assert_false(wal_reserve(f->wal, room + 1, 100));
    assert_int_equal(wal_room(f->wal), room);
    mem_fs_set_capacity(f->disk, 0);
    assert_true(wal_reserve(f->wal, room + 1, 100));
    uint64_t more = wal_room(f->wal);
    assert_true(more >= room + WHOLE - 400);
    assert_false(wal_has_room(f->wal, more, 100)); /* the end of the first one may be lost */
    mem_fs_set_capacity(f->disk, mem_fs_used(f->disk) + 100);
    assert_false(wal_reserve(f->wal, more + 5000, 100)); /* the spare does not get so long */
    assert_int_equal(wal_room(f->wal), more);
    mem_fs_set_capacity(f->disk, 0);
    assert_true(wal_reserve(f->wal, more + 5000, 100));
    reopen(f);
    assert_true(wal_room(f->wal) >= room); /* of a file that was there */
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_wal_full_prepares_a_short_segment),
        TEST(test_wal_full_rotation_makes_a_short_segment),
        TEST(test_wal_full_segment_grows_by_writing_at_last),
        TEST(test_wal_full_large_record_needs_no_reservation),
        TEST(test_wal_full_short_spare_takes_a_larger_record),
        TEST(test_wal_full_disk_is_final_says_what_to_do_and_loses_nothing),
        TEST(test_wal_full_disk_cannot_begin_a_log),
        TEST(test_wal_full_disk_at_start_leaves_the_reserved_room),
        TEST(test_wal_full_growing_segment_cut_short_is_a_torn_tail),
        TEST(test_wal_full_growing_segment_damaged_inside_is_refused),
        TEST(test_wal_full_growing_segment_cut_before_the_next_one_is_refused),
        TEST(test_wal_full_hint_comes_once_when_a_snapshot_would_make_room),
        TEST(test_wal_full_hint_waits_until_there_is_something_to_release),
        TEST(test_wal_full_hint_is_not_given_with_room),
        TEST(test_wal_full_release_lets_the_spare_be_tried_again),
        TEST(test_wal_full_room_that_was_promised_is_there),
        TEST(test_wal_full_room_that_was_promised_behind_a_growing_segment_is_there),
        TEST(test_wal_full_room_is_promised_only_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
