/*
 * The replicated state machine: an ordered store of byte keys with a revision for each write.
 *
 * Deterministic: reads no time, no randomness, no addresses. Revision 1 is the empty store; every
 * successful write raises it by one. Views are O(1): the tree is copied on write, so a view of one
 * revision stays as it is while writes go on.
 */
#ifndef KV_KV_H
#define KV_KV_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- commands: what a log entry asks of the store --------------------------------------------- */

enum kv_op { KV_OP_PUT = 1, KV_OP_DELETE = 2 };

enum kv_condition {
    KV_ALWAYS = 0,
    KV_IF_ABSENT = 1,       /* If-None-Match: * */
    KV_IF_MOD_REVISION = 2, /* If-Match: "N": key exists with this mod_revision */
    KV_IF_PRESENT = 3,      /* If-Match: * */
};

/* Key and value together; a larger command is invalid, so that a snapshot's reader can bound what
 * it believes. Part of the state machine: must never depend on configuration. */
#define KV_ITEM_MAX_BYTES (64U * 1024 * 1024)

struct kv_command {
    enum kv_op op;
    const uint8_t *key; /* borrowed; not empty */
    size_t key_len;
    const uint8_t *value; /* borrowed; PUT only */
    size_t value_len;
    enum kv_condition condition;
    uint64_t mod_revision; /* of KV_IF_MOD_REVISION */
};

void kv_command_put(struct buf *out, const struct kv_command *command);
/* Pointers of *out are borrowed from data. ERR_INVALID; ERR_VERSION: an op or a condition of a
 * newer version. */
enum err kv_command_get(const uint8_t *data, size_t len, struct kv_command *out) MUST_USE;

/* ---- the store -------------------------------------------------------------------------------- */

struct kv;

struct kv_item {
    const uint8_t *key;
    size_t key_len;
    const uint8_t *value;
    size_t value_len;
    uint64_t create_revision;
    uint64_t mod_revision;
    uint64_t version; /* 1 = first write since creation */
};

enum kv_status {
    KV_OK = 0,
    KV_CONDITION_FAILED,
    KV_KEY_NOT_FOUND,   /* DELETE of nothing (and the condition, which comes first, holds):
                           the revision does not move */
    KV_COMMAND_INVALID, /* undecodable: nothing changed, on every member alike */
};

struct kv_result {
    enum kv_status status;
    uint64_t revision;     /* of the store, after */
    uint64_t mod_revision; /* of the key, after; 0 = key is not there */
};

struct kv *kv_new(void);
void kv_free(struct kv *kv);
uint64_t kv_revision(const struct kv *kv);
uint64_t kv_count(const struct kv *kv);      /* keys */
uint64_t kv_size_bytes(const struct kv *kv); /* keys and values */
/* Borrowed until the next kv_apply or kv_free. */
bool kv_get(const struct kv *kv, const uint8_t *key, size_t key_len, struct kv_item *out);
/* The first item with a key >= key (or > key if after). Borrowed likewise. */
bool kv_seek(const struct kv *kv, const uint8_t *key, size_t key_len, bool after,
             struct kv_item *out);
struct kv_result kv_apply(struct kv *kv, const uint8_t *command, size_t len);

/* ---- snapshots: a view walked in slices, and the way back --------------------------------------- */

struct kv_view;

/* A view of the store as it is now; independent of later writes. O(1). */
struct kv_view *kv_view_new(struct kv *kv);
/* Gives the view back; what only it held is freed in slices by kv_reap. The kv may be gone. */
void kv_view_free(struct kv_view *view);
/* Appends the next items to *out until some max_bytes are added (one item more at most); true when
 * the walk is complete, and then adds the end mark with count and revision. */
bool kv_view_read(struct kv_view *view, struct buf *out, size_t max_bytes);

/* Builds a store from what kv_view_read wrote, fed in any split. */
struct kv_loader;
struct kv_loader *kv_loader_new(void);
void kv_loader_free(struct kv_loader *loader);
/* Frees a loader whose content is large: what it has built goes to kv's list for kv_reap. */
void kv_loader_discard(struct kv *kv, struct kv_loader *loader);
/* ERR_CORRUPT, ERR_VERSION; the same again on every later call. Memory beside the store itself: at
 * most what was fed of one item. */
enum err kv_loader_feed(struct kv_loader *loader, const uint8_t *data, size_t len) MUST_USE;
/* ERR_CORRUPT unless the end mark has been read and counts agree. *out owned by caller, once; the
 * loader is still to be freed. */
enum err kv_loader_finish(struct kv_loader *loader, struct kv **out) MUST_USE;

/* Frees up to max_nodes of what dropped views and kv_discard left; true if there is more. A kv
 * has its own list. */
bool kv_reap(struct kv *kv, size_t max_nodes);
/* Hands the whole content of old to kv's list of things to be freed in slices; old is gone. */
void kv_discard(struct kv *kv, struct kv *old);

#endif
