/* Short ways to ask a store for one thing; keys and values are C strings. For tests only. */
#ifndef TEST_KV_ASK_H
#define TEST_KV_ASK_H

#include "kv/kv.h"

struct kv_bytes b(const char *text);
struct kv_keys one(const char *key);
struct kv_keys all_keys(void);
struct kv_op put_op(const char *key, const char *value, uint64_t lease);
struct kv_op delete_op(struct kv_keys keys);
/* Encodes and applies, in term 1; replies are asked for. */
struct kv_result apply(struct kv *kv, const struct kv_command *command);
/* One operation; its replies are given back, only the rest is left. */
struct kv_result do_op(struct kv *kv, struct kv_op op);
enum kv_status put(struct kv *kv, const char *key, const char *value);
enum kv_status del(struct kv *kv, const char *key);
enum kv_status grant(struct kv *kv, uint64_t id, uint64_t ttl_s);
enum kv_status compact(struct kv *kv, uint64_t revision);
struct kv_item item_of(const struct kv *kv, const char *key); /* it must be there */
void assert_value(const struct kv *kv, const char *key, const char *value);
bool is_there(const struct kv *kv, const char *key);
/* The whole stream of a view, read in slices of max_bytes; the view is freed. */
struct buf view_stream(struct kv_view *view, size_t max_bytes);
/* What a loader says to a stream; *out NULL unless ERR_OK. */
enum err load_stream(const uint8_t *data, size_t len, struct kv **out);

#endif
