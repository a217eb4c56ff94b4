/*
 * Scripts on quorum arithmetic: "committed" and "vote". Every answer is checked against a slow twin
 * that follows the definition, and with the halves swapped; a line is added where they disagree.
 */
#include "env.h"
#include "script.h"

#include "base/mem.h"
#include "raft/ids.h"
#include "raft/quorum.h"

#include <inttypes.h>
#include <string.h>

struct question {
    struct floe_ids incoming;
    struct floe_ids outgoing;
    struct floe_ids order; /* ids in the order in which values are given */
    const struct script_arg *values;
};

static const char *value_of(const struct question *q, floe_id id)
{
    for (size_t i = 0; i < q->order.count && q->values != NULL && i < q->values->value_count; i++)
        if (q->order.id[i] == id)
            return strcmp(q->values->values[i], "_") == 0 ? NULL : q->values->values[i];
    return NULL;
}

static bool acked(void *arg, floe_id id, floe_index *out)
{
    const char *text = value_of(arg, id);
    return text != NULL && arg_u64(text, out);
}

static enum raft_ballot ballot(void *arg, floe_id id)
{
    const char *text = value_of(arg, id);
    if (text == NULL)
        return RAFT_BALLOT_NONE;
    return strcmp(text, "y") == 0 ? RAFT_BALLOT_YES : RAFT_BALLOT_NO;
}

/* ---- the slow twin --------------------------------------------------------------------------- */

static bool has_majority_at(struct question *q, const struct floe_ids *half, floe_index index)
{
    size_t count = 0;
    for (size_t i = 0; i < half->count; i++) {
        floe_index own = 0;
        (void)acked(q, half->id[i], &own);
        count += own >= index;
    }
    return half->count == 0 || count > half->count / 2;
}

/* The largest of the given indexes (or 0) that a majority of both halves holds. */
static floe_index slow_committed(struct question *q)
{
    floe_index best = q->order.count == 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < q->order.count; i++) {
        floe_index index;
        if (acked(q, q->order.id[i], &index) && index > best &&
            has_majority_at(q, &q->incoming, index) && has_majority_at(q, &q->outgoing, index))
            best = index;
    }
    return best;
}

static enum raft_vote_result slow_half(struct question *q, const struct floe_ids *half)
{
    size_t counts[3] = {0};
    for (size_t i = 0; i < half->count; i++)
        counts[ballot(q, half->id[i])]++;
    if (half->count == 0 || counts[RAFT_BALLOT_YES] > half->count / 2)
        return RAFT_VOTE_WON;
    bool open = counts[RAFT_BALLOT_YES] + counts[RAFT_BALLOT_NONE] > half->count / 2;
    return open ? RAFT_VOTE_PENDING : RAFT_VOTE_LOST;
}

static enum raft_vote_result slow_vote(struct question *q)
{
    enum raft_vote_result a = slow_half(q, &q->incoming);
    enum raft_vote_result b = slow_half(q, &q->outgoing);
    if (a == RAFT_VOTE_LOST || b == RAFT_VOTE_LOST)
        return RAFT_VOTE_LOST;
    return a == RAFT_VOTE_WON && b == RAFT_VOTE_WON ? RAFT_VOTE_WON : RAFT_VOTE_PENDING;
}

/* ---- the two commands ------------------------------------------------------------------------ */

static void print_index(struct buf *out, floe_index index)
{
    if (index == UINT64_MAX)
        buf_printf(out, "∞");
    else
        buf_printf(out, "%" PRIu64, index);
}

static void answer_committed(struct question *q, struct buf *out)
{
    floe_index index = raft_joint_committed(&q->incoming, &q->outgoing, acked, q);
    floe_index swapped = raft_joint_committed(&q->outgoing, &q->incoming, acked, q);
    floe_index slow = slow_committed(q);
    raft_quorum_describe(out, &q->incoming, &q->outgoing, acked, q);
    print_index(out, index);
    if (swapped != index)
        buf_printf(out, "\n%" PRIu64 " <-- via symmetry", swapped);
    if (slow != index)
        buf_printf(out, "\n%" PRIu64 " <-- by definition", slow);
}

static void answer_vote(struct question *q, struct buf *out)
{
    enum raft_vote_result result = raft_joint_vote(&q->incoming, &q->outgoing, ballot, q);
    enum raft_vote_result swapped = raft_joint_vote(&q->outgoing, &q->incoming, ballot, q);
    buf_printf(out, "%s", raft_vote_result_name(result));
    if (swapped != result)
        buf_printf(out, "\n%s <-- via symmetry", raft_vote_result_name(swapped));
    if (slow_vote(q) != result)
        buf_printf(out, "\n%s <-- by definition", raft_vote_result_name(slow_vote(q)));
}

/* ---- arguments ------------------------------------------------------------------------------- */

static bool is_empty(const struct script_arg *arg)
{
    return arg == NULL || (arg->value_count == 1 && arg->values[0][0] == 0);
}

static const char *take_ids(struct question *q, const struct script_arg *arg, struct floe_ids *set)
{
    bool zero = arg != NULL && strcmp(arg->key, "cfgj") == 0 && arg->value_count == 1 &&
                strcmp(arg->values[0], "zero") == 0;
    for (size_t i = 0; !is_empty(arg) && !zero && i < arg->value_count; i++) {
        uint64_t id;
        if (!arg_u64(arg->values[i], &id) || id == 0)
            return "an id must be a number, not 0";
        (void)raft_ids_insert(set, id);
        if (!floe_ids_contain(&q->order, id))
            floe_ids_push(&q->order, id);
    }
    return NULL;
}

static const char *check_values(const struct question *q, bool vote)
{
    for (size_t i = 0; !is_empty(q->values) && i < q->values->value_count; i++) {
        const char *text = q->values->values[i];
        uint64_t index;
        if (strcmp(text, "_") == 0)
            continue;
        if (vote ? strcmp(text, "y") != 0 && strcmp(text, "n") != 0 : !arg_u64(text, &index))
            return vote ? "a vote must be y, n or _" : "an index must be a number or _";
    }
    return NULL;
}

static const char *take_question(struct question *q, const struct script_directive *d)
{
    bool vote = strcmp(d->command, "vote") == 0;
    const char *values = vote ? "votes" : "idx";
    if (!vote && strcmp(d->command, "committed") != 0)
        return "unknown command";
    for (size_t i = 0; i < d->arg_count; i++) {
        const char *key = d->args[i].key;
        if (d->args[i].value_count == 0 ||
            (strcmp(key, "cfg") != 0 && strcmp(key, "cfgj") != 0 && strcmp(key, values) != 0))
            return "unknown argument";
    }
    q->values = script_find(d, values);
    const char *error = take_ids(q, script_find(d, "cfg"), &q->incoming);
    if (error == NULL)
        error = take_ids(q, script_find(d, "cfgj"), &q->outgoing);
    return error != NULL ? error : check_values(q, vote);
}

void script_quorum(const struct script_directive *d, struct buf *out)
{
    struct question q = {.values = NULL};
    const char *error = take_question(&q, d);
    size_t given = is_empty(q.values) ? 0 : q.values->value_count;
    if (error != NULL)
        buf_printf(out, "%s", error);
    else if (given != q.order.count)
        buf_printf(out, "error: mismatched input for voters %zu: %zu values", q.order.count, given);
    else if (strcmp(d->command, "vote") == 0)
        answer_vote(&q, out);
    else
        answer_committed(&q, out);
    raft_ids_deinit(&q.incoming);
    raft_ids_deinit(&q.outgoing);
    raft_ids_deinit(&q.order);
}
