/*
 * Structs to JSON, and their size as protobuf. Both walk a message with a stack of their own; its
 * depth is bounded by V3_DEPTH_MAX.
 */
#include "api/json.h"
#include "api/v3_codec.h"
#include "base/assert.h"

#include <inttypes.h>
#include <string.h>

struct frame {
    const struct v3_message *message;
    const uint8_t *from;
    size_t field;   /* to be done next */
    size_t element; /* of that field's list, likewise */
    size_t size;    /* protobuf: of what is done */
    bool comma;     /* JSON: something is written */
};

struct walk {
    size_t depth;
    struct frame frames[V3_DEPTH_MAX];
};

static void walk_push(struct walk *walk, const struct v3_message *message, const void *from)
{
    ASSERT_MSG(walk->depth < V3_DEPTH_MAX, "a message is nested too deep");
    walk->frames[walk->depth++] = (struct frame){.message = message, .from = from};
}

static const void *at_field(const struct frame *frame, const struct v3_field *field)
{
    return frame->from + field->offset;
}

static const void *pointer_of(const struct frame *frame, const struct v3_field *field)
{
    const void *pointer;
    memcpy(&pointer, at_field(frame, field), sizeof pointer);
    return pointer;
}

static size_t count_of(const struct frame *frame, const struct v3_field *field)
{
    size_t count;
    memcpy(&count, frame->from + field->count_offset, sizeof count);
    return count;
}

/* A number as its bits; BOOL and ENUM too. */
static uint64_t number_of(const void *at, enum v3_type type)
{
    uint64_t bits = 0;
    int32_t small = 0;
    uint32_t word = 0;
    bool yes = false;
    switch (type) {
    case V3_BOOL: memcpy(&yes, at, sizeof yes); return yes;
    case V3_ENUM:
    case V3_ENUM_LIST: memcpy(&small, at, sizeof small); return (uint64_t)(int64_t)small;
    case V3_UINT32: memcpy(&word, at, sizeof word); return word;
    case V3_INT64:
    case V3_UINT64: memcpy(&bits, at, sizeof bits); return bits;
    case V3_STRING:
    case V3_BYTES:
    case V3_MESSAGE:
    case V3_STRING_LIST:
    case V3_BYTES_LIST:
    case V3_MESSAGE_LIST: break;
    }
    UNREACHABLE("not a number");
}

static const char *text_of(const void *at)
{
    const char *text;
    memcpy(&text, at, sizeof text);
    return text != NULL ? text : "";
}

static struct v3_bytes bytes_of(const void *at)
{
    struct v3_bytes bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

static size_t element_size(const struct v3_field *field)
{
    switch (field->type) {
    case V3_ENUM_LIST: return sizeof(int32_t);
    case V3_STRING_LIST: return sizeof(char *);
    case V3_BYTES_LIST: return sizeof(struct v3_bytes);
    case V3_MESSAGE_LIST: return field->message->size;
    case V3_BOOL:
    case V3_INT64:
    case V3_UINT64:
    case V3_UINT32:
    case V3_ENUM:
    case V3_STRING:
    case V3_BYTES:
    case V3_MESSAGE: break;
    }
    UNREACHABLE("not a list");
}

static bool is_list(const struct v3_field *field)
{
    return field->type >= V3_ENUM_LIST;
}

/* Whether a field that is no list is written. */
static bool is_there(const struct frame *frame, const struct v3_field *field)
{
    const void *at = at_field(frame, field);
    if (field->type == V3_STRING)
        return *text_of(at) != '\0';
    if (field->type == V3_BYTES)
        return bytes_of(at).len > 0;
    if (field->type == V3_MESSAGE)
        return pointer_of(frame, field) != NULL;
    return number_of(at, field->type) != 0;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_text(struct buf *out, const char *text)
{
    struct api_json json = {.text = *out};
    api_json_str(&json, NULL, text);
    *out = json.text;
}

static void put_enum(struct buf *out, const struct v3_enum *values, int64_t number)
{
    if (number >= 0 && (uint64_t)number < values->count)
        buf_printf(out, "\"%s\"", values->values[number]);
    else
        buf_printf(out, "%" PRId64, number);
}

/* Of a field, or of an element of its list. */
static void put_plain(struct buf *out, const struct v3_field *field, const void *at)
{
    switch (field->type) {
    case V3_BOOL: buf_add(out, "true", 4); return; /* false is not written */
    case V3_INT64: buf_printf(out, "\"%" PRId64 "\"", (int64_t)number_of(at, V3_INT64)); return;
    case V3_UINT64: buf_printf(out, "\"%" PRIu64 "\"", number_of(at, V3_UINT64)); return;
    case V3_UINT32: buf_printf(out, "%" PRIu64, number_of(at, V3_UINT32)); return;
    case V3_ENUM:
    case V3_ENUM_LIST: put_enum(out, field->values, (int64_t)number_of(at, V3_ENUM)); return;
    case V3_STRING:
    case V3_STRING_LIST: put_text(out, text_of(at)); return;
    case V3_BYTES:
    case V3_BYTES_LIST:
        buf_add_u8(out, '"');
        v3_base64_encode(out, bytes_of(at).data, bytes_of(at).len);
        buf_add_u8(out, '"');
        return;
    case V3_MESSAGE:
    case V3_MESSAGE_LIST: break;
    }
    UNREACHABLE("a message is not plain");
}

static void put_name(struct buf *out, struct frame *frame, const struct v3_field *field)
{
    if (frame->comma)
        buf_add_u8(out, ',');
    frame->comma = true;
    buf_add_u8(out, '"');
    buf_add(out, field->json, strlen(field->json));
    buf_add(out, "\":", 2);
}

/* The next element of a list; true: the list is done. */
static bool put_element(struct buf *out, struct walk *walk, struct frame *frame,
                        const struct v3_field *field)
{
    size_t count = count_of(frame, field);
    if (count == 0)
        return true;
    if (frame->element == count) {
        buf_add_u8(out, ']');
        return true;
    }
    if (frame->element == 0) {
        put_name(out, frame, field);
        buf_add_u8(out, '[');
    } else {
        buf_add_u8(out, ',');
    }
    const uint8_t *first = pointer_of(frame, field);
    const void *at = first + frame->element++ * element_size(field);
    if (field->type == V3_MESSAGE_LIST) {
        buf_add_u8(out, '{');
        walk_push(walk, field->message, at);
    } else {
        put_plain(out, field, at);
    }
    return false;
}

/* Does one step of the uppermost frame. */
static void encode_step(struct buf *out, struct walk *walk)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    if (frame->field == frame->message->field_count) {
        buf_add_u8(out, '}');
        walk->depth--;
        return;
    }
    const struct v3_field *field = &frame->message->fields[frame->field];
    if (is_list(field)) {
        if (put_element(out, walk, frame, field)) {
            frame->field++;
            frame->element = 0;
        }
        return;
    }
    frame->field++;
    if (!is_there(frame, field))
        return;
    put_name(out, frame, field);
    if (field->type == V3_MESSAGE) {
        buf_add_u8(out, '{');
        walk_push(walk, field->message, pointer_of(frame, field));
    } else {
        put_plain(out, field, at_field(frame, field));
    }
}

void v3_encode(struct buf *out, const struct v3_message *message, const void *from)
{
    struct walk walk;
    walk.depth = 0;
    buf_add_u8(out, '{');
    walk_push(&walk, message, from);
    while (walk.depth > 0)
        encode_step(out, &walk);
}

/* ---- protobuf -------------------------------------------------------------------------------- */

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 128; value >>= 7)
        size++;
    return size;
}

static size_t tag_size(const struct v3_field *field)
{
    return varint_size((uint64_t)field->number << 3);
}

static size_t framed_size(size_t len)
{
    return varint_size(len) + len;
}

static size_t plain_size(const struct v3_field *field, const void *at)
{
    switch (field->type) {
    case V3_BOOL:
    case V3_INT64:
    case V3_UINT64:
    case V3_UINT32:
    case V3_ENUM:
    case V3_ENUM_LIST: return varint_size(number_of(at, field->type));
    case V3_STRING:
    case V3_STRING_LIST: return framed_size(strlen(text_of(at)));
    case V3_BYTES:
    case V3_BYTES_LIST: return framed_size(bytes_of(at).len);
    case V3_MESSAGE:
    case V3_MESSAGE_LIST: break;
    }
    UNREACHABLE("a message is not plain");
}

/* The next element of a list; true: the list is done. Enumerations are packed under one tag. */
static bool size_element(struct walk *walk, struct frame *frame, const struct v3_field *field)
{
    size_t count = count_of(frame, field);
    const uint8_t *first = pointer_of(frame, field);
    if (field->type == V3_ENUM_LIST) {
        size_t len = 0;
        for (size_t i = 0; i < count; i++)
            len += plain_size(field, first + i * element_size(field));
        frame->size += len > 0 ? tag_size(field) + framed_size(len) : 0;
        return true;
    }
    if (frame->element == count)
        return true;
    const void *at = first + frame->element++ * element_size(field);
    frame->size += tag_size(field);
    if (field->type == V3_MESSAGE_LIST)
        walk_push(walk, field->message, at);
    else
        frame->size += plain_size(field, at);
    return false;
}

/* A frame that is done counts in the one below it, which has added the tag already. */
static size_t size_pop(struct walk *walk)
{
    size_t size = walk->frames[--walk->depth].size;
    if (walk->depth > 0)
        walk->frames[walk->depth - 1].size += framed_size(size);
    return size;
}

static void size_field(struct walk *walk, struct frame *frame, const struct v3_field *field)
{
    if (is_list(field)) {
        if (!size_element(walk, frame, field))
            return;
        frame->element = 0;
        frame->field++;
        return;
    }
    frame->field++;
    if (!is_there(frame, field))
        return;
    frame->size += tag_size(field);
    if (field->type == V3_MESSAGE)
        walk_push(walk, field->message, pointer_of(frame, field));
    else
        frame->size += plain_size(field, at_field(frame, field));
}

size_t v3_protobuf_size(const struct v3_message *message, const void *from)
{
    struct walk walk;
    walk.depth = 0;
    walk_push(&walk, message, from);
    size_t size = 0;
    while (walk.depth > 0) {
        struct frame *frame = &walk.frames[walk.depth - 1];
        if (frame->field == frame->message->field_count)
            size = size_pop(&walk);
        else
            size_field(&walk, frame, &frame->message->fields[frame->field]);
    }
    return size;
}
