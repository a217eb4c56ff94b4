/* Making and ending a node, and the picture of it that /status shows. */
#include "node/internal.h"

#include "codec/checksum.h"

#include <string.h>

static void copy_options(struct node *node, const struct node_options *options)
{
    node->options = *options;
    node->options.name = mem_strdup(options->name);
    node->options.cluster = mem_strdup(options->cluster);
    node->options.http_address = mem_strdup(options->http_address);
    node->options.peer_address = mem_strdup(options->peer_address);
    struct node_member_option *members = mem_calloc(options->member_count, sizeof *members);
    for (size_t i = 0; i < options->member_count; i++) {
        members[i].id = options->members[i].id;
        members[i].address = mem_strdup(options->members[i].address);
    }
    node->options.members = members;
}

static void free_text(const char *text)
{
    char *owned;
    memcpy(&owned, &text, sizeof owned); /* ours since copy_options */
    mem_free(owned);
}

static void free_options(struct node_options *options)
{
    free_text(options->name);
    free_text(options->cluster);
    free_text(options->http_address);
    free_text(options->peer_address);
    for (size_t i = 0; i < options->member_count; i++)
        free_text(options->members[i].address);
    struct node_member_option *members;
    memcpy(&members, &options->members, sizeof members);
    mem_free(members);
}

static struct peer_set *open_peers(const struct node *node)
{
    struct peer_options options = {.id = node->options.id,
                                   .cluster = node->options.cluster,
                                   .name = node->options.name,
                                   .address = node->options.peer_address,
                                   .seed = node->options.seed + 1,
                                   .logger = node->logger,
                                   .queue_bytes = NODE_PEER_QUEUE_BYTES};
    struct peer_set *peers = peer_set_new(&options);
    for (size_t i = 0; i < node->options.member_count; i++)
        if (node->options.members[i].id != node->options.id)
            peer_set_put(peers, node->options.members[i].id, node->options.members[i].address);
    return peers;
}

enum err node_open(const struct node_options *options, uint64_t now_ms, struct node **out,
                   struct buf *why)
{
    ASSERT(options->heartbeat_ms > 0 && options->id != 0);
    struct node *node = mem_calloc(1, sizeof *node);
    copy_options(node, options);
    node->logger = options->logger;
    node->fs = options->fs;
    node->now_ms = now_ms;
    node->next_tick_ms = now_ms + options->heartbeat_ms;
    node->prng.state = options->seed;
    node->boot = prng_next(&node->prng);
    leases_init(node, prng_next(&node->prng));
    node->slice_bytes = NODE_TURN_SLICE_BYTES;
    node->tidy_steps = NODE_TURN_TIDY_STEPS;
    node->apply_steps = NODE_TURN_APPLY_STEPS;
    node->fresh = mem_calloc(1, sizeof *node->fresh);
    node->kv_generation = 1;
    node->room.pressed = true; /* a full disk is one from the first turn on */
    STAILQ_INIT(&node->held);
    STAILQ_INIT(&node->apply_jobs);
    TAILQ_INIT(&node->reads);
    waiters_init(&node->waiters);
    node->kv = kv_new();
    node->store = floe_memstore_new();
    node->peers = open_peers(node);
    enum err err = recover_open(node, why);
    if (err != ERR_OK) {
        node_free(node);
        return err;
    }
    apply_members_to_peers(node);
    *out = node;
    return ERR_OK;
}

void node_free(struct node *node)
{
    requests_end_all(node);
    reads_end_all(node);
    lease_asks_end_all(node);
    leases_deinit(node);
    mem_free(node->fresh);
    waiters_deinit(&node->waiters);
    snapshots_deinit(node);
    transfers_deinit(node);
    reserve_deinit(node);
    durable_deinit(node);
    apply_deinit(node);
    beats_deinit(node);
    if (node->raft != NULL)
        floe_raft_free(node->raft);
    floe_memstore_free(node->store);
    peer_set_free(node->peers);
    mem_free(node->farewells);
    mem_free(node->counted);
    struct node_result unread;
    while (node_next_result(node, &unread))
        kv_result_deinit(&unread.kv);
    mem_free(node->results);
    free_options(&node->options);
    mem_free(node);
}

struct peer_set *node_peers(struct node *node)
{
    return node->peers;
}

enum node_life node_life(const struct node *node)
{
    return node->life;
}

const char *node_failure(const struct node *node)
{
    return node->failure;
}

bool node_is_damaged(const struct node *node)
{
    return node->damaged;
}

bool node_reseed_helps(const struct node *node)
{
    return node->damaged && !node->foreign;
}

const struct kv *node_kv(const struct node *node)
{
    return node->kv;
}

uint64_t node_kv_generation(const struct node *node)
{
    return node->kv_generation;
}

/* ---- status ---------------------------------------------------------------------------------- */

static const char *role_of(const struct node *node, enum floe_state state)
{
    switch (state) {
    case FLOE_STATE_LEADER: return "leader";
    case FLOE_STATE_CANDIDATE: return "candidate";
    case FLOE_STATE_PRE_CANDIDATE: return "pre-candidate";
    case FLOE_STATE_FOLLOWER: break;
    }
    return floe_raft_is_learner(node->raft, node->options.id) ? "learner" : "follower";
}

static struct node_member member_status(const struct node *node, const struct member *member,
                                        const struct floe_status *status, uint64_t now_ms)
{
    struct node_member out = {.id = member->id,
                              .is_self = member->id == node->options.id,
                              .learner = floe_ids_contain(&node->conf_state.learners, member->id),
                              .stays_learner = member->stays_learner,
                              .name = member->name,
                              .peer_address = member->peer_address,
                              .http_address = member->http_address};
    for (size_t i = 0; i < status->progress_count; i++) {
        if (status->progress[i].id == member->id && !out.is_self) {
            out.has_progress = true;
            out.progress = status->progress[i];
        }
    }
    struct peer_status peer;
    if (!out.is_self && peer_set_status(node->peers, member->id, &peer)) {
        out.connected = peer.connected;
        out.ever_heard = peer.last_heard_ms != 0;
        out.heard_ms_ago = now_ms > peer.last_heard_ms ? now_ms - peer.last_heard_ms : 0;
    }
    return out;
}

#define CAUGHT_UP_ENTRIES 1024u

static void judge_readiness(const struct node *node, struct node_status *out)
{
    out->caught_up = false;
    if (reseed_is_mute(node))
        out->reason = "being re-seeded: does not count yet";
    else if (reseed_is_learner(node))
        out->reason = "being re-seeded: a learner until it has caught up";
    else if (members_find(&node->members, node->options.id) == NULL)
        out->reason = "not a member of a cluster yet";
    else if (node->leaving_until_ms != 0)
        out->reason = "removed from the cluster";
    else if (node->stopping)
        out->reason = "stopping";
    else if (node->disk.state == NODE_DISK_STUCK)
        out->reason = "the disk is stuck: what was written waits for it";
    else if (room_is_mute(node))
        out->reason = "no room on the disk: not even for votes";
    else if (out->leader == 0)
        out->reason = "there is no leader";
    else if (node->loading.reader != NULL)
        out->reason = "installing a snapshot";
    else if (out->applied + CAUGHT_UP_ENTRIES < out->commit ||
             out->applied + CAUGHT_UP_ENTRIES < node->leader_commit)
        out->reason = "catching up with the leader";
    else
        out->caught_up = true;
}

static uint64_t cluster_id(const struct node *node)
{
    uint64_t id = checksum_chain(NULL, 0, node->options.cluster, strlen(node->options.cluster));
    return id != 0 ? id : 1;
}

struct node_status node_status(const struct node *node, uint64_t now_ms)
{
    struct floe_status status = floe_raft_status(node->raft);
    struct node_status out = {.id = node->options.id,
                              .name = node->options.name,
                              .cluster = node->options.cluster,
                              .cluster_id = cluster_id(node),
                              .role = role_of(node, status.basic.soft_state.state),
                              .term = status.basic.hard_state.term,
                              .leader = status.basic.soft_state.lead,
                              .commit = status.basic.hard_state.commit,
                              .applied = node->applied,
                              .last_index = status.basic.last_index,
                              .snapshot_index = node->snapshot_index,
                              .revision = kv_revision(node->kv),
                              .chain_index = node->chain.unknown ? 0 : node->chain.index,
                              .chain_hash = node->chain.hash,
                              .disk = node->disk.state,
                              .disk_waits_ms = disk_watch_age_ms(node),
                              .disk_longest_ms = node->disk.longest_ms,
                              .disk_late_count = node->disk.late_count,
                              .disk_stuck_count = node->disk.stuck_count,
                              .room = room_level_name(node->room.own),
                              .room_bytes = wal_room(node->wal),
                              .room_text = room_refusal(node, true)};
    judge_readiness(node, &out);
    out.members = mem_calloc(node->members.count, sizeof *out.members);
    for (size_t i = 0; i < node->members.count; i++)
        out.members[out.member_count++] =
            member_status(node, &node->members.list[i], &status, now_ms);
    floe_status_deinit(&status);
    return out;
}

void node_status_deinit(struct node_status *status)
{
    mem_free(status->members);
    *status = (struct node_status){0};
}
