/* Commands to bytes and back, limits, and what a newer version may have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ask.h"
#include "base/mem.h"
#include "base/prng.h"
#include "codec/pack.h"

#include <string.h>

static struct buf encode(const struct kv_command *command)
{
    struct buf out = {0};
    kv_command_encode(&out, command);
    return out;
}

static struct buf encode_op(struct kv_op op)
{
    return encode(&(struct kv_command){.type = KV_COMMAND_OP, .ops = &op, .op_count = 1});
}

static enum err decode(const struct buf *bytes)
{
    uint8_t *exact = mem_dup(bytes->data, bytes->len); /* so that reading past it is seen */
    struct kv_command command;
    enum err err = kv_command_decode(exact, bytes->len, &command);
    if (err == ERR_OK)
        kv_command_deinit(&command);
    mem_free(exact);
    return err;
}

/* Everything that a command can hold, each field with a value of its own. */
static struct kv_command rich_command(struct kv_command *owner)
{
    struct kv_op *inner = kv_command_alloc(owner, 4, sizeof *inner);
    inner[0] = (struct kv_op){
        .type = KV_OP_PUT,
        .put = {.key = b("k"), .lease = 70000, .keep_value = true, .want_prev = true}};
    inner[1] = (struct kv_op){.type = KV_OP_DELETE, .del = {{KV_HALF_OPEN, b("a"), b("b")}, true}};
    inner[2] = (struct kv_op){.type = KV_OP_RANGE,
                              .range = {.keys = {KV_FROM_KEY, b("x"), {0}},
                                        .revision = 3,
                                        .limit = 4,
                                        .order = KV_DESCEND,
                                        .sort = KV_BY_VALUE,
                                        .keys_only = true,
                                        .count_only = true,
                                        .min_mod = 5,
                                        .max_mod = 6,
                                        .min_create = 7,
                                        .max_create = 8}};
    inner[3] = (struct kv_op){.type = KV_OP_GRANT, .grant = {UINT64_MAX, 60}};
    struct kv_compare *compares = kv_command_alloc(owner, 2, sizeof *compares);
    compares[0] = (struct kv_compare){{KV_HALF_OPEN, b("p"), b("q")}, KV_MOD, KV_LESS, 9, {0}};
    compares[1] = (struct kv_compare){one("v"), KV_VALUE, KV_NOT_EQUAL, 0, b("value")};
    struct kv_op *nested = kv_command_alloc(owner, 2, sizeof *nested);
    nested[0] = (struct kv_op){.type = KV_OP_TXN, .txn = {.failure = inner, .failure_count = 4}};
    nested[1] = (struct kv_op){.type = KV_OP_NONE};
    struct kv_op *root = kv_command_alloc(owner, 1, sizeof *root);
    root->type = KV_OP_TXN;
    root->txn = (struct kv_txn){.compares = compares,
                                .compare_count = 2,
                                .success = nested,
                                .success_count = 2,
                                .failure = inner,
                                .failure_count = 1};
    return (struct kv_command){.type = KV_COMMAND_OP,
                               .ticket = b("ticket"),
                               .fingerprint = 77,
                               .ops = root,
                               .op_count = 1};
}

/* Encoded again it must give the same bytes, and the fields looked at here are those given. */
static void test_command_of_every_kind_round_trips(void **state)
{
    (void)state;
    struct kv_command owner = {0};
    struct kv_lease_time leases[2] = {{7, 8}, {9, 0}};
    struct kv_op batch[2] = {put_op("a", "1", 0), delete_op(one("b"))};
    const struct kv_command commands[] = {
        rich_command(&owner),
        {.type = KV_COMMAND_BATCH, .ticket = b("t"), .ops = batch, .op_count = 2},
        {.type = KV_COMMAND_BATCH},
        {.type = KV_COMMAND_REVOKE, .leases = leases, .lease_count = 1},
        {.type = KV_COMMAND_EXPIRE, .term = 3, .leases = leases, .lease_count = 2},
        {.type = KV_COMMAND_CHECKPOINT, .term = 3, .leases = leases, .lease_count = 2},
        {.type = KV_COMMAND_EXPIRE, .term = 3, .leases = leases, .lease_count = 2, .births = 6},
        {.type = KV_COMMAND_COMPACT, .number = 1234567},
        {.type = KV_COMMAND_FORGET, .term = 4, .number = 5},
        {.type = KV_COMMAND_ALARM, .alarm = {9, KV_ALARM_CORRUPT}, .raise = true},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct buf bytes = encode(&commands[i]);
        struct kv_command got;
        assert_int_equal(kv_command_decode(bytes.data, bytes.len, &got), ERR_OK);
        struct buf again = encode(&got);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
        assert_int_equal(got.type, commands[i].type);
        assert_int_equal(got.op_count, commands[i].op_count);
        assert_int_equal(got.term, commands[i].term);
        assert_int_equal(got.number, commands[i].number);
        assert_int_equal(got.births, commands[i].births);
        assert_int_equal(got.alarm.member, commands[i].alarm.member);
        assert_int_equal(got.alarm.kind, commands[i].alarm.kind);
        assert_int_equal(got.raise, commands[i].raise);
        assert_int_equal(got.ticket.len, commands[i].ticket.len);
        assert_int_equal(got.fingerprint, commands[i].fingerprint);
        assert_int_equal(got.lease_count, commands[i].lease_count);
        kv_command_deinit(&got);
        buf_deinit(&again);
        buf_deinit(&bytes);
    }
    kv_command_deinit(&owner);
}

static void test_command_nested_fields_arrive(void **state)
{
    (void)state;
    struct kv_command owner = {0};
    struct kv_command command = rich_command(&owner);
    struct buf bytes = encode(&command);
    struct kv_command got;
    assert_int_equal(kv_command_decode(bytes.data, bytes.len, &got), ERR_OK);
    const struct kv_txn *txn = &got.ops[0].txn;
    assert_int_equal(txn->compare_count, 2);
    assert_int_equal(txn->compares[0].relation, KV_LESS);
    assert_int_equal(txn->compares[0].number, 9);
    assert_int_equal(txn->compares[0].keys.end.len, 1);
    assert_memory_equal(txn->compares[1].value.data, "value", 5);
    const struct kv_op *inner = txn->success[0].txn.failure;
    assert_int_equal(txn->success[0].txn.failure_count, 4);
    assert_int_equal(inner[0].put.lease, 70000);
    assert_true(inner[0].put.keep_value && inner[0].put.want_prev && !inner[0].put.keep_lease);
    assert_true(inner[1].del.want_prev);
    const struct kv_range *range = &inner[2].range;
    assert_int_equal(range->keys.extent, KV_FROM_KEY);
    assert_int_equal(range->revision * 1000 + range->limit * 100 + range->min_mod * 10 +
                         range->max_create,
                     3458);
    assert_true(range->keys_only && range->count_only);
    assert_int_equal(range->sort, KV_BY_VALUE);
    assert_int_equal(range->order, KV_DESCEND);
    assert_true(inner[3].grant.id == UINT64_MAX);
    assert_int_equal(txn->success[1].type, KV_OP_NONE);
    kv_command_deinit(&got);
    kv_command_deinit(&owner);
    buf_deinit(&bytes);
}

static void test_command_plain_put_costs_eight_bytes(void **state)
{
    (void)state;
    struct buf bytes = encode_op(put_op("key", "value", 0));
    assert_int_equal(bytes.len, 8 + 3 + 5);
    buf_deinit(&bytes);
}

static void test_command_every_truncation_and_addition_is_invalid(void **state)
{
    (void)state;
    struct kv_command owner = {0};
    struct kv_command command = rich_command(&owner);
    struct buf bytes = encode(&command);
    size_t len = bytes.len;
    for (bytes.len = 0; bytes.len < len; bytes.len++)
        assert_int_equal(decode(&bytes), ERR_INVALID);
    buf_add_u8(&bytes, 0);
    assert_int_equal(decode(&bytes), ERR_INVALID);
    buf_deinit(&bytes);
    kv_command_deinit(&owner);
}

static void test_command_random_damage_is_refused_or_harmless(void **state)
{
    (void)state;
    struct kv_command owner = {0};
    struct kv_command command = rich_command(&owner);
    struct prng prng = {.state = 11};
    struct buf good = encode(&command);
    struct kv *kv = kv_new();
    for (int i = 0; i < 20000; i++) {
        uint8_t *bad = mem_dup(good.data, good.len);
        for (uint64_t n = 1 + prng_below(&prng, 4); n > 0; n--)
            bad[prng_below(&prng, good.len)] = (uint8_t)prng_next(&prng);
        struct kv_result result = kv_apply(kv, bad, good.len, 1, true);
        kv_result_deinit(&result);
        mem_free(bad);
    }
    kv_free(kv);
    buf_deinit(&good);
    kv_command_deinit(&owner);
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* `depth` transactions around nothing, written by hand: the encoder would not. */
static struct buf nested_bytes(unsigned depth)
{
    struct buf out = {0};
    pack_array(&out, 2);
    pack_u64(&out, KV_COMMAND_OP);
    for (unsigned i = 0; i < depth; i++) {
        pack_array(&out, 4);
        pack_u64(&out, KV_OP_TXN);
        pack_array(&out, 0);
        pack_array(&out, i + 1 < depth ? 1 : 0);
    }
    for (unsigned i = 0; i < depth; i++)
        pack_array(&out, 0);
    return out;
}

static void test_command_depth_is_bounded(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth < 20; depth++) {
        struct buf bytes = nested_bytes(depth);
        assert_int_equal(decode(&bytes), depth <= KV_TXN_DEPTH_MAX ? ERR_OK : ERR_TOO_LARGE);
        buf_deinit(&bytes);
    }
    struct buf deep = nested_bytes(100000);
    assert_int_equal(decode(&deep), ERR_TOO_LARGE);
    buf_deinit(&deep);
}

static void test_command_counts_are_bounded(void **state)
{
    (void)state;
    struct kv_op *ops = mem_calloc(KV_BATCH_OPS_MAX + 1, sizeof *ops);
    for (size_t i = 0; i <= KV_BATCH_OPS_MAX; i++)
        ops[i] = delete_op(one("k"));
    for (size_t i = 0; i < 2; i++) {
        struct kv_op txn = {.type = KV_OP_TXN,
                            .txn = {.success = ops, .success_count = KV_TXN_OPS_MAX + i}};
        struct buf bytes = encode_op(txn);
        assert_int_equal(decode(&bytes), i == 0 ? ERR_OK : ERR_TOO_LARGE);
        struct kv_command command = {.type = KV_COMMAND_OP, .ops = &txn, .op_count = 1};
        assert_int_equal(kv_command_check(&command), i == 0 ? KV_OK : KV_TOO_MANY_OPS);
        buf_deinit(&bytes);
        command = (struct kv_command){
            .type = KV_COMMAND_BATCH, .ops = ops, .op_count = KV_BATCH_OPS_MAX + i};
        bytes = encode(&command);
        assert_int_equal(decode(&bytes), i == 0 ? ERR_OK : ERR_TOO_LARGE);
        buf_deinit(&bytes);
    }
    mem_free(ops);
}

/* ---- newer versions -------------------------------------------------------------------------- */

static void test_command_of_a_newer_version_is_told_apart(void **state)
{
    (void)state;
    struct buf bytes = {0};
    pack_array(&bytes, 1);
    pack_u64(&bytes, KV_COMMAND_ALARM + 1);
    assert_int_equal(decode(&bytes), ERR_VERSION);
    buf_clear(&bytes);
    pack_array(&bytes, 3); /* a field more than a compaction has */
    pack_u64(&bytes, KV_COMMAND_COMPACT);
    pack_u64(&bytes, 4);
    pack_u64(&bytes, 5);
    assert_int_equal(decode(&bytes), ERR_VERSION);
    buf_clear(&bytes);
    pack_array(&bytes, 2);
    pack_u64(&bytes, KV_COMMAND_OP);
    pack_array(&bytes, 1);
    pack_u64(&bytes, KV_OP_GRANT + 1);
    assert_int_equal(decode(&bytes), ERR_VERSION);
    buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_of_every_kind_round_trips),
        cmocka_unit_test(test_command_nested_fields_arrive),
        cmocka_unit_test(test_command_plain_put_costs_eight_bytes),
        cmocka_unit_test(test_command_every_truncation_and_addition_is_invalid),
        cmocka_unit_test(test_command_random_damage_is_refused_or_harmless),
        cmocka_unit_test(test_command_depth_is_bounded),
        cmocka_unit_test(test_command_counts_are_bounded),
        cmocka_unit_test(test_command_of_a_newer_version_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
