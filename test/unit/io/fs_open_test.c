/*
 * Opening a data directory: every name on the way to it is made durable, and syncs are done as the
 * configuration says, also where the kernel has no io_uring (a filter of system calls plays that).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "io/fs_posix.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what was synced, in order --------------------------------------------------------------- */

static char synced[32][256];
static size_t synced_count;

/* In place of libc's: the same, and it remembers the path. */
int fsync(int fd)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (synced_count < sizeof synced / sizeof synced[0]) {
        ssize_t len = readlink(link, synced[synced_count], sizeof synced[0] - 1);
        synced[synced_count++][len > 0 ? len : 0] = 0;
    }
    return (int)syscall(SYS_fsync, fd);
}

static bool was_synced(const char *path)
{
    for (size_t i = 0; i < synced_count; i++)
        if (strcmp(synced[i], path) == 0)
            return true;
    return false;
}

struct fixture {
    char root[64];
};

static int setup(void **state)
{
    static struct fixture fixture;
    (void)snprintf(fixture.root, sizeof fixture.root, "/tmp/floe-open-XXXXXX");
    assert_non_null(mkdtemp(fixture.root));
    synced_count = 0;
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    const struct fixture *f = *state;
    char command[100];
    (void)snprintf(command, sizeof command, "rm -rf %s", f->root);
    return system(command);
}

static void open_and_close(const char *dir)
{
    struct fs_posix *fs = NULL;
    struct buf why = {0};
    enum err err = fs_posix_open(dir, FS_POSIX_SYNC_INLINE, &fs, &why);
    if (err != ERR_OK)
        fail_msg("%s", buf_str(&why));
    buf_deinit(&why);
    fs_posix_close(fs);
}

/* A new name is lost with the power unless the folder that holds it was synced: all on the way. */
static void test_fs_open_first_start_syncs_every_folder_that_got_a_name(void **state)
{
    const struct fixture *f = *state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/a/b/data", f->root);
    open_and_close(path);
    assert_true(was_synced(f->root)); /* holds a */
    (void)snprintf(path, sizeof path, "%s/a", f->root);
    assert_true(was_synced(path));
    (void)snprintf(path, sizeof path, "%s/a/b", f->root);
    assert_true(was_synced(path));
}

static void test_fs_open_takes_any_spelling_of_the_path(void **state)
{
    const struct fixture *f = *state;
    char path[160];
    char folder[160];
    (void)snprintf(path, sizeof path, "%s//c/./data//", f->root);
    open_and_close(path);
    (void)snprintf(folder, sizeof folder, "%s/c", f->root);
    assert_true(was_synced(f->root) && was_synced(folder));
    synced_count = 0;
    assert_int_equal(chdir(f->root), 0);
    open_and_close("data");
    assert_int_equal(chdir("/"), 0);
    assert_true(was_synced(f->root));
}

/* A start that was killed between making a folder and syncing its name. */
static void test_fs_open_syncs_names_that_an_earlier_start_made(void **state)
{
    const struct fixture *f = *state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/a", f->root);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/a/data", f->root);
    assert_int_equal(mkdir(path, 0700), 0);
    open_and_close(path);
    assert_true(was_synced(f->root));
    (void)snprintf(path, sizeof path, "%s/a", f->root);
    assert_true(was_synced(path));
}

/* ---- how syncs are done ---------------------------------------------------------------------- */

/* From here on the kernel has no io_uring, as far as this process sees. */
static bool forbid_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425, 0, 1), /* io_uring_setup, on every architecture */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { CHILD_RIGHT = 0, CHILD_WRONG = 1, CHILD_SKIP = 2 };

static int without_uring(const char *dir)
{
    if (!forbid_uring())
        return CHILD_SKIP;
    struct fs_posix *fs = NULL;
    struct buf why = {0};
    bool right = fs_posix_open(dir, FS_POSIX_SYNC_URING, &fs, &why) == ERR_INVALID && fs == NULL &&
                 strstr(buf_str(&why), "io_uring does not work here: ") != NULL &&
                 strstr(buf_str(&why), "\"inline\"") != NULL;
    buf_clear(&why);
    right = right && fs_posix_open(dir, FS_POSIX_SYNC_AUTO, &fs, &why) == ERR_OK &&
            fs_posix_wake_fd(fs) == -1 &&
            strncmp(fs_posix_sync_text(fs), "inline (no io_uring: ", 21) == 0;
    if (fs != NULL)
        fs_posix_close(fs);
    buf_deinit(&why);
    return right ? CHILD_RIGHT : CHILD_WRONG;
}

static void test_fs_open_without_io_uring_refuses_uring_and_auto_is_inline(void **state)
{
    const struct fixture *f = *state;
    char dir[96];
    (void)snprintf(dir, sizeof dir, "%s/data", f->root);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(without_uring(dir));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_SKIP)
        skip();
    assert_int_equal(WEXITSTATUS(status), CHILD_RIGHT);
}

static void test_fs_open_does_as_it_is_told(void **state)
{
    const struct fixture *f = *state;
    char dir[96];
    (void)snprintf(dir, sizeof dir, "%s/data", f->root);
    struct fs_posix *fs = NULL;
    struct buf why = {0};
    assert_int_equal(fs_posix_open(dir, FS_POSIX_SYNC_INLINE, &fs, &why), ERR_OK);
    assert_int_equal(fs_posix_wake_fd(fs), -1);
    assert_string_equal(fs_posix_sync_text(fs), "inline");
    fs_posix_close(fs);
    bool there = fs_posix_open(dir, FS_POSIX_SYNC_URING, &fs, &why) == ERR_OK;
    if (there) {
        assert_true(fs_posix_wake_fd(fs) >= 0);
        assert_string_equal(fs_posix_sync_text(fs), "io_uring");
        fs_posix_close(fs);
    }
    buf_deinit(&why);
    if (!there)
        skip();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_fs_open_first_start_syncs_every_folder_that_got_a_name),
        TEST(test_fs_open_takes_any_spelling_of_the_path),
        TEST(test_fs_open_syncs_names_that_an_earlier_start_made),
        TEST(test_fs_open_without_io_uring_refuses_uring_and_auto_is_inline),
        TEST(test_fs_open_does_as_it_is_told),
    };
    return cmocka_run_group_tests_name("opening a data directory", tests, NULL, NULL);
}
