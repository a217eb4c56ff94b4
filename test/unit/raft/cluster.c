/* See cluster.h. A member stores at once and applies at once, in either mode of storage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"
#include "raft/invariants.h"

#include "base/mem.h"

#include <string.h>

static void start(struct member *m, floe_id id, struct floe_snapshot *snapshot,
                  cluster_tune_fn tune)
{
    m->store = floe_memstore_new();
    assert_int_equal(floe_memstore_apply_snapshot(m->store, snapshot), FLOE_OK);
    struct floe_config config = {.id = id,
                                 .election_tick = ELECTION_TICK,
                                 .heartbeat_tick = HEARTBEAT_TICK,
                                 .storage = floe_memstore_storage(m->store),
                                 .max_size_per_msg = FLOE_NO_LIMIT,
                                 .max_inflight_msgs = 256,
                                 .seed = 7};
    if (tune != NULL)
        tune(&config);
    assert_int_equal(floe_raft_new(&config, &m->raft), FLOE_OK);
}

struct cluster cluster_new(size_t count, size_t voters, cluster_tune_fn tune)
{
    struct cluster c = {.count = count};
    struct floe_snapshot snapshot = {0}; /* before the first entry: only brings the membership */
    for (floe_id id = 1; id <= count; id++)
        floe_ids_push(id <= voters ? &snapshot.conf_state.voters : &snapshot.conf_state.learners,
                      id);
    for (floe_id id = 1; id <= count; id++)
        start(&c.member[id], id, &snapshot, tune);
    floe_snapshot_deinit(&snapshot);
    return c;
}

void cluster_free(struct cluster *c)
{
    for (floe_id id = 1; id <= c->count; id++) {
        floe_raft_free(c->member[id].raft);
        floe_memstore_free(c->member[id].store);
    }
    raft_outbox_deinit(&c->wire);
}

struct floe_raft *cluster_raft(struct cluster *c, floe_id id)
{
    assert_true(id >= 1 && id <= c->count);
    return c->member[id].raft;
}

/* ---- the work of a driver ------------------------------------------------------------------------ */

static void store(struct member *m, struct floe_hard_state hs, const struct floe_snapshot *snapshot,
                  const struct floe_entry *entries, size_t count)
{
    if (snapshot != NULL && snapshot->index > 0) {
        assert_int_equal(floe_memstore_apply_snapshot(m->store, snapshot), FLOE_OK);
        m->applied_last = snapshot->index;
    }
    floe_memstore_append(m->store, entries, count);
    if (hs.term != 0 || hs.vote != 0 || hs.commit != 0)
        floe_memstore_set_hard_state(m->store, hs);
}

static void apply(struct member *m, const struct floe_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].index, m->applied_last + 1);
        m->applied_last = entries[i].index;
        if (entries[i].type == FLOE_ENTRY_NORMAL) {
            m->normal_applied += entries[i].data != NULL;
            continue;
        }
        struct floe_conf_change change;
        assert_int_equal(floe_conf_change_decode(entries[i].type, entries[i].data, &change),
                         FLOE_OK);
        assert_int_equal(floe_raft_apply_conf_change(m->raft, &change, NULL), FLOE_OK);
        floe_conf_change_deinit(&change);
    }
}

static void take_reads(struct member *m, const struct floe_ready *ready)
{
    for (size_t i = 0; i < ready->read_state_count; i++)
        m->read_index = ready->read_states[i].index;
    m->reads += ready->read_state_count;
}

/* Work of the storage threads, and what is to be delivered after it. */
static void thread(struct cluster *c, struct member *m, const struct floe_message *job)
{
    struct floe_hard_state hs = {job->term, job->vote, job->commit};
    if (job->type == FLOE_MSG_STORAGE_APPEND)
        store(m, hs, job->snapshot, job->entries, job->entry_count);
    else
        apply(m, job->entries, job->entry_count);
    for (size_t i = 0; i < job->response_count; i++)
        raft_outbox_push(&c->wire, floe_message_copy(&job->responses[i]));
}

static void send_all(struct cluster *c, struct member *m, const struct floe_ready *ready)
{
    for (size_t i = 0; i < ready->message_count; i++) {
        const struct floe_message *message = &ready->messages[i];
        if (message->type == FLOE_MSG_STORAGE_APPEND || message->type == FLOE_MSG_STORAGE_APPLY)
            thread(c, m, message);
        else
            raft_outbox_push(&c->wire, floe_message_copy(message));
    }
}

void cluster_work(struct cluster *c, floe_id id)
{
    struct member *m = &c->member[id];
    bool async = m->raft->async_storage_writes;
    while (floe_raft_has_ready(m->raft)) {
        struct floe_ready ready;
        floe_raft_ready(m->raft, &ready);
        take_reads(m, &ready);
        if (!async)
            store(m, ready.has_hard_state ? ready.hard_state : (struct floe_hard_state){0},
                  &ready.snapshot, ready.entries, ready.entry_count);
        send_all(c, m, &ready);
        if (!async) {
            apply(m, ready.committed, ready.committed_count);
            floe_raft_advance(m->raft);
        }
        floe_ready_deinit(&ready);
        const char *broken = raft_check_invariants(m->raft);
        if (broken != NULL)
            fail_msg("member %d: %s", (int)id, broken);
    }
}

/* ---- the network ------------------------------------------------------------------------------------- */

/* Among correct members nothing is malformed. */
static bool is_expected(enum floe_err err)
{
    return err == FLOE_OK || err == FLOE_ERR_PROPOSAL_DROPPED ||
           err == FLOE_ERR_STEP_PEER_UNKNOWN;
}

static void deliver(struct cluster *c, struct floe_message *m)
{
    floe_id from = m->from > c->count ? m->to : m->from; /* a storage thread is on its member */
    if (m->to <= c->count && !c->down[m->to] && !c->down[from] && !c->lost[m->type])
        assert_true(is_expected(floe_raft_step(c->member[m->to].raft, m)));
    floe_message_deinit(m);
}

void cluster_settle(struct cluster *c)
{
    for (int round = 0; round < 1000; round++) {
        for (floe_id id = 1; id <= c->count; id++)
            cluster_work(c, id);
        if (c->wire.count == 0)
            return;
        struct raft_outbox wire = c->wire;
        c->wire = (struct raft_outbox){0};
        for (size_t i = 0; i < wire.count; i++)
            deliver(c, &wire.list[i]);
        mem_free(wire.list);
    }
    fail_msg("%s", "the cluster does not come to rest");
}

/* ---- shorthands ---------------------------------------------------------------------------------------- */

void cluster_campaign(struct cluster *c, floe_id id)
{
    assert_int_equal(floe_raft_campaign(cluster_raft(c, id)), FLOE_OK);
    cluster_settle(c);
}

enum floe_err cluster_propose(struct cluster *c, floe_id id, const char *text)
{
    struct floe_blob *data = floe_blob_new(text, strlen(text));
    enum floe_err err = floe_raft_propose(cluster_raft(c, id), data);
    floe_blob_unref(data);
    return err;
}

void cluster_tick(struct cluster *c, floe_id id, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        floe_raft_tick(cluster_raft(c, id));
}

void cluster_step(struct cluster *c, const struct floe_message *m)
{
    assert_int_equal(floe_raft_step(cluster_raft(c, m->to), m), FLOE_OK);
}

void cluster_check_agreement(const struct cluster *c)
{
    const struct floe_raft *first = c->member[1].raft;
    floe_index last = raft_log_last_index(&first->log);
    for (floe_id id = 1; id <= c->count; id++) {
        const struct floe_raft *r = c->member[id].raft;
        assert_int_equal(raft_log_last_index(&r->log), last);
        assert_int_equal(r->log.committed, last);
        for (floe_index i = raft_log_first_index(&r->log); i <= last; i++)
            assert_int_equal(floe_raft_term_at(r, i), floe_raft_term_at(first, i));
        assert_int_equal(c->member[id].normal_applied, c->member[1].normal_applied);
    }
}

size_t cluster_count_messages(struct cluster *c, floe_id id, enum floe_message_type type)
{
    size_t count = 0;
    assert_int_equal(c->wire.count, 0);
    cluster_work(c, id);
    for (size_t i = 0; i < c->wire.count; i++)
        count += c->wire.list[i].type == type;
    raft_outbox_deinit(&c->wire);
    return count;
}
