/* See model.h: linear and plain on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model.h"

#include "base/mem.h"
#include "kv/store.h"

#include <string.h>

struct model *model_new(void)
{
    struct model *model = mem_calloc(1, sizeof *model);
    model->revision = 1;
    return model;
}

static void item_free(struct model_item *item)
{
    mem_free(item->key);
    mem_free(item->value);
}

void model_free(struct model *model)
{
    for (size_t i = 0; i < model->count; i++)
        item_free(&model->items[i]);
    mem_free(model->items);
    mem_free(model);
}

struct model *model_copy(const struct model *model)
{
    struct model *copy = model_new();
    copy->revision = model->revision;
    copy->count = copy->cap = model->count;
    copy->items = mem_alloc(model->count * sizeof *copy->items);
    for (size_t i = 0; i < model->count; i++) {
        copy->items[i] = model->items[i];
        copy->items[i].key = mem_dup(model->items[i].key, model->items[i].key_len);
        copy->items[i].value = mem_dup(model->items[i].value, model->items[i].value_len);
    }
    return copy;
}

static int compare(const struct model_item *item, const uint8_t *key, size_t key_len)
{
    for (size_t i = 0; i < item->key_len && i < key_len; i++) {
        if (item->key[i] != key[i])
            return item->key[i] < key[i] ? -1 : 1;
    }
    return item->key_len < key_len ? -1 : item->key_len > key_len;
}

size_t model_find(const struct model *model, const uint8_t *key, size_t key_len)
{
    size_t lo = 0;
    size_t hi = model->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (compare(&model->items[mid], key, key_len) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool holds(const struct kv_command *command, const struct model_item *now)
{
    if (command->condition == KV_IF_ABSENT)
        return now == NULL;
    if (command->condition == KV_IF_PRESENT)
        return now != NULL;
    if (command->condition == KV_IF_MOD_REVISION)
        return now != NULL && now->mod_revision == command->mod_revision;
    return true;
}

static void put(struct model *model, size_t at, bool exists, const struct kv_command *command)
{
    if (!exists) {
        model->items = mem_grow(model->items, model->count, &model->cap, sizeof *model->items);
        memmove(&model->items[at + 1], &model->items[at],
                (model->count - at) * sizeof *model->items);
        model->items[at] = (struct model_item){.key = mem_dup(command->key, command->key_len),
                                               .key_len = command->key_len,
                                               .create_revision = model->revision};
        model->count++;
    }
    struct model_item *item = &model->items[at];
    mem_free(item->value);
    item->value = mem_dup(command->value, command->value_len);
    item->value_len = command->value_len;
    item->mod_revision = model->revision;
    item->version++;
}

static void delete_at(struct model *model, size_t at)
{
    item_free(&model->items[at]);
    model->count--;
    memmove(&model->items[at], &model->items[at + 1], (model->count - at) * sizeof *model->items);
}

struct kv_result model_apply(struct model *model, const struct kv_command *command)
{
    size_t at = model_find(model, command->key, command->key_len);
    bool exists =
        at < model->count && compare(&model->items[at], command->key, command->key_len) == 0;
    const struct model_item *now = exists ? &model->items[at] : NULL;
    struct kv_result result = {.revision = model->revision,
                               .mod_revision = exists ? now->mod_revision : 0};
    if (!holds(command, now)) {
        result.status = KV_CONDITION_FAILED;
        return result;
    }
    if (command->op == KV_OP_DELETE && !exists) {
        result.status = KV_KEY_NOT_FOUND;
        return result;
    }
    model->revision++;
    if (command->op == KV_OP_PUT)
        put(model, at, exists, command);
    else
        delete_at(model, at);
    result.revision = model->revision;
    result.mod_revision = command->op == KV_OP_PUT ? model->revision : 0;
    return result;
}

struct kv_result store_apply(struct kv *kv, const struct kv_command *command)
{
    struct buf out = {0};
    kv_command_put(&out, command);
    struct kv_result result = kv_apply(kv, out.data, out.len);
    buf_deinit(&out);
    return result;
}

void assert_item_is(const struct kv_item *item, const struct model_item *want)
{
    assert_int_equal(item->key_len, want->key_len);
    assert_memory_equal(item->key, want->key, want->key_len);
    assert_int_equal(item->value_len, want->value_len);
    assert_memory_equal(item->value, want->value, want->value_len);
    assert_true(item->create_revision == want->create_revision);
    assert_true(item->mod_revision == want->mod_revision);
    assert_true(item->version == want->version);
}

void assert_store_is(const struct kv *kv, const struct model *model)
{
    uint64_t size = 0;
    struct kv_item item = {.key = NULL};
    assert_true(index_check(&kv->index) == model->count);
    for (size_t i = 0; i < model->count; i++) {
        assert_true(kv_seek(kv, item.key, item.key_len, i > 0, &item));
        assert_item_is(&item, &model->items[i]);
        size += item.key_len + item.value_len;
    }
    assert_false(kv_seek(kv, item.key, item.key_len, model->count > 0, &item));
    assert_true(kv_count(kv) == model->count);
    assert_true(kv_size_bytes(kv) == size);
    assert_true(kv_revision(kv) == model->revision);
}

struct buf view_stream(struct kv_view *view, size_t slice)
{
    struct buf out = {0};
    while (!kv_view_read(view, &out, slice))
        continue;
    return out;
}

struct kv *store_load(const uint8_t *data, size_t len)
{
    struct kv *kv = NULL;
    struct kv_loader *loader = kv_loader_new();
    assert_int_equal(kv_loader_feed(loader, data, len), ERR_OK);
    assert_int_equal(kv_loader_finish(loader, &kv), ERR_OK);
    kv_loader_free(loader);
    return kv;
}
