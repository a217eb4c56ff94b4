/*
 * JSON text into a struct buf. jansson makes the strings; its integers are signed, ours reach
 * 2^64-1; and names that came from other members may hold any bytes, which must not make an answer
 * impossible.
 */
#ifndef API_JSON_H
#define API_JSON_H

#include "base/buf.h"

#include <stdbool.h>

/* Zero is an empty text. buf_deinit(&json.text) gives it back. */
struct api_json {
    struct buf text;
    bool comma; /* the next value at this level needs one in front */
};

/* name NULL: an element of an array or the outermost value. */
void api_json_open(struct api_json *json, const char *name, char bracket);
void api_json_close(struct api_json *json, char bracket);
void api_json_u64(struct api_json *json, const char *name, uint64_t value);
void api_json_bool(struct api_json *json, const char *name, bool value);
/* In text that is no UTF-8 all that is not ASCII becomes U+FFFD. NULL is the empty text. */
void api_json_str(struct api_json *json, const char *name, const char *value);
/* Text as a string: "name":"text"; bytes that are no UTF-8 in base64: "name_base64":"..." */
void api_json_bytes(struct api_json *json, const char *name, const void *bytes, size_t len);
/* Starts the next value of a stream of values: no comma, a new line. */
void api_json_line(struct api_json *json);

/* ---- reading ----------------------------------------------------------------------------------
 */

struct json_t;
/* A member as bytes: name or name_base64. Appends. false: neither, both, or not a string. */
bool api_json_get_bytes(const struct json_t *object, const char *name, struct buf *out);
bool api_json_has_bytes(const struct json_t *object, const char *name);
/* A number, or its digits in a string. *out stays as it is if it is not there. */
bool api_json_get_u64(const struct json_t *object, const char *name, uint64_t *out);

#endif
