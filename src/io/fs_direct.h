/*
 * The end of one log file, written past the page cache: what is appended gathers in memory, and a
 * sync is one write of whole blocks (O_DIRECT, O_DSYNC) from there. On io_uring that needs no
 * thread: three processes at the same time took 206 us and 12 us of processor's time for what takes
 * 240 us and 44 us as a write and an fdatasync (4 KiB, ext4, virtio; test/bench/RESULTS.md).
 *
 * The last block, when it is not full, is written again with what comes next; what was durable in
 * it stays the same bytes, so a power cut in the middle, which a device does sector by sector, does
 * not change them. What was appended and not synced is lost with the process, not just with the
 * machine. All other ways to change the file go through the page cache, after fs_direct_settle.
 */
#ifndef IO_FS_DIRECT_H
#define IO_FS_DIRECT_H

#include "io/fs_sync.h"

/* Opaque, but embedded by its one user. */
struct fs_direct {
    int fd;           /* -1: the page cache is used */
    int cached_fd;    /* the same file through the page cache, borrowed */
    size_t block;     /* bytes; offsets and lengths of writes are multiples of it */
    uint64_t size;    /* of the file: nothing is written behind it */
    uint64_t written; /* blocks behind it are only reserved, and cost more to be written */
    bool has_tail;    /* the following are valid */
    uint64_t start;   /* offset of the first byte of buffer, a multiple of block */
    size_t len;       /* bytes in buffer */
    size_t clean;     /* of which so many need not be written */
    uint8_t *buffer;  /* aligned */
    size_t cap;
    uint8_t *sent; /* what is being written */
    size_t sent_cap;
    bool in_flight;
};

/* Does writing past the cache work in this folder? The bytes of a block, 0: no, and *error says
 * why. */
size_t fs_direct_try(int dir_fd, int *error);
/* path and cached_fd are the same open file. *direct.fd is -1 afterwards where it does not work. */
void fs_direct_open(struct fs_direct *direct, int dir_fd, const char *path, int cached_fd,
                    size_t block);
/* What was appended and not synced goes to the page cache. */
void fs_direct_close(struct fs_direct *direct, struct fs_sync *sync);
/* false: it must go through the page cache, after fs_direct_settle. */
bool fs_direct_append(struct fs_direct *direct, uint64_t offset, const void *data, size_t len);
/* Whether there is something to be written. */
bool fs_direct_is_dirty(const struct fs_direct *direct);
/* Writes it. Not while another write is in flight. */
void fs_direct_start(struct fs_direct *direct, struct fs_sync *sync, uint64_t token);
/* Waits for what is in flight, gives the rest to the page cache, and forgets all; false: errno. */
bool fs_direct_settle(struct fs_direct *direct, struct fs_sync *sync);
/* Something was written through the page cache, up to this offset. */
void fs_direct_note_written(struct fs_direct *direct, uint64_t end);
/* Its size has changed. After fs_direct_settle. */
void fs_direct_note_size(struct fs_direct *direct);

#endif
