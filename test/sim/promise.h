/*
 * What a member has told others: votes that it gave, entries that it has. Read from the bytes that
 * leave its process, and compared with what it has in memory after each turn, and so with what its
 * disk gave back after a start. A promise that is forgotten costs nothing in most runs; so it is
 * noticed at once, not when it does harm.
 */
#ifndef TEST_SIM_PROMISE_H
#define TEST_SIM_PROMISE_H

#include "base/buf.h"

#include <floe/types.h>

struct machine;

struct promise {
    floe_term vote_term; /* of the newest vote */
    floe_id vote;
    floe_term ack_term; /* of the newest acknowledgement, to the leader of that term */
    floe_index ack;     /* the highest of them */
    bool twice;         /* it has voted for two in that term */
    uint64_t votes;     /* given */
};

/* One stream of frames, in pieces. */
struct promise_reader {
    struct buf rest;
    size_t skip; /* bytes of a large frame, which promises nothing */
};

void promise_read(struct promise *promise, struct promise_reader *reader, const struct buf *piece);
void promise_check(struct machine *machine);

#endif
