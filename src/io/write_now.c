/* The bufferevent is not asked: it would wait for the kernel to say that there is room. */
#include "io/write_now.h"

#include <event2/buffer.h>

#define WRITE_BYTES (256 << 10) /* at once; a peer that takes more has its turn again */

size_t write_now(struct bufferevent *bev)
{
    struct evbuffer *output = bufferevent_get_output(bev);
    evutil_socket_t fd = bufferevent_getfd(bev);
    if (fd < 0 || evbuffer_get_length(output) == 0)
        return evbuffer_get_length(output);
    (void)evbuffer_unfreeze(output, 1); /* bufferevents keep others from draining their output */
    (void)evbuffer_write_atmost(output, fd, WRITE_BYTES);
    (void)evbuffer_freeze(output, 1);
    return evbuffer_get_length(output);
}
