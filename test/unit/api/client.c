/* One api, one request at a time. */
#include "client.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

static struct api *api;
static uint64_t last_token;
struct api_response answer;
char body_text[8192];

int client_setup(void **state)
{
    (void)state;
    fake_node_reset();
    api = api_new(FAKE_NODE,
                  &(struct api_limits){.key_bytes = KEY_BYTES, .value_bytes = VALUE_BYTES}, NULL);
    answer = (struct api_response){0};
    return 0;
}

int client_teardown(void **state)
{
    (void)state;
    api_response_deinit(&answer);
    api_free(api);
    fake_node_reset();
    return 0;
}

bool take_answer(void)
{
    api_response_deinit(&answer);
    body_text[0] = '\0';
    if (!api_next_response(api, &answer, 0))
        return false;
    assert_true(answer.token == last_token);
    if (answer.body != NULL) {
        ev_ssize_t len = evbuffer_copyout(answer.body, body_text, sizeof body_text - 1);
        body_text[len] = '\0';
    }
    return true;
}

void hand_in(const struct api_request *request)
{
    api_handle(api, ++last_token, request, 0);
}

bool ask_with(enum api_method method, const char *target, const char *body, size_t body_len,
              const char *const *headers)
{
    struct api_header list[8];
    size_t count = 0;
    for (; headers != NULL && headers[2 * count] != NULL; count++)
        list[count] = (struct api_header){headers[2 * count], headers[2 * count + 1]};
    struct api_request request = {
        .method = method, .target = target, .headers = list, .header_count = count};
    if (body != NULL) {
        request.body = evbuffer_new();
        assert_int_equal(evbuffer_add(request.body, body, body_len), 0);
    }
    fake.call = FAKE_NOTHING;
    hand_in(&request);
    if (request.body != NULL)
        evbuffer_free(request.body);
    return take_answer();
}

bool ask(enum api_method method, const char *target, const char *body)
{
    return ask_with(method, target, body, body != NULL ? strlen(body) : 0, NULL);
}

bool ask_if(enum api_method method, const char *target, const char *name, const char *value)
{
    const char *headers[] = {name, value, NULL};
    return ask_with(method, target, NULL, 0, headers);
}

void result(struct node_result value)
{
    fake_node_answer(value);
    assert_true(take_answer());
}

const char *header(const char *name)
{
    for (size_t i = 0; i < answer.header_count; i++) {
        if (strcmp(answer.headers[i].name, name) == 0)
            return answer.headers[i].value;
    }
    return "(none)";
}

void expect_error(int status, const char *code)
{
    assert_int_equal(answer.status, status);
    assert_string_equal(header("Content-Type"), "application/json");
    assert_string_equal(header("X-Content-Type-Options"), "nosniff");
    json_t *json = json_loads(body_text, 0, NULL);
    assert_non_null(json);
    assert_true(json_object_size(json) == 2);
    assert_string_equal(json_string_value(json_object_get(json, "code")), code);
    assert_true(json_string_length(json_object_get(json, "error")) > 0);
    json_decref(json);
    bool again = status == 503 || status == 429;
    assert_string_equal(header("Retry-After"), again ? "1" : "(none)");
}

void expect_refusal(enum api_method method, const char *target, int status, const char *code)
{
    assert_true(ask(method, target, "x"));
    expect_error(status, code);
    assert_int_equal(fake.call, FAKE_NOTHING);
}

void expect_key(const void *key, size_t len)
{
    assert_true(fake.key_len == len);
    assert_memory_equal(fake.key, key, len);
}
