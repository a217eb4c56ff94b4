/*
 * What we read of a request ourselves: the target and its query, the conditions, the framing
 * headers, chunks and frames of WebSockets, which must be judged alike however the bytes are split.
 * An input is a line for the target, lines of headers, an empty line, and a body.
 */
#include "api/internal.h"
#include "base/assert.h"
#include "input.h"
#include "io/http_check.h"
#include "io/http_chunk.h"
#include "io/websocket.h"

#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 16

/* Copies a line without its end; NULL: it is empty. To be freed. */
static char *take_line(struct fuzz_input *in)
{
    size_t from = in->pos;
    while (fuzz_more(in) && in->data[in->pos] != '\n' && in->data[in->pos] != '\0')
        in->pos++;
    size_t len = in->pos - from;
    in->pos += fuzz_more(in) ? 1 : 0;
    return len > 0 ? strndup((const char *)in->data + from, len) : NULL;
}

static void check_problem(const struct api_problem *problem)
{
    ASSERT(problem->status >= 400 && problem->status < 600 && problem->code != NULL);
    ASSERT(problem->text[0] != '\0');
}

static void check_target(const char *text)
{
    struct api_target target;
    struct api_problem problem = {0};
    bool stale;
    if (!api_target_parse(text, &target, &problem)) {
        check_problem(&problem);
        return;
    }
    ASSERT(target.key.len <= strlen(text));
    ASSERT(target.query >= text || target.query[0] == '\0');
    if (!api_target_is_stale(target.query, &stale, &problem))
        check_problem(&problem);
    api_target_deinit(&target);
}

/* Every parameter is decoded once, and what they say of keys is a range. */
static void check_params(const char *text)
{
    struct api_target target;
    struct api_params params = {0};
    struct api_problem problem = {0};
    if (!api_target_parse(text, &target, &problem))
        return;
    if (api_params_parse(target.query, &params, &problem)) {
        struct api_keys keys = {0};
        api_keys_of_params(&params, &keys);
        ASSERT(keys.key.len > 0 && (keys.extent == KV_FROM_KEY || keys.extent == KV_HALF_OPEN));
        api_keys_deinit(&keys);
    } else {
        check_problem(&problem);
    }
    api_params_deinit(&params);
    api_target_deinit(&target);
}

/* The steps of a WebSocket, the same however the bytes are split. */
static size_t follow(const uint8_t *bytes, size_t len, size_t piece, struct websocket *ws)
{
    struct evbuffer *input = evbuffer_new();
    size_t sum = 0;
    enum websocket_step step = WEBSOCKET_STEP_MORE;
    for (size_t at = 0; at < len && step != WEBSOCKET_STEP_BAD; at += piece) {
        size_t some = len - at < piece ? len - at : piece;
        ASSERT(evbuffer_add(input, bytes + at, some) == 0);
        do {
            step = websocket_next(ws, input);
            ASSERT(ws->message.len <= ws->message_max);
            ASSERT(ws->control_len <= WEBSOCKET_CONTROL_BYTES);
            if (step != WEBSOCKET_STEP_MORE)
                sum = sum * 31 + (size_t)step * 7 + ws->message.len + ws->control_len;
        } while (step != WEBSOCKET_STEP_MORE && step != WEBSOCKET_STEP_BAD);
    }
    evbuffer_free(input);
    return sum;
}

static void check_websocket(const uint8_t *bytes, size_t len)
{
    struct websocket whole = {.message_max = 300};
    struct websocket single = {.message_max = 300};
    ASSERT(follow(bytes, len, len > 0 ? len : 1, &whole) == follow(bytes, len, 1, &single));
    ASSERT(whole.code == single.code);
    websocket_deinit(&whole);
    websocket_deinit(&single);
}

static void check_conditions(const struct api_request *request)
{
    struct api_conditions conditions;
    struct api_problem problem = {0};
    struct kv_compare compares[API_COMPARES_MAX] = {0};
    size_t count = 0;
    if (!api_conditions_parse(request, &conditions, &problem)) {
        check_problem(&problem);
        return;
    }
    problem = (struct api_problem){0};
    if (!api_conditions_for_write(&conditions, true, compares, &count, &problem))
        check_problem(&problem);
}

static void check_framing(const char *target, const struct api_header *headers, size_t count)
{
    struct evhttp_request *request = evhttp_request_new(NULL, NULL);
    request->uri = strdup(target);
    request->major = 1;
    request->minor = 1;
    request->type = EVHTTP_REQ_PUT;
    for (size_t i = 0; i < count; i++)
        (void)evhttp_add_header(evhttp_request_get_input_headers(request), headers[i].name,
                                headers[i].value);
    const char *why = http_check_framing(request);
    ASSERT(why == NULL || why[0] != '\0');
    evhttp_request_free(request);
}

static void check_chunks(const char *bytes, size_t len)
{
    struct http_chunk whole = {0};
    struct http_chunk single = {0};
    bool good = http_chunk_feed(&whole, bytes, len);
    bool each = true;
    for (size_t i = 0; i < len; i++)
        each = http_chunk_feed(&single, bytes + i, 1) && each;
    ASSERT(good == each && whole.state == single.state);
    ASSERT(!good || whole.left == single.left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .len = size};
    char *target = take_line(&in);
    struct api_header headers[HEADERS_MAX];
    char *lines[HEADERS_MAX];
    size_t count = 0;
    while (count < HEADERS_MAX && (lines[count] = take_line(&in)) != NULL) {
        char *colon = strchr(lines[count], ':');
        headers[count].name = lines[count];
        headers[count].value = colon != NULL ? colon + 1 : "";
        if (colon != NULL)
            *colon = '\0';
        count++;
    }
    struct api_request request = {
        .target = target != NULL ? target : "", .headers = headers, .header_count = count};
    check_target(request.target);
    check_params(request.target);
    check_conditions(&request);
    check_framing(request.target, headers, count);
    check_chunks((const char *)in.data + in.pos, in.len - in.pos);
    check_websocket(in.data + in.pos, in.len - in.pos);
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(target);
    return 0;
}
