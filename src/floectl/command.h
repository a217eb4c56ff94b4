/* What each verb does. Each returns the exit status; results go to standard output, all else to
 * standard error. */
#ifndef FLOECTL_COMMAND_H
#define FLOECTL_COMMAND_H

#include "floectl/args.h"
#include "floectl/client.h"

#include <jansson.h>

enum ctl_exit {
    CTL_EXIT_OK = 0,
    CTL_EXIT_NO = 1, /* no such thing, or the condition did not hold */
    CTL_EXIT_USAGE = 2,
    CTL_EXIT_NOBODY = 3,
    CTL_EXIT_UNKNOWN = 4,
    CTL_EXIT_REFUSED = 5,
};

struct ctl {
    const struct ctl_args *args;
    const struct ctl_endpoints *endpoints;
    struct ctl_client *client;
};

int command_put(struct ctl *ctl);
int command_get(struct ctl *ctl);
int command_del(struct ctl *ctl);
int command_txn(struct ctl *ctl);
int command_watch(struct ctl *ctl);
int command_lease_grant(struct ctl *ctl);
int command_lease_revoke(struct ctl *ctl);
int command_lease_keepalive(struct ctl *ctl);
int command_lease_ttl(struct ctl *ctl);
int command_lease_list(struct ctl *ctl);
int command_member_list(struct ctl *ctl);
int command_member_add(struct ctl *ctl);
int command_member_remove(struct ctl *ctl);
int command_member_promote(struct ctl *ctl);
int command_leader(struct ctl *ctl);
int command_status(struct ctl *ctl);

/* ---- what they share (report.c) ---- */

/* Says on standard error why it did not work; the exit status for that. */
int report_failure(const struct ctl_response *response);
/* One sentence on standard error; CTL_EXIT_USAGE. */
__attribute__((format(printf, 1, 2))) int report_usage(const char *format, ...);
/* 200 to 299. */
bool report_is_good(const struct ctl_response *response);
/* One line on standard output. */
void report_json(const json_t *json);
/* The body as JSON, owned by the caller; a value that is no JSON gives an empty object. */
json_t *report_parse(const struct buf *body);
/* object[name] as a number, be it one or its digits in a string; 0 if there is none. */
uint64_t report_number(const json_t *object, const char *name);
/* All of a file, or of standard input for NULL and "-". ERR_IO after a word on standard error. */
enum err report_read(const char *path, struct buf *out) MUST_USE;

#endif
