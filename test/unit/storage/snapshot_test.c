/* Snapshot files: written, received, read, broken off, damaged, tidied up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/pack.h"
#include "mem_fs.h"
#include "storage/snapshot_file.h"

#include <string.h>

#define TOKEN (SNAPSHOT_TOKEN_BASE + 1)
#define PATH "snap/0000000000000009.snap"

struct fixture {
    struct mem_fs *disk;
    struct fs fs;
    struct buf why;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.disk = mem_fs_new()};
    fixture.fs = mem_fs_table(fixture.disk);
    floe_index newest = 99;
    assert_int_equal(snapshot_folder_open(fixture.fs, NULL, &newest), ERR_OK);
    assert_int_equal(newest, 0);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mem_fs_open_files(f->disk), 0);
    buf_deinit(&f->why);
    mem_fs_free(f->disk);
    return 0;
}

static struct snapshot_meta make_meta(floe_index index)
{
    struct snapshot_meta meta = {.index = index, .term = 4};
    floe_ids_push(&meta.conf_state.voters, 1);
    floe_ids_push(&meta.conf_state.voters, 2);
    floe_ids_push(&meta.conf_state.learners, 3);
    buf_printf(&meta.app, "members");
    return meta;
}

static struct snapshot_writer *open_writer(struct fixture *f, floe_index index)
{
    struct snapshot_meta meta = make_meta(index);
    struct snapshot_writer *writer = NULL;
    assert_int_equal(snapshot_writer_open(f->fs, NULL, &meta, &writer), ERR_OK);
    snapshot_meta_deinit(&meta);
    assert_int_equal(snapshot_writer_meta(writer)->index, index);
    return writer;
}

static void add(struct snapshot_writer *writer, const char *text)
{
    assert_int_equal(snapshot_writer_add(writer, (const uint8_t *)text, strlen(text)), ERR_OK);
}

static void finish(struct fixture *f, struct snapshot_writer *writer)
{
    assert_int_equal(snapshot_writer_finish(writer, TOKEN), ERR_OK);
    uint64_t token = 0;
    enum err outcome;
    assert_true(f->fs.ops->sync_poll(f->fs.ctx, &token, &outcome));
    assert_int_equal(token, TOKEN);
    assert_int_equal(outcome, ERR_OK);
    assert_int_equal(snapshot_writer_commit(writer), ERR_OK);
}

static void write_whole(struct fixture *f, floe_index index)
{
    struct snapshot_writer *writer = open_writer(f, index);
    add(writer, "first");
    add(writer, "second chunk");
    add(writer, "");
    finish(f, writer);
}

static struct snapshot_reader *open_reader(struct fixture *f, floe_index index)
{
    struct snapshot_reader *reader = NULL;
    enum err err = snapshot_reader_open(f->fs, index, &reader, &f->why);
    if (err != ERR_OK)
        fail_msg("%s: %s", err_str(err), buf_str(&f->why));
    return reader;
}

/* Reads until something is wrong; ERR_NOT_FOUND: it is whole. */
static enum err read_through(struct snapshot_reader *reader, unsigned *records)
{
    struct record record;
    enum err err;
    *records = 0;
    while ((err = snapshot_reader_next(reader, &record, NULL)) == ERR_OK)
        (*records)++;
    return err;
}

static void test_snapshot_written_file_reads_back(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    struct snapshot_reader *reader = open_reader(f, 9);
    const struct snapshot_meta *meta = snapshot_reader_meta(reader);
    struct snapshot_meta expected = make_meta(9);
    assert_int_equal(meta->index, 9);
    assert_int_equal(meta->term, 4);
    assert_true(floe_conf_state_equivalent(&meta->conf_state, &expected.conf_state));
    assert_int_equal(meta->app.len, 7);
    assert_memory_equal(meta->app.data, "members", 7);
    snapshot_meta_deinit(&expected);
    struct record record;
    assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_OK);
    assert_int_equal(record.type, SNAPSHOT_META);
    assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_OK);
    assert_int_equal(record.payload_len, 5);
    assert_memory_equal(record.payload, "first", 5);
    assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_OK);
    assert_int_equal(record.index, 2);
    assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_OK);
    assert_int_equal(record.payload_len, 0);
    assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_OK);
    assert_int_equal(record.type, SNAPSHOT_END);
    assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_NOT_FOUND);
    snapshot_reader_close(reader);
}

static void test_snapshot_name_appears_only_with_commit(void **state)
{
    struct fixture *f = *state;
    struct snapshot_writer *writer = open_writer(f, 9);
    add(writer, "x");
    assert_int_equal(mem_fs_count(f->disk, ".snap"), 0);
    assert_int_equal(mem_fs_count(f->disk, ".part"), 1);
    finish(f, writer);
    assert_int_equal(mem_fs_count(f->disk, ".snap"), 1);
    assert_int_equal(mem_fs_count(f->disk, ".part"), 0);
    struct prng prng = {1};
    mem_fs_crash(f->disk, MEM_FS_LOSE_ALL, &prng); /* committed is durable */
    struct snapshot_reader *reader = open_reader(f, 9);
    unsigned records;
    assert_int_equal(read_through(reader, &records), ERR_NOT_FOUND);
    assert_int_equal(records, 3);
    snapshot_reader_close(reader);
}

static void test_snapshot_reader_survives_removal(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    struct snapshot_reader *reader = open_reader(f, 9);
    assert_int_equal(snapshot_folder_release(f->fs, 10), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ".snap"), 0);
    unsigned records;
    assert_int_equal(read_through(reader, &records), ERR_NOT_FOUND);
    snapshot_reader_close(reader);
}

static void test_snapshot_folder_finds_newest_and_removes_remnants(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    write_whole(f, 300);
    mem_fs_put(f->disk, "snap/0000000000000400.snap.part", "x", 1);
    mem_fs_put(f->disk, "snap/0000000000000401.recv.part", "x", 1);
    floe_index newest = 0;
    assert_int_equal(snapshot_folder_open(f->fs, NULL, &newest), ERR_OK);
    assert_int_equal(newest, 300);
    assert_int_equal(mem_fs_count(f->disk, ".part"), 0);
    assert_int_equal(snapshot_folder_release(f->fs, 300), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ".snap"), 1);
}

static void test_snapshot_folder_release_keeps_what_is_not_older(void **state)
{
    struct fixture *f = *state;
    for (floe_index i = 1; i <= 4; i++)
        write_whole(f, 0xa0 * i); /* by number, not by the digits' kind */
    floe_index older = 99;
    assert_int_equal(snapshot_folder_before(f->fs, 0x281, &older), ERR_OK);
    assert_int_equal(older, 0x280);
    assert_int_equal(snapshot_folder_before(f->fs, 0x280, &older), ERR_OK);
    assert_int_equal(older, 0x1e0);
    assert_int_equal(snapshot_folder_release(f->fs, 0x1e0), ERR_OK);
    assert_int_equal(mem_fs_count(f->disk, ".snap"), 2);
    assert_int_equal(snapshot_folder_before(f->fs, 0x1e0, &older), ERR_OK);
    assert_int_equal(older, 0);
}

/* The process dies between the rename and the sync of the directory; the next one counts on the
 * snapshot, then the power goes. */
static void test_snapshot_name_is_durable_once_the_folder_was_opened(void **state)
{
    struct fixture *f = *state;
    struct snapshot_writer *writer = open_writer(f, 7);
    assert_int_equal(snapshot_writer_finish(writer, TOKEN), ERR_OK);
    uint64_t token;
    enum err outcome;
    assert_true(f->fs.ops->sync_poll(f->fs.ctx, &token, &outcome));
    mem_fs_stop_at(f->disk, 2);
    assert_int_equal(snapshot_writer_commit(writer), ERR_IO);
    struct prng prng = {.state = 1};
    mem_fs_crash(f->disk, MEM_FS_KEEP_ALL, &prng);
    for (int start = 0; start < 2; start++) {
        floe_index newest = 0;
        assert_int_equal(snapshot_folder_open(f->fs, NULL, &newest), ERR_OK);
        assert_int_equal(newest, 7);
        mem_fs_crash(f->disk, MEM_FS_LOSE_ALL, &prng);
    }
}

static void test_snapshot_abort_removes_the_file(void **state)
{
    struct fixture *f = *state;
    struct snapshot_writer *writer = open_writer(f, 9);
    add(writer, "x");
    snapshot_writer_abort(writer);
    assert_int_equal(mem_fs_count(f->disk, ""), 0);
}

static void test_snapshot_failed_write_is_reported(void **state)
{
    struct fixture *f = *state;
    struct snapshot_writer *writer = open_writer(f, 9);
    mem_fs_fail_at(f->disk, 1);
    assert_int_equal(snapshot_writer_add(writer, (const uint8_t *)"x", 1), ERR_IO);
    assert_int_equal(snapshot_writer_finish(writer, TOKEN), ERR_IO);
    snapshot_writer_abort(writer);
    assert_int_equal(mem_fs_count(f->disk, ""), 0);
}

static void test_snapshot_failed_rename_leaves_no_file(void **state)
{
    struct fixture *f = *state;
    struct snapshot_writer *writer = open_writer(f, 9);
    assert_int_equal(snapshot_writer_finish(writer, TOKEN), ERR_OK);
    uint64_t token;
    enum err outcome;
    assert_true(f->fs.ops->sync_poll(f->fs.ctx, &token, &outcome));
    mem_fs_fail_at(f->disk, 1);
    assert_int_equal(snapshot_writer_commit(writer), ERR_IO);
    assert_int_equal(mem_fs_count(f->disk, ""), 0);
}

static void test_snapshot_damaged_bytes_are_seen(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    size_t size;
    uint8_t *data = mem_fs_content(f->disk, PATH, &size);
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 0x10;
        struct snapshot_reader *reader;
        enum err err = snapshot_reader_open(f->fs, 9, &reader, &f->why);
        if (err == ERR_OK) {
            unsigned records;
            err = read_through(reader, &records);
            snapshot_reader_close(reader);
        }
        if (err != ERR_CORRUPT && err != ERR_VERSION)
            fail_msg("damage of byte %zu gives: %s", i, err_str(err));
        data[i] ^= 0x10;
    }
}

static void test_snapshot_short_file_is_damage(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    size_t size;
    struct buf whole = {0};
    const uint8_t *data = mem_fs_content(f->disk, PATH, &size);
    buf_add(&whole, data, size);
    for (size_t len = 0; len < whole.len; len++) {
        mem_fs_put(f->disk, PATH, whole.data, len);
        struct snapshot_reader *reader;
        unsigned records = 0;
        enum err err = snapshot_reader_open(f->fs, 9, &reader, &f->why);
        if (err == ERR_OK) {
            err = read_through(reader, &records);
            snapshot_reader_close(reader);
        }
        assert_int_equal(err, ERR_CORRUPT);
        assert_true(records < 5);
    }
    assert_non_null(strstr(buf_str(&f->why), PATH ": damaged at offset 0"));
    buf_deinit(&whole);
}

static void test_snapshot_missing_file_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct snapshot_reader *reader;
    assert_int_equal(snapshot_reader_open(f->fs, 5, &reader, &f->why), ERR_NOT_FOUND);
}

static void test_snapshot_newer_version_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buf bytes = {0};
    size_t begin = record_begin(&bytes, SNAPSHOT_META, 9, 1);
    pack_array(&bytes, 1);
    pack_u64(&bytes, SNAPSHOT_FORMAT_VERSION + 1);
    record_end(&bytes, begin);
    mem_fs_put(f->disk, PATH, bytes.data, bytes.len);
    buf_deinit(&bytes);
    struct snapshot_reader *reader;
    assert_int_equal(snapshot_reader_open(f->fs, 9, &reader, &f->why), ERR_VERSION);
    assert_non_null(strstr(buf_str(&f->why), "newer version"));
}

/* ---- received -------------------------------------------------------------------------------- */

/* Gives the receiver the records [0, count) of snapshot 9, without number skip. */
static enum err receive(struct fixture *f, struct snapshot_writer *writer, unsigned count,
                        unsigned skip)
{
    struct snapshot_reader *reader = open_reader(f, 9);
    enum err err = ERR_OK;
    for (unsigned i = 0; i < count && err == ERR_OK; i++) {
        struct record record;
        assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_OK);
        if (i != skip)
            err = snapshot_receiver_add(writer, &record);
    }
    snapshot_reader_close(reader);
    return err;
}

static void test_snapshot_received_file_is_the_same(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    size_t size;
    struct buf sent = {0};
    const uint8_t *data = mem_fs_content(f->disk, PATH, &size);
    buf_add(&sent, data, size);
    struct snapshot_writer *writer;
    assert_int_equal(snapshot_receiver_open(f->fs, NULL, &writer), ERR_OK);
    assert_int_equal(snapshot_writer_meta(writer)->index, 0);
    assert_int_equal(receive(f, writer, 5, 99), ERR_OK);
    assert_int_equal(snapshot_writer_meta(writer)->index, 9);
    assert_int_equal(snapshot_folder_release(f->fs, 10), ERR_OK);
    finish(f, writer);
    data = mem_fs_content(f->disk, PATH, &size);
    assert_non_null(data);
    assert_int_equal(size, sent.len);
    assert_memory_equal(data, sent.data, size);
    buf_deinit(&sent);
}

static void assert_not_received(struct fixture *f, unsigned count, unsigned skip)
{
    struct snapshot_writer *writer;
    assert_int_equal(snapshot_receiver_open(f->fs, NULL, &writer), ERR_OK);
    assert_int_equal(receive(f, writer, count, skip), ERR_CORRUPT);
    snapshot_writer_abort(writer);
    assert_int_equal(mem_fs_count(f->disk, ".part"), 0);
}

static void test_snapshot_records_out_of_order_are_refused(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    assert_not_received(f, 5, 0); /* no META */
    assert_not_received(f, 5, 1); /* second chunk first */
    assert_not_received(f, 5, 3); /* END says one more */
}

static void test_snapshot_broken_off_transfer_does_not_finish(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    struct snapshot_writer *writer;
    assert_int_equal(snapshot_receiver_open(f->fs, NULL, &writer), ERR_OK);
    assert_int_equal(receive(f, writer, 4, 99), ERR_OK);
    assert_int_equal(snapshot_writer_finish(writer, TOKEN), ERR_CORRUPT);
    snapshot_writer_abort(writer);
    assert_int_equal(mem_fs_count(f->disk, ".part"), 0);
}

static void test_snapshot_chunk_of_another_content_is_refused(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    struct snapshot_reader *reader = open_reader(f, 9);
    struct snapshot_writer *writer;
    assert_int_equal(snapshot_receiver_open(f->fs, NULL, &writer), ERR_OK);
    struct record record;
    enum err err = ERR_OK;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_OK);
        if (i == 1)
            record.payload = (const uint8_t *)"FIRST";
        assert_int_equal(err, ERR_OK);
        err = snapshot_receiver_add(writer, &record);
    }
    assert_int_equal(err, ERR_CORRUPT); /* END knows */
    snapshot_writer_abort(writer);
    snapshot_reader_close(reader);
}

/* An own snapshot and a received one of the same index do not get into each other's way. */
static void test_snapshot_own_and_received_at_once_both_work(void **state)
{
    struct fixture *f = *state;
    write_whole(f, 9);
    struct snapshot_writer *own = open_writer(f, 9);
    struct snapshot_writer *received;
    assert_int_equal(snapshot_receiver_open(f->fs, NULL, &received), ERR_OK);
    add(own, "mine");
    assert_int_equal(receive(f, received, 5, 99), ERR_OK);
    finish(f, received);
    snapshot_writer_abort(own);
    struct snapshot_reader *reader = open_reader(f, 9);
    unsigned records;
    assert_int_equal(read_through(reader, &records), ERR_NOT_FOUND);
    assert_int_equal(records, 5);
    snapshot_reader_close(reader);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_snapshot_written_file_reads_back),
        TEST(test_snapshot_name_appears_only_with_commit),
        TEST(test_snapshot_reader_survives_removal),
        TEST(test_snapshot_folder_finds_newest_and_removes_remnants),
        TEST(test_snapshot_folder_release_keeps_what_is_not_older),
        TEST(test_snapshot_name_is_durable_once_the_folder_was_opened),
        TEST(test_snapshot_abort_removes_the_file),
        TEST(test_snapshot_failed_write_is_reported),
        TEST(test_snapshot_failed_rename_leaves_no_file),
        TEST(test_snapshot_damaged_bytes_are_seen),
        TEST(test_snapshot_short_file_is_damage),
        TEST(test_snapshot_missing_file_is_not_found),
        TEST(test_snapshot_newer_version_is_refused),
        TEST(test_snapshot_received_file_is_the_same),
        TEST(test_snapshot_records_out_of_order_are_refused),
        TEST(test_snapshot_broken_off_transfer_does_not_finish),
        TEST(test_snapshot_chunk_of_another_content_is_refused),
        TEST(test_snapshot_own_and_received_at_once_both_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
