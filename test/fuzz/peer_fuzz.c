/*
 * A set of peer sessions under bytes: links come in or are dialled; on each come hellos, welcomes,
 * frames of any type with a right checksum, damaged ones and noise, in any split, while time goes
 * on and the owner sends, answers and changes members. Bounds are kept, a damaged frame closes its
 * link, and nothing that it brought becomes an event.
 */
#include "base/assert.h"
#include "codec/raft_codec.h"
#include "input.h"
#include "peer/frame.h"
#include "peer/peer.h"

#include <string.h>

#define LINKS 6
#define EVENTS_MAX 500
#define FRAME_MAX 2048

struct wire {
    peer_link link; /* 0: none */
    bool dialled;
    bool closed;
    struct evbuffer *input;
};

struct fuzz {
    struct peer_set *set;
    struct wire wire[LINKS];
    uint64_t now_ms;
};

static void drop(struct fuzz *fuzz, struct wire *wire)
{
    if (wire->link != 0)
        peer_set_on_closed(fuzz->set, wire->link, "gone", fuzz->now_ms);
    evbuffer_drain(wire->input, evbuffer_get_length(wire->input));
    *wire = (struct wire){.input = wire->input};
}

static struct wire *find(struct fuzz *fuzz, peer_link link)
{
    for (size_t i = 0; i < LINKS; i++)
        if (fuzz->wire[i].link == link)
            return &fuzz->wire[i];
    return NULL;
}

static void on_dial(struct fuzz *fuzz, peer_link link)
{
    struct wire *free_one = find(fuzz, 0);
    if (free_one == NULL) {
        peer_set_on_closed(fuzz->set, link, "no room", fuzz->now_ms);
        return;
    }
    free_one->link = link;
    free_one->dialled = true;
}

static void act(struct fuzz *fuzz)
{
    struct peer_action action;
    while (peer_set_next_action(fuzz->set, &action)) {
        struct wire *wire = find(fuzz, action.link);
        if (action.type == PEER_ACTION_DIAL)
            on_dial(fuzz, action.link);
        else if (wire != NULL)
            wire->closed = true;
    }
}

static void take_events(struct fuzz *fuzz)
{
    struct peer_event event;
    while (peer_set_next_event(fuzz->set, &event)) {
        ASSERT(event.data.len <= FRAME_MAX);
        peer_event_deinit(&event);
    }
    ASSERT(peer_set_event_bytes(fuzz->set) == 0);
}

static void deliver(struct fuzz *fuzz, struct wire *wire)
{
    struct evbuffer *output = peer_set_output(fuzz->set, wire->link);
    if (output != NULL)
        evbuffer_drain(output, evbuffer_get_length(output));
    if (wire->link != 0 && !wire->closed)
        peer_set_on_input(fuzz->set, wire->link, wire->input, fuzz->now_ms);
    act(fuzz);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void put_hello(struct fuzz_input *in, struct buf *out)
{
    uint8_t odd = fuzz_byte(in);
    struct peer_hello hello = {.version = PEER_PROTOCOL_VERSION,
                               .from = 2 + odd % 4,
                               .to = (odd & 8) != 0 ? fuzz_byte(in) : 1,
                               .lane = (odd & 16) != 0 ? PEER_LANE_SNAPSHOT : PEER_LANE_MESSAGES,
                               .cluster = "c",
                               .cluster_len = (odd & 32) != 0 ? 0 : 1,
                               .name = "n"};
    hello.name_len = 1;
    if ((odd & 64) != 0)
        hello.address = (const char *)fuzz_piece(in, &hello.address_len);
    if ((odd & 128) != 0)
        hello.lane = fuzz_number(in);
    peer_frame_put_hello(out, &hello);
}

static void put_frame(struct fuzz_input *in, struct buf *out)
{
    size_t len;
    uint8_t type = 1 + fuzz_byte(in) % 13;
    uint64_t index = fuzz_number(in);
    const uint8_t *data = fuzz_piece(in, &len);
    peer_frame_put_bytes(out, (enum peer_frame)type, index, data, len);
}

static void put_message(struct fuzz_input *in, struct buf *out)
{
    uint8_t type = fuzz_byte(in);
    struct floe_message message = {.type = (enum floe_message_type)(type % FLOE_MSG_TYPE_COUNT),
                                   .to = 1,
                                   .from = 2 + fuzz_byte(in) % 4,
                                   .term = fuzz_number(in),
                                   .index = fuzz_number(in)};
    struct floe_snapshot snapshot = {.index = message.index, .term = 1};
    bool begin = (type & 128) != 0;
    if (begin) {
        message.type = FLOE_MSG_SNAP;
        message.snapshot = &snapshot;
    }
    peer_frame_put_message(out, begin ? PEER_FRAME_SNAP_BEGIN : PEER_FRAME_MESSAGE, &message);
}

/* A snapshot record inside of a frame. */
static void put_record(struct fuzz_input *in, struct buf *out)
{
    struct buf inner = {0};
    uint8_t how = fuzz_byte(in);
    struct record record = {.type = 1 + how % 3, .index = fuzz_byte(in)};
    record.payload = fuzz_piece(in, &record.payload_len);
    record_put(&inner, &record);
    peer_frame_put_bytes(out, (how & 64) != 0 ? PEER_FRAME_SNAP_LAST : PEER_FRAME_SNAP_RECORD,
                         1 + (how >> 2) % 8, inner.data, inner.len);
    buf_deinit(&inner);
}

static void put_something(struct fuzz_input *in, struct buf *out)
{
    size_t len;
    const uint8_t *data;
    switch (fuzz_byte(in) % 7) {
    case 0: put_hello(in, out); break;
    case 1: peer_frame_put_welcome(out, 2 + fuzz_byte(in) % 3); break;
    case 2: put_frame(in, out); break;
    case 3: put_message(in, out); break;
    case 4: put_record(in, out); break;
    case 5: peer_frame_put_ack(out, (fuzz_byte(in) & 1) != 0); break;
    default:
        data = fuzz_piece(in, &len);
        buf_add(out, data, len);
        break;
    }
}

/* A frame with one bit turned behind its length: the link must end, and nothing come of it. */
static void damage(struct fuzz *fuzz, struct wire *wire, struct fuzz_input *in)
{
    deliver(fuzz, wire);
    bool clean = wire->link != 0 && !wire->closed && evbuffer_get_length(wire->input) == 0;
    struct buf frame = {0};
    put_hello(in, &frame);
    uint8_t at = fuzz_byte(in);
    frame.data[4 + at % (frame.len - 4)] ^= (uint8_t)(1u << at % 8);
    take_events(fuzz);
    evbuffer_add(wire->input, frame.data, frame.len);
    buf_deinit(&frame);
    deliver(fuzz, wire);
    struct peer_event event;
    while (clean && peer_set_next_event(fuzz->set, &event)) {
        ASSERT(event.type != PEER_EVENT_MESSAGE && event.type != PEER_EVENT_NOTE);
        peer_event_deinit(&event);
    }
    ASSERT_MSG(!clean || wire->closed, "a damaged frame does not close its link");
}

/* ---- what the owner does --------------------------------------------------------------------- */

static void send_some(struct fuzz *fuzz, struct fuzz_input *in)
{
    struct floe_message message = {
        .type = FLOE_MSG_HEARTBEAT, .from = 1, .to = 2 + fuzz_byte(in) % 4};
    (void)!peer_set_send(fuzz->set, &message);
    (void)!peer_set_send_note(fuzz->set, message.to, 3, "abc", 3);
}

static void snapshot(struct fuzz *fuzz, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    floe_id to = 2 + what % 3;
    struct floe_snapshot file = {.index = 5, .term = 1};
    struct floe_message message = {
        .type = FLOE_MSG_SNAP, .from = 1, .to = to, .term = 1, .snapshot = &file};
    uint8_t record[RECORD_HEADER_BYTES] = {0};
    switch (what / 4 % 4) {
    case 0: (void)!peer_set_snapshot_begin(fuzz->set, &message); break;
    case 1:
        if (peer_set_snapshot_room(fuzz->set, to) > 0)
            peer_set_snapshot_feed(fuzz->set, to, record, sizeof record, (what & 64) != 0);
        break;
    case 2: peer_set_snapshot_cancel(fuzz->set, to); break;
    default: peer_set_snapshot_answer(fuzz->set, to, false); break;
    }
}

static void members(struct fuzz *fuzz, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    floe_id id = 2 + what % 4;
    switch (what / 4 % 4) {
    case 0: peer_set_put(fuzz->set, id, "n9:1"); break;
    case 1: peer_set_remove(fuzz->set, id, (what & 64) != 0); break;
    case 2: peer_set_accept_unknown(fuzz->set, (what & 64) != 0); break;
    default: peer_set_wake(fuzz->set, id); break;
    }
}

static void accept_one(struct fuzz *fuzz, struct wire *wire)
{
    drop(fuzz, wire);
    wire->link = peer_set_on_accept(fuzz->set, "somebody", fuzz->now_ms);
    ASSERT(wire->link != 0);
}

static void event(struct fuzz *fuzz, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    struct wire *wire = &fuzz->wire[(what >> 4) % LINKS];
    struct buf bytes = {0};
    switch (what % 16) {
    case 0: accept_one(fuzz, wire); break;
    case 1: drop(fuzz, wire); break;
    case 2: send_some(fuzz, in); break;
    case 3: snapshot(fuzz, in); break;
    case 4: members(fuzz, in); break;
    case 5: fuzz->now_ms += 16u * fuzz_byte(in); break;
    case 6: peer_set_tick(fuzz->set, fuzz->now_ms); break;
    case 7: peer_set_on_connected(fuzz->set, wire->link, fuzz->now_ms); break;
    case 8: damage(fuzz, wire, in); break;
    case 9: take_events(fuzz); break;
    default:
        put_something(in, &bytes);
        if (wire->link != 0 && evbuffer_get_length(wire->input) < 2 * FRAME_MAX)
            evbuffer_add(wire->input, bytes.data, bytes.len);
        if (what % 16 < 15)
            deliver(fuzz, wire);
        break;
    }
    buf_deinit(&bytes);
    act(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .len = size};
    struct peer_options options = {
        .id = 1, .cluster = "c", .name = "n1", .seed = 1, .max_frame_bytes = FRAME_MAX};
    struct fuzz fuzz = {.set = peer_set_new(&options), .now_ms = 1};
    for (size_t i = 0; i < LINKS; i++)
        fuzz.wire[i].input = evbuffer_new();
    peer_set_put(fuzz.set, 2, "n2:1");
    peer_set_put(fuzz.set, 3, "n3:1");
    for (int i = 0; i < EVENTS_MAX && fuzz_more(&in); i++)
        event(&fuzz, &in);
    take_events(&fuzz);
    peer_set_free(fuzz.set);
    for (size_t i = 0; i < LINKS; i++)
        evbuffer_free(fuzz.wire[i].input);
    return 0;
}
