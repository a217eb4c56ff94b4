/* POST /ID and DELETE /ID: members, as in raftexample. */
#include "api/internal.h"
#include "base/addr.h"
#include "base/assert.h"
#include "base/parse.h"

#include <inttypes.h>

_Static_assert(PARSE_MEMBER_ID_MAX == FLOE_ID_APPLY_THREAD - 1, "the ids that are the library's");

static bool parse_id(const struct api_call *call, floe_id *out, struct api_problem *problem)
{
    const char *why = "it is a word of our own";
    const struct buf *key = &call->target.key;
    if (call->target.word == NULL &&
        parse_member_id((const char *)key->data, key->len, out, &why) == ERR_OK)
        return true;
    return api_problem_set(problem, 400, "bad_member_id",
                           "POST and DELETE at the root mean a member, by its id; keys are deleted "
                           "at /kv/KEY. This is no id: %s",
                           why);
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

bool api_address_parse(const char *text, size_t len, char *canonical, struct api_problem *problem)
{
    struct addr addr;
    const char *why = "it is empty";
    if (len == 0 || addr_parse(text, len, &addr, &why) != ERR_OK)
        return api_problem_set(problem, 400, "bad_address",
                               "the body must be the peer address of the member, e.g. "
                               "http://10.0.0.4:12379: %s",
                               why);
    if (addr_is_wildcard(&addr))
        return api_problem_set(problem, 400, "bad_address",
                               "others cannot connect to this address");
    addr_format(&addr, canonical);
    return true;
}

static bool parse_address(struct evbuffer *body, char *canonical, struct api_problem *problem)
{
    size_t len = body != NULL ? evbuffer_get_length(body) : 0;
    if (len > API_MEMBER_BODY_BYTES)
        return api_problem_set(problem, 400, "bad_address", "the body must be one peer address");
    char text[API_MEMBER_BODY_BYTES];
    if (len > 0)
        ASSERT(evbuffer_copyout(body, text, len) == (ev_ssize_t)len);
    size_t start = 0;
    while (start < len && is_white(text[start]))
        start++;
    while (len > start && is_white(text[len - 1]))
        len--;
    return api_address_parse(text + start, len - start, canonical, problem);
}

/* The store's revision does not move with its members, so there is none to tell. */
bool api_member_changed(struct api *api, struct api_pending *pending, struct node_result *result,
                        struct api_response *out)
{
    (void)api, (void)pending;
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    out->status = 204;
    api_respond_position(out, result);
    return true;
}

bool api_member_handle(struct api *api, struct api_call *call, struct api_response *out)
{
    bool add = call->request->method == API_POST;
    struct api_problem problem;
    floe_id id = 0;
    char address[ADDR_TEXT_MAX];
    bool good = parse_id(call, &id, &problem);
    if (good && add)
        good = parse_address(call->request->body, address, &problem);
    if (!good) {
        api_respond_problem(out, &problem);
        return true;
    }
    (void)api_pending_add(api, call, api_member_changed);
    if (add)
        node_add_member(api->node, call->token, id, address, false, call->now_ms);
    else
        node_remove_member(api->node, call->token, id, call->now_ms);
    return false;
}
