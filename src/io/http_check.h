/* What must be right with a request's framing before anyone looks at its meaning, since evhttp
 * takes more than it may; and the reason phrases of our answers. */
#ifndef IO_HTTP_CHECK_H
#define IO_HTTP_CHECK_H

#include <event2/http.h>

/* NULL, or why the request is refused and its connection closed; static text. */
const char *http_check_framing(struct evhttp_request *request);
const char *http_check_phrase(int status);

#endif
