/* What went wrong, in words, and the small change of output. */
#include "floectl/command.h"

#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool report_is_good(const struct ctl_response *response)
{
    return response->outcome == CTL_ANSWERED && response->status >= 200 && response->status < 300;
}

json_t *report_parse(const struct buf *body)
{
    json_t *json =
        json_loadb((const char *)body->data, body->len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    return json != NULL ? json : json_object();
}

uint64_t report_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    uint64_t number;
    if (json_is_integer(value))
        return (uint64_t)json_integer_value(value);
    if (json_is_string(value) &&
        parse_u64(json_string_value(value), json_string_length(value), &number) == ERR_OK)
        return number;
    return 0;
}

static const char *hint_for(const char *code, int status)
{
    if (status == 413)
        return "see GET /limits for what is allowed";
    if (strcmp(code, "compacted") == 0)
        return "that part of the history is gone";
    return NULL;
}

static int exit_for(int status)
{
    if (status == 404 || status == 412)
        return CTL_EXIT_NO;
    if (status == 504)
        return CTL_EXIT_UNKNOWN;
    return status == 503 ? CTL_EXIT_NOBODY : CTL_EXIT_REFUSED;
}

static int say_refusal(const struct ctl_response *response)
{
    json_t *body = report_parse(&response->body);
    const char *text = json_string_value(json_object_get(body, "error"));
    const char *code = json_string_value(json_object_get(body, "code"));
    const char *hint = hint_for(code != NULL ? code : "", response->status);
    (void)fprintf(stderr, "floectl: %s", text != NULL ? text : "refused");
    if (hint != NULL)
        (void)fprintf(stderr, " (%s)", hint);
    if (response->tag != 0)
        (void)fprintf(stderr, "; the key is at revision %" PRIu64, response->tag);
    (void)fprintf(stderr, "\n  %s answered %d%s%s\n", response->node, response->status,
                  code != NULL ? " " : "", code != NULL ? code : "");
    json_decref(body);
    return exit_for(response->status);
}

int report_failure(const struct ctl_response *response)
{
    const char *what;
    const char *hint;
    if (response->outcome == CTL_ANSWERED)
        return say_refusal(response);
    if (response->outcome == CTL_NOBODY) {
        what = "no node could do it, and nothing was done";
        hint = "Is the cluster up, with a majority? --endpoints or FLOE_ENDPOINTS name its nodes.";
    } else {
        what = "it is not known whether it was done";
        hint = "Look before you do it again.";
    }
    (void)fprintf(stderr, "floectl: %s:\n%.*s%s\n", what, (int)response->tried.len,
                  (const char *)response->tried.data, hint);
    return response->outcome == CTL_NOBODY ? CTL_EXIT_NOBODY : CTL_EXIT_UNKNOWN;
}

int report_usage(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)fputs("floectl: ", stderr);
    (void)vfprintf(stderr, format, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    return CTL_EXIT_USAGE;
}

void report_json(const json_t *json)
{
    (void)json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)putchar('\n');
    (void)fflush(stdout);
}

enum err report_read(const char *path, struct buf *out)
{
    bool standard = path == NULL || strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "floectl: cannot read %s: %s\n", path, strerror(errno));
        return ERR_IO;
    }
    size_t got;
    do {
        got = fread(buf_reserve(out, 65536), 1, 65536, file);
        out->len += got;
    } while (got > 0);
    bool failed = ferror(file) != 0;
    if (failed)
        (void)fprintf(stderr, "floectl: cannot read: %s\n", strerror(errno));
    if (!standard)
        (void)fclose(file);
    return failed ? ERR_IO : ERR_OK;
}
