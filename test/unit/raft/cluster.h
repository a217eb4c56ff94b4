/*
 * A few members in memory with a network that loses what the test wants: for tests of the core
 * only. Nothing moves by itself; cluster_settle delivers until nobody has anything to say.
 */
#ifndef TEST_RAFT_CLUSTER_H
#define TEST_RAFT_CLUSTER_H

#include "raft/core.h"

enum { CLUSTER_MAX = 5, ELECTION_TICK = 10, HEARTBEAT_TICK = 1 };

struct member {
    struct floe_memstore *store;
    struct floe_raft *raft;
    size_t normal_applied;  /* entries with data */
    floe_index applied_last; /* index of the last entry handed out, to check their order */
    floe_index read_index;  /* of the last read state; 0: none yet */
    size_t reads;
};

struct cluster {
    size_t count;
    struct member member[CLUSTER_MAX + 1]; /* by id; [0] is not used */
    bool down[CLUSTER_MAX + 1];            /* neither sends nor receives */
    bool lost[FLOE_MSG_TYPE_COUNT];        /* types that never arrive */
    struct raft_outbox wire;
};

/* Changes the configuration of every member before it starts; NULL: as it is. */
typedef void (*cluster_tune_fn)(struct floe_config *config);

/* Members 1 .. count with empty logs; those after voters are learners. */
struct cluster cluster_new(size_t count, size_t voters, cluster_tune_fn tune);
void cluster_free(struct cluster *c);
struct floe_raft *cluster_raft(struct cluster *c, floe_id id);
/* Does the work of one member; its messages go onto the wire. */
void cluster_work(struct cluster *c, floe_id id);
/* Everybody works, everything is delivered, until all is quiet. */
void cluster_settle(struct cluster *c);
/* Member id campaigns, and all settles. */
void cluster_campaign(struct cluster *c, floe_id id);
/* Proposes text at member id, without settling. */
enum floe_err cluster_propose(struct cluster *c, floe_id id, const char *text);
void cluster_tick(struct cluster *c, floe_id id, unsigned count);
/* Steps a message that must be accepted. */
void cluster_step(struct cluster *c, const struct floe_message *m);
/* All logs are equal up to and at their ends, and committed up to there. */
void cluster_check_agreement(const struct cluster *c);
/* How many messages of a type member id has ready to send; they are thrown away with all else
 * that it has to do, which is done. */
size_t cluster_count_messages(struct cluster *c, floe_id id, enum floe_message_type type);

#endif
