/*
 * Room for the next snapshot: the file snap/reserved, whose blocks are given to it ahead. The
 * writer of a snapshot takes it over under its own name, so that it needs nothing more of the disk
 * than what is there already; what it does not use is reserved again before its sync.
 *
 * Whatever is in the file means nothing. It need not survive a power cut, and a start without it is
 * one without reserved room. A process that dies while it writes a snapshot leaves the blocks in a
 * .part, which becomes the reserved file at the next start (snapshot_file.c).
 */
#ifndef STORAGE_SNAPSHOT_ROOM_H
#define STORAGE_SNAPSHOT_ROOM_H

#include "storage/fs.h"

#include <stdbool.h>

struct snapshot_room;

/* The folder is there (snapshot_folder_open). Cannot fail: nothing is reserved then. */
struct snapshot_room *snapshot_room_new(struct fs fs);
void snapshot_room_free(struct snapshot_room *room); /* what is reserved stays so */
/* Bytes that a snapshot can be written into; also while one is. */
uint64_t snapshot_room_bytes(const struct snapshot_room *room);
/* More, or less. False: it is as it was, for want of room or because it cannot be changed now. */
bool snapshot_room_resize(struct snapshot_room *room, uint64_t bytes);

#endif
