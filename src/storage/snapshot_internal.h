/* What writing and reading of snapshot files share. */
#ifndef STORAGE_SNAPSHOT_INTERNAL_H
#define STORAGE_SNAPSHOT_INTERNAL_H

#include "storage/snapshot_file.h"

#include <xxhash.h>

#define SNAPSHOT_NAME_MAX 40
#define SNAPSHOT_PAYLOAD_MAX (SNAPSHOT_CHUNK_MAX * 2u) /* larger lengths are damage */

void snapshot_name(floe_index index, char *out);
void snapshot_meta_encode(const struct snapshot_meta *meta, struct buf *out);
/* ERR_VERSION, ERR_CORRUPT; *out is owned by caller. */
enum err snapshot_meta_decode(const struct record *record, struct snapshot_meta *out) MUST_USE;
void snapshot_end_encode(uint64_t chunks, uint64_t sum, uint64_t bytes, struct buf *out);
enum err snapshot_end_check(const struct record *record, uint64_t chunks, uint64_t sum,
                            uint64_t bytes) MUST_USE;

#endif
