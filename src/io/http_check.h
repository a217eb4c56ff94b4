/* What must be right with a request's framing before anyone looks at its meaning, since evhttp
 * takes more than it may; and the reason phrases of our answers. */
#ifndef IO_HTTP_CHECK_H
#define IO_HTTP_CHECK_H

#include <event2/http.h>
#include <stdbool.h>

/* NULL, or why the request is refused and its connection closed; static text. */
const char *http_check_framing(struct evhttp_request *request);
const char *http_check_phrase(int status);

/* Whether a browser sends this for a page of another origin (RFC 6454), and it could change
 * something, or read what the same-origin policy does not keep from pages: a WebSocket. allowed: an
 * origin that may, "*" for each, NULL for none. */
bool http_check_is_foreign(struct evhttp_request *request, const char *allowed);

#endif
