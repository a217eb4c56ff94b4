/*
 * Elections that do not wait for the time-out of an election (thesis 3.4 takes silence as the only
 * sign; this adds another one that is quicker).
 *
 * When the process of a leader dies, its connections break at once. A follower whose link to the
 * leader broke forgets it, and asks for votes soon after, by rank of its id, so that not all ask
 * together. It is no more than a question: with pre-vote and the check of the quorum whoever still
 * hears the leader says no, and who hears the leader again before its turn comes does not ask. So a
 * broken connection alone never deposes a leader that a majority hears. When the links of most
 * members break together, though (a firewall that forgets them), there is an election.
 *
 * At the start nobody has a leader to wait for: the same, once a majority is connected.
 */
#include "node/internal.h"

#include <inttypes.h>

#define TRIES_MAX 5u

/* Long enough for a pre-vote, a synced vote and their ways. */
static uint64_t step_ms(const struct node *node)
{
    uint64_t step = node->options.election_ms / 32;
    return step > 5 ? step : 5;
}

/* How many voters come before this one. */
static uint64_t rank_of_self(const struct node *node)
{
    const struct floe_ids *voters = &node->conf_state.voters;
    uint64_t rank = 0;
    for (size_t i = 0; i < voters->count; i++)
        rank += voters->id[i] < node->options.id && voters->id[i] != node->failover.lost;
    return rank;
}

static bool may_campaign(const struct node *node)
{
    return floe_raft_is_voter(node->raft, node->options.id) && disk_watch_may_lead(node) &&
           !reseed_is_mute(node) && !room_is_mute(node) && !node->stopping &&
           node->leaving_until_ms == 0;
}

static void arrange(struct node *node, floe_id lost)
{
    uint64_t step = step_ms(node);
    node->failover.lost = lost;
    node->failover.tries = 0;
    node->failover.campaign_ms =
        node->now_ms + rank_of_self(node) * step + step / 8 + prng_below(&node->prng, step / 4 + 1);
}

void failover_on_broken(struct node *node, floe_id id)
{
    if (id != node_leader(node) || id == node->options.id)
        return;
    log_info(node->logger, "leader's connection broke id=%" PRIu64, id);
    arrange(node, id);
    (void)floe_raft_forget_leader(node->raft); /* so that we say yes to who asks first */
}

void failover_on_heard(struct node *node, floe_id from)
{
    if (from == node->failover.lost)
        node->failover.campaign_ms = 0;
}

static bool is_majority_connected(const struct node *node, const struct floe_ids *voters)
{
    size_t count = 0;
    for (size_t i = 0; i < voters->count; i++) {
        struct peer_status peer;
        count += voters->id[i] == node->options.id ||
                 (peer_set_status(node->peers, voters->id[i], &peer) && peer.connected);
    }
    return voters->count == 0 || 2 * count > voters->count;
}

void failover_on_connected(struct node *node)
{
    if (node->failover.started || node_leader(node) != FLOE_ID_NONE ||
        !is_majority_connected(node, &node->conf_state.voters) ||
        !is_majority_connected(node, &node->conf_state.voters_outgoing))
        return;
    node->failover.started = true;
    arrange(node, FLOE_ID_NONE);
}

/* Ends with the leader that was elected, the one that is heard again, or the last try. */
void failover_turn(struct node *node)
{
    struct failover *failover = &node->failover;
    if (failover->campaign_ms == 0 || node->now_ms < failover->campaign_ms)
        return;
    floe_id leader = node_leader(node);
    if (leader != FLOE_ID_NONE || failover->tries == TRIES_MAX) {
        failover->campaign_ms = 0;
        return;
    }
    failover->tries++;
    failover->campaign_ms =
        node->now_ms + 3 * step_ms(node) + prng_below(&node->prng, 2 * step_ms(node));
    if (may_campaign(node))
        (void)floe_raft_campaign(node->raft);
}
