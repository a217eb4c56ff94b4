/*
 * Large ranges: walked at one revision, a slice a turn, and written as they are found, so that no
 * turn is long. The answer is whole before it is sent, since its count comes last.
 */
#include "api/v3_internal.h"
#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>

#define WALK_KEYS 2000 /* ranges with more are walked in slices */
#define SLICE_STEPS 4000
#define SLICE_BYTES (1U << 20)

struct v3_walk {
    struct kv_cursor *cursor;
    struct kv_range range;
    struct buf text;
    uint64_t given;
    uint64_t count;      /* of keys in the range, so far */
    bool is_count_known; /* at the newest revision it is, at once */
    bool more;
    bool is_listed; /* in v3->walking */
};

bool v3_is_large(const struct kv *kv, const struct kv_range *range)
{
    return range->keys.extent != KV_ONE_KEY && range->sort == KV_BY_KEY && !range->count_only &&
           (range->limit == 0 || range->limit > WALK_KEYS) &&
           kv_count_range(kv, &range->keys) > WALK_KEYS;
}

static void unlist(struct api *api, struct v3_call *call)
{
    struct v3_walk *walk = call->state;
    if (walk->is_listed)
        TAILQ_REMOVE(&api->v3->walking, call, next_walking);
    walk->is_listed = false;
}

static void free_state(struct api *api, struct v3_call *call)
{
    struct v3_walk *walk = call->state;
    unlist(api, call);
    kv_cursor_free(walk->cursor);
    buf_deinit(&walk->text);
    mem_free(walk);
}

/* range and what it refers to belong to the call's request. */
void v3_walk_begin(struct api *api, struct v3_call *call, const struct kv_range *range)
{
    const struct kv *kv = node_kv(api->node);
    struct kv_cursor *cursor = NULL;
    enum kv_status status =
        kv_cursor_open(kv, &range->keys, range->revision, range->order == KV_DESCEND, &cursor);
    if (status != KV_OK) {
        v3_fail(api, call, v3_error_of_status(status));
        return;
    }
    struct v3_walk *walk = mem_calloc(1, sizeof *walk);
    walk->cursor = cursor;
    walk->range = *range;
    walk->is_count_known = range->revision == 0;
    walk->count = walk->is_count_known ? kv_count_range(kv, &range->keys) : 0;
    struct v3_range_response response = {.header = v3_header_now(api, call)};
    v3_encode(&walk->text, &v3_message_range_response, &response);
    walk->text.len--; /* its last bracket */
    call->state = walk;
    call->free_state = free_state;
    walk->is_listed = true;
    TAILQ_INSERT_TAIL(&api->v3->walking, call, next_walking);
}

static bool passes(const struct kv_range *range, const struct kv_item *item)
{
    return item->mod_revision >= range->min_mod && item->create_revision >= range->min_create &&
           (range->max_mod == 0 || item->mod_revision <= range->max_mod) &&
           (range->max_create == 0 || item->create_revision <= range->max_create);
}

static void take(struct v3_walk *walk, const struct kv_item *item)
{
    walk->count += walk->is_count_known ? 0 : 1;
    if (!passes(&walk->range, item))
        return;
    if (walk->range.limit > 0 && walk->given == walk->range.limit) {
        walk->more = true;
        return;
    }
    struct v3_key_value kv;
    v3_kv_of_item(item, &kv);
    if (walk->range.keys_only)
        kv.value = (struct v3_bytes){NULL, 0};
    if (walk->given++ == 0)
        buf_add(&walk->text, ",\"kvs\":[", 8);
    else
        buf_add_u8(&walk->text, ',');
    v3_encode(&walk->text, &v3_message_key_value, &kv);
}

static void finish(struct api *api, struct v3_call *call)
{
    struct v3_walk *walk = call->state;
    unlist(api, call);
    if (walk->given > 0)
        buf_add_u8(&walk->text, ']');
    if (walk->more)
        buf_add(&walk->text, ",\"more\":true", 12);
    if (walk->count > 0)
        buf_printf(&walk->text, ",\"count\":\"%" PRIu64 "\"", walk->count);
    buf_add_u8(&walk->text, '}');
    struct buf text = walk->text;
    walk->text = (struct buf){0};
    v3_answer_text(api, call, &text);
}

/* One slice; the call may be over then. */
static void walk_on(struct api *api, struct v3_call *call)
{
    struct v3_walk *walk = call->state;
    size_t budget = SLICE_STEPS;
    size_t begin = walk->text.len;
    struct kv_item item;
    enum kv_step step = KV_STEP_ITEM;
    while (step == KV_STEP_ITEM && walk->text.len - begin < SLICE_BYTES) {
        step = kv_cursor_next(node_kv(api->node), walk->cursor, &budget, &item);
        if (step == KV_STEP_ITEM)
            take(walk, &item);
        if (walk->more && walk->is_count_known)
            step = KV_STEP_END;
    }
    if (step == KV_STEP_END) {
        finish(api, call);
    } else if (step == KV_STEP_COMPACTED) {
        unlist(api, call);
        v3_fail(api, call, V3_COMPACTED);
    }
}

void v3_walk_turn(struct api *api)
{
    struct v3_call *call;
    struct v3_call *next;
    for (call = TAILQ_FIRST(&api->v3->walking); call != NULL; call = next) {
        next = TAILQ_NEXT(call, next_walking);
        walk_on(api, call);
    }
}

bool v3_has_work(const struct v3 *v3)
{
    return !TAILQ_EMPTY(&v3->walking);
}
