/* jansson's values with our refusals. */
#include "api/body.h"

#include <stdio.h>
#include <string.h>

json_t *api_text_object(const char *text, size_t len, char why[JSON_ERROR_TEXT_LENGTH])
{
    json_error_t error = {.text = "it is no object"};
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json_is_object(json))
        return json;
    (void)snprintf(why, JSON_ERROR_TEXT_LENGTH, "%s",
                   json != NULL ? "it is no object" : error.text);
    json_decref(json);
    return NULL;
}

json_t *api_body_object(const struct api_request *request, struct api_problem *problem)
{
    size_t len = request->body != NULL ? evbuffer_get_length(request->body) : 0;
    const char *text = len > 0 ? (const char *)evbuffer_pullup(request->body, -1) : "";
    char why[JSON_ERROR_TEXT_LENGTH] = "it is empty";
    json_t *json = len > 0 ? api_text_object(text, len, why) : NULL;
    if (json == NULL)
        (void)api_problem_set(problem, 400, "bad_json", "the body must be a JSON object: %s", why);
    return json;
}

bool api_body_bytes(const json_t *object, const char *name, struct kv_command *command,
                    struct kv_bytes *out, struct api_problem *problem)
{
    struct buf bytes = {0};
    bool good = api_json_get_bytes(object, name, &bytes);
    if (good && bytes.len > 0) {
        uint8_t *own = kv_command_alloc(command, bytes.len, 1);
        memcpy(own, bytes.data, bytes.len);
        *out = (struct kv_bytes){own, bytes.len};
    }
    buf_deinit(&bytes);
    if (!good)
        return api_problem_set(problem, 400, "bad_json",
                               "there must be either \"%s\", a string, or \"%s_base64\"", name,
                               name);
    return true;
}

bool api_body_u64(const json_t *object, const char *name, uint64_t *out,
                  struct api_problem *problem)
{
    if (api_json_get_u64(object, name, out))
        return true;
    return api_problem_set(problem, 400, "bad_json", "\"%s\" must be a whole number, not negative",
                           name);
}
