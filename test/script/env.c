/* Nodes, their storage and history, and the checks that run after every command. */
#include "env.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/describe.h"
#include "raft/invariants.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- lists ------------------------------------------------------------------------------------------ */

void env_push(struct env_list *list, struct floe_message message)
{
    list->list = mem_grow(list->list, list->count, &list->cap, sizeof *list->list);
    list->list[list->count++] = message;
}

struct floe_message env_take(struct env_list *list, size_t at)
{
    ASSERT(at < list->count);
    struct floe_message message = list->list[at];
    list->count--;
    memmove(list->list + at, list->list + at + 1, (list->count - at) * sizeof *list->list);
    return message;
}

static void list_deinit(struct env_list *list)
{
    floe_messages_free(list->list, list->count);
    *list = (struct env_list){0};
}

/* ---- output ----------------------------------------------------------------------------------------- */

void env_print(struct env *env, const char *text, size_t len)
{
    if (env->level != ENV_LEVEL_NONE)
        buf_add(&env->out, text, len);
}

void env_printf(struct env *env, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    env_print(env, text, len > 0 ? (size_t)len : 0);
}

void env_indent(struct env *env, size_t begin)
{
    struct buf inner = {0};
    buf_add(&inner, env->out.data + begin, env->out.len - begin);
    env->out.len = begin;
    bool at_start = true;
    for (size_t i = 0; i < inner.len; i++) {
        if (at_start)
            buf_add(&env->out, "  ", 2);
        at_start = inner.data[i] == '\n';
        buf_add_u8(&env->out, inner.data[i]);
    }
    if (!at_start)
        buf_add_u8(&env->out, '\n');
    buf_deinit(&inner);
}

static void on_log(void *arg, enum floe_log_level level, const char *text)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
    struct env_node *node = arg;
    if ((int)level >= node->env->level) {
        env_print(node->env, names[level], strlen(names[level]));
        env_print(node->env, " ", 1);
        env_print(node->env, text, strlen(text));
        env_print(node->env, "\n", 1);
    }
}

/* ---- storage: the memory log with overridden snapshot and initial state ------------------------------ */

static struct floe_storage inner(void *ctx)
{
    return floe_memstore_storage(((struct env_node *)ctx)->store);
}

static enum floe_err initial_state(void *ctx, struct floe_hard_state *hs,
                                   struct floe_conf_state *cs)
{
    struct env_node *node = ctx;
    enum floe_err err = inner(ctx).initial_state(node->store, hs, cs);
    if (node->restarted) {
        floe_conf_state_deinit(cs);
        *cs = floe_conf_state_copy(&node->history[node->history_count - 1].conf_state);
    }
    return err;
}

static enum floe_err entries(void *ctx, floe_index lo, floe_index hi, uint64_t max,
                             struct floe_entry **out, size_t *count)
{
    return inner(ctx).entries(((struct env_node *)ctx)->store, lo, hi, max, out, count);
}

static enum floe_err term(void *ctx, floe_index index, floe_term *out)
{
    return inner(ctx).term(((struct env_node *)ctx)->store, index, out);
}

static floe_index first_index(void *ctx)
{
    return floe_memstore_first_index(((struct env_node *)ctx)->store);
}

static floe_index last_index(void *ctx)
{
    return floe_memstore_last_index(((struct env_node *)ctx)->store);
}

static enum floe_err snapshot(void *ctx, struct floe_snapshot *out)
{
    struct env_node *node = ctx;
    *out = floe_snapshot_copy(&node->history[node->history_count - 1]);
    return FLOE_OK;
}

static void push_history(struct env_node *node, struct floe_snapshot snap)
{
    node->history =
        mem_grow(node->history, node->history_count, &node->history_cap, sizeof *node->history);
    node->history[node->history_count++] = snap;
}

/* ---- nodes -------------------------------------------------------------------------------------------- */

void env_init(struct env *env)
{
    *env = (struct env){.level = FLOE_LOG_DEBUG};
}

static void node_free(struct env_node *node)
{
    floe_raft_free(node->raft);
    floe_memstore_free(node->store);
    list_deinit(&node->append_work);
    list_deinit(&node->apply_work);
    for (size_t i = 0; i < node->history_count; i++)
        floe_snapshot_deinit(&node->history[i]);
    mem_free(node->history);
    mem_free(node);
}

void env_deinit(struct env *env)
{
    for (size_t i = 0; i < env->node_count; i++)
        node_free(env->nodes[i]);
    mem_free(env->nodes);
    list_deinit(&env->messages);
    mem_free(env->leaders);
    floe_entries_free(env->applied, env->applied_count);
    buf_deinit(&env->out);
}

struct env_node *env_node(struct env *env, floe_id id)
{
    return id >= 1 && id <= env->node_count ? env->nodes[id - 1] : NULL;
}

void env_add_node(struct env *env, const struct floe_config *config,
                  const struct floe_snapshot *snap)
{
    struct env_node *node = mem_calloc(1, sizeof *node);
    node->env = env;
    node->store = floe_memstore_new();
    node->config = *config;
    node->config.id = env->node_count + 1;
    node->config.applied = snap->index;
    node->config.log = on_log;
    node->config.log_arg = node;
    node->config.storage = (struct floe_storage){.ctx = node,
                                                 .initial_state = initial_state,
                                                 .entries = entries,
                                                 .term = term,
                                                 .first_index = first_index,
                                                 .last_index = last_index,
                                                 .snapshot = snapshot};
    push_history(node, floe_snapshot_copy(snap));
    if (snap->index != 0)
        ASSERT(floe_memstore_apply_snapshot(node->store, snap) == FLOE_OK);
    env->nodes = mem_grow(env->nodes, env->node_count, &env->node_cap, sizeof(void *));
    env->nodes[env->node_count++] = node;
    enum floe_err err = floe_raft_new(&node->config, &node->raft);
    ASSERT_MSG(err == FLOE_OK, "the node does not start");
}

const char *env_restart(struct env *env, struct env_node *node)
{
    const struct floe_snapshot *newest = &node->history[node->history_count - 1];
    struct floe_hard_state hs = floe_memstore_hard_state(node->store);
    if (hs.commit < newest->index)
        hs.commit = newest->index;
    floe_memstore_set_hard_state(node->store, hs);
    floe_raft_free(node->raft);
    node->raft = NULL;
    list_deinit(&node->append_work);
    list_deinit(&node->apply_work);
    node->restarted = true;
    node->config.applied = newest->index;
    node->config.seed++;
    node->seen = (struct floe_hard_state){0};
    node->seen_applied = 0;
    env->hand_made = true; /* what was not durable is lost: promises may be forgotten */
    if (floe_raft_new(&node->config, &node->raft) != FLOE_OK)
        return "the node does not start again";
    return NULL;
}

const char *env_append(struct env_node *node, const struct floe_hard_state *hs,
                       const struct floe_snapshot *snap, const struct floe_entry *list,
                       size_t count)
{
    if (hs->term != 0 || hs->vote != 0 || hs->commit != 0)
        floe_memstore_set_hard_state(node->store, *hs);
    if (snap != NULL && snap->index != 0) {
        if (count > 0)
            return "can't apply snapshot and entries at the same time";
        enum floe_err err = floe_memstore_apply_snapshot(node->store, snap);
        return err != FLOE_OK ? floe_strerror(err) : NULL;
    }
    floe_memstore_append(node->store, list, count);
    return NULL;
}

/* ---- applying ------------------------------------------------------------------------------------------ */

static void note_applied(struct env *env, const struct floe_entry *entry)
{
    while (env->applied_count <= entry->index) {
        env->applied =
            mem_grow(env->applied, env->applied_count, &env->applied_cap, sizeof *env->applied);
        env->applied[env->applied_count++] = (struct floe_entry){0};
    }
    struct floe_entry *known = &env->applied[entry->index];
    if (known->index == 0)
        *known = floe_entry_copy(entry);
    else if (!env->hand_made && known->term != entry->term)
        env->applied[0].index = entry->index; /* a violation; env_check reports it */
}

static void apply_entry(struct env_node *node, const struct floe_entry *entry)
{
    const struct floe_snapshot *last = &node->history[node->history_count - 1];
    struct floe_snapshot next = {.index = entry->index, .term = entry->term};
    const struct floe_blob *payload = entry->data;
    note_applied(node->env, entry);
    if (entry->type == FLOE_ENTRY_NORMAL) {
        next.conf_state = floe_conf_state_copy(&last->conf_state);
    } else {
        struct floe_conf_change change;
        enum floe_err err = floe_conf_change_decode(entry->type, entry->data, &change);
        ASSERT_MSG(err == FLOE_OK, "a configuration entry that does not decode");
        err = floe_raft_apply_conf_change(node->raft, &change, &next.conf_state);
        ASSERT_MSG(err == FLOE_OK, "a configuration change that cannot be applied");
        floe_conf_change_deinit(&change);
        payload = NULL;
    }
    last = &node->history[node->history_count - 1];
    size_t before = floe_blob_size(last->data);
    next.data = floe_blob_alloc(before + floe_blob_size(payload));
    memcpy(floe_blob_bytes(next.data), floe_blob_data(last->data), before);
    memcpy(floe_blob_bytes(next.data) + before, floe_blob_data(payload), floe_blob_size(payload));
    push_history(node, next);
}

void env_apply(struct env_node *node, const struct floe_entry *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        apply_entry(node, &list[i]);
}

/* ---- checks ----------------------------------------------------------------------------------------------- */

/* At most one leader a term (thesis figure 3.2: election safety). */
static const char *check_leader(struct env *env, const struct floe_basic_status *status)
{
    if (status->soft_state.state != FLOE_STATE_LEADER || env->hand_made ||
        status->hard_state.term > 100000)
        return NULL;
    size_t at = (size_t)status->hard_state.term;
    if (at >= env->leader_count) {
        env->leaders = mem_realloc(env->leaders, (at + 1) * sizeof *env->leaders);
        memset(env->leaders + env->leader_count, 0,
               (at + 1 - env->leader_count) * sizeof *env->leaders);
        env->leader_count = at + 1;
    }
    if (env->leaders[at] != 0 && env->leaders[at] != status->id)
        return "election safety: two leaders in one term";
    env->leaders[at] = status->id;
    return NULL;
}

static const char *check_monotone(struct env_node *node, const struct floe_basic_status *status)
{
    const struct floe_hard_state *now = &status->hard_state;
    if (now->term < node->seen.term)
        return "the term never decreases";
    if (now->commit < node->seen.commit)
        return "the commit index never decreases";
    if (status->applied < node->seen_applied)
        return "the applied index never decreases";
    if (now->term == node->seen.term && node->seen.vote != 0 && now->vote != node->seen.vote)
        return "one vote a term";
    node->seen = *now;
    node->seen_applied = status->applied;
    return NULL;
}

/* Committed entries that both hold are the same (log matching, leader completeness): compared
 * with what has been applied anywhere. */
static const char *check_log(struct env *env, const struct env_node *node,
                             const struct floe_basic_status *status)
{
    for (floe_index i = 1; i < env->applied_count && i <= status->hard_state.commit; i++) {
        floe_term own = floe_raft_term_at(node->raft, i);
        if (!env->hand_made && env->applied[i].index != 0 && own != 0 &&
            own != env->applied[i].term)
            return "log matching: a committed entry differs from an applied one";
    }
    return NULL;
}

const char *env_check(struct env *env)
{
    if (env->applied_count > 0 && env->applied[0].index != 0)
        return "state machine safety: two nodes applied different entries at one index";
    for (size_t i = 0; i < env->node_count; i++) {
        struct env_node *node = env->nodes[i];
        if (node->raft == NULL)
            continue;
        struct floe_basic_status status = floe_raft_basic_status(node->raft);
        const char *broken = raft_check_invariants(node->raft);
        if (broken == NULL)
            broken = check_monotone(node, &status);
        if (broken == NULL)
            broken = check_leader(env, &status);
        if (broken == NULL)
            broken = check_log(env, node, &status);
        if (broken != NULL)
            return broken;
    }
    return NULL;
}
