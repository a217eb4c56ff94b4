/* Message links: handshake, exchange, back-off, bounds, protocol violations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net.h"
#include "peer/frame.h"

#include <string.h>

static struct net net;

static int setup(void **state)
{
    (void)state;
    net_init(&net);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_deinit(&net);
    return 0;
}

static void start_pair(void)
{
    net_start(&net, 1, "c");
    net_start(&net, 2, "c");
    net_acquaint(&net, 2);
    net_run(&net, 20);
}

static bool is_connected(unsigned from, unsigned to)
{
    struct peer_status status;
    return peer_set_status(net.set[from], to, &status) && status.connected;
}

static enum err send_heartbeat(unsigned from, unsigned to, uint64_t term)
{
    struct floe_message message = {
        .type = FLOE_MSG_HEARTBEAT, .from = from, .to = to, .term = term};
    return peer_set_send(net.set[from], &message);
}

static enum err send_append(unsigned from, unsigned to, size_t bytes)
{
    struct floe_entry entry = {.term = 1, .index = 1, .data = floe_blob_alloc(bytes)};
    memset(floe_blob_bytes(entry.data), 7, bytes);
    struct floe_message message = {.type = FLOE_MSG_APP,
                                   .from = from,
                                   .to = to,
                                   .term = 1,
                                   .entries = &entry,
                                   .entry_count = 1};
    enum err err = peer_set_send(net.set[from], &message);
    floe_blob_unref(entry.data);
    return err;
}

static void assert_heard(unsigned member, unsigned from, uint64_t term)
{
    struct peer_event event;
    assert_true(net_wait_event(&net, member, PEER_EVENT_MESSAGE, &event));
    assert_int_equal(event.id, from);
    assert_int_equal(event.message.from, from);
    assert_int_equal(event.message.term, term);
    peer_event_deinit(&event);
}

static void assert_refused(unsigned member, enum peer_refusal code)
{
    struct peer_event event;
    assert_true(net_wait_event(&net, member, PEER_EVENT_REFUSED, &event));
    assert_int_equal(event.kind, code);
    assert_true(event.data.len > 0);
    peer_event_deinit(&event);
}

/* Sends one frame by hand on a wire of the test; what comes back stays in end[0].input. */
static void hand(struct net_wire *wire, struct buf *frame)
{
    struct evbuffer *bytes = evbuffer_new();
    evbuffer_add(bytes, frame->data, frame->len);
    peer_set_on_input(net.set[wire->end[1].member], wire->end[1].link, bytes, net.now_ms);
    evbuffer_free(bytes);
    buf_deinit(frame);
    net_settle(&net);
}

static struct peer_hello hello_of(floe_id from, floe_id to)
{
    return (struct peer_hello){.version = PEER_PROTOCOL_VERSION,
                               .from = from,
                               .to = to,
                               .lane = PEER_LANE_MESSAGES,
                               .cluster = "c",
                               .cluster_len = 1,
                               .name = "x",
                               .name_len = 1};
}

static struct net_wire *hand_hello(unsigned member, const struct peer_hello *hello)
{
    struct net_wire *wire = net_dial(&net, member);
    struct buf frame = {0};
    peer_frame_put_hello(&frame, hello);
    hand(wire, &frame);
    return wire;
}

/* The type of the first frame that came back; the refusal's code in *code. */
static uint8_t answer_of(struct net_wire *wire, uint8_t *code)
{
    size_t len = evbuffer_get_length(wire->end[0].input);
    struct record record;
    size_t used;
    if (record_get(evbuffer_pullup(wire->end[0].input, -1), len, 4096, &record, &used) != ERR_OK)
        return 0;
    const char *text;
    size_t text_len;
    if (record.type == PEER_FRAME_REFUSE)
        assert_int_equal(peer_frame_get_refuse(&record, code, &text, &text_len), ERR_OK);
    return record.type;
}

static void test_session_two_members_exchange_messages(void **state)
{
    (void)state;
    start_pair();
    struct peer_event event;
    assert_true(net_wait_event(&net, 1, PEER_EVENT_CONNECTED, &event));
    assert_int_equal(event.id, 2);
    assert_true(is_connected(1, 2) && is_connected(2, 1));
    assert_int_equal(send_heartbeat(1, 2, 5), ERR_OK);
    assert_int_equal(send_heartbeat(2, 1, 6), ERR_OK);
    assert_int_equal(send_append(1, 2, 100000), ERR_OK);
    net_settle(&net);
    assert_heard(2, 1, 5);
    assert_heard(1, 2, 6);
    assert_true(peer_set_event_bytes(net.set[2]) > 100000);
    assert_true(net_wait_event(&net, 2, PEER_EVENT_MESSAGE, &event));
    assert_int_equal(event.message.entry_count, 1);
    assert_int_equal(floe_blob_size(event.message.entries[0].data), 100000);
    peer_event_deinit(&event);
    assert_int_equal(peer_set_event_bytes(net.set[2]), 0);
    assert_int_equal(net.warnings[1] + net.warnings[2], 0);
}

static void test_session_notes_arrive_with_their_kind(void **state)
{
    (void)state;
    start_pair();
    assert_int_equal(peer_set_send_note(net.set[1], 2, 200, "abc", 3), ERR_OK);
    net_settle(&net);
    struct peer_event event;
    assert_true(net_wait_event(&net, 2, PEER_EVENT_NOTE, &event));
    assert_int_equal(event.kind, 200);
    assert_int_equal(event.data.len, 3);
    assert_memory_equal(event.data.data, "abc", 3);
    peer_event_deinit(&event);
}

static void test_session_frames_cut_into_bytes_arrive_whole(void **state)
{
    (void)state;
    net.single_bytes = true;
    start_pair();
    assert_true(is_connected(1, 2));
    assert_int_equal(send_append(1, 2, 3000), ERR_OK);
    assert_int_equal(send_heartbeat(1, 2, 9), ERR_OK);
    net_settle(&net);
    assert_heard(2, 1, 1);
    assert_heard(2, 1, 9);
}

static void test_session_send_without_a_link_says_again(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    assert_int_equal(send_heartbeat(1, 2, 1), ERR_NOT_FOUND);
    peer_set_put(net.set[1], 2, "n2:1");
    assert_int_equal(send_heartbeat(1, 2, 1), ERR_AGAIN);
    net_run(&net, 500);
    assert_int_equal(send_heartbeat(1, 2, 1), ERR_AGAIN);
}

static void test_handshake_other_cluster_is_refused_and_logged_once(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    net_start(&net, 2, "other");
    net_acquaint(&net, 2);
    net_run(&net, 10000);
    assert_refused(1, PEER_REFUSED_CLUSTER);
    assert_refused(2, PEER_REFUSED_CLUSTER);
    assert_false(is_connected(1, 2));
    assert_int_equal(net.warnings[1], 1);
    assert_in_range(net.dials[1], 4, 30);
}

static void test_handshake_wrong_identity_is_refused(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    net_start(&net, 2, "c");
    peer_set_put(net.set[1], 3, "n2:1"); /* 2 lives there */
    net_run(&net, 20);
    assert_refused(1, PEER_REFUSED_IDENTITY);
    uint8_t code = 0;
    struct peer_hello hello = hello_of(2, 2); /* says it is the member that it talks to */
    assert_int_equal(answer_of(hand_hello(2, &hello), &code), PEER_FRAME_REFUSE);
    assert_int_equal(code, PEER_REFUSED_IDENTITY);
}

static void test_handshake_removed_member_is_refused_until_put_again(void **state)
{
    (void)state;
    start_pair();
    peer_set_remove(net.set[2], 1, true);
    net_run(&net, 500);
    assert_false(is_connected(1, 2));
    assert_refused(1, PEER_REFUSED_REMOVED);
    peer_set_put(net.set[2], 1, "n1:1");
    net_run(&net, 3000);
    assert_true(is_connected(1, 2) && is_connected(2, 1));
}

static void test_handshake_unknown_member_is_refused_unless_accepted(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    net_start(&net, 2, "c");
    peer_set_put(net.set[1], 2, "n2:1");
    net_run(&net, 50);
    assert_refused(1, PEER_REFUSED_UNKNOWN);
    assert_int_equal(net.warnings[1], 0);
    peer_set_accept_unknown(net.set[2], true);
    net_run(&net, 3000);
    assert_true(is_connected(1, 2));
    assert_int_equal(send_heartbeat(1, 2, 4), ERR_OK);
    net_settle(&net);
    assert_heard(2, 1, 4);
    assert_int_equal(send_heartbeat(2, 1, 4), ERR_NOT_FOUND);
}

static void test_handshake_newer_version_is_refused(void **state)
{
    (void)state;
    start_pair();
    struct peer_hello hello = hello_of(1, 2);
    hello.version = PEER_PROTOCOL_VERSION + 1;
    uint8_t code = 0;
    struct net_wire *wire = hand_hello(2, &hello);
    assert_int_equal(answer_of(wire, &code), PEER_FRAME_REFUSE);
    assert_int_equal(code, PEER_REFUSED_VERSION);
    assert_false(wire->open);
}

static void test_handshake_newer_link_replaces_the_older(void **state)
{
    (void)state;
    start_pair();
    struct net_wire *old = net_wire(&net, 1, 2);
    struct peer_hello hello = hello_of(1, 2);
    uint8_t code = 0;
    struct net_wire *wire = hand_hello(2, &hello);
    assert_int_equal(answer_of(wire, &code), PEER_FRAME_WELCOME);
    assert_false(old->open);
    assert_true(wire->open);
}

static void test_handshake_silent_and_crowding_links_are_closed(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    for (unsigned i = 0; i < 64; i++)
        assert_true(net_dial(&net, 1)->open);
    assert_false(net_dial(&net, 1)->open);
    net_run(&net, 3100);
    assert_false(net.wire[0].open);
    assert_true(net_dial(&net, 1)->open);
}

static void test_session_dial_without_answer_times_out(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    peer_set_put(net.set[1], 2, "n2:1");
    net.black_hole = true;
    net_run(&net, 2900);
    assert_int_equal(net.dials[1], 1);
    net_run(&net, 300);
    assert_int_equal(net.dials[1], 2);
}

static void test_backoff_grows_and_an_incoming_hello_resets_it(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    peer_set_put(net.set[1], 2, "n2:1");
    net_run(&net, 1000);
    unsigned early = net.dials[1];
    assert_in_range(early, 4, 8); /* 50 + 100 + 200 + 400 ms and jitter */
    net_run(&net, 20000);
    unsigned before = net.dials[1];
    net_run(&net, 10000);
    assert_in_range(net.dials[1] - before, 4, 11); /* 1 to 2 s apart */
    for (unsigned dials = net.dials[1]; net.dials[1] == dials;)
        net_run(&net, 10); /* then the next one is at least a second away */
    net_start(&net, 2, "c");
    peer_set_put(net.set[2], 1, "n1:1");
    peer_set_tick(net.set[2], net.now_ms);
    net_settle(&net); /* at once: without a tick of member 1 */
    assert_true(is_connected(1, 2));
}

static void test_backoff_ends_when_somebody_else_has_reached_the_peer(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    peer_set_put(net.set[1], 2, "n2:1");
    net_run(&net, 20000);
    for (unsigned dials = net.dials[1]; net.dials[1] == dials;)
        net_run(&net, 10);
    net_start(&net, 2, "c");
    peer_set_put(net.set[2], 1, "nowhere");
    unsigned before = net.dials[1];
    peer_set_wake(net.set[1], 9); /* nobody */
    net_settle(&net);
    assert_int_equal(net.dials[1], before);
    peer_set_wake(net.set[1], 2);
    net_settle(&net); /* without a tick */
    assert_true(is_connected(1, 2));
    peer_set_wake(net.set[1], 2); /* there is a link: it is kept */
    net_run(&net, 100);
    assert_true(is_connected(1, 2));
    assert_int_equal(net.dials[1], before + 1);
}

static void test_session_lost_link_is_reported_once_and_redialled(void **state)
{
    (void)state;
    start_pair();
    net_drop_events(&net, 1);
    net_stop(&net, 2);
    net_run(&net, 5000);
    struct peer_event event;
    assert_true(net_wait_event(&net, 1, PEER_EVENT_UNREACHABLE, &event));
    assert_false(net_wait_event(&net, 1, PEER_EVENT_UNREACHABLE, &event));
    net_start(&net, 2, "c");
    net_acquaint(&net, 2);
    net_run(&net, 30);
    assert_true(is_connected(1, 2) && is_connected(2, 1));
}

static void test_session_dead_wire_is_noticed_by_both_ends(void **state)
{
    (void)state;
    start_pair();
    struct net_wire *wire = net_wire(&net, 1, 2);
    net_run(&net, 60000);
    assert_true(wire->open); /* idle is no silence: pings */
    net_drop_events(&net, 1);
    peer_link in_link = wire->end[1].link;
    wire->stalled = true;
    net_run(&net, 9000);
    assert_true(is_connected(1, 2));
    net_run(&net, 5000);
    struct peer_event event;
    assert_true(net_wait_event(&net, 1, PEER_EVENT_UNREACHABLE, &event));
    assert_null(peer_set_output(net.set[2], in_link));
}

static void test_session_slow_wire_with_a_long_queue_stays(void **state)
{
    (void)state;
    start_pair();
    struct net_wire *wire = net_wire(&net, 1, 2);
    wire->rate = 1000; /* 100 kB a second */
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(send_append(1, 2, 100000), ERR_OK); /* 40 s, and PING behind them */
    net_run(&net, 60000);
    assert_true(wire->open);
    struct peer_status status;
    assert_true(peer_set_status(net.set[1], 2, &status) && status.connected);
    assert_int_equal(status.queued_bytes, 0);
    assert_true(status.last_heard_ms > net.now_ms - 10000);
}

static void test_send_over_the_bound_is_dropped_but_heartbeats_pass(void **state)
{
    (void)state;
    struct peer_options options = net_options(&net, 1, "c");
    options.queue_bytes = 100000;
    net_start_with(&net, 1, &options);
    net_start(&net, 2, "c");
    net_acquaint(&net, 2);
    net_run(&net, 20);
    net_drop_events(&net, 1);
    struct net_wire *wire = net_wire(&net, 1, 2);
    wire->stalled = true;
    unsigned sent = 0;
    while (send_append(1, 2, 10000) == ERR_OK && sent < 100)
        sent++;
    assert_in_range(sent, 8, 10);
    assert_int_equal(send_append(1, 2, 10000), ERR_FULL);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(send_heartbeat(1, 2, 3), ERR_OK);
    struct peer_status status;
    assert_true(peer_set_status(net.set[1], 2, &status));
    assert_in_range(status.queued_bytes, 80000, 130000);
    for (unsigned i = 0; i < 100000 && send_heartbeat(1, 2, 3) == ERR_OK; i++)
        continue;
    assert_int_equal(send_heartbeat(1, 2, 3), ERR_FULL);
    assert_true(peer_set_status(net.set[1], 2, &status));
    assert_in_range(status.queued_bytes, 100000, 100000 + (256 << 10));
    struct peer_event event;
    assert_true(net_wait_event(&net, 1, PEER_EVENT_UNREACHABLE, &event));
    assert_false(net_wait_event(&net, 1, PEER_EVENT_UNREACHABLE, &event));
    wire->stalled = false;
    net_settle(&net);
    assert_int_equal(send_append(1, 2, 10000), ERR_OK);
}

static void test_send_over_the_frame_limit_is_too_large(void **state)
{
    (void)state;
    struct peer_options options = net_options(&net, 1, "c");
    options.max_frame_bytes = 5000;
    net_start_with(&net, 1, &options);
    net_start(&net, 2, "c");
    net_acquaint(&net, 2);
    net_run(&net, 20);
    assert_int_equal(send_append(1, 2, 6000), ERR_TOO_LARGE);
    assert_int_equal(send_append(2, 1, 6000), ERR_OK);
    struct net_wire *wire = net_wire(&net, 2, 1);
    net_settle(&net);
    assert_false(wire->open);
    assert_int_equal(net.warnings[1], 2);
}

static void test_session_damaged_frame_closes_the_link(void **state)
{
    (void)state;
    start_pair();
    struct net_wire *wire = net_wire(&net, 1, 2);
    net.damage_next = true;
    assert_int_equal(send_heartbeat(1, 2, 3), ERR_OK);
    net_settle(&net);
    assert_false(wire->open);
    assert_int_equal(net.warnings[2], 1);
    struct peer_event event;
    assert_false(net_wait_event(&net, 2, PEER_EVENT_MESSAGE, &event));
    net_run(&net, 200);
    assert_true(is_connected(1, 2));
}

static void hand_message(struct net_wire *wire, const struct floe_message *message)
{
    struct buf frame = {0};
    peer_frame_put_message(&frame, PEER_FRAME_MESSAGE, message);
    hand(wire, &frame);
}

static void test_session_messages_of_others_close_the_link(void **state)
{
    (void)state;
    net_start(&net, 2, "c");
    peer_set_put(net.set[2], 1, "n9:1");
    const struct floe_message wrong[] = {
        {.type = FLOE_MSG_HEARTBEAT, .from = 3, .to = 2, .term = 1},
        {.type = FLOE_MSG_HEARTBEAT, .from = 1, .to = 3, .term = 1},
        {.type = FLOE_MSG_HUP, .from = 1, .to = 2},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct peer_hello hello = hello_of(1, 2);
        struct net_wire *wire = hand_hello(2, &hello);
        assert_true(wire->open);
        hand_message(wire, &wrong[i]);
        assert_false(wire->open);
        assert_int_equal(net.warnings[2], i + 1);
    }
    struct peer_hello hello = hello_of(1, 2);
    struct net_wire *wire = hand_hello(2, &hello);
    const struct floe_message forwarded = {.type = FLOE_MSG_TRANSFER_LEADER, .from = 3, .to = 2};
    hand_message(wire, &forwarded);
    assert_true(wire->open);
    struct peer_event event;
    assert_true(net_wait_event(&net, 2, PEER_EVENT_MESSAGE, &event));
    assert_int_equal(event.id, 1);
    peer_event_deinit(&event);
}

static void test_session_unexpected_frames_close_the_link(void **state)
{
    (void)state;
    net_start(&net, 2, "c");
    peer_set_put(net.set[2], 1, "n9:1");
    struct buf frame = {0};
    struct net_wire *wire = net_dial(&net, 2); /* before HELLO */
    peer_frame_put_bytes(&frame, PEER_FRAME_PING, 0, NULL, 0);
    hand(wire, &frame);
    assert_false(wire->open);
    const uint8_t types[] = {PEER_FRAME_HELLO,     PEER_FRAME_PONG,     PEER_FRAME_SNAP_BEGIN,
                             PEER_FRAME_SNAP_LAST, PEER_FRAME_SNAP_ACK, 99};
    for (size_t i = 0; i < sizeof types; i++) {
        struct peer_hello hello = hello_of(1, 2);
        wire = hand_hello(2, &hello);
        assert_true(wire->open);
        struct record record = {.type = types[i], .payload = (const uint8_t *)"", .payload_len = 0};
        record_put(&frame, &record);
        hand(wire, &frame);
        assert_false(wire->open);
    }
}

static void test_remove_closes_the_links_and_forgets_the_peer(void **state)
{
    (void)state;
    start_pair();
    struct net_wire *out = net_wire(&net, 1, 2);
    struct net_wire *in = net_wire(&net, 2, 1);
    peer_set_remove(net.set[1], 2, false);
    net_settle(&net);
    assert_false(out->open);
    assert_false(in->open);
    assert_int_equal(send_heartbeat(1, 2, 1), ERR_NOT_FOUND);
    unsigned dials = net.dials[1];
    net_run(&net, 5000);
    assert_int_equal(net.dials[1], dials);
}

static void test_put_with_another_address_dials_it(void **state)
{
    (void)state;
    net_start(&net, 1, "c");
    net_start(&net, 2, "c");
    peer_set_put(net.set[2], 1, "n1:1");
    peer_set_put(net.set[1], 2, "n3:1"); /* nobody there */
    net_run(&net, 5000);
    assert_false(is_connected(1, 2));
    peer_set_put(net.set[1], 2, "n2:1");
    net_run(&net, 20);
    assert_true(is_connected(1, 2));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_session_two_members_exchange_messages),
        T(test_session_notes_arrive_with_their_kind),
        T(test_session_frames_cut_into_bytes_arrive_whole),
        T(test_session_send_without_a_link_says_again),
        T(test_handshake_other_cluster_is_refused_and_logged_once),
        T(test_handshake_wrong_identity_is_refused),
        T(test_handshake_removed_member_is_refused_until_put_again),
        T(test_handshake_unknown_member_is_refused_unless_accepted),
        T(test_handshake_newer_version_is_refused),
        T(test_handshake_newer_link_replaces_the_older),
        T(test_handshake_silent_and_crowding_links_are_closed),
        T(test_session_dial_without_answer_times_out),
        T(test_backoff_grows_and_an_incoming_hello_resets_it),
        T(test_backoff_ends_when_somebody_else_has_reached_the_peer),
        T(test_session_lost_link_is_reported_once_and_redialled),
        T(test_session_dead_wire_is_noticed_by_both_ends),
        T(test_session_slow_wire_with_a_long_queue_stays),
        T(test_send_over_the_bound_is_dropped_but_heartbeats_pass),
        T(test_send_over_the_frame_limit_is_too_large),
        T(test_session_damaged_frame_closes_the_link),
        T(test_session_messages_of_others_close_the_link),
        T(test_session_unexpected_frames_close_the_link),
        T(test_remove_closes_the_links_and_forgets_the_peer),
        T(test_put_with_another_address_dials_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
