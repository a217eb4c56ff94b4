/*
 * A strict reader for the part of TOML 1.0 that configuration needs: comments, [tables], bare keys,
 * basic and literal strings, decimal integers with _, booleans, arrays of these over many lines.
 * Everything else (dotted or quoted keys, multi-line strings, floats, dates, inline tables,
 * nested arrays) is refused by name. Text must be UTF-8 without control characters.
 */
#ifndef FLOED_CONF_PARSE_H
#define FLOED_CONF_PARSE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum conf_type { CONF_STRING, CONF_INTEGER, CONF_BOOLEAN, CONF_ARRAY };

struct conf_value {
    enum conf_type type;
    unsigned line;      /* from 1 */
    const char *string; /* without NUL bytes inside */
    int64_t integer;
    bool boolean;
    const struct conf_value *items; /* ARRAY: strings, integers or booleans */
    size_t item_count;
};

/* One key with its value, borrowed for the call; table "" is the top. An error ends the parse. */
typedef enum err (*conf_key_fn)(void *arg, const char *table, const char *key,
                                const struct conf_value *value);
/* A table header, also an empty one. */
typedef enum err (*conf_table_fn)(void *arg, const char *table, unsigned line);

struct conf_source {
    const char *name; /* of the file, for messages */
    const char *text;
    size_t len;
    conf_table_fn on_table;
    conf_key_fn on_key;
    void *arg;
};

/* ERR_INVALID, with "name:line: message" in why unless the callback has put something there. */
enum err conf_parse(const struct conf_source *source, struct buf *why) MUST_USE;

#endif
