/* Scripts on quorum arithmetic: "committed" and "vote". */
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

static void take_ids(struct question *q, const struct script_arg *arg, struct floe_ids *set)
{
    for (size_t i = 0; arg != NULL && i < arg->value_count; i++) {
        uint64_t id;
        if (!arg_u64(arg->values[i], &id)) /* "zero": the empty one */
            continue;
        (void)raft_ids_insert(set, id);
        if (!floe_ids_contain(&q->order, id))
            floe_ids_push(&q->order, id);
    }
}

void script_quorum(const struct script_directive *d, struct buf *out)
{
    struct question q = {.values = NULL};
    bool vote = strcmp(d->command, "vote") == 0;
    take_ids(&q, script_find(d, "cfg"), &q.incoming);
    take_ids(&q, script_find(d, "cfgj"), &q.outgoing);
    q.values = script_find(d, vote ? "votes" : "idx");
    size_t given = q.values != NULL ? q.values->value_count : 0;
    if (given == 1 && q.values->values[0][0] == 0)
        given = 0;
    if (!vote && strcmp(d->command, "committed") != 0) {
        buf_printf(out, "unknown command");
    } else if (given != q.order.count) {
        buf_printf(out, "error: mismatched input for voters %zu: %zu values", q.order.count, given);
    } else if (vote) {
        buf_printf(out, "%s",
                   raft_vote_result_name(raft_joint_vote(&q.incoming, &q.outgoing, ballot, &q)));
    } else {
        raft_quorum_describe(out, &q.incoming, &q.outgoing, acked, &q);
        floe_index index = raft_joint_committed(&q.incoming, &q.outgoing, acked, &q);
        if (index == UINT64_MAX)
            buf_printf(out, "∞");
        else
            buf_printf(out, "%" PRIu64, index);
    }
    raft_ids_deinit(&q.incoming);
    raft_ids_deinit(&q.outgoing);
    raft_ids_deinit(&q.order);
}
