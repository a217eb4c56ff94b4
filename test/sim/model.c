/* See model.h. */
#include "model.h"

#include "../unit/kv/twin.h"
#include "base/mem.h"
#include "node/envelope.h"
#include "node/internal.h"
#include "raft/core.h"
#include "world.h"

#include <inttypes.h>

#define RUNS 4           /* one run of so many has a model */
#define COMPARE_EVERY 40 /* entries, and after each new store */

void model_start(struct world *world)
{
    struct prng prng = {.state = world->plan.seed ^ UINT64_C(0x6d6f64656c)};
    if (prng_below(&prng, RUNS) == 0)
        world->model.twin = twin_new();
}

void model_deinit(struct model *model)
{
    if (model->twin != NULL)
        twin_free(model->twin);
    mem_free(model->done);
    *model = (struct model){0};
}

/* ---- feeding --------------------------------------------------------------------------------- */

static struct model_done *done_at(struct model *model, floe_index index)
{
    if (index >= model->cap) {
        model->cap = 2 * index + 64;
        model->done = mem_realloc(model->done, model->cap * sizeof *model->done);
    }
    return &model->done[index];
}

static void feed_entry(struct world *world, const struct floe_entry *entry)
{
    struct model *model = &world->model;
    struct model_done *done = done_at(model, entry->index);
    struct envelope envelope;
    struct kv_command command;
    *done = (struct model_done){.status = KV_OK};
    model->applied = entry->index;
    if (entry->type != FLOE_ENTRY_NORMAL || floe_blob_size(entry->data) == 0 ||
        envelope_decode(entry->data, &envelope) != ERR_OK || envelope.kind != ENVELOPE_KV)
        return;
    if (kv_command_decode(envelope.payload, envelope.payload_len, &command) != ERR_OK) {
        check_fail(world, "what was logged at %" PRIu64 " is no command", entry->index);
        return;
    }
    world->counts.modelled++;
    done->status = (int)twin_do(model->twin, &command, entry->term, NULL, &done->revision);
    kv_command_deinit(&command);
}

/* What this member has applied and the model has not. */
static void feed(struct world *world, struct machine *machine)
{
    struct model *model = &world->model;
    struct raft_entries entries = {0};
    if (machine->node->applied <= model->applied)
        return;
    if (raft_log_slice(&machine->node->raft->log, model->applied + 1, machine->node->applied + 1,
                       UINT64_MAX, &entries) != FLOE_OK)
        return; /* in a snapshot here; somebody else has them */
    for (size_t i = 0; i < entries.count && !world->check.failed; i++)
        feed_entry(world, &entries.list[i]);
    raft_entries_deinit(&entries);
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Both have applied the same. */
static bool is_level(const struct world *world, const struct machine *machine)
{
    const struct node *node = machine->node;
    return node != NULL && node->applied == world->model.applied && node->loading.reader == NULL &&
           !kv_is_applying(node->kv);
}

static void compare_numbers(struct world *world, const struct machine *machine)
{
    const struct kv *kv = machine->node->kv;
    const struct twin *twin = world->model.twin;
    if (kv_revision(kv) != twin->revision)
        check_fail(world, "member %u is at revision %" PRIu64 ", the model at %" PRIu64,
                   machine->id, kv_revision(kv), twin->revision);
    if (kv_compact_revision(kv) != twin->compact || kv_lease_count(kv) != twin->lease_count ||
        kv_ticket_last(kv) != twin->ticket_last)
        check_fail(world, "member %u and the model differ in compaction, leases or tickets",
                   machine->id);
}

static void compare(struct world *world, struct machine *machine)
{
    const struct twin *twin = world->model.twin;
    uint64_t first = twin->compact > 0 ? twin->compact : 1;
    trace_line(&world->trace, machine->id, "is compared with the model at %" PRIu64,
               world->model.applied);
    assert_store_is_twin(machine->node->kv, twin, twin->revision);
    assert_store_is_twin(machine->node->kv, twin, first);
    world->counts.compared++;
    machine->compared = (struct model_seen){.life = machine->life,
                                            .generation = node_kv_generation(machine->node),
                                            .applied = machine->node->applied};
}

void model_check(struct world *world, struct machine *machine)
{
    if (world->model.twin == NULL || world->check.failed || machine->node->loading.reader != NULL)
        return;
    feed(world, machine);
    if (!is_level(world, machine) || machine->compared.applied == world->model.applied)
        return;
    compare_numbers(world, machine);
    const struct model_seen *seen = &machine->compared;
    bool same =
        seen->life == machine->life && seen->generation == node_kv_generation(machine->node);
    if (!world->check.failed && (!same || machine->node->applied >= seen->applied + COMPARE_EVERY))
        compare(world, machine);
}

void model_check_all(struct world *world)
{
    if (world->model.twin == NULL)
        return;
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        if (is_level(world, &world->machine[i]))
            compare(world, &world->machine[i]);
    world->counts.models++;
    bool lost = true;
    for (unsigned i = 1; i <= SIM_MACHINES; i++)
        lost &= !is_level(world, &world->machine[i]);
    world->counts.models_lost += lost;
}
