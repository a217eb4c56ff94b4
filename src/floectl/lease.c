/* lease ... */
#include "floectl/command.h"
#include "floectl/text.h"

#include "base/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool number_of(const char *text, uint64_t most, uint64_t *out)
{
    return parse_u64(text, strlen(text), out) == ERR_OK && *out >= 1 && *out <= most;
}

/* /leases/ID and what follows; false after a word to the user. */
static bool lease_path(const struct ctl *ctl, const char *rest, struct buf *path)
{
    uint64_t id;
    if (!number_of(ctl->args->words[0], INT64_MAX, &id)) {
        (void)report_usage("a lease's id is a number, not '%s'", ctl->args->words[0]);
        return false;
    }
    buf_printf(path, "/leases/%" PRIu64 "%s", id, rest);
    return true;
}

/* The answer's body if it is good (owned by the caller), else NULL with *status set. */
static json_t *ask(struct ctl *ctl, const struct ctl_request *request, int *status)
{
    struct ctl_response response;
    json_t *body = NULL;
    client_call(ctl->client, request, &response);
    *status = CTL_EXIT_OK;
    if (report_is_good(&response))
        body = report_parse(&response.body);
    else
        *status = report_failure(&response);
    client_response_deinit(&response);
    return body;
}

int command_lease_grant(struct ctl *ctl)
{
    struct buf text = {0};
    uint64_t ttl_s;
    int status;
    if (!number_of(ctl->args->words[0], 9000000000, &ttl_s))
        return report_usage("a lease's time is a number of seconds, not '%s'", ctl->args->words[0]);
    buf_printf(&text, "{\"ttl\":%" PRIu64, ttl_s);
    if (ctl->args->lease != 0)
        buf_printf(&text, ",\"id\":%" PRIu64, ctl->args->lease);
    buf_printf(&text, "}");
    /* Not repeatable: a second one would be another lease. */
    struct ctl_request request = {.method = EVHTTP_REQ_POST,
                                  .path = "/leases",
                                  .headers = {{"Content-Type", "application/json"}},
                                  .body = buf_str(&text),
                                  .body_len = text.len};
    request.quiet_ms = ctl->args->timeout_s * 1000;
    json_t *body = ask(ctl, &request, &status);
    if (body != NULL && ctl->args->json)
        report_json(body);
    else if (body != NULL)
        (void)printf("lease %" PRIu64 ", %" PRIu64 " s\n", report_number(body, "id"),
                     report_number(body, "ttl"));
    json_decref(body);
    buf_deinit(&text);
    return status;
}

int command_lease_revoke(struct ctl *ctl)
{
    struct buf path = {0};
    int status = CTL_EXIT_USAGE;
    if (lease_path(ctl, "", &path)) {
        struct ctl_request request = {.method = EVHTTP_REQ_DELETE, .path = buf_str(&path)};
        request.quiet_ms = ctl->args->timeout_s * 1000;
        json_t *body = ask(ctl, &request, &status);
        if (body != NULL && !ctl->args->json)
            (void)printf("revoked\n");
        json_decref(body);
    }
    buf_deinit(&path);
    return status;
}

static void print_key(const json_t *item)
{
    struct buf key = {0};
    struct buf line = {0};
    if (text_get_bytes(item, "key", &key) == ERR_OK)
        text_add_readable(&line, key.data, key.len);
    (void)printf("  %s\n", buf_str(&line));
    buf_deinit(&line);
    buf_deinit(&key);
}

static void print_lease(const struct ctl *ctl, const json_t *body)
{
    if (ctl->args->json) {
        report_json(body);
        return;
    }
    uint64_t left_ms = report_number(body, "remaining_ms");
    (void)printf("lease %s, %" PRIu64 " s", ctl->args->words[0], report_number(body, "ttl"));
    if (json_object_get(body, "remaining_ms") != NULL)
        (void)printf(", %" PRIu64 ".%" PRIu64 " s left", left_ms / 1000, left_ms / 100 % 10);
    (void)printf("\n");
    const json_t *keys = json_object_get(body, "keys");
    for (size_t i = 0; ctl->args->keys && i < json_array_size(keys); i++)
        print_key(json_array_get(keys, i));
}

int command_lease_ttl(struct ctl *ctl)
{
    struct buf path = {0};
    int status = CTL_EXIT_USAGE;
    if (lease_path(ctl, "", &path)) {
        struct ctl_request request = {
            .method = EVHTTP_REQ_GET, .path = buf_str(&path), .repeatable = true};
        json_t *body = ask(ctl, &request, &status);
        if (body != NULL)
            print_lease(ctl, body);
        json_decref(body);
    }
    buf_deinit(&path);
    return status;
}

/* Thrice in its time, as long as it lives. */
int command_lease_keepalive(struct ctl *ctl)
{
    struct buf path = {0};
    int status = CTL_EXIT_USAGE;
    if (!lease_path(ctl, "/keepalive", &path)) {
        buf_deinit(&path);
        return status;
    }
    struct ctl_request request = {
        .method = EVHTTP_REQ_POST, .path = buf_str(&path), .repeatable = true};
    for (;;) {
        json_t *body = ask(ctl, &request, &status);
        if (body == NULL)
            break;
        uint64_t ttl_s = report_number(body, "ttl");
        print_lease(ctl, body);
        (void)fflush(stdout);
        json_decref(body);
        if (ctl->args->once)
            break;
        client_pause(ttl_s > 0 ? ttl_s * 1000 / 3 : 1000);
    }
    buf_deinit(&path);
    return status;
}

/* false: there is no page after this one. */
static bool list_page(struct ctl *ctl, uint64_t *from, int *status)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/leases?from=%" PRIu64, *from);
    struct ctl_request request = {.method = EVHTTP_REQ_GET, .path = path, .repeatable = true};
    json_t *body = ask(ctl, &request, status);
    const json_t *leases = json_object_get(body, "leases");
    for (size_t i = 0; i < json_array_size(leases); i++) {
        const json_t *lease = json_array_get(leases, i);
        if (ctl->args->json)
            report_json(lease);
        else
            (void)printf("%-20" PRIu64 " %6" PRIu64 " s  %" PRIu64 " keys\n",
                         report_number(lease, "id"), report_number(lease, "ttl"),
                         report_number(lease, "key_count"));
    }
    bool more = json_is_true(json_object_get(body, "more"));
    *from = report_number(body, "next");
    json_decref(body);
    return more;
}

int command_lease_list(struct ctl *ctl)
{
    int status;
    uint64_t from = 1;
    while (list_page(ctl, &from, &status))
        continue;
    return status;
}
