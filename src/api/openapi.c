/* GET /openapi.json: the table of routes in OpenAPI's form. */
#include "api/internal.h"
#include "api/v3_route.h"

#include <stdio.h>
#include <string.h>

static void put_schema(struct api_json *json, const char *type)
{
    api_json_open(json, "schema", '{');
    api_json_str(json, "type", type);
    api_json_close(json, '}');
}

static void put_param(struct api_json *json, const struct api_param_word *word, const char *in)
{
    char text[64];
    memcpy(text, word->name, word->len);
    text[word->len] = '\0';
    api_json_open(json, NULL, '{');
    api_json_str(json, "name", text);
    api_json_str(json, "in", in);
    if (word->when != API_PARAM_ALWAYS)
        api_json_str(json, "description",
                     word->when == API_PARAM_WITH_WATCH ? "only together with watch"
                                                        : "not together with watch");
    if (strcmp(in, "path") == 0)
        api_json_bool(json, "required", true);
    put_schema(json, "string");
    api_json_close(json, '}');
}

static void put_params(struct api_json *json, const struct api_endpoint *endpoint)
{
    const char *open = strchr(endpoint->path, '{');
    const char *params = strcmp(endpoint->params, "*") == 0 ? "" : endpoint->params;
    struct api_param_word word = {.when = API_PARAM_ALWAYS};
    api_json_open(json, "parameters", '[');
    if (open != NULL) {
        word.name = open + 1;
        word.len = strcspn(open + 1, "}");
        put_param(json, &word, "path");
    }
    while ((params = api_params_next(params, &word)) != NULL)
        put_param(json, &word, word.is_header ? "header" : "query");
    api_json_close(json, ']');
}

static void put_content(struct api_json *json, const char *type)
{
    api_json_open(json, "content", '{');
    api_json_open(json, type, '{');
    api_json_close(json, '}');
    api_json_close(json, '}');
}

static void put_answers(struct api_json *json, const struct api_endpoint *endpoint)
{
    char status[4] = {endpoint->answer[0], endpoint->answer[1], endpoint->answer[2], '\0'};
    api_json_open(json, "responses", '{');
    api_json_open(json, status, '{');
    api_json_str(json, "description", "done");
    if (endpoint->answer[3] == ' ')
        put_content(json, endpoint->answer + 4);
    api_json_close(json, '}');
    api_json_open(json, "default", '{');
    api_json_str(json, "description", "{\"error\":\"text\",\"code\":\"snake_case_word\"}");
    put_content(json, "application/json");
    api_json_close(json, '}');
    api_json_close(json, '}');
}

static void put_endpoint(struct api_json *json, const struct api_endpoint *endpoint)
{
    static const char *const names[] = {[API_GET] = "get",
                                        [API_HEAD] = "head",
                                        [API_PUT] = "put",
                                        [API_POST] = "post",
                                        [API_DELETE] = "delete"};
    api_json_open(json, names[endpoint->method], '{');
    api_json_str(json, "summary", endpoint->summary);
    put_params(json, endpoint);
    if (endpoint->body != NULL) {
        api_json_open(json, "requestBody", '{');
        put_content(json, endpoint->body);
        api_json_close(json, '}');
    }
    put_answers(json, endpoint);
    api_json_close(json, '}');
}

/* Whether an earlier row has the same path. */
static bool is_put(size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(api_endpoints[i].path, api_endpoints[at].path) == 0)
            return true;
    }
    return false;
}

/* etcd's paths: what is in their bodies is described by etcd. */
static void put_v3(struct api_json *json)
{
    const struct v3_route *route;
    for (size_t i = 0; (route = v3_route_at(i)) != NULL; i++) {
        char path[80];
        (void)snprintf(path, sizeof path, "/v3/%s", route->path);
        const struct api_endpoint endpoint = {
            .path = path,
            .method = API_POST,
            .params = "",
            .body = "application/json",
            .answer = "200 application/json",
            .summary = route->stream ? "As of etcd's gateway; the answer goes on, a message a line"
                                     : "As of etcd's gateway",
        };
        api_json_open(json, path, '{');
        put_endpoint(json, &endpoint);
        api_json_close(json, '}');
    }
}

bool api_openapi_get(struct api *api, struct api_call *call, struct api_response *out)
{
    (void)api, (void)call;
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_str(&json, "openapi", "3.0.3");
    api_json_open(&json, "info", '{');
    api_json_str(&json, "title", "floe");
    api_json_str(&json, "version", FLOE_VERSION);
    api_json_close(&json, '}');
    api_json_open(&json, "paths", '{');
    for (size_t i = 0; i < api_endpoint_count; i++) {
        if (is_put(i))
            continue;
        api_json_open(&json, api_endpoints[i].path, '{');
        for (size_t k = i; k < api_endpoint_count; k++) {
            if (strcmp(api_endpoints[k].path, api_endpoints[i].path) == 0)
                put_endpoint(&json, &api_endpoints[k]);
        }
        api_json_close(&json, '}');
    }
    put_v3(&json);
    api_json_close(&json, '}');
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
    return true;
}
