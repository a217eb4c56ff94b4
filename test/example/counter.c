/*
 * A replicated counter: all that it takes to use the library, on an event loop of your own.
 *
 *   counter ID COUNT PORT DIR     member ID of COUNT; listens on UDP port PORT + ID; log in DIR
 *
 * Each line on standard input adds one to the counter, at whichever member it is typed; each
 * member prints the value whenever it changes. The log is one file, synced before anything that
 * depends on it leaves. Messages are datagrams: Raft does not mind when one is lost. Nothing is
 * ever compacted, so there are no snapshots to send (floed shows how that is done).
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <floe/raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 50
#define DATAGRAM_MAX 60000

struct counter {
    struct floe_raft *raft;
    struct floe_memstore *store; /* the log as the core reads it; the file is what survives */
    int log_fd;
    int udp_fd;
    unsigned port;
    unsigned long value;
};

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* ---- bytes: numbers in host order, since all members run on one machine ------------------------- */

static uint8_t *put(uint8_t *p, const void *data, size_t size)
{
    memcpy(p, data, size);
    return p + size;
}

static uint8_t *put_entry(uint8_t *p, const struct floe_entry *e)
{
    uint64_t head[5] = {e->term, e->index, e->type, e->data != NULL, floe_blob_size(e->data)};
    p = put(p, head, sizeof head);
    return put(p, floe_blob_data(e->data), floe_blob_size(e->data));
}

/* The entry at *p, which moves behind it; false: it does not end before end. */
static bool get_entry(const uint8_t **p, const uint8_t *end, struct floe_entry *out)
{
    uint64_t head[5];
    if ((size_t)(end - *p) < sizeof head)
        return false;
    memcpy(head, *p, sizeof head);
    *p += sizeof head;
    if (head[2] > FLOE_ENTRY_CONF_CHANGE_V2 || head[4] > (size_t)(end - *p))
        return false;
    *out = (struct floe_entry){
        .term = head[0], .index = head[1], .type = (enum floe_entry_type)head[2]};
    out->data = head[3] ? floe_blob_new(*p, head[4]) : NULL;
    *p += head[4];
    return true;
}

/* ---- storage: records of hard state and entries, one write and one sync a batch ------------------ */

static void save(struct counter *c, const struct floe_ready *ready)
{
    size_t size = sizeof ready->hard_state + 8;
    for (size_t i = 0; i < ready->entry_count; i++)
        size += 40 + floe_blob_size(ready->entries[i].data);
    struct floe_hard_state hs =
        ready->has_hard_state ? ready->hard_state : floe_memstore_hard_state(c->store);
    uint8_t *record = malloc(size);
    must(record != NULL, "malloc");
    uint64_t body = size - 8;
    uint8_t *p = put(put(record, &body, 8), &hs, sizeof hs);
    for (size_t i = 0; i < ready->entry_count; i++)
        p = put_entry(p, &ready->entries[i]);
    must(write(c->log_fd, record, size) == (ssize_t)size, "write");
    must(!ready->must_sync || fdatasync(c->log_fd) == 0, "fdatasync");
    free(record);
    floe_memstore_set_hard_state(c->store, hs);
    floe_memstore_append(c->store, ready->entries, ready->entry_count);
}

/* A torn record at the end was never acknowledged: it is cut off. */
static void load(struct counter *c)
{
    uint64_t body;
    off_t good = 0;
    while (read(c->log_fd, &body, 8) == 8 && body < (1u << 30)) {
        uint8_t *data = malloc(body);
        must(data != NULL, "malloc");
        if (read(c->log_fd, data, body) != (ssize_t)body) {
            free(data);
            break;
        }
        struct floe_hard_state hs;
        memcpy(&hs, data, sizeof hs);
        floe_memstore_set_hard_state(c->store, hs);
        struct floe_entry entry;
        for (const uint8_t *p = data + sizeof hs; get_entry(&p, data + body, &entry);) {
            floe_memstore_append(c->store, &entry, 1);
            floe_entry_deinit(&entry);
        }
        free(data);
        good += 8 + (off_t)body;
    }
    must(ftruncate(c->log_fd, good) == 0 && lseek(c->log_fd, good, SEEK_SET) == good, "log");
}

/* ---- transport ------------------------------------------------------------------------------------- */

static void send_message(struct counter *c, const struct floe_message *m)
{
    static uint8_t out[DATAGRAM_MAX + 4096];
    uint64_t head[11] = {m->type,   m->to,     m->from,   m->term,        m->log_term,   m->index,
                         m->commit, m->reject, m->reject_hint, m->entry_count,
                         floe_blob_size(m->context)};
    uint8_t *p = put(out, head, sizeof head);
    p = put(p, floe_blob_data(m->context), floe_blob_size(m->context));
    for (size_t i = 0; i < m->entry_count && p < out + DATAGRAM_MAX; i++)
        p = put_entry(p, &m->entries[i]);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)(c->port + m->to)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)!sendto(c->udp_fd, out, (size_t)(p - out), 0, (struct sockaddr *)&to, sizeof to);
}

/* ---- the loop: after every input, work off what the core has ready ---------------------------------- */

static void apply(struct counter *c, const struct floe_entry *e)
{
    if (e->type != FLOE_ENTRY_NORMAL) {
        struct floe_conf_change change;
        must(floe_conf_change_decode(e->type, e->data, &change) == FLOE_OK, "conf change");
        must(floe_raft_apply_conf_change(c->raft, &change, NULL) == FLOE_OK, "conf change");
        floe_conf_change_deinit(&change);
    } else if (floe_blob_size(e->data) > 0) {
        printf("%lu\n", ++c->value);
        fflush(stdout);
    }
}

static void work(struct counter *c)
{
    while (floe_raft_has_ready(c->raft)) {
        struct floe_ready ready;
        floe_raft_ready(c->raft, &ready);
        if (ready.has_hard_state || ready.entry_count > 0)
            save(c, &ready);
        for (size_t i = 0; i < ready.message_count; i++)
            send_message(c, &ready.messages[i]);
        for (size_t i = 0; i < ready.committed_count; i++)
            apply(c, &ready.committed[i]);
        floe_ready_deinit(&ready);
        floe_raft_advance(c->raft);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct counter *c = arg;
    floe_raft_tick(c->raft);
    work(c);
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
    static uint8_t in[DATAGRAM_MAX + 8192];
    (void)what;
    struct counter *c = arg;
    ssize_t size = recv(fd, in, sizeof in, 0);
    uint64_t head[11];
    if (size < (ssize_t)sizeof head)
        return;
    memcpy(head, in, sizeof head);
    const uint8_t *p = in + sizeof head;
    const uint8_t *end = in + size;
    if (head[0] >= FLOE_MSG_TYPE_COUNT || head[9] > 1000 || head[10] > (size_t)(end - p))
        return;
    struct floe_message m = {.type = (enum floe_message_type)head[0], .to = head[1],
                             .from = head[2], .term = head[3], .log_term = head[4],
                             .index = head[5], .commit = head[6], .reject = head[7] != 0,
                             .reject_hint = head[8]};
    m.context = head[10] > 0 ? floe_blob_new(p, head[10]) : NULL;
    p += head[10];
    struct floe_entry entries[1000];
    m.entries = entries;
    while (m.entry_count < head[9] && get_entry(&p, end, &entries[m.entry_count]))
        m.entry_count++;
    if (m.entry_count == head[9])
        (void)!floe_raft_step(c->raft, &m); /* what it refuses needs no answer */
    for (size_t i = 0; i < m.entry_count; i++)
        floe_entry_deinit(&entries[i]);
    floe_blob_unref(m.context);
    work(c);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct counter *c = arg;
    char text[256];
    ssize_t size = read(fd, text, sizeof text);
    if (size <= 0)
        exit(0);
    struct floe_blob *add = floe_blob_new("+1", 2);
    for (ssize_t i = 0; i < size; i++)
        if (text[i] == '\n' && floe_raft_propose(c->raft, add) != FLOE_OK)
            fprintf(stderr, "no leader now, try again\n");
    floe_blob_unref(add);
    work(c);
}

int main(int argc, char **argv)
{
    must(argc == 5, "usage: counter ID COUNT PORT DIR");
    floe_id id = strtoull(argv[1], NULL, 10);
    floe_id count = strtoull(argv[2], NULL, 10);
    struct counter c = {.port = (unsigned)strtoul(argv[3], NULL, 10)};
    char path[4096];
    snprintf(path, sizeof path, "%s/counter-%s.log", argv[4], argv[1]);
    c.log_fd = open(path, O_RDWR | O_CREAT, 0600);
    must(c.log_fd >= 0, path);
    c.store = floe_memstore_new();
    load(&c);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)(c.port + id)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c.udp_fd = socket(AF_INET, SOCK_DGRAM, 0);
    must(bind(c.udp_fd, (struct sockaddr *)&at, sizeof at) == 0, "bind");
    struct floe_config config = {.id = id, .election_tick = 10, .heartbeat_tick = 1,
                                 .storage = floe_memstore_storage(c.store),
                                 .max_size_per_msg = 16384, .max_inflight_msgs = 64,
                                 .check_quorum = true, .pre_vote = true, .seed = id};
    must(floe_raft_new(&config, &c.raft) == FLOE_OK, "floe_raft_new");
    floe_id peers[16];
    for (floe_id i = 0; i < count && i < 16; i++)
        peers[i] = i + 1;
    if (floe_memstore_last_index(c.store) == 0)
        must(floe_raft_bootstrap(c.raft, peers, NULL, count) == FLOE_OK, "bootstrap");
    struct event_base *base = event_base_new();
    struct timeval tick = {.tv_usec = TICK_MS * 1000};
    event_add(event_new(base, -1, EV_PERSIST, on_tick, &c), &tick);
    event_add(event_new(base, c.udp_fd, EV_READ | EV_PERSIST, on_datagram, &c), NULL);
    event_add(event_new(base, 0, EV_READ | EV_PERSIST, on_input, &c), NULL);
    work(&c);
    return event_base_dispatch(base);
}
