/*
 * The HTTP server over real sockets in one event loop, with a fake node behind api; each client is
 * a plain non-blocking socket, and the loop turns while it waits.
 */
#ifndef TEST_HTTP_CLIENT_H
#define TEST_HTTP_CLIENT_H

#include "io/http.h"

#include <stdbool.h>

#define BODY_BYTES 65536
#define KEY_BYTES 16384

extern struct http_server *server;
extern char got[1 << 18]; /* what the client has read since dial */
extern size_t got_len;

/* For cmocka; short deadlines. setup_auto: the node answers at once. */
int setup_with(const struct http_options *options);
int setup(void **state);
int setup_auto(void **state);
int teardown(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH(name, set) cmocka_unit_test_setup_teardown(name, set, teardown)

void turn(void);
void turns(uint64_t for_ms);
int dial(void);
/* Sends all while the loop turns; false if the other side does not want it. */
bool put_bytes(int fd, const char *data, size_t len);
void put(int fd, const char *text);
/* Reads what is there; false: closed. */
bool get_some(int fd);
/* Turns until the answer has text; fails after 5 s. */
void expect(int fd, const char *text);
/* Turns until the server closes; returns how long that took, ms. */
uint64_t expect_close(int fd);
/* Turns until so many requests have reached the node. */
void wait_for_calls(size_t calls);
/* Turns until the last connection has gone; fails after 5 s. */
void expect_no_connections(void);
/* How often text is in what was read. */
size_t count_of(const char *text);
void expect_alive(void);
/* One request that is refused with this status in our form, and then the connection ends. */
void expect_refusal(const char *request, const char *status, const char *code);

#endif
