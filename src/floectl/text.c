/* Bytes as URLs, terminals and JSON want them. */
#include "floectl/text.h"

#include "base/text.h"

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
    bool utf8 = text_is_utf8(data, len);
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
    text_base64_put(&encoded, data, len);
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
    bool good = text_base64_get(out, json_string_value(text), json_string_length(text));
    return good ? ERR_OK : ERR_INVALID;
}
