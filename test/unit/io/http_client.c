/* One server and the client side of its connections, for the tests of io/http. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/api.h"
#include "fake_node.h"
#include "http_client.h"
#include "io/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_server *server;
char got[1 << 18];
size_t got_len;
static struct event_base *base;
static struct api *api;

int setup_with(const struct http_options *options)
{
    fake_node_reset();
    base = event_base_new();
    api = api_new(FAKE_NODE,
                  &(struct api_limits){.key_bytes = KEY_BYTES, .value_bytes = BODY_BYTES}, NULL);
    server = http_server_new(base, api, options, NULL);
    struct buf why = {0};
    struct addr addr = {.host = "127.0.0.1"};
    assert_int_equal(http_server_listen(server, &addr, &why), ERR_OK);
    assert_true(http_server_port(server) != 0);
    buf_deinit(&why);
    return 0;
}

int setup(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.header_timeout_ms = 300,
                                             .body_timeout_ms = 300,
                                             .idle_timeout_ms = 3000,
                                             .body_bytes = BODY_BYTES,
                                             .connections = 50});
}

int setup_auto(void **state)
{
    (void)setup(state);
    fake.auto_answer = true;
    fake.result = (struct node_result){.kv = {.revision = 7}, .term = 1, .index = 3};
    return 0;
}

int teardown(void **state)
{
    (void)state;
    http_server_free(server);
    api_free(api);
    event_base_free(base);
    fake_node_reset();
    return 0;
}

/* ---- clients --------------------------------------------------------------------------------- */

void turn(void)
{
    (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    http_server_pump(server, clock_now_ms());
}

void turns(uint64_t for_ms)
{
    uint64_t end_ms = clock_now_ms() + for_ms;
    while (clock_now_ms() < end_ms) {
        turn();
        (void)usleep(500);
    }
}

int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    got_len = 0;
    got[0] = '\0';
    return fd;
}

bool put_bytes(int fd, const char *data, size_t len)
{
    uint64_t end_ms = clock_now_ms() + 5000;
    while (len > 0 && clock_now_ms() < end_ms) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        turn();
    }
    return len == 0;
}

void put(int fd, const char *text)
{
    assert_true(put_bytes(fd, text, strlen(text)));
}

bool get_some(int fd)
{
    ssize_t n = recv(fd, got + got_len, sizeof got - 1 - got_len, 0);
    if (n > 0)
        got_len += (size_t)n;
    got[got_len] = '\0';
    return n > 0 || (n < 0 && errno == EAGAIN);
}

void expect(int fd, const char *text)
{
    uint64_t end_ms = clock_now_ms() + 5000;
    bool open = true;
    while (strstr(got, text) == NULL && open && clock_now_ms() < end_ms) {
        turn();
        open = get_some(fd);
    }
    if (strstr(got, text) == NULL)
        fail_msg("expected \"%s\" but got \"%s\"%s", text, got, open ? "" : " and the end");
}

uint64_t expect_close(int fd)
{
    uint64_t start_ms = clock_now_ms();
    while (get_some(fd)) {
        if (clock_now_ms() - start_ms > 5000)
            fail_msg("not closed; got \"%s\"", got);
        turn();
        (void)usleep(500);
    }
    (void)close(fd);
    return clock_now_ms() - start_ms;
}

void wait_for_calls(size_t calls)
{
    uint64_t end_ms = clock_now_ms() + 5000;
    while (fake.calls < calls && clock_now_ms() < end_ms)
        turn();
    if (fake.calls != calls)
        fail_msg("%zu calls, not %zu; got \"%s\"", fake.calls, calls, got);
}

void expect_no_connections(void)
{
    uint64_t end_ms = clock_now_ms() + 5000;
    while (http_server_connections(server) > 0 && clock_now_ms() < end_ms)
        turns(10);
    assert_true(http_server_connections(server) == 0);
}

size_t count_of(const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(got, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

void expect_alive(void)
{
    int fd = dial();
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(fd, "\"floe\"");
    (void)expect_close(fd);
}

void expect_refusal(const char *request, const char *status, const char *code)
{
    int fd = dial();
    put(fd, request);
    expect(fd, status);
    assert_true(strncmp(got, "HTTP/1.1 ", 9) == 0);
    assert_true(strncmp(got + 9, status, strlen(status)) == 0);
    if (strncmp(request, "HEAD", 4) != 0)
        expect(fd, code);
    assert_non_null(strstr(got, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(got, "Content-Length: "));
    (void)expect_close(fd);
    assert_true(count_of("HTTP/1.1 ") == 1);
    assert_true(fake.calls == 0);
}
