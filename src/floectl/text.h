/* Bytes as URLs, terminals and JSON want them. */
#ifndef FLOECTL_TEXT_H
#define FLOECTL_TEXT_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

/* Percent-encoded but for letters, digits, - . _ ~ */
void text_add_encoded(struct buf *out, const void *data, size_t len);
/* As a person reads it on one line: \n, \t, \\ and \xHH for what a terminal should not get. UTF-8
 * stays as it is. */
void text_add_readable(struct buf *out, const void *data, size_t len);
/* object[name], or object[name_base64] where the bytes are no UTF-8. */
void text_set_bytes(json_t *object, const char *name, const void *data, size_t len);
/* The same the other way round. ERR_NOT_FOUND if there is neither. */
enum err text_get_bytes(const json_t *object, const char *name, struct buf *out) MUST_USE;

#endif
