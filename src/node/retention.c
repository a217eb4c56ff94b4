/*
 * What the store forgets is an entry of the log like any other; here the leader decides when. It
 * proposes that history goes that is older than history_ms, or the oldest of it while there is more
 * than history_bytes, or all of it when a disk is short of room; and that idempotency keys go that
 * are older than an hour. A cluster where nothing is written gets no entries from here either.
 *
 * A new leader does not know when things were written and counts from its election on.
 */
#include "node/internal.h"

#include <inttypes.h>

#define HOUR_MS UINT64_C(3600000)
#define HISTORY_BYTES (UINT64_C(100) * 1000 * 1000)
#define TICKET_MS HOUR_MS
#define STEPS 32u /* over history_bytes, such a part of the revisions goes at least */

static void begin_term(struct node *node, floe_term term)
{
    uint64_t span_ms = node->options.history_ms;
    struct retention *retention = &node->retention;
    *retention = (struct retention){.term = term, .tidied = kv_compact_revision(node->kv)};
    ages_init(&retention->revisions, span_ms != 0 ? span_ms : HOUR_MS);
    ages_init(&retention->tickets, TICKET_MS);
}

/* The part of the history that is over history_bytes, in 1024ths of it; 0: none.
 * While the store still tidies up, or keeps all for a snapshot or a long read, what was compacted
 * is still counted as occupied: what will be left is estimated by its share of the revisions. */
static uint64_t surplus(struct node *node)
{
    struct retention *retention = &node->retention;
    uint64_t limit = node->options.history_bytes;
    uint64_t gone = kv_compact_revision(node->kv);
    if (kv_is_tidy(node->kv))
        retention->tidied = gone;
    uint64_t last = kv_revision(node->kv);
    uint64_t bytes = kv_history_bytes(node->kv);
    uint64_t all = last - retention->tidied;
    if (gone > retention->tidied)
        bytes = bytes / all * (last - gone) + bytes % all * (last - gone) / all;
    limit = limit != 0 ? limit : HISTORY_BYTES;
    return bytes > limit ? (bytes - limit) / (bytes / 1024 + 1) : 0;
}

/* The revision up to which history is to go; 0: nothing. */
static uint64_t compact_goal(struct node *node)
{
    uint64_t gone = kv_compact_revision(node->kv);
    uint64_t from = gone > 0 ? gone : 1; /* 1 is the empty store */
    uint64_t last = kv_revision(node->kv);
    uint64_t goal = node->retention.revisions.passed;
    uint64_t over = surplus(node);
    if (over > 0 && last > from) {
        uint64_t least = 1024 / STEPS;
        uint64_t step = (last - from) * (over > least ? over : least) / 1024;
        uint64_t forced = from + (step > 0 ? step : 1);
        goal = forced > goal ? forced : goal;
    }
    if (node->room.level != NODE_ROOM_GOOD || room_is_tight(node)) /* rather this than 507 */
        goal = last;
    return goal > from && goal <= last && kv_history_bytes(node->kv) > 0 ? goal : 0;
}

static void maybe_compact(struct node *node)
{
    struct kv_command command = {.type = KV_COMMAND_COMPACT, .number = compact_goal(node)};
    bool flies = kv_compact_revision(node->kv) < node->retention.compacted;
    if (command.number == 0 || flies || !requests_propose_own(node, &command))
        return;
    node->retention.compacted = command.number;
    log_debug(node->logger, "history goes upto=%" PRIu64 " bytes=%" PRIu64, command.number,
              kv_history_bytes(node->kv));
}

static void maybe_forget(struct node *node)
{
    struct retention *retention = &node->retention;
    struct kv_command command = {
        .type = KV_COMMAND_FORGET, .term = retention->term, .number = retention->tickets.passed};
    uint64_t oldest = kv_ticket_first(node->kv);
    bool is_due = oldest != 0 && oldest <= command.number; /* whoever led before may have done it */
    if (is_due && command.number > retention->forgotten && requests_propose_own(node, &command))
        retention->forgotten = command.number;
}

void retention_turn(struct node *node)
{
    struct retention *retention = &node->retention;
    if (!node_has_taken_over(node) || node->stopping) {
        retention->term = 0;
        return;
    }
    floe_term term = floe_raft_basic_status(node->raft).hard_state.term;
    if (term != retention->term)
        begin_term(node, term);
    if (node->now_ms < retention->next_ms)
        return;
    retention->next_ms = node->now_ms + node->options.heartbeat_ms;
    ages_sample(&retention->revisions, kv_revision(node->kv), node->now_ms);
    ages_sample(&retention->tickets, kv_ticket_last(node->kv), node->now_ms);
    maybe_compact(node);
    maybe_forget(node);
}
