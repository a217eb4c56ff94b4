/*
 * Clients of everything else that HTTP offers, over a few keys of their own: transactions of
 * several compares and operations, nested ones by etcd's API, ranges that are read, also at a past
 * revision, or deleted, bulk loads, compactions, and writes with an Idempotency-Key, which are sent
 * again to other members until one answers. Judged by the model of the store, at the end: what was
 * acknowledged is there once and at the revision that was told, all else at most once.
 */
#ifndef TEST_SIM_MIXERS_H
#define TEST_SIM_MIXERS_H

#include "base/buf.h"
#include "base/prng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
struct machine;
struct api_response;
struct api_chunk;

#define SIM_MIXERS 3
#define MIXER_TOKENS (UINT64_C(1) << 50) /* from here on */
#define MIXER_KEYS 5

enum mix_kind { MIX_TXN, MIX_NESTED, MIX_PUT, MIX_DELETE, MIX_BULK, MIX_RANGE, MIX_COMPACT };

struct mix {
    enum mix_kind kind;
    bool ticketed;
    bool acknowledged;
    bool refused;      /* certainly not done */
    bool succeeded;    /* TXN: its compares held, was said */
    unsigned puts;     /* BULK: lines */
    uint64_t number;   /* names ticket and values */
    uint64_t revision; /* told; RANGE: at which it was read */
    uint64_t sum;      /* RANGE: over what was found */
};

struct mixer {
    uint64_t token; /* of what is under way; 0: nothing */
    uint64_t step;  /* of events that are still meant */
    size_t mix;     /* of the history */
    unsigned tries; /* left, of a ticketed one */
    struct buf target;
    struct buf body;
    struct buf found; /* of a listing, so far */
    int method;
};

struct mixers {
    bool on;
    struct prng prng; /* its own, so that what a seed does otherwise stays */
    struct mixer mixer[SIM_MIXERS];
    uint64_t last_token;
    uint64_t revision; /* newest that any of them has heard of */
    struct mix *mixes;
    size_t count;
    size_t cap;
};

void mixers_start(struct world *world);
void mixers_deinit(struct mixers *mixers);
/* EVENT_MIXER. */
void mixers_event(struct world *world, unsigned number, uint64_t step);
/* A response whose token is one of theirs; false: it is not. */
bool mixers_answered(struct world *world, const struct api_response *response);
/* A part of a listing. */
void mixers_chunk(struct world *world, const struct api_chunk *chunk);
/* At the end, by the model. */
void mixers_check(struct world *world);

#endif
