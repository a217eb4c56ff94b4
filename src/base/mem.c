/* The hooks are the one piece of process-wide state: an allocator cannot be passed to everything
 * that allocates without turning each signature inside out. */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>

#define SMALL_BYTES 1024 /* beyond, calloc may know that memory is zero already */

static struct mem_hooks installed;

void mem_set_hooks(const struct mem_hooks *hooks)
{
    installed = hooks != NULL ? *hooks : (struct mem_hooks){0};
}

static void *must(void *ptr, size_t size)
{
    if (ptr == NULL) {
        (void)fprintf(stderr, "out of memory: %zu bytes\n", size);
        abort();
    }
    return ptr;
}

void *mem_alloc(size_t size)
{
    size_t ask = size > 0 ? size : 1;
    void *ptr = installed.alloc != NULL ? installed.alloc(installed.arg, ask) : malloc(ask);
    return must(ptr, ask);
}

void *mem_calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return must(NULL, SIZE_MAX);
    /* glibc's calloc passes by the cache that malloc has for each thread */
    if (installed.alloc == NULL && count * size > SMALL_BYTES)
        return must(calloc(count, size), count * size);
    void *ptr = mem_alloc(count * size);
    memset(ptr, 0, count * size);
    return ptr;
}

void *mem_realloc(void *ptr, size_t size)
{
    size_t ask = size > 0 ? size : 1;
    void *grown = installed.resize != NULL ? installed.resize(installed.arg, ptr, ask)
                                           : realloc(ptr, ask);
    return must(grown, ask);
}

void *mem_grow(void *array, size_t count, size_t *cap, size_t elem_size)
{
    if (count < *cap)
        return array;
    size_t first = elem_size > 128 ? 4 : 8; /* so that the first block is one that malloc caches */
    size_t more = *cap > 0 ? *cap * 2 : first;
    if (more > SIZE_MAX / elem_size)
        return must(NULL, SIZE_MAX);
    *cap = more;
    return mem_realloc(array, more * elem_size);
}

void *mem_dup(const void *data, size_t size)
{
    void *ptr = mem_alloc(size);
    if (size > 0)
        memcpy(ptr, data, size);
    return ptr;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

void mem_free(void *ptr)
{
    if (ptr == NULL)
        return;
    if (installed.release != NULL)
        installed.release(installed.arg, ptr);
    else
        free(ptr);
}

void mem_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
