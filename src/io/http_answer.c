/*
 * What this is for, with 64 clients that PUT (perf stat, calls of the kernel per request): evhttp
 * alone takes 4 epoll_ctl, ioctl, readv and writev; with the flush, and with reading that stays on
 * while a request waits (http_conn), ioctl, readv and writev are left.
 */
#include "io/http_answer.h"
#include "base/assert.h"
#include "io/http_check.h"
#include "io/write_now.h"

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DATE_SIZE 32
#define LENGTH_SIZE 24

/* ---- heads ----------------------------------------------------------------------------------- */

/* RFC 9110 5.6.7; made once a second, since it is the dearest part of a small answer. */
static const char *date_text(void)
{
    static time_t made_at = -1;
    static char text[DATE_SIZE];
    time_t now = time(NULL);
    struct tm parts;
    if (now != made_at && gmtime_r(&now, &parts) != NULL &&
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0)
        made_at = now;
    return text;
}

static char *put(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

/* A header whose value holds the following ones, too. evhttp frees what it holds with free(). */
void http_answer_put_head(struct evhttp_request *request, const struct api_response *response)
{
    char text[DATE_SIZE + API_HEADERS_MAX * (API_HEADER_NAME_MAX + API_HEADER_VALUE_MAX + 4)];
    char *at = put(text, date_text());
    for (size_t i = 0; i < response->header_count; i++) {
        ASSERT(strlen(response->headers[i].name) < API_HEADER_NAME_MAX);
        at = put(at, "\r\n");
        at = put(at, response->headers[i].name);
        at = put(at, ": ");
        at = put(at, response->headers[i].value);
    }
    struct evkeyval *header = malloc(sizeof *header);
    ASSERT_MSG(header != NULL, "out of memory");
    header->key = strdup("Date");
    header->value = strndup(text, (size_t)(at - text));
    ASSERT_MSG(header->key != NULL && header->value != NULL, "out of memory");
    TAILQ_INSERT_TAIL(evhttp_request_get_output_headers(request), header, next);
}

static void add_header(struct evhttp_request *request, const char *name, const char *value)
{
    /* fails only for line breaks in it */
    ASSERT(evhttp_add_header(evhttp_request_get_output_headers(request), name, value) == 0);
}

/* ---- answers --------------------------------------------------------------------------------- */

void http_answer_send(struct evhttp_request *request, struct api_response *response, bool close)
{
    bool has_type = false;
    for (size_t i = 0; i < response->header_count; i++)
        has_type = has_type || strcasecmp(response->headers[i].name, "Content-Type") == 0;
    http_answer_put_head(request, response);
    bool bodyless = response->status == 204 || response->status == 304;
    ASSERT(has_type || bodyless);
    if (close)
        add_header(request, "Connection", "close");
    bool no_body = response->head || evhttp_request_get_command(request) == EVHTTP_REQ_CONNECT;
    if (no_body && !bodyless) { /* evhttp would send the body, or no length */
        char length[LENGTH_SIZE];
        size_t len =
            response->head && response->body != NULL ? evbuffer_get_length(response->body) : 0;
        (void)snprintf(length, sizeof length, "%zu", len);
        add_header(request, "Content-Length", length);
    }
    evhttp_send_reply(request, response->status, http_check_phrase(response->status),
                      no_body || bodyless ? NULL : response->body);
    api_response_deinit(response);
}

void http_answer_flush(struct http_conn *conn)
{
    struct bufferevent *bev = conn->bev;
    if (evbuffer_get_length(bufferevent_get_output(bev)) == 0 || write_now(bev) > 0)
        return;
    (void)bufferevent_disable(bev, EV_WRITE); /* the event, before the kernel hears of it */
    bufferevent_trigger(bev, EV_WRITE, 0);    /* evhttp: all is written */
}
