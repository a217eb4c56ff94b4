/*
 * Framing and checksum of one record; knows nothing of files or connections. The checksum is the
 * hash of the payload seeded with the hash of the 24 header bytes, so that the two parts need not
 * lie together and nothing is copied.
 */
#include "codec/record.h"

#include "base/assert.h"

#include <string.h>
#include <xxhash.h>

enum {
    AT_LEN = 0,
    AT_TYPE = 4,
    AT_VERSION = 5,
    AT_ZERO = 6,
    AT_CHECKSUM = 8,
    AT_INDEX = 16,
    AT_TERM = 24,
};

static uint64_t checksum(const uint8_t *header, const uint8_t *payload, size_t len)
{
    uint8_t covered[24];
    memcpy(covered, header, AT_CHECKSUM);
    memcpy(covered + AT_CHECKSUM, header + AT_INDEX, RECORD_HEADER_BYTES - AT_INDEX);
    XXH64_hash_t seed = XXH3_64bits(covered, sizeof covered);
    return XXH3_64bits_withSeed(len > 0 ? payload : covered, len, seed);
}

size_t record_begin(struct buf *out, uint8_t type, uint64_t index, uint64_t term)
{
    ASSERT(type != 0);
    size_t begin = out->len;
    uint8_t *header = buf_reserve(out, RECORD_HEADER_BYTES);
    memset(header, 0, RECORD_HEADER_BYTES);
    header[AT_TYPE] = type;
    header[AT_VERSION] = RECORD_VERSION;
    put_u64(header + AT_INDEX, index);
    put_u64(header + AT_TERM, term);
    out->len += RECORD_HEADER_BYTES;
    return begin;
}

void record_end(struct buf *out, size_t begin)
{
    ASSERT(out->len >= RECORD_HEADER_BYTES && begin <= out->len - RECORD_HEADER_BYTES);
    uint8_t *header = out->data + begin;
    size_t len = out->len - begin - RECORD_HEADER_BYTES;
    ASSERT(len <= UINT32_MAX);
    ASSERT(header[AT_TYPE] != 0 && header[AT_VERSION] == RECORD_VERSION);
    put_u32(header + AT_LEN, (uint32_t)len);
    put_u64(header + AT_CHECKSUM, checksum(header, header + RECORD_HEADER_BYTES, len));
}

void record_put(struct buf *out, const struct record *record)
{
    ASSERT(record->payload_len <= UINT32_MAX);
    (void)buf_reserve(out, RECORD_HEADER_BYTES + record->payload_len);
    size_t begin = record_begin(out, record->type, record->index, record->term);
    buf_add(out, record->payload, record->payload_len);
    record_end(out, begin);
}

uint32_t record_peek_payload_len(const uint8_t *header)
{
    return get_u32(header + AT_LEN);
}

bool record_is_blank(const uint8_t *header)
{
    static const uint8_t blank[RECORD_HEADER_BYTES];
    return memcmp(header, blank, RECORD_HEADER_BYTES) == 0;
}

/* What no writer of any version puts there: covers the blank header too. */
static bool header_is_impossible(const uint8_t *header)
{
    if (header[AT_TYPE] == 0 || header[AT_VERSION] == 0)
        return true;
    return header[AT_VERSION] == RECORD_VERSION && get_u16(header + AT_ZERO) != 0;
}

enum err record_get(const uint8_t *data, size_t len, size_t max_payload, struct record *out,
                    size_t *used)
{
    if (len < RECORD_HEADER_BYTES)
        return ERR_SHORT;
    if (header_is_impossible(data))
        return ERR_CORRUPT;
    size_t payload_len = record_peek_payload_len(data);
    if (payload_len > max_payload)
        return ERR_TOO_LARGE;
    if (payload_len > len - RECORD_HEADER_BYTES)
        return ERR_SHORT;
    const uint8_t *payload = data + RECORD_HEADER_BYTES;
    if (get_u64(data + AT_CHECKSUM) != checksum(data, payload, payload_len))
        return ERR_CORRUPT;
    if (data[AT_VERSION] != RECORD_VERSION) /* only now can the version byte be believed */
        return ERR_VERSION;
    *out = (struct record){.type = data[AT_TYPE],
                           .index = get_u64(data + AT_INDEX),
                           .term = get_u64(data + AT_TERM),
                           .payload = payload,
                           .payload_len = payload_len};
    *used = RECORD_HEADER_BYTES + payload_len;
    return ERR_OK;
}
