/* Commands with many arguments: adding nodes, proposing membership changes, hand-made messages. */
#include "env.h"

#include "base/mem.h"
#include "base/parse.h"
#include "raft/describe.h"
#include "script.h"

#include <string.h>

#define NODES_MAX 1000
#define INDEX_MAX (UINT64_MAX / 2) /* room to go on from there */

bool arg_u64(const char *text, uint64_t *out)
{
    return parse_u64(text, strlen(text), out) == ERR_OK;
}

bool arg_id(const struct script_directive *d, size_t position, floe_id *out)
{
    return position < d->arg_count && d->args[position].value_count == 0 &&
           arg_u64(d->args[position].key, out);
}

bool arg_message_type(const char *text, enum floe_message_type *out)
{
    for (int i = 0; i < FLOE_MSG_TYPE_COUNT; i++) {
        if (strcmp(text, floe_message_type_name((enum floe_message_type)i)) == 0) {
            *out = (enum floe_message_type)i;
            return true;
        }
    }
    return false;
}

/* ---- add-nodes ------------------------------------------------------------------------------- */

struct node_plan {
    struct floe_config config;
    struct floe_snapshot snapshot;
    bool from_snapshot;
};

static const char *take_ids(const struct script_arg *arg, struct floe_ids *out)
{
    for (size_t i = 0; i < arg->value_count; i++) {
        uint64_t id;
        if (arg->value_count == 1 && arg->values[0][0] == 0)
            return NULL;
        if (!arg_u64(arg->values[i], &id))
            return "an id must be a number";
        floe_ids_push(out, id);
    }
    return NULL;
}

static bool take_flag(const struct script_arg *arg, struct floe_config *c, bool *bad)
{
    const struct {
        const char *name;
        bool *slot;
    } flags[] = {
        {"async-storage-writes", &c->async_storage_writes},
        {"prevote", &c->pre_vote},
        {"checkquorum", &c->check_quorum},
        {"disable-conf-change-validation", &c->disable_conf_change_validation},
        {"step-down-on-removal", &c->step_down_on_removal},
        {"disable-proposal-forwarding", &c->disable_proposal_forwarding},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(arg->key, flags[i].name) != 0)
            continue;
        *bad = arg->value_count != 1 || !script_parse_bool(arg->values[0], flags[i].slot);
        return true;
    }
    return false;
}

static uint32_t to_u32(uint64_t value, bool *fits)
{
    *fits = *fits && value <= UINT32_MAX;
    return (uint32_t)value;
}

static bool take_number(const struct script_arg *arg, struct node_plan *plan, bool *bad)
{
    struct floe_config *c = &plan->config;
    uint64_t value = 0;
    bool number = arg->value_count == 1 && arg_u64(arg->values[0], &value);
    bool known = true;
    if (strcmp(arg->key, "inflight") == 0)
        c->max_inflight_msgs = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
    else if (strcmp(arg->key, "max-committed-size-per-ready") == 0)
        c->max_committed_size_per_ready = value;
    else if (strcmp(arg->key, "max-size-per-msg") == 0)
        c->max_size_per_msg = value;
    else if (strcmp(arg->key, "max-uncommitted-size") == 0)
        c->max_uncommitted_entries_size = value;
    else if (strcmp(arg->key, "max-inflight-bytes") == 0)
        c->max_inflight_bytes = value;
    else if (strcmp(arg->key, "election-tick") == 0)
        c->election_tick = to_u32(value, &number);
    else if (strcmp(arg->key, "heartbeat-tick") == 0)
        c->heartbeat_tick = to_u32(value, &number);
    else if (strcmp(arg->key, "index") == 0)
        plan->snapshot.index = value;
    else
        known = false;
    *bad = known && !number;
    return known;
}

static const char *take_option(const struct script_arg *arg, struct node_plan *plan)
{
    bool bad = false;
    plan->from_snapshot = plan->from_snapshot || strcmp(arg->key, "voters") == 0 ||
                          strcmp(arg->key, "learners") == 0 || strcmp(arg->key, "index") == 0;
    if (strcmp(arg->key, "voters") == 0)
        return take_ids(arg, &plan->snapshot.conf_state.voters);
    if (strcmp(arg->key, "learners") == 0)
        return take_ids(arg, &plan->snapshot.conf_state.learners);
    if (strcmp(arg->key, "read-only") == 0) {
        const char *word = arg->value_count == 1 ? arg->values[0] : "";
        plan->config.read_only =
            strcmp(word, "lease-based") == 0 ? FLOE_READ_ONLY_LEASE_BASED : FLOE_READ_ONLY_SAFE;
        return strcmp(word, "safe") == 0 || strcmp(word, "lease-based") == 0
                   ? NULL
                   : "read-only must be safe or lease-based";
    }
    if (take_flag(arg, &plan->config, &bad) || take_number(arg, plan, &bad))
        return bad ? "an option of add-nodes has an impossible value" : NULL;
    return "unknown option of add-nodes";
}

const char *env_add_nodes(struct env *env, const struct script_directive *d)
{
    uint64_t count;
    struct node_plan plan = {.config = {.election_tick = 3,
                                        .heartbeat_tick = 1,
                                        .max_size_per_msg = FLOE_NO_LIMIT,
                                        .max_inflight_msgs = INT32_MAX,
                                        .seed = 1}};
    if (!arg_id(d, 0, &count) || count > NODES_MAX || count + env->node_count > NODES_MAX)
        return "add-nodes takes a number of nodes, 1000 in all";
    const char *error = NULL;
    for (size_t i = 1; i < d->arg_count && error == NULL; i++)
        error = take_option(&d->args[i], &plan);
    if (error == NULL && plan.from_snapshot) {
        plan.snapshot.term = 1;
        if (plan.snapshot.index <= 1)
            error = "index must be specified as > 1 due to bootstrap";
        else if (plan.snapshot.index > INDEX_MAX)
            error = "index is too large";
    }
    for (uint64_t i = 0; i < count && error == NULL; i++)
        error = env_add_node(env, &plan.config, &plan.snapshot);
    floe_snapshot_deinit(&plan.snapshot);
    return error;
}

/* ---- membership changes ---------------------------------------------------------------------- */

const char *script_parse_changes(const char *input, struct floe_conf_change *out, struct buf *why)
{
    size_t cap = 0;
    char *copy = mem_strdup(input);
    const char *error = NULL;
    char *save = NULL;
    for (char *word = strtok_r(copy, " \n\t", &save); word != NULL && error == NULL;
         word = strtok_r(NULL, " \n\t", &save)) {
        static const char letters[] = "vrul";
        static const enum floe_conf_change_type types[] = {
            FLOE_CONF_ADD_NODE, FLOE_CONF_REMOVE_NODE, FLOE_CONF_UPDATE_NODE,
            FLOE_CONF_ADD_LEARNER};
        const char *at = strchr(letters, word[0]);
        uint64_t id;
        if (word[1] == 0 || at == NULL || !arg_u64(word + 1, &id)) {
            buf_printf(why, word[1] == 0 ? "unknown token %s" : "unknown input: %s", word);
            error = buf_str(why);
            break;
        }
        out->changes = mem_grow(out->changes, out->change_count, &cap, sizeof *out->changes);
        out->changes[out->change_count++] =
            (struct floe_conf_change_single){.type = types[at - letters], .node_id = id};
    }
    mem_free(copy);
    return error;
}

const char *script_propose_change(struct env_node *node, const struct script_directive *d,
                                  struct buf *why)
{
    const struct script_arg *v1 = script_find(d, "v1");
    const struct script_arg *transition = script_find(d, "transition");
    const char *word =
        transition != NULL && transition->value_count == 1 ? transition->values[0] : "auto";
    bool is_v1 = false;
    struct floe_conf_change change = {.transition_set = true};
    if (v1 != NULL && (v1->value_count != 1 || !script_parse_bool(v1->values[0], &is_v1)))
        return "v1 must be true or false";
    if (strcmp(word, "implicit") == 0)
        change.transition = FLOE_CONF_TRANSITION_JOINT_IMPLICIT;
    else if (strcmp(word, "explicit") == 0)
        change.transition = FLOE_CONF_TRANSITION_JOINT_EXPLICIT;
    else if (strcmp(word, "auto") != 0)
        return "transition must be auto, explicit or implicit";
    const char *error = script_parse_changes(d->input, &change, why);
    if (error == NULL && is_v1 &&
        (change.change_count != 1 || change.transition != FLOE_CONF_TRANSITION_AUTO))
        error = "a v1 change is one change with transition auto";
    if (error == NULL) {
        enum floe_err err = floe_raft_propose_conf_change(node->raft, &change, is_v1);
        error = err != FLOE_OK ? floe_strerror(err) : NULL;
    }
    floe_conf_change_deinit(&change);
    return error;
}

/* ---- hand-made messages ---------------------------------------------------------------------- */

static const char *take_entries(const struct script_arg *arg, struct floe_message *m)
{
    if (arg->value_count == 1 && arg->values[0][0] == 0)
        return NULL;
    m->entries = mem_calloc(arg->value_count, sizeof *m->entries);
    for (size_t i = 0; i < arg->value_count; i++) {
        char *text = arg->values[i];
        char *first = strchr(text, '/');
        char *second = first != NULL ? strchr(first + 1, '/') : NULL;
        struct floe_entry *entry = &m->entries[m->entry_count++];
        if (first == NULL || parse_u64(text, (size_t)(first - text), &entry->term) != ERR_OK ||
            parse_u64(first + 1, second != NULL ? (size_t)(second - first - 1) : strlen(first + 1),
                      &entry->index) != ERR_OK)
            return "an entry must be term/index/data";
        if (second != NULL && second[1] != 0)
            entry->data = floe_blob_new(second + 1, strlen(second + 1));
    }
    return NULL;
}

static const char *take_field(const struct script_arg *arg, struct floe_message *m)
{
    const struct {
        const char *name;
        uint64_t *slot;
    } numbers[] = {{"from", &m->from},       {"term", &m->term},     {"logterm", &m->log_term},
                   {"index", &m->index},     {"commit", &m->commit}, {"vote", &m->vote},
                   {"hint", &m->reject_hint}};
    if (strcmp(arg->key, "entries") == 0)
        return take_entries(arg, m);
    if (arg->value_count != 1)
        return "a field needs one value";
    const char *text = arg->values[0];
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(arg->key, numbers[i].name) == 0)
            return arg_u64(text, numbers[i].slot) ? NULL : "a field must be a number";
    if (strcmp(arg->key, "type") == 0)
        return arg_message_type(text, &m->type) ? NULL : "unknown message type";
    if (strcmp(arg->key, "reject") == 0)
        return script_parse_bool(text, &m->reject) ? NULL : "reject must be true or false";
    if (strcmp(arg->key, "context") == 0) {
        floe_blob_unref(m->context);
        m->context = floe_blob_new(text, strlen(text));
        return NULL;
    }
    return "unknown field of a message";
}

const char *env_step(struct env *env, const struct script_directive *d)
{
    floe_id id;
    struct env_node *node = arg_id(d, 0, &id) ? env_node(env, id) : NULL;
    if (node == NULL || script_find(d, "type") == NULL)
        return "step needs a node and a type";
    struct floe_message m = {.to = id};
    const char *error = NULL;
    for (size_t i = 1; i < d->arg_count && error == NULL; i++)
        error = take_field(&d->args[i], &m);
    if (error == NULL) {
        struct buf text = {0};
        describe_message(&text, &m, 0);
        buf_add_u8(&text, '\n');
        env_print(env, (const char *)text.data, text.len);
        buf_deinit(&text);
        env->seen.off = true;
        enum floe_err err = floe_raft_step(node->raft, &m);
        if (err != FLOE_OK)
            env_printf(env, "%s\n", floe_strerror(err));
    }
    floe_message_deinit(&m);
    return error;
}
