/*
 * One loop: callbacks decode and queue; after all callbacks of a turn the pump runs once, then what
 * it produced goes out. Nothing else of floed runs anywhere else.
 */
#include "floed/server.h"

#include "api/api.h"
#include "base/assert.h"
#include "base/mem.h"
#include "io/clock.h"
#include "io/fs_posix.h"
#include "io/http.h"
#include "io/link.h"
#include "node/node.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#define FD_RESERVE 64u       /* descriptors kept for files and peers */
#define HEADER_ROOM (32u << 10) /* bytes of a request head beside a key in percent encoding */
#define LINGER_MS 1000u      /* after the end, for answers that are still on their way out */

/* What an operator can do about damage. */
#define RESEED_HINT                                                                               \
    "nothing was changed; if other members have the data, start once with --reseed"

struct server {
    const struct conf *conf;
    const struct logger *logger;
    uint64_t reseed_stamp;
    struct event_base *base;
    struct event *timer;
    struct event *wake;
    struct event *signals[2];
    struct fs_posix *fs;
    struct node *node;
    struct api *api;
    struct http_server *http;
    struct link_set *links;
    struct histogram turns;
    struct api_turns turns_longest;
    uint64_t busy_us; /* of this thread, at the end of the last turn */
    bool stop_asked;
    bool ended;
    bool damaged; /* the stored data is: EXIT_DAMAGED */
    uint64_t ended_ms;
};

/* ---- callbacks that only wake the loop ------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct server *server = arg;
    fs_posix_on_wake(server->fs);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct server *server = arg;
    server->stop_asked = true;
}

/* ---- limits of the process ------------------------------------------------------------------- */

/* Raises the soft limit of open files to the hard one; how many connections that leaves. */
static size_t connection_limit(const struct server *server)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return server->conf->limits.connections;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    size_t room = limit.rlim_cur > FD_RESERVE + 16 ? (size_t)limit.rlim_cur - FD_RESERVE : 16;
    if (server->conf->limits.connections <= room)
        return server->conf->limits.connections;
    log_info(server->logger, "connections limited by open files limit=%zu", room);
    return room;
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = clock_now_ms() * 1000003u + (uint64_t)getpid();
    return seed;
}

/* ---- opening, bottom up ---------------------------------------------------------------------- */

static bool open_files(struct server *server)
{
    static const enum fs_posix_sync syncs[] = {[CONF_SYNC_AUTO] = FS_POSIX_SYNC_AUTO,
                                               [CONF_SYNC_DIRECT] = FS_POSIX_SYNC_DIRECT,
                                               [CONF_SYNC_URING] = FS_POSIX_SYNC_URING,
                                               [CONF_SYNC_INLINE] = FS_POSIX_SYNC_INLINE};
    struct buf why = {0};
    enum err err = fs_posix_open(server->conf->data_dir, syncs[server->conf->storage.sync],
                                 &server->fs, &why);
    if (err != ERR_OK)
        log_error(server->logger, "cannot open the data directory dir=%s why=%s",
                  server->conf->data_dir, why.len > 0 ? buf_str(&why) : err_str(err));
    else
        log_info(server->logger, "syncs of the log by=\"%s\"", fs_posix_sync_text(server->fs));
    buf_deinit(&why);
    return err == ERR_OK;
}

static bool open_node(struct server *server)
{
    const struct conf *conf = server->conf;
    char http_address[ADDR_TEXT_MAX];
    char peer_address[ADDR_TEXT_MAX];
    addr_format(&conf->http.advertise, http_address);
    addr_format(&conf->peer.advertise, peer_address);
    char(*texts)[ADDR_TEXT_MAX] = mem_calloc(conf->cluster.member_count, sizeof *texts);
    struct node_member_option *members = mem_calloc(conf->cluster.member_count, sizeof *members);
    for (size_t i = 0; i < conf->cluster.member_count; i++) {
        addr_format(&conf->cluster.members[i].address, texts[i]);
        members[i].id = conf->cluster.members[i].id;
        members[i].address = texts[i];
    }
    struct node_options options = {.id = conf->id,
                                   .name = conf->name,
                                   .cluster = conf->cluster.name,
                                   .http_address = http_address,
                                   .peer_address = peer_address,
                                   .members = members,
                                   .member_count = conf->cluster.member_count,
                                   .join = conf->cluster.join,
                                   .reseed_stamp = server->reseed_stamp,
                                   .heartbeat_ms = conf->raft.heartbeat_ms,
                                   .election_ms = conf->raft.election_ms,
                                   .snapshot_entries = conf->raft.snapshot_entries,
                                   .pending_bytes = conf->limits.pending_bytes,
                                   .request_timeout_ms = conf->limits.request_timeout_ms,
                                   .history_ms = conf->store.history_s * 1000,
                                   .history_bytes = conf->store.history_bytes,
                                   .seed = random_seed(),
                                   .fs = fs_posix_fs(server->fs),
                                   .logger = server->logger};
    struct buf why = {0};
    enum err err = node_open(&options, clock_now_ms(), &server->node, &why);
    if (err == ERR_NOT_FOUND)
        log_info(server->logger, "%s", buf_str(&why));
    else if (err == ERR_CORRUPT)
        log_error(server->logger, "cannot start: %s; " RESEED_HINT, buf_str(&why));
    else if (err != ERR_OK)
        log_error(server->logger, "cannot start: %s", why.len > 0 ? buf_str(&why) : err_str(err));
    if (err == ERR_NOT_FOUND)
        server->ended = true; /* removed: not a failure */
    server->damaged = err == ERR_CORRUPT;
    buf_deinit(&why);
    mem_free(texts);
    mem_free(members);
    return err == ERR_OK;
}

static bool listen_peers(struct server *server)
{
    struct buf why = {0};
    server->links = link_set_new(server->base, node_peers(server->node), server->logger);
    enum err err = link_set_listen(server->links, &server->conf->peer.listen, &why);
    if (err != ERR_OK)
        log_error(server->logger, "cannot listen for peers: %s",
                  why.len > 0 ? buf_str(&why) : err_str(err));
    buf_deinit(&why);
    return err == ERR_OK;
}

static bool listen_http(struct server *server)
{
    const struct conf *conf = server->conf;
    struct api_limits limits = {.key_bytes = conf->limits.key_bytes,
                                .value_bytes = conf->limits.value_bytes,
                                .body_bytes = conf->limits.body_bytes,
                                .pending_bytes = conf->limits.pending_bytes,
                                .connections = conf->limits.connections,
                                .request_timeout_ms = conf->limits.request_timeout_ms,
                                .header_bytes = 3 * conf->limits.key_bytes + HEADER_ROOM,
                                .header_timeout_ms = conf->http.header_timeout_ms,
                                .body_timeout_ms = conf->http.body_timeout_ms,
                                .idle_timeout_ms = conf->http.idle_timeout_ms,
                                .history_s = conf->store.history_s,
                                .history_bytes = conf->store.history_bytes,
                                .stream_bytes = conf->limits.pending_bytes / 4,
                                .turns = &server->turns,
                                .turns_longest = &server->turns_longest,
                                .log_syncs = fs_posix_log_syncs(server->fs)};
    server->api = api_new(server->node, &limits, server->logger);
    struct http_options options = {.header_timeout_ms = conf->http.header_timeout_ms,
                                   .body_timeout_ms = conf->http.body_timeout_ms,
                                   .idle_timeout_ms = conf->http.idle_timeout_ms,
                                   .header_bytes = 3 * conf->limits.key_bytes + HEADER_ROOM,
                                   .body_bytes = conf->limits.body_bytes,
                                   .buffered_bytes = conf->limits.pending_bytes,
                                   .connections = connection_limit(server),
                                   .allow_origin = conf->http.allow_origin[0] != '\0'
                                                       ? conf->http.allow_origin
                                                       : NULL};
    server->http = http_server_new(server->base, server->api, &options, server->logger);
    struct buf why = {0};
    enum err err = http_server_listen(server->http, &conf->http.listen, &why);
    char text[ADDR_TEXT_MAX];
    addr_format(&conf->http.listen, text);
    if (err != ERR_OK)
        log_error(server->logger, "cannot listen for clients: %s",
                  why.len > 0 ? buf_str(&why) : err_str(err));
    else
        log_info(server->logger, "serving clients on http://%s", text);
    buf_deinit(&why);
    return err == ERR_OK;
}

static bool open_events(struct server *server)
{
    event_set_mem_functions(malloc, realloc, free); /* it does without calloc: see mem_calloc */
    struct event_config *config = event_config_new();
    ASSERT(config != NULL);
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    server->base = event_base_new_with_config(config);
    event_config_free(config);
    if (server->base == NULL) {
        log_error(server->logger, "no event loop: %s", strerror(errno));
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes shall be an error of a write: EFBIG */
    server->timer = evtimer_new(server->base, on_timer, server);
    const int numbers[2] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        server->signals[i] = evsignal_new(server->base, numbers[i], on_signal, server);
        ASSERT(server->signals[i] != NULL);
        (void)event_add(server->signals[i], NULL);
    }
    int fd = fs_posix_wake_fd(server->fs);
    if (fd >= 0) {
        server->wake = event_new(server->base, fd, EV_READ | EV_PERSIST, on_wake, server);
        (void)event_add(server->wake, NULL);
    }
    return server->timer != NULL;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Waits for events at most until the node wants its next turn. */
static void wait_for_events(struct server *server)
{
    uint64_t api_deadline = api_next_deadline_ms(server->api);
    if (!server->ended && (node_has_work(server->node) || api_deadline == 0)) {
        (void)event_base_loop(server->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return;
    }
    uint64_t now = clock_now_ms();
    uint64_t deadline = server->ended ? now + 20 : node_next_deadline_ms(server->node);
    if (api_deadline < deadline)
        deadline = api_deadline;
    uint64_t wait_ms = deadline > now ? deadline - now : 0;
    struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
                           .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};
    (void)evtimer_add(server->timer, &wait);
    (void)event_base_loop(server->base, EVLOOP_ONCE);
}

static void turn(struct server *server)
{
    uint64_t now = clock_now_ms();
    if (server->stop_asked) {
        server->stop_asked = false;
        http_server_stop_accepting(server->http);
        node_stop(server->node, now);
    }
    node_pump(server->node, now);
    if (node_life(server->node) == NODE_FAILED)
        http_server_stop_accepting(server->http);
    link_set_pump(server->links, now);
    http_server_pump(server->http, now);
    if (!server->ended && node_life(server->node) != NODE_RUNNING) {
        server->ended = true;
        server->ended_ms = now;
    }
}

/* After the end, also that by a failure: until every answer is out, but not for long. */
static bool lingering(const struct server *server)
{
    uint64_t passed = clock_now_ms() - server->ended_ms;
    /* what was sent to other members last (a vote, "I know that I am removed") must get out, and
     * requests that were on their way get an answer */
    uint64_t farewell_ms = node_life(server->node) == NODE_REMOVED ? LINGER_MS / 4 : LINGER_MS / 10;
    return passed < farewell_ms || (http_server_unsent(server->http) > 0 && passed < LINGER_MS);
}

/* A turn is what happens between two waits: callbacks, of which the processor's time is known, as
 * the wait is in the same call, and the pumps, which may wait for the disk. */
static void wait_and_turn(struct server *server)
{
    uint64_t before_us = server->busy_us;
    wait_for_events(server);
    uint64_t begin_us = clock_now_us();
    turn(server);
    uint64_t pumps_us = clock_now_us() - begin_us;
    server->busy_us = clock_busy_us();
    uint64_t busy_us = server->busy_us - before_us;
    uint64_t took_us = busy_us > pumps_us ? busy_us : pumps_us; /* at least */
    struct api_turns *longest = &server->turns_longest;
    histogram_add(&server->turns, took_us);
    longest->longest_us = took_us > longest->longest_us ? took_us : longest->longest_us;
    longest->longest_busy_us =
        busy_us > longest->longest_busy_us ? busy_us : longest->longest_busy_us;
}

static void serve(struct server *server)
{
    turn(server);
    server->busy_us = clock_busy_us();
    while (!server->ended || lingering(server))
        wait_and_turn(server);
    switch (node_life(server->node)) {
    case NODE_STOPPED: log_info(server->logger, "stopped"); break;
    case NODE_REMOVED:
        log_info(server->logger, "stopped: this member was removed from the cluster");
        break;
    case NODE_FAILED:
        log_error(server->logger, "stopped by a failure: %s (data directory %s)",
                  node_failure(server->node), server->conf->data_dir);
        if (node_reseed_helps(server->node))
            log_error(server->logger, RESEED_HINT);
        break;
    case NODE_RUNNING: break;
    }
}

static void close_all(struct server *server)
{
    if (server->http != NULL)
        http_server_free(server->http);
    if (server->api != NULL)
        api_free(server->api);
    if (server->links != NULL)
        link_set_free(server->links);
    if (server->node != NULL)
        node_free(server->node);
    for (int i = 0; i < 2; i++)
        if (server->signals[i] != NULL)
            event_free(server->signals[i]);
    if (server->wake != NULL)
        event_free(server->wake);
    if (server->timer != NULL)
        event_free(server->timer);
    if (server->base != NULL)
        event_base_free(server->base);
    if (server->fs != NULL)
        fs_posix_close(server->fs);
    libevent_global_shutdown();
}

int server_run(const struct conf *conf, const struct logger *logger, uint64_t reseed_stamp)
{
    struct server server = {.conf = conf, .logger = logger, .reseed_stamp = reseed_stamp};
    bool up = open_files(&server) && open_events(&server) && open_node(&server) &&
              listen_peers(&server) && listen_http(&server);
    int status = up || server.ended ? 0 : 1;
    if (up) {
        serve(&server);
        if (node_life(server.node) == NODE_FAILED)
            status = 1;
        server.damaged = server.damaged || node_is_damaged(server.node);
    }
    close_all(&server);
    return status != 0 && server.damaged ? EXIT_DAMAGED : status;
}
