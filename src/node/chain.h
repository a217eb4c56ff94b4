/*
 * A hash over everything that was applied, in order: h(i) = XXH3-64 of h(i-1), the entry's index,
 * term and type, and its payload. Members whose hashes at one index are the same have applied the
 * same history; one flipped byte changes every hash from there on.
 *
 * It covers entries as they are applied, nothing of a member's own. Entries of term 1 count without
 * their payload: each founding member writes them itself, from its own configuration file, where an
 * address may be spelt in another way.
 */
#ifndef NODE_CHAIN_H
#define NODE_CHAIN_H

#include <floe/types.h>
#include <stdbool.h>

#define CHAIN_RECENT 256u     /* the last so many hashes are remembered ... */
#define CHAIN_MARKS 64u       /* ... and so many more, of ... */
#define CHAIN_MARK_EVERY 256u /* ... every such index */

struct chain_mark {
    floe_index index; /* 0: none */
    uint64_t hash;
};

/* Zero is the valid beginning of a history: nothing applied, hash 0. */
struct chain {
    bool unknown; /* it began at a snapshot that has no hash: there is nothing to compare */
    floe_index index;
    uint64_t hash; /* after index */
    struct chain_mark recent[CHAIN_RECENT];
    struct chain_mark marks[CHAIN_MARKS];
};

/* Goes on behind a snapshot at index; hash NULL: it has none. */
void chain_restart(struct chain *chain, floe_index index, const uint64_t *hash);
/* The entry behind the last one was applied. O(payload). */
void chain_add(struct chain *chain, const struct floe_entry *entry);
/* false: never known, or too long ago. */
bool chain_find(const struct chain *chain, floe_index index, uint64_t *hash);

#endif
