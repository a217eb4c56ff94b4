/* See content.h. */
#include "content.h"

#include "base/mem.h"

#include <string.h>

void content_deinit(struct content *content)
{
    for (size_t i = 0; i < content->page_count; i++)
        mem_free(content->page[i]);
    mem_free(content->page);
    *content = (struct content){0};
}

void content_copy(struct content *to, const struct content *from)
{
    content_deinit(to);
    content_resize(to, from->size);
    for (size_t i = 0; i < from->page_count; i++)
        if (from->page[i] != NULL)
            to->page[i] = mem_dup(from->page[i], CONTENT_PAGE);
}

static void clear_behind(struct content *content, uint64_t size)
{
    size_t at = (size_t)(size / CONTENT_PAGE);
    size_t used = (size_t)(size % CONTENT_PAGE);
    if (used > 0 && at < content->page_count && content->page[at] != NULL)
        memset(content->page[at] + used, 0, CONTENT_PAGE - used);
}

void content_resize(struct content *content, uint64_t size)
{
    size_t count = (size_t)((size + CONTENT_PAGE - 1) / CONTENT_PAGE);
    for (size_t i = count; i < content->page_count; i++)
        mem_free(content->page[i]);
    if (count != content->page_count)
        content->page = mem_realloc(content->page, (count + 1) * sizeof *content->page);
    for (size_t i = content->page_count; i < count; i++)
        content->page[i] = NULL;
    content->page_count = count;
    if (size < content->size)
        clear_behind(content, size);
    content->size = size;
}

void content_write(struct content *content, uint64_t offset, const uint8_t *data, size_t len)
{
    if (offset + len > content->size)
        content_resize(content, offset + len);
    while (len > 0) {
        size_t at = (size_t)(offset / CONTENT_PAGE);
        size_t within = (size_t)(offset % CONTENT_PAGE);
        size_t part = CONTENT_PAGE - within < len ? CONTENT_PAGE - within : len;
        if (content->page[at] == NULL && part == CONTENT_PAGE)
            content->page[at] = mem_alloc(CONTENT_PAGE); /* all of it is written */
        else if (content->page[at] == NULL)
            content->page[at] = mem_calloc(1, CONTENT_PAGE);
        memcpy(content->page[at] + within, data, part);
        offset += part;
        data += part;
        len -= part;
    }
}

size_t content_read(const struct content *content, uint64_t offset, uint8_t *data, size_t len)
{
    uint64_t left = offset < content->size ? content->size - offset : 0;
    size_t got = left < len ? (size_t)left : len;
    for (size_t done = 0; done < got;) {
        size_t at = (size_t)((offset + done) / CONTENT_PAGE);
        size_t within = (size_t)((offset + done) % CONTENT_PAGE);
        size_t part = CONTENT_PAGE - within < got - done ? CONTENT_PAGE - within : got - done;
        if (content->page[at] != NULL)
            memcpy(data + done, content->page[at] + within, part);
        else
            memset(data + done, 0, part);
        done += part;
    }
    return got;
}

void content_flip(struct content *content, uint64_t offset, unsigned bit)
{
    uint8_t byte;
    if (content_read(content, offset, &byte, 1) == 0)
        return;
    byte ^= (uint8_t)(1u << bit);
    content_write(content, offset, &byte, 1);
}
