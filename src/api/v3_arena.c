/* Memory that lives as long as one call: blocks in a list, filled one after the other. */
#include "api/v3_codec.h"
#include "base/assert.h"
#include "base/mem.h"

#include <stddef.h>
#include <string.h>

#define BLOCK_BYTES 2048
#define LARGE_BYTES (BLOCK_BYTES / 4) /* from here on a block of its own */

struct v3_block {
    struct v3_block *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) uint8_t data[];
};

void v3_arena_deinit(struct v3_arena *arena)
{
    while (arena->blocks != NULL) {
        struct v3_block *next = arena->blocks->next;
        mem_free(arena->blocks);
        arena->blocks = next;
    }
}

static struct v3_block *block_new(size_t size)
{
    struct v3_block *block = mem_calloc(1, sizeof *block + size);
    block->size = size;
    return block;
}

void *v3_arena_alloc(struct v3_arena *arena, size_t count, size_t size)
{
    ASSERT(size == 0 || count <= (SIZE_MAX / 2) / size);
    size_t bytes = (count * size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
    struct v3_block *first = arena->blocks;
    if (bytes > LARGE_BYTES) {
        struct v3_block *own = block_new(bytes);
        own->used = bytes;
        if (first != NULL) { /* behind the first, which has room left */
            own->next = first->next;
            first->next = own;
        } else {
            arena->blocks = own;
        }
        return own->data;
    }
    if (first == NULL || first->size - first->used < bytes) {
        struct v3_block *block = block_new(BLOCK_BYTES);
        block->next = first;
        arena->blocks = first = block;
    }
    void *at = first->data + first->used;
    first->used += bytes;
    return at;
}

struct v3_bytes v3_arena_copy(struct v3_arena *arena, const void *data, size_t len)
{
    uint8_t *copy = v3_arena_alloc(arena, len + 1, 1); /* and a NUL behind */
    if (len > 0)
        memcpy(copy, data, len);
    return (struct v3_bytes){copy, len};
}
