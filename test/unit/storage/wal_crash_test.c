/*
 * Power cut after every single operation of small workloads, with several ideas of what reached the
 * disk. Whatever wal_durable covered is there, what is there is a prefix of what was appended, and
 * no crash is ever taken for damage. Usage: wal_crash_test [seed]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "mem_fs.h"
#include "storage/wal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_MAX 64
#define STATES_MAX 256

static uint64_t seed_given = 20240601;

enum step_kind { APPEND, SYNC, SYNC_START, POLL, MARK, RELEASE, PREPARE, SYNC_NOW };

struct step {
    enum step_kind kind;
    floe_index index; /* APPEND: first entry; MARK, RELEASE */
    size_t count;     /* APPEND; MARK: 1 = keep the suffix */
    floe_term term;
};

struct script {
    const struct step *steps;
    size_t count;
    uint64_t room; /* of the disk; 0: no end */
};

/* What a log holds; term 0: no such entry. */
struct state {
    floe_term term[INDEX_MAX];
    floe_index last;
    floe_index mark;
    floe_term mark_term;
    struct floe_hard_state hard_state;
};

struct run {
    struct mem_fs *disk;
    struct wal *wal;
    struct state states[STATES_MAX]; /* after each record, the first one after wal_create */
    size_t state_count;
    uint64_t positions[STATES_MAX];  /* UINT64_MAX: the call did not return yet */
    bool created;
};

static const struct wal_meta meta = {.id = 7, .cluster = "test"};

/* ---- values ---------------------------------------------------------------------------------- */

static size_t payload_of(floe_index index, floe_term term, char *out, size_t cap)
{
    size_t len = (size_t)(index * 37 + term * 11) % 150;
    assert_true(len < cap);
    memset(out, (int)('a' + (index + term) % 26), len);
    return len;
}

static struct floe_entry entry_make(floe_index index, floe_term term)
{
    char data[160];
    size_t len = payload_of(index, term, data, sizeof data);
    return (struct floe_entry){.index = index, .term = term, .data = floe_blob_new(data, len)};
}

static struct state *state_next(struct run *run)
{
    assert_true(run->state_count > 0 && run->state_count < STATES_MAX);
    run->states[run->state_count] = run->states[run->state_count - 1];
    run->positions[run->state_count] = UINT64_MAX;
    return &run->states[run->state_count++];
}

static void settle_positions(struct run *run)
{
    for (size_t i = run->state_count; i-- > 0 && run->positions[i] == UINT64_MAX;)
        run->positions[i] = wal_appended(run->wal);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static enum err step_append(struct run *run, const struct step *step)
{
    struct floe_entry entries[INDEX_MAX];
    for (size_t i = 0; i < step->count; i++) {
        floe_index index = step->index + i;
        entries[i] = entry_make(index, step->term);
        struct state *state = state_next(run);
        for (floe_index j = index; j <= state->last; j++)
            state->term[j] = 0;
        state->term[index] = step->term;
        state->last = index;
    }
    struct state *state = state_next(run);
    state->hard_state = (struct floe_hard_state){step->term, 7, state->mark};
    enum err err = wal_append(run->wal, &state->hard_state, entries, step->count);
    for (size_t i = 0; i < step->count; i++)
        floe_entry_deinit(&entries[i]);
    return err;
}

static enum err step_mark(struct run *run, const struct step *step)
{
    struct state *state = state_next(run);
    bool keep = step->count != 0;
    for (floe_index i = 0; i < INDEX_MAX; i++)
        if (!keep || i <= step->index)
            state->term[i] = 0;
    if (!keep || step->index > state->last)
        state->last = step->index;
    state->mark = step->index;
    state->mark_term = step->term;
    return wal_mark_snapshot(run->wal, step->index, step->term, keep);
}

static enum err poll(struct run *run)
{
    struct fs fs = mem_fs_table(run->disk);
    enum err err = ERR_OK;
    uint64_t token;
    enum err outcome;
    while (err == ERR_OK && fs.ops->sync_poll(fs.ctx, &token, &outcome))
        err = wal_sync_finished(run->wal, token, outcome);
    return err;
}

static enum err step_run(struct run *run, const struct step *step)
{
    enum err err = ERR_OK;
    switch (step->kind) {
    case APPEND: err = step_append(run, step); break;
    case SYNC:
        err = wal_sync_start(run->wal);
        if (err == ERR_OK)
            err = poll(run);
        break;
    case SYNC_START: err = wal_sync_start(run->wal); break;
    case POLL: err = poll(run); break;
    case MARK: err = step_mark(run, step); break;
    case RELEASE: err = wal_release(run->wal, step->index); break;
    case PREPARE: err = wal_prepare(run->wal); break;
    case SYNC_NOW: err = wal_sync_now(run->wal); break;
    }
    if (err == ERR_OK)
        settle_positions(run);
    return err;
}

static struct wal_options options_for(struct mem_fs *disk)
{
    return (struct wal_options){
        .fs = mem_fs_table(disk), .first_segment_bytes = 700, .segment_bytes = 1000,
        .short_segment_bytes = 400};
}

static void run_script(struct run *run, const struct step *steps, size_t count)
{
    struct wal_options options = options_for(run->disk);
    struct wal_recovered recovered;
    run->state_count = 1;
    if (wal_open(&options, &run->wal, &recovered, NULL) != ERR_OK) {
        run->wal = NULL;
        return;
    }
    assert_true(recovered.fresh);
    wal_recovered_deinit(&recovered);
    run->created = wal_create(run->wal, &meta) == ERR_OK;
    run->positions[0] = run->created ? wal_appended(run->wal) : UINT64_MAX;
    enum err err = run->created ? ERR_OK : ERR_IO;
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = step_run(run, &steps[i]);
}

/* ---- what must hold -------------------------------------------------------------------------- */

static bool state_equals(const struct state *state, const struct wal_recovered *found)
{
    if (found->snapshot_index != state->mark || found->snapshot_term != state->mark_term ||
        found->hard_state.term != state->hard_state.term ||
        found->hard_state.vote != state->hard_state.vote ||
        found->hard_state.commit != state->hard_state.commit ||
        found->entry_count != state->last - state->mark)
        return false;
    for (size_t i = 0; i < found->entry_count; i++) {
        const struct floe_entry *entry = &found->entries[i];
        char data[160];
        assert_int_equal(entry->index, state->mark + 1 + i);
        if (entry->term != state->term[entry->index])
            return false;
        size_t len = payload_of(entry->index, entry->term, data, sizeof data);
        assert_int_equal(floe_blob_size(entry->data), len);
        assert_memory_equal(floe_blob_data(entry->data), data, len);
    }
    return true;
}

static size_t durable_states(const struct run *run, uint64_t durable)
{
    size_t count = 0;
    while (count < run->state_count && run->positions[count] <= durable)
        count++;
    return count;
}

/* The state that was found, or a failed test. */
static const struct state *check_found(const struct run *run, size_t durable,
                                       const struct wal_recovered *found)
{
    static const struct state nothing;
    if (found->fresh) {
        assert_false(run->created);
        return &nothing;
    }
    assert_int_equal(found->meta.id, meta.id);
    assert_string_equal(found->meta.cluster, meta.cluster);
    size_t first = durable > 0 ? durable - 1 : 0;
    for (size_t i = run->state_count; i-- > first;)
        if (state_equals(&run->states[i], found))
            return &run->states[i];
    fail_msg("what was found is no state from %zu of %zu on", first, run->state_count);
    return NULL;
}

static struct wal *reopen(struct mem_fs *disk, struct wal_recovered *found)
{
    struct wal_options options = options_for(disk);
    struct buf why = {0};
    struct wal *wal = NULL;
    enum err err = wal_open(&options, &wal, found, &why);
    if (err != ERR_OK)
        fail_msg("%s: %s", err_str(err), buf_str(&why));
    buf_deinit(&why);
    return wal;
}

/* New records behind a cut tail, and nothing but them after the next power cut. */
static void check_continues(struct run *run, struct wal *wal, const struct state *state,
                            struct prng *prng)
{
    struct run next = {.disk = run->disk, .wal = wal, .state_count = 1};
    next.states[0] = *state;
    struct step more = {APPEND, state->last + 1, 2, 9};
    if (wal_segment_count(wal) == 0)
        assert_int_equal(wal_create(wal, &meta), ERR_OK);
    assert_int_equal(wal_durable(wal), wal_appended(wal));
    assert_int_equal(step_run(&next, &more), ERR_OK);
    assert_int_equal(step_run(&next, &(struct step){.kind = SYNC}), ERR_OK);
    assert_int_equal(wal_durable(wal), wal_appended(wal));
    wal_close(wal);
    mem_fs_crash(run->disk, (enum mem_fs_crash)prng_below(prng, MEM_FS_CRASH_COUNT), prng);
    struct wal_recovered found;
    wal_close(reopen(run->disk, &found));
    assert_true(state_equals(&next.states[next.state_count - 1], &found));
    wal_recovered_deinit(&found);
}

/* Opening may itself be cut off, several times. */
static void crash_while_opening(struct run *run, struct prng *prng)
{
    for (int i = 0; i < 2; i++) {
        struct wal_options options = options_for(run->disk);
        struct wal_recovered found;
        struct wal *wal;
        mem_fs_stop_at(run->disk, 1 + (unsigned)prng_below(prng, 8));
        enum err err = wal_open(&options, &wal, &found, NULL);
        assert_true(err == ERR_OK || err == ERR_IO);
        if (err == ERR_OK) {
            wal_recovered_deinit(&found);
            wal_close(wal);
        }
        assert_int_equal(mem_fs_open_files(run->disk), 0);
        mem_fs_crash(run->disk, (enum mem_fs_crash)prng_below(prng, MEM_FS_CRASH_COUNT), prng);
    }
}

/* False: the script ended before operation n. With a room for the disk it may end for want of it;
 * there is more at the latest when something is to be written again. */
static bool crash_at(const struct script *script, unsigned n, enum mem_fs_crash kind,
                     struct prng *prng)
{
    struct run *run = mem_calloc(1, sizeof *run);
    run->disk = mem_fs_new();
    mem_fs_set_capacity(run->disk, script->room);
    mem_fs_stop_at(run->disk, n);
    run_script(run, script->steps, script->count);
    bool reached = mem_fs_operations(run->disk) >= n;
    size_t durable = 0;
    if (run->wal != NULL) {
        if (run->created)
            durable = durable_states(run, wal_durable(run->wal));
        wal_close(run->wal);
    }
    mem_fs_crash(run->disk, kind, prng);
    if (prng_below(prng, 3) == 0)
        crash_while_opening(run, prng);
    struct wal_recovered found;
    struct wal *wal = reopen(run->disk, &found);
    assert_true(mem_fs_count(run->disk, ".spare") <= 1);
    const struct state *state = check_found(run, durable, &found);
    wal_recovered_deinit(&found);
    mem_fs_set_capacity(run->disk, 0);
    check_continues(run, wal, state, prng);
    mem_fs_free(run->disk);
    mem_free(run);
    return reached;
}

static void crash_everywhere_in(const struct script *script)
{
    bool reached = true;
    for (unsigned n = 1; reached; n++) {
        for (int kind = 0; kind < MEM_FS_CRASH_COUNT; kind++) {
            int tries = kind == MEM_FS_PREFIX || kind == MEM_FS_SCATTER ? 6 : 1;
            for (int i = 0; i < tries; i++) {
                struct prng prng = {seed_given + n * 1000 + (uint64_t)(kind * 10 + i)};
                reached = crash_at(script, n, (enum mem_fs_crash)kind, &prng);
            }
        }
    }
}

static void crash_everywhere(const struct step *steps, size_t count)
{
    print_message("seed %llu\n", (unsigned long long)seed_given);
    crash_everywhere_in(&(struct script){.steps = steps, .count = count});
}

/* ---- workloads ------------------------------------------------------------------------------- */

/* Each append is synced before the next; snapshots, release, replaced suffixes. */
static void test_wal_crash_synced_steps_keep_their_promise(void **arg)
{
    (void)arg;
    static const struct step steps[] = {
        {APPEND, 1, 3, 1},  {SYNC, 0, 0, 0},    {APPEND, 4, 4, 1},  {SYNC, 0, 0, 0},
        {PREPARE, 0, 0, 0}, {APPEND, 8, 4, 2},  {SYNC, 0, 0, 0},    {APPEND, 10, 3, 3},
        {SYNC, 0, 0, 0},    {MARK, 6, 1, 1},    {SYNC, 0, 0, 0},    {RELEASE, 6, 0, 0},
        {PREPARE, 0, 0, 0}, {APPEND, 13, 9, 3}, {SYNC, 0, 0, 0},    {MARK, 15, 1, 3},
        {SYNC, 0, 0, 0},    {RELEASE, 15, 0, 0}, {PREPARE, 0, 0, 0}, {PREPARE, 0, 0, 0},
        {APPEND, 22, 6, 4}, {SYNC_NOW, 0, 0, 0}, {MARK, 40, 0, 5},   {SYNC, 0, 0, 0},
        {RELEASE, 40, 0, 0}, {PREPARE, 0, 0, 0}, {APPEND, 41, 4, 5}, {SYNC_NOW, 0, 0, 0},
    };
    crash_everywhere(steps, sizeof steps / sizeof *steps);
}

/* Much is appended between start and end of a sync, over several segments. */
static void test_wal_crash_batches_over_rotations_keep_their_promise(void **arg)
{
    (void)arg;
    static const struct step steps[] = {
        {APPEND, 1, 2, 1},   {SYNC_START, 0, 0, 0}, {APPEND, 3, 14, 1},  {POLL, 0, 0, 0},
        {PREPARE, 0, 0, 0},  {SYNC_START, 0, 0, 0}, {APPEND, 12, 12, 2}, {APPEND, 20, 8, 3},
        {POLL, 0, 0, 0},     {APPEND, 28, 10, 3},   {PREPARE, 0, 0, 0},  {MARK, 18, 1, 2},
        {SYNC_START, 0, 0, 0}, {RELEASE, 18, 0, 0}, {POLL, 0, 0, 0},     {RELEASE, 18, 0, 0},
        {APPEND, 30, 14, 4}, {PREPARE, 0, 0, 0},    {SYNC_NOW, 0, 0, 0}, {APPEND, 44, 6, 4},
    };
    crash_everywhere(steps, sizeof steps / sizeof *steps);
}

/* The mark stands in a segment that may go once the head of the next one is durable, not before. */
static void test_wal_crash_release_behind_a_new_head_keeps_the_state(void **arg)
{
    (void)arg;
    static const struct step steps[] = {
        {APPEND, 1, 3, 1}, {SYNC, 0, 0, 0},   {MARK, 3, 1, 1},    {SYNC, 0, 0, 0},
        {APPEND, 4, 0, 2}, {APPEND, 4, 0, 3}, {APPEND, 4, 0, 4},  {APPEND, 4, 0, 5},
        {APPEND, 4, 0, 6}, {APPEND, 4, 0, 7}, {RELEASE, 3, 0, 0}, {PREPARE, 0, 0, 0},
        {SYNC, 0, 0, 0},   {RELEASE, 3, 0, 0}, {APPEND, 4, 0, 8}, {SYNC_NOW, 0, 0, 0},
    };
    crash_everywhere(steps, sizeof steps / sizeof *steps);
}

/* Segments that are used again, twice: what is left in them is never taken for what is written. */
static void test_wal_crash_over_recycled_segments_keeps_the_promise(void **arg)
{
    (void)arg;
    static const struct step steps[] = {
        {APPEND, 1, 14, 1},  {SYNC, 0, 0, 0},     {MARK, 13, 1, 1},    {SYNC, 0, 0, 0},
        {RELEASE, 13, 0, 0}, {PREPARE, 0, 0, 0},  {PREPARE, 0, 0, 0},  {APPEND, 15, 4, 1},
        {SYNC, 0, 0, 0},     {APPEND, 18, 6, 2},  {SYNC_START, 0, 0, 0}, {APPEND, 24, 6, 2},
        {POLL, 0, 0, 0},     {SYNC, 0, 0, 0},     {MARK, 28, 1, 2},    {SYNC, 0, 0, 0},
        {RELEASE, 28, 0, 0}, {PREPARE, 0, 0, 0},  {PREPARE, 0, 0, 0},  {APPEND, 30, 9, 2},
        {SYNC, 0, 0, 0},     {APPEND, 36, 9, 3},  {SYNC_NOW, 0, 0, 0}, {MARK, 43, 1, 3},
        {SYNC, 0, 0, 0},     {RELEASE, 43, 0, 0}, {PREPARE, 0, 0, 0},  {APPEND, 45, 9, 4},
        {SYNC_START, 0, 0, 0}, {APPEND, 54, 5, 4}, {POLL, 0, 0, 0},    {SYNC_NOW, 0, 0, 0},
    };
    crash_everywhere(steps, sizeof steps / sizeof *steps);
}

/* From no room for the first head to room for all, in steps that meet every kind of segment: whole,
 * short, grown by writing; and writes that found no room. */
static void test_wal_crash_with_little_room_keeps_the_promise(void **arg)
{
    (void)arg;
    static const struct step steps[] = {
        {APPEND, 1, 3, 1},   {SYNC, 0, 0, 0},    {APPEND, 4, 3, 1},       {PREPARE, 0, 0, 0},
        {SYNC_START, 0, 0, 0}, {APPEND, 7, 3, 1}, {POLL, 0, 0, 0},        {APPEND, 9, 3, 2},
        {SYNC, 0, 0, 0},     {MARK, 8, 1, 1},    {SYNC, 0, 0, 0},         {RELEASE, 8, 0, 0},
        {PREPARE, 0, 0, 0},  {APPEND, 12, 4, 2}, {SYNC, 0, 0, 0},         {APPEND, 16, 4, 2},
        {SYNC_NOW, 0, 0, 0}, {MARK, 17, 1, 2},   {SYNC, 0, 0, 0},         {RELEASE, 17, 0, 0},
        {PREPARE, 0, 0, 0},  {APPEND, 20, 4, 3}, {SYNC_NOW, 0, 0, 0},
    };
    print_message("seed %llu\n", (unsigned long long)seed_given);
    struct script script = {.steps = steps, .count = sizeof steps / sizeof *steps};
    for (script.room = 40; script.room < 4000; script.room += script.room < 2200 ? 173 : 450)
        crash_everywhere_in(&script);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed_given = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wal_crash_synced_steps_keep_their_promise),
        cmocka_unit_test(test_wal_crash_batches_over_rotations_keep_their_promise),
        cmocka_unit_test(test_wal_crash_release_behind_a_new_head_keeps_the_state),
        cmocka_unit_test(test_wal_crash_over_recycled_segments_keeps_the_promise),
        cmocka_unit_test(test_wal_crash_with_little_room_keeps_the_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
