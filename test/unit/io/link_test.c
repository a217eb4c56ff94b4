/* Peer links over real sockets on the loopback: two sets, one event base. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/link.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct peer_set *peers;
    struct link_set *links;
    struct addr listen;
    unsigned warnings;
    struct logger logger;
};

static struct event_base *base;
static struct side side[3];

static void on_line(void *arg, enum log_level level, const char *line)
{
    (void)line;
    struct side *it = arg;
    if (level >= LOG_WARN)
        it->warnings++;
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in4;
    assert_int_equal(bind(fd, (struct sockaddr *)&in4, sizeof in4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in4, &len), 0);
    close(fd);
    return ntohs(in4.sin_port);
}

static void start(unsigned id, const char *cluster)
{
    struct side *it = &side[id];
    it->warnings = 0;
    it->logger = (struct logger){.level = LOG_INFO, .write = on_line, .arg = it};
    struct peer_options options = {
        .id = id, .cluster = cluster, .name = "n", .seed = id, .logger = &it->logger};
    it->peers = peer_set_new(&options);
    it->links = link_set_new(base, it->peers, &it->logger);
    struct buf why = {0};
    assert_int_equal(link_set_listen(it->links, &it->listen, &why), ERR_OK);
    buf_deinit(&why);
}

static void stop(unsigned id)
{
    link_set_free(side[id].links);
    peer_set_free(side[id].peers);
    side[id].links = NULL;
    side[id].peers = NULL;
}

static void acquaint(const char *host)
{
    char address[64];
    for (unsigned i = 1; i <= 2; i++) {
        (void)snprintf(address, sizeof address, "%s:%u", host, side[3 - i].listen.port);
        peer_set_put(side[i].peers, 3 - i, address);
    }
}

static int setup(void **state)
{
    (void)state;
    base = event_base_new();
    for (unsigned i = 1; i <= 2; i++)
        side[i].listen = (struct addr){.host = "127.0.0.1", .port = free_port()};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 2; i++)
        if (side[i].peers != NULL)
            stop(i);
    event_base_free(base);
    return 0;
}

static void turn(void)
{
    const struct timeval wait = {.tv_usec = 2000};
    (void)event_base_loopexit(base, &wait);
    (void)event_base_dispatch(base);
    for (unsigned i = 1; i <= 2; i++) {
        if (side[i].peers == NULL)
            continue;
        peer_set_tick(side[i].peers, clock_now_ms());
        link_set_pump(side[i].links, clock_now_ms());
    }
}

static bool is_connected(unsigned from, unsigned to)
{
    struct peer_status status;
    return peer_set_status(side[from].peers, to, &status) && status.connected;
}

static void run_until_connected(void)
{
    for (unsigned i = 0; i < 2000 && !(is_connected(1, 2) && is_connected(2, 1)); i++)
        turn();
    assert_true(is_connected(1, 2) && is_connected(2, 1));
}

static bool wait_event(unsigned id, enum peer_event_type type, struct peer_event *out)
{
    for (unsigned i = 0; i < 3000; i++) {
        while (peer_set_next_event(side[id].peers, out)) {
            if (out->type == type)
                return true;
            peer_event_deinit(out);
        }
        turn();
    }
    return false;
}

static void test_link_members_connect_and_large_messages_arrive(void **state)
{
    (void)state;
    start(1, "c");
    start(2, "c");
    acquaint("127.0.0.1");
    run_until_connected();
    size_t size = 3u << 20; /* more than is handed to libevent at a time */
    uint8_t *bytes = calloc(1, size);
    memset(bytes, 9, size);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(peer_set_send_note(side[1].peers, 2, (uint8_t)i, bytes, size), ERR_OK);
    for (unsigned i = 0; i < 4; i++) {
        struct peer_event event;
        assert_true(wait_event(2, PEER_EVENT_NOTE, &event));
        assert_int_equal(event.kind, i);
        assert_int_equal(event.data.len, size);
        assert_memory_equal(event.data.data, bytes, size);
        peer_event_deinit(&event);
    }
    free(bytes);
    assert_int_equal(side[1].warnings + side[2].warnings, 0);
}

static void test_link_reading_pauses_while_events_wait(void **state)
{
    (void)state;
    start(1, "c");
    start(2, "c");
    acquaint("127.0.0.1");
    run_until_connected();
    enum { PIECE = 1 << 20, PIECES = 64 };
    uint8_t *bytes = calloc(1, PIECE);
    unsigned sent = 0;
    for (unsigned i = 0; i < 3000 && sent < PIECES; i++) {
        while (sent < PIECES &&
               peer_set_send_note(side[1].peers, 2, (uint8_t)sent, bytes, PIECE) == ERR_OK)
            sent++;
        turn();
        assert_true(peer_set_event_bytes(side[2].peers) < (20u << 20));
        if (i > 200)
            break; /* it stands: nobody takes the events */
    }
    assert_true(peer_set_event_bytes(side[2].peers) >= (16u << 20));
    for (unsigned i = 0; i < sent; i++) {
        struct peer_event event;
        assert_true(wait_event(2, PEER_EVENT_NOTE, &event));
        assert_int_equal(event.kind, i);
        peer_event_deinit(&event);
    }
    free(bytes);
}

static void test_link_names_are_looked_up(void **state)
{
    (void)state;
    start(1, "c");
    start(2, "c");
    acquaint("localhost");
    run_until_connected();
}

static void test_link_restarted_member_is_redialled(void **state)
{
    (void)state;
    start(1, "c");
    start(2, "c");
    acquaint("127.0.0.1");
    run_until_connected();
    stop(2);
    struct peer_event event;
    assert_true(wait_event(1, PEER_EVENT_UNREACHABLE, &event));
    for (unsigned i = 0; i < 200; i++)
        turn();
    start(2, "c");
    acquaint("127.0.0.1");
    run_until_connected();
}

static void test_link_refusal_arrives_before_the_close(void **state)
{
    (void)state;
    start(1, "c");
    start(2, "d");
    acquaint("127.0.0.1");
    struct peer_event event;
    assert_true(wait_event(1, PEER_EVENT_REFUSED, &event));
    assert_int_equal(event.kind, PEER_REFUSED_CLUSTER);
    peer_event_deinit(&event);
}

static void test_link_taken_port_is_an_error_with_its_reason(void **state)
{
    (void)state;
    start(1, "c");
    struct peer_options options = {.id = 2, .cluster = "c", .name = "n"};
    side[2].peers = peer_set_new(&options);
    side[2].links = link_set_new(base, side[2].peers, NULL);
    struct buf why = {0};
    assert_int_equal(link_set_listen(side[2].links, &side[1].listen, &why), ERR_IO);
    assert_non_null(strstr(buf_str(&why), "in use"));
    buf_deinit(&why);
}

static void test_link_out_of_descriptors_pauses_the_listener(void **state)
{
    (void)state;
    start(1, "c");
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in4 = {.sin_family = AF_INET,
                              .sin_port = htons(side[1].listen.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&in4, sizeof in4), 0);
    struct rlimit tight = {.rlim_cur = 3, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    uint64_t begin_ms = clock_now_ms();
    while (clock_now_ms() < begin_ms + 250)
        turn();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_in_range(side[1].warnings, 2, 4); /* every 100 ms, no spinning */
    const char rubbish[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nsome more of it";
    assert_int_equal(write(fd, rubbish, sizeof rubbish), sizeof rubbish);
    unsigned before = side[1].warnings;
    for (unsigned i = 0; i < 200 && side[1].warnings == before; i++)
        turn();
    assert_int_equal(side[1].warnings, before + 1); /* accepted, and found wanting */
    close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_link_members_connect_and_large_messages_arrive),
        T(test_link_reading_pauses_while_events_wait),
        T(test_link_names_are_looked_up),
        T(test_link_restarted_member_is_redialled),
        T(test_link_refusal_arrives_before_the_close),
        T(test_link_taken_port_is_an_error_with_its_reason),
        T(test_link_out_of_descriptors_pauses_the_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
