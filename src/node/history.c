/*
 * A log that is not the cluster's: what is committed here is another entry than the leader has at
 * that place. No member of the cluster gets there by itself; an operator does, who starts a member
 * that was added without join = true, so that it founds a cluster of its own, or who gives it a
 * directory from elsewhere. To the core such a member is merely behind, and it would be probed for
 * ever.
 */
#include "node/internal.h"

#include <inttypes.h>
#include <stdio.h>

/* 0: the same, or not to be told. */
static floe_index differing_index(const struct node *node, const struct floe_message *message,
                                  floe_index commit, floe_term *theirs)
{
    floe_term own = floe_raft_term_at(node->raft, message->index);
    *theirs = message->log_term;
    if (message->index <= commit && own != 0 && *theirs != 0 && own != *theirs)
        return message->index;
    for (size_t i = 0; i < message->entry_count && message->entries[i].index <= commit; i++) {
        own = floe_raft_term_at(node->raft, message->entries[i].index);
        *theirs = message->entries[i].term;
        if (own != 0 && own != *theirs)
            return message->entries[i].index;
    }
    return 0;
}

void history_check(struct node *node, const struct floe_message *message)
{
    struct floe_hard_state hs = floe_raft_basic_status(node->raft).hard_state;
    if (message->term < hs.term || node->life != NODE_RUNNING || reseed_is_mute(node))
        return; /* who led an older term may lack what was committed since */
    floe_term theirs;
    floe_index index = differing_index(node, message, hs.commit, &theirs);
    if (index == 0)
        return;
    char text[320];
    (void)snprintf(text, sizeof text,
                   "entry %" PRIu64 " is of term %" PRIu64 " here and of term %" PRIu64
                   " at the leader, member %" PRIu64 "; a member that was added to a running "
                   "cluster starts with an empty data directory and join = true",
                   index, floe_raft_term_at(node->raft, index), theirs, message->from);
    node->damaged = true;
    node->foreign = true;
    node_fail(node, "the log of this member is not the cluster's", text);
}
