/*
 * The request target: absolute or origin form, percent encoding, the first segment that decides
 * whose the path is. Segments are cut before decoding, so %2F never makes one: /kv%2Fa is the key
 * "kv/a" and /kv/a the key "a".
 */
#include "api/internal.h"

#include <string.h>
#include <strings.h>

/* Reserved without a row in the table of routes. */
static const struct {
    const char *word;
    enum api_route route;
} reserved[] = {
    {"kv", API_ROUTE_KV},
    {"v3", API_ROUTE_V3},
    {"v3beta", API_ROUTE_V3},
    {"v3alpha", API_ROUTE_V3},
    {"why", API_ROUTE_RESERVED},
    {"auth", API_ROUTE_RESERVED},
    {"ui", API_ROUTE_RESERVED},
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* A '+' stays what it is. */
bool api_percent_decode(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            buf_add_u8(out, (uint8_t)text[i]);
            continue;
        }
        int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
        int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        buf_add_u8(out, (uint8_t)(high * 16 + low));
        i += 2;
    }
    return true;
}

/* The path with its '/', or NULL; an absolute form without a path has "" or "?...". */
static const char *origin_form(const char *target)
{
    if (*target == '/')
        return target;
    size_t skip = 0;
    if (strncasecmp(target, "http://", 7) == 0)
        skip = 7;
    else if (strncasecmp(target, "https://", 8) == 0)
        skip = 8;
    if (skip == 0)
        return NULL;
    return target + skip + strcspn(target + skip, "/?");
}

static bool equals(const struct buf *buf, const char *word)
{
    return buf->len == strlen(word) && memcmp(buf->data, word, buf->len) == 0;
}

static void route_of(const struct buf *segment, bool more, struct api_target *out)
{
    out->route = API_ROUTE_ROOT;
    out->has_rest = more;
    out->word = segment->len > 0 ? api_route_word((const char *)segment->data, segment->len) : NULL;
    if (out->word != NULL) {
        out->route = API_ROUTE_TABLE;
        return;
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (segment->len == 0 || !equals(segment, reserved[i].word))
            continue;
        out->word = reserved[i].word;
        /* /kv alone names no key */
        bool is_bare_kv = reserved[i].route == API_ROUTE_KV && !more;
        out->route = is_bare_kv ? API_ROUTE_RESERVED : reserved[i].route;
        return;
    }
}

bool api_target_parse(const char *target, struct api_target *out, struct api_problem *problem)
{
    const char *path = origin_form(target);
    if (path == NULL)
        return api_problem_set(problem, 400, "bad_target",
                               "the request target must be a path or an http URL");
    struct api_target made = {.query = ""};
    size_t len = strcspn(path, "?");
    if (path[len] == '?')
        made.query = path + len + 1;
    if (len > 0) { /* without the first '/' */
        path++;
        len--;
    }
    const char *slash = len > 0 ? memchr(path, '/', len) : NULL;
    size_t segment_len = slash != NULL ? (size_t)(slash - path) : len;
    struct buf segment = {0};
    bool good = api_percent_decode(path, segment_len, &segment);
    if (good) {
        route_of(&segment, slash != NULL, &made);
        bool is_key = made.route == API_ROUTE_ROOT || made.route == API_ROUTE_RESERVED;
        size_t skip = is_key ? 0 : segment_len + (made.has_rest ? 1 : 0);
        good = api_percent_decode(path + skip, len - skip, &made.key);
    }
    buf_deinit(&segment);
    if (!good) {
        buf_deinit(&made.key);
        return api_problem_set(problem, 400, "bad_percent_encoding",
                               "a %% in the path must be followed by two hex digits");
    }
    *out = made;
    return true;
}

bool api_target_is_v3(const char *target)
{
    const char *path = origin_form(target);
    if (path == NULL || *path != '/')
        return false;
    struct api_target made = {0};
    struct buf segment = {0};
    size_t len = strcspn(path + 1, "/?");
    if (api_percent_decode(path + 1, len, &segment))
        route_of(&segment, path[1 + len] == '/', &made);
    buf_deinit(&segment);
    return made.route == API_ROUTE_V3 && made.has_rest;
}

void api_target_deinit(struct api_target *target)
{
    buf_deinit(&target->key);
}

static bool stale_parameter(const char *text, size_t len, bool *is_it, struct api_problem *problem)
{
    const char *equal = len > 0 ? memchr(text, '=', len) : NULL;
    size_t name_len = equal != NULL ? (size_t)(equal - text) : len;
    size_t value_at = equal != NULL ? name_len + 1 : len;
    struct buf name = {0};
    struct buf value = {0};
    bool good = api_percent_decode(text, name_len, &name);
    *is_it = good && equals(&name, "consistency");
    good = !*is_it ||
           (api_percent_decode(text + value_at, len - value_at, &value) && equals(&value, "stale"));
    buf_deinit(&name);
    buf_deinit(&value);
    if (!good)
        return api_problem_set(problem, 400, "bad_consistency",
                               "consistency can only be stale; without it reads are linearizable");
    return true;
}

bool api_target_is_stale(const char *query, bool *stale, struct api_problem *problem)
{
    *stale = false;
    while (*query != '\0') {
        size_t len = strcspn(query, "&");
        bool is_it;
        if (!stale_parameter(query, len, &is_it, problem))
            return false;
        if (is_it && *stale)
            return api_problem_set(problem, 400, "bad_consistency", "consistency is given twice");
        *stale = *stale || is_it;
        query += len + (query[len] == '&' ? 1 : 0);
    }
    return true;
}
