/* The slow, obviously right twin of the store: a sorted array. For tests only. */
#ifndef TEST_KV_MODEL_H
#define TEST_KV_MODEL_H

#include "kv/kv.h"

struct model_item {
    uint8_t *key;
    size_t key_len;
    uint8_t *value;
    size_t value_len;
    uint64_t create_revision;
    uint64_t mod_revision;
    uint64_t version;
};

struct model {
    struct model_item *items;
    size_t count;
    size_t cap;
    uint64_t revision;
};

struct model *model_new(void);
void model_free(struct model *model);
struct model *model_copy(const struct model *model);
struct kv_result model_apply(struct model *model, const struct kv_command *command);
/* Index of the first item with a key >= key. */
size_t model_find(const struct model *model, const uint8_t *key, size_t key_len);
/* Encodes the command and applies it to the store. */
struct kv_result store_apply(struct kv *kv, const struct kv_command *command);
/* cmocka assertions: the store has exactly the model's items, its tree is sound. */
void assert_store_is(const struct kv *kv, const struct model *model);
void assert_item_is(const struct kv_item *item, const struct model_item *want);
/* The whole stream of a view, read in slices of slice bytes. */
struct buf view_stream(struct kv_view *view, size_t slice);
/* What a loader makes of a stream; ends the test if it does not load. */
struct kv *store_load(const uint8_t *data, size_t len);

#endif
