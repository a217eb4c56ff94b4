/* Scripts on the algebra of membership changes: "simple", "enter-joint", "leave-joint". */
#include "script.h"

#include "base/mem.h"
#include "raft/confchange.h"
#include "raft/describe.h"

#include <string.h>

struct script_changer {
    struct raft_config config;
    struct raft_progress_map progress;
    floe_index last_index;
};

struct script_changer *script_changer_new(void)
{
    return mem_calloc(1, sizeof(struct script_changer));
}

void script_changer_free(struct script_changer *changer)
{
    raft_config_deinit(&changer->config);
    raft_progress_map_deinit(&changer->progress);
    mem_free(changer);
}

static const char *apply(struct script_changer *c, const struct script_directive *d,
                         const struct floe_conf_change *change, struct raft_change_result *result)
{
    struct raft_changer changer = {.config = &c->config,
                                   .progress = &c->progress,
                                   .last_index = c->last_index,
                                   .max_inflight = 10};
    if (strcmp(d->command, "simple") == 0)
        return raft_confchange_simple(&changer, change->changes, change->change_count, result);
    if (strcmp(d->command, "enter-joint") == 0) {
        const struct script_arg *arg = script_find(d, "autoleave");
        bool auto_leave = false;
        if (arg != NULL &&
            (arg->value_count != 1 || !script_parse_bool(arg->values[0], &auto_leave)))
            return "autoleave must be true or false";
        return raft_confchange_enter_joint(&changer, auto_leave, change->changes,
                                           change->change_count, result);
    }
    if (strcmp(d->command, "leave-joint") != 0)
        return "unknown command";
    if (change->change_count > 0)
        return "this command takes no input";
    return raft_confchange_leave_joint(&changer, result);
}

static void take_result(struct script_changer *c, struct raft_change_result *result,
                        struct buf *out)
{
    raft_config_deinit(&c->config);
    raft_progress_map_deinit(&c->progress);
    c->config = result->config;
    c->progress = result->progress;
    describe_config(out, &c->config);
    buf_add_u8(out, '\n');
    struct floe_progress *list = raft_progress_map_export(&c->progress);
    describe_progress_map(out, list, c->progress.count);
    mem_free(list);
}

void script_changer_run(struct script_changer *c, const struct script_directive *d, struct buf *out)
{
    struct floe_conf_change change = {.transition = FLOE_CONF_TRANSITION_AUTO};
    struct raft_change_result result;
    struct buf why = {0};
    const char *error = script_parse_changes(d->input, &change, &why);
    if (error == NULL)
        error = apply(c, d, &change, &result);
    if (error != NULL)
        buf_printf(out, "%s", error);
    else
        take_result(c, &result, out);
    c->last_index++;
    floe_conf_change_deinit(&change);
    buf_deinit(&why);
}
