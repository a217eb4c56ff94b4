/*
 * The network as members see it through TCP: a stream is ordered and nothing of it comes twice, so
 * loss shows as delay, and as connections that break with a part of what was sent. Each direction
 * between two machines has its own latency and can be blocked; bits may be turned.
 */
#ifndef TEST_SIM_NET_H
#define TEST_SIM_NET_H

#include "peer/peer.h"
#include "plan.h"
#include "promise.h"

#include <sys/queue.h>

#define NET_WIRES_MAX 512
#define NET_WINDOW_BYTES (1u << 20) /* under way in one direction */

struct world;
struct event;

/* Bytes on their way, or the end of the stream. */
struct net_chunk {
    uint64_t at_us;
    bool fin;
    struct buf bytes;
    STAILQ_ENTRY(net_chunk) next;
};

struct net_lane { /* away from end i of the wire, towards end 1 - i */
    STAILQ_HEAD(, net_chunk) chunks;
    size_t bytes;     /* of chunks */
    uint64_t last_us; /* when the last chunk arrives */
    uint64_t sent_us; /* when the last byte is on the line */
    bool stalled;     /* its first chunk came at a blocked direction */
    bool closed;      /* what is written now goes nowhere */
    struct promise_reader reader;
};

struct net_end {
    unsigned machine;
    peer_link link; /* 0: this end has let go, or has not accepted yet */
    struct evbuffer *input;
};

struct net_wire {
    uint64_t serial; /* 0: free */
    bool accepted;
    struct net_end end[2]; /* 0 dialled */
    struct net_lane lane[2];
};

struct net {
    struct net_wire wire[NET_WIRES_MAX];
    uint32_t used; /* wires from here on were never used */
    uint64_t serial;
    /* number of the newest partition that blocks from -> to; 0: none */
    uint64_t blocked[SIM_MACHINES + 1][SIM_MACHINES + 1];
    uint64_t bytes;
    unsigned flips; /* to be done yet */
};

void net_init(struct net *net);
void net_deinit(struct net *net);
/* After a turn of a machine: dials, closes, takes what it wants to send. */
void net_pump(struct world *world, unsigned machine);
void net_event(struct world *world, const struct event *event);
void net_block(struct world *world, unsigned from, unsigned to, uint64_t number);
void net_unblock(struct world *world, unsigned from, unsigned to);
/* The process of a machine has ended; silent: nobody hears of it until it is up again. */
void net_machine_died(struct world *world, unsigned machine, bool silent);
void net_machine_started(struct world *world, unsigned machine);
/* Breaks connections, one in so many. */
void net_cut_some(struct world *world, unsigned one_in);

#endif
