/*
 * Notes beside the heartbeats: the leader asks every member what its chain's hash at an index is
 * and how its disk is, and the room on it; they answer. The leader's note tells its own hash, the
 * answers that it has, so that each member can judge itself, and who is short of room.
 *
 * An index is asked for until all have answered it and been told of all answers, or for an election
 * time-out; who has not applied it yet notes the question and answers when it has.
 *
 * Who is wrong? The one against whom a majority of the voters agrees on another hash; the leader is
 * judged as anybody else. Where there is no majority either way (two members, or one is down) and
 * all have spoken or an election time-out has passed: who differs from the leader. A member that is
 * wrong stops before it answers anything more.
 */
#include "node/internal.h"

#include "codec/pack.h"

#include <inttypes.h>
#include <stdio.h>

#define VOTES_MAX 1024u

/* ---- what is known of others ----------------------------------------------------------------- */

enum node_disk beats_disk_of(const struct node *node, floe_id id)
{
    for (size_t i = 0; i < node->beats.peer_count; i++)
        if (node->beats.peers[i].id == id)
            return node->beats.peers[i].disk;
    return NODE_DISK_GOOD;
}

static void note_peer(struct node *node, const struct beat_peer *peer)
{
    struct beats *beats = &node->beats;
    for (size_t i = 0; i < beats->peer_count; i++) {
        if (beats->peers[i].id == peer->id) {
            beats->peers[i] = *peer;
            return;
        }
    }
    beats->peers =
        mem_grow(beats->peers, beats->peer_count, &beats->peer_cap, sizeof *beats->peers);
    beats->peers[beats->peer_count++] = *peer;
}

static void put_vote(struct beat_votes *votes, floe_id id, uint64_t hash)
{
    for (size_t i = 0; i < votes->count; i++) {
        if (votes->list[i].id == id) {
            votes->list[i].hash = hash;
            return;
        }
    }
    votes->list = mem_grow(votes->list, votes->count, &votes->cap, sizeof *votes->list);
    votes->list[votes->count++] = (struct beat_vote){.id = id, .hash = hash};
}

/* ---- judgement ------------------------------------------------------------------------------- */

static size_t voters_with(const struct node *node, const struct beat_votes *votes, uint64_t hash)
{
    size_t count = 0;
    for (size_t i = 0; i < votes->count; i++)
        count += votes->list[i].hash == hash &&
                 floe_ids_contain(&node->conf_state.voters, votes->list[i].id);
    return count;
}

static size_t voters_heard(const struct node *node, const struct beat_votes *votes)
{
    size_t count = 0;
    for (size_t i = 0; i < votes->count; i++)
        count += floe_ids_contain(&node->conf_state.voters, votes->list[i].id);
    return count;
}

static void stop_diverged(struct node *node, const struct beat_votes *votes, uint64_t other,
                          const char *who)
{
    uint64_t own = 0;
    for (size_t i = 0; i < votes->count; i++)
        if (votes->list[i].id == node->options.id)
            own = votes->list[i].hash;
    char text[340];
    (void)snprintf(text, sizeof text,
                   "the hash of everything applied up to index %" PRIu64 " is %016" PRIx64
                   " here and %016" PRIx64 " at %s. Start it again; if it stops like this again, "
                   "give it a new data directory and bring it up to date from the other members",
                   node->beats.judged_index, own, other, who);
    node->damaged = true;
    node_fail(node, "this member's data is not the cluster's", text);
}

/* votes holds ours and, at another member than the leader, the leader's. */
static void judge(struct node *node, floe_index index, const struct beat_votes *votes, uint64_t own,
                  uint64_t leaders)
{
    size_t voters = node->conf_state.voters.count;
    node->beats.judged_index = index;
    for (size_t i = 0; i < votes->count; i++) {
        uint64_t hash = votes->list[i].hash;
        if (hash != own && 2 * voters_with(node, votes, hash) > voters) {
            stop_diverged(node, votes, hash, "a majority of the members");
            return;
        }
    }
    if (own == leaders || 2 * voters_with(node, votes, own) > voters) {
        node->beats.differs = false;
        return;
    }
    if (!node->beats.differs) {
        node->beats.differs = true;
        node->beats.differs_ms = node->now_ms;
        log_warn(node->logger,
                 "chain differs from the leader's index=%" PRIu64 " own=%016" PRIx64
                 " leader=%016" PRIx64,
                 index, own, leaders);
    }
    if (voters_heard(node, votes) >= voters ||
        node->now_ms >= node->beats.differs_ms + node->options.election_ms)
        stop_diverged(node, votes, leaders, "the leader; no majority says who is right");
}

/* ---- at the leader --------------------------------------------------------------------------- */

static bool all_have_answered(const struct node *node)
{
    for (size_t i = 0; i < node->members.count; i++) {
        bool answered = false;
        for (size_t v = 0; v < node->beats.votes.count && !answered; v++)
            answered = node->beats.votes.list[v].id == node->members.list[i].id;
        if (!answered)
            return false;
    }
    return true;
}

static void maybe_next_index(struct node *node)
{
    struct beats *beats = &node->beats;
    uint64_t hash;
    bool complete = beats->complete; /* and all have been told the last time */
    beats->complete = all_have_answered(node);
    if (beats->index != 0 && !complete &&
        node->now_ms < beats->asked_ms + node->options.election_ms)
        return;
    if (!chain_find(&node->chain, node->chain.index, &hash))
        return; /* a leader that does not know asks for disks only */
    beats->index = node->chain.index;
    beats->hash = hash;
    beats->asked_ms = node->now_ms;
    beats->complete = false;
    beats->votes.count = 0;
    put_vote(&beats->votes, node->options.id, hash);
}

void beats_tick(struct node *node)
{
    if (!node_is_leader(node)) {
        node->beats.index = 0; /* what others said may be old when it leads again */
        node->beats.peer_count = 0;
        return;
    }
    maybe_next_index(node);
    const struct beats *beats = &node->beats;
    struct buf note = {0};
    pack_array(&note, 5);
    pack_u64(&note, beats->index);
    pack_u64(&note, beats->hash);
    pack_array(&note, (uint32_t)(2 * beats->votes.count));
    for (size_t i = 0; i < beats->votes.count; i++) {
        pack_u64(&note, beats->votes.list[i].id);
        pack_u64(&note, beats->votes.list[i].hash);
    }
    pack_u64(&note, node->room.level);
    pack_u64(&note, node->room.who);
    for (size_t i = 0; i < node->members.count; i++) {
        floe_id id = node->members.list[i].id;
        if (id != node->options.id &&
            peer_set_send_note(node->peers, id, NOTE_BEAT, note.data, note.len) != ERR_OK)
            log_debug(node->logger, "note lost to=%" PRIu64, id);
    }
    buf_deinit(&note);
}

void beats_on_answer(struct node *node, floe_id from, const uint8_t *data, size_t len)
{
    struct unpack in = unpack_init(data, len);
    uint32_t fields = unpack_array(&in);
    uint64_t disk = unpack_u64(&in);
    floe_index index = unpack_u64(&in);
    uint64_t hash = unpack_u64(&in);
    uint64_t room = fields > 3 ? unpack_u64(&in) : NODE_ROOM_GOOD;
    unpack_rest(&in, fields, fields > 3 ? 4 : 3);
    if (unpack_end(&in) != ERR_OK || fields < 3 || !node_is_leader(node) ||
        members_find(&node->members, from) == NULL)
        return;
    struct beat_peer peer = {
        .id = from,
        .disk = disk <= NODE_DISK_RECOVERING ? (enum node_disk)disk : NODE_DISK_LATE,
        .room = room <= NODE_ROOM_MUTE ? (enum node_room)room : NODE_ROOM_NO_GROWTH,
        .heard_ms = node->now_ms};
    note_peer(node, &peer);
    struct beats *beats = &node->beats;
    if (index == 0 || index != beats->index)
        return;
    put_vote(&beats->votes, from, hash);
    judge(node, beats->index, &beats->votes, beats->hash, beats->hash);
}

/* ---- at the others --------------------------------------------------------------------------- */

void beats_on_applied(struct node *node)
{
    struct beats *beats = &node->beats;
    if (beats->question != node->chain.index || beats->question == 0)
        return;
    beats->answer_known = chain_find(&node->chain, beats->question, &beats->answer);
}

/* Our hash at index; or notes the question, unless an earlier one still waits. */
static bool find_or_note(struct node *node, floe_index index, uint64_t *hash)
{
    struct beats *beats = &node->beats;
    if (chain_find(&node->chain, index, hash))
        return true;
    if (beats->answer_known && beats->question == index) { /* many more were applied since */
        *hash = beats->answer;
        return true;
    }
    if (beats->answer_known || beats->question <= node->chain.index) {
        beats->question = index;
        beats->answer_known = false;
    }
    return false;
}

static void answer(struct node *node, floe_id to, floe_index index, uint64_t hash)
{
    struct buf note = {0};
    pack_array(&note, 4);
    pack_u64(&note, node->disk.state);
    pack_u64(&note, index);
    pack_u64(&note, hash);
    pack_u64(&note, node->room.own);
    if (peer_set_send_note(node->peers, to, NOTE_BEAT_ANSWER, note.data, note.len) != ERR_OK)
        log_debug(node->logger, "note lost to=%" PRIu64, to);
    buf_deinit(&note);
}

/* The tally of a leader's note; false: malformed. */
static bool read_votes(struct unpack *in, struct beat_votes *votes)
{
    uint32_t count = unpack_array(in);
    if (in->failed || count > 2 * VOTES_MAX || count % 2 != 0)
        return false;
    for (uint32_t i = 0; i < count / 2; i++) {
        floe_id id = unpack_u64(in);
        put_vote(votes, id, unpack_u64(in));
    }
    return !in->failed;
}

void beats_on_beat(struct node *node, floe_id from, const uint8_t *data, size_t len)
{
    struct unpack in = unpack_init(data, len);
    struct beat_votes votes = {0};
    uint32_t fields = unpack_array(&in);
    floe_index index = unpack_u64(&in);
    uint64_t leaders = unpack_u64(&in);
    uint64_t own = 0;
    bool sound = fields >= 3 && read_votes(&in, &votes);
    bool tells = sound && fields > 4; /* of room: what an older version does not know */
    uint64_t room = tells ? unpack_u64(&in) : NODE_ROOM_GOOD;
    floe_id who = tells ? unpack_u64(&in) : 0;
    unpack_rest(&in, fields, tells ? 5 : 3);
    if (sound && unpack_end(&in) == ERR_OK && from == node_leader(node)) {
        room_on_told(node, from, room, who);
        bool known = index != 0 && find_or_note(node, index, &own);
        if (known) {
            put_vote(&votes, node->options.id, own);
            put_vote(&votes, from, leaders);
            judge(node, index, &votes, own, leaders);
        }
        answer(node, from, known ? index : 0, own);
    }
    mem_free(votes.list);
}

void beats_deinit(struct node *node)
{
    mem_free(node->beats.peers);
    mem_free(node->beats.votes.list);
}
