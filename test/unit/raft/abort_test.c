/* Broken promises of a driver end the process: each case runs in a child that must die of SIGABRT
 * and say why. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "raft/core.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_aborts(void (*act)(void), const char *why)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(out[1], STDERR_FILENO);
        act();
        _exit(0);
    }
    (void)close(out[1]);
    FILE *said = fdopen(out[0], "r");
    char text[512] = "nothing";
    (void)fgets(text, sizeof text, said); /* the assertion's one line */
    (void)fclose(said);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(text, why) == NULL)
        fail_msg("did not abort with \"%s\" but said: %s", why, text);
}

static struct floe_memstore *store_with(floe_index last)
{
    struct floe_memstore *store = floe_memstore_new();
    for (floe_index i = 1; i <= last; i++) {
        struct floe_entry entry = {.term = 1, .index = i};
        floe_memstore_append(store, &entry, 1);
    }
    return store;
}

static struct raft_log *log_with(floe_index last, floe_index committed)
{
    static struct raft_logger silent;
    struct raft_log *log = mem_calloc(1, sizeof *log);
    raft_log_init(log, floe_memstore_storage(store_with(last)), 1000, &silent);
    raft_log_commit_to(log, committed);
    return log;
}

static void commit_beyond_the_end(void)
{
    raft_log_commit_to(log_with(3, 2), 4);
}

static void apply_beyond_commit(void)
{
    raft_log_applied_to(log_with(3, 2), 3, 0);
}

static void apply_backwards(void)
{
    struct raft_log *log = log_with(3, 2);
    raft_log_applied_to(log, 2, 0);
    raft_log_applied_to(log, 1, 0);
}

static void append_over_committed(void)
{
    struct floe_entry entry = {.term = 2, .index = 2};
    raft_log_append(log_with(3, 2), &entry, 1);
}

static void conflict_with_committed(void)
{
    struct floe_entry entry = {.term = 2, .index = 2};
    struct raft_entry_id prev = {.term = 1, .index = 1};
    floe_index last_new;
    (void)raft_log_maybe_append(log_with(3, 2), prev, &entry, 1, 2, &last_new);
}

static void slice_behind_the_end(void)
{
    struct raft_entries out;
    (void)raft_log_slice(log_with(3, 2), 2, 6, FLOE_NO_LIMIT, &out);
}

static void compact_beyond_the_last(void)
{
    (void)floe_memstore_compact(store_with(3), 4);
}

static void append_with_a_gap(void)
{
    struct floe_entry entry = {.term = 1, .index = 6};
    floe_memstore_append(store_with(3), &entry, 1);
}

static void add_to_a_full_window(void)
{
    struct raft_inflights window;
    raft_inflights_init(&window, 1, 0);
    raft_inflights_add(&window, 1, 1);
    raft_inflights_add(&window, 2, 1);
}

static struct floe_raft *alone(void)
{
    struct floe_memstore *store = floe_memstore_new();
    struct floe_config config = {.id = 1,
                                 .election_tick = 10,
                                 .heartbeat_tick = 1,
                                 .storage = floe_memstore_storage(store),
                                 .max_size_per_msg = FLOE_NO_LIMIT,
                                 .max_inflight_msgs = 16};
    struct floe_raft *raft = NULL;
    floe_id self = 1;
    if (floe_raft_new(&config, &raft) != FLOE_OK ||
        floe_raft_bootstrap(raft, &self, NULL, 1) != FLOE_OK)
        _exit(1);
    return raft;
}

static void follower_becomes_leader(void)
{
    raft_become_leader(alone());
}

static void leader_becomes_candidate(void)
{
    struct floe_raft *raft = alone();
    raft_become_candidate(raft);
    raft_become_leader(raft);
    raft_become_candidate(raft);
}

static void leader_becomes_pre_candidate(void)
{
    struct floe_raft *raft = alone();
    raft_become_candidate(raft);
    raft_become_leader(raft);
    raft_become_pre_candidate(raft);
}

static void two_batches_without_advance(void)
{
    struct floe_raft *raft = alone();
    struct floe_ready ready;
    floe_raft_ready(raft, &ready);
    floe_raft_ready(raft, &ready);
}

static void test_abort_on_each_broken_promise(void **state)
{
    (void)state;
    assert_aborts(commit_beyond_the_end, "commit beyond the end of the log");
    assert_aborts(apply_beyond_commit, "applied out of range");
    assert_aborts(apply_backwards, "applied out of range");
    assert_aborts(append_over_committed, "an append would replace committed entries");
    assert_aborts(conflict_with_committed, "an entry conflicts with a committed one");
    assert_aborts(slice_behind_the_end, "a slice behind the end of the log");
    assert_aborts(compact_beyond_the_last, "index <= floe_memstore_last_index(store)");
    assert_aborts(append_with_a_gap, "a gap in the log");
    assert_aborts(add_to_a_full_window, "the window is full");
    assert_aborts(follower_becomes_leader, "follower to leader");
    assert_aborts(leader_becomes_candidate, "leader to candidate");
    assert_aborts(leader_becomes_pre_candidate, "leader to pre-candidate");
    assert_aborts(two_batches_without_advance, "a batch before the last one was advanced");
}

static void test_removing_the_last_voter_is_an_error_and_changes_nothing(void **state)
{
    (void)state;
    struct floe_memstore *store = floe_memstore_new();
    struct floe_config config = {.id = 1,
                                 .election_tick = 10,
                                 .heartbeat_tick = 1,
                                 .storage = floe_memstore_storage(store),
                                 .max_inflight_msgs = 16};
    struct floe_raft *raft;
    floe_id self = 1;
    assert_int_equal(floe_raft_new(&config, &raft), FLOE_OK);
    assert_int_equal(floe_raft_bootstrap(raft, &self, NULL, 1), FLOE_OK);
    struct floe_conf_change_single gone = {.type = FLOE_CONF_REMOVE_NODE, .node_id = 1};
    struct floe_conf_change change = {.changes = &gone, .change_count = 1};
    struct floe_conf_state out = {.auto_leave = true};
    assert_int_equal(floe_raft_apply_conf_change(raft, &change, &out), FLOE_ERR_CONF_CHANGE);
    assert_true(out.auto_leave); /* untouched */
    assert_true(floe_raft_is_voter(raft, 1));
    floe_raft_free(raft);
    floe_memstore_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abort_on_each_broken_promise),
        cmocka_unit_test(test_removing_the_last_voter_is_an_error_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
