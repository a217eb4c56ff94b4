/* Damage of the log: what is cut off as a torn tail, what is refused and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/pack.h"
#include "codec/record.h"
#include "wal_fixture.h"

#include <stdio.h>
#include <string.h>

/* The offset of the n-th valid record from 0 on. */
static size_t record_offset(struct fixture *f, const char *path, unsigned n)
{
    size_t size;
    const uint8_t *data = mem_fs_content(f->disk, path, &size);
    size_t at = 0;
    for (unsigned i = 0; i < n; i++)
        at += RECORD_HEADER_BYTES + record_peek_payload_len(data + at);
    assert_true(at < size);
    return at;
}

static void damage(struct fixture *f, const char *path, size_t offset)
{
    size_t size;
    uint8_t *data = mem_fs_content(f->disk, path, &size);
    assert_non_null(data);
    assert_true(offset < size);
    data[offset] ^= 0x40;
}

static void assert_why(struct fixture *f, const char *part)
{
    if (strstr(buf_str(&f->why), part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", buf_str(&f->why), part);
}

static void assert_refused(struct fixture *f, enum err expected, const char *part)
{
    fixture_close(f);
    assert_int_equal(fixture_try_open(f), expected);
    f->wal = NULL;
    f->found = (struct wal_recovered){0};
    assert_why(f, part);
    assert_int_equal(mem_fs_open_files(f->disk), 0);
}

/* ---- what is cut off and what is refused ----------------------------------------------------- */

static void test_wal_torn_tail_is_cut_and_stays_cut(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 4);
    fixture_append(f, 5, 1);
    size_t torn = record_offset(f, FIRST, 9); /* head, 4 times entry and state, the entry */
    damage(f, FIRST, torn + 40);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 4);
    assert_true(f->found.torn_bytes > 0);
    size_t size;
    const uint8_t *data = mem_fs_content(f->disk, FIRST, &size);
    assert_int_equal(size, 4096);
    for (size_t i = torn; i < size; i++)
        assert_int_equal(data[i], 0);
    fixture_reopen(f);
    assert_int_equal(f->found.torn_bytes, 0);
    assert_int_equal(f->found.entry_count, 4);
}

static void test_wal_damage_in_front_of_later_records_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 4);
    size_t offset = record_offset(f, FIRST, 3);
    damage(f, FIRST, offset + 36);
    char text[64];
    (void)snprintf(text, sizeof text, FIRST ": damaged at offset %zu", offset);
    assert_refused(f, ERR_CORRUPT, text);
    damage(f, FIRST, offset + 36); /* nothing was changed: healed, it opens */
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 4);
}

static void test_wal_every_byte_of_a_synced_log_is_guarded(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 3);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
    size_t seal = record_offset(f, FIRST, 7);
    for (size_t i = 0; i < seal; i++) {
        fixture_close(f);
        damage(f, FIRST, i);
        enum err err = fixture_try_open(f);
        if (err == ERR_OK)
            fail_msg("damage of byte %zu was not seen", i);
        assert_true(err == ERR_CORRUPT || err == ERR_VERSION);
        f->wal = NULL;
        f->found = (struct wal_recovered){0};
        assert_why(f, FIRST);
        damage(f, FIRST, i);
    }
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 3);
}

static void test_wal_zeros_in_front_of_later_records_are_damage(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 4);
    size_t from = record_offset(f, FIRST, 3);
    size_t to = record_offset(f, FIRST, 5);
    size_t size;
    memset(mem_fs_content(f->disk, FIRST, &size) + from, 0, to - from);
    assert_refused(f, ERR_CORRUPT, "damaged at offset");
}

/* Wherever a synced segment is cut off, in its records or in the zeros that were reserved. */
static void test_wal_segment_shorter_than_it_was_made_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 4);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
    size_t size;
    const uint8_t *data = mem_fs_content(f->disk, FIRST, &size);
    assert_int_equal(size, 4096);
    struct buf whole = {0};
    buf_add(&whole, data, size);
    size_t least = record_offset(f, FIRST, 3); /* behind a record that tells of the first sync */
    for (size_t len = least; len < size; len += 7) {
        fixture_close(f);
        mem_fs_put(f->disk, FIRST, whole.data, len);
        char text[100];
        (void)snprintf(text, sizeof text, FIRST ": damaged at offset %zu: the file ends there",
                       len);
        assert_refused(f, ERR_CORRUPT, text);
        assert_why(f, "; the log is good up to index ");
    }
    mem_fs_put(f->disk, FIRST, whole.data, whole.len);
    buf_deinit(&whole);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 4);
}

static void test_wal_refusal_tells_up_to_which_index_the_log_is_good(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 4);
    size_t offset = record_offset(f, FIRST, 5); /* entry 3 */
    damage(f, FIRST, offset + 40);
    assert_refused(f, ERR_CORRUPT, "; the log is good up to index 2");
    damage(f, FIRST, offset + 40);
    damage(f, FIRST, 3);
    assert_refused(f, ERR_CORRUPT, "; nothing of the log can be read");
    damage(f, FIRST, 3);
    fixture_reopen(f);
}

static void test_wal_damage_in_an_older_segment_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 12);
    damage(f, SECOND, record_offset(f, SECOND, 1) + 8);
    assert_refused(f, ERR_CORRUPT, SECOND ": damaged at offset");
}

static void test_wal_missing_segment_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 12);
    struct fs fs = mem_fs_table(f->disk);
    assert_int_equal(fs.ops->remove(fs.ctx, SECOND), ERR_OK);
    assert_refused(f, ERR_CORRUPT, SECOND ": missing: " FIRST " says at offset ");
}

static void test_wal_missing_start_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 12);
    struct fs fs = mem_fs_table(f->disk);
    assert_int_equal(fs.ops->remove(fs.ctx, FIRST), ERR_OK);
    assert_refused(f, ERR_CORRUPT, "a gap");
}

static void test_wal_last_segment_without_a_head_is_removed(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 2);
    static const uint8_t zeros[600];
    mem_fs_put(f->disk, SECOND, zeros, sizeof zeros);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 2);
    assert_int_equal(wal_segment_count(f->wal), 1);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 1);
}

static void test_wal_first_segment_without_a_head_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 2);
    size_t size;
    uint8_t *data = mem_fs_content(f->disk, FIRST, &size);
    memset(data, 0, size);
    assert_refused(f, ERR_CORRUPT, FIRST ": damaged at offset 0");
}

/* A client may store what looks like a record: it does not stand where it says. */
static void test_wal_record_inside_a_torn_value_is_no_proof(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 3);
    uint8_t prefix[16];
    put_u64(prefix, 1000000); /* its position, and that much is durable */
    put_u64(prefix + 8, 1000000);
    struct record fake = {.type = 3, .payload = prefix, .payload_len = sizeof prefix};
    struct buf value = {0};
    record_put(&value, &fake);
    struct floe_entry entry = {
        .index = 4, .term = 1, .data = floe_blob_new(value.data, value.len)};
    size_t len = value.len;
    buf_deinit(&value);
    size_t at = record_offset(f, FIRST, 7);
    assert_int_equal(wal_append(f->wal, NULL, &entry, 1), ERR_OK);
    floe_entry_deinit(&entry);
    damage(f, FIRST, at + 8);
    fixture_reopen(f);
    assert_int_equal(f->found.entry_count, 3);
    assert_true(f->found.torn_bytes > len);
}

static void test_wal_newer_format_is_refused_with_a_text(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    struct buf bytes = {0};
    size_t begin = record_begin(&bytes, 1, 1, 0);
    uint8_t prefix[16] = {0};
    buf_add(&bytes, prefix, sizeof prefix);
    pack_array(&bytes, 1);
    pack_u64(&bytes, WAL_FORMAT_VERSION + 1);
    record_end(&bytes, begin);
    mem_fs_put(f->disk, FIRST, bytes.data, bytes.len);
    buf_deinit(&bytes);
    assert_refused(f, ERR_VERSION, "newer version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LARGE(test_wal_torn_tail_is_cut_and_stays_cut),
        LARGE(test_wal_damage_in_front_of_later_records_is_refused),
        LARGE(test_wal_every_byte_of_a_synced_log_is_guarded),
        LARGE(test_wal_zeros_in_front_of_later_records_are_damage),
        LARGE(test_wal_segment_shorter_than_it_was_made_is_refused),
        LARGE(test_wal_refusal_tells_up_to_which_index_the_log_is_good),
        SMALL(test_wal_damage_in_an_older_segment_is_refused),
        SMALL(test_wal_missing_segment_is_refused),
        SMALL(test_wal_missing_start_is_refused),
        SMALL(test_wal_last_segment_without_a_head_is_removed),
        LARGE(test_wal_first_segment_without_a_head_is_refused),
        LARGE(test_wal_record_inside_a_torn_value_is_no_proof),
        LARGE(test_wal_newer_format_is_refused_with_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
