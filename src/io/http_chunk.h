/*
 * The framing of a chunked body (RFC 9112 7.1), followed beside evhttp, which takes too much: signs
 * and blanks in a size, a chunk that does not end where its size says, size lines without an end.
 * Extensions are refused, since evhttp does not know them.
 */
#ifndef IO_HTTP_CHUNK_H
#define IO_HTTP_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_chunk_state {
    HTTP_CHUNK_SIZE, /* initial */
    HTTP_CHUNK_SIZE_LF,
    HTTP_CHUNK_DATA,
    HTTP_CHUNK_DATA_CR,
    HTTP_CHUNK_DATA_LF,
    HTTP_CHUNK_END, /* the last chunk has come; trailers are evhttp's */
    HTTP_CHUNK_BAD, /* for good */
};

/* All zero at the beginning of a body. */
struct http_chunk {
    enum http_chunk_state state;
    unsigned digits;
    uint64_t left; /* bytes of this chunk to come */
};

/* Takes the next bytes of the body; false: this is not chunked framing. */
bool http_chunk_feed(struct http_chunk *chunk, const char *bytes, size_t len);

#endif
