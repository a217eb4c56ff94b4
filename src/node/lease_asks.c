/*
 * Renewals and looks that were asked of this member: they go to the leader as notes, in batches,
 * and come back as notes. Whoever hears nothing asks again, until the time-out of the request: both
 * may be done twice. What the leader does with them: leases.c.
 */
#include "node/internal.h"

#include "codec/pack.h"

#include <inttypes.h>

#define ASKS_MAX 100000u /* under way here */
#define NOTE_ASKS 1000u  /* in one note */
#define AGAIN_HEARTBEATS 3u

static void end_ask(struct node *node, struct lease_ask *ask, struct node_result result)
{
    struct leases *leases = &node->leases;
    result.token = ask->token;
    requests_push_result(node, result);
    if (ask->sent)
        TAILQ_REMOVE(&leases->sent, ask, in_state);
    else
        TAILQ_REMOVE(&leases->unsent, ask, in_state);
    TAILQ_REMOVE(&leases->all, ask, in_all);
    HASH_DELETE(hh, leases->by_seq, ask);
    leases->ask_count--;
    mem_free(ask);
}

static void add_ask(struct node *node, uint64_t token, uint64_t id, bool look, uint64_t now_ms)
{
    struct leases *leases = &node->leases;
    struct node_result refused = {.token = token, .outcome = NODE_NOT_DONE};
    if (requests_are_over(node)) {
        refused.text = requests_end_text(node);
        requests_push_result(node, refused);
        return;
    }
    if (leases->ask_count >= ASKS_MAX) {
        refused.outcome = NODE_OVERLOADED;
        refused.text = "too many requests about leases are under way";
        requests_push_result(node, refused);
        return;
    }
    struct lease_ask *ask = mem_calloc(1, sizeof *ask);
    *ask = (struct lease_ask){.seq = ++leases->last_seq,
                              .token = token,
                              .lease = id,
                              .look = look,
                              .deadline_ms = now_ms + node->options.request_timeout_ms};
    TAILQ_INSERT_TAIL(&leases->all, ask, in_all);
    TAILQ_INSERT_TAIL(&leases->unsent, ask, in_state);
    HASH_ADD(hh, leases->by_seq, seq, sizeof ask->seq, ask);
    leases->ask_count++;
}

void node_lease_renew(struct node *node, uint64_t token, uint64_t id, uint64_t now_ms)
{
    add_ask(node, token, id, false, now_ms);
}

void node_lease_look(struct node *node, uint64_t token, uint64_t id, uint64_t now_ms)
{
    add_ask(node, token, id, true, now_ms);
}

uint64_t node_new_lease_id(struct node *node)
{
    struct kv_lease_info info;
    uint64_t id;
    do
        id = prng_next(&node->leases.prng) >> 1;
    while (id == 0 || kv_lease_get(node->kv, id, &info));
    return id;
}

uint64_t node_lease_min_ttl_s(const struct node *node)
{
    uint64_t ms = node->options.election_ms + node->options.election_ms / 2;
    return ms <= 1000 ? 1 : (ms + 999) / 1000;
}

static void send_again(struct leases *leases, struct lease_ask *ask)
{
    TAILQ_REMOVE(&leases->sent, ask, in_state);
    TAILQ_INSERT_TAIL(&leases->unsent, ask, in_state);
    ask->sent = false;
}

void lease_asks_on_leader(struct node *node)
{
    struct lease_ask *ask;
    while ((ask = TAILQ_FIRST(&node->leases.sent)) != NULL)
        send_again(&node->leases, ask);
}

void lease_asks_time_out(struct node *node)
{
    struct leases *leases = &node->leases;
    struct lease_ask *ask;
    while ((ask = TAILQ_FIRST(&leases->all)) != NULL && ask->deadline_ms <= node->now_ms)
        end_ask(node, ask,
                (struct node_result){.outcome = NODE_NOT_DONE,
                                     .text = node_leader(node) == 0
                                                 ? "there is no leader"
                                                 : "the leader did not answer in time"});
    while ((ask = TAILQ_FIRST(&leases->sent)) != NULL && ask->again_ms <= node->now_ms)
        send_again(leases, ask);
}

void lease_asks_end_all(struct node *node)
{
    struct lease_ask *ask;
    while ((ask = TAILQ_FIRST(&node->leases.all)) != NULL)
        end_ask(node, ask,
                (struct node_result){.outcome = NODE_NOT_DONE, .text = requests_end_text(node)});
}

void lease_asks_answer(struct node *node, const struct lease_answer *answer)
{
    struct lease_ask *ask = NULL;
    HASH_FIND(hh, node->leases.by_seq, &answer->seq, sizeof answer->seq, ask);
    /* The keys of a lease are looked at then: not in the midst of a command. It is asked again. */
    bool too_early = ask != NULL && ask->look && kv_is_applying(node->kv);
    if (ask != NULL && !too_early)
        end_ask(node, ask,
                (struct node_result){.outcome = NODE_OK,
                                     .lease_known = answer->known,
                                     .lease_ttl_s = answer->ttl_s,
                                     .lease_remaining_ms = answer->remaining_ms});
}

/* The first of those that are unsent, up to a note full. */
static uint32_t pack_asks(const struct leases *leases, struct buf *note)
{
    uint32_t count = 0;
    const struct lease_ask *ask;
    TAILQ_FOREACH(ask, &leases->unsent, in_state)
    {
        if (count++ == NOTE_ASKS - 1)
            break;
    }
    pack_array(note, 3 * count);
    uint32_t left = count;
    TAILQ_FOREACH(ask, &leases->unsent, in_state)
    {
        if (left-- == 0)
            break;
        pack_u64(note, ask->seq);
        pack_u64(note, ask->look ? 1 : 0);
        pack_u64(note, ask->lease);
    }
    return count;
}

void lease_asks_mark_sent(struct node *node, uint32_t count)
{
    struct leases *leases = &node->leases;
    for (uint32_t i = 0; i < count; i++) {
        struct lease_ask *ask = TAILQ_FIRST(&leases->unsent);
        TAILQ_REMOVE(&leases->unsent, ask, in_state);
        TAILQ_INSERT_TAIL(&leases->sent, ask, in_state);
        ask->sent = true;
        ask->again_ms = node->now_ms + AGAIN_HEARTBEATS * (uint64_t)node->options.heartbeat_ms;
    }
}

void lease_asks_send(struct node *node)
{
    struct leases *leases = &node->leases;
    floe_id leader = node_leader(node);
    while (!TAILQ_EMPTY(&leases->unsent) && leader != 0 && leader != node->options.id) {
        struct buf note = {0};
        uint32_t count = pack_asks(leases, &note);
        enum err err = peer_set_send_note(node->peers, leader, NOTE_LEASE_ASK, note.data, note.len);
        buf_deinit(&note);
        if (err != ERR_OK) /* no link, or a full one: later */
            return;
        lease_asks_mark_sent(node, count);
    }
}

void lease_asks_on_note(struct node *node, floe_id from, const uint8_t *data, size_t len)
{
    struct unpack in = unpack_init(data, len);
    uint32_t fields = unpack_array(&in);
    for (uint32_t i = 0; i < fields / 4 && !in.failed; i++) {
        struct lease_answer answer = {.seq = unpack_u64(&in)};
        answer.known = unpack_u64(&in) != 0;
        answer.ttl_s = unpack_u64(&in);
        answer.remaining_ms = unpack_u64(&in);
        if (!in.failed)
            lease_asks_answer(node, &answer);
    }
    if (in.failed)
        log_warn(node->logger, "malformed answer about leases from=%" PRIu64, from);
}

uint64_t lease_asks_next_ms(const struct node *node)
{
    const struct lease_ask *oldest = TAILQ_FIRST(&node->leases.all);
    const struct lease_ask *again = TAILQ_FIRST(&node->leases.sent);
    uint64_t next = oldest != NULL ? oldest->deadline_ms : UINT64_MAX;
    return again != NULL && again->again_ms < next ? again->again_ms : next;
}
