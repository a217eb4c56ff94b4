/*
 * The window of unacknowledged MsgApp messages to one follower: a ring that grows on demand.
 *
 * Each message is known by the index of its last entry and by its payload bytes. Indexes ascend.
 */
#ifndef RAFT_INFLIGHTS_H
#define RAFT_INFLIGHTS_H

#include <floe/types.h>

struct raft_inflight {
    floe_index index; /* of the last entry in the message */
    uint64_t bytes;
};

struct raft_inflights {
    size_t max_count;
    uint64_t max_bytes; /* 0 = no limit; the last message may overshoot */
    size_t start;       /* position of the oldest in ring */
    size_t count;
    uint64_t bytes; /* sum over the window */
    struct raft_inflight *ring;
    size_t cap;
};

void raft_inflights_init(struct raft_inflights *in, size_t max_count, uint64_t max_bytes);
void raft_inflights_deinit(struct raft_inflights *in);
struct raft_inflights raft_inflights_copy(const struct raft_inflights *in);
/* Must not be full. */
void raft_inflights_add(struct raft_inflights *in, floe_index index, uint64_t bytes);
/* Frees all messages whose last entry is at or before index. */
void raft_inflights_free_to(struct raft_inflights *in, floe_index index);
bool raft_inflights_is_full(const struct raft_inflights *in);
void raft_inflights_reset(struct raft_inflights *in);

#endif
