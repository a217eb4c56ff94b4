/*
 * Is the history of a key's operations one that a single copy could have shown, each taking effect
 * at some moment between its call and its answer?
 */
#ifndef TEST_SIM_LINEAR_H
#define TEST_SIM_LINEAR_H

#include "base/buf.h"

#include <stdbool.h>

enum linear_kind { LINEAR_READ, LINEAR_PUT, LINEAR_DELETE, LINEAR_CAS };

struct linear_op {
    uint64_t invoked;
    uint64_t returned; /* UINT64_MAX: never known */
    enum linear_kind kind;
    uint64_t client;
    uint64_t key;
    bool known;        /* else it may or may not have taken effect, at any time after invoked */
    bool ok;           /* DELETE: something was there; CAS: it took effect; else true */
    uint64_t value;    /* PUT, CAS: what is written (unique, not 0); READ: seen, 0 = not there */
    uint64_t expected; /* CAS: mod revision expected, 0 = must not exist */
    uint64_t revision; /* known: mod revision after a PUT/CAS, or seen by a READ; 0 = none */
};

enum linear_verdict { LINEAR_OK, LINEAR_VIOLATION, LINEAR_TOO_COMPLEX };

/* One key or all keys; the operations of a key are checked together. */
enum linear_verdict linear_check(const struct linear_op *ops, size_t count, struct buf *why);

#endif
