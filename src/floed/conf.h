/* The configuration of floed: what conf/floed.toml documents. */
#ifndef FLOED_CONF_H
#define FLOED_CONF_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/logger.h"

#include <stdbool.h>
#include <stdint.h>

enum conf_sync { CONF_SYNC_AUTO, CONF_SYNC_DIRECT, CONF_SYNC_URING, CONF_SYNC_INLINE };

struct conf_member {
    uint64_t id;
    struct addr address;
};

struct conf {
    uint64_t id;
    char *name;
    char *data_dir;
    struct {
        struct addr listen;
        struct addr advertise; /* listen where the file gives none */
        bool insecure;
        uint32_t header_timeout_ms;
        uint32_t body_timeout_ms;
        uint32_t idle_timeout_ms;
        char *allow_origin; /* "": none */
    } http;
    struct {
        struct addr listen;
        struct addr advertise;
        bool insecure;
    } peer;
    struct {
        char *name;
        struct conf_member *members;
        size_t member_count;
        bool join;
    } cluster;
    struct {
        uint32_t heartbeat_ms;
        uint32_t election_ms;
        uint64_t snapshot_entries;
    } raft;
    struct {
        size_t key_bytes;
        size_t value_bytes;
        size_t body_bytes;
        size_t pending_bytes;
        size_t connections;
        uint32_t request_timeout_ms;
    } limits;
    struct {
        uint64_t history_s;
        uint64_t history_bytes;
    } store;
    struct {
        enum conf_sync sync;
    } storage;
    enum log_level log_level;
};

/* A single-member cluster on 127.0.0.1:12380 in ./floe-data. Owned by caller. */
void conf_defaults(struct conf *out);
/* ERR_INVALID, ERR_IO: why has "file:line: message", *out is untouched. Owned by caller. */
enum err conf_load(const char *path, struct conf *out, struct buf *why) MUST_USE;
/* The same from memory; name stands for the file in messages. */
enum err conf_read(const char *name, const char *text, size_t len, struct conf *out,
                   struct buf *why) MUST_USE;
void conf_deinit(struct conf *conf);

#endif
