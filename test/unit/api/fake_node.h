/* A node that only notes what it is asked; the tests say what it answers. One a process. Also the
 * few functions of kv and raft that api calls, so that neither library is linked. */
#ifndef TEST_API_FAKE_NODE_H
#define TEST_API_FAKE_NODE_H

#include "node/node.h"

enum fake_call { FAKE_NOTHING, FAKE_WRITE, FAKE_READ, FAKE_ADD, FAKE_REMOVE };

struct fake_node {
    /* the last request */
    enum fake_call call;
    size_t calls;
    uint64_t token;
    enum kv_op_type op; /* of the write, or of its transaction's success branch */
    struct kv_compare compares[2]; /* of its transaction; without keys */
    size_t compare_count;
    bool want_replies;
    size_t key_len;
    uint8_t key[1 << 17];
    size_t value_len;
    uint8_t value_start[256]; /* its first bytes */
    floe_id id;
    char address[300];
    /* with auto_answer each request is answered at once with this outcome, writes change it */
    bool auto_answer;
    struct node_result result;
    struct node_status status;
    bool damaged;
};

extern struct fake_node fake;

void fake_node_reset(void);
/* Queues result under fake.token. */
void fake_node_answer(struct node_result result);
void fake_node_answer_token(uint64_t token, struct node_result result);
/* Puts a key into the store that node_kv shows. */
void fake_node_put(const void *key, size_t key_len, const void *value, size_t value_len,
                   uint64_t mod_revision);
/* What a read found, for a reply. One at a time. */
struct kv_entry *fake_node_entry(uint64_t mod_revision);
#define FAKE_NODE ((struct node *)&fake)

#endif
