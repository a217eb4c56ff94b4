/*
 * Membership changes, one at a time (thesis 4.1). The leader decides, since only it knows what is
 * under way; other members ask it with a note and wait until the change is applied at themselves.
 *
 * A new member starts as a learner and is promoted by the leader once it has what was committed one
 * heartbeat ago. A removed member is told until it acknowledges, for ten seconds at most.
 */
#include "node/internal.h"

#include "codec/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REMOVED_FILE "REMOVED"

/* What an answer says; the text goes with it on both sides of a note. */
enum verdict {
    VERDICT_DONE = 0,
    VERDICT_RETRY = 1, /* not the leader, or not able to propose now: certainly not done */
    VERDICT_ID_IN_USE = 2,
    VERDICT_ID_REMOVED = 3,
    VERDICT_ADDRESS_IN_USE = 4,
    VERDICT_UNDER_WAY = 5,
    VERDICT_UNKNOWN_MEMBER = 6,
    VERDICT_LAST_VOTER = 7,
    VERDICT_NOT_LEARNER = 8,
    VERDICT_NOT_CAUGHT_UP = 9,
    VERDICT_NOT_VOTER = 10,
    VERDICT_NO_HEIR = 11,
    VERDICT_NOT_TAKEN = 12,
    VERDICT_COUNT,
};

static const struct {
    enum node_outcome outcome;
    const char *text;
} verdicts[VERDICT_COUNT] = {
    [VERDICT_DONE] = {NODE_OK, NULL},
    [VERDICT_RETRY] = {NODE_NOT_DONE, "the leader could not make the change"},
    [VERDICT_ID_IN_USE] = {NODE_CONFLICT, "this id is a member already"},
    [VERDICT_ID_REMOVED] = {NODE_CONFLICT, "this id was removed once and cannot come back"},
    [VERDICT_ADDRESS_IN_USE] = {NODE_CONFLICT, "another member has this address"},
    [VERDICT_UNDER_WAY] = {NODE_CHANGE_UNDER_WAY, "another membership change is under way"},
    [VERDICT_UNKNOWN_MEMBER] = {NODE_MEMBER_NOT_FOUND, "there is no member with this id"},
    [VERDICT_LAST_VOTER] = {NODE_REFUSED, "the last voter cannot be removed"},
    [VERDICT_NOT_LEARNER] = {NODE_REFUSED, "only a learner can be promoted"},
    [VERDICT_NOT_CAUGHT_UP] = {NODE_REFUSED, "the learner has not caught up with the leader"},
    [VERDICT_NOT_VOTER] = {NODE_REFUSED, "only a voter can lead"},
    [VERDICT_NO_HEIR] = {NODE_REFUSED, "there is no other member that could lead"},
    [VERDICT_NOT_TAKEN] = {NODE_NOT_DONE, "the member has not taken the leadership over"},
};

static void requeue(struct node *node, struct waiter *waiter)
{
    waiter->retry_ms = node->now_ms + NODE_RETRY_MS;
    waiters_set_state(&node->waiters, waiter, WAITER_QUEUED);
}

static void send_answer(struct node *node, const struct waiter *waiter, enum verdict verdict)
{
    struct buf note = {0};
    pack_array(&note, 4);
    pack_u64(&note, waiter->origin_seq);
    pack_u64(&note, verdict);
    pack_u64(&note, waiter->index);
    pack_u64(&note, waiter->term);
    if (peer_set_send_note(node->peers, waiter->origin, NOTE_CHANGE_ANSWER, note.data,
                           note.len) != ERR_OK)
        log_debug(node->logger, "change answer lost to=%" PRIu64, waiter->origin);
    buf_deinit(&note);
}

static void end_change(struct node *node, struct waiter *waiter, enum verdict verdict)
{
    if (verdict == VERDICT_RETRY && waiter->origin == 0) {
        requeue(node, waiter);
        return;
    }
    if (waiter->origin != 0)
        send_answer(node, waiter, verdict);
    requests_result(node, waiter,
                    (struct node_result){.outcome = verdicts[verdict].outcome,
                                         .text = verdicts[verdict].text,
                                         .index = waiter->index,
                                         .term = waiter->term});
}

/* ---- at the leader --------------------------------------------------------------------------- */

static enum verdict check_add(const struct node *node, const struct waiter *waiter)
{
    if (members_find(&node->members, waiter->member_id) != NULL)
        return VERDICT_ID_IN_USE;
    if (members_was_removed(&node->members, waiter->member_id))
        return VERDICT_ID_REMOVED;
    if (members_by_address(&node->members, waiter->address) != NULL)
        return VERDICT_ADDRESS_IN_USE;
    return VERDICT_DONE;
}

static enum verdict check_remove(struct node *node, const struct waiter *waiter)
{
    if (members_find(&node->members, waiter->member_id) == NULL)
        return VERDICT_UNKNOWN_MEMBER;
    const struct floe_ids *voters = &node->conf_state.voters;
    if (voters->count == 1 && voters->id[0] == waiter->member_id)
        return VERDICT_LAST_VOTER;
    if (waiter->member_id == node->options.id) {
        (void)stop_transfer_away(node);
        return VERDICT_RETRY;
    }
    return VERDICT_DONE;
}

static void note_proposed(struct node *node)
{
    struct floe_basic_status status = floe_raft_basic_status(node->raft);
    node->change_index = status.last_index;
    node->change_term = status.hard_state.term;
}

/* One of an earlier term may have been lost with its leader. */
static bool is_under_way(const struct node *node)
{
    return node->change_index > node->applied &&
           node->change_term == floe_raft_basic_status(node->raft).hard_state.term;
}

enum floe_err changes_propose(struct node *node, enum floe_conf_change_type type, floe_id id,
                              struct floe_blob *context)
{
    struct floe_conf_change_single single = {.type = type, .node_id = id};
    struct floe_conf_change change =
        floe_conf_change_make(FLOE_CONF_TRANSITION_AUTO, &single, 1, context);
    enum floe_err err = floe_raft_propose_conf_change(node->raft, &change, false);
    if (err == FLOE_OK)
        note_proposed(node);
    floe_conf_change_deinit(&change);
    return err;
}

static bool caught_up(const struct floe_progress *progress, floe_index goal)
{
    return progress->is_learner && progress->recent_active &&
           progress->state == FLOE_PROGRESS_REPLICATE && goal > 0 && progress->match >= goal;
}

static enum verdict check_promote(const struct node *node, const struct waiter *waiter)
{
    floe_id id = waiter->member_id;
    if (members_find(&node->members, id) == NULL)
        return VERDICT_UNKNOWN_MEMBER;
    if (!floe_ids_contain(&node->conf_state.learners, id))
        return VERDICT_NOT_LEARNER;
    bool ready = false;
    struct floe_status status = floe_raft_status(node->raft);
    for (size_t i = 0; i < status.progress_count; i++)
        ready = ready || (status.progress[i].id == id &&
                          caught_up(&status.progress[i], node->promote_goal));
    floe_status_deinit(&status);
    return ready && !reseed_asks(node, id) ? VERDICT_DONE : VERDICT_NOT_CAUGHT_UP;
}

static enum verdict check_update(const struct node *node, const struct waiter *waiter)
{
    const struct member *other = members_by_address(&node->members, waiter->address);
    if (members_find(&node->members, waiter->member_id) == NULL)
        return VERDICT_UNKNOWN_MEMBER;
    return other != NULL && other->id != waiter->member_id ? VERDICT_ADDRESS_IN_USE : VERDICT_DONE;
}

static enum verdict check(struct node *node, const struct waiter *waiter)
{
    switch (waiter->kind) {
    case WAITER_ADD: return check_add(node, waiter);
    case WAITER_REMOVE: return check_remove(node, waiter);
    case WAITER_PROMOTE: return check_promote(node, waiter);
    case WAITER_UPDATE: return check_update(node, waiter);
    case WAITER_WRITE:
    case WAITER_TRANSFER: break;
    }
    UNREACHABLE("a waiter that changes no member");
}

static enum floe_conf_change_type type_of(enum waiter_kind kind)
{
    switch (kind) {
    case WAITER_ADD: return FLOE_CONF_ADD_LEARNER;
    case WAITER_REMOVE: return FLOE_CONF_REMOVE_NODE;
    case WAITER_PROMOTE: return FLOE_CONF_ADD_NODE;
    case WAITER_UPDATE: return FLOE_CONF_UPDATE_NODE;
    case WAITER_WRITE:
    case WAITER_TRANSFER: break;
    }
    UNREACHABLE("a waiter that changes no member");
}

static void make_change(struct node *node, struct waiter *waiter)
{
    enum verdict verdict = VERDICT_RETRY;
    if (is_under_way(node))
        verdict = VERDICT_UNDER_WAY;
    else if (node_has_taken_over(node)) /* and so has applied earlier changes */
        verdict = check(node, waiter);
    struct floe_blob *context =
        waiter->address[0] != 0
            ? member_context_encode(waiter->address, 0, waiter->stay_learner)
            : NULL;
    if (verdict == VERDICT_DONE &&
        changes_propose(node, type_of(waiter->kind), waiter->member_id, context) != FLOE_OK)
        verdict = VERDICT_RETRY;
    floe_blob_unref(context);
    if (verdict != VERDICT_DONE) {
        end_change(node, waiter, verdict);
        return;
    }
    waiter->index = node->change_index;
    waiter->term = floe_raft_basic_status(node->raft).hard_state.term;
    waiters_set_state(&node->waiters, waiter, WAITER_PROPOSED);
}

/* Two election time-outs: the core gives a transfer up after one. */
static void begin_transfer(struct node *node, struct waiter *waiter)
{
    floe_id to = waiter->member_id != 0 ? waiter->member_id : stop_best_heir(node);
    enum verdict verdict = VERDICT_DONE;
    if (to == 0)
        verdict = VERDICT_NO_HEIR;
    else if (members_find(&node->members, to) == NULL)
        verdict = VERDICT_UNKNOWN_MEMBER;
    else if (!floe_ids_contain(&node->conf_state.voters, to))
        verdict = VERDICT_NOT_VOTER;
    if (verdict != VERDICT_DONE || to == node->options.id) {
        end_change(node, waiter, verdict);
        return;
    }
    log_info(node->logger, "handing leadership over as asked to=%" PRIu64, to);
    waiter->member_id = to;
    waiter->give_up_ms = node->now_ms + 2 * (uint64_t)node->options.election_ms;
    waiters_set_state(&node->waiters, waiter, WAITER_FORWARDED);
    node->transfer_begun = true;
    floe_raft_transfer_leader(node->raft, to);
}

/* At the leader. */
static void take_up(struct node *node, struct waiter *waiter)
{
    if (waiter->kind == WAITER_TRANSFER)
        begin_transfer(node, waiter);
    else
        make_change(node, waiter);
}

/* The transfers that were begun here: done, given up, or to be asked of another leader. */
static void judge_transfers(struct node *node)
{
    floe_id leader = node_leader(node);
    bool more = false;
    struct waiter *waiter = TAILQ_FIRST(&node->waiters.all);
    while (waiter != NULL && node->transfer_begun) {
        struct waiter *next = TAILQ_NEXT(waiter, in_all);
        if (waiter->kind == WAITER_TRANSFER && waiter->give_up_ms != 0) {
            if (leader == waiter->member_id)
                end_change(node, waiter, VERDICT_DONE);
            else if ((leader != 0 && leader != node->options.id) ||
                     waiter->give_up_ms <= node->now_ms)
                end_change(node, waiter, VERDICT_NOT_TAKEN);
            else
                more = true;
        }
        waiter = next;
    }
    node->transfer_begun = more;
}

void changes_on_leader(struct node *node)
{
    judge_transfers(node);
}

void changes_on_request(struct node *node, floe_id from, const uint8_t *data, size_t len)
{
    struct unpack in = unpack_init(data, len);
    uint32_t fields = unpack_array(&in);
    uint64_t seq = unpack_u64(&in);
    uint64_t kind = unpack_u64(&in);
    floe_id id = unpack_u64(&in);
    size_t address_len = 0;
    const uint8_t *address = unpack_bin(&in, &address_len);
    bool stay_learner = fields > 4 && unpack_u64(&in) != 0;
    unpack_rest(&in, fields, fields > 4 ? 5 : 4);
    struct addr parsed = {.port = 0};
    const char *why;
    bool at_address = kind == WAITER_ADD || kind == WAITER_UPDATE;
    bool possible = id < FLOE_ID_APPLY_THREAD && (id != FLOE_ID_NONE || kind == WAITER_TRANSFER) &&
                    kind >= WAITER_ADD && kind <= WAITER_TRANSFER;
    if (unpack_end(&in) != ERR_OK || !possible ||
        (at_address && addr_parse((const char *)address, address_len, &parsed, &why) != ERR_OK)) {
        log_warn(node->logger, "malformed change request from=%" PRIu64, from);
        return;
    }
    struct waiter *waiter = waiters_add(&node->waiters, (enum waiter_kind)kind, NULL,
                                        sizeof *waiter,
                                        node->now_ms + node->options.request_timeout_ms);
    waiter->internal = true;
    waiter->origin = from;
    waiter->origin_seq = seq;
    waiter->member_id = id;
    waiter->stay_learner = stay_learner;
    if (at_address)
        addr_format(&parsed, waiter->address);
    if (node_is_leader(node))
        take_up(node, waiter);
    else
        end_change(node, waiter, VERDICT_RETRY);
}

/* ---- at the member that was asked ------------------------------------------------------------ */

static bool send_request(struct node *node, const struct waiter *waiter)
{
    struct buf note = {0};
    pack_array(&note, 5);
    pack_u64(&note, waiter->seq);
    pack_u64(&note, waiter->kind);
    pack_u64(&note, waiter->member_id);
    pack_bin(&note, waiter->address, strlen(waiter->address));
    pack_u64(&note, waiter->stay_learner ? 1 : 0);
    enum err err = peer_set_send_note(node->peers, node_leader(node), NOTE_CHANGE_REQUEST,
                                      note.data, note.len);
    buf_deinit(&note);
    return err == ERR_OK;
}

void changes_attempt(struct node *node, struct waiter *waiter)
{
    ASSERT(waiter->state == WAITER_QUEUED);
    if (node_is_leader(node))
        take_up(node, waiter);
    else if (waiter->origin != 0)
        end_change(node, waiter, VERDICT_RETRY);
    else if (send_request(node, waiter))
        waiters_set_state(&node->waiters, waiter, WAITER_FORWARDED);
    else
        waiter->retry_ms = node->now_ms + NODE_RETRY_MS;
}

void changes_on_answer(struct node *node, floe_id from, const uint8_t *data, size_t len)
{
    struct unpack in = unpack_init(data, len);
    uint32_t fields = unpack_array(&in);
    uint64_t seq = unpack_u64(&in);
    uint64_t verdict = unpack_u64(&in);
    floe_index index = unpack_u64(&in);
    floe_term term = unpack_u64(&in);
    unpack_rest(&in, fields, 4);
    if (unpack_end(&in) != ERR_OK || verdict >= VERDICT_COUNT) {
        log_warn(node->logger, "malformed change answer from=%" PRIu64, from);
        return;
    }
    struct waiter *waiter = waiters_find(&node->waiters, seq);
    if (waiter == NULL || waiter->kind == WAITER_WRITE || waiter->state != WAITER_FORWARDED ||
        waiter->answered)
        return;
    if (verdict != VERDICT_DONE) {
        end_change(node, waiter, (enum verdict)verdict);
        return;
    }
    waiter->answered = true;
    waiter->index = index;
    waiter->term = term;
    node->change_answered = true;
    changes_complete(node);
}

void changes_complete(struct node *node)
{
    if (!node->change_answered)
        return;
    node->change_answered = false;
    struct waiter *waiter = TAILQ_FIRST(&node->waiters.all);
    while (waiter != NULL) {
        struct waiter *next = TAILQ_NEXT(waiter, in_all);
        if (waiter->answered && waiter->index <= node->applied)
            end_change(node, waiter, VERDICT_DONE);
        else if (waiter->answered)
            node->change_answered = true;
        waiter = next;
    }
}

void changes_on_applied(struct node *node, floe_index index, floe_term term)
{
    struct waiter *waiter;
    TAILQ_FOREACH(waiter, &node->waiters.proposed, in_state) {
        if (waiter->kind != WAITER_WRITE && waiter->index == index && waiter->term == term) {
            end_change(node, waiter, VERDICT_DONE);
            return;
        }
    }
}

/* ---- promotion and farewell, by time --------------------------------------------------------- */

static void promote_learners(struct node *node)
{
    if (!node_is_leader(node) || node->conf_state.learners.count == 0 ||
        node->now_ms < node->promote_ms || node->stopping || !node_has_taken_over(node))
        return;
    node->promote_ms = node->now_ms + node->options.heartbeat_ms;
    floe_index goal = node->promote_goal;
    struct floe_status status = floe_raft_status(node->raft);
    node->promote_goal = status.basic.hard_state.commit;
    for (size_t i = 0; i < status.progress_count && !is_under_way(node); i++) {
        const struct member *member = members_find(&node->members, status.progress[i].id);
        if (!caught_up(&status.progress[i], goal) || reseed_asks(node, status.progress[i].id) ||
            (member != NULL && member->stays_learner))
            continue;
        log_info(node->logger, "learner has caught up, promoting id=%" PRIu64 " match=%" PRIu64,
                 status.progress[i].id, status.progress[i].match);
        if (changes_propose(node, FLOE_CONF_ADD_NODE, status.progress[i].id, NULL) != FLOE_OK)
            break;
    }
    floe_status_deinit(&status);
}

void changes_say_farewell(struct node *node, floe_id id)
{
    durable_log_commit(node); /* the index that removes it */
    node->farewells = mem_grow(node->farewells, node->farewell_count, &node->farewell_cap,
                               sizeof *node->farewells);
    node->farewells[node->farewell_count++] =
        (struct farewell){.id = id,
                          .position = wal_appended(node->wal),
                          .until_ms = node->now_ms + NODE_FAREWELL_MS,
                          .next_ms = 0};
    node->sync_wanted = true;
}

static void end_farewell(struct node *node, size_t at)
{
    peer_set_remove(node->peers, node->farewells[at].id, true);
    node->farewells[at] = node->farewells[--node->farewell_count];
}

void changes_on_removed_ack(struct node *node, floe_id from)
{
    for (size_t i = 0; i < node->farewell_count; i++) {
        if (node->farewells[i].id == from) {
            end_farewell(node, i);
            return;
        }
    }
}

static void say_farewells(struct node *node)
{
    for (size_t i = node->farewell_count; i-- > 0;) {
        struct farewell *farewell = &node->farewells[i];
        if (node->now_ms >= farewell->until_ms) {
            end_farewell(node, i);
        } else if (node->now_ms >= farewell->next_ms &&
                   wal_durable(node->wal) >= farewell->position) {
            farewell->next_ms = node->now_ms + 2 * (uint64_t)node->options.heartbeat_ms;
            uint8_t id[8];
            put_u64(id, farewell->id);
            if (peer_set_send_note(node->peers, farewell->id, NOTE_REMOVED, id, sizeof id) !=
                ERR_OK)
                log_debug(node->logger, "farewell not sent to=%" PRIu64, farewell->id);
        }
    }
}

void changes_tick(struct node *node)
{
    promote_learners(node);
    judge_transfers(node);
    rollback_tick(node);
    reseed_tick(node);
    say_farewells(node);
    if (node->leaving_until_ms != 0 && node->now_ms >= node->leaving_until_ms)
        changes_on_self_removed(node, "nobody has said that this removed member may go");
}

/* ---- being removed --------------------------------------------------------------------------- */

/* The mark on disk makes a restart with this directory say why it does not start. */
bool changes_was_self_removed(const struct node *node)
{
    return marks_has(node, REMOVED_FILE);
}

static void end_removals_of_self(struct node *node, const struct floe_entry *entry)
{
    struct waiter *waiter = TAILQ_FIRST(&node->waiters.all);
    while (waiter != NULL) {
        struct waiter *next = TAILQ_NEXT(waiter, in_all);
        if (waiter->kind == WAITER_REMOVE && waiter->member_id == node->options.id) {
            waiter->term = entry != NULL ? entry->term : waiter->term;
            waiter->index = entry != NULL ? entry->index : waiter->index;
            end_change(node, waiter, VERDICT_DONE);
        }
        waiter = next;
    }
    requests_end_all(node);
    reads_end_all(node);
    lease_asks_end_all(node);
}

/* Of two voters, the other one needs our vote until its disk says that we are gone: were we to end
 * at once and it to lose power, it could never be elected again. */
void changes_begin_leaving(struct node *node, const struct floe_entry *entry)
{
    if (node->life != NODE_RUNNING || node->leaving_until_ms != 0)
        return;
    log_info(node->logger, "this member was removed from the cluster id=%" PRIu64 ": leaving",
             node->options.id);
    node->leaving_until_ms = node->now_ms + NODE_FAREWELL_MS;
    end_removals_of_self(node, entry);
}

void changes_on_self_removed(struct node *node, const char *how)
{
    if (node->life != NODE_RUNNING)
        return;
    log_info(node->logger, "%s id=%" PRIu64 ": stopping for good", how, node->options.id);
    marks_put(node, REMOVED_FILE, how);
    end_removals_of_self(node, NULL);
    node->life = NODE_REMOVED;
}
