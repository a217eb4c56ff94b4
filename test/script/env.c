/* Nodes, their storage and history, and what applying an entry means. */
#include "env.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- lists ----------------------------------------------------------------------------------- */

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

/* ---- output ---------------------------------------------------------------------------------- */

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

/* ---- storage: the memory log with overridden snapshot and initial state ---------------------- */

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
        *cs = floe_conf_state_copy(&node->newest.conf_state);
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
    *out = floe_snapshot_copy(env_newest(ctx));
    return FLOE_OK;
}

const struct floe_snapshot *env_newest(struct env_node *node)
{
    if (node->is_stale)
        node->env->seen.off = true; /* an outdated membership may elect a second leader */
    return &node->newest;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

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
    floe_snapshot_deinit(&node->newest);
    mem_free(node);
}

void env_deinit(struct env *env)
{
    for (size_t i = 0; i < env->node_count; i++)
        node_free(env->nodes[i]);
    mem_free(env->nodes);
    list_deinit(&env->messages);
    env_seen_deinit(&env->seen);
    buf_deinit(&env->out);
}

struct env_node *env_node(struct env *env, floe_id id)
{
    return id >= 1 && id <= env->node_count ? env->nodes[id - 1] : NULL;
}

const char *env_add_node(struct env *env, const struct floe_config *config,
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
    node->newest = floe_snapshot_copy(snap);
    if (snap->index != 0)
        ASSERT(floe_memstore_apply_snapshot(node->store, snap) == FLOE_OK);
    if (floe_raft_new(&node->config, &node->raft) != FLOE_OK) {
        node_free(node);
        return "the node does not start";
    }
    env_note_start(env, &node->config, snap);
    env->nodes = mem_grow(env->nodes, env->node_count, &env->node_cap, sizeof(void *));
    env->nodes[env->node_count++] = node;
    return NULL;
}

/* With async storage writes a candidate's requests leave before its term and vote are stored: if
 * both are lost, a grant of the first life counts for the second. */
static void note_lost_votes(struct env_node *node)
{
    struct floe_hard_state stored = floe_memstore_hard_state(node->store);
    for (size_t i = 0; i < node->append_work.count; i++) {
        const struct floe_message *work = &node->append_work.list[i];
        if (work->term != 0 && (work->term != stored.term || work->vote != stored.vote))
            node->env->seen.off = true;
    }
}

const char *env_restart(struct env_node *node)
{
    const struct floe_snapshot *newest = env_newest(node);
    struct floe_hard_state before = floe_memstore_hard_state(node->store);
    struct floe_hard_state hs = before;
    struct floe_config config = node->config;
    struct floe_raft *raft;
    bool was_restarted = node->restarted;
    if (hs.commit < newest->index)
        hs.commit = newest->index;
    floe_memstore_set_hard_state(node->store, hs);
    node->restarted = true;
    config.applied = newest->index;
    config.seed++;
    if (floe_raft_new(&config, &raft) != FLOE_OK) {
        floe_memstore_set_hard_state(node->store, before);
        node->restarted = was_restarted;
        return "the node does not start again";
    }
    note_lost_votes(node);
    floe_raft_free(node->raft);
    node->raft = raft;
    node->config = config;
    list_deinit(&node->append_work);
    list_deinit(&node->apply_work);
    node->seen = (struct floe_hard_state){0};
    node->seen_applied = 0;
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
        if (err == FLOE_OK &&
            !floe_conf_state_equivalent(&snap->conf_state, &node->newest.conf_state))
            node->is_stale = true;
        return err != FLOE_OK ? floe_strerror(err) : NULL;
    }
    floe_memstore_append(node->store, list, count);
    return NULL;
}

/* ---- applying -------------------------------------------------------------------------------- */

static void apply_entry(struct env_node *node, const struct floe_entry *entry)
{
    struct floe_snapshot next = {.index = entry->index, .term = entry->term};
    const struct floe_blob *payload = entry->data;
    env_note_applied(node->env, entry);
    if (entry->type == FLOE_ENTRY_NORMAL) {
        next.conf_state = floe_conf_state_copy(&node->newest.conf_state);
    } else {
        struct floe_conf_change change;
        enum floe_err err = floe_conf_change_decode(entry->type, entry->data, &change);
        ASSERT_MSG(err == FLOE_OK, "a configuration entry that does not decode");
        err = floe_raft_apply_conf_change(node->raft, &change, &next.conf_state);
        ASSERT_MSG(err == FLOE_OK, "a configuration change that cannot be applied");
        floe_conf_change_deinit(&change);
        payload = NULL;
    }
    size_t before = floe_blob_size(node->newest.data);
    size_t more = floe_blob_size(payload);
    if (more == 0) {
        next.data = floe_blob_ref(node->newest.data);
    } else {
        next.data = floe_blob_alloc(before + more);
        if (before > 0)
            memcpy(floe_blob_bytes(next.data), floe_blob_data(node->newest.data), before);
        memcpy(floe_blob_bytes(next.data) + before, floe_blob_data(payload), more);
    }
    floe_snapshot_deinit(&node->newest);
    node->newest = next;
}

void env_apply(struct env_node *node, const struct floe_entry *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        apply_entry(node, &list[i]);
}
