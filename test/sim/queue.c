/* A binary heap. */
#include "queue.h"

#include "base/mem.h"

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void swap(struct event *a, struct event *b)
{
    struct event kept = *a;
    *a = *b;
    *b = kept;
}

void queue_deinit(struct queue *queue)
{
    mem_free(queue->heap);
    *queue = (struct queue){0};
}

void queue_put(struct queue *queue, uint64_t at_us, enum event_kind kind, uint32_t a, uint64_t b)
{
    if (at_us == SIM_NEVER)
        return;
    queue->heap = mem_grow(queue->heap, queue->count, &queue->cap, sizeof *queue->heap);
    size_t at = queue->count++;
    queue->heap[at] =
        (struct event){.at_us = at_us, .seq = ++queue->seq, .kind = kind, .a = a, .b = b};
    for (; at > 0 && is_before(&queue->heap[at], &queue->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&queue->heap[at], &queue->heap[(at - 1) / 2]);
}

bool queue_take(struct queue *queue, struct event *out)
{
    if (queue->count == 0)
        return false;
    *out = queue->heap[0];
    queue->heap[0] = queue->heap[--queue->count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < queue->count && is_before(&queue->heap[child], &queue->heap[least]))
                least = child;
        if (least == at)
            return true;
        swap(&queue->heap[at], &queue->heap[least]);
        at = least;
    }
}
