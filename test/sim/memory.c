/* See memory.h. */
#include "memory.h"

#include "base/mem.h"

#include <stdlib.h>

struct head { /* in front of each piece */
    size_t size;
    size_t machine; /* as wide, so that what follows is aligned as malloc's is */
};

/* Hooks have no other place, as base/mem has none. */
static unsigned now;
static size_t bytes[SIM_MACHINES + 1];

static void *mark(struct head *head, size_t size, unsigned machine)
{
    if (head == NULL)
        return NULL;
    *head = (struct head){.size = size, .machine = machine};
    bytes[machine] += size;
    return head + 1;
}

static void *on_alloc(void *arg, size_t size)
{
    (void)arg;
    return mark(malloc(sizeof(struct head) + size), size, now);
}

static void *on_resize(void *arg, void *ptr, size_t size)
{
    if (ptr == NULL)
        return on_alloc(arg, size);
    struct head *head = (struct head *)ptr - 1;
    unsigned machine = (unsigned)head->machine;
    bytes[machine] -= head->size;
    return mark(realloc(head, sizeof *head + size), size, machine);
}

static void on_release(void *arg, void *ptr)
{
    (void)arg;
    if (ptr == NULL)
        return;
    struct head *head = (struct head *)ptr - 1;
    bytes[head->machine] -= head->size;
    free(head);
}

void memory_install(void)
{
    static const struct mem_hooks hooks = {
        .alloc = on_alloc, .resize = on_resize, .release = on_release};
    mem_set_hooks(&hooks);
}

unsigned memory_enter(unsigned machine)
{
    unsigned before = now;
    now = machine;
    return before;
}

size_t memory_of(unsigned machine)
{
    return bytes[machine];
}
