/* The hub of watchers over a real store. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/watch.h"
#include "kv_node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct watch_hub *hub;
static uint64_t now_ms;
static size_t wakes;
static size_t encoded;
static char text[1 << 16]; /* what the last watcher has read */

static int begin(void **state)
{
    (void)state;
    kv_node_reset();
    hub = watch_hub_new(KV_NODE);
    now_ms = 1000;
    wakes = encoded = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    watch_hub_free(hub);
    kv_node_reset();
    kv_free(kv_node.kv);
    kv_node.kv = NULL;
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void put(struct buf *out, const struct kv_event *event, bool is_last)
{
    encoded++;
    buf_printf(out, "%s%.*s%" PRIu64 "%s ", event->item.version == 0 ? "-" : "",
               (int)event->item.key.len, (const char *)event->item.key.data,
               event->item.mod_revision, is_last ? "" : "+");
}

static const struct watch_form form = {.put = put};
static const struct watch_form no_puts = {.put = put, .no_put = true};
static const struct watch_form no_deletes = {.put = put, .no_delete = true};

static void on_wake(void *arg)
{
    (void)arg;
    wakes++;
}

static struct kv_bytes bytes(const char *s)
{
    return (struct kv_bytes){(const uint8_t *)s, strlen(s)};
}

static struct watcher *watch(const char *key, uint64_t from)
{
    struct kv_keys keys = {.key = bytes(key)};
    return watch_add(hub, &keys, &form, from, on_wake, NULL);
}

static struct watcher *watch_range(const char *from, const char *to, const struct watch_form *f)
{
    struct kv_keys keys = {.extent = KV_HALF_OPEN, .key = bytes(from), .end = bytes(to)};
    return watch_add(hub, &keys, f, 0, on_wake, NULL);
}

static void turn(void)
{
    now_ms += WATCH_GATHER_MS;
    watch_turn(hub, now_ms);
}

/* Everything there is for it, into text. */
static enum watch_read read_all(struct watcher *watcher)
{
    struct evbuffer *out = evbuffer_new();
    enum watch_read read;
    do
        read = watch_next(watcher, out);
    while (read == WATCH_EVENTS || read == WATCH_LATER);
    int len = (int)evbuffer_copyout(out, text, sizeof text - 1);
    text[len] = '\0';
    evbuffer_free(out);
    return read;
}

static void expect(struct watcher *watcher, const char *events)
{
    assert_int_equal(read_all(watcher), WATCH_NOTHING);
    assert_string_equal(text, events);
}

static void test_watch_gets_events_of_its_key_once_in_order(void **state)
{
    (void)state;
    (void)kv_node_put("a", "before");
    struct watcher *w = watch("a", 0);
    expect(w, "");
    (void)kv_node_put("a", "1");
    (void)kv_node_put("b", "1");
    (void)kv_node_put("a", NULL);
    turn();
    assert_true(wakes == 1);
    expect(w, "a3 -a5 ");
    expect(w, "");
    (void)kv_node_put("b", "2");
    turn();
    assert_true(wakes == 1); /* not its business */
    assert_true(watch_revision(w) == 6);
    (void)kv_node_put("a", "3");
    turn();
    expect(w, "a7 ");
    watch_remove(w);
}

static void test_watch_of_ranges_and_filters(void **state)
{
    (void)state;
    struct watcher *all = watch_range("a", "c", &form);
    struct watcher *deletes = watch_range("a", "c", &no_puts);
    struct watcher *puts = watch_range("a", "c", &no_deletes);
    (void)kv_node_put("a", "1");
    (void)kv_node_put("c", "1"); /* the end is exclusive */
    (void)kv_node_put("bbb", "1");
    (void)kv_node_put("a", NULL);
    turn();
    expect(all, "a2 bbb4 -a5 ");
    expect(deletes, "-a5 ");
    expect(puts, "a2 bbb4 ");
    watch_remove(all);
    watch_remove(deletes);
    watch_remove(puts);
}

static void test_watch_starts_in_the_past_or_in_the_future(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        (void)kv_node_put("a", "x"); /* 2 to 6 */
    struct watcher *past = watch("a", 4);
    struct watcher *future = watch("a", 9);
    expect(past, "a4 a5 a6 ");
    (void)kv_node_put("a", "x");
    turn();
    expect(past, "a7 ");
    expect(future, "");
    for (int i = 0; i < 3; i++)
        (void)kv_node_put("a", "x");
    turn();
    expect(past, "a8 a9 a10 ");
    expect(future, "a9 a10 ");
    watch_remove(past);
    watch_remove(future);
}

static void test_watchers_share_what_was_encoded(void **state)
{
    (void)state;
    struct watcher *list[100];
    for (size_t i = 0; i < 100; i++)
        list[i] = watch("a", 0);
    for (int round = 0; round < 3; round++) {
        (void)kv_node_put("other", "x");
        (void)kv_node_put("a", "x");
        (void)kv_node_put("a", "y");
        turn();
        for (size_t i = 0; i < 100; i++) {
            (void)read_all(list[i]);
            assert_true(strlen(text) > 0);
        }
    }
    assert_true(encoded == 6);
    assert_true(wakes == 300);
    for (size_t i = 0; i < 100; i++)
        watch_remove(list[i]);
}

static void test_slow_watcher_reads_everything_later(void **state)
{
    (void)state;
    struct watcher *slow = watch("a", 0);
    struct watcher *quick = watch("a", 0);
    char want[4096] = "";
    for (int i = 0; i < 200; i++) {
        (void)kv_node_put("a", "x");
        turn();
        char one[16];
        (void)snprintf(one, sizeof one, "a%d ", i + 2);
        expect(quick, one);
        (void)strcat(want, one);
    }
    assert_true(wakes == 201); /* the slow one once: it has not read since */
    expect(slow, want);
    watch_remove(slow);
    watch_remove(quick);
}

static void test_compacted_watcher_is_told(void **state)
{
    (void)state;
    struct watcher *slow = watch("a", 0);
    for (int i = 0; i < 10; i++)
        (void)kv_node_put("a", "x"); /* 2 to 11 */
    turn();
    struct watcher *synced = watch("a", 0);
    kv_node_compact(9);
    turn();
    assert_int_equal(read_all(slow), WATCH_COMPACTED);
    expect(synced, "");
    struct watcher *late = watch("a", 8);
    assert_int_equal(read_all(late), WATCH_COMPACTED);
    struct watcher *kept = watch("a", 9);
    expect(kept, "a9 a10 a11 ");
    (void)kv_node_put("a", "x");
    turn();
    expect(synced, "a12 ");
    watch_remove(slow);
    watch_remove(synced);
    watch_remove(late);
    watch_remove(kept);
}

static void test_watchers_go_on_in_another_store(void **state)
{
    (void)state;
    struct watcher *synced = watch("a", 0);
    struct watcher *behind = watch("a", 0);
    (void)kv_node_put("a", "x"); /* 2 */
    turn();
    expect(synced, "a2 ");
    (void)kv_node_put("a", "x"); /* 3: not looked at */
    kv_node_replace();
    turn();
    expect(synced, "a3 ");
    expect(behind, "a2 a3 ");
    (void)kv_node_put("a", "x");
    turn();
    expect(synced, "a4 ");
    expect(behind, "a4 ");
    watch_remove(synced);
    watch_remove(behind);
}

static void put_many(const char *const *keys, size_t count)
{
    struct kv_op ops[8];
    for (size_t i = 0; i < count; i++)
        ops[i] = (struct kv_op){.type = KV_OP_PUT, .put = {.key = bytes(keys[i])}};
    struct kv_op txn = {.type = KV_OP_TXN, .txn = {.success = ops, .success_count = count}};
    struct kv_command command = {.type = KV_COMMAND_OP, .ops = &txn, .op_count = 1};
    struct node_result result;
    node_write(KV_NODE, 1, &command, false, 0);
    assert_true(node_next_result(KV_NODE, &result));
    assert_int_equal(result.kv.status, KV_OK);
}

static void test_one_revision_comes_together(void **state)
{
    (void)state;
    struct watcher *w = watch_range("a", "c", &form);
    const char *keys[] = {"a", "b", "bb", "z"};
    put_many(keys, 4);
    turn();
    expect(w, "a2+ b2+ bb2 ");
    watch_remove(w);
}

static void test_rounds_gather_while_many_watch(void **state)
{
    (void)state;
    struct watcher *list[100];
    for (size_t i = 0; i < 100; i++)
        list[i] = watch("a", 0);
    (void)kv_node_put("a", "x");
    turn();
    assert_true(wakes == 100);
    for (size_t i = 0; i < 100; i++)
        (void)read_all(list[i]);
    (void)kv_node_put("a", "x");
    watch_turn(hub, now_ms + 1);
    assert_true(wakes == 100);
    assert_true(watch_deadline_ms(hub) == now_ms + WATCH_GATHER_MS);
    watch_turn(hub, now_ms + WATCH_GATHER_MS);
    assert_true(wakes == 200);
    assert_true(watch_deadline_ms(hub) == UINT64_MAX);
    for (size_t i = 0; i < 100; i++)
        watch_remove(list[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_watch_gets_events_of_its_key_once_in_order),
        TEST(test_watch_of_ranges_and_filters),
        TEST(test_watch_starts_in_the_past_or_in_the_future),
        TEST(test_watchers_share_what_was_encoded),
        TEST(test_slow_watcher_reads_everything_later),
        TEST(test_compacted_watcher_is_told),
        TEST(test_watchers_go_on_in_another_store),
        TEST(test_one_revision_comes_together),
        TEST(test_rounds_gather_while_many_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
