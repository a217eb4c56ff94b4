/* See promise.h. */
#include "promise.h"

#include "codec/raft_codec.h"
#include "node/internal.h"
#include "peer/frame.h"
#include "world.h"

#include <inttypes.h>
#include <string.h>

#define SMALL 256u /* votes and acknowledgements are */

static void note(struct promise *promise, const struct floe_message *message)
{
    if (message->reject)
        return;
    promise->votes += message->type == FLOE_MSG_VOTE_RESP;
    if (message->type == FLOE_MSG_VOTE_RESP && message->term >= promise->vote_term) {
        promise->twice |= message->term == promise->vote_term && message->to != promise->vote;
        promise->vote_term = message->term;
        promise->vote = message->to;
    }
    if (message->type != FLOE_MSG_APP_RESP || message->term < promise->ack_term)
        return;
    if (message->term > promise->ack_term || message->index > promise->ack)
        promise->ack = message->index;
    promise->ack_term = message->term;
}

static void note_frame(struct promise *promise, const struct record *frame)
{
    struct floe_message message = {0};
    if (frame->type != PEER_FRAME_MESSAGE ||
        raft_codec_get_message(frame->payload, frame->payload_len, &message) != ERR_OK)
        return;
    note(promise, &message);
    floe_message_deinit(&message);
}

void promise_read(struct promise *promise, struct promise_reader *reader, const struct buf *piece)
{
    size_t skipped = reader->skip < piece->len ? reader->skip : piece->len;
    reader->skip -= skipped;
    buf_add(&reader->rest, piece->data + skipped, piece->len - skipped);
    size_t at = 0;
    while (reader->rest.len - at >= RECORD_HEADER_BYTES) {
        const uint8_t *data = reader->rest.data + at;
        size_t left = reader->rest.len - at;
        size_t whole = RECORD_HEADER_BYTES + record_peek_payload_len(data);
        if (whole > SMALL) {
            reader->skip = whole > left ? whole - left : 0;
            at += whole > left ? left : whole;
            continue;
        }
        struct record frame;
        size_t used;
        if (left < whole || record_get(data, left, SMALL, &frame, &used) != ERR_OK)
            break;
        note_frame(promise, &frame);
        at += used;
    }
    reader->rest.len -= at;
    if (at > 0)
        memmove(reader->rest.data, reader->rest.data + at, reader->rest.len);
}

/* Who has lost everything must not vote before it was admitted anew, when the others have forgotten
 * it, too. */
static bool is_forgetting(struct machine *machine)
{
    if (!machine->forgets)
        return false;
    bool mute = reseed_is_mute(machine->node);
    if (mute && machine->promise.votes > 0)
        check_fail(machine->world, "member %u votes although it may have forgotten a vote",
                   machine->id);
    machine->admitted |= !mute;
    return mute;
}

void promise_check(struct machine *machine)
{
    const struct promise *promise = &machine->promise;
    if (promise->twice)
        check_fail(machine->world, "member %u has voted twice in term %" PRIu64, machine->id,
                   promise->vote_term);
    if (is_forgetting(machine))
        return;
    struct floe_basic_status status = floe_raft_basic_status(machine->node->raft);
    const struct floe_hard_state *hs = &status.hard_state;
    if (hs->term < promise->vote_term ||
        (hs->term == promise->vote_term && hs->vote != promise->vote))
        check_fail(machine->world,
                   "member %u has forgotten that it voted for %" PRIu64 " in term %" PRIu64,
                   machine->id, promise->vote, promise->vote_term);
    if (hs->term < promise->ack_term ||
        (hs->term == promise->ack_term && status.last_index < promise->ack))
        check_fail(machine->world,
                   "member %u has forgotten what it has acknowledged up to %" PRIu64
                   " in term %" PRIu64,
                   machine->id, promise->ack, promise->ack_term);
}
