/* The parameters of a query, and what they say together: which keys, from which revision. */
#ifndef API_PARAMS_H
#define API_PARAMS_H

#include "base/buf.h"
#include "kv/command.h"

#include <stdbool.h>

struct api_problem;

#define API_PARAMS_MAX 16

struct api_param {
    struct buf name;
    struct buf value; /* empty if there is no '=' */
};
struct api_params {
    struct api_param list[API_PARAMS_MAX];
    size_t count;
};

/* Parameters whose encoding is broken, and those beyond the first 16, are refused. false: *problem;
 * *out need not be given back. */
bool api_params_parse(const char *query, struct api_params *out, struct api_problem *problem);
void api_params_deinit(struct api_params *params);
/* NULL: it is not there. Borrowed from params. */
const struct buf *api_param(const struct api_params *params, const char *name);
/* A flag: there, and neither "false" nor "0". */
bool api_param_is_set(const struct api_params *params, const char *name);
/* *out stays as it is if the parameter is not there; false: it is no number. */
bool api_param_u64(const struct api_params *params, const char *name, uint64_t *out,
                   struct api_problem *problem);
bool api_param_is(const struct api_params *params, const char *name, const char *value);

/* Keys whose bytes are its own. */
struct api_keys {
    enum kv_extent extent;
    struct buf key;
    struct buf end;
};
void api_keys_deinit(struct api_keys *keys);
struct kv_keys api_keys_view(const struct api_keys *keys); /* borrowed until keys changes */
void api_keys_set_prefix(struct api_keys *keys, const void *prefix, size_t len);
/* prefix, from (inclusive), to (exclusive), each optional. */
void api_keys_of_params(const struct api_params *params, struct api_keys *out);
/* Whether one of these three is there. */
bool api_params_have_range(const struct api_params *params);

#endif
