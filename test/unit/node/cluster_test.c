/*
 * Whole members in one process: the real node over a disk and a network in memory, under a clock
 * that only the test moves. What the end-to-end tests show with processes, these show step by step.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "../peer/net.h"
#include "../storage/mem_fs.h"
#include "base/mem.h"
#include "codec/pack.h"
#include "node/envelope.h"
#include "node/internal.h"
#include "node/node.h"

#include <stdio.h>
#include <string.h>

#define MEMBERS NET_MEMBERS

struct world {
    struct net net;
    struct mem_fs *disk[MEMBERS + 1];
    struct node *node[MEMBERS + 1]; /* NULL: down */
    unsigned starts;
    uint64_t snapshot_entries; /* 0: none are written */
    uint64_t last_token;
    struct node_result results[4096]; /* by token */
    bool answered[4096];
};

static struct node_options options_of(struct world *w, unsigned i)
{
    static const struct node_member_option members[] = {{1, "n1:1"}, {2, "n2:1"}, {3, "n3:1"}};
    static const char *const addresses[] = {"", "n1:1", "n2:1", "n3:1"};
    return (struct node_options){.id = i,
                                 .name = "member",
                                 .cluster = "test",
                                 .http_address = "h:1",
                                 .peer_address = addresses[i],
                                 .members = members,
                                 .member_count = 3,
                                 .heartbeat_ms = 50,
                                 .election_ms = 500,
                                 .snapshot_entries =
                                     w->snapshot_entries != 0 ? w->snapshot_entries : 1000000,
                                 .pending_bytes = 1 << 20,
                                 .request_timeout_ms = 2000,
                                 .seed = 1000 + i + 10 * ++w->starts,
                                 .fs = mem_fs_table(w->disk[i])};
}

static enum err start_with(struct world *w, unsigned i, const struct node_options *options)
{
    struct buf why = {0};
    enum err err = node_open(options, w->net.now_ms, &w->node[i], &why);
    if (err == ERR_OK)
        w->net.set[i] = node_peers(w->node[i]);
    else
        w->node[i] = NULL;
    buf_deinit(&why);
    return err;
}

static void start(struct world *w, unsigned i)
{
    struct node_options options = options_of(w, i);
    assert_int_equal(start_with(w, i, &options), ERR_OK);
}

static void drop_wires(struct world *w, unsigned i)
{
    for (size_t k = 0; k < w->net.wire_count; k++) {
        struct net_wire *wire = &w->net.wire[k];
        if (wire->open && (wire->end[0].member == i || wire->end[1].member == i))
            net_cut(&w->net, wire);
    }
}

/* The process dies; what its disk keeps is up to kind. */
static void crash(struct world *w, unsigned i, enum mem_fs_crash kind)
{
    struct prng prng = {.state = 7 * i + w->starts};
    drop_wires(w, i);
    w->net.set[i] = NULL;
    node_free(w->node[i]);
    w->node[i] = NULL;
    mem_fs_crash(w->disk[i], kind, &prng);
}

static void collect(struct world *w, unsigned i)
{
    struct node_result result;
    while (node_next_result(w->node[i], &result)) {
        assert_true(result.token > 0 && result.token <= w->last_token);
        assert_false(w->answered[result.token]); /* exactly one answer */
        w->answered[result.token] = true;
        w->results[result.token] = result;
    }
}

static void run(struct world *w, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 10) {
        for (unsigned i = 1; i <= MEMBERS; i++) {
            if (w->node[i] == NULL)
                continue;
            node_pump(w->node[i], w->net.now_ms);
            for (int turn = 0; turn < 20 && node_has_work(w->node[i]); turn++)
                node_pump(w->node[i], w->net.now_ms);
            collect(w, i);
        }
        net_run(&w->net, 10);
    }
}

static void setup(struct world *w, unsigned count)
{
    memset(w, 0, sizeof *w);
    net_init(&w->net);
    for (unsigned i = 1; i <= MEMBERS; i++)
        w->disk[i] = mem_fs_new();
    for (unsigned i = 1; i <= count; i++)
        start(w, i);
}

static void teardown(struct world *w)
{
    for (unsigned i = 1; i <= MEMBERS; i++) {
        if (w->node[i] != NULL) {
            drop_wires(w, i);
            w->net.set[i] = NULL;
            node_free(w->node[i]);
        }
        mem_fs_free(w->disk[i]);
    }
    net_deinit(&w->net);
}

static unsigned leader(struct world *w)
{
    for (int tries = 0; tries < 600; tries++) {
        for (unsigned i = 1; i <= MEMBERS; i++) {
            if (w->node[i] == NULL)
                continue;
            struct node_status status = node_status(w->node[i], w->net.now_ms);
            bool leads = strcmp(status.role, "leader") == 0 && status.applied > 3;
            node_status_deinit(&status);
            if (leads)
                return i;
        }
        run(w, 10);
    }
    fail_msg("no leader");
    return 0;
}

static uint64_t put(struct world *w, unsigned i, const char *key, const char *value)
{
    struct kv_command command = {.op = KV_OP_PUT,
                                 .key = (const uint8_t *)key,
                                 .key_len = strlen(key),
                                 .value = (const uint8_t *)value,
                                 .value_len = strlen(value)};
    uint64_t token = ++w->last_token;
    node_write(w->node[i], token, &command, w->net.now_ms);
    return token;
}

static uint64_t barrier(struct world *w, unsigned i)
{
    uint64_t token = ++w->last_token;
    node_read(w->node[i], token, w->net.now_ms);
    return token;
}

static enum node_outcome outcome(struct world *w, uint64_t token)
{
    for (int tries = 0; tries < 500 && !w->answered[token]; tries++)
        run(w, 10);
    assert_true(w->answered[token]);
    return w->results[token].outcome;
}

static void assert_value(struct world *w, unsigned i, const char *key, const char *value)
{
    struct kv_item item;
    assert_true(kv_get(node_kv(w->node[i]), (const uint8_t *)key, strlen(key), &item));
    assert_int_equal(item.value_len, strlen(value));
    assert_memory_equal(item.value, value, item.value_len);
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static struct world w;

static void test_node_write_at_any_member_is_read_at_every_member(void **state)
{
    (void)state;
    setup(&w, 3);
    (void)leader(&w);
    for (unsigned i = 1; i <= 3; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(outcome(&w, put(&w, i, key, "v")), NODE_OK);
        for (unsigned j = 1; j <= 3; j++) {
            assert_int_equal(outcome(&w, barrier(&w, j)), NODE_OK);
            assert_value(&w, j, key, "v");
        }
    }
    teardown(&w);
}

static void test_node_write_is_not_answered_before_a_majority_has_synced(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    run(&w, 200);
    for (unsigned i = 1; i <= 3; i++)
        mem_fs_hold_syncs(w.disk[i], true);
    uint64_t token = put(&w, lead, "k", "v");
    run(&w, 200);
    assert_false(w.answered[token]);
    mem_fs_hold_syncs(w.disk[lead], false);
    run(&w, 200);
    assert_false(w.answered[token]); /* one of three */
    mem_fs_hold_syncs(w.disk[lead % 3 + 1], false);
    assert_int_equal(outcome(&w, token), NODE_OK);
    for (unsigned i = 1; i <= 3; i++)
        mem_fs_hold_syncs(w.disk[i], false);
    teardown(&w);
}

static void cut_power_of_all(uint64_t snapshot_entries)
{
    for (int kind = 0; kind < MEM_FS_CRASH_COUNT; kind++) {
        setup(&w, 0);
        w.snapshot_entries = snapshot_entries;
        for (unsigned i = 1; i <= 3; i++)
            start(&w, i);
        (void)leader(&w);
        uint64_t tokens[60];
        char key[16];
        for (unsigned i = 0; i < 60; i++) {
            (void)snprintf(key, sizeof key, "k%u", i);
            tokens[i] = put(&w, i % 3 + 1, key, key);
            if (i % 7 == 0)
                run(&w, 10);
        }
        for (unsigned i = 1; i <= 3; i++)
            crash(&w, i, (enum mem_fs_crash)kind);
        run(&w, 100);
        for (unsigned i = 1; i <= 3; i++)
            start(&w, i);
        unsigned lead = leader(&w);
        unsigned acknowledged = 0;
        for (unsigned i = 0; i < 60; i++) {
            if (!w.answered[tokens[i]] || w.results[tokens[i]].outcome != NODE_OK)
                continue;
            (void)snprintf(key, sizeof key, "k%u", i);
            assert_value(&w, lead, key, key);
            acknowledged++;
        }
        assert_true(acknowledged > 20);
        teardown(&w);
    }
}

static void test_node_power_cut_of_all_loses_nothing_acknowledged(void **state)
{
    (void)state;
    cut_power_of_all(0);
    for (uint64_t entries = 1; entries < 12; entries++)
        cut_power_of_all(entries);
}

static void start_alone(void)
{
    struct node_options options = options_of(&w, 1);
    options.member_count = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
}

static void test_node_first_start_cut_off_at_any_write_is_made_good(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 160; i++) {
        enum mem_fs_crash kind = i % 2 == 0 ? MEM_FS_PREFIX : MEM_FS_SCATTER;
        setup(&w, 0);
        w.starts = i; /* other pieces survive */
        struct node_options options = options_of(&w, 1);
        options.member_count = 1;
        mem_fs_stop_at(w.disk[1], 1 + i % 20);
        struct prng prng = {.state = i};
        if (start_with(&w, 1, &options) == ERR_OK) {
            run(&w, 100);
            crash(&w, 1, kind);
        } else {
            mem_fs_crash(w.disk[1], kind, &prng);
        }
        start_alone();
        assert_int_equal(outcome(&w, put(&w, 1, "k", "v")), NODE_OK);
        teardown(&w);
    }
}

static void test_node_read_waits_until_what_it_must_see_is_applied(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned slow = lead % 3 + 1;
    run(&w, 300);
    mem_fs_hold_syncs(w.disk[slow], true); /* it applies nothing that is not on its disk */
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    uint64_t read = barrier(&w, slow);
    run(&w, 300);
    assert_false(w.answered[read]);
    mem_fs_hold_syncs(w.disk[slow], false);
    assert_int_equal(outcome(&w, read), NODE_OK);
    assert_value(&w, slow, "k", "v");
    teardown(&w);
}

static void test_node_without_leader_answers_not_done(void **state)
{
    (void)state;
    setup(&w, 1);
    run(&w, 1000);
    uint64_t write = put(&w, 1, "k", "v");
    uint64_t read = barrier(&w, 1);
    assert_int_equal(outcome(&w, write), NODE_NOT_DONE);
    assert_int_equal(outcome(&w, read), NODE_NOT_DONE);
    teardown(&w);
}

static void test_node_proposal_of_a_deposed_leader_ends_once(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    /* cut off: the write enters the old leader's log and nobody else's */
    for (size_t k = 0; k < w.net.wire_count; k++) {
        struct net_wire *wire = &w.net.wire[k];
        wire->stalled = wire->end[0].member == old || wire->end[1].member == old;
    }
    uint64_t lost = put(&w, old, "lost", "v");
    run(&w, 1500);
    for (size_t k = 0; k < w.net.wire_count; k++)
        w.net.wire[k].stalled = false;
    enum node_outcome end = outcome(&w, lost);
    unsigned now = leader(&w);
    assert_int_equal(outcome(&w, put(&w, now, "x", "y")), NODE_OK);
    assert_int_equal(outcome(&w, barrier(&w, old)), NODE_OK);
    struct kv_item item;
    bool there = kv_get(node_kv(w.node[old]), (const uint8_t *)"lost", 4, &item);
    if (end == NODE_OK)
        assert_true(there);
    if (end == NODE_NOT_DONE)
        assert_false(there);
    teardown(&w);
}

static void test_node_overload_is_refused_at_once(void **state)
{
    (void)state;
    setup(&w, 1); /* no leader: nothing drains */
    char *big = mem_calloc(1, 300001);
    memset(big, 'x', 300000);
    uint64_t tokens[8];
    for (int i = 0; i < 8; i++)
        tokens[i] = put(&w, 1, "k", big);
    run(&w, 10);
    unsigned refused = 0;
    for (int i = 0; i < 8; i++)
        refused += w.answered[tokens[i]] && w.results[tokens[i]].outcome == NODE_OVERLOADED;
    assert_true(refused >= 4 && refused < 8);
    mem_free(big);
    teardown(&w);
}

static void test_node_failed_write_of_the_log_ends_it(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = lead % 3 + 1;
    mem_fs_stop_at(w.disk[victim], 1);
    (void)put(&w, lead, "k", "v");
    run(&w, 300);
    assert_int_equal(node_life(w.node[victim]), NODE_FAILED);
    assert_true(strlen(node_failure(w.node[victim])) > 0);
    assert_int_equal(outcome(&w, put(&w, lead, "k2", "v")), NODE_OK); /* two are enough */
    teardown(&w);
}

static void test_node_snapshot_brings_up_who_missed_everything(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned late = lead % 3 + 1;
    crash(&w, late, MEM_FS_KEEP_ALL);
    mem_fs_free(w.disk[late]);
    w.disk[late] = mem_fs_new();
    /* the others restart with small snapshots, so that the log's beginning goes */
    for (unsigned i = 1; i <= 3; i++) {
        if (i == late)
            continue;
        crash(&w, i, MEM_FS_LOSE_ALL);
        struct node_options options = options_of(&w, i);
        options.snapshot_entries = 20;
        assert_int_equal(start_with(&w, i, &options), ERR_OK);
    }
    lead = leader(&w);
    char key[16];
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "s%u", i);
        assert_int_equal(outcome(&w, put(&w, lead, key, key)), NODE_OK);
    }
    struct node_options options = options_of(&w, late);
    options.join = true; /* an empty disk: it must not think that it founds a cluster */
    assert_int_equal(start_with(&w, late, &options), ERR_OK);
    run(&w, 2000);
    assert_value(&w, late, "s0", "s0");
    assert_value(&w, late, "s199", "s199");
    struct node_status status = node_status(w.node[late], w.net.now_ms);
    assert_true(status.snapshot_index > 100);
    node_status_deinit(&status);
    teardown(&w);
}

static void test_node_stop_hands_leadership_over(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    run(&w, 300);
    node_stop(w.node[old], w.net.now_ms);
    uint64_t begin = w.net.now_ms;
    while (node_life(w.node[old]) == NODE_RUNNING && w.net.now_ms < begin + 5000)
        run(&w, 10);
    assert_int_equal(node_life(w.node[old]), NODE_STOPPED);
    assert_true(w.net.now_ms - begin < 1000);
    run(&w, 100); /* the other two have not counted their votes yet */
    unsigned now = old % 3 + 1;
    assert_true(node_leader(w.node[now]) != 0 && node_leader(w.node[now]) != old);
    uint64_t refused = put(&w, old, "k", "v");
    collect(&w, old);
    assert_int_equal(outcome(&w, refused), NODE_NOT_DONE);
    teardown(&w);
}

static void test_node_stopping_leader_still_votes_for_its_successor(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned old = leader(&w);
    run(&w, 300);
    unsigned gone = old % 3 + 1;
    unsigned heir = gone % 3 + 1;
    crash(&w, gone, MEM_FS_KEEP_ALL);
    run(&w, 100);
    mem_fs_hold_syncs(w.disk[old], true); /* the vote waits for the disk */
    node_stop(w.node[old], w.net.now_ms);
    for (int i = 0; i < 100 && node_life(w.node[old]) == NODE_RUNNING; i++)
        run(&w, 10);
    assert_int_equal(node_life(w.node[old]), NODE_STOPPED);
    mem_fs_hold_syncs(w.disk[old], false);
    run(&w, 200);
    assert_int_equal(node_leader(w.node[heir]), heir); /* two votes of three */
    teardown(&w);
}

static void test_node_removed_member_ends_and_does_not_start_again(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned victim = lead % 3 + 1;
    uint64_t token = ++w.last_token;
    node_remove_member(w.node[lead % 3 + 1 == victim ? (victim % 3 + 1) : victim], token, victim,
                       w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    run(&w, 1000);
    assert_int_equal(node_life(w.node[victim]), NODE_REMOVED);
    crash(&w, victim, MEM_FS_LOSE_ALL);
    struct node_options options = options_of(&w, victim);
    assert_int_equal(start_with(&w, victim, &options), ERR_NOT_FOUND);
    uint64_t again = ++w.last_token;
    node_add_member(w.node[lead], again, victim, "n9:1", w.net.now_ms);
    assert_int_equal(outcome(&w, again), NODE_CONFLICT);
    uint64_t unknown = ++w.last_token;
    node_remove_member(w.node[lead], unknown, 77, w.net.now_ms);
    assert_int_equal(outcome(&w, unknown), NODE_MEMBER_NOT_FOUND);
    teardown(&w);
}

static void test_node_identity_of_the_directory_is_checked(void **state)
{
    (void)state;
    setup(&w, 1);
    run(&w, 100);
    crash(&w, 1, MEM_FS_KEEP_ALL);
    struct node_options options = options_of(&w, 1);
    options.cluster = "other";
    assert_int_equal(start_with(&w, 1, &options), ERR_MISMATCH);
    options.cluster = "test";
    options.id = 2;
    assert_int_equal(start_with(&w, 1, &options), ERR_MISMATCH);
    options.id = 1;
    assert_int_equal(start_with(&w, 1, &options), ERR_OK);
    teardown(&w);
}

/* Member 3 is the test itself, linked to both others. Returns the leader. */
static unsigned setup_as_member_3(void)
{
    setup(&w, 2);
    struct peer_options options = net_options(&w.net, 3, "test");
    net_start_with(&w.net, 3, &options);
    peer_set_put(w.net.set[3], 1, "n1:1");
    peer_set_put(w.net.set[3], 2, "n2:1");
    unsigned lead = leader(&w);
    run(&w, 500);
    net_drop_events(&w.net, 3);
    return lead;
}

static void test_node_forwarded_proposal_is_not_forwarded_again(void **state)
{
    (void)state;
    unsigned lead = setup_as_member_3();
    unsigned follower = 3 - lead;
    struct node_status before = node_status(w.node[lead], w.net.now_ms);
    struct envelope envelope = {.kind = ENVELOPE_KV, .origin = 3, .boot = 9, .seq = 77};
    struct floe_entry entry = {.data = envelope_encode(&envelope)};
    struct floe_message m = {.type = FLOE_MSG_PROP,
                             .to = follower,
                             .from = 3,
                             .entries = &entry,
                             .entry_count = 1};
    assert_int_equal(peer_set_send(w.net.set[3], &m), ERR_OK);
    run(&w, 300);
    struct peer_event event;
    assert_true(net_wait_event(&w.net, 3, PEER_EVENT_NOTE, &event));
    assert_int_equal(event.id, follower);
    peer_event_deinit(&event);
    struct node_status after = node_status(w.node[lead], w.net.now_ms);
    assert_int_equal(after.last_index, before.last_index);
    node_status_deinit(&before);
    node_status_deinit(&after);
    floe_entry_deinit(&entry);
    net_stop(&w.net, 3);
    teardown(&w);
}

static void test_node_note_of_a_wrong_length_is_ignored(void **state)
{
    (void)state;
    unsigned lead = setup_as_member_3();
    uint8_t *bytes = mem_calloc(1, 7);
    for (uint8_t kind = NOTE_REMOVED; kind <= NOTE_REACHED; kind++) {
        assert_int_equal(peer_set_send_note(w.net.set[3], lead, kind, bytes, 7), ERR_OK);
        assert_int_equal(peer_set_send_note(w.net.set[3], lead, kind, NULL, 0), ERR_OK);
    }
    mem_free(bytes);
    run(&w, 300);
    assert_int_equal(outcome(&w, put(&w, lead, "k", "v")), NODE_OK);
    net_stop(&w.net, 3);
    teardown(&w);
}

static void test_node_change_request_for_an_id_of_the_library_is_ignored(void **state)
{
    (void)state;
    unsigned lead = setup_as_member_3();
    floe_id ids[] = {FLOE_ID_APPEND_THREAD, FLOE_ID_APPLY_THREAD, FLOE_ID_APPLY_THREAD - 1};
    for (size_t i = 0; i < 3; i++) {
        struct buf note = {0};
        pack_array(&note, 4);
        pack_u64(&note, 5);
        pack_u64(&note, WAITER_ADD);
        pack_u64(&note, ids[i]);
        pack_str(&note, "n9:1");
        enum err err = peer_set_send_note(w.net.set[3], lead, NOTE_CHANGE_REQUEST, note.data,
                                          note.len);
        buf_deinit(&note);
        assert_int_equal(err, ERR_OK);
        run(&w, 300);
        struct node_status status = node_status(w.node[lead], w.net.now_ms);
        bool taken = i == 2; /* the largest that a member can have */
        assert_int_equal(status.member_count, taken ? 4 : 3);
        assert_true(!taken || status.members[3].id == ids[i]);
        node_status_deinit(&status);
    }
    net_stop(&w.net, 3);
    teardown(&w);
}

static bool is_voter(struct world *world, unsigned at, floe_id id)
{
    struct node_status status = node_status(world->node[at], world->net.now_ms);
    bool voter = false;
    for (size_t i = 0; i < status.member_count; i++)
        voter = voter || (status.members[i].id == id && !status.members[i].learner);
    node_status_deinit(&status);
    return voter;
}

static const struct node_result *change(unsigned at, bool add, floe_id id)
{
    uint64_t token = ++w.last_token;
    if (add)
        node_add_member(w.node[at], token, id, id == 8 ? "n8:1" : "n9:1", w.net.now_ms);
    else
        node_remove_member(w.node[at], token, id, w.net.now_ms);
    assert_int_equal(outcome(&w, token), NODE_OK);
    return &w.results[token];
}

static void test_node_member_change_tells_its_place_in_the_log_at_any_member(void **state)
{
    (void)state;
    setup(&w, 3);
    unsigned lead = leader(&w);
    unsigned other = lead % 3 + 1;
    unsigned victim = other % 3 + 1;
    run(&w, 500);
    struct node_status before = node_status(w.node[lead], w.net.now_ms);
    const struct {
        unsigned at;
        bool add;
        floe_id id;
    } changes[] = {{lead, true, 8},   {other, true, 9},       {other, false, 8},
                   {lead, false, 9},  {victim, false, victim}};
    size_t count = sizeof changes / sizeof changes[0];
    for (size_t i = 0; i < count; i++) {
        /* at last: the others' disks are enough, and the leader answers only when it has applied */
        mem_fs_hold_syncs(w.disk[lead], i == count - 1);
        const struct node_result *result = change(changes[i].at, changes[i].add, changes[i].id);
        assert_int_equal(result->term, before.term);
        assert_int_equal(result->index, before.last_index + 1 + i); /* nothing else is written */
    }
    mem_fs_hold_syncs(w.disk[lead], false);
    node_status_deinit(&before);
    teardown(&w);
}

/* Member 3 was added wait_ms ago, and its configuration names only who does not lead: how long
 * until it is a voter that answers. */
static uint64_t join_ms(uint64_t wait_ms)
{
    setup(&w, 0);
    for (unsigned i = 1; i <= 2; i++) {
        struct node_options options = options_of(&w, i);
        options.member_count = 2;
        assert_int_equal(start_with(&w, i, &options), ERR_OK);
    }
    unsigned lead = leader(&w);
    uint64_t added = ++w.last_token;
    node_add_member(w.node[lead], added, 3, "n3:1", w.net.now_ms);
    assert_int_equal(outcome(&w, added), NODE_OK);
    run(&w, wait_ms);
    assert_int_equal(leader(&w), lead);
    const struct node_member_option named = {3 - lead, lead == 1 ? "n2:1" : "n1:1"};
    struct node_options options = options_of(&w, 3);
    options.members = &named;
    options.member_count = 1;
    options.join = true;
    assert_int_equal(start_with(&w, 3, &options), ERR_OK);
    uint64_t begin = w.net.now_ms;
    while (!is_voter(&w, 3, 3) && w.net.now_ms < begin + 5000)
        run(&w, 10);
    assert_int_equal(outcome(&w, barrier(&w, 3)), NODE_OK);
    uint64_t passed_ms = w.net.now_ms - begin;
    teardown(&w);
    return passed_ms;
}

/* The leader's back-off is at its longest then, and starts anew at any time of it. */
static void test_node_joins_at_once_through_who_does_not_lead(void **state)
{
    (void)state;
    for (uint64_t wait_ms = 35000; wait_ms < 37500; wait_ms += 250) {
        uint64_t passed_ms = join_ms(wait_ms);
        if (passed_ms > 400) /* eight heartbeats */
            fail_msg("after %u ms it took %u ms", (unsigned)wait_ms, (unsigned)passed_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_write_at_any_member_is_read_at_every_member),
        cmocka_unit_test(test_node_write_is_not_answered_before_a_majority_has_synced),
        cmocka_unit_test(test_node_power_cut_of_all_loses_nothing_acknowledged),
        cmocka_unit_test(test_node_first_start_cut_off_at_any_write_is_made_good),
        cmocka_unit_test(test_node_read_waits_until_what_it_must_see_is_applied),
        cmocka_unit_test(test_node_without_leader_answers_not_done),
        cmocka_unit_test(test_node_proposal_of_a_deposed_leader_ends_once),
        cmocka_unit_test(test_node_overload_is_refused_at_once),
        cmocka_unit_test(test_node_failed_write_of_the_log_ends_it),
        cmocka_unit_test(test_node_snapshot_brings_up_who_missed_everything),
        cmocka_unit_test(test_node_stop_hands_leadership_over),
        cmocka_unit_test(test_node_stopping_leader_still_votes_for_its_successor),
        cmocka_unit_test(test_node_removed_member_ends_and_does_not_start_again),
        cmocka_unit_test(test_node_identity_of_the_directory_is_checked),
        cmocka_unit_test(test_node_forwarded_proposal_is_not_forwarded_again),
        cmocka_unit_test(test_node_member_change_tells_its_place_in_the_log_at_any_member),
        cmocka_unit_test(test_node_joins_at_once_through_who_does_not_lead),
        cmocka_unit_test(test_node_note_of_a_wrong_length_is_ignored),
        cmocka_unit_test(test_node_change_request_for_an_id_of_the_library_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
