/*
 * Writing goes through msgpack-c's packer into a struct buf. Reading is a cursor of our own over
 * the msgpack format: msgpack-c's unpacker builds objects whose size the sender chooses, while this
 * allocates nothing and never moves past len.
 */
#include "codec/pack.h"

#include "base/assert.h"

#include <msgpack/pack.h>
#include <string.h>

/* First bytes of the msgpack format that are told apart here. */
enum {
    FIXMAP = 0x80,
    FIXARRAY = 0x90,
    FIXSTR = 0xa0,
    NIL = 0xc0,
    NEVER_USED = 0xc1,
    BOOL_FALSE = 0xc2,
    BOOL_TRUE = 0xc3,
    BIN8 = 0xc4,
    BIN32 = 0xc6,
    EXT8 = 0xc7,
    EXT32 = 0xc9,
    FLOAT32 = 0xca,
    FLOAT64 = 0xcb,
    UINT8 = 0xcc,
    UINT64 = 0xcf,
    INT8 = 0xd0,
    INT64 = 0xd3,
    FIXEXT1 = 0xd4,
    FIXEXT16 = 0xd8,
    STR8 = 0xd9,
    STR32 = 0xdb,
    ARRAY16 = 0xdc,
    ARRAY32 = 0xdd,
    MAP16 = 0xde,
    MAP32 = 0xdf,
    NEGATIVE_FIXINT = 0xe0,
};

static int write_to_buf(void *out, const char *data, size_t len)
{
    buf_add(out, data, len);
    return 0;
}

static msgpack_packer packer(struct buf *out)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, write_to_buf);
    return pk;
}

void pack_array(struct buf *out, uint32_t count)
{
    msgpack_packer pk = packer(out);
    (void)msgpack_pack_array(&pk, count);
}

void pack_u64(struct buf *out, uint64_t value)
{
    msgpack_packer pk = packer(out);
    (void)msgpack_pack_uint64(&pk, value);
}

void pack_bool(struct buf *out, bool value)
{
    msgpack_packer pk = packer(out);
    (void)(value ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk));
}

void pack_nil(struct buf *out)
{
    msgpack_packer pk = packer(out);
    (void)msgpack_pack_nil(&pk);
}

void pack_bin(struct buf *out, const void *data, size_t len)
{
    ASSERT(len <= UINT32_MAX);
    msgpack_packer pk = packer(out);
    (void)msgpack_pack_bin(&pk, len);
    (void)msgpack_pack_bin_body(&pk, data, len);
}

void pack_str(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    ASSERT(len <= UINT32_MAX);
    msgpack_packer pk = packer(out);
    (void)msgpack_pack_str(&pk, len);
    (void)msgpack_pack_str_body(&pk, text, len);
}

struct unpack unpack_init(const void *data, size_t len)
{
    return (struct unpack){.data = data, .len = len};
}

static size_t left(const struct unpack *in)
{
    return in->failed ? 0 : in->len - in->pos;
}

/* Moves over n bytes; NULL and failed if they are not there. */
static const uint8_t *take(struct unpack *in, size_t n)
{
    if (in->failed || n > in->len - in->pos) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *at = in->data + in->pos;
    in->pos += n;
    return at;
}

/* The byte that tells the type; NEVER_USED if there is none. */
static uint8_t take_tag(struct unpack *in)
{
    const uint8_t *at = take(in, 1);
    return at != NULL ? *at : NEVER_USED;
}

/* A big-endian number of width 1, 2, 4 or 8 bytes. */
static uint64_t take_number(struct unpack *in, size_t width)
{
    const uint8_t *at = take(in, width);
    uint64_t value = 0;
    for (size_t i = 0; at != NULL && i < width; i++)
        value = (value << 8) | at[i];
    return value;
}

/* A count of things that need at least each bytes; more than what is left is a lie. */
static uint32_t believed(struct unpack *in, uint64_t count, size_t each)
{
    if (in->failed || count > left(in) / each) {
        in->failed = true;
        return 0;
    }
    return (uint32_t)count;
}

uint32_t unpack_array(struct unpack *in)
{
    uint8_t tag = take_tag(in);
    uint64_t count = 0;
    if (tag >= FIXARRAY && tag < FIXSTR)
        count = (uint64_t)(tag - FIXARRAY);
    else if (tag == ARRAY16 || tag == ARRAY32)
        count = take_number(in, tag == ARRAY16 ? 2 : 4);
    else
        in->failed = true;
    return believed(in, count, 1);
}

uint64_t unpack_u64(struct unpack *in)
{
    uint8_t tag = take_tag(in);
    if (tag < FIXMAP)
        return tag;
    if (tag >= UINT8 && tag <= UINT64)
        return take_number(in, (size_t)1 << (tag - UINT8));
    in->failed = true;
    return 0;
}

bool unpack_bool(struct unpack *in)
{
    uint8_t tag = take_tag(in);
    if (tag != BOOL_TRUE && tag != BOOL_FALSE)
        in->failed = true;
    return tag == BOOL_TRUE;
}

bool unpack_is_nil(const struct unpack *in)
{
    return left(in) > 0 && in->data[in->pos] == NIL;
}

void unpack_nil(struct unpack *in)
{
    if (take_tag(in) != NIL)
        in->failed = true;
}

const uint8_t *unpack_bin(struct unpack *in, size_t *len)
{
    uint8_t tag = take_tag(in);
    uint64_t size = 0;
    if (tag >= FIXSTR && tag < NIL)
        size = (uint64_t)(tag - FIXSTR);
    else if (tag >= BIN8 && tag <= BIN32)
        size = take_number(in, (size_t)1 << (tag - BIN8));
    else if (tag >= STR8 && tag <= STR32)
        size = take_number(in, (size_t)1 << (tag - STR8));
    else
        in->failed = true;
    const uint8_t *at = take(in, (size_t)size);
    *len = at != NULL ? (size_t)size : 0;
    return at;
}

/* Payload bytes behind the tag of a value that holds no others; arrays and maps give 0. */
static uint64_t scalar_bytes(struct unpack *in, uint8_t tag)
{
    if (tag >= FIXSTR && tag < NIL)
        return (uint64_t)(tag - FIXSTR);
    if (tag >= BIN8 && tag <= BIN32)
        return take_number(in, (size_t)1 << (tag - BIN8));
    if (tag >= EXT8 && tag <= EXT32)
        return take_number(in, (size_t)1 << (tag - EXT8)) + 1;
    if (tag == FLOAT32 || tag == FLOAT64)
        return tag == FLOAT32 ? 4 : 8;
    if (tag >= UINT8 && tag <= UINT64)
        return (uint64_t)1 << (tag - UINT8);
    if (tag >= INT8 && tag <= INT64)
        return (uint64_t)1 << (tag - INT8);
    if (tag >= FIXEXT1 && tag <= FIXEXT16)
        return ((uint64_t)1 << (tag - FIXEXT1)) + 1;
    if (tag >= STR8 && tag <= STR32)
        return take_number(in, (size_t)1 << (tag - STR8));
    return 0;
}

/* Values inside the array or map whose tag was read; 0 for others. */
static uint64_t inner_values(struct unpack *in, uint8_t tag)
{
    if (tag >= FIXMAP && tag < FIXARRAY)
        return 2 * (uint64_t)(tag - FIXMAP);
    if (tag >= FIXARRAY && tag < FIXSTR)
        return (uint64_t)(tag - FIXARRAY);
    if (tag == ARRAY16 || tag == ARRAY32)
        return take_number(in, tag == ARRAY16 ? 2 : 4);
    if (tag == MAP16 || tag == MAP32)
        return 2 * take_number(in, tag == MAP16 ? 2 : 4);
    return 0;
}

/* The values still to come are only counted, so nesting needs neither a stack nor a limit: the
 * bytes that are left bound the count. */
void unpack_skip(struct unpack *in)
{
    for (uint64_t pending = 1; pending > 0 && !in->failed; pending--) {
        uint8_t tag = take_tag(in);
        if (tag == NEVER_USED)
            in->failed = true;
        pending += inner_values(in, tag);
        (void)take(in, (size_t)scalar_bytes(in, tag));
        if (pending > left(in) + 1)
            in->failed = true;
    }
}

void unpack_rest(struct unpack *in, uint32_t count, uint32_t known)
{
    if (count < known)
        in->failed = true;
    for (uint32_t i = known; i < count && !in->failed; i++)
        unpack_skip(in);
}

enum err unpack_end(const struct unpack *in)
{
    return in->failed || in->pos != in->len ? ERR_INVALID : ERR_OK;
}
