/* Two lists and a hash over the same structs; a waiter is in `queued` or `proposed`, by state. */
#include "node/waiters.h"

#include "base/assert.h"
#include "base/mem.h"

void waiters_init(struct waiters *waiters)
{
    *waiters = (struct waiters){0};
    TAILQ_INIT(&waiters->all);
    TAILQ_INIT(&waiters->queued);
    TAILQ_INIT(&waiters->proposed);
}

void waiters_deinit(struct waiters *waiters)
{
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(&waiters->all)) != NULL)
        waiters_end(waiters, waiter);
}

static struct waiter_list *list_of(struct waiters *waiters, enum waiter_state state)
{
    switch (state) {
    case WAITER_QUEUED: return &waiters->queued;
    case WAITER_PROPOSED: return &waiters->proposed;
    case WAITER_FORWARDED:
    case WAITER_UNKNOWABLE: return NULL;
    }
    UNREACHABLE("waiter state");
}

struct waiter *waiters_add(struct waiters *waiters, enum waiter_kind kind, struct floe_blob *data,
                           size_t bytes, uint64_t deadline_ms)
{
    struct waiter *waiter = mem_calloc(1, sizeof *waiter);
    waiter->seq = ++waiters->last_seq;
    waiter->kind = kind;
    waiter->data = data;
    waiter->bytes = bytes;
    waiter->deadline_ms = deadline_ms;
    TAILQ_INSERT_TAIL(&waiters->all, waiter, in_all);
    TAILQ_INSERT_TAIL(&waiters->queued, waiter, in_state);
    HASH_ADD(hh, waiters->by_seq, seq, sizeof waiter->seq, waiter);
    waiters->count++;
    waiters->bytes += bytes;
    return waiter;
}

struct waiter *waiters_find(struct waiters *waiters, uint64_t seq)
{
    struct waiter *waiter = NULL;
    HASH_FIND(hh, waiters->by_seq, &seq, sizeof seq, waiter);
    return waiter;
}

void waiters_set_state(struct waiters *waiters, struct waiter *waiter, enum waiter_state state)
{
    struct waiter_list *from = list_of(waiters, waiter->state);
    struct waiter_list *to = list_of(waiters, state);
    if (from != NULL)
        TAILQ_REMOVE(from, waiter, in_state);
    waiter->state = state;
    if (to != NULL)
        TAILQ_INSERT_TAIL(to, waiter, in_state);
}

void waiters_end(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter_list *list = list_of(waiters, waiter->state);
    if (list != NULL)
        TAILQ_REMOVE(list, waiter, in_state);
    TAILQ_REMOVE(&waiters->all, waiter, in_all);
    HASH_DELETE(hh, waiters->by_seq, waiter);
    ASSERT(waiters->count > 0 && waiters->bytes >= waiter->bytes);
    waiters->count--;
    waiters->bytes -= waiter->bytes;
    floe_blob_unref(waiter->data);
    mem_free(waiter);
}
