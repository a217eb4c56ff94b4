/*
 * Who belongs to the cluster, with names and addresses: built from the log and the snapshot only.
 *
 * Ids that were removed are remembered for ever: an id is never used twice.
 */
#ifndef NODE_MEMBERS_H
#define NODE_MEMBERS_H

#include "base/buf.h"
#include "base/err.h"

#include <floe/confchange.h>
#include <floe/types.h>

struct member {
    floe_id id;
    char *name;         /* "" until published */
    char *peer_address; /* "host:port" */
    char *http_address; /* "" until published */
    bool stays_learner; /* is not promoted before somebody asks for it */
    uint64_t seed;      /* of its last start with an empty log under this id; 0: its first */
};

struct members {
    struct member *list; /* ascending by id */
    size_t count;
    size_t cap;
    struct floe_ids removed;
};

void members_deinit(struct members *members);
struct member *members_find(const struct members *members, floe_id id);
bool members_was_removed(const struct members *members, floe_id id);
/* The member that has this peer address; NULL: none. */
const struct member *members_by_address(const struct members *members, const char *address);
/* Adds one, or changes its address. */
void members_put(struct members *members, floe_id id, const char *peer_address);
/* Sets what a member has published about itself; false if it is not a member or nothing changed. */
bool members_set_info(struct members *members, floe_id id, const char *name,
                      const char *http_address);
/* Takes it out and remembers the id. */
void members_remove(struct members *members, floe_id id);

/* The whole table, for a snapshot's meta, and with it the hash of the chain there (chain.h; NULL:
 * not known). */
void members_encode(const struct members *members, const uint64_t *hash, struct buf *out);
/* Replaces *members. *has_hash: false where the snapshot knows none, as those of floe before it had
 * a chain. ERR_INVALID: everything is untouched. */
enum err members_decode(struct members *members, const uint8_t *data, size_t len, bool *has_hash,
                        uint64_t *hash) MUST_USE;

/* The context of a configuration change that adds or changes a member: its address; the number of
 * the try if it starts anew under its id, else 0; whether it stays a learner. */
struct member_context {
    char *address; /* owned by caller: mem_free; NULL where there is none */
    uint64_t seed;
    bool stays_learner;
};
struct floe_blob *member_context_encode(const char *peer_address, uint64_t seed,
                                        bool stays_learner);
enum err member_context_decode(const struct floe_blob *blob, struct member_context *out) MUST_USE;

/* The payload of ENVELOPE_MEMBER_INFO. */
struct member_info {
    floe_id id;
    char *name; /* owned by caller after decode: mem_free */
    char *http_address;
};
void member_info_encode(struct buf *out, floe_id id, const char *name, const char *http_address);
enum err member_info_decode(const uint8_t *data, size_t len, struct member_info *out) MUST_USE;

#endif
