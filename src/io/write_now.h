/*
 * Writing to a socket in the turn that made the bytes. libevent by itself asks the kernel first
 * whether it may write: two calls to say so and not, and a turn, for each piece.
 */
#ifndef IO_WRITE_NOW_H
#define IO_WRITE_NOW_H

#include <event2/bufferevent.h>
#include <stddef.h>

/* Writes what bev, a socket's, has to write, as far as the kernel takes it; how many bytes are left
 * for the write event, which finds the error, too, if that is why. No callback is called. */
size_t write_now(struct bufferevent *bev);

#endif
