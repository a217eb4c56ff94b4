/*
 * Reads a snapshot file record by record and trusts nothing in it: each record's checksum, their
 * order, and at the end the totals.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "codec/checksum.h"
#include "storage/snapshot_internal.h"

#include <inttypes.h>

struct snapshot_reader {
    struct fs fs;
    struct fs_file *file;
    struct snapshot_meta meta;
    uint64_t offset;
    bool meta_read;
    bool ended;
    struct snapshot_total total;
    struct checksum *sum;
    struct buf data; /* the record that was read last */
};

/* Appends exactly len bytes at the offset to data. A file that ends before: ERR_CORRUPT. */
static enum err read_more(struct snapshot_reader *reader, size_t len)
{
    size_t got = 0;
    uint8_t *at = buf_reserve(&reader->data, len);
    enum err err = reader->fs.ops->read(reader->fs.ctx, reader->file,
                                        reader->offset + reader->data.len, at, len, &got);
    if (err != ERR_OK)
        return err;
    reader->data.len += got;
    return got == len ? ERR_OK : ERR_CORRUPT;
}

/* The record at the offset, whatever it is. */
static enum err read_record(struct snapshot_reader *reader, struct record *out)
{
    buf_clear(&reader->data);
    enum err err = read_more(reader, RECORD_HEADER_BYTES);
    if (err != ERR_OK)
        return err;
    uint32_t payload_len = record_peek_payload_len(reader->data.data);
    if (payload_len > SNAPSHOT_CHUNK_MAX)
        return ERR_CORRUPT;
    if (payload_len > 0)
        err = read_more(reader, payload_len);
    size_t used = 0;
    if (err == ERR_OK)
        err = record_get(reader->data.data, reader->data.len, SNAPSHOT_CHUNK_MAX, out, &used);
    if (err == ERR_SHORT || err == ERR_TOO_LARGE)
        err = ERR_CORRUPT;
    ASSERT(err != ERR_OK || used == reader->data.len);
    return err;
}

static enum err check_order(struct snapshot_reader *reader, const struct record *record)
{
    if (!reader->meta_read)
        return record->type == SNAPSHOT_META ? ERR_OK : ERR_CORRUPT;
    if (record->type == SNAPSHOT_CHUNK && record->index == reader->total.chunks + 1) {
        reader->total.chunks++;
        reader->total.bytes += record->payload_len;
        checksum_add(reader->sum, record->payload, record->payload_len);
        return ERR_OK;
    }
    reader->total.sum = checksum_value(reader->sum);
    return snapshot_check_end(record, &reader->total);
}

enum err snapshot_reader_next(struct snapshot_reader *reader, struct record *out,
                              struct buf *encoded)
{
    if (reader->ended)
        return ERR_NOT_FOUND;
    struct record record;
    enum err err = read_record(reader, &record);
    if (err == ERR_OK)
        err = check_order(reader, &record);
    if (err != ERR_OK)
        return err;
    reader->meta_read = true;
    reader->ended = record.type == SNAPSHOT_END;
    reader->offset += reader->data.len;
    if (encoded != NULL)
        buf_add(encoded, reader->data.data, reader->data.len);
    *out = record;
    return ERR_OK;
}

static void explain(struct buf *why, const char *path, enum err err, const char *io)
{
    if (why == NULL)
        return;
    if (err == ERR_VERSION)
        buf_printf(why, "%s: written by a newer version of floe (this one reads format %d)", path,
                   SNAPSHOT_FORMAT_VERSION);
    else if (err == ERR_CORRUPT)
        buf_printf(why, "%s: damaged at offset 0: its first record is not valid", path);
    else
        buf_printf(why, "%s: %s", path, io);
}

static enum err read_meta(struct snapshot_reader *reader, floe_index index)
{
    struct record record;
    enum err err = read_record(reader, &record);
    if (err == ERR_OK)
        err = snapshot_get_meta(&record, &reader->meta);
    if (err == ERR_OK && reader->meta.index != index)
        err = ERR_CORRUPT;
    return err;
}

enum err snapshot_reader_open(struct fs fs, floe_index index, struct snapshot_reader **out,
                              struct buf *why)
{
    char path[SNAPSHOT_PATH_MAX];
    snapshot_path(path, index, ".snap");
    struct fs_file *file;
    enum err err = fs.ops->open(fs.ctx, path, FS_OPEN_READ, &file);
    if (err != ERR_OK) {
        explain(why, path, err, fs.ops->last_error(fs.ctx));
        return err;
    }
    struct snapshot_reader *reader = mem_calloc(1, sizeof *reader);
    reader->fs = fs;
    reader->file = file;
    reader->sum = checksum_new();
    err = read_meta(reader, index);
    if (err == ERR_OK) {
        *out = reader;
        return ERR_OK;
    }
    explain(why, path, err, fs.ops->last_error(fs.ctx));
    snapshot_reader_close(reader);
    return err;
}

void snapshot_reader_close(struct snapshot_reader *reader)
{
    reader->fs.ops->close(reader->fs.ctx, reader->file);
    snapshot_meta_deinit(&reader->meta);
    checksum_free(reader->sum);
    buf_deinit(&reader->data);
    mem_free(reader);
}

const struct snapshot_meta *snapshot_reader_meta(const struct snapshot_reader *reader)
{
    return &reader->meta;
}
