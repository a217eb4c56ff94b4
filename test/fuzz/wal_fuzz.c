/*
 * Opening a log: bytes become segment files out of valid records, wrong ones with right checksums,
 * zeros and noise, then single bytes are turned. Whatever lies there, wal_open refuses it or hands
 * out entries without a gap, and what it handed out is there again after the next append.
 */
#include "base/assert.h"
#include "codec/raft_codec.h"
#include "input.h"
#include "storage/wal_internal.h"
#include "unit/storage/mem_fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEGMENTS_MAX 6
#define FILE_MAX 16384

struct image {
    struct buf file[SEGMENTS_MAX];
    size_t at;
    uint64_t base;    /* position of file[at] */
    uint64_t durable; /* what records of now on say */
    floe_index last;
    floe_term term;
    struct floe_hard_state hs;
    floe_index mark;
    floe_term mark_term;
};

static uint64_t position(const struct image *image)
{
    return image->base + image->file[image->at].len;
}

static void put_head(struct image *image, struct fuzz_input *in)
{
    struct wal_head head = {.number = image->at + 1,
                            .meta = {.id = 1, .cluster = "c"},
                            .hard_state = image->hs,
                            .mark_index = image->mark,
                            .mark_term = image->mark_term,
                            .last_index = image->last};
    uint8_t odd = fuzz_byte(in);
    if ((odd & 1) != 0)
        head.mark_index = fuzz_number(in);
    if ((odd & 2) != 0)
        head.last_index = image->last = fuzz_number(in);
    if ((odd & 4) != 0)
        head.reserved = fuzz_number(in) % 65536;
    if ((odd & 8) != 0)
        head.number = fuzz_number(in);
    image->mark = head.mark_index;
    wal_record_put_head(&image->file[image->at], position(image), image->durable, &head);
}

static void put_entry(struct image *image, struct fuzz_input *in, uint64_t back)
{
    size_t len;
    const uint8_t *data = fuzz_piece(in, &len);
    struct floe_entry entry = {.index = image->last + 1 - back,
                               .term = image->term,
                               .type = FLOE_ENTRY_NORMAL,
                               .data = len > 0 ? floe_blob_new(data, len) : NULL};
    wal_record_put_entry(&image->file[image->at], position(image), image->durable, &entry);
    image->last = entry.index;
    floe_blob_unref(entry.data);
}

static void put_mark(struct image *image, struct fuzz_input *in)
{
    uint8_t keep = fuzz_byte(in);
    struct floe_snapshot mark = {.index = image->mark + fuzz_number(in), .term = image->term};
    wal_record_put_mark(&image->file[image->at], position(image), image->durable, &mark,
                        (keep & 1) != 0);
    image->mark = mark.index;
    image->mark_term = mark.term;
    if ((keep & 1) == 0 || mark.index > image->last)
        image->last = mark.index;
}

/* A right checksum and position over whatever the bytes say. */
static void put_any(struct image *image, struct fuzz_input *in)
{
    uint8_t type = fuzz_byte(in);
    struct record record = {.type = type != 0 ? type : 1, .index = fuzz_number(in)};
    record.term = fuzz_number(in);
    struct buf payload = {0};
    uint8_t prefix[WAL_PREFIX_BYTES];
    put_u64(prefix, position(image));
    put_u64(prefix + 8, fuzz_number(in));
    buf_add(&payload, prefix, sizeof prefix);
    size_t len;
    const uint8_t *body = fuzz_piece(in, &len);
    buf_add(&payload, body, len);
    record.payload = payload.data;
    record.payload_len = payload.len;
    record_put(&image->file[image->at], &record);
    buf_deinit(&payload);
}

static void put_noise(struct image *image, struct fuzz_input *in, bool zeros)
{
    size_t len;
    const uint8_t *data = fuzz_piece(in, &len);
    struct buf *file = &image->file[image->at];
    for (size_t i = 0; i < len; i++)
        buf_add_u8(file, zeros ? 0 : data[i]);
}

static void next_segment(struct image *image, struct fuzz_input *in)
{
    if (image->at + 1 == SEGMENTS_MAX)
        return;
    image->base = position(image);
    image->at++;
    put_head(image, in);
}

/* Sometimes it names another one than the next, or nothing follows. */
static void put_next(struct image *image, struct fuzz_input *in)
{
    uint8_t odd = fuzz_byte(in);
    uint64_t number = (odd & 1) != 0 ? fuzz_number(in) : image->at + 2;
    wal_record_put_next(&image->file[image->at], position(image), image->durable, number);
    if (image->durable > position(image)) /* the positions have begun anew */
        image->durable = position(image);
    if ((odd & 2) == 0)
        next_segment(image, in);
}

static void cut(struct image *image, struct fuzz_input *in)
{
    struct buf *file = &image->file[image->at];
    uint64_t less = fuzz_number(in);
    file->len -= less < file->len ? (size_t)less : file->len;
}

static void part(struct image *image, struct fuzz_input *in)
{
    switch (fuzz_byte(in) % 14) {
    case 0:
    case 1: put_entry(image, in, 0); break;
    case 2: put_entry(image, in, fuzz_byte(in)); break;
    case 3:
    case 4:
        image->hs = (struct floe_hard_state){image->term, 1, fuzz_number(in)};
        wal_record_put_state(&image->file[image->at], position(image), image->durable, &image->hs);
        break;
    case 5: put_mark(image, in); break;
    case 6: put_any(image, in); break;
    case 7: put_noise(image, in, false); break;
    case 8: put_noise(image, in, true); break;
    case 9: next_segment(image, in); break;
    case 10: cut(image, in); break;
    case 11: image->term += fuzz_byte(in); break;
    case 12: put_next(image, in); break;
    default:
        if (position(image) >= image->durable)
            image->durable = position(image);
        break;
    }
    if (image->durable > position(image)) /* after a cut: no writer could say it */
        image->durable = position(image);
}

static void turn_a_byte(struct image *image, struct fuzz_input *in)
{
    struct buf *file = &image->file[fuzz_byte(in) % (image->at + 1)];
    uint64_t at = fuzz_number(in);
    uint8_t mask = fuzz_byte(in);
    if (file->len > 0)
        file->data[at % file->len] ^= mask;
}

static void make_files(struct mem_fs *disk, struct fuzz_input *in)
{
    struct image image = {.term = 1, .hs = {1, 1, 0}};
    uint8_t flips = fuzz_byte(in);
    bool gap = (flips & 64) != 0;
    image.base = (flips & 32) != 0 ? fuzz_number(in) : 0;
    if ((flips & 16) == 0)
        put_head(&image, in);
    while (fuzz_more(in) && image.file[image.at].len < FILE_MAX) {
        if ((flips & 7) != 0 && in->len - in->pos < 3u * (flips & 7))
            turn_a_byte(&image, in);
        else
            part(&image, in);
    }
    for (size_t i = 0; i <= image.at; i++) {
        char path[WAL_PATH_MAX];
        (void)snprintf(path, sizeof path, "wal/%016zx.%s", i + 1 + (gap && i > 1 ? 1 : 0),
                       (flips & 128) != 0 && i == image.at ? "spare" : "wal");
        mem_fs_put(disk, path, image.file[i].data, image.file[i].len);
        buf_deinit(&image.file[i]);
    }
}

static void check_found(const struct wal_recovered *found)
{
    for (size_t i = 0; i < found->entry_count; i++)
        ASSERT(found->entries[i].index == found->snapshot_index + 1 + i);
    for (size_t i = 0; i < found->older_count; i++)
        ASSERT(found->older[i].index == found->first_index + 1 + i);
    ASSERT(found->first_index + found->older_count == found->snapshot_index);
    ASSERT(!found->fresh || (found->entry_count == 0 && found->snapshot_index == 0));
}

static bool is_same(const struct floe_entry *a, const struct floe_entry *b)
{
    return a->index == b->index && a->term == b->term && a->type == b->type &&
           floe_blob_size(a->data) == floe_blob_size(b->data) &&
           (floe_blob_size(a->data) == 0 ||
            memcmp(floe_blob_data(a->data), floe_blob_data(b->data), floe_blob_size(a->data)) == 0);
}

/* The second finds all of the first, and one entry more. */
static void check_again(const struct wal_recovered *first, const struct wal_recovered *second,
                        size_t more)
{
    ASSERT(second->entry_count == first->entry_count + more);
    ASSERT(second->snapshot_index == first->snapshot_index && second->torn_bytes == 0);
    ASSERT(second->older_count == first->older_count);
    ASSERT(second->hard_state.commit == first->hard_state.commit);
    for (size_t i = 0; i < first->entry_count; i++)
        ASSERT(is_same(&first->entries[i], &second->entries[i]));
}

static void append_one(struct wal *wal, const struct wal_recovered *found)
{
    struct floe_entry entry = {.index = found->snapshot_index + found->entry_count + 1,
                               .term = UINT64_MAX};
    ASSERT(wal_append(wal, NULL, &entry, 1) == ERR_OK);
    ASSERT(wal_sync_now(wal) == ERR_OK);
    ASSERT(wal_prepare(wal) == ERR_OK);
}

static void check_log(struct mem_fs *disk, bool full)
{
    struct wal_options options = {.fs = mem_fs_table(disk),
                                  .first_segment_bytes = 600,
                                  .segment_bytes = 1000,
                                  .short_segment_bytes = 300,
                                  .max_record_bytes = 8192};
    struct wal *wal;
    struct wal_recovered found;
    struct wal_recovered again;
    struct buf why = {0};
    if (full) /* no room to reserve anything while it opens */
        mem_fs_set_capacity(disk, 1);
    enum err err = wal_open(&options, &wal, &found, &why);
    mem_fs_set_capacity(disk, 0);
    if (err != ERR_OK) {
        ASSERT(why.len > 0);
        buf_deinit(&why);
        return;
    }
    check_found(&found);
    bool more = !found.fresh && found.snapshot_index + found.entry_count < UINT64_MAX - 1 &&
                wal_segment_count(wal) > 0;
    if (more)
        append_one(wal, &found);
    wal_close(wal);
    err = wal_open(&options, &wal, &again, &why);
    ASSERT_MSG(err == ERR_OK, buf_str(&why));
    buf_deinit(&why);
    check_found(&again);
    check_again(&found, &again, more ? 1 : 0);
    wal_close(wal);
    wal_recovered_deinit(&found);
    wal_recovered_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .len = size};
    struct mem_fs *disk = mem_fs_new();
    bool full = (fuzz_byte(&in) & 1) != 0;
    make_files(disk, &in);
    check_log(disk, full);
    ASSERT(mem_fs_open_files(disk) == 0);
    mem_fs_free(disk);
    return 0;
}
