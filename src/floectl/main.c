/* The command line of floectl. */
#include "floectl/command.h"

#include <floe/raft.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int run_verb(struct ctl *ctl)
{
    switch (ctl->args->verb) {
    case CTL_PUT: return command_put(ctl);
    case CTL_GET: return command_get(ctl);
    case CTL_DEL: return command_del(ctl);
    case CTL_WATCH: return command_watch(ctl);
    case CTL_TXN: return command_txn(ctl);
    case CTL_LEASE_GRANT: return command_lease_grant(ctl);
    case CTL_LEASE_REVOKE: return command_lease_revoke(ctl);
    case CTL_LEASE_KEEPALIVE: return command_lease_keepalive(ctl);
    case CTL_LEASE_TTL: return command_lease_ttl(ctl);
    case CTL_LEASE_LIST: return command_lease_list(ctl);
    case CTL_MEMBER_LIST: return command_member_list(ctl);
    case CTL_MEMBER_ADD: return command_member_add(ctl);
    case CTL_MEMBER_REMOVE: return command_member_remove(ctl);
    case CTL_MEMBER_PROMOTE: return command_member_promote(ctl);
    case CTL_LEADER: return command_leader(ctl);
    case CTL_STATUS: return command_status(ctl);
    case CTL_HELP: (void)fputs(args_usage(), stdout); return CTL_EXIT_OK;
    case CTL_VERSION: (void)printf("floectl %s\n", FLOE_VERSION); return CTL_EXIT_OK;
    case CTL_NONE: break;
    }
    return CTL_EXIT_USAGE;
}

static const char *endpoints_text(const struct ctl_args *args)
{
    const char *text = args->endpoints != NULL ? args->endpoints : getenv("FLOE_ENDPOINTS");
    return text != NULL && text[0] != 0 ? text : "127.0.0.1:12380";
}

int main(int argc, char **argv)
{
    struct ctl_args args;
    struct ctl_endpoints endpoints;
    struct buf why = {0};
    (void)signal(SIGPIPE, SIG_IGN); /* a write to a closed connection is an error, no end */
    enum err err = args_parse(argc, argv, &args, &why);
    if (err == ERR_OK)
        err = endpoints_parse(endpoints_text(&args), &endpoints, &why);
    if (err != ERR_OK) {
        int status = report_usage("%s", buf_str(&why));
        buf_deinit(&why);
        return status;
    }
    buf_deinit(&why);
    struct ctl ctl = {.args = &args, .endpoints = &endpoints};
    ctl.client = client_new(&endpoints, args.timeout_s * 1000);
    int status = run_verb(&ctl);
    client_free(ctl.client);
    if (fflush(stdout) != 0)
        return report_usage("cannot write to standard output");
    return status;
}
