/* Bytes as URLs, terminals and JSON want them. */
#include "floectl/text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void text_add_encoded(struct buf *out, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        if (p[i] != 0 && p[i] < 128 && (isalnum(p[i]) || strchr("-._~", p[i]) != NULL))
            buf_add_u8(out, p[i]);
        else
            buf_printf(out, "%%%02X", p[i]);
    }
}

void text_add_readable(struct buf *out, const void *data, size_t len)
{
    const unsigned char *p = data;
    json_t *text = json_stringn(data, len);
    bool utf8 = text != NULL; /* jansson has looked */
    json_decref(text);
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '\n')
            buf_printf(out, "\\n");
        else if (p[i] == '\t')
            buf_printf(out, "\\t");
        else if (p[i] == '\\')
            buf_printf(out, "\\\\");
        else if (p[i] < 32 || p[i] == 127 || (p[i] > 127 && !utf8))
            buf_printf(out, "\\x%02x", p[i]);
        else
            buf_add_u8(out, p[i]);
    }
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void add_base64(struct buf *out, const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        unsigned bits = (unsigned)p[i] << 16;
        bits |= have > 1 ? (unsigned)p[i + 1] << 8 : 0;
        bits |= have > 2 ? p[i + 2] : 0;
        for (unsigned k = 0; k < 4; k++)
            buf_add_u8(out, k <= have ? (uint8_t)digits[bits >> (18 - 6 * k) & 63] : '=');
    }
}

enum err text_from_base64(const char *text, size_t len, struct buf *out)
{
    unsigned bits = 0;
    unsigned count = 0;
    while (len > 0 && text[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        const char *digit = text[i] == 0 ? NULL : strchr(digits, text[i]);
        if (digit == NULL)
            return ERR_INVALID;
        bits = bits << 6 | (unsigned)(digit - digits);
        count += 6;
        if (count >= 8) {
            count -= 8;
            buf_add_u8(out, (uint8_t)(bits >> count & 255));
        }
    }
    return ERR_OK;
}

void text_set_bytes(json_t *object, const char *name, const void *data, size_t len)
{
    json_t *text = json_stringn(data, len);
    if (text != NULL) {
        json_object_set_new(object, name, text);
        return;
    }
    char other[40];
    struct buf encoded = {0};
    (void)snprintf(other, sizeof other, "%s_base64", name);
    add_base64(&encoded, data, len);
    json_object_set_new(object, other, json_stringn((const char *)encoded.data, encoded.len));
    buf_deinit(&encoded);
}

enum err text_get_bytes(const json_t *object, const char *name, struct buf *out)
{
    const json_t *text = json_object_get(object, name);
    if (json_is_string(text)) {
        buf_add(out, json_string_value(text), json_string_length(text));
        return ERR_OK;
    }
    char other[40];
    (void)snprintf(other, sizeof other, "%s_base64", name);
    text = json_object_get(object, other);
    if (!json_is_string(text))
        return ERR_NOT_FOUND;
    return text_from_base64(json_string_value(text), json_string_length(text), out);
}
