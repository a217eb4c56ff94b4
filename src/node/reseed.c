/*
 * A member that has lost its data and starts anew under its old id, with an empty log, from what
 * the others have. It may have voted and acknowledged what it has forgotten, so it must not count
 * until the cluster has agreed to forget it, too:
 *
 *   here     MOVING    the old files are being moved aside (floed --reseed); nothing is deleted
 *            ASKING    asks all members with a number that it drew (NOTE_RESEED)
 *   leader             takes the id out of the configuration, which ends what it believes about the
 *                      old log (its progress; demotion alone would keep it), though not out of the
 *                      table of members; then adds it as a learner, with the number in the entry.
 *                      Both are ordinary changes, committed by a majority without this member. Only
 *                      with the second one applied it answers (NOTE_RESEED_ANSWER)
 *   here               listens to the leader that answered, for the term it answered in: its
 *                      acknowledgements are a learner's there. No vote, no campaign, no one else
 *            ADMITTED  has applied the entry with its number: a learner as any other, promoted
 *                      once it has caught up
 *
 * Why that is enough: when the removal was committed at term T, every member of a majority that
 * does not hold this one had it in its log. A candidate that got the forgotten vote of this member
 * needs one of them as well: for a term beyond T it would have had to have the removal in its log,
 * but it asked before the removal was there; of a term before T it cannot be the leader any more.
 * What remains is T itself, whose leader may owe its place to the forgotten vote: no vote is cast
 * in the term of the admission (>= T) or an older one. (thesis 11.7.2 has nothing to forget: there
 * a server that lost its disk is another one.)
 *
 * The stage is kept in the file RESEED until a later term is on the disk.
 */
#include "node/internal.h"

#include "codec/pack.h"
#include "codec/record.h"

#include <inttypes.h>
#include <stdio.h>

#define RESEED_FILE "RESEED"
#define RESEED_PART "RESEED.part"
#define RESEED_BYTES_MAX 256u
#define ASK_MS 200u
#define COMPLAIN_MS 10000u

/* ---- the file -------------------------------------------------------------------------------- */

static enum err write_part(struct node *node, const struct buf *bytes)
{
    const struct fs_ops *ops = node->fs.ops;
    struct fs_file *file;
    enum err err = ops->open(node->fs.ctx, RESEED_PART, FS_OPEN_CREATE_FRESH, &file);
    if (err != ERR_OK)
        return err;
    err = ops->write(node->fs.ctx, file, 0, bytes->data, bytes->len);
    if (err == ERR_OK)
        err = ops->sync(node->fs.ctx, file);
    ops->close(node->fs.ctx, file);
    return err;
}

/* Durable when it returns. */
static enum err save(struct node *node, const struct reseed *reseed)
{
    struct buf bytes = {0};
    size_t at = record_begin(&bytes, 1, 0, 0);
    pack_array(&bytes, 4);
    pack_u64(&bytes, reseed->stage);
    pack_u64(&bytes, reseed->number);
    pack_u64(&bytes, reseed->stamp);
    pack_u64(&bytes, reseed->floor);
    record_end(&bytes, at);
    enum err err = write_part(node, &bytes);
    buf_deinit(&bytes);
    if (err == ERR_OK)
        err = node->fs.ops->rename(node->fs.ctx, RESEED_PART, RESEED_FILE);
    if (err == ERR_OK)
        err = node->fs.ops->sync_dir(node->fs.ctx, "");
    if (err == ERR_OK)
        node->reseed = *reseed;
    return err;
}

static enum err decode(const uint8_t *data, size_t len, struct reseed *out)
{
    struct record record;
    size_t used;
    if (record_get(data, len, RESEED_BYTES_MAX, &record, &used) != ERR_OK)
        return ERR_CORRUPT;
    struct unpack in = unpack_init(record.payload, record.payload_len);
    uint32_t fields = unpack_array(&in);
    uint64_t stage = unpack_u64(&in);
    struct reseed read = {.number = unpack_u64(&in)};
    read.stamp = unpack_u64(&in);
    read.floor = unpack_u64(&in);
    unpack_rest(&in, fields, 4);
    if (fields < 4 || unpack_end(&in) != ERR_OK || stage == RESEED_NONE || stage > RESEED_ADMITTED)
        return ERR_CORRUPT;
    read.stage = (enum reseed_stage)stage;
    *out = read;
    return ERR_OK;
}

static enum err load(struct node *node, struct buf *why)
{
    const struct fs_ops *ops = node->fs.ops;
    struct fs_file *file;
    enum err err = ops->open(node->fs.ctx, RESEED_FILE, FS_OPEN_READ, &file);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    uint8_t data[RESEED_BYTES_MAX];
    size_t got = 0;
    if (err == ERR_OK) {
        err = ops->read(node->fs.ctx, file, 0, data, sizeof data, &got);
        ops->close(node->fs.ctx, file);
    }
    if (err != ERR_OK)
        buf_printf(why, RESEED_FILE ": %s", ops->last_error(node->fs.ctx));
    else if ((err = decode(data, got, &node->reseed)) != ERR_OK)
        buf_printf(why, RESEED_FILE ": damaged at offset 0");
    return err;
}

/* ---- at start -------------------------------------------------------------------------------- */

static enum err move_aside(struct node *node, const char *name)
{
    char to[64];
    (void)snprintf(to, sizeof to, "%s.damaged-%" PRIu64, name, node->reseed.stamp);
    enum err err = node->fs.ops->rename(node->fs.ctx, name, to);
    if (err == ERR_OK)
        log_warn(node->logger, "re-seeding: moved aside from=%s to=%s", name, to);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err move_all(struct node *node)
{
    static const char *const names[] = {"wal", "snap", ROLLED_BACK_FILE};
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && err == ERR_OK; i++)
        err = move_aside(node, names[i]);
    if (err == ERR_OK)
        err = node->fs.ops->sync_dir(node->fs.ctx, "");
    struct reseed moved = node->reseed;
    moved.stage = RESEED_ASKING;
    return err == ERR_OK ? save(node, &moved) : err;
}

static bool knows_others(const struct node *node)
{
    for (size_t i = 0; i < node->options.member_count; i++)
        if (node->options.members[i].id != node->options.id)
            return true;
    return false;
}

enum err reseed_begin(struct node *node, struct buf *why)
{
    if (!knows_others(node)) {
        buf_printf(why, "cannot re-seed: the configuration names no other member to take the data "
                        "from (a single member's data is the only copy)");
        return ERR_INVALID;
    }
    struct reseed begun = {
        .stage = RESEED_MOVING, .number = node->boot, .stamp = node->options.reseed_stamp};
    enum err err = save(node, &begun);
    if (err == ERR_OK)
        err = move_all(node);
    if (err != ERR_OK)
        buf_printf(why, "cannot re-seed: %s", node->fs.ops->last_error(node->fs.ctx));
    return err;
}

enum err reseed_open(struct node *node, struct buf *why)
{
    enum err err = load(node, why);
    if (err == ERR_CORRUPT && node->options.reseed_stamp != 0) {
        buf_clear(why);
        err = ERR_OK; /* begins anew, with this one replaced */
    }
    if (err != ERR_OK)
        return err;
    bool is_over = node->reseed.stage == RESEED_NONE || node->reseed.stage == RESEED_ADMITTED;
    if (is_over && node->options.reseed_stamp != 0)
        return reseed_begin(node, why);
    if (node->reseed.stage != RESEED_MOVING)
        return ERR_OK;
    err = move_all(node);
    if (err != ERR_OK)
        buf_printf(why, "cannot re-seed: %s", node->fs.ops->last_error(node->fs.ctx));
    return err;
}

/* ---- asking ---------------------------------------------------------------------------------- */

bool reseed_is_mute(const struct node *node)
{
    return node->reseed.stage == RESEED_ASKING;
}

bool reseed_is_learner(const struct node *node)
{
    const struct member *self = members_find(&node->members, node->options.id);
    return self != NULL && self->seed != 0 &&
           floe_ids_contain(&node->conf_state.learners, node->options.id);
}

bool reseed_allows(const struct node *node, const struct floe_message *message)
{
    const struct reseed *reseed = &node->reseed;
    bool vote = message->type == FLOE_MSG_VOTE || message->type == FLOE_MSG_PRE_VOTE;
    if (reseed->stage == RESEED_ADMITTED)
        return !vote || message->term > reseed->floor;
    if (reseed->stage != RESEED_ASKING)
        return true;
    bool led = message->type == FLOE_MSG_APP || message->type == FLOE_MSG_HEARTBEAT ||
               message->type == FLOE_MSG_SNAP;
    return led && message->from == reseed->leader && message->term == reseed->leader_term;
}

static void ask_one(struct node *node, floe_id id)
{
    uint8_t number[8];
    put_u64(number, node->reseed.number);
    if (id != node->options.id &&
        peer_set_send_note(node->peers, id, NOTE_RESEED, number, sizeof number) != ERR_OK)
        log_debug(node->logger, "re-seeding: not reached id=%" PRIu64, id);
}

/* All of them: who leads is not known, since whoever it is is not listened to yet. */
static void ask(struct node *node)
{
    for (size_t i = 0; i < node->members.count; i++)
        ask_one(node, node->members.list[i].id);
    for (size_t i = 0; i < node->options.member_count; i++)
        if (members_find(&node->members, node->options.members[i].id) == NULL)
            ask_one(node, node->options.members[i].id);
}

static void complain(struct node *node)
{
    struct reseed *reseed = &node->reseed;
    if (reseed->complain_ms == 0)
        reseed->complain_ms = node->now_ms + COMPLAIN_MS;
    if (node->now_ms < reseed->complain_ms || reseed->leader != FLOE_ID_NONE)
        return;
    reseed->complain_ms = node->now_ms + COMPLAIN_MS;
    log_warn(node->logger, "re-seeding waits: no leader has answered; a majority of the members "
                           "must be up that does not count this one");
}

/* A later term is on the disk: the core itself refuses to vote in the older ones. */
static void finish(struct node *node)
{
    struct reseed *reseed = &node->reseed;
    if (node->hard_state.term <= reseed->floor)
        return;
    if (reseed->finish_at == 0)
        reseed->finish_at = wal_appended(node->wal) + 1; /* 0 = not yet */
    if (wal_durable(node->wal) + 1 < reseed->finish_at)
        return;
    if (node->fs.ops->remove(node->fs.ctx, RESEED_FILE) != ERR_OK)
        log_warn(node->logger, RESEED_FILE " not removed why=%s",
                 node->fs.ops->last_error(node->fs.ctx));
    *reseed = (struct reseed){0};
}

void reseed_tick(struct node *node)
{
    struct reseed *reseed = &node->reseed;
    if (reseed->stage == RESEED_ADMITTED)
        finish(node);
    if (reseed->stage != RESEED_ASKING || node->now_ms < reseed->ask_ms)
        return;
    reseed->ask_ms = node->now_ms + ASK_MS;
    reseed_on_members(node); /* there was no room for its file */
    if (reseed->stage != RESEED_ASKING)
        return;
    ask(node);
    complain(node);
}

void reseed_on_answer(struct node *node, floe_id from, const uint8_t *data, size_t len)
{
    struct reseed *reseed = &node->reseed;
    if (len != 16 || reseed->stage != RESEED_ASKING || get_u64(data) != reseed->number)
        return;
    floe_term term = get_u64(data + 8);
    if (term < reseed->leader_term)
        return;
    if (reseed->leader != from || reseed->leader_term != term)
        log_info(node->logger, "re-seeding: a leader sends the data id=%" PRIu64 " term=%" PRIu64,
                 from, term);
    reseed->leader = from;
    reseed->leader_term = term;
}

void reseed_on_members(struct node *node)
{
    const struct member *self = members_find(&node->members, node->options.id);
    if (node->reseed.stage != RESEED_ASKING || self == NULL ||
        self->seed != node->reseed.number)
        return;
    struct reseed admitted = node->reseed;
    admitted.stage = RESEED_ADMITTED;
    admitted.floor = floe_raft_basic_status(node->raft).hard_state.term;
    enum err err = save(node, &admitted);
    if (err != ERR_OK && node->fs.ops->is_full(node->fs.ctx)) {
        log_warn(node->logger, "no room for " RESEED_FILE ", tried again in %u ms", ASK_MS);
        return;
    }
    if (err != ERR_OK) {
        node_fail(node, "cannot write " RESEED_FILE, node->fs.ops->last_error(node->fs.ctx));
        return;
    }
    peer_set_accept_unknown(node->peers, false);
    log_info(node->logger, "re-seeding: this member counts again, as a learner term=%" PRIu64,
             admitted.floor);
}

/* ---- at the leader --------------------------------------------------------------------------- */

static bool is_configured(const struct node *node, floe_id id)
{
    return floe_ids_contain(&node->conf_state.voters, id) ||
           floe_ids_contain(&node->conf_state.learners, id);
}

static void answer(struct node *node, floe_id to, uint64_t number)
{
    uint8_t note[16];
    put_u64(note, number);
    put_u64(note + 8, floe_raft_basic_status(node->raft).hard_state.term);
    if (peer_set_send_note(node->peers, to, NOTE_RESEED_ANSWER, note, sizeof note) != ERR_OK)
        log_debug(node->logger, "note lost to=%" PRIu64, to);
}

void reseed_on_request(struct node *node, floe_id from, const uint8_t *data, size_t len)
{
    const struct member *member = members_find(&node->members, from);
    if (len != 8 || !node_is_leader(node) || member == NULL || get_u64(data) == 0)
        return;
    uint64_t number = get_u64(data);
    node->seeding_id = from; /* is not promoted while it asks */
    node->seeding_until_ms = node->now_ms + 5 * ASK_MS;
    bool configured = is_configured(node, from);
    if (configured && member->seed == number) {
        answer(node, from, number);
        return;
    }
    if (node->change_index > node->applied)
        return; /* it asks again */
    log_info(node->logger, "member has lost its data, %s id=%" PRIu64,
             configured ? "taking its old self out" : "adding it anew as a learner", from);
    struct floe_blob *context =
        member_context_encode(member->peer_address, number, member->stays_learner);
    (void)changes_propose(node, configured ? FLOE_CONF_REMOVE_NODE : FLOE_CONF_ADD_LEARNER, from,
                          context);
    floe_blob_unref(context);
}

bool reseed_asks(const struct node *node, floe_id id)
{
    return node->seeding_id == id && node->now_ms < node->seeding_until_ms;
}
