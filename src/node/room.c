/*
 * Room for the log. What a command writes goes into room that was reserved before the command is
 * taken, so that a full disk refuses commands and does not end the process:
 *
 *   good       growth (a PUT) is taken as long as a unit (the log's smallest segment) stays free,
 *              and room for the next snapshots (reserve.c, which says why nothing gets stuck)
 *   no growth  more cannot be reserved: the unit is kept for deletes, membership changes and what
 *              the log writes of itself. Reads need no room.
 *   none       a quarter of it is left, for votes and elections: nothing is taken
 *   mute       all but the last of that is gone: the core gets no ticks and no messages, as if
 *              this member were cut off, rather than a write that might end the process and could
 *              not be done after the next start either
 *
 * A member says its level beside the heartbeats (beats.c), and the leader refuses growth while any
 * voter that it hears is short: what it took would be there fewer times than was promised, and more
 * and more of it. Nothing is taken by anybody if no majority could. What a member cannot log all
 * the same it does not hear (room_accepts): to the core the message was lost, and is sent again;
 * if that goes on, it gets a snapshot.
 *
 * Back to normal: reserving is tried once a second, and succeeds once somebody made room; or once a
 * snapshot did, which is wanted whenever it lets enough of the log go, or the log has used up what
 * was kept for deletes; and now and then in any case, as long as deletes make it smaller.
 */
#include "node/internal.h"

#include "node/envelope.h"

#include <inttypes.h>
#include <stdio.h>

#define REFUSAL                                                                              \
    "certainly not done: no room on the disk of member %" PRIu64 "; it holds the log and two "  \
    "snapshots of the data: make room there (disk, quota, limit of file sizes) or delete; "

#define RETRY_MS 1000u
#define STARVED_MS 3000u
#define SNAPSHOT_MS 10000u /* between snapshots that are taken to make room */

static uint64_t kept_back(const struct node *node, enum node_room level)
{
    uint64_t unit = wal_room_unit(node->wal);
    switch (level) {
    case NODE_ROOM_GOOD: return unit + unit / 4; /* to get there again */
    case NODE_ROOM_NO_GROWTH: return unit;
    case NODE_ROOM_NONE: return unit / 4;
    case NODE_ROOM_MUTE: return unit / 16;
    }
    UNREACHABLE("level of room");
}

bool room_was_refused(const struct node *node)
{
    return node->now_ms < node->room.retry_ms;
}

bool room_is_tight(const struct node *node)
{
    return room_was_refused(node) || node->reserve.is_tight;
}

void room_on_released(struct node *node)
{
    node->room.retry_ms = 0;
    reserve_on_released(node);
}

/* Reserves, but does not ask a disk again and again that has said no. */
static bool reserve(struct node *node, uint64_t bytes, uint64_t largest, bool for_growth)
{
    if (wal_has_room(node->wal, bytes, largest))
        return true;
    if (room_was_refused(node))
        return false;
    if (wal_reserve(node->wal, bytes, largest) ||
        (reserve_lend(node, bytes, for_growth) && wal_reserve(node->wal, bytes, largest)))
        return true;
    node->room.retry_ms = node->now_ms + RETRY_MS;
    return false;
}

/* ---- levels ---------------------------------------------------------------------------------- */

const char *room_level_name(enum node_room level)
{
    static const char *const names[] = {[NODE_ROOM_GOOD] = "good",
                                        [NODE_ROOM_NO_GROWTH] = "no growth",
                                        [NODE_ROOM_NONE] = "none",
                                        [NODE_ROOM_MUTE] = "mute"};
    return names[level];
}

static enum node_room judge_own(struct node *node)
{
    enum node_room was = node->room.own;
    if (wal_segment_count(node->wal) == 0)
        return NODE_ROOM_GOOD; /* nothing was asked of the disk yet */
    bool is_good = was == NODE_ROOM_GOOD && !node->room.pressed;
    node->room.pressed = false;
    enum node_room keep = is_good ? NODE_ROOM_NO_GROWTH : NODE_ROOM_GOOD;
    bool enough = reserve(node, kept_back(node, keep), 0, true);
    if (enough && !node->reserve.is_short)
        return NODE_ROOM_GOOD;
    uint64_t room = wal_room(node->wal);
    if (room < kept_back(node, NODE_ROOM_NO_GROWTH) / 2 &&
        reserve_lend(node, kept_back(node, NODE_ROOM_NO_GROWTH), false)) {
        (void)wal_reserve(node->wal, kept_back(node, NODE_ROOM_NO_GROWTH), 0);
        room = wal_room(node->wal);
    }
    if (room < kept_back(node, NODE_ROOM_MUTE))
        return NODE_ROOM_MUTE;
    if (room < kept_back(node, NODE_ROOM_NONE))
        return NODE_ROOM_NONE;
    return NODE_ROOM_NO_GROWTH;
}

static bool hears(const struct node *node, const struct beat_peer *peer)
{
    return node->now_ms < peer->heard_ms + 2 * (uint64_t)node->options.election_ms;
}

/* Could a majority of the voters log a delete? Who has not spoken could. */
static bool majority_has_some(const struct node *node, const struct floe_ids *voters)
{
    size_t without = 0;
    for (size_t i = 0; i < node->beats.peer_count; i++) {
        const struct beat_peer *peer = &node->beats.peers[i];
        without +=
            peer->room >= NODE_ROOM_NONE && hears(node, peer) && floe_ids_contain(voters, peer->id);
    }
    return voters->count == 0 || 2 * (voters->count - without) > voters->count;
}

/* At the leader: its own level and what the voters say. */
static void judge_all(const struct node *node, enum node_room *level, floe_id *who)
{
    *level = node->room.own;
    *who = node->options.id;
    bool some = majority_has_some(node, &node->conf_state.voters) &&
                majority_has_some(node, &node->conf_state.voters_outgoing);
    for (size_t i = 0; i < node->beats.peer_count; i++) {
        const struct beat_peer *peer = &node->beats.peers[i];
        enum node_room theirs = peer->room < NODE_ROOM_NO_GROWTH ? peer->room
                                : some                           ? NODE_ROOM_NO_GROWTH
                                                                 : NODE_ROOM_NONE;
        if (theirs <= *level || !hears(node, peer) || !floe_raft_is_voter(node->raft, peer->id))
            continue;
        *level = theirs;
        *who = peer->id;
    }
}

static void say(struct node *node, enum node_room level, floe_id who)
{
    struct room *room = &node->room;
    if (level > room->level)
        log_warn(node->logger, "short of room member=%" PRIu64 " %s reserved_bytes=%" PRIu64, who,
                 level == NODE_ROOM_NO_GROWTH ? "growth is refused" : "all writes are refused",
                 wal_room(node->wal));
    else if (level == NODE_ROOM_GOOD && room->level != NODE_ROOM_GOOD)
        log_info(node->logger, "room again: all writes are taken for_ms=%" PRIu64,
                 node->now_ms - room->since_ms);
}

static void set_level(struct node *node, enum node_room level, floe_id who)
{
    struct room *room = &node->room;
    if (level == room->level && who == room->who)
        return;
    say(node, level, who);
    if (room->level == NODE_ROOM_GOOD)
        room->since_ms = node->now_ms;
    room->level = level;
    room->who = who;
    (void)snprintf(room->text, sizeof room->text, REFUSAL "%s", who,
                   level >= NODE_ROOM_NONE ? "reads go on meanwhile"
                                           : "reads and deletes go on meanwhile");
}

/* Deletes make the next snapshot smaller than the one that is on the disk, and the log shorter. */
static void maybe_want_snapshot(struct node *node)
{
    struct room *room = &node->room;
    bool used_up = room->own != NODE_ROOM_GOOD && wal_segment_count(node->wal) > 1 &&
                   wal_room(node->wal) < kept_back(node, NODE_ROOM_NO_GROWTH) / 2;
    bool is_time = room->own != NODE_ROOM_GOOD && node->now_ms >= room->snapshot_ms;
    if (room->own == NODE_ROOM_MUTE || node->applied <= node->mark_index ||
        !(used_up || is_time || reserve_wants_snapshot(node)))
        return;
    room->snapshot_ms = node->now_ms + SNAPSHOT_MS;
    node->snapshot_wanted = true;
}

static floe_index match_of(const struct node *node, floe_id id)
{
    struct floe_status status = floe_raft_status(node->raft);
    floe_index match = 0;
    for (size_t i = 0; i < status.progress_count; i++)
        if (status.progress[i].id == id)
            match = status.progress[i].match;
    floe_status_deinit(&status);
    return match;
}

/* A member that is full may lack the room even for the next entry, be it one that is deleted again
 * since. A snapshot of what is there now has a place with it: then it gets no log any more. */
static void look_after_starved(struct node *node)
{
    struct room *room = &node->room;
    bool is_other = node_is_leader(node) && room->level != NODE_ROOM_GOOD &&
                    room->who != node->options.id;
    if (!is_other)
        room->starved = 0;
    room->is_starving = room->is_starving && is_other;
    if (!is_other || node->now_ms < room->look_ms)
        return;
    room->look_ms = node->now_ms + RETRY_MS;
    floe_index match = match_of(node, room->who);
    if (room->who != room->starved || match != room->starved_at) {
        room->starved = room->who;
        room->starved_at = match;
        room->starved_ms = node->now_ms;
    }
    room->is_starving = match < node->applied && node->now_ms >= room->starved_ms + STARVED_MS;
    if (room->is_starving && match < node->snapshot_index)
        snapshots_compact_log(node);
    else if (room->is_starving)
        node->snapshot_wanted = true;
}

void room_turn(struct node *node)
{
    struct room *room = &node->room;
    reserve_turn(node);
    room->own = judge_own(node);
    enum node_room level = room->own;
    floe_id who = node->options.id;
    if (node_is_leader(node)) {
        judge_all(node, &level, &who);
    } else if (node_leader(node) != 0 && node_leader(node) == room->told_by && room->told > level) {
        level = room->told;
        who = room->told_who;
    }
    set_level(node, level, who);
    look_after_starved(node);
    maybe_want_snapshot(node);
}

void room_on_told(struct node *node, floe_id leader, uint64_t level, floe_id who)
{
    node->room.told_by = leader;
    node->room.told = level < NODE_ROOM_NONE ? (enum node_room)level : NODE_ROOM_NONE;
    node->room.told_who = who;
}

bool room_is_mute(const struct node *node)
{
    return node->room.own == NODE_ROOM_MUTE;
}

/* ---- what is taken --------------------------------------------------------------------------- */

const char *room_refusal(const struct node *node, bool grows)
{
    const struct room *room = &node->room;
    bool short_of_it = room->level >= (grows ? NODE_ROOM_NO_GROWTH : NODE_ROOM_NONE);
    return short_of_it && node->now_ms >= room->since_ms + ROOM_PATIENCE_MS ? room->text : NULL;
}

/* Deletes are refused only while a snapshot is needed first, which is being written then. */
const char *room_refusal_of_size(struct node *node, bool grows)
{
    struct room *room = &node->room;
    (void)snprintf(room->size_text, sizeof room->size_text, REFUSAL "%s", node->options.id,
                   grows ? "smaller writes may find room" : "reads go on meanwhile; try again");
    return room->size_text;
}

static struct load load_with(struct load load, size_t data_bytes)
{
    uint64_t bytes = (uint64_t)data_bytes + WAL_ROOM_PER_ENTRY;
    load.bytes += bytes;
    load.largest = bytes > load.largest ? bytes : load.largest;
    return load;
}

/* With what was taken in this turn already and is not in the log yet. */
static struct load all_with(const struct node *node, struct load load)
{
    const struct room *room = &node->room;
    load.bytes += room->taken.bytes;
    if (load.largest < room->taken.largest)
        load.largest = room->taken.largest;
    load.growth += room->taken.growth;
    return load;
}

static bool fits(const struct node *node, struct load load, enum node_room keep)
{
    struct load all = all_with(node, load);
    return wal_has_room(node->wal, all.bytes + kept_back(node, keep), all.largest);
}

static bool take(struct node *node, struct load load, enum node_room keep)
{
    struct load all = all_with(node, load);
    bool grows = keep == NODE_ROOM_NO_GROWTH;
    if (grows && !reserve_allows(node, load.growth))
        return false;
    bool taken = reserve(node, all.bytes + kept_back(node, keep), all.largest, grows);
    if (taken) {
        node->room.taken = all;
        reserve_on_taken(node, load.growth);
    } else if (grows && load.bytes <= wal_room_unit(node->wal) / 4) {
        node->room.pressed = true; /* not worth waiting for smaller ones */
    }
    return taken;
}

bool room_takes(struct node *node, size_t data_bytes, bool grows, uint64_t growth)
{
    enum node_room keep = grows ? NODE_ROOM_NO_GROWTH : NODE_ROOM_NONE;
    if (node->room.level >= keep)
        return false;
    if (!node_is_leader(node))
        return true;
    struct load load = load_with((struct load){.growth = growth}, data_bytes);
    /* behind what is not in the log yet there may be more room soon: a next segment */
    return (node->room.taken.bytes == 0 || fits(node, load, keep)) && take(node, load, keep);
}

static bool grows(const struct node *node, const struct floe_entry *entry, uint64_t *growth)
{
    struct envelope envelope;
    struct kv_command command;
    if (entry->type != FLOE_ENTRY_NORMAL || envelope_decode(entry->data, &envelope) != ERR_OK ||
        envelope.kind != ENVELOPE_KV ||
        kv_command_decode(envelope.payload, envelope.payload_len, &command) != ERR_OK)
        return false;
    bool is_growth = kv_command_grows(&command);
    *growth += is_growth ? kv_command_growth(node->kv, &command) : 0;
    kv_command_deinit(&command);
    return is_growth;
}

static struct load load_of(const struct floe_message *message, size_t entries)
{
    struct load load = {0};
    for (size_t i = 0; i < entries; i++)
        load = load_with(load, floe_blob_size(message->entries[i].data));
    return load;
}

static bool takes_proposal(struct node *node, const struct floe_message *message)
{
    bool any_grows = false;
    struct load load = load_of(message, message->entry_count);
    for (size_t i = 0; i < message->entry_count; i++)
        any_grows = grows(node, &message->entries[i], &load.growth) || any_grows;
    enum node_room keep = any_grows ? NODE_ROOM_NO_GROWTH : NODE_ROOM_NONE;
    return node->room.level < keep && take(node, load, keep);
}

/* Of entries that have no room together the first ones may have: as if no more had been sent. That
 * the disk has said no to more of them is no answer for less. */
static bool takes_append(struct node *node, struct floe_message *message)
{
    bool may_ask = !room_was_refused(node);
    for (size_t count = message->entry_count; count > 0; count /= 2) {
        node->room.retry_ms = may_ask ? 0 : node->room.retry_ms;
        struct load load = load_of(message, count);
        load.growth = load.bytes; /* about: a follower has no choice (reserve.c) */
        if (!take(node, load, NODE_ROOM_NONE))
            continue;
        message->entry_count = count;
        return true;
    }
    return false;
}

bool room_accepts(struct node *node, struct floe_message *message)
{
    if (room_is_mute(node))
        return false;
    if (message->entry_count == 0)
        return true;
    if (message->type == FLOE_MSG_PROP)
        return takes_proposal(node, message);
    return message->type != FLOE_MSG_APP || takes_append(node, message);
}

void room_on_logged(struct node *node)
{
    node->room.taken = (struct load){0};
}
