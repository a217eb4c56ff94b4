/* The descriptors that follow from v3_messages.h. */
#include "api/v3_codec.h"

#include <stddef.h>

#define V3_NAMES(name, proto, ...) static const char *const names_of_##name[] = {__VA_ARGS__};
V3_ENUMS(V3_NAMES)
#define V3_ENUM_OF(name, proto, ...)                                   \
    static const struct v3_enum enum_##name = {proto, names_of_##name, \
                                               sizeof names_of_##name / sizeof *names_of_##name};
V3_ENUMS(V3_ENUM_OF)

/* One kind of row a type: where it is, and what it refers to. */
#define AT(M, n) .offset = offsetof(struct v3_##M, n)
#define COUNT(M, n) .count_offset = offsetof(struct v3_##M, n##_count)
#define V3_R_BOOL(M, n, sub) .type = V3_BOOL, AT(M, n)
#define V3_R_INT64(M, n, sub) .type = V3_INT64, AT(M, n)
#define V3_R_UINT64(M, n, sub) .type = V3_UINT64, AT(M, n)
#define V3_R_UINT32(M, n, sub) .type = V3_UINT32, AT(M, n)
#define V3_R_STRING(M, n, sub) .type = V3_STRING, AT(M, n)
#define V3_R_BYTES(M, n, sub) .type = V3_BYTES, AT(M, n)
#define V3_R_ENUM(M, n, sub) .type = V3_ENUM, AT(M, n), .values = &enum_##sub
#define V3_R_MESSAGE(M, n, sub) .type = V3_MESSAGE, AT(M, n), .message = &v3_message_##sub
#define V3_R_ENUMS(M, n, sub) .type = V3_ENUM_LIST, AT(M, n), COUNT(M, n), .values = &enum_##sub
#define V3_R_STRINGS(M, n, sub) .type = V3_STRING_LIST, AT(M, n), COUNT(M, n)
#define V3_R_BYTES_LIST(M, n, sub) .type = V3_BYTES_LIST, AT(M, n), COUNT(M, n)
#define V3_R_MESSAGES(M, n, sub) \
    .type = V3_MESSAGE_LIST, AT(M, n), COUNT(M, n), .message = &v3_message_##sub
#define V3_ROW(M, kind, n, text, num, sub) {.json = text, .number = num, V3_R_##kind(M, n, sub)},

/* The last row, of nothing, is for messages without fields; it is not counted. */
#define V3_ROWS(name, proto)                                                               \
    static const struct v3_field fields_of_##name[] = {V3_FIELDS_##name(V3_ROW, name){0}}; \
    const struct v3_message v3_message_##name = {                                          \
        proto, sizeof(struct v3_##name), fields_of_##name,                                 \
        sizeof fields_of_##name / sizeof *fields_of_##name - 1};
V3_MESSAGES(V3_ROWS)
