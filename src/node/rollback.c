/*
 * A directory that is older than what this member has promised: a copy of an old one was put back,
 * or its end was lost. Such a member may have voted and acknowledged what it does not know of any
 * more, so it must never vote again with that directory.
 *
 * The proof is a committed entry that this member has acknowledged to a leader and does not have.
 * A leader's heartbeat carries min(match, commit): who is honestly behind gets an index that it
 * has. The same number is remembered by who ever led, and told to the member as the first thing on
 * each new connection: before anything that it could vote on. What is committed stays in the log of
 * who acknowledged it, whoever leads later, so the number never gets old.
 */
#include "node/internal.h"

#include <inttypes.h>
#include <stdio.h>

static struct counted *find(const struct node *node, floe_id id)
{
    for (size_t i = 0; i < node->counted_count; i++)
        if (node->counted[i].id == id)
            return &node->counted[i];
    return NULL;
}

static void note(struct node *node, floe_id id, floe_index index)
{
    struct counted *counted = find(node, id);
    if (counted == NULL) {
        node->counted = mem_grow(node->counted, node->counted_count, &node->counted_cap,
                                 sizeof *node->counted);
        counted = &node->counted[node->counted_count++];
        *counted = (struct counted){.id = id};
    }
    if (index > counted->index)
        counted->index = index;
}

void rollback_tick(struct node *node)
{
    if (!node_is_leader(node) || node->now_ms < node->counted_ms)
        return;
    node->counted_ms = node->now_ms + node->options.heartbeat_ms;
    struct floe_status status = floe_raft_status(node->raft);
    floe_index commit = status.basic.hard_state.commit;
    for (size_t i = 0; i < status.progress_count; i++) {
        floe_index match = status.progress[i].match;
        if (status.progress[i].id != node->options.id)
            note(node, status.progress[i].id, match < commit ? match : commit);
    }
    floe_status_deinit(&status);
}

void rollback_forget(struct node *node, floe_id id)
{
    struct counted *counted = find(node, id);
    if (counted != NULL)
        *counted = node->counted[--node->counted_count];
}

void rollback_on_connected(struct node *node, floe_id id)
{
    const struct counted *counted = find(node, id);
    if (counted == NULL || counted->index == 0)
        return;
    uint8_t bytes[8];
    put_u64(bytes, counted->index);
    if (peer_set_send_note(node->peers, id, NOTE_COUNTED, bytes, sizeof bytes) != ERR_OK)
        log_debug(node->logger, "note lost to=%" PRIu64, id);
}

void rollback_check(struct node *node, floe_id from, floe_index counted)
{
    floe_index last = floe_raft_basic_status(node->raft).last_index;
    if (counted <= last || node->life != NODE_RUNNING || reseed_is_mute(node))
        return;
    char text[200];
    (void)snprintf(text, sizeof text,
                   "member %" PRIu64 " counts on committed entries up to %" PRIu64
                   " that this member has acknowledged, but the log ends at %" PRIu64,
                   from, counted, last);
    marks_put(node, ROLLED_BACK_FILE, text);
    node->damaged = true;
    node_fail(node, "the data directory was rolled back", text);
}

enum err rollback_refuse_marked(const struct node *node, struct buf *why)
{
    if (!marks_has(node, ROLLED_BACK_FILE))
        return ERR_OK;
    buf_printf(why, "the data directory was rolled back (its file " ROLLED_BACK_FILE
                    " says what showed it): it must not take part again");
    return ERR_CORRUPT;
}
