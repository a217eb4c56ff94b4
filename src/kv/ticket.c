/* A hash table whose entries are in a ring as well, by sequence number. Both double together. */
#include "kv/ticket.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/checksum.h"
#include "kv/entry.h"

#include <string.h>

enum { BUCKETS_MIN = 64 };

void tickets_deinit(struct tickets *tickets)
{
    while (tickets_count(tickets) > 0)
        tickets_pop(tickets);
    mem_free(tickets->bucket);
    mem_free(tickets->ring);
    *tickets = (struct tickets){0};
}

uint64_t tickets_count(const struct tickets *tickets)
{
    return tickets->end - tickets->first;
}

uint64_t kv_fingerprint(uint64_t before, const void *data, size_t len)
{
    return checksum_chain(&before, 1, data, len);
}

static uint64_t hash_of(struct kv_bytes bytes)
{
    return checksum_chain(NULL, 0, bytes.data, bytes.len);
}

static uint64_t sum_of(const struct ticket *ticket)
{
    uint64_t words[6] = {ticket->is.sequence, ticket->is.revision, ticket->is.term,
                         (uint64_t)ticket->is.status, ticket->is.succeeded ? 1 : 0,
                         ticket->is.fingerprint};
    size_t count = ticket->is.fingerprint != 0 ? 6 : 5; /* as it was without fingerprints */
    return checksum_chain(words, count, ticket->bytes, ticket->len);
}

static uint64_t memory_of(const struct ticket *ticket)
{
    return (sizeof *ticket + ticket->len + 8 + 15) / 16 * 16;
}

static struct ticket **bucket_of(const struct tickets *tickets, uint64_t hash)
{
    return &tickets->bucket[hash & (tickets->bucket_count - 1)];
}

static struct ticket **ring_slot(const struct tickets *tickets, uint64_t sequence)
{
    return &tickets->ring[sequence & (tickets->bucket_count - 1)];
}

struct ticket *tickets_at(const struct tickets *tickets, uint64_t sequence)
{
    ASSERT(sequence >= tickets->first && sequence < tickets->end);
    return *ring_slot(tickets, sequence);
}

struct ticket *tickets_oldest(const struct tickets *tickets)
{
    return tickets_count(tickets) > 0 ? tickets_at(tickets, tickets->first) : NULL;
}

struct ticket *tickets_find(const struct tickets *tickets, struct kv_bytes bytes)
{
    if (tickets_count(tickets) == 0)
        return NULL;
    uint64_t hash = hash_of(bytes);
    struct ticket *ticket = *bucket_of(tickets, hash);
    while (ticket != NULL &&
           (ticket->hash != hash ||
            kv_bytes_compare((struct kv_bytes){ticket->bytes, ticket->len}, bytes) != 0))
        ticket = ticket->next;
    return ticket;
}

static void link_in(struct tickets *tickets, struct ticket *ticket)
{
    struct ticket **bucket = bucket_of(tickets, ticket->hash);
    ticket->next = *bucket;
    *bucket = ticket;
    *ring_slot(tickets, ticket->is.sequence) = ticket;
}

static void grow(struct tickets *tickets)
{
    struct tickets old = *tickets;
    tickets->bucket_count = old.bucket_count > 0 ? old.bucket_count * 2 : BUCKETS_MIN;
    tickets->bucket = mem_calloc(tickets->bucket_count, sizeof *tickets->bucket);
    tickets->ring = mem_calloc(tickets->bucket_count, sizeof *tickets->ring);
    for (uint64_t sequence = old.first; sequence < old.end; sequence++)
        link_in(tickets, *ring_slot(&old, sequence));
    mem_free(old.bucket);
    mem_free(old.ring);
}

void tickets_add(struct tickets *tickets, struct kv_bytes bytes, const struct kv_ticket *is)
{
    if (tickets_count(tickets) == 0)
        tickets->first = tickets->end = is->sequence;
    ASSERT(is->sequence == tickets->end);
    if (tickets_count(tickets) == tickets->bucket_count)
        grow(tickets);
    struct ticket *ticket = mem_alloc(sizeof *ticket + bytes.len);
    *ticket = (struct ticket){.is = *is, .hash = hash_of(bytes), .len = (uint32_t)bytes.len};
    memcpy(ticket->bytes, bytes.data, bytes.len);
    link_in(tickets, ticket);
    tickets->end++;
    tickets->sum += sum_of(ticket);
    tickets->memory += memory_of(ticket);
}

void tickets_pop(struct tickets *tickets)
{
    struct ticket *ticket = tickets_oldest(tickets);
    struct ticket **link = bucket_of(tickets, ticket->hash);
    while (*link != ticket)
        link = &(*link)->next;
    *link = ticket->next;
    *ring_slot(tickets, ticket->is.sequence) = NULL;
    tickets->first++;
    tickets->sum -= sum_of(ticket);
    tickets->memory -= memory_of(ticket);
    mem_free(ticket);
}
