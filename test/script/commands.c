/* From a directive to what it does, and from that to its output. */
#include "env.h"

#include "base/mem.h"
#include "raft/describe.h"
#include "script.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* ---- looking --------------------------------------------------------------------------------- */

static void print_buf(struct env *env, struct buf *text)
{
    env_print(env, (const char *)text->data, text->len);
    buf_deinit(text);
}

static const char *do_raft_log(struct env_node *node)
{
    floe_index first = floe_memstore_first_index(node->store);
    floe_index last = floe_memstore_last_index(node->store);
    struct buf text = {0};
    if (first > last)
        buf_printf(&text, "log is empty: first index=%" PRIu64 ", last index=%" PRIu64, first,
                   last);
    for (floe_index i = first; i <= last; i++) {
        describe_entry(&text, floe_memstore_entry(node->store, i));
        buf_add_u8(&text, '\n');
    }
    print_buf(node->env, &text);
    return NULL;
}

static const char *do_raft_state(struct env *env)
{
    for (size_t i = 0; i < env->node_count; i++) {
        const struct env_node *node = env->nodes[i];
        struct floe_basic_status s = floe_raft_basic_status(node->raft);
        env_printf(env, "%" PRIu64 ": %s (%s) Term:%" PRIu64 " Lead:%" PRIu64 "\n", s.id,
                   floe_state_name(s.soft_state.state),
                   floe_raft_is_voter(node->raft, s.id) ? "Voter" : "Non-Voter", s.hard_state.term,
                   s.soft_state.lead);
    }
    return NULL;
}

static const char *do_status(struct env_node *node)
{
    struct floe_status status = floe_raft_status(node->raft);
    struct buf text = {0};
    describe_progress_map(&text, status.progress, status.progress_count);
    print_buf(node->env, &text);
    floe_status_deinit(&status);
    return NULL;
}

static const char *do_log_level(struct env *env, const char *word)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"};
    for (int i = 0; i < 6; i++) {
        if (strcasecmp(word, names[i]) == 0) {
            env->level = i;
            return NULL;
        }
    }
    return "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]";
}

/* ---- acting on one node ---------------------------------------------------------------------- */

static const char *text_of(enum floe_err err)
{
    return err != FLOE_OK ? floe_strerror(err) : NULL;
}

static const char *do_propose(struct env_node *node, const struct script_directive *d)
{
    if (d->arg_count != 2)
        return "propose needs a node and data";
    const char *word = d->args[1].raw;
    struct floe_blob *data = floe_blob_new(word, strlen(word));
    const char *error = text_of(floe_raft_propose(node->raft, data));
    floe_blob_unref(data);
    return error;
}

static const char *do_read_index(struct env_node *node, const struct script_directive *d)
{
    if (d->arg_count != 2)
        return "read-index needs a node and a context";
    const char *word = d->args[1].raw;
    struct floe_blob *context = floe_blob_new(word, strlen(word));
    floe_raft_read_index(node->raft, context);
    floe_blob_unref(context);
    return NULL;
}

static const char *do_compact(struct env_node *node, const struct script_directive *d)
{
    uint64_t index;
    if (!arg_id(d, 1, &index))
        return "compact needs a node and an index";
    if (index > floe_memstore_last_index(node->store))
        return floe_strerror(FLOE_ERR_UNAVAILABLE);
    enum floe_err err = floe_memstore_compact(node->store, index);
    return err != FLOE_OK ? floe_strerror(err) : do_raft_log(node);
}

static const char *do_ticks(struct env_node *node, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        floe_raft_tick(node->raft);
    return NULL;
}

static const char *do_send_snapshot(struct env_node *node, floe_id to)
{
    struct floe_message m = {.type = FLOE_MSG_SNAP,
                             .from = node->config.id,
                             .to = to,
                             .term = floe_raft_basic_status(node->raft).hard_state.term};
    m.snapshot = mem_alloc(sizeof *m.snapshot);
    *m.snapshot = floe_snapshot_copy(env_newest(node));
    struct buf text = {0};
    describe_message(&text, &m, 0);
    buf_add_u8(&text, '\n');
    print_buf(node->env, &text);
    env_push(&node->env->messages, m);
    return NULL;
}

static const char *do_timeout(struct env_node *node, const struct script_directive *d)
{
    const struct script_arg *arg = script_find(d, "timeout");
    uint64_t ticks;
    if (arg == NULL || arg->value_count != 1 || !arg_u64(arg->values[0], &ticks) ||
        ticks > UINT32_MAX)
        return "timeout must be a number of ticks";
    floe_raft_set_randomized_election_timeout(node->raft, (uint32_t)ticks);
    return NULL;
}

static const char *do_report_snapshot(struct env_node *node, const struct script_directive *d,
                                      floe_id about)
{
    const struct script_arg *arg = script_find(d, "status");
    const char *word = arg != NULL && arg->value_count == 1 ? arg->values[0] : "";
    if (strcmp(word, "finish") != 0 && strcmp(word, "failure") != 0)
        return "status must be finish or failure";
    floe_raft_report_snapshot(node->raft, about, strcmp(word, "failure") == 0);
    return NULL;
}

/* ---- acting on several ----------------------------------------------------------------------- */

static const char *do_each(struct env *env, const struct script_directive *d, const char *what,
                           const char *(*act)(struct env_node *))
{
    for (size_t i = 0; i < d->arg_count; i++) {
        floe_id id;
        struct env_node *node = arg_id(d, i, &id) ? env_node(env, id) : NULL;
        if (node == NULL)
            return "there is no such node";
        if (d->arg_count > 1)
            env_printf(env, "> %" PRIu64 " %s\n", id, what);
        size_t begin = env->out.len;
        const char *error = act(node);
        if (d->arg_count > 1)
            env_indent(env, begin);
        if (error != NULL)
            return error;
    }
    return NULL;
}

static const char *do_deliver(struct env *env, const struct script_directive *d)
{
    int type = -1;
    size_t handled = 0;
    const struct script_arg *filter = script_find(d, "type");
    enum floe_message_type parsed;
    if (filter != NULL) {
        if (filter->value_count != 1 || !arg_message_type(filter->values[0], &parsed))
            return "unknown message type";
        type = (int)parsed;
    }
    for (size_t i = 0; i < d->arg_count; i++) {
        const struct script_arg *arg = &d->args[i];
        floe_id id;
        if (arg->value_count == 0) {
            if (!arg_id(d, i, &id) || env_node(env, id) == NULL)
                return "there is no such node";
            handled += env_deliver(env, id, false, type);
        } else if (strcmp(arg->key, "drop") == 0) {
            for (size_t j = 0; j < arg->value_count; j++) {
                if (!arg_u64(arg->values[j], &id))
                    return "drop needs ids";
                handled += env_deliver(env, id, true, type);
            }
        }
    }
    if (handled == 0)
        env_printf(env, "no messages\n");
    return NULL;
}

static const char *do_stabilize(struct env *env, const struct script_directive *d)
{
    const struct script_arg *level = script_find(d, "log-level");
    int before = env->level;
    const char *error = NULL;
    if (level != NULL)
        error = do_log_level(env, level->value_count == 1 ? level->values[0] : "");
    if (error == NULL)
        error = env_stabilize(env, d);
    env->level = before;
    return error;
}

static const char *do_transfer(struct env *env, const struct script_directive *d)
{
    const struct script_arg *from = script_find(d, "from");
    const struct script_arg *to = script_find(d, "to");
    uint64_t a = 0;
    uint64_t b = 0;
    if (from == NULL || to == NULL || from->value_count != 1 || to->value_count != 1 ||
        !arg_u64(from->values[0], &a) || !arg_u64(to->values[0], &b) || env_node(env, a) == NULL)
        return "transfer-leadership needs from=ID to=ID";
    floe_raft_transfer_leader(env_node(env, a)->raft, b);
    return NULL;
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static bool is(const struct script_directive *d, const char *command)
{
    return strcmp(d->command, command) == 0;
}

/* Commands whose first argument is a node. */
static const char *run_on_node(struct env_node *node, const struct script_directive *d,
                               struct buf *why)
{
    floe_id other = 0;
    bool two = is(d, "report-unreachable") || is(d, "report-snapshot") || is(d, "send-snapshot");
    if (two && !arg_id(d, 1, &other))
        return "the second argument must be an id";
    if (is(d, "campaign"))
        return text_of(floe_raft_campaign(node->raft));
    if (is(d, "propose"))
        return do_propose(node, d);
    if (is(d, "propose-conf-change"))
        return script_propose_change(node, d, why);
    if (is(d, "tick-election"))
        return do_ticks(node, node->config.election_tick);
    if (is(d, "tick-heartbeat"))
        return do_ticks(node, node->config.heartbeat_tick);
    if (is(d, "set-randomized-election-timeout"))
        return do_timeout(node, d);
    if (is(d, "forget-leader"))
        return text_of(floe_raft_forget_leader(node->raft));
    if (is(d, "report-unreachable")) {
        floe_raft_report_unreachable(node->raft, other);
        return NULL;
    }
    if (is(d, "report-snapshot"))
        return do_report_snapshot(node, d, other);
    if (is(d, "compact"))
        return do_compact(node, d);
    if (is(d, "send-snapshot"))
        return do_send_snapshot(node, other);
    if (is(d, "raft-log"))
        return do_raft_log(node);
    if (is(d, "status"))
        return do_status(node);
    if (is(d, "read-index"))
        return do_read_index(node, d);
    if (is(d, "restart"))
        return env_restart(node);
    return "unknown command";
}

static bool is_on_node(const struct script_directive *d)
{
    static const char *const names[] = {"campaign",
                                        "propose",
                                        "propose-conf-change",
                                        "tick-election",
                                        "tick-heartbeat",
                                        "forget-leader",
                                        "set-randomized-election-timeout",
                                        "compact",
                                        "send-snapshot",
                                        "report-unreachable",
                                        "report-snapshot",
                                        "raft-log",
                                        "status",
                                        "read-index",
                                        "restart"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is(d, names[i]))
            return true;
    return false;
}

static const char *run(struct env *env, const struct script_directive *d, struct buf *why)
{
    const char *error = env_check_form(d, why);
    if (error != NULL)
        return error;
    if (is(d, "_breakpoint"))
        return NULL;
    if (is(d, "add-nodes"))
        return env_add_nodes(env, d);
    if (is(d, "process-ready"))
        return do_each(env, d, "handling Ready", env_process_ready);
    if (is(d, "process-append-thread"))
        return do_each(env, d, "processing append thread", env_append_thread);
    if (is(d, "process-apply-thread"))
        return do_each(env, d, "processing apply thread", env_apply_thread);
    if (is(d, "deliver-msgs"))
        return do_deliver(env, d);
    if (is(d, "stabilize"))
        return do_stabilize(env, d);
    if (is(d, "transfer-leadership"))
        return do_transfer(env, d);
    if (is(d, "raft-state"))
        return do_raft_state(env);
    if (is(d, "log-level"))
        return do_log_level(env, d->arg_count == 1 ? d->args[0].key : "");
    if (is(d, "step"))
        return env_step(env, d);
    floe_id id;
    if (!arg_id(d, 0, &id))
        return is_on_node(d) ? "the first argument must be a node" : "unknown command";
    struct env_node *node = env_node(env, id);
    if (node == NULL)
        return is_on_node(d) ? "there is no such node" : "unknown command";
    return run_on_node(node, d, why);
}

void env_run(struct env *env, const struct script_directive *d, struct buf *out)
{
    struct buf why = {0};
    buf_clear(&env->out);
    const char *error = run(env, d, &why);
    if (error != NULL && env->level == ENV_LEVEL_NONE)
        buf_clear(&env->out);
    if (error != NULL)
        buf_printf(&env->out, "%s", error);
    if (env->out.len == 0)
        buf_printf(&env->out, "ok");
    buf_add(out, env->out.data, env->out.len);
    buf_deinit(&why);
}
