/*
 * The search for an order of one key's operations (Wing & Gong; Lowe, "Testing for
 * linearizability"): a list of invocations and returns in order of time, of which an operation
 * takes both ends when it is put into the order; a return that is reached first ends a branch. What
 * has been tried (the set of operations done and the state) is remembered by a 128-bit hash.
 *
 * What changes nothing and fits the state is done at once, without an alternative. Writes whose
 * revision is known come in that order.
 *
 * Writes with unknown outcome whose value nobody saw are optional. They are not in the list: those
 * of one kind are alike, so that only the oldest of them that is left is ever tried, and never
 * right before a write that would have been possible without it.
 *
 * A write of which nobody told the revision may have any that is free between its neighbours':
 * either one that a compare-and-swap mentions (each is tried) or one of which only the smallest
 * possible value matters.
 */
#include "linear_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"

#include <inttypes.h>
#include <stdlib.h>

struct item {
    const struct linear_op *op;
    const struct linear_fact *fact;
    uint64_t hash[2];
    bool used; /* only of optional ones */
};

struct event {
    uint64_t time;
    bool is_return;
    size_t item;
    struct event *other; /* the return of an invocation */
    struct event *prev;
    struct event *next;
};

/* Whether the last step was an optional write that nothing has looked at yet, and over what. */
enum idle { IDLE_NO, IDLE_OVER_NOTHING, IDLE_OVER_VALUE };

struct state {
    bool present;
    bool exact; /* else revision is the smallest that it can be, and nobody mentions it */
    enum idle idle;
    uint64_t value;    /* 0: nobody ever saw it */
    uint64_t revision; /* of the last write, deletes included */
};

/* What can come next: of the invocations before the first return those that change nothing, then
 * the others; then one optional write a kind. */
enum stage { STAGE_LOOK, STAGE_WRITE, STAGE_PUT, STAGE_DELETE, STAGE_CAS, STAGE_END };

struct cursor {
    enum stage stage;
    struct event *at;
    uint64_t limit; /* of optional writes: the first return */
    size_t branch;
};

struct frame {
    struct cursor cursor; /* the move that was made */
    struct item *item;
    struct state before;
};

struct memory {
    uint64_t (*slots)[2];
    size_t count;
    size_t mask;
};

struct search {
    struct linear_check *check;
    uint64_t key;
    struct item *items;
    struct event *events; /* the first is the head of the list */
    struct linear_table optional[STAGE_END];
    struct linear_table order; /* writes whose revision is known, by it */
    size_t order_done;
    struct linear_table mentions; /* revisions that a CAS names and no known write has */
    struct frame *frames;
    size_t depth;
    size_t left; /* items of the list that are still in it */
    uint64_t hash[2];
    struct state state;
    struct memory memory;
    size_t steps; /* tried */
    struct {      /* the longest order that was found */
        bool any;
        size_t depth;
        const struct linear_op *stuck;
        const struct linear_op *last; /* NULL: none */
        struct state state;
    } best;
};

/* ---- memory of what has been tried -------------------------------------------------------------
 */

static bool memory_put(struct memory *memory, const uint64_t hash[2])
{
    size_t at = hash[0] & memory->mask;
    while (memory->slots[at][0] != 0 || memory->slots[at][1] != 0) {
        if (memory->slots[at][0] == hash[0] && memory->slots[at][1] == hash[1])
            return false;
        at = (at + 1) & memory->mask;
    }
    memory->slots[at][0] = hash[0];
    memory->slots[at][1] = hash[1];
    memory->count++;
    return true;
}

/* true: it is new. */
static bool memory_add(struct memory *memory, const uint64_t hash[2])
{
    if (2 * memory->count >= memory->mask) {
        struct memory old = *memory;
        memory->mask = old.slots != NULL ? 2 * old.mask + 1 : 255;
        memory->slots = mem_calloc(memory->mask + 1, sizeof *memory->slots);
        memory->count = 0;
        for (size_t i = 0; old.slots != NULL && i <= old.mask; i++)
            if (old.slots[i][0] != 0 || old.slots[i][1] != 0)
                (void)memory_put(memory, old.slots[i]);
        mem_free(old.slots);
    }
    return memory_put(memory, hash);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    struct prng prng = {hash ^ value};
    return prng_next(&prng);
}

static bool is_new(struct search *search, const struct item *item, const struct state *state)
{
    uint64_t hash[2];
    for (size_t i = 0; i < 2; i++) {
        uint64_t flags = (uint64_t)state->present | (uint64_t)state->exact << 1 |
                         (uint64_t)state->idle << 2 | (uint64_t)i << 4;
        hash[i] = mix(mix(mix(0, flags), state->value), state->revision);
        hash[i] = mix(hash[i], search->hash[i] ^ item->hash[i]);
    }
    return memory_add(&search->memory, hash);
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static bool has(const struct linear_table *table, uint64_t revision)
{
    size_t at = linear_table_lower(table, revision, 0);
    return at < table->count && table->refs[at].major == revision;
}

/* The smallest revision above this one that no known write has. */
static uint64_t next_free(const struct search *search, uint64_t revision)
{
    const struct linear_table *taken = &search->check->by_revision;
    size_t low = linear_table_lower(taken, ++revision, 0);
    if (low == taken->count || taken->refs[low].major != revision)
        return revision;
    size_t high = taken->count; /* the run of neighbours ends in (low, high] */
    for (size_t first = low++; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (taken->refs[middle].major - revision == middle - first)
            low = middle + 1;
        else
            high = middle;
    }
    return taken->refs[low - 1].major + 1;
}

static bool step_revision(const struct search *search, const struct item *item, struct state *state,
                          uint64_t revision)
{
    uint64_t next = UINT64_MAX;
    if (search->order_done < search->order.count)
        next = search->order.refs[search->order_done].major;
    bool fits = revision > state->revision &&
                (item->fact->revision != 0 ? revision == next : revision < next);
    state->revision = revision;
    return fits;
}

/* Branch 0: the revision is known, or is none that is mentioned; branch n: the n-th mentioned. */
static bool step_put(const struct search *search, const struct item *item, size_t branch,
                     struct state *state)
{
    uint64_t revision = item->fact->revision;
    state->present = true;
    state->value = item->fact->must ? item->op->value : 0;
    state->exact = branch > 0 || revision != 0;
    if (branch > 0)
        revision = search->mentions.refs[branch - 1].major;
    if (!state->exact) {
        revision = next_free(search, state->revision);
        while (has(&search->mentions, revision))
            revision = next_free(search, revision);
    }
    return step_revision(search, item, state, revision);
}

static bool step_delete(const struct search *search, const struct item *item, struct state *state)
{
    if (item->op->known && !item->op->ok)
        return !state->present;
    if (!state->present)
        return false;
    /* it may well have a revision that somebody expects in vain */
    uint64_t revision = item->fact->revision;
    revision = revision != 0 ? revision : next_free(search, state->revision);
    state->present = false;
    state->exact = false;
    state->value = 0;
    return step_revision(search, item, state, revision);
}

static bool step_cas(const struct search *search, const struct item *item, size_t branch,
                     struct state *state)
{
    const struct linear_op *op = item->op;
    bool certain = state->present && state->exact;
    bool match = op->expected == 0 ? !state->present : certain && state->revision == op->expected;
    if (!op->known || op->ok)
        return match && step_put(search, item, branch, state);
    return !match && (op->revision == 0 || (certain && state->revision == op->revision));
}

/* The optional write before this one could as well be left out. */
static bool in_vain(const struct item *item, const struct state *state)
{
    bool optional = !item->fact->must;
    switch (item->op->kind) {
    case LINEAR_PUT: return state->idle != IDLE_NO;
    case LINEAR_DELETE:
        return optional ? state->idle != IDLE_NO : item->op->ok && state->idle == IDLE_OVER_VALUE;
    case LINEAR_READ:
    case LINEAR_CAS: break;
    }
    return false;
}

/* Does the item from this state; false: it cannot come here, and *state is undefined. */
static bool step(const struct search *search, const struct item *item, size_t branch,
                 struct state *state)
{
    if (in_vain(item, state))
        return false;
    state->idle = IDLE_NO;
    if (!item->fact->must)
        state->idle = state->present ? IDLE_OVER_VALUE : IDLE_OVER_NOTHING;
    switch (item->op->kind) {
    case LINEAR_READ:
        return state->present ? item->op->value != 0 && state->value == item->op->value
                              : item->op->value == 0;
    case LINEAR_PUT: return step_put(search, item, branch, state);
    case LINEAR_DELETE: return step_delete(search, item, state);
    case LINEAR_CAS: return step_cas(search, item, branch, state);
    }
    UNREACHABLE("not a kind");
}

static size_t branches(const struct search *search, const struct item *item)
{
    const struct linear_op *op = item->op;
    bool open = linear_writes_value(op) && (!op->known || op->ok) && item->fact->revision == 0;
    return open ? 1 + search->mentions.count : 1;
}

/* ---- moves -------------------------------------------------------------------------------------
 */

static struct item *first_unused(struct search *search, enum stage stage, uint64_t expected,
                                 uint64_t limit)
{
    const struct linear_table *table = &search->optional[stage];
    for (size_t i = linear_table_lower(table, expected, 0);
         i < table->count && table->refs[i].major == expected; i++) {
        struct item *item = &search->items[table->refs[i].at];
        if (!item->used)
            return item->fact->from <= limit ? item : NULL;
    }
    return NULL;
}

static bool only_looks(const struct linear_op *op)
{
    return op->kind == LINEAR_READ || (op->known && !op->ok);
}

static bool in_list(enum stage stage)
{
    return stage == STAGE_LOOK || stage == STAGE_WRITE;
}

static struct item *candidate(struct search *search, struct cursor *cursor)
{
    const struct state *state = &search->state;
    if (cursor->stage == STAGE_LOOK && (cursor->at == NULL || cursor->at->is_return))
        *cursor = (struct cursor){.stage = STAGE_WRITE, .at = search->events->next};
    if (in_list(cursor->stage)) {
        if (cursor->at != NULL && !cursor->at->is_return) {
            struct item *item = &search->items[cursor->at->item];
            return only_looks(item->op) == (cursor->stage == STAGE_LOOK) ? item : NULL;
        }
        cursor->limit = cursor->at != NULL ? cursor->at->time : UINT64_MAX;
        cursor->stage = STAGE_PUT;
    }
    if (cursor->stage != STAGE_CAS)
        return first_unused(search, cursor->stage, 0, cursor->limit);
    if (state->present && !state->exact)
        return NULL;
    return first_unused(search, STAGE_CAS, state->present ? state->revision : 0, cursor->limit);
}

static void cursor_advance(struct cursor *cursor)
{
    cursor->branch = 0;
    if (in_list(cursor->stage))
        cursor->at = cursor->at->next;
    else
        cursor->stage++;
}

/* The next move at or after the cursor that leads to something new. */
static struct item *find_move(struct search *search, struct cursor *cursor, struct state *after)
{
    for (; cursor->stage != STAGE_END; cursor_advance(cursor)) {
        struct item *item = candidate(search, cursor);
        if (item == NULL)
            continue;
        for (; cursor->branch < branches(search, item); cursor->branch++) {
            search->steps++;
            *after = search->state;
            if (step(search, item, cursor->branch, after) && is_new(search, item, after))
                return item;
        }
    }
    return NULL;
}

static void unlink_event(struct event *event)
{
    event->prev->next = event->next;
    if (event->next != NULL)
        event->next->prev = event->prev;
}

static void relink_event(struct event *event)
{
    event->prev->next = event;
    if (event->next != NULL)
        event->next->prev = event;
}

static void toggle(struct search *search, const struct item *item)
{
    search->hash[0] ^= item->hash[0];
    search->hash[1] ^= item->hash[1];
}

static void do_move(struct search *search, const struct cursor *cursor, struct item *item,
                    const struct state *after)
{
    search->frames[search->depth++] = (struct frame){*cursor, item, search->state};
    search->state = *after;
    toggle(search, item);
    if (!in_list(cursor->stage)) {
        item->used = true;
        return;
    }
    search->left--;
    search->order_done += item->fact->revision != 0;
    unlink_event(cursor->at);
    unlink_event(cursor->at->other);
}

/* Takes the last move back; *cursor is behind it. */
static void undo_move(struct search *search, struct cursor *cursor)
{
    struct frame *frame = &search->frames[--search->depth];
    *cursor = frame->cursor;
    cursor->branch++;
    search->state = frame->before;
    toggle(search, frame->item);
    if (!in_list(cursor->stage)) {
        frame->item->used = false;
        return;
    }
    search->left++;
    search->order_done -= frame->item->fact->revision != 0;
    relink_event(cursor->at->other);
    relink_event(cursor->at);
    if (cursor->stage == STAGE_LOOK)
        cursor->stage = STAGE_END;
}

/* ---- the search --------------------------------------------------------------------------------
 */

static void note_best(struct search *search)
{
    if (search->best.any && search->depth <= search->best.depth)
        return;
    const struct event *event = search->events->next;
    while (!event->is_return)
        event = event->next;
    search->best.any = true;
    search->best.depth = search->depth;
    search->best.stuck = search->items[event->item].op;
    search->best.last = search->depth > 0 ? search->frames[search->depth - 1].item->op : NULL;
    search->best.state = search->state;
}

static enum linear_verdict run(struct search *search)
{
    struct cursor cursor = {.at = search->events->next};
    while (search->left > 0) {
        if (search->steps > LINEAR_STEPS_MAX || search->memory.count > LINEAR_STATES_MAX)
            return LINEAR_TOO_COMPLEX;
        struct state after;
        struct item *item = find_move(search, &cursor, &after);
        if (item != NULL) {
            do_move(search, &cursor, item, &after);
            cursor = (struct cursor){.at = search->events->next};
            continue;
        }
        note_best(search);
        if (search->depth == 0)
            return LINEAR_VIOLATION;
        undo_move(search, &cursor);
    }
    return LINEAR_OK;
}

static void explain(const struct search *search)
{
    struct buf *why = search->check->why;
    const struct state *state = &search->best.state;
    buf_printf(why, "no order explains: ");
    linear_describe(why, search->best.stuck);
    if (search->best.last == NULL) {
        buf_printf(why, "; it would have to come first, when the key was not there");
        return;
    }
    buf_printf(why, "; the longest order found has key %" PRIu64 " ", search->key);
    if (!state->present)
        buf_printf(why, "not there");
    else if (state->value != 0)
        buf_printf(why, "with value %" PRIu64, state->value);
    else
        buf_printf(why, "with a value that nobody saw");
    if (state->present && state->exact)
        buf_printf(why, " revision %" PRIu64, state->revision);
    buf_printf(why, " before it, after ");
    linear_describe(why, search->best.last);
}

/* ---- setting up --------------------------------------------------------------------------------
 */

static int compare_events(const void *left, const void *right)
{
    const struct event *a = left;
    const struct event *b = right;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (a->is_return != b->is_return)
        return a->is_return ? 1 : -1;
    return a->item < b->item ? -1 : a->item > b->item;
}

static void link_events(struct search *search, size_t count)
{
    struct event **invocations = mem_calloc(count, sizeof *invocations);
    struct event *events = search->events;
    qsort(events + 1, 2 * search->left, sizeof *events, compare_events);
    for (size_t i = 1; i <= 2 * search->left; i++) {
        events[i].prev = &events[i - 1];
        events[i - 1].next = &events[i];
        if (events[i].is_return)
            invocations[events[i].item]->other = &events[i];
        else
            invocations[events[i].item] = &events[i];
    }
    mem_free(invocations);
}

static void add_mention(struct search *search, uint64_t revision)
{
    if (revision != 0 && !has(&search->check->by_revision, revision))
        linear_table_add(&search->mentions, revision, 0, 0);
}

static void sort_mentions(struct linear_table *mentions)
{
    linear_table_sort(mentions);
    size_t count = 0;
    for (size_t i = 0; i < mentions->count; i++)
        if (count == 0 || mentions->refs[count - 1].major != mentions->refs[i].major)
            mentions->refs[count++] = mentions->refs[i];
    mentions->count = count;
}

static void add_optional(struct search *search, size_t at)
{
    static const enum stage stages[] = {[LINEAR_READ] = STAGE_END,
                                        [LINEAR_PUT] = STAGE_PUT,
                                        [LINEAR_DELETE] = STAGE_DELETE,
                                        [LINEAR_CAS] = STAGE_CAS};
    const struct item *item = &search->items[at];
    enum stage stage = stages[item->op->kind];
    ASSERT(stage != STAGE_END);
    struct linear_table *table = &search->optional[stage];
    uint64_t expected = stage == STAGE_CAS ? item->op->expected : 0;
    size_t place = linear_table_lower(table, expected, item->fact->from);
    table->refs = mem_grow(table->refs, table->count, &table->cap, sizeof *table->refs);
    for (size_t i = table->count++; i > place; i--)
        table->refs[i] = table->refs[i - 1];
    table->refs[place] = (struct linear_ref){expected, item->fact->from, at};
}

static void add_item(struct search *search, size_t at, struct prng *prng)
{
    const struct item *item = &search->items[at];
    search->items[at].hash[0] = prng_next(prng);
    search->items[at].hash[1] = prng_next(prng);
    if (item->op->kind == LINEAR_CAS) {
        add_mention(search, item->op->expected);
        add_mention(search, item->op->known && !item->op->ok ? item->op->revision : 0);
    }
    if (!item->fact->must) {
        add_optional(search, at);
        return;
    }
    if (item->fact->revision != 0)
        linear_table_add(&search->order, item->fact->revision, 0, at);
    struct event *events = &search->events[1 + 2 * search->left++];
    events[0] = (struct event){.time = item->fact->from, .item = at};
    events[1] = (struct event){.time = item->fact->to, .item = at, .is_return = true};
}

enum linear_verdict linear_search(struct linear_check *check, const struct linear_ref *refs,
                                  size_t count)
{
    struct search search = {
        .check = check,
        .key = check->ops[refs[0].at].key,
        .items = mem_calloc(count, sizeof *search.items),
        .events = mem_calloc(2 * count + 1, sizeof *search.events),
        .frames = mem_calloc(count, sizeof *search.frames),
    };
    struct prng prng = {count};
    for (size_t i = 0; i < count; i++) {
        search.items[i].op = &check->ops[refs[i].at];
        search.items[i].fact = &check->facts[refs[i].at];
        add_item(&search, i, &prng);
    }
    sort_mentions(&search.mentions);
    linear_table_sort(&search.order);
    link_events(&search, count);
    enum linear_verdict verdict = run(&search);
    if (verdict == LINEAR_VIOLATION)
        explain(&search);
    for (size_t i = 0; i < STAGE_END; i++)
        mem_free(search.optional[i].refs);
    mem_free(search.order.refs);
    mem_free(search.memory.slots);
    mem_free(search.frames);
    mem_free(search.mentions.refs);
    mem_free(search.events);
    mem_free(search.items);
    return verdict;
}
