/* Lines are as long as they are: a large configuration must not be cut in the middle. */
#include "raft/logger.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

void raft_logf(const struct raft_logger *logger, enum floe_log_level level, const char *format,
               ...)
{
    if (logger->fn == NULL)
        return;
    char line[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len < sizeof line) {
        logger->fn(logger->arg, level, line);
        return;
    }
    char *longer = mem_alloc((size_t)len + 1);
    va_start(args, format);
    (void)vsnprintf(longer, (size_t)len + 1, format, args);
    va_end(args);
    logger->fn(logger->arg, level, longer);
    mem_free(longer);
}
