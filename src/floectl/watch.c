/* watch: changes as they happen. When a node fails, another one is asked from the revision that was
 * printed last, and what was printed of it is skipped: none is missed, none shown twice. */
#include "floectl/command.h"
#include "floectl/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The node sends a heartbeat at least every 15 s. */
enum { QUIET_MS = 40000, AGAIN_MS = 200 };

struct watch {
    struct ctl *ctl;
    uint64_t next;          /* revision to go on with; 0: from now on */
    size_t printed;         /* events of that revision that were printed already */
    size_t skip;            /* those to come again after a failure */
    struct evbuffer *input; /* a line that is not whole yet */
    bool heard;             /* something came from this node */
    bool compacted;
};

static void print_change(const struct ctl *ctl, const json_t *event, uint64_t revision)
{
    struct buf bytes = {0};
    struct buf line = {0};
    const char *type = json_string_value(json_object_get(event, "type"));
    buf_printf(&line, "%" PRIu64 "\t%s\t", revision, type);
    if (text_get_bytes(event, "key", &bytes) == ERR_OK)
        text_add_readable(&line, bytes.data, bytes.len);
    buf_clear(&bytes);
    if (strcmp(type, "put") == 0 && text_get_bytes(event, "value", &bytes) == ERR_OK) {
        buf_add_u8(&line, '\t');
        text_add_readable(&line, bytes.data, bytes.len);
    }
    if (ctl->args->json)
        report_json(event);
    else
        (void)printf("%s\n", buf_str(&line));
    (void)fflush(stdout);
    buf_deinit(&line);
    buf_deinit(&bytes);
}

static void on_change(struct watch *watch, const json_t *event, uint64_t revision)
{
    if (revision > watch->next) {
        watch->next = revision;
        watch->printed = 0;
        watch->skip = 0;
    }
    if (watch->skip > 0) {
        watch->skip--;
        return;
    }
    watch->printed++;
    print_change(watch->ctl, event, revision);
}

static void on_compacted(struct watch *watch, uint64_t revision)
{
    watch->compacted = true;
    (void)fprintf(stderr,
                  "floectl: the history up to revision %" PRIu64
                  " is gone: read the keys anew, then watch from there\n",
                  revision);
}

static void on_event(struct watch *watch, const json_t *event)
{
    const char *type = json_string_value(json_object_get(event, "type"));
    uint64_t revision = report_number(event, "revision");
    watch->heard = true;
    if (type == NULL)
        return;
    if (strcmp(type, "compacted") == 0) {
        on_compacted(watch, revision);
    } else if (strcmp(type, "put") == 0 || strcmp(type, "delete") == 0) {
        on_change(watch, event, revision);
    } else if (revision >= watch->next) { /* a heartbeat: all up to here has been sent */
        watch->next = revision + 1;
        watch->printed = 0;
        watch->skip = 0;
    }
}

static bool on_data(void *arg, struct evbuffer *data)
{
    struct watch *watch = arg;
    size_t len;
    char *line;
    (void)evbuffer_add_buffer(watch->input, data);
    while (!watch->compacted &&
           (line = evbuffer_readln(watch->input, &len, EVBUFFER_EOL_LF)) != NULL) {
        json_t *event = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
        if (event != NULL)
            on_event(watch, event);
        json_decref(event);
        free(line);
    }
    return !watch->compacted;
}

static void add_path(struct buf *path, const struct watch *watch)
{
    const char *key = watch->ctl->args->words[0];
    buf_printf(path, watch->ctl->args->prefix ? "/kv/?prefix=" : "/kv/");
    text_add_encoded(path, key, strlen(key));
    buf_printf(path, watch->ctl->args->prefix ? "&watch" : "?watch");
    if (watch->next != 0)
        buf_printf(path, "&from_revision=%" PRIu64, watch->next);
}

/* At one node, until it fails. */
static void watch_at(struct watch *watch, const struct addr *node, struct ctl_response *response)
{
    struct buf path = {0};
    add_path(&path, watch);
    struct ctl_request request = {.method = EVHTTP_REQ_GET,
                                  .path = buf_str(&path),
                                  .headers = {{"Accept", "application/x-ndjson"}},
                                  .repeatable = true,
                                  .quiet_ms = QUIET_MS,
                                  .on_data = on_data,
                                  .arg = watch};
    watch->heard = false;
    watch->skip = watch->printed;
    (void)evbuffer_drain(watch->input, evbuffer_get_length(watch->input));
    client_call_one(watch->ctl->client, node, &request, response);
    buf_deinit(&path);
}

static bool is_refused(const struct ctl_response *response)
{
    return response->outcome == CTL_ANSWERED && response->status != 200 && response->status != 503;
}

static int watch_on(struct watch *watch)
{
    const struct ctl_endpoints *nodes = watch->ctl->endpoints;
    uint64_t failures_allowed = watch->ctl->args->timeout_s * 1000 / AGAIN_MS;
    for (size_t at = 0, failures = 0;; at = (at + 1) % nodes->count) {
        struct ctl_response response;
        watch_at(watch, &nodes->list[at], &response);
        failures = watch->heard ? 0 : failures + 1;
        if (is_refused(&response) || failures > failures_allowed) {
            int status = report_failure(&response);
            client_response_deinit(&response);
            return status;
        }
        if (watch->heard && !watch->compacted)
            (void)fprintf(stderr, "floectl: %s is lost, going on elsewhere\n", response.node);
        client_response_deinit(&response);
        if (watch->compacted)
            return CTL_EXIT_REFUSED;
        client_pause(AGAIN_MS);
    }
}

int command_watch(struct ctl *ctl)
{
    struct watch watch = {.ctl = ctl, .next = ctl->args->from, .input = evbuffer_new()};
    int status = watch_on(&watch);
    evbuffer_free(watch.input);
    return status;
}
