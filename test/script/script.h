/* The three languages, and how their results are compared. */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include "env.h"

/* "v1 l2 r3": appends to out->changes (owned by caller). NULL or a text, which may live in why. */
const char *script_parse_changes(const char *input, struct floe_conf_change *out, struct buf *why);
const char *script_propose_change(struct env_node *node, const struct script_directive *d,
                                  struct buf *why);

/* Independent directives on quorums. */
void script_quorum(const struct script_directive *d, struct buf *out);

/* One configuration and a counter a file. */
struct script_changer;
struct script_changer *script_changer_new(void);
void script_changer_free(struct script_changer *changer);
void script_changer_run(struct script_changer *changer, const struct script_directive *d,
                        struct buf *out);

/* Drops the library's log lines; "ok" if nothing is left. */
void script_semantic(const char *text, struct buf *out);
/* The hunks of a unified diff of two texts, with three lines around; title goes behind each @@. */
void script_diff(const char *expected, const char *actual, const char *title, struct buf *out);

#endif
