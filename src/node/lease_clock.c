/* A heap of what comes next for each lease, its end or a checkpoint, and lists of what is to be
 * proposed. Equal times are ordered by id, so that every run does the same. */
#include "node/lease_clock.h"

#include "base/assert.h"
#include "base/mem.h"

#define NOTICED_A_TURN 4096u

/* ---- the heap -------------------------------------------------------------------------------- */

static uint64_t next_event_ms(const struct lease_timer *timer)
{
    return timer->checkpoint_ms < timer->deadline_ms ? timer->checkpoint_ms : timer->deadline_ms;
}

static bool comes_before(const struct lease_timer *a, const struct lease_timer *b)
{
    uint64_t at = next_event_ms(a);
    uint64_t bt = next_event_ms(b);
    return at != bt ? at < bt : a->id < b->id;
}

static void place(struct lease_clock *clock, struct lease_timer *timer, size_t at)
{
    clock->heap[at] = timer;
    timer->heap_at = at;
}

static void sift_up(struct lease_clock *clock, struct lease_timer *timer)
{
    size_t at = timer->heap_at;
    while (at > 0 && comes_before(timer, clock->heap[(at - 1) / 2])) {
        place(clock, clock->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    place(clock, timer, at);
}

static void sift_down(struct lease_clock *clock, struct lease_timer *timer)
{
    size_t at = timer->heap_at;
    for (size_t child = 2 * at + 1; child < clock->heap_count; child = 2 * at + 1) {
        if (child + 1 < clock->heap_count &&
            comes_before(clock->heap[child + 1], clock->heap[child]))
            child++;
        if (!comes_before(clock->heap[child], timer))
            break;
        place(clock, clock->heap[child], at);
        at = child;
    }
    place(clock, timer, at);
}

static void heap_add(struct lease_clock *clock, struct lease_timer *timer)
{
    clock->heap = mem_grow(clock->heap, clock->heap_count, &clock->heap_cap, sizeof(timer));
    timer->heap_at = clock->heap_count++;
    sift_up(clock, timer);
}

static void heap_remove(struct lease_clock *clock, struct lease_timer *timer)
{
    ASSERT(timer->heap_at < clock->heap_count && clock->heap[timer->heap_at] == timer);
    struct lease_timer *last = clock->heap[--clock->heap_count];
    if (last == timer)
        return;
    place(clock, last, timer->heap_at);
    sift_up(clock, last);
    sift_down(clock, last);
}

static void heap_moved(struct lease_clock *clock, struct lease_timer *timer)
{
    sift_up(clock, timer);
    sift_down(clock, timer);
}

/* ---- one lease ------------------------------------------------------------------------------- */

static uint64_t after(uint64_t now_ms, uint64_t seconds)
{
    return seconds > (UINT64_MAX - now_ms) / 1000 ? UINT64_MAX : now_ms + seconds * 1000;
}

static uint64_t next_checkpoint_ms(const struct lease_timer *timer, uint64_t least_ms,
                                   uint64_t now_ms)
{
    uint64_t at = after(now_ms, timer->ttl_s / 4);
    return at > now_ms + least_ms ? at : now_ms + least_ms;
}

static struct lease_list *list_of(struct lease_clock *clock, enum lease_want want)
{
    switch (want) {
    case LEASE_WANTS_CHECKPOINT: return &clock->want_checkpoint;
    case LEASE_WANTS_RESET: return &clock->want_reset;
    case LEASE_WANTS_NOTHING: return NULL;
    }
    UNREACHABLE("lease want");
}

static void set_want(struct lease_clock *clock, struct lease_timer *timer, enum lease_want want)
{
    struct lease_list *from = list_of(clock, timer->want);
    struct lease_list *to = list_of(clock, want);
    if (timer->want == want)
        return;
    if (from != NULL)
        TAILQ_REMOVE(from, timer, in_want);
    timer->want = want;
    if (to != NULL)
        TAILQ_INSERT_TAIL(to, timer, in_want);
}

static struct lease_timer *find(const struct lease_clock *clock, uint64_t id)
{
    struct lease_timer *timer = NULL;
    HASH_FIND(hh, clock->by_id, &id, sizeof id, timer);
    return timer;
}

static void leave_state(struct lease_clock *clock, struct lease_timer *timer)
{
    switch (timer->state) {
    case LEASE_RUNS: heap_remove(clock, timer); return;
    case LEASE_DUE: TAILQ_REMOVE(&clock->due, timer, in_due); return;
    case LEASE_ENDS: return;
    }
}

static void end_timer(struct lease_clock *clock, struct lease_timer *timer)
{
    leave_state(clock, timer);
    set_want(clock, timer, LEASE_WANTS_NOTHING);
    HASH_DELETE(hh, clock->by_id, timer);
    mem_free(timer);
}

void lease_clock_init(struct lease_clock *clock, uint64_t grace_ms)
{
    *clock = (struct lease_clock){.grace_ms = grace_ms, .checkpoint_ms = LEASE_CHECKPOINT_MS};
    TAILQ_INIT(&clock->due);
    TAILQ_INIT(&clock->want_checkpoint);
    TAILQ_INIT(&clock->want_reset);
}

void lease_clock_clear(struct lease_clock *clock)
{
    struct lease_timer *timer;
    struct lease_timer *next;
    HASH_ITER(hh, clock->by_id, timer, next)
    {
        HASH_DELETE(hh, clock->by_id, timer);
        mem_free(timer);
    }
    clock->heap_count = 0;
    TAILQ_INIT(&clock->due);
    TAILQ_INIT(&clock->want_checkpoint);
    TAILQ_INIT(&clock->want_reset);
}

void lease_clock_deinit(struct lease_clock *clock)
{
    lease_clock_clear(clock);
    mem_free(clock->heap);
    *clock = (struct lease_clock){0};
}

void lease_clock_put(struct lease_clock *clock, uint64_t id, uint64_t ttl_s, uint64_t remaining_s,
                     uint64_t now_ms)
{
    if (find(clock, id) != NULL)
        return;
    struct lease_timer *timer = mem_calloc(1, sizeof *timer);
    timer->id = id;
    timer->ttl_s = ttl_s;
    timer->deadline_ms = after(now_ms, remaining_s != 0 ? remaining_s : ttl_s);
    timer->checkpoint_ms = next_checkpoint_ms(timer, clock->checkpoint_ms, now_ms);
    timer->marked = remaining_s != 0;
    HASH_ADD(hh, clock->by_id, id, sizeof timer->id, timer);
    heap_add(clock, timer);
}

void lease_clock_drop(struct lease_clock *clock, uint64_t id)
{
    struct lease_timer *timer = find(clock, id);
    if (timer != NULL)
        end_timer(clock, timer);
}

void lease_clock_on_checkpoint(struct lease_clock *clock, uint64_t id, uint64_t remaining_s)
{
    struct lease_timer *timer = find(clock, id);
    if (timer == NULL || remaining_s != 0 || !timer->resetting)
        return;
    timer->resetting = false;
    timer->marked = false;
}

/* ---- renewals -------------------------------------------------------------------------------- */

enum lease_renewal lease_clock_renew(struct lease_clock *clock, uint64_t id, uint64_t now_ms)
{
    struct lease_timer *timer = find(clock, id);
    if (timer == NULL)
        return LEASE_UNKNOWN;
    if (timer->state == LEASE_ENDS)
        return LEASE_WAITS;
    timer->deadline_ms = after(now_ms, timer->ttl_s);
    timer->checkpoint_ms = next_checkpoint_ms(timer, clock->checkpoint_ms, now_ms);
    if (timer->state == LEASE_DUE) {
        leave_state(clock, timer);
        timer->state = LEASE_RUNS;
        heap_add(clock, timer);
    } else {
        heap_moved(clock, timer);
    }
    bool reset = timer->marked && !timer->resetting;
    set_want(clock, timer, reset ? LEASE_WANTS_RESET : LEASE_WANTS_NOTHING);
    return timer->marked ? LEASE_WAITS : LEASE_RENEWED;
}

bool lease_clock_look(const struct lease_clock *clock, uint64_t id, uint64_t now_ms,
                      uint64_t *ttl_s, uint64_t *remaining_ms)
{
    const struct lease_timer *timer = find(clock, id);
    if (timer == NULL)
        return false;
    *ttl_s = timer->ttl_s;
    *remaining_ms = timer->deadline_ms > now_ms ? timer->deadline_ms - now_ms : 0;
    return true;
}

/* ---- what is to be proposed ------------------------------------------------------------------ */

static void notice(struct lease_clock *clock, struct lease_timer *timer, uint64_t now_ms,
                   uint64_t next_round)
{
    if (timer->deadline_ms > now_ms) {
        timer->checkpoint_ms = UINT64_MAX;
        heap_moved(clock, timer);
        if (timer->want == LEASE_WANTS_NOTHING && !timer->resetting)
            set_want(clock, timer, LEASE_WANTS_CHECKPOINT);
        return;
    }
    leave_state(clock, timer);
    set_want(clock, timer, LEASE_WANTS_NOTHING);
    timer->state = LEASE_DUE;
    timer->noticed_ms = now_ms;
    timer->noticed_round = next_round;
    TAILQ_INSERT_TAIL(&clock->due, timer, in_due);
}

bool lease_clock_turn(struct lease_clock *clock, uint64_t now_ms, uint64_t next_round)
{
    for (unsigned i = 0; i < NOTICED_A_TURN; i++) {
        if (lease_clock_next_ms(clock) > now_ms)
            return false;
        notice(clock, clock->heap[0], now_ms, next_round);
    }
    return lease_clock_next_ms(clock) <= now_ms;
}

uint64_t lease_clock_next_ms(const struct lease_clock *clock)
{
    return clock->heap_count > 0 ? next_event_ms(clock->heap[0]) : UINT64_MAX;
}

bool lease_clock_needs_round(const struct lease_clock *clock, uint64_t settled_round)
{
    const struct lease_timer *last = TAILQ_LAST(&clock->due, lease_list);
    return last != NULL && last->noticed_round > settled_round;
}

size_t lease_clock_due(const struct lease_clock *clock, uint64_t now_ms, uint64_t settled_round,
                       struct kv_lease_time *out, size_t max)
{
    size_t count = 0;
    const struct lease_timer *timer;
    TAILQ_FOREACH(timer, &clock->due, in_due)
    {
        if (count == max || timer->noticed_round > settled_round ||
            now_ms < timer->noticed_ms + clock->grace_ms)
            break;
        out[count++] = (struct kv_lease_time){.id = timer->id};
    }
    return count;
}

void lease_clock_ends(struct lease_clock *clock, const struct kv_lease_time *leases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct lease_timer *timer = find(clock, leases[i].id);
        ASSERT(timer != NULL && timer->state == LEASE_DUE);
        leave_state(clock, timer);
        timer->state = LEASE_ENDS;
    }
}

/* Whole seconds, rounded up: no less than was promised. */
static uint64_t remaining_s(const struct lease_timer *timer, uint64_t now_ms)
{
    ASSERT(timer->deadline_ms > now_ms || timer->want == LEASE_WANTS_CHECKPOINT);
    uint64_t ms = timer->deadline_ms > now_ms ? timer->deadline_ms - now_ms : 1;
    return ms / 1000 + (ms % 1000 != 0 ? 1 : 0);
}

size_t lease_clock_checkpoints(const struct lease_clock *clock, uint64_t now_ms,
                               struct kv_lease_time *out, size_t max)
{
    size_t count = 0;
    const struct lease_timer *timer;
    TAILQ_FOREACH(timer, &clock->want_reset, in_want)
    {
        if (count == max)
            return count;
        out[count++] = (struct kv_lease_time){.id = timer->id};
    }
    TAILQ_FOREACH(timer, &clock->want_checkpoint, in_want)
    {
        if (count == max)
            return count;
        out[count++] =
            (struct kv_lease_time){.id = timer->id, .remaining_s = remaining_s(timer, now_ms)};
    }
    return count;
}

void lease_clock_checkpointed(struct lease_clock *clock, const struct kv_lease_time *leases,
                              size_t count, uint64_t now_ms)
{
    for (size_t i = 0; i < count; i++) {
        struct lease_timer *timer = find(clock, leases[i].id);
        ASSERT(timer != NULL && timer->want != LEASE_WANTS_NOTHING);
        set_want(clock, timer, LEASE_WANTS_NOTHING);
        if (leases[i].remaining_s == 0) {
            timer->resetting = true;
            continue;
        }
        timer->marked = true;
        timer->checkpoint_ms = next_checkpoint_ms(timer, clock->checkpoint_ms, now_ms);
        heap_moved(clock, timer);
    }
}
