/* RFC 6455: 4.2.2 (the answer to a key), 5.2 to 5.5 (frames). */
#include "io/websocket.h"
#include "base/assert.h"
#include "base/text.h"

#include <string.h>

#define SHA1_BLOCK 64
#define PIECE_BYTES 4096
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_CHARS 24

/* ---- the handshake --------------------------------------------------------------------------- */

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

static uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t f = b ^ c ^ d;
    if (round < 20)
        f = (b & c) | (~b & d);
    else if (round >= 40 && round < 60)
        f = (b & c) | (b & d) | (c & d);
    return f + constants[round / 20];
}

static void sha1_block(uint32_t hash[5], const uint8_t *block)
{
    uint32_t words[80];
    for (unsigned i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (unsigned i = 16; i < 80; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    uint32_t v[5];
    memcpy(v, hash, sizeof v);
    for (unsigned i = 0; i < 80; i++) {
        uint32_t next = rotate(v[0], 5) + mix(i, v[1], v[2], v[3]) + v[4] + words[i];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotate(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (unsigned i = 0; i < 5; i++)
        hash[i] += v[i];
}

/* SHA-1 (FIPS 180-4) of a text that fits, padded, into two blocks: the handshake wants no more. */
static void sha1_short(const char *text, size_t len, uint8_t out[20])
{
    ASSERT(len < 2 * SHA1_BLOCK - 8);
    uint8_t blocks[2 * SHA1_BLOCK] = {0};
    size_t size = len < SHA1_BLOCK - 8 ? SHA1_BLOCK : 2 * SHA1_BLOCK;
    memcpy(blocks, text, len);
    blocks[len] = 0x80;
    blocks[size - 2] = (uint8_t)(len * 8 >> 8);
    blocks[size - 1] = (uint8_t)(len * 8);
    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (size_t at = 0; at < size; at += SHA1_BLOCK)
        sha1_block(hash, blocks + at);
    for (unsigned i = 0; i < 20; i++)
        out[i] = (uint8_t)(hash[i / 4] >> (24 - 8 * (i % 4)));
}

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool websocket_is_key(const char *key)
{
    return strlen(key) == KEY_CHARS && strspn(key, digits64) == KEY_CHARS - 2 &&
           strcmp(key + KEY_CHARS - 2, "==") == 0;
}

void websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_SIZE])
{
    ASSERT(websocket_is_key(key));
    char text[KEY_CHARS + sizeof GUID];
    memcpy(text, key, KEY_CHARS);
    memcpy(text + KEY_CHARS, GUID, sizeof GUID);
    uint8_t hash[21] = {0}; /* one more, so that it is whole groups of three */
    sha1_short(text, sizeof text - 1, hash);
    for (unsigned i = 0; i < 7; i++) {
        uint32_t group =
            (uint32_t)hash[3 * i] << 16 | (uint32_t)hash[3 * i + 1] << 8 | hash[3 * i + 2];
        for (unsigned k = 0; k < 4; k++)
            out[4 * i + k] = digits64[group >> (18 - 6 * k) & 63];
    }
    out[27] = '=';
    out[28] = '\0';
}

/* ---- frames that come ------------------------------------------------------------------------ */

void websocket_deinit(struct websocket *ws)
{
    buf_deinit(&ws->message);
}

static enum websocket_step bad(struct websocket *ws, enum websocket_code code)
{
    ws->code = code;
    return WEBSOCKET_STEP_BAD;
}

static bool is_control(enum websocket_opcode opcode)
{
    return opcode >= WEBSOCKET_CLOSE;
}

static bool is_known(unsigned opcode)
{
    return opcode <= WEBSOCKET_BINARY || (opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG);
}

/* The header has 2 bytes, then 0, 2 or 8 of length, then 4 of mask. */
static size_t length_bytes(uint8_t second)
{
    unsigned code = second & 0x7f;
    return code == 127 ? 8 : code == 126 ? 2 : 0;
}

static uint64_t payload_len(const uint8_t *header)
{
    size_t bytes = length_bytes(header[1]);
    uint64_t len = bytes > 0 ? 0 : header[1] & 0x7f;
    for (size_t i = 0; i < bytes; i++)
        len = len << 8 | header[2 + i];
    return len;
}

/* Whether a frame may come here, and what to remember of it. */
static enum websocket_step begin_frame(struct websocket *ws, const uint8_t *header)
{
    unsigned opcode = header[0] & 0x0f;
    uint64_t len = payload_len(header);
    bool is_masked = (header[1] & 0x80) != 0;
    if ((header[0] & 0x70) != 0 || !is_known(opcode) || !is_masked)
        return bad(ws, WEBSOCKET_PROTOCOL);
    ws->opcode = (enum websocket_opcode)opcode;
    ws->is_final = (header[0] & 0x80) != 0;
    if (is_control(ws->opcode)) {
        if (!ws->is_final || len > WEBSOCKET_CONTROL_BYTES)
            return bad(ws, WEBSOCKET_PROTOCOL);
        ws->control_len = 0;
    } else {
        if ((ws->opcode == WEBSOCKET_CONTINUATION) != ws->in_message)
            return bad(ws, WEBSOCKET_PROTOCOL);
        if (len > ws->message_max || ws->message.len + len > ws->message_max)
            return bad(ws, WEBSOCKET_TOO_LARGE);
        if (!ws->in_message)
            ws->is_text = ws->opcode == WEBSOCKET_TEXT;
        ws->in_message = true;
    }
    ws->left = len;
    ws->mask_at = 0;
    memcpy(ws->mask, header + 2 + length_bytes(header[1]), sizeof ws->mask);
    ws->in_frame = true;
    return WEBSOCKET_STEP_MORE;
}

static void unmask(struct websocket *ws, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] ^= ws->mask[ws->mask_at++ & 3];
}

/* Moves what is there of the payload. */
static void take_payload(struct websocket *ws, struct evbuffer *input)
{
    uint8_t piece[PIECE_BYTES];
    while (ws->left > 0) {
        size_t want = ws->left < sizeof piece ? (size_t)ws->left : sizeof piece;
        int got = evbuffer_remove(input, piece, want);
        if (got <= 0)
            return;
        unmask(ws, piece, (size_t)got);
        ws->left -= (uint64_t)got;
        if (is_control(ws->opcode)) {
            memcpy(ws->control + ws->control_len, piece, (size_t)got);
            ws->control_len += (size_t)got;
        } else {
            buf_add(&ws->message, piece, (size_t)got);
        }
    }
}

static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static enum websocket_step end_control(struct websocket *ws)
{
    if (ws->opcode != WEBSOCKET_CLOSE)
        return ws->opcode == WEBSOCKET_PING ? WEBSOCKET_STEP_PING : WEBSOCKET_STEP_PONG;
    if (ws->control_len == 0)
        return WEBSOCKET_STEP_CLOSE;
    if (ws->control_len == 1 || !is_close_code((unsigned)ws->control[0] << 8 | ws->control[1]))
        return bad(ws, WEBSOCKET_PROTOCOL);
    if (!text_is_utf8(ws->control + 2, ws->control_len - 2))
        return bad(ws, WEBSOCKET_NOT_UTF8);
    return WEBSOCKET_STEP_CLOSE;
}

static enum websocket_step end_frame(struct websocket *ws)
{
    ws->in_frame = false;
    if (is_control(ws->opcode))
        return end_control(ws);
    if (!ws->is_final)
        return WEBSOCKET_STEP_MORE;
    ws->in_message = false;
    ws->has_taken = true;
    if (ws->is_text && !text_is_utf8(ws->message.data, ws->message.len))
        return bad(ws, WEBSOCKET_NOT_UTF8);
    return WEBSOCKET_STEP_MESSAGE;
}

/* false: the header is not complete. */
static bool take_header(struct evbuffer *input, uint8_t header[14])
{
    ev_ssize_t got = evbuffer_copyout(input, header, 14);
    if (got < 2)
        return false;
    size_t size = 2 + length_bytes(header[1]) + ((header[1] & 0x80) != 0 ? 4 : 0);
    if ((size_t)got < size)
        return false;
    (void)evbuffer_drain(input, size);
    return true;
}

enum websocket_step websocket_next(struct websocket *ws, struct evbuffer *input)
{
    if (ws->has_taken)
        buf_deinit(&ws->message);
    ws->has_taken = false;
    for (;;) { /* each round drains a header, or ends */
        if (!ws->in_frame) {
            uint8_t header[14] = {0};
            if (!take_header(input, header))
                return WEBSOCKET_STEP_MORE;
            if (begin_frame(ws, header) == WEBSOCKET_STEP_BAD)
                return WEBSOCKET_STEP_BAD;
        }
        take_payload(ws, input);
        if (ws->left > 0)
            return WEBSOCKET_STEP_MORE;
        enum websocket_step step = end_frame(ws);
        if (step != WEBSOCKET_STEP_MORE)
            return step;
    }
}

/* ---- frames that go -------------------------------------------------------------------------- */

void websocket_put_header(struct evbuffer *out, enum websocket_opcode opcode, size_t len)
{
    uint8_t header[10] = {(uint8_t)(0x80 | (unsigned)opcode)};
    size_t size = 2;
    size_t bytes = len > UINT16_MAX ? 8 : len > WEBSOCKET_CONTROL_BYTES ? 2 : 0;
    header[1] = (uint8_t)(bytes == 8 ? 127 : bytes == 2 ? 126 : len);
    for (size_t i = 0; i < bytes; i++)
        header[size++] = (uint8_t)((uint64_t)len >> 8 * (bytes - 1 - i));
    ASSERT(evbuffer_add(out, header, size) == 0);
}

void websocket_put_close(struct evbuffer *out, enum websocket_code code)
{
    uint8_t payload[2] = {(uint8_t)((unsigned)code >> 8), (uint8_t)code};
    websocket_put_header(out, WEBSOCKET_CLOSE, sizeof payload);
    ASSERT(evbuffer_add(out, payload, sizeof payload) == 0);
}
