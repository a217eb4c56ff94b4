/* Writing JSON: brackets, commas, and text made safe. No reading here. */
#include "api/json.h"

#include <inttypes.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at p (no surrogates, no overlong forms), or 0. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char lead_first, lead_last, next_first, next_last, len;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (p[0] < forms[i].lead_first || p[0] > forms[i].lead_last)
            continue;
        size_t len = forms[i].len;
        if (len > left)
            return 0;
        if (len > 1 && (p[1] < forms[i].next_first || p[1] > forms[i].next_last))
            return 0;
        for (size_t k = 2; k < len; k++) {
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        }
        return len;
    }
    return 0;
}

static void put_text(struct buf *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = strlen(text);
    buf_add_u8(out, '"');
    while (left > 0) {
        size_t len = utf8_len(p, left);
        if (len == 0)
            buf_add(out, "\xef\xbf\xbd", 3);
        else if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else if (*p < 0x20)
            buf_printf(out, "\\u%04x", *p);
        else
            buf_add(out, p, len);
        size_t step = len > 0 ? len : 1;
        p += step;
        left -= step;
    }
    buf_add_u8(out, '"');
}

static void put_name(struct api_json *json, const char *name)
{
    if (json->comma)
        buf_add_u8(&json->text, ',');
    json->comma = true;
    if (name == NULL)
        return;
    put_text(&json->text, name);
    buf_add_u8(&json->text, ':');
}

void api_json_open(struct api_json *json, const char *name, char bracket)
{
    put_name(json, name);
    buf_add_u8(&json->text, (uint8_t)bracket);
    json->comma = false;
}

void api_json_close(struct api_json *json, char bracket)
{
    buf_add_u8(&json->text, (uint8_t)bracket);
    json->comma = true;
}

void api_json_u64(struct api_json *json, const char *name, uint64_t value)
{
    put_name(json, name);
    buf_printf(&json->text, "%" PRIu64, value);
}

void api_json_bool(struct api_json *json, const char *name, bool value)
{
    put_name(json, name);
    buf_printf(&json->text, "%s", value ? "true" : "false");
}

void api_json_str(struct api_json *json, const char *name, const char *value)
{
    put_name(json, name);
    put_text(&json->text, value != NULL ? value : "");
}
