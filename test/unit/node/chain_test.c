/* The hash chain over applied entries: what it covers, and which hashes it remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/chain.h"

#include <string.h>

static void add(struct chain *chain, floe_term term, enum floe_entry_type type, const char *text)
{
    struct floe_entry entry = {.index = chain->index + 1,
                               .term = term,
                               .type = type,
                               .data = text != NULL ? floe_blob_new(text, strlen(text)) : NULL};
    chain_add(chain, &entry);
    floe_blob_unref(entry.data);
}

static uint64_t hash_of(floe_term term, enum floe_entry_type type, const char *text)
{
    struct chain chain = {0};
    add(&chain, 2, FLOE_ENTRY_NORMAL, "first");
    add(&chain, term, type, text);
    add(&chain, 9, FLOE_ENTRY_NORMAL, "last"); /* it changes everything behind it, too */
    return chain.hash;
}

static void test_chain_covers_term_type_payload_and_order(void **state)
{
    (void)state;
    uint64_t hash = hash_of(5, FLOE_ENTRY_NORMAL, "payload");
    assert_true(hash == hash_of(5, FLOE_ENTRY_NORMAL, "payload"));
    assert_true(hash != hash_of(6, FLOE_ENTRY_NORMAL, "payload"));
    assert_true(hash != hash_of(5, FLOE_ENTRY_CONF_CHANGE_V2, "payload"));
    assert_true(hash != hash_of(5, FLOE_ENTRY_NORMAL, ""));
    assert_true(hash != hash_of(5, FLOE_ENTRY_NORMAL, "payload2"));
    for (size_t bit = 0; bit < 8 * strlen("payload"); bit++) {
        char text[] = "payload";
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        if (text[bit / 8] != 0)
            assert_true(hash != hash_of(5, FLOE_ENTRY_NORMAL, text));
    }
    struct chain one = {0};
    struct chain two = {0};
    add(&one, 2, FLOE_ENTRY_NORMAL, "a");
    add(&one, 2, FLOE_ENTRY_NORMAL, "b");
    add(&two, 2, FLOE_ENTRY_NORMAL, "b");
    add(&two, 2, FLOE_ENTRY_NORMAL, "a");
    assert_true(one.hash != two.hash);
}

/* Members of different versions compare it, and snapshots keep it: it must never change. */
static void test_chain_value_is_fixed(void **state)
{
    (void)state;
    assert_true(hash_of(5, FLOE_ENTRY_NORMAL, "payload") == UINT64_C(0x1a00820220547119));
    assert_true(hash_of(5, FLOE_ENTRY_CONF_CHANGE_V2, NULL) == UINT64_C(0x51880c5121ff94e7));
}

static void test_chain_leaves_out_what_founders_write_themselves(void **state)
{
    (void)state;
    assert_true(hash_of(1, FLOE_ENTRY_CONF_CHANGE, "localhost:1") ==
                hash_of(1, FLOE_ENTRY_CONF_CHANGE, "127.0.0.1:1"));
    assert_true(hash_of(1, FLOE_ENTRY_CONF_CHANGE, "x") != hash_of(1, FLOE_ENTRY_NORMAL, "x"));
}

static void test_chain_remembers_recent_hashes_and_marks(void **state)
{
    (void)state;
    static uint64_t hashes[40001];
    struct chain chain = {0};
    uint64_t hash;
    assert_false(chain_find(&chain, 0, &hash));
    assert_false(chain_find(&chain, 1, &hash));
    for (floe_index i = 1; i <= 40000; i++) {
        add(&chain, 2, FLOE_ENTRY_NORMAL, "x");
        hashes[i] = chain.hash;
    }
    unsigned found = 0;
    for (floe_index i = 1; i <= 40000; i++) {
        if (!chain_find(&chain, i, &hash))
            continue;
        assert_true(hash == hashes[i]);
        assert_true(i + CHAIN_RECENT > 40000 || i % CHAIN_MARK_EVERY == 0);
        found++;
    }
    assert_int_equal(found, CHAIN_RECENT + CHAIN_MARKS - 1); /* one is both */
    assert_false(chain_find(&chain, 40001, &hash));
}

static void test_chain_goes_on_behind_a_snapshot(void **state)
{
    (void)state;
    struct chain whole = {0};
    for (int i = 0; i < 10; i++)
        add(&whole, 2, FLOE_ENTRY_NORMAL, "x");
    struct chain later = {0};
    add(&later, 7, FLOE_ENTRY_NORMAL, "something else");
    chain_restart(&later, 10, &whole.hash);
    uint64_t hash;
    assert_true(chain_find(&later, 10, &hash) && hash == whole.hash);
    assert_false(chain_find(&later, 1, &hash)); /* of another history */
    add(&whole, 3, FLOE_ENTRY_NORMAL, "y");
    add(&later, 3, FLOE_ENTRY_NORMAL, "y");
    assert_true(later.hash == whole.hash && later.index == 11);
    chain_restart(&later, 20, NULL);
    add(&later, 3, FLOE_ENTRY_NORMAL, "y");
    assert_int_equal(later.index, 21);
    assert_false(chain_find(&later, 20, &hash) || chain_find(&later, 21, &hash));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_covers_term_type_payload_and_order),
        cmocka_unit_test(test_chain_value_is_fixed),
        cmocka_unit_test(test_chain_leaves_out_what_founders_write_themselves),
        cmocka_unit_test(test_chain_remembers_recent_hashes_and_marks),
        cmocka_unit_test(test_chain_goes_on_behind_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
