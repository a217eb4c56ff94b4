/* Bytes that are text, and text that stands for bytes. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"

#include <stdbool.h>

/* RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
bool text_is_utf8(const uint8_t *text, size_t len);
/* RFC 4648, section 4, with padding. */
void text_base64_put(struct buf *out, const void *bytes, size_t len);
/* Appends what the text stands for; false: it is no base64 (out may have got a part). */
bool text_base64_get(struct buf *out, const char *text, size_t len);

#endif
