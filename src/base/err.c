/* Texts of enum err, for log lines and answers. */
#include "base/err.h"

const char *err_str(enum err err)
{
    switch (err) {
    case ERR_OK: return "ok";
    case ERR_IO: return "input/output error";
    case ERR_NOT_FOUND: return "not found";
    case ERR_EXISTS: return "exists already";
    case ERR_INVALID: return "invalid";
    case ERR_CORRUPT: return "damaged";
    case ERR_VERSION: return "written by a newer version";
    case ERR_TOO_LARGE: return "too large";
    case ERR_FULL: return "queue is full";
    case ERR_LOCKED: return "in use by another process";
    case ERR_AGAIN: return "not now";
    case ERR_MISMATCH: return "belongs to another member or cluster";
    case ERR_SHORT: return "incomplete";
    }
    return "unknown error";
}
