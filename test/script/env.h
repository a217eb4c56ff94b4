/*
 * The interaction environment: nodes with their storage, messages in flight, and an output buffer
 * with a log level. Commands (commands.c, commands_make.c) act on it.
 */
#ifndef SCRIPT_ENV_H
#define SCRIPT_ENV_H

#include "base/buf.h"
#include "parse.h"

#include <floe/raft.h>

struct env;

struct env_list { /* of messages, FIFO; owns them */
    struct floe_message *list;
    size_t count;
    size_t cap;
};

struct env_node {
    struct env *env;
    struct floe_raft *raft;
    struct floe_config config;
    struct floe_memstore *store;
    struct env_list append_work;
    struct env_list apply_work;
    struct floe_snapshot newest; /* of the history: the others are never asked for */
    bool restarted;              /* the initial ConfState is newest's */
    bool is_stale;               /* a snapshot was received whose membership newest does not know */
    struct floe_hard_state seen; /* for checks of monotony */
    floe_index seen_applied;
};

struct env_leader {
    floe_term term;
    floe_id id;
};

/* What all nodes together have done so far, for the checks across nodes. */
struct env_seen {
    struct env_leader *leaders; /* one a term */
    size_t leader_count;
    size_t leader_cap;
    floe_term term_max;         /* of any node, ever */
    struct floe_entry *applied; /* by any node first; ascending by index, with gaps */
    size_t applied_count;
    size_t applied_cap;
    struct floe_conf_state first; /* of the first nodes that started from a snapshot */
    bool has_first;
    bool off;           /* the script itself has left what the thesis promises */
    const char *broken; /* found while applying */
};

enum { ENV_LEVEL_NONE = 5 };

struct env {
    struct env_node **nodes; /* id = position + 1 */
    size_t node_count;
    size_t node_cap;
    struct env_list messages;
    struct buf out;
    int level;       /* enum floe_log_level, or ENV_LEVEL_NONE */
    unsigned budget; /* of a command: handled items, against scripts that never settle */
    bool exhausted;
    struct env_seen seen;
};

void env_init(struct env *env);
void env_deinit(struct env *env);
struct env_node *env_node(struct env *env, floe_id id); /* NULL: there is none */

void env_push(struct env_list *list, struct floe_message message); /* takes it over */
/* Takes the message at position out; owned by caller. */
struct floe_message env_take(struct env_list *list, size_t at);

/* Output that level NONE suppresses; every line gets env's indentation when it is printed. */
__attribute__((format(printf, 2, 3))) void env_printf(struct env *env, const char *format, ...);
void env_print(struct env *env, const char *text, size_t len);
/* Indents everything that was printed since begin = env->out.len. */
void env_indent(struct env *env, size_t begin);

/* Starts a node with the config, from the snapshot if its index is not 0. NULL or a text. */
const char *env_add_node(struct env *env, const struct floe_config *config,
                         const struct floe_snapshot *snapshot);
/* NULL or a text. */
const char *env_restart(struct env_node *node);
/* The append step: hard state, then snapshot or entries. NULL or a text. */
const char *env_append(struct env_node *node, const struct floe_hard_state *hs,
                       const struct floe_snapshot *snapshot, const struct floe_entry *entries,
                       size_t count);
void env_apply(struct env_node *node, const struct floe_entry *entries, size_t count);

/* The newest snapshot of the node's history, about to leave the node or to start one. */
const struct floe_snapshot *env_newest(struct env_node *node);

/* NULL, or the invariant that does not hold. */
const char *env_check(struct env *env);
void env_note_start(struct env *env, const struct floe_config *config,
                    const struct floe_snapshot *snapshot);
void env_note_applied(struct env *env, const struct floe_entry *entry);
void env_seen_deinit(struct env_seen *seen);

/* NULL, or what does not fit the command's form: words, and options of which each is known and
 * given once. The text may live in why. */
const char *env_check_form(const struct script_directive *d, struct buf *why);

/* Runs one directive: *out gets its output. */
void env_run(struct env *env, const struct script_directive *d, struct buf *out);
/* Commands that process; shared by commands.c and stabilize. NULL or a text. */
const char *env_process_ready(struct env_node *node);
size_t env_deliver(struct env *env, floe_id to, bool drop, int type);
const char *env_append_thread(struct env_node *node);
const char *env_apply_thread(struct env_node *node);
const char *env_stabilize(struct env *env, const struct script_directive *d);
const char *env_add_nodes(struct env *env, const struct script_directive *d);
const char *env_step(struct env *env, const struct script_directive *d);

/* Arguments. false: missing or not a number. */
bool arg_id(const struct script_directive *d, size_t position, floe_id *out);
bool arg_u64(const char *text, uint64_t *out);
bool arg_message_type(const char *text, enum floe_message_type *out);

#endif
