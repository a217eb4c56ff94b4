/* Frames byte by byte: RFC 6455's own examples, and what it forbids. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/websocket.h"

#include <string.h>

#define ROOM 1000

static struct websocket ws;
static struct evbuffer *input;

static int begin(void **state)
{
    (void)state;
    ws = (struct websocket){.message_max = ROOM};
    input = evbuffer_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    websocket_deinit(&ws);
    evbuffer_free(input);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static enum websocket_step feed(const char *bytes, size_t len)
{
    assert_int_equal(evbuffer_add(input, bytes, len), 0);
    return websocket_next(&ws, input);
}

static void expect_bad(const char *bytes, size_t len, enum websocket_code code)
{
    (void)end(NULL);
    (void)begin(NULL);
    assert_int_equal(feed(bytes, len), WEBSOCKET_STEP_BAD);
    assert_int_equal(ws.code, code);
}

static void test_key_is_answered_as_in_the_rfc(void **state)
{
    (void)state;
    char accept[WEBSOCKET_ACCEPT_SIZE];
    websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZQ"));
    assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25j*Q=="));
    assert_false(websocket_is_key("dGhlIHNhbXBsZSBub25jZQ==="));
}

static void test_masked_hello_comes_byte_by_byte(void **state)
{
    (void)state;
    static const char frame[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    for (size_t i = 0; i < sizeof frame - 2; i++)
        assert_int_equal(feed(frame + i, 1), WEBSOCKET_STEP_MORE);
    assert_int_equal(feed(frame + sizeof frame - 2, 1), WEBSOCKET_STEP_MESSAGE);
    assert_true(ws.message.len == 5 && memcmp(ws.message.data, "Hello", 5) == 0);
    assert_int_equal(feed("", 0), WEBSOCKET_STEP_MORE);
    assert_true(ws.message.len == 0);
}

static void test_fragments_with_a_ping_between_are_one_message(void **state)
{
    (void)state;
    static const char frames[] = "\x01\x83\0\0\0\0Hel"
                                 "\x89\x82\0\0\0\0hi"
                                 "\x80\x82\0\0\0\0lo";
    assert_int_equal(feed(frames, sizeof frames - 1), WEBSOCKET_STEP_PING);
    assert_true(ws.control_len == 2 && memcmp(ws.control, "hi", 2) == 0);
    assert_int_equal(websocket_next(&ws, input), WEBSOCKET_STEP_MESSAGE);
    assert_true(ws.message.len == 5 && memcmp(ws.message.data, "Hello", 5) == 0);
    assert_true(evbuffer_get_length(input) == 0);
}

static void test_longer_forms_of_the_length(void **state)
{
    (void)state;
    static char frame[8 + ROOM] = "\x82\xfe\x03\xe8";
    assert_int_equal(feed(frame, sizeof frame), WEBSOCKET_STEP_MESSAGE);
    assert_true(ws.message.len == ROOM);
    expect_bad("\x82\xfe\x03\xe9\0\0\0\0", 8, WEBSOCKET_TOO_LARGE);
    expect_bad("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, WEBSOCKET_TOO_LARGE);
    (void)end(NULL);
    (void)begin(NULL);
    frame[0] = 0x02; /* a fragment, and one byte more */
    assert_int_equal(feed(frame, sizeof frame), WEBSOCKET_STEP_MORE);
    assert_int_equal(feed("\x80\x81\0\0\0\0x", 7), WEBSOCKET_STEP_BAD);
    assert_int_equal(ws.code, WEBSOCKET_TOO_LARGE);
}

static void test_what_is_forbidden(void **state)
{
    (void)state;
    expect_bad("\x81\x01x", 3, WEBSOCKET_PROTOCOL);         /* no mask */
    expect_bad("\xc1\x81\0\0\0\0x", 7, WEBSOCKET_PROTOCOL); /* a reserved bit */
    expect_bad("\x83\x80\0\0\0\0", 6, WEBSOCKET_PROTOCOL);  /* a reserved opcode */
    expect_bad("\x80\x81\0\0\0\0x", 7, WEBSOCKET_PROTOCOL); /* a continuation of nothing */
    expect_bad("\x01\x81\0\0\0\0x\x81\x81\0\0\0\0x", 14, WEBSOCKET_PROTOCOL);
    expect_bad("\x09\x80\0\0\0\0", 6, WEBSOCKET_PROTOCOL);         /* a fragmented ping */
    expect_bad("\x89\xfe\0\x7e\0\0\0\0", 8, WEBSOCKET_PROTOCOL);   /* a long one */
    expect_bad("\x88\x81\0\0\0\0\x03", 7, WEBSOCKET_PROTOCOL);     /* half a code */
    expect_bad("\x88\x82\0\0\0\0\x03\xed", 8, WEBSOCKET_PROTOCOL); /* 1005 is never sent */
    expect_bad("\x88\x83\0\0\0\0\x03\xe8\xff", 9, WEBSOCKET_NOT_UTF8);
    expect_bad("\x81\x82\0\0\0\0\xc0\x80", 8, WEBSOCKET_NOT_UTF8);     /* overlong */
    expect_bad("\x81\x83\0\0\0\0\xed\xa0\x80", 9, WEBSOCKET_NOT_UTF8); /* a surrogate */
    expect_bad("\x81\x82\0\0\0\0\xe2\x82", 8, WEBSOCKET_NOT_UTF8);     /* cut off */
}

static void test_good_text_and_close(void **state)
{
    (void)state;
    assert_int_equal(feed("\x81\x84\0\0\0\0\xf0\x9f\x92\x96", 10), WEBSOCKET_STEP_MESSAGE);
    assert_int_equal(feed("\x88\x80\0\0\0\0", 6), WEBSOCKET_STEP_CLOSE);
    assert_true(ws.control_len == 0);
    assert_int_equal(feed("\x88\x84\0\0\0\0\x03\xe8ok", 10), WEBSOCKET_STEP_CLOSE);
    assert_true(ws.control_len == 4);
}

static void expect_header(size_t len, const char *header, size_t header_len)
{
    websocket_put_header(input, WEBSOCKET_TEXT, len);
    assert_true(evbuffer_get_length(input) == header_len);
    assert_memory_equal(evbuffer_pullup(input, -1), header, header_len);
    (void)evbuffer_drain(input, header_len);
}

static void test_headers_that_go(void **state)
{
    (void)state;
    expect_header(0, "\x81\x00", 2);
    expect_header(125, "\x81\x7d", 2);
    expect_header(126, "\x81\x7e\x00\x7e", 4);
    expect_header(65535, "\x81\x7e\xff\xff", 4);
    expect_header(65536, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);
    websocket_put_close(input, WEBSOCKET_TRY_LATER);
    assert_memory_equal(evbuffer_pullup(input, -1), "\x88\x02\x03\xf5", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_key_is_answered_as_in_the_rfc),
        TEST(test_masked_hello_comes_byte_by_byte),
        TEST(test_fragments_with_a_ping_between_are_one_message),
        TEST(test_longer_forms_of_the_length),
        TEST(test_what_is_forbidden),
        TEST(test_good_text_and_close),
        TEST(test_headers_that_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
