/*
 * Linearizable reads (thesis 6.4): a read waits for a read index that was asked for after it came,
 * and then until that index is applied here.
 *
 * Requests for an index are numbered and never reused; the answer to number n serves every read
 * that came before n was sent. A lost round is simply asked again under a new number.
 */
#include "node/internal.h"

#include <inttypes.h>

#define READ_CONTEXT_BYTES 16

void node_read(struct node *node, uint64_t token, uint64_t now_ms)
{
    struct node_result refused = {.token = token, .outcome = NODE_NOT_DONE};
    if (requests_are_over(node)) {
        refused.text = requests_end_text(node);
        requests_push_result(node, refused);
        return;
    }
    struct read *read = mem_calloc(1, sizeof *read);
    read->token = token;
    read->deadline_ms = now_ms + node->options.request_timeout_ms;
    TAILQ_INSERT_TAIL(&node->reads, read, next);
    node->read_count++;
    node->reads_unsent = true;
}

static bool waits_for_answer(const struct node *node)
{
    const struct read *last = TAILQ_LAST(&node->reads, read_list);
    return last != NULL && !last->has_index;
}

/* A sole voter's core answers reads with the commit index that it has, as the reference does. After
 * a power cut that may be older than what it has acknowledged: the commit index is not synced for
 * itself. The first commit of the own term makes it good. */
bool reads_come_too_early(const struct node *node)
{
    const struct floe_conf_state *conf = &node->conf_state;
    if (!node_is_leader(node) || conf->voters.count + conf->voters_outgoing.count > 1)
        return false;
    struct floe_hard_state hs = floe_raft_basic_status(node->raft).hard_state;
    return floe_raft_term_at(node->raft, hs.commit) != hs.term;
}

void reads_send(struct node *node)
{
    if (node_leader(node) == 0 || !waits_for_answer(node) || reads_come_too_early(node))
        return;
    uint64_t again_ms = node->read_sent_ms + 2 * (uint64_t)node->options.heartbeat_ms;
    if (!node->reads_unsent && node->now_ms < again_ms)
        return;
    node->read_seq++;
    node->read_sent_ms = node->now_ms;
    node->reads_unsent = false;
    struct read *read;
    TAILQ_FOREACH(read, &node->reads, next) {
        if (read->first_seq == 0)
            read->first_seq = node->read_seq;
    }
    struct floe_blob *context = floe_blob_alloc(READ_CONTEXT_BYTES);
    put_u64(floe_blob_bytes(context), node->boot);
    put_u64(floe_blob_bytes(context) + 8, node->read_seq);
    floe_raft_read_index(node->raft, context);
    floe_blob_unref(context);
}

void reads_on_state(struct node *node, const struct floe_read_state *state)
{
    if (floe_blob_size(state->context) != READ_CONTEXT_BYTES ||
        get_u64(floe_blob_data(state->context)) != node->boot)
        return;
    uint64_t seq = get_u64(floe_blob_data(state->context) + 8);
    struct read *read;
    TAILQ_FOREACH(read, &node->reads, next) {
        if (read->first_seq == 0 || read->first_seq > seq)
            break;
        if (!read->has_index) {
            read->has_index = true;
            read->index = state->index;
        }
    }
}

static void end_first(struct node *node, enum node_outcome outcome, const char *text)
{
    struct read *read = TAILQ_FIRST(&node->reads);
    TAILQ_REMOVE(&node->reads, read, next);
    node->read_count--;
    requests_push_result(node, (struct node_result){.token = read->token,
                                                    .outcome = outcome,
                                                    .text = text});
    mem_free(read);
}

void reads_complete(struct node *node)
{
    struct read *read;
    while ((read = TAILQ_FIRST(&node->reads)) != NULL) {
        if (read->has_index && read->index <= node->applied && node->loading.reader == NULL)
            end_first(node, NODE_OK, NULL);
        else if (read->deadline_ms <= node->now_ms)
            end_first(node, NODE_NOT_DONE,
                      node_leader(node) == 0 ? "there is no leader"
                                             : "the leader did not confirm the read in time");
        else
            return;
    }
}

void reads_on_leader(struct node *node)
{
    node->reads_unsent = waits_for_answer(node);
}

void reads_end_all(struct node *node)
{
    while (!TAILQ_EMPTY(&node->reads))
        end_first(node, NODE_NOT_DONE, requests_end_text(node));
}
