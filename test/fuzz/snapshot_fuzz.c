/*
 * Loading a snapshot: bytes become the records of a file, with right checksums mostly, around a
 * stream of the store that was really written, or parts of one, or noise. What loads must be a
 * store that writes the very same snapshot when it is loaded again, and a receiver must take
 * exactly what a reader takes.
 */
#include "base/assert.h"
#include "codec/checksum.h"
#include "input.h"
#include "kv/kv.h"
#include "storage/snapshot_internal.h"
#include "unit/storage/mem_fs.h"

#include <string.h>

#define PATH "snap/0000000000000001.snap"
#define FILE_MAX 32768

struct image {
    struct buf file;
    struct snapshot_total total;
    struct buf sums; /* all chunks' payloads */
};

/* ---- writing the file ------------------------------------------------------------------------ */

static void put_meta(struct image *image, struct fuzz_input *in)
{
    struct snapshot_meta meta = {.index = 1, .term = fuzz_number(in)};
    for (uint8_t i = fuzz_byte(in) % 4; i > 0; i--)
        floe_ids_push(&meta.conf_state.voters, fuzz_number(in));
    for (uint8_t i = fuzz_byte(in) % 4; i > 0; i--)
        floe_ids_push(&meta.conf_state.learners, fuzz_number(in));
    size_t len;
    const uint8_t *app = fuzz_piece(in, &len);
    buf_add(&meta.app, app, len);
    snapshot_put_meta(&image->file, &meta);
    snapshot_meta_deinit(&meta);
}

static void put_chunk(struct image *image, const uint8_t *data, size_t len)
{
    image->total.chunks++;
    image->total.bytes += len;
    buf_add(&image->sums, data, len);
    struct record record = {
        .type = SNAPSHOT_CHUNK, .index = image->total.chunks, .payload = data, .payload_len = len};
    record_put(&image->file, &record);
}

static void put_end(struct image *image)
{
    struct checksum *sum = checksum_new();
    checksum_add(sum, image->sums.data, image->sums.len);
    image->total.sum = checksum_value(sum);
    checksum_free(sum);
    snapshot_put_end(&image->file, &image->total);
}

/* A store of some keys, as it would be written; then a byte of it may be turned. */
static void put_store(struct image *image, struct fuzz_input *in)
{
    struct kv *kv = kv_new();
    for (uint8_t i = fuzz_byte(in) % 16; i > 0; i--) {
        struct kv_op op = {.type = KV_OP_PUT};
        op.put.key.data = fuzz_piece(in, &op.put.key.len);
        op.put.value.data = fuzz_piece(in, &op.put.value.len);
        struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
        struct buf bytes = {0};
        kv_command_encode(&bytes, &command);
        struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 1, false);
        kv_result_deinit(&result);
        buf_deinit(&bytes);
    }
    struct kv_view *view = kv_view_new(kv);
    struct buf stream = {0};
    while (!kv_view_read(view, &stream, 100))
        continue;
    kv_view_free(view);
    kv_free(kv);
    uint64_t at = fuzz_number(in);
    uint8_t mask = fuzz_byte(in);
    stream.data[at % stream.len] ^= mask;
    size_t split = fuzz_byte(in) % stream.len;
    put_chunk(image, stream.data, split);
    put_chunk(image, stream.data + split, stream.len - split);
    buf_deinit(&stream);
}

static void put_any(struct image *image, struct fuzz_input *in)
{
    uint8_t type = fuzz_byte(in);
    struct record record = {.type = type != 0 ? type : 1, .index = fuzz_number(in)};
    record.payload = fuzz_piece(in, &record.payload_len);
    record_put(&image->file, &record);
}

static void part(struct image *image, struct fuzz_input *in)
{
    size_t len;
    const uint8_t *data;
    switch (fuzz_byte(in) % 6) {
    case 0:
    case 1: put_store(image, in); break;
    case 2:
        data = fuzz_piece(in, &len);
        put_chunk(image, data, len);
        break;
    case 3: put_end(image); break;
    case 4: put_any(image, in); break;
    default:
        data = fuzz_piece(in, &len);
        buf_add(&image->file, data, len);
        break;
    }
}

static void make_file(struct mem_fs *disk, struct fuzz_input *in)
{
    struct image image = {0};
    uint8_t how = fuzz_byte(in);
    if ((how & 1) == 0)
        put_meta(&image, in);
    while (fuzz_more(in) && image.file.len < FILE_MAX && image.total.bytes < FILE_MAX)
        part(&image, in);
    if ((how & 2) == 0)
        put_end(&image);
    if ((how & 4) != 0 && image.file.len > 0)
        image.file.data[(how * 97u) % image.file.len] ^= how;
    mem_fs_put(disk, PATH, image.file.data, image.file.len);
    buf_deinit(&image.file);
    buf_deinit(&image.sums);
}

/* ---- reading it ------------------------------------------------------------------------------ */

static void write_out(struct kv *kv, struct buf *out)
{
    struct kv_view *view = kv_view_new(kv);
    while (!kv_view_read(view, out, 64))
        continue;
    kv_view_free(view);
}

/* In pieces of a size of the input's choice. */
static struct kv *load(const struct buf *stream, size_t piece)
{
    struct kv *kv = NULL;
    struct kv_loader *loader = kv_loader_new();
    enum err err = ERR_OK;
    for (size_t at = 0; at < stream->len && err == ERR_OK; at += piece) {
        size_t left = stream->len - at;
        err = kv_loader_feed(loader, stream->data + at, left < piece ? left : piece);
    }
    enum err end = kv_loader_finish(loader, &kv);
    ASSERT(err == ERR_OK || end != ERR_OK);
    kv_loader_free(loader);
    return end == ERR_OK ? kv : NULL;
}

static void check_stream(const struct buf *stream, size_t piece)
{
    struct kv *kv = load(stream, piece);
    struct kv *whole = load(stream, stream->len + 1);
    ASSERT((kv == NULL) == (whole == NULL));
    if (kv == NULL)
        return;
    struct buf first = {0};
    struct buf second = {0};
    write_out(kv, &first);
    struct kv *again = load(&first, 7);
    ASSERT(again != NULL);
    write_out(again, &second);
    ASSERT(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    ASSERT(kv_count(kv) == kv_count(again) && kv_revision(kv) == kv_revision(again));
    ASSERT(kv_size_bytes(kv) == kv_size_bytes(again));
    buf_deinit(&first);
    buf_deinit(&second);
    kv_free(kv);
    kv_free(whole);
    kv_free(again);
}

/* A receiver that is given the records of a whole file makes a file that can be read. */
static void receive(const struct buf *encoded, floe_index index)
{
    struct mem_fs *disk = mem_fs_new();
    struct snapshot_writer *writer;
    ASSERT(snapshot_receiver_open(mem_fs_table(disk), NULL, &writer) == ERR_OK);
    for (size_t at = 0; at < encoded->len;) {
        struct record record;
        size_t used;
        ASSERT(record_get(encoded->data + at, encoded->len - at, SNAPSHOT_CHUNK_MAX, &record,
                          &used) == ERR_OK);
        ASSERT(snapshot_receiver_add(writer, &record) == ERR_OK);
        at += used;
    }
    ASSERT(snapshot_writer_finish(writer, SNAPSHOT_TOKEN_BASE) == ERR_OK);
    ASSERT(snapshot_writer_commit(writer) == ERR_OK);
    struct snapshot_reader *reader;
    ASSERT(snapshot_reader_open(mem_fs_table(disk), index, &reader, NULL) == ERR_OK);
    snapshot_reader_close(reader);
    mem_fs_free(disk);
}

static void read_file(struct mem_fs *disk, size_t piece)
{
    struct snapshot_reader *reader;
    struct buf why = {0};
    if (snapshot_reader_open(mem_fs_table(disk), 1, &reader, &why) != ERR_OK) {
        ASSERT(why.len > 0);
        buf_deinit(&why);
        return;
    }
    struct buf stream = {0};
    struct buf encoded = {0};
    struct record record;
    enum err err;
    while ((err = snapshot_reader_next(reader, &record, &encoded)) == ERR_OK)
        if (record.type == SNAPSHOT_CHUNK)
            buf_add(&stream, record.payload, record.payload_len);
    if (err == ERR_NOT_FOUND)
        receive(&encoded, 1);
    check_stream(&stream, piece);
    snapshot_reader_close(reader);
    buf_deinit(&stream);
    buf_deinit(&encoded);
    buf_deinit(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .len = size};
    struct mem_fs *disk = mem_fs_new();
    size_t piece = 1 + fuzz_byte(&in) % 64;
    make_file(disk, &in);
    read_file(disk, piece);
    ASSERT(mem_fs_open_files(disk) == 0);
    mem_fs_free(disk);
    return 0;
}
