/*
 * The framing of WebSockets (RFC 6455), server side and pure: bytes of an input become messages,
 * messages become bytes of an output. Extensions are none.
 */
#ifndef IO_WEBSOCKET_H
#define IO_WEBSOCKET_H

#include "base/buf.h"

#include <event2/buffer.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBSOCKET_CONTROL_BYTES 125
#define WEBSOCKET_ACCEPT_SIZE 29

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

/* Why a connection is closed (7.4.1). */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL = 1002,
    WEBSOCKET_NOT_UTF8 = 1007,
    WEBSOCKET_TOO_LARGE = 1009,
    WEBSOCKET_TRY_LATER = 1013,
};

/* The value of a Sec-WebSocket-Key, 16 bytes in base64, and what answers it. */
bool websocket_is_key(const char *key);
void websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_SIZE]);

/* Zero but for message_max: nothing has come. */
struct websocket {
    size_t message_max; /* a longer message ends the connection */
    struct buf message; /* of the fragments so far */
    bool in_message;    /* a first fragment has come, the last one has not */
    bool is_text;       /* of that message */
    bool has_taken;     /* message was handed out and is over */
    bool in_frame;      /* a header has been read */
    bool is_final;      /* of the frame that is being read */
    enum websocket_opcode opcode;
    uint64_t left; /* of its payload */
    uint8_t mask[4];
    unsigned mask_at;
    uint8_t control[WEBSOCKET_CONTROL_BYTES];
    size_t control_len;
    enum websocket_code code; /* BAD: why */
};
void websocket_deinit(struct websocket *ws);

enum websocket_step {
    WEBSOCKET_STEP_MORE,    /* the input is used up */
    WEBSOCKET_STEP_MESSAGE, /* message is whole; until the next call */
    WEBSOCKET_STEP_PING,    /* control is to be sent back as a pong */
    WEBSOCKET_STEP_PONG,
    WEBSOCKET_STEP_CLOSE, /* the other side has done; control is to be sent back */
    WEBSOCKET_STEP_BAD,   /* close with code; no further call */
};
/* Takes the next event out of the input, which is drained as far as it was looked at: of a message
 * that has not ended nothing stays there. */
enum websocket_step websocket_next(struct websocket *ws, struct evbuffer *input);

/* The header of an unfragmented frame; its payload is to follow. */
void websocket_put_header(struct evbuffer *out, enum websocket_opcode opcode, size_t len);
void websocket_put_close(struct evbuffer *out, enum websocket_code code);

#endif
