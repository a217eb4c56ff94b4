/* /members and /leader: the same changes as at the root, in JSON. */
#include "api/body.h"
#include "base/addr.h"
#include "base/parse.h"

#include <string.h>

bool api_members_list(struct api *api, struct api_call *call, struct api_response *out)
{
    struct node_status status = node_status(api->node, call->now_ms);
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_u64(&json, "leader", status.leader);
    api_json_u64(&json, "term", status.term);
    api_put_members(&json, &status);
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
    node_status_deinit(&status);
    return true;
}

static bool parse_part(const struct api_call *call, floe_id *out, struct api_problem *problem)
{
    const char *why = "";
    if (parse_member_id(call->part, call->part_len, out, &why) == ERR_OK)
        return true;
    return api_problem_set(problem, 400, "bad_member_id", "this is no id: %s", why);
}

/* A member of the body as an id. */
static bool parse_field(const json_t *body, const char *name, floe_id *out,
                        struct api_problem *problem)
{
    if (!api_body_u64(body, name, out, problem))
        return false;
    if (*out != 0 && *out <= PARSE_MEMBER_ID_MAX)
        return true;
    return api_problem_set(problem, 400, "bad_member_id", "\"%s\" is the id of a member", name);
}

/* address has ADDR_TEXT_MAX bytes. */
static bool parse_url(const json_t *body, char *address, struct api_problem *problem)
{
    const json_t *url = json_object_get(body, "peer_url");
    if (json_is_string(url))
        return api_address_parse(json_string_value(url), json_string_length(url), address, problem);
    return api_problem_set(problem, 400, "bad_address",
                           "\"peer_url\" is the peer address of the member, e.g. "
                           "http://10.0.0.4:12379");
}

bool api_members_add(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    floe_id id = 0;
    char address[ADDR_TEXT_MAX];
    json_t *body = api_body_object(call->request, &problem);
    bool good = body != NULL && parse_field(body, "id", &id, &problem) &&
                parse_url(body, address, &problem);
    bool stay_learner = json_is_true(json_object_get(body, "learner"));
    json_decref(body);
    if (!good) {
        api_respond_problem(out, &problem);
        return true;
    }
    (void)api_pending_add(api, call, api_member_changed);
    node_add_member(api->node, call->token, id, address, stay_learner, call->now_ms);
    return false;
}

bool api_members_update(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    floe_id id = 0;
    char address[ADDR_TEXT_MAX];
    json_t *body = NULL;
    bool good = parse_part(call, &id, &problem);
    if (good)
        body = api_body_object(call->request, &problem);
    good = good && body != NULL && parse_url(body, address, &problem);
    json_decref(body);
    if (!good) {
        api_respond_problem(out, &problem);
        return true;
    }
    (void)api_pending_add(api, call, api_member_changed);
    node_update_member(api->node, call->token, id, address, call->now_ms);
    return false;
}

bool api_members_remove(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    floe_id id;
    if (!parse_part(call, &id, &problem)) {
        api_respond_problem(out, &problem);
        return true;
    }
    (void)api_pending_add(api, call, api_member_changed);
    node_remove_member(api->node, call->token, id, call->now_ms);
    return false;
}

bool api_members_promote(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    floe_id id;
    if (!parse_part(call, &id, &problem)) {
        api_respond_problem(out, &problem);
        return true;
    }
    (void)api_pending_add(api, call, api_member_changed);
    node_promote_member(api->node, call->token, id, call->now_ms);
    return false;
}

static bool on_moved(struct api *api, struct api_pending *pending, struct node_result *result,
                     struct api_response *out)
{
    (void)pending;
    if (result->outcome != NODE_OK) {
        api_respond_outcome(out, result);
        return true;
    }
    struct api_json json = {0};
    api_json_open(&json, NULL, '{');
    api_json_u64(&json, "leader", node_leader(api->node));
    api_json_close(&json, '}');
    api_respond_json(out, 200, &json);
    return true;
}

/* {"to":2}; without it the best one. */
bool api_leader_set(struct api *api, struct api_call *call, struct api_response *out)
{
    struct api_problem problem;
    floe_id to = 0;
    json_t *body = api_body_object(call->request, &problem);
    bool good = body != NULL &&
                (json_object_get(body, "to") == NULL || parse_field(body, "to", &to, &problem));
    json_decref(body);
    if (!good) {
        api_respond_problem(out, &problem);
        return true;
    }
    (void)api_pending_add(api, call, on_moved);
    node_transfer_leader(api->node, call->token, to, call->now_ms);
    return false;
}
