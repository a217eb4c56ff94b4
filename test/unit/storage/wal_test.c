/* The log call by call: what comes back, what is refused and with which words, what goes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/pack.h"
#include "codec/record.h"
#include "mem_fs.h"
#include "storage/wal.h"

#include <stdio.h>
#include <string.h>

#define FIRST "wal/0000000000000001.wal"
#define SECOND "wal/0000000000000002.wal"

static const struct wal_meta meta = {.id = 3, .cluster = "blue"};

struct fixture {
    struct mem_fs *disk;
    struct wal *wal;
    struct wal_recovered found;
    struct buf why;
    uint64_t segment_bytes;
    uint64_t max_record_bytes;
};

static enum err try_open(struct fixture *f)
{
    struct wal_options options = {.fs = mem_fs_table(f->disk),
                                  .first_segment_bytes = f->segment_bytes,
                                  .segment_bytes = f->segment_bytes,
                                  .max_record_bytes = f->max_record_bytes};
    buf_clear(&f->why);
    return wal_open(&options, &f->wal, &f->found, &f->why);
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
    enum err err = try_open(f);
    if (err != ERR_OK)
        fail_msg("%s: %s", err_str(err), buf_str(&f->why));
}

static int setup_with(void **state, uint64_t segment_bytes)
{
    static struct fixture fixture;
    fixture = (struct fixture){.disk = mem_fs_new(), .segment_bytes = segment_bytes};
    assert_int_equal(try_open(&fixture), ERR_OK);
    assert_true(fixture.found.fresh);
    assert_int_equal(wal_create(fixture.wal, &meta), ERR_OK);
    *state = &fixture;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 4096);
}

static int setup_small(void **state)
{
    return setup_with(state, 600);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_log(f);
    buf_deinit(&f->why);
    mem_fs_free(f->disk);
    return 0;
}

static enum err append_sized(struct fixture *f, floe_index index, floe_term term, size_t size)
{
    struct floe_entry entry = {.index = index, .term = term, .data = floe_blob_alloc(size)};
    if (size > 0)
        memset(floe_blob_bytes(entry.data), (int)('A' + index % 26), size);
    struct floe_hard_state hs = {term, 3, index - 1};
    enum err err = wal_append(f->wal, &hs, &entry, 1);
    floe_entry_deinit(&entry);
    return err;
}

static void append(struct fixture *f, floe_index index, floe_term term)
{
    assert_int_equal(append_sized(f, index, term, 20), ERR_OK);
}

static enum err poll(struct fixture *f)
{
    struct fs fs = mem_fs_table(f->disk);
    uint64_t token;
    enum err outcome;
    enum err err = ERR_OK;
    while (err == ERR_OK && fs.ops->sync_poll(fs.ctx, &token, &outcome))
        err = wal_sync_finished(f->wal, token, outcome);
    return err;
}

static void sync_log(struct fixture *f)
{
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    assert_int_equal(poll(f), ERR_OK);
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
}

/* Entries 1 to count, each durable before the next. */
static void fill(struct fixture *f, floe_index count)
{
    for (floe_index i = 1; i <= count; i++) {
        append(f, i, 1);
        sync_log(f);
    }
}

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
    close_log(f);
    assert_int_equal(try_open(f), expected);
    f->wal = NULL;
    f->found = (struct wal_recovered){0};
    assert_why(f, part);
    assert_int_equal(mem_fs_open_files(f->disk), 0);
}

/* ---- what comes back ------------------------------------------------------------------------- */

static void test_wal_reopen_gives_everything_back(void **state)
{
    struct fixture *f = *state;
    fill(f, 5);
    reopen(f);
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
    reopen(f);
    assert_int_equal(f->found.entry_count, 1);
    assert_null(f->found.entries[0].data);
    assert_int_equal(f->found.entries[0].type, FLOE_ENTRY_CONF_CHANGE_V2);
}

static void test_wal_newer_record_replaces_the_suffix(void **state)
{
    struct fixture *f = *state;
    fill(f, 6);
    append(f, 3, 2);
    append(f, 4, 2);
    reopen(f);
    assert_int_equal(f->found.entry_count, 4);
    assert_int_equal(f->found.entries[1].term, 1);
    assert_int_equal(f->found.entries[2].term, 2);
    assert_int_equal(f->found.entries[3].term, 2);
}

static void test_wal_own_snapshot_keeps_the_suffix(void **state)
{
    struct fixture *f = *state;
    fill(f, 6);
    assert_int_equal(wal_mark_snapshot(f->wal, 4, 1, true), ERR_OK);
    append(f, 7, 1);
    reopen(f);
    assert_int_equal(f->found.snapshot_index, 4);
    assert_int_equal(f->found.snapshot_term, 1);
    assert_int_equal(f->found.entry_count, 3);
    assert_int_equal(f->found.entries[0].index, 5);
}

static void test_wal_installed_snapshot_drops_the_suffix(void **state)
{
    struct fixture *f = *state;
    fill(f, 6);
    assert_int_equal(wal_mark_snapshot(f->wal, 4, 2, false), ERR_OK);
    reopen(f);
    assert_int_equal(f->found.snapshot_index, 4);
    assert_int_equal(f->found.entry_count, 0);
    append(f, 5, 2);
    reopen(f);
    assert_int_equal(f->found.entry_count, 1);
    assert_int_equal(f->found.entries[0].term, 2);
}

static void test_wal_append_before_create_is_refused(void **state)
{
    struct fixture *f = *state;
    close_log(f);
    mem_fs_free(f->disk);
    f->disk = mem_fs_new();
    assert_int_equal(try_open(f), ERR_OK);
    assert_int_equal(append_sized(f, 1, 1, 1), ERR_INVALID);
    assert_non_null(strstr(wal_last_error(f->wal), "not created"));
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
}

/* ---- segments -------------------------------------------------------------------------------- */

static void test_wal_full_segment_moves_on_and_reads_back(void **state)
{
    struct fixture *f = *state;
    fill(f, 20);
    assert_true(wal_segment_count(f->wal) > 3);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), wal_segment_count(f->wal));
    assert_int_equal(mem_fs_open_files(f->disk), 1); /* those before are durable and closed */
    uint64_t count = wal_segment_count(f->wal);
    reopen(f);
    assert_int_equal(wal_segment_count(f->wal), count);
    assert_int_equal(f->found.entry_count, 20);
}

static void test_wal_large_record_has_a_segment_of_its_own(void **state)
{
    struct fixture *f = *state;
    append(f, 1, 1);
    assert_int_equal(append_sized(f, 2, 1, 5000), ERR_OK);
    append(f, 3, 1);
    sync_log(f);
    assert_int_equal(wal_segment_count(f->wal), 3);
    reopen(f);
    assert_int_equal(f->found.entry_count, 3);
    assert_int_equal(floe_blob_size(f->found.entries[1].data), 5000);
}

static void test_wal_record_over_the_limit_is_not_written(void **state)
{
    struct fixture *f = *state;
    f->max_record_bytes = 1000;
    reopen(f);
    uint64_t before = wal_appended(f->wal);
    assert_int_equal(append_sized(f, 1, 1, 1001), ERR_TOO_LARGE);
    assert_int_equal(wal_appended(f->wal), before);
    assert_int_equal(append_sized(f, 1, 1, 800), ERR_OK);
    reopen(f);
    assert_int_equal(f->found.entry_count, 1);
}

static void test_wal_spare_is_prepared_used_and_removed_at_start(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 1); /* nothing written: too early */
    assert_int_equal(mem_fs_count(f->disk, ""), 1);
    append(f, 1, 1);
    append(f, 2, 1);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ""), 2);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 1);
    append(f, 3, 1);
    append(f, 4, 1);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 2);
    assert_int_equal(mem_fs_count(f->disk, ""), 2);
    append(f, 5, 1);
    append(f, 6, 1);
    assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ""), mem_fs_count(f->disk, ".wal") + 1);
    reopen(f);
    assert_int_equal(mem_fs_count(f->disk, ""), mem_fs_count(f->disk, ".wal"));
    assert_int_equal(f->found.entry_count, 6);
}

static void test_wal_spare_that_cannot_be_made_leaves_the_log_usable(void **state)
{
    struct fixture *f = *state;
    append(f, 1, 1);
    append(f, 2, 1);
    mem_fs_fail_at(f->disk, 2); /* its allocation */
    assert_int_equal(wal_prepare(f->wal), ERR_IO);
    assert_int_equal(mem_fs_count(f->disk, ""), 1);
    assert_int_equal(wal_prepare(f->wal), ERR_OK); /* not tried again on every call */
    for (floe_index i = 3; i < 8; i++)
        append(f, i, 1);
    assert_true(wal_segment_count(f->wal) > 1);
}

static void test_wal_release_removes_whole_old_segments_only(void **state)
{
    struct fixture *f = *state;
    fill(f, 20);
    uint64_t before = wal_segment_count(f->wal);
    assert_int_equal(wal_release(f->wal, 12), ERR_OK);
    assert_int_equal(wal_segment_count(f->wal), before); /* no mark: nothing goes */
    assert_int_equal(wal_mark_snapshot(f->wal, 12, 1, true), ERR_OK);
    assert_int_equal(wal_release(f->wal, 12), ERR_OK);
    assert_int_equal(wal_segment_count(f->wal), before); /* the mark is not durable yet */
    sync_log(f);
    assert_int_equal(wal_release(f->wal, 12), ERR_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(wal_prepare(f->wal), ERR_OK);
    assert_true(wal_segment_count(f->wal) < before);
    assert_true(wal_segment_count(f->wal) > 1);
    size_t size;
    assert_null(mem_fs_content(f->disk, FIRST, &size));
    reopen(f);
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
    append(f, 1, 1);
    uint64_t first = wal_appended(f->wal);
    uint64_t before = wal_durable(f->wal);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    assert_true(wal_sync_in_flight(f->wal));
    append(f, 2, 1);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK); /* does nothing: one is in flight */
    assert_int_equal(wal_durable(f->wal), before);
    mem_fs_hold_syncs(f->disk, false);
    assert_int_equal(poll(f), ERR_OK);
    assert_false(wal_sync_in_flight(f->wal));
    assert_int_equal(wal_durable(f->wal), first);
    sync_log(f);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK); /* nothing to do */
    assert_false(wal_sync_in_flight(f->wal));
}

static void test_wal_sync_over_a_rotation_is_durable_only_as_a_whole(void **state)
{
    struct fixture *f = *state;
    for (floe_index i = 1; i <= 12; i++)
        append(f, i, 1);
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
    append(f, 1, 1);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    append(f, 2, 1);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
    mem_fs_hold_syncs(f->disk, false);
    assert_int_equal(poll(f), ERR_OK);
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
}

static void test_wal_failed_write_is_reported_and_final(void **state)
{
    struct fixture *f = *state;
    mem_fs_fail_at(f->disk, 1);
    assert_int_equal(append_sized(f, 1, 1, 10), ERR_IO);
    assert_string_equal(wal_last_error(f->wal), "write " FIRST ": the disk is gone");
    assert_int_equal(append_sized(f, 1, 1, 10), ERR_IO);
    assert_int_equal(wal_sync_start(f->wal), ERR_IO);
    assert_int_equal(wal_sync_now(f->wal), ERR_IO);
}

static void test_wal_failed_sync_is_reported_and_final(void **state)
{
    struct fixture *f = *state;
    append(f, 1, 1);
    uint64_t before = wal_durable(f->wal);
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    mem_fs_fail_at(f->disk, 1);
    assert_int_equal(poll(f), ERR_IO);
    assert_non_null(strstr(wal_last_error(f->wal), "sync " FIRST));
    assert_int_equal(wal_durable(f->wal), before);
    assert_int_equal(append_sized(f, 2, 1, 10), ERR_IO);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void test_wal_torn_tail_is_cut_and_stays_cut(void **state)
{
    struct fixture *f = *state;
    fill(f, 4);
    append(f, 5, 1);
    size_t torn = record_offset(f, FIRST, 9); /* head, 4 times entry and state, the entry */
    damage(f, FIRST, torn + 40);
    reopen(f);
    assert_int_equal(f->found.entry_count, 4);
    assert_true(f->found.torn_bytes > 0);
    size_t size;
    const uint8_t *data = mem_fs_content(f->disk, FIRST, &size);
    assert_int_equal(size, 4096);
    for (size_t i = torn; i < size; i++)
        assert_int_equal(data[i], 0);
    reopen(f);
    assert_int_equal(f->found.torn_bytes, 0);
    assert_int_equal(f->found.entry_count, 4);
}

static void test_wal_damage_in_front_of_later_records_is_refused(void **state)
{
    struct fixture *f = *state;
    fill(f, 4);
    size_t offset = record_offset(f, FIRST, 3);
    damage(f, FIRST, offset + 36);
    char text[64];
    (void)snprintf(text, sizeof text, FIRST ": damaged at offset %zu", offset);
    assert_refused(f, ERR_CORRUPT, text);
    damage(f, FIRST, offset + 36); /* nothing was changed: healed, it opens */
    reopen(f);
    assert_int_equal(f->found.entry_count, 4);
}

static void test_wal_every_byte_of_a_synced_log_is_guarded(void **state)
{
    struct fixture *f = *state;
    fill(f, 3);
    assert_int_equal(wal_sync_now(f->wal), ERR_OK);
    size_t seal = record_offset(f, FIRST, 7);
    for (size_t i = 0; i < seal; i++) {
        close_log(f);
        damage(f, FIRST, i);
        enum err err = try_open(f);
        if (err == ERR_OK)
            fail_msg("damage of byte %zu was not seen", i);
        assert_true(err == ERR_CORRUPT || err == ERR_VERSION);
        f->wal = NULL;
        f->found = (struct wal_recovered){0};
        assert_why(f, FIRST);
        damage(f, FIRST, i);
    }
    reopen(f);
    assert_int_equal(f->found.entry_count, 3);
}

static void test_wal_zeros_in_front_of_later_records_are_damage(void **state)
{
    struct fixture *f = *state;
    fill(f, 4);
    size_t from = record_offset(f, FIRST, 3);
    size_t to = record_offset(f, FIRST, 5);
    size_t size;
    memset(mem_fs_content(f->disk, FIRST, &size) + from, 0, to - from);
    assert_refused(f, ERR_CORRUPT, "damaged at offset");
}

static void test_wal_damage_in_an_older_segment_is_refused(void **state)
{
    struct fixture *f = *state;
    fill(f, 12);
    damage(f, SECOND, record_offset(f, SECOND, 1) + 8);
    assert_refused(f, ERR_CORRUPT, SECOND ": damaged at offset");
}

static void test_wal_missing_segment_is_refused(void **state)
{
    struct fixture *f = *state;
    fill(f, 12);
    struct fs fs = mem_fs_table(f->disk);
    assert_int_equal(fs.ops->remove(fs.ctx, SECOND), ERR_OK);
    assert_refused(f, ERR_CORRUPT, "the segment behind it is missing");
}

static void test_wal_missing_start_is_refused(void **state)
{
    struct fixture *f = *state;
    fill(f, 12);
    struct fs fs = mem_fs_table(f->disk);
    assert_int_equal(fs.ops->remove(fs.ctx, FIRST), ERR_OK);
    assert_refused(f, ERR_CORRUPT, "a gap");
}

static void test_wal_last_segment_without_a_head_is_removed(void **state)
{
    struct fixture *f = *state;
    fill(f, 2);
    static const uint8_t zeros[600];
    mem_fs_put(f->disk, SECOND, zeros, sizeof zeros);
    reopen(f);
    assert_int_equal(f->found.entry_count, 2);
    assert_int_equal(wal_segment_count(f->wal), 1);
    assert_int_equal(mem_fs_count(f->disk, ".wal"), 1);
}

static void test_wal_first_segment_without_a_head_is_refused(void **state)
{
    struct fixture *f = *state;
    fill(f, 2);
    size_t size;
    uint8_t *data = mem_fs_content(f->disk, FIRST, &size);
    memset(data, 0, size);
    assert_refused(f, ERR_CORRUPT, FIRST ": damaged at offset 0");
}

/* A client may store what looks like a record: it does not stand where it says. */
static void test_wal_record_inside_a_torn_value_is_no_proof(void **state)
{
    struct fixture *f = *state;
    fill(f, 3);
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
    reopen(f);
    assert_int_equal(f->found.entry_count, 3);
    assert_true(f->found.torn_bytes > len);
}

static void test_wal_newer_format_is_refused_with_a_text(void **state)
{
    struct fixture *f = *state;
    close_log(f);
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

#define SMALL(test) cmocka_unit_test_setup_teardown(test, setup_small, teardown)
#define LARGE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

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
        SMALL(test_wal_spare_is_prepared_used_and_removed_at_start),
        SMALL(test_wal_spare_that_cannot_be_made_leaves_the_log_usable),
        SMALL(test_wal_release_removes_whole_old_segments_only),
        LARGE(test_wal_sync_covers_what_was_there_when_it_started),
        SMALL(test_wal_sync_over_a_rotation_is_durable_only_as_a_whole),
        LARGE(test_wal_sync_now_while_one_is_in_flight_works),
        LARGE(test_wal_failed_write_is_reported_and_final),
        LARGE(test_wal_failed_sync_is_reported_and_final),
        LARGE(test_wal_torn_tail_is_cut_and_stays_cut),
        LARGE(test_wal_damage_in_front_of_later_records_is_refused),
        LARGE(test_wal_every_byte_of_a_synced_log_is_guarded),
        LARGE(test_wal_zeros_in_front_of_later_records_are_damage),
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
