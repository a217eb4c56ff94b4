/* Room that is reserved for a snapshot: a disk that is full to the last byte takes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "mem_fs.h"
#include "storage/snapshot_file.h"

#include <string.h>

#define TOKEN (SNAPSHOT_TOKEN_BASE + 1)
#define RESERVED "snap/reserved"
#define CHUNK 1000u

struct fixture {
    struct mem_fs *disk;
    struct fs fs;
    struct snapshot_room *room;
};

static void open_folder(struct fixture *f, floe_index newest)
{
    floe_index found = 99;
    assert_int_equal(snapshot_folder_open(f->fs, NULL, &found), ERR_OK);
    assert_int_equal(found, newest);
    f->room = snapshot_room_new(f->fs);
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.disk = mem_fs_new()};
    fixture.fs = mem_fs_table(fixture.disk);
    open_folder(&fixture, 0);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    snapshot_room_free(f->room);
    assert_int_equal(mem_fs_open_files(f->disk), 0);
    mem_fs_free(f->disk);
    return 0;
}

static void fill_disk(struct fixture *f)
{
    mem_fs_set_capacity(f->disk, mem_fs_used(f->disk));
}

static struct snapshot_writer *begin(struct fixture *f, floe_index index)
{
    struct snapshot_meta meta = {.index = index, .term = 4};
    floe_ids_push(&meta.conf_state.voters, 1);
    struct snapshot_writer *writer = NULL;
    assert_int_equal(snapshot_writer_open(f->fs, f->room, &meta, &writer), ERR_OK);
    snapshot_meta_deinit(&meta);
    return writer;
}

static enum err add_chunk(struct snapshot_writer *writer)
{
    uint8_t chunk[CHUNK];
    memset(chunk, 'c', sizeof chunk);
    return snapshot_writer_add(writer, chunk, sizeof chunk);
}

static void finish(struct fixture *f, struct snapshot_writer *writer)
{
    uint64_t token = 0;
    enum err outcome;
    assert_int_equal(snapshot_writer_finish(writer, TOKEN), ERR_OK);
    assert_true(f->fs.ops->sync_poll(f->fs.ctx, &token, &outcome));
    assert_int_equal(outcome, ERR_OK);
    assert_int_equal(snapshot_writer_commit(writer), ERR_OK);
}

static void assert_reads_back(struct fixture *f, floe_index index, unsigned chunks)
{
    struct snapshot_reader *reader = NULL;
    struct record record;
    assert_int_equal(snapshot_reader_open(f->fs, index, &reader, NULL), ERR_OK);
    for (unsigned i = 0; i < chunks + 2; i++)
        assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_OK);
    assert_int_equal(snapshot_reader_next(reader, &record, NULL), ERR_NOT_FOUND);
    snapshot_reader_close(reader);
}

static size_t size_of(struct fixture *f, const char *path)
{
    size_t size = 0;
    return mem_fs_content(f->disk, path, &size) != NULL ? size : 0;
}

/* What the snapshot does not use is reserved for the next one. */
static void test_room_takes_a_snapshot_on_a_full_disk(void **state)
{
    struct fixture *f = *state;
    assert_true(snapshot_room_resize(f->room, 10 * CHUNK));
    fill_disk(f);
    struct snapshot_writer *writer = begin(f, 9);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(add_chunk(writer), ERR_OK);
    assert_int_equal(snapshot_room_bytes(f->room), 10 * CHUNK);
    finish(f, writer);
    assert_reads_back(f, 9, 6);
    size_t used = size_of(f, "snap/0000000000000009.snap");
    assert_true(used > 6 * CHUNK);
    assert_int_equal(used, snapshot_folder_bytes(f->fs, 9));
    assert_int_equal(snapshot_folder_bytes(f->fs, 8), 0);
    assert_int_equal(snapshot_room_bytes(f->room), 10 * CHUNK - used);
    assert_int_equal(size_of(f, RESERVED), 10 * CHUNK - used);
}

static void test_room_that_is_too_small_comes_back(void **state)
{
    struct fixture *f = *state;
    assert_true(snapshot_room_resize(f->room, 3 * CHUNK));
    fill_disk(f);
    struct snapshot_writer *writer = begin(f, 9);
    enum err err = ERR_OK;
    for (unsigned i = 0; i < 6 && err == ERR_OK; i++)
        err = add_chunk(writer);
    assert_int_equal(err, ERR_IO);
    snapshot_writer_abort(writer);
    assert_int_equal(snapshot_room_bytes(f->room), 3 * CHUNK);
    assert_int_equal(size_of(f, RESERVED), 3 * CHUNK);
    assert_int_equal(mem_fs_count(f->disk, ".part"), 0);
    finish(f, begin(f, 10)); /* a small one; what was in the room does not matter */
    assert_reads_back(f, 10, 0);
}

static void test_room_is_had_by_one_writer_at_a_time(void **state)
{
    struct fixture *f = *state;
    assert_true(snapshot_room_resize(f->room, 10 * CHUNK));
    struct snapshot_writer *first = begin(f, 9);
    struct snapshot_writer *second = begin(f, 10);
    assert_int_equal(add_chunk(first), ERR_OK);
    assert_int_equal(add_chunk(second), ERR_OK);
    assert_int_equal(add_chunk(second), ERR_OK);
    finish(f, first);
    finish(f, second);
    assert_reads_back(f, 9, 1);
    assert_reads_back(f, 10, 2);
}

static void test_room_gets_what_there_is_or_stays_as_it_is(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(snapshot_room_bytes(f->room), 0);
    assert_true(snapshot_room_resize(f->room, 4 * CHUNK));
    mem_fs_set_capacity(f->disk, mem_fs_used(f->disk) + CHUNK);
    assert_false(snapshot_room_resize(f->room, 6 * CHUNK));
    assert_int_equal(snapshot_room_bytes(f->room), 4 * CHUNK);
    assert_int_equal(size_of(f, RESERVED), 4 * CHUNK); /* the rest stays with the others */
    assert_true(snapshot_room_resize(f->room, 5 * CHUNK));
    assert_true(snapshot_room_resize(f->room, 2 * CHUNK));
    assert_int_equal(size_of(f, RESERVED), 2 * CHUNK);
}

/* Neither a new process nor one that died over a snapshot loses it. */
static void test_room_is_found_again_at_the_next_start(void **state)
{
    struct fixture *f = *state;
    assert_true(snapshot_room_resize(f->room, 10 * CHUNK));
    fill_disk(f);
    snapshot_room_free(f->room);
    open_folder(f, 0);
    assert_int_equal(snapshot_room_bytes(f->room), 10 * CHUNK);
    struct snapshot_writer *writer = begin(f, 9);
    assert_int_equal(add_chunk(writer), ERR_OK);
    mem_fs_stop_at(f->disk, 1);
    snapshot_writer_abort(writer); /* nothing reaches the disk any more */
    snapshot_room_free(f->room);
    mem_fs_crash(f->disk, MEM_FS_KEEP_ALL, NULL);
    open_folder(f, 0);
    assert_int_equal(snapshot_room_bytes(f->room), 10 * CHUNK);
    assert_int_equal(mem_fs_count(f->disk, ".part"), 0);
}

/* Writes a snapshot with one chunk for as long as the disk works. */
static void write_broken_off(struct fixture *f, floe_index index)
{
    struct snapshot_meta meta = {.index = index, .term = 4};
    struct snapshot_writer *writer = NULL;
    uint64_t token;
    enum err outcome = ERR_IO;
    enum err err = snapshot_writer_open(f->fs, f->room, &meta, &writer);
    if (err != ERR_OK)
        return;
    err = add_chunk(writer);
    if (err == ERR_OK)
        err = snapshot_writer_finish(writer, TOKEN);
    if (err == ERR_OK && f->fs.ops->sync_poll(f->fs.ctx, &token, &outcome) && outcome == ERR_OK)
        err = snapshot_writer_commit(writer);
    else
        snapshot_writer_abort(writer);
    (void)err; /* the power goes at any of these */
}

/* After a power cut at any place, with the names in any state: a snapshot that is there is whole,
 * and stays so when the next one is written into what is reserved then. */
static void test_room_power_cut_anywhere_leaves_whole_snapshots(void **state)
{
    (void)state;
    unsigned newer = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct prng prng = {seed};
        struct fixture f = {.disk = mem_fs_new()};
        f.fs = mem_fs_table(f.disk);
        open_folder(&f, 0);
        assert_true(snapshot_room_resize(f.room, 10 * CHUNK));
        finish(&f, begin(&f, 8));
        mem_fs_stop_at(f.disk, 1 + (unsigned)prng_below(&prng, 20));
        write_broken_off(&f, 9);
        snapshot_room_free(f.room);
        mem_fs_crash(f.disk, (enum mem_fs_crash)prng_below(&prng, MEM_FS_CRASH_COUNT), &prng);
        floe_index newest = 0;
        assert_int_equal(snapshot_folder_open(f.fs, NULL, &newest), ERR_OK);
        assert_true(newest == 8 || newest == 9);
        newer += newest == 9 ? 1 : 0;
        f.room = snapshot_room_new(f.fs);
        struct snapshot_writer *next = begin(&f, 10);
        assert_int_equal(add_chunk(next), ERR_OK);
        assert_int_equal(add_chunk(next), ERR_OK);
        finish(&f, next);
        assert_reads_back(&f, newest, newest == 9 ? 1 : 0);
        assert_reads_back(&f, 10, 2);
        snapshot_room_free(f.room);
        mem_fs_free(f.disk);
    }
    assert_true(newer > 200 && newer < 2800);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_room_takes_a_snapshot_on_a_full_disk),
        TEST(test_room_that_is_too_small_comes_back),
        TEST(test_room_is_had_by_one_writer_at_a_time),
        TEST(test_room_gets_what_there_is_or_stays_as_it_is),
        TEST(test_room_is_found_again_at_the_next_start),
        cmocka_unit_test(test_room_power_cut_anywhere_leaves_whole_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
