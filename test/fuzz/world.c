/* What must hold whatever happens: the five properties of the thesis' figure 3.2, checked on what
 * is applied, and the invariants of each core. */
#include "world.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/invariants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- storage: the disk, with the state machine's own snapshot and membership ----------------------- */

static struct floe_storage disk_of(void *ctx)
{
    return floe_memstore_storage(((struct world_node *)ctx)->disk);
}

static enum floe_err initial_state(void *ctx, struct floe_hard_state *hs,
                                   struct floe_conf_state *cs)
{
    struct world_node *node = ctx;
    *hs = floe_memstore_hard_state(node->disk);
    *cs = floe_conf_state_copy(&node->conf_state);
    return FLOE_OK;
}

static enum floe_err entries(void *ctx, floe_index lo, floe_index hi, uint64_t max,
                             struct floe_entry **out, size_t *count)
{
    return disk_of(ctx).entries(((struct world_node *)ctx)->disk, lo, hi, max, out, count);
}

static enum floe_err term(void *ctx, floe_index index, floe_term *out)
{
    return disk_of(ctx).term(((struct world_node *)ctx)->disk, index, out);
}

static floe_index first_index(void *ctx)
{
    return floe_memstore_first_index(((struct world_node *)ctx)->disk);
}

static floe_index last_index(void *ctx)
{
    return floe_memstore_last_index(((struct world_node *)ctx)->disk);
}

static enum floe_err snapshot(void *ctx, struct floe_snapshot *out)
{
    struct world_node *node = ctx;
    if (node->applied == 0)
        return FLOE_ERR_SNAPSHOT_UNAVAILABLE;
    *out = (struct floe_snapshot){.index = node->applied,
                                  .term = node->applied_term,
                                  .conf_state = floe_conf_state_copy(&node->conf_state)};
    return FLOE_OK;
}

/* ---- queues ------------------------------------------------------------------------------------------- */

void world_push(struct world_queue *queue, struct floe_message message)
{
    if (queue->count == WORLD_MESSAGES) {
        floe_message_deinit(&message);
        return;
    }
    queue->list[queue->count++] = message;
}

static struct floe_message take(struct world_queue *queue, size_t at)
{
    struct floe_message message = queue->list[at];
    queue->count--;
    memmove(queue->list + at, queue->list + at + 1,
            (queue->count - at) * sizeof queue->list[0]);
    return message;
}

static void clear(struct world_queue *queue)
{
    while (queue->count > 0)
        floe_message_deinit(&queue->list[--queue->count]);
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static void boot(struct world_node *node)
{
    node->config.applied = node->applied;
    node->config.seed++;
    node->seen = (struct floe_hard_state){0};
    node->seen_applied = 0;
    enum floe_err err = floe_raft_new(&node->config, &node->raft);
    ASSERT_MSG(err == FLOE_OK, "a core does not start from its disk");
}

void world_init(struct world *world, size_t count, const struct floe_config *config)
{
    memset(world, 0, sizeof *world);
    world->count = count;
    struct floe_snapshot first = {.index = 1, .term = 1};
    for (size_t i = 1; i <= count; i++)
        if (i == 1 || i <= count - count / 3) /* the last ones are to be added */
            floe_ids_push(&first.conf_state.voters, i);
    for (size_t i = 1; i <= count; i++) {
        struct world_node *node = &world->node[i];
        node->world = world;
        node->config = *config;
        node->config.id = i;
        node->config.storage = (struct floe_storage){.ctx = node,
                                                     .initial_state = initial_state,
                                                     .entries = entries,
                                                     .term = term,
                                                     .first_index = first_index,
                                                     .last_index = last_index,
                                                     .snapshot = snapshot};
        node->disk = floe_memstore_new();
        if (floe_ids_contain(&first.conf_state.voters, i)) {
            ASSERT(floe_memstore_apply_snapshot(node->disk, &first) == FLOE_OK);
            floe_memstore_set_hard_state(node->disk, (struct floe_hard_state){1, 0, 1});
            node->applied = 1;
            node->applied_term = 1;
            node->conf_state = floe_conf_state_copy(&first.conf_state);
        }
        boot(node);
    }
    floe_snapshot_deinit(&first);
}

void world_deinit(struct world *world)
{
    for (size_t i = 1; i <= world->count; i++) {
        struct world_node *node = &world->node[i];
        floe_raft_free(node->raft);
        floe_memstore_free(node->disk);
        floe_conf_state_deinit(&node->conf_state);
        clear(&node->append_work);
        clear(&node->apply_work);
    }
    clear(&world->network);
}

void world_restart(struct world_node *node)
{
    floe_raft_free(node->raft);
    clear(&node->append_work);
    clear(&node->apply_work);
    struct floe_hard_state hs = floe_memstore_hard_state(node->disk);
    if (hs.commit < node->applied) { /* what is applied was committed */
        hs.commit = node->applied;
        floe_memstore_set_hard_state(node->disk, hs);
    }
    boot(node);
}

/* ---- work --------------------------------------------------------------------------------------------------- */

static void broken(const char *what)
{
    (void)fprintf(stderr, "violated: %s\n", what);
    abort();
}

static void store(struct world_node *node, const struct floe_hard_state *hs,
                  const struct floe_snapshot *snap, const struct floe_entry *list, size_t count)
{
    if (hs->term != 0 || hs->vote != 0 || hs->commit != 0)
        floe_memstore_set_hard_state(node->disk, *hs);
    if (snap != NULL && snap->index != 0 && snap->index > node->applied) {
        (void)floe_memstore_apply_snapshot(node->disk, snap);
        floe_conf_state_deinit(&node->conf_state);
        node->conf_state = floe_conf_state_copy(&snap->conf_state);
        node->applied = snap->index;
        node->applied_term = snap->term;
    }
    floe_memstore_append(node->disk, list, count);
}

static uint64_t sum_of(const struct floe_entry *entry)
{
    uint64_t sum = 14695981039346656037u ^ (uint64_t)entry->type;
    for (size_t i = 0; i < floe_blob_size(entry->data); i++)
        sum = (sum ^ floe_blob_data(entry->data)[i]) * 1099511628211u;
    return sum;
}

/* State machine safety: whoever applies an index applies the same entry there. */
static void judge_entry(struct world *world, const struct floe_entry *entry)
{
    if (entry->index >= WORLD_INDEXES || world->hostile)
        return;
    floe_term *known = &world->applied_terms[entry->index];
    uint64_t sum = sum_of(entry);
    if (*known != 0 && (*known != entry->term || world->applied_sums[entry->index] != sum))
        broken("state machine safety");
    *known = entry->term;
    world->applied_sums[entry->index] = sum;
}

static void apply_entry(struct world_node *node, const struct floe_entry *entry)
{
    if (entry->index <= node->applied)
        return; /* in a snapshot that overtook it */
    if (entry->index != node->applied + 1)
        broken("entries are applied without a gap");
    judge_entry(node->world, entry);
    if (entry->type != FLOE_ENTRY_NORMAL) {
        struct floe_conf_change change = {0};
        struct floe_conf_state next = {0};
        struct floe_conf_change_single nobody = {.type = FLOE_CONF_ADD_NODE};
        struct floe_conf_change nothing = {.changes = &nobody, .change_count = 1};
        bool good = floe_conf_change_decode(entry->type, entry->data, &change) == FLOE_OK;
        enum floe_err err =
            floe_raft_apply_conf_change(node->raft, good ? &change : &nothing, &next);
        if (err == FLOE_OK) {
            floe_conf_state_deinit(&node->conf_state);
            node->conf_state = next;
        }
        floe_conf_change_deinit(&change);
    }
    node->applied = entry->index;
    node->applied_term = entry->term;
}

/* A request for votes of a term that is not stored waits (see struct floe_ready). */
static void hold_vote(struct world_node *node, struct floe_message vote)
{
    if (node->append_work.count == 0) {
        world_push(&node->world->network, vote);
        return;
    }
    struct floe_message *work = &node->append_work.list[node->append_work.count - 1];
    work->responses =
        mem_realloc(work->responses, (work->response_count + 1) * sizeof *work->responses);
    work->responses[work->response_count++] = vote;
}

static void hand_out(struct world_node *node, struct floe_message message)
{
    if (message.to == FLOE_ID_APPEND_THREAD)
        world_push(&node->append_work, message);
    else if (message.to == FLOE_ID_APPLY_THREAD)
        world_push(&node->apply_work, message);
    else
        world_push(&node->world->network, message);
}

void world_ready(struct world_node *node)
{
    if (!floe_raft_has_ready(node->raft) || node->append_work.count >= WORLD_MESSAGES - 1 ||
        node->apply_work.count >= WORLD_MESSAGES - 1)
        return;
    struct floe_ready ready;
    floe_raft_ready(node->raft, &ready);
    bool sync = !node->config.async_storage_writes;
    struct floe_hard_state none = {0};
    if (sync)
        store(node, ready.has_hard_state ? &ready.hard_state : &none, &ready.snapshot,
              ready.entries, ready.entry_count);
    for (size_t i = 0; i < ready.message_count; i++) {
        if (ready.messages[i].type == FLOE_MSG_VOTE)
            continue;
        hand_out(node, ready.messages[i]);
        ready.messages[i] = (struct floe_message){0};
    }
    for (size_t i = 0; i < ready.message_count; i++) {
        if (ready.messages[i].type == FLOE_MSG_VOTE)
            hold_vote(node, ready.messages[i]);
        ready.messages[i] = (struct floe_message){0};
    }
    for (size_t i = 0; sync && i < ready.committed_count; i++)
        apply_entry(node, &ready.committed[i]);
    floe_ready_deinit(&ready);
    if (sync)
        floe_raft_advance(node->raft);
}

static void respond(struct world_node *node, struct floe_message *done)
{
    for (size_t i = 0; i < done->response_count; i++) {
        struct floe_message response = done->responses[i];
        done->responses[i] = (struct floe_message){0};
        if (response.to == node->config.id) {
            (void)!floe_raft_step(node->raft, &response);
            floe_message_deinit(&response);
        } else {
            world_push(&node->world->network, response);
        }
    }
    floe_message_deinit(done);
}

void world_append(struct world_node *node)
{
    if (node->append_work.count == 0)
        return;
    struct floe_message m = take(&node->append_work, 0);
    struct floe_hard_state hs = {m.term, m.vote, m.commit};
    store(node, &hs, m.snapshot, m.entries, m.entry_count);
    respond(node, &m);
}

void world_apply(struct world_node *node)
{
    if (node->apply_work.count == 0)
        return;
    struct floe_message m = take(&node->apply_work, 0);
    for (size_t i = 0; i < m.entry_count; i++)
        apply_entry(node, &m.entries[i]);
    respond(node, &m);
}

void world_deliver(struct world *world, size_t at, bool copy)
{
    struct floe_message m =
        copy ? floe_message_copy(&world->network.list[at]) : take(&world->network, at);
    if (m.to >= 1 && m.to <= world->count)
        (void)!floe_raft_step(world->node[m.to].raft, &m);
    floe_message_deinit(&m);
}

void world_drop(struct world *world, size_t at)
{
    struct floe_message m = take(&world->network, at);
    floe_message_deinit(&m);
}

void world_settle(struct world *world, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 1; i <= world->count; i++) {
            world_ready(&world->node[i]);
            world_append(&world->node[i]);
            world_apply(&world->node[i]);
        }
        for (size_t left = world->network.count; left > 0 && world->network.count > 0; left--)
            world_deliver(world, 0, false);
    }
}

/* ---- the judge ------------------------------------------------------------------------------------------------ */

static void judge_leader(struct world *world, const struct floe_basic_status *status)
{
    floe_term now = status->hard_state.term;
    if (status->soft_state.state != FLOE_STATE_LEADER || now >= WORLD_TERMS || world->hostile)
        return;
    if (world->leaders[now] != 0 && world->leaders[now] != status->id)
        broken("election safety");
    world->leaders[now] = status->id;
}

static void judge_monotony(struct world_node *node, const struct floe_basic_status *status)
{
    const struct floe_hard_state *now = &status->hard_state;
    if (now->term < node->seen.term || now->commit < node->seen.commit ||
        status->applied < node->seen_applied)
        broken("term, commit and applied never decrease");
    if (now->term == node->seen.term && node->seen.vote != 0 && now->vote != node->seen.vote)
        broken("one vote a term");
    node->seen = *now;
    node->seen_applied = status->applied;
}

/* Leader completeness and log matching, on what has been applied anywhere. */
static void judge_log(struct world *world, struct world_node *node,
                      const struct floe_basic_status *status)
{
    if (world->hostile)
        return;
    bool leads = status->soft_state.state == FLOE_STATE_LEADER;
    for (floe_index i = 1; i < WORLD_INDEXES && i <= status->last_index; i++) {
        floe_term known = world->applied_terms[i];
        floe_term own = floe_raft_term_at(node->raft, i);
        bool must = leads && known != 0 && known < status->hard_state.term;
        if (known != 0 && own != 0 && own != known && (i <= status->hard_state.commit || must))
            broken("log matching or leader completeness");
    }
}

void world_judge(struct world *world)
{
    for (size_t i = 1; i <= world->count; i++) {
        struct world_node *node = &world->node[i];
        struct floe_basic_status status = floe_raft_basic_status(node->raft);
        const char *why = raft_check_invariants(node->raft);
        if (why != NULL)
            broken(why);
        judge_monotony(node, &status);
        judge_leader(world, &status);
        judge_log(world, node, &status);
    }
}
