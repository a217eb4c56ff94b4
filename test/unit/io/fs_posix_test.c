/*
 * The real file operations in a temporary directory, with io_uring where it can be had and inline;
 * and the log and a snapshot on top of them, with tiny segments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "io/fs_posix.h"
#include "storage/snapshot_file.h"
#include "storage/wal.h"

#include <fcntl.h>
#include <signal.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 10000

struct fixture {
    enum fs_posix_sync sync;
    bool is_inline;
    char root[64];
    char dir[96];
    struct fs_posix *posix;
    struct fs fs;
};

static void open_dir(struct fixture *f)
{
    struct buf why = {0};
    enum err err = fs_posix_open(f->dir, f->sync, &f->posix, &why);
    if (err == ERR_INVALID && f->sync == FS_POSIX_SYNC_URING) { /* as on such a machine */
        f->sync = FS_POSIX_SYNC_AUTO;
        err = fs_posix_open(f->dir, f->sync, &f->posix, &why);
    }
    if (err != ERR_OK)
        fail_msg("%s", buf_str(&why));
    buf_deinit(&why);
    f->fs = fs_posix_fs(f->posix);
}

static int setup_with(void **state, enum fs_posix_sync sync)
{
    static struct fixture fixture;
    fixture = (struct fixture){.sync = sync, .is_inline = sync == FS_POSIX_SYNC_INLINE};
    (void)snprintf(fixture.root, sizeof fixture.root, "/tmp/floe-fs-XXXXXX");
    assert_non_null(mkdtemp(fixture.root));
    (void)snprintf(fixture.dir, sizeof fixture.dir, "%s/data", fixture.root);
    open_dir(&fixture);
    *state = &fixture;
    return 0;
}

static int setup_inline(void **state)
{
    return setup_with(state, FS_POSIX_SYNC_INLINE);
}

static int setup_ring(void **state)
{
    return setup_with(state, FS_POSIX_SYNC_URING);
}

static int setup_auto(void **state)
{
    return setup_with(state, FS_POSIX_SYNC_AUTO);
}

static void remove_file(void *arg, const char *name, uint64_t size)
{
    (void)size;
    assert_int_equal(unlinkat(*(const int *)arg, name, 0), 0);
}

static void remove_dir(struct fixture *f, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return;
    assert_int_equal(f->fs.ops->list(f->fs.ctx, name, remove_file, &fd), ERR_OK);
    (void)close(fd);
    assert_int_equal(rmdir(path), 0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    remove_dir(f, "wal");
    remove_dir(f, "snap");
    fs_posix_close(f->posix);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/LOCK", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(f->dir), 0);
    return rmdir(f->root);
}

/* Waits as the loop does: for the descriptor, then polls. */
static enum err wait_sync(struct fixture *f, uint64_t *token)
{
    enum err outcome = ERR_IO;
    int fd = fs_posix_wake_fd(f->posix);
    if (fd >= 0) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        fs_posix_on_wake(f->posix);
    }
    assert_true(f->fs.ops->sync_poll(f->fs.ctx, token, &outcome));
    return outcome;
}

static mode_t mode_of(const struct fixture *f, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 07777;
}

static struct fs_file *make_file(struct fixture *f, const char *path)
{
    struct fs_file *file;
    assert_int_equal(f->fs.ops->make_dir(f->fs.ctx, "wal"), ERR_OK);
    assert_int_equal(f->fs.ops->open(f->fs.ctx, path, FS_OPEN_CREATE, &file), ERR_OK);
    return file;
}

/* ---- the table ------------------------------------------------------------------------------- */

static void test_fs_posix_file_is_private_and_reads_back(void **state)
{
    struct fixture *f = *state;
    struct fs_file *file = make_file(f, "wal/a");
    char data[16] = {0};
    size_t got = 0;
    assert_int_equal(f->fs.ops->write(f->fs.ctx, file, 3, "hello", 5), ERR_OK);
    assert_int_equal(f->fs.ops->read(f->fs.ctx, file, 1, data, sizeof data, &got), ERR_OK);
    assert_int_equal(got, 7);
    assert_memory_equal(data, "\0\0hello", 7);
    assert_int_equal(f->fs.ops->sync(f->fs.ctx, file), ERR_OK);
    f->fs.ops->close(f->fs.ctx, file);
    assert_int_equal(mode_of(f, "wal/a"), 0600);
    assert_int_equal(mode_of(f, "wal"), 0700);
    assert_int_equal(mode_of(f, ""), 0700);
    assert_int_equal(mode_of(f, "LOCK"), 0600);
}

static void test_fs_posix_allocate_extends_with_zeros_and_never_cuts(void **state)
{
    struct fixture *f = *state;
    struct fs_file *file = make_file(f, "wal/a");
    assert_int_equal(f->fs.ops->write(f->fs.ctx, file, 0, "abc", 3), ERR_OK);
    assert_int_equal(f->fs.ops->allocate(f->fs.ctx, file, 10000), ERR_OK);
    uint64_t size = 0;
    assert_int_equal(f->fs.ops->size(f->fs.ctx, file, &size), ERR_OK);
    assert_int_equal(size, 10000);
    assert_int_equal(f->fs.ops->allocate(f->fs.ctx, file, 5000), ERR_OK);
    assert_int_equal(f->fs.ops->size(f->fs.ctx, file, &size), ERR_OK);
    assert_int_equal(size, 10000);
    char data[4];
    size_t got;
    assert_int_equal(f->fs.ops->read(f->fs.ctx, file, 2, data, 4, &got), ERR_OK);
    assert_memory_equal(data, "c\0\0\0", 4);
    assert_int_equal(f->fs.ops->truncate(f->fs.ctx, file, 1), ERR_OK);
    assert_int_equal(f->fs.ops->size(f->fs.ctx, file, &size), ERR_OK);
    assert_int_equal(size, 1);
    f->fs.ops->close(f->fs.ctx, file);
}

static void count_name(void *arg, const char *name, uint64_t size)
{
    unsigned *seen = arg;
    assert_string_equal(name, "b");
    assert_int_equal(size, 2);
    (*seen)++;
}

static void test_fs_posix_names_move_and_go(void **state)
{
    struct fixture *f = *state;
    struct fs_file *file = make_file(f, "wal/a");
    assert_int_equal(f->fs.ops->write(f->fs.ctx, file, 0, "xy", 2), ERR_OK);
    f->fs.ops->close(f->fs.ctx, file);
    assert_int_equal(f->fs.ops->make_dir(f->fs.ctx, "wal"), ERR_OK); /* fine if it is there */
    assert_int_equal(f->fs.ops->rename(f->fs.ctx, "wal/a", "wal/b"), ERR_OK);
    assert_int_equal(f->fs.ops->sync_dir(f->fs.ctx, "wal"), ERR_OK);
    assert_int_equal(f->fs.ops->sync_dir(f->fs.ctx, ""), ERR_OK);
    unsigned seen = 0;
    assert_int_equal(f->fs.ops->list(f->fs.ctx, "wal", count_name, &seen), ERR_OK);
    assert_int_equal(seen, 1);
    assert_int_equal(f->fs.ops->open(f->fs.ctx, "wal/b", FS_OPEN_CREATE_FRESH, &file), ERR_OK);
    uint64_t size = 9;
    assert_int_equal(f->fs.ops->size(f->fs.ctx, file, &size), ERR_OK);
    assert_int_equal(size, 0);
    f->fs.ops->close(f->fs.ctx, file);
    assert_int_equal(f->fs.ops->remove(f->fs.ctx, "wal/b"), ERR_OK);
    assert_int_equal(f->fs.ops->remove(f->fs.ctx, "wal/b"), ERR_NOT_FOUND);
    assert_int_equal(f->fs.ops->open(f->fs.ctx, "wal/b", FS_OPEN_READ, &file), ERR_NOT_FOUND);
    assert_string_equal(f->fs.ops->last_error(f->fs.ctx), "No such file or directory");
    assert_int_equal(f->fs.ops->list(f->fs.ctx, "none", count_name, &seen), ERR_NOT_FOUND);
}

static void test_fs_posix_sync_reports_once_and_drains_its_descriptor(void **state)
{
    struct fixture *f = *state;
    struct fs_file *file = make_file(f, "wal/a");
    uint64_t token = 0;
    enum err outcome;
    assert_false(f->fs.ops->sync_poll(f->fs.ctx, &token, &outcome));
    for (uint64_t i = 1; i <= 40; i++) {
        assert_int_equal(f->fs.ops->write(f->fs.ctx, file, i, "z", 1), ERR_OK);
        assert_int_equal(f->fs.ops->sync_start(f->fs.ctx, file, WAL_TOKEN_BASE + i), ERR_OK);
        assert_int_equal(wait_sync(f, &token), ERR_OK);
        assert_int_equal(token, WAL_TOKEN_BASE + i);
        assert_false(f->fs.ops->sync_poll(f->fs.ctx, &token, &outcome));
    }
    int fd = fs_posix_wake_fd(f->posix);
    assert_true(f->is_inline ? fd == -1 : true);
    if (fd >= 0) { /* else the loop would spin */
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 0), 0);
    }
    f->fs.ops->close(f->fs.ctx, file);
}

static uint64_t log_syncs(const struct fixture *f)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        count += fs_posix_log_syncs(f->posix)->counts[i];
    return count;
}

static void test_fs_posix_times_the_syncs_of_the_log_only(void **state)
{
    struct fixture *f = *state;
    struct fs_file *segment = make_file(f, "wal/a");
    struct fs_file *other = make_file(f, "other");
    uint64_t token = 0;
    assert_true(log_syncs(f) == 0);
    assert_int_equal(f->fs.ops->sync_start(f->fs.ctx, segment, 1), ERR_OK);
    assert_true(log_syncs(f) == 0);
    assert_int_equal(wait_sync(f, &token), ERR_OK);
    assert_true(log_syncs(f) == 1);
    assert_int_equal(f->fs.ops->sync_start(f->fs.ctx, other, 2), ERR_OK);
    assert_int_equal(wait_sync(f, &token), ERR_OK);
    assert_true(log_syncs(f) == 1);
    assert_true(fs_posix_log_syncs(f->posix)->sum_us > 0);
    f->fs.ops->close(f->fs.ctx, segment);
    f->fs.ops->close(f->fs.ctx, other);
    assert_int_equal(f->fs.ops->remove(f->fs.ctx, "other"), ERR_OK);
}

static void test_fs_posix_two_syncs_at_once_both_come_back(void **state)
{
    struct fixture *f = *state;
    struct fs_file *first = make_file(f, "wal/a");
    struct fs_file *second = make_file(f, "wal/b");
    assert_int_equal(f->fs.ops->sync_start(f->fs.ctx, first, 1), ERR_OK);
    assert_int_equal(f->fs.ops->sync_start(f->fs.ctx, second, 2), ERR_OK);
    uint64_t sum = 0;
    for (int tries = 0; sum < 3 && tries < 1000; tries++) {
        uint64_t token;
        enum err outcome;
        if (!f->fs.ops->sync_poll(f->fs.ctx, &token, &outcome)) {
            (void)usleep(1000);
            continue;
        }
        assert_int_equal(outcome, ERR_OK);
        sum += token;
    }
    assert_int_equal(sum, 3);
    f->fs.ops->close(f->fs.ctx, first);
    f->fs.ops->close(f->fs.ctx, second);
}

static void test_fs_posix_directory_is_locked(void **state)
{
    struct fixture *f = *state;
    struct fs_posix *other = NULL;
    struct buf why = {0};
    assert_int_equal(fs_posix_open(f->dir, FS_POSIX_SYNC_AUTO, &other, &why), ERR_LOCKED);
    assert_null(other);
    assert_true(why.len > 0);
    fs_posix_close(f->posix);
    buf_clear(&why);
    assert_int_equal(fs_posix_open(f->dir, FS_POSIX_SYNC_AUTO, &other, &why), ERR_OK);
    fs_posix_close(other);
    buf_deinit(&why);
    open_dir(f);
}

static void test_fs_posix_impossible_directory_says_why(void **state)
{
    struct fixture *f = *state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/LOCK/below", f->dir);
    struct fs_posix *other = NULL;
    struct buf why = {0};
    assert_int_equal(fs_posix_open(path, FS_POSIX_SYNC_AUTO, &other, &why), ERR_IO);
    assert_true(why.len > 0);
    buf_deinit(&why);
}

/* ---- the log and a snapshot on it ------------------------------------------------------------ */

static struct wal *open_log(struct fixture *f, struct wal_recovered *found)
{
    struct wal_options options = {
        .fs = f->fs, .first_segment_bytes = 4096, .segment_bytes = 8192};
    struct wal *wal = NULL;
    struct buf why = {0};
    enum err err = wal_open(&options, &wal, found, &why);
    if (err != ERR_OK)
        fail_msg("%s", buf_str(&why));
    buf_deinit(&why);
    return wal;
}

static void append_synced(struct fixture *f, struct wal *wal, floe_index index)
{
    struct floe_entry entry = {.index = index, .term = 1, .data = floe_blob_alloc(500)};
    memset(floe_blob_bytes(entry.data), (int)(index & 0x7f), 500);
    struct floe_hard_state hs = {1, 5, index - 1};
    assert_int_equal(wal_append(wal, &hs, &entry, 1), ERR_OK);
    floe_entry_deinit(&entry);
    assert_int_equal(wal_sync_start(wal), ERR_OK);
    while (wal_sync_in_flight(wal)) {
        uint64_t token;
        enum err outcome = wait_sync(f, &token);
        assert_int_equal(wal_sync_finished(wal, token, outcome), ERR_OK);
    }
    assert_int_equal(wal_durable(wal), wal_appended(wal));
    assert_int_equal(wal_prepare(wal), ERR_OK);
}

static void test_fs_posix_log_with_tiny_segments_reads_back(void **state)
{
    struct fixture *f = *state;
    struct wal_recovered found;
    struct wal *wal = open_log(f, &found);
    assert_true(found.fresh);
    struct wal_meta meta = {.id = 5, .cluster = "real"};
    assert_int_equal(wal_create(wal, &meta), ERR_OK);
    for (floe_index i = 1; i <= 100; i++)
        append_synced(f, wal, i);
    uint64_t before = wal_segment_count(wal);
    assert_true(before > 4);
    assert_int_equal(wal_mark_snapshot(wal, 60, 1, true), ERR_OK);
    assert_int_equal(wal_sync_now(wal), ERR_OK);
    assert_int_equal(wal_release(wal, 60), ERR_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(wal_prepare(wal), ERR_OK);
    assert_true(wal_segment_count(wal) < before);
    wal_close(wal);
    wal = open_log(f, &found);
    assert_int_equal(found.meta.id, 5);
    assert_int_equal(found.snapshot_index, 60);
    assert_int_equal(found.entry_count, 40);
    assert_int_equal(found.hard_state.commit, 99);
    assert_int_equal(found.torn_bytes, 0);
    for (size_t i = 0; i < found.entry_count; i++)
        assert_int_equal(floe_blob_data(found.entries[i].data)[499], 61 + i);
    wal_recovered_deinit(&found);
    append_synced(f, wal, 101);
    wal_close(wal);
}

/* A process that dies between append and sync: the lock goes with it, the log opens. */
static void test_fs_posix_killed_writer_leaves_a_log_that_opens(void **state)
{
    struct fixture *f = *state;
    fs_posix_close(f->posix);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        open_dir(f);
        struct wal_recovered found;
        struct wal *wal = open_log(f, &found);
        struct wal_meta meta = {.id = 5, .cluster = "real"};
        if (wal_create(wal, &meta) != ERR_OK)
            _exit(1);
        for (floe_index i = 1; i <= 30; i++)
            append_synced(f, wal, i);
        struct floe_hard_state hs = {2, 5, 30};
        _exit(wal_append(wal, &hs, NULL, 0) == ERR_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    open_dir(f);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct wal_recovered found;
    struct wal *wal = open_log(f, &found);
    assert_int_equal(found.entry_count, 30);
    /* what was not synced may be there or not */
    assert_in_range(found.hard_state.term, 1, 2);
    wal_recovered_deinit(&found);
    wal_close(wal);
}

static void test_fs_posix_snapshot_is_written_and_read(void **state)
{
    struct fixture *f = *state;
    floe_index newest;
    assert_int_equal(snapshot_folder_open(f->fs, NULL, &newest), ERR_OK);
    struct snapshot_meta meta = {.index = 7, .term = 2};
    struct snapshot_writer *writer;
    assert_int_equal(snapshot_writer_open(f->fs, NULL, &meta, &writer), ERR_OK);
    assert_int_equal(snapshot_writer_add(writer, (const uint8_t *)"abc", 3), ERR_OK);
    assert_int_equal(snapshot_writer_finish(writer, SNAPSHOT_TOKEN_BASE + 1), ERR_OK);
    uint64_t token;
    assert_int_equal(wait_sync(f, &token), ERR_OK);
    assert_int_equal(token, SNAPSHOT_TOKEN_BASE + 1);
    assert_int_equal(snapshot_writer_commit(writer), ERR_OK);
    assert_int_equal(snapshot_folder_open(f->fs, NULL, &newest), ERR_OK);
    assert_int_equal(newest, 7);
    struct snapshot_reader *reader;
    assert_int_equal(snapshot_reader_open(f->fs, 7, &reader, NULL), ERR_OK);
    assert_int_equal(snapshot_folder_release(f->fs, 8), ERR_OK); /* stays readable */
    unsigned records = 0;
    struct record record;
    enum err err;
    while ((err = snapshot_reader_next(reader, &record, NULL)) == ERR_OK)
        records++;
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(records, 3);
    snapshot_reader_close(reader);
}

#define INLINE(test) cmocka_unit_test_setup_teardown(test, setup_inline, teardown)
#define RING(test) cmocka_unit_test_setup_teardown(test, setup_ring, teardown)
#define AUTO(test) cmocka_unit_test_setup_teardown(test, setup_auto, teardown)

/* A limit of file sizes stands for every kind of want of room. */
static void test_fs_posix_want_of_room_is_told_from_other_errors(void **state)
{
    struct fixture *f = *state;
    struct rlimit was;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    struct rlimit limit = {.rlim_cur = 50000, .rlim_max = was.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    struct fs_file *file;
    assert_int_equal(f->fs.ops->open(f->fs.ctx, "a", FS_OPEN_CREATE, &file), ERR_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum err allocated = f->fs.ops->allocate(f->fs.ctx, file, 100000);
    bool full_1 = f->fs.ops->is_full(f->fs.ctx);
    enum err written = f->fs.ops->write(f->fs.ctx, file, 49999, "ab", 2);
    bool full_2 = f->fs.ops->is_full(f->fs.ctx);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(allocated, ERR_IO);
    assert_int_equal(written, ERR_IO);
    assert_true(full_1 && full_2);
    assert_int_equal(f->fs.ops->remove(f->fs.ctx, "b"), ERR_NOT_FOUND);
    assert_false(f->fs.ops->is_full(f->fs.ctx));
    f->fs.ops->close(f->fs.ctx, file);
    assert_int_equal(f->fs.ops->remove(f->fs.ctx, "a"), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INLINE(test_fs_posix_file_is_private_and_reads_back),
        INLINE(test_fs_posix_allocate_extends_with_zeros_and_never_cuts),
        INLINE(test_fs_posix_want_of_room_is_told_from_other_errors),
        INLINE(test_fs_posix_names_move_and_go),
        INLINE(test_fs_posix_sync_reports_once_and_drains_its_descriptor),
        INLINE(test_fs_posix_times_the_syncs_of_the_log_only),
        RING(test_fs_posix_sync_reports_once_and_drains_its_descriptor),
        AUTO(test_fs_posix_sync_reports_once_and_drains_its_descriptor),
        INLINE(test_fs_posix_two_syncs_at_once_both_come_back),
        RING(test_fs_posix_two_syncs_at_once_both_come_back),
        AUTO(test_fs_posix_two_syncs_at_once_both_come_back),
        INLINE(test_fs_posix_directory_is_locked),
        INLINE(test_fs_posix_impossible_directory_says_why),
        INLINE(test_fs_posix_log_with_tiny_segments_reads_back),
        RING(test_fs_posix_log_with_tiny_segments_reads_back),
        AUTO(test_fs_posix_log_with_tiny_segments_reads_back),
        RING(test_fs_posix_killed_writer_leaves_a_log_that_opens),
        AUTO(test_fs_posix_killed_writer_leaves_a_log_that_opens),
        INLINE(test_fs_posix_snapshot_is_written_and_read),
        RING(test_fs_posix_snapshot_is_written_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
