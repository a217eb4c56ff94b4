/* The HTTP server: ordinary requests, pipelining, requests that wait, clients that vanish. */
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
    assert_true(fake.key_len == KEY_BYTES);
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
    fake_node_answer((struct node_result){.kv = {.revision = 1}});
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
    fake_node_answer((struct node_result){.kv = {.revision = 1}});
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
    put(gone, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv");
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
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
