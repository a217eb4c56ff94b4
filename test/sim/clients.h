/*
 * Clients of the HTTP interface, as values: each does one thing after the other at any member, and
 * what it asked and learnt is a line of the history. A client that hears nothing gives up and does
 * not know.
 */
#ifndef TEST_SIM_CLIENTS_H
#define TEST_SIM_CLIENTS_H

#include "linear.h"
#include "plan.h"

struct world;
struct api_response;

/* What was asked and what came of it. */
struct history_op {
    struct linear_op op;
    bool dropped; /* certainly not done, or a read without an answer */
    bool stale;   /* a read that may see the past */
    unsigned machine;
    size_t value_len;
    uint64_t index; /* of the log entry of a write; 0: not known */
};

struct client {
    uint64_t wishes;             /* begun so far */
    uint64_t token;              /* of what is under way; 0: nothing */
    size_t op;                   /* of the history */
    uint64_t seen[SIM_KEYS_MAX]; /* newest mod revision that it knows of */
    int status;                  /* of the answer that is on its way to it */
    uint64_t revision; /* of the key */
    uint64_t store;    /* of the store */
    uint64_t index;
    struct buf body;
};

/* CLEAR: on disks of their own data all is deleted, which must make room enough. */
enum heal_step { HEAL_NONE, HEAL_CLEAR, HEAL_WRITE, HEAL_READ, HEAL_DONE };

struct clients {
    struct client client[SIM_CLIENTS_MAX];
    struct history_op *history;
    size_t count;
    size_t cap;
    uint64_t clock; /* orders calls and answers */
    uint64_t tokens;
    uint64_t values;
    enum heal_step heal;
    unsigned heal_key;
    uint64_t heal_index; /* of the write that showed progress */
};

void clients_start(struct world *world);
void clients_deinit(struct clients *clients);
/* EVENT_CLIENT, EVENT_REQUEST, EVENT_RESPONSE. */
void clients_wish(struct world *world, unsigned number, uint64_t wish);
void clients_request(struct world *world, unsigned number, uint64_t wish);
void clients_response(struct world *world, unsigned number, uint64_t wish);
/* A server has answered. */
void clients_answered(struct world *world, const struct api_response *response, uint64_t at_us);
/* The process at a machine is gone with what was asked of it. */
void clients_machine_died(struct world *world, unsigned machine);
/* All stop but the first, which writes until it is told that it is done, then reads every key. */
void clients_heal(struct world *world);
/* The bytes of a value. */
void clients_value(struct buf *out, uint64_t value, size_t len);

#endif
