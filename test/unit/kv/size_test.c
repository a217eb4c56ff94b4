/* How large a snapshot can become is known before, whatever is deleted then in whichever way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ask.h"
#include "base/mem.h"
#include "base/prng.h"

#include <stdio.h>
#include <string.h>

#define KEYS 60u
#define LEASES 4u

struct world {
    struct kv *kv;
    struct prng prng;
    char key[100];
    char value[300];
};

static unsigned below(struct world *w, unsigned bound)
{
    return (unsigned)prng_below(&w->prng, bound);
}

/* The length of a key depends on it. */
static struct kv_bytes some_key(struct world *w)
{
    unsigned number = below(w, KEYS);
    (void)snprintf(w->key, sizeof w->key, "%0*u", (int)(2 + number), number);
    return b(w->key);
}

static struct kv_bytes some_value(struct world *w)
{
    memset(w->value, 'v', sizeof w->value);
    return (struct kv_bytes){(const uint8_t *)w->value, below(w, sizeof w->value)};
}

static uint64_t snapshot_bytes(struct world *w)
{
    struct buf stream = view_stream(kv_view_new(w->kv), 1000);
    uint64_t bytes = stream.len;
    buf_deinit(&stream);
    return bytes;
}

static void apply_command(struct world *w, const struct kv_command *command)
{
    struct kv_result result = apply(w->kv, command);
    kv_result_deinit(&result);
}

static struct kv_op some_put(struct world *w)
{
    struct kv_op op = {.type = KV_OP_PUT, .put.key = some_key(w)};
    op.put.keep_value = below(w, 8) == 0;
    if (!op.put.keep_value)
        op.put.value = some_value(w);
    op.put.lease = below(w, 3) == 0 ? 1 + below(w, LEASES) : 0;
    return op;
}

/* Whatever it may add was foretold. */
static void grow(struct world *w)
{
    struct kv_op put = some_put(w);
    struct kv_op other = {.type = KV_OP_GRANT, .grant = {1 + below(w, LEASES), 60}};
    struct kv_compare never = {.keys = one("nothing"), .target = KV_VERSION, .number = below(w, 2)};
    struct kv_op txn = {.type = KV_OP_TXN,
                        .txn = {&never, 1, &put, 1, &other, 1}};
    struct kv_op *ops[] = {&put, &other, &txn};
    struct kv_command command = {
        .type = KV_COMMAND_OP, .ops = ops[below(w, 3)], .op_count = 1};
    uint64_t growth = kv_command_growth(w->kv, &command);
    uint64_t before = kv_snapshot_bytes_max(w->kv);
    uint64_t grown = kv_grown_bytes(w->kv);
    assert_true(growth > 0 && kv_command_grows(&command));
    apply_command(w, &command);
    assert_true(kv_snapshot_bytes_max(w->kv) <= before + growth);
    assert_true(kv_grown_bytes(w->kv) <= grown + growth);
}

/* A delete, of one or many, an expiry, a compaction, or a bit of tidying up. */
static void shrink(struct world *w)
{
    struct kv_lease_time lease = {.id = 1 + below(w, LEASES)};
    struct kv_op del = delete_op(one(w->key));
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &del, .op_count = 1};
    del.del.keys.key = some_key(w);
    switch (below(w, 6)) {
    case 0: del.del.keys.extent = KV_FROM_KEY; break;
    case 1:
        command = (struct kv_command){
            .type = KV_COMMAND_EXPIRE, .term = 1, .leases = &lease, .lease_count = 1};
        break;
    case 2:
        command = (struct kv_command){.type = KV_COMMAND_COMPACT,
                                      .number = kv_revision(w->kv) - below(w, 3)};
        break;
    case 3: (void)kv_tidy(w->kv, below(w, 20)); return;
    default: break;
    }
    assert_false(kv_command_grows(&command));
    assert_int_equal(kv_command_growth(w->kv, &command), 0);
    apply_command(w, &command);
}

static void assert_bounded(struct world *w, uint64_t base, uint64_t grown)
{
    uint64_t bytes = snapshot_bytes(w);
    assert_true(bytes <= kv_snapshot_bytes_max(w->kv));
    assert_true(bytes <= base + (kv_grown_bytes(w->kv) - grown));
}

static void test_kv_size_of_snapshots_is_bounded_before(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct world w = {.kv = kv_new(), .prng = {seed}};
        for (unsigned round = 0; round < 8; round++) {
            uint64_t base = snapshot_bytes(&w) + kv_tombstone_bytes(w.kv);
            uint64_t grown = kv_grown_bytes(w.kv);
            for (unsigned i = 0; i < 40; i++) {
                if (below(&w, 4) > 0)
                    grow(&w);
                else
                    shrink(&w);
                assert_bounded(&w, base, grown);
            }
            uint64_t most = kv_snapshot_bytes_max(w.kv);
            for (unsigned i = 0; i < 40; i++) {
                shrink(&w);
                assert_true(kv_snapshot_bytes_max(w.kv) <= most);
                assert_bounded(&w, base, grown);
            }
        }
        kv_free(w.kv);
    }
}

static void test_kv_size_counts_the_same_in_a_store_that_was_loaded(void **state)
{
    (void)state;
    struct world w = {.kv = kv_new(), .prng = {7}};
    for (unsigned i = 0; i < 200; i++)
        grow(&w);
    struct buf stream = view_stream(kv_view_new(w.kv), 1000);
    struct kv *loaded = NULL;
    assert_int_equal(load_stream(stream.data, stream.len, &loaded), ERR_OK);
    assert_int_equal(kv_tombstone_bytes(loaded), kv_tombstone_bytes(w.kv));
    assert_true(kv_snapshot_bytes_max(loaded) >= stream.len);
    buf_deinit(&stream);
    kv_free(loaded);
    kv_free(w.kv);
}

/* An idempotency key is part of the store, too. */
static void test_kv_size_counts_tickets(void **state)
{
    (void)state;
    struct world w = {.kv = kv_new(), .prng = {7}};
    uint64_t base = snapshot_bytes(&w);
    for (unsigned i = 0; i < 100; i++) {
        char ticket[16];
        (void)snprintf(ticket, sizeof ticket, "ticket%u", i);
        struct kv_op op = delete_op(one("nothing"));
        struct kv_command command = {
            .type = KV_COMMAND_OP, .ticket = b(ticket), .ops = &op, .op_count = 1};
        apply_command(&w, &command);
        assert_bounded(&w, base, 0);
    }
    kv_free(w.kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_size_of_snapshots_is_bounded_before),
        cmocka_unit_test(test_kv_size_counts_the_same_in_a_store_that_was_loaded),
        cmocka_unit_test(test_kv_size_counts_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
