/*
 * Writing snap/<16 hex>.snap, our own and those that come from other members.
 *
 * What a crash can leave: own.part and incoming.part, never complete, removed at start; a complete
 * .snap that the log has no mark for yet, which is as good as any (it holds a committed prefix); older
 * ones that were not removed yet, which the next release removes.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "codec/pack.h"
#include "codec/raft_codec.h"
#include "storage/snapshot_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OWN_PART "snap/own.part"
#define INCOMING_PART "snap/incoming.part"

struct snapshot_writer {
    struct fs fs;
    struct fs_file *file;
    const char *part;
    uint64_t offset;
    struct snapshot_meta meta;
    bool receiver;
    bool has_meta;
    bool has_end;
    uint64_t chunks;
    uint64_t bytes;
    XXH3_state_t *sum;
    struct buf out;
};

void snapshot_name(floe_index index, char *out)
{
    (void)snprintf(out, SNAPSHOT_NAME_MAX, "snap/%016" PRIx64 ".snap", index);
}

void snapshot_meta_deinit(struct snapshot_meta *meta)
{
    floe_conf_state_deinit(&meta->conf_state);
    buf_deinit(&meta->app);
    *meta = (struct snapshot_meta){0};
}

void snapshot_meta_encode(const struct snapshot_meta *meta, struct buf *out)
{
    struct buf conf = {0};
    raft_codec_put_conf_state(&conf, &meta->conf_state);
    size_t begin = record_begin(out, SNAPSHOT_META, meta->index, meta->term);
    pack_array(out, 3);
    pack_u64(out, SNAPSHOT_FORMAT_VERSION);
    pack_bin(out, conf.data, conf.len);
    pack_bin(out, meta->app.data, meta->app.len);
    record_end(out, begin);
    buf_deinit(&conf);
}

enum err snapshot_meta_decode(const struct record *record, struct snapshot_meta *out)
{
    struct unpack in = unpack_init(record->payload, record->payload_len);
    uint32_t fields = unpack_array(&in);
    uint64_t version = unpack_u64(&in);
    if (!in.failed && version > SNAPSHOT_FORMAT_VERSION)
        return ERR_VERSION;
    size_t conf_len;
    const uint8_t *conf = unpack_bin(&in, &conf_len);
    size_t app_len;
    const uint8_t *app = unpack_bin(&in, &app_len);
    unpack_rest(&in, fields, 3);
    struct snapshot_meta meta = {.index = record->index, .term = record->term};
    if (unpack_end(&in) != ERR_OK || record->type != SNAPSHOT_META || meta.index == 0 ||
        raft_codec_get_conf_state(conf, conf_len, &meta.conf_state) != ERR_OK)
        return ERR_CORRUPT;
    buf_add(&meta.app, app, app_len);
    *out = meta;
    return ERR_OK;
}

void snapshot_end_encode(uint64_t chunks, uint64_t sum, uint64_t bytes, struct buf *out)
{
    size_t begin = record_begin(out, SNAPSHOT_END, chunks, 0);
    pack_array(out, 2);
    pack_u64(out, sum);
    pack_u64(out, bytes);
    record_end(out, begin);
}

enum err snapshot_end_check(const struct record *record, uint64_t chunks, uint64_t sum,
                            uint64_t bytes)
{
    struct unpack in = unpack_init(record->payload, record->payload_len);
    uint32_t fields = unpack_array(&in);
    bool same = unpack_u64(&in) == sum;
    same = unpack_u64(&in) == bytes && same && record->index == chunks;
    unpack_rest(&in, fields, 2);
    return unpack_end(&in) == ERR_OK && same ? ERR_OK : ERR_CORRUPT;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static enum err writer_open(struct fs fs, const char *part, struct snapshot_writer **out)
{
    struct fs_file *file;
    enum err err = fs.ops->make_dir(fs.ctx, "snap");
    if (err == ERR_OK)
        err = fs.ops->open(fs.ctx, part, FS_OPEN_CREATE_FRESH, &file);
    if (err != ERR_OK)
        return err;
    struct snapshot_writer *writer = mem_calloc(1, sizeof *writer);
    writer->fs = fs;
    writer->file = file;
    writer->part = part;
    writer->sum = XXH3_createState();
    ASSERT(writer->sum != NULL);
    (void)XXH3_64bits_reset(writer->sum);
    *out = writer;
    return ERR_OK;
}

static enum err flush(struct snapshot_writer *writer)
{
    enum err err = writer->fs.ops->write(writer->fs.ctx, writer->file, writer->offset,
                                         writer->out.data, writer->out.len);
    writer->offset += writer->out.len;
    buf_clear(&writer->out);
    return err;
}

static struct snapshot_meta meta_copy(const struct snapshot_meta *meta)
{
    struct snapshot_meta copy = {.index = meta->index,
                                 .term = meta->term,
                                 .conf_state = floe_conf_state_copy(&meta->conf_state)};
    buf_add(&copy.app, meta->app.data, meta->app.len);
    return copy;
}

enum err snapshot_writer_open(struct fs fs, const struct snapshot_meta *meta,
                              struct snapshot_writer **out)
{
    struct snapshot_writer *writer;
    enum err err = writer_open(fs, OWN_PART, &writer);
    if (err != ERR_OK)
        return err;
    writer->meta = meta_copy(meta);
    writer->has_meta = true;
    snapshot_meta_encode(meta, &writer->out);
    err = flush(writer);
    if (err != ERR_OK) {
        snapshot_writer_abort(writer);
        return err;
    }
    *out = writer;
    return ERR_OK;
}

static void count_chunk(struct snapshot_writer *writer, const uint8_t *data, size_t len)
{
    writer->chunks++;
    writer->bytes += len;
    (void)XXH3_64bits_update(writer->sum, data, len);
}

enum err snapshot_writer_add(struct snapshot_writer *writer, const uint8_t *data, size_t len)
{
    ASSERT(!writer->receiver && !writer->has_end && len <= SNAPSHOT_CHUNK_MAX);
    count_chunk(writer, data, len);
    struct record record = {.type = SNAPSHOT_CHUNK,
                            .index = writer->chunks,
                            .payload = data,
                            .payload_len = len};
    record_put(&writer->out, &record);
    return flush(writer);
}

enum err snapshot_receiver_open(struct fs fs, struct snapshot_writer **out)
{
    enum err err = writer_open(fs, INCOMING_PART, out);
    if (err == ERR_OK)
        (*out)->receiver = true;
    return err;
}

/* Is this the record that must come now? */
static enum err receive(struct snapshot_writer *writer, const struct record *record)
{
    if (writer->has_end)
        return ERR_CORRUPT;
    if (!writer->has_meta) {
        enum err err = snapshot_meta_decode(record, &writer->meta);
        writer->has_meta = err == ERR_OK;
        return err;
    }
    if (record->type == SNAPSHOT_CHUNK && record->index == writer->chunks + 1 &&
        record->payload_len <= SNAPSHOT_CHUNK_MAX) {
        count_chunk(writer, record->payload, record->payload_len);
        return ERR_OK;
    }
    if (record->type != SNAPSHOT_END)
        return ERR_CORRUPT;
    writer->has_end = true;
    return snapshot_end_check(record, writer->chunks, XXH3_64bits_digest(writer->sum),
                              writer->bytes);
}

enum err snapshot_receiver_add(struct snapshot_writer *writer, const struct record *record)
{
    ASSERT(writer->receiver);
    enum err err = receive(writer, record);
    if (err != ERR_OK)
        return err;
    record_put(&writer->out, record);
    return flush(writer);
}

enum err snapshot_writer_finish(struct snapshot_writer *writer, uint64_t token)
{
    if (writer->receiver && !writer->has_end)
        return ERR_CORRUPT;
    if (!writer->receiver) {
        snapshot_end_encode(writer->chunks, XXH3_64bits_digest(writer->sum), writer->bytes,
                            &writer->out);
        writer->has_end = true;
        enum err err = flush(writer);
        if (err != ERR_OK)
            return err;
    }
    return writer->fs.ops->sync_start(writer->fs.ctx, writer->file, token);
}

static void writer_free(struct snapshot_writer *writer)
{
    if (writer->file != NULL)
        writer->fs.ops->close(writer->fs.ctx, writer->file);
    (void)XXH3_freeState(writer->sum);
    snapshot_meta_deinit(&writer->meta);
    buf_deinit(&writer->out);
    mem_free(writer);
}

enum err snapshot_writer_commit(struct snapshot_writer *writer)
{
    ASSERT(writer->has_end);
    char name[SNAPSHOT_NAME_MAX];
    snapshot_name(writer->meta.index, name);
    enum err err = writer->fs.ops->rename(writer->fs.ctx, writer->part, name);
    if (err == ERR_OK)
        err = writer->fs.ops->sync_dir(writer->fs.ctx, "snap");
    writer_free(writer);
    return err;
}

void snapshot_writer_abort(struct snapshot_writer *writer)
{
    (void)writer->fs.ops->remove(writer->fs.ctx, writer->part);
    writer_free(writer);
}

const struct snapshot_meta *snapshot_writer_meta(const struct snapshot_writer *writer)
{
    return &writer->meta;
}
