/*
 * The ceiling: a bare evhttp server with nothing behind it. 204 to every PUT, a small 200 to the
 * rest.
 *
 *   noop_http PORT
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>

static void on_request(struct evhttp_request *request, void *arg)
{
    (void)arg;
    if (evhttp_request_get_command(request) == EVHTTP_REQ_PUT) {
        evhttp_send_reply(request, 204, "No Content", NULL);
        return;
    }
    static const char value[100] = "v";
    struct evbuffer *body = evbuffer_new();
    evbuffer_add_reference(body, value, sizeof value, NULL, NULL);
    evhttp_send_reply(request, 200, "OK", body);
    evbuffer_free(body);
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    struct evhttp *http = evhttp_new(base);
    if (argc != 2 || evhttp_bind_socket(http, "127.0.0.1", (uint16_t)atoi(argv[1])) != 0) {
        fprintf(stderr, "noop_http PORT: cannot listen\n");
        return 1;
    }
    evhttp_set_gencb(http, on_request, NULL);
    return event_base_dispatch(base);
}
