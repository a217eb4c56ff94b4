/*
 * A replicated counter: all that it takes to use the library, on an event loop of your own.
 *
 *   counter ID COUNT PORT DIR     member ID of COUNT; listens on UDP port PORT + ID; log in DIR
 *
 * Each line on standard input adds one, at whichever member it is typed (from a follower it may
 * get lost on the way to the leader); each member prints the value whenever it changes. Members
 * never change and the log is never compacted, so there are no membership changes to apply and no
 * snapshots to send (floed shows how that is done).
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <floe/raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct floe_raft *raft;
static struct floe_memstore *store; /* the log as the core reads it; the file is what survives */
static int log_fd, udp_fd;
static uint64_t port;
static unsigned long value;

/* Ends the process, which is the safe answer to a disk that fails. */
#define must(ok, what) ((ok) ? (void)0 : (perror(what), exit(1)))

/* ---- bytes: a message, numbers in host order; also the form of a record of the log -------------- */

/* Without a context, which only reads and transfers have; and no entry here has empty data. */
static struct evbuffer *encode(const struct floe_message *m)
{
    struct evbuffer *out = evbuffer_new();
    uint64_t head[] = {m->type,   m->to,   m->from,   m->term,        m->log_term,   m->index,
                       m->commit, m->vote, m->reject, m->reject_hint, m->entry_count};
    evbuffer_add(out, head, sizeof head);
    for (const struct floe_entry *e = m->entries; e < m->entries + m->entry_count; e++) {
        uint64_t entry[] = {e->term, e->index, e->type, floe_blob_size(e->data)};
        evbuffer_add(out, entry, sizeof entry);
        evbuffer_add(out, floe_blob_data(e->data), floe_blob_size(e->data));
    }
    return out;
}

/* False if in does not begin with a whole message; to be given back (deinit) either way. */
static bool decode(struct evbuffer *in, struct floe_message *m)
{
    uint64_t h[11], e[4];
    *m = (struct floe_message){0};
    if (evbuffer_remove(in, h, sizeof h) != sizeof h || h[0] >= FLOE_MSG_TYPE_COUNT ||
        h[10] > evbuffer_get_length(in) / sizeof e)
        return false;
    *m = (struct floe_message){.type = (enum floe_message_type)h[0], .to = h[1], .from = h[2],
                               .term = h[3], .log_term = h[4], .index = h[5], .commit = h[6],
                               .vote = h[7], .reject = h[8] != 0, .reject_hint = h[9]};
    must((m->entries = calloc(h[10] + 1, sizeof *m->entries)) != NULL, "calloc");
    while (m->entry_count < h[10]) {
        if (evbuffer_remove(in, e, sizeof e) != sizeof e || e[3] > evbuffer_get_length(in))
            return false;
        m->entries[m->entry_count++] = (struct floe_entry){
            .term = e[0], .index = e[1], .type = (enum floe_entry_type)e[2],
            .data = e[3] ? floe_blob_new(evbuffer_pullup(in, (ev_ssize_t)e[3]), e[3]) : NULL};
        evbuffer_drain(in, e[3]);
    }
    return true;
}

/* ---- storage: a file of records, each with the hard state and the entries of one batch ---------- */

static void remember(const struct floe_message *record)
{
    struct floe_hard_state hs = {record->term, record->vote, record->commit};
    floe_memstore_set_hard_state(store, hs);
    floe_memstore_append(store, record->entries, record->entry_count);
}

static void save(const struct floe_ready *r)
{
    struct floe_hard_state hs = r->has_hard_state ? r->hard_state : floe_memstore_hard_state(store);
    struct floe_message record = {.type = FLOE_MSG_STORAGE_APPEND, .term = hs.term,
                                  .vote = hs.vote, .commit = hs.commit,
                                  .entries = r->entries, .entry_count = r->entry_count};
    struct evbuffer *bytes = encode(&record);
    while (evbuffer_get_length(bytes) > 0)
        must(evbuffer_write(bytes, log_fd) > 0, "write");
    must(!r->must_sync || fdatasync(log_fd) == 0, "fdatasync");
    evbuffer_free(bytes);
    remember(&record);
}

/* A torn record at the end was never acknowledged: it is cut off. (Where a power cut may leave
 * anything but a prefix, records need checksums; floed's have them.) */
static void load(void)
{
    struct evbuffer *file = evbuffer_new();
    while (evbuffer_read(file, log_fd, -1) > 0)
        ;
    size_t size = evbuffer_get_length(file), good = 0;
    struct floe_message record;
    for (; decode(file, &record) && record.type == FLOE_MSG_STORAGE_APPEND;
         floe_message_deinit(&record)) {
        remember(&record);
        good = size - evbuffer_get_length(file);
    }
    floe_message_deinit(&record);
    evbuffer_free(file);
    must(ftruncate(log_fd, (off_t)good) == 0, "ftruncate");
}

/* ---- transport: datagrams, since Raft does not mind when one is lost ---------------------------- */

static struct sockaddr_in address_of(floe_id id)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)(port + id)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void send_message(const struct floe_message *m)
{
    struct sockaddr_in to = address_of(m->to);
    struct evbuffer *out = encode(m);
    (void)!sendto(udp_fd, evbuffer_pullup(out, -1), evbuffer_get_length(out), MSG_DONTWAIT,
                  (struct sockaddr *)&to, sizeof to);
    evbuffer_free(out);
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
    static uint8_t bytes[1 << 16];
    (void)what, (void)arg;
    ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    struct evbuffer *in = evbuffer_new();
    evbuffer_add(in, bytes, size > 0 ? (size_t)size : 0);
    struct floe_message m;
    bool leads = floe_raft_basic_status(raft).soft_state.state == FLOE_STATE_LEADER;
    if (decode(in, &m) && (leads || m.type != FLOE_MSG_PROP)) /* is not forwarded a second time */
        (void)!floe_raft_step(raft, &m); /* what it refuses needs no answer */
    floe_message_deinit(&m);
    evbuffer_free(in);
}

/* ---- the counter -------------------------------------------------------------------------------- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    floe_raft_tick(raft);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    (void)what, (void)arg;
    char text[256];
    ssize_t size = read(fd, text, sizeof text);
    if (size <= 0)
        exit(0);
    struct floe_blob *add = floe_blob_new("+1", 2);
    for (ssize_t i = 0; i < size; i++)
        if (text[i] == '\n' && floe_raft_propose(raft, add) != FLOE_OK)
            fprintf(stderr, "no leader now, try again\n");
    floe_blob_unref(add);
}

/* What the core has ready. The order is what it relies on: durable, then sent, then applied. */
static void work(void)
{
    struct floe_ready ready;
    floe_raft_ready(raft, &ready);
    if (ready.has_hard_state || ready.entry_count > 0)
        save(&ready);
    for (size_t i = 0; i < ready.message_count; i++)
        send_message(&ready.messages[i]);
    for (size_t i = 0; i < ready.committed_count; i++)
        if (floe_blob_size(ready.committed[i].data) > 0) /* a new leader's first entry is empty */
            printf("%lu\n", ++value);
    fflush(stdout);
    floe_ready_deinit(&ready);
    floe_raft_advance(raft);
}

int main(int argc, char **argv)
{
    must(argc == 5, "usage: counter ID COUNT PORT DIR");
    floe_id id = strtoull(argv[1], NULL, 10), ids[] = {1, 2, 3, 4, 5, 6, 7};
    size_t count = strtoul(argv[2], NULL, 10);
    port = strtoull(argv[3], NULL, 10);
    must(count <= sizeof ids / sizeof *ids && chdir(argv[4]) == 0, "COUNT or DIR");

    /* The log begins with the membership, the same at all; then comes what was saved. */
    struct floe_snapshot first = {.index = 1, .term = 1, .conf_state.voters = {ids, count}};
    store = floe_memstore_new();
    must(floe_memstore_apply_snapshot(store, &first) == FLOE_OK, "membership");
    char name[32];
    snprintf(name, sizeof name, "counter-%u.log", (unsigned)id);
    must((log_fd = open(name, O_RDWR | O_CREAT | O_APPEND, 0600)) >= 0, name);
    must(fsync(open(".", O_RDONLY)) == 0, "fsync"); /* the file's name is to survive, too */
    load();
    /* 4 KiB of the smallest entries are 1024 of them: their message fits into a datagram. */
    struct floe_config config = {.id = id, .election_tick = 10, .heartbeat_tick = 1,
                                 .storage = floe_memstore_storage(store),
                                 .max_size_per_msg = 4096, .max_inflight_msgs = 64,
                                 .check_quorum = true, .pre_vote = true, .seed = id};
    must(floe_raft_new(&config, &raft) == FLOE_OK, "floe_raft_new");

    struct sockaddr_in own = address_of(id);
    must((udp_fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0, "socket");
    must(bind(udp_fd, (struct sockaddr *)&own, sizeof own) == 0, "bind");
    struct event_base *base = event_base_new();
    struct timeval tick = {.tv_usec = 50000};
    event_add(event_new(base, -1, EV_PERSIST, on_tick, NULL), &tick);
    event_add(event_new(base, udp_fd, EV_READ | EV_PERSIST, on_datagram, NULL), NULL);
    event_add(event_new(base, 0, EV_READ | EV_PERSIST, on_input, NULL), NULL);
    while (event_base_loop(base, EVLOOP_ONCE) == 0)
        while (floe_raft_has_ready(raft))
            work();
    return 1;
}
