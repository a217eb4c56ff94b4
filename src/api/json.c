/* Writing JSON is ours, since jansson's integers are signed; reading it is jansson's. */
#include "api/json.h"

#include "base/parse.h"
#include "base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void put_escaped(struct buf *out, const uint8_t *text, size_t len)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    buf_add_u8(out, '"');
    for (size_t i = 0; i < len;) {
        size_t plain = i;
        while (plain < len && text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        if (plain > i)
            buf_add(out, text + i, plain - i);
        if (plain == len)
            break;
        char form = 0;
        for (size_t k = 0; k + 1 < sizeof short_forms; k += 2)
            form = (uint8_t)short_forms[k] == text[plain] ? short_forms[k + 1] : form;
        if (form != 0)
            buf_printf(out, "\\%c", form);
        else
            buf_printf(out, "\\u%04x", text[plain]);
        i = plain + 1;
    }
    buf_add_u8(out, '"');
}

/* Text that is no UTF-8 as a whole: what is not ASCII in it becomes U+FFFD. */
static void put_text(struct buf *out, const char *text)
{
    struct buf clean = {0};
    size_t len = strlen(text);
    if (text_is_utf8((const uint8_t *)text, len)) {
        put_escaped(out, (const uint8_t *)text, len);
        return;
    }
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x80)
            buf_add_u8(&clean, (uint8_t)*text);
        else
            buf_add(&clean, "\xef\xbf\xbd", 3);
    }
    put_escaped(out, clean.data, clean.len);
    buf_deinit(&clean);
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

void api_json_bytes(struct api_json *json, const char *name, const void *bytes, size_t len)
{
    if (len == 0 || text_is_utf8(bytes, len)) {
        put_name(json, name);
        put_escaped(&json->text, bytes, len);
        return;
    }
    if (json->comma)
        buf_add_u8(&json->text, ',');
    json->comma = true;
    buf_printf(&json->text, "\"%s_base64\":\"", name);
    text_base64_put(&json->text, bytes, len);
    buf_add_u8(&json->text, '"');
}

void api_json_line(struct api_json *json)
{
    buf_add_u8(&json->text, '\n');
    json->comma = false;
}

static const json_t *base64_of(const json_t *object, const char *name)
{
    char long_name[64];
    (void)snprintf(long_name, sizeof long_name, "%s_base64", name);
    return json_object_get(object, long_name);
}

bool api_json_has_bytes(const struct json_t *object, const char *name)
{
    return json_object_get(object, name) != NULL || base64_of(object, name) != NULL;
}

bool api_json_get_bytes(const struct json_t *object, const char *name, struct buf *out)
{
    const json_t *plain = json_object_get(object, name);
    const json_t *coded = base64_of(object, name);
    if ((plain != NULL) == (coded != NULL))
        return false;
    const json_t *found = plain != NULL ? plain : coded;
    if (!json_is_string(found))
        return false;
    const char *text = json_string_value(found);
    size_t len = json_string_length(found);
    if (coded != NULL)
        return text_base64_get(out, text, len);
    if (len > 0)
        buf_add(out, text, len);
    return true;
}

bool api_json_get_u64(const struct json_t *object, const char *name, uint64_t *out)
{
    const json_t *found = json_object_get(object, name);
    if (found == NULL)
        return true;
    if (json_is_string(found))
        return parse_u64(json_string_value(found), json_string_length(found), out) == ERR_OK;
    if (!json_is_integer(found) || json_integer_value(found) < 0)
        return false;
    *out = (uint64_t)json_integer_value(found);
    return true;
}
