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

static void add_read(struct node *node, enum read_for what, uint64_t token, uint64_t now_ms)
{
    struct read *read = mem_calloc(1, sizeof *read);
    read->what = what;
    read->token = token;
    read->deadline_ms = now_ms + node->options.request_timeout_ms;
    TAILQ_INSERT_TAIL(&node->reads, read, next);
    node->read_count += what == READ_CLIENT;
    node->reads_unsent = true;
}

void node_read(struct node *node, uint64_t token, uint64_t now_ms)
{
    struct node_result refused = {.token = token, .outcome = NODE_NOT_DONE};
    if (requests_are_over(node)) {
        refused.text = requests_end_text(node);
        requests_push_result(node, refused);
        return;
    }
    add_read(node, READ_CLIENT, token, now_ms);
}

void reads_begin(struct node *node, enum read_for what, uint64_t token)
{
    add_read(node, what, token, node->now_ms);
}

/* ---- how old the state is ------------------------------------------------------------------- */

/* The age is kept known, so that it is there when the majority has gone: more exactly for so long
 * after somebody has looked. */
#define AGE_ASKED_MS 10000u
#define AGE_HEARTBEATS 2u
#define AGE_IDLE_MS 1000u

uint64_t node_age_ms(const struct node *node, uint64_t now_ms)
{
    struct freshness *fresh = node->fresh;
    if (!fresh->asked)
        fresh->next_ms = now_ms;
    fresh->asked = true;
    fresh->asked_ms = now_ms;
    if (!fresh->known)
        return UINT64_MAX;
    return now_ms > fresh->as_of_ms ? now_ms - fresh->as_of_ms : 0;
}

static void keep_age_known(struct node *node)
{
    struct freshness *fresh = node->fresh;
    if (fresh->under_way || node->now_ms < fresh->next_ms || requests_are_over(node))
        return;
    fresh->asked = fresh->asked && node->now_ms < fresh->asked_ms + AGE_ASKED_MS;
    uint64_t soon_ms = AGE_HEARTBEATS * (uint64_t)node->options.heartbeat_ms;
    fresh->next_ms = node->now_ms + (fresh->asked ? soon_ms : AGE_IDLE_MS);
    fresh->under_way = true;
    reads_begin(node, READ_AGE, 0);
}

/* Who comes back hears of its leader by this, and what it has missed then, instead of by the next
 * heartbeat. */
void reads_on_connected(struct node *node)
{
    if (node_is_leader(node))
        node->fresh->next_ms = 0;
}

static void learn_age(struct node *node, const struct read *read)
{
    struct freshness *fresh = node->fresh;
    if (!fresh->known || read->sent_ms > fresh->as_of_ms)
        fresh->as_of_ms = read->sent_ms;
    fresh->known = true;
}

/* ---- the index ------------------------------------------------------------------------------- */

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
    keep_age_known(node);
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
        if (read->first_seq != 0)
            continue;
        read->first_seq = node->read_seq;
        read->sent_ms = node->now_ms;
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
    if (outcome == NODE_OK)
        learn_age(node, read);
    switch (read->what) {
    case READ_CLIENT:
        node->read_count--;
        requests_push_result(node, (struct node_result){.token = read->token,
                                                        .outcome = outcome,
                                                        .text = text});
        break;
    case READ_LEASES: leases_on_round(node, read->token, outcome == NODE_OK); break;
    case READ_AGE: node->fresh->under_way = false; break;
    }
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
