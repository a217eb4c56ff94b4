/* The stream of a view and the loader: any split, any slice, any damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model.h"

#include "base/mem.h"
#include "base/prng.h"
#include "kv/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A store and its model with count keys, some of them written twice. */
static struct kv *sample_store(struct prng *prng, int count, struct model **model)
{
    struct kv *kv = kv_new();
    *model = model_new();
    for (int i = 0; i < count; i++) {
        char key[24];
        uint8_t value[100] = {(uint8_t)i};
        int len = snprintf(key, sizeof key, "key-%d", (int)prng_below(prng, 1 + (uint64_t)count));
        struct kv_command what = {.op = KV_OP_PUT, .key = (const uint8_t *)key};
        what.key_len = (size_t)len;
        what.value = value;
        what.value_len = prng_below(prng, sizeof value);
        (void)store_apply(kv, &what);
        (void)model_apply(*model, &what);
    }
    return kv;
}

static struct buf sample_stream(uint64_t seed, int count, struct model **model)
{
    struct prng prng = {.state = seed};
    struct kv *kv = sample_store(&prng, count, model);
    struct kv_view *view = kv_view_new(kv);
    struct buf out = view_stream(view, 4096);
    kv_view_free(view);
    kv_free(kv);
    return out;
}

static void test_snapshot_of_empty_store_loads(void **state)
{
    (void)state;
    struct model *model;
    struct buf out = sample_stream(1, 0, &model);
    struct kv *kv = store_load(out.data, out.len);
    assert_store_is(kv, model);
    kv_free(kv);
    model_free(model);
    buf_deinit(&out);
}

static void test_snapshot_slices_do_not_change_the_stream(void **state)
{
    (void)state;
    struct prng prng = {.state = 2};
    struct model *model;
    struct kv *kv = sample_store(&prng, 200, &model);
    struct buf whole = {0};
    struct kv_view *view = kv_view_new(kv);
    assert_true(kv_view_read(view, &whole, SIZE_MAX));
    size_t len = whole.len;
    assert_true(kv_view_read(view, &whole, SIZE_MAX)); /* nothing more to come */
    assert_int_equal(whole.len, len);
    kv_view_free(view);
    static const size_t slices[] = {0, 1, 50, 1000};
    for (size_t i = 0; i < 4; i++) {
        view = kv_view_new(kv);
        struct buf out = view_stream(view, slices[i]);
        assert_int_equal(out.len, whole.len);
        assert_memory_equal(out.data, whole.data, whole.len);
        buf_deinit(&out);
        kv_view_free(view);
    }
    buf_deinit(&whole);
    kv_free(kv);
    model_free(model);
}

static void test_snapshot_slice_goes_over_by_one_item_at_most(void **state)
{
    (void)state;
    struct prng prng = {.state = 3};
    struct model *model;
    struct kv *kv = sample_store(&prng, 300, &model);
    struct kv_view *view = kv_view_new(kv);
    struct buf out = {0};
    bool complete = false;
    while (!complete) {
        buf_clear(&out);
        complete = kv_view_read(view, &out, 256);
        assert_true(out.len < 256 + 200);
        assert_true(complete || out.len >= 256);
    }
    buf_deinit(&out);
    kv_view_free(view);
    kv_free(kv);
    model_free(model);
}

static void test_snapshot_is_a_function_of_the_content(void **state)
{
    (void)state;
    struct model *model;
    struct buf first = sample_stream(4, 100, &model);
    struct kv *kv = store_load(first.data, first.len);
    struct kv_view *view = kv_view_new(kv);
    struct buf second = view_stream(view, 100);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    kv_view_free(view);
    buf_deinit(&first);
    buf_deinit(&second);
    kv_free(kv);
    model_free(model);
}

static void check_splits(struct prng *prng, const struct buf *stream, const struct model *model,
                         size_t max_piece)
{
    struct kv_loader *loader = kv_loader_new();
    for (size_t at = 0; at < stream->len;) {
        size_t piece = 1 + prng_below(prng, max_piece);
        if (piece > stream->len - at)
            piece = stream->len - at;
        uint8_t *copy = mem_dup(stream->data + at, piece);
        assert_int_equal(kv_loader_feed(loader, copy, piece), ERR_OK);
        mem_free(copy);
        at += piece;
    }
    struct kv *kv = NULL;
    assert_int_equal(kv_loader_finish(loader, &kv), ERR_OK);
    assert_int_not_equal(kv_loader_finish(loader, &kv), ERR_OK); /* it is given once */
    kv_loader_free(loader);
    assert_store_is(kv, model);
    struct kv_command what = {.op = KV_OP_PUT, .key = (const uint8_t *)"k", .key_len = 1};
    assert_true(store_apply(kv, &what).revision == model->revision + 1);
    kv_free(kv);
}

static void test_loader_takes_any_split(void **state)
{
    (void)state;
    struct prng prng = {.state = 77};
    print_message("seed %" PRIu64 "\n", (uint64_t)77);
    struct model *model;
    struct buf stream = sample_stream(77, 300, &model);
    static const size_t pieces[] = {1, 2, 7, 100, 5000};
    for (size_t i = 0; i < 5; i++)
        check_splits(&prng, &stream, model, pieces[i]);
    buf_deinit(&stream);
    model_free(model);
}

static void test_loader_writes_after_loading_match_the_model(void **state)
{
    (void)state;
    struct prng prng = {.state = 78};
    struct model *model;
    struct buf stream = sample_stream(78, 500, &model);
    struct kv *kv = store_load(stream.data, stream.len);
    for (int i = 0; i < 3000; i++) {
        char key[24];
        int len = snprintf(key, sizeof key, "key-%d", (int)prng_below(&prng, 600));
        struct kv_command what = {.op = prng_below(&prng, 3) == 0 ? KV_OP_PUT : KV_OP_DELETE};
        what.key = (const uint8_t *)key;
        what.key_len = (size_t)len;
        struct kv_result want = model_apply(model, &what);
        assert_int_equal(store_apply(kv, &what).status, want.status);
        if (i % 100 == 0)
            assert_store_is(kv, model);
    }
    kv_free(kv);
    buf_deinit(&stream);
    model_free(model);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* OK with a store, or the first error; never a crash. */
static enum err try_load(const uint8_t *data, size_t len)
{
    struct kv *kv = NULL;
    struct kv_loader *loader = kv_loader_new();
    uint8_t *copy = mem_dup(data, len);
    enum err err = kv_loader_feed(loader, copy, len / 2);
    enum err second = kv_loader_feed(loader, copy + len / 2, len - len / 2);
    if (err != ERR_OK)
        assert_int_equal(second, err); /* an error stays */
    err = kv_loader_finish(loader, &kv);
    if (second != ERR_OK)
        assert_int_equal(second, err);
    if (err == ERR_OK)
        assert_true(index_check(&kv->index) == kv_count(kv));
    kv_loader_free(loader);
    kv_free(kv);
    mem_free(copy);
    return err;
}

static void test_loader_every_truncation_is_corrupt(void **state)
{
    (void)state;
    struct model *model;
    struct buf stream = sample_stream(5, 10, &model);
    for (size_t len = 0; len < stream.len; len++)
        assert_int_equal(try_load(stream.data, len), ERR_CORRUPT);
    assert_int_equal(try_load(stream.data, stream.len), ERR_OK);
    buf_add_u8(&stream, 0);
    assert_int_equal(try_load(stream.data, stream.len), ERR_CORRUPT);
    buf_deinit(&stream);
    model_free(model);
}

static void test_loader_random_damage_never_crashes(void **state)
{
    (void)state;
    struct prng prng = {.state = 4242};
    print_message("seed %" PRIu64 "\n", (uint64_t)4242);
    struct model *model;
    struct buf stream = sample_stream(6, 20, &model);
    int refused = 0;
    for (int i = 0; i < 3000; i++) {
        uint8_t *copy = mem_dup(stream.data, stream.len);
        for (uint64_t n = 1 + prng_below(&prng, 3); n > 0; n--)
            copy[prng_below(&prng, stream.len)] = (uint8_t)prng_next(&prng);
        if (try_load(copy, stream.len) != ERR_OK)
            refused++;
        mem_free(copy);
    }
    assert_true(refused > 300);
    buf_deinit(&stream);
    model_free(model);
}

/* A stream of parts made by hand. */
static void add_part(struct buf *out, uint8_t kind, const void *body, size_t len)
{
    uint8_t head[5];
    put_u32(head, (uint32_t)len + 1);
    head[4] = kind;
    buf_add(out, head, sizeof head);
    buf_add(out, body, len);
}

static void add_begin(struct buf *out, uint32_t version)
{
    uint8_t body[4];
    put_u32(body, version);
    add_part(out, 1, body, sizeof body);
}

static void add_item(struct buf *out, const char *key, uint64_t create, uint64_t mod,
                     uint64_t version)
{
    uint8_t body[28 + 16];
    put_u64(body, create);
    put_u64(body + 8, mod);
    put_u64(body + 16, version);
    put_u32(body + 24, (uint32_t)strlen(key));
    memcpy(body + 28, key, strlen(key));
    add_part(out, 2, body, 28 + strlen(key));
}

static void add_end(struct buf *out, uint64_t count, uint64_t revision)
{
    uint8_t body[16];
    put_u64(body, count);
    put_u64(body + 8, revision);
    add_part(out, 3, body, sizeof body);
}

static enum err load_and_clear(struct buf *stream)
{
    enum err err = try_load(stream->data, stream->len);
    buf_deinit(stream);
    return err;
}

static enum err try_two_items(const char *first, const char *second, uint64_t count,
                              uint64_t revision)
{
    struct buf out = {0};
    add_begin(&out, 1);
    add_item(&out, first, 2, 2, 1);
    add_item(&out, second, 3, 5, 2);
    add_end(&out, count, revision);
    return load_and_clear(&out);
}

static void test_loader_broken_rules_are_corrupt(void **state)
{
    (void)state;
    assert_int_equal(try_two_items("a", "b", 2, 5), ERR_OK);
    assert_int_equal(try_two_items("b", "a", 2, 5), ERR_CORRUPT); /* order */
    assert_int_equal(try_two_items("a", "a", 2, 5), ERR_CORRUPT);
    assert_int_equal(try_two_items("", "a", 2, 5), ERR_CORRUPT);
    assert_int_equal(try_two_items("a", "b", 3, 5), ERR_CORRUPT); /* count */
    assert_int_equal(try_two_items("a", "b", 2, 4), ERR_CORRUPT); /* revision before an item */
}

static void test_loader_impossible_revisions_are_corrupt(void **state)
{
    (void)state;
    static const struct {
        uint64_t create, mod, version;
        enum err want;
    } table[] = {
        {2, 2, 1, ERR_OK},      {2, 9, 8, ERR_OK},      {1, 2, 1, ERR_CORRUPT},
        {3, 2, 1, ERR_CORRUPT}, {2, 2, 0, ERR_CORRUPT}, {2, 3, 3, ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct buf out = {0};
        add_begin(&out, 1);
        add_item(&out, "k", table[i].create, table[i].mod, table[i].version);
        add_end(&out, 1, 100);
        assert_int_equal(load_and_clear(&out), table[i].want);
    }
}

static void test_loader_wrong_parts_are_refused(void **state)
{
    (void)state;
    struct buf out = {0};
    add_begin(&out, 2);
    assert_int_equal(load_and_clear(&out), ERR_VERSION);
    add_begin(&out, 0);
    assert_int_equal(load_and_clear(&out), ERR_CORRUPT);
    add_end(&out, 0, 1); /* no begin */
    assert_int_equal(load_and_clear(&out), ERR_CORRUPT);
    add_begin(&out, 1);
    add_begin(&out, 1);
    add_end(&out, 0, 1);
    assert_int_equal(load_and_clear(&out), ERR_CORRUPT);
    add_begin(&out, 1);
    add_end(&out, 0, 1);
    add_end(&out, 0, 1);
    assert_int_equal(load_and_clear(&out), ERR_CORRUPT);
    add_begin(&out, 1);
    add_part(&out, 4, "x", 1);
    add_end(&out, 0, 1);
    assert_int_equal(load_and_clear(&out), ERR_CORRUPT);
    add_begin(&out, 1);
    add_end(&out, 0, 0);
    assert_int_equal(load_and_clear(&out), ERR_CORRUPT);
}

static void test_loader_absurd_length_is_refused_at_once(void **state)
{
    (void)state;
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff};
    struct kv_loader *loader = kv_loader_new();
    struct buf out = {0};
    add_begin(&out, 1);
    assert_int_equal(kv_loader_feed(loader, out.data, out.len), ERR_OK);
    assert_int_equal(kv_loader_feed(loader, huge, 4), ERR_CORRUPT);
    kv_loader_free(loader);
    buf_deinit(&out);
}

static void test_loader_key_longer_than_its_part_is_corrupt(void **state)
{
    (void)state;
    uint8_t body[30] = {0};
    put_u64(body, 2);
    put_u64(body + 8, 2);
    put_u64(body + 16, 1);
    for (uint32_t len = 2; len <= 3; len++) {
        struct buf out = {0};
        put_u32(body + 24, len);
        add_begin(&out, 1);
        add_part(&out, 2, body, sizeof body);
        add_end(&out, 1, 2);
        assert_int_equal(load_and_clear(&out), len == 2 ? ERR_OK : ERR_CORRUPT);
    }
}

static void test_loader_discarded_is_freed_in_slices(void **state)
{
    (void)state;
    struct model *model;
    struct buf stream = sample_stream(9, 1000, &model);
    struct kv *kv = kv_new();
    struct kv_loader *loader = kv_loader_new();
    assert_int_equal(kv_loader_feed(loader, stream.data, stream.len - 1), ERR_OK);
    kv_loader_discard(kv, loader);
    assert_true(kv_reap(kv, 3));
    while (kv_reap(kv, 3))
        continue;
    kv_free(kv);
    buf_deinit(&stream);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_of_empty_store_loads),
        cmocka_unit_test(test_snapshot_slices_do_not_change_the_stream),
        cmocka_unit_test(test_snapshot_slice_goes_over_by_one_item_at_most),
        cmocka_unit_test(test_snapshot_is_a_function_of_the_content),
        cmocka_unit_test(test_loader_takes_any_split),
        cmocka_unit_test(test_loader_writes_after_loading_match_the_model),
        cmocka_unit_test(test_loader_every_truncation_is_corrupt),
        cmocka_unit_test(test_loader_random_damage_never_crashes),
        cmocka_unit_test(test_loader_broken_rules_are_corrupt),
        cmocka_unit_test(test_loader_impossible_revisions_are_corrupt),
        cmocka_unit_test(test_loader_wrong_parts_are_refused),
        cmocka_unit_test(test_loader_absurd_length_is_refused_at_once),
        cmocka_unit_test(test_loader_key_longer_than_its_part_is_corrupt),
        cmocka_unit_test(test_loader_discarded_is_freed_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
