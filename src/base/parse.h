/* Text to values: strict, whole input or nothing. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Decimal digits only (no sign, no blank), at most 2^64-1. ERR_INVALID, ERR_TOO_LARGE. */
enum err parse_u64(const char *text, size_t len, uint64_t *out) MUST_USE;

#endif
