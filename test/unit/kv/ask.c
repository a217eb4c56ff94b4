/* See ask.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ask.h"

#include <string.h>

struct kv_bytes b(const char *text)
{
    return (struct kv_bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

struct kv_keys one(const char *key)
{
    return (struct kv_keys){.key = b(key)};
}

struct kv_keys all_keys(void)
{
    return (struct kv_keys){.extent = KV_FROM_KEY, .key = {(const uint8_t *)"", 1}};
}

struct kv_op put_op(const char *key, const char *value, uint64_t lease)
{
    return (struct kv_op){.type = KV_OP_PUT,
                          .put = {.key = b(key), .value = b(value), .lease = lease}};
}

struct kv_op delete_op(struct kv_keys keys)
{
    return (struct kv_op){.type = KV_OP_DELETE, .del = {.keys = keys}};
}

struct kv_result apply(struct kv *kv, const struct kv_command *command)
{
    struct buf bytes = {0};
    kv_command_encode(&bytes, command);
    struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 1, true);
    buf_deinit(&bytes);
    return result;
}

struct kv_result do_op(struct kv *kv, struct kv_op op)
{
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &op, .op_count = 1};
    struct kv_result result = apply(kv, &command);
    struct kv_result rest = {.status = result.status, .revision = result.revision};
    kv_result_deinit(&result);
    return rest;
}

enum kv_status put(struct kv *kv, const char *key, const char *value)
{
    return do_op(kv, put_op(key, value, 0)).status;
}

enum kv_status del(struct kv *kv, const char *key)
{
    return do_op(kv, delete_op(one(key))).status;
}

enum kv_status grant(struct kv *kv, uint64_t id, uint64_t ttl_s)
{
    return do_op(kv, (struct kv_op){.type = KV_OP_GRANT, .grant = {id, ttl_s}}).status;
}

enum kv_status compact(struct kv *kv, uint64_t revision)
{
    return apply(kv, &(struct kv_command){.type = KV_COMMAND_COMPACT, .number = revision}).status;
}

struct buf view_stream(struct kv_view *view, size_t max_bytes)
{
    struct buf out = {0};
    while (!kv_view_read(view, &out, max_bytes))
        continue;
    kv_view_free(view);
    return out;
}

enum err load_stream(const uint8_t *data, size_t len, struct kv **out)
{
    struct kv_loader *loader = kv_loader_new();
    *out = NULL;
    enum err err = kv_loader_feed(loader, data, len);
    if (err == ERR_OK)
        err = kv_loader_finish(loader, out);
    kv_loader_free(loader);
    return err;
}

struct kv_item item_of(const struct kv *kv, const char *key)
{
    struct kv_item item = {0};
    assert_true(kv_get(kv, b(key), &item));
    return item;
}

void assert_value(const struct kv *kv, const char *key, const char *value)
{
    struct kv_item item = item_of(kv, key);
    assert_int_equal(item.value.len, strlen(value));
    assert_memory_equal(item.value.data, value, strlen(value));
}

bool is_there(const struct kv *kv, const char *key)
{
    struct kv_item item;
    return kv_get(kv, b(key), &item);
}
