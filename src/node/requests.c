/*
 * Every write has a ticket that always ends: done, certainly not done, or unknown.
 *
 * Writes are proposed in batches, once a turn, as soon as there is a leader. A proposal is tried
 * again only when it is certain that the last try can have no effect.
 */
#include "node/internal.h"

#include "codec/pack.h"
#include "node/envelope.h"

#include <inttypes.h>
#include <string.h>

/* ---- results --------------------------------------------------------------------------------- */

void requests_push_result(struct node *node, struct node_result result)
{
    if (node->result_count == node->result_cap) {
        size_t cap = node->result_cap > 0 ? node->result_cap * 2 : 64;
        struct node_result *ring = mem_calloc(cap, sizeof *ring);
        for (size_t i = 0; i < node->result_count; i++)
            ring[i] = node->results[(node->result_head + i) % node->result_cap];
        mem_free(node->results);
        node->results = ring;
        node->result_cap = cap;
        node->result_head = 0;
    }
    node->results[(node->result_head + node->result_count++) % node->result_cap] = result;
}

bool node_next_result(struct node *node, struct node_result *out)
{
    if (node->result_count == 0)
        return false;
    *out = node->results[node->result_head];
    node->result_head = (node->result_head + 1) % node->result_cap;
    node->result_count--;
    return true;
}

void requests_result(struct node *node, struct waiter *waiter, struct node_result result)
{
    if (!waiter->internal) {
        result.token = waiter->token;
        requests_push_result(node, result);
    } else {
        kv_result_deinit(&result.kv);
    }
    waiters_end(&node->waiters, waiter);
}

/* ---- requests come in ------------------------------------------------------------------------ */

static bool refuse_at_once(struct node *node, uint64_t token, size_t bytes, bool grows)
{
    struct node_result result = {.token = token, .outcome = NODE_NOT_DONE};
    if (requests_are_over(node)) {
        result.text = requests_end_text(node);
    } else if (grows && room_refusal(node, true) != NULL) {
        result.outcome = NODE_NO_ROOM;
        result.text = room_refusal(node, true);
    } else if (node->waiters.bytes + bytes > node->options.pending_bytes) {
        result.outcome = NODE_OVERLOADED;
        result.text = "too many bytes of requests are under way";
    } else {
        return false;
    }
    requests_push_result(node, result);
    return true;
}

static struct waiter *add_write(struct node *node, enum envelope_kind kind,
                                const struct buf *payload, uint64_t now_ms)
{
    struct envelope envelope = {.kind = kind,
                                .origin = node->options.id,
                                .boot = node->boot,
                                .seq = node->waiters.last_seq + 1,
                                .payload = payload->data,
                                .payload_len = payload->len};
    struct floe_blob *blob = envelope_encode(&envelope);
    size_t bytes = floe_blob_size(blob) + sizeof(struct waiter);
    struct waiter *waiter = waiters_add(&node->waiters, WAITER_WRITE, blob, bytes,
                                        now_ms + node->options.request_timeout_ms);
    ASSERT(waiter->seq == envelope.seq);
    return waiter;
}

void node_write(struct node *node, uint64_t token, const struct kv_command *command,
                bool want_replies, uint64_t now_ms)
{
    bool grows = kv_command_grows(command);
    struct buf payload = {0};
    kv_command_encode(&payload, command);
    if (!refuse_at_once(node, token, payload.len + 512, grows)) {
        struct waiter *waiter = add_write(node, ENVELOPE_KV, &payload, now_ms);
        waiter->token = token;
        waiter->grows = grows;
        waiter->growth = grows ? kv_command_growth(node->kv, command) : 0;
        waiter->want_replies = want_replies;
    }
    buf_deinit(&payload);
}

bool requests_propose_own(struct node *node, const struct kv_command *command)
{
    ASSERT(node_is_leader(node));
    struct buf payload = {0};
    kv_command_encode(&payload, command);
    struct envelope envelope = {.kind = ENVELOPE_KV,
                                .origin = node->options.id,
                                .boot = node->boot,
                                .seq = 0, /* of no waiter */
                                .payload = payload.data,
                                .payload_len = payload.len};
    struct floe_blob *blob = envelope_encode(&envelope);
    bool taken = room_takes(node, floe_blob_size(blob), false, 0) &&
                 floe_raft_propose_batch(node->raft, &blob, 1) == FLOE_OK;
    floe_blob_unref(blob);
    buf_deinit(&payload);
    return taken;
}

static struct waiter *add_change(struct node *node, enum waiter_kind kind, uint64_t token,
                                 floe_id id, uint64_t now_ms)
{
    struct waiter *waiter = waiters_add(&node->waiters, kind, NULL, sizeof(struct waiter),
                                        now_ms + node->options.request_timeout_ms);
    waiter->token = token;
    waiter->member_id = id;
    return waiter;
}

void node_add_member(struct node *node, uint64_t token, floe_id id, const char *address,
                     bool stay_learner, uint64_t now_ms)
{
    ASSERT(strlen(address) < ADDR_TEXT_MAX);
    if (refuse_at_once(node, token, sizeof(struct waiter), false))
        return;
    struct waiter *waiter = add_change(node, WAITER_ADD, token, id, now_ms);
    memcpy(waiter->address, address, strlen(address) + 1);
    waiter->stay_learner = stay_learner;
}

void node_update_member(struct node *node, uint64_t token, floe_id id, const char *address,
                        uint64_t now_ms)
{
    ASSERT(strlen(address) < ADDR_TEXT_MAX);
    if (refuse_at_once(node, token, sizeof(struct waiter), false))
        return;
    struct waiter *waiter = add_change(node, WAITER_UPDATE, token, id, now_ms);
    memcpy(waiter->address, address, strlen(address) + 1);
}

void node_remove_member(struct node *node, uint64_t token, floe_id id, uint64_t now_ms)
{
    if (!refuse_at_once(node, token, sizeof(struct waiter), false))
        (void)add_change(node, WAITER_REMOVE, token, id, now_ms);
}

void node_promote_member(struct node *node, uint64_t token, floe_id id, uint64_t now_ms)
{
    if (!refuse_at_once(node, token, sizeof(struct waiter), false))
        (void)add_change(node, WAITER_PROMOTE, token, id, now_ms);
}

void node_transfer_leader(struct node *node, uint64_t token, floe_id to, uint64_t now_ms)
{
    if (!refuse_at_once(node, token, sizeof(struct waiter), false))
        (void)add_change(node, WAITER_TRANSFER, token, to, now_ms);
}

/* ---- proposing ------------------------------------------------------------------------------- */

struct batch {
    struct waiter *waiter[NODE_BATCH_ENTRIES];
    struct floe_blob *data[NODE_BATCH_ENTRIES];
    size_t count;
    size_t bytes;
};

static void requeue(struct node *node, struct waiter *waiter, uint64_t wait_ms)
{
    waiter->retry_ms = node->now_ms + wait_ms;
    waiters_set_state(&node->waiters, waiter, WAITER_QUEUED);
}

/* At the leader: the places that the batch has got. */
static void mark_proposed(struct node *node, const struct batch *batch)
{
    struct floe_basic_status status = floe_raft_basic_status(node->raft);
    ASSERT(status.last_index >= batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        batch->waiter[i]->index = status.last_index - batch->count + 1 + i;
        batch->waiter[i]->term = status.hard_state.term;
        waiters_set_state(&node->waiters, batch->waiter[i], WAITER_PROPOSED);
    }
}

/* false: the core takes nothing more now. */
static bool propose_batch(struct node *node, const struct batch *batch)
{
    if (batch->count == 0)
        return true;
    bool leader = node_is_leader(node);
    if (floe_raft_propose_batch(node->raft, batch->data, batch->count) != FLOE_OK) {
        for (size_t i = 0; i < batch->count; i++)
            batch->waiter[i]->retry_ms = node->now_ms + NODE_RETRY_MS;
        return false;
    }
    if (leader) {
        mark_proposed(node, batch);
        return true;
    }
    for (size_t i = 0; i < batch->count; i++)
        waiters_set_state(&node->waiters, batch->waiter[i], WAITER_FORWARDED);
    return true;
}

/* There is none for this one now: perhaps once what was taken in this turn is in the log, perhaps
 * for smaller ones only. */
static void wait_for_room(struct node *node, struct waiter *waiter)
{
    bool refused = room_was_refused(node) || (waiter->grows && node->reserve.is_tight);
    uint64_t came_ms = waiter->deadline_ms - node->options.request_timeout_ms;
    if (refused && node->now_ms >= came_ms + ROOM_PATIENCE_MS)
        requests_result(node, waiter,
                        (struct node_result){.outcome = NODE_NO_ROOM,
                                             .text = room_refusal_of_size(node, waiter->grows)});
    else if (refused || node->room.level != NODE_ROOM_GOOD)
        waiter->retry_ms = node->now_ms + NODE_RETRY_MS;
    else
        node->more = true;
}

/* Room that is wanted for longer than a moment will not come soon. */
static void refuse_for_room(struct node *node)
{
    struct waiter *waiter;
    struct waiter *next;
    for (waiter = TAILQ_FIRST(&node->waiters.queued); waiter != NULL; waiter = next) {
        next = TAILQ_NEXT(waiter, in_state);
        const char *why = room_refusal(node, waiter->grows);
        if (why != NULL && waiter->kind == WAITER_WRITE)
            requests_result(node, waiter,
                            (struct node_result){.outcome = NODE_NO_ROOM, .text = why});
    }
}

void requests_propose(struct node *node)
{
    if (TAILQ_EMPTY(&node->waiters.queued))
        return;
    refuse_for_room(node);
    if (node_leader(node) == 0)
        return;
    struct batch batch = {.count = 0};
    struct waiter *waiter = TAILQ_FIRST(&node->waiters.queued);
    struct waiter *next;
    for (; waiter != NULL; waiter = next) {
        next = TAILQ_NEXT(waiter, in_state);
        if (waiter->retry_ms > node->now_ms)
            continue;
        if (waiter->kind != WAITER_WRITE) {
            changes_attempt(node, waiter);
            continue;
        }
        if (!room_takes(node, floe_blob_size(waiter->data), waiter->grows, waiter->growth)) {
            wait_for_room(node, waiter);
            continue;
        }
        batch.waiter[batch.count] = waiter;
        batch.data[batch.count++] = waiter->data;
        batch.bytes += waiter->bytes;
        if (batch.count < NODE_BATCH_ENTRIES && batch.bytes < NODE_BATCH_BYTES)
            continue;
        if (!propose_batch(node, &batch))
            return;
        batch.count = 0;
        batch.bytes = 0;
    }
    (void)propose_batch(node, &batch);
}

/* ---- what becomes of proposals --------------------------------------------------------------- */

bool requests_want_replies(struct node *node, uint64_t seq)
{
    const struct waiter *waiter = waiters_find(&node->waiters, seq);
    return waiter != NULL && waiter->want_replies;
}

void requests_on_applied(struct node *node, uint64_t seq, struct node_result result)
{
    struct waiter *waiter = waiters_find(&node->waiters, seq);
    if (waiter != NULL && waiter->kind == WAITER_WRITE)
        requests_result(node, waiter, result);
    else
        kv_result_deinit(&result.kv);
}

void requests_on_index(struct node *node, floe_index index)
{
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(&node->waiters.proposed)) != NULL && waiter->index <= index)
        requeue(node, waiter, 0);
}

/* The waiter of a forwarded proposal of ours; NULL: it is another member's, or waits no more. */
static struct waiter *find_forwarded(struct node *node, const struct floe_entry *entry)
{
    struct envelope envelope;
    if (envelope_decode(entry->data, &envelope) != ERR_OK ||
        envelope.origin != node->options.id || envelope.boot != node->boot)
        return NULL;
    struct waiter *waiter = waiters_find(&node->waiters, envelope.seq);
    return waiter != NULL && waiter->state == WAITER_FORWARDED ? waiter : NULL;
}

void requests_on_forward(struct node *node, const struct floe_message *message, floe_term term)
{
    for (size_t i = 0; i < message->entry_count; i++) {
        struct waiter *waiter = find_forwarded(node, &message->entries[i]);
        if (waiter != NULL)
            waiter->term = term;
    }
}

/* What was forwarded in an older term would have been applied before this, or is in a log of that
 * term which nobody will ever commit; and nobody takes it any more (is_late in pump.c). */
void requests_on_term(struct node *node, floe_term term)
{
    struct waiter *waiter;
    TAILQ_FOREACH(waiter, &node->waiters.all, in_all)
    {
        if (waiter->kind == WAITER_WRITE && waiter->state == WAITER_FORWARDED &&
            waiter->term < term)
            requeue(node, waiter, 0);
    }
}

void requests_on_snapshot(struct node *node, floe_index index)
{
    struct waiter *waiter;
    TAILQ_FOREACH(waiter, &node->waiters.all, in_all)
    {
        if (waiter->kind == WAITER_WRITE && waiter->state == WAITER_FORWARDED)
            waiters_set_state(&node->waiters, waiter, WAITER_UNKNOWABLE);
    }
    while ((waiter = TAILQ_FIRST(&node->waiters.proposed)) != NULL && waiter->index <= index)
        waiters_set_state(&node->waiters, waiter, WAITER_UNKNOWABLE);
}

void requests_on_not_appended(struct node *node, const uint8_t *data, size_t len)
{
    struct unpack in = unpack_init(data, len);
    uint32_t count = unpack_array(&in);
    uint64_t boot = unpack_u64(&in);
    floe_term term = unpack_u64(&in);
    for (uint32_t i = 2; i < count && !in.failed && boot == node->boot; i++) {
        struct waiter *waiter = waiters_find(&node->waiters, unpack_u64(&in));
        /* not if another one was asked meanwhile (requests_on_term) */
        if (!in.failed && waiter != NULL && waiter->state == WAITER_FORWARDED &&
            waiter->term == term)
            requeue(node, waiter, NODE_RETRY_MS);
    }
}

void requests_refuse_forwarded(struct node *node, const struct floe_message *message)
{
    struct buf seqs = {0};
    uint32_t count = 0;
    uint64_t boot = 0;
    for (size_t i = 0; i < message->entry_count; i++) {
        struct envelope envelope;
        if (message->entries[i].type != FLOE_ENTRY_NORMAL ||
            envelope_decode(message->entries[i].data, &envelope) != ERR_OK ||
            envelope.origin != message->from)
            continue;
        boot = envelope.boot;
        pack_u64(&seqs, envelope.seq);
        count++;
    }
    if (count > 0) {
        struct buf note = {0};
        pack_array(&note, count + 2);
        pack_u64(&note, boot);
        pack_u64(&note, message->log_term);
        buf_add(&note, seqs.data, seqs.len);
        if (peer_set_send_note(node->peers, message->from, NOTE_NOT_APPENDED, note.data,
                               note.len) != ERR_OK)
            log_debug(node->logger, "note lost to=%" PRIu64, message->from);
        buf_deinit(&note);
    }
    buf_deinit(&seqs);
}

/* A forwarded batch that certainly never left this process. */
void requests_on_unsent(struct node *node, const struct floe_message *message)
{
    for (size_t i = 0; i < message->entry_count; i++) {
        struct waiter *waiter = find_forwarded(node, &message->entries[i]);
        if (waiter != NULL)
            requeue(node, waiter, NODE_RETRY_MS);
    }
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void end_waiter(struct node *node, struct waiter *waiter, const char *not_done)
{
    bool nowhere = waiter->state == WAITER_QUEUED && !waiter->answered;
    struct node_result result = {.outcome = nowhere ? NODE_NOT_DONE : NODE_UNKNOWN,
                                 .text = nowhere
                                             ? not_done
                                             : "the outcome is not known: it may still be done"};
    requests_result(node, waiter, result);
}

void requests_expire(struct node *node)
{
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(&node->waiters.all)) != NULL &&
           waiter->deadline_ms <= node->now_ms)
        end_waiter(node, waiter, node_leader(node) == 0 ? "there is no leader"
                                                        : "the leader could not take it in time");
}

bool requests_are_over(const struct node *node)
{
    return node->stopping || node->leaving_until_ms != 0 || node->life != NODE_RUNNING;
}

const char *requests_end_text(const struct node *node)
{
    if (node->leaving_until_ms != 0 || node->life == NODE_REMOVED)
        return "this member was removed from the cluster";
    return node->life == NODE_FAILED ? "this member has failed" : "this member is stopping";
}

void requests_end_all(struct node *node)
{
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(&node->waiters.all)) != NULL)
        end_waiter(node, waiter, requests_end_text(node));
}

/* ---- the member's own name and address ------------------------------------------------------- */

void requests_publish(struct node *node)
{
    const struct member *self = members_find(&node->members, node->options.id);
    if (self == NULL || node_leader(node) == 0 || node->now_ms < node->publish_ms ||
        node->stopping)
        return;
    if (strcmp(self->name, node->options.name) == 0 &&
        strcmp(self->http_address, node->options.http_address) == 0)
        return;
    struct buf payload = {0};
    member_info_encode(&payload, node->options.id, node->options.name,
                       node->options.http_address);
    add_write(node, ENVELOPE_MEMBER_INFO, &payload, node->now_ms)->internal = true;
    node->publish_ms = node->now_ms + node->options.request_timeout_ms;
    buf_deinit(&payload);
}
