/*
 * Snapshot files: format, remnants of a crash, and the folder as a whole.
 *
 * FORMAT: records of codec/record.h one behind the other, nothing in between:
 *   META   index and term of the last entry it holds; msgpack array: format version, conf state
 *          (bin, raft_codec), the owner's blob (bin)
 *   CHUNK  index = 1, 2, ...; the application's bytes, at most SNAPSHOT_CHUNK_MAX
 *   END    index = number of chunks; msgpack array: XXH3-64 over all chunk bytes in order, their
 *          count
 *
 * FILES AND REMNANTS
 *   snap/<16 hex>.snap       complete: its bytes were synced before it got this name, and the
 *                            directory was synced before anybody was told
 *   snap/<16 hex>.snap.part  one of ours that was not finished: removed at start
 *   snap/<16 hex>.recv.part  one from another member that was not finished: removed at start
 *   snap/reserved            room for the next one (snapshot_room.h): kept; where it is missing,
 *                            the largest .part becomes it
 * A process that dies between rename and the directory's sync leaves a name that a power cut may
 * still take: opening syncs the directory before anybody counts on it.
 * A crash between rename and the log's mark leaves a snapshot newer than the mark: it counts. One
 * between mark and release leaves older snapshots: the newest counts, the next release removes
 * them.
 *
 * DAMAGE: each record has a checksum, END one over all chunks. The newest one that cannot be read
 * is left where it is, and the one before it counts if the log has all that follows that one; for
 * this the two newest are kept, and the log behind the older one. An installed snapshot ends the
 * log before it, so there is nothing behind it to fall back to until another one was written.
 */
#include "storage/snapshot_file.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pack.h"
#include "codec/raft_codec.h"
#include "storage/snapshot_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void snapshot_meta_deinit(struct snapshot_meta *meta)
{
    floe_conf_state_deinit(&meta->conf_state);
    buf_deinit(&meta->app);
    *meta = (struct snapshot_meta){0};
}

void snapshot_path(char *out, floe_index index, const char *suffix)
{
    int len = snprintf(out, SNAPSHOT_PATH_MAX, "snap/%016" PRIx64 "%s", index, suffix);
    ASSERT(len > 0 && len < SNAPSHOT_PATH_MAX);
}

/* ---- META and END ---------------------------------------------------------------------------- */

void snapshot_put_meta(struct buf *out, const struct snapshot_meta *meta)
{
    struct buf conf_state = {0};
    raft_codec_put_conf_state(&conf_state, &meta->conf_state);
    size_t at = record_begin(out, SNAPSHOT_META, meta->index, meta->term);
    pack_array(out, 3);
    pack_u64(out, SNAPSHOT_FORMAT_VERSION);
    pack_bin(out, conf_state.data, conf_state.len);
    pack_bin(out, meta->app.data, meta->app.len);
    record_end(out, at);
    buf_deinit(&conf_state);
}

enum err snapshot_get_meta(const struct record *record, struct snapshot_meta *out)
{
    if (record->type != SNAPSHOT_META || record->index == 0)
        return ERR_CORRUPT;
    struct unpack in = unpack_init(record->payload, record->payload_len);
    uint32_t count = unpack_array(&in);
    uint64_t version = unpack_u64(&in);
    if (!in.failed && version > SNAPSHOT_FORMAT_VERSION)
        return ERR_VERSION;
    size_t conf_len;
    const uint8_t *conf = unpack_bin(&in, &conf_len);
    size_t app_len;
    const uint8_t *app = unpack_bin(&in, &app_len);
    unpack_rest(&in, count, 3);
    if (count < 3 || version == 0 || unpack_end(&in) != ERR_OK)
        return ERR_CORRUPT;
    struct snapshot_meta meta = {.index = record->index, .term = record->term};
    if (raft_codec_get_conf_state(conf, conf_len, &meta.conf_state) != ERR_OK)
        return ERR_CORRUPT;
    buf_add(&meta.app, app, app_len);
    *out = meta;
    return ERR_OK;
}

void snapshot_put_end(struct buf *out, const struct snapshot_total *total)
{
    size_t at = record_begin(out, SNAPSHOT_END, total->chunks, 0);
    pack_array(out, 2);
    pack_u64(out, total->sum);
    pack_u64(out, total->bytes);
    record_end(out, at);
}

enum err snapshot_check_end(const struct record *record, const struct snapshot_total *total)
{
    if (record->type != SNAPSHOT_END || record->index != total->chunks)
        return ERR_CORRUPT;
    struct unpack in = unpack_init(record->payload, record->payload_len);
    uint32_t count = unpack_array(&in);
    uint64_t sum = unpack_u64(&in);
    uint64_t bytes = unpack_u64(&in);
    unpack_rest(&in, count, 2);
    if (count < 2 || unpack_end(&in) != ERR_OK || sum != total->sum || bytes != total->bytes)
        return ERR_CORRUPT;
    return ERR_OK;
}

/* ---- the folder ------------------------------------------------------------------------------ */

struct part {
    char *name;
    uint64_t bytes;
};

struct listing {
    floe_index *snapshots;
    size_t snapshot_count;
    size_t snapshot_cap;
    bool has_reserved;
    struct part *parts; /* remnants */
    size_t part_count;
    size_t part_cap;
};

static bool parse_index(const char *name, floe_index *out)
{
    if (strlen(name) != 16 + strlen(".snap") || strcmp(name + 16, ".snap") != 0)
        return false;
    floe_index value = 0;
    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = strchr(digits, name[i]);
        if (at == NULL)
            return false;
        value = value * 16 + (floe_index)(at - digits);
    }
    *out = value;
    return value != 0;
}

static void on_name(void *arg, const char *name, uint64_t size)
{
    struct listing *listing = arg;
    size_t len = strlen(name);
    floe_index index;
    if (parse_index(name, &index)) {
        listing->snapshots = mem_grow(listing->snapshots, listing->snapshot_count,
                                      &listing->snapshot_cap, sizeof *listing->snapshots);
        listing->snapshots[listing->snapshot_count++] = index;
    } else if (len > 5 && len < 32 && strcmp(name + len - 5, ".part") == 0) {
        listing->parts = mem_grow(listing->parts, listing->part_count, &listing->part_cap,
                                  sizeof *listing->parts);
        listing->parts[listing->part_count++] = (struct part){mem_strdup(name), size};
    } else if (strcmp(name, strrchr(SNAPSHOT_RESERVED, '/') + 1) == 0) {
        listing->has_reserved = true;
    }
}

static void listing_deinit(struct listing *listing)
{
    for (size_t i = 0; i < listing->part_count; i++)
        mem_free(listing->parts[i].name);
    mem_free(listing->parts);
    mem_free(listing->snapshots);
}

static void put_largest_first(const struct listing *listing)
{
    for (size_t i = 1; i < listing->part_count; i++) {
        struct part part = listing->parts[i];
        if (part.bytes <= listing->parts[0].bytes)
            continue;
        listing->parts[i] = listing->parts[0];
        listing->parts[0] = part;
    }
}

static enum err remove_parts(struct fs fs, const struct logger *logger,
                             const struct listing *listing)
{
    for (size_t i = 0; i < listing->part_count; i++) {
        char path[SNAPSHOT_PATH_MAX];
        (void)snprintf(path, sizeof path, "snap/%.31s", listing->parts[i].name);
        if (i == 0 && !listing->has_reserved &&
            fs.ops->rename(fs.ctx, path, SNAPSHOT_RESERVED) == ERR_OK)
            continue;
        if (fs.ops->remove(fs.ctx, path) != ERR_OK)
            return ERR_IO;
        log_info(logger, "unfinished snapshot removed file=%s", path);
    }
    return ERR_OK;
}

enum err snapshot_folder_open(struct fs fs, const struct logger *logger, floe_index *newest)
{
    if (fs.ops->make_dir(fs.ctx, "snap") != ERR_OK || fs.ops->sync_dir(fs.ctx, "") != ERR_OK)
        return ERR_IO;
    struct listing listing = {0};
    enum err err = fs.ops->list(fs.ctx, "snap", on_name, &listing);
    put_largest_first(&listing);
    if (err == ERR_OK)
        err = remove_parts(fs, logger, &listing);
    /* the process may have died between a rename and its sync: the owner will count on the name */
    if (err == ERR_OK)
        err = fs.ops->sync_dir(fs.ctx, "snap");
    if (err == ERR_OK) {
        floe_index last = 0;
        for (size_t i = 0; i < listing.snapshot_count; i++)
            if (listing.snapshots[i] > last)
                last = listing.snapshots[i];
        *newest = last;
    }
    listing_deinit(&listing);
    return err;
}

enum err snapshot_folder_before(struct fs fs, floe_index index, floe_index *older)
{
    struct listing listing = {0};
    enum err err = fs.ops->list(fs.ctx, "snap", on_name, &listing);
    floe_index found = 0;
    for (size_t i = 0; i < listing.snapshot_count; i++)
        if (listing.snapshots[i] < index && listing.snapshots[i] > found)
            found = listing.snapshots[i];
    listing_deinit(&listing);
    if (err == ERR_OK)
        *older = found;
    return err;
}

uint64_t snapshot_folder_bytes(struct fs fs, floe_index index)
{
    char path[SNAPSHOT_PATH_MAX];
    snapshot_path(path, index, ".snap");
    struct fs_file *file;
    uint64_t bytes = 0;
    if (fs.ops->open(fs.ctx, path, FS_OPEN_READ, &file) != ERR_OK)
        return 0;
    if (fs.ops->size(fs.ctx, file, &bytes) != ERR_OK)
        bytes = 0;
    fs.ops->close(fs.ctx, file);
    return bytes;
}

/* One that comes back after a crash does no harm, hence no sync. */
enum err snapshot_folder_release(struct fs fs, floe_index index)
{
    struct listing listing = {0};
    enum err err = fs.ops->list(fs.ctx, "snap", on_name, &listing);
    for (size_t i = 0; i < listing.snapshot_count && err == ERR_OK; i++) {
        if (listing.snapshots[i] >= index)
            continue;
        char path[SNAPSHOT_PATH_MAX];
        snapshot_path(path, listing.snapshots[i], ".snap");
        err = fs.ops->remove(fs.ctx, path);
    }
    listing_deinit(&listing);
    return err;
}
