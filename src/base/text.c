/* UTF-8 and base64. */
#include "base/text.h"

#include <string.h>

/* How many bytes follow the first of a character (RFC 3629); -1: it is no first one. The least
 * second byte and the largest one keep overlong forms, surrogates and beyond U+10FFFF out. */
static int utf8_follow(uint8_t first, uint8_t *least, uint8_t *largest)
{
    *least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *largest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80)
        return 0;
    if (first >= 0xc2 && first <= 0xdf)
        return 1;
    if (first >= 0xe0 && first <= 0xef)
        return 2;
    return first >= 0xf0 && first <= 0xf4 ? 3 : -1;
}

bool text_is_utf8(const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t least;
        uint8_t largest;
        int follow = utf8_follow(text[i], &least, &largest);
        if (follow < 0 || (size_t)follow >= len - i)
            return false;
        for (; follow > 0; follow--, least = 0x80, largest = 0xbf) {
            if (text[++i] < least || text[i] > largest)
                return false;
        }
    }
    return true;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64_put(struct buf *out, const void *bytes, size_t len)
{
    const uint8_t *in = bytes;
    uint8_t *to = buf_reserve(out, (len + 2) / 3 * 4);
    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;
        group |= i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0;
        group |= i + 2 < len ? in[i + 2] : 0;
        *to++ = (uint8_t)digits[group >> 18];
        *to++ = (uint8_t)digits[group >> 12 & 63];
        *to++ = (uint8_t)(i + 1 < len ? digits[group >> 6 & 63] : '=');
        *to++ = (uint8_t)(i + 2 < len ? digits[group & 63] : '=');
    }
    out->len += (len + 2) / 3 * 4;
}

static int digit_of(char c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

bool text_base64_get(struct buf *out, const char *text, size_t len)
{
    if (len % 4 != 0)
        return false;
    size_t pads = 0;
    while (pads < 2 && pads < len && text[len - 1 - pads] == '=')
        pads++;
    uint32_t group = 0;
    for (size_t i = 0; i < len - pads; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return false;
        group = group << 6 | (uint32_t)digit;
        if (i % 4 > 0)
            buf_add_u8(out, (uint8_t)(group >> (6 - 2 * (i % 4))));
        group &= 0xffffff;
    }
    bool is_clean = pads == 0 || (group & (pads == 1 ? 3u : 15u)) == 0;
    return is_clean;
}
