/* The queue is an array with a moving start, which is empty after most confirmed rounds. */
#include "raft/read_only.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/log.h"

#include <string.h>

size_t raft_read_weight(const struct floe_message *request)
{
    return sizeof(struct raft_read_request) + request->entry_count * sizeof *request->entries +
           (size_t)raft_payloads_size(request->entries, request->entry_count);
}

void raft_read_only_reset(struct raft_read_only *ro)
{
    for (size_t i = 0; i < ro->count; i++)
        floe_message_deinit(&ro->queue[ro->start + i].message);
    ro->start = 0;
    ro->count = 0;
    ro->bytes = 0;
    ro->ack_count = 0;
    ro->confirmed = 0;
}

void raft_read_only_deinit(struct raft_read_only *ro)
{
    raft_read_only_reset(ro);
    mem_free(ro->queue);
    mem_free(ro->acks);
    *ro = (struct raft_read_only){0};
}

static void record(struct raft_read_only *ro, floe_id id, uint64_t number)
{
    for (size_t i = 0; i < ro->ack_count; i++) {
        if (ro->acks[i].id != id)
            continue;
        if (number > ro->acks[i].number)
            ro->acks[i].number = number;
        return;
    }
    ro->acks = mem_grow(ro->acks, ro->ack_count, &ro->ack_cap, sizeof *ro->acks);
    ro->acks[ro->ack_count++] = (struct raft_read_ack){id, number};
}

void raft_read_only_add(struct raft_read_only *ro, const struct floe_message *message,
                        floe_index index, floe_id self)
{
    if (ro->start + ro->count == ro->cap && ro->start > ro->cap / 2) {
        memmove(ro->queue, ro->queue + ro->start, ro->count * sizeof *ro->queue);
        ro->start = 0;
    }
    ro->queue = mem_grow(ro->queue, ro->start + ro->count, &ro->cap, sizeof *ro->queue);
    ro->queue[ro->start + ro->count++] =
        (struct raft_read_request){.message = floe_message_copy(message), .index = index};
    ro->bytes += raft_read_weight(message);
    record(ro, self, ro->confirmed + ro->count);
}

struct floe_blob *raft_read_only_context(const struct raft_read_only *ro)
{
    if (ro->count == 0)
        return NULL;
    struct floe_blob *context = floe_blob_alloc(RAFT_READ_CONTEXT_BYTES);
    put_u64(floe_blob_bytes(context), ro->confirmed + ro->count);
    return context;
}

void raft_read_only_ack(struct raft_read_only *ro, floe_id from, const struct floe_blob *context)
{
    /* a number beyond ours is kept as any other, as in the reference: it may be of an earlier life
     * in the same term, which the disk had not kept */
    if (floe_blob_size(context) >= RAFT_READ_CONTEXT_BYTES)
        record(ro, from, get_u64(floe_blob_data(context)));
}

static bool acked_number(void *arg, floe_id id, floe_index *out)
{
    const struct raft_read_only *ro = arg;
    for (size_t i = 0; i < ro->ack_count; i++) {
        if (ro->acks[i].id == id) {
            *out = ro->acks[i].number;
            return true;
        }
    }
    return false;
}

size_t raft_read_only_ready(const struct raft_read_only *ro, const struct raft_config *config)
{
    void *arg;
    memcpy(&arg, &ro, sizeof arg); /* only read */
    uint64_t number =
        raft_joint_committed(&config->incoming, &config->outgoing, acked_number, arg);
    if (number <= ro->confirmed)
        return 0;
    return number - ro->confirmed < ro->count ? (size_t)(number - ro->confirmed) : ro->count;
}

struct raft_read_request raft_read_only_pop(struct raft_read_only *ro)
{
    ASSERT(ro->count > 0);
    struct raft_read_request first = ro->queue[ro->start];
    ro->count--;
    ro->bytes -= raft_read_weight(&first.message);
    ro->confirmed++;
    ro->start = ro->count > 0 ? ro->start + 1 : 0;
    return first;
}
