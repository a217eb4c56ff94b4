#include <floe/raft.h>

const char *floe_version(void)
{
    return FLOE_VERSION;
}
