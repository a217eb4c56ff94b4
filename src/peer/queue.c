/* What comes back out of the set: events for the node, actions for the loop. First in, first out.
 */
#include "peer/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

void peer_event_deinit(struct peer_event *event)
{
    floe_message_deinit(&event->message);
    buf_deinit(&event->data);
    *event = (struct peer_event){0};
}

void peer_queue_event(struct peer_set *set, struct peer_event event, size_t bytes)
{
    struct event_item *item = mem_alloc(sizeof *item);
    *item = (struct event_item){.event = event, .bytes = bytes + sizeof *item};
    STAILQ_INSERT_TAIL(&set->events, item, entry);
    set->event_bytes += item->bytes;
}

void peer_queue_simple(struct peer_set *set, enum peer_event_type type, floe_id id)
{
    peer_queue_event(set, (struct peer_event){.type = type, .id = id}, 0);
}

bool peer_set_next_event(struct peer_set *set, struct peer_event *out)
{
    struct event_item *item = STAILQ_FIRST(&set->events);
    if (item == NULL)
        return false;
    STAILQ_REMOVE_HEAD(&set->events, entry);
    ASSERT(set->event_bytes >= item->bytes);
    set->event_bytes -= item->bytes;
    *out = item->event;
    mem_free(item);
    return true;
}

size_t peer_set_event_bytes(const struct peer_set *set)
{
    return set->event_bytes;
}

static struct peer_action *queue_action(struct peer_set *set, enum peer_action_type type,
                                        peer_link link)
{
    struct action_item *item = mem_calloc(1, sizeof *item);
    item->action.type = type;
    item->action.link = link;
    STAILQ_INSERT_TAIL(&set->actions, item, entry);
    return &item->action;
}

void peer_queue_dial(struct peer_set *set, const struct session *session)
{
    struct peer_action *action = queue_action(set, PEER_ACTION_DIAL, session->link);
    (void)snprintf(action->address, sizeof action->address, "%s", session->where);
}

void peer_queue_close(struct peer_set *set, const struct session *session)
{
    queue_action(set, PEER_ACTION_CLOSE, session->link)->flush = session->flush;
}

bool peer_set_next_action(struct peer_set *set, struct peer_action *out)
{
    struct action_item *item = STAILQ_FIRST(&set->actions);
    if (item == NULL)
        return false;
    STAILQ_REMOVE_HEAD(&set->actions, entry);
    *out = item->action;
    mem_free(item);
    return true;
}

void peer_queue_clear(struct peer_set *set)
{
    struct peer_event event;
    while (peer_set_next_event(set, &event))
        peer_event_deinit(&event);
    struct peer_action action;
    while (peer_set_next_action(set, &action))
        continue;
}
