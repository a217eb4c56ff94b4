/* ?name=value&name=value: split before decoding, so that an encoded & is a part of a value. */
#include "api/params.h"
#include "api/internal.h"
#include "base/parse.h"

#include <string.h>

void api_params_deinit(struct api_params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        buf_deinit(&params->list[i].name);
        buf_deinit(&params->list[i].value);
    }
    *params = (struct api_params){0};
}

static bool is_equal(const struct buf *buf, const char *text)
{
    return buf->len == strlen(text) && (buf->len == 0 || memcmp(buf->data, text, buf->len) == 0);
}

const struct buf *api_param(const struct api_params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++) {
        if (is_equal(&params->list[i].name, name))
            return &params->list[i].value;
    }
    return NULL;
}

static bool add_one(struct api_params *params, const char *text, size_t len,
                    struct api_problem *problem)
{
    if (len == 0)
        return true;
    if (params->count == API_PARAMS_MAX)
        return api_problem_set(problem, 400, "bad_query", "the query has too many parameters");
    struct api_param *param = &params->list[params->count++];
    const char *equal = memchr(text, '=', len);
    size_t name_len = equal != NULL ? (size_t)(equal - text) : len;
    bool good = api_percent_decode(text, name_len, &param->name);
    if (equal != NULL)
        good = good && api_percent_decode(equal + 1, len - name_len - 1, &param->value);
    if (!good)
        return api_problem_set(problem, 400, "bad_percent_encoding",
                               "a %% in the query must be followed by two hex digits");
    struct buf name = param->name;
    for (size_t i = 0; i + 1 < params->count; i++) {
        const struct buf *other = &params->list[i].name;
        if (other->len == name.len &&
            (name.len == 0 || memcmp(other->data, name.data, name.len) == 0))
            return api_problem_set(problem, 400, "bad_query", "a parameter is given twice");
    }
    return true;
}

bool api_params_parse(const char *query, struct api_params *out, struct api_problem *problem)
{
    struct api_params made = {0};
    while (*query != '\0') {
        size_t len = strcspn(query, "&");
        if (!add_one(&made, query, len, problem)) {
            api_params_deinit(&made);
            return false;
        }
        query += len + (query[len] == '&' ? 1 : 0);
    }
    *out = made;
    return true;
}

bool api_param_is(const struct api_params *params, const char *name, const char *value)
{
    const struct buf *found = api_param(params, name);
    return found != NULL && is_equal(found, value);
}

bool api_param_is_set(const struct api_params *params, const char *name)
{
    return api_param(params, name) != NULL && !api_param_is(params, name, "false") &&
           !api_param_is(params, name, "0");
}

bool api_param_u64(const struct api_params *params, const char *name, uint64_t *out,
                   struct api_problem *problem)
{
    const struct buf *found = api_param(params, name);
    if (found == NULL || parse_u64((const char *)found->data, found->len, out) == ERR_OK)
        return true;
    return api_problem_set(problem, 400, "bad_number", "%s must be a number in decimal digits",
                           name);
}

/* ---- keys ------------------------------------------------------------------------------------ */

void api_keys_deinit(struct api_keys *keys)
{
    buf_deinit(&keys->key);
    buf_deinit(&keys->end);
    *keys = (struct api_keys){0};
}

struct kv_keys api_keys_view(const struct api_keys *keys)
{
    return (struct kv_keys){.extent = keys->extent,
                            .key = {keys->key.data, keys->key.len},
                            .end = {keys->end.data, keys->end.len}};
}

static void set(struct buf *buf, const void *bytes, size_t len)
{
    buf_clear(buf);
    if (len > 0)
        buf_add(buf, bytes, len);
}

void api_keys_set_prefix(struct api_keys *keys, const void *prefix, size_t len)
{
    set(&keys->key, prefix, len);
    set(&keys->end, prefix, len);
    while (keys->end.len > 0 && keys->end.data[keys->end.len - 1] == 0xff)
        keys->end.len--;
    keys->extent = keys->end.len > 0 ? KV_HALF_OPEN : KV_FROM_KEY;
    if (keys->end.len > 0)
        keys->end.data[keys->end.len - 1]++;
    if (len == 0)
        buf_add_u8(&keys->key, 0); /* the first key there can be */
}

static int compare(const struct buf *a, const struct buf *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    int order = len > 0 ? memcmp(a->data, b->data, len) : 0;
    if (order != 0)
        return order;
    return a->len < b->len ? -1 : a->len > b->len;
}

void api_keys_of_params(const struct api_params *params, struct api_keys *out)
{
    const struct buf *prefix = api_param(params, "prefix");
    const struct buf *from = api_param(params, "from");
    const struct buf *to = api_param(params, "to");
    api_keys_set_prefix(out, prefix != NULL ? prefix->data : NULL,
                        prefix != NULL ? prefix->len : 0);
    if (from != NULL && compare(from, &out->key) > 0)
        set(&out->key, from->data, from->len);
    if (to == NULL)
        return;
    if (out->extent == KV_FROM_KEY || compare(to, &out->end) < 0)
        set(&out->end, to->data, to->len);
    out->extent = KV_HALF_OPEN;
}

bool api_params_have_range(const struct api_params *params)
{
    return api_param(params, "prefix") != NULL || api_param(params, "from") != NULL ||
           api_param(params, "to") != NULL;
}
