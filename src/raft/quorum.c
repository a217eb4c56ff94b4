/* Majorities are small: sorting the acknowledged indexes by insertion is the plain way. */
#include "raft/quorum.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft/ids.h"

#include <inttypes.h>

const char *raft_vote_result_name(enum raft_vote_result result)
{
    switch (result) {
    case RAFT_VOTE_PENDING: return "VotePending";
    case RAFT_VOTE_LOST: return "VoteLost";
    case RAFT_VOTE_WON: return "VoteWon";
    }
    return "VoteUnknown";
}

#define ON_STACK 16

floe_index raft_majority_committed(const struct floe_ids *voters, raft_acked_fn acked, void *arg)
{
    size_t count = voters->count;
    if (count == 0)
        return UINT64_MAX;
    floe_index few[ON_STACK];
    floe_index *sorted = count <= ON_STACK ? few : mem_calloc(count, sizeof *sorted);
    for (size_t i = 0; i < count; i++) {
        floe_index index = 0;
        if (!acked(arg, voters->id[i], &index))
            index = 0;
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > index; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = index;
    }
    floe_index result = sorted[count - (count / 2 + 1)]; /* a majority is at or above it */
    if (sorted != few)
        mem_free(sorted);
    return result;
}

floe_index raft_joint_committed(const struct floe_ids *incoming, const struct floe_ids *outgoing,
                                raft_acked_fn acked, void *arg)
{
    floe_index a = raft_majority_committed(incoming, acked, arg);
    floe_index b = raft_majority_committed(outgoing, acked, arg);
    return a < b ? a : b;
}

enum raft_vote_result raft_majority_vote(const struct floe_ids *voters, raft_ballot_fn ballot,
                                         void *arg)
{
    size_t yes = 0;
    size_t open = 0;
    if (voters->count == 0)
        return RAFT_VOTE_WON;
    for (size_t i = 0; i < voters->count; i++) {
        enum raft_ballot given = ballot(arg, voters->id[i]);
        yes += given == RAFT_BALLOT_YES;
        open += given == RAFT_BALLOT_NONE;
    }
    size_t needed = voters->count / 2 + 1;
    if (yes >= needed)
        return RAFT_VOTE_WON;
    return yes + open >= needed ? RAFT_VOTE_PENDING : RAFT_VOTE_LOST;
}

enum raft_vote_result raft_joint_vote(const struct floe_ids *incoming,
                                      const struct floe_ids *outgoing, raft_ballot_fn ballot,
                                      void *arg)
{
    enum raft_vote_result a = raft_majority_vote(incoming, ballot, arg);
    enum raft_vote_result b = raft_majority_vote(outgoing, ballot, arg);
    if (a == b)
        return a;
    return a == RAFT_VOTE_LOST || b == RAFT_VOTE_LOST ? RAFT_VOTE_LOST : RAFT_VOTE_PENDING;
}

/* ---- the chart ------------------------------------------------------------------------------------ */

struct bar {
    floe_id id;
    floe_index index;
    bool known;
    size_t length;
};

/* Bars grow with the rank of the index; equal indexes have equal bars. */
static void measure(struct bar *bars, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        for (size_t j = 0; j < count; j++)
            length += bars[j].index < bars[i].index;
        bars[i].length = length;
    }
}

static void draw(struct buf *out, const struct bar *bar, size_t width)
{
    if (bar->known) {
        for (size_t i = 0; i < bar->length; i++)
            buf_printf(out, "x");
        buf_printf(out, ">%*s", (int)(width - bar->length), "");
    } else {
        buf_printf(out, "?%*s", (int)width, "");
    }
    buf_printf(out, " %5" PRIu64 "    (id=%" PRIx64 ")\n", bar->index, bar->id);
}

void raft_quorum_describe(struct buf *out, const struct floe_ids *incoming,
                          const struct floe_ids *outgoing, raft_acked_fn acked, void *arg)
{
    struct floe_ids voters = raft_ids_union(incoming, outgoing);
    if (voters.count == 0) {
        buf_printf(out, "<empty majority quorum>");
        raft_ids_deinit(&voters);
        return;
    }
    struct bar *bars = mem_calloc(voters.count, sizeof *bars);
    for (size_t i = 0; i < voters.count; i++) {
        bars[i].id = voters.id[i];
        bars[i].known = acked(arg, voters.id[i], &bars[i].index);
        if (!bars[i].known)
            bars[i].index = 0;
    }
    measure(bars, voters.count);
    buf_printf(out, "%*s    idx\n", (int)voters.count, "");
    for (size_t i = 0; i < voters.count; i++)
        draw(out, &bars[i], voters.count);
    mem_free(bars);
    raft_ids_deinit(&voters);
}
