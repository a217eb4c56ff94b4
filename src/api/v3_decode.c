/*
 * JSON to structs, by the rules of protobuf's JSON mapping as etcd 3.4's gateway applies them:
 * whole numbers as numbers or strings and exact, enumerations by name or number, strict base64,
 * null is absent, both forms of names, unknown names passed over.
 *
 * jansson reads the text. It is stricter than etcd in three points that loosen() takes out of its
 * way: numbers beyond 2^63-1, halves of surrogate pairs, and bytes that are no UTF-8.
 */
#include "api/v3_codec.h"
#include "base/parse.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BRACKETS_MAX 131072 /* objects and arrays: they take much more memory than their text */
#define LONG_NUMBER 19      /* digits; fewer always fit */

__attribute__((format(printf, 2, 3))) static enum err say(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, V3_WHY_BYTES, format, args);
    va_end(args);
    return ERR_INVALID;
}

/* ---- text ------------------------------------------------------------------------------------ */

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The length of the object at the beginning of text; len + 1: it does not end. */
static size_t object_length(const char *text, size_t len, size_t *brackets)
{
    size_t depth = 0;
    bool in_string = false;
    *brackets = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '[')) {
            depth++;
            ++*brackets;
        } else if (!in_string && (c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
    }
    return len + 1;
}

bool v3_is_half(const char *text, size_t len)
{
    size_t blank = 0;
    size_t brackets;
    while (blank < len && is_white(text[blank]))
        blank++;
    return blank < len && text[blank] == '{' &&
           object_length(text + blank, len - blank, &brackets) > len - blank;
}

/* A number; long whole ones become strings. */
static size_t loosen_number(const char *text, size_t at, size_t len, struct buf *out)
{
    size_t end = at + 1;
    bool whole = true;
    while (end < len && (strchr("0123456789.eE+-", text[end]) != NULL && text[end] != '\0')) {
        whole = whole && text[end] >= '0' && text[end] <= '9';
        end++;
    }
    bool quote = whole && end - at >= LONG_NUMBER;
    if (quote)
        buf_add_u8(out, '"');
    buf_add(out, text + at, end - at);
    if (quote)
        buf_add_u8(out, '"');
    return end;
}

static bool is_surrogate(const char *escape, size_t len)
{
    return len >= 6 && escape[1] == 'u' && (escape[2] == 'd' || escape[2] == 'D') &&
           escape[3] != '\0' && strchr("89abcdefABCDEF", escape[3]) != NULL;
}

/* One character of a string. */
static size_t loosen_character(const char *text, size_t at, size_t len, struct buf *out)
{
    if (text[at] == '\\' && is_surrogate(text + at, len - at)) {
        buf_add(out, "\\ufffd", 6);
        return at + 6;
    }
    size_t size = text[at] == '\\' && at + 1 < len ? 2 : 1;
    if ((unsigned char)text[at] < 0x80)
        buf_add(out, text + at, size);
    else
        buf_add(out, "\\ufffd", 6); /* no name of ours and no base64 has it */
    return at + size;
}

/* A copy that jansson takes, if the rest of it is right. */
static void loosen(const char *text, size_t len, struct buf *out)
{
    bool in_string = false;
    size_t at = 0;
    while (at < len) {
        if (text[at] == '"') {
            in_string = !in_string;
            buf_add_u8(out, (uint8_t)text[at++]);
        } else if (in_string) {
            at = loosen_character(text, at, len, out);
        } else if ((text[at] >= '0' && text[at] <= '9') || text[at] == '-') {
            at = loosen_number(text, at, len, out);
        } else {
            buf_add_u8(out, (uint8_t)text[at++]);
        }
    }
}

static bool is_cut(const json_error_t *error)
{
    return strstr(error->text, "near end of file") != NULL ||
           json_error_code(error) == json_error_premature_end_of_input;
}

static enum err not_an_object(const char *text, size_t len, char *why)
{
    char c = len > 0 ? *text : '"';
    const char *kind = NULL;
    if (c == '[')
        kind = "array";
    else if (c == '"')
        kind = "string";
    else if (c == '-' || (c >= '0' && c <= '9'))
        kind = "number";
    else if (len >= 4 && (memcmp(text, "true", 4) == 0 || memcmp(text, "fals", 4) == 0))
        kind = "bool";
    if (kind == NULL)
        return say(why, "invalid character at the beginning of a value");
    return say(why, "json: cannot unmarshal %s into Go value of type map[string]json.RawMessage",
               kind);
}

/* The first value of text, which is to be an object; null is an empty one. */
static enum err parse_object(const char *text, size_t len, size_t *used, json_t **out, char *why)
{
    if (len >= 4 && memcmp(text, "null", 4) == 0) {
        *used = 4;
        *out = json_object();
        return ERR_OK;
    }
    if (len == 0 || *text != '{')
        return not_an_object(text, len, why);
    size_t brackets;
    *used = object_length(text, len, &brackets);
    if (*used > len)
        *used = len;
    if (brackets > BRACKETS_MAX)
        return say(why, "more than %d JSON objects and lists", BRACKETS_MAX);
    json_error_t error;
    *out = json_loadb(text, *used, JSON_ALLOW_NUL, &error);
    if (*out == NULL) {
        struct buf copy = {0};
        loosen(text, *used, &copy);
        *out = json_loadb((const char *)copy.data, copy.len, JSON_ALLOW_NUL, &error);
        buf_deinit(&copy);
    }
    if (*out == NULL)
        return say(why, "%s", is_cut(&error) ? "unexpected EOF" : "invalid character in JSON text");
    return ERR_OK;
}

/* ---- plain values ---------------------------------------------------------------------------- */

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "object";
    case JSON_ARRAY: return "array";
    case JSON_STRING: return "string";
    case JSON_INTEGER:
    case JSON_REAL: return "number";
    case JSON_TRUE:
    case JSON_FALSE: return "bool";
    case JSON_NULL: return "null";
    }
    return "value";
}

/* In etcd's words, though nobody should rely on them. */
static enum err unwanted(const json_t *value, const char *wanted, char *why)
{
    return say(why, "json: cannot unmarshal %s into Go value of type %s", kind_of(value), wanted);
}

/* Digits with a sign, as JSON writes whole numbers, white space around; null as Go reads it. */
static bool parse_digits(const char *text, size_t len, bool *negative, uint64_t *magnitude)
{
    while (len > 0 && is_white(*text)) {
        text++;
        len--;
    }
    while (len > 0 && is_white(text[len - 1]))
        len--;
    *negative = len > 0 && *text == '-';
    if (len == 4 && memcmp(text, "null", 4) == 0)
        return true;
    if (*negative) {
        text++;
        len--;
    }
    bool leading_zero = len > 1 && *text == '0';
    return !leading_zero && parse_u64(text, len, magnitude) == ERR_OK;
}

static bool fits(bool is_signed, bool negative, uint64_t magnitude)
{
    if (!is_signed)
        return !negative || magnitude == 0;
    return magnitude <= (uint64_t)INT64_MAX + (negative ? 1 : 0);
}

static enum err decode_number(const struct v3_field *field, const json_t *value, void *at,
                              char *why)
{
    bool negative = false;
    uint64_t magnitude = 0;
    bool good = false;
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        negative = number < 0;
        magnitude = negative ? 0 - (uint64_t)number : (uint64_t)number;
        good = true;
    } else if (json_is_string(value)) {
        good = parse_digits(json_string_value(value), json_string_length(value), &negative,
                            &magnitude);
    }
    if (!good || !fits(field->type == V3_INT64, negative, magnitude))
        return json_is_string(value) ? say(why, "invalid character in a whole number")
                                     : unwanted(value, "int64", why);
    uint64_t bits = negative ? 0 - magnitude : magnitude;
    memcpy(at, &bits, sizeof bits);
    return ERR_OK;
}

static enum err decode_enum(const struct v3_field *field, const json_t *value, void *at, char *why)
{
    int32_t number = -1;
    if (json_is_string(value)) {
        for (size_t i = 0; i < field->values->count && number < 0; i++) {
            if (strcmp(json_string_value(value), field->values->values[i]) == 0)
                number = (int32_t)i;
        }
        if (number < 0)
            return say(why, "unknown value \"%.40s\" for enum %s", json_string_value(value),
                       field->values->name);
    } else if (json_is_null(value)) { /* in a list: as Go reads it */
        number = 0;
    } else if (json_is_integer(value) && json_integer_value(value) >= INT32_MIN &&
               json_integer_value(value) <= INT32_MAX) {
        number = (int32_t)json_integer_value(value);
    } else {
        return unwanted(value, field->values->name, why);
    }
    memcpy(at, &number, sizeof number);
    return ERR_OK;
}

/* A list of numbers, as Go reads it; false: one of them is no byte. */
static bool decode_byte_list(const json_t *list, struct v3_arena *arena, struct v3_bytes *out)
{
    size_t len = json_array_size(list);
    uint8_t *data = len > 0 ? v3_arena_alloc(arena, len, 1) : NULL;
    for (size_t i = 0; i < len; i++) {
        const json_t *one = json_array_get(list, i);
        json_int_t number = json_integer_value(one); /* 0 of what is no number */
        if ((!json_is_integer(one) && !json_is_null(one)) || number < 0 || number > UINT8_MAX)
            return false;
        data[i] = (uint8_t)number;
    }
    *out = (struct v3_bytes){data, len};
    return true;
}

static enum err decode_bytes(const json_t *value, void *at, struct v3_arena *arena, char *why)
{
    struct v3_bytes bytes = {0};
    if (json_is_array(value)) {
        if (!decode_byte_list(value, arena, &bytes))
            return say(why, "json: cannot unmarshal a list of other things than bytes");
    } else if (!json_is_string(value)) {
        return unwanted(value, "[]uint8", why);
    } else if (!v3_base64_decode(json_string_value(value), json_string_length(value), arena,
                                 &bytes)) {
        return say(why, "illegal base64 data");
    }
    memcpy(at, &bytes, sizeof bytes);
    return ERR_OK;
}

static enum err decode_string(const json_t *value, void *at, struct v3_arena *arena, char *why)
{
    if (!json_is_string(value))
        return unwanted(value, "string", why);
    if (strlen(json_string_value(value)) != json_string_length(value))
        return say(why, "a string holds a NUL");
    const char *text =
        (const char *)v3_arena_copy(arena, json_string_value(value), json_string_length(value))
            .data;
    memcpy(at, &text, sizeof text);
    return ERR_OK;
}

static enum err decode_bool(const json_t *value, void *at, char *why)
{
    if (!json_is_boolean(value))
        return unwanted(value, "bool", why);
    bool yes = json_is_true(value);
    memcpy(at, &yes, sizeof yes);
    return ERR_OK;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* An object that is to be read into a struct. They wait in a list, so that nothing recurses. */
struct task {
    const struct v3_message *message;
    const json_t *object;
    uint8_t *to;
    size_t depth;
    struct task *next;
};

struct decoder {
    struct v3_arena *arena;
    struct task *first;
    char *why;
};

static enum err add_task(struct decoder *decoder, const struct v3_field *field,
                         const json_t *object, void *to, size_t depth)
{
    if (!json_is_object(object))
        return unwanted(object, "map[string]json.RawMessage", decoder->why);
    if (depth >= V3_DEPTH_MAX)
        return say(decoder->why, "%s is nested too deep", field->json);
    struct task *task = v3_arena_alloc(decoder->arena, 1, sizeof *task);
    *task = (struct task){field->message, object, to, depth, decoder->first};
    decoder->first = task;
    return ERR_OK;
}

static enum err decode_message(struct decoder *decoder, const struct v3_field *field,
                               const json_t *value, void *at, size_t depth)
{
    void *to = v3_arena_alloc(decoder->arena, 1, field->message->size);
    memcpy(at, &to, sizeof to);
    return add_task(decoder, field, value, to, depth);
}

/* One value: a field, or an element of its list. */
static enum err decode_value(struct decoder *decoder, const struct v3_field *field,
                             const json_t *value, void *at, size_t depth)
{
    switch (field->type) {
    case V3_BOOL: return decode_bool(value, at, decoder->why);
    case V3_INT64:
    case V3_UINT64: return decode_number(field, value, at, decoder->why);
    case V3_ENUM:
    case V3_ENUM_LIST: return decode_enum(field, value, at, decoder->why);
    case V3_STRING:
    case V3_STRING_LIST: return decode_string(value, at, decoder->arena, decoder->why);
    case V3_BYTES:
    case V3_BYTES_LIST: return decode_bytes(value, at, decoder->arena, decoder->why);
    case V3_MESSAGE: return decode_message(decoder, field, value, at, depth);
    case V3_MESSAGE_LIST: return add_task(decoder, field, value, at, depth);
    case V3_UINT32: break; /* in answers only */
    }
    return unwanted(value, "nothing", decoder->why);
}

static size_t element_size(const struct v3_field *field)
{
    if (field->type == V3_MESSAGE_LIST)
        return field->message->size;
    if (field->type == V3_BYTES_LIST)
        return sizeof(struct v3_bytes);
    return field->type == V3_STRING_LIST ? sizeof(char *) : sizeof(int32_t);
}

static enum err decode_list(struct decoder *decoder, const struct v3_field *field,
                            const json_t *value, uint8_t *to, size_t depth)
{
    if (!json_is_array(value))
        return unwanted(value, "[]json.RawMessage", decoder->why);
    size_t count = json_array_size(value);
    size_t size = element_size(field);
    uint8_t *elements = count > 0 ? v3_arena_alloc(decoder->arena, count, size) : NULL;
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = decode_value(decoder, field, json_array_get(value, i), elements + i * size, depth);
    memcpy(to + field->offset, &elements, sizeof elements);
    memcpy(to + field->count_offset, &count, sizeof count);
    return err;
}

/* The value of a field under either of its names, its camel's one first; NULL: absent. */
static const json_t *find_value(const json_t *object, const char *name)
{
    const json_t *value = NULL;
    if (strchr(name, '_') != NULL) {
        char camel[64];
        size_t len = 0;
        for (const char *c = name; *c != '\0' && len + 1 < sizeof camel; c++) {
            bool raise = c[0] == '_' && c[1] >= 'a' && c[1] <= 'z';
            c += raise ? 1 : 0;
            camel[len++] = raise ? (char)(*c - 'a' + 'A') : *c;
        }
        camel[len] = '\0';
        value = json_object_get(object, camel);
    }
    value = value != NULL ? value : json_object_get(object, name);
    return value != NULL && !json_is_null(value) ? value : NULL;
}

static enum err decode_fields(struct decoder *decoder, const struct task *task)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < task->message->field_count && err == ERR_OK; i++) {
        const struct v3_field *field = &task->message->fields[i];
        const json_t *value = find_value(task->object, field->json);
        if (value == NULL)
            continue;
        if (field->type >= V3_ENUM_LIST)
            err = decode_list(decoder, field, value, task->to, task->depth + 1);
        else
            err = decode_value(decoder, field, value, task->to + field->offset, task->depth + 1);
    }
    return err;
}

enum err v3_decode(const struct v3_message *message, const char *text, size_t len, size_t *used,
                   struct v3_arena *arena, void **out, char *why)
{
    size_t blank = 0;
    while (blank < len && is_white(text[blank]))
        blank++;
    if (blank == len)
        return ERR_SHORT;
    json_t *object = NULL;
    enum err err = parse_object(text + blank, len - blank, used, &object, why);
    if (err != ERR_OK)
        return err;
    *used += blank;
    void *to = v3_arena_alloc(arena, 1, message->size);
    struct task top = {message, object, to, 0, NULL};
    struct decoder decoder = {arena, &top, why};
    while (decoder.first != NULL && err == ERR_OK) {
        struct task *task = decoder.first;
        decoder.first = task->next;
        err = decode_fields(&decoder, task);
    }
    json_decref(object);
    if (err == ERR_OK)
        *out = to;
    return err;
}
