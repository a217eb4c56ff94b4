/* See net.h. */
#include "net.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_line(void *arg, enum log_level level, const char *line)
{
    (void)line;
    unsigned *warnings = arg;
    if (level >= LOG_WARN)
        ++*warnings;
    if (getenv("NET_LOG") != NULL)
        printf("%s: %s\n", log_level_name(level), line);
}

void net_init(struct net *net)
{
    *net = (struct net){.now_ms = 1000};
}

void net_deinit(struct net *net)
{
    for (unsigned i = 1; i <= NET_MEMBERS; i++)
        peer_set_free(net->set[i]);
    for (size_t i = 0; i < net->wire_count; i++) {
        evbuffer_free(net->wire[i].end[0].input);
        evbuffer_free(net->wire[i].end[1].input);
    }
}

struct peer_options net_options(struct net *net, unsigned member, const char *cluster)
{
    net->logger[member] =
        (struct logger){.level = LOG_DEBUG, .write = on_line, .arg = &net->warnings[member]};
    return (struct peer_options){.id = member,
                                 .cluster = cluster,
                                 .name = "x",
                                 .seed = member,
                                 .logger = &net->logger[member]};
}

void net_start_with(struct net *net, unsigned member, const struct peer_options *options)
{
    ASSERT(net->set[member] == NULL);
    net->set[member] = peer_set_new(options);
}

void net_start(struct net *net, unsigned member, const char *cluster)
{
    struct peer_options options = net_options(net, member, cluster);
    net_start_with(net, member, &options);
}

void net_acquaint(struct net *net, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        for (unsigned j = 1; j <= count; j++) {
            char address[16];
            (void)snprintf(address, sizeof address, "n%u:1", j);
            if (i != j && net->set[i] != NULL)
                peer_set_put(net->set[i], j, address);
        }
    }
}

static struct net_wire *new_wire(struct net *net, unsigned from, peer_link link, unsigned to)
{
    ASSERT(net->wire_count < NET_WIRES_MAX);
    struct net_wire *wire = &net->wire[net->wire_count++];
    *wire = (struct net_wire){.open = true};
    wire->end[0] = (struct net_end){.member = from, .link = link, .input = evbuffer_new()};
    wire->end[1] = (struct net_end){.member = to, .input = evbuffer_new()};
    if (to == 0)
        return wire; /* black hole */
    wire->end[1].link = peer_set_on_accept(net->set[to], "wire", net->now_ms);
    if (wire->end[1].link == 0)
        wire->open = false;
    return wire;
}

struct net_wire *net_dial(struct net *net, unsigned member)
{
    return new_wire(net, 0, 0, member);
}

static void tell_closed(struct net *net, const struct net_end *end)
{
    if (end->member != 0 && net->set[end->member] != NULL)
        peer_set_on_closed(net->set[end->member], end->link, "cut", net->now_ms);
}

void net_cut(struct net *net, struct net_wire *wire)
{
    wire->open = false;
    tell_closed(net, &wire->end[0]);
    tell_closed(net, &wire->end[1]);
}

void net_stop(struct net *net, unsigned member)
{
    peer_set_free(net->set[member]);
    net->set[member] = NULL;
    for (size_t i = 0; i < net->wire_count; i++) {
        struct net_wire *wire = &net->wire[i];
        if (wire->open && (wire->end[0].member == member || wire->end[1].member == member))
            net_cut(net, wire);
    }
}

struct net_wire *net_wire(struct net *net, unsigned from, unsigned to)
{
    for (size_t i = net->wire_count; i > 0; i--) {
        struct net_wire *wire = &net->wire[i - 1];
        if (wire->open && wire->end[0].member == from && wire->end[1].member == to)
            return wire;
    }
    return NULL;
}

static struct net_wire *find_end(struct net *net, unsigned member, peer_link link, unsigned *side)
{
    for (size_t i = 0; i < net->wire_count; i++) {
        for (unsigned s = 0; s < 2; s++) {
            const struct net_end *end = &net->wire[i].end[s];
            if (net->wire[i].open && end->member == member && end->link == link) {
                *side = s;
                return &net->wire[i];
            }
        }
    }
    return NULL;
}

static void dial(struct net *net, unsigned from, const struct peer_action *action)
{
    unsigned to = (unsigned)(action->address[1] - '0');
    net->dials[from]++;
    if (net->black_hole) {
        (void)new_wire(net, from, action->link, 0);
        return;
    }
    if (to > NET_MEMBERS || net->set[to] == NULL) {
        peer_set_on_closed(net->set[from], action->link, "connection refused", net->now_ms);
        return;
    }
    struct net_wire *wire = new_wire(net, from, action->link, to);
    if (wire->open)
        peer_set_on_connected(net->set[from], action->link, net->now_ms);
    else
        peer_set_on_closed(net->set[from], action->link, "turned away", net->now_ms);
}

static void maybe_flip(struct net *net, struct net_wire *wire, const struct net_end *to,
                       struct evbuffer *bytes)
{
    struct net_flip *flip = &net->flip;
    if (flip->to == 0 || flip->to != to->member || flip->skip-- > 0)
        return;
    flip->to = 0;
    flip->len = evbuffer_get_length(bytes);
    if (flip->at >= flip->len)
        return;
    evbuffer_pullup(bytes, -1)[flip->at] ^= flip->mask;
    flip->wire = wire;
}

static void deliver(struct net *net, const struct net_end *to, struct evbuffer *bytes)
{
    if (net->damage_next && evbuffer_get_length(bytes) > 8) {
        evbuffer_pullup(bytes, -1)[evbuffer_get_length(bytes) - 1] ^= 4;
        net->damage_next = false;
    }
    while (evbuffer_get_length(bytes) > 0) {
        size_t count = net->single_bytes ? 1 : evbuffer_get_length(bytes);
        (void)evbuffer_remove_buffer(bytes, to->input, count);
        if (to->member != 0 && net->set[to->member] != NULL)
            peer_set_on_input(net->set[to->member], to->link, to->input, net->now_ms);
    }
}

static bool move_output(struct net *net, struct net_wire *wire, unsigned side)
{
    const struct net_end *from = &wire->end[side];
    if (!wire->open || wire->stalled || from->member == 0 || net->set[from->member] == NULL)
        return false;
    struct evbuffer *output = peer_set_output(net->set[from->member], from->link);
    if (output == NULL || evbuffer_get_length(output) == 0)
        return false;
    size_t count = evbuffer_get_length(output);
    if (wire->rate != 0 && count > wire->rate - wire->moved[side])
        count = wire->rate - wire->moved[side];
    if (count == 0)
        return false;
    wire->moved[side] += count;
    struct evbuffer *bytes = evbuffer_new();
    (void)evbuffer_remove_buffer(output, bytes, count);
    maybe_flip(net, wire, &wire->end[1 - side], bytes);
    deliver(net, &wire->end[1 - side], bytes);
    evbuffer_free(bytes);
    return true;
}

static bool do_actions(struct net *net, unsigned member)
{
    bool any = false;
    struct peer_action action;
    while (net->set[member] != NULL && peer_set_next_action(net->set[member], &action)) {
        any = true;
        if (action.type == PEER_ACTION_DIAL) {
            dial(net, member, &action);
            continue;
        }
        unsigned side = 0;
        struct net_wire *wire = find_end(net, member, action.link, &side);
        if (wire == NULL)
            continue;
        if (action.flush)
            (void)move_output(net, wire, side);
        if (wire->stalled) { /* the other end hears nothing of it */
            peer_set_on_closed(net->set[member], action.link, "closed", net->now_ms);
            wire->end[side].member = 0;
            continue;
        }
        net_cut(net, wire);
    }
    return any;
}

void net_settle(struct net *net)
{
    for (bool any = true; any;) {
        any = false;
        for (unsigned i = 1; i <= NET_MEMBERS; i++)
            any |= do_actions(net, i);
        for (unsigned i = 1; i <= NET_MEMBERS; i++)
            while (net->set[i] != NULL && peer_set_next_dirty(net->set[i]) != 0)
                any = true;
        for (size_t i = 0; i < net->wire_count; i++) {
            any |= move_output(net, &net->wire[i], 0);
            any |= move_output(net, &net->wire[i], 1);
        }
    }
}

void net_run(struct net *net, uint64_t ms)
{
    net_settle(net);
    for (uint64_t end_ms = net->now_ms + ms; net->now_ms < end_ms;) {
        net->now_ms += 10;
        for (size_t i = 0; i < net->wire_count; i++)
            net->wire[i].moved[0] = net->wire[i].moved[1] = 0;
        for (unsigned i = 1; i <= NET_MEMBERS; i++)
            if (net->set[i] != NULL)
                peer_set_tick(net->set[i], net->now_ms);
        net_settle(net);
    }
}

bool net_wait_event(struct net *net, unsigned member, enum peer_event_type type,
                    struct peer_event *out)
{
    while (peer_set_next_event(net->set[member], out)) {
        if (out->type == type)
            return true;
        peer_event_deinit(out);
    }
    return false;
}

void net_drop_events(struct net *net, unsigned member)
{
    struct peer_event event;
    while (peer_set_next_event(net->set[member], &event))
        peer_event_deinit(&event);
}
