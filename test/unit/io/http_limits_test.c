/* The HTTP server: what clients may do to evhttp, and what must come of it: too slow, too much, too
 * many, not HTTP. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "fake_node.h"
#include "http_client.h"
#include "io/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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
    assert_true(strncmp(got, "HTTP/1.1 408 Request Timeout\r\n", 30) == 0);
    assert_non_null(strstr(got, "\"code\":\"request_timeout\""));
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
    assert_true(strncmp(got, "HTTP/1.1 408 ", 13) == 0);
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
    expect_no_connections();
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
    uint64_t token[4];
    for (int i = 0; i < 4; i++) {
        fd[i] = dial();
        if (i < 3)
            put(fd[i], "GET /k HTTP/1.1\r\nHost: x\r\n\r\n"); /* waits for the node: not idle */
        turns(50);
        token[i] = fake.token;
    }
    turns(250);
    assert_true(http_server_connections(server) == 3);
    put(fd[3], "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    turns(250);
    assert_true(get_some(fd[3]) && got_len == 0);
    fake_node_answer_token(token[0], (struct node_result){.outcome = NODE_OK});
    expect(fd[3], "\"floe\"");
    for (int i = 1; i < 3; i++)
        fake_node_answer_token(token[i], (struct node_result){.outcome = NODE_OK});
    turns(50);
    for (int i = 0; i < 4; i++)
        (void)close(fd[i]);
    expect_no_connections();
}

static void test_http_full_closes_the_longest_idle_one(void **state)
{
    (void)state;
    int fd[5];
    for (int i = 0; i < 3; i++) {
        fd[i] = dial();
        turns(20);
    }
    put(fd[0], "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"); /* now the second one is idle longest */
    expect(fd[0], "\"floe\"");
    for (int i = 3; i < 5; i++) {
        fd[i] = dial();
        put(fd[i], "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fd[i], "\"floe\"");
        assert_true(http_server_connections(server) == 3);
        assert_in_range(expect_close(fd[i - 2]), 0, 1000);
    }
    int next = dial(); /* one that has made requests is closed as well */
    assert_in_range(expect_close(fd[0]), 0, 1000);
    put(next, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(next, "\"floe\"");
    (void)close(next);
    (void)close(fd[3]);
    (void)close(fd[4]);
    expect_no_connections();
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
    expect_no_connections();
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
    expect_no_connections();
}

/* ---- bytes of all connections ---------------------------------------------------------------- */

#define BUFFERED 100000

static int setup_bytes(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.body_timeout_ms = 500,
                                             .bytes_per_s = 64u << 20,
                                             .body_bytes = BODY_BYTES,
                                             .buffered_bytes = BUFFERED});
}

static int setup_large(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.body_bytes = BODY_BYTES, .buffered_bytes = BUFFERED});
}

static int dial_with_body(const char *head, size_t bytes)
{
    static char body[BODY_BYTES];
    memset(body, 'x', sizeof body);
    int fd = dial();
    put(fd, head);
    assert_true(bytes <= sizeof body);
    (void)put_bytes(fd, body, bytes);
    turns(20);
    return fd;
}

#define HEAD_60000 "PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
#define HEAD_CHUNKED "PUT /k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n"

static void test_http_bodies_have_a_common_bound(void **state)
{
    (void)state;
    static const char *heads[] = {HEAD_60000, HEAD_CHUNKED};
    for (size_t i = 0; i < 2; i++) {
        int first = dial_with_body(heads[i], 59999); /* all but one byte: nothing is done */
        int second = dial_with_body(heads[i], 59999);
        expect(second, "certainly not done");
        assert_true(strncmp(got, "HTTP/1.1 429 Too Many Requests\r\n", 32) == 0);
        assert_non_null(strstr(got, "Retry-After: 1\r\n"));
        assert_non_null(strstr(got, "\"code\":\"overloaded\""));
        assert_non_null(strstr(got, "Connection: close\r\n"));
        (void)close(second);
        second = dial_with_body("PUT /s HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n", 2000);
        wait_for_calls(2 * i + 1); /* a little one is taken */
        fake_node_answer((struct node_result){.outcome = NODE_OK});
        expect(second, "HTTP/1.1 204 ");
        (void)close(second);
        (void)close(first);
        turns(250); /* and there is room again */
        first = dial_with_body(heads[i], 60000);
        put(first, i == 1 ? "\r\n0\r\n\r\n" : "");
        wait_for_calls(2 * i + 2);
        second = dial_with_body(HEAD_60000, 59000); /* what waits in the node counts there */
        assert_true(get_some(second) && got_len == 0);
        (void)close(second);
        fake_node_answer((struct node_result){.outcome = NODE_OK});
        (void)close(first);
        turns(250);
    }
}

/* One answer may be as large as it is; a second such one only when the first has been read. */
static void test_http_one_large_answer_at_a_time(void **state)
{
    (void)state;
    static char value[64 << 20]; /* more than the kernel takes for a client that does not read */
    fake_node_put("big", 3, value, sizeof value, 1);
    fake_node_put("small", 5, value, 4096, 1);
    fake.auto_answer = true;
    int first = dial();
    put(first, "GET /big?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(first, "\r\n\r\n");
    assert_true(strncmp(got, "HTTP/1.1 200 OK\r\n", 17) == 0);
    size_t have = got_len - (size_t)(strstr(got, "\r\n\r\n") + 4 - got);
    int fd = dial();
    put(fd, "GET /big?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "HTTP/1.1 429 Too Many Requests\r\n");
    expect(fd, "Retry-After: 1\r\n");
    put(fd, "GET /small?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "HTTP/1.1 200 OK\r\n");
    (void)close(fd);
    fd = dial_with_body(HEAD_60000, 60000); /* others have all of their room */
    expect(fd, "HTTP/1.1 204 ");
    (void)close(fd);
    while (have < sizeof value) {
        turn();
        ssize_t n = recv(first, got, sizeof got, 0);
        assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        have += n > 0 ? (size_t)n : 0;
    }
    turns(20);
    fd = dial();
    put(fd, "GET /big?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "HTTP/1.1 200 OK\r\n");
    (void)close(fd); /* who goes without reading frees the place, too */
    turns(250);
    put(first, "GET /big?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n");
    got_len = 0;
    expect(first, "HTTP/1.1 200 OK\r\n");
    (void)close(first);
}

static void test_http_large_answer_for_who_has_gone(void **state)
{
    (void)state;
    static char value[2 << 20];
    fake_node_put("big", 3, value, sizeof value, 1);
    int fd = dial();
    put(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for_calls(1);
    const struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    (void)close(fd);
    turns(250);
    fake_node_answer((struct node_result){.outcome = NODE_OK});
    turns(250);
    fd = dial();
    fake.auto_answer = true;
    put(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "HTTP/1.1 200 OK\r\n"); /* the place is free */
    (void)close(fd);
}

static void test_http_refusals_have_the_form_of_their_target(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        "POST http://x/v3beta/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        "POST /%763/kv/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        expect_refusal(bodies[i], "429 ", "\"error\":\"grpc: received message larger than max");
    expect_refusal(bodies[0], "429 ", "\"code\":8}");
    expect_refusal("POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", "400 ",
                   "\"code\":3}");
    expect_refusal("POST /v30/kv HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", "413 ",
                   "\"code\":\"body_too_large\"");
    expect_refusal("PUT /k?v3/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", "413 ",
                   "\"code\":\"body_too_large\"");
    int first = dial_with_body(HEAD_60000, 59999);
    int second = dial_with_body(
        "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", 59999);
    expect(second, "etcdserver: too many requests");
    assert_non_null(strstr(got, "\"code\":8}"));
    (void)close(first);
    (void)close(second);
}

static int setup_pace(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.body_timeout_ms = 300, .bytes_per_s = 64u << 20});
}

static void test_http_answer_that_is_not_read_ends(void **state)
{
    (void)state;
    static char value[32 << 20];
    fake_node_put("big", 3, value, sizeof value, 1);
    int fd = dial();
    put(fd, "GET /big?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n");
    uint64_t start_ms = clock_now_ms();
    while (http_server_connections(server) > 0 && clock_now_ms() - start_ms < 5000)
        turns(10);
    assert_in_range(clock_now_ms() - start_ms, 250, 3000);
    (void)close(fd);
    fd = dial();
    put(fd, "GET /big?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n");
    size_t have = 0;
    while (have < sizeof value) { /* steady, at some 20 MB/s */
        turn();
        ssize_t n = recv(fd, got, sizeof got, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            fail_msg("cut after %zu bytes", have);
        have += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd);
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
    expect_refusal("GET /version HTTP/1.1\r\n\r\n", "400 ", "Host header is missing");
    expect_refusal("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "400 ", "blank");
    expect_refusal("PUT /a\tb HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "400 ", "blank");
    expect_alive();
}

static void test_http_malformed_chunks_are_refused(void **state)
{
    (void)state;
    static const char *bad[] = {
        "zz\r\n",          "-5\r\nhello\r\n", "+5\r\nhello\r\n",    "0x5\r\nhello\r\n",
        " 5\r\nhello\r\n", "5 \r\nhello\r\n", "5;a=b\r\nhello\r\n", "\r\n5\r\nhello\r\n",
        "5\nhello\r\n",    "5\r\nhelloX\r\n", "5\r\nhello5\r\n",    "00000000000000000000005\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[300];
        static const char *end[] = {"", "0\r\n\r\n"}; /* with more to come, and complete */
        for (size_t j = 0; j < 2; j++) {
            (void)snprintf(text, sizeof text,
                           "PUT /k HTTP/1.1\r\nHost: x\r\ntransfer-encoding: chunked\r\n\r\n%s%s",
                           bad[i], end[j]);
            expect_refusal(text, "400 ", "bad_chunk");
        }
    }
    expect_refusal("PUT /k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n",
                   "413 ", "body_too_large");
    expect_alive();
}

static void test_http_connect_ends_with_its_answer(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "CONNECT localhost:80 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "HTTP/1.1 405 ");
    assert_in_range(expect_close(fd), 0, 1000);
    expect_no_connections();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(test_http_slow_headers_end_at_the_absolute_deadline),
        TEST(test_http_slow_second_request_ends_too),
        TEST(test_http_slow_body_ends_but_a_steady_one_does_not),
        TEST(test_http_body_over_the_limit_is_refused_before_it_is_read),
        TEST(test_http_client_that_sends_its_refused_body_gets_the_answer),
        TEST(test_http_large_headers_are_refused),
        TEST_WITH(test_http_connection_limit_lets_the_next_in_when_one_ends, setup_few),
        TEST_WITH(test_http_full_closes_the_longest_idle_one, setup_few),
        TEST(test_http_out_of_files_pauses_accepting),
        TEST_WITH(test_http_idle_connection_ends, setup_idle),
        TEST(test_http_ambiguous_framing_is_refused),
        TEST(test_http_body_of_any_method_is_not_taken_for_a_request),
        TEST(test_http_nonsense_is_refused),
        TEST(test_http_malformed_chunks_are_refused),
        TEST(test_http_connect_ends_with_its_answer),
        TEST_WITH(test_http_bodies_have_a_common_bound, setup_bytes),
        TEST_WITH(test_http_one_large_answer_at_a_time, setup_large),
        TEST_WITH(test_http_large_answer_for_who_has_gone, setup_large),
        TEST_WITH(test_http_refusals_have_the_form_of_their_target, setup_large),
        TEST_WITH(test_http_answer_that_is_not_read_ends, setup_pace),
    };
    return cmocka_run_group_tests_name("http_limits", tests, NULL, NULL);
}
