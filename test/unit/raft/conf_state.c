/* One id a digit. */
#include "conf_state.h"

static struct floe_ids ids_of(const char *digits)
{
    struct floe_ids ids = {0};
    for (; *digits != '\0'; digits++)
        floe_ids_push(&ids, (floe_id)(*digits - '0'));
    return ids;
}

struct floe_conf_state conf_state_of(const char *voters, const char *outgoing,
                                     const char *learners, const char *next, bool auto_leave)
{
    return (struct floe_conf_state){.voters = ids_of(voters),
                                    .voters_outgoing = ids_of(outgoing),
                                    .learners = ids_of(learners),
                                    .learners_next = ids_of(next),
                                    .auto_leave = auto_leave};
}
