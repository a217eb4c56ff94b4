/* Allocation that never returns NULL: out of memory ends the process with a line on standard
 * error, since a step half done would be worse than a restart from the log. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

struct mem_hooks {
    void *(*alloc)(void *arg, size_t size);
    void *(*resize)(void *arg, void *ptr, size_t size);
    void (*release)(void *arg, void *ptr);
    void *arg;
};

/* Whole process; before the first allocation. NULL restores the C library's. */
void mem_set_hooks(const struct mem_hooks *hooks);

void *mem_alloc(size_t size);               /* not zeroed; size 0 gives a pointer to free */
void *mem_calloc(size_t count, size_t size); /* zeroed; an overflow ends the process */
void *mem_realloc(void *ptr, size_t size);
/* Grows an array for one more element: doubles *cap from 8 (large elements: 4) when
 * count reaches it. */
void *mem_grow(void *array, size_t count, size_t *cap, size_t elem_size);
void *mem_dup(const void *data, size_t size);
char *mem_strdup(const char *text);
void mem_free(void *ptr); /* NULL is allowed */
/* Asks the C library to give free memory back to the system, where it can; takes milliseconds. */
void mem_trim(void);

#endif
