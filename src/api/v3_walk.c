/*
 * Large ranges: walked at one revision, a slice a turn, and written as they are found, or put in
 * order first, likewise in slices, so that no turn is long. The answer is whole before it is sent,
 * since its count comes last.
 */
#include "api/v3_internal.h"
#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>

#define SLICE_STEPS 2000
#define SLICE_BYTES (1U << 20)
#define SLICES_A_TURN 4
#define PENDING_BYTES (64U << 20)

struct v3_walk {
    struct kv_cursor *cursor;
    struct kv_sorter *sorter; /* NULL: the order of the walk will do */
    bool is_walked;           /* all that was found is in sorter */
    struct kv_range range;
    struct buf text;
    uint64_t given;
    uint64_t count;      /* of keys in the range, so far */
    bool is_count_known; /* at the newest revision it is, at once */
    bool more;
};

bool v3_is_walked(const struct kv *kv, const struct kv_range *range)
{
    bool is_now = range->revision == 0 && !kv_is_applying(kv);
    return range->keys.extent != KV_ONE_KEY && !(range->count_only && is_now);
}

/* ---- slices ---------------------------------------------------------------------------------- */

void v3_slices_begin(struct api *api, struct v3_call *call,
                     void (*slice)(struct api *api, struct v3_call *call))
{
    call->slice = slice;
    TAILQ_INSERT_TAIL(&api->v3->walking, call, next_walking);
    slice(api, call);
}

void v3_slices_end(struct api *api, struct v3_call *call)
{
    if (call->slice != NULL)
        TAILQ_REMOVE(&api->v3->walking, call, next_walking);
    call->slice = NULL;
    api->v3->walk_bytes -= call->slice_bytes;
    call->slice_bytes = 0;
    if (api->v3->walks_on == call)
        api->v3->walks_on = NULL;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

/* As much at once as is good. */
static void free_sorter(struct api *api, struct kv_sorter *sorter)
{
    size_t budget = SLICE_STEPS;
    if (sorter == NULL || kv_sorter_free_some(sorter, &budget))
        return;
    struct v3_leftover *leftover = mem_calloc(1, sizeof *leftover);
    leftover->sorter = sorter;
    SLIST_INSERT_HEAD(&api->v3->leftovers, leftover, next);
}

static void free_leftovers(struct v3 *v3, size_t budget)
{
    struct v3_leftover *leftover = SLIST_FIRST(&v3->leftovers);
    if (leftover == NULL || !kv_sorter_free_some(leftover->sorter, &budget))
        return;
    SLIST_REMOVE_HEAD(&v3->leftovers, next);
    mem_free(leftover);
}

void v3_walk_deinit(struct v3 *v3)
{
    while (!SLIST_EMPTY(&v3->leftovers))
        free_leftovers(v3, SIZE_MAX);
}

static void free_state(struct api *api, struct v3_call *call)
{
    struct v3_walk *walk = call->state;
    v3_slices_end(api, call);
    free_sorter(api, walk->sorter);
    kv_cursor_free(walk->cursor);
    buf_deinit(&walk->text);
    mem_free(walk);
}

static bool passes(const struct kv_range *range, const struct kv_item *item)
{
    return item->mod_revision >= range->min_mod && item->create_revision >= range->min_create &&
           (range->max_mod == 0 || item->mod_revision <= range->max_mod) &&
           (range->max_create == 0 || item->create_revision <= range->max_create);
}

static void write_item(struct v3_walk *walk, const struct kv_item *item)
{
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

static void take(struct v3_walk *walk, const struct kv_item *item)
{
    walk->count += walk->is_count_known ? 0 : 1;
    if (walk->range.count_only || !passes(&walk->range, item))
        return;
    if (walk->sorter != NULL)
        kv_sorter_add(walk->sorter, walk->cursor);
    else if (walk->range.limit > 0 && walk->given == walk->range.limit)
        walk->more = true;
    else
        write_item(walk, item);
}

static void finish(struct api *api, struct v3_call *call)
{
    struct v3_walk *walk = call->state;
    v3_slices_end(api, call);
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

/* In the order of keys. */
static enum kv_step walk_slice(struct api *api, struct v3_walk *walk)
{
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
    return step;
}

/* What was found is in the sorter; it does not need the store any more. */
static enum kv_step write_slice(struct v3_walk *walk)
{
    size_t budget = SLICE_STEPS;
    size_t begin = walk->text.len;
    struct kv_item item;
    if (!kv_sorter_sort(walk->sorter, &budget))
        return KV_STEP_PAUSE;
    for (; kv_sorter_peek(walk->sorter, &item); kv_sorter_pop(walk->sorter), budget--) {
        if (budget == 0 || walk->text.len - begin >= SLICE_BYTES)
            return KV_STEP_PAUSE;
        write_item(walk, &item);
    }
    walk->more = kv_sorter_has_more(walk->sorter);
    return KV_STEP_END;
}

/* Where answers that are being made have too many bytes, only one of them goes on. */
static bool must_wait(const struct api *api, struct v3_call *call)
{
    struct v3 *v3 = api->v3;
    size_t max = api->limits.pending_bytes > 0 ? api->limits.pending_bytes : PENDING_BYTES;
    if (v3->walk_bytes <= max)
        return false;
    if (v3->walks_on == NULL)
        v3->walks_on = call;
    return v3->walks_on != call;
}

/* One slice; the call may be over then. */
static void walk_on(struct api *api, struct v3_call *call)
{
    struct v3_walk *walk = call->state;
    enum kv_step step = KV_STEP_END;
    if (must_wait(api, call))
        return;
    if (!walk->is_walked)
        step = walk_slice(api, walk);
    walk->is_walked = step == KV_STEP_END;
    if (walk->is_walked && walk->sorter != NULL)
        step = write_slice(walk);
    api->v3->walk_bytes += walk->text.len - call->slice_bytes;
    call->slice_bytes = walk->text.len;
    if (step == KV_STEP_END) {
        finish(api, call);
    } else if (step == KV_STEP_COMPACTED) {
        v3_slices_end(api, call);
        v3_fail(api, call, V3_COMPACTED);
    }
}

/* range and what it refers to belong to the call's request. What takes one slice is answered at
 * once, and the call is over then. */
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
    walk->is_count_known = range->revision == 0 && !kv_is_applying(kv);
    if (range->sort != KV_BY_KEY && !range->count_only)
        walk->sorter = kv_sorter_new(range);
    walk->count = walk->is_count_known ? kv_count_range(kv, &range->keys) : 0;
    struct v3_range_response response = {.header = v3_header_now(api, call)};
    v3_encode(&walk->text, &v3_message_range_response, &response);
    walk->text.len--; /* its last bracket */
    call->state = walk;
    call->free_state = free_state;
    v3_slices_begin(api, call, walk_on);
}

/* However many there are, a few get on in each turn. */
void v3_walk_turn(struct api *api)
{
    struct v3_call *call;
    unsigned slices = 0;
    free_leftovers(api->v3, SLICE_STEPS);
    TAILQ_FOREACH(call, &api->v3->walking, next_walking)
    {
        if (++slices == SLICES_A_TURN)
            break;
    }
    for (; slices > 0; slices--) { /* none is added meanwhile, each ends itself alone */
        call = TAILQ_FIRST(&api->v3->walking);
        TAILQ_REMOVE(&api->v3->walking, call, next_walking);
        TAILQ_INSERT_TAIL(&api->v3->walking, call, next_walking);
        call->slice(api, call);
    }
}

bool v3_has_work(const struct v3 *v3)
{
    return !TAILQ_EMPTY(&v3->walking) || !SLIST_EMPTY(&v3->leftovers);
}
