/* strtoull takes signs, blanks and other bases; a member id or a length must not. */
#include "base/parse.h"

enum err parse_u64(const char *text, size_t len, uint64_t *out)
{
    if (len == 0)
        return ERR_INVALID;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return ERR_INVALID;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return ERR_TOO_LARGE;
        value = value * 10 + digit;
    }
    *out = value;
    return ERR_OK;
}

#define ID_RANGE \
    ": an id goes from 1 to 18446744073709551613 (the library itself uses 2^64-2 and 2^64-1)"

enum err parse_member_id(const char *text, size_t len, uint64_t *out, const char **why)
{
    uint64_t id = 0;
    enum err err = parse_u64(text, len, &id);
    if (err == ERR_OK && id > PARSE_MEMBER_ID_MAX)
        err = ERR_TOO_LARGE;
    if (err != ERR_INVALID && text[0] == '0') { /* one way to write an id; 0 is none */
        *why = "not 0, and no 0 in front" ID_RANGE;
        return ERR_INVALID;
    }
    if (err == ERR_OK)
        *out = id;
    else
        *why = err == ERR_TOO_LARGE ? "too large" ID_RANGE : "decimal digits only" ID_RANGE;
    return err;
}
