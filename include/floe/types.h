/*
 * floe consensus library: the values that go in and come out.
 *
 * Everything here is plain data. Zero is a valid empty value of every struct. Ids, terms and
 * indexes are 64 bit and never zero when they name something: id 0 is "nobody", term 0 "before the
 * first election", index 0 "before the first entry" (thesis 3.3, figure 3.1).
 *
 * Ownership: a `struct floe_message`, `floe_entry` or `floe_snapshot` owns one reference to each
 * blob that it names and owns its arrays; *_copy makes an independent one (arrays copied, blobs
 * shared), *_deinit gives everything back and zeroes the struct.
 */
#ifndef FLOE_TYPES_H
#define FLOE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FLOE_EXPORT __attribute__((visibility("default")))
#define FLOE_MUST_USE __attribute__((warn_unused_result))
#else
#define FLOE_EXPORT
#define FLOE_MUST_USE
#endif

typedef uint64_t floe_id;    /* a member, 1 .. 2^64-3; 0 = none */
typedef uint64_t floe_term;  /* election term (thesis 3.3); 0 = before the first */
typedef uint64_t floe_index; /* log position, 1 ..; 0 = before the first entry */

#define FLOE_ID_NONE 0
#define FLOE_ID_APPEND_THREAD UINT64_MAX      /* addressee of FLOE_MSG_STORAGE_APPEND */
#define FLOE_ID_APPLY_THREAD (UINT64_MAX - 1) /* addressee of FLOE_MSG_STORAGE_APPLY */
#define FLOE_NO_LIMIT UINT64_MAX

enum floe_err {
    FLOE_OK = 0,
    FLOE_ERR_PROPOSAL_DROPPED,   /* certainly not appended anywhere; may be tried again */
    FLOE_ERR_STEP_LOCAL,         /* a local message type came through floe_raft_step */
    FLOE_ERR_STEP_PEER_UNKNOWN,  /* a response from a node that is not tracked */
    FLOE_ERR_COMPACTED,          /* storage: the position lies before the first index */
    FLOE_ERR_UNAVAILABLE,        /* storage: the position lies behind the last index */
    FLOE_ERR_SNAPSHOT_OUT_OF_DATE,  /* storage: older than the one that is there */
    FLOE_ERR_SNAPSHOT_UNAVAILABLE,  /* storage: not ready now, ask again later */
    FLOE_ERR_CONFIG,             /* struct floe_config or its storage is impossible */
    FLOE_ERR_INVALID,            /* a message or change that no correct node could send */
    FLOE_ERR_CONF_CHANGE,        /* a configuration change that the algebra refuses */
};

/* The text of an error, e.g. "raft proposal dropped". Never NULL; static storage. */
FLOE_EXPORT const char *floe_strerror(enum floe_err err);

/* ---- bytes: immutable once shared, counted, not thread safe -------------------------------- */

struct floe_blob; /* opaque */

/* A blob with a copy of size bytes; data may be NULL if size is 0. One reference to the caller. */
FLOE_EXPORT struct floe_blob *floe_blob_new(const void *data, size_t size);
/* A blob of size bytes to be filled through floe_blob_bytes before it is shared. */
FLOE_EXPORT struct floe_blob *floe_blob_alloc(size_t size);
/* One more reference (returns blob); NULL stays NULL. */
FLOE_EXPORT struct floe_blob *floe_blob_ref(struct floe_blob *blob);
/* Gives one reference back; NULL is allowed. */
FLOE_EXPORT void floe_blob_unref(struct floe_blob *blob);
/* Borrowed until the last unref. NULL has size 0 and data "". */
FLOE_EXPORT const uint8_t *floe_blob_data(const struct floe_blob *blob);
FLOE_EXPORT size_t floe_blob_size(const struct floe_blob *blob);
FLOE_EXPORT uint8_t *floe_blob_bytes(struct floe_blob *blob);

/* ---- log entries ---------------------------------------------------------------------------- */

enum floe_entry_type {
    FLOE_ENTRY_NORMAL = 0,
    FLOE_ENTRY_CONF_CHANGE = 1,    /* data: an encoded single change (V1) */
    FLOE_ENTRY_CONF_CHANGE_V2 = 2, /* data: an encoded floe_conf_change; NULL = leave joint */
};

/* (thesis 3.5) */
struct floe_entry {
    floe_term term;   /* of the leader that made it */
    floe_index index; /* its place */
    enum floe_entry_type type;
    bool type_set;           /* the type counts 2 bytes in sizes though it is NORMAL (presence) */
    struct floe_blob *data;  /* NULL: absent, which is not the same as empty in sizes */
};

/* The size that limits count: that of the entry as protobuf with explicit presence, bytes. */
FLOE_EXPORT uint64_t floe_entry_size(const struct floe_entry *entry);
FLOE_EXPORT struct floe_entry floe_entry_copy(const struct floe_entry *entry);
FLOE_EXPORT void floe_entry_deinit(struct floe_entry *entry);
/* Copies count entries into a new array (NULL if count is 0), owned by caller. */
FLOE_EXPORT struct floe_entry *floe_entries_copy(const struct floe_entry *entries, size_t count);
/* Gives back an array and what it holds. NULL with count 0 is allowed. */
FLOE_EXPORT void floe_entries_free(struct floe_entry *entries, size_t count);

/* ---- durable state -------------------------------------------------------------------------- */

/* What must be on disk before a message that depends on it leaves (thesis 3.8). */
struct floe_hard_state {
    floe_term term;    /* the highest one heard of; never decreases */
    floe_id vote;      /* whom this node voted for in term; 0 = nobody */
    floe_index commit; /* known to be committed; may lag behind when it is read back */
};

/* A list of ids; owns the array. */
struct floe_ids {
    floe_id *id;
    size_t count;
};

/* The membership at some index (thesis 4.3 joint consensus). voters_outgoing is non-empty only in
 * a joint configuration. Lists need not be sorted; floe's own are, ascending. */
struct floe_conf_state {
    struct floe_ids voters;          /* of the newer half, if joint */
    struct floe_ids voters_outgoing; /* of the older half */
    struct floe_ids learners;        /* no voter of either half is one (thesis 4.2.1) */
    struct floe_ids learners_next;   /* outgoing voters that become learners on leaving joint */
    bool auto_leave;                 /* joint only: the leader leaves it by itself */
};

FLOE_EXPORT struct floe_conf_state floe_conf_state_copy(const struct floe_conf_state *cs);
FLOE_EXPORT void floe_conf_state_deinit(struct floe_conf_state *cs);
/* Same sets and flag, in whatever order. */
FLOE_EXPORT bool floe_conf_state_equivalent(const struct floe_conf_state *a,
                                            const struct floe_conf_state *b);
/* Appends id to the list. */
FLOE_EXPORT void floe_ids_push(struct floe_ids *ids, floe_id id);
FLOE_EXPORT bool floe_ids_contain(const struct floe_ids *ids, floe_id id);

/* A snapshot names a prefix of the log; data is the application's (may be NULL: floed keeps the
 * bytes in a file and sends them on a connection of their own). index 0 = no snapshot. */
struct floe_snapshot {
    floe_index index; /* the last one that it stands for (thesis 7) */
    floe_term term;   /* of the entry there */
    struct floe_conf_state conf_state; /* as of index */
    struct floe_blob *data;
};

FLOE_EXPORT struct floe_snapshot floe_snapshot_copy(const struct floe_snapshot *snapshot);
FLOE_EXPORT void floe_snapshot_deinit(struct floe_snapshot *snapshot);

/* ---- messages ------------------------------------------------------------------------------- */

/* The numbers are those of the reference. "Local" ones never travel. */
enum floe_message_type {
    FLOE_MSG_HUP = 0,              /* local: campaign */
    FLOE_MSG_BEAT = 1,             /* local: a heartbeat is due */
    FLOE_MSG_PROP = 2,             /* entries to be appended; followers forward it */
    FLOE_MSG_APP = 3,              /* AppendEntries (thesis 3.5) */
    FLOE_MSG_APP_RESP = 4,         /* its answer, and that to a snapshot */
    FLOE_MSG_VOTE = 5,             /* RequestVote (thesis 3.4) */
    FLOE_MSG_VOTE_RESP = 6,        /* its answer */
    FLOE_MSG_SNAP = 7,             /* InstallSnapshot (thesis 7) */
    FLOE_MSG_HEARTBEAT = 8,        /* no entries; carries commit and the round of reads */
    FLOE_MSG_HEARTBEAT_RESP = 9,   /* its answer */
    FLOE_MSG_UNREACHABLE = 10,     /* local: floe_raft_report_unreachable */
    FLOE_MSG_SNAP_STATUS = 11,     /* local: floe_raft_report_snapshot */
    FLOE_MSG_CHECK_QUORUM = 12,    /* local: a leader looks whether a quorum lives (thesis 6.2) */
    FLOE_MSG_TRANSFER_LEADER = 13, /* a wish to hand over; followers forward it (thesis 3.10) */
    FLOE_MSG_TIMEOUT_NOW = 14,     /* to the heir: campaign at once (thesis 3.10) */
    FLOE_MSG_READ_INDEX = 15,      /* a read asks for an index; followers forward it (thesis 6.4) */
    FLOE_MSG_READ_INDEX_RESP = 16, /* its answer */
    FLOE_MSG_PRE_VOTE = 17,        /* would you vote for me? (thesis 9.6) */
    FLOE_MSG_PRE_VOTE_RESP = 18,   /* its answer */
    FLOE_MSG_STORAGE_APPEND = 19,  /* to the append thread: store this (thesis 10.2.1) */
    FLOE_MSG_STORAGE_APPEND_RESP = 20, /* from it: this is durable */
    FLOE_MSG_STORAGE_APPLY = 21,       /* to the apply thread: apply this */
    FLOE_MSG_STORAGE_APPLY_RESP = 22,  /* from it: this is applied */
    FLOE_MSG_FORGET_LEADER = 23,       /* local: floe_raft_forget_leader */
    FLOE_MSG_TYPE_COUNT = 24,
};

struct floe_message {
    enum floe_message_type type;
    floe_id to;   /* a member or a storage thread; never 0 in what comes out */
    floe_id from; /* its sender; set by the driver from who it is that speaks */
    floe_term term;     /* 0: local or forwarded, no term check */
    floe_term log_term; /* term at index; in a rejection the hint's term */
    floe_index index;   /* position before entries; in an answer the acknowledged or rejected one */
    struct floe_entry *entries; /* APP, PROP, STORAGE_*; of reads one, whose data is the context */
    size_t entry_count;
    floe_index commit; /* APP, HEARTBEAT: the leader's; STORAGE_APPEND: the hard state's */
    floe_id vote;                   /* FLOE_MSG_STORAGE_APPEND only: the hard state's vote */
    struct floe_snapshot *snapshot; /* NULL: none. SNAP, STORAGE_APPEND(_RESP) */
    bool reject;               /* an answer: no; SNAP_STATUS: failed */
    floe_index reject_hint;    /* APP_RESP: where the logs may agree, at most */
    struct floe_blob *context; /* HEARTBEAT(_RESP): round of reads; VOTE: a transfer; NULL: none */
    /* STORAGE_APPEND and STORAGE_APPLY: to be delivered once the work is done, in this order. */
    struct floe_message *responses;
    size_t response_count;
};

FLOE_EXPORT struct floe_message floe_message_copy(const struct floe_message *message);
FLOE_EXPORT void floe_message_deinit(struct floe_message *message);
/* Gives back an array of messages and what they hold. */
FLOE_EXPORT void floe_messages_free(struct floe_message *messages, size_t count);

/* Types that only a node's own driver creates; floe_raft_step refuses them unless they come from
 * a storage thread. */
FLOE_EXPORT bool floe_message_type_is_local(enum floe_message_type type);
FLOE_EXPORT bool floe_message_type_is_response(enum floe_message_type type);
/* "MsgApp", "MsgVoteResp", ...; "MsgUnknown" for others. */
FLOE_EXPORT const char *floe_message_type_name(enum floe_message_type type);

/* ---- memory --------------------------------------------------------------------------------- */

/* The library never sees NULL from an allocator: when memory runs out the process ends (a step
 * half done would be worse than a restart from the log). Set once, before the first other call;
 * all three or none (NULLs restore malloc, realloc, free). Affects the whole process. */
struct floe_allocator {
    void *(*alloc)(void *arg, size_t size);
    void *(*resize)(void *arg, void *ptr, size_t size);
    void (*release)(void *arg, void *ptr);
    void *arg;
};
FLOE_EXPORT void floe_set_allocator(const struct floe_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
