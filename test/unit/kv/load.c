/* Loads many keys in batches, reads them back through a snapshot, and says what it cost. Not a
 * test; times are those of the processor: build/release/test/unit/kv/kv_load [KEYS] [shuffled]. */
#include "base/mem.h"
#include "kv/kv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 1000, KEY_BYTES = 32, VALUE_BYTES = 100, READS = 2000, DELETES = 8192 };

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %lu", &pages) != 1)
        return 0;
    (void)fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void encode_batch(struct buf *out, uint64_t first, uint64_t keys, bool shuffled)
{
    static char key[BATCH][KEY_BYTES + 8];
    static uint8_t value[VALUE_BYTES];
    static struct kv_op ops[BATCH];
    for (uint64_t i = 0; i < BATCH; i++) {
        uint64_t number = first + i;
        if (shuffled) /* a number that has no factor in common with the count of keys */
            number = number * 7919 % keys;
        (void)snprintf(key[i], sizeof key[i], "/registry/pods/%017" PRIu64, number);
        ops[i] = (struct kv_op){
            .type = KV_OP_PUT,
            .put = {.key = {(const uint8_t *)key[i], KEY_BYTES}, .value = {value, VALUE_BYTES}}};
    }
    struct kv_command command = {.type = KV_COMMAND_BATCH, .ops = ops, .op_count = BATCH};
    buf_clear(out);
    kv_command_encode(out, &command);
}

static void load(struct kv *kv, uint64_t keys, bool shuffled)
{
    struct buf bytes = {0};
    double busy = 0;
    double longest = 0;
    double before = resident_bytes();
    for (uint64_t first = 0; first < keys; first += BATCH) {
        encode_batch(&bytes, first, keys, shuffled);
        double start = seconds();
        struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 1, false);
        double took = seconds() - start;
        kv_result_deinit(&result);
        busy += took;
        longest = took > longest ? took : longest;
    }
    double count = (double)kv_count(kv);
    printf("%.0f keys: %.0f /s, longest batch of %d %.1f ms\n", count, (double)keys / busy, BATCH,
           longest * 1e3);
    printf("bytes a key beside key and value: %.1f resident, %.1f as the store counts\n",
           (resident_bytes() - before) / count - KEY_BYTES - VALUE_BYTES,
           (double)kv_memory_bytes(kv) / count - KEY_BYTES - VALUE_BYTES);
    printf("bytes a put in the log, beside: %.1f\n",
           (double)bytes.len / BATCH - KEY_BYTES - VALUE_BYTES);
    buf_deinit(&bytes);
}

static void snapshot(struct kv *kv)
{
    struct kv_view *view = kv_view_new(kv);
    struct kv_loader *loader = kv_loader_new();
    struct buf slice = {0};
    double reading = 0;
    double longest = 0;
    double loading = 0;
    double size = 0;
    for (bool done = false; !done;) {
        buf_clear(&slice);
        double start = seconds();
        done = kv_view_read(view, &slice, 256 << 10);
        double middle = seconds();
        if (kv_loader_feed(loader, slice.data, slice.len) != ERR_OK)
            abort();
        reading += middle - start;
        longest = middle - start > longest ? middle - start : longest;
        loading += seconds() - middle;
        size += (double)slice.len;
    }
    struct kv *copy = NULL;
    if (kv_loader_finish(loader, &copy) != ERR_OK || kv_hash(copy) != kv_hash(kv))
        abort();
    printf("snapshot of %.0f MB: read in %.2f s, longest slice %.1f ms; loaded in %.2f s\n",
           size / 1e6, reading, longest * 1e3, loading);
    kv_view_free(view);
    kv_loader_free(loader);
    kv_free(copy);
    buf_deinit(&slice);
}

/* All keys written once more, then compacted: what the slices take. */
static void compact(struct kv *kv, uint64_t keys, bool shuffled)
{
    struct buf bytes = {0};
    for (uint64_t first = 0; first < keys; first += BATCH) {
        encode_batch(&bytes, first, keys, shuffled);
        struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 1, false);
        kv_result_deinit(&result);
    }
    struct kv_command command = {.type = KV_COMMAND_COMPACT, .number = kv_revision(kv)};
    buf_clear(&bytes);
    kv_command_encode(&bytes, &command);
    double history = (double)kv_history_bytes(kv);
    struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 1, false);
    kv_result_deinit(&result);
    double longest = 0;
    double all = 0;
    for (bool more = true; more;) {
        double start = seconds();
        more = kv_tidy(kv, 4096);
        double took = seconds() - start;
        longest = took > longest ? took : longest;
        all += took;
    }
    printf("compaction of %.0f MB to %.0f MB: %.2f s, longest slice of 4096 %.1f ms\n",
           history / 1e6, (double)kv_history_bytes(kv) / 1e6, all, longest * 1e3);
    buf_deinit(&bytes);
}

/* ---- what would be long at once -------------------------------------------------------------- */

struct slices {
    double start;
    double longest;
    double all;
};

static void slice_ends(struct slices *slices)
{
    double now = seconds();
    double took = now - slices->start;
    slices->all += took;
    slices->longest = took > slices->longest ? took : slices->longest;
    slices->start = now;
}

static size_t write_sorted(struct kv_sorter *sorter, struct slices *slices)
{
    struct kv_item item;
    size_t given = 0;
    for (bool done = false; !done; slice_ends(slices)) {
        size_t budget = READS;
        done = kv_sorter_sort(sorter, &budget);
    }
    for (; kv_sorter_peek(sorter, &item); kv_sorter_pop(sorter)) {
        if (++given % READS == 0)
            slice_ends(slices);
    }
    return given;
}

/* Counts if it has no order. */
static void range_in_slices(const struct kv *kv, const char *what, const struct kv_range *range)
{
    struct kv_keys all = {.extent = KV_FROM_KEY, .key = {(const uint8_t *)"", 1}};
    struct kv_sorter *sorter = range->sort != KV_BY_KEY ? kv_sorter_new(range) : NULL;
    struct kv_cursor *cursor;
    struct kv_item item;
    struct slices slices = {.start = seconds()};
    size_t count = 0;
    if (kv_cursor_open(kv, &all, range->revision, false, &cursor) != KV_OK)
        abort();
    enum kv_step step = KV_STEP_PAUSE;
    for (; step != KV_STEP_END; slice_ends(&slices)) {
        size_t budget = READS;
        while ((step = kv_cursor_next(kv, cursor, &budget, &item)) == KV_STEP_ITEM) {
            count++;
            if (sorter != NULL)
                kv_sorter_add(sorter, cursor);
        }
    }
    size_t budget = SIZE_MAX;
    size_t given = sorter != NULL ? write_sorted(sorter, &slices) : 0;
    if (sorter != NULL)
        (void)kv_sorter_free_some(sorter, &budget);
    kv_cursor_free(cursor);
    printf("%s: %.1f ms for %zu keys, %zu given, longest slice of %d %.1f ms\n", what,
           slices.all * 1e3, count, given, READS, slices.longest * 1e3);
}

/* All keys, as a turn of the node does it. */
static void write_in_slices(struct kv *kv, const char *what, const struct kv_command *command)
{
    struct buf bytes = {0};
    uint64_t keys = kv_count(kv);
    kv_command_encode(&bytes, command);
    struct kv_log_entry entry = {.command = bytes.data, .len = bytes.len, .term = 1};
    struct kv_result result;
    struct slices slices = {.start = seconds()};
    bool begun = false;
    for (bool done = false; !done; begun = true) {
        size_t budget = DELETES;
        done = begun ? kv_apply_go_on(kv, &budget, &result)
                     : kv_apply_begin(kv, &entry, &budget, &result);
        slice_ends(&slices);
    }
    if (result.status != KV_OK)
        abort();
    printf("%s of %" PRIu64 " keys: %.1f ms, longest slice of %d %.1f ms\n", what,
           keys - kv_count(kv), slices.all * 1e3, DELETES, slices.longest * 1e3);
    kv_result_deinit(&result);
    buf_deinit(&bytes);
}

static void write_one(struct kv *kv, const struct kv_command *command)
{
    struct buf bytes = {0};
    kv_command_encode(&bytes, command);
    struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 1, false);
    if (result.status != KV_OK)
        abort();
    kv_result_deinit(&result);
    buf_deinit(&bytes);
}

static struct kv_op put_of(const char *key)
{
    struct kv_bytes bytes = {(const uint8_t *)key, KEY_BYTES};
    return (struct kv_op){.type = KV_OP_PUT, .put = {.key = bytes}};
}

static void in_slices(struct kv *kv, uint64_t keys)
{
    static struct kv_op ops[BATCH];
    static char key[BATCH][KEY_BYTES + 8];
    struct kv_keys all = {.extent = KV_FROM_KEY, .key = {(const uint8_t *)"", 1}};
    struct kv_op del = {.type = KV_OP_DELETE, .del = {.keys = all}};
    struct kv_op grant = {.type = KV_OP_GRANT, .grant = {.id = 1, .ttl_s = 10}};
    struct kv_lease_time lease = {.id = 1};
    struct kv_op one = {.type = KV_OP_PUT, .put = {.key = {(const uint8_t *)"a", 1}}};
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &one, .op_count = 1};
    write_one(kv, &command);
    command.ops = &del;
    struct kv_range range = {.revision = kv_revision(kv) - 1};
    range_in_slices(kv, "count of an old revision", &range);
    range = (struct kv_range){.sort = KV_BY_VALUE, .order = KV_DESCEND, .limit = 1};
    range_in_slices(kv, "the last one by value", &range);
    range = (struct kv_range){.sort = KV_BY_MOD, .order = KV_DESCEND};
    range_in_slices(kv, "all by revision, descending", &range);
    write_in_slices(kv, "delete", &command);
    command.ops = &grant;
    write_one(kv, &command);
    for (uint64_t first = 0; first < keys; first += BATCH) {
        for (uint64_t i = 0; i < BATCH; i++) {
            (void)snprintf(key[i], sizeof key[i], "/registry/pods/%017" PRIu64, first + i);
            ops[i] = put_of(key[i]);
            ops[i].put.lease = 1;
        }
        struct buf bytes = {0};
        struct kv_command batch = {.type = KV_COMMAND_BATCH, .ops = ops, .op_count = BATCH};
        kv_command_encode(&bytes, &batch);
        struct kv_result result = kv_apply(kv, bytes.data, bytes.len, 1, false);
        kv_result_deinit(&result);
        buf_deinit(&bytes);
    }
    command = (struct kv_command){.type = KV_COMMAND_REVOKE, .leases = &lease, .lease_count = 1};
    write_in_slices(kv, "revoke", &command);
}

int main(int argc, char **argv)
{
    uint64_t keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    bool shuffled = argc > 2;
    keys -= keys % BATCH;
    struct kv *kv = kv_new();
    load(kv, keys, shuffled);
    snapshot(kv);
    compact(kv, keys, shuffled);
    in_slices(kv, keys);
    kv_free(kv);
    return 0;
}
