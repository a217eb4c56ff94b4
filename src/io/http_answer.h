/*
 * Answers on their way out: their head is made once, as text, instead of as headers that evhttp
 * copies and prints one by one, and they are written where they are made instead of by a write
 * event of the next turn.
 */
#ifndef IO_HTTP_ANSWER_H
#define IO_HTTP_ANSWER_H

#include "api/api.h"
#include "io/http_conn.h"

#include <event2/http.h>
#include <stdbool.h>

/* Headers of response, and the date. */
void http_answer_put_head(struct evhttp_request *request, const struct api_response *response);
/* Gives the request away; the body of response too. close: the connection ends with it. */
void http_answer_send(struct evhttp_request *request, struct api_response *response, bool close);
/* Writes what a connection has to write. Not within a callback of evhttp: the connection may be
 * gone afterwards. */
void http_answer_flush(struct http_conn *conn);

#endif
