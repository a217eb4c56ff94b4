/*
 * The HTTP server over real sockets in one event loop, with a fake node behind api: what clients
 * may do to evhttp, and what must come of it. Each client is a plain non-blocking socket.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/api.h"
#include "base/mem.h"
#include "fake_node.h"
#include "io/clock.h"
#include "io/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_BYTES 65536
#define KEY_BYTES 16384

static struct event_base *base;
static struct api *api;
static struct http_server *server;
static char got[1 << 18]; /* what the client has read */
static size_t got_len;

static int setup_with(const struct http_options *options)
{
    fake_node_reset();
    base = event_base_new();
    api = api_new(FAKE_NODE, &(struct api_limits){KEY_BYTES, BODY_BYTES}, NULL);
    server = http_server_new(base, api, options, NULL);
    struct buf why = {0};
    struct addr addr = {.host = "127.0.0.1"};
    assert_int_equal(http_server_listen(server, &addr, &why), ERR_OK);
    assert_true(http_server_port(server) != 0);
    buf_deinit(&why);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.header_timeout_ms = 300,
                                             .body_timeout_ms = 300,
                                             .idle_timeout_ms = 3000,
                                             .body_bytes = BODY_BYTES,
                                             .connections = 50});
}

static int setup_auto(void **state)
{
    (void)setup(state);
    fake.auto_answer = true;
    fake.result = (struct node_result){.revision = 7, .mod_revision = 7, .term = 1, .index = 3};
    return 0;
}

static int setup_few(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.connections = 3});
}

static int setup_idle(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.idle_timeout_ms = 200});
}

static int teardown(void **state)
{
    (void)state;
    http_server_free(server);
    api_free(api);
    event_base_free(base);
    fake_node_reset();
    return 0;
}

/* ---- clients --------------------------------------------------------------------------------- */

static void turn(void)
{
    (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    http_server_pump(server, clock_now_ms());
}

static void turns(uint64_t for_ms)
{
    uint64_t end_ms = clock_now_ms() + for_ms;
    while (clock_now_ms() < end_ms) {
        turn();
        (void)usleep(500);
    }
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(http_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    got_len = 0;
    got[0] = '\0';
    return fd;
}

/* Sends all while the loop turns; false if the other side does not want it. */
static bool put_bytes(int fd, const char *data, size_t len)
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

static void put(int fd, const char *text)
{
    assert_true(put_bytes(fd, text, strlen(text)));
}

/* Reads what is there; false: closed. */
static bool get_some(int fd)
{
    ssize_t n = recv(fd, got + got_len, sizeof got - 1 - got_len, 0);
    if (n > 0)
        got_len += (size_t)n;
    got[got_len] = '\0';
    return n > 0 || (n < 0 && errno == EAGAIN);
}

/* Turns until the answer has text; fails after 5 s. */
static void expect(int fd, const char *text)
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

/* Turns until the server closes; returns how long that took, ms. */
static uint64_t expect_close(int fd)
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

static void wait_for_calls(size_t calls)
{
    uint64_t end_ms = clock_now_ms() + 5000;
    while (fake.calls < calls && clock_now_ms() < end_ms)
        turn();
    assert_true(fake.calls == calls);
}

static size_t count_of(const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(got, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

static void expect_alive(void)
{
    int fd = dial();
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(fd, "\"floe\"");
    (void)expect_close(fd);
}

/* One request that is refused with this status in our form, and then the connection ends. */
static void expect_refusal(const char *request, const char *status, const char *code)
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

/* ---- the ordinary ---------------------------------------------------------------------------- */

static void test_http_put_and_get_on_one_connection(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "PUT /a%20b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    expect(fd, "X-Floe-Index: 3\r\n");
    expect(fd, "\r\n\r\n");
    assert_true(strncmp(got, "HTTP/1.1 204 No Content\r\n", 25) == 0);
    assert_non_null(strstr(got, "ETag: \"7\"\r\n"));
    assert_null(strstr(got, "Content-Type"));
    put(fd, "GET /a%20b HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "\r\n\r\nhello");
    assert_non_null(strstr(got, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(got, "Content-Type: application/octet-stream\r\n"));
    assert_non_null(strstr(got, "Content-Length: 5\r\n"));
    (void)close(fd);
}

static void test_http_chunked_body_is_put_together(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "PUT /k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    turns(50);
    assert_true(fake.calls == 0);
    put(fd, "2\r\nde\r\n0\r\n\r\n");
    expect(fd, "HTTP/1.1 204 ");
    assert_true(fake.value_len == 5);
    assert_memory_equal(fake.value_start, "abcde", 5);
    (void)close(fd);
}

static void test_http_head_has_the_length_but_no_body(void **state)
{
    (void)state;
    fake_node_put("k", 1, "hello", 5, 3);
    int fd = dial();
    put(fd, "HEAD /k HTTP/1.1\r\nHost: x\r\n\r\nHEAD /nope HTTP/1.1\r\nHost: x\r\n\r\n"
            "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\nGET /k HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "\r\n\r\nhello");
    assert_true(count_of("HTTP/1.1 200 OK\r\n") == 3);
    assert_true(count_of("HTTP/1.1 404 Not Found\r\n") == 1);
    assert_true(count_of("Content-Length: 5\r\n") == 2);
    assert_true(count_of("hello") == 1);
    assert_true(count_of("{") == 0);
    (void)close(fd);
}

static void test_http_other_methods_are_405(void **state)
{
    (void)state;
    static const char *methods[] = {"PATCH", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < 3; i++) {
        int fd = dial();
        char text[200];
        (void)snprintf(text, sizeof text, "%s /k HTTP/1.1\r\nHost: x\r\n\r\n", methods[i]);
        put(fd, text);
        expect(fd, "method_not_allowed");
        assert_non_null(strstr(got, "HTTP/1.1 405 Method Not Allowed\r\n"));
        assert_non_null(strstr(got, "Allow: GET, HEAD, PUT, POST, DELETE\r\n"));
        put(fd, "POST /kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
        expect(fd, "Allow: GET, HEAD, PUT, DELETE\r\n");
        (void)close(fd);
    }
    int fd = dial();
    put(fd, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "HTTP/1.1 405 ");
    (void)close(fd);
    fd = dial();
    put(fd, "CONNECT localhost:80 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "HTTP/1.1 405 ");
    expect(fd, "Content-Length: 0\r\n");
    (void)close(fd);
    expect_refusal("BREW /k HTTP/1.1\r\nHost: x\r\n\r\n", "501 ", "unknown_method");
}

static void test_http_absolute_form_and_old_version_are_served(void **state)
{
    (void)state;
    fake_node_put("k", 1, "hello", 5, 3);
    int fd = dial();
    put(fd, "GET http://127.0.0.1:1/k HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "\r\n\r\nhello");
    (void)close(fd);
    fd = dial();
    put(fd, "GET /k HTTP/1.0\r\n\r\n");
    expect(fd, "\r\n\r\nhello");
    (void)expect_close(fd);
}

static void test_http_key_of_the_full_size_in_percent_encoding_passes(void **state)
{
    (void)state;
    char *text = mem_calloc(1, 100 + 3 * KEY_BYTES);
    strcpy(text, "PUT /");
    for (size_t i = 0; i < KEY_BYTES; i++)
        memcpy(text + 5 + 3 * i, "%41", 3);
    strcpy(text + 5 + 3 * KEY_BYTES, " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    int fd = dial();
    put(fd, text);
    expect(fd, "HTTP/1.1 204 ");
    assert_true(fake.command.key_len == KEY_BYTES);
    (void)close(fd);
    mem_free(text);
}

static void test_http_expect_continue_is_answered(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    expect(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    put(fd, "hello");
    expect(fd, "HTTP/1.1 204 ");
    (void)close(fd);
}

/* ---- pipelining and waiting ------------------------------------------------------------------ */

static void test_http_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    char text[8192] = "";
    for (int i = 0; i < 40; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text),
                       "PUT /k%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d", i % 8, i);
    int fd = dial();
    put(fd, text);
    put(fd, "GET /k7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    (void)expect_close(fd);
    assert_true(count_of("HTTP/1.1 204 No Content\r\n") == 40);
    assert_true(count_of("HTTP/1.1 200 OK\r\n") == 1);
    assert_string_equal(got + got_len - 2, "39");
    assert_true(fake.calls == 41);
}

static void test_http_pipelined_behind_a_waiting_request_waits(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_calls(1);
    put(fd, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"); /* arrives while the first waits */
    turns(50);
    assert_true(fake.calls == 1);
    assert_true(http_server_pending(server) == 1);
    assert_true(got_len == 0);
    fake_node_answer((struct node_result){.outcome = NODE_NOT_DONE});
    expect(fd, "HTTP/1.1 503 ");
    expect(fd, "Retry-After: 1\r\n");
    wait_for_calls(2);
    fake_node_answer((struct node_result){.outcome = NODE_UNKNOWN});
    expect(fd, "HTTP/1.1 504 Gateway Timeout\r\n");
    assert_true(http_server_pending(server) == 0);
    (void)close(fd);
}

static void test_http_waiting_longer_than_all_deadlines_is_no_fault_of_the_client(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    wait_for_calls(1);
    turns(700);
    assert_true(http_server_pending(server) == 1);
    fake_node_answer((struct node_result){.mod_revision = 1});
    expect(fd, "HTTP/1.1 204 ");
    turns(700); /* idle: neither headers nor body are due */
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "\"floe\"");
    (void)close(fd);
}

/* how: 0 orderly, 1 reset, 2 with a pipelined request behind it */
static void vanish(int how)
{
    size_t calls = fake.calls;
    int fd = dial();
    put(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    wait_for_calls(calls + 1);
    if (how == 2)
        put(fd, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (how == 1)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(fd);
    turns(300);
    assert_true(http_server_pending(server) == 1);
    fake_node_answer((struct node_result){.mod_revision = 1});
    turns(300);
    if (how == 2) { /* the second one has been taken up then */
        assert_true(fake.calls == calls + 2);
        fake_node_answer((struct node_result){.outcome = NODE_UNKNOWN});
        turns(300);
    }
    assert_true(http_server_pending(server) == 0);
}

static void test_http_client_that_vanishes_while_its_request_waits_is_survived(void **state)
{
    (void)state;
    vanish(0);
    vanish(1);
    assert_true(http_server_connections(server) == 0);
    vanish(2);
    expect_alive();
}

static void test_http_free_with_waiting_requests_is_clean(void **state)
{
    (void)state;
    int waiting = dial();
    put(waiting, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_calls(1);
    int gone = dial();
    put(gone, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_calls(2);
    (void)close(gone);
    int half = dial();
    put(half, "GET /a HT");
    turns(20);
    assert_true(http_server_pending(server) == 2);
    assert_true(http_server_connections(server) == 3);
    (void)close(waiting);
    (void)close(half);
}

static void test_http_stop_ends_connections_with_their_answer(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_calls(1);
    http_server_stop_accepting(server);
    assert_true(http_server_unsent(server) == 1);
    fake_node_answer((struct node_result){.outcome = NODE_NOT_DONE});
    expect(fd, "HTTP/1.1 503 ");
    assert_non_null(strstr(got, "Connection: close\r\n"));
    (void)expect_close(fd);
    assert_true(http_server_unsent(server) == 0);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void test_http_slow_headers_end_at_the_absolute_deadline(void **state)
{
    (void)state;
    int fd = dial();
    turns(500); /* no byte yet: only idle */
    assert_true(http_server_connections(server) == 1);
    uint64_t start_ms = clock_now_ms();
    put(fd, "GET /k HTTP/1.1\r\n");
    while (get_some(fd) && clock_now_ms() - start_ms < 3000) {
        (void)send(fd, "A: b\r\n", 6, MSG_NOSIGNAL); /* a byte now and then must not help */
        turns(50);
    }
    uint64_t took_ms = clock_now_ms() - start_ms;
    assert_in_range(took_ms, 250, 1500);
    (void)close(fd);
    expect_alive();
}

static void test_http_slow_second_request_ends_too(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTT");
    expect(fd, "\"floe\"");
    assert_in_range(expect_close(fd), 150, 1500);
}

static void test_http_slow_body_ends_but_a_steady_one_does_not(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nabc");
    assert_in_range(expect_close(fd), 200, 1500);
    fd = dial(); /* 1 s in all, longer than the time-out, but faster than the floor */
    put(fd, "PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n");
    char piece[2000];
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < 20; i++) {
        assert_true(put_bytes(fd, piece, sizeof piece));
        turns(50);
    }
    wait_for_calls(1);
    assert_true(fake.value_len == 40000);
    (void)close(fd);
    turns(50);
    fake_node_answer((struct node_result){.outcome = NODE_OK});
    turns(50);
}

static void test_http_body_over_the_limit_is_refused_before_it_is_read(void **state)
{
    (void)state;
    expect_refusal("PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", "413 ",
                   "body_too_large");
    expect_refusal("PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n"
                   "Expect: 100-continue\r\n\r\n",
                   "413 ", "body_too_large");
    int fd = dial();
    put(fd, "PUT /k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    char chunk[4096 + 8];
    memset(chunk, 'x', sizeof chunk);
    memcpy(chunk, "1000\r\n", 6);
    memcpy(chunk + 6 + 4096, "\r\n", 2);
    for (int i = 0; i < 20; i++)
        (void)put_bytes(fd, chunk, 6 + 4096 + 2);
    expect(fd, "body_too_large");
    (void)expect_close(fd);
    assert_true(fake.calls == 0);
}

static void test_http_client_that_sends_its_refused_body_gets_the_answer(void **state)
{
    (void)state;
    static char body[1 << 20];
    int fd = dial();
    put(fd, "PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    assert_true(put_bytes(fd, body, sizeof body)); /* all of it, before it reads */
    (void)shutdown(fd, SHUT_WR);
    expect(fd, "body_too_large");
    (void)expect_close(fd);
    turns(200);
    assert_true(http_server_connections(server) == 0);
}

static void test_http_large_headers_are_refused(void **state)
{
    (void)state;
    char *text = mem_calloc(1, 200000);
    strcpy(text, "GET /");
    memset(text + 5, 'a', 100000);
    int fd = dial();
    (void)put_bytes(fd, text, strlen(text));
    expect(fd, "target_too_long");
    assert_true(strncmp(got, "HTTP/1.1 414 URI Too Long\r\n", 27) == 0);
    (void)close(fd);
    strcpy(text, "GET /k HTTP/1.1\r\nA: ");
    memset(text + strlen(text), 'a', 100000);
    fd = dial();
    (void)put_bytes(fd, text, strlen(text));
    expect(fd, "headers_too_large");
    assert_true(strncmp(got, "HTTP/1.1 431 ", 13) == 0);
    (void)close(fd);
    fd = dial();
    put(fd, "GET /k HTTP/1.1\r\n");
    for (int i = 0; i < 30000; i++) { /* many small ones */
        if (send(fd, "A: b\r\n", 6, MSG_NOSIGNAL) < 0)
            break;
        if (i % 100 == 0)
            turn();
    }
    expect(fd, "headers_too_large");
    (void)close(fd);
    mem_free(text);
    turns(150);
    expect_alive();
}

static void test_http_connection_limit_lets_the_next_in_when_one_ends(void **state)
{
    (void)state;
    int fd[4];
    for (int i = 0; i < 4; i++)
        fd[i] = dial();
    turns(250);
    assert_true(http_server_connections(server) == 3);
    put(fd[3], "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    turns(250);
    assert_true(get_some(fd[3]) && got_len == 0);
    (void)close(fd[0]);
    expect(fd[3], "\"floe\"");
    for (int i = 1; i < 4; i++)
        (void)close(fd[i]);
    turns(250);
    assert_true(http_server_connections(server) == 0);
}

static void test_http_out_of_files_pauses_accepting(void **state)
{
    (void)state;
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int fd = dial();
    int probe = dup(fd);
    struct rlimit tight = {.rlim_cur = (rlim_t)probe, .rlim_max = old.rlim_max};
    (void)close(probe);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    turns(50);
    assert_true(http_server_connections(server) == 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "\"floe\"");
    (void)close(fd);
}

static void test_http_idle_connection_ends(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "\"floe\"");
    assert_in_range(expect_close(fd), 100, 1500);
    turns(250);
    assert_true(http_server_connections(server) == 0);
}

/* ---- framing --------------------------------------------------------------------------------- */

static void test_http_ambiguous_framing_is_refused(void **state)
{
    (void)state;
    static const char *bad[] = {
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: +1",
        "Content-Length: 1x",
        "Content-Length: 0x1",
        "Content-Length: 1, 1",
        "Content-Length:",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Content-Length : 1",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Host: y\r\nContent-Length: 1",
        "B(d: x\r\nContent-Length: 1",
        "nonsense",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[300];
        (void)snprintf(text, sizeof text,
                       "PUT /k HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n0\r\n\r\n"
                       "GET /smuggled HTTP/1.1\r\n\r\n",
                       bad[i]);
        expect_refusal(text, "4", "\"code\":\"b");
    }
}

static void test_http_body_of_any_method_is_not_taken_for_a_request(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n"
            "PUT /smuggled HTTP/1.1\r\n\r\n"
            "DELETE /0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close"
            "\r\n\r\n0\r\n\r\n");
    (void)expect_close(fd);
    assert_true(count_of("HTTP/1.1 200 ") == 1);
    assert_true(count_of("HTTP/1.1 400 ") == 1);
    assert_true(count_of("HTTP/1.1 ") == 2);
    assert_true(fake.calls == 0);
    got_len = 0;
    got[0] = '\0';
    expect_refusal("HEAD /version HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n"
                   "PUT /smuggled HTTP/1.1\r\n\r\n",
                   "400 ", "");
}

static void test_http_nonsense_is_refused(void **state)
{
    (void)state;
    expect_refusal("nonsense\r\n\r\n", "400 ", "bad_request");
    expect_refusal("GET /k HTTP/9.1\r\n\r\n", "400 ", "bad_request");
    expect_refusal("GET /k HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "400 ", "bad_request");
    expect_refusal("PUT /k HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\nx",
                   "417 ", "bad_expectation");
    int fd = dial();
    static const char nul[] = "GET /version HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n";
    assert_true(put_bytes(fd, nul, sizeof nul - 1));
    expect(fd, "NUL byte");
    (void)expect_close(fd);
    fd = dial();
    put(fd, "PUT /k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    (void)expect_close(fd);
    assert_true(fake.calls == 0);
    expect_alive();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH(name, set) cmocka_unit_test_setup_teardown(name, set, teardown)

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST_WITH(test_http_put_and_get_on_one_connection, setup_auto),
        TEST_WITH(test_http_chunked_body_is_put_together, setup_auto),
        TEST_WITH(test_http_head_has_the_length_but_no_body, setup_auto),
        TEST(test_http_other_methods_are_405),
        TEST_WITH(test_http_absolute_form_and_old_version_are_served, setup_auto),
        TEST_WITH(test_http_key_of_the_full_size_in_percent_encoding_passes, setup_auto),
        TEST_WITH(test_http_expect_continue_is_answered, setup_auto),
        TEST_WITH(test_http_pipelined_requests_are_answered_in_order, setup_auto),
        TEST(test_http_pipelined_behind_a_waiting_request_waits),
        TEST(test_http_waiting_longer_than_all_deadlines_is_no_fault_of_the_client),
        TEST(test_http_client_that_vanishes_while_its_request_waits_is_survived),
        TEST(test_http_free_with_waiting_requests_is_clean),
        TEST(test_http_stop_ends_connections_with_their_answer),
        TEST(test_http_slow_headers_end_at_the_absolute_deadline),
        TEST(test_http_slow_second_request_ends_too),
        TEST(test_http_slow_body_ends_but_a_steady_one_does_not),
        TEST(test_http_body_over_the_limit_is_refused_before_it_is_read),
        TEST(test_http_client_that_sends_its_refused_body_gets_the_answer),
        TEST(test_http_large_headers_are_refused),
        TEST_WITH(test_http_connection_limit_lets_the_next_in_when_one_ends, setup_few),
        TEST(test_http_out_of_files_pauses_accepting),
        TEST_WITH(test_http_idle_connection_ends, setup_idle),
        TEST(test_http_ambiguous_framing_is_refused),
        TEST(test_http_body_of_any_method_is_not_taken_for_a_request),
        TEST(test_http_nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
