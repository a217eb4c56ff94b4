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

#endif
