/*
 * Log files written past the page cache: whatever is appended, overwritten, synced and opened
 * again, the file has the bytes that a plain array has, but for those behind an append.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/prng.h"
#include "io/fs_posix.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES (64u << 10)
#define STEPS 4000
#define BLOCK_MAX 4096
#define WAIT_MS 10000
#define PATH "wal/a"

struct world {
    char root[64];
    struct fs_posix *posix;
    struct fs fs;
    struct fs_file *file;
    uint8_t want[FILE_BYTES];
    bool known[FILE_BYTES]; /* not behind an append in its block */
    uint64_t end; /* of the last append */
    bool syncing;
    struct prng prng;
};

static void open_all(struct world *w)
{
    struct buf why = {0};
    assert_int_equal(fs_posix_open(w->root, FS_POSIX_SYNC_DIRECT, &w->posix, &why), ERR_OK);
    buf_deinit(&why);
    w->fs = fs_posix_fs(w->posix);
    assert_int_equal(w->fs.ops->make_dir(w->fs.ctx, "wal"), ERR_OK);
    assert_int_equal(w->fs.ops->open(w->fs.ctx, PATH, FS_OPEN_CREATE, &w->file), ERR_OK);
}

static void close_all(struct world *w)
{
    w->fs.ops->close(w->fs.ctx, w->file);
    fs_posix_close(w->posix);
}

static void wait_sync(struct world *w)
{
    uint64_t token;
    enum err outcome;
    struct pollfd wait = {.fd = fs_posix_wake_fd(w->posix), .events = POLLIN};
    while (w->syncing && !w->fs.ops->sync_poll(w->fs.ctx, &token, &outcome)) {
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        fs_posix_on_wake(w->posix);
    }
    if (w->syncing)
        assert_true(token == 7 && outcome == ERR_OK);
    w->syncing = false;
}

static void put(struct world *w, uint64_t offset, size_t len)
{
    for (size_t i = 0; i < len; i++)
        w->want[offset + i] = (uint8_t)prng_next(&w->prng);
    assert_int_equal(w->fs.ops->write(w->fs.ctx, w->file, offset, w->want + offset, len), ERR_OK);
    w->end = offset + len;
    for (size_t i = 0; i < len; i++)
        w->known[offset + i] = true;
    for (uint64_t i = w->end; i < FILE_BYTES && i < w->end + BLOCK_MAX && len > 0; i++)
        w->known[i] = false;
}

static void check(const struct world *w, const uint8_t *got, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        assert_true(!w->known[i] || got[i - from] == w->want[i]);
}

/* What a sync covers is there for others to read, without a word to this file. */
static void check_durable(const struct world *w, uint64_t from, uint64_t to)
{
    uint8_t got[FILE_BYTES];
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" PATH, w->root);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, got, to - from, (off_t)from), (ssize_t)(to - from));
    check(w, got, from, to);
    (void)close(fd);
}

static void check_all(struct world *w)
{
    uint8_t got[FILE_BYTES];
    size_t len;
    assert_int_equal(w->fs.ops->read(w->fs.ctx, w->file, 0, got, sizeof got, &len), ERR_OK);
    assert_int_equal(len, sizeof got);
    check(w, got, 0, FILE_BYTES);
}

static void step(struct world *w)
{
    uint64_t what = prng_next(&w->prng) % 100;
    size_t len = 1 + (size_t)(prng_next(&w->prng) % (what % 10 == 0 ? 9000 : 300));
    if (what < 60 && w->end + len <= FILE_BYTES) {
        put(w, w->end, len);
    } else if (what < 85) {
        uint64_t end = w->end;
        wait_sync(w);
        assert_int_equal(w->fs.ops->sync_start(w->fs.ctx, w->file, 7), ERR_OK);
        w->syncing = true;
        if (what < 70) /* what comes meanwhile is not lost, and does not mix with it */
            put(w, w->end, w->end + 50 <= FILE_BYTES ? 50 : 0);
        wait_sync(w);
        check_durable(w, end > 3000 ? end - 3000 : 0, end);
    } else if (what < 90) { /* elsewhere */
        wait_sync(w);
        put(w, prng_next(&w->prng) % (FILE_BYTES - 300), len % 300);
    } else if (what < 93) {
        assert_int_equal(w->fs.ops->sync(w->fs.ctx, w->file), ERR_OK);
        check_durable(w, 0, FILE_BYTES);
        wait_sync(w);
    } else if (what < 95) { /* the process ends well */
        wait_sync(w);
        close_all(w);
        open_all(w);
    } else if (what < 97) {
        check_all(w);
    } else {
        w->end = prng_next(&w->prng) % 2000; /* begin anew */
    }
}

static void test_fs_direct_file_has_what_was_written(void **state)
{
    (void)state;
    static struct world w;
    struct stat info;
    w = (struct world){.root = "/tmp/floe-direct-XXXXXX"};
    assert_non_null(mkdtemp(w.root));
    struct buf why = {0};
    if (fs_posix_open(w.root, FS_POSIX_SYNC_DIRECT, &w.posix, &why) != ERR_OK) {
        print_message("SKIPPED: %s\n", buf_str(&why));
        buf_deinit(&why);
        skip();
    }
    buf_deinit(&why);
    fs_posix_close(w.posix);
    w.prng = (struct prng){1};
    open_all(&w);
    memset(w.known, true, sizeof w.known);
    assert_int_equal(w.fs.ops->allocate(w.fs.ctx, w.file, FILE_BYTES), ERR_OK);
    for (int i = 0; i < STEPS; i++)
        step(&w);
    wait_sync(&w);
    check_all(&w);
    close_all(&w);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" PATH, w.root);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, FILE_BYTES); /* padding has not made it longer */
    (void)snprintf(path, sizeof path, "rm -r %s", w.root);
    assert_int_equal(system(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fs_direct_file_has_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
