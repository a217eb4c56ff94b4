/* Private to the files of the snapshot folder; snapshot_file.c has the format in prose. */
#ifndef STORAGE_SNAPSHOT_INTERNAL_H
#define STORAGE_SNAPSHOT_INTERNAL_H

#include "storage/snapshot_file.h"
#include "storage/snapshot_room.h"

#define SNAPSHOT_PATH_MAX 40
#define SNAPSHOT_RESERVED "snap/reserved"
#define SNAPSHOT_META_MAX SNAPSHOT_CHUNK_MAX /* payload bytes of META */

/* What END says: over all chunks. */
struct snapshot_total {
    uint64_t chunks;
    uint64_t sum;
    uint64_t bytes;
};

void snapshot_path(char *out, floe_index index, const char *suffix);

/* ---- the reserved room (snapshot_room.c); room may be NULL in the first two ------------------- */

/* The file, under this name from now on; NULL: there is none to be had. Not the borrower's to close
 * before snapshot_room_part. */
struct fs_file *snapshot_room_lend(struct snapshot_room *room, const char *path);
bool snapshot_room_is_lent(const struct snapshot_room *room, const struct fs_file *file);
/* The snapshot that has this name comes to nothing. */
void snapshot_room_take_back(struct snapshot_room *room, const char *path);
/* The snapshot is complete and has so many bytes: the file is the borrower's, without the rest,
 * which is reserved anew. */
enum err snapshot_room_part(struct snapshot_room *room, uint64_t used) MUST_USE;

/* ---- records --------------------------------------------------------------------------------- */

/* Appends the record. */
void snapshot_put_meta(struct buf *out, const struct snapshot_meta *meta);
void snapshot_put_end(struct buf *out, const struct snapshot_total *total);
/* ERR_CORRUPT, ERR_VERSION. Owned by caller. */
enum err snapshot_get_meta(const struct record *record, struct snapshot_meta *out) MUST_USE;
/* ERR_CORRUPT: malformed, or not these totals. */
enum err snapshot_check_end(const struct record *record,
                            const struct snapshot_total *total) MUST_USE;

#endif
