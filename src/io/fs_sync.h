/* What is done in the background for durability: io_uring if it can be had, else at once, with the
 * results queued. */
#ifndef IO_FS_SYNC_H
#define IO_FS_SYNC_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs_sync;

/* probe_fd: an open file of the file system in question, for a first trial. *error: errno of why
 * there is no io_uring though it was wanted; ENOSYS also where it is not compiled in; else 0. */
struct fs_sync *fs_sync_new(bool want_uring, int probe_fd, int *error);
void fs_sync_free(struct fs_sync *sync); /* waits for what is in flight */
/* Becomes readable when one has finished; -1: inline. Then fs_sync_on_wake is to be called. */
int fs_sync_wake_fd(const struct fs_sync *sync);
void fs_sync_on_wake(struct fs_sync *sync);
/* An fdatasync of fd. */
void fs_sync_start(struct fs_sync *sync, int fd, uint64_t token);
/* A write to fd, which makes it durable by itself (O_DSYNC). data is borrowed until *in_flight
 * becomes false; less than all of it is an error. */
void fs_sync_start_write(struct fs_sync *sync, int fd, const void *data, size_t len,
                         uint64_t offset, uint64_t token, bool *in_flight);
/* Something has finished that fs_sync_poll does not wait for. */
void fs_sync_put_done(struct fs_sync *sync, uint64_t token);
/* Blocks until *in_flight is false; what has finished is still to be polled. */
void fs_sync_wait(struct fs_sync *sync, const bool *in_flight);
/* error: errno of a failed one. */
bool fs_sync_poll(struct fs_sync *sync, uint64_t *token, int *error);

#endif
