/* An api that answers what a test says: every request but /version is a stream, /ws* a WebSocket.
 */
#ifndef TEST_FAKE_API_H
#define TEST_FAKE_API_H

#include "api/api.h"

struct fake_api {
    size_t requests;
    uint64_t token;      /* of the last request */
    size_t gone;         /* times that api_stream_gone was called */
    uint64_t gone_token; /* the last time */
    size_t unsent;       /* as last told */
    size_t unsent_calls;
    size_t inputs;        /* messages */
    char input[256];      /* the last one */
    size_t input_len;     /* of it, as a whole */
    bool is_full;         /* no more input is taken */
    const char *farewell; /* of every stream; NULL: none */
};
extern struct fake_api fake_api;

void fake_api_reset(void);
/* One chunk for the last request; text NULL: none, just the end. */
void fake_api_push(const char *text, size_t len, bool last);

#endif
