/*
 * The frames of a peer connection: codec/record.h records with this numbering. Encoders append one
 * whole frame to a buf; decoders read the payload of a frame whose checksum has been verified.
 */
#ifndef PEER_FRAME_H
#define PEER_FRAME_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/record.h"

#include <floe/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Payloads are msgpack arrays unless something else is said. */
enum peer_frame {
    PEER_FRAME_HELLO = 1,       /* major, minor, cluster, from, to, lane, name */
    PEER_FRAME_WELCOME = 2,     /* major, id of the acceptor */
    PEER_FRAME_REFUSE = 3,      /* enum peer_refusal, text */
    PEER_FRAME_MESSAGE = 4,     /* raft_codec message */
    PEER_FRAME_NOTE = 5,        /* index = kind; payload: the note's bytes as they are */
    PEER_FRAME_PING = 6,        /* empty; from the dialler */
    PEER_FRAME_PONG = 7,        /* empty; the answer */
    PEER_FRAME_SNAP_BEGIN = 8,  /* raft_codec message (FLOE_MSG_SNAP) */
    PEER_FRAME_SNAP_RECORD = 9, /* index = 1, 2, ..; payload: an encoded snapshot record */
    PEER_FRAME_SNAP_LAST = 10,  /* the same, and it is the last one */
    PEER_FRAME_SNAP_ACK = 11,   /* ok */
};

enum peer_lane { PEER_LANE_MESSAGES = 1, PEER_LANE_SNAPSHOT = 2 };

struct peer_hello {
    uint64_t version;
    floe_id from;
    floe_id to;
    uint64_t lane;
    const char *cluster; /* borrowed, no NUL */
    size_t cluster_len;
    const char *name; /* borrowed, no NUL */
    size_t name_len;
    const char *address; /* where the dialler can be dialled; empty: it does not say */
    size_t address_len;
};

void peer_frame_put_hello(struct buf *out, const struct peer_hello *hello);
/* ERR_VERSION: another major version; only out->version is set then. ERR_INVALID: malformed. */
enum err peer_frame_get_hello(const struct record *frame, struct peer_hello *out) MUST_USE;

void peer_frame_put_welcome(struct buf *out, floe_id id);
enum err peer_frame_get_welcome(const struct record *frame, floe_id *id) MUST_USE;

void peer_frame_put_refuse(struct buf *out, uint8_t code, const char *text);
/* text is borrowed, has no NUL and may hold any byte. */
enum err peer_frame_get_refuse(const struct record *frame, uint8_t *code, const char **text,
                               size_t *text_len) MUST_USE;

/* type is MESSAGE or SNAP_BEGIN. */
void peer_frame_put_message(struct buf *out, enum peer_frame type,
                            const struct floe_message *message);
void peer_frame_put_bytes(struct buf *out, enum peer_frame type, uint64_t index, const void *data,
                          size_t len);
void peer_frame_put_ack(struct buf *out, bool ok);
enum err peer_frame_get_ack(const struct record *frame, bool *ok) MUST_USE;

/* Copies at most size - 1 bytes of foreign text, what is not printable ASCII as '?', and a NUL. */
void peer_frame_clean_text(char *out, size_t size, const char *text, size_t len);

#endif
