/*
 * Is a history of clients linearizable? Each key is an object of its own: there must be an order of
 * its operations that keeps real time (what returned before something else was invoked comes
 * first) and in which every answer is the one that a single store would have given.
 *
 * Every write of the store, of whatever key, has a revision of its own that is larger than that of
 * every write before it. So revisions order writes across keys, too, and most of the work is done
 * by plain comparisons; only what they leave open is searched (Wing & Gong, with Lowe's memory of
 * what has been tried).
 */
#ifndef LINEAR_H
#define LINEAR_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum linear_kind { LINEAR_READ, LINEAR_PUT, LINEAR_DELETE, LINEAR_CAS };

struct linear_op {
    /* Any unit, any origin. Two operations overlap if one is invoked at the very moment when the
     * other returns. */
    uint64_t invoked;
    uint64_t returned; /* UINT64_MAX: never. Without meaning unless known */
    enum linear_kind kind;
    uint64_t client; /* for the reader of `why` only */
    uint64_t key;
    /* The outcome is known. Else a write may have taken effect, at any time after invoked, or may
     * never do so, and a read says nothing. What certainly was not done does not belong here. */
    bool known;
    bool ok; /* DELETE: something was there; CAS: it took effect; else true */
    /* PUT, CAS: what is written: not 0, and written to this key by no other operation.
     * READ: what was seen; 0 = not there. */
    uint64_t value;
    uint64_t expected; /* CAS: the mod revision expected; 0 = must not exist */
    /* Known outcomes only; 0 = none or not told. PUT, CAS: the key's mod revision after it. READ:
     * that of the value seen. CAS with ok = false: the one found instead. DELETE with ok: the
     * store's revision after it. */
    uint64_t revision;
};

enum linear_verdict {
    LINEAR_OK,
    LINEAR_VIOLATION,
    LINEAR_TOO_COMPLEX, /* no verdict: a key's search took more than the bounds below */
};

#define LINEAR_STEPS_MAX 100000000 /* tried; a second or so */
#define LINEAR_STATES_MAX 2000000  /* remembered; 128 MiB */

/* Appends one line without line end to *why, unless LINEAR_OK. ops are borrowed; their order does
 * not matter. Time and memory: n log n, plus the search. Deterministic. */
enum linear_verdict linear_check(const struct linear_op *ops, size_t count, struct buf *why);
/* Appends an operation as `why` does. */
void linear_describe(struct buf *out, const struct linear_op *op);
/* How many operations linear_check refuses to take, as they break the rules above: a write of 0,
 * the same value written to a key twice, a return before the invocation. What linear_check asserts
 * to be 0. Says the first in *why. */
size_t linear_invalid(const struct linear_op *ops, size_t count, struct buf *why);

#endif
