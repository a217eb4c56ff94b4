/* cluster/member/...: the members are the node's, under its own ids. */
#include "api/v3_internal.h"
#include "base/addr.h"

#include <stdio.h>
#include <string.h>

#define ID_TRIES 64 /* ids that were removed once are not given again */

/* ---- lists ----------------------------------------------------------------------------------- */

static const char **one_url(struct v3_arena *arena, const char *address)
{
    const char **urls = v3_arena_alloc(arena, 1, sizeof *urls);
    size_t size = strlen(address) + sizeof "http://";
    char *url = v3_arena_alloc(arena, size, 1);
    (void)snprintf(url, size, "http://%s", address);
    *urls = url;
    return urls;
}

static const char *copy(struct v3_arena *arena, const char *text)
{
    return (const char *)v3_arena_copy(arena, text, strlen(text)).data;
}

/* Who is to become a voter as soon as it has caught up is shown as one. */
static void member_of(struct v3_arena *arena, const struct node_member *from, struct v3_member *to)
{
    to->id = from->id;
    to->name = copy(arena, from->name != NULL ? from->name : "");
    to->is_learner = from->learner && from->stays_learner;
    to->peer_urls = one_url(arena, from->peer_address);
    to->peer_urls_count = 1;
    if (from->http_address != NULL && *from->http_address != '\0') {
        to->client_urls = one_url(arena, from->http_address);
        to->client_urls_count = 1;
    }
}

static struct v3_member *members_of(struct v3_arena *arena, const struct node_status *status)
{
    struct v3_member *members = v3_arena_alloc(arena, status->member_count, sizeof *members);
    for (size_t i = 0; i < status->member_count; i++)
        member_of(arena, &status->members[i], &members[i]);
    return members;
}

static void answer_members(struct api *api, struct v3_call *call)
{
    struct node_status status = node_status(api->node, api->v3->now_ms);
    struct v3_members_response response = {.header = v3_header(api, call, 0),
                                           .members = members_of(&call->arena, &status),
                                           .members_count = status.member_count};
    node_status_deinit(&status);
    v3_answer(api, call, &v3_message_members_response, &response);
}

static void on_members(struct api *api, struct v3_call *call, const struct node_result *result,
                       uint64_t now_ms)
{
    (void)result;
    (void)now_ms;
    answer_members(api, call);
}

void v3_handle_member_list(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_member_list_request *request = call->request;
    if (request->linearizable)
        v3_read(api, call, on_members, now_ms);
    else
        answer_members(api, call);
}

static const struct node_member *find_member(const struct node_status *status, floe_id id)
{
    for (size_t i = 0; i < status->member_count; i++) {
        if (status->members[i].id == id)
            return &status->members[i];
    }
    return NULL;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* "http://host:port" and nothing else; canonical has ADDR_TEXT_MAX bytes. Of several the first one
 * is taken: a member has one address. */
static bool parse_urls(const char **urls, size_t count, char *canonical)
{
    struct addr addr;
    const char *why;
    if (count == 0)
        return false;
    for (size_t i = count; i-- > 0;) {
        size_t len = strlen(urls[i]);
        if (strncmp(urls[i], "http://", 7) != 0 || urls[i][len - 1] == '/' ||
            addr_parse(urls[i], len, &addr, &why) != ERR_OK || addr_is_wildcard(&addr))
            return false;
    }
    addr_format(&addr, canonical);
    return true;
}

static bool is_peer_address(const struct node_status *status, const char *address, floe_id but)
{
    for (size_t i = 0; i < status->member_count; i++) {
        if (status->members[i].id != but && strcmp(status->members[i].peer_address, address) == 0)
            return true;
    }
    return false;
}

static bool has_learner(const struct node_status *status)
{
    for (size_t i = 0; i < status->member_count; i++) {
        if (status->members[i].learner && status->members[i].stays_learner)
            return true;
    }
    return false;
}

static void on_added(struct api *api, struct v3_call *call, const struct node_result *result,
                     uint64_t now_ms)
{
    (void)result;
    (void)now_ms;
    struct node_status status = node_status(api->node, api->v3->now_ms);
    struct v3_member_add_response response = {.header = v3_header(api, call, 0),
                                              .members = members_of(&call->arena, &status),
                                              .members_count = status.member_count};
    for (size_t i = 0; i < response.members_count; i++) {
        if (response.members[i].id == call->member)
            response.member = &response.members[i];
    }
    node_status_deinit(&status);
    v3_answer(api, call, &v3_message_member_add_response, &response);
}

static void add(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_member_add_request *request = call->request;
    char address[ADDR_TEXT_MAX];
    if (!parse_urls(request->peer_urls, request->peer_urls_count, address)) {
        v3_fail(api, call, V3_BAD_URLS);
        return;
    }
    v3_asked(api, call, on_added);
    node_add_member(api->node, call->token, call->member, address, request->is_learner, now_ms);
}

/* The smallest id above all that are in use; the node says if that one was removed once. */
void v3_handle_member_add(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_member_add_request *request = call->request;
    char address[ADDR_TEXT_MAX];
    struct node_status status = node_status(api->node, now_ms);
    for (size_t i = 0; i < status.member_count; i++)
        call->member = status.members[i].id + 1;
    bool is_url = parse_urls(request->peer_urls, request->peer_urls_count, address);
    bool exists = is_url && is_peer_address(&status, address, 0);
    bool second_learner = request->is_learner && has_learner(&status);
    node_status_deinit(&status);
    if (!is_url)
        v3_fail(api, call, V3_BAD_URLS);
    else if (exists)
        v3_fail(api, call, V3_PEER_URL_EXISTS);
    else if (second_learner)
        v3_fail(api, call, V3_TOO_MANY_LEARNERS);
    else
        add(api, call, now_ms);
}

bool v3_member_add_again(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    if (call->route->handle != v3_handle_member_add || ++call->tries == ID_TRIES)
        return false;
    call->member++;
    add(api, call, now_ms);
    return true;
}

void v3_handle_member_remove(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_member_request *request = call->request;
    struct node_status status = node_status(api->node, now_ms);
    bool known = find_member(&status, request->id) != NULL;
    node_status_deinit(&status);
    if (!known) {
        v3_fail(api, call, V3_MEMBER_NOT_FOUND);
        return;
    }
    v3_asked(api, call, on_members);
    node_remove_member(api->node, call->token, request->id, now_ms);
}

void v3_handle_member_update(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_member_update_request *request = call->request;
    char address[ADDR_TEXT_MAX];
    struct node_status status = node_status(api->node, now_ms);
    bool is_url = parse_urls(request->peer_urls, request->peer_urls_count, address);
    bool known = find_member(&status, request->id) != NULL;
    bool exists = is_url && is_peer_address(&status, address, request->id);
    node_status_deinit(&status);
    if (!known) {
        v3_fail(api, call, V3_MEMBER_NOT_FOUND);
    } else if (!is_url) {
        v3_fail(api, call, V3_BAD_URLS);
    } else if (exists) {
        v3_fail(api, call, V3_PEER_URL_EXISTS);
    } else {
        v3_asked(api, call, on_members);
        node_update_member(api->node, call->token, request->id, address, now_ms);
    }
}

void v3_handle_member_promote(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    const struct v3_member_request *request = call->request;
    struct node_status status = node_status(api->node, now_ms);
    const struct node_member *member = find_member(&status, request->id);
    bool known = member != NULL;
    bool learner = known && member->learner;
    node_status_deinit(&status);
    if (!known) {
        v3_fail(api, call, V3_MEMBER_NOT_FOUND);
    } else if (!learner) {
        v3_fail(api, call, V3_NO_LEARNER);
    } else {
        v3_asked(api, call, on_members);
        node_promote_member(api->node, call->token, request->id, now_ms);
    }
}
