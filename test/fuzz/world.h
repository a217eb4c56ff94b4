/*
 * One to seven cores with disks that keep what was acknowledged, a network that loses, repeats and
 * reorders, and a judge. Bytes decide what happens next (raft_fuzz.c).
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include <floe/raft.h>

#define WORLD_NODES 7
#define WORLD_MESSAGES 256 /* in flight; more are lost */
#define WORLD_INDEXES 4096 /* of the log that the judge remembers */
#define WORLD_TERMS 4096

struct world_queue {
    struct floe_message list[WORLD_MESSAGES];
    size_t count;
};

struct world_node {
    struct world *world;
    struct floe_raft *raft;
    struct floe_config config;
    struct floe_memstore *disk; /* only what is durable */
    struct world_queue append_work;
    struct world_queue apply_work;
    floe_index applied; /* of the state machine, durable with each entry */
    floe_term applied_term;
    struct floe_conf_state conf_state; /* as of applied */
    struct floe_hard_state seen;       /* for monotony within one life */
    floe_index seen_applied;
};

struct world {
    struct world_node node[WORLD_NODES + 1]; /* by id */
    size_t count;
    struct world_queue network;
    bool hostile; /* forged messages are about: only memory safety is judged */
    floe_term applied_terms[WORLD_INDEXES]; /* by index; 0: applied nowhere yet */
    uint64_t applied_sums[WORLD_INDEXES];   /* of the payload */
    floe_id leaders[WORLD_TERMS];           /* by term */
    uint64_t payload; /* of the next proposal: all differ */
};

void world_init(struct world *world, size_t count, const struct floe_config *config);
void world_deinit(struct world *world);
void world_restart(struct world_node *node);
void world_ready(struct world_node *node);
void world_append(struct world_node *node); /* one step of the append thread */
void world_apply(struct world_node *node);
/* Steps message number at into its addressee; it stays in flight if copy. */
void world_deliver(struct world *world, size_t at, bool copy);
void world_drop(struct world *world, size_t at);
void world_push(struct world_queue *queue, struct floe_message message); /* takes it over */
/* Everybody works and everything is delivered, rounds times at most. */
void world_settle(struct world *world, int rounds);
/* Aborts, with a text, if something is not as it must be. */
void world_judge(struct world *world);

#endif
