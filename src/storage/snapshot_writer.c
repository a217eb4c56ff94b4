/*
 * Writes a snapshot file, our own or one that another member sends, under a .part name until it is
 * complete and synced. One write a record; nothing blocks but the directory sync in commit.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "codec/checksum.h"
#include "storage/snapshot_internal.h"

enum stage {
    STAGE_META,   /* receiver: nothing came yet */
    STAGE_CHUNKS, /* META is written */
    STAGE_END,    /* END is written */
    STAGE_SYNC,   /* the sync was started */
    STAGE_FAILED,
};

struct snapshot_writer {
    struct fs fs;
    struct snapshot_room *room; /* NULL: none */
    bool receiver;
    enum stage stage;
    struct fs_file *file; /* NULL before META */
    char path[SNAPSHOT_PATH_MAX];
    uint64_t offset;
    struct snapshot_meta meta;
    struct snapshot_total total; /* .sum is set at the end */
    struct checksum *sum;
    struct buf out; /* one record */
};

static struct snapshot_writer *writer_new(struct fs fs, struct snapshot_room *room, bool receiver)
{
    struct snapshot_writer *writer = mem_calloc(1, sizeof *writer);
    writer->fs = fs;
    writer->room = room;
    writer->receiver = receiver;
    writer->sum = checksum_new();
    return writer;
}

static void writer_free(struct snapshot_writer *writer)
{
    if (writer->file != NULL && !snapshot_room_is_lent(writer->room, writer->file))
        writer->fs.ops->close(writer->fs.ctx, writer->file);
    snapshot_meta_deinit(&writer->meta);
    checksum_free(writer->sum);
    buf_deinit(&writer->out);
    mem_free(writer);
}

/* Writes the record in out, then moves on to stage. */
static enum err write_out(struct snapshot_writer *writer, enum stage stage)
{
    ASSERT(writer->file != NULL && writer->stage != STAGE_FAILED);
    enum err err = writer->fs.ops->write(writer->fs.ctx, writer->file, writer->offset,
                                         writer->out.data, writer->out.len);
    writer->offset += writer->out.len;
    buf_clear(&writer->out);
    writer->stage = err == ERR_OK ? stage : STAGE_FAILED;
    return err;
}

static enum err open_file(struct snapshot_writer *writer)
{
    const struct fs fs = writer->fs;
    enum err err = fs.ops->make_dir(fs.ctx, "snap");
    if (err != ERR_OK)
        return err;
    writer->file = snapshot_room_lend(writer->room, writer->path);
    if (writer->file != NULL)
        return ERR_OK;
    return fs.ops->open(fs.ctx, writer->path, FS_OPEN_CREATE_FRESH, &writer->file);
}

/* The file comes into being with its META. */
static enum err begin_file(struct snapshot_writer *writer)
{
    snapshot_path(writer->path, writer->meta.index, writer->receiver ? ".recv.part" : ".snap.part");
    enum err err = open_file(writer);
    if (err != ERR_OK) {
        writer->file = NULL;
        writer->stage = STAGE_FAILED;
        return err;
    }
    snapshot_put_meta(&writer->out, &writer->meta);
    ASSERT(writer->receiver ||
           writer->out.len - RECORD_HEADER_BYTES <= SNAPSHOT_META_MAX); /* others' was checked */
    return write_out(writer, STAGE_CHUNKS);
}

static enum err write_chunk(struct snapshot_writer *writer, const uint8_t *data, size_t len)
{
    ASSERT(len <= SNAPSHOT_CHUNK_MAX);
    writer->total.chunks++;
    writer->total.bytes += len;
    checksum_add(writer->sum, data, len);
    struct record record = {.type = SNAPSHOT_CHUNK,
                            .index = writer->total.chunks,
                            .payload = data,
                            .payload_len = len};
    record_put(&writer->out, &record);
    return write_out(writer, STAGE_CHUNKS);
}

static enum err write_end(struct snapshot_writer *writer)
{
    writer->total.sum = checksum_value(writer->sum);
    snapshot_put_end(&writer->out, &writer->total);
    return write_out(writer, STAGE_END);
}

/* ---- our own --------------------------------------------------------------------------------- */

enum err snapshot_writer_open(struct fs fs, struct snapshot_room *room,
                              const struct snapshot_meta *meta, struct snapshot_writer **out)
{
    ASSERT(meta->index > 0);
    struct snapshot_writer *writer = writer_new(fs, room, false);
    writer->meta.index = meta->index;
    writer->meta.term = meta->term;
    writer->meta.conf_state = floe_conf_state_copy(&meta->conf_state);
    buf_add(&writer->meta.app, meta->app.data, meta->app.len);
    enum err err = begin_file(writer);
    if (err == ERR_OK)
        *out = writer;
    else
        snapshot_writer_abort(writer);
    return err;
}

enum err snapshot_writer_add(struct snapshot_writer *writer, const uint8_t *data, size_t len)
{
    ASSERT(!writer->receiver);
    if (writer->stage == STAGE_FAILED)
        return ERR_IO;
    ASSERT(writer->stage == STAGE_CHUNKS);
    return write_chunk(writer, data, len);
}

/* ---- received -------------------------------------------------------------------------------- */

enum err snapshot_receiver_open(struct fs fs, struct snapshot_room *room,
                                struct snapshot_writer **out)
{
    *out = writer_new(fs, room, true);
    return ERR_OK;
}

static enum err receive_meta(struct snapshot_writer *writer, const struct record *record)
{
    enum err err = snapshot_get_meta(record, &writer->meta);
    return err == ERR_OK ? begin_file(writer) : err;
}

static enum err receive_next(struct snapshot_writer *writer, const struct record *record)
{
    if (record->type == SNAPSHOT_CHUNK && record->index == writer->total.chunks + 1)
        return write_chunk(writer, record->payload, record->payload_len);
    writer->total.sum = checksum_value(writer->sum);
    enum err err = snapshot_check_end(record, &writer->total);
    return err == ERR_OK ? write_end(writer) : err;
}

enum err snapshot_receiver_add(struct snapshot_writer *writer, const struct record *record)
{
    ASSERT(writer->receiver && writer->stage != STAGE_SYNC);
    if (writer->stage == STAGE_FAILED)
        return ERR_IO;
    if (record->payload_len > SNAPSHOT_CHUNK_MAX)
        return ERR_CORRUPT;
    if (writer->stage == STAGE_META)
        return receive_meta(writer, record);
    return writer->stage == STAGE_CHUNKS ? receive_next(writer, record) : ERR_CORRUPT;
}

/* ---- the end --------------------------------------------------------------------------------- */

enum err snapshot_writer_finish(struct snapshot_writer *writer, uint64_t token)
{
    ASSERT(token >= SNAPSHOT_TOKEN_BASE && writer->stage != STAGE_SYNC);
    if (writer->stage == STAGE_FAILED)
        return ERR_IO;
    if (writer->receiver && writer->stage != STAGE_END)
        return ERR_CORRUPT; /* the sender stopped in the middle */
    enum err err = writer->stage == STAGE_CHUNKS ? write_end(writer) : ERR_OK;
    if (err == ERR_OK && snapshot_room_is_lent(writer->room, writer->file))
        err = snapshot_room_part(writer->room, writer->offset);
    if (err == ERR_OK)
        err = writer->fs.ops->sync_start(writer->fs.ctx, writer->file, token);
    writer->stage = err == ERR_OK ? STAGE_SYNC : STAGE_FAILED;
    return err;
}

enum err snapshot_writer_commit(struct snapshot_writer *writer)
{
    ASSERT(writer->stage == STAGE_SYNC);
    const struct fs fs = writer->fs;
    char path[SNAPSHOT_PATH_MAX];
    snapshot_path(path, writer->meta.index, ".snap");
    enum err err = fs.ops->rename(fs.ctx, writer->path, path);
    if (err != ERR_OK) {
        snapshot_writer_abort(writer);
        return err;
    }
    writer_free(writer);
    return fs.ops->sync_dir(fs.ctx, "snap");
}

void snapshot_writer_abort(struct snapshot_writer *writer)
{
    const struct fs fs = writer->fs;
    if (snapshot_room_is_lent(writer->room, writer->file)) {
        snapshot_room_take_back(writer->room, writer->path);
        writer->file = NULL;
    }
    if (writer->file != NULL)
        (void)fs.ops->remove(fs.ctx, writer->path); /* else it is a remnant for the next start */
    writer_free(writer);
}

const struct snapshot_meta *snapshot_writer_meta(const struct snapshot_writer *writer)
{
    return &writer->meta;
}
