/* Text to values: strict, whole input or nothing. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Decimal digits only (no sign, no blank), at most 2^64-1. ERR_INVALID, ERR_TOO_LARGE. */
enum err parse_u64(const char *text, size_t len, uint64_t *out) MUST_USE;

/* The library uses the two ids above it for its own threads (include/floe/types.h). */
#define PARSE_MEMBER_ID_MAX (UINT64_MAX - 2)
/* A member's id wherever a person writes one: as parse_u64, without a leading zero, from 1 to
 * PARSE_MEMBER_ID_MAX. On error *why is a static text that names the range. */
enum err parse_member_id(const char *text, size_t len, uint64_t *out, const char **why) MUST_USE;

#endif
