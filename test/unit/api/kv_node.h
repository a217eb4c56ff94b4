/* A node that is nothing but a real store: writes are applied at once, reads are ready at once. */
#ifndef TEST_API_KV_NODE_H
#define TEST_API_KV_NODE_H

#include "node/node.h"

struct kv_node {
    struct kv *kv;
    uint64_t generation;
    uint64_t age_ms;
    enum node_outcome outcome; /* of the next requests; not NODE_OK: nothing is done */
    const char *last_call;     /* of those about members and leases */
    floe_id last_id;
    char address[300];
    bool stay_learner;
    size_t writes;
    size_t alarm_after; /* so many writes more, then NOSPACE is raised; 0: never */
    size_t fail_after; /* so many writes more are done, then all are NODE_UNKNOWN; 0: never */
    enum node_life life;
    const char *room; /* its level; NULL: good */
};
extern struct kv_node kv_node;
#define KV_NODE ((struct node *)&kv_node)

void kv_node_reset(void);
/* Applies one put by itself; its revision. value NULL: a delete. */
uint64_t kv_node_put(const char *key, const char *value);
void kv_node_compact(uint64_t revision);
void kv_node_alarm(enum kv_alarm_kind kind, bool raise); /* of member 1 */
/* A snapshot with the same content replaces the store. */
void kv_node_replace(void);

#endif
