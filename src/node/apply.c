/*
 * Committed entries become state here, in order, in bounded slices; whoever waits for one is told.
 * Nothing is applied while an installed snapshot is being read in.
 */
#include "node/internal.h"

#include "node/envelope.h"

#include <inttypes.h>

void apply_push(struct node *node, struct floe_message *message)
{
    struct apply_job *job = mem_calloc(1, sizeof *job);
    job->message = *message;
    *message = (struct floe_message){0};
    STAILQ_INSERT_TAIL(&node->apply_jobs, job, next);
}

bool apply_has_work(const struct node *node)
{
    return !STAILQ_EMPTY(&node->apply_jobs) && node->loading.reader == NULL;
}

static void apply_member_info(struct node *node, const struct envelope *envelope)
{
    struct member_info info;
    if (member_info_decode(envelope->payload, envelope->payload_len, &info) != ERR_OK)
        return;
    if (members_set_info(&node->members, info.id, info.name, info.http_address))
        log_info(node->logger, "member published id=%" PRIu64 " name=%s http=%s", info.id,
                 info.name, info.http_address);
    mem_free(info.name);
    mem_free(info.http_address);
}

/* false: it goes on in the next turn. */
static bool apply_command(struct node *node, const struct envelope *envelope, floe_term term,
                          bool ours, struct kv_result *result)
{
    bool done;
    if (kv_is_applying(node->kv)) {
        done = kv_apply_go_on(node->kv, &node->apply_steps_left, result);
    } else {
        struct kv_log_entry entry = {.command = envelope->payload,
                                     .len = envelope->payload_len,
                                     .term = term,
                                     .want_replies =
                                         ours && requests_want_replies(node, envelope->seq)};
        node->apply_leases = kv_lease_changes(node->kv);
        done = kv_apply_begin(node->kv, &entry, &node->apply_steps_left, result);
    }
    if (!done)
        return false;
    bool own = ours && envelope->seq == 0; /* the leader's own: requests_propose_own */
    if (own || kv_lease_changes(node->kv) != node->apply_leases)
        leases_on_applied(node, envelope->payload, envelope->payload_len, own);
    return true;
}

static bool apply_normal(struct node *node, const struct floe_entry *entry)
{
    struct envelope envelope;
    if (floe_blob_size(entry->data) == 0 || envelope_decode(entry->data, &envelope) != ERR_OK)
        return true; /* a leader's first entry, or what a refused change became */
    struct node_result result = {.term = entry->term, .index = entry->index};
    bool ours = envelope.origin == node->options.id && envelope.boot == node->boot;
    if (envelope.kind == ENVELOPE_KV &&
        !apply_command(node, &envelope, entry->term, ours, &result.kv))
        return false;
    if (envelope.kind == ENVELOPE_MEMBER_INFO)
        apply_member_info(node, &envelope);
    if (ours)
        requests_on_applied(node, envelope.seq, result);
    else
        kv_result_deinit(&result.kv);
    return true;
}

static void add_member(struct node *node, const struct floe_conf_change_single *change,
                       const struct member_context *context)
{
    bool known = members_find(&node->members, change->node_id) != NULL;
    bool learner = change->type == FLOE_CONF_ADD_LEARNER;
    if (context->address != NULL)
        members_put(&node->members, change->node_id, context->address);
    else if (!known)
        members_put(&node->members, change->node_id, "");
    struct member *member = members_find(&node->members, change->node_id);
    if (context->seed != 0)
        member->seed = context->seed;
    member->stays_learner = learner && context->stays_learner;
    log_info(node->logger, "member %s id=%" PRIu64 " as=%s peer=%s",
             known ? "changed" : "added", change->node_id, learner ? "learner" : "voter",
             member->peer_address);
    if (change->node_id != node->options.id && member->peer_address[0] != 0) {
        peer_set_put(node->peers, change->node_id, member->peer_address);
        peer_set_dial(node->peers, node->now_ms);
    }
    reseed_on_members(node);
}

static void update_member(struct node *node, floe_id id, const char *address)
{
    if (address == NULL || members_find(&node->members, id) == NULL)
        return;
    members_put(&node->members, id, address);
    log_info(node->logger, "member changed id=%" PRIu64 " peer=%s", id, address);
    if (id != node->options.id)
        peer_set_put(node->peers, id, address);
}

/* It has lost its data and is added again at once: it stays in the table. */
static void restart_member(struct node *node, floe_id id)
{
    log_info(node->logger, "member starts anew id=%" PRIu64, id);
    rollback_forget(node, id);
}

static void remove_member(struct node *node, floe_id id)
{
    log_info(node->logger, "member removed id=%" PRIu64, id);
    members_remove(&node->members, id);
    rollback_forget(node, id);
    if (id == node->options.id)
        return; /* seen by apply_conf_change's caller, after the core has taken it */
    bool alone = node->conf_state.voters.count == 1 && node->conf_state.voters_outgoing.count == 0;
    if (node_is_leader(node) || alone) /* alone: it waits for our word, whoever led */
        changes_say_farewell(node, id);
    else
        peer_set_remove(node->peers, id, true);
}

/* Is every id of the change free to be used as it says? An id that was removed never comes back. */
static bool change_allowed(const struct node *node, const struct floe_conf_change *change)
{
    for (size_t i = 0; i < change->change_count; i++)
        if (change->changes[i].type != FLOE_CONF_REMOVE_NODE &&
            members_was_removed(&node->members, change->changes[i].node_id))
            return false;
    return true;
}

static void apply_change_to_members(struct node *node, const struct floe_conf_change *change)
{
    struct member_context context = {.address = NULL};
    if (member_context_decode(change->context, &context) != ERR_OK)
        log_warn(node->logger, "member change without a usable address");
    for (size_t i = 0; i < change->change_count; i++) {
        switch (change->changes[i].type) {
        case FLOE_CONF_ADD_NODE:
        case FLOE_CONF_ADD_LEARNER: add_member(node, &change->changes[i], &context); break;
        case FLOE_CONF_REMOVE_NODE:
            if (context.seed != 0)
                restart_member(node, change->changes[i].node_id);
            else
                remove_member(node, change->changes[i].node_id);
            break;
        case FLOE_CONF_UPDATE_NODE:
            update_member(node, change->changes[i].node_id, context.address);
            break;
        }
    }
    mem_free(context.address);
}

static void apply_conf_change(struct node *node, const struct floe_entry *entry)
{
    struct floe_conf_change change = {0};
    bool usable = floe_conf_change_decode(entry->type, entry->data, &change) == FLOE_OK &&
                  change_allowed(node, &change);
    struct floe_conf_change_single nobody = {.type = FLOE_CONF_ADD_NODE, .node_id = FLOE_ID_NONE};
    struct floe_conf_change nothing = {.changes = &nobody, .change_count = 1};
    bool was_member = members_find(&node->members, node->options.id) != NULL;
    struct floe_conf_state state = {0};
    enum floe_err err = floe_raft_apply_conf_change(node->raft, usable ? &change : &nothing,
                                                    &state);
    if (err == FLOE_OK) {
        floe_conf_state_deinit(&node->conf_state);
        node->conf_state = state;
        if (usable)
            apply_change_to_members(node, &change);
    } else {
        log_error(node->logger, "configuration change refused index=%" PRIu64 " why=%s",
                  entry->index, floe_strerror(err));
    }
    changes_on_applied(node, entry->index, entry->term);
    if (was_member && members_find(&node->members, node->options.id) == NULL)
        changes_begin_leaving(node, entry);
    floe_conf_change_deinit(&change);
}

/* false: it is not done in this turn. */
static bool apply_entry(struct node *node, const struct floe_entry *entry)
{
    if (entry->index <= node->applied)
        return true; /* handed out before a snapshot that holds it was installed */
    if (entry->type != FLOE_ENTRY_NORMAL)
        apply_conf_change(node, entry);
    else if (!apply_normal(node, entry))
        return false;
    chain_add(&node->chain, entry);
    beats_on_applied(node);
    if (entry->term > node->applied_term)
        requests_on_term(node, entry->term);
    node->applied = entry->index;
    node->applied_term = entry->term;
    node->applied_bytes += floe_entry_size(entry);
    requests_on_index(node, entry->index);
    return true;
}

static bool may_apply(const struct node *node)
{
    return node->apply_budget > 0 && node->apply_steps_left > 0 && node->life == NODE_RUNNING;
}

static void finish_job(struct node *node, struct apply_job *job)
{
    STAILQ_REMOVE_HEAD(&node->apply_jobs, next);
    for (size_t i = 0; i < job->message.response_count; i++)
        (void)node_step(node, &job->message.responses[i]);
    floe_message_deinit(&job->message);
    mem_free(job);
}

bool apply_some(struct node *node)
{
    bool stepped = false;
    while (apply_has_work(node) && node->life == NODE_RUNNING) {
        struct apply_job *job = STAILQ_FIRST(&node->apply_jobs);
        while (job->done < job->message.entry_count && may_apply(node)) {
            const struct floe_entry *entry = &job->message.entries[job->done];
            uint64_t cost = floe_entry_size(entry) + 64;
            if (!apply_entry(node, entry))
                break;
            job->done++;
            node->apply_budget -= cost < node->apply_budget ? cost : node->apply_budget;
        }
        if (job->done < job->message.entry_count)
            break;
        finish_job(node, job);
        stepped = true;
        if (!may_apply(node))
            break;
    }
    return stepped;
}

void apply_members_to_peers(struct node *node)
{
    for (size_t i = 0; i < node->members.count; i++) {
        const struct member *member = &node->members.list[i];
        if (member->id != node->options.id && member->peer_address[0] != 0)
            peer_set_put(node->peers, member->id, member->peer_address);
    }
    peer_set_dial(node->peers, node->now_ms);
    for (size_t i = 0; i < node->members.removed.count; i++)
        peer_set_remove(node->peers, node->members.removed.id[i], true);
}

void apply_deinit(struct node *node)
{
    struct apply_job *job;
    while ((job = STAILQ_FIRST(&node->apply_jobs)) != NULL) {
        STAILQ_REMOVE_HEAD(&node->apply_jobs, next);
        floe_message_deinit(&job->message);
        mem_free(job);
    }
    floe_conf_state_deinit(&node->conf_state);
    members_deinit(&node->members);
    if (node->kv != NULL)
        kv_free(node->kv);
}
