/*
 * Late and stuck disks. The age of the oldest write that no sync has covered yet is looked at every
 * turn:
 *
 *   good        none is older than half an election time-out
 *   late        one is: no longer a target of transfers
 *   stuck       one is older than two election time-outs: no dead leader is borne for longer. A
 *               leader hands over to a healthy member. Where the transfer does not work, it says
 *               nothing to its followers any more, so that they elect and its own quorum check
 *               makes it a follower: to the core, messages were lost. It stays the leader if the
 *               others could not have one: no majority of healthy disks without its own.
 *   recovering  it was stuck: for ten election time-outs (20 s at most) without a late write this
 *               member votes, but does not campaign, so that leadership does not go to and fro
 *
 * A sync that is done inline blocks the loop, as does a write once the page cache takes no more:
 * nothing is seen here then. The process hangs as a whole, and the others elect because they hear
 * nothing.
 */
#include "node/internal.h"

#include <inttypes.h>

/* Very short election time-outs say nothing about disks. */
#define LATE_MIN_MS 250u
#define STUCK_MIN_MS 1000u
#define RECOVERY_MIN_MS 5000u
#define RECOVERY_MAX_MS 20000u /* only it may be able to lead */

static uint64_t at_least(uint64_t ms, uint64_t min_ms)
{
    return ms > min_ms ? ms : min_ms;
}

static uint64_t late_ms(const struct node *node)
{
    return at_least(node->options.election_ms / 2, LATE_MIN_MS);
}

static uint64_t stuck_ms(const struct node *node)
{
    return at_least(2 * (uint64_t)node->options.election_ms, STUCK_MIN_MS);
}

static uint64_t recovery_ms(const struct node *node)
{
    uint64_t election_ms = node->options.election_ms;
    uint64_t most_ms = at_least(2 * election_ms, RECOVERY_MAX_MS);
    uint64_t ms = at_least(10 * election_ms, RECOVERY_MIN_MS);
    return ms < most_ms ? ms : most_ms;
}

/* ---- the age --------------------------------------------------------------------------------- */

uint64_t disk_watch_age_ms(const struct node *node)
{
    const struct disk_watch *watch = &node->disk;
    const struct disk_wait *oldest = watch->flying.is ? &watch->flying : &watch->gathered;
    return oldest->is && node->now_ms > oldest->since_ms ? node->now_ms - oldest->since_ms : 0;
}

static enum node_disk judge(const struct node *node, uint64_t age_ms)
{
    if (age_ms >= stuck_ms(node))
        return NODE_DISK_STUCK;
    if (age_ms >= late_ms(node))
        return NODE_DISK_LATE;
    return node->disk.was_stuck ? NODE_DISK_RECOVERING : NODE_DISK_GOOD;
}

/* One line for each time that it gets stuck and for its end; of what is only late, not more than
 * one in a recovery time. */
static void say(struct node *node, enum node_disk now, uint64_t age_ms)
{
    struct disk_watch *watch = &node->disk;
    bool worse = now == NODE_DISK_STUCK && watch->state != NODE_DISK_STUCK;
    bool late = now == NODE_DISK_LATE && watch->state == NODE_DISK_GOOD;
    if (worse) {
        log_warn(node->logger, "disk stuck oldest_write_ms=%" PRIu64 " bound_ms=%" PRIu64, age_ms,
                 stuck_ms(node));
    } else if (late && (watch->late_count == 1 || node->now_ms >= watch->said_late_ms)) {
        watch->said_late_ms = node->now_ms + recovery_ms(node);
        log_warn(node->logger,
                 "disk late oldest_write_ms=%" PRIu64 " bound_ms=%" PRIu64 " times=%" PRIu64,
                 age_ms, late_ms(node), watch->late_count);
    } else if (watch->state == NODE_DISK_STUCK && now != NODE_DISK_STUCK) {
        log_info(node->logger, "disk works again longest_ms=%" PRIu64, watch->longest_ms);
    } else if (watch->state == NODE_DISK_RECOVERING && now == NODE_DISK_GOOD) {
        log_info(node->logger, "disk good again for_ms=%" PRIu64, recovery_ms(node));
    }
}

static void observe(struct node *node)
{
    struct disk_watch *watch = &node->disk;
    uint64_t age_ms = disk_watch_age_ms(node);
    if (age_ms > watch->longest_ms)
        watch->longest_ms = age_ms;
    if (age_ms >= late_ms(node))
        watch->bad_ms = node->now_ms;
    else if (watch->was_stuck && node->now_ms >= watch->bad_ms + recovery_ms(node))
        watch->was_stuck = false;
    enum node_disk now = judge(node, age_ms);
    bool was_bad = watch->state == NODE_DISK_LATE || watch->state == NODE_DISK_STUCK;
    if ((now == NODE_DISK_LATE || now == NODE_DISK_STUCK) && !was_bad)
        watch->late_count++;
    if (now == NODE_DISK_STUCK && watch->state != NODE_DISK_STUCK)
        watch->stuck_count++;
    say(node, now, age_ms);
    watch->was_stuck = watch->was_stuck || now == NODE_DISK_STUCK;
    watch->state = now;
}

void disk_watch_on_wanted(struct node *node)
{
    if (!node->disk.gathered.is)
        node->disk.gathered = (struct disk_wait){true, node->now_ms};
}

void disk_watch_on_start(struct node *node)
{
    node->disk.flying = node->disk.gathered;
    node->disk.gathered.is = false;
}

void disk_watch_on_finished(struct node *node)
{
    observe(node);
    node->disk.flying.is = false;
}

/* Short ones count: a loop that is always a little slow must not hide a stuck disk. */
void disk_watch_on_pause(struct node *node, uint64_t pause_ms)
{
    if (pause_ms <= late_ms(node) / 2)
        return;
    node->disk.flying.since_ms += pause_ms;
    node->disk.gathered.since_ms += pause_ms;
}

/* ---- leadership ------------------------------------------------------------------------------ */

static bool is_alone(const struct node *node)
{
    const struct floe_ids *voters = &node->conf_state.voters;
    return voters->count == 1 && voters->id[0] == node->options.id &&
           node->conf_state.voters_outgoing.count == 0;
}

bool disk_watch_may_lead(const struct node *node)
{
    bool bad = node->disk.was_stuck || node->disk.state == NODE_DISK_STUCK;
    return !bad || is_alone(node);
}

/* Is the member heard of, and is its disk at least so good? */
static bool is_healthy(const struct node *node, floe_id id, bool enough_to_lead)
{
    struct peer_status peer;
    if (!peer_set_status(node->peers, id, &peer) || peer.last_heard_ms == 0 ||
        node->now_ms >= peer.last_heard_ms + node->options.election_ms)
        return false;
    enum node_disk disk = beats_disk_of(node, id);
    return enough_to_lead ? disk == NODE_DISK_GOOD : disk != NODE_DISK_STUCK;
}

static bool have_majority(const struct node *node, const struct floe_ids *voters)
{
    size_t healthy = 0;
    for (size_t i = 0; i < voters->count; i++)
        healthy += voters->id[i] != node->options.id && is_healthy(node, voters->id[i], false);
    return voters->count == 0 || 2 * healthy > voters->count;
}

/* Would there be a leader without this member? */
static bool others_could_lead(const struct node *node)
{
    const struct floe_ids *voters = &node->conf_state.voters;
    bool heir = false;
    for (size_t i = 0; i < voters->count && !heir; i++)
        heir = voters->id[i] != node->options.id && is_healthy(node, voters->id[i], true);
    return heir && have_majority(node, voters) &&
           have_majority(node, &node->conf_state.voters_outgoing);
}

static void give_up_leadership(struct node *node)
{
    struct disk_watch *watch = &node->disk;
    if (!watch->giving_up) {
        watch->giving_up = true;
        watch->give_up_ms = node->now_ms;
        log_warn(node->logger, "leadership is given up: the disk is stuck");
    }
    if (node->now_ms < watch->give_up_ms + node->options.election_ms && stop_transfer_away(node))
        return;
    if (!watch->silent)
        log_warn(node->logger, "no hand-over worked: silent until the others have elected");
    watch->silent = true;
}

void disk_watch_turn(struct node *node)
{
    observe(node);
    if (node->disk.state == NODE_DISK_STUCK && node_is_leader(node) && others_could_lead(node)) {
        give_up_leadership(node);
        return;
    }
    node->disk.giving_up = false;
    node->disk.silent = false;
}

bool disk_watch_withholds(const struct node *node, const struct floe_message *message)
{
    return node->disk.silent && node_is_leader(node) &&
           (message->type == FLOE_MSG_HEARTBEAT || message->type == FLOE_MSG_APP ||
            message->type == FLOE_MSG_SNAP);
}

/* Who may not lead counts the silence of a leader, too, but not to the end: it forgets the leader
 * instead of campaigning, which lets it vote for others. */
void disk_watch_tick(struct node *node, uint32_t election_ticks)
{
    struct floe_basic_status status = floe_raft_basic_status(node->raft);
    if (disk_watch_may_lead(node) || status.soft_state.state == FLOE_STATE_LEADER ||
        status.election_elapsed + 1 < election_ticks) {
        floe_raft_tick(node->raft);
        return;
    }
    enum floe_err err = floe_raft_forget_leader(node->raft);
    ASSERT(err == FLOE_OK);
}
