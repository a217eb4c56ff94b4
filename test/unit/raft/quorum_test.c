/*
 * Quorum arithmetic against a slow twin that knows only what a majority is: exhaustively for small
 * sets, at random for larger ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "raft/ids.h"
#include "raft/quorum.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_ID = 64 };

/* What every voter has said; the argument of both callbacks. */
struct said {
    bool known[MAX_ID];
    floe_index index[MAX_ID];
    enum raft_ballot ballot[MAX_ID];
};

static bool acked(void *arg, floe_id id, floe_index *out)
{
    const struct said *said = arg;
    if (!said->known[id])
        return false;
    *out = said->index[id];
    return true;
}

static enum raft_ballot ballot(void *arg, floe_id id)
{
    const struct said *said = arg;
    return said->ballot[id];
}

/* ---- the twin ----------------------------------------------------------------------------------- */

static bool majority_has(const struct floe_ids *voters, const struct said *said, floe_index index)
{
    size_t have = 0;
    for (size_t i = 0; i < voters->count; i++) {
        floe_id id = voters->id[i];
        if ((said->known[id] ? said->index[id] : 0) >= index)
            have++;
    }
    return have * 2 > voters->count;
}

/* Tries every index that was named. */
static floe_index slow_committed(const struct floe_ids *voters, const struct said *said)
{
    floe_index best = 0;
    if (voters->count == 0)
        return UINT64_MAX;
    for (size_t i = 0; i < voters->count; i++) {
        floe_id id = voters->id[i];
        if (said->known[id] && said->index[id] > best &&
            majority_has(voters, said, said->index[id]))
            best = said->index[id];
    }
    return best;
}

/* Won if it is a majority even when all that are silent say no, lost if it is none even when all
 * of them say yes. */
static enum raft_vote_result slow_vote(const struct floe_ids *voters, const struct said *said)
{
    size_t worst = 0;
    size_t best = 0;
    if (voters->count == 0)
        return RAFT_VOTE_WON;
    for (size_t i = 0; i < voters->count; i++) {
        worst += said->ballot[voters->id[i]] == RAFT_BALLOT_YES;
        best += said->ballot[voters->id[i]] != RAFT_BALLOT_NO;
    }
    if (worst * 2 > voters->count)
        return RAFT_VOTE_WON;
    return best * 2 > voters->count ? RAFT_VOTE_PENDING : RAFT_VOTE_LOST;
}

static enum raft_vote_result slow_joint_vote(enum raft_vote_result a, enum raft_vote_result b)
{
    if (a == RAFT_VOTE_WON && b == RAFT_VOTE_WON)
        return RAFT_VOTE_WON;
    if (a == RAFT_VOTE_LOST || b == RAFT_VOTE_LOST)
        return RAFT_VOTE_LOST;
    return RAFT_VOTE_PENDING;
}

static void check_committed(const struct floe_ids *a, const struct floe_ids *b, struct said *said)
{
    floe_index slow_a = slow_committed(a, said);
    floe_index slow_b = slow_committed(b, said);
    assert_true(raft_majority_committed(a, acked, said) == slow_a);
    assert_true(raft_joint_committed(a, b, acked, said) == (slow_a < slow_b ? slow_a : slow_b));
    assert_true(raft_joint_committed(b, a, acked, said) == (slow_a < slow_b ? slow_a : slow_b));
}

static void check_vote(const struct floe_ids *a, const struct floe_ids *b, struct said *said)
{
    enum raft_vote_result slow_a = slow_vote(a, said);
    enum raft_vote_result slow_b = slow_vote(b, said);
    assert_int_equal(raft_majority_vote(a, ballot, said), slow_a);
    assert_int_equal(raft_joint_vote(a, b, ballot, said), slow_joint_vote(slow_a, slow_b));
    assert_int_equal(raft_joint_vote(b, a, ballot, said), slow_joint_vote(slow_a, slow_b));
}

/* The ids 1 .. n whose bit is set. */
static struct floe_ids subset(unsigned bits)
{
    struct floe_ids ids = {0};
    for (floe_id id = 1; bits != 0; id++, bits >>= 1)
        if (bits & 1)
            (void)raft_ids_insert(&ids, id);
    return ids;
}

/* ---- tests ----------------------------------------------------------------------------------------- */

static void test_quorum_of_nobody_holds_nothing_back(void **state)
{
    (void)state;
    struct said said = {0};
    struct floe_ids none = {0};
    assert_true(raft_majority_committed(&none, acked, &said) == UINT64_MAX);
    assert_int_equal(raft_majority_vote(&none, ballot, &said), RAFT_VOTE_WON);
    struct floe_ids one = subset(1);
    said.known[1] = true;
    said.index[1] = 12;
    assert_int_equal(raft_joint_committed(&one, &none, acked, &said), 12);
    assert_int_equal(raft_joint_vote(&one, &none, ballot, &said), RAFT_VOTE_PENDING);
    raft_ids_deinit(&one);
}

static void test_quorum_joint_commits_what_both_majorities_have(void **state)
{
    (void)state;
    struct said said = {.known = {[1] = true, [2] = true, [3] = true, [4] = true, [5] = true},
                        .index = {[1] = 100, [2] = 101, [3] = 99, [4] = 50, [5] = 60}};
    struct floe_ids in = subset(0x07);  /* 1 2 3: 100 */
    struct floe_ids out = subset(0x1c); /* 3 4 5: 60 */
    assert_int_equal(raft_majority_committed(&in, acked, &said), 100);
    assert_int_equal(raft_majority_committed(&out, acked, &said), 60);
    assert_int_equal(raft_joint_committed(&in, &out, acked, &said), 60);
    raft_ids_deinit(&in);
    raft_ids_deinit(&out);
}

static void test_quorum_joint_vote_needs_both_and_either_can_lose(void **state)
{
    (void)state;
    struct said said = {.ballot = {[1] = RAFT_BALLOT_YES, [2] = RAFT_BALLOT_YES}};
    struct floe_ids in = subset(0x07);  /* won */
    struct floe_ids out = subset(0x38); /* open */
    assert_int_equal(raft_joint_vote(&in, &out, ballot, &said), RAFT_VOTE_PENDING);
    said.ballot[4] = RAFT_BALLOT_NO;
    said.ballot[5] = RAFT_BALLOT_NO;
    assert_int_equal(raft_joint_vote(&in, &out, ballot, &said), RAFT_VOTE_LOST);
    said.ballot[5] = RAFT_BALLOT_YES;
    said.ballot[6] = RAFT_BALLOT_YES;
    assert_int_equal(raft_joint_vote(&in, &out, ballot, &said), RAFT_VOTE_WON);
    raft_ids_deinit(&in);
    raft_ids_deinit(&out);
}

/* All pairs of sets within 4 ids, each id silent or at 1, 2, 3; and all ballots. */
static void test_quorum_small_sets_agree_with_the_twin_exhaustively(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 256; bits++) {
        struct floe_ids a = subset(bits & 15);
        struct floe_ids b = subset(bits >> 4);
        for (unsigned code = 0; code < 256; code++) { /* two bits an id */
            struct said said = {0};
            bool is_vote = true;
            for (unsigned i = 0; i < 4; i++) {
                unsigned digit = code >> (2 * i) & 3;
                said.known[i + 1] = digit != 0;
                said.index[i + 1] = digit;
                said.ballot[i + 1] = digit < 3 ? (enum raft_ballot)digit : RAFT_BALLOT_NONE;
                is_vote = is_vote && digit < 3;
            }
            check_committed(&a, &b, &said);
            if (is_vote)
                check_vote(&a, &b, &said);
        }
        raft_ids_deinit(&a);
        raft_ids_deinit(&b);
    }
}

static void random_case(struct prng *prng)
{
    struct said said = {0};
    struct floe_ids a = {0};
    struct floe_ids b = {0};
    uint64_t size = 1 + prng_below(prng, MAX_ID - 1);
    uint64_t range = 1 + prng_below(prng, 12);
    for (floe_id id = 1; id <= size; id++) {
        said.known[id] = prng_below(prng, 5) != 0;
        said.index[id] = prng_below(prng, 8) == 0 ? UINT64_MAX - id : prng_below(prng, range);
        said.ballot[id] = (enum raft_ballot)prng_below(prng, 3);
        if (prng_below(prng, 2) == 0)
            (void)raft_ids_insert(&a, id);
        if (prng_below(prng, 3) == 0)
            (void)raft_ids_insert(&b, id);
    }
    check_committed(&a, &b, &said);
    check_vote(&a, &b, &said);
    raft_ids_deinit(&a);
    raft_ids_deinit(&b);
}

static uint64_t seed = 20260801;

static void test_quorum_large_sets_agree_with_the_twin_at_random(void **state)
{
    (void)state;
    struct prng prng = {seed};
    print_message("seed %" PRIu64 "\n", seed);
    for (int i = 0; i < 3000; i++)
        random_case(&prng);
}

static void test_quorum_describe_equal_indexes_have_equal_bars(void **state)
{
    (void)state;
    struct said said = {.known = {[1] = true, [2] = true, [3] = true},
                        .index = {[1] = 7, [2] = 5, [3] = 5}};
    struct floe_ids voters = subset(0x0f);
    struct floe_ids none = {0};
    struct buf out = {0};
    raft_quorum_describe(&out, &voters, &none, acked, &said);
    assert_string_equal(buf_str(&out), "        idx\n"
                                       "xxx>      7    (id=1)\n"
                                       "x>        5    (id=2)\n"
                                       "x>        5    (id=3)\n"
                                       "?         0    (id=4)\n");
    buf_clear(&out);
    raft_quorum_describe(&out, &none, &none, acked, &said);
    assert_string_equal(buf_str(&out), "<empty majority quorum>");
    buf_deinit(&out);
    raft_ids_deinit(&voters);
}

static void test_quorum_results_are_named(void **state)
{
    (void)state;
    assert_string_equal(raft_vote_result_name(RAFT_VOTE_PENDING), "VotePending");
    assert_string_equal(raft_vote_result_name(RAFT_VOTE_LOST), "VoteLost");
    assert_string_equal(raft_vote_result_name(RAFT_VOTE_WON), "VoteWon");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quorum_of_nobody_holds_nothing_back),
        cmocka_unit_test(test_quorum_joint_commits_what_both_majorities_have),
        cmocka_unit_test(test_quorum_joint_vote_needs_both_and_either_can_lose),
        cmocka_unit_test(test_quorum_small_sets_agree_with_the_twin_exhaustively),
        cmocka_unit_test(test_quorum_large_sets_agree_with_the_twin_at_random),
        cmocka_unit_test(test_quorum_describe_equal_indexes_have_equal_bars),
        cmocka_unit_test(test_quorum_results_are_named),
    };
    return cmocka_run_group_tests_name("raft quorum", tests, NULL, NULL);
}
