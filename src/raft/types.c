/* Copies, ends, sizes and names of the plain values of include/floe/types.h. */
#include "base/assert.h"
#include "base/mem.h"

#include <floe/raft.h>

#include <string.h>

void floe_set_allocator(const struct floe_allocator *allocator)
{
    if (allocator == NULL || allocator->alloc == NULL) {
        mem_set_hooks(NULL);
        return;
    }
    struct mem_hooks hooks = {allocator->alloc, allocator->resize, allocator->release,
                              allocator->arg};
    mem_set_hooks(&hooks);
}

const char *floe_version(void)
{
    return FLOE_VERSION;
}

const char *floe_strerror(enum floe_err err)
{
    switch (err) {
    case FLOE_OK: return "ok";
    case FLOE_ERR_PROPOSAL_DROPPED: return "raft proposal dropped";
    case FLOE_ERR_STEP_LOCAL: return "raft: cannot step raft local message";
    case FLOE_ERR_STEP_PEER_UNKNOWN: return "raft: cannot step as peer not found";
    case FLOE_ERR_COMPACTED: return "requested index is unavailable due to compaction";
    case FLOE_ERR_UNAVAILABLE: return "requested entry at index is unavailable";
    case FLOE_ERR_SNAPSHOT_OUT_OF_DATE:
        return "requested index is older than the existing snapshot";
    case FLOE_ERR_SNAPSHOT_UNAVAILABLE: return "snapshot is temporarily unavailable";
    case FLOE_ERR_CONFIG: return "impossible configuration";
    case FLOE_ERR_INVALID: return "message that no correct node could send";
    case FLOE_ERR_CONF_CHANGE: return "configuration change refused";
    }
    return "unknown error";
}

/* ---- entries ------------------------------------------------------------------------------------ */

static uint64_t varint_size(uint64_t value)
{
    uint64_t bits = 64 - (uint64_t)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

uint64_t floe_entry_size(const struct floe_entry *entry)
{
    uint64_t size = 2 + varint_size(entry->term) + varint_size(entry->index);
    if (entry->type_set || entry->type != FLOE_ENTRY_NORMAL)
        size += 2;
    if (entry->data != NULL) {
        uint64_t data = floe_blob_size(entry->data);
        size += 1 + varint_size(data) + data;
    }
    return size;
}

struct floe_entry floe_entry_copy(const struct floe_entry *entry)
{
    struct floe_entry copy = *entry;
    copy.data = floe_blob_ref(entry->data);
    return copy;
}

void floe_entry_deinit(struct floe_entry *entry)
{
    floe_blob_unref(entry->data);
    *entry = (struct floe_entry){0};
}

struct floe_entry *floe_entries_copy(const struct floe_entry *entries, size_t count)
{
    if (count == 0)
        return NULL;
    struct floe_entry *copy = mem_calloc(count, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = floe_entry_copy(&entries[i]);
    return copy;
}

void floe_entries_free(struct floe_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        floe_entry_deinit(&entries[i]);
    mem_free(entries);
}

/* ---- membership ---------------------------------------------------------------------------------- */

void floe_ids_push(struct floe_ids *ids, floe_id id)
{
    size_t count = ids->count;
    if (count == 0 || (count >= 4 && (count & (count - 1)) == 0)) { /* full at 4, 8, 16 ... */
        size_t cap = count < 4 ? 4 : count * 2;
        ids->id = mem_realloc(ids->id, cap * sizeof *ids->id);
    }
    ids->id[ids->count++] = id;
}

bool floe_ids_contain(const struct floe_ids *ids, floe_id id)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->id[i] == id)
            return true;
    return false;
}

static struct floe_ids ids_copy(const struct floe_ids *ids)
{
    struct floe_ids copy = {0};
    for (size_t i = 0; i < ids->count; i++)
        floe_ids_push(&copy, ids->id[i]);
    return copy;
}

struct floe_conf_state floe_conf_state_copy(const struct floe_conf_state *cs)
{
    return (struct floe_conf_state){.voters = ids_copy(&cs->voters),
                                    .voters_outgoing = ids_copy(&cs->voters_outgoing),
                                    .learners = ids_copy(&cs->learners),
                                    .learners_next = ids_copy(&cs->learners_next),
                                    .auto_leave = cs->auto_leave};
}

void floe_conf_state_deinit(struct floe_conf_state *cs)
{
    mem_free(cs->voters.id);
    mem_free(cs->voters_outgoing.id);
    mem_free(cs->learners.id);
    mem_free(cs->learners_next.id);
    *cs = (struct floe_conf_state){0};
}

static size_t ids_count_of(const struct floe_ids *ids, floe_id id)
{
    size_t count = 0;
    for (size_t i = 0; i < ids->count; i++)
        count += ids->id[i] == id;
    return count;
}

static bool ids_equivalent(const struct floe_ids *a, const struct floe_ids *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (ids_count_of(a, a->id[i]) != ids_count_of(b, a->id[i]))
            return false;
    return true;
}

bool floe_conf_state_equivalent(const struct floe_conf_state *a, const struct floe_conf_state *b)
{
    return ids_equivalent(&a->voters, &b->voters) &&
           ids_equivalent(&a->voters_outgoing, &b->voters_outgoing) &&
           ids_equivalent(&a->learners, &b->learners) &&
           ids_equivalent(&a->learners_next, &b->learners_next) &&
           a->auto_leave == b->auto_leave;
}

struct floe_snapshot floe_snapshot_copy(const struct floe_snapshot *snapshot)
{
    return (struct floe_snapshot){.index = snapshot->index,
                                  .term = snapshot->term,
                                  .conf_state = floe_conf_state_copy(&snapshot->conf_state),
                                  .data = floe_blob_ref(snapshot->data)};
}

void floe_snapshot_deinit(struct floe_snapshot *snapshot)
{
    floe_conf_state_deinit(&snapshot->conf_state);
    floe_blob_unref(snapshot->data);
    *snapshot = (struct floe_snapshot){0};
}

/* ---- messages ------------------------------------------------------------------------------------- */

/* All but the responses, which never hold responses of their own. */
static struct floe_message copy_flat(const struct floe_message *message)
{
    struct floe_message copy = *message;
    copy.entries = floe_entries_copy(message->entries, message->entry_count);
    copy.context = floe_blob_ref(message->context);
    if (message->snapshot != NULL) {
        copy.snapshot = mem_alloc(sizeof *copy.snapshot);
        *copy.snapshot = floe_snapshot_copy(message->snapshot);
    }
    copy.responses = NULL;
    copy.response_count = 0;
    return copy;
}

struct floe_message floe_message_copy(const struct floe_message *message)
{
    struct floe_message copy = copy_flat(message);
    if (message->response_count > 0) {
        copy.responses = mem_calloc(message->response_count, sizeof *copy.responses);
        for (size_t i = 0; i < message->response_count; i++)
            copy.responses[i] = copy_flat(&message->responses[i]);
        copy.response_count = message->response_count;
    }
    return copy;
}

static void deinit_flat(struct floe_message *message)
{
    floe_entries_free(message->entries, message->entry_count);
    floe_blob_unref(message->context);
    if (message->snapshot != NULL) {
        floe_snapshot_deinit(message->snapshot);
        mem_free(message->snapshot);
    }
}

/* Leaves its fields as they were. */
static void release(struct floe_message *message)
{
    for (size_t i = 0; i < message->response_count; i++) {
        ASSERT(message->responses[i].response_count == 0);
        deinit_flat(&message->responses[i]);
    }
    mem_free(message->responses);
    deinit_flat(message);
}

void floe_message_deinit(struct floe_message *message)
{
    release(message);
    *message = (struct floe_message){0};
}

void floe_messages_free(struct floe_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        release(&messages[i]);
    mem_free(messages);
}

bool floe_message_type_is_local(enum floe_message_type type)
{
    return type == FLOE_MSG_HUP || type == FLOE_MSG_BEAT || type == FLOE_MSG_UNREACHABLE ||
           type == FLOE_MSG_SNAP_STATUS || type == FLOE_MSG_CHECK_QUORUM ||
           type == FLOE_MSG_STORAGE_APPEND || type == FLOE_MSG_STORAGE_APPEND_RESP ||
           type == FLOE_MSG_STORAGE_APPLY || type == FLOE_MSG_STORAGE_APPLY_RESP;
}

bool floe_message_type_is_response(enum floe_message_type type)
{
    return type == FLOE_MSG_APP_RESP || type == FLOE_MSG_VOTE_RESP ||
           type == FLOE_MSG_HEARTBEAT_RESP || type == FLOE_MSG_UNREACHABLE ||
           type == FLOE_MSG_READ_INDEX_RESP || type == FLOE_MSG_PRE_VOTE_RESP ||
           type == FLOE_MSG_STORAGE_APPEND_RESP || type == FLOE_MSG_STORAGE_APPLY_RESP;
}

const char *floe_message_type_name(enum floe_message_type type)
{
    static const char *const names[FLOE_MSG_TYPE_COUNT] = {
        [FLOE_MSG_HUP] = "MsgHup",
        [FLOE_MSG_BEAT] = "MsgBeat",
        [FLOE_MSG_PROP] = "MsgProp",
        [FLOE_MSG_APP] = "MsgApp",
        [FLOE_MSG_APP_RESP] = "MsgAppResp",
        [FLOE_MSG_VOTE] = "MsgVote",
        [FLOE_MSG_VOTE_RESP] = "MsgVoteResp",
        [FLOE_MSG_SNAP] = "MsgSnap",
        [FLOE_MSG_HEARTBEAT] = "MsgHeartbeat",
        [FLOE_MSG_HEARTBEAT_RESP] = "MsgHeartbeatResp",
        [FLOE_MSG_UNREACHABLE] = "MsgUnreachable",
        [FLOE_MSG_SNAP_STATUS] = "MsgSnapStatus",
        [FLOE_MSG_CHECK_QUORUM] = "MsgCheckQuorum",
        [FLOE_MSG_TRANSFER_LEADER] = "MsgTransferLeader",
        [FLOE_MSG_TIMEOUT_NOW] = "MsgTimeoutNow",
        [FLOE_MSG_READ_INDEX] = "MsgReadIndex",
        [FLOE_MSG_READ_INDEX_RESP] = "MsgReadIndexResp",
        [FLOE_MSG_PRE_VOTE] = "MsgPreVote",
        [FLOE_MSG_PRE_VOTE_RESP] = "MsgPreVoteResp",
        [FLOE_MSG_STORAGE_APPEND] = "MsgStorageAppend",
        [FLOE_MSG_STORAGE_APPEND_RESP] = "MsgStorageAppendResp",
        [FLOE_MSG_STORAGE_APPLY] = "MsgStorageApply",
        [FLOE_MSG_STORAGE_APPLY_RESP] = "MsgStorageApplyResp",
        [FLOE_MSG_FORGET_LEADER] = "MsgForgetLeader",
    };
    return (unsigned)type < FLOE_MSG_TYPE_COUNT ? names[type] : "MsgUnknown";
}

const char *floe_state_name(enum floe_state state)
{
    switch (state) {
    case FLOE_STATE_FOLLOWER: return "StateFollower";
    case FLOE_STATE_CANDIDATE: return "StateCandidate";
    case FLOE_STATE_LEADER: return "StateLeader";
    case FLOE_STATE_PRE_CANDIDATE: return "StatePreCandidate";
    }
    return "StateUnknown";
}

const char *floe_progress_state_name(enum floe_progress_state state)
{
    switch (state) {
    case FLOE_PROGRESS_PROBE: return "StateProbe";
    case FLOE_PROGRESS_REPLICATE: return "StateReplicate";
    case FLOE_PROGRESS_SNAPSHOT: return "StateSnapshot";
    }
    return "StateUnknown";
}
