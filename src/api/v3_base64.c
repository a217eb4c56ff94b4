/* Base64 of the standard alphabet (RFC 4648, 4), with padding. */
#include "api/v3_codec.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void v3_base64_encode(struct buf *out, const uint8_t *data, size_t len)
{
    char *to = (char *)buf_reserve(out, (len + 2) / 3 * 4);
    size_t at = 0;
    for (; len - at >= 3; at += 3) {
        uint32_t bits = (uint32_t)data[at] << 16 | (uint32_t)data[at + 1] << 8 | data[at + 2];
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = digits[bits >> 6 & 63];
        *to++ = digits[bits & 63];
    }
    if (at < len) {
        bool two = len - at == 2;
        uint32_t bits = (uint32_t)data[at] << 16 | (two ? (uint32_t)data[at + 1] << 8 : 0);
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = two ? digits[bits >> 6 & 63] : '=';
        *to++ = '=';
    }
    out->len += (len + 2) / 3 * 4;
}

/* 64 = none of them. */
static uint32_t digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0' + 52);
    if (c == '+')
        return 62;
    return c == '/' ? 63 : 64;
}

/* The bits that are left over in front of padding are not looked at. */
bool v3_base64_decode(const char *text, size_t len, struct v3_arena *arena, struct v3_bytes *out)
{
    uint8_t *data = v3_arena_alloc(arena, len / 4 * 3 + 3, 1);
    size_t size = 0;
    size_t padding = 0;
    size_t taken = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\r' || text[i] == '\n')
            continue;
        uint32_t digit = digit_of(text[i]);
        if (text[i] == '=' && taken % 4 >= 2)
            padding++;
        else if (digit == 64 || padding > 0)
            return false;
        bits = bits << 6 | (digit & 63);
        if (++taken % 4 != 0)
            continue;
        data[size++] = (uint8_t)(bits >> 16);
        data[size++] = (uint8_t)(bits >> 8);
        data[size++] = (uint8_t)bits;
        size -= padding;
        if (padding > 0)
            break; /* what follows can only be line ends: looked at below */
    }
    size_t digits_and_padding = 0;
    for (size_t i = 0; i < len; i++)
        digits_and_padding += text[i] != '\r' && text[i] != '\n';
    if (taken % 4 != 0 || digits_and_padding != taken)
        return false;
    *out = (struct v3_bytes){data, size};
    return true;
}
