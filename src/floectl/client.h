/* One request at a time to whichever node answers.
 *
 * A node that cannot be reached, breaks off or says 503 is no reason to give up: the next one is
 * asked, round and round until the time is over. What must not happen twice (a write without an
 * idempotency key) is tried again only if it certainly was not done: nobody listened, or the answer
 * was 503. */
#ifndef FLOECTL_CLIENT_H
#define FLOECTL_CLIENT_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <stdbool.h>

enum { CTL_ENDPOINTS_MAX = 32 };

struct ctl_endpoints {
    struct addr list[CTL_ENDPOINTS_MAX];
    size_t count;
};

/* HOST:PORT or http://HOST:PORT, with commas between. ERR_INVALID with a sentence in why. */
enum err endpoints_parse(const char *text, struct ctl_endpoints *out, struct buf *why) MUST_USE;
/* Adds one unless it is there or there is no room. */
void endpoints_add(struct ctl_endpoints *endpoints, const struct addr *addr);

enum { CTL_HEADERS_MAX = 6 };

struct ctl_header {
    const char *name;
    const char *value;
};

/* All borrowed for the call. */
struct ctl_request {
    enum evhttp_cmd_type method;
    const char *path;                           /* with its query, encoded */
    struct ctl_header headers[CTL_HEADERS_MAX]; /* up to the first without a name */
    const void *body;                           /* NULL: none */
    size_t body_len;
    bool repeatable;   /* may be done twice: a read, or a write with an idempotency key */
    uint64_t quiet_ms; /* a try ends after this time without a byte; 0: 3 s */
    /* Of a 200, the bytes as they come, instead of gathering them. False: enough. */
    bool (*on_data)(void *arg, struct evbuffer *data);
    void *arg;
};

enum ctl_outcome {
    CTL_ANSWERED,
    CTL_NOBODY,  /* no node answered; certainly not done */
    CTL_UNKNOWN, /* it may have been done */
};

struct ctl_response {
    enum ctl_outcome outcome;
    int status;
    struct buf body;
    uint64_t revision;        /* of X-Floe-Revision, 0: none */
    uint64_t tag;             /* of ETag, 0: none */
    uint64_t lease;           /* of X-Floe-Lease, 0: none */
    char node[ADDR_TEXT_MAX]; /* who answered */
    struct buf tried;         /* what went wrong at whom, a line each */
};

struct ctl_client;

/* endpoints are copied. timeout_ms: for one call with all its tries. */
struct ctl_client *client_new(const struct ctl_endpoints *endpoints, uint64_t timeout_ms);
void client_free(struct ctl_client *client);
/* out need not be initialised; client_response_deinit afterwards, whatever the outcome. */
void client_call(struct ctl_client *client, const struct ctl_request *request,
                 struct ctl_response *out);
/* One try at that node. */
void client_call_one(struct ctl_client *client, const struct addr *node,
                     const struct ctl_request *request, struct ctl_response *out);
void client_response_deinit(struct ctl_response *response);
/* Sleeps. */
void client_pause(uint64_t pause_ms);
/* 32 random hex digits and a NUL. */
void client_new_key(char *out);

#endif
