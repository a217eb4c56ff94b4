/* Answers that go on, and WebSockets, over real sockets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_api.h"
#include "http_client.h"
#include "io/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET_STREAM "GET /s HTTP/1.1\r\nHost: x\r\n\r\n"
#define UPGRADE                                                                                \
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static int setup_short_idle(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.header_timeout_ms = 300,
                                             .body_timeout_ms = 300,
                                             .idle_timeout_ms = 300,
                                             .body_bytes = BODY_BYTES});
}

/* Ordinary answers must be read at a gigabyte a second. */
static int setup_quick_pace(void **state)
{
    (void)state;
    return setup_with(&(struct http_options){.header_timeout_ms = 300,
                                             .body_timeout_ms = 300,
                                             .bytes_per_s = 1u << 30,
                                             .idle_timeout_ms = 3000,
                                             .body_bytes = BODY_BYTES});
}

static void push(const char *text)
{
    fake_api_push(text, strlen(text), false);
}

static void wait_for_requests(size_t count)
{
    for (int i = 0; i < 2000 && fake_api.requests < count; i++)
        turns(1);
    assert_true(fake_api.requests == count);
}

static void wait_for_gone(size_t count)
{
    for (int i = 0; i < 3000 && fake_api.gone < count; i++)
        turns(1);
    assert_true(fake_api.gone == count);
}

static int begin(const char *request)
{
    int fd = dial();
    size_t before = fake_api.requests;
    put(fd, request);
    wait_for_requests(before + 1);
    return fd;
}

/* ---- plain streams --------------------------------------------------------------------------- */

static void test_stream_head_comes_with_first_chunk_and_connection_stays(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    turns(20);
    (void)get_some(fd);
    assert_true(got_len == 0);
    push("one\n");
    expect(fd, "4\r\none\n\r\n");
    assert_non_null(strstr(got, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(got, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(got, "Content-Type: text/event-stream\r\n"));
    assert_null(strstr(got, "Content-Length"));
    push("two and\n");
    push("three\n");
    expect(fd, "8\r\ntwo and\n\r\n6\r\nthree\n\r\n");
    fake_api_push("end", 3, true);
    expect(fd, "3\r\nend\r\n0\r\n\r\n");
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, "HTTP/1.1 404");
    assert_true(fake_api.gone == 0);
    (void)close(fd);
}

static void test_stream_of_http_1_0_ends_with_the_connection(void **state)
{
    (void)state;
    int fd = begin("GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    push("one\n");
    expect(fd, "\r\n\r\none\n");
    push("two\n");
    expect(fd, "one\ntwo\n");
    assert_null(strstr(got, "Content-Length"));
    assert_null(strstr(got, "chunked"));
    fake_api_push(NULL, 0, true);
    (void)expect_close(fd);
    assert_non_null(strstr(got, "one\ntwo\n"));
}

static void test_stream_whose_client_vanishes_is_told(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    push("one\n");
    expect(fd, "one\n");
    (void)close(fd);
    wait_for_gone(1);
    assert_true(fake_api.gone_token == fake_api.token);
    push("late\n"); /* is thrown away */
    turns(20);
    expect_no_connections();
    expect_alive();
}

static void test_stream_whose_client_vanished_before_the_head_is_told(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    struct linger hard = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    (void)close(fd);
    turns(20);
    push("one\n");
    wait_for_gone(1);
    expect_no_connections();
}

static void test_stream_of_half_closed_client_ends(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    push("one\n");
    expect(fd, "one\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    wait_for_gone(1);
    (void)expect_close(fd);
    assert_non_null(strstr(got, "one\n\r\n"));
    assert_null(strstr(got, "\r\n0\r\n")); /* it is cut, and must not look complete */
}

static void test_stream_of_half_closed_client_ends_with_a_farewell(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    fake_api.farewell = "bye";
    push("one\n");
    expect(fd, "one\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    wait_for_gone(1);
    (void)expect_close(fd);
    assert_non_null(strstr(got, "4\r\none\n\r\n3\r\nbye\r\n0\r\n\r\n"));
}

static void test_stream_without_a_head_has_no_farewell(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    fake_api.farewell = "bye";
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    turns(20);
    (void)get_some(fd);
    assert_true(got_len == 0);
    push("one\n"); /* now its end is noticed */
    wait_for_gone(1);
    (void)expect_close(fd);
}

static void test_request_behind_a_stream_waits_for_its_end(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    push("one\n");
    expect(fd, "one\n");
    put(fd, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    turns(50);
    push("two\n");
    expect(fd, "two\n");
    assert_null(strstr(got, "404"));
    fake_api_push(NULL, 0, true);
    expect(fd, "HTTP/1.1 404");
    (void)close(fd);
}

static void test_silent_stream_outlives_the_idle_timeout(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    push("one\n");
    expect(fd, "one\n");
    turns(1000);
    push("two\n");
    expect(fd, "two\n");
    assert_true(fake_api.gone == 0);
    fake_api_push(NULL, 0, true);
    expect(fd, "0\r\n\r\n");
    assert_true(expect_close(fd) < 2000); /* but then it counts again */
}

static void fill(int count)
{
    static char piece[16384];
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < count; i++) {
        fake_api_push(piece, sizeof piece, false);
        turn();
    }
}

static void test_client_that_does_not_read_is_told_of_and_ends_late(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    fill(1000); /* more than sockets hold */
    assert_true(fake_api.unsent > 100000);
    wait_for_gone(1);
    (void)close(fd);
    expect_no_connections();
}

static void test_client_that_reads_slowly_is_kept(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    fill(1000);
    size_t before = fake_api.unsent;
    char piece[4096];
    for (int i = 0; i < 1500; i++) { /* 2 MB a second, since sockets gather before they say so */
        (void)recv(fd, piece, sizeof piece, 0);
        turns(2);
    }
    assert_true(fake_api.gone == 0);
    assert_true(fake_api.unsent < before && fake_api.unsent > 0);
    (void)close(fd);
    wait_for_gone(1);
}

static void test_stopping_ends_streams(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    push("one\n");
    expect(fd, "one\n");
    int early = begin(GET_STREAM); /* without a head yet */
    http_server_stop_accepting(server);
    assert_true(fake_api.gone == 2);
    (void)expect_close(fd);
    (void)expect_close(early);
    expect_no_connections();
}

/* What has no end of its own ends as a whole; who has not read everything gets that, too. */
static void test_stopping_says_farewell(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    push("one\n");
    expect(fd, "one\n");
    int early = begin(GET_STREAM);
    fake_api.farewell = "bye";
    http_server_stop_accepting(server);
    assert_true(fake_api.gone == 2);
    (void)expect_close(fd);
    assert_non_null(strstr(got, "3\r\nbye\r\n0\r\n\r\n"));
    (void)expect_close(early);
    assert_non_null(strstr(got, "\r\n\r\n3\r\nbye\r\n0\r\n\r\n"));
    expect_no_connections();
}

static void test_server_is_freed_with_open_streams(void **state)
{
    (void)state;
    int fd = begin(GET_STREAM);
    push("one\n");
    expect(fd, "one\n");
    (void)begin(GET_STREAM);
    (void)begin(UPGRADE); /* teardown finds them; ASan and assertions judge */
}

/* ---- WebSockets ------------------------------------------------------------------------------ */

static void put_frame(int fd, unsigned first, const char *payload, size_t len)
{
    char frame[300];
    assert_true(len <= 125);
    frame[0] = (char)first;
    frame[1] = (char)(0x80 | len);
    memcpy(frame + 2, "\x11\x22\x33\x44", 4);
    for (size_t i = 0; i < len; i++)
        frame[6 + i] = (char)(payload[i] ^ frame[2 + i % 4]);
    assert_true(put_bytes(fd, frame, 6 + len));
}

static void expect_bytes(int fd, const char *bytes, size_t len)
{
    for (int i = 0; i < 3000 && memmem(got, got_len, bytes, len) == NULL; i++) {
        turns(1);
        (void)get_some(fd);
    }
    assert_non_null(memmem(got, got_len, bytes, len));
}

static int open_websocket(void)
{
    int fd = begin(UPGRADE);
    expect(fd, "\r\n\r\n");
    assert_non_null(strstr(got, "HTTP/1.1 101 Switching Protocols\r\n"));
    assert_non_null(strstr(got, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    got_len = 0;
    return fd;
}

static void wait_for_input(const char *text)
{
    for (int i = 0; i < 2000 && strcmp(fake_api.input, text) != 0; i++)
        turns(1);
    assert_string_equal(fake_api.input, text);
}

static void test_websocket_passes_messages_both_ways(void **state)
{
    (void)state;
    int fd = open_websocket();
    put_frame(fd, 0x81, "hello", 5);
    wait_for_input("hello");
    put_frame(fd, 0x01, "in ", 3);
    put_frame(fd, 0x89, "?", 1);
    put_frame(fd, 0x80, "two", 3);
    wait_for_input("in two");
    assert_true(fake_api.inputs == 2);
    expect_bytes(fd, "\x8a\x01?", 3);
    push("answer");
    expect_bytes(fd,
                 "\x81\x06"
                 "answer",
                 8);
    put_frame(fd, 0x88, "\x03\xe8", 2);
    expect_bytes(fd, "\x88\x02\x03\xe8", 4);
    (void)expect_close(fd);
    assert_true(fake_api.gone == 1);
}

static void test_websocket_frame_that_came_with_the_request_is_read(void **state)
{
    (void)state;
    static const char early[] = UPGRADE "\x81\x82\0\0\0\0hi";
    int fd = dial();
    assert_true(put_bytes(fd, early, sizeof early - 1));
    wait_for_input("hi");
    (void)close(fd);
    wait_for_gone(1);
}

static void test_websocket_is_ended_by_api(void **state)
{
    (void)state;
    int fd = open_websocket();
    fake_api_push("bye", 3, true);
    expect_bytes(fd,
                 "\x81\x03"
                 "bye\x88\x02\x03\xe8",
                 9);
    put_frame(fd, 0x88, "\x03\xe8", 2);
    (void)expect_close(fd);
    assert_true(fake_api.gone == 0);
}

static void test_websocket_whose_input_is_too_much_is_closed(void **state)
{
    (void)state;
    int fd = open_websocket();
    fake_api.is_full = true;
    assert_true(put_bytes(fd, "\x81\x81\0\0\0\0x", 7));
    expect_bytes(fd, "\x88\x02\x03\xf5", 4); /* 1013: try again later */
    (void)expect_close(fd);
    assert_true(fake_api.gone == 1);
}

static void test_websocket_errors_close_with_a_code(void **state)
{
    (void)state;
    static const struct {
        const char *frame;
        size_t len;
        const char *answer;
    } cases[] = {
        {"\x81\x01x", 3, "\x88\x02\x03\xea"},                           /* without a mask */
        {"\x83\x81\0\0\0\0x", 7, "\x88\x02\x03\xea"},                   /* an unknown opcode */
        {"\x81\xff\0\0\0\0\0\x20\0\0\0\0\0\0", 14, "\x88\x02\x03\xf1"}, /* too large */
        {"\x81\x81\0\0\0\0\xff", 7, "\x88\x02\x03\xef"},                /* not UTF-8 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = open_websocket();
        assert_true(put_bytes(fd, cases[i].frame, cases[i].len));
        expect_bytes(fd, cases[i].answer, 4);
        (void)expect_close(fd);
        assert_true(fake_api.gone == i + 1);
    }
}

static void test_websocket_client_that_vanishes_is_told(void **state)
{
    (void)state;
    int fd = open_websocket();
    (void)close(fd);
    wait_for_gone(1);
    expect_no_connections();
}

static void test_websocket_is_pinged_and_ends_without_an_answer(void **state)
{
    (void)state;
    int fd = open_websocket();
    for (int i = 0; i < 5; i++) {
        got_len = 0;
        expect_bytes(fd, "\x89\x00", 2);
        put_frame(fd, 0x8a, "", 0);
    }
    assert_true(fake_api.gone == 0);
    wait_for_gone(1);
    (void)expect_close(fd);
}

static void test_websocket_without_key_is_refused(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n");
    expect(fd, "bad_websocket");
    assert_non_null(strstr(got, "HTTP/1.1 400"));
    assert_true(fake_api.gone == 1);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stream_head_comes_with_first_chunk_and_connection_stays),
        TEST(test_stream_of_http_1_0_ends_with_the_connection),
        TEST(test_stream_whose_client_vanishes_is_told),
        TEST(test_stream_whose_client_vanished_before_the_head_is_told),
        TEST(test_stream_of_half_closed_client_ends),
        TEST(test_stream_of_half_closed_client_ends_with_a_farewell),
        TEST(test_stream_without_a_head_has_no_farewell),
        TEST(test_request_behind_a_stream_waits_for_its_end),
        TEST_WITH(test_silent_stream_outlives_the_idle_timeout, setup_short_idle),
        TEST_WITH(test_client_that_does_not_read_is_told_of_and_ends_late, setup_short_idle),
        TEST_WITH(test_client_that_reads_slowly_is_kept, setup_quick_pace),
        TEST(test_stopping_ends_streams),
        TEST(test_stopping_says_farewell),
        TEST(test_server_is_freed_with_open_streams),
        TEST(test_websocket_passes_messages_both_ways),
        TEST(test_websocket_frame_that_came_with_the_request_is_read),
        TEST(test_websocket_is_ended_by_api),
        TEST(test_websocket_errors_close_with_a_code),
        TEST(test_websocket_whose_input_is_too_much_is_closed),
        TEST(test_websocket_client_that_vanishes_is_told),
        TEST_WITH(test_websocket_is_pinged_and_ends_without_an_answer, setup_short_idle),
        TEST(test_websocket_without_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
