/* Reading snapshot files record by record, and keeping their folder tidy. */
#include "base/mem.h"
#include "storage/snapshot_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct snapshot_reader {
    struct fs fs;
    struct fs_file *file;
    uint64_t offset;
    struct snapshot_meta meta;
    struct buf data; /* the record read last */
    uint64_t chunks;
    uint64_t bytes;
    XXH3_state_t *sum;
    bool ended;
};

static enum err read_exactly(struct snapshot_reader *reader, size_t len)
{
    size_t got = 0;
    uint8_t *at = buf_reserve(&reader->data, len);
    enum err err =
        reader->fs.ops->read(reader->fs.ctx, reader->file, reader->offset, at, len, &got);
    reader->data.len += got;
    reader->offset += got;
    if (err == ERR_OK && got < len)
        return ERR_CORRUPT;
    return err;
}

static enum err read_record(struct snapshot_reader *reader, struct record *out)
{
    buf_clear(&reader->data);
    enum err err = read_exactly(reader, RECORD_HEADER_BYTES);
    if (err != ERR_OK)
        return err;
    size_t len = record_peek_payload_len(reader->data.data);
    if (len > SNAPSHOT_PAYLOAD_MAX)
        return ERR_CORRUPT;
    err = read_exactly(reader, len);
    size_t used;
    if (err == ERR_OK)
        err = record_get(reader->data.data, reader->data.len, SNAPSHOT_PAYLOAD_MAX, out, &used);
    return err == ERR_SHORT || err == ERR_TOO_LARGE ? ERR_CORRUPT : err;
}

static enum err check_order(struct snapshot_reader *reader, const struct record *record,
                            uint64_t offset)
{
    if (offset == 0)
        return record->type == SNAPSHOT_META ? ERR_OK : ERR_CORRUPT;
    if (record->type == SNAPSHOT_CHUNK && record->index == reader->chunks + 1) {
        reader->chunks++;
        reader->bytes += record->payload_len;
        (void)XXH3_64bits_update(reader->sum, record->payload, record->payload_len);
        return ERR_OK;
    }
    if (record->type != SNAPSHOT_END)
        return ERR_CORRUPT;
    reader->ended = true;
    return snapshot_end_check(record, reader->chunks, XXH3_64bits_digest(reader->sum),
                              reader->bytes);
}

enum err snapshot_reader_next(struct snapshot_reader *reader, struct record *out,
                              struct buf *encoded)
{
    if (reader->ended)
        return ERR_NOT_FOUND;
    uint64_t offset = reader->offset;
    struct record record;
    enum err err = read_record(reader, &record);
    if (err == ERR_OK)
        err = check_order(reader, &record, offset);
    if (err != ERR_OK)
        return err;
    if (encoded != NULL)
        buf_add(encoded, reader->data.data, reader->data.len);
    *out = record;
    return ERR_OK;
}

static enum err read_meta(struct snapshot_reader *reader, floe_index index)
{
    struct record record;
    enum err err = read_record(reader, &record);
    if (err == ERR_OK)
        err = snapshot_meta_decode(&record, &reader->meta);
    if (err == ERR_OK && reader->meta.index != index)
        err = ERR_CORRUPT;
    reader->offset = 0;
    return err;
}

enum err snapshot_reader_open(struct fs fs, floe_index index, struct snapshot_reader **out,
                              struct buf *why)
{
    char name[SNAPSHOT_NAME_MAX];
    snapshot_name(index, name);
    struct snapshot_reader *reader = mem_calloc(1, sizeof *reader);
    reader->fs = fs;
    reader->sum = XXH3_createState();
    (void)XXH3_64bits_reset(reader->sum);
    enum err err = fs.ops->open(fs.ctx, name, FS_OPEN_READ, &reader->file);
    if (err != ERR_OK)
        reader->file = NULL;
    else
        err = read_meta(reader, index);
    if (err == ERR_OK) {
        *out = reader;
        return ERR_OK;
    }
    if (why != NULL)
        buf_printf(why, "%s offset 0: %s", name,
                   reader->file == NULL ? fs.ops->last_error(fs.ctx) : err_str(err));
    snapshot_reader_close(reader);
    return err;
}

void snapshot_reader_close(struct snapshot_reader *reader)
{
    if (reader->file != NULL)
        reader->fs.ops->close(reader->fs.ctx, reader->file);
    (void)XXH3_freeState(reader->sum);
    snapshot_meta_deinit(&reader->meta);
    buf_deinit(&reader->data);
    mem_free(reader);
}

const struct snapshot_meta *snapshot_reader_meta(const struct snapshot_reader *reader)
{
    return &reader->meta;
}

/* ---- the folder ------------------------------------------------------------------------------- */

struct listing {
    floe_index *index;
    size_t count;
    size_t cap;
    bool parts;
};

static void on_name(void *arg, const char *name, uint64_t size)
{
    (void)size;
    struct listing *listing = arg;
    size_t len = strlen(name);
    if (len == 21 && strcmp(name + 16, ".snap") == 0 && strspn(name, "0123456789abcdef") == 16) {
        listing->index =
            mem_grow(listing->index, listing->count, &listing->cap, sizeof *listing->index);
        listing->index[listing->count++] = strtoull(name, NULL, 16);
    } else if (len > 5 && strcmp(name + len - 5, ".part") == 0) {
        listing->parts = true;
    }
}

static enum err remove_if_there(struct fs fs, const char *name)
{
    enum err err = fs.ops->remove(fs.ctx, name);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err snapshot_folder_open(struct fs fs, const struct logger *logger, floe_index *newest)
{
    *newest = 0;
    struct listing listing = {0};
    enum err err = fs.ops->make_dir(fs.ctx, "snap");
    if (err == ERR_OK)
        err = fs.ops->list(fs.ctx, "snap", on_name, &listing);
    for (size_t i = 0; i < listing.count; i++)
        *newest = listing.index[i] > *newest ? listing.index[i] : *newest;
    if (err == ERR_OK && listing.parts) {
        log_info(logger, "removing unfinished snapshots");
        err = remove_if_there(fs, "snap/own.part");
        if (err == ERR_OK)
            err = remove_if_there(fs, "snap/incoming.part");
    }
    mem_free(listing.index);
    return err;
}

enum err snapshot_folder_release(struct fs fs, floe_index index)
{
    struct listing listing = {0};
    enum err err = fs.ops->list(fs.ctx, "snap", on_name, &listing);
    for (size_t i = 0; i < listing.count && err == ERR_OK; i++) {
        if (listing.index[i] >= index)
            continue;
        char name[SNAPSHOT_NAME_MAX];
        snapshot_name(listing.index[i], name);
        err = fs.ops->remove(fs.ctx, name);
    }
    mem_free(listing.index);
    return err;
}
