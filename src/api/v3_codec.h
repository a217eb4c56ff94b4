/*
 * The messages of v3_messages.h as C structs, and their encodings: JSON both ways as etcd's gateway
 * reads and writes it, and the size as protobuf, which is what etcd's limits speak of. Everything
 * is driven by descriptors.
 */
#ifndef API_V3_CODEC_H
#define API_V3_CODEC_H

#include "api/v3_messages.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

struct v3_bytes { /* data may be NULL if len is 0 */
    const uint8_t *data;
    size_t len;
};

/* ---- memory of one call: all of it is given back at once ------------------------------------- */

struct v3_block;
struct v3_arena { /* zero is an empty one */
    struct v3_block *blocks;
};
void v3_arena_deinit(struct v3_arena *arena);
/* Zeroed; never NULL. */
void *v3_arena_alloc(struct v3_arena *arena, size_t count, size_t size);
struct v3_bytes v3_arena_copy(struct v3_arena *arena, const void *data, size_t len);

/* ---- structs --------------------------------------------------------------------------------- */

#define V3_C_BOOL(name, sub) bool name;
#define V3_C_INT64(name, sub) int64_t name;
#define V3_C_UINT64(name, sub) uint64_t name;
#define V3_C_UINT32(name, sub) uint32_t name;
#define V3_C_ENUM(name, sub) int32_t name;       /* a number that we do not know is kept */
#define V3_C_STRING(name, sub) const char *name; /* NULL as "" */
#define V3_C_BYTES(name, sub) struct v3_bytes name;
#define V3_C_MESSAGE(name, sub) struct v3_##sub *name;
#define V3_C_ENUMS(name, sub) \
    int32_t *name;            \
    size_t name##_count;
#define V3_C_STRINGS(name, sub) \
    const char **name;          \
    size_t name##_count;
#define V3_C_BYTES_LIST(name, sub) \
    struct v3_bytes *name;         \
    size_t name##_count;
#define V3_C_MESSAGES(name, sub) \
    struct v3_##sub *name;       \
    size_t name##_count;
#define V3_C(M, type, name, json, number, sub) V3_C_##type(name, sub)
#define V3_STRUCT(name, proto)                                                                \
    struct v3_##name {                                                                        \
        V3_FIELDS_##name(V3_C, name) char end; /* a message without fields is a struct too */ \
    };
V3_MESSAGES(V3_STRUCT)
#undef V3_STRUCT

/* ---- descriptors ----------------------------------------------------------------------------- */

enum v3_type {
    V3_BOOL,
    V3_INT64,
    V3_UINT64,
    V3_UINT32,
    V3_ENUM,
    V3_STRING,
    V3_BYTES,
    V3_MESSAGE,
    V3_ENUM_LIST, /* from here on lists */
    V3_STRING_LIST,
    V3_BYTES_LIST,
    V3_MESSAGE_LIST,
};

struct v3_message;
struct v3_enum {
    const char *name;
    const char *const *values; /* by number */
    size_t count;
};
struct v3_field {
    const char *json;
    uint32_t number;
    enum v3_type type;
    size_t offset;
    size_t count_offset;              /* lists */
    const struct v3_message *message; /* MESSAGE, MESSAGE_LIST */
    const struct v3_enum *values;     /* ENUM, ENUM_LIST */
};
struct v3_message {
    const char *name; /* in the protocol */
    size_t size;      /* of the struct */
    const struct v3_field *fields;
    size_t field_count;
};

#define V3_DECLARE(name, proto) extern const struct v3_message v3_message_##name;
V3_MESSAGES(V3_DECLARE)
#undef V3_DECLARE

/* ---- encodings ------------------------------------------------------------------------------- */

#define V3_DEPTH_MAX 64 /* messages within messages */
#define V3_WHY_BYTES 160

/* Whether text begins with an object that does not end in it. */
bool v3_is_half(const char *text, size_t len);
/* Reads the first JSON value of text; *out is a struct of the message, in arena, *used is what was
 * read. ERR_SHORT: nothing but white space is left. ERR_INVALID: why (V3_WHY_BYTES) says it. */
enum err v3_decode(const struct v3_message *message, const char *text, size_t len, size_t *used,
                   struct v3_arena *arena, void **out, char *why) MUST_USE;

void v3_encode(struct buf *out, const struct v3_message *message, const void *from);

/* Its size as protobuf. */
size_t v3_protobuf_size(const struct v3_message *message, const void *from);

/* Standard base64 with padding. Decoding takes nothing else but line ends between; false: it is
 * none. */
void v3_base64_encode(struct buf *out, const uint8_t *data, size_t len);
bool v3_base64_decode(const char *text, size_t len, struct v3_arena *arena, struct v3_bytes *out);

#endif
