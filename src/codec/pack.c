/*
 * Writing goes through msgpack-c's packer. Reading is a cursor of our own over the format: the
 * library's unpacker builds a tree of objects, which a peer could make large with few bytes.
 */
#include "codec/pack.h"

#include "base/assert.h"

#include <msgpack.h>
#include <string.h>

#define SKIP_DEPTH 32

static int write_to_buf(void *arg, const char *data, size_t len)
{
    buf_add(arg, data, len);
    return 0;
}

static msgpack_packer packer_of(struct buf *out)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, write_to_buf);
    return packer;
}

void pack_array(struct buf *out, uint32_t count)
{
    msgpack_packer packer = packer_of(out);
    (void)msgpack_pack_array(&packer, count);
}

void pack_u64(struct buf *out, uint64_t value)
{
    msgpack_packer packer = packer_of(out);
    (void)msgpack_pack_uint64(&packer, value);
}

void pack_bool(struct buf *out, bool value)
{
    msgpack_packer packer = packer_of(out);
    (void)(value ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
}

void pack_nil(struct buf *out)
{
    msgpack_packer packer = packer_of(out);
    (void)msgpack_pack_nil(&packer);
}

void pack_bin(struct buf *out, const void *data, size_t len)
{
    ASSERT(len <= UINT32_MAX);
    msgpack_packer packer = packer_of(out);
    (void)msgpack_pack_bin(&packer, len);
    buf_add(out, data, len);
}

void pack_str(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    msgpack_packer packer = packer_of(out);
    (void)msgpack_pack_str(&packer, len);
    buf_add(out, text, len);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct unpack unpack_init(const void *data, size_t len)
{
    return (struct unpack){.data = data, .len = len};
}

static size_t left(const struct unpack *in)
{
    return in->len - in->pos;
}

static bool fail(struct unpack *in)
{
    in->failed = true;
    return false;
}

/* A big-endian number of size bytes. */
static bool take_number(struct unpack *in, size_t size, uint64_t *out)
{
    if (in->failed || left(in) < size)
        return fail(in);
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = (value << 8) | in->data[in->pos + i];
    in->pos += size;
    *out = value;
    return true;
}

static uint8_t take_tag(struct unpack *in)
{
    uint64_t tag = 0;
    return take_number(in, 1, &tag) ? (uint8_t)tag : 0xc1; /* 0xc1 is never used */
}

uint32_t unpack_array(struct unpack *in)
{
    uint8_t tag = take_tag(in);
    uint64_t count = 0;
    if (tag >= 0x90 && tag <= 0x9f)
        count = tag & 0x0f;
    else if (tag == 0xdc)
        (void)take_number(in, 2, &count);
    else if (tag == 0xdd)
        (void)take_number(in, 4, &count);
    else
        (void)fail(in);
    if (in->failed || count > left(in)) {
        (void)fail(in);
        return 0;
    }
    return (uint32_t)count;
}

uint64_t unpack_u64(struct unpack *in)
{
    uint8_t tag = take_tag(in);
    uint64_t value = 0;
    if (tag <= 0x7f && !in->failed)
        return tag;
    if (tag >= 0xcc && tag <= 0xcf)
        (void)take_number(in, (size_t)1 << (tag - 0xcc), &value);
    else
        (void)fail(in);
    return in->failed ? 0 : value;
}

bool unpack_bool(struct unpack *in)
{
    uint8_t tag = take_tag(in);
    if (tag != 0xc2 && tag != 0xc3)
        (void)fail(in);
    return tag == 0xc3;
}

bool unpack_is_nil(const struct unpack *in)
{
    return !in->failed && left(in) > 0 && in->data[in->pos] == 0xc0;
}

void unpack_nil(struct unpack *in)
{
    if (take_tag(in) != 0xc0)
        (void)fail(in);
}

/* Length of a bin or str whose tag has been read; false for other tags. */
static bool bin_length(struct unpack *in, uint8_t tag, uint64_t *len)
{
    if (tag >= 0xa0 && tag <= 0xbf) {
        *len = tag & 0x1f;
        return true;
    }
    switch (tag) {
    case 0xc4:
    case 0xd9: return take_number(in, 1, len);
    case 0xc5:
    case 0xda: return take_number(in, 2, len);
    case 0xc6:
    case 0xdb: return take_number(in, 4, len);
    default: return false;
    }
}

const uint8_t *unpack_bin(struct unpack *in, size_t *len)
{
    static const uint8_t nothing;
    uint64_t size = 0;
    *len = 0;
    if (!bin_length(in, take_tag(in), &size) || in->failed || size > left(in)) {
        (void)fail(in);
        return &nothing;
    }
    const uint8_t *at = in->data + in->pos;
    in->pos += (size_t)size;
    *len = (size_t)size;
    return at;
}

static bool skip_bytes(struct unpack *in, uint64_t size)
{
    if (in->failed || size > left(in))
        return fail(in);
    in->pos += (size_t)size;
    return true;
}

/* Bytes behind the tag of a scalar of fixed size; -1 for anything else. */
static int fixed_size(uint8_t tag)
{
    if (tag <= 0x7f || tag >= 0xe0 || tag == 0xc0 || tag == 0xc2 || tag == 0xc3)
        return 0;
    if (tag >= 0xcc && tag <= 0xcf)
        return 1 << (tag - 0xcc);
    if (tag >= 0xd0 && tag <= 0xd3)
        return 1 << (tag - 0xd0);
    if (tag == 0xca)
        return 4;
    if (tag == 0xcb)
        return 8;
    if (tag >= 0xd4 && tag <= 0xd8)
        return 1 + (1 << (tag - 0xd4));
    return -1;
}

/* Number of values inside a container whose tag has been read; false for other tags. */
static bool container_count(struct unpack *in, uint8_t tag, uint64_t *count)
{
    if (tag >= 0x80 && tag <= 0x9f) {
        *count = tag < 0x90 ? (tag & 0x0fu) * 2u : tag & 0x0fu;
        return true;
    }
    if (tag < 0xdc || tag > 0xdf)
        return false;
    bool ok = take_number(in, tag % 2 == 0 ? 2 : 4, count);
    if (tag >= 0xde)
        *count *= 2;
    return ok;
}

/* One value; containers only open: their count goes to *inside. */
static void skip_one(struct unpack *in, uint64_t *inside)
{
    uint8_t tag = take_tag(in);
    int fixed = in->failed ? -1 : fixed_size(tag);
    uint64_t len = 0;
    *inside = 0;
    if (fixed >= 0) {
        (void)skip_bytes(in, (uint64_t)fixed);
    } else if (bin_length(in, tag, &len)) {
        (void)skip_bytes(in, len);
    } else if (container_count(in, tag, inside)) {
        if (*inside > left(in))
            (void)fail(in);
    } else if (tag >= 0xc7 && tag <= 0xc9 &&
               take_number(in, (size_t)1 << (tag - 0xc7), &len)) {
        (void)skip_bytes(in, len + 1);
    } else {
        (void)fail(in);
    }
}

void unpack_skip(struct unpack *in)
{
    uint64_t open[SKIP_DEPTH];
    size_t depth = 0;
    open[0] = 1;
    while (!in->failed) {
        while (open[depth] == 0) {
            if (depth == 0)
                return;
            depth--;
        }
        open[depth]--;
        uint64_t inside;
        skip_one(in, &inside);
        if (inside == 0)
            continue;
        if (depth + 1 == SKIP_DEPTH) {
            (void)fail(in);
            return;
        }
        open[++depth] = inside;
    }
}

void unpack_rest(struct unpack *in, uint32_t count, uint32_t known)
{
    for (uint32_t i = known; i < count && !in->failed; i++)
        unpack_skip(in);
}

enum err unpack_end(const struct unpack *in)
{
    return in->failed || in->pos != in->len ? ERR_INVALID : ERR_OK;
}
