/* Between the messages of v3 and the store's terms. */
#include "api/v3_internal.h"

#include <string.h>

/* A range end that is one NUL byte means no end. */
struct kv_keys v3_keys(struct v3_bytes key, struct v3_bytes range_end)
{
    struct kv_keys keys = {.extent = KV_HALF_OPEN, .key = v3_to_kv(key), .end = v3_to_kv(range_end)};
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

struct v3_key_value *v3_kvs(struct v3_arena *arena, const struct kv_reply *reply, bool keys_only)
{
    struct v3_key_value *kvs = v3_arena_alloc(arena, reply->item_count, sizeof *kvs);
    for (size_t i = 0; i < reply->item_count; i++) {
        struct kv_item item;
        kv_entry_item(reply->items[i], &item);
        v3_kv_of_item(&item, &kvs[i]);
        if (keys_only)
            kvs[i].value = (struct v3_bytes){NULL, 0};
    }
    return kvs;
}

static uint64_t positive(int64_t number)
{
    return number > 0 ? (uint64_t)number : 0;
}

/* Numbers that name no order and no target are as none. */
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
    if (request->sort_target >= KV_BY_KEY && request->sort_target <= (int32_t)KV_BY_VALUE)
        out->sort = (enum kv_sort)request->sort_target;
    if (request->sort_order == (int32_t)KV_ASCEND || request->sort_order == (int32_t)KV_DESCEND)
        out->order = (enum kv_order)request->sort_order;
    else if (out->sort != KV_BY_KEY)
        out->order = KV_ASCEND;
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

void v3_range_of_kv(struct v3_arena *arena, const struct v3_range_request *request,
                    const struct kv_reply *reply, struct v3_range_response *out)
{
    out->count = (int64_t)reply->count;
    if (request->count_only)
        return;
    out->more = reply->more;
    out->kvs = v3_kvs(arena, reply, request->keys_only);
    out->kvs_count = reply->item_count;
}
