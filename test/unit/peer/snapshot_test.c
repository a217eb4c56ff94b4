/* Snapshots on their own connection, and everything that can end one early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net.h"

#include <string.h>

static struct net net;

static int setup(void **state)
{
    (void)state;
    net_init(&net);
    for (unsigned i = 1; i <= 3; i++)
        net_start(&net, i, "c");
    net_acquaint(&net, 3);
    net_run(&net, 20);
    for (unsigned i = 1; i <= 3; i++)
        net_drop_events(&net, i);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_deinit(&net);
    return 0;
}

static enum err begin(unsigned from, unsigned to)
{
    struct floe_snapshot snapshot = {.index = 100, .term = 3};
    struct floe_message message = {
        .type = FLOE_MSG_SNAP, .from = from, .to = to, .term = 3, .snapshot = &snapshot};
    return peer_set_snapshot_begin(net.set[from], &message);
}

static void feed(unsigned from, unsigned to, size_t len, bool last)
{
    struct buf bytes = {0};
    uint8_t *payload = buf_reserve(&bytes, len);
    memset(payload, 5, len);
    struct record record = {.type = 2, .index = 1, .payload = payload, .payload_len = len};
    struct buf encoded = {0};
    record_put(&encoded, &record);
    peer_set_snapshot_feed(net.set[from], to, encoded.data, encoded.len, last);
    buf_deinit(&encoded);
    buf_deinit(&bytes);
}

static bool take(unsigned member, enum peer_event_type type, struct peer_event *event)
{
    bool found = net_wait_event(&net, member, type, event);
    if (found) {
        buf_deinit(&event->data);
        floe_message_deinit(&event->message);
    }
    return found;
}

static void assert_sent(unsigned member, unsigned to, bool ok)
{
    struct peer_event event;
    assert_true(take(member, PEER_EVENT_SNAPSHOT_SENT, &event));
    assert_int_equal(event.id, to);
    assert_int_equal(event.ok, ok);
    assert_false(take(member, PEER_EVENT_SNAPSHOT_SENT, &event));
}

static void start_transfer(void)
{
    assert_int_equal(begin(1, 2), ERR_OK);
    net_settle(&net);
    struct peer_event event;
    assert_true(net_wait_event(&net, 2, PEER_EVENT_SNAPSHOT_BEGIN, &event));
    assert_int_equal(event.id, 1);
    assert_int_equal(event.message.snapshot->index, 100);
    peer_event_deinit(&event);
}

static void test_snapshot_delivered_is_acknowledged(void **state)
{
    (void)state;
    assert_int_equal(begin(1, 2), ERR_OK);
    assert_int_equal(begin(1, 2), ERR_EXISTS);
    assert_int_equal(peer_set_snapshot_room(net.set[1], 2), 0);
    net_settle(&net);
    struct peer_event event;
    assert_true(take(2, PEER_EVENT_SNAPSHOT_BEGIN, &event));
    assert_true(peer_set_snapshot_room(net.set[1], 2) > 0);
    for (unsigned i = 0; i < 5; i++) {
        feed(1, 2, 700000, i == 4);
        net_settle(&net);
        assert_true(net_wait_event(&net, 2, PEER_EVENT_SNAPSHOT_RECORD, &event));
        assert_int_equal(event.last, i == 4);
        struct record record;
        size_t used;
        assert_int_equal(record_get(event.data.data, event.data.len, 1 << 20, &record, &used),
                         ERR_OK);
        assert_int_equal(record.payload_len, 700000);
        peer_event_deinit(&event);
    }
    assert_int_equal(peer_set_snapshot_room(net.set[1], 2), 0);
    struct net_wire *wire = net_wire(&net, 1, 2);
    net_run(&net, 30000); /* the receiver may take its time */
    assert_false(take(1, PEER_EVENT_SNAPSHOT_SENT, &event));
    peer_set_snapshot_answer(net.set[2], 1, true);
    net_run(&net, 20);
    assert_sent(1, 2, true);
    assert_false(wire->open);
    assert_false(take(2, PEER_EVENT_SNAPSHOT_ABORT, &event));
    assert_int_equal(net.warnings[1] + net.warnings[2], 0);
    start_transfer(); /* the next one may come */
}

static void test_snapshot_in_single_bytes_arrives(void **state)
{
    (void)state;
    net.single_bytes = true;
    start_transfer();
    feed(1, 2, 5000, true);
    net_settle(&net);
    struct peer_event event;
    assert_true(take(2, PEER_EVENT_SNAPSHOT_RECORD, &event));
    assert_true(event.last);
    peer_set_snapshot_answer(net.set[2], 1, true);
    net_settle(&net);
    assert_sent(1, 2, true);
}

static void test_snapshot_room_shrinks_while_the_wire_is_slow(void **state)
{
    (void)state;
    start_transfer();
    net_wire(&net, 1, 2)->stalled = true;
    size_t room = peer_set_snapshot_room(net.set[1], 2);
    feed(1, 2, 500000, false);
    assert_in_range(peer_set_snapshot_room(net.set[1], 2), 1, room - 500000);
    feed(1, 2, 700000, false);
    assert_int_equal(peer_set_snapshot_room(net.set[1], 2), 0);
    net_wire(&net, 1, 2)->stalled = false;
    net_settle(&net);
    assert_true(peer_set_snapshot_room(net.set[1], 2) > 1000000);
}

static void test_snapshot_receiver_says_no_early_fails_it(void **state)
{
    (void)state;
    start_transfer();
    feed(1, 2, 1000, false);
    peer_set_snapshot_answer(net.set[2], 1, false);
    net_settle(&net);
    assert_sent(1, 2, false);
    feed(1, 2, 1000, false); /* harmless */
    net_run(&net, 100);
    assert_false(net.warnings[2] > 0);
    start_transfer();
}

static void test_snapshot_cut_link_fails_both_ends(void **state)
{
    (void)state;
    start_transfer();
    feed(1, 2, 1000, false);
    net_settle(&net);
    net_cut(&net, net_wire(&net, 1, 2));
    assert_sent(1, 2, false);
    struct peer_event event;
    assert_true(take(2, PEER_EVENT_SNAPSHOT_ABORT, &event));
    peer_set_snapshot_answer(net.set[2], 1, false); /* too late: harmless */
    start_transfer();
}

static void test_snapshot_stalled_link_times_out(void **state)
{
    (void)state;
    start_transfer();
    net_wire(&net, 1, 2)->stalled = true;
    feed(1, 2, 1000, false);
    net_run(&net, 9000);
    struct peer_event event;
    assert_false(take(1, PEER_EVENT_SNAPSHOT_SENT, &event));
    net_run(&net, 5000);
    assert_sent(1, 2, false);
    assert_true(take(2, PEER_EVENT_SNAPSHOT_ABORT, &event));
}

static void test_snapshot_never_fed_is_given_up(void **state)
{
    (void)state;
    start_transfer();
    net_run(&net, 70000);
    assert_sent(1, 2, false);
}

static void test_snapshot_heartbeats_pass_while_its_wire_is_full(void **state)
{
    (void)state;
    struct net_wire *messages = net_wire(&net, 1, 2);
    start_transfer();
    struct net_wire *bulk = net_wire(&net, 1, 2);
    assert_ptr_not_equal(messages, bulk);
    bulk->stalled = true;
    while (peer_set_snapshot_room(net.set[1], 2) > 0)
        feed(1, 2, 300000, false);
    struct floe_message message = {.type = FLOE_MSG_HEARTBEAT, .from = 1, .to = 2, .term = 3};
    assert_int_equal(peer_set_send(net.set[1], &message), ERR_OK);
    net_settle(&net);
    struct peer_event event;
    assert_true(take(2, PEER_EVENT_MESSAGE, &event));
}

static void test_snapshot_second_sender_is_refused_as_busy(void **state)
{
    (void)state;
    start_transfer();
    assert_int_equal(begin(3, 2), ERR_OK);
    net_settle(&net);
    struct peer_event event;
    assert_true(take(3, PEER_EVENT_SNAPSHOT_SENT, &event));
    assert_false(event.ok);
    assert_int_equal(event.kind, PEER_REFUSED_BUSY);
    feed(1, 2, 10, true);
    net_settle(&net);
    peer_set_snapshot_answer(net.set[2], 1, true);
    net_settle(&net);
    assert_sent(1, 2, true);
    assert_int_equal(begin(3, 2), ERR_OK);
    net_settle(&net);
    assert_true(take(2, PEER_EVENT_SNAPSHOT_BEGIN, &event));
    assert_int_equal(event.id, 3);
}

static void test_snapshot_restarted_sender_replaces_the_old_one(void **state)
{
    (void)state;
    start_transfer();
    net_wire(&net, 1, 2)->stalled = true; /* the receiver does not hear of the end */
    peer_set_snapshot_cancel(net.set[1], 2);
    net_settle(&net);
    assert_sent(1, 2, false);
    assert_int_equal(begin(1, 2), ERR_OK);
    net_settle(&net);
    struct peer_event event;
    assert_true(peer_set_next_event(net.set[2], &event));
    assert_int_equal(event.type, PEER_EVENT_SNAPSHOT_ABORT);
    assert_true(take(2, PEER_EVENT_SNAPSHOT_BEGIN, &event));
}

static void test_snapshot_damaged_inner_record_ends_it(void **state)
{
    (void)state;
    start_transfer();
    uint8_t rubbish[100] = {1, 2, 3};
    peer_set_snapshot_feed(net.set[1], 2, rubbish, sizeof rubbish, false);
    net_settle(&net);
    assert_sent(1, 2, false);
    assert_int_equal(net.warnings[2], 1);
    struct peer_event event;
    assert_true(take(2, PEER_EVENT_SNAPSHOT_ABORT, &event));
}

static void test_snapshot_removed_peer_ends_it(void **state)
{
    (void)state;
    start_transfer();
    peer_set_remove(net.set[1], 2, false);
    net_settle(&net);
    assert_sent(1, 2, false);
    struct peer_event event;
    assert_true(take(2, PEER_EVENT_SNAPSHOT_ABORT, &event));
    assert_int_equal(begin(1, 2), ERR_NOT_FOUND);
}

static void test_snapshot_unreachable_receiver_fails_it(void **state)
{
    (void)state;
    net_stop(&net, 2);
    assert_int_equal(begin(1, 2), ERR_OK);
    net_settle(&net);
    assert_sent(1, 2, false);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_snapshot_delivered_is_acknowledged),
        T(test_snapshot_in_single_bytes_arrives),
        T(test_snapshot_room_shrinks_while_the_wire_is_slow),
        T(test_snapshot_receiver_says_no_early_fails_it),
        T(test_snapshot_cut_link_fails_both_ends),
        T(test_snapshot_stalled_link_times_out),
        T(test_snapshot_never_fed_is_given_up),
        T(test_snapshot_heartbeats_pass_while_its_wire_is_full),
        T(test_snapshot_second_sender_is_refused_as_busy),
        T(test_snapshot_restarted_sender_replaces_the_old_one),
        T(test_snapshot_damaged_inner_record_ends_it),
        T(test_snapshot_removed_peer_ends_it),
        T(test_snapshot_unreachable_receiver_fails_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
