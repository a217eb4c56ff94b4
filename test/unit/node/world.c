/* See world.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "peer/internal.h"
#include "world.h"

#include <stdio.h>
#include <string.h>

struct node_options options_of(struct world *w, unsigned i)
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
                                 .history_ms = w->history_ms,
                                 .history_bytes = w->history_bytes,
                                 .seed = 1000 + i + 10 * ++w->starts,
                                 .fs = mem_fs_table(w->disk[i])};
}

enum err start_with(struct world *w, unsigned i, const struct node_options *options)
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

void start(struct world *w, unsigned i)
{
    struct node_options options = options_of(w, i);
    assert_int_equal(start_with(w, i, &options), ERR_OK);
}

void start_reseed(struct world *w, unsigned i)
{
    struct node_options options = options_of(w, i);
    options.reseed_stamp = 1000 + w->starts;
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

void crash(struct world *w, unsigned i, enum mem_fs_crash kind)
{
    struct prng prng = {.state = 7 * i + w->starts};
    drop_wires(w, i);
    w->net.set[i] = NULL;
    node_free(w->node[i]);
    w->node[i] = NULL;
    mem_fs_crash(w->disk[i], kind, &prng);
}

void collect(struct world *w, unsigned i)
{
    struct node_result result;
    while (node_next_result(w->node[i], &result)) {
        assert_true(result.token > 0 && result.token <= w->last_token);
        assert_false(w->answered[result.token]); /* exactly one answer */
        w->answered[result.token] = true;
        w->results[result.token] = result;
        kv_result_deinit(&result.kv); /* status and revision stay */
    }
}

/* Takes what has come for a member, and puts it back without what is lost. */
static void lose_messages(struct world *w, unsigned i)
{
    struct peer_set *set = node_peers(w->node[i]);
    const struct event_item *item;
    size_t count = 0;
    STAILQ_FOREACH(item, &set->events, entry)
        count++;
    for (; w->loses && count > 0; count--) {
        size_t bytes = STAILQ_FIRST(&set->events)->bytes;
        struct peer_event event;
        assert_true(peer_set_next_event(set, &event));
        if (event.type == PEER_EVENT_MESSAGE && event.message.type == w->lost)
            peer_event_deinit(&event);
        else
            peer_queue_event(set, event, bytes);
    }
}

void run(struct world *w, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 10) {
        for (unsigned i = 1; i <= MEMBERS; i++) {
            if (w->node[i] == NULL || w->paused[i])
                continue;
            lose_messages(w, i);
            node_pump(w->node[i], w->net.now_ms);
            for (int turn = 0; turn < 20 && node_has_work(w->node[i]); turn++)
                node_pump(w->node[i], w->net.now_ms);
            collect(w, i);
            bool diverged = node_is_damaged(w->node[i]) &&
                            strstr(node_failure(w->node[i]), "the hash of everything") != NULL;
            if (!w->may_diverge && diverged)
                fail_msg("member %u: %s", i, node_failure(w->node[i]));
        }
        net_run(&w->net, 10);
    }
}

void setup(struct world *w, unsigned count)
{
    memset(w, 0, sizeof *w);
    net_init(&w->net);
    for (unsigned i = 1; i <= MEMBERS; i++)
        w->disk[i] = mem_fs_new();
    for (unsigned i = 1; i <= count; i++)
        start(w, i);
}

void setup_two(struct world *w)
{
    setup(w, 0);
    for (unsigned i = 1; i <= 2; i++) {
        struct node_options options = options_of(w, i);
        options.member_count = 2;
        assert_int_equal(start_with(w, i, &options), ERR_OK);
    }
}

void teardown(struct world *w)
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

unsigned leader(struct world *w)
{
    for (int tries = 0; tries < 600; tries++) {
        for (unsigned i = 1; i <= MEMBERS; i++) {
            if (w->node[i] == NULL || w->paused[i])
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

static struct kv_bytes bytes_of(const char *text)
{
    return (struct kv_bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

uint64_t put(struct world *w, unsigned i, const char *key, const char *value)
{
    return put_with(w, i, key, value, 0);
}

static uint64_t write_op(struct world *w, unsigned i, struct kv_op *op)
{
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = op, .op_count = 1};
    uint64_t token = ++w->last_token;
    node_write(w->node[i], token, &command, false, w->net.now_ms);
    return token;
}

uint64_t put_with(struct world *w, unsigned i, const char *key, const char *value, uint64_t lease)
{
    struct kv_op op = {.type = KV_OP_PUT,
                       .put = {.key = bytes_of(key), .value = bytes_of(value), .lease = lease}};
    return write_op(w, i, &op);
}

uint64_t grant(struct world *w, unsigned i, uint64_t lease, uint64_t ttl_s)
{
    struct kv_op op = {.type = KV_OP_GRANT, .grant = {.id = lease, .ttl_s = ttl_s}};
    return write_op(w, i, &op);
}

uint64_t barrier(struct world *w, unsigned i)
{
    uint64_t token = ++w->last_token;
    node_read(w->node[i], token, w->net.now_ms);
    return token;
}

enum node_outcome outcome(struct world *w, uint64_t token)
{
    for (int tries = 0; tries < 500 && !w->answered[token]; tries++)
        run(w, 10);
    assert_true(w->answered[token]);
    return w->results[token].outcome;
}

void assert_value(struct world *w, unsigned i, const char *key, const char *value)
{
    struct kv_item item;
    assert_true(find_key(w, i, key, &item));
    assert_int_equal(item.value.len, strlen(value));
    assert_memory_equal(item.value.data, value, item.value.len);
}

bool find_key(struct world *w, unsigned i, const char *key, struct kv_item *out)
{
    return kv_get(node_kv(w->node[i]), bytes_of(key), out);
}

bool has_key(struct world *w, unsigned i, const char *key)
{
    struct kv_item item;
    return find_key(w, i, key, &item);
}
