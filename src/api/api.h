/*
 * What each HTTP request means, without an HTTP server: requests go in as values with a token,
 * responses come out of a queue with the same token, exactly one a request.
 */
#ifndef API_API_H
#define API_API_H

#include "node/node.h"

#include <event2/buffer.h>

struct api;

struct api_limits {
    size_t key_bytes;
    size_t value_bytes;
};

struct api *api_new(struct node *node, const struct api_limits *limits,
                    const struct logger *logger); /* node borrowed until api_free */
void api_free(struct api *api);

enum api_method { API_GET, API_HEAD, API_PUT, API_POST, API_DELETE, API_OTHER };

struct api_header {
    const char *name;
    const char *value;
};

/* All borrowed for the call. */
struct api_request {
    enum api_method method;
    const char *target; /* raw request target, "/a%20b?consistency=stale"; may be absolute-form */
    const struct api_header *headers;
    size_t header_count;
    struct evbuffer *body; /* NULL: none */
};

void api_handle(struct api *api, uint64_t token, const struct api_request *request,
                uint64_t now_ms);

#define API_HEADERS_MAX 8
struct api_response {
    uint64_t token;
    int status;
    struct {
        const char *name; /* static */
        char value[160];
    } headers[API_HEADERS_MAX];
    size_t header_count;
    struct evbuffer *body; /* owned by caller (api_response_deinit); NULL: none */
    bool head;             /* answer to HEAD: Content-Length of body, but no body */
};
void api_response_deinit(struct api_response *response);
/* Call after node_pump: turns node results into responses; false: none. */
bool api_next_response(struct api *api, struct api_response *out, uint64_t now_ms);
/* An error answer in our form, for refusals that the HTTP server itself makes (413, 400 ...).
 * Fills *out but the token. */
void api_error_response(struct api_response *out, int status, const char *code, const char *text);

#endif
