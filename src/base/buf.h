/* A growable run of bytes. Zero is an empty one. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

void buf_deinit(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
/* Room for extra more bytes; a pointer to the first of them (len is not changed). */
uint8_t *buf_reserve(struct buf *buf, size_t extra);
void buf_add(struct buf *buf, const void *data, size_t size);
void buf_add_u8(struct buf *buf, uint8_t value);
/* Appends formatted text; the NUL behind it is not counted in len. */
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *buf, const char *format, ...);
/* The content as a C string: NUL is put behind the last byte. Borrowed until the next change. */
const char *buf_str(struct buf *buf);

/* Little-endian numbers at p, the byte order of all our files and frames. */
void put_u16(uint8_t *p, uint16_t value);
void put_u32(uint8_t *p, uint32_t value);
void put_u64(uint8_t *p, uint64_t value);
uint16_t get_u16(const uint8_t *p);
uint32_t get_u32(const uint8_t *p);
uint64_t get_u64(const uint8_t *p);

#endif
