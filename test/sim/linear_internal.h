/* What linear.c (comparisons over the whole store) and linear_search.c (one key) share. */
#ifndef LINEAR_INTERNAL_H
#define LINEAR_INTERNAL_H

#include "linear.h"

/* What is known of an operation beyond its own words. */
struct linear_fact {
    uint64_t from; /* it took effect in [from, to], if at all */
    uint64_t to;
    uint64_t revision; /* of the write; 0: not known, or it writes nothing */
    bool must;         /* it was answered, or its effect was seen: not to be left out */
    bool seen;         /* a read saw its value */
};

struct linear_ref {
    uint64_t major;
    uint64_t minor;
    size_t at; /* index of the operation */
};

/* Sorted by major, minor. */
struct linear_table {
    struct linear_ref *refs;
    size_t count;
    size_t cap;
};

struct linear_check {
    const struct linear_op *ops;
    size_t count;
    struct linear_fact *facts;       /* one an operation */
    struct linear_table by_value;    /* key, value: who writes it */
    struct linear_table by_revision; /* revision, 0: who has it; all keys */
    struct buf *why;
};

bool linear_writes_value(const struct linear_op *op);
void linear_table_add(struct linear_table *table, uint64_t major, uint64_t minor, size_t at);
void linear_table_sort(struct linear_table *table);
/* Index of the first that is not smaller. */
size_t linear_table_lower(const struct linear_table *table, uint64_t major, uint64_t minor);
/* Looks for an order of one key's operations; refs is sorted by their facts' from. */
enum linear_verdict linear_search(struct linear_check *check, const struct linear_ref *refs,
                                  size_t count);

#endif
