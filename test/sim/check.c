/* See check.h. */
#include "check.h"

#include "base/assert.h"
#include "base/mem.h"
#include "node/internal.h"
#include "raft/core.h"
#include "raft/invariants.h"
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define VALUE_EDGE 64u /* bytes of a large value that are hashed at each end */

void check_deinit(struct check *check)
{
    mem_free(check->places);
    mem_free(check->leaders);
    *check = (struct check){0};
}

void check_fail(struct world *world, const char *format, ...)
{
    struct check *check = &world->check;
    if (check->failed)
        return;
    check->failed = true;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(check->why, sizeof check->why, format, args);
    va_end(args);
    trace_line(&world->trace, 0, "VIOLATED: %s", check->why);
}

/* ---- what is known of the log ---------------------------------------------------------------- */

static struct check_place *place_at(struct check *check, floe_index index)
{
    while (index >= check->place_cap) {
        size_t cap = check->place_cap > 0 ? 2 * check->place_cap : 1024;
        check->places = mem_realloc(check->places, cap * sizeof *check->places);
        memset(check->places + check->place_cap, 0,
               (cap - check->place_cap) * sizeof *check->places);
        check->place_cap = cap;
    }
    if (index > check->last)
        check->last = index;
    return &check->places[index];
}

static floe_id *leader_at(struct check *check, floe_term term)
{
    while (term >= check->leader_cap) {
        size_t cap = check->leader_cap > 0 ? 2 * check->leader_cap : 256;
        check->leaders = mem_realloc(check->leaders, cap * sizeof *check->leaders);
        memset(check->leaders + check->leader_cap, 0,
               (cap - check->leader_cap) * sizeof *check->leaders);
        check->leader_cap = cap;
    }
    return &check->leaders[term];
}

/* ---- after each turn ------------------------------------------------------------------------- */

static void check_monotony(struct world *world, struct machine *machine,
                           const struct floe_basic_status *status)
{
    const struct floe_hard_state *now = &status->hard_state;
    struct check_node *seen = &machine->seen;
    if (now->term < seen->term || now->commit < seen->commit ||
        machine->node->applied < seen->applied)
        check_fail(world, "term, commit and applied never decrease (member %u)", machine->id);
    if (now->term == seen->term && seen->vote != 0 && now->vote != seen->vote)
        check_fail(world, "one vote a term (member %u, term %" PRIu64 ")", machine->id, now->term);
    seen->term = now->term;
    seen->vote = now->vote;
    seen->commit = now->commit;
    uint64_t revision = kv_revision(machine->node->kv);
    if (revision < seen->revision)
        check_fail(world, "the revision never decreases (member %u)", machine->id);
    seen->revision = revision;
}

/* Committed entries are the same everywhere. */
static void check_entry(struct world *world, const struct machine *machine, floe_index index)
{
    const struct check_place *place = &world->check.places[index];
    floe_term own = floe_raft_term_at(machine->node->raft, index);
    if (own != 0 && place->term != 0 && own != place->term)
        check_fail(world,
                   "member %u has term %" PRIu64 " at %" PRIu64 ", but member %u has applied an "
                   "entry of term %" PRIu64 " there",
                   machine->id, own, index, place->machine, place->term);
}

/* Who leads has all that was committed in earlier terms. A leader of an older term may be behind:
 * it has not heard yet that its time is over. */
static void check_completeness(struct world *world, const struct machine *machine,
                               const struct floe_basic_status *status)
{
    for (floe_index i = 1; i <= world->check.last; i++) {
        const struct check_place *place = &world->check.places[i];
        if (place->term == 0 || place->seen >= status->hard_state.term)
            continue;
        if (i > status->last_index)
            check_fail(world,
                       "member %u leads in term %" PRIu64 " with a log that ends at %" PRIu64
                       ", but %" PRIu64 " is applied at member %u since term %" PRIu64,
                       machine->id, status->hard_state.term, status->last_index, i, place->machine,
                       place->seen);
        check_entry(world, machine, i);
    }
}

static void check_leader(struct world *world, struct machine *machine,
                         const struct floe_basic_status *status)
{
    floe_term term = status->hard_state.term;
    if (status->soft_state.state != FLOE_STATE_LEADER || machine->seen.led == term)
        return;
    machine->seen.led = term;
    floe_id *known = leader_at(&world->check, term);
    world->counts.elections += *known == 0;
    if (*known != 0 && *known != machine->id)
        check_fail(world, "members %" PRIu64 " and %u both lead in term %" PRIu64, *known,
                   machine->id, term);
    *known = machine->id;
    check_completeness(world, machine, status);
}

/* Only entries of the own term are committed by counting (thesis 3.6.2). */
static void check_commit(struct world *world, const struct machine *machine,
                         const struct floe_basic_status *status)
{
    floe_term term = status->hard_state.term;
    floe_index commit = status->hard_state.commit;
    if (status->soft_state.state != FLOE_STATE_LEADER || machine->seen.led != term ||
        commit == machine->seen.commit)
        return;
    floe_term own = floe_raft_term_at(machine->node->raft, commit);
    if (own != 0 && own != term)
        check_fail(world,
                   "member %u, leader of term %" PRIu64 ", has committed up to %" PRIu64
                   ", an entry of term %" PRIu64,
                   machine->id, term, commit, own);
}

/* It has lost what a leader of that term may believe it to have. */
static bool may_not_have(const struct machine *machine, const struct floe_raft *leader)
{
    return machine->back >= leader->term || (machine->forgets && !machine->admitted);
}

/* What a leader believes of others is so, unless they have gone on to a later term. */
static void check_match(struct world *world, const struct machine *machine)
{
    const struct floe_raft *raft = machine->node->raft;
    for (size_t i = 0; raft->state == FLOE_STATE_LEADER && i < raft->trk.progress.count; i++) {
        const struct raft_progress *pr = &raft->trk.progress.item[i];
        const struct machine *other = &world->machine[pr->id];
        if (other->node == NULL || other->node->raft->term > raft->term ||
            may_not_have(other, raft))
            continue;
        floe_term theirs = floe_raft_term_at(other->node->raft, pr->match);
        floe_term ours = floe_raft_term_at(raft, pr->match);
        if (pr->match > raft_log_last_index(&other->node->raft->log) ||
            (theirs != 0 && ours != 0 && theirs != ours))
            check_fail(world,
                       "leader %u of term %" PRIu64 " believes that member %" PRIu64
                       " has its log up to %" PRIu64,
                       machine->id, raft->term, pr->id, pr->match);
    }
}

/* A leader counts only what was acknowledged to it in its own term: an answer from an earlier one
 * was about entries that may have been replaced since, at the same index (ABA). */
static void check_counted(struct world *world, const struct machine *machine)
{
    const struct floe_raft *raft = machine->node->raft;
    for (size_t i = 0; raft->state == FLOE_STATE_LEADER && i < raft->trk.progress.count; i++) {
        const struct raft_progress *pr = &raft->trk.progress.item[i];
        const struct promise *given = &world->machine[pr->id].promise;
        if (pr->id == machine->id || pr->match == 0 || given->ack_term > raft->term ||
            may_not_have(&world->machine[pr->id], raft))
            continue;
        if (given->ack_term < raft->term || given->ack < pr->match)
            check_fail(world,
                       "leader %u of term %" PRIu64 " counts on %" PRIu64 " at member %" PRIu64
                       ", which has acknowledged %" PRIu64 " in term %" PRIu64,
                       machine->id, raft->term, pr->match, pr->id, given->ack, given->ack_term);
    }
}

static uint64_t mix(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 31);
}

static uint64_t mix_bytes(uint64_t hash, const uint8_t *data, size_t len)
{
    hash = mix(hash, len);
    for (size_t i = 0; i < len; i++) {
        if (i == VALUE_EDGE && i + VALUE_EDGE < len)
            i = len - VALUE_EDGE; /* a large value is not even walked over */
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static uint64_t mix_ids(uint64_t hash, const struct floe_ids *ids)
{
    hash = mix(hash, ids->count);
    for (size_t i = 0; i < ids->count; i++)
        hash = mix(hash, ids->id[i]);
    return hash;
}

/* Of what is in the store, read as everybody reads it; its own hash may be wrong. */
static uint64_t store_hash(struct world *world, const struct kv *kv)
{
    static const uint8_t first[1] = {0};
    struct kv_keys all = {.extent = KV_FROM_KEY, .key = {first, 1}};
    struct kv_cursor *cursor;
    struct kv_item item;
    uint64_t hash = mix(kv_revision(kv), kv_count(kv));
    size_t budget = SIZE_MAX;
    if (kv_cursor_open(kv, &all, 0, false, &cursor) != KV_OK) {
        check_fail(world, "the newest revision cannot be read");
        return hash;
    }
    while (kv_cursor_next(kv, cursor, &budget, &item) == KV_STEP_ITEM) {
        hash = mix_bytes(hash, item.key.data, item.key.len);
        hash = mix_bytes(hash, item.value.data, item.value.len);
        hash = mix(mix(mix(hash, item.create_revision), item.mod_revision), item.version);
        hash = mix(hash, item.lease);
    }
    kv_cursor_free(cursor);
    struct kv_lease_info lease = {.id = 0};
    while (lease.id < UINT64_MAX && kv_lease_seek(kv, lease.id + 1, &lease))
        hash = mix(mix(mix(mix(hash, lease.id), lease.ttl_s), lease.remaining_s), lease.key_count);
    const struct kv_alarm *alarms;
    size_t alarm_count = kv_alarms(kv, &alarms);
    for (size_t i = 0; i < alarm_count; i++)
        hash = mix(mix(hash, alarms[i].member), (uint64_t)alarms[i].kind);
    return mix(mix(hash, kv_compact_revision(kv)), kv_hash(kv));
}

/* Of everything that the log makes: the store, the members, the configuration. */
static uint64_t state_hash(struct world *world, const struct node *node)
{
    uint64_t hash = store_hash(world, node->kv);
    for (size_t i = 0; i < node->members.count; i++) {
        const struct member *member = &node->members.list[i];
        hash = mix(hash, member->id);
        hash = mix_bytes(hash, (const uint8_t *)member->peer_address, strlen(member->peer_address));
        hash = mix_bytes(hash, (const uint8_t *)member->name, strlen(member->name));
    }
    hash = mix_ids(hash, &node->members.removed);
    hash = mix_ids(mix_ids(hash, &node->conf_state.voters), &node->conf_state.learners);
    return hash != 0 ? hash : 1;
}

/* State machine safety, by the terms of what was applied and by the state that came of it. */
static void check_applied(struct world *world, struct machine *machine)
{
    struct node *node = machine->node;
    floe_index from = machine->seen.applied;
    if (node->applied == from || node->loading.reader != NULL)
        return;
    for (floe_index i = from + 1; i <= node->applied; i++) {
        floe_term own = floe_raft_term_at(node->raft, i);
        struct check_place *place = place_at(&world->check, i);
        if (place->term == 0 || machine->seen.term < place->seen)
            place->seen = machine->seen.term;
        check_entry(world, machine, i);
        if (place->term != 0 || own == 0)
            continue;
        place->term = own;
        place->machine = machine->id;
    }
    if (kv_is_applying(node->kv)) /* of the next command, whose leases go one by one */
        return;
    uint64_t hash = state_hash(world, node);
    struct check_place *place = place_at(&world->check, node->applied);
    if (place->hash != 0 && place->hash != hash)
        check_fail(world, "members %u and %u differ in their state at %" PRIu64, machine->id,
                   place->machine, node->applied);
    if (place->hash == 0)
        place->machine = machine->id;
    place->hash = hash;
    machine->seen.applied = node->applied;
    trace_numbers(&world->trace, machine->id, node->applied, hash);
}

void check_turn(struct world *world, struct machine *machine)
{
    const struct node *node = machine->node;
    struct floe_basic_status status = floe_raft_basic_status(node->raft);
    const char *broken = raft_check_invariants(node->raft);
    if (broken != NULL)
        check_fail(world, "%s (member %u)", broken, machine->id);
    check_commit(world, machine, &status);
    check_monotony(world, machine, &status);
    check_match(world, machine);
    check_counted(world, machine);
    promise_check(machine);
    check_applied(world, machine);
    check_leader(world, machine, &status);
    bounds_check(machine);
    if (node->applied > 0 && node->conf_state.voters.count > 0)
        machine->has_data = true;
}

/* ---- at the end ------------------------------------------------------------------------------ */

/* The log orders acknowledged writes as their answers and calls did. */
static void check_order(struct world *world)
{
    const struct clients *clients = &world->clients;
    for (size_t a = 0; a < clients->count; a++) {
        const struct history_op *first = &clients->history[a];
        if (!first->op.known || first->dropped || first->index == 0)
            continue;
        for (size_t b = 0; b < clients->count; b++) {
            const struct history_op *second = &clients->history[b];
            if (!second->op.known || second->dropped || second->index == 0 ||
                second->op.invoked < first->op.returned)
                continue;
            if (second->index <= first->index)
                check_fail(world,
                           "the write at %" PRIu64 " was called after the answer for %" PRIu64,
                           second->index, first->index);
        }
    }
}

static void check_linear(struct world *world)
{
    const struct clients *clients = &world->clients;
    struct linear_op *ops = mem_calloc(clients->count + 1, sizeof *ops);
    for (uint64_t key = 0; key < world->plan.keys; key++) {
        size_t count = 0;
        for (size_t i = 0; i < clients->count; i++) {
            const struct history_op *op = &clients->history[i];
            bool nothing =
                op->dropped || op->stale || (op->op.kind == LINEAR_READ && !op->op.known);
            if (op->op.key == key && !nothing)
                ops[count++] = op->op;
        }
        struct buf why = {0};
        enum linear_verdict verdict = linear_check(ops, count, &why);
        world->check.too_complex += verdict == LINEAR_TOO_COMPLEX;
        if (verdict == LINEAR_VIOLATION)
            check_fail(world, "the history of k%" PRIu64 " is not linearizable: %s", key,
                       why.len > 0 ? buf_str(&why) : "");
        buf_deinit(&why);
    }
    mem_free(ops);
}

static void describe_ids(struct buf *out, const struct floe_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        buf_printf(out, "%s%" PRIu64, i > 0 ? " " : "", ids->id[i]);
}

void check_describe(struct world *world)
{
    static const char *const states[] = {"unused", "down", "up", "removed", "damaged"};
    for (unsigned i = 1; i <= SIM_MACHINES; i++) {
        const struct machine *machine = &world->machine[i];
        const struct node *node = machine->node;
        struct buf text = {0};
        if (node != NULL) {
            struct floe_basic_status status = floe_raft_basic_status(node->raft);
            buf_printf(&text,
                       "term=%" PRIu64 " leader=%" PRIu64 " commit=%" PRIu64 " applied=%" PRIu64
                       " last=%" PRIu64 " snapshot=%" PRIu64 " loading=%d voters=",
                       status.hard_state.term, status.soft_state.lead, status.hard_state.commit,
                       node->applied, status.last_index, node->snapshot_index,
                       node->loading.reader != NULL);
            describe_ids(&text, &node->conf_state.voters);
            buf_printf(&text, " learners=");
            describe_ids(&text, &node->conf_state.learners);
        }
        if (machine->state != MACHINE_UNUSED)
            trace_line(&world->trace, i, "is %s%s %s", states[machine->state],
                       machine->removal_asked ? ", removal asked" : "", buf_str(&text));
        buf_deinit(&text);
    }
}

/* A read that may see the past sees something that was, with the revision that it had. */
static void check_stale(struct world *world)
{
    const struct clients *clients = &world->clients;
    for (size_t i = 0; i < clients->count; i++) {
        const struct history_op *read = &clients->history[i];
        if (!read->stale || !read->op.known || read->op.value == 0)
            continue;
        for (size_t k = 0; k < clients->count; k++) {
            const struct history_op *write = &clients->history[k];
            if (write->op.kind == LINEAR_READ || write->op.value != read->op.value)
                continue;
            if (write->op.invoked > read->op.returned || write->dropped ||
                (write->op.known && write->op.revision != read->op.revision))
                check_fail(world, "a stale read of k%" PRIu64 " saw what never was there",
                           read->op.key);
        }
    }
}

void check_history(struct world *world)
{
    check_stale(world);
    check_order(world);
    check_linear(world);
    pairs_check(world);
}

bool check_converged(struct world *world, floe_index index)
{
    unsigned leader = world_leader(world);
    if (leader == 0)
        return false;
    const struct floe_conf_state *conf = &world->machine[leader].node->conf_state;
    unsigned voters = 0;
    for (unsigned i = 1; i <= SIM_MACHINES; i++) {
        const struct machine *machine = &world->machine[i];
        bool voter = floe_ids_contain(&conf->voters, i);
        if (!machine_runs(machine) || (!voter && !floe_ids_contain(&conf->learners, i)))
            continue;
        if (machine->node->applied < index || machine->node->loading.reader != NULL)
            return false;
        voters += voter;
    }
    return 2 * voters > conf->voters.count;
}
