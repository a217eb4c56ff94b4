/* Random bytes and random frames into links: whatever comes, the set lives on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "net.h"
#include "peer/frame.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 3000

static uint64_t seed = 20260801;

static void put_random_frame(struct prng *prng, struct buf *out)
{
    uint8_t payload[64];
    size_t len = prng_below(prng, sizeof payload);
    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)prng_next(prng);
    struct record record = {.type = (uint8_t)(1 + prng_below(prng, 12)),
                            .index = prng_below(prng, 300),
                            .payload = payload,
                            .payload_len = len};
    if (prng_below(prng, 4) == 0)
        buf_add(out, payload, len);
    else
        record_put(out, &record);
}

static void put_hello(struct prng *prng, struct buf *out)
{
    struct peer_hello hello = {.version = PEER_PROTOCOL_VERSION,
                               .from = 1 + prng_below(prng, 3),
                               .to = 1 + prng_below(prng, 2),
                               .lane = prng_below(prng, 4),
                               .cluster = "c",
                               .cluster_len = prng_below(prng, 8) == 0 ? 0 : 1,
                               .name = "\n\x80\xff",
                               .name_len = 3};
    peer_frame_put_hello(out, &hello);
}

static void run_round(struct prng *prng)
{
    struct net net;
    net_init(&net);
    net_start(&net, 1, "c");
    peer_set_put(net.set[1], 2, "n2:1");
    for (unsigned link = 0; link < 3; link++) {
        struct net_wire *wire = net_dial(&net, 1);
        struct buf bytes = {0};
        if (prng_below(prng, 8) != 0)
            put_hello(prng, &bytes);
        for (uint64_t i = prng_below(prng, 6); i > 0; i--)
            put_random_frame(prng, &bytes);
        if (prng_below(prng, 3) == 0 && bytes.len > 0)
            bytes.data[prng_below(prng, bytes.len)] ^= (uint8_t)(1u << prng_below(prng, 8));
        struct evbuffer *input = evbuffer_new();
        for (size_t at = 0; at < bytes.len;) {
            size_t piece = 1 + prng_below(prng, bytes.len - at);
            evbuffer_add(input, bytes.data + at, piece);
            peer_set_on_input(net.set[1], wire->end[1].link, input, net.now_ms);
            at += piece;
        }
        evbuffer_free(input);
        buf_deinit(&bytes);
        net_run(&net, 20);
    }
    net_deinit(&net);
}

static void test_links_with_random_bytes_never_crash(void **state)
{
    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    struct prng prng = {seed};
    for (unsigned i = 0; i < ROUNDS; i++)
        run_round(&prng);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links_with_random_bytes_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
