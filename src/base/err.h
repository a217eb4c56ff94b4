/* The one error type of the server's floors (the consensus library has enum floe_err). */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
    ERR_OK = 0,
    ERR_IO,        /* the system said no; errno tells */
    ERR_NOT_FOUND, /* no such thing */
    ERR_EXISTS,    /* there already */
    ERR_INVALID,   /* bytes or arguments that cannot be */
    ERR_CORRUPT,   /* stored data is damaged */
    ERR_VERSION,   /* written by a newer version */
    ERR_TOO_LARGE, /* over a limit */
    ERR_FULL,      /* a bounded queue is full */
    ERR_LOCKED,    /* another process has it */
    ERR_AGAIN,     /* not now */
    ERR_MISMATCH,  /* belongs to another member or cluster */
    ERR_SHORT,     /* more bytes are needed */
};

#define MUST_USE __attribute__((warn_unused_result))

const char *err_str(enum err err);

#endif
