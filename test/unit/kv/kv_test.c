/* The store against an obviously right model: a sorted array. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "kv/kv.h"

#include <stdio.h>
#include <string.h>

#define KEYS 400

struct cell {
    bool there;
    uint64_t create, mod, version;
    uint32_t value;
};

struct model {
    struct cell cell[KEYS];
    uint64_t revision;
};

static size_t key_of(uint32_t i, char *out)
{
    return (size_t)sprintf(out, "%03u%.*s", i, (int)(i % 7), "tail-tail");
}

static struct kv_result apply(struct kv *kv, enum kv_op op, uint32_t key, uint32_t value,
                              enum kv_condition condition, uint64_t mod)
{
    char text[32];
    struct kv_command command = {.op = op,
                                 .key = (const uint8_t *)text,
                                 .key_len = key_of(key, text),
                                 .value = (const uint8_t *)&value,
                                 .value_len = op == KV_OP_PUT ? sizeof value : 0,
                                 .condition = condition,
                                 .mod_revision = mod};
    struct buf bytes = {0};
    kv_command_put(&bytes, &command);
    struct kv_result result = kv_apply(kv, bytes.data, bytes.len);
    buf_deinit(&bytes);
    return result;
}

static bool model_holds(const struct cell *cell, enum kv_condition condition, uint64_t mod)
{
    return condition == KV_ALWAYS || (condition == KV_IF_ABSENT && !cell->there) ||
           (condition == KV_IF_PRESENT && cell->there) ||
           (condition == KV_IF_MOD_REVISION && cell->there && cell->mod == mod);
}

static enum kv_status model_apply(struct model *model, enum kv_op op, uint32_t key, uint32_t value,
                                  enum kv_condition condition, uint64_t mod)
{
    struct cell *cell = &model->cell[key];
    if (!model_holds(cell, condition, mod))
        return KV_CONDITION_FAILED;
    if (op == KV_OP_DELETE && !cell->there)
        return KV_KEY_NOT_FOUND;
    model->revision++;
    if (op == KV_OP_DELETE) {
        *cell = (struct cell){0};
        return KV_OK;
    }
    if (!cell->there)
        *cell = (struct cell){.there = true, .create = model->revision};
    cell->mod = model->revision;
    cell->version++;
    cell->value = value;
    return KV_OK;
}

static void assert_same(const struct kv *kv, const struct model *model)
{
    struct kv_item item;
    bool more = kv_seek(kv, NULL, 0, false, &item);
    uint64_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        if (!model->cell[i].there)
            continue;
        char text[32];
        size_t len = key_of(i, text);
        assert_true(more);
        assert_int_equal(item.key_len, len);
        assert_memory_equal(item.key, text, len);
        assert_memory_equal(item.value, &model->cell[i].value, 4);
        assert_int_equal(item.create_revision, model->cell[i].create);
        assert_int_equal(item.mod_revision, model->cell[i].mod);
        assert_int_equal(item.version, model->cell[i].version);
        count++;
        more = kv_seek(kv, item.key, item.key_len, true, &item);
    }
    assert_false(more);
    assert_int_equal(kv_count(kv), count);
    assert_int_equal(kv_revision(kv), model->revision);
}

/* Loads what a view says, fed in random pieces. */
static struct kv *load(struct kv_view *view, struct prng *prng)
{
    struct kv_loader *loader = kv_loader_new();
    bool complete = false;
    while (!complete) {
        struct buf out = {0};
        complete = kv_view_read(view, &out, 1 + prng_below(prng, 300));
        for (size_t at = 0; at < out.len;) {
            size_t piece = 1 + prng_below(prng, 50);
            piece = piece < out.len - at ? piece : out.len - at;
            assert_int_equal(kv_loader_feed(loader, out.data + at, piece), ERR_OK);
            at += piece;
        }
        buf_deinit(&out);
    }
    struct kv *kv;
    assert_int_equal(kv_loader_finish(loader, &kv), ERR_OK);
    kv_loader_free(loader);
    return kv;
}

static void test_kv_random_operations_with_views_equal_the_model(void **state)
{
    (void)state;
    struct prng prng = {.state = 4711};
    print_message("seed 4711\n");
    struct kv *kv = kv_new();
    struct model model = {.revision = 1};
    struct kv_view *view = NULL;
    struct model frozen;
    for (int step = 0; step < 60000; step++) {
        uint32_t key = (uint32_t)prng_below(&prng, KEYS);
        bool mostly_delete = step / 5000 % 2 == 1;
        enum kv_op op = prng_below(&prng, 10) < (mostly_delete ? 7 : 3) ? KV_OP_DELETE : KV_OP_PUT;
        enum kv_condition condition =
            prng_below(&prng, 3) == 0 ? (enum kv_condition)prng_below(&prng, 4) : KV_ALWAYS;
        uint64_t mod = model.cell[key].mod + (prng_below(&prng, 4) == 0);
        enum kv_status expected =
            model_apply(&model, op, key, (uint32_t)step, condition, mod);
        struct kv_result result = apply(kv, op, key, (uint32_t)step, condition, mod);
        assert_int_equal(result.status, expected);
        assert_int_equal(result.revision, model.revision);
        assert_int_equal(result.mod_revision, model.cell[key].mod);
        if (view == NULL && prng_below(&prng, 300) == 0) {
            view = kv_view_new(kv);
            frozen = model;
        } else if (view != NULL && prng_below(&prng, 300) == 0) {
            struct kv *copy = load(view, &prng);
            assert_same(copy, &frozen);
            kv_view_free(view);
            view = NULL;
            kv_discard(kv, copy);
        }
        (void)kv_reap(kv, 2);
        if (step % 997 == 0)
            assert_same(kv, &model);
    }
    if (view != NULL)
        kv_view_free(view);
    kv_free(kv);
}

static void test_kv_view_outlives_its_store(void **state)
{
    (void)state;
    struct prng prng = {.state = 3};
    struct kv *kv = kv_new();
    struct model model = {.revision = 1};
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)apply(kv, KV_OP_PUT, i, i, KV_ALWAYS, 0);
        (void)model_apply(&model, KV_OP_PUT, i, i, KV_ALWAYS, 0);
    }
    struct kv_view *view = kv_view_new(kv);
    kv_free(kv);
    struct kv *copy = load(view, &prng);
    assert_same(copy, &model);
    kv_view_free(view);
    kv_free(copy);
}

static void test_kv_loader_refuses_damage(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    for (uint32_t i = 0; i < 20; i++)
        (void)apply(kv, KV_OP_PUT, i, i, KV_ALWAYS, 0);
    struct kv_view *view = kv_view_new(kv);
    struct buf out = {0};
    assert_true(kv_view_read(view, &out, SIZE_MAX));
    for (size_t len = 0; len < out.len; len++) { /* cut short */
        struct kv_loader *loader = kv_loader_new();
        struct kv *loaded;
        assert_int_equal(kv_loader_feed(loader, out.data, len), ERR_OK);
        assert_int_equal(kv_loader_finish(loader, &loaded), ERR_CORRUPT);
        kv_loader_free(loader);
    }
    out.data[out.len - 16]++; /* the count */
    struct kv_loader *loader = kv_loader_new();
    assert_int_equal(kv_loader_feed(loader, out.data, out.len), ERR_CORRUPT);
    kv_loader_free(loader);
    out.data[0] = 9; /* the first tag */
    loader = kv_loader_new();
    assert_int_equal(kv_loader_feed(loader, out.data, out.len), ERR_CORRUPT);
    kv_loader_free(loader);
    buf_deinit(&out);
    kv_view_free(view);
    kv_free(kv);
}

static void test_kv_command_damaged_changes_nothing(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    struct kv_command command = {
        .op = KV_OP_PUT, .key = (const uint8_t *)"k", .key_len = 1, .value = NULL};
    struct buf bytes = {0};
    kv_command_put(&bytes, &command);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(kv_apply(kv, bytes.data, len).status, KV_COMMAND_INVALID);
    bytes.data[1] = 99; /* an op of a newer version */
    struct kv_command read;
    assert_int_equal(kv_command_get(bytes.data, bytes.len, &read), ERR_VERSION);
    assert_int_equal(kv_apply(kv, bytes.data, bytes.len).status, KV_COMMAND_INVALID);
    assert_int_equal(kv_revision(kv), 1);
    assert_int_equal(kv_count(kv), 0);
    buf_deinit(&bytes);
    kv_free(kv);
}

static void test_kv_large_keys_and_values(void **state)
{
    (void)state;
    struct kv *kv = kv_new();
    uint8_t *big = mem_calloc(1, 1572864);
    struct kv_command command = {
        .op = KV_OP_PUT, .key = big, .key_len = 16384, .value = big, .value_len = 1572864};
    struct buf bytes = {0};
    kv_command_put(&bytes, &command);
    assert_int_equal(kv_apply(kv, bytes.data, bytes.len).status, KV_OK);
    struct kv_item item;
    assert_true(kv_get(kv, big, 16384, &item));
    assert_int_equal(item.value_len, 1572864);
    assert_false(kv_get(kv, big, 16383, &item)); /* a prefix is another key */
    assert_int_equal(kv_size_bytes(kv), 16384 + 1572864);
    buf_deinit(&bytes);
    mem_free(big);
    kv_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_random_operations_with_views_equal_the_model),
        cmocka_unit_test(test_kv_view_outlives_its_store),
        cmocka_unit_test(test_kv_loader_refuses_damage),
        cmocka_unit_test(test_kv_command_damaged_changes_nothing),
        cmocka_unit_test(test_kv_large_keys_and_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
