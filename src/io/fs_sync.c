/* io_uring may be compiled out, missing from the kernel, or forbidden by a sandbox: each is noticed
 * at start, by a first sync that really runs, and answered by doing syncs inline. */
#include "io/fs_sync.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#define IN_FLIGHT_MAX 16

struct done {
    uint64_t token;
    int error;
};

struct fs_sync {
    int wake_fd; /* -1: inline */
    struct done done[IN_FLIGHT_MAX];
    unsigned done_count;
    unsigned in_flight;
#ifdef HAVE_LIBURING
    struct io_uring ring;
#endif
};

static int sync_inline(int fd)
{
    int result;
    do {
        result = fdatasync(fd);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

static void push(struct fs_sync *sync, uint64_t token, int error)
{
    ASSERT(sync->done_count < IN_FLIGHT_MAX);
    sync->done[sync->done_count++] = (struct done){token, error};
}

#ifdef HAVE_LIBURING
static bool submit(struct fs_sync *sync, int fd, uint64_t token)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&sync->ring);
    if (sqe == NULL)
        return false;
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(sqe, token);
    if (io_uring_submit(&sync->ring) != 1)
        return false;
    sync->in_flight++;
    return true;
}

/* Does a sync of a file really work through the ring? 0, or errno. */
static int try_out(struct fs_sync *sync, int probe_fd)
{
    struct io_uring_cqe *cqe = NULL;
    if (!submit(sync, probe_fd, 0))
        return ENOSYS;
    int result = io_uring_wait_cqe(&sync->ring, &cqe);
    if (result != 0)
        return -result;
    int error = cqe->res < 0 ? -cqe->res : 0;
    io_uring_cqe_seen(&sync->ring, cqe);
    sync->in_flight--;
    return error;
}

/* 0, or errno of why it cannot be had. */
static int open_ring(struct fs_sync *sync, int probe_fd)
{
    int result = io_uring_queue_init(IN_FLIGHT_MAX, &sync->ring, 0);
    if (result != 0)
        return -result;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = fd < 0 ? errno : try_out(sync, probe_fd);
    if (error == 0)
        error = -io_uring_register_eventfd(&sync->ring, fd);
    if (error == 0) {
        sync->wake_fd = fd;
        return 0;
    }
    if (fd >= 0)
        (void)close(fd);
    io_uring_queue_exit(&sync->ring);
    return error;
}

static void reap(struct fs_sync *sync)
{
    struct io_uring_cqe *cqe;
    while (sync->done_count < IN_FLIGHT_MAX && io_uring_peek_cqe(&sync->ring, &cqe) == 0) {
        push(sync, io_uring_cqe_get_data64(cqe), cqe->res < 0 ? -cqe->res : 0);
        io_uring_cqe_seen(&sync->ring, cqe);
        sync->in_flight--;
    }
}
#endif

struct fs_sync *fs_sync_new(bool want_uring, int probe_fd, int *error)
{
    struct fs_sync *sync = mem_calloc(1, sizeof *sync);
    sync->wake_fd = -1;
    *error = 0;
#ifdef HAVE_LIBURING
    if (want_uring)
        *error = open_ring(sync, probe_fd);
#else
    (void)probe_fd;
    if (want_uring)
        *error = ENOSYS;
#endif
    return sync;
}

void fs_sync_free(struct fs_sync *sync)
{
#ifdef HAVE_LIBURING
    struct io_uring_cqe *cqe;
    while (sync->wake_fd >= 0 && sync->in_flight > 0 &&
           io_uring_wait_cqe(&sync->ring, &cqe) == 0) {
        io_uring_cqe_seen(&sync->ring, cqe);
        sync->in_flight--;
    }
    if (sync->wake_fd >= 0)
        io_uring_queue_exit(&sync->ring);
#endif
    if (sync->wake_fd >= 0)
        (void)close(sync->wake_fd);
    mem_free(sync);
}

int fs_sync_wake_fd(const struct fs_sync *sync)
{
    return sync->wake_fd;
}

void fs_sync_on_wake(struct fs_sync *sync)
{
    uint64_t count;
    if (sync->wake_fd >= 0 && read(sync->wake_fd, &count, sizeof count) < 0)
        return; /* somebody else has heard it: what has finished is in the ring */
}

enum err fs_sync_start(struct fs_sync *sync, int fd, uint64_t token)
{
    ASSERT(sync->in_flight + sync->done_count < IN_FLIGHT_MAX);
#ifdef HAVE_LIBURING
    if (sync->wake_fd >= 0 && submit(sync, fd, token))
        return ERR_OK;
#endif
    push(sync, token, sync_inline(fd));
    return ERR_OK;
}

bool fs_sync_poll(struct fs_sync *sync, uint64_t *token, int *error)
{
#ifdef HAVE_LIBURING
    if (sync->in_flight > 0)
        reap(sync);
#endif
    if (sync->done_count == 0)
        return false;
    *token = sync->done[0].token;
    *error = sync->done[0].error;
    sync->done_count--;
    for (unsigned i = 0; i < sync->done_count; i++)
        sync->done[i] = sync->done[i + 1];
    return true;
}
