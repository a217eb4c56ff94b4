/* Idempotency keys that were used: found by their bytes, forgotten in the order of use. */
#ifndef KV_TICKET_H
#define KV_TICKET_H

#include "kv/kv.h"

struct ticket {
    struct kv_ticket is;
    struct ticket *next; /* in its bucket */
    uint64_t hash;       /* of the bytes */
    uint32_t len;
    uint8_t bytes[];
};

struct tickets {
    struct ticket **bucket; /* a power of two */
    size_t bucket_count;
    struct ticket **ring; /* by sequence number; as many as buckets */
    uint64_t first;       /* sequence numbers [first, end) are kept; 0: there was none yet */
    uint64_t end;
    uint64_t sum; /* of hashes of all that is kept */
    uint64_t memory;
};

void tickets_deinit(struct tickets *tickets);
uint64_t tickets_count(const struct tickets *tickets);
struct ticket *tickets_find(const struct tickets *tickets, struct kv_bytes bytes);
/* is->sequence is the next one (or any, for the first). */
void tickets_add(struct tickets *tickets, struct kv_bytes bytes, const struct kv_ticket *is);
/* NULL: there is none. */
struct ticket *tickets_oldest(const struct tickets *tickets);
struct ticket *tickets_at(const struct tickets *tickets, uint64_t sequence); /* in [first, end) */
void tickets_pop(struct tickets *tickets); /* forgets the oldest */

#endif
