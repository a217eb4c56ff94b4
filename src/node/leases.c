/*
 * Leases at the leader: the clock of its term, and what members have asked about them.
 *
 * It answers what came before a round of confirmation began, once that round has shown that it
 * still leads (reads.c): a deposed leader promises nothing. It proposes the ends and checkpoints of
 * leases itself, with its term, and never again: in another term the store takes no notice.
 */
#include "node/internal.h"

#include "codec/pack.h"
#include "kv/walk.h"

#include <inttypes.h>

#define WAITS_MAX 400000u     /* over it they are asked again */
#define FILL_A_TURN 4096u     /* leases read from the store */
#define PROPOSED_LEASES 1000u /* in one command */
#define PROPOSED_KEYS 4096u   /* that go with them, about */

void leases_init(struct node *node, uint64_t seed)
{
    struct leases *leases = &node->leases;
    leases->prng.state = seed;
    leases->last_seq = prng_next(&leases->prng) >> 1;
    TAILQ_INIT(&leases->all);
    TAILQ_INIT(&leases->unsent);
    TAILQ_INIT(&leases->sent);
    STAILQ_INIT(&leases->fresh);
    STAILQ_INIT(&leases->stuck);
    lease_clock_init(&leases->clock, node->options.heartbeat_ms);
}

/* ---- at the leader: asks --------------------------------------------------------------------- */

static void add_wait(struct node *node, floe_id origin, uint64_t seq, bool look, uint64_t lease)
{
    struct leases *leases = &node->leases;
    if (leases->wait_count >= WAITS_MAX)
        return;
    struct lease_wait *wait = mem_calloc(1, sizeof *wait);
    *wait = (struct lease_wait){.origin = origin,
                                .seq = seq,
                                .lease = lease,
                                .look = look,
                                .round = leases->round + 1,
                                .deadline_ms = node->now_ms + node->options.request_timeout_ms};
    STAILQ_INSERT_TAIL(&leases->fresh, wait, next);
    leases->wait_count++;
    if (!look) /* no promise yet, but its time does not run out meanwhile */
        (void)lease_clock_renew(&leases->clock, lease, node->now_ms);
}

void leases_on_asks(struct node *node, floe_id from, const uint8_t *data, size_t len)
{
    if (node->leases.term == 0 || members_find(&node->members, from) == NULL)
        return; /* it asks again */
    struct unpack in = unpack_init(data, len);
    uint32_t fields = unpack_array(&in);
    for (uint32_t i = 0; i < fields / 3 && !in.failed; i++) {
        uint64_t seq = unpack_u64(&in);
        bool look = unpack_u64(&in) != 0;
        uint64_t lease = unpack_u64(&in);
        if (!in.failed)
            add_wait(node, from, seq, look, lease);
    }
    if (in.failed)
        log_warn(node->logger, "malformed request about leases from=%" PRIu64, from);
}

static void take_own_asks(struct node *node)
{
    const struct lease_ask *ask;
    uint32_t count = 0;
    TAILQ_FOREACH(ask, &node->leases.unsent, in_state)
    {
        add_wait(node, node->options.id, ask->seq, ask->look, ask->lease);
        count++;
    }
    lease_asks_mark_sent(node, count);
}

static void add_answer(struct node *node, const struct lease_wait *wait, bool known)
{
    struct leases *leases = &node->leases;
    struct lease_answer answer = {.origin = wait->origin, .seq = wait->seq, .known = known};
    if (known)
        (void)lease_clock_look(&leases->clock, wait->lease, node->now_ms, &answer.ttl_s,
                               &answer.remaining_ms);
    leases->answers = mem_grow(leases->answers, leases->answer_count, &leases->answer_cap,
                               sizeof *leases->answers);
    leases->answers[leases->answer_count++] = answer;
}

/* The clock may be behind while it is being filled. */
static void put_from_store(struct node *node, uint64_t id)
{
    struct kv_lease_info info;
    if (kv_lease_get(node->kv, id, &info))
        lease_clock_put(&node->leases.clock, id, info.ttl_s, info.remaining_s, node->now_ms);
}

/* false: it must wait on. */
static bool answer_wait(struct node *node, const struct lease_wait *wait)
{
    struct lease_clock *clock = &node->leases.clock;
    put_from_store(node, wait->lease);
    if (wait->look) {
        uint64_t ttl_s;
        uint64_t remaining_ms;
        add_answer(node, wait,
                   lease_clock_look(clock, wait->lease, node->now_ms, &ttl_s, &remaining_ms));
        return true;
    }
    enum lease_renewal renewal = lease_clock_renew(clock, wait->lease, node->now_ms);
    if (renewal == LEASE_WAITS)
        return false;
    add_answer(node, wait, renewal == LEASE_RENEWED);
    return true;
}

static void end_wait(struct leases *leases, struct lease_wait *wait)
{
    leases->wait_count--;
    mem_free(wait);
}

static void answer_confirmed(struct node *node, uint64_t round)
{
    struct leases *leases = &node->leases;
    struct lease_wait *wait;
    while ((wait = STAILQ_FIRST(&leases->fresh)) != NULL && wait->round <= round) {
        STAILQ_REMOVE_HEAD(&leases->fresh, next);
        if (answer_wait(node, wait))
            end_wait(leases, wait);
        else
            STAILQ_INSERT_TAIL(&leases->stuck, wait, next);
    }
}

static void answer_stuck(struct node *node)
{
    struct leases *leases = &node->leases;
    if (!leases->unstick)
        return;
    leases->unstick = false;
    struct lease_waits again = STAILQ_HEAD_INITIALIZER(again);
    struct lease_wait *wait;
    STAILQ_CONCAT(&again, &leases->stuck);
    while ((wait = STAILQ_FIRST(&again)) != NULL) {
        STAILQ_REMOVE_HEAD(&again, next);
        if (wait->deadline_ms <= node->now_ms || answer_wait(node, wait))
            end_wait(leases, wait);
        else
            STAILQ_INSERT_TAIL(&leases->stuck, wait, next);
    }
}

static void send_answers(struct node *node, floe_id to)
{
    const struct leases *leases = &node->leases;
    struct buf list = {0};
    uint32_t count = 0;
    for (size_t i = 0; i < leases->answer_count; i++) {
        const struct lease_answer *answer = &leases->answers[i];
        if (answer->origin != to)
            continue;
        count++;
        pack_u64(&list, answer->seq);
        pack_u64(&list, answer->known ? 1 : 0);
        pack_u64(&list, answer->ttl_s);
        pack_u64(&list, answer->remaining_ms);
    }
    struct buf note = {0};
    pack_array(&note, 4 * count);
    buf_add(&note, list.data, list.len);
    if (count > 0 &&
        peer_set_send_note(node->peers, to, NOTE_LEASE_ANSWER, note.data, note.len) != ERR_OK)
        log_debug(node->logger, "note lost to=%" PRIu64, to);
    buf_deinit(&note);
    buf_deinit(&list);
}

void leases_flush(struct node *node)
{
    struct leases *leases = &node->leases;
    if (leases->answer_count == 0)
        return;
    for (size_t i = 0; i < leases->answer_count; i++)
        if (leases->answers[i].origin == node->options.id)
            lease_asks_answer(node, &leases->answers[i]);
    for (size_t i = 0; i < node->members.count; i++)
        if (node->members.list[i].id != node->options.id)
            send_answers(node, node->members.list[i].id);
    leases->answer_count = 0;
}

/* ---- at the leader: the term ----------------------------------------------------------------- */

static void drop_waits(struct leases *leases, struct lease_waits *waits)
{
    struct lease_wait *wait;
    while ((wait = STAILQ_FIRST(waits)) != NULL) {
        STAILQ_REMOVE_HEAD(waits, next);
        end_wait(leases, wait);
    }
}

/* Who was waiting asks again, the next leader. */
static void lose(struct node *node)
{
    struct leases *leases = &node->leases;
    if (leases->term == 0)
        return;
    leases->term = 0;
    lease_clock_clear(&leases->clock);
    drop_waits(leases, &leases->fresh);
    drop_waits(leases, &leases->stuck);
    leases->answer_count = 0;
    lease_asks_on_leader(node);
}

static void begin_term(struct node *node, floe_term term)
{
    struct leases *leases = &node->leases;
    lose(node);
    leases->term = term;
    leases->filling = true;
    leases->fill_next = 1;
    leases->confirmed = leases->round; /* one that flies still belongs to the old term ... */
    leases->settled = leases->round;
    leases->round++; /* ... and its number is over */
    leases->round_flies = false;
    leases->end_flies = false;
    leases->checkpoint_flies = false;
}

static void fill(struct node *node)
{
    struct leases *leases = &node->leases;
    struct kv_lease_info info;
    for (unsigned i = 0; i < FILL_A_TURN && leases->filling; i++) {
        leases->filling = kv_lease_seek(node->kv, leases->fill_next, &info);
        if (!leases->filling)
            break;
        lease_clock_put(&leases->clock, info.id, info.ttl_s, info.remaining_s, node->now_ms);
        leases->filling = info.id != UINT64_MAX;
        leases->fill_next = info.id + 1;
    }
    node->more = node->more || leases->filling;
}

/* What goes with a lease is deleted in one go: not too much of it in one command. */
static size_t limit_keys(const struct node *node, const struct kv_lease_time *list, size_t count)
{
    uint64_t keys = 0;
    for (size_t i = 0; i < count; i++) {
        struct kv_lease_info info = {.id = 0};
        (void)kv_lease_get(node->kv, list[i].id, &info);
        keys += info.key_count;
        if (keys > PROPOSED_KEYS)
            return i > 0 ? i : 1;
    }
    return count;
}

static void propose_ends(struct node *node)
{
    struct leases *leases = &node->leases;
    struct kv_lease_time list[PROPOSED_LEASES];
    if (leases->end_flies)
        return;
    size_t count =
        lease_clock_due(&leases->clock, node->now_ms, leases->settled, list, PROPOSED_LEASES);
    count = limit_keys(node, list, count);
    struct kv_command command = {
        .type = KV_COMMAND_EXPIRE, .term = leases->term, .leases = list, .lease_count = count,
        .births = kv_lease_births(node->kv, leases->term)};
    if (count == 0 || !requests_propose_own(node, &command))
        return;
    lease_clock_ends(&leases->clock, list, count);
    leases->end_flies = true;
    log_debug(node->logger, "leases run out count=%zu first=%" PRIu64, count, list[0].id);
}

static void propose_checkpoints(struct node *node)
{
    struct leases *leases = &node->leases;
    struct kv_lease_time list[PROPOSED_LEASES];
    if (leases->checkpoint_flies)
        return;
    size_t count = lease_clock_checkpoints(&leases->clock, node->now_ms, list, PROPOSED_LEASES);
    struct kv_command command = {
        .type = KV_COMMAND_CHECKPOINT, .term = leases->term, .leases = list, .lease_count = count,
        .births = kv_lease_births(node->kv, leases->term)};
    if (count == 0 || !requests_propose_own(node, &command))
        return;
    lease_clock_checkpointed(&leases->clock, list, count, node->now_ms);
    leases->checkpoint_flies = true;
}

static void maybe_begin_round(struct node *node)
{
    struct leases *leases = &node->leases;
    const struct lease_wait *wait = STAILQ_FIRST(&leases->fresh);
    bool wanted = (wait != NULL && wait->round > leases->round) ||
                  lease_clock_needs_round(&leases->clock, leases->confirmed);
    if (leases->round_flies || !wanted)
        return;
    leases->round++;
    leases->round_flies = true;
    reads_begin(node, READ_LEASES, leases->round);
}

void leases_on_round(struct node *node, uint64_t round, bool confirmed)
{
    struct leases *leases = &node->leases;
    if (!leases->round_flies || round != leases->round)
        return;
    leases->round_flies = false;
    bool leads =
        node_is_leader(node) && floe_raft_basic_status(node->raft).hard_state.term == leases->term;
    if (confirmed && leads) {
        leases->confirmed = round;
        answer_confirmed(node, round);
        return;
    }
    struct lease_wait *wait; /* those that remain go with the next round */
    STAILQ_FOREACH(wait, &leases->fresh, next)
    wait->round = round + 1;
}

static void lead(struct node *node)
{
    struct leases *leases = &node->leases;
    fill(node);
    take_own_asks(node);
    if (node->inbox_empty)
        leases->settled = leases->confirmed;
    if (lease_clock_turn(&leases->clock, node->now_ms, leases->round + 1))
        node->more = true;
    propose_ends(node);
    propose_checkpoints(node);
    maybe_begin_round(node);
}

void leases_turn(struct node *node)
{
    floe_term term = floe_raft_basic_status(node->raft).hard_state.term;
    lease_asks_time_out(node);
    if (!node_is_leader(node) || !node_has_taken_over(node)) {
        lose(node);
        lease_asks_send(node);
        return;
    }
    if (term != node->leases.term)
        begin_term(node, term);
    lead(node);
}

/* ---- what is applied ------------------------------------------------------------------------- */

static void look_again(struct node *node, uint64_t id)
{
    struct kv_lease_info info;
    if (kv_lease_get(node->kv, id, &info))
        lease_clock_put(&node->leases.clock, id, info.ttl_s, info.remaining_s, node->now_ms);
    else
        lease_clock_drop(&node->leases.clock, id);
}

/* Leases that operations may have granted, in whichever branch. */
static void look_at_grants(struct node *node, const struct kv_command *command)
{
    struct kv_walk walk;
    struct kv_walk_event event;
    kv_walk_begin(&walk, command->ops, command->op_count);
    while (kv_walk_next(&walk, &event))
        if (event.op != NULL && event.op->type == KV_OP_GRANT)
            look_again(node, event.op->grant.id);
}

static void on_command(struct node *node, const struct kv_command *command)
{
    struct leases *leases = &node->leases;
    switch (command->type) {
    case KV_COMMAND_OP:
    case KV_COMMAND_BATCH: look_at_grants(node, command); return;
    case KV_COMMAND_REVOKE:
    case KV_COMMAND_EXPIRE:
        for (size_t i = 0; i < command->lease_count; i++)
            look_again(node, command->leases[i].id);
        leases->unstick = true;
        return;
    case KV_COMMAND_CHECKPOINT:
        for (size_t i = 0; i < command->lease_count; i++)
            lease_clock_on_checkpoint(&leases->clock, command->leases[i].id,
                                      command->leases[i].remaining_s);
        leases->unstick = true;
        return;
    case KV_COMMAND_COMPACT:
    case KV_COMMAND_FORGET:
    case KV_COMMAND_ALARM: return;
    }
}

void leases_on_applied(struct node *node, const uint8_t *data, size_t len, bool ours)
{
    struct kv_command command;
    if (node->leases.term == 0 || kv_command_decode(data, len, &command) != ERR_OK)
        return;
    on_command(node, &command);
    if (ours && command.type == KV_COMMAND_EXPIRE)
        node->leases.end_flies = false;
    if (ours && command.type == KV_COMMAND_CHECKPOINT)
        node->leases.checkpoint_flies = false;
    kv_command_deinit(&command);
}

/* ---- turns ----------------------------------------------------------------------------------- */

void leases_answer(struct node *node)
{
    if (node->leases.term != 0)
        answer_stuck(node);
    leases_flush(node);
}

uint64_t leases_next_ms(const struct node *node)
{
    const struct leases *leases = &node->leases;
    uint64_t next = lease_asks_next_ms(node);
    if (leases->term != 0 && lease_clock_next_ms(&leases->clock) < next)
        next = lease_clock_next_ms(&leases->clock);
    return next;
}

void leases_deinit(struct node *node)
{
    lease_clock_deinit(&node->leases.clock);
    drop_waits(&node->leases, &node->leases.fresh);
    drop_waits(&node->leases, &node->leases.stuck);
    mem_free(node->leases.answers);
}
