/* A queue of responses and a queue of chunks. */
#include "fake_api.h"

#include "base/assert.h"

#include <string.h>

#define QUEUE_MAX 4096

struct fake_api fake_api;
static struct api_response responses[QUEUE_MAX];
static size_t response_count;
static struct api_chunk chunks[QUEUE_MAX];
static size_t chunk_first;
static size_t chunk_count;

void fake_api_reset(void)
{
    while (chunk_first < chunk_count)
        evbuffer_free(chunks[chunk_first++].data);
    for (size_t i = 0; i < response_count; i++)
        api_response_deinit(&responses[i]);
    chunk_first = chunk_count = response_count = 0;
    fake_api = (struct fake_api){0};
}

void fake_api_push(const char *text, size_t len, bool last)
{
    ASSERT(chunk_count < QUEUE_MAX);
    struct evbuffer *data = evbuffer_new();
    if (text != NULL)
        ASSERT(evbuffer_add(data, text, len) == 0);
    chunks[chunk_count++] = (struct api_chunk){fake_api.token, data, last};
}

struct api *api_new(struct node *node, const struct api_limits *limits, const struct logger *logger)
{
    (void)node, (void)limits, (void)logger;
    return NULL;
}

void api_free(struct api *api)
{
    (void)api;
    fake_api_reset();
}

void api_handle(struct api *api, uint64_t token, const struct api_request *request, uint64_t now_ms)
{
    (void)api, (void)now_ms;
    ASSERT(response_count < QUEUE_MAX);
    struct api_response *response = &responses[response_count++];
    if (strcmp(request->target, "/version") == 0) {
        *response = (struct api_response){.token = token};
        api_error_response(response, 404, "floe", "floe");
        return;
    }
    fake_api.requests++;
    fake_api.token = token;
    bool is_websocket = strncmp(request->target, "/ws", 3) == 0;
    *response = (struct api_response){.token = token,
                                      .status = 200,
                                      .header_count = 1,
                                      .stream = !is_websocket,
                                      .websocket = is_websocket,
                                      .headers = {{"Content-Type", "text/event-stream"}}};
}

bool api_next_response(struct api *api, struct api_response *out, uint64_t now_ms)
{
    (void)api, (void)now_ms;
    if (response_count == 0)
        return false;
    *out = responses[0];
    memmove(responses, responses + 1, --response_count * sizeof *responses);
    return true;
}

void api_response_deinit(struct api_response *response)
{
    if (response->body != NULL)
        evbuffer_free(response->body);
    *response = (struct api_response){0};
}

void api_error_response(struct api_response *out, int status, const char *code, const char *text)
{
    *out = (struct api_response){.token = out->token,
                                 .head = out->head,
                                 .status = status,
                                 .header_count = 1,
                                 .headers = {{"Content-Type", "application/json"}}};
    out->body = evbuffer_new();
    ASSERT(evbuffer_add_printf(out->body, "{\"error\":\"%s\",\"code\":\"%s\"}\n", text, code) > 0);
}

void api_refusal_response(struct api_response *out, const char *target, int status,
                          const char *code, const char *text)
{
    (void)target;
    api_error_response(out, status, code, text);
}

bool api_next_chunk(struct api *api, struct api_chunk *out, uint64_t now_ms)
{
    (void)api, (void)now_ms;
    if (chunk_first == chunk_count)
        return false;
    *out = chunks[chunk_first++];
    if (chunk_first == chunk_count)
        chunk_first = chunk_count = 0;
    return true;
}

void api_stream_unsent(struct api *api, uint64_t token, size_t bytes)
{
    (void)api;
    ASSERT(token != 0);
    fake_api.unsent = bytes;
    fake_api.unsent_calls++;
}

bool api_stream_input(struct api *api, uint64_t token, const uint8_t *text, size_t len,
                      uint64_t now_ms)
{
    (void)api, (void)now_ms;
    ASSERT(token == fake_api.token);
    size_t some = len < sizeof fake_api.input ? len : sizeof fake_api.input - 1;
    memcpy(fake_api.input, text, some);
    fake_api.input[some] = '\0';
    fake_api.input_len = len;
    fake_api.inputs++;
    return !fake_api.is_full;
}

bool api_stream_farewell(struct api *api, uint64_t token, enum api_leaving why,
                         struct evbuffer *out)
{
    (void)api, (void)token, (void)why;
    if (fake_api.farewell == NULL)
        return false;
    ASSERT(evbuffer_add(out, fake_api.farewell, strlen(fake_api.farewell)) == 0);
    return true;
}

void api_stream_gone(struct api *api, uint64_t token)
{
    (void)api;
    fake_api.gone++;
    fake_api.gone_token = token;
}

uint64_t api_next_deadline_ms(const struct api *api)
{
    (void)api;
    return UINT64_MAX;
}

bool api_wants_gone(const struct api *api, uint64_t token)
{
    (void)api, (void)token;
    return false;
}

void api_gone(struct api *api, uint64_t token, uint64_t now_ms)
{
    (void)api, (void)token, (void)now_ms;
}
