/* member ..., leader and status. */
#include "floectl/command.h"

#include "base/addr.h"
#include "base/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool member_of(const char *text, uint64_t *out)
{
    const char *why;
    if (parse_member_id(text, strlen(text), out, &why) == ERR_OK)
        return true;
    (void)report_usage("'%s' is no member's id: %s", text, why);
    return false;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "-";
}

/* Changes of the cluster are not repeatable: whoever is asked a second time would refuse. They may
 * take as long as a member needs to be reached. */
static int change(struct ctl *ctl, struct ctl_request *request, const char *done)
{
    struct ctl_response response;
    int status = CTL_EXIT_OK;
    request->quiet_ms = ctl->args->timeout_s * 1000;
    client_call(ctl->client, request, &response);
    if (!report_is_good(&response))
        status = report_failure(&response);
    else if (!ctl->args->json)
        (void)printf("%s\n", done);
    else if (response.body.len > 0) {
        json_t *body = report_parse(&response.body);
        report_json(body);
        json_decref(body);
    }
    client_response_deinit(&response);
    return status;
}

int command_member_add(struct ctl *ctl)
{
    uint64_t id;
    struct addr addr;
    char address[ADDR_TEXT_MAX];
    const char *url = ctl->args->words[1];
    const char *why;
    if (!member_of(ctl->args->words[0], &id))
        return CTL_EXIT_USAGE;
    if (addr_parse(url, strlen(url), &addr, &why) != ERR_OK)
        return report_usage("'%s' is no peer's address: %s", url, why);
    struct buf text = {0};
    addr_format(&addr, address);
    buf_printf(&text, "{\"id\":%" PRIu64 ",\"peer_url\":\"http://%s\"%s}", id, address,
               ctl->args->learner ? ",\"learner\":true" : "");
    struct ctl_request request = {.method = EVHTTP_REQ_POST,
                                  .path = "/members",
                                  .headers = {{"Content-Type", "application/json"}},
                                  .body = buf_str(&text),
                                  .body_len = text.len};
    int status = change(ctl, &request, "added; now start it with join = true");
    buf_deinit(&text);
    return status;
}

static int change_one(struct ctl *ctl, enum evhttp_cmd_type method, const char *rest,
                      const char *done)
{
    uint64_t id;
    char path[64];
    if (!member_of(ctl->args->words[0], &id))
        return CTL_EXIT_USAGE;
    (void)snprintf(path, sizeof path, "/members/%" PRIu64 "%s", id, rest);
    struct ctl_request request = {.method = method, .path = path};
    return change(ctl, &request, done);
}

int command_member_remove(struct ctl *ctl)
{
    return change_one(ctl, EVHTTP_REQ_DELETE, "", "removed");
}

int command_member_promote(struct ctl *ctl)
{
    return change_one(ctl, EVHTTP_REQ_POST, "/promote", "promoted");
}

int command_leader(struct ctl *ctl)
{
    uint64_t to = 0;
    char text[64] = "{}";
    if (ctl->args->word_count > 0) {
        if (!member_of(ctl->args->words[0], &to))
            return CTL_EXIT_USAGE;
        (void)snprintf(text, sizeof text, "{\"to\":%" PRIu64 "}", to);
    }
    struct ctl_request request = {.method = EVHTTP_REQ_POST,
                                  .path = "/leader",
                                  .headers = {{"Content-Type", "application/json"}},
                                  .body = text,
                                  .body_len = strlen(text)};
    return change(ctl, &request, "handed over");
}

/* ---- member list ---- */

static void print_member(const struct ctl *ctl, const json_t *member)
{
    if (ctl->args->json) {
        report_json(member);
        return;
    }
    bool learner = json_is_true(json_object_get(member, "learner"));
    (void)printf("%-5" PRIu64 " %-12s %-8s %-28s %s\n", report_number(member, "id"),
                 text_of(member, "name"), learner ? "learner" : "voter",
                 text_of(member, "peer_address"), text_of(member, "http_address"));
}

int command_member_list(struct ctl *ctl)
{
    int status = CTL_EXIT_OK;
    struct ctl_response response;
    struct ctl_request request = {.method = EVHTTP_REQ_GET, .path = "/members", .repeatable = true};
    client_call(ctl->client, &request, &response);
    if (report_is_good(&response)) {
        json_t *body = report_parse(&response.body);
        const json_t *members = json_object_get(body, "members");
        if (!ctl->args->json)
            (void)printf("%-5s %-12s %-8s %-28s %s\n", "ID", "NAME", "KIND", "PEER", "HTTP");
        for (size_t i = 0; i < json_array_size(members); i++)
            print_member(ctl, json_array_get(members, i));
        json_decref(body);
    } else {
        status = report_failure(&response);
    }
    client_response_deinit(&response);
    return status;
}

/* ---- status ---- */

struct row {
    bool answered;
    json_t *body; /* NULL: none */
    char why[256];
};

/* The nodes that were named, and those that they know of. */
static void note_members(const json_t *body, struct ctl_endpoints *nodes)
{
    const json_t *members = json_object_get(body, "members");
    for (size_t i = 0; i < json_array_size(members); i++) {
        const char *text = text_of(json_array_get(members, i), "http_address");
        const char *why;
        struct addr addr;
        if (addr_parse(text, strlen(text), &addr, &why) == ERR_OK && !addr_is_wildcard(&addr))
            endpoints_add(nodes, &addr);
    }
}

static void fill_row(struct ctl *ctl, const struct addr *node, struct row *row)
{
    struct ctl_response response;
    struct ctl_request request = {
        .method = EVHTTP_REQ_GET, .path = "/status", .repeatable = true, .quiet_ms = 2000};
    client_call_one(ctl->client, node, &request, &response);
    row->answered = report_is_good(&response);
    if (row->answered) {
        row->body = report_parse(&response.body);
    } else if (response.outcome == CTL_ANSWERED) {
        (void)snprintf(row->why, sizeof row->why, "it answered %d", response.status);
    } else {
        const char *text = strstr(buf_str(&response.tried), ": ");
        (void)snprintf(row->why, sizeof row->why, "%s", text != NULL ? text + 2 : "no answer");
        row->why[strcspn(row->why, "\n")] = 0;
    }
    client_response_deinit(&response);
}

static const char *state_of(const json_t *body)
{
    const char *disk = text_of(json_object_get(body, "disk"), "state");
    if (!json_is_true(json_object_get(body, "ready")))
        return text_of(body, "reason")[0] != '-' ? text_of(body, "reason") : "not ready";
    return strcmp(disk, "good") == 0 || disk[0] == '-' ? "ready" : "disk not good";
}

static void print_row(const struct ctl *ctl, const struct addr *node, const struct row *row)
{
    char address[ADDR_TEXT_MAX];
    addr_format(node, address);
    if (ctl->args->json) {
        json_t *out = row->answered ? json_copy(row->body) : json_pack("{s:s}", "error", row->why);
        json_object_set_new(out, "endpoint", json_string(address));
        report_json(out);
        json_decref(out);
        return;
    }
    if (!row->answered) {
        (void)printf("%-5s %-22s %s\n", "?", address, row->why);
        return;
    }
    (void)printf("%-5" PRIu64 " %-22s %-10s %-6" PRIu64 " %-7" PRIu64 " %-10" PRIu64 " %-10" PRIu64
                 " %s\n",
                 report_number(row->body, "id"), address, text_of(row->body, "role"),
                 report_number(row->body, "term"), report_number(row->body, "leader"),
                 report_number(row->body, "revision"), report_number(row->body, "applied"),
                 state_of(row->body));
}

int command_status(struct ctl *ctl)
{
    struct ctl_endpoints nodes = *ctl->endpoints;
    struct row rows[CTL_ENDPOINTS_MAX] = {{0}};
    bool all = true;
    bool any = false;
    for (size_t i = 0; i < nodes.count; i++) { /* it may grow */
        fill_row(ctl, &nodes.list[i], &rows[i]);
        if (rows[i].answered)
            note_members(rows[i].body, &nodes);
        all &= rows[i].answered;
        any |= rows[i].answered;
    }
    if (!ctl->args->json)
        (void)printf("%-5s %-22s %-10s %-6s %-7s %-10s %-10s %s\n", "ID", "NODE", "ROLE", "TERM",
                     "LEADER", "REVISION", "APPLIED", "STATE");
    for (size_t i = 0; i < nodes.count; i++) {
        print_row(ctl, &nodes.list[i], &rows[i]);
        json_decref(rows[i].body);
    }
    if (all)
        return CTL_EXIT_OK;
    return any ? CTL_EXIT_NO : CTL_EXIT_NOBODY;
}
