/* Background syncs: io_uring if it can be had, else inline with the results queued. */
#ifndef IO_FS_SYNC_H
#define IO_FS_SYNC_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct fs_sync;

/* probe_fd: an open file of the file system in question, for a first trial. *error: errno of why
 * there is no io_uring though it was wanted; ENOSYS also where it is not compiled in; else 0. */
struct fs_sync *fs_sync_new(bool want_uring, int probe_fd, int *error);
void fs_sync_free(struct fs_sync *sync); /* waits for syncs in flight */
/* Becomes readable when one has finished; -1: inline. Then fs_sync_on_wake is to be called. */
int fs_sync_wake_fd(const struct fs_sync *sync);
void fs_sync_on_wake(struct fs_sync *sync);
enum err fs_sync_start(struct fs_sync *sync, int fd, uint64_t token);
/* error: errno of a failed one. */
bool fs_sync_poll(struct fs_sync *sync, uint64_t *token, int *error);

#endif
