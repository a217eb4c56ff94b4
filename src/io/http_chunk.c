/* One byte at a time where the framing is, whole pieces where the data is. */
#include "io/http_chunk.h"

#define DIGITS_MAX 16

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum http_chunk_state on_size(struct http_chunk *chunk, char c)
{
    int digit = hex_digit(c);
    if (digit < 0)
        return c == '\r' && chunk->digits > 0 ? HTTP_CHUNK_SIZE_LF : HTTP_CHUNK_BAD;
    if (++chunk->digits > DIGITS_MAX)
        return HTTP_CHUNK_BAD;
    chunk->left = chunk->left * 16 + (uint64_t)digit;
    return HTTP_CHUNK_SIZE;
}

static enum http_chunk_state next_state(struct http_chunk *chunk, char c)
{
    switch (chunk->state) {
    case HTTP_CHUNK_SIZE: return on_size(chunk, c);
    case HTTP_CHUNK_SIZE_LF:
        if (c != '\n')
            return HTTP_CHUNK_BAD;
        return chunk->left > 0 ? HTTP_CHUNK_DATA : HTTP_CHUNK_END;
    case HTTP_CHUNK_DATA_CR: return c == '\r' ? HTTP_CHUNK_DATA_LF : HTTP_CHUNK_BAD;
    case HTTP_CHUNK_DATA_LF: chunk->digits = 0; return c == '\n' ? HTTP_CHUNK_SIZE : HTTP_CHUNK_BAD;
    case HTTP_CHUNK_DATA:
    case HTTP_CHUNK_END:
    case HTTP_CHUNK_BAD: break;
    }
    return chunk->state;
}

bool http_chunk_feed(struct http_chunk *chunk, const char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len && chunk->state < HTTP_CHUNK_END) {
        if (chunk->state != HTTP_CHUNK_DATA) {
            chunk->state = next_state(chunk, bytes[at++]);
            continue;
        }
        size_t part = len - at < chunk->left ? len - at : (size_t)chunk->left;
        chunk->left -= part;
        at += part;
        if (chunk->left == 0)
            chunk->state = HTTP_CHUNK_DATA_CR;
    }
    return chunk->state != HTTP_CHUNK_BAD;
}
