/* The script format: directives with arguments, input, and expected output (README.md). */
#ifndef SCRIPT_PARSE_H
#define SCRIPT_PARSE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct script_arg {
    char *key;
    char *raw; /* as it stands: "key=(a,b)" */
    char **values;
    size_t value_count; /* 0: the key alone */
};

struct script_directive {
    unsigned line; /* of the command, from 1 */
    char *head;    /* the directive's line(s) as they stand in the file, without input */
    char *command;
    struct script_arg *args;
    size_t arg_count;
    char *input;     /* trimmed; NULL for a subtest, as are the next two */
    char *raw_input; /* as it stands, each line with its newline */
    char *expected;  /* lines, each with a newline */
    bool has_output; /* there was a ---- */
    bool is_subtest; /* a mark in the file: nothing to run */
    size_t begin;    /* offset in the text of the directive */
    size_t end;      /* offset behind its expected output */
};

struct script {
    char *text;
    size_t len;
    struct script_directive *directives;
    size_t count;
};

/* NULL, or what is wrong (static), with the line. */
const char *script_parse(const char *text, size_t len, struct script *out, unsigned *line);
void script_free(struct script *script);

const struct script_arg *script_find(const struct script_directive *d, const char *key);
bool script_parse_bool(const char *text, bool *out);

#endif
