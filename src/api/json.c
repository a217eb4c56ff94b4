/* Writing JSON: brackets, commas and numbers are ours, strings are jansson's. */
#include "api/json.h"

#include "base/assert.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* A name that is no UTF-8 as a whole: what is not ASCII in it becomes U+FFFD. */
static json_t *cleaned(const char *text)
{
    struct buf clean = {0};
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x80)
            buf_add_u8(&clean, (uint8_t)*text);
        else
            buf_add(&clean, "\xef\xbf\xbd", 3);
    }
    json_t *string = json_string(buf_str(&clean));
    buf_deinit(&clean);
    return string;
}

static void put_text(struct buf *out, const char *text)
{
    json_t *string = json_string(text);
    if (string == NULL)
        string = cleaned(text);
    ASSERT_MSG(string != NULL, "out of memory");
    size_t size = json_dumpb(string, NULL, 0, JSON_ENCODE_ANY);
    (void)json_dumpb(string, (char *)buf_reserve(out, size), size, JSON_ENCODE_ANY);
    out->len += size;
    json_decref(string);
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
