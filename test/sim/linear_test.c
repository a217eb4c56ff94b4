/* The checker of histories: hand-made ones of each kind, and random small ones against a slow twin
 * that tries every order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "linear.h"
#include "linear_twin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- making histories --------------------------------------------------------------------------
 */

#define NEVER UINT64_MAX
#define CHECK(verdict, ...)                                                                  \
    expect(verdict, (const struct linear_op[]){__VA_ARGS__},                                 \
           sizeof((const struct linear_op[]){__VA_ARGS__}) / sizeof(struct linear_op), NULL, \
           __LINE__)
#define CHECK_WHY(text, ...)                                                                 \
    expect(LINEAR_VIOLATION, (const struct linear_op[]){__VA_ARGS__},                        \
           sizeof((const struct linear_op[]){__VA_ARGS__}) / sizeof(struct linear_op), text, \
           __LINE__)

static void expect(enum linear_verdict verdict, const struct linear_op *ops, size_t count,
                   const char *text, int line)
{
    struct buf why = {0};
    enum linear_verdict got = linear_check(ops, count, &why);
    bool lines = memchr(buf_str(&why), '\n', why.len) != NULL;
    bool said = text == NULL || strstr(buf_str(&why), text) != NULL;
    if (got != verdict || (got == LINEAR_OK) != (why.len == 0) || lines || !said)
        fail_msg("line %d: verdict %d, why: %s", line, (int)got, buf_str(&why));
    buf_deinit(&why);
}

static struct linear_op put(uint64_t from, uint64_t to, uint64_t value, uint64_t revision)
{
    return (struct linear_op){.kind = LINEAR_PUT,
                              .invoked = from,
                              .returned = to,
                              .known = true,
                              .ok = true,
                              .value = value,
                              .revision = revision};
}

static struct linear_op get(uint64_t from, uint64_t to, uint64_t value, uint64_t revision)
{
    return (struct linear_op){.kind = LINEAR_READ,
                              .invoked = from,
                              .returned = to,
                              .known = true,
                              .ok = true,
                              .value = value,
                              .revision = revision,
                              .client = 1};
}

static struct linear_op del(uint64_t from, uint64_t to, bool ok)
{
    return (struct linear_op){.kind = LINEAR_DELETE,
                              .invoked = from,
                              .returned = to,
                              .known = true,
                              .ok = ok,
                              .client = 2};
}

static struct linear_op cas(uint64_t from, uint64_t to, uint64_t expected, uint64_t value,
                            uint64_t revision)
{
    return (struct linear_op){.kind = LINEAR_CAS,
                              .invoked = from,
                              .returned = to,
                              .known = true,
                              .ok = true,
                              .value = value,
                              .expected = expected,
                              .revision = revision,
                              .client = 3};
}

static struct linear_op refused(uint64_t from, uint64_t to, uint64_t expected, uint64_t value)
{
    struct linear_op op = cas(from, to, expected, value, 0);
    op.ok = false;
    return op;
}

static struct linear_op unknown(struct linear_op op)
{
    op.known = op.ok = false;
    op.returned = NEVER;
    op.revision = 0;
    return op;
}

static struct linear_op at_key(uint64_t key, struct linear_op op)
{
    op.key = key;
    return op;
}

/* ---- by hand -----------------------------------------------------------------------------------
 */

static void test_linear_reads_and_writes_in_order(void **state)
{
    (void)state;
    expect(LINEAR_OK, NULL, 0, NULL, __LINE__);
    CHECK(LINEAR_OK, get(0, 1, 0, 0));
    CHECK(LINEAR_OK, put(0, 1, 7, 2), get(2, 3, 7, 2), put(4, 5, 8, 3), get(6, 7, 8, 3));
    CHECK(LINEAR_OK, put(0, 1, 7, 2), del(2, 3, true), get(4, 5, 0, 0), del(6, 7, false));
    /* while a write is under way, either may be seen; and both, in this order */
    CHECK(LINEAR_OK, put(0, 1, 7, 2), put(2, 20, 8, 3), get(3, 4, 7, 2), get(5, 6, 8, 3));
    CHECK(LINEAR_OK, put(0, 5, 7, 2), get(1, 2, 0, 0), get(5, 6, 7, 2));
    /* what touches overlaps */
    CHECK(LINEAR_OK, put(0, 5, 7, 2), get(5, 6, 0, 0));
}

static void test_linear_stale_read_is_found(void **state)
{
    (void)state;
    CHECK_WHY("stale", put(0, 1, 7, 2), put(2, 3, 8, 3), get(4, 5, 7, 2));
    CHECK_WHY("no order", put(0, 1, 7, 0), put(2, 3, 8, 0), get(4, 5, 7, 0));
    CHECK_WHY("no order", put(0, 1, 7, 2), get(4, 5, 0, 0));
    CHECK_WHY("stale", put(0, 1, 7, 2), put(2, 20, 8, 3), get(3, 4, 8, 3), get(5, 6, 7, 2));
    CHECK_WHY("no order", put(0, 1, 7, 0), put(2, 20, 8, 0), get(3, 4, 8, 0), get(5, 6, 7, 0));
    /* another key's write shows that revision 2 was there, though it has not returned */
    CHECK_WHY("no order", put(0, 90, 7, 2), at_key(1, put(1, 3, 8, 3)), get(5, 6, 0, 0));
    CHECK(LINEAR_OK, put(0, 90, 7, 4), at_key(1, put(1, 3, 8, 3)), get(5, 6, 0, 0));
}

static void test_linear_read_between_two_writes(void **state)
{
    (void)state;
    CHECK(LINEAR_OK, put(0, 9, 7, 2), put(0, 9, 8, 3), get(1, 2, 7, 2), get(3, 4, 8, 3));
    CHECK_WHY("stale", put(0, 9, 7, 3), put(0, 9, 8, 2), get(1, 2, 7, 3), get(3, 4, 8, 2));
    CHECK(LINEAR_OK, put(0, 9, 7, 0), del(0, 9, true), get(1, 2, 7, 0), get(3, 4, 0, 0));
    CHECK(LINEAR_VIOLATION, put(0, 9, 7, 0), del(0, 9, true), get(1, 2, 7, 0), get(3, 4, 0, 0),
          get(5, 6, 7, 0));
}

static void test_linear_lost_write_is_found(void **state)
{
    (void)state;
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 2), put(2, 3, 8, 3), get(4, 5, 7, 2), get(6, 7, 7, 2));
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 2), del(2, 3, false));
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 2), cas(2, 3, 0, 8, 3));
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 2), del(2, 3, true), get(4, 5, 7, 2));
    /* revisions that go back: the second write was forgotten and its number given again */
    CHECK_WHY("two writes", put(0, 1, 7, 2), put(2, 3, 8, 3), at_key(1, put(4, 5, 9, 3)));
    CHECK_WHY("out of order", put(0, 1, 7, 3), at_key(1, put(2, 3, 8, 2)));
}

static void test_linear_write_applied_twice_is_found(void **state)
{
    (void)state;
    CHECK_WHY("another revision", put(0, 1, 7, 2), get(2, 3, 7, 3));
    CHECK_WHY("another revision", unknown(put(0, 1, 7, 0)), get(2, 3, 7, 2), get(4, 5, 7, 4));
    CHECK_WHY("no order", put(0, 1, 7, 0), put(2, 3, 8, 0), get(4, 5, 8, 0), get(6, 7, 7, 0));
    CHECK_WHY("no order", put(0, 1, 7, 2), del(2, 3, true), del(4, 5, true));
    CHECK_WHY("no order", unknown(put(0, 1, 7, 2)), get(2, 3, 7, 2), del(4, 5, true),
              get(6, 7, 7, 2));
}

static void test_linear_cas_only_one_succeeds(void **state)
{
    (void)state;
    CHECK(LINEAR_OK, put(0, 1, 7, 2), cas(2, 9, 2, 8, 3), refused(2, 9, 2, 9), get(10, 11, 8, 3));
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 2), cas(2, 9, 2, 8, 3), cas(2, 9, 2, 9, 4));
    CHECK(LINEAR_VIOLATION, cas(2, 9, 0, 8, 3), cas(2, 9, 0, 9, 4));
    CHECK(LINEAR_OK, cas(2, 9, 0, 8, 3), cas(2, 9, 0, 9, 5), del(2, 9, true));
    /* no revision is left for the delete between them */
    CHECK(LINEAR_VIOLATION, cas(2, 9, 0, 8, 3), cas(2, 9, 0, 9, 4), del(2, 9, true));
    CHECK_WHY("refused", put(0, 1, 7, 2), refused(2, 3, 1, 8), get(4, 5, 8, 3));
}

static void test_linear_cas_refused_without_reason_is_found(void **state)
{
    (void)state;
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 2), refused(2, 3, 2, 8));
    CHECK(LINEAR_VIOLATION, refused(2, 3, 0, 8));
    CHECK(LINEAR_OK, refused(2, 3, 0, 8), put(3, 4, 7, 2));
    CHECK(LINEAR_OK, put(0, 1, 7, 2), refused(2, 3, 2, 8), unknown(put(1, 1, 9, 0)));
    CHECK(LINEAR_OK, put(0, 1, 7, 2), refused(2, 3, 2, 8), unknown(del(1, 1, true)));
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 2), refused(2, 3, 2, 8), unknown(put(4, 4, 9, 0)));
    struct linear_op told = refused(2, 3, 5, 8);
    told.revision = 2;
    CHECK(LINEAR_OK, put(0, 1, 7, 2), told);
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 3), told);
    CHECK_WHY("never had", at_key(1, put(0, 1, 7, 2)), told);
    CHECK_WHY("never had", at_key(1, put(0, 1, 7, 2)), cas(2, 3, 2, 8, 3));
}

static void test_linear_delete_reported_wrong_is_found(void **state)
{
    (void)state;
    CHECK(LINEAR_VIOLATION, del(0, 1, true));
    CHECK(LINEAR_VIOLATION, put(0, 1, 7, 2), del(2, 3, false), get(4, 5, 7, 2));
    CHECK(LINEAR_OK, put(0, 3, 7, 2), del(2, 3, false), get(4, 5, 7, 2));
    struct linear_op told = del(2, 3, true);
    told.revision = 4;
    CHECK(LINEAR_OK, put(0, 1, 7, 2), told, put(4, 5, 8, 5));
    CHECK_WHY("out of order", put(0, 1, 7, 2), told, put(4, 5, 8, 3));
}

static void test_linear_unknown_write_took_effect_later(void **state)
{
    (void)state;
    CHECK(LINEAR_OK, unknown(put(0, 1, 7, 0)), get(2, 3, 0, 0), get(100, 101, 7, 2));
    CHECK(LINEAR_OK, put(0, 1, 6, 2), unknown(put(2, 3, 7, 0)), get(4, 5, 6, 2), get(9, 10, 7, 3));
    CHECK_WHY("future", unknown(put(5, 5, 7, 0)), get(2, 3, 7, 2));
    CHECK(LINEAR_VIOLATION, put(0, 1, 6, 2), unknown(put(2, 3, 7, 0)), get(4, 5, 7, 3),
          get(6, 7, 6, 2));
    CHECK(LINEAR_OK, put(0, 1, 6, 2), unknown(del(2, 3, true)), get(4, 5, 6, 2), get(6, 7, 0, 0));
    CHECK(LINEAR_VIOLATION, put(0, 1, 6, 2), unknown(del(2, 3, true)), get(4, 5, 0, 0),
          get(6, 7, 6, 2));
    CHECK(LINEAR_OK, put(0, 1, 6, 2), unknown(cas(2, 3, 2, 7, 0)), get(4, 5, 7, 3));
    CHECK(LINEAR_VIOLATION, put(0, 1, 6, 2), unknown(cas(2, 3, 9, 7, 0)), get(4, 5, 7, 3));
}

static void test_linear_unknown_write_never_took_effect(void **state)
{
    (void)state;
    CHECK(LINEAR_OK, unknown(put(0, 1, 7, 0)), get(2, 3, 0, 0), get(4, 5, 0, 0));
    CHECK(LINEAR_OK, put(0, 1, 6, 2), unknown(del(2, 3, true)), unknown(put(2, 3, 8, 0)),
          get(4, 5, 6, 2), put(6, 7, 9, 3), get(8, 9, 9, 3));
    CHECK(LINEAR_OK, unknown(get(0, 1, 55, 0)), put(2, 3, 7, 2));
}

/* Nobody saw its value, yet without it the answers make no sense. */
static void test_linear_unknown_write_explains_an_answer(void **state)
{
    (void)state;
    CHECK(LINEAR_OK, unknown(put(0, 1, 7, 0)), del(2, 3, true));
    CHECK(LINEAR_OK, unknown(put(0, 1, 7, 0)), del(2, 3, true), del(4, 5, false));
    CHECK(LINEAR_VIOLATION, unknown(put(0, 1, 7, 0)), del(2, 3, true), del(4, 5, true));
    CHECK(LINEAR_OK, unknown(put(0, 1, 7, 0)), cas(2, 3, 4, 8, 5), get(4, 5, 8, 5));
    CHECK(LINEAR_VIOLATION, unknown(put(0, 1, 7, 0)), cas(2, 3, 4, 8, 5), del(4, 5, true),
          del(6, 7, true));
    /* it would need a revision between 2 and 3 */
    CHECK(LINEAR_VIOLATION, put(0, 1, 6, 2), unknown(put(0, 1, 7, 0)), refused(2, 3, 2, 9),
          get(4, 5, 6, 2), cas(6, 9, 2, 8, 3));
    CHECK(LINEAR_VIOLATION, put(0, 1, 6, 2), unknown(put(0, 1, 7, 0)), refused(2, 3, 2, 9),
          put(4, 5, 8, 3));
    CHECK(LINEAR_OK, put(0, 1, 6, 2), unknown(put(0, 1, 7, 0)), refused(2, 3, 2, 9),
          put(4, 5, 8, 4));
    CHECK(LINEAR_OK, put(0, 1, 6, 2), unknown(put(0, 1, 7, 0)), unknown(del(0, 1, true)),
          refused(2, 3, 2, 9), cas(4, 5, 0, 8, 5), get(6, 7, 8, 5));
}

static void test_linear_invalid_histories_are_told(void **state)
{
    (void)state;
    struct linear_op ops[] = {put(0, 1, 7, 2), put(2, 3, 7, 3), put(4, 5, 0, 4), get(7, 6, 0, 0),
                              at_key(1, put(0, 1, 7, 5))};
    struct buf why = {0};
    assert_int_equal(linear_invalid(ops, 1, &why), 0);
    assert_int_equal(linear_invalid(ops, 5, &why), 3);
    assert_non_null(strstr(buf_str(&why), "PUT key 0 value 0"));
    buf_deinit(&why);
}

/* ---- random histories: a real store, then perhaps a lie ----------------------------------------
 */

struct maker {
    struct prng prng;
    uint64_t keys;
    uint64_t span; /* of time */
    struct linear_op *ops;
    size_t count;
    uint64_t revision;
    uint64_t *value; /* a key */
    uint64_t *mod;
};

static bool chance(struct maker *maker, uint64_t in_hundred)
{
    return prng_below(&maker->prng, 100) < in_hundred;
}

static void make_write(struct maker *maker, struct linear_op *op, uint64_t value)
{
    maker->revision += chance(maker, 15) ? 2 : 1;
    maker->value[op->key] = value;
    maker->mod[op->key] = value != 0 ? maker->revision : 0;
    op->revision = maker->revision;
}

static void make_effect(struct maker *maker, struct linear_op *op)
{
    uint64_t mod = maker->mod[op->key];
    op->ok = true;
    switch (op->kind) {
    case LINEAR_READ:
        op->value = maker->value[op->key];
        op->revision = mod;
        break;
    case LINEAR_PUT: make_write(maker, op, op->value); break;
    case LINEAR_DELETE:
        op->ok = mod != 0;
        if (op->ok)
            make_write(maker, op, 0);
        break;
    case LINEAR_CAS:
        if (chance(maker, 60))
            op->expected = mod;
        else
            op->expected = chance(maker, 30) ? 0 : prng_below(&maker->prng, maker->revision + 3);
        op->ok = op->expected == mod;
        op->revision = mod;
        if (op->ok)
            make_write(maker, op, op->value);
        break;
    }
}

/* The i-th operation has its effect at time `at`. */
static void make_op(struct maker *maker, size_t i, uint64_t at)
{
    struct linear_op *op = &maker->ops[i];
    uint64_t before = prng_below(&maker->prng, maker->span);
    *op = (struct linear_op){
        .invoked = before < at ? at - before : 0,
        .returned = at + prng_below(&maker->prng, maker->span),
        .kind = (enum linear_kind)prng_below(&maker->prng, 4),
        .client = i,
        .key = prng_below(&maker->prng, maker->keys),
        .known = !chance(maker, 15),
        .value = i + 1,
    };
    if (op->kind == LINEAR_READ || op->kind == LINEAR_DELETE)
        op->value = 0;
    if (op->known || chance(maker, 60))
        make_effect(maker, op);
    if (!op->known || chance(maker, 15))
        op->revision = 0;
    if (!op->known) {
        op->returned = NEVER;
        op->ok = false;
        if (op->kind == LINEAR_READ)
            op->value = 0;
    }
}

static void lie(struct maker *maker)
{
    struct linear_op *op = &maker->ops[prng_below(&maker->prng, maker->count)];
    switch (prng_below(&maker->prng, 6)) {
    case 0:
        if (op->kind == LINEAR_READ)
            op->value = prng_below(&maker->prng, maker->count + 1);
        if (op->kind == LINEAR_READ && op->value == 0)
            op->revision = 0;
        break;
    case 1:
        if (op->known && (op->kind != LINEAR_READ || op->value != 0))
            op->revision = prng_below(&maker->prng, maker->revision + 2);
        break;
    case 2:
        if (op->kind == LINEAR_DELETE || op->kind == LINEAR_CAS)
            op->ok = op->known && !op->ok;
        break;
    case 3:
        if (op->known)
            op->returned = op->invoked + (op->returned - op->invoked) / 2;
        break;
    case 4: op->invoked += (op->known ? op->returned - op->invoked : 5) / 2; break;
    case 5:
        if (op->kind == LINEAR_CAS)
            op->expected = prng_below(&maker->prng, maker->revision + 2);
        break;
    }
}

/* A refused delete tells no revision. */
static void tidy(struct maker *maker)
{
    for (size_t i = 0; i < maker->count; i++)
        if (maker->ops[i].kind == LINEAR_DELETE && !maker->ops[i].ok)
            maker->ops[i].revision = 0;
}

static void make_small(struct maker *maker, uint64_t seed, uint64_t keys)
{
    *maker = (struct maker){
        .prng = {seed},
        .keys = keys,
        .ops = maker->ops,
        .revision = 1,
        .value = maker->value,
        .mod = maker->mod,
    };
    memset(maker->value, 0, KEYS * sizeof *maker->value);
    memset(maker->mod, 0, KEYS * sizeof *maker->mod);
    maker->span = 1 + prng_below(&maker->prng, 8);
    maker->count = 2 + prng_below(&maker->prng, SMALL - 1);
    for (size_t i = 0; i < maker->count; i++)
        make_op(maker, i, 2 * i);
    for (uint64_t lies = prng_below(&maker->prng, 5); lies > 0; lies--)
        lie(maker);
    tidy(maker);
}

static void print_history(const struct maker *maker)
{
    for (size_t i = 0; i < maker->count; i++) {
        struct buf text = {0};
        linear_describe(&text, &maker->ops[i]);
        print_message("%s\n", buf_str(&text));
        buf_deinit(&text);
    }
}

/* Both verdicts are common; exact: they must be the same, else at least never a false alarm. */
static void compare_with_twin(uint64_t first, uint64_t last, uint64_t keys, bool exact)
{
    struct linear_op ops[SMALL];
    uint64_t value[KEYS];
    uint64_t mod[KEYS];
    struct maker maker = {.ops = ops, .value = value, .mod = mod};
    uint64_t good = 0;
    uint64_t missed = 0;
    for (uint64_t seed = first; seed < last; seed++) {
        make_small(&maker, seed, keys);
        struct buf why = {0};
        enum linear_verdict verdict = linear_check(ops, maker.count, &why);
        bool twin = linear_twin_check(ops, maker.count);
        bool alarm = verdict != LINEAR_OK;
        if (alarm == twin && (exact || alarm)) {
            print_history(&maker);
            fail_msg("seed %llu: the twin says %d; %s", (unsigned long long)seed, twin,
                     buf_str(&why));
        }
        good += twin;
        missed += !alarm && !twin;
        buf_deinit(&why);
    }
    print_message("%llu histories: %llu linearizable, %llu violations not seen\n",
                  (unsigned long long)(last - first), (unsigned long long)good,
                  (unsigned long long)missed);
    assert_in_range(good, (last - first) / 10, (last - first) * 9 / 10);
    assert_true(missed <= (last - first) / 100);
}

static void test_linear_one_key_random_agrees_with_the_slow_twin(void **state)
{
    (void)state;
    compare_with_twin(1, 20001, 1, true);
}

/* Keys are searched one by one: an order of both might be missed, but never invented. */
static void test_linear_two_keys_random_never_a_false_alarm(void **state)
{
    (void)state;
    compare_with_twin(1, 10001, KEYS, false);
}

/* ---- size --------------------------------------------------------------------------------------
 */

#define LARGE 20000
#define LARGE_KEYS 20
#define CLIENTS 10

static double seconds_to_check(struct maker *maker, enum linear_verdict expected)
{
    struct buf why = {0};
    clock_t begin = clock();
    enum linear_verdict verdict = linear_check(maker->ops, maker->count, &why);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    if (verdict != expected)
        fail_msg("verdict %d: %s", (int)verdict, buf_str(&why));
    buf_deinit(&why);
    return seconds;
}

static void test_linear_large_history_is_fast(void **state)
{
    (void)state;
    uint64_t value[LARGE_KEYS] = {0};
    uint64_t mod[LARGE_KEYS] = {0};
    struct maker maker = {.prng = {1},
                          .keys = LARGE_KEYS,
                          .span = 5 * CLIENTS,
                          .revision = 1,
                          .value = value,
                          .mod = mod,
                          .count = LARGE};
    maker.ops = mem_calloc(LARGE, sizeof *maker.ops);
    for (size_t i = 0; i < LARGE; i++) /* about as many under way as there are clients */
        make_op(&maker, i, 100 + 5 * i);
    double told = seconds_to_check(&maker, LINEAR_OK);
    for (size_t i = 0; i < LARGE; i++)
        if (maker.ops[i].kind == LINEAR_READ)
            maker.ops[i].revision = 0;
    double silent = seconds_to_check(&maker, LINEAR_OK);
    struct linear_op *last = &maker.ops[LARGE - 1];
    *last = del(last->invoked, last->invoked, true);
    last->key = LARGE_KEYS;
    double wrong = seconds_to_check(&maker, LINEAR_VIOLATION);
    mem_free(maker.ops);
    print_message("%d operations: %.3f s; reads without revisions %.3f s; wrong %.3f s\n", LARGE,
                  told, silent, wrong);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
    double limit = 1;
#else
    double limit = 10;
#endif
    assert_true(told < limit && silent < limit && wrong < limit);
}

/* As after a partition: much is asked at once, much is never answered. */
static void test_linear_many_at_once_is_fast(void **state)
{
    (void)state;
    struct linear_op ops[16 * 6 + 1];
    size_t count = 0;
    for (uint64_t i = 1; i <= 16; i++) {
        ops[count++] = put(0, 1000, i, 2 * i);
        ops[count++] = get(0, 1000, i, 0);
        ops[count++] = get(0, 1000, 17 - i, 0);
        ops[count++] = refused(0, 1000, 2 * i, 100 + i);
        ops[count++] = unknown(put(0, 0, 200 + i, 0));
        ops[count++] = unknown(i % 2 != 0 ? del(0, 0, true) : cas(0, 0, 2 * i, 300 + i, 0));
    }
    ops[count++] = get(1001, 1002, 16, 32);
    struct maker maker = {.ops = ops, .count = count};
    double good = seconds_to_check(&maker, LINEAR_OK);
    ops[count - 1] = cas(1001, 1002, 2, 400, 34);
    double wrong = seconds_to_check(&maker, LINEAR_VIOLATION);
    print_message("%zu at once: %.3f s; wrong %.3f s\n", count, good, wrong);
    assert_true(good < 10 && wrong < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_reads_and_writes_in_order),
        cmocka_unit_test(test_linear_stale_read_is_found),
        cmocka_unit_test(test_linear_read_between_two_writes),
        cmocka_unit_test(test_linear_lost_write_is_found),
        cmocka_unit_test(test_linear_write_applied_twice_is_found),
        cmocka_unit_test(test_linear_cas_only_one_succeeds),
        cmocka_unit_test(test_linear_cas_refused_without_reason_is_found),
        cmocka_unit_test(test_linear_delete_reported_wrong_is_found),
        cmocka_unit_test(test_linear_unknown_write_took_effect_later),
        cmocka_unit_test(test_linear_unknown_write_never_took_effect),
        cmocka_unit_test(test_linear_unknown_write_explains_an_answer),
        cmocka_unit_test(test_linear_invalid_histories_are_told),
        cmocka_unit_test(test_linear_one_key_random_agrees_with_the_slow_twin),
        cmocka_unit_test(test_linear_two_keys_random_never_a_false_alarm),
        cmocka_unit_test(test_linear_large_history_is_fast),
        cmocka_unit_test(test_linear_many_at_once_is_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
