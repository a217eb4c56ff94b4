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

/* Under way in the ring. */
struct op {
    uint64_t token;
    int fd;
    const char *data; /* of a write, and the following */
    size_t len;
    uint64_t offset;
    bool *in_flight; /* told when it is over; NULL: free, unless is_sync */
    bool is_sync;
};

struct fs_sync {
    int wake_fd; /* -1: inline */
    struct done done[IN_FLIGHT_MAX];
    unsigned done_count;
    unsigned in_flight;
    struct op ops[IN_FLIGHT_MAX];
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

static int write_inline(int fd, const void *data, size_t len, uint64_t offset)
{
    ssize_t n;
    do {
        n = pwrite(fd, data, len, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? errno : (size_t)n == len ? 0 : EIO;
}

static void push(struct fs_sync *sync, uint64_t token, int error)
{
    ASSERT(sync->done_count < IN_FLIGHT_MAX);
    sync->done[sync->done_count++] = (struct done){token, error};
}

void fs_sync_put_done(struct fs_sync *sync, uint64_t token)
{
    push(sync, token, 0);
}

#ifdef HAVE_LIBURING
static struct op *free_op(struct fs_sync *sync)
{
    for (unsigned i = 0; i < IN_FLIGHT_MAX; i++)
        if (sync->ops[i].in_flight == NULL && !sync->ops[i].is_sync)
            return &sync->ops[i];
    UNREACHABLE("more in flight than there is room for");
}

static bool submit(struct fs_sync *sync, struct io_uring_sqe *sqe, const struct op *op)
{
    struct op *place = free_op(sync);
    *place = *op;
    io_uring_sqe_set_data(sqe, place);
    if (io_uring_submit(&sync->ring) != 1) {
        *place = (struct op){0};
        return false;
    }
    sync->in_flight++;
    return true;
}

static bool submit_sync(struct fs_sync *sync, int fd, uint64_t token)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&sync->ring);
    if (sqe == NULL)
        return false;
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    return submit(sync, sqe, &(struct op){.token = token, .is_sync = true});
}

static bool submit_write(struct fs_sync *sync, const struct op *op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&sync->ring);
    if (sqe == NULL)
        return false;
    io_uring_prep_write(sqe, op->fd, op->data, (unsigned)op->len, op->offset);
    return submit(sync, sqe, op);
}

/* A write that ended early goes on at once: most likely it now hears why. */
static int outcome_of(const struct op *op, int result)
{
    if (result < 0)
        return -result;
    size_t done = (size_t)result;
    return op->is_sync || done == op->len
               ? 0
               : write_inline(op->fd, op->data + done, op->len - done, op->offset + done);
}

/* Ends an operation; errno, or 0. */
static int finish(struct fs_sync *sync, struct io_uring_cqe *cqe, uint64_t *token)
{
    struct op *op = io_uring_cqe_get_data(cqe);
    int error = outcome_of(op, cqe->res);
    *token = op->token;
    if (op->in_flight != NULL)
        *op->in_flight = false;
    *op = (struct op){0};
    io_uring_cqe_seen(&sync->ring, cqe);
    sync->in_flight--;
    return error;
}

/* Does a sync of a file really work through the ring? 0, or errno. */
static int try_out(struct fs_sync *sync, int probe_fd)
{
    struct io_uring_cqe *cqe = NULL;
    uint64_t token;
    if (!submit_sync(sync, probe_fd, 0))
        return ENOSYS;
    int result = io_uring_wait_cqe(&sync->ring, &cqe);
    if (result != 0)
        return -result;
    return finish(sync, cqe, &token);
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
        uint64_t token;
        int error = finish(sync, cqe, &token);
        push(sync, token, error);
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
    uint64_t token;
    while (sync->wake_fd >= 0 && sync->in_flight > 0 && io_uring_wait_cqe(&sync->ring, &cqe) == 0)
        (void)finish(sync, cqe, &token);
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

void fs_sync_start(struct fs_sync *sync, int fd, uint64_t token)
{
    ASSERT(sync->in_flight + sync->done_count < IN_FLIGHT_MAX);
#ifdef HAVE_LIBURING
    if (sync->wake_fd >= 0 && submit_sync(sync, fd, token))
        return;
#endif
    push(sync, token, sync_inline(fd));
}

void fs_sync_start_write(struct fs_sync *sync, int fd, const void *data, size_t len,
                         uint64_t offset, uint64_t token, bool *in_flight)
{
    ASSERT(sync->in_flight + sync->done_count < IN_FLIGHT_MAX);
    *in_flight = true;
#ifdef HAVE_LIBURING
    struct op op = {.token = token,
                    .fd = fd,
                    .data = data,
                    .len = len,
                    .offset = offset,
                    .in_flight = in_flight};
    if (sync->wake_fd >= 0 && submit_write(sync, &op))
        return;
#endif
    *in_flight = false;
    push(sync, token, write_inline(fd, data, len, offset));
}

void fs_sync_wait(struct fs_sync *sync, const bool *in_flight)
{
#ifdef HAVE_LIBURING
    struct io_uring_cqe *cqe;
    while (*in_flight && io_uring_wait_cqe(&sync->ring, &cqe) == 0)
        reap(sync);
#endif
    ASSERT(!*in_flight);
    (void)sync;
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
