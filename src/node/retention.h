/* What the leader samples to know how old the history and the idempotency keys are. */
#ifndef NODE_RETENTION_H
#define NODE_RETENTION_H

#include "node/ages.h"

#include <floe/types.h>

struct node;

/* What of the history and of the tickets is to go, at the leader (retention.c). */
struct retention {
    floe_term term; /* in which it was sampled; 0 = not the leader */
    struct ages revisions;
    struct ages tickets;
    uint64_t forgotten; /* tickets up to this are proposed to be forgotten */
    uint64_t compacted; /* proposed last; it flies until the store says so, too */
    uint64_t next_ms;
};

void retention_turn(struct node *node);

#endif
