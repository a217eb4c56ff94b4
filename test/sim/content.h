/* The bytes of a file, page by page; pages that were never written are zeros and take no memory. */
#ifndef TEST_SIM_CONTENT_H
#define TEST_SIM_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#define CONTENT_PAGE 4096u

struct content {
    uint8_t **page; /* NULL: zeros */
    size_t page_count;
    uint64_t size;
};

void content_deinit(struct content *content);
void content_copy(struct content *to, const struct content *from); /* replaces it */
void content_resize(struct content *content, uint64_t size);
void content_write(struct content *content, uint64_t offset, const uint8_t *data, size_t len);
/* Bytes got: fewer than len only at the end. */
size_t content_read(const struct content *content, uint64_t offset, uint8_t *data, size_t len);
void content_flip(struct content *content, uint64_t offset, unsigned bit);

#endif
