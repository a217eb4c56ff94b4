/* Segments that are used again: what is left in them is neither records, nor a torn tail, nor
 * damage; and what is one of those in such a segment is seen all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/pack.h"
#include "codec/record.h"
#include "wal_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILLED 24u

static unsigned spares(struct fixture *f)
{
    return mem_fs_count(f->disk, ".spare");
}

static const char *path_of(uint64_t number)
{
    static char path[40];
    (void)snprintf(path, sizeof path, "wal/%016" PRIx64 ".wal", number);
    return path;
}

/* The number of the segment that is written, and its file. */
static uint64_t newest(struct fixture *f, uint8_t **data, size_t *size)
{
    uint64_t number = 200;
    while (number > 0 && (*data = mem_fs_content(f->disk, path_of(number), size)) == NULL)
        number--;
    assert_true(number > 0);
    return number;
}

/* Behind the last record of this segment. */
static size_t end_of(const uint8_t *data, uint64_t base)
{
    size_t at = 0;
    struct record record;
    size_t used;
    while (record_get(data + at, 600 - at, 600, &record, &used) == ERR_OK &&
           base + at == get_u64(record.payload))
        at += used;
    return at;
}

static uint64_t base_of(const uint8_t *data)
{
    return get_u64(data + RECORD_HEADER_BYTES);
}

static void append_synced(struct fixture *f, floe_index index)
{
    fixture_append(f, index, 1);
    fixture_sync(f);
}

/* A log of several segments whose old ones wait to be used again; the next entry begins one. */
static floe_index fill_and_release(struct fixture *f)
{
    fixture_fill(f, FILLED);
    assert_int_equal(wal_mark_snapshot(f->wal, FILLED - 1, 1, true), ERR_OK);
    fixture_sync(f);
    for (int i = 0; i < 20; i++)
        assert_int_equal(wal_release(f->wal, FILLED - 1), ERR_OK);
    assert_true(wal_segment_count(f->wal) <= 2);
    assert_true(spares(f) >= 2);
    unsigned before = spares(f);
    floe_index last = FILLED;
    while (spares(f) == before)
        append_synced(f, ++last);
    assert_int_equal(spares(f), before - 1);
    return last;
}

static void assert_entries(struct fixture *f, floe_index last)
{
    assert_int_equal(f->found.entry_count, last - (FILLED - 1));
    for (size_t i = 0; i < f->found.entry_count; i++)
        assert_int_equal(f->found.entries[i].index, FILLED + i);
}

/* ---- what is left ---------------------------------------------------------------------------- */

/* All records have the same size here, so what is left begins just where the new ones end. */
static void test_wal_recycled_segment_ends_where_its_own_records_end(void **state)
{
    struct fixture *f = *state;
    unsigned left = 0;
    for (unsigned more = 0; more < 8; more++) {
        floe_index last = fill_and_release(f);
        for (unsigned i = 0; i < more; i++)
            append_synced(f, ++last);
        uint8_t *data;
        size_t size;
        (void)newest(f, &data, &size);
        size_t end = end_of(data, base_of(data));
        for (size_t at = end; at < size; at++)
            left += data[at] != 0;
        fixture_reopen(f);
        assert_entries(f, last);
        assert_int_equal(f->found.torn_bytes, 0);
        (void)newest(f, &data, &size);
        for (size_t at = end; at < size; at++)
            assert_int_equal(data[at], 0); /* nothing of it can show up again */
        append_synced(f, ++last);
        fixture_reopen(f);
        assert_entries(f, last);
        (void)fixture_teardown(state);
        (void)fixture_setup_small(state);
    }
    assert_true(left > 500);
}

/* What looks old inside the log and what looks old at its end: only the place tells. */
static void test_wal_record_of_a_former_life_is_not_taken(void **state)
{
    struct fixture *f = *state;
    floe_index last = fill_and_release(f);
    uint8_t *data;
    size_t size;
    uint64_t number = newest(f, &data, &size);
    size_t end = end_of(data, base_of(data));
    const uint8_t *older = mem_fs_content(f->disk, path_of(number - 1), &size);
    size_t head = RECORD_HEADER_BYTES + record_peek_payload_len(older);
    size_t len = RECORD_HEADER_BYTES + record_peek_payload_len(older + head);
    memcpy(data + end, older + head, len); /* valid, and of another place */
    fixture_reopen(f);
    assert_entries(f, last);
    assert_int_equal(f->found.torn_bytes, 0);
}

/* ---- what is seen all the same --------------------------------------------------------------- */

static void test_wal_torn_tail_of_a_recycled_segment_is_cut(void **state)
{
    struct fixture *f = *state;
    floe_index last = fill_and_release(f);
    uint8_t *data;
    size_t size;
    (void)newest(f, &data, &size);
    size_t end = end_of(data, base_of(data));
    fixture_append(f, last + 1, 1);
    (void)newest(f, &data, &size);
    data[end + RECORD_HEADER_BYTES + 40] ^= 1;
    fixture_reopen(f);
    assert_entries(f, last);
    assert_true(f->found.torn_bytes > 0);
    append_synced(f, ++last);
    fixture_reopen(f);
    assert_entries(f, last);
    assert_int_equal(f->found.torn_bytes, 0);
}

/* After an orderly stop every byte of the records is guarded, and none of what is left. */
static void test_wal_every_byte_of_a_recycled_segment_is_guarded(void **state)
{
    struct fixture *f = *state;
    floe_index last = fill_and_release(f);
    append_synced(f, ++last);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
    fixture_close(f);
    uint8_t *data;
    size_t size;
    uint64_t number = newest(f, &data, &size);
    size_t end = end_of(data, base_of(data));
    size_t seal = RECORD_HEADER_BYTES + 16 + 8; /* the proof itself: less than that behind it */
    uint8_t whole[600];
    memcpy(whole, data, sizeof whole);
    for (size_t at = 0; at + seal < end; at++) {
        data = mem_fs_content(f->disk, path_of(number), &size);
        data[at] ^= 0x10;
        enum err err = fixture_try_open(f);
        if (err == ERR_OK)
            fail_msg("byte %zu of %zu", at, end);
        f->wal = NULL;
        data[at] ^= 0x10;
        assert_memory_equal(data, whole, sizeof whole);
    }
    data[end + 1] ^= 0x10;
    assert_int_equal(fixture_try_open(f), ERR_OK);
    assert_entries(f, last);
}

/* In front of a later segment, too, where reading goes on behind what is left. */
static void test_wal_damage_in_a_recycled_segment_before_the_last_is_refused(void **state)
{
    struct fixture *f = *state;
    floe_index last = fill_and_release(f);
    uint8_t *data;
    size_t size;
    uint64_t number = newest(f, &data, &size);
    while (mem_fs_content(f->disk, path_of(number + 1), &size) == NULL)
        append_synced(f, ++last);
    append_synced(f, ++last);
    fixture_reopen(f);
    assert_entries(f, last);
    fixture_close(f);
    data = mem_fs_content(f->disk, path_of(number), &size);
    size_t end = end_of(data, base_of(data));
    data[end - 3] ^= 1; /* its last record */
    assert_int_equal(fixture_try_open(f), ERR_CORRUPT);
    f->wal = NULL;
    assert_non_null(strstr(buf_str(&f->why), path_of(number)));
}

/* ---- which and how many ---------------------------------------------------------------------- */

static void test_wal_keeps_few_segments_for_use_and_gives_them_up(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 60);
    assert_int_equal(wal_mark_snapshot(f->wal, 59, 1, true), ERR_OK);
    fixture_sync(f);
    for (int i = 0; i < 30; i++)
        assert_int_equal(wal_release(f->wal, 59), ERR_OK);
    assert_int_equal(spares(f), 4);
    wal_give_up_spares(f->wal);
    assert_int_equal(spares(f), 1);
    for (floe_index i = 61; i < 70; i++)
        append_synced(f, i);
    fixture_reopen(f);
    assert_int_equal(spares(f), 0); /* what a former process kept may hold what it did not finish */
    assert_int_equal(f->found.entry_count, 10);
}

static void test_wal_short_of_room_keeps_no_old_segments(void **state)
{
    struct fixture *f = *state;
    mem_fs_set_capacity(f->disk, 600 * 4);
    for (floe_index i = 1; i < 12; i++)
        append_synced(f, i);
    assert_false(wal_reserve(f->wal, 2000, 0));
    assert_true(wal_is_short(f->wal));
    assert_int_equal(wal_mark_snapshot(f->wal, 10, 1, true), ERR_OK);
    fixture_sync(f);
    unsigned before = spares(f);
    assert_int_equal(wal_release(f->wal, 10), ERR_OK);
    assert_int_equal(spares(f), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL(test_wal_recycled_segment_ends_where_its_own_records_end),
        SMALL(test_wal_record_of_a_former_life_is_not_taken),
        SMALL(test_wal_torn_tail_of_a_recycled_segment_is_cut),
        SMALL(test_wal_every_byte_of_a_recycled_segment_is_guarded),
        SMALL(test_wal_damage_in_a_recycled_segment_before_the_last_is_refused),
        SMALL(test_wal_keeps_few_segments_for_use_and_gives_them_up),
        SMALL(test_wal_short_of_room_keeps_no_old_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
