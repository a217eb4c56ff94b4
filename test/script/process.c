/* Working off ready batches, messages and storage queues, and doing so until nothing is left. */
#include "env.h"

#include "base/mem.h"
#include "raft/describe.h"

#include <inttypes.h>
#include <string.h>

/* Of one stabilize: batches, messages and pieces of storage work, and the bytes it may print. */
#define SETTLE_ITEMS 100000u
#define SETTLE_BYTES (64u << 20)

static void print_message(struct env *env, const struct floe_message *message)
{
    struct buf text = {0};
    describe_message(&text, message, 0);
    buf_add_u8(&text, '\n');
    env_print(env, (const char *)text.data, text.len);
    buf_deinit(&text);
}

/* ---- ready --------------------------------------------------------------------------------- */

static void hand_out(struct env_node *node, struct floe_ready *ready)
{
    for (size_t i = 0; i < ready->message_count; i++) {
        struct floe_message message = ready->messages[i];
        ready->messages[i] = (struct floe_message){0};
        if (message.to == FLOE_ID_APPEND_THREAD)
            env_push(&node->append_work, message);
        else if (message.to == FLOE_ID_APPLY_THREAD)
            env_push(&node->apply_work, message);
        else
            env_push(&node->env->messages, message);
    }
}

const char *env_process_ready(struct env_node *node)
{
    struct floe_ready ready;
    floe_raft_ready(node->raft, &ready);
    struct buf text = {0};
    describe_ready(&text, &ready);
    env_print(node->env, (const char *)text.data, text.len);
    buf_deinit(&text);
    const char *error = NULL;
    if (!node->config.async_storage_writes) {
        struct floe_hard_state none = {0};
        error = env_append(node, ready.has_hard_state ? &ready.hard_state : &none, &ready.snapshot,
                           ready.entries, ready.entry_count);
        if (error == NULL)
            env_apply(node, ready.committed, ready.committed_count);
    }
    if (error == NULL) {
        hand_out(node, &ready);
        if (!node->config.async_storage_writes)
            floe_raft_advance(node->raft);
    }
    floe_ready_deinit(&ready);
    return error;
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool is_thread(floe_id id)
{
    return id == FLOE_ID_APPEND_THREAD || id == FLOE_ID_APPLY_THREAD;
}

static bool is_local(const struct floe_message *m)
{
    return m->from == m->to || is_thread(m->from) || is_thread(m->to);
}

static void deliver_one(struct env *env, const struct floe_message *m, bool drop)
{
    if (drop)
        env_printf(env, "dropped: ");
    print_message(env, m);
    struct env_node *node = env_node(env, m->to);
    if (drop || node == NULL)
        return;
    enum floe_err err = floe_raft_step(node->raft, m);
    if (err != FLOE_OK)
        env_printf(env, "%s\n", floe_strerror(err));
}

/* Moves what is for this recipient out of the messages in flight; both keep their order. */
static struct env_list take_for(struct env *env, floe_id to, bool drop, int type)
{
    struct env_list taken = {0};
    size_t kept = 0;
    for (size_t i = 0; i < env->messages.count; i++) {
        struct floe_message m = env->messages.list[i];
        if (m.to == to && (type < 0 || (int)m.type == type) && !(drop && is_local(&m)))
            env_push(&taken, m);
        else
            env->messages.list[kept++] = m;
    }
    env->messages.count = kept;
    return taken;
}

size_t env_deliver(struct env *env, floe_id to, bool drop, int type)
{
    struct env_list taken = take_for(env, to, drop, type);
    size_t count = taken.count;
    for (size_t i = 0; i < count; i++)
        deliver_one(env, &taken.list[i], drop);
    floe_messages_free(taken.list, taken.count);
    return count;
}

/* ---- storage threads ------------------------------------------------------------------------- */

/* The message without its responses, which are given back. */
static struct env_list detach(struct floe_message *m)
{
    struct env_list responses = {.list = m->responses, .count = m->response_count};
    m->responses = NULL;
    m->response_count = 0;
    return responses;
}

static void send_responses(struct env *env, struct env_list *responses)
{
    env_printf(env, "Responses:\n");
    for (size_t i = 0; i < responses->count; i++) {
        print_message(env, &responses->list[i]);
        env_push(&env->messages, responses->list[i]);
    }
    mem_free(responses->list);
}

const char *env_append_thread(struct env_node *node)
{
    struct env *env = node->env;
    if (node->append_work.count == 0) {
        env_printf(env, "no append work to perform");
        return NULL;
    }
    struct floe_message m = env_take(&node->append_work, 0);
    struct env_list responses = detach(&m);
    env_printf(env, "Processing:\n");
    print_message(env, &m);
    struct floe_hard_state hs = {m.term, m.vote, m.commit};
    const char *error = env_append(node, &hs, m.snapshot, m.entries, m.entry_count);
    if (error == NULL)
        send_responses(env, &responses);
    else
        floe_messages_free(responses.list, responses.count);
    floe_message_deinit(&m);
    return error;
}

const char *env_apply_thread(struct env_node *node)
{
    struct env *env = node->env;
    if (node->apply_work.count == 0) {
        env_printf(env, "no apply work to perform");
        return NULL;
    }
    struct floe_message m = env_take(&node->apply_work, 0);
    struct env_list responses = detach(&m);
    env_printf(env, "Processing:\n");
    print_message(env, &m);
    env_apply(node, m.entries, m.entry_count);
    send_responses(env, &responses);
    floe_message_deinit(&m);
    return NULL;
}

/* ---- stabilize ------------------------------------------------------------------------------- */

struct round {
    struct env *env;
    struct env_node **nodes;
    size_t count;
    bool busy;
    const char *error;
};

static bool spend(struct round *round)
{
    struct env *env = round->env;
    if (env->budget == 0 || env->out.len > SETTLE_BYTES || env->messages.count > SETTLE_ITEMS)
        env->exhausted = true;
    else
        env->budget--;
    round->busy = true;
    return !env->exhausted;
}

static void ready_phase(struct round *round)
{
    for (size_t i = 0; i < round->count && round->error == NULL; i++) {
        struct env_node *node = round->nodes[i];
        if (!floe_raft_has_ready(node->raft) || !spend(round))
            continue;
        env_printf(round->env, "> %" PRIu64 " handling Ready\n", node->config.id);
        size_t begin = round->env->out.len;
        round->error = env_process_ready(node);
        env_indent(round->env, begin);
    }
}

static bool has_messages(const struct env *env, floe_id to)
{
    for (size_t i = 0; i < env->messages.count; i++)
        if (env->messages.list[i].to == to)
            return true;
    return false;
}

static void deliver_phase(struct round *round)
{
    for (size_t i = 0; i < round->count && round->error == NULL; i++) {
        floe_id id = round->nodes[i]->config.id;
        if (!has_messages(round->env, id) || !spend(round))
            continue;
        env_printf(round->env, "> %" PRIu64 " receiving messages\n", id);
        size_t begin = round->env->out.len;
        size_t handled = env_deliver(round->env, id, false, -1);
        round->env->budget -= handled < round->env->budget ? (unsigned)handled : round->env->budget;
        env_indent(round->env, begin);
    }
}

static void thread_phase(struct round *round, bool append)
{
    for (size_t i = 0; i < round->count && round->error == NULL; i++) {
        struct env_node *node = round->nodes[i];
        struct env_list *work = append ? &node->append_work : &node->apply_work;
        if (work->count == 0)
            continue;
        env_printf(round->env, "> %" PRIu64 " processing %s thread\n", node->config.id,
                   append ? "append" : "apply");
        size_t begin = round->env->out.len;
        while (work->count > 0 && round->error == NULL && spend(round))
            round->error = append ? env_append_thread(node) : env_apply_thread(node);
        env_indent(round->env, begin);
    }
}

static const char *run_rounds(struct round *round)
{
    do {
        round->busy = false;
        ready_phase(round);
        deliver_phase(round);
        thread_phase(round, true);
        thread_phase(round, false);
    } while (round->busy && round->error == NULL && !round->env->exhausted);
    return round->error;
}

const char *env_stabilize(struct env *env, const struct script_directive *d)
{
    struct round round = {.env = env};
    round.nodes = mem_calloc(env->node_count + d->arg_count + 1, sizeof(void *));
    for (size_t i = 0; i < d->arg_count && round.error == NULL; i++) {
        if (d->args[i].value_count > 0)
            continue;
        floe_id id;
        struct env_node *node = arg_id(d, i, &id) ? env_node(env, id) : NULL;
        if (node == NULL)
            round.error = "there is no such node";
        else
            round.nodes[round.count++] = node;
    }
    if (round.count == 0)
        for (size_t i = 0; i < env->node_count; i++)
            round.nodes[round.count++] = env->nodes[i];
    env->budget = SETTLE_ITEMS;
    const char *error = round.error != NULL ? round.error : run_rounds(&round);
    mem_free(round.nodes);
    return error;
}
