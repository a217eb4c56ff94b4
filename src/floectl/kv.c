/* put, get, del and txn. */
#include "floectl/command.h"
#include "floectl/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A range asks for so many keys at a time, so that a node that fails costs one page. */
enum { PAGE_KEYS = 1000 };

static void say_revision(const struct ctl *ctl, const char *what, uint64_t revision)
{
    if (!ctl->args->json) {
        (void)printf("%s, revision %" PRIu64 "\n", what, revision);
        return;
    }
    json_t *out = json_pack("{s:I}", "revision", (json_int_t)revision);
    report_json(out);
    json_decref(out);
}

static void add_key_path(struct buf *path, const char *key)
{
    buf_printf(path, "/kv/");
    text_add_encoded(path, key, strlen(key));
}

/* ---- put ---- */

static void add_put_query(struct buf *path, const struct ctl_args *args)
{
    if (args->lease != 0)
        buf_printf(path, "?lease=%" PRIu64, args->lease);
    else if (args->ttl_s != 0)
        buf_printf(path, "?ttl=%" PRIu64, args->ttl_s);
}

/* If-Match, If-None-Match and the key that makes the write repeatable. */
static void add_write_headers(struct ctl_request *request, const struct ctl_args *args,
                              const char *key, char *tag, size_t tag_size)
{
    request->headers[0] = (struct ctl_header){"Idempotency-Key", key};
    request->repeatable = true;
    (void)snprintf(tag, tag_size, "\"%" PRIu64 "\"", args->if_revision);
    if (args->has_if_revision)
        request->headers[1] = (struct ctl_header){"If-Match", tag};
    else if (args->absent)
        request->headers[1] = (struct ctl_header){"If-None-Match", "*"};
}

static int write_key(struct ctl *ctl, struct ctl_request *request, const char *what)
{
    char key[33];
    char tag[32];
    client_new_key(key);
    add_write_headers(request, ctl->args, key, tag, sizeof tag);
    struct ctl_response response;
    client_call(ctl->client, request, &response);
    int status = CTL_EXIT_OK;
    if (report_is_good(&response))
        say_revision(ctl, what, response.revision);
    else
        status = report_failure(&response);
    client_response_deinit(&response);
    return status;
}

int command_put(struct ctl *ctl)
{
    struct buf value = {0};
    struct buf path = {0};
    if (ctl->args->word_count > 1)
        buf_add(&value, ctl->args->words[1], strlen(ctl->args->words[1]));
    else if (report_read(NULL, &value) != ERR_OK)
        return CTL_EXIT_REFUSED;
    add_key_path(&path, ctl->args->words[0]);
    add_put_query(&path, ctl->args);
    struct ctl_request request = {.method = EVHTTP_REQ_PUT,
                                  .path = buf_str(&path),
                                  .body = buf_str(&value),
                                  .body_len = value.len};
    int status = write_key(ctl, &request, "stored");
    buf_deinit(&path);
    buf_deinit(&value);
    return status;
}

/* ---- del ---- */

static int delete_prefix(struct ctl *ctl, struct ctl_request *request)
{
    char key[33];
    client_new_key(key);
    request->headers[0] = (struct ctl_header){"Idempotency-Key", key};
    request->repeatable = true;
    struct ctl_response response;
    client_call(ctl->client, request, &response);
    if (!report_is_good(&response)) {
        int status = report_failure(&response);
        client_response_deinit(&response);
        return status;
    }
    json_t *body = report_parse(&response.body);
    uint64_t deleted = report_number(body, "deleted");
    if (ctl->args->json)
        report_json(body);
    else
        (void)printf("deleted %" PRIu64 "\n", deleted);
    json_decref(body);
    client_response_deinit(&response);
    return deleted > 0 ? CTL_EXIT_OK : CTL_EXIT_NO;
}

int command_del(struct ctl *ctl)
{
    struct buf path = {0};
    int status;
    if (ctl->args->prefix) {
        buf_printf(&path, "/kv/?prefix=");
        text_add_encoded(&path, ctl->args->words[0], strlen(ctl->args->words[0]));
    } else {
        add_key_path(&path, ctl->args->words[0]);
    }
    struct ctl_request request = {.method = EVHTTP_REQ_DELETE, .path = buf_str(&path)};
    if (ctl->args->prefix)
        status = delete_prefix(ctl, &request);
    else
        status = write_key(ctl, &request, "deleted");
    buf_deinit(&path);
    return status;
}

/* ---- get ---- */

static void add_get_query(struct buf *path, const struct ctl_args *args, const char *before)
{
    if (args->has_revision) {
        buf_printf(path, "%srevision=%" PRIu64, before, args->revision);
        before = "&";
    }
    if (args->stale)
        buf_printf(path, "%sconsistency=stale", before);
}

static void print_value(const struct ctl *ctl, const struct ctl_response *response)
{
    (void)fwrite(response->body.data, 1, response->body.len, stdout);
    if (!ctl->args->raw)
        (void)putchar('\n');
}

static int get_one(struct ctl *ctl)
{
    struct buf path = {0};
    struct ctl_response response;
    int status = CTL_EXIT_OK;
    add_key_path(&path, ctl->args->words[0]);
    add_get_query(&path, ctl->args, "?");
    struct ctl_request request = {
        .method = EVHTTP_REQ_GET, .path = buf_str(&path), .repeatable = true};
    client_call(ctl->client, &request, &response);
    if (report_is_good(&response))
        print_value(ctl, &response);
    else
        status = report_failure(&response);
    buf_deinit(&path);
    client_response_deinit(&response);
    return status;
}

/* ---- get --prefix ---- */

struct range {
    struct ctl *ctl;
    uint64_t revision; /* all pages show the state at this one */
    uint64_t left;     /* of --limit; 0: none was set */
    struct buf next;   /* where the next page begins; empty: there is none */
};

static void print_item(const struct ctl *ctl, const json_t *item)
{
    if (ctl->args->json) {
        report_json(item);
        return;
    }
    struct buf bytes = {0};
    struct buf line = {0};
    if (text_get_bytes(item, "key", &bytes) == ERR_OK)
        text_add_readable(&line, bytes.data, bytes.len);
    buf_clear(&bytes);
    if (!ctl->args->keys && text_get_bytes(item, "value", &bytes) == ERR_OK) {
        buf_add_u8(&line, '\t');
        text_add_readable(&line, bytes.data, bytes.len);
    }
    (void)printf("%s\n", buf_str(&line));
    buf_deinit(&line);
    buf_deinit(&bytes);
}

/* The page's items are printed when it is there as a whole, so that none is printed twice. */
static void print_page(struct range *range, const json_t *page)
{
    const json_t *items = json_object_get(page, "items");
    size_t count = json_array_size(items);
    for (size_t i = 0; i < count; i++)
        print_item(range->ctl, json_array_get(items, i));
    buf_clear(&range->next);
    range->revision = report_number(page, "revision");
    bool enough = range->left != 0 && range->left <= count;
    range->left -= range->left != 0 ? count : 0;
    if (enough || text_get_bytes(page, "next", &range->next) != ERR_OK)
        buf_clear(&range->next);
}

static void add_page_query(struct buf *path, struct range *range)
{
    const struct ctl_args *args = range->ctl->args;
    bool few = range->left != 0 && range->left < PAGE_KEYS;
    buf_printf(path, "/kv/?prefix=");
    text_add_encoded(path, args->words[0], strlen(args->words[0]));
    buf_printf(path, "&limit=%" PRIu64, few ? range->left : (uint64_t)PAGE_KEYS);
    if (range->revision != 0)
        buf_printf(path, "&revision=%" PRIu64, range->revision);
    if (args->keys)
        buf_printf(path, "&keys");
    if (args->reverse)
        buf_printf(path, "&order=desc");
    if (args->stale)
        buf_printf(path, "&consistency=stale");
    if (range->next.len > 0) {
        buf_printf(path, "&next=");
        text_add_encoded(path, range->next.data, range->next.len);
    }
}

static int get_page(struct range *range)
{
    struct buf path = {0};
    struct ctl_response response;
    int status = CTL_EXIT_OK;
    add_page_query(&path, range);
    struct ctl_request request = {.method = EVHTTP_REQ_GET,
                                  .path = buf_str(&path),
                                  .headers = {{"Accept", "application/json"}},
                                  .repeatable = true};
    client_call(range->ctl->client, &request, &response);
    if (report_is_good(&response)) {
        json_t *page = report_parse(&response.body);
        print_page(range, page);
        json_decref(page);
    } else {
        status = report_failure(&response);
    }
    buf_deinit(&path);
    client_response_deinit(&response);
    return status;
}

/* A listing of the one key, which has everything that is known of it. */
static int get_one_json(struct ctl *ctl)
{
    struct buf path = {0};
    struct ctl_response response;
    const char *key = ctl->args->words[0];
    size_t found = 0;
    buf_printf(&path, "/kv/?from=");
    text_add_encoded(&path, key, strlen(key));
    buf_printf(&path, "&to=");
    text_add_encoded(&path, key, strlen(key));
    buf_printf(&path, "%%00"); /* what comes next in order */
    add_get_query(&path, ctl->args, "&");
    struct ctl_request request = {.method = EVHTTP_REQ_GET,
                                  .path = buf_str(&path),
                                  .headers = {{"Accept", "application/json"}},
                                  .repeatable = true};
    client_call(ctl->client, &request, &response);
    if (report_is_good(&response)) {
        json_t *page = report_parse(&response.body);
        const json_t *items = json_object_get(page, "items");
        found = json_array_size(items);
        if (found > 0)
            report_json(json_array_get(items, 0));
        json_decref(page);
    }
    buf_deinit(&path);
    client_response_deinit(&response);
    return found > 0 ? CTL_EXIT_OK : get_one(ctl); /* which says why not */
}

int command_get(struct ctl *ctl)
{
    if (!ctl->args->prefix)
        return ctl->args->json ? get_one_json(ctl) : get_one(ctl);
    struct range range = {.ctl = ctl, .left = ctl->args->limit};
    int status;
    range.revision = ctl->args->has_revision ? ctl->args->revision : 0;
    do {
        status = get_page(&range);
    } while (status == CTL_EXIT_OK && range.next.len > 0);
    buf_deinit(&range.next);
    return status;
}

/* ---- txn ---- */

int command_txn(struct ctl *ctl)
{
    struct buf text = {0};
    char key[33];
    int status;
    if (report_read(ctl->args->word_count > 0 ? ctl->args->words[0] : NULL, &text) != ERR_OK)
        return CTL_EXIT_USAGE;
    client_new_key(key);
    struct ctl_request request = {
        .method = EVHTTP_REQ_POST,
        .path = "/txn",
        .headers = {{"Content-Type", "application/json"}, {"Idempotency-Key", key}},
        .body = buf_str(&text),
        .body_len = text.len,
        .repeatable = true};
    struct ctl_response response;
    client_call(ctl->client, &request, &response);
    if (report_is_good(&response)) {
        json_t *body = report_parse(&response.body);
        report_json(body);
        status = json_is_true(json_object_get(body, "succeeded")) ? CTL_EXIT_OK : CTL_EXIT_NO;
        json_decref(body);
    } else {
        status = report_failure(&response);
    }
    buf_deinit(&text);
    client_response_deinit(&response);
    return status;
}
