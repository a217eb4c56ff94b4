/*
 * A network in memory for tests of peer_set: up to three sets, whose connections are pairs of
 * evbuffers, under a clock that only net_run moves. Member i has the address "n<i>:1".
 */
#ifndef TEST_PEER_NET_H
#define TEST_PEER_NET_H

#include "peer/peer.h"

#define NET_MEMBERS 3
#define NET_WIRES_MAX 512

struct net_end {
    unsigned member; /* 0: the test itself */
    peer_link link;
    struct evbuffer *input; /* bytes on their way to this end */
};

struct net_wire {
    struct net_end end[2]; /* 0 dialled */
    bool open;
    bool stalled;    /* nothing moves, nothing is reported */
    size_t rate;     /* bytes that may move in 10 ms, each way; 0: any number */
    size_t moved[2]; /* of these, by now */
};

/* One byte that changes on its way. */
struct net_flip {
    unsigned to;   /* the member; 0: nothing is flipped */
    unsigned skip; /* so many deliveries to it pass unharmed before */
    size_t at;     /* byte of the delivery; beyond its end: nothing */
    uint8_t mask;
    struct net_wire *wire; /* where it was done; NULL: not yet, or not at all */
    size_t len;            /* of the delivery that it was meant for */
};

struct net {
    uint64_t now_ms;
    struct peer_set *set[NET_MEMBERS + 1]; /* NULL: is down; dials fail */
    struct logger logger[NET_MEMBERS + 1];
    unsigned dials[NET_MEMBERS + 1]; /* made by this member */
    unsigned warnings[NET_MEMBERS + 1];
    struct net_wire wire[NET_WIRES_MAX];
    size_t wire_count;
    bool single_bytes; /* deliver one byte at a time */
    bool black_hole;   /* dials are never answered */
    bool damage_next;  /* flip a bit in the next bytes that move */
    struct net_flip flip;
};

void net_init(struct net *net);
void net_deinit(struct net *net);
/* Starts member i (id i) with default options and the given cluster. */
void net_start(struct net *net, unsigned member, const char *cluster);
void net_start_with(struct net *net, unsigned member, const struct peer_options *options);
struct peer_options net_options(struct net *net, unsigned member, const char *cluster);
/* All of member's wires break; its set is freed. */
void net_stop(struct net *net, unsigned member);
/* Members 1 .. count know each other. */
void net_acquaint(struct net *net, unsigned count);
/* Lets ms pass, in steps of 10. */
void net_run(struct net *net, uint64_t ms);
/* Moves bytes and actions without time passing. */
void net_settle(struct net *net);
/* The newest open wire from dialler to acceptor; NULL: none.  */
struct net_wire *net_wire(struct net *net, unsigned from, unsigned to);
void net_cut(struct net *net, struct net_wire *wire);
/* The test dials a member by hand. */
struct net_wire *net_dial(struct net *net, unsigned member);
/* Takes events of a member until one of the type comes (owned by caller); false: there is none. */
bool net_wait_event(struct net *net, unsigned member, enum peer_event_type type,
                    struct peer_event *out);
void net_drop_events(struct net *net, unsigned member);

#endif
