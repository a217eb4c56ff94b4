/* The client behind v3_client.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "v3_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct api *api;
uint64_t token;
uint64_t now_ms;
struct v3_head head;
char body[1 << 19]; /* of a unary answer, or all chunks, each in brackets < > */
bool ended;
char other[512]; /* the unary answer to an earlier request, if one came */
int other_status;

int setup(void **state)
{
    (void)state;
    kv_node_reset();
    api = api_new(KV_NODE, &(struct api_limits){.key_bytes = 1000, .value_bytes = 1 << 20}, NULL);
    token = 0;
    now_ms = 1000;
    return 0;
}

int teardown(void **state)
{
    (void)state;
    api_free(api);
    kv_node_reset();
    kv_free(kv_node.kv);
    kv_node.kv = NULL;
    return 0;
}

void quotes(char *text, char from, char to)
{
    for (; *text != '\0'; text++)
        *text = *text == from ? to : *text;
}

static void add_chunk(struct api_chunk *chunk)
{
    if (chunk->data != NULL) {
        size_t at = strlen(body);
        size_t len = evbuffer_get_length(chunk->data);
        assert_true(at + len + 3 < sizeof body);
        if (len > 0) {
            body[at] = '<';
            assert_int_equal(evbuffer_remove(chunk->data, body + at + 1, len), (int)len);
            (void)strcpy(body + at + 1 + len, ">");
        }
        evbuffer_free(chunk->data);
    }
    ended = ended || chunk->last;
    api_stream_unsent(api, chunk->token, 0);
}

static void take_other(struct api_response *response)
{
    other_status = response->status;
    size_t len = evbuffer_get_length(response->body);
    assert_true(len < sizeof other);
    (void)evbuffer_copyout(response->body, other, len);
    other[len] = '\0';
    quotes(other, '"', '\'');
    api_response_deinit(response);
}

/* Some turns: answers and chunks of the last request. */
void turn(void)
{
    for (int i = 0; i < 20; i++) {
        struct api_response response;
        while (api_next_response(api, &response, now_ms)) {
            if (response.token != token) {
                take_other(&response);
                continue;
            }
            head.status = response.status;
            head.stream = response.stream;
            head.socket = response.websocket;
            for (size_t h = 0; h < response.header_count; h++) {
                if (strcmp(response.headers[h].name, "Content-Type") == 0)
                    (void)snprintf(head.type, sizeof head.type, "%s", response.headers[h].value);
            }
            if (response.body != NULL) {
                size_t len = evbuffer_get_length(response.body);
                assert_true(len < sizeof body);
                (void)evbuffer_copyout(response.body, body, len);
                body[len] = '\0';
                ended = true;
            }
            api_response_deinit(&response);
        }
        struct api_chunk chunk;
        while (api_next_chunk(api, &chunk, now_ms))
            add_chunk(&chunk);
        now_ms += 20;
    }
    quotes(body, '"', '\'');
}

void more(void)
{
    body[0] = '\0';
    turn();
}

void send_request(enum api_method method, const char *path, const char *text, size_t len,
                  const struct api_header *headers, size_t count)
{
    struct api_request request = {
        .method = method, .target = path, .headers = headers, .header_count = count};
    if (len > 0) {
        request.body = evbuffer_new();
        assert_int_equal(evbuffer_add(request.body, text, len), 0);
    }
    head.status = 0;
    body[0] = head.type[0] = other[0] = '\0';
    ended = false;
    api_handle(api, ++token, &request, now_ms);
    if (request.body != NULL)
        evbuffer_free(request.body);
    turn();
}

void post(const char *path, const char *json)
{
    char target[96];
    char *text = strdup(json);
    quotes(text, '\'', '"');
    (void)snprintf(target, sizeof target, "/v3/%s", path);
    send_request(API_POST, target, text, strlen(text), NULL, 0);
    free(text);
}

void put(const char *key, const char *value)
{
    (void)kv_node_put(key, value);
}

void run(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        post(rows[i].path, rows[i].request);
        if (head.status != rows[i].status || strcmp(body, rows[i].answer) != 0)
            fail_msg("row %zu: %s %s\ngives %d %s\nnot   %d %s", i, rows[i].path, rows[i].request,
                     head.status, body, rows[i].status, rows[i].answer);
    }
}
