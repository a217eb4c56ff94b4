/* The one table of what there is: requests are routed by it, and /openapi.json is made of it. */
#include "api/internal.h"

#include <stdio.h>
#include <string.h>

#define AGE_PARAMS "-consistency -max_stale_ms"
#define HEAD_PARAMS "revision consistency max_stale_ms If-Match If-None-Match"
#define READ_PARAMS \
    "watch -revision " AGE_PARAMS " +from_revision If-Match If-None-Match Last-Event-ID"
#define RANGE_PARAMS                                                       \
    "prefix from to watch -limit -order -keys -next -revision " AGE_PARAMS \
    " +from_revision Last-Event-ID"
#define NAME_SHOWN 40
#define ANY_PARAMS "*" /* who asks these with parameters means etcd's, or Kubernetes' */
#define BYTES "application/octet-stream"
#define JSON "application/json"
#define LINES "application/x-ndjson"
#define SSE "text/event-stream"

const struct api_endpoint api_endpoints[] = {
    {NULL, NULL, API_GET, api_key_handle, "/{key}", READ_PARAMS, NULL, "200 " BYTES,
     "Reads a key, as at /kv/{key}"},
    {NULL, NULL, API_HEAD, api_key_handle, "/{key}", HEAD_PARAMS, NULL, "200 " BYTES,
     "What a GET says of a key, without its value"},
    {NULL, NULL, API_PUT, api_key_handle, "/{key}",
     "lease ttl If-Match If-None-Match Idempotency-Key", BYTES, "204",
     "Writes a key, as at /kv/{key}"},
    {NULL, NULL, API_POST, api_member_handle, "/{key}", "", "text/plain", "204",
     "Adds the member of this id; the body is its peer address"},
    {NULL, NULL, API_DELETE, api_member_handle, "/{key}", "", NULL, "204",
     "Removes the member of this id"},
    {"kv", "", API_GET, api_range_handle, "/kv/", RANGE_PARAMS, NULL, "200 " JSON,
     "Lists keys at one revision, in JSON or as lines; with watch: what happens to them"},
    {"kv", "", API_POST, api_bulk_handle, "/kv/", "Idempotency-Key", LINES, "200 " LINES,
     "Many writes, a line and a result each"},
    {"kv", "", API_DELETE, api_range_delete, "/kv/", "prefix from to Idempotency-Key", NULL,
     "200 " JSON, "Removes many keys at once"},
    {"kv", "{key}", API_GET, api_key_handle, "/kv/{key}", READ_PARAMS, NULL, "200 " BYTES,
     "Reads a key; with watch: what happens to it"},
    {"kv", "{key}", API_HEAD, api_key_handle, "/kv/{key}", HEAD_PARAMS, NULL, "200 " BYTES,
     "What a GET says of a key, without its value"},
    {"kv", "{key}", API_PUT, api_key_handle, "/kv/{key}",
     "lease ttl If-Match If-None-Match Idempotency-Key", BYTES, "204", "Writes a key"},
    {"kv", "{key}", API_DELETE, api_key_handle, "/kv/{key}", "If-Match Idempotency-Key", NULL,
     "204", "Removes a key"},
    {"txn", NULL, API_POST, api_txn_handle, "/txn", "Idempotency-Key", JSON, "200 " JSON,
     "Conditions, and what is done if they hold or not, at one revision"},
    {"tx", "{*}", API_GET, api_ticket_handle, "/tx/{id}", "", NULL, "200 " JSON,
     "Whether the write with this Idempotency-Key is committed"},
    {"leases", NULL, API_GET, api_leases_list, "/leases", "from limit", NULL, "200 " JSON,
     "Lists leases"},
    {"leases", NULL, API_POST, api_lease_grant, "/leases", "", JSON, "201 " JSON, "Grants a lease"},
    {"leases", "{id}", API_GET, api_lease_get, "/leases/{id}", "", NULL, "200 " JSON,
     "What remains of a lease, and its keys"},
    {"leases", "{id}", API_POST, api_lease_renew, "/leases/{id}", "", NULL, "200 " JSON,
     "Keeps a lease alive"},
    {"leases", "{id}/keepalive", API_POST, api_lease_renew, "/leases/{id}/keepalive", "", NULL,
     "200 " JSON, "The same"},
    {"leases", "{id}", API_DELETE, api_lease_revoke, "/leases/{id}", "", NULL, "204",
     "Gives a lease back; its keys are removed"},
    {"members", NULL, API_GET, api_members_list, "/members", "", NULL, "200 " JSON,
     "Lists members"},
    {"members", NULL, API_POST, api_members_add, "/members", "", JSON, "204", "Adds a member"},
    {"members", "{id}", API_PUT, api_members_update, "/members/{id}", "", JSON, "204",
     "Changes a member's peer address"},
    {"members", "{id}", API_DELETE, api_members_remove, "/members/{id}", "", NULL, "204",
     "Removes a member"},
    {"members", "{id}/promote", API_POST, api_members_promote, "/members/{id}/promote", "", NULL,
     "204", "Makes a learner a voter"},
    {"leader", NULL, API_POST, api_leader_set, "/leader", "", JSON, "200 " JSON,
     "Hands leadership over"},
    {"events", NULL, API_GET, api_events_handle, "/events", "", NULL, "200 " SSE,
     "What happens to the cluster: leader, term, members"},
    {"health", NULL, API_GET, api_health_get, "/health", ANY_PARAMS, NULL, "200 " JSON,
     "Whether there is a leader"},
    {"livez", NULL, API_GET, api_livez_get, "/livez", ANY_PARAMS, NULL, "200 " JSON,
     "Whether the process works"},
    {"readyz", NULL, API_GET, api_readyz_get, "/readyz", ANY_PARAMS, NULL, "200 " JSON,
     "Whether it can serve, and if not why"},
    {"status", NULL, API_GET, api_status_get, "/status", "", NULL, "200 " JSON,
     "What this member knows of the cluster"},
    {"version", NULL, API_GET, api_version_get, "/version", ANY_PARAMS, NULL, "200 " JSON,
     "Versions"},
    {"metrics", NULL, API_GET, api_metrics_get, "/metrics", ANY_PARAMS, NULL, "200 text/plain",
     "State and counts for Prometheus, under etcd's names"},
    {"limits", NULL, API_GET, api_limits_get, "/limits", "", NULL, "200 " JSON, "Every limit"},
    {"openapi.json", NULL, API_GET, api_openapi_get, "/openapi.json", "", NULL, "200 " JSON,
     "This description"},
};
const size_t api_endpoint_count = sizeof api_endpoints / sizeof *api_endpoints;

static const char *const method_names[] = {[API_GET] = "GET",
                                           [API_HEAD] = "HEAD",
                                           [API_PUT] = "PUT",
                                           [API_POST] = "POST",
                                           [API_DELETE] = "DELETE"};

const char *api_route_word(const char *word, size_t len)
{
    for (size_t i = 0; i < api_endpoint_count; i++) {
        const char *own = api_endpoints[i].word;
        if (own != NULL && strcmp(own, "kv") != 0 && strlen(own) == len &&
            memcmp(own, word, len) == 0)
            return own;
    }
    return NULL;
}

/* Whether the rest of a path is as the pattern says: "{x}" or "{x}/word"; of "{*}" it is all. */
static bool matches(const char *pattern, const struct api_target *target, const char **part,
                    size_t *part_len)
{
    const char *rest = (const char *)target->key.data;
    size_t len = target->key.len;
    if (pattern == NULL || !target->has_rest)
        return pattern == NULL && !target->has_rest;
    const char *tail = strchr(pattern, '}') + 1;
    size_t tail_len = strlen(tail);
    if (len <= tail_len || memcmp(rest + len - tail_len, tail, tail_len) != 0)
        return false;
    *part = rest;
    *part_len = len - tail_len;
    return pattern[1] == '*' || memchr(rest, '/', *part_len) == NULL;
}

static bool is_at(const struct api_endpoint *endpoint, struct api_call *call)
{
    const struct api_target *target = &call->target;
    switch (target->route) {
    case API_ROUTE_ROOT: return endpoint->word == NULL;
    case API_ROUTE_KV:
        return endpoint->word != NULL && strcmp(endpoint->word, "kv") == 0 &&
               (endpoint->pattern[0] == '\0') == (target->key.len == 0);
    case API_ROUTE_TABLE:
        return endpoint->word == target->word &&
               matches(endpoint->pattern, target, &call->part, &call->part_len);
    case API_ROUTE_V3:
    case API_ROUTE_RESERVED: return false;
    }
    return false;
}

/* What answers a GET at once answers a HEAD, too; not what is streamed. */
static bool takes(const struct api_endpoint *endpoint, enum api_method method)
{
    bool is_streamed =
        endpoint->handle == api_range_handle || endpoint->handle == api_events_handle;
    bool is_read = endpoint->method == API_GET && !is_streamed;
    return endpoint->method == method || (is_read && method == API_HEAD);
}

static void add_allowed(char *allow, size_t size, enum api_method method)
{
    size_t len = strlen(allow);
    (void)snprintf(allow + len, size - len, "%s%s", len > 0 ? ", " : "", method_names[method]);
}

/* Which methods there are at this path, in the order of their numbers. */
static size_t allowed(struct api_call *call, char *allow, size_t size)
{
    size_t count = 0;
    allow[0] = '\0';
    for (enum api_method method = API_GET; method < API_OPTIONS; method++) {
        bool is_taken = false;
        for (size_t i = 0; i < api_endpoint_count && !is_taken; i++)
            is_taken = takes(&api_endpoints[i], method) && is_at(&api_endpoints[i], call);
        if (is_taken)
            add_allowed(allow, size, method);
        count += is_taken ? 1 : 0;
    }
    return count;
}

static bool refuse_reserved(const struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    (void)api_problem_set(&problem, 400, "reserved",
                          "%s is reserved as first path segment; use /kv/KEY for keys that begin "
                          "with it",
                          call->target.word);
    api_respond_problem(out, &problem);
    return true;
}

static bool refuse_empty_key(struct api_response *out)
{
    api_error_response(out, 400, "empty_key", "a key cannot be empty");
    return true;
}

/* Nothing of the table: a key that begins with a word of ours, a member where none can be, a method
 * that is not taken, or nothing at all. */
static bool refuse(struct api *api, struct api_call *call, struct api_response *out)
{
    const struct api_target *target = &call->target;
    enum api_method method = call->request->method;
    char allow[64];
    size_t count = allowed(call, allow, sizeof allow);
    bool is_word = target->route != API_ROUTE_ROOT && target->route != API_ROUTE_KV;
    bool is_read_only = strcmp(allow, "GET, HEAD") == 0 || strcmp(allow, "GET") == 0;
    if (target->route == API_ROUTE_KV && target->key.len == 0 && method == API_PUT)
        return refuse_empty_key(out);
    if (is_word && method == API_PUT && (count == 0 || !target->has_rest))
        return refuse_reserved(call, out);
    if (is_word && (count == 0 || is_read_only) && (method == API_POST || method == API_DELETE))
        return api_member_handle(api, call, out); /* at the root they mean a member, always */
    if (count > 0)
        api_respond_method(out, allow);
    else if (method >= API_OPTIONS)
        api_respond_method(out, "GET, HEAD");
    else
        api_error_response(out, 404, "not_found",
                           "there is nothing at this path; keys that begin "
                           "with this word are at /kv/KEY");
    return true;
}

/* ---- parameters ------------------------------------------------------------------------------ */

const char *api_params_next(const char *params, struct api_param_word *out)
{
    params += strspn(params, " ");
    if (*params == '\0')
        return NULL;
    *out = (struct api_param_word){.when = API_PARAM_ALWAYS};
    if (*params == '+' || *params == '-')
        out->when = *params++ == '+' ? API_PARAM_WITH_WATCH : API_PARAM_WITHOUT_WATCH;
    out->name = params;
    out->len = strcspn(params, " ");
    out->is_header = *params >= 'A' && *params <= 'Z';
    return params + out->len;
}

static bool goes(const struct api_param_word *word, bool with_watch)
{
    return !word->is_header &&
           (word->when == API_PARAM_ALWAYS || (word->when == API_PARAM_WITH_WATCH) == with_watch);
}

static bool is_known(const char *params, const struct buf *name, bool with_watch)
{
    struct api_param_word word;
    while ((params = api_params_next(params, &word)) != NULL) {
        if (goes(&word, with_watch) && word.len == name->len &&
            memcmp(word.name, name->data, word.len) == 0)
            return true;
    }
    return false;
}

/* Names come from anybody. */
static void put_name(struct buf *out, const struct buf *name)
{
    for (size_t i = 0; i < name->len && i < NAME_SHOWN; i++)
        buf_add_u8(out, name->data[i] > ' ' && name->data[i] < 0x7f ? name->data[i] : '?');
}

static void refuse_param(const struct api_endpoint *endpoint, const struct buf *name,
                         bool with_watch, struct api_response *out)
{
    struct buf text = {0};
    const char *params = endpoint->params;
    struct api_param_word word;
    size_t count = 0;
    buf_printf(&text, "the parameter \"");
    put_name(&text, name);
    buf_printf(&text, "\" is not known here: %s %s%s takes", method_names[endpoint->method],
               endpoint->path, with_watch ? " with watch" : "");
    while ((params = api_params_next(params, &word)) != NULL) {
        if (goes(&word, with_watch))
            buf_printf(&text, "%s %.*s", count++ > 0 ? "," : "", (int)word.len, word.name);
    }
    buf_printf(&text, "%s", count == 0 ? " none" : "");
    api_error_response(out, 400, "unknown_parameter", buf_str(&text));
    buf_deinit(&text);
}

/* What is not understood must never be passed over. A query that cannot be read is left to the
 * handler, if it reads any. */
static bool params_are_known(const struct api_endpoint *endpoint, const struct api_call *call,
                             struct api_response *out)
{
    struct api_params params;
    struct api_problem problem;
    bool is_free = strcmp(endpoint->params, ANY_PARAMS) == 0;
    if (is_free || *call->target.query == '\0')
        return true;
    if (!api_params_parse(call->target.query, &params, &problem)) {
        if (*endpoint->params != '\0')
            return true;
        api_respond_problem(out, &problem);
        return false;
    }
    bool with_watch = api_param_is_set(&params, "watch");
    bool is_good = true;
    for (size_t i = 0; i < params.count && is_good; i++) {
        is_good = is_known(endpoint->params, &params.list[i].name, with_watch);
        if (!is_good)
            refuse_param(endpoint, &params.list[i].name, with_watch, out);
    }
    api_params_deinit(&params);
    return is_good;
}

bool api_routes_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    for (size_t i = 0; i < api_endpoint_count; i++) {
        const struct api_endpoint *endpoint = &api_endpoints[i];
        if (takes(endpoint, call->request->method) && is_at(endpoint, call))
            return !params_are_known(endpoint, call, out) || endpoint->handle(api, call, out);
    }
    return refuse(api, call, out);
}
