/*
 * For LD_PRELOAD: notes each sync of a file that really reaches the kernel, so that a test can see
 * that an answer comes after it. One line a sync, or a write that is one, appended to the file
 * $SYNC_SPY: how, and the path. With SYNC_SPY_NO_URING=1 rings cannot be had.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))

static void note(const char *how, int fd)
{
    char link[64];
    char path[4096];
    char line[4200];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    int size = snprintf(line, sizeof line, "%s %s\n", how, path);
    const char *file = getenv("SYNC_SPY");
    int out = file != NULL ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (out >= 0 && write(out, line, (size_t)size) != size)
        abort();
    if (out >= 0)
        (void)close(out);
}

#ifdef HAVE_LIBURING
static bool is_dsync(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_DSYNC) != 0;
}
#endif

/* The function that this one stands in front of. */
static void *behind(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL)
        abort();
    return found;
}

SEEN int fdatasync(int fd)
{
    int (*real)(int);
    *(void **)&real = behind("fdatasync");
    int result = real(fd);
    if (result == 0)
        note("fdatasync", fd);
    return result;
}

SEEN int fsync(int fd)
{
    int (*real)(int);
    *(void **)&real = behind("fsync");
    int result = real(fd);
    if (result == 0)
        note("fsync", fd);
    return result;
}

#ifdef HAVE_LIBURING
#include <liburing.h>

SEEN int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    if (getenv("SYNC_SPY_NO_URING") != NULL)
        return -ENOSYS;
    int (*real)(unsigned, struct io_uring *, unsigned);
    *(void **)&real = behind("io_uring_queue_init");
    return real(entries, ring, flags);
}

SEEN int io_uring_submit(struct io_uring *ring)
{
    for (unsigned at = ring->sq.sqe_head; at != ring->sq.sqe_tail; at++) {
        const struct io_uring_sqe *sqe = &ring->sq.sqes[at & *ring->sq.kring_mask];
        if (sqe->opcode == IORING_OP_FSYNC)
            note("uring", sqe->fd);
        else if (sqe->opcode == IORING_OP_WRITE && is_dsync(sqe->fd))
            note("direct", sqe->fd);
    }
    int (*real)(struct io_uring *);
    *(void **)&real = behind("io_uring_submit");
    return real(ring);
}
#endif
