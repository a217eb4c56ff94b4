/*
 * A load of HTTP requests on keep-alive connections of one thread, for comparing servers.
 *
 *   load PORT KIND CLIENTS SECONDS [SIZE [KEYS]]
 *
 * KIND: put, get (floe's and the bare server's form), v3put, v3get (etcd's JSON); lines (POST
 * /kv/), v3txn: many puts a request, KEYS of them, with keys of 16 bytes. Each client sends its
 * next request when it has the answer to the last. SIZE bytes a value (100), KEYS different keys
 * (10000). Prints one line of JSON: answers a second, latency in us at p50 p90 p99 p99.9 max,
 * answers that were not 2xx. The first half second is not counted. Get kinds write their keys
 * first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 4096
#define WARM_UP_US 500000
#define ANSWER_MAX (1 << 20)
#define BUCKETS 4096 /* latency: 32 a power of two */

struct client {
    int fd;
    char *out;
    size_t out_len;
    size_t out_done;
    char *in; /* head, and body of chunked answers */
    size_t in_len;
    uint64_t sent_us;
};

static struct client clients[CLIENTS_MAX];
static int epoll_fd;
static const char *kind;
static size_t value_bytes = 100, key_count = 10000;
static uint16_t port;
static uint64_t counter, answers, failures, max_us, begin_us;
static uint64_t buckets[BUCKETS];
static char *value_text;        /* as it goes into the request */
#define BULK_BODIES 32          /* made before, then sent again and again */
static char *bulk[BULK_BODIES]; /* NULL: one key a request */
static size_t bulk_len[BULK_BODIES];
static uint64_t fill_left; /* keys still to be written before a get kind begins */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static size_t base64(char *out, const char *in, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)(uint8_t)in[i] << 16;
        v |= i + 1 < len ? (uint32_t)(uint8_t)in[i + 1] << 8 : 0;
        v |= i + 2 < len ? (uint32_t)(uint8_t)in[i + 2] : 0;
        out[at++] = digits[v >> 18];
        out[at++] = digits[v >> 12 & 63];
        out[at++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
        out[at++] = i + 2 < len ? digits[v & 63] : '=';
    }
    out[at] = 0;
    return at;
}

static bool is_bulk(void)
{
    return strcmp(kind, "lines") == 0 || strcmp(kind, "v3txn") == 0;
}

/* One body with key_count puts. */
static size_t make_bulk(char *out, size_t number)
{
    bool is_txn = kind[0] == 'v';
    char key[32];
    char key64[64];
    size_t len = is_txn ? (size_t)sprintf(out, "{\"success\":[") : 0;
    for (size_t i = 0; i < key_count; i++) {
        int key_len = snprintf(key, sizeof key, "key-%04zu-%07zu", number % 10000, i % 10000000);
        (void)base64(key64, key, (size_t)key_len);
        len += (size_t)(is_txn ? sprintf(out + len,
                                         "%s{\"request_put\":{\"key\":\"%s\",\"value\":\"%s\"}}",
                                         i > 0 ? "," : "", key64, value_text)
                               : sprintf(out + len, "{\"key\":\"%s\",\"value\":\"%s\"}\n", key,
                                         value_text));
    }
    return is_txn ? len + (size_t)sprintf(out + len, "]}") : len;
}

static void make_bulks(void)
{
    for (size_t i = 0; i < BULK_BODIES; i++) {
        bulk[i] = malloc((value_bytes * 2 + 128) * key_count + 64);
        if (bulk[i] == NULL)
            die("malloc");
        bulk_len[i] = make_bulk(bulk[i], i);
    }
}

static void make_bulk_request(struct client *c)
{
    size_t number = counter++ % BULK_BODIES;
    int head = sprintf(c->out, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                       kind[0] == 'v' ? "/v3/kv/txn" : "/kv/", bulk_len[number]);
    memcpy(c->out + head, bulk[number], bulk_len[number]);
    c->out_len = (size_t)head + bulk_len[number];
    c->out_done = 0;
    c->in_len = 0;
}

static void make_request(struct client *c, bool write)
{
    if (bulk[0] != NULL) {
        make_bulk_request(c);
        return;
    }
    char key[32];
    char key64[64];
    char *body = c->out + 256;
    size_t body_len = 0;
    const char *method = write ? "PUT" : "GET";
    char path[64];
    uint64_t n = counter++;
    int key_len = snprintf(key, sizeof key, "key-%08llu", (unsigned long long)(n % key_count));
    if (kind[0] == 'v') {
        method = "POST";
        (void)snprintf(path, sizeof path, "/v3/kv/%s", write ? "put" : "range");
        (void)base64(key64, key, (size_t)key_len);
        body_len =
            write ? (size_t)sprintf(body, "{\"key\":\"%s\",\"value\":\"%s\"}", key64, value_text)
                  : (size_t)sprintf(body, "{\"key\":\"%s\"}", key64);
    } else {
        (void)snprintf(path, sizeof path, "/%s", key);
        if (write)
            body_len = (size_t)sprintf(body, "%s", value_text);
    }
    int head;
    if (body_len > 0)
        head = snprintf(c->out, 256,
                        "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n", method,
                        path, body_len);
    else
        head = snprintf(c->out, 256, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", method, path);
    memmove(c->out + head, body, body_len);
    c->out_len = (size_t)head + body_len;
    c->out_done = 0;
    c->in_len = 0;
}

static void send_more(struct client *c)
{
    while (c->out_done < c->out_len) {
        ssize_t n = write(c->fd, c->out + c->out_done, c->out_len - c->out_done);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            die("write");
        c->out_done += (size_t)n;
    }
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (c->out_done < c->out_len)
        ev.events |= EPOLLOUT;
    static uint32_t was[CLIENTS_MAX];
    uint32_t *last = &was[c - clients];
    if (*last != ev.events && epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &ev) != 0)
        die("epoll_ctl");
    *last = ev.events;
}

static void next_request(struct client *c, uint64_t now)
{
    bool fill = fill_left > 0;
    if (fill && --fill_left == 0)
        begin_us = now;
    bool write = fill || strstr(kind, "put") != NULL;
    make_request(c, write);
    c->sent_us = now;
    send_more(c);
}

/* Is the answer complete? Its end by Content-Length, by the last chunk, or by a status without a
 * body. */
static bool is_complete(const struct client *c)
{
    c->in[c->in_len] = 0;
    const char *end = strstr(c->in, "\r\n\r\n");
    if (end == NULL)
        return false;
    if (strncmp(c->in + 9, "204", 3) == 0)
        return true;
    size_t head = (size_t)(end - c->in) + 4;
    const char *length = strcasestr(c->in, "content-length:");
    if (length != NULL && length < end)
        return c->in_len >= head + strtoull(length + 15, NULL, 10);
    return c->in_len >= head + 5 && memcmp(c->in + c->in_len - 5, "0\r\n\r\n", 5) == 0;
}

static size_t bucket_of(uint64_t us)
{
    if (us < 64)
        return us;
    unsigned bits = 63 - (unsigned)__builtin_clzll(us);
    return 64 + (bits - 6) * 32 + (size_t)(us >> (bits - 5) & 31);
}

static uint64_t bucket_us(size_t bucket)
{
    if (bucket < 64)
        return bucket;
    unsigned bits = (unsigned)((bucket - 64) / 32 + 6);
    return (UINT64_C(1) << bits) + ((uint64_t)((bucket - 64) % 32) << (bits - 5));
}

static void on_answer(struct client *c, uint64_t now)
{
    if (fill_left == 0 && now - begin_us > WARM_UP_US) {
        uint64_t us = now - c->sent_us;
        answers++;
        failures += c->in[9] != '2';
        max_us = us > max_us ? us : max_us;
        buckets[bucket_of(us) < BUCKETS ? bucket_of(us) : BUCKETS - 1]++;
    }
    next_request(c, now);
}

static void on_readable(struct client *c)
{
    ssize_t n = read(c->fd, c->in + c->in_len, ANSWER_MAX - 1 - c->in_len);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("read (the server closed?)");
    c->in_len += (size_t)n;
    if (is_complete(c))
        on_answer(c, now_us());
}

static void connect_client(struct client *c)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    int one = 1;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->out = malloc(value_bytes * 2 + 1024 + (bulk[0] != NULL ? bulk_len[BULK_BODIES - 1] : 0));
    c->in = malloc(ANSWER_MAX);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (c->out == NULL || c->in == NULL || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        die("client");
}

static uint64_t percentile(double share)
{
    uint64_t want = (uint64_t)((double)answers * share);
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        if ((seen += buckets[i]) > want)
            return bucket_us(i);
    return max_us;
}

static void make_value(void)
{
    char *raw = malloc(value_bytes + 1);
    value_text = malloc(value_bytes * 2 + 16);
    if (raw == NULL || value_text == NULL)
        die("malloc");
    for (size_t i = 0; i < value_bytes; i++)
        raw[i] = (char)('a' + i % 26);
    raw[value_bytes] = 0;
    if (kind[0] == 'v')
        (void)base64(value_text, raw, value_bytes);
    else
        memcpy(value_text, raw, value_bytes + 1);
    free(raw);
}

static void run(size_t count, uint64_t run_us)
{
    begin_us = now_us();
    for (size_t i = 0; i < count; i++)
        next_request(&clients[i], now_us());
    while (fill_left > 0 || now_us() - begin_us < WARM_UP_US + run_us) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll_fd, events, 256, 100);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                send_more(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_readable(c);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr,
                "load PORT put|get|v3put|v3get|lines|v3txn CLIENTS SECONDS [SIZE [KEYS]]\n");
        return 2;
    }
    port = (uint16_t)atoi(argv[1]);
    kind = argv[2];
    size_t count = strtoul(argv[3], NULL, 10);
    double seconds = strtod(argv[4], NULL);
    value_bytes = argc > 5 ? strtoul(argv[5], NULL, 10) : value_bytes;
    key_count = argc > 6 ? strtoul(argv[6], NULL, 10) : key_count;
    if (count < 1 || count > CLIENTS_MAX || seconds <= 0 || key_count < 1) {
        fprintf(stderr, "load: CLIENTS is 1 to %d, SECONDS and KEYS over 0\n", CLIENTS_MAX);
        return 2;
    }
    make_value();
    if (is_bulk())
        make_bulks();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++)
        connect_client(&clients[i]);
    if (strstr(kind, "get") != NULL)
        fill_left = key_count;
    run(count, (uint64_t)(seconds * 1e6));
    printf("{\"per_s\": %.0f, \"p50\": %llu, \"p90\": %llu, \"p99\": %llu, \"p999\": %llu, "
           "\"max\": %llu, "
           "\"answers\": %llu, \"failures\": %llu}\n",
           (double)answers / seconds, (unsigned long long)percentile(0.5),
           (unsigned long long)percentile(0.9), (unsigned long long)percentile(0.99),
           (unsigned long long)percentile(0.999), (unsigned long long)max_us,
           (unsigned long long)answers, (unsigned long long)failures);
    return 0;
}
