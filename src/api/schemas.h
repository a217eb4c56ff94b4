/* The JSON of bodies, for /openapi.json. */
#ifndef API_SCHEMAS_H
#define API_SCHEMAS_H

#include <stddef.h>

struct api_schema {
    const char *name;
    /* "name:type ...", with the types s (a string), i (an integer), b (true or false), @X (another
     * schema) and [X (a list of these). The name * stands for any. */
    const char *fields;
};
extern const struct api_schema api_schemas[];
extern const size_t api_schema_count;

#endif
