/* Between the messages of v3 and the store's terms. */
#include "api/v3_internal.h"

#include <stdlib.h>
#include <string.h>

/* A range end that is one NUL byte means no end. */
struct kv_keys v3_keys(struct v3_bytes key, struct v3_bytes range_end)
{
    struct kv_keys keys = {
        .extent = KV_HALF_OPEN, .key = v3_to_kv(key), .end = v3_to_kv(range_end)};
    if (range_end.len == 0)
        keys.extent = KV_ONE_KEY;
    else if (range_end.len == 1 && range_end.data[0] == 0)
        keys.extent = KV_FROM_KEY;
    if (keys.extent != KV_HALF_OPEN)
        keys.end = (struct kv_bytes){NULL, 0};
    return keys;
}

struct v3_response_header *v3_header(struct api *api, struct v3_call *call, uint64_t revision)
{
    struct v3_response_header *header = v3_arena_alloc(&call->arena, 1, sizeof *header);
    struct node_status status = node_status(api->node, api->v3->now_ms);
    header->cluster_id = status.cluster_id;
    header->member_id = status.id;
    header->revision = (int64_t)revision;
    header->raft_term = status.term;
    node_status_deinit(&status);
    return header;
}

struct v3_response_header *v3_header_now(struct api *api, struct v3_call *call)
{
    return v3_header(api, call, kv_revision(node_kv(api->node)));
}

void v3_kv_of_item(const struct kv_item *item, struct v3_key_value *out)
{
    *out = (struct v3_key_value){.key = v3_of_kv(item->key),
                                 .create_revision = (int64_t)item->create_revision,
                                 .mod_revision = (int64_t)item->mod_revision,
                                 .version = (int64_t)item->version,
                                 .value = v3_of_kv(item->value),
                                 .lease = (int64_t)item->lease};
}

struct v3_key_value *v3_kvs(struct v3_arena *arena, const struct kv_reply *reply)
{
    struct v3_key_value *kvs = v3_arena_alloc(arena, reply->item_count, sizeof *kvs);
    for (size_t i = 0; i < reply->item_count; i++) {
        struct kv_item item;
        kv_entry_item(reply->items[i], &item);
        v3_kv_of_item(&item, &kvs[i]);
    }
    return kvs;
}

static uint64_t positive(int64_t number)
{
    return number > 0 ? (uint64_t)number : 0;
}

/* As etcd: with a target but no order, and a limit but no filter, the limit cuts in the order of
 * keys, and what is left is sorted. */
bool v3_sorts_what_is_left(const struct v3_range_request *request)
{
    return request->sort_order == 0 && request->sort_target > 0 && request->limit > 0 &&
           request->min_mod_revision == 0 && request->max_mod_revision == 0 &&
           request->min_create_revision == 0 && request->max_create_revision == 0;
}

static void order_to_kv(const struct v3_range_request *request, struct kv_range *out)
{
    bool known = request->sort_target >= 0 && request->sort_target <= (int32_t)KV_BY_VALUE;
    if (v3_sorts_what_is_left(request)) {
        out->limit++; /* one more shows whether the limit cut, and takes part in sorting */
        return;
    }
    if (!known || request->sort_order < 0 || request->sort_order > (int32_t)KV_DESCEND)
        return; /* nobody knows it: as none */
    out->sort = (enum kv_sort)request->sort_target;
    out->order = (enum kv_order)request->sort_order;
    if (out->order == KV_ORDER_NONE && out->sort != KV_BY_KEY)
        out->order = KV_ASCEND;
}

void v3_range_to_kv(const struct v3_range_request *request, struct kv_range *out)
{
    *out = (struct kv_range){
        .keys = v3_keys(request->key, request->range_end),
        .revision = positive(request->revision),
        .limit = positive(request->limit),
        .keys_only = request->keys_only,
        .count_only = request->count_only,
        .min_mod = positive(request->min_mod_revision),
        .max_mod = positive(request->max_mod_revision),
        .min_create = positive(request->min_create_revision),
        .max_create = positive(request->max_create_revision),
    };
    if (request->max_mod_revision < 0 || request->max_create_revision < 0)
        out->min_mod = UINT64_MAX; /* every revision is above it */
    order_to_kv(request, out);
}

bool v3_put_to_kv(const struct v3_put_request *request, struct kv_put *out, enum v3_error *error)
{
    if (request->key.len == 0)
        *error = V3_NO_KEY;
    else if (request->ignore_value && request->value.len > 0)
        *error = V3_VALUE_PROVIDED;
    else if (request->ignore_lease && request->lease != 0)
        *error = V3_LEASE_PROVIDED;
    else {
        *out = (struct kv_put){.key = v3_to_kv(request->key),
                               .value = v3_to_kv(request->value),
                               .lease = (uint64_t)request->lease,
                               .keep_value = request->ignore_value,
                               .keep_lease = request->ignore_lease,
                               .want_prev = request->prev_kv};
        return true;
    }
    return false;
}

static int64_t number_of(const struct v3_key_value *kv, int32_t target)
{
    switch (target) {
    case KV_BY_VERSION: return kv->version;
    case KV_BY_CREATE: return kv->create_revision;
    case KV_BY_MOD: return kv->mod_revision;
    default: return 0;
    }
}

static int compare_bytes(struct v3_bytes a, struct v3_bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

/* target points to the sort target; equal ones keep the order of keys. */
static int compare_kvs(const void *left, const void *right, void *target)
{
    const struct v3_key_value *a = left;
    const struct v3_key_value *b = right;
    int64_t x = number_of(a, *(const int32_t *)target);
    int64_t y = number_of(b, *(const int32_t *)target);
    int order = (x > y) - (x < y);
    if (*(const int32_t *)target == (int32_t)KV_BY_VALUE)
        order = compare_bytes(a->value, b->value);
    return order != 0 ? order : compare_bytes(a->key, b->key);
}

static void sort_what_is_left(const struct v3_range_request *request, struct v3_range_response *out)
{
    int32_t target = request->sort_target;
    if (out->kvs_count > 1)
        qsort_r(out->kvs, out->kvs_count, sizeof *out->kvs, compare_kvs, &target);
    if (out->kvs_count > (uint64_t)request->limit) {
        out->kvs_count = (size_t)request->limit;
        out->more = true;
    }
}

void v3_range_of_kv(struct v3_arena *arena, const struct v3_range_request *request,
                    const struct kv_reply *reply, struct v3_range_response *out)
{
    out->count = (int64_t)reply->count;
    if (request->count_only)
        return;
    out->more = reply->more;
    out->kvs = v3_kvs(arena, reply);
    out->kvs_count = reply->item_count;
    if (v3_sorts_what_is_left(request))
        sort_what_is_left(request, out);
    for (size_t i = 0; request->keys_only && i < out->kvs_count; i++)
        out->kvs[i].value = (struct v3_bytes){NULL, 0};
}
