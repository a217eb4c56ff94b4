/* What every part of a node may ask of it: who leads, one step of the core, and the end. */
#include "node/internal.h"

#include <inttypes.h>
#include <stdio.h>

/* The core's role at this moment, not that of its last batch: a message of this turn may have ended
 * the leadership, and what is proposed then is forwarded and not in the own log. */
bool node_is_leader(const struct node *node)
{
    return floe_raft_basic_status(node->raft).soft_state.state == FLOE_STATE_LEADER;
}

bool node_has_taken_over(const struct node *node)
{
    return node_is_leader(node) && floe_raft_term_at(node->raft, node->applied) ==
                                       floe_raft_basic_status(node->raft).hard_state.term;
}

floe_id node_leader(const struct node *node)
{
    return node->soft_state.lead;
}

void node_fail(struct node *node, const char *what, const char *detail)
{
    if (node->life == NODE_FAILED)
        return;
    (void)snprintf(node->failure, sizeof node->failure, "%s: %s", what, detail);
    log_error(node->logger, "%s", node->failure);
    node->life = NODE_FAILED;
}

enum floe_err node_step(struct node *node, const struct floe_message *message)
{
    enum floe_err err = floe_raft_step(node->raft, message);
    if (err != FLOE_OK && err != FLOE_ERR_PROPOSAL_DROPPED)
        log_debug(node->logger, "message refused type=%s from=%" PRIu64 " why=%s",
                  floe_message_type_name(message->type), message->from, floe_strerror(err));
    return err;
}
