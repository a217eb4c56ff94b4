/* The tail of a file in memory, two buffers of it: one is written while the other one is filled. */
#include "io/fs_direct.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT 4096
#define AHEAD_BYTES (128u << 10) /* of zeros, where blocks are only reserved */
#define KEPT_BYTES (256u << 10)  /* larger buffers are given back */
#define TRY_NAME "direct.try"
#define TRY_BYTES 8192

static uint64_t down(uint64_t offset, size_t unit)
{
    return offset / unit * unit;
}

static uint64_t up(uint64_t offset, size_t unit)
{
    return down(offset + unit - 1, unit);
}

static uint8_t *aligned(size_t len)
{
    void *memory = NULL;
    ASSERT_MSG(posix_memalign(&memory, ALIGNMENT, len) == 0, "out of memory");
    return memory;
}

/* ---- does it work? --------------------------------------------------------------------------- */

static int try_block(int fd, size_t block)
{
    uint8_t *zeros = aligned(TRY_BYTES);
    memset(zeros, 0, TRY_BYTES);
    ssize_t n = pwrite(fd, zeros, block, (off_t)block);
    int error = n < 0 ? errno : (size_t)n == block ? 0 : EIO;
    free(zeros);
    return error;
}

size_t fs_direct_try(int dir_fd, int *error)
{
    static const size_t blocks[] = {512, 4096};
    size_t found = 0;
    int fd = openat(dir_fd, TRY_NAME, O_RDWR | O_CREAT | O_DIRECT | O_DSYNC | O_CLOEXEC, 0600);
    *error = fd < 0 ? errno : 0;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && fd >= 0 && found == 0; i++) {
        *error = try_block(fd, blocks[i]);
        found = *error == 0 ? blocks[i] : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    (void)unlinkat(dir_fd, TRY_NAME, 0);
    return found;
}

/* ---- life ------------------------------------------------------------------------------------ */

void fs_direct_note_size(struct fs_direct *direct)
{
    struct stat info;
    if (direct->fd < 0)
        return;
    direct->size = fstat(direct->cached_fd, &info) == 0 ? (uint64_t)info.st_size : 0;
    off_t hole = lseek(direct->cached_fd, 0, SEEK_HOLE);
    direct->written = hole >= 0 ? (uint64_t)hole : direct->size;
}

void fs_direct_note_written(struct fs_direct *direct, uint64_t end)
{
    if (end > direct->written)
        direct->written = end;
}

void fs_direct_open(struct fs_direct *direct, int dir_fd, const char *path, int cached_fd,
                    size_t block)
{
    *direct = (struct fs_direct){.fd = -1, .cached_fd = cached_fd, .block = block};
    if (block > 0)
        direct->fd = openat(dir_fd, path, O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC | O_NOFOLLOW);
    fs_direct_note_size(direct);
}

static void forget(struct fs_direct *direct)
{
    free(direct->buffer);
    free(direct->sent);
    direct->buffer = NULL;
    direct->sent = NULL;
    direct->cap = 0;
    direct->sent_cap = 0;
    direct->has_tail = false;
}

bool fs_direct_settle(struct fs_direct *direct, struct fs_sync *sync)
{
    if (direct->fd < 0 || !direct->has_tail)
        return true;
    fs_sync_wait(sync, &direct->in_flight);
    size_t done = direct->clean;
    while (done < direct->len) {
        ssize_t n = pwrite(direct->cached_fd, direct->buffer + done, direct->len - done,
                           (off_t)(direct->start + done));
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    forget(direct);
    return true;
}

void fs_direct_close(struct fs_direct *direct, struct fs_sync *sync)
{
    (void)fs_direct_settle(direct, sync); /* it was not synced: nobody counts on it */
    forget(direct);
    if (direct->fd >= 0)
        (void)close(direct->fd);
    direct->fd = -1;
}

/* ---- the tail -------------------------------------------------------------------------------- */

static void reserve(struct fs_direct *direct, size_t len)
{
    if (len <= direct->cap)
        return;
    size_t cap = up(len > 2 * direct->cap ? len : 2 * direct->cap, ALIGNMENT);
    uint8_t *grown = aligned(cap);
    if (direct->len > 0)
        memcpy(grown, direct->buffer, direct->len);
    free(direct->buffer);
    direct->buffer = grown;
    direct->cap = cap;
}

/* What is in the block in front of offset must be written again with it. */
static bool begin(struct fs_direct *direct, uint64_t offset)
{
    direct->start = down(offset, direct->block);
    direct->len = 0;
    size_t before = (size_t)(offset - direct->start);
    reserve(direct, direct->block);
    ssize_t n =
        before > 0 ? pread(direct->cached_fd, direct->buffer, before, (off_t)direct->start) : 0;
    if (n < 0 || (size_t)n != before)
        return false;
    direct->len = before;
    direct->clean = before;
    direct->has_tail = true;
    return true;
}

bool fs_direct_append(struct fs_direct *direct, uint64_t offset, const void *data, size_t len)
{
    if (direct->fd < 0 || up(offset + len, direct->block) > direct->size)
        return false;
    if (direct->has_tail ? offset != direct->start + direct->len : !begin(direct, offset))
        return false;
    reserve(direct, direct->len + len);
    memcpy(direct->buffer + direct->len, data, len);
    direct->len += len;
    return true;
}

bool fs_direct_is_dirty(const struct fs_direct *direct)
{
    return direct->has_tail && direct->clean < direct->len;
}

/* Zeros up to the end of the last block, and in front of blocks that were never written some more:
 * to make one of those cheap is to write it, and many at once cost as much as one. Returns the end,
 * counted from start. */
static size_t pad(struct fs_direct *direct)
{
    uint64_t end = up(direct->start + direct->len, direct->block);
    if (end > direct->written) {
        uint64_t ahead = up(end, AHEAD_BYTES);
        end = ahead <= direct->size ? ahead : end;
        direct->written = end;
    }
    size_t to = (size_t)(end - direct->start);
    reserve(direct, to);
    memset(direct->buffer + direct->len, 0, to - direct->len);
    return to;
}

/* The buffer is being written from here on; the other one goes on with the last block. */
static void swap(struct fs_direct *direct)
{
    uint8_t *buffer = direct->sent;
    size_t cap = direct->sent_cap;
    direct->sent = direct->buffer;
    direct->sent_cap = direct->cap;
    bool is_large = cap > KEPT_BYTES;
    if (is_large)
        free(buffer);
    direct->buffer = is_large ? NULL : buffer;
    direct->cap = is_large ? 0 : cap;
    uint64_t end = direct->start + direct->len;
    uint64_t start = down(end, direct->block);
    size_t from = (size_t)(start - direct->start);
    direct->len = 0;
    reserve(direct, direct->block);
    direct->len = (size_t)(end - start);
    direct->clean = direct->len;
    direct->start = start;
    memcpy(direct->buffer, direct->sent + from, direct->len);
}

void fs_direct_start(struct fs_direct *direct, struct fs_sync *sync, uint64_t token)
{
    ASSERT(!direct->in_flight && fs_direct_is_dirty(direct));
    size_t from = (size_t)down(direct->clean, direct->block);
    size_t to = pad(direct);
    uint64_t offset = direct->start + from;
    swap(direct);
    fs_sync_start_write(sync, direct->fd, direct->sent + from, to - from, offset, token,
                        &direct->in_flight);
}
