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
