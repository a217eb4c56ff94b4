/*
 * Every bit of every kind of frame, flipped on its way: the connection ends and nothing of the
 * frame gets to the node. At once, but for a length that has grown: its end is waited for, until
 * the pings of the link go unanswered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net.h"
#include "peer/frame.h"

#include <string.h>

#define PATIENCE_MS 3000 /* more than any time-out of the two */
#define LENGTH_BYTES 4   /* where the length stands in a frame */

static struct net net;

static int teardown(void **state)
{
    (void)state;
    net_deinit(&net);
    return 0;
}

static void start(unsigned member, const char *cluster)
{
    struct peer_options options = net_options(&net, member, cluster);
    options.silence_ms = 600;
    options.dial_timeout_ms = 500;
    net_start_with(&net, member, &options);
}

static void start_two(const char *cluster_of_2)
{
    net_init(&net);
    start(1, "c");
    start(2, cluster_of_2);
    peer_set_put(net.set[1], 2, "n2:1");
}

static void link_up(void)
{
    start_two("c");
    peer_set_put(net.set[2], 1, "n9:1"); /* known, and not reached: only 1 dials */
    net_run(&net, 20);
    net_drop_events(&net, 1);
    net_drop_events(&net, 2);
}

static void send_entry(void)
{
    struct floe_entry entry = {.term = 1, .index = 1, .data = floe_blob_new("value", 5)};
    struct floe_message message = {
        .type = FLOE_MSG_APP, .from = 1, .to = 2, .term = 1, .entries = &entry, .entry_count = 1};
    assert_int_equal(peer_set_send(net.set[1], &message), ERR_OK);
    floe_blob_unref(entry.data);
}

static void begin_snapshot(void)
{
    struct floe_snapshot snapshot = {.index = 100, .term = 3};
    struct floe_message message = {
        .type = FLOE_MSG_SNAP, .from = 1, .to = 2, .term = 3, .snapshot = &snapshot};
    assert_int_equal(peer_set_snapshot_begin(net.set[1], &message), ERR_OK);
}

static void feed_snapshot(bool last)
{
    struct record record = {
        .type = 2, .index = 1, .payload = (const uint8_t *)"chunk", .payload_len = 5};
    struct buf encoded = {0};
    record_put(&encoded, &record);
    peer_set_snapshot_feed(net.set[1], 2, encoded.data, encoded.len, last);
    buf_deinit(&encoded);
}

/* Everything up to the moment in which the frame of the kind is sent; armed: the flip. */
static void act(enum peer_frame kind, struct net_flip armed)
{
    bool greets = kind == PEER_FRAME_HELLO || kind == PEER_FRAME_WELCOME;
    bool refuses = kind == PEER_FRAME_REFUSE;
    if (greets || refuses) {
        start_two(refuses ? "other" : "c");
        peer_set_put(net.set[2], 1, "n9:1");
    } else {
        link_up();
    }
    bool snapshot = kind >= PEER_FRAME_SNAP_BEGIN;
    if (snapshot && kind != PEER_FRAME_SNAP_BEGIN) {
        begin_snapshot();
        net_settle(&net);
        if (kind == PEER_FRAME_SNAP_ACK) {
            feed_snapshot(true);
            net_settle(&net);
        }
        net_drop_events(&net, 2);
    }
    bool back = kind == PEER_FRAME_WELCOME || refuses || kind == PEER_FRAME_PONG ||
                kind == PEER_FRAME_SNAP_ACK;
    armed.to = back ? 1 : 2;
    armed.skip = kind == PEER_FRAME_SNAP_BEGIN ? 1 : 0; /* the new link's hello */
    net.flip = armed;
    if (kind == PEER_FRAME_MESSAGE)
        send_entry();
    else if (kind == PEER_FRAME_NOTE)
        assert_int_equal(peer_set_send_note(net.set[1], 2, 7, "note", 4), ERR_OK);
    else if (kind == PEER_FRAME_PING || kind == PEER_FRAME_PONG)
        peer_set_wake(net.set[1], 2);
    else if (kind == PEER_FRAME_SNAP_BEGIN)
        begin_snapshot();
    else if (kind == PEER_FRAME_SNAP_RECORD || kind == PEER_FRAME_SNAP_LAST)
        feed_snapshot(kind == PEER_FRAME_SNAP_LAST);
    else if (kind == PEER_FRAME_SNAP_ACK)
        peer_set_snapshot_answer(net.set[2], 1, true);
    else
        peer_set_tick(net.set[1], net.now_ms);
    net_settle(&net);
}

/* Does the event tell the node something that a frame said? Ends and losses do not. */
static bool tells(const struct peer_event *event)
{
    switch (event->type) {
    case PEER_EVENT_MESSAGE:
    case PEER_EVENT_NOTE:
    case PEER_EVENT_CONNECTED:
    case PEER_EVENT_SNAPSHOT_BEGIN:
    case PEER_EVENT_SNAPSHOT_RECORD:
    case PEER_EVENT_REFUSED: return true;
    case PEER_EVENT_SNAPSHOT_SENT: return event->ok;
    case PEER_EVENT_UNREACHABLE:
    case PEER_EVENT_BROKEN:
    case PEER_EVENT_SNAPSHOT_ABORT: return false;
    }
    return true;
}

static bool was_told(unsigned member)
{
    bool told = false;
    struct peer_event event;
    while (peer_set_next_event(net.set[member], &event)) {
        told = told || tells(&event);
        peer_event_deinit(&event);
    }
    return told;
}

/* Nobody dials any more, so that only the damaged link can tell anything. */
static void wait_for_end(void)
{
    net.black_hole = true;
    net_run(&net, PATIENCE_MS);
}

/* false: the frame has no such byte. */
static bool flip(enum peer_frame kind, size_t at, unsigned bit)
{
    act(kind, (struct net_flip){.at = at, .mask = (uint8_t)(1u << bit)});
    assert_true(net.flip.len >= RECORD_HEADER_BYTES);
    if (net.flip.wire == NULL) {
        assert_int_equal(at, net.flip.len);
        net_deinit(&net);
        return false;
    }
    bool back = kind == PEER_FRAME_WELCOME || kind == PEER_FRAME_REFUSE ||
                kind == PEER_FRAME_PONG || kind == PEER_FRAME_SNAP_ACK;
    unsigned hearer = back ? 1 : 2;
    if (net.flip.wire->open) {
        if (at >= LENGTH_BYTES)
            fail_msg("kind %d byte %zu bit %u: the link is still open", (int)kind, at, bit);
        assert_false(was_told(hearer));
        wait_for_end();
        assert_false(net.flip.wire->open);
    }
    if (was_told(hearer))
        fail_msg("kind %d byte %zu bit %u: something got through", (int)kind, at, bit);
    net_deinit(&net);
    return true;
}

static void flip_all(enum peer_frame kind)
{
    bool more = true;
    for (size_t at = 0; more; at++)
        for (unsigned bit = 0; bit < 8 && more; bit++)
            more = flip(kind, at, bit);
    net_init(&net); /* for teardown */
}

/* What comes behind a length that has grown is taken for its payload: not for long. */
static void test_flip_in_length_under_traffic_ends_the_link(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 8 * LENGTH_BYTES; bit++) {
        act(PEER_FRAME_MESSAGE, (struct net_flip){.at = bit / 8, .mask = (uint8_t)(1u << bit % 8)});
        struct net_wire *wire = net.flip.wire;
        net.black_hole = true;
        for (unsigned i = 0; i < PATIENCE_MS / 10 && wire->open; i++) {
            struct floe_message beat = {.type = FLOE_MSG_HEARTBEAT, .from = 1, .to = 2, .term = 1};
            assert_int_equal(peer_set_send(net.set[1], &beat), ERR_OK);
            net_run(&net, 10);
        }
        assert_false(wire->open);
        assert_false(was_told(2));
        net_deinit(&net);
    }
    net_init(&net);
}

/* Without a flip each frame tells something, or is answered: the test looks at the right ones. */
static void test_flip_none_gets_through(void **state)
{
    (void)state;
    for (enum peer_frame kind = PEER_FRAME_HELLO; kind <= PEER_FRAME_SNAP_ACK; kind++) {
        act(kind, (struct net_flip){.at = 0, .mask = 0});
        assert_non_null(net.flip.wire);
        bool back =
            kind == PEER_FRAME_WELCOME || kind == PEER_FRAME_REFUSE || kind == PEER_FRAME_SNAP_ACK;
        bool silent =
            kind == PEER_FRAME_HELLO || kind == PEER_FRAME_PING || kind == PEER_FRAME_PONG;
        if (!silent)
            assert_true(was_told(back ? 1 : 2));
        bool ends = kind == PEER_FRAME_REFUSE || kind == PEER_FRAME_SNAP_ACK;
        assert_int_equal(net.flip.wire->open, !ends);
        net_deinit(&net);
    }
    net_init(&net);
}

#define FLIP_TEST(name, kind)      \
    static void name(void **state) \
    {                              \
        (void)state;               \
        flip_all(kind);            \
    }

FLIP_TEST(test_flip_in_hello_ends_the_link, PEER_FRAME_HELLO)
FLIP_TEST(test_flip_in_welcome_ends_the_link, PEER_FRAME_WELCOME)
FLIP_TEST(test_flip_in_refuse_ends_the_link, PEER_FRAME_REFUSE)
FLIP_TEST(test_flip_in_message_ends_the_link, PEER_FRAME_MESSAGE)
FLIP_TEST(test_flip_in_note_ends_the_link, PEER_FRAME_NOTE)
FLIP_TEST(test_flip_in_ping_ends_the_link, PEER_FRAME_PING)
FLIP_TEST(test_flip_in_pong_ends_the_link, PEER_FRAME_PONG)
FLIP_TEST(test_flip_in_snapshot_begin_ends_the_link, PEER_FRAME_SNAP_BEGIN)
FLIP_TEST(test_flip_in_snapshot_record_ends_the_link, PEER_FRAME_SNAP_RECORD)
FLIP_TEST(test_flip_in_snapshot_last_ends_the_link, PEER_FRAME_SNAP_LAST)
FLIP_TEST(test_flip_in_snapshot_ack_ends_the_link, PEER_FRAME_SNAP_ACK)

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, NULL, teardown)
    const struct CMUnitTest tests[] = {
        T(test_flip_none_gets_through),
        T(test_flip_in_length_under_traffic_ends_the_link),
        T(test_flip_in_hello_ends_the_link),
        T(test_flip_in_welcome_ends_the_link),
        T(test_flip_in_refuse_ends_the_link),
        T(test_flip_in_message_ends_the_link),
        T(test_flip_in_note_ends_the_link),
        T(test_flip_in_ping_ends_the_link),
        T(test_flip_in_pong_ends_the_link),
        T(test_flip_in_snapshot_begin_ends_the_link),
        T(test_flip_in_snapshot_record_ends_the_link),
        T(test_flip_in_snapshot_last_ends_the_link),
        T(test_flip_in_snapshot_ack_ends_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
