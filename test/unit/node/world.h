/*
 * Whole members in one process: the real node over a disk and a network in memory, under a clock
 * that only the test moves. What the end-to-end tests show with processes, these show step by step.
 */
#ifndef TEST_NODE_WORLD_H
#define TEST_NODE_WORLD_H

#include "../peer/net.h"
#include "../storage/mem_fs.h"
#include "node/node.h"

#define MEMBERS NET_MEMBERS

struct world {
    struct net net;
    struct mem_fs *disk[MEMBERS + 1];
    struct node *node[MEMBERS + 1]; /* NULL: down */
    unsigned starts;
    uint64_t snapshot_entries; /* 0: none are written */
    uint64_t history_ms; /* 0: the default */
    uint64_t history_bytes;
    bool paused[MEMBERS + 1]; /* takes no turns */
    bool may_diverge; /* else a member whose chain differs fails the test */
    bool loses; /* messages between members of this type are lost: */
    enum floe_message_type lost;
    uint64_t last_token;
    struct node_result results[4096]; /* by token */
    bool answered[4096];
};

struct node_options options_of(struct world *w, unsigned i);
enum err start_with(struct world *w, unsigned i, const struct node_options *options);
void start(struct world *w, unsigned i);
/* With --reseed. */
void start_reseed(struct world *w, unsigned i);
/* The process dies; what its disk keeps is up to kind. */
void crash(struct world *w, unsigned i, enum mem_fs_crash kind);
/* Takes the answers of a member. */
void collect(struct world *w, unsigned i);
void run(struct world *w, uint64_t ms);
void setup(struct world *w, unsigned count);
/* Members 1 and 2 found a cluster of two. */
void setup_two(struct world *w);
void teardown(struct world *w);
unsigned leader(struct world *w);
uint64_t put(struct world *w, unsigned i, const char *key, const char *value);
uint64_t put_with(struct world *w, unsigned i, const char *key, const char *value, uint64_t lease);
uint64_t grant(struct world *w, unsigned i, uint64_t lease, uint64_t ttl_s);
uint64_t barrier(struct world *w, unsigned i);
enum node_outcome outcome(struct world *w, uint64_t token);
bool find_key(struct world *w, unsigned i, const char *key, struct kv_item *out);
bool has_key(struct world *w, unsigned i, const char *key);
void assert_value(struct world *w, unsigned i, const char *key, const char *value);

#endif
