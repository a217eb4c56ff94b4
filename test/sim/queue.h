/*
 * The world's calendar: events in the order of their time, and of their making where that is the
 * same. Virtual time is in microseconds and jumps from one event to the next.
 */
#ifndef TEST_SIM_QUEUE_H
#define TEST_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_NEVER UINT64_MAX

enum event_kind {
    EVENT_TURN,      /* a: machine */
    EVENT_START,     /* a: machine, b: its life number then */
    EVENT_BURY,      /* a: machine, b: its life number: an ended process goes */
    EVENT_SYN,       /* a: wire, b: its serial */
    EVENT_CONNECTED, /* a: wire, b: its serial */
    EVENT_ARRIVE,    /* a: 2 * wire + lane, b: its serial */
    EVENT_RESET,     /* a: 2 * wire + end that learns it, b: its serial */
    EVENT_UNBLOCK,   /* a: from * SIM_MACHINES + to, b: partition number */
    EVENT_FAULT,
    EVENT_CLIENT,   /* a: client, b: its number of wishes so far */
    EVENT_REQUEST,  /* a: client, b: likewise: what it asks for reaches the server */
    EVENT_RESPONSE, /* a: client, b: likewise: the answer reaches it */
    EVENT_HOLDER,   /* a: holder, b: its step */
    EVENT_PAIR,     /* a: client of two keys, b: its step */
    EVENT_MIXER,    /* a: mixer, b: its step */
    EVENT_VIEWER,   /* a: viewer, b: its step */
    EVENT_OPERATOR,
    EVENT_DISK_WELL, /* a: machine: its disk has room again */
    EVENT_RESTORE,   /* a: machine, b: tries left */
    EVENT_TRANSFER,  /* a: machine that is to lead, b: tries left */
};

struct event {
    uint64_t at_us;
    uint64_t seq;
    enum event_kind kind;
    uint32_t a;
    uint64_t b;
};

struct queue {
    struct event *heap;
    size_t count;
    size_t cap;
    uint64_t seq;
};

void queue_deinit(struct queue *queue);
void queue_put(struct queue *queue, uint64_t at_us, enum event_kind kind, uint32_t a, uint64_t b);
/* The earliest one; false: none is left. */
bool queue_take(struct queue *queue, struct event *out);

#endif
